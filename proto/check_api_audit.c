/* What clients say of hooks, of auditors, and of what those saw. */
#include <stdio.h>
#include <string.h>

#include "proto/check_api_private.h"
#include "proto/limits.h"

#define INVALID CHECK_API_INVALID
#define KIND(name) STILLPOINT__API__HOOK_KIND__HOOK_##name
#define BIT(name) (1u << KIND(name))

typedef Stillpoint__Api__Envelope Envelope;
typedef Stillpoint__Api__AddHooks AddHooks;

/* Function names are shorter; a glob of them need not be longer. */
#define MAX_FUNCTION_BYTES 256u

static const char *const kind_names[] = {
    [KIND(NEW_GLOBAL)] = "new-global",
    [KIND(ENTER_FRAME)] = "enter-frame",
    [KIND(DEBUGGER_STATEMENT)] = "debugger-statement",
    [KIND(EXCEPTION_UNWIND)] = "exception-unwind",
    [KIND(NEW_SCRIPT)] = "new-script",
    [KIND(NEW_PROMISE)] = "new-promise",
    [KIND(PROMISE_SETTLED)] = "promise-settled",
    [KIND(POP)] = "pop",
    [KIND(STEP)] = "step",
    [KIND(BREAKPOINT)] = "breakpoint",
};

/* Kinds that are hit in a frame, in which something can be evaluated. */
#define IN_A_FRAME                                                                                 \
    (BIT(ENTER_FRAME) | BIT(DEBUGGER_STATEMENT) | BIT(EXCEPTION_UNWIND) | BIT(NEW_PROMISE) |       \
     BIT(POP) | BIT(STEP) | BIT(BREAKPOINT))

/* Texts that a hook has, and how many bytes they have together. */
static int take_text(const char *s, size_t max, const char *field, size_t *total, const char **ret,
                     struct api_error *e)
{
    if (!s || !*s)
        return 0;
    size_t len = strlen(s);
    if (len > max)
        return api_error_set(e, INVALID, NULL, "%s is longer than %zu bytes", field, max);
    *total += len;
    *ret = s;
    return 0;
}

static int take_kinds(const AddHooks *m, struct api_hook *h, unsigned *ret_set, struct api_error *e)
{
    unsigned set = 0;
    if (m->n_kinds == 0)
        return api_error_set(e, INVALID, NULL, "no kind of hook was named");
    for (size_t i = 0; i < m->n_kinds; i++) {
        if ((int)m->kinds[i] < KIND(NEW_GLOBAL) || (int)m->kinds[i] > KIND(BREAKPOINT))
            return api_error_set(e, INVALID, NULL, "no such kind of hook: %d", (int)m->kinds[i]);
        if (set & 1u << m->kinds[i])
            return api_error_set(e, INVALID, NULL, "%s is named twice", kind_names[m->kinds[i]]);
        set |= 1u << m->kinds[i];
        h->kinds[h->n_kinds++] = (unsigned char)m->kinds[i];
    }
    *ret_set = set;
    return 0;
}

/* The first of the hook's kinds that is not in `may`, or NULL. */
static const char *other_kind(const struct api_hook *h, unsigned may)
{
    for (size_t i = 0; i < h->n_kinds; i++)
        if (!(may & 1u << h->kinds[i]))
            return kind_names[h->kinds[i]];
    return NULL;
}

/* `field` means something only for some kinds; the sentence says which. */
static int only_for(const struct api_hook *h, unsigned may, const char *field, const char *sentence,
                    struct api_error *e)
{
    const char *other = other_kind(h, may);
    return other ? api_error_set(e, INVALID, NULL, "%s means nothing for %s: %s", field, other,
                                 sentence)
                 : 0;
}

static int in_a_frame(const struct api_hook *h, const char *field, struct api_error *e)
{
    return only_for(h, IN_A_FRAME, field, "there is no frame to evaluate it in", e);
}

static int take_filter(const Stillpoint__Api__HookFilter *m, struct api_hook *h, size_t *total,
                       struct api_error *e)
{
    int v = take_text(m->url, LIMIT_PATH_BYTES, "url", total, &h->url, e);
    if (v < 0 ||
        (v = take_text(m->function, MAX_FUNCTION_BYTES, "function", total, &h->function, e)) < 0 ||
        (v = take_text(m->condition, LIMIT_EXPRESSION_BYTES, "condition", total, &h->condition,
                       e)) < 0)
        return v;
    if (h->condition && (v = in_a_frame(h, "a condition", e)) < 0)
        return v;
    if (h->function && (v = only_for(h, IN_A_FRAME, "a function", "it is hit in none", e)) < 0)
        return v;
    if (m->thrown &&
        (v = only_for(h, BIT(EXCEPTION_UNWIND), "thrown", "it is about no exception", e)) < 0)
        return v;
    if (m->wasm &&
        (v = only_for(h, IN_A_FRAME | BIT(NEW_SCRIPT), "wasm", "it has no source", e)) < 0)
        return v;
    h->wasm = m->wasm;
    h->thrown = m->thrown;
    h->line_from = m->line_from;
    h->line_to = m->line_to;
    h->skip = m->skip;
    h->count = m->count;
    if (h->line_to != 0 && h->line_from > h->line_to)
        return api_error_set(e, INVALID, NULL, "no line is from %u and to %u", h->line_from,
                             h->line_to);
    return 0;
}

