/*
 * zygote_client.h: the daemon's side of a zygote, the process that gives birth to the workers of
 * one engine (twin: worker/zygote). It owns the process and its channel, starts it, and starts it
 * again when it dies; births that were under way then fail and are reported. In exec mode there is
 * no standing zygote: each birth starts a process of its own, which speaks the same protocol.
 *
 * Process and thread: the daemon's only thread; never waits.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/worker.pb-c.h"

struct event_base;
struct zygote_client;

enum {
    ZYGOTE_CHANNEL,
    ZYGOTE_WORLD,
    ZYGOTE_COMMAND,
    ZYGOTE_STATUS,
    ZYGOTE_KICK,
    ZYGOTE_LIFELINE,
    ZYGOTE_CGROUP, /**< the directory to be born in; -1: none */
    ZYGOTE_FDS
};

/** How a birth ended: pid > 0 and a pidfd, which is the receiver's; or error < 0 and a text. */
struct zygote_birth {
    pid_t pid;
    int pidfd, error;
    const char *detail;
    int cgroup_error; /**< 0: it is in the cgroup that was given; else why not, negative */
};

struct zygote_client_events {
    void (*on_spawned)(void *userdata, uint64_t spawn_id, const struct zygote_birth *birth);
    /** The zygote died; it will be started again. */
    void (*on_lost)(void *userdata, const char *engine, const char *why);
    /** Somebody may have been born that nobody was told of, or cannot be waited for. */
    void (*on_strays)(void *userdata);
};

/**
 * `program_fd` is an O_PATH or readable fd of the worker program; it is taken. The zygote is
 * started at once, unless exec_mode. NULL and errno on failure.
 */
struct zygote_client *zygote_client_new(struct event_base *base, const char *engine, int program_fd,
                                        bool exec_mode, const struct zygote_client_events *events,
                                        void *userdata);
/** Ends the zygote; workers that it gave birth to live on. */
struct zygote_client *zygote_client_free(struct zygote_client *z);

/**
 * Asks for a birth with these fds (not taken; indexed as above). 0, and on_spawned() will come
 * once; or negative errno.
 */
int zygote_client_spawn(struct zygote_client *z, Stillpoint__Worker__Spawn *spawn,
                        const int fds[ZYGOTE_FDS]);

/** Whether it is one of its processes: a zygote, or a birth under way in exec mode. */
bool zygote_client_has(const struct zygote_client *z, pid_t pid);
/** No birth is under way: every worker that lives has been told of, or never will be. */
bool zygote_client_is_quiet(const struct zygote_client *z);

/** Process id of the standing zygote; 0 if there is none. */
pid_t zygote_client_pid(const struct zygote_client *z);
