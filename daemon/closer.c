#include "daemon/closer.h"

#include <errno.h>
#include <event2/event.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64u
#define STACK_BYTES (16u * 1024)
/* One that takes so long is not worth waiting for: others wait behind it. */
#define STUCK_NS 250000000u
#define STUCK_IN_A_CROWD_NS 10000000u
#define LOOK_LEAST_MS 1u
#define LOOK_MOST_MS 64u
#define RETRY_MS 100u

struct item {
    int fd;
    void *whose;
};

struct closer {
    struct event *look;
    void (*on_closed)(void *userdata, void *whose);
    void *userdata;
    struct item *items; /* the first `batch.n` of them are with the process */
    size_t n, size;
    pid_t pid; /* 0: there is none */
    unsigned pause_ms;
    size_t seen;
    uint64_t seen_ns;
    bool killed;
    char *stack;
    struct batch {
        pid_t parent;
        size_t n;
        int fds[BATCH];
        _Atomic size_t at; /* how many it has closed, or is about to */
    } batch;
};

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- the process */

/* Not by libc: its errno would be ours. */
static inline long raw(long number, long a, long b)
{
#if defined(__x86_64__)
    long r;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(number), "D"(a), "S"(b), "d"(0L)
                     : "rcx", "r11", "memory");
    return r;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = 0;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
#else
#error "a system call without errno"
#endif
}

/* It would keep all our sockets, and the lives that hang on them, were it left behind. */
__attribute__((no_sanitize("address", "undefined"))) static int close_all(void *userdata)
{
    struct batch *b = userdata;
    raw(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    if (raw(SYS_getppid, 0, 0) != b->parent)
        return 0;
    for (size_t i = 0; i < b->n; i++) {
        /* Before it is: the number may be somebody else's as soon as it is closed. One that is
         * killed in between leaves a descriptor open, and one that is late is not killed. */
        atomic_store_explicit(&b->at, i + 1, memory_order_seq_cst);
        raw(SYS_close, b->fds[i], 0);
    }
    return 0;
}

static void look_in(struct closer *c, unsigned ms)
{
    const struct timeval next = {.tv_usec = (suseconds_t)ms * 1000};
    event_add(c->look, &next);
}

static void start(struct closer *c)
{
    sigset_t all, before;
    c->batch.parent = getpid();
    c->batch.n = c->n < BATCH ? c->n : BATCH;
    for (size_t i = 0; i < c->batch.n; i++)
        c->batch.fds[i] = c->items[i].fd;
    atomic_store_explicit(&c->batch.at, 0, memory_order_seq_cst);
    c->seen = 0;
    c->pause_ms = LOOK_LEAST_MS;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = clone(close_all, c->stack + STACK_BYTES, CLONE_VM | CLONE_FILES, &c->batch);
    sigprocmask(SIG_SETMASK, &before, NULL);
    c->pid = pid > 0 ? pid : 0;
    look_in(c, pid > 0 ? c->pause_ms : RETRY_MS);
}

/* ---- here */

static void forget(struct closer *c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        c->on_closed(c->userdata, c->items[i].whose);
    if (n == 0)
        return; /* there may be no array yet */
    c->n -= n;
    memmove(c->items, c->items + n, c->n * sizeof *c->items);
}

/* Whether it has ended: then *ret_n are gone. Kills it where it does not get on. */
static bool has_ended(struct closer *c, size_t *ret_n)
{
    pid_t pid = waitpid(c->pid, NULL, WNOHANG | __WALL);
    size_t at = atomic_load_explicit(&c->batch.at, memory_order_seq_cst);
    if (pid == c->pid || (pid < 0 && errno == ECHILD)) {
        c->pid = 0;
        *ret_n = at;
        return true;
    }
    uint64_t now = now_ns();
    if (at != c->seen)
        c->seen_ns = now;
    else if (at > 0 && now - c->seen_ns > (c->n > BATCH ? STUCK_IN_A_CROWD_NS : STUCK_NS))
        c->killed = kill(c->pid, SIGKILL) == 0;
    c->seen = at;
    return false;
}

static void on_look(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct closer *c = userdata;
    size_t done = 0;
    if (c->pid > 0 && !has_ended(c, &done)) {
        c->pause_ms = 2 * c->pause_ms < LOOK_MOST_MS ? 2 * c->pause_ms : LOOK_MOST_MS;
        look_in(c, c->pause_ms);
        return;
    }
    forget(c, done);
    if (c->n > 0)
        start(c);
}

void closer_take(struct closer *c, int fd, void *whose)
{
    if (c->n == c->size) {
        size_t size = c->size ? 2 * c->size : 16;
        struct item *items = reallocarray(c->items, size, sizeof *items);
        if (!items) {
            close(fd);
            c->on_closed(c->userdata, whose);
            return;
        }
        c->items = items;
        c->size = size;
    }
    c->items[c->n++] = (struct item){fd, whose};
    if (c->pid == 0 && !event_pending(c->look, EV_TIMEOUT, NULL))
        look_in(c, 0);
}

void closer_take_socket(struct closer *c, int fd, void *whose)
{
    char byte;
    /* Nothing comes in any more. */
    shutdown(fd, SHUT_RD);
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    /* That the peer went away unread is said only where nothing is left to read. */
    if (n > 0 || (n < 0 && errno != ECONNRESET)) {
        closer_take(c, fd, whose);
        return;
    }
    close(fd);
    c->on_closed(c->userdata, whose);
}

bool closer_is_its_process(const struct closer *c, pid_t pid)
{
    return c->pid > 0 && c->pid == pid;
}

struct closer *closer_new(struct event_base *base, void (*on_closed)(void *userdata, void *whose),
                          void *userdata)
{
    struct closer *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->on_closed = on_closed;
    c->userdata = userdata;
    c->look = event_new(base, -1, 0, on_look, c);
    c->stack = malloc(STACK_BYTES);
    return c->look && c->stack ? c : closer_free(c);
}

struct closer *closer_free(struct closer *c)
{
    if (!c)
        return NULL;
    c->killed = false;
    for (size_t done = 1; c->n > 0 && done > 0 && !c->killed; forget(c, done)) {
        done = 0;
        if (c->pid == 0)
            start(c);
        while (c->pid > 0 && !has_ended(c, &done))
            nanosleep(&(const struct timespec){.tv_nsec = 1000000}, NULL);
    }
    forget(c, c->n);
    if (c->look)
        event_free(c->look);
    free(c->items);
    free(c->stack);
    free(c);
    return NULL;
}
