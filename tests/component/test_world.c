/*
 * The real world and its stop half, with workers that this test plays: it writes their status pages
 * and answers their kicks. Everything that a stop can meet is forced here, one step after the
 * other.
 */
#include "tests/support/unit.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
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
#include "shared-mem/futex.h"
#include "shared-mem/map.h"

/* What one request came to. `served` and `ended` count calls; `order` says which was served when.
 */
struct outcome {
    int served, ended, order;
    enum ticket_outcome outcome;
    enum world_mode mode;
    uint64_t ticket, word;
    size_t n_arrivals, n_missing;
    struct arrival arrivals[8];
    uint64_t missing[8];
};

#define ME 7 /* ids of debuggers */
#define OTHER 8

struct player {
    struct worker worker;
    struct status_page *status;
    int pulse_fd; /* of its process, if it has one */
};

static struct event_base *base;
static struct event_bus *bus;
static struct worlds *worlds;
static struct world *world;
static struct freezer *freezer;
static struct player players[4];
static int services, tickets_open;

static void on_ticket(void *userdata, uint64_t debugger, int change)
{
    (void)userdata, (void)debugger;
    tickets_open += change;
    assert_true(tickets_open >= 0);
}

static int setup(void **state)
{
    (void)state;
    static const struct worlds_events events = {.on_ticket = on_ticket};
    services = tickets_open = 0;
    base = event_base_new();
    bus = event_bus_new();
    freezer = freezer_new_signals("a test");
    worlds = worlds_new(base, bus);
    worlds_set_events(worlds, &events);
    world = worlds_get(worlds, "default", false);
    assert_non_null(world);
    return 0;
}

/* The process of a player that has one. */
static void reap(struct player *p)
{
    if (p->worker.pidfd < 0)
        return;
    siginfo_t si;
    pidfd_send_signal(p->worker.pidfd, SIGKILL, NULL, 0);
    waitid(P_PIDFD, (id_t)p->worker.pidfd, &si, WEXITED);
    close(p->worker.pidfd);
    close(p->pulse_fd);
    p->worker.pidfd = -1;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        if (players[i].worker.gate.world) {
            reap(&players[i]);
            world_on_member_ended(world, &players[i].worker);
        }
        map_done(players[i].status);
        memset(&players[i], 0, sizeof players[i]);
    }
    worlds_free(worlds);
    assert_int_equal(tickets_open, 0); /* each ticket that began has ended, once */
    freezer_free(freezer);
    event_bus_free(bus);
    event_base_free(base);
    libevent_global_shutdown();
    return 0;
}

static void shows(struct player *p, enum shm_state state)
{
    uint64_t epoch = shm_world_epoch(atomic_load(&world_stop_half(world)->page->word));
    atomic_store(&p->status->word, shm_status_word(epoch, state));
}

static struct player *born(int i, enum shm_state state)
{
    struct player *p = &players[i];
    p->worker.id = (uint64_t)i + 1;
    p->worker.pidfd = -1;
    p->worker.phase = WORKER_ADMITTED;
    freezer_cell_init(freezer, &p->worker.cell, p->worker.id);
    snprintf(p->worker.name, sizeof p->worker.name, "vm-%d", i);
    assert_int_equal(stop_gate_init(&p->worker.gate, world_stop_half(world), &p->worker), 0);
    assert_int_equal(map_attach(p->worker.gate.status_fd, MAP_WRITER_SELF, (void **)&p->status), 0);
    stop_gate_handed_over(&p->worker.gate);
    world_on_member_born(world, &p->worker);
    if (state != SHM_STARTING) {
        stop_admit(&p->worker.gate);
        shows(p, state);
    }
    return p;
}

static void arrives(struct player *p)
{
    shows(p, SHM_PARKED);
    world_on_member_kicked(world, &p->worker);
}

static void on_served(void *userdata, const struct stop_report *report)
{
    struct outcome *o = userdata;
    o->served++;
    o->order = ++services;
    o->mode = report->mode;
    o->ticket = report->ticket->id;
    o->word = atomic_load(&world_stop_half(world)->page->word);
    o->n_arrivals = report->n_arrivals;
    o->n_missing = report->n_missing;
    memcpy(o->arrivals, report->arrivals, report->n_arrivals * sizeof *report->arrivals);
    memcpy(o->missing, report->missing, report->n_missing * sizeof *report->missing);
}

static void on_ended(void *userdata, enum ticket_outcome outcome)
{
    struct outcome *o = userdata;
    o->ended++;
    o->outcome = outcome;
}

static struct ticket_request request_of(struct outcome *o, enum ticket_reason reason,
                                        uint64_t debugger, uint64_t wait_us)
{
    return (struct ticket_request){
        .reason = reason,
        .operation = reason != TICKET_ADMIN && reason != TICKET_DEBUGGER,
        .uid = 1000,
        .debugger = debugger,
        .deadline_us = 20000,
        .wait_us = wait_us,
        .hold_us = 3600000000u,
        .on_served = on_served,
        .on_ended = on_ended,
        .userdata = o,
    };
}

static int ask(struct outcome *o, enum ticket_reason reason, uint64_t debugger, uint64_t wait_us)
{
    uint64_t ticket;
    const struct ticket_request r = request_of(o, reason, debugger, wait_us);
    return world_stop(world, &r, &ticket);
}

static int stop(struct outcome *o, enum ticket_reason reason, uint64_t wait_us)
{
    return ask(o, reason, ME, wait_us);
}

static int resume(uint64_t *ret_next)
{
    struct world_resumption r = {0};
    int v = world_resume(world, &r);
    *ret_next = r.next_ticket;
    return v;
}

static void loop_until(const int *flag)
{
    for (int i = 0; *flag == 0 && i < 100000; i++)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_not_equal(*flag, 0);
}

static uint32_t pokes(const struct player *p)
{
    return atomic_load(&p->worker.gate.command->poke);
}

static void an_empty_world_stops_at_once(void **state)
{
    (void)state;
    struct outcome o = {0};
    uint64_t next;
    assert_int_equal(stop(&o, TICKET_ADMIN, 0), 0);
    assert_int_equal(o.served, 1);
    assert_int_equal(o.mode, WORLD_STOPPED);
    assert_int_equal(o.n_arrivals + o.n_missing, 0);
    assert_int_equal(resume(&next), 0);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    assert_int_equal(resume(&next), -EALREADY);
}

