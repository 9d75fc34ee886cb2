#include "tests/support/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/api.pb-c.h"
#include "proto/check_api.h"
#include "proto/limits.h"

typedef Stillpoint__Api__Envelope Envelope;
#define BODY(name) STILLPOINT__API__ENVELOPE__BODY_##name
#define CODE(name) STILLPOINT__API__ERROR_CODE__ERROR_##name

static struct api_request request;
static struct api_error error;

/* Packs, and lets it pass the door. The request is freed by the caller where it was taken. */
static int pass(Envelope *e)
{
    size_t len = stillpoint__api__envelope__get_packed_size(e);
    uint8_t *data = malloc(len + 1);
    assert_non_null(data);
    stillpoint__api__envelope__pack(e, data);
    int r = check_api_request(data, len, &request, &error);
    free(data);
    return r;
}

static Envelope envelope(uint64_t id)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    e.has_request_id = id != 0;
    e.request_id = id;
    return e;
}

static int pass_run(Stillpoint__Api__RunVm *run)
{
    Envelope e = envelope(7);
    e.has_fd_count = 1;
    e.fd_count = 1;
    e.body_case = BODY(RUN_VM);
    e.run_vm = run;
    return pass(&e);
}

static void refused(int r, int code, const char *words)
{
    assert_int_equal(r, -EBADMSG);
    assert_int_equal(error.code, code);
    if (!strstr(error.message, words))
        fail_msg("'%s' does not say '%s'", error.message, words);
    assert_int_equal(request.id, 7);
}

static void defaults_are_filled_in(void **state)
{
    (void)state;
    Stillpoint__Api__RunVm run = STILLPOINT__API__RUN_VM__INIT;
    run.program = (char *)"app.js";
    assert_int_equal(pass_run(&run), 0);
    assert_int_equal(request.kind, API_RUN_VM);
    assert_int_equal(request.id, 7);
    assert_string_equal(request.run_vm.world, "default");
    assert_string_equal(request.run_vm.engine, "mozjs");
    assert_null(request.run_vm.name);
    assert_int_equal(request.run_vm.limits.memory_bytes, 0);
    assert_int_equal(request.run_vm.limits.tasks, 0);
    assert_int_equal(request.n_fds, 1);
    check_api_done(&request);
}

static void limits_of_a_vm_are_taken_and_judged(void **state)
{
    (void)state;
    Stillpoint__Api__RunVm run = STILLPOINT__API__RUN_VM__INIT;
    run.program = (char *)"app.js";
    run.has_memory_bytes = run.has_cpu_percent = run.has_cpu_time_us = run.has_timeout_us = 1;
    run.has_tasks = run.has_output_rate = run.has_log_bytes = 1;
    run.memory_bytes = 8u << 20;
    run.cpu_percent = 50;
    run.cpu_time_us = 1;
    run.timeout_us = 2;
    run.tasks = LIMIT_VM_TASKS;
    run.output_rate = 1024;
    run.log_bytes = LIMIT_LOG_BYTES;
    assert_int_equal(pass_run(&run), 0);
    const struct vm_limits *l = &request.run_vm.limits;
    assert_int_equal(l->memory_bytes, 8u << 20);
    assert_int_equal(l->cpu_percent, 50);
    assert_int_equal(l->cpu_time_us, 1);
    assert_int_equal(l->timeout_us, 2);
    assert_int_equal(l->tasks, LIMIT_VM_TASKS);
    assert_int_equal(l->output_rate, 1024);
    assert_int_equal(l->log_bytes, LIMIT_LOG_BYTES);
    check_api_done(&request);
    run.tasks = LIMIT_VM_TASKS + 1;
    refused(pass_run(&run), CODE(INVALID_ARGUMENT), "tasks must be");
    run.tasks = 0;
    run.log_bytes = 1;
    refused(pass_run(&run), CODE(INVALID_ARGUMENT), "log size must be");
}

static void names_are_judged(void **state)
{
    (void)state;
    static const char *const bad[] = {"a/b", "..", "12", "a b", "a\nb", "\xc3\xa4"};
    char long_name[LIMIT_NAME_BYTES + 2];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    Stillpoint__Api__RunVm run = STILLPOINT__API__RUN_VM__INIT;
    run.program = (char *)"app.js";
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        run.name = (char *)(uintptr_t)bad[i];
        refused(pass_run(&run), CODE(INVALID_ARGUMENT), "bad VM name");
    }
    /* What goes back to the client, and into the log, stays one line. */
    run.name = (char *)(uintptr_t) "a\nb\xc2\x9b";
    refused(pass_run(&run), CODE(INVALID_ARGUMENT),
            "bad VM name 'a?b?"
            "?'");
    run.name = long_name;
    refused(pass_run(&run), CODE(INVALID_ARGUMENT), "longer than 64 bytes");
    long_name[LIMIT_NAME_BYTES] = '\0';
    assert_int_equal(pass_run(&run), 0);
    check_api_done(&request);
}

static void program_paths_stay_inside(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     "/etc/passwd", "../x.js", "a/../../x",
                                      "a//b", "./a",         "a/"};
    Stillpoint__Api__RunVm run = STILLPOINT__API__RUN_VM__INIT;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        run.program = (char *)(uintptr_t)bad[i];
        refused(pass_run(&run), CODE(INVALID_ARGUMENT), "program path");
    }
    run.program = NULL;
    refused(pass_run(&run), CODE(INVALID_ARGUMENT), "program path");
}

static void times_beyond_a_year_are_refused(void **state)
{
    (void)state;
    Stillpoint__Api__StopWorld stop = STILLPOINT__API__STOP_WORLD__INIT;
    Envelope e = envelope(7);
    e.body_case = BODY(STOP_WORLD);
    e.stop_world = &stop;
    stop.has_deadline_us = 1;
    stop.deadline_us = UINT64_MAX;
    refused(pass(&e), CODE(INVALID_ARGUMENT), "deadline is longer than a year");
    stop.deadline_us = 0;
    stop.has_hold_us = 1;
    stop.hold_us = UINT64_MAX / 2;
    refused(pass(&e), CODE(INVALID_ARGUMENT), "hold is longer than a year");
}

