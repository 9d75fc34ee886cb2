#include "daemon/hook_message.h"

#include <stdio.h>
#include <stdlib.h>

#include "daemon/debugger.h"

typedef Stillpoint__Api__Hook Hook;

const char *hook_message_kind(unsigned kind)
{
#define KIND(name, text) [STILLPOINT__API__HOOK_KIND__HOOK_##name] = (text)
    static const char *const names[] = {
        KIND(NEW_GLOBAL, "new-global"),
        KIND(ENTER_FRAME, "enter-frame"),
        KIND(DEBUGGER_STATEMENT, "debugger-statement"),
        KIND(EXCEPTION_UNWIND, "exception-unwind"),
        KIND(NEW_SCRIPT, "new-script"),
        KIND(NEW_PROMISE, "new-promise"),
        KIND(PROMISE_SETTLED, "promise-settled"),
        KIND(POP, "pop"),
        KIND(STEP, "step"),
        KIND(BREAKPOINT, "breakpoint"),
    };
#undef KIND
    return kind > 0 && kind < sizeof names / sizeof *names ? names[kind] : "hook";
}

static void fill_target(char *to, size_t size, const struct audit_where *where)
{
    static const char *const names[] = {
        [AUDIT_VM] = "vm", [AUDIT_SELECTOR] = "selector", [AUDIT_WORLD] = "world"};
    bool world = where->target == AUDIT_WORLD;
    snprintf(to, size, "%s %s%s%s%s%s", names[where->target], world ? where->world : where->name,
             !world && where->world[0] ? " world " : "", world ? "" : where->world,
             where->engine[0] ? " engine " : "", where->engine);
}

static void fill_filter(struct hook_message *m, const Stillpoint__Worker__Hook *wire)
{
    Stillpoint__Api__HookFilter *f = &m->filter;
    stillpoint__api__hook_filter__init(f);
    f->url = wire->url;
    f->function = wire->function;
    f->condition = wire->condition;
    API_SET(f, line_from, wire->line_from);
    API_SET(f, line_to, wire->line_to);
    if (wire->wasm)
        API_SET(f, wasm, 1);
    if (wire->thrown)
        API_SET(f, thrown, 1);
    API_SET(f, skip, wire->skip);
    API_SET(f, count, wire->count);
    m->m.filter = f;
}

static void fill_budget(struct hook_message *m, const Stillpoint__Worker__Hook *wire)
{
    Stillpoint__Api__HookBudget *b = &m->budget;
    stillpoint__api__hook_budget__init(b);
    API_SET(b, per_second, wire->per_second);
    API_SET(b, total, wire->total);
    API_SET(b, capture_us, wire->capture_us);
    API_SET(b, capture_bytes, wire->capture_bytes);
    m->m.budget = b;
}

static void fill_capture(struct hook_message *m, const Stillpoint__Worker__Hook *wire)
{
    Stillpoint__Api__HookCapture *c = &m->capture;
    stillpoint__api__hook_capture__init(c);
    API_SET(c, stack_depth, wire->stack_depth);
    API_SET(c, arguments, wire->arguments);
    API_SET(c, value, wire->value);
    c->n_expressions = wire->n_expressions;
    c->expressions = wire->expressions;
    m->m.capture = c;
}

static void fill_at(struct hook_message *m, const Stillpoint__Worker__Place *place)
{
    Stillpoint__Api__BreakpointAt *at = &m->at;
    stillpoint__api__breakpoint_at__init(at);
    at->url = place->url;
    API_SET(at, line, place->line);
    API_SET(at, column, place->column);
    if (place->has_offset)
        API_SET(at, offset, place->offset);
    m->m.at = at;
}

static Stillpoint__Api__BoundAt *next_place(struct hook_message *m, uint64_t vm)
{
    if (m->m.n_bound == HOOK_MESSAGE_PLACES)
        return NULL;
    Stillpoint__Api__BoundAt *to = m->place_at[m->m.n_bound] = &m->places[m->m.n_bound];
    m->m.n_bound++;
    stillpoint__api__bound_at__init(to);
    API_SET(to, vm, vm);
    return to;
}

/* Where it is in one VM, or why it is nowhere there. */
static void fill_part(struct hook_message *m, const struct audit_part *part)
{
    Stillpoint__Api__BoundAt *to;
    uint64_t vm = audit_part_vm(part);
    if (part->error && (to = next_place(m, vm)) != NULL) {
        to->error = part->error;
    } else if (part->pending && part->n_places == 0 && (to = next_place(m, vm)) != NULL) {
        API_SET(to, pending, 1);
    }
    for (size_t i = 0; i < part->n_places && (to = next_place(m, vm)) != NULL; i++) {
        const struct audit_place *p = &part->places[i];
        to->url = p->url;
        to->function = p->function;
        API_SET(to, line, p->line);
        API_SET(to, column, p->column);
        API_SET(to, offset, p->offset);
    }
}

