#include "daemon/service.h"

#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/record.h"

/* The watchdog is fed this often in its time: a loop that is late by most of it is no hung one. */
#define FEEDS 4u
#define STATUS_SIZE 512

/* What systemd has to know next; its order is that of telling. */
enum state { STATE_NONE, STATE_READY, STATE_RELOADING, STATE_STOPPING };

struct service {
    int n_fds;
    int *fds; /* -1: taken */
    char **names;
    int notify_fd;
    struct event *writable, *feed;
    uint64_t watchdog_us;
    uint64_t reloading_us;
    enum state state, told;
    char status[STATUS_SIZE];
    bool status_is_new, hungry;
    bool complained;
};

/* ---- sockets that we are handed */

static int take_fds(struct service *s)
{
    int n = sd_listen_fds_with_names(true, &s->names);
    if (n <= 0)
        return n;
    s->fds = malloc((size_t)n * sizeof *s->fds);
    if (!s->fds)
        return -ENOMEM;
    s->n_fds = n;
    for (int i = 0; i < n; i++)
        s->fds[i] = SD_LISTEN_FDS_START + i;
    return 0;
}

int service_take_socket(struct service *s, const char *name)
{
    for (int i = 0; i < s->n_fds; i++) {
        if (s->fds[i] < 0 || strcmp(s->names[i], name) != 0)
            continue;
        int fd = TAKE_FD(s->fds[i]);
        if (sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) > 0)
            return fd;
        record_write(LOG_ERR, MESSAGE_CANNOT_START, NULL,
                     "the descriptor '%s' from the service manager is no listening Unix socket",
                     name);
        close(fd);
        return -EINVAL;
    }
    return -ENOENT;
}

int service_take_kept(struct service *s, const char *prefix, char **ret_name)
{
    for (int i = 0; i < s->n_fds; i++) {
        if (s->fds[i] < 0 || strncmp(s->names[i], prefix, strlen(prefix)) != 0)
            continue;
        *ret_name = strdup(s->names[i]);
        return *ret_name ? TAKE_FD(s->fds[i]) : -ENOMEM;
    }
    return -ENOENT;
}

int service_notify_fd(const struct service *s)
{
    return s->notify_fd;
}

void service_close_rest(struct service *s)
{
    for (int i = 0; i < s->n_fds; i++) {
        if (s->fds[i] < 0)
            continue;
        record_write(LOG_WARNING, MESSAGE_MANAGER_TROUBLE, NULL,
                     "nobody knows the descriptor '%s' that came from the service manager",
                     s->names[i]);
        fd_close(&s->fds[i]);
    }
}

/* ---- telling */

/* Returns a socket, or -1: nobody wants to be told, or cannot be. */
static int connect_notify(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || !*path)
        return -1;
    size_t len = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || len > sizeof address.sun_path - 1) {
        record_write(LOG_WARNING, MESSAGE_MANAGER_TROUBLE, NULL,
                     "cannot tell the service manager anything: NOTIFY_SOCKET is '%s'", path);
        return -1;
    }
    memcpy(address.sun_path, path, len);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    socklen_t size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '@' ? 0 : 1));
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, size) < 0) {
        record_write(LOG_WARNING, MESSAGE_MANAGER_TROUBLE, NULL,
                     "cannot tell the service manager anything: %s: %m", path);
        return -1;
    }
    return TAKE_FD(fd);
}

static uint64_t monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static bool has_news(const struct service *s)
{
    return s->state != s->told || s->status_is_new || s->hungry;
}

