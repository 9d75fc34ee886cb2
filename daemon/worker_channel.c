#include "daemon/worker_channel.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "proto/limits.h"
#include "proto/parts.h"
#include "proto/unpack.h"
#include "shared-mem/layout.h"

/* Packets and bytes read in one turn of the loop, so that one worker cannot keep the others
 * waiting. */
#define PACKETS_PER_TURN 64
#define BYTES_PER_TURN (512u * 1024)
/* And so long, where what follows from them takes long. */
#define TURN_NS 1000000u
/* More than an honest worker has on the way. */
#define HEAR_PACKETS 1024
/* Facts go unacknowledged until there are this many, or bytes; an exiting worker waits for its ack.
 */
#define ACK_FACTS 32
#define ACK_BYTES (LIMIT_FACT_WINDOW_BYTES / 4)

/* An honest worker keeps what was not acknowledged, and has no room for more; one that sends on
 * although it is to wait would have the daemon do nothing but read. */
#define UNACKED_MOST (2u * LIMIT_FACT_BUFFER_BYTES)

struct packet {
    STAILQ_ENTRY(packet) link;
    int fd;
    uint64_t number;  /* 0: of this daemon's own, and of no use to another */
    size_t len, cost; /* cost: with what lies in the memfd beside it */
    uint8_t data[];
};

struct worker_channel {
    int fd;
    const struct worker_channel_events *events;
    void *userdata;
    struct event *readable, *writable;
    STAILQ_HEAD(packets, packet) queue;
    size_t queued_bytes, queued_fds;
    uint64_t last_number; /* of the commands */
    uint64_t last_seq, acked_seq;
    uint64_t whole_seq; /* of the last that was dealt with and is no Part: acks go as far */
    size_t unacked_bytes;
    size_t unasked_bytes, unacked_console_bytes; /* among them */
    struct parts parts;                          /* of the fact that follows them */
    bool hold_acks, deferring, ack_now, broken;
    bool resumed;         /* facts may come twice, or early, and then again */
    size_t skipped_bytes; /* of such */
};

static void on_readable(evutil_socket_t fd, short what, void *userdata);
static void on_writable(evutil_socket_t fd, short what, void *userdata);
static void send_ack(struct worker_channel *c);

struct worker_channel *worker_channel_new(struct event_base *base, int fd,
                                          const struct worker_channel_events *events,
                                          void *userdata)
{
    struct worker_channel *c = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        return NULL;
    }
    *c = (struct worker_channel){.fd = fd, .events = events, .userdata = userdata};
    STAILQ_INIT(&c->queue);
    c->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(base, fd, EV_WRITE, on_writable, c);
    if (!c->readable || !c->writable)
        return worker_channel_free(c);
    return c;
}

int worker_channel_listen(struct worker_channel *c)
{
    return event_add(c->readable, NULL) < 0 ? -ENOMEM : 0;
}

static void packet_free(struct packet *p)
{
    fd_close(&p->fd);
    free(p);
}

struct worker_channel *worker_channel_free(struct worker_channel *c)
{
    if (!c)
        return NULL;
    if (c->readable)
        event_free(c->readable);
    if (c->writable)
        event_free(c->writable);
    while (!STAILQ_EMPTY(&c->queue)) {
        struct packet *p = STAILQ_FIRST(&c->queue);
        STAILQ_REMOVE_HEAD(&c->queue, link);
        packet_free(p);
    }
    fd_close(&c->fd);
    parts_done(&c->parts);
    free(c);
    return NULL;
}

static void break_channel(struct worker_channel *c, const char *why)
{
    if (c->broken)
        return;
    c->broken = true;
    event_del(c->readable);
    event_del(c->writable);
    c->events->on_broken(c->userdata, why);
}

static int send_packet(struct worker_channel *c, const uint8_t *data, size_t len, int fd)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    ssize_t n = fd_send(c->fd, &iov, 1, &fd, fd >= 0 ? 1 : 0);
    return n < 0 ? (int)n : 0;
}

static size_t cost_of(const struct worker_queued *q)
{
    struct stat st;
    size_t cost = sizeof(struct packet) + q->len;
    return q->fd >= 0 && fstat(q->fd, &st) == 0 ? cost + (size_t)st.st_size : cost;
}

