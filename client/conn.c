#include "client/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "proto/frame.h"
#include "proto/unpack.h"

#define PROTOCOL_VERSION 1
#define HELLO_TIMEOUT_MS 10000

/* One request without a reply yet. */
struct pending {
    struct pending *next;
    uint64_t id;
    conn_body expected;
    conn_reply_fn done;
    void *data;
};

struct stillpoint {
    int sock;
    struct frame_reader in;
    struct frame_writer out;
    int out_failed; /* errno of sending; what the daemon said before it closed is still read */
    int failed;     /* negative errno once the connection is over */
    uint64_t last_id;
    struct pending *pending;
    conn_unasked_fn unasked;
    struct stillpoint_handlers handlers;
    struct stillpoint_peer peer;
    struct stillpoint_error error;
    char *error_message, *error_hint; /* what `error` points to, unless a static text */
};

/* ---- the end of a connection and of requests */

static void pending_end(struct stillpoint *sp, struct pending *p, int r, conn_envelope **reply,
                        int *fd)
{
    conn_reply_fn done = p->done;
    void *data = p->data;
    free(p);
    if (done)
        done(sp, r, reply, fd, data);
}

static int conn_fail(struct stillpoint *sp, int r)
{
    if (sp->failed == 0)
        sp->failed = r;
    while (sp->pending) {
        struct pending *p = sp->pending;
        conn_envelope *none = NULL;
        int no_fd = -1;
        sp->pending = p->next;
        pending_end(sp, p, sp->failed, &none, &no_fd);
    }
    return sp->failed;
}

static struct pending *pending_take(struct stillpoint *sp, uint64_t id)
{
    for (struct pending **at = &sp->pending; *at; at = &(*at)->next)
        if ((*at)->id == id) {
            struct pending *p = *at;
            *at = p->next;
            return p;
        }
    return NULL;
}

static void error_clear(struct stillpoint *sp)
{
    free(sp->error_message);
    free(sp->error_hint);
    sp->error_message = sp->error_hint = NULL;
    sp->error = (struct stillpoint_error){.message = ""};
}

static void error_keep(struct stillpoint *sp, const Stillpoint__Api__Error *e)
{
    error_clear(sp);
    if (e->message && e->message[0])
        sp->error_message = strdup(e->message);
    if (e->hint && e->hint[0])
        sp->error_hint = strdup(e->hint);
    sp->error = (struct stillpoint_error){
        .code = e->has_code ? (enum stillpoint_error_code)e->code : STILLPOINT_ERROR_INTERNAL,
        .message = sp->error_message ? sp->error_message : "the daemon did not say why",
        .hint = sp->error_hint,
    };
}

/* ---- receiving */

static void reply_arrived(struct stillpoint *sp, conn_envelope **reply, int *fd)
{
    struct pending *p = pending_take(sp, (*reply)->request_id);
    if (!p)
        return;
    if ((*reply)->body_case == STILLPOINT__API__ENVELOPE__BODY_ERROR && (*reply)->error) {
        /* Nobody asks about what was posted, so it leaves no error behind. */
        if (p->done)
            error_keep(sp, (*reply)->error);
        pending_end(sp, p, STILLPOINT_REFUSED, reply, fd);
    } else if ((*reply)->body_case == p->expected) {
        pending_end(sp, p, 0, reply, fd);
    } else {
        pending_end(sp, p, -EPROTO, reply, fd);
    }
}

/* An error without a request is the daemon's last word: it is the answer to all that is open. */
static void turned_away(struct stillpoint *sp, conn_envelope **last, int *fd)
{
    error_keep(sp, (*last)->error);
    while (sp->pending) {
        struct pending *p = sp->pending;
        sp->pending = p->next;
        pending_end(sp, p, STILLPOINT_REFUSED, last, fd);
    }
}

/* The descriptor that came with a frame, -1: none. More than one has no message that this client
 * knows; those of a later protocol are not kept. */
static int take_fds(struct stillpoint *sp, uint32_t n)
{
    int first = n > 0 ? frame_reader_take_fd(&sp->in) : -1;
    for (; n > 1; n--) {
        _cleanup_close_ int fd = frame_reader_take_fd(&sp->in);
        if (fd < 0)
            break;
    }
    return first;
}

static int frame_arrived(struct stillpoint *sp, const uint8_t *data, size_t bytes)
{
    const char *why;
    _cleanup_(conn_envelope_free) conn_envelope *e =
        (conn_envelope *)unpack_message(&stillpoint__api__envelope__descriptor, data, bytes, &why);
    frame_reader_drop(&sp->in, bytes);
    if (!e)
        return -EPROTO;
    _cleanup_close_ int fd = take_fds(sp, e->fd_count);
    /* From here on a handler may dispatch again: nothing of this frame is in the reader now. */
    if (e->request_id != 0)
        reply_arrived(sp, &e, &fd);
    else if (e->body_case == STILLPOINT__API__ENVELOPE__BODY_ERROR && e->error)
        turned_away(sp, &e, &fd);
    else
        sp->unasked(sp, e);
    return 0;
}

