/*
 * stop_latency.c: how long a stop of the world takes, and what the kernel's own means take for the
 * same workers in the same run. For each way to run the daemon one table, then the goals, met or
 * not. README.md says what each column is, and what is done about a machine that is not quiet.
 *
 * One thread. Needs root: for ptrace, for cgroups, for SCHED_FIFO.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/slice.h"
#include "bench/bare_wake.h"
#include "bench/kernel_stop.h"
#include "bench/measure.h"
#include "bench/private_daemon.h"
#include "client/stillpoint.h"

#define FIFO_PRIORITY 10
#define SLICE_NS 100000u
#define DEADLINE_US 60000000u
/* Two looks at the foreign load stand so far before and after a round: a running process is charged
 * at the timer tick at the latest. */
#define BEFORE_NS 8000000u
#define AFTER_NS 4000000u
/* One turn of all busy VMs, with slices of one tick of the slowest usual timer. */
#define SLICE_MOST_NS 4000000u
#define WAKE_ROUNDS 100
#define WARM_ROUNDS 10 /* of a kind back to back; the first is not counted */
#define WARM_STOPS 50  /* the same, of stops: cheap ones, of whose tail more has to be seen */
#define P99_ROUNDS 100 /* of fewer there is no 99th percentile */
#define COLD_ABOVE_FLOOR_US 10
#define MAX_CELLS 192

/* How the daemon runs, and so what a table is of. */
enum way { FIFO, AWAKE, DEFAULT, N_WAYS };

static const struct {
    const char *name, *title;
    bool is_fifo;
    const char *cpu_latency;
} ways[N_WAYS] = {
    [FIFO] = {"FIFO", "SCHED_FIFO 10, reset on fork", true, NULL},
    [AWAKE] =
        {"awake",
         "SCHED_FIFO 10, reset on fork; --cpu-latency 0us, and the client has a debugger open",
         true, "0us"},
    [DEFAULT] = {"default", "under the default scheduler, the daemon private", false, NULL},
};

enum column {
    ISSUE,
    WAKE,
    STOP,
    TRIP,
    REPORT,
    REPORT_BYTES,
    RESUME,
    SIGNAL,
    SIGNAL_RESUME,
    TRAP,
    FREEZE,
    FREEZE_RESUME,
    FREEZE_ALL,
    PAGES,
    N_COLUMNS
};

struct mix {
    const char *name, *warm_name; /* NULL: only with pauses */
    const char *texts[2];
    unsigned n_texts;
    unsigned busy_in[2]; /* whether the text runs all the time */
};

#define SPIN "let i = 0; for (;;) i++;"
#define IDLE "globalThis.onmessage = () => {};"
#define BLOCKED "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);"
/* (module (func (export "loop") (loop (br 0)))) */
#define WASM                                                                                       \
    "new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, "   \
    "0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 8, 1, 4, 108, 111, 111, 112, 0, 0, 10, 9, 1, 7, 0, 3, "  \
    "64, 12, 0, 11, 11]))).exports.loop();"

static const struct mix mixes[] = {
    {"busy js", NULL, {SPIN}, 1, {1}},
    {"busy wasm", NULL, {WASM}, 1, {1}},
    {"half busy", NULL, {SPIN, IDLE}, 2, {1, 0}},
    {"idle", "idle warm", {IDLE}, 1, {0}},
    {"blocked", "blocked warm", {BLOCKED}, 1, {0}},
};
#define N_MIXES (sizeof mixes / sizeof mixes[0])

struct cell {
    const struct mix *mix;
    unsigned n;
    enum way way;
    bool warm; /* rounds back to back, after one that does not count */
    struct sample columns[N_COLUMNS];
    unsigned dropped, unsettled;
    double switch_ns;
};

static struct {
    const char *build, *mixes, *counts, *tables;
    FILE *raw;
    unsigned rounds;
    double seconds, limit;
    bool shield;
} options = {".", NULL, "1,8,32,128,512", "fifo,awake,default", NULL, P99_ROUNDS, 12, 0.02, false};

