#include "worker/birth.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "proto/limits.h"
#include "shared-mem/map.h"
#include "worker/dispatch.h"
#include "worker/host_ops.h"
#include "worker/keeper.h"
#include "worker/one_line.h"
#include "worker/refused_call.h"

#define STILLBORN_EXIT 125
#define SPARE_FD 32

struct worker {
    struct daemon_channel channel;
    struct safepoint safepoint;
    struct host host;
    struct dispatch dispatch;
    struct sandbox_posture posture;
};

struct pages {
    void *world, *command, *status;
};

static int map_pages(const struct birth *b, struct pages *p)
{
    int r = map_attach(b->fds[BIRTH_WORLD], MAP_WRITER_PEER, &p->world);
    if (r == 0)
        r = map_attach(b->fds[BIRTH_COMMAND], MAP_WRITER_PEER, &p->command);
    if (r == 0)
        r = map_attach(b->fds[BIRTH_STATUS], MAP_WRITER_SELF, &p->status);
    return r;
}

static void say_born(struct worker *w, const char *error)
{
    Stillpoint__Worker__Layer layers[SANDBOX_LAYERS], *posture[SANDBOX_LAYERS];
    for (size_t i = 0; i < SANDBOX_LAYERS; i++) {
        layers[i] = (Stillpoint__Worker__Layer)STILLPOINT__WORKER__LAYER__INIT;
        layers[i].name = (char *)(uintptr_t)sandbox_layer_name((enum sandbox_layer)i);
        layers[i].has_state = true;
        layers[i].state = w->posture.state[i];
        posture[i] = &layers[i];
    }
    Stillpoint__Worker__Born born = STILLPOINT__WORKER__BORN__INIT;
    born.n_posture = SANDBOX_LAYERS;
    born.posture = posture;
    born.error = (char *)(uintptr_t)error;
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_BORN;
    fact.born = &born;
    if (daemon_channel_send(&w->channel, &fact) < 0)
        _exit(STILLBORN_EXIT);
}

static _Noreturn void stillborn(struct worker *w, const char *step, int r)
{
    char text[256], line[256];
    snprintf(text, sizeof text, "%s: %s", step, strerror(-r));
    say_born(w, one_line(text, line, sizeof line));
    _exit(STILLBORN_EXIT);
}

static void make_engine(struct worker *w, const struct birth *b)
{
    int r = safepoint_start(&w->safepoint);
    if (r < 0)
        stillborn(w, "watcher", r);
    r = host_init(&w->host, &w->channel, &w->safepoint);
    if (r < 0)
        stillborn(w, "host", r);
    const struct engine_config config = {
        .heap_bytes = b->heap_bytes,
        .helper_threads = b->helper_threads,
        .debug = b->debug,
        .keep_idle = b->keep_idle,
        .host_ops = &host_ops,
        .host = &w->host,
    };
    struct engine *engine;
    r = b->ops->vm_new(&config, &engine);
    if (r < 0)
        stillborn(w, "engine", r);
    safepoint_watch(&w->safepoint, b->ops, engine);
    w->dispatch = (struct dispatch){
        .ops = b->ops,
        .engine = engine,
        .channel = &w->channel,
        .safepoint = &w->safepoint,
        .host = &w->host,
        .keep_idle = b->keep_idle,
    };
}

void birth_run(const struct birth *b)
{
    struct worker w = {.posture = {{SANDBOX_OFF}}};
    struct pages pages;
    prctl(PR_SET_NAME, "stillpoint-vm");
    if (daemon_channel_init(&w.channel, b->fds[BIRTH_CHANNEL], dispatch_command, &w.dispatch) < 0)
        _exit(STILLBORN_EXIT);
    int r = map_pages(b, &pages);
    if (r < 0)
        stillborn(&w, "pages", r);
    /* Out of the way of the numbers that are given out now: what fails there has to be said. */
    int spare = fcntl(b->fds[BIRTH_CHANNEL], F_DUPFD_CLOEXEC, SPARE_FD);
    if (spare >= 0)
        w.channel.fd = spare;
    r = sandbox_fds(b->fds[BIRTH_CHANNEL], b->fds[BIRTH_KICK], b->fds[BIRTH_LIFELINE], b->null_fd,
                    b->sandbox.in_nest ? &b->nest : NULL);
    if (r < 0)
        stillborn(&w, "fds", r);
    w.channel.fd = SANDBOX_FD_CHANNEL;

    const char *step = NULL;
    r = sandbox_enter(&b->sandbox, &w.posture, &step);
    if (r < 0)
        stillborn(&w, step, r);
    safepoint_init(&w.safepoint, pages.world, pages.command, pages.status, SANDBOX_FD_KICK,
                   &w.channel);
    if (b->adoption_ms > 0 && (r = keeper_start(SANDBOX_FD_LIFELINE, b->adoption_ms)) < 0)
        stillborn(&w, "keeper", r);
    make_engine(&w, b);
    r = refused_call_report(pages.status);
    if (r == 0)
        r = lockdown_apply(b->lockdown);
    if (r == 0)
        w.posture.state[SANDBOX_SECCOMP] = SANDBOX_ON;
    else if (!b->sandbox.allow_degraded)
        stillborn(&w, sandbox_layer_name(SANDBOX_SECCOMP), r);
    say_born(&w, NULL);
    dispatch_run(&w.dispatch);
}
