#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "daemon/record_log.h"

static unsigned interrupted;

int __real_posix_fallocate(int fd, off_t offset, off_t len);
int __wrap_posix_fallocate(int fd, off_t offset, off_t len);

/* Returns its error, and sets no errno. */
int __wrap_posix_fallocate(int fd, off_t offset, off_t len)
{
    if (interrupted > 0) {
        interrupted--;
        return EINTR;
    }
    return __real_posix_fallocate(fd, offset, len);
}

static int take(void *userdata, const uint8_t *data, size_t len)
{
    char *all = userdata;
    if (len == 3 && memcmp(data, "bad", 3) == 0)
        return -EBADMSG;
    strncat(all, (const char *)data, len);
    strcat(all, ",");
    return 0;
}

static void put(struct record_log *log, const char *text)
{
    uint8_t *at;
    assert_int_equal(record_log_reserve(log, strlen(text), &at), 0);
    memcpy(at, text, strlen(text));
    record_log_commit(log, strlen(text));
}

static void what_was_put_down_is_read_in_order(void **state)
{
    (void)state;
    struct record_log log;
    char all[64] = "";
    assert_int_equal(record_log_open(&log, "test"), 0);
    assert_int_equal(record_log_read(log.fd, take, all), 0);
    assert_string_equal(all, "");
    put(&log, "one");
    put(&log, "three");
    assert_int_equal(record_log_read(log.fd, take, all), 0);
    assert_string_equal(all, "one,three,");
    record_log_close(&log);
}

static void a_record_whose_writer_died_is_not_there(void **state)
{
    (void)state;
    struct record_log log;
    uint8_t *at;
    char all[64] = "";
    assert_int_equal(record_log_open(&log, "test"), 0);
    put(&log, "one");
    assert_int_equal(record_log_reserve(&log, 100, &at), 0);
    memset(at, 'x', 100);
    assert_int_equal(record_log_read(log.fd, take, all), 0);
    assert_string_equal(all, "one,");
    record_log_close(&log);
}

static void a_log_grows_and_a_record_has_a_limit(void **state)
{
    (void)state;
    struct record_log log;
    uint8_t *at;
    size_t n = 0;
    assert_int_equal(record_log_open(&log, "test"), 0);
    for (; log.bytes < 3u << 20; n++) {
        assert_int_equal(record_log_reserve(&log, 100000, &at), 0);
        memset(at, 'x', 100000);
        record_log_commit(&log, 100000);
    }
    assert_int_equal(log.bytes, n * 100004);
    assert_int_equal(record_log_reserve(&log, RECORD_LOG_MOST_BYTES + 1, &at), -EMSGSIZE);
    record_log_close(&log);
}

static void a_length_that_no_record_has_is_an_error_and_so_is_what_the_reader_says(void **state)
{
    (void)state;
    struct record_log log;
    char all[64] = "";
    assert_int_equal(record_log_open(&log, "test"), 0);
    put(&log, "one");
    put(&log, "bad");
    put(&log, "two");
    assert_int_equal(record_log_read(log.fd, take, all), -EBADMSG);
    assert_string_equal(all, "one,");
    log.map[3] = 0x7f;
    assert_int_equal(record_log_read(log.fd, take, all), -EPROTO);
    record_log_close(&log);
}

static void a_signal_while_it_grows_loses_no_record(void **state)
{
    (void)state;
    struct record_log log;
    char all[64] = "";
    assert_int_equal(record_log_open(&log, "test"), 0);
    interrupted = 3;
    put(&log, "one");
    assert_int_equal(interrupted, 0);
    assert_int_equal(record_log_read(log.fd, take, all), 0);
    assert_string_equal(all, "one,");
    record_log_close(&log);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_signal_while_it_grows_loses_no_record),
    cmocka_unit_test(what_was_put_down_is_read_in_order),
    cmocka_unit_test(a_record_whose_writer_died_is_not_there),
    cmocka_unit_test(a_log_grows_and_a_record_has_a_limit),
    cmocka_unit_test(a_length_that_no_record_has_is_an_error_and_so_is_what_the_reader_says),
};

UNIT_MAIN(tests)
