/*
 * vm_units.h: the units, VMs that the daemon starts by itself: one for each file in the folder of
 * units (stillpoint-vm.conf(5)). It owns what the files say, which units are enabled, and what
 * becomes of each: when its VM is started, whether and when it is started again. The VMs are the
 * registry's, as all are; a unit keeps the id of its own.
 *
 * Process and thread: the daemon's only thread.
 *
 * States: off → running → off (somebody stopped it), exited (it ended well, and that was that),
 * restarting (a clock runs) or failed (it gave up, or could not be started); from each of these to
 * running. set_state() in vm_units.c tells of every change.
 *
 * Invariants
 *  - A unit's VM has the unit's name, and no other VM takes that name while there is the unit.
 *  - Reading the files anew never starts or ends a VM. What a file says holds from the next start
 *    on; of a file that is wrong, what it said before holds on.
 *  - Nothing is started while the daemon ends.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "proto/limits.h"
#include "proto/state.pb-c.h"
#include "proto/vm_unit.h"

struct event;
struct event_base;
struct event_bus;
struct registry;
struct vm_units;
struct worker;

/** The numbers of UnitState in api.proto. */
enum vm_units_state {
    VM_UNITS_OFF = 1,
    VM_UNITS_RUNNING,
    VM_UNITS_RESTARTING,
    VM_UNITS_EXITED,
    VM_UNITS_FAILED,
};

struct vm_units_item {
    char name[LIMIT_NAME_BYTES + 1];
    char *path;    /**< of its file */
    bool has_file; /**< `file` is what it says; else it never was right */
    struct vm_unit file;
    uid_t uid;    /**< owner of its VM */
    char *error;  /**< why its file, as it is now, is not in force: "FILE:LINE: …"; NULL: it is */
    bool gone;    /**< the file is; it lasts as long as its VM */
    bool changed; /**< its VM was started from an older file */
    bool enabled;

    enum vm_units_state state;
    uint64_t vm;            /**< 0: it has none that lives */
    uint32_t restarts;      /**< in a row */
    uint64_t restart_at_us; /**< while restarting: on the wall clock */
    char detail[256];       /**< why it is in its state */

    TAILQ_ENTRY(vm_units_item) link;
    struct vm_units *units;
    struct event *timer;
    uint64_t delay_us; /**< of the timer, when it was set */
    bool asked;        /**< whoever started it is told if it cannot be loaded */
    bool ending;       /**< whoever stopped it, did so by ending its VM */
    bool seen;
    bool kept; /**< as a daemon before has put it down, until vm_units_begin() */
};

struct vm_units_config {
    struct event_base *base;
    struct event_bus *bus;
    struct registry *registry;
    const char *folder, *state_dir; /**< are copied; folder NULL: there are no units */
    uid_t owner_uid;                /**< of units that name no owner */
    /** Makes its VM. 0; or negative errno and why: -EAGAIN if it is to be tried again. */
    int (*start)(void *userdata, const struct vm_units_item *unit, uint64_t *ret_vm, char *why,
                 size_t why_bytes);
    void *userdata;
};

/** NULL: out of memory. Reads nothing. */
struct vm_units *vm_units_new(const struct vm_units_config *config);
struct vm_units *vm_units_free(struct vm_units *units);

/** What reading the folder has come to: how many units. Each was logged by its name. */
struct vm_units_changes {
    unsigned added, changed, removed, wrong;
};

/** Reads all files. -ENOMEM, or 0; what is wrong with single ones is counted, and logged. */
int vm_units_reload(struct vm_units *units, struct vm_units_changes *ret);
/** The unit of this name, if there is one still, is as a daemon before has put down: stopped or
 * ended ones stay so, and one that waits for its restart waits on. Before vm_units_begin(). */
void vm_units_adopt(struct vm_units *units, const Stillpoint__State__Unit *m);
/** It has been in a state that is worth to be known to the next daemon. */
bool vm_units_is_changed(const struct vm_units_item *unit);
/** Starts what is enabled; a VM of a unit that lives already is taken over. */
void vm_units_begin(struct vm_units *units);
/** The daemon ends: nothing is started from now on. */
void vm_units_end(struct vm_units *units);

/** NULL: there is none. Also for a NULL `units`. */
struct vm_units_item *vm_units_find(const struct vm_units *units, const char *name);
/** The same; its file is read anew first, and it may be there only since then. */
struct vm_units_item *vm_units_refresh(struct vm_units *units, const char *name);
/** The unit with the smallest name > after (NULL: the first), or NULL. */
const struct vm_units_item *vm_units_after(const struct vm_units *units, const char *after);

/** Starts it, counting restarts anew; without effect while it has a VM. Otherwise as `start` of the
 *  configuration: then it has failed, and `why` is its detail too. */
int vm_units_start(struct vm_units_item *unit, char *why, size_t why_bytes);
/** Ends its VM, or its waiting for one. Returns the VM whose end is to be waited for; 0: none. */
uint64_t vm_units_stop(struct vm_units_item *unit, uid_t by);
/** 0, or negative errno: nothing has changed then. */
int vm_units_enable(struct vm_units_item *unit, bool enabled);

/** A VM has ended; it is still the registry's living one of its name. */
void vm_units_on_vm_ended(struct vm_units *units, const struct worker *w);
