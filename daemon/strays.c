#include "daemon/strays.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>

#include "daemon/record.h"
#include "shared-mem/layout.h"

/* Between two looks: at those that are dying, at those that may yet be told of, or at the list of
 * children when that cannot be read. */
#define LOOK_MS 10
/* A zygote that has not told of a birth by then never will. */
#define PATIENCE_NS 5000000000ull

struct stray {
    LIST_ENTRY(stray) link;
    pid_t pid;
    uint64_t since_ns; /* CLOCK_MONOTONIC of when it was seen first */
    bool ended, seen;
};

struct strays {
    struct strays_events events;
    struct event *look;
    LIST_HEAD(list, stray) list;
};

static struct stray *find(const struct strays *s, pid_t pid)
{
    struct stray *x;
    LIST_FOREACH(x, &s->list, link)
    if (x->pid == pid)
        return x;
    return NULL;
}

static void forget(struct stray *x)
{
    LIST_REMOVE(x, link);
    free(x);
}

static int note(struct strays *s, pid_t pid)
{
    struct stray *x = find(s, pid);
    if (!x) {
        x = malloc(sizeof *x);
        if (!x)
            return -ENOMEM;
        *x = (struct stray){.pid = pid, .since_ns = shm_now_ns()};
        LIST_INSERT_HEAD(&s->list, x, link);
    }
    x->seen = true;
    return 0;
}

/* Returns 0, or negative errno: there may be more. */
static int note_all(struct strays *s)
{
    FILE *f = fopen("/proc/thread-self/children", "re");
    if (!f)
        return -errno;
    int pid, r = 0;
    while (r == 0 && fscanf(f, "%d", &pid) == 1)
        if (!s->events.is_known(s->events.userdata, pid))
            r = note(s, pid);
    fclose(f);
    return r;
}

/* While births are under way their children are not known yet either. The pid of one that is not
 * known cannot be another's by now: nobody else reaps it. */
static void end_all(struct strays *s)
{
    uint64_t now = shm_now_ns();
    bool quiet = s->events.is_quiet(s->events.userdata);
    struct stray *x = LIST_FIRST(&s->list), *next;
    for (; x; x = next) {
        next = LIST_NEXT(x, link);
        if (x->ended)
            continue;
        /* It was told of since, and may have been reaped. */
        if (!x->seen || s->events.is_known(s->events.userdata, x->pid)) {
            forget(x);
        } else if (quiet || now - x->since_ns >= PATIENCE_NS) {
            x->ended = true;
            kill(x->pid, SIGKILL);
            record_write(LOG_INFO, MESSAGE_STRAY_ENDED, NULL,
                         "process %d was born by a zygote that did not say so; it is ended",
                         (int)x->pid);
        }
    }
}

/* Whether one was reaped. */
static bool reap(struct strays *s)
{
    bool reaped = false;
    struct stray *x = LIST_FIRST(&s->list), *next;
    for (; x; x = next) {
        siginfo_t si = {0};
        next = LIST_NEXT(x, link);
        if (!x->ended ||
            (waitid(P_PID, (id_t)x->pid, &si, WEXITED | WNOHANG | __WALL) == 0 && si.si_pid == 0))
            continue;
        forget(x);
        reaped = true;
    }
    return reaped;
}

static void look_again(struct strays *s)
{
    struct timeval soon = {.tv_usec = LOOK_MS * 1000};
    event_add(s->look, &soon);
}

static void on_look(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct strays *s = userdata;
    bool all_dying = true;
    const struct stray *x;
    LIST_FOREACH(x, &s->list, link)
    all_dying &= x->ended;
    /* The kernel's list may lack some when one of them dies meanwhile. */
    if (reap(s) || !all_dying || LIST_EMPTY(&s->list))
        strays_end(s);
    else
        look_again(s);
}

struct strays *strays_new(struct event_base *base, const struct strays_events *events)
{
    struct strays *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->events = *events;
    LIST_INIT(&s->list);
    s->look = event_new(base, -1, 0, on_look, s);
    return s->look ? s : strays_free(s);
}

struct strays *strays_free(struct strays *s)
{
    if (!s)
        return NULL;
    while (!LIST_EMPTY(&s->list))
        forget(LIST_FIRST(&s->list));
    if (s->look)
        event_free(s->look);
    free(s);
    return NULL;
}

void strays_end(struct strays *s)
{
    struct stray *x;
    LIST_FOREACH(x, &s->list, link)
    x->seen = false;
    int r = note_all(s);
    if (r == 0)
        end_all(s);
    if (r == -ENOENT || r == -EACCES)
        record_write(LOG_WARNING, MESSAGE_STRAY_ENDED, NULL,
                     "cannot look for lost workers in /proc: %s", strerror(-r));
    else if (r < 0 || !LIST_EMPTY(&s->list))
        look_again(s);
}
