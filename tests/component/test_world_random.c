/*
 * The real world, its stop half and its enforcer, under random operations: stops of several
 * debuggers with random wishes, resumes, runs of one VM, holds, leases, births and deaths, slow and
 * fast VMs, clients that go away at any moment. VMs are played, and honest; some have a process
 * that can be frozen. After each step everything that has to hold is looked at; at the end nothing
 * may be left.
 *
 * STILLPOINT_RANDOM_SEED repeats one run; STILLPOINT_RANDOM_MS is for how long new ones are begun.
 */
#include "tests/support/unit.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/event_bus.h"
#include "daemon/worker.h"
#include "daemon/worlds.h"
#include "shared-mem/map.h"

#define N_PLAYERS 6
#define N_DEBUGGERS 3
#define MAX_ASKED 64
#define STEPS 400
#define NAME "w"

struct player {
    struct worker worker; /* gate.world NULL: not born */
    struct status_page *status;
    uint32_t kick_answered;
    bool kick_due;
};

/* Somebody who waits for an answer: freed by the last word, as the daemon's own are. */
struct asked {
    struct ticket_request request;
    uint64_t ticket;
    bool served;
};

static struct event_base *base;
static struct event_bus *bus;
static struct worlds *worlds;
static struct freezer *freezer;
static struct player players[N_PLAYERS];
static struct asked *asked[MAX_ASKED];
static struct asked *running; /* who waits for the end of a run-one */
static long tickets[N_DEBUGGERS + 1];
static uint64_t seed, last_epoch, next_vm, ops_served;
static unsigned long n_served, n_partial, n_frozen, n_runs, n_ended;

/* xorshift64* */
static unsigned chance(unsigned n)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (unsigned)((seed * 2685821657736338717ull) >> 33) % n;
}

static struct world *the_world(void)
{
    struct world *w = worlds_get(worlds, NAME, false);
    if (!w) {
        w = worlds_get(worlds, NAME, true);
        last_epoch = 0;
    }
    assert_non_null(w);
    return w;
}

static void on_ticket(void *userdata, uint64_t debugger, int change)
{
    (void)userdata;
    tickets[debugger] += change;
    assert_true(tickets[debugger] >= 0);
}

/* ---- the VMs */

static bool is_born(const struct player *p)
{
    return p->worker.gate.world != NULL;
}

static bool may_run(const struct player *p)
{
    return shm_may_run(atomic_load(&p->worker.gate.world->page->word),
                       atomic_load(&p->worker.gate.command->word));
}

static enum shm_state state_of(const struct player *p)
{
    return shm_status_state(atomic_load(&p->status->word));
}

static void shows(struct player *p, enum shm_state state)
{
    uint64_t epoch = shm_world_epoch(atomic_load(&p->worker.gate.world->page->word));
    atomic_store(&p->status->word, shm_status_word(epoch, state));
    uint32_t kick = atomic_load(&p->worker.gate.command->kick);
    if (state != SHM_RUNNING && kick != p->kick_answered) {
        p->kick_answered = kick;
        p->kick_due = true;
    }
}

