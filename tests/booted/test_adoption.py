"""VMs that outlive their daemon, where systemd keeps what the next one needs."""

import json
import os
import re
import shutil
import tempfile
import time

import api as api_client
from booted import HANG, SERVICE, SOCKETS
from debugging import Debugging
from harness import Skip, check, equal, process_name, wait_until

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOCKET = "/run/stillpoint/control.sock"
TICK = "let n = 0; setInterval(() => { n++ }, 10); globalThis.count = () => n;"
BUSY = "globalThis.n = 0; for (;;) globalThis.n++;"
WORK = ("let n = 0; function f() { return ++n; }\n"
        "globalThis.work = (k) => { for (let i = 0; i < k; i++) f(); return n; };")
SOON = "[Service]\nRestartSec=50ms\n"
ENDED = (OSError, EOFError)  # a connection, with its daemon


# Far more than another daemon takes, also where others use the machine.
PATIENCE = f"[daemon]\nadoption-time = {2 * HANG:.0f}s\n"


def prepare(_, root):
    folder = os.path.join(root, "etc/stillpoint/stillpointd.conf.d")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "patience.conf"), "w", encoding="ascii") as f:
        f.write(PATIENCE)


def messages():
    with tempfile.TemporaryDirectory() as folder:
        try:
            return api_client.messages(TOP, folder)
        except api_client.Unavailable as e:
            raise Skip(str(e)) from None


class Service:
    """The service of a machine, from its start; `api` is a connection to the daemon that runs now."""

    def __init__(self, m, settings=SOON):
        self.m, self.messages = m, messages()
        m.drop_in(settings)
        m.systemctl("start", *SOCKETS, SERVICE)
        self.folder = m.unit_cgroup()
        self.api = self.connect()

    def connect(self):
        """As soon as a daemon serves; systemd's socket has us wait until then."""
        def try_it():
            try:
                return Debugging(self.messages, self.m.path(SOCKET))
            except ENDED:
                return None
        return wait_until(try_it, "a daemon serves", HANG)

    def again(self):
        self.api.close()
        self.api = self.connect()

    def main(self):
        """The daemon's process, out here; 0: there is none now."""
        for path, _, _ in os.walk(self.folder):
            try:
                with open(os.path.join(path, "cgroup.procs"), encoding="ascii") as f:
                    pids = [int(line) for line in f]
            except OSError:
                continue
            found = [p for p in pids if process_name(p) == "stillpointd"]
            if found:
                return found[0]
        return 0

    def crash(self):
        """Its process is killed; returns when another serves."""
        before = self.main()
        os.kill(before, 9)
        wait_until(lambda: self.main() != before, "it is gone", HANG)
        self.again()

    def systemctl(self, *args):
        """A restart, or a crash, and what the next daemon says."""
        self.m.systemctl(*args, SERVICE)
        self.again()

    # ---- what there is

    def run(self, name, program, **options):
        vm = self.api.run(f"{name}.js", program, name=name, **options)
        if program == BUSY:
            self.m.make_nice(vm.pid)
        return vm

    def pids(self):
        return {vm.name: vm.pid for vm in self.api.vms()}

    def modes(self):
        page = self.api.request(list_worlds=self.messages.ListWorlds()).world_list
        return {w.name: text_of(self.messages.WorldMode, w.mode) for w in page.worlds}

    def stop(self, world):
        self.api.request(stop_world=self.messages.StopWorld(world=world, deadline_us=int(HANG * 1e6)))

    def resume(self, world):
        self.api.request(resume_world=self.messages.ResumeWorld(world=world))

    def call(self, vm, function, args="[]"):
        request = self.messages.CallFunction(vm=vm, function=function, args_json=args, timeout_us=int(HANG * 1e6))
        return int(self.api.request(call_function=request).call_reply.json)

    def count(self, vm):
        """Of one that computes and stands."""
        return int(self.api.evaluate(vm, "globalThis.n ?? 0").value.preview)

    def stored(self):
        return int(self.m.show(SERVICE, "NFileDescriptorStore"))

    def groups(self):
        """Control groups below the unit's, by their names."""
        found = [os.path.relpath(path, self.folder) for path, _, _ in os.walk(self.folder)]
        return sorted(path for path in found if path != "." and not path.startswith(".control"))

    def state(self):
        """All of which there must not be more when all VMs have ended: store, control groups, processes, descriptors. A
        zygote has its own name when it has begun."""
        wait_until(lambda: [process_name(p) for p in self.m.processes()].count("stillpointd") == 1, "it is begun", HANG)
        names = sorted(process_name(p) for p in self.m.processes() if process_name(p).startswith("stillpoint"))
        return {"stored": self.stored(), "groups": self.groups(), "processes": names,
                "descriptors": len(os.listdir(f"/proc/{self.main()}/fd"))}

    def none_is_left(self):
        wait_until(lambda: not self.m.processes_of_ours(), "none of what was killed is left", HANG)
        check(not os.path.exists(self.folder), f"{self.folder} is left")
        equal(self.stored(), 0)


