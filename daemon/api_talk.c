#include "daemon/api_talk.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "daemon/registry.h"
#include "daemon/worker.h"

typedef Stillpoint__Api__Envelope Envelope;

static void answer_on_vm_ended(struct pending *p, struct worker *w)
{
    api_pending_fail(p, API_ERROR(CANCELLED), NULL, "VM '%s' exited before it answered", w->name);
}

/* It must not happen later, when a world that is stopped now is resumed. */
static void answer_on_timeout(struct pending *p)
{
    struct worker *w = registry_find(p->api->registry, p->vm);
    if (w)
        worker_cancel_call(w, p->number);
}

static const struct pending_type answer = {.on_vm_ended = answer_on_vm_ended,
                                           .on_timeout = answer_on_timeout};

void api_talk_call_function(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct worker *w = api_find_live_vm(call, &r->call_function.vm);
    if (!w)
        return;
    if (w->phase != WORKER_ADMITTED) {
        api_fail(call, API_ERROR(WRONG_STATE), NULL, "VM '%s' is starting", w->name);
        return;
    }
    struct pending *p = api_pending(call, &answer, w->id, r->call_function.timeout_us);
    if (!p)
        return;
    p->number = ++call->api->next_call;
    int v = worker_send_call(w, p->number, r->call_function.function, r->call_function.args_json);
    if (v < 0) {
        api_pending_free(p);
        api_reply_sent(call, w, v);
    }
}

bool api_talk_on_call_done(struct api *api, struct worker *w, uint64_t call_id, bool ok,
                           bool no_such_function, const struct worker_text *text)
{
    /* A caller that has timed out or gone leaves no pending; any number that was given out is fair.
     */
    struct pending *p = api_pending_find(api, &answer, w->id, call_id);
    if (!p)
        return call_id != 0 && call_id <= api->next_call;
    _cleanup_free_ char *copy = text_dup(text->text, text->len);
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

void api_talk_send_message(struct api_call *call)
{
    struct worker *w = api_find_live_vm(call, &call->request->send_message.vm);
    if (w)
        api_reply_sent(call, w, worker_send_message(w, call->request->send_message.json));
}
