/* What VMs write, copied to a journal that this program plays. */
#include "tests/support/unit.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>

#include "daemon/vm_journal.h"
#include "tests/support/played_journal.h"

#define STDOUT 1
#define STDERR 2
enum { LOG, INFO, DEBUG, WARN, ERROR, TRACE, RAW };

static struct event_base *base;
static struct config_journal limits;
static struct vm_journals *all;
static struct vm_journal vm, other;
static const struct record_about about = {
    .vm = 7, .vm_name = "app", .world = "default", .has_uid = true, .uid = 1001};
static const struct record_about about_other = {
    .vm = 8, .vm_name = "quiet", .world = "default", .has_uid = true, .uid = 1002};

static int set_up(void **state)
{
    (void)state;
    journal_begin("test");
    /* So slow that nothing comes back while a test runs. */
    limits = (struct config_journal){true, 1024, 4096};
    memset(&vm, 0, sizeof vm);
    memset(&other, 0, sizeof other);
    base = event_base_new();
    all = vm_journals_new(base, &limits);
    return base && all ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    all = vm_journals_free(all);
    vm_journal_done(&vm);
    vm_journal_done(&other);
    event_base_free(base);
    return 0;
}

static void write_as(struct vm_journal *j, const struct record_about *who, unsigned stream,
                     unsigned level, const char *text)
{
    vm_journal_add(all, j, who, 42, stream, level, text, strlen(text));
}

static void say(unsigned stream, unsigned level, const char *text)
{
    write_as(&vm, &about, stream, level, text);
}

