/*
 * safepoint.h: where a VM may be held. It owns the gate and the watcher thread, and is the only
 * part of the worker that changes the VM's state in shared memory.
 *
 * Process and threads: worker. All functions are the VM thread's; the watcher waits for the
 * daemon's poke and turns each into one interrupt of the engine, which brings the VM thread to
 * safepoint_poll(). Most stops poke by a signal instead, whose handler does the same on the VM
 * thread itself.
 *
 * Invariants
 *  - Guest code runs only while state is SHM_RUNNING, but for evaluations.
 *  - Before the VM goes on from a park in which its engine was looked at, the engine is told
 *    (engine_debug_ops.resume).
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
    void (*serve)(void *userdata); /**< see safepoint_on_ask() */
    void *serve_userdata;
    void (*go_on)(void *userdata); /**< see safepoint_on_going_on() */
    void *go_on_userdata;
    _Atomic uint64_t interrupt_at_ns; /**< see safepoint_interrupt_at() */
    bool looked;                      /**< the engine was looked at since the VM has parked */
    uint64_t looked_since_ns;         /**< since when the gate was closed then */
    bool evaluating;      /**< guest code runs behind the closed gate, and must not come to it */
    bool no_waits;        /**< guest code runs that must not wait */
    bool no_waits_before; /**< the evaluation */
    pthread_t watcher;
    _Atomic uint32_t poke_seen; /**< the poke that the watcher has turned into an interrupt */
    sem_t watching;
};

void safepoint_init(struct safepoint *s, const struct world_page *world,
                    const struct command_page *command, struct status_page *status, int kick_fd,
                    struct daemon_channel *channel);

/** Starts the watcher, beside which the engine can be made. 0 or negative errno. */
int safepoint_start(struct safepoint *s);
/** Gives it this engine; returns when it needs no system call but futex any more. */
void safepoint_watch(struct safepoint *s, const struct engine_ops *ops, struct engine *engine);

/** What does what was asked for: called on the VM thread, with status parked; sends facts, waits
 * for nothing. */
void safepoint_on_ask(struct safepoint *s, void (*serve)(void *userdata), void *userdata);
/**
 * Something waits to be served at the gate. A VM that waits comes there soon, one that runs at its
 * next look at its gate, one that has not started before its first guest code.
 */
void safepoint_ask(struct safepoint *s);
bool safepoint_is_asked(const struct safepoint *s);
/** Called whenever the VM has passed its gate, before any guest code. */
void safepoint_on_going_on(struct safepoint *s, void (*go_on)(void *userdata), void *userdata);

/**
 * Has the watcher interrupt a VM that runs at this time (CLOCK_MONOTONIC), and if that changes
 * nothing again 4, 16, 64, 64, … seconds later. 0: no longer.
 */
void safepoint_interrupt_at(struct safepoint *s, uint64_t mono_ns);

/** As pthread_create(), for a thread beside the VM's, which alone is to get the daemon's signals.
 */
int safepoint_create_thread(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                            void *userdata);

/** From now on only the watcher can interrupt this engine, whatever it does. */
void safepoint_need_watcher(struct safepoint *s);

/** Before guest code. Parks while the gate is closed, or to serve what was asked for. */
void safepoint_enter(struct safepoint *s);
/** After guest code: SHM_IDLE or SHM_BLOCKED. */
void safepoint_leave(struct safepoint *s, enum shm_state state);
/** Inside or between guest code: likewise. */
void safepoint_poll(struct safepoint *s);
/** Inside guest code: parks until the daemon has answered; see gate_pause(). */
void safepoint_pause(struct safepoint *s, int (*announce)(void *userdata, uint64_t pause),
                     void *userdata);
/** The number that the next pause will have. */
uint64_t safepoint_next_pause(const struct safepoint *s);

/**
 * In serve(): guest code may run for the evaluation of this number, until safepoint_evaluated().
 * -ECANCELED: the daemon does not permit it, or not any more.
 */
int safepoint_evaluate(struct safepoint *s, uint64_t evaluation);
void safepoint_evaluated(struct safepoint *s);
bool safepoint_is_evaluating(const struct safepoint *s);
/** At a safe point of an evaluation: whether it may go on. */
bool safepoint_may_evaluate(const struct safepoint *s);
/** An evaluation is about to send a fact: the daemon, which takes the VM to be held, is told that
 * it could, with the parts that may come before it. */
void safepoint_expect_fact(struct safepoint *s);
/** Before anything of engine_debug_ops is used to look at a VM that stands. */
void safepoint_looked(struct safepoint *s);

/** Whether guest code that runs now may wait, and so whether the two that follow may be called. */
bool safepoint_may_wait(const struct safepoint *s);
/** Forbids or allows it; returns whether it was forbidden. */
bool safepoint_forbid_waits(struct safepoint *s, bool forbid);
/** Sleeps as `blocked` until the world clock says deadline_ns (UINT64_MAX: for ever). */
void safepoint_sleep(struct safepoint *s, uint64_t deadline_ns);

/**
 * Waits until done(userdata), serving the channel. A running VM is `blocked` meanwhile, and comes
 * to its gate when something is asked of it; one that has not started, or has ended, stays as it
 * is.
 */
void safepoint_wait(struct safepoint *s, bool (*done)(void *userdata), void *userdata);

/** The world clock in ns. */
uint64_t safepoint_clock_ns(struct safepoint *s);

/** Ends the process because its daemon is gone or speaks nonsense. */
_Noreturn void safepoint_orphaned(void);
