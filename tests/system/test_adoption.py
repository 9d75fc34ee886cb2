"""VMs that outlive their daemon: it is killed, or restarted, and the next one has them all."""

import json
import os
import random
import re
import signal
import struct
import threading
import time

import hostile
import managed
from api import ApiError, memfd
from debugging import debugging
from harness import check, descendants, equal, is_zombie, process_name, wait_until

COUNTER = """
let n = 0;
globalThis.count = () => n;
setInterval(() => { n++; }, 5);
"""
BUSY = "globalThis.n = 0; for (;;) globalThis.n++;"


def pids(t):
    return {vm["name"]: vm["pid"] for vm in t.list()}


def count_in(t, name):
    """Of a busy one that stands."""
    client = debugging(t)
    try:
        return int(client.evaluate(name, "globalThis.n").value.preview)
    finally:
        client.close()


def come_back(t, client):
    """Another connection for the debugger of one that its daemon has taken along."""
    client.close()
    client = debugging(t)
    client.open("d")
    return client


def short_patience(t):
    return t.file("daemon.conf", "[daemon]\nadoption-time = 2s\n")


def kinds(d):
    """What is kept, without the numbers of its writing."""
    return sorted({re.sub(r"-[0-9]+-[0-9]+$", "", name) for name in d.status()["kept"]})


def count(t, name):
    return int(t.ctl("call", name, "count").out)


def survive(t, ends):
    """One that is idle and one that runs are there after the daemon has ended in this way."""
    d = managed.start(t)
    t.spawn("idle", COUNTER)
    t.spawn("busy", BUSY, ready=False)
    before, n = pids(t), count(t, "idle")
    ends(d)
    equal(pids(t), before, "the same processes")
    wait_until(lambda: count(t, "idle") > n, "its timer goes on")


def test_vms_that_run_and_that_are_idle_survive_a_crash(t):
    survive(t, lambda d: d.crash())
    t.ctl("world", "stop")
    states = {vm["name"]: vm["state"] for vm in t.list()}
    equal(states["busy"], "parked")
    t.ctl("world", "resume")
    t.ctl("kill", "busy", "idle")
    wait_until(lambda: not t.list(), "both have ended")


def test_a_restart_in_order_keeps_all(t):
    survive(t, lambda d: d.restart())
    equal(t.spawn("new", COUNTER), "new")
    check(int(t.vm("new")["id"]) > int(t.vm("busy")["id"]), "numbers go on")


def test_a_stopped_world_stays_stopped_with_its_ticket_target_and_holds(t):
    d = managed.start(t)
    t.spawn("idle", COUNTER)
    t.spawn("busy", BUSY, ready=False)
    t.spawn("elsewhere", COUNTER, options=("--world", "other"))
    t.ctl("hold", "elsewhere")
    t.ctl("world", "stop")
    before, world, target = pids(t), t.json("world", "list"), t.json("world", "status")["target"]
    n = count_in(t, "busy")
    for how in (d.crash, d.restart):
        how()
        equal(pids(t), before, "the same processes")
        after = t.json("world", "list")
        for was, now in zip(world, after):
            equal({k: now[k] for k in ("name", "mode", "ticket", "target", "runner")},
                  {k: was[k] for k in ("name", "mode", "ticket", "target", "runner")})
            check(now["epoch"] > was["epoch"], f"the epoch grows: {was} {now}")
        equal(t.json("world", "status")["target"], target)
        equal(count_in(t, "busy"), n, "it has not run")
        equal(len(t.vm("elsewhere")["holds"]), 1)
        world = after
    t.ctl("world", "resume")
    t.ctl("release", "elsewhere")
    wait_until(lambda: count(t, "elsewhere") >= 0 and count(t, "idle") > 0, "all run again")
    equal(t.vm("elsewhere")["holds"], [])


def test_who_runs_alone_goes_on_alone(t):
    d = managed.start(t)
    t.spawn("runner", BUSY, ready=False)
    t.spawn("other", BUSY, ready=False)
    t.ctl("world", "stop")
    t.ctl("continue", "runner", "--only")
    d.crash()
    world = t.json("world", "list")[0]
    equal((world["mode"], str(world["runner"])), ("run-one", str(t.vm("runner")["id"])))
    equal(t.vm("other")["state"], "parked")
    equal(t.vm("runner")["state"], "active")
    t.ctl("world", "stop")
    equal(t.vm("runner")["state"], "parked")
    t.ctl("world", "resume")


def test_what_the_kernel_keeps_from_running_stays_so(t):
    d = managed.start(t)
    t.spawn("busy", BUSY, ready=False)
    t.spawn("idle", COUNTER)
    t.ctl("world", "stop", "--enforce")
    check(all(vm["frozen"] for vm in t.list()), "all are frozen")
    d.crash()
    wait_until(lambda: all(vm["frozen"] for vm in t.list()), "they are still")
    t.ctl("world", "resume")
    wait_until(lambda: t.vm("busy")["state"] == "active", "it runs")
    check(not any(vm["frozen"] for vm in t.list()), "none is frozen")
    n = count(t, "idle")
    wait_until(lambda: count(t, "idle") > n, "it lives")


