#include "daemon/api_step.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/api_stand.h"
#include "daemon/debugger.h"
#include "daemon/look_message.h"
#include "daemon/registry.h"
#include "daemon/worker.h"
#include "daemon/worker_pause.h"
#include "daemon/world_message.h"
#include "daemon/worlds.h"
#include "proto/check_worker.h"

typedef Stillpoint__Api__Envelope Envelope;
typedef Stillpoint__Worker__Inspect Inspect;

enum phase { ARMING, RUNS, LOOKS };

/* Who runs while it does. */
enum others { NOBODY, WORLD, WHOEVER };

/* One request; the data of a pending, whose number is that of the Inspect that is under way. */
struct step {
    enum phase phase;
    enum others others;
    uint64_t debugger, number, end_ns; /* end_ns 0: no deadline */
    uint32_t left;                     /* steps, with this one */
    unsigned how, granularity;
    char *url;
    uint32_t line, column;
    uint64_t offset;
    bool late;          /* its deadline has passed */
    bool waits;         /* the VM is in no frame: it ends in the next that is entered */
    const char *reason; /* why it is over */
    struct event *timer;
};

static struct world *world_of(const struct pending *p)
{
    return worlds_get(p->api->worlds, p->world, false);
}

/* NULL if it has ended. */
static struct worker *worker_of(const struct pending *p)
{
    struct worker *w = registry_find(p->api->registry, p->vm);
    return w && w->phase == WORKER_ADMITTED ? w : NULL;
}

/* The VM will not pause for it any more. */
static void forget(struct pending *p)
{
    const struct step *s = p->data;
    struct worker *w = worker_of(p);
    if (w && w->step.number == s->number)
        worker_pause_forget_step(w);
}

/* All but the pending itself. Its debugger may be gone after this. */
static void drop(struct pending *p)
{
    struct step *s = p->data;
    struct api *api = p->api;
    struct world *w = world_of(p);
    uint64_t debugger = s->debugger;
    if (w)
        world_forget(w, p);
    event_free(s->timer);
    free(s->url);
    free(s);
    p->data = NULL;
    debuggers_count_holding(api->debuggers, debugger, -1);
}

static void fail(struct pending *p, int code, const char *hint, const char *text)
{
    forget(p);
    drop(p);
    api_pending_fail(p, code, hint, "%s", text);
}

static void set_timer(struct step *s, uint64_t us)
{
    const struct timeval t = {.tv_sec = (time_t)(us / 1000000),
                              .tv_usec = (suseconds_t)(us % 1000000)};
    event_add(s->timer, &t);
}

/* ---- the reply */

static void reply(struct pending *p, const Stillpoint__Worker__Frame *frame)
{
    const struct step *s = p->data;
    _cleanup_free_ struct world_message *m = calloc(1, sizeof *m);
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    Stillpoint__Api__StepReply step = STILLPOINT__API__STEP_REPLY__INIT;
    Stillpoint__Api__Frame f;
    API_SET(&step, vm, p->vm);
    step.reason = API_TEXT(s->reason);
    if (frame) {
        look_message_frame(&f, frame, 0);
        step.frame = &f;
    }
    /* A ticket of its own may be among those that the world shows. */
    drop(p);
    const struct world *w = world_of(p);
    if (w && m) {
        world_message_fill(m, w);
        step.world = &m->world;
    }
    e.body_case = API_BODY(STEP_REPLY);
    e.step_reply = &step;
    api_pending_reply(p, &e);
}

/* Where the VM stands that has not said it. */
static void look(struct pending *p, struct worker *w)
{
    struct step *s = p->data;
    Inspect inspect = STILLPOINT__WORKER__INSPECT__INIT;
    Stillpoint__Worker__Page page = STILLPOINT__WORKER__PAGE__INIT;
    API_SET(&inspect, kind, WORKER_INSPECT_FRAMES);
    API_SET(&page, first, 0);
    API_SET(&page, max, 1);
    inspect.frames = &page;
    s->phase = LOOKS;
    world_serve_begin(world_of(p), w);
    if (worker_send_inspect(w, &inspect, &p->number) == 0)
        set_timer(s, DEFAULT_INSPECT_TIMEOUT_US);
    else
        reply(p, NULL);
}

static void arm(struct pending *p, struct worker *w);

