#include "worker/dispatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "proto/limits.h"
#include "worker/one_line.h"

/* Reasons of Exiting; the numbers are those of api.proto's ExitReason. */
enum exit_reason { EXITED = 1, ERROR = 2, OOM = 3 };

#define CODE_ERROR 1
#define CODE_OURS 125
#define CODE_OOM 137

/* ---- commands */

static int take_load(struct dispatch *d, const Stillpoint__Worker__Load *load, int memfd)
{
    if (d->program_came || !load->path || load->n_args > LIMIT_ARGS)
        return -EPROTO;
    struct engine_program *p = &d->program;
    int r = fd_memfd_map(memfd, LIMIT_FILE_BYTES, &p->text, &p->text_bytes);
    if (r < 0)
        return r;
    d->program_path = strdup(load->path);
    if (!d->program_path)
        return -ENOMEM;
    r = wasi_init(&d->host->wasi, load->path, load->n_args, (const char *const *)load->args);
    if (r < 0)
        return r;
    p->kind = (enum engine_source_kind)load->kind;
    p->path = d->program_path;
    p->argc = d->host->wasi.argc - 1;
    p->argv = (const char *const *)d->host->wasi.argv + 1;
    d->program_came = true;
    return 0;
}

static int take_deliver(struct dispatch *d, const Stillpoint__Worker__Deliver *deliver, int memfd)
{
    int r = messages_push_deliver(&d->host->messages, deliver, memfd);
    if (r != -ENOBUFS)
        return r;
    /* Nobody may wait here: this also runs behind a closed gate. */
    static const char dropped[] = "stillpoint: too many messages wait; one was dropped\n";
    Stillpoint__Worker__Console console = STILLPOINT__WORKER__CONSOLE__INIT;
    console.has_stream = console.has_level = console.has_data = true;
    console.stream = ENGINE_STDERR;
    console.level = ENGINE_LEVEL_WARN;
    console.data =
        (ProtobufCBinaryData){.len = sizeof dropped - 1, .data = (uint8_t *)(uintptr_t)dropped};
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_CONSOLE;
    fact.console = &console;
    return daemon_channel_send(d->channel, &fact);
}

static int take_inspect(struct dispatch *d, const Stillpoint__Worker__Inspect *m)
{
    int r = inspections_push(&d->inspections, m);
    if (d->inspections.n > 0)
        safepoint_ask(d->safepoint);
    return r;
}

int dispatch_command(void *userdata, const Stillpoint__Worker__Command *m, int *fds, size_t n_fds)
{
    struct dispatch *d = userdata;
    int memfd = n_fds > 0 ? fds[0] : -1;
    switch (m->body_case) {
    case STILLPOINT__WORKER__COMMAND__BODY_LOAD:
        return take_load(d, m->load, memfd);
    case STILLPOINT__WORKER__COMMAND__BODY_ADD_FILE:
        return m->add_file->path ? imports_add_file(&d->host->imports, m->add_file->path, memfd)
                                 : -EPROTO;
    case STILLPOINT__WORKER__COMMAND__BODY_ANSWER_IMPORT:
        return imports_answer(&d->host->imports, m->answer_import->import_id,
                              m->answer_import->error, memfd);
    case STILLPOINT__WORKER__COMMAND__BODY_CALL:
        return messages_push_call(&d->host->messages, m->call, memfd);
    case STILLPOINT__WORKER__COMMAND__BODY_CANCEL_CALL:
        messages_cancel_call(&d->host->messages, m->cancel_call->call_id);
        return 0;
    case STILLPOINT__WORKER__COMMAND__BODY_DELIVER:
        return take_deliver(d, m->deliver, memfd);
    case STILLPOINT__WORKER__COMMAND__BODY_ANSWER_STDIN:
        return wasi_stdin_answer(&d->host->wasi, m->answer_stdin->data.data,
                                 m->answer_stdin->data.len);
    case STILLPOINT__WORKER__COMMAND__BODY_INSPECT:
        return take_inspect(d, m->inspect);
    case STILLPOINT__WORKER__COMMAND__BODY_ANSWER_PAUSE:
        return pause_answered(&d->pauses, m->answer_pause);
    default:
        return -EPROTO;
    }
}

/* ---- inspections: behind the gate, parked; see safepoint_ask() */

static void went_on(void *userdata)
{
    struct dispatch *d = userdata;
    auditors_look_at_budgets(&d->auditors);
}

