#include "daemon/worker.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/cgroup_limits.h"
#include "daemon/fd_store.h"
#include "daemon/record.h"
#include "daemon/refused_call.h"
#include "daemon/worker_channel.h"
#include "proto/unpack.h"
#include "shared-mem/map.h"

/* The VM's thread and its watcher. */
#define OWN_THREADS 2u /* and its keeper, if it outlives its daemon */
/* Of the hard limit of memory: with so much in use, a crash is for want of more. */
#define NEARLY(bytes) ((bytes) - (bytes) / 8)

/* A number of SourceKind in api.proto. */
#define SOURCE_KIND_WASM 3u

/* One that has said how it ends, and has its ack, is gone in no time. */
#define FAREWELL_S 5

/* How often a worker is looked at whose end the kernel cannot tell us. */
static const struct timeval unwatched_look = {.tv_usec = 20000};

typedef Stillpoint__Worker__Command Command;

static uint64_t realtime_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static void worker_set_phase(struct worker *w, enum worker_phase to, const char *why)
{
    static const char *const names[] = {"spawning", "setup", "loading", "admitted", "exited"};
    static const unsigned legal[] = {
        [WORKER_SPAWNING] = 1 << WORKER_SETUP | 1 << WORKER_GONE,
        [WORKER_SETUP] = 1 << WORKER_LOADING | 1 << WORKER_GONE,
        [WORKER_LOADING] = 1 << WORKER_ADMITTED | 1 << WORKER_GONE,
        [WORKER_ADMITTED] = 1 << WORKER_GONE,
        [WORKER_GONE] = 0,
    };
    assert(legal[w->phase] & 1u << to);
    log_debug("vm %llu (%s): %s → %s (%s)", (unsigned long long)w->id, w->name, names[w->phase],
              names[to], why);
    w->phase = to;
}

/* ---- the end */

static void describe_refused_call(struct worker *w)
{
    const struct status_page *s = w->gate.status;
    uint64_t call = s ? atomic_load_explicit(&s->refused_call, memory_order_relaxed) : 0;
    uint64_t at = s ? atomic_load_explicit(&s->refused_at, memory_order_relaxed) : 0;
    refused_call_text(call, at, w->exit.detail, sizeof w->exit.detail);
}

/* Whether it ended for want of memory. The kernel says so where it has the limit; where RLIMIT_DATA
 * is the limit it refuses more, of which the program dies in its own way: then from how much
 * it had, by the kernel's account, or from its own word. */
static bool judge_oom(struct worker *w, uint64_t most_bytes)
{
    char *detail = w->exit.detail;
    const size_t size = sizeof w->exit.detail;
    const struct status_page *s = w->gate.status;
    uint64_t hard = vm_limits_hard_memory(&w->limits);
    unsigned long long mib = hard >> 20;
    if (freezer_cell_was_oom(&w->cell))
        snprintf(detail, size, "the kernel ended it at its limit of %llu MiB", mib);
    else if (most_bytes >= NEARLY(hard))
        snprintf(detail, size, "it had %llu MiB of the %llu MiB that its process may have",
                 (unsigned long long)most_bytes >> 20, mib);
    else if (s && atomic_load_explicit(&s->oom, memory_order_relaxed) != 0)
        snprintf(detail, size, "it said that it had no memory left, of %llu MiB", mib);
    else
        return false;
    return true;
}

/* Says how the process ended, from what killed it, what it said last, and what the kernel says. */
static void judge_exit(struct worker *w, const siginfo_t *si, uint64_t most_bytes)
{
    struct worker_exit *e = &w->exit;
    bool signalled = si->si_code == CLD_KILLED || si->si_code == CLD_DUMPED;
    /* Of a fault the kernel knows better than its own last word. */
    bool faulted = signalled && (si->si_status != SIGKILL || freezer_cell_was_oom(&w->cell));
    if (e->reason == 0 && w->said_exit.reason != 0 && !faulted) {
        *e = w->said_exit;
        return;
    }
    e->signal = signalled ? (unsigned)si->si_status : 0;
    if (e->reason == 0) {
        if (!signalled)
            e->reason = w->adopted && judge_oom(w, 0) ? EXIT_REASON_OOM : EXIT_REASON_UNKNOWN;
        else if (si->si_status == SIGSYS)
            e->reason = EXIT_REASON_SECCOMP;
        else if (judge_oom(w, most_bytes))
            e->reason = EXIT_REASON_OOM;
        else if (si->si_status == SIGKILL && w->limits.cpu_time_us > 0 &&
                 w->cpu_us >= w->limits.cpu_time_us)
            e->reason = EXIT_REASON_TIMEOUT; /* RLIMIT_CPU: SIGXCPU does not reach a process 1 */
        else
            e->reason = si->si_status == SIGKILL ? EXIT_REASON_KILLED : EXIT_REASON_CRASHED;
    }
    switch (e->reason) {
    case EXIT_REASON_TIMEOUT:
        e->code = 124;
        break;
    case EXIT_REASON_OOM:
    case EXIT_REASON_KILLED:
        e->code = 137;
        break;
    default:
        e->code = signalled ? 128 + e->signal : 125;
    }
    if (e->detail[0])
        return;
    if (w->adopted && e->reason == EXIT_REASON_UNKNOWN)
        text_copy(
            e->detail, sizeof e->detail,
            "it ended without a word, and how is known only to the process that it was left to");
    else if (e->reason == EXIT_REASON_UNKNOWN)
        snprintf(e->detail, sizeof e->detail, "worker exited with status %d without a word",
                 si->si_status);
    else if (e->reason == EXIT_REASON_SECCOMP)
        describe_refused_call(w);
    else if (signalled)
        snprintf(e->detail, sizeof e->detail, "worker was killed by SIG%s",
                 sigabbrev_np(si->si_status) ? sigabbrev_np(si->si_status) : "?");
}

static int drop_beside(void *userdata, const struct worker_queued *q)
{
    const struct worker *w = userdata;
    if (q->fd >= 0)
        fd_store_drop("vm-%llu-beside-%llu", (unsigned long long)w->id,
                      (unsigned long long)q->number);
    return 0;
}

static void drop_process(struct worker *w)
{
    struct event **events[] = {&w->died, &w->kicked, &w->farewell, &w->evaluation.timer,
                               &w->pause.expiry};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        if (*events[i])
            event_free(*events[i]);
        *events[i] = NULL;
    }
    worker_limits_done(&w->timed);
    if (w->pause.said)
        stillpoint__worker__paused__free_unpacked(w->pause.said, NULL);
    free(w->pause.expression);
    w->pause = (struct worker_pause){0};
    if (w->channel && w->is_kept)
        worker_channel_each_queued(w->channel, drop_beside, w);
    w->channel = worker_channel_free(w->channel);
    w->gate.pidfd = -1;
    fd_close(&w->pidfd);
    fd_close(&w->program_fd);
    fd_close(&w->life_fd);
}

