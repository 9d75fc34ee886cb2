/* What a unit's file may say, and what is said of one that is wrong. */
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "proto/vm_unit.h"

struct said {
    unsigned n, lines[32];
    char texts[32][512];
};

static void on_error(void *userdata, const char *path, unsigned line, const char *text)
{
    struct said *s = userdata;
    assert_string_equal(path, "web.conf");
    assert_true(s->n < 32);
    s->lines[s->n] = line;
    snprintf(s->texts[s->n++], sizeof s->texts[0], "%s", text);
}

static int parse(const char *text, size_t bytes, struct vm_unit *u, struct said *said)
{
    int fd = fd_memfd_new("unit", text, bytes);
    assert_true(fd >= 0);
    lseek(fd, 0, SEEK_SET);
    *said = (struct said){0};
    int r = vm_unit_read(fd, "web.conf", on_error, said, u);
    close(fd);
    assert_true((r == 0) == (said->n == 0));
    return r;
}

static void read_right(const char *text, struct vm_unit *u)
{
    struct said said;
    int r = parse(text, strlen(text), u, &said);
    if (r != 0)
        print_error("%u: %s\n", said.lines[0], said.texts[0]);
    assert_int_equal(r, 0);
}

#define PROGRAM "[vm]\nprogram = /srv/app.js\n"

static void what_is_not_said_is_as_the_page_says(void **state)
{
    (void)state;
    struct vm_unit u;
    read_right(PROGRAM, &u);
    assert_string_equal(u.program, "/srv/app.js");
    assert_string_equal(u.world, "default");
    assert_string_equal(u.engine, "mozjs");
    assert_null(u.owner);
    assert_int_equal(u.argc, 0);
    assert_int_equal(u.n_labels, 0);
    assert_true(u.enabled);
    assert_false(u.exit_when_done || u.debug);
    assert_int_equal(u.restart, VM_UNIT_RESTART_NO);
    assert_int_equal(u.delay_us, 1000000);
    assert_int_equal(u.delay_max_us, 60000000);
    assert_int_equal(u.reset_us, 60000000);
    assert_int_equal(u.attempts, 5);
    assert_int_equal(u.limits.memory_bytes, 0);
    assert_int_equal(u.program_line, 2);
    vm_unit_done(&u);
}

static void a_file_says_everything(void **state)
{
    (void)state;
    struct vm_unit u;
    read_right(
        "; a comment\n[vm]\n program = /srv/app.wasm\nworld=front\nengine = fake\nowner = 1000\n"
        "labels = a=1 b=\nlabels = c.d=x_y\nenabled = no\nexit-when-done = yes\ndebug = true\n"
        "restart = always\nrestart-delay = 5ms\nrestart-delay-max = 2h\nrestart-attempts = none\n"
        "restart-reset = 3d\n[limits]\nmemory = 64M\ncpu = 150%\ncpu-time = 10s\ntimeout = 5min\n"
        "tasks = 8\noutput-rate = 1M\nlog-size = 64K\n",
        &u);
    assert_int_equal(vm_unit_source_kind(u.program), 2);
    assert_string_equal(u.world, "front");
    assert_string_equal(u.engine, "fake");
    assert_string_equal(u.owner, "1000");
    assert_int_equal(u.n_labels, 3);
    assert_string_equal(u.labels[0], "a=1");
    assert_string_equal(u.labels[1], "b=");
    assert_string_equal(u.labels[2], "c.d=x_y");
    assert_false(u.enabled);
    assert_true(u.exit_when_done && u.debug);
    assert_int_equal(u.restart, VM_UNIT_RESTART_ALWAYS);
    assert_int_equal(u.delay_us, 5000);
    assert_int_equal(u.delay_max_us, 7200000000ull);
    assert_int_equal(u.attempts, 0);
    assert_int_equal(u.reset_us, 3 * 86400000000ull);
    assert_int_equal(u.limits.memory_bytes, 64u << 20);
    assert_int_equal(u.limits.cpu_percent, 150);
    assert_int_equal(u.limits.cpu_time_us, 10000000);
    assert_int_equal(u.limits.timeout_us, 300000000);
    assert_int_equal(u.limits.tasks, 8);
    assert_int_equal(u.limits.output_rate, 1u << 20);
    assert_int_equal(u.limits.log_bytes, 64u << 10);
    uid_t uid;
    assert_int_equal(vm_unit_owner(&u, 7, &uid), 0);
    assert_int_equal(uid, 1000);
    vm_unit_done(&u);
}

