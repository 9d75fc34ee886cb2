/*
 * look_queue.h: looks at VMs that can wait a little, such as those at their memory: one in each
 * turn of the event loop, first come, first served. Timers of many VMs that are due at once, which
 * they are after anything that held the loop up, would otherwise make a client's request wait for
 * all of them. Nothing starves: a queue that is not empty gets its turn beside all else.
 *
 * Process and thread: the daemon's only thread.
 */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

struct event_base;
struct look_queue;

/** Embedded in what looks; zeroed is not queued. */
struct look_turn {
    /** It is out of the queue, and may be queued again. */
    void (*on_turn)(void *userdata);
    void *userdata;
    bool is_queued;
    TAILQ_ENTRY(look_turn) link;
};

/** NULL without memory. */
struct look_queue *look_queue_new(struct event_base *base);
/** Nobody may be in it any more. */
struct look_queue *look_queue_free(struct look_queue *q);

/** Its turn comes; one that is queued stays where it is. */
void look_queue_add(struct look_queue *q, struct look_turn *look);
/** No turn comes; nothing if it is not queued. */
void look_queue_drop(struct look_queue *q, struct look_turn *look);
