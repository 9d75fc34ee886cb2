#include "daemon/api_call.h"

#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/urgent.h"
#include "daemon/act_log.h"
#include "daemon/config.h"
#include "daemon/debugger.h"
#include "daemon/registry.h"
#include "daemon/ticket.h"
#include "daemon/vm_units.h"
#include "daemon/worker.h"
#include "daemon/world.h"

typedef Stillpoint__Api__Envelope Envelope;

static void send_fd_to(struct api *api, uint64_t client, uint64_t request_id, Envelope *envelope,
                       int fd)
{
    API_SET(envelope, request_id, request_id);
    api->clients->send(api->clients->userdata, client, envelope, fd);
}

static void send_to(struct api *api, uint64_t client, uint64_t request_id, Envelope *envelope)
{
    send_fd_to(api, client, request_id, envelope, -1);
}

void api_reply(const struct api_call *call, Envelope *envelope)
{
    send_to(call->api, call->client, call->request->id, envelope);
}

static void reply_done(struct api *api, uint64_t client, uint64_t request_id)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__Done done = STILLPOINT__API__DONE__INIT;
    e.body_case = API_BODY(DONE);
    e.done = &done;
    send_to(api, client, request_id, &e);
}

void api_reply_done(const struct api_call *call)
{
    reply_done(call->api, call->client, call->request->id);
}

void api_reply_error(struct api *api, uint64_t client, uint64_t request_id,
                     const struct api_error *error)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__Error m = STILLPOINT__API__ERROR__INIT;
    API_SET(&m, code, (Stillpoint__Api__ErrorCode)error->code);
    m.message = API_TEXT(error->message);
    m.hint = API_TEXT(error->hint);
    e.body_case = API_BODY(ERROR);
    e.error = &m;
    send_to(api, client, request_id, &e);
}

static void fail(struct api *api, uint64_t client, uint64_t request_id, int code, const char *hint,
                 const char *format, va_list args)
{
    struct api_error error = {.code = code, .hint = hint};
    vsnprintf(error.message, sizeof error.message, format, args);
    text_to_line(error.message);
    api_reply_error(api, client, request_id, &error);
}

/* A call that has failed is not recorded as done; one that was refused, as that. */
static void record_failure(const struct api_call *call, int code, const char *why)
{
    bool denied = code == API_ERROR(PERMISSION_DENIED);
    if (!call->act)
        return;
    call->act->failed = true;
    if (call->api->act_log && (denied || call->act->over_quota))
        act_log_write(call->api->act_log, call->act, denied ? ACT_DENIED : ACT_OVER_QUOTA, why);
}

static void fail_call(const struct api_call *call, int code, const char *hint, const char *format,
                      va_list args)
{
    struct api_error error = {.code = code, .hint = hint};
    vsnprintf(error.message, sizeof error.message, format, args);
    text_cut_utf8(error.message);
    record_failure(call, code, error.message);
    api_reply_error(call->api, call->client, call->request->id, &error);
}

void api_fail(const struct api_call *call, int code, const char *hint, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_call(call, code, hint, format, args);
    va_end(args);
}

void api_fail_quota(const struct api_call *call, const char *what, uint64_t has, const char *name,
                    uint64_t quota)
{
    if (call->act)
        call->act->over_quota = true;
    api_fail(call, API_ERROR(LIMIT_EXCEEDED), "see [quota] in stillpointd.conf(5)",
             "uid %u has %llu %s, and its quota %s is %llu", (unsigned)call->peer->uid,
             (unsigned long long)has, what, name, (unsigned long long)quota);
}

void api_fail_denied(const struct api_call *call, enum access_role role, const char *format, ...)
{
    char hint[256], names[160];
    const char *name = access_role_name(role);
    const char *groups =
        call->api->rules ? access_groups_of(call->api->rules, role, names, sizeof names) : NULL;
    if (call->peer->is_limited)
        snprintf(hint, sizeof hint, "this socket is for looking only: use the control socket");
    else if (groups)
        snprintf(hint, sizeof hint, "role %s is given by group%s %s", name,
                 strchr(groups, ',') ? "s" : "", groups);
    else
        snprintf(hint, sizeof hint,
                 "role %s is given by no group here: see [access] in stillpointd.conf(5)", name);
    text_cut_utf8(hint);
    va_list args;
    va_start(args, format);
    fail_call(call, API_ERROR(PERMISSION_DENIED), hint, format, args);
    va_end(args);
}

