/* The VM's clocks are played here; the timers are real, and short. */
#include "tests/support/unit.h"

#include <event2/event.h>
#include <string.h>
#include <time.h>

#include "daemon/worker_limits.h"

static struct event_base *base;
static struct look_queue *queue;
static struct worker_limits l;
static uint64_t clock_ns, cpu_us, clock_step_ns, cpu_step_us;
static bool stands;
static unsigned looks, holds, releases, overs;
static char detail[96];

/* Each look at a clock finds it further on. */
static uint64_t get_clock(void *userdata, bool *ret_stands)
{
    (void)userdata;
    looks++;
    *ret_stands = stands;
    return clock_ns += clock_step_ns;
}

static uint64_t get_cpu(void *userdata)
{
    (void)userdata;
    looks++;
    return cpu_us += cpu_step_us;
}

static void on_over(void *userdata, const char *text)
{
    (void)userdata;
    overs++;
    strcpy(detail, text);
}

static void on_hold_output(void *userdata, bool hold)
{
    (void)userdata;
    *(hold ? &holds : &releases) += 1;
}

static uint64_t memory, memory_step, memory_over;

static uint64_t get_memory(void *userdata)
{
    (void)userdata;
    return memory += memory_step;
}

static void on_memory_over(void *userdata, uint64_t bytes)
{
    (void)userdata;
    memory_over = bytes;
}

static const struct worker_limits_events events = {
    .clock_ns = get_clock,
    .cpu_us = get_cpu,
    .memory_bytes = get_memory,
    .on_over = on_over,
    .on_memory_over = on_memory_over,
    .on_hold_output = on_hold_output,
};

static void start(const struct vm_limits *limits)
{
    clock_ns = cpu_us = clock_step_ns = cpu_step_us = 0;
    looks = holds = releases = overs = 0;
    stands = false;
    assert_int_equal(worker_limits_init(&l, base, queue, limits, &events, NULL), 0);
}

static double now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void no_limit_has_no_timer(void **state)
{
    (void)state;
    const struct vm_limits none = {.memory_bytes = 1};
    start(&none);
    worker_limits_born(&l, false);
    worker_limits_admitted(&l);
    worker_limits_wrote(&l, 1u << 30);
    worker_limits_wrote_last(&l);
    assert_int_equal(event_base_dispatch(base), 1); /* nothing to wait for */
    assert_int_equal(overs + holds, 0);
    worker_limits_done(&l);
}

static void memory_beyond_the_hard_limit_is_the_end_where_nobody_else_counts_it(void **state)
{
    (void)state;
    const struct vm_limits limits = {.memory_bytes = 1};
    const uint64_t hard = vm_limits_hard_memory(&limits);
    start(&limits);
    cpu_step_us = 1000;
    memory = memory_over = 0;
    memory_step = hard / 2;
    worker_limits_born(&l, true);
    assert_int_equal(event_base_dispatch(base), 1);
    assert_true(memory_over > hard && memory_over <= 2 * hard);
    worker_limits_done(&l);
}

static void wall_time_ends_when_its_clock_says_so(void **state)
{
    (void)state;
    const struct vm_limits limits = {.timeout_us = 30000};
    start(&limits);
    clock_ns = 5000000000;
    clock_step_ns = 10000000;
    worker_limits_admitted(&l);
    assert_int_equal(event_base_dispatch(base), 1);
    assert_int_equal(overs, 1);
    assert_string_equal(detail, "time limit of 30 ms reached");
    worker_limits_done(&l);
}

static void a_clock_that_stands_is_not_watched_busily(void **state)
{
    (void)state;
    const struct vm_limits limits = {.timeout_us = 1};
    start(&limits);
    stands = true;
    worker_limits_admitted(&l);
    const struct timeval moment = {.tv_usec = 200000};
    event_base_loopexit(base, &moment);
    event_base_dispatch(base);
    assert_int_equal(overs, 0);
    assert_in_range(looks, 2, 14);
    worker_limits_done(&l);
}