static struct cell cells[MAX_CELLS];
static size_t n_cells;
static char wakes[N_WAYS][160];

/* The bytes of the last reply, without a second implementation of the wire: the library is linked
 * with --wrap=recvmsg. */
static uint64_t received;
ssize_t __real_recvmsg(int sock, struct msghdr *m, int flags);
ssize_t __wrap_recvmsg(int sock, struct msghdr *m, int flags);

ssize_t __wrap_recvmsg(int sock, struct msghdr *m, int flags)
{
    ssize_t n = __real_recvmsg(sock, m, flags);
    if (n > 0)
        received += (uint64_t)n;
    return n;
}

/* ---- the daemon and its VMs */

struct subject {
    pid_t daemon;
    struct stillpoint *sp;
    struct targets targets;
    struct pages pages;
    struct foreign foreign;
    struct bare_wake wake;
    unsigned n, n_busy;
};

static void check(struct subject *s, int r, const char *what)
{
    if (r == 0)
        return;
    fprintf(stderr, "stop_latency: %s: %s\n", what,
            r == STILLPOINT_REFUSED ? stillpoint_error(s->sp)->message : strerror(-r));
    kill(s->daemon, SIGTERM);
    exit(1);
}

static void start_daemon(struct subject *s, enum way way)
{
    const struct private_daemon how = {.build = options.build,
                                       .spawn = "zygote",
                                       .cpu_latency = ways[way].cpu_latency,
                                       .fifo_priority = ways[way].is_fifo ? FIFO_PRIORITY : 0};
    struct stillpoint_debuggers debuggers = {0};
    int ours;
    s->daemon = private_daemon_start(&how, &ours);
    check(s, stillpoint_connect_fd(ours, "stop_latency", &s->sp), "connect");
    if (ways[way].cpu_latency)
        check(s, stillpoint_debugger_open(s->sp, "bench", NULL, NULL, &debuggers), "debugger");
    stillpoint_debuggers_free(&debuggers);
}

static int program(const char *text)
{
    int plain = memfd_create("program", MFD_CLOEXEC);
    if (plain < 0 || write(plain, text, strlen(text)) < 0 || lseek(plain, 0, SEEK_SET) < 0)
        die("program");
    int sealed = stillpoint_memfd_from(plain);
    close(plain);
    if (sealed < 0)
        die("program");
    return sealed;
}

static void stop(struct subject *s, struct stillpoint_stop_report *report)
{
    const struct stillpoint_stop how = {.world = "default", .deadline_us = DEADLINE_US};
    check(s, stillpoint_world_stop(s->sp, &how, report), "stop");
}

static void resume(struct subject *s, struct stillpoint_resumption *resumption)
{
    check(s, stillpoint_world_resume(s->sp, "default", resumption), "resume");
}

/* They are born into a stopped world, so that those that run do not keep the others from it. */
static void start_vms(struct subject *s, const struct mix *mix)
{
    struct stillpoint_stop_report report;
    struct stillpoint_resumption resumption;
    struct stillpoint_vms vms = {0};
    int fds[2] = {-1, -1};
    for (unsigned i = 0; i < mix->n_texts; i++)
        fds[i] = program(mix->texts[i]);
    stop(s, &report);
    stillpoint_stop_report_free(&report);
    s->n_busy = 0;
    pages_init(&s->pages, s->n);
    for (unsigned i = 0; i < s->n; i++) {
        const struct stillpoint_run run = {
            .program = "bench.js", .kind = STILLPOINT_SOURCE_SCRIPT_OR_MODULE, .keep_idle = true};
        s->n_busy += mix->busy_in[i % mix->n_texts];
        check(s, stillpoint_run(s->sp, &run, fds[i % mix->n_texts], &vms), "run");
        stillpoint_vms_free(&vms);
        pages_add(&s->pages);
    }
    for (unsigned i = 0; i < mix->n_texts; i++)
        close(fds[i]);
    resume(s, &resumption);
    stillpoint_resumption_free(&resumption);
}

