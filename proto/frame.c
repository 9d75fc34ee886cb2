#include "proto/frame.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define HEADER_BYTES 4u
#define READ_BYTES (64u * 1024)

void frame_reader_init(struct frame_reader *r)
{
    *r = (struct frame_reader){0};
    bytes_init(&r->in, LIMIT_FRAME_BYTES + HEADER_BYTES + READ_BYTES);
}

void frame_reader_done(struct frame_reader *r)
{
    while (r->n_fds > 0)
        fd_close(&r->fds[--r->n_fds]);
    bytes_done(&r->in);
}

/* A descriptor, or why it is odd. */
static int keep_fd(const struct frame_reader *r, int fd)
{
    ssize_t size = r->on_odd ? fd_memfd_size(fd, LIMIT_FILE_BYTES) : 0;
    if (size >= 0)
        return fd;
    r->on_odd(r->userdata, fd);
    return (int)size;
}

int frame_reader_fill(struct frame_reader *r, int sock)
{
    uint8_t *room;
    int e = bytes_reserve(&r->in, READ_BYTES, &room);
    if (e < 0)
        return e;
    int fds[FD_MOST_PASSED];
    size_t n_fds;
    ssize_t n = fd_receive_all(sock, room, READ_BYTES, fds, &n_fds);
    bool fits = n > 0 && n_fds <= FD_MAX_PASSED - r->n_fds;
    for (size_t i = 0; i < n_fds; i++) {
        int fd = keep_fd(r, fds[i]);
        if (fits)
            r->fds[r->n_fds++] = fd;
        else
            fd_close(&fd);
    }
    if (n == -EMSGSIZE || (n > 0 && !fits))
        return -EPROTO;
    if (n <= 0)
        return (int)n;
    bytes_commit(&r->in, (size_t)n);
    return 1;
}

int frame_reader_next(struct frame_reader *r, const uint8_t **ret_data, size_t *ret_bytes)
{
    if (r->in.len < HEADER_BYTES)
        return 0;
    const uint8_t *p = bytes_at(&r->in);
    size_t len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (len == 0 || len > LIMIT_FRAME_BYTES)
        return -EPROTO;
    if (r->in.len < HEADER_BYTES + len)
        return 0;
    *ret_data = p + HEADER_BYTES;
    *ret_bytes = len;
    return 1;
}

void frame_reader_drop(struct frame_reader *r, size_t bytes)
{
    bytes_consume(&r->in, HEADER_BYTES + bytes);
}

int frame_reader_take_fd(struct frame_reader *r)
{
    if (r->n_fds == 0)
        return -1;
    int fd = r->fds[0];
    memmove(r->fds, r->fds + 1, --r->n_fds * sizeof r->fds[0]);
    return fd;
}

void frame_writer_init(struct frame_writer *w, size_t max_bytes)
{
    *w = (struct frame_writer){0};
    bytes_init(&w->out, max_bytes);
}

void frame_writer_done(struct frame_writer *w)
{
    for (size_t i = 0; i < w->n_fds; i++)
        close(w->fds[i].fd);
    free(w->fds);
    bytes_done(&w->out);
    *w = (struct frame_writer){0};
}

int frame_writer_put(struct frame_writer *w, const uint8_t *data, size_t bytes, int fd)
{
    _cleanup_close_ int owned = fd;
    if (bytes == 0 || bytes > LIMIT_FRAME_BYTES)
        return -EMSGSIZE;
    if (owned >= 0 && w->max_fds > 0 && w->n_fds >= w->max_fds)
        return -ENOBUFS;
    if (owned >= 0 && w->n_fds == w->size_fds) {
        size_t size = w->size_fds ? 2 * w->size_fds : 8;
        struct frame_fd *fds = reallocarray(w->fds, size, sizeof *fds);
        if (!fds)
            return -ENOMEM;
        w->fds = fds;
        w->size_fds = size;
    }
    uint8_t *room;
    int r = bytes_reserve(&w->out, HEADER_BYTES + bytes, &room);
    if (r < 0)
        return r;
    room[0] = (uint8_t)(bytes >> 24);
    room[1] = (uint8_t)(bytes >> 16);
    room[2] = (uint8_t)(bytes >> 8);
    room[3] = (uint8_t)bytes;
    memcpy(room + HEADER_BYTES, data, bytes);
    bytes_commit(&w->out, HEADER_BYTES + bytes);
    if (owned >= 0)
        w->fds[w->n_fds++] = (struct frame_fd){.at = w->appended, .fd = TAKE_FD(owned)};
    w->appended += HEADER_BYTES + bytes;
    return 0;
}

int frame_writer_flush(struct frame_writer *w, int sock)
{
    while (w->out.len > 0) {
        /* An fd goes with the first byte of its frame; so a send ends where the next fd belongs. */
        bool with_fd = w->n_fds > 0 && w->fds[0].at == w->sent;
        size_t len = w->out.len;
        size_t next = with_fd ? 1 : 0;
        if (next < w->n_fds && w->fds[next].at - w->sent < len)
            len = (size_t)(w->fds[next].at - w->sent);
        struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes_at(&w->out), .iov_len = len};
        ssize_t n = fd_send(sock, &iov, 1, with_fd ? &w->fds[0].fd : NULL, with_fd ? 1 : 0);
        if (n == -EAGAIN)
            return 1;
        if (n < 0)
            return (int)n;
        if (with_fd) {
            close(w->fds[0].fd);
            memmove(w->fds, w->fds + 1, --w->n_fds * sizeof w->fds[0]);
        }
        w->sent += (uint64_t)n;
        bytes_consume(&w->out, (size_t)n);
    }
    return 0;
}

size_t frame_writer_queued(const struct frame_writer *w)
{
    return w->out.len;
}
