#include "proto/check_api.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "proto/check_api_private.h"
#include "proto/limits.h"
#include "proto/unpack.h"

#define BODY(name) STILLPOINT__API__ENVELOPE__BODY_##name
#define INVALID CHECK_API_INVALID

typedef Stillpoint__Api__Envelope Envelope;

static int check_world_name(const char *s, const char **ret, struct api_error *e)
{
    *ret = s && *s ? s : "default";
    return check_api_name(*ret, "world", e);
}

static int check_json(const char *s, const char *field, struct api_error *e)
{
    if (!s || !*s)
        return api_error_set(e, INVALID, NULL, "%s is missing", field);
    if (strlen(s) > LIMIT_JSON_BYTES)
        return api_error_set(e, INVALID, NULL, "%s is larger than %u bytes", field,
                             LIMIT_JSON_BYTES);
    return 0;
}

static int need_fd(const struct api_request *r, struct api_error *e)
{
    if (r->n_fds == 1)
        return 0;
    return api_error_set(e, INVALID, NULL, "%s needs one file descriptor", api_kind_name(r->kind));
}

/* ---- one function a request */

static int check_hello(const Envelope *m, struct api_request *r, struct api_error *e)
{
    if (m->hello->version != 1)
        return api_error_set(e, STILLPOINT__API__ERROR_CODE__ERROR_PROTOCOL, NULL,
                             "this daemon speaks version 1, not %u", m->hello->version);
    r->hello.client = m->hello->client ? m->hello->client : "";
    if (strlen(r->hello.client) > 256)
        return api_error_set(e, INVALID, NULL, "client is longer than 256 bytes");
    return 0;
}

static int check_run_args(const Stillpoint__Api__RunVm *m, struct api_error *e)
{
    size_t total = 0;
    if (m->n_args > LIMIT_ARGS)
        return api_error_set(e, INVALID, NULL, "more than %u arguments", LIMIT_ARGS);
    for (size_t i = 0; i < m->n_args; i++)
        total += strlen(m->args[i]) + 1;
    if (total > LIMIT_ARGS_BYTES)
        return api_error_set(e, INVALID, NULL, "arguments are larger than %u bytes together",
                             LIMIT_ARGS_BYTES);
    return 0;
}

static int check_run_limits(const Stillpoint__Api__RunVm *m, struct vm_limits *ret,
                            struct api_error *e)
{
    *ret = (struct vm_limits){
        .memory_bytes = m->memory_bytes,
        .cpu_time_us = m->cpu_time_us,
        .timeout_us = m->timeout_us,
        .output_rate = m->output_rate,
        .log_bytes = m->log_bytes,
        .cpu_percent = m->cpu_percent,
        .tasks = m->tasks,
    };
    const char *wrong = vm_limits_wrong(ret);
    return wrong ? api_error_set(e, INVALID, NULL, "%s", wrong) : 0;
}

static int check_run_vm(const Envelope *envelope, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__RunVm *m = envelope->run_vm;
    int v = check_world_name(m->world, &r->run_vm.world, e);
    if (v < 0)
        return v;
    if (m->name && *m->name) {
        if ((v = check_api_name(m->name, "VM", e)) < 0)
            return v;
        r->run_vm.name = m->name;
    }
    r->run_vm.engine = m->engine && *m->engine ? m->engine : "mozjs";
    if ((v = check_api_name(r->run_vm.engine, "engine", e)) < 0)
        return v;
    if (!m->program || !text_is_bundle_path(m->program, LIMIT_PATH_BYTES))
        return api_error_set(e, INVALID, NULL, "program path is missing or malformed");
    r->run_vm.program = m->program;
    if (m->has_kind && (m->kind < STILLPOINT__API__SOURCE_KIND__SOURCE_SCRIPT_OR_MODULE ||
                        m->kind > STILLPOINT__API__SOURCE_KIND__SOURCE_WASM))
        return api_error_set(e, INVALID, NULL, "no such kind of source");
    r->run_vm.source_kind = m->has_kind ? (unsigned)m->kind - 1 : 0;
    if ((v = check_run_args(m, e)) < 0 || (v = check_run_limits(m, &r->run_vm.limits, e)) < 0)
        return v;
    r->run_vm.argc = m->n_args;
    r->run_vm.argv = m->args;
    r->run_vm.debug = m->debug;
    r->run_vm.attach = m->attach;
    r->run_vm.keep_idle = m->keep_idle;
    r->run_vm.wait_ready = m->wait_ready;
    r->run_vm.more_files = m->more_files;
    return need_fd(r, e);
}