/* ---- pendings */

static void on_timeout(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct pending *p = userdata;
    if (p->type->on_timeout)
        p->type->on_timeout(p);
    api_pending_fail(p, API_ERROR(TIMED_OUT), NULL, "timed out");
}

_urgent_ struct pending *api_pending(const struct api_call *call, const struct pending_type *type,
                                     uint64_t vm, uint64_t timeout_us)
{
    struct pending *p = malloc(sizeof *p); /* calloc() passes by what the allocator has at hand */
    if (!p) {
        api_fail(call, API_ERROR(INTERNAL), NULL, "out of memory");
        return NULL;
    }
    *p = (struct pending){.api = call->api,
                          .type = type,
                          .client = call->client,
                          .request_id = call->request->id,
                          .vm = vm};
    LIST_INSERT_HEAD(&call->api->pendings, p, link);
    if (timeout_us > 0) {
        struct timeval timeout = {.tv_sec = (time_t)(timeout_us / 1000000),
                                  .tv_usec = (suseconds_t)(timeout_us % 1000000)};
        p->timeout = event_new(call->api->base, -1, 0, on_timeout, p);
        if (!p->timeout || event_add(p->timeout, &timeout) < 0) {
            api_pending_fail(p, API_ERROR(INTERNAL), NULL, "out of memory");
            return NULL;
        }
    }
    return p;
}

void api_pending_free(struct pending *p)
{
    LIST_REMOVE(p, link);
    p->api->pendings_freed++;
    if (p->timeout)
        event_free(p->timeout);
    free(p->path);
    free(p);
}

void api_pending_reply(struct pending *p, Envelope *envelope)
{
    if (envelope)
        send_to(p->api, p->client, p->request_id, envelope);
    else
        reply_done(p->api, p->client, p->request_id);
    api_pending_free(p);
}

void api_pending_reply_fd(struct pending *p, Envelope *envelope, int fd)
{
    send_fd_to(p->api, p->client, p->request_id, envelope, fd);
    api_pending_free(p);
}

void api_pending_fail(struct pending *p, int code, const char *hint, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail(p->api, p->client, p->request_id, code, hint, format, args);
    va_end(args);
    api_pending_free(p);
}

void api_pendings_on_vm_ended(struct api *api, struct worker *w)
{
    struct pending *p, *next;
    for (p = LIST_FIRST(&api->pendings); p; p = next) {
        next = LIST_NEXT(p, link);
        if (p->vm == w->id && p->type->on_vm_ended)
            p->type->on_vm_ended(p, w);
    }
}

void api_pendings_on_client_gone(struct api *api, uint64_t client)
{
    struct pending *p = LIST_FIRST(&api->pendings);
    while (p) {
        bool its = p->client == client;
        struct pending *next = LIST_NEXT(p, link);
        uint64_t freed = api->pendings_freed;
        if (its && p->type->on_client_gone)
            p->type->on_client_gone(p);
        else if (its)
            api_pending_free(p);
        /* From the start, if the end of one has answered others. Not for each of thousands, since
         * thousands of others may be before them. */
        p = !its || api->pendings_freed == freed + 1 ? next : LIST_FIRST(&api->pendings);
    }
}

struct pending *api_pending_find(struct api *api, const struct pending_type *type, uint64_t vm,
                                 uint64_t number)
{
    struct pending *p;
    LIST_FOREACH(p, &api->pendings, link)
    if (p->type == type && p->vm == vm && p->number == number)
        break;
    return p;
}

/* ---- look-ups */

struct worker *api_find_vm(const struct api_call *call, const struct api_vm_ref *ref)
{
    struct worker *w = ref->name ? registry_find_name(call->api->registry, ref->name)
                                 : registry_find(call->api->registry, ref->id);
    if (w)
        return w;
    if (ref->name && vm_units_find(call->api->units, ref->name))
        api_fail(call, API_ERROR(NOT_FOUND), "see 'stillctl units'",
                 "no VM named '%s': its unit has not been started", ref->name);
    else if (ref->name)
        api_fail(call, API_ERROR(NOT_FOUND), "see 'stillctl list -a'", "no VM named '%s'",
                 ref->name);
    else
        api_fail(call, API_ERROR(NOT_FOUND), "see 'stillctl list -a'", "no VM with id %llu",
                 (unsigned long long)ref->id);
    return NULL;
}