static void vms_are_named_by_id_or_name(void **state)
{
    (void)state;
    Stillpoint__Api__KillVm kill = STILLPOINT__API__KILL_VM__INIT;
    Envelope e = envelope(7);
    e.body_case = BODY(KILL_VM);
    e.kill_vm = &kill;
    refused(pass(&e), CODE(INVALID_ARGUMENT), "no VM was named");
    kill.vm = (char *)"18446744073709551615";
    assert_int_equal(pass(&e), 0);
    assert_true(request.vm.vm.id == UINT64_MAX && !request.vm.vm.name);
    check_api_done(&request);
    kill.vm = (char *)"18446744073709551616"; /* no id, and all digits is no name */
    refused(pass(&e), CODE(INVALID_ARGUMENT), "bad VM name");
    kill.vm = (char *)"app-1";
    assert_int_equal(pass(&e), 0);
    assert_string_equal(request.vm.vm.name, "app-1");
    check_api_done(&request);
}

/* Passes one message as the body of request 7. */
#define PASS(CASE, field, message)                                                                 \
    ({                                                                                             \
        Envelope e_ = envelope(7);                                                                 \
        e_.body_case = BODY(CASE);                                                                 \
        e_.field = (message);                                                                      \
        pass(&e_);                                                                                 \
    })

static char app[] = "app";

static void a_stop_is_for_a_debugger_and_kills_late_ones_only_if_asked(void **state)
{
    (void)state;
    Stillpoint__Api__StopWorld stop = STILLPOINT__API__STOP_WORLD__INIT;
    assert_int_equal(PASS(STOP_WORLD, stop_world, &stop), 0);
    assert_null(request.stop_world.debugger);
    assert_false(request.stop_world.kill_late || request.stop_world.enforce);
    assert_int_equal(request.stop_world.deadline_us, DEFAULT_DEADLINE_US);
    check_api_done(&request);
    stop.has_enforce = stop.enforce = stop.has_kill_late = stop.kill_late = 1;
    stop.debugger = (char *)"ide";
    assert_int_equal(PASS(STOP_WORLD, stop_world, &stop), 0);
    assert_string_equal(request.stop_world.debugger, "ide");
    assert_true(request.stop_world.kill_late && request.stop_world.enforce);
    check_api_done(&request);
    stop.debugger = (char *)"i d e";
    refused(PASS(STOP_WORLD, stop_world, &stop), CODE(INVALID_ARGUMENT), "bad debugger name");
}

static void holds_have_an_owner(void **state)
{
    (void)state;
    Stillpoint__Api__HoldVm hold = STILLPOINT__API__HOLD_VM__INIT;
    Stillpoint__Api__ReleaseVm release = STILLPOINT__API__RELEASE_VM__INIT;
    hold.vm = release.vm = app;
    assert_int_equal(PASS(HOLD_VM, hold_vm, &hold), 0);
    assert_string_equal(request.hold.vm.name, "app");
    assert_null(request.hold.debugger);
    check_api_done(&request);
    release.debugger = (char *)"12";
    assert_int_equal(PASS(RELEASE_VM, release_vm, &release), 0);
    assert_int_equal(request.kind, API_RELEASE_VM);
    assert_string_equal(request.hold.debugger, "12");
    check_api_done(&request);
    hold.debugger = release.debugger = (char *)"cli:x";
    refused(PASS(HOLD_VM, hold_vm, &hold), CODE(INVALID_ARGUMENT), "bad debugger name");
    refused(PASS(RELEASE_VM, release_vm, &release), CODE(INVALID_ARGUMENT), "bad debugger name");
    hold.vm = NULL;
    refused(PASS(HOLD_VM, hold_vm, &hold), CODE(INVALID_ARGUMENT), "no VM was named");
}

static void a_vm_that_runs_alone_has_a_way_to_end(void **state)
{
    (void)state;
    Stillpoint__Api__ContinueVm c = STILLPOINT__API__CONTINUE_VM__INIT;
    c.vm = app;
    assert_int_equal(PASS(CONTINUE_VM, continue_vm, &c), 0);
    assert_int_equal(request.kind, API_CONTINUE_VM);
    assert_string_equal(request.continue_vm.vm.name, "app");
    assert_false(request.continue_vm.only);
    assert_int_equal(request.continue_vm.on_exit, 0);
    check_api_done(&request);
    c.has_only = c.only = 1;
    assert_int_equal(PASS(CONTINUE_VM, continue_vm, &c), 0);
    assert_true(request.continue_vm.only);
    assert_int_equal(request.continue_vm.on_exit, STILLPOINT__API__RUNNER_EXIT__RUNNER_EXIT_STOP);
    check_api_done(&request);
    c.has_until_still = c.until_still = c.has_on_exit = c.has_deadline_us = 1;
    c.on_exit = STILLPOINT__API__RUNNER_EXIT__RUNNER_EXIT_RESUME;
    c.deadline_us = 5;
    assert_int_equal(PASS(CONTINUE_VM, continue_vm, &c), 0);
    assert_true(request.continue_vm.until_still);
    assert_int_equal(request.continue_vm.on_exit, STILLPOINT__API__RUNNER_EXIT__RUNNER_EXIT_RESUME);
    assert_int_equal(request.continue_vm.deadline_us, 5);
    check_api_done(&request);
    c.deadline_us = UINT64_MAX;
    refused(PASS(CONTINUE_VM, continue_vm, &c), CODE(INVALID_ARGUMENT), "deadline is longer");
    c.deadline_us = 5;
    c.on_exit = (Stillpoint__Api__RunnerExit)3;
    refused(PASS(CONTINUE_VM, continue_vm, &c), CODE(INVALID_ARGUMENT), "no such on_exit");
    c.vm = NULL;
    refused(PASS(CONTINUE_VM, continue_vm, &c), CODE(INVALID_ARGUMENT), "no VM was named");
}