/* The process is reaped, or never was. */
static void end(struct worker *w, const siginfo_t *si, uint64_t most_bytes)
{
    judge_exit(w, si, most_bytes);
    w->ended_us = realtime_us();
    if (w->admitted)
        w->ran_us = (stop_clock_ns(&w->gate) - w->timed.admitted_ns) / 1000;
    worker_set_phase(w, WORKER_GONE, w->exit.detail);
    drop_process(w);
    w->events->on_ended(w->userdata, w);
    stop_gate_done(&w->gate);
    freezer_cell_done(&w->cell);
    w->pid = 0;
}

static void on_died(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct worker *w = userdata;
    siginfo_t si = {0};
    /* Where the pidfd could not be watched this is a look now and then. */
    if (fd < 0 && !w->adopted &&
        waitid(P_PIDFD, (id_t)w->pidfd, &si, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 &&
        si.si_pid == 0) {
        event_add(w->died, &unwatched_look);
        return;
    }
    /* What it said before it died comes first: its last fact is how it ended. */
    worker_channel_drain(w->channel);
    w->cpu_us = worker_cpu_us(w);
    si = (siginfo_t){0};
    /* Workers are born with exit signal 0: only __WALL waits for such. */
    struct rusage usage = {0};
    if (!w->adopted && syscall(SYS_waitid, P_PIDFD, w->pidfd, &si, WEXITED | __WALL, &usage) < 0)
        record_write(LOG_ERR, MESSAGE_NOT_REAPED, RECORD_VM(w), "vm %llu: cannot reap: %m",
                     (unsigned long long)w->id);
    end(w, &si, (uint64_t)usage.ru_maxrss * 1024);
}

/* No process will be reaped. Deferred to the loop, so that nobody is called back from inside a
 * call. */
static void on_never_born(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    siginfo_t si = {0};
    end(userdata, &si, 0);
}

static void end_unborn(struct worker *w, const char *detail)
{
    if (w->exit.reason == 0) {
        w->exit.reason = EXIT_REASON_UNKNOWN;
        text_copy(w->exit.detail, sizeof w->exit.detail, detail);
    }
    event_active(w->died, 0, 0);
}

void worker_kill(struct worker *w, enum exit_reason reason, const char *detail)
{
    if (w->phase == WORKER_GONE)
        return;
    if (w->exit.reason == 0 && w->said_exit.reason == 0) {
        w->exit.reason = reason;
        text_copy(w->exit.detail, sizeof w->exit.detail, detail);
    }
    if (w->pidfd >= 0)
        pidfd_send_signal(w->pidfd, SIGKILL, NULL, 0);
    /* Not born yet: worker_spawned() finds the reason and kills what comes. */
}

void worker_nudge(struct worker *w)
{
    stop_wake_watcher(&w->gate);
    if (w->pidfd >= 0)
        pidfd_send_signal(w->pidfd, SHM_SIGNAL, NULL, 0);
}

/* ---- what the process does */

static const char *on_fact(void *userdata, const struct worker_fact *fact)
{
    struct worker *w = userdata;
    w->hearing = fact->seq;
    const char *why = w->events->on_fact(w->userdata, w, fact);
    /* It must not wait for room that only an ack would make. */
    if (w->deferred != 0 && worker_channel_unacked(w->channel) > LIMIT_FACT_WINDOW_BYTES)
        w->deferred = 0;
    worker_channel_defer(w->channel, w->deferred != 0);
    /* After all that follows from it has been put down. */
    if (w->is_kept && w->gate.command)
        SHM_STORE_RELEASE(&w->gate.command->heard, worker_dealt_with(w));
    return why;
}

uint64_t worker_dealt_with(const struct worker *w)
{
    return w->deferred != 0 ? w->deferred - 1 : w->hearing;
}

static void on_broken(void *userdata, const char *why)
{
    struct worker *w = userdata;
    if (why) {
        char detail[256];
        bool ours = why == unpack_no_memory;
        snprintf(detail, sizeof detail, "%s: %s",
                 ours ? "what it said is lost" : "protocol violation", why);
        record_write(LOG_WARNING, MESSAGE_VM_VIOLATION, RECORD_VM(w), "vm %llu (%s): %s",
                     (unsigned long long)w->id, w->name, detail);
        worker_kill(w, ours ? EXIT_REASON_UNKNOWN : EXIT_REASON_CRASHED, detail);
    }
    /* Without a reason the worker is ending: its pidfd says so soon. One that closed its channel
     * and lives on must not: nothing could be said to it any more. */
    if (w->pidfd >= 0)
        pidfd_send_signal(w->pidfd, SIGKILL, NULL, 0);
}

static void on_flushed(void *userdata)
{
    struct worker *w = userdata;
    stop_message_sent(&w->gate);
}

static int on_queued(void *userdata, const struct worker_queued *q)
{
    struct worker *w = userdata;
    unsigned long long id = w->id, number = q->number;
    if (!w->is_kept)
        return 0;
    int r = q->fd >= 0 ? fd_store_put(q->fd, "vm-%llu-beside-%llu", id, number) : 0;
    if (r == 0 && (r = w->events->on_queued(w->userdata, w, q)) < 0 && q->fd >= 0)
        fd_store_drop("vm-%llu-beside-%llu", id, number);
    return r;
}

static void on_sent(void *userdata, const struct worker_queued *q)
{
    struct worker *w = userdata;
    if (!w->is_kept)
        return;
    w->events->on_sent(w->userdata, w, q->number);
    if (q->fd >= 0)
        fd_store_drop("vm-%llu-beside-%llu", (unsigned long long)w->id,
                      (unsigned long long)q->number);
}

static const struct worker_channel_events channel_events = {
    .on_fact = on_fact,
    .on_flushed = on_flushed,
    .on_queued = on_queued,
    .on_sent = on_sent,
    .on_broken = on_broken,
};

static void on_kicked(evutil_socket_t fd, short what, void *userdata)
{
    (void)what;
    struct worker *w = userdata;
    uint64_t count;
    (void)!read(fd, &count, sizeof count);
    w->events->on_kicked(w->userdata, w);
}

/* Its ack may have to wait for whoever reads its console. */
static void on_farewell(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct worker *w = userdata;
    if (w->console_holds != 0) {
        worker_farewell(w);
        return;
    }
    if (w->exit.reason == 0) {
        w->exit.reason = EXIT_REASON_KILLED;
        text_copy(w->exit.detail, sizeof w->exit.detail, "it had said that it exits, and did not");
    }
    pidfd_send_signal(w->pidfd, SIGKILL, NULL, 0);
}

void worker_farewell(struct worker *w)
{
    const struct timeval most = {.tv_sec = FAREWELL_S};
    event_add(w->farewell, &most);
}

static uint64_t limits_clock_ns(void *userdata, bool *ret_stands)
{
    struct worker *w = userdata;
    *ret_stands = !stop_is_open(&w->gate);
    return stop_clock_ns(&w->gate);
}

static uint64_t limits_cpu_us(void *userdata)
{
    return worker_cpu_us(userdata);
}

static void on_limit_over(void *userdata, const char *detail)
{
    worker_kill(userdata, EXIT_REASON_TIMEOUT, detail);
}

static void on_limit_memory_over(void *userdata, uint64_t bytes)
{
    struct worker *w = userdata;
    char detail[96];
    snprintf(detail, sizeof detail, "it had %llu MiB of the %llu MiB that its process may have",
             (unsigned long long)bytes >> 20,
             (unsigned long long)vm_limits_hard_memory(&w->limits) >> 20);
    worker_kill(w, EXIT_REASON_OOM, detail);
}

static uint64_t limits_memory_bytes(void *userdata)
{
    return worker_used_bytes(userdata);
}

static void on_limit_hold_output(void *userdata, bool hold)
{
    worker_hold_console(userdata, WORKER_HOLD_RATE, hold);
}

static const struct worker_limits_events limits_events = {
    .clock_ns = limits_clock_ns,
    .cpu_us = limits_cpu_us,
    .memory_bytes = limits_memory_bytes,
    .on_over = on_limit_over,
    .on_memory_over = on_limit_memory_over,
    .on_hold_output = on_limit_hold_output,
};

/* ---- birth */

static int copy_texts(size_t n, char *const *texts, size_t *ret_n, char ***ret)
{
    *ret = calloc(n + 1, sizeof **ret);
    if (!*ret)
        return -ENOMEM;
    for (; *ret_n < n; ++*ret_n) {
        (*ret)[*ret_n] = strdup(texts[*ret_n]);
        if (!(*ret)[*ret_n])
            return -ENOMEM;
    }
    return 0;
}

static int copy_args(struct worker *w, const struct worker_config *c)
{
    w->program = strdup(c->program);
    if (!w->program || (c->origin && !(w->origin = strdup(c->origin))))
        return -ENOMEM;
    int r = copy_texts(c->argc, c->argv, &w->argc, &w->argv);
    return r < 0 ? r : copy_texts(c->n_labels, c->labels, &w->n_labels, &w->labels);
}

static int make_channel(struct worker *w, int *ret_theirs)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    w->channel = worker_channel_new(w->host->base, pair[0], &channel_events, w);
    if (!w->channel) {
        close(pair[1]);
        return -ENOMEM;
    }
    *ret_theirs = pair[1];
    return 0;
}

