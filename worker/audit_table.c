#include "worker/audit_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_AT_FIRST 64u

struct walked {
    struct walked *next;
    uint64_t frame, realm;
    uint64_t order; /* of the last hook that was set before it was entered */
    bool pop, step; /* it is observed for the realm's auditor of that kind */
};

void audit_table_init(struct audit_table *t, const struct engine_debug_ops *ops,
                      struct engine *engine)
{
    *t = (struct audit_table){.ops = ops, .engine = engine};
    t->end_of_changed = &t->changed;
}

enum engine_referent audit_table_referent(enum engine_audit_kind kind)
{
    switch (kind) {
    case ENGINE_AUDIT_NEW_GLOBAL:
        return ENGINE_RUNTIME;
    case ENGINE_AUDIT_POP:
    case ENGINE_AUDIT_STEP:
        return ENGINE_FRAME;
    case ENGINE_AUDIT_BREAKPOINT:
        return ENGINE_SCRIPT;
    default:
        return ENGINE_REALM;
    }
}

/* ---- the table */

static size_t hash(uint64_t id, unsigned more)
{
    uint64_t x = (id * 16 + more) * 0x9e3779b97f4a7c15u;
    return (size_t)(x >> 20);
}

/* Breakpoints of one script are in one bucket: those at one place are found there. */
static struct auditor **bucket_of(const struct audit_table *t, struct audit_key key)
{
    return &t->buckets[hash(key.id, (unsigned)key.kind) & (t->n_buckets - 1)];
}

static bool same_key(struct audit_key a, struct audit_key b)
{
    return a.id == b.id && a.kind == b.kind && a.referent == b.referent && a.offset == b.offset;
}

struct auditor *audit_table_find(const struct audit_table *t, struct audit_key key)
{
    if (t->n == 0)
        return NULL;
    struct auditor *a = *bucket_of(t, key);
    while (a && !same_key(a->key, key))
        a = a->next;
    return a;
}

struct auditor *audit_table_next_breakpoint(const struct audit_table *t, uint64_t script,
                                            const struct auditor *before)
{
    struct audit_key key = {ENGINE_SCRIPT, ENGINE_AUDIT_BREAKPOINT, script, 0};
    if (t->n == 0)
        return NULL;
    struct auditor *a = before ? before->next : *bucket_of(t, key);
    while (a && (a->key.kind != key.kind || a->key.id != script || a->n_hooks == 0))
        a = a->next;
    return a;
}

static int grow(struct audit_table *t)
{
    size_t more = t->n_buckets ? 2 * t->n_buckets : BUCKETS_AT_FIRST;
    struct auditor **grown = calloc(more, sizeof *grown), **old = t->buckets;
    if (!grown)
        return -ENOMEM;
    size_t n_old = t->n_buckets;
    t->buckets = grown;
    t->n_buckets = more;
    for (size_t i = 0; i < n_old; i++)
        for (struct auditor *a = old[i], *next; a; a = next) {
            next = a->next;
            struct auditor **bucket = bucket_of(t, a->key);
            a->next = *bucket;
            *bucket = a;
        }
    free(old);
    return 0;
}

static int find_or_add(struct audit_table *t, struct audit_key key, struct auditor **ret)
{
    *ret = audit_table_find(t, key);
    if (*ret)
        return 0;
    int r = t->n < t->n_buckets ? 0 : grow(t);
    struct auditor *a = r == 0 ? calloc(1, sizeof *a) : NULL;
    if (!a)
        return -ENOMEM;
    a->key = key;
    a->armed = true;
    struct auditor **bucket = bucket_of(t, key);
    a->next = *bucket;
    *bucket = a;
    t->n++;
    *ret = a;
    return 0;
}

static void auditor_free(struct auditor *a)
{
    free(a->url);
    free(a->function);
    free(a->label);
    free(a->hooks);
    free(a);
}

/* Takes it out, if nothing holds it. */
static void drop_if_idle(struct audit_table *t, struct auditor *a)
{
    if (a->n_hooks > 0 || a->needs > 0 || a->changed)
        return;
    struct auditor **at = bucket_of(t, a->key);
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    t->n--;
    auditor_free(a);
}

