/*
 * The races of stop-the-world, each forced step by step: the T in a name is its number in
 * README.md's table. `until(vm(0), "load &g->command->kick")` lets that thread go on until it is
 * about to do so; whoever is not named stands still, as long as it takes.
 */
#include "tests/support/unit.h"

#include <string.h>

#include "tests/schedules/cast.h"

#define DAEMON ACTOR_DAEMON

static unsigned vm(unsigned i)
{
    return ACTOR_VM + i;
}

static unsigned watcher(unsigned i)
{
    return ACTOR_WATCHER + i;
}

static unsigned client(unsigned i)
{
    return ACTOR_CLIENT + i;
}

static struct stop_gate *gate(unsigned i)
{
    return &cast.vms[i].worker.gate;
}

static enum shm_state shows(unsigned i)
{
    return shm_status_state(atomic_load(&cast.vms[i].status->word));
}

static struct scenario scene;

/* The VMs have come to rest: S runs and waits for an interrupt, i is idle, b and B are blocked. */
static void begin(const char *vms0, const char *vms1, const char *client0, const char *client1)
{
    scene = (struct scenario){
        .name = "forced", .vms = {vms0, vms1}, .clients = {client0, client1}, .is_settled = true};
    sim_strategy(SIM_DEFAULT);
    cast_begin(&scene, &conductor_small);
    sim_forced_begin();
}

/* Nobody has made a step yet: all are starting behind their open gates. */
static void begin_at_the_start(const char *vms0, const char *vms1, const char *client0,
                               const char *client1, unsigned unborn, unsigned kill)
{
    scene = (struct scenario){.name = "forced",
                              .vms = {vms0, vms1},
                              .clients = {client0, client1},
                              .unborn = unborn,
                              .kill = kill};
    sim_strategy(SIM_DEFAULT);
    cast_begin(&scene, &conductor_small);
    sim_forced_begin();
}

static void check_verdict(void)
{
    if (sim_verdict())
        fail_msg("%s", sim_verdict());
}

static void until(unsigned actor, const char *label)
{
    bool came = sim_until(actor, label);
    check_verdict();
    if (!came)
        fail_msg("actor %u never came to: %s (it is at: %s)", actor, label, sim_label(actor));
}

/* One access, the one that it is about to make. */
static void step(unsigned actor)
{
    bool could = sim_step(actor);
    check_verdict();
    assert_true(could);
}

static void until_blocked(unsigned actor)
{
    sim_until_blocked(actor);
    check_verdict();
}

/* A client sends its next request; what it waits for before that has come. */
static void ask(unsigned c)
{
    struct client *from = &cast.clients[c];
    unsigned sent;
    do {
        sent = from->sent;
        while (from->sent == sent)
            step(client(c));
    } while (from->ops[from->sent - 1].what == OP_WAIT);
}

/* That, and all of it on the daemon's side, too. */
static void request(unsigned c)
{
    ask(c);
    until_blocked(DAEMON);
}

/* Everybody goes on, and nothing is owed to anybody at the end. */
static void finish(void)
{
    sim_forced_end();
    cast_check_at_rest();
    check_verdict();
    cast_end();
}

/* k steps of the actor, or fewer if it blocks before: then false. */
static bool steps(unsigned actor, unsigned k)
{
    for (unsigned i = 0; i < k; i++) {
        if (!sim_can_go_on(actor))
            return false;
        step(actor);
    }
    return true;
}

static bool is_stopped(void)
{
    return conductor_small.is_stopped();
}

/* ---- the states of one VM */

static void t01_an_idle_vm_is_held_and_not_called_stopped(void **state)
{
    (void)state;
    begin("i", "S", "stop wait msg0 resume", NULL);
    request(0);
    assert_false(is_stopped()); /* for vm 1 */
    assert_int_equal(stop_slot(gate(0))->how, STOP_HELD);
    assert_int_equal(shows(0), SHM_IDLE);
    until_blocked(watcher(1));
    until_blocked(vm(1));
    until_blocked(DAEMON);
    assert_true(is_stopped());
    assert_int_equal(stop_slot(gate(1))->how, STOP_ACKED);
    request(0); /* the message */
    until_blocked(vm(0));
    assert_int_equal(shows(0), SHM_PARKED);
    assert_int_equal(stop_slot(gate(0))->how, STOP_HELD); /* counted once, as what it was */
    finish();
    assert_int_equal(cast.vms[0].steps, 1);
}

