/*
 * pause.h: what becomes of a pause that a VM has made by itself: who wants it, of those whose hooks
 * and steps it names, and what they take for it: the stop of the world that they have, a stop of
 * their own, or a hold of that VM. Where nobody may, it is answered at once, so that no VM stands
 * for somebody who could not let it go on.
 *
 * Process and thread: the daemon's only thread. It owns nothing but its wiring: the pause itself is
 * the worker's (worker_pause.h), and how long it lasts is the world's.
 *
 * Who may: the debugger lives, and somebody has it open, or its policy is hold; and for what stops
 * a world, the lease is its own, or nobody's. Of several that want the lease, the first in the
 * order of their hooks gets it.
 */
#pragma once

#include <stdint.h>

#include "proto/worker.pb-c.h"

struct debuggers;
struct event_bus;
struct pauses;
struct worker;
struct worlds;

/** The numbers of Suspend in api.proto. */
enum pause_suspend { PAUSE_SUSPEND_NONE = 1, PAUSE_SUSPEND_VM, PAUSE_SUSPEND_WORLD };

/** A hook that is in a VM, as far as a pause is concerned. */
struct pause_hook {
    uint64_t debugger; /**< 0: it is being removed, and wants nothing any more */
    enum pause_suspend suspend;
};

/** Says of a hook that the pause names what became of it: "world", "vm"; or why it does not pause:
 * "not-controller", "held" (too many hold that VM). */
typedef const char *pause_verdict_function(void *userdata, uint64_t hook);

struct pauses_events {
    /** -ENOENT: that VM has no such hook. NULL: there are no hooks. */
    int (*find_hook)(void *userdata, uint64_t vm, uint64_t hook, struct pause_hook *ret);
    /** Once for each pause, before anything is done about it. NULL: nobody wants to know. */
    void (*on_decided)(void *userdata, struct worker *w, uint64_t pause,
                       pause_verdict_function *verdict, void *verdict_userdata);
    void *userdata;
};

struct pauses *pauses_new(struct worlds *worlds, struct debuggers *debuggers,
                          struct event_bus *bus);
struct pauses *pauses_free(struct pauses *p);
void pauses_set_events(struct pauses *p, const struct pauses_events *events);

/** A VM says that it pauses. NULL, or why that is a violation. */
const char *pauses_on_paused(struct pauses *p, struct worker *w,
                             const Stillpoint__Worker__Paused *said);
/** Of a VM that was taken over: what the daemon before had not come to any more, for the pause that
 *  is open. Before its world goes on. */
void pauses_adopted(struct pauses *p, struct worker *w);
