"""The harness of the system tests: a real daemon for each test, and a look at what it leaves behind.

A test is a function `test_<sentence>(t)` in tests/system/test_*.py; `t` is a Test. It passes when it
returns, fails when it raises, and is skipped by t.skip(reason). After it the harness ends the daemon
and fails the test if anything is left: a process, a descriptor or memfd in the daemon, a mount, a
cgroup, a temporary file. Standard library only.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import traceback

import wire

try:
    import jsonschema
except ImportError:
    jsonschema = None

# Whether daemons keep a worker ready, where a test does not say; "yes" is what they do by themselves.
SPARE = os.environ.get("STILLPOINT_SPARE") or "no"
HANG = 30.0  # seconds; whatever takes this long hangs
PR_SET_CHILD_SUBREAPER = 36


class Skip(Exception):
    pass


class Failed(AssertionError):
    pass


class Result:
    """What a program printed and how it ended."""

    def __init__(self, args, code, out, err):
        self.args, self.code, self.out, self.err = args, code, out, err

    def __str__(self):
        return (
            f"{' '.join(self.args)}\n  exit {self.code}\n  stdout: {self.out!r}\n"
            f"  stderr: {self.err!r}"
        )

    @property
    def json(self):
        try:
            return json.loads(self.out)
        except ValueError as e:
            raise Failed(f"no JSON ({e}): {self}") from None


def check(condition, what):
    if not condition:
        raise Failed(str(what))


def equal(actual, expected, what=""):
    if actual != expected:
        raise Failed(f"{what}\n  is       {actual!r}\n  expected {expected!r}")


def wait_until(condition, what, limit=HANG):
    """For what the outside world cannot announce. Returns what the condition returned. `what` is a text, or a function
    that says how things stand in the end."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"waited {limit:.0f} s in vain: {what() if callable(what) else what}")
        time.sleep(0.01)


def become_subreaper():
    """Orphans of a daemon become our children, so that none can hide."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def children(pid):
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                found += [int(p) for p in f.read().split()]
    except OSError:
        pass
    return found


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child] + descendants(child)
    return found


def is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def process_name(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as f:
            return f.read().strip()
    except OSError:
        return "?"


def keeps_spare(args):
    """Whether a daemon with these options keeps a worker ready: the last word counts."""
    return [a for a in args if a.startswith("--spare=")][-1] == "--spare=yes" and not {"--spawn=exec", "exec"} & set(args)


def kill_quietly(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def thread_cpu_ns(pid):
    """CPU time of a process's main thread, as the kernel's scheduler counts it."""
    with open(f"/proc/{pid}/task/{pid}/schedstat", encoding="ascii") as f:
        return int(f.read().split()[0])


def thread_runs(pid):
    """How often the main thread was put on a CPU. A thread that sleeps through is put on none, whatever
    the hypervisor takes from this machine meanwhile: so this is exact where CPU times are not."""
    with open(f"/proc/{pid}/task/{pid}/schedstat", encoding="ascii") as f:
        return int(f.read().split()[2])


def asleep(pid):
    """Waits until a main thread sleeps. It has arrived, and goes to sleep with its next few
    instructions; while it is on a CPU the kernel's account of its time is that of the last tick."""
    end = time.monotonic() + 2 * HANG  # where a hundred others want the CPU that takes seconds
    while True:
        with open(f"/proc/{pid}/task/{pid}/stat", encoding="ascii", errors="replace") as f:
            if f.read().rsplit(")", 1)[1].split()[0] == "S":
                return
        check(time.monotonic() < end, f"process {pid} is still on a CPU {2 * HANG:.0f} s after it has arrived")


def mounts():
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as f:
        return sorted(line.split()[4] for line in f)


def cgroup_of(pid):
    """The path of a process's cgroup in the tree of cgroup v2, or None."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as f:
            found = [line.rstrip("\n")[3:] for line in f if line.startswith("0::/")]
    except OSError:
        return None
    return found[0] if found else None


def cgroup_folder(path):
    """Where the cgroup of that path is mounted, or None."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as f:
        for line in f:
            before, _, after = line.partition(" - ")
            root, at = before.split()[3:5]
            if after.startswith("cgroup2 ") and root == "/" and path:
                return at if path == "/" else at + path
    return None


