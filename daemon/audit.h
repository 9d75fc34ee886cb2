/*
 * audit.h: hooks, what they have seen, and what workers say of their auditors. A hook is an object
 * of a debugger with a number that is never given twice; for each VM in which it is it has a part
 * there, and in that VM's worker there is a hook of the same number. It owns the hooks, their
 * parts, the rings of hits and the mirror of each VM's auditors. How VMs are brought to stand while
 * hooks are set is api_audit's.
 *
 * Process and thread: the daemon's only thread. Others keep ids across turns of the loop.
 *
 * Invariants
 *  - A VM gets a part for each hook that matches it before it loads its program (audit_on_born);
 *    those that have loaded get theirs from whoever adds the hook (audit_set).
 *  - A hook that could still fire, and is not weak, is one of what its debugger holds. It ends with
 *    the VM that it is for; a selector's or a world's lives until it is cleared.
 *  - A part goes when its worker has said that the hook is gone there, or with the VM: until then
 *    hits that are on the way are nobody's fault. A part without a hook is of one that is gone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uthash.h>

#include "daemon/hit_ring.h"
#include "proto/check_worker.h"
#include "proto/limits.h"
#include "proto/state.pb-c.h"
#include "proto/worker.pb-c.h"

struct audit;
struct audit_vm;
struct debuggers;
struct registry;
struct worker;
struct worlds;

enum audit_target { AUDIT_VM = 1, AUDIT_SELECTOR, AUDIT_WORLD };

enum audit_hook_state {
    AUDIT_INSTALLING, /**< it may have to be taken back */
    AUDIT_SET,
    AUDIT_REMOVING, /**< no VM gets it any more */
};

/** Which VMs a hook is for; "" where there is no bound. */
struct audit_where {
    enum audit_target target;
    bool of_owner; /**< only those of `owner`, whoever else has VMs there */
    uid_t owner;
    uint64_t vm;                     /**< AUDIT_VM */
    char name[LIMIT_NAME_BYTES + 1]; /**< of that VM, or the glob of AUDIT_SELECTOR */
    char world[LIMIT_NAME_BYTES + 1], engine[LIMIT_NAME_BYTES + 1];
};

struct audit_hook {
    uint64_t id, debugger;
    struct audit_where where;
    Stillpoint__Worker__Hook *wire; /**< as workers are told */
    char *note;                     /**< NULL: none */
    bool weak;
    uint64_t since_us;
    enum audit_hook_state state;
    uint64_t hits, dropped; /**< of all VMs, those that are gone too */
    struct audit_part *parts;
    size_t n_parts;
    bool holds; /**< counted among what its debugger holds */
    struct audit_debugger *owner;
    struct audit_hook *prev, *next;           /**< of its debugger */
    struct audit_hook *prev_wide, *next_wide; /**< of those that later VMs get */
    struct audit_hook *prev_own, *next_own;   /**< of those for one VM */
    UT_hash_handle hh;
};

enum audit_part_state {
    AUDIT_PART_WAITING, /**< not sent yet */
    AUDIT_PART_SETTING, /**< sent */
    AUDIT_PART_THERE,
    AUDIT_PART_FAILED,   /**< `error` says why; its worker does not have it */
    AUDIT_PART_ORPHAN,   /**< to be removed when its VM stands: see on_orphans */
    AUDIT_PART_LEAVING,  /**< to be removed, not sent yet */
    AUDIT_PART_REMOVING, /**< sent */
};

struct audit_place {
    char *url, *function;
    uint32_t line, column;
    uint64_t offset;
};

/** A hook in one VM. */
struct audit_part {
    struct audit_hook *hook; /**< NULL: it is gone, and the worker has not said so yet */
    uint64_t hook_id;
    unsigned kind;
    struct audit_vm *vm;
    enum audit_part_state state;
    uint64_t request; /**< the Inspect that it is in */
    bool alone;       /**< it goes by itself: one of those that went together could not be set */
    void *waiter;     /**< is told when it is settled */
    uint64_t hits, dropped;
    bool spent;
    char *error;
    struct audit_place *places;
    size_t n_places;
    bool pending;
    struct audit_part *prev, *next; /**< of its VM */
    struct audit_part *prev_of_hook, *next_of_hook;
};