static void idle_and_blocked_count_as_held_and_are_not_disturbed(void **state)
{
    (void)state;
    struct player *idle = born(0, SHM_IDLE), *blocked = born(1, SHM_BLOCKED);
    struct outcome o = {0};
    assert_int_equal(stop(&o, TICKET_ADMIN, 0), 0);
    assert_int_equal(o.served, 1);
    assert_int_equal(o.mode, WORLD_STOPPED);
    assert_int_equal(o.n_arrivals, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(o.arrivals[i].how, ARRIVAL_HELD);
    assert_int_equal(pokes(idle) + pokes(blocked), 0);
    uint32_t bell = atomic_load(&idle->worker.gate.command->bell);
    uint64_t next;
    resume(&next);
    assert_int_equal(atomic_load(&idle->worker.gate.command->bell), bell); /* no wake for it */
}

static void a_running_vm_is_poked_once_and_the_stop_waits_for_it(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    struct outcome o = {0};
    assert_int_equal(stop(&o, TICKET_ADMIN, 0), 0);
    assert_int_equal(o.served, 0);
    assert_int_equal(world_mode(world), WORLD_STOPPING);
    for (int i = 0; i < 5; i++)
        world_on_member_kicked(world, &p->worker); /* looks that find it running */
    assert_int_equal(pokes(p), 1);
    arrives(p);
    assert_int_equal(o.served, 1);
    assert_int_equal(o.arrivals[0].how, ARRIVAL_ACKED);
    assert_int_equal(o.arrivals[0].was, SHM_RUNNING);
}

static void a_vm_that_goes_idle_instead_of_parking_is_held(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    struct outcome o = {0};
    stop(&o, TICKET_ADMIN, 0);
    shows(p, SHM_IDLE);
    world_on_member_kicked(world, &p->worker);
    assert_int_equal(o.served, 1);
    assert_int_equal(o.arrivals[0].how, ARRIVAL_HELD);
}

static void the_death_of_the_last_straggler_completes_the_stop(void **state)
{
    (void)state;
    born(0, SHM_IDLE);
    struct player *p = born(1, SHM_RUNNING);
    struct outcome o = {0};
    stop(&o, TICKET_ADMIN, 0);
    assert_int_equal(o.served, 0);
    world_on_member_ended(world, &p->worker);
    assert_int_equal(o.served, 1);
    assert_int_equal(o.mode, WORLD_STOPPED);
    assert_int_equal(o.n_arrivals, 2);
    assert_int_equal(o.arrivals[1].how, ARRIVAL_DEAD);
    assert_int_equal(o.arrivals[1].vm, 2);
}

static void a_birth_during_a_stop_counts_as_held_and_stays_closed(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    struct outcome o = {0};
    stop(&o, TICKET_ADMIN, 0);
    struct player *child = born(1, SHM_STARTING);
    stop_admit(&child->worker.gate);
    assert_false(stop_is_open(&child->worker.gate));
    arrives(p);
    assert_int_equal(o.n_arrivals, 2);
    uint64_t next;
    resume(&next);
    assert_true(stop_is_open(&child->worker.gate));
}

static void who_does_not_arrive_by_the_deadline_is_named_and_resume_works(void **state)
{
    (void)state;
    born(0, SHM_IDLE);
    struct player *p = born(1, SHM_RUNNING);
    struct outcome o = {0};
    uint64_t next;
    stop(&o, TICKET_ADMIN, 0);
    loop_until(&o.served);
    assert_int_equal(o.mode, WORLD_STOPPING);
    assert_int_equal(o.n_missing, 1);
    assert_int_equal(o.missing[0], 2);
    assert_int_equal(o.n_arrivals, 1);
    arrives(p); /* late: the stop completes, and is not reported twice */
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    assert_int_equal(o.served, 1);
    assert_int_equal(resume(&next), 0);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
}

/* A process that ends when it is nudged. */
static void ends_when_nudged(struct player *p)
{
    sigset_t nudges, before;
    int number;
    sigemptyset(&nudges);
    sigaddset(&nudges, SHM_SIGNAL);
    sigprocmask(SIG_BLOCK, &nudges, &before);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigwait(&nudges, &number);
        _exit(0);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    p->worker.pidfd = pidfd_open(pid, 0);
    p->pulse_fd = -1;
    assert_true(p->worker.pidfd >= 0);
}

static void who_runs_on_in_a_stop_is_nudged(void **state)
{
    (void)state;
    struct player *idle = born(0, SHM_IDLE), *running = born(1, SHM_RUNNING);
    struct outcome o = {0};
    ends_when_nudged(idle);
    ends_when_nudged(running);
    struct pollfd ended = {.fd = running->worker.pidfd, .events = POLLIN};
    stop(&o, TICKET_ADMIN, 0);
    for (int i = 0; i < 2000 && poll(&ended, 1, 0) == 0; i++) /* looks, 10 ms apart */
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(ended.revents & POLLIN, POLLIN);
    ended.fd = idle->worker.pidfd;
    assert_int_equal(poll(&ended, 1, 0), 0);
}

static void a_stop_can_be_cancelled_before_it_completes(void **state)
{
    (void)state;
    born(0, SHM_RUNNING);
    struct outcome o = {0};
    uint64_t next;
    stop(&o, TICKET_ADMIN, 0);
    assert_int_equal(resume(&next), 0);
    assert_int_equal(o.served, 0);
    assert_int_equal(o.ended, 1);
    assert_int_equal(o.outcome, TICKET_CANCELLED);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
}

static void a_second_stop_is_refused_or_waits_and_no_gate_moves_between_two(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    struct outcome first = {0}, busy = {0}, admin = {0}, gc = {0};
    uint64_t next;
    stop(&first, TICKET_ADMIN, 0);
    assert_int_equal(ask(&busy, TICKET_ADMIN, OTHER, 0), -EBUSY);
    assert_int_equal(ask(&admin, TICKET_ADMIN, OTHER, 1000000), 0);
    arrives(p);
    assert_int_equal(ask(&busy, TICKET_GC, OTHER, 0), -EBUSY);
    assert_int_equal(ask(&gc, TICKET_GC, OTHER, 1000000), 0);
    uint64_t word = atomic_load(&world_stop_half(world)->page->word);
    resume(&next);
    assert_int_equal(gc.served, 1); /* the more urgent first */
    assert_int_equal(gc.ticket, next);
    assert_int_equal(admin.served, 0);
    world_operation_done(world, gc.ticket);
    assert_int_equal(gc.outcome, TICKET_SERVED);
    assert_int_equal(admin.served, 1);
    /* Not one store in between: nobody could have run. */
    assert_int_equal(gc.word, word);
    assert_int_equal(admin.word, word);
    resume(&next);
    assert_int_equal(next, 0);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    assert_int_equal(busy.served + busy.ended, 0);
    assert_int_equal(first.served + gc.served + admin.served, 3);
}

static void time_in_the_queue_runs_out(void **state)
{
    (void)state;
    struct outcome first = {0}, second = {0};
    stop(&first, TICKET_ADMIN, 0);
    stop(&second, TICKET_ADMIN, 5000);
    loop_until(&second.ended);
    assert_int_equal(second.outcome, TICKET_TIMED_OUT);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
}

/* Steps through all orders of n things (Heap's algorithm, one swap a step). False after the last.
 */
static bool next_order(int *order, int *counters, int n)
{
    for (int i = 1; i < n; counters[i++] = 0)
        if (counters[i] < i) {
            int k = i % 2 ? counters[i] : 0, t = order[k];
            order[k] = order[i];
            order[i] = t;
            counters[i]++;
            return true;
        }
    return false;
}

static void the_most_urgent_is_served_first_whatever_the_order_of_requests(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    int order[TICKET_REASONS] = {0, 1, 2, 3, 4}, counters[TICKET_REASONS] = {0}, orders = 0;
    do {
        struct outcome o[TICKET_REASONS] = {0};
        uint64_t next;
        shows(p, SHM_RUNNING);
        services = 0;
        for (int i = 0; i < TICKET_REASONS; i++)
            assert_int_equal(stop(&o[order[i]], (enum ticket_reason)order[i], 1000000), 0);
        assert_int_equal(services, 0);
        arrives(p);
        world_operation_done(world, o[TICKET_GC].ticket);
        world_operation_done(world, o[TICKET_AUDIT].ticket);
        world_operation_done(world, o[TICKET_CENSUS].ticket);
        resume(&next);
        assert_int_equal(next, o[TICKET_ADMIN].ticket);
        assert_int_equal(o[TICKET_GC].order, 1);
        assert_int_equal(o[TICKET_DEBUGGER].order, 2);
        assert_int_equal(o[TICKET_AUDIT].order, 3);
        assert_int_equal(o[TICKET_CENSUS].order, 4);
        assert_int_equal(o[TICKET_ADMIN].order, 5);
        for (int i = 0; i < TICKET_REASONS; i++)
            assert_int_equal(o[i].word, o[0].word); /* one stop for all */
        resume(&next);
        assert_int_equal(world_mode(world), WORLD_RUN_ALL);
        orders++;
    } while (next_order(order, counters, TICKET_REASONS));
    assert_int_equal(orders, 120);
}

static void an_operation_ends_by_itself_and_the_world_goes_on(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    struct outcome o = {0};
    uint64_t next;
    assert_int_equal(stop(&o, TICKET_GC, 0), 0);
    arrives(p);
    assert_int_equal(o.served, 1);
    assert_int_equal(o.ended, 0);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    world_operation_done(world, o.ticket + 1); /* not its ticket */
    assert_int_equal(o.ended, 0);
    world_operation_done(world, o.ticket);
    assert_int_equal(o.ended, 1);
    assert_int_equal(o.outcome, TICKET_SERVED);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    world_operation_done(world, o.ticket);
    assert_int_equal(o.ended, 1);
    assert_int_equal(resume(&next), -EALREADY);
}

static void two_requests_for_the_same_reason_are_two(void **state)
{
    (void)state;
    struct outcome first = {0}, second = {0};
    stop(&first, TICKET_GC, 0);
    assert_int_equal(first.served, 1);
    assert_int_equal(stop(&second, TICKET_GC, 1000000), 0); /* while the first is being served */
    assert_int_equal(second.served, 0);
    world_operation_done(world, first.ticket);
    assert_int_equal(second.served, 1);
    assert_true(second.ticket > first.ticket);
    world_operation_done(world, second.ticket);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
}

static void an_operation_of_the_controller_runs_inside_its_stop(void **state)
{
    (void)state;
    struct outcome control = {0}, gc = {0}, foreign = {0};
    uint64_t next;
    stop(&control, TICKET_ADMIN, 0);
    assert_int_equal(ask(&foreign, TICKET_GC, OTHER, 0), -EBUSY);
    assert_int_equal(stop(&gc, TICKET_GC, 0), 0);
    assert_int_equal(gc.served, 1);
    world_operation_done(world, gc.ticket);
    assert_int_equal(world_mode(world), WORLD_STOPPED); /* it was the controller's before */
    assert_int_equal(resume(&next), 0);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
}

static void a_resume_ends_the_operation_of_its_own_debugger_too(void **state)
{
    (void)state;
    struct outcome control = {0}, gc = {0};
    uint64_t next;
    stop(&control, TICKET_ADMIN, 0);
    stop(&gc, TICKET_GC, 0);
    resume(&next);
    assert_int_equal(gc.outcome, TICKET_CANCELLED);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
}

static void a_cancelled_stop_leaves_nothing_behind_at_any_point(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    struct outcome a = {0}, b = {0}, c = {0};
    uint64_t next;
    /* In stopping, with one more behind it: that one's stop goes on. */
    stop(&a, TICKET_ADMIN, 0);
    ask(&b, TICKET_GC, OTHER, 0);
    assert_int_equal(resume(&next), 0);
    assert_int_equal(b.outcome, TICKET_CANCELLED); /* the most urgent is the one in service */
    assert_int_equal(next, world_ticket(world)->id);
    assert_int_equal(world_mode(world), WORLD_STOPPING);
    assert_int_equal(resume(&next), 0);
    assert_int_equal(a.outcome, TICKET_CANCELLED);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    assert_true(stop_is_open(&p->worker.gate));
    /* And a late arrival changes nothing. */
    world_on_member_kicked(world, &p->worker);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    stop(&c, TICKET_ADMIN, 0);
    assert_int_equal(c.served, 0);
    arrives(p);
    assert_int_equal(c.served, 1);
}

static void what_its_caller_has_forgotten_is_cancelled(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    struct outcome stopping = {0}, gc = {0};
    stop(&stopping, TICKET_ADMIN, 0);
    world_forget(world, &stopping);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    stop(&gc, TICKET_GC, 0);
    arrives(p);
    assert_int_equal(gc.served, 1);
    world_forget(world, &gc);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    assert_int_equal(stopping.ended + gc.ended, 0); /* nobody is told */
}

/* ---- run-one */

static const char *ran_until;
static int runs_over;

static void on_run_ended(void *userdata, const char *why)
{
    (void)userdata;
    ran_until = why;
    runs_over++;
}

static int run_one(struct player *p, enum world_runner_exit on_exit, bool until_still,
                   uint64_t deadline_us)
{
    const struct world_run run = {.runner = &p->worker,
                                  .on_exit = on_exit,
                                  .until_still = until_still,
                                  .deadline_us = deadline_us,
                                  .on_ended = on_run_ended};
    ran_until = NULL;
    runs_over = 0;
    return world_run_one(world, &run);
}

/* Two VMs, both parked in a stop of ME. */
static void stop_two(struct outcome *o)
{
    struct player *a = born(0, SHM_RUNNING), *b = born(1, SHM_RUNNING);
    stop(o, TICKET_ADMIN, 0);
    arrives(a);
    arrives(b);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
}

static bool may_run(const struct player *p)
{
    return shm_may_run(atomic_load(&world_stop_half(world)->page->word),
                       atomic_load(&p->worker.gate.command->word));
}

static void only_the_runner_may_run(void **state)
{
    (void)state;
    struct outcome o = {0};
    stop_two(&o);
    assert_int_equal(run_one(&players[1], WORLD_RUNNER_EXIT_STOP, false, 0), 0);
    assert_int_equal(world_mode(world), WORLD_RUN_ONE);
    assert_int_equal(world_runner(world), 2);
    assert_false(may_run(&players[0]));
    assert_true(may_run(&players[1]));
    struct player *child = born(2, SHM_STARTING);
    stop_admit(&child->worker.gate);
    assert_false(may_run(child));
    uint64_t next;
    assert_int_equal(resume(&next), 0);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    assert_string_equal(ran_until, "resumed");
    for (int i = 0; i < 3; i++)
        assert_true(may_run(&players[i]));
}

static void a_stop_from_run_one_waits_for_the_runner_only(void **state)
{
    (void)state;
    struct outcome o = {0}, again = {0};
    stop_two(&o);
    run_one(&players[1], WORLD_RUNNER_EXIT_STOP, false, 0);
    shows(&players[1], SHM_RUNNING);
    uint32_t before = pokes(&players[0]);
    assert_int_equal(stop(&again, TICKET_ADMIN, 0), 0);
    assert_int_equal(world_mode(world), WORLD_STOPPING);
    assert_false(may_run(&players[1]));
    assert_int_equal(pokes(&players[0]), before);
    arrives(&players[1]);
    assert_int_equal(again.served, 1);
    assert_int_equal(again.n_arrivals, 2);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    assert_int_equal(world_runner(world), 0);
    assert_string_equal(ran_until, "stopped");
    assert_int_equal(runs_over, 1);
}

static void a_resume_ends_a_stop_that_was_asked_for_before_it(void **state)
{
    (void)state;
    struct outcome o = {0}, again = {0};
    uint64_t next;
    stop_two(&o);
    run_one(&players[1], WORLD_RUNNER_EXIT_STOP, false, 0);
    shows(&players[1], SHM_RUNNING);
    assert_int_equal(stop(&again, TICKET_ADMIN, 0), 0);
    assert_int_equal(world_mode(world), WORLD_STOPPING);
    assert_int_equal(resume(&next), 0);
    assert_int_equal(again.outcome, TICKET_CANCELLED);
    assert_int_equal(next, 0);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
}

static void an_operation_interrupts_run_one_and_the_same_vm_goes_on(void **state)
{
    (void)state;
    struct outcome o = {0}, gc = {0}, foreign = {0};
    stop_two(&o);
    run_one(&players[1], WORLD_RUNNER_EXIT_STOP, false, 0);
    shows(&players[1], SHM_RUNNING);
    assert_int_equal(ask(&foreign, TICKET_ADMIN, OTHER, 0), -EBUSY); /* the lease is not free */
    assert_int_equal(ask(&gc, TICKET_GC, OTHER, 0), 0);              /* but this needs none */
    arrives(&players[1]);
    assert_int_equal(gc.served, 1);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    assert_int_equal(world_runner(world), 2);
    world_operation_done(world, gc.ticket);
    assert_int_equal(world_mode(world), WORLD_RUN_ONE);
    assert_int_equal(world_runner(world), 2);
    assert_true(may_run(&players[1]));
    assert_false(may_run(&players[0]));
    assert_int_equal(runs_over, 0);
}

static void a_cancelled_operation_returns_to_run_one(void **state)
{
    (void)state;
    struct outcome o = {0}, gc = {0};
    stop_two(&o);
    run_one(&players[1], WORLD_RUNNER_EXIT_STOP, false, 0);
    shows(&players[1], SHM_RUNNING);
    ask(&gc, TICKET_GC, OTHER, 0);
    assert_int_equal(world_mode(world), WORLD_STOPPING);
    world_forget(world, &gc);
    assert_int_equal(world_mode(world), WORLD_RUN_ONE);
    assert_true(may_run(&players[1]));
    assert_false(may_run(&players[0]));
}

static void a_runner_that_goes_idle_ends_its_step(void **state)
{
    (void)state;
    static const enum shm_state stills[] = {SHM_IDLE, SHM_BLOCKED};
    struct outcome o = {0};
    stop_two(&o);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run_one(&players[1], WORLD_RUNNER_EXIT_STOP, true, 0), 0);
        shows(&players[1], SHM_PARKED); /* published a new epoch on its way out: not the end */
        world_on_member_kicked(world, &players[1].worker);
        shows(&players[1], SHM_RUNNING);
        world_on_member_kicked(world, &players[1].worker);
        assert_int_equal(world_mode(world), WORLD_RUN_ONE);
        shows(&players[1], stills[i]);
        world_on_member_kicked(world, &players[1].worker);
        assert_int_equal(world_mode(world), WORLD_STOPPED);
        assert_string_equal(ran_until, i == 0 ? "idle" : "blocked");
        assert_false(may_run(&players[1]));
        assert_int_equal(world_control(world)->id, o.ticket); /* the same controller */
        arrives(&players[1]);
    }
    /* Not so without until_still. */
    run_one(&players[1], WORLD_RUNNER_EXIT_STOP, false, 0);
    shows(&players[1], SHM_IDLE);
    world_on_member_kicked(world, &players[1].worker);
    assert_int_equal(world_mode(world), WORLD_RUN_ONE);
}

