#include "worker/capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "proto/limits.h"
#include "worker/shown.h"

/* Numbers and tags of a hit, on the wire. */
#define HIT_NUMBERS_BYTES 512u
/* Texts and numbers of a value, of a place. */
#define VALUE_BYTES (LIMIT_PREVIEW_BYTES + LIMIT_INSPECT_TEXT_BYTES + 64u)
#define PLACE_BYTES (2u * LIMIT_INSPECT_TEXT_BYTES + 64u)

_Static_assert(HIT_NUMBERS_BYTES + LIMIT_EXPRESSION_BYTES + LIMIT_DETAIL_BYTES + LIMIT_PATH_BYTES +
                       PLACE_BYTES + VALUE_BYTES +
                       LIMIT_EXPRESSIONS * (VALUE_BYTES + LIMIT_INSPECT_TEXT_BYTES) <=
                   LIMIT_HIT_BYTES,
               "all but arguments and frames fits");

struct capture {
    Stillpoint__Worker__Hit hit;
    struct shown shown;
    char log[LIMIT_EXPRESSION_BYTES + 1];
    size_t log_bytes;
};

struct capture *capture_new(void)
{
    return calloc(1, sizeof(struct capture));
}

struct capture *capture_free(struct capture *c)
{
    if (c)
        shown_done(&c->shown);
    free(c);
    return NULL;
}

/* ---- values */

struct slot {
    struct shown *shown;
    Stillpoint__Worker__Value *value;
};

static void fill_slot(void *userdata, const struct engine_value *v)
{
    struct slot *s = userdata;
    s->value = shown_value(s->shown, v);
}

static Stillpoint__Worker__Value *hit_value(struct capture *c, const struct engine_ops *ops,
                                            struct engine *engine, const struct engine_hit *hit,
                                            bool with_ref)
{
    struct slot s = {.shown = &c->shown};
    return hit->has_value && ops->debug->hit_value(engine, with_ref, fill_slot, &s) == 0 ? s.value
                                                                                         : NULL;
}

static void take_argument(void *userdata, const struct engine_named_value *v)
{
    struct capture *c = userdata;
    Stillpoint__Worker__NamedValue *m = c->hit.n_arguments < LIMIT_HIT_VALUES && !c->shown.full
                                            ? shown_named_value(&c->shown, v)
                                            : NULL;
    if (m)
        c->hit.arguments[c->hit.n_arguments++] = m;
}

/* ---- expressions */

struct evaluated {
    struct capture *capture;
    const char *name; /**< of an expression; NULL: into the log */
    bool filled;
};

static void log_add(struct capture *c, const char *text, size_t bytes)
{
    size_t most = sizeof c->log - 1 - c->log_bytes;
    memcpy(c->log + c->log_bytes, text, bytes < most ? bytes : most);
    c->log_bytes += bytes < most ? bytes : most;
}

static void take_result(struct evaluated *e, bool threw, const struct engine_value *v)
{
    struct capture *c = e->capture;
    e->filled = true;
    if (e->name) {
        Stillpoint__Worker__NamedValue *m = shown_named_value(
            &c->shown, &(struct engine_named_value){.name = e->name, .value = *v, .threw = threw});
        if (m)
            c->hit.expressions[c->hit.n_expressions++] = m;
    } else if (v->type == ENGINE_VALUE_STRING && v->text && !threw) {
        log_add(c, v->text, v->text_bytes);
    } else if (v->preview) {
        log_add(c, v->preview, strlen(v->preview));
    }
}

static void on_variable(void *userdata, const struct engine_value *v)
{
    take_result(userdata, false, v);
}

static void on_evaluated(void *userdata, bool threw, const struct engine_value *v, const char *json)
{
    (void)json;
    take_result(userdata, threw, v);
}

