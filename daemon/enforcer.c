#include "daemon/enforcer.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/record.h"
#include "daemon/worker.h"

/* The first look comes after this, and each costs at most a tenth of the time between two. */
#define LOOK_NS 100000u
#define LOOK_SHARE 10u

struct enforcer {
    struct stop_world *world;
    struct event *look;
    bool news; /* something failed inside a call from the world: to be told from the loop */
    const struct enforcer_events *events;
    void *userdata;
};

static void look_after(struct enforcer *e, uint64_t ns)
{
    struct timeval soon = {.tv_sec = (time_t)(ns / 1000000000u),
                           .tv_usec = (suseconds_t)(ns % 1000000000u / 1000u)};
    if (!event_pending(e->look, EV_TIMEOUT, NULL))
        event_add(e->look, &soon);
}

static void start_freeze(struct enforcer *e, struct worker *w)
{
    int r = freezer_freeze(&w->cell, w->pidfd);
    w->freeze.state = r < 0 ? WORKER_FREEZE_FAILED : WORKER_FREEZING;
    w->freeze.since_ns = shm_now_ns();
    if (r == 0)
        return;
    e->news = true;
    record_write(LOG_ERR, MESSAGE_VM_NOT_FROZEN, RECORD_VM(w), "vm %llu (%s): cannot be frozen: %s",
                 (unsigned long long)w->id, w->name, strerror(-r));
}

/* Looks at the run time of a main thread that has to be on its way to its sleep; on a machine with
 * much to do that can take long. True when it may be frozen: it sleeps, or there is no more to wait
 * for. What is accounted to it from then on is the kernel's work on the freeze, and on a virtual
 * machine whatever its host does meanwhile: that is no lie, be it long. */
static bool watch(struct worker *w)
{
    struct worker_freeze *f = &w->freeze;
    uint64_t runtime, age = shm_now_ns() - f->since_ns;
    bool asleep;
    /* It has gone, or /proc is not ours: nothing can be said. */
    if (freezer_runtime_ns(w->pid, &runtime, &asleep) < 0 || asleep)
        return true;
    /* The account of a thread that runs may not have what it ran before it arrived; after a tick
     * every one has that. */
    if (!f->based)
        f->base_ns = runtime;
    f->based = f->based || age >= ENFORCER_TICK_NS;
    if (runtime <= f->base_ns + ENFORCER_LIE_NS)
        return age >= ENFORCER_SETTLE_NS;
    /* What came on its channel meanwhile it had to read. */
    f->lied = f->lied || w->commands_sent == f->commands_sent;
    return true;
}

/* One step of one VM. Returns whether something has changed that others wait for. */
static bool step(struct enforcer *e, struct worker *w)
{
    struct worker_freeze *f = &w->freeze;
    if (f->state == WORKER_SETTLING && watch(w))
        start_freeze(e, w);
    if (f->state != WORKER_FREEZING)
        return false;
    if (freezer_is_frozen(&w->cell, w->pid) == 1) {
        f->state = WORKER_FROZEN;
        stop_excuse(&w->gate, true);
        e->events->on_frozen(e->userdata, w);
        return true;
    }
    if (shm_now_ns() - f->since_ns < ENFORCER_GIVE_UP_NS)
        return false;
    f->state = WORKER_FREEZE_FAILED;
    record_write(LOG_ERR, MESSAGE_VM_NOT_FROZEN, RECORD_VM(w),
                 "vm %llu (%s): the kernel does not confirm that it is frozen",
                 (unsigned long long)w->id, w->name);
    return true;
}

static bool under_way(const struct worker *w)
{
    return w->freeze.state == WORKER_SETTLING || w->freeze.state == WORKER_FREEZING;
}

static void on_look(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct enforcer *e = userdata;
    uint64_t before = shm_now_ns();
    bool changed = e->news, more = false;
    e->news = false;
    for (size_t i = 0; i < e->world->n_gates; i++) {
        struct worker *w = e->world->gates[i]->userdata;
        if (!under_way(w))
            continue;
        changed |= step(e, w);
        more |= under_way(w);
    }
    if (more) {
        uint64_t cost = shm_now_ns() - before;
        look_after(e, cost * LOOK_SHARE > LOOK_NS ? cost * LOOK_SHARE : LOOK_NS);
    }
    if (changed)
        e->events->on_changed(e->userdata);
}

struct enforcer *enforcer_new(struct event_base *base, struct stop_world *world,
                              const struct enforcer_events *events, void *userdata)
{
    struct enforcer *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    *e = (struct enforcer){.world = world, .events = events, .userdata = userdata};
    e->look = event_new(base, -1, 0, on_look, e);
    if (!e->look) {
        free(e);
        return NULL;
    }
    return e;
}

struct enforcer *enforcer_free(struct enforcer *e)
{
    if (e) {
        event_free(e->look);
        free(e);
    }
    return NULL;
}

/* Whether its thread has nothing to do but sleep once it has arrived. A VM that is being born
 * compiles, and comes to its gate a little later; and one that owes an answer works for it behind
 * its gate, also when nobody waits for that any more. To come to the gate is no such work. */
static bool has_to_sleep(const struct worker *w)
{
    return w->phase == WORKER_ADMITTED && stop_state(&w->gate) != SHM_STARTING &&
           w->n_inspects == (w->park_request != 0);
}

void enforcer_freeze(struct enforcer *e, struct worker *w, bool judge)
{
    if (w->pidfd < 0 || w->freeze.state != WORKER_THAWED)
        return;
    judge = judge && has_to_sleep(w);
    w->freeze = (struct worker_freeze){.judge = judge,
                                       .lied = w->freeze.lied,
                                       .state = WORKER_SETTLING,
                                       .since_ns = shm_now_ns(),
                                       .commands_sent = w->commands_sent};
    if (!judge || watch(w))
        start_freeze(e, w);
    look_after(e, 0);
}

void enforcer_thaw(struct enforcer *e, struct worker *w)
{
    (void)e;
    enum worker_freeze_state was = w->freeze.state;
    w->freeze = (struct worker_freeze){.lied = w->freeze.lied};
    stop_excuse(&w->gate, false);
    if (was != WORKER_THAWED && was != WORKER_SETTLING)
        freezer_thaw(&w->cell, w->pidfd);
}

void enforcer_thaw_all(struct enforcer *e)
{
    for (size_t i = 0; i < e->world->n_gates; i++) {
        struct worker *w = e->world->gates[i]->userdata;
        enforcer_thaw(e, w);
        w->freeze.lied = false; /* the next stop judges anew */
    }
}

void enforcer_forget(struct enforcer *e, struct worker *w)
{
    (void)e;
    w->freeze = (struct worker_freeze){.state = WORKER_THAWED};
}
