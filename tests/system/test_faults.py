"""The kernel says no: every system call on the way to a new VM fails once, and what the daemon itself needs
runs out. Never a worker outside its sandbox, nothing left behind, and the next one comes to life.

What is ordinarily run is the first of each row of equal calls; STILLPOINT_STORM=full makes each call fail.
"""

import errno
import json
import os
import resource
import select
import signal
import socket
import struct
import subprocess

import harness
import wire
from harness import Failed, check, equal, wait_until
from preload import Preload

FULL = os.environ.get("STILLPOINT_STORM") == "full"
NAMESPACES = ("user", "pid", "mnt", "net", "ipc", "uts")
NEEDED = ("user", "pid", "mount", "net", "ipc", "uts", "root", "caps", "nnp", "seccomp", "rlimits", "fds", "dumpable")
# What the kernel never refuses, or libc never looks at.
CANNOT_FAIL = {"close", "munmap", "exit", "exit_group", "rt_sigreturn", "rt_sigprocmask", "rt_sigaction", "futex",
               "restart_syscall", "timerfd_settime", "clock_gettime", "clock_getres", "sched_yield", "getpid",
               "gettid", "set_robust_list", "rseq",
               "brk",  # it returns no error, but where the heap ends
               "umask", "getuid", "geteuid", "getgid", "getegid"}
ERRORS = {"openat": errno.EMFILE, "open": errno.EMFILE, "memfd_create": errno.EMFILE, "mmap": errno.ENOMEM,
          "mprotect": errno.ENOMEM, "clone3": errno.EAGAIN, "vfork": errno.EAGAIN,
          "socketpair": errno.EMFILE, "sendmsg": errno.ENOBUFS, "recvmsg": errno.ENOMEM, "write": errno.EIO,
          "read": errno.EIO, "pread64": errno.EIO, "eventfd2": errno.EMFILE, "epoll_ctl": errno.ENOSPC,
          "accept4": errno.EMFILE, "newfstatat": errno.ENOMEM, "fstat": errno.ENOMEM, "dup2": errno.EBUSY,
          "dup3": errno.EBUSY, "ftruncate": errno.ENOSPC, "mkdirat": errno.ENOSPC, "execveat": errno.ENOMEM,
          "pidfd_open": errno.EMFILE, "poll": errno.EINTR, "ppoll": errno.EINTR, "epoll_wait": errno.EINTR}
PROGRAM = "globalThis.twice = (n) => 2 * n;"