def text_of(enum, value):
    return enum.Name(value).lower().replace("_", "-")


def twenty(s):
    """20 VMs: idle, busy, one in which a debugger has seen a thousand events, and a world that is stopped."""
    for i in range(16):
        s.run(f"vm{i}", TICK)
    s.run("busy", BUSY)
    s.run("app", WORK)
    s.run("still0", TICK, world="still")
    s.run("still1", BUSY, world="still")
    active = s.messages.VmState.Value("VM_STATE_ACTIVE")
    wait_until(lambda: [vm.state for vm in s.api.vms()].count(active) >= 2, "the busy ones compute", HANG)
    s.stop("still")
    s.api.open("d", policy="hold")
    s.api.add("enter-frame", "app", "d", filter=s.messages.HookFilter(function="f"),
              budget=s.messages.HookBudget(per_second=100_000))
    equal(s.call("app", "work", "[1000]"), 1000)
    found = s.pids()
    equal(len(found), 20)
    return found


class Snapshot:
    """What must be the same, or must have gone on, after another daemon has taken over."""

    def __init__(self, s):
        self.s, self.pids, self.modes = s, s.pids(), s.modes()
        self.still = s.count("still1")
        self.counts = {f"vm{i}": s.call(f"vm{i}", "count") for i in range(16)}
        self.busy = self.busy_count()

    def busy_count(self):
        self.s.stop("default")
        found = self.s.count("busy")
        self.s.resume("default")
        return found

    def compare(self):
        s = self.s
        equal(s.pids(), self.pids, "the same processes")
        equal(s.modes(), self.modes)
        equal(s.count("still1"), self.still, "it stands")
        for name, n in self.counts.items():
            wait_until(lambda: s.call(name, "count") > n, f"{name} goes on", HANG)  # pylint: disable=cell-var-from-loop
        wait_until(lambda: self.busy_count() > self.busy, "it computes", HANG)


def read_events(s, first, count):
    """The debugger's next ones, which nobody has read: each once and in order."""
    s.api.open("d")
    seen = s.api.until("d", count, first)
    equal([(h.seq, h.hits) for h in seen], [(n, n) for n in range(first, first + count)])


def test_a_crash_and_a_restart_lose_nothing_and_a_stop_leaves_nothing(m):
    s = Service(m)
    twenty(s)
    before = Snapshot(s)
    s.systemctl("kill", "--signal=KILL", "--kill-whom=main")
    before.compare()
    read_events(s, 1, 1000)
    equal(s.call("app", "work", "[10]"), 1010)
    before = Snapshot(s)
    s.systemctl("restart")
    before.compare()
    read_events(s, 1001, 10)
    s.resume("still")
    wait_until(lambda: s.call("still0", "count") > 0, "its world goes on", HANG)
    m.systemctl("stop", *SOCKETS, SERVICE)
    s.none_is_left()


