/*
 * freezer.h: how a worker process is kept from running. It owns the daemon's own directory in the
 * cgroup v2 tree, with one directory in it for each worker; where there can be none, processes are
 * frozen by SIGSTOP, and it knows why. What else a directory limits is cgroup_limits.h's; this
 * gives it the directories, and the controllers their way down to them.
 *
 * Process and thread: the daemon's only thread; nothing here waits, but freezer_new() and
 * freezer_free() of a daemon that was started as root, which move the daemon (about 10 ms each).
 *
 *     <own>/stillpoint/<pid>/           locked (flock) for as long as the daemon lives; that of one
 *                                       whose workers may outlive it is kept/, or with its socket's
 *                                       path kept-run-…/
 *     <own>/stillpoint/<pid>/daemon/    the daemon and its zygotes, if it was started as root, or
 *                                       there are controllers: they need directories without
 *                                       processes above those that they limit
 *     <own>/stillpoint/<pid>/vm-<id>/   one worker
 *
 * where <own> is the cgroup that the daemon was started in.
 *
 * Invariants
 *  - No directory is used for a second worker.
 *  - A worker is born in its cgroup. It is never moved: that waits for an RCU grace period.
 *  - A confirmed freeze is what the kernel says about every thread, never what a worker says.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/vm_limits.h"

struct freezer;
struct grave;

enum freezer_kind {
    FREEZER_SIGNAL, /**< SIGSTOP, confirmed by /proc/PID/task */
    FREEZER_CGROUP, /**< cgroup.freeze, confirmed by cgroup.events */
};

/** A worker's share; embedded in it. */
struct freezer_cell {
    struct freezer *freezer;
    uint64_t vm;
    enum freezer_kind kind;
    bool made;           /**< it has a directory */
    struct grave *grave; /**< where it is remembered if it cannot be removed at once */
    unsigned limited;    /**< controllers (cgroup_limits.h) whose limits were set there */
    int dir_fd;          /**< O_PATH, until the worker is born; else -1 */
    int events_fd;       /**< cgroup.events, from the first look to the thaw; else -1 */
};

/**
 * Before the daemon gives up its starter's rights, for the ids that it will have then (its present
 * ones, if it has none to give up). Removes what dead daemons left. NULL only without memory.
 */
struct freezer *freezer_new(uid_t uid, gid_t gid);
/** The same for a daemon whose workers may outlive it: the next one that serves the same socket
 * takes the directory over, with all that is in it. NULL: the sockets are the service manager's,
 * and so is the cgroup that it is in. */
struct freezer *freezer_new_kept(uid_t uid, gid_t gid, const char *socket_path);
/** The same without any cgroup, for tests of the other way. */
struct freezer *freezer_new_signals(const char *why);
/**
 * After all workers and zygotes. Removes the directory, and waits a moment for processes that are
 * still dying in it. A daemon that was started as root cannot remove <own>/stillpoint, which is
 * left, empty.
 */
struct freezer *freezer_free(struct freezer *f);

/** NULL if workers get cgroups of their own; else why they do not. */
const char *freezer_why_degraded(const struct freezer *f);
/** The daemon's directory; "" if it has none. */
const char *freezer_path(const struct freezer *f);
/** Controllers that limit workers here. */
unsigned freezer_controllers(const struct freezer *f);

/**
 * Removes directories of workers that were still dying, and those of daemons that are dead. Called
 * by the functions here; returns how many of our own are still there.
 */
size_t freezer_sweep(struct freezer *f);

/** Makes the worker's directory. Without one, and with freezer NULL, the cell is of the other kind.
 */
void freezer_cell_init(struct freezer *f, struct freezer_cell *cell, uint64_t vm);
/** That of a worker that lives, if it was born in one. */
void freezer_cell_adopt(struct freezer *f, struct freezer_cell *cell, uint64_t vm);
/** Kills what is in directories of workers that nobody knows of, and removes them. */
void freezer_end_unknown(struct freezer *f, bool (*is_known)(void *userdata, uint64_t vm),
                         void *userdata);
/**
 * Sets the limits in the directory, where there is one and as far as there are controllers; the
 * cell knows which. 0, or a negative errno if a share of CPU was asked for and nothing would
 * enforce it.
 */
int freezer_cell_limit(struct freezer_cell *cell, const struct vm_limits *limits, uint32_t tasks);
/** Controllers whose limits hold for this worker. */
unsigned freezer_cell_limited(const struct freezer_cell *cell);
/** The kernel has killed it for the memory that it used. Before freezer_cell_done(). */
bool freezer_cell_was_oom(const struct freezer_cell *cell);
/** To be passed to the zygote, stays the cell's; -1: there is none. */
int freezer_cell_fd(const struct freezer_cell *cell);
/** The birth ended: error 0 if the worker is in its cgroup, else negative: why it is not. */
void freezer_cell_born(struct freezer_cell *cell, int error);
/** Thaws nothing. Removes the directory, or remembers it for freezer_sweep(). May be called twice.
 */
void freezer_cell_done(struct freezer_cell *cell);

enum freezer_kind freezer_cell_kind(const struct freezer_cell *cell);

/** Start, and do not wait. 0, -ESRCH if the process is gone, or another negative errno. */
int freezer_freeze(struct freezer_cell *cell, int pidfd);
int freezer_thaw(struct freezer_cell *cell, int pidfd);
/**
 * 1: no thread executes the program, or can before a thaw · 0: not yet · negative errno: -ESRCH if
 * the process was reaped, or another. A dead process that was not reaped yet counts as frozen. A
 * thread may still spend some microseconds in the kernel on its way off the CPU, which its account
 * gets only then.
 */
int freezer_is_frozen(struct freezer_cell *cell, pid_t pid);

/**
 * How long the main thread has run, ever, by the scheduler's account. That is exact when the thread
 * was seen asleep, and else may lack what it has run since the last tick. -ENODATA: this kernel
 * keeps no account · -ESRCH · other negative errno.
 */
int freezer_runtime_ns(pid_t pid, uint64_t *ret_ns, bool *ret_asleep);
