#include "daemon/stop_report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/worker.h"

enum arrival_how stop_report_how(struct worker *w)
{
    if (w->phase == WORKER_GONE)
        return ARRIVAL_DEAD;
    if (w->freeze.state == WORKER_FROZEN)
        return ARRIVAL_ENFORCED;
    switch (stop_how_now(&w->gate)) {
    case STOP_ACKED:
        return ARRIVAL_ACKED;
    case STOP_HELD:
        return ARRIVAL_HELD;
    case STOP_NOT_ARRIVED:
        break;
    }
    return 0;
}

bool stop_report_is_missing(struct worker *w, const struct ticket *t)
{
    enum stop_how how = stop_how_now(&w->gate);
    if (how == STOP_NOT_ARRIVED || w->freeze.lied)
        return true;
    if (t->request.require_idle && how != STOP_ACKED)
        return true;
    return t->request.enforce && w->freeze.state == WORKER_FREEZE_FAILED;
}

struct arrival stop_report_arrival(struct worker *w, uint64_t service_ns)
{
    const struct stop_slot *s = stop_slot(&w->gate);
    struct arrival a = {
        .vm = w->id, .was = s->was, .how = stop_report_how(w), .lied = w->freeze.lied};
    memcpy(a.name, w->name, sizeof a.name);
    /* A gate that was closed before (a hold, a birth, the ticket before this): nothing to wait for.
     */
    if (s->closed_ns < service_ns)
        a.was = stop_state(&w->gate);
    else if (s->arrived && s->arrived_ns > service_ns)
        a.elapsed_us = (s->arrived_ns - service_ns) / 1000;
    else if (!s->arrived)
        a.elapsed_us = (shm_now_ns() - service_ns) / 1000;
    return a;
}

int stop_report_fill(struct stop_report *r, const struct stop_world *stop,
                     const struct stop_dead_list *dead)
{
    const struct stop_dead *d;
    size_t n = stop->n_gates;
    STAILQ_FOREACH(d, dead, link)
    n++;
    r->arrivals = calloc(n + 1, sizeof *r->arrivals);
    r->missing = calloc(n + 1, sizeof *r->missing);
    if (!r->arrivals || !r->missing)
        return -ENOMEM;
    for (size_t i = 0; i < stop->n_gates; i++) {
        struct worker *w = stop->gates[i]->userdata;
        if (stop_report_how(w) != 0)
            r->arrivals[r->n_arrivals++] = stop_report_arrival(w, r->closed_ns);
        if (stop_report_is_missing(w, r->ticket))
            r->missing[r->n_missing++] = w->id;
    }
    STAILQ_FOREACH(d, dead, link)
    r->arrivals[r->n_arrivals++] = d->arrival;
    for (size_t i = 0; i < r->n_arrivals; i++)
        if (r->arrivals[i].elapsed_us > r->elapsed_us)
            r->elapsed_us = r->arrivals[i].elapsed_us;
    if (r->n_missing > 0)
        r->elapsed_us = (shm_now_ns() - r->closed_ns) / 1000;
    return 0;
}

void stop_report_done(struct stop_report *r)
{
    free(r->arrivals);
    free(r->missing);
    r->arrivals = NULL;
    r->missing = NULL;
    r->n_arrivals = r->n_missing = 0;
}
