/* Records of acts. */
#include "tests/support/unit.h"

#include <event2/event.h>

#include "daemon/act_log.h"
#include "daemon/message_ids.h"
#include "tests/support/played_journal.h"

#define has journal_has

static struct event_base *base;
static struct act_log *log_;

static int set_up(void **state)
{
    (void)state;
    journal_begin("test");
    base = event_base_new();
    log_ = act_log_new(base, false);
    return base && log_ ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    log_ = act_log_free(log_);
    event_base_free(base);
    return 0;
}

static const struct act kill_app = {.uid = 1001,
                                    .pid = 42,
                                    .request = "KillVm",
                                    .vm = 7,
                                    .vm_name = "app",
                                    .world = "default",
                                    .debugger = "ide",
                                    .owner = 1000,
                                    .is_foreign = true};

static void a_refusal_has_all_that_is_known_as_fields(void **state)
{
    (void)state;
    act_log_write(log_, &kill_app, ACT_DENIED, "it is another's");
    assert_int_equal(journal.n, 1);
    static const char *const fields[] = {"MESSAGE_ID=" MESSAGE_ACT_DENIED,
                                         "PRIORITY=5",
                                         "SYSLOG_IDENTIFIER=test",
                                         "STILLPOINT_CLIENT_UID=1001",
                                         "STILLPOINT_CLIENT_PID=42",
                                         "STILLPOINT_REQUEST=KillVm",
                                         "STILLPOINT_VM=7",
                                         "STILLPOINT_VM_NAME=app",
                                         "STILLPOINT_OWNER_UID=1000",
                                         "STILLPOINT_WORLD=default",
                                         "STILLPOINT_DEBUGGER=ide",
                                         "STILLPOINT_OUTCOME=denied",
                                         "STILLPOINT_REASON=it is another's"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (!has(fields[i]))
            fail_msg("no %s in %s", fields[i], journal.fields);
    assert_true(
        has("MESSAGE=denied: uid 1001 (pid 42): KillVm VM 7 (app) of uid 1000 world default "
            "debugger ide: it is another's"));
}

static void what_is_not_known_is_left_out(void **state)
{
    (void)state;
    const struct act act = {.uid = 5, .request = "OpenDebugger"};
    act_log_write(log_, &act, ACT_DONE, NULL);
    assert_true(has("STILLPOINT_OUTCOME=done") && has("MESSAGE_ID=" MESSAGE_ACT_DONE));
    assert_true(has("PRIORITY=6"));
    static const char *const absent[] = {"_PID=",  "_VM",       "_OWNER",
                                         "_WORLD", "_DEBUGGER", "_REASON"};
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
        assert_null(strstr(journal.fields, absent[i]));
}

static void a_text_of_a_client_begins_no_line_of_its_own(void **state)
{
    (void)state;
    const struct act act = {.uid = 5, .request = "KillVm", .vm_name = "x\nPRIORITY=0\x1b[2J"};
    act_log_write(log_, &act, ACT_DENIED, NULL);
    assert_true(has("MESSAGE=denied: uid 5 (pid 0): KillVm VM x?PRIORITY=0?[2J"));
}

static void a_flood_is_cut_and_what_was_dropped_is_told_once(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++)
        act_log_write(log_, &kill_app, ACT_DENIED, NULL);
    size_t written = journal.n;
    assert_in_range(written, 40, 1000);
    log_ = act_log_free(log_);
    assert_int_equal(journal.n, written + 1);
    char dropped[64];
    snprintf(dropped, sizeof dropped, "STILLPOINT_DROPPED=%zu", 100000 - written);
    assert_true(has(dropped));
    assert_true(has("MESSAGE_ID=" MESSAGE_ACTS_DROPPED) && has("STILLPOINT_CLIENT_UID=1001"));
    log_ = act_log_new(base, false);
}