static void t02_an_idle_vm_that_wakes_enters_like_any_other_wherever_the_stop_comes(void **state)
{
    (void)state;
    bool more = true;
    for (unsigned k = 0; more; k++) {
        begin("i", NULL, "msg0 stop wait resume", NULL);
        request(0);
        more = steps(vm(0), k);
        finish();
        assert_int_equal(cast.vms[0].steps, 1);
        assert_int_equal(cast.stops_completed, 1);
    }
}

static void t03_a_vm_that_saw_the_stop_and_parks_after_the_resume_is_not_in_the_next(void **state)
{
    (void)state;
    begin_at_the_start("sS", NULL, "stop wait resume stop wait resume", NULL, 0, 0);
    request(0);
    assert_true(is_stopped());
    until(vm(0), "store &g->status->parked_ns"); /* it has read: closed */
    request(0);
    assert_false(is_stopped());
    until(vm(0), "load &g->command->bell"); /* parked, in a world that runs */
    until(vm(0), "guest step");
    request(0);
    assert_false(is_stopped()); /* what it showed before does not count */
    finish();
    assert_int_equal(cast.stops_completed, 2);
}

static void t04_a_thousand_looks_poke_once(void **state)
{
    (void)state;
    begin("S", NULL, "stop stop stop stop stop stop stop stop idle0 idle0 wait", NULL);
    for (unsigned i = 0; i < 10; i++)
        request(0);
    for (unsigned i = 0; i < 1000; i++) {
        /* The eventfd of a liar: readable, and nothing has arrived. */
        sim_wake(DAEMON);
        conductor_small.kicked(&cast.vms[0]);
        until_blocked(DAEMON);
    }
    assert_int_equal(atomic_load(&cast.vms[0].command->poke), 1);
    sim_forced_end();
    check_verdict();
    assert_int_equal(cast.vms[0].interrupts, 1);
    cast_end();
}

static void t05_a_vm_that_leaves_while_the_world_resumes_is_counted_once(void **state)
{
    (void)state;
    /* Each place in leaving against each place in resume and stop. */
    bool more = true;
    for (unsigned k = 0; more; k++) {
        bool more_daemon = true;
        more = false;
        for (unsigned m = 0; more_daemon; m++) {
            begin_at_the_start("ss", "S", "stop resume stop wait resume", NULL, 0, 0);
            until(vm(0), "guest step");
            request(0);
            ask(0);
            more_daemon = steps(DAEMON, m);
            more |= steps(vm(0), k);
            finish();
            assert_int_equal(cast.vms[0].steps, 2);
        }
    }
}

static void t06_a_stop_of_idle_vms_needs_none_of_them(void **state)
{
    (void)state;
    begin("i", "i", "stop wait resume", NULL);
    request(0);
    assert_true(is_stopped()); /* no VM has made a step */
    finish();
}

static void t07_at_the_completion_every_member_has_shown_it(void **state)
{
    (void)state;
    begin("S", "S", "stop wait resume", NULL);
    request(0);
    for (unsigned i = 0; i < 2; i++)
        until_blocked(watcher(i));
    until_blocked(vm(0));
    until_blocked(DAEMON); /* the kick of vm 0, if it was asked */
    until(vm(1), "xchg &g->status->word");
    until_blocked(DAEMON);
    assert_false(is_stopped()); /* one store is missing */
    step(vm(1));
    finish(); /* cast_stopped() looks at all of them */
    assert_int_equal(cast.stops_completed, 1);
}

/* ---- births */

static void t08_a_birth_that_meets_a_resume_leaves_nothing_behind(void **state)
{
    (void)state;
    bool more = true;
    for (unsigned k = 0; more; k++) {
        begin_at_the_start("S", "sS", "stop wait resume", "born1 admit1", 2, 0);
        until_blocked(vm(0));
        until_blocked(watcher(0));
        request(0);
        ask(1);
        ask(1);
        more = steps(DAEMON, k); /* somewhere in its birth and its release */
        finish();
        assert_int_equal(cast.vms[1].command->word, 1); /* released, no permit, no stop left */
        assert_int_equal(shows(1), SHM_RUNNING);
    }
}

