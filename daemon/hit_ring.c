#include "daemon/hit_ring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fd_store.h"
#include "daemon/record.h"
#include "proto/limits.h"

#define FIRST_SIZE 64u
/* What is kept is written anew when it is this large, and half of it is not needed any more. */
#define REWRITE_BYTES (256u * 1024)

_Static_assert((LIMIT_RING_HITS & (LIMIT_RING_HITS - 1)) == 0, "sizes are powers of 2");

void hit_ring_init(struct hit_ring *r)
{
    *r = (struct hit_ring){.first = 1, .next = 1, .log = {.fd = -1}};
}

static struct hit_record **slot_of(const struct hit_ring *r, uint64_t seq)
{
    return &r->slots[seq & (r->size - 1)];
}

static size_t cost(const struct hit_record *record)
{
    return record ? sizeof *record + record->bytes : 0;
}

static void drop_first(struct hit_ring *r)
{
    struct hit_record **slot = slot_of(r, r->first++);
    r->bytes -= cost(*slot);
    r->lost -= !*slot;
    free(*slot);
    *slot = NULL;
}

void hit_ring_done(struct hit_ring *r)
{
    while (r->first < r->next)
        drop_first(r);
    free(r->slots);
    r->slots = NULL;
    r->size = 0;
    if (r->log.fd >= 0)
        fd_store_drop("hits-%llu-%u-%u", (unsigned long long)r->debugger, r->generation, r->serial);
    if (r->log.fd >= 0)
        record_log_close(&r->log);
}

/* Room for one more, by growing or by dropping the oldest. */
static bool make_room(struct hit_ring *r)
{
    if (r->next - r->first < r->size)
        return true;
    size_t size = r->size ? 2 * r->size : FIRST_SIZE;
    struct hit_record **slots =
        size <= LIMIT_RING_HITS ? calloc(size, sizeof(struct hit_record *)) : NULL;
    if (!slots) {
        if (r->size == 0)
            return false;
        drop_first(r);
        return true;
    }
    for (uint64_t seq = r->first; seq < r->next; seq++)
        slots[seq & (size - 1)] = *slot_of(r, seq);
    free(r->slots);
    r->slots = slots;
    r->size = size;
    return true;
}

struct hit_record *hit_record_new(const Stillpoint__Api__Hit *m)
{
    size_t len = stillpoint__api__hit__get_packed_size(m), head = 1;
    for (size_t left = len; left >= 0x80; left >>= 7)
        head++;
    struct hit_record *record = malloc(sizeof *record + head + len);
    if (!record)
        return NULL;
    record->fact = 0;
    record->bytes = (uint32_t)(head + len);
    size_t left = len;
    for (size_t i = 0; i < head; i++, left >>= 7)
        record->data[i] = (uint8_t)((left & 0x7f) | (i + 1 < head ? 0x80 : 0));
    stillpoint__api__hit__pack(m, record->data + head);
    return record;
}

/* ---- for the next daemon */

/* A kept record: these, then the record's bytes. */
struct kept_head {
    uint64_t seq, fact;
};

static int append_kept(struct record_log *log, uint64_t seq, const struct hit_record *record)
{
    const struct kept_head head = {.seq = seq, .fact = record->fact};
    uint8_t *at;
    int r = record_log_reserve(log, sizeof head + record->bytes, &at);
    if (r < 0)
        return r;
    memcpy(at, &head, sizeof head);
    memcpy(at + sizeof head, record->data, record->bytes);
    record_log_commit(log, sizeof head + record->bytes);
    return 0;
}

/* Puts all down in a new memfd, which takes the place of the old one only when it is whole. */
static int rewrite(struct hit_ring *r)
{
    struct record_log log;
    unsigned long long id = r->debugger;
    int v = record_log_open(&log, "stillpoint-hits");
    for (uint64_t seq = r->first; v == 0 && seq < r->next; seq++)
        if (*slot_of(r, seq))
            v = append_kept(&log, seq, *slot_of(r, seq));
    if (v == 0)
        v = fd_store_put(log.fd, "hits-%llu-%u-%u", id, r->generation, r->serial + 1);
    if (v < 0) {
        record_log_close(&log);
        return v;
    }
    if (r->log.fd >= 0)
        fd_store_drop("hits-%llu-%u-%u", id, r->generation, r->serial);
    r->serial++;
    record_log_close(&r->log);
    r->log = log;
    return 0;
}

