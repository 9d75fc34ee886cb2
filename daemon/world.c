#include "daemon/world.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/urgent.h"
#include "daemon/enforcer.h"
#include "daemon/event_bus.h"
#include "daemon/nudge.h"
#include "daemon/record.h"
#include "daemon/worker.h"
#include "daemon/world_private.h"

/* A worker that lies about its kick delays a stop by no more than this; an honest one by nothing.
 */
#define SCAN_MS 10

void world_arm(struct event *timer, uint64_t us)
{
    struct timeval t = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
    event_add(timer, &t);
}

const char *world_mode_name(enum world_mode mode)
{
    static const char *const names[] = {"?", "run-all", "stopping", "stopped", "run-one"};
    return names[mode];
}

_urgent_ static void set_mode(struct world *w, enum world_mode to, const char *why)
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

struct worker *world_member(const struct world *w, uint64_t vm)
{
    for (size_t i = 0; i < w->stop.n_gates; i++)
        if (world_worker_of(w->stop.gates[i])->id == vm)
            return world_worker_of(w->stop.gates[i]);
    return NULL;
}

_urgent_ const struct worker *world_foreign_member(const struct world *w, uid_t uid)
{
    for (size_t i = 0; i < w->stop.n_gates; i++)
        if (world_worker_of(w->stop.gates[i])->uid != uid)
            return world_worker_of(w->stop.gates[i]);
    return NULL;
}

bool world_is_owned(const struct world *w, uid_t *ret_owner)
{
    if (w->is_owned)
        *ret_owner = w->owner;
    return w->is_owned;
}

void world_publish(struct world *w, enum event_kind kind, const struct ticket *t,
                   const struct worker *vm, const char *detail)
{
    struct event e = {.kind = kind,
                      .world = w->name,
                      .epoch = w->stop.epoch,
                      .ticket = t ? t->id : 0,
                      .uid = t ? t->request.uid : EVENT_NO_UID,
                      .vm = vm ? vm->id : 0,
                      .name = vm ? vm->name : NULL,
                      .detail = detail};
    event_bus_publish(w->all->bus, &e);
}

static uint64_t realtime_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

/* ---- run-one and target */

void world_run_until(struct world *w, uint64_t until_us, uint64_t us)
{
    w->run.until_us = until_us;
    world_arm(w->run_deadline, us);
}

void world_end_run_one(struct world *w, const char *why)
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

/* The one that caused the stop, else the first in rank of those that are parked. */
uint64_t world_choose_target(const struct world *w, const struct ticket *t)
{
    struct worker *best = NULL;
    if (t->request.target && world_member(w, t->request.target))
        return t->request.target;
    for (size_t i = 0; i < w->stop.n_gates; i++) {
        struct worker *worker = world_worker_of(w->stop.gates[i]);
        if (stop_how_now(&worker->gate) != STOP_ACKED || worker->freeze.lied)
            continue;
        if (!best || world_rank(worker) > world_rank(best) ||
            (world_rank(worker) == world_rank(best) && worker->id < best->id))
            best = worker;
    }
    return best ? best->id : 0;
}

