#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/private.h"

/* For so long nobody need listen; where a service manager keeps the socket we wait in that. */
#define AGAIN_TRIES 100
#define AGAIN_NS 50000000

static const char client_name[] = "stillctl " STILLPOINT_VERSION;

/* The daemon took the connection and refused the client. */
static int fail_hello(struct cli *cli)
{
    int code = cli_fail_call(cli, STILLPOINT_REFUSED, "use the daemon");
    cli->sp = stillpoint_free(cli->sp);
    return code;
}

static int connect_private(struct cli *cli)
{
    int sock, status;
    int r = private_start(cli, &sock);
    if (r != 0)
        return r;
    r = stillpoint_connect_fd(sock, client_name, &cli->sp);
    if (r == 0)
        return 0;
    if (r == STILLPOINT_REFUSED)
        return fail_hello(cli);
    if (private_has_ended(&cli->daemon, &status))
        return cli_fail(cli, CLI_UNREACHABLE,
                        "start a private daemon: it ended with status %d "
                        "(STILLPOINT_DEBUG=1 shows its log)",
                        status);
    return cli_fail_call(cli, r, "start a private daemon");
}

static int fail_no_socket(const struct cli *cli, const char *path, const char *nor)
{
    return cli_fail(cli, CLI_UNREACHABLE, "reach the daemon: no socket at %s%s (%s)", path, nor,
                    "start stillpointd, or use --private");
}

static int fail_connect(const struct cli *cli, const char *path, int r)
{
    switch (-r) {
    case ENOENT:
    case ENOTDIR:
        return fail_no_socket(cli, path, "");
    case ECONNREFUSED:
        return cli_fail(cli, CLI_UNREACHABLE, "reach the daemon: nobody listens at %s (%s)", path,
                        "start stillpointd, or use --private");
    case EACCES:
    case EPERM:
        return cli_fail(cli, CLI_DENIED, "use %s: permission denied (%s)", path,
                        "it serves its own user and root; roles for groups: stillpointd.conf(5)");
    case ETIMEDOUT:
        return cli_fail(cli, CLI_UNREACHABLE, "reach the daemon: no answer at %s", path);
    default:
        return cli_fail(cli, CLI_UNREACHABLE, "reach the daemon at %s: %s", path, strerror(-r));
    }
}

static int connect_socket(struct cli *cli)
{
    char found[128];
    const char *path = cli->socket, *said = getenv("STILLPOINT_SOCKET");
    if (!path) {
        int r = stillpoint_default_socket(found, sizeof found);
        if (r < 0 && said && said[0])
            return fail_no_socket(cli, said, ", in $XDG_RUNTIME_DIR or in /run");
        if (r < 0)
            return fail_connect(cli, "$STILLPOINT_SOCKET, in $XDG_RUNTIME_DIR or in /run", r);
        path = found;
    }
    int r = stillpoint_connect(path, client_name, &cli->sp);
    if (r == STILLPOINT_REFUSED)
        return fail_hello(cli);
    return r < 0 ? fail_connect(cli, path, r) : 0;
}

int cli_connect(struct cli *cli)
{
    return cli->private_daemon ? connect_private(cli) : connect_socket(cli);
}

bool cli_may_look(const struct cli *cli)
{
    return stillpoint_peer(cli->sp)->roles[0];
}

static int try_again(struct cli *cli)
{
    char found[128];
    const char *path = cli->socket;
    int r = path ? 0 : stillpoint_default_socket(found, sizeof found);
    return r < 0 ? r : stillpoint_connect(path ? path : found, client_name, &cli->sp);
}

bool cli_reconnect(struct cli *cli, int r)
{
    const struct timespec moment = {.tv_nsec = AGAIN_NS};
    if ((r != -ECONNRESET && r != -EPIPE) || cli->private_daemon)
        return false;
    for (unsigned i = 0; i < AGAIN_TRIES; i++) {
        cli->sp = stillpoint_free(cli->sp);
        r = try_again(cli);
        if (r == 0)
            return true;
        if (r == STILLPOINT_REFUSED)
            break;
        nanosleep(&moment, NULL);
    }
    cli->sp = stillpoint_free(cli->sp);
    return false;
}

int cli_take_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
        return -errno;
    int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int cli_wait(struct cli *cli)
{
    struct pollfd p[] = {
        {.fd = stillpoint_fd(cli->sp), .events = stillpoint_poll_events(cli->sp)},
        {.fd = STDOUT_FILENO}, /* a pipe without a reader is an error */
    };
    if (poll(p, 2, -1) < 0)
        return errno == EINTR ? 0 : -errno;
    return p[1].revents != 0 ? CLI_READER_GONE : stillpoint_dispatch(cli->sp);
}

void cli_done(struct cli *cli)
{
    cli->sp = stillpoint_free(cli->sp);
    private_end(&cli->daemon);
}
