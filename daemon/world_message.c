#include "daemon/world_message.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/urgent.h"

typedef Stillpoint__Api__Envelope Envelope;

_urgent_ struct world *world_message_find(const struct api_call *call, const char *name)
{
    struct world *w = worlds_get(call->api->worlds, name, false);
    if (!w)
        api_fail(call, API_ERROR(NOT_FOUND), "see 'stillctl world list'", "no world named '%s'",
                 name);
    return w;
}

/* ---- a world */

static void fill_ticket(Stillpoint__Api__Ticket *m, const struct ticket *t)
{
    stillpoint__api__ticket__init(m);
    API_SET(m, ticket, t->id);
    m->reason = API_TEXT(ticket_reason_name(t->request.reason));
    m->debugger = API_TEXT(t->request.debugger_name);
    API_SET(m, uid, t->request.uid);
    API_SET(m, since_us, t->since_us);
}

void world_message_fill(struct world_message *m, const struct world *w)
{
    Stillpoint__Api__World *world = &m->world;
    stillpoint__api__world__init(world);
    world->name = API_TEXT(world_name(w));
    API_SET(world, mode, (Stillpoint__Api__WorldMode)world_mode(w));
    API_SET(world, epoch, world_epoch(w));
    API_SET(world, runner, world_runner(w));
    API_SET(world, target, world_target(w));
    API_SET(world, vms, (uint32_t)world_members(w));
    API_SET(world, enforced, world_is_enforced(w));
    const struct ticket *t = world_ticket(w);
    if (t) {
        fill_ticket(&m->ticket, t);
        world->ticket = &m->ticket;
    }
    t = world_control(w);
    if (t) {
        stillpoint__api__controller__init(&m->controller);
        m->controller.debugger = API_TEXT(t->request.debugger_name);
        m->controller.policy = API_TEXT(t->request.hold_policy ? "hold" : "resume");
        API_SET(&m->controller, expires_us, world_expires_us(w));
        world->controller = &m->controller;
    }
    world->queued = m->queued_at;
    for (; (t = world_queued(w, world->n_queued)) != NULL; world->n_queued++) {
        fill_ticket(&m->queued[world->n_queued], t);
        m->queued_at[world->n_queued] = &m->queued[world->n_queued];
    }
}

void world_message_reply(const struct api_call *call, const struct world *w)
{
    _cleanup_free_ struct world_message *m = calloc(1, sizeof *m);
    if (!m) {
        api_fail(call, API_ERROR(INTERNAL), NULL, "out of memory");
        return;
    }
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__WorldReply reply = STILLPOINT__API__WORLD_REPLY__INIT;
    world_message_fill(m, w);
    reply.world = &m->world;
    e.body_case = API_BODY(WORLD_REPLY);
    e.world_reply = &reply;
    api_reply(call, &e);
}

/* ---- a stop */

static void fill_arrivals(struct stop_message *m, size_t n)
{
    static const Stillpoint__Api__VmState states[] = {
        [SHM_STARTING] = STILLPOINT__API__VM_STATE__VM_STATE_STARTING,
        [SHM_RUNNING] = STILLPOINT__API__VM_STATE__VM_STATE_ACTIVE,
        [SHM_IDLE] = STILLPOINT__API__VM_STATE__VM_STATE_IDLE,
        [SHM_BLOCKED] = STILLPOINT__API__VM_STATE__VM_STATE_BLOCKED,
        [SHM_PARKED] = STILLPOINT__API__VM_STATE__VM_STATE_PARKED,
        [SHM_EVALUATING] = STILLPOINT__API__VM_STATE__VM_STATE_EVALUATING,
    };
    for (size_t i = 0; i < n; i++) {
        struct arrival *a = &m->shown[i];
        Stillpoint__Api__Arrival *to = m->at[i] = &m->arrivals[i];
        stillpoint__api__arrival__init(to);
        API_SET(to, vm, a->vm);
        API_SET(to, was, states[a->was]);
        API_SET(to, how, (Stillpoint__Api__How)a->how);
        API_SET(to, elapsed_us, a->elapsed_us);
        API_SET(to, lied, a->lied);
        to->name = a->name;
    }
}