static struct worker_queued queued_of(const struct packet *p)
{
    return (struct worker_queued){.number = p->number, .data = p->data, .len = p->len, .fd = p->fd};
}

/* Of what will be queued; the fd stays the caller's until it is. NULL: no memory. */
static struct packet *new_packet(struct worker_channel *c, const struct worker_queued *q)
{
    struct packet *p = malloc(sizeof *p + q->len);
    if (!p || event_add(c->writable, NULL) < 0) {
        free(p);
        return NULL;
    }
    *p = (struct packet){.fd = q->fd, .number = q->number, .len = q->len, .cost = cost_of(q)};
    memcpy(p->data, q->data, q->len);
    return p;
}

/* What is urgent goes before the others. */
static void insert(struct worker_channel *c, struct packet *p, bool is_urgent)
{
    c->queued_fds += p->fd >= 0;
    c->queued_bytes += p->cost;
    if (is_urgent)
        STAILQ_INSERT_HEAD(&c->queue, p, link);
    else
        STAILQ_INSERT_TAIL(&c->queue, p, link);
}

static int enqueue(struct worker_channel *c, const struct worker_queued *q)
{
    /* One packet always has room, however large the file beside it; and one of the daemon's own. */
    if (q->number != 0 &&
        ((c->queued_bytes > 0 && c->queued_bytes + cost_of(q) > LIMIT_WORKER_QUEUE_BYTES) ||
         (q->fd >= 0 && c->queued_fds >= LIMIT_WORKER_QUEUE_FDS)))
        return -ENOBUFS;
    /* Before it is put down, after which nothing may fail: to put down that it is not there would
     * say so of all before it. */
    struct packet *p = new_packet(c, q);
    if (!p)
        return -ENOMEM;
    int r = q->number != 0 && c->events->on_queued ? c->events->on_queued(c->userdata, q) : 0;
    if (r < 0)
        free(p);
    else
        insert(c, p, q->number == 0);
    return r;
}

int worker_channel_requeue(struct worker_channel *c, const struct worker_queued *queued)
{
    _cleanup_close_ int owned = queued->fd;
    struct packet *p = new_packet(c, queued);
    if (!p)
        return -ENOMEM;
    owned = -1;
    insert(c, p, false);
    return 0;
}

void worker_channel_number_from(struct worker_channel *c, uint64_t number)
{
    c->last_number = number;
}

int worker_channel_each_queued(const struct worker_channel *c,
                               int (*take)(void *userdata, const struct worker_queued *queued),
                               void *userdata)
{
    const struct packet *p;
    int r = 0;
    STAILQ_FOREACH(p, &c->queue, link)
    {
        const struct worker_queued q = queued_of(p);
        if (r >= 0 && q.number != 0)
            r = take(userdata, &q);
    }
    return r < 0 ? r : 0;
}

int worker_channel_send(struct worker_channel *c, Stillpoint__Worker__Command *command, int fd)
{
    _cleanup_close_ int owned = fd;
    if (c->broken)
        return -EPIPE;
    /* Not one that would wait: how much is unacknowledged says whether the worker reads. */
    if (!c->hold_acks && c->whole_seq > c->acked_seq && STAILQ_EMPTY(&c->queue)) {
        command->has_ack = 1;
        command->ack = c->whole_seq;
    }
    bool is_numbered = command->body_case != STILLPOINT__WORKER__COMMAND__BODY_TAKE_OVER;
    command->has_number = is_numbered;
    command->number = is_numbered ? c->last_number + 1 : 0;
    uint8_t data[LIMIT_PACKET_BYTES];
    if (stillpoint__worker__command__get_packed_size(command) > sizeof data)
        return -EMSGSIZE;
    size_t len = stillpoint__worker__command__pack(command, data);
    int r = -EAGAIN;
    if (STAILQ_EMPTY(&c->queue) || !is_numbered)
        r = send_packet(c, data, len, owned);
    if (r == -EAGAIN) {
        const struct worker_queued q = {
            .number = command->number, .data = data, .len = len, .fd = owned};
        r = enqueue(c, &q);
        if (r == 0)
            owned = -1;
    }
    if (r == 0 && is_numbered)
        c->last_number++;
    if (r == 0 && command->has_ack) {
        c->acked_seq = command->ack;
        c->unacked_bytes = c->unasked_bytes = c->unacked_console_bytes = 0;
        c->ack_now = false;
    }
    /* A worker that died is reported by its pidfd and by the end of what it sent, not by this. */
    return r;
}