static void t09_a_vm_that_is_half_built_is_closed_and_counted(void **state)
{
    (void)state;
    begin_at_the_start("S", "s", "stop wait look resume", "born1 hold1 admit1 release1", 2, 0);
    until_blocked(vm(0));
    until_blocked(watcher(0));
    request(1); /* born */
    assert_false(stop_slot(gate(1))->open);
    assert_true(stop_slot(gate(1))->arrived);
    request(0);
    until_blocked(vm(1)); /* comes to its gate before it was released */
    until_blocked(watcher(0));
    until_blocked(vm(0));
    until_blocked(DAEMON);
    assert_true(is_stopped());
    request(1);
    request(1); /* released, but held, in a stopped world */
    until_blocked(vm(1));
    assert_int_equal(cast.vms[1].steps, 0);
    finish();
    assert_int_equal(cast.vms[1].steps, 1);
}

static void t10_an_arrival_after_the_resume_has_no_effect(void **state)
{
    (void)state;
    begin("S", NULL, "stop resume stop wait resume", NULL);
    request(0);
    until_blocked(watcher(0));
    until(vm(0), "xchg &g->status->word"); /* about to show parked */
    request(0);                            /* cancelled: the world runs */
    step(vm(0));
    until_blocked(DAEMON); /* its kick may be heard now */
    assert_true(stop_slot(gate(0))->open);
    assert_false(stop_slot(gate(0))->arrived);
    assert_int_equal(conductor_small.stop()->n_missing, 0);
    until(vm(0), "guest step");
    request(0);
    assert_false(is_stopped());
    finish();
    assert_int_equal(cast.stops_completed, 1);
}

static void t11_one_vm_in_the_next_stop_while_another_still_leaves_the_last(void **state)
{
    (void)state;
    begin("S", "S", "stop wait resume stop wait resume", NULL);
    request(0);
    for (unsigned i = 0; i < 2; i++) {
        until_blocked(watcher(i));
        until_blocked(vm(i));
    }
    until_blocked(DAEMON);
    assert_true(is_stopped());
    request(0); /* resume: both are woken */
    until(vm(0), "guest step");
    until(vm(1), "xchg &g->status->word"); /* it has seen the open gate, and still shows parked */
    request(0);                            /* the next stop */
    assert_int_equal(stop_slot(gate(1))->how, STOP_HELD); /* parked, but since before: not acked */
    assert_false(is_stopped());                           /* for vm 0 */
    until_blocked(vm(1)); /* it shows running, looks, parks again: no step of its guest */
    assert_int_equal(cast.vms[1].steps, 1);
    assert_int_equal(shows(1), SHM_PARKED);
    finish();
    assert_int_equal(cast.stops_completed, 2);
}

static void t13_blocked_vms_count_at_once_stay_blocked_and_wake(void **state)
{
    (void)state;
    begin("B", "B", "stop wait msg0 resume msg1", NULL);
    request(0);
    assert_true(is_stopped());
    assert_int_equal(stop_slot(gate(0))->how, STOP_HELD);
    request(0); /* the answer of one comes behind its closed gate */
    until_blocked(vm(0));
    assert_int_equal(cast.vms[0].steps, 0);
    assert_int_equal(shows(0), SHM_PARKED);
    assert_int_equal(shows(1), SHM_BLOCKED);
    finish();
    assert_int_equal(cast.vms[0].steps, 1);
    assert_int_equal(cast.vms[1].steps, 1);
}

static void t14_a_blocked_vm_makes_no_step_in_a_stop(void **state)
{
    (void)state;
    begin("w", "S", "stop wait", NULL);
    sim_forced_end();
    assert_true(is_stopped());
    assert_false(sim_can_go_on(vm(0)));
    assert_string_equal(sim_label(vm(0)), "futex");
    assert_int_equal(cast.vms[0].steps, 0);
    /* Nothing will wake it either: no actor can go on, and it has no time-out. */
    assert_int_equal(shows(0), SHM_BLOCKED);
    check_verdict();
    cast_end();
}

