#include "worker/inspect.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "worker/one_line.h"

/* What a packet may hold beside the body. */
#define BODY_INLINE_BYTES (LIMIT_PACKET_BYTES - 2048u)
/* Two texts and the numbers of a frame, one text and those of a class, with their tags. */
#define FRAME_BYTES (2u * (LIMIT_INSPECT_TEXT_BYTES + 3) + 32)
#define CLASS_BYTES (LIMIT_INSPECT_TEXT_BYTES + 3 + 32)

/* RLIMIT_FSIZE is LIMIT_JSON_BYTES: a larger memfd would be the worker's end. */
_Static_assert(LIMIT_INSPECT_FRAMES *FRAME_BYTES + 64 <= LIMIT_INSPECT_BYTES, "a stack fits");
_Static_assert(LIMIT_INSPECT_CLASSES *CLASS_BYTES + 64 <= LIMIT_INSPECT_BYTES, "a census fits");
enum { MOST_BYTES = LIMIT_INSPECT_BYTES };
_Static_assert(MOST_BYTES <= LIMIT_JSON_BYTES, "a memfd may be as large");

static const char other[] = "(other)";

/* Rows as they come from the engine, in memory of their own. */
struct answer {
    int error; /* negative errno: a row was lost */
    uint64_t before_bytes, after_bytes;
    Stillpoint__Worker__ClassCount *classes;
    size_t n_classes, size_classes;
    Stillpoint__Worker__Frame *frames;
    size_t n_frames, size_frames;
    bool truncated;
};

static void answer_done(struct answer *a)
{
    for (size_t i = 0; i < a->n_classes; i++)
        free(a->classes[i].class_name);
    for (size_t i = 0; i < a->n_frames; i++) {
        free(a->frames[i].function);
        free(a->frames[i].url);
    }
    free(a->classes);
    free(a->frames);
}

static char *copy_line(const char *text)
{
    char line[LIMIT_INSPECT_TEXT_BYTES + 1];
    return strdup(one_line(text ? text : "", line, sizeof line));
}

/* Room for one more element; NULL, and a->error, if there is none. */
static void *grow(struct answer *a, void **array, size_t n, size_t *size, size_t element_bytes)
{
    if (n == *size) {
        size_t more = *size ? 2 * *size : 64;
        void *grown = reallocarray(*array, more, element_bytes);
        if (!grown) {
            a->error = -ENOMEM;
            return NULL;
        }
        *array = grown;
        *size = more;
    }
    return (char *)*array + n * element_bytes;
}

/* ---- census */

static void on_class(void *userdata, const struct engine_class *class)
{
    struct answer *a = userdata;
    Stillpoint__Worker__ClassCount *c =
        grow(a, (void **)&a->classes, a->n_classes, &a->size_classes, sizeof *c);
    if (!c)
        return;
    *c = (Stillpoint__Worker__ClassCount)STILLPOINT__WORKER__CLASS_COUNT__INIT;
    c->class_name = copy_line(class->name);
    if (!c->class_name) {
        a->error = -ENOMEM;
        return;
    }
    c->has_count = c->has_bytes = true;
    c->count = class->count;
    c->bytes = class->bytes;
    a->n_classes++;
}

/* Most bytes first; equal ones by name, so that two answers compare. */
static bool comes_before(const Stillpoint__Worker__ClassCount *x,
                         const Stillpoint__Worker__ClassCount *y)
{
    return x->bytes != y->bytes ? x->bytes > y->bytes : strcmp(x->class_name, y->class_name) < 0;
}

/* Lets the element at `at` sink into the heap of n, whose root is the one that comes last. */
static void sink(Stillpoint__Worker__ClassCount *c, size_t at, size_t n)
{
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && comes_before(&c[child], &c[child + 1]))
            child++;
        if (!comes_before(&c[at], &c[child]))
            return;
        Stillpoint__Worker__ClassCount moved = c[at];
        c[at] = c[child];
        c[child] = moved;
    }
}

/* A heap sort: qsort() of the C library asks the kernel how much memory there is, and that is a
 * system call which a worker has not. */
static void sort_classes(Stillpoint__Worker__ClassCount *c, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        sink(c, i, n);
    while (n-- > 1) {
        Stillpoint__Worker__ClassCount last = c[0];
        c[0] = c[n];
        c[n] = last;
        sink(c, 0, n);
    }
}

/* The smallest classes into one row, if there are too many. */
static int fold_classes(struct answer *a)
{
    sort_classes(a->classes, a->n_classes);
    if (a->n_classes <= LIMIT_INSPECT_CLASSES)
        return 0;
    Stillpoint__Worker__ClassCount *rest = &a->classes[LIMIT_INSPECT_CLASSES - 1];
    char *name = strdup(other);
    if (!name)
        return -ENOMEM;
    free(rest->class_name);
    rest->class_name = name;
    for (size_t i = LIMIT_INSPECT_CLASSES; i < a->n_classes; i++) {
        rest->count += a->classes[i].count;
        rest->bytes += a->classes[i].bytes;
        free(a->classes[i].class_name);
    }
    a->n_classes = LIMIT_INSPECT_CLASSES;
    a->truncated = true;
    return 0;
}

/* ---- stack */

static void on_frame(void *userdata, const struct engine_frame *frame)
{
    struct answer *a = userdata;
    Stillpoint__Worker__Frame *f =
        grow(a, (void **)&a->frames, a->n_frames, &a->size_frames, sizeof *f);
    if (!f)
        return;
    *f = (Stillpoint__Worker__Frame)STILLPOINT__WORKER__FRAME__INIT;
    f->function = copy_line(frame->function);
    f->url = copy_line(frame->url);
    f->has_kind = f->has_line = f->has_column = f->has_offset = true;
    f->kind = frame->kind;
    f->line = frame->line;
    f->column = frame->column;
    f->offset = frame->offset;
    a->n_frames++;
    if (!f->function || !f->url)
        a->error = -ENOMEM;
}