struct worker *api_find_live_vm(const struct api_call *call, const struct api_vm_ref *ref)
{
    struct worker *w = api_find_vm(call, ref);
    if (w && w->phase == WORKER_GONE) {
        api_fail(call, API_ERROR(WRONG_STATE), NULL, "VM '%s' has exited", w->name);
        return NULL;
    }
    return w;
}

_urgent_ const struct debugger *api_debugger_of(const struct api_call *call, const char *ref)
{
    const struct debugger *d;
    int r = debuggers_of(call->api->debuggers, call->client, call->peer->uid, ref, &d);
    if (r == 0) {
        debuggers_set_admin(call->api->debuggers, d->id, call->peer->roles & ACCESS_ADMIN);
        return d;
    }
    if (r == -ENOENT)
        api_fail(call, API_ERROR(NOT_FOUND), "see 'stillctl debugger list'",
                 "no debugger named '%s'", ref);
    else if (r == -EACCES)
        api_fail(call, API_ERROR(PERMISSION_DENIED), "open it first",
                 "debugger '%s' is not open on this connection", ref);
    else
        api_fail_no_debugger(call, r);
    return NULL;
}

void api_fail_no_debugger(const struct api_call *call, int r)
{
    if (r == -EMFILE)
        api_fail_quota(call, "debuggers", debuggers_of_uid(call->api->debuggers, call->peer->uid),
                       "debuggers", call->api->config->quota.debuggers);
    else
        api_fail(call, API_ERROR(INTERNAL), NULL, "out of memory for a debugger");
}

bool api_may_act_for(const struct api_call *call, uid_t owner)
{
    return owner == call->peer->uid || (call->peer->roles & ACCESS_ADMIN);
}

bool api_may_act_on(const struct api_call *call, uid_t owner)
{
    if (call->act && owner != call->peer->uid) {
        call->act->is_foreign = true;
        call->act->owner = owner;
    }
    return api_may_act_for(call, owner);
}

_urgent_ bool api_may_stop(const struct api_call *call, const struct world *w)
{
    if (call->peer->roles & ACCESS_ADMIN)
        return true;
    const struct worker *foreign = world_foreign_member(w, call->peer->uid);
    if (!foreign || api_may_act_on(call, foreign->uid))
        return true;
    api_fail_denied(call, ACCESS_ADMIN,
                    "world %s has VMs of others (VM '%s' belongs to uid %u), which only role admin "
                    "may stop",
                    world_name(w), foreign->name, (unsigned)foreign->uid);
    return false;
}

const struct debugger *api_find_debugger(const struct api_call *call, const char *ref)
{
    const struct debugger *d = debuggers_find_ref(call->api->debuggers, ref);
    if (!d)
        api_fail(call, API_ERROR(NOT_FOUND), "see 'stillctl debugger list'",
                 "no debugger named '%s'", ref);
    else if (!api_may_act_on(call, d->owner))
        api_fail_denied(call, ACCESS_ADMIN, "debugger %s belongs to uid %u", d->name,
                        (unsigned)d->owner);
    else
        return d;
    return NULL;
}

_urgent_ void api_ticket_request(const struct api_call *call, const struct debugger *d,
                                 struct ticket_request *ret)
{
    *ret = (struct ticket_request){.uid = call->peer->uid,
                                   .admin = call->peer->roles & ACCESS_ADMIN,
                                   .debugger = d->id,
                                   .hold_policy = d->hold_policy,
                                   .dispatched_ns = call->dispatched_ns};
    memcpy(ret->debugger_name, d->name, sizeof d->name);
}

void api_reply_sent(const struct api_call *call, const struct worker *w, int r)
{
    if (r == 0)
        api_reply_done(call);
    else if (r == -ENOBUFS)
        api_fail(call, API_ERROR(LIMIT_EXCEEDED), "wait until it is idle",
                 "VM '%s' has too much queued already", w->name);
    else
        api_fail(call, API_ERROR(CANCELLED), NULL, "cannot reach VM '%s': %s", w->name,
                 strerror(-r));
}
