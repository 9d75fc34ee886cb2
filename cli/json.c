#include "cli/json.h"

#include <stdlib.h>
#include <string.h>

/* JSON's integers here are signed; nothing that counts comes near. */
json_t *json_of_number(uint64_t v)
{
    return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

json_t *json_of_number_or_null(uint64_t v)
{
    return v == 0 ? json_null() : json_of_number(v);
}

/* Replaces each byte that is not part of well-formed UTF-8; jansson judges what is. */
static json_t *repaired_text(const char *text, size_t len)
{
    static const char replacement[] = "\xef\xbf\xbd";
    char *copy = malloc(len * 3 + 1);
    size_t to = 0;
    if (!copy)
        return NULL;
    for (size_t i = 0; i < len;) {
        size_t best = 0;
        for (size_t n = 1; n <= 4 && i + n <= len && best == 0; n++) {
            json_t *piece = json_stringn(text + i, n);
            best = piece ? n : 0;
            json_decref(piece);
        }
        memcpy(copy + to, best ? text + i : replacement, best ? best : 3);
        to += best ? best : 3;
        i += best ? best : 1;
    }
    json_t *value = json_stringn(copy, to);
    free(copy);
    return value;
}

json_t *json_of_text_bytes(const char *text, size_t len)
{
    json_t *value = json_stringn(len ? text : "", len);
    return value ? value : repaired_text(text, len);
}

json_t *json_of_text(const char *text)
{
    return text ? json_of_text_bytes(text, strlen(text)) : json_null();
}

json_t *json_of_bytes(const void *data, size_t bytes)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    const unsigned char *from = data;
    char *text = malloc((bytes + 2) / 3 * 4 + 1), *to = text;
    if (!text)
        return NULL;
    for (size_t i = 0; i < bytes; i += 3) {
        unsigned b = i + 1 < bytes ? from[i + 1] : 0, c = i + 2 < bytes ? from[i + 2] : 0;
        unsigned v = (unsigned)from[i] << 16 | b << 8 | c;
        *to++ = letters[v >> 18];
        *to++ = letters[v >> 12 & 63];
        *to++ = letters[i + 1 < bytes ? v >> 6 & 63 : 64];
        *to++ = letters[i + 2 < bytes ? v & 63 : 64];
    }
    json_t *value = json_stringn(text, (size_t)(to - text));
    free(text);
    return value;
}

json_t *json_of_exit(const struct stillpoint_exit *exit)
{
    return json_pack("{s:s, s:o, s:o, s:o}", "reason", stillpoint_exit_reason_text(exit->reason),
                     "code", json_of_number(exit->code), "signal", json_of_number(exit->signal),
                     "detail", json_of_text(exit->detail));
}

json_t *json_of_texts(const char *const *items, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_of_text(items[i]));
    return list;
}

static json_t *holds(const struct stillpoint_vm *vm)
{
    json_t *list = json_array();
    for (size_t i = 0; i < vm->n_holds; i++)
        json_array_append_new(list, json_pack("{s:o}", "debugger", json_of_text(vm->holds[i])));
    return list;
}

static json_t *posture(const struct stillpoint_vm *vm)
{
    json_t *layers = json_object();
    for (size_t i = 0; i < vm->n_posture; i++)
        json_object_set_new(layers, vm->posture[i].name, json_of_text(vm->posture[i].state));
    return layers;
}

json_t *json_of_labels(const char *const *labels, size_t n)
{
    json_t *object = json_object();
    for (size_t i = 0; i < n; i++) {
        size_t key = strcspn(labels[i], "=");
        char *name = strndup(labels[i], key);
        if (name)
            json_object_set_new(object, name, json_of_text(labels[i] + key + !!labels[i][key]));
        free(name);
    }
    return object;
}

json_t *json_of_limits(const struct stillpoint_limits *l)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "memory_bytes",
        json_of_number_or_null(l->memory_bytes), "hard_memory_bytes",
        json_of_number_or_null(l->hard_memory_bytes), "cpu_percent",
        json_of_number_or_null(l->cpu_percent), "cpu_time_us",
        json_of_number_or_null(l->cpu_time_us), "timeout_us", json_of_number_or_null(l->timeout_us),
        "tasks", json_of_number_or_null(l->tasks), "output_rate",
        json_of_number_or_null(l->output_rate), "log_bytes", json_of_number_or_null(l->log_bytes));
}

