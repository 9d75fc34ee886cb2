/* Records to the journal, and lines where there is none. */
#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>

#include "tests/support/played_journal.h"

static int set_up(void **state)
{
    (void)state;
    journal_begin("test");
    return 0;
}

static void a_record_has_its_text_priority_id_and_fields(void **state)
{
    (void)state;
    const struct log_field fields[] = {{"A_FIELD", "value"}, {"NOT_KNOWN", NULL}};
    log_record(LOG_WARNING, "0123", fields, 2, "%d things", 3);
    assert_true(journal_has("MESSAGE=3 things") && journal_has("PRIORITY=4"));
    assert_true(journal_has("SYSLOG_IDENTIFIER=test") && journal_has("MESSAGE_ID=0123"));
    assert_true(journal_has("A_FIELD=value"));
    assert_null(strstr(journal.fields, "NOT_KNOWN"));
    log_line(LOG_INFO, "no more than a line");
    assert_null(strstr(journal.fields, "MESSAGE_ID"));
}

static void what_begins_lines_of_its_own_is_no_record_of_ours(void **state)
{
    (void)state;
    log_line(LOG_INFO, "%s", "x\nPRIORITY=0\x1b[2J");
    assert_true(journal_has("MESSAGE=x?PRIORITY=0?[2J"));
}

static void records_that_found_no_room_are_counted_and_told_once(void **state)
{
    (void)state;
    journal.error = -EAGAIN;
    for (int i = 0; i < 7; i++)
        log_line(LOG_INFO, "lost");
    journal.error = 0;
    log_line(LOG_INFO, "heard");
    assert_int_equal(journal.n, 2);
    assert_true(journal_has("MESSAGE=heard"));
    journal.error = -EAGAIN;
    log_line(LOG_INFO, "lost");
    journal.error = 0;
    const struct log_speaker by = {"other", 0};
    assert_int_equal(log_offer(&by, LOG_INFO, NULL, NULL, 0, "a copy"), 0);
    assert_int_equal(journal.n, 3);
    log_line(LOG_INFO, "heard again");
    assert_int_equal(journal.n, 5);
    log_line(LOG_INFO, "and again");
    assert_int_equal(journal.n, 6);
}

static void the_number_of_the_lost_is_a_field_with_an_id(void **state)
{
    (void)state;
    journal.error = -EAGAIN;
    log_line(LOG_INFO, "lost");
    log_line(LOG_INFO, "lost");
    journal.error = 0;
    char text[64];
    snprintf(text, sizeof text, "MESSAGE_ID=%s", LOG_LOST_ID);
    log_line(LOG_INFO, "heard");
    assert_int_equal(journal.n, 2);
    assert_true(strstr(journal.before, text) != NULL);
    assert_true(strstr(journal.before, "STILLPOINT_DROPPED=2\n") != NULL);
}

static void a_copy_is_by_its_speaker_and_its_loss_the_callers(void **state)
{
    (void)state;
    const struct log_speaker by = {"somebody", 42};
    assert_int_equal(log_offer(&by, LOG_ERR, NULL, NULL, 0, "words"), 0);
    assert_true(journal_has("SYSLOG_IDENTIFIER=somebody") && journal_has("SYSLOG_PID=42"));
    assert_true(journal_has("MESSAGE=words") && journal_has("PRIORITY=3"));
    journal.error = -EAGAIN;
    assert_int_equal(log_offer(&by, LOG_ERR, NULL, NULL, 0, "words"), -EAGAIN);
    journal.error = 0;
    log_line(LOG_INFO, "nothing of ours was lost");
    assert_int_equal(journal.n, 2);
}

/* What comes on stderr meanwhile. */
static void begin_stderr(int *saved, int pipe_fds[2])
{
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
    *saved = dup(STDERR_FILENO);
    dup2(pipe_fds[1], STDERR_FILENO);
}

static size_t end_stderr(int saved, int pipe_fds[2], char *text, size_t size)
{
    dup2(saved, STDERR_FILENO);
    ssize_t n = read(pipe_fds[0], text, size - 1);
    text[n > 0 ? n : 0] = '\0';
    close(saved);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return n > 0 ? (size_t)n : 0;
}

static void without_a_journal_lines_go_to_stderr_and_copies_nowhere(void **state)
{
    (void)state;
    int saved, fds[2];
    char text[1024];
    begin_stderr(&saved, fds);
    log_init("test", 0); /* stderr is not that stream any more */
    const struct log_field field = {"A_FIELD", "value"};
    log_record(LOG_WARNING, "0123", &field, 1, "a line");
    const struct log_speaker by = {"somebody", 42};
    int r = log_offer(&by, LOG_ERR, NULL, NULL, 0, "words");
    end_stderr(saved, fds, text, sizeof text);
    assert_string_equal(text, "test: a line\n");
    assert_int_equal(r, -ENOTCONN);
    assert_int_equal(journal.n, 0);
}

static void a_journal_that_is_gone_is_no_reason_to_lose_lines(void **state)
{
    (void)state;
    int saved, fds[2];
    char text[1024];
    journal.error = -ECONNREFUSED;
    begin_stderr(&saved, fds);
    log_line(LOG_INFO, "a line");
    end_stderr(saved, fds, text, sizeof text);
    assert_string_equal(text, "test: a line\n");
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

static const struct CMUnitTest tests[] = {
    TEST(a_record_has_its_text_priority_id_and_fields),
    TEST(what_begins_lines_of_its_own_is_no_record_of_ours),
    TEST(records_that_found_no_room_are_counted_and_told_once),
    TEST(the_number_of_the_lost_is_a_field_with_an_id),
    TEST(a_copy_is_by_its_speaker_and_its_loss_the_callers),
    TEST(without_a_journal_lines_go_to_stderr_and_copies_nowhere),
    TEST(a_journal_that_is_gone_is_no_reason_to_lose_lines),
};

UNIT_MAIN(tests)
