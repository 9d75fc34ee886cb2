#include "daemon/api_audit.h"

#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "daemon/api_stand.h"
#include "daemon/debugger.h"
#include "daemon/event_bus.h"
#include "daemon/hook_message.h"
#include "daemon/record.h"
#include "daemon/registry.h"
#include "daemon/ticket.h"
#include "daemon/worker.h"
#include "daemon/worlds.h"

typedef Stillpoint__Api__Envelope Envelope;

/* Bytes in one page, if there is more than one thing in it: it has few bytes for each field, and a
 * frame may have LIMIT_UNPACK_ELEMENTS. */
#define PAGE_BYTES (64u * 1024)

/* After somebody has resumed the world that was being stopped to take out what is left. */
#define SWEEP_AGAIN_US 100000

enum operation_kind {
    OPERATION_ADD,
    OPERATION_REMOVE,
    OPERATION_SWEEP, /* takes out what hooks that are gone have left in VMs; nobody asked */
};

/* The stop of one world, for an operation; the userdata of its ticket. */
struct operation_stop {
    struct audit_operation *operation;
    char world[LIMIT_NAME_BYTES + 1];
    uint64_t ticket;
    bool asked, served, over;
    enum ticket_outcome outcome; /* over */
};

struct audit_operation {
    LIST_ENTRY(audit_operation) link;
    struct api *api;
    struct pending *pending; /* NULL: nobody waits for an answer */
    enum operation_kind kind;
    struct ticket_request request;
    uint64_t *hooks;
    size_t n_hooks;
    struct operation_stop *stops; /* by name: two operations never wait for each other */
    size_t n_stops;
    size_t open; /* parts of hooks that have not been settled */
    bool looked, sent, failed, taken_back, late;
    int code;
    const char *hint;
    char error[512];
    struct event *wake, *timeout;
};

static void set_error(struct audit_operation *o, int code, const char *hint, const char *format,
                      ...) __attribute__((format(printf, 4, 5)));

/* The first reason stays. */
static void set_error(struct audit_operation *o, int code, const char *hint, const char *format,
                      ...)
{
    va_list args;
    if (o->failed)
        return;
    o->failed = true;
    o->code = code;
    o->hint = hint;
    va_start(args, format);
    vsnprintf(o->error, sizeof o->error, format, args);
    va_end(args);
    text_to_line(o->error);
}

static void wake(struct audit_operation *o)
{
    event_active(o->wake, 0, 0);
}

static void arm_timeout(struct audit_operation *o)
{
    struct timeval t = {.tv_sec = DEFAULT_INSPECT_TIMEOUT_US / 1000000};
    event_add(o->timeout, &t);
}

static struct world *world_of(const struct operation_stop *s)
{
    return worlds_get(s->operation->api->worlds, s->world, false);
}

/* ---- which VMs have to stand */

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Each once, in order. */
static void sort_hooks(struct audit_operation *o)
{
    size_t n = 0;
    qsort(o->hooks, o->n_hooks, sizeof *o->hooks, by_number);
    for (size_t i = 0; i < o->n_hooks; i++)
        if (n == 0 || o->hooks[n - 1] != o->hooks[i])
            o->hooks[n++] = o->hooks[i];
    o->n_hooks = n;
}

static bool has_a_part(const struct audit_operation *o, uint64_t vm)
{
    const struct audit_part *part = audit_of_vm(o->api->audit, vm, NULL);
    for (; part; part = audit_of_vm(o->api->audit, vm, part))
        if (bsearch(&part->hook_id, o->hooks, o->n_hooks, sizeof *o->hooks, by_number))
            return true;
    return false;
}

/* Those that have not loaded their program need no stop: they get, or give up, a hook at once. */
static bool has_loaded(const struct worker *w)
{
    return w->phase == WORKER_LOADING || w->phase == WORKER_ADMITTED;
}

static bool concerns(const struct audit_operation *o, const struct worker *w)
{
    const struct audit_hook *h = o->n_hooks > 0 ? audit_find(o->api->audit, o->hooks[0]) : NULL;
    if (!has_loaded(w))
        return false;
    switch (o->kind) {
    case OPERATION_ADD:
        return h && audit_matches(&h->where, w);
    case OPERATION_REMOVE:
        return has_a_part(o, w->id);
    case OPERATION_SWEEP:
        return audit_has_orphans(o->api->audit, w->id);
    }
    return false;
}