json_t *json_of_vm(const struct stillpoint_vm *vm)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:s, s:b, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:o, s:o, s:o, s:b, s:o, s:o, s:o}",
        "id", json_of_number(vm->id), "name", json_of_text(vm->name), "world",
        json_of_text(vm->world), "engine", json_of_text(vm->engine), "state",
        stillpoint_vm_state_text(vm->state), "held", vm->held, "holds", holds(vm), "frozen",
        vm->frozen, "pid", json_of_number_or_null(vm->pid), "exit",
        vm->has_exit ? json_of_exit(&vm->exit) : json_null(), "args",
        json_of_texts(vm->args, vm->n_args), "started_us", json_of_number(vm->started_us), "cpu_us",
        json_of_number(vm->cpu_us), "memory_bytes", json_of_number(vm->memory_bytes), "posture",
        posture(vm), "hooks", json_of_number(vm->hooks), "uid", json_of_number(vm->uid), "ended_us",
        json_of_number_or_null(vm->ended_us), "program", json_of_text(vm->program), "how",
        vm->how != 0 ? json_string(stillpoint_how_text(vm->how)) : json_null(), "serving",
        vm->serving, "limits", json_of_limits(&vm->limits), "labels",
        json_of_labels(vm->labels, vm->n_labels), "unit", json_of_text(vm->unit));
}

json_t *json_of_vm_ref(const struct stillpoint_vm *vm)
{
    return json_pack("{s:o, s:o}", "id", json_of_number(vm->id), "name", json_of_text(vm->name));
}

static json_t *ticket(const struct stillpoint_ticket *t)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "ticket", json_of_number(t->ticket), "reason",
                     json_of_text(t->reason), "debugger", json_of_text(t->debugger), "uid",
                     json_of_number(t->uid), "since_us", json_of_number(t->since_us));
}

static json_t *queued(const struct stillpoint_world *w)
{
    json_t *list = json_array();
    for (size_t i = 0; i < w->n_queued; i++)
        json_array_append_new(list, ticket(&w->queued[i]));
    return list;
}

static json_t *controller(const struct stillpoint_world *w)
{
    if (!w->has_controller)
        return json_null();
    return json_pack("{s:o, s:o, s:o}", "debugger", json_of_text(w->controller.debugger), "policy",
                     json_of_text(w->controller.policy), "expires_us",
                     json_of_number_or_null(w->controller.expires_us));
}

json_t *json_of_world(const struct stillpoint_world *w)
{
    return json_pack(
        "{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "name", json_of_text(w->name), "mode",
        stillpoint_world_mode_text(w->mode), "epoch", json_of_number(w->epoch), "ticket",
        w->ticket ? ticket(w->ticket) : json_null(), "queued", queued(w), "runner",
        json_of_number_or_null(w->runner), "target", json_of_number_or_null(w->target),
        "controller", controller(w), "vms", json_of_number(w->vms), "enforced", w->enforced);
}

static json_t *arrivals(const struct stillpoint_stop_report *report)
{
    json_t *list = json_array();
    for (size_t i = 0; i < report->n_arrivals; i++) {
        const struct stillpoint_arrival *a = &report->arrivals[i];
        json_array_append_new(list, json_pack("{s:o, s:o, s:s, s:s, s:o}", "vm",
                                              json_of_number(a->vm), "name", json_of_text(a->name),
                                              "was", stillpoint_vm_state_text(a->was), "how",
                                              stillpoint_how_text(a->how), "elapsed_us",
                                              json_of_number(a->elapsed_us)));
    }
    return list;
}

static json_t *missing(const struct stillpoint_stop_report *report)
{
    json_t *list = json_array();
    for (size_t i = 0; i < report->n_missing; i++)
        json_array_append_new(list, json_of_number(report->missing[i]));
    return list;
}

