#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "daemon/audit_private.h"
#include "daemon/debugger.h"
#include "daemon/hit_message.h"
#include "daemon/record.h"
#include "daemon/registry.h"
#include "proto/unpack.h"

/* Hooks in one message: with what is around them they fit in a packet. */
#define MESSAGE_BYTES (LIMIT_PACKET_BYTES - 4096u)
_Static_assert(LIMIT_HOOK_BYTES + 4096u < MESSAGE_BYTES, "one hook fits");

typedef Stillpoint__Worker__Hook WireHook;
typedef Stillpoint__Worker__SetHooks SetHooks;

static const char no_such_hook[] = "names a hook that it does not have";

/* ---- look-ups */

struct audit_vm *audit_vm_find(struct audit *a, uint64_t id)
{
    struct audit_vm *v;
    HASH_FIND(hh, a->vms, &id, sizeof id, v);
    return v;
}

struct audit_vm *audit_vm_get(struct audit *a, uint64_t id)
{
    struct audit_vm *v = audit_vm_find(a, id);
    if (v || !(v = calloc(1, sizeof *v)))
        return v;
    v->id = id;
    HASH_ADD(hh, a->vms, id, sizeof v->id, v);
    if (v->hh.tbl)
        return v;
    free(v);
    return NULL;
}

static struct audit_part *find_part(const struct audit_vm *v, uint64_t hook)
{
    struct audit_part *part = v ? v->parts : NULL;
    while (part && part->hook_id != hook)
        part = part->next;
    return part;
}

const struct audit_part *audit_find_part(struct audit *a, uint64_t vm, uint64_t hook)
{
    return find_part(audit_vm_find(a, vm), hook);
}

const struct audit_part *audit_of_vm(struct audit *a, uint64_t vm, const struct audit_part *after)
{
    const struct audit_vm *v = after ? NULL : audit_vm_find(a, vm);
    return after ? after->next : v ? v->parts : NULL;
}

uint64_t audit_part_vm(const struct audit_part *part)
{
    return part->vm->id;
}

/* ---- parts */

/* Those that its worker has, or may have. */
static bool is_sent(const struct audit_part *part)
{
    return part->state != AUDIT_PART_FAILED;
}

/* Shown as the VM's own number of hooks. */
static void count_there(struct audit *a, const struct audit_vm *v)
{
    struct worker *w = registry_find(a->registry, v->id);
    const struct audit_part *part;
    unsigned n = 0;
    if (!w)
        return;
    DL_FOREACH(v->parts, part)
    n += part->hook && part->state == AUDIT_PART_THERE;
    w->n_hooks = n;
}

static void set_state(struct audit_part *part, enum audit_part_state to)
{
    static const unsigned legal[] = {
        [AUDIT_PART_WAITING] = 1 << AUDIT_PART_SETTING | 1 << AUDIT_PART_FAILED,
        [AUDIT_PART_SETTING] = 1 << AUDIT_PART_WAITING | 1 << AUDIT_PART_THERE |
                               1 << AUDIT_PART_FAILED | 1 << AUDIT_PART_ORPHAN |
                               1 << AUDIT_PART_LEAVING,
        [AUDIT_PART_THERE] = 1 << AUDIT_PART_ORPHAN | 1 << AUDIT_PART_LEAVING,
        [AUDIT_PART_FAILED] = 0,
        [AUDIT_PART_ORPHAN] = 1 << AUDIT_PART_LEAVING,
        [AUDIT_PART_LEAVING] = 1 << AUDIT_PART_REMOVING,
        [AUDIT_PART_REMOVING] = 0,
    };
    assert(legal[part->state] & 1u << to);
    part->vm->n_orphans += to == AUDIT_PART_ORPHAN;
    part->vm->n_orphans -= part->state == AUDIT_PART_ORPHAN;
    part->vm->n_sent -= to == AUDIT_PART_FAILED;
    part->state = to;
}

static void forget_places(struct audit_part *part)
{
    for (size_t i = 0; i < part->n_places; i++) {
        free(part->places[i].url);
        free(part->places[i].function);
    }
    free(part->places);
    part->places = NULL;
    part->n_places = 0;
}

