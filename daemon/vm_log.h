/*
 * vm_log.h: what one VM wrote to its console, newest last, bounded to what its VM may have: the
 * oldest records make room, and a reader learns how many it missed. Embedded in its worker, and
 * nothing before the VM first writes.
 *
 * Process and thread: the daemon's only thread. The records are a ring in a memfd, which the
 * service manager keeps as log-ID for the next daemon: that may read it whenever this one has died,
 * between any two stores. It owns the mapping; the memfd itself is open only there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fd_store;

struct vm_log_record {
    uint64_t seq;  /**< from 1, growing */
    uint64_t fact; /**< number of the fact that brought it; 0: none */
    uint64_t time_us, mono_ns;
    uint32_t stream, level;
    uint64_t len;
    char data[];
};

struct vm_log_head;

struct vm_log {
    struct vm_log_head *head; /**< NULL: nothing was written */
    uint8_t *ring;            /**< mapped twice, one after the other: no record is in two parts */
    size_t size, room;        /**< of the ring; of that, what has memory */
    size_t max_bytes;
    uint64_t next_seq;  /**< also of those that found no memory */
    uint64_t last_fact; /**< that brought a record */
    uint64_t vm;
    bool is_kept; /**< for the next daemon, if there is a store */
};

void vm_log_init(struct vm_log *log, uint64_t vm, size_t max_bytes, bool is_kept);
/** Of a VM of the daemon before: with what that has kept of it, if it has, out of the store. */
void vm_log_adopt(struct vm_log *log, struct fd_store *store);
/** Whatever is kept for the next daemon stays there. */
void vm_log_done(struct vm_log *log);
/** The VM is not known any more: nothing of it is kept for the next daemon. */
void vm_log_keep_no_more(struct vm_log *log);

/** Adds a copy. A record that finds no memory is lost, and counted by its seq. False: it is there
 * already, a worker says it once more to another daemon. */
bool vm_log_add(struct vm_log *log, uint64_t fact, unsigned stream, unsigned level,
                uint64_t mono_ns, const char *data, size_t len);
/** The oldest kept record with seq >= from, or NULL. It is there until the next one is added. */
const struct vm_log_record *vm_log_find(const struct vm_log *log, uint64_t from);
/** The one after it, or NULL. */
const struct vm_log_record *vm_log_next(const struct vm_log *log, const struct vm_log_record *r);
/** Seq at which the last n records begin. */
uint64_t vm_log_tail(const struct vm_log *log, uint64_t n);
