/* The shapes that docs/schemas promise. */
#include "tests/support/unit.h"

#include <stdlib.h>
#include <string.h>

#include "cli/json.h"

static void assert_json(json_t *value, const char *expected)
{
    assert_non_null(value);
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_string_equal(text, expected);
    free(text);
    json_decref(value);
}

static struct stillpoint_vm plain_vm(void)
{
    return (struct stillpoint_vm){.id = 1,
                                  .name = "app",
                                  .world = "default",
                                  .engine = "mozjs",
                                  .program = "app.js",
                                  .state = STILLPOINT_VM_IDLE,
                                  .held = true,
                                  .pid = 77,
                                  .uid = 1000,
                                  .started_us = UINT64_C(1700000000000000)};
}

static void a_living_vm_has_no_exit_and_no_end(void **state)
{
    struct stillpoint_vm vm = plain_vm();
    (void)state;
    assert_json(json_of_vm(&vm),
                "{\"id\":1,\"name\":\"app\",\"world\":\"default\",\"engine\":\"mozjs\","
                "\"state\":\"idle\",\"held\":true,\"holds\":[],\"frozen\":false,\"pid\":77,"
                "\"exit\":null,\"args\":[],\"started_us\":1700000000000000,\"cpu_us\":0,"
                "\"memory_bytes\":0,\"posture\":{},\"hooks\":0,\"uid\":1000,\"ended_us\":null,"
                "\"program\":\"app.js\",\"how\":null,\"serving\":false,\"limits\":{"
                "\"memory_bytes\":null,\"hard_memory_bytes\":null,\"cpu_percent\":null,"
                "\"cpu_time_us\":null,\"timeout_us\":null,\"tasks\":null,"
                "\"output_rate\":null,\"log_bytes\":null},\"labels\":{},\"unit\":null}");
}

static void labels_are_an_object(void **state)
{
    static const char *const labels[] = {"tier=web", "team=", "x"};
    (void)state;
    assert_json(json_of_labels(labels, 3), "{\"tier\":\"web\",\"team\":\"\",\"x\":\"\"}");
}

static void an_exited_vm_has_no_pid(void **state)
{
    static const char *const args[] = {"a", "b c"}, *const holds[] = {"cli:0"};
    static const struct stillpoint_layer posture[] = {{"seccomp", "on"}, {"cgroup", "degraded"}};
    struct stillpoint_vm vm = plain_vm();
    (void)state;
    vm.pid = 0;
    vm.state = STILLPOINT_VM_EXITED;
    vm.has_exit = true;
    vm.exit = (struct stillpoint_exit){STILLPOINT_EXIT_OOM, 137, 9, "limit"};
    vm.args = args;
    vm.n_args = 2;
    vm.holds = holds;
    vm.n_holds = 1;
    vm.posture = posture;
    vm.n_posture = 2;
    vm.how = STILLPOINT_HOW_DEAD;
    vm.limits = (struct stillpoint_limits){1, 2, 3, 4, 5, 6, 7, 8};
    json_t *value = json_of_vm(&vm);
    assert_true(json_is_null(json_object_get(value, "pid")));
    assert_string_equal(json_string_value(json_object_get(value, "how")), "dead");
    assert_json(json_incref(json_object_get(value, "exit")),
                "{\"reason\":\"oom\",\"code\":137,\"signal\":9,\"detail\":\"limit\"}");
    assert_json(json_incref(json_object_get(value, "limits")),
                "{\"memory_bytes\":1,\"hard_memory_bytes\":2,\"cpu_percent\":7,"
                "\"cpu_time_us\":3,\"timeout_us\":4,\"tasks\":8,\"output_rate\":5,"
                "\"log_bytes\":6}");
    assert_json(json_incref(json_object_get(value, "args")), "[\"a\",\"b c\"]");
    assert_json(json_incref(json_object_get(value, "holds")), "[{\"debugger\":\"cli:0\"}]");
    assert_json(json_incref(json_object_get(value, "posture")),
                "{\"seccomp\":\"on\",\"cgroup\":\"degraded\"}");
    json_decref(value);
}

