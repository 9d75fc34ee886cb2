#include "tests/support/unit.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/audit.h"
#include "daemon/debugger.h"
#include "daemon/event_bus.h"
#include "daemon/registry.h"
#include "daemon/state.h"
#include "daemon/worker.h"
#include "daemon/worker_channel.h"
#include "daemon/worlds.h"

static struct event_base *base;
static struct event_bus *bus;
static struct worlds *worlds;
static struct registry *registry;
static struct debuggers *debuggers;
static struct audit *audit;
static struct state *kept;

static void on_changed(void *userdata, const struct debugger *d)
{
    (void)userdata;
    if (kept)
        assert_int_equal(state_put_debugger(kept, d), 0);
}

static void on_gone(void *userdata, uint64_t id)
{
    (void)userdata;
    assert_int_equal(state_put_debugger_gone(kept, id), 0);
}

static void on_hook_set(void *userdata, const struct audit_hook *h)
{
    (void)userdata;
    assert_int_equal(state_put_hook(kept, h), 0);
}

static void on_orphans(void *userdata)
{
    (void)userdata;
}

static void on_hook_gone(void *userdata, uint64_t id)
{
    (void)userdata;
    assert_int_equal(state_put_hook_gone(kept, id), 0);
}

static int setup(void **state)
{
    (void)state;
    const struct registry_config config = {.lifeline_fd = -1};
    base = event_base_new();
    bus = event_bus_new();
    worlds = worlds_new(base, bus);
    registry = registry_new(&config);
    static const struct debuggers_events events = {on_changed, on_gone, NULL};
    debuggers = debuggers_new(worlds, registry, &events);
    static const struct audit_events upward = {
        .on_hook_set = on_hook_set, .on_hook_gone = on_hook_gone, .on_orphans = on_orphans};
    audit = audit_new(registry, worlds, debuggers, &upward);
    kept = state_new(registry, worlds, debuggers, audit);
    assert_non_null(kept);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    audit_free(audit);
    kept = state_free(kept);
    registry_free(registry);
    worlds_free(worlds);
    debuggers_free(debuggers);
    event_bus_free(bus);
    event_base_free(base);
    libevent_global_shutdown();
    return 0;
}

static struct worker vm(uint64_t id, const char *name)
{
    static char *args[] = {(char *)"one", (char *)"two words", NULL};
    static char *labels[] = {(char *)"tier=web", NULL};
    struct worker w = {.id = id,
                       .program = (char *)"app.js",
                       .argc = 2,
                       .argv = args,
                       .n_labels = 1,
                       .labels = labels,
                       .origin = (char *)"/srv/app.js",
                       .uid = 1000,
                       .pid = 4711,
                       .phase = WORKER_ADMITTED,
                       .limits = {.memory_bytes = 1u << 28, .timeout_us = 5, .tasks = 6},
                       .started_us = 1234567};
    snprintf(w.name, sizeof w.name, "%s", name);
    strcpy(w.world, "default");
    strcpy(w.engine, "mozjs");
    w.n_holds = 1;
    w.holds[0].debugger = 3;
    w.holds[0].count = 2;
    w.gate.birth_done = true;
    w.gate.held_ns = 99;
    w.pause.number = 5;
    w.last_step = 6;
    w.last_evaluation = 11;
    return w;
}

