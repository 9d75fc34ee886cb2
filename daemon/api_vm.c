#include "daemon/api_vm.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "daemon/config.h"
#include "daemon/event_bus.h"
#include "daemon/registry.h"
#include "daemon/state.h"
#include "daemon/worker.h"
#include "daemon/world.h"

/* A client may leave this much unread before the VMs that write to it have to wait. */
#define CONSOLE_QUEUE_BYTES (256u * 1024)
/* Bytes of log records in one page: well below a frame. */
#define LOG_PAGE_BYTES (LIMIT_FRAME_BYTES / 2)
#define LOG_PAGE_RECORDS 4096u
#define POLL_MS 5

typedef Stillpoint__Api__Envelope Envelope;

static void recheck_log(struct pending *p, const struct worker *w);

/* ---- a VM as the API shows it */

struct vm_message {
    Stillpoint__Api__Vm vm;
    Stillpoint__Api__Exit exit;
    Stillpoint__Api__Layer layers[WORKER_MAX_LAYERS], *layer_at[WORKER_MAX_LAYERS];
    Stillpoint__Api__Hold hold, *hold_at;
};

static Stillpoint__Api__VmState api_state(const struct worker *w)
{
    static const Stillpoint__Api__VmState of[] = {
        [SHM_STARTING] = STILLPOINT__API__VM_STATE__VM_STATE_STARTING,
        [SHM_RUNNING] = STILLPOINT__API__VM_STATE__VM_STATE_ACTIVE,
        [SHM_IDLE] = STILLPOINT__API__VM_STATE__VM_STATE_IDLE,
        [SHM_BLOCKED] = STILLPOINT__API__VM_STATE__VM_STATE_BLOCKED,
        [SHM_PARKED] = STILLPOINT__API__VM_STATE__VM_STATE_PARKED,
    };
    if (w->phase == WORKER_GONE)
        return STILLPOINT__API__VM_STATE__VM_STATE_EXITED;
    if (w->phase != WORKER_ADMITTED)
        return STILLPOINT__API__VM_STATE__VM_STATE_STARTING;
    return of[stop_state(&w->gate)];
}

static void fill_exit(Stillpoint__Api__Exit *m, const struct worker_exit *e)
{
    stillpoint__api__exit__init(m);
    API_SET(m, reason, (Stillpoint__Api__ExitReason)e->reason);
    API_SET(m, code, e->code);
    API_SET(m, signal, e->signal);
    m->detail = e->detail[0] ? API_TEXT(e->detail) : NULL;
}