static void give_process(struct player *p)
{
    int born[2];
    char byte;
    assert_int_equal(pipe2(born, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (write(born[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    p->worker.pid = pid;
    p->worker.pidfd = pidfd_open(pid, 0);
    assert_true(p->worker.pidfd >= 0);
    assert_int_equal(read(born[0], &byte, 1), 1); /* a worker that has a status has run */
    close(born[0]);
    close(born[1]);
}

static void is_born_now(struct player *p)
{
    struct world *w = the_world();
    memset(p, 0, sizeof *p);
    p->worker.id = ++next_vm;
    p->worker.pidfd = -1;
    p->worker.phase = WORKER_LOADING;
    freezer_cell_init(freezer, &p->worker.cell, p->worker.id);
    snprintf(p->worker.name, sizeof p->worker.name, "vm-%llu", (unsigned long long)next_vm);
    assert_int_equal(stop_gate_init(&p->worker.gate, world_stop_half(w), &p->worker), 0);
    assert_int_equal(map_attach(p->worker.gate.status_fd, MAP_WRITER_SELF, (void **)&p->status), 0);
    stop_gate_handed_over(&p->worker.gate);
    if (chance(4) == 0)
        give_process(p);
    world_on_member_born(w, &p->worker);
}

static void ends(struct player *p)
{
    struct world *w = the_world();
    if (p->worker.pidfd >= 0) {
        siginfo_t si;
        pidfd_send_signal(p->worker.pidfd, SIGKILL, NULL, 0);
        waitid(P_PIDFD, (id_t)p->worker.pidfd, &si, WEXITED);
        close(p->worker.pidfd);
        p->worker.pidfd = -1;
    }
    p->worker.phase = WORKER_GONE;
    world_on_member_ended(w, &p->worker);
    map_done(p->status);
    memset(p, 0, sizeof *p);
}

/* One step of an honest VM: what its gate lets it do. */
static void acts(struct player *p)
{
    struct worker *w = &p->worker;
    if (w->freeze.state == WORKER_FREEZING || w->freeze.state == WORKER_FROZEN)
        return;
    if (w->phase == WORKER_LOADING) {
        if (chance(3) == 0 && w->exit.reason == 0) {
            w->phase = WORKER_ADMITTED;
            stop_admit(&w->gate);
            world_on_member_admitted(the_world(), w);
        }
        return;
    }
    bool open = may_run(p);
    if (state_of(p) == SHM_RUNNING)
        shows(p, !open            ? SHM_PARKED
                 : chance(2) == 0 ? SHM_RUNNING
                 : chance(2) == 0 ? SHM_IDLE
                                  : SHM_BLOCKED);
    else
        shows(p, open || chance(4) == 0 ? SHM_RUNNING : SHM_PARKED);
}

static void answers_kick(struct player *p)
{
    if (!p->kick_due)
        return;
    p->kick_due = false;
    world_on_member_kicked(the_world(), &p->worker);
}

/* ---- those who ask */

static void check_report(const struct asked *a, const struct stop_report *r)
{
    const struct stop_world *stop = world_stop_half(the_world());
    assert_true(r->mode == WORLD_STOPPED || (r->mode == WORLD_STOPPING && r->n_missing > 0));
    assert_int_equal(r->ticket->id, a->ticket ? a->ticket : r->ticket->id);
    size_t living = 0;
    for (size_t i = 0; i < r->n_arrivals; i++) {
        living += r->arrivals[i].how != ARRIVAL_DEAD;
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(r->arrivals[i].vm, r->arrivals[j].vm);
    }
    if (r->mode == WORLD_STOPPED)
        assert_int_equal(living, stop->n_gates);
    for (size_t i = 0; i < stop->n_gates; i++) {
        const struct worker *w = stop->gates[i]->userdata;
        bool missing = false;
        enum arrival_how how = 0;
        for (size_t j = 0; j < r->n_missing; j++)
            missing |= r->missing[j] == w->id;
        for (size_t j = 0; j < r->n_arrivals; j++)
            if (r->arrivals[j].vm == w->id)
                how = r->arrivals[j].how;
        assert_true(how != 0 || missing);
        assert_false(missing && how == ARRIVAL_ACKED && w->freeze.state != WORKER_FREEZE_FAILED);
        assert_false(missing && how == ARRIVAL_HELD && !a->request.require_idle &&
                     w->freeze.state != WORKER_FREEZE_FAILED);
        if (a->request.enforce && r->n_missing == 0 && w->pidfd >= 0 && w->phase == WORKER_ADMITTED)
            assert_int_equal(how, ARRIVAL_ENFORCED);
    }
}

static void forget(struct asked *a)
{
    for (size_t i = 0; i < MAX_ASKED; i++)
        if (asked[i] == a)
            asked[i] = NULL;
    free(a);
}

static void on_served(void *userdata, const struct stop_report *r)
{
    struct asked *a = userdata;
    assert_false(a->served);
    check_report(a, r);
    a->served = true;
    a->ticket = r->ticket->id;
    n_served++;
    n_partial += r->mode != WORLD_STOPPED;
    if (!a->request.operation) {
        forget(a);
        return;
    }
    assert_int_equal(ops_served++, 0);
    for (size_t i = 0; i < N_PLAYERS; i++)
        if (is_born(&players[i]) && players[i].worker.phase == WORKER_ADMITTED &&
            stop_report_how(&players[i].worker) != 0 &&
            !stop_report_is_missing(&players[i].worker, r->ticket) && chance(2) == 0)
            world_serve_begin(the_world(), &players[i].worker);
    if (chance(20) == 0) {
        world_operation_done(the_world(), r->ticket->id);
    }
}

static void stop_serving(void)
{
    for (size_t i = 0; i < N_PLAYERS; i++)
        if (is_born(&players[i]))
            world_serve_end(the_world(), &players[i].worker);
}

static void on_ended(void *userdata, enum ticket_outcome outcome)
{
    struct asked *a = userdata;
    assert_true(a->request.operation || !a->served);
    assert_true(outcome != TICKET_SERVED || a->served);
    if (a->served) {
        ops_served--;
        stop_serving();
    }
    n_ended++;
    forget(a);
}

static void on_run_ended(void *userdata, const char *why)
{
    assert_ptr_equal(userdata, running);
    assert_non_null(why);
    free(running);
    running = NULL;
    n_runs++;
}

static void asks(void)
{
    static const uint64_t times[] = {0, 500, 2000, 10000, 3600000000u};
    size_t i = 0;
    while (i < MAX_ASKED && asked[i])
        i++;
    struct asked *a = i < MAX_ASKED ? calloc(1, sizeof *a) : NULL;
    if (!a)
        return;
    asked[i] = a;
    a->request = (struct ticket_request){
        .reason = chance(2) == 0 ? TICKET_ADMIN : (enum ticket_reason)chance(TICKET_REASONS),
        .uid = 1000,
        .debugger = 1 + chance(N_DEBUGGERS),
        .deadline_us = 500 + times[chance(4)],
        .wait_us = times[chance(5)],
        .hold_us = times[1 + chance(4)],
        .enforce = chance(4) == 0,
        .require_idle = chance(4) == 0,
        .kill_late = chance(6) == 0,
        .on_served = on_served,
        .on_ended = on_ended,
        .userdata = a,
    };
    a->request.operation =
        a->request.reason != TICKET_ADMIN && a->request.reason != TICKET_DEBUGGER;
    uint64_t ticket;
    struct world *w = the_world();
    int r = world_stop(w, &a->request, &ticket);
    assert_true(r == 0 || r == -EBUSY);
    if (r < 0)
        forget(a);
    else if (asked[i] == a)
        a->ticket = ticket;
    world_drop_if_unused(w);
}

static void client_goes(void)
{
    struct asked *a = asked[chance(MAX_ASKED)];
    struct world *w = the_world();
    if (running && chance(4) == 0) {
        world_forget(w, running);
        free(running);
        running = NULL;
    }
    if (!a)
        return;
    if (a->served) {
        ops_served--;
        stop_serving();
    }
    world_forget(w, a);
    world_drop_if_unused(w);
    forget(a);
}

static void operation_ends(void)
{
    for (size_t i = 0; i < MAX_ASKED; i++)
        if (asked[i] && asked[i]->served) {
            struct world *w = the_world();
            stop_serving();
            world_operation_done(w, asked[i]->ticket);
            world_drop_if_unused(w);
            return;
        }
}

static void resumes(void)
{
    struct world *w = the_world();
    struct world_resumption done;
    const struct ticket *t = world_resumes(w);
    int r = world_resume(w, &done);
    assert_int_equal(r, t ? 0 : -EALREADY);
    world_drop_if_unused(w);
}

static void runs_one(struct player *p)
{
    struct asked *a = calloc(1, sizeof *a);
    const struct world_run run = {
        .runner = &p->worker,
        .on_exit = chance(2) == 0 ? WORLD_RUNNER_EXIT_STOP : WORLD_RUNNER_EXIT_RESUME,
        .until_still = chance(2) == 0,
        .deadline_us = chance(3) == 0 ? 1 + chance(3000) : 0,
        .on_ended = on_run_ended,
        .userdata = a,
    };
    struct asked *before = running;
    running = a; /* its end may come inside */
    int r = world_run_one(the_world(), &run);
    if (r < 0) {
        running = before;
        free(a);
    } else {
        assert_null(before); /* it was told before another could begin */
    }
}

static void debugger_ends(void)
{
    uint64_t debugger = 1 + chance(N_DEBUGGERS);
    for (size_t i = 0; i < N_PLAYERS; i++)
        if (is_born(&players[i]))
            world_release_all(the_world(), &players[i].worker, debugger);
    worlds_end_debugger(worlds, debugger);
    assert_int_equal(tickets[debugger], 0);
}

/* ---- what has to hold */

static long count(const struct ticket *t, uint64_t debugger)
{
    return t && t->request.debugger == debugger;
}

static void check_tickets(const struct world *w)
{
    const struct ticket *t, *served = world_ticket(w), *control = world_control(w);
    for (uint64_t d = 1; d <= N_DEBUGGERS; d++) {
        long n = count(served, d) + (control != served ? count(control, d) : 0);
        for (size_t i = 0; (t = world_queued(w, i)) != NULL; i++)
            n += count(t, d);
        for (size_t i = 0; i < N_PLAYERS; i++)
            for (size_t h = 0; h < players[i].worker.n_holds; h++)
                n += players[i].worker.holds[h].debugger == d;
        assert_int_equal(tickets[d], n);
    }
}

static void check_gates(struct world *w)
{
    const struct stop_world *stop = world_stop_half(w);
    enum world_mode mode = world_mode(w);
    size_t missing = 0;
    for (size_t i = 0; i < N_PLAYERS; i++) {
        const struct player *p = &players[i];
        const struct stop_gate *g = &p->worker.gate;
        if (!is_born(p))
            continue;
        bool released = g->birth_done && g->holds == 0;
        assert_int_equal(stop_slot(g)->open, may_run(p));
        if (mode == WORLD_RUN_ALL)
            assert_int_equal(stop_slot(g)->open, released);
        else if (mode == WORLD_RUN_ONE)
            assert_int_equal(stop_slot(g)->open, released && p->worker.id == world_runner(w));
        else
            assert_false(stop_slot(g)->open);
        if (mode == WORLD_STOPPED)
            assert_true(stop_slot(g)->arrived || p->worker.freeze.state == WORKER_FROZEN);
        if (mode == WORLD_RUN_ALL || stop_slot(g)->open) {
            assert_int_equal(p->worker.freeze.state, WORKER_THAWED);
            assert_false(p->worker.serving);
        }
        assert_int_equal(stop_slot(g)->excused, p->worker.freeze.state == WORKER_FROZEN);
        n_frozen += stop_slot(g)->excused;
        /* A VM that serves was thawed; and all are honest. */
        assert_false(p->worker.serving && stop_slot(g)->excused);
        assert_false(p->worker.freeze.lied);
        missing += !stop_slot(g)->open && !stop_slot(g)->arrived && !stop_slot(g)->excused;
    }
    assert_int_equal(stop->n_missing, missing);
}

static void check(void)
{
    struct world *w = the_world();
    enum world_mode mode = world_mode(w);
    assert_true(world_epoch(w) >= last_epoch);
    last_epoch = world_epoch(w);
    check_gates(w);
    check_tickets(w);
    if (mode == WORLD_RUN_ALL) {
        assert_null(world_ticket(w));
        assert_null(world_queued(w, 0));
        assert_int_equal(world_target(w), 0);
    } else {
        assert_non_null(world_ticket(w)); /* nobody is stranded */
    }
    if (mode == WORLD_RUN_ONE)
        assert_int_not_equal(world_runner(w), 0);
    if (world_runner(w) != 0) {
        assert_non_null(world_control(w));
        assert_non_null(world_member(w, world_runner(w)));
    } else if (mode != WORLD_STOPPING) {
        assert_null(running); /* whoever waited for it was told */
    }
    if (world_target(w) != 0)
        assert_non_null(world_member(w, world_target(w)));
    assert_true(ops_served <= 1);
}

static void show(void)
{
    const struct world *w = the_world();
    const struct ticket *t = world_ticket(w);
    fprintf(stderr, "# %s, runner %llu, ticket %llu:%s%s%s%s, control %llu, queued %d\n",
            world_mode_name(world_mode(w)), (unsigned long long)world_runner(w),
            t ? (unsigned long long)t->id : 0, t && t->request.operation ? " operation" : "",
            t && t->request.enforce ? " enforce" : "",
            t && t->request.require_idle ? " require-idle" : "", t && t->missed ? " missed" : "",
            world_control(w) ? (unsigned long long)world_control(w)->id : 0,
            world_queued(w, 0) != NULL);
    for (size_t i = 0; i < N_PLAYERS; i++) {
        const struct player *p = &players[i];
        if (is_born(p))
            fprintf(
                stderr,
                "# vm %llu: phase %d, shows %d, %s%s%s%s how %d, freeze %d, exit %d, holds %u\n",
                (unsigned long long)p->worker.id, (int)p->worker.phase, (int)state_of(p),
                stop_slot(&p->worker.gate)->open ? "open" : "closed",
                stop_slot(&p->worker.gate)->arrived ? ", arrived" : "",
                p->worker.pidfd >= 0 ? ", process" : "", p->worker.serving ? ", serves" : "",
                (int)stop_slot(&p->worker.gate)->how, (int)p->worker.freeze.state,
                (int)p->worker.exit.reason, p->worker.gate.holds);
    }
}

static void turn(void)
{
    event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

/* Lets the loop run for so long: timers are due when they are. */
static void turn_for(unsigned us)
{
    const struct timeval end = {.tv_usec = (suseconds_t)us};
    event_base_loopexit(base, &end);
    event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
}

static void step(void)
{
    struct player *p = &players[chance(N_PLAYERS)];
    struct world *w = the_world();
    uint64_t debugger = 1 + chance(N_DEBUGGERS);
    switch (chance(20)) {
    case 0:
        if (is_born(p) && chance(3) == 0)
            ends(p);
        else if (!is_born(p))
            is_born_now(p);
        break;
    case 1:
    case 2:
        asks();
        break;
    case 3:
        if (chance(2) == 0)
            resumes();
        break;
    case 4:
    case 5:
        for (size_t i = 0; i < N_PLAYERS; i++)
            if (is_born(&players[i]))
                runs_one(&players[i]);
        break;
    case 6:
        if (is_born(p))
            world_hold(w, &p->worker, debugger, "d", 1000);
        break;
    case 7:
        if (is_born(p) && world_release(w, &p->worker, debugger, 1000) == -EALREADY)
            world_release_all(w, &p->worker, debugger % N_DEBUGGERS + 1);
        break;
    case 8:
        if (chance(4) == 0)
            world_move_lease(w, debugger, "d", 1000, false, true, 1 + chance(20000), "stolen");
        break;
    case 9:
        client_goes();
        break;
    case 10:
        operation_ends();
        break;
    case 11:
        if (chance(4) == 0)
            debugger_ends();
        break;
    case 12:
        if (is_born(p))
            world_set_target(w, &p->worker);
        break;
    case 13:
        turn_for(chance(1500));
        break;
    case 14:
    case 15:
        if (is_born(p))
            answers_kick(p);
        break;
    default:
        if (is_born(p))
            acts(p);
    }
    /* What was killed is reaped some time. */
    for (size_t i = 0; i < N_PLAYERS; i++)
        if (is_born(&players[i]) && players[i].worker.exit.reason != 0 && chance(4) == 0)
            ends(&players[i]);
    if (chance(3) == 0)
        turn();
}

/* Everybody does what he has to do, for long enough. */
static void settle(void)
{
    uint64_t begun = shm_now_ns(); /* a freeze may take long on a machine with much to do */
    for (int i = 0; shm_now_ns() - begun < 10000000000u; i++) {
        bool quiet = true;
        operation_ends();
        for (size_t k = 0; k < N_PLAYERS; k++) {
            struct player *p = &players[k];
            if (!is_born(p))
                continue;
            if (p->worker.exit.reason != 0) {
                ends(p);
                continue;
            }
            if (!may_run(p))
                acts(p);
            answers_kick(p);
            quiet &= p->worker.freeze.state != WORKER_SETTLING &&
                     p->worker.freeze.state != WORKER_FREEZING;
        }
        turn();
        check();
        enum world_mode mode = world_mode(the_world());
        bool waits =
            mode == WORLD_STOPPING || (mode == WORLD_STOPPED && !world_control(the_world()));
        if (quiet && !waits && ops_served == 0 && i > 5)
            break;
        turn_for(500);
    }
}

static void one_run(void)
{
    static const struct worlds_events events = {.on_ticket = on_ticket};
    base = event_base_new();
    bus = event_bus_new();
    freezer = freezer_new_signals("a test");
    worlds = worlds_new(base, bus);
    worlds_set_events(worlds, &events);
    last_epoch = next_vm = ops_served = 0;
    for (int i = 0; i < STEPS; i++) {
        step();
        check();
    }
    /* Without a resume, or any new request: a stop that waits for something comes to it. */
    settle();
    enum world_mode mode = world_mode(the_world());
    if (mode == WORLD_STOPPING || mode == WORLD_STOPPED)
        show();
    assert_int_not_equal(mode, WORLD_STOPPING);
    assert_true(mode != WORLD_STOPPED || world_control(the_world()));
    while (world_resumes(the_world())) {
        resumes();
        settle();
    }
    assert_int_equal(world_mode(the_world()), WORLD_RUN_ALL);
    for (size_t i = 0; i < MAX_ASKED; i++)
        assert_null(asked[i]);
    assert_null(running);
    for (size_t i = 0; i < N_PLAYERS; i++)
        if (is_born(&players[i]))
            ends(&players[i]);
    for (size_t d = 1; d <= N_DEBUGGERS; d++)
        assert_int_equal(tickets[d], 0);
    assert_int_equal(world_members(the_world()), 0);
    world_drop_if_unused(the_world());
    assert_null(worlds_get(worlds, NAME, false));
    worlds_free(worlds);
    freezer_free(freezer);
    event_bus_free(bus);
    event_base_free(base);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void whatever_happens_all_that_is_promised_holds(void **state)
{
    (void)state;
    uint64_t given = number_of("STILLPOINT_RANDOM_SEED", 0), begun = shm_now_ns();
    uint64_t ms = number_of("STILLPOINT_RANDOM_MS", 2000);
    uint64_t first = given ? given : (uint64_t)getpid() << 32 ^ begun;
    unsigned long runs = 0;
    do {
        uint64_t this = first + runs++;
        fprintf(stderr, "# seed %llu\n", (unsigned long long)this);
        seed = this * 0x9e3779b97f4a7c15ull | 1;
        one_run();
    } while (!given && shm_now_ns() - begun < ms * 1000000u);
    libevent_global_shutdown();
    printf("# %lu runs from seed %llu: %lu served (%lu partial), %lu ended, %lu run-ones, "
           "%lu looks at frozen VMs\n",
           runs, (unsigned long long)first, n_served, n_partial, n_ended, n_runs, n_frozen);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(whatever_happens_all_that_is_promised_holds),
};

UNIT_MAIN(tests)