static void what_ends_a_run_one_is_refused_where_there_is_none(void **state)
{
    (void)state;
    Stillpoint__Api__ContinueVm c = STILLPOINT__API__CONTINUE_VM__INIT;
    c.vm = app;
    c.has_until_still = c.until_still = 1;
    refused(PASS(CONTINUE_VM, continue_vm, &c), CODE(INVALID_ARGUMENT), "until_still");
    c.until_still = 0;
    c.has_on_exit = 1;
    c.on_exit = STILLPOINT__API__RUNNER_EXIT__RUNNER_EXIT_STOP;
    refused(PASS(CONTINUE_VM, continue_vm, &c), CODE(INVALID_ARGUMENT), "on_exit");
    c.has_on_exit = 0;
    c.has_deadline_us = 1;
    c.deadline_us = 1;
    refused(PASS(CONTINUE_VM, continue_vm, &c), CODE(INVALID_ARGUMENT), "deadline");
}

static void a_target_is_a_vm(void **state)
{
    (void)state;
    Stillpoint__Api__SetTarget target = STILLPOINT__API__SET_TARGET__INIT;
    refused(PASS(SET_TARGET, set_target, &target), CODE(INVALID_ARGUMENT), "no VM was named");
    target.vm = (char *)"9";
    assert_int_equal(PASS(SET_TARGET, set_target, &target), 0);
    assert_int_equal(request.kind, API_SET_TARGET);
    assert_int_equal(request.vm.vm.id, 9);
    check_api_done(&request);
}

static void a_lease_is_taken_for_an_hour(void **state)
{
    (void)state;
    Stillpoint__Api__TakeLease take = STILLPOINT__API__TAKE_LEASE__INIT;
    assert_int_equal(PASS(TAKE_LEASE, take_lease, &take), 0);
    assert_int_equal(request.kind, API_TAKE_LEASE);
    assert_string_equal(request.lease.world, "default");
    assert_null(request.lease.debugger);
    assert_false(request.lease.steal);
    assert_int_equal(request.lease.hold_us, DEFAULT_HOLD_US);
    check_api_done(&request);
    take.world = (char *)"blue";
    take.debugger = (char *)"ide";
    take.has_steal = take.steal = take.has_hold_us = 1;
    take.hold_us = 7;
    assert_int_equal(PASS(TAKE_LEASE, take_lease, &take), 0);
    assert_string_equal(request.lease.world, "blue");
    assert_string_equal(request.lease.debugger, "ide");
    assert_true(request.lease.steal);
    assert_int_equal(request.lease.hold_us, 7);
    check_api_done(&request);
    take.hold_us = UINT64_MAX;
    refused(PASS(TAKE_LEASE, take_lease, &take), CODE(INVALID_ARGUMENT), "hold is longer");
    take.world = (char *)"/";
    refused(PASS(TAKE_LEASE, take_lease, &take), CODE(INVALID_ARGUMENT), "bad world name");
}

static void a_lease_is_handed_over_to_somebody(void **state)
{
    (void)state;
    Stillpoint__Api__HandOverLease over = STILLPOINT__API__HAND_OVER_LEASE__INIT;
    refused(PASS(HAND_OVER_LEASE, hand_over_lease, &over), CODE(INVALID_ARGUMENT),
            "no debugger was named");
    over.to = (char *)"0";
    refused(PASS(HAND_OVER_LEASE, hand_over_lease, &over), CODE(INVALID_ARGUMENT),
            "bad debugger name");
    over.to = (char *)"3";
    assert_int_equal(PASS(HAND_OVER_LEASE, hand_over_lease, &over), 0);
    assert_int_equal(request.kind, API_HAND_OVER_LEASE);
    assert_string_equal(request.lease.world, "default");
    assert_string_equal(request.lease.to, "3");
    assert_null(request.lease.debugger);
    check_api_done(&request);
}

static void an_inspection_has_a_kind_and_three_times(void **state)
{
    (void)state;
    Stillpoint__Api__InspectWorld inspect = STILLPOINT__API__INSPECT_WORLD__INIT;
    refused(PASS(INSPECT_WORLD, inspect_world, &inspect), CODE(INVALID_ARGUMENT), "no such kind");
    inspect.has_kind = 1;
    inspect.kind = (Stillpoint__Api__InspectKind)4;
    refused(PASS(INSPECT_WORLD, inspect_world, &inspect), CODE(INVALID_ARGUMENT), "no such kind");
    inspect.kind = STILLPOINT__API__INSPECT_KIND__INSPECT_CENSUS;
    assert_int_equal(PASS(INSPECT_WORLD, inspect_world, &inspect), 0);
    assert_int_equal(request.kind, API_INSPECT_WORLD);
    assert_int_equal(request.inspect.kind, 2);
    assert_string_equal(request.inspect.world, "default");
    assert_int_equal(request.inspect.deadline_us, DEFAULT_DEADLINE_US);
    assert_int_equal(request.inspect.wait_us, 0);
    assert_int_equal(request.inspect.timeout_us, DEFAULT_INSPECT_TIMEOUT_US);
    assert_null(request.inspect.debugger);
    check_api_done(&request);
    inspect.has_timeout_us = 1;
    inspect.timeout_us = UINT64_MAX;
    refused(PASS(INSPECT_WORLD, inspect_world, &inspect), CODE(INVALID_ARGUMENT),
            "timeout is longer");
    inspect.timeout_us = 1;
    inspect.has_wait_us = 1;
    inspect.wait_us = UINT64_MAX;
    refused(PASS(INSPECT_WORLD, inspect_world, &inspect), CODE(INVALID_ARGUMENT), "wait is longer");
    inspect.wait_us = 0;
    inspect.debugger = (char *)"..";
    refused(PASS(INSPECT_WORLD, inspect_world, &inspect), CODE(INVALID_ARGUMENT),
            "bad debugger name");
}