static void t16_a_vm_that_shows_parked_behind_its_open_gate_is_not_called_still(void **state)
{
    (void)state;
    begin("S", NULL, "stop resume", NULL);
    request(0);
    until_blocked(watcher(0));
    until_blocked(vm(0));
    request(0);
    assert_int_equal(shows(0), SHM_PARKED); /* rung, and has not got the processor yet */
    assert_false(stop_is_still(gate(0)));
    finish();
}

/* ---- clients that go, workers that stand still */

static void t20_a_resume_comes_at_every_step_of_stopping_and_draining(void **state)
{
    (void)state;
    for (unsigned who = 0; who < 2; who++) {
        bool more = true;
        for (unsigned k = 0; more; k++) {
            begin("S", NULL, "stop resume stop resume resume stop wait resume", NULL);
            request(0);
            until_blocked(watcher(0));
            more = steps(who ? vm(0) : DAEMON, k);
            request(0);
            request(0);
            more |= who == 0 && k < 3;
            request(0);
            request(0);
            finish();
            assert_true(gate(0)->world == NULL || stop_slot(gate(0))->open);
        }
    }
}

static void t21_a_worker_that_stands_still_anywhere_delays_only_the_stop(void **state)
{
    (void)state;
    bool more = true;
    for (unsigned k = 0; more; k++) {
        begin_at_the_start("sss", NULL, "stop hold0 release0 resume hold0 stop resume release0",
                           NULL, 0, 0);
        more = steps(vm(0), k); /* and there it is frozen */
        for (unsigned i = 0; i < 8; i++) {
            request(0);
            assert_string_equal(sim_label(DAEMON), "epoll"); /* it waits for nobody */
        }
        assert_true(stop_slot(gate(0))->open);
        finish();
    }
}

/* ---- arrivals */

static void t22_the_last_straggler_goes_idle(void **state)
{
    (void)state;
    bool more = true;
    for (unsigned k = 0; more; k++) {
        begin_at_the_start("s", "i", "stop wait resume", NULL, 0, 0);
        until_blocked(vm(1));
        until(vm(0), "guest step");
        request(0);
        assert_false(is_stopped());
        /* Never interrupted: it leaves by itself. The daemon looks after each of its steps. */
        more = steps(vm(0), k);
        until_blocked(DAEMON);
        until_blocked(vm(0));
        until_blocked(DAEMON);
        assert_true(is_stopped());
        assert_int_equal(stop_slot(gate(0))->how, STOP_HELD);
        finish();
    }
}

static void t23_a_stop_between_resume_and_wake_is_not_lost(void **state)
{
    (void)state;
    /* At each step of the resume, and at each step of the VM that wakes by it. */
    bool more_daemon = true;
    for (unsigned m = 0; more_daemon; m++) {
        bool more = true;
        for (unsigned k = 0; more; k++) {
            begin("S", NULL, "stop wait resume stop wait resume", NULL);
            request(0);
            until_blocked(watcher(0));
            until_blocked(vm(0));
            until_blocked(DAEMON);
            ask(0);
            more_daemon = steps(DAEMON, m);
            more = steps(vm(0), k);
            until_blocked(DAEMON);
            request(0);
            finish();
            assert_int_equal(cast.stops_completed, 2);
        }
    }
}

static void t24_two_requests_with_one_reason_are_two_stops(void **state)
{
    (void)state;
    begin("S", NULL, "stop wait resume", "stop wait resume");
    request(0);
    request(1); /* while the first is on its way */
    until_blocked(watcher(0));
    until_blocked(vm(0));
    until_blocked(DAEMON);
    assert_int_equal(cast.clients[0].tickets_answered, 1);
    assert_int_equal(cast.clients[1].tickets_answered, 0);
    uint64_t steps_before = cast.vms[0].steps, epoch = conductor_small.stop()->epoch;
    request(0); /* the resume of the first serves the second */
    assert_int_equal(cast.clients[1].tickets_answered, 1);
    assert_true(is_stopped());
    assert_int_equal(conductor_small.stop()->epoch, epoch); /* and no gate moved */
    assert_int_equal(cast.vms[0].steps, steps_before);
    finish();
}