static void fill_places(struct hook_message *m, const struct audit_hook *h)
{
    m->places = calloc(HOOK_MESSAGE_PLACES, sizeof *m->places);
    m->place_at = calloc(HOOK_MESSAGE_PLACES, sizeof(Stillpoint__Api__BoundAt *));
    if (!m->places || !m->place_at)
        return;
    m->m.bound = m->place_at;
    for (const struct audit_part *part = h->parts; part; part = part->next_of_hook)
        fill_part(m, part);
}

static uint32_t count_vms(const struct audit_hook *h)
{
    uint32_t n = 0;
    for (const struct audit_part *part = h->parts; part; part = part->next_of_hook)
        n += part->state == AUDIT_PART_THERE;
    return n;
}

void hook_message_fill(struct hook_message *m, const struct api *api, const struct audit_hook *h,
                       bool brief)
{
    const struct debugger *d = debuggers_find(api->debuggers, h->debugger);
    const Stillpoint__Worker__Hook *wire = h->wire;
    Hook *to = &m->m;
    *m = (struct hook_message){.places = NULL};
    stillpoint__api__hook__init(to);
    API_SET(to, hook, h->id);
    API_SET(to, debugger, h->debugger);
    to->debugger_name = API_TEXT(d ? d->name : "");
    API_SET(to, kind, (Stillpoint__Api__HookKind)wire->kind);
    fill_target(m->target, sizeof m->target, &h->where);
    to->target = m->target;
    API_SET(to, since_us, h->since_us);
    API_SET(to, vms, count_vms(h));
    API_SET(to, hits, h->hits);
    API_SET(to, dropped, h->dropped);
    API_SET(to, spent, audit_is_spent(h));
    if (brief)
        return;
    fill_filter(m, wire);
    fill_budget(m, wire);
    fill_capture(m, wire);
    API_SET(to, suspend, (Stillpoint__Api__Suspend)wire->suspend);
    if (wire->granularity != 0)
        API_SET(to, granularity, (Stillpoint__Api__Granularity)wire->granularity);
    if (wire->at)
        fill_at(m, wire->at);
    to->log = wire->log;
    API_SET(to, weak, h->weak);
    API_SET(to, realm, wire->realm);
    to->note = h->note;
    fill_places(m, h);
}

void hook_message_done(struct hook_message *m)
{
    free(m->places);
    free(m->place_at);
}

/* ---- auditors */

void hook_message_fill_auditor(struct auditor_message *m, const struct api *api,
                               const struct audit_auditor *auditor)
{
    Stillpoint__Api__Auditor *to = &m->m;
    *m = (struct auditor_message){.serves = NULL};
    stillpoint__api__auditor__init(to);
    API_SET(to, vm, auditor->vm);
    API_SET(to, referent, (Stillpoint__Api__ReferentKind)auditor->referent);
    API_SET(to, referent_id, auditor->referent_id);
    API_SET(to, kind, (Stillpoint__Api__HookKind)auditor->kind);
    to->label = auditor->label;
    API_SET(to, armed, auditor->armed);
    m->serves = calloc(auditor->n_hooks + 1, sizeof *m->serves);
    m->serve_at = calloc(auditor->n_hooks + 1, sizeof(Stillpoint__Api__AuditorServes *));
    if (!m->serves || !m->serve_at)
        return;
    to->serves = m->serve_at;
    for (size_t i = 0; i < auditor->n_hooks; i++) {
        const struct audit_part *part = audit_find_part(api->audit, auditor->vm, auditor->hooks[i]);
        if (!part || !part->hook)
            continue; /* it was removed, and the VM has not said so yet */
        const struct debugger *d = debuggers_find(api->debuggers, part->hook->debugger);
        Stillpoint__Api__AuditorServes *s = m->serve_at[to->n_serves] = &m->serves[to->n_serves];
        to->n_serves++;
        stillpoint__api__auditor_serves__init(s);
        API_SET(s, debugger, part->hook->debugger);
        s->name = API_TEXT(d ? d->name : "");
        API_SET(s, hook, part->hook->id);
        API_SET(s, hits, part->hits);
        API_SET(s, dropped, part->dropped);
        API_SET(s, since_us, part->hook->since_us);
    }
}

void hook_message_done_auditor(struct auditor_message *m)
{
    free(m->serves);
    free(m->serve_at);
}