static int check_add_file(const Envelope *m, struct api_request *r, struct api_error *e)
{
    r->add_file.vm = m->add_file->vm;
    r->add_file.path = m->add_file->path;
    if (!r->add_file.path || !text_is_bundle_path(r->add_file.path, LIMIT_PATH_BYTES))
        return api_error_set(e, INVALID, NULL, "path is missing or malformed");
    return need_fd(r, e);
}

static int check_start_vm(const Envelope *m, struct api_request *r, struct api_error *e)
{
    (void)e;
    r->start_vm.vm = m->start_vm->vm;
    return 0;
}

static int check_answer_import(const Envelope *m, struct api_request *r, struct api_error *e)
{
    r->answer_import.vm = m->answer_import->vm;
    r->answer_import.import_id = m->answer_import->import_id;
    const char *error = m->answer_import->error;
    r->answer_import.error = error && *error ? error : NULL;
    if (r->answer_import.error && strlen(r->answer_import.error) > LIMIT_DETAIL_BYTES)
        return api_error_set(e, INVALID, NULL, "error is longer than %u bytes", LIMIT_DETAIL_BYTES);
    return r->answer_import.error ? 0 : need_fd(r, e);
}

static int check_answer_stdin(const Envelope *m, struct api_request *r, struct api_error *e)
{
    r->answer_stdin.vm = m->answer_stdin->vm;
    r->answer_stdin.data = m->answer_stdin->data.data;
    r->answer_stdin.len = m->answer_stdin->data.len;
    if (r->answer_stdin.len > LIMIT_STDIN_CHUNK_BYTES)
        return api_error_set(e, INVALID, NULL, "more than %u bytes of input",
                             LIMIT_STDIN_CHUNK_BYTES);
    return 0;
}

static int check_kill_vm(const Envelope *m, struct api_request *r, struct api_error *e)
{
    return check_api_vm_ref(m->kill_vm->vm, &r->vm.vm, e);
}

static int check_get_vm(const Envelope *m, struct api_request *r, struct api_error *e)
{
    return check_api_vm_ref(m->get_vm->vm, &r->vm.vm, e);
}

static int check_hold_vm(const Envelope *m, struct api_request *r, struct api_error *e)
{
    int v = check_api_vm_ref(m->hold_vm->vm, &r->hold.vm, e);
    return v < 0 ? v : check_api_behalf(m->hold_vm->debugger, &r->hold.debugger, e);
}

static int check_release_vm(const Envelope *m, struct api_request *r, struct api_error *e)
{
    int v = check_api_vm_ref(m->release_vm->vm, &r->hold.vm, e);
    return v < 0 ? v : check_api_behalf(m->release_vm->debugger, &r->hold.debugger, e);
}

static int check_call_function(const Envelope *m, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__CallFunction *c = m->call_function;
    int v = check_api_vm_ref(c->vm, &r->call_function.vm, e);
    if (v < 0)
        return v;
    if (!c->function || !*c->function || strlen(c->function) > 256)
        return api_error_set(e, INVALID, NULL, "function name is missing or too long");
    r->call_function.function = c->function;
    r->call_function.args_json = c->args_json ? c->args_json : "[]";
    r->call_function.timeout_us = c->timeout_us;
    if ((v = check_json(r->call_function.args_json, "args_json", e)) < 0)
        return v;
    return check_api_time(c->timeout_us, "timeout", e);
}

