/*
 * act_log.h: who did what, who was refused what, and how VMs ended: one record for each, with
 * fields in the journal, as a line elsewhere. It owns the count of what each uid has had recorded
 * lately: beyond its share records are dropped, counted, and the number is told once. So nobody can
 * fill the journal, and nobody can hide what others did by being loud.
 *
 * Process and thread: the daemon's only thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/limits.h"

struct act_log;
struct event_base;

enum act_outcome {
    ACT_DONE,   /**< taken up; what came of it is among the events */
    ACT_DENIED, /**< a role is missing, or it is another's */
    ACT_OVER_QUOTA,
};

/** NULL and 0: not known, or nothing to the point. */
struct act {
    uid_t uid;
    pid_t pid; /**< decoration: may be anybody's by now */
    const char *request;
    uint64_t vm;
    const char *vm_name, *world, *debugger;
    uid_t owner; /**< of what was acted on, where is_foreign */
    bool is_foreign;
    bool failed, over_quota; /**< for whoever decides whether to record it */
};

/** `quiet`: what was done is nobody else's business, and only refusals are recorded. */
struct act_log *act_log_new(struct event_base *base, bool quiet);
/** Tells what is still to be told of drops. */
struct act_log *act_log_free(struct act_log *log);

/** `why` NULL: nothing to add. */
void act_log_write(struct act_log *log, const struct act *act, enum act_outcome outcome,
                   const char *why);

/** A VM has ended, which act->uid, vm, vm_name and world say. `exit` is one of the words that
 * clients know for it, `is_failure` whether somebody should look; `detail` NULL: nothing to add. */
void act_log_ended(struct act_log *log, const struct act *act, const char *exit, bool is_failure,
                   const char *detail);