def test_what_vms_wrote_before_a_crash_is_shown_after_it(m):
    s = Service(m)
    says = "let n = 0; globalThis.say = (k) => { for (let i = 0; i < k; i++) console.log('line', ++n); return n; };"
    s.run("talks", says)
    s.run("ended", "for (let i = 1; i <= 3; i++) console.log('line', i);", keep_idle=False)
    s.run("silent", TICK)

    def shown(name):
        return m.ctl("-o", "json", "logs", name).out
    wait_until(lambda: len(json.loads(shown("ended"))) == 3, "it has written and ended", HANG)
    follows = m.start("stillctl", "logs", "-f", "talks")
    lines = 0
    for act in (s.crash, lambda: s.systemctl("restart"), s.crash):
        lines += 100
        equal(s.call("talks", "say", "[100]"), lines)
        before = {name: shown(name) for name in ("talks", "ended", "silent")}
        equal([(r["seq"], r["text"]) for r in json.loads(before["talks"])], [(n, f"line {n}\n") for n in range(1, lines + 1)])
        act()
        equal({name: shown(name) for name in before}, before)
    s.api.request(kill_vm=s.messages.KillVm(vm="talks"))
    equal(follows.communicate(timeout=HANG)[0].splitlines(), [f"line {n}" for n in range(1, lines + 1)])
    m.systemctl("stop", *SOCKETS, SERVICE)
    s.none_is_left()


def move_all(source, target):
    """The processes of one control group go to another; says which there were. One of them may have ended meanwhile, or
    have had a child here before it went."""
    with open(f"{source}/cgroup.procs", encoding="ascii") as f:
        pids = f.read().split()
    for pid in pids:
        try:
            with open(f"{target}/cgroup.procs", "w", encoding="ascii") as f:
                f.write(pid)
        except ProcessLookupError:
            pass
    return pids


def give_controllers(s):
    """To what is below the unit's control group, and two levels of that: such a group lets no process in. The daemon goes
    to where it goes by itself where there are controllers that it has a use for."""
    kept = f"{s.folder}/stillpoint/kept"
    os.makedirs(f"{kept}/daemon", exist_ok=True)
    wait_until(lambda: not move_all(s.folder, f"{kept}/daemon"), "the unit's control group has no process of its own", HANG)
    s.m.enable_controller("hugetlb", SERVICE)
    for folder in (f"{s.folder}/stillpoint", kept):
        with open(f"{folder}/cgroup.subtree_control", "w", encoding="ascii") as f:
            f.write("+hugetlb")


def test_with_a_controller_given_on_in_the_unit_another_daemon_takes_over_as_well(m):
    s = Service(m)
    twenty(s)
    before = Snapshot(s)
    for act in (s.crash, lambda: s.systemctl("restart"), s.crash):
        give_controllers(s)
        act()
    before.compare()
    read_events(s, 1, 1000)
    give_controllers(s)
    m.systemctl("stop", *SOCKETS, SERVICE)
    s.none_is_left()


def replace(path):
    """As a package's new version does: another file under the same name."""
    shutil.copy2(path, path + ".new")
    os.rename(path + ".new", path)


def test_an_upgrade_takes_other_programs_and_vms_go_on(m):
    s = Service(m)
    twenty(s)
    before = Snapshot(s)
    worker = m.outside(before.pids["vm0"])
    of_worker = os.stat(f"/proc/{worker}/exe").st_ino
    for path in ("sbin/stillpointd", "libexec/stillpoint/stillpoint-worker-mozjs"):
        replace(m.path(f"/usr/local/{path}"))
    s.systemctl("restart")
    before.compare()
    read_events(s, 1, 1000)
    equal(os.stat(f"/proc/{s.main()}/exe").st_ino, os.stat(m.path("/usr/local/sbin/stillpointd")).st_ino)
    equal(os.stat(f"/proc/{worker}/exe").st_ino, of_worker, "it goes on with what it was started with")
    born = m.outside(s.run("born", TICK).pid)
    check(os.stat(f"/proc/{born}/exe").st_ino != of_worker, "who is born now has the new one")


