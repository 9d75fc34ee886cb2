#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "test_client_fake.h"

#include "base/cleanup.h"

static void flush(struct fake *fake)
{
    while (frame_writer_flush(&fake->out, fake->sock) > 0) {
        struct pollfd p = {.fd = fake->sock, .events = POLLOUT};
        poll(&p, 1, -1);
    }
}

void fake_send_fd(struct fake *fake, const fake_envelope *request, fake_envelope *message, int fd)
{
    message->has_request_id = message->has_fd_count = 1;
    message->request_id = request ? request->request_id : 0;
    message->fd_count = fd >= 0;
    size_t bytes = stillpoint__api__envelope__get_packed_size(message);
    _cleanup_free_ uint8_t *data = malloc(bytes);
    if (!data)
        abort();
    stillpoint__api__envelope__pack(message, data);
    if (frame_writer_put(&fake->out, data, bytes, fd) < 0)
        abort();
    flush(fake);
}

void fake_send(struct fake *fake, const fake_envelope *request, fake_envelope *message)
{
    fake_send_fd(fake, request, message, -1);
}

void fake_send_done(struct fake *fake, const fake_envelope *request)
{
    Stillpoint__Api__Done done = STILLPOINT__API__DONE__INIT;
    fake_envelope e = FAKE_BODY(DONE, done, &done);
    fake_send(fake, request, &e);
}

void fake_send_error(struct fake *fake, const fake_envelope *request, int code, const char *message,
                     const char *hint)
{
    Stillpoint__Api__Error error = STILLPOINT__API__ERROR__INIT;
    fake_envelope e = FAKE_BODY(ERROR, error, &error);
    error.has_code = 1;
    error.code = (Stillpoint__Api__ErrorCode)code;
    error.message = (char *)(uintptr_t)message;
    error.hint = (char *)(uintptr_t)hint;
    fake_send(fake, request, &e);
}

bool fake_hello(struct fake *fake, const fake_envelope *request)
{
    static char name[] = "stillpointd 9.9", observe[] = "observe", run[] = "run";
    static char *roles[] = {observe, run};
    Stillpoint__Api__HelloReply hello = STILLPOINT__API__HELLO_REPLY__INIT;
    fake_envelope e = FAKE_BODY(HELLO_REPLY, hello_reply, &hello);
    if (request->body_case != STILLPOINT__API__ENVELOPE__BODY_HELLO)
        return false;
    hello.has_version = hello.has_uid = 1;
    hello.version = 1;
    hello.uid = 1000;
    hello.daemon = name;
    hello.n_roles = 2;
    hello.roles = roles;
    fake_send(fake, request, &e);
    return true;
}

/* True: the next frame was handled, or there is none; false: hang up. */
static bool handle_frames(struct fake *fake, fake_fn handler)
{
    const uint8_t *data;
    size_t bytes;
    while (frame_reader_next(&fake->in, &data, &bytes) > 0) {
        fake_envelope *e = stillpoint__api__envelope__unpack(NULL, bytes, data);
        frame_reader_drop(&fake->in, bytes);
        if (!e)
            return false;
        fake->fd = e->fd_count > 0 ? frame_reader_take_fd(&fake->in) : -1;
        bool more = handler(fake, e);
        fd_close(&fake->fd);
        stillpoint__api__envelope__free_unpacked(e, NULL);
        if (!more)
            return false;
    }
    return true;
}

void fake_serve(int sock, fake_fn handler, void *data)
{
    struct fake fake = {.sock = sock, .fd = -1, .data = data};
    frame_reader_init(&fake.in);
    frame_writer_init(&fake.out, LIMIT_CLIENT_QUEUE_BYTES);
    struct pollfd p = {.fd = sock, .events = POLLIN};
    while (poll(&p, 1, -1) > 0 && frame_reader_fill(&fake.in, sock) > 0 &&
           handle_frames(&fake, handler))
        ;
    frame_reader_done(&fake.in);
    frame_writer_done(&fake.out);
    close(sock);
}