/* Beside the VM's thread and its watcher come the engine's helpers, and none after lockdown. */
static uint32_t helpers_of(const struct vm_limits *limits, const struct worker_config *config)
{
    uint32_t own = OWN_THREADS + (config->adoption_ms > 0);
    uint32_t most = limits->tasks > own ? limits->tasks - own : UINT32_MAX;
    return config->helper_threads < most ? config->helper_threads : most;
}

static uint32_t tasks_of(const struct vm_limits *limits)
{
    return limits->tasks > 0 ? limits->tasks : LIMIT_VM_TASKS;
}

static void forget_texts(struct worker *w)
{
    for (size_t i = 0; i < w->argc; i++)
        free(w->argv[i]);
    free(w->argv);
    for (size_t i = 0; i < w->n_labels; i++)
        free(w->labels[i]);
    free(w->labels);
    free(w->origin);
    free(w->program);
    w->argv = w->labels = NULL;
    w->argc = w->n_labels = 0;
    w->origin = w->program = NULL;
}

/* What no process has to know. */
static int describe(struct worker *w, const struct worker_config *config)
{
    w->uid = config->uid;
    w->source_kind = config->source_kind;
    w->limits = config->limits;
    w->attach = config->attach;
    w->files_pending = config->more_files;
    w->started_us = realtime_us();
    vm_log_init(&w->log, w->id, config->limits.log_bytes, w->outlives);
    snprintf(w->name, sizeof w->name, "%s", config->name);
    snprintf(w->world, sizeof w->world, "%s", config->world);
    return copy_args(w, config);
}

/* All of it that needs no process. */
static struct worker *make(const struct worker_host *host, struct freezer *freezer, uint64_t id,
                           const struct worker_config *config, bool lives,
                           const struct worker_events *events, void *userdata)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    *w = (struct worker){
        .id = id,
        .debug = config->debug,
        .keep_idle = config->keep_idle,
        .outlives = config->adoption_ms > 0,
        .pidfd = -1,
        .program_fd = -1,
        .life_fd = -1,
        .host = host,
        .events = events,
        .userdata = userdata,
    };
    if (lives)
        freezer_cell_adopt(freezer, &w->cell, id);
    else
        freezer_cell_init(freezer, &w->cell, id);
    snprintf(w->engine, sizeof w->engine, "%s", config->engine);
    return describe(w, config) == 0 ? w : worker_free(w);
}

/* What needs its pages. */
static int make_timers(struct worker *w)
{
    /* Made before there is anything whose end may come when there is no memory. */
    w->died = event_new(w->host->base, -1, 0, on_never_born, w);
    w->kicked = event_new(w->host->base, w->gate.kick_fd, EV_READ | EV_PERSIST, on_kicked, w);
    w->farewell = event_new(w->host->base, -1, 0, on_farewell, w);
    if (!w->died || !w->kicked || !w->farewell || event_add(w->kicked, NULL) < 0)
        return -ENOMEM;
    int r =
        worker_limits_init(&w->timed, w->host->base, w->host->looks, &w->limits, &limits_events, w);
    return r < 0 ? r : freezer_cell_limit(&w->cell, &w->limits, tasks_of(&w->limits));
}