static void cpu_time_ends_when_it_is_used(void **state)
{
    (void)state;
    const struct vm_limits limits = {.cpu_time_us = 2500000};
    start(&limits);
    cpu_us = 2400000;
    cpu_step_us = 40000;
    worker_limits_born(&l, false);
    assert_int_equal(event_base_dispatch(base), 1);
    assert_int_equal(overs, 1);
    assert_string_equal(detail, "CPU time limit of 2.5 s reached");
    worker_limits_done(&l);
}

static void an_idle_vm_is_looked_at_ever_less(void **state)
{
    (void)state;
    const struct vm_limits limits = {.cpu_time_us = 20000};
    start(&limits);
    worker_limits_born(&l, false);
    const struct timeval moment = {.tv_usec = 600000};
    event_base_loopexit(base, &moment);
    event_base_dispatch(base);
    assert_int_equal(overs, 0);
    assert_in_range(looks, 3, 12);
    worker_limits_done(&l);
}

static void what_is_written_too_fast_waits_as_long_as_it_is_over(void **state)
{
    (void)state;
    const struct vm_limits limits = {.output_rate = 100000};
    start(&limits);
    worker_limits_wrote(&l, 90000); /* within the first second's */
    assert_int_equal(holds, 0);
    double before = now_s();
    worker_limits_wrote(&l, 30000);
    worker_limits_wrote(&l, 10000); /* was on its way */
    assert_int_equal(holds, 1);
    assert_int_equal(event_base_dispatch(base), 1);
    assert_int_equal(releases, 1);
    assert_true(now_s() - before > 0.25); /* 30000 bytes over */
    worker_limits_done(&l);
}

static void an_end_does_not_wait(void **state)
{
    (void)state;
    const struct vm_limits limits = {.output_rate = 1024};
    start(&limits);
    worker_limits_wrote(&l, 1u << 20);
    assert_int_equal(holds, 1);
    worker_limits_wrote_last(&l);
    assert_int_equal(releases, 1);
    worker_limits_wrote(&l, 1u << 20);
    assert_int_equal(holds, 1);
    assert_int_equal(event_base_dispatch(base), 1);
    worker_limits_done(&l);
}

static void one_that_has_ended_has_no_turn_any_more(void **state)
{
    (void)state;
    const struct vm_limits limits = {.memory_bytes = 1, .cpu_time_us = 1000000};
    start(&limits);
    worker_limits_born(&l, true);
    looks = 0;
    event_active(l.cpu, EV_TIMEOUT, 0);
    event_active(l.memory, EV_TIMEOUT, 0);
    assert_int_equal(event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
    assert_true(l.cpu_look.is_queued && l.memory_look.is_queued);
    assert_int_equal(looks, 0);
    worker_limits_done(&l);
    assert_int_equal(event_base_dispatch(base), 1);
    assert_int_equal(looks + overs, 0);
}

static int up(void **state)
{
    (void)state;
    base = event_base_new();
    queue = base ? look_queue_new(base) : NULL;
    return queue ? 0 : -1;
}

static int down(void **state)
{
    (void)state;
    look_queue_free(queue);
    event_base_free(base);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_limit_has_no_timer),
        cmocka_unit_test(memory_beyond_the_hard_limit_is_the_end_where_nobody_else_counts_it),
        cmocka_unit_test(wall_time_ends_when_its_clock_says_so),
        cmocka_unit_test(a_clock_that_stands_is_not_watched_busily),
        cmocka_unit_test(cpu_time_ends_when_it_is_used),
        cmocka_unit_test(an_idle_vm_is_looked_at_ever_less),
        cmocka_unit_test(what_is_written_too_fast_waits_as_long_as_it_is_over),
        cmocka_unit_test(an_end_does_not_wait),
        cmocka_unit_test(one_that_has_ended_has_no_turn_any_more),
    };
    return cmocka_run_group_tests(tests, up, down);
}
