#include "daemon/client_conn.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uthash.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "daemon/event_bus.h"
#include "proto/frame.h"
#include "proto/limits.h"
#include "shared-mem/layout.h"

/* Events are taken from the bus while less than this waits for the client. */
#define EVENT_QUEUE_BYTES (64u * 1024)
/* When there are no descriptors left, accept rests for so long. */
#define ACCEPT_REST_MS 100

typedef Stillpoint__Api__Envelope Envelope;

struct client_conn {
    UT_hash_handle hh;
    struct client_conns *all;
    uint64_t id;
    int fd;
    struct access_peer peer;
    struct frame_reader reader;
    struct frame_writer writer;
    struct event *readable, *writable, *hello_timeout, *close, *pump;
    bool greeted, doomed;
    unsigned open; /* requests without a reply so far */
    struct subscription {
        uint64_t cursor, until, kinds; /* kinds 0: none */
        uint64_t request_id; /* of a replay: answered when the cursor has come to `until` */
    } live, replay;
    struct event_listener *listener;
};

struct client_conns {
    struct client_conns_config config;
    struct client_conn *by_id;
    uint64_t next_id;
    int listen_fd;
    struct event *acceptable, *rest;
};

static struct client_conn *find(struct client_conns *all, uint64_t id)
{
    struct client_conn *c;
    HASH_FIND(hh, all->by_id, &id, sizeof id, c);
    return c;
}

static void conn_free(struct client_conn *c)
{
    struct event *events[] = {c->readable, c->writable, c->hello_timeout, c->close, c->pump};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        if (events[i])
            event_free(events[i]);
    event_bus_unlisten(c->all->config.bus, c->listener);
    frame_reader_done(&c->reader);
    frame_writer_done(&c->writer);
    fd_close(&c->fd);
    free(c);
}

/* The connection ends with this turn of the loop. */
static void doom(struct client_conn *c, const char *why)
{
    if (c->doomed)
        return;
    c->doomed = true;
    if (why)
        log_debug("client %llu (uid %u): %s", (unsigned long long)c->id, (unsigned)c->peer.uid,
                  why);
    event_del(c->readable);
    event_active(c->close, 0, 0);
}

static void on_close(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct client_conn *c = userdata;
    struct client_conns *all = c->all;
    uint64_t id = c->id;
    frame_writer_flush(&c->writer, c->fd); /* a last word, if the socket takes it */
    HASH_DEL(all->by_id, c);
    conn_free(c);
    all->config.on_gone(all->config.api, id);
}

/* ---- out */

static void flush(struct client_conn *c)
{
    int r = frame_writer_flush(&c->writer, c->fd);
    if (r < 0)
        doom(c, "write failed");
    else if (r > 0 && event_add(c->writable, NULL) < 0)
        doom(c, "cannot be watched: no memory or watches left");
}

static void refuse(struct client_conn *c, uint64_t request_id, int code, const char *message)
{
    struct api_error error;
    api_error_set(&error, code, NULL, "%s", message);
    api_reply_error(c->all->config.api, c->id, request_id, &error);
}

static void put(struct client_conn *c, Envelope *envelope, int fd)
{
    _cleanup_close_ int owned = fd;
    if (c->doomed)
        return;
    if (owned >= 0)
        API_SET(envelope, fd_count, 1);
    if (envelope->request_id != 0 && c->open > 0)
        c->open--;
    size_t len = stillpoint__api__envelope__get_packed_size(envelope);
    if (len > LIMIT_FRAME_BYTES && envelope->request_id != 0) {
        c->open++;
        refuse(c, envelope->request_id, API_ERROR(LIMIT_EXCEEDED), "the answer exceeds a frame");
        return;
    }
    _cleanup_free_ uint8_t *data = malloc(len ? len : 1);
    if (!data) {
        doom(c, "out of memory for a frame");
        return;
    }
    stillpoint__api__envelope__pack(envelope, data);
    int r = frame_writer_put(&c->writer, data, len, TAKE_FD(owned));
    if (r < 0) {
        doom(c, r == -ENOBUFS ? "does not read what it asked for" : "frame cannot be queued");
        return;
    }
    flush(c);
}

