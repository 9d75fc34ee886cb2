/*
 * audit_table.h: what this VM is observed at: one auditor for each referent and kind that is of
 * interest, and none else. It owns the auditors, the list of realms, and the frames that are
 * followed because every frame is; the hooks are the caller's.
 *
 * An auditor is there for its hooks, which it lists in the order in which they were set, or because
 * something of the worker's own needs to be told (`needs`: breakpoints wait for new scripts, steps
 * for frames). The engine observes exactly while one of both is so; a spent auditor's hooks do not
 * count (`armed`).
 *
 * pop and step of every frame are auditors of the realm here. The engine has none such: it reports
 * each frame that is entered, and that frame is observed then.
 *
 * Worker, VM thread.
 *
 * Invariants
 *  - on = needs > 0, or there are hooks and it is armed; but where the engine refused, and where
 *    the referent is gone.
 *  - An auditor without hooks and needs is not in the table, but until its end was told.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/engine.h"
#include "worker/hook.h"

/** What an auditor is found by. */
struct audit_key {
    enum engine_referent referent;
    enum engine_audit_kind kind;
    uint64_t id;
    uint64_t offset; /**< of a breakpoint, in its script */
};

struct auditor {
    struct auditor *next;                         /**< in its bucket */
    struct auditor *served_before, *served_after; /**< those with hooks */
    struct auditor *changed_after;                /**< those that changed, oldest first */
    struct audit_key key;
    char *url, *function;  /**< of a breakpoint: where it is; else NULL */
    uint32_t line, column; /**< likewise */
    uint64_t place_offset;
    char *label; /**< may be NULL */
    struct hook **hooks;
    size_t n_hooks, size_hooks;
    unsigned needs;
    bool armed, on, gone;
    bool changed; /**< since it was told */
    bool shown;   /**< the daemon has been told of it */
};

struct walked;

struct audit_table {
    const struct engine_debug_ops *ops;
    struct engine *engine;
    struct auditor **buckets;
    size_t n_buckets, n;
    struct auditor *served; /**< first of those with hooks */
    struct auditor *changed, **end_of_changed;
    struct audit_realm {
        uint64_t id;
        char *label;
    } * realms;
    size_t n_realms, size_realms;
    size_t n_disarmed;
    unsigned watches;                        /**< who wants `realms` to be kept */
    unsigned everywhere[ENGINE_AUDIT_KINDS]; /**< needs at every realm, later ones too */
    struct walked **walked; /**< hash table by frame: those that were entered under an auditor of
                               every frame */
    size_t n_walked_buckets, n_walked;
    unsigned in_engine; /**< ops under way that may say that a referent is gone: somebody here holds
                           on to what that would take off */
};

void audit_table_init(struct audit_table *t, const struct engine_debug_ops *ops,
                      struct engine *engine);
void audit_table_done(struct audit_table *t);

/** The referent at which the engine observes this kind. */
enum engine_referent audit_table_referent(enum engine_audit_kind kind);
/** NULL: there is none. */
struct auditor *audit_table_find(const struct audit_table *t, struct audit_key key);

/** One breakpoint of this script with hooks after the other; NULL is before the first, and after
 * the last. */
struct auditor *audit_table_next_breakpoint(const struct audit_table *t, uint64_t script,
                                            const struct auditor *before);

/** One more need of the worker's own. 0, or what the engine said. */
int audit_table_need(struct audit_table *t, enum engine_audit_kind kind, uint64_t id,
                     uint64_t offset);
/** One less; nothing, if the referent is gone. */
void audit_table_unneed(struct audit_table *t, enum engine_audit_kind kind, uint64_t id,
                        uint64_t offset);
/** The same for a kind of realms at every realm. */
int audit_table_need_everywhere(struct audit_table *t, enum engine_audit_kind kind);
void audit_table_unneed_everywhere(struct audit_table *t, enum engine_audit_kind kind);

/** Adds a hook at the end of an auditor's list, made if it is not there. *ret may be NULL. 0, or
 * what the engine said: then nothing has changed. */
int audit_table_hook(struct audit_table *t, struct audit_key key, struct hook *h,
                     struct auditor **ret);
/** Takes a hook off an auditor. */
void audit_table_unhook(struct audit_table *t, struct auditor *a, struct hook *h);
bool audit_table_has_hook(const struct auditor *a, const struct hook *h);
/** A spent auditor is disarmed. Arming may fail, with what the engine says: then it stays as it
 * is. */
int audit_table_arm(struct audit_table *t, struct auditor *a, bool armed);

/** Keeps the list of realms. */
int audit_table_watch(struct audit_table *t);
void audit_table_unwatch(struct audit_table *t);
/** A realm was made: it gets what is needed everywhere. 1: it was known already. */
int audit_table_realm_new(struct audit_table *t, uint64_t realm);

/** A frame is entered, or goes on: from now on it is observed as every frame of its realm is.
 * `order`: of the last hook that was set. */
void audit_table_entered(struct audit_table *t, uint64_t frame, uint64_t realm, uint64_t order);
/** Whether a hook on every frame means this one: it was entered since the hook was set. */
bool audit_table_covers(const struct audit_table *t, const struct hook *h, uint64_t frame);

/**
 * The referent is no more; not while in_engine. `each` is called for each hook on its auditors,
 * which are gone then.
 */
void audit_table_gone(struct audit_table *t, enum engine_referent referent, uint64_t id,
                      void (*each)(void *userdata, struct hook *h), void *userdata);

/** Calls `tell` for all auditors that have changed, oldest change first, and takes those off that
 * have ended. tell NULL: tells nobody, since everything is as it was. */
void audit_table_tell(struct audit_table *t, void (*tell)(void *userdata, const struct auditor *a),
                      void *userdata);
