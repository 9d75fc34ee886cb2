#include "daemon/vm_log.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "daemon/fd_store.h"
#include "daemon/record.h"
#include "proto/limits.h"

#define PAGE_BYTES 4096u
#define VERSION 1u
#define MOST_RECORD_BYTES (sizeof(struct vm_log_record) + LIMIT_CONSOLE_CHUNK_BYTES)

/* The memfd's first page. Records lie from `start` to `end`, which only grow: at what is left when
 * they are divided by the size of the ring. Each store leaves a log that can be read: room is made
 * before it is written to, and a record is there when `end` says so. */
struct vm_log_head {
    uint64_t version, size;
    _Atomic uint64_t start, end, next_seq;
};
_Static_assert(sizeof(struct vm_log_head) <= PAGE_BYTES, "the ring begins with the second page");

static size_t in_pages(size_t bytes)
{
    return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static size_t bytes_of(size_t len)
{
    return (sizeof(struct vm_log_record) + len + 7) / 8 * 8;
}

static uint64_t start_of(const struct vm_log *log)
{
    return atomic_load_explicit(&log->head->start, memory_order_relaxed);
}

static uint64_t end_of(const struct vm_log *log)
{
    return atomic_load_explicit(&log->head->end, memory_order_relaxed);
}

static struct vm_log_record *record_at(const struct vm_log *log, uint64_t at)
{
    return (struct vm_log_record *)(void *)(log->ring + at % log->size);
}

void vm_log_init(struct vm_log *log, uint64_t vm, size_t max_bytes, bool is_kept)
{
    *log = (struct vm_log){.vm = vm, .max_bytes = max_bytes, .next_seq = 1, .is_kept = is_kept};
}

void vm_log_done(struct vm_log *log)
{
    if (log->head)
        munmap(log->head, PAGE_BYTES + 2 * log->size);
    log->head = NULL;
}

void vm_log_keep_no_more(struct vm_log *log)
{
    if (log->head && log->is_kept)
        fd_store_drop("log-%llu", (unsigned long long)log->vm);
    log->is_kept = false;
}

static int map(struct vm_log *log, int fd, size_t size)
{
    size_t all = PAGE_BYTES + 2 * size;
    uint8_t *at = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return -errno;
    if (mmap(at, PAGE_BYTES + size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
            MAP_FAILED ||
        mmap(at + PAGE_BYTES + size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
             PAGE_BYTES) == MAP_FAILED) {
        int r = -errno;
        munmap(at, all);
        return r;
    }
    log->head = (struct vm_log_head *)(void *)at;
    log->ring = at + PAGE_BYTES;
    log->size = size;
    return 0;
}

/* Memory that cannot be had is an error here, not a signal later. */
static int populate(void *at, size_t bytes)
{
    int r;
    do
        r = madvise(at, bytes, MADV_POPULATE_WRITE);
    while (r < 0 && errno == EINTR);
    return r < 0 && errno != EINVAL ? -errno : 0; /* a kernel before 5.14 does not know of it */
}

static void keep(struct vm_log *log, int fd)
{
    int r = fd_store_put(fd, "log-%llu", (unsigned long long)log->vm);
    if (r == 0)
        return;
    log->is_kept = false;
    record_write(LOG_WARNING, MESSAGE_STATE_NOT_KEPT, &(const struct record_about){.vm = log->vm},
                 "what vm %llu writes cannot be kept for the next daemon: %s",
                 (unsigned long long)log->vm,
                 r == -ENOSPC ? "it could be handed no more than there are" : strerror(-r));
}

static int make(struct vm_log *log)
{
    /* One record may be larger than all that a VM may have. */
    size_t size = in_pages(log->max_bytes + MOST_RECORD_BYTES);
    _cleanup_close_ int fd = memfd_create("stillpoint-log", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)(PAGE_BYTES + size)) < 0)
        return -errno;
    int r = map(log, fd, size);
    if (r == 0 && (r = populate(log->head, PAGE_BYTES)) < 0)
        vm_log_done(log);
    if (r < 0)
        return r;
    log->head->version = VERSION;
    log->head->size = size;
    if (log->is_kept)
        keep(log, fd);
    return 0;
}

static bool record_is_whole(const struct vm_log *log, uint64_t at, uint64_t seq)
{
    uint64_t left = end_of(log) - at;
    if (left < sizeof(struct vm_log_record))
        return false;
    const struct vm_log_record *r = record_at(log, at);
    return r->len <= LIMIT_CONSOLE_CHUNK_BYTES && bytes_of(r->len) <= left && r->seq > seq &&
           r->seq < UINT64_MAX;
}

