/*
 * freeze.c: how long it takes to keep 1, 8 or 32 processes from running, and to let them run again,
 * by cgroup.freeze and by SIGSTOP, each confirmed as the daemon confirms it; and what it costs to
 * be born in a cgroup. Needs root, or a cgroup of its user.
 */
#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/freezer.h"

#define ROUNDS 100
#define BIRTHS 1000
#define MOST 32
#define LOOK_NS 10000 /* between two looks */

static _Atomic uint64_t *turns; /* of each busy process; shared */

struct vm {
    struct freezer_cell cell;
    pid_t pid;
    int pidfd;
};

static double now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void nap(long ns)
{
    const struct timespec ts = {.tv_nsec = ns};
    nanosleep(&ts, NULL);
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void start(struct freezer *f, struct vm *vm, uint64_t number, bool busy)
{
    freezer_cell_init(f, &vm->cell, number);
    int fd = freezer_cell_fd(&vm->cell);
    struct clone_args args = {.flags = CLONE_PIDFD | (fd >= 0 ? CLONE_INTO_CGROUP : 0u),
                              .pidfd = (uintptr_t)&vm->pidfd,
                              .exit_signal = SIGCHLD,
                              .cgroup = fd >= 0 ? (unsigned)fd : 0};
    vm->pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (vm->pid < 0)
        fail("clone3");
    if (vm->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            if (busy)
                turns[number]++;
            else
                pause();
    }
    freezer_cell_born(&vm->cell, 0);
}

static void end(struct vm *vm)
{
    pidfd_send_signal(vm->pidfd, SIGKILL, NULL, 0);
    waitid(P_PIDFD, (id_t)vm->pidfd, &(siginfo_t){0}, WEXITED);
    close(vm->pidfd);
    freezer_cell_done(&vm->cell);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_quantiles(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_size);
    printf(" %8.0f %8.0f", values[n / 2], values[n * 99 / 100]);
}

static void measure(enum freezer_kind kind, unsigned count, bool busy)
{
    static double asked[ROUNDS], frozen[ROUNDS], thawed[ROUNDS], running[ROUNDS];
    struct vm vms[MOST];
    struct freezer *f = kind == FREEZER_CGROUP ? freezer_new(geteuid(), getegid())
                                               : freezer_new_signals("asked for");
    if (!f || (kind == FREEZER_CGROUP && freezer_why_degraded(f))) {
        printf("cgroup: %s\n", f ? freezer_why_degraded(f) : "no memory");
        freezer_free(f);
        return;
    }
    for (unsigned i = 0; i < count; i++)
        start(f, &vms[i], i, busy);
    nap(100000000);
    for (unsigned round = 0; round < ROUNDS; round++) {
        double begin = now_us();
        for (unsigned i = 0; i < count; i++)
            if (freezer_freeze(&vms[i].cell, vms[i].pidfd) < 0)
                fail("freeze");
        asked[round] = now_us() - begin;
        for (unsigned i = 0; i < count; i++)
            while (freezer_is_frozen(&vms[i].cell, vms[i].pid) != 1)
                nap(LOOK_NS);
        frozen[round] = now_us() - begin;
        uint64_t before[MOST] = {0};
        for (unsigned i = 0; i < count; i++)
            before[i] = turns[i];
        begin = now_us();
        for (unsigned i = 0; i < count; i++)
            if (freezer_thaw(&vms[i].cell, vms[i].pidfd) < 0)
                fail("thaw");
        thawed[round] = now_us() - begin;
        while (busy && turns[0] == before[0])
            nap(LOOK_NS);
        running[round] = now_us() - begin;
        nap(2000000);
    }
    printf("%-7s %-5s %3u", kind == FREEZER_CGROUP ? "cgroup" : "signal", busy ? "busy" : "idle",
           count);
    print_quantiles(asked, ROUNDS);
    print_quantiles(frozen, ROUNDS);
    print_quantiles(thawed, ROUNDS);
    if (busy)
        print_quantiles(running, ROUNDS);
    printf("\n");
    for (unsigned i = 0; i < count; i++)
        end(&vms[i]);
    freezer_free(f);
}

static void measure_births(enum freezer_kind kind)
{
    static double made[BIRTHS], born[BIRTHS], gone[BIRTHS];
    struct freezer *f = kind == FREEZER_CGROUP ? freezer_new(geteuid(), getegid())
                                               : freezer_new_signals("asked for");
    if (!f)
        fail("freezer_new");
    for (unsigned i = 0; i < BIRTHS; i++) {
        struct vm vm;
        double begin = now_us();
        freezer_cell_init(f, &vm.cell, i);
        made[i] = now_us() - begin;
        freezer_cell_done(&vm.cell);
        begin = now_us();
        start(f, &vm, BIRTHS + i, false);
        born[i] = now_us() - begin - made[i];
        pidfd_send_signal(vm.pidfd, SIGKILL, NULL, 0);
        waitid(P_PIDFD, (id_t)vm.pidfd, &(siginfo_t){0}, WEXITED);
        close(vm.pidfd);
        begin = now_us();
        freezer_cell_done(&vm.cell);
        gone[i] = now_us() - begin;
    }
    printf("%-7s", kind == FREEZER_CGROUP ? "cgroup" : "none");
    print_quantiles(made, BIRTHS);
    print_quantiles(born, BIRTHS);
    print_quantiles(gone, BIRTHS);
    printf("\n");
    freezer_free(f);
}

static void measure_run_time(void)
{
    static double took[BIRTHS];
    struct vm vm;
    uint64_t ns;
    bool asleep;
    start(NULL, &vm, 0, false);
    for (unsigned i = 0; i < BIRTHS; i++) {
        double begin = now_us();
        if (freezer_runtime_ns(vm.pid, &ns, &asleep) < 0)
            fail("runtime");
        took[i] = now_us() - begin;
    }
    printf("reading one run time:");
    print_quantiles(took, BIRTHS);
    printf("\n");
    end(&vm);
}

int main(void)
{
    const unsigned counts[] = {1, 8, 32};
    setvbuf(stdout, NULL, _IOLBF, 0);
    prctl(PR_SET_TIMERSLACK, 1);
    const struct sched_param urgent = {.sched_priority = 10};
    bool is_urgent = sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &urgent) == 0;
    turns =
        mmap(NULL, MOST * sizeof *turns, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (turns == MAP_FAILED)
        fail("mmap");
    printf("us, p50 and p99 of %d rounds, %s\n", ROUNDS, is_urgent ? "SCHED_FIFO" : "no priority");
    printf("%-7s %-5s %3s %17s %17s %17s %17s\n", "by", "what", "n", "all asked", "all confirmed",
           "all thawed", "first runs");
    for (int busy = 1; busy >= 0; busy--)
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            measure(FREEZER_CGROUP, counts[i], busy);
            measure(FREEZER_SIGNAL, counts[i], busy);
        }
    printf("\nus, p50 and p99 of %d births\n%-7s %17s %17s %17s\n", BIRTHS, "in", "directory made",
           "clone", "directory gone");
    measure_births(FREEZER_CGROUP);
    measure_births(FREEZER_SIGNAL);
    measure_run_time();
    return 0;
}
