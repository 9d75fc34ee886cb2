/*
 * futex.h: what stop-the-world asks of the kernel. The futex calls are on words that processes
 * share (so never FUTEX_PRIVATE_FLAG); waiting, and waking, work on a read-only mapping. See
 * futex(2).
 */
#pragma once

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef STILLPOINT_SCHEDULES
/* The kernel is played by tests/schedules. */
int futex_wait(const _Atomic uint32_t *word, uint32_t value, uint64_t timeout_ns);
int futex_wake(_Atomic uint32_t *word, int count);
int process_signal(int pidfd, int number);
#else
/**
 * Waits while *word == value, for at most timeout_ns (UINT64_MAX: for ever) of CLOCK_MONOTONIC.
 * Returns 0 when woken (perhaps for no reason), -EAGAIN if the value differed, -ETIMEDOUT, -EINTR.
 */
static inline int futex_wait(const _Atomic uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
    struct timespec ts = {.tv_sec = (time_t)(timeout_ns / 1000000000u),
                          .tv_nsec = (long)(timeout_ns % 1000000000u)};
    long r =
        syscall(SYS_futex, word, FUTEX_WAIT, value, timeout_ns == UINT64_MAX ? NULL : &ts, NULL, 0);
    return r < 0 ? -errno : 0;
}

/** Wakes at most `count` waiters; returns how many there were. Never blocks. */
static inline int futex_wake(_Atomic uint32_t *word, int count)
{
    long r = syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
    return r < 0 ? -errno : (int)r;
}

/** 0, or negative errno. Never blocks. */
static inline int process_signal(int pidfd, int number)
{
    return pidfd_send_signal(pidfd, number, NULL, 0) < 0 ? -errno : 0;
}
#endif
