#!/usr/bin/python3
"""The units that `make install` installs, by systemd's own judgement, without booting one. Run by `make check`
in the build folder; prints TAP."""

import os
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILT = os.path.join("packaging", "systemd", "stillpointd.service")
ENDED = os.path.join("packaging", "systemd", "stillpointd-ended.service")
PROGRAMS = {"stillpointd": "stillpointd", "stillpointd-stopped": os.path.join("packaging", "systemd", "stillpointd-stopped")}
GIVEN = os.path.join(TOP, "packaging", "systemd")
THRESHOLD = 20  # of 100: an exposure of 2.0


def analyze(*args):
    p = subprocess.run(["systemd-analyze", *args], capture_output=True, text=True, check=False,
                       env={**os.environ, "SYSTEMD_COLORS": "0"})
    return p.returncode, (p.stdout + p.stderr).strip()


def verify(folder):
    """Every unit, with a program that is here in place of the one that will be installed."""
    units = []
    for name in sorted(os.listdir(GIVEN)):
        if name.endswith((".socket", ".slice")):
            shutil.copy(os.path.join(GIVEN, name), folder)
            units.append(name)
    for path in (BUILT, ENDED):
        with open(path, encoding="utf-8") as f:
            lines = f.read().splitlines()
        for i, line in enumerate(lines):
            key, equals, value = line.partition("=")
            program, *rest = value.split() or [""]
            built = PROGRAMS.get(os.path.basename(program.lstrip("+")))
            if key.startswith("Exec") and built:
                lines[i] = key + equals + " ".join([os.path.abspath(built), *rest])
        with open(os.path.join(folder, os.path.basename(path)), "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        units.append(os.path.basename(path))
    code, text = analyze("verify", "--man=no", *(os.path.join(folder, u) for u in units))
    # Of the host's own units we know nothing.
    ours = [line for line in text.splitlines() if "stillpoint" in line]
    return (code == 0 or not ours) and not ours, text


def exposure():
    code, text = analyze("security", "--offline=true", f"--threshold={THRESHOLD}", "--no-pager", BUILT)
    return code == 0 and "Overall exposure level" in text, text


def main():
    names = ("systemd finds nothing wrong with the units", "the service is exposed by no more than 2.0 of 10")
    print(f"1..{len(names)}")
    if shutil.which("systemd-analyze") is None:
        for number, name in enumerate(names, 1):
            print(f"ok {number} - {name} # SKIP systemd-analyze is not installed")
        return 0
    failed = 0
    with tempfile.TemporaryDirectory(prefix="stillpoint-units.") as folder:
        for number, (name, (fine, text)) in enumerate(zip(names, (verify(folder), exposure())), 1):
            print(f"{'ok' if fine else 'not ok'} {number} - {name}")
            if not fine:
                failed += 1
                print("\n".join(f"# {line}" for line in text.splitlines()))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
