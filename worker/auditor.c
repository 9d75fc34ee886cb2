#include "worker/auditor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "proto/limits.h"
#include "worker/capture.h"
#include "worker/one_line.h"

enum hook_end { HOOK_REFERENT_GONE = 1, HOOK_USED_UP = 2 };

static const char no_debug[] =
    "the VM was not started with --debug: its WebAssembly cannot be inspected";

void auditors_init(struct auditors *a, const struct engine_ops *ops, struct engine *engine,
                   struct host *host, struct pauses *pauses)
{
    *a = (struct auditors){.ops = ops, .engine = engine, .host = host, .pauses = pauses};
    a->end_of_hooks = &a->hooks;
    a->end_of_gone = &a->gone;
    audit_table_init(&a->table, ops->debug, engine);
    stepper_init(&a->stepper, &a->table);
}

static void free_list(struct hook **list)
{
    while (*list) {
        struct hook *h = *list;
        *list = h->next;
        hook_free(h);
    }
}

static struct audit_gone *take_gone(struct auditors *a)
{
    struct audit_gone *g = a->gone;
    a->gone = g->next;
    if (!a->gone)
        a->end_of_gone = &a->gone;
    return g;
}

void auditors_done(struct auditors *a)
{
    free_list(&a->hooks);
    free_list(&a->removed);
    while (a->gone)
        free(take_gone(a));
    if (a->at_start)
        stillpoint__worker__paused__free_unpacked(a->at_start, NULL);
    stepper_done(&a->stepper);
    audit_table_done(&a->table);
    *a = (struct auditors){0};
}

static struct hook *hook_find(const struct auditors *a, uint64_t id)
{
    struct hook *h = a->hooks;
    while (h && h->id != id)
        h = h->next;
    return h;
}

static bool is_evaluating(const struct auditors *a)
{
    return safepoint_is_evaluating(a->host->safepoint);
}

/* ---- facts */

/* Waits for nobody: many are sent parked, or out of the middle of the engine. Whoever may wait does
 * so after them. */
static void send(struct auditors *a, Stillpoint__Worker__Fact *fact)
{
    safepoint_expect_fact(a->host->safepoint);
    if (daemon_channel_send(a->host->channel, fact) < 0)
        safepoint_orphaned();
}

/* What may wait for the daemon does. */
static void let_it_read(struct auditors *a)
{
    host_settle(a->host);
}

static void say_ended(struct auditors *a, const struct hook *h, enum hook_end why)
{
    Stillpoint__Worker__HookEnded m = STILLPOINT__WORKER__HOOK_ENDED__INIT;
    m.has_hook = m.has_why = true;
    m.hook = h->id;
    m.why = why;
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_HOOK_ENDED;
    fact.hook_ended = &m;
    send(a, &fact);
}

static void tell_auditor(void *userdata, const struct auditor *x)
{
    struct auditors *a = userdata;
    struct auditor *known = (struct auditor *)(uintptr_t)x;
    if (!x->shown && (x->n_hooks == 0 || a->n_shown == LIMIT_AUDITORS_PER_VM))
        return;
    uint64_t hooks[LIMIT_HOOKS_PER_VM];
    char label[LIMIT_INSPECT_TEXT_BYTES + 1];
    Stillpoint__Worker__Audited m = STILLPOINT__WORKER__AUDITED__INIT;
    m.has_referent = m.has_referent_id = m.has_kind = m.has_armed = true;
    m.referent = x->key.referent;
    m.referent_id = x->key.id;
    m.kind = x->key.kind;
    m.has_offset = x->key.kind == ENGINE_AUDIT_BREAKPOINT;
    m.offset = x->key.offset;
    m.armed = x->armed;
    m.n_hooks = x->n_hooks;
    m.hooks = hooks;
    for (size_t i = 0; i < x->n_hooks; i++)
        hooks[i] = x->hooks[i]->id;
    if (x->label)
        m.label = one_line(x->label, label, sizeof label);
    a->n_shown += x->n_hooks == 0 ? (size_t)-1 : !x->shown;
    known->shown = x->n_hooks > 0;
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_AUDITED;
    fact.audited = &m;
    send(a, &fact);
}

struct bound {
    Stillpoint__Worker__Location places[LIMIT_BOUND_PLACES], *rows[LIMIT_BOUND_PLACES];
    char texts[LIMIT_BOUND_PLACES][2][LIMIT_INSPECT_TEXT_BYTES + 1];
    size_t n;
};