def test_hits_that_nobody_has_read_are_all_there_in_order(t):
    d = managed.start(t)
    t.spawn("app", "let n = 0; function f() { return ++n; }\n"
                   "globalThis.work = (k) => { for (let i = 0; i < k; i++) f(); return n; };")
    client = debugging(t)
    client.open("d", policy="hold")
    client.add("enter-frame", "app", "d", filter=client.api.HookFilter(function="f"),
               budget=client.api.HookBudget(per_second=100_000))
    equal(t.ctl("call", "app", "work", "1000").out.strip(), "1000")
    equal(len(client.until("d", 1000)), 1000)
    d.crash()
    client = come_back(t, client)
    seen = client.kept("d")
    equal([(h.seq, h.hits) for h in seen], [(n, n) for n in range(1, 1001)])
    equal(t.ctl("call", "app", "work", "10").out.strip(), "1010")
    more = client.until("d", 10, 1001)
    equal([(h.seq, h.hits) for h in more], [(n, n) for n in range(1001, 1011)])
    client.close()


def test_a_debugger_that_does_not_come_back_lets_go(t):
    d = managed.start(t, "--config", short_patience(t))
    t.spawn("app", COUNTER)
    client = debugging(t)
    client.open("d")
    client.request(stop_world=client.api.StopWorld(world="default", debugger="d", deadline_us=20_000_000))
    d.crash()
    equal(t.json("world", "list")[0]["mode"], "stopped")
    wait_until(lambda: t.json("world", "list")[0]["mode"] == "run-all", "it is resumed")
    equal(list(debugging(t).debuggers()), [])


def test_without_another_daemon_workers_end_by_themselves(t):
    d = managed.start(t, "--config", short_patience(t))
    t.spawn("idle", COUNTER)
    t.spawn("busy", BUSY, ready=False)
    workers = pids(t).values()
    d.crash()
    equal(sorted(pids(t).values()), sorted(workers), "they outlive one that is followed by another")
    d.hold_back()
    os.kill(d.pid, signal.SIGKILL)
    wait_until(lambda: d.pid == 0, "no daemon is there")
    check(any(not is_zombie(p) for p in workers), "they wait")
    wait_until(lambda: all(is_zombie(p) for p in workers), "they have ended")
    d.hold_back()
    d.wait_up(3)
    equal(t.list(), [])


class Other:
    """What a second daemon has of the test."""

    def __init__(self, t, folder):
        self.run_dir = self.folder = folder
        self.env, self.program, self.options = t.env, t.program, t.options


def test_two_daemons_whose_vms_outlive_them_have_a_cgroup_each(t):
    d = managed.start(t)
    if "workers get no cgroups of their own" in d.log_text():
        t.skip("workers get no cgroups here")
    folder = os.path.join(t.folder, "other")
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o755)
    other = managed.Managed(Other(t, folder))
    try:
        t.spawn("app", COUNTER)
        there = ["-s", other.socket]
        program = t.file("other.js", COUNTER)
        t.run([t.program("stillctl"), *there, "run", "-d", "--name", "app", program])
        before, n = pids(t), count(t, "app")
        for restarts in (1, 2):
            other.crash()
            d.crash()
            for daemon in (d, other):
                check("workers get no cgroups of their own" not in daemon.log_text(), daemon.log_text())
            equal(pids(t), before, f"the same process after {restarts}")
            check(int(t.run([t.program("stillctl"), *there, "call", "app", "count"]).out) >= 0, "the other's lives")
        wait_until(lambda: count(t, "app") > n, "it goes on")
    finally:
        other.stop()
    equal(pids(t), before, "the other's end is not its end")


def test_what_is_gone_is_not_kept(t):
    d = managed.start(t)
    before = kinds(d)
    t.spawn("app", COUNTER, options=("--world", "w"))
    check(len(d.status()["kept"]) > len(before), d.status()["kept"])
    d.crash()
    t.ctl("kill", "app")
    wait_until(lambda: kinds(d) == before, lambda: f"it is {before} again and not {kinds(d)}")


def test_one_that_dies_without_a_daemon_is_seen_to_have_ended(t):
    d = managed.start(t)
    t.spawn("app", COUNTER)
    t.spawn("other", COUNTER)
    d.hold_back()
    app = t.vm("app")["pid"]
    os.kill(d.pid, signal.SIGKILL)
    wait_until(lambda: d.pid == 0, "no daemon is there")
    os.kill(app, signal.SIGKILL)
    d.hold_back()
    d.wait_up(2)
    wait_until(lambda: [vm["name"] for vm in t.list()] == ["other"], "it has ended")
    equal(t.vm("app")["exit"]["reason"], "unknown")


def memfds(d, kind):
    """Those of this kind that the manager has, as open files."""
    folder, found = f"/proc/{d.process.pid}/fd", []
    for fd in sorted(os.listdir(folder), key=int):
        path = os.path.join(folder, fd)
        try:
            if os.readlink(path).startswith(f"/memfd:stillpoint-{kind}"):
                found.append(open(path, "r+b"))  # pylint: disable=consider-using-with
        except FileNotFoundError:
            pass  # a file that it has closed meanwhile
    return found


def logs(d, kind):
    """Those of this kind that are kept, as open files."""
    wait_until(lambda: any(name.startswith(f"{kind}-") for name in d.status()["kept"]), f"a log of {kind} is kept")
    return memfds(d, kind)


def spoil(d, kind):
    """What is kept of logs of this kind is none any more, until the next daemon writes them anew."""
    for log in logs(d, kind):
        with log as f:
            f.write(b"\xff" * 4)  # the length of the first record


