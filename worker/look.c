#include "worker/look.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

typedef Stillpoint__Worker__Inspect Inspect;

/* As a frame: none, but a realm, or the program. */
#define NO_FRAME UINT32_MAX

static const char no_frame[] = "no such frame";
static const char no_ref[] = "no such reference: those of a stop end when the VM goes on";
static const char no_source[] = "no such source";
static const char no_body[] = "the request is malformed";
static const char too_late[] = "it took too long and was ended";

/* One request while it is served. */
struct looking {
    const struct look *look;
    struct inspect_answer *a;
    uint32_t max; /* rows of this page, or bytes of this text */
};

/* ---- why not */

static void on_kind(void *userdata, const struct engine_frame *frame)
{
    *(enum engine_frame_kind *)userdata = frame->kind;
}

/* Of a frame that the engine cannot show, by what it is. */
static const char *why_hidden(const struct look *l, uint32_t frame)
{
    enum engine_frame_kind kind = ENGINE_FRAME_WASM; /* that of a program without a frame */
    uint32_t next;
    if (frame != NO_FRAME)
        (void)l->debug->frames(l->engine, frame, 1, on_kind, &kind, &next);
    switch (kind) {
    case ENGINE_FRAME_HOST:
        return "a function of the host has nothing inside that can be shown";
    case ENGINE_FRAME_WASM:
        return "the VM was not started with --debug: its WebAssembly cannot be inspected";
    default:
        return "this cannot be had of a frame of this kind";
    }
}

/* Forwards what an op said, and explains it. */
static int explain(const struct looking *x, int r, uint32_t frame, const char *not_there)
{
    if (r > 0) {
        x->a->why = "the program would have ended by it";
        return -ECANCELED;
    }
    if (x->a->why)
        return r;
    if (r == -ENOENT)
        x->a->why = not_there;
    else if (r == -EOPNOTSUPP)
        x->a->why = why_hidden(x->look, frame);
    else if (r == -ECANCELED)
        x->a->why = too_late;
    return r;
}

static int malformed(struct inspect_answer *a)
{
    a->why = no_body;
    return -EPROTO;
}

/* ---- pages */

static uint32_t page_size(uint32_t wanted, uint32_t limit)
{
    return wanted > 0 && wanted < limit ? wanted : limit;
}

/* Where the next page begins, if this one has n rows: also where not all that the engine gave had
 * room. 0: that was all. */
static void put_next(struct inspect_answer *a, uint32_t first, size_t n, uint32_t engine_next)
{
    uint32_t next = a->shown.full ? first + (uint32_t)n : engine_next;
    a->body.has_next = true;
    a->body.next = next;
}

/* ---- frames and scopes */

static void on_frame(void *userdata, const struct engine_frame *frame)
{
    struct looking *x = userdata;
    Stillpoint__Worker__InspectedBody *body = &x->a->body;
    Stillpoint__Worker__Frame *m = NULL;
    if (!x->a->shown.full && body->n_frames < x->max)
        m = shown_frame(&x->a->shown, frame);
    if (m)
        body->frames[body->n_frames++] = m;
}

static int serve_frames(struct looking *x, const Inspect *m)
{
    static const Stillpoint__Worker__Page all = STILLPOINT__WORKER__PAGE__INIT;
    const Stillpoint__Worker__Page *page = m->frames ? m->frames : &all;
    Stillpoint__Worker__InspectedBody *body = &x->a->body;
    uint32_t next = 0;
    x->max = page_size(page->max, LIMIT_PAGE_FRAMES);
    body->frames = shown_array(&x->a->shown, x->max, sizeof *body->frames);
    if (!body->frames)
        return -ENOMEM;
    int r = x->look->debug->frames(x->look->engine, page->first, x->max, on_frame, x, &next);
    put_next(x->a, page->first, body->n_frames, next);
    return explain(x, r, NO_FRAME, no_frame);
}

static void on_scope(void *userdata, const struct engine_scope *scope)
{
    struct looking *x = userdata;
    Stillpoint__Worker__InspectedBody *body = &x->a->body;
    Stillpoint__Worker__Scope *m = NULL;
    if (body->n_scopes < LIMIT_SCOPES)
        m = shown_scope(&x->a->shown, scope);
    else
        x->a->shown.full = true;
    if (m)
        body->scopes[body->n_scopes++] = m;
}