/* All busy ones run, the others rest, and the engine has compiled what is hot. */
static void warm_up(struct subject *s, const struct mix *mix)
{
    _cleanup_free_ pid_t *pids = calloc(s->n, sizeof *pids);
    const struct stillpoint_list list = {0};
    enum stillpoint_vm_state rest =
        mix->texts[0][0] == 'A' ? STILLPOINT_VM_BLOCKED : STILLPOINT_VM_IDLE;
    for (unsigned tries = 0;; tries++) {
        struct stillpoint_vms vms = {0};
        unsigned ready = 0;
        check(s, stillpoint_vm_list(s->sp, &list, &vms), "list");
        for (size_t i = 0; i < vms.n && i < s->n; i++) {
            enum stillpoint_vm_state wanted =
                mix->busy_in[i % mix->n_texts] ? STILLPOINT_VM_ACTIVE : rest;
            ready += vms.items[i].state == wanted;
            pids[i] = (pid_t)vms.items[i].pid;
        }
        stillpoint_vms_free(&vms);
        if (ready == s->n)
            break;
        if (tries == 3000) {
            fprintf(stderr, "stop_latency: only %u of %u VMs came to what they are to do\n", ready,
                    s->n);
            exit(1);
        }
        sleep_ns(20000000);
    }
    targets_init(&s->targets, pids, s->n);
    foreign_init(&s->foreign, s->targets.cgroup);
    sleep_ns(200000000 + (uint64_t)s->n_busy * SLICE_MOST_NS);
}

static void end(struct subject *s)
{
    bare_wake_done(&s->wake);
    foreign_done(&s->foreign);
    targets_done(&s->targets);
    pages_done(&s->pages);
    s->sp = stillpoint_free(s->sp);
    private_daemon_wait(s->daemon);
}

/* ---- rounds */

static double us(uint64_t from, uint64_t to)
{
    return to > from ? (double)(to - from) / 1000 : 0;
}

static void add(struct cell *c, enum column column, uint64_t from, uint64_t to)
{
    sample_add(&c->columns[column], us(from, to));
}

static bool is_clean(struct subject *s, struct cell *c)
{
    sleep_ns(AFTER_NS);
    bool clean = foreign_share(&s->foreign) <= options.limit;
    c->dropped += !clean;
    return clean;
}

/* Until every VM that was let go has run again: one that was woken and has not had a CPU yet still
 * shows that it is parked, and would count as stopped at once. */
static void settle(struct subject *s, uint64_t settle_ns)
{
    if (settle_ns > BEFORE_NS)
        sleep_ns(settle_ns - BEFORE_NS);
    foreign_begin(&s->foreign);
    sleep_ns(BEFORE_NS);
}

/* One stop and resume. */
struct round {
    uint64_t sent, dispatched, closed, stopped, got, bytes, resume_dispatched, runnable;
    bool settled; /* all had, before */
    bool whole;   /* the report has everybody */
};

static struct round stop_and_resume(struct subject *s)
{
    struct stillpoint_stop_report r;
    struct stillpoint_resumption back;
    struct round round;
    received = 0;
    round.sent = now_ns();
    stop(s, &r);
    round.got = now_ns();
    round.bytes = received;
    resume(s, &back);
    unsigned ran = 0;
    for (size_t i = 0; i < r.n_arrivals; i++)
        ran += r.arrivals[i].was == STILLPOINT_VM_ACTIVE;
    round.settled = ran >= s->n_busy;
    round.whole = r.n_arrivals == s->n && r.n_missing == 0;
    round.dispatched = r.dispatched_mono_ns;
    round.closed = r.closed_mono_ns;
    round.stopped = r.stopped_mono_ns;
    round.resume_dispatched = back.dispatched_mono_ns;
    round.runnable = back.runnable_mono_ns;
    stillpoint_stop_report_free(&r);
    stillpoint_resumption_free(&back);
    return round;
}

