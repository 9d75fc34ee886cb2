/*
 * worker_channel.h: the daemon's end of one worker's channel (twin: worker/daemon_channel). It owns
 * the socket, the queue of commands that the worker has not taken yet, and the sequence of facts.
 * Every packet that comes in passes proto/check_worker; the first bad one breaks the channel, and
 * nothing that comes after it is read.
 *
 * Process and thread: the daemon's only thread. Never waits: a worker that does not read fills its
 * queue, up to LIMIT_WORKER_QUEUE_BYTES, and then sends fail.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/check_worker.h"
#include "proto/worker.pb-c.h"

struct event_base;
struct worker_channel;

/** A command that the worker has had no room for yet. */
struct worker_queued {
    uint64_t number;
    const uint8_t *data;
    size_t len;
    int fd; /**< beside it; -1: none */
};

struct worker_channel_events {
    /** A checked fact. Returns NULL, or why it is illegal now: then the channel breaks with that.
     */
    const char *(*on_fact)(void *userdata, const struct worker_fact *fact);
    /** Commands that had been queued were sent just now. */
    void (*on_flushed)(void *userdata);
    /** One is about to be queued. 0, or why it must not be: then it was not accepted. */
    int (*on_queued)(void *userdata, const struct worker_queued *queued);
    /** That one has been sent. */
    void (*on_sent)(void *userdata, const struct worker_queued *queued);
    /** The end: `why` is a text, or NULL when the worker closed its end. Called once. */
    void (*on_broken)(void *userdata, const char *why);
};

/** Takes `fd`, also on failure. Reads nothing yet. NULL without memory. */
struct worker_channel *worker_channel_new(struct event_base *base, int fd,
                                          const struct worker_channel_events *events,
                                          void *userdata);
/**
 * Of a worker whose daemon is gone: facts up to `heard` have been dealt with. It is asked to send
 * again what came after that, before anything else is sent to it; what lies on the way meanwhile
 * and has been heard, or will come again, is left out. 0 or negative errno.
 */
int worker_channel_resume(struct worker_channel *c, uint64_t heard);
/** What that daemon had queued, and may have sent: the worker leaves out what comes again. Takes
 * its fd, also on failure. In the order of their numbers, before anything is sent. 0 or -ENOMEM. */
int worker_channel_requeue(struct worker_channel *c, const struct worker_queued *queued);
/** Commands are numbered from the one after this on. */
void worker_channel_number_from(struct worker_channel *c, uint64_t number);
/** Calls `take` with each command that is queued, in order, until that is negative: which is
 * returned, else 0. */
int worker_channel_each_queued(const struct worker_channel *c,
                               int (*take)(void *userdata, const struct worker_queued *queued),
                               void *userdata);
/** Its socket, which stays its own. */
int worker_channel_fd(const struct worker_channel *c);
struct worker_channel *worker_channel_free(struct worker_channel *c);
/** From now on facts are read. 0 or negative errno. */
int worker_channel_listen(struct worker_channel *c);

/**
 * Sends or queues one command; takes `fd` (-1: none), also on failure. 0; -ENOBUFS when the worker
 * has not read for too long; -EMSGSIZE beyond LIMIT_PACKET_BYTES; -EPIPE after the end.
 */
int worker_channel_send(struct worker_channel *c, Stillpoint__Worker__Command *command, int fd);

/** While on, facts are not acknowledged that come from now on, and not the one that is being dealt
 *  with; those before it are. */
void worker_channel_defer(struct worker_channel *c, bool on);
/** Bytes of facts that the worker keeps, for want of an ack. */
size_t worker_channel_unacked(const struct worker_channel *c);
/** While on, facts are read but not acknowledged: a worker that fills its window waits. */
void worker_channel_hold_acks(struct worker_channel *c, bool hold);

/** Reads what is there now, rather than with the next turn of the loop, and acknowledges it. */
void worker_channel_hear(struct worker_channel *c);

/** Reads all that is there, to the end; for a worker that has died. */
void worker_channel_drain(struct worker_channel *c);
