/*
 * A program's files: read by the client, from below the program's folder only, and handed over as
 * sealed memfds.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/text.h"
#include "client/stillpoint.h"
#include "proto/limits.h"

#define READ_BYTES ((size_t)256 * 1024)

enum stillpoint_source_kind stillpoint_source_kind_of(const char *file_name)
{
    const char *dot = strrchr(file_name, '.');
    if (dot && strcmp(dot, ".mjs") == 0)
        return STILLPOINT_SOURCE_MODULE;
    if (dot && strcmp(dot, ".wasm") == 0)
        return STILLPOINT_SOURCE_WASM;
    return STILLPOINT_SOURCE_SCRIPT_OR_MODULE;
}

int stillpoint_folder_open(const char *program_path)
{
    _cleanup_free_ char *copy = strdup(program_path);
    if (!copy)
        return -ENOMEM;
    int fd = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Reads to the end; one byte beyond the limit is enough to know. */
static int read_all(int fd, struct bytes *content)
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
        if (content->len > LIMIT_FILE_BYTES)
            return -EFBIG;
    }
}

int stillpoint_memfd_from(int fd)
{
    _cleanup_(bytes_done) struct bytes content;
    struct stat st;
    bytes_init(&content, (size_t)LIMIT_FILE_BYTES + READ_BYTES);
    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (S_ISREG(st.st_mode) && st.st_size > (off_t)LIMIT_FILE_BYTES)
        return -EFBIG;
    int r = read_all(fd, &content);
    return r < 0 ? r : fd_memfd_new("stillpoint-program", bytes_at(&content), content.len);
}

int stillpoint_folder_read(int folder, const char *path)
{
    /* O_NONBLOCK: a fifo must not make us wait before it is found not to be a file. */
    struct open_how how = {
        .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    struct stat st;
    if (!text_is_bundle_path(path, LIMIT_PATH_BYTES))
        return -EXDEV;
    _cleanup_close_ int fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode))
        return -ENODEV;
    return stillpoint_memfd_from(fd);
}

const char *stillpoint_file_error(int r)
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
