#include "daemon/orphans.h"

#include <event2/event.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/log.h"

/* A birth takes milliseconds; on a machine that is out of everything, seconds. */
#define LOOK_MS 100
#define LOOKS 300
/* The answer to a birth may still be on its way: so often a dead one has to be nobody's. */
#define PATIENCE 10
#define ANY_CHILD (int)(WEXITED | WNOHANG | __WALL)

struct orphans {
    bool (*is_known)(void *userdata, pid_t pid);
    void *userdata;
    struct event *timer;
    unsigned looks_left, reaped, seen;
    pid_t last; /* unknown, seen that often in a row */
};

/* What exit signal a worker has differs from kernel to kernel: of all children each that nobody
 * knows is one. The first dead one that is known ends the look: it is about to be reaped, and then
 * the next can be seen. */
static void reap(struct orphans *o)
{
    for (;;) {
        siginfo_t si = {0};
        if (waitid(P_ALL, 0, &si, ANY_CHILD | WNOWAIT) < 0 || si.si_pid == 0 ||
            o->is_known(o->userdata, si.si_pid))
            return;
        pid_t pid = si.si_pid;
        o->seen = pid == o->last ? o->seen + 1 : 1;
        o->last = pid;
        if (o->seen < PATIENCE || waitid(P_PID, (id_t)pid, &si, ANY_CHILD) < 0)
            return;
        o->reaped++;
        log_warning("process %d was born and nobody was told; it has ended", (int)pid);
    }
}

static void on_timer(int fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct orphans *o = userdata;
    const struct timeval next = {.tv_usec = LOOK_MS * 1000};
    reap(o);
    if (--o->looks_left > 0)
        event_add(o->timer, &next);
}

void orphans_look(struct orphans *o)
{
    const struct timeval next = {.tv_usec = LOOK_MS * 1000};
    if (o->looks_left == 0)
        event_add(o->timer, &next);
    o->looks_left = LOOKS;
}

unsigned orphans_reaped(const struct orphans *o)
{
    return o->reaped;
}

struct orphans *orphans_new(struct event_base *base, bool (*is_known)(void *userdata, pid_t pid),
                            void *userdata)
{
    struct orphans *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    *o = (struct orphans){.is_known = is_known, .userdata = userdata};
    o->timer = event_new(base, -1, 0, on_timer, o);
    return o->timer ? o : orphans_free(o);
}

struct orphans *orphans_free(struct orphans *o)
{
    if (!o)
        return NULL;
    if (o->timer)
        event_free(o->timer);
    free(o);
    return NULL;
}
