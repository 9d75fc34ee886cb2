#include "daemon/hit_message.h"

#include <time.h>

#include "daemon/worker.h"

#define SET(message, field, value) ((message)->has_##field = 1, (message)->field = (value))
#define COPY(to, from, field)                                                                      \
    do {                                                                                           \
        if ((from)->has_##field)                                                                   \
            SET(to, field, (from)->field);                                                         \
    } while (0)

static uint64_t realtime_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static void fill_location(Stillpoint__Api__Location *to, const Stillpoint__Worker__Location *from)
{
    stillpoint__api__location__init(to);
    to->url = from->url;
    to->function = from->function;
    COPY(to, from, line);
    COPY(to, from, column);
    COPY(to, from, offset);
}

/* Without its ref: handles to objects of the guest live for one stop only. */
static void fill_value(Stillpoint__Api__Value *to, const Stillpoint__Worker__Value *from)
{
    stillpoint__api__value__init(to);
    SET(to, type, (Stillpoint__Api__ValueType)from->type);
    to->preview = from->preview;
    to->class_name = from->class_name;
    COPY(to, from, truncated);
}

static size_t fill_named(struct hit_message *to, size_t at, size_t max, size_t n,
                         Stillpoint__Worker__NamedValue *const *from)
{
    size_t done = 0;
    for (; done < n && done < max; done++) {
        Stillpoint__Api__NamedValue *v = to->named_at[at + done] = &to->named[at + done];
        stillpoint__api__named_value__init(v);
        v->name = from[done]->name;
        COPY(v, from[done], writable);
        COPY(v, from[done], getter);
        COPY(v, from[done], threw);
        if (from[done]->value) {
            fill_value(&to->values[at + done], from[done]->value);
            v->value = &to->values[at + done];
        }
    }
    return done;
}

static void fill_frames(struct hit_message *to, const Stillpoint__Worker__Hit *from)
{
    static const char *const kinds[] = {
        [WORKER_FRAME_JS] = "js", [WORKER_FRAME_WASM] = "wasm", [WORKER_FRAME_HOST] = "host"};
    to->m.frames = to->frame_at;
    for (; to->m.n_frames < from->n_frames && to->m.n_frames < LIMIT_HIT_FRAMES; to->m.n_frames++) {
        const Stillpoint__Worker__Frame *f = from->frames[to->m.n_frames];
        Stillpoint__Api__Frame *frame = to->frame_at[to->m.n_frames] = &to->frames[to->m.n_frames];
        bool known = f->kind >= WORKER_FRAME_JS && f->kind <= WORKER_FRAME_HOST;
        stillpoint__api__frame__init(frame);
        SET(frame, frame, (uint32_t)to->m.n_frames);
        frame->kind = (char *)(uintptr_t)(known ? kinds[f->kind] : kinds[WORKER_FRAME_HOST]);
        frame->function = f->function;
        frame->url = f->url;
        COPY(frame, f, line);
        COPY(frame, f, column);
        COPY(frame, f, offset);
    }
}

void hit_message_fill(struct hit_message *to, const struct worker *w,
                      const Stillpoint__Worker__Hit *from, uint64_t hits)
{
    Stillpoint__Api__Hit *m = &to->m;
    uint64_t now = shm_now_ns(), epoch = w->gate.world ? w->gate.world->epoch : from->epoch;
    stillpoint__api__hit__init(m);
    SET(m, hook, from->hook);
    SET(m, vm, w->id);
    m->vm_name = (char *)(uintptr_t)w->name;
    SET(m, kind, (Stillpoint__Api__HookKind)from->kind);
    SET(m, time_us, realtime_us());
    /* Across VMs hits are ordered by these: nobody is ahead of his time. */
    SET(m, mono_ns, from->mono_ns < now ? from->mono_ns : now);
    SET(m, epoch, from->epoch < epoch ? from->epoch : epoch);
    COPY(m, from, vm_seq);
    if (from->location) {
        fill_location(&to->location, from->location);
        m->location = &to->location;
    }
    COPY(m, from, realm);
    COPY(m, from, frame_id);
    COPY(m, from, script_id);
    COPY(m, from, promise_id);
    if (from->value) {
        fill_value(&to->value, from->value);
        m->value = &to->value;
    }
    m->completion = from->completion;
    fill_frames(to, from);
    m->arguments = to->named_at;
    m->n_arguments = fill_named(to, 0, LIMIT_HIT_VALUES, from->n_arguments, from->arguments);
    m->expressions = to->named_at + m->n_arguments;
    m->n_expressions =
        fill_named(to, m->n_arguments, LIMIT_EXPRESSIONS, from->n_expressions, from->expressions);
    m->log = from->log;
    m->condition_error = from->condition_error;
    SET(m, hits, hits);
    SET(m, budget_dropped, from->dropped);
    m->source_map = from->source_map;
    COPY(m, from, wasm);
}