static void a_deadline_ends_a_run_one_that_waits_for_ever(void **state)
{
    (void)state;
    struct outcome o = {0};
    uint64_t next;
    stop_two(&o);
    run_one(&players[1], WORLD_RUNNER_EXIT_STOP, false, 5000);
    shows(&players[1], SHM_BLOCKED); /* for something that the parked one has */
    loop_until(&runs_over);
    assert_string_equal(ran_until, "deadline");
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    assert_int_equal(resume(&next), 0);
}

static void the_death_of_a_runner_releases_the_others_by_policy_only(void **state)
{
    (void)state;
    struct outcome o = {0};
    stop_two(&o);
    run_one(&players[1], WORLD_RUNNER_EXIT_STOP, false, 0);
    world_on_member_ended(world, &players[1].worker);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    assert_string_equal(ran_until, "ended");
    assert_int_equal(world_runner(world), 0);
    assert_int_equal(world_target(world), 1); /* another that is parked */
    assert_false(may_run(&players[0]));
    assert_int_equal(run_one(&players[0], WORLD_RUNNER_EXIT_RESUME, false, 0), 0);
    struct player *other = born(2, SHM_STARTING);
    stop_admit(&other->worker.gate);
    world_on_member_ended(world, &players[0].worker);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    assert_true(may_run(other));
    assert_null(world_control(world));
}

