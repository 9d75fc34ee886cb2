#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bytes.h"
#include "cleanup.h"
#include "fd.h"
#include "text.h"

#define READ_BYTES ((size_t)256 * 1024)

int folder_open(const char *file_path)
{
    _cleanup_free_ char *copy = strdup(file_path);
    if (!copy)
        return -ENOMEM;
    int fd = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Reads to the end; one byte beyond the limit is enough to know. */
static int read_all(int fd, size_t max_bytes, struct bytes *content)
{
    for (;;) {
        uint8_t *room;
        int r = bytes_reserve(content, READ_BYTES, &room);
        if (r < 0)
            return r;
        ssize_t n = read(fd, room, READ_BYTES);
        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes_commit(content, (size_t)n);
        if (content->len > max_bytes)
            return -EFBIG;
    }
}

int folder_memfd_from(int fd, size_t max_bytes)
{
    _cleanup_(bytes_done) struct bytes content;
    struct stat st;
    bytes_init(&content, max_bytes + READ_BYTES);
    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (S_ISREG(st.st_mode) && st.st_size > (off_t)max_bytes)
        return -EFBIG;
    int r = read_all(fd, max_bytes, &content);
    return r < 0 ? r : fd_memfd_new("stillpoint-program", bytes_at(&content), content.len);
}

int folder_read(int folder, const char *path, size_t max_path, size_t max_bytes)
{
    /* O_NONBLOCK: a fifo must not make us wait before it is found not to be a file. */
    struct open_how how = {
        .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    struct stat st;
    if (!text_is_bundle_path(path, max_path))
        return -EXDEV;
    _cleanup_close_ int fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode))
        return -ENODEV;
    return folder_memfd_from(fd, max_bytes);
}

const char *folder_error(int r)
{
    switch (-r) {
    case ENOENT:
    case ENOTDIR:
        return "no such file";
    case ELOOP:
        return "is a symbolic link, or below one";
    case EXDEV:
        return "not a path below the program's folder";
    case EISDIR:
        return "is a directory";
    case ENODEV:
    case ENXIO:
        return "not a regular file";
    case EFBIG:
        return "larger than 64 MiB";
    case EACCES:
    case EPERM:
        return "permission denied";
    default:
        return strerror(-r);
    }
}