static void a_line_is_a_record_under_the_name_of_its_vm(void **state)
{
    (void)state;
    say(STDOUT, LOG, "hello\n");
    static const char *const fields[] = {"MESSAGE=hello",
                                         "PRIORITY=6",
                                         "SYSLOG_IDENTIFIER=stillpoint-vm-app",
                                         "SYSLOG_PID=42",
                                         "STILLPOINT_VM=7",
                                         "STILLPOINT_VM_NAME=app",
                                         "STILLPOINT_WORLD=default",
                                         "STILLPOINT_CLIENT_UID=1001",
                                         "STILLPOINT_STREAM=stdout",
                                         "STILLPOINT_LEVEL=log"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (!journal_has(fields[i]))
            fail_msg("no %s in %s", fields[i], journal.fields);
    assert_null(strstr(journal.fields, "MESSAGE_ID="));
    say(STDERR, ERROR, "bad\n");
    assert_true(journal_has("PRIORITY=3") && journal_has("STILLPOINT_STREAM=stderr"));
    say(STDERR, WARN, "hm\n");
    assert_true(journal_has("PRIORITY=4") && journal_has("STILLPOINT_LEVEL=warn"));
}

static void each_line_is_a_record_and_empty_ones_are_none(void **state)
{
    (void)state;
    say(STDOUT, LOG, "one\n\n\r\ntwo\r\nthree\n");
    assert_int_equal(journal.n, 3);
    assert_true(journal_has("MESSAGE=three"));
    assert_true(strstr(journal.before, "\nMESSAGE=two\n") != NULL);
}

static void a_line_that_comes_in_pieces_is_one_for_each_stream(void **state)
{
    (void)state;
    say(STDOUT, RAW, "he");
    say(STDERR, RAW, "no");
    say(STDOUT, RAW, "llo");
    assert_int_equal(journal.n, 0);
    say(STDOUT, RAW, "\nnext");
    assert_int_equal(journal.n, 1);
    assert_true(journal_has("MESSAGE=hello") && journal_has("STILLPOINT_STREAM=stdout"));
    say(STDERR, RAW, "se\n");
    assert_true(journal_has("MESSAGE=nose") && journal_has("STILLPOINT_STREAM=stderr"));
    vm_journal_end(all, &vm, &about, 42);
    assert_int_equal(journal.n, 3);
    assert_true(journal_has("MESSAGE=next"));
}

static void what_is_longer_than_a_line_may_be_goes_in_parts_and_cuts_no_character(void **state)
{
    (void)state;
    limits.output_rate = limits.total_output_rate = 1 << 20;
    char text[5001];
    /* A euro sign across the place where it is cut. */
    memset(text, 'a', sizeof text - 1);
    memcpy(text + 2047, "\xe2\x82\xac", 3);
    text[4999] = '\n';
    text[5000] = '\0';
    say(STDOUT, LOG, text);
    assert_int_equal(journal.n, 3);
    assert_null(strchr(journal.fields, '?'));
    assert_true(strstr(journal.before, "MESSAGE=\xe2\x82\xac"
                                       "aaa") != NULL);
    size_t had = 2047 + strcspn(strstr(journal.before, "MESSAGE=") + 8, "\n");
    char rest[4096];
    snprintf(rest, sizeof rest, "MESSAGE=%.*s", (int)(4999 - had), text + 3000);
    assert_true(journal_has(rest));
}

static void pieces_without_an_end_are_bounded(void **state)
{
    (void)state;
    limits.output_rate = limits.total_output_rate = 1 << 20;
    for (int i = 0; i < 1000; i++)
        say(STDOUT, RAW, "0123456789");
    assert_int_equal(journal.n, 10000 / 2040); /* parts are whole pieces */
    vm_journal_end(all, &vm, &about, 42);
    assert_int_equal(journal.n, 10000 / 2040 + 1);
}

static void what_is_no_text_is_made_one_line_of_it(void **state)
{
    (void)state;
    say(STDOUT, RAW, "\x1b[31mred\x1b[0m \xe2\x82\xac\n");
    assert_true(journal_has("MESSAGE=?[31mred?[0m \xe2\x82\xac"));
    say(STDOUT, RAW, "a\xff\xfe\x01z\n");
    assert_true(journal_has("MESSAGE=a???z"));
    vm_journal_add(all, &vm, &about, 42, STDOUT, RAW, "x\0y\n", 4);
    assert_true(journal_has("MESSAGE=x?y"));
}

static void a_flood_is_left_out_and_counted(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        say(STDOUT, LOG, "xxxxxxxxxx\n");
    size_t written = journal.n;
    assert_in_range(written, 10, 4 * 1024 / 266 + 1);
    vm_journal_end(all, &vm, &about, 42);
    assert_int_equal(journal.n, written + 1);
    char lines[64], bytes[64];
    snprintf(lines, sizeof lines, "STILLPOINT_DROPPED=%zu", 1000 - written);
    snprintf(bytes, sizeof bytes, "STILLPOINT_DROPPED_BYTES=%zu", 10 * (1000 - written));
    assert_true(journal_has(lines) && journal_has(bytes));
    assert_true(journal_has("MESSAGE_ID=" MESSAGE_OUTPUT_LEFT_OUT));
    assert_true(journal_has("STILLPOINT_VM=7") && journal_has("STILLPOINT_CLIENT_UID=1001"));
    assert_true(journal_has("SYSLOG_IDENTIFIER=test"));
    vm_journal_end(all, &vm, &about, 42);
    assert_int_equal(journal.n, written + 1);
}

static void a_flood_of_many_hides_nobody_who_is_quiet(void **state)
{
    (void)state;
    struct vm_journal loud[32];
    memset(loud, 0, sizeof loud);
    for (int i = 0; i < 2000; i++)
        for (size_t k = 0; k < 2; k++)
            write_as(&loud[k], &about, STDOUT, LOG, "xxxxxxxxxx\n");
    /* They have all that they may have again, and what all share is at what is kept for others. */
    for (size_t k = 0; k < 2; k++)
        loud[k].share.filled_ns = 0;
    for (int i = 0; i < 2000; i++)
        for (size_t k = 0; k < 2; k++)
            write_as(&loud[k], &about, STDOUT, LOG, "xxxxxxxxxx\n");
    size_t before = journal.n;
    write_as(&other, &about_other, STDOUT, LOG, "a word\n");
    assert_int_equal(journal.n, before + 1);
    assert_true(journal_has("MESSAGE=a word") && journal_has("STILLPOINT_VM=8"));
    /* And all together have no more than they may. */
    for (int i = 0; i < 100; i++)
        for (size_t k = 0; k < 32; k++)
            write_as(&loud[k], &about, STDOUT, LOG, "xxxxxxxxxx\n");
    assert_in_range(journal.n, 20, 4 * 4096 / 256 + 2);
    all = vm_journals_free(all);
    all = vm_journals_new(base, &limits);
    for (size_t k = 0; k < 32; k++)
        vm_journal_done(&loud[k]);
}

static void what_the_journal_has_no_room_for_is_counted_with_the_rest(void **state)
{
    (void)state;
    journal.error = -EAGAIN;
    for (int i = 0; i < 3; i++)
        say(STDOUT, LOG, "lost\n");
    vm_journal_end(all, &vm, &about, 42); /* cannot be told now */
    journal.error = 0;
    vm_journal_done(&vm); /* its VM is forgotten */
    assert_int_equal(journal.n, 0);
    all = vm_journals_free(all);
    assert_int_equal(journal.n, 1);
    assert_true(journal_has("STILLPOINT_DROPPED=3"));
    assert_null(strstr(journal.fields, "STILLPOINT_VM="));
    all = vm_journals_new(base, &limits);
}

static int find_timer(const struct event_base *of, const struct event *e, void *ret)
{
    (void)of;
    *(const struct event **)ret = e;
    return 1;
}

static void what_was_left_out_is_told_while_the_vm_lives(void **state)
{
    (void)state;
    journal.error = -EAGAIN;
    say(STDOUT, LOG, "lost\n");
    journal.error = 0;
    struct event *timer = NULL;
    event_base_foreach_event(base, find_timer, &timer);
    assert_non_null(timer);
    event_active(timer, EV_TIMEOUT, 0); /* as if its time had come */
    event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(journal.n, 1);
    assert_true(journal_has("STILLPOINT_DROPPED=1") && journal_has("STILLPOINT_VM=7"));
}

static void nothing_is_copied_where_nobody_wants_it(void **state)
{
    (void)state;
    limits.output = false;
    say(STDOUT, LOG, "hello\n");
    vm_journal_end(all, &vm, &about, 42);
    assert_int_equal(journal.n, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(a_line_is_a_record_under_the_name_of_its_vm),
    TEST(each_line_is_a_record_and_empty_ones_are_none),
    TEST(a_line_that_comes_in_pieces_is_one_for_each_stream),
    TEST(what_is_longer_than_a_line_may_be_goes_in_parts_and_cuts_no_character),
    TEST(pieces_without_an_end_are_bounded),
    TEST(what_is_no_text_is_made_one_line_of_it),
    TEST(a_flood_is_left_out_and_counted),
    TEST(a_flood_of_many_hides_nobody_who_is_quiet),
    TEST(what_the_journal_has_no_room_for_is_counted_with_the_rest),
    TEST(what_was_left_out_is_told_while_the_vm_lives),
    TEST(nothing_is_copied_where_nobody_wants_it),
};

UNIT_MAIN(tests)
