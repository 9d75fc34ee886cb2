#include "daemon/api_debug.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/api_stand.h"
#include "daemon/api_step.h"
#include "daemon/api_world.h"
#include "daemon/audit.h"
#include "daemon/debugger.h"
#include "daemon/event_bus.h"
#include "daemon/worker.h"
#include "daemon/worker_pause.h"
#include "daemon/world_message.h"

typedef Stillpoint__Api__Envelope Envelope;

/* The control ticket of a world, if the caller may act for its controller; else an error was sent.
 */
static const struct ticket *find_control(const struct api_call *call, const struct world *w)
{
    const struct ticket *t = world_control(w);
    if (!t)
        api_fail(call, API_ERROR(WRONG_STATE), "see 'stillctl world stop'",
                 "world %s is not stopped by anybody", world_name(w));
    else if (!api_may_act_on(call, t->request.uid))
        api_fail_denied(call, ACCESS_ADMIN, "world %s is controlled by debugger %s of uid %u",
                        world_name(w), t->request.debugger_name, (unsigned)t->request.uid);
    else
        return t;
    return NULL;
}

static void fail_not_parked(const struct api_call *call, const struct world *w,
                            const struct worker *worker, int r)
{
    if (r == -EAGAIN && !stop_is_still(&worker->gate))
        api_fail(call, API_ERROR(WRONG_STATE), "resume it, and stop it with a longer --deadline",
                 "VM '%s' did not come to a safe point in this stop", worker->name);
    else if (r == -EAGAIN)
        api_fail(call, API_ERROR(WRONG_STATE),
                 "'stillctl world bt' brings it there, and so does a stop with --require-idle",
                 "VM '%s' is held, and not parked at a safe point", worker->name);
    else if (r == -EPERM)
        api_fail(call, API_ERROR(WRONG_STATE), "see 'stillctl release'",
                 "VM '%s' is held on its own by %s", worker->name, worker->holds[0].name);
    else if (r == -EBUSY)
        api_fail(call, API_ERROR(WRONG_STATE), "try again when that is over",
                 "world %s serves another request, or lets another VM run", world_name(w));
    else
        api_fail(call, API_ERROR(WRONG_STATE), "see 'stillctl world status'",
                 "world %s is %s, and not stopped", world_name(w), world_mode_name(world_mode(w)));
}

/* ---- running one VM */

static void reply_continued(struct pending *p, const char *reason)
{
    const struct world *w = worlds_get(p->api->worlds, p->world, false);
    _cleanup_free_ struct world_message *m = calloc(1, sizeof *m);
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__ContinueReply reply = STILLPOINT__API__CONTINUE_REPLY__INIT;
    if (w && m) {
        world_message_fill(m, w);
        reply.world = &m->world;
    }
    reply.reason = API_TEXT(reason);
    e.body_case = API_BODY(CONTINUE_REPLY);
    e.continue_reply = &reply;
    api_pending_reply(p, &e);
}

static void on_run_one_ended(void *userdata, const char *why)
{
    reply_continued(userdata, why);
}

/* The run-one itself goes on: it belongs to the lease. */
static void continue_on_client_gone(struct pending *p)
{
    struct world *w = worlds_get(p->api->worlds, p->world, false);
    if (w)
        world_forget(w, p);
    api_pending_free(p);
}

static const struct pending_type continued = {.on_client_gone = continue_on_client_gone};

static void run_only(struct api_call *call, struct world *w, struct worker *worker)
{
    const struct api_request *r = call->request;
    struct pending *p = api_pending(call, &continued, 0, 0);
    if (!p)
        return;
    snprintf(p->world, sizeof p->world, "%s", world_name(w));
    const struct world_run run = {
        .runner = worker,
        .on_exit = r->continue_vm.on_exit == WORLD_RUNNER_EXIT_RESUME ? WORLD_RUNNER_EXIT_RESUME
                                                                      : WORLD_RUNNER_EXIT_STOP,
        .until_still = r->continue_vm.until_still,
        .deadline_us = r->continue_vm.deadline_us,
        .on_ended = r->continue_vm.until_still ? on_run_one_ended : NULL,
        .userdata = p,
    };
    int v = world_run_one(w, &run);
    if (v < 0) {
        api_pending_free(p);
        fail_not_parked(call, w, worker, v);
    } else if (!r->continue_vm.until_still) {
        reply_continued(p, "running");
    }
}

static void reply_resumed(struct pending *p, const struct world_resumption *done)
{
    (void)done;
    reply_continued(p, "running");
}

