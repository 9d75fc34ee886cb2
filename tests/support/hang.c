/* hang.c: preloaded into a daemon by tests/booted/: once the file that $STILLPOINT_HANG names has
 * the daemon's number in it, its loop hangs at its next turn. The process lives, and signals do not
 * end that. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool is_meant(void)
{
    const char *path = getenv("STILLPOINT_HANG");
    FILE *file = path ? fopen(path, "re") : NULL;
    int pid = 0;
    bool meant = file && fscanf(file, "%d", &pid) == 1 && pid == getpid();
    if (file)
        fclose(file);
    return meant;
}

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms)
{
    int r = (int)syscall(SYS_epoll_pwait, fd, events, max, timeout_ms, NULL, 8);
    while (is_meant())
        pause();
    return r;
}
