#!/usr/bin/python3
"""Runs libFuzzer targets and says what they did: `make fuzz`.

    run.py --build DIR [--seconds N] [--keep DIR] TARGET...

DIR is the build that `make fuzz` makes. Each target starts with its committed corpus and dictionary,
in a copy: what it finds goes to DIR/found/TARGET, or below --keep, and what kills it to DIR/crashes.
Fails if a target crashed, hung, leaked, was refused or accepted nothing at all, or made so few runs
that it did not really run.
"""

import argparse
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# Runs in a second that every target makes even where two others want the CPU. A program of requests
# to a whole daemon takes longer than a text.
FEWEST = {"daemon": 15, "client": 50, "command": 50, "status": 50, "frame": 50, "settings": 50}
FEWEST_ELSE = 500
MAX_BYTES = {"check_api": 8192, "check_worker": 8192, "client": 8192, "command": 8192,
             "daemon": 16384, "frame": 8192, "status": 2048, "text": 512, "words": 256,
             "condition": 512, "settings": 2048, "gdb": 2048, "wasm_module": 2048}
LIMITS = ["-timeout=25", "-rss_limit_mb=2048", "-print_final_stats=1", "-reload=0"]
ENVIRONMENT = {"ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:allocator_may_return_null=1",
               "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}


def number(pattern, text, otherwise=0):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else otherwise


def run(build, keep, target, seconds):
    """Returns a row of the table and what was wrong, or None."""
    found, crashes = os.path.join(keep, target), os.path.join(build, "crashes", "")
    for folder in (found, crashes):
        os.makedirs(folder, exist_ok=True)
    dictionary = os.path.join(HERE, "dictionaries", f"{target}.dict")
    argv = [os.path.join(build, "tests", "fuzz", f"fuzz_{target}"), f"-max_total_time={seconds}",
            f"-max_len={MAX_BYTES[target]}", f"-artifact_prefix={crashes}{target}-", *LIMITS]
    if os.path.exists(dictionary):
        argv.append(f"-dict={dictionary}")
    argv += [found, os.path.join(HERE, "corpus", target)]
    p = subprocess.run(argv, capture_output=True, check=False, env={**os.environ, **ENVIRONMENT})
    text = p.stderr.decode("utf-8", "replace")
    runs = number(r"stat::number_of_executed_units: *(\d+)", text)
    row = (target, runs, number(r"cov: (\d+)", text), number(r"corp: (\d+)", text),
           number(r"fuzz: accepted (\d+)", text), number(r"fuzz: accepted \d+, refused (\d+)", text))
    wrong = None
    fewest = FEWEST.get(target, FEWEST_ELSE) * seconds
    if p.returncode != 0:
        wrong = f"ended with {p.returncode}:\n" + "\n".join(text.splitlines()[-60:])
    elif runs < fewest:
        wrong = f"made {runs} runs, and has to make {fewest}"
    elif row[4] == 0 or row[5] == 0:
        wrong = f"accepted {row[4]} and refused {row[5]}: it does not reach what it is there for"
    return row, wrong


def main():
    p = argparse.ArgumentParser(description="Runs the fuzz targets.")
    p.add_argument("--build", required=True)
    p.add_argument("--seconds", type=int, default=60)
    p.add_argument("--keep")
    p.add_argument("targets", nargs="+")
    options = p.parse_args()
    keep = options.keep or os.path.join(options.build, "found")
    failed = 0
    print(f"{'target':14}{'runs':>10}{'edges':>8}{'corpus':>8}{'accepted':>10}{'refused':>10}",
          flush=True)
    for target in options.targets:
        row, wrong = run(options.build, keep, target, options.seconds)
        print(f"{row[0]:14}{row[1]:>10}{row[2]:>8}{row[3]:>8}{row[4]:>10}{row[5]:>10}", flush=True)
        if wrong:
            failed += 1
            print(f"{target}: {wrong}", flush=True)
    print(f"{len(options.targets) - failed} of {len(options.targets)} targets ran for "
          f"{options.seconds} s each without a fault")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
