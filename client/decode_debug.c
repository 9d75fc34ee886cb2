/* Hooks, auditors, hits and what is seen of a stopped VM, as the structs of stillpoint.h. */
#include "client/decode.h"

#include <errno.h>

#define SAME(public, wire) _Static_assert((int)(public) == (int)(wire), #public)
SAME(STILLPOINT_HOOK_BREAKPOINT, STILLPOINT__API__HOOK_KIND__HOOK_BREAKPOINT);
SAME(STILLPOINT_REFERENT_SCRIPT, STILLPOINT__API__REFERENT_KIND__REFERENT_SCRIPT);
SAME(STILLPOINT_SUSPEND_WORLD, STILLPOINT__API__SUSPEND__SUSPEND_WORLD);
SAME(STILLPOINT_GRANULARITY_OPERATION, STILLPOINT__API__GRANULARITY__GRANULARITY_OPERATION);
SAME(STILLPOINT_VALUE_UNAVAILABLE, STILLPOINT__API__VALUE_TYPE__VALUE_UNAVAILABLE);
SAME(STILLPOINT_ANSWER_TERMINATE, STILLPOINT__API__PAUSE_ANSWER__ANSWER_TERMINATE);
SAME(STILLPOINT_STEP_TO, STILLPOINT__API__STEP_HOW__STEP_TO);
SAME(STILLPOINT_STEP_OTHERS_RUN, STILLPOINT__API__STEP_OTHERS__STEP_OTHERS_RUN);

/* ---- values and places */

void decode_value(struct stillpoint_memory *m, const Stillpoint__Api__Value *v,
                  struct stillpoint_value *ret)
{
    static const Stillpoint__Api__Value nothing = STILLPOINT__API__VALUE__INIT;
    if (!v)
        v = &nothing;
    *ret = (struct stillpoint_value){
        .type = v->has_type ? (enum stillpoint_value_type)v->type : STILLPOINT_VALUE_UNAVAILABLE,
        .preview = memory_text(m, v->preview),
        .ref = v->ref,
        .class_name = memory_text(m, v->class_name),
        .truncated = v->truncated,
    };
}

const struct stillpoint_value *decode_value_or_null(struct stillpoint_memory *m,
                                                    const Stillpoint__Api__Value *v)
{
    struct stillpoint_value *copy = v ? memory_array(m, 1, sizeof *copy) : NULL;
    if (copy)
        decode_value(m, v, copy);
    return copy;
}

const struct stillpoint_named_value *decode_named(struct stillpoint_memory *m,
                                                  Stillpoint__Api__NamedValue *const *values,
                                                  size_t n, size_t *ret_n)
{
    struct stillpoint_named_value *copy = memory_array(m, n, sizeof *copy);
    *ret_n = copy ? n : 0;
    for (size_t i = 0; i < *ret_n; i++) {
        copy[i] = (struct stillpoint_named_value){
            .name = memory_text(m, values[i]->name),
            .writable = values[i]->writable,
            .getter = values[i]->getter,
            .threw = values[i]->threw,
        };
        decode_value(m, values[i]->value, &copy[i].value);
    }
    return copy;
}

void decode_location(struct stillpoint_memory *m, const Stillpoint__Api__Location *l,
                     struct stillpoint_location *ret)
{
    *ret = (struct stillpoint_location){
        .url = memory_text(m, l->url),
        .function = memory_text(m, l->function),
        .line = l->line,
        .column = l->column,
        .has_offset = l->has_offset,
        .offset = l->offset,
    };
}

const struct stillpoint_location *decode_location_or_null(struct stillpoint_memory *m,
                                                          const Stillpoint__Api__Location *l)
{
    struct stillpoint_location *copy = l ? memory_array(m, 1, sizeof *copy) : NULL;
    if (copy)
        decode_location(m, l, copy);
    return copy;
}

void decode_source(struct stillpoint_memory *m, const Stillpoint__Api__Source *s,
                   struct stillpoint_source *ret)
{
    static const Stillpoint__Api__Source nothing = STILLPOINT__API__SOURCE__INIT;
    if (!s)
        s = &nothing;
    *ret = (struct stillpoint_source){
        .id = s->source,
        .url = memory_text(m, s->url),
        .kind = memory_text(m, s->kind),
        .text_bytes = s->text_bytes,
        .source_map = s->source_map && s->source_map[0] ? memory_text(m, s->source_map) : NULL,
        .lines = s->lines,
    };
}

