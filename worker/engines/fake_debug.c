/*
 * fake_debug.c: frames, realms and scripts of the engine without a language, and what a debugger
 * sees of them. A line is a statement, and two operations: its start, and the rest of it. What is
 * observed at a line's start is told in this order: step, breakpoint; then the rest, as a step that
 * starts no statement.
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/engines/fake.h"

#define NO_FRAME UINT32_MAX

static struct fake_frame *top(struct engine *e)
{
    return e->debug.depth > 0 ? e->debug.stack[e->debug.depth - 1] : NULL;
}

static const char *path_of(const struct engine *e, uint64_t script)
{
    for (size_t i = 0; i < e->debug.n_scripts; i++)
        if (e->debug.scripts[i].id == script)
            return e->debug.scripts[i].path;
    return "";
}

static void set_text(char *to, const char *text, size_t bytes)
{
    snprintf(to, FAKE_TEXT_BYTES, "%.*s", (int)(bytes < FAKE_TEXT_BYTES ? bytes : FAKE_TEXT_BYTES),
             text);
}

/* ---- values: texts that look like what they are */

static struct engine_value value_of(const char *text)
{
    static const struct {
        const char *text;
        enum engine_value_type type;
        double number;
    } words[] = {{"true", ENGINE_VALUE_BOOLEAN, 1},
                 {"false", ENGINE_VALUE_BOOLEAN, 0},
                 {"null", ENGINE_VALUE_NULL, 0},
                 {"undefined", ENGINE_VALUE_UNDEFINED, 0},
                 {"unavailable", ENGINE_VALUE_UNAVAILABLE, 0}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i].text, text) == 0)
            return (struct engine_value){
                .type = words[i].type, .number = words[i].number, .preview = text};
    char *end;
    double number = strtod(text, &end);
    if (*text && !*end)
        return (struct engine_value){
            .type = ENGINE_VALUE_NUMBER, .number = number, .preview = text};
    return (struct engine_value){
        .type = ENGINE_VALUE_STRING, .preview = text, .text = text, .text_bytes = strlen(text)};
}

static char *variable_of(struct fake_frame *f, const char *name)
{
    for (size_t i = 0; f && i < f->n_variables; i++)
        if (strcmp(f->variables[i].name, name) == 0)
            return f->variables[i].value;
    return NULL;
}

static void set_variable(struct fake_frame *f, const char *name, const char *value)
{
    char *at = variable_of(f, name);
    if (!at && f->n_variables < FAKE_VARIABLES) {
        set_text(f->variables[f->n_variables].name, name, strlen(name));
        at = f->variables[f->n_variables++].value;
    }
    if (at)
        set_text(at, value, strlen(value));
}

/* ---- expressions: a name, a literal, NAME < LITERAL, NAME = LITERAL, throw TEXT, spin, come,
 * print TEXT, call FUNCTION */

static int call(struct engine *e, const char *function, uint64_t script);

/* Returns 0, FAKE_THROW with the value in `text`, or -ECANCELED. */
static int evaluate(struct engine *e, struct fake_frame *f, const char *expression, char *text)
{
    char name[FAKE_TEXT_BYTES] = "", literal[FAKE_TEXT_BYTES] = "", op = 0;
    if (strncmp(expression, "throw ", 6) == 0) {
        set_text(text, expression + 6, strlen(expression + 6));
        return FAKE_THROW;
    }
    if (strcmp(expression, "spin") == 0)
        return fake_compute(e, UINT64_MAX) != 0 ? -ECANCELED : 0;
    if (strcmp(expression, "come") == 0) {
        set_text(text, "true", 4);
        return e->config.host_ops->safe_point(e->config.host) != 0 ? -ECANCELED : 0;
    }
    if (strncmp(expression, "print ", 6) == 0) {
        set_text(text, "undefined", 9);
        return fake_say(e, expression + 6) == 0 ? 0 : FAKE_THROW;
    }
    if (strncmp(expression, "call ", 5) == 0) {
        set_text(text, "undefined", 9);
        return call(e, expression + 5, f ? f->script : 1);
    }
    if (sscanf(expression, "%127s %c %127s", name, &op, literal) == 3 && f) {
        const char *value = variable_of(f, name);
        if (op == '=')
            set_variable(f, name, literal);
        bool less = value && atof(value) < atof(literal);
        snprintf(text, FAKE_TEXT_BYTES, "%s", op == '=' ? literal : less ? "true" : "false");
        return 0;
    }
    const char *value = variable_of(f, expression);
    bool is_name = value_of(expression).type == ENGINE_VALUE_STRING;
    if (is_name && !value) {
        snprintf(text, FAKE_TEXT_BYTES, "ReferenceError: %.80s is not defined", expression);
        return FAKE_THROW;
    }
    const char *result = value ? value : expression;
    set_text(text, result, strlen(result));
    return 0;
}