static void free_part(struct audit_part *part)
{
    struct audit_vm *v = part->vm;
    v->n_orphans -= part->state == AUDIT_PART_ORPHAN;
    v->n_sent -= is_sent(part);
    if (part->hook) {
        DL_DELETE2(part->hook->parts, part, prev_of_hook, next_of_hook);
        part->hook->n_parts--;
    }
    DL_DELETE(v->parts, part);
    forget_places(part);
    free(part->error);
    free(part);
}

static void settle(struct audit *a, struct audit_part *part, const struct audit_failure *why)
{
    void *waiter = part->waiter;
    const struct worker *w = registry_find(a->registry, part->vm->id);
    part->waiter = NULL;
    if (waiter)
        a->events.on_settled(a->events.userdata, waiter, w, part->kind, why);
}

static void fail(struct audit *a, struct audit_part *part, enum worker_refusal refusal,
                 const char *text)
{
    const struct audit_failure why = {refusal, text};
    set_state(part, AUDIT_PART_FAILED);
    free(part->error);
    part->error = strdup(text);
    settle(a, part, &why);
}

static struct audit_part *make_part(struct audit_vm *v, struct audit_hook *h, void *waiter)
{
    struct audit_part *part = calloc(1, sizeof *part);
    if (!part)
        return NULL;
    *part = (struct audit_part){
        .hook = h, .hook_id = h->id, .kind = h->wire->kind, .vm = v, .waiter = waiter};
    DL_APPEND(v->parts, part);
    DL_APPEND2(h->parts, part, prev_of_hook, next_of_hook);
    h->n_parts++;
    v->n_sent++;
    v->unsent = true;
    return part;
}

int audit_vm_add(struct audit_vm *v, struct audit_hook *h, void *waiter)
{
    if (find_part(v, h->id))
        return -EALREADY;
    if (v->n_sent >= LIMIT_HOOKS_PER_VM)
        return -EMFILE;
    return make_part(v, h, waiter) ? 0 : -ENOMEM;
}

int audit_vm_adopt(struct audit *a, struct audit_vm *v, struct audit_hook *h, bool spent)
{
    struct audit_part *part = make_part(v, h, NULL);
    if (!part)
        return -ENOMEM;
    part->state = AUDIT_PART_THERE;
    part->spent = spent;
    count_there(a, v);
    return 0;
}

void audit_vm_count(struct audit *a, uint64_t vm, uint64_t hook, uint64_t hits)
{
    struct audit_part *part = find_part(audit_vm_find(a, vm), hook);
    if (!part || part->hits >= hits)
        return;
    part->hook->hits += hits - part->hits;
    part->hits = hits;
}

/* It was being set when its daemon died, or cleared: nobody wants it. The worker has it until
 * another hook is taken out of it. */
bool audit_is_of_before(struct audit *a, const struct worker *w, uint64_t hook)
{
    return w->adopted && hook < a->adopted_below;
}

bool audit_vm_take_out(struct audit *a, struct audit_part *part, void *waiter)
{
    static const struct audit_failure cleared = {WORKER_REFUSED_CANCELLED,
                                                 "it was cleared meanwhile"};
    struct audit_vm *v = part->vm;
    if (v->late)
        waiter = NULL;
    /* Who has waited for it to be set has its answer. */
    if (part->waiter != waiter)
        settle(a, part, &cleared);
    switch (part->state) {
    case AUDIT_PART_WAITING:
    case AUDIT_PART_FAILED:
        part->waiter = NULL;
        free_part(part);
        return false;
    case AUDIT_PART_SETTING:
    case AUDIT_PART_THERE:
    case AUDIT_PART_ORPHAN:
        /* One that is on its way in is overtaken by nothing: the order of commands holds. */
        if (part->state != AUDIT_PART_ORPHAN || waiter)
            set_state(part, waiter ? AUDIT_PART_LEAVING : AUDIT_PART_ORPHAN);
        break;
    case AUDIT_PART_LEAVING:
    case AUDIT_PART_REMOVING:
        break;
    }
    part->waiter = waiter;
    v->unsent = true;
    count_there(a, v);
    return waiter != NULL;
}

/* ---- sending */