static void the_death_of_a_runner_during_an_operation_is_not_forgotten(void **state)
{
    (void)state;
    struct outcome o = {0}, gc = {0};
    stop_two(&o);
    run_one(&players[1], WORLD_RUNNER_EXIT_STOP, false, 0);
    ask(&gc, TICKET_GC, OTHER, 0);
    assert_int_equal(gc.served, 1); /* it was still parked */
    world_on_member_ended(world, &players[1].worker);
    world_operation_done(world, gc.ticket);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    assert_string_equal(ran_until, "ended");
}

static void who_is_not_parked_cannot_run_alone_or_be_the_target(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING), *idle = born(1, SHM_IDLE);
    struct outcome o = {0}, gc = {0};
    assert_int_equal(run_one(p, WORLD_RUNNER_EXIT_STOP, false, 0), -EALREADY);
    stop(&o, TICKET_ADMIN, 0);
    assert_int_equal(run_one(p, WORLD_RUNNER_EXIT_STOP, false, 0), -EALREADY); /* stopping */
    arrives(p);
    assert_int_equal(run_one(idle, WORLD_RUNNER_EXIT_STOP, false, 0), -EAGAIN);
    assert_int_equal(world_set_target(world, &idle->worker), -EAGAIN);
    assert_int_equal(world_set_target(world, &p->worker), 0);
    world_hold(world, &p->worker, OTHER, "other", 0);
    assert_int_equal(run_one(p, WORLD_RUNNER_EXIT_STOP, false, 0), -EPERM);
    world_release(world, &p->worker, OTHER, 0);
    stop(&gc, TICKET_GC, 0);
    assert_int_equal(run_one(p, WORLD_RUNNER_EXIT_STOP, false, 0), -EBUSY);
    world_operation_done(world, gc.ticket);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    /* One that was held can, once it has come to its gate. */
    arrives(idle);
    assert_int_equal(run_one(idle, WORLD_RUNNER_EXIT_STOP, false, 0), 0);
}

static void a_thousand_switches_move_no_gate(void **state)
{
    (void)state;
    struct outcome o = {0};
    stop_two(&o);
    uint64_t word = atomic_load(&world_stop_half(world)->page->word);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(world_set_target(world, &players[i % 2].worker), 0);
        assert_int_equal(world_target(world), players[i % 2].worker.id);
    }
    assert_int_equal(atomic_load(&world_stop_half(world)->page->word), word);
    assert_false(may_run(&players[0]) || may_run(&players[1]));
}

static void a_hold_takes_the_permit_of_a_runner_and_its_end_gives_it_back(void **state)
{
    (void)state;
    struct outcome o = {0};
    stop_two(&o);
    run_one(&players[1], WORLD_RUNNER_EXIT_STOP, false, 0);
    world_hold(world, &players[1].worker, OTHER, "other", 0);
    assert_false(may_run(&players[1]));
    assert_int_equal(world_mode(world), WORLD_RUN_ONE);
    world_release(world, &players[1].worker, OTHER, 0);
    assert_true(may_run(&players[1]));
    assert_false(may_run(&players[0]));
}

