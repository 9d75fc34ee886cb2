/*
 * The real world and its stop half, with workers that this test plays: it writes their status pages
 * and answers their kicks. Everything that a stop can meet is forced here, one step after the
 * other.
 */
#include "tests/support/unit.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/event_bus.h"
#include "daemon/worker.h"
#include "daemon/world.h"
#include "shared-mem/futex.h"
#include "shared-mem/map.h"

struct outcome {
    int calls;
    enum ticket_outcome outcome;
    enum world_mode mode;
    uint64_t ticket;
    size_t n_arrivals, n_missing;
    struct arrival arrivals[8];
    uint64_t missing[8];
};

struct player {
    struct worker worker;
    struct status_page *status;
};

static struct event_base *base;
static struct event_bus *bus;
static struct worlds *worlds;
static struct world *world;
static struct player players[3];

static int setup(void **state)
{
    (void)state;
    base = event_base_new();
    bus = event_bus_new();
    worlds = worlds_new(base, bus);
    world = worlds_get(worlds, "default", false);
    assert_non_null(world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        if (players[i].worker.gate.world)
            stop_gate_done(&players[i].worker.gate);
        map_done(players[i].status);
        memset(&players[i], 0, sizeof players[i]);
    }
    worlds_free(worlds);
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

static void on_served(void *userdata, enum ticket_outcome what, const struct stop_report *report)
{
    struct outcome *o = userdata;
    o->calls++;
    o->outcome = what;
    if (!report)
        return;
    o->mode = report->mode;
    o->ticket = report->ticket;
    o->n_arrivals = report->n_arrivals;
    o->n_missing = report->n_missing;
    memcpy(o->arrivals, report->arrivals, report->n_arrivals * sizeof *report->arrivals);
    memcpy(o->missing, report->missing, report->n_missing * sizeof *report->missing);
}

static int stop(struct outcome *o, enum ticket_reason reason, uint64_t wait_us)
{
    uint64_t ticket;
    const struct ticket_request r = {.reason = reason,
                                     .uid = 1000,
                                     .deadline_us = 20000,
                                     .wait_us = wait_us,
                                     .hold_us = 3600000000u,
                                     .on_served = on_served,
                                     .userdata = o};
    return world_stop(world, &r, &ticket);
}

static int resume(uint64_t *ret_next)
{
    uint64_t ticket, held;
    return world_resume(world, &ticket, ret_next, &held);
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
    assert_int_equal(o.calls, 1);
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
    assert_int_equal(o.calls, 1);
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
    assert_int_equal(o.calls, 0);
    assert_int_equal(world_mode(world), WORLD_STOPPING);
    for (int i = 0; i < 5; i++)
        world_on_member_kicked(world, &p->worker); /* looks that find it running */
    assert_int_equal(pokes(p), 1);
    arrives(p);
    assert_int_equal(o.calls, 1);
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
    assert_int_equal(o.calls, 1);
    assert_int_equal(o.arrivals[0].how, ARRIVAL_HELD);
}

static void the_death_of_the_last_straggler_completes_the_stop(void **state)
{
    (void)state;
    born(0, SHM_IDLE);
    struct player *p = born(1, SHM_RUNNING);
    struct outcome o = {0};
    stop(&o, TICKET_ADMIN, 0);
    assert_int_equal(o.calls, 0);
    world_on_member_ended(world, &p->worker);
    assert_int_equal(o.calls, 1);
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
    assert_false(child->worker.gate.open);
    arrives(p);
    assert_int_equal(o.n_arrivals, 2);
    uint64_t next;
    resume(&next);
    assert_true(child->worker.gate.open);
}

static void who_does_not_arrive_by_the_deadline_is_named_and_resume_works(void **state)
{
    (void)state;
    born(0, SHM_IDLE);
    struct player *p = born(1, SHM_RUNNING);
    struct outcome o = {0};
    uint64_t next;
    stop(&o, TICKET_ADMIN, 0);
    while (o.calls == 0)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(o.mode, WORLD_STOPPING);
    assert_int_equal(o.n_missing, 1);
    assert_int_equal(o.missing[0], 2);
    assert_int_equal(o.n_arrivals, 1);
    arrives(p); /* late: the stop completes, and is not reported twice */
    assert_int_equal(world_mode(world), WORLD_STOPPED);
    assert_int_equal(o.calls, 1);
    assert_int_equal(resume(&next), 0);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
}

static void a_stop_can_be_cancelled_before_it_completes(void **state)
{
    (void)state;
    born(0, SHM_RUNNING);
    struct outcome o = {0};
    uint64_t next;
    stop(&o, TICKET_ADMIN, 0);
    assert_int_equal(resume(&next), 0);
    assert_int_equal(o.calls, 1);
    assert_int_equal(o.outcome, TICKET_CANCELLED);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
}

static void a_second_stop_is_refused_or_waits_in_order_of_urgency(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    struct outcome first = {0}, busy = {0}, admin = {0}, gc = {0};
    uint64_t next;
    stop(&first, TICKET_ADMIN, 0);
    assert_int_equal(stop(&busy, TICKET_ADMIN, 0), -EBUSY);
    assert_int_equal(stop(&admin, TICKET_ADMIN, 1000000), 0);
    assert_int_equal(stop(&gc, TICKET_GC, 1000000), 0);
    arrives(p);
    uint64_t word = atomic_load(&world_stop_half(world)->page->word);
    resume(&next);
    assert_int_equal(gc.calls, 1); /* the more urgent first */
    assert_int_equal(gc.ticket, next);
    assert_int_equal(admin.calls, 0);
    /* Not one store in between: nobody could have run. */
    assert_int_equal(atomic_load(&world_stop_half(world)->page->word), word);
    resume(&next);
    assert_int_equal(admin.calls, 1);
    resume(&next);
    assert_int_equal(next, 0);
    assert_int_equal(world_mode(world), WORLD_RUN_ALL);
    assert_int_equal(busy.calls, 0);
    assert_int_equal(first.calls + gc.calls + admin.calls, 3);
}

static void time_in_the_queue_runs_out(void **state)
{
    (void)state;
    struct outcome first = {0}, second = {0};
    stop(&first, TICKET_ADMIN, 0);
    stop(&second, TICKET_ADMIN, 5000);
    while (second.calls == 0)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(second.outcome, TICKET_EXPIRED);
    assert_int_equal(world_mode(world), WORLD_STOPPED);
}

static void a_held_vm_counts_in_a_stop_and_stays_held_after_it(void **state)
{
    (void)state;
    struct player *p = born(0, SHM_RUNNING);
    struct outcome o = {0};
    uint64_t next;
    world_hold(world, &p->worker, 0);
    assert_false(p->worker.gate.open);
    assert_int_equal(pokes(p), 1);
    shows(p, SHM_PARKED);
    stop(&o, TICKET_ADMIN, 0);
    assert_int_equal(o.mode, WORLD_STOPPED);
    assert_int_equal(pokes(p), 1); /* it was poked when its gate closed, and it is closed still */
    resume(&next);
    assert_false(p->worker.gate.open);
    assert_int_equal(world_release(world, &p->worker, 0), 0);
    assert_true(p->worker.gate.open);
    assert_int_equal(world_release(world, &p->worker, 0), -EALREADY);
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
    assert_int_equal(o.calls, 0);
    atomic_store(&p->status->parked_ns, UINT64_MAX); /* a lie about the time is not believed */
    arrives(p);
    assert_int_equal(o.calls, 1);
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
    TEST(an_empty_world_stops_at_once),
    TEST(idle_and_blocked_count_as_held_and_are_not_disturbed),
    TEST(a_running_vm_is_poked_once_and_the_stop_waits_for_it),
    TEST(a_vm_that_goes_idle_instead_of_parking_is_held),
    TEST(the_death_of_the_last_straggler_completes_the_stop),
    TEST(a_birth_during_a_stop_counts_as_held_and_stays_closed),
    TEST(who_does_not_arrive_by_the_deadline_is_named_and_resume_works),
    TEST(a_stop_can_be_cancelled_before_it_completes),
    TEST(a_second_stop_is_refused_or_waits_in_order_of_urgency),
    TEST(time_in_the_queue_runs_out),
    TEST(a_held_vm_counts_in_a_stop_and_stays_held_after_it),
    TEST(garbage_in_a_status_page_never_counts_as_an_arrival),
    TEST(each_epoch_is_new),
    TEST(worlds_are_apart_and_go_when_unused),
};

UNIT_MAIN(tests)
