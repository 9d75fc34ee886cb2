/*
 * messages.h: what comes for the program while it lives (calls, messages), what it sends (posts,
 * results of calls), and the queue between the channel and the program. Owns the queued messages.
 * VM thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/daemon_channel.h"

struct message {
    struct message *next;
    bool is_call;
    bool cancelled; /**< it has its turn, and nothing is done */
    uint64_t call_id;
    char *function; /**< of a call */
    char *json;     /**< the arguments, or the message */
    size_t json_bytes;
};

struct messages {
    struct daemon_channel *channel;
    struct message *first, **end;
    size_t n;
};

void messages_init(struct messages *m, struct daemon_channel *channel);
/** Frees those that nobody took. */
void messages_done(struct messages *m);

/**
 * Queues a Call or Deliver command; the memfd, if the text is in one, stays the caller's. A call
 * that finds no room is answered. Returns 0, -ENOBUFS for a message without room, or negative
 * errno.
 */
int messages_push_call(struct messages *m, const Stillpoint__Worker__Call *call, int memfd);
int messages_push_deliver(struct messages *m, const Stillpoint__Worker__Deliver *deliver,
                          int memfd);
/** Of one that is not queued any more nothing is left to cancel. */
void messages_cancel_call(struct messages *m, uint64_t call_id);
/** The oldest, or NULL; it is the caller's, for message_free(). */
struct message *messages_take(struct messages *m);
/** Returns NULL. */
struct message *message_free(struct message *x);

/** Facts. Return 0 or negative errno. */
int messages_post(struct messages *m, const char *json, size_t len);
int messages_call_done(struct messages *m, uint64_t call_id, bool ok, const char *text, size_t len);
int messages_no_such_function(struct messages *m, uint64_t call_id);
