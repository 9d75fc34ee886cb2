#include "daemon/strays.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>

#include "base/log.h"

/* Between two looks at those that are dying, or at the list of children when that cannot be read.
 */
#define LOOK_MS 10

struct stray {
    LIST_ENTRY(stray) link;
    pid_t pid;
};

struct strays {
    bool (*is_known)(void *userdata, pid_t pid);
    void *userdata;
    struct event *look;
    LIST_HEAD(list, stray) list;
};

static bool is_ours(const struct strays *s, pid_t pid)
{
    const struct stray *x;
    LIST_FOREACH(x, &s->list, link)
    if (x->pid == pid)
        return true;
    return false;
}

/* The pid cannot be another's by now: nobody else reaps it. */
static int end(struct strays *s, pid_t pid)
{
    struct stray *x = malloc(sizeof *x);
    if (!x)
        return -ENOMEM;
    x->pid = pid;
    LIST_INSERT_HEAD(&s->list, x, link);
    kill(pid, SIGKILL);
    log_info("process %d was born by a zygote that did not say so; it is ended", (int)pid);
    return 0;
}

/* Returns 0, or negative errno: there may be more. */
static int find(struct strays *s)
{
    FILE *f = fopen("/proc/thread-self/children", "re");
    if (!f)
        return -errno;
    int pid, r = 0;
    while (r == 0 && fscanf(f, "%d", &pid) == 1)
        if (!s->is_known(s->userdata, pid) && !is_ours(s, pid))
            r = end(s, pid);
    fclose(f);
    return r;
}

/* Whether one was reaped. */
static bool reap(struct strays *s)
{
    bool reaped = false;
    struct stray *x = LIST_FIRST(&s->list), *next;
    for (; x; x = next) {
        siginfo_t si = {0};
        next = LIST_NEXT(x, link);
        if (waitid(P_PID, (id_t)x->pid, &si, WEXITED | WNOHANG | __WALL) == 0 && si.si_pid == 0)
            continue;
        LIST_REMOVE(x, link);
        free(x);
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
    /* The kernel's list may lack some when one of them dies meanwhile. */
    if (reap(s) || LIST_EMPTY(&s->list))
        strays_end(s);
    else
        look_again(s);
}

struct strays *strays_new(struct event_base *base, bool (*is_known)(void *userdata, pid_t pid),
                          void *userdata)
{
    struct strays *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    *s = (struct strays){.is_known = is_known, .userdata = userdata};
    LIST_INIT(&s->list);
    s->look = event_new(base, -1, 0, on_look, s);
    return s->look ? s : strays_free(s);
}

struct strays *strays_free(struct strays *s)
{
    if (!s)
        return NULL;
    struct stray *x;
    while ((x = LIST_FIRST(&s->list)) != NULL) {
        LIST_REMOVE(x, link);
        free(x);
    }
    if (s->look)
        event_free(s->look);
    free(s);
    return NULL;
}

void strays_end(struct strays *s)
{
    int r = find(s);
    if (r == -ENOENT || r == -EACCES)
        log_warning("cannot look for lost workers in /proc: %s", strerror(-r));
    else if (r < 0 || !LIST_EMPTY(&s->list))
        look_again(s);
}