static void debuggers_have_names_like_vms_or_those_of_the_command_line(void **state)
{
    (void)state;
    static const char *const good[] = {"ide", "cli:0", "cli:1000", "cli:4294967294"};
    static const char *const bad[] = {"7",      "a b",       "cli:",  "cli:-1", "cli:4294967295",
                                      "cli:00", "cli:1000x", "CLI:1", "x:1"};
    Stillpoint__Api__OpenDebugger open = STILLPOINT__API__OPEN_DEBUGGER__INIT;
    refused(PASS(OPEN_DEBUGGER, open_debugger, &open), CODE(INVALID_ARGUMENT),
            "no debugger was named");
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        open.name = (char *)(uintptr_t)good[i];
        assert_int_equal(PASS(OPEN_DEBUGGER, open_debugger, &open), 0);
        assert_string_equal(request.open_debugger.name, good[i]);
        check_api_done(&request);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        open.name = (char *)(uintptr_t)bad[i];
        refused(PASS(OPEN_DEBUGGER, open_debugger, &open), CODE(INVALID_ARGUMENT),
                "bad debugger name");
    }
}

static void a_debugger_has_a_short_note_and_one_of_two_policies(void **state)
{
    (void)state;
    char note[LIMIT_NOTE_BYTES + 2];
    Stillpoint__Api__OpenDebugger open = STILLPOINT__API__OPEN_DEBUGGER__INIT;
    open.name = (char *)"ide";
    assert_int_equal(PASS(OPEN_DEBUGGER, open_debugger, &open), 0);
    assert_null(request.open_debugger.note);
    assert_false(request.open_debugger.has_policy || request.open_debugger.hold_policy);
    check_api_done(&request);
    memset(note, 'n', sizeof note - 1);
    note[sizeof note - 1] = '\0';
    open.note = note;
    refused(PASS(OPEN_DEBUGGER, open_debugger, &open), CODE(INVALID_ARGUMENT), "note is longer");
    note[LIMIT_NOTE_BYTES] = '\0';
    open.policy = (char *)"hold";
    assert_int_equal(PASS(OPEN_DEBUGGER, open_debugger, &open), 0);
    assert_true(request.open_debugger.has_policy && request.open_debugger.hold_policy);
    check_api_done(&request);
    open.policy = (char *)"keep";
    refused(PASS(OPEN_DEBUGGER, open_debugger, &open), CODE(INVALID_ARGUMENT), "no such policy");
}

static void debuggers_are_closed_by_name_or_id_and_listed_in_pages(void **state)
{
    (void)state;
    Stillpoint__Api__CloseDebugger close = STILLPOINT__API__CLOSE_DEBUGGER__INIT;
    Stillpoint__Api__ListDebuggers list = STILLPOINT__API__LIST_DEBUGGERS__INIT;
    refused(PASS(CLOSE_DEBUGGER, close_debugger, &close), CODE(INVALID_ARGUMENT),
            "no debugger was named");
    close.debugger = (char *)"17";
    assert_int_equal(PASS(CLOSE_DEBUGGER, close_debugger, &close), 0);
    assert_int_equal(request.kind, API_CLOSE_DEBUGGER);
    assert_string_equal(request.debugger.name, "17");
    check_api_done(&request);
    assert_int_equal(PASS(LIST_DEBUGGERS, list_debuggers, &list), 0);
    assert_int_equal(request.kind, API_LIST_DEBUGGERS);
    assert_int_equal(request.list_debuggers.page_size, LIMIT_PAGE_ITEMS);
    assert_int_equal(request.list_debuggers.page_token, 0);
    check_api_done(&request);
    list.has_page_size = list.has_page_token = 1;
    list.page_size = 3;
    list.page_token = 8;
    assert_int_equal(PASS(LIST_DEBUGGERS, list_debuggers, &list), 0);
    assert_int_equal(request.list_debuggers.page_size, 3);
    assert_int_equal(request.list_debuggers.page_token, 8);
    check_api_done(&request);
}

static void units_are_named_and_listed_in_pages(void **state)
{
    (void)state;
    Stillpoint__Api__ListUnits list = STILLPOINT__API__LIST_UNITS__INIT;
    assert_int_equal(PASS(LIST_UNITS, list_units, &list), 0);
    assert_int_equal(request.list_units.page_size, LIMIT_PAGE_ITEMS);
    assert_null(request.list_units.unit);
    assert_null(request.list_units.page_token);
    check_api_done(&request);
    list.page_token = (char *)(uintptr_t) "web";
    list.unit = (char *)(uintptr_t) "app";
    assert_int_equal(PASS(LIST_UNITS, list_units, &list), 0);
    assert_string_equal(request.list_units.page_token, "web");
    assert_string_equal(request.list_units.unit, "app");
    check_api_done(&request);
    list.unit = (char *)(uintptr_t) "../app";
    refused(PASS(LIST_UNITS, list_units, &list), CODE(INVALID_ARGUMENT), "bad unit name");
    Stillpoint__Api__StartUnit start = STILLPOINT__API__START_UNIT__INIT;
    refused(PASS(START_UNIT, start_unit, &start), CODE(INVALID_ARGUMENT), "no unit was named");
    static const char *const bad[] = {"..", "a/b", "12", "web.conf/"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        start.unit = (char *)(uintptr_t)bad[i];
        refused(PASS(START_UNIT, start_unit, &start), CODE(INVALID_ARGUMENT), "bad unit name");
    }
    Stillpoint__Api__DisableUnit disable = STILLPOINT__API__DISABLE_UNIT__INIT;
    disable.unit = (char *)(uintptr_t) "web";
    assert_int_equal(PASS(DISABLE_UNIT, disable_unit, &disable), 0);
    assert_int_equal(request.kind, API_DISABLE_UNIT);
    assert_string_equal(request.unit.unit, "web");
    check_api_done(&request);
}

static void every_request_has_a_name(void **state)
{
    (void)state;
    for (int kind = 0; kind < API_KINDS; kind++)
        assert_non_null(api_kind_name((enum api_kind)kind));
    assert_string_equal(api_kind_name(API_KINDS), "unknown");
}

