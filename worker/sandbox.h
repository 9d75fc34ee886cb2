/*
 * sandbox.h: what a newborn worker gives up, as a table of steps, and what became of each (its
 * posture). Namespaces come with the birth, or were made for it (zygote.c); system calls go last
 * (lockdown.h). After
 * each step the kernel is asked whether it is so: a step that says that it was done and was not is
 * one that failed.
 *
 * Process and thread: the worker, before it has a second thread and before any guest byte is read.
 *
 * Invariants
 *  - A step that is needed and fails ends the birth, unless degraded workers were asked for. What
 * it leaves is the daemon's to clear away: the process, its cgroup, its pages (daemon/worker.c).
 *  - Nothing after sandbox_enter() changes credentials, so that the parent-death signal stays.
 *  - No worker has host uid 0: the zygote refuses to start with it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The layers by name, in the order of the report. */
enum sandbox_layer {
    SANDBOX_USER,
    SANDBOX_PID,
    SANDBOX_MOUNT,
    SANDBOX_NET,
    SANDBOX_IPC,
    SANDBOX_UTS,
    SANDBOX_CGROUP,
    SANDBOX_ROOT,
    SANDBOX_CAPS,
    SANDBOX_NNP,
    SANDBOX_SECCOMP,
    SANDBOX_RLIMITS,
    SANDBOX_LANDLOCK,
    SANDBOX_FDS,
    SANDBOX_DUMPABLE,
    SANDBOX_LAYERS,
};

/** State of a layer; the numbers are those of worker.proto's Layer. */
enum sandbox_state { SANDBOX_OFF = 0, SANDBOX_DEGRADED = 1, SANDBOX_ON = 2 };

/** The numbers of the descriptors that a worker owns; all others are closed. 0 to 2 are /dev/null.
 */
enum sandbox_fd {
    SANDBOX_FD_CHANNEL = 3,
    SANDBOX_FD_KICK = 4,
    SANDBOX_FD_LIFELINE = 5, /**< closed again by sandbox_enter() if it dies with the daemon */
    SANDBOX_FD_NEST = 6,     /**< the first of a nest; closed again by sandbox_enter() */
};

/** Namespaces that one worker will be in, made before it is born, with all in them done that needs
 *  no process to be there. The first worker that is born in them is also the last. */
struct sandbox_nest {
    int fds[4]; /**< user, ipc, uts, mount; all -1: none */
};

/** Which namespaces the zygote was in before it made or joined any, by number of their inodes; 0
 * where that is not known. */
struct sandbox_outside {
    uint64_t namespaces[SANDBOX_LAYERS];
};

struct sandbox_options {
    uint64_t clone_flags;        /**< namespaces made at birth (CLONE_NEW*) */
    bool own_cgroup;             /**< it was born in one that has nobody else in it */
    bool net_is_zygotes;         /**< the empty network namespace is the zygote's, inherited */
    bool in_nest;                /**< four of them are those of a nest, and not entered yet */
    unsigned host_uid, host_gid; /**< ids outside of the new user namespace; never 0 */
    uint64_t data_bytes;         /**< RLIMIT_DATA; 0: none */
    uint64_t cpu_seconds;        /**< RLIMIT_CPU; 0: none */
    bool allow_degraded;
    bool die_with_daemon;
    struct sandbox_outside outside;
};

struct sandbox_posture {
    enum sandbox_state state[SANDBOX_LAYERS];
};

/** Looks where the calling process is. 0 or negative errno; what this kernel has not, and all of it
 *  where /proc is not mounted, is 0. */
int sandbox_look_outside(struct sandbox_outside *ret);

const char *sandbox_layer_name(enum sandbox_layer layer);

/** Makes one, in the zygote. 0 or negative errno. */
int sandbox_nest_make(struct sandbox_nest *nest, unsigned host_uid, unsigned host_gid);
void sandbox_nest_done(struct sandbox_nest *nest);

/**
 * Moves the three descriptors to their numbers above, and those of a nest, which may be NULL; puts
 * `null_fd` on 0 to 2, and closes all others. Returns 0 or negative errno.
 */
int sandbox_fds(int channel, int kick, int lifeline, int null_fd, const struct sandbox_nest *nest);

/**
 * Runs the steps, each with its check. Returns 0 and the posture; or negative errno with the name
 * of the step that was needed in *ret_step. Ends the process at once if the daemon is gone already.
 */
int sandbox_enter(const struct sandbox_options *o, struct sandbox_posture *posture,
                  const char **ret_step);

/**
 * For the zygote, which has a user namespace of its own: puts the calling process into a mount
 * namespace that has an empty root and /proc, which each worker's is then a copy of. 0 or negative
 * errno; without it workers copy what the host has mounted, and everything is where it was. Or
 * SANDBOX_HALF_WAY: the kernel takes this process to be in a chroot now, and lets it make no user
 * namespace any more.
 */
#define SANDBOX_HALF_WAY 1
int sandbox_shed_mounts(void);

/** Maps one id of the new user namespace of the calling process to one of its parent's. */
int sandbox_map_ids(unsigned inside_uid, unsigned host_uid, unsigned inside_gid, unsigned host_gid);