static void add_round(struct cell *c, const struct round *r, bool clean)
{
    bool counts = clean && r->settled && r->whole;
    if (options.raw)
        fprintf(options.raw, "%s%s\t%u\t%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\n", c->mix->name,
                c->warm ? " warm" : "", c->n, ways[c->way].name, counts, us(r->sent, r->dispatched),
                us(r->dispatched, r->closed), us(r->closed, r->stopped), us(r->stopped, r->got),
                us(r->resume_dispatched, r->runnable));
    c->unsettled += !r->settled || !r->whole;
    if (!counts)
        return;
    add(c, ISSUE, r->sent, r->closed);
    add(c, STOP, r->dispatched, r->stopped);
    add(c, TRIP, r->sent, r->got);
    add(c, REPORT, r->stopped, r->got);
    sample_add(&c->columns[REPORT_BYTES], (double)r->bytes);
    add(c, RESUME, r->resume_dispatched, r->runnable);
}

/* Returns whether all had settled before. */
static bool stop_round(struct subject *s, struct cell *c, uint64_t settle_ns)
{
    settle(s, settle_ns);
    struct round r = stop_and_resume(s);
    add_round(c, &r, is_clean(s, c));
    return r.settled;
}

static void warm_stop_rounds(struct subject *s, struct cell *c)
{
    struct round rounds[WARM_STOPS];
    settle(s, BEFORE_NS);
    for (int i = 0; i < WARM_STOPS; i++)
        rounds[i] = stop_and_resume(s);
    bool clean = is_clean(s, c);
    for (int i = 1; i < WARM_STOPS; i++)
        add_round(c, &rounds[i], clean);
}

static void kernel_round(struct subject *s, struct cell *c,
                         struct kernel_stop (*how)(struct targets *), enum column column,
                         enum column resume_column)
{
    struct kernel_stop k[WARM_ROUNDS];
    int n = c->warm ? WARM_ROUNDS : 1;
    settle(s, BEFORE_NS);
    for (int i = 0; i < n; i++)
        k[i] = how(&s->targets);
    if (!is_clean(s, c))
        return;
    for (int i = c->warm ? 1 : 0; i < n; i++) {
        if (k[i].stop_ns == 0)
            continue;
        add(c, column, 0, k[i].stop_ns);
        if (resume_column != N_COLUMNS)
            add(c, resume_column, 0, k[i].resume_ns);
    }
}

/* What is below anything that a stop can take. */
static void floor_round(struct subject *s, struct cell *c, uint64_t (*how)(const struct subject *),
                        enum column column)
{
    uint64_t ns[WARM_ROUNDS];
    int n = c->warm ? WARM_ROUNDS : 1;
    settle(s, BEFORE_NS);
    for (int i = 0; i < n; i++)
        ns[i] = how(s);
    if (!is_clean(s, c))
        return;
    for (int i = c->warm ? 1 : 0; i < n; i++)
        add(c, column, 0, ns[i]);
}

/* Nobody has looked at these pages since the last such round, nor at those of the VMs since the
 * last stop. */
static uint64_t read_pages_ns(const struct subject *s)
{
    return pages_read_ns(&s->pages);
}

/* The other process has waited as long as the daemon has before a stop. */
static uint64_t wake_ns(const struct subject *s)
{
    return bare_wake_ns(&s->wake);
}

static bool enough(const struct cell *c)
{
    static const enum column needed[] = {STOP, SIGNAL, TRAP, FREEZE, FREEZE_ALL};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (c->columns[needed[i]].n < options.rounds)
            return false;
    return true;
}

static void count_wakes(struct subject *s, char *text, size_t size)
{
    uint64_t before = targets_switches(&s->targets);
    for (int i = 0; i < WAKE_ROUNDS; i++) {
        struct stillpoint_stop_report r;
        struct stillpoint_resumption back;
        stop(s, &r);
        resume(s, &back);
        stillpoint_stop_report_free(&r);
        stillpoint_resumption_free(&back);
    }
    uint64_t after = targets_switches(&s->targets);
    snprintf(text, size, "%u idle VMs: %llu context switches in %d stops and resumes, %s", s->n,
             (unsigned long long)(after - before), WAKE_ROUNDS,
             after - before <= s->n * WAKE_ROUNDS / 1000 ? "met" : "NOT MET");
}

