#include "daemon/api.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/urgent.h"
#include "daemon/access.h"
#include "daemon/act_log.h"
#include "daemon/api_audit.h"
#include "daemon/api_birth.h"
#include "daemon/api_debug.h"
#include "daemon/api_doctor.h"
#include "daemon/api_hits.h"
#include "daemon/api_inspect.h"
#include "daemon/api_log.h"
#include "daemon/api_look.h"
#include "daemon/api_step.h"
#include "daemon/api_talk.h"
#include "daemon/api_unit.h"
#include "daemon/api_vm.h"
#include "daemon/api_wait.h"
#include "daemon/api_world.h"
#include "daemon/config.h"
#include "daemon/event_bus.h"
#include "daemon/registry.h"
#include "daemon/worker.h"

static void hello(struct api_call *call)
{
    static const enum access_role all[] = {ACCESS_OBSERVE, ACCESS_RUN, ACCESS_DEBUG, ACCESS_ADMIN};
    static char *features[] = {(char *)"worlds", (char *)"events", (char *)"imports",
                               (char *)"auditors", (char *)"units"};
    char *roles[4];
    Stillpoint__Api__Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__HelloReply m = STILLPOINT__API__HELLO_REPLY__INIT;
    API_SET(&m, version, 1);
    m.daemon = API_TEXT("stillpointd " PACKAGE_VERSION);
    m.features = features;
    m.n_features = sizeof features / sizeof features[0];
    m.roles = roles;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (call->peer->roles & all[i])
            roles[m.n_roles++] = API_TEXT(access_role_name(all[i]));
    API_SET(&m, uid, call->peer->uid);
    API_SET(&m, private_, call->api->config->private_fd >= 0);
    API_SET(&m, started_us, call->api->started_us);
    e.body_case = API_BODY(HELLO_REPLY);
    e.hello_reply = &m;
    api_reply(call, &e);
}

static void subscribe(struct api_call *call)
{
    struct api *api = call->api;
    const struct api_request *r = call->request;
    uint64_t last = event_bus_last(api->bus);
    uint64_t cursor = r->subscribe.replay || r->subscribe.since_seq ? r->subscribe.since_seq : last;
    if (cursor > last)
        cursor = last;
    if (r->subscribe.once) {
        if (!api->clients->replay(api->clients->userdata, call->client, cursor, r->subscribe.kinds,
                                  r->id))
            api_fail(call, API_ERROR(WRONG_STATE), NULL, "another look at events is under way");
        return;
    }
    size_t has;
    if (!api->clients->may_subscribe(api->clients->userdata, call->client, &has)) {
        api_fail_quota(call, "subscriptions", has, "subscriptions",
                       api->config->quota.subscriptions);
        return;
    }
    Stillpoint__Api__Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__SubscribeReply m = STILLPOINT__API__SUBSCRIBE_REPLY__INIT;
    API_SET(&m, last_seq, last);
    e.body_case = API_BODY(SUBSCRIBE_REPLY);
    e.subscribe_reply = &m;
    api_reply(call, &e);
    api->clients->subscribe(api->clients->userdata, call->client, cursor, r->subscribe.kinds);
}

static void unsubscribe(struct api_call *call)
{
    call->api->clients->subscribe(call->api->clients->userdata, call->client, 0, 0);
    api_reply_done(call);
}

/* Where in a request there is what it is about. */
#define VM(of) .vm_at = offsetof(struct api_request, of.vm)
#define WORLD(of) .world_at = offsetof(struct api_request, of.world)
#define DEBUGGER(member) .debugger_at = offsetof(struct api_request, member)
#define ACTS_AS(member) DEBUGGER(member), .is_cli_else = true

/* Whoever looks may look at everybody's. For all else a VM that is named has to be one's own, or
 * the caller an admin. Worlds, debuggers and hooks are looked at by their handlers: api_may_stop(),
 * api_find_debugger(). */
