#include "daemon/adoption.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>

#include "daemon/audit.h"
#include "daemon/debugger.h"
#include "daemon/event_bus.h"
#include "daemon/fd_store.h"
#include "daemon/freezer.h"
#include "daemon/pause.h"
#include "daemon/record.h"
#include "daemon/registry.h"
#include "daemon/state.h"
#include "daemon/vm_units.h"
#include "daemon/worker_pause.h"
#include "daemon/worlds.h"

/* Numbers of one generation; those of the next are all larger. */
#define GENERATION_SHIFT 40

struct adoption {
    struct fd_store *store;
    struct state_image image;
    bool has_image;
    unsigned generation;
    struct debuggers *debuggers;
    struct event *grace;
};

static const struct event_exit lost = {.reason = EXIT_REASON_UNKNOWN, .code = 125};

/* ---- what was kept */

/* Of the logs with this prefix that of the latest daemon, and of that the one that was written
 * last: "GENERATION-N". -1: there is none. `below`: only one that is older than that. */
static int newest_log(struct fd_store *store, const char *prefix, uint64_t below,
                      uint64_t *ret_place)
{
    unsigned at = 0, generation, serial;
    const char *name, *best = NULL;
    uint64_t best_place = 0;
    while ((name = fd_store_next(store, prefix, &at)) != NULL) {
        if (sscanf(name + strlen(prefix), "%u-%u", &generation, &serial) != 2)
            continue;
        uint64_t place = (uint64_t)generation << 32 | serial;
        if (place < below && place >= best_place) {
            best = name;
            best_place = place;
        }
    }
    *ret_place = best_place;
    return best ? fd_store_find(store, best) : -1;
}

static int read_state(struct adoption *a)
{
    uint64_t place = UINT64_MAX;
    int fd, r = 0;
    while ((fd = newest_log(a->store, "state-", place, &place)) >= 0) {
        /* Also after one that cannot be read: its names are not to be ours. */
        if (a->generation == 0)
            a->generation = (unsigned)(place >> 32) + 1;
        r = state_read(fd, &a->image);
        if (r == 0) {
            a->has_image = true;
            return 0;
        }
        if (r == -ENOMEM)
            return r;
        record_write(LOG_ERR, MESSAGE_STATE_UNREADABLE, NULL,
                     "a state that was kept cannot be read: %s", strerror(-r));
    }
    return r;
}

struct adoption *adoption_new(struct service *service)
{
    struct adoption *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->store = fd_store_new(service);
    int r = a->store ? read_state(a) : -ENOMEM;
    if (r == -ENOMEM) {
        /* Nothing is dropped: the next daemon may have the memory to read it. */
        free(a);
        return NULL;
    }
    /* Of another version: its VMs end, and nothing of them is left. */
    if (r < 0)
        record_write(LOG_ERR, MESSAGE_STATE_UNREADABLE, NULL,
                     "VMs of the daemon before this one cannot be taken over, and are ended");
    return a;
}

/* By the processes that were kept and not taken. Returns how many. */
static unsigned end_vms(const struct fd_store *store)
{
    unsigned at = 0, n = 0;
    const char *name;
    while ((name = fd_store_next(store, "vm-", &at)) != NULL) {
        size_t len = strlen(name);
        if (len > 6 && strcmp(name + len - 6, "-pidfd") == 0 &&
            pidfd_send_signal(fd_store_find(store, name), SIGKILL, NULL, 0) == 0)
            n++;
    }
    return n;
}

int adoption_refuse(struct service *service)
{
    struct fd_store *store = fd_store_new(service);
    if (!store)
        return -ENOMEM;
    unsigned n = end_vms(store);
    if (n > 0)
        record_write(LOG_NOTICE, MESSAGE_NOT_TAKEN_OVER, NULL,
                     "%u VM%s of the daemon before this one %s ended: keep-vms is no", n,
                     n == 1 ? "" : "s", n == 1 ? "is" : "are");
    fd_store_free(store);
    return 0;
}