static void descriptors_come_only_where_they_are_taken(void **state)
{
    (void)state;
    Stillpoint__Api__Doctor doctor = STILLPOINT__API__DOCTOR__INIT;
    Envelope e = envelope(7);
    e.body_case = BODY(DOCTOR);
    e.doctor = &doctor;
    e.has_fd_count = 1;
    e.fd_count = 1;
    refused(pass(&e), CODE(INVALID_ARGUMENT), "takes no file descriptor");
    assert_int_equal(request.n_fds, 1); /* the reader takes it off the stream all the same */
    e.fd_count = 2;
    assert_int_equal(pass(&e), -EPROTO);

    Stillpoint__Api__RunVm run = STILLPOINT__API__RUN_VM__INIT;
    run.program = (char *)"app.js";
    e = envelope(7);
    e.body_case = BODY(RUN_VM);
    e.run_vm = &run;
    refused(pass(&e), CODE(INVALID_ARGUMENT), "needs one file descriptor");
}

static void what_is_no_request_ends_the_connection(void **state)
{
    (void)state;
    Stillpoint__Api__Doctor doctor = STILLPOINT__API__DOCTOR__INIT;
    Envelope e = envelope(0);
    e.body_case = BODY(DOCTOR);
    e.doctor = &doctor;
    assert_int_equal(pass(&e), -EPROTO);
    static const uint8_t garbage[] = {0xff, 0xff, 0xff, 0xff, 0x0f};
    assert_int_equal(check_api_request(garbage, sizeof garbage, &request, &error), -EPROTO);
    e = envelope(7);
    refused(pass(&e), CODE(UNSUPPORTED), "no such request");
}

static void a_message_of_very_many_fields_is_refused_before_it_is_unpacked(void **state)
{
    (void)state;
    /* SUBSCRIBE.kinds, unpacked form: two bytes a field. */
    size_t n = LIMIT_UNPACK_ELEMENTS + 10;
    uint8_t *data = malloc(2 * n + 16), *at = data;
    assert_non_null(data);
    *at++ = 1 << 3;
    *at++ = 7; /* request_id */
    *at++ = 0xc2;
    *at++ = 0x02; /* field 40, length-delimited */
    size_t len = 2 * n;
    *at++ = (uint8_t)(len | 0x80);
    *at++ = (uint8_t)(len >> 7 | 0x80);
    *at++ = (uint8_t)(len >> 14);
    for (size_t i = 0; i < n; i++) {
        *at++ = 2 << 3;
        *at++ = 1;
    }
    assert_int_equal(check_api_request(data, (size_t)(at - data), &request, &error), -EPROTO);
    assert_non_null(strstr(error.message, "too many fields"));
    free(data);
}

static void texts_are_utf8_without_nul(void **state)
{
    (void)state;
    /* envelope { request_id: 7, kill_vm (16) { vm: TEXT } } by hand: our packer would cut at the
     * NUL. */
    static const struct {
        uint8_t text[2];
    } bad[] = {{{'a', 0}}, {{0xc0, 0x80}}, {{0xff, 'a'}}, {{'a', 0xc3}}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const uint8_t data[] = {1 << 3, 7, 0x82, 0x01, 4, 0x0a, 2, bad[i].text[0], bad[i].text[1]};
        assert_int_equal(check_api_request(data, sizeof data, &request, &error), -EPROTO);
        assert_non_null(strstr(error.message, "UTF-8"));
    }
}

#define IS_REFUSED(CASE, field, message, words)                                                    \
    refused(PASS(CASE, field, message), CODE(INVALID_ARGUMENT), words)

static void pages_of_a_vm_that_stands_are_bounded(void **state)
{
    (void)state;
    Stillpoint__Api__ListFrames f = STILLPOINT__API__LIST_FRAMES__INIT;
    Stillpoint__Api__ListSources s = STILLPOINT__API__LIST_SOURCES__INIT;
    Stillpoint__Api__ListVariables v = STILLPOINT__API__LIST_VARIABLES__INIT;
    IS_REFUSED(LIST_FRAMES, list_frames, &f, "no VM");
    f.vm = s.vm = v.vm = (char *)"app";
    assert_int_equal(PASS(LIST_FRAMES, list_frames, &f), 0);
    assert_int_equal(request.look_page.max, LIMIT_PAGE_FRAMES);
    check_api_done(&request);
    f.has_max = s.has_max = v.has_max = 1;
    f.max = s.max = v.max = UINT32_MAX;
    assert_int_equal(PASS(LIST_FRAMES, list_frames, &f), 0);
    assert_int_equal(request.look_page.max, LIMIT_PAGE_FRAMES);
    check_api_done(&request);
    assert_int_equal(PASS(LIST_SOURCES, list_sources, &s), 0);
    assert_int_equal(request.look_page.max, LIMIT_PAGE_SOURCES);
    check_api_done(&request);
    IS_REFUSED(LIST_VARIABLES, list_variables, &v, "ref");
    v.has_ref = 1;
    v.ref = 3;
    assert_int_equal(PASS(LIST_VARIABLES, list_variables, &v), 0);
    assert_int_equal(request.list_variables.max, LIMIT_PAGE_VARIABLES);
    check_api_done(&request);
}

static void an_evaluation_has_a_limit_and_an_expression_that_fits(void **state)
{
    (void)state;
    Stillpoint__Api__Evaluate v = STILLPOINT__API__EVALUATE__INIT;
    static char expression[LIMIT_EXPRESSION_BYTES + 2];
    memset(expression, 'x', LIMIT_EXPRESSION_BYTES + 1);
    v.vm = (char *)"app";
    IS_REFUSED(EVALUATE, evaluate, &v, "expression is missing");
    v.expression = expression;
    IS_REFUSED(EVALUATE, evaluate, &v, "longer than 4096");
    expression[LIMIT_EXPRESSION_BYTES] = '\0';
    assert_int_equal(PASS(EVALUATE, evaluate, &v), 0);
    assert_int_equal(request.evaluate.timeout_us, DEFAULT_EVALUATE_US);
    check_api_done(&request);
    v.has_realm = 1;
    v.realm = 2;
    IS_REFUSED(EVALUATE, evaluate, &v, "realm is for in_realm");
    Stillpoint__Api__SetVariable s = STILLPOINT__API__SET_VARIABLE__INIT;
    s.vm = (char *)"app";
    s.expression = (char *)"1";
    IS_REFUSED(SET_VARIABLE, set_variable, &s, "name is missing");
}

