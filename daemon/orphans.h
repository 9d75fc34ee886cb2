/*
 * orphans.h: worker processes that are ours to reap and that nobody here knows: of a zygote that
 * died, or could not answer, between a birth and its answer. They end by themselves, since the
 * other end of their channel is closed; this takes what is left of them.
 *
 * Process and thread: the daemon's only thread. It looks only for a while after it was told that
 * there may be one.
 *
 * Invariant: a worker that somebody knows is left to whom it belongs, dead or not.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct event_base;
struct orphans;

/** is_known() is asked about each dead child. NULL without memory. */
struct orphans *orphans_new(struct event_base *base, bool (*is_known)(void *userdata, pid_t pid),
                            void *userdata);
struct orphans *orphans_free(struct orphans *o);

/** There may be some, now or soon. */
void orphans_look(struct orphans *o);
/** Those that were reaped, ever. */
unsigned orphans_reaped(const struct orphans *o);
