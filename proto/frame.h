/*
 * frame.h: frames of the client wire: a 4-byte big-endian length, then one Envelope. Cuts a byte
 * stream into frames with the file descriptors that belong to them, and writes them. Used by the
 * daemon's client_conn and by libstillpoint. One owner, one thread; never waits.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "proto/limits.h"

struct frame_reader {
    struct bytes in;
    int fds[FD_MAX_PASSED]; /**< received, not yet claimed by a frame */
    size_t n_fds;
    /** Takes each descriptor that is not a sealed memfd of at most LIMIT_FILE_BYTES, as of a peer
     * that is not trusted: to close one may take long. NULL: there is no such peer. */
    void (*on_odd)(void *userdata, int fd);
    void *userdata;
};

struct frame_writer {
    struct bytes out;
    /** One queued fd each: it goes with the byte at `at`, counted from the start of the stream. */
    struct frame_fd {
        uint64_t at;
        int fd;
    } * fds;
    size_t n_fds, size_fds;
    size_t max_fds;    /**< 0: no limit of their own */
    uint64_t sent;     /**< bytes of the stream that were sent */
    uint64_t appended; /**< bytes of the stream that were queued */
};

void frame_reader_init(struct frame_reader *r);
/** Closes unclaimed fds. */
void frame_reader_done(struct frame_reader *r);
/**
 * Reads once from the socket. Returns > 0 if bytes came, 0 at the end of the stream, -EAGAIN,
 * -EPROTO when the peer sent more fds than any frame may carry, or another negative errno.
 */
int frame_reader_fill(struct frame_reader *r, int sock);
/**
 * The next whole frame. Returns 1 and sets *ret_data (valid until it is dropped) and *ret_bytes; 0
 * if there is none yet; -EPROTO for a length of 0 or beyond LIMIT_FRAME_BYTES. The frame stays the
 * next one until it is dropped.
 */
int frame_reader_next(struct frame_reader *r, const uint8_t **ret_data, size_t *ret_bytes);
/** Drops the frame that frame_reader_next() gave, of this many bytes. */
void frame_reader_drop(struct frame_reader *r, size_t bytes);
/** Claims the oldest fd that came; -1 if there is none. It is the caller's then. In the place of an
 * odd one there is what fd_memfd_size() has returned for it. */
int frame_reader_take_fd(struct frame_reader *r);

void frame_writer_init(struct frame_writer *w, size_t max_bytes);
void frame_writer_done(struct frame_writer *w);
/**
 * Queues one frame; takes `fd` (-1: none), also on failure. -ENOBUFS when the peer has not read for
 * too long (max_bytes, max_fds), -EMSGSIZE beyond LIMIT_FRAME_BYTES.
 */
int frame_writer_put(struct frame_writer *w, const uint8_t *data, size_t bytes, int fd);
/** Sends what the socket takes. Returns 0 when all is sent, 1 if some is left, or negative errno.
 */
int frame_writer_flush(struct frame_writer *w, int sock);
/** Bytes queued and not sent. */
size_t frame_writer_queued(const struct frame_writer *w);
