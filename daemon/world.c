#include "daemon/world.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "base/log.h"
#include "daemon/enforcer.h"
#include "daemon/event_bus.h"
#include "daemon/worker.h"

/* A worker that lies about its kick delays a stop by no more than this; an honest one by nothing.
 */
#define SCAN_MS 10

struct world {
    UT_hash_handle hh;
    struct worlds *all;
    char name[LIMIT_NAME_BYTES + 1];
    enum world_mode mode;
    struct stop_world stop;
    struct enforcer *enforcer;

    struct ticket_queue pending;
    struct ticket *control, *operation; /* in service; NULL: none */
    uint64_t closed_ns;                 /* of the store that closed the running world */
    uint64_t stop_ns;    /* of the store of the last stop; 0: its first ticket has been served */
    uint64_t stopped_ns; /* of the change of mode that ended it */
    uint64_t expires_us;
    bool announced; /* the stop under way has been published */
    bool late;      /* the deadline of this stop has passed: who is missing gets frozen */
    const char *stop_why;
    uint64_t stop_ticket;
    uid_t stop_uid;
    const char *end_why; /* why a run-one ended; of the stop that follows */

    /* Run-one: the mode to return to while there is a control ticket. */
    struct {
        bool one;
        uint64_t vm;
        enum world_runner_exit on_exit;
        bool until_still;
        void (*on_ended)(void *userdata, const char *why);
        void *userdata;
        const char *over; /* why it ended; NULL: it has not, or whoever waited was told */
    } run;
    uint64_t target;

    struct event *scan, *deadline, *expiry, *suspicion, *run_deadline;
    uint64_t suspect_vm, late_scans;
    struct stop_dead_list dead;
    bool advancing, again; /* advance() is at work; something happened inside it */
};

struct worlds {
    struct event_base *base;
    struct event_bus *bus;
    struct world *by_name;
    uint64_t next_ticket;
    struct worlds_events events;
};

static void advance(struct world *w);

static uint64_t realtime_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static void arm(struct event *timer, uint64_t us)
{
    struct timeval t = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
    event_add(timer, &t);
}

const char *world_mode_name(enum world_mode mode)
{
    static const char *const names[] = {"?", "run-all", "stopping", "stopped", "run-one"};
    return names[mode];
}

static void set_mode(struct world *w, enum world_mode to, const char *why)
{
    static const unsigned legal[] = {
        [WORLD_RUN_ALL] = 1 << WORLD_STOPPING,
        [WORLD_STOPPING] = 1 << WORLD_STOPPED | 1 << WORLD_RUN_ALL | 1 << WORLD_RUN_ONE,
        [WORLD_STOPPED] = 1 << WORLD_RUN_ALL | 1 << WORLD_RUN_ONE | 1 << WORLD_STOPPED,
        [WORLD_RUN_ONE] = 1 << WORLD_STOPPING | 1 << WORLD_RUN_ALL,
    };
    assert(legal[w->mode] & 1u << to);
    log_debug("world %s: %s → %s (%s)", w->name, world_mode_name(w->mode), world_mode_name(to),
              why);
    w->mode = to;
}

static struct worker *worker_of(const struct stop_gate *g)
{
    return g->userdata;
}

struct worker *world_member(const struct world *w, uint64_t vm)
{
    for (size_t i = 0; i < w->stop.n_gates; i++)
        if (worker_of(w->stop.gates[i])->id == vm)
            return worker_of(w->stop.gates[i]);
    return NULL;
}