static int check_send_message(const Envelope *m, struct api_request *r, struct api_error *e)
{
    int v = check_api_vm_ref(m->send_message->vm, &r->send_message.vm, e);
    r->send_message.json = m->send_message->json;
    return v < 0 ? v : check_json(r->send_message.json, "json", e);
}

static int check_list_vms(const Envelope *m, struct api_request *r, struct api_error *e)
{
    r->list_vms.all = m->list_vms->all;
    r->list_vms.page_token = m->list_vms->page_token;
    const char *world = m->list_vms->world;
    if (world && *world) {
        int v = check_api_name(world, "world", e);
        if (v < 0)
            return v;
        r->list_vms.world = world;
    }
    return check_api_page_size(m->list_vms->page_size, &r->list_vms.page_size);
}

static int check_read_log(const Envelope *m, struct api_request *r, struct api_error *e)
{
    r->read_log.from_seq = m->read_log->from_seq;
    r->read_log.last_n = m->read_log->last_n;
    r->read_log.wait = m->read_log->wait;
    return check_api_vm_ref(m->read_log->vm, &r->read_log.vm, e);
}

static int check_wait_vm(const Envelope *m, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__WaitVm *w = m->wait_vm;
    if (w->has_for_ && (w->for_ < STILLPOINT__API__WAIT_FOR__WAIT_FOR_EXITED ||
                        w->for_ > STILLPOINT__API__WAIT_FOR__WAIT_FOR_ACTIVE))
        return api_error_set(e, INVALID, NULL, "no such thing to wait for");
    r->wait_vm.what = w->has_for_ ? (enum api_wait_for)w->for_ : API_WAIT_EXITED;
    r->wait_vm.timeout_us = w->timeout_us;
    int v = check_api_time(w->timeout_us, "timeout", e);
    return v < 0 ? v : check_api_vm_ref(w->vm, &r->wait_vm.vm, e);
}

static int check_list_worlds(const Envelope *m, struct api_request *r, struct api_error *e)
{
    const char *token = m->list_worlds->page_token;
    if (token && *token) {
        int v = check_api_name(token, "world", e);
        if (v < 0)
            return v;
        r->list_worlds.page_token = token;
    }
    return check_api_page_size(m->list_worlds->page_size, &r->list_worlds.page_size);
}

static int check_get_world(const Envelope *m, struct api_request *r, struct api_error *e)
{
    return check_world_name(m->get_world->world, &r->world.world, e);
}

static int check_resume_world(const Envelope *m, struct api_request *r, struct api_error *e)
{
    return check_world_name(m->resume_world->world, &r->world.world, e);
}

static int check_stop_world(const Envelope *m, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__StopWorld *s = m->stop_world;
    r->stop_world.deadline_us = s->deadline_us ? s->deadline_us : DEFAULT_DEADLINE_US;
    r->stop_world.hold_us = s->hold_us ? s->hold_us : DEFAULT_HOLD_US;
    r->stop_world.wait_us = s->wait_us;
    r->stop_world.enforce = s->enforce;
    r->stop_world.require_idle = s->require_idle;
    r->stop_world.kill_late = s->kill_late;
    int v = check_world_name(s->world, &r->stop_world.world, e);
    if (v < 0 || (v = check_api_time(s->deadline_us, "deadline", e)) < 0 ||
        (v = check_api_time(s->wait_us, "wait", e)) < 0 ||
        (v = check_api_behalf(s->debugger, &r->stop_world.debugger, e)) < 0)
        return v;
    return check_api_time(s->hold_us, "hold", e);
}

/* What says how a run-one ends means nothing where there is none. */
static int check_continue_alone(const Stillpoint__Api__ContinueVm *c, struct api_error *e)
{
    const char *field = c->until_still        ? "until_still"
                        : c->has_on_exit      ? "on_exit"
                        : c->deadline_us != 0 ? "deadline"
                                              : NULL;
    return field ? api_error_set(e, INVALID, NULL, "%s is for VMs that run alone (only)", field)
                 : 0;
}

