#include "daemon/api_look.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/api_stand.h"
#include "daemon/look_message.h"
#include "daemon/registry.h"
#include "daemon/worker.h"
#include "daemon/worker_evaluation.h"
#include "daemon/worker_pause.h"
#include "daemon/worlds.h"
#include "proto/check_worker.h"

typedef Stillpoint__Api__Envelope Envelope;
typedef Stillpoint__Worker__Inspect Inspect;
typedef Stillpoint__Worker__InspectedBody Body;

/* One request that its VM has not answered; the data of a pending, whose number is the request. */
struct look {
    enum api_kind kind;
    bool evaluates; /* then its limit is the VM's */
    uint32_t first, max;
    uint64_t address;
    struct event *timeout;
};

static void drop(struct pending *p)
{
    struct look *l = p->data;
    if (l->timeout)
        event_free(l->timeout);
    free(l);
    p->data = NULL;
}

static void on_timeout(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct pending *p = userdata;
    const struct worker *w = api_stand_give_up(p->api, p->vm, p->number);
    drop(p);
    api_pending_fail(p, API_ERROR(TIMED_OUT), NULL, "VM '%s' did not answer in time",
                     w ? w->name : "?");
}

static void on_vm_ended(struct pending *p, struct worker *w)
{
    drop(p);
    api_pending_fail(p, API_ERROR(CANCELLED), NULL, "VM '%s' ended before it answered: %s", w->name,
                     w->exit.detail[0] ? w->exit.detail : "it exited");
}

/* The VM's answer will be nobody's. */
static void on_client_gone(struct pending *p)
{
    const struct look *l = p->data;
    struct worker *w = registry_find(p->api->registry, p->vm);
    if (l->evaluates && w && w->evaluation.request == p->number)
        worker_evaluation_withdraw(w, "was ended, since its client is gone");
    drop(p);
    api_pending_free(p);
}

static const struct pending_type looking = {.on_vm_ended = on_vm_ended,
                                            .on_client_gone = on_client_gone};

/* ---- asking */

static struct look *begin(const struct api_call *call, const struct worker *w,
                          struct pending **ret_pending)
{
    struct pending *p = api_pending(call, &looking, w->id, 0);
    struct look *l = p ? calloc(1, sizeof *l) : NULL;
    if (!p)
        return NULL;
    if (!l) {
        api_pending_fail(p, API_ERROR(INTERNAL), NULL, "out of memory");
        return NULL;
    }
    l->kind = call->request->kind;
    p->data = l;
    *ret_pending = p;
    return l;
}

/* limit_us 0: it runs no guest code. */
static struct look *ask(const struct api_call *call, struct worker *w, Inspect *inspect,
                        unsigned kind, uint64_t limit_us)
{
    struct world *world = worlds_get(call->api->worlds, w->world, false);
    struct pending *p;
    struct look *l = begin(call, w, &p);
    struct timeval most = {.tv_sec = DEFAULT_INSPECT_TIMEOUT_US / 1000000};
    int r = 0;
    if (!l)
        return NULL;
    API_SET(inspect, kind, kind);
    l->evaluates = limit_us != 0;
    world_serve_begin(world, w);
    if (l->evaluates) {
        r = worker_evaluation_begin(w, inspect, limit_us, &p->number);
    } else {
        l->timeout = event_new(call->api->base, -1, 0, on_timeout, p);
        r = l->timeout && event_add(l->timeout, &most) == 0
                ? worker_send_inspect(w, inspect, &p->number)
                : -ENOMEM;
    }
    if (r == 0)
        return l;
    world_serve_end(world, w);
    drop(p);
    api_pending_free(p);
    api_stand_fail_sent(call, w, r);
    return NULL;
}

static void ask_page(struct api_call *call, unsigned kind, bool sources)
{
    const struct api_request *r = call->request;
    struct worker *w = api_stand_find_vm(call, &r->look_page.vm);
    Inspect inspect = STILLPOINT__WORKER__INSPECT__INIT;
    Stillpoint__Worker__Page page = STILLPOINT__WORKER__PAGE__INIT;
    if (!w)
        return;
    API_SET(&page, first, r->look_page.first);
    API_SET(&page, max, r->look_page.max);
    if (sources)
        inspect.sources = &page;
    else
        inspect.frames = &page;
    struct look *l = ask(call, w, &inspect, kind, 0);
    if (l) {
        l->first = r->look_page.first;
        l->max = r->look_page.max;
    }
}

