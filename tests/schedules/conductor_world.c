/*
 * The daemon's own world*.c, ticket.c, enforcer.c and stop_report.c, on timers and processes that
 * the scheduler plays. What api_world.c, debugger.c and worker.c do around them is here, in short.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/event_bus.h"
#include "daemon/fd_store.h"
#include "daemon/nudge.h"
#include "daemon/record.h"
#include "daemon/worker_evaluation.h"
#include "daemon/worker_pause.h"
#include "daemon/worlds.h"
#include "tests/schedules/cast.h"
#include "tests/schedules/loop.h"

#define TICKETS 64

/* What we know of one ticket by its callbacks. */
struct promise {
    struct client *client;
    uint64_t id;
    enum ticket_reason reason;
    bool is_operation, is_accepted, is_forgotten, flips;
    unsigned served, ended;
};

static struct {
    struct event_bus *bus;
    struct worlds *worlds;
    struct world *world;
    struct promise promises[TICKETS];
    unsigned n_promises;
    uint64_t operation_due; /* a ticket: its VMs have answered */
    int tickets_of[CAST_CLIENTS + 1];
    uint64_t seen;             /* events */
    bool was_frozen[CAST_VMS]; /* before the event of the loop that has just been dealt with */
    unsigned runs[CAST_CLIENTS], runs_ended[CAST_CLIENTS];
} C;

/* ---- the rest of the daemon */

bool log_is_debug;

/* Nobody here keeps anything for a later daemon. */

int fd_store_put(int fd, const char *format, ...)
{
    (void)fd, (void)format;
    return -EOPNOTSUPP;
}

void fd_store_drop(const char *format, ...)
{
    (void)format;
}

void log_line(int level, const char *format, ...)
{
    (void)level, (void)format;
}

void record_write(int level, const char *message_id, const struct record_about *about,
                  const char *format, ...)
{
    (void)level, (void)message_id, (void)about, (void)format;
}

static struct cast_vm *vm_of(struct worker *w)
{
    return &cast.vms[w->id - 1];
}

void worker_kill(struct worker *w, enum exit_reason reason, const char *detail)
{
    (void)detail;
    if (w->exit.reason == 0)
        w->exit.reason = reason;
    sim_wake(EVENT_KILL + vm_of(w)->index);
}

/* Whose turn it is to run is the scheduler's here. What a nudge does for a signal that was lost is
 * done in one, whose time may come at any time. */
struct nudge {
    const struct stop_world *world;
    bool is_due;
};
static struct nudge the_nudge;

struct nudge *nudge_new(struct event_base *base, const struct stop_world *world)
{
    (void)base;
    the_nudge = (struct nudge){.world = world};
    return &the_nudge;
}

struct nudge *nudge_free(struct nudge *n)
{
    (void)n;
    return NULL;
}

void nudge_begin(struct nudge *n)
{
    n->is_due = cast.scenario->loses_signals;
}

void nudge_end(struct nudge *n)
{
    n->is_due = false;
}

/* What a VM here says on its channel is heard with the turn of the loop. */
void worker_hear(struct worker *w)
{
    (void)w;
}

void worker_ask_to_park(struct worker *w)
{
    struct cast_vm *vm = vm_of(w);
    if (w->park_request != 0 || !vm->is_alive)
        return;
    w->park_request = 1;
    cast_ask(vm);
}

/* Nobody pauses by himself here, or evaluates. */
void worker_pause_answer(struct worker *w)
{
    (void)w;
}

void worker_pause_let_go(struct worker *w)
{
    (void)w;
}

void worker_evaluation_withdraw(struct worker *w, const char *why)
{
    (void)w, (void)why;
}

bool worker_is_wasm(const struct worker *w)
{
    return w->id % 2 == 0;
}

int freezer_freeze(struct freezer_cell *cell, int pidfd)
{
    (void)cell;
    struct cast_vm *vm = &cast.vms[pidfd];
    if (cast.scenario->freezes_fail)
        return -EPERM;
    shm_yield("freeze");
    vm->was_frozen = true;
    sim_freeze(ACTOR_VM + vm->index, true);
    sim_freeze(ACTOR_WATCHER + vm->index, true);
    return 0;
}

int freezer_thaw(struct freezer_cell *cell, int pidfd)
{
    (void)cell;
    struct cast_vm *vm = &cast.vms[pidfd];
    shm_yield("thaw");
    sim_freeze(ACTOR_VM + vm->index, false);
    sim_freeze(ACTOR_WATCHER + vm->index, false);
    return 0;
}