static void t25_a_resume_and_a_request_that_meet_are_one_after_the_other(void **state)
{
    (void)state;
    for (unsigned order = 0; order < 2; order++) {
        bool more = true;
        for (unsigned k = 0; more; k++) {
            begin("S", NULL, "stop wait resume", "stop wait resume");
            request(0);
            until_blocked(watcher(0));
            until_blocked(vm(0));
            until_blocked(DAEMON);
            ask(order);
            more = steps(DAEMON, k); /* the second comes somewhere inside the first */
            ask(1 - order);
            finish();
            assert_int_equal(cast.stops_completed, 2);
        }
    }
}

static void t26_a_cancel_at_each_step_of_a_stop_leaves_nothing_latched(void **state)
{
    (void)state;
    static const unsigned orders[][3] = {{0, 1, 2}, {1, 2, 0}, {2, 1, 0}, {1, 0, 2}};
    for (unsigned o = 0; o < 4; o++) {
        bool more = true;
        for (unsigned k = 0; more; k++) {
            begin("S", "i", "stop resume", NULL);
            ask(0);
            unsigned left = k, who[3] = {DAEMON, watcher(0), vm(0)};
            more = false;
            for (unsigned i = 0; i < 3; i++)
                while (left > 0 && sim_can_go_on(who[orders[o][i]])) {
                    step(who[orders[o][i]]);
                    left--;
                }
            more = left == 0 && k < 200;
            ask(0);
            finish();
            assert_int_equal(conductor_small.stop()->n_missing, 0);
            assert_int_equal(cast.vms[0].closings > 0, true);
        }
    }
}

static void t27_a_vm_on_its_way_out_of_a_park_does_not_run_in_the_next_stop(void **state)
{
    (void)state;
    begin("S", NULL, "stop wait resume stop wait", NULL);
    request(0);
    until_blocked(watcher(0));
    until_blocked(vm(0));
    until_blocked(DAEMON);
    request(0);
    until(vm(0), "xchg &g->status->word"); /* it has left the loop: the gate was open */
    request(0);
    assert_true(is_stopped()); /* it still shows parked: that is an arrival */
    assert_int_equal(stop_slot(gate(0))->how, STOP_HELD);
    until_blocked(vm(0));
    assert_int_equal(shows(0), SHM_PARKED);
    assert_int_equal(cast.vms[0].steps, 1);
    check_verdict();
    sim_forced_end();
    cast_check_at_rest();
    check_verdict();
    cast_end();
}

/* Store running, load words against store closed, load status: each order of the four. */
static void t28_entering_and_closing_see_each_other_in_every_order(void **state)
{
    (void)state;
    bool more_daemon = true;
    for (unsigned m = 0; more_daemon; m++) {
        bool more = true;
        for (unsigned k = 0; more; k++) {
            begin_at_the_start("sS", NULL, "stop wait resume", NULL, 0, 0);
            ask(0);
            more = steps(vm(0), k);
            more_daemon = steps(DAEMON, m);
            finish();
            assert_int_equal(cast.stops_completed, 1);
        }
    }
}

static void t29_all_blocked_before_the_request(void **state)
{
    (void)state;
    begin("b", "B", "stop wait resume msg1", NULL);
    request(0);
    assert_true(is_stopped());
    finish();
    assert_int_equal(cast.vms[0].steps, 1);
    assert_int_equal(cast.vms[1].steps, 1);
}

static void t30_a_vm_that_blocks_while_the_world_is_stopping_counts_once(void **state)
{
    (void)state;
    bool more_daemon = true;
    for (unsigned m = 0; more_daemon; m++) {
        bool more = true;
        for (unsigned k = 0; more; k++) {
            begin_at_the_start("sb", "S", "stop wait resume", NULL, 0, 0);
            until_blocked(vm(1));
            until_blocked(watcher(1));
            until(vm(0), "guest step");
            ask(0);
            more_daemon = steps(DAEMON, m);
            more = steps(vm(0), k);
            finish();
            assert_int_equal(cast.vms[0].steps, 2);
            assert_int_equal(cast.stops_completed, 1);
        }
    }
}

