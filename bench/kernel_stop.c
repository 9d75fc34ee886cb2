#include "bench/kernel_stop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/measure.h"

#define POLL_NS 10000u
#define EVENT_OF(status) ((status) >> 16)

/* ---- who they are */

/* The directory of cgroup v2 in which `pid` is; "" if there is none. */
static void cgroup_of(pid_t pid, char *path, size_t size)
{
    char name[64], line[4096], mount[512] = "", at[512], type[64];
    snprintf(path, size, "%s", "");
    FILE *f = fopen("/proc/self/mounts", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "%*s %511s %63s", at, type) == 2 && strcmp(type, "cgroup2") == 0)
            snprintf(mount, sizeof mount, "%s", at);
    if (f)
        fclose(f);
    snprintf(name, sizeof name, "/proc/%d/cgroup", (int)pid);
    f = fopen(name, "re");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::/", 4) == 0 && mount[0])
            snprintf(path, size, "%s%s", mount, line + 3);
    }
    if (f)
        fclose(f);
}

static int open_in(const char *dir, const char *file, int flags)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    return dir[0] ? open(path, flags | O_CLOEXEC) : -1;
}

/* The thread that was made last: the others of an engine are its own affair. */
static pid_t helper_of(pid_t pid)
{
    char path[64];
    pid_t last = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    const struct dirent *e;
    while (dir && (e = readdir(dir)) != NULL) {
        pid_t tid = (pid_t)strtol(e->d_name, NULL, 10);
        if (tid > 0 && tid != pid)
            last = tid;
    }
    if (dir)
        closedir(dir);
    return last;
}

void targets_init(struct targets *t, const pid_t *pids, size_t n)
{
    *t = (struct targets){.n = n, .freeze_fd = -1, .events_fd = -1};
    t->items = calloc(n ? n : 1, sizeof *t->items);
    if (!t->items)
        die("targets");
    for (size_t i = 0; i < n; i++) {
        char dir[4096];
        cgroup_of(pids[i], dir, sizeof dir);
        char *cell = strrchr(dir, '/');
        if (!cell || strncmp(cell, "/vm-", 4) != 0)
            dir[0] = '\0';
        t->items[i] = (struct target){.pid = pids[i],
                                      .helper = helper_of(pids[i]),
                                      .freeze_fd = open_in(dir, "cgroup.freeze", O_WRONLY),
                                      .events_fd = open_in(dir, "cgroup.events", O_RDONLY)};
        if (dir[0]) {
            *cell = '\0';
            snprintf(t->cgroup, sizeof t->cgroup, "%s", dir);
        }
    }
    t->freeze_fd = open_in(t->cgroup, "cgroup.freeze", O_WRONLY);
    t->events_fd = open_in(t->cgroup, "cgroup.events", O_RDONLY);
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void targets_done(struct targets *t)
{
    for (size_t i = 0; i < t->n; i++) {
        close_fd(t->items[i].freeze_fd);
        close_fd(t->items[i].events_fd);
    }
    close_fd(t->freeze_fd);
    close_fd(t->events_fd);
    free(t->items);
    *t = (struct targets){.freeze_fd = -1, .events_fd = -1};
}

/* ---- signals */

static void seize(pid_t tid)
{
    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0)
        die("ptrace seize");
}

static int wait_for(pid_t tid)
{
    int status;
    while (waitpid(tid, &status, __WALL) < 0)
        if (errno != EINTR)
            die("waitpid");
    if (!WIFSTOPPED(status)) {
        fprintf(stderr, "a worker ended\n");
        exit(1);
    }
    return status;
}

/* Should the signal have come to this thread itself, it is first told of that, and passes it on. */
static void wait_for_group_stop(pid_t tid)
{
    int status;
    while (EVENT_OF(status = wait_for(tid)) != PTRACE_EVENT_STOP)
        if (ptrace(PTRACE_CONT, tid, NULL, (void *)(intptr_t)WSTOPSIG(status)) < 0)
            die("ptrace cont");
}

