#include "tests/support/unit.h"

#include <string.h>

#include "proto/limits.h"
#include "proto/vm_limits.h"

static void what_is_not_said_is_the_default(void **state)
{
    (void)state;
    const struct vm_limits defaults = {1u << 30, 2, 3, 4096, 8192, 6, 7};
    struct vm_limits l = {.timeout_us = 9, .tasks = 5};
    vm_limits_complete(&l, &defaults);
    assert_int_equal(l.memory_bytes, 1u << 30);
    assert_int_equal(l.cpu_time_us, 2);
    assert_int_equal(l.timeout_us, 9);
    assert_int_equal(l.output_rate, 4096);
    assert_int_equal(l.log_bytes, 8192);
    assert_int_equal(l.cpu_percent, 6);
    assert_int_equal(l.tasks, 5);
}

static void built_in_defaults_are_in_range(void **state)
{
    (void)state;
    struct vm_limits l;
    vm_limits_default(&l);
    assert_null(vm_limits_wrong(&l));
    assert_int_not_equal(l.memory_bytes, 0);
    assert_int_not_equal(l.log_bytes, 0);
}

static void each_range_ends_where_it_says(void **state)
{
    (void)state;
    static const struct {
        struct vm_limits limits;
        const char *wrong; /* NULL: in range */
    } rows[] = {
        {{0}, NULL},
        {{.memory_bytes = 8u << 20}, NULL},
        {{.memory_bytes = (8u << 20) - 1}, "memory limit"},
        {{.memory_bytes = 1ull << 40}, NULL},
        {{.memory_bytes = (1ull << 40) + 1}, "memory limit"},
        {{.cpu_time_us = 1}, NULL},
        {{.cpu_time_us = LIMIT_TIME_US + 1}, "CPU time"},
        {{.timeout_us = LIMIT_TIME_US}, NULL},
        {{.timeout_us = UINT64_MAX}, "timeout"},
        {{.output_rate = 1023}, "output rate"},
        {{.output_rate = 1024}, NULL},
        {{.output_rate = UINT64_MAX}, "output rate"},
        {{.log_bytes = 4095}, "log size"},
        {{.log_bytes = 4096}, NULL},
        {{.log_bytes = LIMIT_LOG_BYTES + 1}, "log size"},
        {{.cpu_percent = 1}, NULL},
        {{.cpu_percent = UINT32_MAX}, "CPU share"},
        {{.tasks = LIMIT_VM_MIN_TASKS - 1}, "tasks"},
        {{.tasks = LIMIT_VM_MIN_TASKS}, NULL},
        {{.tasks = LIMIT_VM_TASKS + 1}, "tasks"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *wrong = vm_limits_wrong(&rows[i].limits);
        if (!wrong != !rows[i].wrong || (wrong && !strstr(wrong, rows[i].wrong)))
            fail_msg("row %zu: '%s'", i, wrong ? wrong : "");
    }
}

static void the_hard_limit_leaves_room_for_the_soft_one_to_act(void **state)
{
    (void)state;
    const struct vm_limits small = {.memory_bytes = 8u << 20}, large = {.memory_bytes = 1ull << 40};
    assert_true(vm_limits_hard_memory(&small) > small.memory_bytes + (128u << 20));
    assert_true(vm_limits_hard_memory(&large) > large.memory_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_said_is_the_default),
        cmocka_unit_test(built_in_defaults_are_in_range),
        cmocka_unit_test(each_range_ends_where_it_says),
        cmocka_unit_test(the_hard_limit_leaves_room_for_the_soft_one_to_act),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
