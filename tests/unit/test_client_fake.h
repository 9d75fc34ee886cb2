/*
 * test_client_fake.h: a daemon that says what a test wants: the real frames over a connected
 * socket, the answers of a handler. Runs in the thread or process that calls fake_serve().
 */
#pragma once

#include "proto/api.pb-c.h"
#include "proto/frame.h"

typedef Stillpoint__Api__Envelope fake_envelope;

struct fake {
    int sock;
    struct frame_reader in;
    struct frame_writer out;
    int fd; /**< that came with the request being handled; -1: none; closed after the handler */
    void *data;
};

/** An initialiser for a message to send: FAKE_BODY(DONE, done, &done_message). */
#define FAKE_BODY(CASE, field, message)                                                            \
    {                                                                                              \
        PROTOBUF_C_MESSAGE_INIT(&stillpoint__api__envelope__descriptor),                           \
            .body_case = STILLPOINT__API__ENVELOPE__BODY_##CASE, .field = (message),               \
    }

/** Answers one request, Hello included. False: the daemon hangs up. */
typedef bool (*fake_fn)(struct fake *fake, const fake_envelope *request);

/** Serves until the client or the handler hangs up. Takes the socket. */
void fake_serve(int sock, fake_fn handler, void *data);
/** Sends a reply to the request (NULL: an event). */
void fake_send(struct fake *fake, const fake_envelope *request, fake_envelope *message);
/** The same with a descriptor (-1: none), which it takes. */
void fake_send_fd(struct fake *fake, const fake_envelope *request, fake_envelope *message, int fd);
void fake_send_done(struct fake *fake, const fake_envelope *request);
void fake_send_error(struct fake *fake, const fake_envelope *request, int code, const char *message,
                     const char *hint);
/** Answers Hello, and true then. */
bool fake_hello(struct fake *fake, const fake_envelope *request);