int worker_channel_fd(const struct worker_channel *c)
{
    return c->fd;
}

int worker_channel_resume(struct worker_channel *c, uint64_t heard)
{
    Stillpoint__Worker__TakeOver take_over = STILLPOINT__WORKER__TAKE_OVER__INIT;
    Stillpoint__Worker__Command command = STILLPOINT__WORKER__COMMAND__INIT;
    c->last_seq = c->acked_seq = c->whole_seq = heard;
    c->resumed = true;
    take_over.has_last_seq = 1;
    take_over.last_seq = heard;
    command.body_case = STILLPOINT__WORKER__COMMAND__BODY_TAKE_OVER;
    command.take_over = &take_over;
    return worker_channel_send(c, &command, -1);
}

static void on_writable(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct worker_channel *c = userdata;
    while (!STAILQ_EMPTY(&c->queue)) {
        struct packet *p = STAILQ_FIRST(&c->queue);
        int r = send_packet(c, p->data, p->len, p->fd);
        if (r == -EAGAIN && event_add(c->writable, NULL) == 0)
            break;
        if (r < 0 && r != -EPIPE && r != -ECONNRESET) {
            /* Nothing that was queued may be lost silently. A worker that is gone is reported else.
             */
            break_channel(c, "a command cannot be sent");
            return;
        }
        STAILQ_REMOVE_HEAD(&c->queue, link);
        c->queued_bytes -= p->cost;
        c->queued_fds -= p->fd >= 0;
        const struct worker_queued q = queued_of(p);
        if (q.number != 0 && c->events->on_sent)
            c->events->on_sent(c->userdata, &q);
        packet_free(p);
    }
    send_ack(c);
    c->events->on_flushed(c->userdata);
}

static void send_ack(struct worker_channel *c)
{
    bool due =
        c->ack_now || c->whole_seq - c->acked_seq >= ACK_FACTS || c->unacked_bytes >= ACK_BYTES;
    if (c->broken || c->hold_acks || !due || c->whole_seq == c->acked_seq ||
        !STAILQ_EMPTY(&c->queue))
        return;
    Stillpoint__Worker__Command command = STILLPOINT__WORKER__COMMAND__INIT;
    (void)worker_channel_send(c, &command, -1);
}

void worker_channel_defer(struct worker_channel *c, bool on)
{
    c->deferring = on;
}

size_t worker_channel_unacked(const struct worker_channel *c)
{
    return c->unacked_bytes;
}

void worker_channel_hold_acks(struct worker_channel *c, bool hold)
{
    c->hold_acks = hold;
    send_ack(c);
}

/* What a worker is asked for is as much as there are questions. */
static bool is_asked_for(const struct worker_fact *fact)
{
    return fact->kind == FACT_INSPECTED || fact->kind == FACT_CALL_DONE;
}

/* How much is unacknowledged because the worker does not wait for its acks, or does not read them.
 * Twice what an honest one sends. */
static const char *check_window(const struct worker_channel *c)
{
    if (c->unacked_console_bytes > 2 * LIMIT_FACT_WINDOW_BYTES)
        return "writes more than may be unacknowledged";
    if (c->unasked_bytes > UNACKED_MOST)
        return "sends more than it can keep until it is acknowledged";
    return NULL;
}

static void count_unacked(struct worker_channel *c, const struct worker_fact *fact, size_t len)
{
    c->unacked_bytes += len + fact->mapped_bytes;
    if (!is_asked_for(fact))
        c->unasked_bytes += len + fact->mapped_bytes;
    if (fact->kind == FACT_CONSOLE)
        c->unacked_console_bytes += fact->console.data.len;
}

