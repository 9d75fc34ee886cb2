/*
 * api_vm.h: looking at VMs, holding them, ending them, and what their end means to clients. Process
 * and thread: the daemon's only thread.
 */
#pragma once

#include "daemon/api_call.h"

void api_vm_get(struct api_call *call);
void api_vm_list(struct api_call *call);
void api_vm_hold(struct api_call *call);
void api_vm_release(struct api_call *call);
void api_vm_kill(struct api_call *call);

/** From facts.c: whatever waited for this VM is answered. */
void api_vm_on_ended(struct api *api, struct worker *w);
/** The connection is gone: its VMs that were attached die, its imports fail, its waits are dropped.
 */
void api_vm_on_client_gone(struct api *api, uint64_t client);
