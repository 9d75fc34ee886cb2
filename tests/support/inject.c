/*
 * inject: makes one system call of a process, or of those that it gives birth to, fail. For tests
 * of what becomes of a spawn when the kernel says no.
 *
 *     inject PID
 *
 * Attaches to PID, says "ready", and takes commands from stdin, a line each:
 *
 *     list CLASS             notes all calls of that class from now on
 *     fail CLASS N NAME ERRNO
 *                            and makes one fail without being made: the first call of this name
 * that is the N-th (from 0) of all or later end                    answers "call NAME" for each
 * call noted, in their order, "hit NAME" if one was made to fail, and "."; nothing is noted any
 * more
 *
 * CLASS is self (PID), child (its new processes, by their first thread), birth (those that it makes
 * for its parent), or thread (what threads those make). Each command is answered with "ok" once it
 * is in force. What is attached goes on unharmed when inject ends.
 */
#include <elf.h>
#include <errno.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_TASKS 4096
#define MAX_CALLS 65536

enum class { SELF, CHILD, BIRTH, THREAD, N_CLASSES };
static const char *const class_names[N_CLASSES] = {"self", "child", "birth", "thread"};

struct task {
    pid_t tid;
    enum class class;
    bool failing;    /* is inside the call that is made to fail */
    unsigned faults; /* signals of its own doing */
};

static struct task tasks[MAX_TASKS];
static size_t n_tasks;
static pid_t target;

static struct {
    bool on;
    enum class class;
    long fail_at; /* -1: none */
    int fail_number, error;
    bool done;
    long hit;     /* number of the call that was made to fail, -1: none */
    bool stopped; /* the target has been seen since */
} plan;
static long calls[MAX_CALLS];
static size_t n_calls;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- what differs between machines */

/* Another number in the place of the call's, and its result. */
#if defined(__x86_64__)
static int replace_call(pid_t tid, long number)
{
    return (int)ptrace(PTRACE_POKEUSER, tid, offsetof(struct user_regs_struct, orig_rax), number);
}

static int replace_result(pid_t tid, long result)
{
    return (int)ptrace(PTRACE_POKEUSER, tid, offsetof(struct user_regs_struct, rax), result);
}
#elif defined(__aarch64__)
static int replace_call(pid_t tid, long number)
{
    int n = (int)number;
    struct iovec iov = {&n, sizeof n};
    return (int)ptrace(PTRACE_SETREGSET, tid, 0x404 /* NT_ARM_SYSTEM_CALL */, &iov);
}

static int replace_result(pid_t tid, long result)
{
    struct user_regs_struct regs;
    struct iovec iov = {&regs, sizeof regs};
    if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &iov) < 0)
        return -1;
    regs.regs[0] = (unsigned long long)result;
    return (int)ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &iov);
}
#else
#error "how a system call is replaced is not known for this machine"
#endif

/* ---- tasks */

static enum class look_at(pid_t tid) {
    char path[64], line[256]; int tgid = tid, parent = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)tid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) if (sscanf(line, "Tgid: %d", &tgid) != 1 &&
                                                 sscanf(line, "PPid: %d", &parent) == 1) break;
    if (f) fclose(f);
    return tid == target      ? SELF
           : tgid != tid      ? THREAD
           : parent == target ? CHILD
                              : BIRTH;
}

static struct task *task_of(pid_t tid)
{
    for (size_t i = 0; i < n_tasks; i++)
        if (tasks[i].tid == tid)
            return &tasks[i];
    if (n_tasks == MAX_TASKS) {
        errno = ENOMEM;
        die("tasks");
    }
    tasks[n_tasks] = (struct task){.tid = tid, .class = look_at(tid)};
    return &tasks[n_tasks++];
}

static void forget(pid_t tid)
{
    for (size_t i = 0; i < n_tasks; i++)
        if (tasks[i].tid == tid)
            tasks[i] = tasks[--n_tasks];
}

static void go_on(pid_t tid, int signal_number)
{
    /* One that was killed meanwhile is gone. */
    if (ptrace(plan.on ? PTRACE_SYSCALL : PTRACE_CONT, tid, 0, signal_number) < 0 && errno != ESRCH)
        die("go on");
}

