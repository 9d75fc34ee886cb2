#include "daemon/debugger.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/text.h"
#include "base/urgent.h"
#include "daemon/registry.h"
#include "daemon/worlds.h"

/* One connection that has a debugger open. */
struct opening {
    uint64_t client;
    struct opening *prev, *next;
};

struct entry {
    struct debugger d;
    struct opening *openings;
    bool cli;
    bool untold; /* made for a request that may leave nothing of it behind */
    struct entry *prev, *next;
};

struct debuggers {
    struct worlds *worlds;
    struct registry *registry;
    struct debuggers_events events;
    struct entry *list; /* in order of birth, so of id; they are few */
    /* The last one that a request has left nothing of: made and reclaimed by each stop and resume
     * of the command line, which should not wait for an allocator. */
    struct entry *spare;
    uint64_t next_id;
    size_t n_untold;
    const uint64_t *quota; /* NULL: the limit */
};

static struct entry *find(struct debuggers *all, uint64_t id)
{
    for (struct entry *e = all->list; e; e = e->next)
        if (e->d.id == id)
            return e;
    return NULL;
}

static struct entry *find_name(struct debuggers *all, const char *name)
{
    for (struct entry *e = all->list; e; e = e->next)
        if (strcmp(e->d.name, name) == 0)
            return e;
    return NULL;
}

static struct entry *find_cli(struct debuggers *all, uid_t uid)
{
    for (struct entry *e = all->list; e; e = e->next)
        if (e->cli && e->d.owner == uid)
            return e;
    return NULL;
}

static void drop(struct debuggers *all, struct entry *e)
{
    struct opening *o, *next;
    DL_DELETE(all->list, e);
    all->n_untold -= e->untold;
    DL_FOREACH_SAFE(e->openings, o, next)
    {
        DL_DELETE(e->openings, o);
        free(o);
    }
    if (e->cli) {
        free(all->spare);
        all->spare = e;
    } else {
        free(e);
    }
}

static void tell_changed(struct debuggers *all, struct entry *e)
{
    all->n_untold -= e->untold;
    e->untold = false;
    all->events.on_changed(all->events.userdata, &e->d);
}

void debuggers_settle(struct debuggers *all)
{
    for (struct entry *e = all->list; e && all->n_untold > 0; e = e->next)
        if (e->untold)
            tell_changed(all, e);
}

static bool is_unused(const struct entry *e)
{
    return e->d.n_opens == 0 && e->d.n_holdings == 0;
}

_urgent_ void debuggers_reclaim(struct debuggers *all, uint64_t id)
{
    struct entry *e = find(all, id);
    if (!e || !is_unused(e))
        return;
    log_debug("debugger %llu (%s) is not used any more", (unsigned long long)id, e->d.name);
    bool told = !e->untold;
    drop(all, e);
    if (told)
        all->events.on_gone(all->events.userdata, id);
}

_urgent_ void debuggers_count_holding(struct debuggers *all, uint64_t id, int change)
{
    struct entry *e = find(all, id);
    if (!e)
        return;
    assert(change > 0 || e->d.n_holdings > 0);
    e->d.n_holdings += (size_t)change;
    debuggers_reclaim(all, id);
}

_urgent_ static void on_ticket(void *userdata, uint64_t id, int change)
{
    debuggers_count_holding(userdata, id, change);
}

struct debuggers *debuggers_new(struct worlds *worlds, struct registry *registry,
                                const struct debuggers_events *events)
{
    struct debuggers *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    *all =
        (struct debuggers){.worlds = worlds, .registry = registry, .events = *events, .next_id = 1};
    const struct worlds_events up = {.on_ticket = on_ticket, .userdata = all};
    worlds_set_events(worlds, &up);
    return all;
}

struct debuggers *debuggers_free(struct debuggers *all)
{
    if (!all)
        return NULL;
    struct entry *e, *next;
    DL_FOREACH_SAFE(all->list, e, next)
    {
        drop(all, e);
    }
    free(all->spare);
    free(all);
    return NULL;
}

void debuggers_set_quota(struct debuggers *all, const uint64_t *quota)
{
    all->quota = quota;
}

uint64_t debuggers_next_id(const struct debuggers *all)
{
    return all->next_id;
}

const struct debugger *debuggers_find(struct debuggers *all, uint64_t id)
{
    struct entry *e = find(all, id);
    return e ? &e->d : NULL;
}

