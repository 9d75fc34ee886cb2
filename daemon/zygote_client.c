#include "daemon/zygote_client.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "daemon/record.h"
#include "proto/limits.h"
#include "proto/unpack.h"

#define CHANNEL_IN_CHILD 3
/* A zygote that dies soon after its start is not started again in a tight loop. */
#define YOUNG_S 2
#define RESTART_MS 500

/* What a worker's program may know of our environment: how to show times and texts. */
static const char *const kept_variables[] = {"TZ",      "LANG",         "LC_ALL",
                                             "LC_TIME", "ASAN_OPTIONS", "UBSAN_OPTIONS"};
#define N_KEPT (sizeof kept_variables / sizeof kept_variables[0])

struct birth {
    LIST_ENTRY(birth) link;
    uint64_t spawn_id;
};

/* One running worker program before it has a VM: the standing zygote, or one birth of exec mode. */
struct process {
    LIST_ENTRY(process) link;
    struct zygote_client *client;
    pid_t pid;
    time_t started_s; /* CLOCK_MONOTONIC */
    int channel, pidfd;
    struct event *readable, *died;
    LIST_HEAD(births, birth) births;
};

struct zygote_client {
    struct event_base *base;
    char *engine;
    int program_fd;
    bool exec_mode;
    const struct zygote_client_events *events;
    void *userdata;
    struct process *standing;
    LIST_HEAD(processes, process) processes;
    struct event *restart;
};

static time_t now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec;
}

static void fail_births(struct process *p, const char *why)
{
    struct zygote_client *z = p->client;
    while (!LIST_EMPTY(&p->births)) {
        struct birth *b = LIST_FIRST(&p->births);
        uint64_t id = b->spawn_id;
        LIST_REMOVE(b, link);
        free(b);
        const struct zygote_birth failed = {.pidfd = -1, .error = -EPIPE, .detail = why};
        z->events->on_spawned(z->userdata, id, &failed);
    }
}

static void process_free(struct process *p)
{
    LIST_REMOVE(p, link);
    if (p->client->standing == p)
        p->client->standing = NULL;
    if (p->readable)
        event_free(p->readable);
    if (p->died)
        event_free(p->died);
    fd_close(&p->channel);
    fd_close(&p->pidfd);
    while (!LIST_EMPTY(&p->births)) {
        struct birth *b = LIST_FIRST(&p->births);
        LIST_REMOVE(b, link);
        free(b);
    }
    free(p);
}

static void take_spawned(struct process *p, const Stillpoint__Worker__Spawned *m, int *pidfd)
{
    struct zygote_client *z = p->client;
    struct birth *b;
    LIST_FOREACH(b, &p->births, link)
    /* cppcheck-suppress nullPointerRedundantCheck ; the loop ends with NULL */
    if (b->spawn_id == m->spawn_id)
        break;
    if (!b) {
        record_write(LOG_WARNING, MESSAGE_ZYGOTE_TROUBLE, NULL,
                     "zygote of %s answered birth %llu, which nobody asked for", z->engine,
                     (unsigned long long)m->spawn_id);
        z->events->on_strays(z->userdata);
        return;
    }
    LIST_REMOVE(b, link);
    free(b);
    struct zygote_birth birth = {.pidfd = -1};
    if (m->pid > 0 && *pidfd >= 0) {
        birth.pid = (pid_t)m->pid;
        birth.pidfd = TAKE_FD(*pidfd);
        birth.cgroup_error = -(int)m->cgroup_error;
    } else {
        birth.error = m->error ? -(int)m->error : m->pid > 0 ? -EMFILE : -EPROTO;
        birth.detail = m->detail ? m->detail : "birth";
    }
    z->events->on_spawned(z->userdata, m->spawn_id, &birth);
    if (m->pid > 0 && birth.pidfd < 0)
        z->events->on_strays(z->userdata);
}

/* Nothing can be asked of it any more; what it did not answer fails with its death, which the pidfd
 * reports. */
static void give_up(struct process *p)
{
    event_del(p->readable);
    pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
}

