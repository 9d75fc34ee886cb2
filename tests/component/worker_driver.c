/*
 * worker_driver.c: plays the daemon for the worker program, with the real pages, channels and
 * sandbox.
 *
 *   worker_driver                       all cases, as TAP, with ./stillpoint-worker-fake; and those
 *                                       that want SpiderMonkey with ./stillpoint-worker-mozjs
 *   worker_driver PROGRAM [CASE]        with another program, or one case
 *   worker_driver PROGRAM --run FILE    any engine: runs one file and shows what comes of it
 *
 * Started as root it leaves an observer behind that stays root, because only root may look at a
 * worker's namespaces, and becomes an unprivileged user before it starts anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "proto/check_worker.h"
#include "proto/limits.h"
#include "proto/parts.h"
#include "proto/worker.pb-c.h"
#include "shared-mem/futex.h"
#include "shared-mem/stop.h"
#include "tests/support/story.h"
#include "worker/inspect.h"
#include "worker/seccomp_table.h"

#define MS 1000000ull
#define PATIENCE_MS 10000
#define NOBODY 65534u
#define MAX_VMS 16

typedef Stillpoint__Worker__Command Command;
typedef Stillpoint__Worker__Fact Fact;

#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            printf("not ok - %s\n# %s:%d: %s\n", running_case, __FILE__, __LINE__, #x);            \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static const char *running_case = "start";
static int program_fd = -1;
static int observer = -1;  /* socket to the root observer, or -1 */
static int cgroup_fd = -1; /* sent along with a Spawn if it is open */

/* protobuf-c takes no const; packing changes nothing. */
static char *text_of(const char *s)
{
    return (char *)(uintptr_t)s;
}

/* ---- the observer */

static void observe(pid_t pid, char *report, size_t size)
{
    static const char *const names[] = {"user", "pid", "mnt", "net", "ipc", "uts", "cgroup"};
    size_t n = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[64], theirs[64] = "", ours[64] = "";
        snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, names[i]);
        bool read_it = readlink(path, theirs, sizeof theirs - 1) > 0;
        snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
        read_it = readlink(path, ours, sizeof ours - 1) > 0 && read_it;
        n += (size_t)snprintf(report + n, size - n, "%s=%s ", names[i],
                              !read_it                    ? "?"
                              : strcmp(theirs, ours) == 0 ? "shared"
                                                          : "own");
    }
    char command[512];
    snprintf(command, sizeof command,
             "echo files=$(ls -A /proc/%d/root/ | wc -l) fds=$(ls /proc/%d/fd | tr '\\n' ,) "
             "uid_map=$(echo $(cat /proc/%d/uid_map)) mounts=$(cat /proc/%d/mounts | wc -l) "
             "net=$(nsenter -t %d -n tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ')",
             (int)pid, (int)pid, (int)pid, (int)pid, (int)pid);
    FILE *f = popen(command, "r");
    if (f) {
        if (!fgets(report + n, (int)(size - n), f))
            report[n] = '\0';
        pclose(f);
    }
}

static void start_observer(void)
{
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child > 0) {
        close(pair[1]);
        observer = pair[0];
        return;
    }
    close(pair[0]);
    pid_t pid;
    while (recv(pair[1], &pid, sizeof pid, 0) == (ssize_t)sizeof pid) {
        char report[1024];
        observe(pid, report, sizeof report);
        if (send(pair[1], report, strlen(report) + 1, MSG_NOSIGNAL) < 0)
            break;
    }
    _exit(0);
}

static void become_unprivileged(void)
{
    if (geteuid() != 0)
        return;
    start_observer();
    CHECK(setgroups(0, NULL) == 0);
    CHECK(setresgid(NOBODY, NOBODY, NOBODY) == 0);
    CHECK(setresuid(NOBODY, NOBODY, NOBODY) == 0);
}

/* ---- zygote and workers */

struct zygote {
    pid_t pid;
    int channel;
    int lifeline[2];
};

struct vm {
    struct stop_gate gate;
    int channel, pidfd;
    pid_t pid;
    uint64_t seq, acked;
    struct parts parts; /* of the next fact */
    bool hold_acks;
    char console[4096]; /* its start */
    size_t console_bytes;
    char last_detail[256];
    int exit_reason, exit_code;
    bool born, loaded, ready, exiting;
    uint64_t calls_done, no_such, posted, imports_wanted;
    char last_text[256];
    size_t last_text_bytes;
    unsigned posture[32];
    char posture_names[32][16];
    size_t n_posture;
    uint64_t answered[32]; /* requests, in the order of their Inspected */
    size_t n_answered;
    struct worker_fact answer; /* the last of them */
    uint32_t cgroup_error;
    struct story story; /* what was said of auditors */
};

static void zygote_start(struct zygote *z, const char *mode)
{
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    CHECK(pipe2(z->lifeline, O_CLOEXEC) == 0);
    z->pid = fork();
    CHECK(z->pid >= 0);
    if (z->pid == 0) {
        if (pair[1] == 3)
            fcntl(3, F_SETFD, 0);
        dup2(pair[1], 3);
        char *const args[] = {text_of("stillpoint-worker"), text_of(mode), NULL};
        fexecve(program_fd, args, environ);
        _exit(127);
    }
    close(pair[1]);
    z->channel = pair[0];
}

static int zygote_end(struct zygote *z)
{
    int status;
    close(z->channel);
    close(z->lifeline[0]);
    close(z->lifeline[1]);
    CHECK(waitpid(z->pid, &status, 0) == z->pid);
    return status;
}

static void wait_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CHECK(poll(&p, 1, PATIENCE_MS) == 1);
}

static void vm_spawn(struct vm *v, struct zygote *z, struct stop_world *w, bool keep_idle)
{
    *v = (struct vm){.channel = -1};
    CHECK(stop_gate_init(&v->gate, w, v) == 0);
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    Stillpoint__Worker__Spawn m = STILLPOINT__WORKER__SPAWN__INIT;
    m.has_spawn_id = m.has_helper_threads = m.has_keep_idle = true;
    m.has_data_bytes = true;
    m.data_bytes = 256u << 20;
    m.spawn_id = 7;
    m.helper_threads = 1;
    m.keep_idle = keep_idle;
    uint8_t packet[256];
    struct iovec iov = {packet, stillpoint__worker__spawn__pack(&m, packet)};
    const int fds[] = {pair[1],         w->page_fd,     v->gate.command_fd, v->gate.status_fd,
                       v->gate.kick_fd, z->lifeline[0], cgroup_fd};
    CHECK(fd_send(z->channel, &iov, 1, fds, cgroup_fd < 0 ? 6 : 7) > 0);
    close(pair[1]);
    stop_gate_handed_over(&v->gate);
    v->channel = pair[0];

    wait_readable(z->channel);
    size_t n_fds = 1;
    v->pidfd = -1;
    ssize_t n = fd_receive(z->channel, packet, sizeof packet, &v->pidfd, &n_fds);
    CHECK(n > 0);
    Stillpoint__Worker__Spawned *s = stillpoint__worker__spawned__unpack(NULL, (size_t)n, packet);
    CHECK(s && s->spawn_id == 7);
    if (s->error)
        fprintf(stderr, "spawn: %s: %s\n", s->detail, strerror((int)s->error));
    CHECK(s->pid > 0 && n_fds == 1);
    v->pid = (pid_t)s->pid;
    v->cgroup_error = s->cgroup_error;
    stillpoint__worker__spawned__free_unpacked(s, NULL);
}

static void vm_send(struct vm *v, Command *c, int fd)
{
    uint8_t packet[LIMIT_PACKET_BYTES];
    if (!v->hold_acks) {
        c->has_ack = true;
        c->ack = v->acked = v->seq;
    }
    struct iovec iov = {packet, stillpoint__worker__command__pack(c, packet)};
    ssize_t n;
    /* A worker that has had no CPU yet has read nothing. */
    while ((n = fd_send(v->channel, &iov, 1, &fd, fd >= 0 ? 1 : 0)) == -EAGAIN) {
        struct pollfd p = {.fd = v->channel, .events = POLLOUT};
        CHECK(poll(&p, 1, PATIENCE_MS) == 1);
    }
    CHECK(n > 0);
    stop_message_sent(&v->gate);
}

static void vm_ack(struct vm *v)
{
    Command c = STILLPOINT__WORKER__COMMAND__INIT;
    vm_send(v, &c, -1);
}

static void keep_text(struct vm *v, const ProtobufCBinaryData *text, bool in_memfd, int fd)
{
    const uint8_t *data = text->data;
    size_t len = text->len;
    if (in_memfd)
        CHECK(fd_memfd_map(fd, LIMIT_JSON_BYTES, &data, &len) == 0);
    v->last_text_bytes = len;
    snprintf(v->last_text, sizeof v->last_text, "%.*s", len < 200 ? (int)len : 200,
             (const char *)data);
    if (in_memfd)
        fd_memfd_unmap(data, len);
}

static void take_fact(struct vm *v, const Fact *f, int fd)
{
    CHECK(f->seq == v->seq + 1);
    v->seq = f->seq;
    switch (f->body_case) {
    case STILLPOINT__WORKER__FACT__BODY_BORN:
        if (f->born->error)
            fprintf(stderr, "born: %s\n", f->born->error);
        CHECK(!f->born->error);
        v->born = true;
        v->n_posture = f->born->n_posture;
        for (size_t i = 0; i < v->n_posture; i++) {
            v->posture[i] = f->born->posture[i]->state;
            snprintf(v->posture_names[i], 16, "%s", f->born->posture[i]->name);
        }
        break;
    case STILLPOINT__WORKER__FACT__BODY_LOADED:
        v->loaded = true;
        snprintf(v->last_detail, sizeof v->last_detail, "%s",
                 f->loaded->error ? f->loaded->error : "");
        break;
    case STILLPOINT__WORKER__FACT__BODY_READY:
        v->ready = true;
        break;
    case STILLPOINT__WORKER__FACT__BODY_CONSOLE: {
        size_t room = sizeof v->console - 1, n = f->console->data.len;
        if (v->console_bytes < room)
            memcpy(v->console + v->console_bytes, f->console->data.data,
                   n < room - v->console_bytes ? n : room - v->console_bytes);
        v->console_bytes += n;
        break;
    }
    case STILLPOINT__WORKER__FACT__BODY_CALL_DONE:
        v->calls_done++;
        v->no_such += f->call_done->no_such_function ? 1 : 0;
        keep_text(v, &f->call_done->text, f->call_done->in_memfd, fd);
        break;
    case STILLPOINT__WORKER__FACT__BODY_POSTED:
        v->posted++;
        keep_text(v, &f->posted->json, f->posted->in_memfd, fd);
        break;
    case STILLPOINT__WORKER__FACT__BODY_IMPORT_WANTED:
        v->imports_wanted = f->import_wanted->import_id;
        snprintf(v->last_text, sizeof v->last_text, "%s", f->import_wanted->path);
        break;
    case STILLPOINT__WORKER__FACT__BODY_EXITING:
        v->exiting = true;
        v->exit_reason = (int)f->exiting->reason;
        v->exit_code = (int)f->exiting->code;
        snprintf(v->last_detail, sizeof v->last_detail, "%s",
                 f->exiting->detail ? f->exiting->detail : "");
        break;
    case STILLPOINT__WORKER__FACT__BODY_PART:
        CHECK(!parts_add(
            &v->parts, &(struct worker_text){(const char *)f->part->data.data, f->part->data.len}));
        break;
    case STILLPOINT__WORKER__FACT__BODY_INSPECTED:
        break; /* see through_the_door() */
    case STILLPOINT__WORKER__FACT__BODY__NOT_SET:
        CHECK(!"a known fact");
        break;
    default:
        story_add(&v->story, f);
        CHECK(!v->story.gap);
    }
}

/* All that a worker says has to pass the daemon's door. */
static void through_the_door(struct vm *v, const uint8_t *packet, size_t n, const int *fds,
                             size_t n_fds)
{
    struct worker_fact fact;
    const char *why = NULL;
    if (check_worker_fact(packet, n, fds, n_fds, &fact, &why) < 0) {
        printf("# refused: %s\n", why);
        CHECK(!"a fact that passes the door");
    }
    if (fact.kind != FACT_INSPECTED) {
        check_worker_done(&fact);
        return;
    }
    CHECK(v->n_answered < sizeof v->answered / sizeof *v->answered);
    v->answered[v->n_answered++] = fact.inspected.request;
    check_worker_done(&v->answer);
    v->answer = fact;
}

/* Takes all facts that are there. False at the end of the channel. */
static bool vm_pump(struct vm *v)
{
    for (;;) {
        uint8_t packet[LIMIT_PACKET_BYTES];
        int fd = -1;
        size_t n_fds = 0;
        ssize_t n = fd_receive(v->channel, packet, sizeof packet, NULL, &n_fds);
        if (n == -EAGAIN)
            break;
        if (n <= 0)
            return false;
        Fact *f = stillpoint__worker__fact__unpack(NULL, (size_t)n, packet);
        CHECK(f);
        CHECK(parts_take(&v->parts, packet, (size_t)n, &fd) == 0);
        through_the_door(v, packet, (size_t)n, &fd, fd >= 0);
        take_fact(v, f, fd);
        stillpoint__worker__fact__free_unpacked(f, NULL);
        if (fd >= 0)
            close(fd);
    }
    if (!v->hold_acks && v->seq > v->acked)
        vm_ack(v);
    return true;
}

