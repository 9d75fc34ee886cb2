#include "daemon/api_log.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "daemon/registry.h"
#include "daemon/worker.h"

/* A client may leave this much unread before the VMs that write to it have to wait. */
#define CONSOLE_QUEUE_BYTES (256u * 1024)
/* Bytes of log records in one page: well below a frame. */
#define LOG_PAGE_BYTES (LIMIT_FRAME_BYTES / 2)
#define LOG_PAGE_RECORDS 4096u

typedef Stillpoint__Api__Envelope Envelope;

struct log_page {
    Stillpoint__Api__LogPage page;
    Stillpoint__Api__LogRecord records[LOG_PAGE_RECORDS], *at[LOG_PAGE_RECORDS];
};

static const char *level_name(unsigned level)
{
    static const char *const names[] = {"log", "info", "debug", "warn", "error", "trace", "raw"};
    return level < sizeof names / sizeof names[0] ? names[level] : "log";
}

static void fill_log_page(struct log_page *m, const struct worker *w, uint64_t from)
{
    Stillpoint__Api__LogPage *page = &m->page;
    stillpoint__api__log_page__init(page);
    page->records = m->at;
    const struct vm_log_record *r = vm_log_find(&w->log, from);
    uint64_t next = r ? r->seq : w->log.next_seq;
    API_SET(page, dropped, next > from ? next - from : 0);
    size_t bytes = 0;
    for (; r && page->n_records < LOG_PAGE_RECORDS && bytes < LOG_PAGE_BYTES;
         r = vm_log_next(&w->log, r)) {
        Stillpoint__Api__LogRecord *record = &m->records[page->n_records];
        stillpoint__api__log_record__init(record);
        API_SET(record, seq, r->seq);
        API_SET(record, stream, (Stillpoint__Api__Stream)r->stream);
        API_SET(record, time_us, r->time_us);
        API_SET(record, mono_ns, r->mono_ns);
        record->level = API_TEXT(level_name(r->level));
        record->has_data = 1;
        record->data = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)r->data, .len = r->len};
        m->at[page->n_records++] = record;
        bytes += r->len + 64;
        next = r->seq + 1;
    }
    API_SET(page, next_seq, next);
    API_SET(page, ended, w->phase == WORKER_GONE && next >= w->log.next_seq);
}

static int make_log_reply(struct log_page **ret, Envelope *e, const struct worker *w, uint64_t from)
{
    struct log_page *m = malloc(sizeof *m);
    if (!m)
        return -ENOMEM;
    fill_log_page(m, w, from);
    stillpoint__api__envelope__init(e);
    e->body_case = API_BODY(LOG_PAGE);
    e->log_page = &m->page;
    *ret = m;
    return 0;
}

static void recheck_log(struct pending *p, const struct worker *w)
{
    if (w->phase != WORKER_GONE && !vm_log_find(&w->log, p->number))
        return;
    Envelope e;
    _cleanup_free_ struct log_page *m = NULL;
    if (make_log_reply(&m, &e, w, p->number) < 0)
        api_pending_fail(p, API_ERROR(INTERNAL), NULL, "out of memory");
    else
        api_pending_reply(p, &e);
}

static void more_on_vm_ended(struct pending *p, struct worker *w)
{
    recheck_log(p, w);
}

static const struct pending_type more = {.on_vm_ended = more_on_vm_ended};

void api_log_read(struct api_call *call)
{
    const struct api_request *r = call->request;
    const struct worker *w = api_find_vm(call, &r->read_log.vm);
    if (!w)
        return;
    uint64_t from = r->read_log.from_seq;
    if (from == 0)
        from = r->read_log.last_n ? vm_log_tail(&w->log, r->read_log.last_n) : 1;
    if (r->read_log.wait && w->phase != WORKER_GONE && !vm_log_find(&w->log, from)) {
        struct pending *p = api_pending(call, &more, w->id, 0);
        if (p)
            p->number = from;
        return;
    }
    Envelope e;
    _cleanup_free_ struct log_page *m = NULL;
    if (make_log_reply(&m, &e, w, from) < 0)
        api_fail(call, API_ERROR(INTERNAL), NULL, "out of memory");
    else
        api_reply(call, &e);
}

/* ---- to the client that it is attached to */

void api_log_on_console(struct api *api, struct worker *w, unsigned stream,
                        const struct worker_text *data, uint64_t mono_ns)
{
    if (w->attach && w->client != 0) {
        Envelope e = STILLPOINT__API__ENVELOPE__INIT;
        Stillpoint__Api__ConsoleWritten m = STILLPOINT__API__CONSOLE_WRITTEN__INIT;
        API_SET(&m, vm, w->id);
        API_SET(&m, stream, (Stillpoint__Api__Stream)stream);
        API_SET(&m, mono_ns, mono_ns);
        m.has_data = 1;
        m.data = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)data->text, .len = data->len};
        e.body_case = API_BODY(CONSOLE_WRITTEN);
        e.console_written = &m;
        api->clients->send(api->clients->userdata, w->client, &e, -1);
        if (api->clients->queued(api->clients->userdata, w->client) > CONSOLE_QUEUE_BYTES)
            worker_hold_console(w, WORKER_HOLD_CLIENT, true);
    }
    struct pending *p, *next;
    for (p = LIST_FIRST(&api->pendings); p; p = next) {
        next = LIST_NEXT(p, link);
        if (p->type == &more && p->vm == w->id)
            recheck_log(p, w);
    }
}

void api_log_on_client_drained(struct api *api, uint64_t client)
{
    for (struct worker *w = registry_after(api->registry, 0); w;
         w = registry_after(api->registry, w->id))
        if (w->client == client && w->attach)
            worker_hold_console(w, WORKER_HOLD_CLIENT, false);
}
