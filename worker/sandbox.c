#include "worker/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/magic.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "proto/limits.h"

/* The id that a worker sees as its own; any but 0 would do. */
#define INSIDE_ID 1000u

/* Descriptors of a worker: 0 to 5, its wake eventfd, and what one packet can bring. */
#define OPEN_FILES 64u
#define STACK_BYTES (8u * 1024 * 1024)
#define DEGRADED 1 /* outcome of a step that gave up only a part */
#define PARK_FD 16 /* above every number of enum sandbox_fd */
#define NESTED 4   /* namespaces of a nest */
#define NEST_STACK_BYTES (64u * 1024)

static const char *const layer_names[SANDBOX_LAYERS] = {
    [SANDBOX_USER] = "user",         [SANDBOX_PID] = "pid",         [SANDBOX_MOUNT] = "mount",
    [SANDBOX_NET] = "net",           [SANDBOX_IPC] = "ipc",         [SANDBOX_UTS] = "uts",
    [SANDBOX_CGROUP] = "cgroup",     [SANDBOX_ROOT] = "root",       [SANDBOX_CAPS] = "caps",
    [SANDBOX_NNP] = "nnp",           [SANDBOX_SECCOMP] = "seccomp", [SANDBOX_RLIMITS] = "rlimits",
    [SANDBOX_LANDLOCK] = "landlock", [SANDBOX_FDS] = "fds",         [SANDBOX_DUMPABLE] = "dumpable",
};

const char *sandbox_layer_name(enum sandbox_layer layer)
{
    return layer_names[layer];
}

int sandbox_fds(int channel, int kick, int lifeline, int null_fd, const struct sandbox_nest *nest)
{
    const struct {
        int from, to;
    } moves[] = {
        {channel, SANDBOX_FD_CHANNEL},
        {kick, SANDBOX_FD_KICK},
        {lifeline, SANDBOX_FD_LIFELINE},
        {null_fd, STDIN_FILENO},
        {null_fd, STDOUT_FILENO},
        {null_fd, STDERR_FILENO},
        {nest ? nest->fds[0] : -1, SANDBOX_FD_NEST},
        {nest ? nest->fds[1] : -1, SANDBOX_FD_NEST + 1},
        {nest ? nest->fds[2] : -1, SANDBOX_FD_NEST + 2},
        {nest ? nest->fds[3] : -1, SANDBOX_FD_NEST + 3},
    };
    const size_t n = sizeof moves / sizeof *moves - (nest ? 0 : NESTED);
    int parked[sizeof moves / sizeof *moves];
    /* First all out of the way: a number that one is to get may be held by another. */
    for (size_t i = 0; i < n; i++) {
        parked[i] = fcntl(moves[i].from, F_DUPFD_CLOEXEC, PARK_FD);
        if (parked[i] < 0)
            return -errno;
    }
    for (size_t i = 0; i < n; i++)
        if (dup3(parked[i], moves[i].to, O_CLOEXEC) < 0)
            return -errno;
    unsigned first = SANDBOX_FD_NEST + (nest ? NESTED : 0);
    return syscall(SYS_close_range, first, ~0u, 0) < 0 ? -errno : 0;
}

/* ---- what the kernel says */

/* Where a namespace layer shows below /proc/PID/ns. */
static const char *const namespace_files[SANDBOX_LAYERS] = {
    [SANDBOX_USER] = "ns/user",     [SANDBOX_PID] = "ns/pid", [SANDBOX_MOUNT] = "ns/mnt",
    [SANDBOX_NET] = "ns/net",       [SANDBOX_IPC] = "ns/ipc", [SANDBOX_UTS] = "ns/uts",
    [SANDBOX_CGROUP] = "ns/cgroup",
};

/* /proc/self as it was before the root went: the kernel's view of us, until sandbox_enter() ends.
 */
static int proc_fd = -1;

static uint64_t namespace_number(int dir_fd, enum sandbox_layer layer)
{
    struct stat st;
    const char *file = namespace_files[layer];
    return file && fstatat(dir_fd, file, &st, 0) == 0 ? st.st_ino : 0;
}

int sandbox_look_outside(struct sandbox_outside *ret)
{
    struct sandbox_outside found = {{0}};
    _cleanup_close_ int fd = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT)
        return -errno;
    for (size_t i = 0; fd >= 0 && i < SANDBOX_LAYERS; i++) {
        errno = 0;
        found.namespaces[i] = namespace_number(fd, (enum sandbox_layer)i);
        if (found.namespaces[i] == 0 && errno != 0 && errno != ENOENT)
            return -errno;
    }
    *ret = found;
    return 0;
}

