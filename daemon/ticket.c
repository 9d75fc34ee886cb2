#include "daemon/ticket.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <time.h>

#include "base/urgent.h"
#include "shared-mem/layout.h"

static const char *const reason_names[TICKET_REASONS] = {
    [TICKET_ADMIN] = "admin",       [TICKET_CENSUS] = "census", [TICKET_AUDIT] = "audit",
    [TICKET_DEBUGGER] = "debugger", [TICKET_GC] = "gc",
};

_urgent_ const char *ticket_reason_name(enum ticket_reason reason)
{
    return reason_names[reason];
}

const char *ticket_outcome_name(enum ticket_outcome outcome)
{
    static const char *const names[] = {
        [TICKET_SERVED] = "served",
        [TICKET_CANCELLED] = "cancelled",
        [TICKET_FAILED] = "failed",
        [TICKET_TIMED_OUT] = "timed out",
    };
    return names[outcome];
}

void ticket_queue_init(struct ticket_queue *q, struct event_base *base,
                       void (*on_wait_over)(void *userdata, struct ticket *t), void *userdata)
{
    *q = (struct ticket_queue){.base = base, .on_wait_over = on_wait_over, .userdata = userdata};
    TAILQ_INIT(&q->list);
}

_urgent_ struct ticket *ticket_new(uint64_t id, const struct ticket_request *request)
{
    struct ticket *t = malloc(sizeof *t);
    if (!t)
        return NULL;
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    *t = (struct ticket){
        .id = id,
        .request = *request,
        .since_us = (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u,
        .since_ns = shm_now_ns(),
    };
    return t;
}

struct ticket *ticket_free(struct ticket *t, enum ticket_outcome outcome)
{
    if (!t)
        return NULL;
    if (t->queue)
        ticket_queue_remove(t);
    bool told = !t->request.operation && t->answered;
    if (!told && t->request.on_ended)
        t->request.on_ended(t->request.userdata, outcome);
    free(t);
    return NULL;
}

void ticket_forget_caller(struct ticket *t)
{
    t->request.on_served = NULL;
    t->request.on_ended = NULL;
    t->request.userdata = NULL;
}

_urgent_ int ticket_queue_add(struct ticket_queue *q, struct ticket *t)
{
    if (q->n >= LIMIT_TICKETS)
        return -EMFILE;
    struct ticket *at;
    /* Behind the last one that is at least as urgent. */
    TAILQ_FOREACH_REVERSE(at, &q->list, ticket_list, link)
    /* cppcheck-suppress nullPointerRedundantCheck ; the loop ends with NULL */
    if (at->request.reason >= t->request.reason)
        break;
    if (at)
        TAILQ_INSERT_AFTER(&q->list, at, t, link);
    else
        TAILQ_INSERT_HEAD(&q->list, t, link);
    t->queue = q;
    q->n++;
    return 0;
}

void ticket_queue_remove(struct ticket *t)
{
    ticket_end_wait(t);
    TAILQ_REMOVE(&t->queue->list, t, link);
    t->queue->n--;
    t->queue = NULL;
}

static void on_wait_over(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct ticket *t = userdata;
    t->queue->on_wait_over(t->queue->userdata, t);
}

int ticket_start_wait(struct ticket *t)
{
    if (t->wait || t->request.wait_us == TICKET_FOR_EVER)
        return 0;
    t->wait = event_new(t->queue->base, -1, 0, on_wait_over, t);
    if (!t->wait)
        return -ENOMEM;
    struct timeval wait = {.tv_sec = (time_t)(t->request.wait_us / 1000000),
                           .tv_usec = (suseconds_t)(t->request.wait_us % 1000000)};
    event_add(t->wait, &wait);
    return 0;
}

_urgent_ void ticket_end_wait(struct ticket *t)
{
    if (t->wait)
        event_free(t->wait);
    t->wait = NULL;
}

void ticket_restart(struct ticket *t)
{
    t->deadline_ns = 0;
    t->missed = false;
}