static int send_set(struct audit_vm *v, struct worker *w, SetHooks *m, uint64_t *ret_request)
{
    Stillpoint__Worker__Inspect inspect = STILLPOINT__WORKER__INSPECT__INIT;
    inspect.has_kind = 1;
    inspect.kind = WORKER_INSPECT_SET_HOOKS;
    inspect.set_hooks = m;
    int r = worker_send_inspect(w, &inspect, ret_request);
    if (r == 0)
        v->requests[v->n_requests++] = *ret_request;
    return r;
}

static bool can_wait(int r)
{
    return r == -EBUSY || r == -ENOBUFS || r == -EPIPE || r == -ECONNRESET;
}

/* Those that leave, as many as there are. Returns how many were sent, or negative errno. */
static int send_leaving(struct audit_vm *v, struct worker *w)
{
    SetHooks m = STILLPOINT__WORKER__SET_HOOKS__INIT;
    uint64_t ids[LIMIT_HOOKS_PER_VM], request;
    struct audit_part *part;
    m.remove = ids;
    DL_FOREACH(v->parts, part)
    if (part->state == AUDIT_PART_LEAVING && m.n_remove < LIMIT_HOOKS_PER_VM)
        ids[m.n_remove++] = part->hook_id;
    int r = m.n_remove > 0 ? send_set(v, w, &m, &request) : 0;
    if (r < 0 || m.n_remove == 0)
        return r;
    size_t left = m.n_remove;
    DL_FOREACH(v->parts, part)
    if (part->state == AUDIT_PART_LEAVING && left > 0) {
        set_state(part, AUDIT_PART_REMOVING);
        part->request = request;
        left--;
    }
    return (int)m.n_remove;
}

/* The first of those that wait, and all that fit beside it. */
static int send_waiting(struct audit *a, struct audit_vm *v, struct worker *w)
{
    SetHooks m = STILLPOINT__WORKER__SET_HOOKS__INIT;
    WireHook *hooks[LIMIT_HOOKS_PER_VM];
    struct audit_part *parts[LIMIT_HOOKS_PER_VM], *part;
    uint64_t request;
    size_t bytes = 0;
    m.add = hooks;
    DL_FOREACH(v->parts, part)
    {
        if (part->state != AUDIT_PART_WAITING || m.n_add == LIMIT_HOOKS_PER_VM ||
            (m.n_add > 0 && part->alone))
            continue;
        assert(part->hook); /* or it was taken out, and not waiting any more */
        bytes += stillpoint__worker__hook__get_packed_size(part->hook->wire) + 8;
        if (m.n_add > 0 && bytes > MESSAGE_BYTES)
            break;
        parts[m.n_add] = part;
        hooks[m.n_add++] = part->hook->wire;
        if (part->alone)
            break;
    }
    int r = m.n_add > 0 ? send_set(v, w, &m, &request) : 0;
    for (size_t i = 0; i < m.n_add && !can_wait(r); i++) {
        if (r < 0) {
            fail(a, parts[i], WORKER_REFUSED_INTERNAL, strerror(-r));
            continue;
        }
        set_state(parts[i], AUDIT_PART_SETTING);
        parts[i]->request = request;
    }
    return r < 0 ? r : (int)m.n_add;
}

void audit_vm_pump(struct audit *a, struct audit_vm *v)
{
    struct worker *w = registry_find(a->registry, v->id);
    int r;
    v->unsent = false;
    if (!w || w->phase == WORKER_GONE)
        return;
    do
        r = v->n_requests < WORKER_MAX_INSPECTS ? send_leaving(v, w) : 0;
    while (r > 0);
    do
        r = v->n_requests < WORKER_MAX_INSPECTS ? send_waiting(a, v, w) : 0;
    while (r > 0);
}

/* ---- births and ends */

/* A VM whose hooks cannot be set starts all the same. */
static void born_with(struct audit *a, struct audit_vm *v, struct audit_hook *h)
{
    int r = audit_vm_add(v, h, NULL);
    struct audit_part *part = r == -EMFILE ? make_part(v, h, NULL) : NULL;
    if (part)
        fail(a, part, WORKER_REFUSED_LIMIT, "the VM has too many hooks");
}

