/*
 * worker_pause.h: the pause of one VM, from the fact Paused to its answer, and the step that is
 * armed in it. Who wants a pause, and for how long, is pause.c's and world.c's; here is what the VM
 * said, how it will go on, and that both are told to it in the right order: first the answer on the
 * channel, then the word in its command page.
 *
 * Process and thread: the daemon's only thread. Owner: the struct worker, which holds the state.
 *
 * Invariant: of a VM's pauses one at most is open, and their numbers have no gaps.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/state.pb-c.h"
#include "proto/worker.pb-c.h"

struct worker;

/** The numbers of PauseAnswer in api.proto, and of AnswerPause in worker.proto. */
enum pause_answer { PAUSE_CONTINUE = 1, PAUSE_RETURN, PAUSE_THROW, PAUSE_TERMINATE };

/** Of Paused. */
enum pause_reason {
    PAUSE_STEP = 1,
    PAUSE_BREAKPOINT,
    PAUSE_EXCEPTION,
    PAUSE_DEBUGGER_STATEMENT,
    PAUSE_HOOK
};

/** "step", …; static texts. */
const char *worker_pause_reason_name(unsigned reason);

/** Keeps a copy of what it said. -EPROTO: it is not the pause that comes next, or one is open
 * · -ENOMEM. */
int worker_pause_begin(struct worker *w, const Stillpoint__Worker__Paused *said);
/** How it will go on; without this by `continue`. expression may be NULL. -ENOMEM. */
int worker_pause_choose(struct worker *w, enum pause_answer answer, const char *expression);
/** Of a worker that was taken over: the pause that is open, as its record says, unless it has been
 *  answered since. */
void worker_pause_resume(struct worker *w, const Stillpoint__State__Vm *m);
/** Answers the pause, if one is open. */
void worker_pause_answer(struct worker *w);
/** Before its gate opens: answers its pause, and forgets a step that nobody waits for. */
void worker_pause_let_go(struct worker *w);

/** The step that is armed, if one is, is not to end in a pause any more. */
void worker_pause_forget_step(struct worker *w);