static int check_continue_vm(const Envelope *m, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__ContinueVm *c = m->continue_vm;
    int v = check_api_vm_ref(c->vm, &r->continue_vm.vm, e);
    if (v < 0 || (!c->only && (v = check_continue_alone(c, e)) < 0))
        return v;
    if (c->has_on_exit && (c->on_exit < STILLPOINT__API__RUNNER_EXIT__RUNNER_EXIT_STOP ||
                           c->on_exit > STILLPOINT__API__RUNNER_EXIT__RUNNER_EXIT_RESUME))
        return api_error_set(e, INVALID, NULL, "no such on_exit");
    r->continue_vm.only = c->only;
    r->continue_vm.until_still = c->until_still;
    if (c->only)
        r->continue_vm.on_exit =
            c->has_on_exit ? (unsigned)c->on_exit : STILLPOINT__API__RUNNER_EXIT__RUNNER_EXIT_STOP;
    r->continue_vm.deadline_us = c->deadline_us;
    if ((v = check_api_answer(c, r, e)) < 0)
        return v;
    return check_api_time(c->deadline_us, "deadline", e);
}

static int check_set_target(const Envelope *m, struct api_request *r, struct api_error *e)
{
    return check_api_vm_ref(m->set_target->vm, &r->vm.vm, e);
}

static int check_take_lease(const Envelope *m, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__TakeLease *t = m->take_lease;
    r->lease.steal = t->steal;
    r->lease.hold_us = t->hold_us ? t->hold_us : DEFAULT_HOLD_US;
    int v = check_world_name(t->world, &r->lease.world, e);
    if (v < 0 || (v = check_api_behalf(t->debugger, &r->lease.debugger, e)) < 0)
        return v;
    return check_api_time(t->hold_us, "hold", e);
}

static int check_hand_over_lease(const Envelope *m, struct api_request *r, struct api_error *e)
{
    r->lease.to = m->hand_over_lease->to;
    r->lease.hold_us = DEFAULT_HOLD_US;
    int v = check_world_name(m->hand_over_lease->world, &r->lease.world, e);
    return v < 0 ? v : check_api_debugger_ref(r->lease.to, e);
}

static int check_inspect_world(const Envelope *m, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__InspectWorld *i = m->inspect_world;
    if (!i->has_kind || i->kind < STILLPOINT__API__INSPECT_KIND__INSPECT_GC ||
        i->kind > STILLPOINT__API__INSPECT_KIND__INSPECT_STACKS)
        return api_error_set(e, INVALID, NULL, "no such kind of inspection");
    r->inspect.kind = (unsigned)i->kind;
    r->inspect.deadline_us = i->deadline_us ? i->deadline_us : DEFAULT_DEADLINE_US;
    r->inspect.wait_us = i->wait_us;
    r->inspect.timeout_us = i->timeout_us ? i->timeout_us : DEFAULT_INSPECT_TIMEOUT_US;
    int v = check_world_name(i->world, &r->inspect.world, e);
    if (v < 0 || (v = check_api_time(i->deadline_us, "deadline", e)) < 0 ||
        (v = check_api_time(i->wait_us, "wait", e)) < 0 ||
        (v = check_api_time(i->timeout_us, "timeout", e)) < 0)
        return v;
    return check_api_behalf(i->debugger, &r->inspect.debugger, e);
}

static int check_subscribe(const Envelope *m, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__Subscribe *s = m->subscribe;
    r->subscribe.since_seq = s->since_seq;
    r->subscribe.replay = s->replay;
    r->subscribe.once = s->once;
    r->subscribe.kinds = s->n_kinds == 0 ? ~UINT64_C(0) : 0;
    for (size_t i = 0; i < s->n_kinds; i++) {
        if ((int)s->kinds[i] < 1 || (int)s->kinds[i] > 63)
            return api_error_set(e, INVALID, NULL, "no such kind of event");
        r->subscribe.kinds |= UINT64_C(1) << s->kinds[i];
    }
    return 0;
}