static void serve_inspections(void *userdata)
{
    struct dispatch *d = userdata;
    /* As host_sent(): without memory for a fact nothing true can be said any more. */
    if (inspections_serve(&d->inspections) < 0)
        safepoint_orphaned();
}

/* ---- the end */

static bool all_acked(void *userdata)
{
    return daemon_channel_settled(userdata);
}

/* A VM that ends does not come to its gate any more. One that did not load has not been admitted,
 * and its daemon waits for no answer. */
static void refuse_inspections(struct dispatch *d)
{
    if (d->safepoint->state != SHM_STARTING &&
        inspections_refuse(&d->inspections, "the VM has ended") < 0)
        safepoint_orphaned();
}

/* The last fact, and the process ends once the daemon has acknowledged it, or is gone. Runs no
 * guest code, so that a closed gate does not hold it up: the VM shows as blocked, which counts as
 * arrived. */
static _Noreturn void finish(struct dispatch *d, enum exit_reason reason, int code,
                             const char *detail)
{
    char line[LIMIT_DETAIL_BYTES + 1];
    refuse_inspections(d);
    Stillpoint__Worker__Exiting exiting = STILLPOINT__WORKER__EXITING__INIT;
    exiting.has_reason = exiting.has_code = true;
    exiting.reason = reason;
    exiting.code = (uint32_t)code & 0xff;
    if (detail)
        exiting.detail = one_line(detail, line, sizeof line);
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_EXITING;
    fact.exiting = &exiting;
    if (daemon_channel_send(d->channel, &fact) == 0) {
        safepoint_leave(d->safepoint, SHM_BLOCKED);
        safepoint_wait(d->safepoint, all_acked, d->channel);
    }
    _exit((int)exiting.code);
}

/* After each op that may have run guest code: 0 goes on, all else is the end. */
static void judge(struct dispatch *d, int r)
{
    if (r == 0) {
        if (d->ops->ready(d->engine))
            host_say_ready(d->host);
        return;
    }
    if (r < 0)
        finish(d, ERROR, CODE_OURS, strerror(-r));
    struct engine_exit e = d->ops->exit_info(d->engine);
    switch ((enum engine_outcome)r) {
    case ENGINE_EXIT:
        finish(d, EXITED, e.code, e.detail);
    case ENGINE_FAILED:
        finish(d, ERROR, e.code, e.detail);
    case ENGINE_OOM:
        finish(d, OOM, CODE_OOM, e.detail);
    case ENGINE_TERMINATED:
    default:
        finish(d, ERROR, CODE_OURS, "terminated");
    }
}

/* ---- loading: no guest code, gate closed */

static void answer_import(struct dispatch *d, struct import_answer *a)
{
    judge(d, d->ops->import_answer(d->engine, a->id, a->error, a->text, a->text_bytes));
    import_answer_free(a);
}

static bool program_came(void *userdata)
{
    struct dispatch *d = userdata;
    return d->program_came;
}

static bool answer_came_or_loaded(void *userdata)
{
    struct dispatch *d = userdata;
    return d->host->loaded || d->host->imports.first;
}

static void say_loaded(struct dispatch *d, const char *error)
{
    char line[LIMIT_DETAIL_BYTES + 1];
    Stillpoint__Worker__Loaded loaded = STILLPOINT__WORKER__LOADED__INIT;
    if (error)
        loaded.error = one_line(error, line, sizeof line);
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_LOADED;
    fact.loaded = &loaded;
    host_sent(d->host, daemon_channel_send(d->channel, &fact));
}

static void load(struct dispatch *d)
{
    safepoint_wait(d->safepoint, program_came, d);
    int r = d->ops->load(d->engine, &d->program);
    while (r == 0 && !d->host->loaded) {
        safepoint_wait(d->safepoint, answer_came_or_loaded, d);
        struct import_answer *a = imports_take(&d->host->imports);
        if (a) {
            r = d->ops->import_answer(d->engine, a->id, a->error, a->text, a->text_bytes);
            import_answer_free(a);
        }
    }
    const char *error =
        r != 0 && !d->host->load_error ? "the program cannot be loaded" : d->host->load_error;
    say_loaded(d, error);
    if (error)
        finish(d, ERROR, CODE_ERROR, error);
}

/* ---- the event loop: gate open, or inside safepoint_poll() */