/* ---- hits */

static bool observed(const struct engine *e, enum engine_audit_kind kind, uint64_t id,
                     uint64_t offset)
{
    const struct fake_debug *d = &e->debug;
    for (size_t i = 0; i < d->n_observed; i++)
        if (d->observed[i].kind == kind && d->observed[i].id == id &&
            d->observed[i].offset == offset)
            return true;
    return false;
}

/* What the answer makes of the line: 0, or how it ends the block. */
static int answered(struct engine *e, const struct engine_answer *a)
{
    char text[FAKE_TEXT_BYTES] = "undefined";
    switch (a->action) {
    case ENGINE_FORCE_RETURN:
    case ENGINE_FORCE_THROW:
        e->debug.quiet++;
        if (a->expression)
            (void)evaluate(e, top(e), a->expression, text);
        e->debug.quiet--;
        memcpy(e->debug.value, text, sizeof text);
        return a->action == ENGINE_FORCE_RETURN ? FAKE_RETURN : FAKE_THROW;
    case ENGINE_FORCE_TERMINATE:
        return FAKE_KILLED;
    default:
        return 0;
    }
}

static int report(struct engine *e, struct engine_hit *hit)
{
    struct engine_answer answer = {.action = ENGINE_GO_ON};
    struct fake_frame *f = top(e);
    if (f) {
        f->reported = true;
        hit->frame = f->id;
        hit->function = f->function;
        if (hit->kind != ENGINE_AUDIT_NEW_SCRIPT) {
            hit->script = f->script;
            hit->place = (struct engine_place){path_of(e, f->script), f->line, 1, 0};
        }
        if (hit->realm == 0)
            hit->realm = f->realm;
    }
    e->debug.has_value = hit->has_value;
    int r = e->config.host_ops->debug->on_hit(e->config.host, hit, &answer);
    e->debug.has_value = false;
    return r != 0 ? r : answered(e, &answer);
}

/* In the realm of the innermost frame. */
static int happens(struct engine *e, enum engine_audit_kind kind, enum engine_completion completion,
                   bool has_value)
{
    struct fake_frame *f = top(e);
    bool of_frame = kind == ENGINE_AUDIT_POP || kind == ENGINE_AUDIT_STEP;
    if (!f || e->debug.quiet > 0 || !observed(e, kind, of_frame ? f->id : f->realm, 0))
        return 0;
    return report(
        e, &(struct engine_hit){
               .kind = kind,
               .completion = completion,
               .has_value = has_value,
               .thrown = kind == ENGINE_AUDIT_EXCEPTION_UNWIND,
               .promise = kind == ENGINE_AUDIT_NEW_PROMISE || kind == ENGINE_AUDIT_PROMISE_SETTLED
                              ? e->debug.promises
                              : 0,
           });
}

static int steps(struct engine *e, bool statement_start)
{
    struct fake_frame *f = top(e);
    if (e->debug.quiet > 0 || !observed(e, ENGINE_AUDIT_STEP, f->id, 0))
        return 0;
    return report(
        e, &(struct engine_hit){.kind = ENGINE_AUDIT_STEP, .statement_start = statement_start});
}

static int breaks(struct engine *e)
{
    struct fake_frame *f = top(e);
    if (e->debug.quiet > 0 || !observed(e, ENGINE_AUDIT_BREAKPOINT, f->script, f->line))
        return 0;
    return report(e, &(struct engine_hit){.kind = ENGINE_AUDIT_BREAKPOINT, .offset = f->line});
}

static void forget(struct engine *e, enum engine_audit_kind kind, uint64_t id)
{
    struct fake_debug *d = &e->debug;
    for (size_t i = 0; i < d->n_observed;)
        if (d->observed[i].kind == kind && d->observed[i].id == id)
            d->observed[i] = d->observed[--d->n_observed];
        else
            i++;
}