/* A VM that a debugger holds in a world that runs: what holds it is over. */
static void release(struct api_call *call, struct world *w, struct worker *worker,
                    uint64_t debugger)
{
    if (call->request->continue_vm.only) {
        api_fail(call, API_ERROR(WRONG_STATE), "stop it first: stillctl world stop",
                 "nobody controls world %s, so that VM '%s' cannot run alone", world_name(w),
                 worker->name);
        return;
    }
    struct pending *p = api_pending(call, &continued, 0, 0);
    if (!p)
        return;
    snprintf(p->world, sizeof p->world, "%s", world_name(w));
    world_release_all(w, worker, debugger);
    reply_continued(p, "running");
}

/* ---- going on from a pause */

/* Whether the caller may let it: by its own hold of the VM, or (*ret_holder 0) by the control of
 * the world; else an error was sent. */
static bool may_let_go_on(const struct api_call *call, const struct worker *worker,
                          uint64_t *ret_holder)
{
    const struct world *w = worlds_get(call->api->worlds, worker->world, false);
    *ret_holder = 0;
    return (!world_control(w) && api_stand_holder(call, worker, ret_holder)) ||
           find_control(call, w) != NULL;
}

static void go_on(struct api_call *call, struct worker *worker)
{
    const struct api_request *r = call->request;
    struct world *w = worlds_get(call->api->worlds, worker->world, false);
    uint64_t holder;
    if (!may_let_go_on(call, worker, &holder))
        return;
    if (worker->pause.number != 0 &&
        worker_pause_choose(worker, (enum pause_answer)r->continue_vm.answer,
                            r->continue_vm.answer_expression) < 0) {
        api_fail(call, API_ERROR(INTERNAL), NULL, "out of memory");
        return;
    }
    if (holder != 0)
        release(call, w, worker, holder);
    else if (r->continue_vm.only)
        run_only(call, w, worker);
    else if (world_target(w) != 0 && world_target(w) != worker->id)
        api_fail(call, API_ERROR(WRONG_STATE), "see 'stillctl world target' and '--only'",
                 "VM '%s' is not the target of the stop; VM %llu is", worker->name,
                 (unsigned long long)world_target(w));
    else
        api_world_end_stop(call, w, reply_resumed);
    /* An answer is for this time only. */
    if (worker->pause.number != 0)
        (void)worker_pause_choose(worker, PAUSE_CONTINUE, NULL);
}

/* An answer that its VM is asked about before it is given: once it has gone on by it, there is
 * nobody to tell that it could not. The data of a pending, whose number is the Inspect. */
struct answering {
    struct api_request request; /* its texts are gone, but for the expression */
    char *expression;
    struct access_peer peer;
    uint64_t pause, dispatched_ns;
};

static void drop(struct pending *p)
{
    struct answering *a = p->data;
    free(a->expression);
    free(a);
    p->data = NULL;
}

static void answering_on_vm_ended(struct pending *p, struct worker *w)
{
    drop(p);
    api_pending_fail(p, API_ERROR(CANCELLED), NULL, "VM '%s' has ended", w->name);
}

static void answering_on_client_gone(struct pending *p)
{
    drop(p);
    api_pending_free(p);
}

static void answering_on_timeout(struct pending *p)
{
    (void)api_stand_give_up(p->api, p->vm, p->number);
    drop(p);
}

static const struct pending_type answering = {.on_vm_ended = answering_on_vm_ended,
                                              .on_client_gone = answering_on_client_gone,
                                              .on_timeout = answering_on_timeout};

static struct answering *answering_new(const struct api_call *call, const struct worker *worker)
{
    const char *expression = call->request->continue_vm.answer_expression;
    struct answering *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    *a = (struct answering){.request = *call->request,
                            .expression = expression ? strdup(expression) : NULL,
                            .peer = *call->peer,
                            .pause = worker->pause.number,
                            .dispatched_ns = call->dispatched_ns};
    a->request.continue_vm.answer_expression = a->expression;
    if (!expression || a->expression)
        return a;
    free(a);
    return NULL;
}

static void ask_first(struct api_call *call, struct worker *worker)
{
    struct world *w = worlds_get(call->api->worlds, worker->world, false);
    struct answering *a = answering_new(call, worker);
    Stillpoint__Worker__Inspect inspect = STILLPOINT__WORKER__INSPECT__INIT;
    Stillpoint__Worker__AnswerPause answer = STILLPOINT__WORKER__ANSWER_PAUSE__INIT;
    if (!a) {
        api_fail(call, API_ERROR(INTERNAL), NULL, "out of memory");
        return;
    }
    struct pending *p = api_pending(call, &answering, worker->id, DEFAULT_INSPECT_TIMEOUT_US);
    if (!p) {
        free(a->expression);
        free(a);
        return;
    }
    p->data = a;
    API_SET(&inspect, kind, WORKER_INSPECT_CHECK_ANSWER);
    API_SET(&answer, pause, a->pause);
    API_SET(&answer, answer, a->request.continue_vm.answer);
    answer.expression = a->expression;
    inspect.check_answer = &answer;
    world_serve_begin(w, worker);
    int r = worker_send_inspect(worker, &inspect, &p->number);
    if (r == 0)
        return;
    world_serve_end(w, worker);
    drop(p);
    api_pending_free(p);
    api_stand_fail_sent(call, worker, r);
}