/* A name of a variable needs no evaluation. */
static void evaluate(struct evaluated *e, const struct engine_ops *ops, struct engine *engine,
                     const struct engine_hit *hit, const char *expression)
{
    int r = -ENOENT;
    if (hit->frame != 0 && condition_is_name(expression, strlen(expression)))
        r = ops->debug->variable(engine, 0, expression, true, on_variable, e);
    if (r < 0 && !e->filled)
        r = ops->debug->evaluate(engine, hit->frame != 0 ? 0 : UINT32_MAX, hit->realm, expression,
                                 false, false, on_evaluated, e);
    if (e->filled)
        return;
    const struct engine_value none = {.type = ENGINE_VALUE_UNAVAILABLE,
                                      .preview = r < 0 ? strerror(-r) : "(nothing)"};
    take_result(e, true, &none);
}

/* The end of the {expression} that begins here: its brace is the one that closes the first, braces
 * in strings apart. NULL: there is none. */
static const char *closing_brace(const char *at)
{
    unsigned depth = 0;
    char quote = '\0';
    for (; *at; at++) {
        if (quote) {
            if (*at == '\\' && at[1])
                at++;
            else if (*at == quote)
                quote = '\0';
        } else if (*at == '"' || *at == '\'' || *at == '`') {
            quote = *at;
        } else if (*at == '{') {
            depth++;
        } else if (*at == '}' && --depth == 0) {
            return at;
        }
    }
    return NULL;
}

size_t capture_log_part(const char *at, char *expression)
{
    const char *end = *at == '{' ? closing_brace(at) : NULL;
    size_t len = end ? (size_t)(end - at) - 1 : 0;
    memcpy(expression, at + 1, len);
    expression[len] = '\0';
    return len > 0 ? len + 2 : *at ? 1 + strcspn(at + 1, "{") : 0;
}

static void capture_log(struct capture *c, const struct hook *h, const struct engine_ops *ops,
                        struct engine *engine, const struct engine_hit *hit)
{
    char expression[LIMIT_EXPRESSION_BYTES + 1];
    size_t len;
    for (const char *at = h->log; (len = capture_log_part(at, expression)) > 0; at += len) {
        if (expression[0])
            evaluate(&(struct evaluated){.capture = c}, ops, engine, hit, expression);
        else
            log_add(c, at, len);
    }
    /* Not in the middle of a character; and no NUL, of a guest's string. */
    if (c->log_bytes == sizeof c->log - 1)
        while (c->log_bytes > 0 && !text_is_utf8(c->log, c->log_bytes) &&
               sizeof c->log - 1 - c->log_bytes < 4)
            c->log_bytes--;
    bool utf8 = text_is_utf8(c->log, c->log_bytes);
    for (size_t i = 0; i < c->log_bytes; i++)
        if (c->log[i] == '\0' || (!utf8 && (unsigned char)c->log[i] >= 0x80))
            c->log[i] = '?';
    c->log[c->log_bytes] = '\0';
    c->hit.log = c->log;
}

/* ---- all of it */

static void take_frame(void *userdata, const struct engine_frame *frame)
{
    struct capture *c = userdata;
    Stillpoint__Worker__Frame *m =
        c->hit.n_frames < LIMIT_HIT_FRAMES && !c->shown.full ? shown_frame(&c->shown, frame) : NULL;
    if (m)
        c->hit.frames[c->hit.n_frames++] = m;
}

static const char *completion_text(enum engine_completion completion)
{
    static const char *const texts[] = {
        [ENGINE_COMPLETION_RETURN] = "return",         [ENGINE_COMPLETION_THROW] = "throw",
        [ENGINE_COMPLETION_YIELD] = "yield",           [ENGINE_COMPLETION_AWAIT] = "await",
        [ENGINE_COMPLETION_TERMINATED] = "terminated", [ENGINE_COMPLETION_FULFILLED] = "fulfilled",
        [ENGINE_COMPLETION_REJECTED] = "rejected",
    };
    return (size_t)completion < sizeof texts / sizeof *texts ? texts[completion] : NULL;
}