int worker_new_apart(const struct worker_host *host, bool kept, uint64_t id,
                     const struct worker_config *config, const struct worker_events *events,
                     void *userdata, struct worker **ret)
{
    struct worker *w = make(host, host->freezer, id, config, false, events, userdata);
    if (!w)
        return -ENOMEM;
    int r = stop_gate_make(&w->gate, kept, w);
    if (r == 0)
        r = make_timers(w);
    if (r < 0) {
        worker_free(w);
        return r;
    }
    *ret = w;
    return 0;
}

int worker_new(const struct worker_host *host, struct stop_world *world, uint64_t id,
               const struct worker_config *config, int program_fd,
               const struct worker_events *events, void *userdata, struct worker **ret)
{
    _cleanup_close_ int program = program_fd;
    struct worker *w;
    int r = worker_new_apart(host, world->kept, id, config, events, userdata, &w);
    if (r < 0)
        return r;
    r = stop_gate_join(&w->gate, world);
    if (r < 0) {
        worker_free(w);
        return r;
    }
    w->program_fd = TAKE_FD(program);
    *ret = w;
    return 0;
}

int worker_give(struct worker *w, struct stop_world *world, const struct worker_config *config,
                int program_fd, const struct worker_events *events, void *userdata)
{
    _cleanup_close_ int program = program_fd;
    forget_texts(w);
    vm_log_done(&w->log);
    int r = describe(w, config);
    worker_limits_done(&w->timed);
    if (r == 0)
        r = worker_limits_init(&w->timed, w->host->base, w->host->looks, &w->limits, &limits_events,
                               w);
    if (r == 0)
        r = stop_gate_join(&w->gate, world);
    if (r < 0)
        return r;
    if (w->pidfd >= 0)
        worker_limits_born(&w->timed, !(freezer_cell_limited(&w->cell) & CGROUP_MEMORY));
    w->program_fd = TAKE_FD(program);
    w->events = events;
    w->userdata = userdata;
    return 0;
}

struct worker *worker_free(struct worker *w)
{
    if (!w)
        return NULL;
    drop_process(w);
    stop_gate_done(&w->gate);
    freezer_cell_done(&w->cell);
    vm_log_done(&w->log);
    vm_journal_done(&w->journal);
    forget_texts(w);
    free(w->load_error);
    free(w->imports);
    free(w);
    return NULL;
}

/* The pipe that only this daemon can write to. */
static int send_lifeline(const struct worker *w, int lifeline)
{
    uint8_t byte = 0;
    struct iovec iov = {.iov_base = &byte, .iov_len = sizeof byte};
    ssize_t n = fd_send(w->life_fd, &iov, 1, &lifeline, 1);
    return n < 0 ? (int)n : 0;
}

/* Descriptors that are of use to nobody but the worker. */
struct loans {
    int channel, lifeline, world, command;
};

static void return_loans(struct loans *l)
{
    int *const fds[] = {&l->channel, &l->lifeline, &l->world, &l->command};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        fd_close(fds[i]);
}

/* For one that outlives us: a lifeline of its own, and pages that it can never map for writing. */
static int make_lasting(struct worker *w, const struct stop_world *world, int lifeline,
                        struct loans *l)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    w->life_fd = pair[0];
    l->lifeline = pair[1];
    l->world = map_read_only(world->page_fd);
    l->command = map_read_only(w->gate.command_fd);
    if (l->world < 0 || l->command < 0)
        return l->world < 0 ? l->world : l->command;
    return send_lifeline(w, lifeline);
}

int worker_spawn(struct worker *w, struct zygote_client *zygote, const struct stop_world *world,
                 int lifeline, const struct worker_config *config)
{
    _cleanup_(return_loans) struct loans l = {-1, -1, -1, -1};
    int r = make_channel(w, &l.channel);
    if (r == 0 && w->outlives)
        r = make_lasting(w, world, lifeline, &l);
    if (r < 0)
        return r;
    Stillpoint__Worker__Spawn spawn = STILLPOINT__WORKER__SPAWN__INIT;
    spawn.has_spawn_id = spawn.has_vm = spawn.has_heap_bytes = spawn.has_data_bytes = 1;
    spawn.has_helper_threads = spawn.has_debug = spawn.has_keep_idle = 1;
    spawn.has_allow_degraded = spawn.has_adoption_ms = 1;
    spawn.spawn_id = spawn.vm = w->id;
    spawn.heap_bytes = w->limits.memory_bytes;
    spawn.data_bytes = vm_limits_hard_memory(&w->limits);
    if (w->limits.cpu_time_us > 0) {
        spawn.has_cpu_seconds = 1;
        /* Behind the daemon's own clock, which is more exact. */
        spawn.cpu_seconds = (w->limits.cpu_time_us + 999999) / 1000000 + 1;
    }
    spawn.helper_threads = helpers_of(&w->limits, config);
    spawn.debug = w->debug;
    spawn.keep_idle = w->keep_idle;
    spawn.allow_degraded = config->allow_degraded;
    spawn.adoption_ms = config->adoption_ms;
    const int fds[ZYGOTE_FDS] = {
        [ZYGOTE_CHANNEL] = l.channel,
        [ZYGOTE_WORLD] = w->outlives ? l.world : world->page_fd,
        [ZYGOTE_COMMAND] = w->outlives ? l.command : w->gate.command_fd,
        [ZYGOTE_STATUS] = w->gate.status_fd,
        [ZYGOTE_KICK] = w->gate.kick_fd,
        [ZYGOTE_LIFELINE] = w->outlives ? l.lifeline : lifeline,
        [ZYGOTE_CGROUP] = freezer_cell_fd(&w->cell),
    };
    r = zygote_client_spawn(zygote, &spawn, fds);
    if (r == 0 && !w->outlives)
        stop_gate_handed_over(&w->gate);
    return r;
}

/* A worker whose end cannot be watched is not let live. */
static void watch_process(struct worker *w)
{
    event_assign(w->died, w->host->base, w->pidfd, EV_READ, on_died, w);
    if (event_add(w->died, NULL) == 0)
        return;
    record_write(LOG_ERR, MESSAGE_NOT_REAPED, RECORD_VM(w),
                 "vm %llu: its process cannot be watched", (unsigned long long)w->id);
    worker_kill(w, EXIT_REASON_UNKNOWN, "its process cannot be watched: no memory or watches left");
    event_assign(w->died, w->host->base, -1, 0, on_died, w);
    event_add(w->died, &unwatched_look);
}