/* Pumps until the condition holds. */
#define UNTIL(v, condition)                                                                        \
    do {                                                                                           \
        uint64_t until_ = shm_now_ns() + PATIENCE_MS * MS;                                         \
        while (vm_pump(v) && !(condition)) {                                                       \
            CHECK(shm_now_ns() < until_ && #condition);                                            \
            struct pollfd p_ = {.fd = (v)->channel, .events = POLLIN};                             \
            poll(&p_, 1, 1);                                                                       \
        }                                                                                          \
        CHECK(condition);                                                                          \
    } while (0)

static void pump_for(struct vm *v, unsigned ms)
{
    uint64_t until = shm_now_ns() + ms * MS, now;
    while ((now = shm_now_ns()) < until) {
        vm_pump(v);
        struct pollfd p = {.fd = v->channel, .events = POLLIN};
        poll(&p, 1, (int)((until - now) / MS) + 1);
    }
}

static void vm_load(struct vm *v, const char *path, unsigned kind, const void *text, size_t bytes)
{
    int fd = fd_memfd_new("program", text, bytes);
    CHECK(fd >= 0);
    char *args[] = {text_of("one"), text_of("two")};
    Stillpoint__Worker__Load load = STILLPOINT__WORKER__LOAD__INIT;
    load.path = text_of(path);
    load.has_kind = true;
    load.kind = kind;
    load.n_args = 2;
    load.args = args;
    Command c = STILLPOINT__WORKER__COMMAND__INIT;
    c.body_case = STILLPOINT__WORKER__COMMAND__BODY_LOAD;
    c.load = &load;
    vm_send(v, &c, fd);
    close(fd);
}

/* Spawns and loads. */
static void vm_start(struct vm *v, struct zygote *z, struct stop_world *w, bool keep_idle,
                     const char *text)
{
    vm_spawn(v, z, w, keep_idle);
    UNTIL(v, v->born);
    vm_load(v, "test.txt", 0, text, strlen(text));
}

/* The same, and waits until it is linked, and admits it. */
static void vm_run(struct vm *v, struct zygote *z, struct stop_world *w, bool keep_idle,
                   const char *text)
{
    vm_start(v, z, w, keep_idle, text);
    UNTIL(v, v->loaded);
    CHECK(v->last_detail[0] == '\0');
    stop_admit(&v->gate);
}

static siginfo_t vm_reap(struct vm *v)
{
    siginfo_t si = {0};
    struct pollfd p = {.fd = v->pidfd, .events = POLLIN};
    CHECK(poll(&p, 1, PATIENCE_MS) == 1);
    vm_pump(v);
    CHECK(waitid(P_PIDFD, (id_t)v->pidfd, &si, WEXITED | __WALL) == 0);
    close(v->pidfd);
    close(v->channel);
    CHECK(v->gate.status->lost_wakes == 0);
    stop_gate_done(&v->gate);
    check_worker_done(&v->answer);
    return si;
}

static void vm_kill(struct vm *v)
{
    CHECK(syscall(SYS_pidfd_send_signal, v->pidfd, SIGKILL, NULL, 0) == 0);
    siginfo_t si = vm_reap(v);
    CHECK(si.si_code == CLD_KILLED && si.si_status == SIGKILL);
}

/* Waits as the daemon does, on the eventfd of one straggler after the other, and says how long it
 * took from the store that closed the gates. */
static uint64_t stop_all(struct stop_world *w)
{
    uint64_t start = shm_now_ns();
    stop_close(w);
    stop_settle(w);
    while (stop_kick(w) > 0) {
        struct pollfd p[2 * MAX_VMS];
        size_t n = w->n_gates;
        CHECK(n <= MAX_VMS);
        for (size_t i = 0; i < n; i++) {
            const struct vm *v = w->gates[i]->userdata;
            p[i] = (struct pollfd){.fd = v->gate.kick_fd, .events = POLLIN};
            p[n + i] = (struct pollfd){.fd = v->pidfd, .events = POLLIN};
        }
        CHECK(poll(p, 2 * n, PATIENCE_MS) > 0);
        for (size_t i = 0; i < n; i++) {
            uint64_t count;
            if (p[i].revents)
                CHECK(read(p[i].fd, &count, sizeof count) == (ssize_t)sizeof count);
            if (p[n + i].revents)
                return shm_now_ns() - start; /* one has died: its case looks at that */
        }
        stop_scan(w);
    }
    return shm_now_ns() - start;
}

static void call(struct vm *v, const char *function, const char *args, bool in_memfd)
{
    Stillpoint__Worker__Call m = STILLPOINT__WORKER__CALL__INIT;
    m.has_call_id = true;
    m.call_id = 5;
    m.function = text_of(function);
    m.has_in_memfd = m.in_memfd = in_memfd;
    m.args_json = in_memfd ? NULL : text_of(args);
    Command c = STILLPOINT__WORKER__COMMAND__INIT;
    c.body_case = STILLPOINT__WORKER__COMMAND__BODY_CALL;
    c.call = &m;
    int fd = in_memfd ? fd_memfd_new("args", args, strlen(args)) : -1;
    vm_send(v, &c, fd);
    if (fd >= 0)
        close(fd);
}

static void deliver(struct vm *v, const char *json)
{
    Stillpoint__Worker__Deliver m = STILLPOINT__WORKER__DELIVER__INIT;
    m.json = text_of(json);
    Command c = STILLPOINT__WORKER__COMMAND__INIT;
    c.body_case = STILLPOINT__WORKER__COMMAND__BODY_DELIVER;
    c.deliver = &m;
    vm_send(v, &c, -1);
}

static void inspect(struct vm *v, uint64_t request, unsigned kind)
{
    Stillpoint__Worker__Inspect m = STILLPOINT__WORKER__INSPECT__INIT;
    m.has_request = m.has_kind = true;
    m.request = request;
    m.kind = kind;
    Command c = STILLPOINT__WORKER__COMMAND__INIT;
    c.body_case = STILLPOINT__WORKER__COMMAND__BODY_INSPECT;
    c.inspect = &m;
    vm_send(v, &c, -1);
}

/* Asks, and waits for the answer, which has to be the only one. */
static const struct worker_inspected *inspected(struct vm *v, uint64_t request, unsigned kind)
{
    size_t before = v->n_answered;
    inspect(v, request, kind);
    UNTIL(v, v->n_answered > before);
    CHECK(v->n_answered == before + 1 && v->answered[before] == request);
    v->n_answered = 0;
    return &v->answer.inspected;
}

/* What the main thread had of its CPU: proc(5), schedstat. */
static void schedstat(pid_t pid, unsigned long long *ret_ran_ns, unsigned long long *ret_times)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", (int)pid, (int)pid);
    FILE *f = fopen(path, "r");
    CHECK(f && fscanf(f, "%llu %*u %llu", ret_ran_ns, ret_times) == 2);
    fclose(f);
}

/* How often the main thread was put on a CPU. */
static uint64_t times_run(pid_t pid)
{
    unsigned long long ran_ns, times;
    schedstat(pid, &ran_ns, &times);
    return times;
}

/* It has arrived, and goes to sleep with its next few instructions. */
static void await_asleep(pid_t pid)
{
    uint64_t until = shm_now_ns() + PATIENCE_MS * MS;
    char path[64], state = '?';
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)pid, (int)pid);
    while (state != 'S') {
        FILE *f = fopen(path, "r");
        CHECK(f && fscanf(f, "%*d (%*[^)]) %c", &state) == 1);
        fclose(f);
        CHECK(shm_now_ns() < until);
    }
}

static void status_line(pid_t pid, const char *key, char *value, size_t size)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    CHECK(f);
    value[0] = '\0';
    while (fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':')
            snprintf(value, size, "%s", line + strlen(key) + 2);
    fclose(f);
    value[strcspn(value, "\n")] = '\0';
}

/* ---- cases */

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void print_times(const char *what, uint64_t *ns, size_t n)
{
    qsort(ns, n, sizeof *ns, compare_u64);
    printf("# %s, %zu times: p50 %llu us, p99 %llu us, max %llu us\n", what, n,
           (unsigned long long)ns[n / 2] / 1000, (unsigned long long)ns[n * 99 / 100] / 1000,
           (unsigned long long)ns[n - 1] / 1000);
}

static void case_exit(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_run(&v, z, w, false, "print hello\nerror oops\nexit 3\n");
    UNTIL(&v, v.exiting);
    CHECK(strcmp(v.console, "hello\noops\n") == 0);
    CHECK(v.exit_reason == 1 && v.exit_code == 3);
    siginfo_t si = vm_reap(&v);
    CHECK(si.si_code == CLD_EXITED && si.si_status == 3);

    vm_run(&v, z, w, false, "print nothing left\n");
    UNTIL(&v, v.exiting);
    CHECK(v.ready && v.exit_reason == 1 && v.exit_code == 0);
    vm_reap(&v);

    vm_run(&v, z, w, false, "fail it went wrong\n");
    UNTIL(&v, v.exiting);
    CHECK(v.exit_reason == 2 && v.exit_code == 1 && strcmp(v.last_detail, "it went wrong") == 0);
    vm_reap(&v);

    vm_run(&v, z, w, false, "oom\n");
    UNTIL(&v, v.exiting);
    CHECK(v.exit_reason == 3 && v.exit_code == 137 && v.gate.status->oom == 1);
    vm_reap(&v);
}

static void case_syntax(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_start(&v, z, w, false, "print a\nnonsense b\n");
    UNTIL(&v, v.exiting);
    CHECK(v.loaded && strstr(v.last_detail, "test.txt:2:1: SyntaxError"));
    CHECK(v.exit_reason == 2 && v.exit_code == 1 && v.console_bytes == 0);
    vm_reap(&v);
}

static void case_gate(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_start(&v, z, w, false, "print never before\nidle\n");
    UNTIL(&v, v.loaded);
    pump_for(&v, 50);
    CHECK(v.console_bytes == 0 && stop_state(&v.gate) == SHM_PARKED);
    stop_close(w);
    stop_settle(w);
    stop_admit(&v.gate);
    pump_for(&v, 50);
    CHECK(v.console_bytes == 0);
    stop_open(w);
    UNTIL(&v, v.console_bytes > 0);
    UNTIL(&v, stop_state(&v.gate) == SHM_IDLE);
    vm_kill(&v);
}

static void case_busy(struct zygote *z, struct stop_world *w)
{
    struct vm v[3];
    for (int i = 0; i < 3; i++) {
        /* Not by its state: that is "running" for a moment before it parks for the first time too.
         */
        vm_run(&v[i], z, w, false, "print go\nbusy\n");
        UNTIL(&v[i], v[i].console_bytes > 0);
    }
    enum { STOPS = 300 };
    uint64_t ns[STOPS];
    for (int n = 0; n < STOPS; n++) {
        ns[n] = stop_all(w);
        for (int i = 0; i < 3; i++)
            CHECK(stop_slot(&v[i].gate)->how == STOP_ACKED);
        if (n == 0) {
            /* What was said before the stop is marked as such. */
            for (int i = 0; i < 3; i++) {
                vm_pump(&v[i]);
                CHECK(v[i].gate.status->last_fact == v[i].seq);
            }
            uint64_t before[3];
            for (int i = 0; i < 3; i++) {
                await_asleep(v[i].pid);
                before[i] = times_run(v[i].pid);
            }
            /* There is no event to wait for: nothing is to happen. */
            usleep(300000);
            for (int i = 0; i < 3; i++)
                CHECK(times_run(v[i].pid) == before[i]);
        }
        stop_open(w);
        uint64_t until = shm_now_ns() + PATIENCE_MS * MS;
        for (int i = 0; i < 3; i++)
            while (stop_state(&v[i].gate) != SHM_RUNNING)
                CHECK(shm_now_ns() < until);
    }
    print_times("stop of 3 busy VMs", ns, STOPS);
    for (int i = 0; i < 3; i++)
        vm_kill(&v[i]);
}

static void case_timer(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_run(&v, z, w, false, "timer 120 b\ntimer 60 a\ntimer 120 c\n");
    UNTIL(&v, stop_state(&v.gate) == SHM_IDLE);
    stop_all(w);
    CHECK(stop_slot(&v.gate)->how == STOP_HELD);
    pump_for(&v, 300);
    CHECK(v.console_bytes == 0 && stop_state(&v.gate) == SHM_PARKED);
    uint64_t start = shm_now_ns();
    stop_open(w);
    UNTIL(&v, v.exiting);
    CHECK(shm_now_ns() - start > 60 * MS);
    CHECK(strcmp(v.console, "a\nb\nc\n") == 0 && v.exit_code == 0);
    vm_reap(&v);

    vm_run(&v, z, w, false, "every 5 x\ntimer 48 exit 9\n");
    UNTIL(&v, v.exiting);
    CHECK(v.console_bytes >= 8 && v.console_bytes <= 18 && v.exit_code == 9);
    vm_reap(&v);
}

static void case_sleep(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_run(&v, z, w, false, "sleep 100\nprint slept\n");
    UNTIL(&v, stop_state(&v.gate) == SHM_BLOCKED);
    stop_all(w);
    CHECK(stop_slot(&v.gate)->how == STOP_HELD && stop_slot(&v.gate)->was == SHM_BLOCKED);
    pump_for(&v, 250);
    CHECK(v.console_bytes == 0);
    stop_open(w);
    UNTIL(&v, v.exiting);
    CHECK(strcmp(v.console, "slept\n") == 0 && v.ready);
    vm_reap(&v);
}

