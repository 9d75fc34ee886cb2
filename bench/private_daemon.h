/*
 * private_daemon.h: a daemon of a benchmark's own, which ends with its connection.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/**
 * Starts `build`/stillpointd with a private connection, `*ret_fd`, this --spawn and this --spare;
 * with a priority it becomes SCHED_FIFO first. Ends the benchmark on failure. Returns its process.
 */
pid_t private_daemon_start(const char *build, const char *spawn, bool spare, int fifo_priority,
                           int *ret_fd);
/** Waits for its end, after its connection was closed. */
void private_daemon_wait(pid_t daemon);
