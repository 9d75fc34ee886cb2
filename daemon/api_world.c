#include "daemon/api_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "daemon/world.h"

typedef Stillpoint__Api__Envelope Envelope;

static struct world *find_world(const struct api_call *call, const char *name)
{
    struct world *w = worlds_get(call->api->worlds, name, false);
    if (!w)
        api_fail(call, API_ERROR(NOT_FOUND), "see 'stillctl world list'", "no world named '%s'",
                 name);
    return w;
}

/* ---- a world as the API shows it */

struct world_message {
    Stillpoint__Api__World world;
    Stillpoint__Api__Ticket ticket, queued[LIMIT_TICKETS], *queued_at[LIMIT_TICKETS];
    Stillpoint__Api__Controller controller;
};

static void fill_ticket(Stillpoint__Api__Ticket *m, const struct ticket *t)
{
    stillpoint__api__ticket__init(m);
    API_SET(m, ticket, t->id);
    m->reason = API_TEXT(ticket_reason_name(t->request.reason));
    m->debugger = API_TEXT(t->debugger);
    API_SET(m, uid, t->request.uid);
    API_SET(m, since_us, t->since_us);
}

static void fill_world(struct world_message *m, const struct world *w)
{
    Stillpoint__Api__World *world = &m->world;
    stillpoint__api__world__init(world);
    world->name = API_TEXT(world_name(w));
    API_SET(world, mode, (Stillpoint__Api__WorldMode)world_mode(w));
    API_SET(world, epoch, world_epoch(w));
    API_SET(world, runner, 0);
    API_SET(world, target, 0);
    API_SET(world, vms, (uint32_t)world_members(w));
    const struct ticket *t = world_ticket(w);
    if (t) {
        fill_ticket(&m->ticket, t);
        world->ticket = &m->ticket;
        stillpoint__api__controller__init(&m->controller);
        m->controller.debugger = API_TEXT(t->debugger);
        m->controller.policy = API_TEXT("hold");
        API_SET(&m->controller, expires_us, world_expires_us(w));
        world->controller = &m->controller;
    }
    world->queued = m->queued_at;
    for (; (t = world_queued(w, world->n_queued)) != NULL; world->n_queued++) {
        fill_ticket(&m->queued[world->n_queued], t);
        m->queued_at[world->n_queued] = &m->queued[world->n_queued];
    }
}