static void case_messages(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_run(&v, z, w, true, "post {\"a\":1}\n");
    UNTIL(&v, v.posted == 1);
    CHECK(strcmp(v.last_text, "{\"a\":1}") == 0);
    call(&v, "echo", "[1,2]", false);
    UNTIL(&v, v.calls_done == 1);
    CHECK(strcmp(v.last_text, "[1,2]") == 0);
    call(&v, "nobody", "[]", false);
    UNTIL(&v, v.calls_done == 2);
    CHECK(v.no_such == 1);
    call(&v, "echo", "nonsense", false);
    UNTIL(&v, v.calls_done == 3);
    CHECK(strstr(v.last_text, "not a JSON array"));

    size_t size = 300000;
    char *large = malloc(size + 1);
    memset(large, '[', size);
    large[size] = '\0';
    for (uint64_t i = 0; i < 20; i++) {
        call(&v, "echo", large, true);
        UNTIL(&v, v.calls_done == 4 + i);
        CHECK(v.last_text_bytes == size);
    }
    free(large);

    deliver(&v, "\"one\"");
    UNTIL(&v, strcmp(v.console, "message \"one\"\n") == 0);
    stop_all(w);
    deliver(&v, "\"two\"");
    pump_for(&v, 50);
    CHECK(strcmp(v.console, "message \"one\"\n") == 0);
    stop_open(w);
    UNTIL(&v, strcmp(v.console, "message \"one\"\nmessage \"two\"\n") == 0);

    /* More than a worker keeps: the others are refused, and all is answered. */
    stop_all(w);
    unsigned n = LIMIT_MESSAGES_QUEUED + 50;
    v.calls_done = 0;
    for (unsigned i = 0; i < n; i++) {
        call(&v, "echo", "[]", false);
        if (i % 32 == 0)
            pump_for(&v, 1);
    }
    UNTIL(&v, v.calls_done >= 30);
    CHECK(strstr(v.last_text, "too many messages"));
    stop_open(w);
    UNTIL(&v, v.calls_done == n);
    vm_kill(&v);
}

static void case_flow(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_run(&v, z, w, false, "flood 2000\n");
    v.hold_acks = true;
    UNTIL(&v, stop_state(&v.gate) == SHM_BLOCKED && v.console_bytes > 200000);
    pump_for(&v, 100);
    size_t window = v.console_bytes;
    CHECK(window <= LIMIT_FACT_WINDOW_BYTES);
    stop_all(w);
    CHECK(stop_slot(&v.gate)->how == STOP_HELD);
    v.hold_acks = false;
    pump_for(&v, 100);
    CHECK(v.console_bytes == window && stop_state(&v.gate) == SHM_PARKED);
    stop_open(w);
    UNTIL(&v, v.exiting);
    CHECK(v.console_bytes == 2000 * 1000);
    vm_reap(&v);

    /* A reader that does not read at all. */
    vm_run(&v, z, w, false, "flood 2000\n");
    uint64_t until = shm_now_ns() + PATIENCE_MS * MS;
    while (stop_state(&v.gate) != SHM_BLOCKED)
        CHECK(shm_now_ns() < until);
    UNTIL(&v, v.exiting);
    CHECK(v.console_bytes == 2000 * 1000);
    vm_reap(&v);
}

static void case_take_over(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_run(&v, z, w, true, "idle\n");
    UNTIL(&v, stop_state(&v.gate) == SHM_IDLE && v.ready);
    v.hold_acks = true;
    uint64_t known = v.seq;
    deliver(&v, "1");
    deliver(&v, "2");
    UNTIL(&v, v.seq == known + 2);
    v.seq = known;
    v.console_bytes = 0;
    Stillpoint__Worker__TakeOver m = STILLPOINT__WORKER__TAKE_OVER__INIT;
    m.has_last_seq = true;
    m.last_seq = known;
    Command c = STILLPOINT__WORKER__COMMAND__INIT;
    c.body_case = STILLPOINT__WORKER__COMMAND__BODY_TAKE_OVER;
    c.take_over = &m;
    vm_send(&v, &c, -1);
    UNTIL(&v, v.seq == known + 2);
    CHECK(strcmp(v.console, "message 1\nmessage 2\n") == 0);
    vm_kill(&v);
}

static void case_hang(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_run(&v, z, w, false, "print go\nhang\n");
    UNTIL(&v, v.console_bytes > 0);
    stop_close(w);
    stop_settle(w);
    CHECK(stop_kick(w) == 1);
    struct pollfd kick = {.fd = v.gate.kick_fd, .events = POLLIN};
    CHECK(poll(&kick, 1, 200) == 0);
    CHECK(stop_scan(w) == 1 && stop_slot(&v.gate)->how == STOP_NOT_ARRIVED);
    vm_kill(&v);
    stop_open(w);
}

/* ---- inspections */

static void case_inspect_parked(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_run(&v, z, w, false, "print go\nkeep 3 Foo\nkeep 7 Bar\ngarbage 1000\nbusy\n");
    UNTIL(&v, v.console_bytes > 0);
    stop_all(w);
    CHECK(stop_slot(&v.gate)->how == STOP_ACKED);
    uint64_t said = v.gate.status->last_fact;

    const struct worker_inspected *i = inspected(&v, 7, INSPECT_CENSUS);
    CHECK(!i->error && i->n_classes == 2 && i->n_frames == 0 && !i->truncated);
    CHECK(strcmp(i->classes[0].name, "Bar") == 0 && i->classes[0].count == 7);
    CHECK(i->classes[0].bytes == 7 * 16 && strcmp(i->classes[1].name, "Foo") == 0);

    i = inspected(&v, 8, INSPECT_GC);
    CHECK(!i->error && i->before_bytes == 1160 && i->after_bytes == 160);

    i = inspected(&v, 9, INSPECT_STACK);
    CHECK(!i->error && i->n_frames == 1 && !i->truncated);
    CHECK(i->frames[0].kind == WORKER_FRAME_JS && strcmp(i->frames[0].function, "busy") == 0);
    CHECK(i->frames[0].line == 5 && strcmp(i->frames[0].url, "test.txt") == 0);

    i = inspected(&v, 10, INSPECT_PARK);
    CHECK(!i->error && i->n_frames == 0 && i->n_classes == 0);
    i = inspected(&v, 11, 99);
    CHECK(i->error && strstr(i->error, "cannot answer"));
    CHECK(stop_state(&v.gate) == SHM_PARKED);
    /* Nothing of it counts as said by the guest. */
    CHECK(v.gate.status->last_fact == said);

    /* Several in a row: each is answered, in their order. */
    for (unsigned n = 0; n < 12; n++)
        inspect(&v, 100 + n, 1 + n % 4);
    UNTIL(&v, v.n_answered == 12);
    for (unsigned n = 0; n < 12; n++)
        CHECK(v.answered[n] == 100 + n);
    stop_open(w);
    UNTIL(&v, stop_state(&v.gate) == SHM_RUNNING);
    stop_all(w);
    stop_open(w);
    vm_kill(&v);
}

static void case_inspect_idle(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_run(&v, z, w, true, "keep 3 Foo\ntimer 400 late\n");
    UNTIL(&v, stop_state(&v.gate) == SHM_IDLE);
    pump_for(&v, 100);
    stop_all(w);
    CHECK(stop_slot(&v.gate)->how == STOP_HELD && stop_slot(&v.gate)->was == SHM_IDLE);
    uint64_t clock = stop_clock_ns(&v.gate), count;
    CHECK(inspected(&v, 1, INSPECT_STACK)->n_frames == 0);
    CHECK(stop_state(&v.gate) == SHM_PARKED);

    /* One that is parked already, too. */
    CHECK(inspected(&v, 2, INSPECT_CENSUS)->n_classes == 1);
    pump_for(&v, 500);
    CHECK(v.console_bytes == 0 && stop_clock_ns(&v.gate) == clock);
    stop_open(w);
    UNTIL(&v, stop_state(&v.gate) == SHM_IDLE && v.console_bytes == 0);
    UNTIL(&v, strcmp(v.console, "late\n") == 0);
    CHECK(stop_clock_ns(&v.gate) - clock > 100 * MS);

    /* --require-idle: its arrival is told as that of any other. */
    UNTIL(&v, stop_state(&v.gate) == SHM_IDLE);
    stop_all(w);
    CHECK(stop_slot(&v.gate)->how == STOP_HELD);
    (void)!read(v.gate.kick_fd, &count, sizeof count);
    stop_kick_one(&v.gate);
    inspected(&v, 3, INSPECT_PARK);
    CHECK(read(v.gate.kick_fd, &count, sizeof count) == (ssize_t)sizeof count);
    CHECK(stop_state(&v.gate) == SHM_PARKED);
    CHECK(shm_status_epoch(v.gate.status->word) == w->epoch);
    await_asleep(v.pid);
    uint64_t before = times_run(v.pid);
    pump_for(&v, 100);
    CHECK(times_run(v.pid) <= before + 1); /* our acknowledgement wakes it */
    stop_open(w);
    call(&v, "echo", "[]", false);
    UNTIL(&v, v.calls_done == 1);
    vm_kill(&v);
}

static void case_inspect_blocked(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_run(&v, z, w, false, "sleep 1500\nprint slept\n");
    UNTIL(&v, stop_state(&v.gate) == SHM_BLOCKED);
    uint64_t start = stop_clock_ns(&v.gate);
    pump_for(&v, 1000);
    stop_all(w);
    CHECK(stop_slot(&v.gate)->how == STOP_HELD && stop_slot(&v.gate)->was == SHM_BLOCKED);
    const struct worker_inspected *i = inspected(&v, 1, INSPECT_STACK);
    CHECK(i->n_frames == 1 && strcmp(i->frames[0].function, "sleep") == 0);
    CHECK(stop_state(&v.gate) == SHM_PARKED);
    pump_for(&v, 700);
    CHECK(v.console_bytes == 0 && stop_state(&v.gate) == SHM_PARKED);
    stop_open(w);
    UNTIL(&v, stop_state(&v.gate) == SHM_BLOCKED);
    UNTIL(&v, v.exiting);
    /* What was left, neither nothing nor all of it. */
    uint64_t slept = stop_clock_ns(&v.gate) - start;
    CHECK(slept > 1400 * MS && slept < 2400 * MS);
    CHECK(strcmp(v.console, "slept\n") == 0);
    vm_reap(&v);

    /* Blocked because we are slow; it has to remember that. */
    vm_run(&v, z, w, false, "flood 2000\n");
    v.hold_acks = true;
    UNTIL(&v, stop_state(&v.gate) == SHM_BLOCKED && v.console_bytes > 200000);
    pump_for(&v, 100);
    stop_all(w);
    size_t window = v.console_bytes;
    i = inspected(&v, 2, INSPECT_STACK);
    CHECK(i->n_frames == 1 && strcmp(i->frames[0].function, "flood") == 0);
    CHECK(stop_state(&v.gate) == SHM_PARKED);
    stop_open(w);
    UNTIL(&v, stop_state(&v.gate) == SHM_BLOCKED);
    pump_for(&v, 50);
    CHECK(v.console_bytes == window);
    v.hold_acks = false;
    UNTIL(&v, v.exiting);
    CHECK(v.console_bytes == 2000 * 1000);
    vm_reap(&v);
}

static void case_inspect_starting(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_spawn(&v, z, w, false);
    UNTIL(&v, v.born);
    inspect(&v, 1, INSPECT_STACK);
    inspect(&v, 2, INSPECT_PARK);
    pump_for(&v, 50);
    CHECK(v.n_answered == 0 && stop_state(&v.gate) == SHM_STARTING);
    vm_load(&v, "test.txt", 0, "print go\nbusy\n", 14);
    UNTIL(&v, v.n_answered == 2);
    CHECK(v.loaded && v.console_bytes == 0 && stop_state(&v.gate) == SHM_PARKED);
    stop_admit(&v.gate);
    UNTIL(&v, v.console_bytes > 0);
    vm_kill(&v);

    /* One that cannot be loaded answers nobody. */
    vm_spawn(&v, z, w, false);
    UNTIL(&v, v.born);
    inspect(&v, 1, INSPECT_STACK);
    vm_load(&v, "test.txt", 0, "nonsense\n", 9);
    UNTIL(&v, v.exiting);
    CHECK(v.n_answered == 0);
    vm_reap(&v);

    /* More than wait in a VM: the others are refused, and none is lost. */
    vm_spawn(&v, z, w, false);
    UNTIL(&v, v.born);
    unsigned n = LIMIT_INSPECTS_QUEUED + 4;
    for (unsigned i = 0; i < n; i++)
        inspect(&v, 1 + i, INSPECT_PARK);
    UNTIL(&v, v.n_answered == 4);
    CHECK(v.answered[0] == LIMIT_INSPECTS_QUEUED + 1);
    CHECK(strstr(v.answer.inspected.error, "too many requests"));
    vm_load(&v, "test.txt", 0, "idle\n", 5);
    UNTIL(&v, v.n_answered == n);
    CHECK(!v.answer.inspected.error);
    vm_kill(&v);
}

static void case_inspect_running(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    /* The gate was opened before it was read: served where the VM next looks at its channel. */
    vm_run(&v, z, w, true, "idle\n");
    UNTIL(&v, stop_state(&v.gate) == SHM_IDLE);
    for (unsigned n = 0; n < 20; n++)
        CHECK(!inspected(&v, n, 1 + n % 4)->error);
    UNTIL(&v, stop_state(&v.gate) == SHM_IDLE);
    vm_kill(&v);

    vm_run(&v, z, w, false, "sleep 300\nprint slept\n");
    UNTIL(&v, stop_state(&v.gate) == SHM_BLOCKED);
    CHECK(inspected(&v, 1, INSPECT_STACK)->n_frames == 1);
    UNTIL(&v, v.exiting && strcmp(v.console, "slept\n") == 0);
    vm_reap(&v);

    vm_run(&v, z, w, false, "every 1 burn 1\n");
    UNTIL(&v, v.ready);
    CHECK(!inspected(&v, 1, INSPECT_GC)->error);
    vm_kill(&v);

    vm_run(&v, z, w, false, "print go\nbusy\n");
    UNTIL(&v, v.console_bytes > 0);
    inspect(&v, 5, INSPECT_STACK);
    pump_for(&v, 50);
    CHECK(v.n_answered == 0 && stop_state(&v.gate) == SHM_RUNNING);
    stop_all(w);
    UNTIL(&v, v.n_answered == 1);
    stop_open(w);
    vm_kill(&v);

    /* One that ends instead. */
    vm_run(&v, z, w, false, "print go\nbusy 100\nexit 4\n");
    UNTIL(&v, v.console_bytes > 0);
    inspect(&v, 6, INSPECT_STACK);
    UNTIL(&v, v.exiting && v.exit_code == 4);
    vm_reap(&v);
}