void api_look_list_frames(struct api_call *call)
{
    ask_page(call, WORKER_INSPECT_FRAMES, false);
}

void api_look_list_sources(struct api_call *call)
{
    ask_page(call, WORKER_INSPECT_SOURCES, true);
}

void api_look_list_scopes(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct worker *w = api_stand_find_vm(call, &r->list_scopes.vm);
    Inspect inspect = STILLPOINT__WORKER__INSPECT__INIT;
    if (!w)
        return;
    API_SET(&inspect, scopes_of_frame, r->list_scopes.frame);
    struct look *l = ask(call, w, &inspect, WORKER_INSPECT_SCOPES, 0);
    if (l)
        l->first = r->list_scopes.frame;
}

void api_look_list_variables(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct worker *w = api_stand_find_vm(call, &r->list_variables.vm);
    Inspect inspect = STILLPOINT__WORKER__INSPECT__INIT;
    Stillpoint__Worker__Variables v = STILLPOINT__WORKER__VARIABLES__INIT;
    struct api_stand_right right;
    bool runs = r->list_variables.run_getters;
    if (!w || (runs && !api_stand_may_change(call, w, &right)))
        return;
    API_SET(&v, ref, r->list_variables.ref);
    API_SET(&v, first, r->list_variables.first);
    API_SET(&v, max, r->list_variables.max);
    API_SET(&v, run_getters, runs);
    inspect.variables = &v;
    struct look *l =
        ask(call, w, &inspect, WORKER_INSPECT_VARIABLES, runs ? DEFAULT_EVALUATE_US : 0);
    if (l)
        l->max = r->list_variables.max;
}

void api_look_evaluate(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct worker *w = api_stand_find_vm(call, &r->evaluate.vm);
    Inspect inspect = STILLPOINT__WORKER__INSPECT__INIT;
    Stillpoint__Worker__Evaluate v = STILLPOINT__WORKER__EVALUATE__INIT;
    struct api_stand_right right;
    if (!w || !api_stand_may_change(call, w, &right))
        return;
    v.expression = API_TEXT(r->evaluate.expression);
    API_SET(&v, frame, r->evaluate.frame);
    API_SET(&v, in_realm, r->evaluate.in_realm);
    API_SET(&v, realm, r->evaluate.realm);
    API_SET(&v, audited, r->evaluate.audited);
    inspect.evaluate = &v;
    ask(call, w, &inspect, WORKER_INSPECT_EVALUATE, r->evaluate.timeout_us);
}

void api_look_set_variable(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct worker *w = api_stand_find_vm(call, &r->set_variable.vm);
    Inspect inspect = STILLPOINT__WORKER__INSPECT__INIT;
    Stillpoint__Worker__Assign v = STILLPOINT__WORKER__ASSIGN__INIT;
    struct api_stand_right right;
    if (!w || !api_stand_may_change(call, w, &right))
        return;
    API_SET(&v, frame, r->set_variable.frame);
    v.name = API_TEXT(r->set_variable.name);
    v.expression = API_TEXT(r->set_variable.expression);
    inspect.assign = &v;
    ask(call, w, &inspect, WORKER_INSPECT_ASSIGN, r->set_variable.timeout_us);
}

void api_look_read_source(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct worker *w = api_stand_find_vm(call, &r->read_source.vm);
    Inspect inspect = STILLPOINT__WORKER__INSPECT__INIT;
    Stillpoint__Worker__ReadSource v = STILLPOINT__WORKER__READ_SOURCE__INIT;
    if (!w)
        return;
    API_SET(&v, source, r->read_source.source);
    v.url = API_TEXT(r->read_source.url);
    API_SET(&v, first_byte, r->read_source.first_byte);
    API_SET(&v, max_bytes, r->read_source.max_bytes);
    inspect.read_source = &v;
    struct look *l = ask(call, w, &inspect, WORKER_INSPECT_READ_SOURCE, 0);
    if (l) {
        l->address = r->read_source.first_byte;
        l->max = r->read_source.max_bytes;
    }
}