static void mark_changed(struct audit_table *t, struct auditor *a)
{
    if (a->changed)
        return;
    a->changed = true;
    a->changed_after = NULL;
    *t->end_of_changed = a;
    t->end_of_changed = &a->changed_after;
}

/* ---- what the engine observes */

static bool is_of_every_frame(struct audit_key key)
{
    return key.referent == ENGINE_REALM &&
           (key.kind == ENGINE_AUDIT_POP || key.kind == ENGINE_AUDIT_STEP);
}

static int walk_on(struct audit_table *t, struct audit_key key);
static void walk_off(struct audit_table *t, struct audit_key key);

static int set_on(struct audit_table *t, struct auditor *a, bool on)
{
    int r = 0;
    t->in_engine++;
    if (!is_of_every_frame(a->key))
        r = t->ops->audit(t->engine, a->key.kind, a->key.id, a->key.offset, on);
    else if (on)
        r = walk_on(t, a->key);
    else
        walk_off(t, a->key);
    t->in_engine--;
    /* What cannot be taken off is off with its referent. */
    if (r == 0 || !on)
        a->on = on;
    return on ? r : 0;
}

static int settle(struct audit_table *t, struct auditor *a)
{
    if (a->gone)
        return 0;
    bool wanted = a->needs > 0 || (a->n_hooks > 0 && a->armed);
    return wanted == a->on ? 0 : set_on(t, a, wanted);
}

static void set_armed(struct audit_table *t, struct auditor *a, bool armed)
{
    if (a->armed != armed)
        t->n_disarmed += armed ? (size_t)-1 : 1;
    a->armed = armed;
}

int audit_table_need(struct audit_table *t, enum engine_audit_kind kind, uint64_t id,
                     uint64_t offset)
{
    struct auditor *a;
    int r = find_or_add(t, (struct audit_key){audit_table_referent(kind), kind, id, offset}, &a);
    if (r < 0)
        return r;
    a->needs++;
    r = settle(t, a);
    if (r < 0) {
        a->needs--;
        drop_if_idle(t, a);
    }
    return r;
}

void audit_table_unneed(struct audit_table *t, enum engine_audit_kind kind, uint64_t id,
                        uint64_t offset)
{
    struct auditor *a =
        audit_table_find(t, (struct audit_key){audit_table_referent(kind), kind, id, offset});
    if (!a || a->needs == 0)
        return;
    a->needs--;
    (void)settle(t, a);
    drop_if_idle(t, a);
}

/* ---- hooks */

static void serve(struct audit_table *t, struct auditor *a)
{
    a->served_before = NULL;
    a->served_after = t->served;
    if (t->served)
        t->served->served_before = a;
    t->served = a;
}

static void serve_no_more(struct audit_table *t, struct auditor *a)
{
    if (a->served_before)
        a->served_before->served_after = a->served_after;
    else
        t->served = a->served_after;
    if (a->served_after)
        a->served_after->served_before = a->served_before;
}

bool audit_table_has_hook(const struct auditor *a, const struct hook *h)
{
    for (size_t i = 0; i < a->n_hooks; i++)
        if (a->hooks[i] == h)
            return true;
    return false;
}

static int append(struct auditor *a, struct hook *h)
{
    if (a->n_hooks == a->size_hooks) {
        size_t more = a->size_hooks ? 2 * a->size_hooks : 2;
        struct hook **grown = reallocarray(a->hooks, more, sizeof *grown);
        if (!grown)
            return -ENOMEM;
        a->hooks = grown;
        a->size_hooks = more;
    }
    a->hooks[a->n_hooks++] = h;
    return 0;
}

int audit_table_hook(struct audit_table *t, struct audit_key key, struct hook *h,
                     struct auditor **ret)
{
    struct auditor *a;
    int r = find_or_add(t, key, &a);
    if (r < 0)
        return r;
    bool was_armed = a->armed;
    r = append(a, h);
    if (r == 0) {
        set_armed(t, a, true); /* this one is not spent */
        r = settle(t, a);
        if (r < 0) {
            a->n_hooks--;
            set_armed(t, a, was_armed);
        }
    }
    if (r < 0) {
        drop_if_idle(t, a);
        return r;
    }
    if (a->n_hooks == 1)
        serve(t, a);
    mark_changed(t, a);
    if (ret)
        *ret = a;
    return 0;
}

