#include "daemon/reaper.h"

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/log.h"

/* The kernel shows one dead child at a time: until those that others reap are gone it looks again.
 */
static const struct timeval look_again = {.tv_usec = 20000};

struct reaper {
    const struct reaper_events *events;
    void *userdata;
    struct event *child, *again;
};

static void on_child(evutil_socket_t number, short what, void *userdata)
{
    (void)number, (void)what;
    struct reaper *r = userdata;
    for (;;) {
        siginfo_t si = {0};
        if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 || si.si_pid == 0)
            return;
        if (r->events->is_known(r->userdata, si.si_pid) || !r->events->is_quiet(r->userdata)) {
            event_add(r->again, &look_again);
            return;
        }
        waitpid(si.si_pid, NULL, WNOHANG | __WALL);
        log_warning("reaped process %d, a worker that nobody told of", (int)si.si_pid);
    }
}

struct reaper *reaper_new(struct event_base *base, const struct reaper_events *events,
                          void *userdata)
{
    struct reaper *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    *r = (struct reaper){.events = events, .userdata = userdata};
    r->child = evsignal_new(base, SIGCHLD, on_child, r);
    r->again = event_new(base, -1, 0, on_child, r);
    if (!r->child || !r->again || event_add(r->child, NULL) < 0)
        return reaper_free(r);
    return r;
}

struct reaper *reaper_free(struct reaper *r)
{
    if (!r)
        return NULL;
    if (r->child)
        event_free(r->child);
    if (r->again)
        event_free(r->again);
    free(r);
    return NULL;
}
