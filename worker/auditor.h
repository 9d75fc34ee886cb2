/*
 * auditor.h: the auditors of this VM: they stand between what the engine reports and the hooks of
 * debuggers. It owns the hooks, what they are installed at (audit_table.h) and the step that is
 * armed (stepper.h).
 *
 * Worker, VM thread. All of it may be called where the VM stands or is in a host callback.
 *
 * Invariants
 *  - Setting hooks is all or nothing: after a failure no instrumentation, no list and no fact has
 *    changed.
 *  - The daemon is told of each change of an auditor's hooks before what follows from it.
 *  - Hits that are sent are numbered from 1 without gaps. The hooks of an auditor are served in the
 *    order in which they were set. One that is removed before its Hit was sent has none.
 *  - At most one pause for all that a hit wants; none while an evaluation runs. A VM that is
 * loading cannot pause, since its gate opens only when it is loaded: it does before its first guest
 * code.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/audit_table.h"
#include "worker/engine.h"
#include "worker/host/host.h"
#include "worker/inspect.h"
#include "worker/pause.h"
#include "worker/stepper.h"

struct auditors {
    const struct engine_ops *ops;
    struct engine *engine;
    struct host *host;
    struct pauses *pauses;
    struct audit_table table;
    struct stepper stepper;
    struct hook *hooks, **end_of_hooks;
    size_t n_hooks;
    uint64_t last_order;
    unsigned depth;       /**< hits that are being reported, one inside another */
    struct hook *removed; /**< while one of them may still look at them */
    uint64_t vm_seq;
    size_t n_shown; /**< auditors that the daemon has been told of */
    /** What is to pause before the first guest code: hits of a VM that was loading. */
    Stillpoint__Worker__Paused *at_start;
    bool step_waits; /**< a step has ended where a breakpoint is, whose hit comes next */
    struct audit_gone {
        struct audit_gone *next;
        enum engine_referent referent;
        uint64_t id;
    } * gone, **end_of_gone; /**< told in the middle of an op: they end after it */
    uint64_t due_ns;         /**< CLOCK_MONOTONIC: the first budget is whole again */
};

void auditors_init(struct auditors *a, const struct engine_ops *ops, struct engine *engine,
                   struct host *host, struct pauses *pauses);
void auditors_done(struct auditors *a);

/** Serves the requests for hooks and steps from now on. */
void auditors_serve(struct auditors *a, struct inspections *i);

/** The VM has passed its gate for the first time: pauses, if what was loaded wants that. */
void auditors_start(struct auditors *a);

/** As in engine_debug_host_ops. */
int auditors_on_hit(struct auditors *a, const struct engine_hit *hit,
                    struct engine_answer *ret_answer);
bool auditors_want_breakpoint(struct auditors *a, uint64_t script, uint64_t offset);
void auditors_on_gone(struct auditors *a, enum engine_referent referent, uint64_t id);
void auditors_on_realm(struct auditors *a, uint64_t realm);

/** Arms what was spent and is due: at each host call and after each gate. */
void auditors_look_at_budgets(struct auditors *a);
