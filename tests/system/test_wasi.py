"""A C program compiled for wasm32-wasi by clang and run as it is."""

import os
import shutil
import subprocess

from harness import check, equal

PROGRAM = r"""
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double sum(const double *v, int n)
{
    double s = 0;
    for (int i = 0; i < n; i++)
        s += v[i];
    return s;
}

int main(int argc, char **argv)
{
    double *v = malloc(1000 * sizeof *v);
    for (int i = 0; i < 1000; i++)
        v[i] = i;
    printf("argc %d, last argument %s, sum %.1f\n", argc, argv[argc - 1], sum(v, 1000));
    char line[100];
    while (fgets(line, sizeof line, stdin))
        printf("read: %s", line);
    struct timespec before, after, nap = {.tv_nsec = 20000000};
    clock_gettime(CLOCK_MONOTONIC, &before);
    nanosleep(&nap, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    double ms = (after.tv_sec - before.tv_sec) * 1e3 + (after.tv_nsec - before.tv_nsec) / 1e6;
    printf("slept long enough: %s\n", ms >= 20 ? "yes" : "no");
    printf("no files: %s\n", fopen("/etc/passwd", "r") ? "open" : strerror(errno));
    fprintf(stderr, "to stderr\n");
    return 42;
}
"""


def compiler(t):
    for name in ("clang-22", "clang"):
        path = shutil.which(name)
        if path and os.path.isdir("/usr/include/wasm32-wasi"):
            return path
    return t.skip("clang with wasi-libc is not installed")


def build(t, name, text):
    source, out = t.file(f"{name}.c", text), os.path.join(t.work, f"{name}.wasm")
    r = subprocess.run([compiler(t), "--target=wasm32-wasi", "--sysroot=/usr", "-O1", "-o", out, source],
                       capture_output=True, text=True, check=False)
    check(r.returncode == 0, r.stderr)
    return out


def test_a_c_program_prints_reads_sleeps_and_returns_its_code(t):
    path = build(t, "app", PROGRAM)
    r = t.ctl("run", path, "one", "two words", stdin=b"first\nsecond\n", code=42)
    lines = r.out.splitlines()
    equal(lines[:4], ["argc 3, last argument two words, sum 499500.0", "read: first", "read: second",
                      "slept long enough: yes"])
    check(lines[4].startswith("no files: ") and lines[4] != "no files: open", lines)
    equal(r.err, "to stderr\n")


def test_a_crash_in_c_is_a_trap(t):
    path = build(t, "crash", "int main(void) { __builtin_trap(); }")
    r = t.ctl("run", path, code=134)
    check("unreachable" in r.err, r)
