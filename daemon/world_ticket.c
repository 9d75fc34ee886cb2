#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <time.h>

#include "base/urgent.h"
#include "daemon/event_bus.h"
#include "daemon/record.h"
#include "daemon/worker.h"
#include "daemon/world_private.h"

static uint64_t realtime_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static void publish_lease(struct world *w, const struct ticket *t, const char *why)
{
    struct event e = {.kind = EVENT_LEASE_CHANGED,
                      .world = w->name,
                      .epoch = w->stop.epoch,
                      .ticket = t->id,
                      .uid = t->request.uid,
                      .name = t->request.debugger_name,
                      .detail = why};
    event_bus_publish(w->all->bus, &e);
}

_urgent_ void world_count_ticket(struct world *w, uint64_t debugger, int change)
{
    if (w->all->events.on_ticket)
        w->all->events.on_ticket(w->all->events.userdata, debugger, change);
}

/* The end of a ticket that was accepted, wherever it is: each passes here once. */
void world_end_ticket(struct world *w, struct ticket *t, enum ticket_outcome outcome)
{
    uint64_t debugger = t->request.debugger;
    struct worker *paused = world_paused_for(w, t);
    if (w->control == t)
        w->control = NULL;
    if (w->operation == t)
        w->operation = NULL;
    world_publish(w, EVENT_TICKET_ENDED, t, NULL, ticket_outcome_name(outcome));
    ticket_free(t, outcome);
    world_settle_pause(w, paused);
    world_count_ticket(w, debugger, -1);
}

void world_end_control(struct world *w, enum ticket_outcome outcome, const char *why)
{
    struct ticket *t = w->control;
    world_end_run_one(w, outcome == TICKET_SERVED ? "resumed" : "stopped");
    event_del(w->expiry);
    publish_lease(w, t, why);
    world_end_shown_pauses(w);
    world_end_ticket(w, t, outcome);
}

/* Whether the world may be stopped, or stay stopped, for this ticket now: the lease is free, or its
 * holder's, or does not mind. Of several that want the lease the first in the queue will get it. */
_urgent_ bool world_can_serve(const struct world *w, const struct ticket *t)
{
    bool same = w->control && w->control->request.debugger == t->request.debugger;
    bool run_one = w->run.one || t->in_run_one;
    if (t->request.operation)
        return !w->control || same || run_one || t->request.inside;
    /* A pause that is not the runner's is not about this stop, but about the next. */
    if (w->control && !(same && run_one && t->request.pause == 0))
        return false;
    const struct ticket *ahead;
    TAILQ_FOREACH(ahead, &w->pending.list, link)
    {
        /* See take_over_for_pause(). */
        bool followed = ahead->request.pause != 0 && t->request.pause == 0 &&
                        ahead->request.debugger == t->request.debugger;
        if (ahead == t || !(ahead->request.operation || followed))
            return ahead == t;
    }
    return true;
}

_urgent_ struct ticket *world_first_servable(const struct world *w)
{
    struct ticket *t;
    TAILQ_FOREACH(t, &w->pending.list, link)
    if (world_can_serve(w, t))
        return t;
    return NULL;
}

/* What the world is stopped for, or being stopped for: whose wishes hold. A stopped world without
 * any other ticket stays so for the next one, whose VMs have not all come to where it wants them.
 */
struct ticket *world_in_service(const struct world *w)
{
    if (w->operation)
        return w->operation;
    bool next = w->mode == WORLD_STOPPING || (w->mode == WORLD_STOPPED && !w->control);
    struct ticket *t = next ? world_first_servable(w) : NULL;
    return t ? t : w->control;
}

/* Those that cannot be served, or not any more, begin to wait; who would not wait ends. */
_urgent_ void world_sort_out_waiting(struct world *w)
{
    struct ticket *t, *next;
    for (t = TAILQ_FIRST(&w->pending.list); t; t = next) {
        next = TAILQ_NEXT(t, link);
        if (world_can_serve(w, t))
            continue;
        ticket_restart(t);
        if (t->request.wait_us == 0 || ticket_start_wait(t) < 0)
            world_end_ticket(w, t, TICKET_TIMED_OUT);
    }
}

void world_on_wait_over(void *userdata, struct ticket *t)
{
    struct world *w = userdata;
    world_end_ticket(w, t, TICKET_TIMED_OUT);
    world_advance(w);
    world_drop_if_unused(w);
}

/* Its VM has paused while its debugger was about to stop the world anyway, and what pauses is the
 * more urgent: the stop that was asked for may follow, and take the lease over from it. */
static void take_over_for_pause(struct world *w, const struct ticket *t, struct worker *paused)
{
    paused->pause.in_stop = true;
    paused->pause.stopper = 0;
    struct ticket *other;
    TAILQ_FOREACH(other, &w->pending.list, link)
    if (!other->request.operation && other->request.pause == 0 &&
        other->request.debugger == t->request.debugger)
        other->in_run_one = true;
}