static void a_world_has_nulls_for_what_it_lacks(void **state)
{
    struct stillpoint_world w = {.name = "blue", .mode = STILLPOINT_MODE_RUN_ALL, .epoch = 1};
    const struct stillpoint_ticket ticket = {3, "admin", "cli:0", 0, 5};
    (void)state;
    assert_json(json_of_world(&w), "{\"name\":\"blue\",\"mode\":\"run-all\",\"epoch\":1,"
                                   "\"ticket\":null,\"queued\":[],\"runner\":null,\"target\":null,"
                                   "\"controller\":null,\"vms\":0,\"enforced\":false}");
    w.mode = STILLPOINT_MODE_STOPPED;
    w.ticket = &ticket;
    w.has_controller = true;
    w.controller.debugger = "cli:0";
    w.controller.policy = "hold";
    json_t *value = json_of_world(&w);
    assert_json(
        json_incref(json_object_get(value, "ticket")),
        "{\"ticket\":3,\"reason\":\"admin\",\"debugger\":\"cli:0\",\"uid\":0,\"since_us\":5}");
    assert_json(json_incref(json_object_get(value, "controller")),
                "{\"debugger\":\"cli:0\",\"policy\":\"hold\",\"expires_us\":null}");
    json_decref(value);
}

static void a_stop_report_lists_arrivals_and_ids_that_miss(void **state)
{
    const struct stillpoint_arrival arrivals[] = {
        {1, "app", STILLPOINT_VM_ACTIVE, STILLPOINT_HOW_ACKED, 40, false},
        {3, "liar", STILLPOINT_VM_ACTIVE, STILLPOINT_HOW_ENFORCED, 45, true}};
    const uint64_t missing[] = {2, 3};
    const struct stillpoint_stop_report report = {.world = "default",
                                                  .mode = STILLPOINT_MODE_STOPPED,
                                                  .ticket = 9,
                                                  .reason = "admin",
                                                  .elapsed_us = 50,
                                                  .arrivals = arrivals,
                                                  .n_arrivals = 2,
                                                  .missing = missing,
                                                  .n_missing = 2};
    (void)state;
    assert_json(json_of_stop_report(&report),
                "{\"world\":\"default\",\"mode\":\"stopped\",\"ticket\":9,\"reason\":\"admin\","
                "\"elapsed_us\":50,\"arrivals\":[{\"vm\":1,\"name\":\"app\",\"was\":\"active\","
                "\"how\":\"acked\",\"elapsed_us\":40},{\"vm\":3,\"name\":\"liar\",\"was\":"
                "\"active\",\"how\":\"enforced\",\"elapsed_us\":45}],\"missing\":[2,3],"
                "\"lied\":[3]}");
}

static struct stillpoint_inspection inspection(enum stillpoint_inspect_kind kind,
                                               const struct stillpoint_vm_inspection *vms)
{
    return (struct stillpoint_inspection){
        .kind = kind,
        .stop = {.world = "default", .mode = STILLPOINT_MODE_STOPPED, .ticket = 9, .reason = "gc"},
        .vms = vms,
        .n_vms = 2};
}

static void a_collection_says_what_was_freed_and_by_whom_nothing_is_known(void **state)
{
    const struct stillpoint_vm_inspection vms[] = {
        {.vm = 1, .name = "app", .before_bytes = 10, .after_bytes = 4},
        {.vm = 2, .name = "db", .error = "too late"}};
    const struct stillpoint_inspection i = inspection(STILLPOINT_INSPECT_GC, vms);
    (void)state;
    assert_json(json_of_inspection(&i),
                "{\"world\":\"default\",\"mode\":\"stopped\",\"ticket\":9,\"reason\":\"gc\","
                "\"elapsed_us\":0,\"arrivals\":[],\"missing\":[],\"lied\":[],\"vms\":["
                "{\"vm\":1,\"name\":\"app\",\"error\":null,\"before_bytes\":10,"
                "\"after_bytes\":4,\"freed_bytes\":6},"
                "{\"vm\":2,\"name\":\"db\",\"error\":\"too late\",\"before_bytes\":null,"
                "\"after_bytes\":null,\"freed_bytes\":null}]}");
}

static void a_heap_that_grew_has_freed_nothing(void **state)
{
    const struct stillpoint_vm_inspection vms[2] = {{.vm = 1, .name = "", .after_bytes = 4}};
    const struct stillpoint_inspection i = inspection(STILLPOINT_INSPECT_GC, vms);
    (void)state;
    json_t *value = json_of_inspection(&i);
    const json_t *vm = json_array_get(json_object_get(value, "vms"), 0);
    assert_int_equal(json_integer_value(json_object_get(vm, "freed_bytes")), 0);
    json_decref(value);
}

