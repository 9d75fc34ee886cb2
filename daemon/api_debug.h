/*
 * api_debug.h: the requests of those who control a stopped world: who runs, about whom one talks,
 * who is the controller, and debuggers themselves. One handler a request; the table is in api.c.
 */
#pragma once

#include "daemon/api_call.h"
#include "proto/check_worker.h"

void api_debug_continue(struct api_call *call);
void api_debug_set_target(struct api_call *call);
void api_debug_take_lease(struct api_call *call);
void api_debug_hand_over_lease(struct api_call *call);
void api_debug_open_debugger(struct api_call *call);
void api_debug_close_debugger(struct api_call *call);
void api_debug_list_debuggers(struct api_call *call);

/** What a VM says of an answer to its pause. False if this answers nothing of ours. */
bool api_debug_on_inspected(struct api *api, struct worker *w,
                            const struct worker_inspected *answer);