struct adoption *adoption_free(struct adoption *a)
{
    if (!a)
        return NULL;
    fd_store_free(a->store);
    if (a->has_image)
        state_image_done(&a->image);
    if (a->grace)
        event_free(a->grace);
    free(a);
    return NULL;
}

unsigned adoption_generation(const struct adoption *a)
{
    return a->generation;
}

uint64_t adoption_first_number(const struct adoption *a)
{
    return (uint64_t)a->generation << GENERATION_SHIFT;
}

void adoption_read_events(struct adoption *a, struct event_bus *bus)
{
    uint64_t place;
    /* Of another version they are not for us. */
    int fd = a->has_image ? newest_log(a->store, "events-", UINT64_MAX, &place) : -1;
    int r = fd >= 0 ? event_bus_read(bus, fd) : 0;
    if (r < 0)
        record_write(LOG_ERR, MESSAGE_STATE_UNREADABLE, NULL,
                     "events that were kept cannot be read: %s", strerror(-r));
}

/* ---- making */

static int adopt_debuggers(const struct adoption *a, const struct adoption_owners *o)
{
    int r = 0;
    for (size_t i = 0; i < a->image.n_debuggers && r == 0; i++)
        r = debuggers_adopt(o->debuggers, a->image.debuggers[i]);
    return r;
}

static int adopt_worlds(const struct adoption *a, const struct adoption_owners *o)
{
    int r = 0;
    for (size_t i = 0; i < a->image.n_worlds && r == 0; i++) {
        const Stillpoint__State__World *m = a->image.worlds[i];
        int fd = fd_store_take(a->store, "world-%s", m->name);
        if (fd < 0) {
            record_write(LOG_ERR, MESSAGE_NOT_TAKEN_OVER, RECORD_WORLD(m->name),
                         "world %s was not kept", m->name);
            continue;
        }
        r = worlds_adopt(o->worlds, m, fd);
        if (r < 0 && r != -ENOMEM) {
            record_write(LOG_ERR, MESSAGE_PART_LOST, RECORD_WORLD(m->name),
                         "the page of world %s that was kept is none: %s", m->name, strerror(-r));
            /* The one that it gets now is kept under the same name. */
            fd_store_drop("world-%s", m->name);
            r = 0;
        }
    }
    return r;
}

/* Whoever waits for it is told; it has no record any more once this has been put down. */
static void publish_lost(const struct adoption_owners *o, const Stillpoint__State__Vm *m,
                         const char *why)
{
    const struct event e = {.kind = EVENT_VM_ENDED,
                            .vm = m->id,
                            .name = m->name,
                            .world = m->world,
                            .uid = m->uid,
                            .exit = lost,
                            .detail = why};
    event_bus_publish(o->bus, &e);
}

static int adopt_queued(const struct adoption *a, struct worker *w)
{
    int r = 0;
    for (size_t i = 0; i < a->image.n_queued && r == 0; i++)
        if (a->image.queued[i]->vm == w->id)
            r = worker_adopt_queued(w, a->image.queued[i], a->store);
    return r;
}

static const char *why_lost(int r)
{
    switch (r) {
    case -ENOENT:
        return "its daemon ended while it started";
    case -ENOMEDIUM:
        return "its world's page was not kept";
    default:
        return "it cannot be taken over";
    }
}

/* It is shown as it ended: in the record, or now. */
static int adopt_exited(const struct adoption *a, const struct adoption_owners *o,
                        const Stillpoint__State__Vm *m)
{
    int r = registry_adopt_exited(o->registry, m, a->store);
    return r == -EEXIST ? 0 : r;
}