static bool is_inside(const struct sandbox_options *o, enum sandbox_layer layer)
{
    uint64_t here = namespace_number(proc_fd, layer), outside = o->outside.namespaces[layer];
    return here != 0 && outside != 0 && here != outside;
}

static bool file_says(const char *file, const char *text)
{
    char found[4096];
    _cleanup_close_ int fd = openat(proc_fd, file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, found, sizeof found - 1);
    found[n > 0 ? n : 0] = '\0';
    return strstr(found, text) != NULL;
}

static int write_file(const char *path, const char *text)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    size_t len = strlen(text);
    ssize_t n = write(fd, text, len);
    return n < 0 ? -errno : (size_t)n == len ? 0 : -EIO;
}

int sandbox_map_ids(unsigned inside_uid, unsigned host_uid, unsigned inside_gid, unsigned host_gid)
{
    char line[64];
    /* Without "deny" an unprivileged process may not write a gid_map. */
    int r = write_file("/proc/self/setgroups", "deny");
    if (r < 0)
        return r;
    snprintf(line, sizeof line, "%u %u 1", inside_uid, host_uid);
    r = write_file("/proc/self/uid_map", line);
    if (r < 0)
        return r;
    snprintf(line, sizeof line, "%u %u 1", inside_gid, host_gid);
    return write_file("/proc/self/gid_map", line);
}

static int step_user(const struct sandbox_options *o)
{
    if (o->in_nest)
        return 0;
    return sandbox_map_ids(INSIDE_ID, o->host_uid, INSIDE_ID, o->host_gid);
}

/* uid_map is "inside outside count" in columns. */
static bool check_user(const struct sandbox_options *o)
{
    unsigned inside, outside, count;
    char line[64] = "";
    _cleanup_close_ int fd = openat(proc_fd, "uid_map", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, line, sizeof line - 1) <= 0 ||
        sscanf(line, "%u %u %u", &inside, &outside, &count) != 3)
        return false;
    return is_inside(o, SANDBOX_USER) && getuid() == INSIDE_ID && geteuid() == INSIDE_ID &&
           getgid() == INSIDE_ID && inside == INSIDE_ID && outside == o->host_uid && count == 1;
}

