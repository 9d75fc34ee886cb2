/*
 * adoption.h: how a daemon takes over from one that is gone: what the service manager has kept
 * becomes VMs, worlds, debuggers, hooks, hits and events again, and what nobody had been told of is
 * ended. docs/ADOPTION.md has the whole of it, and decision 0034 why. It owns what was kept, until
 * adoption_free(), and nothing of what it makes.
 *
 * Process and thread: the daemon's only thread. In this order: adoption_new() before anything else
 * is made · adoption_read_events() before anything is published · adoption_make() once all owners
 * are there · adoption_keep() once what changes is put down · adoption_begin().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct adoption;
struct audit;
struct debuggers;
struct event_base;
struct event_bus;
struct freezer;
struct pauses;
struct registry;
struct service;
struct vm_units;
struct state;
struct worlds;

struct adoption_owners {
    struct event_base *base;
    struct event_bus *bus;
    struct freezer *freezer;
    struct registry *registry;
    struct worlds *worlds;
    struct debuggers *debuggers;
    struct audit *audit;
    struct pauses *pauses;
    struct state *state;
    int lifeline_fd;      /**< as for worker_spawn() */
    uint32_t patience_ms; /**< how long clients have to come back */
};

/** NULL without memory: what was kept is kept on. */
struct adoption *adoption_new(struct service *service);
/** In place of it, for a daemon that takes nothing over: VMs of the one before are ended, and all
 * that was kept is dropped. 0, or -ENOMEM: it is kept on. */
int adoption_refuse(struct service *service);
/** What is left over is closed and dropped; takes NULL. Returns NULL. */
struct adoption *adoption_free(struct adoption *a);

/** How many daemons were before this one, of those of which something was kept. */
unsigned adoption_generation(const struct adoption *a);
/** What a daemon of this generation gives out for the first time is numbered from here on. */
uint64_t adoption_first_number(const struct adoption *a);

void adoption_read_events(struct adoption *a, struct event_bus *bus);
/** 0 or negative errno: then nothing may be ended by us. */
int adoption_make(struct adoption *a, const struct adoption_owners *o);
/** States of units, before they begin. */
void adoption_make_units(const struct adoption *a, struct vm_units *units);
/** From here on all is kept as ours. */
int adoption_keep(struct adoption *a, const struct adoption_owners *o);
/** Workers are heard, worlds go on, whom nobody knows is ended. */
void adoption_begin(struct adoption *a, const struct adoption_owners *o);