void api_look_list_positions(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct worker *w = api_stand_find_vm(call, &r->list_positions.vm);
    Inspect inspect = STILLPOINT__WORKER__INSPECT__INIT;
    Stillpoint__Worker__Positions v = STILLPOINT__WORKER__POSITIONS__INIT;
    if (!w)
        return;
    API_SET(&v, source, r->list_positions.source);
    v.url = API_TEXT(r->list_positions.url);
    API_SET(&v, line_from, r->list_positions.line_from);
    API_SET(&v, line_to, r->list_positions.line_to);
    API_SET(&v, wasm, r->list_positions.wasm);
    API_SET(&v, offset_from, r->list_positions.offset_from);
    API_SET(&v, offset_to, r->list_positions.offset_to);
    inspect.positions = &v;
    struct look *l = ask(call, w, &inspect, WORKER_INSPECT_POSITIONS, 0);
    if (l)
        l->max = LIMIT_PAGE_POSITIONS;
}

void api_look_access_memory(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct worker *w = api_stand_find_vm(call, &r->access_memory.vm);
    Inspect inspect = STILLPOINT__WORKER__INSPECT__INIT;
    Stillpoint__Worker__Memory v = STILLPOINT__WORKER__MEMORY__INIT;
    struct api_stand_right right;
    bool writes = r->access_memory.write_bytes > 0;
    if (!w || (writes && !api_stand_may_change(call, w, &right)))
        return;
    API_SET(&v, frame, r->access_memory.frame);
    API_SET(&v, in_frame, r->access_memory.in_frame);
    API_SET(&v, memory, r->access_memory.memory);
    API_SET(&v, address, r->access_memory.address);
    if (writes) {
        v.has_write = 1;
        v.write.data = (uint8_t *)(uintptr_t)r->access_memory.write;
        v.write.len = r->access_memory.write_bytes;
    } else {
        API_SET(&v, length, r->access_memory.length);
    }
    inspect.memory = &v;
    struct look *l = ask(call, w, &inspect, WORKER_INSPECT_MEMORY, 0);
    if (l) {
        l->address = r->access_memory.address;
        l->max = r->access_memory.length;
    }
}

/* ---- replies. Each shows what its kind asks for, and no more than was asked for. */

/* `n` rows of `size` bytes, and pointers to them. */
struct rows {
    void *rows;
    void **at;
    size_t n;
};

static int rows_init(struct rows *r, size_t n, size_t max, size_t size)
{
    r->n = n < max ? n : max;
    r->rows = calloc(r->n + 1, size);
    r->at = calloc(r->n + 1, sizeof *r->at);
    if (!r->rows || !r->at)
        return -ENOMEM;
    for (size_t i = 0; i < r->n; i++)
        r->at[i] = (char *)r->rows + i * size;
    return 0;
}

static void rows_done(struct rows *r)
{
    free(r->rows);
    free(r->at);
}

/* All of these send one reply, if there is memory for it. */

static int reply_frames(struct pending *p, const struct look *l, const Body *body)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__FramePage m = STILLPOINT__API__FRAME_PAGE__INIT;
    struct rows rows;
    int r = rows_init(&rows, body->n_frames, l->max, sizeof(Stillpoint__Api__Frame));
    for (size_t i = 0; r == 0 && i < rows.n; i++)
        look_message_frame(rows.at[i], body->frames[i], l->first + (uint32_t)i);
    if (r == 0) {
        API_SET(&m, vm, p->vm);
        m.frames = (Stillpoint__Api__Frame **)rows.at;
        m.n_frames = rows.n;
        API_SET(&m, next, body->next);
        e.body_case = API_BODY(FRAME_PAGE);
        e.frame_page = &m;
        api_pending_reply(p, &e);
    }
    rows_done(&rows);
    return r;
}

