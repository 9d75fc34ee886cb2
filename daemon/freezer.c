#include "daemon/freezer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/cgroup_limits.h"
#include "daemon/record.h"

#define BASE "stillpoint"
#define LEAF "daemon"
#define KEPT "kept"
#define LEVELS 3 /* dir_fd, base_fd, own_fd */
#define NAME_SIZE 32
#define OWN_NAME_SIZE 160
#define MAX_NAMES 16 /* names that are tried for the daemon's directory */
/* How long the end of the daemon waits for processes that were killed and are still dying. */
#define DYING_TRIES 400
#define DYING_NS 5000000

/* A directory that could not be removed: somebody is still dying in it. */
struct grave {
    LIST_ENTRY(grave) link;
    uint64_t vm;
};

struct freezer {
    char why[320]; /* "": cgroups can be had */
    char path[PATH_MAX + OWN_NAME_SIZE];
    char name[OWN_NAME_SIZE]; /* of our directory in base_fd */
    int own_fd, base_fd, dir_fd;
    bool moved;   /* we are in LEAF ourselves */
    bool refused; /* a birth was refused, which was logged */
    bool gave_up_root;
    bool kept;
    unsigned controllers; /* that the directories of workers have */
    struct cgroup_gift gifts[LEVELS];
    LIST_HEAD(graves, grave) graves;
};

static void give_up(struct freezer *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void give_up(struct freezer *f, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(f->why, sizeof f->why, format, ap);
    va_end(ap);
}

/* ---- small things */

/* Returns the number of bytes, which end with a NUL, or negative errno. */
static ssize_t read_at(int fd, char *text, size_t size)
{
    ssize_t n = pread(fd, text, size - 1, 0);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    return n;
}

static int write_file_at(int dir_fd, const char *name, const char *text)
{
    _cleanup_close_ int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static void vm_name(char name[NAME_SIZE], uint64_t vm)
{
    snprintf(name, NAME_SIZE, "vm-%llu", (unsigned long long)vm);
}

/* Whether the name means this open directory, and not another that was made in its place. */
static bool is_same(int dir_fd, const char *name, int fd)
{
    struct stat named, open;
    return fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &open) == 0 &&
           named.st_ino == open.st_ino && named.st_dev == open.st_dev;
}

/* Calls `visit` with each directory in dir_fd. */
static void each_directory(int dir_fd, void (*visit)(int dir_fd, const char *name))
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        fd_close(&fd);
        return;
    }
    const struct dirent *e;
    while ((e = readdir(dir)) != NULL)
        if (e->d_type == DT_DIR && e->d_name[0] != '.')
            visit(dir_fd, e->d_name);
    closedir(dir);
}

/* The kernel refuses to remove one that has processes in it, so that this is harmless. */
static void remove_one(int dir_fd, const char *name)
{
    (void)unlinkat(dir_fd, name, AT_REMOVEDIR);
}

/* ---- where we are in the tree */

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape(char *s)
{
    char *to = s;
    for (; *s; s++, to++) {
        unsigned code;
        *to = *s;
        if (*s == '\\' && sscanf(s + 1, "%3o", &code) == 1) {
            *to = (char)code;
            s += 3;
        }
    }
    *to = '\0';
}

/* The line of cgroup v2 is "0::/PATH". */
static int find_own(char *own, size_t size)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file)
        return -errno;
    char *line = NULL;
    size_t room = 0;
    int r = -ENOENT;
    while (r == -ENOENT && getline(&line, &room, file) >= 0) {
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        r = snprintf(own, size, "%s", line + 3) < (int)size ? 0 : -ENAMETOOLONG;
    }
    free(line);
    fclose(file);
    return r;
}

/* Where a cgroup2 mount that shows `root` at `at` has the cgroup `own`; false: outside of it. */
static bool path_in_mount(const char *root, const char *at, const char *own, char *path,
                          size_t size)
{
    size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(own, root, n) != 0 || (own[n] != '/' && own[n] != '\0'))
        return false;
    /* /.. is above the root of our cgroup namespace. */
    if (strncmp(own + n, "/..", 3) == 0)
        return false;
    const char *rest = strcmp(own + n, "/") == 0 ? "" : own + n;
    return snprintf(path, size, "%s%s", at, rest) < (int)size;
}

