#include "daemon/fd_store.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "daemon/record.h"
#include "daemon/service.h"

#define NAME_SIZE 128
/* A manager that does not read for so long keeps nothing. */
#define PATIENCE_MS 5000

/* The manager hands the names over in one variable of the environment, for which the kernel has 128
 * KiB: beyond that no daemon could be started any more. VMs leave a part to the rest; what they
 * wrote, also those that have ended, takes room from neither. */
#define NAMES_BYTES (106u * 1024)
#define VM_NAMES_BYTES (90u * 1024)
#define LOG_NAMES_BYTES (14u * 1024)

static const char *const prefixes[] = {"vm-", "world-", "state-", "hits-", "events-", "log-"};

struct kept {
    char *name; /* NULL: it was not ours, or was taken */
    int fd;
};

struct fd_store {
    struct kept *kept;
    unsigned n;
};

/* The service's, which lives as long as the daemon. */
static int notify_fd = -1;

/* Names that the manager has. */
struct stored {
    UT_hash_handle hh;
    char name[];
};
static struct stored *stored;
static size_t names_bytes, log_names_bytes;

/* How many there are of its sort, and how many there may be. */
static size_t *bytes_like(const char *name, size_t *ret_most)
{
    if (strncmp(name, "log-", 4) == 0) {
        *ret_most = LOG_NAMES_BYTES;
        return &log_names_bytes;
    }
    *ret_most = strncmp(name, "vm-", 3) == 0 ? VM_NAMES_BYTES : NAMES_BYTES;
    return &names_bytes;
}

static int remember(const char *name)
{
    struct stored *known;
    size_t len = strlen(name) + 1;
    HASH_FIND_STR(stored, name, known);
    if (known)
        return 0;
    size_t most, *bytes = bytes_like(name, &most);
    if (*bytes + len > most)
        return -ENOSPC;
    known = malloc(sizeof *known + len);
    if (!known)
        return -ENOMEM;
    memcpy(known->name, name, len);
    HASH_ADD_KEYPTR(hh, stored, known->name, len - 1, known);
    if (!known->hh.tbl) {
        free(known);
        return -ENOMEM;
    }
    *bytes += len;
    return 0;
}

static void forget(const char *name)
{
    struct stored *known;
    HASH_FIND_STR(stored, name, known);
    if (!known)
        return;
    size_t most;
    *bytes_like(name, &most) -= strlen(name) + 1;
    HASH_DEL(stored, known);
    free(known);
}

static int add(struct fd_store *s, char *name, int fd)
{
    struct kept *kept = reallocarray(s->kept, s->n + 1, sizeof *kept);
    if (!kept) {
        free(name);
        close(fd);
        return -ENOMEM;
    }
    s->kept = kept;
    s->kept[s->n++] = (struct kept){name, fd};
    int r = remember(name);
    return r == -ENOSPC ? 0 : r; /* it is there, whatever its place */
}

struct fd_store *fd_store_new(struct service *service)
{
    struct fd_store *s = calloc(1, sizeof *s);
    notify_fd = service_notify_fd(service);
    for (size_t i = 0; s && i < sizeof prefixes / sizeof prefixes[0]; i++) {
        char *name;
        int fd, r = 0;
        while (r == 0 && (fd = service_take_kept(service, prefixes[i], &name)) >= 0)
            r = add(s, name, fd);
        if (r < 0 || fd == -ENOMEM)
            return NULL; /* nothing of it may be dropped */
    }
    return s;
}

/* The manager does read, and is no peer of ours to be afraid of. */
static int send_message(const char *text, const int *fd)
{
    const struct iovec iov = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    ssize_t n;
    while ((n = fd_send(notify_fd, &iov, 1, fd, fd ? 1 : 0)) == -EAGAIN) {
        struct pollfd p = {.fd = notify_fd, .events = POLLOUT};
        if (poll(&p, 1, PATIENCE_MS) == 0)
            return -ETIMEDOUT;
    }
    return n < 0 ? (int)n : 0;
}

static void drop(const char *name)
{
    char message[NAME_SIZE + 64];
    forget(name);
    snprintf(message, sizeof message, "FDSTOREREMOVE=1\nFDNAME=%s", name);
    int r = send_message(message, NULL);
    if (r < 0)
        record_write(LOG_WARNING, MESSAGE_MANAGER_TROUBLE, NULL,
                     "the service manager cannot be told to drop %s: %s", name, strerror(-r));
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
    int r = remember(name);
    if (r < 0)
        return r;
    snprintf(message, sizeof message, "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
    r = send_message(message, &fd);
    if (r < 0)
        forget(name);
    return r;
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