static void case_inspect_slow(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    uint64_t count;
    vm_run(&v, z, w, true, "slow 300\nidle\n");
    UNTIL(&v, stop_state(&v.gate) == SHM_IDLE);
    stop_all(w);
    /* It arrives before the work, not after it. */
    stop_kick_one(&v.gate);
    inspect(&v, 1, INSPECT_GC);
    wait_readable(v.gate.kick_fd);
    CHECK(read(v.gate.kick_fd, &count, sizeof count) == (ssize_t)sizeof count);
    CHECK(vm_pump(&v) && v.n_answered == 0 && stop_state(&v.gate) == SHM_PARKED);
    /* Opened, and closed again, in the middle of it. */
    stop_open(w);
    stop_close(w);
    stop_settle(w);
    CHECK(w->n_missing == 0 && stop_slot(&v.gate)->how == STOP_HELD);
    UNTIL(&v, v.n_answered == 1);
    UNTIL(&v, shm_status_epoch(v.gate.status->word) == w->epoch);
    CHECK(stop_state(&v.gate) == SHM_PARKED);
    inspect(&v, 2, INSPECT_CENSUS);
    stop_open(w);
    UNTIL(&v, v.n_answered == 2 && stop_state(&v.gate) == SHM_IDLE);
    vm_kill(&v);
}

static void case_inspect_large(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_run(&v, z, w, false, "print go\nwide 400\ndeep 700\nbusy\n");
    UNTIL(&v, v.console_bytes > 0);
    stop_all(w);
    const struct worker_inspected *i = inspected(&v, 1, INSPECT_CENSUS);
    CHECK(i->n_classes == LIMIT_INSPECT_CLASSES && i->truncated && v.answer.body);
    uint64_t count = 0, bytes = 0;
    for (size_t n = 0; n < i->n_classes; n++) {
        count += i->classes[n].count;
        bytes += i->classes[n].bytes;
    }
    CHECK(count == 400 && bytes == 400 * 401 / 2);
    CHECK(i->classes[0].bytes == 400 && strncmp(i->classes[0].name, "wide0400", 8) == 0);
    CHECK(strcmp(i->classes[LIMIT_INSPECT_CLASSES - 1].name, "(other)") == 0);

    i = inspected(&v, 2, INSPECT_STACK);
    CHECK(i->n_frames == LIMIT_INSPECT_FRAMES && i->truncated && v.answer.body);
    CHECK(strcmp(i->frames[0].function, "busy") == 0);
    CHECK(strncmp(i->frames[511].function, "deep0511", 8) == 0 && i->frames[511].offset == 511);
    /* The worker keeps no more of them than its limit of descriptors allows. */
    for (unsigned n = 0; n < 200; n++)
        CHECK(inspected(&v, n, INSPECT_STACK)->n_frames == LIMIT_INSPECT_FRAMES);
    stop_open(w);
    vm_kill(&v);

    vm_run(&v, z, w, true, "nogc\nidle\n");
    UNTIL(&v, stop_state(&v.gate) == SHM_IDLE);
    stop_all(w);
    for (unsigned kind = INSPECT_GC; kind <= INSPECT_STACK; kind++) {
        i = inspected(&v, kind, kind);
        CHECK(strcmp(i->error, strerror(ENOMEM)) == 0 && i->n_frames + i->n_classes == 0);
    }
    CHECK(!inspected(&v, 4, INSPECT_PARK)->error);
    stop_open(w);
    vm_kill(&v);
}

/* Many stops of VMs that do different things, each asked in each of them, and now and then after
 * it: no wake may be lost (see vm_reap), and nothing is answered twice. */
static void case_inspect_many(struct zygote *z, struct stop_world *w)
{
    static const char *const programs[] = {"busy\n", "every 1 burn 1\n", "timer 100000 x\n",
                                           "sleep 100000\n"};
    enum { VMS = sizeof programs / sizeof *programs };
    struct vm v[VMS];
    for (int i = 0; i < VMS; i++) {
        vm_run(&v[i], z, w, true, programs[i]);
        UNTIL(&v[i], stop_state(&v[i].gate) != SHM_PARKED);
    }
    for (uint64_t n = 0; n < 300; n++) {
        stop_all(w);
        for (int i = 0; i < VMS; i++)
            inspect(&v[i], n, 1 + (n + (uint64_t)i) % 4);
        if (n % 3 == 0)
            stop_open(w); /* and what was not read yet is served in the next stop at the latest */
        if (n % 3 == 0)
            stop_all(w);
        for (int i = 0; i < VMS; i++) {
            UNTIL(&v[i], v[i].n_answered == 1);
            CHECK(v[i].answered[0] == n && !v[i].answer.inspected.error);
            /* Or idle again, if it was served in between. */
            CHECK(n % 3 == 0 || stop_state(&v[i].gate) == SHM_PARKED);
            v[i].n_answered = 0;
        }
        stop_open(w);
    }
    for (int i = 0; i < VMS; i++)
        vm_kill(&v[i]);
}

/* A worker that says it is parked, and runs on: seen in its main thread's CPU time alone. */
static void case_lie(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_run(&v, z, w, false, "print go\nlie\n");
    UNTIL(&v, v.console_bytes > 0);
    for (int n = 0; n < 3; n++) {
        unsigned long long before_ns, after_ns, times;
        stop_all(w);
        CHECK(stop_slot(&v.gate)->how == STOP_ACKED && stop_state(&v.gate) == SHM_PARKED);
        schedstat(v.pid, &before_ns, &times);
        uint64_t until = shm_now_ns() + PATIENCE_MS * MS;
        do {
            schedstat(v.pid, &after_ns, &times);
            CHECK(shm_now_ns() < until);
        } while (after_ns - before_ns < MS);
        CHECK(strcmp(inspected(&v, 1, INSPECT_STACK)->frames[0].function, "lie") == 0);
        stop_open(w);
        until = shm_now_ns() + PATIENCE_MS * MS;
        while (stop_state(&v.gate) != SHM_RUNNING)
            CHECK(shm_now_ns() < until);
    }
    vm_kill(&v);
}

static void case_thread(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_run(&v, z, w, false, "thread\n");
    UNTIL(&v, strcmp(v.console, "woken\n") == 0);
    vm_kill(&v);
}

static void expect_signal(struct zygote *z, struct stop_world *w, const char *text, int sig)
{
    struct vm v;
    vm_run(&v, z, w, false, text);
    siginfo_t si = vm_reap(&v);
    bool killed = si.si_code == CLD_KILLED || si.si_code == CLD_DUMPED;
    if (!killed || si.si_status != sig)
        printf("# code %d status %d after %s", si.si_code, si.si_status, text);
    CHECK(killed && si.si_status == sig);
}

static void expect_result(struct zygote *z, struct stop_world *w, long number, const char *args,
                          long result)
{
    struct vm v;
    char text[128], wanted[128];
    snprintf(text, sizeof text, "syscall %ld %s\n", number, args);
    snprintf(wanted, sizeof wanted, "syscall %ld: %ld\n", number, result);
    vm_run(&v, z, w, false, text);
    UNTIL(&v, v.exiting);
    CHECK(strcmp(v.console, wanted) == 0);
    vm_reap(&v);
}

static void case_lockdown(struct zygote *z, struct stop_world *w)
{
    expect_signal(z, w, "crash\n", SIGILL);
    const long fatal[] = {SYS_socket, SYS_execve, SYS_clone,  SYS_fork,
                          SYS_kill,   SYS_ptrace, SYS_mount,  SYS_setns,
                          SYS_prctl,  SYS_ioctl,  SYS_open,   SYS_clone3,
                          SYS_bpf,    SYS_dup,    SYS_accept, 0x40000000 + SYS_read,
                          100000};
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) {
        char text[64];
        snprintf(text, sizeof text, "syscall %ld\n", fatal[i]);
        expect_signal(z, w, text, SIGSYS);
    }
    char text[128];
    expect_result(z, w, SYS_openat, "0 0 0 0", -EACCES);
    expect_result(z, w, SYS_mprotect, "0 0 3", 0);
    expect_result(z, w, SYS_mprotect, "0 0 5", 0);
    snprintf(text, sizeof text, "syscall %d 0 0 7\n", SYS_mprotect);
    expect_signal(z, w, text, SIGSYS);
    snprintf(text, sizeof text, "syscall %d 0 4096 7 34 -1 0\n", SYS_mmap);
    expect_signal(z, w, text, SIGSYS);
    snprintf(text, sizeof text, "syscall %d 0 4096 3 33 -1 0\n", SYS_mmap); /* shared */
    expect_signal(z, w, text, SIGSYS);
    snprintf(text, sizeof text, "syscall %d 0 4096 3 0x122 -1 0\n", SYS_mmap); /* grows down */
    expect_signal(z, w, text, SIGSYS);
    snprintf(text, sizeof text, "syscall %d 0 0 0x100000001\n", SYS_mprotect);
    expect_signal(z, w, text, SIGSYS);
    snprintf(text, sizeof text, "syscall %d 0 3\n", SYS_futex);
    expect_signal(z, w, text, SIGSYS);
    snprintf(text, sizeof text, "syscall %d 3 4 0\n", SYS_fcntl);
    expect_signal(z, w, text, SIGSYS);
    expect_result(z, w, SYS_fcntl, "0 1034", -EINVAL); /* GET_SEALS of no memfd */
    snprintf(text, sizeof text, "syscall %d 15 0 0 8\n", SYS_rt_sigaction);
    expect_signal(z, w, text, SIGSYS);
    snprintf(text, sizeof text, "syscall %d 31 0 0 8\n", SYS_rt_sigaction); /* its own */
    expect_signal(z, w, text, SIGSYS);
    expect_result(z, w, SYS_rt_sigaction, "11 0 0 8", 0);
}

/* uretprobe and uprobe of x86-64 (Linux 6.11 and 6.18): the kernel lets them pass every filter, and
 * called from anywhere but its own trampoline they do nothing (SIGILL, ENXIO). */
static bool beyond_filters(int number)
{
    return number == 335 || number == 336;
}

static bool in_table(int number)
{
    for (size_t i = 0; i < seccomp_table_rows; i++)
        if (seccomp_table[i].number == number)
            return true;
    return false;
}

/* Whatever is not in the table dies, whatever its number; x32 numbers die all. */
static void case_every_syscall(struct zygote *z, struct stop_world *w)
{
    unsigned died = 0;
    char text[64];
    for (int number = 0; number < 512; number++) {
        if (in_table(number) || beyond_filters(number))
            continue;
        snprintf(text, sizeof text, "syscall %d\n", number);
        expect_signal(z, w, text, SIGSYS);
        died++;
    }
    for (int number = 0; number < 512; number += 8) {
        snprintf(text, sizeof text, "syscall %d\n", 0x40000000 + number);
        expect_signal(z, w, text, SIGSYS);
    }
    printf("# %zu system calls in the table, %u of the first 512 die\n", seccomp_table_rows, died);
}

static void case_imports(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    const char *imported = "print not run\n";
    Stillpoint__Worker__AnswerImport m = STILLPOINT__WORKER__ANSWER_IMPORT__INIT;
    Command c = STILLPOINT__WORKER__COMMAND__INIT;
    c.body_case = STILLPOINT__WORKER__COMMAND__BODY_ANSWER_IMPORT;
    c.answer_import = &m;

    vm_start(&v, z, w, false, "print main\nimport lib/a.txt\n");
    UNTIL(&v, v.imports_wanted == 2);
    CHECK(strcmp(v.last_text, "lib/a.txt") == 0 && stop_state(&v.gate) == SHM_STARTING);
    m.has_import_id = true;
    m.import_id = 2;
    int fd = fd_memfd_new("import", imported, strlen(imported));
    vm_send(&v, &c, fd);
    close(fd);
    UNTIL(&v, v.loaded);
    CHECK(v.last_detail[0] == '\0');
    stop_admit(&v.gate);
    UNTIL(&v, v.exiting);
    CHECK(strcmp(v.console, "main\n") == 0);
    vm_reap(&v);

    vm_start(&v, z, w, false, "print main\nimport lib/a.txt\n");
    UNTIL(&v, v.imports_wanted == 2);
    m.error = text_of("there is none");
    vm_send(&v, &c, -1);
    UNTIL(&v, v.exiting);
    CHECK(v.loaded && strcmp(v.last_detail, "there is none") == 0);
    vm_reap(&v);

    /* One that is answered twice goes on waiting for the other. */
    m.error = NULL;
    vm_start(&v, z, w, false, "print main\nimport lib/a.txt\nimport lib/b.txt\n");
    UNTIL(&v, v.imports_wanted == 3);
    fd = fd_memfd_new("import", imported, strlen(imported));
    vm_send(&v, &c, fd);
    m.error = text_of("once more");
    vm_send(&v, &c, -1);
    m.error = NULL;
    m.import_id = 3;
    vm_send(&v, &c, fd);
    close(fd);
    UNTIL(&v, v.loaded);
    CHECK(v.last_detail[0] == '\0');
    stop_admit(&v.gate);
    UNTIL(&v, v.exiting);
    CHECK(strcmp(v.console, "main\n") == 0);
    vm_reap(&v);

    /* From the bundle: nobody is asked. */
    vm_spawn(&v, z, w, false);
    Stillpoint__Worker__AddFile file = STILLPOINT__WORKER__ADD_FILE__INIT;
    file.path = text_of("lib/a.txt");
    Command add = STILLPOINT__WORKER__COMMAND__INIT;
    add.body_case = STILLPOINT__WORKER__COMMAND__BODY_ADD_FILE;
    add.add_file = &file;
    fd = fd_memfd_new("file", imported, strlen(imported));
    vm_send(&v, &add, fd);
    close(fd);
    UNTIL(&v, v.born);
    vm_load(&v, "main.txt", 0, "import lib/a.txt\n", 17);
    UNTIL(&v, v.loaded);
    CHECK(v.imports_wanted == 0 && v.last_detail[0] == '\0');
    vm_kill(&v);
}

