#include "worker/host/timers.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/limits.h"

#define UNARMED SIZE_MAX
#define BUCKETS_MIN 16u

struct timer {
    uint64_t id, deadline_ns, period_ns, armed;
    size_t index; /* place in the heap, or UNARMED */
    struct timer *next;
};

void timers_done(struct timers *t)
{
    for (size_t i = 0; i < t->n_buckets; i++)
        while (t->buckets[i]) {
            struct timer *x = t->buckets[i];
            t->buckets[i] = x->next;
            free(x);
        }
    free(t->buckets);
    free(t->heap);
    *t = (struct timers){0};
}

/* ---- table by id */

static struct timer **bucket_of(const struct timers *t, uint64_t id)
{
    /* Fibonacci hashing: ids mostly count up, but an engine may choose them as it likes. */
    return &t->buckets[(id * 0x9e3779b97f4a7c15u >> 32) & (t->n_buckets - 1)];
}

static struct timer **find(const struct timers *t, uint64_t id)
{
    if (t->n_buckets == 0)
        return NULL;
    for (struct timer **at = bucket_of(t, id); *at; at = &(*at)->next)
        if ((*at)->id == id)
            return at;
    return NULL;
}

static int grow_table(struct timers *t)
{
    if (t->n_known < t->n_buckets)
        return 0;
    struct timers bigger = *t;
    bigger.n_buckets = t->n_buckets ? 2 * t->n_buckets : BUCKETS_MIN;
    bigger.buckets = calloc(bigger.n_buckets, sizeof *bigger.buckets);
    if (!bigger.buckets)
        return -ENOMEM;
    for (size_t i = 0; i < t->n_buckets; i++)
        for (struct timer *x = t->buckets[i], *next; x; x = next) {
            struct timer **to = bucket_of(&bigger, x->id);
            next = x->next;
            x->next = *to;
            *to = x;
        }
    free(t->buckets);
    *t = bigger;
    return 0;
}

/* ---- heap by (deadline, arming) */

static bool before(const struct timer *a, const struct timer *b)
{
    return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns : a->armed < b->armed;
}

static void put(struct timers *t, size_t index, struct timer *x)
{
    t->heap[index] = x;
    x->index = index;
}

static void sift_up(struct timers *t, size_t i, struct timer *x)
{
    while (i > 0 && before(x, t->heap[(i - 1) / 2])) {
        put(t, i, t->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(t, i, x);
}

static void sift_down(struct timers *t, size_t i, struct timer *x)
{
    for (size_t child; (child = 2 * i + 1) < t->n_heap; i = child) {
        if (child + 1 < t->n_heap && before(t->heap[child + 1], t->heap[child]))
            child++;
        if (!before(t->heap[child], x))
            break;
        put(t, i, t->heap[child]);
    }
    put(t, i, x);
}

static int grow_heap(struct timers *t)
{
    /* For all known timers, so that arming one again cannot fail. */
    if (t->n_known < t->size_heap)
        return 0;
    size_t size = t->size_heap ? 2 * t->size_heap : BUCKETS_MIN;
    struct timer **heap = reallocarray(t->heap, size, sizeof *heap);
    if (!heap)
        return -ENOMEM;
    t->heap = heap;
    t->size_heap = size;
    return 0;
}

static void arm(struct timers *t, struct timer *x, uint64_t deadline_ns)
{
    x->deadline_ns = deadline_ns;
    x->armed = ++t->armed;
    sift_up(t, t->n_heap++, x);
}

static void disarm(struct timers *t, struct timer *x)
{
    size_t i = x->index;
    x->index = UNARMED;
    struct timer *last = t->heap[--t->n_heap];
    if (last == x)
        return;
    if (i > 0 && before(last, t->heap[(i - 1) / 2]))
        sift_up(t, i, last);
    else
        sift_down(t, i, last);
}

/* ---- interface */

int timers_start(struct timers *t, uint64_t id, uint64_t deadline_ns, uint64_t period_ns)
{
    if (find(t, id))
        return -EEXIST;
    if (t->n_known >= LIMIT_TIMERS)
        return -E2BIG;
    if (grow_table(t) < 0 || grow_heap(t) < 0)
        return -ENOMEM;
    struct timer *x = malloc(sizeof *x);
    if (!x)
        return -ENOMEM;
    struct timer **bucket = bucket_of(t, id);
    *x = (struct timer){.id = id, .period_ns = period_ns, .next = *bucket};
    *bucket = x;
    t->n_known++;
    arm(t, x, deadline_ns);
    return 0;
}

static void forget(struct timers *t, struct timer **at)
{
    struct timer *x = *at;
    *at = x->next;
    t->n_known--;
    if (x->index != UNARMED)
        disarm(t, x);
    free(x);
}

void timers_cancel(struct timers *t, uint64_t id)
{
    struct timer **at = find(t, id);
    if (at)
        forget(t, at);
}

uint64_t timers_next_ns(const struct timers *t)
{
    return t->n_heap > 0 ? t->heap[0]->deadline_ns : UINT64_MAX;
}

bool timers_take_due(struct timers *t, uint64_t now_ns, uint64_t armed, uint64_t *ret_id)
{
    if (t->n_heap == 0)
        return false;
    struct timer *x = t->heap[0];
    if (x->deadline_ns > now_ns || x->armed > armed)
        return false;
    disarm(t, x);
    *ret_id = x->id;
    return true;
}

void timers_fired(struct timers *t, uint64_t id, uint64_t now_ns)
{
    struct timer **at = find(t, id);
    if (!at || (*at)->index != UNARMED)
        return; /* cancelled by its callback, which may have used the id again */
    if ((*at)->period_ns == 0)
        forget(t, at);
    else
        arm(t, *at, now_ns + (*at)->period_ns);
}