/** What a worker says that it observes. */
struct audit_auditor {
    uint64_t number; /**< of the daemon's own; grows */
    uint64_t vm;
    uint32_t referent, kind;
    uint64_t referent_id, offset; /**< of a breakpoint: which place of its script */
    char *label;
    bool armed;
    size_t n_hooks;
    uint64_t *hooks;                   /**< in the order in which they are told */
    struct audit_auditor *prev, *next; /**< of its VM */
    UT_hash_handle hh;
};

/** What a debugger has in here. */
struct audit_holdings {
    size_t n_hooks;
    const struct hit_ring *ring; /**< NULL: it never had a hook */
};

/** Why a hook could not be set in a VM. */
struct audit_failure {
    enum worker_refusal refusal;
    const char *text;
};

/** Facts that go up. */
struct audit_events {
    /** Kept from now on: before anybody is told that it is set. */
    void (*on_hook_set)(void *userdata, const struct audit_hook *h);
    void (*on_hook_gone)(void *userdata, uint64_t id);
    /** The part that `waiter` waits for is there or gone (why NULL), or could not be set. */
    void (*on_settled)(void *userdata, void *waiter, const struct worker *w, unsigned kind,
                       const struct audit_failure *why);
    /** Parts are left over in VMs that nobody takes out, or worlds that nothing keeps: not from
     *  inside this call, see audit_orphans() and audit_tidy_worlds(). */
    void (*on_orphans)(void *userdata);
    /** There are hits for somebody who has asked by audit_want_hits(), or will be none any more;
     *  once. */
    void (*on_hits)(void *userdata, uint64_t debugger);
    void *userdata;
};

struct audit *audit_new(struct registry *registry, struct worlds *worlds,
                        struct debuggers *debuggers, const struct audit_events *events);
struct audit *audit_free(struct audit *a);

/* ---- from one daemon to the next */

/** What is reported is kept from now on, by the daemon with this number. */
void audit_keep(struct audit *a, unsigned generation);
/** What a daemon that is gone has kept of the hits of a debugger, before its hooks. */
int audit_adopt_hits(struct audit *a, uint64_t debugger, int fd);
/** A hook of it; the VMs that it is for, which have been taken over, have it. */
int audit_adopt_hook(struct audit *a, const Stillpoint__State__Hook *m);
/** All are there. What workers have of hooks that were never said to be set is no fault of theirs.
 */
void audit_adopted(struct audit *a, uint64_t next_hook);
/** Number of the last fact of this VM of which a hit was kept; 0: not known. */
uint64_t audit_kept_fact(struct audit *a, uint64_t vm);

/* ---- hooks */

uint64_t audit_next_hook(const struct audit *a);
const struct audit_hook *audit_find(struct audit *a, uint64_t id);
/** The hook with the smallest id > after, or NULL. */
const struct audit_hook *audit_after(struct audit *a, uint64_t after);
/** The next hook of this debugger (NULL: the first), or NULL. */
const struct audit_hook *audit_of_debugger(struct audit *a, uint64_t debugger,
                                           const struct audit_hook *after);
bool audit_matches(const struct audit_where *where, const struct worker *w);
/** Whether its count or total is used up, everywhere. */
bool audit_is_spent(const struct audit_hook *h);
void audit_holdings(struct audit *a, uint64_t debugger, struct audit_holdings *ret);

/**
 * Makes a hook, installing; VMs that are being born get it from now on. `wire` is copied, its
 * `hook` and `debugger` are set here. `waiter` is told of those that get it now, because they have
 * not loaded their program yet; *ret_waits says how many. -EMFILE: the debugger has too many ·
 * -ENOMEM.
 */
int audit_add(struct audit *a, uint64_t debugger, const struct audit_where *where,
              const Stillpoint__Worker__Hook *wire, bool weak, const char *note, void *waiter,
              uint64_t *ret_hook, size_t *ret_waits);
/** Sends it to a VM that stands and does not have it; `waiter` is told. -EMFILE: the VM has too
 *  many hooks · -EALREADY: it has it · -ENOMEM. */
