#include "daemon/api_vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/debugger.h"
#include "daemon/registry.h"
#include "daemon/vm_message.h"
#include "daemon/worker.h"
#include "daemon/worlds.h"

/* Bytes of VMs in one page, if there is more than one: well below a frame. */
#define PAGE_BYTES (LIMIT_FRAME_BYTES / 2)

typedef Stillpoint__Api__Envelope Envelope;

void api_vm_get(struct api_call *call)
{
    struct worker *w = api_find_vm(call, &call->request->vm.vm);
    if (w)
        vm_message_reply(call, w);
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
    size_t bytes = 0;
    struct worker *w = registry_after(call->api->registry, last);
    for (; w && list.n_vms < n; w = registry_after(call->api->registry, w->id)) {
        if ((w->phase == WORKER_GONE && !r->list_vms.all) ||
            (r->list_vms.world && strcmp(w->world, r->list_vms.world) != 0))
            continue;
        vm_message_fill(&messages[list.n_vms], w);
        bytes += stillpoint__api__vm__get_packed_size(&messages[list.n_vms].vm) + 8;
        if (list.n_vms > 0 && bytes > PAGE_BYTES)
            break;
        last = w->id;
        vms[list.n_vms] = &messages[list.n_vms].vm;
        list.n_vms++;
    }
    /* A world goes with its last VM; those that have ended are still its. */
    const char *world = r->list_vms.world;
    if (world && last == 0 && !worlds_get(call->api->worlds, world, false)) {
        api_fail(call, API_ERROR(NOT_FOUND), "see 'stillctl world list'", "no world named '%s'",
                 world);
        return;
    }
    API_SET(&list, next_page_token, w ? last : 0);
    e.body_case = API_BODY(VM_LIST);
    e.vm_list = &list;
    api_reply(call, &e);
}

/* ---- holds and ends */

void api_vm_hold(struct api_call *call)
{
    struct worker *w = api_find_live_vm(call, &call->request->hold.vm);
    const struct debugger *d = w ? api_debugger_of(call, call->request->hold.debugger) : NULL;
    if (!d)
        return;
    uint64_t debugger = d->id;
    int r = world_hold(worlds_get(call->api->worlds, w->world, false), w, d->id, d->name,
                       call->peer->uid);
    if (r < 0)
        api_fail(call, API_ERROR(LIMIT_EXCEEDED), NULL, "VM '%s' is held too often", w->name);
    else
        vm_message_reply(call, w);
    debuggers_reclaim(call->api->debuggers, debugger);
}

void api_vm_release(struct api_call *call)
{
    struct worker *w = api_find_live_vm(call, &call->request->hold.vm);
    const struct debugger *d = w ? api_debugger_of(call, call->request->hold.debugger) : NULL;
    if (!d)
        return;
    uint64_t debugger = d->id;
    if (world_release(worlds_get(call->api->worlds, w->world, false), w, d->id, call->peer->uid) ==
        0)
        vm_message_reply(call, w);
    else if (w->n_holds > 0)
        api_fail(call, API_ERROR(WRONG_STATE), NULL, "VM '%s' is held by %s, not by %s", w->name,
                 w->holds[0].name, d->name);
    else
        api_fail(call, API_ERROR(WRONG_STATE), NULL, "VM '%s' is not held", w->name);
    debuggers_reclaim(call->api->debuggers, debugger);
}

static void killed_on_vm_ended(struct pending *p, struct worker *w)
{
    (void)w;
    api_pending_reply(p, NULL);
}

static const struct pending_type killed = {.on_vm_ended = killed_on_vm_ended};

void api_vm_kill(struct api_call *call)
{
    struct worker *w = api_find_live_vm(call, &call->request->vm.vm);
    if (!w || !api_pending(call, &killed, w->id, 0))
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
    vm_message_fill_exit(&exit, &w->exit);
    API_SET(&m, vm, w->id);
    m.exit = &exit;
    e.body_case = API_BODY(VM_ENDED);
    e.vm_ended = &m;
    api->clients->send(api->clients->userdata, w->client, &e, -1);
}

void api_vm_on_ended(struct api *api, struct worker *w)
{
    api_pendings_on_vm_ended(api, w);
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
        worker_hold_console(w, WORKER_HOLD_CLIENT, false);
    }
    api_pendings_on_client_gone(api, client);
}
