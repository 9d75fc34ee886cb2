/* The JSON of hooks, auditors, hits and of what is seen of a stopped VM. */
#include "cli/json.h"

json_t *json_of_location(const struct stillpoint_location *l)
{
    if (!l)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "url", json_of_some_text(l->url), "line",
                     json_of_number_or_null(l->line), "column", json_of_number_or_null(l->column),
                     "function", json_of_some_text(l->function), "offset",
                     l->has_offset ? json_of_number(l->offset) : json_null());
}

/* ---- hooks */

static json_t *texts(const char *const *items, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_of_text(items[i]));
    return list;
}

static json_t *filter(const struct stillpoint_hook_filter *f)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b}", "url", json_of_text(f->url),
                     "function", json_of_text(f->function), "line_from",
                     json_of_number_or_null(f->line_from), "line_to",
                     json_of_number_or_null(f->line_to), "if", json_of_text(f->condition), "skip",
                     json_of_number(f->skip), "count", json_of_number_or_null(f->count), "thrown",
                     f->thrown, "wasm", f->wasm);
}

static json_t *budget(const struct stillpoint_hook_budget *b)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "per_second",
                     b->has_per_second ? json_of_number_or_null(b->per_second) : json_null(),
                     "total", json_of_number_or_null(b->total), "capture_us",
                     json_of_number_or_null(b->capture_us), "capture_bytes",
                     json_of_number_or_null(b->capture_bytes));
}

static json_t *capture(const struct stillpoint_hook_capture *c)
{
    return json_pack("{s:o, s:b, s:b, s:o}", "stack", json_of_number(c->stack_depth), "arguments",
                     c->arguments, "value", !c->no_value, "expressions",
                     texts(c->expressions, c->n_expressions));
}

static json_t *bound(const struct stillpoint_bound *b)
{
    return json_pack("{s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "vm", json_of_number(b->vm),
                     "pending", b->pending, "error", json_of_text(b->error), "url",
                     json_of_some_text(b->url), "line", json_of_number_or_null(b->line), "column",
                     json_of_number_or_null(b->column), "function", json_of_some_text(b->function),
                     "offset", b->has_offset ? json_of_number(b->offset) : json_null());
}

/* Of a breakpoint: where it is in the first VM in which it is, else where it was asked for. */
static json_t *where(const struct stillpoint_hook *h)
{
    if (!h->at)
        return json_null();
    struct stillpoint_location l = {
        .url = h->at->url,
        .function = "",
        .line = h->at->line,
        .column = h->at->column,
        .has_offset = h->at->has_offset,
        .offset = h->at->offset,
    };
    for (size_t i = 0; i < h->n_bound; i++) {
        const struct stillpoint_bound *b = &h->bound[i];
        if (b->pending || b->error)
            continue;
        l = (struct stillpoint_location){
            .url = b->url[0] ? b->url : l.url,
            .function = b->function,
            .line = b->line,
            .column = b->column,
            .has_offset = b->has_offset,
            .offset = b->offset,
        };
        break;
    }
    return json_of_location(&l);
}

json_t *json_of_hook(const struct stillpoint_hook *h)
{
    json_t *places = json_array();
    for (size_t i = 0; i < h->n_bound; i++)
        json_array_append_new(places, bound(&h->bound[i]));
    return json_pack(
        "{s:o, s:o, s:s, s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o, "
        "s:o, s:o, s:o, s:b}",
        "hook", json_of_number(h->id), "debugger", json_of_text(h->debugger_name), "kind",
        stillpoint_hook_kind_text(h->kind), "target", json_of_text(h->target), "location", where(h),
        "bound", places, "suspend", stillpoint_suspend_text(h->suspend), "granularity",
        stillpoint_granularity_text(h->granularity), "filter", filter(&h->filter), "budget",
        budget(&h->budget), "capture", capture(&h->capture), "log", json_of_text(h->log), "realm",
        json_of_number_or_null(h->realm), "weak", h->weak, "note", json_of_some_text(h->note),
        "since_us", json_of_number(h->since_us), "vms", json_of_number(h->vms), "hits",
        json_of_number(h->hits), "dropped", json_of_number(h->dropped), "spent", h->spent);
}

json_t *json_of_hooks(const struct stillpoint_hooks *hooks)
{
    json_t *list = json_array();
    for (size_t i = 0; i < hooks->n; i++)
        json_array_append_new(list, json_of_hook(&hooks->items[i]));
    return json_pack("{s:o}", "hooks", list);
}