struct stop_message *stop_message_new(const struct stop_report *r)
{
    struct stop_message *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->shown = calloc(r->n_arrivals + 1, sizeof *m->shown);
    m->arrivals = calloc(r->n_arrivals + 1, sizeof *m->arrivals);
    m->at = calloc(r->n_arrivals + 1, sizeof *m->at);
    m->missing = calloc(r->n_missing + 1, sizeof *m->missing);
    if (!m->shown || !m->arrivals || !m->at || !m->missing)
        return stop_message_free(m);
    if (r->n_arrivals > 0)
        memcpy(m->shown, r->arrivals, r->n_arrivals * sizeof *m->shown);
    if (r->n_missing > 0)
        memcpy(m->missing, r->missing, r->n_missing * sizeof *m->missing);
    fill_arrivals(m, r->n_arrivals);
    snprintf(m->world, sizeof m->world, "%s", world_name(r->world));
    Stillpoint__Api__StopReport *report = &m->report;
    stillpoint__api__stop_report__init(report);
    report->world = m->world;
    API_SET(report, mode, (Stillpoint__Api__WorldMode)r->mode);
    API_SET(report, ticket, r->ticket->id);
    API_SET(report, elapsed_us, r->elapsed_us);
    API_SET(report, dispatched_mono_ns, r->ticket->request.dispatched_ns);
    API_SET(report, closed_mono_ns, r->closed_ns);
    if (r->stopped_ns != 0)
        API_SET(report, stopped_mono_ns, r->stopped_ns);
    report->reason = API_TEXT(ticket_reason_name(r->ticket->request.reason));
    report->arrivals = m->at;
    report->n_arrivals = r->n_arrivals;
    report->missing = m->missing;
    report->n_missing = r->n_missing;
    return m;
}

struct stop_message *stop_message_free(struct stop_message *m)
{
    if (m) {
        free(m->shown);
        free(m->arrivals);
        free(m->at);
        free(m->missing);
        free(m);
    }
    return NULL;
}

/* ---- errors */

void world_message_fail_busy(const struct api_call *call, const struct world *w)
{
    const struct ticket *t = world_control(w) ? world_control(w) : world_ticket(w);
    const char *mode = world_mode_name(world_mode(w));
    if (!t)
        api_fail(call, API_ERROR(WRONG_STATE), NULL, "world %s is %s", world_name(w), mode);
    else
        api_fail(call, API_ERROR(WRONG_STATE), "resume it, or wait for it with --wait",
                 "world %s is already %s by ticket %llu (uid %u, debugger %s, %llu s ago)",
                 world_name(w), mode, (unsigned long long)t->id, (unsigned)t->request.uid,
                 t->request.debugger_name,
                 (unsigned long long)((shm_now_ns() - t->since_ns) / 1000000000u));
}

void world_message_fail_stop(const struct api_call *call, const struct world *w, int r)
{
    if (r == -EBUSY)
        world_message_fail_busy(call, w);
    else
        api_fail(call, r == -EMFILE ? API_ERROR(LIMIT_EXCEEDED) : API_ERROR(INTERNAL), NULL,
                 r == -EMFILE ? "too many requests to stop world %s are queued"
                              : "out of memory for a stop of world %s",
                 world_name(w));
}

void world_message_fail_outcome(struct pending *p, enum ticket_outcome outcome)
{
    switch (outcome) {
    case TICKET_TIMED_OUT:
        api_pending_fail(p, API_ERROR(TIMED_OUT), NULL,
                         "world %s was not free to be stopped in the time given", p->world);
        break;
    case TICKET_FAILED:
        api_pending_fail(p, API_ERROR(TIMED_OUT), "see 'stillctl world status'",
                         "a VM of world %s could not even be frozen by the deadline", p->world);
        break;
    case TICKET_SERVED:
    case TICKET_CANCELLED:
        api_pending_fail(p, API_ERROR(CANCELLED), NULL,
                         "world %s was resumed before that was through", p->world);
        break;
    }
}