void audit_on_born(struct audit *a, struct worker *w)
{
    struct audit_vm *v = audit_vm_find(a, w->id);
    struct audit_hook *h;
    for (h = v ? v->own : NULL; h; h = h->next_own)
        if (h->state != AUDIT_REMOVING)
            born_with(a, v, h);
    DL_FOREACH2(a->wide, h, next_wide)
    {
        if (h->state == AUDIT_REMOVING || !audit_matches(&h->where, w))
            continue;
        if (!v && !(v = audit_vm_get(a, w->id))) {
            record_write(LOG_ERR, MESSAGE_NO_MEMORY, RECORD_VM(w),
                         "vm %llu (%s): out of memory; it has no hooks", (unsigned long long)w->id,
                         w->name);
            return;
        }
        born_with(a, v, h);
    }
    if (v)
        audit_vm_pump(a, v);
}

bool audit_is_settled(struct audit *a, const struct worker *w)
{
    const struct audit_vm *v = audit_vm_find(a, w->id);
    const struct audit_part *part = v ? v->parts : NULL;
    while (part && part->state != AUDIT_PART_WAITING && part->state != AUDIT_PART_SETTING)
        part = part->next;
    return !part;
}

static void free_auditor(struct audit *a, struct audit_vm *v, struct audit_auditor *auditor)
{
    HASH_DEL(a->auditors, auditor);
    DL_DELETE(v->auditors, auditor);
    v->n_auditors--;
    free(auditor->label);
    free(auditor->hooks);
    free(auditor);
}

/* The end of what was withheld may be that of its debugger, and so of hooks: nobody may be in the
 * middle of a list of theirs. */
static void free_withheld(struct audit *a, struct audit_withheld *list)
{
    while (list) {
        struct audit_withheld *e = list;
        uint64_t debugger = e->debugger;
        DL_DELETE(list, e);
        free(e->packed);
        free(e->paused);
        free(e);
        debuggers_count_holding(a->debuggers, debugger, -1);
    }
}

void audit_vm_free(struct audit *a, struct audit_vm *v)
{
    while (v->auditors)
        free_auditor(a, v, v->auditors);
    while (v->parts)
        free_part(v->parts);
    struct audit_withheld *withheld = v->withheld;
    HASH_DEL(a->vms, v);
    free(v);
    free_withheld(a, withheld);
}

/* ---- answers */

/* Several hooks went together, and one of them could not be set: none was. */
static bool went_together(const struct audit_vm *v, uint64_t request)
{
    const struct audit_part *part;
    size_t n = 0;
    DL_FOREACH(v->parts, part)
    n += part->request == request && part->state == AUDIT_PART_SETTING;
    return n > 1;
}

static void answered(struct audit *a, struct audit_part *part,
                     const struct worker_inspected *answer, bool together)
{
    if (part->state == AUDIT_PART_REMOVING) {
        /* With or without an error: it has no use for it any more. */
        settle(a, part, NULL);
        free_part(part);
    } else if (part->state == AUDIT_PART_SETTING && answer->error && together) {
        set_state(part, AUDIT_PART_WAITING);
        part->alone = part->vm->unsent = true;
    } else if (part->state == AUDIT_PART_SETTING && answer->error) {
        fail(a, part, answer->refusal, answer->error);
    } else if (part->state == AUDIT_PART_SETTING) {
        set_state(part, AUDIT_PART_THERE);
        settle(a, part, NULL);
    }
}

/* It answers again: what was left in it can leave. */
static void was_late(struct audit *a, struct audit_vm *v)
{
    v->late = false;
    if (v->n_orphans > 0)
        a->events.on_orphans(a->events.userdata);
}

bool audit_on_inspected(struct audit *a, struct worker *w, const struct worker_inspected *answer)
{
    uint64_t request = answer->request;
    struct audit_vm *v = audit_vm_find(a, w->id);
    struct audit_part *part, *next;
    size_t i = 0;
    if (v && v->late)
        was_late(a, v);
    while (v && i < v->n_requests && v->requests[i] != request)
        i++;
    if (!v || i == v->n_requests) {
        if (v)
            audit_vm_pump(a, v); /* there is room for one more */
        return false;
    }
    v->requests[i] = v->requests[--v->n_requests];
    bool together = went_together(v, request);
    for (part = v->parts; part; part = next) {
        next = part->next;
        if (part->request == request)
            answered(a, part, answer, together);
    }
    count_there(a, v);
    audit_vm_pump(a, v);
    return true;
}