static void a_census_lists_classes(void **state)
{
    const struct stillpoint_class_count classes[] = {{"Array", 2, 64}, {"Ob\xff", 1, 32}};
    const struct stillpoint_vm_inspection vms[2] = {
        {.vm = 1, .name = "app", .classes = classes, .n_classes = 2, .truncated = true}};
    const struct stillpoint_inspection i = inspection(STILLPOINT_INSPECT_CENSUS, vms);
    (void)state;
    json_t *value = json_of_inspection(&i);
    assert_json(json_incref(json_array_get(json_object_get(value, "vms"), 0)),
                "{\"vm\":1,\"name\":\"app\",\"error\":null,\"classes\":["
                "{\"class\":\"Array\",\"count\":2,\"bytes\":64},"
                "{\"class\":\"Ob\xef\xbf\xbd\",\"count\":1,\"bytes\":32}],\"truncated\":true}");
    json_decref(value);
}

static void a_stack_has_nulls_for_what_a_frame_lacks(void **state)
{
    const struct stillpoint_frame frames[] = {
        {0, "js", "f", "app.js", 3, 5, false, 0, 0},
        {1, "wasm", "", "m.wasm", 0, 0, true, 0, 0},
    };
    const struct stillpoint_vm_inspection vms[] = {
        {.vm = 1, .name = "app", .frames = frames, .n_frames = 2},
        {.vm = 2, .name = "db", .error = "frozen"}};
    const uint64_t missing[] = {2};
    struct stillpoint_inspection i = inspection(STILLPOINT_INSPECT_STACKS, vms);
    (void)state;
    i.stop.missing = missing;
    i.stop.n_missing = 1;
    assert_json(json_of_inspection(&i),
                "{\"ticket\":9,\"world\":\"default\",\"missing\":[2],\"vms\":["
                "{\"vm\":1,\"name\":\"app\",\"error\":null,\"frames\":["
                "{\"frame\":0,\"kind\":\"js\",\"function\":\"f\",\"url\":\"app.js\",\"line\":3,"
                "\"column\":5,\"offset\":null},"
                "{\"frame\":1,\"kind\":\"wasm\",\"function\":null,\"url\":\"m.wasm\",\"line\":null,"
                "\"column\":null,\"offset\":0}],\"truncated\":false},"
                "{\"vm\":2,\"name\":\"db\",\"error\":\"frozen\",\"frames\":[],"
                "\"truncated\":false}]}");
}

static void a_debugger_has_an_empty_ring(void **state)
{
    static const char *const worlds[] = {"default"};
    struct stillpoint_debugger d = {.id = 4,
                                    .name = "ide",
                                    .note = "",
                                    .policy = "resume",
                                    .owner_uid = 1000,
                                    .open = true,
                                    .worlds = worlds,
                                    .n_worlds = 1};
    (void)state;
    assert_json(json_of_debugger(&d),
                "{\"id\":4,\"name\":\"ide\",\"owner_uid\":1000,\"open\":true,\"hooks\":0,"
                "\"ring\":{\"first_seq\":0,\"last_seq\":0,\"dropped\":0},\"note\":null,"
                "\"policy\":\"resume\",\"worlds\":[\"default\"]}");
    assert_json(json_of_debugger_ref(&d), "{\"id\":4,\"name\":\"ide\"}");
}

static void a_continuation_has_the_mode_of_its_world(void **state)
{
    const struct stillpoint_vm vm = plain_vm();
    const struct stillpoint_continuation c = {
        .world = {.name = "default", .mode = STILLPOINT_MODE_RUN_ONE}, .reason = "running"};
    (void)state;
    assert_json(json_of_continuation(&vm, &c),
                "{\"vm\":1,\"name\":\"app\",\"reason\":\"running\",\"frame\":null,"
                "\"world\":\"default\",\"mode\":\"run-one\"}");
}

static void a_resumption_names_the_next_ticket_or_null(void **state)
{
    const struct stillpoint_resumption r = {
        .world = "default", .mode = STILLPOINT_MODE_RUN_ALL, .ticket = 9, .held_us = 5};
    (void)state;
    assert_json(json_of_resumption(&r), "{\"world\":\"default\",\"mode\":\"run-all\",\"ticket\":9,"
                                        "\"next_ticket\":null,\"held_us\":5}");
}

static void an_event_embeds_its_message(void **state)
{
    const struct stillpoint_event e = {.seq = 4,
                                       .kind = STILLPOINT_EVENT_VM_MESSAGE,
                                       .time_us = 1,
                                       .vm = 1,
                                       .name = "app",
                                       .world = "default",
                                       .json = "{\"a\":[1]}"};
    const struct stillpoint_event lost = {.dropped = 3, .before_seq = 9};
    (void)state;
    assert_json(json_of_event(&e),
                "{\"seq\":4,\"kind\":\"vm-message\",\"time_us\":1,\"mono_ns\":0,\"vm\":1,"
                "\"name\":\"app\",\"world\":\"default\",\"epoch\":null,\"ticket\":null,"
                "\"uid\":null,\"data\":{\"a\":[1]},\"exit\":null,\"detail\":null}");
    assert_json(json_of_event(&lost), "{\"dropped\":3,\"before_seq\":9}");
}

