#!/usr/bin/python3
"""Whether auditors are told of what the engine's own shell sees through its Debugger, in the same
order: each program of programs/ runs in js102 under record_js102.js, and in engine-host. Prints TAP.

    differential.py [WORD...]

Runs in the build folder. A program NAME.mjs may import others by "./NAME.mjs" from there; those
whose names begin with "_" are only imported.
"""

import difflib
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = os.path.join(HERE, "programs")
HOST = os.path.abspath("tests/support/engine_host/engine-host")
KINDS = ("enter-frame,pop,step,debugger-statement,unwind,new-script,new-promise,promise-settled")
PATIENCE = 240


def in_shell(shell, program):
    done = subprocess.run([shell, os.path.join(HERE, "record_js102.js"), PROGRAMS, program],
                          capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def value_of(hit):
    value = hit.get("value")
    if value is None:
        return ""
    kind = {8: "object", 9: "function", 7: "symbol"}.get(value["type"])
    if kind:
        return kind
    text = value["preview"]
    return text[1:-1] if value["type"] == 6 else text.rstrip("n") if value["type"] == 5 else text


def line_of(hit):
    kind = hit["hit"]
    if kind == "new-script":
        return f"{kind} wasm" if hit["wasm"] else f"{kind} {hit['url']}:{hit['line']}"
    place = "nowhere"
    if hit["wasm"]:
        place = f"wasm +{hit['offset']}"
    elif hit["frame"]:
        place = f"{hit['function'] or '-'} {hit['url']}:{hit['line']}:{hit['column']}"
    line = f"{kind} {place}"
    if kind in ("pop", "promise-settled"):
        line += f" {hit['completion']} {value_of(hit)}"
    if kind == "unwind":
        line += f" {value_of(hit)}"
    return line


def in_host(program):
    with tempfile.TemporaryFile() as f:
        subprocess.run([HOST, "--debug", f"--audit={KINDS}", f"--report={f.fileno()}", program],
                       cwd=PROGRAMS, pass_fds=(f.fileno(),), timeout=PATIENCE, check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        f.seek(0)
        hits = [h for h in map(json.loads, f) if "hit" in h]
    return [line_of(h) for h in hits
            if h["hit"] != "step" or h["start"] or h["wasm"]]


def compare(shell, program):
    wanted, got = in_shell(shell, program), in_host(program)
    if program.endswith(".mjs"):
        # The shell loads modules with promises of its own.
        wanted, got = ([li for li in lines if " nowhere" not in li] for lines in (wanted, got))
    assert wanted, "the shell saw nothing"
    return list(difflib.unified_diff(wanted, got, "js102", "engine-host", lineterm="", n=3)), got


def main():
    words = sys.argv[1:]
    programs = sorted(p for p in os.listdir(PROGRAMS)
                      if not p.startswith("_") and (not words or any(w in p for w in words)))
    shell = shutil.which("js102")
    if not shell:
        print("1..0 # SKIP there is no js102, which libmozjs-102-dev has")
        return 0
    print(f"1..{len(programs)}", flush=True)
    failed = 0
    for number, program in enumerate(programs, 1):
        try:
            difference, lines = compare(shell, program)
        except (AssertionError, subprocess.TimeoutExpired) as e:
            difference, lines = [str(e)], []
        failed += bool(difference)
        print(f"{'not ok' if difference else 'ok'} {number} - {program} ({len(lines)} events)",
              flush=True)
        for line in difference:
            print(f"# {line}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
