#include "bench/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

void die(const char *what)
{
    perror(what);
    exit(1);
}

void sleep_ns(uint64_t ns)
{
    struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000u),
                          .tv_nsec = (long)(ns % 1000000000u)};
    while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
        ;
}

/* ---- samples */

void sample_add(struct sample *s, double value)
{
    if (s->n == s->size) {
        s->size = s->size ? 2 * s->size : 64;
        s->values = reallocarray(s->values, s->size, sizeof *s->values);
        if (!s->values)
            die("samples");
    }
    s->values[s->n++] = value;
}

void sample_clear(struct sample *s)
{
    s->n = 0;
}

void sample_done(struct sample *s)
{
    free(s->values);
    *s = (struct sample){0};
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double sample_quantile(struct sample *s, double q)
{
    if (s->n == 0)
        return 0;
    qsort(s->values, s->n, sizeof *s->values, by_value);
    double exact = q * (double)s->n;
    size_t rank = (size_t)exact;
    if ((double)rank < exact)
        rank++;
    return s->values[rank > 0 ? rank - 1 : 0];
}

/* ---- the machine */

const char *measure_machine(char *text, size_t size)
{
    struct utsname name;
    char date[32];
    time_t now = time(NULL);
    struct tm tm;
    uname(&name);
    gmtime_r(&now, &tm);
    strftime(date, sizeof date, "%Y-%m-%d", &tm);
    double gib = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / (1u << 30);
    snprintf(text, size, "%ld CPUs, %.0f GiB, Linux %s, %s", sysconf(_SC_NPROCESSORS_ONLN), gib,
             name.release, date);
    return text;
}

/* ---- what others used */

static uint64_t read_number(int fd, const char *after)
{
    char text[4096];
    ssize_t n = fd >= 0 ? pread(fd, text, sizeof text - 1, 0) : -1;
    if (n < 0)
        return 0;
    text[n] = '\0';
    const char *at = after ? strstr(text, after) : text;
    return at ? strtoull(at + (after ? strlen(after) : 0), NULL, 10) : 0;
}

/* user nice system idle iowait irq softirq steal, in ticks. Busy ones together, and steal. */
static uint64_t read_stat(int fd, uint64_t *ret_steal)
{
    char text[512];
    unsigned long long t[8] = {0};
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    (void)sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3],
                 &t[4], &t[5], &t[6], &t[7]);
    *ret_steal = t[7];
    uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    return (t[0] + t[1] + t[2] + t[5] + t[6]) * tick_ns;
}

void foreign_init(struct foreign *f, const char *cgroup)
{
    static const char *const roots[] = {"/sys/fs/cgroup/cpuacct/cpuacct.usage",
                                        "/sys/fs/cgroup/cpu,cpuacct/cpuacct.usage"};
    char path[4200];
    *f = (struct foreign){.all_fd = -1};
    for (size_t i = 0; i < sizeof roots / sizeof roots[0] && f->all_fd < 0; i++)
        f->all_fd = open(roots[i], O_RDONLY | O_CLOEXEC);
    f->exact = f->all_fd >= 0;
    f->stat_fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "%s/cpu.stat", cgroup);
    f->ours_fd = open(path, O_RDONLY | O_CLOEXEC);
}

void foreign_done(struct foreign *f)
{
    if (f->all_fd >= 0)
        close(f->all_fd);
    if (f->ours_fd >= 0)
        close(f->ours_fd);
    close(f->stat_fd);
}

/* ---- the shield */

#define MAX_SPINNERS 256

static struct {
    pid_t pid;
    clockid_t clock;
} spinners[MAX_SPINNERS];
static unsigned n_spinners;

static void spin_idly(void)
{
    const struct sched_param none = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (sched_setscheduler(0, SCHED_IDLE, &none) < 0)
        _exit(1);
    for (;;)
        atomic_signal_fence(memory_order_seq_cst);
}

int shield_init(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    /* The leader of a process group cannot begin a session. */
    if (setsid() < 0 && getsid(0) != getpid())
        return -errno;
    int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = write(fd, "-20", 3) < 0 ? -errno : 0;
    close(fd);
    for (long i = 0; i < cpus && i < MAX_SPINNERS && r == 0; i++) {
        pid_t pid = fork();
        if (pid < 0)
            return -errno;
        if (pid == 0)
            spin_idly();
        spinners[n_spinners].pid = pid;
        r = -clock_getcpuclockid(pid, &spinners[n_spinners++].clock);
    }
    return r;
}

void shield_done(void)
{
    while (n_spinners > 0) {
        kill(spinners[--n_spinners].pid, SIGKILL);
        waitpid(spinners[n_spinners].pid, NULL, 0);
    }
}

