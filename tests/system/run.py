#!/usr/bin/python3
"""Runs the system tests: the real daemon, the real sandbox, the real engine.

    run.py [--build DIR] [--results FILE] [--list] [WORD...]

DIR is where stillpointd, stillctl and the worker programs are (default: build/ in the tree). With
words, only tests whose name has one of them are run. Prints TAP. FILE gets one line for each test:
`pass NAME`, `fail NAME` or `skip NAME # REASON`. Exits with 1 when a test failed.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(TOP, "tests", "support"))

import harness  # noqa: E402  pylint: disable=wrong-import-position


def tests_of(path):
    stem = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, value in vars(module).items():
        if name.startswith("test_") and callable(value):
            yield f"{stem[len('test_'):]}/{name[len('test_'):]}", value


def all_tests():
    for entry in sorted(os.listdir(HERE)):
        if entry.startswith("test_") and entry.endswith(".py"):
            yield from tests_of(os.path.join(HERE, entry))


def sandbox_missing():
    """Why no worker can be started here; None if it can."""
    try:
        r = subprocess.run(["unshare", "-Urpmn", "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return "live: unshare(1) is not installed"
    return None if r.returncode == 0 else "live: no user namespaces here (unshare -Urpmn true fails)"


def main():
    p = argparse.ArgumentParser(description="Runs the system tests.")
    p.add_argument("--build", default=os.path.join(TOP, "build"))
    p.add_argument("--results")
    p.add_argument("--list", action="store_true")
    p.add_argument("words", nargs="*")
    options = p.parse_args()

    tests = [(n, f) for n, f in all_tests()
             if not options.words or any(w in n for w in options.words)]
    if options.list:
        print("\n".join(n for n, _ in tests))
        return 0
    build = os.path.abspath(options.build)
    for program in ("stillpointd", "stillctl", "stillpoint-worker-mozjs"):
        if not os.access(os.path.join(build, program), os.X_OK):
            print(f"Bail out! {build}/{program} is not there")
            return 1
    missing = sandbox_missing()
    harness.become_subreaper()
    counts = {"ok": 0, "not ok": 0, "skip": 0}
    words = {"ok": "pass", "not ok": "fail", "skip": "skip"}
    results = open(options.results, "w", encoding="utf-8") if options.results else None
    print(f"1..{len(tests)}", flush=True)
    for number, (name, function) in enumerate(tests, 1):
        start = time.monotonic()
        if missing:
            outcome, text = "skip", missing
        else:
            outcome, text = harness.run_test(function, build, TOP)
        counts[outcome] += 1
        took = time.monotonic() - start
        if outcome == "skip":
            print(f"ok {number} - {name} # SKIP {text}", flush=True)
        else:
            print(f"{outcome} {number} - {name} ({took:.1f} s)", flush=True)
            for line in text.splitlines():
                print(f"# {line}", flush=True)
        if results:
            reason = f" # {text}" if outcome == "skip" else ""
            results.write(f"{words[outcome]} {name}{reason}\n")
    if results:
        results.close()
    print(f"# {counts['ok']} passed, {counts['not ok']} failed, {counts['skip']} skipped")
    return 1 if counts["not ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