static void put_event(struct client_conn *c, const struct event *e)
{
    Envelope envelope = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__Event m = STILLPOINT__API__EVENT__INIT;
    Stillpoint__Api__Exit exit = STILLPOINT__API__EXIT__INIT;
    API_SET(&m, seq, e->seq);
    API_SET(&m, kind, (Stillpoint__Api__EventKind)e->kind);
    API_SET(&m, time_us, e->time_us);
    API_SET(&m, mono_ns, e->mono_ns);
    API_SET(&m, uid, e->uid);
    if (e->vm)
        API_SET(&m, vm, e->vm);
    if (e->epoch)
        API_SET(&m, epoch, e->epoch);
    if (e->ticket)
        API_SET(&m, ticket, e->ticket);
    m.name = API_TEXT(e->name);
    m.world = API_TEXT(e->world);
    m.json = API_TEXT(e->json);
    m.detail = API_TEXT(e->detail);
    if (e->exit.reason) {
        API_SET(&exit, reason, (Stillpoint__Api__ExitReason)e->exit.reason);
        API_SET(&exit, code, e->exit.code);
        API_SET(&exit, signal, e->exit.signal);
        m.exit = &exit;
    }
    envelope.body_case = API_BODY(EVENT);
    envelope.event = &m;
    put(c, &envelope, -1);
}

static void put_dropped(struct client_conn *c, uint64_t dropped, uint64_t before_seq)
{
    Envelope envelope = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__Event m = STILLPOINT__API__EVENT__INIT;
    API_SET(&m, dropped, dropped);
    API_SET(&m, before_seq, before_seq);
    envelope.body_case = API_BODY(EVENT);
    envelope.event = &m;
    put(c, &envelope, -1);
}

/* Takes events from the bus while the client keeps up. True when there is none left. */
static bool pump_events(struct client_conn *c, struct subscription *s)
{
    const struct event_bus *bus = c->all->config.bus;
    while (!c->doomed && frame_writer_queued(&c->writer) < EVENT_QUEUE_BYTES) {
        uint64_t dropped, before = s->cursor;
        const struct event *e = event_bus_next(bus, &s->cursor, s->kinds, &dropped);
        if (dropped > 0 && before < s->until)
            put_dropped(c, dropped, e ? e->seq : s->cursor + 1);
        if (!e || e->seq > s->until)
            return true;
        put_event(c, e);
    }
    return false;
}

static void end_replay(struct client_conn *c)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__SubscribeReply m = STILLPOINT__API__SUBSCRIBE_REPLY__INIT;
    API_SET(&m, last_seq, c->replay.until);
    API_SET(&e, request_id, c->replay.request_id);
    e.body_case = API_BODY(SUBSCRIBE_REPLY);
    e.subscribe_reply = &m;
    c->replay.kinds = 0;
    put(c, &e, -1);
}

static void on_pump(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct client_conn *c = userdata;
    if (c->replay.kinds != 0 && pump_events(c, &c->replay))
        end_replay(c);
    if (c->live.kinds != 0)
        pump_events(c, &c->live);
}

static void on_news(void *userdata)
{
    struct client_conn *c = userdata;
    event_active(c->pump, 0, 0);
}

static void on_writable(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct client_conn *c = userdata;
    flush(c);
    if (c->doomed || frame_writer_queued(&c->writer) > 0)
        return;
    on_pump(-1, 0, c);
    c->all->config.on_drained(c->all->config.api, c->id);
}

/* ---- in */

static void take_request(struct client_conn *c, const struct api_request *request, int *fd)
{
    if (!c->greeted && request->kind != API_HELLO) {
        refuse(c, request->id, API_ERROR(PROTOCOL), "the first request is Hello");
        doom(c, "no Hello");
        return;
    }
    if (c->open >= LIMIT_CLIENT_REQUESTS) {
        c->open++; /* this reply's */
        refuse(c, request->id, API_ERROR(LIMIT_EXCEEDED), "too many requests are open");
        return;
    }
    c->open++;
    if (request->kind == API_HELLO) {
        c->greeted = true;
        event_del(c->hello_timeout);
    }
    struct api_call call = {.api = c->all->config.api,
                            .client = c->id,
                            .peer = &c->peer,
                            .request = request,
                            .dispatched_ns = shm_now_ns(),
                            .fd = TAKE_FD(*fd)};
    c->all->config.on_request(c->all->config.api, &call);
    fd_close(&call.fd);
}

