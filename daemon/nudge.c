#include "daemon/nudge.h"

#include <errno.h>
#include <event2/event.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "daemon/worker.h"

/* A stop takes a CPU about 20 us for each VM that runs there, and before this nobody is late. */
#define FIRST_NS 100000u
#define FIRST_EACH_NS 30000u
/* From the first nudge to the second; then twice that, and so on. What they cannot end lasts until
 * the next tick of the CPU, or is no matter of CPUs. */
#define AGAIN_NS 100000u
#define MOST_NUDGES 5u

struct nudge {
    const struct stop_world *world;
    int timer_fd;
    struct event *due;
    unsigned n_cpus, n_sent;
};

/* libevent's timers are those of epoll, in milliseconds. 0: never. */
static void set_timer(struct nudge *n, uint64_t ns)
{
    const struct itimerspec t = {
        .it_value = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)}};
    (void)timerfd_settime(n->timer_fd, 0, &t, NULL);
}

static void on_due(evutil_socket_t fd, short what, void *userdata)
{
    (void)what;
    struct nudge *n = userdata;
    uint64_t times;
    if (read(fd, &times, sizeof times) < 0)
        return; /* it was set anew meanwhile */
    for (size_t i = 0; i < n->world->n_gates; i++) {
        struct stop_gate *g = n->world->gates[i];
        if (stop_is_missing(g) && stop_state(g) == SHM_RUNNING)
            worker_nudge(g->userdata);
    }
    n->n_sent++;
    set_timer(n, n->n_sent < MOST_NUDGES ? (uint64_t)AGAIN_NS << (n->n_sent - 1) : 0);
}

struct nudge *nudge_new(struct event_base *base, const struct stop_world *world)
{
    struct nudge *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    *n = (struct nudge){.world = world, .n_cpus = 1};
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
        n->n_cpus = (unsigned)CPU_COUNT(&cpus);
    n->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (n->timer_fd < 0)
        return nudge_free(n);
    n->due = event_new(base, n->timer_fd, EV_READ | EV_PERSIST, on_due, n);
    if (!n->due || event_add(n->due, NULL) < 0) {
        errno = ENOMEM;
        return nudge_free(n);
    }
    return n;
}

struct nudge *nudge_free(struct nudge *n)
{
    if (!n)
        return NULL;
    int error = errno;
    if (n->due)
        event_free(n->due);
    if (n->timer_fd >= 0)
        close(n->timer_fd);
    free(n);
    errno = error;
    return NULL;
}

void nudge_begin(struct nudge *n)
{
    n->n_sent = 0;
    uint64_t turns = (n->world->n_missing + n->n_cpus - 1) / n->n_cpus;
    set_timer(n, FIRST_NS + FIRST_EACH_NS * turns);
}

void nudge_end(struct nudge *n)
{
    set_timer(n, 0);
}
