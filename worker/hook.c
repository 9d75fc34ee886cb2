#include "worker/hook.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"

#define SECOND_NS 1000000000ull

/* ---- making one */

static const char *check_place(const Stillpoint__Worker__Hook *m)
{
    const Stillpoint__Worker__Place *p = m->at;
    if (m->kind != ENGINE_AUDIT_BREAKPOINT)
        return p ? "only a breakpoint has a place" : NULL;
    if (!p || !p->url || !*p->url || strlen(p->url) > LIMIT_PATH_BYTES)
        return "a breakpoint needs a source";
    return p->line > 0 || p->has_offset ? NULL : "a breakpoint needs a line or an offset";
}

static bool expression_ok(const char *s)
{
    return !s || (*s && strlen(s) <= LIMIT_EXPRESSION_BYTES);
}

static bool glob_ok(const char *s)
{
    return !s || strlen(s) <= LIMIT_PATH_BYTES;
}

static const char *check(const Stillpoint__Worker__Hook *m)
{
    bool frames = m->kind == ENGINE_AUDIT_POP || m->kind == ENGINE_AUDIT_STEP;
    if (m->hook == 0)
        return "a hook needs a number";
    if (m->kind < ENGINE_AUDIT_NEW_GLOBAL || m->kind >= ENGINE_AUDIT_KINDS)
        return "there is no such kind of auditor";
    if (m->suspend > HOOK_SUSPEND_WORLD)
        return "there is no such suspend policy";
    if (m->granularity > 2)
        return "there is no such granularity";
    if (m->one_frame && !frames)
        return "only pop and step are of one frame";
    if (m->realm != 0 && (m->kind == ENGINE_AUDIT_NEW_GLOBAL || m->one_frame))
        return "this kind is not of one realm";
    if (!glob_ok(m->url) || !glob_ok(m->function))
        return "a glob is too long";
    if (m->line_from != 0 && m->line_to != 0 && m->line_from > m->line_to)
        return "the first line comes after the last";
    if (!expression_ok(m->condition) || !expression_ok(m->log))
        return "an expression is empty or too long";
    if (m->n_expressions > LIMIT_EXPRESSIONS)
        return "too many expressions";
    for (size_t i = 0; i < m->n_expressions; i++)
        if (!expression_ok(m->expressions[i]))
            return "an expression is empty or too long";
    return check_place(m);
}

static int copy(const char *text, char **ret)
{
    *ret = text ? strdup(text) : NULL;
    return text && !*ret ? -ENOMEM : 0;
}

static int copy_texts(struct hook *h, const Stillpoint__Worker__Hook *m)
{
    int r = copy(m->url, &h->url);
    if (r == 0)
        r = copy(m->function, &h->function);
    if (r == 0)
        r = copy(m->condition, &h->condition);
    if (r == 0)
        r = copy(m->log, &h->log);
    if (r == 0 && m->at)
        r = copy(m->at->url, &h->at_url);
    if (r == 0 && m->n_expressions > 0) {
        h->expressions = calloc(m->n_expressions, sizeof *h->expressions);
        r = h->expressions ? 0 : -ENOMEM;
    }
    for (size_t i = 0; r == 0 && i < m->n_expressions; i++) {
        r = copy(m->expressions[i], &h->expressions[i]);
        h->n_expressions = i + 1;
    }
    if (r == 0 && h->condition) {
        r = condition_parse(h->condition, &h->comparison);
        h->compares = r > 0;
    }
    return r < 0 ? r : 0;
}

static uint64_t us_to_ns(uint64_t us)
{
    uint64_t ns;
    return __builtin_mul_overflow(us, 1000u, &ns) ? UINT64_MAX : ns;
}

int hook_new(const Stillpoint__Worker__Hook *m, struct hook **ret, const char **ret_why)
{
    const char *why = check(m);
    if (why) {
        *ret_why = why;
        return -EINVAL;
    }
    struct hook *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    h->id = m->hook;
    h->debugger = m->debugger;
    h->kind = (enum engine_audit_kind)m->kind;
    /* A logpoint goes on by itself. */
    h->suspend = m->suspend == 0 || m->log ? HOOK_SUSPEND_NONE : (enum hook_suspend)m->suspend;
    h->operation = m->granularity == 2;
    h->realm = m->realm;
    h->one_frame = m->one_frame;
    h->frame_index = m->frame;
    h->line_from = m->line_from;
    h->line_to = m->line_to;
    h->wasm = m->wasm;
    h->thrown = m->thrown;
    h->skip = m->skip;
    h->count = m->count;
    h->per_second = m->per_second;
    h->total = m->total;
    h->capture_ns = us_to_ns(m->capture_us);
    h->capture_bytes = m->capture_bytes;
    h->stack_depth = m->stack_depth < LIMIT_HIT_FRAMES ? m->stack_depth : LIMIT_HIT_FRAMES;
    h->arguments = m->arguments;
    h->value = m->value;
    if (m->at) {
        h->at_line = m->at->line;
        h->at_column = m->at->column;
        h->at_offset = m->at->offset;
    }
    int r = copy_texts(h, m);
    if (r < 0)
        hook_free(h);
    else
        *ret = h;
    return r;
}

