#include "daemon/api_hits.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "daemon/audit.h"
#include "daemon/debugger.h"

typedef Stillpoint__Api__Envelope Envelope;

/* Bytes in one page, if there is more than one hit in it: it has few bytes for each field, and a
 * frame may have LIMIT_UNPACK_ELEMENTS. */
#define PAGE_BYTES (64u * 1024)

/* What somebody waits for; the data of a pending is none, its `debugger` and `number` (seq) say it.
 */
static const struct pending_type more_hits = {.on_vm_ended = NULL};

/* A page of hits. They are packed as they will travel: each goes in as a field that protobuf-c
 * passes on unread. */
struct hit_page {
    Stillpoint__Api__HitPage m;
    ProtobufCMessageUnknownField fields[LIMIT_PAGE_ITEMS + 1];
    struct hit_record *gap;
};

#define HITS_TAG 1u /* HitPage.hits */

static void put_record(struct hit_page *page, const struct hit_record *record)
{
    page->fields[page->m.base.n_unknown_fields++] =
        (ProtobufCMessageUnknownField){.tag = HITS_TAG,
                                       .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
                                       .len = record->bytes,
                                       .data = (uint8_t *)(uintptr_t)record->data};
}

/* In the place of hits that were lost. */
static void put_gap(struct hit_page *page, uint64_t dropped, uint64_t before_seq)
{
    Stillpoint__Api__Hit gap = STILLPOINT__API__HIT__INIT;
    API_SET(&gap, dropped, dropped);
    API_SET(&gap, before_seq, before_seq);
    free(page->gap);
    page->gap = hit_record_new(&gap);
    if (page->gap)
        put_record(page, page->gap);
}

static void fill_page(struct hit_page *page, const struct hit_ring *ring, uint64_t from,
                      uint32_t max)
{
    const struct hit_record *record;
    uint64_t seq = from;
    size_t bytes = 0, n = 0;
    page->m.base.unknown_fields = page->fields;
    while (n < max) {
        record = hit_ring_find(ring, &seq);
        if (!record && n == 0 && seq != from) {
            put_gap(page, seq - from, seq);
            from = seq;
        }
        if (!record)
            break;
        if (n > 0 && (seq != from || bytes + record->bytes > PAGE_BYTES))
            break; /* a gap inside it begins the next page */
        if (seq != from)
            put_gap(page, seq - from, seq);
        put_record(page, record);
        bytes += record->bytes;
        n++;
        from = ++seq;
    }
    API_SET(&page->m, next_seq, from);
}

/* Where a reader is that asked for a place that is not there yet, or for the oldest. */
static uint64_t clamp_seq(const struct hit_ring *ring, uint64_t from)
{
    if (from == 0)
        from = hit_ring_first(ring) ? hit_ring_first(ring) : ring->next;
    return from < ring->next ? from : ring->next;
}

static void make_page(struct hit_page *page, Envelope *e, const struct hit_ring *ring,
                      uint64_t debugger, uint64_t from, uint32_t max)
{
    stillpoint__api__envelope__init(e);
    stillpoint__api__hit_page__init(&page->m);
    API_SET(&page->m, debugger, debugger);
    if (ring)
        fill_page(page, ring, from, max);
    else
        API_SET(&page->m, next_seq, from);
    e->body_case = API_BODY(HIT_PAGE);
    e->hit_page = &page->m;
}

void api_hits_read(struct api_call *call)
{
    const struct api_request *r = call->request;
    const struct debugger *d = api_find_debugger(call, r->read_hits.debugger);
    struct audit_holdings holdings;
    if (!d)
        return;
    audit_holdings(call->api->audit, d->id, &holdings);
    const struct hit_ring *ring = holdings.ring;
    uint64_t from = !ring                   ? 1
                    : r->read_hits.from_now ? ring->next
                                            : clamp_seq(ring, r->read_hits.from_seq);
    if (r->read_hits.wait && (!ring || from >= ring->next)) {
        struct pending *p = api_pending(call, &more_hits, 0, 0);
        if (!p)
            return;
        p->debugger = d->id;
        p->number = from;
        p->last_n = r->read_hits.max_hits;
        audit_want_hits(call->api->audit, d->id);
        return;
    }
    _cleanup_free_ struct hit_page *page = calloc(1, sizeof *page);
    Envelope e;
    if (!page) {
        api_fail(call, API_ERROR(INTERNAL), NULL, "out of memory");
        return;
    }
    make_page(page, &e, ring, d->id, from, r->read_hits.max_hits);
    api_reply(call, &e);
    free(page->gap);
}

static void reply_hits(struct pending *p, const struct hit_ring *ring, bool ended)
{
    struct hit_page *page = calloc(1, sizeof *page);
    Envelope e;
    if (!page) {
        api_pending_fail(p, API_ERROR(INTERNAL), NULL, "out of memory");
        return;
    }
    make_page(page, &e, ring, p->debugger, p->number, p->last_n);
    if (ended)
        API_SET(&page->m, ended, 1);
    api_pending_reply(p, &e);
    free(page->gap);
    free(page);
}

void api_hits_on_hits(struct api *api, uint64_t debugger)
{
    struct audit_holdings holdings;
    struct pending *p, *next;
    audit_holdings(api->audit, debugger, &holdings);
    bool ended = !debuggers_find(api->debuggers, debugger);
    for (p = LIST_FIRST(&api->pendings); p; p = next) {
        next = LIST_NEXT(p, link);
        if (p->type == &more_hits && p->debugger == debugger)
            reply_hits(p, holdings.ring, ended);
    }
}