def test_a_stop_ends_what_is_frozen_or_stubborn(m):
    s = Service(m)
    s.run("frozen", BUSY)
    s.run("other", TICK)
    s.run("stubborn", BUSY, world="stubborn")
    m.ctl("world", "stop", "--enforce", "--deadline", f"{HANG:.0f}s")
    # One that nobody but the kernel can move: it does not even see that its life-line ends.
    os.kill(m.outside(s.pids()["stubborn"]), 19)
    start = time.monotonic()
    m.systemctl("stop", *SOCKETS, SERVICE)
    took = time.monotonic() - start
    s.none_is_left()
    check(took < int(m.show(SERVICE, "TimeoutStopUSec").rstrip("s")), f"it took {took} s")


def test_a_stop_between_a_crash_and_the_next_start_ends_what_is_frozen_or_stubborn(m):
    s = Service(m, "[Service]\nRestartSec=1h\n")
    s.run("frozen", BUSY)
    s.run("stubborn", BUSY, world="stubborn")
    m.ctl("world", "stop", "--enforce", "--deadline", f"{HANG:.0f}s")
    os.kill(m.outside(s.pids()["stubborn"]), 19)
    m.systemctl("kill", "--signal=KILL", "--kill-whom=main", SERVICE)
    wait_until(lambda: m.show(SERVICE, "SubState") == "auto-restart", "systemd waits", HANG)
    m.systemctl("stop", *SOCKETS, SERVICE)
    wait_until(lambda: not m.processes_of_ours(), "none is left", HANG)
    wait_until(lambda: not os.path.exists(s.folder), f"{s.folder} is gone", HANG)
    equal(s.stored(), 0)
    # Who is started at once waits until what there was is gone.
    m.systemctl("start", SERVICE)
    s.again()
    vm = s.run("new", TICK)
    m.systemctl("kill", "--signal=KILL", "--kill-whom=main", SERVICE)
    wait_until(lambda: m.show(SERVICE, "SubState") == "auto-restart", "systemd waits", HANG)
    m.systemctl("stop", SERVICE)
    m.systemctl("start", SERVICE)
    s.again()
    equal(s.pids(), {})
    s.run("newer", TICK)
    check(s.pids()["newer"] != vm.pid, "it is another")


def test_what_was_kept_of_a_vm_that_dies_without_a_daemon_the_next_one_has(m):
    s = Service(m, "[Service]\nRestartSec=1h\n")
    vm = s.run("dies", TICK)
    pid = m.outside(vm.pid)
    m.systemctl("kill", "--signal=KILL", "--kill-whom=main", SERVICE)
    wait_until(lambda: m.show(SERVICE, "SubState") == "auto-restart", "systemd waits", HANG)
    stored = s.stored()
    os.kill(pid, 9)
    wait_until(lambda: pid not in m.processes(), "it has ended", HANG)
    # What nobody holds on the other side systemd would drop, unless it is told not to look.
    equal(s.stored(), stored)
    m.systemctl("restart", SERVICE)
    s.again()
    wait_until(lambda: not s.pids(), "it is seen to have ended", HANG)
    check("is not taken over" not in m.journal("-t", "stillpointd"), m.journal("-t", "stillpointd"))
    with open(f"/proc/{s.main()}/environ", encoding="ascii") as f:
        names = re.search("LISTEN_FDNAMES=([^\0]*)", f.read()).group(1).split(":")
    equal(sorted(n for n in names if n.startswith("vm-")),
          [f"vm-{vm.id}-{what}" for what in ("channel", "command", "kick", "life", "pidfd", "status")])


def test_where_no_other_daemon_comes_vms_end(m):
    s = Service(m, "[Service]\nRestart=no\n")
    s.run("frozen", BUSY)
    m.ctl("world", "stop", "--enforce", "--deadline", f"{HANG:.0f}s")
    m.systemctl("kill", "--signal=KILL", "--kill-whom=main", SERVICE)
    wait_until(lambda: m.show(SERVICE, "ActiveState") == "failed", "systemd starts none", HANG)
    s.none_is_left()


