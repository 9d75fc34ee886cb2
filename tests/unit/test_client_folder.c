/* A program's files come from below its folder, and nothing else does. */
#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/stillpoint.h"

static char top[256];
static int folder; /* top/program, as a descriptor */

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static const char *const folders[] = {"program", "program/lib", "program/lib/deep", "program/.git",
                                      "outside"};
static const char *const files[] = {
    "secret.js",        "program/app.js",     "program/.hidden.js",    "program/lib/a.js",
    "program/lib/b.js", "program/lib/c.json", "program/lib/deep/d.js", "program/.git/config.js",
    "outside/e.js",
};

static int make_tree(void **state)
{
    (void)state;
    if (!unit_make_folder(top, sizeof top) || chdir(top) < 0)
        return -1;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (mkdir(folders[i], 0700) < 0)
            return -1;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        write_file(files[i], files[i]);
    if (symlink("../secret.js", "program/link.js") < 0 || symlink("lib", "program/liblink") < 0 ||
        symlink("../outside", "program/out") < 0 || mkfifo("program/fifo", 0600) < 0)
        return -1;
    folder = stillpoint_folder_open("program/app.js");
    return folder < 0 ? -1 : 0;
}

static int remove_tree(void **state)
{
    static const char *const links[] = {"program/link.js", "program/liblink", "program/out",
                                        "program/fifo"};
    (void)state;
    close(folder);
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        unlink(links[i]);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(files[i]);
    for (size_t i = sizeof folders / sizeof *folders; i > 0; i--)
        if (strcmp(folders[i - 1], "program") != 0)
            rmdir(folders[i - 1]);
    return rmdir("program") < 0 || chdir("/") < 0 || rmdir(top) < 0 ? -1 : 0;
}

static void a_file_below_the_folder_comes_sealed(void **state)
{
    char text[64] = "";
    (void)state;
    int fd = stillpoint_folder_read(folder, "lib/deep/d.js");
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, text, sizeof text - 1, 0), (ssize_t)strlen("program/lib/deep/d.js"));
    assert_string_equal(text, "program/lib/deep/d.js");
    assert_int_equal(fcntl(fd, F_GET_SEALS),
                     F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    close(fd);
}

static void nothing_else_can_be_read(void **state)
{
    static const struct {
        const char *path;
        int error;
        const char *says;
    } cases[] = {
        {"../secret.js", -EXDEV, "not a path below the program's folder"},
        {"lib/../app.js", -EXDEV, "not a path below the program's folder"},
        {"/etc/passwd", -EXDEV, "not a path below the program's folder"},
        {"", -EXDEV, "not a path below the program's folder"},
        {"lib//a.js", -EXDEV, "not a path below the program's folder"},
        {"./app.js", -EXDEV, "not a path below the program's folder"},
        {"link.js", -ELOOP, "is a symbolic link, or below one"},
        {"liblink/a.js", -ELOOP, "is a symbolic link, or below one"},
        {"out/e.js", -ELOOP, "is a symbolic link, or below one"},
        {"none.js", -ENOENT, "no such file"},
        {"app.js/a.js", -ENOTDIR, "no such file"},
        {"lib", -EISDIR, "is a directory"},
        {"fifo", -ENODEV, "not a regular file"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int r = stillpoint_folder_read(folder, cases[i].path);
        assert_int_equal(r, cases[i].error);
        assert_string_equal(stillpoint_file_error(r), cases[i].says);
    }
}

static void a_file_larger_than_64_mib_is_refused(void **state)
{
    (void)state;
    int fd = open("program/large", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 64 * 1024 * 1024 + 1), 0);
    close(fd);
    int r = stillpoint_folder_read(folder, "large");
    unlink("program/large");
    assert_int_equal(r, -EFBIG);
    assert_string_equal(stillpoint_file_error(r), "larger than 64 MiB");
}