static void words_are_cut_as_quotes_say(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words[5];
    } rows[] = {
        {"a b\tc", {"a", "b", "c"}},
        {"  one   two  ", {"one", "two"}},
        {"'two words' \"three more words\"", {"two words", "three more words"}},
        {"a'b c'd", {"ab cd"}},
        {"'' \"\" x", {"", "", "x"}},
        {"\"say \\\"hi\\\"\" it\\'s", {"say \"hi\"", "it's"}},
        {"'no \\ here' \\\\", {"no \\ here", "\\"}},
        {"\"it's\" 'a \"b\"'", {"it's", "a \"b\""}},
        {"last\\", {"last\\"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[256];
        struct vm_unit u;
        size_t n = 0;
        snprintf(text, sizeof text, PROGRAM "args = %s\n", rows[i].text);
        read_right(text, &u);
        for (; n < 5 && rows[i].words[n]; n++) {
            assert_true(n < u.argc);
            assert_string_equal(u.argv[n], rows[i].words[n]);
        }
        assert_int_equal(u.argc, n);
        vm_unit_done(&u);
    }
}

static void each_mistake_is_told_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
        const char *says;
    } rows[] = {
        {"", 0, "program is missing"},
        {"[vm]\nworld = x\n", 0, "program is missing"},
        {"[vm]\nprogram = app.js\n", 2, "the absolute path of a file"},
        {"[vm]\nprogram = /srv/\n", 2, "the absolute path of a file"},
        {"[vm]\nprogram = /\n", 2, "the absolute path of a file"},
        {"[vm]\nprogram =\n", 2, "the absolute path of a file"},
        {PROGRAM "program = /srv/b.js\n", 3, "has been said in line 2 already"},
        {PROGRAM "args = 'open\n", 3, "an end to each quotation"},
        {PROGRAM "labels = a\n", 3, "KEY=VALUE"},
        {PROGRAM "labels = =b\n", 3, "KEY=VALUE"},
        {PROGRAM "labels = 12=b\n", 3, "KEY=VALUE"},
        {PROGRAM "labels = a=b/c\n", 3, "KEY=VALUE"},
        {PROGRAM "labels = a=1\nlabels = a=2\n", 4, "each key once"},
        {PROGRAM "world = a b\n", 3, "a name of a world"},
        {PROGRAM "engine = ../x\n", 3, "a name of an engine"},
        {PROGRAM "owner =\n", 3, "a user"},
        {PROGRAM "enabled = maybe\n", 3, "yes or no"},
        {PROGRAM "restart = failure\n", 3, "no, on-failure or always"},
        {PROGRAM "restart-delay = 10\n", 3, "a time from 1ms to a year"},
        {PROGRAM "restart-delay = 1us\n", 3, "a time from 1ms to a year"},
        {PROGRAM "restart-delay = 2min\n", 3, "longer than restart-delay-max"},
        {PROGRAM "restart-delay-max = 1ms\n", 3, "longer than restart-delay-max"},
        {PROGRAM "restart-attempts = 0\n", 3, "a number from 1 to 1000000, or none"},
        {PROGRAM "[limits]\nmemory = none\n", 4, "bytes, like 256M, not 'none'"},
        {PROGRAM "[limits]\nmemory = 1M\n", 4, "memory limit must be between"},
        {PROGRAM "[limits]\ntasks = 4294967301\n", 4, "a number"},
        {PROGRAM "[limits]\nworld = x\n", 4,
         "there is no 'world' in section [limits]: it belongs to [vm]"},
        {PROGRAM "memory = 1G\n", 3,
         "there is no 'memory' in section [vm]: it belongs to [limits]"},
        {PROGRAM "[quota]\nvms = 1\n", 3, "there is no section [quota]"},
        {"world = x\n" PROGRAM, 1, "'world' is in no section: a line like [vm]"},
        {PROGRAM "nonsense\n", 3, "neither '[section]' nor"},
        {PROGRAM "world = \xff\n", 3, "no UTF-8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct vm_unit u;
        struct said said;
        int r = parse(rows[i].text, strlen(rows[i].text), &u, &said);
        if (r != -EINVAL || said.n != 1 || said.lines[0] != rows[i].line ||
            !strstr(said.texts[0], rows[i].says))
            fail_msg("row %zu: %d, %u errors, line %u: %s", i, r, said.n, said.lines[0],
                     said.texts[0]);
    }
}

static void a_line_that_is_too_long_or_has_a_zero_byte_is_refused(void **state)
{
    (void)state;
    static const char zero[] = PROGRAM "world = a\0b\n";
    struct vm_unit u;
    struct said said;
    char text[512] = PROGRAM "args = ";
    size_t n = strlen(text);
    memset(text + n, 'x', 300);
    assert_int_equal(parse(text, n + 300, &u, &said), -EINVAL);
    assert_int_equal(said.lines[0], 3);
    assert_non_null(strstr(said.texts[0], "longer than"));
    assert_int_equal(parse(zero, sizeof zero - 1, &u, &said), -EINVAL);
    assert_int_equal(said.lines[0], 3);
}

