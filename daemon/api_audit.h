/*
 * api_audit.h: hooks and auditors, as clients ask for them. Setting and clearing hooks is one
 * operation over one VM or many, in one world or several, all or nothing: it brings those VMs to
 * stand (inside the stop that there is, else by a ticket of its own for each world, in the order of
 * their names), sends the hooks, waits for every answer, and takes back what was set where one
 * fails.
 *
 * Process and thread: the daemon's only thread. An operation moves only from the loop, never from
 * inside the call that brings news for it.
 */
#pragma once

#include "daemon/api_call.h"
#include "daemon/audit.h"

void api_audit_add_hooks(struct api_call *call);
void api_audit_remove_hooks(struct api_call *call);
void api_audit_list_hooks(struct api_call *call);
void api_audit_list_auditors(struct api_call *call);

/* For audit's events. */
void api_audit_on_settled(void *operation, const struct worker *w, unsigned kind,
                          const struct audit_failure *why);
void api_audit_on_orphans(struct api *api);

/** Ends all operations; nobody is answered. The daemon ends. */
void api_audit_done(struct api *api);
