/*
 * parts.h: texts of facts that are larger than a packet, put together again. A worker makes no
 * files and passes no descriptors: it sends such a text in Parts, and the fact that it belongs to
 * after them. For the door that fact is one with a memfd beside it, which is made here.
 *
 * Owns the parts of one channel. Used by the daemon only; the worker is not trusted.
 *
 * Invariant: at most LIMIT_JSON_BYTES are kept, which is as large as any text.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/check_worker.h"

struct parts {
    uint8_t *data;
    size_t bytes;
};

void parts_done(struct parts *p);

/** A Part has passed the door. Returns NULL, or why it is refused. */
const char *parts_add(struct parts *p, const struct worker_text *part);

/**
 * What goes beside this packet: the parts before it, unless it is one itself. Returns 0 and
 * *ret_fd, a sealed memfd or -1 where there is none; or negative errno.
 */
int parts_take(struct parts *p, const uint8_t *packet, size_t bytes, int *ret_fd);