static uint64_t cpu_ns(clockid_t clock)
{
    struct timespec ts = {0};
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t own_cpu_ns(void)
{
    return cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static uint64_t time_ns(const struct timeval *t)
{
    return (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_usec * 1000u;
}

/* Of those that have been waited for. */
static uint64_t children_cpu_ns(void)
{
    struct rusage r = {0};
    getrusage(RUSAGE_CHILDREN, &r);
    return time_ns(&r.ru_utime) + time_ns(&r.ru_stime);
}

static void foreign_read(const struct foreign *f, uint64_t *ret_all, uint64_t *ret_ours,
                         uint64_t *ret_steal)
{
    *ret_all = read_stat(f->stat_fd, ret_steal);
    if (f->exact)
        *ret_all = read_number(f->all_fd, NULL);
    *ret_ours = read_number(f->ours_fd, "usage_usec ") * 1000;
    if (!f->inside)
        *ret_ours += own_cpu_ns() + children_cpu_ns();
    for (unsigned i = 0; i < n_spinners; i++)
        *ret_ours += cpu_ns(spinners[i].clock);
}

void foreign_begin(struct foreign *f)
{
    foreign_read(f, &f->all_ns, &f->ours_ns, &f->steal);
    f->start_ns = now_ns();
}

double foreign_share(struct foreign *f)
{
    uint64_t all, ours, steal;
    foreign_read(f, &all, &ours, &steal);
    if (steal != f->steal)
        return 1;
    double capacity = (double)(now_ns() - f->start_ns) * (double)sysconf(_SC_NPROCESSORS_ONLN);
    double others = (double)(all - f->all_ns) - (double)(ours - f->ours_ns);
    return others > 0 ? others / capacity : 0;
}

/* ---- a context switch */

struct yielders {
    _Atomic bool go, stop;
    _Atomic unsigned ready;
    _Atomic uint64_t cpu_ns, switches;
};

static void yield_on(struct yielders *y, size_t cpu)
{
    cpu_set_t set;
    struct rusage before, after;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
    atomic_fetch_add(&y->ready, 1);
    while (!atomic_load(&y->go))
        sleep_ns(1000000);
    getrusage(RUSAGE_SELF, &before);
    uint64_t start = own_cpu_ns();
    while (!atomic_load_explicit(&y->stop, memory_order_relaxed))
        sched_yield();
    uint64_t spent = own_cpu_ns() - start;
    getrusage(RUSAGE_SELF, &after);
    atomic_fetch_add(&y->cpu_ns, spent);
    atomic_fetch_add(&y->switches, (uint64_t)(after.ru_nvcsw - before.ru_nvcsw) +
                                       (uint64_t)(after.ru_nivcsw - before.ru_nivcsw));
    _exit(0);
}

/* CPU time of the yielders over their switches, so that others who take the CPU are not in it, but
 * for the cache that they spoil. */
static double switch_once(unsigned n)
{
    struct yielders *y =
        mmap(NULL, sizeof *y, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t *pids = calloc(n, sizeof *pids);
    if (y == MAP_FAILED || !pids)
        die("yielders");
    size_t cpu = (size_t)sysconf(_SC_NPROCESSORS_ONLN) - 1;
    for (unsigned i = 0; i < n; i++) {
        pids[i] = fork();
        if (pids[i] < 0)
            die("fork");
        if (pids[i] == 0)
            yield_on(y, cpu);
    }
    while (atomic_load(&y->ready) < n)
        sleep_ns(1000000);
    atomic_store(&y->go, true);
    sleep_ns(20000000 + (uint64_t)n * 200000);
    atomic_store(&y->stop, true);
    for (unsigned i = 0; i < n; i++)
        waitpid(pids[i], NULL, 0);
    double ns = y->switches ? (double)y->cpu_ns / (double)y->switches : 0;
    munmap(y, sizeof *y);
    free(pids);
    return ns;
}

double context_switch_ns(unsigned n)
{
    double best = 0;
    for (int i = 0; i < 3; i++) {
        double ns = switch_once(n < 2 ? 2 : n);
        if (best == 0 || (ns > 0 && ns < best))
            best = ns;
    }
    return best;
}

/* ---- pages of shared memory */

void pages_init(struct pages *p, size_t most)
{
    *p = (struct pages){.most = most};
    p->words = calloc(most ? most : 1, sizeof *p->words);
    if (!p->words)
        die("pages");
}

void pages_add(struct pages *p)
{
    const uint64_t one = 1;
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    int fd = p->n < p->most ? memfd_create("page", MFD_CLOEXEC) : -1;
    if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0 || pwrite(fd, &one, sizeof one, 0) < 0)
        die("page");
    const void *page = mmap(NULL, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (page == MAP_FAILED)
        die("page");
    close(fd);
    p->words[p->n++] = page;
}

void pages_done(struct pages *p)
{
    for (size_t i = 0; i < p->n; i++)
        munmap((void *)(uintptr_t)p->words[i], (size_t)sysconf(_SC_PAGESIZE));
    free(p->words);
    *p = (struct pages){0};
}

uint64_t pages_read_ns(const struct pages *p)
{
    uint64_t start = now_ns();
    for (size_t i = 0; i < p->n; i++)
        (void)atomic_load_explicit(p->words[i], memory_order_relaxed);
    return now_ns() - start;
}

int become_fifo(int priority)
{
    struct sched_param p = {.sched_priority = priority};
    return sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &p) < 0 ? -errno : 0;
}