bool api_debug_on_inspected(struct api *api, struct worker *w,
                            const struct worker_inspected *answer)
{
    struct pending *p = api_pending_find(api, &answering, w->id, answer->request);
    if (!p)
        return false;
    struct answering *a = p->data;
    struct api_call call = {.api = api,
                            .client = p->client,
                            .peer = &a->peer,
                            .request = &a->request,
                            .dispatched_ns = a->dispatched_ns,
                            .fd = -1};
    p->data = NULL;
    api_pending_free(p);
    if (answer->error)
        api_fail(&call, api_stand_error_code(answer->refusal), NULL, "VM '%s': %s", w->name,
                 answer->error);
    else if (w->pause.number != a->pause)
        api_fail(&call, API_ERROR(WRONG_STATE), NULL, "VM '%s' has gone on meanwhile", w->name);
    else
        go_on(&call, w);
    free(a->expression);
    free(a);
    return true;
}

void api_debug_continue(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct worker *worker = api_find_live_vm(call, &r->continue_vm.vm);
    if (!worker)
        return;
    uint64_t holder;
    bool answers = r->continue_vm.answer != PAUSE_CONTINUE;
    if (!may_let_go_on(call, worker, &holder))
        return;
    if (answers && worker->pause.number == 0)
        api_fail(call, API_ERROR(WRONG_STATE), NULL,
                 "VM '%s' is in no pause that could be answered", worker->name);
    else if (answers)
        ask_first(call, worker);
    else
        go_on(call, worker);
}

void api_debug_set_target(struct api_call *call)
{
    struct worker *worker = api_find_live_vm(call, &call->request->vm.vm);
    if (!worker)
        return;
    struct world *w = worlds_get(call->api->worlds, worker->world, false);
    if (!find_control(call, w))
        return;
    int r = world_set_target(w, worker);
    if (r < 0)
        fail_not_parked(call, w, worker, r);
    else
        world_message_reply(call, w);
}

/* ---- the lease */

void api_debug_take_lease(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct world *w = world_message_find(call, r->lease.world);
    const struct ticket *t = w ? find_control(call, w) : NULL;
    const struct debugger *to = t ? api_debugger_of(call, r->lease.debugger) : NULL;
    if (!to)
        return;
    uint64_t id = to->id;
    const struct debugger *from = debuggers_find(call->api->debuggers, t->request.debugger);
    if (from && from->n_opens > 0 && from->id != id && !r->lease.steal)
        api_fail(call, API_ERROR(WRONG_STATE), "see 'stillctl world take --steal'",
                 "world %s is controlled by debugger %s, which is open", world_name(w), from->name);
    else if (world_move_lease(w, id, to->name, to->owner, to->admin, to->hold_policy,
                              r->lease.hold_us, r->lease.steal ? "stolen" : "taken") == 0)
        world_message_reply(call, w);
    debuggers_reclaim(call->api->debuggers, id);
}

void api_debug_hand_over_lease(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct world *w = world_message_find(call, r->lease.world);
    const struct ticket *t = w ? find_control(call, w) : NULL;
    if (!t)
        return;
    const struct debugger *to = debuggers_find_ref(call->api->debuggers, r->lease.to);
    char cli[LIMIT_NAME_BYTES + 1];
    snprintf(cli, sizeof cli, "cli:%u", (unsigned)call->peer->uid);
    if (!to && (strcmp(r->lease.to, cli) != 0 ||
                debuggers_cli(call->api->debuggers, call->peer->uid, &to) < 0)) {
        api_fail(call, API_ERROR(NOT_FOUND), "see 'stillctl debugger list'",
                 "no debugger named '%s'", r->lease.to);
        return;
    }
    if (!api_may_act_on(call, to->owner)) {
        api_fail_denied(call, ACCESS_ADMIN, "debugger %s belongs to uid %u", to->name,
                        (unsigned)to->owner);
        return;
    }
    world_move_lease(w, to->id, to->name, to->owner, to->admin, to->hold_policy, t->request.hold_us,
                     "handed over");
    world_message_reply(call, w);
}

/* ---- debuggers */

struct debugger_message {
    Stillpoint__Api__Debugger m;
    char **worlds;
};

