#include "worker/inspect.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "worker/one_line.h"

/* What a packet may hold beside the body. */
#define BODY_INLINE_BYTES (LIMIT_PACKET_BYTES - 2048u)
/* The numbers of a body. */
#define BODY_OWN_BYTES 128u

/* The parts of one fact may have so many. */
enum { MOST_BYTES = LIMIT_INSPECT_BYTES };
_Static_assert(MOST_BYTES <= LIMIT_JSON_BYTES, "parts of the largest text");

/* ---- collections */

static int serve_gc(void *userdata, const Stillpoint__Worker__Inspect *m, struct inspect_answer *a)
{
    (void)m;
    struct inspections *i = userdata;
    int r = i->ops->gc(i->engine, &a->body.before_bytes, &a->body.after_bytes);
    a->body.has_before_bytes = a->body.has_after_bytes = true;
    return r;
}

/* ---- census */

static const char other[] = "(other)";

/* Two texts and two numbers of a row, with their tags. */
#define CLASS_BYTES (LIMIT_INSPECT_TEXT_BYTES + 3 + 32)
_Static_assert(LIMIT_INSPECT_CLASSES *CLASS_BYTES + 64 <= LIMIT_INSPECT_BYTES, "a census fits");

/* Rows as they come from the engine; there may be many more than are sent. */
struct census {
    int error; /* negative errno: a row was lost */
    struct class_row {
        char *name;
        uint64_t count, bytes;
    } * rows;
    size_t n, size;
};

static void on_class(void *userdata, const struct engine_class *class)
{
    struct census *c = userdata;
    char line[LIMIT_INSPECT_TEXT_BYTES + 1];
    if (c->n == c->size) {
        size_t more = c->size ? 2 * c->size : 64;
        struct class_row *grown = reallocarray(c->rows, more, sizeof *grown);
        if (!grown) {
            c->error = -ENOMEM;
            return;
        }
        c->rows = grown;
        c->size = more;
    }
    if (!one_line(class->name, line, sizeof line)[0])
        strcpy(line, "(no name)"); /* the daemon takes none that is empty */
    char *name = strdup(line);
    if (!name) {
        c->error = -ENOMEM;
        return;
    }
    c->rows[c->n++] = (struct class_row){name, class->count, class->bytes};
    /* cppcheck-suppress memleak ; the row owns it */
}

static void census_done(struct census *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->rows[i].name);
    free(c->rows);
}

/* Most bytes first; equal ones by name, so that two answers compare. */
static bool comes_before(const struct class_row *x, const struct class_row *y)
{
    return x->bytes != y->bytes ? x->bytes > y->bytes : strcmp(x->name, y->name) < 0;
}

/* Lets the element at `at` sink into the heap of n, whose root is the one that comes last. */
static void sink(struct class_row *c, size_t at, size_t n)
{
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && comes_before(&c[child], &c[child + 1]))
            child++;
        if (!comes_before(&c[at], &c[child]))
            return;
        struct class_row moved = c[at];
        c[at] = c[child];
        c[child] = moved;
    }
}

/* A heap sort: qsort() of the C library asks the kernel how much memory there is, and that is a
 * system call which a worker has not. */
static void sort_classes(struct class_row *c, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        sink(c, i, n);
    while (n-- > 1) {
        struct class_row last = c[0];
        c[0] = c[n];
        c[n] = last;
        sink(c, 0, n);
    }
}

static void put_class(struct inspect_answer *a, const char *name, uint64_t count, uint64_t bytes)
{
    Stillpoint__Worker__ClassCount *m = shown_array(&a->shown, 1, sizeof *m);
    char *line = shown_line(&a->shown, name, LIMIT_INSPECT_TEXT_BYTES);
    if (!m || !line)
        return;
    stillpoint__worker__class_count__init(m);
    m->class_name = line;
    m->has_count = m->has_bytes = true;
    m->count = count;
    m->bytes = bytes;
    a->body.classes[a->body.n_classes++] = m;
}

