/*
 * private_daemon.h: a daemon of a benchmark's own, which ends with its connection.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct private_daemon {
    const char *build;       /**< folder of stillpointd */
    const char *spawn;       /**< zygote or exec */
    const char *cpu_latency; /**< NULL: the default, none */
    bool spare;
    int fifo_priority; /**< 0: under the default scheduler */
};

/** Starts it with a private connection, `*ret_fd`. Ends the benchmark on failure. Returns its
 * process. */
pid_t private_daemon_start(const struct private_daemon *how, int *ret_fd);
/** Waits for its end, after its connection was closed. */
void private_daemon_wait(pid_t daemon);
