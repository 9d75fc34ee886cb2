#include "tests/support/unit.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/limits.h"
#include "worker/host/timers.h"

static uint64_t take(struct timers *t, uint64_t now)
{
    uint64_t id = 0;
    return timers_take_due(t, now, UINT64_MAX, &id) ? id : 0;
}

static void equal_deadlines_fire_in_the_order_of_arming(void **state)
{
    (void)state;
    struct timers t = {0};
    for (uint64_t id = 1; id <= 100; id++)
        assert_int_equal(timers_start(&t, id, id % 3, 0), 0);
    uint64_t last_deadline = 0, last_id = 0, n = 0;
    for (uint64_t id; (id = take(&t, 1000)) != 0; n++) {
        assert_true(id % 3 > last_deadline || (id % 3 == last_deadline && id > last_id));
        last_deadline = id % 3;
        last_id = id;
        timers_fired(&t, id, 1000);
    }
    assert_int_equal(n, 100);
    assert_int_equal(t.n_known, 0);
    timers_done(&t);
}

static void nothing_fires_before_its_time(void **state)
{
    (void)state;
    struct timers t = {0};
    assert_int_equal(timers_next_ns(&t), UINT64_MAX);
    assert_int_equal(timers_start(&t, 1, 50, 0), 0);
    assert_int_equal(timers_next_ns(&t), 50);
    assert_int_equal(take(&t, 49), 0);
    assert_int_equal(take(&t, 50), 1);
    timers_done(&t);
}

static void a_cancelled_timer_is_gone(void **state)
{
    (void)state;
    struct timers t = {0};
    for (uint64_t id = 1; id <= 9; id++)
        assert_int_equal(timers_start(&t, id, 10 - id, 0), 0);
    timers_cancel(&t, 9);
    timers_cancel(&t, 5);
    timers_cancel(&t, 5);
    timers_cancel(&t, 77);
    const uint64_t left[] = {8, 7, 6, 4, 3, 2, 1};
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(take(&t, 100), left[i]);
    assert_int_equal(take(&t, 100), 0);
    timers_done(&t);
}

static void a_repeating_timer_is_armed_after_its_callback(void **state)
{
    (void)state;
    struct timers t = {0};
    assert_int_equal(timers_start(&t, 1, 10, 10), 0);
    assert_int_equal(take(&t, 10), 1);
    assert_int_equal(take(&t, 1000), 0);             /* not while it is being served */
    assert_int_equal(timers_start(&t, 2, 25, 0), 0); /* by the callback */
    timers_fired(&t, 1, 15);
    assert_int_equal(timers_next_ns(&t), 25);
    assert_int_equal(take(&t, 25), 2); /* armed before timer 1 was again */
    timers_fired(&t, 2, 25);
    assert_int_equal(take(&t, 25), 1);
    timers_cancel(&t, 1); /* from inside its own callback */
    timers_fired(&t, 1, 26);
    assert_int_equal(timers_next_ns(&t), UINT64_MAX);
    timers_done(&t);
}

static void an_id_may_be_used_again_by_its_own_callback(void **state)
{
    (void)state;
    struct timers t = {0};
    assert_int_equal(timers_start(&t, 1, 10, 0), 0);
    assert_int_equal(timers_start(&t, 1, 10, 0), -EEXIST);
    assert_int_equal(take(&t, 10), 1);
    timers_cancel(&t, 1);
    assert_int_equal(timers_start(&t, 1, 30, 0), 0);
    timers_fired(&t, 1, 10);
    assert_int_equal(timers_next_ns(&t), 30);
    assert_int_equal(take(&t, 30), 1);
    timers_done(&t);
}

static void timers_armed_during_a_turn_wait_for_the_next(void **state)
{
    (void)state;
    struct timers t = {0};
    uint64_t id;
    assert_int_equal(timers_start(&t, 1, 0, 0), 0);
    uint64_t armed = t.armed;
    assert_true(timers_take_due(&t, 5, armed, &id));
    assert_int_equal(timers_start(&t, 2, 0, 0), 0);
    timers_fired(&t, 1, 5);
    assert_false(timers_take_due(&t, 5, armed, &id));
    assert_true(timers_take_due(&t, 5, t.armed, &id));
    timers_done(&t);
}

static void there_is_a_bound(void **state)
{
    (void)state;
    struct timers t = {0};
    for (uint64_t id = 1; id <= LIMIT_TIMERS; id++)
        assert_int_equal(timers_start(&t, id, id, 0), 0);
    assert_int_equal(timers_start(&t, LIMIT_TIMERS + 1, 0, 0), -E2BIG);
    timers_cancel(&t, 1);
    assert_int_equal(timers_start(&t, LIMIT_TIMERS + 1, 0, 0), 0);
    timers_done(&t);
}

/* Against a model without structure: an array that is searched. */
static void a_random_history_agrees_with_a_plain_model(void **state)
{
    (void)state;
    enum { IDS = 64, STEPS = 50000 };
    struct {
        uint64_t deadline, armed;
    } model[IDS + 1] = {{0, 0}};
    struct timers t = {0};
    uint64_t armed = 0;
    srand(1);
    for (int step = 0; step < STEPS; step++) {
        uint64_t id = (uint64_t)(rand() % IDS) + 1, deadline = (uint64_t)(rand() % 100);
        if (rand() % 3 == 0) {
            timers_cancel(&t, id);
            model[id].armed = 0;
        } else if (rand() % 2 == 0) {
            int r = timers_start(&t, id, deadline, 0);
            assert_int_equal(r, model[id].armed ? -EEXIST : 0);
            if (r == 0) {
                model[id].deadline = deadline;
                model[id].armed = ++armed;
            }
        } else {
            uint64_t best = 0;
            for (uint64_t i = 1; i <= IDS; i++)
                if (model[i].armed && model[i].deadline <= deadline &&
                    (best == 0 || model[i].deadline < model[best].deadline ||
                     (model[i].deadline == model[best].deadline &&
                      model[i].armed < model[best].armed)))
                    best = i;
            uint64_t got = take(&t, deadline);
            assert_int_equal(got, best);
            if (got) {
                timers_fired(&t, got, deadline);
                model[got].armed = 0;
            }
        }
    }
    timers_done(&t);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(equal_deadlines_fire_in_the_order_of_arming),
    cmocka_unit_test(nothing_fires_before_its_time),
    cmocka_unit_test(a_cancelled_timer_is_gone),
    cmocka_unit_test(a_repeating_timer_is_armed_after_its_callback),
    cmocka_unit_test(an_id_may_be_used_again_by_its_own_callback),
    cmocka_unit_test(timers_armed_during_a_turn_wait_for_the_next),
    cmocka_unit_test(there_is_a_bound),
    cmocka_unit_test(a_random_history_agrees_with_a_plain_model),
};

UNIT_MAIN(tests)
