"""docs/LLDB.md, as it is written: its program, its commands, and what these print."""

import os
import re
import shutil

import guide
from harness import HANG, Failed, check
from lldb_client import compiler

GUIDE = "docs/LLDB.md"
# Of so many commands at least the guide consists.
LEAST = 10


def pattern_of(lines):
    """A line that is "…" alone stands for any lines, in a line "…" for any text."""
    out = ""
    for line in lines:
        if line == "…":
            out += r"(?:.*\n)*?"
        else:
            out += ".*".join(re.escape(part) for part in line.split("…")) + r" *\n"
    return out


def test_every_command_of_the_guide_does_what_it_says(t):
    path = os.path.join(t.source, GUIDE)
    if not os.path.exists(path):
        t.skip("the guide is not beside these tests")
    compiler(t)
    if not shutil.which("lldb-22"):
        t.skip("lldb-22 is not installed")
    with open(path, encoding="utf-8") as f:
        program = re.search(r"^```c\n(.*?)^```", f.read(), re.M | re.S)[1]
    t.file("mean.c", program)
    env = {**t.env, "PATH": f"{t.build}:/usr/bin:/bin", "STILLPOINT_SOCKET": t.daemon.socket, "HOME": t.work}
    commands = [c for c in guide.read(path)[0] if c.mark != "install"]
    check(len(commands) >= LEAST, f"{len(commands)} commands")
    for command in commands:
        r = t.run(["sh", "-c", command.text], env=env, timeout=4 * HANG)
        if r.code not in (0, 20):  # that of the program: wait has it
            raise Failed(f"{command} ended with {r.code}:\n{r.out}{r.err}")
        if not re.fullmatch(pattern_of(command.prints), r.out):
            raise Failed(f"{command} printed\n{r.out}{r.err}and should have\n" + "\n".join(command.prints))
