/*
 * world_private.h: what the sources of a world share and nobody else includes: its fields, and
 * the calls between world.c (modes and serving), world_ticket.c (queue and lease), world_arrival.c
 * (who has come, and who is made to), world_hold.c (holds of single VMs), world_pause.c (what
 * VMs pause for, what they evaluate) and worlds.c (the set).
 * Only world.c changes the mode.
 *
 * Process and thread: the daemon's only thread.
 */
#pragma once

#include <event2/util.h>
#include <uthash.h>

#include "daemon/event_bus.h"
#include "daemon/world.h"

struct enforcer;
struct event;
struct nudge;

struct world {
    UT_hash_handle hh;
    struct worlds *all;
    char name[LIMIT_NAME_BYTES + 1];
    bool is_owned; /* by the uid that made it */
    uid_t owner;
    enum world_mode mode;
    struct stop_world stop;
    struct enforcer *enforcer;
    struct nudge *nudge;

    struct ticket_queue pending;
    struct ticket *control, *operation; /**< in service; NULL: none */
    uint64_t closed_ns;                 /**< of the store that closed the running world */
    uint64_t stop_ns;    /**< of the store of the last stop; 0: its first ticket has been served */
    uint64_t stopped_ns; /**< of the change of mode that ended it */
    uint64_t expires_mono_us; /**< CLOCK_MONOTONIC at which the lease ends */
    bool announced;           /**< the stop under way has been published */
    bool late; /**< the deadline of this stop has passed: who is missing gets frozen */
    const char *stop_why;
    uint64_t stop_ticket;
    uid_t stop_uid;
    const char *end_why; /**< why a run-one ended; of the stop that follows */

    /** Run-one: the mode to return to while there is a control ticket. */
    struct {
        bool one;
        uint64_t vm;
        enum world_runner_exit on_exit;
        bool until_still;
        void (*on_ended)(void *userdata, const char *why);
        void *userdata;
        uint64_t until_us; /**< realtime; 0: it has no deadline */
        const char *over;  /**< why it ended; NULL: it has not, or whoever waited was told */
    } run;
    uint64_t target;
    bool is_kept;     /**< its page is in the service manager's store */
    bool keep_target; /**< of a stop that was taken over */

    bool timed; /**< scan or deadline may be pending */
    struct event *scan, *deadline, *expiry, *suspicion, *run_deadline;
    uint64_t suspect_vm, late_scans;
    struct stop_dead_list dead;
    size_t n_hooks;        /**< that are for it, and keep it */
    bool advancing, again; /**< world_advance() is at work; something happened inside it */
};

struct worlds {
    struct event_base *base;
    struct event_bus *bus;
    struct world *by_name;
    struct world *found; /**< the last that was asked for: mostly the next, too; or NULL */
    uint64_t next_ticket;
    bool kept; /**< they may outlive this daemon */
    struct worlds_events events;
};

static inline struct worker *world_worker_of(const struct stop_gate *g)
{
    return g->userdata;
}

/* ---- world.c */

/** NULL and errno. It is in no set yet. */
struct world *world_new(struct worlds *all, const char *name);
void world_free(struct world *w);
/** Looks at everything anew, until there is nothing to do but wait. What happens inside it, by
 *  callbacks, is looked at before it returns. */
void world_advance(struct world *w);
/** `t` and `vm` may be NULL. */
void world_publish(struct world *w, enum event_kind kind, const struct ticket *t,
                   const struct worker *vm, const char *detail);
void world_arm(struct event *timer, uint64_t us);
void world_run_until(struct world *w, uint64_t until_us, uint64_t us);
/** Whoever waits for the end is told when the world is what it is after the run-one. */
void world_end_run_one(struct world *w, const char *why);
/** Looks whether a runner that was to run until it is still has come to that. */
void world_look_at_runner(struct world *w);
uint64_t world_choose_target(const struct world *w, const struct ticket *t);
void world_move_target(struct world *w, uint64_t target);

/* ---- world_ticket.c */

void world_count_ticket(struct world *w, uint64_t debugger, int change);
void world_end_ticket(struct world *w, struct ticket *t, enum ticket_outcome outcome);
void world_end_control(struct world *w, enum ticket_outcome outcome, const char *why);
bool world_can_serve(const struct world *w, const struct ticket *t);
struct ticket *world_first_servable(const struct world *w);
struct ticket *world_in_service(const struct world *w);
struct ticket *world_ticket_to_resume(const struct world *w);
void world_sort_out_waiting(struct world *w);
void world_take_lease(struct world *w, struct ticket *t);
void world_cancel_controls(struct world *w, uint64_t debugger);
void world_end_debugger(struct world *w, uint64_t debugger);
void world_on_wait_over(void *userdata, struct ticket *t);
void world_on_expiry(evutil_socket_t fd, short what, void *userdata);

/* ---- world_arrival.c */

bool world_arrival_fulfilled(struct world *w, const struct ticket *t);
void world_arrival_forgive(struct world *w);
void world_arrival_miss(struct world *w, const struct ticket *t, bool kill_late);
void world_arrival_freeze(struct world *w);
void world_arrival_note_death(struct world *w, struct worker *worker);
void world_arrival_forget_dead(struct world *w);
void world_arrival_suspect(struct world *w, const struct stop_gate *kicked);
void world_arrival_clear_suspicion(struct world *w, const struct worker *worker);
void world_arrival_on_suspicion(evutil_socket_t fd, short what, void *userdata);

/* ---- world_pause.c */

struct worker *world_paused_for(const struct world *w, const struct ticket *t);
void world_end_shown_pauses(struct world *w);
void world_end_pause_tickets(struct world *w, uint64_t vm);
bool world_is_evaluating(struct world *w, const struct worker *only);
void world_end_evaluations(struct world *w);
void world_let_go(struct world *w, struct worker *worker);
void world_let_all_go(struct world *w);
unsigned world_rank(const struct worker *worker);

/* ---- worlds.c */

/** Takes it out of the set and frees it. */
void worlds_drop(struct world *w);