void audit_table_unhook(struct audit_table *t, struct auditor *a, struct hook *h)
{
    size_t i = 0;
    while (i < a->n_hooks && a->hooks[i] != h)
        i++;
    if (i == a->n_hooks)
        return;
    a->n_hooks--;
    memmove(a->hooks + i, a->hooks + i + 1, (a->n_hooks - i) * sizeof *a->hooks);
    if (a->n_hooks == 0) {
        serve_no_more(t, a);
        set_armed(t, a, true);
    }
    mark_changed(t, a);
    (void)settle(t, a);
}

int audit_table_arm(struct audit_table *t, struct auditor *a, bool armed)
{
    if (a->armed == armed)
        return 0;
    set_armed(t, a, armed);
    int r = settle(t, a);
    if (r < 0)
        set_armed(t, a, !armed);
    else
        mark_changed(t, a);
    return r;
}

/* ---- every frame */

static struct walked **walked_at(const struct audit_table *t, uint64_t frame)
{
    struct walked **at = &t->walked[hash(frame, 0) & (t->n_walked_buckets - 1)];
    while (*at && (*at)->frame != frame)
        at = &(*at)->next;
    return at;
}

static struct walked *walked_find(const struct audit_table *t, uint64_t frame)
{
    return t->n_walked > 0 ? *walked_at(t, frame) : NULL;
}

static int walked_grow(struct audit_table *t)
{
    size_t more = t->n_walked_buckets ? 2 * t->n_walked_buckets : BUCKETS_AT_FIRST;
    size_t n_old = t->n_walked_buckets;
    struct walked **grown = calloc(more, sizeof *grown), **old = t->walked;
    if (!grown)
        return -ENOMEM;
    t->walked = grown;
    t->n_walked_buckets = more;
    for (size_t i = 0; i < n_old; i++)
        for (struct walked *w = old[i], *next; w; w = next) {
            next = w->next;
            struct walked **at = walked_at(t, w->frame);
            w->next = NULL;
            *at = w;
        }
    free(old);
    return 0;
}

static struct auditor *of_every_frame(const struct audit_table *t, enum engine_audit_kind kind,
                                      uint64_t realm)
{
    return audit_table_find(t, (struct audit_key){ENGINE_REALM, kind, realm, 0});
}

/* A frame that is not on the stack any more stays without: it is about to be reported as gone. */
static void observe(struct audit_table *t, struct walked *w, enum engine_audit_kind kind, bool *is,
                    bool wanted)
{
    if (*is == wanted)
        return;
    if (!wanted)
        audit_table_unneed(t, kind, w->frame, 0);
    *is = wanted && audit_table_need(t, kind, w->frame, 0) == 0;
}

static void walk_set(struct audit_table *t, struct audit_key key, bool on)
{
    for (size_t i = 0; i < t->n_walked_buckets; i++)
        for (struct walked **at = &t->walked[i], *w; (w = *at);) {
            if (w->realm == key.id)
                observe(t, w, key.kind, key.kind == ENGINE_AUDIT_POP ? &w->pop : &w->step, on);
            /* One that has ended while nothing was observed at it is not said to be gone. */
            if (on && w->realm == key.id && !w->pop && !w->step) {
                *at = w->next;
                t->n_walked--;
                free(w);
            } else {
                at = &w->next;
            }
        }
}

static int walk_on(struct audit_table *t, struct audit_key key)
{
    int r = audit_table_need(t, ENGINE_AUDIT_ENTER_FRAME, key.id, 0);
    if (r == 0)
        walk_set(t, key, true);
    return r;
}

static void walk_off(struct audit_table *t, struct audit_key key)
{
    walk_set(t, key, false);
    audit_table_unneed(t, ENGINE_AUDIT_ENTER_FRAME, key.id, 0);
}

