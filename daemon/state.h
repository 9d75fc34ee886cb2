/*
 * state.h: the one module that keeps whatever must outlive the daemon process: VMs, worlds with
 * their tickets, debuggers, hooks, id counters. It writes a log of records (proto/state.proto) into
 * a memfd, each before the change that it describes is acknowledged to anybody, and reads such a
 * log back. It owns the memfd, and nothing of what it describes.
 *
 * Process and thread: the daemon's only thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/state.pb-c.h"

struct audit;
struct audit_hook;
struct debugger;
struct debuggers;
struct registry;
struct state;
struct vm_units;
struct vm_units_item;
struct worker;
struct worker_queued;
struct world;
struct worlds;

/** Of these records, and of those of events and hits that are kept beside them. */
#define STATE_VERSION 5

/** These are read when the log is written anew. NULL and errno on failure. */
struct state *state_new(struct registry *registry, struct worlds *worlds,
                        struct debuggers *debuggers, struct audit *audit);
struct state *state_free(struct state *s);
/** And these, from now on. */
void state_set_units(struct state *s, const struct vm_units *units);
/** From now on the log is kept by the service manager, too, whenever it is written anew, which this
 *  does: as that of the daemon with this number. 0 or negative errno. */
int state_keep(struct state *s, unsigned generation);

/* Each puts down one object as it is now. 0, or negative errno: then the change must not be
 * acknowledged. */
int state_put_vm(struct state *s, const struct worker *w);
int state_put_vm_gone(struct state *s, uint64_t id);
/** A command waits for room in the worker's socket; it has gone out, and all before it. */
int state_put_queued(struct state *s, const struct worker *w, const struct worker_queued *queued);
int state_put_sent(struct state *s, const struct worker *w, uint64_t number);
int state_put_world(struct state *s, const struct world *w);
int state_put_world_gone(struct state *s, const char *name);
int state_put_debugger(struct state *s, const struct debugger *d);
int state_put_debugger_gone(struct state *s, uint64_t id);
int state_put_hook(struct state *s, const struct audit_hook *h);
int state_put_hook_gone(struct state *s, uint64_t id);
int state_put_unit(struct state *s, const struct vm_units_item *u);

/** The memfd of the log; stays ours. */
int state_fd(const struct state *s);

/** What a log says, objects in order of their first record, gone ones left out. */
struct state_image {
    uint32_t version;
    unsigned generation; /**< of the daemon that wrote it */
    uint64_t next_vm, next_ticket, next_debugger, next_hook;
    size_t n_vms, n_worlds, n_debuggers, n_hooks;
    Stillpoint__State__Vm **vms;
    Stillpoint__State__World **worlds;
    Stillpoint__State__Debugger **debuggers;
    Stillpoint__State__Hook **hooks;
    size_t n_units;
    Stillpoint__State__Unit **units;
    size_t n_queued; /**< commands, in order, those of all VMs */
    Stillpoint__State__Queued **queued;
};

/**
 * Reads a log whole. -EPROTO if it is none, -EPROTONOSUPPORT if its version or that of the pages is
 * another; a record that was cut off at the end (its writer died) is left out. state_image_done()
 * after 0.
 */
int state_read(int fd, struct state_image *ret);
void state_image_done(struct state_image *image);