static void fill_vm(struct vm_message *m, const struct worker *w)
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
            !gone && !w->gate.open &&
                (state == STILLPOINT__API__VM_STATE__VM_STATE_STARTING ||
                 state == STILLPOINT__API__VM_STATE__VM_STATE_IDLE ||
                 state == STILLPOINT__API__VM_STATE__VM_STATE_BLOCKED));
    API_SET(vm, frozen, 0);
    API_SET(vm, pid, gone ? 0 : (uint32_t)w->pid);
    API_SET(vm, uid, w->uid);
    API_SET(vm, hooks, 0);
    API_SET(vm, started_us, w->started_us);
    API_SET(vm, cpu_us, worker_cpu_us(w));
    API_SET(vm, memory_bytes, worker_memory_bytes(w));
    vm->args = w->argv;
    vm->n_args = w->argc;
    if (gone) {
        API_SET(vm, ended_us, w->ended_us);
        fill_exit(&m->exit, &w->exit);
        vm->exit = &m->exit;
    }
    if (w->gate.holds > 0) {
        stillpoint__api__hold__init(&m->hold);
        m->hold.debugger = API_TEXT(w->holder);
        m->hold_at = &m->hold;
        vm->holds = &m->hold_at;
        vm->n_holds = 1;
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

static void init_vm_reply(Envelope *e, Stillpoint__Api__VmReply *reply, struct vm_message *m,
                          const struct worker *w)
{
    stillpoint__api__envelope__init(e);
    stillpoint__api__vm_reply__init(reply);
    fill_vm(m, w);
    reply->vm = &m->vm;
    e->body_case = API_BODY(VM_REPLY);
    e->vm_reply = reply;
}

static void reply_vm(const struct api_call *call, const struct worker *w)
{
    Envelope e;
    Stillpoint__Api__VmReply reply;
    struct vm_message m = {0};
    init_vm_reply(&e, &reply, &m, w);
    api_reply(call, &e);
}

static void pending_reply_vm(struct pending *p, const struct worker *w)
{
    Envelope e;
    Stillpoint__Api__VmReply reply;
    struct vm_message m = {0};
    init_vm_reply(&e, &reply, &m, w);
    api_pending_reply(p, &e);
}

/* ---- births */

static void fail_birth(const struct api_call *call, const char *name, const char *engine, int r)
{
    switch (r) {
    case -EEXIST:
        api_fail(call, API_ERROR(ALREADY_EXISTS), NULL, "a VM named '%s' exists already", name);
        break;
    case -ENOENT:
        api_fail(call, API_ERROR(UNSUPPORTED), NULL, "no engine '%s' here", engine);
        break;
    case -EMFILE:
        api_fail(call, API_ERROR(LIMIT_EXCEEDED), NULL, "there are too many VMs, worlds or files");
        break;
    case -EAGAIN:
        api_fail(call, API_ERROR(INTERNAL), "try again", "the zygote is being started");
        break;
    default:
        api_fail(call, API_ERROR(INTERNAL), NULL, "cannot make the VM: %s", strerror(-r));
    }
}

static void await_birth(const struct api_call *call, const struct worker *w, bool ready)
{
    api_pending(call, ready ? PENDING_READY : PENDING_LOADED, w->id, 0);
}

void api_vm_run(struct api_call *call)
{
    struct api *api = call->api;
    const struct api_request *r = call->request;
    if (r->run_vm.cpu_percent > 0) {
        api_fail(call, API_ERROR(UNSUPPORTED), "leave out --cpu, or use --cpu-time",
                 "a CPU share cannot be enforced here: no cgroup v2 cpu controller was delegated");
        return;
    }
    ssize_t size = fd_memfd_size(call->fd, LIMIT_FILE_BYTES);
    if (size < 0) {
        api_fail(call, API_ERROR(INVALID_ARGUMENT), NULL,
                 size == -EFBIG ? "program is larger than 64 MiB"
                                : "program is not a memfd sealed against changes");
        return;
    }
    struct world *world = worlds_get(api->worlds, r->run_vm.world, true);
    if (!world) {
        fail_birth(call, NULL, NULL, -errno);
        return;
    }
    struct worker_config config = {
        .name = r->run_vm.name,
        .world = r->run_vm.world,
        .engine = r->run_vm.engine,
        .program = r->run_vm.program,
        .source_kind = r->run_vm.source_kind,
        .argc = r->run_vm.argc,
        .argv = r->run_vm.argv,
        .memory_bytes = r->run_vm.memory_bytes,
        .timeout_us = r->run_vm.timeout_us,
        .cpu_time_us = r->run_vm.cpu_time_us,
        .uid = call->peer->uid,
        .debug = r->run_vm.debug,
        .attach = r->run_vm.attach,
        .keep_idle = r->run_vm.keep_idle,
        .more_files = r->run_vm.more_files,
        .allow_degraded = api->config->allow_degraded,
        .die_with_daemon = true,
        .helper_threads = api->config->helper_threads,
    };
    struct worker *w;
    int v = registry_add(api->registry, world_stop_half(world), &config, TAKE_FD(call->fd), &w);
    if (v < 0) {
        world_drop_if_unused(world);
        fail_birth(call, r->run_vm.name, r->run_vm.engine, v);
        return;
    }
    w->client = call->client;
    w->wait_ready = r->run_vm.wait_ready;
    w->bundle_bytes = (size_t)size;
    struct event born = {.kind = EVENT_VM_BORN,
                         .vm = w->id,
                         .name = w->name,
                         .world = w->world,
                         .epoch = world_epoch(world),
                         .uid = w->uid};
    event_bus_publish(api->bus, &born);
    world_on_member_born(world, w);
    if (r->run_vm.more_files)
        reply_vm(call, w);
    else
        await_birth(call, w, r->run_vm.wait_ready);
}

/* A VM whose files this connection provides. */
static struct worker *find_own(const struct api_call *call, uint64_t id)
{
    struct worker *w = registry_find(call->api->registry, id);
    if (w && w->client == call->client && w->phase != WORKER_GONE)
        return w;
    api_fail(call, API_ERROR(NOT_FOUND), NULL,
             "no VM with id %llu takes files from this connection", (unsigned long long)id);
    return NULL;
}

/* Counts one file into the bundle; sends the error if it does not fit. */
static bool take_file(const struct api_call *call, struct worker *w)
{
    ssize_t size = fd_memfd_size(call->fd, LIMIT_FILE_BYTES);
    if (size < 0)
        api_fail(call, API_ERROR(INVALID_ARGUMENT), NULL,
                 size == -EFBIG ? "file is larger than 64 MiB"
                                : "file is not a memfd sealed against changes");
    else if (w->bundle_files >= LIMIT_BUNDLE_FILES)
        api_fail(call, API_ERROR(LIMIT_EXCEEDED), NULL, "the program has more than %u files",
                 LIMIT_BUNDLE_FILES);
    else if ((size_t)size > LIMIT_BUNDLE_BYTES - w->bundle_bytes)
        api_fail(call, API_ERROR(LIMIT_EXCEEDED), NULL,
                 "the program's files exceed 64 MiB together");
    else {
        w->bundle_files++;
        w->bundle_bytes += (size_t)size;
        return true;
    }
    return false;
}

static void reply_sent(const struct api_call *call, const struct worker *w, int r)
{
    if (r == 0)
        api_reply_done(call);
    else if (r == -ENOBUFS)
        api_fail(call, API_ERROR(LIMIT_EXCEEDED), "wait until it is idle",
                 "VM '%s' has too much queued already", w->name);
    else
        api_fail(call, API_ERROR(CANCELLED), NULL, "cannot reach VM '%s': %s", w->name,
                 strerror(-r));
}

void api_vm_add_file(struct api_call *call)
{
    struct worker *w = find_own(call, call->request->add_file.vm);
    if (!w)
        return;
    if (!w->files_pending)
        api_fail(call, API_ERROR(WRONG_STATE), NULL, "VM '%s' has been started", w->name);
    else if (take_file(call, w))
        reply_sent(call, w, worker_send_file(w, call->request->add_file.path, TAKE_FD(call->fd)));
}

void api_vm_start(struct api_call *call)
{
    struct worker *w = find_own(call, call->request->start_vm.vm);
    if (!w)
        return;
    if (!w->files_pending) {
        api_fail(call, API_ERROR(WRONG_STATE), NULL, "VM '%s' has been started", w->name);
        return;
    }
    w->files_pending = false;
    await_birth(call, w, w->wait_ready);
    if (w->sandboxed)
        worker_load(w);
}

void api_vm_on_loaded(struct api *api, struct worker *w)
{
    struct pending *p, *next;
    for (p = LIST_FIRST(&api->pendings); p; p = next) {
        next = LIST_NEXT(p, link);
        if (p->vm == w->id && p->kind == PENDING_LOADED)
            pending_reply_vm(p, w);
    }
}

void api_vm_on_ready(struct api *api, struct worker *w)
{
    struct pending *p, *next;
    for (p = LIST_FIRST(&api->pendings); p; p = next) {
        next = LIST_NEXT(p, link);
        if (p->vm == w->id && p->kind == PENDING_READY)
            pending_reply_vm(p, w);
    }
}

/* ---- imports and input */

static const char no_client[] =
    "is not among the program's files: name it beforehand with --include GLOB";

void api_vm_on_import_wanted(struct api *api, struct worker *w, uint64_t import_id,
                             const char *path)
{
    if (w->client == 0) {
        char error[LIMIT_PATH_BYTES + 128];
        snprintf(error, sizeof error, "'%.900s' %s", path, no_client);
        worker_send_import(w, import_id, error, -1);
        return;
    }
    const struct api_request request = {.id = 0};
    const struct api_call call = {.api = api, .client = w->client, .request = &request};
    struct pending *p = api_pending(&call, PENDING_IMPORT, w->id, 0);
    if (!p) {
        worker_send_import(w, import_id, "out of memory", -1);
        return;
    }
    p->number = import_id;
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__ImportRequested m = STILLPOINT__API__IMPORT_REQUESTED__INIT;
    API_SET(&m, vm, w->id);
    API_SET(&m, import_id, import_id);
    m.path = API_TEXT(path);
    e.body_case = API_BODY(IMPORT_REQUESTED);
    e.import_requested = &m;
    api->clients->send(api->clients->userdata, w->client, &e, -1);
}

void api_vm_answer_import(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct worker *w = find_own(call, r->answer_import.vm);
    struct pending *p;
    if (!w)
        return;
    LIST_FOREACH(p, &call->api->pendings, link)
    if (p->kind == PENDING_IMPORT && p->vm == w->id && p->number == r->answer_import.import_id)
        break;
    if (!p) {
        api_fail(call, API_ERROR(NOT_FOUND), NULL, "VM '%s' asked for no such import", w->name);
        return;
    }
    if (r->answer_import.error) {
        api_pending_free(p);
        reply_sent(call, w,
                   worker_send_import(w, r->answer_import.import_id, r->answer_import.error, -1));
        return;
    }
    if (!take_file(call, w)) {
        worker_send_import(w, r->answer_import.import_id, "the file cannot be taken", -1);
        api_pending_free(p);
        return;
    }
    api_pending_free(p);
    reply_sent(call, w, worker_send_import(w, r->answer_import.import_id, NULL, TAKE_FD(call->fd)));
}

void api_vm_on_stdin_wanted(struct api *api, struct worker *w, uint32_t max_bytes)
{
    w->stdin_open = true;
    if (w->client == 0 || !w->attach) {
        w->stdin_open = false;
        worker_send_stdin(w, NULL, 0);
        return;
    }
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__StdinRequested m = STILLPOINT__API__STDIN_REQUESTED__INIT;
    API_SET(&m, vm, w->id);
    API_SET(&m, max_bytes, max_bytes);
    e.body_case = API_BODY(STDIN_REQUESTED);
    e.stdin_requested = &m;
    api->clients->send(api->clients->userdata, w->client, &e, -1);
}

void api_vm_answer_stdin(struct api_call *call)
{
    struct worker *w = find_own(call, call->request->answer_stdin.vm);
    if (!w)
        return;
    if (!w->stdin_open) {
        api_fail(call, API_ERROR(WRONG_STATE), NULL, "VM '%s' asked for no input", w->name);
        return;
    }
    w->stdin_open = false;
    reply_sent(
        call, w,
        worker_send_stdin(w, call->request->answer_stdin.data, call->request->answer_stdin.len));
}

/* ---- calls and messages */

void api_vm_call_function(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct worker *w = api_find_live_vm(call, &r->call_function.vm);
    if (!w)
        return;
    if (w->phase != WORKER_ADMITTED) {
        api_fail(call, API_ERROR(WRONG_STATE), NULL, "VM '%s' is starting", w->name);
        return;
    }
    struct pending *p = api_pending(call, PENDING_CALL, w->id, r->call_function.timeout_us);
    if (!p)
        return;
    p->number = ++call->api->next_call;
    int v = worker_send_call(w, p->number, r->call_function.function, r->call_function.args_json);
    if (v < 0) {
        api_pending_free(p);
        reply_sent(call, w, v);
    }
}

bool api_vm_on_call_done(struct api *api, struct worker *w, uint64_t call_id, bool ok,
                         bool no_such_function, const struct worker_text *text)
{
    struct pending *p;
    /* A caller that has timed out or gone leaves no pending; any number that was given out is fair.
     */
    LIST_FOREACH(p, &api->pendings, link)
    if (p->kind == PENDING_CALL && p->vm == w->id && p->number == call_id)
        break;
    if (!p)
        return call_id != 0 && call_id <= api->next_call;
    _cleanup_free_ char *copy = strndup(text->text ? text->text : "", text->len);
    if (!copy) {
        api_pending_fail(p, API_ERROR(INTERNAL), NULL, "out of memory");
    } else if (no_such_function) {
        api_pending_fail(p, API_ERROR(NOT_FOUND), NULL, "VM '%s' has no such function", w->name);
    } else {
        Envelope e = STILLPOINT__API__ENVELOPE__INIT;
        Stillpoint__Api__CallReply m = STILLPOINT__API__CALL_REPLY__INIT;
        API_SET(&m, threw, !ok);
        if (ok)
            m.json = copy;
        else
            m.error = copy;
        e.body_case = API_BODY(CALL_REPLY);
        e.call_reply = &m;
        api_pending_reply(p, &e);
    }
    return true;
}

void api_vm_send_message(struct api_call *call)
{
    struct worker *w = api_find_live_vm(call, &call->request->send_message.vm);
    if (w)
        reply_sent(call, w, worker_send_message(w, call->request->send_message.json));
}

/* ---- console */

void api_vm_on_console(struct api *api, struct worker *w, unsigned stream,
                       const struct worker_text *data, uint64_t mono_ns)
{
    if (w->attach && w->client != 0) {
        Envelope e = STILLPOINT__API__ENVELOPE__INIT;
        Stillpoint__Api__ConsoleWritten m = STILLPOINT__API__CONSOLE_WRITTEN__INIT;
        API_SET(&m, vm, w->id);
        API_SET(&m, stream, (Stillpoint__Api__Stream)stream);
        API_SET(&m, mono_ns, mono_ns);
        m.has_data = 1;
        m.data = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)data->text, .len = data->len};
        e.body_case = API_BODY(CONSOLE_WRITTEN);
        e.console_written = &m;
        api->clients->send(api->clients->userdata, w->client, &e, -1);
        if (api->clients->queued(api->clients->userdata, w->client) > CONSOLE_QUEUE_BYTES)
            worker_hold_console(w, true);
    }
    struct pending *p, *next;
    for (p = LIST_FIRST(&api->pendings); p; p = next) {
        next = LIST_NEXT(p, link);
        if (p->kind == PENDING_LOG && p->vm == w->id)
            recheck_log(p, w);
    }
}