void audit_table_entered(struct audit_table *t, uint64_t frame, uint64_t realm, uint64_t order)
{
    const struct auditor *pop = of_every_frame(t, ENGINE_AUDIT_POP, realm);
    const struct auditor *step = of_every_frame(t, ENGINE_AUDIT_STEP, realm);
    if (!pop && !step)
        return;
    struct walked *w = walked_find(t, frame);
    if (!w) {
        if (t->n_walked >= t->n_walked_buckets && walked_grow(t) < 0)
            return;
        w = calloc(1, sizeof *w);
        if (!w)
            return;
        w->frame = frame;
        w->realm = realm;
        *walked_at(t, frame) = w;
        t->n_walked++;
    }
    w->order = order;
    observe(t, w, ENGINE_AUDIT_POP, &w->pop, pop && pop->on);
    observe(t, w, ENGINE_AUDIT_STEP, &w->step, step && step->on);
}

bool audit_table_covers(const struct audit_table *t, const struct hook *h, uint64_t frame)
{
    const struct walked *w = walked_find(t, frame);
    return w && w->order >= h->order;
}

static void walked_gone(struct audit_table *t, uint64_t frame)
{
    if (t->n_walked == 0)
        return;
    struct walked **at = walked_at(t, frame), *w = *at;
    if (!w)
        return;
    *at = w->next;
    t->n_walked--;
    free(w);
}

/* 0: none is followed in this realm. */
static uint64_t any_walked(const struct audit_table *t, uint64_t realm)
{
    for (size_t i = 0; t->n_walked > 0 && i < t->n_walked_buckets; i++)
        for (const struct walked *w = t->walked[i]; w; w = w->next)
            if (w->realm == realm)
                return w->frame;
    return 0;
}

/* Nothing follows frames of this realm any more. */
static void walked_forget(struct audit_table *t, uint64_t realm)
{
    for (size_t i = 0; i < t->n_walked_buckets; i++)
        for (struct walked **at = &t->walked[i], *w; (w = *at);) {
            if (w->realm != realm) {
                at = &w->next;
                continue;
            }
            observe(t, w, ENGINE_AUDIT_POP, &w->pop, false);
            observe(t, w, ENGINE_AUDIT_STEP, &w->step, false);
            *at = w->next;
            t->n_walked--;
            free(w);
        }
}

/* ---- realms */

static void realm_add(void *userdata, uint64_t id, const char *label)
{
    struct audit_table *t = userdata;
    for (size_t i = 0; i < t->n_realms; i++)
        if (t->realms[i].id == id)
            return;
    if (t->n_realms == t->size_realms) {
        size_t more = t->size_realms ? 2 * t->size_realms : 4;
        struct audit_realm *grown = reallocarray(t->realms, more, sizeof *grown);
        if (!grown)
            return;
        t->realms = grown;
        t->size_realms = more;
    }
    t->realms[t->n_realms++] =
        (struct audit_realm){.id = id, .label = label && *label ? strdup(label) : NULL};
}

static void realms_forget(struct audit_table *t)
{
    while (t->n_realms > 0)
        free(t->realms[--t->n_realms].label);
}

int audit_table_watch(struct audit_table *t)
{
    if (t->watches++ > 0)
        return 0;
    t->in_engine++;
    int r = t->ops->watch_realms(t->engine, true);
    if (r == 0)
        r = t->ops->realms(t->engine, realm_add, t);
    t->in_engine--;
    if (r < 0)
        audit_table_unwatch(t);
    return r;
}

void audit_table_unwatch(struct audit_table *t)
{
    if (--t->watches > 0)
        return;
    (void)t->ops->watch_realms(t->engine, false);
    realms_forget(t);
}

int audit_table_realm_new(struct audit_table *t, uint64_t realm)
{
    size_t before = t->n_realms;
    realm_add(t, realm, NULL);
    if (t->n_realms == before)
        return 1;
    int r = 0;
    for (unsigned kind = 0; kind < ENGINE_AUDIT_KINDS; kind++)
        for (unsigned n = 0; r == 0 && n < t->everywhere[kind]; n++)
            r = audit_table_need(t, (enum engine_audit_kind)kind, realm, 0);
    return r;
}

