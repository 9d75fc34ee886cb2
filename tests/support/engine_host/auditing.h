/* auditing.h: the part of engine-host that sets auditors and prints what they report. */
#pragma once

#include "worker/engine.h"

#include <string>

/** True if it is one of ours; see host_main.cc. */
bool auditing_option(const char *text);
/** False: no option asked for any of it. */
bool auditing_wanted();
extern const engine_debug_host_ops AUDITING_HOST_OPS;
/** Sets what is to be set from the start. */
void auditing_start(const engine_ops *ops, engine *vm, int report_fd);
/** The VM is at a safe point. */
void auditing_at_safe_point();
/** Clears everything, and says before and after what is left. */
void auditing_end();