static void a_step_goes_somewhere(void **state)
{
    (void)state;
    Stillpoint__Api__StepVm s = STILLPOINT__API__STEP_VM__INIT;
    Stillpoint__Api__BreakpointAt at = STILLPOINT__API__BREAKPOINT_AT__INIT;
    s.vm = (char *)"app";
    IS_REFUSED(STEP_VM, step_vm, &s, "no such way");
    s.has_how = 1;
    s.how = STILLPOINT__API__STEP_HOW__STEP_OVER;
    assert_int_equal(PASS(STEP_VM, step_vm, &s), 0);
    assert_int_equal(request.step_vm.count, 1);
    assert_false(request.step_vm.others_run);
    assert_int_equal(request.step_vm.granularity, 1);
    check_api_done(&request);
    s.has_count = 1;
    s.count = LIMIT_STEPS + 1;
    IS_REFUSED(STEP_VM, step_vm, &s, "more than 1000000 steps");
    s.has_count = 0;
    s.at = &at;
    IS_REFUSED(STEP_VM, step_vm, &s, "a place is for");
    s.how = STILLPOINT__API__STEP_HOW__STEP_TO;
    IS_REFUSED(STEP_VM, step_vm, &s, "url is missing");
    at.url = (char *)"app.js";
    IS_REFUSED(STEP_VM, step_vm, &s, "line is missing");
    at.has_line = 1;
    at.line = 7;
    assert_int_equal(PASS(STEP_VM, step_vm, &s), 0);
    assert_int_equal(request.step_vm.at.line, 7);
    check_api_done(&request);
    s.at = NULL;
    IS_REFUSED(STEP_VM, step_vm, &s, "has none");
}

static void sources_are_named_by_number_or_url(void **state)
{
    (void)state;
    Stillpoint__Api__ReadSource r = STILLPOINT__API__READ_SOURCE__INIT;
    Stillpoint__Api__ListPositions l = STILLPOINT__API__LIST_POSITIONS__INIT;
    r.vm = l.vm = (char *)"app";
    IS_REFUSED(READ_SOURCE, read_source, &r, "no source was named");
    r.url = l.url = (char *)"app.js";
    assert_int_equal(PASS(READ_SOURCE, read_source, &r), 0);
    assert_int_equal(request.read_source.max_bytes, LIMIT_DATA_BYTES);
    check_api_done(&request);
    l.has_line_from = l.has_line_to = 1;
    l.line_from = 3;
    l.line_to = 2;
    IS_REFUSED(LIST_POSITIONS, list_positions, &l, "before line_from");
    l.has_offset_from = 1;
    IS_REFUSED(LIST_POSITIONS, list_positions, &l, "not both");
    l.line_from = l.line_to = 0;
    l.offset_from = 9;
    assert_int_equal(PASS(LIST_POSITIONS, list_positions, &l), 0);
    assert_true(request.list_positions.wasm);
    check_api_done(&request);
    l.has_offset_to = 1;
    l.offset_to = 8;
    IS_REFUSED(LIST_POSITIONS, list_positions, &l, "before offset_from");
}

static void memory_is_read_or_written(void **state)
{
    (void)state;
    Stillpoint__Api__AccessMemory a = STILLPOINT__API__ACCESS_MEMORY__INIT;
    static uint8_t bytes[LIMIT_MEMORY_WRITE_BYTES + 1];
    a.vm = (char *)"app";
    IS_REFUSED(ACCESS_MEMORY, access_memory, &a, "either read or written");
    a.has_length = 1;
    a.length = LIMIT_DATA_BYTES + 1;
    IS_REFUSED(ACCESS_MEMORY, access_memory, &a, "to read");
    a.has_write = 1;
    a.write = (ProtobufCBinaryData){.data = bytes, .len = sizeof bytes};
    IS_REFUSED(ACCESS_MEMORY, access_memory, &a, "either read or written");
    a.has_length = 0;
    a.length = 0;
    IS_REFUSED(ACCESS_MEMORY, access_memory, &a, "to write");
    a.write.len = 5;
    assert_int_equal(PASS(ACCESS_MEMORY, access_memory, &a), 0);
    assert_int_equal(request.access_memory.write_bytes, 5);
    check_api_done(&request);
}

static void an_answer_brings_what_it_returns_or_throws_and_no_other_does(void **state)
{
    (void)state;
    Stillpoint__Api__ContinueVm c = STILLPOINT__API__CONTINUE_VM__INIT;
    c.vm = (char *)"app";
    assert_int_equal(PASS(CONTINUE_VM, continue_vm, &c), 0);
    assert_int_equal(request.continue_vm.answer, STILLPOINT__API__PAUSE_ANSWER__ANSWER_CONTINUE);
    check_api_done(&request);
    c.answer_expression = (char *)"42";
    IS_REFUSED(CONTINUE_VM, continue_vm, &c, "for return and throw");
    c.has_answer = 1;
    c.answer = STILLPOINT__API__PAUSE_ANSWER__ANSWER_RETURN;
    assert_int_equal(PASS(CONTINUE_VM, continue_vm, &c), 0);
    assert_string_equal(request.continue_vm.answer_expression, "42");
    check_api_done(&request);
    c.answer_expression = NULL;
    IS_REFUSED(CONTINUE_VM, continue_vm, &c, "expression is missing");
}

/* ---- hooks */

typedef Stillpoint__Api__AddHooks AddHooks;
#define KIND(name) STILLPOINT__API__HOOK_KIND__HOOK_##name

static Stillpoint__Api__HookKind one_kind[1];

static AddHooks add_of(Stillpoint__Api__HookKind kind)
{
    AddHooks m = STILLPOINT__API__ADD_HOOKS__INIT;
    one_kind[0] = kind;
    m.vm = (char *)"app";
    m.kinds = one_kind;
    m.n_kinds = 1;
    return m;
}

static int pass_add(AddHooks *m)
{
    Envelope e = envelope(7);
    e.body_case = BODY(ADD_HOOKS);
    e.add_hooks = m;
    return pass(&e);
}

