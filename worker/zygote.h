/*
 * zygote.h: the worker program before it has a VM. It initialises the engine once, and gives birth
 * to one worker for each Spawn that comes through its channel. It runs no guest code and reads
 * none.
 *
 * Process and thread: the zygote, exactly one thread. The workers are children of its parent, the
 * daemon, and outlive it.
 *
 * Invariants
 *  - It never has host uid 0, and so no worker has.
 *  - It lives in an empty network namespace of its own, which its workers inherit: making one for
 *    each of them would be half of the time of a birth.
 *  - Once its engine is ready it sees no file of the host but /proc: each birth copies what is
 * mounted where it is.
 *  - While nobody is born it has at most one nest (sandbox.h), which one birth takes. What makes
 * one is a process that shares its memory, while it waits for that.
 *  - A Spawn is answered by Spawned, once; with an error nothing of it is left.
 */
#pragma once

#include <stdbool.h>

#include "worker/engine.h"

/**
 * Serves the channel until it ends; with `once`, until the first Spawn was answered. Returns the
 * exit status of the zygote. Texts of failures go to stderr.
 */
int zygote_run(int channel, const struct engine_ops *ops, bool once);
