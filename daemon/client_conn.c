#include "daemon/client_conn.h"

#include <assert.h>
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
#include "daemon/act_log.h"
#include "daemon/closer.h"
#include "daemon/event_bus.h"
#include "daemon/record.h"
#include "proto/frame.h"
#include "proto/limits.h"
#include "shared-mem/layout.h"

/* Events are taken from the bus while less than this waits for the client. */
#define EVENT_QUEUE_BYTES (64u * 1024)
/* When there are no descriptors left, accept rests for so long. */
#define ACCEPT_REST_MS 100
/* One that has sent many requests is served for so long, and goes on after all others. A few that
 * come together are served together. */
#define TURN_NS 500000u
#define TURN_REQUESTS 4u

#define UNKNOWN_UID ((uid_t)-1) /* which the kernel gives to nobody */

typedef Stillpoint__Api__Envelope Envelope;

/* What one uid has of what is counted. */
struct uid_use {
    UT_hash_handle hh;
    uid_t uid;
    size_t connections, subscriptions;
    size_t closing; /* descriptors of theirs that are not closed yet */
    size_t queued;  /* bytes in its connections' writers */
};

struct client_conn {
    UT_hash_handle hh;
    struct client_conns *all;
    uint64_t id;
    int fd;
    struct access_peer peer;
    struct uid_use *use;
    size_t counted; /* bytes of this one in use->queued */
    struct frame_reader reader;
    struct frame_writer writer;
    struct event *readable, *writable, *hello_timeout, *close, *pump, *turn;
    bool greeted, doomed;
    unsigned open; /* requests without a reply so far */
    struct subscription {
        uint64_t cursor, until, kinds; /* kinds 0: none */
        uint64_t request_id; /* of a replay: answered when the cursor has come to `until` */
    } live, replay;
    struct event_listener *listener;
};

struct listener {
    struct client_conns *all;
    int fd;
    unsigned roles; /* at most */
    struct event *acceptable, *rest;
};

struct client_conns {
    struct client_conns_config config;
    struct client_conn *by_id;
    struct uid_use *uses;
    struct closer *closer;
    size_t strangers; /* connections without any role */
    uint64_t next_id;
    struct listener listeners[2];
    size_t n_listeners;
};

static struct client_conn *find(struct client_conns *all, uint64_t id)
{
    struct client_conn *c;
    HASH_FIND(hh, all->by_id, &id, sizeof id, c);
    return c;
}

/* ---- what each uid has */

static struct uid_use *use_of(struct client_conns *all, uid_t uid, bool make)
{
    struct uid_use *use;
    HASH_FIND(hh, all->uses, &uid, sizeof uid, use);
    if (use || !make || !(use = calloc(1, sizeof *use)))
        return use;
    use->uid = uid;
    HASH_ADD(hh, all->uses, uid, sizeof use->uid, use);
    if (!use->hh.tbl) {
        free(use);
        return NULL;
    }
    return use;
}

static void drop_use_if_unused(struct client_conns *all, struct uid_use *use)
{
    if (use->connections + use->closing > 0)
        return;
    HASH_DEL(all->uses, use);
    free(use);
}

static void on_closed(void *userdata, void *whose)
{
    struct uid_use *use = whose;
    use->closing--;
    drop_use_if_unused(userdata, use);
}

static void on_odd(void *userdata, int fd)
{
    struct client_conn *c = userdata;
    c->use->closing++;
    closer_take(c->all->closer, fd, c->use);
}

/* A connection that is over, or does not come about. */
static void let_go(struct client_conns *all, int fd, uid_t uid)
{
    struct uid_use *use = use_of(all, uid, true);
    if (!use) {
        close(fd);
        return;
    }
    use->closing++;
    closer_take_socket(all->closer, fd, use);
}

static bool is_over_quota(const struct client_conn *c)
{
    return c->use->queued >= c->all->config.quota->queued_bytes;
}

