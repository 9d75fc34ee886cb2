#include "worker/huge_code.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"

#define HUGE_BYTES ((size_t)2 << 20)

static void close_file(FILE **f)
{
    if (*f)
        fclose(*f);
}

static int open_file(const char *path, FILE **ret)
{
    *ret = fopen(path, "re");
    return *ret ? 0 : -errno;
}

/* The next mapping that is private, of a file, and code; false at the end. */
static bool next_code(FILE *maps, uintptr_t *ret_start, uintptr_t *ret_end)
{
    char line[512];
    while (fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        char rights[5], path;
        if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %c", &start, &end, rights, &path) == 4 &&
            strcmp(rights, "r-xp") == 0 && path == '/') {
            *ret_start = start;
            *ret_end = end;
            return true;
        }
    }
    return false;
}

/* Whether the kernel gave huge pages for all of it, which it need not. */
static bool is_huge(const void *at, size_t bytes)
{
    _cleanup_(close_file) FILE *smaps = NULL;
    char line[512];
    bool here = false;
    if (open_file("/proc/self/smaps", &smaps) < 0)
        return false;
    while (fgets(line, sizeof line, smaps)) {
        unsigned long start, end;
        size_t kib;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            here = start <= (uintptr_t)at && (uintptr_t)at < end;
        else if (here && sscanf(line, "AnonHugePages: %zu kB", &kib) == 1)
            return kib * 1024 >= bytes;
    }
    return false;
}

/* The copy is never writable and executable at once, and takes the place of what it is a copy of in
 * one step. */
static int replace(uintptr_t start, size_t bytes, char *copy)
{
    if (mprotect(copy, bytes, PROT_READ | PROT_WRITE) < 0 ||
        madvise(copy, bytes, MADV_HUGEPAGE) < 0)
        return -errno;
    memcpy(copy, (const void *)start, bytes);
    if (!is_huge(copy, bytes))
        return -ENOMEM;
    if (mprotect(copy, bytes, PROT_READ | PROT_EXEC) < 0 ||
        mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)start) == MAP_FAILED)
        return -errno;
    return 0;
}

static int move(uintptr_t start, uintptr_t end)
{
    start = (start + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
    end &= ~(HUGE_BYTES - 1);
    if (start >= end)
        return -ERANGE;
    size_t bytes = end - start;
    char *room = mmap(NULL, bytes + HUGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        return -errno;
    uintptr_t aligned = ((uintptr_t)room + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
    int r = replace(start, bytes, (char *)aligned);
    munmap(room, bytes + HUGE_BYTES);
    return r;
}

int huge_code_move(void)
{
    _cleanup_(close_file) FILE *maps = NULL;
    int r = open_file("/proc/self/maps", &maps), n = 0;
    uintptr_t start, end;
    while (r == 0 && next_code(maps, &start, &end))
        n += move(start, end) == 0;
    return r < 0 ? r : n;
}