void world_move_target(struct world *w, uint64_t target)
{
    if (w->target == target)
        return;
    w->target = target;
    if (w->control)
        world_publish(w, EVENT_TARGET_CHANGED, w->control, world_member(w, target), NULL);
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

static void serve(struct world *w, struct ticket *t)
{
    bool first = w->stop_ns != 0;
    ticket_queue_remove(t);
    if (w->mode == WORLD_STOPPED && !first)
        set_mode(w, WORLD_STOPPED, "next ticket");
    if (t->request.operation)
        w->operation = t;
    else
        world_take_lease(w, t);
    w->end_why = NULL;
    if (w->mode == WORLD_STOPPED)
        world_publish(w, EVENT_WORLD_STOPPED, t, NULL, ticket_reason_name(t->request.reason));
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
    w->timed = true;
    struct ticket *t;
    TAILQ_FOREACH(t, &w->pending.list, link)
    {
        if (!world_can_serve(w, t))
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
        world_arm(w->deadline, first > now ? (first - now) / 1000 + 1 : 0);
}

static void begin_stop(struct world *w, const struct ticket *t, const char *why)
{
    bool ran = w->mode == WORLD_RUN_ALL;
    set_mode(w, WORLD_STOPPING, why);
    world_arrival_forget_dead(w);
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
    if (!w->control)
        world_end_evaluations(w);
    struct event e = {.kind = EVENT_WORLD_STOPPING,
                      .world = w->name,
                      .epoch = w->stop.epoch,
                      .ticket = w->stop_ticket,
                      .uid = w->stop_uid,
                      .detail = w->stop_why};
    event_bus_publish(w->all->bus, &e);
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
        if (w->stop.n_missing > 0)
            nudge_begin(w->nudge);
        struct timeval scan = {.tv_usec = SCAN_MS * 1000};
        w->timed = true;
        event_add(w->scan, &scan);
    }
    if (taken_over && w->late)
        world_arrival_forgive(w);
    if (begins || taken_over)
        arm_deadline(w);
}

static void end_stop_timers(struct world *w)
{
    if (!w->timed)
        return;
    w->timed = false;
    event_del(w->scan);
    event_del(w->deadline);
    nudge_end(w->nudge);
}

/* Returns whether it has come to that. */
static bool reopen(struct world *w, const char *why)
{
    if (world_is_evaluating(w, NULL))
        return false;
    world_let_all_go(w);
    end_stop_timers(w);
    enforcer_thaw_all(w->enforcer);
    stop_open(&w->stop);
    set_mode(w, WORLD_RUN_ALL, why);
    w->end_why = NULL;
    w->target = 0;
    world_arrival_forget_dead(w);
    world_publish(w, EVENT_WORLD_RESUMED, NULL, NULL, NULL);
    return true;
}

/* Looks whether a runner that was to run until it is still has come to that. Its kick number tells
 * it to say so; a look that finds it running or on its way asks again. */
void world_look_at_runner(struct world *w)
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
        world_end_run_one(w, state == SHM_IDLE ? "idle" : "blocked");
}

static bool may_run_alone(const struct worker *worker)
{
    return worker && worker->phase == WORKER_ADMITTED && worker->gate.birth_done;
}

/* Returns whether it has come to that, or never will. */
static bool enter_run_one(struct world *w)
{
    struct worker *runner = world_member(w, w->run.vm);
    if (!may_run_alone(runner)) {
        world_end_run_one(w, "ended");
        return true;
    }
    if (world_is_evaluating(w, runner))
        return false;
    end_stop_timers(w);
    set_mode(w, WORLD_RUN_ONE, "run-one");
    w->keep_target = false;
    /* A hold that came meanwhile: it gets its permit when that ends, or the run-one ends first. */
    if (runner->gate.holds == 0) {
        world_let_go(w, runner);
        enforcer_thaw(w->enforcer, runner);
        stop_permit(&runner->gate);
    }
    world_publish(w, EVENT_WORLD_RUN_ONE, w->control, runner, NULL);
    world_look_at_runner(w);
    return true;
}

/* Not even a freeze could be confirmed for somebody: the ticket that waits is told so, if its
 * deadline has passed. The stop goes on until it is resumed, or the VM arrives or ends after all;
 * without a ticket that is left it is over: returns whether one was told. */
static bool give_up(struct world *w)
{
    for (size_t i = 0; i < w->stop.n_gates; i++) {
        const struct worker *worker = world_worker_of(w->stop.gates[i]);
        bool dying = worker->exit.reason != 0;
        if (dying || worker->freeze.state == WORKER_SETTLING ||
            worker->freeze.state == WORKER_FREEZING)
            return false;
    }
    /* Nor will that of a run-one, whose runner it is, come to its end. */
    tell_run_one_ended(w);
    struct ticket *t = world_first_servable(w);
    if (!t || !t->missed)
        return false;
    /* The next one may ask for less. */
    if (!t->request.operation)
        serve(w, t);
    else
        world_end_ticket(w, t, TICKET_FAILED);
    return true;
}

/* Each step returns whether the mode has changed, or something else that wants another look. */

