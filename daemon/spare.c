#include "daemon/spare.h"

#include <event2/event.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/log.h"

/* How long nobody asks for a VM before the spare is made: it takes a CPU from who was just born,
 * and while one follows the other they are born on whichever is free. */
static const struct timeval rest = {.tv_usec = 5000};

/* Twice what is kept from VMs: it is not what the last descriptors are for. */
#define FDS_KEPT (2 * LIMIT_FDS_KEPT_FROM_VMS)

struct spare {
    struct spare_config config;
    struct event *rested;
    bool wanted;
    struct worker_config like; /* its texts are below, or "" */
    char engine[LIMIT_NAME_BYTES + 1], world[LIMIT_NAME_BYTES + 1];
    struct worker *worker; /* NULL: none */
    uint64_t world_serial; /* that it was born for */
};

static bool is_live(const struct worker *w)
{
    return w->phase != WORKER_GONE && w->exit.reason == 0;
}

/* ---- what it does */

static const char *on_fact(void *userdata, struct worker *w, const struct worker_fact *fact)
{
    (void)userdata;
    if (fact->kind != FACT_BORN || w->sandboxed)
        return "nobody has asked it anything";
    worker_take_posture(w, fact);
    if (fact->born.error)
        worker_kill(w, EXIT_REASON_UNKNOWN, fact->born.error);
    return NULL;
}

static void on_kicked(void *userdata, struct worker *w)
{
    (void)userdata, (void)w;
}

/* It is in use until this returns. */
static void on_ended(void *userdata, struct worker *w)
{
    struct spare *s = userdata;
    log_debug("the spare worker (%llu) ended: %s", (unsigned long long)w->id, w->exit.detail);
    if (!event_pending(s->rested, EV_TIMEOUT, NULL))
        event_add(s->rested, &rest);
}

/* It is never one of those whose commands are kept. */
static const struct worker_events events = {
    .on_fact = on_fact, .on_kicked = on_kicked, .on_ended = on_ended};

/* ---- its birth */

static void make(struct spare *s)
{
    const struct spare_config *c = &s->config;
    const struct stop_world *world = c->world(c->userdata, s->world);
    struct zygote_client *zygote = c->zygote(c->userdata, s->engine);
    struct worker *w;
    if (!world || !zygote ||
        worker_new_apart(c->host, world->kept, *c->next_id, &s->like, &events, s, &w) < 0)
        return;
    if (fd_is_scarce(w->gate.kick_fd, FDS_KEPT) ||
        worker_spawn(w, zygote, world, c->lifeline_fd, &s->like) < 0) {
        worker_free(w);
        return;
    }
    ++*c->next_id;
    s->worker = w;
    s->world_serial = world->serial;
}

static void on_rested(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct spare *s = userdata;
    if (s->worker && s->worker->phase == WORKER_GONE)
        s->worker = worker_free(s->worker);
    if (!s->worker && s->wanted) {
        s->wanted = false;
        make(s);
    } else if (s->wanted) {
        event_add(s->rested, &rest);
    }
}

void spare_follow(struct spare *s, const struct worker_config *config)
{
    if (!s)
        return;
    s->like = *config;
    s->like.argv = s->like.labels = NULL;
    s->like.argc = s->like.n_labels = 0;
    s->like.origin = NULL;
    s->like.name = s->like.program = "";
    strcpy(s->engine, config->engine);
    strcpy(s->world, config->world);
    s->like.engine = s->engine;
    s->like.world = s->world;
    s->wanted = true;
    event_add(s->rested, &rest);
}

/* ---- who gets it */

/* What a process, or its cgroup, was made with. */
static bool is_alike(const struct worker_config *a, const struct worker_config *b)
{
    const struct vm_limits *l = &a->limits, *m = &b->limits;
    return strcmp(a->engine, b->engine) == 0 && a->debug == b->debug &&
           a->keep_idle == b->keep_idle && a->allow_degraded == b->allow_degraded &&
           a->adoption_ms == b->adoption_ms && a->helper_threads == b->helper_threads &&
           l->memory_bytes == m->memory_bytes && l->cpu_time_us == m->cpu_time_us &&
           l->cpu_percent == m->cpu_percent && l->tasks == m->tasks;
}

/* Its end may not have been told yet. */
static bool has_process(const struct worker *w)
{
    struct pollfd p = {.fd = w->pidfd, .events = POLLIN};
    return w->pidfd < 0 || poll(&p, 1, 0) == 0;
}

struct worker *spare_find(struct spare *s, const struct stop_world *world,
                          const struct worker_config *config)
{
    if (!s || !s->worker || !is_live(s->worker) || s->world_serial != world->serial ||
        !is_alike(&s->like, config) || !has_process(s->worker))
        return NULL;
    return s->worker;
}

void spare_given(struct spare *s)
{
    s->worker = NULL;
}

void spare_end(struct spare *s)
{
    if (s)
        s->wanted = false;
    if (s && s->worker)
        worker_kill(s->worker, EXIT_REASON_KILLED, "nobody needs it");
}

bool spare_spawned(struct spare *s, uint64_t id, const struct zygote_birth *birth)
{
    struct worker *w = s ? s->worker : NULL;
    if (!w || w->id != id || w->phase == WORKER_GONE || w->pidfd >= 0)
        return false;
    worker_spawned(w, birth);
    return true;
}

bool spare_has_pid(const struct spare *s, pid_t pid)
{
    return s && s->worker && s->worker->pid == pid;
}

/* ---- life */

struct spare *spare_new(const struct spare_config *config)
{
    struct spare *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->config = *config;
    s->rested = event_new(config->host->base, -1, 0, on_rested, s);
    return s->rested ? s : spare_free(s);
}

struct spare *spare_free(struct spare *s)
{
    if (!s)
        return NULL;
    spare_end(s);
    /* It was killed: that is the kernel's time. */
    if (s->worker && s->worker->pidfd >= 0)
        (void)waitid(P_PIDFD, (id_t)s->worker->pidfd, &(siginfo_t){0}, WEXITED | __WALL);
    worker_free(s->worker);
    if (s->rested)
        event_free(s->rested);
    free(s);
    return NULL;
}
