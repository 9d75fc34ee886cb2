/*
 * kernel_stop.h: stopping the same workers by what the kernel offers, for comparison. Each function
 * does what a supervisor would have to, and returns when every worker is known to have stopped.
 * One thread; needs root.
 *
 * SIGSTOP: one kill() for each worker, then one waitid-like call for each. Only a parent is told of
 * the stop of a child, and the workers' parent is the daemon. So this process seizes one thread of
 * each worker by ptrace before (not timed), one that is not the VM's. When that thread reports its
 * group stop, the VM's thread, which took the signal and began the stop, is on its way into it in
 * the kernel. A parent hears of it only when the last of all threads has stopped: the bias, one
 * wake of an idle thread less for each worker, is in favour of SIGSTOP.
 *
 * Trap: the VM's thread is seized, and the signal stops it in the trap before it is delivered:
 * one thread of each worker stops, the others do not. Not even that much is a stopped process; it
 * is what SIGSTOP costs for a process with one thread.
 *
 * Freezer: "1" into cgroup.freeze of each worker's cgroup, or of the one above them all, then
 * cgroup.events read until it says "frozen 1", with sleeps of 10 us between. (To poll it takes 10
 * ms: the kernel notifies of these files no more often.) The cgroup above has daemon and zygote in
 * it, which sleep then.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct target {
    pid_t pid, helper; /* helper: a thread that is not the VM's */
    int freeze_fd, events_fd;
};

struct targets {
    struct target *items;
    size_t n;
    int freeze_fd, events_fd; /* of the cgroup above; -1: none */
    char cgroup[4096];        /* its directory, "": none */
};

/** Takes what it needs from /proc and the cgroups; `pids` are copied. Without cgroups the freezer's
 *  functions return 0. */
void targets_init(struct targets *t, const pid_t *pids, size_t n);
void targets_done(struct targets *t);

/** All times in ns: until stopped; *ret_resume: until all were told to go on. */
struct kernel_stop {
    uint64_t stop_ns, resume_ns;
};

struct kernel_stop kernel_stop_signal(struct targets *t);
struct kernel_stop kernel_stop_trap(struct targets *t);
struct kernel_stop kernel_stop_freeze(struct targets *t);
struct kernel_stop kernel_stop_freeze_all(struct targets *t);

/** Sums over all threads of all workers. */
uint64_t targets_switches(const struct targets *t);