static void gone(struct engine *e, enum engine_referent referent, uint64_t id)
{
    for (unsigned kind = ENGINE_AUDIT_NEW_GLOBAL; kind < ENGINE_AUDIT_KINDS; kind++) {
        bool frame = kind == ENGINE_AUDIT_POP || kind == ENGINE_AUDIT_STEP;
        bool script = kind == ENGINE_AUDIT_BREAKPOINT;
        if ((referent == ENGINE_FRAME && frame) || (referent == ENGINE_SCRIPT && script) ||
            (referent == ENGINE_REALM && !frame && !script && kind != ENGINE_AUDIT_NEW_GLOBAL))
            forget(e, (enum engine_audit_kind)kind, id);
    }
    e->config.host_ops->debug->on_gone(e->config.host, referent, id);
}

static int new_script(struct engine *e, uint64_t realm, const char *path)
{
    struct fake_debug *d = &e->debug;
    if (d->n_scripts == FAKE_SCRIPTS)
        return 0;
    uint64_t id = ++d->scripts_made;
    d->scripts[d->n_scripts].id = id;
    d->scripts[d->n_scripts].realm = realm;
    set_text(d->scripts[d->n_scripts++].path, path, strlen(path));
    if (!observed(e, ENGINE_AUDIT_NEW_SCRIPT, realm, 0))
        return 0;
    return report(e, &(struct engine_hit){.kind = ENGINE_AUDIT_NEW_SCRIPT,
                                          .realm = realm,
                                          .script = id,
                                          .place = {.url = path, .line = 1, .column = 1},
                                          .source_map = "fake.map"});
}

/* ---- frames */

/* The number of the first line of a function, 0 if there is none. */
static unsigned function_at(const struct engine *e, const char *name)
{
    char line[FAKE_LINE_BYTES], wanted[FAKE_TEXT_BYTES + 16];
    snprintf(wanted, sizeof wanted, "function %s", name);
    for (unsigned n = 1; fake_line(e, n, line); n++)
        if (strcmp(line, wanted) == 0)
            return n + 1;
    return 0;
}

/* Past a function, for who comes to it from above. */
static unsigned after_function(const struct engine *e, unsigned number)
{
    char line[FAKE_LINE_BYTES];
    while (fake_line(e, number, line) && strcmp(line, "end") != 0)
        number++;
    return number + 1;
}

static int run_statement(struct engine *e, const char *line)
{
    int r = steps(e, true);
    if (r == 0)
        r = breaks(e);
    if (r == 0)
        r = steps(e, false);
    return r == 0 ? fake_run_line(e, line) : r;
}

/* From the frame's line to the end of its block. */
static int run_block(struct engine *e, struct fake_frame *f)
{
    char line[FAKE_LINE_BYTES];
    int r = 0;
    while (r == 0 && fake_line(e, f->line, line) && strcmp(line, "end") != 0) {
        if (strncmp(line, "function ", 9) == 0) {
            f->line = after_function(e, f->line);
            continue;
        }
        r = *line ? run_statement(e, line) : 0;
        if (r == 0 || r == FAKE_YIELD || r == FAKE_AWAIT)
            f->line++;
    }
    return r;
}

static enum engine_completion completion_of(int r)
{
    return r == FAKE_THROW              ? ENGINE_COMPLETION_THROW
           : r == FAKE_YIELD            ? ENGINE_COMPLETION_YIELD
           : r == FAKE_AWAIT            ? ENGINE_COMPLETION_AWAIT
           : r == 0 || r == FAKE_RETURN ? ENGINE_COMPLETION_RETURN
                                        : ENGINE_COMPLETION_TERMINATED;
}

/* Enters, runs and leaves it. 0, FAKE_THROW, or what ends more than that. */
static int run_frame(struct engine *e, struct fake_frame *f)
{
    struct fake_debug *d = &e->debug;
    d->stack[d->depth++] = f;
    int r = happens(e, ENGINE_AUDIT_ENTER_FRAME, ENGINE_COMPLETION_NONE, false);
    if (r == 0)
        r = run_block(e, f);
    if (r == 0)
        set_text(d->value, "undefined", 9);
    if (r == FAKE_THROW) {
        int unwound = happens(e, ENGINE_AUDIT_EXCEPTION_UNWIND, ENGINE_COMPLETION_THROW, true);
        r = unwound != 0 ? unwound : r;
    }
    enum engine_completion completion = completion_of(r);
    bool value = completion == ENGINE_COMPLETION_RETURN || completion == ENGINE_COMPLETION_THROW;
    int popped = happens(e, ENGINE_AUDIT_POP, completion, value);
    r = popped != 0 ? popped : r;
    d->depth--;
    if (r == FAKE_YIELD || r == FAKE_AWAIT) {
        d->generator = f;
        return 0;
    }
    if (f->reported)
        gone(e, ENGINE_FRAME, f->id);
    free(f);
    return r == FAKE_RETURN ? 0 : r;
}

