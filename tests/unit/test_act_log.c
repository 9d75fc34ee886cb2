/* Records of acts, with a journal that this program plays: its journal_sendv() is linked in place
 * of base's. */
#include "tests/support/unit.h"

#include <event2/event.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/journal.h"
#include "base/log.h"
#include "daemon/act_log.h"

static struct {
    char fields[4096];
    size_t n;
} journal;

int journal_sendv(const struct iovec *iov, int n)
{
    journal.n++;
    journal.fields[0] = '\n';
    journal.fields[1] = '\0';
    for (int i = 0; i < n; i++)
        snprintf(journal.fields + strlen(journal.fields),
                 sizeof journal.fields - strlen(journal.fields), "%.*s\n", (int)iov[i].iov_len,
                 (const char *)iov[i].iov_base);
    return 0;
}

static bool has(const char *field)
{
    char whole[512];
    snprintf(whole, sizeof whole, "\n%s\n", field);
    return strstr(journal.fields, whole) != NULL;
}

static struct event_base *base;
static struct act_log *log_;

static int set_up(void **state)
{
    (void)state;
    struct stat st;
    char stream[64];
    fstat(STDERR_FILENO, &st);
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_init("test", 0);
    memset(&journal, 0, sizeof journal);
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
    static const char *const fields[] = {"MESSAGE_ID=" ACT_DENIED_ID,
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
    assert_true(has("STILLPOINT_OUTCOME=done") && has("MESSAGE_ID=" ACT_DONE_ID));
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
    assert_true(has("MESSAGE_ID=" ACT_DROPPED_ID) && has("STILLPOINT_CLIENT_UID=1001"));
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

static void a_quiet_one_records_refusals_only(void **state)
{
    (void)state;
    struct act_log *quiet = act_log_new(base, true);
    act_log_write(quiet, &kill_app, ACT_DONE, NULL);
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
    TEST(a_quiet_one_records_refusals_only),
};

UNIT_MAIN(tests)
