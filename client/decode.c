#include "client/decode.h"

#include <errno.h>
#include <stdlib.h>

/* The public numbers are the wire's: a cast decodes an enum. The last of each, so that a value
 * added to the wire is not forgotten here. */
#define SAME(public, wire) _Static_assert((int)(public) == (int)(wire), #public)
SAME(STILLPOINT_ERROR_CANCELLED, STILLPOINT__API__ERROR_CODE__ERROR_CANCELLED);
SAME(STILLPOINT_VM_EXITED, STILLPOINT__API__VM_STATE__VM_STATE_EXITED);
SAME(STILLPOINT_EXIT_UNKNOWN, STILLPOINT__API__EXIT_REASON__EXIT_UNKNOWN);
SAME(STILLPOINT_SOURCE_WASM, STILLPOINT__API__SOURCE_KIND__SOURCE_WASM);
SAME(STILLPOINT_STDERR, STILLPOINT__API__STREAM__STREAM_STDERR);
SAME(STILLPOINT_WAIT_ACTIVE, STILLPOINT__API__WAIT_FOR__WAIT_FOR_ACTIVE);
SAME(STILLPOINT_MODE_RUN_ONE, STILLPOINT__API__WORLD_MODE__MODE_RUN_ONE);
SAME(STILLPOINT_HOW_DEAD, STILLPOINT__API__HOW__HOW_DEAD);
SAME(STILLPOINT_RUNNER_EXIT_RESUME, STILLPOINT__API__RUNNER_EXIT__RUNNER_EXIT_RESUME);
SAME(STILLPOINT_INSPECT_STACKS, STILLPOINT__API__INSPECT_KIND__INSPECT_STACKS);
SAME(STILLPOINT_EVENT_HOOKS_CHANGED, STILLPOINT__API__EVENT_KIND__EVENT_HOOKS_CHANGED);
SAME(STILLPOINT_EVENT_DEBUGGER_CLOSED, STILLPOINT__API__EVENT_KIND__EVENT_DEBUGGER_CLOSED);
SAME(STILLPOINT_EVENT_UNIT_CHANGED, STILLPOINT__API__EVENT_KIND__EVENT_UNIT_CHANGED);

void decode_exit(struct stillpoint_memory *m, const Stillpoint__Api__Exit *e,
                 struct stillpoint_exit *ret)
{
    *ret = (struct stillpoint_exit){
        .reason = e->has_reason ? (enum stillpoint_exit_reason)e->reason : STILLPOINT_EXIT_UNKNOWN,
        .code = e->code,
        .signal = e->signal,
        .detail = memory_text(m, e->detail),
    };
}

const char *const *decode_texts(struct stillpoint_memory *m, char *const *texts, size_t n,
                                size_t *ret_n)
{
    const char **copy = memory_array(m, n, sizeof *copy);
    *ret_n = copy ? n : 0;
    for (size_t i = 0; i < *ret_n; i++)
        copy[i] = memory_text(m, texts[i]);
    return copy;
}

static const char *const *decode_holds(struct stillpoint_memory *m, Stillpoint__Api__Hold **holds,
                                       size_t n, size_t *ret_n)
{
    const char **names = memory_array(m, n, sizeof *names);
    *ret_n = names ? n : 0;
    for (size_t i = 0; i < *ret_n; i++)
        names[i] = memory_text(m, holds[i]->debugger);
    return names;
}

static const struct stillpoint_layer *decode_posture(struct stillpoint_memory *m,
                                                     Stillpoint__Api__Layer **layers, size_t n,
                                                     size_t *ret_n)
{
    struct stillpoint_layer *copy = memory_array(m, n, sizeof *copy);
    *ret_n = copy ? n : 0;
    for (size_t i = 0; i < *ret_n; i++)
        copy[i] = (struct stillpoint_layer){memory_text(m, layers[i]->name),
                                            memory_text(m, layers[i]->state)};
    return copy;
}

void decode_limits(const Stillpoint__Api__Limits *l, struct stillpoint_limits *ret)
{
    *ret = (struct stillpoint_limits){
        .memory_bytes = l->memory_bytes,
        .hard_memory_bytes = l->hard_memory_bytes,
        .cpu_time_us = l->cpu_time_us,
        .timeout_us = l->timeout_us,
        .output_rate = l->output_rate,
        .log_bytes = l->log_bytes,
        .cpu_percent = l->cpu_percent,
        .tasks = l->tasks,
    };
}

