/*
 * inspect.h: what the daemon asks of a parked VM (Inspect): a collection, a census, its stack, or
 * only that it be parked. It owns the requests that wait for the VM to come to its gate, and makes
 * their answers: texts that the daemon's door lets pass, bounded, in a memfd where they are large.
 *
 * Worker, VM thread. Each request that was pushed gets exactly one Inspected, but where the VM ends
 * before: Exiting is the last fact.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/limits.h"
#include "worker/daemon_channel.h"
#include "worker/engine.h"
#include "worker/safepoint.h"

/** What `Inspect.kind` means; the first three are those of api.proto's InspectKind. */
enum inspect_kind {
    INSPECT_GC = 1,
    INSPECT_CENSUS = 2,
    INSPECT_STACK = 3,
    INSPECT_PARK = 4, /**< nothing: the answer says that the VM is parked */
};

struct inspections {
    const struct engine_ops *ops;
    struct engine *engine;
    struct daemon_channel *channel;
    struct safepoint *safepoint;
    struct inspection {
        uint64_t request;
        uint32_t kind;
    } waiting[LIMIT_INSPECTS_QUEUED]; /**< oldest first */
    size_t n;
};

void inspections_init(struct inspections *i, const struct engine_ops *ops, struct engine *engine,
                      struct daemon_channel *channel, struct safepoint *safepoint);

/** Takes one request. One that finds no room is answered now. Returns 0 or negative errno. */
int inspections_push(struct inspections *i, const Stillpoint__Worker__Inspect *m);
/** Serves all that wait, with status parked: takes as long as the engine does. Returns as push. */
int inspections_serve(struct inspections *i);
/** Answers all that wait with this error. Returns as push. */
int inspections_refuse(struct inspections *i, const char *why);