void api_vm_on_client_drained(struct api *api, uint64_t client)
{
    for (struct worker *w = registry_after(api->registry, 0); w;
         w = registry_after(api->registry, w->id))
        if (w->client == client && w->attach)
            worker_hold_console(w, false);
}

struct log_page {
    Stillpoint__Api__LogPage page;
    Stillpoint__Api__LogRecord records[LOG_PAGE_RECORDS], *at[LOG_PAGE_RECORDS];
};

static const char *level_name(unsigned level)
{
    static const char *const names[] = {"log", "info", "debug", "warn", "error", "trace", "raw"};
    return level < sizeof names / sizeof names[0] ? names[level] : "log";
}

static void fill_log_page(struct log_page *m, const struct worker *w, uint64_t from)
{
    Stillpoint__Api__LogPage *page = &m->page;
    stillpoint__api__log_page__init(page);
    page->records = m->at;
    const struct vm_log_record *r = vm_log_find(&w->log, from);
    uint64_t next = r ? r->seq : w->log.next_seq;
    API_SET(page, dropped, next > from && from > 0 ? next - from : 0);
    size_t bytes = 0;
    for (; r && page->n_records < LOG_PAGE_RECORDS && bytes < LOG_PAGE_BYTES;
         r = STAILQ_NEXT(r, link)) {
        Stillpoint__Api__LogRecord *record = &m->records[page->n_records];
        stillpoint__api__log_record__init(record);
        API_SET(record, seq, r->seq);
        API_SET(record, stream, (Stillpoint__Api__Stream)r->stream);
        API_SET(record, time_us, r->time_us);
        API_SET(record, mono_ns, r->mono_ns);
        record->level = API_TEXT(level_name(r->level));
        record->has_data = 1;
        record->data = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)r->data, .len = r->len};
        m->at[page->n_records++] = record;
        bytes += r->len + 64;
        next = r->seq + 1;
    }
    API_SET(page, next_seq, next);
    API_SET(page, ended, w->phase == WORKER_GONE && next >= w->log.next_seq);
}

