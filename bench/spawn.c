/*
 * spawn.c: how long a worker's birth takes, and its end, and how many there can be in a second;
 * beside a worker that is exec'd, and a process of node, in the same run. README.md says what each
 * column is.
 *
 * The first table is made with the daemon's own modules, in a process for each row, so that it can
 * be given a daemon's memory; the others with the daemon and its client library. One thread.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "bench/kernel_stop.h"
#include "bench/measure.h"
#include "bench/private_daemon.h"
#include "client/stillpoint.h"
#include "daemon/freezer.h"
#include "daemon/worker.h"
#include "daemon/zygote_client.h"
#include "shared-mem/stop.h"

#define LARGE_BYTES ((size_t)1 << 30)
#define WARM_UP 20
#define LAYER_ON 2
#define IN_FLIGHT 8
#define MANY 200
/* As in stop_latency.c: of the foreign load around a round. */
#define BEFORE_NS 6000000u
#define AFTER_NS 4000000u
#define MS 1000000.0

extern char **environ;

static struct {
    const char *build, *only;
    unsigned rounds;
    double seconds, limit;
} options = {".", NULL, 300, 60, 0.02};

static void check(int r, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "spawn: %s: %s\n", what, strerror(-r));
    exit(1);
}

static int program(const char *text)
{
    int fd = fd_memfd_new("program", text, strlen(text));
    check(fd, "memfd");
    return fd;
}

static double p(struct sample *s, double q)
{
    return sample_quantile(s, q);
}

static void print_goal(const char *what, double value, double limit, const char *unit)
{
    if (value > 0)
        printf("goal: %s at most %g %s: %.2f, %s\n", what, limit, unit, value,
               value <= limit ? "met" : "not met");
    else
        printf("goal: %s at most %g %s: no clean round, not measured\n", what, limit, unit);
}

/* ---- the daemon's modules, in a process of their own */

struct nursery {
    struct worker_host host;
    struct zygote_client *zygote;
    struct stop_world world;
    struct worker *worker;
    struct foreign foreign;
    int lifeline[2];
    uint64_t next_id, born_ns, ended_ns;
    struct sample birth, end;
    unsigned dropped;
    char missing[256]; /* layers that the last one had not */
};

static const char *on_fact(void *userdata, struct worker *w, const struct worker_fact *fact)
{
    struct nursery *n = userdata;
    (void)w;
    if (n->born_ns == 0)
        n->born_ns = now_ns();
    if (fact->kind != FACT_BORN || fact->born.error) {
        fprintf(stderr, "spawn: a worker was not born well\n");
        exit(1);
    }
    n->missing[0] = '\0';
    for (size_t i = 0; i < fact->born.n_layers; i++) {
        const struct worker_layer *layer = &fact->born.layers[i];
        size_t used = strlen(n->missing);
        if (layer->state != LAYER_ON)
            snprintf(n->missing + used, sizeof n->missing - used, " %s", layer->name);
    }
    event_base_loopbreak(n->host.base);
    return NULL;
}

static void on_kicked(void *userdata, struct worker *w)
{
    (void)userdata, (void)w;
}

static void on_ended(void *userdata, struct worker *w)
{
    struct nursery *n = userdata;
    (void)w;
    if (n->born_ns == 0) {
        fprintf(stderr, "spawn: a worker ended at its birth: %s\n", w->exit.detail);
        exit(1);
    }
    event_base_loopbreak(n->host.base);
    n->ended_ns = 1;
}

static const struct worker_events worker_events = {
    .on_fact = on_fact, .on_kicked = on_kicked, .on_ended = on_ended};

static void on_spawned(void *userdata, uint64_t id, const struct zygote_birth *birth)
{
    struct nursery *n = userdata;
    (void)id;
    worker_spawned(n->worker, birth);
}

static void on_lost(void *userdata, const char *engine, const char *why)
{
    (void)userdata, (void)engine;
    fprintf(stderr, "spawn: %s\n", why);
    exit(1);
}

static void on_strays(void *userdata)
{
    (void)userdata;
}

static const struct zygote_client_events zygote_events = {on_spawned, on_lost, on_strays};

