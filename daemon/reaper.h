/*
 * reaper.h: children of the daemon that nobody told it of. A zygote that dies, or cannot answer,
 * between the birth of a worker and its word of it leaves one behind: it ends by itself when its
 * channel does, and here it is reaped. It owns nothing but its events.
 *
 * Process and thread: the daemon's only thread; never waits.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct event_base;
struct reaper;

struct reaper_events {
    /** Somebody else reaps this process. */
    bool (*is_known)(void *userdata, pid_t pid);
    /** Nobody is about to be told of a child. */
    bool (*is_quiet)(void *userdata);
};

struct reaper *reaper_new(struct event_base *base, const struct reaper_events *events,
                          void *userdata);
/** Takes NULL; returns NULL. */
struct reaper *reaper_free(struct reaper *r);