/* Reads all answers that are there. */
static void read_answers(struct process *p)
{
    uint8_t data[4096];
    for (;;) {
        int fd = -1;
        size_t n_fds = 1;
        ssize_t n = fd_receive(p->channel, data, sizeof data, &fd, &n_fds);
        if (n <= 0) {
            if (n != -EAGAIN)
                give_up(p);
            return;
        }
        if (n_fds == 0)
            fd = -1;
        const char *why;
        ProtobufCMessage *m =
            unpack_message(&stillpoint__worker__spawned__descriptor, data, (size_t)n, &why);
        if (m)
            take_spawned(p, (const Stillpoint__Worker__Spawned *)m, &fd);
        unpack_free(m);
        fd_close(&fd);
        if (!m) {
            /* Whose birth it was is not known: without an answer that one would wait for ever. */
            record_write(LOG_ERR, MESSAGE_ZYGOTE_TROUBLE, NULL,
                         "zygote of %s: an answer is lost: %s", p->client->engine, why);
            give_up(p);
            return;
        }
    }
}

static void on_readable(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    read_answers(userdata);
}

static void on_died(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct process *p = userdata;
    struct zygote_client *z = p->client;
    siginfo_t si = {0};
    read_answers(p);
    waitid(P_PIDFD, (id_t)p->pidfd, &si, WEXITED | __WALL);
    char why[64];
    if (si.si_code == CLD_EXITED)
        snprintf(why, sizeof why, "zygote exited with status %d", si.si_status);
    else
        snprintf(why, sizeof why, "zygote was killed by signal %d", si.si_status);
    bool standing = z->standing == p, young = now_s() - p->started_s < YOUNG_S;
    bool owed = !LIST_EMPTY(&p->births);
    fail_births(p, why);
    process_free(p);
    if (owed)
        z->events->on_strays(z->userdata);
    if (standing) {
        record_write(LOG_WARNING, MESSAGE_ZYGOTE_TROUBLE, NULL,
                     "%s of engine %s; starting it again", why, z->engine);
        z->events->on_lost(z->userdata, z->engine, why);
        struct timeval soon = {.tv_usec = young ? RESTART_MS * 1000 : 0};
        event_add(z->restart, &soon);
    }
}

/* In the child of a vfork(2): system calls only. Returns if it failed. */
static void exec_program(int program_fd, int channel, char *const *argv, char *const *environment)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(channel, CHANNEL_IN_CHILD) < 0)
        return;
    if (channel == CHANNEL_IN_CHILD)
        fcntl(channel, F_SETFD, 0);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execveat(program_fd, "", argv, environment, AT_EMPTY_PATH);
}

static int spawn_program(const struct zygote_client *z, int channel, pid_t *ret_pid)
{
    char variables[N_KEPT][256], *environment[N_KEPT + 2] = {NULL};
    size_t n = 0;
    for (size_t i = 0; i < N_KEPT; i++) {
        const char *value = getenv(kept_variables[i]);
        int len =
            value ? snprintf(variables[i], sizeof variables[i], "%s=%s", kept_variables[i], value)
                  : -1;
        if (len > 0 && len < (int)sizeof variables[i])
            environment[n++] = variables[i];
    }
    /* What a zygote has looked up its forks need not. */
    if (!z->exec_mode)
        environment[n++] = (char *)"LD_BIND_NOW=1";
    char *argv[] = {(char *)"stillpoint-worker",
                    z->exec_mode ? (char *)"--exec" : (char *)"--zygote", NULL};

    /* Not posix_spawn(3): it takes a path, and /proc/self is closed to a process that has changed
     * its uid. Not fork(2): that copies the page tables of a daemon that may have grown large. */
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    volatile int error = 0;
    pid_t pid = vfork();
    if (pid == 0) {
        exec_program(z->program_fd, channel, argv, environment);
        error = errno;
        _exit(127);
    }
    int r = pid < 0 ? -errno : -error;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid > 0 && r < 0)
        waitpid(pid, NULL, 0);
    if (r == 0)
        *ret_pid = pid;
    return r;
}

static int process_start(struct zygote_client *z, struct process **ret)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    _cleanup_close_ int ours = pair[0], theirs = pair[1];
    struct process *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    *p = (struct process){.client = z, .channel = -1, .pidfd = -1, .started_s = now_s()};
    LIST_INIT(&p->births);
    LIST_INSERT_HEAD(&z->processes, p, link);
    int r = spawn_program(z, theirs, &p->pid);
    if (r < 0) {
        process_free(p);
        return r;
    }
    p->channel = TAKE_FD(ours);
    p->pidfd = pidfd_open(p->pid, 0);
    if (p->pidfd >= 0)
        p->died = event_new(z->base, p->pidfd, EV_READ, on_died, p);
    p->readable = event_new(z->base, p->channel, EV_READ | EV_PERSIST, on_readable, p);
    if (!p->died || !p->readable || event_add(p->died, NULL) < 0 ||
        event_add(p->readable, NULL) < 0) {
        kill(p->pid, SIGKILL);
        waitpid(p->pid, NULL, __WALL);
        process_free(p);
        return -ENOMEM;
    }
    *ret = p;
    return 0;
}

