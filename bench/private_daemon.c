#include "bench/private_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/measure.h"
#include "client/stillpoint.h"

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "cannot start a daemon: %s: %s\n", what, strerror(errno));
    exit(1);
}

pid_t private_daemon_start(const struct private_daemon *how, int *ret_fd)
{
    int ours, daemons;
    char path[4096], fd[16];
    if (stillpoint_socketpair(&ours, &daemons) < 0)
        fail("socketpair");
    snprintf(path, sizeof path, "%s/stillpointd", how->build);
    snprintf(fd, sizeof fd, "%d", daemons);
    pid_t daemon = fork();
    if (daemon < 0)
        fail("fork");
    if (daemon == 0) {
        fcntl(daemons, F_SETFD, 0);
        if (how->fifo_priority > 0 && become_fifo(how->fifo_priority) < 0)
            fail("SCHED_FIFO");
        execl(path, path, "--private-fd", fd, "--spawn", how->spawn, "--spare",
              how->spare ? "yes" : "no", "--cpu-latency",
              how->cpu_latency ? how->cpu_latency : "none", (char *)NULL);
        fail(path);
    }
    close(daemons);
    *ret_fd = ours;
    return daemon;
}

void private_daemon_wait(pid_t daemon)
{
    while (waitpid(daemon, NULL, 0) < 0 && errno == EINTR)
        ;
}
