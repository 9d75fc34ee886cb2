/*
 * conn.h: the connection as the other files of libstillpoint see it: send one Envelope, and hear of
 * its reply.
 */
#pragma once

#include "client/stillpoint.h"
#include "proto/api.pb-c.h"

typedef Stillpoint__Api__Envelope conn_envelope;
typedef Stillpoint__Api__Envelope__BodyCase conn_body;

/** An initialiser: the Envelope with one request as its body. */
#define CONN_ENVELOPE(CASE, field, message)                                                        \
    {                                                                                              \
        PROTOBUF_C_MESSAGE_INIT(&stillpoint__api__envelope__descriptor),                           \
            .body_case = STILLPOINT__API__ENVELOPE__BODY_##CASE, .field = (message),               \
    }

/** Sets an optional scalar field. */
#define CONN_SET(message, field, value)                                                            \
    do {                                                                                           \
        (message).has_##field = 1;                                                                 \
        (message).field = (value);                                                                 \
    } while (0)

/** protobuf-c's strings are not const, though packing only reads them. */
static inline char *conn_text(const char *text)
{
    return (char *)text;
}

/**
 * The end of one request: 0 with its reply, of the expected kind; STILLPOINT_REFUSED; or the errno
 * of the connection's end. Called exactly once. A callee that keeps the reply sets *reply to NULL
 * and frees it by unpack_free(); one that keeps the descriptor that came with it (*fd, -1: none)
 * sets that to -1.
 */
typedef void (*conn_reply_fn)(struct stillpoint *sp, int r, conn_envelope **reply, int *fd,
                              void *data);

/** Sends a request, with a copy of `fd` unless it is -1. `done` may be NULL. */
int conn_send(struct stillpoint *sp, conn_envelope *request, int fd, conn_body expected,
              conn_reply_fn done, void *data);
/** Sends a request and waits for its reply, which is freed by conn_envelope_free(). */
int conn_call(struct stillpoint *sp, conn_envelope *request, int fd, conn_body expected,
              conn_envelope **ret_reply);
/** conn_call() where a descriptor may come with the reply: *ret_fd is the caller's; -1: none did.
 */
int conn_call_for_fd(struct stillpoint *sp, conn_envelope *request, conn_body expected,
                     conn_envelope **ret_reply, int *ret_fd);
/** conn_call() where the reply says nothing. */
int conn_call_done(struct stillpoint *sp, conn_envelope *request, int fd);
void conn_envelope_free(conn_envelope **envelope);

/** What the daemon sends unasked; valid during the call, in which the connection may be used. */
typedef void (*conn_unasked_fn)(struct stillpoint *sp, const conn_envelope *e);
/** stillpoint_connect_fd() with whom to tell of that. */
int conn_new(int fd, const char *client, conn_unasked_fn unasked, struct stillpoint **ret_sp);

const struct stillpoint_handlers *conn_handlers(const struct stillpoint *sp);