struct kernel_stop kernel_stop_signal(struct targets *t)
{
    struct kernel_stop k = {0};
    for (size_t i = 0; i < t->n; i++)
        seize(t->items[i].helper);
    uint64_t start = now_ns();
    for (size_t i = 0; i < t->n; i++)
        kill(t->items[i].pid, SIGSTOP);
    for (size_t i = 0; i < t->n; i++)
        wait_for_group_stop(t->items[i].helper);
    k.stop_ns = now_ns() - start;
    /* A thread that is let go in a group stop stays in it. */
    for (size_t i = 0; i < t->n; i++)
        if (ptrace(PTRACE_DETACH, t->items[i].helper, NULL, NULL) < 0)
            die("ptrace detach");
    start = now_ns();
    for (size_t i = 0; i < t->n; i++)
        kill(t->items[i].pid, SIGCONT);
    k.resume_ns = now_ns() - start;
    return k;
}

struct kernel_stop kernel_stop_trap(struct targets *t)
{
    struct kernel_stop k = {0};
    for (size_t i = 0; i < t->n; i++)
        seize(t->items[i].pid);
    uint64_t start = now_ns();
    for (size_t i = 0; i < t->n; i++)
        kill(t->items[i].pid, SIGSTOP);
    for (size_t i = 0; i < t->n; i++)
        (void)wait_for(t->items[i].pid);
    k.stop_ns = now_ns() - start;
    start = now_ns();
    for (size_t i = 0; i < t->n; i++)
        if (ptrace(PTRACE_DETACH, t->items[i].pid, NULL, NULL) < 0)
            die("ptrace detach");
    /* A VM's thread that has not had a CPU since the last signal leaves this one to another thread,
     * and the whole process stops. */
    for (size_t i = 0; i < t->n; i++)
        kill(t->items[i].pid, SIGCONT);
    k.resume_ns = now_ns() - start;
    return k;
}

/* ---- the freezer */

static void write_freeze(int fd, const char *text)
{
    if (pwrite(fd, text, 1, 0) != 1)
        die("cgroup.freeze");
}

static void wait_frozen(int fd)
{
    for (;;) {
        char text[128];
        ssize_t n = pread(fd, text, sizeof text - 1, 0);
        if (n < 0)
            die("cgroup.events");
        text[n] = '\0';
        if (strstr(text, "frozen 1"))
            return;
        sleep_ns(POLL_NS);
    }
}

struct kernel_stop kernel_stop_freeze(struct targets *t)
{
    struct kernel_stop k = {0};
    for (size_t i = 0; i < t->n; i++)
        if (t->items[i].freeze_fd < 0)
            return k;
    uint64_t start = now_ns();
    for (size_t i = 0; i < t->n; i++)
        write_freeze(t->items[i].freeze_fd, "1");
    for (size_t i = 0; i < t->n; i++)
        wait_frozen(t->items[i].events_fd);
    k.stop_ns = now_ns() - start;
    start = now_ns();
    for (size_t i = 0; i < t->n; i++)
        write_freeze(t->items[i].freeze_fd, "0");
    k.resume_ns = now_ns() - start;
    return k;
}

struct kernel_stop kernel_stop_freeze_all(struct targets *t)
{
    struct kernel_stop k = {0};
    if (t->freeze_fd < 0)
        return k;
    uint64_t start = now_ns();
    write_freeze(t->freeze_fd, "1");
    wait_frozen(t->events_fd);
    k.stop_ns = now_ns() - start;
    start = now_ns();
    write_freeze(t->freeze_fd, "0");
    k.resume_ns = now_ns() - start;
    return k;
}

/* ---- accounts */

static uint64_t switches_of(pid_t pid, const char *tid)
{
    char path[300], line[256];
    unsigned long long value, sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%s/status", (int)pid, tid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "voluntary_ctxt_switches: %llu", &value) == 1 ||
            sscanf(line, "nonvoluntary_ctxt_switches: %llu", &value) == 1)
            sum += value;
    if (f)
        fclose(f);
    return sum;
}

uint64_t targets_switches(const struct targets *t)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < t->n; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/task", (int)t->items[i].pid);
        DIR *dir = opendir(path);
        const struct dirent *e;
        while (dir && (e = readdir(dir)) != NULL)
            if (e->d_name[0] != '.')
                sum += switches_of(t->items[i].pid, e->d_name);
        if (dir)
            closedir(dir);
    }
    return sum;
}
