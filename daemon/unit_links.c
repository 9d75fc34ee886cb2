#include "daemon/unit_links.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "vms"
#define NEVER "/dev/null"

static int link_path(const char *state_dir, const char *name, const char *suffix,
                     char path[PATH_MAX])
{
    int n = snprintf(path, PATH_MAX, "%s/" FOLDER "/%s.conf%s", state_dir, name, suffix);
    return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int unit_links_get(const char *state_dir, const char *name)
{
    char path[PATH_MAX], target[PATH_MAX];
    int r = link_path(state_dir, name, "", path);
    if (r < 0)
        return r;
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n < 0)
        return -errno;
    target[n] = '\0';
    return strcmp(target, NEVER) != 0;
}

/* The state directory's parent is the administrator's. */
static int make_folders(const char *state_dir)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/" FOLDER, state_dir);
    if (n >= (int)sizeof path)
        return -ENAMETOOLONG;
    if (mkdir(state_dir, 0755) < 0 && errno != EEXIST)
        return -errno;
    if (mkdir(path, 0755) == 0)
        return chmod(path, 0755) < 0 ? -errno : 0; /* whatever our umask is */
    return errno == EEXIST ? 0 : -errno;
}

int unit_links_set(const char *state_dir, const char *name, const char *file, bool enabled)
{
    char path[PATH_MAX], fresh[PATH_MAX];
    int r = make_folders(state_dir);
    if (r == 0)
        r = link_path(state_dir, name, "", path);
    if (r == 0)
        r = link_path(state_dir, name, ".new", fresh);
    if (r < 0)
        return r;
    (void)unlink(fresh); /* of a daemon that ended between the two */
    if (symlink(enabled ? file : NEVER, fresh) < 0)
        return -errno;
    if (rename(fresh, path) == 0)
        return 0;
    r = -errno;
    (void)unlink(fresh);
    return r;
}