static struct fake_frame *frame_new(struct engine *e, uint64_t script, const char *function,
                                    unsigned line)
{
    struct fake_frame *f = e->debug.depth < FAKE_FRAMES ? calloc(1, sizeof *f) : NULL;
    if (!f)
        return NULL;
    f->id = ++e->debug.frames;
    f->script = script;
    f->line = line;
    for (size_t i = 0; i < e->debug.n_scripts; i++)
        if (e->debug.scripts[i].id == script)
            f->realm = e->debug.scripts[i].realm;
    set_text(f->function, function, strlen(function));
    return f;
}

static int call(struct engine *e, const char *function, uint64_t script)
{
    unsigned line = function_at(e, function);
    struct fake_frame *f = line > 0 ? frame_new(e, script, function, line) : NULL;
    if (!f) {
        snprintf(e->debug.value, FAKE_TEXT_BYTES, "TypeError: cannot call %.80s", function);
        return FAKE_THROW;
    }
    return run_frame(e, f);
}

int fake_outcome(struct engine *e, int r)
{
    if (r == FAKE_THROW) {
        static char detail[FAKE_TEXT_BYTES + 16];
        snprintf(detail, sizeof detail, "uncaught %s", e->debug.value);
        e->exit = (struct engine_exit){.code = 1, .detail = detail};
        return ENGINE_FAILED;
    }
    return r >= FAKE_RETURN ? 0 : r;
}

int fake_debug_run(struct engine *e)
{
    struct fake_frame *f = frame_new(e, 1, "", 1);
    return f ? fake_outcome(e, run_frame(e, f)) : -ENOMEM;
}

void fake_debug_init(struct engine *e)
{
    e->debug.realms[e->debug.n_realms++] = ++e->debug.realms_made;
}

void fake_debug_loaded(struct engine *e)
{
    (void)new_script(e, 1, e->program.path);
}

/* ---- the verbs */

/* FUNCTION [SCRIPT] */
static int do_call(struct engine *e, const char *rest)
{
    char name[FAKE_TEXT_BYTES] = "";
    unsigned long long script = top(e) ? top(e)->script : 1;
    (void)sscanf(rest, "%127s %llu", name, &script);
    int r = call(e, name, script);
    return top(e) ? r : fake_outcome(e, r);
}

static int do_try(struct engine *e, const char *rest)
{
    char text[FAKE_TEXT_BYTES + 16];
    int r = do_call(e, rest);
    if (r != FAKE_THROW)
        return r;
    snprintf(text, sizeof text, "caught %s", e->debug.value);
    return fake_say(e, text);
}

/* COUNT FUNCTION */
static int do_repeat(struct engine *e, const char *rest)
{
    char *name;
    unsigned long long n = strtoull(rest, &name, 10);
    int r = 0;
    for (unsigned long long i = 1; r == 0 && i <= n; i++) {
        char text[32];
        snprintf(text, sizeof text, "%llu", i);
        set_variable(top(e), "i", text);
        r = fake_loop_head(e);
        if (r == 0)
            r = do_call(e, name + (*name == ' '));
    }
    return r;
}

static int do_next(struct engine *e, const char *rest)
{
    (void)rest;
    struct fake_frame *f = e->debug.generator;
    e->debug.generator = NULL;
    int r = f ? run_frame(e, f) : 0;
    return top(e) ? r : fake_outcome(e, r);
}

static int do_yield(struct engine *e, const char *rest)
{
    (void)e, (void)rest;
    return FAKE_YIELD;
}

static int do_await(struct engine *e, const char *rest)
{
    (void)e, (void)rest;
    return FAKE_AWAIT;
}

static int do_return(struct engine *e, const char *rest)
{
    set_text(e->debug.value, *rest ? rest : "undefined", *rest ? strlen(rest) : 9);
    return FAKE_RETURN;
}

static int do_throw(struct engine *e, const char *rest)
{
    set_text(e->debug.value, rest, strlen(rest));
    return FAKE_THROW;
}