static const char *judge_fact(struct worker_channel *c, const struct worker_fact *fact, size_t len)
{
    if (fact->seq != c->last_seq + 1)
        return "fact is out of sequence";
    c->last_seq = fact->seq;
    if (fact->kind == FACT_PART)
        return parts_add(&c->parts, &fact->part);
    count_unacked(c, fact, len);
    uint64_t acked = c->acked_seq;
    const char *why = check_window(c);
    if (!why)
        why = c->events->on_fact(c->userdata, fact);
    /* Only now: what a command acknowledges is forgotten by the worker, and what follows from it
     * has to be put down before that. */
    if (!c->deferring && c->whole_seq < fact->seq)
        c->whole_seq = fact->seq;
    if (c->acked_seq != acked)
        count_unacked(c, fact, len);
    if (fact->kind == FACT_EXITING)
        c->ack_now = true;
    return why;
}

/* The number of a fact that may have no legal end: the first field, as every worker packs it. */
static bool peek_seq(const uint8_t *data, size_t len, uint64_t *ret)
{
    uint64_t seq = 0;
    if (len < 2 || data[0] != 0x08)
        return false;
    for (size_t i = 1; i < len && i <= 10; i++) {
        seq |= (uint64_t)(data[i] & 0x7f) << (7 * (i - 1));
        if (data[i] & 0x80)
            continue;
        *ret = seq;
        return true;
    }
    return false;
}

/* Whether it is left out: it was heard by the daemon before, or was read by that and not heard, and
 * the worker sends it once more. */
static bool is_skipped(struct worker_channel *c, const uint8_t *data, size_t len)
{
    uint64_t seq;
    if (!c->resumed || !peek_seq(data, len, &seq) || seq == c->last_seq + 1)
        return false;
    c->skipped_bytes += len;
    return c->skipped_bytes <= UNACKED_MOST;
}

static const char *take_fact(struct worker_channel *c, const uint8_t *data, size_t len)
{
    struct worker_fact fact;
    const char *why;
    if (is_skipped(c, data, len))
        return NULL;
    _cleanup_close_ int beside = -1;
    if (parts_take(&c->parts, data, len, &beside) < 0)
        return unpack_no_memory;
    if (check_worker_fact(data, len, &beside, beside >= 0, &fact, &why) < 0)
        return why;
    why = judge_fact(c, &fact, len);
    check_worker_done(&fact);
    /* cppcheck-suppress returnDanglingLifetime ; a static text */
    return why;
}

/* Reads at most `count` packets, hardly more than so many bytes, and hardly for longer. False when
 * the channel has come to its end. */
static bool read_packets(struct worker_channel *c, int count, size_t most_bytes, uint64_t most_ns)
{
    uint8_t data[LIMIT_PACKET_BYTES];
    size_t bytes = 0;
    uint64_t since_ns = shm_now_ns();
    while (count-- > 0 && bytes < most_bytes && !c->broken && shm_now_ns() - since_ns < most_ns) {
        int fds[FD_MAX_PASSED];
        size_t n_fds = FD_MAX_PASSED;
        ssize_t n = fd_receive(c->fd, data, sizeof data, fds, &n_fds);
        if (n == -EAGAIN)
            return true;
        if (n <= 0) {
            break_channel(c, n == -EMSGSIZE ? "packet is too large or carries too many descriptors"
                                            : NULL);
            return false;
        }
        bytes += (size_t)n;
        const char *why = n_fds > 0 ? "packet carries a descriptor" : take_fact(c, data, (size_t)n);
        while (n_fds > 0)
            close(fds[--n_fds]);
        if (why) {
            break_channel(c, why);
            return false;
        }
    }
    return !c->broken;
}

static void on_readable(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct worker_channel *c = userdata;
    if (read_packets(c, PACKETS_PER_TURN, BYTES_PER_TURN, TURN_NS))
        send_ack(c);
}

void worker_channel_hear(struct worker_channel *c)
{
    if (read_packets(c, HEAR_PACKETS, SIZE_MAX, UINT64_MAX))
        send_ack(c);
}

void worker_channel_drain(struct worker_channel *c)
{
    while (!c->broken && read_packets(c, PACKETS_PER_TURN, SIZE_MAX, UINT64_MAX)) {
        /* The worker is dead: what it sent is finite, and the end follows it. */
        int peek = recv(c->fd, NULL, 0, MSG_PEEK | MSG_DONTWAIT) < 0 ? errno : 0;
        if (peek != 0)
            break;
    }
}