/* One frame; false when the connection is to end. */
static bool take_frame(struct client_conn *c, const uint8_t *data, size_t bytes)
{
    struct api_request request;
    struct api_error error;
    _cleanup_close_ int fd = -1;
    int r = check_api_request(data, bytes, &request, &error);
    if (r != -EPROTO && request.n_fds > 0) {
        fd = frame_reader_take_fd(&c->reader);
        if (fd < 0) {
            if (r == 0)
                check_api_done(&request);
            api_error_set(&error, API_ERROR(PROTOCOL), NULL,
                          "frame announces a file descriptor and carries none");
            r = -EPROTO;
        }
    }
    if (r < 0) {
        api_reply_error(c->all->config.api, c->id, request.id, &error);
        bool ends = error.code == API_ERROR(PROTOCOL);
        if (ends)
            doom(c, error.message);
        return !ends;
    }
    take_request(c, &request, &fd);
    check_api_done(&request);
    return true;
}

static void on_readable(evutil_socket_t sock, short what, void *userdata)
{
    (void)what;
    struct client_conn *c = userdata;
    int r = frame_reader_fill(&c->reader, sock);
    if (r == -EAGAIN)
        return;
    bool at_end = r == 0;
    const uint8_t *data;
    size_t bytes;
    while (r > 0 && !c->doomed && (r = frame_reader_next(&c->reader, &data, &bytes)) > 0) {
        bool go_on = take_frame(c, data, bytes);
        frame_reader_drop(&c->reader, bytes);
        if (!go_on)
            return;
    }
    if (c->doomed)
        return;
    if (r == -EPROTO) {
        refuse(c, 0, API_ERROR(PROTOCOL),
               "a frame has 1 byte to 1 MiB, and at most one descriptor");
        doom(c, "bad frame");
    } else if (r < 0 || at_end) {
        doom(c, NULL);
    }
}

static void on_no_hello(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    doom(userdata, "said no Hello in time");
}

/* ---- connections */

static size_t count_uid(const struct client_conns *all, uid_t uid)
{
    size_t n = 0;
    for (const struct client_conn *c = all->by_id; c; c = c->hh.next)
        n += c->peer.uid == uid;
    return n;
}

uint64_t client_conns_add(struct client_conns *all, int fd)
{
    struct access_peer peer;
    if (fd_is_scarce(fd, LIMIT_FDS_KEPT_FROM_CLIENTS)) {
        log_warning("a connection was refused: no descriptors are left for it");
        close(fd);
        return 0;
    }
    if (fd_nonblock(fd) < 0 || access_check(fd, all->config.owner_uid, &peer) < 0 ||
        HASH_COUNT(all->by_id) >= LIMIT_CLIENTS ||
        count_uid(all, peer.uid) >= LIMIT_CLIENTS_PER_UID) {
        log_warning("a connection was refused: there are too many, or its peer is unknown");
        close(fd);
        return 0;
    }
    struct client_conn *c = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        return 0;
    }
    *c = (struct client_conn){.all = all, .id = all->next_id, .fd = fd, .peer = peer};
    frame_reader_init(&c->reader);
    frame_writer_init(&c->writer, LIMIT_CLIENT_QUEUE_BYTES);
    c->writer.max_fds = LIMIT_CLIENT_QUEUE_FDS;
    struct event_base *base = all->config.base;
    c->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(base, fd, EV_WRITE, on_writable, c);
    c->hello_timeout = event_new(base, -1, 0, on_no_hello, c);
    c->close = event_new(base, -1, 0, on_close, c);
    c->pump = event_new(base, -1, 0, on_pump, c);
    struct timeval hello = {.tv_sec = LIMIT_HELLO_MS / 1000};
    if (!c->readable || !c->writable || !c->hello_timeout || !c->close || !c->pump ||
        event_add(c->readable, NULL) < 0 || event_add(c->hello_timeout, &hello) < 0) {
        conn_free(c);
        return 0;
    }
    HASH_ADD(hh, all->by_id, id, sizeof c->id, c);
    if (!c->hh.tbl) {
        conn_free(c);
        return 0;
    }
    all->next_id++;
    return c->id;
}