/* It is over. The VM stands, where it still lives and has not been let run. */
static void finish(struct pending *p, const char *why)
{
    struct step *s = p->data;
    struct worker *w = worker_of(p);
    event_del(s->timer);
    s->reason = why;
    if (!w) {
        reply(p, NULL);
    } else if (w->pause.number != 0) {
        bool done = strcmp(why, worker_pause_reason_name(PAUSE_STEP)) == 0;
        if (done && --s->left > 0) {
            arm(p, w);
        } else {
            forget(p);
            reply(p, w->pause.said->frame);
        }
    } else {
        forget(p);
        if (stop_is_still(&w->gate))
            look(p, w);
        else
            reply(p, NULL);
    }
}

/* ---- running */

static void on_run_one_ended(void *userdata, const char *why)
{
    struct pending *p = userdata;
    const struct step *s = p->data;
    /* The time that it was given was ours, not the caller's. */
    bool ours = s->waits && s->end_ns == 0 && strcmp(why, "deadline") == 0;
    finish(p, ours ? "idle" : why);
}

/* One that has nothing to do is idle before its step, and that is no reason to end it. */
static void run_alone(struct pending *p, struct worker *w, uint64_t deadline_us)
{
    const struct step *s = p->data;
    const struct world_run run = {.runner = w,
                                  .on_exit = WORLD_RUNNER_EXIT_STOP,
                                  .until_still = !s->waits,
                                  .deadline_us = s->waits && deadline_us == 0 ? DEFAULT_STEP_WAIT_US
                                                                              : deadline_us,
                                  .on_ended = on_run_one_ended,
                                  .userdata = p};
    int r = world_run_one(world_of(p), &run);
    /* When it is 0 the request may have been answered, and be gone. */
    if (r == -EPERM)
        fail(p, API_ERROR(WRONG_STATE), "see 'stillctl release'", "the VM is held on its own");
    else if (r == -EAGAIN)
        fail(p, API_ERROR(WRONG_STATE), NULL, "the VM is not parked at a safe point");
    else if (r == -EBUSY)
        fail(p, API_ERROR(WRONG_STATE), "try again when that is over",
             "the world serves another request, or lets another VM run");
    else if (r < 0)
        fail(p, API_ERROR(CANCELLED), NULL, "the world was resumed before the step began");
}

static void run_with_world(struct pending *p)
{
    struct step *s = p->data;
    struct world *w = world_of(p);
    const struct ticket *control = world_control(w);
    struct world_resumption done;
    if (!control || control->request.debugger != s->debugger || world_mode(w) != WORLD_STOPPED ||
        world_runner(w) != 0)
        fail(p, API_ERROR(CANCELLED), NULL, "the world was resumed before the step began");
    else
        world_resume(w, &done);
}

static void run_released(struct pending *p, struct worker *w)
{
    struct step *s = p->data;
    if (world_release_all(world_of(p), w, s->debugger) == 0)
        fail(p, API_ERROR(CANCELLED), NULL, "the VM was released before the step began");
}

static void run(struct pending *p, struct worker *w)
{
    struct step *s = p->data;
    uint64_t now = shm_now_ns();
    uint64_t left_us = s->end_ns > now ? (s->end_ns - now) / 1000 + 1 : 0;
    if (s->end_ns != 0 && left_us == 0) {
        finish(p, "deadline");
        return;
    }
    s->phase = RUNS;
    if (left_us > 0 && s->others != NOBODY)
        set_timer(s, left_us);
    if (s->others == NOBODY)
        run_alone(p, w, left_us);
    else if (s->others == WORLD)
        run_with_world(p);
    else
        run_released(p, w);
}

/* Wherever it is: the world is stopped, or the VM held; api_step_recheck() sees when that has come.
 */
static void on_deadline(struct pending *p)
{
    struct step *s = p->data;
    struct world *w = world_of(p);
    struct worker *worker = worker_of(p);
    const struct debugger *d = debuggers_find(p->api->debuggers, s->debugger);
    uint64_t ticket;
    int r = -ESRCH;
    s->late = true;
    if (d && worker && s->others == WHOEVER) {
        r = world_hold(w, worker, d->id, d->name, d->owner);
        if (r == 0)
            stop_kick_one(&worker->gate);
    } else if (d && worker) {
        struct ticket_request request = {
            .reason = TICKET_DEBUGGER,
            .uid = d->owner,
            .debugger = d->id,
            .hold_policy = d->hold_policy,
            .target = p->vm,
            .dispatched_ns = shm_now_ns(),
            .deadline_us = DEFAULT_DEADLINE_US,
            .wait_us = TICKET_FOR_EVER,
            .hold_us = DEFAULT_HOLD_US,
            .userdata = p,
        };
        snprintf(request.debugger_name, sizeof request.debugger_name, "%s", d->name);
        r = world_stop(w, &request, &ticket);
    }
    if (r < 0)
        fail(p, API_ERROR(LIMIT_EXCEEDED), NULL,
             "the time of the step is over, and the VM cannot be stopped");
    else
        api_step_recheck(p->api);
}

