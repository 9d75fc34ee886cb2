#!/usr/bin/env python3
"""Octane inside a sandboxed VM against the engine's own shell, interleaved in one run.

    octane.py [--build DIR] [--rounds N] [--octane DIR] [--suites A,B,…]

Gets npm's benchmark-octane into a temporary directory, or takes an unpacked copy from DIR. Both
sides run the same text with the same number of helper threads and the same garbage collector
settings (those of the worker are given to the shell by its gcparam()). Prints one table: the median
score of each suite on both sides, the ratio, and the geometric mean of the ratios.
"""

import argparse
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
SUITES = ["richards", "deltablue", "crypto", "raytrace", "earley-boyer", "regexp", "splay",
          "navier-stokes", "pdfjs", "mandreel", "gbemu-part1", "gbemu-part2", "code-load", "box2d",
          "zlib", "zlib-data", "typescript", "typescript-input", "typescript-compiler"]
HELPERS = 3  # the adapter starts no fewer
HEAP_MB = 2048

# What mozjs_init.cc sets, for the shell.
SHELL_SETTINGS = f"""
gcparam('maxBytes', {HEAP_MB} * 1024 * 1024);
gcparam('incrementalGCEnabled', 1);
gcparam('sliceTimeBudgetMS', 5);
"""

RUN = """
BenchmarkSuite.RunSuites({
    NotifyResult: (name, result) => out(name + ': ' + result),
    NotifyError: (name, error) => out(name + ': error ' + error),
    NotifyScore: (score) => out('Score: ' + score),
});
"""


def fetch(folder):
    subprocess.run(["npm", "pack", "--silent", "benchmark-octane"], cwd=folder, check=True,
                   stdout=subprocess.DEVNULL)
    archive = [f for f in os.listdir(folder) if f.endswith(".tgz")][0]
    subprocess.run(["tar", "-xzf", archive], cwd=folder, check=True)
    return os.path.join(folder, "package", "lib", "octane")


def program(source, head, suites):
    parts = [head, "var read = () => {}, load = () => {}, print = out;"]
    for name in ["base", *suites]:
        path = os.path.join(source, f"{name}.js")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                parts.append(f.read())
    return "\n;\n".join([*parts, RUN])


def scores(args):
    r = subprocess.run(args, capture_output=True, text=True, check=False)
    found = {m[1]: float(m[2]) for m in re.finditer(r"^([A-Za-z0-9]+): ([0-9.]+)$", r.stdout, re.M)}
    if r.returncode != 0 or "Score" not in found:
        sys.exit(f"{' '.join(args)} ended with {r.returncode}:\n{r.stdout}{r.stderr}")
    return found


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default=os.path.join(TOP, "build"))
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--octane")
    p.add_argument("--suites", default=",".join(SUITES))
    options = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = options.octane or fetch(folder)
        suites = options.suites.split(",")
        ours, theirs = os.path.join(folder, "octane.js"), os.path.join(folder, "shell.js")
        with open(ours, "w", encoding="utf-8") as f:
            f.write(program(source, "var out = (t) => console.log(t);", suites))
        with open(theirs, "w", encoding="utf-8") as f:
            f.write(program(source, SHELL_SETTINGS + "var out = globalThis.print;", suites))
        vm = [os.path.join(options.build, "stillctl"), "--private", "run", "--memory",
              f"{HEAP_MB}M", ours]
        shell = ["js102", f"--thread-count={HELPERS}", theirs]
        results = {"vm": [], "shell": []}
        for number in range(options.rounds):
            # Who goes first changes, so that a machine that warms up favours nobody.
            order = [("vm", vm), ("shell", shell)]
            for name, args in order if number % 2 == 0 else reversed(order):
                results[name].append(scores(args))
    print(f"Octane, {options.rounds} interleaved rounds, {HELPERS} helper threads, median scores")
    print(f"{'suite':<16}{'js102':>10}{'VM':>10}{'ratio':>8}")
    logs = []
    for suite in results["shell"][0]:
        a = statistics.median(r[suite] for r in results["shell"])
        b = statistics.median(r[suite] for r in results["vm"])
        if suite != "Score":
            logs.append(math.log(b / a))
        print(f"{suite:<16}{a:>10.0f}{b:>10.0f}{b / a:>8.3f}")
    print(f"geometric mean of the ratios {math.exp(sum(logs) / len(logs)):.3f}")


if __name__ == "__main__":
    main()