static void hooks_get_their_defaults(void **state)
{
    (void)state;
    AddHooks m = add_of(KIND(POP));
    assert_int_equal(pass_add(&m), 0);
    const struct api_hook *h = &request.add_hooks.hook;
    assert_true(request.add_hooks.one_vm);
    assert_string_equal(request.add_hooks.vm.name, "app");
    assert_null(request.add_hooks.debugger);
    assert_int_equal(request.add_hooks.wait_us, DEFAULT_HOOKS_WAIT_US);
    assert_int_equal(request.add_hooks.deadline_us, DEFAULT_DEADLINE_US);
    assert_int_equal(h->n_kinds, 1);
    assert_int_equal(h->kinds[0], KIND(POP));
    assert_int_equal(h->suspend, STILLPOINT__API__SUSPEND__SUSPEND_NONE);
    assert_int_equal(h->per_second, DEFAULT_HITS_PER_SECOND);
    assert_int_equal(h->granularity, 0);
    assert_true(h->value);
    check_api_done(&request);
    /* One that pauses is bound by whoever answers it. */
    m.has_suspend = 1;
    m.suspend = STILLPOINT__API__SUSPEND__SUSPEND_VM;
    assert_int_equal(pass_add(&m), 0);
    assert_int_equal(request.add_hooks.hook.per_second, 0);
    check_api_done(&request);
    m = add_of(KIND(STEP));
    assert_int_equal(pass_add(&m), 0);
    assert_int_equal(request.add_hooks.hook.granularity,
                     STILLPOINT__API__GRANULARITY__GRANULARITY_STATEMENT);
    check_api_done(&request);
}

static void breakpoints_stop_the_world_and_logpoints_nobody(void **state)
{
    (void)state;
    Stillpoint__Api__BreakpointAt at = STILLPOINT__API__BREAKPOINT_AT__INIT;
    AddHooks m = add_of(KIND(BREAKPOINT));
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "needs a position");
    m.at = &at;
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "has no url");
    at.url = (char *)"app.js";
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "neither line nor offset");
    at.has_line = at.has_offset = 1;
    at.line = 3;
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "not both");
    at.has_offset = 0;
    assert_int_equal(pass_add(&m), 0);
    assert_int_equal(request.add_hooks.hook.suspend, STILLPOINT__API__SUSPEND__SUSPEND_WORLD);
    assert_int_equal(request.add_hooks.hook.per_second, 0);
    assert_string_equal(request.add_hooks.hook.at.url, "app.js");
    assert_int_equal(request.add_hooks.hook.at.line, 3);
    check_api_done(&request);
    m.log = (char *)"x is {x}";
    assert_int_equal(pass_add(&m), 0);
    assert_int_equal(request.add_hooks.hook.suspend, STILLPOINT__API__SUSPEND__SUSPEND_NONE);
    assert_int_equal(request.add_hooks.hook.per_second, DEFAULT_HITS_PER_SECOND);
    check_api_done(&request);
    m.has_suspend = 1;
    m.suspend = STILLPOINT__API__SUSPEND__SUSPEND_WORLD;
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "does not pause");
}

static void a_hook_is_for_a_vm_or_a_selector_or_a_world(void **state)
{
    (void)state;
    AddHooks m = add_of(KIND(POP));
    m.selector = (char *)"web-*";
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "both a VM and a selector");
    m.vm = NULL;
    m.world = (char *)"blue";
    assert_int_equal(pass_add(&m), 0);
    assert_false(request.add_hooks.one_vm);
    assert_string_equal(request.add_hooks.selector, "web-*");
    assert_string_equal(request.add_hooks.world, "blue");
    check_api_done(&request);
    m.selector = (char *)"web /*";
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "bad selector");
    m.selector = NULL;
    assert_int_equal(pass_add(&m), 0);
    assert_null(request.add_hooks.selector);
    check_api_done(&request);
    m.world = NULL;
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "no VM, selector or world");
    m.engine = (char *)"mozjs";
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "no VM, selector or world");
}

static void hooks_that_make_no_sense_are_refused_with_the_reason(void **state)
{
    (void)state;
    Stillpoint__Api__HookFilter filter = STILLPOINT__API__HOOK_FILTER__INIT;
    Stillpoint__Api__HookCapture capture = STILLPOINT__API__HOOK_CAPTURE__INIT;
    Stillpoint__Api__BreakpointAt at = STILLPOINT__API__BREAKPOINT_AT__INIT;
    Stillpoint__Api__HookKind two[] = {KIND(POP), KIND(POP)};
    AddHooks m = add_of(KIND(POP));
    m.n_kinds = 0;
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "no kind");
    m.kinds = two;
    m.n_kinds = 2;
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "pop is named twice");
    two[1] = (Stillpoint__Api__HookKind)11;
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "no such kind");
    two[1] = KIND(BREAKPOINT);
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "together with pop");
    m = add_of(KIND(POP));
    m.at = &at;
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "is for breakpoints, not for pop");
    m = add_of(KIND(NEW_SCRIPT));
    filter.condition = (char *)"x > 1";
    m.filter = &filter;
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "a condition means nothing for new-script");
    filter.condition = NULL;
    filter.has_line_from = filter.has_line_to = 1;
    filter.line_from = 9;
    filter.line_to = 3;
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "from 9 and to 3");
    m = add_of(KIND(PROMISE_SETTLED));
    capture.has_arguments = capture.arguments = 1;
    m.capture = &capture;
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "arguments means nothing");
    capture.arguments = 0;
    capture.has_stack_depth = 1;
    capture.stack_depth = LIMIT_HIT_FRAMES + 1;
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "at most");
    m = add_of(KIND(NEW_SCRIPT));
    m.has_weak = m.weak = 1;
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "only a new-global hook can be weak");
    m = add_of(KIND(NEW_GLOBAL));
    m.has_realm = 1;
    m.realm = 2;
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "a realm means nothing for new-global");
    m = add_of(KIND(ENTER_FRAME));
    m.has_one_frame = m.one_frame = 1;
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "only pop and step");
    m = add_of(KIND(POP));
    m.has_frame = 1;
    m.frame = 2;
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "only with one_frame");
    m.has_one_frame = m.one_frame = 1;
    m.selector = (char *)"*";
    m.vm = NULL;
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "one VM");
    m = add_of(KIND(POP));
    m.has_granularity = 1;
    m.granularity = STILLPOINT__API__GRANULARITY__GRANULARITY_OPERATION;
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "for steps");
}

