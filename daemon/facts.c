#include "daemon/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "daemon/act_log.h"
#include "daemon/api_birth.h"
#include "daemon/api_debug.h"
#include "daemon/api_inspect.h"
#include "daemon/api_log.h"
#include "daemon/api_look.h"
#include "daemon/api_step.h"
#include "daemon/api_talk.h"
#include "daemon/api_vm.h"
#include "daemon/api_wait.h"
#include "daemon/api_world.h"
#include "daemon/audit.h"
#include "daemon/cgroup_limits.h"
#include "daemon/config.h"
#include "daemon/event_bus.h"
#include "daemon/pause.h"
#include "daemon/record.h"
#include "daemon/registry.h"
#include "daemon/state.h"
#include "daemon/vm_units.h"
#include "daemon/worker_evaluation.h"
#include "daemon/worlds.h"
#include "proto/unpack.h"

/* Each handler returns NULL, or why the fact is a violation. */

static const char *on_born(struct api *api, struct worker *w, const struct worker_fact *f)
{
    if (w->sandboxed)
        return "born twice";
    worker_take_posture(w, f);
    if (f->born.error) {
        record_write(LOG_ERR, MESSAGE_VM_NO_SANDBOX, RECORD_VM(w), "vm %llu (%s): sandbox: %s",
                     (unsigned long long)w->id, w->name, f->born.error);
        worker_kill(w, EXIT_REASON_UNKNOWN, f->born.error);
    } else {
        api_birth_on_sandboxed(api, w);
    }
    return NULL;
}

static const char *on_loaded(struct api *api, struct worker *w, const struct worker_fact *f)
{
    if (w->load_error)
        return "loads after it has failed to";
    if (f->loaded.error) {
        /* Answered when it has ended, so that whoever reads the answer finds it gone. */
        w->load_error = strdup(f->loaded.error);
        return w->load_error ? NULL : unpack_no_memory;
    }
    if (w->outlives)
        worker_keep(w);
    worker_admit(w);
    state_put_vm(api->state, w);
    world_on_member_admitted(worlds_get(api->worlds, w->world, false), w);
    api_birth_on_loaded(api, w);
    api_wait_recheck(api);
    return NULL;
}

static const char *on_ready(struct api *api, struct worker *w, const struct worker_fact *f)
{
    (void)f;
    /* To say it again and again would make the daemon look for those who wait for it. */
    if (w->ready) /* The daemon before may have heard it, and died before it could say so. */
        return w->adopted ? NULL : "is ready twice";
    w->ready = true;
    if (w->is_kept)
        state_put_vm(api->state, w);
    api_birth_on_ready(api, w);
    api_wait_recheck(api);
    return NULL;
}

static const char *on_console(struct api *api, struct worker *w, const struct worker_fact *f)
{
    if (!vm_log_add(&w->log, w->hearing, f->console.stream, f->console.level, f->console.mono_ns,
                    f->console.data.text, f->console.data.len))
        return NULL; /* the daemon before had dealt with it, and died before it could say so */
    if (api->vm_journals)
        vm_journal_add(api->vm_journals, &w->journal, RECORD_VM(w), w->pid, f->console.stream,
                       f->console.level, f->console.data.text, f->console.data.len);
    api_log_on_console(api, w, f->console.stream, &f->console.data, f->console.mono_ns);
    worker_limits_wrote(&w->timed, f->console.data.len);
    return NULL;
}

static const char *on_import_wanted(struct api *api, struct worker *w, const struct worker_fact *f)
{
    api_birth_on_import_wanted(api, w, f->import_wanted.import_id, f->import_wanted.path);
    return NULL;
}

static const char *on_call_done(struct api *api, struct worker *w, const struct worker_fact *f)
{
    bool known = api_talk_on_call_done(api, w, f->call_done.call_id, f->call_done.ok,
                                       f->call_done.no_such_function, &f->call_done.text);
    return known ? NULL : "answers a call that nobody made";
}

static const char *on_posted(struct api *api, struct worker *w, const struct worker_fact *f)
{
    char *json = text_dup(f->posted.text, f->posted.len);
    const struct event e = {.kind = EVENT_VM_MESSAGE,
                            .vm = w->id,
                            .name = w->name,
                            .world = w->world,
                            .epoch = w->gate.world->epoch,
                            .uid = w->uid,
                            .json = json,
                            .fact = w->hearing};
    event_bus_publish(api->bus, &e);
    free(json);
    return NULL;
}

static const char *on_stdin_wanted(struct api *api, struct worker *w, const struct worker_fact *f)
{
    if (w->stdin_open)
        return "asks for input twice";
    api_birth_on_stdin_wanted(api, w, f->stdin_wanted.max_bytes);
    return NULL;
}