static int do_debugger(struct engine *e, const char *rest)
{
    (void)rest;
    return happens(e, ENGINE_AUDIT_DEBUGGER_STATEMENT, ENGINE_COMPLETION_NONE, false);
}

static int do_let(struct engine *e, const char *rest)
{
    char name[FAKE_TEXT_BYTES] = "";
    int at = 0;
    (void)sscanf(rest, "%127s %n", name, &at);
    set_variable(top(e), name, rest + at);
    return 0;
}

static int do_show(struct engine *e, const char *rest)
{
    const char *value = variable_of(top(e), rest);
    return fake_say(e, value ? value : "undefined");
}

static int do_realm(struct engine *e, const char *rest)
{
    (void)rest;
    struct fake_debug *d = &e->debug;
    if (d->n_realms == FAKE_REALMS)
        return 0;
    uint64_t realm = d->realms[d->n_realms++] = ++d->realms_made;
    if (d->watched)
        e->config.host_ops->debug->on_realm(e->config.host, realm);
    if (d->quiet > 0 || !observed(e, ENGINE_AUDIT_NEW_GLOBAL, 0, 0))
        return 0;
    return report(e, &(struct engine_hit){.kind = ENGINE_AUDIT_NEW_GLOBAL, .realm = realm});
}

/* REALM PATH */
static int do_script(struct engine *e, const char *rest)
{
    char *path;
    uint64_t realm = strtoull(rest, &path, 10);
    return new_script(e, realm, path + (*path == ' '));
}

/* realm ID · script ID */
static int do_gone(struct engine *e, const char *rest)
{
    struct fake_debug *d = &e->debug;
    bool realm = strncmp(rest, "realm ", 6) == 0;
    uint64_t id = strtoull(rest + strcspn(rest, " "), NULL, 10);
    for (size_t i = 0; i < d->n_scripts;)
        if (realm ? d->scripts[i].realm == id : d->scripts[i].id == id) {
            gone(e, ENGINE_SCRIPT, d->scripts[i].id);
            d->scripts[i] = d->scripts[--d->n_scripts];
        } else {
            i++;
        }
    for (size_t i = 0; realm && i < d->n_realms; i++)
        if (d->realms[i] == id) {
            d->realms[i] = d->realms[--d->n_realms];
            gone(e, ENGINE_REALM, id);
            break;
        }
    return 0;
}

static int do_promise(struct engine *e, const char *rest)
{
    (void)rest;
    e->debug.promises++;
    return happens(e, ENGINE_AUDIT_NEW_PROMISE, ENGINE_COMPLETION_NONE, false);
}

static int do_settle(struct engine *e, const char *rest)
{
    set_text(e->debug.value, rest, strlen(rest));
    return happens(e, ENGINE_AUDIT_PROMISE_SETTLED, ENGINE_COMPLETION_FULFILLED, true);
}

/* How many things the engine observes, and whether it watches realms. */
static int do_observed(struct engine *e, const char *rest)
{
    (void)rest;
    char text[FAKE_TEXT_BYTES];
    snprintf(text, sizeof text, "observed %zu%s resumed %u", e->debug.n_observed,
             e->debug.watched ? " and realms" : "", e->debug.resumes);
    return fake_say(e, text);
}

static int do_refuse(struct engine *e, const char *rest)
{
    e->debug.refuses = true;
    e->debug.most = strtoul(rest, NULL, 10);
    return 0;
}

static int do_nothing(struct engine *e, const char *rest)
{
    (void)e, (void)rest;
    return 0;
}

const struct fake_verb fake_debug_verbs[] = {
    {"call", do_call},        {"try", do_try},           {"repeat", do_repeat},
    {"next", do_next},        {"yield", do_yield},       {"await", do_await},
    {"return", do_return},    {"throw", do_throw},       {"debugger", do_debugger},
    {"let", do_let},          {"show", do_show},         {"realm", do_realm},
    {"script", do_script},    {"gone", do_gone},         {"promise", do_promise},
    {"settle", do_settle},    {"observed", do_observed}, {"refuse", do_refuse},
    {"function", do_nothing}, {"end", do_nothing},       {NULL, NULL},
};

/* ---- engine_debug_ops */

static int debug_watch_realms(struct engine *e, bool on)
{
    e->debug.watched = on;
    return 0;
}

