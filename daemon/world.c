#include "daemon/world.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>
#include <uthash.h>

#include "base/log.h"
#include "daemon/event_bus.h"
#include "daemon/worker.h"

/* A worker that lies about its kick delays a stop by no more than this; an honest one by nothing.
 */
#define SCAN_MS 10

struct queued {
    TAILQ_ENTRY(queued) link;
    struct world *world;
    struct ticket ticket;
    struct event *wait;
};

/* A VM that ended during the stop in service. */
struct dead {
    STAILQ_ENTRY(dead) link;
    struct arrival arrival;
};

struct world {
    UT_hash_handle hh;
    struct worlds *all;
    char name[LIMIT_NAME_BYTES + 1];
    enum world_mode mode;
    struct stop_world stop;
    struct ticket ticket; /* in service; id 0: none */
    uint64_t service_ns; /* CLOCK_MONOTONIC of the store that closed the gates, or of the service */
    uint64_t closed_ns;  /* of the store that closed the world */
    uint64_t expires_us;
    struct event *scan, *deadline, *expiry, *suspicion;
    uint64_t suspect_vm, late_scans;
    TAILQ_HEAD(queue, queued) queue;
    size_t n_queued;
    STAILQ_HEAD(dead_list, dead) dead;
    size_t n_dead;
};

struct worlds {
    struct event_base *base;
    struct event_bus *bus;
    struct world *by_name;
    uint64_t next_ticket;
};

static void serve(struct world *w, const struct ticket *ticket, bool gates_are_closed);
static void check_arrivals(struct world *w, bool by_timer);

static uint64_t realtime_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static struct timeval timeval_us(uint64_t us)
{
    return (struct timeval){.tv_sec = (time_t)(us / 1000000),
                            .tv_usec = (suseconds_t)(us % 1000000)};
}

const char *world_mode_name(enum world_mode mode)
{
    static const char *const names[] = {"?", "run-all", "stopping", "stopped", "run-one"};
    return names[mode];
}

const char *ticket_reason_name(enum ticket_reason reason)
{
    static const char *const names[] = {"admin", "census", "audit", "debugger", "gc"};
    return names[reason];
}

static void set_mode(struct world *w, enum world_mode to, const char *why)
{
    static const unsigned legal[] = {
        [WORLD_RUN_ALL] = 1 << WORLD_STOPPING,
        [WORLD_STOPPING] = 1 << WORLD_STOPPED | 1 << WORLD_RUN_ALL,
        [WORLD_STOPPED] = 1 << WORLD_RUN_ALL | 1 << WORLD_STOPPED,
        [WORLD_RUN_ONE] = 0,
    };
    assert(legal[w->mode] & 1u << to);
    log_debug("world %s: %s → %s (%s)", w->name, world_mode_name(w->mode), world_mode_name(to),
              why);
    w->mode = to;
}

static void publish(struct world *w, enum event_kind kind, uint64_t vm, const char *name,
                    const char *detail)
{
    struct event e = {.kind = kind,
                      .world = w->name,
                      .epoch = w->stop.epoch,
                      .ticket = w->ticket.id,
                      .uid = w->ticket.request.uid,
                      .vm = vm,
                      .name = name,
                      .detail = detail};
    event_bus_publish(w->all->bus, &e);
}

/* ---- the report */

static struct arrival arrival_of(const struct world *w, const struct stop_gate *g)
{
    const struct worker *worker = g->userdata;
    struct arrival a = {.vm = worker->id, .was = g->was};
    memcpy(a.name, worker->name, sizeof a.name);
    a.how = g->how == STOP_ACKED ? ARRIVAL_ACKED : ARRIVAL_HELD;
    /* A gate that was closed before (a hold, a birth, the ticket before this): nothing to wait for.
     */
    if (g->closed_ns < w->service_ns)
        a.was = stop_state(g);
    else if (g->arrived_ns > w->service_ns)
        a.elapsed_us = (g->arrived_ns - w->service_ns) / 1000;
    return a;
}

