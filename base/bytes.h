/*
 * bytes.h: a growable byte queue with an upper bound: append at the end, consume at the front. One
 * owner, one thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct bytes {
    uint8_t *data; /**< buffer; the content is data[start .. start+len) */
    size_t start, len, size;
    size_t max; /**< content never exceeds it */
};

/** An empty queue that holds at most `max` bytes; allocates nothing. */
void bytes_init(struct bytes *b, size_t max);
void bytes_done(struct bytes *b);
/** Appends. -ENOBUFS if it would exceed max, -ENOMEM; nothing was appended then. */
int bytes_append(struct bytes *b, const void *data, size_t len);
/** Room for `len` more bytes at the end, to be filled and then bytes_commit()ed. */
int bytes_reserve(struct bytes *b, size_t len, uint8_t **ret_room);
void bytes_commit(struct bytes *b, size_t len);
/** First byte of the content. */
const uint8_t *bytes_at(const struct bytes *b);
/** Drops the first `len` bytes of the content. */
void bytes_consume(struct bytes *b, size_t len);
