#include "proto/parts.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "proto/limits.h"
#include "proto/unpack.h"

void parts_done(struct parts *p)
{
    free(p->data);
    *p = (struct parts){0};
}

const char *parts_add(struct parts *p, const struct worker_text *part)
{
    if (part->len == 0 || part->len > LIMIT_JSON_BYTES - p->bytes)
        return "parts are empty, or larger than any text";
    uint8_t *data = realloc(p->data, p->bytes + part->len);
    if (!data)
        return unpack_no_memory;
    memcpy(data + p->bytes, part->text, part->len);
    p->data = data;
    p->bytes += part->len;
    return NULL;
}

/* The number, field 1, and then field 25: as every honest worker writes them. A Part that looks
 * otherwise is refused by the door, which wants no memfd beside one. */
static bool is_part(const uint8_t *packet, size_t bytes)
{
    size_t at = bytes > 0 && packet[0] == 0x08 ? 1 : bytes;
    while (at < bytes && packet[at] & 0x80)
        at++;
    return at + 3 <= bytes && packet[at + 1] == 0xca && packet[at + 2] == 0x01;
}

int parts_take(struct parts *p, const uint8_t *packet, size_t bytes, int *ret_fd)
{
    int fd = -1;
    if (p->bytes > 0 && !is_part(packet, bytes)) {
        fd = fd_memfd_new("stillpoint-parts", p->data, p->bytes);
        parts_done(p);
        if (fd < 0)
            return fd;
    }
    *ret_fd = fd;
    return 0;
}