static void what_is_put_down_is_read_back(void **state)
{
    (void)state;
    struct worker a = vm(7, "app"), b = vm(8, "other");
    struct state_image image;
    registry_set_next_id(registry, 42);
    worlds_set_next_ticket(worlds, 43);
    assert_int_equal(state_put_vm(kept, &a), 0);
    assert_int_equal(state_put_vm(kept, &b), 0);
    assert_int_equal(state_read(state_fd(kept), &image), 0);
    assert_int_equal(image.version, STATE_VERSION);
    assert_int_equal(image.next_vm, 42);
    assert_int_equal(image.next_ticket, 43);
    assert_int_equal(image.n_vms, 2);
    const Stillpoint__State__Vm *m = image.vms[0];
    assert_int_equal(m->id, 7);
    assert_string_equal(m->name, "app");
    assert_string_equal(m->world, "default");
    assert_string_equal(m->engine, "mozjs");
    assert_string_equal(m->program, "app.js");
    assert_int_equal(m->n_args, 2);
    assert_string_equal(m->args[1], "two words");
    assert_int_equal(m->n_labels, 1);
    assert_string_equal(m->labels[0], "tier=web");
    assert_string_equal(m->origin, "/srv/app.js");
    assert_int_equal(m->uid, 1000);
    assert_int_equal(m->pid, 4711);
    assert_int_equal(m->phase, WORKER_ADMITTED);
    assert_int_equal(m->memory_bytes, 1u << 28);
    assert_int_equal(m->timeout_us, 5);
    assert_int_equal(m->tasks, 6);
    assert_int_equal(m->started_us, 1234567);
    assert_int_equal(m->n_holds, 1);
    assert_int_equal(m->holds[0]->debugger, 3);
    assert_int_equal(m->holds[0]->count, 2);
    assert_true(m->released);
    assert_int_equal(m->held_ns, 99);
    assert_int_equal(m->pause, 5);
    assert_int_equal(m->pause_reason, 0);
    assert_int_equal(m->last_step, 6);
    assert_int_equal(m->last_evaluation, 11);
    state_image_done(&image);
}

static void the_last_record_holds_and_what_is_gone_is_left_out(void **state)
{
    (void)state;
    struct worker a = vm(7, "app"), b = vm(8, "other");
    struct state_image image;
    state_put_vm(kept, &a);
    state_put_vm(kept, &b);
    a.n_holds = 0;
    state_put_vm(kept, &a);
    state_put_vm_gone(kept, 8);
    state_put_vm_gone(kept, 1000);
    assert_int_equal(state_read(state_fd(kept), &image), 0);
    assert_int_equal(image.n_vms, 1);
    assert_int_equal(image.vms[0]->n_holds, 0);
    state_image_done(&image);
}

static void debuggers_are_kept_while_they_live(void **state)
{
    (void)state;
    const struct debugger *d, *cli;
    struct state_image image;
    assert_int_equal(debuggers_open(debuggers, 1, 1000, "gdb", "looks", NULL, &d), 0);
    debuggers_set_admin(debuggers, d->id, true);
    assert_int_equal(debuggers_cli(debuggers, 1000, &cli), 0);
    debuggers_reclaim(debuggers, cli->id); /* nothing was done with it */
    assert_int_equal(state_read(state_fd(kept), &image), 0);
    assert_int_equal(image.n_debuggers, 1);
    assert_int_equal(image.next_debugger, 2); /* its number was never told */
    assert_string_equal(image.debuggers[0]->name, "gdb");
    assert_string_equal(image.debuggers[0]->note, "looks");
    assert_int_equal(image.debuggers[0]->owner_uid, 1000);
    assert_false(image.debuggers[0]->hold_policy);
    assert_true(image.debuggers[0]->admin);
    state_image_done(&image);
    debuggers_on_client_gone(debuggers, 1);
    assert_int_equal(state_read(state_fd(kept), &image), 0);
    assert_int_equal(image.n_debuggers, 0);
    state_image_done(&image);
}