def folders_of_daemon(pid):
    """The directories that this daemon, of our own cgroup, has in the cgroup tree; there is one at
    most."""
    own = cgroup_folder(cgroup_of("self"))
    base = os.path.join(own or "/nonexistent", "stillpoint")
    try:
        names = os.listdir(base)
    except OSError:
        return []
    return [os.path.join(base, n) for n in names if n == str(pid) or n.startswith(f"{pid}-")]


def remove_cgroup(path):
    """With those below it; as soon as all processes in it have died."""
    def gone():
        for folder, _, _ in os.walk(path, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                pass
        return not os.path.exists(path)
    wait_until(gone, f"{path} is empty and can be removed")


def end_process(process, seconds):
    """By SIGTERM. Returns its exit status, None if it did not end in that time and was killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


class Daemon:
    def __init__(self, build, folder, env, args=(), wrapper=(), stderr=None):
        self.folder = folder
        self.socket = os.path.join(folder, "control.sock")
        self.log_path = os.path.join(folder, "daemon.log")
        self.log = open(self.log_path, "wb")
        args = [f"--spare={SPARE}", *args]
        self.keeps_spare = keeps_spare(args)
        self.process = subprocess.Popen(
            # Started as root it would have the system's units.
            [*wrapper, os.path.join(build, "stillpointd"), "--socket", self.socket, "--vms", "none", *args],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=stderr or self.log, env=env, cwd="/",
        )
        self.pid = self.process.pid
        self.handed = False  # its socket is another's, who removes it
        wait_until(self.is_up, "the daemon answers on its socket", 20)
        self.fds_at_start = self.fds_settled()

    def is_up(self):
        if self.process.poll() is not None:
            raise Failed(f"stillpointd ended with {self.process.returncode}:\n{self.log_text()}")
        try:
            with self.connect() as s:
                s.sendall(wire.hello())
                return wire.read_frame(s) is not None
        except OSError:
            return False

    def workers(self):
        return [p for p in children(self.pid) if process_name(p) == "stillpoint-vm"]

    def connect(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            s.connect(self.socket)
            s.settimeout(HANG)
        except OSError:
            s.close()
            raise
        return s

    def log_text(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def fds(self):
        """What the daemon has open, sorted; None where it cannot be seen."""
        found = []
        try:
            for fd in os.listdir(f"/proc/{self.pid}/fd"):
                target = os.readlink(f"/proc/{self.pid}/fd/{fd}")
                found.append(target.split(":")[0] if ":[" in target else target)
        except PermissionError:
            return None
        except OSError:
            return self.fds() if self.process.poll() is None else None
        return sorted(found)

    def fds_settled(self):
        """As fds(), once two looks in a row agree: the daemon has noticed that a client left."""
        before, now = None, self.fds()
        while before != now:
            time.sleep(0.02)
            before, now = now, self.fds()
        return now

    def stop(self):
        """Ends it as a service manager would. Returns its exit status, None if it had to be killed."""
        try:
            return end_process(self.process, 20)
        finally:
            self.log.close()


class Test:
    def __init__(self, build, source):
        self.build, self.source = build, source
        self.folder = tempfile.mkdtemp(prefix="stillpoint-test.")
        self.tmp = os.path.join(self.folder, "tmp")
        self.work = os.path.join(self.folder, "work")
        self.run_dir = os.path.join(self.folder, "run")
        for d in (self.tmp, self.work, self.run_dir):
            os.mkdir(d, 0o700)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("STILLPOINT")}
        self.env.update(TMPDIR=self.tmp, LC_ALL="C.UTF-8", NO_COLOR="1", XDG_RUNTIME_DIR=self.run_dir)
        self.running = []
        self.liars = False  # workers that lie are part of this test
        self.connections = []  # closed after the test
        self._daemon = None
        self.options = []  # of each daemon of this test

    # ---- for tests

    def skip(self, reason):
        raise Skip(reason)

    def without_spare(self, why):
        """From here on a daemon of this test keeps no worker ready: for what counts workers or births."""
        check(why, "that is the exception")
        self.options.append("--spare=no")

    @property
    def daemon(self):
        """The test's daemon, started when first asked for."""
        if self._daemon is None:
            self.start_daemon()
        return self._daemon

    def start_daemon(self, *args, **how):
        """With options; or once more, after it has ended. `wrapper`: a command that executes it; `stderr`."""
        check(self._daemon is None or self._daemon.process.poll() is not None, "one at a time")
        if self._daemon is not None:
            self._daemon.log.close()
        self._daemon = Daemon(self.build, self.run_dir, self.env, [*self.options, *args], **how)

    def program(self, name):
        return os.path.join(self.build, name)

    def file(self, name, content):
        """Writes a file below the test's folder; returns its path."""
        path = os.path.join(self.work, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        return path

    def run(self, args, stdin=b"", timeout=HANG, env=None):
        """Runs a program to its end."""
        try:
            p = subprocess.run(args, input=stdin, capture_output=True, timeout=timeout,
                               env=env or self.env, cwd=self.work, check=False)
        except subprocess.TimeoutExpired as e:
            raise Failed(f"hangs: {' '.join(args)}\n  stdout so far: {e.stdout!r}") from None
        return Result(args, p.returncode, p.stdout.decode("utf-8", "replace"),
                      p.stderr.decode("utf-8", "replace"))

    def ctl(self, *args, code=0, **options):
        """stillctl on the test's daemon. Fails unless it exits with `code` (None: any)."""
        argv = [self.program("stillctl"), "-s", self.daemon.socket, *map(str, args)]
        r = self.run(argv, **options)
        if code is not None and r.code != code:
            raise Failed(f"expected exit {code}: {r}")
        return r

    def start(self, *args, stdin=subprocess.DEVNULL):
        """stillctl in the background, with pipes; ended after the test."""
        argv = [self.program("stillctl"), "-s", self.daemon.socket, *map(str, args)]
        p = subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=self.env, cwd=self.work, text=True)
        self.running.append(p)
        return p

    def refused(self, *args, code, says=(), **options):
        """stillctl has to fail with this code, and one clear line on stderr that has these words."""
        r = self.ctl(*args, code=code, **options)
        lines = r.err.splitlines()
        check(len(lines) == 1, f"one line on stderr: {r}")
        check(lines[0].startswith("stillctl: "), f"the line says who speaks: {r}")
        for words in [says] if isinstance(says, str) else says:
            check(words in lines[0], f"the line says {words!r}: {r}")
        return r

    def json(self, *args, code=0, schema=None):
        """stillctl -o json, parsed, and valid by docs/schemas."""
        value = self.ctl("-o", "json", *args, code=code).json
        if schema:
            self.valid(value, schema)
        return value

    def valid(self, value, schema):
        path = os.path.join(self.source, "docs", "schemas", f"{schema}.json")
        check(os.path.exists(path), f"no schema {path}")
        if jsonschema is None:
            return
        with open(path, encoding="utf-8") as f:
            document = json.load(f)
        base = jsonschema.RefResolver(f"file://{os.path.dirname(path)}/", document)
        try:
            jsonschema.validate(value, document, resolver=base)
        except jsonschema.ValidationError as e:
            where = "/".join(map(str, e.absolute_path))
            raise Failed(f"{schema}.json, at {where or 'the top'}: {e.message}") from None

    def list(self, *args):
        return self.json("list", *args, schema="list")

    def vm(self, name):
        """The object of the VM with that id, or the newest with that name."""
        for vm in sorted(self.list("-a"), key=lambda vm: vm["id"], reverse=True):
            if vm["name"] == name or str(vm["id"]) == str(name):
                return vm
        raise Failed(f"no VM {name} in list -a")

    def spawn(self, name, program, *args, ready=True, options=()):
        """A VM in the background. `program` is JavaScript text."""
        path = self.file(f"{name}.js", program)
        self.ctl("run", "-d", *(["--ready"] if ready else []), "--name", name, *options, path, *args)
        return name

    def wait_for(self, name, condition, limit=HANG):
        self.ctl("wait", name, f"--for={condition}", f"--timeout={limit:.0f}s")

    def logs(self, name):
        return self.ctl("logs", name).out

    # ---- for the runner

    def finish(self):
        """Ends everything; returns what is wrong with what is left, as a list of lines."""
        wrong = []
        for connection in self.connections:
            connection.close()
        for p in self.running:
            if p.poll() is None:
                p.kill()
            p.communicate()
        if self._daemon is not None:
            wrong += self._daemon_finish()
        wrong += [f"left a process: {pid} {process_name(pid)}" for pid in self._leftovers()]
        for where in (self.tmp,):
            wrong += [f"left a temporary file: {n}" for n in os.listdir(where)]
        shutil.rmtree(self.folder, ignore_errors=True)
        return wrong

    def _daemon_finish(self):
        d, wrong = self._daemon, []
        if d.process.poll() is None:
            wrong += self._descriptors_left(d)
        elif d.process.returncode == -signal.SIGKILL:
            d.log.close()
            for folder in folders_of_daemon(d.pid):
                remove_cgroup(folder)
            return []  # the test did that
        else:
            wrong.append("the daemon ended before it was told to")
        code = d.stop()
        if code is None:
            wrong.append("the daemon did not end on SIGTERM and was killed")
        elif code != 0:
            wrong.append(f"the daemon ended with status {code}")
        wrong += [f"left a cgroup: {path}" for path in folders_of_daemon(d.pid)]
        # Started as root it gives its rights away, and cannot remove what is in our folder then.
        if os.geteuid() != 0 and os.path.exists(d.socket) and not d.handed:
            wrong.append("left its socket")
        text = d.log_text()
        for bad in ("AddressSanitizer", "runtime error:", "Assertion", "LeakSanitizer",
                    *(() if self.liars else ("did not answer its kick", "says that it lost"))):
            if bad in text:
                wrong.append(f"the daemon's log has {bad!r}")
        if wrong:
            wrong += ["its log ends with:"] + ["  " + line for line in text.splitlines()[-20:]]
        return wrong

    def _descriptors_left(self, d):
        """With all VMs gone the daemon has open what it had when it came up."""
        if d.fds_at_start is None:
            return []
        ctl = [self.program("stillctl"), "-s", d.socket]
        names = [n for n in self.run([*ctl, "-o", "name", "list"]).out.split() if n]
        if names:
            self.run([*ctl, "kill", *names])

        def more():
            # No VM is left: what is there is the one worker that is kept ready, and not made again.
            alive = [p for p in d.workers() if not is_zombie(p)] if d.keeps_spare else []
            if len(alive) == 1:
                kill_quietly(alive[0])
            left = list(d.fds_at_start)
            return [f for f in d.fds() or [] if f not in left or left.remove(f)]

        try:
            wait_until(lambda: not more(), "", 5)
        except Failed:
            return [f"the daemon left descriptors open: {', '.join(more())}"]
        return []

    @staticmethod
    def _leftovers():
        """Our descendants that are still alive a moment after the daemon's end; they are killed."""

        def alive():
            while True:
                try:
                    if os.waitpid(-1, os.WNOHANG)[0] == 0:
                        break
                except ChildProcessError:
                    break
            return [p for p in descendants(os.getpid()) if not is_zombie(p)]

        end = time.monotonic() + 5
        while alive() and time.monotonic() < end:
            time.sleep(0.01)
        left = alive()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        return left


def run_test(function, build, source):
    """Returns ("ok" | "not ok" | "skip", text)."""
    mounts_before = mounts()
    t = Test(build, source)
    outcome, text = "ok", ""
    try:
        function(t)
    except Skip as e:
        outcome, text = "skip", str(e)
    except Failed as e:
        line = traceback.extract_tb(e.__traceback__)
        where = [f for f in line if os.path.basename(f.filename).startswith("test_")]
        at = f"{os.path.basename(where[-1].filename)}:{where[-1].lineno}: " if where else ""
        outcome, text = "not ok", f"{at}{e}"
    except Exception:  # pylint: disable=broad-except
        outcome, text = "not ok", traceback.format_exc()
    if outcome == "not ok" and t._daemon is not None:  # pylint: disable=protected-access
        tail = t._daemon.log_text().splitlines()[-20:]  # pylint: disable=protected-access
        text += "\nthe daemon's log ends with:\n" + "\n".join("  " + line for line in tail)
    try:
        wrong = t.finish()
    except Exception:  # pylint: disable=broad-except
        wrong = [traceback.format_exc()]
    # Others on this machine may take mounts away meanwhile.
    left = [m for m in mounts() if m not in mounts_before or mounts_before.remove(m)]
    if left:
        wrong.append("left mounts: " + " ".join(left))
    if wrong:
        outcome, text = "not ok", "\n".join([text, *wrong]).strip()
    return outcome, text
