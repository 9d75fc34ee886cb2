/*
 * worker_evaluation.h: the one evaluation that a VM is allowed behind its closed gate, from when it
 * is sent until it has been answered: guest code that a debugger runs in a VM that stands.
 *
 * Process and thread: the daemon's only thread. Owner: the struct worker, which holds the state.
 *
 * Invariants
 *  - From its begin until its answer it holds the VM, beside all who do: whatever becomes of the
 *    stop or the hold inside which it was asked for, the gate does not open under it.
 *  - It ends: by itself; withdrawn, at its limit or because the VM is to go on; or with the VM,
 *    which is killed if it does not answer in time after that.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/worker.pb-c.h"

struct worker;

/** How long a VM has to end an evaluation that was withdrawn. */
#define WORKER_EVALUATION_END_US 10000000u
/** Why it was withdrawn: its limit. */
#define WORKER_EVALUATION_TOO_LONG "took too long, and was ended"

/**
 * Allows the next evaluation and sends it: an Inspect of evaluate, assign, or variables with
 * getters, in which this sets the number. -EALREADY: another one has not been answered; and as
 * worker_send_inspect().
 */
int worker_evaluation_begin(struct worker *w, Stillpoint__Worker__Inspect *inspect,
                            uint64_t limit_us, uint64_t *ret_request);
/** Ends it: the answer is on its way. `why`, a static text, is kept for who waits for it. */
void worker_evaluation_withdraw(struct worker *w, const char *why);
/** This request has been answered. NULL: it was no evaluation, or not withdrawn; else why it was.
 */
const char *worker_evaluation_answered(struct worker *w, uint64_t request);
