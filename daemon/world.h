/*
 * world.h: a named set of VMs that stop together. It owns the mode, the tickets (requests to stop),
 * the control lease, the runner of run-one, and the world's page; it decides when a stop is
 * complete and what comes next. How memory shows an arrival is shared-mem/stop's; what the kernel
 * does, enforcer's; processes are worker's; debuggers are known by their ids only.
 *
 * Process and thread: the daemon's only thread; never waits. Everything that happens (a request, a
 * kick, a death, a timer, a confirmed freeze, the end of an operation) changes what is known and
 * calls world_advance(), which looks at all of it anew. So no event can be missed by being early,
 * and a request and a resume that meet are just one after the other.
 *
 *              ┌──────────── the stop is cancelled ─────────────┐
 *              ▼                                                │
 *   run-all ──a ticket──► stopping ──all have arrived──► stopped ──no ticket left──► run-all
 *   run-one ──a ticket, or its end──► stopping                  ├──next ticket──► stopped
 *      ▲       └──resume──► run-all        │                    └──run-one──► run-one
 *      └──────────── cancelled ────────────┘
 *
 * Invariants
 *  - At most one ticket is served at a time: an operation, or else the control ticket. The most
 *    urgent that can be served is, whatever the order of arrival, and between two of them no gate
 *    moves.
 *  - The lease is the control ticket: one controller, from when its stop is served until it ends,
 *    through all run-ones and operations in between.
 *  - Run-one lasts while run.one: an operation may interrupt it, and then it goes on.
 *  - "Stopped" is said only when every member has arrived, is frozen, or is gone.
 *  - A pause that a VM has made by itself is open for as long as somebody wants it: the controller,
 *    in whose stop it is; a ticket of its own in the queue; a hold. It is answered with the last of
 *    these, and at the latest before the VM's gate opens. No gate opens under an evaluation.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/stop_report.h"
#include "daemon/ticket.h"
#include "proto/limits.h"
#include "proto/state.pb-c.h"
#include "shared-mem/stop.h"

struct worker;
struct world;
struct worlds;

/** The numbers of WorldMode in api.proto. */
enum world_mode { WORLD_RUN_ALL = 1, WORLD_STOPPING, WORLD_STOPPED, WORLD_RUN_ONE };

/** What becomes of the world when a runner has ended; the numbers of RunnerExit in api.proto. */
enum world_runner_exit { WORLD_RUNNER_EXIT_STOP = 1, WORLD_RUNNER_EXIT_RESUME };

/** How one VM is to run alone. */
struct world_run {
    struct worker *runner; /**< parked */
    enum world_runner_exit on_exit;
    bool until_still;     /**< it ends when the runner goes idle or blocks */
    uint64_t deadline_us; /**< it ends after this; 0: never by itself */
    /** Once, when the world is stopped again, or runs: idle, blocked, ended (the VM), deadline,
     *  stopped, resumed, or what world_end_run() said. NULL: nobody wants to know. */
    void (*on_ended)(void *userdata, const char *why);
    void *userdata;
};

/** Facts that go up from the worlds. */
struct worlds_events {
    /** A debugger has one ticket more (+1) or less (-1). */
    void (*on_ticket)(void *userdata, uint64_t debugger, int change);
    void *userdata;
};

/** LIMIT_NAME_BYTES + 1 bytes. */
const char *world_name(const struct world *w);
enum world_mode world_mode(const struct world *w);
uint64_t world_epoch(const struct world *w);
struct stop_world *world_stop_half(struct world *w);
size_t world_members(const struct world *w);
/** The member with this id, or NULL. */
struct worker *world_member(const struct world *w, uint64_t vm);
/** A member that is not of this uid, or NULL. */
const struct worker *world_foreign_member(const struct world *w, uid_t uid);
/** Whether only its maker and admins put VMs into it: all but "default". *ret_owner: who that is.
 */
bool world_is_owned(const struct world *w, uid_t *ret_owner);
/** The ticket in service: the operation, else the control ticket, else that for which the world is
 *  being stopped; or NULL. */
const struct ticket *world_ticket(const struct world *w);
/** The control ticket, whose debugger is the controller, or NULL. */
const struct ticket *world_control(const struct world *w);
/** The ticket queued at place i, or NULL. */
const struct ticket *world_queued(const struct world *w, size_t i);
/** Realtime us at which the lease ends, as the clock is now. */
uint64_t world_expires_us(const struct world *w);
/** The VM that runs alone, or will again when the operation is over; 0: none. */
uint64_t world_runner(const struct world *w);
/** How that is to end; deadline_us is realtime. */
void world_run_read(const struct world *w, struct world_run *ret);
/** The VM that a debugger talks about; 0: none. */
uint64_t world_target(const struct world *w);
/** The ticket in service wants every VM frozen. */
bool world_is_enforced(const struct world *w);
/** Stops that only the timer completed, without the kick that should have: 0 unless there is a bug.
 */