/* It stands by itself, whatever its world does. */
static bool stands(const struct worker *w)
{
    return (w->n_holds > 0 || stop_is_paused(&w->gate)) && stop_is_still(&w->gate);
}

/* A single VM that stands does not need the world of the others to stop. */
static bool needs_stop(const struct audit_operation *o, struct world *w)
{
    const struct stop_world *half = world_stop_half(w);
    const struct worker *one = NULL;
    size_t n = 0;
    for (size_t i = 0; i < half->n_gates; i++) {
        const struct worker *worker = half->gates[i]->userdata;
        if (!concerns(o, worker))
            continue;
        one = worker;
        n++;
    }
    return n > 1 || (n == 1 && !stands(one));
}

static int find_stops(struct audit_operation *o)
{
    for (struct world *w = worlds_after(o->api->worlds, NULL); w;
         w = worlds_after(o->api->worlds, world_name(w))) {
        if (!needs_stop(o, w))
            continue;
        struct operation_stop *stops = reallocarray(o->stops, o->n_stops + 1, sizeof *stops);
        if (!stops)
            return -ENOMEM;
        o->stops = stops;
        o->stops[o->n_stops] = (struct operation_stop){.operation = o};
        snprintf(o->stops[o->n_stops].world, sizeof o->stops[0].world, "%s", world_name(w));
        o->n_stops++;
    }
    return 0;
}

static void look_for_stops(struct audit_operation *o)
{
    o->looked = true;
    if (find_stops(o) < 0)
        set_error(o, API_ERROR(INTERNAL), NULL, "out of memory");
}

/* ---- bringing them to stand */

static void on_served(void *userdata, const struct stop_report *report)
{
    struct operation_stop *s = userdata;
    s->ticket = report->ticket->id;
    s->served = true;
    wake(s->operation);
}

static void on_ticket_ended(void *userdata, enum ticket_outcome outcome)
{
    struct operation_stop *s = userdata;
    s->over = true;
    s->outcome = outcome;
    wake(s->operation);
}

static void fail_over(struct audit_operation *o, const struct operation_stop *s)
{
    switch (s->outcome) {
    case TICKET_TIMED_OUT:
        set_error(o, API_ERROR(TIMED_OUT), NULL,
                  "world %s was not free to be stopped in the time given", s->world);
        break;
    case TICKET_FAILED:
        set_error(o, API_ERROR(TIMED_OUT), "see 'stillctl world status'",
                  "a VM of world %s could not even be frozen by the deadline", s->world);
        break;
    case TICKET_SERVED:
    case TICKET_CANCELLED:
        set_error(o, API_ERROR(CANCELLED), NULL, "world %s was resumed before that was through",
                  s->world);
        break;
    }
}

static void ask_for_stop(struct audit_operation *o, struct operation_stop *s)
{
    struct world *w = world_of(s);
    s->asked = true;
    if (!w) {
        s->served = true; /* its VMs are gone with it */
        return;
    }
    o->request.userdata = s;
    uint64_t ticket;
    int r = world_stop(w, &o->request, &ticket);
    if (r == 0)
        return;
    s->over = true;
    s->outcome = TICKET_FAILED;
    set_error(o, r == -EMFILE ? API_ERROR(LIMIT_EXCEEDED) : API_ERROR(INTERNAL), NULL,
              r == -EMFILE ? "too many requests to stop world %s are queued"
                           : "cannot stop world %s",
              s->world);
}

/* One after the other. True when all stand. */
static bool all_stand(struct audit_operation *o)
{
    for (size_t i = 0; i < o->n_stops; i++) {
        struct operation_stop *s = &o->stops[i];
        if (!s->asked)
            ask_for_stop(o, s);
        if (s->over && !o->failed)
            fail_over(o, s);
        if (o->failed || !s->served)
            return false;
    }
    return true;
}

/* A ticket that ended before it was through. */
static void look_at_stops(struct audit_operation *o)
{
    for (size_t i = 0; i < o->n_stops && !o->failed; i++)
        if (o->stops[i].over)
            fail_over(o, &o->stops[i]);
}