static void add_bound(struct bound *b, const struct auditor *x)
{
    size_t i = b->n++;
    char(*texts)[LIMIT_INSPECT_TEXT_BYTES + 1] = b->texts[i];
    Stillpoint__Worker__Location *l = b->rows[i] = &b->places[i];
    *l = (Stillpoint__Worker__Location)STILLPOINT__WORKER__LOCATION__INIT;
    l->has_line = l->has_column = l->has_offset = true;
    l->url = one_line(x->url ? x->url : "", texts[0], sizeof texts[0]);
    l->function = one_line(x->function ? x->function : "", texts[1], sizeof texts[1]);
    l->line = x->line;
    l->column = x->column;
    l->offset = x->place_offset;
}

/* Where a breakpoint is: at the auditors that serve it. */
static void say_bound(struct auditors *a, struct hook *h)
{
    char error[LIMIT_INSPECT_TEXT_BYTES + 1];
    /* Not on the stack, of which the guest may have left little. */
    _cleanup_free_ struct bound *b = malloc(sizeof *b);
    if (!b)
        safepoint_orphaned();
    const struct auditor *at[LIMIT_BOUND_PLACES];
    size_t n = 0;
    for (const struct auditor *x = a->table.served; x && n < LIMIT_BOUND_PLACES;
         x = x->served_after)
        if (x->key.kind == ENGINE_AUDIT_BREAKPOINT && audit_table_has_hook(x, h))
            at[n++] = x;
    /* The newest come first there. */
    b->n = 0;
    while (n > 0)
        add_bound(b, at[--n]);
    Stillpoint__Worker__BreakpointBound m = STILLPOINT__WORKER__BREAKPOINT_BOUND__INIT;
    m.has_hook = m.has_pending = true;
    m.hook = h->id;
    m.n_at = b->n;
    m.at = b->rows;
    m.pending = b->n == 0;
    if (h->bind_error)
        m.error = one_line(h->bind_error, error, sizeof error);
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_BREAKPOINT_BOUND;
    fact.breakpoint_bound = &m;
    send(a, &fact);
}

/* All that has changed since this was called last. */
static void tell(struct auditors *a)
{
    audit_table_tell(&a->table, tell_auditor, a);
    for (struct hook *h = a->hooks; h; h = h->next) {
        if (h->rebound)
            say_bound(a, h);
        h->rebound = false;
    }
}

/* ---- breakpoints */

struct position {
    uint64_t realm, script, offset, place_offset;
    uint32_t line, column;
    char *url, *function;
};

struct positions {
    int error;
    struct position *at;
    size_t n, size;
};

static void take_position(void *userdata, uint64_t realm, uint64_t script, uint64_t script_offset,
                          const struct engine_place *place, const char *function)
{
    struct positions *p = userdata;
    if (p->n == p->size) {
        size_t more = p->size ? 2 * p->size : 8;
        struct position *grown = reallocarray(p->at, more, sizeof *grown);
        if (!grown) {
            p->error = -ENOMEM;
            return;
        }
        p->at = grown;
        p->size = more;
    }
    p->at[p->n++] = (struct position){
        .realm = realm,
        .script = script,
        .offset = script_offset,
        .place_offset = place->offset,
        .line = place->line,
        .column = place->column,
        .url = place->url ? strdup(place->url) : NULL,
        .function = function ? strdup(function) : NULL,
    };
}

static void positions_done(struct positions *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->at[i].url);
        free(p->at[i].function);
    }
    free(p->at);
}

static int bind_at(struct auditors *a, struct hook *h, struct position *p)
{
    struct audit_key key = {ENGINE_SCRIPT, ENGINE_AUDIT_BREAKPOINT, p->script, p->offset};
    struct auditor *x = audit_table_find(&a->table, key);
    if ((h->realm != 0 && p->realm != h->realm) || (x && audit_table_has_hook(x, h)))
        return 0;
    int r = audit_table_hook(&a->table, key, h, &x);
    if (r < 0)
        return r;
    h->rebound = true;
    x->line = p->line;
    x->column = p->column;
    x->place_offset = p->place_offset;
    if (!x->url)
        x->url = TAKE_PTR(p->url);
    if (!x->function)
        x->function = TAKE_PTR(p->function);
    if (!x->label && x->url)
        x->label = strdup(x->url);
    return 0;
}

/* Wherever it is meant and is not yet. 0, or the first failure; what could be bound is. */
static int bind(struct auditors *a, struct hook *h)
{
    struct positions p = {0};
    a->table.in_engine++;
    int r = a->ops->debug->positions(a->engine, 0, h->at_url, h->at_line, 0, h->at_column,
                                     h->at_offset, false, take_position, &p);
    a->table.in_engine--;
    r = r == -ENOENT || r > 0 ? 0 : r;
    r = r == 0 ? p.error : r;
    for (size_t i = 0; i < p.n; i++) {
        int failed = bind_at(a, h, &p.at[i]);
        r = r == 0 ? failed : r;
    }
    positions_done(&p);
    return r;
}