static void answer(struct world *w)
{
    if (w->ticket.answered)
        return;
    w->ticket.answered = true;
    size_t n = w->stop.n_gates + w->n_dead, n_arrivals = 0, n_missing = 0;
    struct arrival *arrivals = calloc(n + 1, sizeof *arrivals);
    uint64_t *missing = calloc(n + 1, sizeof *missing);
    struct stop_report report = {.world = w,
                                 .ticket = w->ticket.id,
                                 .reason = w->ticket.request.reason,
                                 .mode = w->mode,
                                 .arrivals = arrivals,
                                 .missing = missing};
    if (arrivals && missing) {
        for (size_t i = 0; i < w->stop.n_gates; i++) {
            const struct stop_gate *g = w->stop.gates[i];
            if (g->arrived)
                arrivals[n_arrivals++] = arrival_of(w, g);
            else
                missing[n_missing++] = ((const struct worker *)g->userdata)->id;
        }
        const struct dead *d;
        STAILQ_FOREACH(d, &w->dead, link)
        arrivals[n_arrivals++] = d->arrival;
    }
    for (size_t i = 0; i < n_arrivals; i++)
        if (arrivals[i].elapsed_us > report.elapsed_us)
            report.elapsed_us = arrivals[i].elapsed_us;
    if (n_missing > 0)
        report.elapsed_us = (shm_now_ns() - w->service_ns) / 1000;
    report.n_arrivals = n_arrivals;
    report.n_missing = n_missing;
    if (w->ticket.request.on_served)
        w->ticket.request.on_served(w->ticket.request.userdata, TICKET_SERVED, &report);
    free(arrivals);
    free(missing);
}

static void forget_dead(struct world *w)
{
    while (!STAILQ_EMPTY(&w->dead)) {
        struct dead *d = STAILQ_FIRST(&w->dead);
        STAILQ_REMOVE_HEAD(&w->dead, link);
        free(d);
    }
    w->n_dead = 0;
}

/* ---- a stop */

static void stopped(struct world *w)
{
    event_del(w->scan);
    event_del(w->deadline);
    set_mode(w, WORLD_STOPPED, "all arrived");
    publish(w, EVENT_WORLD_STOPPED, 0, NULL, ticket_reason_name(w->ticket.request.reason));
    answer(w);
}

/* The timer completed a stop that a kick should have: if that kick does not even come within a
 * second, it was lost, and that is a bug somewhere. */
static void suspect(struct world *w, const struct stop_gate *kicked)
{
    static const struct timeval second = {.tv_sec = 1};
    if (!kicked)
        return;
    w->suspect_vm = ((const struct worker *)kicked->userdata)->id;
    event_add(w->suspicion, &second);
}

static void on_suspicion(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct world *w = userdata;
    w->late_scans++;
    log_warning("world %s: vm %llu arrived and did not answer its kick", w->name,
                (unsigned long long)w->suspect_vm);
}

static void clear_suspicion(struct world *w, const struct worker *worker)
{
    if (w->suspect_vm != worker->id)
        return;
    w->suspect_vm = 0;
    event_del(w->suspicion);
}

/* Looks who has arrived; asks one of the others to say so when it has. Completion is re-evaluated
 * by everything that can bring it about: a kick, a death, and the timer, for workers that lie. */
static void check_arrivals(struct world *w, bool by_timer)
{
    if (w->mode != WORLD_STOPPING)
        return;
    const struct stop_gate *kicked = w->stop.kicked;
    size_t missing = stop_scan(&w->stop);
    if (by_timer && missing == 0)
        suspect(w, kicked);
    if (missing > 0)
        missing = stop_kick(&w->stop);
    if (missing == 0)
        stopped(w);
}

static void on_scan(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    check_arrivals(userdata, true);
}

/* The VMs that have not arrived are named; the others hold; the stop goes on until resume. */
static void on_deadline(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct world *w = userdata;
    check_arrivals(w, true);
    if (w->mode != WORLD_STOPPING)
        return;
    for (size_t i = 0; i < w->stop.n_gates; i++) {
        const struct stop_gate *g = w->stop.gates[i];
        const struct worker *worker = g->userdata;
        if (!g->arrived)
            publish(w, EVENT_VM_MISSED, worker->id, worker->name, "did not arrive by the deadline");
    }
    answer(w);
}

