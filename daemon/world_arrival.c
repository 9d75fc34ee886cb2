#include <event2/event.h>
#include <stdlib.h>

#include "base/urgent.h"
#include "daemon/enforcer.h"
#include "daemon/event_bus.h"
#include "daemon/record.h"
#include "daemon/worker.h"
#include "daemon/world_private.h"

static bool satisfied(const struct ticket *t, struct worker *worker)
{
    if (worker->freeze.state == WORKER_FROZEN)
        return true;
    enum stop_how how = stop_how_now(&worker->gate);
    return how == STOP_ACKED || (how == STOP_HELD && !(t && t->request.require_idle));
}

static bool all_satisfied(const struct world *w, const struct ticket *t)
{
    if (w->stop.n_missing == 0 && !(t && t->request.require_idle))
        return true;
    for (size_t i = 0; i < w->stop.n_gates; i++)
        if (!satisfied(t, world_worker_of(w->stop.gates[i])))
            return false;
    return true;
}

/* Idle and blocked VMs come to their gates only when asked to. */
static void wake_held(struct world *w)
{
    for (size_t i = 0; i < w->stop.n_gates; i++) {
        struct worker *worker = world_worker_of(w->stop.gates[i]);
        if (stop_how_now(&worker->gate) != STOP_HELD)
            continue;
        worker_ask_to_park(worker);
        stop_kick_one(&worker->gate);
    }
}

/* True when nobody is left who could be frozen and is not. */
static bool all_frozen(struct world *w)
{
    bool done = true;
    for (size_t i = 0; i < w->stop.n_gates; i++) {
        struct worker *worker = world_worker_of(w->stop.gates[i]);
        if (worker->pidfd < 0 || worker->serving || worker->freeze.state == WORKER_FREEZE_FAILED)
            continue;
        if (worker->phase != WORKER_ADMITTED)
            continue; /* being born: it is let come as far as its gate, and frozen then */
        enforcer_freeze(w->enforcer, worker, true);
        done &= worker->freeze.state == WORKER_FROZEN;
    }
    return done;
}

/* Everything that this ticket asks of the VMs. Sets in motion what it still waits for. */
_urgent_ bool world_arrival_fulfilled(struct world *w, const struct ticket *t)
{
    bool past = t && (t == w->control ? w->late : t->missed);
    if (t && t->request.require_idle && !past)
        wake_held(w);
    if (!all_satisfied(w, t))
        return false;
    return !(t && t->request.enforce) || all_frozen(w);
}

_urgent_ void world_arrival_forget_dead(struct world *w)
{
    while (!STAILQ_EMPTY(&w->dead)) {
        struct stop_dead *d = STAILQ_FIRST(&w->dead);
        STAILQ_REMOVE_HEAD(&w->dead, link);
        free(d);
    }
}

/* Another ticket takes over a stop whose deadline has passed: whoever was frozen for being late has
 * the time of this one. In a stopped world not those that only the kernel keeps from running. */
void world_arrival_forgive(struct world *w)
{
    w->late = false;
    for (size_t i = 0; i < w->stop.n_gates; i++) {
        struct worker *worker = world_worker_of(w->stop.gates[i]);
        bool may = w->mode == WORLD_STOPPING || stop_is_still(&worker->gate);
        if (may && !worker->freeze.judge && worker->freeze.state != WORKER_THAWED)
            enforcer_thaw(w->enforcer, worker);
    }
}

/* The timer completed a stop that a kick should have: if that kick does not even come within a
 * second, it was lost, and that is a bug somewhere. */
void world_arrival_suspect(struct world *w, const struct stop_gate *kicked)
{
    if (!kicked)
        return;
    w->suspect_vm = world_worker_of(kicked)->id;
    world_arm(w->suspicion, 1000000);
}

void world_arrival_on_suspicion(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct world *w = userdata;
    w->late_scans++;
    record_write(LOG_WARNING, MESSAGE_VM_LOST_WAKE,
                 &(const struct record_about){.vm = w->suspect_vm, .world = w->name},
                 "world %s: vm %llu arrived and did not answer its kick", w->name,
                 (unsigned long long)w->suspect_vm);
}

void world_arrival_clear_suspicion(struct world *w, const struct worker *worker)
{
    if (w->suspect_vm != worker->id)
        return;
    w->suspect_vm = 0;
    event_del(w->suspicion);
}

/* The controller wants everybody frozen, and an operation that did not has interrupted its run-one,
 * which ended meanwhile. Those that are being born are let come as far as their gate. */
void world_arrival_freeze(struct world *w)
{
    for (size_t i = 0; i < w->stop.n_gates && w->control->request.enforce; i++)
        if (world_worker_of(w->stop.gates[i])->phase == WORKER_ADMITTED)
            enforcer_freeze(w->enforcer, world_worker_of(w->stop.gates[i]), true);
}

/* Those who are missing are named, and frozen or killed. */
void world_arrival_miss(struct world *w, const struct ticket *t, bool kill_late)
{
    for (size_t i = 0; i < w->stop.n_gates; i++) {
        struct worker *worker = world_worker_of(w->stop.gates[i]);
        if (satisfied(t, worker)) {
            /* The others come no later for it. */
            if (t->request.enforce)
                enforcer_freeze(w->enforcer, worker, true);
            continue;
        }
        world_publish(w, EVENT_VM_MISSED, t, worker,
                      kill_late ? "did not arrive by the deadline: killed"
                                : "did not arrive by the deadline");
        if (kill_late)
            worker_kill(worker, EXIT_REASON_KILLED, "it did not stop by the deadline");
        else
            enforcer_freeze(w->enforcer, worker, false);
    }
}

void world_arrival_note_death(struct world *w, struct worker *worker)
{
    struct stop_dead *d =
        w->mode == WORLD_STOPPING && w->stop_ns != 0 ? calloc(1, sizeof *d) : NULL;
    if (!d)
        return;
    d->arrival = stop_report_arrival(worker, w->stop_ns);
    d->arrival.how = ARRIVAL_DEAD;
    if (d->arrival.elapsed_us == 0)
        d->arrival.elapsed_us = (shm_now_ns() - w->stop_ns) / 1000;
    STAILQ_INSERT_TAIL(&w->dead, d, link);
}