int audit_table_need_everywhere(struct audit_table *t, enum engine_audit_kind kind)
{
    int r = audit_table_watch(t);
    if (r < 0)
        return r;
    size_t i = 0;
    while (i < t->n_realms && (r = audit_table_need(t, kind, t->realms[i].id, 0)) == 0)
        i++;
    if (r == 0) {
        t->everywhere[kind]++;
        return 0;
    }
    while (i-- > 0)
        audit_table_unneed(t, kind, t->realms[i].id, 0);
    audit_table_unwatch(t);
    return r;
}

void audit_table_unneed_everywhere(struct audit_table *t, enum engine_audit_kind kind)
{
    t->everywhere[kind]--;
    for (size_t i = 0; i < t->n_realms; i++)
        audit_table_unneed(t, kind, t->realms[i].id, 0);
    audit_table_unwatch(t);
}

/* ---- ends */

/* Whatever is at it goes without a word to the engine, which has taken it off. */
static void auditor_gone(struct audit_table *t, struct auditor *a,
                         void (*each)(void *, struct hook *), void *userdata)
{
    a->gone = true;
    a->needs = 0;
    a->on = false;
    while (a->n_hooks > 0) {
        struct hook *h = a->hooks[0];
        audit_table_unhook(t, a, h);
        each(userdata, h);
    }
    drop_if_idle(t, a);
}

/* Any auditor of this kind there, at whatever offset, that has not ended yet. */
static struct auditor *any_at(const struct audit_table *t, struct audit_key key)
{
    if (t->n == 0)
        return NULL;
    struct auditor *a = *bucket_of(t, key);
    while (a && !(a->key.referent == key.referent && a->key.kind == key.kind &&
                  a->key.id == key.id && (a->n_hooks > 0 || a->needs > 0)))
        a = a->next;
    return a;
}

void audit_table_gone(struct audit_table *t, enum engine_referent referent, uint64_t id,
                      void (*each)(void *, struct hook *), void *userdata)
{
    if (referent == ENGINE_FRAME)
        walked_gone(t, id);
    if (referent == ENGINE_REALM)
        for (uint64_t frame; (frame = any_walked(t, id)) != 0;)
            audit_table_gone(t, ENGINE_FRAME, frame, each, userdata);
    for (unsigned kind = ENGINE_AUDIT_NEW_GLOBAL; kind < ENGINE_AUDIT_KINDS; kind++) {
        struct audit_key key = {referent, (enum engine_audit_kind)kind, id, 0};
        for (struct auditor *a; (a = any_at(t, key));)
            auditor_gone(t, a, each, userdata);
    }
    for (size_t i = 0; referent == ENGINE_REALM && i < t->n_realms; i++)
        if (t->realms[i].id == id) {
            free(t->realms[i].label);
            t->realms[i] = t->realms[--t->n_realms];
            break;
        }
}

void audit_table_tell(struct audit_table *t, void (*tell)(void *, const struct auditor *),
                      void *userdata)
{
    while (t->changed) {
        struct auditor *a = t->changed;
        t->changed = a->changed_after;
        if (!t->changed)
            t->end_of_changed = &t->changed;
        a->changed = false;
        if (tell)
            tell(userdata, a);
        struct audit_key key = a->key;
        drop_if_idle(t, a);
        if (is_of_every_frame(key) && !of_every_frame(t, ENGINE_AUDIT_POP, key.id) &&
            !of_every_frame(t, ENGINE_AUDIT_STEP, key.id))
            walked_forget(t, key.id);
    }
}

void audit_table_done(struct audit_table *t)
{
    for (size_t i = 0; i < t->n_buckets; i++)
        for (struct auditor *a = t->buckets[i], *next; a; a = next) {
            next = a->next;
            auditor_free(a);
        }
    for (size_t i = 0; i < t->n_walked_buckets; i++)
        for (struct walked *w = t->walked[i], *next; w; w = next) {
            next = w->next;
            free(w);
        }
    realms_forget(t);
    free(t->realms);
    free(t->buckets);
    free(t->walked);
    *t = (struct audit_table){0};
}