static int take_capture(const Stillpoint__Api__HookCapture *m, struct api_hook *h, size_t *total,
                        struct api_error *e)
{
    int v;
    if (m->stack_depth > LIMIT_HIT_FRAMES)
        return api_error_set(e, INVALID, NULL, "a hit has at most %u frames", LIMIT_HIT_FRAMES);
    if (m->n_expressions > LIMIT_EXPRESSIONS)
        return api_error_set(e, INVALID, NULL, "more than %u expressions", LIMIT_EXPRESSIONS);
    if (m->arguments && (v = only_for(h, IN_A_FRAME, "arguments", "it is hit in no frame", e)) < 0)
        return v;
    if (m->n_expressions > 0 && (v = in_a_frame(h, "an expression", e)) < 0)
        return v;
    for (size_t i = 0; i < m->n_expressions; i++) {
        const char *text = NULL;
        v = take_text(m->expressions[i], LIMIT_EXPRESSION_BYTES, "an expression", total, &text, e);
        if (v < 0)
            return v;
        if (!text)
            return api_error_set(e, INVALID, NULL, "an expression is empty");
    }
    h->stack_depth = m->stack_depth;
    h->arguments = m->arguments;
    h->value = m->has_value ? m->value : true;
    h->n_expressions = m->n_expressions;
    h->expressions = m->expressions;
    return 0;
}

static int take_at(const AddHooks *m, struct api_hook *h, unsigned set, size_t *total,
                   struct api_error *e)
{
    const Stillpoint__Api__BreakpointAt *at = m->at;
    if (!(set & BIT(BREAKPOINT)))
        return at ? api_error_set(e, INVALID, NULL,
                                  "a position (at) is for breakpoints, not for %s",
                                  kind_names[h->kinds[0]])
                  : 0;
    if (set != BIT(BREAKPOINT))
        return api_error_set(e, INVALID, "ask for each in a request of its own",
                             "a breakpoint cannot be set together with %s",
                             other_kind(h, BIT(BREAKPOINT)));
    if (!at)
        return api_error_set(e, INVALID, NULL, "a breakpoint needs a position (at)");
    int v = take_text(at->url, LIMIT_PATH_BYTES, "url of the position", total, &h->at.url, e);
    if (v < 0)
        return v;
    if (!h->at.url)
        return api_error_set(e, INVALID, NULL, "the position of a breakpoint has no url");
    if (at->line == 0 && !at->has_offset)
        return api_error_set(e, INVALID, "lines count from 1",
                             "the position of a breakpoint has neither line nor offset");
    if (at->has_offset && (at->line != 0 || at->column != 0))
        return api_error_set(e, INVALID, NULL,
                             "the position of a breakpoint is a line or an offset, not both");
    h->at.line = at->line;
    h->at.column = at->column;
    h->at.offset = at->offset;
    return 0;
}

static int take_suspend(const AddHooks *m, struct api_hook *h, unsigned set, struct api_error *e)
{
    if (m->has_suspend && (m->suspend < STILLPOINT__API__SUSPEND__SUSPEND_NONE ||
                           m->suspend > STILLPOINT__API__SUSPEND__SUSPEND_WORLD))
        return api_error_set(e, INVALID, NULL, "no such way to suspend: %d", (int)m->suspend);
    if (h->log && m->has_suspend && m->suspend != STILLPOINT__API__SUSPEND__SUSPEND_NONE)
        return api_error_set(e, INVALID, "leave out one of them",
                             "what writes a log does not pause (suspend)");
    h->suspend = m->has_suspend                     ? (unsigned)m->suspend
                 : h->log || set != BIT(BREAKPOINT) ? STILLPOINT__API__SUSPEND__SUSPEND_NONE
                                                    : STILLPOINT__API__SUSPEND__SUSPEND_WORLD;
    return 0;
}