const struct debugger *debuggers_find_ref(struct debuggers *all, const char *ref)
{
    uint64_t id;
    struct entry *e = find_name(all, ref);
    /* A name may begin with digits. */
    if (!e && text_to_u64(ref, &id))
        e = find(all, id);
    return e ? &e->d : NULL;
}

const struct debugger *debuggers_after(struct debuggers *all, uint64_t after)
{
    for (struct entry *e = all->list; e; e = e->next)
        if (e->d.id > after)
            return &e->d;
    return NULL;
}

bool debuggers_any_open(const struct debuggers *all)
{
    for (const struct entry *e = all->list; e; e = e->next)
        if (e->d.n_opens > 0)
            return true;
    return false;
}

size_t debuggers_of_uid(const struct debuggers *all, uid_t uid)
{
    size_t n = 0;
    for (const struct entry *e = all->list; e; e = e->next)
        n += e->d.owner == uid;
    return n;
}

_urgent_ void debuggers_set_admin(struct debuggers *all, uint64_t id, bool admin)
{
    struct entry *e = find(all, id);
    if (!e || e->d.admin == admin)
        return;
    e->d.admin = admin;
    if (!e->untold)
        tell_changed(all, e);
}

static bool has_room(const struct debuggers *all, uid_t uid)
{
    return debuggers_of_uid(all, uid) < (all->quota ? *all->quota : LIMIT_DEBUGGERS_PER_UID);
}

static void add(struct debuggers *all, struct entry *e)
{
    e->d.id = all->next_id++;
    DL_APPEND(all->list, e);
}

static int make(struct debuggers *all, uid_t uid, const char *name, struct entry **ret)
{
    if (!has_room(all, uid))
        return -EMFILE;
    struct entry *e = calloc(1, sizeof *e);
    if (!e)
        return -ENOMEM;
    e->d.owner = uid;
    snprintf(e->d.name, sizeof e->d.name, "%s", name);
    add(all, e);
    *ret = e;
    return 0;
}

static void cli_name(char name[LIMIT_NAME_BYTES + 1], uid_t uid)
{
    snprintf(name, LIMIT_NAME_BYTES + 1, "cli:%u", (unsigned)uid);
}

static int make_cli(struct debuggers *all, uid_t uid, struct entry **ret)
{
    struct entry *e = all->spare;
    int r;
    if (e && e->d.owner == uid && has_room(all, uid)) {
        all->spare = NULL;
        e->untold = false;
        e->d.note[0] = '\0';
        add(all, e);
    } else {
        char name[LIMIT_NAME_BYTES + 1];
        cli_name(name, uid);
        if ((r = make(all, uid, name, &e)) < 0)
            return r;
        e->cli = true;
        e->d.hold_policy = true;
    }
    *ret = e;
    return 0;
}

_urgent_ int debuggers_cli(struct debuggers *all, uid_t uid, const struct debugger **ret)
{
    struct entry *e = find_cli(all, uid);
    if (!e) {
        int r = make_cli(all, uid, &e);
        if (r < 0)
            return r;
        e->untold = true;
        all->n_untold++;
    }
    *ret = &e->d;
    return 0;
}

static struct opening *find_opening(struct entry *e, uint64_t client)
{
    struct opening *o;
    DL_FOREACH(e->openings, o)
    if (o->client == client)
        return o;
    return NULL;
}

_urgent_ int debuggers_of(struct debuggers *all, uint64_t client, uid_t uid, const char *ref,
                          const struct debugger **ret)
{
    char cli[LIMIT_NAME_BYTES + 1];
    if (!ref)
        return debuggers_cli(all, uid, ret);
    cli_name(cli, uid);
    if (strcmp(ref, cli) == 0)
        return debuggers_cli(all, uid, ret);
    const struct debugger *d = debuggers_find_ref(all, ref);
    if (!d)
        return -ENOENT;
    struct entry *e = find(all, d->id);
    if (strcmp(d->name, cli) != 0 && !find_opening(e, client))
        return -EACCES;
    *ret = d;
    return 0;
}