/* The largest classes, and the others in one row. */
static void put_classes(struct inspect_answer *a, struct census *c)
{
    bool all = c->n <= LIMIT_INSPECT_CLASSES;
    size_t n = all ? c->n : LIMIT_INSPECT_CLASSES - 1;
    uint64_t count = 0, bytes = 0;
    sort_classes(c->rows, c->n);
    for (size_t i = 0; i < n; i++)
        put_class(a, c->rows[i].name, c->rows[i].count, c->rows[i].bytes);
    for (size_t i = n; i < c->n; i++) {
        count += c->rows[i].count;
        bytes += c->rows[i].bytes;
    }
    if (!all)
        put_class(a, other, count, bytes);
    a->body.has_truncated = true;
    a->body.truncated = !all;
}

static int serve_census(void *userdata, const Stillpoint__Worker__Inspect *m,
                        struct inspect_answer *a)
{
    (void)m;
    struct inspections *i = userdata;
    struct census c = {0};
    a->body.classes = shown_array(&a->shown, LIMIT_INSPECT_CLASSES, sizeof *a->body.classes);
    int r = i->ops->census(i->engine, on_class, &c);
    if (r == 0)
        r = a->body.classes ? c.error : -ENOMEM;
    if (r == 0)
        put_classes(a, &c);
    census_done(&c);
    return r;
}

/* ---- stack */

static void on_frame(void *userdata, const struct engine_frame *frame)
{
    struct inspect_answer *a = userdata;
    Stillpoint__Worker__Frame *m =
        a->body.n_frames < LIMIT_INSPECT_FRAMES ? shown_frame(&a->shown, frame) : NULL;
    if (m)
        a->body.frames[a->body.n_frames++] = m;
}

static int serve_stack(void *userdata, const Stillpoint__Worker__Inspect *m,
                       struct inspect_answer *a)
{
    (void)m;
    struct inspections *i = userdata;
    bool truncated = false;
    a->body.frames = shown_array(&a->shown, LIMIT_INSPECT_FRAMES, sizeof *a->body.frames);
    if (!a->body.frames)
        return -ENOMEM;
    int r = i->ops->stack(i->engine, LIMIT_INSPECT_FRAMES, on_frame, a, &truncated);
    a->body.has_truncated = true;
    a->body.truncated = truncated || a->shown.full;
    return r;
}

/* ---- nothing */

static int serve_park(void *userdata, const Stillpoint__Worker__Inspect *m,
                      struct inspect_answer *a)
{
    (void)userdata, (void)m, (void)a;
    return 0;
}

/* ---- answers */

static int send_inspected(struct inspections *i, Stillpoint__Worker__Inspected *m, uint64_t request,
                          const void *beside, size_t len)
{
    m->has_request = true;
    m->request = request;
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_INSPECTED;
    fact.inspected = m;
    return daemon_channel_send_beside(i->channel, &fact, beside, len);
}

static enum inspect_refusal refusal_of(int r)
{
    static const struct {
        int error;
        enum inspect_refusal refusal;
    } rows[] = {
        {ENOENT, INSPECT_NOT_FOUND},    {EINVAL, INSPECT_INVALID},
        {ERANGE, INSPECT_INVALID},      {EOPNOTSUPP, INSPECT_UNSUPPORTED},
        {EEXIST, INSPECT_WRONG_STATE},  {EPERM, INSPECT_WRONG_STATE},
        {ECANCELED, INSPECT_CANCELLED}, {ESHUTDOWN, INSPECT_CANCELLED},
        {E2BIG, INSPECT_LIMIT},         {ENOBUFS, INSPECT_LIMIT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].error == -r)
            return rows[i].refusal;
    return INSPECT_FAILED;
}

/* `r` is why, for programs. The answer, if there is one, says which hooks could not be set. */
static int send_error(struct inspections *i, uint64_t request, int r, const char *why,
                      const struct inspect_answer *a)
{
    char line[LIMIT_DETAIL_BYTES + 1];
    Stillpoint__Worker__Inspected m = STILLPOINT__WORKER__INSPECTED__INIT;
    Stillpoint__Worker__InspectedBody body = STILLPOINT__WORKER__INSPECTED_BODY__INIT;
    m.error = one_line(why ? why : strerror(-r), line, sizeof line);
    m.has_refusal = true;
    m.refusal = refusal_of(r);
    if (a && a->body.n_failed_hooks > 0) {
        body.n_failed_hooks = a->body.n_failed_hooks;
        body.failed_hooks = a->body.failed_hooks;
        m.body = &body;
    }
    return send_inspected(i, &m, request, NULL, 0);
}