uint64_t world_late_scans(const struct world *w);

/**
 * Asks for a stop. 0: it is served or queued; the callbacks of the request come, perhaps from
 * inside this call. -EBUSY: another has the lease, or is about to, and request->wait_us is 0; no
 * callback comes. -EMFILE: too many are queued; -ENOMEM.
 */
int world_stop(struct world *w, const struct ticket_request *request, uint64_t *ret_ticket);

/** What a resume ended, and what holds the world now. */
struct world_resumption {
    uint64_t ticket, next_ticket; /**< next 0: it runs */
    uint64_t held_us;             /**< how long the world was closed */
    uint64_t
        runnable_ns; /**< CLOCK_MONOTONIC: all gates open, all that were parked woken; 0: not */
};
/** The ticket that world_resume() would end, or NULL: whose owner may do that is for the caller. */
const struct ticket *world_resumes(const struct world *w);
/** Ends the stop: the control ticket, else the operation, else the stop under way. -EALREADY: there
 *  is none. */
int world_resume(struct world *w, struct world_resumption *ret);

/** The operation of this ticket is through; for one that was cancelled meanwhile nothing happens.
 */
void world_operation_done(struct world *w, uint64_t ticket);

/**
 * Lets one VM of a stopped world run alone. -EALREADY: not stopped, or by nobody who has the lease
 * · -EBUSY: an operation is being served, or interrupts a run-one · -EAGAIN: that VM is not parked
 * (held, or did not arrive) · -EPERM: it is held on its own.
 */
int world_run_one(struct world *w, const struct world_run *run);
/** The runner has come to where its run was to end; its pause, if it is in one, is kept until it
 * runs again. -EALREADY: that VM does not run alone. */
int world_end_run(struct world *w, struct worker *runner, const char *why);
/** Moves the target. -EALREADY: the world is not stopped; -EAGAIN: that VM is not parked. */
int world_set_target(struct world *w, struct worker *target);

/** Gives the lease to another debugger. `why` is for the event. -EALREADY: nobody has it. */
int world_move_lease(struct world *w, uint64_t debugger, const char *name, uid_t uid, bool admin,
                     bool hold_policy, uint64_t hold_us, const char *why);

/** Whoever asked is gone: tickets with this userdata that have not been served are cancelled, an
 *  operation ends. No callback comes for them any more. */
void world_forget(struct world *w, const void *userdata);

/** A frozen VM is thawed, alone, to serve requests behind its closed gate. */
void world_serve_begin(struct world *w, struct worker *worker);
/** One of them is over: it is frozen again if it has answered all that somebody waits for. */
void world_serve_end(struct world *w, struct worker *worker);

/** One hook more (+1) or less (-1) is for this world, and keeps it. */
void world_count_hooks(struct world *w, int change);
/** Frees the world if it has no VM, no ticket and no hook any more; "default" stays. */
void world_drop_if_unused(struct world *w);

/**
 * Takes over a world of a daemon that is gone: its page, before any member is added. Takes page_fd,
 * also on failure. 0 or negative errno.
 */
int world_adopt(struct world *w, const Stillpoint__State__World *m, int page_fd);
/** All its members are there: it goes on as the record says, open or closed, with its controller,
 * its target, its run-one; but nothing is told before world_begin(). */
void world_adopted(struct world *w, const Stillpoint__State__World *m);
void world_begin(struct world *w);
/** Has the service manager keep its page, if it does not yet. 0 or negative errno. */
int world_keep(struct world *w);
bool world_is_kept(const struct world *w);

/* Facts. */
void world_on_member_born(struct world *w, struct worker *worker);
/** Its gate was released for the first time. */
void world_on_member_admitted(struct world *w, struct worker *worker);
void world_on_member_kicked(struct world *w, struct worker *worker);
/** The VM has ended: takes its gate out of the world. The world may be gone after it. */
void world_on_member_ended(struct world *w, struct worker *worker);

/* Per-VM holds, in any mode, counted for each debugger. */
/** -EMFILE: too many debuggers hold it, or this one too often. */
int world_hold(struct world *w, struct worker *worker, uint64_t debugger, const char *name,
               uid_t uid);
/** The same, for the pause that is open: it is answered when this debugger holds it no longer. */
int world_hold_paused(struct world *w, struct worker *worker, uint64_t debugger, const char *name,
                      uid_t uid);
/** Answers the pause that is open in it, if nobody wants that (any more). worker may be NULL. */
void world_settle_pause(struct world *w, struct worker *worker);
/** -EALREADY if this debugger does not hold it. */
int world_release(struct world *w, struct worker *worker, uint64_t debugger, uid_t uid);
/** All holds of this debugger on this VM. Returns how many there were. */
unsigned world_release_all(struct world *w, struct worker *worker, uint64_t debugger);

/** "run-all", …; static texts. */
const char *world_mode_name(enum world_mode mode);
