/* The service manager is played by a socket of this program. */
#include "tests/support/notified.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/service.h"

static struct event_base *base;
static struct service *service;

static int set_up(void **state)
{
    (void)state;
    if (!notified_begin())
        return -1;
    base = event_base_new();
    return base ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    service = service_free(service);
    event_base_free(base);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return notified_end();
}

static void start(void)
{
    service = service_new();
    assert_non_null(service);
    assert_int_equal(service_attach(service, base), 0);
}

static void what_happens_is_told_at_once_and_what_is_known_is_not(void **state)
{
    (void)state;
    start();
    assert_true(service_is_watched(service));
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_string_equal(notified_told(), "");
    service_status(service, "%d VMs", 0);
    assert_string_equal(notified_told(), "STATUS=0 VMs\n");
    service_ready(service);
    assert_string_equal(notified_told(), "READY=1\n");
    service_status(service, "%d VMs", 0);
    service_ready(service);
    assert_string_equal(notified_told(), "");
    service_stopping(service);
    assert_string_equal(notified_told(), "STOPPING=1\n");
}

static void a_reload_has_a_time_and_an_end(void **state)
{
    (void)state;
    unsigned long long us;
    start();
    service_reloading(service);
    assert_string_equal(notified_told(), ""); /* not before it is ready */
    service_ready(service);
    assert_string_equal(notified_told(), "READY=1\n");
    service_reloading(service);
    assert_int_equal(sscanf(notified_told(), "RELOADING=1\nMONOTONIC_USEC=%llu\n", &us), 1);
    assert_true(us > 0);
    service_ready(service);
    assert_string_equal(notified_told(), "READY=1\n");
    service_stopping(service);
    service_reloading(service);
    service_ready(service);
    assert_string_equal(notified_told(), "STOPPING=1\n");
    assert_string_equal(notified_told(), "");
}

static void the_watchdog_is_fed_by_the_loop_and_by_nothing_else(void **state)
{
    (void)state;
    char pid[32];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    setenv("WATCHDOG_USEC", "40000", 1);
    start();
    assert_null(getenv("WATCHDOG_USEC"));
    service_ready(service);
    assert_string_equal(notified_told(), "READY=1\n");
    /* For more than its time, in which no loop runs. */
    struct pollfd fed = {.fd = notified.fd, .events = POLLIN};
    assert_int_equal(poll(&fed, 1, 60), 0);
    event_base_loop(base, EVLOOP_ONCE);
    assert_string_equal(notified_told(), "WATCHDOG=1\n");
}

static void a_manager_that_does_not_read_holds_nobody_up_and_learns_the_last_state(void **state)
{
    (void)state;
    start();
    unsigned n = 0;
    const struct pollfd room = {.fd = notified.fd, .events = POLLIN};
    /* Its queue has an end; from then on each of these has to come back at once. */
    for (n = 0; n < 10000; n++)
        service_status(service, "status %u", n);
    service_ready(service);
    service_stopping(service);
    char last[2048] = "";
    for (;;) {
        const char *text = notified_told();
        if (*text) {
            snprintf(last, sizeof last, "%s", text);
            continue;
        }
        struct pollfd p = room;
        event_base_loop(base, EVLOOP_NONBLOCK);
        if (poll(&p, 1, 0) == 0)
            break;
    }
    assert_string_equal(last, "STOPPING=1\nSTATUS=status 9999\n");
}

static void a_manager_that_is_gone_costs_nothing(void **state)
{
    (void)state;
    start();
    fd_close(&notified.fd);
    service_ready(service);
    service_status(service, "one");
    service_stopping(service);
}

static void without_a_manager_nothing_is_told(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    start();
    assert_false(service_is_watched(service));
    service_ready(service);
    service_status(service, "one");
    assert_string_equal(notified_told(), "");
    assert_int_equal(service_take_socket(service, "control"), -ENOENT);
}

/* Descriptors from 3 on are of a child's, whose own this program's are not. */
static void child_with_sockets(void)
{
    int control = socket(AF_UNIX, SOCK_STREAM, 0), wrong = socket(AF_UNIX, SOCK_DGRAM, 0);
    int observe = socket(AF_UNIX, SOCK_STREAM, 0);
    char pid[32];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "4", 1);
    setenv("LISTEN_FDNAMES", "observe:control:dgram:more", 1);
    const struct sockaddr_un any = {.sun_family = AF_UNIX}; /* the kernel finds a name */
    if (bind(control, (const struct sockaddr *)&any, sizeof any.sun_family) < 0 ||
        bind(observe, (const struct sockaddr *)&any, sizeof any.sun_family) < 0 ||
        listen(control, 1) < 0 || listen(observe, 1) < 0)
        _exit(10);
    const int kept[] = {fcntl(observe, F_DUPFD, 100), fcntl(control, F_DUPFD, 100),
                        fcntl(wrong, F_DUPFD, 100), fcntl(wrong, F_DUPFD, 100)};
    for (int i = 0; i < 4; i++)
        dup2(kept[i], 3 + i);
    service = service_new();
    if (!service || getenv("LISTEN_FDS"))
        _exit(11);
    if (service_take_socket(service, "control") != 4 ||
        service_take_socket(service, "observe") != 3)
        _exit(12);
    if (service_take_socket(service, "control") != -ENOENT)
        _exit(13);
    if (service_take_socket(service, "dgram") != -EINVAL || fcntl(5, F_GETFD) >= 0)
        _exit(14);
    if (fcntl(3, F_GETFD) != FD_CLOEXEC || fcntl(6, F_GETFD) != FD_CLOEXEC)
        _exit(15);
    service_close_rest(service);
    if (fcntl(6, F_GETFD) >= 0)
        _exit(16);
    _exit(0);
}

static void sockets_come_by_name_each_once_and_what_nobody_knows_is_closed(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    if (child == 0)
        child_with_sockets();
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(what_happens_is_told_at_once_and_what_is_known_is_not),
    TEST(a_reload_has_a_time_and_an_end),
    TEST(the_watchdog_is_fed_by_the_loop_and_by_nothing_else),
    TEST(a_manager_that_does_not_read_holds_nobody_up_and_learns_the_last_state),
    TEST(a_manager_that_is_gone_costs_nothing),
    TEST(without_a_manager_nothing_is_told),
    TEST(sockets_come_by_name_each_once_and_what_nobody_knows_is_closed),
};

UNIT_MAIN(tests)
