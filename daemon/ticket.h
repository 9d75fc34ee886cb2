/*
 * ticket.h: one request to stop a world, and the line in which such requests wait. A ticket is an
 * object of its own with a number that is never given twice, not a bit for its reason: two requests
 * for the same reason are two, and none is lost in the service of the other.
 *
 * Process and thread: the daemon's only thread. Owner: the world.
 *
 * Two sorts. A *control* ticket takes the world's control lease and stays until a resume (or its
 * debugger's end). An *operation* (gc, census, stacks) is over by itself when it is done.
 *
 * Invariant: a ticket ends exactly once, in ticket_free(), which alone calls on_ended.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "proto/limits.h"

struct event;
struct event_base;
struct stop_report;

/** Why a world is to stop, the most urgent last: who is served first does not depend on who came
 *  first. The table of names is in ticket.c. */
enum ticket_reason {
    TICKET_ADMIN,
    TICKET_CENSUS,
    TICKET_AUDIT,
    TICKET_DEBUGGER,
    TICKET_GC,
    TICKET_REASONS
};

/** How a ticket ended. */
enum ticket_outcome {
    TICKET_SERVED = 1,
    TICKET_CANCELLED, /**< resumed, or whoever asked is gone, before it was through */
    TICKET_FAILED,    /**< its VMs could not even be frozen by its deadline */
    TICKET_TIMED_OUT, /**< its time in the queue ran out */
};

/** What a stop is asked to be, and on whose behalf. */
struct ticket_request {
    enum ticket_reason reason;
    bool operation;
    bool inside; /**< operation: it can be served inside anybody's stop */
    uid_t uid;
    bool admin;        /**< it may stop what others own */
    uint64_t debugger; /**< id of the debugger that it belongs to */
    char debugger_name[LIMIT_NAME_BYTES + 1];
    bool hold_policy;       /**< of that debugger, for those who look */
    uint64_t target;        /**< the VM that caused it, 0: none did */
    uint64_t pause;         /**< control: the pause of the target that it is for; 0: none */
    uint64_t dispatched_ns; /**< CLOCK_MONOTONIC when the request was taken up */
    uint64_t deadline_us;   /**< for the arrivals, from when the stop begins */
    uint64_t wait_us;       /**< at most in the queue; 0: refused rather than queued */
    uint64_t hold_us;       /**< control: life of the lease */
    bool enforce;           /**< every VM frozen, and confirmed, before it is served */
    bool require_idle;      /**< every VM parked, idle and blocked ones too */
    bool kill_late;         /**< who misses the deadline is killed, not frozen */
    /**
     * The world is stopped for it, as far as it could be: `report` says how. At most once, perhaps
     * from inside world_stop(). An operation begins with it, and has to call
     * world_operation_done().
     */
    void (*on_served)(void *userdata, const struct stop_report *report);
    /** The last word; exactly once, but for a control ticket that was served: that one is over for
     *  whoever asked when on_served has been called. */
    void (*on_ended)(void *userdata, enum ticket_outcome outcome);
    void *userdata;
};

/** A wait that never ends. */
#define TICKET_FOR_EVER UINT64_MAX

struct ticket {
    TAILQ_ENTRY(ticket) link;
    uint64_t id;
    struct ticket_request request;
    uint64_t since_us;          /**< realtime of the request */
    uint64_t since_ns;          /**< CLOCK_MONOTONIC of it: how long ago it was */
    uint64_t deadline_ns;       /**< CLOCK_MONOTONIC; 0: its stop has not begun */
    bool answered;              /**< on_served was called */
    bool missed;                /**< its deadline has passed: who had not come is frozen */
    bool in_run_one;            /**< it was asked for in a run-one, and may end or interrupt it; or
                                   before a pause of its debugger was served: it may follow that */
    struct event *wait;         /**< runs while it cannot be served */
    struct ticket_queue *queue; /**< NULL: not in a queue */
};

struct ticket_queue {
    TAILQ_HEAD(ticket_list, ticket) list; /**< most urgent first, then in order of arrival */
    size_t n;
    struct event_base *base;
    /** The wait of a ticket ran out; it is still in the queue. */
    void (*on_wait_over)(void *userdata, struct ticket *t);
    void *userdata;
};

void ticket_queue_init(struct ticket_queue *q, struct event_base *base,
                       void (*on_wait_over)(void *userdata, struct ticket *t), void *userdata);

/** A copy of the request; NULL without memory. */
struct ticket *ticket_new(uint64_t id, const struct ticket_request *request);
/** Takes it out of its queue, says how it ended, frees it. Returns NULL. */
struct ticket *ticket_free(struct ticket *t, enum ticket_outcome outcome);
/** Nobody is there any more to be told. */
void ticket_forget_caller(struct ticket *t);

/** -EMFILE: too many wait already. */
int ticket_queue_add(struct ticket_queue *q, struct ticket *t);
void ticket_queue_remove(struct ticket *t);
/** It cannot be served now: its wait begins, unless it has begun. -ENOMEM: it cannot be timed. */
int ticket_start_wait(struct ticket *t);
/** Its stop has not begun, or not again. */
void ticket_restart(struct ticket *t);
/** It can be served: time in the queue counts no longer. */
void ticket_end_wait(struct ticket *t);

const char *ticket_reason_name(enum ticket_reason reason);
const char *ticket_outcome_name(enum ticket_outcome outcome);
