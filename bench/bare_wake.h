/*
 * bare_wake.h: what it takes to tell another process anything at all: one that waits in
 * epoll_wait() for a byte on a Unix socket, with nothing to do then but to look at the clock. On a
 * machine that rests, most of that is the CPU that has to come out of its halt. No request can be
 * taken up sooner. One thread.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct bare_wake {
    pid_t pid;
    int fd;
};

/** Makes the process; SCHED_FIFO with a priority. Ends the program on failure. */
void bare_wake_init(struct bare_wake *w, int fifo_priority);
void bare_wake_done(struct bare_wake *w);
/** ns from before the byte is sent until the other process has it. */
uint64_t bare_wake_ns(const struct bare_wake *w);
