#include "bench/bare_wake.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/measure.h"

static _Noreturn void answer(int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    char byte;
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll");
    while (epoll_wait(epoll_fd, &event, 1, -1) == 1 && read(fd, &byte, 1) == 1) {
        uint64_t got_ns = now_ns();
        if (write(fd, &got_ns, sizeof got_ns) != sizeof got_ns)
            break;
    }
    _exit(0);
}

void bare_wake_init(struct bare_wake *w, int fifo_priority)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        die("socketpair");
    w->pid = fork();
    if (w->pid < 0)
        die("fork");
    if (w->pid == 0) {
        close(pair[0]);
        if (fifo_priority > 0 && become_fifo(fifo_priority) < 0)
            die("SCHED_FIFO");
        answer(pair[1]);
    }
    close(pair[1]);
    w->fd = pair[0];
}

void bare_wake_done(struct bare_wake *w)
{
    close(w->fd);
    waitpid(w->pid, NULL, 0);
}

uint64_t bare_wake_ns(const struct bare_wake *w)
{
    uint64_t sent_ns = now_ns(), got_ns;
    if (write(w->fd, "w", 1) != 1 || read(w->fd, &got_ns, sizeof got_ns) != sizeof got_ns)
        die("a bare wake");
    return got_ns - sent_ns;
}
