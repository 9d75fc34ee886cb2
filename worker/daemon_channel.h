/*
 * daemon_channel.h: the worker's end of the channel to the daemon. Facts go up through it, commands
 * come down. Its twin is daemon/worker_channel.
 *
 * It owns the facts that the daemon has not acknowledged. The socket is the caller's. Worker, VM
 * thread.
 *
 * Invariants
 *  - Facts have numbers from 1 without gaps and leave in that order.
 *  - A fact is kept until a command's cumulative `ack` covers it, so that after TakeOver a daemon
 *    that missed it gets it again.
 *  - A command whose number is not larger than the last one's has been served, and is left out.
 *  - Nothing here waits but daemon_channel_wait(). A fact that the socket does not take stays and
 *    makes the channel congested; whoever makes facts out of guest code waits (safepoint_wait)
 * until it is not, so that kept facts stay within LIMIT_FACT_BUFFER_BYTES.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/worker.pb-c.h"

struct fact;

struct daemon_channel {
    int fd;
    uint64_t last_seq;         /**< number of the newest fact */
    uint64_t last_command;     /**< number of the newest command */
    struct fact *first, *last; /**< kept facts, oldest first */
    struct fact *unsent;       /**< the first that is still to be sent, or NULL */
    size_t kept_bytes;         /**< all kept facts */
    size_t console_bytes;      /**< console text among them */
    uint8_t *packet;           /**< LIMIT_PACKET_BYTES for what is received */
    /**
     * A command other than a bare ack or TakeOver. Takes what it wants of fds[0..n_fds), setting it
     * to -1. Returns 0 or negative errno, which ends the channel.
     */
    int (*on_command)(void *userdata, const Stillpoint__Worker__Command *command, int *fds,
                      size_t n_fds);
    void *userdata;
};

/** Takes no ownership of fd. Returns 0 or -ENOMEM. */
int daemon_channel_init(struct daemon_channel *c, int fd,
                        int (*on_command)(void *, const Stillpoint__Worker__Command *, int *,
                                          size_t),
                        void *userdata);
void daemon_channel_done(struct daemon_channel *c);

/** Numbers, keeps and, if it can, sends a fact. `fact->seq` is set here. Returns 0, also when the
 *  socket is full; -EMSGSIZE, -ENOMEM, -EPIPE. */
int daemon_channel_send(struct daemon_channel *c, Stillpoint__Worker__Fact *fact);

/** As many parts as the largest text has. */
#define DAEMON_CHANNEL_PARTS 9u

/** Likewise, with these bytes in Parts before it; none where len is 0. */
int daemon_channel_send_beside(struct daemon_channel *c, Stillpoint__Worker__Fact *fact,
                               const void *data, size_t len);

/** Text for a fact that may be larger than a packet: *ret_inline is the text, or empty where it has
 *  to travel beside: then it returns true. */
bool daemon_channel_wrap(const char *text, size_t len, ProtobufCBinaryData *ret_inline);

/** True while the daemon is too far behind for more facts of guest code. */
bool daemon_channel_congested(const struct daemon_channel *c);
/** True once the daemon has acknowledged all facts. */
bool daemon_channel_settled(const struct daemon_channel *c);

/** Receives and serves all commands that are there. Returns 0; -EPIPE when the channel has ended.
 */
int daemon_channel_drain(struct daemon_channel *c);

/**
 * Waits until something can be received, sent, or read from `other_fd` (-1: none), or for
 * timeout_ns (UINT64_MAX: for ever), then drains. Returns 0, 1 if other_fd is readable, -ETIMEDOUT,
 * or as daemon_channel_drain().
 */
int daemon_channel_wait(struct daemon_channel *c, int other_fd, uint64_t timeout_ns);