/* The lease of a controller that holds the world and is not heard of again. */
static void on_expiry(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct world *w = userdata;
    uint64_t ticket, next, held;
    log_notice("world %s: the hold of ticket %llu has run out; resuming", w->name,
               (unsigned long long)w->ticket.id);
    world_resume(w, &ticket, &next, &held);
    world_drop_if_unused(w);
}

static void serve(struct world *w, const struct ticket *ticket, bool gates_are_closed)
{
    w->ticket = *ticket;
    w->expires_us = realtime_us() + ticket->request.hold_us;
    struct timeval hold = timeval_us(ticket->request.hold_us);
    event_add(w->expiry, &hold);
    forget_dead(w);
    if (gates_are_closed) {
        /* After another ticket: nobody has run since, nothing has to be stored. */
        w->service_ns = shm_now_ns();
        set_mode(w, WORLD_STOPPED, "next ticket");
        publish(w, EVENT_WORLD_STOPPED, 0, NULL, ticket_reason_name(ticket->request.reason));
        answer(w);
        return;
    }
    set_mode(w, WORLD_STOPPING, ticket_reason_name(ticket->request.reason));
    stop_close(&w->stop);
    w->service_ns = w->closed_ns = w->stop.changed_ns;
    publish(w, EVENT_WORLD_STOPPING, 0, NULL, ticket_reason_name(ticket->request.reason));
    check_arrivals(w, false);
    if (w->mode != WORLD_STOPPING)
        return;
    struct timeval scan = {.tv_usec = SCAN_MS * 1000};
    struct timeval deadline = timeval_us(ticket->request.deadline_us);
    event_add(w->scan, &scan);
    event_add(w->deadline, &deadline);
}

/* ---- the queue */

static void queued_free(struct queued *q)
{
    TAILQ_REMOVE(&q->world->queue, q, link);
    q->world->n_queued--;
    event_free(q->wait);
    free(q);
}

static void end_queued(struct queued *q, enum ticket_outcome outcome)
{
    struct ticket_request request = q->ticket.request;
    queued_free(q);
    if (request.on_served)
        request.on_served(request.userdata, outcome, NULL);
}

static void on_wait_over(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    end_queued(userdata, TICKET_EXPIRED);
}

static int enqueue(struct world *w, const struct ticket *ticket)
{
    if (w->n_queued >= LIMIT_TICKETS)
        return -EMFILE;
    struct queued *q = calloc(1, sizeof *q), *at;
    if (!q)
        return -ENOMEM;
    *q = (struct queued){.world = w, .ticket = *ticket};
    q->wait = event_new(w->all->base, -1, 0, on_wait_over, q);
    if (!q->wait) {
        free(q);
        return -ENOMEM;
    }
    struct timeval wait = timeval_us(ticket->request.wait_us);
    event_add(q->wait, &wait);
    /* Behind the last one that is at least as urgent. */
    TAILQ_FOREACH_REVERSE(at, &w->queue, queue, link)
    /* cppcheck-suppress nullPointerRedundantCheck ; the loop ends with NULL */
    if (at->ticket.request.reason >= ticket->request.reason)
        break;
    if (at)
        TAILQ_INSERT_AFTER(&w->queue, at, q, link);
    else
        TAILQ_INSERT_HEAD(&w->queue, q, link);
    w->n_queued++;
    return 0;
}

int world_stop(struct world *w, const struct ticket_request *request, uint64_t *ret_ticket)
{
    if (w->mode != WORLD_RUN_ALL && request->wait_us == 0)
        return -EBUSY;
    struct ticket t = {.id = w->all->next_ticket, .request = *request, .since_us = realtime_us()};
    snprintf(t.debugger, sizeof t.debugger, "cli:%u", (unsigned)request->uid);
    if (w->mode != WORLD_RUN_ALL) {
        int r = enqueue(w, &t);
        if (r < 0)
            return r;
    }
    w->all->next_ticket++;
    *ret_ticket = t.id;
    if (w->mode == WORLD_RUN_ALL)
        serve(w, &t, false);
    return 0;
}

