#include "daemon/api_stand.h"

#include <errno.h>

#include "daemon/debugger.h"
#include "daemon/registry.h"
#include "daemon/worker.h"
#include "daemon/world_message.h"

struct worker *api_stand_find_vm(const struct api_call *call, const struct api_vm_ref *ref)
{
    struct worker *w = api_find_live_vm(call, ref);
    if (!w)
        return NULL;
    if (w->phase != WORKER_ADMITTED)
        api_fail(call, API_ERROR(WRONG_STATE), NULL, "VM '%s' has not started yet", w->name);
    else if (stop_is_open(&w->gate))
        api_fail(call, API_ERROR(WRONG_STATE), "stop it first: stillctl world stop",
                 "VM '%s' is running", w->name);
    else if (stop_how_now(&w->gate) == STOP_NOT_ARRIVED)
        api_fail(call, API_ERROR(WRONG_STATE), "resume it, and stop it with a longer --deadline",
                 "VM '%s' has not come to a safe point in this stop", w->name);
    else if (w->freeze.lied)
        api_fail(call, API_ERROR(WRONG_STATE), NULL,
                 "VM '%s' said that it had arrived, and ran on: it is frozen", w->name);
    else
        return w;
    return NULL;
}

bool api_stand_holder(const struct api_call *call, const struct worker *w, uint64_t *ret_debugger)
{
    for (size_t i = 0; i < w->n_holds; i++) {
        const struct debugger *d = debuggers_find(call->api->debuggers, w->holds[i].debugger);
        if (!d || !api_may_act_for(call, d->owner))
            continue;
        *ret_debugger = d->id;
        return true;
    }
    return false;
}

bool api_stand_may_change(const struct api_call *call, const struct worker *w,
                          struct api_stand_right *ret)
{
    const struct world *world = worlds_get(call->api->worlds, w->world, false);
    const struct ticket *control = world_control(world);
    enum world_mode mode = world_mode(world);
    if (control && !api_may_act_on(call, control->request.uid)) {
        api_fail_denied(call, ACCESS_ADMIN, "world %s is controlled by debugger %s of uid %u",
                        world_name(world), control->request.debugger_name,
                        (unsigned)control->request.uid);
        return false;
    }
    if (control && (mode != WORLD_STOPPED || world_runner(world) != 0)) {
        api_fail(call, API_ERROR(WRONG_STATE), "try again when that is over",
                 "world %s lets a VM run alone", world_name(world));
        return false;
    }
    if (control) {
        *ret = (struct api_stand_right){.debugger = control->request.debugger};
        return true;
    }
    if (mode != WORLD_RUN_ALL) {
        world_message_fail_busy(call, world);
        return false;
    }
    *ret = (struct api_stand_right){.by_hold = true};
    if (api_stand_holder(call, w, &ret->debugger))
        return true;
    api_fail(call, API_ERROR(WRONG_STATE), "stop it first: stillctl world stop",
             "nobody controls world %s, and VM '%s' is not held by a debugger of uid %u",
             world_name(world), w->name, (unsigned)call->peer->uid);
    return false;
}

void api_stand_fail_sent(const struct api_call *call, const struct worker *w, int r)
{
    if (r == -EALREADY)
        api_fail(call, API_ERROR(WRONG_STATE), "try again when that is over",
                 "VM '%s' evaluates something for somebody else", w->name);
    else if (r == -EBUSY)
        api_fail(call, API_ERROR(LIMIT_EXCEEDED), "try again when it has",
                 "VM '%s' has not answered earlier requests", w->name);
    else if (r == -ENOMEM)
        api_fail(call, API_ERROR(INTERNAL), NULL, "out of memory");
    else
        api_reply_sent(call, w, r);
}

struct worker *api_stand_give_up(struct api *api, uint64_t vm, uint64_t request)
{
    struct worker *w = registry_find(api->registry, vm);
    if (w)
        worker_give_up(w, request);
    if (w && w->phase == WORKER_ADMITTED)
        world_serve_end(worlds_get(api->worlds, w->world, false), w);
    return w;
}

int api_stand_error_code(enum worker_refusal refusal)
{
    static const int codes[WORKER_REFUSALS] = {
        [WORKER_REFUSED_NOT_FOUND] = API_ERROR(NOT_FOUND),
        [WORKER_REFUSED_INVALID] = API_ERROR(INVALID_ARGUMENT),
        [WORKER_REFUSED_UNSUPPORTED] = API_ERROR(UNSUPPORTED),
        [WORKER_REFUSED_STATE] = API_ERROR(WRONG_STATE),
        [WORKER_REFUSED_CANCELLED] = API_ERROR(CANCELLED),
        [WORKER_REFUSED_LIMIT] = API_ERROR(LIMIT_EXCEEDED),
        [WORKER_REFUSED_INTERNAL] = API_ERROR(INTERNAL),
    };
    return codes[refusal];
}
