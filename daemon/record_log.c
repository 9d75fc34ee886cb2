#include "daemon/record_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define GROW_BYTES (64u * 1024)
#define HEAD_BYTES 4u

int record_log_open(struct record_log *log, const char *name)
{
    *log = (struct record_log){.fd = memfd_create(name, MFD_CLOEXEC)};
    return log->fd < 0 ? -errno : 0;
}

void record_log_close(struct record_log *log)
{
    if (log->map)
        munmap(log->map, log->room);
    fd_close(&log->fd);
    *log = (struct record_log){.fd = -1};
}

/* Allocates what it maps: a page that cannot be had is an error here, not a signal later. */
static int grow(struct record_log *log, size_t need)
{
    size_t room = (need + GROW_BYTES - 1) / GROW_BYTES * GROW_BYTES;
    int r;
    do
        r = posix_fallocate(log->fd, (off_t)log->room, (off_t)(room - log->room));
    while (r == EINTR);
    if (r != 0)
        return -r;
    void *map = log->map ? mremap(log->map, log->room, room, MREMAP_MAYMOVE)
                         : mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, log->fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    log->map = map;
    log->room = room;
    return 0;
}

int record_log_reserve(struct record_log *log, size_t len, uint8_t **ret_at)
{
    if (len > RECORD_LOG_MOST_BYTES)
        return -EMSGSIZE;
    if (log->bytes + HEAD_BYTES + len > log->room) {
        int r = grow(log, log->bytes + HEAD_BYTES + len);
        if (r < 0)
            return r;
    }
    *ret_at = log->map + log->bytes + HEAD_BYTES;
    return 0;
}

void record_log_commit(struct record_log *log, size_t len)
{
    const uint8_t head[HEAD_BYTES] = {(uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16),
                                      (uint8_t)(len >> 24)};
    atomic_signal_fence(memory_order_release);
    memcpy(log->map + log->bytes, head, sizeof head);
    log->bytes += sizeof head + len;
}

static int read_all(const uint8_t *data, size_t bytes,
                    int (*take)(void *userdata, const uint8_t *data, size_t len), void *userdata)
{
    size_t at = 0;
    int r = 0;
    while (r >= 0 && bytes - at >= HEAD_BYTES) {
        size_t len = (size_t)data[at] | (size_t)data[at + 1] << 8 | (size_t)data[at + 2] << 16 |
                     (size_t)data[at + 3] << 24;
        if (len == 0)
            break; /* the end, or cut off there */
        if (len > RECORD_LOG_MOST_BYTES || len > bytes - at - HEAD_BYTES)
            return -EPROTO;
        r = take(userdata, data + at + HEAD_BYTES, len);
        at += HEAD_BYTES + len;
    }
    return r < 0 ? r : 0;
}

int record_log_read(int fd, int (*take)(void *userdata, const uint8_t *data, size_t len),
                    void *userdata)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    size_t bytes = (size_t)st.st_size;
    if (bytes == 0)
        return 0;
    void *data = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return -errno;
    int r = read_all(data, bytes, take, userdata);
    munmap(data, bytes);
    return r;
}