/* ---- hooks */

static const char *some_text(struct stillpoint_memory *m, const char *text)
{
    return text && text[0] ? memory_text(m, text) : NULL;
}

static void decode_filter(struct stillpoint_memory *m, const Stillpoint__Api__HookFilter *f,
                          struct stillpoint_hook_filter *ret)
{
    if (!f)
        return;
    *ret = (struct stillpoint_hook_filter){
        .url = some_text(m, f->url),
        .function = some_text(m, f->function),
        .line_from = f->line_from,
        .line_to = f->line_to,
        .wasm = f->wasm,
        .thrown = f->thrown,
        .condition = some_text(m, f->condition),
        .skip = f->skip,
        .count = f->count,
    };
}

static void decode_budget(const Stillpoint__Api__HookBudget *b, struct stillpoint_hook_budget *ret)
{
    if (!b)
        return;
    *ret = (struct stillpoint_hook_budget){
        .has_per_second = b->has_per_second,
        .per_second = b->per_second,
        .total = b->total,
        .capture_us = b->capture_us,
        .capture_bytes = b->capture_bytes,
    };
}

static void decode_capture(struct stillpoint_memory *m, const Stillpoint__Api__HookCapture *c,
                           struct stillpoint_hook_capture *ret)
{
    if (!c)
        return;
    *ret = (struct stillpoint_hook_capture){
        .stack_depth = c->stack_depth,
        .arguments = c->arguments,
        .no_value = c->has_value && !c->value,
    };
    ret->expressions = decode_texts(m, c->expressions, c->n_expressions, &ret->n_expressions);
}

static const struct stillpoint_position *decode_at(struct stillpoint_memory *m,
                                                   const Stillpoint__Api__BreakpointAt *at)
{
    struct stillpoint_position *copy = at ? memory_array(m, 1, sizeof *copy) : NULL;
    if (copy)
        *copy = (struct stillpoint_position){
            .url = memory_text(m, at->url),
            .line = at->line,
            .column = at->column,
            .has_offset = at->has_offset,
            .offset = at->offset,
        };
    return copy;
}

static const struct stillpoint_bound *decode_bound(struct stillpoint_memory *m,
                                                   Stillpoint__Api__BoundAt *const *bound, size_t n,
                                                   size_t *ret_n)
{
    struct stillpoint_bound *copy = memory_array(m, n, sizeof *copy);
    *ret_n = copy ? n : 0;
    for (size_t i = 0; i < *ret_n; i++)
        copy[i] = (struct stillpoint_bound){
            .vm = bound[i]->vm,
            .url = memory_text(m, bound[i]->url),
            .function = memory_text(m, bound[i]->function),
            .line = bound[i]->line,
            .column = bound[i]->column,
            .has_offset = bound[i]->has_offset,
            .offset = bound[i]->offset,
            .pending = bound[i]->pending,
            .error = some_text(m, bound[i]->error),
        };
    return copy;
}

int decode_append_hook(const Stillpoint__Api__Hook *h, struct stillpoint_hooks *hooks)
{
    struct stillpoint_memory *m = hooks->memory;
    struct stillpoint_hook *items = decode_grow(hooks->items, hooks->n, sizeof *items);
    if (!items)
        return -ENOMEM;
    hooks->items = items;
    struct stillpoint_hook *item = &items[hooks->n++];
    *item = (struct stillpoint_hook){
        .id = h->hook,
        .debugger = h->debugger,
        .debugger_name = memory_text(m, h->debugger_name),
        .kind = h->has_kind ? (enum stillpoint_hook_kind)h->kind : 0,
        .target = memory_text(m, h->target),
        .suspend = h->has_suspend ? (enum stillpoint_suspend)h->suspend : STILLPOINT_SUSPEND_NONE,
        .granularity = h->has_granularity ? (enum stillpoint_granularity)h->granularity
                                          : STILLPOINT_GRANULARITY_STATEMENT,
        .at = decode_at(m, h->at),
        .log = some_text(m, h->log),
        .weak = h->weak,
        .realm = h->realm,
        .note = memory_text(m, h->note),
        .since_us = h->since_us,
        .vms = h->vms,
        .hits = h->hits,
        .dropped = h->dropped,
        .spent = h->spent,
    };
    decode_filter(m, h->filter, &item->filter);
    decode_budget(h->budget, &item->budget);
    decode_capture(m, h->capture, &item->capture);
    item->bound = decode_bound(m, h->bound, h->n_bound, &item->n_bound);
    return memory_failed(m) ? -ENOMEM : 0;
}