static int reply_scopes(struct pending *p, const struct look *l, const Body *body)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__ScopeList m = STILLPOINT__API__SCOPE_LIST__INIT;
    struct rows rows;
    int r = rows_init(&rows, body->n_scopes, LIMIT_SCOPES, sizeof(Stillpoint__Api__Scope));
    for (size_t i = 0; r == 0 && i < rows.n; i++)
        look_message_scope(rows.at[i], body->scopes[i]);
    if (r == 0) {
        API_SET(&m, vm, p->vm);
        API_SET(&m, frame, l->first);
        m.scopes = (Stillpoint__Api__Scope **)rows.at;
        m.n_scopes = rows.n;
        e.body_case = API_BODY(SCOPE_LIST);
        e.scope_list = &m;
        api_pending_reply(p, &e);
    }
    rows_done(&rows);
    return r;
}

static int reply_variables(struct pending *p, const struct look *l, const Body *body)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__VariablePage m = STILLPOINT__API__VARIABLE_PAGE__INIT;
    struct rows rows;
    int r = rows_init(&rows, body->n_variables, l->max, sizeof(struct look_named_value));
    for (size_t i = 0; r == 0 && i < rows.n; i++)
        look_message_named_value(rows.at[i], body->variables[i]);
    if (r == 0) {
        API_SET(&m, vm, p->vm);
        /* The message is the first member of its row. */
        m.variables = (Stillpoint__Api__NamedValue **)rows.at;
        m.n_variables = rows.n;
        API_SET(&m, next, body->next);
        API_SET(&m, total, body->total);
        e.body_case = API_BODY(VARIABLE_PAGE);
        e.variable_page = &m;
        api_pending_reply(p, &e);
    }
    rows_done(&rows);
    return r;
}

static int reply_sources(struct pending *p, const struct look *l, const Body *body)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__SourceList m = STILLPOINT__API__SOURCE_LIST__INIT;
    struct rows rows;
    int r = rows_init(&rows, body->n_sources, l->max, sizeof(Stillpoint__Api__Source));
    for (size_t i = 0; r == 0 && i < rows.n; i++)
        look_message_source(rows.at[i], body->sources[i]);
    if (r == 0) {
        API_SET(&m, vm, p->vm);
        m.sources = (Stillpoint__Api__Source **)rows.at;
        m.n_sources = rows.n;
        API_SET(&m, next, body->next);
        e.body_case = API_BODY(SOURCE_LIST);
        e.source_list = &m;
        api_pending_reply(p, &e);
    }
    rows_done(&rows);
    return r;
}

static int reply_positions(struct pending *p, const struct look *l, const Body *body)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__PositionList m = STILLPOINT__API__POSITION_LIST__INIT;
    struct rows rows;
    int r = rows_init(&rows, body->n_positions, l->max, sizeof(Stillpoint__Api__Location));
    for (size_t i = 0; r == 0 && i < rows.n; i++)
        look_message_location(rows.at[i], body->positions[i]);
    if (r == 0) {
        API_SET(&m, vm, p->vm);
        m.positions = (Stillpoint__Api__Location **)rows.at;
        m.n_positions = rows.n;
        API_SET(&m, truncated, body->truncated || rows.n < body->n_positions);
        e.body_case = API_BODY(POSITION_LIST);
        e.position_list = &m;
        api_pending_reply(p, &e);
    }
    rows_done(&rows);
    return r;
}

static int reply_value(struct pending *p, const struct look *l, const Body *body)
{
    (void)l;
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__ValueReply m = STILLPOINT__API__VALUE_REPLY__INIT;
    Stillpoint__Api__Value value;
    API_SET(&m, vm, p->vm);
    API_SET(&m, threw, body->threw);
    if (body->value) {
        look_message_value(&value, body->value);
        m.value = &value;
    }
    m.json = body->json;
    e.body_case = API_BODY(VALUE_REPLY);
    e.value_reply = &m;
    api_pending_reply(p, &e);
    return 0;
}

