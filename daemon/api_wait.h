/*
 * api_wait.h: waiting until a VM is idle, stopped, active, or has exited. Process and thread: the
 * daemon's only thread.
 */
#pragma once

#include "daemon/api_call.h"

void api_wait(struct api_call *call);

/** Looks at all waits again: after anything was published, and after a worker's kick. */
void api_wait_recheck(struct api *api);