static void decode_vm(struct stillpoint_memory *m, const Stillpoint__Api__Vm *v,
                      struct stillpoint_vm *ret)
{
    *ret = (struct stillpoint_vm){
        .id = v->id,
        .name = memory_text(m, v->name),
        .world = memory_text(m, v->world),
        .engine = memory_text(m, v->engine),
        .program = memory_text(m, v->program),
        .state = v->has_state ? (enum stillpoint_vm_state)v->state : 0,
        .held = v->held,
        .frozen = v->frozen,
        .serving = v->serving,
        .how = v->has_how ? (enum stillpoint_how)v->how : 0,
        .pid = v->pid,
        .uid = v->uid,
        .hooks = v->hooks,
        .has_exit = v->exit != NULL,
        .started_us = v->started_us,
        .ended_us = v->ended_us,
        .cpu_us = v->cpu_us,
        .memory_bytes = v->memory_bytes,
        .unit = memory_text_or_null(m, v->unit),
    };
    if (v->exit)
        decode_exit(m, v->exit, &ret->exit);
    if (v->limits)
        decode_limits(v->limits, &ret->limits);
    ret->holds = decode_holds(m, v->holds, v->n_holds, &ret->n_holds);
    ret->args = decode_texts(m, v->args, v->n_args, &ret->n_args);
    ret->labels = decode_texts(m, v->labels, v->n_labels, &ret->n_labels);
    ret->posture = decode_posture(m, v->posture, v->n_posture, &ret->n_posture);
}

void *decode_grow(void *items, size_t n, size_t item_bytes)
{
    return (n & (n - 1)) != 0 ? items : reallocarray(items, n ? 2 * n : 1, item_bytes);
}

int decode_append_vm(const Stillpoint__Api__Vm *v, struct stillpoint_vms *vms)
{
    struct stillpoint_vm *items = decode_grow(vms->items, vms->n, sizeof *items);
    if (!items)
        return -ENOMEM;
    vms->items = items;
    decode_vm(vms->memory, v, &vms->items[vms->n++]);
    return memory_failed(vms->memory) ? -ENOMEM : 0;
}

int decode_only_vm(const Stillpoint__Api__Vm *v, struct stillpoint_vms *ret_vms)
{
    if (!v || v->id == 0)
        return -EPROTO;
    struct stillpoint_vms vms = {.memory = memory_new()};
    int r = vms.memory ? decode_append_vm(v, &vms) : -ENOMEM;
    if (r == 0)
        *ret_vms = vms;
    else
        stillpoint_vms_free(&vms);
    return r;
}

static void decode_ticket(struct stillpoint_memory *m, const Stillpoint__Api__Ticket *t,
                          struct stillpoint_ticket *ret)
{
    *ret = (struct stillpoint_ticket){
        .ticket = t->ticket,
        .reason = memory_text(m, t->reason),
        .debugger = memory_text(m, t->debugger),
        .uid = t->uid,
        .since_us = t->since_us,
    };
}

void decode_world(struct stillpoint_memory *m, const Stillpoint__Api__World *w,
                  struct stillpoint_world *ret)
{
    *ret = (struct stillpoint_world){
        .name = memory_text(m, w->name),
        .mode = w->has_mode ? (enum stillpoint_world_mode)w->mode : 0,
        .epoch = w->epoch,
        .runner = w->runner,
        .target = w->target,
        .has_controller = w->controller != NULL,
        .enforced = w->enforced,
        .vms = w->vms,
    };
    if (w->ticket) {
        struct stillpoint_ticket *ticket = memory_array(m, 1, sizeof *ticket);
        if (ticket)
            decode_ticket(m, w->ticket, ticket);
        ret->ticket = ticket;
    }
    struct stillpoint_ticket *queued = memory_array(m, w->n_queued, sizeof *queued);
    ret->n_queued = queued ? w->n_queued : 0;
    for (size_t i = 0; i < ret->n_queued; i++)
        decode_ticket(m, w->queued[i], &queued[i]);
    ret->queued = queued;
    if (w->controller) {
        ret->controller.debugger = memory_text(m, w->controller->debugger);
        ret->controller.policy = memory_text(m, w->controller->policy);
        ret->controller.expires_us = w->controller->expires_us;
    }
}

int decode_append_world(const Stillpoint__Api__World *w, struct stillpoint_worlds *worlds)
{
    struct stillpoint_world *items = decode_grow(worlds->items, worlds->n, sizeof *items);
    if (!items)
        return -ENOMEM;
    worlds->items = items;
    decode_world(worlds->memory, w, &worlds->items[worlds->n++]);
    return memory_failed(worlds->memory) ? -ENOMEM : 0;
}