static json_t *lied(const struct stillpoint_stop_report *report)
{
    json_t *list = json_array();
    for (size_t i = 0; i < report->n_arrivals; i++)
        if (report->arrivals[i].lied)
            json_array_append_new(list, json_of_number(report->arrivals[i].vm));
    return list;
}

json_t *json_of_stop_report(const struct stillpoint_stop_report *report)
{
    return json_pack(
        "{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "world", json_of_text(report->world), "mode",
        stillpoint_world_mode_text(report->mode), "ticket", json_of_number(report->ticket),
        "reason", json_of_text(report->reason), "elapsed_us", json_of_number(report->elapsed_us),
        "arrivals", arrivals(report), "missing", missing(report), "lied", lied(report));
}

json_t *json_of_resumption(const struct stillpoint_resumption *r)
{
    return json_pack("{s:o, s:s, s:o, s:o, s:o}", "world", json_of_text(r->world), "mode",
                     stillpoint_world_mode_text(r->mode), "ticket", json_of_number(r->ticket),
                     "next_ticket", json_of_number_or_null(r->next_ticket), "held_us",
                     json_of_number(r->held_us));
}

json_t *json_of_continuation(const struct stillpoint_vm *vm,
                             const struct stillpoint_continuation *c)
{
    return json_pack("{s:o, s:o, s:o, s:n, s:o, s:s}", "vm", json_of_number(vm->id), "name",
                     json_of_text(vm->name), "reason", json_of_text(c->reason), "frame", "world",
                     json_of_text(c->world.name), "mode",
                     stillpoint_world_mode_text(c->world.mode));
}

/* ---- what the VMs of a world answered */

json_t *json_of_some_text(const char *text)
{
    return text && text[0] ? json_of_text(text) : json_null();
}

/* What every VM's answer has, whatever was asked; the rest is null or [] where there is none. */
static json_t *vm_inspection(const struct stillpoint_vm_inspection *v)
{
    return json_pack("{s:o, s:o, s:o}", "vm", json_of_number(v->vm), "name", json_of_text(v->name),
                     "error", json_of_text(v->error));
}

static json_t *gc_of_vm(const struct stillpoint_vm_inspection *v)
{
    json_t *vm = vm_inspection(v);
    uint64_t freed = v->before_bytes > v->after_bytes ? v->before_bytes - v->after_bytes : 0;
    json_object_set_new(vm, "before_bytes",
                        v->error ? json_null() : json_of_number(v->before_bytes));
    json_object_set_new(vm, "after_bytes", v->error ? json_null() : json_of_number(v->after_bytes));
    json_object_set_new(vm, "freed_bytes", v->error ? json_null() : json_of_number(freed));
    return vm;
}

static json_t *census_of_vm(const struct stillpoint_vm_inspection *v)
{
    json_t *vm = vm_inspection(v), *classes = json_array();
    for (size_t i = 0; i < v->n_classes; i++)
        json_array_append_new(classes, json_pack("{s:o, s:o, s:o}", "class",
                                                 json_of_text(v->classes[i].class_name), "count",
                                                 json_of_number(v->classes[i].count), "bytes",
                                                 json_of_number(v->classes[i].bytes)));
    json_object_set_new(vm, "classes", classes);
    json_object_set_new(vm, "truncated", json_boolean(v->truncated));
    return vm;
}

json_t *json_of_frame(const struct stillpoint_frame *f)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "frame", json_of_number(f->frame),
                     "kind", json_of_text(f->kind), "function", json_of_some_text(f->function),
                     "url", json_of_some_text(f->url), "line", json_of_number_or_null(f->line),
                     "column", json_of_number_or_null(f->column), "offset",
                     f->has_offset ? json_of_number(f->offset) : json_null());
}

static json_t *stack_of_vm(const struct stillpoint_vm_inspection *v)
{
    json_t *vm = vm_inspection(v), *frames = json_array();
    for (size_t i = 0; i < v->n_frames; i++)
        json_array_append_new(frames, json_of_frame(&v->frames[i]));
    json_object_set_new(vm, "frames", frames);
    json_object_set_new(vm, "truncated", json_boolean(v->truncated));
    return vm;
}

