/*
 * api_talk.h: calls of a VM's functions, and messages to it. Process and thread: the daemon's only
 * thread.
 */
#pragma once

#include <stdbool.h>

#include "daemon/api_call.h"
#include "proto/check_worker.h"

void api_talk_call_function(struct api_call *call);
void api_talk_send_message(struct api_call *call);

/** The end of a call, from facts.c. False if it was never made. */
bool api_talk_on_call_done(struct api *api, struct worker *w, uint64_t call_id, bool ok,
                           bool no_such_function, const struct worker_text *text);
