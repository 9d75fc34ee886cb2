#include "daemon/audit.h"

#include <assert.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

#include "base/text.h"
#include "daemon/audit_private.h"
#include "daemon/debugger.h"
#include "daemon/record.h"
#include "daemon/registry.h"
#include "daemon/worlds.h"

typedef Stillpoint__Worker__Hook WireHook;

static uint64_t realtime_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

/* ---- look-ups */

struct audit_hook *audit_hook(struct audit *a, uint64_t id)
{
    struct audit_hook *h;
    HASH_FIND(hh, a->hooks, &id, sizeof id, h);
    return h;
}

struct audit_debugger *audit_owner(struct audit *a, uint64_t debugger)
{
    struct audit_debugger *d;
    HASH_FIND(hh, a->owners, &debugger, sizeof debugger, d);
    return d;
}

uint64_t audit_next_hook(const struct audit *a)
{
    return a->next_hook;
}

const struct audit_hook *audit_find(struct audit *a, uint64_t id)
{
    return audit_hook(a, id);
}

const struct audit_hook *audit_after(struct audit *a, uint64_t after)
{
    /* Usually `after` is still there; if it is gone meanwhile, walk. */
    struct audit_hook *h = after ? audit_hook(a, after) : a->hooks;
    if (after && h)
        h = h->hh.next;
    else if (after)
        for (h = a->hooks; h && h->id <= after; h = h->hh.next)
            ;
    return h;
}

const struct audit_hook *audit_of_debugger(struct audit *a, uint64_t debugger,
                                           const struct audit_hook *after)
{
    const struct audit_debugger *d = after ? NULL : audit_owner(a, debugger);
    return after ? after->next : d ? d->hooks : NULL;
}

bool audit_matches(const struct audit_where *where, const struct worker *w)
{
    if (w->phase == WORKER_GONE)
        return false;
    if (where->target == AUDIT_VM)
        return where->vm == w->id;
    if (where->of_owner && where->owner != w->uid)
        return false;
    return (!where->world[0] || strcmp(where->world, w->world) == 0) &&
           (!where->engine[0] || strcmp(where->engine, w->engine) == 0) &&
           (where->target == AUDIT_WORLD || fnmatch(where->name, w->name, 0) == 0);
}

bool audit_is_spent(const struct audit_hook *h)
{
    const struct audit_part *part = h->parts;
    while (part && part->spent)
        part = part->next_of_hook;
    return h->parts && !part;
}

void audit_holdings(struct audit *a, uint64_t debugger, struct audit_holdings *ret)
{
    const struct audit_debugger *d = audit_owner(a, debugger);
    *ret = (struct audit_holdings){0};
    if (d)
        *ret = (struct audit_holdings){.n_hooks = d->n_hooks, .ring = &d->ring};
}

bool audit_want_hits(struct audit *a, uint64_t debugger)
{
    struct audit_debugger *d = audit_owner(a, debugger);
    if (d)
        d->ring.wanted = true;
    return d != NULL;
}

/* ---- making */

static void keep_ring(const struct audit *a, struct audit_debugger *d)
{
    int r = a->kept ? hit_ring_keep(&d->ring, d->id, a->generation) : 0;
    if (r < 0)
        record_write(LOG_ERR, MESSAGE_STATE_NOT_KEPT, NULL,
                     "the hits of debugger %llu cannot be kept for the next daemon: %s",
                     (unsigned long long)d->id, strerror(-r));
}

static struct audit_debugger *get_owner(struct audit *a, uint64_t debugger)
{
    struct audit_debugger *d = audit_owner(a, debugger);
    if (d)
        return d;
    d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->id = debugger;
    hit_ring_init(&d->ring);
    d->ring.wanted = true; /* somebody may wait for the first */
    keep_ring(a, d);
    HASH_ADD(hh, a->owners, id, sizeof d->id, d);
    if (d->hh.tbl)
        return d;
    free(d);
    return NULL;
}

static WireHook *copy_wire(const WireHook *wire)
{
    size_t len = stillpoint__worker__hook__get_packed_size(wire);
    uint8_t *packed = malloc(len + 1);
    if (!packed)
        return NULL;
    stillpoint__worker__hook__pack(wire, packed);
    WireHook *copy = stillpoint__worker__hook__unpack(NULL, len, packed);
    free(packed);
    return copy;
}

static void free_hook(struct audit_hook *h)
{
    if (!h)
        return;
    if (h->wire)
        stillpoint__worker__hook__free_unpacked(h->wire, NULL);
    free(h->note);
    free(h);
}

