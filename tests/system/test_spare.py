"""The worker that is kept ready for the next VM: who gets it, who does not, and that nobody sees it otherwise."""

import os
import select
import signal
import time

import managed
from api import memfd
from clock import Clock
from harness import (cgroup_of, check, children, equal, folders_of_daemon, is_zombie, kill_quietly,
                     process_name, wait_until)
from storm import connect

IDLES = "globalThis.onmessage = () => {}; globalThis.ping = () => 'pong'"


def start(t, *args):
    t.start_daemon("--spare=yes", *args)


def spares(t):
    """Workers of the daemon that are no VMs; those that die are some, too."""
    vms = {vm["pid"] for vm in t.list()}
    return [p for p in t.daemon.workers() if p not in vms]


def is_ready(pid):
    """Its filter is there, which is its last step: then it waits for a program."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            return "Seccomp:\t2\n" in f.read()
    except (FileNotFoundError, ProcessLookupError):
        return False


def spare_of(t):
    """The one that is there, once it is ready."""
    found = []

    def is_there():
        found[:] = [p for p in spares(t) if not is_zombie(p)]
        return len(found) == 1 and is_ready(found[0])
    wait_until(is_there, "a worker is kept ready")
    return found[0]


def none_left(t):
    wait_until(lambda: not spares(t), lambda: f"no spare is there: {spares(t)}")


def test_the_next_vm_gets_the_worker_that_was_made_like_the_last(t):
    start(t)
    none_left(t)
    t.spawn("first", IDLES)
    pid = spare_of(t)
    check(pid != t.vm("first")["pid"], "it is another process")
    t.spawn("second", IDLES)
    equal(t.vm("second")["pid"], pid, "its process")
    equal(t.vm("second")["id"], t.vm("first")["id"] + 1, "its id")
    equal(t.ctl("call", "second", "ping").out, '"pong"\n')
    check(spare_of(t) not in (pid, t.vm("first")["pid"]), "and another is made")


def test_all_that_a_vm_is_told_is_told_to_one_that_was_kept_ready(t):
    start(t)
    t.ctl("run", t.file("a.js", ""))
    for i in range(3):
        spare_of(t)
        r = t.ctl("run", t.file(f"b{i}.js", "console.log(process.argv.slice(2).join()); process.exit(7)"), "x", str(i),
                  code=7)
        equal(r.out, f"x,{i}\n")
    pid = spare_of(t)
    t.file("lib.mjs", "export const x = 41;")
    equal(t.ctl("run", t.file("m.mjs", "import { x } from './lib.mjs'; console.log(x + 1)")).out, "42\n")
    check(spare_of(t) != pid, "a module was its program")


def test_nobody_sees_it(t):
    start(t)
    t.spawn("app", IDLES)
    pid = spare_of(t)
    equal([vm["name"] for vm in t.list()], ["app"])
    equal([vm["name"] for vm in t.list("-a")], ["app"])
    check(str(pid) not in t.ctl("-o", "json", "list", "-a").out, "the list has not its process")
    report = t.json("world", "stop", "default")
    equal([vm["name"] for vm in report["arrivals"]], ["app"], "whom a stop is about")
    t.ctl("world", "resume", "default")
    t.ctl("kill", "app")
    check(spare_of(t) == pid, "it is there while there is no VM")


def test_it_is_held_and_stopped_like_any_other_once_it_is_a_vm(t):
    start(t)
    t.spawn("first", IDLES)
    spare_of(t)
    t.spawn("busy", "for (;;);", ready=False)
    t.wait_for("busy", "active")
    report = t.json("world", "stop", "default")
    equal({vm["name"]: vm["how"] for vm in report["arrivals"]}["busy"], "acked")
    spare_of(t)
    t.ctl("run", "-d", "--name", "late", t.file("late.js", "globalThis.onmessage = () => {}"))
    check(t.vm("late")["state"] != "active", "one that is born into a stopped world runs nothing")
    equal(t.logs("late"), "")
    t.ctl("world", "resume", "default")
    t.wait_for("late", "idle")


def test_its_clock_begins_when_the_program_does(t):
    clock = Clock(t, "--spare=yes")
    t.spawn("a", IDLES)
    pid = spare_of(t)
    clock.advance(3600)
    t.spawn("b", "console.log(performance.now()); " + IDLES)
    equal(t.vm("b")["pid"], pid, "who has waited for an hour")
    shown = float(t.logs("b"))
    check(shown < 1800 * 1000, f"{shown} ms after its start")


def test_another_process_is_made_where_the_spare_is_not_what_is_asked_for(t):
    """Each way in which a process, or its cgroup, can differ; and that it is then as was asked for."""
    start(t)
    path = t.file("a.js", IDLES)
    ways = {"memory": ["--memory=64M"], "world": ["--world=other"], "debug": ["--debug"], "tasks": ["--tasks=20"],
            "cpu-time": ["--cpu-time=30s"]}
    for name, options in ways.items():
        t.ctl("run", "-d", "--name", f"{name}-before", path)
        pid = spare_of(t)
        t.ctl("run", "-d", "--name", name, *options, path)
        check(t.vm(name)["pid"] != pid, f"{options}: it is not the spare")
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), f"{options}: the spare ends")
        again = spare_of(t)
        t.ctl("run", "-d", "--name", f"{name}-after", *options, path)
        equal(t.vm(f"{name}-after")["pid"], again, f"{options}: the next is made like it")
    memory = {}
    for name in ("memory-before", "memory", "memory-after"):
        with open(f"/proc/{t.vm(name)['pid']}/limits", encoding="ascii") as f:
            memory[name] = next(line.split()[3] for line in f if line.startswith("Max data size"))
    check(memory["memory"] == memory["memory-after"] != memory["memory-before"], memory)


def test_one_for_a_world_that_is_gone_is_not_for_the_next_of_that_name(t):
    start(t)
    path = t.file("a.js", IDLES)
    t.ctl("run", "-d", "--name", "a", "--world=w", path)
    pid = spare_of(t)
    t.ctl("kill", "a")
    wait_until(lambda: "w" not in t.ctl("-o", "name", "world", "list").out.split(), "the world is gone")
    t.ctl("run", "-d", "--name", "b", "--world=w", path)
    check(t.vm("b")["pid"] != pid, "it has the page of a world that is no more")
    report = t.json("world", "stop", "w")
    equal([vm["name"] for vm in report["arrivals"]], ["b"])
    t.ctl("world", "resume", "w")
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the old one has ended: that may take long, and then the next is made")
    pid = spare_of(t)
    t.ctl("kill", "b")
    os.kill(pid, signal.SIGKILL)  # its page of that world goes with the daemon's


def test_one_that_was_killed_is_given_to_nobody_and_not_made_again(t):
    start(t)
    t.spawn("a", IDLES)
    for i in range(5):
        pid = spare_of(t)
        pidfd = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        select.select([pidfd], [], [])
        os.close(pidfd)
        if i % 2:  # else the daemon may not have heard of it
            wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "it is reaped")
            equal(spares(t), [], "nobody asked for another")
        t.spawn(f"b{i}", IDLES)
        check(t.vm(f"b{i}")["pid"] != pid, "it is given to nobody")
    # One whose death the daemon can see, and was not told of: the request was there before.
    client, pid = connect(t), spare_of(t)
    fd = memfd(IDLES.encode())
    os.kill(t.daemon.pid, signal.SIGSTOP)
    number = client.send(fd, run_vm=client.api.RunVm(program="last.js", keep_idle=True))
    os.close(fd)
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([pidfd], [], [])
    os.close(pidfd)
    os.kill(t.daemon.pid, signal.SIGCONT)
    vm = client.wait(number).vm_reply.vm
    check(vm.pid != pid, "nor is that")
    equal(t.ctl("call", str(vm.id), "ping").out, '"pong"\n')
    client.close()
    for folder in folders_of_daemon(t.daemon.pid):
        wanted = {f"vm-{vm['id']}" for vm in t.list()}
        spare_of(t)
        wait_until(lambda: len({n for n in os.listdir(folder) if n.startswith("vm-")} - wanted) == 1,
                   "the cgroups of VMs, and that of the one spare")


def test_it_ends_with_its_daemon(t):
    start(t)
    t.spawn("a", IDLES)
    pid = spare_of(t)
    t.daemon.process.kill()
    t.daemon.process.wait()
    wait_until(lambda: not os.path.exists(f"/proc/{pid}") or is_zombie(pid), "it dies with the daemon", 10)


def test_an_adopting_daemon_does_not_take_it_over(t):
    d = managed.start(t, "--spare=yes")
    t.spawn("a", IDLES)
    pid = spare_of(t)
    before = t.vm("a")
    d.crash()
    wait_until(lambda: not os.path.exists(f"/proc/{pid}") or is_zombie(pid), "it ends")
    equal([vm["pid"] for vm in t.list()], [before["pid"]], "the VM is still there, and alone")
    t.spawn("b", IDLES)
    check(t.vm("b")["id"] > before["id"] + 1, "its id is nobody's")
    equal(t.ctl("call", "b", "ping").out, '"pong"\n')
    pid = spare_of(t)
    t.spawn("c", IDLES)
    equal(t.vm("c")["pid"], pid)
    d.restart()
    equal(sorted(vm["name"] for vm in t.list()), ["a", "b", "c"], "one that had been kept ready is taken over")
    equal(t.ctl("call", "c", "ping").out, '"pong"\n')


def test_hooks_for_whoever_comes_are_in_it_before_its_first_script(t):
    start(t)
    t.spawn("first", IDLES)
    pid = spare_of(t)
    t.ctl("audit", "add", "late-*", "--on", "enter-frame", "--keep")
    t.spawn("late-1", "function first() {} first(); globalThis.onmessage = () => {}")
    equal(t.vm("late-1")["pid"], pid)
    equal({vm["name"]: vm["hooks"] for vm in t.list()}, {"first": 0, "late-1": 1})
    wait_until(lambda: t.json("audit", "show")[0]["hits"] >= 2, "its script, and the function that it calls")
    t.ctl("audit", "rm", "--all")


def test_by_the_hundred_they_come_and_go_and_nothing_is_left(t):
    """Given, ended for one that differs, killed: what is compared at the end are descriptors, and here the rest."""
    start(t)
    path = t.file("a.js", IDLES)
    given = 0
    for i in range(38):  # the last of them leaves one
        t.ctl("run", "-d", "--name", f"u{i}", *(["--world=other"] if i % 4 == 3 else []), path)
        pid = spare_of(t)
        t.ctl("kill", f"u{i}")
        if i % 10 == 9:
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda p=pid: not os.path.exists(f"/proc/{p}"), "it is reaped")
        elif i % 4 in (0, 1):
            t.spawn(f"v{i}", IDLES)
            given += t.vm(f"v{i}")["pid"] == pid
            t.ctl("kill", f"v{i}")
    check(given > 10, f"most were given: {given}")
    equal(t.list(), [])
    wait_until(lambda: len(t.daemon.workers()) == 1 and not is_zombie(t.daemon.workers()[0]), "no other worker is left")
    for folder in folders_of_daemon(t.daemon.pid):
        # What was still dying when its VM ended goes with the next birth.
        t.ctl("run", t.file("ends.js", ""))
        wait_until(lambda f=folder: len([n for n in os.listdir(f) if n.startswith("vm-")]) == 1,
                   "one cgroup, which is its")


def test_a_zygote_that_dies_while_it_is_made_costs_nobody_a_vm(t):
    start(t)
    path = t.file("a.js", IDLES)
    for i in range(8):
        wait_until(lambda: t.ctl("run", "-d", "--name", f"v{i}", path, code=None).code == 0, "there is a zygote", 20)
        time.sleep(0.001 * i)  # not for an event: to come to another moment of the birth each time
        for pid in children(t.daemon.pid):
            if process_name(pid) != "stillpoint-vm":
                kill_quietly(pid)
    wait_until(lambda: t.ctl("run", "-d", "--name", "last", path, code=None).code == 0, "there is a zygote", 20)
    equal(sorted(vm["name"] for vm in t.list()), sorted([*(f"v{i}" for i in range(8)), "last"]))
    for vm in t.list():
        equal(t.ctl("call", vm["name"], "ping").out, '"pong"\n')
    # The last may have had the one from before, while there was no zygote for another; who is asked for now has not.
    wait_until(lambda: t.ctl("run", "-d", "--name", "after", path, code=None).code == 0, "there is a zygote", 20)
    spare_of(t)


def test_a_daemon_ends_well_at_each_moment_of_its_birth(t):
    path = t.file("a.js", IDLES)
    for i in range(12):
        start(t)
        t.ctl("run", "-d", path)
        time.sleep(0.001 * i)  # not for an event: to come to another moment of the birth each time
        equal(t.daemon.stop(), 0)
        equal(folders_of_daemon(t.daemon.pid), [], "its cgroups are gone")
    start(t)


def test_whoever_takes_over_at_each_moment_of_its_birth_has_whole_vms(t):
    d = managed.start(t, "--spare=yes")
    path, lacks = t.file("a.js", IDLES), []
    for i in range(6):
        t.ctl("run", "-d", "--name", f"old{i}", path)
        if i % 2:
            t.ctl("run", "-d", "--name", f"else{i}", "--world=w", path)
        time.sleep(0.002 * i)  # not for an event: to come to another moment of the birth each time
        d.crash()
        t.ctl("run", "-d", "--name", f"new{i}", path)
        on = [vm["posture"]["cgroup"] for vm in t.list()]
        lacks += [on] if len(set(on)) > 1 else []
    equal(lacks, [], "each has a cgroup of its own, or none has")
    ids = [vm["id"] for vm in t.list("-a")]
    equal(len(set(ids)), len(ids), "no id is given twice")
    for vm in t.list():
        equal(t.ctl("call", vm["name"], "ping").out, '"pong"\n')


def test_there_is_none_where_it_is_turned_off(t):
    t.without_spare("that is what is shown")
    t.start_daemon()
    t.spawn("a", IDLES)
    t.spawn("b", IDLES)
    equal(spares(t), [])
    equal([process_name(p) for p in children(t.daemon.pid)].count("stillpoint-vm"), 2)
    check(cgroup_of(t.vm("a")["pid"]) is not None, "it runs")