/* A directory of the cgroup tree would do; this one cannot, and the VM is born all the same. */
static void case_cgroup_refused(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    cgroup_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(cgroup_fd >= 0);
    vm_run(&v, z, w, true, "idle\n");
    fd_close(&cgroup_fd);
    UNTIL(&v, stop_state(&v.gate) == SHM_IDLE);
    CHECK(v.cgroup_error == EBADF);
    for (size_t i = 0; i < v.n_posture; i++)
        CHECK(strcmp(v.posture_names[i], "cgroup") != 0 || v.posture[i] == 1);
    vm_kill(&v);
}

static void case_posture(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    char value[256];
    vm_run(&v, z, w, true, "idle\n");
    UNTIL(&v, stop_state(&v.gate) == SHM_IDLE);
    printf("# posture:");
    for (size_t i = 0; i < v.n_posture; i++) {
        printf(" %s=%u", v.posture_names[i], v.posture[i]);
        bool degradable = strcmp(v.posture_names[i], "cgroup") == 0 ||
                          strcmp(v.posture_names[i], "landlock") == 0;
        CHECK(v.posture[i] == 2 || degradable);
    }
    printf("\n");
    CHECK(v.n_posture == 15);

    const struct {
        const char *key, *value;
    } wanted[] = {{"Seccomp", "2"},
                  {"NoNewPrivs", "1"},
                  {"CapEff", "0000000000000000"},
                  {"CapPrm", "0000000000000000"},
                  {"CapBnd", "0000000000000000"},
                  {"CapInh", "0000000000000000"},
                  {"CapAmb", "0000000000000000"}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        status_line(v.pid, wanted[i].key, value, sizeof value);
        CHECK(strcmp(value, wanted[i].value) == 0);
    }
    unsigned ruid, euid, suid, fsuid;
    status_line(v.pid, "Uid", value, sizeof value);
    CHECK(sscanf(value, "%u %u %u %u", &ruid, &euid, &suid, &fsuid) == 4);
    CHECK(ruid != 0 && euid == ruid && suid == ruid && fsuid == ruid);
    status_line(v.pid, "NSpid", value, sizeof value);
    CHECK(strcmp(strchr(value, '\t'), "\t1") == 0);
    status_line(v.pid, "Threads", value, sizeof value);
    printf("# %s threads, uid %u", value, ruid);
    status_line(v.pid, "VmRSS", value, sizeof value);
    printf(", resident %s\n", value);

    if (observer >= 0) {
        char report[1024] = "";
        CHECK(send(observer, &v.pid, sizeof v.pid, 0) > 0);
        CHECK(recv(observer, report, sizeof report - 1, 0) > 0);
        printf("# observer: %s", report);
        CHECK(!strstr(report, "shared") && !strstr(report, "?"));
        CHECK(strstr(report, "files=0 ") && strstr(report, "mounts=1 "));
        CHECK(strstr(report, "net=lo\n"));
        CHECK(strstr(report, "fds=0,1,2,3,4,5, ")); /* 5 is the wake eventfd by now */
    }
    vm_kill(&v);
}

static void case_orphan(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_run(&v, z, w, true, "idle\n");
    UNTIL(&v, stop_state(&v.gate) == SHM_IDLE);
    close(v.channel);
    v.channel = open("/dev/null", O_RDONLY | O_CLOEXEC);
    siginfo_t si = vm_reap(&v);
    CHECK(si.si_code == CLD_EXITED);

    /* A worker outlives its zygote. */
    struct zygote other;
    zygote_start(&other, "--zygote");
    vm_run(&v, &other, w, true, "idle\n");
    CHECK(zygote_end(&other) == 0);
    call(&v, "echo", "[]", false);
    UNTIL(&v, v.calls_done == 1);
    vm_kill(&v);
}

static void case_exec(struct zygote *z, struct stop_world *w)
{
    (void)z;
    struct zygote own;
    struct vm v;
    zygote_start(&own, "--exec");
    vm_run(&v, &own, w, false, "print alone\n");
    UNTIL(&v, v.exiting);
    CHECK(strcmp(v.console, "alone\n") == 0);
    vm_reap(&v);
    CHECK(zygote_end(&own) == 0);
}

/* ---- SpiderMonkey, in its sandbox */

static const struct worker_class *class_of(const struct worker_inspected *i, const char *name)
{
    static const struct worker_class none;
    for (size_t n = 0; n < i->n_classes; n++)
        if (strcmp(i->classes[n].name, name) == 0)
            return &i->classes[n];
    return &none;
}

static void case_mozjs_hot(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_run(&v, z, w, false,
           "const keep = [];\n"
           "function spin(n) {\n"
           "  let s = 0;\n"
           "  for (let i = 0; i < n; i++) {\n"
           "    s += i & 7;\n"
           "    if ((i & 0xfffff) === 0) keep[0] = new ArrayBuffer(1 << 20);\n"
           "  }\n"
           "  return s;\n"
           "}\n"
           "console.log('go');\n"
           "for (;;) if (spin(3e8) !== 1050000000) throw new Error('wrong');\n");
    UNTIL(&v, v.console_bytes > 0);
    for (unsigned n = 0; n < 10; n++) {
        pump_for(&v, 20);
        stop_all(w);
        CHECK(stop_slot(&v.gate)->how == STOP_ACKED);
        const struct worker_inspected *i = inspected(&v, n, INSPECT_STACK);
        CHECK(!i->error && i->n_frames == 2 && !i->truncated);
        if (i->frames[1].line == 10) { /* not back from console.log yet */
            stop_open(w);
            n--;
            continue;
        }
        CHECK(i->frames[0].kind == WORKER_FRAME_JS && strcmp(i->frames[0].function, "spin") == 0);
        CHECK(i->frames[0].line >= 4 && i->frames[0].line <= 6 && i->frames[0].column > 0);
        CHECK(strcmp(i->frames[0].url, "test.txt") == 0 && i->frames[1].line == 11);
        i = inspected(&v, n, INSPECT_GC);
        CHECK(!i->error && i->before_bytes >= i->after_bytes);
        CHECK(i->after_bytes > 1u << 20 && i->after_bytes < 3u << 20);
        i = inspected(&v, n, INSPECT_CENSUS);
        CHECK(!i->error && class_of(i, "ArrayBuffer")->count == 1);
        CHECK(class_of(i, "ArrayBuffer")->bytes >= 1u << 20);
        stop_open(w);
        CHECK(vm_pump(&v) && !v.exiting);
    }
    vm_kill(&v);
}

static void case_mozjs_waits(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_run(&v, z, w, false,
           "function wait(ms) {\n"
           "  return Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);\n"
           "}\n"
           "console.log(wait(600));\n");
    UNTIL(&v, stop_state(&v.gate) == SHM_BLOCKED);
    stop_all(w);
    const struct worker_inspected *i = inspected(&v, 1, INSPECT_STACK);
    CHECK(i->n_frames == 3 && strcmp(i->frames[0].function, "Atomics.wait") == 0);
    CHECK(i->frames[0].kind == WORKER_FRAME_HOST && i->frames[0].line == 0);
    CHECK(strcmp(i->frames[1].function, "wait") == 0 && i->frames[1].line == 2);
    CHECK(!inspected(&v, 2, INSPECT_GC)->error);
    CHECK(class_of(inspected(&v, 3, INSPECT_CENSUS), "SharedArrayBuffer")->count == 1);
    stop_open(w);
    UNTIL(&v, v.exiting && v.exit_code == 0);
    CHECK(strcmp(v.console, "timed-out\n") == 0);
    vm_reap(&v);

    /* Idle, with a heap of some size; and what it costs there. */
    enum { TIMES = 9 };
    uint64_t ns[INSPECT_STACK + 1][TIMES];
    vm_run(&v, z, w, false,
           "const keep = [];\n"
           "for (let i = 0; i < 400000; i++) keep.push({i, t: [i], n: null});\n"
           "onmessage = () => {};\n");
    UNTIL(&v, v.ready && stop_state(&v.gate) == SHM_IDLE);
    stop_all(w);
    for (int n = 0; n < TIMES; n++)
        for (unsigned kind = INSPECT_GC; kind <= INSPECT_STACK; kind++) {
            uint64_t start = shm_now_ns();
            i = inspected(&v, kind, kind);
            ns[kind][n] = shm_now_ns() - start;
            CHECK(!i->error && i->n_frames == 0);
            if (kind == INSPECT_CENSUS)
                CHECK(class_of(i, "Array")->count >= 400001 &&
                      class_of(i, "Object")->count >= 400000);
            if (kind == INSPECT_GC && n == 0)
                printf("# heap of %llu kB\n", (unsigned long long)i->after_bytes / 1024);
        }
    print_times("collection", ns[INSPECT_GC], TIMES);
    print_times("census", ns[INSPECT_CENSUS], TIMES);
    print_times("empty stack", ns[INSPECT_STACK], TIMES);
    stop_open(w);
    UNTIL(&v, stop_state(&v.gate) == SHM_IDLE);
    vm_kill(&v);
}

static void case_births(struct zygote *z, struct stop_world *w)
{
    enum { BIRTHS = 200 };
    uint64_t ns[BIRTHS];
    for (int i = 0; i < BIRTHS; i++) {
        struct vm v;
        uint64_t start = shm_now_ns();
        vm_spawn(&v, z, w, false);
        while (!v.born) {
            wait_readable(v.channel);
            CHECK(vm_pump(&v));
        }
        ns[i] = shm_now_ns() - start;
        vm_kill(&v);
    }
    print_times("spawn to Born", ns, BIRTHS);
}

/* ---- auditors */

static void command(struct vm *v, Command *c)
{
    vm_send(v, c, -1);
}

static const struct worker_inspected *asked(struct vm *v, Stillpoint__Worker__Inspect *m,
                                            unsigned kind)
{
    size_t before = v->n_answered;
    m->has_request = m->has_kind = true;
    m->request = 77;
    m->kind = kind;
    Command c = STILLPOINT__WORKER__COMMAND__INIT;
    c.body_case = STILLPOINT__WORKER__COMMAND__BODY_INSPECT;
    c.inspect = m;
    command(v, &c);
    UNTIL(v, v->n_answered > before);
    CHECK(v->n_answered == before + 1 && v->answered[before] == 77);
    v->n_answered = 0;
    return &v->answer.inspected;
}

static Stillpoint__Worker__Hook a_hook(uint64_t id, unsigned kind)
{
    Stillpoint__Worker__Hook h = STILLPOINT__WORKER__HOOK__INIT;
    h.has_hook = h.has_kind = h.has_suspend = h.has_granularity = h.has_value = true;
    h.hook = id;
    h.kind = kind;
    h.suspend = 1;
    h.granularity = 1;
    h.value = true;
    h.has_per_second = h.has_count = h.has_skip = h.has_frame = h.has_one_frame = true;
    h.has_realm = h.has_line_from = h.has_line_to = h.has_stack_depth = h.has_arguments = true;
    return h;
}

static Stillpoint__Worker__Place a_place(const char *url, unsigned line)
{
    Stillpoint__Worker__Place p = STILLPOINT__WORKER__PLACE__INIT;
    p.url = text_of(url);
    p.has_line = true;
    p.line = line;
    return p;
}

/* The error, or NULL; a VM that runs has to be stopped. */
static const char *set_hooks(struct vm *v, Stillpoint__Worker__Hook *add, size_t n_add,
                             uint64_t *remove, size_t n_remove)
{
    Stillpoint__Worker__Hook *rows[300];
    for (size_t i = 0; i < n_add; i++)
        rows[i] = &add[i];
    Stillpoint__Worker__SetHooks m = STILLPOINT__WORKER__SET_HOOKS__INIT;
    m.add = rows;
    m.n_add = n_add;
    m.remove = remove;
    m.n_remove = n_remove;
    Stillpoint__Worker__Inspect i = STILLPOINT__WORKER__INSPECT__INIT;
    i.set_hooks = &m;
    return asked(v, &i, INSPECT_SET_HOOKS)->error;
}

static const char *arm_step(struct vm *v, uint64_t number, unsigned how, const char *url,
                            unsigned line)
{
    Stillpoint__Worker__Step m = STILLPOINT__WORKER__STEP__INIT;
    Stillpoint__Worker__Place at = a_place(url, line);
    m.has_step = m.has_how = true;
    m.step = number;
    m.how = how;
    m.at = url ? &at : NULL;
    Stillpoint__Worker__Inspect i = STILLPOINT__WORKER__INSPECT__INIT;
    i.step = &m;
    return asked(v, &i, INSPECT_STEP)->error;
}

static void send_answer(struct vm *v, uint64_t pause, unsigned answer, const char *expression)
{
    Stillpoint__Worker__AnswerPause m = STILLPOINT__WORKER__ANSWER_PAUSE__INIT;
    m.has_pause = m.has_answer = true;
    m.pause = pause;
    m.answer = answer;
    m.expression = text_of(expression);
    Command c = STILLPOINT__WORKER__COMMAND__INIT;
    c.body_case = STILLPOINT__WORKER__COMMAND__BODY_ANSWER_PAUSE;
    c.answer_pause = &m;
    command(v, &c);
}

