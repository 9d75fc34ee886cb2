/* Requests about VMs that exist. */
#include "client/call.h"

/* ---- the list, which comes in pages */

static int vm_list_page(struct stillpoint *sp, const struct stillpoint_list *list, uint64_t *token,
                        struct stillpoint_vms *vms)
{
    Stillpoint__Api__ListVms m = STILLPOINT__API__LIST_VMS__INIT;
    conn_envelope e = CONN_ENVELOPE(LIST_VMS, list_vms, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    CONN_SET(m, all, list->all);
    CONN_SET(m, page_size, LIMIT_PAGE_ITEMS);
    CONN_SET(m, page_token, *token);
    m.world = conn_text(list->world);
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_VM_LIST, &reply);
    if (r != 0)
        return r;
    *token = reply->vm_list->next_page_token;
    for (size_t i = 0; i < reply->vm_list->n_vms && r == 0; i++)
        r = decode_append_vm(reply->vm_list->vms[i], vms);
    return r;
}

int stillpoint_vm_list(struct stillpoint *sp, const struct stillpoint_list *list,
                       struct stillpoint_vms *ret_vms)
{
    struct stillpoint_vms vms = {.memory = memory_new()};
    uint64_t token = 0;
    int r = vms.memory ? 0 : -ENOMEM, pages = 0;
    do {
        if (r == 0)
            r = pages++ < CALL_PAGES_MAX ? vm_list_page(sp, list, &token, &vms) : -EPROTO;
    } while (r == 0 && token != 0);
    if (r == 0)
        *ret_vms = vms;
    else
        stillpoint_vms_free(&vms);
    return r;
}

/* ---- one VM */

int stillpoint_vm_get(struct stillpoint *sp, const char *vm, struct stillpoint_vms *ret_vms)
{
    Stillpoint__Api__GetVm m = STILLPOINT__API__GET_VM__INIT;
    conn_envelope e = CONN_ENVELOPE(GET_VM, get_vm, &m);
    m.vm = conn_text(vm);
    return call_for_vm(sp, &e, -1, ret_vms);
}

int stillpoint_vm_wait(struct stillpoint *sp, const char *vm, enum stillpoint_wait_for what,
                       uint64_t timeout_us, struct stillpoint_vms *ret_vms)
{
    Stillpoint__Api__WaitVm m = STILLPOINT__API__WAIT_VM__INIT;
    conn_envelope e = CONN_ENVELOPE(WAIT_VM, wait_vm, &m);
    m.vm = conn_text(vm);
    CONN_SET(m, for_, (Stillpoint__Api__WaitFor)what);
    CONN_SET(m, timeout_us, timeout_us);
    return call_for_vm(sp, &e, -1, ret_vms);
}

int stillpoint_vm_kill(struct stillpoint *sp, const char *vm)
{
    Stillpoint__Api__KillVm m = STILLPOINT__API__KILL_VM__INIT;
    conn_envelope e = CONN_ENVELOPE(KILL_VM, kill_vm, &m);
    m.vm = conn_text(vm);
    return conn_call_done(sp, &e, -1);
}

int stillpoint_vm_kill_post(struct stillpoint *sp, const char *vm)
{
    Stillpoint__Api__KillVm m = STILLPOINT__API__KILL_VM__INIT;
    conn_envelope e = CONN_ENVELOPE(KILL_VM, kill_vm, &m);
    m.vm = conn_text(vm);
    return conn_send(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_DONE, NULL, NULL);
}

int stillpoint_vm_hold(struct stillpoint *sp, const char *vm, const char *debugger)
{
    Stillpoint__Api__HoldVm m = STILLPOINT__API__HOLD_VM__INIT;
    conn_envelope e = CONN_ENVELOPE(HOLD_VM, hold_vm, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    m.vm = conn_text(vm);
    m.debugger = conn_text(debugger);
    return conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_VM_REPLY, &reply);
}

int stillpoint_vm_release(struct stillpoint *sp, const char *vm, const char *debugger)
{
    Stillpoint__Api__ReleaseVm m = STILLPOINT__API__RELEASE_VM__INIT;
    conn_envelope e = CONN_ENVELOPE(RELEASE_VM, release_vm, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    m.vm = conn_text(vm);
    m.debugger = conn_text(debugger);
    return conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_VM_REPLY, &reply);
}