void api_world_get(struct api_call *call)
{
    const struct world *w = find_world(call, call->request->world.world);
    if (!w)
        return;
    _cleanup_free_ struct world_message *m = calloc(1, sizeof *m);
    if (!m) {
        api_fail(call, API_ERROR(INTERNAL), NULL, "out of memory");
        return;
    }
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__WorldReply reply = STILLPOINT__API__WORLD_REPLY__INIT;
    fill_world(m, w);
    reply.world = &m->world;
    e.body_case = API_BODY(WORLD_REPLY);
    e.world_reply = &reply;
    api_reply(call, &e);
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
        fill_world(&messages[list.n_worlds], w);
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

/* A ticket that waits goes with its client. One that is being served goes on, and holds this: it is
 * freed when that has been answered. */
static void report_on_client_gone(struct pending *p)
{
    struct world *w = worlds_get(p->api->worlds, p->world, false);
    p->client = 0;
    if (w && world_forget(w, p))
        api_pending_free(p);
}

static const struct pending_type report = {.on_client_gone = report_on_client_gone};

static void reply_report(struct pending *p, const struct stop_report *r)
{
    static const Stillpoint__Api__VmState states[] = {
        [SHM_STARTING] = STILLPOINT__API__VM_STATE__VM_STATE_STARTING,
        [SHM_RUNNING] = STILLPOINT__API__VM_STATE__VM_STATE_ACTIVE,
        [SHM_IDLE] = STILLPOINT__API__VM_STATE__VM_STATE_IDLE,
        [SHM_BLOCKED] = STILLPOINT__API__VM_STATE__VM_STATE_BLOCKED,
        [SHM_PARKED] = STILLPOINT__API__VM_STATE__VM_STATE_PARKED,
    };
    size_t n = r->n_arrivals;
    _cleanup_free_ Stillpoint__Api__Arrival *arrivals = calloc(n + 1, sizeof *arrivals);
    _cleanup_free_ Stillpoint__Api__Arrival **at =
        calloc(n + 1, sizeof(Stillpoint__Api__Arrival *));
    if (!arrivals || !at) {
        api_pending_fail(p, API_ERROR(INTERNAL), NULL, "stopped, but out of memory for the report");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const struct arrival *a = &r->arrivals[i];
        Stillpoint__Api__Arrival *m = at[i] = &arrivals[i];
        stillpoint__api__arrival__init(m);
        API_SET(m, vm, a->vm);
        API_SET(m, was, states[a->was]);
        API_SET(m, how, (Stillpoint__Api__How)a->how);
        API_SET(m, elapsed_us, a->elapsed_us);
        m->name = API_TEXT(a->name);
    }
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__StopReport m = STILLPOINT__API__STOP_REPORT__INIT;
    m.world = API_TEXT(world_name(r->world));
    API_SET(&m, mode, (Stillpoint__Api__WorldMode)r->mode);
    API_SET(&m, ticket, r->ticket);
    API_SET(&m, elapsed_us, r->elapsed_us);
    m.reason = API_TEXT(ticket_reason_name(r->reason));
    m.arrivals = at;
    m.n_arrivals = n;
    m.missing = (uint64_t *)(uintptr_t)r->missing;
    m.n_missing = r->n_missing;
    e.body_case = API_BODY(STOP_REPORT);
    e.stop_report = &m;
    api_pending_reply(p, &e);
}

static void on_served(void *userdata, enum ticket_outcome outcome, const struct stop_report *r)
{
    struct pending *p = userdata;
    switch (outcome) {
    case TICKET_SERVED:
        reply_report(p, r);
        break;
    case TICKET_EXPIRED:
        api_pending_fail(p, API_ERROR(TIMED_OUT), NULL,
                         "world %s was not free to be stopped in the time given", p->world);
        break;
    case TICKET_CANCELLED:
        api_pending_fail(p, API_ERROR(CANCELLED), NULL,
                         "world %s was resumed before all had arrived", p->world);
        break;
    }
}

static void fail_busy(const struct api_call *call, const struct world *w)
{
    const struct ticket *t = world_ticket(w);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_us = (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
    api_fail(call, API_ERROR(WRONG_STATE), "resume it, or wait for it with --wait",
             "world %s is already %s by ticket %llu (uid %u, debugger %s, %llu s ago)",
             world_name(w), world_mode_name(world_mode(w)), (unsigned long long)t->id,
             (unsigned)t->request.uid, t->debugger,
             (unsigned long long)(now_us > t->since_us ? (now_us - t->since_us) / 1000000 : 0));
}

void api_world_stop(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct world *w = find_world(call, r->stop_world.world);
    if (!w)
        return;
    if (r->stop_world.enforce || r->stop_world.require_idle) {
        api_fail(call, API_ERROR(UNSUPPORTED), NULL, "%s is not supported by this daemon yet",
                 r->stop_world.enforce ? "--enforce" : "--require-idle");
        return;
    }
    struct pending *p = api_pending(call, &report, 0, 0);
    if (!p)
        return;
    snprintf(p->world, sizeof p->world, "%s", world_name(w));
    const struct ticket_request request = {
        .reason = TICKET_ADMIN,
        .uid = call->peer->uid,
        .deadline_us = r->stop_world.deadline_us,
        .wait_us = r->stop_world.wait_us,
        .hold_us = r->stop_world.hold_us,
        .on_served = on_served,
        .userdata = p,
    };
    uint64_t ticket;
    int v = world_stop(w, &request, &ticket);
    if (v == 0)
        return; /* answered already, or later */
    api_pending_free(p);
    if (v == -EBUSY)
        fail_busy(call, w);
    else
        api_fail(call, v == -EMFILE ? API_ERROR(LIMIT_EXCEEDED) : API_ERROR(INTERNAL), NULL,
                 v == -EMFILE ? "too many requests to stop world %s are queued"
                              : "out of memory for a stop of world %s",
                 world_name(w));
}

/* ---- resume */

void api_world_resume(struct api_call *call)
{
    struct world *w = find_world(call, call->request->world.world);
    if (!w)
        return;
    const struct ticket *t = world_ticket(w);
    if (t && t->request.uid != call->peer->uid && !(call->peer->roles & ACCESS_ADMIN)) {
        api_fail(call, API_ERROR(PERMISSION_DENIED), NULL,
                 "ticket %llu of world %s belongs to uid %u", (unsigned long long)t->id,
                 world_name(w), (unsigned)t->request.uid);
        return;
    }
    uint64_t ticket, next, held_us;
    if (world_resume(w, &ticket, &next, &held_us) < 0) {
        api_fail(call, API_ERROR(WRONG_STATE), NULL, "world %s is not stopped", world_name(w));
        return;
    }
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__ResumeReply m = STILLPOINT__API__RESUME_REPLY__INIT;
    m.world = API_TEXT(world_name(w));
    API_SET(&m, mode, (Stillpoint__Api__WorldMode)world_mode(w));
    API_SET(&m, ticket, ticket);
    API_SET(&m, next_ticket, next);
    API_SET(&m, held_us, held_us);
    e.body_case = API_BODY(RESUME_REPLY);
    e.resume_reply = &m;
    api_reply(call, &e);
    world_drop_if_unused(w);
}
