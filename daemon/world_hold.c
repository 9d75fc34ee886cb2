#include <errno.h>
#include <stdio.h>

#include "daemon/enforcer.h"
#include "daemon/event_bus.h"
#include "daemon/worker.h"
#include "daemon/world_private.h"

static struct worker_hold *find_hold(struct worker *worker, uint64_t debugger)
{
    for (size_t i = 0; i < worker->n_holds; i++)
        if (worker->holds[i].debugger == debugger)
            return &worker->holds[i];
    return NULL;
}

static void publish_hold(struct world *w, enum event_kind kind, const struct worker *worker,
                         uid_t uid)
{
    struct event e = {.kind = kind,
                      .world = w->name,
                      .epoch = w->stop.epoch,
                      .vm = worker->id,
                      .name = worker->name,
                      .uid = uid};
    event_bus_publish(w->all->bus, &e);
}

int world_hold(struct world *w, struct worker *worker, uint64_t debugger, const char *name,
               uid_t uid)
{
    struct worker_hold *h = find_hold(worker, debugger);
    if (h ? h->count >= LIMIT_HOLD_COUNT : worker->n_holds >= LIMIT_HOLDS_PER_VM)
        return -EMFILE;
    if (!h) {
        h = &worker->holds[worker->n_holds++];
        *h = (struct worker_hold){.debugger = debugger};
        snprintf(h->name, sizeof h->name, "%s", name);
        world_count_ticket(w, debugger, 1);
    }
    h->count++;
    stop_hold(&worker->gate);
    publish_hold(w, EVENT_VM_HELD, worker, uid);
    world_advance(w);
    return 0;
}

int world_release(struct world *w, struct worker *worker, uint64_t debugger, uid_t uid)
{
    struct worker_hold *h = find_hold(worker, debugger);
    if (!h)
        return -EALREADY;
    if (--h->count == 0) {
        *h = worker->holds[--worker->n_holds];
        world_count_ticket(w, debugger, -1);
    }
    /* A runner that was held from before its run had to wait for this: thaw what may run. */
    if (w->mode == WORLD_RUN_ONE && w->run.vm == worker->id && worker->gate.holds == 1)
        enforcer_thaw(w->enforcer, worker);
    stop_release(&worker->gate);
    if (w->mode == WORLD_RUN_ONE && w->run.one && w->run.vm == worker->id &&
        !stop_is_open(&worker->gate) && worker->gate.holds == 0)
        stop_permit(&worker->gate);
    publish_hold(w, EVENT_VM_RELEASED, worker, uid);
    world_look_at_runner(w);
    world_advance(w);
    return 0;
}

unsigned world_release_all(struct world *w, struct worker *worker, uint64_t debugger)
{
    unsigned n = 0;
    while (world_release(w, worker, debugger, 0) == 0)
        n++;
    return n;
}
