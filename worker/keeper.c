#include "worker/keeper.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "shared-mem/layout.h"
#include "worker/safepoint.h"

#define KEEPER_STACK_BYTES (64u * 1024)
#define ORPHAN_EXIT 125

static struct {
    pthread_t thread;
    sem_t keeping;
    int lifeline, daemon; /* daemon: the pipe of the one that is there; -1: none is */
    uint64_t patience_ns, since_ns;
} keeper;

static void lost_daemon(void)
{
    if (keeper.daemon >= 0)
        close(keeper.daemon);
    keeper.daemon = -1;
    keeper.since_ns = shm_now_ns();
}

/* What a daemon says of itself: its pipe. */
static void hear(void)
{
    uint8_t byte;
    int fd;
    size_t n_fds = 1;
    ssize_t n = fd_receive(keeper.lifeline, &byte, sizeof byte, &fd, &n_fds);
    if (n == -EAGAIN)
        return;
    if (n <= 0)
        _exit(ORPHAN_EXIT);
    if (n_fds == 0)
        return;
    lost_daemon();
    keeper.daemon = fd;
}

static void wait_for_news(void)
{
    struct pollfd p[] = {{.fd = keeper.lifeline, .events = POLLIN}, {.fd = keeper.daemon}};
    uint64_t waited = shm_now_ns() - keeper.since_ns;
    uint64_t left = waited < keeper.patience_ns ? keeper.patience_ns - waited : 0;
    struct timespec ts = {.tv_sec = (time_t)(left / 1000000000u),
                          .tv_nsec = (long)(left % 1000000000u)};
    int n = ppoll(p, 2, keeper.daemon >= 0 ? NULL : &ts, NULL);
    if (n == 0 && left == 0)
        _exit(ORPHAN_EXIT);
    if (n <= 0)
        return;
    /* The end of one first: who has taken over has said so since. */
    if (keeper.daemon >= 0 && p[1].revents != 0)
        lost_daemon();
    if (p[0].revents != 0)
        hear();
}

static void *keep(void *userdata)
{
    (void)userdata;
    sem_post(&keeper.keeping);
    for (;;)
        wait_for_news();
    return NULL;
}

int keeper_start(int lifeline, uint32_t adoption_ms)
{
    pthread_attr_t attr;
    keeper.lifeline = lifeline;
    keeper.daemon = -1;
    keeper.patience_ns = (uint64_t)adoption_ms * 1000000u;
    keeper.since_ns = shm_now_ns();
    if (sem_init(&keeper.keeping, 0, 0) < 0)
        return -errno;
    int r = pthread_attr_init(&attr);
    if (r != 0)
        return -r;
    r = pthread_attr_setstacksize(&attr, KEEPER_STACK_BYTES);
    if (r == 0)
        r = safepoint_create_thread(&keeper.thread, &attr, keep, NULL);
    pthread_attr_destroy(&attr);
    if (r != 0)
        return -r;
    /* What a thread does to begin with is nothing that the lockdown allows. */
    while (sem_wait(&keeper.keeping) < 0 && errno == EINTR)
        ;
    return 0;
}