json_t *json_of_auditor(const struct stillpoint_auditor *a)
{
    json_t *list = json_array();
    for (size_t i = 0; i < a->n_serves; i++) {
        const struct stillpoint_auditor_serves *s = &a->serves[i];
        json_array_append_new(
            list, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "id", json_of_number(s->debugger),
                            "name", json_of_text(s->name), "hook", json_of_number(s->hook), "hits",
                            json_of_number(s->hits), "dropped", json_of_number(s->dropped),
                            "since_us", json_of_number(s->since_us)));
    }
    return json_pack("{s:o, s:s, s:o, s:s, s:o, s:b, s:o}", "vm", json_of_number(a->vm), "referent",
                     stillpoint_referent_kind_text(a->referent), "referent_id",
                     json_of_number_or_null(a->referent_id), "kind",
                     stillpoint_hook_kind_text(a->kind), "label", json_of_some_text(a->label),
                     "armed", a->armed, "debuggers", list);
}

/* ---- values */

static json_t *value(const struct stillpoint_value *v)
{
    if (!v)
        return json_null();
    return json_pack("{s:s, s:o, s:o, s:o, s:b}", "type", stillpoint_value_type_text(v->type),
                     "preview", json_of_text(v->preview), "ref", json_of_number_or_null(v->ref),
                     "class", json_of_some_text(v->class_name), "truncated", v->truncated);
}

json_t *json_of_variable(const struct stillpoint_named_value *v)
{
    json_t *variable = json_pack("{s:o}", "name", json_of_text(v->name)), *what = value(&v->value);
    json_object_update(variable, what);
    json_decref(what);
    json_object_set_new(variable, "writable", json_boolean(v->writable));
    json_object_set_new(variable, "getter", json_boolean(v->getter));
    json_object_set_new(variable, "threw", json_boolean(v->threw));
    return variable;
}

json_t *json_of_evaluated(const struct stillpoint_vm *vm, const struct stillpoint_evaluated *e)
{
    json_t *result = value(&e->value);
    json_object_set_new(result, "value", json_of_json(e->json));
    return json_pack("{s:o, s:b, s:o}", "vm", json_of_number(vm->id), "threw", e->threw, "result",
                     result);
}

/* ---- hits */

static json_t *named(const struct stillpoint_named_value *values, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_of_variable(&values[i]));
    return list;
}

static json_t *hit_data(const struct stillpoint_hit *h)
{
    json_t *frames = json_array();
    for (size_t i = 0; i < h->n_frames; i++)
        json_array_append_new(frames, json_of_frame(&h->frames[i]));
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "realm",
        json_of_number_or_null(h->realm), "frame_id", json_of_number_or_null(h->frame_id),
        "script_id", json_of_number_or_null(h->script_id), "promise_id",
        json_of_number_or_null(h->promise_id), "value", value(h->value), "completion",
        json_of_text(h->completion), "frames", frames, "arguments",
        named(h->arguments, h->n_arguments), "expressions", named(h->expressions, h->n_expressions),
        "log", json_of_text(h->log), "condition_error", json_of_text(h->condition_error), "paused",
        json_of_text(h->paused), "hits", json_of_number(h->hits), "budget_dropped",
        json_of_number(h->budget_dropped), "source_map", json_of_text(h->source_map), "wasm",
        h->wasm);
}

json_t *json_of_hit(const struct stillpoint_hit *h, const char *debugger)
{
    if (h->dropped > 0)
        return json_of_dropped(h->dropped, h->before_seq);
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "seq",
                     json_of_number(h->seq), "debugger", json_of_text(debugger), "hook",
                     json_of_number(h->hook), "vm", json_of_number(h->vm), "name",
                     json_of_some_text(h->vm_name), "kind", stillpoint_hook_kind_text(h->kind),
                     "time_us", json_of_number(h->time_us), "mono_ns", json_of_number(h->mono_ns),
                     "epoch", json_of_number(h->epoch), "vm_seq", json_of_number(h->vm_seq),
                     "location", json_of_location(h->location), "data", hit_data(h));
}

/* ---- a stopped VM */

json_t *json_of_stack(const struct stillpoint_vm *vm, bool truncated)
{
    return json_pack("{s:o, s:o, s:n, s:[], s:b}", "vm", json_of_number(vm->id), "name",
                     json_of_text(vm->name), "error", "frames", "truncated", truncated);
}

json_t *json_of_step(const struct stillpoint_vm *vm, const struct stillpoint_stepped *s)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "vm", json_of_number(vm->id), "name",
                     json_of_text(vm->name), "reason", json_of_text(s->reason), "frame",
                     s->frame ? json_of_frame(s->frame) : json_null(), "world",
                     json_of_text(s->world ? s->world->name : NULL), "mode",
                     json_of_text(s->world ? stillpoint_world_mode_text(s->world->mode) : NULL));
}

json_t *json_of_source(const struct stillpoint_source *s)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "source", json_of_number(s->id), "url",
                     json_of_text(s->url), "kind", json_of_text(s->kind), "text_bytes",
                     json_of_number(s->text_bytes), "lines", json_of_number(s->lines), "source_map",
                     json_of_text(s->source_map));
}
