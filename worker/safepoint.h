/*
 * safepoint.h: where a VM may be held. It owns the gate and the watcher thread, and is the only
 * part of the worker that changes the VM's state in shared memory.
 *
 * Process and threads: worker. All functions are the VM thread's; the watcher waits for the
 * daemon's poke and turns each into one interrupt of the engine, which brings the VM thread to
 * safepoint_poll().
 *
 * Invariants
 *  - Guest code runs only while state is SHM_RUNNING.
 *  - status_page.last_fact names, in each state that is entered, the last fact sent before it.
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared-mem/gate.h"
#include "worker/daemon_channel.h"
#include "worker/engine.h"

struct safepoint {
    struct gate gate;
    enum shm_state state; /**< as last entered by us: starting, running, idle or blocked */
    struct daemon_channel *channel;
    const struct engine_ops *ops;
    struct engine *engine;
    pthread_t watcher;
    sem_t watching;
};

void safepoint_init(struct safepoint *s, const struct world_page *world,
                    const struct command_page *command, struct status_page *status, int kick_fd,
                    struct daemon_channel *channel);

/** Starts the watcher for this engine; returns when it needs no system call but futex any more.
 *  0 or negative errno. */
int safepoint_watch(struct safepoint *s, const struct engine_ops *ops, struct engine *engine);

/** Before guest code. Parks while the gate is closed. */
void safepoint_enter(struct safepoint *s);
/** After guest code: SHM_IDLE or SHM_BLOCKED. */
void safepoint_leave(struct safepoint *s, enum shm_state state);
/** Inside or between guest code: parks while the gate is closed. */
void safepoint_poll(struct safepoint *s);

/** Sleeps as `blocked` until the world clock says deadline_ns (UINT64_MAX: for ever). */
void safepoint_sleep(struct safepoint *s, uint64_t deadline_ns);

/**
 * Waits until done(userdata), serving the channel. A running VM is `blocked` meanwhile; one that
 * has not started, or has ended, stays as it is.
 */
void safepoint_wait(struct safepoint *s, bool (*done)(void *userdata), void *userdata);

/** The world clock in ns. */
uint64_t safepoint_clock_ns(struct safepoint *s);

/** Ends the process because its daemon is gone or speaks nonsense. */
_Noreturn void safepoint_orphaned(void);
