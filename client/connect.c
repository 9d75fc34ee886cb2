/* Finding a daemon. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "client/events.h"

int stillpoint_connect(const char *path, const char *client, struct stillpoint **ret_sp)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char found[sizeof address.sun_path];
    if (!path) {
        int r = stillpoint_default_socket(found, sizeof found);
        if (r < 0)
            return r;
        path = found;
    }
    size_t bytes = strlen(path) + 1;
    if (bytes > sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, bytes);
    _cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0 || connect(sock, (struct sockaddr *)&address, sizeof address) < 0)
        return -errno;
    return stillpoint_connect_fd(TAKE_FD(sock), client, ret_sp);
}

int stillpoint_connect_fd(int fd, const char *client, struct stillpoint **ret_sp)
{
    return conn_new(fd, client, events_deliver, ret_sp);
}

int stillpoint_socketpair(int *ret_ours, int *ret_daemons)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    *ret_ours = fds[0];
    *ret_daemons = fds[1];
    return 0;
}

static bool socket_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 || errno == EACCES;
}

int stillpoint_default_socket(char *ret_path, size_t size)
{
    const char *said = getenv("STILLPOINT_SOCKET");
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char path[PATH_MAX];
    const struct {
        const char *folder, *name;
    } places[] = {
        {said, ""}, {runtime, "/stillpoint/control.sock"}, {"/run", "/stillpoint/control.sock"}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (!places[i].folder || !places[i].folder[0])
            continue;
        int n = snprintf(path, sizeof path, "%s%s", places[i].folder, places[i].name);
        if (n < 0 || (size_t)n >= sizeof path || !socket_exists(path))
            continue;
        if ((size_t)n >= size)
            return -ENAMETOOLONG;
        memcpy(ret_path, path, (size_t)n + 1);
        return 0;
    }
    return -ENOENT;
}
