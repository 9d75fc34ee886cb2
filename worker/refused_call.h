/*
 * refused_call.h: a worker that makes a system call which its filter has not dies of SIGSYS; before
 * that it writes into its status page which call that was. For people who look for the reason: the
 * daemon believes the kernel that it was SIGSYS, and the rest is the worker's word.
 *
 * Process and threads: worker; the handler runs on whatever thread made the call.
 *
 * Invariants, against a worker that is not its own any more
 *  - The call is not executed, whatever the handler does: the filter has refused it.
 *  - The handler cannot be replaced: rt_sigaction of SIGSYS is not in the filter. It can be avoided
 *    (SIGSYS blocked, a stack that takes no frame): then the kernel ends the process, at once or
 *    at the next call that is refused, since the action is the default again from the first on.
 */
#pragma once

#include "shared-mem/layout.h"

/** Before lockdown. 0 or negative errno. */
int refused_call_report(struct status_page *status);
