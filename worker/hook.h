/*
 * hook.h: one hook of one debugger in this VM: what it wants to see (filter), how often (skip,
 * count, budget), and what is to be captured of it. It owns its texts and its counts; on which
 * auditors it sits is known to auditor.h.
 *
 * Worker, VM thread.
 *
 * Order, for one hit: filter, condition, skip, count, budget. What one of them turns away is not
 * seen by those after it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/worker.pb-c.h"
#include "worker/condition.h"
#include "worker/engine.h"

enum hook_suspend { HOOK_SUSPEND_NONE = 1, HOOK_SUSPEND_VM, HOOK_SUSPEND_WORLD };

struct hook {
    struct hook *next; /**< of this VM, in the order in which they were set */
    uint64_t id, debugger;
    uint64_t order; /**< number of its setting, from 1 */
    enum engine_audit_kind kind;
    enum hook_suspend suspend;
    bool operation; /**< of a step: each operation, not only statements */
    uint64_t realm; /**< 0: every realm */
    bool one_frame;
    uint32_t frame_index; /**< one_frame: where it was on the stack when the hook was set */
    uint64_t frame;       /**< one_frame: its id, once it is set */

    /* The auditors' own. */
    bool watches;           /**< it keeps the list of realms */
    bool waits;             /**< it has new scripts observed */
    bool rebound;           /**< where it is has changed since it was told */
    bool removed;           /**< and only kept for a hit that is being reported */
    const char *bind_error; /**< a static text; NULL: fine */

    char *url, *function;        /**< globs, or NULL */
    uint32_t line_from, line_to; /**< 0: no bound */
    bool wasm, thrown;           /**< only those */
    char *condition;             /**< or NULL */
    bool compares;               /**< `comparison` is that condition */
    struct condition comparison;
    uint64_t skip, count;

    uint64_t per_second, total, capture_ns, capture_bytes; /**< 0: no bound */

    uint32_t stack_depth;
    bool arguments, value;
    char **expressions;
    size_t n_expressions;
    char *log; /**< or NULL */

    char *at_url; /**< of a breakpoint */
    uint32_t at_line, at_column;
    uint64_t at_offset;

    uint64_t passed;  /**< hits that filter and condition let pass */
    uint64_t hits;    /**< that were reported */
    uint64_t dropped; /**< beyond the budget */
    struct {
        uint64_t start_ns; /**< 0: none has begun */
        uint64_t hits, capture_ns, capture_bytes;
    } second; /**< begins with a hit; the budget is whole again when it is over */
};

/** Checks and copies. -EINVAL and *ret_why, a static text; -ENOMEM. */
int hook_new(const Stillpoint__Worker__Hook *m, struct hook **ret, const char **ret_why);
/** Takes NULL; returns NULL. */
struct hook *hook_free(struct hook *h);

/** The cheap part of the filter: granularity, language, first frame, url, function, lines. */
bool hook_matches(const struct hook *h, const struct engine_hit *hit);

/**
 * The condition, if it has one; may run guest code, and so serve requests that remove this hook.
 * *ret_error: what it threw, a text of the engine until its next call; else NULL.
 */
bool hook_condition(const struct hook *h, const struct engine_ops *ops, struct engine *engine,
                    const struct engine_hit *hit, const char **ret_error);

/** That the condition is false can be seen by comparing a variable, which runs no guest code. */
bool hook_fails_comparison(const struct hook *h, const struct engine_ops *ops,
                           struct engine *engine);

enum hook_admission { HOOK_REPORT, HOOK_SKIP, HOOK_DROP };
/** A hit that passed all that: skip, count, budget. */
enum hook_admission hook_admit(struct hook *h, uint64_t now_ns);
/** What the capture of a hit that is reported has cost. */
void hook_captured(struct hook *h, uint64_t ns, uint64_t bytes);

/** Its count or total is used up: it is not to hit again. */
bool hook_is_used_up(const struct hook *h);
/** The budget of this second is. *ret_due_ns: when it is over. */
bool hook_is_spent(const struct hook *h, uint64_t now_ns, uint64_t *ret_due_ns);

/** Whether a breakpoint is meant for this source: its url, the end of it after "/", or a glob. */
bool hook_is_at(const struct hook *h, const char *url);