static int step_mount(const struct sandbox_options *o)
{
    if (o->in_nest)
        return 0;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

static bool check_mount(const struct sandbox_options *o)
{
    return is_inside(o, SANDBOX_MOUNT) && !file_says("mountinfo", " shared:");
}

/* The new root is mounted on /proc, a directory that surely exists: it was just used. pivot_root
 * with the same directory twice stacks the old root upon the new one, where it can be detached. */
static int step_root(const struct sandbox_options *o)
{
    if (o->in_nest)
        return 0;
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
    if (mount("none", "/proc", "tmpfs", flags, "size=4k,nr_inodes=2,mode=0555") < 0 ||
        chdir("/proc") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
        umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return -errno;
    return 0;
}

/* Empty, cannot be written to, and ".." leads nowhere else. */
static bool check_root(const struct sandbox_options *o)
{
    (void)o;
    struct statfs fs;
    struct stat here, above;
    const long flags = ST_RDONLY | ST_NOEXEC | ST_NODEV | ST_NOSUID;
    return statfs("/", &fs) == 0 && fs.f_type == TMPFS_MAGIC && (fs.f_flags & flags) == flags &&
           stat("/", &here) == 0 && stat("/..", &above) == 0 && here.st_ino == above.st_ino &&
           here.st_dev == above.st_dev && here.st_nlink == 2 && mkdir("/x", 0700) < 0 &&
           errno == EROFS;
}

/* /proc as it is found here, with all that hides parts of it. */
static int move_into(int proc, const char *root, const char *dir)
{
    if (mount("none", root, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
              "size=4k,nr_inodes=3,mode=0555") < 0)
        return -errno;
    if (mkdir(dir, 0555) < 0 || move_mount(proc, "", AT_FDCWD, dir, MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
        chdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0) {
        int r = -errno;
        return chdir("/") < 0 || umount2(root, MNT_DETACH) < 0 ? SANDBOX_HALF_WAY : r;
    }
    return umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ? SANDBOX_HALF_WAY : 0;
}

int sandbox_shed_mounts(void)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -errno;
    _cleanup_close_ int proc =
        open_tree(AT_FDCWD, "/proc", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    return proc < 0 ? -errno : move_into(proc, "/proc", "/proc/proc");
}

static int step_uts(const struct sandbox_options *o)
{
    if (o->in_nest)
        return 0;
    return sethostname("vm", 2) < 0 ? -errno : 0;
}

static bool check_uts(const struct sandbox_options *o)
{
    struct utsname u;
    return is_inside(o, SANDBOX_UTS) && uname(&u) == 0 && strcmp(u.nodename, "vm") == 0;
}

/* The namespace alone limits nothing: that worker shares its cgroup. One that has its own makes the
 * namespace here, since one made by the birth would have the zygote's cgroup as its root. */
static int step_cgroup(const struct sandbox_options *o)
{
    if (o->own_cgroup)
        return unshare(CLONE_NEWCGROUP) < 0 ? DEGRADED : 0;
    return o->clone_flags & CLONE_NEWCGROUP ? DEGRADED : -EPERM;
}

static bool check_cgroup(const struct sandbox_options *o)
{
    return is_inside(o, SANDBOX_CGROUP) && (!o->own_cgroup || file_says("cgroup", "0::/\n"));
}

/* ---- nests */

/* The user namespace first: what follows needs capabilities over it. */
static const struct {
    const char *file;
    int type;
} nested[NESTED] = {
    {"/proc/self/ns/user", CLONE_NEWUSER},
    {"/proc/self/ns/ipc", CLONE_NEWIPC},
    {"/proc/self/ns/uts", CLONE_NEWUTS},
    {"/proc/self/ns/mnt", CLONE_NEWNS},
};

struct nest_making {
    struct sandbox_nest *nest;
    struct sandbox_options options;
    int error;
};

/* In a process that has our memory and descriptors while we wait for it, and the new namespaces. */
static int furnish(void *userdata)
{
    struct nest_making *m = userdata;
    int (*const done[])(const struct sandbox_options *) = {step_user, step_mount, step_root,
                                                           step_uts};
    for (size_t i = 0; i < NESTED && m->error == 0; i++) {
        m->nest->fds[i] = open(nested[i].file, O_RDONLY | O_CLOEXEC);
        m->error = m->nest->fds[i] < 0 ? -errno : 0;
    }
    for (size_t i = 0; i < sizeof done / sizeof *done && m->error == 0; i++)
        m->error = done[i](&m->options);
    return 0;
}

void sandbox_nest_done(struct sandbox_nest *nest)
{
    for (size_t i = 0; i < NESTED; i++)
        fd_close(&nest->fds[i]);
}

int sandbox_nest_make(struct sandbox_nest *nest, unsigned host_uid, unsigned host_gid)
{
    struct nest_making m = {.nest = nest, .options = {.host_uid = host_uid, .host_gid = host_gid}};
    int flags = CLONE_VM | CLONE_VFORK | CLONE_FILES;
    char *stack = malloc(NEST_STACK_BYTES);
    if (!stack)
        return -ENOMEM;
    for (size_t i = 0; i < NESTED; i++)
        flags |= nested[i].type;
    pid_t pid = clone(furnish, stack + NEST_STACK_BYTES, flags, &m);
    int status, r = pid < 0 || waitpid(pid, &status, __WALL) < 0 ? -errno : m.error;
    if (r == 0 && status != 0)
        r = -ECHILD; /* it was killed */
    free(stack);
    if (r < 0)
        sandbox_nest_done(nest);
    return r;
}

static int enter_nest(void)
{
    int r = 0;
    for (int i = 0; i < NESTED; i++) {
        if (r == 0 && setns(SANDBOX_FD_NEST + i, nested[i].type) < 0)
            r = -errno;
        close(SANDBOX_FD_NEST + i);
    }
    return r;
}

/* Soft and hard limit alike. RLIMIT_NPROC is lockdown's: the engine still has to start threads. */
struct sandbox_rlimit {
    __rlimit_resource_t what;
    rlim_t value;
};
#define MOST_RLIMITS 8

static void wanted_rlimits(const struct sandbox_options *o,
                           struct sandbox_rlimit wanted[MOST_RLIMITS])
{
    const struct sandbox_rlimit limits[MOST_RLIMITS] = {
        {RLIMIT_CORE, 0},
        {RLIMIT_NOFILE, OPEN_FILES},
        {RLIMIT_MEMLOCK, 0},
        {RLIMIT_MSGQUEUE, 0},
        {RLIMIT_STACK, STACK_BYTES},
        {RLIMIT_FSIZE, 0},
        {RLIMIT_DATA, o->data_bytes ? o->data_bytes : RLIM_INFINITY},
        {RLIMIT_CPU, o->cpu_seconds ? o->cpu_seconds : RLIM_INFINITY},
    };
    memcpy(wanted, limits, sizeof limits);
}

static int step_rlimits(const struct sandbox_options *o)
{
    struct sandbox_rlimit wanted[MOST_RLIMITS];
    wanted_rlimits(o, wanted);
    for (size_t i = 0; i < MOST_RLIMITS; i++) {
        struct rlimit now, l = {wanted[i].value, wanted[i].value};
        if (getrlimit(wanted[i].what, &now) < 0)
            return -errno;
        if (l.rlim_max > now.rlim_max)
            l.rlim_cur = l.rlim_max = now.rlim_max;
        if (setrlimit(wanted[i].what, &l) < 0)
            return -errno;
    }
    return 0;
}

static bool check_rlimits(const struct sandbox_options *o)
{
    struct sandbox_rlimit wanted[MOST_RLIMITS];
    wanted_rlimits(o, wanted);
    for (size_t i = 0; i < MOST_RLIMITS; i++) {
        struct rlimit now;
        if (getrlimit(wanted[i].what, &now) < 0 || now.rlim_cur > wanted[i].value ||
            now.rlim_max > wanted[i].value)
            return false;
    }
    return true;
}

/* Locks the ways back to a capability. Needs one itself. */
static int lock_caps(void)
{
    const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                               SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                               SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
    if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0)
        return -errno;
    /* Ends at the first capability that this kernel does not know. */
    unsigned long cap = 0;
    while (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
        cap++;
    return errno == EINVAL && cap > 0 ? 0 : -errno;
}

/* Without a user namespace of its own a worker has nothing to lock with, nor to lose. */
static int step_caps(const struct sandbox_options *o)
{
    (void)o;
    int locked = lock_caps();
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
        syscall(SYS_capset, &head, none) < 0)
        return -errno;
    return locked < 0 ? DEGRADED : 0;
}

static bool check_caps(const struct sandbox_options *o)
{
    (void)o;
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct has[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &head, has) < 0)
        return false;
    for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        if ((has[i].effective | has[i].permitted | has[i].inheritable) != 0)
            return false;
    for (unsigned long cap = 0;; cap++) {
        int bound = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
        if (bound != 0)
            return bound < 0 && (prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) & SECBIT_NOROOT_LOCKED) != 0;
    }
}

