#include "daemon/look_queue.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>

struct look_queue {
    TAILQ_HEAD(, look_turn) looks;
    struct event *turn;
};

/* event_active() in place of a timer that is due would run within the same turn of the loop, before
 * it asks the kernel who has written. */
static void next_turn(struct look_queue *q)
{
    static const struct timeval at_once = {0};
    event_add(q->turn, &at_once);
}

static void on_turn(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct look_queue *q = userdata;
    struct look_turn *first = TAILQ_FIRST(&q->looks);
    if (!first)
        return;
    look_queue_drop(q, first);
    if (!TAILQ_EMPTY(&q->looks))
        next_turn(q);
    first->on_turn(first->userdata);
}

struct look_queue *look_queue_new(struct event_base *base)
{
    struct look_queue *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    TAILQ_INIT(&q->looks);
    q->turn = event_new(base, -1, 0, on_turn, q);
    return q->turn ? q : look_queue_free(q);
}

struct look_queue *look_queue_free(struct look_queue *q)
{
    if (!q)
        return NULL;
    assert(TAILQ_EMPTY(&q->looks));
    if (q->turn)
        event_free(q->turn);
    free(q);
    return NULL;
}

void look_queue_add(struct look_queue *q, struct look_turn *look)
{
    if (look->is_queued)
        return;
    TAILQ_INSERT_TAIL(&q->looks, look, link);
    look->is_queued = true;
    if (!event_pending(q->turn, EV_TIMEOUT, NULL))
        next_turn(q);
}

void look_queue_drop(struct look_queue *q, struct look_turn *look)
{
    if (!look->is_queued)
        return;
    TAILQ_REMOVE(&q->looks, look, link);
    look->is_queued = false;
}