static struct audit_hook *make_hook(const struct audit_where *where, const WireHook *wire,
                                    const char *note)
{
    struct audit_hook *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->where = *where;
    h->wire = copy_wire(wire);
    h->note = note ? strdup(note) : NULL;
    h->since_us = realtime_us();
    if (h->wire && (h->note || !note))
        return h;
    free_hook(h);
    return NULL;
}

/* The world that a hook is for lives as long as that. */
static void keep_world(struct audit *a, const struct audit_hook *h, int change)
{
    struct world *w = h->where.world[0] && h->where.target != AUDIT_VM
                          ? worlds_get(a->worlds, h->where.world, false)
                          : NULL;
    if (!w)
        return;
    world_count_hooks(w, change);
    if (change < 0)
        a->untidy = true;
}

/* Those that are about to load their program; who has not come as far gets it when it does. */
static size_t send_to_unloaded(struct audit *a, struct audit_hook *h, void *waiter)
{
    size_t n = 0;
    for (struct worker *w = registry_after(a->registry, 0); w;
         w = registry_after(a->registry, w->id)) {
        if (w->phase != WORKER_SETUP || !w->sandboxed || !audit_matches(&h->where, w))
            continue;
        if (audit_set(a, h->id, w, waiter) == 0)
            n++;
    }
    return n;
}

/* `v`: the VM that it is for alone, or NULL. */
static int link_hook(struct audit *a, struct audit_debugger *d, struct audit_vm *v,
                     struct audit_hook *h)
{
    h->owner = d;
    HASH_ADD(hh, a->hooks, id, sizeof h->id, h);
    if (!h->hh.tbl)
        return -ENOMEM;
    DL_APPEND(d->hooks, h);
    d->n_hooks++;
    if (v)
        DL_APPEND2(v->own, h, prev_own, next_own);
    else
        DL_APPEND2(a->wide, h, prev_wide, next_wide);
    keep_world(a, h, 1);
    return 0;
}

int audit_add(struct audit *a, uint64_t debugger, const struct audit_where *where,
              const WireHook *wire, bool weak, const char *note, void *waiter, uint64_t *ret_hook,
              size_t *ret_waits)
{
    struct audit_debugger *d = get_owner(a, debugger);
    if (d && d->n_hooks >= LIMIT_HOOKS_PER_DEBUGGER)
        return -EMFILE;
    struct audit_vm *v = where->target == AUDIT_VM ? audit_vm_get(a, where->vm) : NULL;
    struct audit_hook *h =
        d && (v || where->target != AUDIT_VM) ? make_hook(where, wire, note) : NULL;
    if (!h)
        return -ENOMEM;
    h->id = a->next_hook++;
    h->debugger = debugger;
    h->wire->has_hook = h->wire->has_debugger = 1;
    h->wire->hook = h->id;
    h->wire->debugger = debugger;
    h->weak = weak;
    h->state = AUDIT_INSTALLING;
    if (link_hook(a, d, v, h) < 0) {
        free_hook(h);
        return -ENOMEM;
    }
    if (!weak) {
        h->holds = true;
        debuggers_count_holding(a->debuggers, debugger, 1);
    }
    *ret_hook = h->id;
    *ret_waits = send_to_unloaded(a, h, waiter);
    return 0;
}

int audit_set(struct audit *a, uint64_t hook, struct worker *w, void *waiter)
{
    struct audit_hook *h = audit_hook(a, hook);
    struct audit_vm *v = h ? audit_vm_get(a, w->id) : NULL;
    if (!v)
        return h ? -ENOMEM : -EALREADY;
    return audit_vm_add(v, h, waiter);
}

void audit_commit(struct audit *a, uint64_t hook)
{
    struct audit_hook *h = audit_hook(a, hook);
    if (!h)
        return;
    assert(h->state == AUDIT_INSTALLING);
    h->state = AUDIT_SET;
    a->events.on_hook_set(a->events.userdata, h);
}

/* ---- from one daemon to the next */

void audit_keep(struct audit *a, unsigned generation)
{
    a->kept = true;
    a->generation = generation;
    for (struct audit_debugger *d = a->owners; d; d = d->hh.next)
        keep_ring(a, d);
}

static void note_hit(void *userdata, const Stillpoint__Api__Hit *m, uint64_t fact)
{
    struct audit *a = userdata;
    struct audit_vm *v = registry_find(a->registry, m->vm) ? audit_vm_get(a, m->vm) : NULL;
    if (v && v->kept_fact < fact)
        v->kept_fact = fact;
}

int audit_adopt_hits(struct audit *a, uint64_t debugger, int fd)
{
    struct audit_debugger *d = get_owner(a, debugger);
    return d ? hit_ring_read(&d->ring, fd, note_hit, a) : -ENOMEM;
}