/* As the daemon does. */
static void become_nobody(void)
{
    const struct passwd *nobody = getpwnam("nobody");
    if (geteuid() != 0 || !nobody)
        return;
    if (setgroups(0, NULL) < 0 || setresgid(nobody->pw_gid, nobody->pw_gid, nobody->pw_gid) < 0 ||
        setresuid(nobody->pw_uid, nobody->pw_uid, nobody->pw_uid) < 0)
        die("setresuid");
}

static void open_nursery(struct nursery *n, const char *engine, bool exec_mode)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/stillpoint-worker-%s", options.build, engine);
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        die(path);
    const struct passwd *nobody = getpwnam("nobody");
    bool gives_up_root = geteuid() == 0 && nobody;
    *n = (struct nursery){.next_id = 1};
    n->host.freezer = freezer_new(gives_up_root ? nobody->pw_uid : geteuid(),
                                  gives_up_root ? nobody->pw_gid : getegid());
    n->host.base = event_base_new();
    n->host.looks = n->host.base ? look_queue_new(n->host.base) : NULL;
    if (!n->host.freezer || !n->host.looks || pipe2(n->lifeline, O_CLOEXEC) < 0)
        die("nursery");
    foreign_init(&n->foreign, freezer_path(n->host.freezer));
    n->foreign.inside = gives_up_root;
    become_nobody();
    check(stop_world_init(&n->world), "world");
    n->zygote = zygote_client_new(n->host.base, engine, fd, exec_mode, &zygote_events, n);
    if (!n->zygote)
        die("zygote");
}

static void close_nursery(struct nursery *n)
{
    n->zygote = zygote_client_free(n->zygote);
    stop_world_done(&n->world);
    n->host.looks = look_queue_free(n->host.looks);
    n->host.freezer = freezer_free(n->host.freezer);
    foreign_done(&n->foreign);
    event_base_free(n->host.base);
}

/* One birth and one end. */
static void give_birth(struct nursery *n, bool counts)
{
    struct worker_config config = {
        .name = "w", .world = "default", .engine = "e", .program = "w", .helper_threads = 3};
    vm_limits_default(&config.limits);
    int fd = program("");
    foreign_begin(&n->foreign);
    sleep_ns(BEFORE_NS);
    n->born_ns = n->ended_ns = 0;
    uint64_t start = now_ns();
    check(worker_new(&n->host, &n->world, n->next_id++, &config, fd, &worker_events, n, &n->worker),
          "worker");
    check(worker_spawn(n->worker, n->zygote, &n->world, n->lifeline[0], &config), "spawn");
    while (n->born_ns == 0)
        event_base_dispatch(n->host.base);
    uint64_t kill = now_ns();
    worker_kill(n->worker, EXIT_REASON_KILLED, "enough");
    while (n->ended_ns == 0)
        event_base_dispatch(n->host.base);
    worker_free(n->worker);
    while (freezer_sweep(n->host.freezer) > 0)
        sleep_ns(20000);
    uint64_t end = now_ns();
    sleep_ns(AFTER_NS);
    bool clean = foreign_share(&n->foreign) <= options.limit;
    if (!counts)
        return;
    n->dropped += !clean;
    if (clean) {
        sample_add(&n->birth, (double)(n->born_ns - start) / MS);
        sample_add(&n->end, (double)(end - kill) / MS);
    }
}

struct row {
    double birth50, birth99, end50, end99;
    unsigned clean;
};

static void measure_row(const char *engine, bool exec_mode, size_t bytes, struct row *row)
{
    struct nursery n;
    if (bytes > 0) {
        char *memory = malloc(bytes);
        if (!memory)
            die("memory");
        for (size_t i = 0; i < bytes; i += 4096)
            memory[i] = (char)i;
        __asm__ volatile("" : : "r"(memory) : "memory");
    }
    open_nursery(&n, engine, exec_mode);
    for (unsigned i = 0; i < WARM_UP; i++)
        give_birth(&n, false);
    uint64_t end = now_ns() + (uint64_t)(options.seconds * 1e9);
    while (n.birth.n < options.rounds && now_ns() < end)
        give_birth(&n, true);
    *row = (struct row){p(&n.birth, 0.5), p(&n.birth, 0.99), p(&n.end, 0.5), p(&n.end, 0.99),
                        (unsigned)n.birth.n};
    printf("%-7s %-7s %-7s %5u-%-5u %6.2f/%6.2f %8.2f/%6.2f\n", engine,
           exec_mode ? "exec" : "zygote", bytes ? "1 GiB" : "small", row->clean, n.dropped,
           row->birth50, row->birth99, row->end50, row->end99);
    if (n.missing[0])
        printf("  not in the full sandbox; degraded or missing:%s\n", n.missing);
    fflush(stdout);
    close_nursery(&n);
}

