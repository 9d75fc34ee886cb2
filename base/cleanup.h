/*
 * cleanup.h: scope-exit attributes. `_cleanup_(f)` runs f(&variable) when the variable leaves its
 * scope; TAKE_FD and TAKE_PTR hand the value over and leave nothing to clean.
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}

/* Keeps errno, so that it can run on the way out of a failed call. */
static inline void cleanup_close(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
    }
}

#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)

static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

#define TAKE_FD(fd) take_fd(&(fd))
#define TAKE_PTR(p)                                                                                \
    ({                                                                                             \
        __typeof__(p) *pp_ = &(p), taken_ = *pp_;                                                  \
        *pp_ = NULL;                                                                               \
        taken_;                                                                                    \
    })

/** Closes *fd if it is open and sets it to -1. */
static inline void fd_close(int *fd)
{
    cleanup_close(fd);
    *fd = -1;
}
