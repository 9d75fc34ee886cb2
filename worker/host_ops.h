/*
 * host_ops.h: what an engine may call: the parts of host/, and the auditors, which see its hits.
 * `userdata` of each is the struct host. Worker, VM thread, but for `wake`.
 */
#pragma once

#include "worker/engine.h"

extern const struct engine_host_ops host_ops;