static void a_flood_of_one_hides_no_other_and_no_other_sort(void **state)
{
    (void)state;
    for (int i = 0; i < 10000; i++)
        act_log_write(log_, &kill_app, ACT_DENIED, NULL);
    size_t before = journal.n;
    struct act other = kill_app;
    other.uid = 1002;
    act_log_write(log_, &other, ACT_DENIED, NULL);
    assert_int_equal(journal.n, before + 1);
    act_log_write(log_, &kill_app, ACT_DONE, NULL);
    assert_int_equal(journal.n, before + 2);
    struct act own = kill_app;
    own.is_foreign = false;
    for (int i = 0; i < 10000; i++)
        act_log_write(log_, &own, ACT_DONE, NULL);
    before = journal.n;
    act_log_write(log_, &kill_app, ACT_DONE, NULL);
    assert_int_equal(journal.n, before + 1);
}

static void many_uids_are_bounded_too(void **state)
{
    (void)state;
    struct act act = kill_app;
    for (uid_t uid = 0; uid < 100000; uid++) {
        act.uid = uid;
        act_log_write(log_, &act, ACT_DENIED, NULL);
    }
    assert_in_range(journal.n, 1024, 4096);
    log_ = act_log_free(log_);
    assert_true(strstr(journal.fields, "of many uids were dropped") != NULL);
    log_ = act_log_new(base, false);
}

static void the_end_of_a_vm_says_whose_it_was_and_how_it_ended(void **state)
{
    (void)state;
    const struct act act = {.uid = 1001, .vm = 7, .vm_name = "app", .world = "default"};
    act_log_ended(log_, &act, "oom", true, "it had 64 MiB");
    static const char *const fields[] = {"MESSAGE_ID=" MESSAGE_VM_ENDED,
                                         "MESSAGE=vm 7 (app) of uid 1001 ended: oom: it had 64 MiB",
                                         "PRIORITY=5",
                                         "STILLPOINT_CLIENT_UID=1001",
                                         "STILLPOINT_VM=7",
                                         "STILLPOINT_VM_NAME=app",
                                         "STILLPOINT_WORLD=default",
                                         "STILLPOINT_EXIT=oom",
                                         "STILLPOINT_REASON=it had 64 MiB"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (!has(fields[i]))
            fail_msg("no %s in %s", fields[i], journal.fields);
    act_log_ended(log_, &act, "exited", false, NULL);
    assert_true(has("MESSAGE=vm 7 (app) of uid 1001 ended: exited") && has("PRIORITY=6"));
}

static void ends_by_the_thousand_are_cut_and_hide_no_act(void **state)
{
    (void)state;
    const struct act act = {.uid = 1001, .vm = 7, .vm_name = "app", .world = "default"};
    for (int i = 0; i < 10000; i++)
        act_log_ended(log_, &act, "crashed", true, NULL);
    size_t before = journal.n;
    assert_in_range(before, 40, 1000);
    act_log_write(log_, &kill_app, ACT_DONE, NULL);
    assert_int_equal(journal.n, before + 1);
    log_ = act_log_free(log_);
    assert_true(strstr(journal.fields, "records of ends of VMs of uid 1001") != NULL);
    log_ = act_log_new(base, false);
}

static void a_quiet_one_records_refusals_only(void **state)
{
    (void)state;
    struct act_log *quiet = act_log_new(base, true);
    act_log_write(quiet, &kill_app, ACT_DONE, NULL);
    act_log_ended(quiet, &kill_app, "crashed", true, NULL);
    assert_int_equal(journal.n, 0);
    act_log_write(quiet, &kill_app, ACT_OVER_QUOTA, NULL);
    assert_int_equal(journal.n, 1);
    assert_true(has("STILLPOINT_OUTCOME=over-quota"));
    act_log_free(quiet);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(a_refusal_has_all_that_is_known_as_fields),
    TEST(what_is_not_known_is_left_out),
    TEST(a_text_of_a_client_begins_no_line_of_its_own),
    TEST(a_flood_is_cut_and_what_was_dropped_is_told_once),
    TEST(a_flood_of_one_hides_no_other_and_no_other_sort),
    TEST(many_uids_are_bounded_too),
    TEST(the_end_of_a_vm_says_whose_it_was_and_how_it_ended),
    TEST(ends_by_the_thousand_are_cut_and_hide_no_act),
    TEST(a_quiet_one_records_refusals_only),
};

UNIT_MAIN(tests)
