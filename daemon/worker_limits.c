#include "daemon/worker_limits.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <time.h>

/* How often wall time is looked at while its clock stands still: waiting for it would spin. */
#define HELD_LOOK_US 20000u
/* Threads may use the time that is left all at once, and an idle VM for a long time none. */
#define LOOK_PARTS 4u
#define LOOK_LEAST_US 5000u
#define LOOK_MOST_US 1000000u
#define MEMORY_LOOK_US 100000u

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void again_in(struct event *timer, uint64_t us)
{
    struct timeval next = {.tv_sec = (time_t)(us / 1000000),
                           .tv_usec = (suseconds_t)(us % 1000000)};
    event_add(timer, &next);
}

/* "2.5 s", "300 ms" */
static void over(struct worker_limits *l, const char *what, uint64_t limit_us)
{
    char detail[96];
    if (limit_us >= 1000000)
        snprintf(detail, sizeof detail, "%s limit of %.6g s reached", what,
                 (double)limit_us / 1000000);
    else
        snprintf(detail, sizeof detail, "%s limit of %.6g ms reached", what,
                 (double)limit_us / 1000);
    l->events->on_over(l->userdata, detail);
}

/* ---- wall time: look, and if there is some left look again when that has passed at the earliest
 */

static void on_wall(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct worker_limits *l = userdata;
    bool stands;
    uint64_t clock_ns = l->events->clock_ns(l->userdata, &stands);
    uint64_t used_us = (clock_ns - l->admitted_ns) / 1000;
    if (used_us >= l->limits->timeout_us) {
        over(l, "time", l->limits->timeout_us);
        return;
    }
    uint64_t left_us = l->limits->timeout_us - used_us;
    again_in(l->wall, stands && left_us < HELD_LOOK_US ? HELD_LOOK_US : left_us);
}

/* ---- CPU time */

static void look_at_cpu(void *userdata)
{
    struct worker_limits *l = userdata;
    uint64_t used_us = l->events->cpu_us(l->userdata);
    if (used_us >= l->limits->cpu_time_us) {
        over(l, "CPU time", l->limits->cpu_time_us);
        return;
    }
    uint64_t part_us = (l->limits->cpu_time_us - used_us) / LOOK_PARTS;
    bool idle = used_us == l->cpu_seen_us;
    l->cpu_seen_us = used_us;
    l->cpu_pause_us = idle ? 2 * l->cpu_pause_us : part_us;
    if (l->cpu_pause_us < LOOK_LEAST_US)
        l->cpu_pause_us = LOOK_LEAST_US;
    if (l->cpu_pause_us > LOOK_MOST_US)
        l->cpu_pause_us = LOOK_MOST_US;
    again_in(l->cpu, l->cpu_pause_us);
}

static void on_cpu(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct worker_limits *l = userdata;
    look_queue_add(l->looks, &l->cpu_look);
}

/* ---- memory: RLIMIT_DATA does not count what cannot be written any more, so that native code can
 * have more than that. Nothing grows that has used no CPU. */

static void look_at_memory(void *userdata)
{
    struct worker_limits *l = userdata;
    uint64_t used_us = l->events->cpu_us(l->userdata);
    bool idle = used_us == l->memory_cpu_us;
    uint64_t bytes = idle ? 0 : l->events->memory_bytes(l->userdata);
    if (bytes > vm_limits_hard_memory(l->limits)) {
        l->events->on_memory_over(l->userdata, bytes);
        return;
    }
    l->memory_cpu_us = used_us;
    l->memory_pause_us = idle ? 2 * l->memory_pause_us : MEMORY_LOOK_US;
    if (l->memory_pause_us > LOOK_MOST_US)
        l->memory_pause_us = LOOK_MOST_US;
    again_in(l->memory, l->memory_pause_us);
}

static void on_memory(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct worker_limits *l = userdata;
    look_queue_add(l->looks, &l->memory_look);
}

/* ---- output */

static void hold_output(struct worker_limits *l, bool hold)
{
    if (l->output_held == hold)
        return;
    l->output_held = hold;
    l->events->on_hold_output(l->userdata, hold);
}

/* As much as one second gives is kept for later. */
static void refill(struct worker_limits *l)
{
    uint64_t now = now_ns(), passed_us = (now - l->allowance_ns) / 1000;
    double more = (double)passed_us * (double)l->limits->output_rate / 1e6;
    l->allowance_ns += passed_us * 1000;
    if (more > (double)l->limits->output_rate - (double)l->allowance)
        l->allowance = (int64_t)l->limits->output_rate;
    else
        l->allowance += (int64_t)more;
}

static void on_output(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct worker_limits *l = userdata;
    refill(l);
    if (l->allowance >= 0) {
        hold_output(l, false);
        return;
    }
    double us = (double)-l->allowance * 1e6 / (double)l->limits->output_rate;
    again_in(l->output, (uint64_t)us + 1000);
}

void worker_limits_wrote(struct worker_limits *l, size_t bytes)
{
    if (l->limits->output_rate == 0 || l->output_over)
        return;
    refill(l);
    l->allowance -= (int64_t)bytes;
    if (l->allowance >= 0 || l->output_held)
        return;
    hold_output(l, true);
    on_output(-1, 0, l);
}

void worker_limits_wrote_last(struct worker_limits *l)
{
    l->output_over = true;
    if (l->output)
        event_del(l->output);
    hold_output(l, false);
}

/* ---- life */

int worker_limits_init(struct worker_limits *l, struct event_base *base, struct look_queue *looks,
                       const struct vm_limits *limits, const struct worker_limits_events *events,
                       void *userdata)
{
    *l = (struct worker_limits){.looks = looks,
                                .cpu_look = {.on_turn = look_at_cpu, .userdata = l},
                                .memory_look = {.on_turn = look_at_memory, .userdata = l},
                                .limits = limits,
                                .events = events,
                                .userdata = userdata,
                                .allowance = (int64_t)limits->output_rate,
                                .allowance_ns = now_ns()};
    if (limits->timeout_us > 0 && !(l->wall = event_new(base, -1, 0, on_wall, l)))
        return -ENOMEM;
    if (limits->cpu_time_us > 0 && !(l->cpu = event_new(base, -1, 0, on_cpu, l)))
        return -ENOMEM;
    if (vm_limits_hard_memory(limits) > 0 && !(l->memory = event_new(base, -1, 0, on_memory, l)))
        return -ENOMEM;
    if (limits->output_rate > 0 && !(l->output = event_new(base, -1, 0, on_output, l)))
        return -ENOMEM;
    return 0;
}

void worker_limits_done(struct worker_limits *l)
{
    struct event **events[] = {&l->wall, &l->cpu, &l->memory, &l->output};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        if (*events[i])
            event_free(*events[i]);
        *events[i] = NULL;
    }
    look_queue_drop(l->looks, &l->cpu_look);
    look_queue_drop(l->looks, &l->memory_look);
}

void worker_limits_born(struct worker_limits *l, bool watch_memory)
{
    l->memory_pause_us = MEMORY_LOOK_US;
    if (l->memory && watch_memory)
        again_in(l->memory, MEMORY_LOOK_US);
    if (l->cpu)
        look_at_cpu(l);
}

void worker_limits_admitted(struct worker_limits *l)
{
    bool stands;
    l->admitted_ns = l->events->clock_ns(l->userdata, &stands);
    worker_limits_resume(l);
}

void worker_limits_resume(struct worker_limits *l)
{
    if (l->wall)
        on_wall(-1, 0, l);
}