static void end_stops(struct audit_operation *o)
{
    for (size_t i = 0; i < o->n_stops; i++) {
        struct operation_stop *s = &o->stops[i];
        struct world *w = s->asked && !s->over ? world_of(s) : NULL;
        if (!w)
            continue;
        if (s->ticket != 0)
            world_operation_done(w, s->ticket);
        else
            world_forget(w, s);
        world_drop_if_unused(w);
    }
}

/* ---- sending */

static void fail_vm(struct audit_operation *o, const struct worker *w, unsigned kind,
                    const struct audit_failure *why)
{
    set_error(o, api_stand_error_code(why->refusal), NULL, "VM '%s', %s: %s", w ? w->name : "?",
              hook_message_kind(kind), why->text);
}

static void send_to(struct audit_operation *o, struct worker *w)
{
    struct world *world = worlds_get(o->api->worlds, w->world, false);
    if (audit_is_late(o->api->audit, w->id)) {
        set_error(o, API_ERROR(LIMIT_EXCEEDED), "try again when it has",
                  "VM '%s' has not answered earlier requests", w->name);
        return;
    }
    if (w->phase == WORKER_ADMITTED && !stop_is_open(&w->gate) && !stop_is_still(&w->gate)) {
        set_error(o, API_ERROR(TIMED_OUT), NULL, "VM '%s' did not come to a safe point", w->name);
        return;
    }
    if (world)
        world_serve_begin(world, w);
    for (size_t i = 0; i < o->n_hooks && !o->failed; i++) {
        int r = audit_set(o->api->audit, o->hooks[i], w, o);
        if (r == 0)
            o->open++;
        else if (r == -EMFILE)
            set_error(o, API_ERROR(LIMIT_EXCEEDED), "remove some", "VM '%s' has %u hooks already",
                      w->name, LIMIT_HOOKS_PER_VM);
        else if (r != -EALREADY)
            set_error(o, API_ERROR(INTERNAL), NULL, "out of memory for a hook");
    }
}

static void send_hooks(struct audit_operation *o)
{
    const struct audit_hook *h = audit_find(o->api->audit, o->hooks[0]);
    if (!h) {
        set_error(o, API_ERROR(CANCELLED), NULL,
                  "the VM has exited, or its debugger was closed, before that was through");
        return;
    }
    for (struct worker *w = registry_after(o->api->registry, 0); w && !o->failed;
         w = registry_after(o->api->registry, w->id))
        if (concerns(o, w))
            send_to(o, w);
}

/* Of VMs that are frozen to be told. */
static void thaw_all(struct audit_operation *o)
{
    for (struct worker *w = registry_after(o->api->registry, 0); w;
         w = registry_after(o->api->registry, w->id)) {
        struct world *world = concerns(o, w) ? worlds_get(o->api->worlds, w->world, false) : NULL;
        if (world)
            world_serve_begin(world, w);
    }
}

static void send_all(struct audit_operation *o)
{
    o->sent = true;
    arm_timeout(o);
    switch (o->kind) {
    case OPERATION_ADD:
        send_hooks(o);
        break;
    case OPERATION_REMOVE:
        thaw_all(o);
        for (size_t i = 0; i < o->n_hooks; i++)
            o->open += audit_remove(o->api->audit, o->hooks[i], o);
        break;
    case OPERATION_SWEEP:
        thaw_all(o);
        o->open += audit_orphans(o->api->audit, o);
        break;
    }
    audit_flush(o->api->audit);
}

/* What was set is taken out again, wherever it is. */
static void take_back(struct audit_operation *o)
{
    o->taken_back = true;
    if (o->kind != OPERATION_ADD)
        return; /* nothing was done, or it cannot be undone */
    o->open = 0;
    audit_forget(o->api->audit, o);
    for (size_t i = 0; i < o->n_hooks; i++)
        o->open += audit_drop(o->api->audit, o->hooks[i], o);
    audit_flush(o->api->audit);
    arm_timeout(o);
}

/* ---- the end */

