#include "worker/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "proto/limits.h"
#include "proto/worker.pb-c.h"
#include "worker/birth.h"
#include "worker/huge_code.h"
#include "worker/lockdown.h"

#define NEST_NAMESPACES (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS)
#define NEEDED_NAMESPACES (NEST_NAMESPACES | CLONE_NEWPID)
/* How long there is no birth before the next one is prepared: while many are born one after the
 * other each makes its own namespaces, on whichever CPU is free. */
#define REST_MS 3

struct zygote {
    int channel, null_fd;
    const struct engine_ops *ops;
    struct lockdown lockdown;
    unsigned uid, gid;
    bool has_empty_net;
    struct sandbox_outside outside;
    bool makes_nests, nest_failed;
    struct sandbox_nest nest; /* for the next birth */
    int *tid_address;         /* where libc keeps this thread's id, or NULL */
};

static int failed(const char *what, int r)
{
    fprintf(stderr, "stillpoint-worker: %s: %s\n", what, strerror(-r));
    return EXIT_FAILURE;
}

/* Without namespaces of our own each worker gets a network namespace at its birth, or fails then
 * and says why. But half-mapped ids would be ours for good: that is the end. */
static int enter_empty_net(struct zygote *z)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return 0;
    z->has_empty_net = true;
    return sandbox_map_ids(z->uid, z->uid, z->gid, z->gid);
}

/* Last, since the engine reads files of the host. That a worker has left the host's mounts is then
 * told by its being in other ones than we are. */
static int shed_mounts(struct zygote *z)
{
    struct sandbox_outside now;
    int r = z->has_empty_net ? sandbox_shed_mounts() : -EPERM;
    if (r == SANDBOX_HALF_WAY)
        return -EIO;
    if (r < 0 || sandbox_look_outside(&now) < 0)
        return 0;
    z->outside.namespaces[SANDBOX_MOUNT] = now.namespaces[SANDBOX_MOUNT];
    z->makes_nests = true;
    return 0;
}

static bool has_nest(const struct zygote *z)
{
    return z->nest.fds[0] >= 0;
}

static bool wants_nest(const struct zygote *z)
{
    return z->makes_nests && !has_nest(z) && !z->nest_failed;
}

/* ---- births */

/* The kernel copies this thread alone, as fork() does. No CLONE_CLEAR_SIGHAND: the engine's
 * handlers for WebAssembly traps, installed by its init, have to survive; the zygote has no others.
 */
static pid_t clone_worker(const struct zygote *z, const struct birth *b, int cgroup, int *ret_pidfd)
{
    /* libc's own fork() corrects the thread id that it keeps; a stale one may be that of another
     * thread in the new pid namespace, and a recursive mutex would let that one in. */
    uint64_t tid = z->tid_address ? CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID : 0;
    uint64_t into = b->sandbox.own_cgroup ? CLONE_INTO_CGROUP : 0;
    uint64_t nested = b->sandbox.in_nest ? NEST_NAMESPACES : 0;
    struct clone_args args = {
        .flags = (b->sandbox.clone_flags & ~nested) | CLONE_PARENT | CLONE_PIDFD | tid | into,
        .pidfd = (uintptr_t)ret_pidfd,
        .child_tid = (uintptr_t)z->tid_address,
        .cgroup = into ? (unsigned)cgroup : 0,
    };
    long pid = syscall(SYS_clone3, &args, sizeof args);
    return pid < 0 ? -errno : (pid_t)pid;
}

/* From the full set down to what was allowed. In the child b->sandbox says what it got. `cgroup` is
 * -1 or a directory; *ret_cgroup_error says why a birth was not in it. */
static pid_t clone_best(const struct zygote *z, struct birth *b, int cgroup, int *ret_pidfd,
                        int *ret_cgroup_error)
{
    const uint64_t needed = NEEDED_NAMESPACES | (z->has_empty_net ? 0 : CLONE_NEWNET);
    const struct {
        uint64_t namespaces;
        bool own_cgroup, degraded;
    } ways[] = {
        {needed, true, false},  {needed | CLONE_NEWCGROUP, false, false},
        {needed, false, false}, {0, true, true},
        {0, false, true},
    };
    pid_t pid = -EPERM;
    *ret_cgroup_error = 0;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0] && pid < 0; i++) {
        if ((ways[i].own_cgroup && cgroup < 0) || (ways[i].degraded && !b->sandbox.allow_degraded))
            continue;
        b->sandbox.clone_flags = ways[i].namespaces;
        b->sandbox.own_cgroup = ways[i].own_cgroup;
        b->sandbox.in_nest = ways[i].namespaces != 0 && has_nest(z);
        pid = clone_worker(z, b, cgroup, ret_pidfd);
        if (ways[i].own_cgroup)
            *ret_cgroup_error = pid < 0 ? pid : 0;
    }
    return pid;
}

static struct birth birth_of(const struct zygote *z, const Stillpoint__Worker__Spawn *m,
                             const int *fds)
{
    struct birth b = {
        .null_fd = z->null_fd,
        .nest = z->nest,
        .sandbox =
            {
                .net_is_zygotes = z->has_empty_net,
                .host_uid = z->uid,
                .host_gid = z->gid,
                .data_bytes = m->data_bytes,
                .cpu_seconds = m->cpu_seconds,
                .allow_degraded = m->allow_degraded,
                .die_with_daemon = m->adoption_ms == 0,
                .outside = z->outside,
            },
        .lockdown = &z->lockdown,
        .ops = z->ops,
        .heap_bytes = m->heap_bytes,
        .helper_threads = m->helper_threads,
        .debug = m->debug,
        .keep_idle = m->keep_idle,
        .adoption_ms = m->adoption_ms,
    };
    memcpy(b.fds, fds, sizeof b.fds);
    return b;
}

