#include "daemon/api_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/urgent.h"
#include "daemon/debugger.h"
#include "daemon/world_message.h"

typedef Stillpoint__Api__Envelope Envelope;

void api_world_get(struct api_call *call)
{
    const struct world *w = world_message_find(call, call->request->world.world);
    if (w)
        world_message_reply(call, w);
}

void api_world_list(struct api_call *call)
{
    const struct api_request *r = call->request;
    /* A world with its queue is large: pages are small. */
    uint32_t size = r->list_worlds.page_size < 32 ? r->list_worlds.page_size : 32;
    _cleanup_free_ struct world_message *messages = calloc(size, sizeof *messages);
    _cleanup_free_ Stillpoint__Api__World **worlds = calloc(size, sizeof *worlds);
    if (!messages || !worlds) {
        api_fail(call, API_ERROR(INTERNAL), NULL, "out of memory");
        return;
    }
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__WorldList list = STILLPOINT__API__WORLD_LIST__INIT;
    list.worlds = worlds;
    const struct world *w = worlds_after(call->api->worlds, r->list_worlds.page_token),
                       *last = NULL;
    for (; w && list.n_worlds < size; w = worlds_after(call->api->worlds, world_name(w))) {
        world_message_fill(&messages[list.n_worlds], w);
        worlds[list.n_worlds] = &messages[list.n_worlds].world;
        list.n_worlds++;
        last = w;
    }
    list.next_page_token = w && last ? API_TEXT(world_name(last)) : NULL;
    e.body_case = API_BODY(WORLD_LIST);
    e.world_list = &list;
    api_reply(call, &e);
}

/* ---- stop */

/* A ticket that has not been served goes with its client. */
static void report_on_client_gone(struct pending *p)
{
    struct world *w = worlds_get(p->api->worlds, p->world, false);
    if (w) {
        world_forget(w, p);
        world_drop_if_unused(w);
    }
    api_pending_free(p);
}

static const struct pending_type report = {.on_client_gone = report_on_client_gone};

static void on_served(void *userdata, const struct stop_report *r)
{
    struct pending *p = userdata;
    struct stop_message *m = stop_message_new(r);
    if (!m) {
        api_pending_fail(p, API_ERROR(INTERNAL), NULL, "stopped, but out of memory for the report");
        return;
    }
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    e.body_case = API_BODY(STOP_REPORT);
    e.stop_report = &m->report;
    api_pending_reply(p, &e);
    stop_message_free(m);
}

static void on_ended(void *userdata, enum ticket_outcome outcome)
{
    world_message_fail_outcome(userdata, outcome);
}

_urgent_ void api_world_stop(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct world *w = world_message_find(call, r->stop_world.world);
    const struct debugger *d =
        w && api_may_stop(call, w) ? api_debugger_of(call, r->stop_world.debugger) : NULL;
    struct pending *p = d ? api_pending(call, &report, 0, 0) : NULL;
    if (!p)
        return;
    memcpy(p->world, world_name(w), sizeof p->world);
    struct ticket_request request;
    api_ticket_request(call, d, &request);
    request.reason = TICKET_ADMIN;
    request.deadline_us = r->stop_world.deadline_us;
    request.wait_us = r->stop_world.wait_us;
    request.hold_us = r->stop_world.hold_us;
    request.enforce = r->stop_world.enforce;
    request.require_idle = r->stop_world.require_idle;
    request.kill_late = r->stop_world.kill_late;
    request.on_served = on_served;
    request.on_ended = on_ended;
    request.userdata = p;
    uint64_t ticket, debugger = d->id;
    int v = world_stop(w, &request, &ticket);
    if (v < 0) {
        api_pending_free(p);
        world_message_fail_stop(call, w, v);
    }
    debuggers_reclaim(call->api->debuggers, debugger);
}

/* ---- resume */

/* A stop that has been ended, and is not over. */
struct resuming {
    struct world_resumption done;
    void (*reply)(struct pending *p, const struct world_resumption *done);
};

static void resuming_on_client_gone(struct pending *p)
{
    free(p->data);
    api_pending_free(p);
}

static const struct pending_type resuming = {.on_client_gone = resuming_on_client_gone};

/* Returns whether it was answered. */
static bool look_at_resuming(struct pending *p)
{
    struct resuming *r = p->data;
    struct world *w = worlds_get(p->api->worlds, p->world, false);
    const struct ticket *next = w ? world_ticket(w) : NULL;
    if (w && !next && world_mode(w) != WORLD_RUN_ALL)
        return false;
    struct world_resumption done = r->done;
    if (done.runnable_ns == 0) {
        done.next_ticket = next ? next->id : 0;
        done.runnable_ns = next ? 0 : shm_now_ns();
    }
    p->data = NULL;
    r->reply(p, &done);
    free(r);
    if (w)
        world_drop_if_unused(w);
    return true;
}

void api_world_recheck(struct api *api)
{
    struct pending *p = LIST_FIRST(&api->pendings);
    while (p)
        p = p->type == &resuming && look_at_resuming(p) ? LIST_FIRST(&api->pendings)
                                                        : LIST_NEXT(p, link);
}

void api_world_end_stop(struct api_call *call, struct world *w,
                        void (*reply)(struct pending *p, const struct world_resumption *done))
{
    struct pending *p = api_pending(call, &resuming, 0, 0);
    struct resuming *r = p ? p->data = calloc(1, sizeof *r) : NULL;
    if (!p)
        return;
    snprintf(p->world, sizeof p->world, "%s", world_name(w));
    p->dispatched_ns = call->dispatched_ns;
    if (!r) {
        api_pending_fail(p, API_ERROR(INTERNAL), NULL, "out of memory");
    } else if (world_resume(w, &r->done) < 0) {
        free(r);
        api_pending_fail(p, API_ERROR(WRONG_STATE), NULL, "world %s is not stopped", world_name(w));
    } else {
        r->reply = reply;
        look_at_resuming(p);
    }
}

static void reply_resumed(struct pending *p, const struct world_resumption *done)
{
    const struct world *w = worlds_get(p->api->worlds, p->world, false);
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__ResumeReply m = STILLPOINT__API__RESUME_REPLY__INIT;
    m.world = p->world;
    API_SET(&m, mode, (Stillpoint__Api__WorldMode)(w ? world_mode(w) : WORLD_RUN_ALL));
    API_SET(&m, ticket, done->ticket);
    API_SET(&m, next_ticket, done->next_ticket);
    API_SET(&m, held_us, done->held_us);
    API_SET(&m, dispatched_mono_ns, p->dispatched_ns);
    if (done->runnable_ns != 0)
        API_SET(&m, runnable_mono_ns, done->runnable_ns);
    e.body_case = API_BODY(RESUME_REPLY);
    e.resume_reply = &m;
    api_pending_reply(p, &e);
}

void api_world_resume(struct api_call *call)
{
    struct world *w = world_message_find(call, call->request->world.world);
    if (!w)
        return;
    const struct ticket *t = world_resumes(w);
    if (t && !api_may_act_on(call, t->request.uid))
        api_fail_denied(call, ACCESS_ADMIN, "ticket %llu of world %s belongs to uid %u",
                        (unsigned long long)t->id, world_name(w), (unsigned)t->request.uid);
    else
        api_world_end_stop(call, w, reply_resumed);
}