static void publish(struct world *w, enum event_kind kind, const struct ticket *t,
                    const struct worker *vm, const char *detail)
{
    struct event e = {.kind = kind,
                      .world = w->name,
                      .epoch = w->stop.epoch,
                      .ticket = t ? t->id : 0,
                      .uid = t ? t->request.uid : 0,
                      .vm = vm ? vm->id : 0,
                      .name = vm ? vm->name : NULL,
                      .detail = detail};
    event_bus_publish(w->all->bus, &e);
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

/* ---- tickets */

static void count_ticket(struct world *w, uint64_t debugger, int change)
{
    if (w->all->events.on_ticket)
        w->all->events.on_ticket(w->all->events.userdata, debugger, change);
}

/* The end of a ticket that was accepted, wherever it is: each passes here once. */
static void end_ticket(struct world *w, struct ticket *t, enum ticket_outcome outcome)
{
    uint64_t debugger = t->request.debugger;
    if (w->control == t)
        w->control = NULL;
    if (w->operation == t)
        w->operation = NULL;
    publish(w, EVENT_TICKET_ENDED, t, NULL, ticket_outcome_name(outcome));
    ticket_free(t, outcome);
    count_ticket(w, debugger, -1);
}

static void end_run_one(struct world *w, const char *why)
{
    if (!w->run.one)
        return;
    w->run.one = false;
    w->end_why = why;
    event_del(w->run_deadline);
    log_debug("world %s: the run of vm %llu alone is over: %s", w->name,
              (unsigned long long)w->run.vm, why);
    w->run.over = why;
}

/* Not before the world is what it is after the run-one. */
static void tell_run_one_ended(struct world *w)
{
    void (*on_ended)(void *userdata, const char *why) = w->run.over ? w->run.on_ended : NULL;
    const char *why = w->run.over;
    w->run.over = NULL;
    if (on_ended) {
        w->run.on_ended = NULL;
        on_ended(w->run.userdata, why);
    }
}

static void end_control(struct world *w, enum ticket_outcome outcome, const char *why)
{
    struct ticket *t = w->control;
    end_run_one(w, outcome == TICKET_SERVED ? "resumed" : "stopped");
    event_del(w->expiry);
    publish_lease(w, t, why);
    end_ticket(w, t, outcome);
}

/* Whether the world may be stopped, or stay stopped, for this ticket now: the lease is free, or its
 * holder's, or does not mind. Of several that want the lease the first in the queue will get it. */
static bool servable(const struct world *w, const struct ticket *t)
{
    bool same = w->control && w->control->request.debugger == t->request.debugger;
    bool run_one = w->run.one || t->in_run_one;
    if (t->request.operation)
        return !w->control || same || run_one;
    if (w->control && !(same && run_one))
        return false;
    const struct ticket *ahead;
    TAILQ_FOREACH(ahead, &w->pending.list, link)
    if (ahead == t || !ahead->request.operation)
        return ahead == t;
    return true;
}

static struct ticket *first_servable(const struct world *w)
{
    struct ticket *t;
    TAILQ_FOREACH(t, &w->pending.list, link)
    if (servable(w, t))
        return t;
    return NULL;
}

/* What the world is stopped for, or being stopped for: whose wishes hold. A stopped world without
 * any other ticket stays so for the next one, whose VMs have not all come to where it wants them.
 */
static struct ticket *in_service(const struct world *w)
{
    if (w->operation)
        return w->operation;
    bool next = w->mode == WORLD_STOPPING || (w->mode == WORLD_STOPPED && !w->control);
    struct ticket *t = next ? first_servable(w) : NULL;
    return t ? t : w->control;
}

/* Those that cannot be served, or not any more, begin to wait; who would not wait ends. */
static void sort_out_waiting(struct world *w)
{
    struct ticket *t, *next;
    for (t = TAILQ_FIRST(&w->pending.list); t; t = next) {
        next = TAILQ_NEXT(t, link);
        if (servable(w, t))
            continue;
        ticket_restart(t);
        if (t->request.wait_us == 0 || ticket_start_wait(t) < 0)
            end_ticket(w, t, TICKET_TIMED_OUT);
    }
}

static void on_wait_over(void *userdata, struct ticket *t)
{
    struct world *w = userdata;
    end_ticket(w, t, TICKET_TIMED_OUT);
    advance(w);
    world_drop_if_unused(w);
}

/* ---- who has arrived */

static bool satisfied(const struct ticket *t, struct worker *worker)
{
    if (worker->freeze.state == WORKER_FROZEN)
        return true;
    enum stop_how how = stop_how_now(&worker->gate);
    return how == STOP_ACKED || (how == STOP_HELD && !(t && t->request.require_idle));
}

static bool all_satisfied(const struct world *w, const struct ticket *t)
{
    if (w->stop.n_missing == 0 && !(t && t->request.require_idle))
        return true;
    for (size_t i = 0; i < w->stop.n_gates; i++)
        if (!satisfied(t, worker_of(w->stop.gates[i])))
            return false;
    return true;
}

/* Idle and blocked VMs come to their gates only when asked to. */
static void wake_held(struct world *w)
{
    for (size_t i = 0; i < w->stop.n_gates; i++) {
        struct worker *worker = worker_of(w->stop.gates[i]);
        if (stop_how_now(&worker->gate) != STOP_HELD)
            continue;
        worker_ask_to_park(worker);
        stop_kick_one(&worker->gate);
    }
}

/* True when nobody is left who could be frozen and is not. */
static bool all_frozen(struct world *w)
{
    bool done = true;
    for (size_t i = 0; i < w->stop.n_gates; i++) {
        struct worker *worker = worker_of(w->stop.gates[i]);
        if (worker->pidfd < 0 || worker->serving || worker->freeze.state == WORKER_FREEZE_FAILED)
            continue;
        if (worker->phase != WORKER_ADMITTED)
            continue; /* being born: it is let come as far as its gate, and frozen then */
        enforcer_freeze(w->enforcer, worker, true);
        done &= worker->freeze.state == WORKER_FROZEN;
    }
    return done;
}

/* Everything that this ticket asks of the VMs. Sets in motion what it still waits for. */
static bool fulfilled(struct world *w, const struct ticket *t)
{
    bool past = t && (t == w->control ? w->late : t->missed);
    if (t && t->request.require_idle && !past)
        wake_held(w);
    if (!all_satisfied(w, t))
        return false;
    return !(t && t->request.enforce) || all_frozen(w);
}

/* The VM of which a debugger would want to hear first: the one that caused the stop, else one that
 * is parked in WebAssembly, else any that is parked. */
static uint64_t choose_target(const struct world *w, const struct ticket *t)
{
    struct worker *best = NULL;
    if (t->request.target && world_member(w, t->request.target))
        return t->request.target;
    for (size_t i = 0; i < w->stop.n_gates; i++) {
        struct worker *worker = worker_of(w->stop.gates[i]);
        if (stop_how_now(&worker->gate) != STOP_ACKED || worker->freeze.lied)
            continue;
        if (!best || (worker_is_wasm(worker) && !worker_is_wasm(best)) ||
            (worker_is_wasm(worker) == worker_is_wasm(best) && worker->id < best->id))
            best = worker;
    }
    return best ? best->id : 0;
}

static void set_target(struct world *w, uint64_t target)
{
    if (w->target == target)
        return;
    w->target = target;
    if (w->control)
        publish(w, EVENT_TARGET_CHANGED, w->control, world_member(w, target), NULL);
}

static void forget_dead(struct world *w)
{
    while (!STAILQ_EMPTY(&w->dead)) {
        struct stop_dead *d = STAILQ_FIRST(&w->dead);
        STAILQ_REMOVE_HEAD(&w->dead, link);
        free(d);
    }
}

/* ---- serving */

static void answer(struct world *w, struct ticket *t)
{
    static struct stop_dead_list nobody = STAILQ_HEAD_INITIALIZER(nobody);
    uint64_t now = shm_now_ns();
    bool own_stop = w->stop_ns != 0;
    struct stop_report report = {.world = w,
                                 .ticket = t,
                                 .mode = w->mode,
                                 .closed_ns = own_stop ? w->stop_ns : now,
                                 .stopped_ns = w->mode != WORLD_STOPPED ? 0
                                               : own_stop               ? w->stopped_ns
                                                                        : now};
    t->answered = true;
    /* Without memory the report is empty: the stop itself needs none. */
    (void)stop_report_fill(&report, &w->stop, own_stop ? &w->dead : &nobody);
    if (t->request.enforce && report.stopped_ns > report.closed_ns)
        report.elapsed_us =
            (report.stopped_ns - report.closed_ns) / 1000; /* up to the last freeze */
    if (t->request.on_served)
        t->request.on_served(t->request.userdata, &report);
    stop_report_done(&report);
}

static void take_lease(struct world *w, struct ticket *t)
{
    struct ticket *before = w->control;
    w->control = t;
    w->expires_us = realtime_us() + t->request.hold_us;
    arm(w->expiry, t->request.hold_us);
    if (before) {
        /* The controller stops its own run-one by a new ticket. */
        end_run_one(w, "stopped");
        end_ticket(w, before, TICKET_SERVED);
    } else {
        publish_lease(w, t, "taken");
    }
    set_target(w, choose_target(w, t));
}

static void serve(struct world *w, struct ticket *t)
{
    bool first = w->stop_ns != 0;
    ticket_queue_remove(t);
    if (w->mode == WORLD_STOPPED && !first)
        set_mode(w, WORLD_STOPPED, "next ticket");
    if (t->request.operation)
        w->operation = t;
    else
        take_lease(w, t);
    w->end_why = NULL;
    if (w->mode == WORLD_STOPPED)
        publish(w, EVENT_WORLD_STOPPED, t, NULL, ticket_reason_name(t->request.reason));
    answer(w, t);
    w->stop_ns = 0;
    w->late = false;
    /* What comes next has its time from when its own service begins. */
    TAILQ_FOREACH(t, &w->pending.list, link)
    ticket_restart(t);
}

/* ---- modes */

/* For the next deadline of those that can be served, or of a controller whose run-one is over. */
static void arm_deadline(struct world *w)
{
    uint64_t now = shm_now_ns(), first = 0;
    bool any = false;
    struct ticket *t;
    TAILQ_FOREACH(t, &w->pending.list, link)
    {
        if (!servable(w, t))
            continue;
        any = true;
        if (t->deadline_ns == 0)
            t->deadline_ns = now + t->request.deadline_us * 1000;
        if (!t->missed && (first == 0 || t->deadline_ns < first))
            first = t->deadline_ns;
    }
    if (!any && w->control)
        first = now + DEFAULT_DEADLINE_US * 1000;
    if (first != 0)
        arm(w->deadline, first > now ? (first - now) / 1000 + 1 : 0);
}

static void begin_stop(struct world *w, const struct ticket *t, const char *why)
{
    bool ran = w->mode == WORLD_RUN_ALL;
    set_mode(w, WORLD_STOPPING, why);
    forget_dead(w);
    w->late = false;
    stop_close(&w->stop);
    w->stop_ns = w->stop.changed_ns;
    if (ran)
        w->closed_ns = w->stop_ns;
    w->announced = false;
    w->stop_why = why;
    w->stop_ticket = t->id;
    w->stop_uid = t->request.uid;
}

/* What is due after the gates have closed and who is missing has been asked to come: nobody waits
 * for it. */
static void announce_stop(struct world *w)
{
    if (w->announced)
        return;
    w->announced = true;
    stop_settle(&w->stop);
    struct event e = {.kind = EVENT_WORLD_STOPPING,
                      .world = w->name,
                      .epoch = w->stop.epoch,
                      .ticket = w->stop_ticket,
                      .uid = w->stop_uid,
                      .detail = w->stop_why};
    event_bus_publish(w->all->bus, &e);
}

/* Another ticket takes over a stop whose deadline has passed: whoever was frozen for being late has
 * the time of this one. In a stopped world not those that only the kernel keeps from running. */
static void forgive_late(struct world *w)
{
    w->late = false;
    for (size_t i = 0; i < w->stop.n_gates; i++) {
        struct worker *worker = worker_of(w->stop.gates[i]);
        bool may = w->mode == WORLD_STOPPING || worker->gate.arrived;
        if (may && !worker->freeze.judge && worker->freeze.state != WORKER_THAWED)
            enforcer_thaw(w->enforcer, worker);
    }
}

/* The timers of a stop that is not complete at once. The ticket that it is for, if any, does not
 * wait in the queue any more, and has its own time. */
static void await_stop(struct world *w, struct ticket *t)
{
    bool begins = !event_pending(w->scan, EV_TIMEOUT, NULL);
    bool taken_over = t && t->deadline_ns == 0;
    if (t)
        ticket_end_wait(t);
    if (begins) {
        struct timeval scan = {.tv_usec = SCAN_MS * 1000};
        event_add(w->scan, &scan);
    }
    if (taken_over && w->late)
        forgive_late(w);
    if (begins || taken_over)
        arm_deadline(w);
}

static void end_stop_timers(struct world *w)
{
    event_del(w->scan);
    event_del(w->deadline);
}

static void reopen(struct world *w, const char *why)
{
    end_stop_timers(w);
    enforcer_thaw_all(w->enforcer);
    stop_open(&w->stop);
    set_mode(w, WORLD_RUN_ALL, why);
    w->end_why = NULL;
    w->target = 0;
    forget_dead(w);
    publish(w, EVENT_WORLD_RESUMED, NULL, NULL, NULL);
}

/* Looks whether a runner that was to run until it is still has come to that. Its kick number tells
 * it to say so; a look that finds it running or on its way asks again. */
static void look_at_runner(struct world *w)
{
    struct worker *runner = w->run.one && w->run.until_still ? world_member(w, w->run.vm) : NULL;
    if (!runner || w->mode != WORLD_RUN_ONE)
        return;
    enum shm_state state = stop_kick_one(&runner->gate);
    if (state != SHM_IDLE && state != SHM_BLOCKED)
        return;
    /* One that exits waits, as its last act, for that to be heard: its end is on the way. */
    worker_hear(runner);
    if (runner->said_exit.reason == 0)
        end_run_one(w, state == SHM_IDLE ? "idle" : "blocked");
}

static bool may_run_alone(const struct worker *worker)
{
    return worker && worker->phase == WORKER_ADMITTED && worker->gate.birth_done;
}

static void enter_run_one(struct world *w)
{
    struct worker *runner = world_member(w, w->run.vm);
    if (!may_run_alone(runner)) {
        end_run_one(w, "ended");
        return;
    }
    end_stop_timers(w);
    set_mode(w, WORLD_RUN_ONE, "run-one");
    /* A hold that came meanwhile: it gets its permit when that ends, or the run-one ends first. */
    if (runner->gate.holds == 0) {
        enforcer_thaw(w->enforcer, runner);
        stop_permit(&runner->gate);
    }
    publish(w, EVENT_WORLD_RUN_ONE, w->control, runner, NULL);
    look_at_runner(w);
}

/* Not even a freeze could be confirmed for somebody: the ticket that waits is told so, if its
 * deadline has passed. The stop goes on until it is resumed, or the VM arrives or ends after all;
 * without a ticket that is left it is over: returns whether one was told. */
static bool give_up(struct world *w)
{
    for (size_t i = 0; i < w->stop.n_gates; i++) {
        const struct worker *worker = worker_of(w->stop.gates[i]);
        bool dying = worker->exit.reason != 0;
        if (dying || worker->freeze.state == WORKER_SETTLING ||
            worker->freeze.state == WORKER_FREEZING)
            return false;
    }
    /* Nor will that of a run-one, whose runner it is, come to its end. */
    tell_run_one_ended(w);
    struct ticket *t = first_servable(w);
    if (!t || !t->missed)
        return false;
    /* The next one may ask for less. */
    if (!t->request.operation)
        serve(w, t);
    else
        end_ticket(w, t, TICKET_FAILED);
    return true;
}

/* The timer completed a stop that a kick should have: if that kick does not even come within a
 * second, it was lost, and that is a bug somewhere. */
static void suspect(struct world *w, const struct stop_gate *kicked)
{
    if (!kicked)
        return;
    w->suspect_vm = worker_of(kicked)->id;
    arm(w->suspicion, 1000000);
}

static void on_suspicion(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct world *w = userdata;
    w->late_scans++;
    log_warning("world %s: vm %llu arrived and did not answer its kick", w->name,
                (unsigned long long)w->suspect_vm);
}

static void clear_suspicion(struct world *w, const struct worker *worker)
{
    if (w->suspect_vm != worker->id)
        return;
    w->suspect_vm = 0;
    event_del(w->suspicion);
}

/* Each step returns whether the mode has changed, or something else that wants another look. */

static bool step_running(struct world *w)
{
    struct ticket *t = first_servable(w);
    /* Who waits is served before any gate opens. */
    if (w->mode == WORLD_RUN_ONE && !w->control && !t) {
        reopen(w, "resumed");
        return true;
    }
    if (w->mode == WORLD_RUN_ONE && w->control && !w->run.one) {
        begin_stop(w, t ? t : w->control, w->end_why ? w->end_why : "run-one ended");
        return true;
    }
    if (!t)
        return false;
    ticket_end_wait(t);
    begin_stop(w, t, ticket_reason_name(t->request.reason));
    return true;
}

static bool step_stopping(struct world *w)
{
    struct ticket *t = first_servable(w);
    if (!t && !w->control) {
        announce_stop(w);
        reopen(w, "cancelled");
        return true;
    }
    if (!t && w->run.one) {
        announce_stop(w);
        enter_run_one(w);
        return true;
    }
    if (stop_scan(&w->stop) > 0)
        stop_kick(&w->stop);
    if (!fulfilled(w, t ? t : w->control)) {
        announce_stop(w);
        await_stop(w, t);
        return w->late && give_up(w);
    }
    for (size_t i = 0; i < w->stop.n_gates; i++)
        assert(w->stop.gates[i]->arrived ||
               worker_of(w->stop.gates[i])->freeze.state == WORKER_FROZEN);
    end_stop_timers(w);
    set_mode(w, WORLD_STOPPED, w->late ? "the others are frozen" : "all arrived");
    w->stopped_ns = shm_now_ns();
    announce_stop(w);
    if (!t) {
        /* A run-one has ended; its controller has the world again. */
        set_target(w, choose_target(w, w->control));
        publish(w, EVENT_WORLD_STOPPED, w->control, NULL, w->end_why);
        w->end_why = NULL;
        w->stop_ns = 0;
    }
    return true;
}

/* The controller wants everybody frozen, and an operation that did not has interrupted its run-one,
 * which ended meanwhile. Those that are being born are let come as far as their gate. */
static void freeze_for_controller(struct world *w)
{
    for (size_t i = 0; i < w->stop.n_gates && w->control->request.enforce; i++)
        if (worker_of(w->stop.gates[i])->phase == WORKER_ADMITTED)
            enforcer_freeze(w->enforcer, worker_of(w->stop.gates[i]), true);
}

static bool step_stopped(struct world *w)
{
    if (w->operation)
        return false;
    struct ticket *t = first_servable(w);
    if (t) {
        if (!fulfilled(w, t)) {
            await_stop(w, t);
            return w->late && give_up(w);
        }
        end_stop_timers(w);
        serve(w, t);
        return true;
    }
    if (!w->control) {
        reopen(w, "resumed");
        return true;
    }
    if (!w->run.one) {
        end_stop_timers(w); /* of a ticket that was cancelled */
        freeze_for_controller(w);
        return false;
    }
    enter_run_one(w);
    return true;
}

/* Looks at everything anew, until there is nothing to do but wait. What happens inside it, by
 * callbacks, is looked at before it returns. */
static void advance(struct world *w)
{
    w->again = true;
    if (w->advancing)
        return;
    w->advancing = true;
    while (w->again) {
        bool more = false;
        w->again = false;
        sort_out_waiting(w);
        switch (w->mode) {
        case WORLD_RUN_ALL:
        case WORLD_RUN_ONE:
            more = step_running(w);
            break;
        case WORLD_STOPPING:
            more = step_stopping(w);
            break;
        case WORLD_STOPPED:
            more = step_stopped(w);
            break;
        }
        if (more)
            w->again = true;
        else if (w->mode == WORLD_STOPPED || w->mode == WORLD_RUN_ALL)
            tell_run_one_ended(w);
    }
    w->advancing = false;
}

static void on_scan(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct world *w = userdata;
    const struct stop_gate *kicked = w->stop.kicked;
    if (w->mode == WORLD_STOPPING && w->stop.n_missing > 0 && stop_scan(&w->stop) == 0)
        suspect(w, kicked);
    advance(w);
}

static void on_frozen(void *userdata, struct worker *worker)
{
    struct world *w = userdata;
    publish(w, EVENT_VM_FROZEN, in_service(w), worker, NULL);
    if (!worker->freeze.lied)
        return;
    log_warning("world %s: vm %llu (%s) said that it had arrived, and ran on", w->name,
                (unsigned long long)worker->id, worker->name);
    publish(w, EVENT_VM_LIED, in_service(w), worker, "said that it had arrived, and ran on");
}

static void on_enforcement(void *userdata)
{
    struct world *w = userdata;
    advance(w);
}

static const struct enforcer_events enforcement = {on_frozen, on_enforcement};

/* Those who are missing are named, and frozen or killed. */
static void miss_deadline(struct world *w, const struct ticket *t, bool kill_late)
{
    for (size_t i = 0; i < w->stop.n_gates; i++) {
        struct worker *worker = worker_of(w->stop.gates[i]);
        if (satisfied(t, worker)) {
            /* The others come no later for it. */
            if (t->request.enforce)
                enforcer_freeze(w->enforcer, worker, true);
            continue;
        }
        publish(w, EVENT_VM_MISSED, t, worker,
                kill_late ? "did not arrive by the deadline: killed"
                          : "did not arrive by the deadline");
        if (kill_late)
            worker_kill(worker, EXIT_REASON_KILLED, "it did not stop by the deadline");
        else
            enforcer_freeze(w->enforcer, worker, false);
    }
}

/* The stop is complete when it is confirmed that nobody who is missing runs. */
static void on_deadline(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct world *w = userdata;
    advance(w);
    struct ticket *t = first_servable(w);
    if (w->mode != WORLD_STOPPING && !(w->mode == WORLD_STOPPED && t && !w->operation))
        return;
    if (!t) {
        /* A runner whose time is over: nobody asked that it be killed for that. */
        miss_deadline(w, w->control, false);
        w->late = true;
    }
    uint64_t now = shm_now_ns();
    for (; t; t = TAILQ_NEXT(t, link)) {
        if (!servable(w, t) || t->missed || t->deadline_ns == 0 || t->deadline_ns > now)
            continue;
        miss_deadline(w, t, t->request.kill_late);
        t->missed = w->late = true;
    }
    if (first_servable(w))
        arm_deadline(w); /* of the others */
    advance(w);
}

/* The lease of a controller that holds the world and is not heard of again. */
static void on_expiry(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct world *w = userdata;
    if (!w->control)
        return;
    log_notice("world %s: the hold of ticket %llu has run out; resuming", w->name,
               (unsigned long long)w->control->id);
    end_control(w, TICKET_SERVED, "expired");
    advance(w);
    world_drop_if_unused(w);
}

static void on_run_deadline(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct world *w = userdata;
    end_run_one(w, "deadline");
    advance(w);
}

/* ---- requests */

int world_stop(struct world *w, const struct ticket_request *request, uint64_t *ret_ticket)
{
    struct ticket *t = ticket_new(w->all->next_ticket, request);
    if (!t)
        return -ENOMEM;
    int r = ticket_queue_add(&w->pending, t);
    /* Whoever would have to wait for somebody else, and will not, is refused. */
    if (r == 0 && (w->operation || !servable(w, t)))
        r = request->wait_us == 0 ? -EBUSY : ticket_start_wait(t);
    if (r < 0) {
        ticket_forget_caller(t);
        ticket_free(t, TICKET_FAILED);
        return r;
    }
    w->all->next_ticket++;
    /* It is served although the run-one may have ended by itself when the world is stopped. */
    t->in_run_one = w->run.one && servable(w, t);
    *ret_ticket = t->id;
    count_ticket(w, request->debugger, 1);
    if (event_pending(w->scan, EV_TIMEOUT, NULL))
        arm_deadline(w);
    advance(w);
    return 0;
}

static struct ticket *resumes(const struct world *w)
{
    return w->control ? w->control : in_service(w);
}

const struct ticket *world_resumes(const struct world *w)
{
    return resumes(w);
}

static void cancel_controls(struct world *w, uint64_t debugger)
{
    struct ticket *t, *next;
    for (t = TAILQ_FIRST(&w->pending.list); t; t = next) {
        next = TAILQ_NEXT(t, link);
        if (t->in_run_one && !t->request.operation && t->request.debugger == debugger)
            end_ticket(w, t, TICKET_CANCELLED);
    }
}

int world_resume(struct world *w, struct world_resumption *ret)
{
    struct ticket *t = resumes(w);
    if (!t)
        return -EALREADY;
    *ret = (struct world_resumption){.ticket = t->id};
    uint64_t debugger = t->request.debugger;
    ret->held_us = (shm_now_ns() - w->closed_ns) / 1000;
    if (t == w->control) {
        end_control(w, TICKET_SERVED, "ended");
        /* What its debugger does inside the stop goes with it, and so does a stop that it has asked
         * for from its run-one: the later word holds. What others do is theirs. */
        cancel_controls(w, debugger);
        if (w->operation && w->operation->request.debugger == debugger)
            end_ticket(w, w->operation, TICKET_CANCELLED);
    } else {
        end_ticket(w, t, TICKET_CANCELLED);
    }
    advance(w);
    const struct ticket *next = world_ticket(w);
    ret->next_ticket = next ? next->id : 0;
    ret->runnable_ns = w->mode == WORLD_RUN_ALL ? shm_now_ns() : 0;
    return 0;
}

void world_operation_done(struct world *w, uint64_t ticket)
{
    if (!w->operation || w->operation->id != ticket)
        return;
    end_ticket(w, w->operation, TICKET_SERVED);
    advance(w);
}

void world_forget(struct world *w, const void *userdata)
{
    struct ticket *t, *next;
    for (t = TAILQ_FIRST(&w->pending.list); t; t = next) {
        next = TAILQ_NEXT(t, link);
        if (t->request.userdata != userdata)
            continue;
        ticket_forget_caller(t);
        end_ticket(w, t, TICKET_CANCELLED);
    }
    if (w->operation && w->operation->request.userdata == userdata) {
        ticket_forget_caller(w->operation);
        end_ticket(w, w->operation, TICKET_CANCELLED);
    }
    if (w->run.userdata == userdata)
        w->run.on_ended = NULL;
    advance(w);
}

static void end_debugger(struct world *w, uint64_t debugger)
{
    struct ticket *t, *next;
    for (t = TAILQ_FIRST(&w->pending.list); t; t = next) {
        next = TAILQ_NEXT(t, link);
        if (t->request.debugger == debugger)
            end_ticket(w, t, TICKET_CANCELLED);
    }
    if (w->control && w->control->request.debugger == debugger)
        end_control(w, TICKET_SERVED, "ended");
    if (w->operation && w->operation->request.debugger == debugger)
        end_ticket(w, w->operation, TICKET_CANCELLED);
    advance(w);
    world_drop_if_unused(w);
}

void worlds_end_debugger(struct worlds *all, uint64_t debugger)
{
    struct world *w, *next;
    HASH_ITER(hh, all->by_name, w, next)
    {
        end_debugger(w, debugger);
    }
}

static int check_parked(struct world *w, struct worker *worker)
{
    if (w->mode != WORLD_STOPPED || !w->control)
        return -EALREADY;
    if (!may_run_alone(worker) || stop_how_now(&worker->gate) != STOP_ACKED || worker->freeze.lied)
        return -EAGAIN;
    return 0;
}

int world_run_one(struct world *w, const struct world_run *run)
{
    int r = check_parked(w, run->runner);
    if (r < 0)
        return r;
    /* A run-one that a ticket interrupts goes on after it: whoever asked for it is told its end. */
    if (w->operation || w->run.one)
        return -EBUSY;
    if (run->runner->gate.holds > 0)
        return -EPERM;
    w->run.one = true;
    w->run.vm = run->runner->id;
    w->run.on_exit = run->on_exit;
    w->run.until_still = run->until_still;
    w->run.on_ended = run->on_ended;
    w->run.userdata = run->userdata;
    w->run.over = NULL;
    set_target(w, run->runner->id);
    if (run->deadline_us > 0)
        arm(w->run_deadline, run->deadline_us);
    advance(w);
    return 0;
}

int world_set_target(struct world *w, struct worker *target)
{
    int r = check_parked(w, target);
    if (r == 0)
        set_target(w, target->id);
    return r;
}

int world_move_lease(struct world *w, uint64_t debugger, const char *name, uid_t uid,
                     bool hold_policy, uint64_t hold_us, const char *why)
{
    struct ticket *t = w->control;
    if (!t)
        return -EALREADY;
    count_ticket(w, debugger, 1);
    uint64_t before = t->request.debugger;
    t->request.debugger = debugger;
    t->request.uid = uid;
    t->request.hold_policy = hold_policy;
    t->request.hold_us = hold_us;
    snprintf(t->request.debugger_name, sizeof t->request.debugger_name, "%s", name);
    w->expires_us = realtime_us() + hold_us;
    arm(w->expiry, hold_us);
    publish_lease(w, t, why);
    count_ticket(w, before, -1);
    advance(w);
    return 0;
}

void world_serve_begin(struct world *w, struct worker *worker)
{
    if (worker->freeze.state == WORKER_THAWED)
        return;
    worker->serving = true;
    enforcer_thaw(w->enforcer, worker);
    publish(w, EVENT_VM_THAWED, in_service(w), worker, "to serve a request");
}

void world_serve_end(struct world *w, struct worker *worker)
{
    if (!worker->serving)
        return;
    worker->serving = false;
    if (w->mode == WORLD_STOPPED)
        enforcer_freeze(w->enforcer, worker, true);
}

/* ---- members */

void world_on_member_born(struct world *w, struct worker *worker)
{
    (void)worker;
    /* Born behind its closed gate: it counts as held from the start, whatever the mode. */
    advance(w);
}

void world_on_member_admitted(struct world *w, struct worker *worker)
{
    /* Born into a world that is held by force: it was let come as far as its gate. */
    if ((w->mode == WORLD_STOPPED || w->mode == WORLD_RUN_ONE) && world_is_enforced(w))
        enforcer_freeze(w->enforcer, worker, true);
    advance(w);
}

void world_on_member_kicked(struct world *w, struct worker *worker)
{
    clear_suspicion(w, worker);
    look_at_runner(w);
    advance(w);
}

static void note_death(struct world *w, struct worker *worker)
{
    struct stop_dead *d =
        w->mode == WORLD_STOPPING && w->stop_ns != 0 ? calloc(1, sizeof *d) : NULL;
    if (!d)
        return;
    d->arrival = stop_report_arrival(worker, w->stop_ns);
    d->arrival.how = ARRIVAL_DEAD;
    if (d->arrival.elapsed_us == 0)
        d->arrival.elapsed_us = (shm_now_ns() - w->stop_ns) / 1000;
    STAILQ_INSERT_TAIL(&w->dead, d, link);
}

void world_on_member_ended(struct world *w, struct worker *worker)
{
    uint64_t vm = worker->id;
    note_death(w, worker);
    clear_suspicion(w, worker);
    enforcer_forget(w->enforcer, worker);
    worker->serving = false;
    while (worker->n_holds > 0)
        count_ticket(w, worker->holds[--worker->n_holds].debugger, -1);
    stop_gate_done(&worker->gate);
    if (w->run.one && w->run.vm == vm) {
        /* By its death it must not be able to release the others: only by policy. */
        bool resume = w->run.on_exit == WORLD_RUNNER_EXIT_RESUME;
        end_run_one(w, "ended");
        if (resume && w->control)
            end_control(w, TICKET_SERVED, "its runner ended");
    }
    if (w->target == vm)
        set_target(w, w->control && !w->run.one ? choose_target(w, w->control) : 0);
    advance(w);
    world_drop_if_unused(w);
}

static void world_free(struct world *w)
{
    struct event *events[] = {w->scan, w->deadline, w->expiry, w->suspicion, w->run_deadline};
    w->advancing = true; /* nothing begins any more */
    end_run_one(w, "resumed");
    tell_run_one_ended(w);
    while (w->pending.base && !TAILQ_EMPTY(&w->pending.list))
        end_ticket(w, TAILQ_FIRST(&w->pending.list), TICKET_CANCELLED);
    if (w->operation)
        end_ticket(w, w->operation, TICKET_CANCELLED);
    if (w->control)
        end_ticket(w, w->control, TICKET_CANCELLED);
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        if (events[i])
            event_free(events[i]);
    enforcer_free(w->enforcer);
    forget_dead(w);
    stop_world_done(&w->stop);
    free(w);
}

void world_drop_if_unused(struct world *w)
{
    if (w->advancing || w->stop.n_gates > 0 || w->mode != WORLD_RUN_ALL || w->pending.n > 0 ||
        strcmp(w->name, "default") == 0)
        return;
    publish(w, EVENT_WORLD_GONE, NULL, NULL, NULL);
    HASH_DEL(w->all->by_name, w);
    world_free(w);
}

/* ---- holds of single VMs */

static struct worker_hold *find_hold(struct worker *worker, uint64_t debugger)
{
    for (size_t i = 0; i < worker->n_holds; i++)
        if (worker->holds[i].debugger == debugger)
            return &worker->holds[i];
    return NULL;
}

static void publish_hold(struct world *w, enum event_kind kind, const struct worker *worker,
                         uid_t uid)
{
    struct event e = {.kind = kind,
                      .world = w->name,
                      .epoch = w->stop.epoch,
                      .vm = worker->id,
                      .name = worker->name,
                      .uid = uid};
    event_bus_publish(w->all->bus, &e);
}

int world_hold(struct world *w, struct worker *worker, uint64_t debugger, const char *name,
               uid_t uid)
{
    struct worker_hold *h = find_hold(worker, debugger);
    if (h ? h->count >= LIMIT_HOLD_COUNT : worker->n_holds >= LIMIT_HOLDS_PER_VM)
        return -EMFILE;
    if (!h) {
        h = &worker->holds[worker->n_holds++];
        *h = (struct worker_hold){.debugger = debugger};
        snprintf(h->name, sizeof h->name, "%s", name);
        count_ticket(w, debugger, 1);
    }
    h->count++;
    stop_hold(&worker->gate);
    publish_hold(w, EVENT_VM_HELD, worker, uid);
    advance(w);
    return 0;
}

int world_release(struct world *w, struct worker *worker, uint64_t debugger, uid_t uid)
{
    struct worker_hold *h = find_hold(worker, debugger);
    if (!h)
        return -EALREADY;
    if (--h->count == 0) {
        *h = worker->holds[--worker->n_holds];
        count_ticket(w, debugger, -1);
    }
    /* A runner that was held from before its run had to wait for this: thaw what may run. */
    if (w->mode == WORLD_RUN_ONE && w->run.vm == worker->id && worker->gate.holds == 1)
        enforcer_thaw(w->enforcer, worker);
    stop_release(&worker->gate);
    if (w->mode == WORLD_RUN_ONE && w->run.one && w->run.vm == worker->id && !worker->gate.open &&
        worker->gate.holds == 0)
        stop_permit(&worker->gate);
    publish_hold(w, EVENT_VM_RELEASED, worker, uid);
    look_at_runner(w);
    advance(w);
    return 0;
}

unsigned world_release_all(struct world *w, struct worker *worker, uint64_t debugger)
{
    unsigned n = 0;
    while (world_release(w, worker, debugger, 0) == 0)
        n++;
    return n;
}

/* ---- all worlds */

struct worlds *worlds_new(struct event_base *base, struct event_bus *bus)
{
    struct worlds *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    all->base = base;
    all->bus = bus;
    all->next_ticket = 1;
    if (!worlds_get(all, "default", true))
        return worlds_free(all);
    return all;
}

struct worlds *worlds_free(struct worlds *all)
{
    if (!all)
        return NULL;
    struct world *w, *next;
    HASH_ITER(hh, all->by_name, w, next)
    {
        HASH_DEL(all->by_name, w);
        world_free(w);
    }
    free(all);
    return NULL;
}

void worlds_set_events(struct worlds *all, const struct worlds_events *events)
{
    all->events = *events;
}

static int init_world(struct world *w, struct worlds *all)
{
    ticket_queue_init(&w->pending, all->base, on_wait_over, w);
    STAILQ_INIT(&w->dead);
    w->scan = event_new(all->base, -1, EV_PERSIST, on_scan, w);
    w->deadline = event_new(all->base, -1, 0, on_deadline, w);
    w->expiry = event_new(all->base, -1, 0, on_expiry, w);
    w->suspicion = event_new(all->base, -1, 0, on_suspicion, w);
    w->run_deadline = event_new(all->base, -1, 0, on_run_deadline, w);
    w->enforcer = enforcer_new(all->base, &w->stop, &enforcement, w);
    if (!w->scan || !w->deadline || !w->expiry || !w->suspicion || !w->run_deadline || !w->enforcer)
        return -ENOMEM;
    return stop_world_init(&w->stop);
}

static struct world *make_world(struct worlds *all, const char *name)
{
    if (HASH_COUNT(all->by_name) >= LIMIT_WORLDS) {
        errno = EMFILE;
        return NULL;
    }
    struct world *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    *w = (struct world){.all = all, .mode = WORLD_RUN_ALL};
    snprintf(w->name, sizeof w->name, "%s", name);
    int r = init_world(w, all);
    if (r < 0) {
        world_free(w);
        errno = -r;
        return NULL;
    }
    HASH_ADD_STR(all->by_name, name, w);
    publish(w, EVENT_WORLD_MADE, NULL, NULL, NULL);
    return w;
}

struct world *worlds_get(struct worlds *all, const char *name, bool make)
{
    struct world *w;
    HASH_FIND_STR(all->by_name, name, w);
    if (w || make)
        return w ? w : make_world(all, name);
    errno = ENOENT;
    return NULL;
}

struct world *worlds_after(struct worlds *all, const char *after)
{
    struct world *best = NULL;
    for (struct world *w = all->by_name; w; w = w->hh.next)
        if ((!after || strcmp(w->name, after) > 0) && (!best || strcmp(w->name, best->name) < 0))
            best = w;
    return best;
}

uint64_t worlds_next_ticket(const struct worlds *all)
{
    return all->next_ticket;
}

void worlds_set_next_ticket(struct worlds *all, uint64_t id)
{
    all->next_ticket = id;
}

/* ---- readings */

const char *world_name(const struct world *w)
{
    return w->name;
}

enum world_mode world_mode(const struct world *w)
{
    return w->mode;
}

uint64_t world_epoch(const struct world *w)
{
    return w->stop.epoch;
}

struct stop_world *world_stop_half(struct world *w)
{
    return &w->stop;
}

size_t world_members(const struct world *w)
{
    return w->stop.n_gates;
}

const struct ticket *world_ticket(const struct world *w)
{
    return in_service(w);
}

const struct ticket *world_control(const struct world *w)
{
    return w->control;
}

const struct ticket *world_queued(const struct world *w, size_t i)
{
    const struct ticket *t, *served = in_service(w);
    TAILQ_FOREACH(t, &w->pending.list, link)
    if (t != served && i-- == 0)
        return t;
    return NULL;
}

uint64_t world_late_scans(const struct world *w)
{
    return w->late_scans;
}

uint64_t world_expires_us(const struct world *w)
{
    return w->expires_us;
}

uint64_t world_runner(const struct world *w)
{
    return w->run.one ? w->run.vm : 0;
}

uint64_t world_target(const struct world *w)
{
    return w->target;
}

bool world_is_enforced(const struct world *w)
{
    return (w->operation && w->operation->request.enforce) ||
           (w->control && w->control->request.enforce);
}
