#include "daemon/api_birth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/folder.h"
#include "base/text.h"
#include "daemon/act_log.h"
#include "daemon/audit.h"
#include "daemon/config.h"
#include "daemon/event_bus.h"
#include "daemon/record.h"
#include "daemon/registry.h"
#include "daemon/state.h"
#include "daemon/vm_message.h"
#include "daemon/vm_units.h"
#include "daemon/worker.h"
#include "daemon/worlds.h"

typedef Stillpoint__Api__Envelope Envelope;

static const char no_client[] =
    "is not among the program's files: name it beforehand with --include GLOB";

/* ---- what waits for a birth */

static void unborn(struct pending *p, const struct worker *w)
{
    if (w->load_error)
        api_pending_fail(p, API_ERROR(PROGRAM_FAILED), NULL, "%s", w->load_error);
    else
        api_pending_fail(p, API_ERROR(INTERNAL), NULL, "VM '%s' ended while it started: %s",
                         w->name, w->exit.detail);
}

static void loaded_on_vm_ended(struct pending *p, struct worker *w)
{
    unborn(p, w);
}

/* A program that ran to its end was ready before, whether it said so or not. */
static void ready_on_vm_ended(struct pending *p, struct worker *w)
{
    if (!w->admitted)
        unborn(p, w);
    else if (w->exit.reason != EXIT_REASON_EXITED && !w->ready)
        api_pending_fail(p, API_ERROR(PROGRAM_FAILED), NULL, "%s", w->exit.detail);
    else
        vm_message_pending_reply(p, w);
}

/* What it waits for, for a daemon that takes it over. */
static void put_down(struct api *api, const struct worker *w)
{
    if (w->is_kept)
        state_put_vm(api->state, w);
}

static void import_on_vm_ended(struct pending *p, struct worker *w)
{
    (void)w;
    api_pending_free(p);
}

static void refuse_import(struct worker *w, uint64_t import_id, const char *path, const char *why)
{
    char error[LIMIT_DETAIL_BYTES];
    snprintf(error, sizeof error, "'%.800s' %s", path ? path : "?", why);
    text_cut_utf8(error);
    /* It would wait for ever. */
    if (worker_send_import(w, import_id, error, -1) < 0)
        worker_kill(w, EXIT_REASON_UNKNOWN, "an import cannot be answered");
}

static void import_on_client_gone(struct pending *p)
{
    struct worker *w = registry_find(p->api->registry, p->vm);
    if (w) {
        refuse_import(w, p->number, p->path, no_client);
        worker_forget_import(w, p->number);
        /* All that it waits for was this client's. Once for thousands of them: another daemon
         * refuses those that are still down, and its worker leaves out what comes twice. */
        if (w->open_imports == 0)
            put_down(p->api, w);
    }
    api_pending_free(p);
}

static const struct pending_type until_loaded = {.on_vm_ended = loaded_on_vm_ended};
static const struct pending_type until_ready = {.on_vm_ended = ready_on_vm_ended};
/* An import that the client has to answer; it gets no reply of ours. */
static const struct pending_type import = {.on_vm_ended = import_on_vm_ended,
                                           .on_client_gone = import_on_client_gone};

/* ---- births */

