/*
 * host.h: what the worker offers to its engine, one part a file (host_ops.h binds them). Owns the
 * parts; channel and safepoint are the caller's. Worker, VM thread.
 *
 * Invariant: whenever a host call returns to the engine, the VM may run, and the channel is not
 * congested. Exception: guest code that runs for a debugger and must not wait (safepoint_may_wait).
 * There a host call that would have to fails with -EWOULDBLOCK before it does anything, and one
 * that sends may leave the channel congested.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "worker/daemon_channel.h"
#include "worker/engine.h"
#include "worker/host/imports.h"
#include "worker/host/messages.h"
#include "worker/host/timers.h"
#include "worker/host/wasi.h"
#include "worker/safepoint.h"

struct auditors;

struct host {
    struct daemon_channel *channel;
    struct safepoint *safepoint;
    struct timers timers;
    struct imports imports;
    struct messages messages;
    struct wasi wasi;
    int wake_fd;      /**< eventfd; readable when the engine has work from another thread */
    bool loaded;      /**< the engine said so, and it was told on */
    char *load_error; /**< if it cannot be loaded */
    bool said_ready;
    struct auditors *auditors; /**< NULL: not yet */
};

/** Makes the wake eventfd. Returns 0 or negative errno. */
int host_init(struct host *h, struct daemon_channel *channel, struct safepoint *safepoint);
void host_done(struct host *h);

/** Before guest code causes a fact: 0, or -EWOULDBLOCK where there is no room and it must not wait.
 */
int host_make_room(struct host *h);
/** Waits until the channel is not congested, as `blocked`; unless guest code must not wait. */
void host_settle(struct host *h);
/** After a fact was sent: as host_settle(), or the end of the process if it could not be kept. */
void host_sent(struct host *h, int r);
/** Sends Ready, once: the main module was evaluated, or waits for the first time. */
void host_say_ready(struct host *h);
/** Sleeps on the world clock. 0 or -EWOULDBLOCK. */
int host_sleep_until(struct host *h, uint64_t deadline_ns);

/** console.c: text to stdout or stderr, in as many facts as it takes. 0 or -EWOULDBLOCK. */
int console_write(struct host *h, enum engine_stream stream, enum engine_level level,
                  const char *text, size_t len);