static void on_restart(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct zygote_client *z = userdata;
    int r = process_start(z, &z->standing);
    if (r < 0) {
        record_write(LOG_ERR, MESSAGE_ZYGOTE_TROUBLE, NULL, "cannot start the zygote of %s: %s",
                     z->engine, strerror(-r));
        struct timeval later = {.tv_sec = 1};
        event_add(z->restart, &later);
    }
}

struct zygote_client *zygote_client_new(struct event_base *base, const char *engine, int program_fd,
                                        bool exec_mode, const struct zygote_client_events *events,
                                        void *userdata)
{
    struct zygote_client *z = calloc(1, sizeof *z);
    if (!z) {
        close(program_fd);
        return NULL;
    }
    *z = (struct zygote_client){.base = base,
                                .engine = strdup(engine),
                                .program_fd = program_fd,
                                .exec_mode = exec_mode,
                                .events = events,
                                .userdata = userdata};
    LIST_INIT(&z->processes);
    /* Out of the way of the descriptors that a child is given. */
    if (program_fd <= CHANNEL_IN_CHILD) {
        z->program_fd = fcntl(program_fd, F_DUPFD_CLOEXEC, CHANNEL_IN_CHILD + 1);
        close(program_fd);
    }
    z->restart = event_new(base, -1, 0, on_restart, z);
    int r = z->engine && z->restart ? 0 : -ENOMEM;
    if (r == 0 && !exec_mode)
        r = process_start(z, &z->standing);
    if (r < 0) {
        zygote_client_free(z);
        errno = -r;
        return NULL;
    }
    return z;
}

struct zygote_client *zygote_client_free(struct zygote_client *z)
{
    if (!z)
        return NULL;
    while (!LIST_EMPTY(&z->processes)) {
        struct process *p = LIST_FIRST(&z->processes);
        pid_t pid = p->pid;
        process_free(p);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, __WALL);
    }
    if (z->restart)
        event_free(z->restart);
    fd_close(&z->program_fd);
    free(z->engine);
    free(z);
    return NULL;
}

static int send_spawn(struct process *p, Stillpoint__Worker__Spawn *spawn,
                      const int fds[ZYGOTE_FDS])
{
    uint8_t data[4096];
    if (stillpoint__worker__spawn__get_packed_size(spawn) > sizeof data)
        return -EMSGSIZE;
    struct iovec iov = {.iov_base = data, .iov_len = stillpoint__worker__spawn__pack(spawn, data)};
    struct birth *b = malloc(sizeof *b);
    if (!b)
        return -ENOMEM;
    ssize_t n =
        fd_send(p->channel, &iov, 1, fds, fds[ZYGOTE_CGROUP] < 0 ? ZYGOTE_CGROUP : ZYGOTE_FDS);
    if (n < 0) {
        free(b);
        return (int)n;
    }
    b->spawn_id = spawn->spawn_id;
    LIST_INSERT_HEAD(&p->births, b, link);
    return 0;
}

bool zygote_client_has(const struct zygote_client *z, pid_t pid)
{
    const struct process *p;
    LIST_FOREACH(p, &z->processes, link)
    if (p->pid == pid)
        return true;
    return false;
}

bool zygote_client_is_quiet(const struct zygote_client *z)
{
    const struct process *p;
    LIST_FOREACH(p, &z->processes, link)
    if (!LIST_EMPTY(&p->births))
        return false;
    return true;
}

int zygote_client_spawn(struct zygote_client *z, Stillpoint__Worker__Spawn *spawn,
                        const int fds[ZYGOTE_FDS])
{
    struct process *p = z->standing;
    if (z->exec_mode) {
        int r = process_start(z, &p);
        if (r < 0)
            return r;
    } else if (!p) {
        return -EAGAIN;
    }
    int r = send_spawn(p, spawn, fds);
    /* One that was started for this birth alone has nothing to wait for; its death is reported. */
    if (r < 0 && z->exec_mode)
        pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
    return r;
}

pid_t zygote_client_pid(const struct zygote_client *z)
{
    return z->standing ? z->standing->pid : 0;
}
