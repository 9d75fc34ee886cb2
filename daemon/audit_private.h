/*
 * audit_private.h: what the sources of audit share and nobody else includes: its fields, and the
 * calls between audit.c (hooks and their life) and audit_vm.c (what one VM has of them, and says).
 *
 * Process and thread: the daemon's only thread.
 */
#pragma once

#include "daemon/audit.h"
#include "daemon/worker.h"

/* What one debugger has here, from its first hook until it is gone. */
struct audit_debugger {
    uint64_t id;
    struct audit_hook *hooks; /**< in the order in which they were added */
    size_t n_hooks;
    struct hit_ring ring;
    UT_hash_handle hh;
};

/** A hit that is not in its ring yet, since it waits for the decision about a pause. */
struct audit_withheld {
    uint64_t hook, debugger;
    uint64_t pause; /**< 0: it is decided, or never asked for one */
    char *paused;   /**< NULL: nothing to say */
    uint8_t *packed;
    size_t bytes;
    uint64_t fact; /**< of the worker, that it came by */
    struct audit_withheld *prev, *next;
};

/** What one VM has of hooks, from the first until it has ended. */
struct audit_vm {
    uint64_t id;
    struct audit_part *parts; /**< in the order in which they were set */
    size_t n_sent;            /**< those that its worker has or may have */
    size_t n_orphans;
    bool unsent;            /**< perhaps some wait to be sent */
    struct audit_hook *own; /**< hooks for this VM alone */
    uint64_t requests[WORKER_MAX_INSPECTS];
    size_t n_requests; /**< sent and not answered */
    bool late;         /**< one was given up: until it answers nobody waits for this VM */
    struct audit_auditor *auditors;
    size_t n_auditors;
    struct audit_withheld *withheld; /**< oldest first */
    size_t n_withheld;
    uint64_t kept_fact; /**< of the last hit that was kept by a daemon that is gone */
    UT_hash_handle hh;
};

struct audit {
    struct registry *registry;
    struct worlds *worlds;
    struct debuggers *debuggers;
    struct audit_events events;
    struct audit_hook *hooks; /**< by id, in order of birth */
    struct audit_hook *wide;  /**< selectors and worlds: later VMs get them */
    struct audit_debugger *owners;
    struct audit_vm *vms;
    struct audit_auditor *auditors; /**< by number, in order of birth */
    uint64_t next_hook, next_auditor;
    uint64_t adopted_below; /**< hooks with smaller numbers may be another daemon's */
    bool kept;              /**< hits are kept for the next daemon */
    unsigned generation;
    bool untidy; /**< a world may have been kept by a hook that is gone */
};

/* ---- audit.c */

/** It could fire no more: no reason for its debugger to live. */
void audit_hook_release(struct audit *a, struct audit_hook *h);
struct audit_debugger *audit_owner(struct audit *a, uint64_t debugger);
struct audit_hook *audit_hook(struct audit *a, uint64_t id);

/* ---- audit_vm.c */

struct audit_vm *audit_vm_find(struct audit *a, uint64_t id);
/** NULL without memory. */
struct audit_vm *audit_vm_get(struct audit *a, uint64_t id);
void audit_vm_free(struct audit *a, struct audit_vm *v);
/** A new part, waiting to be sent. -EMFILE, -EALREADY, -ENOMEM. */
int audit_vm_add(struct audit_vm *v, struct audit_hook *h, void *waiter);
/** Tells a part to leave; `waiter` is told when it has, or it is an orphan without one, and in a VM
 *  that is late. False: nobody will be told; the part may be gone. */
bool audit_vm_take_out(struct audit *a, struct audit_part *part, void *waiter);
/** A part that the worker has. -ENOMEM. */
int audit_vm_adopt(struct audit *a, struct audit_vm *v, struct audit_hook *h, bool spent);
/** A hook has had so many hits in this VM. */
void audit_vm_count(struct audit *a, uint64_t vm, uint64_t hook, uint64_t hits);
/** Sends what waits to be sent, as far as there is room. */
void audit_vm_pump(struct audit *a, struct audit_vm *v);
