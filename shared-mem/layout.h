/*
 * layout.h: the shared pages of stop-the-world, and the rule of who may run.
 *
 * Three kinds of page, one writer each:
 *
 *   world page    daemon writes · every worker of the world maps it read-only
 *   command page  daemon writes · the one worker it belongs to maps it read-only
 *   status page   the one worker writes · the daemon maps it read-only and treats it as input:
 *                 each field is loaded once, validated, and the copy is used
 *
 * No lock, pointer, index or count lives in any of them, so that a worker can at worst lie about
 * itself. Membership, modes and counts are in the daemon's own memory.
 *
 * Orders: each word that takes part in the hand-shake between "may run" and "does run" is accessed
 * with seq_cst on both sides (SHM_LOAD, SHM_STORE, SHM_XCHG). The pairs are store-buffer pairs:
 * each side stores its own word, then loads the other's, so that at least one sees the other. They
 * are
 *
 *   gate_enter: status := running   then loads world, command    ↔ stop_close, stop_hold: store
 * world or command, then load status gate_evaluate: status := evaluating, then loads evaluation ↔
 * stop_withdraw: evaluation := 0, then loads status gate_leave, gate_park: status := other, then
 * loads kick      ↔ stop_kick: kick + 1, then loads status gate_park:  status := parked,   then
 * loads bell, words ↔ stop_open, stop_release: store word, then load status, then bell + 1 and wake
 *
 * shared-mem/model holds the models of these, with a mutant for the removal of each order.
 */
#pragma once

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/** Raised with every change of the pages; a worker and a daemon that differ refuse each other. */
#define SHM_LAYOUT_VERSION 5u

#define SHM_PAGE_BYTES 4096u

/** The daemon's signal to the thread of a VM that runs although its gate is closed: a poke that
 * needs no watcher, and later, from a VM that has not come yet, that it let the CPU go for a
 * moment, if its watcher waits for one. By default it is ignored. */
#define SHM_SIGNAL SIGURG

/* Every access to a shared word passes here, so that a test build can put a scheduling point before
 * each (SHM_YIELD) and after the value to store was found (SHM_VALUE); a product build compiles it
 * to nothing. Test: tests/schedules. */
#ifdef STILLPOINT_SCHEDULES
void shm_yield(const char *label);
#define SHM_YIELD(label) shm_yield(label)
#define SHM_VALUE(v, label)                                                                        \
    __extension__({                                                                                \
        __auto_type value_ = (v);                                                                  \
        SHM_YIELD(label);                                                                          \
        value_;                                                                                    \
    })
#else
#define SHM_YIELD(label) ((void)0)
#define SHM_VALUE(v, label) (v)
#endif