json_t *json_of_inspection(const struct stillpoint_inspection *i)
{
    bool stacks = i->kind == STILLPOINT_INSPECT_STACKS;
    json_t *whole, *vms = json_array();
    for (size_t at = 0; at < i->n_vms; at++) {
        const struct stillpoint_vm_inspection *v = &i->vms[at];
        json_array_append_new(vms, stacks                                 ? stack_of_vm(v)
                                   : i->kind == STILLPOINT_INSPECT_CENSUS ? census_of_vm(v)
                                                                          : gc_of_vm(v));
    }
    if (stacks)
        whole = json_pack("{s:o, s:o, s:o}", "ticket", json_of_number(i->stop.ticket), "world",
                          json_of_text(i->stop.world), "missing", missing(&i->stop));
    else
        whole = json_of_stop_report(&i->stop);
    json_object_set_new(whole, "vms", vms);
    return whole;
}

/* ---- debuggers */

static json_t *ring(const struct stillpoint_debugger *d)
{
    return json_pack("{s:o, s:o, s:o}", "first_seq", json_of_number(d->first_seq), "last_seq",
                     json_of_number(d->last_seq), "dropped", json_of_number(d->dropped));
}

json_t *json_of_debugger(const struct stillpoint_debugger *d)
{
    return json_pack("{s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o}", "id", json_of_number(d->id),
                     "name", json_of_text(d->name), "owner_uid", json_of_number(d->owner_uid),
                     "open", d->open, "hooks", json_of_number(d->hooks), "ring", ring(d), "note",
                     json_of_some_text(d->note), "policy", json_of_text(d->policy), "worlds",
                     json_of_texts(d->worlds, d->n_worlds));
}

json_t *json_of_debugger_ref(const struct stillpoint_debugger *d)
{
    return json_pack("{s:o, s:o}", "id", json_of_number(d->id), "name", json_of_text(d->name));
}

json_t *json_of_log_record(const struct stillpoint_log_record *r)
{
    return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "seq", json_of_number(r->seq), "stream",
                     stillpoint_stream_text(r->stream), "level", json_of_text(r->level), "data",
                     json_of_bytes(r->data, r->bytes), "text",
                     json_of_text_bytes(r->data, r->bytes), "time_us", json_of_number(r->time_us),
                     "mono_ns", json_of_number(r->mono_ns));
}

json_t *json_of_dropped(uint64_t dropped, uint64_t before_seq)
{
    return json_pack("{s:o, s:o}", "dropped", json_of_number(dropped), "before_seq",
                     json_of_number(before_seq));
}

json_t *json_of_json(const char *json)
{
    json_error_t error;
    if (!json)
        return json_null();
    json_t *value = json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    return value ? value : json_of_text(json);
}

json_t *json_of_event(const struct stillpoint_event *e)
{
    if (e->dropped > 0)
        return json_of_dropped(e->dropped, e->before_seq);
    return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "seq",
                     json_of_number(e->seq), "kind", stillpoint_event_kind_text(e->kind), "time_us",
                     json_of_number(e->time_us), "mono_ns", json_of_number(e->mono_ns), "vm",
                     json_of_number_or_null(e->vm), "name", json_of_text(e->name), "world",
                     json_of_text(e->world), "epoch", json_of_number_or_null(e->epoch), "ticket",
                     json_of_number_or_null(e->ticket), "uid",
                     e->has_uid ? json_of_number(e->uid) : json_null(), "data",
                     json_of_json(e->json), "exit", e->exit ? json_of_exit(e->exit) : json_null(),
                     "detail", json_of_text(e->detail));
}

json_t *json_of_checkup(const struct stillpoint_checkup *c)
{
    json_t *checks = json_array();
    for (size_t i = 0; i < c->n; i++)
        json_array_append_new(checks, json_pack("{s:o, s:o, s:o, s:o}", "name",
                                                json_of_text(c->checks[i].name), "state",
                                                json_of_text(c->checks[i].state), "detail",
                                                json_of_text(c->checks[i].detail), "hint",
                                                json_of_text(c->checks[i].hint)));
    return json_pack("{s:b, s:o}", "ok", c->ok, "checks", checks);
}
