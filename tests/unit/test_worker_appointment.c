#include "tests/support/unit.h"

#include "worker/appointment.h"

#define S 1000000000ull
/* As a clock that has run for a while. */
#define START (1000 * S)

/* Second by second: how many times it was due up to `to`, and when the last time was. */
static unsigned watched(struct appointment *a, uint64_t at_ns, uint64_t *now_ns, uint64_t to_ns,
                        uint64_t *ret_last_ns)
{
    unsigned n = 0;
    for (; *now_ns <= to_ns; *now_ns += S)
        if (appointment_is_due(a, at_ns, *now_ns)) {
            *ret_last_ns = *now_ns;
            n++;
        }
    return n;
}

static void one_that_is_not_met_comes_again_at_growing_intervals(void **state)
{
    (void)state;
    /* After the time that was asked for: 4, 16, 64, 64, 64. */
    static const uint64_t times[] = {1, 5, 21, 85, 149, 213};
    struct appointment a = APPOINTMENT_INIT;
    uint64_t now = START, last = 0;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        assert_int_equal(watched(&a, START + S, &now, START + times[i] * S, &last), 1);
        assert_int_equal(last, START + times[i] * S);
    }
}

static void one_that_is_met_begins_anew_with_the_next(void **state)
{
    (void)state;
    struct appointment a = APPOINTMENT_INIT;
    uint64_t now = START, last = 0;
    assert_int_equal(watched(&a, START + S, &now, START + 30 * S, &last), 3);
    /* It hit, and is spent again: a second later, and then four seconds. */
    assert_int_equal(watched(&a, START + 31 * S, &now, START + 34 * S, &last), 1);
    assert_int_equal(last, START + 31 * S);
    assert_int_equal(watched(&a, START + 31 * S, &now, START + 36 * S, &last), 1);
    assert_int_equal(last, START + 35 * S);
}

static void nothing_that_is_asked_for_is_never_due(void **state)
{
    (void)state;
    struct appointment a = APPOINTMENT_INIT;
    uint64_t now = START, last = 0;
    assert_int_equal(watched(&a, 0, &now, START + 500 * S, &last), 0);
    assert_false(appointment_is_due(&a, 0, UINT64_MAX - 1));
    assert_int_equal(watched(&a, now + S, &now, now + S, &last), 1);
    assert_int_equal(watched(&a, 0, &now, now + 500 * S, &last), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(one_that_is_not_met_comes_again_at_growing_intervals),
    cmocka_unit_test(one_that_is_met_begins_anew_with_the_next),
    cmocka_unit_test(nothing_that_is_asked_for_is_never_due),
};

UNIT_MAIN(tests)