static void publish_change(const struct audit_operation *o, size_t n)
{
    char detail[64];
    snprintf(detail, sizeof detail, "%s %zu", o->kind == OPERATION_ADD ? "added" : "removed", n);
    const struct event e = {.kind = EVENT_HOOKS_CHANGED,
                            .name = o->request.debugger_name,
                            .uid = o->request.uid,
                            .detail = detail};
    event_bus_publish(o->api->bus, &e);
}

static void reply_hooks(struct audit_operation *o)
{
    struct hook_message *messages = calloc(o->n_hooks + 1, sizeof *messages);
    _cleanup_free_ Stillpoint__Api__Hook **hooks =
        calloc(o->n_hooks + 1, sizeof(Stillpoint__Api__Hook *));
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__HookList list = STILLPOINT__API__HOOK_LIST__INIT;
    struct pending *p = o->pending;
    o->pending = NULL;
    if (!messages || !hooks) {
        free(messages);
        api_pending_fail(p, API_ERROR(INTERNAL), NULL, "out of memory for the answer");
        return;
    }
    list.hooks = hooks;
    for (size_t i = 0; i < o->n_hooks; i++) {
        const struct audit_hook *h = audit_find(o->api->audit, o->hooks[i]);
        if (!h)
            continue; /* it has ended meanwhile */
        hook_message_fill(&messages[list.n_hooks], o->api, h, o->kind == OPERATION_REMOVE);
        hooks[list.n_hooks] = &messages[list.n_hooks].m;
        list.n_hooks++;
    }
    e.body_case = API_BODY(HOOK_LIST);
    e.hook_list = &list;
    api_pending_reply(p, &e);
    for (size_t i = 0; i < list.n_hooks; i++)
        hook_message_done(&messages[i]);
    free(messages);
}

static void free_operation(struct audit_operation *o)
{
    LIST_REMOVE(o, link);
    if (o->pending)
        o->pending->data = NULL;
    if (o->wake)
        event_free(o->wake);
    if (o->timeout)
        event_free(o->timeout);
    free(o->hooks);
    free(o->stops);
    free(o);
}

/* Written down before it is acknowledged, and before any VM runs with it. */
static void keep_changes(struct audit_operation *o)
{
    if (o->failed || o->kind == OPERATION_SWEEP)
        return;
    for (size_t i = 0; i < o->n_hooks && o->kind == OPERATION_ADD; i++)
        audit_commit(o->api->audit, o->hooks[i]);
    if (o->pending)
        reply_hooks(o);
    for (size_t i = 0; i < o->n_hooks && o->kind == OPERATION_REMOVE; i++)
        audit_drop(o->api->audit, o->hooks[i], NULL);
    publish_change(o, o->n_hooks);
}

static void sweep(struct api *api, suseconds_t after_us);

static void finish(struct audit_operation *o)
{
    struct api *api = o->api;
    uint64_t debugger = o->request.debugger;
    bool again = o->failed && o->kind == OPERATION_SWEEP;
    audit_forget(api->audit, o);
    keep_changes(o);
    for (struct worker *w = registry_after(api->registry, 0); w;
         w = registry_after(api->registry, w->id)) {
        struct world *world = w->serving ? worlds_get(api->worlds, w->world, false) : NULL;
        if (world)
            world_serve_end(world, w);
    }
    end_stops(o);
    audit_tidy_worlds(api->audit);
    if (o->failed && o->pending) {
        struct pending *p = o->pending;
        o->pending = NULL;
        api_pending_fail(p, o->code, o->hint, "%s", o->error);
    }
    free_operation(o);
    debuggers_count_holding(api->debuggers, debugger, -1);
    if (again)
        sweep(api, SWEEP_AGAIN_US);
}

/* Looks at everything anew, from the loop. */
static void on_wake(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct audit_operation *o = userdata;
    if (!o->looked)
        look_for_stops(o);
    if (!o->failed && !o->sent && all_stand(o))
        send_all(o);
    if (!o->failed && (!o->sent || o->kind == OPERATION_ADD))
        look_at_stops(o);
    if (o->failed && !o->taken_back)
        take_back(o);
    if ((o->sent || o->failed) && (o->open == 0 || o->late))
        finish(o);
}

