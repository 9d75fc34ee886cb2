/*
 * timers.h: the time of a deadline without the waiting, for tests that have the daemon's objects on
 * a loop of their own.
 */
#pragma once

#include "tests/support/unit.h"

#include <event2/event.h>
#include <sys/time.h>

struct timers_found {
    const void *userdata;
    const struct event *next;
    struct timeval at;
};

static inline int timers_find(const struct event_base *base, const struct event *e, void *userdata)
{
    (void)base;
    struct timers_found *t = userdata;
    struct timeval at;
    if (event_get_callback_arg(e) == t->userdata && event_pending(e, EV_TIMEOUT, &at) &&
        (!t->next || timercmp(&at, &t->at, <)))
        *t = (struct timers_found){t->userdata, e, at};
    return 0;
}

/** Of the timers that are set and have this argument, the next one is due. */
static inline void timers_come_to(struct event_base *base, const void *userdata)
{
    struct timers_found t = {.userdata = userdata};
    event_base_foreach_event(base, timers_find, &t);
    assert_non_null(t.next);
    event_active((struct event *)(uintptr_t)t.next, EV_TIMEOUT, 0);
}