static int make_log_reply(struct log_page **ret, Envelope *e, const struct worker *w, uint64_t from)
{
    struct log_page *m = malloc(sizeof *m);
    if (!m)
        return -ENOMEM;
    fill_log_page(m, w, from);
    stillpoint__api__envelope__init(e);
    e->body_case = API_BODY(LOG_PAGE);
    e->log_page = &m->page;
    *ret = m;
    return 0;
}

void api_vm_read_log(struct api_call *call)
{
    const struct api_request *r = call->request;
    const struct worker *w = api_find_vm(call, &r->read_log.vm);
    if (!w)
        return;
    uint64_t from = r->read_log.from_seq;
    if (from == 0)
        from = r->read_log.last_n ? vm_log_tail(&w->log, r->read_log.last_n) : 0;
    if (r->read_log.wait && w->phase != WORKER_GONE && !vm_log_find(&w->log, from)) {
        struct pending *p = api_pending(call, PENDING_LOG, w->id, 0);
        if (p)
            p->number = from;
        return;
    }
    Envelope e;
    _cleanup_free_ struct log_page *m = NULL;
    if (make_log_reply(&m, &e, w, from) < 0)
        api_fail(call, API_ERROR(INTERNAL), NULL, "out of memory");
    else
        api_reply(call, &e);
}