static void on_timeout(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct audit_operation *o = userdata;
    const struct worker *w = audit_give_up(o->api->audit, o);
    /* What still has to leave does so without anybody waiting for it. */
    o->late = o->failed || o->kind != OPERATION_ADD;
    if (o->kind == OPERATION_ADD)
        set_error(o, API_ERROR(TIMED_OUT), NULL, "VM '%s' did not answer in time",
                  w ? w->name : "?");
    on_wake(-1, 0, o);
}

void api_audit_on_settled(void *operation, const struct worker *w, unsigned kind,
                          const struct audit_failure *why)
{
    struct audit_operation *o = operation;
    o->open--;
    if (why && o->kind == OPERATION_ADD)
        fail_vm(o, w, kind, why);
    wake(o);
}

static void on_client_gone(struct pending *p)
{
    struct audit_operation *o = p->data;
    if (o)
        o->pending = NULL; /* what it has begun comes to its end */
    api_pending_free(p);
}

static const struct pending_type changing = {.on_client_gone = on_client_gone};

static struct audit_operation *operation_new(struct api *api, enum operation_kind kind,
                                             size_t n_hooks)
{
    struct audit_operation *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->api = api;
    o->kind = kind;
    LIST_INSERT_HEAD(&api->audit_operations, o, link);
    o->hooks = calloc(n_hooks + 1, sizeof *o->hooks);
    o->wake = event_new(api->base, -1, 0, on_wake, o);
    o->timeout = event_new(api->base, -1, 0, on_timeout, o);
    if (o->hooks && o->wake && o->timeout)
        return o;
    free_operation(o);
    return NULL;
}

/* Its tickets, as its request has them. */
static void prepare(struct audit_operation *o)
{
    o->request.reason = TICKET_AUDIT;
    o->request.operation = o->request.inside = true;
    o->request.on_served = on_served;
    o->request.on_ended = on_ticket_ended;
    debuggers_count_holding(o->api->debuggers, o->request.debugger, 1);
}

static void begin(struct audit_operation *o)
{
    prepare(o);
    look_for_stops(o);
    wake(o);
}

static struct audit_operation *operation_of(struct api_call *call, enum operation_kind kind,
                                            size_t n_hooks)
{
    struct pending *p = api_pending(call, &changing, 0, 0);
    if (!p)
        return NULL;
    struct audit_operation *o = p->data = operation_new(call->api, kind, n_hooks);
    if (o)
        o->pending = p;
    else
        api_pending_fail(p, API_ERROR(INTERNAL), NULL, "out of memory");
    return o;
}

void api_audit_done(struct api *api)
{
    struct audit_operation *o;
    while ((o = LIST_FIRST(&api->audit_operations)) != NULL) {
        end_stops(o);
        free_operation(o);
    }
}

/* ---- adding */

static void fill_wire(Stillpoint__Worker__Hook *to, const struct api_hook *h, unsigned kind,
                      Stillpoint__Worker__Place *at)
{
    stillpoint__worker__hook__init(to);
    API_SET(to, kind, kind);
    API_SET(to, suspend, h->suspend);
    if (kind == STILLPOINT__API__HOOK_KIND__HOOK_STEP)
        API_SET(to, granularity, h->granularity);
    API_SET(to, realm, h->realm);
    if (h->one_frame) {
        API_SET(to, frame, h->frame);
        API_SET(to, one_frame, 1);
    }
    to->url = API_TEXT(h->url);
    to->function = API_TEXT(h->function);
    to->condition = API_TEXT(h->condition);
    API_SET(to, line_from, h->line_from);
    API_SET(to, line_to, h->line_to);
    if (h->wasm)
        API_SET(to, wasm, 1);
    if (h->thrown)
        API_SET(to, thrown, 1);
    API_SET(to, skip, h->skip);
    API_SET(to, count, h->count);
    API_SET(to, per_second, h->per_second);
    API_SET(to, total, h->total);
    API_SET(to, capture_us, h->capture_us);
    API_SET(to, capture_bytes, h->capture_bytes);
    API_SET(to, stack_depth, h->stack_depth);
    API_SET(to, arguments, h->arguments);
    API_SET(to, value, h->value);
    to->n_expressions = h->n_expressions;
    to->expressions = (char **)(uintptr_t)h->expressions;
    to->log = API_TEXT(h->log);
    if (!h->at.url)
        return;
    stillpoint__worker__place__init(at);
    at->url = API_TEXT(h->at.url);
    API_SET(at, line, h->at.line);
    API_SET(at, column, h->at.column);
    if (h->at.line == 0)
        API_SET(at, offset, h->at.offset);
    to->at = at;
}

