#include "worker/daemon_channel.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "proto/limits.h"

/* Text up to this size fits in a packet beside the other fields of its fact. */
#define INLINE_BYTES (LIMIT_PACKET_BYTES - 1024u)
/* Room for one more fact of the largest size, before guest code is held. */
#define KEPT_BYTES_HIGH (LIMIT_FACT_BUFFER_BYTES - LIMIT_JSON_BYTES - LIMIT_PACKET_BYTES)
_Static_assert(DAEMON_CHANNEL_PARTS *INLINE_BYTES >= LIMIT_JSON_BYTES, "parts of the largest text");

struct fact {
    struct fact *next;
    uint64_t seq;
    size_t console_bytes;
    size_t len;
    uint8_t packet[];
};

int daemon_channel_init(struct daemon_channel *c, int fd,
                        int (*on_command)(void *, const Stillpoint__Worker__Command *, int *,
                                          size_t),
                        void *userdata)
{
    uint8_t *packet = malloc(LIMIT_PACKET_BYTES);
    if (!packet)
        return -ENOMEM;
    *c = (struct daemon_channel){
        .fd = fd, .packet = packet, .on_command = on_command, .userdata = userdata};
    return 0;
}

static void drop_first(struct daemon_channel *c)
{
    struct fact *f = c->first;
    c->first = f->next;
    if (!c->first)
        c->last = NULL;
    if (c->unsent == f)
        c->unsent = f->next;
    c->kept_bytes -= f->len;
    c->console_bytes -= f->console_bytes;
    free(f);
}

void daemon_channel_done(struct daemon_channel *c)
{
    while (c->first)
        drop_first(c);
    free(c->packet);
    *c = (struct daemon_channel){.fd = -1};
}

/* Sends what is unsent, as far as the socket takes it. */
static int flush(struct daemon_channel *c)
{
    while (c->unsent) {
        struct fact *f = c->unsent;
        struct iovec iov = {.iov_base = f->packet, .iov_len = f->len};
        ssize_t n = fd_send(c->fd, &iov, 1, NULL, 0);
        if (n == -EAGAIN)
            return 0;
        if (n < 0)
            return n == -ECONNRESET ? -EPIPE : (int)n;
        c->unsent = f->next;
    }
    return 0;
}

int daemon_channel_send(struct daemon_channel *c, Stillpoint__Worker__Fact *fact)
{
    fact->has_seq = true;
    fact->seq = c->last_seq + 1;
    size_t len = stillpoint__worker__fact__get_packed_size(fact);
    if (len > LIMIT_PACKET_BYTES)
        return -EMSGSIZE;
    struct fact *f = malloc(sizeof *f + len);
    if (!f)
        return -ENOMEM;
    size_t console_bytes =
        fact->body_case == STILLPOINT__WORKER__FACT__BODY_CONSOLE ? fact->console->data.len : 0;
    *f = (struct fact){.seq = fact->seq, .console_bytes = console_bytes, .len = len};
    stillpoint__worker__fact__pack(fact, f->packet);

    if (c->last)
        c->last->next = f;
    else
        c->first = f;
    c->last = f;
    c->last_seq = f->seq;
    c->kept_bytes += len;
    c->console_bytes += console_bytes;
    if (!c->unsent)
        c->unsent = f;
    return flush(c);
}

bool daemon_channel_wrap(const char *text, size_t len, ProtobufCBinaryData *ret_inline)
{
    bool beside = len > INLINE_BYTES;
    *ret_inline =
        (ProtobufCBinaryData){.len = beside ? 0 : len, .data = (uint8_t *)(uintptr_t)text};
    return beside;
}

