/*
 * spare.h: one worker that is born before anybody has asked for it, so that whoever asks next need
 * not wait for a birth. It is made like the last VM that was asked for, when no other was for a
 * moment, and it is given to the next one that needs just such a process; one that needs another
 * ends it. Nobody but the registry sees it: it is no VM, has no name and no program, runs nothing,
 * and counts nowhere.
 *
 * Process and thread: the daemon's only thread.
 *
 * Invariants
 *  - There is at most one, dying ones included.
 *  - Its id was the next one when it was made, and it is given away or ended before another is
 *    given out: ids stay in the order of births.
 *  - One that dies, or whose birth fails, is not made again before somebody asks for a VM; that one
 *    is born the ordinary way, and says what is wrong.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/worker.h"

struct spare;

struct spare_config {
    const struct worker_host *host;
    int lifeline_fd;   /**< read end of the life-line pipe; stays the caller's */
    uint64_t *next_id; /**< of VMs: the spare takes one */
    /** The world of this name, as it is now; NULL: there is none. */
    struct stop_world *(*world)(void *userdata, const char *name);
    struct zygote_client *(*zygote)(void *userdata, const char *engine);
    void *userdata;
};

/** NULL without memory. */
struct spare *spare_new(const struct spare_config *config);
/** Kills the one that there is, and reaps it. All functions do nothing without a spare (NULL). */
struct spare *spare_free(struct spare *s);

/** A VM like this was asked for: so will be the next. */
void spare_follow(struct spare *s, const struct worker_config *config);
/** The one that there is, if it is what is asked for and lives; it stays the spare. */
struct worker *spare_find(struct spare *s, const struct stop_world *world,
                          const struct worker_config *config);
/** It is somebody's now. */
void spare_given(struct spare *s);
/** Ends it: something else was asked for. */
void spare_end(struct spare *s);

/** For zygote_client's on_spawned; false: it is not the spare's. */
bool spare_spawned(struct spare *s, uint64_t id, const struct zygote_birth *birth);
/** Whether it has this process. */
bool spare_has_pid(const struct spare *s, pid_t pid);