uint64_t audit_kept_fact(struct audit *a, uint64_t vm)
{
    const struct audit_vm *v = audit_vm_find(a, vm);
    return v ? v->kept_fact : 0;
}

static void fill_where(struct audit_where *to, const Stillpoint__State__Hook *m)
{
    *to = (struct audit_where){.target = (enum audit_target)m->target,
                               .of_owner = m->has_owner_uid,
                               .owner = m->owner_uid,
                               .vm = m->vm};
    text_copy(to->name, sizeof to->name, m->name ? m->name : "");
    text_copy(to->world, sizeof to->world, m->world ? m->world : "");
    text_copy(to->engine, sizeof to->engine, m->engine ? m->engine : "");
}

static int adopt_hook(struct audit *a, const Stillpoint__State__Hook *m, const WireHook *wire)
{
    struct audit_where where;
    fill_where(&where, m);
    bool alone = where.target == AUDIT_VM;
    /* Its VM has ended meanwhile, and it with that. */
    if (alone && !registry_find(a->registry, where.vm))
        return 0;
    struct audit_debugger *d = get_owner(a, m->debugger);
    struct audit_vm *v = alone ? audit_vm_get(a, where.vm) : NULL;
    struct audit_hook *h = d && (v || !alone) ? make_hook(&where, wire, m->note) : NULL;
    if (!h)
        return -ENOMEM;
    h->id = m->id;
    h->debugger = m->debugger;
    h->weak = m->weak;
    h->since_us = m->since_us;
    h->state = AUDIT_SET;
    if (link_hook(a, d, v, h) < 0) {
        free_hook(h);
        return -ENOMEM;
    }
    int r = 0;
    for (struct worker *w = registry_after(a->registry, 0); w && r == 0;
         w = registry_after(a->registry, w->id))
        if (audit_matches(&h->where, w))
            r = (v = audit_vm_get(a, w->id)) ? audit_vm_adopt(a, v, h, m->spent) : -ENOMEM;
    h->holds = !m->weak && !m->spent;
    if (h->holds)
        debuggers_count_holding(a->debuggers, m->debugger, 1);
    return r;
}

int audit_adopt_hook(struct audit *a, const Stillpoint__State__Hook *m)
{
    errno = 0;
    WireHook *wire = stillpoint__worker__hook__unpack(NULL, m->wire.len, m->wire.data);
    if (!wire)
        return errno == ENOMEM ? -ENOMEM : -EPROTO;
    int r = adopt_hook(a, m, wire);
    stillpoint__worker__hook__free_unpacked(wire, NULL);
    return r;
}

/* A hit says how many there were before it. */
static void count_kept(struct audit *a, const struct audit_debugger *d)
{
    uint64_t cursor = 0;
    const struct hit_record *record;
    while ((record = hit_ring_find(&d->ring, &cursor)) != NULL) {
        Stillpoint__Api__Hit *m = hit_record_read(record);
        if (m)
            audit_vm_count(a, m->vm, m->hook, m->hits);
        if (m)
            stillpoint__api__hit__free_unpacked(m, NULL);
        cursor++;
    }
}

void audit_adopted(struct audit *a, uint64_t next_hook)
{
    a->next_hook = a->adopted_below = next_hook;
    for (const struct audit_debugger *d = a->owners; d; d = d->hh.next)
        count_kept(a, d);
}

/* ---- ending */

void audit_hook_release(struct audit *a, struct audit_hook *h)
{
    if (!h->holds)
        return;
    h->holds = false;
    debuggers_count_holding(a->debuggers, h->debugger, -1);
}

size_t audit_remove(struct audit *a, uint64_t hook, void *waiter)
{
    struct audit_hook *h = audit_hook(a, hook);
    struct audit_part *part, *next;
    size_t n = 0;
    if (!h || h->state == AUDIT_REMOVING)
        return 0;
    h->state = AUDIT_REMOVING;
    for (part = h->parts; part; part = next) {
        next = part->next_of_hook;
        n += audit_vm_take_out(a, part, waiter);
    }
    return n;
}

static void unlink_hook(struct audit *a, struct audit_hook *h)
{
    HASH_DEL(a->hooks, h);
    DL_DELETE(h->owner->hooks, h);
    h->owner->n_hooks--;
    if (h->where.target == AUDIT_VM) {
        struct audit_vm *v = audit_vm_find(a, h->where.vm);
        assert(v);
        DL_DELETE2(v->own, h, prev_own, next_own);
    } else {
        DL_DELETE2(a->wide, h, prev_wide, next_wide);
    }
}