static void recheck_log(struct pending *p, const struct worker *w)
{
    if (w->phase != WORKER_GONE && !vm_log_find(&w->log, p->number))
        return;
    Envelope e;
    _cleanup_free_ struct log_page *m = NULL;
    if (make_log_reply(&m, &e, w, p->number) < 0)
        api_pending_fail(p, API_ERROR(INTERNAL), NULL, "out of memory");
    else
        api_pending_reply(p, &e);
}

/* ---- looks */

void api_vm_get(struct api_call *call)
{
    const struct worker *w = api_find_vm(call, &call->request->vm.vm);
    if (w)
        reply_vm(call, w);
}

void api_vm_list(struct api_call *call)
{
    const struct api_request *r = call->request;
    uint32_t n = r->list_vms.page_size;
    _cleanup_free_ struct vm_message *messages = calloc(n, sizeof *messages);
    _cleanup_free_ Stillpoint__Api__Vm **vms = calloc(n, sizeof *vms);
    if (!messages || !vms) {
        api_fail(call, API_ERROR(INTERNAL), NULL, "out of memory");
        return;
    }
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__VmList list = STILLPOINT__API__VM_LIST__INIT;
    list.vms = vms;
    uint64_t last = r->list_vms.page_token;
    struct worker *w = registry_after(call->api->registry, last);
    for (; w && list.n_vms < n; w = registry_after(call->api->registry, w->id)) {
        last = w->id;
        if ((w->phase == WORKER_GONE && !r->list_vms.all) ||
            (r->list_vms.world && strcmp(w->world, r->list_vms.world) != 0))
            continue;
        fill_vm(&messages[list.n_vms], w);
        vms[list.n_vms] = &messages[list.n_vms].vm;
        list.n_vms++;
    }
    API_SET(&list, next_page_token, w ? last : 0);
    e.body_case = API_BODY(VM_LIST);
    e.vm_list = &list;
    api_reply(call, &e);
}

