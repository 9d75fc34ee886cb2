/*
 * strays.h: children of the daemon that nobody knows. A zygote clones workers as children of the
 * daemon, and may die after that and before it has said so; or it said so, and there was no
 * descriptor for the pidfd. Such a worker finds its channel closed and ends, or is killed here;
 * either way only its parent can reap it. It owns the list of those that are dying. It works
 * without a descriptor to spare.
 *
 * Process and thread: the daemon's only thread; never waits.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct event_base;
struct strays;

struct strays_events {
    /** Whether somebody else reaps this child. */
    bool (*is_known)(void *userdata, pid_t pid);
    /** No birth is under way: whoever is not known never will be. */
    bool (*is_quiet)(void *userdata);
    void *userdata;
};

/** NULL without memory. */
struct strays *strays_new(struct event_base *base, const struct strays_events *events);
struct strays *strays_free(struct strays *s);

/** Kills all children that nobody knows, as soon as no birth is under way whose child may be among
 * them, and reaps them when they have died. */
void strays_end(struct strays *s);
