#include "daemon/api_inspect.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "daemon/debugger.h"
#include "daemon/worker.h"
#include "daemon/world_message.h"
#include "proto/check_worker.h"

typedef Stillpoint__Api__Envelope Envelope;
typedef Stillpoint__Api__VmInspection VmInspection;

/* A reply that is larger than this travels in a memfd: it has few bytes for each field, and a frame
 * may have LIMIT_UNPACK_ELEMENTS. */
#define REPLY_BYTES (64u * 1024)

static const enum ticket_reason reasons[] = {
    [STILLPOINT__API__INSPECT_KIND__INSPECT_GC] = TICKET_GC,
    [STILLPOINT__API__INSPECT_KIND__INSPECT_CENSUS] = TICKET_CENSUS,
    [STILLPOINT__API__INSPECT_KIND__INSPECT_STACKS] = TICKET_DEBUGGER,
};

static const char ended_early[] = "ended before it answered";

/* One VM's part. */
struct item {
    uint64_t vm, request; /* request 0: not asked, or answered */
    uint8_t *packed;      /* a VmInspection */
    size_t bytes;
};

/* One request, from its ticket to its reply; the data of a pending. */
struct inspection {
    unsigned kind;
    uint64_t ticket, timeout_us, closed_ns, held_us;
    struct stop_message *stop;
    struct item *items;
    size_t n, open; /* open: asked and not answered */
    struct event *timeout;
};

static void inspection_free(struct inspection *i)
{
    if (!i)
        return;
    if (i->timeout)
        event_free(i->timeout);
    for (size_t n = 0; n < i->n; n++)
        free(i->items[n].packed);
    free(i->items);
    stop_message_free(i->stop);
    free(i);
}

static void drop(struct pending *p)
{
    inspection_free(p->data);
    p->data = NULL;
    api_pending_free(p);
}

static struct world *world_of(struct pending *p)
{
    return worlds_get(p->api->worlds, p->world, false);
}

/* Those that were thawed to answer are frozen again when they have, though nobody waits for that.
 */
static void abandon(struct inspection *i)
{
    for (size_t n = 0; n < i->n; n++)
        i->items[n].request = 0;
    i->open = 0;
}

static void on_client_gone(struct pending *p)
{
    struct world *w = world_of(p);
    if (w) {
        abandon(p->data);
        world_forget(w, p);
        world_drop_if_unused(w);
    }
    drop(p);
}

static const struct pending_type inspecting = {.on_client_gone = on_client_gone};

/* ---- the reply */

static int send_reply(struct pending *p, Stillpoint__Api__Inspection *m)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__Inspection beside = STILLPOINT__API__INSPECTION__INIT;
    _cleanup_close_ int fd = -1;
    size_t bytes = stillpoint__api__inspection__get_packed_size(m);
    e.body_case = API_BODY(INSPECTION);
    e.inspection = m;
    if (bytes > REPLY_BYTES) {
        _cleanup_free_ uint8_t *packed = malloc(bytes);
        if (!packed)
            return -ENOMEM;
        stillpoint__api__inspection__pack(m, packed);
        fd = fd_memfd_new("stillpoint-inspection", packed, bytes);
        if (fd < 0)
            return fd;
        API_SET(&beside, in_memfd, 1);
        e.inspection = &beside;
    }
    api_pending_reply_fd(p, &e, TAKE_FD(fd));
    return 0;
}

static void reply(struct pending *p, struct inspection *i)
{
    Stillpoint__Api__Inspection m = STILLPOINT__API__INSPECTION__INIT;
    VmInspection **vms = calloc(i->n + 1, sizeof *vms);
    int r = vms ? 0 : -ENOMEM;
    for (size_t n = 0; n < i->n && r == 0; n++) {
        vms[n] =
            stillpoint__api__vm_inspection__unpack(NULL, i->items[n].bytes, i->items[n].packed);
        if (vms[n])
            m.n_vms++;
        else
            r = -ENOMEM;
    }
    m.vms = vms;
    m.stop = &i->stop->report;
    API_SET(&m, kind, (Stillpoint__Api__InspectKind)i->kind);
    API_SET(&m, held_us, i->held_us);
    if (r == 0)
        r = send_reply(p, &m);
    for (size_t n = 0; n < m.n_vms; n++)
        stillpoint__api__vm_inspection__free_unpacked(vms[n], NULL);
    free(vms);
    if (r < 0)
        api_pending_fail(p, API_ERROR(INTERNAL), NULL, "out of memory for the answer");
}

/* ---- answers */

static int put(struct item *item, const VmInspection *m)
{
    item->bytes = stillpoint__api__vm_inspection__get_packed_size(m);
    item->packed = malloc(item->bytes + 1);
    if (!item->packed)
        return -ENOMEM;
    stillpoint__api__vm_inspection__pack(m, item->packed);
    return 0;
}

static int put_error(struct item *item, const char *name, const char *why)
{
    VmInspection m = STILLPOINT__API__VM_INSPECTION__INIT;
    API_SET(&m, vm, item->vm);
    m.name = API_TEXT(name);
    m.error = API_TEXT(why);
    return put(item, &m);
}

