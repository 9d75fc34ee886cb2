#include "map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layout.h"

#define RESIZE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

int map_create(const char *name, enum map_writer writer, int *ret_fd, void **ret_page)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;

    int r, seals = RESIZE_SEALS | F_SEAL_SEAL;
    int prot = PROT_READ;
    if (writer != MAP_WRITER_PEER)
        prot |= PROT_WRITE;
    /* A mapping that exists when FUTURE_WRITE is set stays writable: that one is ours. */
    if (writer == MAP_WRITER_SELF)
        seals |= F_SEAL_FUTURE_WRITE;

    void *page = MAP_FAILED;
    if (ftruncate(fd, SHM_PAGE_BYTES) == 0)
        page = mmap(NULL, SHM_PAGE_BYTES, prot, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        r = -errno;
        close(fd);
        return r;
    }
    if (fcntl(fd, F_ADD_SEALS, seals) < 0) {
        r = -errno;
        munmap(page, SHM_PAGE_BYTES);
        close(fd);
        return r;
    }
    *ret_fd = fd;
    *ret_page = page;
    return 0;
}

int map_attach(int fd, enum map_writer writer, void **ret_page)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;
    if (seals < 0 || (seals & RESIZE_SEALS) != RESIZE_SEALS || fstat(fd, &st) < 0 ||
        st.st_size != SHM_PAGE_BYTES)
        return -EBADF;

    int prot = PROT_READ | (writer != MAP_WRITER_PEER ? PROT_WRITE : 0);
    void *page = mmap(NULL, SHM_PAGE_BYTES, prot, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        return -errno;
    *ret_page = page;
    return 0;
}

int map_read_only(int fd)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int r = open(path, O_RDONLY | O_CLOEXEC);
    return r < 0 ? -errno : r;
}

void *map_done(void *page)
{
    if (page)
        munmap(page, SHM_PAGE_BYTES);
    return NULL;
}