/* Why a VM cannot be made, but for a quota: what, and the code and hint of that. */
static int describe_birth(const char *name, const char *engine, int r, char *why, size_t bytes,
                          const char **ret_hint)
{
    *ret_hint = NULL;
    switch (r) {
    case -EEXIST:
        snprintf(why, bytes, "a VM named '%s' exists already", name);
        return API_ERROR(ALREADY_EXISTS);
    case -EBUSY:
        *ret_hint = "see 'stillctl units'";
        snprintf(why, bytes, "the name '%s' is kept for a unit", name);
        return API_ERROR(ALREADY_EXISTS);
    case -ENOENT:
        snprintf(why, bytes, "no engine '%s' here", engine);
        return API_ERROR(UNSUPPORTED);
    case -EMFILE:
        snprintf(why, bytes, "there are too many VMs, worlds or files");
        return API_ERROR(LIMIT_EXCEEDED);
    case -EOPNOTSUPP:
        *ret_hint = "leave out --cpu, or use --cpu-time";
        snprintf(why, bytes,
                 "a CPU share cannot be enforced here: no cgroup v2 cpu controller was delegated");
        return API_ERROR(UNSUPPORTED);
    case -EAGAIN:
        *ret_hint = "try again";
        snprintf(why, bytes, "the zygote is being started");
        return API_ERROR(INTERNAL);
    default:
        snprintf(why, bytes, "cannot make the VM: %s", strerror(-r));
        return API_ERROR(INTERNAL);
    }
}

static void fail_birth(const struct api_call *call, const char *name, const char *engine, int r)
{
    char why[256];
    const char *hint;
    if (r == -EDQUOT) {
        api_fail_quota(call, "VMs", registry_alive_of(call->api->registry, call->peer->uid), "vms",
                       call->api->config->quota.vms);
        return;
    }
    int code = describe_birth(name, engine, r, why, sizeof why, &hint);
    api_fail(call, code, hint, "%s", why);
}

static void await_birth(const struct api_call *call, const struct worker *w, bool ready)
{
    api_pending(call, ready ? &until_ready : &until_loaded, w->id, 0);
}

/* A stop of somebody who may not stop what is the caller's. Operations are over by themselves, and
 * leave it alone. */
static bool is_foreign_control(const struct api_call *call, const struct ticket *t)
{
    return t && !t->request.operation && !t->request.admin && t->request.uid != call->peer->uid;
}

static const struct ticket *foreign_control(const struct api_call *call, const struct world *w)
{
    const struct ticket *served[] = {world_control(w), world_ticket(w)}, *t;
    for (size_t i = 0; i < 2; i++)
        if (is_foreign_control(call, served[i]))
            return served[i];
    for (size_t i = 0; (t = world_queued(w, i)) != NULL; i++)
        if (is_foreign_control(call, t))
            return t;
    return NULL;
}

/* Whoever may put a VM into a world can keep its owner from stopping it, and lets whoever stops it
 * now stop that VM: see api_may_stop(). */
static bool may_enter(const struct api_call *call, const struct world *w)
{
    uid_t owner;
    const struct ticket *t;
    if (call->peer->roles & ACCESS_ADMIN)
        return true;
    if (world_is_owned(w, &owner) && !api_may_act_on(call, owner))
        api_fail_denied(call, ACCESS_ADMIN, "world %s belongs to uid %u", world_name(w),
                        (unsigned)owner);
    else if ((t = foreign_control(call, w)) != NULL)
        api_fail_denied(call, ACCESS_ADMIN,
                        "world %s is being stopped by debugger %s of uid %u: use another (--world)",
                        world_name(w), t->request.debugger_name, (unsigned)t->request.uid);
    else
        return true;
    return false;
}

/* The world that the VM is for, made by its first; NULL, and an error was sent, if it cannot be. */
static struct world *find_world(const struct api_call *call)
{
    const char *name = call->request->run_vm.world;
    uint64_t quota = call->api->config->quota.worlds;
    struct world *w;
    int r = worlds_get_for(call->api->worlds, name, call->peer->uid, quota, &w);
    if (r == 0 && may_enter(call, w))
        return w;
    if (r == -EDQUOT)
        api_fail_quota(call, "worlds", worlds_of_uid(call->api->worlds, call->peer->uid), "worlds",
                       quota);
    else if (r < 0)
        fail_birth(call, NULL, NULL, r);
    return NULL;
}

/* Completes what was asked for with the defaults, and cuts these at what no VM may have more of.
 * False, and why, if more than that was asked for. */