/* ---- waits */

static bool wait_is_over(struct worker *w, enum api_wait_for what)
{
    switch (what) {
    case API_WAIT_EXITED:
        return w->phase == WORKER_GONE;
    case API_WAIT_IDLE:
        /* Asks for a kick at its next arrival, so that we look again then. */
        return w->phase == WORKER_ADMITTED && stop_kick_one(&w->gate) == SHM_IDLE;
    case API_WAIT_STOPPED:
        if (w->phase != WORKER_ADMITTED || w->gate.open)
            return false;
        stop_scan(w->gate.world);
        return w->gate.arrived;
    case API_WAIT_ACTIVE:
        return w->phase == WORKER_ADMITTED && stop_state(&w->gate) == SHM_RUNNING;
    }
    return false;
}

/* A VM that ends ends each wait: as asked for, or as something that will not come any more. */
static void recheck_wait(struct pending *p, struct worker *w)
{
    if (w->phase == WORKER_GONE && p->what != API_WAIT_EXITED)
        api_pending_fail(p, API_ERROR(CANCELLED), NULL, "VM '%s' has exited", w->name);
    else if (wait_is_over(w, p->what))
        pending_reply_vm(p, w);
}

void api_vm_recheck_waits(struct api *api)
{
    bool poll = false;
    struct pending *p, *next;
    for (p = LIST_FIRST(&api->pendings); p; p = next) {
        next = LIST_NEXT(p, link);
        if (p->kind != PENDING_WAIT)
            continue;
        struct worker *w = registry_find(api->registry, p->vm);
        bool active = p->what == API_WAIT_ACTIVE;
        if (w)
            recheck_wait(p, w);
        poll |= active;
    }
    /* No worker tells when it begins to run: for as long as somebody asks, look now and then. */
    struct timeval soon = {.tv_usec = POLL_MS * 1000};
    if (poll)
        event_add(api->poll, &soon);
}

