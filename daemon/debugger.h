/*
 * debugger.h: durable objects on whose behalf worlds are stopped and VMs are held. A debugger is
 * not a connection: it lives while a connection has it open, while it holds a lease or a VM, while
 * a ticket of it is open, or while a hook of it could still fire; with none of these it is
 * reclaimed at once, and nobody can tell. "cli:<uid>" is made on demand for the one-shot verbs of
 * stillctl, and lives by what it holds.
 *
 * Process and thread: the daemon's only thread. Others keep ids across turns of the loop.
 *
 * Nobody is stranded: when the last connection that has a debugger open ends, its policy acts.
 * Resume (the default): its tickets are cancelled, what it has stopped is resumed, what it holds is
 * released. Hold: all that stays until its lease runs out, or until somebody of the same owner ends
 * it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/limits.h"
#include "proto/state.pb-c.h"

struct debuggers;
struct registry;
struct worlds;

struct debugger {
    uint64_t id;
    char name[LIMIT_NAME_BYTES + 1];
    char note[LIMIT_NOTE_BYTES + 1];
    uid_t owner;
    bool admin; /**< who used it last may act on what others own */
    bool hold_policy;
    size_t n_opens;    /**< connections that have it open */
    size_t n_holdings; /**< open tickets, VMs that it holds, hooks that could still fire */
};

/** Facts that go up. */
struct debuggers_events {
    void (*on_changed)(void *userdata, const struct debugger *d); /**< made, opened, closed */
    void (*on_gone)(void *userdata, uint64_t id);
    void *userdata;
};

/** Takes over worlds_set_events(). NULL without memory. */
struct debuggers *debuggers_new(struct worlds *worlds, struct registry *registry,
                                const struct debuggers_events *events);
struct debuggers *debuggers_free(struct debuggers *all);

/** How many one uid may have; kept, not copied. Without it LIMIT_DEBUGGERS_PER_UID. */
void debuggers_set_quota(struct debuggers *all, const uint64_t *quota);

/**
 * Takes over one of a daemon that is gone. One that was open stays so, as if by a connection that
 * is about to come back, until debuggers_end_grace().
 */
int debuggers_adopt(struct debuggers *all, const Stillpoint__State__Debugger *m);
/** All that they hold has been taken over: who holds nothing is reclaimed. */
void debuggers_adopted(struct debuggers *all, uint64_t next_id);
/** Who has not come back by now has gone. */
void debuggers_end_grace(struct debuggers *all);
bool debuggers_is_cli(const struct debugger *d);

uint64_t debuggers_next_id(const struct debuggers *all);
/** The debugger with the smallest id > after, or NULL. */
const struct debugger *debuggers_after(struct debuggers *all, uint64_t after);
const struct debugger *debuggers_find(struct debuggers *all, uint64_t id);
/** By name, or by id in decimal. */
const struct debugger *debuggers_find_ref(struct debuggers *all, const char *ref);

/**
 * "cli:<uid>", made if need be. It is reclaimed when this turn of its use leaves nothing behind:
 * call debuggers_reclaim() after that. One that was made is told of by debuggers_settle(), which
 * has to come before anything about it is put down or acknowledged. -ENOMEM, -EMFILE.
 */
int debuggers_cli(struct debuggers *all, uid_t uid, const struct debugger **ret);
/**
 * The debugger that a connection acts through: one that it has open, or the cli one of its uid
 * (ref NULL, or its name). -ENOENT · -EACCES: this connection has not opened it.
 */
int debuggers_of(struct debuggers *all, uint64_t client, uid_t uid, const char *ref,
                 const struct debugger **ret);
void debuggers_set_admin(struct debuggers *all, uint64_t id, bool admin);
/** How many this uid has. */
size_t debuggers_of_uid(const struct debuggers *all, uid_t uid);
void debuggers_reclaim(struct debuggers *all, uint64_t id);
/** It holds one thing more (+1) or less (-1); with the last it may be gone. */
void debuggers_count_holding(struct debuggers *all, uint64_t id, int change);
/** Whether any is open on a connection: somebody may stop a world at any moment. */
bool debuggers_any_open(const struct debuggers *all);
/** Tells of those that debuggers_cli() has made: a stop does not wait for that. */
void debuggers_settle(struct debuggers *all);

/**
 * Opens by name, made if there is none. -EACCES: it is another uid's · -EALREADY: this connection
 * has it open · -EMFILE · -ENOMEM. Where note or hold_policy is NULL it stays as it is; a new one
 * has none, and the policy resume. That of "cli:<uid>" cannot be changed.
 */
int debuggers_open(struct debuggers *all, uint64_t client, uid_t uid, const char *name,
                   const char *note, const bool *hold_policy, const struct debugger **ret);
/** Ends it and what it holds, whatever its policy. */
void debuggers_close(struct debuggers *all, uint64_t id);
/** The connection has ended: closes what it had open. */
void debuggers_on_client_gone(struct debuggers *all, uint64_t client);