static bool settle_limits(const struct api *api, struct vm_limits *l, char *why, size_t bytes)
{
    const struct vm_limits asked = *l, *max = &api->config->vm_max;
    vm_limits_complete(l, &api->config->vm_defaults);
    uint64_t cpu_percent = l->cpu_percent, tasks = l->tasks;
    const struct {
        const char *key;
        uint64_t *value, asked, max;
    } rows[] = {
        {"memory (bytes)", &l->memory_bytes, asked.memory_bytes, max->memory_bytes},
        {"cpu (%)", &cpu_percent, asked.cpu_percent, max->cpu_percent},
        {"cpu-time (us)", &l->cpu_time_us, asked.cpu_time_us, max->cpu_time_us},
        {"timeout (us)", &l->timeout_us, asked.timeout_us, max->timeout_us},
        {"tasks", &tasks, asked.tasks, max->tasks},
        {"output-rate (bytes a second)", &l->output_rate, asked.output_rate, max->output_rate},
        {"log-size (bytes)", &l->log_bytes, asked.log_bytes, max->log_bytes},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].max != 0 && rows[i].asked > rows[i].max) {
            snprintf(why, bytes, "a VM may have %s up to %llu here, and not %llu", rows[i].key,
                     (unsigned long long)rows[i].max, (unsigned long long)rows[i].asked);
            return false;
        }
        if (rows[i].max != 0 && (*rows[i].value == 0 || *rows[i].value > rows[i].max))
            *rows[i].value = rows[i].max;
    }
    l->cpu_percent = (uint32_t)cpu_percent;
    l->tasks = (uint32_t)tasks;
    return true;
}

static void tell_of_birth(const struct api *api, struct world *world, struct worker *w)
{
    const struct event born = {.kind = EVENT_VM_BORN,
                               .vm = w->id,
                               .name = w->name,
                               .world = w->world,
                               .epoch = world_epoch(world),
                               .uid = w->uid};
    event_bus_publish(api->bus, &born);
    world_on_member_born(world, w);
}

void api_birth_run(struct api_call *call)
{
    struct api *api = call->api;
    char why[256];
    const struct api_request *r = call->request;
    ssize_t size = fd_memfd_size(call->fd, LIMIT_FILE_BYTES);
    if (size < 0) {
        api_fail(call, API_ERROR(INVALID_ARGUMENT), NULL,
                 size == -EFBIG ? "program is larger than 64 MiB"
                                : "program is not a memfd sealed against changes");
        return;
    }
    struct world *world = find_world(call);
    if (!world)
        return;
    struct worker_config config = {
        .name = r->run_vm.name,
        .world = r->run_vm.world,
        .engine = r->run_vm.engine,
        .program = r->run_vm.program,
        .source_kind = r->run_vm.source_kind,
        .argc = r->run_vm.argc,
        .argv = r->run_vm.argv,
        .limits = r->run_vm.limits,
        .uid = call->peer->uid,
        .debug = r->run_vm.debug,
        .attach = r->run_vm.attach,
        .keep_idle = r->run_vm.keep_idle,
        .more_files = r->run_vm.more_files,
        .allow_degraded = api->config->allow_degraded,
        .adoption_ms = api->adoption_ms,
        .helper_threads = api->config->helper_threads,
    };
    if (!settle_limits(api, &config.limits, why, sizeof why)) {
        world_drop_if_unused(world);
        api_fail(call, API_ERROR(LIMIT_EXCEEDED), "see [vm-max] in stillpointd.conf(5)", "%s", why);
        return;
    }
    struct worker *w;
    int v = registry_add(api->registry, world_stop_half(world), &config, TAKE_FD(call->fd), &w);
    if (v < 0) {
        world_drop_if_unused(world);
        fail_birth(call, r->run_vm.name, r->run_vm.engine, v);
        return;
    }
    if (call->act) {
        call->act->vm = w->id;
        call->act->vm_name = w->name;
    }
    w->client = call->client;
    w->wait_ready = r->run_vm.wait_ready;
    w->bundle_bytes = (size_t)size;
    tell_of_birth(api, world, w);
    if (r->run_vm.more_files)
        vm_message_reply(call, w);
    else
        await_birth(call, w, r->run_vm.wait_ready);
    if (w->sandboxed)
        api_birth_on_sandboxed(api, w);
}

