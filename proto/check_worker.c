#include "proto/check_worker.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/text.h"
#include "proto/api.pb-c.h"
#include "proto/limits.h"
#include "proto/unpack.h"
#include "proto/worker.pb-c.h"

/* One line, bounded, without control characters (U+0080 to U+009F are such, too). */
static bool line_ok(const char *s, size_t max)
{
    size_t len = strlen(s);
    if (len > max || !text_is_utf8(s, len))
        return false;
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f ||
            ((unsigned char)s[0] == 0xc2 && (unsigned char)s[1] < 0xa0))
            return false;
    return true;
}

/* A text for people. NULL stays NULL. */
static bool detail_ok(const char *s)
{
    return !s || line_ok(s, LIMIT_DETAIL_BYTES);
}

static bool layer_name_ok(const char *s)
{
    return s && *s && strlen(s) <= 32 &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(s);
}

/* A JSON text or the like, in the packet or in the memfd beside it. */
static const char *take_text(struct worker_fact *f, bool in_memfd, const ProtobufCBinaryData *data,
                             const int *fds, size_t n_fds, struct worker_text *ret)
{
    if (!in_memfd) {
        if (n_fds != 0)
            return "fact carries a descriptor that it does not announce";
        *ret = (struct worker_text){(const char *)data->data, data->len};
    } else {
        if (n_fds != 1)
            return "fact announces a memfd and carries none";
        if (fd_memfd_map(fds[0], LIMIT_JSON_BYTES, &f->mapped, &f->mapped_bytes) < 0)
            return "fact carries something that is not a sealed memfd of a fair size";
        *ret = (struct worker_text){(const char *)f->mapped, f->mapped_bytes};
    }
    return text_is_utf8(ret->text, ret->len) ? NULL : "text is not UTF-8";
}

static const char *check_born(const Stillpoint__Worker__Born *m, struct worker_fact *f)
{
    if (!detail_ok(m->error))
        return "error text is malformed";
    if (m->n_posture > WORKER_MAX_LAYERS)
        return "too many layers";
    f->born.error = m->error;
    for (size_t i = 0; i < m->n_posture; i++) {
        const Stillpoint__Worker__Layer *l = m->posture[i];
        if (!layer_name_ok(l->name) || !l->has_state || l->state > 2)
            return "layer is malformed";
        f->born.layers[f->born.n_layers++] = (struct worker_layer){l->name, l->state};
    }
    return NULL;
}

static const char *check_console(const Stillpoint__Worker__Console *m, struct worker_fact *f)
{
    if (m->stream != 1 && m->stream != 2)
        return "no such stream";
    if (m->level >= WORKER_LEVELS)
        return "no such level";
    if (m->data.len > LIMIT_CONSOLE_CHUNK_BYTES)
        return "console text is too long";
    f->console.stream = m->stream;
    f->console.level = m->level;
    f->console.data = (struct worker_text){(const char *)m->data.data, m->data.len};
    f->console.mono_ns = m->mono_ns;
    return NULL;
}

static const char *check_exiting(const Stillpoint__Worker__Exiting *m, struct worker_fact *f)
{
    if (m->reason < WORKER_EXITED || m->reason > WORKER_OOM)
        return "no such exit reason";
    if (m->code > 255)
        return "exit code is out of range";
    if (!detail_ok(m->detail))
        return "detail is malformed";
    f->exiting.reason = (enum worker_exit_reason)m->reason;
    f->exiting.code = m->code;
    f->exiting.detail = m->detail;
    return NULL;
}

/* ---- messages that are checked by a table */

struct rule {
    enum {
        LINE,     /* a text of at most `max` bytes on one line */
        TEXT,     /* any of at most `max` bytes; that it is UTF-8, unpack_message() has seen */
        WORD,     /* one of `words` */
        NUMBER32, /* from `min` to `max` */
        NUMBER64,
        NUMBERS, /* at most `max` of 64 bits, none of them 0 */
        BYTES,   /* at most `max` */
        ONE,     /* a message for which the rules `of` hold */
        MANY,    /* at most `max` of them */
    } type;
    bool wanted;         /* a text, a message: it has to be there */
    size_t at, count_at; /* in the unpacked message */
    uint64_t min, max;
    const char *const *words;
    const struct rule *of;
    const char *why; /* NULL: the end of the rules */
};