struct hook *hook_free(struct hook *h)
{
    if (!h)
        return NULL;
    free(h->url);
    free(h->function);
    free(h->condition);
    condition_done(&h->comparison);
    for (size_t i = 0; i < h->n_expressions; i++)
        free(h->expressions[i]);
    free(h->expressions);
    free(h->log);
    free(h->at_url);
    free(h);
    return NULL;
}

/* ---- filter */

/* Or the text itself: "wasm-function[1]" is no glob to whoever has read it in a stack. */
static bool glob(const char *pattern, const char *text)
{
    const char *s = text ? text : "";
    return !pattern || strcmp(pattern, s) == 0 || fnmatch(pattern, s, 0) == 0;
}

bool hook_matches(const struct hook *h, const struct engine_hit *hit)
{
    uint32_t line = hit->place.line;
    if (h->kind == ENGINE_AUDIT_STEP && !h->operation && !hit->statement_start)
        return false;
    if ((h->wasm && !hit->wasm) || (h->thrown && !hit->thrown))
        return false;
    if (h->line_from != 0 && line < h->line_from)
        return false;
    if (h->line_to != 0 && (line == 0 || line > h->line_to))
        return false;
    return glob(h->url, hit->place.url) && glob(h->function, hit->function);
}

bool hook_is_at(const struct hook *h, const char *url)
{
    size_t len = strlen(url), ours = strlen(h->at_url);
    if (len >= ours && strcmp(url + len - ours, h->at_url) == 0 &&
        (len == ours || url[len - ours - 1] == '/'))
        return true;
    return fnmatch(h->at_url, url, 0) == 0;
}

/* ---- condition */

struct deciding {
    const struct condition *condition;
    enum condition_verdict verdict;
};

static void decide(void *userdata, const struct engine_value *value)
{
    struct deciding *d = userdata;
    d->verdict = condition_decide(d->condition, value);
}

/* In the innermost frame. */
static enum condition_verdict compare(const struct hook *h, const struct engine_ops *ops,
                                      struct engine *engine)
{
    struct deciding d = {&h->comparison, CONDITION_UNDECIDED};
    int r = h->compares ? ops->debug->variable(engine, 0, h->comparison.name, false, decide, &d)
                        : -EOPNOTSUPP;
    return r == 0 ? d.verdict : CONDITION_UNDECIDED;
}

bool hook_fails_comparison(const struct hook *h, const struct engine_ops *ops,
                           struct engine *engine)
{
    return compare(h, ops, engine) == CONDITION_FALSE;
}

bool hook_condition(const struct hook *h, const struct engine_ops *ops, struct engine *engine,
                    const struct engine_hit *hit, const char **ret_error)
{
    *ret_error = NULL;
    if (!h->condition)
        return true;
    enum condition_verdict verdict =
        hit->frame != 0 ? compare(h, ops, engine) : CONDITION_UNDECIDED;
    if (verdict != CONDITION_UNDECIDED)
        return verdict == CONDITION_TRUE;
    bool is_true = true;
    int r = ops->debug->condition(engine, h->condition, &is_true, ret_error);
    if (r < 0 && !*ret_error)
        *ret_error = strerror(-r);
    return r < 0 || is_true;
}

/* ---- how often */

static bool second_is_used_up(const struct hook *h)
{
    return (h->per_second != 0 && h->second.hits >= h->per_second) ||
           (h->capture_ns != 0 && h->second.capture_ns >= h->capture_ns) ||
           (h->capture_bytes != 0 && h->second.capture_bytes >= h->capture_bytes);
}

bool hook_is_used_up(const struct hook *h)
{
    return (h->count != 0 && h->hits >= h->count) || (h->total != 0 && h->hits >= h->total);
}

bool hook_is_spent(const struct hook *h, uint64_t now_ns, uint64_t *ret_due_ns)
{
    uint64_t due_ns = h->second.start_ns + SECOND_NS;
    if (h->second.start_ns == 0 || now_ns >= due_ns || !second_is_used_up(h))
        return false;
    *ret_due_ns = due_ns;
    return true;
}

enum hook_admission hook_admit(struct hook *h, uint64_t now_ns)
{
    if (++h->passed <= h->skip)
        return HOOK_SKIP;
    if (hook_is_used_up(h))
        return HOOK_SKIP;
    if (h->second.start_ns == 0 || now_ns - h->second.start_ns >= SECOND_NS) {
        memset(&h->second, 0, sizeof h->second);
        h->second.start_ns = now_ns;
    }
    if (second_is_used_up(h)) {
        h->dropped++;
        return HOOK_DROP;
    }
    h->second.hits++;
    h->hits++;
    return HOOK_REPORT;
}

void hook_captured(struct hook *h, uint64_t ns, uint64_t bytes)
{
    h->second.capture_ns += ns;
    h->second.capture_bytes += bytes;
}
