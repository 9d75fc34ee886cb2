/*
 * api_vm.h: the requests about VMs, and what completes them when a fact comes up. One handler a
 * request; the table is in api.c. Process and thread: the daemon's only thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/api_call.h"
#include "proto/check_worker.h"

void api_vm_run(struct api_call *call);
void api_vm_add_file(struct api_call *call);
void api_vm_start(struct api_call *call);
void api_vm_answer_import(struct api_call *call);
void api_vm_answer_stdin(struct api_call *call);
void api_vm_kill(struct api_call *call);
void api_vm_call_function(struct api_call *call);
void api_vm_send_message(struct api_call *call);
void api_vm_list(struct api_call *call);
void api_vm_get(struct api_call *call);
void api_vm_read_log(struct api_call *call);
void api_vm_wait(struct api_call *call);
void api_vm_hold(struct api_call *call);
void api_vm_release(struct api_call *call);

/* Facts, from facts.c. */
void api_vm_on_loaded(struct api *api, struct worker *w);
void api_vm_on_ready(struct api *api, struct worker *w);
void api_vm_on_console(struct api *api, struct worker *w, unsigned stream,
                       const struct worker_text *data, uint64_t mono_ns);
void api_vm_on_import_wanted(struct api *api, struct worker *w, uint64_t import_id,
                             const char *path);
/** False if nobody waits for this call. */
bool api_vm_on_call_done(struct api *api, struct worker *w, uint64_t call_id, bool ok,
                         bool no_such_function, const struct worker_text *text);
void api_vm_on_stdin_wanted(struct api *api, struct worker *w, uint32_t max_bytes);
void api_vm_on_kicked(struct api *api, struct worker *w);
void api_vm_on_ended(struct api *api, struct worker *w);

/** The connection is gone: its VMs that were attached die, its imports fail, its waits are dropped.
 */
void api_vm_on_client_gone(struct api *api, uint64_t client);
/** The connection has read what was queued: its VMs may write on. */
void api_vm_on_client_drained(struct api *api, uint64_t client);
/** Looks at all waits again; after anything that was published. */
void api_vm_recheck_waits(struct api *api);