class Injector:
    """tests/support/inject, attached to one process."""

    def __init__(self, t, pid):
        self.process = subprocess.Popen([t.program("tests/support/inject"), str(pid)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
        t.running.append(self.process)
        if self.process.stdout.readline() != "ready\n":
            why = self.process.stderr.read()
            if "not permitted" in why:
                t.skip("no process may be traced here")
            raise Failed(f"inject: {why}")

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def arm(self, line):
        self.tell(line)
        equal(self.process.stdout.readline(), "ok\n", line)

    def end(self):
        """(names of the calls noted, the one that was made to fail or None); the latter is "end" where the
        process has ended of it, and inject with it."""
        try:
            self.tell("end")
        except BrokenPipeError:
            return [], "end"
        calls, hit = [], None
        for line in iter(self.process.stdout.readline, ".\n"):
            if not line:
                return [], "end"
            word, name = line.split()
            if word == "call":
                calls.append(name)
            else:
                hit = name
        return calls, hit

    def close(self):
        try:
            self.process.communicate()
        except BrokenPipeError:
            pass


def zygote_of(t, engine):
    for pid in harness.children(t.daemon.pid):
        try:
            # The zygote of an engine maps its program; the link of /proc/PID/exe is not everybody's.
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                zygote = b"--zygote" in f.read()
            if zygote and os.readlink(f"/proc/{pid}/exe").endswith(engine):
                return pid
        except OSError:
            pass
    return t.skip("the zygotes cannot be told apart here")


def wait_for_nest(t, engine):
    """Until the zygote has prepared the namespaces of the next birth."""
    def is_there():
        fds = f"/proc/{zygote_of(t, engine)}/fd"
        try:
            return any(os.readlink(f"{fds}/{fd}").startswith("user:") for fd in os.listdir(fds))
        except FileNotFoundError:
            return False  # it has just closed one
    wait_until(is_there, "namespaces are prepared", harness.HANG)


# ---- what has to hold after each fault

def fields_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        return {k: v.split() for k, _, v in (line.partition(":") for line in f)}


def limits_of(pid):
    with open(f"/proc/{pid}/limits", encoding="ascii") as f:
        return {line[:26].strip(): line[26:].split()[1] for line in f.readlines()[1:]}


def check_sandbox(vm):
    """A VM that came to life has every layer that is needed, by the kernel's word and by its own."""
    pid, posture = vm["pid"], vm["posture"]
    for layer in NEEDED:
        equal(posture.get(layer), "on", f"layer {layer} of a VM that runs")
    fields = fields_of(pid)
    equal(fields["Seccomp"], ["2"], "its filter")
    equal(fields["NoNewPrivs"], ["1"])
    for caps in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        equal(int(fields[caps][0], 16), 0, caps)
    equal(len(fields["NSpid"]), 2, "its pid namespace")
    check("0" not in fields["Uid"] + fields["Gid"], "it is not root")
    limits = limits_of(pid)
    for name, value in (("Max core file size", "0"), ("Max open files", "64"), ("Max processes", "0"),
                        ("Max locked memory", "0"), ("Max msgqueue size", "0")):
        equal(limits[name], value, name)
    if os.geteuid() != 0:
        return
    for name in NAMESPACES:
        check(os.readlink(f"/proc/self/ns/{name}") != os.readlink(f"/proc/{pid}/ns/{name}"), f"{name} is shared")
    equal(os.listdir(f"/proc/{pid}/root"), [], "its root directory")
    check(len(os.listdir(f"/proc/{pid}/fd")) <= 8, "its descriptors")
    own = os.readlink("/proc/self/ns/cgroup") != os.readlink(f"/proc/{pid}/ns/cgroup")
    check(own or posture["cgroup"] != "on", "the cgroup namespace that it says it has")


class Ground:
    """What a daemon has before a fault, and has to have after it."""

    def __init__(self, t, keeps=0):
        self.t, self.keeps = t, keeps  # VMs that are there
        self.settle_spare()
        self.fds = t.daemon.fds_settled()
        self.cgroups = self.folders()

    def folders(self):
        found = sorted(f for top in harness.folders_of_daemon(self.t.daemon.pid) for f, _, _ in os.walk(top))
        return len(found) if self.keeps else found  # those that are there may be others by now

    def workers(self):
        return [p for p in harness.children(self.t.daemon.pid)
                if harness.process_name(p) == "stillpoint-vm" or harness.is_zombie(p)]

    def settle_spare(self):
        """A worker is kept ready after this, if any is: a fault may have come to the one before."""
        if self.t.daemon.keeps_spare:
            self.t.ctl("run", "--engine", "fake", self.t.file("settle.fake", ""))
            wait_until(lambda: len(self.workers()) == self.keeps + 1, "a worker is kept ready, and none is left", 10)

    def check_same(self):
        self.settle_spare()
        spares = 1 if self.t.daemon.keeps_spare else 0
        wait_until(lambda: len(self.workers()) == self.keeps + spares, "no worker and no zombie is left", 10)
        if self.folders() != self.cgroups:
            # One whose last process ended after its VM goes with the next VM that ends.
            path = self.t.file("next.fake", "")
            wait_until(lambda: self.t.ctl("run", "--engine", "fake", path, code=None).code == 0, "the next VM", 10)
        wait_until(lambda: self.folders() == self.cgroups, "no cgroup is left", 10)
        if self.fds is not None:
            try:
                wait_until(lambda: self.t.daemon.fds() == self.fds, "the daemon's descriptors are what they were", 10)
            except Failed as e:
                raise Failed(f"{e}: {self.t.daemon.fds()}, and not {self.fds}") from None
        equal(len(self.t.list()), self.keeps, "no VM is left")


def spawn(t, engine, path):
    """One VM, wanted under the fault: alive and well, or refused in one line."""
    # What is not answered at all hangs, and harness.run() says so.
    return t.ctl("run", "-d", "--engine", engine, "--name", "vm", path, code=None, timeout=harness.HANG)


def check_whole_or_dead(t, vm):
    try:
        if vm["exit"] is None:
            check_sandbox(vm)
    except (Failed, OSError) as wrong:
        # What is looked at goes piece by piece while it dies.
        wait_until(lambda: t.vm(vm["id"])["exit"] is not None, f"it lives, and is not whole: {wrong}", 10)


def judge(t, r):
    if r.code == 0:
        # One that died of the fault after it was born is as good as one that was not.
        check_whole_or_dead(t, t.vm("vm"))
        t.ctl("kill", "vm", code=None)
        return
    check(r.code in (1, 2, 5, 125), f"a refusal: {r}")
    lines = r.err.splitlines()
    check(len(lines) == 1 and lines[0].startswith("stillctl: "), f"one line says why: {r}")


def chosen(calls):
    """Numbers of the calls that are made to fail."""
    picked = []
    for i, name in enumerate(calls):
        if name not in CANNOT_FAIL and (FULL or i == 0 or calls[i - 1] != name):
            picked.append(i)
    return picked


def each_call_fails(t, engine, pid_of, who, most=None):
    """Makes every call of `who` (a class of inject's) fail on the way to a VM, one after the other."""
    t.without_spare("which birth a fault comes to is counted")
    path = t.file("app.js" if engine == "mozjs" else "app.fake", PROGRAM if engine == "mozjs" else "")
    equal(spawn(t, engine, path).code, 0, "a VM before any fault")
    t.ctl("kill", "vm")
    ground = Ground(t)
    wrong, hits = [], 0
    injector = Injector(t, pid_of())
    injector.arm(f"list {who}")
    equal(spawn(t, engine, path).code, 0, "a VM while it is only listened to")
    calls, _ = injector.end()
    t.ctl("kill", "vm")
    for n, i in enumerate(chosen(calls)[:most]):
        error = ERRORS.get(calls[i], errno.EPERM)
        what = f"{who} call {i} ({calls[i]}) of {engine} fails with {errno.errorcode[error]}"
        try:
            ground.check_same()
            if injector.process.poll() is not None:
                injector = Injector(t, pid_of())
            injector.arm(f"fail {who} {i} {calls[i]} {error}")
            r = spawn(t, engine, path)
            _, hit = injector.end()
            hits += hit is not None
            what += f" (in truth {hit})" if hit != calls[i] else ""
            judge(t, r)
            ground.check_same()
            check(t.daemon.process.poll() is None, "the daemon lives")
            if hit != "end" and n % 4 != 0 and not FULL:
                continue
            # The zygote may have ended of it; another one takes a moment.
            wait_until(lambda: spawn(t, engine, path).code == 0, "the next VM comes to life", 10)
            check_sandbox(t.vm("vm"))
            t.ctl("kill", "vm")
        except Failed as e:
            wrong.append(f"{what}: {e}")
            if t.daemon.process.poll() is not None or len(wrong) > 20:
                break
            t.ctl("kill", "vm", code=None)
    injector.close()
    if wrong:
        raise Failed("\n".join(wrong))
    check(hits >= len(chosen(calls)[:most]) * 3 // 4, f"only {hits} of {len(chosen(calls))} faults came about")


def test_every_call_of_a_workers_birth_fails_once(t):
    each_call_fails(t, "fake", lambda: zygote_of(t, "fake"), "birth")


def test_every_call_of_a_birth_with_a_real_engine_fails_once(t):
    each_call_fails(t, "mozjs", lambda: zygote_of(t, "mozjs"), "birth", None if FULL else 20)


def test_every_call_of_the_zygote_fails_once(t):
    each_call_fails(t, "fake", lambda: zygote_of(t, "fake"), "self")


def test_every_call_of_a_workers_threads_fails_once(t):
    each_call_fails(t, "mozjs", lambda: zygote_of(t, "mozjs"), "thread")


def test_every_call_of_the_daemon_fails_once(t):
    each_call_fails(t, "fake", lambda: t.daemon.pid, "self")


def test_every_call_of_a_worker_that_starts_afresh_fails_once(t):
    t.start_daemon("--spawn=exec")
    each_call_fails(t, "fake", lambda: t.daemon.pid, "child", None if FULL else 25)


def test_every_call_of_a_zygotes_start_fails_once(t):
    """It is killed, and what starts the next one fails."""
    t.without_spare("which birth a fault comes to is counted")
    path = t.file("app.fake", "")
    injector = Injector(t, t.daemon.pid)

    def lose_zygote():
        os.kill(zygote_of(t, "fake"), signal.SIGKILL)
        wait_until(lambda: spawn(t, "fake", path).code == 0, "a zygote stands again", 20)
        t.ctl("kill", "vm", code=None)  # it may have died of the fault, once it was born

    injector.arm("list child")
    lose_zygote()
    calls, _ = injector.end()
    # Before the program there is the daemon's child. Of its own, and of the dynamic linker's, ordinarily one of
    # each name: the last, which is nobody's of the linker.
    until = calls.index("execveat") + 1
    picked = chosen(calls) if FULL else [i for i in chosen(calls)
                                         if i < until or calls[i] not in calls[i + 1:]]
    check(picked, calls)
    for i in picked:
        injector.arm(f"fail child {i} {calls[i]} {ERRORS.get(calls[i], errno.EPERM)}")
        lose_zygote()
        injector.end()
        zygotes = [p for p in harness.children(t.daemon.pid)]
        equal(len(zygotes), 2, f"after call {i} ({calls[i]}): two zygotes")
    injector.close()


# ---- layers that are not there

def spawn_while(t, injector, fault):
    injector.arm(f"fail {fault}")
    r = spawn(t, "fake", t.file("app.fake", ""))
    _, hit = injector.end()
    check(hit, f"no such call: {fault}")
    return r


def test_a_needed_layer_that_is_missing_refuses_and_is_named(t):
    t.without_spare("which birth a fault comes to is counted")
    injector = Injector(t, zygote_of(t, "fake"))
    for call, layer in (("setns", "nest"), ("prlimit64", "rlimits"), ("capset", "caps"), ("close_range", "fds"),
                        ("seccomp", "seccomp")):
        wait_for_nest(t, "fake")
        r = spawn_while(t, injector, f"birth 0 {call} {errno.EPERM}")
        check(r.code == 1 and f"{layer}: " in r.err, f"{layer} is missing: {r}")
    injector.close()
    equal(t.list(), [])


def test_what_a_worker_that_starts_afresh_lacks_refuses_and_is_named(t):
    """It prepares at its birth what others find prepared."""
    t.start_daemon("--spawn=exec")
    injector = Injector(t, t.daemon.pid)
    for call, layer in (("mount", "mount"), ("pivot_root", "root"), ("sethostname", "uts")):
        r = spawn_while(t, injector, f"child 0 {call} {errno.EPERM}")
        check(r.code == 1 and f"{layer}: " in r.err, f"{layer} is missing: {r}")
    injector.close()
    equal(t.list(), [])


def test_namespaces_that_cannot_be_prepared_are_made_at_the_birth(t):
    t.without_spare("a fault is to come to what is made while nobody is born")
    path = t.file("app.fake", "")
    injector = Injector(t, zygote_of(t, "fake"))
    for call in ("openat", "write", "mount", "pivot_root", "sethostname"):
        def next_is_not_prepared():
            wait_for_nest(t, "fake")
            injector.arm(f"fail child 0 {call} {errno.EPERM}")
            equal(spawn(t, "fake", path).code, 0, "it takes what was prepared")
            t.ctl("kill", "vm")
            return injector.end()[1] == call
        wait_until(next_is_not_prepared, f"{call} fails while nobody is born", harness.HANG)
        equal(spawn(t, "fake", path).code, 0, f"a birth after {call} has failed")
        check_sandbox(t.vm("vm"))
        t.ctl("kill", "vm")
    injector.close()


def test_a_degradable_layer_that_is_missing_is_shown(t):
    t.without_spare("which birth a fault comes to is counted")
    injector = Injector(t, zygote_of(t, "fake"))
    r = spawn_while(t, injector, f"birth 0 landlock_create_ruleset {errno.EOPNOTSUPP}")
    equal(r.code, 0, r)
    equal(t.vm("vm")["posture"]["landlock"], "off")
    check_sandbox(t.vm("vm"))
    t.ctl("kill", "vm")
    injector.close()
    if "cgroup" not in [c["name"] for c in t.json("doctor")["checks"] if c["state"] == "ok"]:
        t.skip("VMs have no cgroups of their own here")
    injector = Injector(t, t.daemon.pid)
    equal(spawn_while(t, injector, f"self 0 mkdirat {errno.EACCES}").code, 0)
    equal(t.vm("vm")["posture"]["cgroup"], "degraded")
    check_sandbox(t.vm("vm"))
    injector.close()


def goes_on_without(t, injector, who, call, layer):
    r = spawn_while(t, injector, f"{who} 0 {call} {errno.EPERM}")
    equal(r.code, 0, f"{layer}: {r}")
    vm = t.vm("vm")
    check(vm["posture"][layer] != "on", f"{layer} is said to be on: {vm['posture']}")
    equal([x for x in NEEDED if vm["posture"][x] != "on" and x != layer], [], "all others stand")
    t.ctl("kill", "vm")


def test_allow_degraded_goes_on_without_a_layer_and_says_so(t):
    t.without_spare("which birth a fault comes to is counted")
    t.start_daemon("--allow-degraded")
    injector = Injector(t, zygote_of(t, "fake"))
    goes_on_without(t, injector, "birth", "seccomp", "seccomp")
    injector.close()


def test_allow_degraded_holds_for_a_worker_that_starts_afresh(t):
    t.start_daemon("--allow-degraded", "--spawn=exec")
    injector = Injector(t, t.daemon.pid)
    goes_on_without(t, injector, "child", "pivot_root", "root")
    goes_on_without(t, injector, "child", "sethostname", "uts")
    injector.close()


def test_without_user_namespaces_nothing_runs_unless_that_is_allowed(t):
    # The limit is that of the namespace in which the daemon is, which is made for this.
    wrapper = ["unshare", "-U", "--map-user=1000", "--map-group=1000", "--keep-caps", "sh", "-c",
               'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"', "sh"]
    if t.run([*wrapper, "true"]).code != 0:
        t.skip("no user namespace without others in it can be had here")
    os.chmod(t.folder, 0o777)
    os.chmod(t.run_dir, 0o777)
    t.start_daemon(wrapper=wrapper)
    doctor = t.json("doctor", code=1)
    check([c for c in doctor["checks"] if c["name"] == "user-namespaces" and c["state"] == "missing"], doctor)
    r = t.ctl("run", "-d", t.file("app.js", "1"), code=None)
    check(r.code == 1 and "cannot make the worker process: clone3" in r.err, r)
    t.daemon.stop()
    t.start_daemon("--allow-degraded", wrapper=wrapper)
    t.ctl("run", "-d", "--name", "app", t.file("app.js", "1"))
    posture = t.vm("app")["posture"]
    equal([posture[x] for x in ("user", "pid", "mount", "net")], ["off"] * 4)
    equal(posture["seccomp"], "on")


# ---- what the daemon itself needs

def limit(t, what, soft):
    try:
        _, hard = resource.prlimit(t.daemon.pid, what)
        resource.prlimit(t.daemon.pid, what, (soft, hard))
    except PermissionError:
        t.skip("the limits of a process of another uid cannot be set here")


def test_the_last_descriptors_are_for_those_who_are_served(t):
    t.start_daemon(wrapper=["sh", "-c", 'ulimit -n 140 && exec "$@"', "sh"])
    path = t.file("app.js", "setInterval(() => console.log('on'), 20); globalThis.echo = (s) => s")
    t.ctl("run", "-d", "--name", "first", path)
    refused = None
    for i in range(60):
        r = t.ctl("run", "-d", "--name", f"vm{i}", path, code=None)
        if r.code != 0:
            refused = r
            break
    check(refused and "too many VMs, worlds or files" in refused.err, f"births are refused: {refused}")
    # Everyone that is there is served, with descriptors beside what is said.
    equal(json.loads(t.ctl("call", "first", "echo", json.dumps("x" * 100000)).out), "x" * 100000)
    t.ctl("world", "stop")
    t.ctl("world", "bt")
    t.ctl("world", "resume")
    held, refusals = [], 0
    for i in range(80):
        s = t.daemon.connect()
        try:
            s.sendall(wire.hello())
            ended = wire.read_frame(s) is None
        except OSError:
            ended = True
        refusals += ended
        if ended:
            s.close()
            break
        held.append(s)
    equal(refusals, 1, "connections are refused at once, and do not wait")
    check(len(held) > 5, f"after {len(held)} that were served")
    held.pop().close()
    wait_until(lambda: t.ctl("list", code=None).code == 0, "who left made room", 10)
    for s in held:
        s.close()
    t.ctl("kill", "vm*")
    wait_until(lambda: t.ctl("run", "-d", "--name", "last", path, code=None).code == 0, "a birth again", 10)


def test_without_memory_requests_fail_and_the_daemon_does_not(t):
    path = t.file("app.js", "globalThis.echo = (s) => s")
    t.ctl("run", "-d", "--name", "first", path)
    with open(f"/proc/{t.daemon.pid}/status", encoding="ascii") as f:
        used = [int(line.split()[1]) * 1024 for line in f if line.startswith("VmData")][0]
    failed = 0
    for room in (0, 100_000, 300_000, 600_000, 1_000_000):
        limit(t, resource.RLIMIT_DATA, used + room)
        for i in range(6):
            r = t.ctl("call", "first", "echo", json.dumps("x" * 100000), code=None)
            failed += r.code != 0
            r = t.ctl("run", "-d", "--name", f"vm{room}-{i}", path, *(["y" * 900] * 30), code=None)
            failed += r.code != 0
            check(t.daemon.process.poll() is None, f"the daemon lives with {room} bytes more: {r}")
    limit(t, resource.RLIMIT_DATA, resource.RLIM_INFINITY)
    equal(json.loads(t.ctl("call", "first", "echo", '"here"').out), "here")
    t.ctl("kill", "*")


class Allocations(Preload):
    """The daemon's, of which some fail: a daemon under tests/support/alloc_fail.c."""

    def __init__(self, t):
        super().__init__(t, "alloc_fail", bytes(32))

    def set(self, on, first=0, failing=0):
        self.put(struct.pack("=4q", 0, 0, first, failing))
        self.put(struct.pack("=q", on))

    def count(self):
        """How many there were since set()."""
        return struct.unpack("=4q", os.pread(self.file.fileno(), 32, 0))[1]


SERVES = "globalThis.echo = (s) => s; globalThis.onmessage = () => {}"
# What is asked for while allocations fail, and what has to be so before.
ASKED = (
    ("a birth", ["run", "-d", "--name", "vm", "APP", *(["an argument"] * 3)], []),
    ("a birth that waits", ["run", "--name", "vm", "ENDS"], []),
    ("a list", ["list", "-a"], []),
    ("a status", ["status", "first"], []),
    ("a call", ["call", "first", "echo", json.dumps("x" * 3000)], []),
    ("a message", ["send", "first", "[1]"], []),
    ("a log", ["logs", "first"], []),
    ("events", ["events"], []),
    ("a wait", ["wait", "first", "--for=idle"], []),
    ("a hold", ["hold", "first"], []),
    ("a stop", ["world", "stop"], []),
    ("a resume", ["world", "resume"], [["world", "stop"]]),
    ("a collection", ["world", "gc"], []),
    ("a census", ["world", "census"], []),
    ("stacks", ["world", "bt"], []),
    ("one alone", ["continue", "first", "--only"], [["world", "stop", "--require-idle"]]),
    ("an evaluation", ["eval", "first", "1 + 1"], [["world", "stop", "--require-idle"]]),
    ("hooks", ["audit", "add", "first", "--on", "enter-frame,pop", "--keep", "--filter", "if=n > 3"], []),
    ("a breakpoint", ["break", "add", "first", "app.js:1"], []),
    ("a list of hooks", ["audit", "list"], [["audit", "add", "first", "--on", "enter-frame", "--keep"]]),
    ("the end of a VM", ["kill", "vm"], [["run", "-d", "--name", "vm", "APP"]]),
)


def as_before(t):
    """Takes back whatever came of it. Memory is there again: nothing of this may fail for want of it."""
    def done():
        if t.json("world", "status")["mode"] != "run-all":
            t.ctl("world", "resume", code=None)
        t.ctl("debugger", "close", f"cli:{os.geteuid()}", code=None)
        t.ctl("kill", "vm", code=None)
        return t.json("world", "status")["mode"] == "run-all" and [vm["name"] for vm in t.list()] in ([], ["first"])

    def is_born():
        # A zygote is started anew if its answer was lost, which may have been that about the worker kept ready.
        t.ctl("kill", "vm", code=None)
        return t.ctl("run", "-d", "--name", "vm", t.file("app.js", SERVES), code=None).code == 0
    wait_until(is_born, "there is a zygote")
    wait_until(done, "it is as it was before")
    first = t.vm("first")
    if first["exit"]:
        check("no memory" in first["exit"]["detail"], f"the end of a VM to which nothing was done: {first}")
        t.ctl("run", "-d", "--ready", "--name", "first", t.file("app.js", SERVES))
    equal(json.loads(t.ctl("call", "first", "echo", '"here"').out), "here")


def allocations_fail(t, failing):
    """Each allocation that the daemon makes for a request fails, or all from it on: the request is served or
    refused in one line, and nothing else happens."""
    memory = Allocations(t)
    paths = {"APP": t.file("app.js", SERVES),
             "ENDS": t.file("ends.js", "console.log('over')")}
    t.ctl("run", "-d", "--ready", "--name", "first", paths["APP"])
    ground = Ground(t, keeps=1)
    for what, words, before in ASKED:
        def ctl(command, **options):
            return t.ctl(*[paths.get(w, w) for w in command], **options)

        def ask():
            for command in before:
                ctl(command)
            memory.set(1, failed, failing)
            r = ctl(words, code=None)
            n = memory.count()
            memory.set(0)
            check(t.daemon.process.poll() is None, f"the daemon lives: {what}, allocation {failed}: {r}")
            return r, n
        failed, total = 1 << 40, 0
        r, total = ask()
        equal(r.code, 0, f"{what}, and nothing fails: {r}")
        as_before(t)
        for failed in range(0, total + 3, 1 if FULL else max(1, total // 12)):
            r, _ = ask()
            check(len(r.err.splitlines()) <= (r.code != 0), f"{what}, allocation {failed}: one line says why: {r}")
            for vm in t.list():
                if vm["name"] == "vm" and vm["state"] != "starting":
                    check_whole_or_dead(t, vm)
            as_before(t)
        print(f"# {what}: {total} allocations")
        ground.check_same()


def test_each_allocation_of_the_daemon_fails_once(t):
    allocations_fail(t, 1)


def test_memory_runs_out_at_each_allocation_of_the_daemon(t):
    allocations_fail(t, 1 << 40)


def test_a_reader_of_the_log_that_does_not_read_holds_nobody_up(t):
    reader, writer = os.pipe()
    t.start_daemon("--debug", stderr=writer)
    os.close(writer)
    # Each connection and each VM is a line or more; a pipe has 64 KiB.
    for i in range(800):
        with t.daemon.connect() as s:
            s.sendall(wire.frame(b"\xff" * 40))
            wire.read_frame(s)
    t.ctl("run", t.file("app.js", "console.log(1)"))
    check(select.select([reader], [], [], 0)[0], "there was something to read")
    os.close(reader)
    t.ctl("run", t.file("app.js", "console.log(2)"))


def test_a_log_on_a_full_disk_holds_nobody_up(t):
    with open("/dev/full", "wb") as full:
        t.start_daemon("--debug", stderr=full)
    equal(t.ctl("run", t.file("app.js", "console.log(3)")).out, "3\n")


def test_a_journal_that_is_full_holds_nobody_up_and_hears_of_its_losses(t):
    if os.geteuid() != 0:
        t.skip("only root may put a socket in the journal's place")
    folder = os.path.join(t.folder, "journal")
    os.mkdir(folder, 0o755)
    os.chmod(t.folder, 0o755)
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    journal.bind(os.path.join(folder, "socket"))
    os.chmod(os.path.join(folder, "socket"), 0o777)
    reader, writer = os.pipe()
    st = os.fstat(writer)
    t.env["JOURNAL_STREAM"] = f"{st.st_dev}:{st.st_ino}"
    wrapper = ["unshare", "-m", "sh", "-c",
               'mount -t tmpfs none /run && mkdir -p /run/systemd/journal && mount --bind "$1" /run/systemd/journal '
               '&& shift && exec "$@"', "sh", folder]
    t.start_daemon("--debug", wrapper=wrapper, stderr=writer)
    os.close(writer)
    for _ in range(400):
        with t.daemon.connect() as s:
            s.sendall(wire.frame(b"\xff" * 40))
            wire.read_frame(s)
    equal(t.ctl("run", t.file("app.js", "console.log(4)")).out, "4\n")
    journal.setblocking(False)

    def records():
        found = []
        try:
            while True:
                found.append(journal.recv(65536))
        except BlockingIOError:
            return found
    before = records()
    check(any(b"SYSLOG_IDENTIFIER=stillpointd\n" in r and b"PRIORITY=" in r for r in before), before[:2])
    with t.daemon.connect() as s:
        s.sendall(wire.frame(b"\xff" * 40))
        wire.read_frame(s)
    wait_until(lambda: any(b"records were lost" in r for r in records()), "it says how many were lost", 10)
    check(not select.select([reader], [], [], 0)[0], "nothing went to stderr, which is the same journal")
    os.close(reader)
    journal.close()


def test_a_service_manager_that_is_gone_is_no_reason_to_fail(t):
    t.env["NOTIFY_SOCKET"] = os.path.join(t.folder, "nobody")
    equal(t.ctl("run", t.file("app.js", "console.log(5)")).out, "5\n")
    check("cannot tell the service manager" in t.daemon.log_text(), t.daemon.log_text())
