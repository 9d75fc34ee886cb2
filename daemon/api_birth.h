/*
 * api_birth.h: the requests that bring a program into a new VM: its source, its files, its imports
 * and its input; and what completes them when a fact comes up. Process and thread: the daemon's
 * only thread.
 */
#pragma once

#include <stddef.h>

#include "daemon/api_call.h"

struct vm_units_item;

void api_birth_run(struct api_call *call);
void api_birth_add_file(struct api_call *call);
void api_birth_start(struct api_call *call);
void api_birth_answer_import(struct api_call *call);
void api_birth_answer_stdin(struct api_call *call);

/** The VM of a unit: for vm_units_config.start; `userdata` is the api. */
int api_birth_unit(void *userdata, const struct vm_units_item *unit, uint64_t *ret_vm, char *why,
                   size_t bytes);
/** Answers with the VM when its program has been loaded. */
void api_birth_await(const struct api_call *call, struct worker *w);

/** Its sandbox stands: hooks and program can go to it. */
void api_birth_on_sandboxed(struct api *api, struct worker *w);
/** Sends the program, when its sandbox stands, all files have come and no hook is on its way. */
void api_birth_load(struct api *api, struct worker *w);

/* Facts, from facts.c. */
void api_birth_on_loaded(struct api *api, struct worker *w);
void api_birth_on_ready(struct api *api, struct worker *w);
void api_birth_on_import_wanted(struct api *api, struct worker *w, uint64_t import_id,
                                const char *path);
void api_birth_on_stdin_wanted(struct api *api, struct worker *w, uint32_t max_bytes);