static int serve_scopes(struct looking *x, const Inspect *m)
{
    Stillpoint__Worker__InspectedBody *body = &x->a->body;
    body->scopes = shown_array(&x->a->shown, LIMIT_SCOPES, sizeof *body->scopes);
    if (!body->scopes)
        return -ENOMEM;
    int r = x->look->debug->scopes(x->look->engine, m->scopes_of_frame, on_scope, x);
    body->has_truncated = true;
    body->truncated = x->a->shown.full;
    return explain(x, r, m->scopes_of_frame, no_frame);
}

/* ---- guest code */

/* It may run from here until safepoint_evaluated(). */
static int begin_evaluation(struct looking *x, uint64_t evaluation)
{
    int r = safepoint_evaluate(x->look->safepoint, evaluation);
    if (r < 0)
        x->a->why = "it was withdrawn before it began";
    return r;
}

static void on_variable(void *userdata, const struct engine_named_value *v)
{
    struct looking *x = userdata;
    Stillpoint__Worker__InspectedBody *body = &x->a->body;
    Stillpoint__Worker__NamedValue *m = NULL;
    if (!x->a->shown.full && body->n_variables < x->max)
        m = shown_named_value(&x->a->shown, v);
    if (m)
        body->variables[body->n_variables++] = m;
}

static int serve_variables(struct looking *x, const Inspect *m)
{
    const Stillpoint__Worker__Variables *v = m->variables;
    Stillpoint__Worker__InspectedBody *body = &x->a->body;
    uint32_t next = 0, total = 0;
    if (!v)
        return malformed(x->a);
    x->max = page_size(v->max, LIMIT_PAGE_VARIABLES);
    body->variables = shown_array(&x->a->shown, x->max, sizeof *body->variables);
    if (!body->variables)
        return -ENOMEM;
    int r = v->run_getters ? begin_evaluation(x, v->evaluation) : 0;
    if (r < 0)
        return r;
    r = x->look->debug->variables(x->look->engine, v->ref, v->first, x->max, v->run_getters,
                                  on_variable, x, &next, &total);
    if (v->run_getters)
        safepoint_evaluated(x->look->safepoint);
    put_next(x->a, v->first, body->n_variables, next);
    body->has_total = true;
    body->total = total;
    return explain(x, r, NO_FRAME, no_ref);
}

static void on_value(void *userdata, bool threw, const struct engine_value *value, const char *json)
{
    struct looking *x = userdata;
    struct shown *s = &x->a->shown;
    Stillpoint__Worker__InspectedBody *body = &x->a->body;
    body->value = shown_value(s, value);
    body->has_threw = true;
    body->threw = threw;
    size_t len = json ? strnlen(json, LIMIT_VALUE_JSON_BYTES + 1) : 0;
    /* All of it, or nothing. */
    if (len > 0 && len <= LIMIT_VALUE_JSON_BYTES && text_is_utf8(json, len))
        body->json = (char *)shown_bytes(s, json, len + 1);
}

static bool is_expression(const char *s)
{
    return s && strlen(s) <= LIMIT_EXPRESSION_BYTES;
}

static int serve_evaluate(struct looking *x, const Inspect *m)
{
    const Stillpoint__Worker__Evaluate *v = m->evaluate;
    if (!v || !is_expression(v->expression))
        return malformed(x->a);
    int r = begin_evaluation(x, v->evaluation);
    if (r < 0)
        return r;
    uint32_t frame = v->in_realm ? NO_FRAME : v->frame;
    r = x->look->debug->evaluate(x->look->engine, frame, v->realm, v->expression, v->audited, true,
                                 on_value, x);
    safepoint_evaluated(x->look->safepoint);
    return explain(x, r, frame, v->in_realm ? "no such realm" : no_frame);
}

static int serve_assign(struct looking *x, const Inspect *m)
{
    const Stillpoint__Worker__Assign *v = m->assign;
    if (!v || !v->name || !is_expression(v->expression))
        return malformed(x->a);
    int r = begin_evaluation(x, v->evaluation);
    if (r < 0)
        return r;
    r = x->look->debug->assign(x->look->engine, v->frame, v->name, v->expression, on_value, x,
                               &x->a->why);
    safepoint_evaluated(x->look->safepoint);
    return explain(x, r, v->frame, "no such frame or variable");
}

