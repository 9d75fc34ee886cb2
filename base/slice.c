#include "slice.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RESET_ON_FORK 1u

/* linux/sched/types.h clashes with glibc's sched.h; this is version 0 of the structure. */
struct sched_attr_v0 {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

int slice_request(uint64_t slice_ns, int nice)
{
    struct sched_attr_v0 a = {.size = sizeof a,
                              .policy = SCHED_OTHER,
                              .flags = RESET_ON_FORK,
                              .nice = nice,
                              .runtime = slice_ns};
    return syscall(SYS_sched_setattr, 0, &a, 0) < 0 ? -errno : 0;
}