void worker_spawned(struct worker *w, const struct zygote_birth *birth)
{
    if (birth->pid <= 0) {
        char text[256];
        snprintf(text, sizeof text, "cannot make the worker process: %s: %s", birth->detail,
                 strerror(-birth->error));
        end_unborn(w, text);
        return;
    }
    w->pid = birth->pid;
    w->pidfd = w->gate.pidfd = birth->pidfd;
    freezer_cell_born(&w->cell, birth->cgroup_error);
    worker_limits_born(&w->timed, !(freezer_cell_limited(&w->cell) & CGROUP_MEMORY));
    if (w->limits.cpu_percent > 0 && !(freezer_cell_limited(&w->cell) & CGROUP_CPU))
        worker_kill(w, EXIT_REASON_UNKNOWN,
                    "its share of CPU cannot be enforced: the kernel "
                    "refused its birth in a cgroup of its own");
    worker_set_phase(w, WORKER_SETUP, "born");
    watch_process(w);
    /* Not earlier: its first word may overtake the zygote's, and a VM that runs has to be one that
     * can be frozen and killed. */
    if (worker_channel_listen(w->channel) < 0)
        worker_kill(w, EXIT_REASON_UNKNOWN, "out of memory");
    if (w->exit.reason != 0)
        pidfd_send_signal(w->pidfd, SIGKILL, NULL, 0); /* killed before it was born */
}

/* ---- for the next daemon, and from the one before */

void worker_keep(struct worker *w)
{
    const struct {
        const char *what;
        int fd;
    } kept[] = {
        {"channel", worker_channel_fd(w->channel)},
        {"pidfd", w->pidfd},
        {"command", w->gate.command_fd},
        {"status", w->gate.status_fd},
        {"kick", w->gate.kick_fd},
        {"life", w->life_fd},
    };
    int r = w->outlives ? 0 : -EOPNOTSUPP;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0] && r == 0; i++)
        r = fd_store_put(kept[i].fd, "vm-%llu-%s", (unsigned long long)w->id, kept[i].what);
    w->is_kept = r == 0;
    /* What it has not read of its birth. */
    if (r == 0)
        r = worker_channel_each_queued(w->channel, on_queued, w);
    if (r < 0 && w->outlives) {
        record_write(LOG_ERR, MESSAGE_STATE_NOT_KEPT, RECORD_VM(w),
                     "vm %llu (%s) cannot be kept for the next daemon: %s",
                     (unsigned long long)w->id, w->name,
                     r == -ENOSPC ? "it could be handed no more than there are" : strerror(-r));
        worker_channel_each_queued(w->channel, drop_beside, w);
        worker_keep_no_more(w->id);
        w->is_kept = false;
    }
    if (r == 0) {
        /* Also the fact that it is kept for: nothing of that is put down yet, and all at once. */
        SHM_STORE_RELEASE(&w->gate.command->heard, w->hearing);
        stop_gate_handed_over(&w->gate);
        fd_close(&w->life_fd);
    }
}

void worker_keep_no_more(uint64_t id)
{
    static const char *const what[] = {"channel", "pidfd", "command", "status", "kick", "life"};
    for (size_t i = 0; i < sizeof what / sizeof what[0]; i++)
        fd_store_drop("vm-%llu-%s", (unsigned long long)id, what[i]);
}

/* Descriptors of a worker as they were kept; those that were not are -1. */
struct inheritance {
    int channel, pidfd, command, status, kick, life;
};

static void renounce(struct inheritance *i)
{
    int *const fds[] = {&i->channel, &i->pidfd, &i->command, &i->status, &i->kick, &i->life};
    for (size_t k = 0; k < sizeof fds / sizeof fds[0]; k++)
        fd_close(fds[k]);
}

static struct inheritance inherit(struct fd_store *store, unsigned long long id)
{
    return (struct inheritance){
        .channel = fd_store_take(store, "vm-%llu-channel", id),
        .pidfd = fd_store_take(store, "vm-%llu-pidfd", id),
        .command = fd_store_take(store, "vm-%llu-command", id),
        .status = fd_store_take(store, "vm-%llu-status", id),
        .kick = fd_store_take(store, "vm-%llu-kick", id),
        .life = fd_store_take(store, "vm-%llu-life", id),
    };
}

static bool is_whole(const struct inheritance *i)
{
    return i->channel >= 0 && i->pidfd >= 0 && i->command >= 0 && i->status >= 0 && i->kick >= 0 &&
           i->life >= 0;
}

static struct worker *make_from(const struct worker_host *host, struct freezer *freezer,
                                const Stillpoint__State__Vm *m, bool lives,
                                const struct worker_events *events, void *userdata)
{
    const struct worker_config config = {
        .name = m->name,
        .world = m->world,
        .engine = m->engine ? m->engine : "",
        .program = m->program ? m->program : "",
        .source_kind = m->source_kind,
        .argc = m->n_args,
        .argv = m->args,
        .limits = {.memory_bytes = m->memory_bytes,
                   .timeout_us = m->timeout_us,
                   .cpu_time_us = m->cpu_time_us,
                   .cpu_percent = m->cpu_percent,
                   .tasks = m->tasks,
                   .output_rate = m->output_rate,
                   .log_bytes = m->log_bytes},
        .uid = m->uid,
        .debug = m->debug,
        .attach = m->attach,
        .keep_idle = m->keep_idle,
        .adoption_ms = 1, /* as long as it was told to */
        .n_labels = m->n_labels,
        .labels = m->labels,
        .origin = m->origin && m->origin[0] ? m->origin : NULL,
    };
    struct worker *w = make(host, freezer, m->id, &config, lives, events, userdata);
    if (!w)
        return NULL;
    w->adopted = w->admitted = w->is_kept = w->sandboxed = true;
    w->ready = m->ready;
    w->pid = (pid_t)m->pid;
    w->phase = WORKER_ADMITTED;
    w->started_us = m->started_us;
    for (; w->n_layers < m->n_layers && w->n_layers < WORKER_MAX_LAYERS; w->n_layers++) {
        text_copy(w->layers[w->n_layers].name, sizeof w->layers[0].name,
                  m->layers[w->n_layers]->name ? m->layers[w->n_layers]->name : "");
        w->layers[w->n_layers].state = m->layers[w->n_layers]->state;
    }
    for (; w->n_holds < m->n_holds && w->n_holds < LIMIT_HOLDS_PER_VM; w->n_holds++) {
        const Stillpoint__State__Hold *h = m->holds[w->n_holds];
        struct worker_hold *to = &w->holds[w->n_holds];
        *to = (struct worker_hold){.debugger = h->debugger, .count = h->count, .pause = h->pause};
        text_copy(to->name, sizeof to->name, h->name ? h->name : "");
    }
    for (size_t i = 0; i < m->n_imports; i++)
        (void)worker_note_import(w, m->imports[i]);
    w->said_exit.reason = (enum exit_reason)m->exit_reason;
    w->said_exit.code = m->exit_code;
    text_copy(w->said_exit.detail, sizeof w->said_exit.detail,
              m->exit_detail ? m->exit_detail : "");
    return w;
}

