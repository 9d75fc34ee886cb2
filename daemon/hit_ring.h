/*
 * hit_ring.h: what the hooks of one debugger have reported, the newest of it, within
 * LIMIT_RING_HITS and LIMIT_RING_BYTES. It owns the records: Hit messages of api.proto, packed.
 * Reading consumes nothing: readers have a cursor, and learn exactly how many hits they came too
 * late for.
 *
 * Process and thread: the daemon's only thread. Owner: audit.
 *
 * Invariant: the hits with seq first … next - 1 are kept; all before were dropped, which are
 * first - 1 of them. A hit for which there was no memory has a seq and no record.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/record_log.h"
#include "proto/api.pb-c.h"

/** The record of one hit as a field of a message: its length as a varint, then a packed Hit. */
struct hit_record {
    uint64_t fact; /**< that it came by; 0: it does not matter */
    uint32_t bytes;
    uint8_t data[];
};

/** NULL without memory; free() it. */
struct hit_record *hit_record_new(const Stillpoint__Api__Hit *m);

/** NULL without memory; to be freed by the caller. */
Stillpoint__Api__Hit *hit_record_read(const struct hit_record *record);

struct hit_ring {
    struct hit_record **slots; /**< of seq s at s % size; NULL: lost */
    size_t size;               /**< a power of 2 */
    uint64_t first, next;
    size_t bytes;
    uint64_t lost; /**< of those that are kept: without a record */
    bool wanted;   /**< somebody waits for the next hit */
    /** What is kept for the next daemon, of the ring of this debugger; its fd is -1: nothing is. */
    struct record_log log;
    uint64_t debugger, fact; /**< fact: of which the next append comes; 0: it does not matter */
    unsigned generation, serial;
};

void hit_ring_init(struct hit_ring *r);
void hit_ring_done(struct hit_ring *r);

/** Sets m->seq and keeps a copy; the oldest make room for it. */
void hit_ring_append(struct hit_ring *r, Stillpoint__Api__Hit *m);

/**
 * From now on what is appended is kept by the service manager, too, by the daemon with this number.
 * 0 or negative errno.
 */
int hit_ring_keep(struct hit_ring *r, uint64_t debugger, unsigned generation);
/** Reads what a daemon that is gone has kept, into an empty ring; tells of each hit that is there,
 * and of the fact that it came by. 0 or negative errno. */
int hit_ring_read(struct hit_ring *r, int fd,
                  void (*tell)(void *userdata, const Stillpoint__Api__Hit *m, uint64_t fact),
                  void *userdata);

/** Hits that are kept: the oldest and the newest, 0 and the newest where none is. */
uint64_t hit_ring_first(const struct hit_ring *r);
uint64_t hit_ring_last(const struct hit_ring *r);
/** All that can no longer be read. */
uint64_t hit_ring_dropped(const struct hit_ring *r);

/**
 * The first hit at or after *cursor, which is set to its seq; NULL, and *cursor the next seq there
 * will be, if there is none. Valid until the next append.
 */
const struct hit_record *hit_ring_find(const struct hit_ring *r, uint64_t *cursor);
