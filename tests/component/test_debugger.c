/*
 * Debuggers over the real worlds: who may act through which, and what becomes of what they hold.
 */
#include "tests/support/unit.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "daemon/debugger.h"
#include "daemon/event_bus.h"
#include "daemon/registry.h"
#include "daemon/worker.h"
#include "daemon/worlds.h"

static struct event_base *base;
static struct event_bus *bus;
static struct worlds *worlds;
static struct registry *registry;
static struct debuggers *debuggers;
static uint64_t last_gone;

static unsigned n_changed;
static uint64_t last_changed;

static void on_changed(void *userdata, const struct debugger *d)
{
    (void)userdata;
    n_changed++;
    last_changed = d->id;
}

static void on_gone(void *userdata, uint64_t id)
{
    (void)userdata;
    last_gone = id;
}

static int setup(void **state)
{
    (void)state;
    const struct registry_config config = {.lifeline_fd = -1};
    static const struct debuggers_events events = {on_changed, on_gone, NULL};
    last_gone = 0;
    n_changed = 0;
    base = event_base_new();
    bus = event_bus_new();
    worlds = worlds_new(base, bus);
    registry = registry_new(&config);
    debuggers = debuggers_new(worlds, registry, &events);
    assert_non_null(debuggers);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    registry_free(registry);
    worlds_free(worlds);
    debuggers_free(debuggers);
    event_bus_free(bus);
    event_base_free(base);
    libevent_global_shutdown();
    return 0;
}

static const struct debugger *open_one(uint64_t client, const char *name, bool hold)
{
    const struct debugger *d = NULL;
    assert_int_equal(debuggers_open(debuggers, client, 1000, name, "", &hold, &d), 0);
    return d;
}

static void stop_for(const struct debugger *d)
{
    struct world *w = worlds_get(worlds, "default", false);
    const struct ticket_request r = {.reason = TICKET_ADMIN,
                                     .uid = 1000,
                                     .debugger = d->id,
                                     .deadline_us = 1000000,
                                     .hold_us = 1000000};
    uint64_t ticket;
    assert_int_equal(world_stop(w, &r, &ticket), 0);
    assert_int_equal(world_mode(w), WORLD_STOPPED);
}

static void a_name_that_begins_with_a_number_means_no_other_debugger(void **state)
{
    (void)state;
    const struct debugger *d = open_one(1, "ide", false);
    char ref[32];
    snprintf(ref, sizeof ref, "%llu", (unsigned long long)d->id);
    assert_ptr_equal(debuggers_find_ref(debuggers, ref), d);
    strcat(ref, "up");
    assert_null(debuggers_find_ref(debuggers, ref));
}

static void who_has_not_opened_a_debugger_does_not_act_through_it(void **state)
{
    (void)state;
    const struct debugger *d, *ide = open_one(1, "ide", false);
    assert_int_equal(debuggers_of(debuggers, 1, 1000, "ide", &d), 0);
    assert_ptr_equal(d, ide);
    assert_int_equal(debuggers_of(debuggers, 2, 1000, "ide", &d), -EACCES);
    assert_int_equal(debuggers_of(debuggers, 2, 1000, "none", &d), -ENOENT);
    assert_int_equal(debuggers_cli(debuggers, 1001, &d), 0);
    assert_int_equal(debuggers_of(debuggers, 2, 1000, "cli:1001", &d), -EACCES);
    assert_int_equal(debuggers_open(debuggers, 2, 1001, "ide", "", NULL, &d), -EACCES);
    assert_int_equal(debuggers_open(debuggers, 1, 1000, "ide", "", NULL, &d), -EALREADY);
}

static void the_last_connection_that_ends_acts_by_policy(void **state)
{
    (void)state;
    struct world *w = worlds_get(worlds, "default", false);
    const struct debugger *d = open_one(1, "resumes", false);
    uint64_t id = d->id;
    assert_ptr_equal(open_one(2, "resumes", false), d);
    stop_for(d);
    debuggers_on_client_gone(debuggers, 1);
    assert_int_equal(world_mode(w), WORLD_STOPPED);
    debuggers_on_client_gone(debuggers, 2);
    assert_int_equal(world_mode(w), WORLD_RUN_ALL);
    assert_int_equal(last_gone, id);
    d = open_one(3, "holds", true);
    id = d->id;
    stop_for(d);
    debuggers_on_client_gone(debuggers, 3);
    assert_int_equal(world_mode(w), WORLD_STOPPED);
    assert_int_equal(d->n_opens, 0);
    assert_int_equal(d->n_holdings, 1);
    debuggers_close(debuggers, id);
    assert_int_equal(world_mode(w), WORLD_RUN_ALL);
    assert_int_equal(last_gone, id);
}

static void one_of_the_command_line_is_told_of_when_it_leaves_something_behind(void **state)
{
    (void)state;
    const struct debugger *d;
    assert_int_equal(debuggers_cli(debuggers, 1000, &d), 0);
    debuggers_reclaim(debuggers, d->id);
    debuggers_settle(debuggers);
    assert_int_equal(n_changed, 0);
    assert_int_equal(last_gone, 0);

    assert_int_equal(debuggers_cli(debuggers, 1000, &d), 0);
    uint64_t id = d->id;
    stop_for(d);
    debuggers_reclaim(debuggers, id);
    debuggers_settle(debuggers);
    debuggers_settle(debuggers);
    assert_int_equal(n_changed, 1);
    assert_int_equal(last_changed, id);
    debuggers_close(debuggers, id);
    assert_int_equal(last_gone, id);
}

/* Whatever keeps it, such as a hook that is about to go: that it is open no more is a fact. */
static void one_that_is_open_no_more_and_stays_is_told_of(void **state)
{
    (void)state;
    const struct debugger *d = open_one(1, "kept", false);
    uint64_t id = d->id;
    assert_true(debuggers_any_open(debuggers));
    debuggers_count_holding(debuggers, id, 1);
    n_changed = 0;
    debuggers_on_client_gone(debuggers, 1);
    assert_int_equal(n_changed, 1);
    assert_int_equal(last_changed, id);
    assert_false(debuggers_any_open(debuggers));
    assert_ptr_equal(open_one(2, "kept", false), d);
    n_changed = 0;
    debuggers_close(debuggers, id);
    assert_int_equal(n_changed, 1);
    assert_false(debuggers_any_open(debuggers));
    assert_int_equal(last_gone, 0);
    debuggers_count_holding(debuggers, id, -1);
    assert_int_equal(last_gone, id);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
    TEST(a_name_that_begins_with_a_number_means_no_other_debugger),
    TEST(who_has_not_opened_a_debugger_does_not_act_through_it),
    TEST(one_of_the_command_line_is_told_of_when_it_leaves_something_behind),
    TEST(the_last_connection_that_ends_acts_by_policy),
    TEST(one_that_is_open_no_more_and_stays_is_told_of),
};

UNIT_MAIN(tests)