/* ---- sources */

static void on_source(void *userdata, const struct engine_source *source)
{
    struct looking *x = userdata;
    Stillpoint__Worker__InspectedBody *body = &x->a->body;
    Stillpoint__Worker__Source *m = NULL;
    if (!x->a->shown.full && body->n_sources < x->max)
        m = shown_source(&x->a->shown, source);
    if (m)
        body->sources[body->n_sources++] = m;
}

static int serve_sources(struct looking *x, const Inspect *m)
{
    static const Stillpoint__Worker__Page all = STILLPOINT__WORKER__PAGE__INIT;
    const Stillpoint__Worker__Page *page = m->sources ? m->sources : &all;
    Stillpoint__Worker__InspectedBody *body = &x->a->body;
    uint32_t next = 0;
    x->max = page_size(page->max, LIMIT_PAGE_SOURCES);
    body->sources = shown_array(&x->a->shown, x->max, sizeof *body->sources);
    if (!body->sources)
        return -ENOMEM;
    int r = x->look->debug->sources(x->look->engine, page->first, x->max, on_source, x, &next);
    put_next(x->a, page->first, body->n_sources, next);
    return explain(x, r, NO_FRAME, no_source);
}

static void on_source_text(void *userdata, const struct engine_source *source, const void *bytes,
                           size_t len)
{
    struct looking *x = userdata;
    Stillpoint__Worker__InspectedBody *body = &x->a->body;
    on_source(x, source);
    if (len > x->max)
        len = x->max;
    body->data.data = shown_bytes(&x->a->shown, bytes, len);
    body->data.len = body->data.data ? len : 0;
    body->has_data = true;
}

static int serve_read_source(struct looking *x, const Inspect *m)
{
    const Stillpoint__Worker__ReadSource *v = m->read_source;
    Stillpoint__Worker__InspectedBody *body = &x->a->body;
    if (!v)
        return malformed(x->a);
    x->max = page_size(v->max_bytes, LIMIT_DATA_BYTES);
    body->sources = shown_array(&x->a->shown, 1, sizeof *body->sources);
    if (!body->sources)
        return -ENOMEM;
    int r = x->look->debug->source_text(x->look->engine, v->source, v->url, v->first_byte, x->max,
                                        on_source_text, x);
    return explain(x, r, NO_FRAME, no_source);
}

static bool is_same_place(const Stillpoint__Worker__Location *x,
                          const Stillpoint__Worker__Location *y)
{
    return x->line == y->line && x->column == y->column && x->offset == y->offset &&
           strcmp(x->url, y->url) == 0;
}

/* Several scripts can have the same position: a source that was loaded twice, or by two realms. */
static void on_position(void *userdata, uint64_t realm, uint64_t script, uint64_t script_offset,
                        const struct engine_place *place, const char *function)
{
    (void)realm, (void)script, (void)script_offset;
    struct looking *x = userdata;
    Stillpoint__Worker__InspectedBody *body = &x->a->body;
    Stillpoint__Worker__Location *m = NULL;
    if (x->a->shown.full)
        return;
    if (body->n_positions < LIMIT_PAGE_POSITIONS)
        m = shown_place(&x->a->shown, place, function);
    else
        x->a->shown.full = true;
    for (size_t i = 0; m && i < body->n_positions; i++)
        if (is_same_place(body->positions[i], m))
            m = NULL;
    if (m)
        body->positions[body->n_positions++] = m;
}