void api_vm_wait(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct worker *w = api_find_vm(call, &r->wait_vm.vm);
    if (!w)
        return;
    struct pending *p = api_pending(call, PENDING_WAIT, w->id, r->wait_vm.timeout_us);
    if (!p)
        return;
    p->what = r->wait_vm.what;
    api_vm_recheck_waits(call->api);
}

void api_vm_on_kicked(struct api *api, struct worker *w)
{
    (void)w;
    api_vm_recheck_waits(api);
}

/* ---- holds and ends */

void api_vm_hold(struct api_call *call)
{
    struct worker *w = api_find_live_vm(call, &call->request->vm.vm);
    if (!w)
        return;
    snprintf(w->holder, sizeof w->holder, "cli:%u", (unsigned)call->peer->uid);
    world_hold(worlds_get(call->api->worlds, w->world, false), w, call->peer->uid);
    reply_vm(call, w);
}

void api_vm_release(struct api_call *call)
{
    struct worker *w = api_find_live_vm(call, &call->request->vm.vm);
    if (!w)
        return;
    if (world_release(worlds_get(call->api->worlds, w->world, false), w, call->peer->uid) < 0)
        api_fail(call, API_ERROR(WRONG_STATE), NULL, "VM '%s' is not held", w->name);
    else
        reply_vm(call, w);
}

void api_vm_kill(struct api_call *call)
{
    struct worker *w = api_find_live_vm(call, &call->request->vm.vm);
    if (!w || !api_pending(call, PENDING_KILL, w->id, 0))
        return;
    char detail[64];
    snprintf(detail, sizeof detail, "killed by uid %u", (unsigned)call->peer->uid);
    worker_kill(w, EXIT_REASON_KILLED, detail);
}

static void send_ended(struct api *api, const struct worker *w)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__VmEnded m = STILLPOINT__API__VM_ENDED__INIT;
    Stillpoint__Api__Exit exit;
    fill_exit(&exit, &w->exit);
    API_SET(&m, vm, w->id);
    m.exit = &exit;
    e.body_case = API_BODY(VM_ENDED);
    e.vm_ended = &m;
    api->clients->send(api->clients->userdata, w->client, &e, -1);
}

void api_vm_on_ended(struct api *api, struct worker *w)
{
    struct pending *p, *next;
    for (p = LIST_FIRST(&api->pendings); p; p = next) {
        next = LIST_NEXT(p, link);
        if (p->vm != w->id)
            continue;
        if (w->load_error && (p->kind == PENDING_LOADED || p->kind == PENDING_READY)) {
            api_pending_fail(p, API_ERROR(PROGRAM_FAILED), NULL, "%s", w->load_error);
            continue;
        }
        switch (p->kind) {
        case PENDING_LOADED:
            api_pending_fail(p, API_ERROR(INTERNAL), NULL, "VM '%s' ended while it started: %s",
                             w->name, w->exit.detail);
            break;
        case PENDING_READY:
            pending_reply_vm(p, w);
            break;
        case PENDING_CALL:
            api_pending_fail(p, API_ERROR(CANCELLED), NULL, "VM '%s' exited before it answered",
                             w->name);
            break;
        case PENDING_WAIT:
            recheck_wait(p, w);
            break;
        case PENDING_LOG:
            recheck_log(p, w);
            break;
        case PENDING_KILL:
            api_pending_reply(p, NULL);
            break;
        case PENDING_IMPORT:
            api_pending_free(p);
            break;
        case PENDING_STOP:
            break;
        }
    }
    if (w->attach && w->client != 0)
        send_ended(api, w);
    w->client = 0;
}

void api_vm_on_client_gone(struct api *api, uint64_t client)
{
    for (struct worker *w = registry_after(api->registry, 0); w;
         w = registry_after(api->registry, w->id)) {
        if (w->client != client)
            continue;
        w->client = 0;
        if (w->attach || w->files_pending)
            worker_kill(w, EXIT_REASON_KILLED, "its client went away");
        worker_hold_console(w, false);
    }
    struct pending *p, *next;
    for (p = LIST_FIRST(&api->pendings); p; p = next) {
        next = LIST_NEXT(p, link);
        if (p->client != client)
            continue;
        struct worker *w = p->kind == PENDING_IMPORT ? registry_find(api->registry, p->vm) : NULL;
        if (w)
            worker_send_import(w, p->number, no_client, -1);
        if (p->kind != PENDING_STOP)
            api_pending_free(p);
    }
}
