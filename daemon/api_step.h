/*
 * api_step.h: StepVm, from its arming in the VM to its one reply, which comes when the VM stands
 * again.
 *
 * Process and thread: the daemon's only thread.
 *
 *   arming ──armed──► runs ──its pause; idle, blocked, deadline, stopped──► looks ──► the reply
 *      ▲                │
 *      └─ one more step ┘
 *
 * Who runs meanwhile: the VM alone (run-one); or its whole world, whose stop is given up for that
 * and taken again at the end; or, for a debugger that holds only this VM, whoever ran before. A
 * step that ends otherwise than by its pause is forgotten in the VM before that runs again.
 */
#pragma once

#include <stdbool.h>

#include "daemon/api_call.h"

struct worker_inspected;

void api_step(struct api_call *call);

/** An answer to a request that was known. False if it is none of these. */
bool api_step_on_inspected(struct api *api, struct worker *w,
                           const struct worker_inspected *answer);
/** Something has happened by which a VM may stand, that does not run alone. */
void api_step_recheck(struct api *api);
/** Before a debugger is closed: its steps, but for those of its run-ones, are over. */
void api_step_on_debugger_closed(struct api *api, uint64_t debugger);