int audit_set(struct audit *a, uint64_t hook, struct worker *w, void *waiter);
/** All have it. */
void audit_commit(struct audit *a, uint64_t hook);
/** No VM gets it any more, and those that have it, and stand, are told. Returns of how many
 * `waiter` will be told; the hook itself stays until audit_drop(). */
size_t audit_remove(struct audit *a, uint64_t hook, void *waiter);
/** The hook is gone. What VMs have of it is told to leave, and `waiter` is told, if there is one;
 *  else it is orphaned. Its debugger may be gone after this. Returns how many waits there are. */
size_t audit_drop(struct audit *a, uint64_t hook, void *waiter);
/** Nobody waits any more. */
void audit_forget(struct audit *a, const void *waiter);
/** The same, since it took too long: VMs that have not answered are late, and nobody waits for them
 *  until they have. Returns one of them, or NULL. */
struct worker *audit_give_up(struct audit *a, const void *waiter);
/** It has been given up, and has not answered since. */
bool audit_is_late(struct audit *a, uint64_t vm);
/** Drops all hooks of a debugger; it may be gone after this. */
void audit_clear(struct audit *a, uint64_t debugger);

/** Tells the orphans to leave, but those in VMs that are late; `waiter` is told. Returns how many.
 */
size_t audit_orphans(struct audit *a, void *waiter);
/** That audit_orphans() would tell. */
bool audit_has_orphans(struct audit *a, uint64_t vm);
/** Sends what the calls above have left to be sent. */
void audit_flush(struct audit *a);
/** Drops worlds that only a hook kept. */
void audit_tidy_worlds(struct audit *a);

/** Lets go of a debugger that is gone: its ring, and the hooks that it had. */
void audit_on_debugger_gone(struct audit *a, uint64_t debugger);

/* ---- VMs */

/** Its sandbox stands: it is sent all hooks that match. */
void audit_on_born(struct audit *a, struct worker *w);
/** No hook is on the way to it or out of it: it may load its program. */
bool audit_is_settled(struct audit *a, const struct worker *w);
/** False if this answers nothing of ours. */
bool audit_on_inspected(struct audit *a, struct worker *w, const struct worker_inspected *answer);
void audit_on_vm_ended(struct audit *a, const struct worker *w);

/* What workers say. NULL, or why it is a violation. */
const char *audit_on_hit(struct audit *a, struct worker *w, const Stillpoint__Worker__Hit *m);
const char *audit_on_audited(struct audit *a, struct worker *w,
                             const Stillpoint__Worker__Audited *m);
const char *audit_on_hook_ended(struct audit *a, struct worker *w,
                                const Stillpoint__Worker__HookEnded *m);
const char *audit_on_breakpoint_bound(struct audit *a, struct worker *w,
                                      const Stillpoint__Worker__BreakpointBound *m);

/**
 * What becomes of the pause of this number is decided. Hits that want it were withheld, and what
 * that VM has reported since: they go to their rings now. `paused` says of a hook what its hit will
 * show: "world", "vm", or why it does not pause; NULL: nothing.
 */
void audit_pause_decided(struct audit *a, struct worker *w, uint64_t pause,
                         const char *(*paused)(void *userdata, uint64_t hook), void *userdata);

/** Whether a hit of that hook is withheld for a pause: that names it although it was removed. */
bool audit_awaits_pause(struct audit *a, uint64_t vm, uint64_t hook);

/** Whether the VM may have a hook of this number from another daemon, which nobody wants any more.
 */
bool audit_is_of_before(struct audit *a, const struct worker *w, uint64_t hook);
/** The part of a hook in a VM, or NULL. */
const struct audit_part *audit_find_part(struct audit *a, uint64_t vm, uint64_t hook);
/** The next hook in this VM (NULL: the first), or NULL. */
const struct audit_part *audit_of_vm(struct audit *a, uint64_t vm, const struct audit_part *after);
uint64_t audit_part_vm(const struct audit_part *part);
/** The auditor with the smallest number > after, or NULL. */
const struct audit_auditor *audit_auditor_after(struct audit *a, uint64_t after);

/* ---- hits */

/** on_hits is called for the next hit. False: there is no ring, and never was a hook. */
bool audit_want_hits(struct audit *a, uint64_t debugger);