static int step_nnp(const struct sandbox_options *o)
{
    (void)o;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static bool check_nnp(const struct sandbox_options *o)
{
    (void)o;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

static int step_dumpable(const struct sandbox_options *o)
{
    (void)o;
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

static bool check_dumpable(const struct sandbox_options *o)
{
    (void)o;
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
}

/* ruleset attributes as of ABI 6; an older kernel reads as much as its size argument says. */
struct ruleset_attr {
    uint64_t handled_access_fs, handled_access_net, scoped;
};

/* Every access that the kernel can handle is handled, and no rule allows any. The numbers are the
 * ABI's (landlock(7)): rights 0 to 12 in ABI 1, one more each in 2, 3 and 5; TCP in 4, scopes in
 * 6. */
static int step_landlock(const struct sandbox_options *o)
{
    (void)o;
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 0)
        return -errno;
    unsigned rights = 13u + (abi >= 2) + (abi >= 3) + (abi >= 5);
    struct ruleset_attr attr = {
        .handled_access_fs = (1u << rights) - 1,
        .handled_access_net = abi >= 4 ? 3 : 0,
        .scoped = abi >= 6 ? 3 : 0,
    };
    size_t size = abi >= 6 ? sizeof attr : abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
    _cleanup_close_ int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        return -errno;
    return 0;
}

static bool check_landlock(const struct sandbox_options *o)
{
    (void)o;
    _cleanup_close_ int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 && errno == EACCES;
}

/* ---- namespaces that came with the birth have nothing to be done, and are looked at all the same
 */

static int step_pid(const struct sandbox_options *o)
{
    return o->clone_flags & CLONE_NEWPID ? 0 : -EPERM;
}

static bool check_pid(const struct sandbox_options *o)
{
    return is_inside(o, SANDBOX_PID) && getpid() == 1;
}

static int step_net(const struct sandbox_options *o)
{
    return o->net_is_zygotes || (o->clone_flags & CLONE_NEWNET) ? 0 : -EPERM;
}

static bool check_net(const struct sandbox_options *o)
{
    return is_inside(o, SANDBOX_NET);
}

static int step_ipc(const struct sandbox_options *o)
{
    return o->clone_flags & CLONE_NEWIPC ? 0 : -EPERM;
}

static bool check_ipc(const struct sandbox_options *o)
{
    return is_inside(o, SANDBOX_IPC);
}

/* sandbox_fds() was before: beside the numbers that it gave there are our own two. */
static int step_fds(const struct sandbox_options *o)
{
    (void)o;
    return 0;
}

static bool check_fds(const struct sandbox_options *o)
{
    (void)o;
    DIR *dir = NULL;
    int fd = openat(proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || !(dir = fdopendir(fd))) {
        fd_close(&fd);
        return false;
    }
    bool fine = true;
    const struct dirent *e;
    while ((e = readdir(dir)) != NULL) {
        int number = atoi(e->d_name);
        fine &= e->d_name[0] == '.' || number <= SANDBOX_FD_LIFELINE || number == proc_fd ||
                number == dirfd(dir);
    }
    closedir(dir);
    return fine;
}

/*
 * In this order: ids before anything that needs a capability over the new namespaces, capabilities
 * after the last step that needs one, dumpable after the last use of /proc/self, Landlock after
 * the last file that is opened. What each needs and how it is undone is the kernel's to know: all
 * of it goes with the process.
 */
static const struct step {
    enum sandbox_layer layer;
    bool needed;                                 /* else the layer may be missing, and is shown */
    int (*run)(const struct sandbox_options *o); /* 0, DEGRADED, or negative errno */
    bool (*check)(const struct sandbox_options *o); /* whether the kernel says so too */
} steps[] = {
    {SANDBOX_FDS, true, step_fds, check_fds},
    {SANDBOX_PID, true, step_pid, check_pid},
    {SANDBOX_NET, true, step_net, check_net},
    {SANDBOX_IPC, true, step_ipc, check_ipc},
    {SANDBOX_USER, true, step_user, check_user},
    {SANDBOX_MOUNT, true, step_mount, check_mount},
    {SANDBOX_ROOT, true, step_root, check_root},
    {SANDBOX_UTS, true, step_uts, check_uts},
    {SANDBOX_CGROUP, false, step_cgroup, check_cgroup},
    {SANDBOX_RLIMITS, true, step_rlimits, check_rlimits},
    {SANDBOX_CAPS, true, step_caps, check_caps},
    {SANDBOX_NNP, true, step_nnp, check_nnp},
    {SANDBOX_DUMPABLE, true, step_dumpable, check_dumpable},
    {SANDBOX_LANDLOCK, false, step_landlock, check_landlock},
};

/* From here on the death of the daemon kills us. One that came before is seen in the pipe, whose
 * other end only the daemon holds; getppid() would say 0 in a pid namespace either way. */
static int watch_daemon(const struct sandbox_options *o)
{
    if (!o->die_with_daemon)
        return 0; /* keeper.c watches */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return -errno;
    int signal = 0;
    if (prctl(PR_GET_PDEATHSIG, &signal, 0, 0, 0) < 0 || signal != SIGKILL)
        return -EPROTO;
    struct pollfd p = {.fd = SANDBOX_FD_LIFELINE, .events = POLLIN};
    if (poll(&p, 1, 0) != 0)
        _exit(0);
    close(SANDBOX_FD_LIFELINE);
    return 0;
}

static int run_step(const struct step *s, const struct sandbox_options *o,
                    enum sandbox_state *ret_state)
{
    int r = s->run(o);
    if (r == 0 && !s->check(o))
        r = -EPROTO;
    *ret_state = r < 0 ? SANDBOX_OFF : r == DEGRADED ? SANDBOX_DEGRADED : SANDBOX_ON;
    return r == 0 || !s->needed || o->allow_degraded ? 0 : r < 0 ? r : -EPERM;
}

int sandbox_enter(const struct sandbox_options *o, struct sandbox_posture *posture,
                  const char **ret_step)
{
    *ret_step = "/proc";
    proc_fd = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r = proc_fd < 0 && !o->allow_degraded ? -errno : 0;
    if (r == 0 && o->in_nest) {
        *ret_step = "nest";
        r = enter_nest();
    }
    for (size_t i = 0; i < sizeof steps / sizeof *steps && r == 0; i++) {
        *ret_step = layer_names[steps[i].layer];
        r = run_step(&steps[i], o, &posture->state[steps[i].layer]);
    }
    fd_close(&proc_fd);
    if (r < 0)
        return r;
    *ret_step = "pdeathsig";
    return watch_daemon(o);
}