static void on_call(struct task *t)
{
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, sizeof info, &info) < 0)
        return;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
        if (t->failing)
            replace_result(t->tid, -plan.error);
        t->failing = false;
    } else if (info.op == PTRACE_SYSCALL_INFO_ENTRY && plan.on && t->class == plan.class &&
               n_calls < MAX_CALLS) {
        long number = (long)info.entry.nr;
        bool now = !plan.done && plan.fail_at >= 0 && (long)n_calls >= plan.fail_at &&
                   number == plan.fail_number;
        calls[n_calls++] = number;
        /* In its place one that is harmless, and that a worker may make. */
        if (now && replace_call(t->tid, SYS_sched_yield) == 0) {
            t->failing = plan.done = true;
            plan.hit = number;
        }
    }
}

static void on_stop(pid_t tid, int status)
{
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
        forget(tid);
        if (tid == target)
            exit(0);
        return;
    }
    struct task *t = task_of(tid);
    int number = WSTOPSIG(status), event = status >> 16;
    if (tid == target)
        plan.stopped = true;
    if (event == PTRACE_EVENT_STOP && (number == SIGSTOP || number == SIGTSTP)) {
        ptrace(PTRACE_LISTEN, tid, 0, 0);
        return;
    }
    if (number == (SIGTRAP | 0x80))
        on_call(t);
    /* While it is traced the first process of a pid namespace does not die of its own faults, but
     * repeats them. */
    bool fault = event == 0 && (number == SIGSEGV || number == SIGBUS || number == SIGILL);
    if (fault && ++t->faults > 1) {
        ptrace(PTRACE_DETACH, tid, 0, number);
        forget(tid);
        return;
    }
    go_on(tid, event != 0 || number == (SIGTRAP | 0x80) ? 0 : number);
}

static void serve_stops(void)
{
    int status;
    pid_t tid;
    while ((tid = waitpid(-1, &status, __WALL | WNOHANG)) > 0)
        on_stop(tid, status);
}

/* ---- commands */

static void arm(bool on)
{
    plan.on = on;
    plan.stopped = false;
    if (ptrace(PTRACE_INTERRUPT, target, 0, 0) < 0)
        die("interrupt");
    while (!plan.stopped) {
        int status;
        pid_t tid = waitpid(-1, &status, __WALL);
        if (tid > 0)
            on_stop(tid, status);
    }
}

static enum class class_of(const char *name) {
    for (unsigned i = 0; i < N_CLASSES;
         i++) if (strcmp(class_names[i], name) == 0) return (enum class)i;
    errno = EINVAL;
    die(name);
}

static void print_call(const char *word, long number)
{
    char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)number);
    printf("%s %s\n", word, name ? name : "?");
    free(name);
}

static void answer(void)
{
    arm(false);
    for (size_t i = 0; i < n_calls; i++)
        print_call("call", calls[i]);
    if (plan.hit >= 0)
        print_call("hit", plan.hit);
    puts(".");
}

static void command(const char *line)
{
    char name[16], call[32];
    long at;
    int error;
    if (sscanf(line, "fail %15s %ld %31s %d", name, &at, call, &error) == 4) {
        plan.class = class_of(name);
        plan.fail_at = at;
        plan.fail_number = seccomp_syscall_resolve_name(call);
        plan.error = error;
    } else if (sscanf(line, "list %15s", name) == 1) {
        plan.class = class_of(name);
        plan.fail_at = -1;
    } else if (strncmp(line, "end", 3) == 0) {
        answer();
        fflush(stdout);
        return;
    } else {
        errno = EINVAL;
        die(line);
    }
    n_calls = 0;
    plan.done = false;
    plan.hit = -1;
    arm(true);
    puts("ok");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    target = argc == 2 ? (pid_t)atoi(argv[1]) : 0;
    if (target <= 0 || signals < 0) {
        fprintf(stderr, "usage: inject PID\n");
        return 2;
    }
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
                         PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC;
    plan.hit = plan.fail_at = -1;
    if (ptrace(PTRACE_SEIZE, target, 0, options) < 0)
        die("attach");
    puts("ready");
    fflush(stdout);
    char line[128];
    size_t used = 0;
    for (;;) {
        struct pollfd p[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                             {.fd = signals, .events = POLLIN}};
        struct signalfd_siginfo info;
        serve_stops();
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            die("poll");
        while (read(signals, &info, sizeof info) > 0)
            ;
        if (p[0].revents == 0)
            continue;
        ssize_t n = read(STDIN_FILENO, line + used, 1);
        if (n <= 0)
            return 0;
        if (line[used] != '\n' && used < sizeof line - 1) {
            used++;
            continue;
        }
        line[used] = '\0';
        used = 0;
        command(line);
    }
}
