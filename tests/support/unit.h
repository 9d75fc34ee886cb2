/*
 * unit.h: what every cmocka test includes. cmocka.h needs these headers before it, in this order.
 *
 * The name of a test is a sentence in C: a_queue_never_grows_beyond_its_bound(). UNIT_MAIN runs the
 * tests and then fails the program if one of them left a file descriptor open.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/** How many file descriptors this process has open. */
static inline int unit_open_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        return -1;
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/** Makes an empty folder of the test's own below $TMPDIR; false if that cannot be. */
static inline bool unit_make_folder(char *path, size_t size)
{
    const char *tmp = getenv("TMPDIR");
    int n = snprintf(path, size, "%s/stillpoint-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    return n > 0 && (size_t)n < size && mkdtemp(path) != NULL;
}

static inline void unit_skipped(void **state)
{
    (void)state;
}

/** Has the test skipped for this reason. Not cmocka's skip(): that has no reason, and its TAP says
 * "not ok". */
static inline void unit_skip(struct CMUnitTest *test, const char *why)
{
    char *name = NULL;
    if (asprintf(&name, "%s # SKIP %s", test->name, why) < 0)
        abort();
    test->name = name; /* until the end of the program */
    test->test_func = unit_skipped;
}

static inline void unit_prepare_nothing(void) {}

/** With a function that runs first and may skip some. */
#define UNIT_MAIN_PREPARED(tests, prepare)                                                         \
    int main(void)                                                                                 \
    {                                                                                              \
        prepare();                                                                                 \
        int before = unit_open_fds();                                                              \
        int failed = cmocka_run_group_tests(tests, NULL, NULL);                                    \
        int after = unit_open_fds();                                                               \
        if (failed == 0 && after != before) {                                                      \
            fprintf(stderr, "file descriptors leaked: %d before, %d after\n", before, after);      \
            return 99;                                                                             \
        }                                                                                          \
        return failed;                                                                             \
    }

#define UNIT_MAIN(tests) UNIT_MAIN_PREPARED(tests, unit_prepare_nothing)
