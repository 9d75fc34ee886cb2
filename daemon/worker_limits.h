/*
 * worker_limits.h: the limits of a VM that the daemon itself enforces, by clocks that it reads and
 * not by what the worker says: wall time on the VM's world clock, CPU time, how fast it writes, and
 * its memory where no controller limits that.
 * It owns their timers. Embedded in the struct worker, which it does not know.
 *
 * Process and thread: the daemon's only thread.
 *
 * Invariant: whatever is late ends the VM all the same. A limit of CPU time may be passed by as
 * much as the VM can use in one second (LOOK_MOST_US), since one that was idle is looked at that
 * rarely.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/look_queue.h"
#include "proto/vm_limits.h"

struct event;
struct event_base;

struct worker_limits_events {
    /** Time on the world clock, and whether that stands still now. */
    uint64_t (*clock_ns)(void *userdata, bool *ret_stands);
    uint64_t (*cpu_us)(void *userdata);
    uint64_t (*memory_bytes)(void *userdata);
    /** A limit is reached; `detail` says which. */
    void (*on_over)(void *userdata, const char *detail);
    /** It has so much memory, which is more than it may have. */
    void (*on_memory_over)(void *userdata, uint64_t bytes);
    /** The VM has written more than it may: it is to wait; or no more. */
    void (*on_hold_output)(void *userdata, bool hold);
};

struct worker_limits {
    const struct vm_limits *limits;
    const struct worker_limits_events *events;
    void *userdata;
    struct event *wall, *cpu, *memory, *output;
    struct look_queue *looks;
    struct look_turn cpu_look, memory_look; /**< each when its timer is due, in its turn */
    uint64_t admitted_ns;                   /**< on the world clock */
    uint64_t cpu_seen_us, cpu_pause_us;
    uint64_t memory_cpu_us, memory_pause_us; /**< as those, for its memory */
    /** Bytes that may be written now; below 0 the VM waits until that is made up for. */
    int64_t allowance;
    uint64_t allowance_ns; /**< when that was so */
    bool output_held, output_over;
};

/** `looks`, `limits` and `events` are the caller's and stay. 0 or -ENOMEM; worker_limits_done() in
 * any case. */
int worker_limits_init(struct worker_limits *l, struct event_base *base, struct look_queue *looks,
                       const struct vm_limits *limits, const struct worker_limits_events *events,
                       void *userdata);
void worker_limits_done(struct worker_limits *l);

/** The process exists: its CPU time counts, and its memory if nobody else limits that. */
void worker_limits_born(struct worker_limits *l, bool watch_memory);
/** Guest code may run: the world clock counts. */
void worker_limits_admitted(struct worker_limits *l);
/** It could run already, since admitted_ns. */
void worker_limits_resume(struct worker_limits *l);
/** So many bytes of console have come. */
void worker_limits_wrote(struct worker_limits *l, size_t bytes);
/** No more will come: it waits for nothing any more. */
void worker_limits_wrote_last(struct worker_limits *l);