/* False, and an error was sent, if there is no such place. */
static bool find_where(const struct api_call *call, struct audit_where *to)
{
    const struct api_request *r = call->request;
    *to = (struct audit_where){.target = AUDIT_WORLD,
                               .of_owner = !(call->peer->roles & ACCESS_ADMIN),
                               .owner = call->peer->uid};
    if (r->add_hooks.one_vm) {
        /* A frame is counted on a stack that stands still. */
        const struct worker *w = r->add_hooks.hook.one_frame
                                     ? api_stand_find_vm(call, &r->add_hooks.vm)
                                     : api_find_live_vm(call, &r->add_hooks.vm);
        if (!w)
            return false;
        to->target = AUDIT_VM;
        to->vm = w->id;
        snprintf(to->name, sizeof to->name, "%s", w->name);
        return true;
    }
    if (r->add_hooks.selector) {
        to->target = AUDIT_SELECTOR;
        snprintf(to->name, sizeof to->name, "%s", r->add_hooks.selector);
    }
    if (r->add_hooks.engine)
        snprintf(to->engine, sizeof to->engine, "%s", r->add_hooks.engine);
    if (!r->add_hooks.world)
        return true;
    snprintf(to->world, sizeof to->world, "%s", r->add_hooks.world);
    if (worlds_get(call->api->worlds, to->world, false))
        return true;
    api_fail(call, API_ERROR(NOT_FOUND), "see 'stillctl world list'", "no world named '%s'",
             to->world);
    return false;
}

/* Setting hooks brings the worlds of those who get them to stand. False, and an error was sent,
 * where the caller may not do that. */
static bool may_set(const struct api_call *call, const struct audit_where *where)
{
    for (struct world *w = worlds_after(call->api->worlds, NULL); w;
         w = worlds_after(call->api->worlds, world_name(w))) {
        const struct stop_world *half = world_stop_half(w);
        const struct worker *one = NULL;
        size_t n = 0;
        for (size_t i = 0; i < half->n_gates; i++) {
            const struct worker *worker = half->gates[i]->userdata;
            if (has_loaded(worker) && audit_matches(where, worker)) {
                one = worker;
                n++;
            }
        }
        if ((n > 1 || (n == 1 && !stands(one))) && !api_may_stop(call, w))
            return false;
    }
    return true;
}

static void add_all(struct audit_operation *o, const struct api_hook *hook,
                    const struct audit_where *where)
{
    for (size_t i = 0; i < hook->n_kinds && !o->failed; i++) {
        Stillpoint__Worker__Hook wire;
        Stillpoint__Worker__Place at;
        size_t waits;
        fill_wire(&wire, hook, hook->kinds[i], &at);
        int r = audit_add(o->api->audit, o->request.debugger, where, &wire, hook->weak, hook->note,
                          o, &o->hooks[i], &waits);
        if (r == 0) {
            o->n_hooks++;
            o->open += waits;
        } else if (r == -EMFILE) {
            set_error(o, API_ERROR(LIMIT_EXCEEDED), "remove some",
                      "debugger %s has %u hooks already", o->request.debugger_name,
                      LIMIT_HOOKS_PER_DEBUGGER);
        } else {
            set_error(o, API_ERROR(INTERNAL), NULL, "out of memory for a hook");
        }
    }
    audit_flush(o->api->audit);
}

void api_audit_add_hooks(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct audit_where where;
    const struct debugger *d = find_where(call, &where) && may_set(call, &where)
                                   ? api_debugger_of(call, r->add_hooks.debugger)
                                   : NULL;
    if (!d)
        return;
    uint64_t debugger = d->id;
    struct audit_operation *o = operation_of(call, OPERATION_ADD, r->add_hooks.hook.n_kinds);
    if (o) {
        api_ticket_request(call, d, &o->request);
        o->request.wait_us = r->add_hooks.wait_us;
        o->request.deadline_us = r->add_hooks.deadline_us;
        add_all(o, &r->add_hooks.hook, &where);
        begin(o);
    } else {
        debuggers_reclaim(call->api->debuggers, debugger);
    }
}