/* ---- the lease */

static void the_end_of_a_debugger_ends_its_stop_in_every_mode(void **state)
{
    (void)state;
    struct outcome o[5] = {0};
    uint64_t next;
    struct player *p = born(0, SHM_RUNNING);
    stop(&o[0], TICKET_ADMIN, 0); /* stopping */
    worlds_end_debugger(worlds, ME);
    assert_int_equal(o[0].outcome, TICKET_CANCELLED);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    stop(&o[1], TICKET_ADMIN, 0); /* stopped, with another in the queue */
    arrives(p);
    ask(&o[2], TICKET_ADMIN, OTHER, 1000000);
    worlds_end_debugger(worlds, ME);
    assert_int_equal(o[2].served, 1);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    worlds_end_debugger(worlds, ME); /* it has nothing any more */
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    assert_int_equal(run_one(p, WORLD_RUNNER_EXIT_STOP, false, 0), 0); /* run-one */
    worlds_end_debugger(worlds, OTHER);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    assert_true(may_run(p));
    stop(&o[3], TICKET_ADMIN, 0); /* waiting */
    ask(&o[4], TICKET_ADMIN, OTHER, 1000000);
    worlds_end_debugger(worlds, OTHER);
    assert_int_equal(o[4].outcome, TICKET_CANCELLED);
    resume(&next);
}

static void a_lease_can_change_hands_and_runs_out(void **state)
{
    (void)state;
    struct outcome o = {0}, gc = {0};
    assert_int_equal(world_move_lease(world, OTHER, "other", 1000, false, true, 5000, "stolen"),
                     -EALREADY);
    stop(&o, TICKET_ADMIN, 0);
    assert_int_equal(ask(&gc, TICKET_GC, OTHER, 0), -EBUSY);
    assert_int_equal(world_move_lease(world, OTHER, "other", 1001, false, true, 5000, "stolen"), 0);
    assert_int_equal(world_control(world)->request.debugger, OTHER);
    assert_int_equal(world_control(world)->request.uid, 1001);
    assert_int_equal(world_control(world)->id, o.ticket);
    assert_int_equal(ask(&gc, TICKET_GC, OTHER, 0), 0);
    world_operation_done(world, gc.ticket);
    worlds_end_debugger(worlds, ME); /* not its any more */
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    while (world_mode(world) != WORLD_RUN_ALL)
        event_base_loop(base, EVLOOP_ONCE);
    assert_null(world_control(world));
}

/* ---- enforcement, with real processes */

/* Whether its process writes to its pulse; if it is frozen, from now on. */
static bool runs_within(struct player *p, int ms)
{
    char old[65536];
    while (p->worker.freeze.state == WORKER_FROZEN && read(p->pulse_fd, old, sizeof old) > 0)
        ;
    struct pollfd poll_fd = {.fd = p->pulse_fd, .events = POLLIN};
    return poll(&poll_fd, 1, ms) == 1;
}

/* Gives a player a process: one that sleeps, or one that computes. While it runs it writes to its
 * pulse, a pipe that takes what fits. */
static void give_process(struct player *p, bool busy)
{
    int pulse[2];
    assert_int_equal(pipe2(pulse, O_CLOEXEC | O_NONBLOCK), 0);
    pid_t pid = fork();
    if (pid == 0) {
        for (volatile unsigned n = 0;; n++) {
            if (n % 4096 == 0 && write(pulse[1], "", 1) < 0 && errno != EAGAIN)
                _exit(1);
            if (!busy)
                pause();
        }
    }
    close(pulse[1]);
    p->pulse_fd = pulse[0];
    p->worker.pid = pid;
    p->worker.pidfd = pidfd_open(pid, 0);
    assert_true(p->worker.pidfd >= 0);
    assert_true(runs_within(p, 60000)); /* a worker that has a status has run */
}

static int stop_as(struct outcome *o, bool enforce, bool kill_late)
{
    uint64_t ticket;
    struct ticket_request r = request_of(o, TICKET_ADMIN, ME, 0);
    r.enforce = enforce;
    r.kill_late = kill_late;
    return world_stop(world, &r, &ticket);
}

static uint64_t runtime_of(const struct player *p)
{
    uint64_t ns = 0;
    bool asleep;
    assert_int_equal(freezer_runtime_ns(p->worker.pid, &ns, &asleep), 0);
    return ns;
}

static void enforced_means_that_the_kernel_has_confirmed_it(void **state)
{
    (void)state;
    struct player *honest = born(0, SHM_RUNNING), *idle = born(1, SHM_IDLE);
    struct outcome o = {0};
    uint64_t next;
    give_process(honest, false);
    give_process(idle, false);
    stop_as(&o, true, false);
    arrives(honest);
    assert_int_equal(o.served, 0); /* all have arrived, and that is not enough */
    assert_int_equal(world_mode(world), WORLD_STOPPING);
    loop_until(&o.served);
    assert_int_equal(o.mode, WORLD_STOPPED);
    assert_int_equal(o.n_missing, 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(o.arrivals[i].how, ARRIVAL_ENFORCED);
        assert_false(o.arrivals[i].lied);
        assert_int_equal(freezer_is_frozen(&players[i].worker.cell, players[i].worker.pid), 1);
    }
    resume(&next);
    assert_int_equal(honest->worker.freeze.state, WORKER_THAWED);
}

static void a_worker_that_says_it_is_parked_and_runs_on_is_caught_and_named(void **state)
{
    (void)state;
    struct player *honest = born(0, SHM_RUNNING), *liar = born(1, SHM_RUNNING);
    struct outcome o = {0};
    give_process(honest, false);
    give_process(liar, true);
    stop_as(&o, true, false);
    arrives(honest);
    arrives(liar);
    loop_until(&o.served);
    assert_int_equal(o.n_missing, 1);
    assert_int_equal(o.missing[0], 2);
    assert_int_equal(o.arrivals[1].how, ARRIVAL_ENFORCED);
    assert_true(o.arrivals[1].lied);
    assert_false(o.arrivals[0].lied);
    uint64_t before = runtime_of(liar);
    struct outcome gc = {0};
    stop(&gc, TICKET_GC, 0); /* time passes; the liar is in the report of this one, too */
    assert_int_equal(gc.missing[0], 2);
    assert_false(runs_within(liar, 20));
    assert_int_equal(runtime_of(liar), before);
    assert_int_equal(run_one(liar, WORLD_RUNNER_EXIT_STOP, false, 0), -EAGAIN);
}

static void who_misses_the_deadline_is_frozen_and_runs_on_after_the_resume(void **state)
{
    (void)state;
    struct player *late = born(0, SHM_RUNNING), *idle = born(1, SHM_IDLE);
    struct outcome o = {0};
    uint64_t next;
    give_process(late, true);
    give_process(idle, false);
    stop_as(&o, false, false);
    loop_until(&o.served);
    assert_int_equal(o.mode, WORLD_STOPPED);
    assert_int_equal(o.n_missing, 1);
    assert_int_equal(o.missing[0], 1);
    assert_int_equal(o.n_arrivals, 2);
    assert_int_equal(o.arrivals[0].how, ARRIVAL_ENFORCED);
    assert_int_equal(o.arrivals[1].how, ARRIVAL_HELD); /* it was not asked for more */
    uint64_t before = runtime_of(late);
    assert_false(runs_within(late, 20));
    assert_int_equal(runtime_of(late), before);
    resume(&next);
    assert_true(runs_within(late, 60000));
}