static void measure_rounds(struct subject *s, struct cell *c)
{
    uint64_t turn = 2 * BEFORE_NS +
                    s->n_busy * SLICE_MOST_NS * 6 / 5 / (uint64_t)sysconf(_SC_NPROCESSORS_ONLN),
             until = now_ns() + (uint64_t)(options.seconds * 1e9);
    while (!enough(c) && now_ns() < until) {
        if (c->warm)
            warm_stop_rounds(s, c);
        else if (!stop_round(s, c, turn))
            turn += turn / 4;
        floor_round(s, c, wake_ns, WAKE);
        kernel_round(s, c, kernel_stop_signal, SIGNAL, SIGNAL_RESUME);
        kernel_round(s, c, kernel_stop_freeze, FREEZE, FREEZE_RESUME);
        kernel_round(s, c, kernel_stop_freeze_all, FREEZE_ALL, N_COLUMNS);
        kernel_round(s, c, kernel_stop_trap, TRAP, N_COLUMNS);
        if (s->n_busy == 0)
            floor_round(s, c, read_pages_ns, PAGES);
    }
}

/* `warm` NULL: only with pauses. */
static void measure(struct cell *c, struct cell *warm)
{
    struct subject s = {.n = c->n};
    start_daemon(&s, c->way);
    bare_wake_init(&s.wake, ways[c->way].is_fifo ? FIFO_PRIORITY : 0);
    start_vms(&s, c->mix);
    warm_up(&s, c->mix);
    measure_rounds(&s, c);
    if (warm)
        measure_rounds(&s, warm);
    if (s.n_busy == 0 && c->mix->texts[0][0] == 'g' && c->n >= 8)
        count_wakes(&s, wakes[c->way], sizeof wakes[0]);
    end(&s);
}

/* ---- tables */

static const char *number(char *text, size_t size, double value)
{
    snprintf(text, size, value < 9.95 ? "%.1f" : "%.0f", value);
    return text;
}

static void print_three(struct sample *s, int width)
{
    char a[16], b[16] = "-", c[16], text[64];
    if (s->n >= P99_ROUNDS)
        number(b, sizeof b, sample_quantile(s, 0.99));
    if (s->n == 0)
        snprintf(text, sizeof text, "-");
    else
        snprintf(text, sizeof text, "%s/%s/%s", number(a, sizeof a, sample_quantile(s, 0.5)), b,
                 number(c, sizeof c, sample_quantile(s, 1)));
    printf(" %*s", width - 1, text);
}

static void print_one(struct sample *s, double q, int width)
{
    char a[16];
    printf("%*s", width, s->n ? number(a, sizeof a, sample_quantile(s, q)) : "-");
}

static const char *cell_name(const struct cell *c)
{
    return c->warm ? c->mix->warm_name : c->mix->name;
}

static double median(struct cell *c, enum column column)
{
    return sample_quantile(&c->columns[column], 0.5);
}

static double floor_us(struct cell *c)
{
    if (c->columns[PAGES].n > 0)
        return median(c, PAGES);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = 0;
    for (unsigned i = 0; i < c->n; i++)
        n += c->mix->busy_in[i % c->mix->n_texts];
    double parallel = n < (unsigned)cpus ? (n ? n : 1) : (double)cpus;
    return n * c->switch_ns / parallel / 1000;
}

/* 0: one of both was not measured */
static double ratio(struct cell *c, enum column to)
{
    double base = median(c, to);
    return base > 0 && c->columns[STOP].n > 0 ? median(c, STOP) / base : 0;
}

static void print_ratio(double r, int width)
{
    char text[16];
    if (r == 0)
        snprintf(text, sizeof text, "-");
    else if (r >= 0.1)
        snprintf(text, sizeof text, "%.2f", r);
    else
        snprintf(text, sizeof text, "1/%.0f", 1 / r);
    printf("%*s", width, text);
}

