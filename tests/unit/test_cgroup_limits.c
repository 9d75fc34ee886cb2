/* On a folder of ordinary files: what is written, and what is made of the answers. That the kernel
 * acts on it is for the system tests, where there are controllers. */
#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/cgroup_limits.h"

#define ALL (CGROUP_MEMORY | CGROUP_PIDS | CGROUP_CPU)

static char folder[256];
static int dir_fd = -1;
static const char *const files[] = {
    "cgroup.controllers", "cgroup.subtree_control", "memory.max", "memory.swap.max",
    "memory.oom.group",   "memory.events",          "pids.max",   "cpu.max"};

static void put(const char *name, const char *text)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static const char *get(const char *name)
{
    static char text[256];
    int fd = openat(dir_fd, name, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    assert_true(n >= 0);
    text[n] = '\0';
    close(fd);
    return text;
}

static int each_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        put(files[i], "");
    return 0;
}

static void controllers_are_whole_words(void **state)
{
    (void)state;
    put("cgroup.controllers", "cpuset io memory hugetlb pids rdma\n");
    assert_int_equal(cgroup_limits_available(dir_fd), CGROUP_MEMORY | CGROUP_PIDS);
    put("cgroup.controllers", "cpuset cpu");
    assert_int_equal(cgroup_limits_available(dir_fd), CGROUP_CPU);
    put("cgroup.controllers", "\n");
    assert_int_equal(cgroup_limits_available(dir_fd), 0);
}

static void what_children_have_is_read_and_not_assumed(void **state)
{
    (void)state;
    /* A plain file keeps the last word that was written, with its sign: none of them is given. */
    struct cgroup_gift gift;
    assert_int_equal(cgroup_limits_give(dir_fd, &gift), 0);
    assert_string_equal(get("cgroup.subtree_control"), "+cpusry");
    assert_int_equal(gift.controllers, 0);
    put("cgroup.subtree_control", "");
    cgroup_limits_take_back(&gift);
    assert_string_equal(get("cgroup.subtree_control"), "");
}

static void only_what_was_given_is_taken_back(void **state)
{
    (void)state;
    struct cgroup_gift gift;
    put("cgroup.subtree_control", "memory pids");
    assert_int_equal(cgroup_limits_give(dir_fd, &gift), CGROUP_PIDS); /* "+cpury pids" */
    assert_int_equal(gift.controllers, 0);
    gift.controllers = CGROUP_CPU;
    put("cgroup.subtree_control", "");
    cgroup_limits_take_back(&gift);
    assert_string_equal(get("cgroup.subtree_control"), "-cpu");
    assert_int_equal(gift.control_fd, -1);
}

static void limits_are_written_as_the_kernel_reads_them(void **state)
{
    (void)state;
    const struct vm_limits l = {.memory_bytes = 64u << 20, .cpu_percent = 50};
    unsigned missing;
    int error;
    cgroup_limits_set(dir_fd, ALL, &l, 7, &missing, &error);
    assert_int_equal(missing, 0);
    assert_int_equal(error, 0);
    assert_string_equal(get("memory.max"), "402653184");
    assert_string_equal(get("memory.swap.max"), "0");
    assert_string_equal(get("memory.oom.group"), "1");
    assert_string_equal(get("pids.max"), "7");
    assert_string_equal(get("cpu.max"), "10000 20000");
}

static void no_share_leaves_the_cpu_alone(void **state)
{
    (void)state;
    const struct vm_limits l = {.memory_bytes = 64u << 20};
    unsigned missing;
    int error;
    cgroup_limits_set(dir_fd, ALL, &l, 7, &missing, &error);
    assert_int_equal(missing, 0);
    assert_string_equal(get("cpu.max"), "");
}

static void only_controllers_that_are_there_are_written_to(void **state)
{
    (void)state;
    const struct vm_limits l = {.memory_bytes = 64u << 20, .cpu_percent = 50};
    unsigned missing;
    int error;
    cgroup_limits_set(dir_fd, CGROUP_PIDS, &l, 7, &missing, &error);
    assert_int_equal(missing, 0);
    assert_string_equal(get("memory.max"), "");
    assert_string_equal(get("pids.max"), "7");
}

static void a_limit_that_does_not_hold_is_told(void **state)
{
    (void)state;
    const struct vm_limits l = {.memory_bytes = 64u << 20, .cpu_percent = 50};
    unsigned missing;
    int error;
    unlinkat(dir_fd, "cpu.max", 0);
    put("pids.max", "1000"); /* "7" over it is "7000", which is not what was written */
    cgroup_limits_set(dir_fd, ALL, &l, 7, &missing, &error);
    assert_int_equal(missing, CGROUP_PIDS | CGROUP_CPU);
    assert_int_equal(error, -ENOENT);
    unlinkat(dir_fd, "memory.swap.max", 0);
    put("memory.max", "");
    put("memory.oom.group", "");
    cgroup_limits_set(dir_fd, CGROUP_MEMORY, &l, 7, &missing, &error);
    assert_int_equal(missing, 0); /* a kernel without swap */
    unlinkat(dir_fd, "memory.max", 0);
    cgroup_limits_set(dir_fd, CGROUP_MEMORY, &l, 7, &missing, &error);
    assert_int_equal(missing, CGROUP_MEMORY);
}

static void only_a_kill_is_out_of_memory(void **state)
{
    (void)state;
    put("memory.events", "low 0\nhigh 0\nmax 12\noom 3\noom_kill 0\noom_group_kill 0\n");
    assert_false(cgroup_limits_was_oom(dir_fd));
    put("memory.events", "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n");
    assert_true(cgroup_limits_was_oom(dir_fd));
    unlinkat(dir_fd, "memory.events", 0);
    assert_false(cgroup_limits_was_oom(dir_fd));
}

static void controllers_are_named(void **state)
{
    (void)state;
    char text[64], small[8];
    cgroup_limits_text(ALL, text, sizeof text);
    assert_string_equal(text, "memory, pids, cpu");
    cgroup_limits_text(CGROUP_CPU, text, sizeof text);
    assert_string_equal(text, "cpu");
    cgroup_limits_text(0, text, sizeof text);
    assert_string_equal(text, "");
    cgroup_limits_text(ALL, small, sizeof small);
    assert_string_equal(small, "memory,");
}

static int up(void **state)
{
    (void)state;
    if (!unit_make_folder(folder, sizeof folder))
        return -1;
    dir_fd = open(folder, O_PATH | O_DIRECTORY);
    return dir_fd < 0;
}

static int down(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        unlinkat(dir_fd, files[i], 0);
    close(dir_fd);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(controllers_are_whole_words, each_up),
        cmocka_unit_test_setup(what_children_have_is_read_and_not_assumed, each_up),
        cmocka_unit_test_setup(only_what_was_given_is_taken_back, each_up),
        cmocka_unit_test_setup(limits_are_written_as_the_kernel_reads_them, each_up),
        cmocka_unit_test_setup(no_share_leaves_the_cpu_alone, each_up),
        cmocka_unit_test_setup(only_controllers_that_are_there_are_written_to, each_up),
        cmocka_unit_test_setup(a_limit_that_does_not_hold_is_told, each_up),
        cmocka_unit_test_setup(only_a_kill_is_out_of_memory, each_up),
        cmocka_unit_test_setup(controllers_are_named, each_up),
    };
    return cmocka_run_group_tests(tests, up, down);
}