static int frames_arrived(struct stillpoint *sp)
{
    const uint8_t *data;
    size_t bytes;
    int r;
    while ((r = frame_reader_next(&sp->in, &data, &bytes)) > 0) {
        r = frame_arrived(sp, data, bytes);
        if (r < 0 || sp->failed)
            return r < 0 ? r : sp->failed;
    }
    return r;
}

static void conn_flush(struct stillpoint *sp)
{
    int r = sp->out_failed ? 0 : frame_writer_flush(&sp->out, sp->sock);
    if (r < 0)
        sp->out_failed = r;
}

int stillpoint_dispatch(struct stillpoint *sp)
{
    if (sp->failed)
        return sp->failed;
    conn_flush(sp);
    int n = frame_reader_fill(&sp->in, sp->sock);
    int r = frames_arrived(sp);
    if (r < 0)
        return conn_fail(sp, r);
    if (n == 0)
        return conn_fail(sp, -ECONNRESET);
    if (n < 0 && n != -EAGAIN)
        return conn_fail(sp, n);
    conn_flush(sp); /* what handlers answered */
    return 0;
}

short stillpoint_poll_events(const struct stillpoint *sp)
{
    bool more = !sp->out_failed && frame_writer_queued(&sp->out) > 0;
    return (short)(POLLIN | (more ? POLLOUT : 0));
}

int stillpoint_wait(struct stillpoint *sp, int timeout_ms)
{
    if (sp->failed)
        return sp->failed;
    struct pollfd p = {.fd = sp->sock, .events = stillpoint_poll_events(sp)};
    int n = poll(&p, 1, timeout_ms);
    if (n < 0 && errno != EINTR)
        return conn_fail(sp, -errno);
    if (n == 0)
        return -ETIMEDOUT;
    return n < 0 ? 0 : stillpoint_dispatch(sp);
}

/* ---- sending */

