/*
 * Files below a folder that match a glob. The glob is followed component by component, so that only
 * folders that can hold a match are read, and no symbolic link is followed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "client/stillpoint.h"
#include "proto/limits.h"

static void cleanup_closedir(DIR **d)
{
    if (*d)
        closedir(*d);
}

static int paths_add(struct stillpoint_paths *paths, const char *path)
{
    if (paths->n >= LIMIT_BUNDLE_FILES)
        return -E2BIG;
    if (paths->n == paths->size) {
        size_t size = paths->size ? 2 * paths->size : 16;
        char **items = reallocarray(paths->items, size, sizeof *items);
        if (!items)
            return -ENOMEM;
        paths->items = items;
        paths->size = size;
    }
    char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    paths->items[paths->n++] = copy;
    return 0;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void paths_sort(struct stillpoint_paths *paths)
{
    size_t kept = 0;
    if (paths->n > 0)
        qsort(paths->items, paths->n, sizeof *paths->items, compare_paths);
    for (size_t i = 0; i < paths->n; i++) {
        if (kept > 0 && strcmp(paths->items[kept - 1], paths->items[i]) == 0)
            free(paths->items[i]);
        else
            paths->items[kept++] = paths->items[i];
    }
    paths->n = kept;
}

void stillpoint_paths_done(struct stillpoint_paths *paths)
{
    for (size_t i = 0; i < paths->n; i++)
        free(paths->items[i]);
    free(paths->items);
    *paths = (struct stillpoint_paths){0};
}

/* One folder's entries against the first component of `glob`. `path` is the folder's, with a slash
 * at its end unless empty; it is used as a stack. */
struct walk {
    char path[LIMIT_PATH_BYTES + 1];
    struct stillpoint_paths *paths;
    ssize_t matched;
};

static int walk_folder(struct walk *w, int folder, size_t path_len, const char *glob);

static int walk_entry(struct walk *w, int folder, size_t path_len, const char *name,
                      const char *rest)
{
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno; /* gone since it was listed */
    int n = snprintf(w->path + path_len, sizeof w->path - path_len, "%s%s", name, *rest ? "/" : "");
    if (n < 0 || (size_t)n >= sizeof w->path - path_len)
        return -ENAMETOOLONG;
    if (!*rest && S_ISREG(st.st_mode)) {
        w->matched++;
        return paths_add(w->paths, w->path);
    }
    if (*rest && S_ISDIR(st.st_mode)) {
        _cleanup_close_ int fd =
            openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? -errno : walk_folder(w, TAKE_FD(fd), path_len + (size_t)n, rest);
    }
    return 0;
}

/* Takes `folder`. Depth is bounded by the glob's components. */
static int walk_folder(struct walk *w, int folder, size_t path_len, const char *glob)
{
    _cleanup_close_ int fd = folder;
    _cleanup_(cleanup_closedir) DIR *d = fdopendir(fd);
    if (!d)
        return -errno;
    TAKE_FD(fd);
    size_t len = strcspn(glob, "/");
    _cleanup_free_ char *component = strndup(glob, len);
    if (!component)
        return -ENOMEM;
    const char *rest = glob[len] ? glob + len + 1 : "";
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(d))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fnmatch(component, entry->d_name, FNM_PERIOD) != 0)
            continue;
        int r = walk_entry(w, dirfd(d), path_len, entry->d_name, rest);
        if (r < 0)
            return r;
    }
    return -errno;
}

static bool glob_is_fine(const char *glob)
{
    for (const char *part = glob;; part++) {
        size_t n = strcspn(part, "/");
        if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && memcmp(part, "..", 2) == 0))
            return false;
        part += n;
        if (*part == '\0')
            return true;
    }
}

ssize_t stillpoint_folder_glob(int folder, const char *glob, struct stillpoint_paths *paths)
{
    struct walk w = {.paths = paths};
    if (!glob_is_fine(glob))
        return -EINVAL;
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = walk_folder(&w, fd, 0, glob);
    paths_sort(paths);
    return r < 0 ? r : w.matched;
}