def test_where_a_restart_finds_a_wrong_configuration_vms_end(m):
    s = Service(m)
    s.run("frozen", BUSY)
    s.run("other", TICK, world="other")
    m.ctl("world", "stop", "--enforce", "--deadline", f"{HANG:.0f}s")
    conf = m.write("/etc/stillpoint/stillpointd.conf.d/wrong.conf", "[daemon]\nno-such-key = 1\n")
    try:
        m.systemctl("restart", SERVICE, code=1)
        equal(m.show(SERVICE, "ActiveState"), "failed")
        s.none_is_left()
    finally:
        os.unlink(m.path(conf))


def test_a_daemon_that_is_to_keep_none_ends_those_of_the_one_before(m):
    s = Service(m)
    s.run("busy", BUSY)
    s.run("frozen", BUSY, world="still")
    s.run("frozen-idle", TICK, world="still")
    m.ctl("world", "stop", "--enforce", "--deadline", f"{HANG:.0f}s", "still")
    workers = [m.outside(pid) for pid in s.pids().values()]
    conf = m.write("/etc/stillpoint/stillpointd.conf.d/keep.conf", "[daemon]\nkeep-vms = no\n")
    try:
        s.systemctl("restart")
        equal(s.pids(), {})
        wait_until(lambda: not [pid for pid in workers if pid in m.processes()], "all have ended", HANG)
        wait_until(lambda: s.stored() == 0, lambda: f"nothing is kept of them: {s.stored()}", HANG)
        said = m.journal("-t", "stillpointd", f"_PID={m.main_pid()}")
        check("3 VMs of the daemon before this one are ended" in said and "nobody knows" not in said, said)
        s.run("other", BUSY)
        s.crash()
        equal(s.pids(), {})
    finally:
        os.unlink(m.path(conf))
    # What there was is not there again when VMs are kept.
    s.systemctl("restart")
    equal((s.pids(), s.modes()), ({}, {"default": "mode-run-all"}))
    wait_until(lambda: not [g for g in s.groups() if "vm-" in g], lambda: f"no control group is left: {s.groups()}", HANG)


def test_vms_end_by_themselves_when_another_daemon_takes_too_long(m):
    conf = m.write("/etc/stillpoint/stillpointd.conf.d/time.conf", "[daemon]\nadoption-time = 500ms\n")
    try:
        s = Service(m, "[Service]\nRestartSec=1h\n")
        s.run("busy", BUSY)
        s.run("idle", TICK)
        m.systemctl("kill", "--signal=KILL", "--kill-whom=main", SERVICE)
        wait_until(lambda: m.show(SERVICE, "SubState") == "auto-restart", "systemd waits", HANG)
        wait_until(lambda: not [p for p in m.processes() if process_name(p).startswith("stillpoint")],
                   "they have ended", HANG)
    finally:
        os.unlink(m.path(conf))


def test_what_is_frozen_waits_for_a_daemon_that_comes_too_late_for_the_others(m):
    conf = m.write("/etc/stillpoint/stillpointd.conf.d/time.conf", "[daemon]\nadoption-time = 500ms\n")
    try:
        s = Service(m, "[Service]\nRestartSec=1h\n")
        frozen = s.run("frozen", BUSY)
        idle = m.outside(s.run("idle", TICK, world="other").pid)
        m.ctl("world", "stop", "--enforce", "--deadline", f"{HANG:.0f}s")
        m.systemctl("kill", "--signal=KILL", "--kill-whom=main", SERVICE)
        wait_until(lambda: m.show(SERVICE, "SubState") == "auto-restart", "systemd waits", HANG)
        wait_until(lambda: idle not in m.processes(), "who can has ended", HANG)
        m.systemctl("restart", SERVICE)
        s.again()
        equal(s.pids(), {"frozen": frozen.pid})
        equal(s.modes()["default"], "mode-stopped")
        n = s.count("frozen")

        def goes_on():
            s.resume("default")
            s.stop("default")
            return s.count("frozen") > n
        wait_until(goes_on, "it goes on", HANG)
    finally:
        os.unlink(m.path(conf))
