#include "daemon/worker_evaluation.h"

#include <errno.h>
#include <event2/event.h>

#include "daemon/worker.h"

static void arm(struct worker *w, uint64_t us)
{
    const struct timeval t = {.tv_sec = (time_t)(us / 1000000),
                              .tv_usec = (suseconds_t)(us % 1000000)};
    event_add(w->evaluation.timer, &t);
}

static void on_time(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct worker *w = userdata;
    if (!w->evaluation.withdrawn)
        worker_evaluation_withdraw(w, WORKER_EVALUATION_TOO_LONG);
    else
        worker_kill(w, EXIT_REASON_KILLED, "an evaluation could not be ended");
}

static int set_number(Stillpoint__Worker__Inspect *inspect, uint64_t number)
{
    if (inspect->evaluate) {
        inspect->evaluate->has_evaluation = 1;
        inspect->evaluate->evaluation = number;
    } else if (inspect->assign) {
        inspect->assign->has_evaluation = 1;
        inspect->assign->evaluation = number;
    } else if (inspect->variables) {
        inspect->variables->has_evaluation = 1;
        inspect->variables->evaluation = number;
    } else {
        return -EINVAL;
    }
    return 0;
}

int worker_evaluation_begin(struct worker *w, Stillpoint__Worker__Inspect *inspect,
                            uint64_t limit_us, uint64_t *ret_request)
{
    struct worker_evaluation *e = &w->evaluation;
    if (e->number != 0)
        return -EALREADY;
    int r = set_number(inspect, w->last_evaluation + 1);
    if (r < 0)
        return r;
    if (!e->timer)
        e->timer = event_new(w->host->base, -1, 0, on_time, w);
    if (!e->timer)
        return -ENOMEM;
    /* The word before the message: the worker looks at it when it has read that. */
    stop_allow(&w->gate, ++w->last_evaluation);
    r = worker_send_inspect(w, inspect, ret_request);
    if (r < 0) {
        stop_allow(&w->gate, 0);
        return r;
    }
    e->number = w->last_evaluation;
    e->request = *ret_request;
    e->withdrawn = NULL;
    stop_hold(&w->gate);
    stop_slot(&w->gate)->attended = true;
    arm(w, limit_us);
    return 0;
}

void worker_evaluation_withdraw(struct worker *w, const char *why)
{
    struct worker_evaluation *e = &w->evaluation;
    if (e->number == 0 || e->withdrawn)
        return;
    e->withdrawn = why;
    (void)stop_withdraw(&w->gate);
    arm(w, WORKER_EVALUATION_END_US);
}

const char *worker_evaluation_answered(struct worker *w, uint64_t request)
{
    struct worker_evaluation *e = &w->evaluation;
    const char *withdrawn = e->withdrawn;
    if (e->number == 0 || e->request != request)
        return NULL;
    event_del(e->timer);
    e->number = e->request = 0;
    e->withdrawn = NULL;
    stop_allow(&w->gate, 0);
    stop_release(&w->gate);
    return withdrawn;
}