static int take_granularity(const AddHooks *m, struct api_hook *h, unsigned set,
                            struct api_error *e)
{
    if (!m->has_granularity) {
        h->granularity = set & BIT(STEP) ? STILLPOINT__API__GRANULARITY__GRANULARITY_STATEMENT : 0;
        return 0;
    }
    if (m->granularity < STILLPOINT__API__GRANULARITY__GRANULARITY_STATEMENT ||
        m->granularity > STILLPOINT__API__GRANULARITY__GRANULARITY_OPERATION)
        return api_error_set(e, INVALID, NULL, "no such granularity: %d", (int)m->granularity);
    if (!(set & BIT(STEP)))
        return api_error_set(e, INVALID, NULL, "a granularity is for steps");
    h->granularity = (unsigned)m->granularity;
    return 0;
}

/* One realm, one frame: of one VM. */
static int take_referent(const AddHooks *m, struct api_hook *h, bool one_vm, struct api_error *e)
{
    int v;
    if (m->realm != 0) {
        if (!one_vm)
            return api_error_set(e, INVALID, "name it with vm", "a realm is one of one VM");
        if ((v = only_for(h, ~BIT(NEW_GLOBAL), "a realm", "it is observed at the whole VM", e)) < 0)
            return v;
    }
    if (m->has_frame && m->frame != 0 && !m->one_frame)
        return api_error_set(e, INVALID, NULL, "frame counts only with one_frame");
    if (m->one_frame) {
        if (!one_vm)
            return api_error_set(e, INVALID, "name it with vm", "a frame is one of one VM");
        if ((v = only_for(h, BIT(POP) | BIT(STEP), "one frame", "only pop and step are at a frame",
                          e)) < 0)
            return v;
        if (m->realm != 0)
            return api_error_set(e, INVALID, NULL, "a frame has a realm already");
    }
    h->realm = m->realm;
    h->frame = m->frame;
    h->one_frame = m->one_frame;
    return 0;
}

static int take_hook(const AddHooks *m, struct api_hook *h, bool one_vm, struct api_error *e)
{
    static const Stillpoint__Api__HookFilter no_filter = STILLPOINT__API__HOOK_FILTER__INIT;
    static const Stillpoint__Api__HookCapture no_capture = STILLPOINT__API__HOOK_CAPTURE__INIT;
    unsigned set = 0;
    size_t total = 0;
    int v = take_kinds(m, h, &set, e);
    if (v < 0 || (v = take_at(m, h, set, &total, e)) < 0 ||
        (v = take_filter(m->filter ? m->filter : &no_filter, h, &total, e)) < 0 ||
        (v = take_capture(m->capture ? m->capture : &no_capture, h, &total, e)) < 0 ||
        (v = take_text(m->log, LIMIT_EXPRESSION_BYTES, "log", &total, &h->log, e)) < 0 ||
        (v = take_text(m->note, LIMIT_NOTE_BYTES, "note", &total, &h->note, e)) < 0)
        return v;
    if (h->log && (v = in_a_frame(h, "a log", e)) < 0)
        return v;
    if (total > LIMIT_HOOK_BYTES)
        return api_error_set(e, INVALID, NULL, "the texts of a hook are larger than %u bytes",
                             LIMIT_HOOK_BYTES);
    if ((v = take_suspend(m, h, set, e)) < 0 || (v = take_granularity(m, h, set, e)) < 0 ||
        (v = take_referent(m, h, one_vm, e)) < 0)
        return v;
    if (m->weak && set != BIT(NEW_GLOBAL))
        return api_error_set(e, INVALID, NULL, "only a new-global hook can be weak, not %s",
                             other_kind(h, BIT(NEW_GLOBAL)));
    h->weak = m->weak;
    const Stillpoint__Api__HookBudget *b = m->budget;
    bool pauses = h->suspend != STILLPOINT__API__SUSPEND__SUSPEND_NONE;
    h->per_second = b && b->has_per_second ? b->per_second : pauses ? 0 : DEFAULT_HITS_PER_SECOND;
    if (b) {
        h->total = b->total;
        h->capture_us = b->capture_us;
        h->capture_bytes = b->capture_bytes;
    }
    return 0;
}

/* A glob of names: what a name may have, and what a glob has. */
static int check_selector(const char *s, struct api_error *e)
{
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "._-*?[]!^";
    if (strlen(s) > LIMIT_NAME_BYTES)
        return api_error_set(e, INVALID, NULL, "selector is longer than %u bytes",
                             LIMIT_NAME_BYTES);
    if (strspn(s, legal) != strlen(s))
        return api_error_set(e, INVALID, "it is a glob of VM names: * ? [ ]",
                             "bad selector '%.64s'", s);
    return 0;
}