static void reopen(struct world *w)
{
    stop_open(&w->stop);
    set_mode(w, WORLD_RUN_ALL, "resumed");
    publish(w, EVENT_WORLD_RESUMED, 0, NULL, NULL);
    w->ticket = (struct ticket){0};
    forget_dead(w);
}

int world_resume(struct world *w, uint64_t *ret_ticket, uint64_t *ret_next, uint64_t *ret_held_us)
{
    if (w->mode != WORLD_STOPPING && w->mode != WORLD_STOPPED)
        return -EALREADY;
    bool all_still = w->mode == WORLD_STOPPED;
    struct ticket ended = w->ticket;
    event_del(w->scan);
    event_del(w->deadline);
    event_del(w->expiry);
    *ret_ticket = ended.id;
    *ret_next = 0;
    *ret_held_us = (shm_now_ns() - w->closed_ns) / 1000;
    struct queued *first = TAILQ_FIRST(&w->queue);
    if (first && all_still) {
        struct ticket next = first->ticket;
        *ret_next = next.id;
        queued_free(first);
        serve(w, &next, true);
    } else {
        reopen(w);
        /* Cancelled on the way: the next one makes its own stop, from the start. */
        if (first) {
            struct ticket next = first->ticket;
            *ret_next = next.id;
            queued_free(first);
            serve(w, &next, false);
        }
    }
    if (!ended.answered && ended.request.on_served)
        ended.request.on_served(ended.request.userdata, TICKET_CANCELLED, NULL);
    return 0;
}

bool world_forget(struct world *w, const void *userdata)
{
    struct queued *q, *next;
    bool found = false;
    for (q = TAILQ_FIRST(&w->queue); q; q = next) {
        next = TAILQ_NEXT(q, link);
        if (q->ticket.request.userdata == userdata) {
            queued_free(q);
            found = true;
        }
    }
    return found;
}

/* ---- members */

void world_on_member_born(struct world *w, struct worker *worker)
{
    (void)worker;
    /* Born behind its closed gate: it counts as held from the start, whatever the mode. */
    check_arrivals(w, false);
}

void world_on_member_kicked(struct world *w, struct worker *worker)
{
    clear_suspicion(w, worker);
    check_arrivals(w, false);
}

static void world_free(struct world *w)
{
    if (w->scan)
        event_free(w->scan);
    if (w->deadline)
        event_free(w->deadline);
    if (w->expiry)
        event_free(w->expiry);
    if (w->suspicion)
        event_free(w->suspicion);
    while (!TAILQ_EMPTY(&w->queue))
        end_queued(TAILQ_FIRST(&w->queue), TICKET_CANCELLED);
    forget_dead(w);
    stop_world_done(&w->stop);
    free(w);
}

void world_drop_if_unused(struct world *w)
{
    if (w->stop.n_gates > 0 || w->mode != WORLD_RUN_ALL || strcmp(w->name, "default") == 0)
        return;
    publish(w, EVENT_WORLD_GONE, 0, NULL, NULL);
    HASH_DEL(w->all->by_name, w);
    world_free(w);
}

void world_on_member_ended(struct world *w, struct worker *worker)
{
    if (w->mode != WORLD_RUN_ALL && !w->ticket.answered) {
        struct dead *d = calloc(1, sizeof *d);
        if (d) {
            d->arrival = arrival_of(w, &worker->gate);
            d->arrival.how = ARRIVAL_DEAD;
            if (d->arrival.elapsed_us == 0)
                d->arrival.elapsed_us = (shm_now_ns() - w->service_ns) / 1000;
            STAILQ_INSERT_TAIL(&w->dead, d, link);
            w->n_dead++;
        }
    }
    clear_suspicion(w, worker);
    stop_gate_done(&worker->gate);
    check_arrivals(w, false);
    world_drop_if_unused(w);
}

void world_hold(struct world *w, struct worker *worker, uid_t uid)
{
    stop_hold(&worker->gate);
    struct event e = {.kind = EVENT_VM_HELD,
                      .world = w->name,
                      .epoch = w->stop.epoch,
                      .vm = worker->id,
                      .name = worker->name,
                      .uid = uid};
    event_bus_publish(w->all->bus, &e);
}