static int answer(const struct zygote *z, uint64_t spawn_id, pid_t pid, int pidfd, int cgroup_error,
                  const char *detail)
{
    Stillpoint__Worker__Spawned m = STILLPOINT__WORKER__SPAWNED__INIT;
    m.has_spawn_id = true;
    m.spawn_id = spawn_id;
    if (pid > 0) {
        m.has_pid = true;
        m.pid = (uint32_t)pid;
        m.has_cgroup_error = cgroup_error < 0;
        m.cgroup_error = (uint32_t)-cgroup_error;
    } else {
        m.has_error = true;
        m.error = (uint32_t)-pid;
        m.detail = (char *)(uintptr_t)detail;
    }
    uint8_t packet[256];
    size_t len = stillpoint__worker__spawned__pack(&m, packet);
    struct iovec iov = {.iov_base = packet, .iov_len = len};
    for (;;) {
        ssize_t n = fd_send(z->channel, &iov, 1, &pidfd, pid > 0 ? 1 : 0);
        if (n != -EAGAIN)
            return n < 0 ? (int)n : 0;
        struct pollfd p = {.fd = z->channel, .events = POLLOUT};
        (void)poll(&p, 1, -1);
    }
}

static int spawn(struct zygote *z, const Stillpoint__Worker__Spawn *m, const int *fds, size_t n_fds)
{
    if (n_fds != BIRTH_FDS && n_fds != BIRTH_MAX_FDS)
        return answer(z, m->spawn_id, -EBADF, -1, 0, "descriptors");
    struct birth b = birth_of(z, m, fds);
    _cleanup_close_ int pidfd = -1;
    int cgroup = n_fds == BIRTH_MAX_FDS ? fds[BIRTH_CGROUP] : -1, cgroup_error;
    pid_t pid = clone_best(z, &b, cgroup, &pidfd, &cgroup_error);
    if (pid == 0)
        birth_run(&b);
    int r = answer(z, m->spawn_id, pid, pidfd, cgroup_error, "clone3");
    if (b.sandbox.in_nest)
        sandbox_nest_done(&z->nest);
    z->nest_failed = false;
    /* A worker that nobody was told of must not live; the daemon, its parent, reaps it. */
    if (r < 0 && pid > 0)
        (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    return r;
}

/* Returns 0 after a Spawn, -EPIPE at the end of the channel, or negative errno. */
static int serve_one(struct zygote *z)
{
    struct pollfd p = {.fd = z->channel, .events = POLLIN};
    int n_ready = poll(&p, 1, wants_nest(z) ? REST_MS : -1);
    /* Without one the next birth takes longer; after it the next is tried. */
    if (n_ready == 0)
        z->nest_failed = sandbox_nest_make(&z->nest, z->uid, z->gid) < 0;
    if (n_ready == 0 || (n_ready < 0 && errno == EINTR))
        return -EAGAIN;
    if (n_ready < 0)
        return -errno;
    uint8_t packet[4096];
    int fds[FD_MAX_PASSED];
    size_t n_fds = FD_MAX_PASSED;
    ssize_t n = fd_receive(z->channel, packet, sizeof packet, fds, &n_fds);
    if (n <= 0)
        return n == 0 ? -EPIPE : (int)n;
    Stillpoint__Worker__Spawn *m = stillpoint__worker__spawn__unpack(NULL, (size_t)n, packet);
    int r = m ? spawn(z, m, fds, n_fds) : -EPROTO;
    if (m)
        stillpoint__worker__spawn__free_unpacked(m, NULL);
    for (size_t i = 0; i < n_fds; i++)
        fd_close(&fds[i]);
    return r;
}

int zygote_run(int channel, const struct engine_ops *ops, bool once)
{
    struct zygote z = {.channel = channel,
                       .ops = ops,
                       .uid = geteuid(),
                       .gid = getegid(),
                       .nest = {{-1, -1, -1, -1}}};
    if (z.uid == 0)
        return failed("refuses to run as root", -EPERM);
    /* The daemon blocks signals for its loop; that is not for us or the workers. */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    int r = fcntl(channel, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
    if (r < 0)
        return failed("channel", r);
    /* Absent from kernels without CONFIG_CHECKPOINT_RESTORE. */
    if (prctl(PR_GET_TID_ADDRESS, &z.tid_address, 0, 0, 0) < 0)
        z.tid_address = NULL;
    z.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (z.null_fd < 0)
        return failed("/dev/null", -errno);
    /* A zygote without it would stand, and each of its workers refuse to go on. */
    r = sandbox_look_outside(&z.outside);
    if (r < 0)
        return failed("/proc/self/ns", r);
    r = enter_empty_net(&z);
    if (r < 0)
        return failed("id map", r);
    r = lockdown_init(&z.lockdown);
    if (r < 0)
        return failed("seccomp", r);
    r = ops->init();
    if (r < 0)
        return failed("engine", r);
    if (!once) {
        (void)huge_code_move();
        r = shed_mounts(&z);
        if (r < 0)
            return failed("mounts", r);
    }

    do
        r = serve_one(&z);
    while (r == -EAGAIN || (r == 0 && !once));
    lockdown_done(&z.lockdown);
    sandbox_nest_done(&z.nest);
    close(z.null_fd);
    if (r == 0 || r == -EPIPE || r == -ECONNRESET)
        return EXIT_SUCCESS;
    return failed("channel", r);
}
