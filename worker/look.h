/*
 * look.h: a debugger's view into a VM that stands: frames, scopes, variables, sources, positions
 * and memory, and what changes it: evaluations, assignments, getters. Serves those kinds of Inspect
 * over engine_debug.h. Owns nothing but what it was bound to.
 *
 * Worker, VM thread, with status parked. Guest code runs only between safepoint_evaluate(), with
 * the number that the request names, and safepoint_evaluated().
 */
#pragma once

#include "worker/engine.h"
#include "worker/inspect.h"
#include "worker/safepoint.h"

struct look {
    const struct engine_debug_ops *debug; /**< NULL: the engine has none, and all is refused */
    struct engine *engine;
    struct safepoint *safepoint;
};

/** Binds it, and serves its kinds from now on. */
void look_init(struct look *l, const struct engine_ops *ops, struct engine *engine,
               struct safepoint *safepoint, struct inspections *inspections);