static void hooks_are_kept_from_when_they_are_set_until_they_are_cleared(void **state)
{
    (void)state;
    const struct debugger *d;
    struct state_image image;
    uint64_t set, installing;
    size_t waits;
    struct audit_where where = {.target = AUDIT_SELECTOR,
                                .of_owner = true,
                                .owner = 1000,
                                .name = "web-*",
                                .world = "default"};
    Stillpoint__Worker__Hook wire = STILLPOINT__WORKER__HOOK__INIT;
    wire.has_kind = wire.has_per_second = 1;
    wire.kind = 5;
    wire.per_second = 7;
    wire.condition = (char *)"x > 1";
    assert_int_equal(debuggers_open(debuggers, 1, 1000, "gdb", NULL, NULL, &d), 0);
    assert_int_equal(audit_add(audit, d->id, &where, &wire, false, "why", NULL, &set, &waits), 0);
    audit_commit(audit, set);
    assert_int_equal(audit_add(audit, d->id, &where, &wire, false, NULL, NULL, &installing, &waits),
                     0);
    /* Also when it is written anew. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(state_read(state_fd(kept), &image), 0);
        assert_int_equal(image.n_hooks, 1);
        assert_int_equal(image.hooks[0]->id, set);
        assert_int_equal(image.hooks[0]->debugger, d->id);
        assert_int_equal(image.hooks[0]->target, AUDIT_SELECTOR);
        assert_string_equal(image.hooks[0]->name, "web-*");
        assert_string_equal(image.hooks[0]->world, "default");
        assert_string_equal(image.hooks[0]->note, "why");
        assert_false(image.hooks[0]->weak);
        assert_true(image.hooks[0]->has_owner_uid);
        assert_int_equal(image.hooks[0]->owner_uid, 1000);
        Stillpoint__Worker__Hook *back = stillpoint__worker__hook__unpack(
            NULL, image.hooks[0]->wire.len, image.hooks[0]->wire.data);
        assert_non_null(back);
        assert_int_equal(back->hook, set);
        assert_int_equal(back->kind, 5);
        assert_int_equal(back->per_second, 7);
        assert_string_equal(back->condition, "x > 1");
        stillpoint__worker__hook__free_unpacked(back, NULL);
        state_image_done(&image);
        state_free(kept);
        kept = state_new(registry, worlds, debuggers, audit);
    }
    assert_int_equal(audit_drop(audit, installing, NULL), 0);
    assert_int_equal(audit_drop(audit, set, NULL), 0);
    assert_int_equal(state_put_debugger(kept, d), 0);
    assert_int_equal(state_read(state_fd(kept), &image), 0);
    assert_int_equal(image.n_hooks, 0);
    assert_int_equal(image.next_hook, installing + 1);
    state_image_done(&image);
}

static void a_stopped_world_is_kept_with_its_ticket(void **state)
{
    (void)state;
    struct world *w = worlds_get(worlds, "default", false);
    struct state_image image;
    uint64_t ticket;
    struct world_resumption resumption;
    const struct ticket_request request = {.reason = TICKET_ADMIN,
                                           .uid = 1000,
                                           .admin = true,
                                           .deadline_us = 1,
                                           .hold_us = 3600000000u};
    assert_int_equal(world_stop(w, &request, &ticket), 0);
    assert_int_equal(state_put_world(kept, w), 0);
    assert_int_equal(state_read(state_fd(kept), &image), 0);
    assert_int_equal(image.n_worlds, 1);
    assert_int_equal(image.worlds[0]->mode, WORLD_STOPPED);
    assert_int_equal(image.worlds[0]->epoch, world_epoch(w));
    assert_int_equal(image.worlds[0]->ticket, ticket);
    assert_int_equal(image.worlds[0]->uid, 1000);
    assert_true(image.worlds[0]->admin);
    assert_false(image.worlds[0]->has_owner_uid);
    assert_int_equal(image.next_ticket, ticket + 1);
    state_image_done(&image);
    world_resume(w, &resumption);
}

static void a_world_of_a_name_is_kept_with_its_owner(void **state)
{
    (void)state;
    struct world *w, *same;
    struct state_image image;
    assert_int_equal(worlds_get_for(worlds, "hers", 1001, 1, &w), 0);
    assert_int_equal(worlds_get_for(worlds, "more", 1001, 1, &same), -EDQUOT);
    assert_int_equal(worlds_get_for(worlds, "hers", 1002, 0, &same), 0);
    assert_ptr_equal(same, w);
    assert_int_equal(worlds_of_uid(worlds, 1001), 1);
    assert_int_equal(worlds_of_uid(worlds, 0), 0); /* "default" is nobody's */
    assert_int_equal(state_put_world(kept, w), 0);
    assert_int_equal(state_read(state_fd(kept), &image), 0);
    assert_int_equal(image.n_worlds, 2);
    const Stillpoint__State__World *m = image.worlds[strcmp(image.worlds[0]->name, "hers") != 0];
    assert_string_equal(m->name, "hers");
    assert_true(m->has_owner_uid);
    assert_int_equal(m->owner_uid, 1001);
    state_image_done(&image);
    world_drop_if_unused(w);
}