void world_take_lease(struct world *w, struct ticket *t)
{
    struct ticket *before = w->control;
    w->control = t;
    w->expires_mono_us = shm_now_ns() / 1000u + t->request.hold_us;
    world_arm(w->expiry, t->request.hold_us);
    if (before) {
        /* The controller stops its own run-one by a new ticket. */
        world_end_run_one(w, "stopped");
        world_end_ticket(w, before, TICKET_SERVED);
    } else {
        publish_lease(w, t, "taken");
    }
    struct worker *paused = world_paused_for(w, t);
    if (paused)
        take_over_for_pause(w, t, paused);
    world_move_target(w, world_choose_target(w, t));
}

/* The lease of a controller that holds the world and is not heard of again. */
void world_on_expiry(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct world *w = userdata;
    if (!w->control)
        return;
    record_write(LOG_NOTICE, MESSAGE_HOLD_EXPIRED, RECORD_WORLD(w->name),
                 "world %s: the hold of ticket %llu has run out; resuming", w->name,
                 (unsigned long long)w->control->id);
    world_end_control(w, TICKET_SERVED, "expired");
    world_advance(w);
    world_drop_if_unused(w);
}

struct ticket *world_ticket_to_resume(const struct world *w)
{
    return w->control ? w->control : world_in_service(w);
}

const struct ticket *world_resumes(const struct world *w)
{
    return world_ticket_to_resume(w);
}

void world_cancel_controls(struct world *w, uint64_t debugger)
{
    struct ticket *t, *next;
    for (t = TAILQ_FIRST(&w->pending.list); t; t = next) {
        next = TAILQ_NEXT(t, link);
        if (t->in_run_one && !t->request.operation && t->request.debugger == debugger)
            world_end_ticket(w, t, TICKET_CANCELLED);
    }
}

void world_forget(struct world *w, const void *userdata)
{
    struct ticket *t, *next;
    for (t = TAILQ_FIRST(&w->pending.list); t; t = next) {
        next = TAILQ_NEXT(t, link);
        if (t->request.userdata != userdata)
            continue;
        ticket_forget_caller(t);
        world_end_ticket(w, t, TICKET_CANCELLED);
    }
    if (w->operation && w->operation->request.userdata == userdata) {
        ticket_forget_caller(w->operation);
        world_end_ticket(w, w->operation, TICKET_CANCELLED);
    }
    if (w->run.userdata == userdata)
        w->run.on_ended = NULL;
    world_advance(w);
}

void world_end_debugger(struct world *w, uint64_t debugger)
{
    struct ticket *t, *next;
    for (t = TAILQ_FIRST(&w->pending.list); t; t = next) {
        next = TAILQ_NEXT(t, link);
        if (t->request.debugger == debugger)
            world_end_ticket(w, t, TICKET_CANCELLED);
    }
    if (w->control && w->control->request.debugger == debugger)
        world_end_control(w, TICKET_SERVED, "ended");
    if (w->operation && w->operation->request.debugger == debugger)
        world_end_ticket(w, w->operation, TICKET_CANCELLED);
    world_advance(w);
    world_drop_if_unused(w);
}

int world_move_lease(struct world *w, uint64_t debugger, const char *name, uid_t uid, bool admin,
                     bool hold_policy, uint64_t hold_us, const char *why)
{
    struct ticket *t = w->control;
    if (!t)
        return -EALREADY;
    world_count_ticket(w, debugger, 1);
    uint64_t before = t->request.debugger;
    t->request.debugger = debugger;
    t->request.uid = uid;
    t->request.admin = admin;
    t->request.hold_policy = hold_policy;
    t->request.hold_us = hold_us;
    snprintf(t->request.debugger_name, sizeof t->request.debugger_name, "%s", name);
    w->expires_mono_us = shm_now_ns() / 1000u + hold_us;
    world_arm(w->expiry, hold_us);
    publish_lease(w, t, why);
    world_count_ticket(w, before, -1);
    world_advance(w);
    return 0;
}

const struct ticket *world_ticket(const struct world *w)
{
    return world_in_service(w);
}

const struct ticket *world_control(const struct world *w)
{
    return w->control;
}

const struct ticket *world_queued(const struct world *w, size_t i)
{
    const struct ticket *t, *served = world_in_service(w);
    TAILQ_FOREACH(t, &w->pending.list, link)
    if (t != served && i-- == 0)
        return t;
    return NULL;
}

uint64_t world_expires_us(const struct world *w)
{
    /* The time of day may have been set since it was granted. */
    uint64_t now_us = shm_now_ns() / 1000u;
    return realtime_us() + (w->expires_mono_us > now_us ? w->expires_mono_us - now_us : 0);
}

bool world_is_enforced(const struct world *w)
{
    return (w->operation && w->operation->request.enforce) ||
           (w->control && w->control->request.enforce);
}
