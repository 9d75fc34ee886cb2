/*
 * notified.h: a socket that a program under test tells what it would tell a service manager. Header
 * only, for one test program each.
 */
#pragma once

#include "tests/support/unit.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
    char folder[256];
    struct sockaddr_un address;
    int fd;
} notified = {.address.sun_family = AF_UNIX, .fd = -1};

/** From now on NOTIFY_SOCKET is this. */
static inline bool notified_begin(void)
{
    if (!unit_make_folder(notified.folder, sizeof notified.folder))
        return false;
    snprintf(notified.address.sun_path, sizeof notified.address.sun_path, "%.90s/notify",
             notified.folder);
    notified.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return bind(notified.fd, (struct sockaddr *)&notified.address, sizeof notified.address) == 0 &&
           setenv("NOTIFY_SOCKET", notified.address.sun_path, 1) == 0;
}

/** 0, or what rmdir() says. */
static inline int notified_end(void)
{
    close(notified.fd);
    unlink(notified.address.sun_path);
    return rmdir(notified.folder);
}

/** The next message, whole; "" if there is none. */
static inline const char *notified_told(void)
{
    static char text[2048];
    ssize_t n = recv(notified.fd, text, sizeof text - 1, MSG_DONTWAIT);
    text[n > 0 ? n : 0] = '\0';
    return text;
}