int freezer_is_frozen(struct freezer_cell *cell, pid_t pid)
{
    (void)cell, (void)pid;
    return sim_choose(2) == 0;
}

int freezer_runtime_ns(pid_t pid, uint64_t *ret_ns, bool *ret_asleep)
{
    (void)pid, (void)ret_ns, (void)ret_asleep;
    return -ENODATA; /* who lies is for its own test */
}

/* ---- tickets */

static void on_ticket(void *userdata, uint64_t debugger, int change)
{
    (void)userdata;
    C.tickets_of[debugger] += change;
    if (C.tickets_of[debugger] < 0)
        sim_violation("debugger %llu has %d tickets", (unsigned long long)debugger,
                      C.tickets_of[debugger]);
}

static void answered(struct promise *p)
{
    if (p->served + p->ended == 1)
        cast_answered(p->client);
}

/* An operation that could be served now: nobody has the lease, or does not mind. */
static bool waits_to_be_served(const struct promise *p)
{
    const struct ticket *control = world_control(C.world);
    return p->is_operation && p->is_accepted && !p->is_forgotten && p->served + p->ended == 0 &&
           (!control || control->request.debugger == p->client->index + 1 ||
            world_runner(C.world) != 0);
}

static void on_served(void *userdata, const struct stop_report *report)
{
    struct promise *p = userdata;
    if (p->is_forgotten)
        sim_violation("a ticket is served for somebody who is gone");
    if (p->served++ > 0 || p->ended > 0)
        sim_violation("ticket %llu is served after it was served or has ended",
                      (unsigned long long)p->id);
    p->id = report->ticket->id;
    if (report->mode == WORLD_STOPPED) {
        cast_stopped();
        for (unsigned i = 0; i < C.n_promises && p->is_operation; i++)
            if (&C.promises[i] != p && C.promises[i].reason > p->reason &&
                waits_to_be_served(&C.promises[i]))
                sim_violation("a ticket is served before a more urgent one");
    }
    if (p->is_operation)
        C.operation_due = report->ticket->id;
    answered(p);
    if (p->flips) {
        struct world_resumption resumption;
        (void)world_resume(C.world, &resumption);
    }
}

static void on_ended(void *userdata, enum ticket_outcome outcome)
{
    struct promise *p = userdata;
    (void)outcome;
    if (p->is_forgotten)
        sim_violation("a ticket ends for somebody who is gone");
    if (p->ended++ > 0)
        sim_violation("ticket %llu ends twice", (unsigned long long)p->id);
    answered(p);
}

static void stop_world(struct client *c, struct ticket_request *r, bool flips)
{
    if (C.n_promises == TICKETS)
        sim_violation("too many tickets for this scenario");
    struct promise *p = &C.promises[C.n_promises++];
    *p = (struct promise){.client = c,
                          .reason = r->reason,
                          .is_operation = r->operation,
                          .is_accepted = true,
                          .flips = flips};
    r->uid = 1000 + c->index;
    r->debugger = c->index + 1;
    r->dispatched_ns = shm_now_ns();
    r->deadline_us = 200000;
    /* Behind others it waits; behind itself it would for ever. */
    const struct ticket *control = world_control(C.world);
    r->wait_us = control && control->request.debugger == c->index + 1 ? 0 : 60000000;
    r->hold_us = 3600000000u;
    r->on_served = on_served;
    r->on_ended = on_ended;
    r->userdata = p;
    uint64_t id;
    int v = world_stop(C.world, r, &id);
    if (v < 0) {
        if (p->served + p->ended > 0)
            sim_violation("a ticket was refused, and its callbacks came");
        p->is_accepted = false;
        cast_answered(c);
    } else {
        p->id = id;
    }
}

static void on_run_ended(void *userdata, const char *why)
{
    (void)why;
    const struct client *c = userdata;
    if (++C.runs_ended[c->index] > C.runs[c->index])
        sim_violation("a run-one ended twice, or for somebody who is gone");
}

static void run_one(struct client *c, struct worker *runner, bool until_still)
{
    const struct world_run run = {.runner = runner,
                                  .on_exit = c->index == 1 ? WORLD_RUNNER_EXIT_RESUME
                                                           : WORLD_RUNNER_EXIT_STOP,
                                  .until_still = until_still,
                                  .on_ended = on_run_ended,
                                  .userdata = c};
    C.runs[c->index]++;
    if (world_run_one(C.world, &run) < 0)
        C.runs[c->index]--;
}