static bool step_running(struct world *w)
{
    struct ticket *t = world_first_servable(w);
    /* Who waits is served before any gate opens. */
    if (w->mode == WORLD_RUN_ONE && !w->control && !t)
        return reopen(w, "resumed");
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
    struct ticket *t = world_first_servable(w);
    if (!t && !w->control) {
        announce_stop(w);
        return reopen(w, "cancelled");
    }
    if (!t && w->run.one) {
        announce_stop(w);
        return enter_run_one(w);
    }
    if (stop_scan(&w->stop) > 0)
        stop_kick(&w->stop);
    if (!world_arrival_fulfilled(w, t ? t : w->control)) {
        announce_stop(w);
        await_stop(w, t);
        return w->late && give_up(w);
    }
    for (size_t i = 0; i < w->stop.n_gates; i++)
        assert(w->stop.slots[i].arrived ||
               world_worker_of(w->stop.gates[i])->freeze.state == WORKER_FROZEN);
    set_mode(w, WORLD_STOPPED, w->late ? "the others are frozen" : "all arrived");
    w->stopped_ns = shm_now_ns();
    end_stop_timers(w);
    announce_stop(w);
    if (!t) {
        /* A run-one has ended; its controller has the world again. */
        const struct worker *runner = world_member(w, w->run.vm);
        bool paused = runner && runner->pause.in_stop;
        if (!w->keep_target || !world_member(w, w->target))
            world_move_target(w, paused ? runner->id : world_choose_target(w, w->control));
        w->keep_target = false;
        world_publish(w, EVENT_WORLD_STOPPED, w->control, NULL, w->end_why);
        w->end_why = NULL;
        w->stop_ns = 0;
    }
    return true;
}

static bool step_stopped(struct world *w)
{
    if (w->operation)
        return false;
    struct ticket *t = world_first_servable(w);
    if (t) {
        if (!world_arrival_fulfilled(w, t)) {
            await_stop(w, t);
            return w->late && give_up(w);
        }
        end_stop_timers(w);
        serve(w, t);
        return true;
    }
    if (!w->control)
        return reopen(w, "resumed");
    if (!w->run.one) {
        end_stop_timers(w); /* of a ticket that was cancelled */
        world_arrival_freeze(w);
        return false;
    }
    return enter_run_one(w);
}

