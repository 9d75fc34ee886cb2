/*
 * inspect.h: what the daemon asks of a parked VM (Inspect). It owns the requests that wait for the
 * VM to come to its gate, finds who serves each kind, and sends the answers: bounded, in Parts
 * where they are large. Serves itself: a collection, a census, a stack, or only that it be parked.
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
#include "worker/shown.h"

/** What `Inspected.refusal` means; it follows from what a server returns. */
enum inspect_refusal {
    INSPECT_NOT_FOUND = 1,
    INSPECT_INVALID,
    INSPECT_UNSUPPORTED,
    INSPECT_WRONG_STATE,
    INSPECT_CANCELLED,
    INSPECT_LIMIT,
    INSPECT_FAILED,
};

/** What `Inspect.kind` means; the first three are those of api.proto's InspectKind. */
enum inspect_kind {
    INSPECT_GC = 1,
    INSPECT_CENSUS = 2,
    INSPECT_STACK = 3,
    INSPECT_PARK = 4, /**< nothing: the answer says that the VM is parked */
    INSPECT_SET_HOOKS = 5,
    INSPECT_FRAMES = 6, /**< this and what follows: look.h, but the last two */
    INSPECT_SCOPES = 7,
    INSPECT_VARIABLES = 8,
    INSPECT_EVALUATE = 9,
    INSPECT_ASSIGN = 10,
    INSPECT_SOURCES = 11,
    INSPECT_READ_SOURCE = 12,
    INSPECT_POSITIONS = 13,
    INSPECT_MEMORY = 14,
    INSPECT_STEP = 15,
    INSPECT_CHECK_ANSWER = 16,
    INSPECT_KINDS
};

/** An answer while it is made. */
struct inspect_answer {
    Stillpoint__Worker__InspectedBody body;
    struct shown shown; /**< owns what the body points to, and knows how much room is left */
    /** With a failure: why, for people, on one line or not; NULL: what errno says. */
    const char *why;
    char text[128]; /**< for a `why` that is put together */
};

/**
 * Serves one request, with status parked, or, of a VM that has not started, before its program is
 * there. Fills the body; sends nothing. Returns 0 or negative errno, which says for programs why
 * not (the table is in inspect.c): then nothing of the body is sent but `failed_hooks`.
 */
typedef int inspect_serve(void *userdata, const Stillpoint__Worker__Inspect *m,
                          struct inspect_answer *a);

struct inspections {
    const struct engine_ops *ops;
    struct engine *engine;
    struct daemon_channel *channel;
    struct safepoint *safepoint;
    struct inspect_server {
        inspect_serve *serve;
        void *userdata;
    } servers[INSPECT_KINDS];
    Stillpoint__Worker__Inspect *waiting[LIMIT_INSPECTS_QUEUED]; /**< oldest first */
    size_t n;
};

void inspections_init(struct inspections *i, const struct engine_ops *ops, struct engine *engine,
                      struct daemon_channel *channel, struct safepoint *safepoint);
/** Who serves this kind. */
void inspections_on(struct inspections *i, enum inspect_kind kind, inspect_serve *serve,
                    void *userdata);

/**
 * Takes a copy of one request. One that finds no room is answered now, and so is one for hooks
 * while the VM is starting: they have to be there before its first script. Returns 0 or negative
 * errno.
 */
int inspections_push(struct inspections *i, const Stillpoint__Worker__Inspect *m);
/** Serves all that wait, with status parked: takes as long as the engine does. Returns as push. */
int inspections_serve(struct inspections *i);
/** Answers all that wait with this error: the VM has ended. Returns as push. */
int inspections_refuse(struct inspections *i, const char *why);