static void the_log_is_written_anew_before_it_grows_large(void **state)
{
    (void)state;
    struct worker a = vm(7, "app");
    struct state_image image;
    for (int i = 0; i < 20000; i++)
        assert_int_equal(state_put_vm(kept, &a), 0);
    assert_true(lseek(state_fd(kept), 0, SEEK_END) < 1024 * 1024);
    /* The registry knows no such VM, so that the log which was made of it has none either, but for
     * what was put down since. */
    assert_int_equal(state_read(state_fd(kept), &image), 0);
    assert_true(image.n_vms <= 1);
    state_image_done(&image);
}

static void a_log_that_was_cut_off_is_read_up_to_there(void **state)
{
    (void)state;
    struct worker a = vm(7, "app");
    struct state_image image;
    state_put_vm(kept, &a);
    off_t end = lseek(state_fd(kept), 0, SEEK_END);
    static const uint8_t half[12] = {0, 0, 0, 0, 0x12, 0x34};
    assert_int_equal(pwrite(state_fd(kept), half, sizeof half, end), sizeof half);
    assert_int_equal(state_read(state_fd(kept), &image), 0);
    assert_int_equal(image.n_vms, 1);
    state_image_done(&image);
}

static void what_is_no_log_is_refused(void **state)
{
    (void)state;
    struct state_image image;
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(state_read(fd, &image), -EPROTO);
    static const uint8_t garbage[64] = {0xff, 0xff, 0xff, 0x7f, 1, 2, 3};
    assert_int_equal(pwrite(fd, garbage, sizeof garbage, 0), sizeof garbage);
    assert_int_equal(state_read(fd, &image), -EPROTO);
    /* Head { version: 99 } */
    static const uint8_t later[] = {4, 0, 0, 0, 0x0a, 2, 8, 99};
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, later, sizeof later, 0), sizeof later);
    assert_int_equal(state_read(fd, &image), -EPROTONOSUPPORT);
    close(fd);
}

static void put_queued(const struct worker *w, uint64_t number, const char *text, bool beside)
{
    const struct worker_queued q = {.number = number,
                                    .data = (const uint8_t *)text,
                                    .len = strlen(text),
                                    .fd = beside ? 0 : -1};
    assert_int_equal(state_put_queued(kept, w, &q), 0);
}

static void commands_that_wait_are_kept_until_they_went_out(void **state)
{
    (void)state;
    struct worker a = vm(7, "app"), b = vm(8, "other");
    struct state_image image;
    for (uint64_t n = 1; n <= 5; n++) {
        put_queued(&a, n, "of a", n == 5);
        put_queued(&b, n, "of b", false);
    }
    assert_int_equal(state_put_sent(kept, &a, 3), 0);
    assert_int_equal(state_put_vm_gone(kept, 8), 0);
    assert_int_equal(state_read(state_fd(kept), &image), 0);
    assert_int_equal(image.n_queued, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(image.queued[i]->vm, 7);
        assert_int_equal(image.queued[i]->number, 4 + i);
        assert_int_equal(image.queued[i]->beside, i == 1);
        assert_int_equal(image.queued[i]->command.len, 4);
        assert_memory_equal(image.queued[i]->command.data, "of a", 4);
    }
    state_image_done(&image);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
    TEST(what_is_put_down_is_read_back),
    TEST(the_last_record_holds_and_what_is_gone_is_left_out),
    TEST(commands_that_wait_are_kept_until_they_went_out),
    TEST(debuggers_are_kept_while_they_live),
    TEST(hooks_are_kept_from_when_they_are_set_until_they_are_cleared),
    TEST(a_stopped_world_is_kept_with_its_ticket),
    TEST(a_world_of_a_name_is_kept_with_its_owner),
    TEST(the_log_is_written_anew_before_it_grows_large),
    TEST(a_log_that_was_cut_off_is_read_up_to_there),
    TEST(what_is_no_log_is_refused),
};

UNIT_MAIN(tests)
