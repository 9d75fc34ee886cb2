/*
 * api_log.h: what a VM writes: to the client that it is attached to, without loss, and from its log
 * to whoever reads that. Process and thread: the daemon's only thread.
 */
#pragma once

#include "daemon/api_call.h"
#include "proto/check_worker.h"

void api_log_read(struct api_call *call);

/** A piece of console output, from facts.c; it is in the log already. */
void api_log_on_console(struct api *api, struct worker *w, unsigned stream,
                        const struct worker_text *data, uint64_t mono_ns);
/** The connection has read what was queued: its VMs may write on. */
void api_log_on_client_drained(struct api *api, uint64_t client);
