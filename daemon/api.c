#include "daemon/api.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/urgent.h"
#include "daemon/access.h"
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
#include "daemon/api_vm.h"
#include "daemon/api_wait.h"
#include "daemon/api_world.h"
#include "daemon/config.h"
#include "daemon/event_bus.h"

static void hello(struct api_call *call)
{
    static const enum access_role all[] = {ACCESS_OBSERVE, ACCESS_RUN, ACCESS_DEBUG, ACCESS_ADMIN};
    static char *features[] = {(char *)"worlds", (char *)"events", (char *)"imports",
                               (char *)"auditors"};
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

static const struct row {
    unsigned role; /* one of these is needed; 0: none */
    void (*handle)(struct api_call *call);
    bool privileged; /* changes something: logged, with who asked */
} rows[API_KINDS] = {
    [API_HELLO] = {0, hello, false},
    [API_RUN_VM] = {ACCESS_RUN, api_birth_run, true},
    [API_ADD_FILE] = {ACCESS_RUN, api_birth_add_file, false},
    [API_START_VM] = {ACCESS_RUN, api_birth_start, false},
    [API_ANSWER_IMPORT] = {ACCESS_RUN, api_birth_answer_import, false},
    [API_ANSWER_STDIN] = {ACCESS_RUN, api_birth_answer_stdin, false},
    [API_KILL_VM] = {ACCESS_RUN, api_vm_kill, true},
    [API_CALL_FUNCTION] = {ACCESS_RUN, api_talk_call_function, false},
    [API_SEND_MESSAGE] = {ACCESS_RUN, api_talk_send_message, false},
    [API_LIST_VMS] = {ACCESS_OBSERVE, api_vm_list, false},
    [API_GET_VM] = {ACCESS_OBSERVE, api_vm_get, false},
    [API_READ_LOG] = {ACCESS_OBSERVE, api_log_read, false},
    [API_WAIT_VM] = {ACCESS_OBSERVE, api_wait, false},
    [API_HOLD_VM] = {ACCESS_DEBUG, api_vm_hold, true},
    [API_RELEASE_VM] = {ACCESS_DEBUG, api_vm_release, true},
    [API_LIST_WORLDS] = {ACCESS_OBSERVE, api_world_list, false},
    [API_GET_WORLD] = {ACCESS_OBSERVE, api_world_get, false},
    [API_STOP_WORLD] = {ACCESS_DEBUG, api_world_stop, true},
    [API_CONTINUE_VM] = {ACCESS_DEBUG, api_debug_continue, true},
    [API_SET_TARGET] = {ACCESS_DEBUG, api_debug_set_target, false},
    [API_TAKE_LEASE] = {ACCESS_DEBUG, api_debug_take_lease, true},
    [API_HAND_OVER_LEASE] = {ACCESS_DEBUG, api_debug_hand_over_lease, true},
    [API_INSPECT_WORLD] = {ACCESS_DEBUG, api_inspect_world, true},
    [API_RESUME_WORLD] = {ACCESS_DEBUG, api_world_resume, true},
    [API_SUBSCRIBE] = {ACCESS_OBSERVE, subscribe, false},
    [API_UNSUBSCRIBE] = {ACCESS_OBSERVE, unsubscribe, false},
    [API_DOCTOR] = {ACCESS_OBSERVE, api_doctor, false},
    [API_OPEN_DEBUGGER] = {ACCESS_DEBUG, api_debug_open_debugger, true},
    [API_CLOSE_DEBUGGER] = {ACCESS_DEBUG, api_debug_close_debugger, true},
    [API_LIST_DEBUGGERS] = {ACCESS_OBSERVE, api_debug_list_debuggers, false},
    [API_LIST_FRAMES] = {ACCESS_DEBUG, api_look_list_frames, false},
    [API_LIST_SCOPES] = {ACCESS_DEBUG, api_look_list_scopes, false},
    [API_LIST_VARIABLES] = {ACCESS_DEBUG, api_look_list_variables, false},
    [API_EVALUATE] = {ACCESS_DEBUG, api_look_evaluate, true},
    [API_SET_VARIABLE] = {ACCESS_DEBUG, api_look_set_variable, true},
    [API_STEP_VM] = {ACCESS_DEBUG, api_step, true},
    [API_LIST_SOURCES] = {ACCESS_DEBUG, api_look_list_sources, false},
    [API_READ_SOURCE] = {ACCESS_DEBUG, api_look_read_source, false},
    [API_LIST_POSITIONS] = {ACCESS_DEBUG, api_look_list_positions, false},
    [API_ACCESS_MEMORY] = {ACCESS_DEBUG, api_look_access_memory, true},
    [API_GET_PAUSE] = {ACCESS_DEBUG, api_look_get_pause, false},
    [API_ADD_HOOKS] = {ACCESS_DEBUG, api_audit_add_hooks, true},
    [API_REMOVE_HOOKS] = {ACCESS_DEBUG, api_audit_remove_hooks, true},
    [API_LIST_HOOKS] = {ACCESS_OBSERVE, api_audit_list_hooks, false},
    [API_LIST_AUDITORS] = {ACCESS_OBSERVE, api_audit_list_auditors, false},
    [API_READ_HITS] = {ACCESS_OBSERVE, api_hits_read, false},
};

_urgent_ void api_handle(struct api_call *call)
{
    const struct row *row = &rows[call->request->kind];
    if (row->role != 0 && !(call->peer->roles & row->role)) {
        const char *name = api_kind_name(call->request->kind);
        log_notice("uid %u was denied %s", (unsigned)call->peer->uid, name);
        api_fail(call, API_ERROR(PERMISSION_DENIED), NULL, "uid %u may not %s",
                 (unsigned)call->peer->uid, name);
        return;
    }
    if (row->privileged)
        log_debug("uid %u: %s", (unsigned)call->peer->uid, api_kind_name(call->request->kind));
    row->handle(call);
}