static void bytes_of_a_log_are_base64_and_readable_text(void **state)
{
    const struct stillpoint_log_record r = {
        .seq = 1, .stream = STILLPOINT_STDERR, .level = "warn", .data = "a\xff\n\0z", .bytes = 5};
    (void)state;
    assert_json(json_of_log_record(&r),
                "{\"seq\":1,\"stream\":\"stderr\",\"level\":\"warn\",\"data\":\"Yf8KAHo=\","
                "\"text\":\"a\xef\xbf\xbd\\n\\u0000z\",\"time_us\":0,\"mono_ns\":0}");
}

static void base64_pads_what_is_no_multiple_of_three(void **state)
{
    (void)state;
    assert_json(json_of_bytes("", 0), "\"\"");
    assert_json(json_of_bytes("f", 1), "\"Zg==\"");
    assert_json(json_of_bytes("fo", 2), "\"Zm8=\"");
    assert_json(json_of_bytes("foobar", 6), "\"Zm9vYmFy\"");
}

static void malformed_text_is_repaired_not_lost(void **state)
{
    (void)state;
    assert_json(json_of_text(NULL), "null");
    assert_json(json_of_text("\xc3\xa4\xc3"), "\"\xc3\xa4\xef\xbf\xbd\"");
    assert_json(json_of_text("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void a_checkup_has_hints_or_null(void **state)
{
    const struct stillpoint_check checks[] = {{"seccomp", "ok", "filter", NULL},
                                              {"cgroup", "degraded", "none", "use systemd"}};
    const struct stillpoint_checkup c = {.ok = true, .checks = checks, .n = 2};
    (void)state;
    assert_json(json_of_checkup(&c),
                "{\"ok\":true,\"checks\":[{\"name\":\"seccomp\",\"state\":\"ok\",\"detail\":"
                "\"filter\",\"hint\":null},{\"name\":\"cgroup\",\"state\":\"degraded\",\"detail\":"
                "\"none\",\"hint\":\"use systemd\"}]}");
}

static void values_of_a_newer_daemon_are_unknown(void **state)
{
    struct stillpoint_vm vm = plain_vm();
    (void)state;
    vm.state = (enum stillpoint_vm_state)99;
    json_t *value = json_of_vm(&vm);
    assert_string_equal(json_string_value(json_object_get(value, "state")), "unknown");
    json_decref(value);
    assert_string_equal(stillpoint_event_kind_text((enum stillpoint_event_kind) - 1), "unknown");
    assert_string_equal(stillpoint_event_kind_text(STILLPOINT_EVENT_WORLD_RUN_ONE),
                        "world-run-one");
    assert_string_equal(stillpoint_event_kind_text(STILLPOINT_EVENT_VM_LIED), "vm-lied");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_living_vm_has_no_exit_and_no_end),
    cmocka_unit_test(labels_are_an_object),
    cmocka_unit_test(an_exited_vm_has_no_pid),
    cmocka_unit_test(a_world_has_nulls_for_what_it_lacks),
    cmocka_unit_test(a_stop_report_lists_arrivals_and_ids_that_miss),
    cmocka_unit_test(a_collection_says_what_was_freed_and_by_whom_nothing_is_known),
    cmocka_unit_test(a_heap_that_grew_has_freed_nothing),
    cmocka_unit_test(a_census_lists_classes),
    cmocka_unit_test(a_stack_has_nulls_for_what_a_frame_lacks),
    cmocka_unit_test(a_debugger_has_an_empty_ring),
    cmocka_unit_test(a_continuation_has_the_mode_of_its_world),
    cmocka_unit_test(a_resumption_names_the_next_ticket_or_null),
    cmocka_unit_test(an_event_embeds_its_message),
    cmocka_unit_test(bytes_of_a_log_are_base64_and_readable_text),
    cmocka_unit_test(base64_pads_what_is_no_multiple_of_three),
    cmocka_unit_test(malformed_text_is_repaired_not_lost),
    cmocka_unit_test(a_checkup_has_hints_or_null),
    cmocka_unit_test(values_of_a_newer_daemon_are_unknown),
};

UNIT_MAIN(tests)