static int send_body(struct inspections *i, uint64_t request,
                     Stillpoint__Worker__InspectedBody *body)
{
    Stillpoint__Worker__Inspected m = STILLPOINT__WORKER__INSPECTED__INIT;
    size_t len = stillpoint__worker__inspected_body__get_packed_size(body);
    if (len <= BODY_INLINE_BYTES) {
        m.body = body;
        return send_inspected(i, &m, request, NULL, 0);
    }
    _cleanup_free_ uint8_t *packed = malloc(len);
    if (!packed)
        return send_error(i, request, -ENOMEM, NULL, NULL);
    stillpoint__worker__inspected_body__pack(body, packed);
    m.has_in_memfd = m.in_memfd = true;
    return send_inspected(i, &m, request, packed, len);
}

static int serve_one(struct inspections *i, const Stillpoint__Worker__Inspect *m)
{
    struct inspect_answer a = {.body = STILLPOINT__WORKER__INSPECTED_BODY__INIT};
    const struct inspect_server *s = m->kind < INSPECT_KINDS ? &i->servers[m->kind] : NULL;
    if (!s || !s->serve)
        return send_error(i, m->request, -EOPNOTSUPP,
                          "this worker cannot answer that kind of request", NULL);
    shown_init(&a.shown, LIMIT_INSPECT_BYTES - BODY_OWN_BYTES);
    int r = s->serve(s->userdata, m, &a);
    if (r == 0)
        r = a.shown.error;
    if (r < 0)
        r = send_error(i, m->request, r, a.why, &a);
    else
        r = send_body(i, m->request, &a.body);
    shown_done(&a.shown);
    return r;
}

/* ---- the queue */

void inspections_init(struct inspections *i, const struct engine_ops *ops, struct engine *engine,
                      struct daemon_channel *channel, struct safepoint *safepoint)
{
    *i = (struct inspections){
        .ops = ops, .engine = engine, .channel = channel, .safepoint = safepoint};
    inspections_on(i, INSPECT_GC, serve_gc, i);
    inspections_on(i, INSPECT_CENSUS, serve_census, i);
    inspections_on(i, INSPECT_STACK, serve_stack, i);
    inspections_on(i, INSPECT_PARK, serve_park, i);
}

void inspections_on(struct inspections *i, enum inspect_kind kind, inspect_serve *serve,
                    void *userdata)
{
    i->servers[kind] = (struct inspect_server){serve, userdata};
}

static Stillpoint__Worker__Inspect *copy_of(const Stillpoint__Worker__Inspect *m)
{
    size_t len = stillpoint__worker__inspect__get_packed_size(m);
    _cleanup_free_ uint8_t *packed = malloc(len + 1);
    if (!packed)
        return NULL;
    stillpoint__worker__inspect__pack(m, packed);
    return stillpoint__worker__inspect__unpack(NULL, len, packed);
}

int inspections_push(struct inspections *i, const Stillpoint__Worker__Inspect *m)
{
    if (m->kind == INSPECT_SET_HOOKS && i->safepoint->state == SHM_STARTING)
        return serve_one(i, m);
    if (i->n == LIMIT_INSPECTS_QUEUED)
        return send_error(i, m->request, -ENOBUFS, "too many requests wait in this VM", NULL);
    Stillpoint__Worker__Inspect *copy = copy_of(m);
    if (!copy)
        return send_error(i, m->request, -ENOMEM, NULL, NULL);
    i->waiting[i->n++] = copy;
    return 0;
}

static Stillpoint__Worker__Inspect *take_first(struct inspections *i)
{
    Stillpoint__Worker__Inspect *first = i->waiting[0];
    i->n--;
    memmove(i->waiting, i->waiting + 1, i->n * sizeof *i->waiting);
    return first;
}

int inspections_serve(struct inspections *i)
{
    int r = 0;
    while (r == 0 && i->n > 0) {
        Stillpoint__Worker__Inspect *m = take_first(i);
        r = serve_one(i, m);
        stillpoint__worker__inspect__free_unpacked(m, NULL);
    }
    return r;
}

int inspections_refuse(struct inspections *i, const char *why)
{
    int r = 0;
    while (r == 0 && i->n > 0) {
        Stillpoint__Worker__Inspect *m = take_first(i);
        r = send_error(i, m->request, -ESHUTDOWN, why, NULL);
        stillpoint__worker__inspect__free_unpacked(m, NULL);
    }
    return r;
}