static int take_pages(struct worker *w, struct stop_world *world, struct inheritance *i)
{
    struct stop_pages pages = {
        .command_fd = i->command, .status_fd = i->status, .kick_fd = i->kick};
    int r = map_attach(i->command, MAP_WRITER_KEPT, (void **)&pages.command);
    if (r == 0)
        r = map_attach(i->status, MAP_WRITER_PEER, (void **)&pages.status);
    if (r == 0)
        r = stop_gate_adopt(&w->gate, world, &pages, true, w);
    if (r < 0) {
        map_done(pages.command);
        map_done((void *)(uintptr_t)pages.status);
        return r;
    }
    i->command = i->status = i->kick = -1;
    stop_gate_handed_over(&w->gate);
    return 0;
}

/* What was sent and not taken still waits. How large each of these is nobody knows any more: all of
 * their room is free again when the last has been taken. */
static void resume_messages(struct worker *w)
{
    uint64_t taken = SHM_LOAD_RELAXED(&w->gate.status->messages_taken);
    w->messages_sent = SHM_LOAD_RELAXED(&w->gate.command->messages_sent);
    w->message_bytes = SHM_LOAD_RELAXED(&w->gate.command->message_bytes);
    w->messages_taken = taken < w->messages_sent ? taken : w->messages_sent;
    if (w->messages_sent - w->messages_taken > LIMIT_MESSAGES_QUEUED)
        w->messages_taken = w->messages_sent - LIMIT_MESSAGES_QUEUED;
    if (w->messages_taken == w->messages_sent)
        w->message_bytes = 0;
    else
        w->message_sizes[(w->messages_sent - 1) % LIMIT_MESSAGES_QUEUED] =
            (uint32_t)w->message_bytes;
}

static void resume_numbers(struct worker *w, const Stillpoint__State__Vm *m, uint64_t first_number)
{
    w->first_number = w->last_inspect = w->last_evaluation = w->last_step = first_number;
    resume_messages(w);
    if (m->step != 0)
        w->step = (struct worker_step){.number = m->step,
                                       .debugger = m->step_debugger,
                                       .of_vm = m->step_of_vm,
                                       .awaited = true};
}

int worker_adopt(const struct worker_host *host, struct stop_world *world,
                 const Stillpoint__State__Vm *m, struct fd_store *store, uint64_t first_number,
                 const struct worker_events *events, void *userdata, struct worker **ret)
{
    _cleanup_(renounce) struct inheritance i = inherit(store, m->id);
    struct worker *w = NULL;
    int r = is_whole(&i) && m->phase == WORKER_ADMITTED ? 0 : -ENOENT;
    if (r == 0 && !(w = make_from(host, host->freezer, m, true, events, userdata)))
        r = -ENOMEM;
    if (r == 0)
        r = take_pages(w, world, &i);
    if (r == 0 &&
        !(w->channel = worker_channel_new(host->base, TAKE_FD(i.channel), &channel_events, w)))
        r = -ENOMEM;
    if (r == 0)
        worker_channel_number_from(w->channel, first_number);
    if (r == 0)
        r = make_timers(w);
    if (r < 0) {
        if (i.pidfd >= 0 && r != -ENOMEM)
            pidfd_send_signal(i.pidfd, SIGKILL, NULL, 0);
        worker_free(w);
        return r;
    }
    freezer_cell_born(&w->cell, 0);
    w->pidfd = w->gate.pidfd = TAKE_FD(i.pidfd);
    w->life_fd = TAKE_FD(i.life);
    w->timed.admitted_ns = m->admitted_ns;
    w->hearing = SHM_LOAD_RELAXED(&w->gate.command->heard);
    if (w->hearing < m->heard)
        w->hearing = m->heard;
    resume_numbers(w, m, first_number);
    for (size_t k = 0; k < w->n_holds; k++)
        for (unsigned n = 0; n < w->holds[k].count; n++)
            stop_hold(&w->gate);
    vm_log_adopt(&w->log, store);
    *ret = w;
    return 0;
}

struct worker *worker_adopt_exited(const struct worker_host *host, const Stillpoint__State__Vm *m,
                                   struct fd_store *store, const struct worker_events *events,
                                   void *userdata)
{
    struct worker *w = make_from(host, NULL, m, false, events, userdata);
    if (!w)
        return NULL;
    w->phase = WORKER_GONE;
    w->is_kept = false;
    w->pid = 0;
    w->n_holds = 0;
    w->exit = w->said_exit;
    w->exit.signal = m->exit_signal;
    w->ended_us = m->ended_us;
    w->cpu_us = m->cpu_us;
    w->ran_us = m->ran_us;
    vm_log_adopt(&w->log, store);
    return w;
}

int worker_adopt_queued(struct worker *w, const Stillpoint__State__Queued *m,
                        struct fd_store *store)
{
    struct worker_queued q = {
        .number = m->number, .data = m->command.data, .len = m->command.len, .fd = -1};
    if (m->beside)
        q.fd = fd_store_take(store, "vm-%llu-beside-%llu", (unsigned long long)w->id,
                             (unsigned long long)m->number);
    return worker_channel_requeue(w->channel, &q);
}

void worker_adopt_heard(struct worker *w, uint64_t heard)
{
    if (w->hearing < heard)
        w->hearing = heard;
    SHM_STORE_RELEASE(&w->gate.command->heard, w->hearing);
}

void worker_adopted(struct worker *w, int lifeline)
{
    watch_process(w);
    int r = send_lifeline(w, lifeline);
    fd_close(&w->life_fd);
    if (r == 0)
        r = worker_channel_resume(w->channel, w->hearing);
    /* One that is gone is reported by its pidfd, and one that only hung up by its channel. */
    bool hung_up = r == -EPIPE || r == -ECONNRESET;
    int listening = r == 0 || hung_up ? worker_channel_listen(w->channel) : 0;
    if (listening < 0)
        r = listening;
    worker_limits_born(&w->timed, !(freezer_cell_limited(&w->cell) & CGROUP_MEMORY));
    worker_limits_resume(&w->timed);
    if (r < 0 && !(hung_up && listening == 0))
        worker_kill(w, EXIT_REASON_UNKNOWN, "it cannot be taken over");
    /* Whoever was asked for them is gone. */
    while (r == 0 && w->open_imports > 0) {
        uint64_t import_id = w->imports[0];
        worker_forget_import(w, import_id);
        r = worker_send_import(w, import_id, "the client that has it went away", -1);
    }
    if (w->said_exit.reason != 0)
        worker_farewell(w);
    stop_message_sent(&w->gate);
}