int debuggers_open(struct debuggers *all, uint64_t client, uid_t uid, const char *name,
                   const char *note, const bool *hold_policy, const struct debugger **ret)
{
    char cli[LIMIT_NAME_BYTES + 1];
    cli_name(cli, uid);
    bool is_cli = strcmp(name, cli) == 0;
    struct entry *e = find_name(all, name);
    if ((e && e->d.owner != uid) || (strchr(name, ':') && !is_cli))
        return -EACCES;
    if (e && find_opening(e, client))
        return -EALREADY;
    struct opening *o = calloc(1, sizeof *o);
    if (!o)
        return -ENOMEM;
    int r = e ? 0 : is_cli ? make_cli(all, uid, &e) : make(all, uid, name, &e);
    if (r < 0) {
        free(o);
        return r;
    }
    o->client = client;
    DL_APPEND(e->openings, o);
    e->d.n_opens++;
    if (!is_cli && hold_policy)
        e->d.hold_policy = *hold_policy;
    if (note)
        snprintf(e->d.note, sizeof e->d.note, "%s", note);
    tell_changed(all, e);
    *ret = &e->d;
    return 0;
}

/* All that it holds. It may be gone after this. */
static void end_holdings(struct debuggers *all, uint64_t id)
{
    for (struct worker *w = registry_after(all->registry, 0); w;
         w = registry_after(all->registry, w->id)) {
        struct world *world = w->n_holds > 0 ? worlds_get(all->worlds, w->world, false) : NULL;
        if (world)
            world_release_all(world, w, id);
    }
    worlds_end_debugger(all->worlds, id);
}

/* It is open no more. What its policy leaves, or a hook that could still fire, keeps it. */
static void reclaim_or_tell(struct debuggers *all, uint64_t id)
{
    debuggers_reclaim(all, id);
    struct entry *e = find(all, id);
    if (e)
        tell_changed(all, e);
}

void debuggers_close(struct debuggers *all, uint64_t id)
{
    struct entry *e = find(all, id);
    struct opening *o, *next;
    if (!e)
        return;
    DL_FOREACH_SAFE(e->openings, o, next)
    {
        DL_DELETE(e->openings, o);
        free(o);
    }
    e->d.n_opens = 0;
    end_holdings(all, id);
    reclaim_or_tell(all, id);
}

static void close_opening(struct debuggers *all, struct entry *e, struct opening *o)
{
    uint64_t id = e->d.id;
    DL_DELETE(e->openings, o);
    free(o);
    if (--e->d.n_opens > 0)
        return;
    if (!e->d.hold_policy)
        end_holdings(all, id);
    reclaim_or_tell(all, id);
}

void debuggers_on_client_gone(struct debuggers *all, uint64_t client)
{
    struct entry *e = all->list;
    while (e) {
        struct opening *o = find_opening(e, client);
        if (o)
            close_opening(all, e, o);
        /* From the start: what one held may have let tickets of others end, and them with it. */
        e = o ? all->list : e->next;
    }
}

/* ---- taking over from a daemon that is gone */

/* No connection has this number. */
#define EXPECTED_CLIENT 0u

bool debuggers_is_cli(const struct debugger *d)
{
    return strncmp(d->name, "cli:", 4) == 0;
}

int debuggers_adopt(struct debuggers *all, const Stillpoint__State__Debugger *m)
{
    struct entry *e = calloc(1, sizeof *e);
    struct opening *o = e && m->open ? calloc(1, sizeof *o) : NULL;
    if (!e || (m->open && !o)) {
        free(e);
        return -ENOMEM;
    }
    e->d.id = m->id;
    e->d.owner = m->owner_uid;
    e->d.admin = m->admin;
    e->d.hold_policy = m->hold_policy;
    text_copy(e->d.name, sizeof e->d.name, m->name);
    text_copy(e->d.note, sizeof e->d.note, m->note ? m->note : "");
    e->cli = m->cli;
    if (o) {
        o->client = EXPECTED_CLIENT;
        DL_APPEND(e->openings, o);
        e->d.n_opens = 1;
    }
    DL_APPEND(all->list, e);
    return 0;
}

void debuggers_adopted(struct debuggers *all, uint64_t next_id)
{
    struct entry *e, *next;
    all->next_id = next_id;
    DL_FOREACH_SAFE(all->list, e, next)
    {
        debuggers_reclaim(all, e->d.id);
    }
}

void debuggers_end_grace(struct debuggers *all)
{
    debuggers_on_client_gone(all, EXPECTED_CLIENT);
}
