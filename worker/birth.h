/*
 * birth.h: a newborn process becomes a worker: pages, sandbox, engine, lockdown, and then dispatch.
 * Runs in the child of the zygote, at first its only thread; owns everything that the worker has.
 *
 * Invariant: either every needed layer stands before the first guest byte is read, or the worker
 * says which one does not (Born.error) and ends.
 */
#pragma once

#include <stdbool.h>

#include "worker/engine.h"
#include "worker/lockdown.h"
#include "worker/sandbox.h"

/** The descriptors of a Spawn, in the order in which they travel. */
enum birth_fd {
    BIRTH_CHANNEL,
    BIRTH_WORLD,
    BIRTH_COMMAND,
    BIRTH_STATUS,
    BIRTH_KICK,
    BIRTH_LIFELINE,
    BIRTH_FDS,
    BIRTH_CGROUP = BIRTH_FDS, /**< may be absent; the zygote's alone */
    BIRTH_MAX_FDS,
};

struct birth {
    int fds[BIRTH_FDS];
    int null_fd;
    struct sandbox_options sandbox;
    struct sandbox_nest nest;
    const struct lockdown *lockdown;
    const struct engine_ops *ops;
    uint64_t heap_bytes;
    unsigned helper_threads;
    bool debug, keep_idle;
    uint32_t adoption_ms; /**< how long it lives without a daemon; 0: it dies with it */
};

_Noreturn void birth_run(const struct birth *b);
