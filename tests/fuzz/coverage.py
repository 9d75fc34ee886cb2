#!/usr/bin/python3
"""Which lines of the parsers the fuzz corpora reach: `make fuzz-coverage`.

    coverage.py --build DIR TARGET...

DIR is a build with --enable-coverage. Replays every corpus in it, then asks gcov. Prints a row for
each parser, and fails where one has less than 90 % of its lines reached, or a replay fails.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARSERS = ["base/text.c", "base/ini_file.c", "proto/vm_unit.c", "proto/vm_limits.c", "proto/frame.c",
           "proto/parts.c", "proto/unpack.c", "proto/check_api.c", "proto/check_api_audit.c", "proto/check_api_look.c", "proto/check_worker.c", "shared-mem/stop.c", "daemon/facts.c",
           "worker/condition.c", "worker/one_line.c", "worker/daemon_channel.c", "client/decode.c",
           "client/decode_debug.c", "client/events.c", "cli/json.c", "cli/json_debug.c", "cli/parse.c",
           "gateway/gdbserver/packet.c", "gateway/gdbserver/fields.c", "gateway/gdbserver/wasm_module.c"]
LEAST = 90.0


def replay(build, target):
    env = {**os.environ, "srcdir": TOP}
    program = os.path.join(build, "tests", "fuzz", f"replay_{target}")
    p = subprocess.run([program], capture_output=True, text=True, check=False, env=env)
    bad = [line for line in p.stdout.splitlines() if line.startswith(("not ok", "Bail"))]
    if p.returncode != 0 or bad:
        sys.exit(f"replay_{target} ended with {p.returncode}: {bad or p.stderr}")


def forget(build):
    for folder, _, names in os.walk(build):
        for name in names:
            if name.endswith(".gcda"):
                os.unlink(os.path.join(folder, name))


def lines_of(build, tmp):
    """{source: {line: reached}} of all object files."""
    notes = [os.path.join(folder, n) for folder, _, names in os.walk(build) for n in names
             if n.endswith(".gcda")]
    found = {}
    subprocess.run(["gcov", "--json-format", "--preserve-paths", *notes], cwd=tmp, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for name in os.listdir(tmp):
        with gzip.open(os.path.join(tmp, name)) as f:
            data = json.load(f)
        for entry in data["files"]:
            path = os.path.join(data["current_working_directory"], entry["file"])
            lines = found.setdefault(os.path.relpath(os.path.realpath(path), TOP), {})
            for line in entry["lines"]:
                number = line["line_number"]
                lines[number] = lines.get(number, False) or line["count"] > 0
    return found


def main():
    p = argparse.ArgumentParser(description="Line coverage of the parsers by the fuzz corpora.")
    p.add_argument("--build", required=True)
    p.add_argument("--missed", action="store_true", help="name the lines that were not reached")
    p.add_argument("targets", nargs="+")
    options = p.parse_args()
    build = os.path.abspath(options.build)
    forget(build)
    for target in options.targets:
        replay(build, target)
    with tempfile.TemporaryDirectory(prefix="stillpoint-coverage.") as tmp:
        found = lines_of(build, tmp)
    reached = whole = 0
    below = []
    print(f"{'parser':28}{'lines':>7}{'reached':>9}{'%':>7}")
    for source in PARSERS:
        lines = found.get(source, {})
        n, hit = len(lines), sum(lines.values())
        reached, whole = reached + hit, whole + n
        share = 100 * hit / n if n else 0
        if share < LEAST:
            below.append(source)
        print(f"{source:28}{n:>7}{hit:>9}{share:>7.1f}")
        if options.missed:
            print("    not reached:", *[k for k, v in sorted(lines.items()) if not v])
    print(f"{'all':28}{whole:>7}{reached:>9}{100 * reached / whole if whole else 0:>7.1f}")
    if below:
        sys.exit(f"below {LEAST:.0f} %: {' '.join(below)}")


if __name__ == "__main__":
    main()
