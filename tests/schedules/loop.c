#include "tests/schedules/loop.h"

#include <event2/event.h>
#include <stdint.h>
#include <stdlib.h>

#include "tests/schedules/cast.h"

#define TIMERS 32
#define LATE_NS 5000000u
/* Nobody but the scan timer comes back by itself, and that only while somebody is missing. */
#define MAX_FIRED 400

struct event {
    event_callback_fn callback;
    void *userdata;
    bool used, armed, due, persists;
    uint64_t at_ns, period_ns;
};

static struct event timers[TIMERS];
static bool may_be_late;
static unsigned n_timers, n_fired;

static bool is_late(const struct event *e)
{
    return e->period_ns >= LATE_NS;
}

static void look_which_can_fire(void)
{
    bool soon = false, late = false;
    for (unsigned i = 0; i < n_timers; i++)
        if (timers[i].used && timers[i].armed && !timers[i].due)
            *(is_late(&timers[i]) ? &late : &soon) = true;
    sim_sleep(EVENT_LOOP_TIMER);
    sim_sleep(EVENT_LOOP_TIMER + 1);
    if (soon)
        sim_wake(EVENT_LOOP_TIMER);
    if (late && may_be_late && n_fired < MAX_FIRED)
        sim_wake(EVENT_LOOP_TIMER + 1);
}

/* The first of its sort. */
static void fire(void *userdata)
{
    bool late = userdata != NULL;
    struct event *first = NULL;
    for (unsigned i = 0; i < n_timers; i++) {
        struct event *e = &timers[i];
        if (e->used && e->armed && !e->due && is_late(e) == late &&
            (!first || e->at_ns < first->at_ns))
            first = e;
    }
    if (!first)
        return;
    sim_advance_to(first->at_ns);
    first->due = true;
    n_fired++;
    sim_wake(ACTOR_DAEMON);
    look_which_can_fire();
}

void loop_begin(bool late)
{
    n_timers = 0;
    may_be_late = late;
    n_fired = 0;
    sim_event(EVENT_LOOP_TIMER, "timer of the daemon", fire, NULL);
    sim_event(EVENT_LOOP_TIMER + 1, "late timer of the daemon", fire, timers);
    if (!cast.scenario->has_delays)
        sim_is_late(EVENT_LOOP_TIMER + 1);
}

bool loop_is_due(void)
{
    for (unsigned i = 0; i < n_timers; i++)
        if (timers[i].used && timers[i].due)
            return true;
    return false;
}

void loop_run_due(void)
{
    for (unsigned i = 0; i < n_timers; i++) {
        struct event *e = &timers[i];
        if (!e->used || !e->due)
            continue;
        e->due = false;
        e->armed = e->persists;
        e->at_ns = sim_now_ns() + e->period_ns;
        look_which_can_fire();
        e->callback(-1, EV_TIMEOUT, e->userdata);
    }
}

struct event *event_new(struct event_base *base, evutil_socket_t fd, short what,
                        event_callback_fn callback, void *userdata)
{
    (void)base;
    for (unsigned i = 0; i < TIMERS && fd < 0; i++)
        if (i == n_timers || !timers[i].used) {
            n_timers += i == n_timers;
            timers[i] = (struct event){.callback = callback,
                                       .userdata = userdata,
                                       .used = true,
                                       .persists = (what & EV_PERSIST) != 0};
            return &timers[i];
        }
    return NULL;
}

void event_free(struct event *e)
{
    e->used = e->armed = e->due = false;
    look_which_can_fire();
}

int event_add(struct event *e, const struct timeval *t)
{
    e->period_ns = (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_usec * 1000u;
    e->at_ns = sim_now_ns() + e->period_ns;
    e->armed = true;
    e->due = false;
    look_which_can_fire();
    return 0;
}

int event_del(struct event *e)
{
    e->armed = e->due = false;
    look_which_can_fire();
    return 0;
}

int event_pending(const struct event *e, short what, struct timeval *t)
{
    (void)t;
    return e->armed ? what & EV_TIMEOUT : 0;
}