/* ---- the conductor */

static int init(void)
{
    static const struct worlds_events events = {.on_ticket = on_ticket};
    memset(&C, 0, sizeof C);
    loop_begin(cast.scenario->has_loop_timers);
    C.bus = event_bus_new();
    C.worlds = C.bus ? worlds_new(NULL, C.bus) : NULL;
    if (!C.worlds)
        return -ENOMEM;
    worlds_set_events(C.worlds, &events);
    C.world = worlds_get(C.worlds, "default", false);
    return 0;
}

static void done(void)
{
    worlds_free(C.worlds);
    event_bus_free(C.bus);
}

static struct stop_world *stop(void)
{
    return world_stop_half(C.world);
}

static void born(struct cast_vm *vm)
{
    vm->worker.phase = WORKER_LOADING;
    vm->worker.pidfd = (int)vm->index;
    world_on_member_born(C.world, &vm->worker);
}

static void admitted(struct cast_vm *vm)
{
    vm->worker.phase = WORKER_ADMITTED;
    stop_admit(&vm->worker.gate);
    world_on_member_admitted(C.world, &vm->worker);
}

static void kicked(struct cast_vm *vm)
{
    world_on_member_kicked(C.world, &vm->worker);
}

static void ended(struct cast_vm *vm)
{
    world_on_member_ended(C.world, &vm->worker);
}

static void quit(struct client *c)
{
    for (unsigned i = 0; i < C.n_promises; i++) {
        struct promise *p = &C.promises[i];
        if (p->client != c || p->is_forgotten)
            continue;
        p->is_forgotten = true;
        if (p->served + p->ended == 0 && p->is_accepted)
            cast_answered(c);
        world_forget(C.world, p);
    }
    world_forget(C.world, c);
    C.runs[c->index] = C.runs_ended[c->index];
    for (unsigned i = 0; i < cast.n_vms; i++)
        if (cast.vms[i].is_known)
            world_release_all(C.world, &cast.vms[i].worker, c->index + 1);
    worlds_end_debugger(C.worlds, c->index + 1);
}

static void request(struct client *c, struct op op)
{
    struct worker *w = &cast.vms[op.vm].worker;
    struct world_resumption resumption;
    switch (op.what) {
    case OP_STOP:
    case OP_FLIP:
        stop_world(c, &(struct ticket_request){.reason = TICKET_ADMIN}, op.what == OP_FLIP);
        break;
    case OP_DEBUG:
        stop_world(c, &(struct ticket_request){.reason = TICKET_DEBUGGER}, op.what == OP_FLIP);
        break;
    case OP_FORCE:
        stop_world(c, &(struct ticket_request){.reason = TICKET_ADMIN, .enforce = true},
                   op.what == OP_FLIP);
        break;
    case OP_PARK:
        stop_world(c, &(struct ticket_request){.reason = TICKET_ADMIN, .require_idle = true},
                   op.what == OP_FLIP);
        break;
    case OP_LATE:
        stop_world(c, &(struct ticket_request){.reason = TICKET_ADMIN, .kill_late = true},
                   op.what == OP_FLIP);
        break;
    case OP_GC:
        stop_world(c, &(struct ticket_request){.reason = TICKET_GC, .operation = true},
                   op.what == OP_FLIP);
        break;
    case OP_CENSUS:
        stop_world(c, &(struct ticket_request){.reason = TICKET_CENSUS, .operation = true},
                   op.what == OP_FLIP);
        break;
    case OP_RESUME:
        (void)world_resume(C.world, &resumption);
        break;
    case OP_HOLD:
        (void)world_hold(C.world, w, c->index + 1, "d", 0);
        break;
    case OP_RELEASE:
        (void)world_release(C.world, w, c->index + 1, 0);
        break;
    case OP_ONLY:
    case OP_STEP:
        run_one(c, w, op.what == OP_STEP);
        break;
    case OP_QUIT:
        quit(c);
        break;
    default:
        break;
    }
}

static bool is_due(void)
{
    return C.operation_due != 0 || the_nudge.is_due || loop_is_due();
}

static void run_due(void)
{
    if (loop_is_due()) {
        loop_run_due();
        return;
    }
    if (the_nudge.is_due) {
        the_nudge.is_due = false;
        cast_nudge(the_nudge.world);
        return;
    }
    uint64_t id = C.operation_due;
    C.operation_due = 0;
    world_operation_done(C.world, id);
}

