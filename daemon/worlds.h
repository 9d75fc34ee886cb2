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
struct worlds *worlds_free(struct worlds *all);
void worlds_set_events(struct worlds *all, const struct worlds_events *events);
/** Finds, or makes on first use if `make`; NULL and errno otherwise (ENOENT, EMFILE, ENOMEM). */
struct world *worlds_get(struct worlds *all, const char *name, bool make);
/** The world with the smallest name > after (NULL: the first), or NULL. */
struct world *worlds_after(struct worlds *all, const char *after);
uint64_t worlds_next_ticket(const struct worlds *all);
void worlds_set_next_ticket(struct worlds *all, uint64_t id);
/** Ends all tickets of a debugger: those that wait are cancelled, what it has stopped is resumed.
 */
void worlds_end_debugger(struct worlds *all, uint64_t debugger);
