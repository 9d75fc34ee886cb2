/*
 * hook_message.h: hooks and auditors as the API shows them. A message borrows from what it shows.
 *
 * Process and thread: the daemon's only thread.
 */
#pragma once

#include "daemon/api_call.h"
#include "daemon/audit.h"

/** Places of a breakpoint, in all VMs, that are shown. */
#define HOOK_MESSAGE_PLACES 256u
#define HOOK_MESSAGE_TARGET_BYTES (3 * LIMIT_NAME_BYTES + 32u)

struct hook_message {
    Stillpoint__Api__Hook m;
    Stillpoint__Api__HookFilter filter;
    Stillpoint__Api__HookBudget budget;
    Stillpoint__Api__HookCapture capture;
    Stillpoint__Api__BreakpointAt at;
    char target[HOOK_MESSAGE_TARGET_BYTES];
    Stillpoint__Api__BoundAt *places, **place_at; /**< NULL without memory, or where none is */
};

/** "new-global", …; static texts. */
const char *hook_message_kind(unsigned kind);
/** `brief`: only what it is and what it has seen. */
void hook_message_fill(struct hook_message *m, const struct api *api, const struct audit_hook *h,
                       bool brief);
void hook_message_done(struct hook_message *m);

struct auditor_message {
    Stillpoint__Api__Auditor m;
    Stillpoint__Api__AuditorServes *serves, **serve_at; /**< NULL without memory */
};

void hook_message_fill_auditor(struct auditor_message *m, const struct api *api,
                               const struct audit_auditor *auditor);
void hook_message_done_auditor(struct auditor_message *m);