static void do_message(struct dispatch *d, struct message *m)
{
    static const char bad_args[] = "the arguments are not a JSON array";
    if (m->cancelled) {
        message_free(m);
        return;
    }
    int r = m->is_call ? d->ops->call(d->engine, m->call_id, m->function, m->json, m->json_bytes)
                       : d->ops->deliver(d->engine, m->json, m->json_bytes);
    if (m->is_call && r == -ENOENT) {
        host_sent(d->host, messages_no_such_function(&d->host->messages, m->call_id));
        r = 0;
    } else if (m->is_call && r == -EINVAL) {
        host_sent(d->host, messages_call_done(&d->host->messages, m->call_id, false, bad_args,
                                              sizeof bad_args - 1));
        r = 0;
    }
    message_free(m);
    judge(d, r);
}

/* Timers that were armed before this turn and are due at its start, in their order. */
static void do_timers(struct dispatch *d)
{
    struct timers *t = &d->host->timers;
    uint64_t now = safepoint_clock_ns(d->safepoint), armed = t->armed, id;
    while (timers_take_due(t, now, armed, &id)) {
        judge(d, d->ops->fire_timer(d->engine, id));
        timers_fired(t, id, safepoint_clock_ns(d->safepoint));
        safepoint_poll(d->safepoint);
    }
}

static void do_jobs(struct dispatch *d)
{
    while (d->ops->jobs_ready(d->engine)) {
        judge(d, d->ops->run_jobs(d->engine));
        safepoint_poll(d->safepoint);
    }
}

static bool work_queued(const struct dispatch *d)
{
    return d->host->imports.first || d->host->messages.first || d->ops->jobs_ready(d->engine);
}

static void turn(struct dispatch *d)
{
    if (daemon_channel_drain(d->channel) < 0)
        safepoint_orphaned();
    safepoint_poll(d->safepoint);
    do_jobs(d);
    do_timers(d);
    do_jobs(d);
    struct import_answer *a = imports_take(&d->host->imports);
    if (a)
        answer_import(d, a);
    struct message *m = messages_take(&d->host->messages);
    if (m)
        atomic_fetch_add_explicit(&d->safepoint->gate.status->messages_taken, 1,
                                  memory_order_relaxed);
    if (m)
        do_message(d, m);
    safepoint_poll(d->safepoint);
}

static bool over(const struct dispatch *d)
{
    return !d->keep_idle && d->host->timers.n_heap == 0 && !d->ops->pending(d->engine);
}

/* Waits for work or the next timer. The timer's time is that of the world clock, which stands still
 * behind a closed gate: then the wait ends early, safepoint_enter() parks, and the turn that
 * follows finds how much time is really left. */
static void idle(struct dispatch *d)
{
    safepoint_leave(d->safepoint, SHM_IDLE);
    uint64_t next = timers_next_ns(&d->host->timers), timeout = UINT64_MAX;
    int r = 0;
    while (r == 0 && !work_queued(d) && !safepoint_is_asked(d->safepoint)) {
        if (next != UINT64_MAX) {
            uint64_t now = safepoint_clock_ns(d->safepoint);
            timeout = next > now ? next - now : 0;
        }
        r = daemon_channel_wait(d->channel, d->host->wake_fd, timeout);
    }
    if (r == 1) {
        uint64_t count;
        (void)!read(d->host->wake_fd, &count, sizeof count);
    }
    if (r < 0 && r != -ETIMEDOUT)
        safepoint_orphaned();
    safepoint_enter(d->safepoint);
}

void dispatch_run(struct dispatch *d)
{
    inspections_init(&d->inspections, d->ops, d->engine, d->channel, d->safepoint);
    look_init(&d->look, d->ops, d->engine, d->safepoint, &d->inspections);
    pauses_init(&d->pauses, d->host);
    auditors_init(&d->auditors, d->ops, d->engine, d->host, &d->pauses);
    auditors_serve(&d->auditors, &d->inspections);
    d->host->auditors = &d->auditors;
    safepoint_on_ask(d->safepoint, serve_inspections, d);
    safepoint_on_going_on(d->safepoint, went_on, d);
    load(d);
    safepoint_enter(d->safepoint);
    auditors_start(&d->auditors);
    judge(d, d->ops->run(d->engine));
    for (;;) {
        turn(d);
        if (work_queued(d))
            continue;
        if (over(d))
            finish(d, EXITED, d->ops->exit_code(d->engine), NULL);
        if (timers_next_ns(&d->host->timers) > safepoint_clock_ns(d->safepoint))
            idle(d);
    }
}