/* ---- the mirror */

static struct audit_auditor *find_auditor(const struct audit_vm *v,
                                          const Stillpoint__Worker__Audited *m)
{
    struct audit_auditor *auditor = v->auditors;
    while (auditor && (auditor->referent != m->referent || auditor->referent_id != m->referent_id ||
                       auditor->kind != m->kind || auditor->offset != m->offset))
        auditor = auditor->next;
    return auditor;
}

static struct audit_auditor *make_auditor(struct audit *a, struct audit_vm *v,
                                          const Stillpoint__Worker__Audited *m)
{
    struct audit_auditor *auditor =
        v->n_auditors < LIMIT_AUDITORS_PER_VM ? calloc(1, sizeof *auditor) : NULL;
    if (!auditor)
        return NULL;
    auditor->number = a->next_auditor++;
    auditor->vm = v->id;
    auditor->referent = m->referent;
    auditor->referent_id = m->referent_id;
    auditor->offset = m->offset;
    auditor->kind = m->kind;
    HASH_ADD(hh, a->auditors, number, sizeof auditor->number, auditor);
    if (!auditor->hh.tbl) {
        free(auditor);
        return NULL;
    }
    DL_APPEND(v->auditors, auditor);
    v->n_auditors++;
    return auditor;
}

/* Whether the referent is one at which that kind is observed, and each hook is of that kind. */
static const char *check_audited(const struct audit_vm *v, const Stillpoint__Worker__Audited *m)
{
    for (size_t i = 0; i < m->n_hooks; i++) {
        const struct audit_part *part = find_part(v, m->hooks[i]);
        if (!part || part->state == AUDIT_PART_FAILED)
            return no_such_hook;
        if (part->hook && part->hook->wire->kind != m->kind)
            return "has an auditor that serves a hook of another kind";
    }
    return NULL;
}

const char *audit_on_audited(struct audit *a, struct worker *w,
                             const Stillpoint__Worker__Audited *m)
{
    struct audit_vm *v = audit_vm_find(a, w->id);
    for (size_t i = 0; i < m->n_hooks; i++)
        if (!find_part(v, m->hooks[i]) && audit_is_of_before(a, w, m->hooks[i]))
            return NULL;
    if (!v && w->adopted && m->n_hooks == 0)
        return NULL;
    if (!v)
        return "has an auditor without a hook";
    const char *why = check_audited(v, m);
    if (why)
        return why;
    struct audit_auditor *auditor = find_auditor(v, m);
    if (m->n_hooks == 0) {
        if (auditor)
            free_auditor(a, v, auditor);
        return NULL;
    }
    if (!auditor && !(auditor = make_auditor(a, v, m)))
        return NULL; /* more than are shown */
    uint64_t *hooks = reallocarray(auditor->hooks, m->n_hooks, sizeof *hooks);
    if (!hooks) {
        free_auditor(a, v, auditor);
        return NULL;
    }
    auditor->hooks = hooks;
    auditor->n_hooks = m->n_hooks;
    memcpy(hooks, m->hooks, m->n_hooks * sizeof *hooks);
    auditor->armed = m->armed;
    if (m->label) {
        free(auditor->label);
        auditor->label = strdup(m->label);
    }
    return NULL;
}

const struct audit_auditor *audit_auditor_after(struct audit *a, uint64_t after)
{
    struct audit_auditor *auditor = a->auditors;
    if (after) {
        HASH_FIND(hh, a->auditors, &after, sizeof after, auditor);
        if (auditor)
            return auditor->hh.next;
        auditor = a->auditors;
    }
    while (auditor && auditor->number <= after)
        auditor = auditor->hh.next;
    return auditor;
}

/* ---- the end of a hook in one VM */