static void print_head(enum way way)
{
    char machine[200];
    printf("%s\n", measure_machine(machine, sizeof machine));
    printf("daemon and client %s\n", ways[way].title);
    if (options.shield)
        printf("others kept from the CPUs (--shield)\n");
    printf("worlds without a busy VM twice: with a pause before each round, as everything else, "
           "and \"warm\", %d rounds of a kind back to back (%d stops), but for the first\n",
           WARM_ROUNDS, WARM_STOPS);
    printf("us, p50/p99/max (no p99 of fewer than %d rounds) or p50; rounds in which others had "
           "more than %.0f%% of the CPUs are dropped\n",
           P99_ROUNDS, options.limit * 100);
    printf("%-12s%5s%9s%16s%16s%19s%19s%12s%16s%19s%19s%11s%10s%9s%9s%14s%9s%9s%8s%8s%8s\n", "mix",
           "N", "rounds", "issue", "bare wake", "stop", "round trip", "report/KiB", "resume",
           "SIGSTOP", "freezer", "as one", "trap", "SIGCONT", "thaw", "floor", "/SIGSTOP",
           "/freezer", "/as one", "/trap", "/floor");
}

static void print_cell(struct cell *c)
{
    char text[32], number_text[16];
    printf("%-12s%5u", cell_name(c), c->n);
    snprintf(text, sizeof text, "%zu-%u", c->columns[STOP].n, c->dropped + c->unsettled);
    printf("%9s", text);
    print_three(&c->columns[ISSUE], 16);
    print_three(&c->columns[WAKE], 16);
    print_three(&c->columns[STOP], 19);
    print_three(&c->columns[TRIP], 19);
    snprintf(text, sizeof text, "%s/%.1f",
             number(number_text, sizeof number_text, median(c, REPORT)),
             median(c, REPORT_BYTES) / 1024);
    printf("%12s", text);
    print_three(&c->columns[RESUME], 16);
    print_three(&c->columns[SIGNAL], 19);
    print_three(&c->columns[FREEZE], 19);
    print_one(&c->columns[FREEZE_ALL], 0.5, 11);
    print_one(&c->columns[TRAP], 0.5, 10);
    print_one(&c->columns[SIGNAL_RESUME], 0.5, 9);
    print_one(&c->columns[FREEZE_RESUME], 0.5, 9);
    double floor = floor_us(c), stop_us = median(c, STOP);
    if (c->columns[PAGES].n > 0)
        print_three(&c->columns[PAGES], 14);
    else
        printf("%14s", number(text, sizeof text, floor));
    print_ratio(ratio(c, SIGNAL), 9);
    print_ratio(ratio(c, FREEZE), 9);
    print_ratio(ratio(c, FREEZE_ALL), 8);
    print_ratio(ratio(c, TRAP), 8);
    print_ratio(floor > 0 ? stop_us / floor : 0, 8);
    printf("\n");
    fflush(stdout);
}

/* ---- goals */

static struct cell *find(enum way way, const char *mix, unsigned n)
{
    for (size_t i = 0; i < n_cells; i++)
        if (cells[i].way == way && cells[i].n == n && strcmp(cell_name(&cells[i]), mix) == 0)
            return &cells[i];
    return NULL;
}

static void goal_ratio(enum way way, const char *mix, unsigned n, enum column to, const char *name,
                       double most, bool is_goal)
{
    struct cell *c = find(way, mix, n);
    double r = c ? ratio(c, to) : 0;
    char text[64];
    snprintf(text, sizeof text, "%s, N = %u, %s", mix, n, ways[way].name);
    printf("  %-28s stop / %-12s", text, name);
    print_ratio(r, 8);
    printf("  at most ");
    print_ratio(most, 5);
    printf("  %s\n", r == 0      ? "not measured"
                     : r <= most ? "met"
                     : is_goal   ? "NOT MET"
                                 : "more (no goal)");
}