int world_release(struct world *w, struct worker *worker, uid_t uid)
{
    if (worker->gate.holds == 0)
        return -EALREADY;
    stop_release(&worker->gate);
    struct event e = {.kind = EVENT_VM_RELEASED,
                      .world = w->name,
                      .epoch = w->stop.epoch,
                      .vm = worker->id,
                      .name = worker->name,
                      .uid = uid};
    event_bus_publish(w->all->bus, &e);
    return 0;
}

/* ---- all worlds */

struct worlds *worlds_new(struct event_base *base, struct event_bus *bus)
{
    struct worlds *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    all->base = base;
    all->bus = bus;
    all->next_ticket = 1;
    if (!worlds_get(all, "default", true))
        return worlds_free(all);
    return all;
}

struct worlds *worlds_free(struct worlds *all)
{
    if (!all)
        return NULL;
    struct world *w, *next;
    HASH_ITER(hh, all->by_name, w, next)
    {
        HASH_DEL(all->by_name, w);
        world_free(w);
    }
    free(all);
    return NULL;
}

static struct world *make_world(struct worlds *all, const char *name)
{
    if (HASH_COUNT(all->by_name) >= LIMIT_WORLDS) {
        errno = EMFILE;
        return NULL;
    }
    struct world *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    *w = (struct world){.all = all, .mode = WORLD_RUN_ALL};
    snprintf(w->name, sizeof w->name, "%s", name);
    TAILQ_INIT(&w->queue);
    STAILQ_INIT(&w->dead);
    w->scan = event_new(all->base, -1, EV_PERSIST, on_scan, w);
    w->deadline = event_new(all->base, -1, 0, on_deadline, w);
    w->expiry = event_new(all->base, -1, 0, on_expiry, w);
    w->suspicion = event_new(all->base, -1, 0, on_suspicion, w);
    int r =
        w->scan && w->deadline && w->expiry && w->suspicion ? stop_world_init(&w->stop) : -ENOMEM;
    if (r < 0) {
        world_free(w);
        errno = -r;
        return NULL;
    }
    HASH_ADD_STR(all->by_name, name, w);
    publish(w, EVENT_WORLD_MADE, 0, NULL, NULL);
    return w;
}

struct world *worlds_get(struct worlds *all, const char *name, bool make)
{
    struct world *w;
    HASH_FIND_STR(all->by_name, name, w);
    if (w || make)
        return w ? w : make_world(all, name);
    errno = ENOENT;
    return NULL;
}

struct world *worlds_after(struct worlds *all, const char *after)
{
    struct world *best = NULL;
    for (struct world *w = all->by_name; w; w = w->hh.next)
        if ((!after || strcmp(w->name, after) > 0) && (!best || strcmp(w->name, best->name) < 0))
            best = w;
    return best;
}

uint64_t worlds_next_ticket(const struct worlds *all)
{
    return all->next_ticket;
}

void worlds_set_next_ticket(struct worlds *all, uint64_t id)
{
    all->next_ticket = id;
}

/* ---- readings */

const char *world_name(const struct world *w)
{
    return w->name;
}

enum world_mode world_mode(const struct world *w)
{
    return w->mode;
}

uint64_t world_epoch(const struct world *w)
{
    return w->stop.epoch;
}

struct stop_world *world_stop_half(struct world *w)
{
    return &w->stop;
}

size_t world_members(const struct world *w)
{
    return w->stop.n_gates;
}

const struct ticket *world_ticket(const struct world *w)
{
    return w->ticket.id ? &w->ticket : NULL;
}

const struct ticket *world_queued(const struct world *w, size_t i)
{
    const struct queued *q;
    TAILQ_FOREACH(q, &w->queue, link)
    if (i-- == 0)
        return &q->ticket;
    return NULL;
}

uint64_t world_late_scans(const struct world *w)
{
    return w->late_scans;
}

uint64_t world_expires_us(const struct world *w)
{
    return w->expires_us;
}