/* Opens our cgroup: O_PATH descriptor and path, or negative errno. -ENODEV: none is mounted. */
static int open_own(const char *own, char *path, size_t size)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (!file)
        return -errno;
    char *line = NULL;
    size_t room = 0;
    int fd = -ENODEV;
    while (fd < 0 && getline(&line, &room, file) >= 0) {
        /* id parent major:minor root mount-point options optional… - type source options */
        const char *type = strstr(line, " - cgroup2 ");
        char *rest = line, *fields[5];
        for (size_t i = 0; i < 5; i++)
            fields[i] = strsep(&rest, " ");
        if (!type || !fields[4])
            continue;
        unescape(fields[3]);
        unescape(fields[4]);
        if (path_in_mount(fields[3], fields[4], own, path, size)) {
            fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
            fd = fd < 0 ? -errno : fd;
        }
    }
    free(line);
    fclose(file);
    return fd;
}

/* ---- leftovers of dead daemons */

/* A daemon that lives holds the lock. Its number would not tell: it may be one of another pid
 * namespace. */
static void sweep_daemon(int base_fd, const char *name)
{
    _cleanup_close_ int fd = openat(base_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || !is_same(base_fd, name, fd))
        return;
    each_directory(fd, remove_one);
    remove_one(base_fd, name);
}

static void sweep_graves(struct freezer *f)
{
    char name[NAME_SIZE];
    struct grave *g = LIST_FIRST(&f->graves), *next;
    for (; g; g = next) {
        next = LIST_NEXT(g, link);
        vm_name(name, g->vm);
        if (unlinkat(f->dir_fd, name, AT_REMOVEDIR) < 0 && errno == EBUSY)
            continue;
        LIST_REMOVE(g, link);
        free(g);
    }
}

size_t freezer_sweep(struct freezer *f)
{
    size_t left = 0;
    const struct grave *g;
    if (f->base_fd >= 0)
        each_directory(f->base_fd, sweep_daemon);
    sweep_graves(f);
    LIST_FOREACH(g, &f->graves, link)
    left++;
    return left;
}

/* ---- our own directory */