/* ---- deaths and liars */

static void t36_a_vm_is_killed_at_each_of_its_steps(void **state)
{
    (void)state;
    static const char *const programs[] = {"sS", "sbs", "iS", "spsis"};
    for (unsigned p = 0; p < 4; p++) {
        for (unsigned before = 0; before < 2; before++) {
            bool more = true;
            for (unsigned k = 0; more; k++) {
                begin_at_the_start(programs[p], "S", "stop wait resume", NULL, 0, 1);
                until_blocked(vm(1));
                until_blocked(watcher(1));
                if (before)
                    request(0);
                until_blocked(watcher(0));
                more = steps(vm(0), k);
                step(EVENT_KILL);
                finish();
                assert_int_equal(cast.stops_completed, 1);
            }
        }
    }
}

static void t36_a_vm_is_killed_between_its_status_and_its_kick(void **state)
{
    (void)state;
    begin_at_the_start("sS", "S", "stop wait resume", NULL, 0, 1);
    for (unsigned i = 0; i < 2; i++) {
        until_blocked(vm(i));
        until_blocked(watcher(i));
    }
    request(0);
    for (unsigned i = 0; i < 2; i++)
        until_blocked(watcher(i));
    until(vm(0), "eventfd write"); /* it was asked, and shows parked */
    step(EVENT_KILL);
    until_blocked(DAEMON); /* the death is what it hears; it goes on with the other one */
    assert_false(is_stopped());
    until_blocked(vm(1));
    until_blocked(DAEMON);
    assert_true(is_stopped());
    finish();
}

static void t37_a_vm_that_says_parked_and_runs_moves_nobody_else(void **state)
{
    (void)state;
    begin("S", "L", "stop wait resume stop wait resume", NULL);
    scene.has_liar = true;
    request(0);
    assert_false(is_stopped()); /* the honest one has not arrived, whatever the other says */
    until_blocked(watcher(0));
    until_blocked(vm(0));
    until_blocked(DAEMON);
    assert_true(is_stopped());
    /* Acked by its own word; that it runs is for the freezer to see. */
    assert_int_not_equal(stop_slot(gate(1))->how, STOP_NOT_ARRIVED);
    atomic_store(&cast.vms[1].status->word, ~(uint64_t)0); /* and now it says nonsense */
    assert_true(stop_is_still(gate(1)));
    assert_int_equal(stop_state(gate(1)), SHM_RUNNING);
    atomic_store(&cast.vms[1].status->word, shm_status_word(1, SHM_PARKED));
    finish();
    assert_int_equal(cast.stops_completed, 2);
}

static void t38_a_kick_and_a_death_of_before_do_not_count_for_who_comes_after(void **state)
{
    (void)state;
    begin_at_the_start("sS", "S", "stop wait resume", "born1 admit1", 2, 1);
    until_blocked(vm(0));
    until_blocked(watcher(0));
    request(0);
    until_blocked(watcher(0));
    until(vm(0), "load &g->command->bell"); /* parked, and its eventfd is readable */
    until(vm(0), "drain");
    int old_fd = gate(0)->kick_fd;
    step(EVENT_KILL);
    ask(1);
    ask(1);
    /* Kick, death and birth are all due at once; the new VM gets the old one's place. */
    until_blocked(DAEMON);
    assert_true(is_stopped());
    assert_int_equal(gate(1)->kick_fd, old_fd);
    assert_int_equal(gate(1)->index, 0);
    assert_int_equal(stop_slot(gate(1))->how, STOP_HELD);
    assert_int_equal(sim_eventfd_peek(gate(1)->kick_fd), 0);
    finish();
    assert_int_equal(cast.vms[1].steps, 1);
}

/* ---- the daemon's world.c */

static void begin_world(const char *vms0, const char *vms1, const char *client0,
                        const char *client1, unsigned kill)
{
    scene = (struct scenario){.name = "forced",
                              .vms = {vms0, vms1},
                              .clients = {client0, client1},
                              .kill = kill,
                              .is_settled = true};
    sim_strategy(SIM_DEFAULT);
    cast_begin(&scene, &conductor_world);
    sim_forced_begin();
}

static bool world_is_stopped(void)
{
    return conductor_world.is_stopped();
}

