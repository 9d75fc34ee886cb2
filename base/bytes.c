#include "bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void bytes_init(struct bytes *b, size_t max)
{
    *b = (struct bytes){.max = max};
}

void bytes_done(struct bytes *b)
{
    free(b->data);
    *b = (struct bytes){.max = b->max};
}

int bytes_reserve(struct bytes *b, size_t len, uint8_t **ret_room)
{
    if (len > b->max - b->len)
        return -ENOBUFS;
    if (b->start + b->len + len > b->size) {
        if (b->start > 0) {
            memmove(b->data, b->data + b->start, b->len);
            b->start = 0;
        }
        if (b->len + len > b->size) {
            size_t size = b->size ? b->size : 4096;
            while (size < b->len + len)
                size *= 2;
            uint8_t *data = realloc(b->data, size);
            if (!data)
                return -ENOMEM;
            b->data = data;
            b->size = size;
        }
    }
    *ret_room = b->data + b->start + b->len;
    return 0;
}

void bytes_commit(struct bytes *b, size_t len)
{
    b->len += len;
}

int bytes_append(struct bytes *b, const void *data, size_t len)
{
    uint8_t *room;
    if (len == 0)
        return 0;
    int r = bytes_reserve(b, len, &room);
    if (r < 0)
        return r;
    memcpy(room, data, len);
    bytes_commit(b, len);
    return 0;
}

const uint8_t *bytes_at(const struct bytes *b)
{
    return b->data + b->start;
}

void bytes_consume(struct bytes *b, size_t len)
{
    b->start += len;
    b->len -= len;
    if (b->len == 0) {
        b->start = 0;
        /* A queue that was large once gives its memory back. */
        if (b->size > 64 * 1024) {
            free(b->data);
            b->data = NULL;
            b->size = 0;
        }
    }
}