/* Before it is in the ring: what is written anew by this does not have it. */
static void keep(struct hit_ring *r, uint64_t seq, const struct hit_record *record)
{
    int v = r->log.bytes > REWRITE_BYTES && r->log.bytes > 2 * r->bytes ? rewrite(r) : 0;
    if (v == 0)
        v = append_kept(&r->log, seq, record);
    if (v < 0)
        record_write(LOG_ERR, MESSAGE_STATE_NOT_KEPT, NULL,
                     "a hit cannot be kept for the next daemon: %s", strerror(-v));
}

int hit_ring_keep(struct hit_ring *r, uint64_t debugger, unsigned generation)
{
    r->debugger = debugger;
    r->generation = generation;
    return rewrite(r);
}

struct reading {
    struct hit_ring *ring;
    void (*tell)(void *userdata, const Stillpoint__Api__Hit *m, uint64_t fact);
    void *userdata;
};

static Stillpoint__Api__Hit *unpack_hit(const uint8_t *data, size_t len)
{
    size_t head = 0;
    while (head < len && head < 10 && (data[head] & 0x80))
        head++;
    return head + 1 < len ? stillpoint__api__hit__unpack(NULL, len - head - 1, data + head + 1)
                          : NULL;
}

Stillpoint__Api__Hit *hit_record_read(const struct hit_record *record)
{
    return unpack_hit(record->data, record->bytes);
}

static int take_kept(void *userdata, const uint8_t *data, size_t len)
{
    struct reading *reading = userdata;
    struct hit_ring *r = reading->ring;
    struct kept_head head;
    if (len <= sizeof head)
        return -EPROTO;
    memcpy(&head, data, sizeof head);
    Stillpoint__Api__Hit *m = unpack_hit(data + sizeof head, len - sizeof head);
    if (!m)
        return -EPROTO;
    if (r->first == r->next)
        r->first = r->next = head.seq;
    /* One that found no memory has left a gap. */
    while (r->next < head.seq && make_room(r)) {
        *slot_of(r, r->next++) = NULL;
        r->lost++;
    }
    r->fact = head.fact;
    hit_ring_append(r, m);
    r->fact = 0;
    reading->tell(reading->userdata, m, head.fact);
    stillpoint__api__hit__free_unpacked(m, NULL);
    return 0;
}

int hit_ring_read(struct hit_ring *r, int fd,
                  void (*tell)(void *userdata, const Stillpoint__Api__Hit *m, uint64_t fact),
                  void *userdata)
{
    struct reading reading = {r, tell, userdata};
    return record_log_read(fd, take_kept, &reading);
}

/* ---- */

void hit_ring_append(struct hit_ring *r, Stillpoint__Api__Hit *m)
{
    if (!make_room(r)) {
        /* There is no ring at all: the hit is counted, and that is all. */
        assert(r->first == r->next);
        r->first = ++r->next;
        return;
    }
    m->has_seq = 1;
    m->seq = r->next;
    struct hit_record *record = hit_record_new(m);
    if (record)
        record->fact = r->fact;
    if (record && r->log.fd >= 0)
        keep(r, r->next, record);
    *slot_of(r, r->next++) = record;
    r->bytes += cost(record);
    r->lost += !record;
    while (r->bytes > LIMIT_RING_BYTES && r->next - r->first > 1)
        drop_first(r);
}

uint64_t hit_ring_first(const struct hit_ring *r)
{
    uint64_t seq = r->first;
    return hit_ring_find(r, &seq) ? seq : 0;
}

uint64_t hit_ring_last(const struct hit_ring *r)
{
    return r->next - 1;
}

uint64_t hit_ring_dropped(const struct hit_ring *r)
{
    return r->first - 1 + r->lost;
}

const struct hit_record *hit_ring_find(const struct hit_ring *r, uint64_t *cursor)
{
    uint64_t seq = *cursor < r->first ? r->first : *cursor;
    while (seq < r->next && !*slot_of(r, seq))
        seq++;
    *cursor = seq < r->next ? seq : r->next;
    return seq < r->next ? *slot_of(r, seq) : NULL;
}