static void answer_pause(struct vm *v, uint64_t pause, unsigned answer, const char *expression)
{
    send_answer(v, pause, answer, expression);
    stop_answer(&v->gate, pause);
}

/* Spawns one that can be given hooks before its program. */
static void vm_with_hooks(struct vm *v, struct zygote *z, struct stop_world *w,
                          Stillpoint__Worker__Hook *hooks, size_t n, const char *text)
{
    vm_spawn(v, z, w, false);
    UNTIL(v, v->born);
    CHECK(!set_hooks(v, hooks, n, NULL, 0));
    vm_load(v, "test.txt", 0, text, strlen(text));
    UNTIL(v, v->loaded);
    CHECK(v->last_detail[0] == '\0');
    stop_admit(&v->gate);
}

static void expect_text(const char *got, const char *expected)
{
    if (strcmp(got, expected) == 0)
        return;
    printf("not ok - %s\n# got:\n%s# and not:\n%s", running_case, got, expected);
    exit(1);
}

static void expect_story(struct vm *v, const char *expected)
{
    expect_text(v->story.text, expected);
    story_clear(&v->story);
}

/* Waits until it pauses for this time, and says what came before. */
static void expect_pause(struct vm *v, uint64_t pause, const char *expected)
{
    char wanted[32];
    snprintf(wanted, sizeof wanted, "paused %llu ", (unsigned long long)pause);
    UNTIL(v, strstr(v->story.text, wanted) && strchr(strstr(v->story.text, wanted), '\n'));
    CHECK(stop_is_paused(&v->gate) && stop_state(&v->gate) == SHM_PARKED);
    expect_story(v, expected);
}

static void expect_end(struct vm *v, const char *story, const char *console)
{
    UNTIL(v, v->exiting);
    expect_story(v, story);
    expect_text(v->console, console);
    CHECK(v->exit_code == 0);
    vm_reap(v);
}

static void case_audit_all_kinds(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    Stillpoint__Worker__Hook hooks[9];
    for (unsigned i = 0; i < 9; i++)
        hooks[i] = a_hook(i + 1, i + 1); /* all but breakpoints */
    vm_with_hooks(&v, z, w, hooks, 9,
                  "function f\nlet x 1\nthrow 5\nend\ntry f\nrealm\ndebugger\n"
                  "promise\nsettle 7\nobserved\n");
    expect_end(&v,
               "audited runtime 0 global [1]\n"
               "audited realm 1 enter [2]\naudited realm 1 debugger [3]\n"
               "audited realm 1 unwind [4]\naudited realm 1 script [5]\n"
               "audited realm 1 promise [6]\naudited realm 1 settled [7]\n"
               "audited realm 1 pop [8]\naudited realm 1 step [9]\n"
               "hit 5 script 1\n"
               "hit 2 enter 1\nhit 9 step 5\n"
               "hit 2 enter 2 f\nhit 9 step 2 f\nhit 9 step 3 f\n"
               "hit 4 unwind 3 f (throw) =5\nhit 8 pop 3 f (throw) =5\n"
               "hit 9 step 6\n"
               "audited realm 2 enter [2]\naudited realm 2 debugger [3]\n"
               "audited realm 2 unwind [4]\naudited realm 2 script [5]\n"
               "audited realm 2 promise [6]\naudited realm 2 settled [7]\n"
               "audited realm 2 pop [8]\naudited realm 2 step [9]\n"
               "hit 1 global 6\n"
               "hit 9 step 7\nhit 3 debugger 7\nhit 9 step 8\nhit 6 promise 8\n"
               "hit 9 step 9\nhit 7 settled 9 (fulfilled) =7\nhit 9 step 10\n"
               "hit 8 pop 11 (return) =undefined\n",
               "caught 5\nobserved 15 and realms resumed 0\n");
}

static void case_audit_remove(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    Stillpoint__Worker__Hook hooks[] = {a_hook(1, 2), a_hook(2, 2), a_hook(3, 8)};
    vm_run(&v, z, w, false,
           "function f\nprint in f\nend\nsleep 100\ncall f\nobserved\nsleep 100\ncall f\n"
           "sleep 100\ncall f\nobserved\n");
    UNTIL(&v, stop_state(&v.gate) == SHM_BLOCKED);
    stop_all(w);
    CHECK(!set_hooks(&v, hooks, 3, NULL, 0));
    stop_open(w);
    UNTIL(&v, strstr(v.console, "observed"));
    UNTIL(&v, stop_state(&v.gate) == SHM_BLOCKED);
    expect_story(&v, "audited realm 1 enter [1 2]\n"
                     "audited realm 1 pop [3]\n"
                     "hit 1 enter 2 f\nhit 2 enter 2 f\nhit 3 pop 3 f (return) =undefined\n");
    uint64_t first[] = {1}, others[] = {2, 3, 99};
    stop_all(w);
    CHECK(!set_hooks(&v, NULL, 0, first, 1));
    stop_open(w);
    UNTIL(&v, strstr(v.story.text, "pop") && stop_state(&v.gate) == SHM_BLOCKED);
    expect_story(&v, "audited realm 1 enter [2]\n"
                     "hit 2 enter 2 f\nhit 3 pop 3 f (return) =undefined\n");
    stop_all(w);
    CHECK(!set_hooks(&v, NULL, 0, others, 3));
    stop_open(w);
    expect_end(&v, "audited realm 1 enter []\naudited realm 1 pop []\n",
               "in f\nobserved 1 and realms resumed 0\nin f\nin f\nobserved 0 resumed 0\n");
}

static void case_audit_filter(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    Stillpoint__Worker__Hook hooks[8];
    for (unsigned i = 0; i < 8; i++) {
        hooks[i] = a_hook(i + 1, 9);
        hooks[i].function = text_of("f*");
    }
    hooks[0].url = text_of("*other*");
    hooks[1].line_from = 3;
    hooks[1].line_to = 3;
    hooks[2].condition = text_of("i === 2");
    hooks[3].condition = text_of("i < 2"); /* the engine's: it is in the caller */
    hooks[4].condition = text_of("throw up");
    hooks[4].skip = 4;
    hooks[4].has_count = true;
    hooks[4].count = 1;
    hooks[5].skip = 5;
    hooks[6].function = text_of("[!f]*");
    hooks[7].granularity = 2;
    hooks[7].line_to = 2;
    hooks[7].count = 3;
    vm_with_hooks(&v, z, w, hooks, 8,
                  "function first\nlet a 1\nlet b 2\nend\nfunction g\nend\n"
                  "repeat 3 first\nobserved\n");
    expect_end(&v,
               "audited realm 1 step [1 2 3 4 5 6 7 8]\n"
               "hit 4 step 2 first\nhit 8 step 2 first\nhit 8 step 2 first\n"
               "hit 2 step 3 first\nhit 4 step 3 first\n"
               "hit 3 step 2 first\nhit 8 step 2 first\nended 8 2\n"
               "audited realm 1 step [1 2 3 4 5 6 7]\n"
               "hit 2 step 3 first\nhit 3 step 3 first\n"
               "hit 5 step 2 first !up\nended 5 2\naudited realm 1 step [1 2 3 4 6 7]\n"
               "hit 2 step 3 first\nhit 6 step 3 first\n",
               "observed 2 and realms resumed 0\n");

    /* A count that is reached takes the instrumentation off in the same safe point. */
    Stillpoint__Worker__Hook once = a_hook(1, 2);
    once.count = 2;
    vm_with_hooks(&v, z, w, &once, 1, "observed\ncall f\nobserved\nfunction f\nobserved\nend\n");
    expect_end(&v,
               "audited realm 1 enter [1]\nhit 1 enter 1\nhit 1 enter 5 f\nended 1 2\n"
               "audited realm 1 enter []\n",
               "observed 1 and realms resumed 0\nobserved 0 resumed 0\nobserved 0 resumed 0\n");
}

static void case_audit_capture(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    Stillpoint__Worker__Hook h[] = {a_hook(1, 8), a_hook(2, 9)};
    char *expressions[] = {text_of("x"), text_of("i"), text_of("nobody"), text_of("x < 3")};
    Stillpoint__Worker__Place at = a_place("test.txt", 3);
    h[0].function = text_of("f");
    h[0].stack_depth = 5;
    h[0].arguments = true;
    h[0].n_expressions = 4;
    h[0].expressions = expressions;
    h[1].kind = 10;
    h[1].at = &at;
    h[1].suspend = 3;
    h[1].log = text_of("x is {x}, {nobody}; {y} {} { {'}'} {x < 3}");
    vm_with_hooks(&v, z, w, h, 2, "function f\nlet x 2\nlet y text\nreturn 9\nend\nrepeat 1 f\n");
    expect_end(&v,
               "audited realm 1 pop [1]\nbound 2 pending\n"
               "audited script 1 break [2]\nbound 2 test.txt:3\n"
               "hit 2 break 3 f \"x is 2, ReferenceError: nobody is not defined; "
               "ReferenceError: y is not defined {} { ReferenceError: '}' is not defined true\"\n"
               "hit 1 pop 4 f (return) =9 (x:2) (y:text) x=2 i=1 "
               "nobody=~ReferenceError: nobody is not defined x < 3=true [f:4<:6]\n",
               "");
}

static void case_audit_budget(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    Stillpoint__Worker__Hook h[] = {a_hook(1, 2), a_hook(2, 2)};
    h[0].per_second = 100;
    h[0].function = h[1].function = text_of("f");
    /* It calls nothing of the host but at its loop's head, when it is interrupted. */
    vm_with_hooks(&v, z, w, h, 1, "function f\nend\nprint go\nrepeat 100000000 f\n");
    UNTIL(&v, strstr(v.story.text, "disarmed"));
    unsigned hits = 0;
    for (const char *at = v.story.text; (at = strstr(at, "hit ")); at++)
        hits++;
    CHECK(hits == 100);
    story_clear(&v.story);
    uint64_t start = shm_now_ns();
    UNTIL(&v, strstr(v.story.text, "disarmed"));
    CHECK(shm_now_ns() - start > 500 * MS);
    CHECK(strncmp(v.story.text, "audited realm 1 enter [1]\nhit 1 enter 2 f\n", 42) == 0);
    /* One that is not spent keeps the auditor, and the other's are counted. */
    stop_all(w);
    h[1].count = 150;
    CHECK(!set_hooks(&v, &h[1], 1, NULL, 0));
    story_clear(&v.story);
    stop_open(w);
    UNTIL(&v, strstr(v.story.text, "disarmed"));
    CHECK(strstr(v.story.text, "ended 2 2\naudited realm 1 enter [1]"));
    vm_kill(&v);

    /* By a host call. */
    vm_with_hooks(&v, z, w, h, 1,
                  "function f\nend\nrepeat 150 f\nobserved\nsleep 1100\nobserved\nrepeat 1 f\n");
    UNTIL(&v, v.exiting);
    CHECK(strcmp(v.console, "observed 0 and realms resumed 0\nobserved 1 and realms resumed 0\n") ==
          0);
    CHECK(strstr(v.story.text, "audited realm 1 enter [1] disarmed\naudited realm 1 enter [1]\n"
                               "hit 1 enter 2 f\n"));
    vm_reap(&v);
}

static void case_audit_all_or_nothing(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_run(&v, z, w, true, "function f\nend\nobserved\nrefuse 2\nidle\n");
    UNTIL(&v, stop_state(&v.gate) == SHM_IDLE);
    Stillpoint__Worker__Hook hooks[] = {a_hook(1, 2), a_hook(2, 2), a_hook(3, 3), a_hook(4, 4),
                                        a_hook(5, 5)};
    CHECK(strstr(set_hooks(&v, hooks, 5, NULL, 0), "--debug"));
    CHECK(v.answer.inspected.body->n_failed_hooks == 1 &&
          v.answer.inspected.body->failed_hooks[0] == 4);
    expect_story(&v, "");
    /* Nothing of that is there: neither observed nor known by its number. */
    CHECK(!set_hooks(&v, hooks, 2, NULL, 0));
    expect_story(&v, "audited realm 1 enter [1 2]\n");
    uint64_t one = 1;
    CHECK(set_hooks(&v, hooks, 1, NULL, 0) && set_hooks(&v, hooks + 3, 2, &one, 1));
    expect_story(&v, "");
    Stillpoint__Worker__Hook twice[] = {a_hook(8, 2), a_hook(8, 2)}, none = a_hook(0, 2);
    CHECK(strstr(set_hooks(&v, twice, 2, NULL, 0), "number"));
    CHECK(strstr(set_hooks(&v, &none, 1, NULL, 0), "number"));
    none = a_hook(9, 11);
    CHECK(strstr(set_hooks(&v, &none, 1, NULL, 0), "kind"));
    none = a_hook(9, 8);
    none.one_frame = true;
    CHECK(strstr(set_hooks(&v, &none, 1, NULL, 0), "no frame 0"));
    none = a_hook(9, 2);
    none.realm = 5;
    CHECK(strstr(set_hooks(&v, &none, 1, NULL, 0), "no realm 5"));
    static Stillpoint__Worker__Hook many[LIMIT_HOOKS_PER_VM];
    for (unsigned i = 0; i < LIMIT_HOOKS_PER_VM; i++)
        many[i] = a_hook(1000 + i, 2);
    CHECK(strstr(set_hooks(&v, many, LIMIT_HOOKS_PER_VM, NULL, 0), "too many"));
    CHECK(!set_hooks(&v, many, LIMIT_HOOKS_PER_VM - 2, NULL, 0));
    story_clear(&v.story);
    call(&v, "exit", "[]", false);
    UNTIL(&v, v.exiting);
    expect_story(&v, "");
    vm_reap(&v);
}