static int debug_realms(struct engine *e, void (*each)(void *, uint64_t, const char *),
                        void *userdata)
{
    for (size_t i = 0; i < e->debug.n_realms; i++)
        each(userdata, e->debug.realms[i], i == 0 ? "main" : "");
    return 0;
}

static bool referent_is_there(const struct engine *e, enum engine_audit_kind kind, uint64_t id)
{
    const struct fake_debug *d = &e->debug;
    bool there = kind == ENGINE_AUDIT_NEW_GLOBAL ||
                 (d->generator && d->generator->id == id && kind >= ENGINE_AUDIT_POP);
    for (size_t i = 0; i < d->n_realms && kind < ENGINE_AUDIT_POP; i++)
        there = there || d->realms[i] == id;
    for (size_t i = 0; i < d->depth && kind >= ENGINE_AUDIT_POP; i++)
        there = there || d->stack[i]->id == id;
    for (size_t i = 0; i < d->n_scripts && kind == ENGINE_AUDIT_BREAKPOINT; i++)
        there = there || d->scripts[i].id == id;
    return there;
}

static int debug_audit(struct engine *e, enum engine_audit_kind kind, uint64_t id, uint64_t offset,
                       bool on)
{
    struct fake_debug *d = &e->debug;
    if (!referent_is_there(e, kind, id))
        return -ENOENT;
    for (size_t i = 0; i < d->n_observed; i++)
        if (d->observed[i].kind == kind && d->observed[i].id == id &&
            d->observed[i].offset == offset) {
            if (!on)
                d->observed[i] = d->observed[--d->n_observed];
            return 0;
        }
    if (!on)
        return 0;
    if (d->refuses && d->n_observed >= d->most)
        return -EOPNOTSUPP;
    if (d->n_observed == FAKE_OBSERVED)
        return -ENOMEM;
    d->observed[d->n_observed++] = (struct fake_observed){kind, id, offset};
    return 0;
}

/* 0: the innermost. */
static struct fake_frame *frame_at(struct engine *e, uint32_t index)
{
    return index < e->debug.depth ? e->debug.stack[e->debug.depth - 1 - index] : NULL;
}

static int debug_frame_id(struct engine *e, uint32_t frame, uint64_t *ret_frame,
                          uint64_t *ret_realm)
{
    struct fake_frame *f = frame_at(e, frame);
    if (!f)
        return -ENOENT;
    f->reported = true;
    *ret_frame = f->id;
    *ret_realm = f->realm;
    return 0;
}

static int debug_frame_index(struct engine *e, uint64_t frame, uint32_t *ret_index)
{
    for (uint32_t i = 0; i < e->debug.depth; i++)
        if (frame_at(e, i)->id == frame) {
            *ret_index = i;
            return 0;
        }
    return -ENOENT;
}

static bool url_matches(const char *wanted, const char *path)
{
    size_t len = strlen(path), n = strlen(wanted);
    return (len >= n && strcmp(path + len - n, wanted) == 0 &&
            (len == n || path[len - n - 1] == '/')) ||
           fnmatch(wanted, path, 0) == 0;
}

static int debug_positions(struct engine *e, uint64_t source, const char *url, uint32_t line,
                           uint32_t line_to, uint32_t column, uint64_t offset, bool all,
                           void (*each)(void *, uint64_t, uint64_t, uint64_t,
                                        const struct engine_place *, const char *),
                           void *userdata)
{
    (void)column, (void)offset;
    const struct fake_debug *d = &e->debug;
    int n = 0;
    for (size_t i = 0; i < d->n_scripts; i++) {
        char text[FAKE_LINE_BYTES], function[FAKE_TEXT_BYTES] = "";
        bool found = false;
        if (source != 0 ? d->scripts[i].id != source : !url_matches(url, d->scripts[i].path))
            continue;
        for (uint32_t at = 1; fake_line(e, at, text) && !found; at++) {
            bool begins = strncmp(text, "function ", 9) == 0, ends = strcmp(text, "end") == 0;
            if (begins)
                set_text(function, text + 9, strlen(text + 9));
            if (ends)
                function[0] = '\0';
            if (begins || ends || !*text || at < line || (all && at > line_to))
                continue;
            each(userdata, d->scripts[i].realm, d->scripts[i].id, at,
                 &(struct engine_place){d->scripts[i].path, at, 1, 0}, function);
            found = !all;
            n++;
        }
    }
    return n;
}