static uint64_t monotonic_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void take_numbers(struct capture *c, const struct hook *h, const struct engine_hit *hit)
{
    Stillpoint__Worker__Hit *m = &c->hit;
    m->has_hook = m->has_kind = m->has_mono_ns = m->has_realm = m->has_wasm = true;
    m->hook = h->id;
    m->kind = hit->kind;
    m->mono_ns = monotonic_ns();
    m->realm = hit->realm;
    m->has_frame_id = hit->frame != 0;
    m->frame_id = hit->frame;
    m->has_script_id = hit->script != 0;
    m->script_id = hit->script;
    m->has_promise_id = hit->promise != 0;
    m->promise_id = hit->promise;
    m->wasm = hit->wasm;
    m->completion = (char *)(uintptr_t)completion_text(hit->completion);
    m->location = shown_place(&c->shown, &hit->place, hit->function);
    if (hit->source_map && *hit->source_map)
        m->source_map = shown_line(&c->shown, hit->source_map, LIMIT_PATH_BYTES);
}

static int make_lists(struct capture *c, const struct hook *h)
{
    Stillpoint__Worker__Hit *m = &c->hit;
    m->expressions = shown_array(&c->shown, h->n_expressions + 1, sizeof *m->expressions);
    m->arguments = shown_array(&c->shown, LIMIT_HIT_VALUES, sizeof *m->arguments);
    m->frames = shown_array(&c->shown, LIMIT_HIT_FRAMES, sizeof *m->frames);
    return c->shown.error;
}

Stillpoint__Worker__Hit *capture_hit(struct capture *c, const struct hook *h,
                                     const struct engine_ops *ops, struct engine *engine,
                                     const struct engine_hit *hit, const char *condition_error)
{
    c->hit = (Stillpoint__Worker__Hit)STILLPOINT__WORKER__HIT__INIT;
    shown_init(&c->shown,
               LIMIT_HIT_BYTES - HIT_NUMBERS_BYTES - (h->log ? LIMIT_EXPRESSION_BYTES : 0));
    /* First what is always there, and of the engine's texts that which its next call ends. */
    if (condition_error)
        c->hit.condition_error = shown_line(&c->shown, condition_error, LIMIT_DETAIL_BYTES);
    take_numbers(c, h, hit);
    if (make_lists(c, h) < 0)
        return &c->hit;
    if (h->value)
        c->hit.value = hit_value(c, ops, engine, hit, false);
    for (size_t i = 0; i < h->n_expressions; i++)
        evaluate(&(struct evaluated){.capture = c, .name = h->expressions[i]}, ops, engine, hit,
                 h->expressions[i]);
    if (h->log)
        capture_log(c, h, ops, engine, hit);
    if (h->arguments && hit->frame != 0)
        (void)ops->debug->arguments(engine, 0, take_argument, c);
    uint32_t next;
    if (h->stack_depth > 0)
        (void)ops->debug->frames(engine, 0, h->stack_depth, take_frame, c, &next);
    return &c->hit;
}

void capture_pause(struct capture *c, Stillpoint__Worker__Paused *m, const struct engine_ops *ops,
                   struct engine *engine, const struct engine_hit *hit)
{
    shown_init(&c->shown, LIMIT_HIT_BYTES);
    m->location = shown_place(&c->shown, &hit->place, hit->function);
    if (hit->frame != 0)
        m->frame =
            shown_frame(&c->shown, &(struct engine_frame){.kind = hit->wasm ? ENGINE_FRAME_WASM
                                                                            : ENGINE_FRAME_JS,
                                                          .function = hit->function,
                                                          .url = hit->place.url,
                                                          .line = hit->place.line,
                                                          .column = hit->place.column,
                                                          .offset = hit->place.offset});
    m->value = hit_value(c, ops, engine, hit, true);
}