/* ---- births of units: there is no client, so the daemon reads the files */

static int open_program(const char *path)
{
    struct stat st;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : -ENODEV;
    return folder_memfd_from(fd, LIMIT_FILE_BYTES);
}

/* Whoever wrote the unit sees the file, mostly, and wonders. */
static void explain_unread(const char *path, int r, char *why, size_t bytes)
{
    static const char *const private[] = {"/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"};
    bool is_private = false;
    for (size_t i = 0; i < sizeof private / sizeof private[0]; i++)
        is_private = is_private || strncmp(path, private[i], strlen(private[i])) == 0;
    if (is_private && (r == -ENOENT || r == -EACCES))
        snprintf(why, bytes, "%s: %s (a service sees neither homes nor others' /tmp: try /srv)",
                 path, folder_error(r));
    else if (r == -EACCES)
        snprintf(why, bytes, "%s: %s (the daemon reads it, as uid %u)", path, folder_error(r),
                 (unsigned)geteuid());
    else
        snprintf(why, bytes, "%s: %s", path, folder_error(r));
}

static const char *base_name(const char *path)
{
    return strrchr(path, '/') + 1;
}

/* Into the world that it names, made by its first VM, whoever stops or owns that: an administrator
 * has written so. */
static int make_unit_vm(struct api *api, struct worker_config *config, int program, char *why,
                        size_t bytes, struct worker **ret)
{
    _cleanup_close_ int fd = program;
    struct world *world;
    const char *hint;
    int r =
        worlds_get_for(api->worlds, config->world, config->uid, api->config->quota.worlds, &world);
    if (r == -EDQUOT)
        snprintf(why, bytes, "uid %u has as many worlds as its quota allows",
                 (unsigned)config->uid);
    else if (r < 0)
        describe_birth(NULL, NULL, r, why, bytes, &hint);
    if (r < 0)
        return r;
    if (!settle_limits(api, &config->limits, why, bytes))
        r = -ERANGE;
    if (r == 0) {
        r = registry_add(api->registry, world_stop_half(world), config, TAKE_FD(fd), ret);
        if (r == -EDQUOT)
            snprintf(why, bytes, "uid %u has as many VMs as its quota allows",
                     (unsigned)config->uid);
        else if (r < 0)
            describe_birth(config->name, config->engine, r, why, bytes, &hint);
    }
    if (r == 0)
        tell_of_birth(api, world, *ret);
    else
        world_drop_if_unused(world);
    return r;
}

int api_birth_unit(void *userdata, const struct vm_units_item *unit, uint64_t *ret_vm, char *why,
                   size_t bytes)
{
    struct api *api = userdata;
    const struct vm_unit *file = &unit->file;
    struct worker *w = NULL;
    if (!unit->has_file) {
        snprintf(why, bytes, "%s", unit->error ? unit->error : "its file was never right");
        return -EINVAL;
    }
    struct worker_config config = {
        .name = unit->name,
        .world = file->world,
        .engine = file->engine,
        .program = base_name(file->program),
        .source_kind = vm_unit_source_kind(file->program),
        .argc = file->argc,
        .argv = file->argv,
        .limits = file->limits,
        .uid = unit->uid,
        .debug = file->debug,
        .keep_idle = !file->exit_when_done,
        .allow_degraded = api->config->allow_degraded,
        .adoption_ms = api->adoption_ms,
        .helper_threads = api->config->helper_threads,
        .n_labels = file->n_labels,
        .labels = file->labels,
        .origin = file->program,
    };
    int fd = open_program(file->program);
    if (fd < 0) {
        explain_unread(file->program, fd, why, bytes);
        return fd == -EAGAIN ? -EIO : fd;
    }
    ssize_t size = fd_memfd_size(fd, LIMIT_FILE_BYTES);
    int r = make_unit_vm(api, &config, fd, why, bytes, &w);
    if (r < 0)
        return r;
    w->bundle_bytes = size < 0 ? 0 : (size_t)size;
    *ret_vm = w->id;
    if (w->sandboxed)
        api_birth_on_sandboxed(api, w);
    return 0;
}