int decode_only_world(const Stillpoint__Api__World *w, struct stillpoint_worlds *ret_worlds)
{
    if (!w)
        return -EPROTO;
    struct stillpoint_worlds worlds = {.memory = memory_new()};
    int r = worlds.memory ? decode_append_world(w, &worlds) : -ENOMEM;
    if (r == 0)
        *ret_worlds = worlds;
    else
        stillpoint_worlds_free(&worlds);
    return r;
}

void decode_stop_report(struct stillpoint_memory *m, const Stillpoint__Api__StopReport *s,
                        struct stillpoint_stop_report *ret)
{
    *ret = (struct stillpoint_stop_report){
        .world = memory_text(m, s->world),
        .mode = s->has_mode ? (enum stillpoint_world_mode)s->mode : 0,
        .ticket = s->ticket,
        .reason = memory_text(m, s->reason),
        .elapsed_us = s->elapsed_us,
        .dispatched_mono_ns = s->dispatched_mono_ns,
        .closed_mono_ns = s->closed_mono_ns,
        .stopped_mono_ns = s->stopped_mono_ns,
    };
    struct stillpoint_arrival *arrivals = memory_array(m, s->n_arrivals, sizeof *arrivals);
    ret->n_arrivals = arrivals ? s->n_arrivals : 0;
    for (size_t i = 0; i < ret->n_arrivals; i++) {
        const Stillpoint__Api__Arrival *a = s->arrivals[i];
        arrivals[i] = (struct stillpoint_arrival){
            .vm = a->vm,
            .name = memory_text(m, a->name),
            .was = a->has_was ? (enum stillpoint_vm_state)a->was : 0,
            .how = a->has_how ? (enum stillpoint_how)a->how : 0,
            .elapsed_us = a->elapsed_us,
            .lied = a->lied,
        };
    }
    ret->arrivals = arrivals;
    ret->missing = memory_copy(m, s->missing, s->n_missing * sizeof *s->missing);
    ret->n_missing = ret->missing ? s->n_missing : 0;
}

static const struct stillpoint_class_count *decode_classes(struct stillpoint_memory *m,
                                                           Stillpoint__Api__ClassCount **classes,
                                                           size_t n, size_t *ret_n)
{
    struct stillpoint_class_count *copy = memory_array(m, n, sizeof *copy);
    *ret_n = copy ? n : 0;
    for (size_t i = 0; i < *ret_n; i++)
        copy[i] = (struct stillpoint_class_count){
            .class_name = memory_text(m, classes[i]->class_name),
            .count = classes[i]->count,
            .bytes = classes[i]->bytes,
        };
    return copy;
}

static void decode_frame(struct stillpoint_memory *m, const Stillpoint__Api__Frame *f,
                         struct stillpoint_frame *ret)
{
    *ret = (struct stillpoint_frame){
        .frame = f->frame,
        .kind = memory_text(m, f->kind),
        .function = memory_text(m, f->function),
        .url = memory_text(m, f->url),
        .line = f->line,
        .column = f->column,
        .has_offset = f->has_offset,
        .offset = f->offset,
        .source = f->source,
    };
}

const struct stillpoint_frame *decode_frames(struct stillpoint_memory *m,
                                             Stillpoint__Api__Frame *const *frames, size_t n,
                                             size_t *ret_n)
{
    struct stillpoint_frame *copy = memory_array(m, n, sizeof *copy);
    *ret_n = copy ? n : 0;
    for (size_t i = 0; i < *ret_n; i++)
        decode_frame(m, frames[i], &copy[i]);
    return copy;
}

static void decode_vm_inspection(struct stillpoint_memory *m,
                                 const Stillpoint__Api__VmInspection *v,
                                 struct stillpoint_vm_inspection *ret)
{
    bool failed = v->error && v->error[0];
    *ret = (struct stillpoint_vm_inspection){
        .vm = v->vm,
        .name = memory_text(m, v->name),
        .error = failed ? memory_text(m, v->error) : NULL,
        .before_bytes = v->before_bytes,
        .after_bytes = v->after_bytes,
        .truncated = v->truncated,
    };
    ret->classes = decode_classes(m, v->classes, v->n_classes, &ret->n_classes);
    ret->frames = decode_frames(m, v->frames, v->n_frames, &ret->n_frames);
}

void decode_inspection(struct stillpoint_memory *m, const Stillpoint__Api__Inspection *i,
                       struct stillpoint_inspection *ret)
{
    static const Stillpoint__Api__StopReport nothing = STILLPOINT__API__STOP_REPORT__INIT;
    struct stillpoint_vm_inspection *vms = memory_array(m, i->n_vms, sizeof *vms);
    size_t n = vms ? i->n_vms : 0;
    *ret = (struct stillpoint_inspection){
        .kind = i->has_kind ? (enum stillpoint_inspect_kind)i->kind : 0,
        .vms = vms,
        .n_vms = n,
        .held_us = i->held_us,
    };
    decode_stop_report(m, i->stop ? i->stop : &nothing, &ret->stop);
    for (size_t at = 0; at < n; at++)
        decode_vm_inspection(m, i->vms[at], &vms[at]);
}