def test_after_a_state_that_cannot_be_read_vms_have_ended_and_the_next_ones_are_kept(t):
    d = managed.start(t)
    before = kinds(d)
    t.spawn("old", COUNTER)
    old = pids(t)["old"]
    d.restart()
    spoil(d, "state")
    d.crash()
    wait_until(lambda: is_zombie(old), "it has ended")
    equal(t.list(), [])
    wait_until(lambda: kinds(d) == before, lambda: f"{before} are kept and not {kinds(d)}")
    t.spawn("new", COUNTER)
    new = pids(t)
    d.crash()
    equal(pids(t), new, "it goes on")
    n = count(t, "new")
    wait_until(lambda: count(t, "new") > n, "it lives")


def test_a_daemon_that_finds_no_memory_leaves_vms_to_the_next_one(t):
    library = t.program("tests/support/alloc_fail.so")
    if not os.path.exists(library):
        t.skip("alloc_fail is not built with sanitizers")
    path = os.path.join(t.folder, "allocations")
    with open(path, "w+b", buffering=0) as f:
        f.write(bytes(40))
        d = managed.start(t, wrapper=("/usr/bin/env", f"LD_PRELOAD={library}", f"ALLOC_FAIL={path}"))
        t.spawn("app", COUNTER)
        t.ctl("world", "stop")
        t.ctl("world", "resume")
        before = pids(t)

        def crash(first, failing):
            """How many allocations there were until all was taken over, and those daemons that found no memory."""
            os.pwrite(f.fileno(), struct.pack("=5q", 1, 0, first, failing, 1), 0)
            n = len(d.status()["ends"])
            d.crash()
            equal(pids(t), before, f"the same processes after {first}")
            return struct.unpack("=5q", os.pread(f.fileno(), 40, 0))[1], d.status()["ends"][n + 1:]
        total, _ = crash(0, 0)
        failed = sum(len(crash(first, 1)[1]) for first in range(0, total, max(total // 60, 1)))
    check(failed > 20, f"{failed} of {total} found no memory")
    n = count(t, "app")
    wait_until(lambda: count(t, "app") > n, "it lives")


def test_vms_of_a_world_whose_page_is_not_kept_are_ended(t):
    """A page of its own would stop none of them."""
    d = managed.start(t)
    t.spawn("app", COUNTER)
    t.spawn("other", COUNTER, options=("--world", "other"))
    before = pids(t)
    d.forget("world-default")
    d.crash()
    check("its world's page was not kept" in d.log_text(), d.log_text())
    equal(pids(t), {"other": before["other"]})
    wait_until(lambda: is_zombie(before["app"]), "it has ended")
    t.spawn("new", COUNTER)
    new = pids(t)
    d.crash()
    equal(pids(t), new, "the world's page is kept again")


def test_a_world_whose_page_is_none_costs_its_vms_and_no_start(t):
    d = managed.start(t)
    t.spawn("app", COUNTER)
    t.spawn("other", COUNTER, options=("--world", "other"))
    before = pids(t)
    d.replace("world-other", b"no page")
    d.crash()
    check("the page of world other that was kept is none" in d.log_text(), d.log_text())
    equal(pids(t), {"app": before["app"]})
    wait_until(lambda: is_zombie(before["other"]), "it has ended")
    t.spawn("new", COUNTER, options=("--world", "other"))
    new = pids(t)
    equal(d.status()["kept"].count("world-other"), 1)
    d.crash()
    equal(pids(t), new, "the world's page is kept again")
    equal(len(d.status()["ends"]), 2, "no start has failed")


def append(d, record):
    """One more record in the state of the daemon, after its last."""
    for log in logs(d, "state"):
        with log as f:
            data, at = f.read(), 0
            while size := int.from_bytes(data[at:at + 4], "little"):
                at += 4 + size
            f.seek(at)
            f.write(len(record).to_bytes(4, "little") + record)


def test_a_hook_that_cannot_be_read_is_lost_and_nothing_else_is(t):
    d = managed.start(t)
    t.spawn("app", "function f() {} globalThis.work = () => { f(); };")
    before = pids(t)
    client = debugging(t)
    client.open("d", policy="hold")
    client.add("enter-frame", "app", "d", filter=client.api.HookFilter(function="f"))
    # Record { hook { id: 77, debugger: 1, target: a world, wire: not of any message } }
    append(d, bytes([0x4a, 10, 0x08, 77, 0x10, 1, 0x18, 3, 0x5a, 2, 0xff, 0xff]))
    d.crash()
    check("hook 77 that was kept cannot be read" in d.log_text(), d.log_text())
    equal(pids(t), before, "the same processes")
    client = come_back(t, client)
    t.ctl("call", "app", "work")
    client.until("d", 1)
    client.close()
    equal(len(d.status()["ends"]), 1, "no start has failed")


def test_hits_that_cannot_be_read_are_lost_and_nothing_else_is(t):
    d = managed.start(t)
    t.spawn("app", "function f() {} globalThis.work = () => { f(); f(); };")
    before = pids(t)
    client = debugging(t)
    client.open("d", policy="hold")
    client.add("enter-frame", "app", "d", filter=client.api.HookFilter(function="f"))
    t.ctl("call", "app", "work")
    client.until("d", 2)
    spoil(d, "hits")
    d.crash()
    check("hits of debugger d that were kept cannot be read" in d.log_text(), d.log_text())
    equal(pids(t), before, "the same processes")
    client = come_back(t, client)
    t.ctl("call", "app", "work")
    equal([h.hits for h in client.until("d", 2)], [1, 2])
    client.close()


TALKS = """
function f() {}
globalThis.work = (first, k) => { for (let i = 0; i < k; i++) { f(); postMessage(first + i); } };
"""
HEARD_AT = 64  # of `heard`, in struct command_page (shared-mem/layout.h)


def count_less(d, facts):
    """The only VM's page says that so many facts less were dealt with, while there is no daemon."""
    with memfds(d, "command")[0] as page:
        page.seek(HEARD_AT)
        heard = int.from_bytes(page.read(8), "little")
        check(heard > facts, f"{heard} facts were dealt with")
        page.seek(HEARD_AT)
        page.write((heard - facts).to_bytes(8, "little"))


def test_what_a_daemon_did_and_had_not_counted_yet_is_not_done_twice(t):
    """The worker sends again what was not counted: hits and messages that are put down already."""
    d = managed.start(t)
    t.spawn("app", TALKS)
    client = debugging(t)
    client.open("d", policy="hold")
    client.add("enter-frame", "app", "d", filter=client.api.HookFilter(function="f"),
               budget=client.api.HookBudget(per_second=100_000))
    events = t.start("-o", "jsonl", "events", "-f", "--since", "1")
    found = []
    for daemon, facts in enumerate((3, 6), 1):
        # So few that they are not acknowledged yet: two each, and that the call is done.
        t.ctl("call", "app", "work", str(10 * daemon), "5")
        client.until("d", 5, 5 * daemon - 4)
        while len(messages_in(found)) < 5 * daemon:
            found += lines_until(events, 1)
        d.hold_back()
        os.kill(d.pid, signal.SIGKILL)
        wait_until(lambda: d.pid == 0, "no daemon is there")
        count_less(d, facts)
        d.hold_back()
        d.wait_up(daemon + 1)
        client = come_back(t, client)
    t.ctl("call", "app", "work", "30", "5")
    client.until("d", 5, 11)
    while 34 not in messages_in(found):
        found += lines_until(events, 1)
    equal(messages_in(found), [*range(10, 15), *range(20, 25), *range(30, 35)])
    equal([(h.seq, h.hits) for h in client.kept("d")], [(n, n) for n in range(1, 16)])
    client.close()
    events.terminate()
    events.wait(60)


def test_of_a_vm_that_is_kept_in_part_nothing_is_left(t):
    """As of one whose daemon died while it handed it over."""
    d = managed.start(t)
    before = kinds(d)
    t.spawn("other", COUNTER)
    pid = pids(t)["other"]
    t.spawn("app", COUNTER)
    number = t.vm("app")["id"]
    names = [name for name in d.status()["kept"] if name.startswith(f"vm-{number}-")]
    equal(len(names), 6, names)
    app = pids(t)["app"]
    d.forget(f"vm-{number}-status")
    d.crash()
    equal(pids(t), {"other": pid})
    wait_until(lambda: is_zombie(app), "it has ended")
    wait_until(lambda: not any(name.startswith(f"vm-{number}-") for name in d.status()["kept"]), "nothing of it is kept")
    t.ctl("kill", "other")
    wait_until(lambda: kinds(d) == before, lambda: f"it is {before} again and not {kinds(d)}")


DEAF = """
globalThis.got = [];
onmessage = (e) => { got.push(e.data); };
globalThis.length = () => got.length;
globalThis.numbers = () => got.map((m) => m[0]);
globalThis.sizes = () => got.map((m) => m[1].length);
setTimeout(() => { while (!globalThis.done); }, 0);
"""


def test_messages_that_were_accepted_and_had_no_room_come_once_and_in_order(t):
    """The worker reads nothing: its socket is full, and most of them wait in the daemon."""
    d = managed.start(t)
    t.spawn("deaf", DEAF, ready=False)
    wait_until(lambda: t.vm("deaf")["state"] == "active", "it reads nothing")
    client = debugging(t)
    # Every tenth is too large for a packet, and travels beside it.
    sent = [(40_000 if n % 10 == 0 else 5_000, n) for n in range(250)]
    for size, n in sent:
        client.request(send_message=client.api.SendMessage(vm="deaf", json=json.dumps([n, "m" * size])))
    client.close()

    def beside():
        return [name for name in d.status()["kept"] if "-beside-" in name]
    wait_until(lambda: len(beside()) > 10, "many are kept for the next daemon")
    d.crash()
    d.crash()
    check(len(beside()) > 10, "they are kept on")
    client = debugging(t)
    client.request(send_message=client.api.SendMessage(vm="deaf", json=json.dumps([250, ""])))
    t.ctl("world", "stop")
    client.evaluate("deaf", "globalThis.done = true")
    t.ctl("world", "resume")
    wait_until(lambda: int(t.ctl("call", "deaf", "length").out) >= 251, "they are there")
    equal(json.loads(t.ctl("call", "deaf", "numbers").out), list(range(251)))
    equal(json.loads(t.ctl("call", "deaf", "sizes").out), [size for size, _ in sent] + [0])
    wait_until(lambda: not beside(), "what has been sent is not kept")
    client.close()


def send_until_refused(client, vm, first, sizes):
    """Numbers from `first` on, in messages of each of these sizes in turn; returns the next number."""
    n = first
    for size in sizes:
        try:
            while True:
                client.request(send_message=client.api.SendMessage(vm=vm, json=json.dumps([n, "m" * size])))
                n += 1
        except ApiError:
            pass
    check(n > first or first > 0, "some were accepted")
    return n


def let_read(t, client, vm):
    t.ctl("world", "stop")
    client.evaluate(vm, "globalThis.done = true")
    t.ctl("world", "resume")


def test_no_more_messages_are_accepted_over_a_crash_than_can_wait(t):
    d = managed.start(t)
    t.spawn("deaf", DEAF, ready=False)
    wait_until(lambda: t.vm("deaf")["state"] == "active", "it reads nothing")
    client = debugging(t)
    n = send_until_refused(client, "deaf", 0, [0])
    client.close()
    d.crash()
    client = debugging(t)
    n = send_until_refused(client, "deaf", n, [0])
    let_read(t, client, "deaf")
    wait_until(lambda: t.vm("deaf")["state"] == "idle", "it has read all")
    equal(json.loads(t.ctl("call", "deaf", "numbers").out), list(range(n)))
    # And all of the room is there again.
    for n in range(n, n + 50):
        client.request(send_message=client.api.SendMessage(vm="deaf", json=json.dumps([n, "m" * 100_000])))
    wait_until(lambda: int(t.ctl("call", "deaf", "length").out) == n + 1, "these, too")
    client.close()


def test_a_vm_for_which_no_more_can_wait_is_taken_over(t):
    d = managed.start(t)
    t.spawn("deaf", DEAF, ready=False)
    wait_until(lambda: t.vm("deaf")["state"] == "active", "it reads nothing")
    before = pids(t)
    client = debugging(t)
    n = send_until_refused(client, "deaf", 0, [8000, 1000, 0])
    client.close()
    d.crash()
    equal(pids(t), before, "the same process")
    client = debugging(t)
    let_read(t, client, "deaf")
    wait_until(lambda: t.vm("deaf")["state"] == "idle", "it has read all")
    equal(json.loads(t.ctl("call", "deaf", "numbers").out), list(range(n)))
    client.close()


STEPS = """
let n = 0;
function f() {
    n++;
    return n;
}
globalThis.start = () => { setInterval(f, 0); };
"""


def with_breakpoint(t, program, line, other, suspend="world"):
    """A daemon, one VM that has not come to its breakpoint yet, another, and the connection that has the debugger open."""
    d = managed.start(t)
    t.spawn("app", program)
    t.spawn("other", other, ready=other != BUSY)
    client = debugging(t)
    client.open("d", policy="hold")
    client.breakpoint("app", "app.js", line, debugger="d", suspend=suspend)
    return d, client


def stands_in(client, vm, line):
    frame = client.frames(vm)[0]
    equal((frame.function, frame.line), ("f", line))


def world_of(t):
    return t.json("world", "list")[0]["mode"]


def test_a_pause_outlives_the_daemon_and_so_does_a_step(t):
    d, client = with_breakpoint(t, STEPS, 4, BUSY)
    t.ctl("call", "app", "start")
    wait_until(lambda: world_of(t) == "stopped", "it has come there")
    before = client.locals("app"), client.evaluate("app", "n", frame=0).value.preview
    d.crash()
    client = come_back(t, client)
    wait_until(lambda: world_of(t) == "stopped", "it stands again")
    stands_in(client, "app", 4)
    equal((client.locals("app"), client.evaluate("app", "n", frame=0).value.preview), before)
    client.step("app", "over")
    stands_in(client, "app", 5)
    equal(client.evaluate("app", "n", frame=0).value.preview, str(int(before[1]) + 1))
    # Once more from where the step ended, and on to the next time.
    d.crash()
    client = come_back(t, client)
    wait_until(lambda: world_of(t) == "stopped", "it stands again")
    stands_in(client, "app", 5)
    client.request(resume_world=client.api.ResumeWorld(world="default"))
    wait_until(lambda: world_of(t) == "stopped", "it has come there again")
    stands_in(client, "app", 4)
    equal(client.evaluate("app", "n", frame=0).value.preview, str(int(before[1]) + 1))
    equal([h.hits for h in client.kept("d")], [1, 2])
    client.close()


LONG_STEP = """
function long() { for (const end = Date.now() + 1500; Date.now() < end;); }
let n = 0;
function f() {
    n++;
    long();
    return n;
}
globalThis.start = () => { setInterval(f, 0); };
"""


def test_a_step_that_is_under_way_ends_under_the_next_daemon(t):
    d, client = with_breakpoint(t, LONG_STEP, 6, COUNTER)
    t.ctl("call", "app", "start")
    wait_until(lambda: world_of(t) == "stopped", "it has come there")
    client.send(step_vm=client.api.StepVm(vm="app", how=client.api.STEP_OVER))
    wait_until(lambda: world_of(t) == "run-one", "it is in the middle of its step")
    d.crash()
    client = come_back(t, client)
    wait_until(lambda: world_of(t) == "stopped", "its step has ended")
    stands_in(client, "app", 7)
    client.close()


def test_a_stop_for_a_pause_that_had_not_come_when_the_daemon_died_comes(t):
    d, client = with_breakpoint(t, STEPS, 4, BUSY)
    wait_until(lambda: t.vm("other")["state"] == "active", "it computes")
    # It cannot come to its gate, and so the world cannot stop.
    os.kill(t.vm("other")["pid"], signal.SIGSTOP)
    t.ctl("call", "app", "start")
    wait_until(lambda: world_of(t) == "stopping", "a stop is under way")
    d.crash()
    os.kill(t.vm("other")["pid"], signal.SIGCONT)
    client = come_back(t, client)
    wait_until(lambda: world_of(t) == "stopped", "the stop has come")
    stands_in(client, "app", 4)
    equal(client.evaluate("app", "n", frame=0).value.preview, "0")
    equal([h.hits for h in client.kept("d")], [1])
    client.close()


def test_a_vm_that_is_held_for_its_pause_is_held_on(t):
    d, client = with_breakpoint(t, STEPS, 4, COUNTER, suspend="vm")
    t.ctl("call", "app", "start")
    wait_until(lambda: t.vm("app")["holds"], "it is held")
    d.crash()
    client = come_back(t, client)
    equal(len(t.vm("app")["holds"]), 1)
    equal(world_of(t), "run-all")
    stands_in(client, "app", 4)
    n = count(t, "other")
    wait_until(lambda: count(t, "other") > n, "others run")
    client.request(release_vm=client.api.ReleaseVm(vm="app", debugger="d"))
    wait_until(lambda: [h.hits for h in client.kept("d")] == [1, 2], "it has come there again")
    wait_until(lambda: t.vm("app")["holds"], "and is held again")
    equal(client.evaluate("app", "n", frame=0).value.preview, "1")
    client.close()


IMPORTS = """
globalThis.said = "waits";
globalThis.state = () => globalThis.said;
import("./b.mjs").then(() => { globalThis.said = "has it"; }, () => { globalThis.said = "failed"; });
"""


def import_asked_for(client):
    """The first that the connection has not been told of yet."""
    while True:
        for e in client.events:
            if e.HasField("import_requested"):
                client.events.remove(e)
                return e.import_requested
        client.events.append(client.receive())


def test_an_import_that_was_open_fails_once_however_many_daemons_follow(t):
    d = managed.start(t)
    client = debugging(t)
    client.run("a.mjs", IMPORTS, name="app")
    import_asked_for(client)
    d.crash()
    client.close()
    wait_until(lambda: json.loads(t.ctl("call", "app", "state").out) == "failed", "it is told so")
    pid = t.vm("app")["pid"]
    for _ in range(2):
        d.crash()
        equal(json.loads(t.ctl("call", "app", "state").out), "failed")
        equal(t.vm("app")["pid"], pid)


def kinds_in_state(d):
    """Of the records in the log of the state: the numbers that state.proto gives to what they have."""
    with logs(d, "state")[-1] as f:
        data = f.read()
    found, at = [], 0
    while at + 4 <= len(data) and (size := int.from_bytes(data[at:at + 4], "little")) > 0:
        found.append(data[at + 4] >> 3)
        at += 4 + size
    return found


def test_an_answer_to_an_import_is_kept_before_it_is_put_down_that_none_is_waited_for(t):
    vm_record, queued_record = 2, 11
    d = managed.start(t)
    client = debugging(t)
    vm = client.run("a.mjs", IMPORTS + "onmessage = () => {}; setTimeout(() => { while (!globalThis.done); }, 0);",
                    name="app")
    asked = import_asked_for(client)
    wait_until(lambda: t.vm("app")["state"] == "active", "it reads nothing")
    while queued_record not in kinds_in_state(d):
        client.request(send_message=client.api.SendMessage(vm="app", json=json.dumps("m" * 5000)))
    fd = memfd(b"export default 1;")
    client.request(fd, answer_import=client.api.AnswerImport(vm=vm.id, import_id=asked.import_id))
    os.close(fd)
    last = kinds_in_state(d)[::-1]
    check(last.index(vm_record) < last.index(queued_record), f"the answer is there first: {last[:8]}")
    d.crash()
    client.close()
    client = debugging(t)
    t.ctl("world", "stop")
    client.evaluate("app", "globalThis.done = true")
    t.ctl("world", "resume")
    wait_until(lambda: json.loads(t.ctl("call", "app", "state").out) != "waits", "it is answered")
    equal(json.loads(t.ctl("call", "app", "state").out), "has it")
    client.close()


def test_a_units_vm_is_its_units_under_the_next_daemon_too(t):
    program = t.file("web.js", COUNTER)
    os.makedirs(os.path.join(t.work, "vms"), exist_ok=True)
    for folder in (t.folder, t.work, t.run_dir):
        os.chmod(folder, 0o755)  # the daemon becomes somebody else, who has to read
    t.file("vms/web.conf", f"[vm]\nprogram = {program}\nlabels = tier=web\nrestart = always\nrestart-delay = 10ms\n")
    d = managed.start(t, "--vms", os.path.join(t.work, "vms"), "--state-dir", os.path.join(t.folder, "state"))
    wait_until(lambda: t.vm("web")["state"] == "idle", "it runs")
    before = t.vm("web")
    d.crash()
    d.restart()
    equal([(u["name"], u["state"]) for u in t.json("units")], [("web", "running")])
    after = t.vm("web")
    equal([after[k] for k in ("pid", "id", "labels", "unit")], [before[k] for k in ("pid", "id", "labels", "unit")])
    equal((after["labels"], after["unit"]), ({"tier": "web"}, "web"))
    # Its end is that of its unit's VM, and so it is started again.
    os.kill(after["pid"], signal.SIGKILL)
    wait_until(lambda: t.vm("web")["pid"] not in (0, after["pid"]), "there is another")
    t.ctl("stop", "web")
    wait_until(lambda: t.json("units")[0]["state"] == "off", "it is off")


def with_units(t, **files):
    """A daemon with these units; each file is what follows the unit's program, which does what its name says."""
    programs = {"idle": "onmessage = () => {};", "fails": "throw new Error('no');", "ends": "process.exit(0);"}
    os.makedirs(os.path.join(t.work, "vms"), exist_ok=True)
    for folder in (t.folder, t.work, t.run_dir):
        os.chmod(folder, 0o755)  # the daemon becomes somebody else, who has to read
    for name, (program, more) in files.items():
        path = t.file(f"{name}.js", programs[program])
        t.file(f"vms/{name}.conf", f"[vm]\nprogram = {path}\n{more}")
    return managed.start(t, "--vms", os.path.join(t.work, "vms"), "--state-dir", os.path.join(t.folder, "state"))


def test_units_that_were_stopped_gave_up_ended_or_wait_do_so_under_the_next_daemon(t):
    again = "restart = on-failure\nrestart-delay = 10ms\nrestart-attempts = 2\n"
    d = with_units(t, stopped=("idle", ""), ended=("ends", ""), gave_up=("fails", again),
                   waits=("fails", "restart = always\nrestart-delay = 1h\nrestart-delay-max = 1h\n"), runs=("idle", ""))
    states = {"stopped": "off", "ended": "exited", "gave_up": "failed", "waits": "restarting", "runs": "running"}

    def units():
        return {u["name"]: {k: u[k] for k in ("state", "detail", "restarts", "restart_at_us")} for u in t.json("units")}
    wait_until(lambda: t.vm("stopped")["state"] == "idle", "it runs")
    t.ctl("stop", "stopped")
    wait_until(lambda: {n: u["state"] for n, u in units().items()} == states, "each is in its state")
    before = units()
    for how in (d.crash, d.restart, d.crash):
        how()
        equal(units(), before)
    # And out of it as ever: by hand, and when its time has come.
    t.ctl("start", "stopped")
    equal(units()["stopped"]["state"], "running")
    t.ctl("stop", "waits")
    equal(units()["waits"]["state"], "off")
    d.crash()
    equal([units()[n]["state"] for n in ("stopped", "waits")], ["running", "off"])


def test_a_unit_whose_restart_is_due_while_there_is_no_daemon_is_started_by_the_next_one(t):
    d = with_units(t, web=("idle", "restart = always\nrestart-delay = 1s\n"))
    wait_until(lambda: t.vm("web")["state"] == "idle", "it runs")
    t.ctl("kill", "web")
    wait_until(lambda: t.json("units")[0]["state"] == "restarting", "it waits")
    d.crash()
    wait_until(lambda: t.json("units")[0]["state"] == "running", "it is started")
    equal(t.json("units")[0]["restarts"], 1)


def messages_in(events):
    return [e["data"] for e in events if e["kind"] == "vm-message"]


def lines_until(p, count):
    """So many lines of JSON that it prints."""
    return [json.loads(p.stdout.readline()) for _ in range(count)]


def exits(t):
    """How all ended that are still shown, and what else is told of them."""
    return {vm["name"]: {k: vm[k] for k in ("id", "exit", "ended_us", "started_us", "cpu_us", "labels", "program")}
            for vm in t.json("list", "-a") if vm["state"] == "exited"}


def test_how_vms_ended_is_known_to_the_next_daemons(t):
    d = managed.start(t)
    t.spawn("stays", COUNTER)
    t.ctl("run", "-d", "--name", "ends", t.file("ends.js", "process.exit(7);"))
    t.ctl("run", "-d", "--name", "fails", t.file("fails.js", "throw new Error('no');"))
    t.spawn("killed", COUNTER)
    t.ctl("kill", "killed")
    wait_until(lambda: len(exits(t)) == 3, "all three have ended")
    before, n = exits(t), len(t.json("list", "-a"))
    equal({name: vm["exit"]["code"] for name, vm in before.items()}, {"ends": 7, "fails": 1, "killed": 137})
    for how in (d.crash, d.restart, d.crash):
        how()
        equal(exits(t), before)
        equal(len(t.json("list", "-a")), n)
        t.ctl("wait", "ends", "--for=exited")
        equal(t.vm("killed")["exit"]["reason"], "killed")
    # Their names are free again, and one that lives comes first.
    t.spawn("ends", COUNTER)
    d.crash()
    equal(t.vm("ends")["state"], "idle")
    equal(len(t.json("list", "-a")), n + 1)


def test_what_is_not_taken_over_is_shown_as_ended(t):
    d = managed.start(t)
    t.spawn("app", COUNTER, options=("--world", "other"))
    d.forget("world-other")
    for _ in range(2):
        d.crash()
        equal(t.vm("app")["exit"]["reason"], "unknown")
        check("page was not kept" in t.vm("app")["exit"]["detail"], t.vm("app"))


def test_who_follows_events_and_hits_goes_on_where_it_was(t):
    d = managed.start(t)
    t.spawn("app", "function f() {}\nglobalThis.work = (k) => { for (let i = 0; i < k; i++) { f(); postMessage(i); } };")
    client = debugging(t)
    client.open("d", policy="hold")
    client.add("enter-frame", "app", "d", filter=client.api.HookFilter(function="f"),
               budget=client.api.HookBudget(per_second=100_000))
    events = t.start("-o", "jsonl", "events", "-f", "--since", "1")
    hits = t.start("-o", "jsonl", "audit", "tail", "-f", "d")
    t.ctl("call", "app", "work", "10")
    seen, found = lines_until(hits, 10), []
    while len(messages_in(found)) < 10:
        found += lines_until(events, 1)
    for crash in range(1, 4):
        if crash > 1:
            d.crash()
        else:
            d.restart()
        t.ctl("call", "app", "work", "10")
        seen += lines_until(hits, 10)
        while len(messages_in(found)) < 10 * (crash + 1):
            found += lines_until(events, 1)
    equal([h["seq"] for h in seen], list(range(1, 41)))
    equal([e["seq"] for e in found], list(range(found[0]["seq"], found[0]["seq"] + len(found))))
    equal(messages_in(found), list(range(10)) * 4)
    client.close()
    for p in (events, hits):
        p.terminate()
        p.wait(60)


def test_crashes_while_a_debugger_stops_and_goes_on_lose_no_hit_and_no_pause(t):
    d, client = with_breakpoint(t, STEPS, 4, BUSY)
    t.ctl("call", "app", "start")
    seed = random.Random(int.from_bytes(os.urandom(4), "big"))
    for _ in range(20):
        before = d.status()
        killer = threading.Timer(seed.random() * 0.05, os.kill, (before["pid"], signal.SIGKILL))
        killer.start()
        try:
            while True:
                client.request(resume_world=client.api.ResumeWorld(world="default"))
        except (OSError, EOFError):
            pass
        except ApiError as e:
            # It has been resumed, and has not come to its breakpoint again.
            check("is not stopped" in str(e) or "no ticket" in str(e), str(e))
        killer.join()
        d.wait_up(before["ready"] + 1)
        client = come_back(t, client)
        wait_until(lambda: world_of(t) == "stopped", "it is where it has its breakpoint")
        stands_in(client, "app", 4)
        n = int(client.evaluate("app", "n", frame=0).value.preview)
        hits = client.kept("d")
        # Each call of the function is a hit, and a stop; and the one that it stands in now.
        equal([h.hits for h in hits], list(range(hits[0].hits, n + 2)))
        equal([h.seq for h in hits], list(range(hits[0].seq, hits[0].seq + len(hits))))
    client.close()


def test_twenty_crashes_during_stops_and_births_lose_no_vm(t):
    d = managed.start(t)
    for i in range(4):
        t.spawn(f"vm{i}", BUSY if i % 2 else COUNTER, ready=False)
    t.spawn("still", BUSY, ready=False, options=("--world", "still"))
    t.ctl("world", "stop", "still")
    known, seed = pids(t), random.Random(int.from_bytes(os.urandom(4), "big"))
    program = t.file("born.js", COUNTER)
    for crash in range(20):
        birth = t.start("run", "-d", "--name", f"born{crash}", program)
        stop = t.start("world", "stop")
        time.sleep(seed.random() * 0.03)
        d.crash()
        for p in (birth, stop):
            p.communicate(timeout=60)
        now = pids(t)
        if birth.returncode == 0:
            known[f"born{crash}"] = now.get(f"born{crash}")
        for name, pid in known.items():
            equal(now.get(name), pid, f"{name} after crash {crash}")
            check(pid is not None, name)
        worlds = {w["name"]: w["mode"] for w in t.json("world", "list")}
        equal(worlds["still"], "stopped")
        if stop.returncode == 0:
            equal(worlds["default"], "stopped")
        t.ctl("world", "resume", code=None)
    wait_until(lambda: t.vm("vm1")["state"] == "active", "busy ones run")
    for name in list(pids(t)):
        if name != "still" and name not in ("vm1", "vm3"):
            wait_until(lambda n=name: count(t, n) > 0, f"{name} lives")
    t.ctl("kill", *pids(t))
    wait_until(lambda: not t.list(), "all have ended")
    wait_until(lambda: not [n for n in d.status()["kept"] if n.startswith("vm-")], "nothing of them is kept")
    zygotes = [p for p in descendants(d.process.pid) if process_name(p).startswith("stillpoint-")]
    check(len(zygotes) <= 3, f"a daemon and its zygotes: {zygotes}")


def test_workers_that_an_attacker_owns_are_taken_over_or_ended_and_hurt_nobody(t):
    t.liars = True
    d = managed.start(t, "--worker-dir", hostile.workers(t))
    client = debugging(t)
    honest = client.run("honest.js", COUNTER, name="honest").id
    old = hostile.fact(hostile.POSTED, (1, "1"))
    acts = {"lifeline": ["x64 3 5", "spin"], "channel": ["x64 3 3", "spin"], "kick": ["x64 3 4", "apart kick 0", "spin"],
            "garbage": ["apart race", "garbage 1"], "flood": [f"flood 600 {old}"], "chat": [f"chat 600 {b'x'.hex()}"],
            # While there is no daemon: it waits for the end of the lifeline.
            "unheard": ["x64 0 5 0 1", "x64 3 3", "spin"],
            "late": [f"numbered {1 << 40} {old}", "spin"], "deaf": ["print up", "deaf"], "exited": ["exited"]}
    for name, lines in acts.items():
        client.send(memfd(("\n".join(lines) + "\n").encode()),
                    run_vm=client.api.RunVm(program="attack", engine="fake", name=name, keep_idle=True))
    wait_until(lambda: len(client.vms(True)) == len(acts) + 1, "all were born")
    wait_until(lambda: "garbage" in pids(t) and "flood" in pids(t), "they live")
    before = pids(t)
    for _ in range(3):
        client.close()
        d.crash()
        client = debugging(t)
        n = count(t, "honest")
        wait_until(lambda: count(t, "honest") > n, "an honest one goes on")  # pylint: disable=cell-var-from-loop
        equal(pids(t)["honest"], before["honest"])
        report = client.request(stop_world=client.api.StopWorld(
            world="default", deadline_us=500_000, enforce=True)).stop_report
        equal({r.vm: (r.how, r.lied) for r in report.arrivals}.get(honest, (0, True))[1], False, "it does not lie")
        client.resume()
    for vm in client.vms():
        client.request(kill_vm=client.api.KillVm(vm=str(vm.id)))
    wait_until(lambda: not t.list(), "all have ended")
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") and not is_zombie(pid) for pid in before.values()),
               "no process is left")
    client.close()