static void a_frozen_vm_keeps_no_later_stop_waiting(void **state)
{
    (void)state;
    struct player *late = born(0, SHM_RUNNING), *p = born(1, SHM_RUNNING);
    struct outcome o = {0}, again = {0};
    give_process(late, true);
    give_process(p, false);
    stop_as(&o, false, false);
    arrives(p);
    loop_until(&o.served);
    assert_int_equal(o.missing[0], 1);
    assert_int_equal(run_one(p, WORLD_RUNNER_EXIT_STOP, false, 0), 0);
    shows(p, SHM_RUNNING);
    uint32_t kicks = atomic_load(&late->worker.gate.command->kick);
    stop(&again, TICKET_ADMIN, 0);
    assert_int_equal(atomic_load(&late->worker.gate.command->kick), kicks); /* not asked */
    assert_int_equal(again.served, 0);
    arrives(p); /* and not the timer that completes it, but this */
    assert_int_equal(again.served, 1);
    assert_int_equal(again.n_missing, 1);
}

static void who_misses_the_deadline_is_killed_if_asked(void **state)
{
    (void)state;
    struct player *late = born(0, SHM_RUNNING);
    struct outcome o = {0};
    give_process(late, true);
    stop_as(&o, false, true);
    siginfo_t si = {0};
    while (waitid(P_PIDFD, (id_t)late->worker.pidfd, &si, WEXITED | WNOHANG) == 0 && si.si_pid == 0)
        event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    assert_int_equal(si.si_status, SIGKILL);
    assert_int_equal(o.served, 0);
    close(late->worker.pidfd);
    close(late->pulse_fd);
    late->worker.pidfd = -1;
    world_on_member_ended(world, &late->worker);
    assert_int_equal(o.served, 1);
    assert_int_equal(o.arrivals[0].how, ARRIVAL_DEAD);
    assert_int_equal(o.n_missing, 0);
}

static void one_that_serves_a_request_is_thawed_alone_and_frozen_again(void **state)
{
    (void)state;
    struct player *a = born(0, SHM_IDLE), *b = born(1, SHM_IDLE);
    struct outcome o = {0};
    give_process(a, false);
    give_process(b, false);
    stop_as(&o, true, false);
    loop_until(&o.served);
    world_serve_begin(world, &a->worker);
    assert_true(a->worker.serving);
    assert_int_not_equal(stop_report_how(&a->worker), ARRIVAL_ENFORCED);
    assert_int_equal(stop_report_how(&b->worker), ARRIVAL_ENFORCED);
    world_serve_end(world, &a->worker);
    while (a->worker.freeze.state != WORKER_FROZEN)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(freezer_is_frozen(&a->worker.cell, a->worker.pid), 1);
    assert_false(a->worker.freeze.lied);
}

static void a_runner_is_thawed_and_the_others_stay_frozen(void **state)
{
    (void)state;
    struct player *a = born(0, SHM_RUNNING), *b = born(1, SHM_RUNNING);
    struct outcome o = {0};
    give_process(a, false);
    give_process(b, false);
    stop_as(&o, true, false);
    arrives(a);
    arrives(b);
    loop_until(&o.served);
    assert_int_equal(run_one(a, WORLD_RUNNER_EXIT_STOP, false, 1000), 0);
    assert_int_equal(a->worker.freeze.state, WORKER_THAWED);
    assert_int_equal(b->worker.freeze.state, WORKER_FROZEN);
    loop_until(&runs_over); /* its deadline: the runner has parked meanwhile */
    arrives(a);
    while (world_mode(world) != WORLD_STOPPED)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(a->worker.freeze.state, WORKER_FROZEN);
}

static void idle_vms_are_waited_for_where_that_is_asked(void **state)
{
    (void)state;
    struct player *idle = born(0, SHM_IDLE);
    struct outcome o = {0};
    uint64_t ticket;
    struct ticket_request r = request_of(&o, TICKET_ADMIN, ME, 0);
    r.require_idle = true;
    r.deadline_us = 10000000;
    world_stop(world, &r, &ticket);
    assert_int_equal(world_mode(world), WORLD_STOPPING);
    world_on_member_kicked(world, &idle->worker);
    assert_int_equal(o.served, 0);
    arrives(idle);
    assert_int_equal(o.served, 1);
    assert_int_equal(o.arrivals[0].how, ARRIVAL_ACKED);
    assert_int_equal(o.arrivals[0].was, SHM_IDLE);
}

static void a_held_vm_counts_in_a_stop_and_stays_held_after_it(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    struct outcome o = {0};
    uint64_t next;
    world_hold(world, &p->worker, ME, "me", 0);
    assert_false(stop_is_open(&p->worker.gate));
    assert_int_equal(pokes(p), 1);
    shows(p, SHM_PARKED);
    stop(&o, TICKET_ADMIN, 0);
    assert_int_equal(o.mode, WORLD_STOPPED);
    assert_int_equal(pokes(p), 1); /* it was poked when its gate closed, and it is closed still */
    resume(&next);
    assert_false(stop_is_open(&p->worker.gate));
    assert_int_equal(world_release(world, &p->worker, OTHER, 0), -EALREADY);
    assert_false(stop_is_open(&p->worker.gate));
    world_hold(world, &p->worker, OTHER, "other", 0);
    assert_int_equal(world_release(world, &p->worker, ME, 0), 0);
    assert_false(stop_is_open(&p->worker.gate)); /* one owner less is not none */
    assert_int_equal(world_release_all(world, &p->worker, OTHER), 1);
    assert_true(stop_is_open(&p->worker.gate));
    assert_int_equal(world_release(world, &p->worker, ME, 0), -EALREADY);
}

static void garbage_in_a_status_page_never_counts_as_an_arrival(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    struct outcome o = {0};
    stop(&o, TICKET_ADMIN, 0);
    for (uint64_t state_byte = SHM_STATE_MAX + 1; state_byte < 256; state_byte++) {
        atomic_store(&p->status->word, 1u << 8 | state_byte);
        world_on_member_kicked(world, &p->worker);
    }
    assert_int_equal(o.served, 0);
    atomic_store(&p->status->parked_ns, UINT64_MAX); /* a lie about the time is not believed */
    arrives(p);
    assert_int_equal(o.served, 1);
    assert_true(o.arrivals[0].elapsed_us < 60000000);
}

static void each_epoch_is_new(void **state)
{
    (void)state;
    uint64_t last = world_epoch(world), next;
    for (int i = 0; i < 1000; i++) {
        struct outcome o = {0};
        stop(&o, TICKET_ADMIN, 0);
        assert_true(world_epoch(world) > last);
        last = world_epoch(world);
        resume(&next);
        assert_true(world_epoch(world) > last);
        last = world_epoch(world);
    }
}

static void worlds_are_apart_and_go_when_unused(void **state)
{
    (void)state;
    struct world *other = worlds_get(worlds, "other", true);
    struct outcome o = {0};
    assert_int_equal(stop(&o, TICKET_ADMIN, 0), 0);
    assert_int_equal(world_mode(other), WORLD_RUN_ALL);
    world_drop_if_unused(other);
    assert_null(worlds_get(worlds, "other", false));
    world_drop_if_unused(world);
    assert_ptr_equal(worlds_get(worlds, "default", false), world);
}

static int stop_idle_too(struct outcome *o, uint64_t debugger, uint64_t deadline_us,
                         uint64_t wait_us)
{
    uint64_t ticket;
    struct ticket_request r = request_of(o, TICKET_ADMIN, debugger, wait_us);
    r.require_idle = true;
    r.deadline_us = deadline_us;
    return world_stop(world, &r, &ticket);
}