int decode_append_debugger(const Stillpoint__Api__Debugger *d,
                           struct stillpoint_debuggers *debuggers)
{
    struct stillpoint_memory *m = debuggers->memory;
    struct stillpoint_debugger *items = decode_grow(debuggers->items, debuggers->n, sizeof *items);
    if (!items)
        return -ENOMEM;
    debuggers->items = items;
    struct stillpoint_debugger *item = &items[debuggers->n++];
    *item = (struct stillpoint_debugger){
        .id = d->id,
        .name = memory_text(m, d->name),
        .note = memory_text(m, d->note),
        .policy = memory_text(m, d->policy),
        .owner_uid = d->owner_uid,
        .open = d->open,
        .hooks = d->hooks,
        .first_seq = d->first_seq,
        .last_seq = d->last_seq,
        .dropped = d->dropped,
    };
    item->worlds = decode_texts(m, d->worlds, d->n_worlds, &item->n_worlds);
    return memory_failed(m) ? -ENOMEM : 0;
}

void decode_log(struct stillpoint_memory *m, const Stillpoint__Api__LogPage *l,
                struct stillpoint_log *ret)
{
    struct stillpoint_log_record *records = memory_array(m, l->n_records, sizeof *records);
    size_t n = records ? l->n_records : 0;
    for (size_t i = 0; i < n; i++) {
        const Stillpoint__Api__LogRecord *r = l->records[i];
        records[i] = (struct stillpoint_log_record){
            .seq = r->seq,
            .stream = r->has_stream ? (enum stillpoint_stream)r->stream : STILLPOINT_STDOUT,
            .level = memory_text(m, r->level),
            .data = memory_copy(m, r->data.data, r->data.len),
            .time_us = r->time_us,
            .mono_ns = r->mono_ns,
        };
        records[i].bytes = records[i].data ? r->data.len : 0;
    }
    *ret = (struct stillpoint_log){
        .records = records,
        .n = n,
        .next_seq = l->next_seq,
        .dropped = l->dropped,
        .ended = l->ended,
    };
}

void decode_checkup(struct stillpoint_memory *m, const Stillpoint__Api__DoctorReply *d,
                    struct stillpoint_checkup *ret)
{
    struct stillpoint_check *checks = memory_array(m, d->n_checks, sizeof *checks);
    size_t n = checks ? d->n_checks : 0;
    for (size_t i = 0; i < n; i++) {
        const Stillpoint__Api__Check *c = d->checks[i];
        checks[i] = (struct stillpoint_check){
            .name = memory_text(m, c->name),
            .state = memory_text(m, c->state),
            .detail = memory_text(m, c->detail),
            .hint = memory_text_or_null(m, c->hint),
        };
    }
    *ret = (struct stillpoint_checkup){.ok = d->ok, .checks = checks, .n = n};
}

void decode_event(struct stillpoint_memory *m, const Stillpoint__Api__Event *e,
                  struct stillpoint_event *ret)
{
    *ret = (struct stillpoint_event){
        .seq = e->seq,
        .kind = e->has_kind ? (enum stillpoint_event_kind)e->kind : 0,
        .time_us = e->time_us,
        .mono_ns = e->mono_ns,
        .vm = e->vm,
        .name = memory_text_or_null(m, e->name),
        .world = memory_text_or_null(m, e->world),
        .epoch = e->epoch,
        .ticket = e->ticket,
        .has_uid = e->has_uid,
        .uid = e->uid,
        .json = memory_text_or_null(m, e->json),
        .detail = memory_text_or_null(m, e->detail),
        .dropped = e->dropped,
        .before_seq = e->before_seq,
    };
    if (e->exit) {
        struct stillpoint_exit *exit = memory_array(m, 1, sizeof *exit);
        if (exit)
            decode_exit(m, e->exit, exit);
        ret->exit = exit;
    }
}

/* ---- lists that grew */

void *stillpoint_vms_free(struct stillpoint_vms *vms)
{
    if (vms) {
        free(vms->items);
        memory_free(vms->memory);
        *vms = (struct stillpoint_vms){0};
    }
    return NULL;
}

void *stillpoint_worlds_free(struct stillpoint_worlds *worlds)
{
    if (worlds) {
        free(worlds->items);
        memory_free(worlds->memory);
        *worlds = (struct stillpoint_worlds){0};
    }
    return NULL;
}
