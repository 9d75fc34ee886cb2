#include "daemon/worlds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/urgent.h"
#include "daemon/event_bus.h"
#include "daemon/world_private.h"

static struct worlds *make_worlds(struct event_base *base, struct event_bus *bus, bool kept)
{
    struct worlds *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    all->base = base;
    all->bus = bus;
    all->next_ticket = 1;
    all->kept = kept;
    if (!worlds_get(all, "default", true))
        return worlds_free(all);
    return all;
}

struct worlds *worlds_new(struct event_base *base, struct event_bus *bus)
{
    return make_worlds(base, bus, false);
}

struct worlds *worlds_new_kept(struct event_base *base, struct event_bus *bus)
{
    return make_worlds(base, bus, true);
}

struct worlds *worlds_free(struct worlds *all)
{
    if (!all)
        return NULL;
    struct world *w, *next;
    HASH_ITER(hh, all->by_name, w, next)
    {
        worlds_drop(w);
    }
    free(all);
    return NULL;
}

void worlds_drop(struct world *w)
{
    HASH_DEL(w->all->by_name, w);
    if (w->all->found == w)
        w->all->found = NULL;
    world_free(w);
}

void worlds_set_events(struct worlds *all, const struct worlds_events *events)
{
    all->events = *events;
}

static struct world *make_world(struct worlds *all, const char *name, const uid_t *owner)
{
    if (HASH_COUNT(all->by_name) >= LIMIT_WORLDS) {
        errno = EMFILE;
        return NULL;
    }
    struct world *w = world_new(all, name);
    if (!w)
        return NULL;
    w->is_owned = owner != NULL;
    w->owner = owner ? *owner : 0;
    HASH_ADD_STR(all->by_name, name, w);
    if (!w->hh.tbl) {
        world_free(w);
        errno = ENOMEM;
        return NULL;
    }
    world_publish(w, EVENT_WORLD_MADE, NULL, NULL, NULL);
    return w;
}

_urgent_ struct world *worlds_get(struct worlds *all, const char *name, bool make)
{
    struct world *w = all->found;
    if (w && strcmp(w->name, name) == 0)
        return w;
    HASH_FIND_STR(all->by_name, name, w);
    if (!w && make)
        w = make_world(all, name, NULL);
    if (w)
        all->found = w;
    else if (!make)
        errno = ENOENT;
    return w;
}

size_t worlds_of_uid(const struct worlds *all, uid_t uid)
{
    size_t n = 0;
    for (const struct world *w = all->by_name; w; w = w->hh.next)
        n += w->is_owned && w->owner == uid;
    return n;
}

int worlds_get_for(struct worlds *all, const char *name, uid_t uid, uint64_t quota,
                   struct world **ret)
{
    struct world *w = worlds_get(all, name, false);
    if (!w && worlds_of_uid(all, uid) >= quota)
        return -EDQUOT;
    if (!w && !(w = make_world(all, name, &uid)))
        return -errno;
    *ret = w;
    return 0;
}

struct world *worlds_after(struct worlds *all, const char *after)
{
    struct world *best = NULL;
    for (struct world *w = all->by_name; w; w = w->hh.next)
        if ((!after || strcmp(w->name, after) > 0) && (!best || strcmp(w->name, best->name) < 0))
            best = w;
    return best;
}

void worlds_end_debugger(struct worlds *all, uint64_t debugger)
{
    struct world *w, *next;
    HASH_ITER(hh, all->by_name, w, next)
    {
        world_end_debugger(w, debugger);
    }
}

uint64_t worlds_next_ticket(const struct worlds *all)
{
    return all->next_ticket;
}

void worlds_set_next_ticket(struct worlds *all, uint64_t id)
{
    all->next_ticket = id;
}