static void fill_debugger(struct api *api, struct debugger_message *dm, const struct debugger *d)
{
    Stillpoint__Api__Debugger *m = &dm->m;
    stillpoint__api__debugger__init(m);
    API_SET(m, id, d->id);
    m->name = API_TEXT(d->name);
    m->note = API_TEXT(d->note);
    API_SET(m, owner_uid, d->owner);
    API_SET(m, open, d->n_opens > 0);
    struct audit_holdings holdings;
    audit_holdings(api->audit, d->id, &holdings);
    API_SET(m, hooks, (uint32_t)holdings.n_hooks);
    if (holdings.ring) {
        API_SET(m, first_seq, hit_ring_first(holdings.ring));
        API_SET(m, last_seq, hit_ring_last(holdings.ring));
        API_SET(m, dropped, hit_ring_dropped(holdings.ring));
    }
    m->policy = API_TEXT(d->hold_policy ? "hold" : "resume");
    for (const struct world *w = worlds_after(api->worlds, NULL); w;
         w = worlds_after(api->worlds, world_name(w))) {
        const struct ticket *t = world_control(w);
        char **worlds = t && t->request.debugger == d->id
                            ? reallocarray(dm->worlds, m->n_worlds + 1, sizeof *worlds)
                            : NULL;
        if (!worlds)
            continue;
        dm->worlds = m->worlds = worlds;
        worlds[m->n_worlds++] = API_TEXT(world_name(w));
    }
}

void api_debug_open_debugger(struct api_call *call)
{
    const struct api_request *r = call->request;
    const struct debugger *d;
    int v = debuggers_open(call->api->debuggers, call->client, call->peer->uid,
                           r->open_debugger.name, r->open_debugger.note,
                           r->open_debugger.has_policy ? &r->open_debugger.hold_policy : NULL, &d);
    if (v < 0) {
        if (v == -EACCES)
            api_fail(call, API_ERROR(PERMISSION_DENIED), NULL,
                     "debugger '%s' belongs to another uid", r->open_debugger.name);
        else if (v == -EALREADY)
            api_fail(call, API_ERROR(ALREADY_EXISTS), NULL,
                     "debugger '%s' is open on this connection", r->open_debugger.name);
        else
            api_fail_no_debugger(call, v);
        return;
    }
    debuggers_set_admin(call->api->debuggers, d->id, call->peer->roles & ACCESS_ADMIN);
    struct debugger_message m = {.worlds = NULL};
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__DebuggerReply reply = STILLPOINT__API__DEBUGGER_REPLY__INIT;
    fill_debugger(call->api, &m, d);
    reply.debugger = &m.m;
    e.body_case = API_BODY(DEBUGGER_REPLY);
    e.debugger_reply = &reply;
    api_reply(call, &e);
    free(m.worlds);
}

void api_debug_close_debugger(struct api_call *call)
{
    const struct debugger *d = api_find_debugger(call, call->request->debugger.name);
    if (!d)
        return;
    uint64_t id = d->id;
    char name[LIMIT_NAME_BYTES + 1];
    memcpy(name, d->name, sizeof name);
    api_step_on_debugger_closed(call->api, id);
    audit_clear(call->api->audit, id);
    debuggers_close(call->api->debuggers, id);
    const struct event e = {.kind = EVENT_DEBUGGER_CLOSED, .name = name, .uid = call->peer->uid};
    event_bus_publish(call->api->bus, &e);
    api_reply_done(call);
}

void api_debug_list_debuggers(struct api_call *call)
{
    const struct api_request *r = call->request;
    uint32_t size = r->list_debuggers.page_size;
    struct debugger_message *messages = calloc(size, sizeof *messages);
    _cleanup_free_ Stillpoint__Api__Debugger **debuggers = calloc(size, sizeof *debuggers);
    if (!messages || !debuggers) {
        free(messages);
        api_fail(call, API_ERROR(INTERNAL), NULL, "out of memory");
        return;
    }
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__DebuggerList list = STILLPOINT__API__DEBUGGER_LIST__INIT;
    list.debuggers = debuggers;
    uint64_t last = r->list_debuggers.page_token;
    const struct debugger *d = debuggers_after(call->api->debuggers, last);
    for (; d && list.n_debuggers < size; d = debuggers_after(call->api->debuggers, d->id)) {
        struct debugger_message *m = &messages[list.n_debuggers];
        fill_debugger(call->api, m, d);
        debuggers[list.n_debuggers++] = &m->m;
        last = d->id;
    }
    API_SET(&list, next_page_token, d ? last : 0);
    e.body_case = API_BODY(DEBUGGER_LIST);
    e.debugger_list = &list;
    api_reply(call, &e);
    for (size_t i = 0; i < list.n_debuggers; i++)
        free(messages[i].worlds);
    free(messages);
}
