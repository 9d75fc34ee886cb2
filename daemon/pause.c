#include "daemon/pause.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/debugger.h"
#include "daemon/event_bus.h"
#include "daemon/record.h"
#include "daemon/worker.h"
#include "daemon/worker_pause.h"
#include "daemon/worlds.h"
#include "proto/unpack.h"

struct pauses {
    struct worlds *worlds;
    struct debuggers *debuggers;
    struct event_bus *bus;
    struct pauses_events events;
};

/* What is taken for one hook, or for the step. */
enum outcome {
    NOT_CONTROLLER,
    HELD_TOO_OFTEN,
    SHOWN, /* in the stop that its debugger has, or has run this VM from */
    STOPS, /* by a ticket of its own */
    HOLDS,
};

/* One pause, while it is decided. */
struct decision {
    struct pauses *p;
    struct worker *w;
    struct world *world;
    uint64_t stopper; /* debugger that stops the world for it; 0: none does */
    bool shown;
};

struct pauses *pauses_new(struct worlds *worlds, struct debuggers *debuggers, struct event_bus *bus)
{
    struct pauses *p = calloc(1, sizeof *p);
    if (p)
        *p = (struct pauses){.worlds = worlds, .debuggers = debuggers, .bus = bus};
    return p;
}

struct pauses *pauses_free(struct pauses *p)
{
    free(p);
    return NULL;
}

void pauses_set_events(struct pauses *p, const struct pauses_events *events)
{
    p->events = *events;
}

static bool can_let_go(const struct debugger *d)
{
    return d && (d->n_opens > 0 || d->hold_policy);
}

static bool has_room_for(const struct worker *w, uint64_t debugger)
{
    for (size_t i = 0; i < w->n_holds; i++)
        if (w->holds[i].debugger == debugger)
            return w->holds[i].count < LIMIT_HOLD_COUNT;
    return w->n_holds < LIMIT_HOLDS_PER_VM;
}

/* Whoever may not stop the others in that world gets no stop by a breakpoint either. */
static bool may_stop(const struct decision *d, const struct debugger *debugger)
{
    return debugger->admin || !world_foreign_member(d->world, debugger->owner);
}

static enum outcome judge(const struct decision *d, const struct pause_hook *hook, bool is_step)
{
    const struct ticket *control = world_control(d->world);
    bool own = control && control->request.debugger == hook->debugger;
    bool ran_alone = world_runner(d->world) == d->w->id;
    const struct debugger *debugger =
        hook->debugger != 0 ? debuggers_find(d->p->debuggers, hook->debugger) : NULL;
    if (!can_let_go(debugger))
        return NOT_CONTROLLER;
    if (own && ran_alone)
        return SHOWN;
    if (hook->suspend == PAUSE_SUSPEND_VM)
        return has_room_for(d->w, hook->debugger) ? HOLDS : HELD_TOO_OFTEN;
    if (hook->suspend != PAUSE_SUSPEND_WORLD || (control && !own) ||
        (d->stopper != 0 && d->stopper != hook->debugger) || !may_stop(d, debugger))
        return NOT_CONTROLLER;
    /* A step that ends in the stop that has meanwhile come for it needs no other. */
    return own && is_step ? SHOWN : STOPS;
}

static bool find_hook(const struct decision *d, uint64_t id, struct pause_hook *ret)
{
    const struct pauses_events *events = &d->p->events;
    return events->find_hook && events->find_hook(events->userdata, d->w->id, id, ret) == 0;
}

static const char *verdict(void *userdata, uint64_t hook)
{
    static const char *const names[] = {
        [NOT_CONTROLLER] = "not-controller",
        [HELD_TOO_OFTEN] = "held",
        [SHOWN] = "world",
        [STOPS] = "world",
        [HOLDS] = "vm",
    };
    struct decision *d = userdata;
    struct pause_hook h;
    return names[find_hook(d, hook, &h) ? judge(d, &h, false) : NOT_CONTROLLER];
}

/* ---- what is taken */

static void stop_for(const struct decision *d)
{
    const struct debugger *debugger = debuggers_find(d->p->debuggers, d->stopper);
    uint64_t ticket;
    struct ticket_request request = {
        .reason = TICKET_DEBUGGER,
        .uid = debugger->owner,
        .admin = debugger->admin,
        .debugger = debugger->id,
        .hold_policy = debugger->hold_policy,
        .target = d->w->id,
        .pause = d->w->pause.number,
        .dispatched_ns = shm_now_ns(),
        .deadline_us = DEFAULT_DEADLINE_US,
        .wait_us = TICKET_FOR_EVER,
        .hold_us = DEFAULT_HOLD_US,
    };
    snprintf(request.debugger_name, sizeof request.debugger_name, "%s", debugger->name);
    int r = world_stop(d->world, &request, &ticket);
    if (r < 0)
        record_write(LOG_WARNING, MESSAGE_PAUSE_WITHOUT_STOP, RECORD_VM(d->w),
                     "world %s cannot be stopped for the pause of vm %llu (%s): %s",
                     world_name(d->world), (unsigned long long)d->w->id, d->w->name, strerror(-r));
}

static void publish(const struct decision *d)
{
    const struct event e = {.kind = EVENT_VM_PAUSED,
                            .vm = d->w->id,
                            .name = d->w->name,
                            .world = d->w->world,
                            .epoch = world_epoch(d->world),
                            .uid = d->w->uid,
                            .detail = worker_pause_reason_name(d->w->pause.said->reason)};
    event_bus_publish(d->p->bus, &e);
}