static void turn_for(unsigned ms)
{
    const struct timeval end = {.tv_usec = (suseconds_t)ms * 1000};
    event_base_loopexit(base, &end);
    event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
}

static void the_wait_of_a_ticket_is_over_when_its_service_begins(void **state)
{
    (void)state;
    struct player *idle = born(0, SHM_IDLE);
    static struct outcome first, second;
    uint64_t next;
    stop(&first, TICKET_ADMIN, 0);
    assert_int_equal(stop_idle_too(&second, OTHER, 10000000, 10000), 0);
    resume(&next);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    turn_for(30); /* it waits for a VM to park, not in the queue */
    assert_int_equal(second.ended, 0);
    arrives(idle);
    assert_int_equal(second.served, 1);
}

static void each_ticket_has_its_own_time_from_when_its_service_begins(void **state)
{
    (void)state;
    struct player *idle = born(0, SHM_IDLE), *p = born(1, SHM_RUNNING);
    static struct outcome gc, second;
    stop(&gc, TICKET_GC, 0);
    assert_int_equal(stop_idle_too(&second, OTHER, 50000, 0), 0);
    arrives(p);
    assert_int_equal(gc.served, 1);
    turn_for(100); /* the deadline of the second would have passed, had its stop begun */
    world_operation_done(world, gc.ticket);
    event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    assert_int_equal(second.served, 0);
    arrives(idle);
    assert_int_equal(second.served, 1);
    assert_int_equal(second.n_missing, 0);
}

static void a_ticket_that_takes_over_a_stop_has_a_deadline(void **state)
{
    (void)state;
    born(0, SHM_RUNNING); /* cannot be frozen: there is no process */
    static struct outcome first, second;
    stop(&first, TICKET_ADMIN, 0);
    assert_int_equal(ask(&second, TICKET_ADMIN, OTHER, 3600000000u), 0);
    world_forget(world, &first);
    assert_int_equal(world_mode(world), WORLD_STOPPING);
    turn_for(100);
    assert_int_equal(second.served, 1);
    assert_int_equal(second.n_missing, 1);
}

static void a_ticket_that_takes_over_a_late_stop_has_its_own_time(void **state)
{
    (void)state;
    struct player *idle = born(0, SHM_IDLE);
    static struct outcome first, second, third;
    uint64_t next;
    stop(&first, TICKET_ADMIN, 0);
    stop_idle_too(&second, OTHER, 1000, 3600000000u);
    stop_idle_too(&third, ME, 3600000000u, 3600000000u);
    resume(&next);
    give_process(idle, true);
    assert_int_equal(second.served, 0);
    for (int i = 0; idle->worker.freeze.state == WORKER_THAWED && i < 100000; i++)
        event_base_loop(base, EVLOOP_ONCE);
    world_forget(world, &second); /* between its deadline and the freeze */
    turn_for(20);
    assert_int_equal(third.served, 0);
    arrives(idle);
    assert_int_equal(third.served, 1);
    assert_int_equal(third.n_missing, 0);
}

static void a_vm_that_is_being_born_is_no_liar(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_STARTING);
    static struct outcome o;
    p->worker.phase = WORKER_LOADING;
    give_process(p, true); /* compiles */
    stop_as(&o, true, false);
    loop_until(&o.served);
    assert_int_equal(o.n_missing, 0);
    assert_int_equal(o.arrivals[0].how, ARRIVAL_HELD); /* it is let come as far as its gate */
    assert_int_equal(p->worker.freeze.state, WORKER_THAWED);
    p->worker.phase = WORKER_ADMITTED;
    world_on_member_admitted(world, &p->worker);
    while (p->worker.freeze.state != WORKER_FROZEN)
        event_base_loop(base, EVLOOP_ONCE);
    assert_false(p->worker.freeze.lied);
}

static void a_vm_that_serves_what_nobody_waits_for_any_more_is_no_liar(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_IDLE);
    static struct outcome o;
    give_process(p, false);
    stop_as(&o, true, false);
    loop_until(&o.served);
    world_serve_begin(world, &p->worker);
    p->worker.inspects[p->worker.n_inspects++] = 1; /* a collection that takes long */
    p->worker.commands_sent++;
    reap(p);
    give_process(p, true);
    arrives(p);
    world_serve_end(world, &p->worker); /* its client went away */
    while (p->worker.freeze.state != WORKER_FROZEN)
        event_base_loop(base, EVLOOP_ONCE);
    assert_false(p->worker.freeze.lied);
}

static void a_runner_whose_run_ends_during_an_operation_is_frozen_too(void **state)
{
    (void)state;
    struct player *a = born(0, SHM_RUNNING), *b = born(1, SHM_RUNNING);
    static struct outcome o, gc;
    give_process(a, false);
    give_process(b, false);
    stop_as(&o, true, false);
    arrives(a);
    arrives(b);
    loop_until(&o.served);
    assert_int_equal(run_one(a, WORLD_RUNNER_EXIT_STOP, false, 1000), 0);
    ask(&gc, TICKET_GC, OTHER, 0);
    assert_int_equal(gc.served, 1);
    loop_until(&runs_over);
    world_operation_done(world, gc.ticket);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    assert_true(world_is_enforced(world));
    turn_for(50);
    assert_int_equal(a->worker.freeze.state, WORKER_FROZEN);
}

static void a_vm_that_is_born_during_an_enforced_run_one_is_frozen_at_its_gate(void **state)
{
    (void)state;
    struct player *a = born(0, SHM_RUNNING);
    static struct outcome o;
    give_process(a, false);
    stop_as(&o, true, false);
    arrives(a);
    loop_until(&o.served);
    assert_int_equal(run_one(a, WORLD_RUNNER_EXIT_STOP, false, 0), 0);
    struct player *child = born(1, SHM_STARTING);
    give_process(child, false);
    stop_admit(&child->worker.gate);
    world_on_member_admitted(world, &child->worker);
    turn_for(50);
    assert_int_equal(child->worker.freeze.state, WORKER_FROZEN);
    assert_int_equal(a->worker.freeze.state, WORKER_THAWED);
}

static void a_resume_from_run_one_serves_the_next_before_any_gate_opens(void **state)
{
    (void)state;
    static struct outcome o, second;
    uint64_t next;
    stop_two(&o);
    run_one(&players[1], WORLD_RUNNER_EXIT_STOP, false, 0);
    ask(&second, TICKET_ADMIN, OTHER, 1000000);
    uint32_t bell = atomic_load(&players[0].worker.gate.command->bell);
    resume(&next);
    assert_int_equal(second.served, 1);
    assert_int_equal(next, second.ticket);
    assert_int_equal(atomic_load(&players[0].worker.gate.command->bell), bell);
}

static void a_run_one_that_is_interrupted_is_not_replaced_by_another(void **state)
{
    (void)state;
    static struct outcome o, gc, again;
    uint64_t next;
    stop_two(&o);
    born(2, SHM_IDLE);
    run_one(&players[1], WORLD_RUNNER_EXIT_STOP, true, 0);
    ask(&gc, TICKET_GC, OTHER, 0);
    assert_int_equal(gc.served, 1);
    assert_int_equal(stop_idle_too(&again, ME, 3600000000u, 3600000000u), 0);
    world_operation_done(world, gc.ticket);
    assert_int_equal(world_mode(world), WORLD_STOPPED); /* waits for the idle one */
    const struct world_run run = {.runner = &players[0].worker, .on_exit = WORLD_RUNNER_EXIT_STOP};
    assert_int_equal(world_run_one(world, &run), -EBUSY);
    resume(&next);
    assert_int_equal(runs_over, 1);
}

