/*
 * server.h: the socket on which LLDB is awaited, and the loop that serves one after the other. Owns
 * the socket, and its path. In the gateway, one thread, which waits in poll() only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "gateway/gdbserver/target.h"

struct server_options {
    struct target_options target;
    const char *path; /**< of a Unix socket; NULL: `port` */
    uint16_t port;    /**< on the loopback; 0: any that is free */
    bool once, may_kill;
};

/** Serves until a signal ends it, or with `once` until an LLDB has gone. The exit code. */
int server_run(const struct server_options *options);
