/*
 * clock_shift: a preload (LD_PRELOAD) under which the time of day is the machine's plus as many
 * nanoseconds as the file $CLOCK_SHIFT has (8 bytes, of this machine's order), at any moment.
 * CLOCK_MONOTONIC and what the kernel itself does are left alone. For tests of what becomes of
 * limits and deadlines when somebody sets the clock, which would disturb everybody else's.
 *
 * The daemon gives its zygote an environment of its own: it gets these two variables, too.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MAX_VARIABLES 64

static const _Atomic int64_t *shift_ns;
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static char preload[4096], file[4096];

__attribute__((constructor)) static void attach(void)
{
    const char *path = getenv("CLOCK_SHIFT"), *library = getenv("LD_PRELOAD");
    *(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    int fd = path && library ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd >= 0 ? mmap(NULL, sizeof *shift_ns, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (!real_clock_gettime || at == MAP_FAILED) {
        fprintf(stderr, "clock_shift: cannot attach: %m\n");
        _exit(126);
    }
    close(fd);
    shift_ns = at;
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library);
    snprintf(file, sizeof file, "CLOCK_SHIFT=%s", path);
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
    /* Other libraries ask before our constructor has run. */
    int r = real_clock_gettime ? real_clock_gettime(clock, ts)
                               : (int)syscall(SYS_clock_gettime, clock, ts);
    if (r == 0 && shift_ns && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t ns = (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec + *shift_ns;
        *ts = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    }
    return r;
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec ts;
    (void)tz;
    clock_gettime(CLOCK_REALTIME, &ts);
    *tv = (struct timeval){.tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    if (ret)
        *ret = ts.tv_sec;
    return ts.tv_sec;
}

int execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags)
{
    char *with[MAX_VARIABLES + 3] = {preload, file};
    for (size_t i = 0; i < MAX_VARIABLES && envp[i]; i++)
        with[i + 2] = envp[i];
    return (int)syscall(SYS_execveat, dir, path, argv, with, flags);
}
