#include "daemon/cpu_latency.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/config.h"
#include "daemon/record.h"

/* Of the kernel's interface: this holder has no wish. So the descriptor can stay open: to open the
 * device once more we may have no rights. */
#define NO_WISH (-1)

struct cpu_latency {
    const char *device;
    uint64_t us;
    int fd; /* -1: not asked for, or not to be had */
    int error;
    bool held;
};

static void fail(struct cpu_latency *c, int error)
{
    c->error = error;
    fd_close(&c->fd);
    record_write(LOG_WARNING, MESSAGE_CPU_LATENCY, NULL,
                 "cpu-latency is not kept to, CPUs sleep as they like: %s: %s", c->device,
                 strerror(error));
}

struct cpu_latency *cpu_latency_new(const char *device, uint64_t us)
{
    struct cpu_latency *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    *c = (struct cpu_latency){.device = device, .us = us, .fd = -1};
    if (us != CONFIG_CPU_LATENCY_NONE) {
        c->fd = open(device, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (c->fd < 0)
            fail(c, errno);
    }
    return c;
}

struct cpu_latency *cpu_latency_free(struct cpu_latency *c)
{
    if (!c)
        return NULL;
    fd_close(&c->fd);
    free(c);
    return NULL;
}

void cpu_latency_hold(struct cpu_latency *c, bool hold)
{
    int32_t us = hold ? (int32_t)c->us : NO_WISH;
    if (c->fd < 0 || c->held == hold)
        return;
    if (write(c->fd, &us, sizeof us) != (ssize_t)sizeof us) {
        c->held = false; /* the wish goes with the descriptor */
        fail(c, errno);
        return;
    }
    c->held = hold;
    log_debug("CPUs may sleep %s", hold ? "only as deeply as cpu-latency says" : "as they like");
}

bool cpu_latency_is_held(const struct cpu_latency *c)
{
    return c->held;
}

uint64_t cpu_latency_us(const struct cpu_latency *c)
{
    return c->us;
}

int cpu_latency_error(const struct cpu_latency *c)
{
    return c->error;
}
