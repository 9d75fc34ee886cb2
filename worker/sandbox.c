#include "worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "proto/limits.h"

/* The id that a worker sees as its own; any but 0 would do. */
#define INSIDE_ID 1000u

/* Descriptors of a worker: 0 to 5, its wake eventfd, and what one packet can bring. */
#define OPEN_FILES 64u
#define STACK_BYTES (8u * 1024 * 1024)
#define DEGRADED 1 /* outcome of a step that gave up only a part */
#define PARK_FD 16 /* above every number of enum sandbox_fd */

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

int sandbox_fds(int channel, int kick, int lifeline, int null_fd)
{
    const struct {
        int from, to;
    } moves[] = {
        {channel, SANDBOX_FD_CHANNEL}, {kick, SANDBOX_FD_KICK},  {lifeline, SANDBOX_FD_LIFELINE},
        {null_fd, STDIN_FILENO},       {null_fd, STDOUT_FILENO}, {null_fd, STDERR_FILENO},
    };
    enum { MOVES = sizeof moves / sizeof *moves };
    int parked[MOVES];
    /* First all out of the way: a number that one is to get may be held by another. */
    for (size_t i = 0; i < MOVES; i++) {
        parked[i] = fcntl(moves[i].from, F_DUPFD_CLOEXEC, PARK_FD);
        if (parked[i] < 0)
            return -errno;
    }
    for (size_t i = 0; i < MOVES; i++)
        if (dup3(parked[i], moves[i].to, O_CLOEXEC) < 0)
            return -errno;
    if (syscall(SYS_close_range, SANDBOX_FD_LIFELINE + 1, ~0u, 0) < 0)
        return -errno;
    return 0;
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
    return sandbox_map_ids(INSIDE_ID, o->host_uid, INSIDE_ID, o->host_gid);
}

static int step_mount(const struct sandbox_options *o)
{
    (void)o;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

/* The new root is mounted on /proc, a directory that surely exists: it was just used. pivot_root
 * with the same directory twice stacks the old root upon the new one, where it can be detached. */
static int step_root(const struct sandbox_options *o)
{
    (void)o;
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
    if (mount("none", "/proc", "tmpfs", flags, "size=4k,nr_inodes=2,mode=0555") < 0 ||
        chdir("/proc") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
        umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return -errno;
    return 0;
}

static int step_uts(const struct sandbox_options *o)
{
    (void)o;
    return sethostname("vm", 2) < 0 ? -errno : 0;
}

/* The namespace alone limits nothing: that worker shares its cgroup. One that has its own makes the
 * namespace here, since one made by the birth would have the zygote's cgroup as its root. */
static int step_cgroup(const struct sandbox_options *o)
{
    if (o->own_cgroup)
        return unshare(CLONE_NEWCGROUP) < 0 ? DEGRADED : 0;
    return o->clone_flags & CLONE_NEWCGROUP ? DEGRADED : -EPERM;
}

/* Soft and hard limit alike. RLIMIT_NPROC is lockdown's: the engine still has to start threads. */
static int step_rlimits(const struct sandbox_options *o)
{
    const struct {
        __rlimit_resource_t what;
        rlim_t value;
    } limits[] = {
        {RLIMIT_CORE, 0},
        {RLIMIT_NOFILE, OPEN_FILES},
        {RLIMIT_MEMLOCK, 0},
        {RLIMIT_MSGQUEUE, 0},
        {RLIMIT_STACK, STACK_BYTES},
        {RLIMIT_FSIZE, 0},
        {RLIMIT_DATA, o->data_bytes ? o->data_bytes : RLIM_INFINITY},
        {RLIMIT_CPU, o->cpu_seconds ? o->cpu_seconds : RLIM_INFINITY},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit now, l = {limits[i].value, limits[i].value};
        if (getrlimit(limits[i].what, &now) < 0)
            return -errno;
        if (l.rlim_max > now.rlim_max)
            l.rlim_cur = l.rlim_max = now.rlim_max;
        if (setrlimit(limits[i].what, &l) < 0)
            return -errno;
    }
    return 0;
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
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            return -errno;
    return 0;
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

static int step_nnp(const struct sandbox_options *o)
{
    (void)o;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static int step_dumpable(const struct sandbox_options *o)
{
    (void)o;
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
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

/* In this order: ids before anything that needs a capability over the new namespaces, capabilities
 * after the last step that needs one, dumpable after the last use of /proc/self. */
static const struct step {
    enum sandbox_layer layer;
    bool needed;
    int (*run)(const struct sandbox_options *o); /* 0, DEGRADED, or negative errno */
} steps[] = {
    {SANDBOX_USER, true, step_user},         {SANDBOX_MOUNT, true, step_mount},
    {SANDBOX_ROOT, true, step_root},         {SANDBOX_UTS, true, step_uts},
    {SANDBOX_CGROUP, false, step_cgroup},    {SANDBOX_RLIMITS, true, step_rlimits},
    {SANDBOX_CAPS, true, step_caps},         {SANDBOX_NNP, true, step_nnp},
    {SANDBOX_DUMPABLE, true, step_dumpable}, {SANDBOX_LANDLOCK, false, step_landlock},
};

/* The namespaces that came with the birth. Those with a step of their own are on once it is done.
 */
static int record_namespaces(const struct sandbox_options *o, struct sandbox_posture *p,
                             const char **ret_step)
{
    const struct {
        enum sandbox_layer layer;
        bool made;
    } made[] = {
        {SANDBOX_PID, o->clone_flags & CLONE_NEWPID},
        {SANDBOX_NET, o->net_is_zygotes || (o->clone_flags & CLONE_NEWNET)},
        {SANDBOX_IPC, o->clone_flags & CLONE_NEWIPC},
    };
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        p->state[made[i].layer] = made[i].made ? SANDBOX_ON : SANDBOX_OFF;
        if (!made[i].made && !o->allow_degraded) {
            *ret_step = layer_names[made[i].layer];
            return -EPERM;
        }
    }
    return 0;
}

/* From here on the death of the daemon kills us. One that came before is seen in the pipe, whose
 * other end only the daemon holds; getppid() would say 0 in a pid namespace either way. */
static int watch_daemon(const struct sandbox_options *o)
{
    if (o->die_with_daemon && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return -errno;
    struct pollfd p = {.fd = SANDBOX_FD_LIFELINE, .events = POLLIN};
    if (poll(&p, 1, 0) != 0)
        _exit(0);
    close(SANDBOX_FD_LIFELINE);
    return 0;
}

int sandbox_enter(const struct sandbox_options *o, struct sandbox_posture *posture,
                  const char **ret_step)
{
    int r = record_namespaces(o, posture, ret_step);
    if (r < 0)
        return r;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const struct step *s = &steps[i];
        r = s->run(o);
        posture->state[s->layer] = r < 0           ? SANDBOX_OFF
                                   : r == DEGRADED ? SANDBOX_DEGRADED
                                                   : SANDBOX_ON;
        if (r != 0 && s->needed && !o->allow_degraded) {
            *ret_step = layer_names[s->layer];
            return r < 0 ? r : -EPERM;
        }
    }
    r = watch_daemon(o);
    if (r < 0)
        *ret_step = "pdeathsig";
    return r;
}