static const struct row {
    unsigned role; /* is needed; 0: none */
    void (*handle)(struct api_call *call);
    bool is_act;                         /* changes something: recorded, with who asked */
    size_t vm_at, world_at, debugger_at; /* 0: it names none */
    bool is_cli_else;                    /* where no debugger is named, it is cli:UID that acts */
} rows[API_KINDS] = {
    [API_HELLO] = {0, hello},
    [API_RUN_VM] = {ACCESS_RUN, api_birth_run, .is_act = true, WORLD(run_vm)},
    [API_ADD_FILE] = {ACCESS_RUN, api_birth_add_file},
    [API_START_VM] = {ACCESS_RUN, api_birth_start},
    [API_ANSWER_IMPORT] = {ACCESS_RUN, api_birth_answer_import},
    [API_ANSWER_STDIN] = {ACCESS_RUN, api_birth_answer_stdin},
    [API_KILL_VM] = {ACCESS_RUN, api_vm_kill, .is_act = true, VM(vm)},
    [API_CALL_FUNCTION] = {ACCESS_RUN, api_talk_call_function, .is_act = true, VM(call_function)},
    [API_SEND_MESSAGE] = {ACCESS_RUN, api_talk_send_message, .is_act = true, VM(send_message)},
    [API_LIST_VMS] = {ACCESS_OBSERVE, api_vm_list},
    [API_GET_VM] = {ACCESS_OBSERVE, api_vm_get, VM(vm)},
    [API_READ_LOG] = {ACCESS_OBSERVE, api_log_read, VM(read_log)},
    [API_WAIT_VM] = {ACCESS_OBSERVE, api_wait, VM(wait_vm)},
    [API_HOLD_VM] = {ACCESS_DEBUG, api_vm_hold, .is_act = true, VM(hold), ACTS_AS(hold.debugger)},
    [API_RELEASE_VM] = {ACCESS_DEBUG, api_vm_release, .is_act = true, VM(hold),
                        ACTS_AS(hold.debugger)},
    [API_LIST_WORLDS] = {ACCESS_OBSERVE, api_world_list},
    [API_GET_WORLD] = {ACCESS_OBSERVE, api_world_get, WORLD(world)},
    [API_STOP_WORLD] = {ACCESS_DEBUG, api_world_stop, .is_act = true, WORLD(stop_world),
                        ACTS_AS(stop_world.debugger)},
    [API_CONTINUE_VM] = {ACCESS_DEBUG, api_debug_continue, .is_act = true, VM(continue_vm)},
    [API_SET_TARGET] = {ACCESS_DEBUG, api_debug_set_target, VM(vm)},
    [API_TAKE_LEASE] = {ACCESS_DEBUG, api_debug_take_lease, .is_act = true, WORLD(lease),
                        ACTS_AS(lease.debugger)},
    [API_HAND_OVER_LEASE] = {ACCESS_DEBUG, api_debug_hand_over_lease, .is_act = true, WORLD(lease),
                             DEBUGGER(lease.to)},
    [API_INSPECT_WORLD] = {ACCESS_DEBUG, api_inspect_world, .is_act = true, WORLD(inspect),
                           ACTS_AS(inspect.debugger)},
    [API_RESUME_WORLD] = {ACCESS_DEBUG, api_world_resume, .is_act = true, WORLD(world)},
    [API_SUBSCRIBE] = {ACCESS_OBSERVE, subscribe},
    [API_UNSUBSCRIBE] = {ACCESS_OBSERVE, unsubscribe},
    [API_DOCTOR] = {ACCESS_OBSERVE, api_doctor},
    [API_OPEN_DEBUGGER] = {ACCESS_DEBUG, api_debug_open_debugger, .is_act = true,
                           DEBUGGER(open_debugger.name)},
    [API_CLOSE_DEBUGGER] = {ACCESS_DEBUG, api_debug_close_debugger, .is_act = true,
                            DEBUGGER(debugger.name)},
    [API_LIST_DEBUGGERS] = {ACCESS_OBSERVE, api_debug_list_debuggers},
    [API_LIST_FRAMES] = {ACCESS_DEBUG, api_look_list_frames, VM(look_page)},
    [API_LIST_SCOPES] = {ACCESS_DEBUG, api_look_list_scopes, VM(list_scopes)},
    [API_LIST_VARIABLES] = {ACCESS_DEBUG, api_look_list_variables, VM(list_variables)},
    [API_EVALUATE] = {ACCESS_DEBUG, api_look_evaluate, .is_act = true, VM(evaluate)},
    [API_SET_VARIABLE] = {ACCESS_DEBUG, api_look_set_variable, .is_act = true, VM(set_variable)},
    [API_STEP_VM] = {ACCESS_DEBUG, api_step, .is_act = true, VM(step_vm)},
    [API_LIST_SOURCES] = {ACCESS_DEBUG, api_look_list_sources, VM(look_page)},
    [API_READ_SOURCE] = {ACCESS_DEBUG, api_look_read_source, VM(read_source)},
    [API_LIST_POSITIONS] = {ACCESS_DEBUG, api_look_list_positions, VM(list_positions)},
    [API_ACCESS_MEMORY] = {ACCESS_DEBUG, api_look_access_memory, .is_act = true, VM(access_memory)},
    [API_GET_PAUSE] = {ACCESS_DEBUG, api_look_get_pause, VM(vm)},
    [API_ADD_HOOKS] = {ACCESS_DEBUG, api_audit_add_hooks, .is_act = true, VM(add_hooks),
                       WORLD(add_hooks), ACTS_AS(add_hooks.debugger)},
    [API_REMOVE_HOOKS] = {ACCESS_DEBUG, api_audit_remove_hooks, .is_act = true,
                          DEBUGGER(remove_hooks.debugger)},
    [API_LIST_HOOKS] = {ACCESS_OBSERVE, api_audit_list_hooks, VM(list_hooks)},
    [API_LIST_AUDITORS] = {ACCESS_OBSERVE, api_audit_list_auditors, VM(list_auditors)},
    [API_LIST_UNITS] = {ACCESS_OBSERVE, api_unit_list},
    [API_START_UNIT] = {ACCESS_RUN, api_unit_start, .is_act = true},
    [API_STOP_UNIT] = {ACCESS_RUN, api_unit_stop, .is_act = true},
    [API_ENABLE_UNIT] = {ACCESS_ADMIN, api_unit_enable, .is_act = true},
    [API_DISABLE_UNIT] = {ACCESS_ADMIN, api_unit_disable, .is_act = true},
    [API_READ_HITS] = {ACCESS_OBSERVE, api_hits_read, DEBUGGER(read_hits.debugger)},
};

