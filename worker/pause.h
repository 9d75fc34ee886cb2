/*
 * pause.h: a VM that pauses by itself, and how it goes on. It owns the answer of the last pause.
 * The number of a pause is the gate's; while it is open, requests to look are served as in a stop.
 *
 * Worker, VM thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "worker/engine.h"
#include "worker/host/host.h"

/** Why, from the least specific on; the numbers are those of the wire. */
enum pause_reason {
    PAUSE_STEP = 1,
    PAUSE_BREAKPOINT = 2,
    PAUSE_EXCEPTION = 3,
    PAUSE_DEBUGGER_STATEMENT = 4,
    PAUSE_HOOK = 5,
};

/** What the place of a pause allows beside going on. */
enum pause_choices {
    PAUSE_MAY_TERMINATE = 1 << 0,
    PAUSE_MAY_THROW = 1 << 1,
    PAUSE_MAY_RETURN = 1 << 2,
};

struct pauses {
    struct host *host;
    uint64_t open;    /**< the pause that waits for its answer, 0: none */
    unsigned choices; /**< of that: enum pause_choices */
    struct engine_answer answer;
    char *expression;
};

void pauses_init(struct pauses *p, struct host *host);
void pauses_done(struct pauses *p);

/** The most specific of two reasons; 0 is none. */
enum pause_reason pause_more_specific(enum pause_reason a, enum pause_reason b);

/** What a hit allows; 0 for none: before the program's first guest code. */
unsigned pause_choices_at(const struct engine_hit *hit);
/**
 * Parks until the daemon has answered, and gives its answer; the expression lives until the next
 * call. `m` is complete but for its number.
 */
void pause_here(struct pauses *p, Stillpoint__Worker__Paused *m, unsigned choices,
                struct engine_answer *ret_answer);

/** Whether the open pause can be answered so. 0, or negative errno and *ret_why, as servers of
 *  Inspect return it. */
int pause_check_answer(const struct pauses *p, const struct engine_ops *ops, struct engine *engine,
                       const Stillpoint__Worker__AnswerPause *m, const char **ret_why);

/** A command. One for a pause that is not open is ignored. 0, -EPROTO, -ENOMEM. */
int pause_answered(struct pauses *p, const Stillpoint__Worker__AnswerPause *m);
