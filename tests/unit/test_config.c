/* Command line and files. What errors say is for the system tests; here is what values come to. */
#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/config.h"
#include "proto/limits.h"

static char folder[256], path[300];

static int set_up(void **state)
{
    (void)state;
    setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
    if (!unit_make_folder(folder, sizeof folder))
        return -1;
    snprintf(path, sizeof path, "%s/c.conf", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void write_bytes(const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    close(fd);
}

static void write_text(const char *text)
{
    write_bytes(text, strlen(text));
}

/* The command line is "stillpointd --config <path>" and what is given, up to NULL. */
static int load(struct config *c, char *const *more)
{
    char *argv[16] = {(char *)(uintptr_t) "stillpointd", (char *)(uintptr_t) "--config", path};
    int argc = 3;
    while (more && *more)
        argv[argc++] = *more++;
    return config_load(c, argc, argv);
}

#define ARGS(...) ((char *[]){__VA_ARGS__, NULL})
#define ARG(text) ((char *)(uintptr_t)(text))

static void defaults_are_those_of_limits(void **state)
{
    (void)state;
    struct config c;
    write_text("");
    assert_int_equal(load(&c, NULL), 0);
    assert_int_equal(c.quota.connections, DEFAULT_CLIENTS_PER_UID);
    assert_int_equal(c.quota.vms, DEFAULT_VMS_PER_UID);
    assert_int_equal(c.quota.subscriptions, DEFAULT_SUBSCRIPTIONS_PER_UID);
    assert_int_equal(c.quota.queued_bytes, DEFAULT_QUEUED_BYTES_PER_UID);
    assert_int_equal(c.quota.debuggers, LIMIT_DEBUGGERS_PER_UID);
    assert_int_equal(c.quota.worlds, DEFAULT_WORLDS_PER_UID);
    assert_int_equal(c.total.connections, LIMIT_CLIENTS);
    assert_int_equal(c.total.vms, LIMIT_VMS);
    assert_int_equal(c.private_fd, -1);
    assert_false(c.allow_degraded || c.debug || c.check);
    assert_null(c.user);
    assert_true(c.cpu_latency_us == CONFIG_CPU_LATENCY_NONE);
    assert_string_equal(c.files, path);
    assert_string_equal(config_place(&c, &c.quota.vms), "built in");
    config_done(&c);
}

static void a_file_says_everything(void **state)
{
    (void)state;
    struct config c;
    char place[400];
    write_text("\xef\xbb\xbf; all of it\n[daemon]\nsocket = /a/control.sock\nuser = somebody\n"
               "spawn = exec\nworker-dir=/w\nallow-degraded = yes\ndebug = true\r\n"
               "[access]\nobserve-group = o1 o2\nrun-group = r\ndebug-group = d\nadmin-group = a\n"
               "[quota]\nconnections = 1\nvms = 2\nsubscriptions = 3\nqueued-bytes = 4M\n"
               "debuggers = 5\nworlds = 6\n[total]\nconnections = 7\nvms = 8");
    assert_int_equal(load(&c, NULL), 0);
    assert_string_equal(c.socket_path, "/a/control.sock");
    assert_string_equal(c.observe_path, "/a/observe.sock");
    assert_string_equal(c.user, "somebody");
    assert_int_equal(c.spawn, CONFIG_SPAWN_EXEC);
    assert_string_equal(c.worker_dir, "/w");
    assert_true(c.allow_degraded && c.debug);
    assert_string_equal(c.groups[CONFIG_GROUP_OBSERVE], "o1 o2");
    assert_string_equal(c.groups[CONFIG_GROUP_RUN], "r");
    assert_string_equal(c.groups[CONFIG_GROUP_DEBUG], "d");
    assert_string_equal(c.groups[CONFIG_GROUP_ADMIN], "a");
    const struct config_quota q = c.quota;
    assert_true(q.connections == 1 && q.vms == 2 && q.subscriptions == 3 &&
                q.queued_bytes == 4u << 20 && q.debuggers == 5 && q.worlds == 6);
    assert_true(c.total.connections == 7 && c.total.vms == 8);
    snprintf(place, sizeof place, "%s:23", path);
    assert_string_equal(config_place(&c, &c.total.vms), place);
    config_done(&c);
}

static void a_cpu_latency_is_a_time_or_none(void **state)
{
    static const struct {
        const char *text;
        uint64_t us;
    } good[] = {{"0us", 0},
                {"20us", 20},
                {"1s", CONFIG_CPU_LATENCY_MOST},
                {"none", CONFIG_CPU_LATENCY_NONE}};
    static const char *const bad[] = {"1000001us", "0", "-1us", "no", "2s", "us"};
    struct config c;
    char text[64];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(text, sizeof text, "[daemon]\ncpu-latency = %s\n", good[i].text);
        write_text(text);
        assert_int_equal(load(&c, NULL), 0);
        assert_true(c.cpu_latency_us == good[i].us);
        config_done(&c);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_text("");
        assert_int_equal(load(&c, ARGS(ARG("--cpu-latency"), ARG(bad[i]))), -EINVAL);
        config_done(&c);
    }
}

static void the_command_line_wins_and_the_last_of_a_file_does(void **state)
{
    (void)state;
    struct config c;
    write_text(
        "[daemon]\nspawn = zygote\nspawn = exec\nallow-degraded = no\nobserve-socket = none\n");
    assert_int_equal(load(&c, NULL), 0);
    assert_int_equal(c.spawn, CONFIG_SPAWN_EXEC);
    assert_null(c.observe_path);
    config_done(&c);
    assert_int_equal(load(&c, ARGS(ARG("--spawn"), ARG("zygote"), ARG("--allow-degraded"),
                                   ARG("--socket"), ARG("x"), ARG("--observe-socket"), ARG("y"))),
                     0);
    assert_int_equal(c.spawn, CONFIG_SPAWN_ZYGOTE);
    assert_true(c.allow_degraded);
    assert_string_equal(c.socket_path, "x");
    assert_string_equal(c.observe_path, "y");
    assert_string_equal(config_place(&c, &c.spawn), "--spawn");
    config_done(&c);
}

static void it_can_be_loaded_again_and_again(void **state)
{
    (void)state;
    struct config a, b;
    write_text("[quota]\nvms = 1\n");
    assert_int_equal(load(&a, ARGS(ARG("--debug"))), 0);
    write_text("[quota]\nvms = 2\n");
    assert_int_equal(load(&b, ARGS(ARG("--debug"))), 0);
    assert_int_equal(a.quota.vms, 1);
    assert_int_equal(b.quota.vms, 2);
    assert_true(a.debug && b.debug);
    config_done(&a);
    config_done(&b);
}

static void limits_of_vms_are_set_and_bounded(void **state)
{
    (void)state;
    struct config c;
    write_text("[vm]\nmemory = 64M\ncpu = 50%\ncpu-time = 10s\ntimeout = 1min\ntasks = 8\n"
               "output-rate = 1M\nlog-size = 8K\n[vm-max]\nmemory = 1G\ntasks = 16\n");
    assert_int_equal(load(&c, NULL), 0);
    const struct vm_limits *l = &c.vm_defaults;
    assert_true(l->memory_bytes == 64u << 20 && l->cpu_percent == 50 && l->cpu_time_us == 10000000);
    assert_true(l->timeout_us == 60000000 && l->tasks == 8 && l->output_rate == 1u << 20);
    assert_int_equal(l->log_bytes, 8192);
    assert_true(c.vm_max.memory_bytes == 1u << 30 && c.vm_max.tasks == 16);
    assert_true(c.vm_max.cpu_percent == 0 && c.vm_max.timeout_us == 0);
    config_done(&c);
    write_text("[vm]\ncpu-time = 10s\ncpu-time = none\n");
    assert_int_equal(load(&c, NULL), 0);
    assert_int_equal(c.vm_defaults.cpu_time_us, 0);
    assert_int_equal(c.vm_defaults.memory_bytes, DEFAULT_VM_MEMORY_BYTES);
    config_done(&c);
    static const char *const bad[] = {"memory = none",   "memory = 1M",       "memory = 64",
                                      "cpu = 50",        "cpu = %",           "cpu = 0%",
                                      "cpu = 99999999%", "cpu = 4294967346%", "cpu-time = 10",
                                      "timeout = 400d",  "tasks = 1",         "tasks = 4294967304",
                                      "log-size = none", "output-rate = 1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "[vm]\n%s\n", bad[i]);
        write_text(text);
        if (load(&c, NULL) != -EINVAL)
            fail_msg("taken: %s", bad[i]);
        config_done(&c);
    }
}

static void a_private_daemon_has_no_socket_whatever_a_file_says(void **state)
{
    (void)state;
    struct config c;
    write_text("[daemon]\nsocket = /a\n");
    assert_int_equal(load(&c, ARGS(ARG("--private-fd"), ARG("3"))), 0);
    assert_null(c.socket_path);
    assert_null(c.observe_path);
    assert_int_equal(c.private_fd, 3);
    config_done(&c);
}

static void the_observe_socket_is_beside_the_control_socket(void **state)
{
    (void)state;
    struct config c;
    write_text("");
    assert_int_equal(load(&c, ARGS(ARG("--socket"), ARG("control.sock"))), 0);
    assert_string_equal(c.observe_path, "observe.sock");
    config_done(&c);
    assert_int_equal(load(&c, ARGS(ARG("--socket"), ARG("/r/mine"))), 0);
    assert_string_equal(c.observe_path, "/r/mine.observe");
    config_done(&c);
    assert_int_equal(load(&c, ARGS(ARG("--runtime-dir"), ARG("/r"))), 0);
    assert_string_equal(c.socket_path, "/r/control.sock");
    assert_string_equal(c.observe_path, "/r/observe.sock");
    config_done(&c);
}

static void a_long_path_leaves_no_room_for_an_observe_socket(void **state)
{
    (void)state;
    struct config c;
    char socket[108];
    memset(socket, 'x', sizeof socket - 1);
    socket[0] = '/';
    socket[sizeof socket - 1] = '\0';
    write_text("");
    assert_int_equal(load(&c, ARGS(ARG("--socket"), socket)), 0);
    assert_string_equal(c.socket_path, socket);
    assert_null(c.observe_path);
    config_done(&c);
}

static void what_is_no_configuration_is_refused_whole(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
    } bad[] = {
#define BAD(text) {text, sizeof(text) - 1}
        BAD("x"),
        BAD("[daemon"),
        BAD("debug = yes"),
        BAD("[daemon]\nnothing = 1"),
        BAD("[nothing]\n"),
        BAD("[daemon]\ndebug = \x00yes"),
        BAD("[daemon]\nuser = \xff\n"),
        BAD("[daemon]\nuser =\n"),
        BAD("[daemon]\nsocket = here\n"),
        BAD("[daemon]\nworker-dir = none\n"),
        BAD("[quota]\nvms = -1\n"),
        BAD("[quota]\nvms = 1 2\n"),
        BAD("[quota]\nvms = 18446744073709551617\n"),
        BAD("[quota]\nqueued-bytes = 4\n"),
        BAD("[access]\ndebug = yes\n"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct config c;
        write_bytes(bad[i].text, bad[i].len);
        if (load(&c, NULL) != -EINVAL)
            fail_msg("taken: %s", bad[i].text);
        config_done(&c);
    }
}

static void a_file_that_is_too_long_is_refused(void **state)
{
    (void)state;
    struct config c;
    size_t len = 1024 * 1024 + 1;
    char *text = malloc(len);
    memset(text, '\n', len);
    write_bytes(text, len - 1);
    assert_int_equal(load(&c, NULL), 0);
    config_done(&c);
    write_bytes(text, len);
    assert_int_equal(load(&c, NULL), -EINVAL);
    config_done(&c);
    free(text);
}

static void whatever_a_file_holds_there_is_an_answer(void **state)
{
    (void)state;
    static const char parts[] = "[]=:;#\n\r\t daemon quota vms 1\x00\xff\"'\\";
    unsigned seed = 1;
    for (int i = 0; i < 3000; i++) {
        char text[600];
        size_t len = (size_t)(rand_r(&seed) % (int)sizeof text);
        for (size_t n = 0; n < len; n++)
            text[n] = parts[(size_t)rand_r(&seed) % (sizeof parts - 1)];
        struct config c;
        write_bytes(text, len);
        int r = load(&c, NULL);
        assert_true(r == 0 || r == -EINVAL);
        config_done(&c);
    }
}

static void what_is_read_again_is_taken_but_for_what_needs_a_start(void **state)
{
    (void)state;
    struct config c, next;
    write_text("[daemon]\nspawn = exec\nworker-dir = /a\n[access]\nrun-group = one\n"
               "[quota]\nvms = 1\n[vm]\nmemory = 64M\n");
    assert_int_equal(load(&c, ARGS(ARG("--socket"), ARG("/x/control.sock"))), 0);
    write_text("[daemon]\nworker-dir = /b\nallow-degraded = yes\ndebug = yes\ncpu-latency = 1ms\n"
               "[access]\nadmin-group = two\n"
               "[quota]\nvms = 2\n[total]\nconnections = 3\n[vm]\nmemory = 128M\n"
               "[vm-max]\nmemory = 256M\n");
    assert_int_equal(load(&next, ARGS(ARG("--socket"), ARG("/x/control.sock"))), 0);
    config_take(&c, &next);
    config_done(&next);
    assert_int_equal(c.spawn, CONFIG_SPAWN_EXEC);
    assert_string_equal(c.worker_dir, "/a");
    assert_true(c.cpu_latency_us == CONFIG_CPU_LATENCY_NONE);
    assert_string_equal(c.socket_path, "/x/control.sock");
    assert_true(c.allow_degraded && c.debug);
    assert_null(c.groups[CONFIG_GROUP_RUN]);
    assert_string_equal(c.groups[CONFIG_GROUP_ADMIN], "two");
    assert_int_equal(c.quota.vms, 2);
    assert_int_equal(c.total.connections, 3);
    assert_int_equal(c.vm_defaults.memory_bytes, 128u << 20);
    assert_int_equal(c.vm_max.memory_bytes, 256u << 20);
    assert_non_null(strstr(config_place(&c, &c.quota.vms), "c.conf:9"));
    assert_non_null(strstr(config_place(&c, &c.worker_dir), "c.conf:3"));
    config_done(&c);
}

static void a_pipe_in_place_of_a_file_is_not_waited_for(void **state)
{
    (void)state;
    struct config c;
    assert_int_equal(mkfifo(path, 0600), 0);
    int writer = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(load(&c, NULL), -EINVAL);
    config_done(&c);
    close(writer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(defaults_are_those_of_limits),
    TEST(a_file_says_everything),
    TEST(a_cpu_latency_is_a_time_or_none),
    TEST(the_command_line_wins_and_the_last_of_a_file_does),
    TEST(it_can_be_loaded_again_and_again),
    TEST(limits_of_vms_are_set_and_bounded),
    TEST(a_private_daemon_has_no_socket_whatever_a_file_says),
    TEST(the_observe_socket_is_beside_the_control_socket),
    TEST(a_long_path_leaves_no_room_for_an_observe_socket),
    TEST(what_is_no_configuration_is_refused_whole),
    TEST(a_file_that_is_too_long_is_refused),
    TEST(whatever_a_file_holds_there_is_an_answer),
    TEST(what_is_read_again_is_taken_but_for_what_needs_a_start),
    TEST(a_pipe_in_place_of_a_file_is_not_waited_for),
};

UNIT_MAIN(tests)