static int check_open_debugger(const Envelope *m, struct api_request *r, struct api_error *e)
{
    const Stillpoint__Api__OpenDebugger *o = m->open_debugger;
    const char *policy = o->policy && *o->policy ? o->policy : "resume";
    r->open_debugger.name = o->name;
    r->open_debugger.note = o->note;
    r->open_debugger.has_policy = o->policy && *o->policy;
    r->open_debugger.hold_policy = strcmp(policy, "hold") == 0;
    if (!r->open_debugger.hold_policy && strcmp(policy, "resume") != 0)
        return api_error_set(e, INVALID, "it is resume or hold", "no such policy: '%.64s'", policy);
    if (o->note && strlen(o->note) > LIMIT_NOTE_BYTES)
        return api_error_set(e, INVALID, NULL, "note is longer than %u bytes", LIMIT_NOTE_BYTES);
    return check_api_debugger_name(o->name, e);
}

static int check_close_debugger(const Envelope *m, struct api_request *r, struct api_error *e)
{
    r->debugger.name = m->close_debugger->debugger;
    return check_api_debugger_ref(r->debugger.name, e);
}

static int check_list_debuggers(const Envelope *m, struct api_request *r, struct api_error *e)
{
    (void)e;
    r->list_debuggers.page_token = m->list_debuggers->page_token;
    return check_api_page_size(m->list_debuggers->page_size, &r->list_debuggers.page_size);
}

static int check_unit(const char *unit, struct api_request *r, struct api_error *e)
{
    r->unit.unit = unit;
    if (!unit || !*unit)
        return api_error_set(e, INVALID, NULL, "no unit was named");
    return check_api_name(unit, "unit", e);
}

static int check_list_units(const Envelope *m, struct api_request *r, struct api_error *e)
{
    const char *token = m->list_units->page_token, *unit = m->list_units->unit;
    int v = 0;
    if (token && *token) {
        v = check_api_name(token, "unit", e);
        r->list_units.page_token = token;
    }
    if (v == 0 && unit && *unit) {
        v = check_api_name(unit, "unit", e);
        r->list_units.unit = unit;
    }
    return v < 0 ? v : check_api_page_size(m->list_units->page_size, &r->list_units.page_size);
}

static int check_start_unit(const Envelope *m, struct api_request *r, struct api_error *e)
{
    return check_unit(m->start_unit->unit, r, e);
}

static int check_stop_unit(const Envelope *m, struct api_request *r, struct api_error *e)
{
    return check_unit(m->stop_unit->unit, r, e);
}

static int check_enable_unit(const Envelope *m, struct api_request *r, struct api_error *e)
{
    return check_unit(m->enable_unit->unit, r, e);
}

static int check_disable_unit(const Envelope *m, struct api_request *r, struct api_error *e)
{
    return check_unit(m->disable_unit->unit, r, e);
}

static int check_nothing(const Envelope *m, struct api_request *r, struct api_error *e)
{
    (void)m, (void)r, (void)e;
    return 0;
}