unsigned api_role_of(enum api_kind kind)
{
    return rows[kind].role;
}

_urgent_ static const void *at(const struct api_call *call, size_t offset)
{
    return (const char *)call->request + offset;
}

_urgent_ static const char *text_at(const struct api_call *call, size_t offset)
{
    return offset ? *(const char *const *)at(call, offset) : NULL;
}

/* The VM that is named, if there is one; what if not is its handler's to say. */
_urgent_ static const struct worker *find_vm(const struct api_call *call, const struct row *row)
{
    const struct api_vm_ref *ref = row->vm_at ? at(call, row->vm_at) : NULL;
    if (!ref || (!ref->name && ref->id == 0))
        return NULL;
    call->act->vm = ref->id;
    call->act->vm_name = ref->name;
    return ref->name ? registry_find_name(call->api->registry, ref->name)
                     : registry_find(call->api->registry, ref->id);
}

_urgent_ static bool is_allowed(const struct api_call *call, const struct row *row,
                                const struct worker *w)
{
    const char *name = api_kind_name(call->request->kind);
    if (row->role != 0 && !(call->peer->roles & row->role))
        api_fail_denied(call, row->role, "uid %u has not the role %s, which %s needs",
                        (unsigned)call->peer->uid, access_role_name(row->role), name);
    else if (w && (row->role & ~(unsigned)ACCESS_OBSERVE) && !api_may_act_on(call, w->uid))
        api_fail_denied(call, ACCESS_ADMIN,
                        "VM '%s' belongs to uid %u, and only role admin may act on what others own",
                        w->name, (unsigned)w->uid);
    else
        return true;
    return false;
}

_urgent_ void api_handle(struct api_call *call)
{
    const struct row *row = &rows[call->request->kind];
    char name[LIMIT_NAME_BYTES + 1];
    struct act act = {.uid = call->peer->uid,
                      .pid = call->peer->pid,
                      .request = api_kind_name(call->request->kind),
                      .world = text_at(call, row->world_at),
                      .debugger = text_at(call, row->debugger_at)};
    call->act = &act;
    const struct worker *w = find_vm(call, row);
    if (w) {
        memcpy(name, w->name, sizeof name);
        act.vm = w->id;
        act.vm_name = name;
    }
    if (is_allowed(call, row, w))
        row->handle(call);
    if (row->is_act && !act.failed && call->api->act_log) {
        char cli[16];
        if (row->is_cli_else && !act.debugger) {
            snprintf(cli, sizeof cli, "cli:%u", (unsigned)act.uid);
            act.debugger = cli;
        }
        act_log_write(call->api->act_log, &act, ACT_DONE, NULL);
    }
    call->act = NULL;
}
