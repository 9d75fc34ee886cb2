#!/usr/bin/python3
"""Runs the tests in a booted systemd.

    run.py [--build DIR] [--results FILE] [--jobs N] [--list] [--tree] [WORD...]

Each test_*.py beside this is a suite: a machine is booted for it, and its functions `test_<sentence>(m)` are
run one after the other, with the Machine of tests/support/booted.py; a machine in which a test failed is
powered off, and the next test has a new one. Suites are run side by side, one more than there are processors (--jobs),
since each waits now and then. A suite may say TREE = "clean" (the distribution alone; else
what `make install` installs is there) and have a function prepare(trees, root), called before the boot. One that
says ON_DEMAND = True takes long, and is run only if a word names it; one that says LONG = True is begun
first. MACHINE = "emulated" is one with a kernel of its
own, of tests/support/emulated.py. What a test returns is a text, which is printed.

DIR is the build folder, which is configured and built; the tree of the distribution is kept in
DIR/booted. --tree only makes that. With words, only tests whose name has one of them are run. Prints TAP.
FILE gets one line for each test: `pass NAME`, `fail NAME` or `skip NAME # REASON`. Exits with 1 when a test
failed. The time that it says at the end is all that it took, also to make what was not there yet.
"""

import argparse
import importlib.util
import multiprocessing
import multiprocessing.connection
import os
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(TOP, "tests", "support"), HERE]

import booted  # noqa: E402  pylint: disable=wrong-import-position
import emulated  # noqa: E402  pylint: disable=wrong-import-position
from harness import Failed, Skip  # noqa: E402  pylint: disable=wrong-import-position

# Set in the mount namespace of our own: when the first of us began.
INSIDE = "STILLPOINT_BOOTED_INSIDE"


