#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdio.h>

#include "daemon/enforcer.h"
#include "daemon/event_bus.h"
#include "daemon/record.h"
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

static int hold(struct world *w, struct worker *worker, uint64_t debugger, const char *name,
                uid_t uid, bool pause)
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
    h->pause |= pause;
    stop_hold(&worker->gate);
    publish_hold(w, EVENT_VM_HELD, worker, uid);
    world_advance(w);
    return 0;
}

int world_hold(struct world *w, struct worker *worker, uint64_t debugger, const char *name,
               uid_t uid)
{
    return hold(w, worker, debugger, name, uid, false);
}

/* Whoever holds it for its pause has had his time, as the holder of a lease has. */
static void on_pause_expiry(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct worker *worker = userdata;
    struct world *w = (struct world *)((char *)worker->gate.world - offsetof(struct world, stop));
    record_write(LOG_NOTICE, MESSAGE_HOLD_EXPIRED, RECORD_VM(worker),
                 "vm %llu (%s): the time of its pause has run out; letting it go",
                 (unsigned long long)worker->id, worker->name);
    size_t i = 0;
    while (i < worker->n_holds)
        if (!worker->holds[i].pause)
            i++;
        else
            world_release_all(w, worker, worker->holds[i].debugger); /* the last takes its place */
}

int world_hold_paused(struct world *w, struct worker *worker, uint64_t debugger, const char *name,
                      uid_t uid)
{
    struct event **expiry = &worker->pause.expiry;
    if (!*expiry)
        *expiry = event_new(w->all->base, -1, 0, on_pause_expiry, worker);
    if (!*expiry)
        return -ENOMEM;
    world_arm(*expiry, DEFAULT_HOLD_US);
    return hold(w, worker, debugger, name, uid, true);
}

/* Whether this VM's gate opens when it is not held any more. */
static bool would_run(const struct world *w, const struct worker *worker)
{
    return w->mode == WORLD_RUN_ALL ||
           (w->mode == WORLD_RUN_ONE && w->run.one && w->run.vm == worker->id);
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
    world_settle_pause(w, worker);
    if (worker->n_holds == 0 && would_run(w, worker)) {
        world_let_go(w, worker);
        (void)world_is_evaluating(w, worker);
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