/* Interrupt, park, and what the daemon makes of it. */
static void comes_to_its_gate(unsigned i)
{
    until_blocked(watcher(i));
    until_blocked(vm(i));
    until_blocked(DAEMON);
}

static void t12_a_callback_that_calls_back_into_the_world_is_served(void **state)
{
    (void)state;
    begin_world("S", NULL, "flip stop wait resume", "flip", 0);
    request(0);
    request(1);
    assert_false(world_is_stopped());
    comes_to_its_gate(0); /* served, resumed inside its callback; the next one the same */
    assert_int_equal(cast.clients[0].tickets_answered, 1);
    assert_int_equal(cast.clients[1].tickets_answered, 1);
    assert_true(stop_slot(gate(0))->open);
    finish();
    assert_int_equal(cast.stops_completed, 3);
}

static void t15_a_runner_is_killed_at_each_step_and_nobody_else_runs(void **state)
{
    (void)state;
    bool more = true;
    for (unsigned k = 0; more; k++) {
        for (unsigned on_daemon = 0; on_daemon < 2; on_daemon++) {
            begin_world("S", "S", "stop wait only0 look", NULL, 1);
            request(0);
            comes_to_its_gate(0);
            comes_to_its_gate(1);
            assert_true(world_is_stopped());
            unsigned other = cast.vms[1].steps;
            ask(0);
            if (on_daemon) {
                more = steps(DAEMON, k);
            } else {
                until_blocked(DAEMON);
                more |= steps(vm(0), k);
            }
            step(EVENT_KILL);
            sim_forced_end();
            cast_check_at_rest();
            check_verdict();
            assert_true(world_is_stopped()); /* its death releases nobody */
            assert_int_equal(cast.vms[1].steps, other);
            cast_end();
        }
    }
}

static void t20_a_client_goes_at_every_step_of_its_stop_and_its_run(void **state)
{
    (void)state;
    for (unsigned after = 0; after < 3; after++) {
        bool more = true;
        for (unsigned k = 0; more; k++) {
            begin_world("S", "i", after == 0 ? "stop quit" : "stop wait only0 quit",
                        "stop wait resume", 0);
            request(0);
            if (after > 0)
                comes_to_its_gate(0);
            if (after > 1)
                request(0);
            if (after == 1)
                ask(0);
            until_blocked(watcher(0));
            more = steps(after == 1 ? DAEMON : vm(0), k);
            until_blocked(DAEMON);
            while (cast.clients[0].sent < cast.clients[0].n_ops)
                request(0);
            finish(); /* the next client gets its stop, and all run after it */
            assert_true(cast.vms[0].steps > 0);
        }
    }
}

static void t24_the_most_urgent_of_those_that_wait_is_served_first(void **state)
{
    (void)state;
    for (unsigned order = 0; order < 2; order++) {
        begin_world("S", NULL, order ? "census wait" : "gc wait", order ? "gc wait" : "census wait",
                    0);
        request(0);
        request(1);
        unsigned gc = order ? 1 : 0;
        until_blocked(watcher(0));
        until_blocked(vm(0));
        unsigned steps_before = cast.vms[0].steps;
        while (cast.clients[0].tickets_answered + cast.clients[1].tickets_answered == 0)
            step(DAEMON);
        assert_int_equal(cast.clients[gc].tickets_answered, 1);
        while (cast.clients[1 - gc].tickets_answered == 0)
            step(DAEMON);
        assert_int_equal(cast.vms[0].steps, steps_before); /* not between the two */
        assert_int_equal(conductor_world.stop()->epoch, 2);
        finish();
    }
}

static void t26_an_operation_is_cancelled_while_it_is_served(void **state)
{
    (void)state;
    begin_world("S", NULL, "gc quit", "resume stop wait resume", 0);
    request(0);
    until_blocked(watcher(0));
    until_blocked(vm(0));
    ask(0);
    ask(1); /* end of the operation, its client's end, a resume, a stop: all due at once */
    finish();
    assert_true(gate(0)->world == NULL || stop_slot(gate(0))->open);
}

/* ---- found by the explorer */