class Suite:
    def __init__(self, path):
        self.name = os.path.splitext(os.path.basename(path))[0][len("test_"):]
        spec = importlib.util.spec_from_file_location(f"booted_{self.name}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.tree = getattr(module, "TREE", "installed")
        self.prepare = getattr(module, "prepare", None)
        self.machine = emulated.Machine if getattr(module, "MACHINE", "") == "emulated" else booted.Machine
        self.long = getattr(module, "LONG", False)
        self.on_demand = getattr(module, "ON_DEMAND", False)
        self.tests = [(f"booted/{self.name}/{n[len('test_'):]}", f) for n, f in vars(module).items()
                      if n.startswith("test_") and callable(f)]


class Report:
    def __init__(self, total, path):
        self.number, self.counts = 0, {"pass": 0, "fail": 0, "skip": 0}
        self.file = open(path, "w", encoding="utf-8") if path else None
        print(f"1..{total}", flush=True)

    def add(self, name, outcome, text, took=0.0):
        self.number += 1
        self.counts[outcome] += 1
        if outcome == "skip":
            print(f"ok {self.number} - {name} # SKIP {text}", flush=True)
        else:
            print(f"{'ok' if outcome == 'pass' else 'not ok'} {self.number} - {name} ({took:.1f} s)", flush=True)
            for line in text.splitlines():
                print(f"# {line}", flush=True)
        if self.file:
            self.file.write(f"{outcome} {name}{f' # {text}' if outcome == 'skip' else ''}\n")
            self.file.flush()

    def end(self, took):
        c = self.counts
        print(f"# {c['pass']} passed, {c['fail']} failed, {c['skip']} skipped in {took:.0f} s")
        return 1 if c["fail"] else 0


def run_test(function, machine):
    """Returns (outcome, text)."""
    outcome, text = "pass", ""
    try:
        text = function(machine) or ""
    except Skip as e:
        outcome, text = "skip", str(e)
    except Failed as e:
        where = [f for f in traceback.extract_tb(e.__traceback__) if os.path.basename(f.filename).startswith("test_")]
        at = f"{os.path.basename(where[-1].filename)}:{where[-1].lineno}: " if where else ""
        outcome, text = "fail", f"{at}{e}"
    except Exception:  # pylint: disable=broad-except
        outcome, text = "fail", traceback.format_exc()
    journal = ""
    if outcome == "fail":
        try:
            journal = machine.journal("-n", "40")
        except Exception:  # pylint: disable=broad-except
            journal = machine.console_text()
    try:
        wrong = machine.reset()
    except Exception:  # pylint: disable=broad-except
        wrong = [traceback.format_exc()]
    if wrong:
        outcome, text = "fail", "\n".join([text, *wrong]).strip()
    if journal:
        text += "\nthe journal ends with:\n" + "\n".join("  " + line for line in journal.splitlines())
    return outcome, text


def run_suite(suite, trees, add):
    machine = None
    for name, function in suite.tests:
        start = time.monotonic()
        try:
            if machine is None:
                machine = suite.machine(trees, suite.tree, suite.prepare)
            outcome, text = run_test(function, machine)
        except Skip as e:
            outcome, text = "skip", str(e)
        except Exception:  # pylint: disable=broad-except
            outcome, text = "fail", traceback.format_exc()
        if machine and (outcome == "fail" or function is suite.tests[-1][1]):
            wrong = machine.end()
            machine = None
            if wrong:
                outcome, text = "fail", "\n".join([text, *wrong]).strip()
        add(name, outcome, text, time.monotonic() - start)


def run_lane(suites, trees, turn, results):
    """One suite after the other, of those that no other lane has taken."""
    while True:
        with turn.get_lock():
            number, turn.value = turn.value, turn.value + 1
        if number >= len(suites):
            return
        run_suite(suites[number], trees, lambda *result: results.send(result))


def start_lane(*args):
    """Returns where its results come from, which ends with it, and its process."""
    fork = multiprocessing.get_context("fork")
    results, to = fork.Pipe(duplex=False)
    lane = fork.Process(target=run_lane, args=(*args, to))
    lane.start()
    to.close()
    return results, lane


def run_side_by_side(suites, trees, report, jobs):
    """The longest first, so that none of them is left for the end: those that say so, and those with the most tests."""
    suites = sorted(suites, key=lambda s: (not s.long, -len(s.tests)))
    turn = multiprocessing.get_context("fork").Value("i", 0)
    lanes = dict(start_lane(suites, trees.of_lane(n), turn) for n in range(min(jobs, len(suites))))
    left = [n for s in suites for n, _ in s.tests]
    while lanes:
        for results in multiprocessing.connection.wait(lanes):
            try:
                result = results.recv()
            except EOFError:
                lanes.pop(results).join()
                continue
            left.remove(result[0])
            report.add(*result)
    for name in left:
        report.add(name, "fail", "whoever ran it has ended")


def arguments():
    p = argparse.ArgumentParser(description="Runs the tests in a booted systemd.")
    p.add_argument("--build", default=os.path.join(TOP, "build"))
    p.add_argument("--results")
    p.add_argument("--jobs", type=int, default=os.cpu_count() + 1, help="how many suites at once")
    p.add_argument("--list", action="store_true")
    p.add_argument("--tree", action="store_true", help="only make the tree of the distribution")
    p.add_argument("words", nargs="*")
    return p.parse_args()


def all_suites(words):
    suites = [Suite(os.path.join(HERE, n)) for n in sorted(os.listdir(HERE))
              if n.startswith("test_") and n.endswith(".py")]
    for suite in suites:
        wanted = [w for w in words if not suite.on_demand or suite.name in w]
        suite.tests = [(n, f) for n, f in suite.tests
                       if any(w in n for w in wanted) or not (words or suite.on_demand)]
    return [s for s in suites if s.tests]


def main():
    begun = float(os.environ.get(INSIDE, time.monotonic()))
    options = arguments()
    suites = all_suites(options.words)
    if options.list:
        print("\n".join(n for s in suites for n, _ in s.tests))
        return 0
    missing = booted.why_not()
    if not missing and INSIDE not in os.environ:
        os.environ[INSIDE] = str(begun)
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", "--",
                              sys.executable, "-B", os.path.abspath(__file__), *sys.argv[1:]])
    report = Report(sum(len(s.tests) for s in suites), options.results)
    build = os.path.abspath(options.build)
    with tempfile.TemporaryDirectory(prefix="stillpoint-booted.") as scratch:
        trees = None
        if not missing:
            booted.run("mount", "-t", "cgroup2", "none", booted.CGROUPS)
            booted.run("mount", "-t", "tmpfs", "-o", "mode=0755", "none", scratch)
            try:
                trees = booted.Trees(build, TOP, scratch)
                print(f"# the tree is there after {time.monotonic() - begun:.1f} s", flush=True)
                missing = booted.why_no_nspawn(trees.clean)
            except Skip as e:
                missing = str(e)
        if missing and not options.tree:
            for name in (n for s in suites for n, _ in s.tests):
                report.add(name, "skip", missing)
        elif not options.tree:
            try:
                trees.ungroup_sessions()
                run_side_by_side(suites, trees, report, options.jobs)
            finally:
                trees.end()
        if trees:
            subprocess.run(["umount", scratch], check=False)
    if options.tree:
        print(f"# {missing or trees.clean}")
    return report.end(time.monotonic() - begun)


if __name__ == "__main__":
    sys.exit(main())