/* ---- auditors */

int decode_append_auditor(const Stillpoint__Api__Auditor *a, struct stillpoint_auditors *auditors)
{
    struct stillpoint_memory *m = auditors->memory;
    struct stillpoint_auditor *items = decode_grow(auditors->items, auditors->n, sizeof *items);
    if (!items)
        return -ENOMEM;
    auditors->items = items;
    struct stillpoint_auditor_serves *serves = memory_array(m, a->n_serves, sizeof *serves);
    size_t n = serves ? a->n_serves : 0;
    for (size_t i = 0; i < n; i++)
        serves[i] = (struct stillpoint_auditor_serves){
            .debugger = a->serves[i]->debugger,
            .name = memory_text(m, a->serves[i]->name),
            .hook = a->serves[i]->hook,
            .hits = a->serves[i]->hits,
            .dropped = a->serves[i]->dropped,
            .since_us = a->serves[i]->since_us,
        };
    items[auditors->n++] = (struct stillpoint_auditor){
        .vm = a->vm,
        .referent = a->has_referent ? (enum stillpoint_referent_kind)a->referent : 0,
        .referent_id = a->referent_id,
        .kind = a->has_kind ? (enum stillpoint_hook_kind)a->kind : 0,
        .label = memory_text(m, a->label),
        .serves = serves,
        .n_serves = n,
        .armed = !a->has_armed || a->armed,
    };
    return memory_failed(m) ? -ENOMEM : 0;
}

/* ---- hits */

static void decode_hit(struct stillpoint_memory *m, const Stillpoint__Api__Hit *h,
                       struct stillpoint_hit *ret)
{
    *ret = (struct stillpoint_hit){
        .seq = h->seq,
        .hook = h->hook,
        .vm = h->vm,
        .vm_name = memory_text(m, h->vm_name),
        .kind = h->has_kind ? (enum stillpoint_hook_kind)h->kind : 0,
        .time_us = h->time_us,
        .mono_ns = h->mono_ns,
        .epoch = h->epoch,
        .vm_seq = h->vm_seq,
        .location = decode_location_or_null(m, h->location),
        .realm = h->realm,
        .frame_id = h->frame_id,
        .script_id = h->script_id,
        .promise_id = h->promise_id,
        .value = decode_value_or_null(m, h->value),
        .completion = some_text(m, h->completion),
        .log = memory_text_or_null(m, h->log),
        .condition_error = some_text(m, h->condition_error),
        .paused = some_text(m, h->paused),
        .hits = h->hits,
        .budget_dropped = h->budget_dropped,
        .source_map = some_text(m, h->source_map),
        .wasm = h->wasm,
        .dropped = h->dropped,
        .before_seq = h->before_seq,
    };
    ret->frames = decode_frames(m, h->frames, h->n_frames, &ret->n_frames);
    ret->arguments = decode_named(m, h->arguments, h->n_arguments, &ret->n_arguments);
    ret->expressions = decode_named(m, h->expressions, h->n_expressions, &ret->n_expressions);
}

void decode_hits(struct stillpoint_memory *m, const Stillpoint__Api__HitPage *p,
                 struct stillpoint_hits *ret)
{
    struct stillpoint_hit *hits = memory_array(m, p->n_hits, sizeof *hits);
    *ret = (struct stillpoint_hits){
        .items = hits,
        .n = hits ? p->n_hits : 0,
        .next_seq = p->next_seq,
        .ended = p->ended,
        .debugger = p->debugger,
    };
    for (size_t i = 0; i < ret->n; i++)
        decode_hit(m, p->hits[i], &hits[i]);
}
