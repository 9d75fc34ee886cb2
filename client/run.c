/* Giving a program to the daemon, and answering what it asks while the program runs. */
#include "client/call.h"

static void fill_run(Stillpoint__Api__RunVm *m, const struct stillpoint_run *run)
{
    m->name = conn_text(run->name);
    m->world = conn_text(run->world);
    m->engine = conn_text(run->engine);
    m->program = conn_text(run->program);
    m->args = (char **)run->args;
    m->n_args = run->n_args;
    CONN_SET(*m, kind, (Stillpoint__Api__SourceKind)run->kind);
    CONN_SET(*m, memory_bytes, run->memory_bytes);
    CONN_SET(*m, cpu_percent, run->cpu_percent);
    CONN_SET(*m, timeout_us, run->timeout_us);
    CONN_SET(*m, cpu_time_us, run->cpu_time_us);
    CONN_SET(*m, tasks, run->tasks);
    CONN_SET(*m, output_rate, run->output_rate);
    CONN_SET(*m, log_bytes, run->log_bytes);
    CONN_SET(*m, debug, run->debug);
    CONN_SET(*m, attach, run->attach);
    CONN_SET(*m, keep_idle, run->keep_idle);
    CONN_SET(*m, wait_ready, run->wait_ready);
    CONN_SET(*m, more_files, run->more_files);
}

/* Who waits for a VmReply. */
struct vm_waiter {
    stillpoint_vm_fn done;
    void *data;
};

static void vm_replied(struct stillpoint *sp, int r, conn_envelope **reply, int *fd, void *data)
{
    struct vm_waiter *w = data;
    (void)fd;
    struct stillpoint_vms vms = {0};
    if (r == 0)
        r = decode_only_vm((*reply)->vm_reply->vm, &vms);
    w->done(sp, r, r == 0 ? vms.items : NULL, w->data);
    stillpoint_vms_free(&vms);
    free(w);
}

static int send_for_vm(struct stillpoint *sp, conn_envelope *e, int fd, stillpoint_vm_fn done,
                       void *data)
{
    struct vm_waiter *w = malloc(sizeof *w);
    if (!w)
        return -ENOMEM;
    *w = (struct vm_waiter){done, data};
    int r = conn_send(sp, e, fd, STILLPOINT__API__ENVELOPE__BODY_VM_REPLY, vm_replied, w);
    if (r < 0)
        free(w);
    return r;
}

int stillpoint_run(struct stillpoint *sp, const struct stillpoint_run *run, int memfd,
                   struct stillpoint_vms *ret_vms)
{
    Stillpoint__Api__RunVm m = STILLPOINT__API__RUN_VM__INIT;
    conn_envelope e = CONN_ENVELOPE(RUN_VM, run_vm, &m);
    fill_run(&m, run);
    return call_for_vm(sp, &e, memfd, ret_vms);
}

int stillpoint_run_async(struct stillpoint *sp, const struct stillpoint_run *run, int memfd,
                         stillpoint_vm_fn done, void *data)
{
    Stillpoint__Api__RunVm m = STILLPOINT__API__RUN_VM__INIT;
    conn_envelope e = CONN_ENVELOPE(RUN_VM, run_vm, &m);
    fill_run(&m, run);
    return send_for_vm(sp, &e, memfd, done, data);
}

int stillpoint_start_async(struct stillpoint *sp, uint64_t vm, stillpoint_vm_fn done, void *data)
{
    Stillpoint__Api__StartVm m = STILLPOINT__API__START_VM__INIT;
    conn_envelope e = CONN_ENVELOPE(START_VM, start_vm, &m);
    CONN_SET(m, vm, vm);
    return send_for_vm(sp, &e, -1, done, data);
}

int stillpoint_add_file(struct stillpoint *sp, uint64_t vm, const char *path, int memfd)
{
    Stillpoint__Api__AddFile m = STILLPOINT__API__ADD_FILE__INIT;
    conn_envelope e = CONN_ENVELOPE(ADD_FILE, add_file, &m);
    CONN_SET(m, vm, vm);
    m.path = conn_text(path);
    return conn_call_done(sp, &e, memfd);
}

int stillpoint_answer_import_post(struct stillpoint *sp, uint64_t vm, uint64_t import_id, int memfd,
                                  const char *error)
{
    Stillpoint__Api__AnswerImport m = STILLPOINT__API__ANSWER_IMPORT__INIT;
    conn_envelope e = CONN_ENVELOPE(ANSWER_IMPORT, answer_import, &m);
    CONN_SET(m, vm, vm);
    CONN_SET(m, import_id, import_id);
    if (memfd < 0)
        m.error = conn_text(error);
    return conn_send(sp, &e, memfd, STILLPOINT__API__ENVELOPE__BODY_DONE, NULL, NULL);
}

int stillpoint_answer_stdin_post(struct stillpoint *sp, uint64_t vm, const void *data, size_t bytes)
{
    Stillpoint__Api__AnswerStdin m = STILLPOINT__API__ANSWER_STDIN__INIT;
    conn_envelope e = CONN_ENVELOPE(ANSWER_STDIN, answer_stdin, &m);
    CONN_SET(m, vm, vm);
    m.has_data = 1;
    m.data = (ProtobufCBinaryData){.len = bytes, .data = (uint8_t *)data};
    return conn_send(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_DONE, NULL, NULL);
}