/* Of what a VM answered only what its kind of request asks for. */
static int put_answer(struct item *item, unsigned kind, const struct worker *w,
                      const struct worker_inspected *answer)
{
    static const char *const kinds[] = {
        [WORKER_FRAME_JS] = "js", [WORKER_FRAME_WASM] = "wasm", [WORKER_FRAME_HOST] = "host"};
    if (answer->error)
        return put_error(item, w->name, answer->error);
    bool gc = kind == STILLPOINT__API__INSPECT_KIND__INSPECT_GC;
    size_t n_classes =
        kind == STILLPOINT__API__INSPECT_KIND__INSPECT_CENSUS ? answer->n_classes : 0;
    size_t n_frames = kind == STILLPOINT__API__INSPECT_KIND__INSPECT_STACKS ? answer->n_frames : 0;
    VmInspection m = STILLPOINT__API__VM_INSPECTION__INIT;
    Stillpoint__Api__ClassCount *classes = calloc(n_classes + 1, sizeof *classes);
    Stillpoint__Api__ClassCount **class_at = calloc(n_classes + 1, sizeof *class_at);
    Stillpoint__Api__Frame *frames = calloc(n_frames + 1, sizeof *frames);
    Stillpoint__Api__Frame **frame_at = calloc(n_frames + 1, sizeof *frame_at);
    int r = classes && class_at && frames && frame_at ? 0 : -ENOMEM;
    if (r == 0) {
        API_SET(&m, vm, item->vm);
        m.name = API_TEXT(w->name);
        if (gc) {
            API_SET(&m, before_bytes, answer->before_bytes);
            API_SET(&m, after_bytes, answer->after_bytes);
        }
        API_SET(&m, truncated, answer->truncated);
        m.classes = class_at;
        m.frames = frame_at;
        for (; m.n_classes < n_classes; m.n_classes++) {
            Stillpoint__Api__ClassCount *c = class_at[m.n_classes] = &classes[m.n_classes];
            stillpoint__api__class_count__init(c);
            c->class_name = API_TEXT(answer->classes[m.n_classes].name);
            API_SET(c, count, answer->classes[m.n_classes].count);
            API_SET(c, bytes, answer->classes[m.n_classes].bytes);
        }
        for (; m.n_frames < n_frames; m.n_frames++) {
            Stillpoint__Api__Frame *f = frame_at[m.n_frames] = &frames[m.n_frames];
            const struct worker_frame *from = &answer->frames[m.n_frames];
            stillpoint__api__frame__init(f);
            API_SET(f, frame, (uint32_t)m.n_frames);
            f->kind = API_TEXT(kinds[from->kind]);
            f->function = API_TEXT(from->function);
            f->url = API_TEXT(from->url);
            API_SET(f, line, from->line);
            API_SET(f, column, from->column);
            if (from->kind == WORKER_FRAME_WASM)
                API_SET(f, offset, from->offset);
        }
        r = put(item, &m);
    }
    free(classes);
    free(class_at);
    free(frames);
    free(frame_at);
    return r;
}

/* All VMs have answered, or will not: the ticket is through, and on_ended answers the client. */
static void finish(struct pending *p)
{
    struct inspection *i = p->data;
    struct world *w = world_of(p);
    i->held_us = (shm_now_ns() - i->closed_ns) / 1000;
    if (i->timeout)
        event_del(i->timeout);
    world_operation_done(w, i->ticket);
    world_drop_if_unused(w);
}

static void on_timeout(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct pending *p = userdata;
    struct inspection *i = p->data;
    struct world *w = world_of(p);
    for (size_t n = 0; n < i->n; n++) {
        struct item *item = &i->items[n];
        struct worker *worker = item->request != 0 ? world_member(w, item->vm) : NULL;
        if (item->request == 0)
            continue;
        (void)put_error(item, worker ? worker->name : "", "did not answer in time");
        if (worker) {
            worker_give_up(worker, item->request);
            world_serve_end(w, worker);
        }
    }
    abandon(i);
    finish(p);
}

/* ---- asking */

/* `foreign`: it came in when the ticket was queued already, and is not its owner's to look into. */
static void ask(struct pending *p, struct world *w, struct item *item, struct worker *worker,
                bool missing, bool foreign)
{
    struct inspection *i = p->data;
    const char *why = foreign                            ? "belongs to another uid"
                      : missing                          ? "did not come to a safe point"
                      : worker->phase != WORKER_ADMITTED ? "has not started yet"
                                                         : NULL;
    item->vm = worker->id;
    if (!why) {
        Stillpoint__Worker__Inspect inspect = STILLPOINT__WORKER__INSPECT__INIT;
        API_SET(&inspect, kind, i->kind);
        world_serve_begin(w, worker);
        int r = worker_send_inspect(worker, &inspect, &item->request);
        if (r == 0) {
            i->open++;
            return;
        }
        world_serve_end(w, worker);
        why = r == -EBUSY                       ? "has not answered earlier requests"
              : r == -EPIPE || r == -ECONNRESET ? ended_early
                                                : strerror(-r);
    }
    (void)put_error(item, worker->name, why);
}