/* Beyond what looking at the pages takes. */
static void goal_above_floor(enum way way, const char *mix, unsigned n, double most)
{
    struct cell *c = find(way, mix, n);
    bool both = c && c->columns[STOP].n > 0 && c->columns[PAGES].n > 0;
    double us = both ? median(c, STOP) - median(c, PAGES) : 0;
    char text[64];
    snprintf(text, sizeof text, "%s, N = %u, %s", mix, n, ways[way].name);
    printf("  %-28s stop - %-12s%5.1f us  at most %2.0f us  %s\n", text, "floor", us, most,
           !both        ? "not measured"
           : us <= most ? "met"
                        : "NOT MET");
}

/* One line for each that is not met. */
static void print_tails(void)
{
    unsigned few = 0;
    for (size_t i = 0; i < n_cells; i++) {
        struct cell *c = &cells[i];
        if (c->columns[STOP].n < P99_ROUNDS) {
            few++;
            continue;
        }
        double issue = sample_quantile(&c->columns[ISSUE], 0.99);
        if (ways[c->way].is_fifo && issue > 200)
            printf("  issue delay p99 at most 200 us: %s, N = %u, %s: %.0f us, NOT MET; a bare "
                   "wake takes %.0f\n",
                   cell_name(c), c->n, ways[c->way].name, issue,
                   sample_quantile(&c->columns[WAKE], 0.99));
        double p50 = median(c, STOP), p99 = sample_quantile(&c->columns[STOP], 0.99);
        if (p99 <= 4 * p50)
            continue;
        printf("  p99 at most 4 x p50: %s, N = %u, %s: %.1f/%.1f us = %.1f, NOT MET", cell_name(c),
               c->n, ways[c->way].name, p99, p50, p99 / p50);
        if (c->columns[PAGES].n >= P99_ROUNDS)
            printf("; the floor: %.1f/%.1f", sample_quantile(&c->columns[PAGES], 0.99),
                   median(c, PAGES));
        printf("\n");
    }
    printf("  (issue delay p99 at most 200 us with FIFO and p99 at most 4 x p50: those not named "
           "are met, but for %u of fewer than %d rounds, which have no p99)\n",
           few, P99_ROUNDS);
}

static void print_goals(void)
{
    static const unsigned large[] = {128, 512, 1000};
    printf("\ngoals\n");
    for (enum way way = 0; way < N_WAYS; way++) {
        for (size_t i = 0; i < 3; i++) {
            if (!find(way, "idle", large[i]))
                continue;
            goal_ratio(way, "idle", large[i], SIGNAL, "SIGSTOP", 1.0 / 200, true);
            goal_ratio(way, "idle", large[i], FREEZE, "freezer", 1.0 / 200, true);
            goal_ratio(way, "idle warm", large[i], SIGNAL, "SIGSTOP", 1.0 / 200, true);
            goal_ratio(way, "idle warm", large[i], FREEZE, "freezer", 1.0 / 200, true);
            goal_above_floor(way, "idle", large[i], COLD_ABOVE_FLOOR_US);
        }
        if (find(way, "half busy", 128)) {
            goal_ratio(way, "half busy", 128, SIGNAL, "SIGSTOP", 1.2, true);
            goal_ratio(way, "half busy", 128, FREEZE, "freezer", 1.2, true);
        }
        if (find(way, "half busy", 512)) {
            goal_ratio(way, "half busy", 512, SIGNAL, "SIGSTOP", 0.5, true);
            goal_ratio(way, "half busy", 512, FREEZE, "freezer", 0.5, true);
        }
        for (size_t i = 0; i < 2; i++)
            if (find(way, "busy js", large[i])) {
                goal_ratio(way, "busy js", large[i], SIGNAL, "SIGSTOP", 3.5, way != DEFAULT);
                goal_ratio(way, "busy js", large[i], TRAP, "trap", 3.5, false);
            }
    }
    print_tails();
    for (enum way way = 0; way < N_WAYS; way++)
        if (wakes[way][0])
            printf("  resume wakes no idle VM: %s\n", wakes[way]);
}

/* ---- the run */

static bool listed(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, word, n) == 0 && (at[n] == ',' || at[n] == '\0'))
            return true;
    return !list;
}

