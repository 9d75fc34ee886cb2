#include "daemon/api_wait.h"

#include <event2/event.h>

#include "daemon/registry.h"
#include "daemon/vm_message.h"
#include "daemon/worker.h"

#define POLL_MS 5

static bool wait_is_over(struct worker *w, enum api_wait_for what)
{
    switch (what) {
    case API_WAIT_EXITED:
        return w->phase == WORKER_GONE;
    case API_WAIT_IDLE:
        /* Asks for a kick at its next arrival, so that we look again then. */
        return w->phase == WORKER_ADMITTED && stop_kick_one(&w->gate) == SHM_IDLE;
    case API_WAIT_STOPPED:
        if (w->phase != WORKER_ADMITTED)
            return false;
        stop_kick_one(&w->gate);
        stop_scan(w->gate.world);
        return stop_is_still(&w->gate);
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
        vm_message_pending_reply(p, w);
}

static const struct pending_type until = {.on_vm_ended = recheck_wait};

/* No worker tells when it begins to run: for as long as somebody asks, look now and then. */
static void poll_soon(struct api *api)
{
    struct timeval soon = {.tv_usec = POLL_MS * 1000};
    event_add(api->poll, &soon);
}

void api_wait_recheck(struct api *api)
{
    bool poll = false;
    struct pending *p, *next;
    for (p = LIST_FIRST(&api->pendings); p; p = next) {
        next = LIST_NEXT(p, link);
        if (p->type != &until)
            continue;
        struct worker *w = registry_find(api->registry, p->vm);
        bool active = p->what == API_WAIT_ACTIVE;
        if (w)
            recheck_wait(p, w);
        poll |= active;
    }
    if (poll)
        poll_soon(api);
}

void api_wait(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct worker *w = api_find_vm(call, &r->wait_vm.vm);
    if (!w)
        return;
    struct pending *p = api_pending(call, &until, w->id, r->wait_vm.timeout_us);
    if (!p)
        return;
    p->what = r->wait_vm.what;
    if (p->what == API_WAIT_ACTIVE)
        poll_soon(call->api);
    recheck_wait(p, w);
}