static int envelope_put(struct stillpoint *sp, conn_envelope *e, int fd)
{
    _cleanup_close_ int copy = -1;
    size_t bytes = stillpoint__api__envelope__get_packed_size(e);
    if (bytes > LIMIT_FRAME_BYTES)
        return -EMSGSIZE;
    if (fd >= 0 && (copy = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0)
        return -errno;
    _cleanup_free_ uint8_t *data = malloc(bytes);
    if (!data)
        return -ENOMEM;
    stillpoint__api__envelope__pack(e, data);
    return frame_writer_put(&sp->out, data, bytes, TAKE_FD(copy));
}

int conn_send(struct stillpoint *sp, conn_envelope *request, int fd, conn_body expected,
              conn_reply_fn done, void *data)
{
    if (sp->failed)
        return sp->failed;
    struct pending *p = malloc(sizeof *p);
    if (!p)
        return -ENOMEM;
    error_clear(sp);
    CONN_SET(*request, request_id, ++sp->last_id);
    CONN_SET(*request, fd_count, fd >= 0 ? 1 : 0);
    int r = envelope_put(sp, request, fd);
    if (r < 0) {
        free(p);
        return r;
    }
    *p = (struct pending){sp->pending, sp->last_id, expected, done, data};
    sp->pending = p;
    conn_flush(sp);
    return 0;
}

struct call {
    bool ended;
    int r;
    conn_envelope *reply;
    int fd;
};

static void call_end(struct stillpoint *sp, int r, conn_envelope **reply, int *fd, void *data)
{
    struct call *call = data;
    (void)sp;
    call->ended = true;
    call->r = r;
    if (r == 0) {
        call->reply = TAKE_PTR(*reply);
        call->fd = TAKE_FD(*fd);
    }
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A call that runs out of time ends the connection: its reply would find nobody. */
static void call_wait(struct stillpoint *sp, struct call *call, int timeout_ms)
{
    int64_t end = now_ms() + timeout_ms;
    while (!call->ended) {
        int64_t left = timeout_ms < 0 ? -1 : end - now_ms();
        int r = left < 0 && timeout_ms >= 0 ? -ETIMEDOUT : stillpoint_wait(sp, (int)left);
        if (r < 0)
            conn_fail(sp, r);
    }
}

/* ret_fd NULL: a descriptor that comes with the reply is closed. */
static int call_within(struct stillpoint *sp, conn_envelope *request, int fd, conn_body expected,
                       int timeout_ms, conn_envelope **ret_reply, int *ret_fd)
{
    struct call call = {.fd = -1};
    int r = conn_send(sp, request, fd, expected, call_end, &call);
    if (r < 0)
        return r;
    call_wait(sp, &call, timeout_ms);
    if (call.r == 0)
        *ret_reply = call.reply;
    if (call.r == 0 && ret_fd)
        *ret_fd = call.fd;
    else
        fd_close(&call.fd);
    return call.r;
}

int conn_call(struct stillpoint *sp, conn_envelope *request, int fd, conn_body expected,
              conn_envelope **ret_reply)
{
    return call_within(sp, request, fd, expected, -1, ret_reply, NULL);
}

int conn_call_for_fd(struct stillpoint *sp, conn_envelope *request, conn_body expected,
                     conn_envelope **ret_reply, int *ret_fd)
{
    return call_within(sp, request, -1, expected, -1, ret_reply, ret_fd);
}

int conn_call_done(struct stillpoint *sp, conn_envelope *request, int fd)
{
    _cleanup_(conn_envelope_free) conn_envelope *reply = NULL;
    return conn_call(sp, request, fd, STILLPOINT__API__ENVELOPE__BODY_DONE, &reply);
}

void conn_envelope_free(conn_envelope **envelope)
{
    if (*envelope)
        unpack_free(&(*envelope)->base);
    *envelope = NULL;
}

/* ---- making a connection */

/* NULL without memory. */
static char *join_words(size_t n, char **words)
{
    size_t bytes = 1, at = 0;
    for (size_t i = 0; i < n; i++)
        bytes += strlen(words[i]) + 1;
    char *text = calloc(1, bytes);
    for (size_t i = 0; text && i < n; i++)
        at += (size_t)sprintf(text + at, "%s%s", i > 0 ? " " : "", words[i]);
    return text;
}

static int hello(struct stillpoint *sp, const char *client)
{
    Stillpoint__Api__Hello m = STILLPOINT__API__HELLO__INIT;
    conn_envelope e = CONN_ENVELOPE(HELLO, hello, &m);
    _cleanup_(conn_envelope_free) conn_envelope *reply = NULL;
    CONN_SET(m, version, PROTOCOL_VERSION);
    m.client = conn_text(client);
    int r = call_within(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_HELLO_REPLY, HELLO_TIMEOUT_MS,
                        &reply, NULL);
    if (r != 0)
        return r;
    const Stillpoint__Api__HelloReply *h = reply->hello_reply;
    sp->peer = (struct stillpoint_peer){
        .daemon = strdup(h->daemon ? h->daemon : ""),
        .version = h->version,
        .uid = h->uid,
        .is_private = h->private_,
        .started_us = h->started_us,
        .roles = join_words(h->n_roles, h->roles),
    };
    return sp->peer.daemon && sp->peer.roles ? 0 : -ENOMEM;
}

static void free_sp(struct stillpoint **sp)
{
    stillpoint_free(*sp);
}

int conn_new(int fd, const char *client, conn_unasked_fn unasked, struct stillpoint **ret_sp)
{
    _cleanup_close_ int sock = fd;
    _cleanup_(free_sp) struct stillpoint *sp = calloc(1, sizeof *sp);
    if (!sp)
        return -ENOMEM;
    frame_reader_init(&sp->in);
    frame_writer_init(&sp->out, LIMIT_CLIENT_QUEUE_BYTES);
    sp->sock = TAKE_FD(sock);
    sp->unasked = unasked;
    error_clear(sp);
    int r = hello(sp, client);
    if (r >= 0)
        *ret_sp = TAKE_PTR(sp);
    return r;
}

struct stillpoint *stillpoint_free(struct stillpoint *sp)
{
    if (!sp)
        return NULL;
    conn_fail(sp, -ECONNABORTED);
    frame_reader_done(&sp->in);
    frame_writer_done(&sp->out);
    close(sp->sock);
    error_clear(sp);
    free((char *)sp->peer.daemon);
    free((char *)sp->peer.roles);
    free(sp);
    return NULL;
}

/* ---- what a connection knows */

void stillpoint_set_handlers(struct stillpoint *sp, const struct stillpoint_handlers *handlers)
{
    sp->handlers = *handlers;
}

const struct stillpoint_handlers *conn_handlers(const struct stillpoint *sp)
{
    return &sp->handlers;
}

const struct stillpoint_peer *stillpoint_peer(const struct stillpoint *sp)
{
    return &sp->peer;
}

const struct stillpoint_error *stillpoint_error(const struct stillpoint *sp)
{
    return &sp->error;
}

int stillpoint_fd(const struct stillpoint *sp)
{
    return sp->sock;
}