static void a_vm_whose_clock_is_ahead_waits_and_does_not_spin(void **state)
{
    (void)state;
    begin("b", NULL, "stop wait idle0 idle0 idle0 idle0 idle0 idle0 resume stop wait resume", NULL);
    /* A stop that takes a while, so that the time-out is not the end of the sleep. */
    for (unsigned i = 0; i < 7; i++)
        request(0);
    request(0);
    ask(0);
    until(DAEMON, "store &w->page->word"); /* the time of the second close is taken */
    step(EVENT_TIMER);                     /* a millisecond passes before its store */
    until(vm(0), "futex wait");            /* and the VM has read its clock in between */
    until_blocked(vm(0));
    finish(); /* "does not come to rest" */
    assert_int_equal(cast.vms[0].steps, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(t01_an_idle_vm_is_held_and_not_called_stopped),
        cmocka_unit_test(t02_an_idle_vm_that_wakes_enters_like_any_other_wherever_the_stop_comes),
        cmocka_unit_test(t03_a_vm_that_saw_the_stop_and_parks_after_the_resume_is_not_in_the_next),
        cmocka_unit_test(t04_a_thousand_looks_poke_once),
        cmocka_unit_test(t05_a_vm_that_leaves_while_the_world_resumes_is_counted_once),
        cmocka_unit_test(t06_a_stop_of_idle_vms_needs_none_of_them),
        cmocka_unit_test(t07_at_the_completion_every_member_has_shown_it),
        cmocka_unit_test(t08_a_birth_that_meets_a_resume_leaves_nothing_behind),
        cmocka_unit_test(t09_a_vm_that_is_half_built_is_closed_and_counted),
        cmocka_unit_test(t10_an_arrival_after_the_resume_has_no_effect),
        cmocka_unit_test(t11_one_vm_in_the_next_stop_while_another_still_leaves_the_last),
        cmocka_unit_test(t13_blocked_vms_count_at_once_stay_blocked_and_wake),
        cmocka_unit_test(t14_a_blocked_vm_makes_no_step_in_a_stop),
        cmocka_unit_test(t16_a_vm_that_shows_parked_behind_its_open_gate_is_not_called_still),
        cmocka_unit_test(t20_a_resume_comes_at_every_step_of_stopping_and_draining),
        cmocka_unit_test(t21_a_worker_that_stands_still_anywhere_delays_only_the_stop),
        cmocka_unit_test(t22_the_last_straggler_goes_idle),
        cmocka_unit_test(t23_a_stop_between_resume_and_wake_is_not_lost),
        cmocka_unit_test(t24_two_requests_with_one_reason_are_two_stops),
        cmocka_unit_test(t25_a_resume_and_a_request_that_meet_are_one_after_the_other),
        cmocka_unit_test(t26_a_cancel_at_each_step_of_a_stop_leaves_nothing_latched),
        cmocka_unit_test(t27_a_vm_on_its_way_out_of_a_park_does_not_run_in_the_next_stop),
        cmocka_unit_test(t28_entering_and_closing_see_each_other_in_every_order),
        cmocka_unit_test(t29_all_blocked_before_the_request),
        cmocka_unit_test(t30_a_vm_that_blocks_while_the_world_is_stopping_counts_once),
        cmocka_unit_test(t36_a_vm_is_killed_at_each_of_its_steps),
        cmocka_unit_test(t36_a_vm_is_killed_between_its_status_and_its_kick),
        cmocka_unit_test(t37_a_vm_that_says_parked_and_runs_moves_nobody_else),
        cmocka_unit_test(t38_a_kick_and_a_death_of_before_do_not_count_for_who_comes_after),
        cmocka_unit_test(t12_a_callback_that_calls_back_into_the_world_is_served),
        cmocka_unit_test(t15_a_runner_is_killed_at_each_step_and_nobody_else_runs),
        cmocka_unit_test(t20_a_client_goes_at_every_step_of_its_stop_and_its_run),
        cmocka_unit_test(t24_the_most_urgent_of_those_that_wait_is_served_first),
        cmocka_unit_test(t26_an_operation_is_cancelled_while_it_is_served),
        cmocka_unit_test(a_vm_whose_clock_is_ahead_waits_and_does_not_spin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