void api_birth_await(const struct api_call *call, struct worker *w)
{
    if (w->admitted)
        vm_message_reply(call, w);
    else
        await_birth(call, w, false);
}

/* What a unit's VM may make the daemon read is what a bundle may have, failures counted. */
static void read_import(struct worker *w, uint64_t import_id, const char *path)
{
    size_t left = LIMIT_BUNDLE_BYTES - w->bundle_bytes;
    if (w->bundle_files >= LIMIT_BUNDLE_FILES || left == 0) {
        refuse_import(w, import_id, path, "is more than the 10,000 files or 64 MiB of a program");
        return;
    }
    w->bundle_files++;
    _cleanup_close_ int folder = folder_open(w->origin);
    _cleanup_close_ int fd =
        folder < 0 ? folder : folder_read(folder, path, LIMIT_PATH_BYTES, left);
    ssize_t size = fd < 0 ? fd : fd_memfd_size(fd, LIMIT_FILE_BYTES);
    if (size < 0) {
        refuse_import(w, import_id, path, folder_error((int)size));
        return;
    }
    w->bundle_bytes += (size_t)size;
    if (worker_send_import(w, import_id, NULL, TAKE_FD(fd)) < 0)
        worker_kill(w, EXIT_REASON_UNKNOWN, "an import cannot be answered");
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

void api_birth_add_file(struct api_call *call)
{
    struct worker *w = find_own(call, call->request->add_file.vm);
    if (!w)
        return;
    if (!w->files_pending)
        api_fail(call, API_ERROR(WRONG_STATE), NULL, "VM '%s' has been started", w->name);
    else if (take_file(call, w))
        api_reply_sent(call, w,
                       worker_send_file(w, call->request->add_file.path, TAKE_FD(call->fd)));
}

void api_birth_start(struct api_call *call)
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
    api_birth_load(call->api, w);
}

static void log_posture(const struct worker *w)
{
    char text[512] = "";
    size_t at = 0;
    for (size_t i = 0; i < w->n_layers && at < sizeof text; i++)
        if (w->layers[i].state != WORKER_LAYER_ON)
            at += (size_t)snprintf(
                text + at, sizeof text - at, "%s%s %s", at > 0 ? ", " : "", w->layers[i].name,
                w->layers[i].state == WORKER_LAYER_DEGRADED ? "degraded" : "off");
    if (at > 0)
        record_write(LOG_INFO, MESSAGE_VM_DEGRADED, RECORD_VM(w),
                     "vm %llu (%s): sandbox with %s (see stillctl doctor)",
                     (unsigned long long)w->id, w->name, text);
}

void api_birth_on_sandboxed(struct api *api, struct worker *w)
{
    /* A private daemon's log is its user's terminal. */
    if (api->config && api->config->private_fd < 0)
        log_posture(w);
    audit_on_born(api->audit, w);
    api_birth_load(api, w);
}

void api_birth_load(struct api *api, struct worker *w)
{
    if (w->phase == WORKER_SETUP && w->sandboxed && !w->files_pending && w->exit.reason == 0 &&
        audit_is_settled(api->audit, w) && worker_load(w) < 0)
        worker_kill(w, EXIT_REASON_UNKNOWN, "its program cannot be handed over");
}

