/*
 * alloc_fail: a preload (LD_PRELOAD) that makes allocations of a process fail. It maps the file
 * $ALLOC_FAIL, which has five numbers of 8 bytes, of this machine's order:
 *
 *     on         0: nothing is counted and nothing fails
 *     count      allocations since it is on; written here
 *     first      the number, from 0, of the first that fails
 *     failing    and how many do
 *     at start   1: only what a daemon takes over counts, from when it has asked for descriptors
 *                (2 from then on) until it asks libevent for a signal, when "on" becomes 0
 *
 * A test of the daemon sets them while the daemon runs.
 */
#include <dlfcn.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static struct plan {
    _Atomic int64_t on, count, first, failing, at_start;
} * plan;

__attribute__((constructor)) static void attach(void)
{
    const char *path = getenv("ALLOC_FAIL");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at =
        fd >= 0 ? mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (at == MAP_FAILED) {
        fprintf(stderr, "alloc_fail: cannot attach: %m\n");
        _exit(126);
    }
    close(fd);
    plan = at;
}

static bool fails(void)
{
    if (!plan || !atomic_load(&plan->on) || atomic_load(&plan->at_start) == 1)
        return false;
    int64_t n = atomic_fetch_add(&plan->count, 1) - atomic_load(&plan->first);
    if (n < 0 || n >= atomic_load(&plan->failing))
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    return fails() ? NULL : __libc_realloc(p, size);
}

struct event *event_new(struct event_base *base, evutil_socket_t fd, short what,
                        event_callback_fn callback, void *userdata)
{
    static struct event *(*next)(struct event_base *, evutil_socket_t, short, event_callback_fn,
                                 void *);
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "event_new");
    if (plan && (what & EV_SIGNAL) && atomic_load(&plan->at_start))
        atomic_store(&plan->on, 0);
    return next(base, fd, what, callback, userdata);
}

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    int64_t waits = 1;
    if (plan)
        atomic_compare_exchange_strong(&plan->at_start, &waits, 2);
    return (int)syscall(SYS_setrlimit, resource, limit);
}