static int debug_frames(struct engine *e, uint32_t first, uint32_t max,
                        void (*each)(void *, const struct engine_frame *), void *userdata,
                        uint32_t *ret_next)
{
    uint32_t i = first;
    for (; i < e->debug.depth && i - first < max; i++) {
        const struct fake_frame *f = frame_at(e, i);
        each(userdata, &(struct engine_frame){.kind = ENGINE_FRAME_JS,
                                              .function = f->function,
                                              .url = path_of(e, f->script),
                                              .line = f->line,
                                              .column = 1});
    }
    *ret_next = i < e->debug.depth ? i : 0;
    return 0;
}

/* A scope's ref is its frame's index, from 1. */
static int debug_scopes(struct engine *e, uint32_t frame,
                        void (*each)(void *, const struct engine_scope *), void *userdata)
{
    const struct fake_frame *f = frame_at(e, frame);
    if (!f)
        return -ENOENT;
    each(userdata, &(struct engine_scope){.scope = "local",
                                          .ref = frame + 1,
                                          .variables = (uint32_t)f->n_variables,
                                          .function = f->function});
    return 0;
}

static int each_variable(const struct fake_frame *f, uint32_t first, uint32_t max,
                         void (*each)(void *, const struct engine_named_value *), void *userdata)
{
    size_t i = first;
    for (; i < f->n_variables && i - first < max; i++)
        each(userdata, &(struct engine_named_value){.name = f->variables[i].name,
                                                    .value = value_of(f->variables[i].value),
                                                    .writable = true});
    return (int)i;
}

static int debug_variables(struct engine *e, uint64_t ref, uint32_t first, uint32_t max,
                           bool run_getters,
                           void (*each)(void *, const struct engine_named_value *), void *userdata,
                           uint32_t *ret_next, uint32_t *ret_total)
{
    (void)run_getters;
    const struct fake_frame *f = ref > 0 ? frame_at(e, (uint32_t)ref - 1) : NULL;
    if (!f)
        return -ENOENT;
    uint32_t end = (uint32_t)each_variable(f, first, max, each, userdata);
    *ret_next = end < f->n_variables ? end : 0;
    *ret_total = (uint32_t)f->n_variables;
    return 0;
}

static int debug_arguments(struct engine *e, uint32_t frame,
                           void (*each)(void *, const struct engine_named_value *), void *userdata)
{
    const struct fake_frame *f = frame_at(e, frame);
    if (!f)
        return -ENOENT;
    (void)each_variable(f, 0, FAKE_VARIABLES, each, userdata);
    return 0;
}

static int debug_variable(struct engine *e, uint32_t frame, const char *name, bool with_preview,
                          void (*each)(void *, const struct engine_value *), void *userdata)
{
    (void)with_preview;
    const char *value = variable_of(frame_at(e, frame), name);
    /* An outer one, as a closure has it. */
    for (uint32_t i = frame + 1; !value && i < e->debug.depth; i++)
        value = variable_of(frame_at(e, i), name);
    if (!value)
        return -ENOENT;
    struct engine_value v = value_of(value);
    each(userdata, &v);
    return 0;
}

static int debug_hit_value(struct engine *e, bool with_ref,
                           void (*each)(void *, const struct engine_value *), void *userdata)
{
    if (!e->debug.has_value)
        return -ENOENT;
    struct engine_value v = value_of(e->debug.value);
    v.ref = with_ref ? 1 : 0;
    each(userdata, &v);
    return 0;
}

static int debug_evaluate(struct engine *e, uint32_t frame, uint64_t realm, const char *expression,
                          bool audited, bool with_ref,
                          void (*each)(void *, bool, const struct engine_value *, const char *),
                          void *userdata)
{
    (void)realm, (void)with_ref;
    char text[FAKE_TEXT_BYTES] = "undefined", kept[FAKE_TEXT_BYTES];
    struct fake_frame *f = frame == NO_FRAME ? NULL : frame_at(e, frame);
    if (frame != NO_FRAME && !f)
        return -ENOENT;
    bool had_value = e->debug.has_value;
    memcpy(kept, e->debug.value, sizeof kept);
    e->debug.quiet += !audited;
    int r = evaluate(e, f, expression, text);
    e->debug.quiet -= !audited;
    e->debug.has_value = had_value;
    memcpy(e->debug.value, kept, sizeof kept);
    if (r == -ECANCELED)
        return r;
    struct engine_value v = value_of(text);
    each(userdata, r != 0, &v, r == 0 ? text : NULL);
    return 0;
}