static const char *why_not(int r, const char *no_entry)
{
    return r == -EOPNOTSUPP ? no_debug : r == -ENOENT ? no_entry : strerror(-r);
}

static void bind_new_script(struct auditors *a, const char *url)
{
    for (struct hook *h = a->hooks; h; h = h->next) {
        if (h->kind != ENGINE_AUDIT_BREAKPOINT || !hook_is_at(h, url ? url : ""))
            continue;
        int r = bind(a, h);
        if (r == 0)
            continue;
        h->bind_error = why_not(r, "it could not be set");
        h->rebound = true;
    }
}

/* ---- installing */

struct label {
    uint64_t realm;
    char *text;
};

static void take_realm_label(void *userdata, uint64_t realm, const char *text)
{
    struct label *l = userdata;
    if (realm == l->realm && text && *text && !l->text)
        l->text = strdup(text);
}

static void take_frame_label(void *userdata, const struct engine_frame *frame)
{
    char **text = userdata;
    *text = frame->function && *frame->function ? strdup(frame->function) : NULL;
}

static int hook_realm(struct auditors *a, struct hook *h, uint64_t realm)
{
    struct auditor *x;
    int r = audit_table_hook(&a->table, (struct audit_key){ENGINE_REALM, h->kind, realm, 0}, h, &x);
    if (r < 0 || x->label)
        return r;
    struct label l = {.realm = realm};
    a->table.in_engine++;
    (void)a->ops->debug->realms(a->engine, take_realm_label, &l);
    a->table.in_engine--;
    x->label = l.text;
    return 0;
}

static int install_in_realms(struct auditors *a, struct hook *h)
{
    if (h->realm != 0)
        return hook_realm(a, h, h->realm);
    int r = audit_table_watch(&a->table);
    h->watches = r == 0;
    for (size_t i = 0; r == 0 && i < a->table.n_realms; i++)
        r = hook_realm(a, h, a->table.realms[i].id);
    return r;
}

static int install_at_frame(struct auditors *a, struct hook *h)
{
    uint64_t realm;
    uint32_t next;
    struct auditor *x;
    int r = a->ops->debug->frame_id(a->engine, h->frame_index, &h->frame, &realm);
    if (r == 0)
        r = audit_table_hook(&a->table, (struct audit_key){ENGINE_FRAME, h->kind, h->frame, 0}, h,
                             &x);
    if (r == 0 && !x->label)
        (void)a->ops->debug->frames(a->engine, h->frame_index, 1, take_frame_label, &x->label,
                                    &next);
    return r;
}

/* New scripts first: nothing runs in between, but so it also is when this fails half-way. */
static int install_breakpoint(struct auditors *a, struct hook *h)
{
    int r = h->realm == 0 ? audit_table_need_everywhere(&a->table, ENGINE_AUDIT_NEW_SCRIPT)
                          : audit_table_need(&a->table, ENGINE_AUDIT_NEW_SCRIPT, h->realm, 0);
    h->waits = r == 0;
    h->rebound = true;
    return r < 0 ? r : bind(a, h);
}

static int install(struct auditors *a, struct hook *h)
{
    h->order = ++a->last_order;
    if (h->kind == ENGINE_AUDIT_BREAKPOINT)
        return install_breakpoint(a, h);
    if (h->kind == ENGINE_AUDIT_NEW_GLOBAL)
        return audit_table_hook(&a->table, (struct audit_key){ENGINE_RUNTIME, h->kind, 0, 0}, h,
                                NULL);
    return h->one_frame ? install_at_frame(a, h) : install_in_realms(a, h);
}

static void uninstall(struct auditors *a, struct hook *h)
{
    for (struct auditor *x = a->table.served, *next; x; x = next) {
        next = x->served_after;
        audit_table_unhook(&a->table, x, h);
    }
    if (h->watches)
        audit_table_unwatch(&a->table);
    if (h->waits && h->realm == 0)
        audit_table_unneed_everywhere(&a->table, ENGINE_AUDIT_NEW_SCRIPT);
    else if (h->waits)
        audit_table_unneed(&a->table, ENGINE_AUDIT_NEW_SCRIPT, h->realm, 0);
    h->watches = h->waits = false;
}

static void add(struct auditors *a, struct hook *h)
{
    *a->end_of_hooks = h;
    a->end_of_hooks = &h->next;
    a->n_hooks++;
}