static void a_hook_fits_in_one_packet_to_its_worker(void **state)
{
    (void)state;
    static char text[LIMIT_EXPRESSION_BYTES + 2];
    char *expressions[LIMIT_EXPRESSIONS];
    Stillpoint__Api__HookCapture capture = STILLPOINT__API__HOOK_CAPTURE__INIT;
    AddHooks m = add_of(KIND(POP));
    memset(text, 'x', LIMIT_EXPRESSION_BYTES);
    for (size_t i = 0; i < LIMIT_EXPRESSIONS; i++)
        expressions[i] = text;
    capture.expressions = expressions;
    capture.n_expressions = LIMIT_EXPRESSIONS;
    m.capture = &capture;
    assert_int_equal(pass_add(&m), 0);
    assert_int_equal(request.add_hooks.hook.n_expressions, LIMIT_EXPRESSIONS);
    check_api_done(&request);
    m.note = (char *)"why";
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "the texts of a hook");
    text[LIMIT_EXPRESSION_BYTES] = 'x';
    refused(pass_add(&m), CODE(INVALID_ARGUMENT), "an expression is longer");
}

static void hooks_are_removed_by_number_or_all_of_a_debugger(void **state)
{
    (void)state;
    uint64_t hooks[] = {3, 4};
    Stillpoint__Api__RemoveHooks m = STILLPOINT__API__REMOVE_HOOKS__INIT;
    Envelope e = envelope(7);
    e.body_case = BODY(REMOVE_HOOKS);
    e.remove_hooks = &m;
    refused(pass(&e), CODE(INVALID_ARGUMENT), "neither hooks nor a debugger");
    m.hooks = hooks;
    m.n_hooks = 2;
    assert_int_equal(pass(&e), 0);
    assert_int_equal(request.remove_hooks.n, 2);
    assert_int_equal(request.remove_hooks.hooks[1], 4);
    check_api_done(&request);
    m.debugger = (char *)"ide";
    refused(pass(&e), CODE(INVALID_ARGUMENT), "both hooks and a debugger");
    m.n_hooks = 0;
    assert_int_equal(pass(&e), 0);
    assert_string_equal(request.remove_hooks.debugger, "ide");
    check_api_done(&request);
}

static void hits_are_read_from_one_place(void **state)
{
    (void)state;
    Stillpoint__Api__ReadHits m = STILLPOINT__API__READ_HITS__INIT;
    Envelope e = envelope(7);
    e.body_case = BODY(READ_HITS);
    e.read_hits = &m;
    refused(pass(&e), CODE(INVALID_ARGUMENT), "no debugger");
    m.debugger = (char *)"7";
    assert_int_equal(pass(&e), 0);
    assert_int_equal(request.read_hits.max_hits, LIMIT_PAGE_ITEMS);
    check_api_done(&request);
    m.has_from_now = m.from_now = m.has_from_seq = 1;
    m.from_seq = 3;
    refused(pass(&e), CODE(INVALID_ARGUMENT), "not both");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(defaults_are_filled_in),
    cmocka_unit_test(limits_of_a_vm_are_taken_and_judged),
    cmocka_unit_test(names_are_judged),
    cmocka_unit_test(program_paths_stay_inside),
    cmocka_unit_test(times_beyond_a_year_are_refused),
    cmocka_unit_test(vms_are_named_by_id_or_name),
    cmocka_unit_test(a_stop_is_for_a_debugger_and_kills_late_ones_only_if_asked),
    cmocka_unit_test(holds_have_an_owner),
    cmocka_unit_test(a_vm_that_runs_alone_has_a_way_to_end),
    cmocka_unit_test(what_ends_a_run_one_is_refused_where_there_is_none),
    cmocka_unit_test(a_target_is_a_vm),
    cmocka_unit_test(a_lease_is_taken_for_an_hour),
    cmocka_unit_test(a_lease_is_handed_over_to_somebody),
    cmocka_unit_test(an_inspection_has_a_kind_and_three_times),
    cmocka_unit_test(debuggers_have_names_like_vms_or_those_of_the_command_line),
    cmocka_unit_test(a_debugger_has_a_short_note_and_one_of_two_policies),
    cmocka_unit_test(debuggers_are_closed_by_name_or_id_and_listed_in_pages),
    cmocka_unit_test(units_are_named_and_listed_in_pages),
    cmocka_unit_test(every_request_has_a_name),
    cmocka_unit_test(descriptors_come_only_where_they_are_taken),
    cmocka_unit_test(what_is_no_request_ends_the_connection),
    cmocka_unit_test(a_message_of_very_many_fields_is_refused_before_it_is_unpacked),
    cmocka_unit_test(texts_are_utf8_without_nul),
    cmocka_unit_test(pages_of_a_vm_that_stands_are_bounded),
    cmocka_unit_test(an_evaluation_has_a_limit_and_an_expression_that_fits),
    cmocka_unit_test(a_step_goes_somewhere),
    cmocka_unit_test(sources_are_named_by_number_or_url),
    cmocka_unit_test(memory_is_read_or_written),
    cmocka_unit_test(an_answer_brings_what_it_returns_or_throws_and_no_other_does),
    cmocka_unit_test(hooks_get_their_defaults),
    cmocka_unit_test(breakpoints_stop_the_world_and_logpoints_nobody),
    cmocka_unit_test(a_hook_is_for_a_vm_or_a_selector_or_a_world),
    cmocka_unit_test(hooks_that_make_no_sense_are_refused_with_the_reason),
    cmocka_unit_test(a_hook_fits_in_one_packet_to_its_worker),
    cmocka_unit_test(hooks_are_removed_by_number_or_all_of_a_debugger),
    cmocka_unit_test(hits_are_read_from_one_place),
};

UNIT_MAIN(tests)