static int debug_assign(struct engine *e, uint32_t frame, const char *name, const char *expression,
                        void (*each)(void *, bool, const struct engine_value *, const char *),
                        void *userdata, const char **ret_why)
{
    char text[FAKE_TEXT_BYTES] = "undefined";
    struct fake_frame *f = frame_at(e, frame);
    if (!f || !variable_of(f, name)) {
        *ret_why = "there is no such variable";
        return -ENOENT;
    }
    e->debug.quiet++;
    int r = evaluate(e, f, expression, text);
    e->debug.quiet--;
    if (r == -ECANCELED)
        return r;
    if (r == 0)
        set_variable(f, name, text);
    struct engine_value v = value_of(text);
    each(userdata, r != 0, &v, NULL);
    return 0;
}

static int debug_condition(struct engine *e, const char *expression, bool *ret_true,
                           const char **ret_error)
{
    char text[FAKE_TEXT_BYTES] = "undefined";
    e->debug.quiet++;
    int r = evaluate(e, top(e), expression, text);
    e->debug.quiet--;
    *ret_error = NULL;
    *ret_true = strcmp(text, "true") == 0;
    if (r != 0) {
        snprintf(e->debug.error, sizeof e->debug.error, "%s", text);
        *ret_error = e->debug.error;
        *ret_true = true;
    }
    return 0;
}

static int debug_sources(struct engine *e, uint32_t first, uint32_t max,
                         void (*each)(void *, const struct engine_source *), void *userdata,
                         uint32_t *ret_next)
{
    size_t i = first;
    for (; i < e->debug.n_scripts && i - first < max; i++)
        each(userdata, &(struct engine_source){.id = e->debug.scripts[i].id,
                                               .url = e->debug.scripts[i].path,
                                               .kind = "script",
                                               .text_bytes = e->program.text_bytes});
    *ret_next = i < e->debug.n_scripts ? (uint32_t)i : 0;
    return 0;
}

static int debug_source_text(
    struct engine *e, uint64_t source, const char *url, uint64_t first_byte, uint32_t max_bytes,
    void (*each)(void *, const struct engine_source *, const void *, size_t), void *userdata)
{
    for (size_t i = 0; i < e->debug.n_scripts; i++) {
        const char *path = e->debug.scripts[i].path;
        if (source != 0 ? e->debug.scripts[i].id != source : !url_matches(url, path))
            continue;
        size_t bytes = e->program.text_bytes, first = first_byte < bytes ? first_byte : bytes;
        const struct engine_source s = {
            .id = e->debug.scripts[i].id, .url = path, .kind = "script", .text_bytes = bytes};
        each(userdata, &s, e->program.text + first,
             bytes - first < max_bytes ? bytes - first : max_bytes);
        return 0;
    }
    return -ENOENT;
}

static int debug_memory(struct engine *e, uint32_t frame, uint32_t memory, uint64_t address,
                        void *read, const void *write, size_t len, uint64_t *ret_memory_bytes)
{
    (void)e, (void)frame, (void)memory, (void)address, (void)read, (void)write, (void)len;
    (void)ret_memory_bytes;
    return -EOPNOTSUPP;
}

static void debug_resume(struct engine *e)
{
    e->debug.resumes++;
}

/* What ends with an operator is no expression. */
static int debug_check_expression(struct engine *e, const char *expression, const char **ret_error)
{
    (void)e;
    size_t len = strlen(expression);
    if (len == 0 || !strchr("=<>+-*", expression[len - 1]))
        return 0;
    *ret_error = "not a condition or expression: something is missing at its end";
    return -EINVAL;
}

const struct engine_debug_ops fake_debug_ops = {
    .watch_realms = debug_watch_realms,
    .realms = debug_realms,
    .audit = debug_audit,
    .frame_id = debug_frame_id,
    .frame_index = debug_frame_index,
    .positions = debug_positions,
    .frames = debug_frames,
    .scopes = debug_scopes,
    .variables = debug_variables,
    .arguments = debug_arguments,
    .variable = debug_variable,
    .hit_value = debug_hit_value,
    .evaluate = debug_evaluate,
    .assign = debug_assign,
    .condition = debug_condition,
    .check_expression = debug_check_expression,
    .sources = debug_sources,
    .source_text = debug_source_text,
    .memory = debug_memory,
    .resume = debug_resume,
};