int stillpoint_vm_send(struct stillpoint *sp, const char *vm, const char *json)
{
    Stillpoint__Api__SendMessage m = STILLPOINT__API__SEND_MESSAGE__INIT;
    conn_envelope e = CONN_ENVELOPE(SEND_MESSAGE, send_message, &m);
    m.vm = conn_text(vm);
    m.json = conn_text(json);
    return conn_call_done(sp, &e, -1);
}

int stillpoint_vm_call(struct stillpoint *sp, const char *vm, const char *function,
                       const char *args_json, uint64_t timeout_us,
                       struct stillpoint_result *ret_result)
{
    Stillpoint__Api__CallFunction m = STILLPOINT__API__CALL_FUNCTION__INIT;
    conn_envelope e = CONN_ENVELOPE(CALL_FUNCTION, call_function, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    _cleanup_memory_ struct stillpoint_memory *memory = memory_new();
    m.vm = conn_text(vm);
    m.function = conn_text(function);
    m.args_json = conn_text(args_json);
    CONN_SET(m, timeout_us, timeout_us);
    if (!memory)
        return -ENOMEM;
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_CALL_REPLY, &reply);
    if (r != 0)
        return r;
    const Stillpoint__Api__CallReply *c = reply->call_reply;
    struct stillpoint_result result = {
        .threw = c->threw,
        .json = memory_text(memory, c->json && c->json[0] ? c->json : "null"),
        .error = memory_text(memory, c->error),
    };
    if (memory_failed(memory))
        return -ENOMEM;
    result.memory = TAKE_PTR(memory);
    *ret_result = result;
    return 0;
}

static void fill_read(Stillpoint__Api__ReadLog *m, const struct stillpoint_log_query *query)
{
    m->vm = conn_text(query->vm);
    CONN_SET(*m, from_seq, query->from_seq);
    CONN_SET(*m, last_n, query->last_n);
    CONN_SET(*m, wait, query->wait);
}

static int decode_page(const Stillpoint__Api__LogPage *page, struct stillpoint_log *ret_log)
{
    _cleanup_memory_ struct stillpoint_memory *memory = memory_new();
    struct stillpoint_log log;
    if (!memory)
        return -ENOMEM;
    decode_log(memory, page, &log);
    if (memory_failed(memory))
        return -ENOMEM;
    log.memory = TAKE_PTR(memory);
    *ret_log = log;
    return 0;
}

int stillpoint_vm_log(struct stillpoint *sp, const struct stillpoint_log_query *query,
                      struct stillpoint_log *ret_log)
{
    Stillpoint__Api__ReadLog m = STILLPOINT__API__READ_LOG__INIT;
    conn_envelope e = CONN_ENVELOPE(READ_LOG, read_log, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    fill_read(&m, query);
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_LOG_PAGE, &reply);
    return r != 0 ? r : decode_page(reply->log_page, ret_log);
}

struct log_waiter {
    stillpoint_log_fn done;
    void *data;
};

static void log_arrived(struct stillpoint *sp, int r, conn_envelope **reply, int *fd, void *data)
{
    struct log_waiter waiter = *(struct log_waiter *)data;
    struct stillpoint_log log = {0};
    (void)fd;
    free(data);
    if (r == 0)
        r = decode_page((*reply)->log_page, &log);
    waiter.done(sp, r, r == 0 ? &log : NULL, waiter.data);
    stillpoint_log_free(&log);
}

int stillpoint_vm_log_async(struct stillpoint *sp, const struct stillpoint_log_query *query,
                            stillpoint_log_fn done, void *data)
{
    Stillpoint__Api__ReadLog m = STILLPOINT__API__READ_LOG__INIT;
    conn_envelope e = CONN_ENVELOPE(READ_LOG, read_log, &m);
    struct log_waiter *waiter = malloc(sizeof *waiter);
    if (!waiter)
        return -ENOMEM;
    *waiter = (struct log_waiter){done, data};
    fill_read(&m, query);
    int r = conn_send(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_LOG_PAGE, log_arrived, waiter);
    if (r < 0)
        free(waiter);
    return r;
}

/* ---- freeing */

void *stillpoint_result_free(struct stillpoint_result *result)
{
    CALL_FREE(result);
}

void *stillpoint_log_free(struct stillpoint_log *log)
{
    CALL_FREE(log);
}