/* Makes and locks it. Returns 0 or negative errno; -EAGAIN: another daemon's sweep was faster. */
static int make_directory(struct freezer *f)
{
    int r = -EEXIST;
    for (unsigned i = 0; i < MAX_NAMES && r == -EEXIST; i++) {
        if (!f->kept)
            snprintf(f->name, sizeof f->name, i == 0 ? "%d" : "%d-%u", (int)getpid(), i);
        /* Nobody else can open it, and so nobody else can hold its lock. */
        r = mkdirat(f->base_fd, f->name, 0700) < 0 ? -errno : 0;
        if (r == -EEXIST && f->kept)
            r = 0;
    }
    if (r == -ENOENT)
        return -EAGAIN;
    if (r < 0)
        return r;
    f->dir_fd = openat(f->base_fd, f->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->dir_fd < 0)
        return errno == ENOENT ? -EAGAIN : -errno;
    /* Nobody holds it for longer than it takes to remove it. */
    if (flock(f->dir_fd, f->kept ? LOCK_EX | LOCK_NB : LOCK_EX) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    return is_same(f->base_fd, f->name, f->dir_fd) ? 0 : -EAGAIN;
}

static int make_directories(struct freezer *f)
{
    int r = -EAGAIN;
    for (unsigned i = 0; i < MAX_NAMES && r == -EAGAIN; i++) {
        fd_close(&f->dir_fd);
        fd_close(&f->base_fd);
        if (mkdirat(f->own_fd, BASE, 0755) < 0 && errno != EEXIST)
            return -errno;
        f->base_fd = openat(f->own_fd, BASE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (f->base_fd < 0)
            r = errno == ENOENT ? -EAGAIN : -errno;
        if (f->base_fd >= 0) {
            each_directory(f->base_fd, sweep_daemon);
            r = make_directory(f);
        }
    }
    return r;
}

static int move_to_leaf(struct freezer *f)
{
    if (mkdirat(f->dir_fd, LEAF, 0755) < 0 && !(f->kept && errno == EEXIST))
        return -errno;
    int r = write_file_at(f->dir_fd, LEAF "/cgroup.procs", "0");
    f->moved = r == 0;
    return r;
}

/* Out of LEAF to where we are from; or, having given up root, to BASE, of which we own enough for
 * that. There must be no controllers below it then. */
static void move_back(struct freezer *f)
{
    int r = 0;
    if (f->moved) {
        for (size_t i = 0; i < LEVELS; i++)
            cgroup_limits_take_back(&f->gifts[i]);
        r = write_file_at(f->gave_up_root ? f->base_fd : f->own_fd, "cgroup.procs", "0");
    }
    if (r < 0)
        log_debug("cannot leave %s/" LEAF ": %s", f->path, strerror(-r));
    f->moved = r < 0;
}

/* Controllers go down from <own> level by level, through directories that have no processes. Where
 * others live in <own> the kernel refuses that, and there are none: that is no failure. */
static void give_controllers(struct freezer *f)
{
    if (cgroup_limits_available(f->own_fd) == 0 || (!f->moved && move_to_leaf(f) < 0))
        return;
    const int levels[LEVELS] = {f->dir_fd, f->base_fd, f->own_fd};
    for (size_t i = LEVELS; i-- > 0;)
        f->controllers = cgroup_limits_give(levels[i], &f->gifts[i]);
    /* Below <own> nobody else gives, but daemons that were killed and took nothing back. One that
     * lives uses what it has: from that the kernel lets nobody take. */
    f->gifts[0].controllers = f->gifts[1].controllers = ~0u;
    if (f->controllers == 0 && !f->gave_up_root) {
        move_back(f);
        (void)unlinkat(f->dir_fd, LEAF, AT_REMOVEDIR);
    }
}

/* To be born in a cgroup one has to have the right to write cgroup.procs in the nearest one that
 * encloses both it and the cgroup of the parent. That is not <own>, which is root's: so the daemon
 * moves itself, once and with its zygotes to be, to where the nearest one is its own. */
static int delegate(struct freezer *f, uid_t uid, gid_t gid)
{
    const struct {
        int fd;
        const char *file;
    } given[] = {
        {f->base_fd, "."},
        {f->base_fd, "cgroup.procs"},
        {f->dir_fd, "."},
        {f->dir_fd, "cgroup.procs"},
        {f->dir_fd, "cgroup.threads"},
        {f->dir_fd, "cgroup.subtree_control"},
    };
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++)
        if (fchownat(given[i].fd, given[i].file, uid, gid, 0) < 0)
            return -errno;
    return move_to_leaf(f);
}

static void remove_directories(struct freezer *f)
{
    if (f->dir_fd < 0)
        return;
    move_back(f);
    const struct timespec moment = {.tv_nsec = DYING_NS};
    int r = -EBUSY;
    /* If we could not leave, waiting changes nothing: the next daemon sweeps. */
    for (unsigned i = 0; i < (f->moved || f->kept ? 1 : DYING_TRIES) && r == -EBUSY; i++) {
        if (i > 0)
            nanosleep(&moment, NULL);
        each_directory(f->dir_fd, remove_one);
        r = unlinkat(f->base_fd, f->name, AT_REMOVEDIR) < 0 ? -errno : 0;
    }
    if (r < 0 && r != -ENOENT && !f->kept)
        record_write(LOG_WARNING, MESSAGE_CGROUP_TROUBLE, NULL, "cannot remove %s: %s", f->path,
                     strerror(-r));
    /* Not if another daemon uses it, or its owner is not us. */
    (void)unlinkat(f->own_fd, BASE, AT_REMOVEDIR);
}

static void close_directories(struct freezer *f)
{
    fd_close(&f->dir_fd);
    fd_close(&f->base_fd);
    fd_close(&f->own_fd);
    for (size_t i = 0; i < LEVELS; i++)
        fd_close(&f->gifts[i].control_fd);
}

static void set_up(struct freezer *f, uid_t uid, gid_t gid)
{
    char own[PATH_MAX - 64], base[PATH_MAX - 64];
    int r = find_own(own, sizeof own);
    if (r < 0) {
        give_up(f, "/proc/self/cgroup has no cgroup v2: %s", strerror(-r));
        return;
    }
    f->own_fd = open_own(own, base, sizeof base);
    if (f->own_fd < 0) {
        give_up(f, "the cgroup v2 directory of %.200s is not mounted here", own);
        return;
    }
    bool gives_up_root = geteuid() != uid;
    if (!gives_up_root && faccessat(f->own_fd, "cgroup.procs", W_OK, AT_EACCESS) < 0) {
        give_up(f, "%.200s is not delegated to uid %u: %s", base, (unsigned)uid, strerror(errno));
        return;
    }
    r = make_directories(f);
    if (r < 0) {
        give_up(f, "cannot make %.150s/" BASE "/%.100s: %s", base, f->name, strerror(-r));
        return;
    }
    snprintf(f->path, sizeof f->path, "%s/" BASE "/%s", base, f->name);
    f->gave_up_root = gives_up_root;
    r = gives_up_root ? delegate(f, uid, gid) : 0;
    if (r == 0)
        give_controllers(f);
    if (r < 0) {
        remove_directories(f);
        f->path[0] = '\0';
        give_up(f, "cannot move to %.150s/" BASE "/%.100s: %s", base, f->name, strerror(-r));
    }
}

struct freezer *freezer_new_signals(const char *why)
{
    struct freezer *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->own_fd = f->base_fd = f->dir_fd = -1;
    for (size_t i = 0; i < LEVELS; i++)
        f->gifts[i].control_fd = -1;
    LIST_INIT(&f->graves);
    give_up(f, "%s", why);
    return f;
}

/* `kept_of`: NULL if its directory is for this process alone. */
static struct freezer *make_freezer(uid_t uid, gid_t gid, const char *kept_of)
{
    struct freezer *f = freezer_new_signals("");
    if (!f)
        return NULL;
    f->kept = kept_of != NULL;
    if (f->kept)
        snprintf(f->name, sizeof f->name, KEPT "%s", kept_of);
    for (char *c = f->name; *c; c++)
        if (!text_is_name((char[]){'a', *c, '\0'}, 2))
            *c = '-';
    set_up(f, uid, gid);
    if (f->why[0]) {
        log_debug("VMs get no cgroups of their own: %s", f->why);
        close_directories(f);
    }
    return f;
}

struct freezer *freezer_new(uid_t uid, gid_t gid)
{
    return make_freezer(uid, gid, NULL);
}

struct freezer *freezer_new_kept(uid_t uid, gid_t gid, const char *socket_path)
{
    return make_freezer(uid, gid, socket_path ? socket_path : "");
}

struct freezer *freezer_free(struct freezer *f)
{
    if (!f)
        return NULL;
    remove_directories(f);
    close_directories(f);
    while (!LIST_EMPTY(&f->graves)) {
        struct grave *g = LIST_FIRST(&f->graves);
        LIST_REMOVE(g, link);
        free(g);
    }
    free(f);
    return NULL;
}

const char *freezer_why_degraded(const struct freezer *f)
{
    return f->why[0] ? f->why : NULL;
}

const char *freezer_path(const struct freezer *f)
{
    return f->path;
}

unsigned freezer_controllers(const struct freezer *f)
{
    return f->controllers;
}

/* ---- cells */

static void remove_cell(struct freezer_cell *cell)
{
    struct freezer *f = cell->freezer;
    char name[NAME_SIZE];
    fd_close(&cell->dir_fd);
    fd_close(&cell->events_fd);
    vm_name(name, cell->vm);
    bool is_left = cell->made && unlinkat(f->dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT;
    /* Without room to remember it, a directory that another daemon had made is left to the next. */
    if (is_left && cell->grave) {
        cell->grave->vm = cell->vm;
        LIST_INSERT_HEAD(&f->graves, cell->grave, link);
        cell->grave = NULL;
    }
    cell->made = false;
    free(cell->grave);
    cell->grave = NULL;
}

void freezer_cell_init(struct freezer *f, struct freezer_cell *cell, uint64_t vm)
{
    *cell = (struct freezer_cell){.freezer = f, .vm = vm, .dir_fd = -1, .events_fd = -1};
    if (!f || f->dir_fd < 0)
        return;
    sweep_graves(f);
    char name[NAME_SIZE];
    vm_name(name, vm);
    cell->grave = malloc(sizeof *cell->grave);
    int r = !cell->grave ? -ENOMEM : mkdirat(f->dir_fd, name, 0755) < 0 ? -errno : 0;
    cell->made = r == 0;
    if (r == 0) {
        cell->dir_fd = openat(f->dir_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        r = cell->dir_fd < 0 ? -errno : 0;
    }
    if (r < 0) {
        record_write(LOG_WARNING, MESSAGE_CGROUP_TROUBLE, &(const struct record_about){.vm = vm},
                     "vm %llu gets no cgroup of its own: %s", (unsigned long long)vm, strerror(-r));
        remove_cell(cell);
        return;
    }
    cell->kind = FREEZER_CGROUP;
}

void freezer_cell_adopt(struct freezer *f, struct freezer_cell *cell, uint64_t vm)
{
    char name[NAME_SIZE];
    *cell = (struct freezer_cell){.freezer = f, .vm = vm, .dir_fd = -1, .events_fd = -1};
    vm_name(name, vm);
    if (f && f->dir_fd >= 0)
        cell->dir_fd = openat(f->dir_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    cell->made = cell->dir_fd >= 0;
    if (cell->made) {
        cell->kind = FREEZER_CGROUP;
        cell->grave = malloc(sizeof *cell->grave);
    }
}

static void bury(struct freezer *f, uint64_t vm)
{
    struct freezer_cell cell = {
        .freezer = f, .vm = vm, .made = true, .dir_fd = -1, .events_fd = -1};
    cell.grave = malloc(sizeof *cell.grave);
    char file[NAME_SIZE + 16];
    snprintf(file, sizeof file, "vm-%llu/cgroup.kill", (unsigned long long)vm);
    (void)write_file_at(f->dir_fd, file, "1");
    remove_cell(&cell);
}

void freezer_end_unknown(struct freezer *f, bool (*is_known)(void *userdata, uint64_t vm),
                         void *userdata)
{
    int fd = f->dir_fd >= 0 ? openat(f->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *e;
    unsigned long long vm;
    while (dir && (e = readdir(dir)) != NULL)
        if (sscanf(e->d_name, "vm-%llu", &vm) == 1 && !is_known(userdata, vm))
            bury(f, vm);
    if (dir)
        closedir(dir);
    else
        fd_close(&fd);
}

int freezer_cell_limit(struct freezer_cell *cell, const struct vm_limits *limits, uint32_t tasks)
{
    unsigned missing = 0, wanted = cell->kind == FREEZER_CGROUP ? cell->freezer->controllers : 0;
    int error = 0;
    if (wanted != 0) {
        /* An O_PATH descriptor does for openat. */
        cgroup_limits_set(cell->dir_fd, wanted, limits, tasks, &missing, &error);
        cell->limited = wanted & ~missing;
    }
    if (missing != 0) {
        char text[64];
        cgroup_limits_text(missing, text, sizeof text);
        record_write(LOG_WARNING, MESSAGE_CGROUP_TROUBLE,
                     &(const struct record_about){.vm = cell->vm},
                     "vm %llu: limits of %s cannot be set: %s", (unsigned long long)cell->vm, text,
                     strerror(-error));
    }
    return limits->cpu_percent > 0 && !(cell->limited & CGROUP_CPU) ? -EOPNOTSUPP : 0;
}

unsigned freezer_cell_limited(const struct freezer_cell *cell)
{
    return cell->kind == FREEZER_CGROUP ? cell->limited : 0;
}

bool freezer_cell_was_oom(const struct freezer_cell *cell)
{
    char name[NAME_SIZE];
    if (!(freezer_cell_limited(cell) & CGROUP_MEMORY))
        return false;
    vm_name(name, cell->vm);
    _cleanup_close_ int fd = openat(cell->freezer->dir_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && cgroup_limits_was_oom(fd);
}

int freezer_cell_fd(const struct freezer_cell *cell)
{
    return cell->dir_fd;
}

void freezer_cell_born(struct freezer_cell *cell, int error)
{
    struct freezer *f = cell->freezer;
    if (cell->kind == FREEZER_SIGNAL)
        return;
    fd_close(&cell->dir_fd);
    if (error == 0) {
        f->why[0] = '\0';
        return;
    }
    cell->kind = FREEZER_SIGNAL;
    remove_cell(cell);
    give_up(f, "the kernel refused a birth in %.200s: %s", f->path, strerror(-error));
    if (!f->refused)
        record_write(LOG_WARNING, MESSAGE_CGROUP_TROUBLE, NULL, "%s", f->why);
    f->refused = true;
}

void freezer_cell_done(struct freezer_cell *cell)
{
    if (cell->freezer && cell->freezer->dir_fd >= 0) {
        sweep_graves(cell->freezer);
        remove_cell(cell);
    }
    cell->kind = FREEZER_SIGNAL;
}

enum freezer_kind freezer_cell_kind(const struct freezer_cell *cell)
{
    return cell->kind;
}

/* ---- freezing and thawing */

static int send_signal(int pidfd, int number)
{
    return pidfd_send_signal(pidfd, number, NULL, 0) < 0 ? -errno : 0;
}

static int write_freeze(const struct freezer_cell *cell, const char *text)
{
    char file[NAME_SIZE + 16];
    snprintf(file, sizeof file, "vm-%llu/cgroup.freeze", (unsigned long long)cell->vm);
    return write_file_at(cell->freezer->dir_fd, file, text);
}

int freezer_freeze(struct freezer_cell *cell, int pidfd)
{
    return cell->kind == FREEZER_CGROUP ? write_freeze(cell, "1") : send_signal(pidfd, SIGSTOP);
}

int freezer_thaw(struct freezer_cell *cell, int pidfd)
{
    fd_close(&cell->events_fd);
    return cell->kind == FREEZER_CGROUP ? write_freeze(cell, "0") : send_signal(pidfd, SIGCONT);
}

static int cgroup_is_frozen(struct freezer_cell *cell)
{
    char file[NAME_SIZE + 16], text[128];
    if (cell->events_fd < 0) {
        snprintf(file, sizeof file, "vm-%llu/cgroup.events", (unsigned long long)cell->vm);
        cell->events_fd = openat(cell->freezer->dir_fd, file, O_RDONLY | O_CLOEXEC);
        if (cell->events_fd < 0)
            return -errno;
    }
    ssize_t n = read_at(cell->events_fd, text, sizeof text);
    return n < 0 ? (int)n : strstr(text, "frozen 1") != NULL;
}

/* The letter that /proc shows as the state of one thread, or negative errno. */
static int thread_state(int dir_fd, const char *tid)
{
    char file[NAME_SIZE + 8], text[128];
    if (snprintf(file, sizeof file, "%s/stat", tid) >= (int)sizeof file)
        return -EINVAL;
    _cleanup_close_ int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read_at(fd, text, sizeof text);
    if (n < 0)
        return (int)n;
    /* The name in front, which the process chooses, may have anything in it but is short. */
    const char *end = strrchr(text, ')');
    return end && end[1] == ' ' && end[2] ? end[2] : -EPROTO;
}

/* Stopped, dead, or gone while we looked. A thread that is made meanwhile is made by one that runs,
 * which the kernel lists before it. */
static int all_stopped(DIR *tasks)
{
    const struct dirent *e;
    while ((e = readdir(tasks)) != NULL) {
        if (e->d_name[0] == '.')
            continue;
        int state = thread_state(dirfd(tasks), e->d_name);
        if (state == -ENOENT || state == -ESRCH)
            continue;
        if (state < 0)
            return state;
        if (state != 'T' && state != 'Z' && state != 'X')
            return 0;
    }
    return 1;
}

static int process_is_stopped(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        return errno == ENOENT ? -ESRCH : -errno;
    int r = all_stopped(tasks);
    closedir(tasks);
    return r;
}

int freezer_is_frozen(struct freezer_cell *cell, pid_t pid)
{
    return cell->kind == FREEZER_CGROUP ? cgroup_is_frozen(cell) : process_is_stopped(pid);
}

/* ---- run time */

int freezer_runtime_ns(pid_t pid, uint64_t *ret_ns, bool *ret_asleep)
{
    char path[64], tid[16], text[128];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    snprintf(tid, sizeof tid, "%d", (int)pid);
    _cleanup_close_ int tasks = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (tasks < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    /* First the state: the account that is read after it has all that a sleeper has run. */
    int state = thread_state(tasks, tid);
    if (state < 0)
        return state == -ENOENT ? -ESRCH : state;
    snprintf(path, sizeof path, "%s/schedstat", tid);
    _cleanup_close_ int fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ENODATA : -errno;
    ssize_t n = read_at(fd, text, sizeof text);
    if (n < 0)
        return (int)n;
    unsigned long long ns = strtoull(text, NULL, 10);
    /* To go to sleep it must have run. */
    if (ns == 0 && state != 'R')
        return -ENODATA;
    *ret_ns = ns;
    *ret_asleep = state != 'R';
    return 0;
}