/* A hit that is being reported may still look at it. */
static void remove_hook(struct auditors *a, struct hook *h)
{
    uninstall(a, h);
    struct hook **at = &a->hooks;
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    if (!h->next)
        a->end_of_hooks = at;
    a->n_hooks--;
    h->removed = true;
    h->next = a->removed;
    a->removed = h;
    if (a->depth == 0)
        free_list(&a->removed);
}

static void end_hook(struct auditors *a, struct hook *h, enum hook_end why)
{
    say_ended(a, h, why);
    remove_hook(a, h);
}

/* ---- setting */

struct setting {
    struct hook **hooks; /* those to add */
    size_t n, n_installed;
    uint64_t failed; /* the hook that could not be set, 0: none is to blame */
    const char *why;
    struct inspect_answer *answer;
};

static int check_log(struct auditors *a, const char *log, const char **ret_why)
{
    char expression[LIMIT_EXPRESSION_BYTES + 1];
    size_t len;
    int r = 0;
    for (; r == 0 && (len = capture_log_part(log, expression)) > 0; log += len)
        if (expression[0])
            r = a->ops->debug->check_expression(a->engine, expression, ret_why);
    return r;
}

/* What is no expression would only be found out with the first hit. */
static int check_expressions(struct auditors *a, const struct hook *h, const char **ret_why)
{
    const struct engine_debug_ops *ops = a->ops->debug;
    int r = h->condition ? ops->check_expression(a->engine, h->condition, ret_why) : 0;
    for (size_t i = 0; i < h->n_expressions && r == 0; i++)
        r = ops->check_expression(a->engine, h->expressions[i], ret_why);
    return r == 0 && h->log ? check_log(a, h->log, ret_why) : r;
}

static int make_hooks(struct auditors *a, struct setting *s, const Stillpoint__Worker__SetHooks *m)
{
    s->hooks = calloc(m->n_add + 1, sizeof *s->hooks);
    if (!s->hooks)
        return -ENOMEM;
    for (; s->n < m->n_add; s->n++) {
        s->failed = m->add[s->n]->hook;
        int r = hook_new(m->add[s->n], &s->hooks[s->n], &s->why);
        if (r == 0)
            r = check_expressions(a, s->hooks[s->n], &s->why);
        if (r < 0) {
            s->hooks[s->n] = hook_free(s->hooks[s->n]);
            return r;
        }
    }
    s->failed = 0;
    return 0;
}

