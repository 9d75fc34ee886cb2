#include "daemon/fd_store.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/log.h"

#define NAME_SIZE 128
static const char *const prefixes[] = {"vm-", "world-", "state-", "hits-", "events-"};

struct kept {
    char *name; /* NULL: it was not ours, or was taken */
    int fd;
};

struct fd_store {
    struct kept *kept;
    unsigned n;
};

bool fd_store_is_offered(void)
{
    const char *socket = getenv("NOTIFY_SOCKET");
    return socket && *socket;
}

static bool is_ours(const char *name)
{
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

struct fd_store *fd_store_new(void)
{
    struct fd_store *s = calloc(1, sizeof *s);
    char **names = NULL;
    if (!s)
        return NULL;
    /* Sockets to listen at come by the same way, and are not ours. */
    int n = sd_listen_fds_with_names(0, &names);
    s->kept = calloc(n > 0 ? (size_t)n : 1, sizeof *s->kept);
    for (int i = 0; i < n && names; i++) {
        if (s->kept && is_ours(names[i]))
            s->kept[s->n++] = (struct kept){TAKE_PTR(names[i]), SD_LISTEN_FDS_START + i};
        free(names[i]);
    }
    free(names);
    if (s->kept)
        return s;
    free(s);
    return NULL;
}

static void drop(const char *name)
{
    int r = sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
    if (r < 0)
        log_warning("the service manager cannot be told to drop %s: %s", name, strerror(-r));
}

struct fd_store *fd_store_free(struct fd_store *s)
{
    for (unsigned i = 0; s && i < s->n; i++) {
        if (!s->kept[i].name)
            continue;
        drop(s->kept[i].name);
        fd_close(&s->kept[i].fd);
        free(s->kept[i].name);
    }
    if (s)
        free(s->kept);
    free(s);
    return NULL;
}

static const char *make_name(char name[NAME_SIZE], const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static const char *make_name(char name[NAME_SIZE], const char *format, va_list args)
{
    vsnprintf(name, NAME_SIZE, format, args);
    return name;
}

int fd_store_put(int fd, const char *format, ...)
{
    char name[NAME_SIZE], message[NAME_SIZE + 64];
    va_list args;
    va_start(args, format);
    make_name(name, format, args);
    va_end(args);
    snprintf(message, sizeof message, "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
    int r = sd_pid_notify_with_fds(0, 0, message, &fd, 1);
    return r > 0 ? 0 : r < 0 ? r : -ENOTCONN;
}

void fd_store_drop(const char *format, ...)
{
    char name[NAME_SIZE];
    va_list args;
    va_start(args, format);
    make_name(name, format, args);
    va_end(args);
    drop(name);
}

int fd_store_take(struct fd_store *s, const char *format, ...)
{
    char name[NAME_SIZE];
    va_list args;
    va_start(args, format);
    make_name(name, format, args);
    va_end(args);
    for (unsigned i = 0; i < s->n; i++) {
        if (!s->kept[i].name || strcmp(s->kept[i].name, name) != 0)
            continue;
        free(s->kept[i].name);
        s->kept[i].name = NULL;
        return s->kept[i].fd;
    }
    return -1;
}

int fd_store_find(const struct fd_store *s, const char *name)
{
    for (unsigned i = 0; i < s->n; i++)
        if (s->kept[i].name && strcmp(s->kept[i].name, name) == 0)
            return s->kept[i].fd;
    return -1;
}

const char *fd_store_next(const struct fd_store *s, const char *prefix, unsigned *at)
{
    while (*at < s->n) {
        const char *name = s->kept[(*at)++].name;
        if (name && strncmp(name, prefix, strlen(prefix)) == 0)
            return name;
    }
    return NULL;
}