static void on_timer(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct pending *p = userdata;
    const struct step *s = p->data;
    if (s->phase != RUNS)
        (void)api_stand_give_up(p->api, p->vm, p->number);
    switch (s->phase) {
    case ARMING:
        fail(p, API_ERROR(TIMED_OUT), NULL, "the VM did not answer in time");
        break;
    case RUNS:
        on_deadline(p);
        break;
    case LOOKS:
        reply(p, NULL);
        break;
    }
}

/* Why it is over, if it is: the VM stands again, though not by the end of a run-one. */
static const char *why_it_stands(const struct step *s, struct world *world, struct worker *w)
{
    bool held = false, stopped = world_mode(world) == WORLD_STOPPED && world_control(world);
    for (size_t i = 0; i < w->n_holds; i++)
        held |= w->holds[i].pause || (s->late && w->holds[i].debugger == s->debugger);
    if (!held && !stopped)
        return NULL;
    if (w->pause.number != 0)
        return worker_pause_reason_name(w->pause.said->reason);
    if (stop_how_now(&w->gate) == STOP_NOT_ARRIVED && w->freeze.state != WORKER_FROZEN)
        return NULL;
    return s->late ? "deadline" : "stopped";
}

/* Returns whether it was over. */
static bool recheck(struct pending *p)
{
    const struct step *s = p->data;
    struct worker *w = worker_of(p);
    if (s->phase != RUNS || s->others == NOBODY || !w)
        return false;
    const char *why = why_it_stands(s, world_of(p), w);
    if (why)
        finish(p, why);
    else if (w->step.number != s->number && w->pause.number == 0)
        fail(p, API_ERROR(CANCELLED), "see 'stillctl world status'",
             "the step has ended, but another debugger controls the world meanwhile");
    else
        return false;
    return true;
}

/* ---- arming */

static void on_client_gone(struct pending *p)
{
    struct step *s = p->data;
    struct worker *w = worker_of(p);
    /* A run-one goes on: it belongs to the lease, and ends with the step all the same. */
    if (s->phase == RUNS && s->others == NOBODY && w)
        w->step.awaited = false;
    else
        forget(p);
    drop(p);
    api_pending_free(p);
}

static void on_vm_ended(struct pending *p, struct worker *w)
{
    (void)w;
    finish(p, "ended");
}

static const struct pending_type stepping = {.on_vm_ended = on_vm_ended,
                                             .on_client_gone = on_client_gone};

static void arm(struct pending *p, struct worker *w)
{
    struct step *s = p->data;
    Inspect inspect = STILLPOINT__WORKER__INSPECT__INIT;
    Stillpoint__Worker__Step step = STILLPOINT__WORKER__STEP__INIT;
    Stillpoint__Worker__Place at = STILLPOINT__WORKER__PLACE__INIT;
    s->phase = ARMING;
    s->number = w->last_step + 1;
    API_SET(&inspect, kind, WORKER_INSPECT_STEP);
    API_SET(&step, step, s->number);
    API_SET(&step, how, s->how);
    API_SET(&step, granularity, s->granularity);
    if (s->url) {
        at.url = s->url;
        API_SET(&at, line, s->line);
        API_SET(&at, column, s->column);
        API_SET(&at, offset, s->offset);
        step.at = &at;
    }
    inspect.step = &step;
    world_serve_begin(world_of(p), w);
    int r = worker_send_inspect(w, &inspect, &p->number);
    if (r < 0) {
        fail(p, API_ERROR(LIMIT_EXCEEDED), NULL, "the step cannot be sent to the VM");
        return;
    }
    w->last_step = s->number;
    w->step = (struct worker_step){.number = s->number,
                                   .debugger = s->debugger,
                                   .of_vm = s->others == WHOEVER,
                                   .awaited = true};
    stop_slot(&w->gate)->attended = true;
    set_timer(s, DEFAULT_INSPECT_TIMEOUT_US);
}