static void an_empty_file_is_a_file(void **state)
{
    struct stat st;
    (void)state;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fd = stillpoint_memfd_from(null);
    close(null);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 0);
    close(fd);
}

static void assert_glob(const char *glob, ssize_t matched, const char *joined)
{
    struct stillpoint_paths paths = {0};
    char all[512] = "";
    assert_int_equal(stillpoint_folder_glob(folder, glob, &paths), matched);
    for (size_t i = 0; i < paths.n; i++) {
        strcat(all, paths.items[i]);
        strcat(all, " ");
    }
    assert_string_equal(all, joined);
    stillpoint_paths_done(&paths);
}

static void globs_match_files_component_by_component(void **state)
{
    (void)state;
    assert_glob("lib/*.js", 2, "lib/a.js lib/b.js ");
    assert_glob("*/*", 3, "lib/a.js lib/b.js lib/c.json ");
    assert_glob("*", 1, "app.js ");
    assert_glob("lib/[!a].js", 1, "lib/b.js ");
    assert_glob("lib/deep/d.js", 1, "lib/deep/d.js ");
    assert_glob("none/*", 0, "");
    assert_glob("lib", 0, "");
}

static void dots_are_matched_by_dots_only(void **state)
{
    (void)state;
    assert_glob(".*.js", 1, ".hidden.js ");
    assert_glob("?hidden.js", 0, "");
    assert_glob(".git/*", 1, ".git/config.js ");
}

static void symbolic_links_match_nothing(void **state)
{
    (void)state;
    assert_glob("link.js", 0, "");
    assert_glob("out/*", 0, "");
    assert_glob("liblink/*", 0, "");
    assert_glob("fifo", 0, "");
}

static void globs_that_leave_the_folder_are_refused(void **state)
{
    static const char *const bad[] = {"", "/etc/*", "../*", "lib/../*", "./*", "lib//*", "lib/"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_glob(bad[i], -EINVAL, "");
}

static void several_globs_give_each_file_once(void **state)
{
    struct stillpoint_paths paths = {0};
    (void)state;
    assert_int_equal(stillpoint_folder_glob(folder, "lib/b.js", &paths), 1);
    assert_int_equal(stillpoint_folder_glob(folder, "lib/*.js", &paths), 2);
    assert_int_equal(paths.n, 2);
    assert_string_equal(paths.items[0], "lib/a.js");
    stillpoint_paths_done(&paths);
}

static void the_name_says_what_kind_of_program_it_is(void **state)
{
    (void)state;
    assert_int_equal(stillpoint_source_kind_of("a.mjs"), STILLPOINT_SOURCE_MODULE);
    assert_int_equal(stillpoint_source_kind_of("a.b.wasm"), STILLPOINT_SOURCE_WASM);
    assert_int_equal(stillpoint_source_kind_of("a.js"), STILLPOINT_SOURCE_SCRIPT_OR_MODULE);
    assert_int_equal(stillpoint_source_kind_of("mjs"), STILLPOINT_SOURCE_SCRIPT_OR_MODULE);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_file_below_the_folder_comes_sealed),
    cmocka_unit_test(nothing_else_can_be_read),
    cmocka_unit_test(a_file_larger_than_64_mib_is_refused),
    cmocka_unit_test(an_empty_file_is_a_file),
    cmocka_unit_test(globs_match_files_component_by_component),
    cmocka_unit_test(dots_are_matched_by_dots_only),
    cmocka_unit_test(symbolic_links_match_nothing),
    cmocka_unit_test(globs_that_leave_the_folder_are_refused),
    cmocka_unit_test(several_globs_give_each_file_once),
    cmocka_unit_test(the_name_says_what_kind_of_program_it_is),
};

int main(void)
{
    int before = unit_open_fds();
    int failed = cmocka_run_group_tests(tests, make_tree, remove_tree);
    return failed ? failed : unit_open_fds() == before ? 0 : 99;
}
