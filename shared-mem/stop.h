/*
 * stop.h: the daemon's half of stop-the-world. It owns the pages of one world and of its workers,
 * and everything that is derived from them: which gate is open, who has arrived, and how. It never
 * waits: each function looks at memory, makes at most futex wakes, and returns. Its twin in the
 * worker is gate.h; the words are in layout.h.
 *
 * Process and thread: the daemon's only thread.
 *
 * What it knows nothing of: modes, tickets, deadlines, reports. Those are daemon/world's.
 *
 * Invariants
 *  - epoch grows with each store of the world word, never falls, never repeats.
 *  - A slot is open when shm_may_run() says so of the words as we last stored them.
 *  - A gate is poked at most once between a closing and the next opening.
 *  - A slot that has arrived stays so until the gate opens, whatever its status says after that.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"

/** How a VM came to count as stopped. */
enum stop_how {
    STOP_NOT_ARRIVED,
    STOP_ACKED, /**< parked at a safe point, by its own word, since its gate was closed */
    STOP_HELD,  /**< starting, idle or blocked behind its closed gate, or parked from before */
};

/**
 * What a stop reads and writes of each gate: nothing else of it is touched before the world is
 * stopped. They lie side by side, since the VM objects around the gates are pages apart, and all of
 * it has left the caches since the last stop.
 */
struct stop_slot {
    const struct status_page *status;
    uint64_t closed_epoch; /**< world epoch at the store that closed the gate */
    uint64_t closed_ns;    /**< CLOCK_MONOTONIC of that store */
    uint64_t arrived_ns;   /**< CLOCK_MONOTONIC, between closed_ns and when we saw it */
    uint64_t answered;     /**< pauses, as stored in the command page */
    bool open;
    bool arrived;
    bool excused;    /**< the kernel keeps it from running: nobody waits for it to arrive */
    bool signalled;  /**< it was poked by a signal, and its watcher sleeps */
    bool record_due; /**< the record of this closing has not been written */
    bool attended;   /**< the owner's: it may have something to see to before this gate opens */
    uint8_t how;     /**< enum stop_how */
    uint8_t was;     /**< enum shm_state: what it did when the gate closed */
};

/** One worker's gate, seen from the daemon. Embedded in the owner's VM object. */
struct stop_gate {
    struct command_page *command;
    const struct status_page *status;
    int command_fd, status_fd; /**< memfds for the worker; -1 once handed over and closed */
    int kick_fd;               /**< eventfd that the worker writes; the owner polls it */
    int pidfd;        /**< the owner's, of the worker, once it is known; -1: it gets no signals */
    void *userdata;   /**< the owner's */
    uint64_t made_ns; /**< CLOCK_MONOTONIC: it has been closed since then */

    struct stop_world *world; /**< NULL until stop_gate_join() */
    size_t index;             /**< place in world->gates and world->slots */

    bool released;   /**< as stored in the command word, but for holds */
    bool birth_done; /**< stop_admit() was called */
    unsigned holds;
    uint64_t held_ns;    /**< all finished closings together */
    uint64_t evaluation; /**< as stored in the command page */
};

struct stop_world {
    struct world_page *page;
    int page_fd;
    uint64_t serial; /**< no other world of this process has, or had, it */
    bool kept;       /**< its pages may be mapped for writing by a later daemon */
    uint64_t epoch;
    bool open;
    uint64_t changed_ns; /**< CLOCK_MONOTONIC of the last store of the world word */
    struct stop_gate **gates;
    struct stop_slot *slots; /**< of gates[i] at i */
    size_t n_gates, size_gates;
    size_t n_missing;         /**< gates that are closed, have not arrived, are not excused */
    struct stop_gate *kicked; /**< the one that was asked last, NULL if none or gone */
    struct stop_gate *runner; /**< run-one: has the permit of this epoch; NULL: nobody */
};

/** Of a gate that is in a world. */
static inline struct stop_slot *stop_slot(const struct stop_gate *g)
{
    return &g->world->slots[g->index];
}

/** False of a gate that is in no world any more. */
static inline bool stop_is_open(const struct stop_gate *g)
{
    return g->world && stop_slot(g)->open;
}

/** Makes the world's page, open, epoch 1. Returns 0 or negative errno. */
int stop_world_init(struct stop_world *w);
/** The same, for a world that a later daemon may take over, with its gates. */
int stop_world_init_kept(struct stop_world *w);
/**
 * Takes over a world of a daemon that is gone, with its page (mapped for writing) and its memfd.
 * Gates are added by stop_gate_adopt(); stop_world_adopted() has to follow.
 */
void stop_world_adopt(struct stop_world *w, struct world_page *page, int page_fd);
/**
 * All its gates are there, and their holds: opens or closes the world, under an epoch that is later
 * than `epoch` and any on the page; no permit is left, everybody is rung, and who runs behind a
 * closed gate is poked.
 */
void stop_world_adopted(struct stop_world *w, uint64_t epoch, bool open);
/** Gives all back. No gate may be left. */
void stop_world_done(struct stop_world *w);

