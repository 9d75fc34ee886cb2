/*
 * timers.h: the timers of one VM on its world clock: a heap by deadline, equal deadlines in the
 * order in which they were armed, and a table by id. Owns its timers. VM thread.
 *
 * A timer that was taken as due stays known, unarmed, until timers_fired(): so that a repeating one
 * can be cancelled from inside its own callback, and is armed again only after it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer;

struct timers {
    struct timer **heap;
    size_t n_heap, size_heap;
    struct timer **buckets;
    size_t n_buckets; /**< a power of two, or 0 */
    size_t n_known;
    uint64_t armed; /**< number of armings so far; each timer carries that of its last one */
};

/** Zeroes are an empty set. */
void timers_done(struct timers *t);

/** period_ns 0: fires once. -EEXIST for an id in use, -E2BIG beyond LIMIT_TIMERS, -ENOMEM. */
int timers_start(struct timers *t, uint64_t id, uint64_t deadline_ns, uint64_t period_ns);
/** Unknown ids are ignored. */
void timers_cancel(struct timers *t, uint64_t id);
/** The earliest deadline, UINT64_MAX if there is none. */
uint64_t timers_next_ns(const struct timers *t);
/** Takes the earliest timer that is due at now_ns and was armed not later than `armed`. */
bool timers_take_due(struct timers *t, uint64_t now_ns, uint64_t armed, uint64_t *ret_id);
/** After the callback of a timer that was taken: arms it again from now_ns on, or forgets it. */
void timers_fired(struct timers *t, uint64_t id, uint64_t now_ns);
