"""The LLDB gateway and stock LLDBs for system tests, and C programs compiled for them."""

import json
import os
import re
import select
import shutil
import subprocess
import tempfile

from harness import HANG, Failed, check, thread_cpu_ns, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
# LLDB reads a module in small pieces before it says anything.
LONG = 3 * HANG
LLDB_PYTHON = "/usr/bin/python3"


class LldbError(AssertionError):
    """LLDB said no."""


def compiler(t, wasi=True):
    path = shutil.which("clang-22")
    if not path or not shutil.which("wasm-ld-22"):
        t.skip("clang-22 with lld-22 is not installed")
    if wasi and not os.path.isdir("/usr/include/wasm32-wasi"):
        t.skip("wasi-libc is not installed")
    return path


def compiled(t, name, text, optimize="-O0", wasi=True, flags=()):
    """Compiles C for WebAssembly with DWARF; returns the path of the module. Without wasi it is a library of its
    exported functions."""
    source, out = t.file(f"{name}.c", text), os.path.join(t.work, f"{name}.wasm")
    kind = ["--target=wasm32-wasi", "--sysroot=/usr"] if wasi else \
        ["--target=wasm32-unknown-unknown", "-nostdlib", "-Wl,--no-entry"]
    r = subprocess.run([compiler(t, wasi), *kind, "-g", optimize, *flags, "-o", out, source],
                       capture_output=True, text=True, check=False)
    check(r.returncode == 0, r.stderr)
    return out


def line_of(text, mark):
    """The number of the line with the comment /* mark */."""
    found = [n for n, line in enumerate(text.splitlines(), 1) if f"/* {mark} */" in line]
    check(len(found) == 1, f"one line is marked {mark}: {found}")
    return found[0]


def number(text):
    return int(re.match(r"-?(0x[0-9a-f]+|\d+)", text).group(), 0)


def runs(pid, what="the VM"):
    """It is on a CPU, and was not stopped for good."""
    before = thread_cpu_ns(pid)
    wait_until(lambda: thread_cpu_ns(pid) > before + 1000000, f"{what} runs")


def errors():
    """A file, and no pipe that nobody reads: what fills one stands still."""
    return tempfile.TemporaryFile("w+", encoding="utf-8")


def said(file):
    file.seek(0)
    return file.read()


class Gateway:
    """A stillpoint-gdbserver of the test's daemon; ended after the test, where it has not ended before."""

    def __init__(self, t, *args, what=("--world", "default"), listen=None, wrapper=()):
        self.t = t
        self.path = os.path.join(t.run_dir, f"lldb-{len(t.running)}.sock")
        argv = [*wrapper, t.program("stillpoint-gdbserver"), "--socket", t.daemon.socket, *what,
                *(listen or ("--listen", self.path)), *args]
        self.errors = errors()
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=self.errors, env=t.env, cwd=t.work, text=True)
        t.running.append(self.process)
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"the gateway ended with {self.process.wait(HANG)}: {said(self.errors)}")
        check(line.startswith("listening on "), line)
        self.url = line.split()[-1]

    @classmethod
    def over_tcp(cls, t):
        return cls(t, listen=("--tcp", "0"))

    def stop(self):
        """Ends it as a user would; returns its exit code."""
        self.process.terminate()
        return self.process.wait(HANG)


class Lldb:
    """A stock LLDB in a process of its own. Each function of support/lldb_driver.py is one of this."""

    def __init__(self, t, gateway=None):
        if not os.path.isdir("/usr/lib/llvm-22") or subprocess.run(
                [LLDB_PYTHON, "-c", "import lldb"], capture_output=True, check=False).returncode != 0:
            t.skip("lldb-22 with python3-lldb-22 is not installed")
        self.errors = errors()
        self.process = subprocess.Popen(
            [LLDB_PYTHON, "-B", os.path.join(HERE, "lldb_driver.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors, env={**t.env, "HOME": t.work}, cwd=t.work, text=True)
        self.t = t
        t.running.append(self.process)
        if gateway:
            self.connect(gateway.url)

    def begin(self, name, *args):
        """Asks, and does not wait for the answer."""
        self.process.stdin.write(json.dumps([name, args]) + "\n")
        self.process.stdin.flush()

    def end(self, limit=LONG):
        ready, _, _ = select.select([self.process.stdout], [], [], limit)
        if not ready:
            raise Failed(f"LLDB does not answer for {limit:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"LLDB ended with {self.process.wait(HANG)}: {said(self.errors)[-2000:]}")
        answer = json.loads(line)
        if "failed" in answer:
            raise LldbError(answer["failed"])
        return answer["is"]

    def __getattr__(self, name):
        def call(*args, limit=LONG):
            self.begin(name, *args)
            return self.end(limit)
        return call

    def close(self):
        self.process.wait(HANG)
        self.t.running.remove(self.process)
        for file in (self.process.stdin, self.process.stdout, self.errors):
            file.close()

    def die(self):
        """As by kill -9."""
        self.process.kill()
        self.close()

    def quit(self):
        """Its input ends, and so does it, without a word to the gateway."""
        self.process.stdin.close()
        self.close()