static const struct row {
    int body;
    const char *name;
    int (*check)(const Envelope *m, struct api_request *r, struct api_error *e);
    bool takes_fd;
} rows[API_KINDS] = {
    [API_HELLO] = {BODY(HELLO), "Hello", check_hello, false},
    [API_RUN_VM] = {BODY(RUN_VM), "RunVm", check_run_vm, true},
    [API_ADD_FILE] = {BODY(ADD_FILE), "AddFile", check_add_file, true},
    [API_START_VM] = {BODY(START_VM), "StartVm", check_start_vm, false},
    [API_ANSWER_IMPORT] = {BODY(ANSWER_IMPORT), "AnswerImport", check_answer_import, true},
    [API_ANSWER_STDIN] = {BODY(ANSWER_STDIN), "AnswerStdin", check_answer_stdin, false},
    [API_KILL_VM] = {BODY(KILL_VM), "KillVm", check_kill_vm, false},
    [API_CALL_FUNCTION] = {BODY(CALL_FUNCTION), "CallFunction", check_call_function, false},
    [API_SEND_MESSAGE] = {BODY(SEND_MESSAGE), "SendMessage", check_send_message, false},
    [API_LIST_VMS] = {BODY(LIST_VMS), "ListVms", check_list_vms, false},
    [API_GET_VM] = {BODY(GET_VM), "GetVm", check_get_vm, false},
    [API_READ_LOG] = {BODY(READ_LOG), "ReadLog", check_read_log, false},
    [API_WAIT_VM] = {BODY(WAIT_VM), "WaitVm", check_wait_vm, false},
    [API_HOLD_VM] = {BODY(HOLD_VM), "HoldVm", check_hold_vm, false},
    [API_RELEASE_VM] = {BODY(RELEASE_VM), "ReleaseVm", check_release_vm, false},
    [API_LIST_WORLDS] = {BODY(LIST_WORLDS), "ListWorlds", check_list_worlds, false},
    [API_GET_WORLD] = {BODY(GET_WORLD), "GetWorld", check_get_world, false},
    [API_STOP_WORLD] = {BODY(STOP_WORLD), "StopWorld", check_stop_world, false},
    [API_RESUME_WORLD] = {BODY(RESUME_WORLD), "ResumeWorld", check_resume_world, false},
    [API_CONTINUE_VM] = {BODY(CONTINUE_VM), "ContinueVm", check_continue_vm, false},
    [API_SET_TARGET] = {BODY(SET_TARGET), "SetTarget", check_set_target, false},
    [API_TAKE_LEASE] = {BODY(TAKE_LEASE), "TakeLease", check_take_lease, false},
    [API_HAND_OVER_LEASE] = {BODY(HAND_OVER_LEASE), "HandOverLease", check_hand_over_lease, false},
    [API_INSPECT_WORLD] = {BODY(INSPECT_WORLD), "InspectWorld", check_inspect_world, false},
    [API_SUBSCRIBE] = {BODY(SUBSCRIBE), "Subscribe", check_subscribe, false},
    [API_UNSUBSCRIBE] = {BODY(UNSUBSCRIBE), "Unsubscribe", check_nothing, false},
    [API_DOCTOR] = {BODY(DOCTOR), "Doctor", check_nothing, false},
    [API_OPEN_DEBUGGER] = {BODY(OPEN_DEBUGGER), "OpenDebugger", check_open_debugger, false},
    [API_CLOSE_DEBUGGER] = {BODY(CLOSE_DEBUGGER), "CloseDebugger", check_close_debugger, false},
    [API_LIST_DEBUGGERS] = {BODY(LIST_DEBUGGERS), "ListDebuggers", check_list_debuggers, false},
    [API_LIST_UNITS] = {BODY(LIST_UNITS), "ListUnits", check_list_units, false},
    [API_START_UNIT] = {BODY(START_UNIT), "StartUnit", check_start_unit, false},
    [API_STOP_UNIT] = {BODY(STOP_UNIT), "StopUnit", check_stop_unit, false},
    [API_ENABLE_UNIT] = {BODY(ENABLE_UNIT), "EnableUnit", check_enable_unit, false},
    [API_DISABLE_UNIT] = {BODY(DISABLE_UNIT), "DisableUnit", check_disable_unit, false},
    /* check_api_audit.c */
    [API_ADD_HOOKS] = {BODY(ADD_HOOKS), "AddHooks", check_api_add_hooks, false},
    [API_REMOVE_HOOKS] = {BODY(REMOVE_HOOKS), "RemoveHooks", check_api_remove_hooks, false},
    [API_LIST_HOOKS] = {BODY(LIST_HOOKS), "ListHooks", check_api_list_hooks, false},
    [API_LIST_AUDITORS] = {BODY(LIST_AUDITORS), "ListAuditors", check_api_list_auditors, false},
    [API_READ_HITS] = {BODY(READ_HITS), "ReadHits", check_api_read_hits, false},
    /* check_api_look.c */
    [API_LIST_FRAMES] = {BODY(LIST_FRAMES), "ListFrames", check_api_list_frames, false},
    [API_LIST_SCOPES] = {BODY(LIST_SCOPES), "ListScopes", check_api_list_scopes, false},
    [API_LIST_VARIABLES] = {BODY(LIST_VARIABLES), "ListVariables", check_api_list_variables, false},
    [API_EVALUATE] = {BODY(EVALUATE), "Evaluate", check_api_evaluate, false},
    [API_SET_VARIABLE] = {BODY(SET_VARIABLE), "SetVariable", check_api_set_variable, false},
    [API_STEP_VM] = {BODY(STEP_VM), "StepVm", check_api_step_vm, false},
    [API_LIST_SOURCES] = {BODY(LIST_SOURCES), "ListSources", check_api_list_sources, false},
    [API_READ_SOURCE] = {BODY(READ_SOURCE), "ReadSource", check_api_read_source, false},
    [API_LIST_POSITIONS] = {BODY(LIST_POSITIONS), "ListPositions", check_api_list_positions, false},
    [API_ACCESS_MEMORY] = {BODY(ACCESS_MEMORY), "AccessMemory", check_api_access_memory, false},
    [API_GET_PAUSE] = {BODY(GET_PAUSE), "GetPause", check_api_get_pause, false},
};

