/*
 * vm_log.h: what one VM wrote to its console, newest last, bounded to what its VM may have: the
 * oldest records make room, and a reader learns how many it missed. Embedded in its worker. One
 * thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct vm_log_record {
    STAILQ_ENTRY(vm_log_record) link;
    uint64_t seq; /**< from 1, without gaps */
    uint64_t time_us, mono_ns;
    unsigned stream, level;
    size_t len;
    char data[];
};

struct vm_log {
    STAILQ_HEAD(vm_log_records, vm_log_record) records;
    uint64_t next_seq;
    size_t bytes, max_bytes;
};

void vm_log_init(struct vm_log *log, size_t max_bytes);
void vm_log_done(struct vm_log *log);
/** Adds a copy. A record that finds no memory is lost, and counted by its seq. */
void vm_log_add(struct vm_log *log, unsigned stream, unsigned level, uint64_t mono_ns,
                const char *data, size_t len);
/** The oldest kept record with seq >= from, or NULL. */
const struct vm_log_record *vm_log_find(const struct vm_log *log, uint64_t from);
/** Seq at which the last n records begin. */
uint64_t vm_log_tail(const struct vm_log *log, uint64_t n);
