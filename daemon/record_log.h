/*
 * record_log.h: a log of records in a memfd that another process may read when this one was killed
 * at any moment. Putting a record down makes no system call, but where the memfd has to grow. It
 * owns the memfd and its mapping.
 *
 * Process and thread: the daemon's only thread.
 *
 * A record is its length, 4 bytes little-endian, then its bytes; beyond the last one all is zero,
 * and a length of zero ends a log. The length is written last, so that a record which was cut off
 * by the writer's death is not there at all.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** A record that is longer is none. */
#define RECORD_LOG_MOST_BYTES (1024u * 1024)

struct record_log {
    int fd;
    uint8_t *map;
    size_t bytes, room;
};

/** Makes an empty one. 0 or negative errno. */
int record_log_open(struct record_log *log, const char *name);
void record_log_close(struct record_log *log);

/** Room for a record of `len` bytes, in *ret_at; not there until record_log_commit(). -EMSGSIZE, or
 *  what a memfd says that cannot grow. */
int record_log_reserve(struct record_log *log, size_t len, uint8_t **ret_at);
void record_log_commit(struct record_log *log, size_t len);

/** Calls `take` with each record, in order, until it returns a negative errno. 0, -EPROTO, or that.
 */
int record_log_read(int fd, int (*take)(void *userdata, const uint8_t *data, size_t len),
                    void *userdata);