static const char *on_exiting(struct api *api, struct worker *w, const struct worker_fact *f)
{
    static const enum exit_reason reasons[] = {[WORKER_EXITED] = EXIT_REASON_EXITED,
                                               [WORKER_ERROR] = EXIT_REASON_ERROR,
                                               [WORKER_OOM] = EXIT_REASON_OOM};
    (void)api;
    if (w->said_exit.reason != 0)
        return "exits twice";
    w->said_exit.reason = reasons[f->exiting.reason];
    w->said_exit.code = f->exiting.code;
    worker_limits_wrote_last(&w->timed);
    if (f->exiting.detail)
        text_copy(w->said_exit.detail, sizeof w->said_exit.detail, f->exiting.detail);
    if (w->is_kept)
        state_put_vm(api->state, w);
    worker_farewell(w);
    return NULL;
}

static const char *on_inspected(struct api *api, struct worker *w, const struct worker_fact *f)
{
    const struct worker_inspected *answer = &f->inspected;
    if (!worker_inspected(w, answer->request)) {
        /* Whoever made it is gone with the daemon of that time. */
        if (w->adopted && answer->request <= w->first_number)
            return NULL;
        return "answers a request that nobody made";
    }
    const char *withdrawn = worker_evaluation_answered(w, answer->request);
    struct world *world = worlds_get(api->worlds, w->world, false);
    world_serve_end(world, w);
    if (audit_on_inspected(api->audit, w, answer))
        api_birth_load(api, w);
    else if (!api_look_on_inspected(api, w, answer, withdrawn) &&
             !api_step_on_inspected(api, w, answer) && !api_debug_on_inspected(api, w, answer))
        (void)api_inspect_on_inspected(api, w, answer);
    /* It has come to its gate, or to a gate that is open; what it evaluated is over. */
    world_on_member_kicked(world, w);
    api_world_recheck(api);
    return NULL;
}

static const char *on_paused(struct api *api, struct worker *w, const struct worker_fact *f)
{
    const char *why = pauses_on_paused(api->pauses, w, f->paused);
    if (!why)
        api_step_recheck(api);
    return why;
}

static const char *on_hit(struct api *api, struct worker *w, const struct worker_fact *f)
{
    return audit_on_hit(api->audit, w, f->hit);
}

static const char *on_audited(struct api *api, struct worker *w, const struct worker_fact *f)
{
    return audit_on_audited(api->audit, w, f->audited);
}

static const char *on_hook_ended(struct api *api, struct worker *w, const struct worker_fact *f)
{
    return audit_on_hook_ended(api->audit, w, f->hook_ended);
}

static const char *on_breakpoint_bound(struct api *api, struct worker *w,
                                       const struct worker_fact *f)
{
    return audit_on_breakpoint_bound(api->audit, w, f->breakpoint_bound);
}

#define BIRTH (1u << WORKER_SETUP)
#define LOADING (1u << WORKER_LOADING)
#define ADMITTED (1u << WORKER_ADMITTED)
#define ANY (BIRTH | LOADING | ADMITTED)

static const struct row {
    const char *name;
    unsigned phases;
    bool while_held; /* legal although the VM is held: it needs no guest code */
    const char *(*handle)(struct api *api, struct worker *w, const struct worker_fact *f);
} rows[FACT_KINDS] = {
    [FACT_BORN] = {"Born", BIRTH, true, on_born},
    [FACT_LOADED] = {"Loaded", LOADING, true, on_loaded},
    [FACT_READY] = {"Ready", ADMITTED, false, on_ready},
    [FACT_CONSOLE] = {"Console", LOADING | ADMITTED, true, on_console},
    [FACT_IMPORT_WANTED] = {"ImportWanted", LOADING | ADMITTED, false, on_import_wanted},
    [FACT_CALL_DONE] = {"CallDone", ADMITTED, true, on_call_done},
    [FACT_POSTED] = {"Posted", ADMITTED, false, on_posted},
    [FACT_STDIN_WANTED] = {"StdinWanted", ADMITTED, false, on_stdin_wanted},
    [FACT_EXITING] = {"Exiting", ANY, true, on_exiting},
    [FACT_INSPECTED] = {"Inspected", ANY, true, on_inspected},
    [FACT_HIT] = {"Hit", LOADING | ADMITTED, false, on_hit},
    [FACT_AUDITED] = {"Audited", ANY, true, on_audited},
    [FACT_HOOK_ENDED] = {"HookEnded", ANY, true, on_hook_ended},
    [FACT_BREAKPOINT_BOUND] = {"BreakpointBound", ANY, true, on_breakpoint_bound},
    [FACT_PAUSED] = {"Paused", ADMITTED, true, on_paused},
};

