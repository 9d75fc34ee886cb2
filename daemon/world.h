/*
 * world.h: a named set of VMs that stop together. It owns the mode, the tickets (requests to stop),
 * the lease of its controller, and the world's page; it decides when a stop is complete and says
 * how each VM came to count. How memory shows that is shared-mem/stop's; processes are worker's.
 *
 * Process and thread: the daemon's only thread; never waits. Modes and their edges: the table in
 * world.c.
 *
 *   run-all ──ticket──► stopping ──all arrived──► stopped ──resume, no ticket queued──► run-all
 *                          └─────────resume (the stop is cancelled)─────────────────────────┘
 *
 * Invariants
 *  - Exactly in stopping and stopped one ticket is in service; the others wait in the queue.
 *  - Each ticket ends exactly once, by one call of its on_served with the outcome, and later, if it
 *    was served, by resume.
 *  - "Stopped" is said only when every member has arrived or is gone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/limits.h"
#include "shared-mem/stop.h"

struct event_base;
struct event_bus;
struct worker;
struct world;
struct worlds;

/** The numbers of WorldMode in api.proto. */
enum world_mode { WORLD_RUN_ALL = 1, WORLD_STOPPING, WORLD_STOPPED, WORLD_RUN_ONE };

/** Why a world is to stop, the most urgent last. */
enum ticket_reason { TICKET_ADMIN, TICKET_CENSUS, TICKET_AUDIT, TICKET_DEBUGGER, TICKET_GC };

/** The numbers of How in api.proto. */
enum arrival_how { ARRIVAL_ACKED = 1, ARRIVAL_HELD, ARRIVAL_ENFORCED, ARRIVAL_DEAD };

struct arrival {
    uint64_t vm;
    char name[LIMIT_NAME_BYTES + 1];
    enum shm_state was;
    enum arrival_how how;
    uint64_t elapsed_us;
};

/** What a stop came to. Belongs to the world; valid during the callback. */
struct stop_report {
    const struct world *world;
    uint64_t ticket;
    enum ticket_reason reason;
    enum world_mode mode;
    uint64_t elapsed_us; /**< from the store that closed the world to the last arrival */
    const struct arrival *arrivals;
    size_t n_arrivals;
    const uint64_t *missing;
    size_t n_missing;
};

enum ticket_outcome {
    TICKET_SERVED,    /**< stopped, or the deadline passed: the report says which */
    TICKET_EXPIRED,   /**< its time in the queue ran out */
    TICKET_CANCELLED, /**< resumed, or its world went, before it was served */
};

/** What a stop is asked to be. */
struct ticket_request {
    enum ticket_reason reason;
    uid_t uid;
    uint64_t deadline_us, wait_us, hold_us;
    /** Called once, perhaps from inside world_stop(). `report` only if served. */
    void (*on_served)(void *userdata, enum ticket_outcome outcome,
                      const struct stop_report *report);
    void *userdata;
};

struct ticket {
    uint64_t id;
    struct ticket_request request;
    char debugger[LIMIT_NAME_BYTES + 1];
    uint64_t since_us; /**< realtime of the request */
    bool answered;
};

struct worlds *worlds_new(struct event_base *base, struct event_bus *bus);
struct worlds *worlds_free(struct worlds *all);
/** Finds, or makes on first use if `make`; NULL and errno otherwise (ENOENT, EMFILE, ENOMEM). */
struct world *worlds_get(struct worlds *all, const char *name, bool make);
/** The world with the smallest name > after (NULL: the first), or NULL. */
struct world *worlds_after(struct worlds *all, const char *after);
uint64_t worlds_next_ticket(const struct worlds *all);
void worlds_set_next_ticket(struct worlds *all, uint64_t id);

const char *world_name(const struct world *w);
enum world_mode world_mode(const struct world *w);
uint64_t world_epoch(const struct world *w);
struct stop_world *world_stop_half(struct world *w);
size_t world_members(const struct world *w);
/** The ticket in service, or NULL. */
const struct ticket *world_ticket(const struct world *w);
/** The ticket queued at place i, or NULL. */
const struct ticket *world_queued(const struct world *w, size_t i);
/** Realtime us at which the lease of the ticket in service ends. */
uint64_t world_expires_us(const struct world *w);
/** Stops that only the timer completed, without the kick that should have: 0 unless there is a bug.
 */
uint64_t world_late_scans(const struct world *w);

/**
 * Asks for a stop. 0: it is served or queued, and on_served comes once. -EBUSY: another ticket is
 * in service and request->wait_us is 0; on_served does not come. -EMFILE: too many are queued.
 */
int world_stop(struct world *w, const struct ticket_request *request, uint64_t *ret_ticket);

/**
 * Ends the ticket in service. -EALREADY: there is none. On success *ret_ticket is the one that
 * ended, *ret_next the queued one that is served now (0: the world runs), *ret_held_us how long the
 * world was closed.
 */
int world_resume(struct world *w, uint64_t *ret_ticket, uint64_t *ret_next, uint64_t *ret_held_us);

/** Takes tickets with this userdata out of the queue: whoever asked is gone. One that is in service
 *  stays. Returns whether there was one; its on_served does not come then. */
bool world_forget(struct world *w, const void *userdata);

/** Frees the world if it has no VM and no ticket any more; "default" stays. */
void world_drop_if_unused(struct world *w);

/* Facts. */
void world_on_member_born(struct world *w, struct worker *worker);
void world_on_member_kicked(struct world *w, struct worker *worker);
/** The VM has ended: takes its gate out of the world. The world may be gone after it. */
void world_on_member_ended(struct world *w, struct worker *worker);

/* Per-VM holds, in any mode. */
void world_hold(struct world *w, struct worker *worker, uid_t uid);
/** -EALREADY if nobody holds it. */
int world_release(struct world *w, struct worker *worker, uid_t uid);

/** "run-all", … and "admin", …; static texts. */
const char *world_mode_name(enum world_mode mode);
const char *ticket_reason_name(enum ticket_reason reason);