const char *audit_on_hook_ended(struct audit *a, struct worker *w,
                                const Stillpoint__Worker__HookEnded *m)
{
    struct audit_part *part = find_part(audit_vm_find(a, w->id), m->hook);
    if (!part && audit_is_of_before(a, w, m->hook))
        return NULL;
    if (!part || part->state == AUDIT_PART_FAILED || part->state == AUDIT_PART_WAITING)
        return no_such_hook;
    struct audit_hook *h = part->hook;
    bool own = h && h->where.target == AUDIT_VM;
    if (m->why == 2) {
        part->spent = true;
        if (own)
            audit_hook_release(a, h);
        if (h && a->kept && h->state == AUDIT_SET)
            a->events.on_hook_set(a->events.userdata, h); /* as it is now */
        return NULL;
    }
    /* What is on its way to be removed is answered all the same. */
    if (part->state != AUDIT_PART_LEAVING && part->state != AUDIT_PART_REMOVING) {
        settle(a, part, NULL);
        free_part(part);
        count_there(a, audit_vm_find(a, w->id));
    }
    if (own && h->state != AUDIT_REMOVING)
        audit_drop(a, m->hook, NULL);
    return NULL;
}

const char *audit_on_breakpoint_bound(struct audit *a, struct worker *w,
                                      const Stillpoint__Worker__BreakpointBound *m)
{
    struct audit_part *part = find_part(audit_vm_find(a, w->id), m->hook);
    if (!part && audit_is_of_before(a, w, m->hook))
        return NULL;
    if (!part || part->state == AUDIT_PART_FAILED)
        return no_such_hook;
    if (part->hook && !part->hook->wire->at)
        return "binds a hook that is no breakpoint";
    forget_places(part);
    part->pending = m->pending;
    free(part->error);
    part->error = m->error && *m->error ? strdup(m->error) : NULL;
    part->places = calloc(m->n_at + 1, sizeof *part->places);
    for (size_t i = 0; part->places && i < m->n_at; i++) {
        const Stillpoint__Worker__Location *at = m->at[i];
        part->places[part->n_places++] =
            (struct audit_place){.url = at->url ? strdup(at->url) : NULL,
                                 .function = at->function ? strdup(at->function) : NULL,
                                 .line = at->line,
                                 .column = at->column,
                                 .offset = at->offset};
    }
    return NULL;
}

/* ---- hits */

static void put(struct audit *a, struct audit_debugger *d, Stillpoint__Api__Hit *m)
{
    hit_ring_append(&d->ring, m);
    if (!d->ring.wanted)
        return;
    d->ring.wanted = false;
    a->events.on_hits(a->events.userdata, d->id);
}

/* Its debugger may be gone meanwhile. */
static void put_withheld(struct audit *a, const struct audit_withheld *e)
{
    struct audit_debugger *d = audit_owner(a, e->debugger);
    Stillpoint__Api__Hit *m = d ? stillpoint__api__hit__unpack(NULL, e->bytes, e->packed) : NULL;
    if (!m)
        return;
    m->paused = e->paused;
    d->ring.fact = e->fact;
    put(a, d, m);
    d->ring.fact = 0;
    m->paused = NULL;
    stillpoint__api__hit__free_unpacked(m, NULL);
}

static void release_withheld(struct audit *a, struct audit_vm *v)
{
    struct audit_withheld *done = NULL;
    while (v->withheld && v->withheld->pause == 0) {
        struct audit_withheld *e = v->withheld;
        put_withheld(a, e);
        DL_DELETE(v->withheld, e);
        v->n_withheld--;
        DL_APPEND(done, e);
    }
    free_withheld(a, done);
}

/* `h` NULL: it was removed meanwhile. Then the hit is nobody's, and kept for its pause alone. */
static int withhold(struct audit *a, struct audit_vm *v, uint64_t hook, const struct audit_hook *h,
                    uint64_t pause, uint64_t fact, const Stillpoint__Api__Hit *m)
{
    struct audit_withheld *e = calloc(1, sizeof *e);
    uint8_t *packed = malloc(stillpoint__api__hit__get_packed_size(m) + 1);
    if (!e || !packed) {
        free(e);
        free(packed);
        return -ENOMEM;
    }
    *e = (struct audit_withheld){.hook = hook,
                                 .debugger = h ? h->debugger : 0,
                                 .pause = pause,
                                 .fact = fact,
                                 .packed = packed};
    e->bytes = stillpoint__api__hit__pack(m, packed);
    DL_APPEND(v->withheld, e);
    v->n_withheld++;
    /* Its hook may be spent by this very hit: the debugger lives until the pause is decided. */
    debuggers_count_holding(a->debuggers, e->debugger, 1);
    return 0;
}