static int serve_positions(struct looking *x, const Inspect *m)
{
    const Stillpoint__Worker__Positions *v = m->positions;
    Stillpoint__Worker__InspectedBody *body = &x->a->body;
    if (!v)
        return malformed(x->a);
    body->positions = shown_array(&x->a->shown, LIMIT_PAGE_POSITIONS, sizeof *body->positions);
    if (!body->positions)
        return -ENOMEM;
    uint32_t from = v->wasm ? 0 : v->line_from > 0 ? v->line_from : 1, to = v->line_to;
    if (v->wasm)
        to = (uint32_t)(v->offset_to < UINT32_MAX ? v->offset_to : UINT32_MAX);
    int r = x->look->debug->positions(x->look->engine, v->source, v->url, from,
                                      to > 0 ? to : UINT32_MAX, 0, v->offset_from, true,
                                      on_position, x);
    body->has_truncated = true;
    body->truncated = x->a->shown.full;
    return explain(x, r < 0 ? r : 0, NO_FRAME, no_source);
}

/* ---- memory */

static int beyond(struct inspect_answer *a, uint64_t address, uint64_t memory_bytes)
{
    snprintf(a->text, sizeof a->text, "address %llu is beyond the memory's %llu bytes",
             (unsigned long long)address, (unsigned long long)memory_bytes);
    a->why = a->text;
    return -ERANGE;
}

/* What there is from the address on, where that is less than was asked for. */
static int read_memory(struct looking *x, const Stillpoint__Worker__Memory *v, uint32_t frame,
                       uint64_t *ret_memory_bytes)
{
    struct inspect_answer *a = x->a;
    size_t len = v->length < LIMIT_DATA_BYTES ? v->length : LIMIT_DATA_BYTES;
    uint8_t *data = shown_array(&a->shown, len + 1, 1);
    if (!data)
        return -ENOMEM;
    int r = x->look->debug->memory(x->look->engine, frame, v->memory, v->address, data, NULL, len,
                                   ret_memory_bytes);
    if (r == -ERANGE && v->address < *ret_memory_bytes &&
        *ret_memory_bytes - v->address < (uint64_t)len) {
        len = (size_t)(*ret_memory_bytes - v->address);
        r = x->look->debug->memory(x->look->engine, frame, v->memory, v->address, data, NULL, len,
                                   ret_memory_bytes);
    }
    a->body.has_data = true;
    a->body.data = (ProtobufCBinaryData){.data = data, .len = len};
    return r;
}

static int serve_memory(struct looking *x, const Inspect *m)
{
    const Stillpoint__Worker__Memory *v = m->memory;
    uint64_t memory_bytes = 0;
    if (!v)
        return malformed(x->a);
    uint32_t frame = v->in_frame ? v->frame : NO_FRAME;
    int r = v->has_write ? x->look->debug->memory(x->look->engine, frame, v->memory, v->address,
                                                  NULL, v->write.data, v->write.len, &memory_bytes)
                         : read_memory(x, v, frame, &memory_bytes);
    x->a->body.has_memory_bytes = true;
    x->a->body.memory_bytes = memory_bytes;
    if (r == -ERANGE)
        return beyond(x->a, v->address, memory_bytes);
    return explain(x, r, frame, "no such frame or memory");
}

/* ---- all of them */

static int (*const servers[INSPECT_KINDS])(struct looking *x, const Inspect *m) = {
    [INSPECT_FRAMES] = serve_frames,           [INSPECT_SCOPES] = serve_scopes,
    [INSPECT_VARIABLES] = serve_variables,     [INSPECT_EVALUATE] = serve_evaluate,
    [INSPECT_ASSIGN] = serve_assign,           [INSPECT_SOURCES] = serve_sources,
    [INSPECT_READ_SOURCE] = serve_read_source, [INSPECT_POSITIONS] = serve_positions,
    [INSPECT_MEMORY] = serve_memory,
};

static int serve(void *userdata, const Inspect *m, struct inspect_answer *a)
{
    const struct look *l = userdata;
    if (!l->debug) {
        a->why = "this engine cannot be debugged";
        return -EOPNOTSUPP;
    }
    safepoint_looked(l->safepoint);
    struct looking x = {.look = l, .a = a};
    return servers[m->kind](&x, m);
}

void look_init(struct look *l, const struct engine_ops *ops, struct engine *engine,
               struct safepoint *safepoint, struct inspections *inspections)
{
    *l = (struct look){.debug = ops->debug, .engine = engine, .safepoint = safepoint};
    for (unsigned kind = 0; kind < INSPECT_KINDS; kind++)
        if (servers[kind])
            inspections_on(inspections, (enum inspect_kind)kind, serve, l);
}