static int adopt_lost(const struct adoption *a, const struct adoption_owners *o,
                      const Stillpoint__State__Vm *m, const char *why)
{
    struct timespec now;
    Stillpoint__State__Vm ended = *m;
    clock_gettime(CLOCK_REALTIME, &now);
    ended.exit_reason = (uint32_t)lost.reason;
    ended.exit_code = lost.code;
    ended.exit_detail = (char *)(uintptr_t)why;
    ended.ended_us = (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
    return adopt_exited(a, o, &ended);
}

static int adopt_vms(const struct adoption *a, const struct adoption_owners *o)
{
    size_t n = 0, lived = 0;
    for (size_t i = 0; i < a->image.n_vms; i++) {
        const Stillpoint__State__Vm *m = a->image.vms[i];
        if (m->phase == WORKER_GONE) {
            int gone = adopt_exited(a, o, m);
            if (gone < 0)
                return gone;
            continue;
        }
        lived++;
        struct world *world = worlds_get(o->worlds, m->world, false);
        struct worker *w;
        /* A page that is not the one its worker has could not stop it. */
        int r = world && world_is_kept(world)
                    ? registry_adopt(o->registry, world_stop_half(world), m, a->store,
                                     adoption_first_number(a), &w)
                    : -ENOMEDIUM;
        if (r == -ENOMEM)
            return r;
        n += r == 0;
        if (r == 0) {
            worker_pause_resume(w, m);
            if ((r = adopt_queued(a, w)) < 0)
                return r;
            continue;
        }
        record_write(
            LOG_NOTICE, MESSAGE_NOT_TAKEN_OVER,
            &(const struct record_about){
                .vm = m->id, .vm_name = m->name, .world = m->world, .has_uid = true, .uid = m->uid},
            "vm %llu (%s) is not taken over: %s", (unsigned long long)m->id, m->name,
            r == -ENOENT      ? "it had not started yet"
            : r == -ENOMEDIUM ? why_lost(r)
                              : strerror(-r));
        worker_keep_no_more(m->id);
        publish_lost(o, m, why_lost(r));
        if ((r = adopt_lost(a, o, m, why_lost(r))) < 0)
            return r;
    }
    if (lived > 0)
        record_write(LOG_INFO, MESSAGE_TAKEN_OVER, NULL, "took over %zu of %zu VMs", n, lived);
    return 0;
}

/* Hits that cannot be read are lost, and nothing else is. */
static int adopt_hits(const struct adoption *a, const struct adoption_owners *o,
                      const Stillpoint__State__Debugger *m)
{
    char prefix[64];
    uint64_t place;
    snprintf(prefix, sizeof prefix, "hits-%llu-", (unsigned long long)m->id);
    int fd = newest_log(a->store, prefix, UINT64_MAX, &place);
    int r = fd >= 0 ? audit_adopt_hits(o->audit, m->id, fd) : 0;
    if (r == 0 || r == -ENOMEM)
        return r;
    record_write(LOG_ERR, MESSAGE_STATE_UNREADABLE, NULL,
                 "hits of debugger %s that were kept cannot be read: %s", m->name, strerror(-r));
    return 0;
}

/* One that cannot be read is lost, and no other is. It may be left in VMs, whose hits of it are
 * those of a hook that was removed. */
static int adopt_hook(const struct adoption_owners *o, const Stillpoint__State__Hook *m)
{
    int r = audit_adopt_hook(o->audit, m);
    if (r == 0 || r == -ENOMEM)
        return r;
    record_write(LOG_ERR, MESSAGE_PART_LOST, NULL, "hook %llu that was kept cannot be read: %s",
                 (unsigned long long)m->id, strerror(-r));
    return 0;
}

static int adopt_hooks(const struct adoption *a, const struct adoption_owners *o)
{
    int r = 0;
    for (size_t i = 0; i < a->image.n_debuggers && r == 0; i++)
        r = adopt_hits(a, o, a->image.debuggers[i]);
    for (size_t i = 0; i < a->image.n_hooks && r == 0; i++)
        r = adopt_hook(o, a->image.hooks[i]);
    if (r == 0)
        audit_adopted(o->audit, a->image.next_hook);
    return r;
}

/* What is kept elsewhere than with the state says by itself how far a worker was heard. */
static uint64_t kept_fact(const struct adoption_owners *o, uint64_t vm)
{
    uint64_t hit = audit_kept_fact(o->audit, vm), event = event_bus_kept_fact(o->bus, vm);
    return hit > event ? hit : event;
}

int adoption_make(struct adoption *a, const struct adoption_owners *o)
{
    if (!a->has_image)
        return 0;
    /* A worker that the daemon before kept ready may have had that, and be dying in its cgroup. */
    registry_set_next_id(o->registry, a->image.next_vm + 1);
    worlds_set_next_ticket(o->worlds, a->image.next_ticket);
    int r = adopt_debuggers(a, o);
    if (r == 0)
        r = adopt_worlds(a, o);
    if (r == 0)
        r = adopt_vms(a, o);
    if (r == 0)
        r = adopt_hooks(a, o);
    for (size_t i = 0; i < a->image.n_worlds && r == 0; i++) {
        struct world *w = worlds_get(o->worlds, a->image.worlds[i]->name, false);
        if (w)
            world_adopted(w, a->image.worlds[i]);
    }
    if (r < 0)
        return r;
    debuggers_adopted(o->debuggers, a->image.next_debugger);
    /* Before anything is written anew: that would not say it any more. */
    for (struct worker *w = registry_after(o->registry, 0); w;
         w = registry_after(o->registry, w->id))
        if (w->phase != WORKER_GONE)
            worker_adopt_heard(w, kept_fact(o, w->id));
    return 0;
}

void adoption_make_units(const struct adoption *a, struct vm_units *units)
{
    for (size_t i = 0; a->has_image && i < a->image.n_units; i++)
        vm_units_adopt(units, a->image.units[i]);
}

static bool is_known(void *userdata, uint64_t vm)
{
    const struct worker *w = registry_find(userdata, vm);
    return w && w->phase != WORKER_GONE;
}

static void end_unknown(struct adoption *a, const struct adoption_owners *o)
{
    end_vms(a->store);
    freezer_end_unknown(o->freezer, is_known, o->registry);
    a->store = fd_store_free(a->store);
}

int adoption_keep(struct adoption *a, const struct adoption_owners *o)
{
    int r = 0;
    /* Worlds of ours have the names of theirs. */
    if (!a->has_image)
        end_unknown(a, o);
    for (struct world *w = worlds_after(o->worlds, NULL); w && r == 0;
         w = worlds_after(o->worlds, world_name(w)))
        r = world_keep(w);
    if (r == 0)
        r = event_bus_keep(o->bus, a->generation);
    audit_keep(o->audit, a->generation);
    return r < 0 ? r : state_keep(o->state, a->generation);
}

/* ---- going on */

static void on_grace_over(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct adoption *a = userdata;
    debuggers_end_grace(a->debuggers);
}

void adoption_begin(struct adoption *a, const struct adoption_owners *o)
{
    if (a->store)
        end_unknown(a, o);
    for (struct worker *w = registry_after(o->registry, 0); w;
         w = registry_after(o->registry, w->id)) {
        if (w->phase == WORKER_GONE)
            continue;
        bool asks = w->open_imports > 0;
        worker_adopted(w, o->lifeline_fd);
        if (asks)
            (void)state_put_vm(o->state, w);
        pauses_adopted(o->pauses, w);
        if (w->attach)
            worker_kill(w, EXIT_REASON_KILLED, "its client went away");
    }
    char name[LIMIT_NAME_BYTES + 1] = "";
    struct world *w;
    while ((w = worlds_after(o->worlds, name)) != NULL) {
        snprintf(name, sizeof name, "%s", world_name(w));
        world_begin(w);
    }
    const struct timeval patience = {.tv_sec = o->patience_ms / 1000,
                                     .tv_usec = (suseconds_t)(o->patience_ms % 1000) * 1000};
    a->debuggers = o->debuggers;
    a->grace = event_new(o->base, -1, 0, on_grace_over, a);
    if (a->grace)
        event_add(a->grace, &patience);
}