static void on_acceptable(evutil_socket_t sock, short what, void *userdata)
{
    (void)what;
    struct client_conns *all = userdata;
    int fd = accept4(sock, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        client_conns_add(all, fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        log_warning("cannot accept a connection: %m");
        struct timeval rest = {.tv_usec = ACCEPT_REST_MS * 1000};
        event_del(all->acceptable);
        event_add(all->rest, &rest);
    }
}

static void on_rested(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct client_conns *all = userdata;
    event_add(all->acceptable, NULL);
}

struct client_conns *client_conns_new(const struct client_conns_config *config)
{
    struct client_conns *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    *all = (struct client_conns){.config = *config, .next_id = 1, .listen_fd = -1};
    return all;
}

struct client_conns *client_conns_free(struct client_conns *all)
{
    if (!all)
        return NULL;
    struct client_conn *c, *next;
    HASH_ITER(hh, all->by_id, c, next)
    {
        HASH_DEL(all->by_id, c);
        frame_writer_flush(&c->writer, c->fd);
        conn_free(c);
    }
    if (all->acceptable)
        event_free(all->acceptable);
    if (all->rest)
        event_free(all->rest);
    fd_close(&all->listen_fd);
    free(all);
    return NULL;
}

int client_conns_listen(struct client_conns *all, int fd)
{
    all->listen_fd = fd;
    all->acceptable = event_new(all->config.base, fd, EV_READ | EV_PERSIST, on_acceptable, all);
    all->rest = event_new(all->config.base, -1, 0, on_rested, all);
    if (!all->acceptable || !all->rest || event_add(all->acceptable, NULL) < 0)
        return -ENOMEM;
    return 0;
}

/* ---- what api uses */

static void ops_send(void *userdata, uint64_t client, Envelope *envelope, int fd)
{
    struct client_conn *c = find(userdata, client);
    if (c)
        put(c, envelope, fd);
    else if (fd >= 0)
        close(fd);
}

static size_t ops_queued(void *userdata, uint64_t client)
{
    const struct client_conn *c = find(userdata, client);
    return c ? frame_writer_queued(&c->writer) : 0;
}

static void ops_subscribe(void *userdata, uint64_t client, uint64_t cursor, uint64_t kinds)
{
    struct client_conn *c = find(userdata, client);
    if (!c || c->doomed)
        return;
    c->live = (struct subscription){.cursor = cursor, .until = UINT64_MAX, .kinds = kinds};
    if (kinds != 0 && !c->listener)
        c->listener = event_bus_listen(c->all->config.bus, on_news, c);
    if (kinds == 0)
        c->listener = event_bus_unlisten(c->all->config.bus, c->listener);
    if (kinds != 0 && !c->listener)
        doom(c, "out of memory for a subscription");
    else
        on_pump(-1, 0, c);
}

static bool ops_replay(void *userdata, uint64_t client, uint64_t cursor, uint64_t kinds,
                       uint64_t request_id)
{
    struct client_conn *c = find(userdata, client);
    if (!c || c->replay.kinds != 0)
        return false;
    c->replay = (struct subscription){.cursor = cursor,
                                      .until = event_bus_last(c->all->config.bus),
                                      .kinds = kinds,
                                      .request_id = request_id};
    on_pump(-1, 0, c);
    return true;
}

void client_conns_ops(struct client_conns *all, struct api_clients *ret)
{
    *ret = (struct api_clients){.send = ops_send,
                                .queued = ops_queued,
                                .subscribe = ops_subscribe,
                                .replay = ops_replay,
                                .userdata = all};
}
