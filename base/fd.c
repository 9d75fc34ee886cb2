#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

#define SEALS_WANTED (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

ssize_t fd_send(int sock, const struct iovec *iov, size_t n_iov, const int *fds, size_t n_fds)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * FD_MAX_PASSED)];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    if (n_fds > FD_MAX_PASSED)
        return -EINVAL;
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n_iov};
    if (n_fds > 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
    }
    ssize_t n;
    do
        n = sendmsg(sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t fd_receive_all(int sock, void *buf, size_t size, int *fds, size_t *ret_n_fds)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * FD_MOST_PASSED)];
        struct cmsghdr align;
    } control;
    struct iovec iov = {.iov_base = buf, .iov_len = size};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t n;
    size_t got = 0;
    *ret_n_fds = 0;
    do
        n = recvmsg(sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds + got, CMSG_DATA(c), count * sizeof *fds);
        got += count;
    }
    *ret_n_fds = got;
    return m.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -EMSGSIZE : n;
}

ssize_t fd_receive(int sock, void *buf, size_t size, int *fds, size_t *n_fds)
{
    int all[FD_MOST_PASSED];
    size_t room = *n_fds, got;
    ssize_t n = fd_receive_all(sock, buf, size, all, &got);
    if (n >= 0 && got > room)
        n = -EMSGSIZE;
    /* An empty packet reads as the end, and nobody looks for descriptors there. */
    while (n <= 0 && got > 0)
        close(all[--got]);
    if (n < 0)
        return n;
    for (size_t i = 0; i < got; i++) /* there may be no room, and so no `fds` */
        fds[i] = all[i];
    *n_fds = got;
    return n;
}

int fd_memfd_new(const char *name, const void *data, size_t len)
{
    _cleanup_close_ int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    const uint8_t *at = data;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += n;
        len -= (size_t)n;
    }
    if (fcntl(fd, F_ADD_SEALS, SEALS_WANTED | F_SEAL_SEAL) < 0)
        return -errno;
    return TAKE_FD(fd);
}

ssize_t fd_memfd_size(int fd, size_t max_bytes)
{
    if (fd < -1)
        return fd;
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;
    if (seals < 0 || (seals & SEALS_WANTED) != SEALS_WANTED || fstat(fd, &st) < 0)
        return -EBADF;
    if (st.st_size < 0 || (uint64_t)st.st_size > max_bytes)
        return -EFBIG;
    return (ssize_t)st.st_size;
}

int fd_memfd_map(int fd, size_t max_bytes, const uint8_t **ret_data, size_t *ret_bytes)
{
    ssize_t size = fd_memfd_size(fd, max_bytes);
    if (size < 0)
        return (int)size;
    if (size == 0) {
        *ret_data = (const uint8_t *)"";
        *ret_bytes = 0;
        return 0;
    }
    void *p = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    *ret_data = p;
    *ret_bytes = (size_t)size;
    return 0;
}

void fd_memfd_unmap(const uint8_t *data, size_t bytes)
{
    if (bytes > 0)
        munmap((void *)(uintptr_t)data, bytes);
}

bool fd_is_scarce(int fd, unsigned kept)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)fd + kept >= limit.rlim_cur;
}

int fd_nonblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    return 0;
}