static struct step *step_new(const struct api_request *r, struct event_base *base,
                             struct pending *p)
{
    struct step *s = calloc(1, sizeof *s);
    const char *url = r->step_vm.at.url;
    if (!s)
        return NULL;
    *s = (struct step){.left = r->step_vm.count,
                       .how = r->step_vm.how,
                       .granularity = r->step_vm.granularity,
                       .line = r->step_vm.at.line,
                       .column = r->step_vm.at.column,
                       .offset = r->step_vm.at.offset};
    s->url = url ? strdup(url) : NULL;
    s->timer = event_new(base, -1, 0, on_timer, p);
    if (s->timer && (!url || s->url))
        return s;
    if (s->timer)
        event_free(s->timer);
    free(s->url);
    free(s);
    return NULL;
}

/* Sends the error if this VM cannot step now. */
static bool may_step(const struct api_call *call, const struct worker *w,
                     const struct api_stand_right *right)
{
    const struct worker_hold *own = w->n_holds > 0 ? &w->holds[0] : NULL;
    if (w->step.number != 0 && w->step.awaited)
        api_fail(call, API_ERROR(WRONG_STATE), "try again when that is over",
                 "VM '%s' makes a step for somebody else", w->name);
    else if (w->evaluation.number != 0)
        api_stand_fail_sent(call, w, -EALREADY);
    else if (own && !(right->by_hold && w->n_holds == 1 && own->debugger == right->debugger))
        api_fail(call, API_ERROR(WRONG_STATE), "see 'stillctl release'",
                 "VM '%s' is held on its own by %s", w->name,
                 own->debugger == right->debugger && w->n_holds > 1 ? w->holds[1].name : own->name);
    else
        return true;
    return false;
}

void api_step(struct api_call *call)
{
    const struct api_request *r = call->request;
    struct worker *w = api_stand_find_vm(call, &r->step_vm.vm);
    struct api_stand_right right;
    if (!w || !api_stand_may_change(call, w, &right) || !may_step(call, w, &right))
        return;
    struct pending *p = api_pending(call, &stepping, w->id, 0);
    struct step *s = p ? step_new(r, call->api->base, p) : NULL;
    if (!p)
        return;
    if (!s) {
        api_pending_fail(p, API_ERROR(INTERNAL), NULL, "out of memory");
        return;
    }
    p->data = s;
    snprintf(p->world, sizeof p->world, "%s", w->world);
    s->debugger = right.debugger;
    s->others = right.by_hold ? WHOEVER : r->step_vm.others_run ? WORLD : NOBODY;
    if (r->step_vm.deadline_us > 0)
        s->end_ns = shm_now_ns() + r->step_vm.deadline_us * 1000;
    debuggers_count_holding(call->api->debuggers, s->debugger, 1);
    arm(p, w);
}

/* ---- facts */

bool api_step_on_inspected(struct api *api, struct worker *w, const struct worker_inspected *answer)
{
    struct pending *p = api_pending_find(api, &stepping, w->id, answer->request);
    if (!p)
        return false;
    struct step *s = p->data;
    const Stillpoint__Worker__InspectedBody *body = answer->error ? NULL : answer->body;
    p->number = 0;
    event_del(s->timer);
    if (s->phase == LOOKS) {
        reply(p, body && body->n_frames > 0 ? body->frames[0] : NULL);
    } else if (answer->error) {
        w->step = (struct worker_step){0};
        fail(p, api_stand_error_code(answer->refusal), NULL, answer->error);
    } else {
        s->waits = body && body->waits;
        run(p, w);
    }
    return true;
}

void api_step_recheck(struct api *api)
{
    struct pending *p = LIST_FIRST(&api->pendings);
    /* From the start: the end of one may have answered others. */
    while (p)
        p = p->type == &stepping && recheck(p) ? LIST_FIRST(&api->pendings) : LIST_NEXT(p, link);
}

void api_step_on_debugger_closed(struct api *api, uint64_t debugger)
{
    struct pending *p = LIST_FIRST(&api->pendings);
    while (p) {
        const struct step *s = p->type == &stepping ? p->data : NULL;
        bool its = s && s->debugger == debugger && !(s->phase == RUNS && s->others == NOBODY);
        if (its)
            fail(p, API_ERROR(CANCELLED), NULL, "the debugger was closed");
        p = its ? LIST_FIRST(&api->pendings) : LIST_NEXT(p, link);
    }
}