size_t audit_drop(struct audit *a, uint64_t hook, void *waiter)
{
    struct audit_hook *h = audit_hook(a, hook);
    size_t n = 0;
    if (!h)
        return 0;
    bool orphans = false;
    uint64_t debugger = h->debugger;
    bool held = h->holds, kept = h->state != AUDIT_INSTALLING;
    unlink_hook(a, h);
    while (h->parts) {
        struct audit_part *part = h->parts;
        DL_DELETE2(h->parts, part, prev_of_hook, next_of_hook);
        h->n_parts--;
        part->hook = NULL;
        const struct audit_vm *v = part->vm;
        n += audit_vm_take_out(a, part, waiter);
        orphans |= v->n_orphans > 0 && !v->late;
    }
    keep_world(a, h, -1);
    free_hook(h);
    if (kept)
        a->events.on_hook_gone(a->events.userdata, hook);
    if (orphans || a->untidy)
        a->events.on_orphans(a->events.userdata);
    /* Last: with it its debugger may go, and what that has left. */
    if (held)
        debuggers_count_holding(a->debuggers, debugger, -1);
    return waiter ? n : 0;
}

void audit_clear(struct audit *a, uint64_t debugger)
{
    struct audit_debugger *d;
    while ((d = audit_owner(a, debugger)) != NULL && d->hooks)
        audit_drop(a, d->hooks->id, NULL);
}

static void free_owner(struct audit *a, struct audit_debugger *d)
{
    HASH_DEL(a->owners, d);
    hit_ring_done(&d->ring);
    free(d);
}

void audit_on_debugger_gone(struct audit *a, uint64_t debugger)
{
    audit_clear(a, debugger);
    struct audit_debugger *d = audit_owner(a, debugger);
    a->events.on_hits(a->events.userdata, debugger);
    if (d)
        free_owner(a, d);
}

void audit_forget(struct audit *a, const void *waiter)
{
    for (struct audit_vm *v = a->vms; v; v = v->hh.next)
        for (struct audit_part *part = v->parts; part; part = part->next)
            if (part->waiter == waiter)
                part->waiter = NULL;
}

struct worker *audit_give_up(struct audit *a, const void *waiter)
{
    struct worker *late = NULL;
    for (struct audit_vm *v = a->vms; v; v = v->hh.next) {
        struct worker *w = registry_find(a->registry, v->id);
        for (struct audit_part *part = v->parts; w && part; part = part->next) {
            if (part->waiter != waiter)
                continue;
            part->waiter = NULL;
            v->late = true;
            worker_give_up(w, part->request);
            late = w;
        }
    }
    return late;
}

bool audit_is_late(struct audit *a, uint64_t vm)
{
    const struct audit_vm *v = audit_vm_find(a, vm);
    return v && v->late;
}

/* ---- what is left over */

bool audit_has_orphans(struct audit *a, uint64_t vm)
{
    const struct audit_vm *v = audit_vm_find(a, vm);
    return v && !v->late && v->n_orphans > 0;
}

void audit_flush(struct audit *a)
{
    for (struct audit_vm *v = a->vms; v; v = v->hh.next)
        if (v->unsent)
            audit_vm_pump(a, v);
}

size_t audit_orphans(struct audit *a, void *waiter)
{
    size_t n = 0;
    for (struct audit_vm *v = a->vms; v; v = v->hh.next) {
        struct audit_part *part, *next;
        for (part = v->n_orphans > 0 && !v->late ? v->parts : NULL; part; part = next) {
            next = part->next;
            if (part->state == AUDIT_PART_ORPHAN)
                n += audit_vm_take_out(a, part, waiter);
        }
    }
    return n;
}

void audit_tidy_worlds(struct audit *a)
{
    if (!a->untidy)
        return;
    a->untidy = false;
    char name[LIMIT_NAME_BYTES + 1] = "";
    struct world *w;
    while ((w = worlds_after(a->worlds, name)) != NULL) {
        snprintf(name, sizeof name, "%s", world_name(w));
        world_drop_if_unused(w);
    }
}

/* ---- all of it */

struct audit *audit_new(struct registry *registry, struct worlds *worlds,
                        struct debuggers *debuggers, const struct audit_events *events)
{
    struct audit *a = calloc(1, sizeof *a);
    if (a)
        *a = (struct audit){.registry = registry,
                            .worlds = worlds,
                            .debuggers = debuggers,
                            .events = *events,
                            .next_hook = 1,
                            .next_auditor = 1};
    return a;
}

struct audit *audit_free(struct audit *a)
{
    if (!a)
        return NULL;
    /* No upcall: those whom they go to are being taken down, too. */
    while (a->vms)
        audit_vm_free(a, a->vms);
    while (a->hooks) {
        struct audit_hook *h = a->hooks;
        HASH_DEL(a->hooks, h);
        free_hook(h);
    }
    while (a->owners)
        free_owner(a, a->owners);
    free(a);
    return NULL;
}
