/* Pauses that VMs make by themselves, and evaluations, as far as gates and tickets are about them.
 */
#include <errno.h>

#include "daemon/worker.h"
#include "daemon/worker_evaluation.h"
#include "daemon/worker_pause.h"
#include "daemon/world_private.h"

static bool is_wanted(const struct world *w, const struct worker *worker)
{
    if (worker->pause.in_stop)
        return true;
    for (size_t i = 0; i < worker->n_holds; i++)
        if (worker->holds[i].pause)
            return true;
    const struct ticket *t;
    TAILQ_FOREACH(t, &w->pending.list, link)
    if (t->request.target == worker->id && t->request.pause != 0)
        return true;
    return false;
}

void world_settle_pause(struct world *w, struct worker *worker)
{
    if (worker && worker->pause.number != 0 && !is_wanted(w, worker))
        worker_pause_answer(worker);
}

/* The member that pauses and for which this ticket is, or NULL. */
struct worker *world_paused_for(const struct world *w, const struct ticket *t)
{
    struct worker *worker = t->request.pause != 0 ? world_member(w, t->request.target) : NULL;
    return worker && worker->pause.number == t->request.pause ? worker : NULL;
}

/* Those that the present controller has been shown. */
void world_end_shown_pauses(struct world *w)
{
    for (size_t i = 0; i < w->stop.n_gates; i++) {
        if (!w->stop.slots[i].attended)
            continue;
        struct worker *worker = world_worker_of(w->stop.gates[i]);
        worker->pause.in_stop = false;
        world_settle_pause(w, worker);
    }
}

/* The VM runs, or is gone, and with it what it has paused for. */
void world_end_pause_tickets(struct world *w, uint64_t vm)
{
    struct ticket *t, *next;
    for (t = TAILQ_FIRST(&w->pending.list); t; t = next) {
        next = TAILQ_NEXT(t, link);
        if (t->request.pause != 0 && t->request.target == vm)
            world_end_ticket(w, t, TICKET_CANCELLED);
    }
}

/* Whether this VM, or with NULL none that would run in an open world, evaluates. Who does is told
 * to end that; the answer brings us back. */
bool world_is_evaluating(struct world *w, const struct worker *only)
{
    bool any = false;
    for (size_t i = 0; i < w->stop.n_gates; i++) {
        if (!w->stop.slots[i].attended)
            continue;
        struct worker *worker = world_worker_of(w->stop.gates[i]);
        if (worker->evaluation.number == 0 || (only ? worker != only : worker->n_holds > 0))
            continue;
        worker_evaluation_withdraw(worker, "was ended, since the VM goes on");
        any = true;
    }
    return any;
}

/* Somebody stops the world: what runs in VMs that are held, by leave of who holds them, ends. */
void world_end_evaluations(struct world *w)
{
    for (size_t i = 0; i < w->stop.n_gates; i++)
        if (w->stop.slots[i].attended)
            worker_evaluation_withdraw(world_worker_of(w->stop.gates[i]),
                                       "was ended, since the world is stopped");
}

/* Before a VM's gate opens. */
void world_let_go(struct world *w, struct worker *worker)
{
    if (!stop_slot(&worker->gate)->attended)
        return;
    world_end_pause_tickets(w, worker->id);
    worker_pause_let_go(worker);
    stop_slot(&worker->gate)->attended =
        worker->pause.number != 0 || worker->step.number != 0 || worker->evaluation.number != 0;
}

void world_let_all_go(struct world *w)
{
    for (size_t i = 0; i < w->stop.n_gates; i++)
        if (w->stop.slots[i].attended && world_worker_of(w->stop.gates[i])->n_holds == 0)
            world_let_go(w, world_worker_of(w->stop.gates[i]));
}

int world_end_run(struct world *w, struct worker *runner, const char *why)
{
    if (!w->run.one || w->run.vm != runner->id)
        return -EALREADY;
    runner->pause.in_stop = runner->pause.number != 0;
    world_end_run_one(w, why);
    world_advance(w);
    return 0;
}

/* Of which VM a debugger wants to hear first: one that pauses by itself, by what it says of that;
 * then WebAssembly; then any other. */
unsigned world_rank(const struct worker *worker)
{
    static const unsigned ranks[] = {
        [PAUSE_HOOK] = 2,       [PAUSE_STEP] = 3,      [PAUSE_DEBUGGER_STATEMENT] = 4,
        [PAUSE_BREAKPOINT] = 5, [PAUSE_EXCEPTION] = 6,
    };
    if (worker->pause.number != 0)
        return ranks[worker->pause.said->reason];
    return worker_is_wasm(worker) ? 1 : 0;
}
