/*
 * worlds.h: the set of all worlds, by name, and what they have in common: the numbers of tickets,
 * and whom they tell what happens. It owns the worlds; "default" is there from the start.
 *
 * Process and thread: the daemon's only thread.
 */
#pragma once

#include "daemon/world.h"

struct event_base;
struct event_bus;

struct worlds *worlds_new(struct event_base *base, struct event_bus *bus);
/** The same, for worlds that a later daemon may take over. */
struct worlds *worlds_new_kept(struct event_base *base, struct event_bus *bus);
struct worlds *worlds_free(struct worlds *all);
void worlds_set_events(struct worlds *all, const struct worlds_events *events);
/** Finds, or makes on first use if `make`; NULL and errno otherwise (ENOENT, EMFILE, ENOMEM). */
struct world *worlds_get(struct worlds *all, const char *name, bool make);
/** Finds, or makes it on behalf of this uid, whose it is then. -EDQUOT: that has `quota` worlds ·
 *  -EMFILE · -ENOMEM. */
int worlds_get_for(struct worlds *all, const char *name, uid_t uid, uint64_t quota,
                   struct world **ret);
/** Takes over a world of a daemon that is gone, as world_adopt() does; nobody is told that it is
 * there. */
int worlds_adopt(struct worlds *all, const Stillpoint__State__World *m, int page_fd);
/** How many worlds are this uid's. */
size_t worlds_of_uid(const struct worlds *all, uid_t uid);
/** The world with the smallest name > after (NULL: the first), or NULL. */
struct world *worlds_after(struct worlds *all, const char *after);
uint64_t worlds_next_ticket(const struct worlds *all);
void worlds_set_next_ticket(struct worlds *all, uint64_t id);
/** Ends all tickets of a debugger: those that wait are cancelled, what it has stopped is resumed.
 */
void worlds_end_debugger(struct worlds *all, uint64_t debugger);