/* ---- answers */

static int send_inspected(struct inspections *i, Stillpoint__Worker__Inspected *m, uint64_t request,
                          int memfd)
{
    m->has_request = true;
    m->request = request;
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_INSPECTED;
    fact.inspected = m;
    return daemon_channel_send(i->channel, &fact, memfd);
}

static int send_error(struct inspections *i, uint64_t request, const char *why)
{
    char line[LIMIT_INSPECT_TEXT_BYTES + 1];
    Stillpoint__Worker__Inspected m = STILLPOINT__WORKER__INSPECTED__INIT;
    m.error = one_line(why, line, sizeof line);
    return send_inspected(i, &m, request, -1);
}

/* A memfd with the packed body, or negative errno. */
static int body_memfd(const Stillpoint__Worker__InspectedBody *body, size_t len)
{
    _cleanup_free_ uint8_t *packed = malloc(len);
    if (!packed)
        return -ENOMEM;
    stillpoint__worker__inspected_body__pack(body, packed);
    return fd_memfd_new("inspected", packed, len);
}

static int send_body(struct inspections *i, uint64_t request,
                     Stillpoint__Worker__InspectedBody *body)
{
    Stillpoint__Worker__Inspected m = STILLPOINT__WORKER__INSPECTED__INIT;
    size_t len = stillpoint__worker__inspected_body__get_packed_size(body);
    int memfd = -1;
    if (len <= BODY_INLINE_BYTES) {
        m.body = body;
    } else {
        memfd = body_memfd(body, len);
        if (memfd < 0)
            return send_error(i, request, strerror(-memfd));
        m.has_in_memfd = m.in_memfd = true;
    }
    return send_inspected(i, &m, request, memfd);
}

static int send_answer(struct inspections *i, const struct inspection *x, struct answer *a)
{
    Stillpoint__Worker__InspectedBody body = STILLPOINT__WORKER__INSPECTED_BODY__INIT;
    _cleanup_free_ Stillpoint__Worker__ClassCount **classes =
        calloc(a->n_classes + 1, sizeof *classes);
    _cleanup_free_ Stillpoint__Worker__Frame **frames = calloc(a->n_frames + 1, sizeof *frames);
    if (!classes || !frames)
        return send_error(i, x->request, strerror(ENOMEM));
    for (size_t n = 0; n < a->n_classes; n++)
        classes[n] = &a->classes[n];
    for (size_t n = 0; n < a->n_frames; n++)
        frames[n] = &a->frames[n];
    if (x->kind == INSPECT_GC) {
        body.has_before_bytes = body.has_after_bytes = true;
        body.before_bytes = a->before_bytes;
        body.after_bytes = a->after_bytes;
    }
    body.n_classes = a->n_classes;
    body.classes = classes;
    body.n_frames = a->n_frames;
    body.frames = frames;
    body.has_truncated = body.truncated = a->truncated;
    return send_body(i, x->request, &body);
}

static int ask_engine(struct inspections *i, enum inspect_kind kind, struct answer *a)
{
    int r = 0;
    switch (kind) {
    case INSPECT_GC:
        r = i->ops->gc(i->engine, &a->before_bytes, &a->after_bytes);
        safepoint_publish_heap(i->safepoint);
        break;
    case INSPECT_CENSUS:
        r = i->ops->census(i->engine, on_class, a);
        if (r == 0 && a->error == 0)
            r = fold_classes(a);
        break;
    case INSPECT_STACK:
        r = i->ops->stack(i->engine, LIMIT_INSPECT_FRAMES, on_frame, a, &a->truncated);
        break;
    case INSPECT_PARK:
        break;
    default:
        r = -EOPNOTSUPP;
    }
    return r < 0 ? r : a->error;
}

static int serve_one(struct inspections *i, const struct inspection *x)
{
    struct answer a = {0};
    int r = ask_engine(i, (enum inspect_kind)x->kind, &a);
    if (r == -EOPNOTSUPP)
        r = send_error(i, x->request, "this worker cannot answer that kind of request");
    else if (r < 0)
        r = send_error(i, x->request, strerror(-r));
    else
        r = send_answer(i, x, &a);
    answer_done(&a);
    return r;
}

void inspections_init(struct inspections *i, const struct engine_ops *ops, struct engine *engine,
                      struct daemon_channel *channel, struct safepoint *safepoint)
{
    *i = (struct inspections){
        .ops = ops, .engine = engine, .channel = channel, .safepoint = safepoint};
}

int inspections_push(struct inspections *i, const Stillpoint__Worker__Inspect *m)
{
    if (i->n == LIMIT_INSPECTS_QUEUED)
        return send_error(i, m->request, "too many requests wait in this VM");
    i->waiting[i->n++] = (struct inspection){.request = m->request, .kind = m->kind};
    return 0;
}

static struct inspection take_first(struct inspections *i)
{
    struct inspection first = i->waiting[0];
    i->n--;
    memmove(i->waiting, i->waiting + 1, i->n * sizeof *i->waiting);
    return first;
}

int inspections_serve(struct inspections *i)
{
    int r = 0;
    while (r == 0 && i->n > 0) {
        struct inspection x = take_first(i);
        r = serve_one(i, &x);
    }
    return r;
}

int inspections_refuse(struct inspections *i, const char *why)
{
    int r = 0;
    while (r == 0 && i->n > 0)
        r = send_error(i, take_first(i).request, why);
    return r;
}