/* ---- removing */

/* The hook, if it is there and its debugger is one that the caller may act for. */
static const struct audit_hook *find_hook(const struct api_call *call, uint64_t id)
{
    const struct audit_hook *h = audit_find(call->api->audit, id);
    const struct debugger *d = h ? debuggers_find(call->api->debuggers, h->debugger) : NULL;
    if (!h || !d || h->state != AUDIT_SET)
        api_fail(call, API_ERROR(NOT_FOUND), "see 'stillctl audit show'", "no hook %llu",
                 (unsigned long long)id);
    else if (!api_may_act_on(call, d->owner))
        api_fail_denied(call, ACCESS_ADMIN, "hook %llu is debugger %s's, which belongs to uid %u",
                        (unsigned long long)id, d->name, (unsigned)d->owner);
    else
        return h;
    return NULL;
}

static void name_operation(struct audit_operation *o, const struct debugger *d)
{
    o->request.debugger = d->id;
    o->request.hold_policy = d->hold_policy;
    snprintf(o->request.debugger_name, sizeof o->request.debugger_name, "%s", d->name);
}

void api_audit_remove_hooks(struct api_call *call)
{
    const struct api_request *r = call->request;
    const struct debugger *d = NULL;
    size_t n = r->remove_hooks.n;
    for (size_t i = 0; i < n; i++) {
        const struct audit_hook *h = find_hook(call, r->remove_hooks.hooks[i]);
        if (!h)
            return;
        d = debuggers_find(call->api->debuggers, h->debugger);
    }
    if (n == 0) {
        struct audit_holdings holdings;
        if (!(d = api_find_debugger(call, r->remove_hooks.debugger)))
            return;
        audit_holdings(call->api->audit, d->id, &holdings);
        n = holdings.n_hooks;
    }
    struct audit_operation *o = operation_of(call, OPERATION_REMOVE, n);
    if (!o)
        return;
    o->request = (struct ticket_request){.uid = call->peer->uid,
                                         .dispatched_ns = call->dispatched_ns,
                                         .wait_us = DEFAULT_HOOKS_WAIT_US,
                                         .deadline_us = DEFAULT_DEADLINE_US};
    name_operation(o, d);
    for (size_t i = 0; i < r->remove_hooks.n; i++)
        o->hooks[o->n_hooks++] = r->remove_hooks.hooks[i];
    const struct audit_hook *h = NULL;
    while (r->remove_hooks.n == 0 && (h = audit_of_debugger(call->api->audit, d->id, h)) != NULL)
        if (h->state == AUDIT_SET)
            o->hooks[o->n_hooks++] = h->id;
    sort_hooks(o);
    begin(o);
}

/* ---- sweeping */

/* Perhaps from inside a world: which have to stop is looked at when that is over. */
static void sweep(struct api *api, suseconds_t after_us)
{
    struct timeval after = {.tv_usec = after_us};
    struct audit_operation *o;
    LIST_FOREACH(o, &api->audit_operations, link)
    if (o->kind == OPERATION_SWEEP && !o->sent)
        return;
    o = operation_new(api, OPERATION_SWEEP, 0);
    if (!o) {
        record_write(LOG_ERR, MESSAGE_NO_MEMORY, NULL,
                     "out of memory: hooks that are gone stay in their VMs");
        return;
    }
    o->request =
        (struct ticket_request){.deadline_us = DEFAULT_DEADLINE_US, .wait_us = DEFAULT_HOLD_US};
    snprintf(o->request.debugger_name, sizeof o->request.debugger_name, "stillpointd");
    prepare(o);
    if (after_us > 0)
        event_add(o->wake, &after);
    else
        wake(o);
}

void api_audit_on_orphans(struct api *api)
{
    sweep(api, 0);
}

/* ---- lists */

