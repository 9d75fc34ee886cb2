/*
 * gate.h: the worker's half of stop-the-world. The gate stands between a VM's thread and the guest
 * code: the thread runs guest code only between gate_enter() (or a gate_poll() that returned) and
 * gate_leave(). Its twin in the daemon is stop.h; the words are in layout.h.
 *
 * Process and thread: one gate in a worker, used by the VM's thread alone, but for the functions
 * marked [watcher], which only read the pages.
 *
 * Invariants
 *  - status = running whenever guest code may execute; it was stored, and world and command word
 *    were read as open after that store, before the first instruction.
 *  - Every store of another status is followed by a look at the kick number.
 *  - What was asked for (`asked`) is served with status parked and at no other time, so that the VM
 *    counts as arrived however long it takes; the gate may be open meanwhile.
 *  - The thread sleeps on the bell only with status parked or blocked, with a bell value that was
 *    read after that status was stored and before the words and the channel were looked at.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"

struct gate {
    const struct world_page *world;
    const struct command_page *command;
    struct status_page *status;
    int kick_fd;            /**< our eventfd; the daemon reads it */
    uint32_t answered_kick; /**< kept here: the command page is read-only to us */
    uint32_t drained_bell;  /**< bell at the last look at the channel, if `drained` */
    bool drained;
    uint64_t clock_floor_ns;                   /**< the world clock never goes back */
    uint64_t clock_ahead_ns;                   /**< how much too far it was when last read */
    uint64_t last_held_ns, last_held_since_ns; /**< the record as last read whole */
    /**
     * Looks at the channel without waiting, serves what may be served behind a closed gate, queues
     * the rest. Returns 0 to go on, > 0 to end the VM (forwarded by the gate's functions).
     */
    int (*drain)(void *userdata);
    /**
     * Set by the owner, mostly from drain(): something is to be served at the gate. The next
     * gate_enter(), gate_poll() or gate_block() then parks even where the gate is open, and calls
     * serve(), which has no such thing left when it returns. NULL where nobody asks.
     */
    bool asked;
    int (*serve)(void *userdata);
    void *userdata;
    uint64_t pause;              /**< number of the last pause, kept here too */
    _Atomic uint32_t wakes;      /**< of the watcher, by gate_wake_watcher() */
    _Atomic uint32_t wakes_seen; /**< by the watcher */
    _Atomic uint64_t evaluating; /**< the evaluation that runs, 0: none; the watcher reads it */
    uint32_t signalled;          /**< the poke that gate_take_signal() has seen last */
    _Atomic bool
        takes_signals; /**< as the page says to the daemon; kept here, where nobody looks at it */
};

/** Binds the gate to its pages. Status starts as `starting`. */
void gate_init(struct gate *g, const struct world_page *world, const struct command_page *command,
               struct status_page *status, int kick_fd, int (*drain)(void *), void *userdata);

/** [watcher] Whether the VM may run at this moment. A hint unless status was stored before. */
bool gate_is_open(const struct gate *g);

/** Before any guest instruction. Parks while the gate is closed, or to serve what was asked for.
 *  Returns 0, or what `drain` or `serve` said. */
int gate_enter(struct gate *g);

/** After the last guest instruction: state is SHM_IDLE or SHM_BLOCKED. Never waits. */
void gate_leave(struct gate *g, enum shm_state state);

/** At a safe point inside guest code. Returns 0 at once while the gate is open and nothing was
 * asked for, else as gate_enter. */
int gate_poll(struct gate *g);

/**
 * At a safe point inside guest code: parks until the daemon has answered this pause, and the gate
 * is open. `announce` is called once with its number, when status says parked: it tells the daemon.
 * The answer has been drained from the channel when this returns. Returns as gate_enter.
 */
int gate_pause(struct gate *g, int (*announce)(void *userdata, uint64_t pause), void *userdata);

/**
 * While parked: the evaluation of this number is about to run guest code behind the closed gate.
 * -ECANCELED: the daemon does not name it, or no longer. gate_evaluated() has to follow a 0.
 */
int gate_evaluate(struct gate *g, uint64_t evaluation);
/** It is over: parked again. */
void gate_evaluated(struct gate *g);
/** At a safe point of that code: whether it may go on. */
bool gate_may_evaluate(const struct gate *g);

/**
 * Inside gate_leave(BLOCKED): waits until the world clock reaches deadline_ns (UINT64_MAX: never),
 * a bell rings, or drain() says something. A time-out behind a closed gate parks, and so does a VM
 * that something is asked of: it is blocked again when the gate has opened. Returns 1 when
 * the time has come, 0 when woken before (call again), negative -ECANCELED when drain() ended the
 * VM.
 */
int gate_block(struct gate *g, uint64_t deadline_ns);

/** CLOCK_MONOTONIC of the store that closed the gate, as last recorded; 0: it is open. Another
 * value than before says that it was open in between. */
uint64_t gate_closed_since_ns(struct gate *g);
/** The VM's world clock in ns: CLOCK_MONOTONIC less the time in which the gate was closed. */
uint64_t gate_clock_ns(struct gate *g);

/**
 * [watcher] Waits until the poke number differs from *seen and stores it there, for at most
 * timeout_ns (UINT64_MAX: for ever), or until it is woken. Returns whether it differed.
 */
bool gate_wait_poke(struct gate *g, uint32_t *seen, uint64_t timeout_ns);
/**
 * VM's thread: has gate_wait_poke() return, though nobody poked. Waits until the watcher says that
 * it will: the word that it sleeps on is the daemon's, so a wake alone could come too early.
 */
void gate_wake_watcher(struct gate *g);
/** Whether the watcher has been poked since it saw this number; may be asked in a signal handler.
 */
bool gate_is_poked(const struct gate *g, uint32_t seen);
/**
 * In the handler of SHM_SIGNAL, on the VM's thread: whether the VM is to be brought to a safe
 * point, and this is the first that is heard of it. Says so once for each poke.
 */
bool gate_take_signal(struct gate *g);
/** The SHM_SIGNAL alone brings the VM to a safe point, or does not any more. */
void gate_takes_signals(struct gate *g, bool takes);
/** Whether that was said last; may be asked in a signal handler. */
bool gate_has_signals(const struct gate *g);
/** [watcher] Whether the VM runs, as it says itself. */
bool gate_is_running(const struct gate *g);
/** [watcher, signal handler] True while the VM is to be brought to a safe point: closed gate, and
 * it still runs; or it evaluates what the daemon has withdrawn. */
bool gate_is_late(const struct gate *g);