static int reply_text(struct pending *p, const struct look *l, const Body *body)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__SourceText m = STILLPOINT__API__SOURCE_TEXT__INIT;
    Stillpoint__Api__Source source;
    size_t len = body->data.len < l->max ? body->data.len : l->max;
    API_SET(&m, vm, p->vm);
    API_SET(&m, first_byte, l->address);
    if (body->n_sources > 0) {
        look_message_source(&source, body->sources[0]);
        m.source = &source;
        API_SET(&m, more, l->address < source.text_bytes && source.text_bytes - l->address > len);
    }
    m.has_text = 1;
    m.text = (ProtobufCBinaryData){.data = body->data.data, .len = len};
    e.body_case = API_BODY(SOURCE_TEXT);
    e.source_text = &m;
    api_pending_reply(p, &e);
    return 0;
}

static int reply_memory(struct pending *p, const struct look *l, const Body *body)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__MemoryReply m = STILLPOINT__API__MEMORY_REPLY__INIT;
    API_SET(&m, vm, p->vm);
    API_SET(&m, address, l->address);
    if (l->max > 0) {
        m.has_data = 1;
        m.data = body->data;
        m.data.len = body->data.len < l->max ? body->data.len : l->max;
    }
    API_SET(&m, memory_bytes, body->memory_bytes);
    e.body_case = API_BODY(MEMORY_REPLY);
    e.memory_reply = &m;
    api_pending_reply(p, &e);
    return 0;
}

static int (*const replies[API_KINDS])(struct pending *p, const struct look *l,
                                       const Body *body) = {
    [API_LIST_FRAMES] = reply_frames,       [API_LIST_SCOPES] = reply_scopes,
    [API_LIST_VARIABLES] = reply_variables, [API_EVALUATE] = reply_value,
    [API_SET_VARIABLE] = reply_value,       [API_LIST_SOURCES] = reply_sources,
    [API_READ_SOURCE] = reply_text,         [API_LIST_POSITIONS] = reply_positions,
    [API_ACCESS_MEMORY] = reply_memory,
};

static void fail(struct pending *p, const struct worker *w, const struct worker_inspected *answer,
                 const char *withdrawn)
{
    if (withdrawn)
        api_pending_fail(p,
                         strcmp(withdrawn, WORKER_EVALUATION_TOO_LONG) == 0 ? API_ERROR(TIMED_OUT)
                                                                            : API_ERROR(CANCELLED),
                         NULL, "VM '%s': the evaluation %s", w->name, withdrawn);
    else
        api_pending_fail(p, api_stand_error_code(answer->refusal), NULL, "VM '%s': %s", w->name,
                         answer->error);
}

bool api_look_on_inspected(struct api *api, struct worker *w, const struct worker_inspected *answer,
                           const char *withdrawn)
{
    static const Body nothing = STILLPOINT__WORKER__INSPECTED_BODY__INIT;
    struct pending *p = api_pending_find(api, &looking, w->id, answer->request);
    if (!p)
        return false;
    struct look l = *(struct look *)p->data;
    drop(p);
    if (answer->error)
        fail(p, w, answer, withdrawn);
    else if (replies[l.kind](p, &l, answer->body ? answer->body : &nothing) < 0)
        api_pending_fail(p, API_ERROR(INTERNAL), NULL, "out of memory for the answer");
    return true;
}

/* ---- the pause */

void api_look_get_pause(struct api_call *call)
{
    const struct worker *w = api_find_live_vm(call, &call->request->vm.vm);
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__PauseReply m = STILLPOINT__API__PAUSE_REPLY__INIT;
    Stillpoint__Api__Location location;
    Stillpoint__Api__Value value;
    if (!w)
        return;
    const Stillpoint__Worker__Paused *said = w->pause.said;
    API_SET(&m, vm, w->id);
    m.reason = API_TEXT(said ? worker_pause_reason_name(said->reason) : "");
    if (said) {
        API_SET(&m, pause, w->pause.number);
        m.hooks = said->hooks;
        m.n_hooks = said->n_hooks;
        if (said->location) {
            look_message_location(&location, said->location);
            m.location = &location;
        }
        if (said->value) {
            look_message_value(&value, said->value);
            m.value = &value;
        }
    }
    e.body_case = API_BODY(PAUSE_REPLY);
    e.pause_reply = &m;
    api_reply(call, &e);
}
