/* Worlds of a daemon that is gone, taken over as its last record says. */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "daemon/enforcer.h"
#include "daemon/event_bus.h"
#include "daemon/fd_store.h"
#include "daemon/worker.h"
#include "daemon/world_private.h"
#include "daemon/worlds.h"
#include "shared-mem/map.h"

/* A lease that has run out meanwhile, or a run-one: its end comes from the loop. */
#define AT_ONCE_US 1000u

static uint64_t realtime_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static uint64_t left_us(uint64_t until_us)
{
    uint64_t now = realtime_us();
    return until_us > now + AT_ONCE_US ? until_us - now : AT_ONCE_US;
}

int world_adopt(struct world *w, const Stillpoint__State__World *m, int page_fd)
{
    struct world_page *page;
    int r = map_attach(page_fd, MAP_WRITER_KEPT, (void **)&page);
    if (r < 0) {
        close(page_fd);
        return r;
    }
    w->is_owned = m->has_owner_uid;
    w->owner = m->owner_uid;
    stop_world_done(&w->stop);
    stop_world_adopt(&w->stop, page, page_fd);
    w->is_kept = true;
    return 0;
}

int worlds_adopt(struct worlds *all, const Stillpoint__State__World *m, int page_fd)
{
    struct world *w = worlds_get(all, m->name, false);
    if (w)
        return world_adopt(w, m, page_fd);
    w = world_new(all, m->name);
    if (w)
        HASH_ADD_STR(all->by_name, name, w);
    if (w && w->hh.tbl)
        return world_adopt(w, m, page_fd);
    if (w)
        world_free(w);
    close(page_fd);
    return -ENOMEM;
}

int world_keep(struct world *w)
{
    if (w->is_kept)
        return 0;
    int r = fd_store_put(w->stop.page_fd, "world-%s", w->name);
    w->is_kept = r == 0;
    return r;
}

bool world_is_kept(const struct world *w)
{
    return w->is_kept;
}

static struct ticket *make_ticket(const Stillpoint__State__World *m)
{
    struct ticket_request request = {
        .reason = m->reason < TICKET_REASONS ? (enum ticket_reason)m->reason : TICKET_DEBUGGER,
        .uid = m->uid,
        .admin = m->admin,
        .debugger = m->debugger,
        .hold_policy = m->hold_policy,
        .hold_us = m->hold_us,
        .deadline_us = DEFAULT_DEADLINE_US,
        .enforce = m->enforced,
    };
    text_copy(request.debugger_name, sizeof request.debugger_name,
              m->debugger_name ? m->debugger_name : "");
    struct ticket *t = ticket_new(m->ticket, &request);
    if (t) {
        t->since_us = m->since_us;
        t->answered = true;
    }
    return t;
}

/* Whom the kernel keeps from running it goes on to, but in a world that runs. */
static void adopt_freeze(struct world *w, struct worker *worker, bool stands)
{
    if (freezer_is_frozen(&worker->cell, worker->pid) != 1)
        return;
    worker->freeze.state = WORKER_FROZEN;
    if (stands)
        stop_excuse(&worker->gate, true);
    else
        enforcer_thaw(w->enforcer, worker);
}

static void adopt_run(struct world *w, const Stillpoint__State__World *m)
{
    if (m->runner == 0 || m->mode == WORLD_RUN_ALL)
        return;
    w->run.one = true;
    w->run.vm = m->runner;
    w->run.on_exit = (enum world_runner_exit)m->run_on_exit;
    w->run.until_still = m->run_until_still;
    if (m->run_until_us != 0)
        world_run_until(w, m->run_until_us, left_us(m->run_until_us));
}

void world_adopted(struct world *w, const Stillpoint__State__World *m)
{
    /* Whoever waits in the queue is gone, and so is the stop that was for him alone. */
    struct ticket *t = m->has_ticket ? make_ticket(m) : NULL;
    for (size_t i = 0; i < w->stop.n_gates; i++) {
        struct worker *worker = world_worker_of(w->stop.gates[i]);
        for (size_t k = 0; k < worker->n_holds; k++)
            world_count_ticket(w, worker->holds[k].debugger, 1);
        adopt_freeze(w, worker, t != NULL);
    }
    stop_world_adopted(&w->stop, m->epoch, t == NULL);
    if (!t)
        return;
    w->control = t;
    world_count_ticket(w, t->request.debugger, 1);
    const uint64_t left = left_us(m->expires_us);
    w->expires_mono_us = shm_now_ns() / 1000u + left;
    world_arm(w->expiry, left);
    w->target = m->target;
    w->keep_target = true;
    adopt_run(w, m);
    w->closed_ns = shm_now_ns();
    w->stop_why = "another daemon took over";
    w->stop_ticket = t->id;
    w->stop_uid = t->request.uid;
    w->mode = WORLD_STOPPING;
    log_debug("world %s: taken over, stopped by ticket %llu", w->name, (unsigned long long)t->id);
}

void world_begin(struct world *w)
{
    for (size_t i = 0; i < w->stop.n_gates; i++)
        world_settle_pause(w, world_worker_of(w->stop.gates[i]));
    world_advance(w);
    world_drop_if_unused(w);
}