void api_audit_list_hooks(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct api *api = call->api;
    const struct worker *vm = NULL;
    const struct debugger *d = NULL;
    if (r->list_hooks.one_vm && !(vm = api_find_vm(call, &r->list_hooks.vm)))
        return;
    if (r->list_hooks.debugger &&
        !(d = debuggers_find_ref(api->debuggers, r->list_hooks.debugger))) {
        api_fail(call, API_ERROR(NOT_FOUND), "see 'stillctl debugger list'",
                 "no debugger named '%s'", r->list_hooks.debugger);
        return;
    }
    if (r->list_hooks.hook != 0 && !audit_find(api->audit, r->list_hooks.hook)) {
        api_fail(call, API_ERROR(NOT_FOUND), "see 'stillctl audit show'", "no hook %llu",
                 (unsigned long long)r->list_hooks.hook);
        return;
    }
    uint32_t size = r->list_hooks.page_size;
    struct hook_message *messages = calloc(size, sizeof *messages);
    _cleanup_free_ Stillpoint__Api__Hook **hooks = calloc(size, sizeof(Stillpoint__Api__Hook *));
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__HookList list = STILLPOINT__API__HOOK_LIST__INIT;
    if (!messages || !hooks) {
        free(messages);
        api_fail(call, API_ERROR(INTERNAL), NULL, "out of memory");
        return;
    }
    list.hooks = hooks;
    uint64_t last = r->list_hooks.page_token;
    size_t bytes = 0;
    const struct audit_hook *h = audit_after(api->audit, last);
    for (; h && list.n_hooks < size; h = audit_after(api->audit, h->id)) {
        if ((r->list_hooks.hook != 0 && h->id != r->list_hooks.hook) ||
            (d && h->debugger != d->id) || (vm && !audit_find_part(api->audit, vm->id, h->id)))
            continue;
        struct hook_message *m = &messages[list.n_hooks];
        hook_message_fill(m, api, h, false);
        bytes += stillpoint__api__hook__get_packed_size(&m->m) + 8;
        if (list.n_hooks > 0 && bytes > PAGE_BYTES) {
            hook_message_done(m);
            break;
        }
        hooks[list.n_hooks++] = &m->m;
        last = h->id;
    }
    API_SET(&list, next_page_token, h ? last : 0);
    e.body_case = API_BODY(HOOK_LIST);
    e.hook_list = &list;
    api_reply(call, &e);
    for (size_t i = 0; i < list.n_hooks; i++)
        hook_message_done(&messages[i]);
    free(messages);
}

void api_audit_list_auditors(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct api *api = call->api;
    const struct worker *vm = NULL;
    if (r->list_auditors.one_vm && !(vm = api_find_vm(call, &r->list_auditors.vm)))
        return;
    uint32_t size = r->list_auditors.page_size;
    struct auditor_message *messages = calloc(size, sizeof *messages);
    _cleanup_free_ Stillpoint__Api__Auditor **auditors =
        calloc(size, sizeof(Stillpoint__Api__Auditor *));
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__AuditorList list = STILLPOINT__API__AUDITOR_LIST__INIT;
    if (!messages || !auditors) {
        free(messages);
        api_fail(call, API_ERROR(INTERNAL), NULL, "out of memory");
        return;
    }
    list.auditors = auditors;
    uint64_t last = r->list_auditors.page_token;
    size_t bytes = 0;
    const struct audit_auditor *auditor = audit_auditor_after(api->audit, last);
    for (; auditor && list.n_auditors < size;
         auditor = audit_auditor_after(api->audit, auditor->number)) {
        if (vm && auditor->vm != vm->id)
            continue;
        struct auditor_message *m = &messages[list.n_auditors];
        hook_message_fill_auditor(m, api, auditor);
        bytes += stillpoint__api__auditor__get_packed_size(&m->m) + 8;
        if (list.n_auditors > 0 && bytes > PAGE_BYTES) {
            hook_message_done_auditor(m);
            break;
        }
        auditors[list.n_auditors++] = &m->m;
        last = auditor->number;
    }
    API_SET(&list, next_page_token, auditor ? last : 0);
    e.body_case = API_BODY(AUDITOR_LIST);
    e.auditor_list = &list;
    api_reply(call, &e);
    for (size_t i = 0; i < list.n_auditors; i++)
        hook_message_done_auditor(&messages[i]);
    free(messages);
}