/* ---- the sandbox, by its own word */

static void add_layer(struct worker *w, const char *name, enum worker_layer_state state)
{
    if (w->n_layers == WORKER_MAX_LAYERS)
        return;
    snprintf(w->layers[w->n_layers].name, sizeof w->layers[0].name, "%s", name);
    w->layers[w->n_layers++].state = state;
}

/* Without a controller RLIMIT_DATA and the closed filter stand in. */
void worker_take_posture(struct worker *w, const struct worker_fact *born)
{
    unsigned limited = freezer_cell_limited(&w->cell);
    w->sandboxed = true;
    for (size_t i = 0; i < born->born.n_layers; i++)
        add_layer(w, born->born.layers[i].name, born->born.layers[i].state);
    add_layer(w, "memory", limited & CGROUP_MEMORY ? WORKER_LAYER_ON : WORKER_LAYER_DEGRADED);
    add_layer(w, "tasks", limited & CGROUP_PIDS ? WORKER_LAYER_ON : WORKER_LAYER_DEGRADED);
}

/* ---- commands */

static int send_command(struct worker *w, Command *command, int fd)
{
    _cleanup_close_ int owned = fd;
    if (!w->channel || w->phase == WORKER_GONE)
        return -EPIPE;
    int r = worker_channel_send(w->channel, command, TAKE_FD(owned));
    w->commands_sent++;
    if (r == 0)
        stop_message_sent(&w->gate);
    return r;
}

/* What does not fit in a packet travels beside it. */
static int send_text(struct worker *w, Command *command, const char *text, char **field,
                     protobuf_c_boolean *has_in_memfd, protobuf_c_boolean *in_memfd)
{
    size_t len = strlen(text);
    if (len <= LIMIT_PACKET_BYTES / 2) {
        *field = (char *)(uintptr_t)text;
        return send_command(w, command, -1);
    }
    int fd = fd_memfd_new("stillpoint-text", text, len);
    if (fd < 0)
        return fd;
    *has_in_memfd = *in_memfd = 1;
    return send_command(w, command, fd);
}

int worker_load(struct worker *w)
{
    Stillpoint__Worker__Load load = STILLPOINT__WORKER__LOAD__INIT;
    Command command = STILLPOINT__WORKER__COMMAND__INIT;
    load.path = w->program;
    load.has_kind = 1;
    load.kind = w->source_kind;
    load.args = w->argv;
    load.n_args = w->argc;
    command.body_case = STILLPOINT__WORKER__COMMAND__BODY_LOAD;
    command.load = &load;
    worker_set_phase(w, WORKER_LOADING, "sandbox stands");
    return send_command(w, &command, TAKE_FD(w->program_fd));
}

void worker_admit(struct worker *w)
{
    worker_set_phase(w, WORKER_ADMITTED, "program is linked");
    w->admitted = true;
    stop_admit(&w->gate);
    worker_limits_admitted(&w->timed);
}

int worker_send_file(struct worker *w, const char *path, int fd)
{
    Stillpoint__Worker__AddFile file = STILLPOINT__WORKER__ADD_FILE__INIT;
    Command command = STILLPOINT__WORKER__COMMAND__INIT;
    file.path = (char *)(uintptr_t)path;
    command.body_case = STILLPOINT__WORKER__COMMAND__BODY_ADD_FILE;
    command.add_file = &file;
    return send_command(w, &command, fd);
}

int worker_send_import(struct worker *w, uint64_t import_id, const char *error, int fd)
{
    Stillpoint__Worker__AnswerImport answer = STILLPOINT__WORKER__ANSWER_IMPORT__INIT;
    Command command = STILLPOINT__WORKER__COMMAND__INIT;
    answer.has_import_id = 1;
    answer.import_id = import_id;
    answer.error = (char *)(uintptr_t)error;
    command.body_case = STILLPOINT__WORKER__COMMAND__BODY_ANSWER_IMPORT;
    command.answer_import = &answer;
    return send_command(w, &command, fd);
}

int worker_note_import(struct worker *w, uint64_t import_id)
{
    uint64_t *imports = reallocarray(w->imports, w->open_imports + 1, sizeof *imports);
    if (!imports)
        return -ENOMEM;
    w->imports = imports;
    w->imports[w->open_imports++] = import_id;
    return 0;
}

void worker_forget_import(struct worker *w, uint64_t import_id)
{
    /* From the last: those of a client that is gone are forgotten in that order, thousands of them.
     */
    for (size_t i = w->open_imports; i-- > 0;)
        if (w->imports[i] == import_id) {
            w->imports[i] = w->imports[--w->open_imports];
            return;
        }
}

int worker_send_stdin(struct worker *w, const uint8_t *data, size_t len)
{
    Stillpoint__Worker__AnswerStdin answer = STILLPOINT__WORKER__ANSWER_STDIN__INIT;
    Command command = STILLPOINT__WORKER__COMMAND__INIT;
    answer.has_data = 1;
    answer.data = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)data, .len = len};
    command.body_case = STILLPOINT__WORKER__COMMAND__BODY_ANSWER_STDIN;
    command.answer_stdin = &answer;
    return send_command(w, &command, -1);
}

/* What the worker says of itself can only shorten or lengthen its own queue. */
static void count_taken(struct worker *w)
{
    uint64_t taken = atomic_load_explicit(&w->gate.status->messages_taken, memory_order_relaxed);
    for (; w->messages_taken < taken && w->messages_taken < w->messages_sent; w->messages_taken++)
        w->message_bytes -= w->message_sizes[w->messages_taken % LIMIT_MESSAGES_QUEUED];
}

/* For the next daemon; before they are sent, so that it never takes fewer to wait than do. */
static void note_messages(struct worker *w, unsigned more, size_t bytes)
{
    SHM_STORE_RELAXED(&w->gate.command->messages_sent, w->messages_sent + more);
    SHM_STORE_RELAXED(&w->gate.command->message_bytes, w->message_bytes + bytes);
}

/* Whether one more message of this size may wait in the worker: what is accepted must not be lost.
 */
static int reserve_message(struct worker *w, const char *text)
{
    if (w->phase == WORKER_GONE)
        return -EPIPE;
    count_taken(w);
    size_t len = strlen(text);
    if (w->messages_sent - w->messages_taken >= LIMIT_MESSAGES_QUEUED ||
        w->message_bytes + len > LIMIT_MESSAGES_BYTES)
        return -ENOBUFS;
    note_messages(w, 1, len);
    return 0;
}