/* In a process of its own: it gives up root, and is given memory. */
static struct row modules_row(const char *engine, bool exec_mode, size_t bytes)
{
    struct row row = {0};
    int pipe_fds[2];
    fflush(stdout);
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        die("pipe");
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        close(pipe_fds[0]);
        measure_row(engine, exec_mode, bytes, &row);
        if (write(pipe_fds[1], &row, sizeof row) != sizeof row)
            _exit(1);
        _exit(0);
    }
    close(pipe_fds[1]);
    if (read(pipe_fds[0], &row, sizeof row) != sizeof row)
        exit(1);
    close(pipe_fds[0]);
    waitpid(pid, NULL, 0);
    return row;
}

static void table_of_modules(void)
{
    printf("a birth in the full sandbox, by the daemon's own modules; ms, p50/p99\n");
    printf("%-7s %-7s %-7s %11s %13s %15s\n", "engine", "spawn", "daemon", "rounds", "first byte",
           "end");
    struct row fake = modules_row("fake", false, 0);
    struct row large = modules_row("fake", false, LARGE_BYTES);
    modules_row("fake", true, 0);
    struct row js = modules_row("mozjs", false, 0);
    struct row js_large = modules_row("mozjs", false, LARGE_BYTES);
    modules_row("mozjs", true, 0);
    print_goal("first byte without an engine, p50", fake.birth50, 0.8, "ms");
    print_goal("first byte without an engine, p99", fake.birth99, 5, "ms");
    print_goal("the same with a daemon of 1 GiB, p50", large.birth50, 0.8, "ms");
    print_goal("the same with a daemon of 1 GiB, p99", large.birth99, 5, "ms");
    print_goal("kill, reap and clean-up, p99", js.end99, 20, "ms");
    print_goal("the same with a daemon of 1 GiB, p99", js_large.end99, 20, "ms");
    printf("\n");
}

/* ---- the daemon */

struct subject {
    pid_t daemon;
    struct stillpoint *sp;
    struct foreign foreign;
};

static void must(struct subject *s, int r, const char *what)
{
    if (r == 0)
        return;
    fprintf(stderr, "spawn: %s: %s\n", what,
            r == STILLPOINT_REFUSED ? stillpoint_error(s->sp)->message : strerror(-r));
    kill(s->daemon, SIGTERM);
    exit(1);
}

enum way { SPARE, ZYGOTE, EXEC };

static void start_daemon(struct subject *s, enum way way)
{
    int ours;
    const struct private_daemon how = {
        .build = options.build, .spawn = way == EXEC ? "exec" : "zygote", .spare = way == SPARE};
    s->daemon = private_daemon_start(&how, &ours);
    must(s, stillpoint_connect_fd(ours, "spawn", &s->sp), "connect");
}

static void end_daemon(struct subject *s)
{
    s->sp = stillpoint_free(s->sp);
    private_daemon_wait(s->daemon);
}

static void run(struct subject *s, int fd, bool wait_ready, struct stillpoint_vms *vms)
{
    const struct stillpoint_run how = {.program = "bench.js",
                                       .kind = STILLPOINT_SOURCE_SCRIPT_OR_MODULE,
                                       .keep_idle = true,
                                       .wait_ready = wait_ready};
    must(s, stillpoint_run(s->sp, &how, fd, vms), "run");
}

static void end_vm(struct subject *s, uint64_t id)
{
    char name[24];
    struct stillpoint_vms vms = {0};
    snprintf(name, sizeof name, "%llu", (unsigned long long)id);
    must(s, stillpoint_vm_kill(s->sp, name), "kill");
    must(s, stillpoint_vm_wait(s->sp, name, STILLPOINT_WAIT_EXITED, 0, &vms), "wait");
    stillpoint_vms_free(&vms);
}

