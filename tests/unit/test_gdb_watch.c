/* Memory that is watched, in a VM whose memory is an array here. */
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

#include "gateway/gdbserver/target_private.h"

#define MEMORY_BYTES 64
#define AT(instance, offset) address_make(ADDRESS_MEMORY, instance, offset)

static struct instance instances[] = {{.seen = {.id = 1, .thread = 10}},
                                      {.seen = {.id = 2, .thread = 10}},
                                      {.seen = {.id = 3, .thread = 11}}};
static uint8_t memory[3][MEMORY_BYTES];
static bool unreadable;
static struct target target;

int target_fail(struct target *t, int r, const char *format, ...)
{
    (void)t, (void)format;
    return r;
}

struct instance *target_instance(const struct target *t, uint32_t id)
{
    (void)t;
    return id >= 1 && id <= 3 ? &instances[id - 1] : NULL;
}

int target_read(struct target *t, uint64_t address, void *ret_data, size_t len, size_t *ret_len)
{
    (void)t;
    size_t at = address_offset(address);
    if (unreadable || at >= MEMORY_BYTES)
        return -EFAULT;
    *ret_len = len < MEMORY_BYTES - at ? len : MEMORY_BYTES - at;
    memcpy(ret_data, memory[address_instance(address) - 1] + at, *ret_len);
    return 0;
}

static int start(void **state)
{
    (void)state;
    target = (struct target){0};
    memset(memory, 0, sizeof memory);
    unreadable = false;
    return 0;
}

static int set(uint64_t address, size_t len)
{
    return target_set_watch(&target, address, address, len);
}

static void a_change_is_told_once_by_what_it_was_asked_as(void **state)
{
    uint64_t asked = 0;
    (void)state;
    assert_int_equal(target_set_watch(&target, 16, AT(2, 16), 4), 0);
    assert_int_equal(target_watched(&target), 10);
    assert_false(target_watch_changed(&target, &asked));
    memory[1][15] = memory[1][20] = memory[0][16] = 1;
    assert_false(target_watch_changed(&target, &asked));
    memory[1][19] = 1;
    assert_true(target_watch_changed(&target, &asked));
    assert_int_equal(asked, 16);
    assert_false(target_watch_changed(&target, &asked));
}

static void of_two_changes_each_is_told(void **state)
{
    uint64_t first = 0, second = 0, none = 0;
    (void)state;
    assert_int_equal(set(AT(1, 0), 4), 0);
    assert_int_equal(set(AT(1, 4), 8), 0);
    memory[0][0] = memory[0][11] = 1;
    assert_true(target_watch_changed(&target, &first));
    assert_true(target_watch_changed(&target, &second));
    assert_false(target_watch_changed(&target, &none));
    assert_int_equal(first + second, AT(1, 0) + AT(1, 4));
}

static void what_we_have_written_is_no_change_and_what_came_before_elsewhere_is(void **state)
{
    uint64_t asked = 0;
    (void)state;
    assert_int_equal(set(AT(1, 8), 4), 0);
    assert_int_equal(set(AT(2, 8), 4), 0);
    memory[0][11] = memory[1][8] = 1;
    target_watch_written(&target, AT(1, 11), 1);
    assert_true(target_watch_changed(&target, &asked));
    assert_int_equal(asked, AT(2, 8));
    assert_false(target_watch_changed(&target, &asked));
    memory[0][8] = 1;
    target_watch_written(&target, AT(1, 4), 4); /* up to it */
    target_watch_written(&target, AT(1, 12), 4);
    assert_true(target_watch_changed(&target, &asked));
}

static void what_cannot_be_read_now_has_not_changed_yet(void **state)
{
    uint64_t asked = 0;
    (void)state;
    assert_int_equal(set(AT(1, 8), 4), 0);
    memory[0][8] = 1;
    unreadable = true;
    assert_false(target_watch_changed(&target, &asked));
    assert_int_equal(set(AT(1, 12), 4), -EFAULT);
    unreadable = false;
    assert_true(target_watch_changed(&target, &asked));
}

static void only_memory_of_one_vm_is_watched_and_not_too_much(void **state)
{
    (void)state;
    assert_int_equal(set(address_make(ADDRESS_CODE, 1, 8), 4), -ENOENT);
    assert_int_equal(set(AT(9, 8), 4), -ENOENT);
    assert_int_equal(set(AT(1, 8), 0), -EINVAL);
    assert_int_equal(set(AT(1, 8), 9), -EINVAL);
    assert_int_equal(set(AT(1, MEMORY_BYTES - 4), 8), -EFAULT);
    assert_int_equal(target_watched(&target), 0);
    assert_int_equal(set(AT(3, 8), 4), 0);
    assert_int_equal(set(AT(1, 8), 4), -EBUSY);
    assert_int_equal(target_clear_watch(&target, AT(3, 8)), 0);
    for (unsigned i = 0; i < TARGET_MOST_WATCHES; i++)
        assert_int_equal(set(AT(1, i), 1), 0);
    assert_int_equal(set(AT(1, 63), 1), -ENOSPC);
    assert_int_equal(set(AT(1, 0), 2), 0); /* again */
    assert_int_equal(target.n_watches, TARGET_MOST_WATCHES);
}

static void what_is_cleared_or_gone_is_watched_no_more(void **state)
{
    uint64_t asked = 0;
    (void)state;
    assert_int_equal(set(AT(1, 0), 4), 0);
    assert_int_equal(set(AT(2, 0), 4), 0);
    assert_int_equal(set(AT(1, 4), 4), 0);
    target_end_watches(&target, &instances[0]);
    memset(memory, 1, sizeof memory);
    assert_true(target_watch_changed(&target, &asked));
    assert_int_equal(asked, AT(2, 0));
    assert_int_equal(target_clear_watch(&target, AT(1, 0)), -ENOENT);
    assert_int_equal(target_clear_watch(&target, AT(2, 0)), 0);
    assert_int_equal(target_watched(&target), 0);
    assert_false(target_watch_changed(&target, &asked));
}

#define TEST(name) cmocka_unit_test_setup(name, start)

static const struct CMUnitTest tests[] = {
    TEST(a_change_is_told_once_by_what_it_was_asked_as),
    TEST(of_two_changes_each_is_told),
    TEST(what_we_have_written_is_no_change_and_what_came_before_elsewhere_is),
    TEST(what_cannot_be_read_now_has_not_changed_yet),
    TEST(only_memory_of_one_vm_is_watched_and_not_too_much),
    TEST(what_is_cleared_or_gone_is_watched_no_more),
};
UNIT_MAIN(tests)