static void case_audit_realms(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    Stillpoint__Worker__Hook hooks[] = {a_hook(1, 2), a_hook(2, 5)};
    vm_with_hooks(&v, z, w, hooks, 2,
                  "function f\nend\nrealm\nscript 2 b.txt\nsleep 300\ncall f 2\n"
                  "gone realm 2\nobserved\nrealm\nscript 3 c.txt\ncall f 3\n");
    UNTIL(&v, stop_state(&v.gate) == SHM_BLOCKED);
    expect_story(&v, "audited realm 1 enter [1]\naudited realm 1 script [2]\n"
                     "hit 2 script 1\nhit 1 enter 1\n"
                     "audited realm 2 enter [1]\naudited realm 2 script [2]\nhit 2 script 1\n");
    /* Of one realm: they go with it. */
    Stillpoint__Worker__Hook one[] = {a_hook(3, 2), a_hook(4, 8), a_hook(5, 10)};
    Stillpoint__Worker__Place at = a_place("b.txt", 99), at_f = a_place("b.txt", 1);
    one[0].realm = one[1].realm = one[2].realm = 2;
    one[2].at = &at;
    stop_all(w);
    CHECK(!set_hooks(&v, one, 3, NULL, 0));
    expect_story(&v, "audited realm 2 enter [1 3]\naudited realm 2 pop [4]\nbound 5 pending\n");
    one[2].hook = 6;
    one[2].at = &at_f;
    CHECK(!set_hooks(&v, one + 2, 1, NULL, 0));
    expect_story(&v, "audited script 2 break [6]\nbound 6 b.txt:3\n");
    stop_open(w);
    expect_end(&v,
               "hit 1 enter 2 f\nhit 3 enter 2 f\nhit 4 pop 2 f (return) =undefined\n"
               "audited script 2 break []\nbound 6 pending\n"
               "ended 3 1\nended 4 1\nended 5 1\nended 6 1\n"
               "audited realm 2 enter []\naudited realm 2 script []\naudited realm 2 pop []\n"
               "audited realm 3 enter [1]\naudited realm 3 script [2]\nhit 2 script 1\n"
               "hit 1 enter 2 f\n",
               "observed 2 and realms resumed 0\n");
}

static void case_audit_breakpoints(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    Stillpoint__Worker__Hook h[] = {a_hook(1, 10), a_hook(2, 10), a_hook(3, 10)};
    Stillpoint__Worker__Place at[] = {a_place("test.txt", 1), a_place("b.txt", 2),
                                      a_place("*.none", 1)};
    for (int i = 0; i < 3; i++)
        h[i].at = &at[i];
    vm_with_hooks(&v, z, w, h, 3,
                  "function f\nlet a 1\nend\ncall f\nrealm\nscript 2 lib/b.txt\ncall f 2\n"
                  "script 1 b.txt\ncall f 3\nscript 2 test.txt\ncall f 4\ngone script 2\n"
                  "gone script 3\nobserved\n");
    expect_end(&v,
               "bound 1 pending\nbound 2 pending\nbound 3 pending\n"
               "audited script 1 break [1]\nbound 1 test.txt:2\nhit 1 break 2 f\n"
               "audited script 2 break [2]\nbound 2 lib/b.txt:2\nhit 2 break 2 f\n"
               "audited script 3 break [2]\nbound 2 lib/b.txt:2 b.txt:2\nhit 2 break 2 f\n"
               "audited script 4 break [1]\nbound 1 test.txt:2 test.txt:2\nhit 1 break 2 f\n"
               "audited script 2 break []\nbound 2 b.txt:2\n"
               "audited script 3 break []\nbound 2 pending\n",
               "observed 4 and realms resumed 0\n");
}

static void case_audit_pause(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    Stillpoint__Worker__Hook h[] = {a_hook(1, 3), a_hook(2, 3), a_hook(3, 4), a_hook(4, 2)};
    h[0].suspend = 3;
    h[1].suspend = 1;
    h[2].suspend = 2;
    vm_with_hooks(&v, z, w, h, 3,
                  "function f\nlet x 1\ndebugger\nshow x\nreturn 1\nend\n"
                  "function g\nthrow oops\nend\ncall f\ncall f\ntry f\ntry g\ntimer 1 call f\n"
                  "timer 1 observed\n");
    expect_pause(&v, 1,
                 "audited realm 1 debugger [1 2]\naudited realm 1 unwind [3]\n"
                 "hit 1 debugger 3 f pause 1\nhit 2 debugger 3 f\n"
                 "paused 1 debugger [1] step 0 line 3\n");
    /* It is looked at as in a stop, and stays where it is, whatever the gate says. */
    const struct worker_inspected *i = inspected(&v, 5, INSPECT_STACK);
    CHECK(i->n_frames == 2 && i->frames[0].line == 3 && i->frames[1].line == 10);
    Stillpoint__Worker__Inspect m = STILLPOINT__WORKER__INSPECT__INIT;
    Stillpoint__Worker__Page page = STILLPOINT__WORKER__PAGE__INIT;
    m.frames = &page;
    CHECK(asked(&v, &m, INSPECT_FRAMES)->body->n_frames == 2);
    stop_all(w);
    CHECK(stop_is_still(&v.gate));
    stop_open(w);
    pump_for(&v, 50);
    CHECK(stop_state(&v.gate) == SHM_PARKED && v.console_bytes == 0);
    /* An answer to another pause is none; a hook that is set meanwhile is not hit by what already
     * was. */
    CHECK(!set_hooks(&v, &h[3], 1, NULL, 0));
    h[3].hook = 5;
    h[3].kind = 3;
    CHECK(!set_hooks(&v, &h[3], 1, NULL, 0));
    send_answer(&v, 9, 4, NULL);
    stop_all(w);
    answer_pause(&v, 1, 1, NULL);
    pump_for(&v, 50);
    CHECK(stop_state(&v.gate) == SHM_PARKED && v.console_bytes == 0);
    stop_open(w);
    expect_pause(&v, 2,
                 "audited realm 1 enter [4]\naudited realm 1 debugger [1 2 5]\n"
                 "hit 4 enter 2 f\nhit 1 debugger 3 f pause 2\nhit 2 debugger 3 f\n"
                 "hit 5 debugger 3 f\npaused 2 debugger [1] step 0 line 3\n");
    expect_text(v.console, "1\n");
    vm_kill(&v);

    h[3] = a_hook(4, 2);
    vm_with_hooks(&v, z, w, h, 3,
                  "function f\nlet x 1\ndebugger\nshow x\nreturn 1\nend\n"
                  "function g\nthrow oops\nend\ntry f\ntry f\ntry f\ntry g\ntimer 1 call f\n"
                  "timer 1 observed\n");
    expect_pause(&v, 1,
                 "audited realm 1 debugger [1 2]\naudited realm 1 unwind [3]\n"
                 "hit 1 debugger 3 f pause 1\nhit 2 debugger 3 f\n"
                 "paused 1 debugger [1] step 0 line 3\n");
    answer_pause(&v, 1, 1, NULL); /* continue */
    expect_pause(&v, 2,
                 "hit 1 debugger 3 f pause 2\nhit 2 debugger 3 f\n"
                 "paused 2 debugger [1] step 0 line 3\n");
    answer_pause(&v, 2, 2, "x"); /* return */
    expect_pause(&v, 3,
                 "hit 1 debugger 3 f pause 3\nhit 2 debugger 3 f\n"
                 "paused 3 debugger [1] step 0 line 3\n");
    expect_text(v.console, "1\n");
    answer_pause(&v, 3, 3, "x"); /* throw */
    expect_pause(&v, 4,
                 "hit 3 unwind 3 f pause 4 (throw) =1\n"
                 "paused 4 exception [3] step 0 line 3 =1\n");
    answer_pause(&v, 4, 1, NULL);
    expect_pause(&v, 5,
                 "hit 3 unwind 8 g pause 5 (throw) =oops\n"
                 "paused 5 exception [3] step 0 line 8 =oops\n");
    answer_pause(&v, 5, 1, NULL);
    expect_pause(&v, 6,
                 "hit 1 debugger 3 f pause 6\nhit 2 debugger 3 f\n"
                 "paused 6 debugger [1] step 0 line 3\n");
    answer_pause(&v, 6, 4, NULL); /* terminate: this op, not the VM */
    expect_end(&v, "", "1\ncaught 1\ncaught oops\nobserved 2 and realms resumed 6\n");
}

static void case_audit_pause_at_start(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    Stillpoint__Worker__Hook h[] = {a_hook(1, 5), a_hook(2, 5), a_hook(3, 2)};
    h[0].suspend = h[1].suspend = 3;
    vm_spawn(&v, z, w, false);
    UNTIL(&v, v.born);
    CHECK(!set_hooks(&v, h, 3, NULL, 0));
    vm_load(&v, "test.txt", 0, "print ran\n", 10);
    UNTIL(&v, v.loaded);
    pump_for(&v, 30);
    expect_story(&v, "audited realm 1 script [1 2]\naudited realm 1 enter [3]\n"
                     "hit 1 script 1 pause 1\nhit 2 script 1 pause 1\n");
    stop_admit(&v.gate);
    expect_pause(&v, 1, "paused 1 hook [1 2] step 0 line 1\n");
    CHECK(v.console_bytes == 0);
    answer_pause(&v, 1, 1, NULL);
    expect_end(&v, "hit 3 enter 1\n", "ran\n");
}

/* Runs, with a pausing hook on a debugger statement, to that. */
static void vm_at_debugger(struct vm *v, struct zygote *z, struct stop_world *w, const char *text)
{
    Stillpoint__Worker__Hook h = a_hook(1, 3);
    h.suspend = 3;
    vm_with_hooks(v, z, w, &h, 1, text);
    UNTIL(v, strstr(v->story.text, "paused 1 debugger"));
    story_clear(&v->story);
}

/* Steps, and says where it ends up: "paused N step [] step S line L". */
static void steps_to(struct vm *v, uint64_t pause, unsigned how, unsigned line)
{
    char expected[128];
    CHECK(!arm_step(v, 100 + pause, how, NULL, 0));
    answer_pause(v, pause, 1, NULL);
    snprintf(expected, sizeof expected, "paused %llu step [] step %llu line %u\n",
             (unsigned long long)pause + 1, (unsigned long long)pause + 100, line);
    expect_pause(v, pause + 1, expected);
}

enum { IN = 1, OVER, OUT, TO };

static void case_step(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_at_debugger(&v, z, w,
                   "function g\nlet y 1\nend\nfunction f\ndebugger\ncall g\nprint f\nend\n"
                   "call f\nprint main\nobserved\nprint end\n");
    steps_to(&v, 1, OVER, 6);
    steps_to(&v, 2, OVER, 7);
    steps_to(&v, 3, OVER, 10); /* the caller's next */
    answer_pause(&v, 4, 1, NULL);
    expect_end(&v, "", "f\nmain\nobserved 1 and realms resumed 4\nend\n");

    vm_at_debugger(&v, z, w,
                   "function g\nlet y 1\nend\nfunction f\ndebugger\ncall g\nprint f\nend\n"
                   "call f\nprint main\nobserved\nprint end\n");
    steps_to(&v, 1, IN, 6);
    steps_to(&v, 2, IN, 2);
    steps_to(&v, 3, IN, 7);
    steps_to(&v, 4, OUT, 10);
    /* Where there is no caller, and nothing comes any more, it does not end. */
    CHECK(!arm_step(&v, 7, OUT, NULL, 0));
    CHECK(strstr(arm_step(&v, 8, TO, "none.txt", 3), "no such place"));
    CHECK(strstr(arm_step(&v, 8, 5, NULL, 0), "no such step"));
    CHECK(!arm_step(&v, 0, 0, NULL, 0));
    answer_pause(&v, 5, 1, NULL);
    expect_end(&v, "", "f\nmain\nobserved 1 and realms resumed 5\nend\n");
}

static void case_step_recursion(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    /* `call f` in itself: the frame counts, not its lines. The inner one throws. */
    vm_at_debugger(&v, z, w,
                   "function f\ndebugger\ntry g\nprint a\nend\n"
                   "function g\ncall h\nprint never\nend\nfunction h\nthrow up\nend\n"
                   "call f\nprint main\n");
    steps_to(&v, 1, OVER, 3);
    steps_to(&v, 2, OVER, 4);
    answer_pause(&v, 3, 1, NULL);
    expect_end(&v, "", "caught up\na\nmain\n");

    vm_at_debugger(&v, z, w,
                   "function f\ntry g\nprint a\nend\n"
                   "function g\ncall h\nprint never\nend\nfunction h\ndebugger\nthrow up\nend\n"
                   "call f\nprint main\n");
    steps_to(&v, 1, IN, 11);
    steps_to(&v, 2, IN, 3); /* where it is caught */
    answer_pause(&v, 3, 1, NULL);
    expect_end(&v, "", "caught up\na\nmain\n");

    vm_at_debugger(&v, z, w,
                   "function f\nprint in\ncall g\nprint out\nend\n"
                   "function g\nrepeat 1 h\nend\nfunction h\nrepeat 1 k\nend\nfunction k\n"
                   "debugger\nrepeat 3 l\nend\nfunction l\nlet a 1\nend\ncall f\n");
    steps_to(&v, 1, OVER, 14);
    steps_to(&v, 2, IN, 17);
    steps_to(&v, 3, OUT, 4); /* past what its callers still do in their last statements */
    vm_kill(&v);
}