_urgent_ void world_advance(struct world *w)
{
    w->again = true;
    if (w->advancing)
        return;
    w->advancing = true;
    while (w->again) {
        bool more = false;
        w->again = false;
        world_sort_out_waiting(w);
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
        world_arrival_suspect(w, kicked);
    world_advance(w);
}

static void on_frozen(void *userdata, struct worker *worker)
{
    struct world *w = userdata;
    world_publish(w, EVENT_VM_FROZEN, world_in_service(w), worker, NULL);
    if (!worker->freeze.lied)
        return;
    record_write(LOG_WARNING, MESSAGE_VM_LIED, RECORD_VM(worker),
                 "world %s: vm %llu (%s) said that it had arrived, and ran on", w->name,
                 (unsigned long long)worker->id, worker->name);
    world_publish(w, EVENT_VM_LIED, world_in_service(w), worker,
                  "said that it had arrived, and ran on");
}

static void on_enforcement(void *userdata)
{
    struct world *w = userdata;
    world_advance(w);
}

static const struct enforcer_events enforcement = {on_frozen, on_enforcement};

/* The stop is complete when it is confirmed that nobody who is missing runs. */
static void on_deadline(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct world *w = userdata;
    world_advance(w);
    struct ticket *t = world_first_servable(w);
    if (w->mode != WORLD_STOPPING && !(w->mode == WORLD_STOPPED && t && !w->operation))
        return;
    if (!t) {
        /* A runner whose time is over: nobody asked that it be killed for that. */
        world_arrival_miss(w, w->control, false);
        w->late = true;
    }
    uint64_t now = shm_now_ns();
    for (; t; t = TAILQ_NEXT(t, link)) {
        if (!world_can_serve(w, t) || t->missed || t->deadline_ns == 0 || t->deadline_ns > now)
            continue;
        world_arrival_miss(w, t, t->request.kill_late);
        t->missed = w->late = true;
    }
    if (world_first_servable(w))
        arm_deadline(w); /* of the others */
    world_advance(w);
}

static void on_run_deadline(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct world *w = userdata;
    world_end_run_one(w, "deadline");
    world_advance(w);
}

/* ---- requests */

_urgent_ int world_stop(struct world *w, const struct ticket_request *request, uint64_t *ret_ticket)
{
    struct ticket *t = ticket_new(w->all->next_ticket, request);
    if (!t)
        return -ENOMEM;
    int r = ticket_queue_add(&w->pending, t);
    /* Whoever would have to wait for somebody else, and will not, is refused. */
    if (r == 0 && (w->operation || !world_can_serve(w, t)))
        r = request->wait_us == 0 ? -EBUSY : ticket_start_wait(t);
    if (r < 0) {
        ticket_forget_caller(t);
        ticket_free(t, TICKET_FAILED);
        return r;
    }
    w->all->next_ticket++;
    /* It is served although the run-one may have ended by itself when the world is stopped. */
    t->in_run_one = w->run.one && world_can_serve(w, t);
    *ret_ticket = t->id;
    world_count_ticket(w, request->debugger, 1);
    if (w->timed && event_pending(w->scan, EV_TIMEOUT, NULL))
        arm_deadline(w);
    world_advance(w);
    return 0;
}

int world_resume(struct world *w, struct world_resumption *ret)
{
    struct ticket *t = world_ticket_to_resume(w);
    if (!t)
        return -EALREADY;
    *ret = (struct world_resumption){.ticket = t->id};
    uint64_t debugger = t->request.debugger;
    ret->held_us = (shm_now_ns() - w->closed_ns) / 1000;
    if (t == w->control) {
        world_end_control(w, TICKET_SERVED, "ended");
        /* What its debugger does inside the stop goes with it, and so does a stop that it has asked
         * for from its run-one: the later word holds. What others do is theirs. */
        world_cancel_controls(w, debugger);
        if (w->operation && w->operation->request.debugger == debugger)
            world_end_ticket(w, w->operation, TICKET_CANCELLED);
    } else {
        world_end_ticket(w, t, TICKET_CANCELLED);
    }
    world_advance(w);
    const struct ticket *next = world_ticket(w);
    ret->next_ticket = next ? next->id : 0;
    ret->runnable_ns = w->mode == WORLD_RUN_ALL ? shm_now_ns() : 0;
    return 0;
}

void world_operation_done(struct world *w, uint64_t ticket)
{
    if (!w->operation || w->operation->id != ticket)
        return;
    world_end_ticket(w, w->operation, TICKET_SERVED);
    world_advance(w);
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
    if (w->operation || w->run.one || run->runner->evaluation.number != 0)
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
    world_move_target(w, run->runner->id);
    w->run.until_us = 0;
    if (run->deadline_us > 0)
        world_run_until(w, realtime_us() + run->deadline_us, run->deadline_us);
    world_advance(w);
    return 0;
}

int world_set_target(struct world *w, struct worker *target)
{
    int r = check_parked(w, target);
    if (r == 0)
        world_move_target(w, target->id);
    return r;
}

void world_serve_begin(struct world *w, struct worker *worker)
{
    if (worker->freeze.state == WORKER_THAWED)
        return;
    worker->serving = true;
    enforcer_thaw(w->enforcer, worker);
    world_publish(w, EVENT_VM_THAWED, world_in_service(w), worker, "to serve a request");
}

void world_serve_end(struct world *w, struct worker *worker)
{
    if (!worker->serving || worker->n_inspects > worker->n_given_up)
        return;
    worker->serving = false;
    bool stands = w->mode == WORLD_RUN_ONE && world_is_enforced(w) && world_runner(w) != worker->id;
    if (w->mode == WORLD_STOPPED || stands)
        enforcer_freeze(w->enforcer, worker, true);
}

/* ---- members */

void world_on_member_born(struct world *w, struct worker *worker)
{
    (void)worker;
    /* Born behind its closed gate: it counts as held from the start, whatever the mode. */
    world_advance(w);
}

void world_on_member_admitted(struct world *w, struct worker *worker)
{
    /* Born into a world that is held by force: it was let come as far as its gate. */
    if ((w->mode == WORLD_STOPPED || w->mode == WORLD_RUN_ONE) && world_is_enforced(w))
        enforcer_freeze(w->enforcer, worker, true);
    world_advance(w);
}

void world_on_member_kicked(struct world *w, struct worker *worker)
{
    world_arrival_clear_suspicion(w, worker);
    world_look_at_runner(w);
    world_advance(w);
}

void world_on_member_ended(struct world *w, struct worker *worker)
{
    uint64_t vm = worker->id;
    world_arrival_note_death(w, worker);
    world_arrival_clear_suspicion(w, worker);
    enforcer_forget(w->enforcer, worker);
    worker->serving = false;
    while (worker->n_holds > 0)
        world_count_ticket(w, worker->holds[--worker->n_holds].debugger, -1);
    stop_gate_done(&worker->gate);
    world_end_pause_tickets(w, vm);
    if (w->run.one && w->run.vm == vm) {
        /* By its death it must not be able to release the others: only by policy. */
        bool resume = w->run.on_exit == WORLD_RUNNER_EXIT_RESUME;
        world_end_run_one(w, "ended");
        if (resume && w->control)
            world_end_control(w, TICKET_SERVED, "its runner ended");
    }
    if (w->target == vm)
        world_move_target(w, w->control && !w->run.one ? world_choose_target(w, w->control) : 0);
    world_advance(w);
    world_drop_if_unused(w);
}

/* ---- a world as a whole */

static int init_world(struct world *w, struct worlds *all)
{
    ticket_queue_init(&w->pending, all->base, world_on_wait_over, w);
    STAILQ_INIT(&w->dead);
    w->scan = event_new(all->base, -1, EV_PERSIST, on_scan, w);
    w->deadline = event_new(all->base, -1, 0, on_deadline, w);
    w->expiry = event_new(all->base, -1, 0, world_on_expiry, w);
    w->suspicion = event_new(all->base, -1, 0, world_arrival_on_suspicion, w);
    w->run_deadline = event_new(all->base, -1, 0, on_run_deadline, w);
    w->enforcer = enforcer_new(all->base, &w->stop, &enforcement, w);
    if (!w->scan || !w->deadline || !w->expiry || !w->suspicion || !w->run_deadline || !w->enforcer)
        return -ENOMEM;
    w->nudge = nudge_new(all->base, &w->stop);
    if (!w->nudge)
        return -errno;
    return all->kept ? stop_world_init_kept(&w->stop) : stop_world_init(&w->stop);
}

struct world *world_new(struct worlds *all, const char *name)
{
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
    return w;
}

void world_free(struct world *w)
{
    struct event *events[] = {w->scan, w->deadline, w->expiry, w->suspicion, w->run_deadline};
    w->advancing = true; /* nothing begins any more */
    world_end_run_one(w, "resumed");
    tell_run_one_ended(w);
    while (w->pending.base && !TAILQ_EMPTY(&w->pending.list))
        world_end_ticket(w, TAILQ_FIRST(&w->pending.list), TICKET_CANCELLED);
    if (w->operation)
        world_end_ticket(w, w->operation, TICKET_CANCELLED);
    if (w->control)
        world_end_ticket(w, w->control, TICKET_CANCELLED);
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        if (events[i])
            event_free(events[i]);
    enforcer_free(w->enforcer);
    nudge_free(w->nudge);
    world_arrival_forget_dead(w);
    stop_world_done(&w->stop);
    free(w);
}

void world_count_hooks(struct world *w, int change)
{
    w->n_hooks += (size_t)change;
}

void world_drop_if_unused(struct world *w)
{
    if (w->advancing || w->stop.n_gates > 0 || w->mode != WORLD_RUN_ALL || w->pending.n > 0 ||
        w->n_hooks > 0 || strcmp(w->name, "default") == 0)
        return;
    world_publish(w, EVENT_WORLD_GONE, NULL, NULL, NULL);
    worlds_drop(w);
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

uint64_t world_late_scans(const struct world *w)
{
    return w->late_scans;
}

uint64_t world_runner(const struct world *w)
{
    return w->run.one ? w->run.vm : 0;
}

void world_run_read(const struct world *w, struct world_run *ret)
{
    *ret = (struct world_run){.on_exit = w->run.on_exit,
                              .until_still = w->run.until_still,
                              .deadline_us = w->run.until_us};
}

uint64_t world_target(const struct world *w)
{
    return w->target;
}
