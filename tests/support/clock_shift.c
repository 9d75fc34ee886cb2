/*
 * clock_shift: a preload (LD_PRELOAD) under which clocks are the machine's plus as many nanoseconds
 * as the file $CLOCK_SHIFT says, at any moment. It has two numbers (8 bytes each, of this machine's
 * order): by how much the time of day was set, and how much time is to have passed on every clock.
 * Clocks of CPU time and what the kernel itself does are left alone. For tests of what becomes of
 * limits and deadlines when somebody sets the clock, which would disturb everybody else's, and of
 * what there is after an hour.
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

struct shift {
    _Atomic int64_t set_ns, passed_ns;
};

static const struct shift *shift;
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static char preload[4096], file[4096];

__attribute__((constructor)) static void attach(void)
{
    const char *path = getenv("CLOCK_SHIFT"), *library = getenv("LD_PRELOAD");
    *(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    int fd = path && library ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd >= 0 ? mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (!real_clock_gettime || at == MAP_FAILED) {
        fprintf(stderr, "clock_shift: cannot attach: %m\n");
        _exit(126);
    }
    close(fd);
    shift = at;
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library);
    snprintf(file, sizeof file, "CLOCK_SHIFT=%s", path);
}

static int64_t shift_of(clockid_t clock)
{
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        return shift->set_ns + shift->passed_ns;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
        return shift->passed_ns;
    default:
        return 0;
    }
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
    /* Other libraries ask before our constructor has run. */
    int r = real_clock_gettime ? real_clock_gettime(clock, ts)
                               : (int)syscall(SYS_clock_gettime, clock, ts);
    int64_t by = r == 0 && shift ? shift_of(clock) : 0;
    if (by != 0) {
        int64_t ns = (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec + by;
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