/* A deadline that passes although nobody hangs, is late or frozen is that of a poke which was lost.
 */
static void check_who_missed(void)
{
    uint64_t dropped;
    const struct event *e;
    while ((e = event_bus_next(C.bus, &C.seen, 1u << EVENT_VM_MISSED, &dropped)) != NULL)
        if (!cast.scenario->has_liar && !cast.scenario->has_delays && !C.was_frozen[e->vm - 1] &&
            !strpbrk(cast.vms[e->vm - 1].program, "DN"))
            sim_violation("vm %llu misses a deadline, and nothing keeps it from its gate",
                          (unsigned long long)e->vm - 1);
    for (unsigned i = 0; i < cast.n_vms; i++)
        C.was_frozen[i] = sim_is_frozen(ACTOR_VM + i);
}

static void check(void)
{
    check_who_missed();
    const struct stop_world *s = stop();
    enum world_mode mode = world_mode(C.world);
    if (mode == WORLD_RUN_ALL && !s->open)
        sim_violation("the world runs, and is closed");
    if (mode != WORLD_RUN_ALL && s->open)
        sim_violation("the world is %s, and open", world_mode_name(mode));
    if ((mode == WORLD_RUN_ONE) != (s->runner != NULL) && mode != WORLD_RUN_ONE)
        sim_violation("the world is %s, and has a runner", world_mode_name(mode));
    if (mode == WORLD_STOPPED)
        for (size_t i = 0; i < s->n_gates; i++) {
            const struct worker *w = s->gates[i]->userdata;
            if (!s->slots[i].arrived && w->freeze.state != WORKER_FROZEN &&
                !cast.scenario->has_liar)
                sim_violation("the world is stopped, and vm %llu has not arrived",
                              (unsigned long long)w->id - 1);
        }
    if (mode == WORLD_RUN_ALL && world_ticket(C.world))
        sim_violation("the world runs, and somebody waits for its stop");
    if (mode != WORLD_RUN_ALL && !world_resumes(C.world))
        sim_violation("the world is %s, and nothing is there to be resumed", world_mode_name(mode));
    if (world_runner(C.world) != 0 && !world_control(C.world))
        sim_violation("a run-one without a controller");
}

static void check_at_rest(void)
{
    const struct scenario *scenario = cast.scenario;
    if (world_late_scans(C.world) > 0 && !scenario->has_liar && !scenario->has_delays)
        sim_violation_at_rest("%llu stops were completed by the timer only",
                              (unsigned long long)world_late_scans(C.world));
    if (world_mode(C.world) == WORLD_STOPPING && !cast.scenario->has_liar)
        sim_violation_at_rest("the stop is never complete: %zu missing", stop()->n_missing);
    for (unsigned i = 0; i < C.n_promises; i++) {
        const struct promise *p = &C.promises[i];
        if (!p->is_accepted || p->is_forgotten)
            continue;
        bool waits = p->served + p->ended == 0;
        /* One that waits for a lease that nobody gives up waits for good: no timer runs here. */
        if (waits && !world_control(C.world))
            sim_violation_at_rest("ticket %llu neither served nor ended",
                                  (unsigned long long)p->id);
        if (p->is_operation && p->served > 0 && p->ended != 1)
            sim_violation_at_rest("operation %llu was served and has not ended",
                                  (unsigned long long)p->id);
    }
    for (unsigned i = 0; i < CAST_CLIENTS; i++)
        if (C.runs_ended[i] < C.runs[i] && world_runner(C.world) == 0)
            sim_violation_at_rest("a run-one of client %u is over, and it was not told", i);
}

static bool is_stopped(void)
{
    return world_mode(C.world) == WORLD_STOPPED;
}

static void print_state(FILE *to)
{
    const struct ticket *t = world_ticket(C.world);
    fprintf(to, "%s", world_mode_name(world_mode(C.world)));
    if (t)
        fprintf(to, " for ticket %llu", (unsigned long long)t->id);
    if (world_runner(C.world))
        fprintf(to, " runner %llu", (unsigned long long)world_runner(C.world) - 1);
    fprintf(to, ", ");
}

const struct conductor conductor_world = {
    .name = "world",
    .init = init,
    .done = done,
    .stop = stop,
    .born = born,
    .admitted = admitted,
    .kicked = kicked,
    .ended = ended,
    .request = request,
    .is_due = is_due,
    .run_due = run_due,
    .check = check,
    .check_at_rest = check_at_rest,
    .is_stopped = is_stopped,
    .print_state = print_state,
};
