#include "cli/private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define END_TIMEOUT_MS 10000
#define ENDING_TIMEOUT_MS 1000
#define DAEMON_FD 3

extern char **environ;

/* $STILLPOINTD, or beside our own executable, or where it is installed. */
static const char *find_daemon(char *buf, size_t size)
{
    const char *said = getenv("STILLPOINTD");
    if (said && said[0])
        return said;
    ssize_t n = readlink("/proc/self/exe", buf, size - 1);
    if (n > 0) {
        buf[n] = '\0';
        char *slash = strrchr(buf, '/');
        static const char name[] = "/stillpointd";
        if (slash && (size_t)(slash - buf) + sizeof name <= size) {
            memcpy(slash, name, sizeof name);
            if (access(buf, X_OK) == 0)
                return buf;
        }
    }
    return STILLPOINTD_PATH;
}

/* stdin and, unless its log is wanted, its output go nowhere; it keeps no other descriptor. */
static int fill_actions(posix_spawn_file_actions_t *actions, int sock)
{
    bool log = getenv("STILLPOINT_DEBUG") != NULL;
    int r = posix_spawn_file_actions_adddup2(actions, sock, DAEMON_FD);
    if (r == 0)
        r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (r == 0 && !log)
        r = posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(actions, STDERR_FILENO, STDOUT_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_addclosefrom_np(actions, DAEMON_FD + 1);
    return r;
}

/* A process group of its own: Ctrl-C is for us, and we tell the daemon what to do about it. */
static int fill_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    int r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                     POSIX_SPAWN_SETSIGDEF);
    if (r == 0)
        r = posix_spawnattr_setpgroup(attributes, 0);
    if (r == 0)
        r = posix_spawnattr_setsigmask(attributes, &none);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(attributes, &defaults);
    return r;
}

static int spawn(const char *path, bool allow_degraded, int sock, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char fd_option[32];
    snprintf(fd_option, sizeof fd_option, "--private-fd=%d", DAEMON_FD);
    char *argv[] = {(char *)path, fd_option, allow_degraded ? (char *)"--allow-degraded" : NULL,
                    NULL};
    int r = posix_spawn_file_actions_init(&actions);
    if (r != 0)
        return r;
    r = posix_spawnattr_init(&attributes);
    if (r == 0) {
        r = fill_actions(&actions, sock);
        if (r == 0)
            r = fill_attributes(&attributes);
        if (r == 0)
            r = posix_spawn(ret_pid, path, &actions, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

int private_start(struct cli *cli, int *ret_sock)
{
    char buf[PATH_MAX];
    const char *path = find_daemon(buf, sizeof buf);
    int ours, daemons;
    pid_t pid;
    int r = stillpoint_socketpair(&ours, &daemons);
    if (r < 0)
        return cli_fail(cli, CLI_FAILED, "start a private daemon: %s", strerror(-r));
    r = spawn(path, cli->allow_degraded, daemons, &pid);
    close(daemons);
    if (r != 0) {
        close(ours);
        return cli_fail(cli, CLI_UNREACHABLE,
                        "start a private daemon: %s: %s ($STILLPOINTD says where it is)", path,
                        strerror(r));
    }
    /* Not reaped yet, so that the id is still its. Without a pidfd (-1) the wait for its end only
     * times out, and then nothing is killed: it ends by itself all the same. */
    cli->daemon = (struct private_daemon){.pid = pid, .pidfd = pidfd_open(pid, 0)};
    *ret_sock = ours;
    return 0;
}

static bool wait_end(const struct private_daemon *daemon, int timeout_ms)
{
    struct pollfd p = {.fd = daemon->pidfd, .events = POLLIN};
    int n;
    do
        n = poll(&p, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

static bool reap(struct private_daemon *daemon, int options, int *ret_status)
{
    siginfo_t info = {0};
    int r;
    do
        r = waitid(P_PID, (id_t)daemon->pid, &info, WEXITED | options);
    while (r < 0 && errno == EINTR);
    if (r == 0 && info.si_pid == 0)
        return false;
    *ret_status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    if (daemon->pidfd >= 0)
        close(daemon->pidfd);
    *daemon = (struct private_daemon){0};
    return true;
}

bool private_has_ended(struct private_daemon *daemon, int *ret_status)
{
    return daemon->pid > 0 && wait_end(daemon, ENDING_TIMEOUT_MS) &&
           reap(daemon, WNOHANG, ret_status);
}

void private_end(struct private_daemon *daemon)
{
    int status;
    if (daemon->pid <= 0)
        return;
    if (!wait_end(daemon, END_TIMEOUT_MS))
        pidfd_send_signal(daemon->pidfd, SIGKILL, NULL, 0);
    reap(daemon, 0, &status);
}