static void case_step_generator(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_at_debugger(&v, z, w,
                   "function g\ndebugger\nyield\nprint again\nawait\nprint last\nend\n"
                   "call g\nprint main\nnext\nprint between\nnext\nprint end\n");
    steps_to(&v, 1, OVER, 3);
    steps_to(&v, 2, OVER, 4); /* where it goes on */
    steps_to(&v, 3, OVER, 5);
    steps_to(&v, 4, OVER, 6);
    steps_to(&v, 5, OVER, 13);
    answer_pause(&v, 6, 1, NULL);
    expect_end(&v, "", "main\nagain\nbetween\nlast\nend\n");

    vm_at_debugger(&v, z, w,
                   "function g\ndebugger\nyield\nprint again\nend\n"
                   "call g\ncall f\nnext\nprint end\nfunction f\nprint f\nend\n");
    steps_to(&v, 1, IN, 3);
    steps_to(&v, 2, IN, 4); /* what is entered meanwhile is not from here */
    steps_to(&v, 3, OUT, 9);
    vm_kill(&v);

    vm_at_debugger(&v, z, w,
                   "function g\ndebugger\nyield\nprint again\nend\ncall g\nprint main\nnext\n");
    steps_to(&v, 1, OUT, 7); /* out of a generator at its yield */
    answer_pause(&v, 2, 1, NULL);
    expect_end(&v, "", "main\nagain\n");
}

static void case_step_idle(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    vm_run(&v, z, w, false, "function f\nprint f\nend\ntimer 300 call f\ntimer 600 observed\n");
    UNTIL(&v, v.ready && stop_state(&v.gate) == SHM_IDLE);
    stop_all(w);
    CHECK(strstr(arm_step(&v, 1, OUT, NULL, 0), "no frame"));
    CHECK(!arm_step(&v, 1, OVER, NULL, 0));
    stop_open(w);
    expect_pause(&v, 1, "paused 1 step [] step 1 line 2\n");
    /* To a place in a frame that is left before: its caller's next, here nobody's. */
    CHECK(!arm_step(&v, 2, TO, "test.txt", 4));
    CHECK(!arm_step(&v, 0, 0, NULL, 0));
    answer_pause(&v, 1, 1, NULL);
    expect_end(&v, "", "f\nobserved 0 resumed 1\n");
}

static void case_step_to_breakpoint(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    Stillpoint__Worker__Hook h[] = {a_hook(2, 10), a_hook(3, 10)};
    Stillpoint__Worker__Place at[] = {a_place("test.txt", 3), a_place("test.txt", 4)};
    h[0].at = &at[0];
    h[1].at = &at[1];
    h[0].suspend = h[1].suspend = 3;
    h[1].condition = text_of("false");
    vm_at_debugger(&v, z, w,
                   "function f\ndebugger\nprint a\nprint b\nprint c\nprint d\nend\ncall f\n"
                   "print main\n");
    CHECK(!set_hooks(&v, h, 2, NULL, 0));
    story_clear(&v.story);
    /* One pause for both. */
    CHECK(!arm_step(&v, 5, OVER, NULL, 0));
    answer_pause(&v, 1, 1, NULL);
    expect_pause(&v, 2, "hit 2 break 3 f pause 2\npaused 2 breakpoint [2] step 5 line 3\n");
    /* The breakpoint's condition is false: the step ends all the same. */
    steps_to(&v, 2, OVER, 4);
    steps_to(&v, 3, OVER, 5);
    CHECK(!arm_step(&v, 9, TO, "test.txt", 6));
    answer_pause(&v, 4, 1, NULL);
    expect_pause(&v, 5, "paused 5 step [] step 9 line 6\n");
    CHECK(!arm_step(&v, 10, TO, "test.txt", 3));
    answer_pause(&v, 5, 1, NULL);
    expect_pause(&v, 6, "paused 6 step [] step 10 line 9\n");
    answer_pause(&v, 6, 1, NULL);
    expect_end(&v, "", "a\nb\nc\nd\nmain\n");

    /* A step outlives the pauses of others. */
    vm_at_debugger(&v, z, w, "function f\ndebugger\nprint a\nend\ndebugger\ncall f\nprint main\n");
    steps_to(&v, 1, OVER, 6);
    CHECK(!arm_step(&v, 3, OVER, NULL, 0));
    answer_pause(&v, 2, 1, NULL);
    expect_pause(&v, 3, "hit 1 debugger 2 f pause 3\npaused 3 debugger [1] step 0 line 2\n");
    answer_pause(&v, 3, 1, NULL);
    expect_pause(&v, 4, "paused 4 step [] step 3 line 7\n");
    vm_kill(&v);
}

static const struct worker_inspected *evaluate(struct vm *v, const char *expression, bool audited)
{
    static uint64_t number;
    Stillpoint__Worker__Inspect i = STILLPOINT__WORKER__INSPECT__INIT;
    Stillpoint__Worker__Evaluate m = STILLPOINT__WORKER__EVALUATE__INIT;
    m.has_evaluation = m.has_audited = m.has_frame = true;
    m.evaluation = ++number;
    m.expression = text_of(expression);
    m.audited = audited;
    i.evaluate = &m;
    stop_allow(&v->gate, number);
    return asked(v, &i, INSPECT_EVALUATE);
}

static void case_audit_evaluation(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    Stillpoint__Worker__Hook h[] = {a_hook(2, 2), a_hook(3, 3), a_hook(4, 9)};
    h[0].suspend = h[1].suspend = 3;
    vm_at_debugger(&v, z, w, "function f\ndebugger\nend\ndebugger\nprint end\nobserved\n");
    CHECK(!set_hooks(&v, h, 3, NULL, 0) && !arm_step(&v, 5, IN, NULL, 0));
    story_clear(&v.story);
    /* Of its own work a debugger sees nothing, unless it asks; and nothing pauses in it. */
    CHECK(!evaluate(&v, "call f", false)->error);
    expect_story(&v, "");
    CHECK(!evaluate(&v, "call f", true)->error);
    expect_story(&v, "hit 2 enter 2 f\nhit 4 step 2 f\nhit 1 debugger 2 f\nhit 3 debugger 2 f\n");
    CHECK(stop_state(&v.gate) == SHM_PARKED);
    answer_pause(&v, 1, 1, NULL);
    expect_pause(&v, 2, "paused 2 step [] step 5 line 5\n");
    answer_pause(&v, 2, 1, NULL);
    expect_end(&v, "", "end\nobserved 2 and realms resumed 2\n");
}

/*AUDIT*/
/* The same auditors with a real engine, in the real sandbox. */
static void case_mozjs_audit(struct zygote *z, struct stop_world *w)
{
    struct vm v;
    Stillpoint__Worker__Hook h[] = {a_hook(1, 3), a_hook(2, 10), a_hook(3, 8)};
    Stillpoint__Worker__Place at = a_place("test.txt", 4);
    h[0].suspend = 3;
    h[1].at = &at;
    h[1].suspend = 3;
    h[2].function = text_of("f*");
    h[2].per_second = 50;
    vm_with_hooks(&v, z, w, h, 3,
                  "function f(a) {\n  if (a === 1)\n    debugger;\n  const b = a + 1;\n"
                  "  return b;\n}\nf(1);\nf(2);\nconsole.log('end');\n");
    UNTIL(&v, strstr(v.story.text, "paused 1 debugger [1] step 0 line 3"));
    CHECK(strstr(v.story.text, "bound 2 test.txt:4\n"));
    story_clear(&v.story);
    answer_pause(&v, 1, 1, NULL);
    expect_pause(&v, 2, "hit 2 break 4 f pause 2\npaused 2 breakpoint [2] step 0 line 4\n");
    answer_pause(&v, 2, 1, NULL);
    UNTIL(&v, strstr(v.story.text, "paused 3 breakpoint [2] step 0 line 4"));
    CHECK(strstr(v.story.text, "f (return) =2\nhit 2 break 4 f pause 3\n"));
    uint64_t all[] = {1, 2, 3};
    CHECK(!set_hooks(&v, NULL, 0, all, 3));
    story_clear(&v.story);
    answer_pause(&v, 3, 1, NULL);
    expect_end(&v, "", "end\n");
}

struct driver_case {
    const char *name;
    void (*run)(struct zygote *z, struct stop_world *w);
};

static const struct driver_case fake_cases[] = {
    {"exit", case_exit},
    {"syntax", case_syntax},
    {"gate", case_gate},
    {"busy", case_busy},
    {"timer", case_timer},
    {"sleep", case_sleep},
    {"messages", case_messages},
    {"flow", case_flow},
    {"take_over", case_take_over},
    {"hang", case_hang},
    {"inspect_parked", case_inspect_parked},
    {"inspect_idle", case_inspect_idle},
    {"inspect_blocked", case_inspect_blocked},
    {"inspect_starting", case_inspect_starting},
    {"inspect_running", case_inspect_running},
    {"inspect_slow", case_inspect_slow},
    {"inspect_large", case_inspect_large},
    {"inspect_many", case_inspect_many},
    {"audit_all_kinds", case_audit_all_kinds},
    {"audit_remove", case_audit_remove},
    {"audit_filter", case_audit_filter},
    {"audit_capture", case_audit_capture},
    {"audit_budget", case_audit_budget},
    {"audit_all_or_nothing", case_audit_all_or_nothing},
    {"audit_realms", case_audit_realms},
    {"audit_breakpoints", case_audit_breakpoints},
    {"audit_pause", case_audit_pause},
    {"audit_pause_at_start", case_audit_pause_at_start},
    {"audit_evaluation", case_audit_evaluation},
    {"step", case_step},
    {"step_recursion", case_step_recursion},
    {"step_generator", case_step_generator},
    {"step_idle", case_step_idle},
    {"step_to_breakpoint", case_step_to_breakpoint},
    {"lie", case_lie},
    {"thread", case_thread},
    {"lockdown", case_lockdown},
    {"every_syscall", case_every_syscall},
    {"imports", case_imports},
    {"cgroup_refused", case_cgroup_refused},
    {"posture", case_posture},
    {"orphan", case_orphan},
    {"exec", case_exec},
    {"births", case_births},
    {NULL, NULL},
};

static const struct driver_case mozjs_cases[] = {
    {"mozjs_hot", case_mozjs_hot},
    {"mozjs_waits", case_mozjs_waits},
    {"mozjs_audit", case_mozjs_audit},
    {NULL, NULL},
};

/* One file with any engine; stops and resumes the world all the time meanwhile. */
static int run_file(struct zygote *z, const char *path)
{
    static char text[1u << 20];
    FILE *f = fopen(path, "r");
    CHECK(f);
    size_t bytes = fread(text, 1, sizeof text, f);
    fclose(f);
    const char *end = strrchr(path, '.');
    unsigned kind = !end ? 0 : strcmp(end, ".wasm") == 0 ? 2 : strcmp(end, ".mjs") == 0 ? 1 : 0;
    struct stop_world w;
    CHECK(stop_world_init(&w) == 0);
    struct vm v;
    vm_spawn(&v, z, &w, false);
    UNTIL(&v, v.born);
    vm_load(&v, strrchr(path, '/') ? strrchr(path, '/') + 1 : path, kind, text, bytes);
    UNTIL(&v, v.loaded);
    if (v.last_detail[0])
        printf("not loaded: %s\n", v.last_detail);
    stop_admit(&v.gate);
    unsigned stops = 0;
    uint64_t worst = 0;
    while (vm_pump(&v) && !v.exiting) {
        uint64_t ns = stop_all(&w);
        worst = ns > worst ? ns : worst;
        stops++;
        stop_open(&w);
        struct pollfd p = {.fd = v.channel, .events = POLLIN};
        poll(&p, 1, 20);
    }
    siginfo_t si = vm_reap(&v);
    fputs(v.console, stdout);
    printf(
        "exiting=%d reason=%d code=%d detail=%s; process: code %d status %d; %u stops, worst %llu "
        "us\n",
        v.exiting, v.exit_reason, v.exit_code, v.last_detail, si.si_code, si.si_status, stops,
        (unsigned long long)worst / 1000);
    stop_world_done(&w);
    return zygote_end(z);
}

static bool can_make_namespaces(void)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID) < 0);
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    return status == 0;
}

/* Opened before the change of user, who may not reach the build directory; not as 3, which is to be
 * the zygote's channel. */
static int open_program(const char *program)
{
    int fd = open(program, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        perror(program);
        exit(1);
    }
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 16);
    close(fd);
    return high;
}

/* Returns how many ran so far. */
static size_t run_cases(const struct driver_case *c, const char *only, size_t n)
{
    struct zygote z;
    running_case = "start";
    zygote_start(&z, "--zygote");
    for (; c->name; c++) {
        if (only && strcmp(only, c->name) != 0)
            continue;
        running_case = c->name;
        struct stop_world w;
        CHECK(stop_world_init(&w) == 0);
        c->run(&z, &w);
        stop_world_done(&w);
        printf("ok %zu - %s\n", ++n, c->name);
    }
    running_case = "end";
    CHECK(zygote_end(&z) == 0);
    return n;
}

int main(int argc, char **argv)
{
    const char *program = argc > 1 ? argv[1] : "./stillpoint-worker-fake";
    const char *only = argc > 2 ? argv[2] : NULL;
    setvbuf(stdout, NULL, _IOLBF, 0);
    program_fd = open_program(program);
    int mozjs_fd = argc > 1 ? -1 : open_program("./stillpoint-worker-mozjs");
    become_unprivileged();
    if (!can_make_namespaces()) {
        printf("1..0 # SKIP this machine does not let a user make namespaces\n");
        return 0;
    }
    if (argc > 3 && strcmp(argv[2], "--run") == 0) {
        struct zygote z;
        zygote_start(&z, "--zygote");
        return run_file(&z, argv[3]);
    }
    size_t n = run_cases(strstr(program, "mozjs") ? mozjs_cases : fake_cases, only, 0);
    if (mozjs_fd >= 0) {
        program_fd = mozjs_fd;
        n = run_cases(mozjs_cases, only, n);
    }
    printf("1..%zu\n", n);
    return 0;
}
