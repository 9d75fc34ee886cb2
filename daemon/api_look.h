/*
 * api_look.h: requests that look into a VM that stands (frames, scopes, variables, sources,
 * positions, memory, why it pauses), and those that act in it: evaluate, set a variable, write
 * memory. Each is one Inspect to the VM and one answer; what it says is its own word.
 *
 * Process and thread: the daemon's only thread.
 *
 * One evaluation at a time runs in a VM: another is refused until it has been answered. Its limit
 * is the VM's (worker_evaluation.h), so that it ends whoever is gone meanwhile.
 */
#pragma once

#include <stdbool.h>

#include "daemon/api_call.h"

struct worker_inspected;

void api_look_list_frames(struct api_call *call);
void api_look_list_scopes(struct api_call *call);
void api_look_list_variables(struct api_call *call);
void api_look_evaluate(struct api_call *call);
void api_look_set_variable(struct api_call *call);
void api_look_list_sources(struct api_call *call);
void api_look_read_source(struct api_call *call);
void api_look_list_positions(struct api_call *call);
void api_look_access_memory(struct api_call *call);
void api_look_get_pause(struct api_call *call);

/** An answer to a request that was known; `withdrawn` says why, if it was an evaluation that was
 * withdrawn, else NULL. False if it is none of these. */
bool api_look_on_inspected(struct api *api, struct worker *w, const struct worker_inspected *answer,
                           const char *withdrawn);
