/* Requests of debuggers: which there are, who controls a world, and what a controller does with one
 * VM. */
#include "client/call.h"

/* ---- debuggers */

int stillpoint_debugger_open(struct stillpoint *sp, const char *name, const char *note,
                             const char *policy, struct stillpoint_debuggers *ret_debuggers)
{
    Stillpoint__Api__OpenDebugger m = STILLPOINT__API__OPEN_DEBUGGER__INIT;
    conn_envelope e = CONN_ENVELOPE(OPEN_DEBUGGER, open_debugger, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    m.name = conn_text(name);
    m.note = conn_text(note);
    m.policy = conn_text(policy);
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_DEBUGGER_REPLY, &reply);
    if (r != 0)
        return r;
    const Stillpoint__Api__Debugger *debugger = reply->debugger_reply->debugger;
    if (!debugger || debugger->id == 0)
        return -EPROTO;
    struct stillpoint_debuggers debuggers = {.memory = memory_new()};
    r = debuggers.memory ? decode_append_debugger(debugger, &debuggers) : -ENOMEM;
    if (r == 0)
        *ret_debuggers = debuggers;
    else
        stillpoint_debuggers_free(&debuggers);
    return r;
}

int stillpoint_debugger_close(struct stillpoint *sp, const char *debugger)
{
    Stillpoint__Api__CloseDebugger m = STILLPOINT__API__CLOSE_DEBUGGER__INIT;
    conn_envelope e = CONN_ENVELOPE(CLOSE_DEBUGGER, close_debugger, &m);
    m.debugger = conn_text(debugger);
    return conn_call_done(sp, &e, -1);
}

static int debugger_list_page(struct stillpoint *sp, uint64_t *token,
                              struct stillpoint_debuggers *debuggers)
{
    Stillpoint__Api__ListDebuggers m = STILLPOINT__API__LIST_DEBUGGERS__INIT;
    conn_envelope e = CONN_ENVELOPE(LIST_DEBUGGERS, list_debuggers, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    CONN_SET(m, page_size, LIMIT_PAGE_ITEMS);
    CONN_SET(m, page_token, *token);
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_DEBUGGER_LIST, &reply);
    if (r != 0)
        return r;
    const Stillpoint__Api__DebuggerList *list = reply->debugger_list;
    *token = list->next_page_token;
    for (size_t i = 0; i < list->n_debuggers && r == 0; i++)
        r = decode_append_debugger(list->debuggers[i], debuggers);
    return r;
}

int stillpoint_debugger_list(struct stillpoint *sp, struct stillpoint_debuggers *ret_debuggers)
{
    struct stillpoint_debuggers debuggers = {.memory = memory_new()};
    uint64_t token = 0;
    int r = debuggers.memory ? 0 : -ENOMEM, pages = 0;
    do {
        if (r == 0)
            r = pages++ < CALL_PAGES_MAX ? debugger_list_page(sp, &token, &debuggers) : -EPROTO;
    } while (r == 0 && token != 0);
    if (r == 0)
        *ret_debuggers = debuggers;
    else
        stillpoint_debuggers_free(&debuggers);
    return r;
}

void *stillpoint_debuggers_free(struct stillpoint_debuggers *debuggers)
{
    if (debuggers) {
        free(debuggers->items);
        memory_free(debuggers->memory);
        *debuggers = (struct stillpoint_debuggers){0};
    }
    return NULL;
}

/* ---- the lease */

int stillpoint_lease_take(struct stillpoint *sp, const struct stillpoint_lease *lease,
                          struct stillpoint_worlds *ret_worlds)
{
    Stillpoint__Api__TakeLease m = STILLPOINT__API__TAKE_LEASE__INIT;
    conn_envelope e = CONN_ENVELOPE(TAKE_LEASE, take_lease, &m);
    m.world = conn_text(lease->world);
    m.debugger = conn_text(lease->debugger);
    CONN_SET(m, steal, lease->steal);
    CONN_SET(m, hold_us, lease->hold_us);
    return call_for_world(sp, &e, ret_worlds);
}

int stillpoint_lease_hand_over(struct stillpoint *sp, const char *world, const char *to,
                               struct stillpoint_worlds *ret_worlds)
{
    Stillpoint__Api__HandOverLease m = STILLPOINT__API__HAND_OVER_LEASE__INIT;
    conn_envelope e = CONN_ENVELOPE(HAND_OVER_LEASE, hand_over_lease, &m);
    m.world = conn_text(world);
    m.to = conn_text(to);
    return call_for_world(sp, &e, ret_worlds);
}

/* ---- one VM of a stopped world */

int stillpoint_world_target(struct stillpoint *sp, const char *vm,
                            struct stillpoint_worlds *ret_worlds)
{
    Stillpoint__Api__SetTarget m = STILLPOINT__API__SET_TARGET__INIT;
    conn_envelope e = CONN_ENVELOPE(SET_TARGET, set_target, &m);
    m.vm = conn_text(vm);
    return call_for_world(sp, &e, ret_worlds);
}

static void fill_continue(Stillpoint__Api__ContinueVm *m, const struct stillpoint_continue *what)
{
    m->vm = conn_text(what->vm);
    CONN_SET(*m, only, what->only);
    CONN_SET(*m, until_still, what->until_still);
    /* Absent rather than a default: without `only` the daemon refuses it. */
    if (what->on_exit != 0)
        CONN_SET(*m, on_exit, (Stillpoint__Api__RunnerExit)what->on_exit);
    CONN_SET(*m, deadline_us, what->deadline_us);
    if (what->answer != 0)
        CONN_SET(*m, answer, (Stillpoint__Api__PauseAnswer)what->answer);
    m->answer_expression = conn_text(what->answer_expression);
}

int stillpoint_vm_continue(struct stillpoint *sp, const struct stillpoint_continue *what,
                           struct stillpoint_continuation *ret_continuation)
{
    Stillpoint__Api__ContinueVm m = STILLPOINT__API__CONTINUE_VM__INIT;
    conn_envelope e = CONN_ENVELOPE(CONTINUE_VM, continue_vm, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    _cleanup_memory_ struct stillpoint_memory *memory = memory_new();
    fill_continue(&m, what);
    if (!memory)
        return -ENOMEM;
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_CONTINUE_REPLY, &reply);
    if (r != 0)
        return r;
    const Stillpoint__Api__ContinueReply *c = reply->continue_reply;
    if (!c->world)
        return -EPROTO;
    struct stillpoint_continuation continuation = {.reason = memory_text(memory, c->reason)};
    decode_world(memory, c->world, &continuation.world);
    if (memory_failed(memory))
        return -ENOMEM;
    continuation.memory = TAKE_PTR(memory);
    *ret_continuation = continuation;
    return 0;
}

void *stillpoint_continuation_free(struct stillpoint_continuation *continuation)
{
    CALL_FREE(continuation);
}
