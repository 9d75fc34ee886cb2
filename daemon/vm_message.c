#include "daemon/vm_message.h"

typedef Stillpoint__Api__Envelope Envelope;

static Stillpoint__Api__VmState api_state(const struct worker *w)
{
    static const Stillpoint__Api__VmState of[] = {
        [SHM_STARTING] = STILLPOINT__API__VM_STATE__VM_STATE_STARTING,
        [SHM_RUNNING] = STILLPOINT__API__VM_STATE__VM_STATE_ACTIVE,
        [SHM_IDLE] = STILLPOINT__API__VM_STATE__VM_STATE_IDLE,
        [SHM_BLOCKED] = STILLPOINT__API__VM_STATE__VM_STATE_BLOCKED,
        [SHM_PARKED] = STILLPOINT__API__VM_STATE__VM_STATE_PARKED,
        [SHM_EVALUATING] = STILLPOINT__API__VM_STATE__VM_STATE_EVALUATING,
    };
    if (w->phase == WORKER_GONE)
        return STILLPOINT__API__VM_STATE__VM_STATE_EXITED;
    if (w->phase != WORKER_ADMITTED)
        return STILLPOINT__API__VM_STATE__VM_STATE_STARTING;
    return of[stop_state(&w->gate)];
}

void vm_message_fill_exit(Stillpoint__Api__Exit *m, const struct worker_exit *e)
{
    stillpoint__api__exit__init(m);
    API_SET(m, reason, (Stillpoint__Api__ExitReason)e->reason);
    API_SET(m, code, e->code);
    API_SET(m, signal, e->signal);
    m->detail = e->detail[0] ? API_TEXT(e->detail) : NULL;
}

void vm_message_fill_limits(Stillpoint__Api__Limits *m, const struct vm_limits *l)
{
    stillpoint__api__limits__init(m);
    API_SET(m, memory_bytes, l->memory_bytes);
    API_SET(m, cpu_percent, l->cpu_percent);
    API_SET(m, cpu_time_us, l->cpu_time_us);
    API_SET(m, timeout_us, l->timeout_us);
    API_SET(m, tasks, l->tasks);
    API_SET(m, output_rate, l->output_rate);
    API_SET(m, log_bytes, l->log_bytes);
}

void vm_message_fill(struct vm_message *m, struct worker *w)
{
    static const char *const layer_states[] = {"off", "degraded", "on"};
    Stillpoint__Api__Vm *vm = &m->vm;
    stillpoint__api__vm__init(vm);
    Stillpoint__Api__VmState state = api_state(w);
    bool gone = w->phase == WORKER_GONE;
    API_SET(vm, id, w->id);
    vm->name = API_TEXT(w->name);
    vm->world = API_TEXT(w->world);
    vm->engine = API_TEXT(w->engine);
    vm->program = w->program;
    API_SET(vm, state, state);
    API_SET(vm, held,
            !gone && !stop_is_open(&w->gate) &&
                (state == STILLPOINT__API__VM_STATE__VM_STATE_STARTING ||
                 state == STILLPOINT__API__VM_STATE__VM_STATE_IDLE ||
                 state == STILLPOINT__API__VM_STATE__VM_STATE_BLOCKED));
    API_SET(vm, frozen, w->freeze.state == WORKER_FROZEN);
    API_SET(vm, serving, w->serving);
    enum arrival_how how = gone ? 0 : stop_report_how(w);
    if (how != 0)
        API_SET(vm, how, (Stillpoint__Api__How)how);
    API_SET(vm, pid, gone ? 0 : (uint32_t)w->pid);
    API_SET(vm, uid, w->uid);
    API_SET(vm, hooks, w->n_hooks);
    API_SET(vm, started_us, w->started_us);
    API_SET(vm, cpu_us, worker_cpu_us(w));
    API_SET(vm, memory_bytes, worker_memory_bytes(w));
    vm_message_fill_limits(&m->limits, &w->limits);
    API_SET(&m->limits, hard_memory_bytes, vm_limits_hard_memory(&w->limits));
    vm->limits = &m->limits;
    vm->args = w->argv;
    vm->n_args = w->argc;
    vm->labels = w->labels;
    vm->n_labels = w->n_labels;
    vm->unit = w->origin ? API_TEXT(w->name) : NULL;
    if (gone) {
        API_SET(vm, ended_us, w->ended_us);
        vm_message_fill_exit(&m->exit, &w->exit);
        vm->exit = &m->exit;
    }
    vm->holds = m->hold_at;
    for (; vm->n_holds < w->n_holds; vm->n_holds++) {
        stillpoint__api__hold__init(&m->holds[vm->n_holds]);
        m->holds[vm->n_holds].debugger = API_TEXT(w->holds[vm->n_holds].name);
        m->hold_at[vm->n_holds] = &m->holds[vm->n_holds];
    }
    vm->posture = m->layer_at;
    for (; vm->n_posture < w->n_layers; vm->n_posture++) {
        Stillpoint__Api__Layer *layer = &m->layers[vm->n_posture];
        stillpoint__api__layer__init(layer);
        layer->name = API_TEXT(w->layers[vm->n_posture].name);
        layer->state = API_TEXT(layer_states[w->layers[vm->n_posture].state]);
        m->layer_at[vm->n_posture] = layer;
    }
}

static void init_reply(Envelope *e, Stillpoint__Api__VmReply *reply, struct vm_message *m,
                       struct worker *w)
{
    stillpoint__api__envelope__init(e);
    stillpoint__api__vm_reply__init(reply);
    vm_message_fill(m, w);
    reply->vm = &m->vm;
    e->body_case = API_BODY(VM_REPLY);
    e->vm_reply = reply;
}

void vm_message_reply(const struct api_call *call, struct worker *w)
{
    Envelope e;
    Stillpoint__Api__VmReply reply;
    struct vm_message m = {0};
    init_reply(&e, &reply, &m, w);
    api_reply(call, &e);
}

void vm_message_pending_reply(struct pending *p, struct worker *w)
{
    Envelope e;
    Stillpoint__Api__VmReply reply;
    struct vm_message m = {0};
    init_reply(&e, &reply, &m, w);
    api_pending_reply(p, &e);
}