/* Counts what waits now; events that were held back for the sake of it may go on. */
static void count_queued(struct client_conn *c)
{
    bool was_over = is_over_quota(c);
    size_t now = frame_writer_queued(&c->writer);
    c->use->queued += now - c->counted;
    c->counted = now;
    if (!was_over || is_over_quota(c))
        return;
    for (struct client_conn *other = c->all->by_id; other; other = other->hh.next)
        if (other->use == c->use && (other->live.kinds != 0 || other->replay.kinds != 0))
            event_active(other->pump, 0, 0);
}

static void conn_free(struct client_conn *c)
{
    struct event *events[] = {c->readable, c->writable, c->hello_timeout,
                              c->close,    c->pump,     c->turn};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        if (events[i])
            event_free(events[i]);
    event_bus_unlisten(c->all->config.bus, c->listener);
    frame_reader_done(&c->reader);
    frame_writer_done(&c->writer);
    let_go(c->all, c->fd, c->peer.uid);
    count_queued(c);
    c->use->connections--;
    c->use->subscriptions -= c->live.kinds != 0;
    c->all->strangers -= c->peer.roles == 0;
    drop_use_if_unused(c->all, c->use);
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
    event_del(c->turn);
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
    count_queued(c);
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

/* An answer that may not wait for its reader. Errors may: each is small, and of one connection
 * there are only so many. */
static void refuse_over_quota(struct client_conn *c, uint64_t request_id)
{
    if (request_id == 0) {
        doom(c, "its uid does not read what it asked for");
        return;
    }
    struct api_error error;
    api_error_set(&error, API_ERROR(LIMIT_EXCEEDED), "read what was asked for",
                  "%zu bytes wait to be read by uid %u, and its quota queued-bytes is %llu",
                  c->use->queued, (unsigned)c->peer.uid,
                  (unsigned long long)c->all->config.quota->queued_bytes);
    c->open++;
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
    if (is_over_quota(c) && envelope->body_case != API_BODY(ERROR)) {
        refuse_over_quota(c, envelope->request_id);
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
    if (e->uid != EVENT_NO_UID)
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
    while (!c->doomed && frame_writer_queued(&c->writer) < EVENT_QUEUE_BYTES && !is_over_quota(c)) {
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
        if (c->peer.roles != 0) /* who may do nothing has no more than that time to be told so */
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
    if (c->peer.roles == 0 && request->kind != API_HELLO)
        doom(c, "may do nothing");
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
        if (fd == -1) {
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

/* Not event_active(): the loop would come back here before it looks at anybody else. */
static void wait_for_turn(struct client_conn *c)
{
    struct timeval next_round = {0};
    event_del(c->readable);
    event_add(c->turn, &next_round);
}

/* Those that have been read, as far as they get in one turn. */
static void take_frames(struct client_conn *c)
{
    const uint8_t *data;
    size_t bytes;
    uint64_t end_ns = shm_now_ns() + TURN_NS;
    unsigned n = 0;
    int r = 0;
    while (!c->doomed && (r = frame_reader_next(&c->reader, &data, &bytes)) > 0) {
        if (++n > TURN_REQUESTS && shm_now_ns() >= end_ns) {
            wait_for_turn(c);
            return;
        }
        bool go_on = take_frame(c, data, bytes);
        frame_reader_drop(&c->reader, bytes);
        if (!go_on)
            return;
    }
    if (r == -EPROTO && !c->doomed) {
        refuse(c, 0, API_ERROR(PROTOCOL),
               "a frame has 1 byte to 1 MiB, and at most one descriptor");
        doom(c, "bad frame");
    }
}

static void on_turn(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct client_conn *c = userdata;
    if (event_add(c->readable, NULL) < 0)
        doom(c, "out of memory");
    else
        take_frames(c);
}

static void on_readable(evutil_socket_t sock, short what, void *userdata)
{
    (void)what;
    struct client_conn *c = userdata;
    if (c->use->closing >= c->all->config.quota->connections) {
        doom(c, "its uid has sent what does not close");
        return;
    }
    int r = frame_reader_fill(&c->reader, sock);
    if (r > 0) {
        take_frames(c);
    } else if (r == -EPROTO) {
        refuse(c, 0, API_ERROR(PROTOCOL), "at most one descriptor comes with a frame");
        doom(c, "bad frame");
    } else if (r != -EAGAIN) {
        doom(c, NULL);
    }
}

static void on_no_hello(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct client_conn *c = userdata;
    doom(c, c->greeted ? "may do nothing" : "said no Hello in time");
}

/* ---- connections */

/* The one word that somebody gets who is not let in. What does not fit into the socket is lost. */
static void turn_away(int fd, const struct api_error *error)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__Error m = STILLPOINT__API__ERROR__INIT;
    struct frame_writer writer;
    uint8_t data[1024];
    API_SET(&m, code, (Stillpoint__Api__ErrorCode)error->code);
    m.message = API_TEXT(error->message);
    m.hint = API_TEXT(error->hint);
    e.body_case = API_BODY(ERROR);
    e.error = &m;
    size_t len = stillpoint__api__envelope__get_packed_size(&e);
    frame_writer_init(&writer, sizeof data + 64);
    if (len <= sizeof data) {
        stillpoint__api__envelope__pack(&e, data);
        if (frame_writer_put(&writer, data, len, -1) == 0)
            (void)frame_writer_flush(&writer, fd);
    }
    frame_writer_done(&writer);
}

/* Whether there is room for one more; else *ret_error says why not. */
static bool has_room(struct client_conns *all, const struct access_peer *peer,
                     struct api_error *ret_error)
{
    const struct uid_use *use = use_of(all, peer->uid, false);
    size_t has = use ? use->connections : 0;
    uint64_t quota = all->config.quota->connections;
    if (peer->roles == 0 && (has >= LIMIT_STRANGERS_PER_UID || all->strangers >= LIMIT_STRANGERS))
        api_error_set(ret_error, API_ERROR(PERMISSION_DENIED), NULL,
                      "uid %u has no role here, and connections enough", (unsigned)peer->uid);
    else if (has >= quota)
        api_error_set(ret_error, API_ERROR(LIMIT_EXCEEDED), "close some",
                      "uid %u has %zu connections, and its quota connections is %llu",
                      (unsigned)peer->uid, has, (unsigned long long)quota);
    else if (use && use->closing >= quota)
        api_error_set(ret_error, API_ERROR(LIMIT_EXCEEDED), NULL,
                      "uid %u has sent %zu descriptors that do not close", (unsigned)peer->uid,
                      use->closing);
    else if (HASH_COUNT(all->by_id) >= all->config.total->connections)
        api_error_set(ret_error, API_ERROR(LIMIT_EXCEEDED), NULL,
                      "there are %u connections, and no more are allowed in all",
                      HASH_COUNT(all->by_id));
    else
        return true;
    return false;
}

/* Takes *owned, if it comes to a connection or nearly so. */
static uint64_t add(struct client_conns *all, int *owned, unsigned roles, uid_t *ret_uid)
{
    const int fd = *owned, on = 1;
    struct access_peer peer = {.roles = ACCESS_NONE};
    struct api_error error;
    if (fd_is_scarce(fd, LIMIT_FDS_KEPT_FROM_CLIENTS)) {
        record_write(LOG_WARNING, MESSAGE_CONNECTION_REFUSED, NULL,
                     "a connection was refused: no descriptors are left for it");
        return 0;
    }
    /* In line: else what was sent as urgent is thrown away by whoever reads past it, with its
     * descriptors, and shows to nobody who only looks. */
    int r = fd_nonblock(fd);
    if (r == 0 && setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on) < 0)
        r = -errno;
    if (r == 0)
        r = access_check(fd, all->config.rules, &peer);
    if (r < 0) {
        record_write(LOG_WARNING, MESSAGE_CONNECTION_REFUSED, NULL,
                     "a connection was refused, since its peer is not known: %s", strerror(-r));
        return 0;
    }
    *ret_uid = peer.uid;
    peer.is_limited = (peer.roles & ~roles) != 0;
    peer.roles &= roles;
    if (!has_room(all, &peer, &error)) {
        const struct act act = {.uid = peer.uid, .pid = peer.pid, .request = "Connect"};
        act_log_write(all->config.act_log, &act,
                      error.code == API_ERROR(PERMISSION_DENIED) ? ACT_DENIED : ACT_OVER_QUOTA,
                      error.message);
        turn_away(fd, &error);
        return 0;
    }
    struct uid_use *use = use_of(all, peer.uid, true);
    struct client_conn *c = use ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        if (use)
            drop_use_if_unused(all, use);
        return 0;
    }
    *c = (struct client_conn){
        .all = all, .id = all->next_id, .fd = TAKE_FD(*owned), .peer = peer, .use = use};
    use->connections++;
    all->strangers += peer.roles == 0;
    frame_reader_init(&c->reader);
    c->reader.on_odd = on_odd;
    c->reader.userdata = c;
    frame_writer_init(&c->writer, LIMIT_CLIENT_QUEUE_BYTES);
    c->writer.max_fds = LIMIT_CLIENT_QUEUE_FDS;
    struct event_base *base = all->config.base;
    c->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(base, fd, EV_WRITE, on_writable, c);
    c->hello_timeout = event_new(base, -1, 0, on_no_hello, c);
    c->close = event_new(base, -1, 0, on_close, c);
    c->pump = event_new(base, -1, 0, on_pump, c);
    c->turn = event_new(base, -1, 0, on_turn, c);
    struct timeval hello = {.tv_sec = LIMIT_HELLO_MS / 1000};
    if (!c->readable || !c->writable || !c->hello_timeout || !c->close || !c->pump || !c->turn ||
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

uint64_t client_conns_add(struct client_conns *all, int fd, unsigned roles)
{
    uid_t uid = UNKNOWN_UID;
    uint64_t id = add(all, &fd, roles, &uid);
    if (fd >= 0)
        let_go(all, fd, uid);
    return id;
}

static void on_acceptable(evutil_socket_t sock, short what, void *userdata)
{
    (void)what;
    struct listener *l = userdata;
    int fd = accept4(sock, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        client_conns_add(l->all, fd, l->roles);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        record_write(LOG_WARNING, MESSAGE_CONNECTION_REFUSED, NULL,
                     "cannot accept a connection: %m");
        struct timeval rest = {.tv_usec = ACCEPT_REST_MS * 1000};
        event_del(l->acceptable);
        event_add(l->rest, &rest);
    }
}

static void on_rested(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct listener *l = userdata;
    event_add(l->acceptable, NULL);
}

struct client_conns *client_conns_new(const struct client_conns_config *config)
{
    struct client_conns *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    *all = (struct client_conns){.config = *config, .next_id = 1};
    all->closer = closer_new(config->base, on_closed, all);
    return all->closer ? all : client_conns_free(all);
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
    all->closer = closer_free(all->closer);
    for (size_t i = 0; i < all->n_listeners; i++) {
        struct listener *l = &all->listeners[i];
        if (l->acceptable)
            event_free(l->acceptable);
        if (l->rest)
            event_free(l->rest);
        fd_close(&l->fd);
    }
    free(all);
    return NULL;
}

int client_conns_listen(struct client_conns *all, int fd, unsigned roles)
{
    assert(all->n_listeners < sizeof all->listeners / sizeof all->listeners[0]);
    struct listener *l = &all->listeners[all->n_listeners++];
    *l = (struct listener){.all = all, .fd = fd, .roles = roles};
    l->acceptable = event_new(all->config.base, fd, EV_READ | EV_PERSIST, on_acceptable, l);
    l->rest = event_new(all->config.base, -1, 0, on_rested, l);
    if (!l->acceptable || !l->rest || event_add(l->acceptable, NULL) < 0)
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
    c->use->subscriptions -= c->live.kinds != 0;
    c->use->subscriptions += kinds != 0;
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

static bool ops_may_subscribe(void *userdata, uint64_t client, size_t *ret_has)
{
    const struct client_conn *c = find(userdata, client);
    *ret_has = c ? c->use->subscriptions : 0;
    return !c || c->live.kinds != 0 || c->use->subscriptions < c->all->config.quota->subscriptions;
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
                                .may_subscribe = ops_may_subscribe,
                                .subscribe = ops_subscribe,
                                .replay = ops_replay,
                                .userdata = all};
}

bool client_conns_is_its_process(const struct client_conns *all, pid_t pid)
{
    return all && closer_is_its_process(all->closer, pid);
}
