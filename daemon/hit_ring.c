#include "daemon/hit_ring.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/limits.h"

#define FIRST_SIZE 64u

_Static_assert((LIMIT_RING_HITS & (LIMIT_RING_HITS - 1)) == 0, "sizes are powers of 2");

void hit_ring_init(struct hit_ring *r)
{
    *r = (struct hit_ring){.first = 1, .next = 1};
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
    record->bytes = (uint32_t)(head + len);
    size_t left = len;
    for (size_t i = 0; i < head; i++, left >>= 7)
        record->data[i] = (uint8_t)((left & 0x7f) | (i + 1 < head ? 0x80 : 0));
    stillpoint__api__hit__pack(m, record->data + head);
    return record;
}

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