void api_birth_on_loaded(struct api *api, struct worker *w)
{
    struct pending *p, *next;
    for (p = LIST_FIRST(&api->pendings); p; p = next) {
        next = LIST_NEXT(p, link);
        if (p->vm == w->id && p->type == &until_loaded)
            vm_message_pending_reply(p, w);
    }
}

void api_birth_on_ready(struct api *api, struct worker *w)
{
    struct pending *p, *next;
    for (p = LIST_FIRST(&api->pendings); p; p = next) {
        next = LIST_NEXT(p, link);
        if (p->vm == w->id && p->type == &until_ready)
            vm_message_pending_reply(p, w);
    }
}

/* ---- imports and input */

void api_birth_on_import_wanted(struct api *api, struct worker *w, uint64_t import_id,
                                const char *path)
{
    if (w->origin) {
        read_import(w, import_id, path);
        return;
    }
    if (w->client == 0) {
        refuse_import(w, import_id, path, no_client);
        return;
    }
    if (w->open_imports >= LIMIT_IMPORTS_OPEN) {
        refuse_import(w, import_id, path, "is one of too many imports at once");
        return;
    }
    const struct api_request request = {.id = 0};
    const struct api_call call = {.api = api, .client = w->client, .request = &request};
    struct pending *p = api_pending(&call, &import, w->id, 0);
    if (!p) {
        worker_send_import(w, import_id, "out of memory", -1);
        return;
    }
    if (worker_note_import(w, import_id) < 0) {
        api_pending_free(p);
        worker_send_import(w, import_id, "out of memory", -1);
        return;
    }
    put_down(api, w);
    p->number = import_id;
    p->path = strdup(path);
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__ImportRequested m = STILLPOINT__API__IMPORT_REQUESTED__INIT;
    API_SET(&m, vm, w->id);
    API_SET(&m, import_id, import_id);
    m.path = API_TEXT(path);
    e.body_case = API_BODY(IMPORT_REQUESTED);
    e.import_requested = &m;
    api->clients->send(api->clients->userdata, w->client, &e, -1);
}

/* It waits no more only when its answer is on the way: a worker leaves out one that comes twice,
 * and would wait for ever for one that does not come. */
static int answer_import(struct api *api, struct worker *w, uint64_t import_id, const char *error,
                         int fd)
{
    int r = worker_send_import(w, import_id, error, fd);
    worker_forget_import(w, import_id);
    put_down(api, w);
    return r;
}

void api_birth_answer_import(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct worker *w = find_own(call, r->answer_import.vm);
    if (!w)
        return;
    struct pending *p = api_pending_find(call->api, &import, w->id, r->answer_import.import_id);
    if (!p) {
        api_fail(call, API_ERROR(NOT_FOUND), NULL, "VM '%s' asked for no such import", w->name);
        return;
    }
    uint64_t import_id = r->answer_import.import_id;
    api_pending_free(p);
    if (r->answer_import.error)
        api_reply_sent(call, w, answer_import(call->api, w, import_id, r->answer_import.error, -1));
    else if (take_file(call, w))
        api_reply_sent(call, w, answer_import(call->api, w, import_id, NULL, TAKE_FD(call->fd)));
    else
        (void)answer_import(call->api, w, import_id, "the file cannot be taken", -1);
}

void api_birth_on_stdin_wanted(struct api *api, struct worker *w, uint32_t max_bytes)
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

void api_birth_answer_stdin(struct api_call *call)
{
    struct worker *w = find_own(call, call->request->answer_stdin.vm);
    if (!w)
        return;
    if (!w->stdin_open) {
        api_fail(call, API_ERROR(WRONG_STATE), NULL, "VM '%s' asked for no input", w->name);
        return;
    }
    w->stdin_open = false;
    api_reply_sent(
        call, w,
        worker_send_stdin(w, call->request->answer_stdin.data, call->request->answer_stdin.len));
}
