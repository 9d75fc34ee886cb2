/*
 * fd.h: packets with file descriptors, and sealed memfds. Works in any process and thread; owns
 * nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define FD_MAX_PASSED 8
#define FD_MOST_PASSED 253 /* the kernel's SCM_MAX_FD */

/**
 * Sends `n_iov` buffers and `n_fds` descriptors in one sendmsg(2), never waiting and never raising
 * SIGPIPE. Returns bytes sent, -EAGAIN, or another negative errno. The descriptors stay the
 * caller's.
 */
ssize_t fd_send(int sock, const struct iovec *iov, size_t n_iov, const int *fds, size_t n_fds);

/**
 * Receives into `buf`, never waiting. Descriptors (close-on-exec) go to fds[0..*n_fds), of which
 * there may be at most FD_MAX_PASSED: more, or a cut message, is -EMSGSIZE and all are closed. On
 * entry *n_fds is the room in fds. Returns bytes, 0 at the end, -EAGAIN, or another negative errno.
 */
ssize_t fd_receive(int sock, void *buf, size_t size, int *fds, size_t *n_fds);

/**
 * Likewise, but closes none: all that came are the caller's, also of a cut message. `fds` has room
 * for FD_MOST_PASSED, so that the kernel closes none either, unless this process may have no more.
 */
ssize_t fd_receive_all(int sock, void *buf, size_t size, int *fds, size_t *ret_n_fds);

/**
 * A memfd with these bytes, sealed against every change. Returns the fd or negative errno. Uses
 * only memfd_create, ftruncate, mmap or write, fcntl.
 */
int fd_memfd_new(const char *name, const void *data, size_t len);

/**
 * Maps a memfd that a peer sent. Refuses with -EBADF what is not a memfd sealed against writing and
 * resizing, with -EFBIG what is larger than max_bytes. An empty one gives a non-NULL pointer and 0
 * bytes. fd_memfd_unmap() gives it back. Does not take the fd.
 */
int fd_memfd_map(int fd, size_t max_bytes, const uint8_t **ret_data, size_t *ret_bytes);
void fd_memfd_unmap(const uint8_t *data, size_t bytes);

/** As the checks of fd_memfd_map, without mapping: size of the memfd, or negative errno. In the
 * place of a descriptor there may be what this has returned for it. */
ssize_t fd_memfd_size(int fd, size_t max_bytes);

/** Whether a descriptor that was made just now is among the last `kept` that this process may have:
 * the kernel gives the lowest number that is free. */
bool fd_is_scarce(int fd, unsigned kept);

/** Sets O_NONBLOCK. */
int fd_nonblock(int fd);