/* Of a hook that is still its debugger's. */
static const char *count_hit(struct audit_part *part, const Stillpoint__Worker__Hit *m)
{
    struct audit_hook *h = part->hook;
    if (h->wire->kind != m->kind)
        return "reports a hit of another kind than its hook's";
    if (m->pause != 0 && h->wire->suspend < 2)
        return "pauses for a hook that does not pause";
    part->hits++;
    h->hits++;
    if (m->dropped > part->dropped) {
        h->dropped += m->dropped - part->dropped;
        part->dropped = m->dropped;
    }
    return NULL;
}

const char *audit_on_hit(struct audit *a, struct worker *w, const Stillpoint__Worker__Hit *m)
{
    struct audit_vm *v = audit_vm_find(a, w->id);
    struct audit_part *part = find_part(v, m->hook);
    if (!part && audit_is_of_before(a, w, m->hook))
        return NULL;
    if (!part || part->state == AUDIT_PART_FAILED || part->state == AUDIT_PART_WAITING)
        return "reports a hit of a hook that it does not have";
    if (m->pause != 0 && (w->pause.number != 0 || m->pause != w->last_pause + 1))
        return "announces a pause out of turn";
    struct audit_hook *h = part->hook;
    /* It was removed while that was on its way; but the pause that it may announce comes. */
    if (!h && m->pause == 0)
        return NULL;
    const char *why = h ? count_hit(part, m) : NULL;
    if (why)
        return why;
    struct hit_message hit;
    hit_message_fill(&hit, w, m, part->hits);
    if (m->pause == 0 && !v->withheld) {
        h->owner->ring.fact = w->hearing;
        put(a, h->owner, &hit.m);
        h->owner->ring.fact = 0;
        return NULL;
    }
    /* All that a VM says between a hit that wants a pause and that pause are hits of one place. */
    if (v->n_withheld >= LIMIT_HOOKS_PER_VM)
        return "reports hits and does not pause";
    if (withhold(a, v, m->hook, h, m->pause, w->hearing, &hit.m) < 0)
        return unpack_no_memory;
    if (w->deferred == 0)
        w->deferred = w->hearing;
    return NULL;
}

bool audit_awaits_pause(struct audit *a, uint64_t vm, uint64_t hook)
{
    const struct audit_vm *v = audit_vm_find(a, vm);
    const struct audit_withheld *e = v ? v->withheld : NULL;
    while (e && (e->hook != hook || e->pause == 0))
        e = e->next;
    return e != NULL;
}

void audit_pause_decided(struct audit *a, struct worker *w, uint64_t pause,
                         const char *(*paused)(void *userdata, uint64_t hook), void *userdata)
{
    struct audit_vm *v = audit_vm_find(a, w->id);
    struct audit_withheld *e;
    if (!v)
        return;
    DL_FOREACH(v->withheld, e)
    {
        const char *text = e->pause == pause ? paused(userdata, e->hook) : NULL;
        if (e->pause != pause)
            continue;
        e->paused = text ? strdup(text) : NULL;
        e->pause = 0;
    }
    release_withheld(a, v);
    if (!v->withheld)
        w->deferred = 0;
}

void audit_on_vm_ended(struct audit *a, const struct worker *w)
{
    static const struct audit_failure exited = {WORKER_REFUSED_CANCELLED, "the VM has exited"};
    struct audit_vm *v = audit_vm_find(a, w->id);
    struct audit_withheld *e;
    if (!v)
        return;
    /* It will not pause any more. */
    DL_FOREACH(v->withheld, e)
    e->pause = 0;
    release_withheld(a, v);
    while (v->parts) {
        bool own = v->parts->hook && v->parts->hook->where.target == AUDIT_VM &&
                   v->parts->hook->state != AUDIT_REMOVING;
        settle(a, v->parts, own ? &exited : NULL);
        free_part(v->parts);
    }
    /* The end of one may be that of its debugger, and so of others here. */
    while (v->own)
        audit_drop(a, v->own->id, NULL);
    audit_vm_free(a, v);
}