#define AT(message, field) offsetof(Stillpoint__Worker__##message, field)
#define RULE(message, field, ...)                                                                  \
    {                                                                                              \
        .at = AT(message, field), .why = #message "." #field " is malformed", __VA_ARGS__          \
    }
#define LIST(message, field, ...)                                                                  \
    RULE(message, field, .count_at = AT(message, n_##field), __VA_ARGS__)

#define A_LINE(message, field, bytes) RULE(message, field, .type = LINE, .max = (bytes))
#define A_TEXT(message, field, bytes) RULE(message, field, .type = TEXT, .max = (bytes))
#define A_WORD(message, field, list) RULE(message, field, .type = WORD, .words = (list))
#define AN_ENUM(message, field, last)                                                              \
    RULE(message, field, .type = NUMBER32, .min = 1, .max = (last))
#define AN_ID(message, field) RULE(message, field, .type = NUMBER64, .min = 1, .max = UINT64_MAX)
#define IDS(message, field, most) LIST(message, field, .type = NUMBERS, .max = (most))
#define ONE_OF(message, field, rules) RULE(message, field, .type = ONE, .of = (rules))
#define MANY_OF(message, field, rules, most)                                                       \
    LIST(message, field, .type = MANY, .of = (rules), .max = (most))

/* The numbers of both wires are the same. */
#define LAST_HOOK_KIND STILLPOINT__API__HOOK_KIND__HOOK_BREAKPOINT
#define LAST_REFERENT STILLPOINT__API__REFERENT_KIND__REFERENT_SCRIPT
#define LAST_VALUE_TYPE STILLPOINT__API__VALUE_TYPE__VALUE_UNAVAILABLE
#define LAST_PAUSE_REASON 5u
#define LAST_END_REASON 2u
#define REASON_STEP 1u

static const char *const completions[] = {"return",     "throw",     "yield",    "await",
                                          "terminated", "fulfilled", "rejected", NULL};
static const char *const scopes[] = {"local",  "block", "closure", "module",
                                     "global", "wasm",  "with",    NULL};
static const char *const source_kinds[] = {"script", "module", "eval", "function", "wasm", NULL};

static const struct rule class_rules[] = {RULE(ClassCount, class_name, .type = LINE, .wanted = true,
                                               .min = 1, .max = LIMIT_INSPECT_TEXT_BYTES),
                                          {0}};

static const struct rule frame_rules[] = {AN_ENUM(Frame, kind, WORKER_FRAME_HOST),
                                          A_LINE(Frame, function, LIMIT_INSPECT_TEXT_BYTES),
                                          A_LINE(Frame, url, LIMIT_INSPECT_TEXT_BYTES),
                                          {0}};

static const struct rule location_rules[] = {A_LINE(Location, url, LIMIT_INSPECT_TEXT_BYTES),
                                             A_LINE(Location, function, LIMIT_INSPECT_TEXT_BYTES),
                                             {0}};

static const struct rule value_rules[] = {AN_ENUM(Value, type, LAST_VALUE_TYPE),
                                          A_LINE(Value, preview, LIMIT_PREVIEW_BYTES),
                                          A_LINE(Value, class_name, LIMIT_INSPECT_TEXT_BYTES),
                                          {0}};

static const struct rule named_value_rules[] = {
    RULE(NamedValue, name, .type = LINE, .wanted = true, .max = LIMIT_INSPECT_TEXT_BYTES),
    RULE(NamedValue, value, .type = ONE, .wanted = true, .of = value_rules),
    {0}};

static const struct rule scope_rules[] = {
    RULE(Scope, scope, .type = WORD, .wanted = true, .words = scopes),
    A_LINE(Scope, function, LIMIT_INSPECT_TEXT_BYTES),
    {0}};

static const struct rule source_rules[] = {
    AN_ID(Source, source),
    A_LINE(Source, url, LIMIT_PATH_BYTES),
    RULE(Source, kind, .type = WORD, .wanted = true, .words = source_kinds),
    A_LINE(Source, source_map, LIMIT_PATH_BYTES),
    {0}};

static const struct rule inspected_body_rules[] = {
    MANY_OF(InspectedBody, classes, class_rules, LIMIT_INSPECT_CLASSES),
    MANY_OF(InspectedBody, frames, frame_rules, LIMIT_INSPECT_FRAMES),
    MANY_OF(InspectedBody, scopes, scope_rules, LIMIT_SCOPES),
    MANY_OF(InspectedBody, variables, named_value_rules, LIMIT_PAGE_VARIABLES),
    ONE_OF(InspectedBody, value, value_rules),
    A_TEXT(InspectedBody, json, LIMIT_VALUE_JSON_BYTES),
    MANY_OF(InspectedBody, sources, source_rules, LIMIT_PAGE_SOURCES),
    RULE(InspectedBody, data, .type = BYTES, .max = LIMIT_DATA_BYTES),
    MANY_OF(InspectedBody, positions, location_rules, LIMIT_PAGE_POSITIONS),
    IDS(InspectedBody, failed_hooks, LIMIT_HOOKS_PER_VM),
    {0}};

static const struct rule hit_rules[] = {
    AN_ID(Hit, hook),
    AN_ID(Hit, vm_seq),
    AN_ENUM(Hit, kind, LAST_HOOK_KIND),
    ONE_OF(Hit, location, location_rules),
    ONE_OF(Hit, value, value_rules),
    A_WORD(Hit, completion, completions),
    MANY_OF(Hit, frames, frame_rules, LIMIT_HIT_FRAMES),
    MANY_OF(Hit, arguments, named_value_rules, LIMIT_HIT_VALUES),
    MANY_OF(Hit, expressions, named_value_rules, LIMIT_EXPRESSIONS),
    A_TEXT(Hit, log, LIMIT_EXPRESSION_BYTES),
    A_LINE(Hit, condition_error, LIMIT_DETAIL_BYTES),
    A_LINE(Hit, source_map, LIMIT_PATH_BYTES),
    {0}};

static const struct rule paused_rules[] = {AN_ID(Paused, pause),
                                           AN_ENUM(Paused, reason, LAST_PAUSE_REASON),
                                           IDS(Paused, hooks, LIMIT_HOOKS_PER_VM),
                                           ONE_OF(Paused, frame, frame_rules),
                                           ONE_OF(Paused, location, location_rules),
                                           ONE_OF(Paused, value, value_rules),
                                           {0}};

static const struct rule audited_rules[] = {AN_ENUM(Audited, referent, LAST_REFERENT),
                                            AN_ENUM(Audited, kind, LAST_HOOK_KIND),
                                            IDS(Audited, hooks, LIMIT_HOOKS_PER_VM),
                                            A_LINE(Audited, label, LIMIT_INSPECT_TEXT_BYTES),
                                            {0}};

static const struct rule hook_ended_rules[] = {
    AN_ID(HookEnded, hook), AN_ENUM(HookEnded, why, LAST_END_REASON), {0}};

static const struct rule breakpoint_bound_rules[] = {
    AN_ID(BreakpointBound, hook),
    MANY_OF(BreakpointBound, at, location_rules, LIMIT_BOUND_PLACES),
    A_LINE(BreakpointBound, error, LIMIT_DETAIL_BYTES),
    {0}};

static bool is_one_of(const char *s, const char *const *words)
{
    while (*words && strcmp(s, *words) != 0)
        words++;
    return *words != NULL;
}

static bool text_holds(const struct rule *rule, const char *s)
{
    if (!s)
        return !rule->wanted;
    size_t len = strlen(s);
    switch (rule->type) {
    case LINE:
        return len >= rule->min && line_ok(s, rule->max);
    case TEXT:
        return len <= rule->max;
    default:
        return is_one_of(s, rule->words);
    }
}

static bool ids_hold(const struct rule *rule, const uint64_t *ids, size_t n)
{
    for (size_t i = 0; n <= rule->max && i < n; i++)
        if (ids[i] == 0)
            return false;
    return n <= rule->max;
}

/* Messages nest as deep as the tables do. Returns why a rule does not hold, or NULL. */
static const char *check_rules(const struct rule *rule, const void *message)
{
    for (; rule->why; rule++) {
        const char *field = (const char *)message + rule->at, *why = NULL;
        size_t n = rule->count_at ? *(const size_t *)((const char *)message + rule->count_at) : 0;
        const void *const *rows = NULL, *const *one = NULL;
        uint64_t number;
        bool holds = true;
        switch (rule->type) {
        case LINE:
        case TEXT:
        case WORD:
            holds = text_holds(rule, *(char *const *)field);
            break;
        case NUMBER32:
        case NUMBER64:
            number = rule->type == NUMBER32 ? *(const uint32_t *)field : *(const uint64_t *)field;
            holds = number >= rule->min && number <= rule->max;
            break;
        case NUMBERS:
            holds = ids_hold(rule, *(uint64_t *const *)field, n);
            break;
        case BYTES:
            holds = ((const ProtobufCBinaryData *)field)->len <= rule->max;
            break;
        case ONE:
            one = (const void *const *)field;
            holds = *one || !rule->wanted;
            why = *one ? check_rules(rule->of, *one) : NULL;
            break;
        case MANY:
            rows = *(const void *const *const *)field;
            holds = n <= rule->max;
            for (size_t i = 0; holds && !why && i < n; i++)
                why = check_rules(rule->of, rows[i]);
            break;
        }
        if (!holds)
            why = rule->why;
        if (why)
            return why;
    }
    return NULL;
}

static const char *check_hit(const Stillpoint__Worker__Hit *m)
{
    const char *why = check_rules(hit_rules, m);
    if (!why && stillpoint__worker__hit__get_packed_size(m) > LIMIT_HIT_BYTES)
        why = "hit is too large";
    return why;
}

static const char *check_paused(const Stillpoint__Worker__Paused *m)
{
    const char *why = check_rules(paused_rules, m);
    if (!why && m->step == 0 && (m->n_hooks == 0 || m->reason == REASON_STEP))
        why = "pause names nothing that it is for";
    return why;
}

/* ---- Inspected */

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

static const char *take_classes(const Stillpoint__Worker__InspectedBody *m, struct worker_fact *f)
{
    struct worker_class *classes = calloc(m->n_classes + 1, sizeof *classes);
    if (!classes)
        return unpack_no_memory;
    f->rows[0] = classes;
    for (size_t i = 0; i < m->n_classes; i++) {
        const Stillpoint__Worker__ClassCount *c = m->classes[i];
        classes[i] = (struct worker_class){c->class_name, c->count, c->bytes};
    }
    f->inspected.n_classes = m->n_classes;
    f->inspected.classes = classes;
    return NULL;
}

static const char *take_frames(const Stillpoint__Worker__InspectedBody *m, struct worker_fact *f)
{
    struct worker_frame *frames = calloc(m->n_frames + 1, sizeof *frames);
    if (!frames)
        return unpack_no_memory;
    f->rows[1] = frames;
    for (size_t i = 0; i < m->n_frames; i++) {
        const Stillpoint__Worker__Frame *w = m->frames[i];
        frames[i] = (struct worker_frame){.kind = (enum worker_frame_kind)w->kind,
                                          .function = or_empty(w->function),
                                          .url = or_empty(w->url),
                                          .line = w->line,
                                          .column = w->column,
                                          .offset = w->offset};
    }
    f->inspected.n_frames = m->n_frames;
    f->inspected.frames = frames;
    return NULL;
}

/* With an error there may be a body that says which hooks failed, and nothing else. */
static bool has_only_failed_hooks(const Stillpoint__Worker__InspectedBody *m)
{
    Stillpoint__Worker__InspectedBody only = STILLPOINT__WORKER__INSPECTED_BODY__INIT;
    only.n_failed_hooks = m->n_failed_hooks;
    only.failed_hooks = m->failed_hooks;
    return stillpoint__worker__inspected_body__get_packed_size(m) ==
           stillpoint__worker__inspected_body__get_packed_size(&only);
}

static const char *take_inspected_body(const Stillpoint__Worker__InspectedBody *m,
                                       struct worker_fact *f)
{
    const char *why = check_rules(inspected_body_rules, m);
    f->inspected.body = m;
    f->inspected.before_bytes = m->before_bytes;
    f->inspected.after_bytes = m->after_bytes;
    f->inspected.truncated = m->truncated;
    if (!why)
        why = take_classes(m, f);
    return why ? why : take_frames(m, f);
}

/* The body out of the memfd beside the packet. */
static const char *unpack_inspected_body(struct worker_fact *f, const int *fds, size_t n_fds)
{
    const uint8_t *data;
    size_t bytes;
    const char *why = NULL;
    if (n_fds != 1)
        return "fact announces a memfd and carries none";
    if (fd_memfd_map(fds[0], LIMIT_INSPECT_BYTES, &data, &bytes) < 0)
        return "fact carries something that is not a sealed memfd of a fair size";
    f->body = unpack_message(&stillpoint__worker__inspected_body__descriptor, data, bytes, &why);
    fd_memfd_unmap(data, bytes);
    return f->body ? NULL : why;
}

static const char *check_inspected(const Stillpoint__Worker__Inspected *m, const int *fds,
                                   size_t n_fds, struct worker_fact *f)
{
    if (!detail_ok(m->error))
        return "error text is malformed";
    if (m->error ? m->refusal < WORKER_REFUSED_NOT_FOUND || m->refusal >= WORKER_REFUSALS
                 : m->refusal != 0)
        return "no such reason of a refusal";
    if (m->in_memfd && (m->error || m->body))
        return "answer has a body that it should not have";
    if (m->error && m->body && !has_only_failed_hooks(m->body))
        return "answer has a body that it should not have";
    if (!m->in_memfd && n_fds != 0)
        return "fact carries a descriptor that it does not announce";
    f->inspected.request = m->request;
    f->inspected.error = m->error;
    f->inspected.refusal = (enum worker_refusal)m->refusal;
    const char *why = m->in_memfd ? unpack_inspected_body(f, fds, n_fds) : NULL;
    const Stillpoint__Worker__InspectedBody *body = m->in_memfd ? f->body : m->body;
    return why || !body ? why : take_inspected_body(body, f);
}

/* The message's body into the fact; returns why not, or NULL. */
static const char *check_body(const Stillpoint__Worker__Fact *m, const int *fds, size_t n_fds,
                              struct worker_fact *f)
{
    bool takes_fd = false;
    const char *why = NULL;
    switch (m->body_case) {
    case STILLPOINT__WORKER__FACT__BODY_BORN:
        f->kind = FACT_BORN;
        why = check_born(m->born, f);
        break;
    case STILLPOINT__WORKER__FACT__BODY_LOADED:
        f->kind = FACT_LOADED;
        f->loaded.error = m->loaded->error;
        why = detail_ok(m->loaded->error) ? NULL : "error text is malformed";
        break;
    case STILLPOINT__WORKER__FACT__BODY_READY:
        f->kind = FACT_READY;
        break;
    case STILLPOINT__WORKER__FACT__BODY_CONSOLE:
        f->kind = FACT_CONSOLE;
        why = check_console(m->console, f);
        break;
    case STILLPOINT__WORKER__FACT__BODY_IMPORT_WANTED:
        f->kind = FACT_IMPORT_WANTED;
        f->import_wanted.import_id = m->import_wanted->import_id;
        f->import_wanted.path = m->import_wanted->path;
        if (!m->import_wanted->path ||
            !text_is_bundle_path(m->import_wanted->path, LIMIT_PATH_BYTES))
            why = "import path is malformed";
        break;
    case STILLPOINT__WORKER__FACT__BODY_CALL_DONE:
        f->kind = FACT_CALL_DONE;
        f->call_done.call_id = m->call_done->call_id;
        f->call_done.ok = m->call_done->ok;
        f->call_done.no_such_function = m->call_done->no_such_function;
        takes_fd = true;
        why = take_text(f, m->call_done->in_memfd, &m->call_done->text, fds, n_fds,
                        &f->call_done.text);
        break;
    case STILLPOINT__WORKER__FACT__BODY_POSTED:
        f->kind = FACT_POSTED;
        takes_fd = true;
        why = take_text(f, m->posted->in_memfd, &m->posted->json, fds, n_fds, &f->posted);
        break;
    case STILLPOINT__WORKER__FACT__BODY_STDIN_WANTED:
        f->kind = FACT_STDIN_WANTED;
        f->stdin_wanted.max_bytes = m->stdin_wanted->max_bytes;
        if (m->stdin_wanted->max_bytes == 0 || m->stdin_wanted->max_bytes > LIMIT_STDIN_CHUNK_BYTES)
            why = "stdin request is out of range";
        break;
    case STILLPOINT__WORKER__FACT__BODY_EXITING:
        f->kind = FACT_EXITING;
        why = check_exiting(m->exiting, f);
        break;
    case STILLPOINT__WORKER__FACT__BODY_INSPECTED:
        f->kind = FACT_INSPECTED;
        takes_fd = true;
        why = check_inspected(m->inspected, fds, n_fds, f);
        break;
    case STILLPOINT__WORKER__FACT__BODY_HIT:
        f->kind = FACT_HIT;
        f->hit = m->hit;
        why = check_hit(m->hit);
        break;
    case STILLPOINT__WORKER__FACT__BODY_PAUSED:
        f->kind = FACT_PAUSED;
        f->paused = m->paused;
        why = check_paused(m->paused);
        break;
    case STILLPOINT__WORKER__FACT__BODY_AUDITED:
        f->kind = FACT_AUDITED;
        f->audited = m->audited;
        why = check_rules(audited_rules, m->audited);
        break;
    case STILLPOINT__WORKER__FACT__BODY_HOOK_ENDED:
        f->kind = FACT_HOOK_ENDED;
        f->hook_ended = m->hook_ended;
        why = check_rules(hook_ended_rules, m->hook_ended);
        break;
    case STILLPOINT__WORKER__FACT__BODY_BREAKPOINT_BOUND:
        f->kind = FACT_BREAKPOINT_BOUND;
        f->breakpoint_bound = m->breakpoint_bound;
        why = check_rules(breakpoint_bound_rules, m->breakpoint_bound);
        break;
    case STILLPOINT__WORKER__FACT__BODY_PART:
        f->kind = FACT_PART;
        f->part = (struct worker_text){(const char *)m->part->data.data, m->part->data.len};
        break;
    default:
        return "no such fact";
    }
    if (!why && !takes_fd && n_fds != 0)
        why = "fact carries a descriptor";
    return why;
}

int check_worker_fact(const uint8_t *data, size_t bytes, const int *fds, size_t n_fds,
                      struct worker_fact *ret_fact, const char **ret_why)
{
    struct worker_fact f = {0};
    f.message = unpack_message(&stillpoint__worker__fact__descriptor, data, bytes, ret_why);
    if (!f.message)
        return -EPROTO;
    const Stillpoint__Worker__Fact *m = f.message;
    f.seq = m->seq;
    const char *why = f.seq == 0 ? "fact has no number" : check_body(m, fds, n_fds, &f);
    if (why) {
        check_worker_done(&f);
        *ret_why = why;
        return -EPROTO;
    }
    *ret_fact = f;
    return 0;
}

void check_worker_done(struct worker_fact *fact)
{
    unpack_free(fact->message);
    unpack_free(fact->body);
    free(fact->rows[0]);
    free(fact->rows[1]);
    if (fact->mapped)
        fd_memfd_unmap(fact->mapped, fact->mapped_bytes);
    *fact = (struct worker_fact){0};
}
