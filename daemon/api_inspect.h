/*
 * api_inspect.h: one request to all VMs of a stopped world: collect garbage, count what is on the
 * heap, show the stacks. Each is one ticket: stop, ask, wait for the answers, go on. What a VM
 * answers is its worker's word: bounded by the door, marked as such in the protocol.
 */
#pragma once

#include "daemon/api_call.h"

struct worker_inspected;

void api_inspect_world(struct api_call *call);

/** From facts.c: a VM has answered a request that was known. False if it is none of these. */
bool api_inspect_on_inspected(struct api *api, struct worker *w,
                              const struct worker_inspected *answer);
/** From facts.c: a VM has ended; nobody waits for it any more. */
void api_inspect_on_vm_ended(struct api *api, const struct worker *w);
