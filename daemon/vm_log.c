#include "daemon/vm_log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

void vm_log_init(struct vm_log *log, size_t max_bytes)
{
    *log = (struct vm_log){.next_seq = 1, .max_bytes = max_bytes};
    STAILQ_INIT(&log->records);
}

static void drop_first(struct vm_log *log)
{
    struct vm_log_record *r = STAILQ_FIRST(&log->records);
    STAILQ_REMOVE_HEAD(&log->records, link);
    log->bytes -= sizeof *r + r->len;
    free(r);
}

void vm_log_done(struct vm_log *log)
{
    while (!STAILQ_EMPTY(&log->records))
        drop_first(log);
}

void vm_log_add(struct vm_log *log, unsigned stream, unsigned level, uint64_t mono_ns,
                const char *data, size_t len)
{
    uint64_t seq = log->next_seq++;
    struct vm_log_record *r = malloc(sizeof *r + len);
    if (!r)
        return;
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    *r = (struct vm_log_record){
        .seq = seq,
        .time_us = (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u,
        .mono_ns = mono_ns,
        .stream = stream,
        .level = level,
        .len = len,
    };
    memcpy(r->data, data, len);
    STAILQ_INSERT_TAIL(&log->records, r, link);
    log->bytes += sizeof *r + len;
    while (log->bytes > log->max_bytes && STAILQ_FIRST(&log->records) != r)
        drop_first(log);
}

const struct vm_log_record *vm_log_find(const struct vm_log *log, uint64_t from)
{
    const struct vm_log_record *r;
    STAILQ_FOREACH(r, &log->records, link)
    if (r->seq >= from)
        return r;
    return NULL;
}

uint64_t vm_log_tail(const struct vm_log *log, uint64_t n)
{
    return log->next_seq > n ? log->next_seq - n : 1;
}
