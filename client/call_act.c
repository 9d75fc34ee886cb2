/* What changes something in a stopped VM: evaluating, setting, stepping. */
#include "client/call.h"

/* ---- evaluating */

static int call_for_value(struct stillpoint *sp, conn_envelope *e,
                          struct stillpoint_evaluated *ret_evaluated)
{
    _cleanup_envelope_ conn_envelope *reply = NULL;
    _cleanup_memory_ struct stillpoint_memory *memory = memory_new();
    if (!memory)
        return -ENOMEM;
    int r = conn_call(sp, e, -1, STILLPOINT__API__ENVELOPE__BODY_VALUE_REPLY, &reply);
    if (r != 0)
        return r;
    const Stillpoint__Api__ValueReply *v = reply->value_reply;
    struct stillpoint_evaluated evaluated = {
        .vm = v->vm, .threw = v->threw, .json = memory_text_or_null(memory, v->json)};
    decode_value(memory, v->value, &evaluated.value);
    if (memory_failed(memory))
        return -ENOMEM;
    evaluated.memory = TAKE_PTR(memory);
    *ret_evaluated = evaluated;
    return 0;
}

int stillpoint_vm_evaluate(struct stillpoint *sp, const struct stillpoint_evaluation *evaluation,
                           struct stillpoint_evaluated *ret_evaluated)
{
    Stillpoint__Api__Evaluate m = STILLPOINT__API__EVALUATE__INIT;
    conn_envelope e = CONN_ENVELOPE(EVALUATE, evaluate, &m);
    m.vm = conn_text(evaluation->vm);
    m.expression = conn_text(evaluation->expression);
    if (evaluation->in_realm) {
        CONN_SET(m, in_realm, true);
        CONN_SET(m, realm, evaluation->realm);
    } else {
        CONN_SET(m, frame, evaluation->frame);
    }
    CONN_SET(m, timeout_us, evaluation->timeout_us);
    CONN_SET(m, audited, evaluation->audited);
    return call_for_value(sp, &e, ret_evaluated);
}

int stillpoint_vm_set_variable(struct stillpoint *sp, const char *vm, uint32_t frame,
                               const char *name, const char *expression, uint64_t timeout_us,
                               struct stillpoint_evaluated *ret_evaluated)
{
    Stillpoint__Api__SetVariable m = STILLPOINT__API__SET_VARIABLE__INIT;
    conn_envelope e = CONN_ENVELOPE(SET_VARIABLE, set_variable, &m);
    m.vm = conn_text(vm);
    m.name = conn_text(name);
    m.expression = conn_text(expression);
    CONN_SET(m, frame, frame);
    CONN_SET(m, timeout_us, timeout_us);
    return call_for_value(sp, &e, ret_evaluated);
}

void *stillpoint_evaluated_free(struct stillpoint_evaluated *evaluated)
{
    CALL_FREE(evaluated);
}

/* ---- stepping */

static void fill_step(Stillpoint__Api__StepVm *m, Stillpoint__Api__BreakpointAt *at,
                      const struct stillpoint_step *step)
{
    m->vm = conn_text(step->vm);
    CONN_SET(*m, how, (Stillpoint__Api__StepHow)step->how);
    if (step->granularity != 0)
        CONN_SET(*m, granularity, (Stillpoint__Api__Granularity)step->granularity);
    if (step->others != 0)
        CONN_SET(*m, others, (Stillpoint__Api__StepOthers)step->others);
    if (step->to) {
        call_position(at, step->to);
        m->at = at;
    }
    CONN_SET(*m, deadline_us, step->deadline_us);
    CONN_SET(*m, count, step->count);
}

static int decode_step(const Stillpoint__Api__StepReply *s, struct stillpoint_stepped *ret_stepped)
{
    _cleanup_memory_ struct stillpoint_memory *memory = memory_new();
    if (!memory)
        return -ENOMEM;
    struct stillpoint_stepped stepped = {.vm = s->vm, .reason = memory_text(memory, s->reason)};
    size_t n;
    if (s->frame)
        stepped.frame = decode_frames(memory, &s->frame, 1, &n);
    if (s->world) {
        struct stillpoint_world *world = memory_array(memory, 1, sizeof *world);
        if (world)
            decode_world(memory, s->world, world);
        stepped.world = world;
    }
    if (memory_failed(memory))
        return -ENOMEM;
    stepped.memory = TAKE_PTR(memory);
    *ret_stepped = stepped;
    return 0;
}

int stillpoint_vm_step(struct stillpoint *sp, const struct stillpoint_step *step,
                       struct stillpoint_stepped *ret_stepped)
{
    Stillpoint__Api__StepVm m = STILLPOINT__API__STEP_VM__INIT;
    Stillpoint__Api__BreakpointAt at;
    conn_envelope e = CONN_ENVELOPE(STEP_VM, step_vm, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    fill_step(&m, &at, step);
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_STEP_REPLY, &reply);
    return r != 0 ? r : decode_step(reply->step_reply, ret_stepped);
}

struct step_waiter {
    stillpoint_stepped_fn done;
    void *data;
};

static void step_ended(struct stillpoint *sp, int r, conn_envelope **reply, int *fd, void *data)
{
    struct step_waiter waiter = *(struct step_waiter *)data;
    struct stillpoint_stepped stepped = {0};
    (void)fd;
    free(data);
    if (r == 0)
        r = decode_step((*reply)->step_reply, &stepped);
    waiter.done(sp, r, r == 0 ? &stepped : NULL, waiter.data);
    stillpoint_stepped_free(&stepped);
}

int stillpoint_vm_step_async(struct stillpoint *sp, const struct stillpoint_step *step,
                             stillpoint_stepped_fn done, void *data)
{
    Stillpoint__Api__StepVm m = STILLPOINT__API__STEP_VM__INIT;
    Stillpoint__Api__BreakpointAt at;
    conn_envelope e = CONN_ENVELOPE(STEP_VM, step_vm, &m);
    struct step_waiter *waiter = malloc(sizeof *waiter);
    if (!waiter)
        return -ENOMEM;
    *waiter = (struct step_waiter){done, data};
    fill_step(&m, &at, step);
    int r = conn_send(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_STEP_REPLY, step_ended, waiter);
    if (r < 0)
        free(waiter);
    return r;
}

void *stillpoint_stepped_free(struct stillpoint_stepped *stepped)
{
    CALL_FREE(stepped);
}