/* Its clock is not ours, but runs like it: the third line was written after `b`, and so its first
 * instruction was at least b - a before that. That leaves in the bound what one line takes. */
static const char guest[] = "const a = performance.now();"
                            "console.log('x');"
                            "console.log('x');"
                            "const b = performance.now();"
                            "console.log('x');"
                            "console.log(String(b - a));"
                            "globalThis.onmessage = () => {};";
enum guest_line { FIRST, AFTER_B = 2, B_MINUS_A, N_LINES };

static double number_of(const struct stillpoint_log_record *record)
{
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)record->bytes, (const char *)record->data);
    return strtod(text, NULL);
}

/* When the guest wrote its first line, by the worker's clock, and by when it had begun. */
static void read_lines(struct subject *s, uint64_t id, uint64_t *ret_line, uint64_t *ret_begun)
{
    char name[24];
    snprintf(name, sizeof name, "%llu", (unsigned long long)id);
    const struct stillpoint_log_query query = {.vm = name};
    for (size_t n = 0; n < N_LINES;) {
        struct stillpoint_log log = {0};
        must(s, stillpoint_vm_log(s->sp, &query, &log), "log");
        n = log.n;
        if (n == N_LINES) {
            *ret_line = log.records[FIRST].mono_ns;
            *ret_begun =
                log.records[AFTER_B].mono_ns - (uint64_t)(number_of(&log.records[B_MINUS_A]) * MS);
        }
        stillpoint_log_free(&log);
    }
}

/* All of the daemon's processes are in the cgroup above that of a worker. */
static void find_cgroup(struct subject *s, int fd)
{
    struct stillpoint_vms vms = {0};
    struct targets targets;
    run(s, fd, true, &vms);
    const pid_t pid = (pid_t)vms.items[0].pid;
    targets_init(&targets, &pid, 1);
    foreign_init(&s->foreign, targets.cgroup);
    targets_done(&targets);
    end_vm(s, vms.items[0].id);
    stillpoint_vms_free(&vms);
}

struct times {
    struct sample begun, first, whole;
    unsigned dropped;
};

/* `begun`: 0 where that is not known. */
static void add(struct times *t, bool clean, uint64_t start, uint64_t begun, uint64_t first,
                uint64_t whole)
{
    t->dropped += !clean;
    if (!clean)
        return;
    if (begun > 0)
        sample_add(&t->begun, (double)(begun - start) / MS);
    sample_add(&t->first, (double)(first - start) / MS);
    sample_add(&t->whole, (double)(whole - start) / MS);
}

static void print_times(const char *what, struct times *t)
{
    char begun[32] = "-";
    if (t->begun.n > 0)
        snprintf(begun, sizeof begun, "%.2f/%7.2f", p(&t->begun, 0.5), p(&t->begun, 0.99));
    printf("%-25s %5zu-%-5u %17s %7.2f/%7.2f %8.2f/%7.2f\n", what, t->first.n, t->dropped, begun,
           p(&t->first, 0.5), p(&t->first, 0.99), p(&t->whole, 0.5), p(&t->whole, 0.99));
    fflush(stdout);
}

static void time_guests(enum way way, struct times *t)
{
    struct subject s;
    int fd = program(guest);
    start_daemon(&s, way);
    find_cgroup(&s, fd);
    uint64_t end = now_ns() + (uint64_t)(options.seconds * 1e9);
    for (unsigned i = 0; t->first.n < options.rounds && now_ns() < end; i++) {
        struct stillpoint_vms vms = {0};
        foreign_begin(&s.foreign);
        sleep_ns(BEFORE_NS);
        uint64_t start = now_ns();
        run(&s, fd, true, &vms);
        uint64_t ready = now_ns();
        sleep_ns(AFTER_NS);
        bool clean = foreign_share(&s.foreign) <= options.limit;
        uint64_t id = vms.items[0].id, first = 0, begun = 0;
        read_lines(&s, id, &first, &begun);
        stillpoint_vms_free(&vms);
        end_vm(&s, id);
        if (i >= WARM_UP)
            add(t, clean, start, begun, first, ready);
    }
    close(fd);
    foreign_done(&s.foreign);
    end_daemon(&s);
}