static bool is_missing(const struct stop_report *r, uint64_t vm)
{
    for (size_t i = 0; i < r->n_missing; i++)
        if (r->missing[i] == vm)
            return true;
    return false;
}

static void on_served(void *userdata, const struct stop_report *r)
{
    struct pending *p = userdata;
    struct inspection *i = p->data;
    struct world *w = world_of(p);
    const struct stop_world *stop = world_stop_half(w);
    i->ticket = r->ticket->id;
    i->closed_ns = r->closed_ns;
    i->stop = stop_message_new(r);
    i->items = calloc(stop->n_gates + 1, sizeof *i->items);
    i->timeout = event_new(p->api->base, -1, 0, on_timeout, p);
    struct timeval timeout = {.tv_sec = (time_t)(i->timeout_us / 1000000),
                              .tv_usec = (suseconds_t)(i->timeout_us % 1000000)};
    if (i->stop && i->items && i->timeout)
        for (; i->n < stop->n_gates; i->n++) {
            struct worker *worker = stop->gates[i->n]->userdata;
            const struct ticket_request *request = &r->ticket->request;
            ask(p, w, &i->items[i->n], worker, is_missing(r, worker->id),
                !request->admin && request->uid != worker->uid);
        }
    /* Not from inside this call, if nobody is to be waited for. */
    if (i->timeout) {
        if (i->open == 0)
            timeout = (struct timeval){0};
        event_add(i->timeout, &timeout);
    } else {
        finish(p);
    }
}

static void on_ended(void *userdata, enum ticket_outcome outcome)
{
    struct pending *p = userdata;
    struct inspection *i = p->data;
    p->data = NULL;
    abandon(i);
    if (outcome != TICKET_SERVED)
        world_message_fail_outcome(p, outcome);
    else if (!i->stop || !i->items)
        api_pending_fail(p, API_ERROR(INTERNAL), NULL, "out of memory for the answers");
    else
        reply(p, i);
    inspection_free(i);
}

void api_inspect_world(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct world *w = world_message_find(call, r->inspect.world);
    const struct debugger *d =
        w && api_may_stop(call, w) ? api_debugger_of(call, r->inspect.debugger) : NULL;
    struct pending *p = d ? api_pending(call, &inspecting, 0, 0) : NULL;
    if (!p)
        return;
    struct inspection *i = p->data = calloc(1, sizeof *i);
    if (!i) {
        api_pending_fail(p, API_ERROR(INTERNAL), NULL, "out of memory");
        debuggers_reclaim(call->api->debuggers, d->id);
        return;
    }
    i->kind = r->inspect.kind;
    i->timeout_us = r->inspect.timeout_us;
    snprintf(p->world, sizeof p->world, "%s", world_name(w));
    struct ticket_request request;
    api_ticket_request(call, d, &request);
    request.reason = reasons[i->kind];
    request.operation = true;
    request.deadline_us = r->inspect.deadline_us;
    request.wait_us = r->inspect.wait_us;
    request.on_served = on_served;
    request.on_ended = on_ended;
    request.userdata = p;
    uint64_t ticket, debugger = d->id;
    int v = world_stop(w, &request, &ticket);
    if (v < 0) {
        drop(p);
        world_message_fail_stop(call, w, v);
    }
    debuggers_reclaim(call->api->debuggers, debugger);
}

/* ---- facts */

/* The request that waits for this answer of this VM, if somebody still does. */
static struct item *find_item(struct api *api, uint64_t vm, uint64_t request,
                              struct pending **ret_pending)
{
    struct pending *p;
    LIST_FOREACH(p, &api->pendings, link)
    {
        struct inspection *i = p->type == &inspecting ? p->data : NULL;
        for (size_t n = 0; i && n < i->n; n++)
            if (i->items[n].vm == vm && i->items[n].request != 0 &&
                (request == 0 || i->items[n].request == request)) {
                *ret_pending = p;
                return &i->items[n];
            }
    }
    return NULL;
}

static void answered(struct pending *p, struct item *item)
{
    struct inspection *i = p->data;
    item->request = 0;
    if (--i->open == 0)
        finish(p);
}

bool api_inspect_on_inspected(struct api *api, struct worker *w,
                              const struct worker_inspected *answer)
{
    struct pending *p;
    struct item *item = find_item(api, w->id, answer->request, &p);
    if (!item)
        return false;
    const struct inspection *i = p->data;
    if (put_answer(item, i->kind, w, answer) < 0)
        (void)put_error(item, w->name, "out of memory for its answer");
    item->request = 0;
    answered(p, item);
    return true;
}

void api_inspect_on_vm_ended(struct api *api, const struct worker *w)
{
    struct pending *p;
    struct item *item;
    while ((item = find_item(api, w->id, 0, &p)) != NULL) {
        (void)put_error(item, w->name, ended_early);
        answered(p, item);
    }
}