const char *api_kind_name(enum api_kind kind)
{
    return kind < API_KINDS ? rows[kind].name : "unknown";
}

int check_api_request(const uint8_t *data, size_t bytes, struct api_request *ret_request,
                      struct api_error *ret_error)
{
    struct api_request r = {0};
    const char *why;
    *ret_request = r;
    *ret_error = (struct api_error){0};
    Envelope *m =
        (Envelope *)unpack_message(&stillpoint__api__envelope__descriptor, data, bytes, &why);
    if (!m) {
        api_error_set(ret_error, STILLPOINT__API__ERROR_CODE__ERROR_PROTOCOL, NULL, "%s", why);
        return -EPROTO;
    }
    r.message = m;
    ret_request->id = r.id = m->request_id;
    int v;
    for (r.kind = 0; r.kind < API_KINDS && rows[r.kind].body != (int)m->body_case; r.kind++)
        ;
    if (m->fd_count > LIMIT_FRAME_FDS) {
        api_error_set(ret_error, STILLPOINT__API__ERROR_CODE__ERROR_PROTOCOL, NULL,
                      "frame announces %u file descriptors", m->fd_count);
        v = -EPROTO;
    } else if (r.id == 0) {
        api_error_set(ret_error, STILLPOINT__API__ERROR_CODE__ERROR_PROTOCOL, NULL,
                      "request has no request_id");
        v = -EPROTO;
    } else {
        ret_request->n_fds = r.n_fds = m->fd_count;
        if (r.kind == API_KINDS)
            v = api_error_set(ret_error, STILLPOINT__API__ERROR_CODE__ERROR_UNSUPPORTED, NULL,
                              "no such request");
        else if (r.n_fds > 0 && !rows[r.kind].takes_fd)
            v = api_error_set(ret_error, INVALID, NULL, "%s takes no file descriptor",
                              rows[r.kind].name);
        else
            v = rows[r.kind].check(m, &r, ret_error);
    }
    if (v < 0) {
        check_api_done(&r);
        return v;
    }
    *ret_request = r;
    return 0;
}

void check_api_done(struct api_request *request)
{
    unpack_free(request->message);
    request->message = NULL;
}