static void too_many_words_and_labels_are_refused(void **state)
{
    (void)state;
    static char text[64 * 1024];
    struct vm_unit u;
    struct said said;
    size_t at = (size_t)snprintf(text, sizeof text, PROGRAM);
    for (unsigned i = 0; i <= LIMIT_ARGS; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "args = a\n");
    assert_int_equal(parse(text, at, &u, &said), -EINVAL);
    assert_int_equal(said.n, 1);
    assert_int_equal(said.lines[0], 3 + LIMIT_ARGS);
    at = (size_t)snprintf(text, sizeof text, PROGRAM);
    for (unsigned i = 0; i <= LIMIT_LABELS; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "labels = k%u=\n", i);
    assert_int_equal(parse(text, at, &u, &said), -EINVAL);
    assert_int_equal(said.n, 1);
    assert_int_equal(said.lines[0], 3 + LIMIT_LABELS);
}

static void a_change_of_any_key_is_seen(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "args = x\n",
        "args = y x\n",
        "world = w\n",
        "engine = e\n",
        "owner = root\n",
        "labels = a=b\n",
        "enabled = no\n",
        "exit-when-done = yes\n",
        "debug = yes\n",
        "restart = always\n",
        "restart-delay = 2s\n",
        "restart-delay-max = 2min\n",
        "restart-attempts = 6\n",
        "restart-reset = 1s\n",
        "[limits]\nmemory = 64M\n",
        "[limits]\ncpu = 1%\n",
        "[limits]\ncpu-time = 1s\n",
        "[limits]\ntimeout = 1s\n",
        "[limits]\ntasks = 9\n",
        "[limits]\noutput-rate = 1M\n",
        "[limits]\nlog-size = 8K\n",
        "",
    };
    struct vm_unit units[sizeof changes / sizeof changes[0]];
    const size_t n = sizeof changes / sizeof changes[0];
    char text[256];
    for (size_t i = 0; i < n; i++) {
        snprintf(text, sizeof text, PROGRAM "%s", changes[i]);
        read_right(text, &units[i]);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            assert_int_equal(vm_unit_equal(&units[i], &units[j]), i == j);
    for (size_t i = 0; i < n; i++)
        vm_unit_done(&units[i]);
}

static void a_unit_is_named_by_its_file(void **state)
{
    (void)state;
    char name[LIMIT_NAME_BYTES + 1] = "untouched", longest[80];
    static const char *const no[] = {"web",      ".conf",     "a.txt",    "/x/12.conf",
                                     "a b.conf", "/x/..conf", "/x.conf/y"};
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        assert_false(vm_unit_name_of(no[i], name));
    assert_string_equal(name, "untouched");
    assert_true(vm_unit_name_of("/etc/stillpoint/vms/web-1.a.conf", name));
    assert_string_equal(name, "web-1.a");
    memset(longest, 'a', sizeof longest);
    strcpy(longest + LIMIT_NAME_BYTES, ".conf");
    assert_true(vm_unit_name_of(longest, name));
    assert_int_equal(strlen(name), LIMIT_NAME_BYTES);
    strcpy(longest + LIMIT_NAME_BYTES, "a.conf");
    longest[LIMIT_NAME_BYTES] = 'a';
    assert_false(vm_unit_name_of(longest, name));
}

static void the_file_name_says_what_a_program_is(void **state)
{
    (void)state;
    assert_int_equal(vm_unit_source_kind("/a/b.js"), 0);
    assert_int_equal(vm_unit_source_kind("/a.mjs/b"), 0);
    assert_int_equal(vm_unit_source_kind("/a/b.mjs"), 1);
    assert_int_equal(vm_unit_source_kind("/a/b.wasm"), 2);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_not_said_is_as_the_page_says),
    cmocka_unit_test(a_file_says_everything),
    cmocka_unit_test(words_are_cut_as_quotes_say),
    cmocka_unit_test(each_mistake_is_told_with_its_line),
    cmocka_unit_test(a_line_that_is_too_long_or_has_a_zero_byte_is_refused),
    cmocka_unit_test(too_many_words_and_labels_are_refused),
    cmocka_unit_test(a_change_of_any_key_is_seen),
    cmocka_unit_test(a_unit_is_named_by_its_file),
    cmocka_unit_test(the_file_name_says_what_a_program_is),
};

UNIT_MAIN(tests)