static bool is_listed(const uint64_t *ids, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

static int check_numbers(struct auditors *a, struct setting *s,
                         const Stillpoint__Worker__SetHooks *m)
{
    size_t left = 0;
    for (const struct hook *h = a->hooks; h; h = h->next)
        left += !is_listed(m->remove, m->n_remove, h->id);
    if (left + s->n > LIMIT_HOOKS_PER_VM) {
        s->why = "the VM has too many hooks";
        return -E2BIG;
    }
    for (size_t i = 0; i < s->n; i++) {
        bool twice = hook_find(a, s->hooks[i]->id) != NULL;
        for (size_t n = 0; n < i; n++)
            twice = twice || s->hooks[n]->id == s->hooks[i]->id;
        if (twice) {
            s->failed = s->hooks[i]->id;
            s->why = "the VM has a hook of this number";
            return -EEXIST;
        }
    }
    return 0;
}

static const char *no_such(struct inspect_answer *a, const struct hook *h)
{
    if (h->one_frame)
        snprintf(a->text, sizeof a->text, "it has no frame %u", (unsigned)h->frame_index);
    else
        snprintf(a->text, sizeof a->text, "it has no realm %llu", (unsigned long long)h->realm);
    return a->text;
}

static int set_all(struct auditors *a, struct setting *s, const Stillpoint__Worker__SetHooks *m)
{
    int r = make_hooks(a, s, m);
    if (r == 0)
        r = check_numbers(a, s, m);
    for (size_t i = 0; r == 0 && i < s->n; i++) {
        s->n_installed = i + 1; /* also half of it */
        r = install(a, s->hooks[i]);
        if (r < 0) {
            s->failed = s->hooks[i]->id;
            s->why = why_not(r, no_such(s->answer, s->hooks[i]));
        }
    }
    if (r < 0) {
        while (s->n_installed > 0)
            uninstall(a, s->hooks[--s->n_installed]);
        audit_table_tell(&a->table, NULL, NULL);
        return r;
    }
    for (size_t i = 0; i < s->n; i++)
        add(a, TAKE_PTR(s->hooks[i]));
    /* After what was added, so that what both want is never off. */
    for (size_t i = 0; i < m->n_remove; i++) {
        struct hook *h = hook_find(a, m->remove[i]);
        if (h) /* it may have ended by itself, and that be on its way */
            remove_hook(a, h);
    }
    tell(a);
    return 0;
}

static void end_gone(struct auditors *a);

static int serve_set_hooks(void *userdata, const Stillpoint__Worker__Inspect *m,
                           struct inspect_answer *answer)
{
    struct auditors *a = userdata;
    if (!a->ops->debug) {
        answer->why = "this engine has no auditors";
        return -EOPNOTSUPP;
    }
    if (!m->set_hooks)
        return -EINVAL;
    struct setting s = {.answer = answer};
    int r = set_all(a, &s, m->set_hooks);
    answer->why = s.why;
    uint64_t *failed = s.failed != 0 ? shown_array(&answer->shown, 1, sizeof *failed) : NULL;
    if (failed) {
        *failed = s.failed;
        answer->body.failed_hooks = failed;
        answer->body.n_failed_hooks = 1;
    }
    for (size_t i = 0; i < s.n; i++)
        hook_free(s.hooks[i]);
    free(s.hooks);
    end_gone(a);
    return r;
}

static int serve_step(void *userdata, const Stillpoint__Worker__Inspect *m,
                      struct inspect_answer *answer)
{
    struct auditors *a = userdata;
    if (!a->ops->debug) {
        answer->why = "this engine has no steps";
        return -EOPNOTSUPP;
    }
    if (!m->step)
        return -EINVAL;
    struct step_place at = {0};
    if (m->step->at)
        at = (struct step_place){m->step->at->url, m->step->at->line, m->step->at->column,
                                 m->step->at->offset};
    a->step_waits = false;
    int r = stepper_arm(&a->stepper, m->step->step, (enum step_how)m->step->how,
                        m->step->granularity == 2, &at, &answer->why);
    if (r < 0 && !answer->why)
        answer->why = why_not(r, "there is no such frame");
    answer->body.has_waits = true;
    answer->body.waits = a->stepper.number != 0 && a->stepper.frame == 0;
    end_gone(a);
    return r;
}

static int serve_check_answer(void *userdata, const Stillpoint__Worker__Inspect *m,
                              struct inspect_answer *answer)
{
    struct auditors *a = userdata;
    return m->check_answer
               ? pause_check_answer(a->pauses, a->ops, a->engine, m->check_answer, &answer->why)
               : -EPROTO;
}

void auditors_serve(struct auditors *a, struct inspections *i)
{
    inspections_on(i, INSPECT_SET_HOOKS, serve_set_hooks, a);
    inspections_on(i, INSPECT_STEP, serve_step, a);
    inspections_on(i, INSPECT_CHECK_ANSWER, serve_check_answer, a);
}

/* ---- budgets */

static bool all_spent(const struct auditor *x, uint64_t now_ns, uint64_t *ret_due_ns)
{
    uint64_t due_ns, first = UINT64_MAX;
    for (size_t i = 0; i < x->n_hooks; i++) {
        if (!hook_is_spent(x->hooks[i], now_ns, &due_ns))
            return false;
        first = due_ns < first ? due_ns : first;
    }
    *ret_due_ns = first;
    return x->n_hooks > 0;
}

static void meet_at(struct auditors *a, uint64_t due_ns)
{
    a->due_ns = due_ns;
    safepoint_interrupt_at(a->host->safepoint, due_ns);
}

static void disarm_if_spent(struct auditors *a, struct audit_key key, uint64_t now_ns)
{
    struct auditor *x = audit_table_find(&a->table, key);
    uint64_t due_ns;
    if (!x || !x->armed || !all_spent(x, now_ns, &due_ns))
        return;
    bool first = a->table.n_disarmed == 0;
    (void)audit_table_arm(&a->table, x, false);
    if (first || due_ns < a->due_ns)
        meet_at(a, due_ns);
}

void auditors_look_at_budgets(struct auditors *a)
{
    end_gone(a);
    if (a->due_ns == 0)
        return;
    uint64_t now_ns = shm_now_ns(), due_ns, next_ns = UINT64_MAX;
    if (a->table.n_disarmed > 0 && now_ns < a->due_ns)
        return;
    struct audit_key gone = {0};
    for (struct auditor *x = a->table.served; x; x = x->served_after) {
        if (x->armed)
            continue;
        if (all_spent(x, now_ns, &due_ns))
            next_ns = due_ns < next_ns ? due_ns : next_ns;
        else if (audit_table_arm(&a->table, x, true) == -ENOENT)
            gone = x->key;
    }
    meet_at(a, gone.id != 0 ? now_ns : next_ns == UINT64_MAX ? 0 : next_ns);
    tell(a);
    /* An engine does not say that a frame has ended at which nothing was observed. One at a time:
     * that takes auditors off, and the next look finds the next. */
    if (gone.id != 0)
        auditors_on_gone(a, gone.referent, gone.id);
}

/* ---- hits */

/* What one hit comes to, while its hooks are served. */
struct round {
    const struct engine_hit *hit;
    struct hook *hooks[LIMIT_HOOKS_PER_VM]; /* in the order in which they were set */
    size_t n_hooks;
    uint64_t pausing[LIMIT_HOOKS_PER_VM];
    size_t n_pausing;
    bool evaluating; /* in an evaluation: nothing waits or pauses */
    bool spent;      /* a hook's budget is */
};

static void insert_hook(struct round *r, struct hook *h)
{
    size_t i = r->n_hooks;
    while (i > 0 && r->hooks[i - 1]->order > h->order)
        i--;
    if ((i > 0 && r->hooks[i - 1] == h) || r->n_hooks == LIMIT_HOOKS_PER_VM)
        return;
    memmove(r->hooks + i + 1, r->hooks + i, (r->n_hooks - i) * sizeof *r->hooks);
    r->hooks[i] = h;
    r->n_hooks++;
}

static void collect_from(struct round *r, const struct auditor *x)
{
    for (size_t i = 0; x && i < x->n_hooks; i++)
        insert_hook(r, x->hooks[i]);
}

static bool is_frames(enum engine_audit_kind kind)
{
    return kind == ENGINE_AUDIT_POP || kind == ENGINE_AUDIT_STEP;
}

/* The auditor of the referent at which this kind is observed. */
static struct audit_key key_of(const struct engine_hit *hit)
{
    struct audit_key key = {audit_table_referent(hit->kind), hit->kind, 0, 0};
    switch (key.referent) {
    case ENGINE_REALM:
        key.id = hit->realm;
        break;
    case ENGINE_FRAME:
        key.id = hit->frame;
        break;
    case ENGINE_SCRIPT:
        key.id = hit->script;
        key.offset = hit->offset;
        break;
    default:
        break;
    }
    return key;
}

static struct audit_key key_of_every_frame(const struct engine_hit *hit)
{
    return (struct audit_key){ENGINE_REALM, hit->kind, hit->realm, 0};
}

static void collect(struct auditors *a, struct round *r)
{
    const struct engine_hit *hit = r->hit;
    collect_from(r, audit_table_find(&a->table, key_of(hit)));
    if (!is_frames(hit->kind))
        return;
    const struct auditor *every = audit_table_find(&a->table, key_of_every_frame(hit));
    for (size_t i = 0; every && i < every->n_hooks; i++)
        if (audit_table_covers(&a->table, every->hooks[i], hit->frame))
            insert_hook(r, every->hooks[i]);
}

static struct capture *new_capture(void)
{
    struct capture *c = capture_new();
    if (!c)
        safepoint_orphaned();
    return c;
}

static void send_hit(struct auditors *a, struct hook *h, Stillpoint__Worker__Hit *m,
                     struct round *r)
{
    bool pauses = h->suspend != HOOK_SUSPEND_NONE && !r->evaluating;
    m->has_vm_seq = m->has_epoch = m->has_hits = m->has_dropped = true;
    m->vm_seq = ++a->vm_seq;
    m->epoch = shm_world_epoch(SHM_LOAD(&a->host->safepoint->gate.world->word));
    m->hits = h->hits;
    m->dropped = h->dropped;
    if (pauses) {
        m->has_pause = true;
        m->pause = safepoint_next_pause(a->host->safepoint);
        r->pausing[r->n_pausing++] = h->id;
    }
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_HIT;
    fact.hit = m;
    send(a, &fact);
}

static void report(struct auditors *a, struct hook *h, struct round *r, const char *error)
{
    struct capture *c = new_capture();
    uint64_t start_ns = shm_now_ns(), due_ns;
    bool forbidden = safepoint_forbid_waits(a->host->safepoint, true);
    Stillpoint__Worker__Hit *m = capture_hit(c, h, a->ops, a->engine, r->hit, error);
    (void)safepoint_forbid_waits(a->host->safepoint, forbidden);
    uint64_t now_ns = shm_now_ns();
    hook_captured(h, now_ns - start_ns, stillpoint__worker__hit__get_packed_size(m));
    if (h->removed) {
        /* By a request that was served while it was captured. */
    } else if (host_make_room(a->host) < 0) {
        h->hits--;
        h->dropped++;
    } else {
        send_hit(a, h, m, r);
    }
    capture_free(c);
    if (!h->removed && hook_is_used_up(h)) {
        end_hook(a, h, HOOK_USED_UP);
        tell(a);
    }
    r->spent = r->spent || hook_is_spent(h, now_ns, &due_ns);
    let_it_read(a);
}

static void serve_hook(struct auditors *a, struct hook *h, struct round *r)
{
    const char *error = NULL;
    if (h->removed || !hook_matches(h, r->hit))
        return;
    bool forbidden = safepoint_forbid_waits(a->host->safepoint, true);
    bool passes = hook_condition(h, a->ops, a->engine, r->hit, &error);
    (void)safepoint_forbid_waits(a->host->safepoint, forbidden);
    if (!passes || h->removed)
        return;
    enum hook_admission admission = hook_admit(h, shm_now_ns());
    if (admission == HOOK_REPORT)
        report(a, h, r, error);
    r->spent = r->spent || admission == HOOK_DROP;
}

static void disarm_spent(struct auditors *a, const struct engine_hit *hit)
{
    uint64_t now_ns = shm_now_ns();
    disarm_if_spent(a, key_of(hit), now_ns);
    if (is_frames(hit->kind))
        disarm_if_spent(a, key_of_every_frame(hit), now_ns);
    tell(a);
}

/* ---- pausing */

static enum pause_reason reason_of(enum engine_audit_kind kind)
{
    switch (kind) {
    case ENGINE_AUDIT_BREAKPOINT:
        return PAUSE_BREAKPOINT;
    case ENGINE_AUDIT_EXCEPTION_UNWIND:
        return PAUSE_EXCEPTION;
    case ENGINE_AUDIT_DEBUGGER_STATEMENT:
        return PAUSE_DEBUGGER_STATEMENT;
    default:
        return PAUSE_HOOK;
    }
}

/* Whether a breakpoint comes that may pause: an engine reports a step before one at the same place.
 * Of a step it says the place, not the offset. */
static bool breakpoint_follows(const struct auditors *a, const struct engine_hit *hit)
{
    for (const struct auditor *x = NULL;
         (x = audit_table_next_breakpoint(&a->table, hit->script, x));)
        for (size_t i = 0; x->on && x->line == hit->place.line && x->column == hit->place.column &&
                           x->place_offset == hit->place.offset && i < x->n_hooks;
             i++)
            if (x->hooks[i]->suspend != HOOK_SUSPEND_NONE)
                return true;
    return false;
}

/* Of several hits the first says where. */
static void pause_at_start(struct auditors *a, Stillpoint__Worker__Paused *m)
{
    if (a->at_start) {
        m->location = a->at_start->location;
        m->frame = a->at_start->frame;
        m->value = a->at_start->value;
    }
    uint64_t hooks[LIMIT_HOOKS_PER_VM];
    size_t n = 0;
    for (size_t i = 0; a->at_start && i < a->at_start->n_hooks; i++)
        hooks[n++] = a->at_start->hooks[i];
    for (size_t i = 0; i < m->n_hooks && n < LIMIT_HOOKS_PER_VM; i++)
        if (!is_listed(hooks, n, m->hooks[i]))
            hooks[n++] = m->hooks[i];
    m->hooks = hooks;
    m->n_hooks = n;
    size_t bytes = stillpoint__worker__paused__get_packed_size(m);
    _cleanup_free_ uint8_t *packed = malloc(bytes + 1);
    if (!packed)
        safepoint_orphaned();
    stillpoint__worker__paused__pack(m, packed);
    if (a->at_start)
        stillpoint__worker__paused__free_unpacked(a->at_start, NULL);
    a->at_start = stillpoint__worker__paused__unpack(NULL, bytes, packed);
    if (!a->at_start)
        safepoint_orphaned();
}

void auditors_start(struct auditors *a)
{
    Stillpoint__Worker__Paused *m = TAKE_PTR(a->at_start);
    struct engine_answer ignored;
    if (!m)
        return;
    pause_here(a->pauses, m, 0, &ignored);
    stillpoint__worker__paused__free_unpacked(m, NULL);
}

static void pause_at(struct auditors *a, const struct round *r, bool step_ends,
                     struct engine_answer *ret_answer)
{
    Stillpoint__Worker__Paused m = STILLPOINT__WORKER__PAUSED__INIT;
    enum pause_reason reason = r->n_pausing > 0 ? reason_of(r->hit->kind) : 0;
    if (step_ends) {
        reason = reason == 0 ? PAUSE_STEP : pause_more_specific(reason, PAUSE_STEP);
        m.has_step = true;
        m.step = a->stepper.number;
        stepper_forget(&a->stepper);
        a->step_waits = false;
    }
    m.has_reason = true;
    m.reason = reason;
    m.n_hooks = r->n_pausing;
    m.hooks = (uint64_t *)(uintptr_t)r->pausing;
    struct capture *c = new_capture();
    safepoint_looked(a->host->safepoint); /* the value has a ref */
    capture_pause(c, &m, a->ops, a->engine, r->hit);
    if (a->host->safepoint->state == SHM_STARTING)
        pause_at_start(a, &m);
    else
        pause_here(a->pauses, &m, pause_choices_at(r->hit), ret_answer);
    capture_free(c);
}

static void look(struct auditors *a, struct round *r, struct engine_answer *ret_answer)
{
    collect(a, r);
    /* Before any guest code of the hooks: conditions are not stepped through. */
    uint64_t step = a->stepper.number;
    bool step_ends = !r->evaluating && (a->step_waits || stepper_ends(&a->stepper, r->hit));
    for (size_t i = 0; i < r->n_hooks; i++)
        serve_hook(a, r->hooks[i], r);
    if (r->spent)
        disarm_spent(a, r->hit);
    /* Requests that were served meanwhile may have forgotten it, or armed another. */
    step_ends = step_ends && a->stepper.number == step;
    if (step_ends && r->n_pausing == 0 && r->hit->kind == ENGINE_AUDIT_STEP && !a->step_waits &&
        breakpoint_follows(a, r->hit)) {
        a->step_waits = true;
        return;
    }
    if (step_ends || r->n_pausing > 0)
        pause_at(a, r, step_ends, ret_answer);
}

int auditors_on_hit(struct auditors *a, const struct engine_hit *hit,
                    struct engine_answer *ret_answer)
{
    struct round r;
    r.hit = hit;
    r.n_hooks = r.n_pausing = 0;
    r.evaluating = is_evaluating(a);
    r.spent = false;
    auditors_look_at_budgets(a);
    a->depth++;
    if (hit->kind == ENGINE_AUDIT_ENTER_FRAME)
        audit_table_entered(&a->table, hit->frame, hit->realm, a->last_order);
    if (hit->kind == ENGINE_AUDIT_NEW_SCRIPT) {
        bind_new_script(a, hit->place.url);
        tell(a);
    }
    look(a, &r, ret_answer);
    if (--a->depth == 0)
        free_list(&a->removed);
    return 0;
}

bool auditors_want_breakpoint(struct auditors *a, uint64_t script, uint64_t offset)
{
    /* A step may end there, a budget or a referent wait for the next hit. */
    if (a->stepper.number != 0 || a->step_waits || a->due_ns != 0 || a->gone)
        return true;
    struct audit_key key = {ENGINE_SCRIPT, ENGINE_AUDIT_BREAKPOINT, script, offset};
    const struct auditor *x = audit_table_find(&a->table, key);
    if (!x || x->n_hooks == 0)
        return true;
    for (size_t i = 0; i < x->n_hooks; i++)
        if (!hook_fails_comparison(x->hooks[i], a->ops, a->engine))
            return true;
    return false;
}

/* ---- referents that come and go */

static void lost(void *userdata, struct hook *h)
{
    (void)userdata;
    h->rebound = h->rebound || h->kind == ENGINE_AUDIT_BREAKPOINT;
}

static bool is_only_there(const struct hook *h, enum engine_referent referent, uint64_t id)
{
    return (referent == ENGINE_REALM && h->realm == id) ||
           (referent == ENGINE_FRAME && h->one_frame && h->frame == id);
}

static void end_referent(struct auditors *a, enum engine_referent referent, uint64_t id)
{
    audit_table_gone(&a->table, referent, id, lost, NULL);
    stepper_gone(&a->stepper, referent, id);
    for (struct hook *h = a->hooks, *next; h; h = next) {
        next = h->next;
        if (is_only_there(h, referent, id))
            end_hook(a, h, HOOK_REFERENT_GONE);
    }
    tell(a);
}

/* What was told while somebody held on to auditors, hooks or frames. */
static void end_gone(struct auditors *a)
{
    while (a->gone && a->table.in_engine == 0) {
        struct audit_gone *g = take_gone(a);
        end_referent(a, g->referent, g->id);
        free(g);
    }
}

void auditors_on_gone(struct auditors *a, enum engine_referent referent, uint64_t id)
{
    struct audit_gone *g = malloc(sizeof *g);
    if (!g)
        safepoint_orphaned();
    *g = (struct audit_gone){.referent = referent, .id = id};
    *a->end_of_gone = g;
    a->end_of_gone = &g->next;
    end_gone(a);
}

void auditors_on_realm(struct auditors *a, uint64_t realm)
{
    if (audit_table_realm_new(&a->table, realm) == 1)
        return;
    for (struct hook *h = a->hooks; h; h = h->next)
        if (h->watches && hook_realm(a, h, realm) < 0)
            continue; /* it is not in that realm, and no fact says that it was */
    tell(a);
    let_it_read(a);
}
