#include "gateway/gdbserver/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/gdbserver/session.h"

struct server {
    const struct server_options *options;
    int listener, signals;
    bool ends;
};

static int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("stillpoint-gdbserver: cannot ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return 1;
}

/* ---- listening */

/* A socket that nobody listens on any more may be replaced, and nothing else. */
static bool is_left_over(const struct sockaddr_un *address)
{
    struct stat st;
    if (lstat(address->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool refused =
        connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static int listen_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    if (is_left_over(&address))
        unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* For its user alone from the start: there is no moment at which others could connect. */
    mode_t mask = umask(0177);
    int r = bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
    umask(mask);
    if (r == 0 && listen(fd, 4) < 0)
        r = -errno;
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

static int listen_tcp(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 4) == 0)
        return fd;
    int r = -errno;
    close(fd);
    return r;
}

static void say_where(const struct server *s)
{
    struct sockaddr_in address;
    socklen_t n = sizeof address;
    if (s->options->path)
        printf("listening on unix-connect://%s\n", s->options->path);
    else if (getsockname(s->listener, (struct sockaddr *)&address, &n) == 0)
        printf("listening on connect://127.0.0.1:%u\n", (unsigned)ntohs(address.sin_port));
    fflush(stdout);
}

static int start(struct server *s)
{
    const struct server_options *o = s->options;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
        (s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return fail("take signals: %s", strerror(errno));
    s->listener = o->path ? listen_unix(o->path) : listen_tcp(o->port);
    if (s->listener >= 0)
        return 0;
    if (o->path)
        return fail("listen on %s: %s", o->path, strerror(-s->listener));
    return fail("listen on port %u: %s", (unsigned)o->port, strerror(-s->listener));
}

/* ---- one LLDB */

static bool signalled(struct server *s)
{
    struct signalfd_siginfo info;
    s->ends = s->ends || read(s->signals, &info, sizeof info) == sizeof info;
    return s->ends;
}

/* False: it has gone. */
static bool receive(struct session *session, int fd)
{
    char bytes[16384];
    ssize_t n = read(fd, bytes, sizeof bytes);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    return n > 0 && session_feed(session, bytes, (size_t)n) == 0;
}

static bool deliver(struct session *session, int fd)
{
    size_t n;
    const char *bytes = session_output(session, &n);
    while (n > 0) {
        ssize_t sent = write(fd, bytes, n);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        session_sent(session, (size_t)sent);
        bytes = session_output(session, &n);
    }
    return true;
}

static void serve(struct server *s, struct session *session, int fd)
{
    struct target *target = session_target(session);
    bool there = true;
    while (there && !s->ends) {
        size_t waits;
        (void)session_output(session, &waits);
        if (waits == 0 && session_is_over(session))
            break;
        /* Who does not read what we say is not listened to. */
        struct pollfd p[] = {
            {.fd = fd, .events = waits > 0 ? POLLOUT : POLLIN},
            {.fd = target_fd(target), .events = target_events(target)},
            {.fd = s->signals, .events = POLLIN},
        };
        if (session_is_over(session))
            p[1].fd = -1;
        if (poll(p, 3, -1) < 0 && errno != EINTR)
            break;
        if (signalled(s))
            break;
        if (p[1].revents)
            (void)target_dispatch(target);
        if (p[0].revents & (POLLIN | POLLHUP | POLLERR) && waits == 0)
            there = receive(session, fd);
        session_settle(session);
        there = there && deliver(session, fd);
    }
}

/* Nobody waits for long for what a detached LLDB left: the session ends before its socket. */
static void serve_client(struct server *s, int fd)
{
    char error[512];
    struct target *target;
    struct session *session;
    int r = target_new(&s->options->target, &target, error, sizeof error);
    if (r < 0) {
        fprintf(stderr, "stillpoint-gdbserver: cannot debug: %s\n", error);
        return;
    }
    if (session_new(target, s->options->may_kill, &session) < 0) {
        target_free(target);
        return;
    }
    serve(s, session, fd);
    session_free(session);
}

/* Whoever debugs does so as our user, whatever became of the socket's mode since. */
static bool may_debug(int fd)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
        return false;
    if (peer.uid == geteuid() || peer.uid == 0)
        return true;
    fprintf(stderr, "stillpoint-gdbserver: refused uid %u\n", (unsigned)peer.uid);
    return false;
}

static int accept_client(struct server *s)
{
    int on = 1;
    int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return -1;
    if (!s->options->path)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    else if (!may_debug(fd)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void loop(struct server *s)
{
    while (!s->ends) {
        struct pollfd p[] = {{.fd = s->listener, .events = POLLIN},
                             {.fd = s->signals, .events = POLLIN}};
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return;
        if (signalled(s))
            return;
        int fd = accept_client(s);
        if (fd < 0)
            continue;
        serve_client(s, fd);
        close(fd);
        s->ends = s->ends || s->options->once;
    }
}

int server_run(const struct server_options *options)
{
    struct server s = {.options = options, .listener = -1, .signals = -1};
    struct target *target;
    char error[512];
    /* That there is something to debug is said now, and not when LLDB is there. */
    if (target_new(&options->target, &target, error, sizeof error) < 0) {
        fprintf(stderr, "stillpoint-gdbserver: %s\n", error);
        return 1;
    }
    target_free(target);
    int code = start(&s);
    if (code == 0) {
        say_where(&s);
        loop(&s);
        if (options->path)
            unlink(options->path);
        close(s.listener);
    }
    if (s.signals >= 0)
        close(s.signals);
    return code;
}