static int take_where(const AddHooks *m, struct api_request *r, struct api_error *e)
{
    bool vm = m->vm && *m->vm, selector = m->selector && *m->selector;
    bool world = m->world && *m->world, engine = m->engine && *m->engine;
    int v = 0;
    if (vm && (selector || world || engine))
        return api_error_set(e, INVALID, "a VM's own name needs no further bounds",
                             "both a VM and %s were named",
                             selector ? "a selector"
                             : world  ? "a world"
                                      : "an engine");
    if (!vm && !selector && !world)
        return api_error_set(e, INVALID, NULL, "no VM, selector or world was named");
    r->add_hooks.one_vm = vm;
    if (vm)
        return check_api_vm_ref(m->vm, &r->add_hooks.vm, e);
    if (selector && (v = check_selector(m->selector, e)) < 0)
        return v;
    if (world && (v = check_api_name(m->world, "world", e)) < 0)
        return v;
    if (engine && (v = check_api_name(m->engine, "engine", e)) < 0)
        return v;
    r->add_hooks.selector = selector ? m->selector : NULL;
    r->add_hooks.world = world ? m->world : NULL;
    r->add_hooks.engine = engine ? m->engine : NULL;
    return 0;
}

int check_api_add_hooks(const Envelope *envelope, struct api_request *r, struct api_error *e)
{
    const AddHooks *m = envelope->add_hooks;
    int v = take_where(m, r, e);
    if (v < 0 || (v = take_hook(m, &r->add_hooks.hook, r->add_hooks.one_vm, e)) < 0 ||
        (v = check_api_time(m->wait_us, "wait", e)) < 0 ||
        (v = check_api_time(m->deadline_us, "deadline", e)) < 0)
        return v;
    r->add_hooks.wait_us = m->wait_us ? m->wait_us : DEFAULT_HOOKS_WAIT_US;
    r->add_hooks.deadline_us = m->deadline_us ? m->deadline_us : DEFAULT_DEADLINE_US;
    return check_api_behalf(m->debugger, &r->add_hooks.debugger, e);
}

int check_api_remove_hooks(const Envelope *envelope, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__RemoveHooks *m = envelope->remove_hooks;
    bool debugger = m->debugger && *m->debugger;
    if (m->n_hooks > 0 && debugger)
        return api_error_set(e, INVALID, NULL, "both hooks and a debugger were named");
    if (m->n_hooks > LIMIT_HOOKS_REMOVED)
        return api_error_set(e, INVALID, NULL, "more than %u hooks were named",
                             LIMIT_HOOKS_REMOVED);
    r->remove_hooks.n = m->n_hooks;
    r->remove_hooks.hooks = m->hooks;
    r->remove_hooks.debugger = debugger ? m->debugger : NULL;
    if (m->n_hooks == 0 && !debugger)
        return api_error_set(e, INVALID, NULL, "neither hooks nor a debugger were named");
    return debugger ? check_api_debugger_ref(m->debugger, e) : 0;
}

static int take_one_vm(const char *s, bool *ret_one, struct api_vm_ref *ret, struct api_error *e)
{
    *ret_one = s && *s;
    return *ret_one ? check_api_vm_ref(s, ret, e) : 0;
}

int check_api_list_hooks(const Envelope *envelope, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__ListHooks *m = envelope->list_hooks;
    int v = check_api_behalf(m->debugger, &r->list_hooks.debugger, e);
    if (v < 0 || (v = take_one_vm(m->vm, &r->list_hooks.one_vm, &r->list_hooks.vm, e)) < 0)
        return v;
    r->list_hooks.hook = m->hook;
    r->list_hooks.page_token = m->page_token;
    return check_api_page_size(m->page_size, &r->list_hooks.page_size);
}

int check_api_list_auditors(const Envelope *envelope, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__ListAuditors *m = envelope->list_auditors;
    int v = take_one_vm(m->vm, &r->list_auditors.one_vm, &r->list_auditors.vm, e);
    if (v < 0)
        return v;
    r->list_auditors.page_token = m->page_token;
    return check_api_page_size(m->page_size, &r->list_auditors.page_size);
}

int check_api_read_hits(const Envelope *envelope, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__ReadHits *m = envelope->read_hits;
    if (m->from_now && m->from_seq != 0)
        return api_error_set(e, INVALID, NULL, "it is from_seq or from_now, not both");
    r->read_hits.debugger = m->debugger;
    r->read_hits.from_seq = m->from_seq;
    r->read_hits.wait = m->wait;
    r->read_hits.from_now = m->from_now;
    int v = check_api_page_size(m->max_hits, &r->read_hits.max_hits);
    return v < 0 ? v : check_api_debugger_ref(m->debugger, e);
}
