#include "daemon/worker_pause.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/worker.h"

const char *worker_pause_reason_name(unsigned reason)
{
    static const char *const names[] = {
        [PAUSE_STEP] = "step",           [PAUSE_BREAKPOINT] = "breakpoint",
        [PAUSE_EXCEPTION] = "exception", [PAUSE_DEBUGGER_STATEMENT] = "debugger-statement",
        [PAUSE_HOOK] = "hook",
    };
    return reason >= PAUSE_STEP && reason <= PAUSE_HOOK ? names[reason] : "";
}

static Stillpoint__Worker__Paused *copy_of(const Stillpoint__Worker__Paused *said)
{
    size_t bytes = stillpoint__worker__paused__get_packed_size(said);
    uint8_t *packed = malloc(bytes + 1);
    if (!packed)
        return NULL;
    stillpoint__worker__paused__pack(said, packed);
    Stillpoint__Worker__Paused *copy = stillpoint__worker__paused__unpack(NULL, bytes, packed);
    free(packed);
    return copy;
}

int worker_pause_begin(struct worker *w, const Stillpoint__Worker__Paused *said)
{
    if (w->pause.number != 0 || said->pause != w->last_pause + 1)
        return -EPROTO;
    Stillpoint__Worker__Paused *copy = copy_of(said);
    if (!copy)
        return -ENOMEM;
    w->last_pause = said->pause;
    stop_slot(&w->gate)->attended = true;
    w->pause = (struct worker_pause){.number = said->pause, .said = copy, .answer = PAUSE_CONTINUE};
    return 0;
}

int worker_pause_choose(struct worker *w, enum pause_answer answer, const char *expression)
{
    char *copy = expression ? strdup(expression) : NULL;
    if (expression && !copy)
        return -ENOMEM;
    free(w->pause.expression);
    w->pause.answer = answer;
    w->pause.expression = copy;
    return 0;
}

static void drop_pause(struct worker *w)
{
    if (w->pause.said)
        stillpoint__worker__paused__free_unpacked(w->pause.said, NULL);
    free(w->pause.expression);
    if (w->pause.expiry)
        event_free(w->pause.expiry);
    w->pause = (struct worker_pause){0};
    for (size_t i = 0; i < w->n_holds; i++)
        w->holds[i].pause = false;
}

void worker_pause_resume(struct worker *w, const Stillpoint__State__Vm *m)
{
    uint64_t answered = stop_slot(&w->gate)->answered;
    w->last_pause = m->pause > answered ? m->pause : answered;
    if (m->pause <= answered || !m->has_paused)
        return;
    w->pause.said = stillpoint__worker__paused__unpack(NULL, m->paused.len, m->paused.data);
    if (!w->pause.said)
        return;
    w->pause.number = m->pause;
    w->pause.answer = PAUSE_CONTINUE;
    w->pause.in_stop = m->pause_in_stop;
    w->pause.stopper = m->pause_stopper;
    for (; w->pause.n_holders < m->n_pause_holders && w->pause.n_holders < LIMIT_HOLDS_PER_VM;
         w->pause.n_holders++)
        w->pause.holders[w->pause.n_holders] = m->pause_holders[w->pause.n_holders];
    stop_slot(&w->gate)->attended = true;
}

void worker_pause_answer(struct worker *w)
{
    uint64_t number = w->pause.number;
    if (number == 0)
        return;
    log_debug("vm %llu (%s): pause %llu is answered", (unsigned long long)w->id, w->name,
              (unsigned long long)number);
    /* One that does not read, or is gone, could not go on by it: its end is noticed elsewhere. */
    int r = worker_send_answer(w, number, w->pause.answer, w->pause.expression);
    if (r == -ENOBUFS || r == -EMSGSIZE || r == -ENOMEM)
        worker_kill(w, EXIT_REASON_KILLED, "the answer to its pause cannot be sent");
    drop_pause(w);
    stop_answer(&w->gate, number);
}

void worker_pause_forget_step(struct worker *w)
{
    uint64_t request;
    Stillpoint__Worker__Inspect inspect = STILLPOINT__WORKER__INSPECT__INIT;
    Stillpoint__Worker__Step step = STILLPOINT__WORKER__STEP__INIT;
    if (w->step.number == 0)
        return;
    step.has_step = step.has_how = 1;
    step.step = w->step.number;
    inspect.has_kind = 1;
    inspect.kind = WORKER_INSPECT_STEP;
    inspect.step = &step;
    w->step = (struct worker_step){0};
    /* Should it not reach the VM, then its end is a pause that nobody wants, and is answered. */
    (void)worker_send_inspect(w, &inspect, &request);
}

void worker_pause_let_go(struct worker *w)
{
    if (w->step.number != 0 && !w->step.awaited)
        worker_pause_forget_step(w);
    worker_pause_answer(w);
}
