/* What is written to the device, and when; a file stands for it. That CPUs stay awake by it is for
 * the system tests. */
#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/cpu_latency.h"

static char folder[256], device[300];

static int set_up(void **state)
{
    (void)state;
    if (!unit_make_folder(folder, sizeof folder))
        return -1;
    snprintf(device, sizeof device, "%s/device", folder);
    int fd = open(device, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
    (void)state;
    unlink(device);
    return rmdir(folder);
}

/* All that was written to the device, in order. */
static size_t written(int32_t *values, size_t most)
{
    int fd = open(device, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, values, most * sizeof *values);
    close(fd);
    assert_true(n >= 0 && n % (ssize_t)sizeof *values == 0);
    return (size_t)n / sizeof *values;
}

static void a_wish_is_told_once_and_taken_back_once(void **state)
{
    int32_t values[8];
    (void)state;
    struct cpu_latency *c = cpu_latency_new(device, 20);
    assert_int_equal(written(values, 8), 0);
    assert_false(cpu_latency_is_held(c));
    cpu_latency_hold(c, false);
    cpu_latency_hold(c, true);
    cpu_latency_hold(c, true);
    assert_true(cpu_latency_is_held(c));
    cpu_latency_hold(c, false);
    cpu_latency_hold(c, true);
    assert_int_equal(written(values, 8), 3);
    assert_int_equal(values[0], 20);
    assert_int_equal(values[1], -1);
    assert_int_equal(values[2], 20);
    assert_int_equal(cpu_latency_error(c), 0);
    assert_int_equal(cpu_latency_us(c), 20);
    cpu_latency_free(c);
}

static void nothing_is_a_wish_of_zero_and_none_is_no_wish(void **state)
{
    int32_t values[8];
    (void)state;
    struct cpu_latency *c = cpu_latency_new(device, 0);
    cpu_latency_hold(c, true);
    assert_int_equal(written(values, 8), 1);
    assert_int_equal(values[0], 0);
    cpu_latency_free(c);
    /* Not even opened: to do so may be forbidden. */
    c = cpu_latency_new("/proc/none", CONFIG_CPU_LATENCY_NONE);
    cpu_latency_hold(c, true);
    assert_false(cpu_latency_is_held(c));
    assert_int_equal(cpu_latency_error(c), 0);
    assert_true(cpu_latency_us(c) == CONFIG_CPU_LATENCY_NONE);
    cpu_latency_free(c);
}

static void a_device_that_cannot_be_had_is_said_and_no_more(void **state)
{
    (void)state;
    struct cpu_latency *c = cpu_latency_new("/proc/none", 20);
    assert_int_equal(cpu_latency_error(c), ENOENT);
    cpu_latency_hold(c, true);
    assert_false(cpu_latency_is_held(c));
    cpu_latency_free(c);
    /* It opens, and takes nothing. */
    c = cpu_latency_new("/dev/full", 20);
    assert_int_equal(cpu_latency_error(c), 0);
    cpu_latency_hold(c, true);
    assert_int_equal(cpu_latency_error(c), ENOSPC);
    assert_false(cpu_latency_is_held(c));
    cpu_latency_hold(c, false);
    cpu_latency_free(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(a_wish_is_told_once_and_taken_back_once),
    TEST(nothing_is_a_wish_of_zero_and_none_is_no_wish),
    TEST(a_device_that_cannot_be_had_is_said_and_no_more),
};

UNIT_MAIN(tests)