/* Until its first byte, and until it has ended. Returns -ENOENT without node. */
static int run_node(uint64_t *ret_first, uint64_t *ret_end)
{
    int out[2];
    if (pipe2(out, O_CLOEXEC) < 0)
        die("pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    char *argv[] = {(char *)"node", (char *)"-e", (char *)"console.log(0)", NULL};
    pid_t pid;
    int r = -posix_spawnp(&pid, "node", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    char byte;
    if (r == 0 && read(out[0], &byte, 1) != 1)
        r = -ENOENT;
    *ret_first = now_ns();
    close(out[0]);
    if (r == 0)
        waitpid(pid, NULL, 0);
    *ret_end = now_ns();
    return r;
}

static int time_node(struct times *t)
{
    struct foreign foreign;
    foreign_init(&foreign, "");
    uint64_t end = now_ns() + (uint64_t)(options.seconds * 1e9), first, last;
    int r = 0;
    for (unsigned i = 0; r == 0 && t->first.n < options.rounds / 3 && now_ns() < end; i++) {
        foreign_begin(&foreign);
        sleep_ns(BEFORE_NS);
        uint64_t start = now_ns();
        r = run_node(&first, &last);
        sleep_ns(AFTER_NS);
        bool clean = foreign_share(&foreign) <= options.limit;
        if (r == 0 && i > 2)
            add(t, clean, start, 0, first, last);
    }
    foreign_done(&foreign);
    return r;
}

static void table_of_guests(void)
{
    struct times spare = {0}, zygote = {0}, exec = {0}, node = {0};
    printf("a program's birth, by daemon and client; ms, p50/p99\n");
    printf("%-25s %11s %17s %15s %16s\n", "", "rounds", "first instruction", "first line",
           "ready or ended");
    time_guests(SPARE, &spare);
    print_times("zygote, kept ready", &spare);
    time_guests(ZYGOTE, &zygote);
    print_times("zygote, when asked for", &zygote);
    time_guests(EXEC, &exec);
    print_times("exec'd", &exec);
    if (time_node(&node) == 0)
        print_times("node -e 'console.log(0)'", &node);
    else
        printf("node is not installed\n");
    print_goal("first guest instruction, p50", p(&spare.begun, 0.5), 2, "ms");
    print_goal("first guest instruction, p99", p(&spare.begun, 0.99), 10, "ms");
    print_goal("the same when asked for, p50", p(&zygote.begun, 0.5), 2, "ms");
    print_goal("the same when asked for, p99", p(&zygote.begun, 0.99), 10, "ms");
    printf("\n");
}

/* ---- one after the other, many at a time */

struct mill {
    struct subject s;
    unsigned in_flight;
    uint64_t ended;
};

static void on_run(struct stillpoint *sp, int r, const struct stillpoint_vm *vm, void *data)
{
    struct mill *m = data;
    (void)sp, (void)vm;
    must(&m->s, r, "run");
}

static void on_event(struct stillpoint *sp, const struct stillpoint_event *event, void *data)
{
    struct mill *m = data;
    (void)sp;
    if (event->kind != STILLPOINT_EVENT_VM_ENDED)
        return;
    m->ended++;
    m->in_flight--;
}

static unsigned long own_kib(pid_t pid)
{
    char path[64], line[256];
    unsigned long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "RssAnon: %lu", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

static void grind(struct mill *m, int fd, uint64_t end_ns)
{
    const struct stillpoint_run how = {.program = "bench.js",
                                       .kind = STILLPOINT_SOURCE_SCRIPT_OR_MODULE};
    while (now_ns() < end_ns || m->in_flight > 0) {
        while (m->in_flight < IN_FLIGHT && now_ns() < end_ns) {
            m->in_flight++;
            must(&m->s, stillpoint_run_async(m->s.sp, &how, fd, on_run, m), "run");
        }
        must(&m->s, stillpoint_wait(m->s.sp, -1), "wait");
    }
}

/* Born, run to its end, reaped: all of a program's life. */
static void sustained(void)
{
    struct mill m = {0};
    const struct stillpoint_handlers handlers = {.event = on_event, .data = &m};
    const struct stillpoint_subscription all = {0};
    int fd = program("globalThis.x = 1 + 1;");
    uint64_t seq;
    start_daemon(&m.s, SPARE);
    stillpoint_set_handlers(m.s.sp, &handlers);
    must(&m.s, stillpoint_subscribe(m.s.sp, &all, &seq), "subscribe");
    /* Until the daemon has as many exited VMs and events as it keeps. */
    while (m.ended < 2500)
        grind(&m, fd, now_ns() + 100000000u);
    unsigned long before = own_kib(m.s.daemon);
    uint64_t start = now_ns(), counted = m.ended;
    grind(&m, fd, start + (uint64_t)(options.seconds * 1e9));
    double seconds = (double)(now_ns() - start) / 1e9;
    double rate = (double)(m.ended - counted) / seconds;
    unsigned long after = own_kib(m.s.daemon);
    close(fd);
    end_daemon(&m.s);
    printf("born, run and reaped, %u at a time, for %.0f s: %.0f/s; the daemon has %lu KiB, then "
           "%lu\n",
           IN_FLIGHT, seconds, rate, before, after);
    printf("goal: at least 300/s: %.0f, %s\n", rate, rate >= 300 ? "met" : "not met");
    print_goal("memory afterwards, to before", (double)after / (double)before, 1.05, "times");
    printf("\n");
}

/* ---- the end of a daemon */

static void killed(void)
{
    struct subject s;
    int fd = program("globalThis.onmessage = () => {};"), pidfds[MANY];
    start_daemon(&s, ZYGOTE);
    for (unsigned i = 0; i < MANY; i++) {
        struct stillpoint_vms vms = {0};
        run(&s, fd, false, &vms);
        pidfds[i] = pidfd_open((pid_t)vms.items[0].pid, 0);
        if (pidfds[i] < 0)
            die("pidfd_open");
        stillpoint_vms_free(&vms);
    }
    sleep_ns(500000000);
    uint64_t start = now_ns();
    kill(s.daemon, SIGKILL);
    for (unsigned i = 0; i < MANY; i++) {
        struct pollfd one = {.fd = pidfds[i], .events = POLLIN};
        while (poll(&one, 1, -1) < 0 && errno == EINTR)
            ;
        close(pidfds[i]);
    }
    double ms = (double)(now_ns() - start) / MS;
    close(fd);
    end_daemon(&s);
    print_goal("200 workers dead after kill -9 of their daemon", ms, 200, "ms");
}

static void usage(void)
{
    printf("Usage: spawn [OPTION...]\n"
           "  --build DIR      where stillpointd and the worker programs are (.)\n"
           "  --rounds N       clean rounds of each row (300)\n"
           "  --seconds S      but no longer than this for a row, and of the sustained rate (60)\n"
           "  --foreign SHARE  a round in which others had more of the CPUs is dropped (0.02)\n"
           "  --only PART      modules, guests, sustained or killed\n");
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"build", required_argument, NULL, 'b'},
        {"rounds", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 's'},
        {"foreign", required_argument, NULL, 'f'},
        {"only", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        switch (option) {
        case 'b':
            options.build = optarg;
            break;
        case 'r':
            options.rounds = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 's':
            options.seconds = strtod(optarg, NULL);
            break;
        case 'f':
            options.limit = strtod(optarg, NULL);
            break;
        case 'o':
            options.only = optarg;
            break;
        default:
            usage();
            return option == 'h' ? 0 : 2;
        }
    }
    char machine[256];
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    printf("%s\n", measure_machine(machine, sizeof machine));
    printf("rounds in which others had more than %.0f%% of the CPUs are dropped\n\n",
           options.limit * 100);
    const struct {
        const char *name;
        void (*run)(void);
    } parts[] = {{"modules", table_of_modules},
                 {"guests", table_of_guests},
                 {"sustained", sustained},
                 {"killed", killed}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!options.only || strcmp(options.only, parts[i].name) == 0)
            parts[i].run();
    return 0;
}
