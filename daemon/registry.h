/*
 * registry.h: all VMs. It owns every `struct worker`, the living and the exited ones that are still
 * shown, gives out ids and names, and starts births. Everyone else keeps the 64-bit id across turns
 * of the loop and looks it up.
 *
 * Process and thread: the daemon's only thread.
 *
 * Invariants
 *  - An id is never given twice; the counter is part of daemon/state.
 *  - A name is unique among the living. Exited VMs keep theirs; a look-up by name finds the living
 * one, else the one that ended last.
 *  - Of exited VMs the last LIMIT_EXITED_PER_UID of each uid are kept.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "daemon/config.h"
#include "daemon/worker.h"

struct registry;

struct registry_config {
    const struct worker_host *host;
    int lifeline_fd; /**< read end of the life-line pipe; stays the caller's */
    const struct worker_events *events;
    void *userdata;
    /** What one uid may have, and all together; NULL: as much as the limits allow. */
    const struct config_quota *quota, *total;
    bool keeps_spare; /**< a worker is kept ready for the next VM (spare.h) */
    /** For that: the world of this name; NULL: there is none. */
    struct stop_world *(*world)(void *userdata, const char *name);
    /** Which zygote makes workers of this engine; NULL: no such engine. */
    struct zygote_client *(*zygote)(void *userdata, const char *engine);
    /** Whether no VM but a unit's may have this name; NULL: none is kept. */
    bool (*is_kept)(void *userdata, const char *name);
};

struct registry *registry_new(const struct registry_config *config);
/** Kills what lives, and reaps nothing but a spare. */
struct registry *registry_free(struct registry *r);
/** Nobody will be born any more: no worker is kept ready. */
void registry_end_spare(struct registry *r);

/** Next id to be given; state restores it. */
uint64_t registry_next_id(const struct registry *r);
void registry_set_next_id(struct registry *r, uint64_t id);

/**
 * Starts a birth. config->name NULL: one is made from config->program. `program_fd` is taken, also
 * on failure. -EEXIST: the name is taken · -EBUSY: it is kept for a unit · -EDQUOT: this uid has
 * its quota · -EMFILE: too many VMs in all · -ENOENT: no such engine · other.
 */
int registry_add(struct registry *r, struct stop_world *world, struct worker_config *config,
                 int program_fd, struct worker **ret);
/** Takes over one of a daemon that is gone, as worker_adopt() does. Also -EEXIST. */
int registry_adopt(struct registry *r, struct stop_world *world, const Stillpoint__State__Vm *m,
                   struct fd_store *store, uint64_t first_number, struct worker **ret);
/** One that has ended, with which there are as many of its uid as may be kept, and the oldest is
 * dropped. 0, -EEXIST or -ENOMEM. */
int registry_adopt_exited(struct registry *r, const Stillpoint__State__Vm *m,
                          struct fd_store *store);
/** For zygote_client's on_spawned. */
void registry_spawned(struct registry *r, uint64_t id, const struct zygote_birth *birth);
/** After on_ended: the VM goes to the exited ones, and the oldest of those may be dropped. */
void registry_retire(struct registry *r, struct worker *w);

struct worker *registry_find(struct registry *r, uint64_t id);
struct worker *registry_find_name(struct registry *r, const char *name);
/** The VM with the smallest id > after, or NULL: walks all in order of birth. */
struct worker *registry_after(struct registry *r, uint64_t after);
/** Number of VMs that have not exited. */
size_t registry_alive(const struct registry *r);
/** Those of this uid. */
size_t registry_alive_of(const struct registry *r, uid_t uid);
/** Whether a VM has this process, or one that is to be. */
bool registry_has_pid(const struct registry *r, pid_t pid);