/* Everybody who is to hold the VM: held before anything else is done, so that it stands from now
 * on.
 */
static void hold_for(const struct decision *d, const uint64_t *debuggers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct debugger *debugger = debuggers_find(d->p->debuggers, debuggers[i]);
        if (debugger)
            (void)world_hold_paused(d->world, d->w, debugger->id, debugger->name, debugger->owner);
    }
}

static void note(struct decision *d, enum outcome o, uint64_t debugger, uint64_t *holders,
                 size_t *n)
{
    switch (o) {
    case SHOWN:
        d->shown = true;
        break;
    case STOPS:
        d->stopper = debugger;
        break;
    case HOLDS:
        for (size_t i = 0; i < *n; i++)
            if (holders[i] == debugger)
                return;
        if (*n < LIMIT_HOLDS_PER_VM)
            holders[(*n)++] = debugger;
        break;
    case NOT_CONTROLLER:
    case HELD_TOO_OFTEN:
        break;
    }
}

static void count_holding(const struct decision *d, const uint64_t *holders, size_t n, int change)
{
    for (size_t i = 0; i < n; i++)
        debuggers_count_holding(d->p->debuggers, holders[i], change);
    if (d->stopper != 0)
        debuggers_count_holding(d->p->debuggers, d->stopper, change);
}

static void decide(struct decision *d)
{
    const Stillpoint__Worker__Paused *said = d->w->pause.said;
    const struct pauses_events *events = &d->p->events;
    uint64_t holders[LIMIT_HOLDS_PER_VM];
    size_t n_holders = 0;
    struct pause_hook h;
    for (size_t i = 0; i < said->n_hooks; i++)
        if (find_hook(d, said->hooks[i], &h))
            note(d, judge(d, &h, false), h.debugger, holders, &n_holders);
    struct worker_step *step = &d->w->step;
    if (said->step != 0 && said->step == step->number) {
        h = (struct pause_hook){step->debugger,
                                step->of_vm ? PAUSE_SUSPEND_VM : PAUSE_SUSPEND_WORLD};
        note(d, judge(d, &h, true), h.debugger, holders, &n_holders);
        *step = (struct worker_step){0}; /* it is over */
    }
    /* Nobody else may keep them: a hook that has used up its count does not. */
    count_holding(d, holders, n_holders, 1);
    if (events->on_decided)
        events->on_decided(events->userdata, d->w, said->pause, verdict, d);
    /* With that it is put down: should we end in the middle, another daemon does the rest. */
    d->w->pause.stopper = d->shown ? 0 : d->stopper;
    memcpy(d->w->pause.holders, holders, n_holders * sizeof holders[0]);
    d->w->pause.n_holders = n_holders;
    if (d->shown || d->stopper != 0 || n_holders > 0)
        publish(d);
    hold_for(d, holders, n_holders);
    d->w->pause.n_holders = 0;
    const char *why = worker_pause_reason_name(said->reason);
    if (d->shown && world_end_run(d->world, d->w, why) == -EALREADY)
        d->w->pause.in_stop = true;
    else if (!d->shown && d->stopper != 0)
        stop_for(d);
    count_holding(d, holders, n_holders, -1);
    world_settle_pause(d->world, d->w);
}

static const char *check(const struct decision *d, const Stillpoint__Worker__Paused *said)
{
    struct pause_hook h;
    if (said->n_hooks == 0 && said->step == 0)
        return "pauses for nothing";
    if (said->step > d->w->last_step)
        return "pauses for a step that nobody asked for";
    for (size_t i = 0; i < said->n_hooks; i++)
        if (!find_hook(d, said->hooks[i], &h))
            return "pauses for a hook that it does not have";
    return NULL;
}

const char *pauses_on_paused(struct pauses *p, struct worker *w,
                             const Stillpoint__Worker__Paused *said)
{
    struct decision d = {.p = p, .w = w, .world = worlds_get(p->worlds, w->world, false)};
    const char *why = check(&d, said);
    if (why)
        return why;
    int r = worker_pause_begin(w, said);
    if (r < 0)
        return r == -EPROTO ? "pauses out of turn" : unpack_no_memory;
    decide(&d);
    return NULL;
}

static bool holds_for_pause(const struct worker *w, uint64_t debugger)
{
    for (size_t i = 0; i < w->n_holds; i++)
        if (w->holds[i].debugger == debugger && w->holds[i].pause)
            return true;
    return false;
}

void pauses_adopted(struct pauses *p, struct worker *w)
{
    struct decision d = {.p = p,
                         .w = w,
                         .world = worlds_get(p->worlds, w->world, false),
                         .stopper = w->pause.stopper};
    if (w->pause.number == 0)
        return;
    uint64_t holders[LIMIT_HOLDS_PER_VM];
    size_t n = 0;
    for (size_t i = 0; i < w->pause.n_holders; i++)
        if (!holds_for_pause(w, w->pause.holders[i]))
            holders[n++] = w->pause.holders[i];
    w->pause.n_holders = 0;
    hold_for(&d, holders, n);
    const struct ticket *control = world_control(d.world);
    if (d.stopper == 0 || w->pause.in_stop)
        return;
    if (control && control->request.debugger == d.stopper)
        w->pause.in_stop = true;
    else if (debuggers_find(p->debuggers, d.stopper))
        stop_for(&d);
}