static void message_sent(struct worker *w, const char *text, int r)
{
    size_t len = strlen(text);
    if (r < 0) {
        note_messages(w, 0, 0);
        return;
    }
    w->message_sizes[w->messages_sent++ % LIMIT_MESSAGES_QUEUED] = (uint32_t)len;
    w->message_bytes += len;
}

int worker_send_call(struct worker *w, uint64_t call_id, const char *function,
                     const char *args_json)
{
    Stillpoint__Worker__Call call = STILLPOINT__WORKER__CALL__INIT;
    Command command = STILLPOINT__WORKER__COMMAND__INIT;
    int r = reserve_message(w, args_json);
    if (r < 0)
        return r;
    call.has_call_id = 1;
    call.call_id = call_id;
    call.function = (char *)(uintptr_t)function;
    command.body_case = STILLPOINT__WORKER__COMMAND__BODY_CALL;
    command.call = &call;
    r = send_text(w, &command, args_json, &call.args_json, &call.has_in_memfd, &call.in_memfd);
    message_sent(w, args_json, r);
    return r;
}

void worker_cancel_call(struct worker *w, uint64_t call_id)
{
    Stillpoint__Worker__CancelCall cancel = STILLPOINT__WORKER__CANCEL_CALL__INIT;
    Command command = STILLPOINT__WORKER__COMMAND__INIT;
    cancel.has_call_id = 1;
    cancel.call_id = call_id;
    command.body_case = STILLPOINT__WORKER__COMMAND__BODY_CANCEL_CALL;
    command.cancel_call = &cancel;
    (void)send_command(w, &command, -1);
}

int worker_send_message(struct worker *w, const char *json)
{
    Stillpoint__Worker__Deliver deliver = STILLPOINT__WORKER__DELIVER__INIT;
    Command command = STILLPOINT__WORKER__COMMAND__INIT;
    int r = reserve_message(w, json);
    if (r < 0)
        return r;
    command.body_case = STILLPOINT__WORKER__COMMAND__BODY_DELIVER;
    command.deliver = &deliver;
    r = send_text(w, &command, json, &deliver.json, &deliver.has_in_memfd, &deliver.in_memfd);
    message_sent(w, json, r);
    return r;
}

int worker_send_inspect(struct worker *w, Stillpoint__Worker__Inspect *inspect,
                        uint64_t *ret_request)
{
    if (w->n_inspects >= WORKER_MAX_INSPECTS)
        return -EBUSY;
    Command command = STILLPOINT__WORKER__COMMAND__INIT;
    inspect->has_request = 1;
    inspect->request = w->last_inspect + 1;
    command.body_case = STILLPOINT__WORKER__COMMAND__BODY_INSPECT;
    command.inspect = inspect;
    int r = send_command(w, &command, -1);
    if (r < 0)
        return r;
    *ret_request = w->inspects[w->n_inspects++] = ++w->last_inspect;
    return 0;
}

void worker_ask_to_park(struct worker *w)
{
    uint64_t request;
    Stillpoint__Worker__Inspect inspect = STILLPOINT__WORKER__INSPECT__INIT;
    inspect.has_kind = 1;
    inspect.kind = WORKER_INSPECT_PARK;
    if (w->park_request == 0 && worker_send_inspect(w, &inspect, &request) == 0)
        w->park_request = request;
}

int worker_send_answer(struct worker *w, uint64_t pause, unsigned answer, const char *expression)
{
    Stillpoint__Worker__AnswerPause m = STILLPOINT__WORKER__ANSWER_PAUSE__INIT;
    Command command = STILLPOINT__WORKER__COMMAND__INIT;
    m.has_pause = m.has_answer = 1;
    m.pause = pause;
    m.answer = answer;
    m.expression = (char *)(uintptr_t)expression;
    command.body_case = STILLPOINT__WORKER__COMMAND__BODY_ANSWER_PAUSE;
    command.answer_pause = &m;
    return send_command(w, &command, -1);
}

bool worker_inspected(struct worker *w, uint64_t request)
{
    size_t i = 0;
    while (i < w->n_inspects && w->inspects[i] != request)
        i++;
    if (i == w->n_inspects)
        return false;
    w->inspects[i] = w->inspects[--w->n_inspects];
    if (w->park_request == request)
        w->park_request = 0;
    for (i = 0; i < w->n_given_up; i++)
        if (w->given_up[i] == request)
            w->given_up[i] = w->given_up[--w->n_given_up];
    return true;
}

void worker_give_up(struct worker *w, uint64_t request)
{
    for (size_t i = 0; i < w->n_given_up; i++)
        if (w->given_up[i] == request)
            return;
    for (size_t i = 0; i < w->n_inspects; i++)
        if (w->inspects[i] == request)
            w->given_up[w->n_given_up++] = request;
}

void worker_hear(struct worker *w)
{
    if (w->channel)
        worker_channel_hear(w->channel);
}

void worker_hold_console(struct worker *w, enum worker_console_hold why, bool hold)
{
    w->console_holds = hold ? w->console_holds | why : w->console_holds & ~(unsigned)why;
    if (w->channel)
        worker_channel_hold_acks(w->channel, w->console_holds != 0);
}

/* ---- readings */

bool worker_is_wasm(const struct worker *w)
{
    return w->source_kind == SOURCE_KIND_WASM;
}

uint64_t worker_cpu_us(const struct worker *w)
{
    clockid_t clock;
    struct timespec ts;
    if (w->pid <= 0 || clock_getcpuclockid(w->pid, &clock) != 0 || clock_gettime(clock, &ts) < 0)
        return w->cpu_us;
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

uint64_t worker_memory_bytes(const struct worker *w)
{
    char path[64];
    unsigned long long total, resident;
    if (w->pid <= 0)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)w->pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    int n = fscanf(f, "%llu %llu", &total, &resident);
    fclose(f);
    return n == 2 ? resident * (unsigned long long)sysconf(_SC_PAGESIZE) : 0;
}

uint64_t worker_used_bytes(const struct worker *w)
{
    char path[64], line[256];
    unsigned long long total_kib = 0;
    if (w->pid <= 0)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)w->pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, "VmRSS:", 6) == 0 || strncmp(line, "VmPTE:", 6) == 0 ||
            strncmp(line, "VmSwap:", 7) == 0)
            total_kib += strtoull(strchr(line, ':') + 1, NULL, 10);
    fclose(f);
    return total_kib * 1024;
}
