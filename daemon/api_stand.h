/*
 * api_stand.h: what requests about a VM that stands have in common: that it does, who may change
 * something in it, and what it is told to say of why not.
 *
 * Process and thread: the daemon's only thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/api_call.h"
#include "proto/check_worker.h"

struct world;

/** On whose behalf something in a VM is changed. */
struct api_stand_right {
    uint64_t debugger;
    bool by_hold; /**< it holds that VM, in a world that runs; else it has the lease */
};

/** The VM that is named, if it has come to a safe point behind its closed gate; else an error was
 * sent. */
struct worker *api_stand_find_vm(const struct api_call *call, const struct api_vm_ref *ref);
/** Whether the caller may act for the controller of this VM's world, or for one who holds the VM;
 * else an error was sent. */
bool api_stand_may_change(const struct api_call *call, const struct worker *w,
                          struct api_stand_right *ret);
/** A debugger that holds this VM and for which the caller may act. */
bool api_stand_holder(const struct api_call *call, const struct worker *w, uint64_t *ret_debugger);
/** As an error: why an Inspect could not be sent. */
void api_stand_fail_sent(const struct api_call *call, const struct worker *w, int r);
/** Nobody waits for this answer any more. Returns the VM, or NULL if it has ended. */
struct worker *api_stand_give_up(struct api *api, uint64_t vm, uint64_t request);
/** The code of an error for why a VM refused something. */
int api_stand_error_code(enum worker_refusal refusal);