static void a_stop_of_its_own_run_one_is_served_although_that_ends_by_itself(void **state)
{
    (void)state;
    static struct outcome o, again;
    stop_two(&o);
    run_one(&players[1], WORLD_RUNNER_EXIT_STOP, false, 0);
    shows(&players[1], SHM_RUNNING);
    assert_int_equal(stop(&again, TICKET_ADMIN, 0), 0);
    world_on_member_ended(world, &players[1].worker);
    assert_int_equal(again.ended, 0);
    assert_int_equal(again.served, 1);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    assert_int_equal(world_control(world)->id, again.ticket);
}

static enum world_mode mode_at_end;

static void on_run_ended_look(void *userdata, const char *why)
{
    (void)userdata, (void)why;
    mode_at_end = world_mode(world);
}

static void whoever_waits_for_a_step_is_told_when_the_world_is_stopped_again(void **state)
{
    (void)state;
    static struct outcome o;
    stop_two(&o);
    const struct world_run run = {.runner = &players[1].worker,
                                  .on_exit = WORLD_RUNNER_EXIT_STOP,
                                  .until_still = true,
                                  .on_ended = on_run_ended_look};
    assert_int_equal(world_run_one(world, &run), 0);
    shows(&players[1], SHM_RUNNING);
    mode_at_end = 0;
    shows(&players[1], SHM_IDLE);
    world_on_member_kicked(world, &players[1].worker);
    assert_int_equal(mode_at_end, WORLD_STOPPED);
}

static void who_has_arrived_is_frozen_although_another_never_comes(void **state)
{
    (void)state;
    born(0, SHM_RUNNING); /* cannot be frozen: there is no process */
    struct player *p = born(1, SHM_RUNNING);
    static struct outcome o;
    give_process(p, false);
    stop_as(&o, true, false);
    arrives(p);
    loop_until(&o.served);
    assert_int_equal(o.mode, WORLD_STOPPING);
    assert_int_equal(o.n_missing, 1);
    assert_int_equal(o.n_arrivals, 1);
    assert_int_equal(o.arrivals[0].how, ARRIVAL_ENFORCED);
}

static void the_wishes_of_a_later_deadline_hold_too(void **state)
{
    (void)state;
    born(0, SHM_RUNNING); /* cannot be frozen: there is no process */
    struct player *p = born(1, SHM_RUNNING);
    static struct outcome gc, o;
    struct ticket_request r = request_of(&gc, TICKET_GC, ME, 0);
    uint64_t ticket;
    give_process(p, false);
    r.deadline_us = 1000;
    assert_int_equal(world_stop(world, &r, &ticket), 0);
    stop_as(&o, true, false);
    arrives(p);
    loop_until(&gc.ended);
    assert_int_equal(gc.outcome, TICKET_FAILED);
    assert_int_equal(o.served, 0);
    loop_until(&o.served);
    assert_int_equal(o.arrivals[0].how, ARRIVAL_ENFORCED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
    TEST(an_empty_world_stops_at_once),
    TEST(idle_and_blocked_count_as_held_and_are_not_disturbed),
    TEST(a_running_vm_is_poked_once_and_the_stop_waits_for_it),
    TEST(a_vm_that_goes_idle_instead_of_parking_is_held),
    TEST(the_death_of_the_last_straggler_completes_the_stop),
    TEST(a_birth_during_a_stop_counts_as_held_and_stays_closed),
    TEST(who_does_not_arrive_by_the_deadline_is_named_and_resume_works),
    TEST(who_runs_on_in_a_stop_is_nudged),
    TEST(a_stop_can_be_cancelled_before_it_completes),
    TEST(a_second_stop_is_refused_or_waits_and_no_gate_moves_between_two),
    TEST(time_in_the_queue_runs_out),
    TEST(the_most_urgent_is_served_first_whatever_the_order_of_requests),
    TEST(an_operation_ends_by_itself_and_the_world_goes_on),
    TEST(two_requests_for_the_same_reason_are_two),
    TEST(an_operation_of_the_controller_runs_inside_its_stop),
    TEST(a_resume_ends_the_operation_of_its_own_debugger_too),
    TEST(a_cancelled_stop_leaves_nothing_behind_at_any_point),
    TEST(what_its_caller_has_forgotten_is_cancelled),
    TEST(only_the_runner_may_run),
    TEST(a_stop_from_run_one_waits_for_the_runner_only),
    TEST(a_resume_ends_a_stop_that_was_asked_for_before_it),
    TEST(an_operation_interrupts_run_one_and_the_same_vm_goes_on),
    TEST(a_cancelled_operation_returns_to_run_one),
    TEST(a_runner_that_goes_idle_ends_its_step),
    TEST(a_deadline_ends_a_run_one_that_waits_for_ever),
    TEST(the_death_of_a_runner_releases_the_others_by_policy_only),
    TEST(the_death_of_a_runner_during_an_operation_is_not_forgotten),
    TEST(who_is_not_parked_cannot_run_alone_or_be_the_target),
    TEST(a_thousand_switches_move_no_gate),
    TEST(a_hold_takes_the_permit_of_a_runner_and_its_end_gives_it_back),
    TEST(the_end_of_a_debugger_ends_its_stop_in_every_mode),
    TEST(a_lease_can_change_hands_and_runs_out),
    TEST(enforced_means_that_the_kernel_has_confirmed_it),
    TEST(a_worker_that_says_it_is_parked_and_runs_on_is_caught_and_named),
    TEST(who_misses_the_deadline_is_frozen_and_runs_on_after_the_resume),
    TEST(a_frozen_vm_keeps_no_later_stop_waiting),
    TEST(who_misses_the_deadline_is_killed_if_asked),
    TEST(one_that_serves_a_request_is_thawed_alone_and_frozen_again),
    TEST(a_runner_is_thawed_and_the_others_stay_frozen),
    TEST(idle_vms_are_waited_for_where_that_is_asked),
    TEST(a_held_vm_counts_in_a_stop_and_stays_held_after_it),
    TEST(garbage_in_a_status_page_never_counts_as_an_arrival),
    TEST(each_epoch_is_new),
    TEST(the_wait_of_a_ticket_is_over_when_its_service_begins),
    TEST(each_ticket_has_its_own_time_from_when_its_service_begins),
    TEST(a_ticket_that_takes_over_a_stop_has_a_deadline),
    TEST(a_ticket_that_takes_over_a_late_stop_has_its_own_time),
    TEST(a_vm_that_is_being_born_is_no_liar),
    TEST(a_vm_that_serves_what_nobody_waits_for_any_more_is_no_liar),
    TEST(a_runner_whose_run_ends_during_an_operation_is_frozen_too),
    TEST(a_vm_that_is_born_during_an_enforced_run_one_is_frozen_at_its_gate),
    TEST(a_resume_from_run_one_serves_the_next_before_any_gate_opens),
    TEST(a_run_one_that_is_interrupted_is_not_replaced_by_another),
    TEST(a_stop_of_its_own_run_one_is_served_although_that_ends_by_itself),
    TEST(whoever_waits_for_a_step_is_told_when_the_world_is_stopped_again),
    TEST(who_has_arrived_is_frozen_although_another_never_comes),
    TEST(the_wishes_of_a_later_deadline_hold_too),
    TEST(worlds_are_apart_and_go_when_unused),
};

UNIT_MAIN(tests)