int daemon_channel_send_beside(struct daemon_channel *c, Stillpoint__Worker__Fact *fact,
                               const void *data, size_t len)
{
    const uint8_t *at = data;
    while (len > 0) {
        Stillpoint__Worker__Part part = STILLPOINT__WORKER__PART__INIT;
        Stillpoint__Worker__Fact m = STILLPOINT__WORKER__FACT__INIT;
        size_t n = len < INLINE_BYTES ? len : INLINE_BYTES;
        part.has_data = true;
        part.data = (ProtobufCBinaryData){.len = n, .data = (uint8_t *)(uintptr_t)at};
        m.body_case = STILLPOINT__WORKER__FACT__BODY_PART;
        m.part = &part;
        int r = daemon_channel_send(c, &m);
        if (r < 0)
            return r;
        at += n;
        len -= n;
    }
    return daemon_channel_send(c, fact);
}

bool daemon_channel_congested(const struct daemon_channel *c)
{
    return c->unsent || c->console_bytes > LIMIT_FACT_WINDOW_BYTES - LIMIT_CONSOLE_CHUNK_BYTES ||
           c->kept_bytes > KEPT_BYTES_HIGH;
}

bool daemon_channel_settled(const struct daemon_channel *c)
{
    return !c->first;
}

static int take_ack(struct daemon_channel *c, uint64_t seq)
{
    if (seq > c->last_seq)
        return -EPROTO;
    while (c->first && c->first->seq <= seq)
        drop_first(c);
    return 0;
}

static int serve(struct daemon_channel *c, const Stillpoint__Worker__Command *m, int *fds,
                 size_t n_fds)
{
    if (m->has_ack) {
        int r = take_ack(c, m->ack);
        if (r < 0)
            return r;
    }
    if (m->has_number && m->number <= c->last_command)
        return 0;
    if (m->has_number)
        c->last_command = m->number;
    switch (m->body_case) {
    case STILLPOINT__WORKER__COMMAND__BODY__NOT_SET:
        return 0;
    case STILLPOINT__WORKER__COMMAND__BODY_TAKE_OVER: {
        int r = take_ack(c, m->take_over->last_seq);
        if (r < 0)
            return r;
        c->unsent = c->first;
        return flush(c);
    }
    default:
        return c->on_command(c->userdata, m, fds, n_fds);
    }
}

static int receive_one(struct daemon_channel *c)
{
    int fds[FD_MAX_PASSED];
    size_t n_fds = FD_MAX_PASSED;
    ssize_t n = fd_receive(c->fd, c->packet, LIMIT_PACKET_BYTES, fds, &n_fds);
    if (n == -EAGAIN)
        return -EAGAIN;
    if (n <= 0)
        return n == 0 || n == -ECONNRESET ? -EPIPE : (int)n;
    Stillpoint__Worker__Command *m =
        stillpoint__worker__command__unpack(NULL, (size_t)n, c->packet);
    int r = m ? serve(c, m, fds, n_fds) : -EPROTO;
    if (m)
        stillpoint__worker__command__free_unpacked(m, NULL);
    for (size_t i = 0; i < n_fds; i++)
        fd_close(&fds[i]);
    return r;
}

int daemon_channel_drain(struct daemon_channel *c)
{
    int r = flush(c);
    while (r == 0)
        r = receive_one(c);
    return r == -EAGAIN ? 0 : r;
}

int daemon_channel_wait(struct daemon_channel *c, int other_fd, uint64_t timeout_ns)
{
    struct pollfd p[] = {
        {.fd = c->fd, .events = (short)(POLLIN | (c->unsent ? POLLOUT : 0))},
        {.fd = other_fd, .events = POLLIN},
    };
    struct timespec ts = {.tv_sec = (time_t)(timeout_ns / 1000000000u),
                          .tv_nsec = (long)(timeout_ns % 1000000000u)};
    int n = ppoll(p, 2, timeout_ns == UINT64_MAX ? NULL : &ts, NULL);
    if (n < 0 && errno != EINTR)
        return -errno;
    if (n == 0)
        return -ETIMEDOUT;
    int r = daemon_channel_drain(c);
    return r < 0 ? r : n > 0 && p[1].revents != 0;
}