/* All news in one message. */
static int send_news(const struct service *s)
{
    char text[STATUS_SIZE + 128];
    size_t used = 0;
    if (s->state != s->told && s->state == STATE_READY)
        used += (size_t)snprintf(text + used, sizeof text - used, "READY=1\n");
    else if (s->state != s->told && s->state == STATE_RELOADING)
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "RELOADING=1\nMONOTONIC_USEC=%llu\n",
                             (unsigned long long)s->reloading_us);
    else if (s->state != s->told && s->state == STATE_STOPPING)
        used += (size_t)snprintf(text + used, sizeof text - used, "STOPPING=1\n");
    if (s->hungry)
        used += (size_t)snprintf(text + used, sizeof text - used, "WATCHDOG=1\n");
    if (s->status_is_new)
        used += (size_t)snprintf(text + used, sizeof text - used, "STATUS=%s\n", s->status);
    return send(s->notify_fd, text, used, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void tell(struct service *s)
{
    if (s->notify_fd < 0 || !has_news(s))
        return;
    int r = send_news(s);
    if (r == -EAGAIN || r == -ENOBUFS) {
        if (s->writable)
            event_add(s->writable, NULL);
        return;
    }
    if (r < 0 && !s->complained)
        record_write(LOG_WARNING, MESSAGE_MANAGER_TROUBLE, NULL,
                     "cannot tell the service manager: %s", strerror(-r));
    s->complained = r < 0;
    s->told = s->state;
    s->status_is_new = s->hungry = false;
}

static void on_writable(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    tell(userdata);
}

static void on_feed(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    struct service *s = userdata;
    s->hungry = true;
    tell(s);
}

bool service_is_watched(const struct service *s)
{
    return s->notify_fd >= 0;
}

void service_ready(struct service *s)
{
    if (s->state != STATE_STOPPING)
        s->state = STATE_READY;
    tell(s);
}

void service_reloading(struct service *s)
{
    if (s->state != STATE_READY)
        return;
    s->state = STATE_RELOADING;
    s->reloading_us = monotonic_us();
    tell(s);
}

void service_stopping(struct service *s)
{
    s->state = STATE_STOPPING;
    tell(s);
}

void service_status(struct service *s, const char *format, ...)
{
    char text[STATUS_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (strcmp(text, s->status) == 0)
        return;
    memcpy(s->status, text, sizeof text);
    s->status_is_new = true;
    tell(s);
}

/* ---- birth and end */

struct service *service_new(void)
{
    struct service *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->notify_fd = connect_notify();
    int r = sd_watchdog_enabled(true, &s->watchdog_us);
    if (r < 0)
        record_write(LOG_WARNING, MESSAGE_MANAGER_TROUBLE, NULL,
                     "the watchdog's settings are wrong: %s", strerror(-r));
    unsetenv("NOTIFY_SOCKET");
    r = take_fds(s);
    if (r == -ENOMEM)
        return service_free(s);
    if (r < 0)
        record_write(LOG_WARNING, MESSAGE_MANAGER_TROUBLE, NULL,
                     "cannot take the service manager's descriptors: %s", strerror(-r));
    return s;
}

int service_attach(struct service *s, struct event_base *base)
{
    if (s->notify_fd < 0)
        return 0;
    s->writable = event_new(base, s->notify_fd, EV_WRITE, on_writable, s);
    if (!s->writable)
        return -ENOMEM;
    if (s->watchdog_us == 0)
        return 0;
    s->feed = event_new(base, -1, EV_PERSIST, on_feed, s);
    uint64_t us = s->watchdog_us / FEEDS;
    struct timeval every = {.tv_sec = (time_t)(us / 1000000u),
                            .tv_usec = (suseconds_t)(us % 1000000u)};
    return !s->feed || event_add(s->feed, &every) < 0 ? -ENOMEM : 0;
}

struct service *service_free(struct service *s)
{
    if (!s)
        return NULL;
    if (s->writable)
        event_free(s->writable);
    if (s->feed)
        event_free(s->feed);
    for (int i = 0; i < s->n_fds; i++)
        fd_close(&s->fds[i]);
    for (char **name = s->names; name && *name; name++)
        free(*name);
    free(s->names);
    free(s->fds);
    fd_close(&s->notify_fd);
    free(s);
    return NULL;
}