/**
 * Makes the pages and the eventfd of a worker and adds it to the world, closed and unreleased.
 * Returns 0 or negative errno; after a failure there is nothing to undo.
 */
int stop_gate_init(struct stop_gate *g, struct stop_world *w, void *userdata);
/** The first half of that: pages and eventfd of a worker that is in no world yet, and counts in
 * none. `kept`: as that of the world which it will be in. */
int stop_gate_make(struct stop_gate *g, bool kept, void *userdata);
/** The second half. 0 or -ENOMEM; then the gate is as it was. */
int stop_gate_join(struct stop_gate *g, struct stop_world *w);
/** Takes the gate out of its world, if it is in one, and gives all back; accepts a zeroed gate. */
void stop_gate_done(struct stop_gate *g);
/** Pages and eventfd of a worker whose daemon is gone; mapped, and taken, like the memfds. */
struct stop_pages {
    struct command_page *command;
    const struct status_page *status;
    int command_fd, status_fd, kick_fd;
};
/** Adds it to the world that it was in, as its pages say, but for holds: those are stop_hold()'s.
 *  `admitted`: guest code could run. Evaluations are withdrawn. 0 or -ENOMEM; then nothing is
 *  taken. */
int stop_gate_adopt(struct stop_gate *g, struct stop_world *w, const struct stop_pages *pages,
                    bool admitted, void *userdata);
/** Closes our copies of the memfds once the worker has its own. */
void stop_gate_handed_over(struct stop_gate *g);

/** Closes every gate of the world with one store, and pokes those whose VM runs: by a signal where
 * that suffices. stop_settle() has to follow, and stop_wake_watcher() for whoever is missing after
 * a while. */
void stop_close(struct stop_world *w);
/** Stops the clocks of those that stop_close() closed: writes their records. Not urgent: a worker's
 *  clock never goes back, so it just stands still from when it was last read. */
void stop_settle(struct stop_world *w);
/** Opens the world with one store; rings those that are parked. Holds and unborn stay closed. */
void stop_open(struct stop_world *w);
/**
 * Run-one: in a closed world without a runner, this VM alone gets a permit, for the epoch that
 * begins with it; rings it if it is parked. It ends with stop_close(), which withdraws the permit
 * by the next epoch, or with stop_open(). The gate must be released and not held.
 */
void stop_permit(struct stop_gate *g);
/** Looks at all gates that are closed and have not arrived; counts those that have. Returns how
 * many are still missing. */
size_t stop_scan(struct stop_world *w);
/**
 * Asks one missing worker to write its eventfd when it arrives, and looks once more. Returns how
 * many are missing then: 0, or at least that one, whose eventfd will become readable.
 */
size_t stop_kick(struct stop_world *w);
/** Asks this worker to write its eventfd at its next store of a status other than running. Returns
 *  the state seen after asking. */
enum shm_state stop_kick_one(struct stop_gate *g);

/** First release of a worker that was born: program and limits are in place. */
void stop_admit(struct stop_gate *g);
/** One more owner holds this VM; the first closes its gate, that of a runner, too. */
void stop_hold(struct stop_gate *g);
/** One less; the last opens it, unless the world is closed and it is not its runner. */
void stop_release(struct stop_gate *g);

/** If it was poked by a signal, which has not brought it to its gate, its watcher is woken, once.
 */
void stop_wake_watcher(struct stop_gate *g);

/** Looks how this VM counts at this moment. One that was held is acked once it has parked. */
enum stop_how stop_how_now(struct stop_gate *g);

/** Its gate is closed, and it has not arrived, as far as that has been looked at. */
bool stop_is_missing(const struct stop_gate *g);
/** Whether a VM need not arrive, since it cannot run: then a stop does not wait for it. */
void stop_excuse(struct stop_gate *g, bool excused);

/** The pause of this number is answered, and all before it; to be called after the answer was sent.
 * Rings. */
void stop_answer(struct stop_gate *g, uint64_t pause);
/** By its own word the VM pauses, and that has not been answered. */
bool stop_is_paused(const struct stop_gate *g);
/** Lets one evaluation run behind the closed gate; to be called before it is sent. */
void stop_allow(struct stop_gate *g, uint64_t evaluation);
/** Withdraws the evaluation that is allowed, if one is, and pokes. Returns whether one still runs:
 * then it is about to end, and until then the gate must not be opened. */
bool stop_withdraw(struct stop_gate *g);

/** Bumps the bell, and wakes whoever sleeps on it. */
void stop_ring(struct stop_gate *g);
/** After a message on the channel: bumps the bell, and wakes the worker if it is not in ppoll. */
void stop_message_sent(struct stop_gate *g);

/** The state that the worker shows now (one load, validated). */
enum shm_state stop_state(const struct stop_gate *g);
/** True while the VM cannot run: it has arrived behind its closed gate. False of a gate that is in
 *  no world any more. */
bool stop_is_still(const struct stop_gate *g);
/** The VM's world clock in ns, as its worker computes it. */
uint64_t stop_clock_ns(const struct stop_gate *g);