#define SHM_LOAD(p) (SHM_YIELD("load " #p), atomic_load_explicit((p), memory_order_seq_cst))
#define SHM_STORE(p, v) atomic_store_explicit((p), SHM_VALUE(v, "store " #p), memory_order_seq_cst)
#define SHM_XCHG(p, v) atomic_exchange_explicit((p), SHM_VALUE(v, "xchg " #p), memory_order_seq_cst)
#define SHM_ADD(p, v) atomic_fetch_add_explicit((p), SHM_VALUE(v, "add " #p), memory_order_seq_cst)
/* Hints, ordered by the seq_cst access that follows or came before. */
#define SHM_LOAD_RELAXED(p) (SHM_YIELD("load " #p), atomic_load_explicit((p), memory_order_relaxed))
#define SHM_STORE_RELEASE(p, v)                                                                    \
    atomic_store_explicit((p), SHM_VALUE(v, "store " #p), memory_order_release)
#define SHM_STORE_RELAXED(p, v)                                                                    \
    atomic_store_explicit((p), SHM_VALUE(v, "store " #p), memory_order_relaxed)

/** What a VM does, by its worker's own word. The numbers are the wire between the two halves. */
enum shm_state {
    SHM_STARTING = 0, /**< born; compiles, runs no guest code */
    SHM_RUNNING = 1,  /**< may execute guest code at any moment ("active") */
    SHM_IDLE = 2,     /**< waits in its event loop, in ppoll */
    SHM_BLOCKED = 3,  /**< inside a declared blocking host call */
    SHM_PARKED = 4,   /**< at a safe point, waits on its bell */
    /** Runs the one evaluation that the command page names, behind its closed gate: counts as
     * arrived. */
    SHM_EVALUATING = 5,
    SHM_STATE_MAX = SHM_EVALUATING,
};

struct world_page {
    /** epoch << 1 | open. The epoch starts at 1 and grows with each change of mode or of runner. */
    _Atomic uint64_t word;
};

struct command_page {
    /** permit_epoch << 1 | released. Zero: park. One store changes both. */
    _Atomic uint64_t word;
    /** The VM's thread waits on it while parked or blocked. Bumped, then woken, by stop_ring. */
    _Atomic uint32_t bell;
    /** The watcher thread waits on it. Bumped at most once for each closing of this gate, and
     * before SHM_SIGNAL is sent. */
    _Atomic uint32_t poke;
    /** Kick number: "write your eventfd at your next arrival". */
    _Atomic uint32_t kick;
    /** Sequence lock of the two fields below: odd while they change. */
    _Atomic uint32_t held_seq;
    /** ns in which the gate was closed, all finished closings together. */
    _Atomic uint64_t held_ns;
    /** CLOCK_MONOTONIC of the store that closed the gate, 0 while it is open. */
    _Atomic uint64_t held_since_ns;
    /** CLOCK_MONOTONIC of the last ring; for `lost_wakes` only. */
    _Atomic uint64_t rung_ns;
    /** Number of the last pause of this VM that has been answered; never falls. How it was answered
     * is on the channel, sent before this store. */
    _Atomic uint64_t answered;
    /** The evaluation that may run behind the closed gate; 0: none. */
    _Atomic uint64_t evaluation;
    /** The daemon's own, for the next one: number of the last fact that has been dealt with. */
    _Atomic uint64_t heard;
    /** The same: calls and messages that were sent, and the bytes of those that wait. */
    _Atomic uint64_t messages_sent, message_bytes;
};

struct status_page {
    /** epoch << 8 | enum shm_state. The epoch is that of the world word when the state was entered.
     */
    _Atomic uint64_t word;
    /** 1: SHM_SIGNAL alone brings the VM to a safe point. A hint: what it does not bring, the
     * watcher does, later. */
    _Atomic uint32_t takes_signals;
    /** CLOCK_MONOTONIC of the last arrival at a park. A hint: checked against the daemon's own
     * times. */
    _Atomic uint64_t parked_ns;
    /** Number of the last fact sent on the channel before the state was entered. */
    _Atomic uint64_t last_fact;
    /** Time-outs of a park that found work which no bell had announced; 0 unless there is a bug. */
    _Atomic uint64_t lost_wakes;
    /** Calls and messages that were handed to the engine, of all that came on the channel. */
    _Atomic uint64_t messages_taken;
    /** 1 once the engine ran out of memory. */
    _Atomic uint32_t oom;
    /** Number of the last pause that the VM has made by itself. While the command page's `answered`
     * is smaller it stays parked, whatever its gate says. */
    _Atomic uint64_t pause;
    /** The system call that its filter has refused: architecture (AUDIT_ARCH_) << 32 | number, and
     * the address after the instruction; 0: none. */
    _Atomic uint64_t refused_call, refused_at;
};

_Static_assert(sizeof(struct world_page) <= SHM_PAGE_BYTES, "one page");
_Static_assert(sizeof(struct command_page) <= SHM_PAGE_BYTES, "one page");
_Static_assert(sizeof(struct status_page) <= SHM_PAGE_BYTES, "one page");
_Static_assert(sizeof(_Atomic uint64_t) == sizeof(uint64_t), "no hidden lock in shared memory");

static inline uint64_t shm_world_word(uint64_t epoch, bool open)
{
    return epoch << 1 | (open ? 1u : 0u);
}

static inline uint64_t shm_world_epoch(uint64_t world)
{
    return world >> 1;
}

static inline uint64_t shm_command_word(uint64_t permit_epoch, bool released)
{
    return permit_epoch << 1 | (released ? 1u : 0u);
}

static inline uint64_t shm_status_word(uint64_t epoch, enum shm_state state)
{
    return epoch << 8 | (uint64_t)state;
}

static inline uint64_t shm_status_epoch(uint64_t status)
{
    return status >> 8;
}

/** State of a status word; a value that no honest worker writes reads as running, the only state
 *  that never counts as an arrival. */
static inline enum shm_state shm_status_state(uint64_t status)
{
    uint64_t state = status & 0xff;
    return state > SHM_STATE_MAX ? SHM_RUNNING : (enum shm_state)state;
}

/** The rule of who may run, the same on both sides. */
static inline bool shm_may_run(uint64_t world, uint64_t command)
{
    uint64_t permit = command >> 1;
    bool open = (world & 1) != 0, released = (command & 1) != 0;
    return (open && released) || (permit != 0 && permit == shm_world_epoch(world));
}

/** CLOCK_MONOTONIC in ns: the clock of all times in these pages, and of both halves. */
#ifdef STILLPOINT_SCHEDULES
uint64_t shm_now_ns(void);
#else
static inline uint64_t shm_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}
#endif