static int look_through(struct vm_log *log)
{
    uint64_t at = start_of(log), seq = 0;
    if (log->head->version != VERSION || log->head->size != log->size || at % 8 != 0 ||
        end_of(log) < at || end_of(log) - at > log->size)
        return -EPROTO;
    while (at != end_of(log)) {
        if (!record_is_whole(log, at, seq))
            return -EPROTO;
        seq = record_at(log, at)->seq;
        log->last_fact = record_at(log, at)->fact;
        at += bytes_of(record_at(log, at)->len);
    }
    /* It may have died before it said so. */
    log->next_seq = atomic_load_explicit(&log->head->next_seq, memory_order_relaxed);
    if (log->next_seq <= seq)
        log->next_seq = seq + 1;
    log->room = end_of(log) < log->size ? in_pages((size_t)end_of(log)) : log->size;
    return 0;
}

static int read_kept(struct vm_log *log, int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    /* A ring must take all that the VM may have, and one record: another daemon's could be larger.
     */
    if (st.st_size < (off_t)(PAGE_BYTES + in_pages(log->max_bytes + MOST_RECORD_BYTES)) ||
        st.st_size % PAGE_BYTES != 0 ||
        st.st_size > (off_t)(PAGE_BYTES + in_pages(LIMIT_LOG_BYTES + MOST_RECORD_BYTES)))
        return -EPROTO;
    int r = map(log, fd, (size_t)st.st_size - PAGE_BYTES);
    if (r == 0 && (r = look_through(log)) < 0)
        vm_log_done(log);
    return r;
}

void vm_log_adopt(struct vm_log *log, struct fd_store *store)
{
    _cleanup_close_ int fd = fd_store_take(store, "log-%llu", (unsigned long long)log->vm);
    if (fd < 0)
        return; /* it has not written, or had no place */
    int r = read_kept(log, fd);
    if (r == 0)
        return;
    record_write(LOG_ERR, MESSAGE_PART_LOST, &(const struct record_about){.vm = log->vm},
                 "what vm %llu wrote cannot be read: %s", (unsigned long long)log->vm,
                 strerror(-r));
    fd_store_drop("log-%llu", (unsigned long long)log->vm);
    vm_log_init(log, log->vm, log->max_bytes, log->is_kept);
}

static void make_room(struct vm_log *log, size_t bytes)
{
    uint64_t start = start_of(log), end = end_of(log);
    while (start != end && end - start + bytes > log->max_bytes)
        start += bytes_of(record_at(log, start)->len);
    atomic_store_explicit(&log->head->start, start, memory_order_release);
}

/* Only what has not been written to before can be without memory. */
static int have_memory(struct vm_log *log, size_t bytes)
{
    uint64_t end = end_of(log);
    size_t need = end + bytes < log->size ? in_pages((size_t)(end + bytes)) : log->size;
    if (need <= log->room)
        return 0;
    int r = populate(log->ring + log->room, need - log->room);
    if (r == 0)
        log->room = need;
    return r;
}

bool vm_log_add(struct vm_log *log, uint64_t fact, unsigned stream, unsigned level,
                uint64_t mono_ns, const char *data, size_t len)
{
    if (fact != 0 && fact <= log->last_fact)
        return false;
    uint64_t seq = log->next_seq++;
    size_t bytes = bytes_of(len);
    if (len > LIMIT_CONSOLE_CHUNK_BYTES || (!log->head && make(log) < 0))
        return true;
    make_room(log, bytes);
    if (have_memory(log, bytes) == 0) {
        struct timespec ts;
        struct vm_log_record *r = record_at(log, end_of(log));
        clock_gettime(CLOCK_REALTIME, &ts);
        *r = (struct vm_log_record){
            .seq = seq,
            .fact = fact,
            .time_us = (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u,
            .mono_ns = mono_ns,
            .stream = stream,
            .level = level,
            .len = len,
        };
        memcpy(r->data, data, len);
        log->last_fact = fact;
        atomic_store_explicit(&log->head->end, end_of(log) + bytes, memory_order_release);
    }
    atomic_store_explicit(&log->head->next_seq, log->next_seq, memory_order_release);
    return true;
}

const struct vm_log_record *vm_log_next(const struct vm_log *log, const struct vm_log_record *r)
{
    uint64_t offset = (uint64_t)((const uint8_t *)r - log->ring);
    /* Where it lies, counted from where they begin. */
    uint64_t at = (offset + log->size - start_of(log) % log->size) % log->size;
    at += start_of(log) + bytes_of(r->len);
    return at == end_of(log) ? NULL : record_at(log, at);
}

const struct vm_log_record *vm_log_find(const struct vm_log *log, uint64_t from)
{
    if (!log->head)
        return NULL;
    for (uint64_t at = start_of(log); at != end_of(log); at += bytes_of(record_at(log, at)->len))
        if (record_at(log, at)->seq >= from)
            return record_at(log, at);
    return NULL;
}

uint64_t vm_log_tail(const struct vm_log *log, uint64_t n)
{
    return log->next_seq > n ? log->next_seq - n : 1;
}
