#include "daemon/cgroup_limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

/* A VM may use its share at once and then waits: a short period keeps that wait, in which it cannot
 * come to a safe point either, well below the deadline of a stop. */
#define CPU_PERIOD_US 20000ull

#define ALL ((1u << CGROUP_CONTROLLERS) - 1)

static const char *const names[CGROUP_CONTROLLERS] = {"memory", "pids", "cpu"};

static int read_file(int dir_fd, const char *name, char *text, size_t size)
{
    _cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
    if (n < 0)
        return -errno;
    if (n > 0 && text[n - 1] == '\n')
        n--;
    text[n] = '\0';
    return 0;
}

static int write_file(int dir_fd, const char *name, const char *text)
{
    _cleanup_close_ int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = text; (p = strstr(p, word)) != NULL; p += n)
        if ((p == text || p[-1] == ' ') && (p[n] == '\0' || p[n] == ' '))
            return true;
    return false;
}

static unsigned read_controllers(int dir_fd, const char *file)
{
    char text[512];
    unsigned found = 0;
    if (read_file(dir_fd, file, text, sizeof text) < 0)
        return 0;
    for (unsigned i = 0; i < CGROUP_CONTROLLERS; i++)
        if (has_word(text, names[i]))
            found |= 1u << i;
    return found;
}

unsigned cgroup_limits_available(int dir_fd)
{
    return read_controllers(dir_fd, "cgroup.controllers");
}

/* One at a time: a write takes all or nothing. */
static void change_children(int control_fd, char sign, unsigned controllers)
{
    for (unsigned i = 0; i < CGROUP_CONTROLLERS; i++) {
        char word[16];
        int n = snprintf(word, sizeof word, "%c%s", sign, names[i]);
        if (controllers & 1u << i)
            (void)!pwrite(control_fd, word, (size_t)n, 0);
    }
}

unsigned cgroup_limits_give(int dir_fd, struct cgroup_gift *ret_gift)
{
    static const char file[] = "cgroup.subtree_control";
    unsigned before = read_controllers(dir_fd, file), after;
    int fd = openat(dir_fd, file, O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        change_children(fd, '+', ALL & ~before);
    after = read_controllers(dir_fd, file);
    *ret_gift = (struct cgroup_gift){.control_fd = fd, .controllers = after & ~before};
    return after;
}

void cgroup_limits_take_back(struct cgroup_gift *gift)
{
    if (gift->control_fd >= 0)
        change_children(gift->control_fd, '-', gift->controllers);
    fd_close(&gift->control_fd);
}

/* The kernel rounds bytes down to pages. */
static bool holds(const char *wanted, const char *found)
{
    char *end;
    unsigned long long w = strtoull(wanted, &end, 10), f = strtoull(found, NULL, 10);
    if (*end != '\0' || *wanted == '\0')
        return strcmp(wanted, found) == 0;
    return strcmp(wanted, found) == 0 || (f <= w && f > 0 && w - f < 65536);
}

static int set_and_check(int dir_fd, const char *name, const char *text)
{
    char found[64];
    int r = write_file(dir_fd, name, text);
    if (r == 0)
        r = read_file(dir_fd, name, found, sizeof found);
    return r < 0 ? r : holds(text, found) ? 0 : -EIO;
}

static int set_memory(int dir_fd, const struct vm_limits *limits)
{
    char bytes[32];
    snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)vm_limits_hard_memory(limits));
    int r = set_and_check(dir_fd, "memory.max", bytes);
    if (r == 0)
        r = set_and_check(dir_fd, "memory.oom.group", "1");
    /* A kernel without swap has no such file. */
    int swap = r == 0 ? set_and_check(dir_fd, "memory.swap.max", "0") : 0;
    return r < 0 ? r : swap == -ENOENT ? 0 : swap;
}

static int set_pids(int dir_fd, uint32_t tasks)
{
    char text[32];
    snprintf(text, sizeof text, "%u", tasks);
    return set_and_check(dir_fd, "pids.max", text);
}

static int set_cpu(int dir_fd, const struct vm_limits *limits)
{
    char text[64];
    if (limits->cpu_percent == 0)
        return 0;
    snprintf(text, sizeof text, "%llu %llu", limits->cpu_percent * CPU_PERIOD_US / 100,
             CPU_PERIOD_US);
    return set_and_check(dir_fd, "cpu.max", text);
}

void cgroup_limits_set(int dir_fd, unsigned controllers, const struct vm_limits *limits,
                       uint32_t tasks, unsigned *ret_missing, int *ret_error)
{
    const int results[CGROUP_CONTROLLERS] = {
        controllers & CGROUP_MEMORY ? set_memory(dir_fd, limits) : 0,
        controllers & CGROUP_PIDS ? set_pids(dir_fd, tasks) : 0,
        controllers & CGROUP_CPU ? set_cpu(dir_fd, limits) : 0,
    };
    *ret_missing = 0;
    *ret_error = 0;
    for (unsigned i = 0; i < CGROUP_CONTROLLERS; i++) {
        if (results[i] == 0)
            continue;
        *ret_missing |= 1u << i;
        *ret_error = results[i];
    }
}

bool cgroup_limits_was_oom(int dir_fd)
{
    char text[512];
    if (read_file(dir_fd, "memory.events", text, sizeof text) < 0)
        return false;
    /* The counts of kills, not "oom", which only says that the limit was met. */
    const char *at = strstr(text, "\noom_kill ");
    return at && strtoull(at + strlen("\noom_kill "), NULL, 10) > 0;
}

void cgroup_limits_text(unsigned controllers, char *text, size_t size)
{
    size_t at = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < CGROUP_CONTROLLERS; i++)
        if (controllers & 1u << i && at < size)
            at += (size_t)snprintf(text + at, size - at, "%s%s", at > 0 ? ", " : "", names[i]);
}