/* A VM that is held runs nothing, so it has nothing to say that needs guest code. A fact may have
 * been sent before it arrived, and shared memory overtakes the socket: its status page says which
 * was the last one before that. */
static bool sent_while_held(const struct worker *w, uint64_t seq)
{
    if (w->phase != WORKER_ADMITTED || !stop_is_still(&w->gate))
        return false;
    return seq > atomic_load_explicit(&w->gate.status->last_fact, memory_order_acquire);
}

static const char *on_fact(void *userdata, struct worker *w, const struct worker_fact *fact)
{
    static char why[128];
    const struct row *row = &rows[fact->kind];
    const char *wrong = NULL;
    if (!row->handle)
        return "a fact of a kind that this daemon does not expect";
    /* What it was asked to evaluate may be something that hooks are to be told of. */
    bool evaluates = fact->kind == FACT_HIT && w->n_inspects > 0;
    if (!(row->phases & 1u << w->phase) || (w->said_exit.reason != 0 && fact->kind != FACT_EXITING))
        wrong = "in this state";
    else if (!row->while_held && !evaluates && sent_while_held(w, fact->seq))
        wrong = "while it is held";
    if (wrong) {
        snprintf(why, sizeof why, "%s is illegal %s", row->name, wrong);
        return why;
    }
    return row->handle(userdata, w, fact);
}

static void on_kicked(void *userdata, struct worker *w)
{
    struct api *api = userdata;
    world_on_member_kicked(worlds_get(api->worlds, w->world, false), w);
    api_wait_recheck(api);
    api_step_recheck(api);
}

/* In the words of ExitReason in api.proto. */
static void record_end(const struct api *api, const struct worker *w)
{
    static const char *const words[] = {
        [EXIT_REASON_EXITED] = "exited",   [EXIT_REASON_ERROR] = "error",
        [EXIT_REASON_OOM] = "oom",         [EXIT_REASON_TIMEOUT] = "timeout",
        [EXIT_REASON_KILLED] = "killed",   [EXIT_REASON_CRASHED] = "crashed",
        [EXIT_REASON_SECCOMP] = "seccomp", [EXIT_REASON_UNKNOWN] = "unknown"};
    const struct act act = {.uid = w->uid, .vm = w->id, .vm_name = w->name, .world = w->world};
    bool is_failure = w->exit.reason != EXIT_REASON_EXITED && w->exit.reason != EXIT_REASON_KILLED;
    if (api->act_log)
        act_log_ended(api->act_log, &act, words[w->exit.reason], is_failure,
                      w->exit.detail[0] ? w->exit.detail : NULL);
}

static void on_ended(void *userdata, struct worker *w)
{
    struct api *api = userdata;
    struct world *world = worlds_get(api->worlds, w->world, false);
    log_debug("vm %llu (%s) ended: code %u, signal %u, %s", (unsigned long long)w->id, w->name,
              w->exit.code, w->exit.signal, w->exit.detail);
    uint64_t lost = w->gate.status
                        ? atomic_load_explicit(&w->gate.status->lost_wakes, memory_order_relaxed)
                        : 0;
    if (lost > 0)
        record_write(LOG_WARNING, MESSAGE_VM_LOST_WAKE, RECORD_VM(w),
                     "vm %llu (%s) says that it lost %llu wakes", (unsigned long long)w->id,
                     w->name, (unsigned long long)lost);
    if (api->vm_journals)
        vm_journal_end(api->vm_journals, &w->journal, RECORD_VM(w), w->pid);
    record_end(api, w);
    world_on_member_ended(world, w);
    const struct event e = {.kind = EVENT_VM_ENDED,
                            .vm = w->id,
                            .name = w->name,
                            .world = w->world,
                            .uid = w->uid,
                            .exit = {w->exit.reason, w->exit.code, w->exit.signal},
                            .detail = w->exit.detail[0] ? w->exit.detail : NULL};
    event_bus_publish(api->bus, &e);
    audit_on_vm_ended(api->audit, w);
    api_inspect_on_vm_ended(api, w);
    api_vm_on_ended(api, w);
    api_step_recheck(api);
    api_world_recheck(api);
    vm_units_on_vm_ended(api->units, w);
    registry_retire(api->registry, w);
}

static int on_queued(void *userdata, struct worker *w, const struct worker_queued *queued)
{
    const struct api *api = userdata;
    return state_put_queued(api->state, w, queued);
}

static void on_sent(void *userdata, struct worker *w, uint64_t number)
{
    const struct api *api = userdata;
    /* One that is not put down is sent once more, and left out by the worker. */
    (void)state_put_sent(api->state, w, number);
}

const struct worker_events facts_worker_events = {
    .on_fact = on_fact,
    .on_kicked = on_kicked,
    .on_queued = on_queued,
    .on_sent = on_sent,
    .on_ended = on_ended,
};