/* This process plays the supervisor of SIGSTOP and freezer, and the client: it is scheduled as the
 * daemon is. */
static void schedule(bool fifo)
{
    const struct sched_param none = {0};
    prctl(PR_SET_TIMERSLACK, 1);
    if (fifo ? become_fifo(FIFO_PRIORITY) < 0 : sched_setscheduler(0, SCHED_OTHER, &none) < 0)
        die("scheduler");
    if (!fifo)
        (void)slice_request(SLICE_NS, 0);
}

static void run_table(enum way way)
{
    _cleanup_free_ char *counts = strdup(options.counts);
    char *rest = counts;
    print_head(way);
    double switch_ns[16] = {0};
    unsigned ns[16], n = 0;
    for (const char *word; (word = strsep(&rest, ",")) != NULL && n < 16; n++) {
        ns[n] = (unsigned)strtoul(word, NULL, 10);
        switch_ns[n] = context_switch_ns(ns[n]);
    }
    for (size_t m = 0; m < N_MIXES; m++) {
        if (!listed(options.mixes, mixes[m].name))
            continue;
        bool both = mixes[m].warm_name != NULL;
        for (unsigned i = 0; i < n && n_cells + both < MAX_CELLS; i++) {
            struct cell *c = &cells[n_cells++], *warm = both ? &cells[n_cells++] : NULL;
            *c = (struct cell){.mix = &mixes[m], .n = ns[i], .way = way, .switch_ns = switch_ns[i]};
            if (warm) {
                *warm = *c;
                warm->warm = true;
            }
            schedule(ways[way].is_fifo);
            measure(c, warm);
            print_cell(c);
            if (warm)
                print_cell(warm);
        }
    }
    printf("\n");
}

static void usage(void)
{
    printf("Usage: stop_latency [OPTION...]\n"
           "  --build DIR         where stillpointd and the worker programs are (.)\n"
           "  --rounds N          clean rounds of each cell (100)\n"
           "  --seconds S         but no longer than this for a cell (12)\n"
           "  --counts N,…        numbers of VMs (1,8,32,128,512)\n"
           "  --mixes NAME,…      busy js, busy wasm, half busy, idle, blocked (all)\n"
           "  --tables NAME,…     fifo, awake, default: how the daemon runs (all)\n"
           "  --foreign SHARE     a round in which others had more of the CPUs is dropped (0.02)\n"
           "  --raw FILE          writes each round to it, those that were dropped too\n"
           "  --shield            keeps others from the CPUs meanwhile\n");
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"build", required_argument, NULL, 'b'},
        {"rounds", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 's'},
        {"counts", required_argument, NULL, 'c'},
        {"mixes", required_argument, NULL, 'm'},
        {"tables", required_argument, NULL, 't'},
        {"foreign", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {"raw", required_argument, NULL, 'w'},
        {"shield", no_argument, NULL, 'i'},
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
        case 'c':
            options.counts = optarg;
            break;
        case 'm':
            options.mixes = optarg;
            break;
        case 't':
            options.tables = optarg;
            break;
        case 'i':
            options.shield = true;
            break;
        case 'w':
            options.raw = fopen(optarg, "we");
            if (!options.raw)
                die(optarg);
            break;
        case 'f':
            options.limit = strtod(optarg, NULL);
            break;
        default:
            usage();
            return option == 'h' ? 0 : 2;
        }
    }
    if (geteuid() != 0) {
        fprintf(stderr, "stop_latency: needs root, for ptrace, cgroups and SCHED_FIFO; skipped\n");
        return 0;
    }
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int r = options.shield ? shield_init() : 0;
    if (r < 0) {
        fprintf(stderr, "stop_latency: cannot shield: %s\n", strerror(-r));
        return 1;
    }
    if (listed(options.tables, "fifo"))
        run_table(FIFO);
    if (listed(options.tables, "awake"))
        run_table(AWAKE);
    if (listed(options.tables, "default"))
        run_table(DEFAULT);
    print_goals();
    shield_done();
    return 0;
}
