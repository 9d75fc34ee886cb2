"""A cgroup for each VM where there can be one, and VMs that are kept from running in either way.

Nothing in the command line freezes single VMs, so that these tests do it from outside.
"""

import os
import signal

import api as api_client
from harness import (cgroup_folder, cgroup_of, check, children, equal, folders_of_daemon,
                     process_name, wait_until)

CYCLES = int(os.environ.get("STILLPOINT_CYCLES", "1000"))
TICKS = "let n = 0; setInterval(() => n++, 1); globalThis.onmessage = () => console.log('n', n)"
SPINS = "for (;;) ;"


def doctor(t, name):
    found = t.json("doctor", schema="doctor")
    return next(c for c in found["checks"] if c["name"] == name)


def folder_of(t, name):
    return cgroup_folder(cgroup_of(t.vm(name)["pid"]))


def need_cgroups(t):
    found = doctor(t, "cgroup")
    if found["state"] != "ok":
        t.skip(f"no cgroups here: {found['detail']}")


def has_cgroups(t):
    return doctor(t, "cgroup")["state"] == "ok"


def state_letter(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        return f.read().rsplit(")", 1)[1].split()[0]


def freeze(t, name):
    pid = t.vm(name)["pid"]
    if has_cgroups(t):
        folder = folder_of(t, name)
        with open(f"{folder}/cgroup.freeze", "w", encoding="ascii") as f:
            f.write("1")

        def frozen():
            with open(f"{folder}/cgroup.events", encoding="ascii") as f:
                return "frozen 1" in f.read()
        wait_until(frozen, "the VM is frozen")
    else:
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: state_letter(pid) == "T", "the VM is stopped")


def thaw(t, name):
    if has_cgroups(t):
        with open(f"{folder_of(t, name)}/cgroup.freeze", "w", encoding="ascii") as f:
            f.write("0")
    else:
        os.kill(t.vm(name)["pid"], signal.SIGCONT)


def test_each_vm_has_a_cgroup_of_its_own(t):
    t.without_spare("who has a directory open is looked at, and while a worker is born the daemon has")
    need_cgroups(t)
    for name in ("a", "b", "c"):
        t.spawn(name, TICKS)
    base, = folders_of_daemon(t.daemon.pid)
    for name in ("a", "b", "c"):
        vm = t.vm(name)
        folder = folder_of(t, name)
        equal(folder, f"{base}/vm-{vm['id']}")
        with open(f"{folder}/cgroup.procs", encoding="ascii") as f:
            equal(f.read().split(), [str(vm["pid"])], "alone in it")
        equal(vm["posture"]["cgroup"], "on")
        if os.geteuid() == 0:
            check(os.readlink(f"/proc/{vm['pid']}/ns/cgroup") != os.readlink("/proc/self/ns/cgroup"),
                  "its cgroup namespace is its own")
    if os.geteuid() == 0:
        equal(cgroup_folder(cgroup_of(t.daemon.pid)), f"{base}/daemon")
    # Nobody has the directory open any more.
    for pid in [t.daemon.pid, *children(t.daemon.pid)]:
        if os.geteuid() == 0:
            links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
            check(not any("vm-" in link for link in links), f"{process_name(pid)}: {links}")


def test_exec_mode_gives_a_cgroup_too(t):
    t.start_daemon("--spawn", "exec")
    need_cgroups(t)
    t.spawn("app", TICKS)
    equal(os.path.basename(folder_of(t, "app")), f"vm-{t.vm('app')['id']}")


def test_where_there_is_none_doctor_says_how_vms_are_frozen(t):
    found = doctor(t, "freeze")
    if has_cgroups(t):
        equal(found["state"], "ok")
        check("cgroup" in found["detail"], found)
        return
    equal(found["state"], "degraded")
    check("SIGSTOP" in found["detail"] and found["hint"], found)
    found = doctor(t, "cgroup")
    check(found["detail"] and "Delegate" in found["hint"], found)
    t.spawn("app", TICKS)
    equal(t.vm("app")["posture"]["cgroup"], "degraded")


def test_a_vm_goes_on_after_a_freeze(t):
    t.spawn("ticks", TICKS)
    t.spawn("blocks", "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);"
                      "console.log('woken')", ready=False)
    wait_until(lambda: t.vm("blocks")["state"] == "blocked", "it blocks")
    for _ in range(5):
        for name in ("ticks", "blocks"):
            freeze(t, name)
        for name in ("ticks", "blocks"):
            thaw(t, name)
    t.ctl("send", "ticks", "1")
    wait_until(lambda: "n " in t.logs("ticks"), "the VM has got its message")
    wait_until(lambda: "woken" in t.logs("blocks"), "the wait has ended")


def test_a_frozen_vm_can_be_killed_while_its_zygote_is_stopped(t):
    t.without_spare("all directories of workers are to be gone")
    for mode in ("zygote", "exec"):
        t.start_daemon("--spawn", mode)
        t.spawn("spins", SPINS, ready=False)
        t.wait_for("spins", "active")
        t.spawn("ticks", TICKS)
        zygotes = []
        if mode == "zygote":
            zygotes = [p for p in children(t.daemon.pid) if process_name(p) != "stillpoint-vm"]
            check(zygotes, "there is a zygote")
        for name in ("spins", "ticks"):
            freeze(t, name)
        for pid in zygotes:
            os.kill(pid, signal.SIGSTOP)
        for name in ("spins", "ticks"):
            t.ctl("kill", name)
            t.wait_for(name, "exited")
            equal(t.vm(name)["exit"]["reason"], "killed", name)
        for pid in zygotes:
            os.kill(pid, signal.SIGCONT)
        if has_cgroups(t):
            base, = folders_of_daemon(t.daemon.pid)
            equal([n for n in os.listdir(base) if n.startswith("vm-")], [])
        equal(t.daemon.stop(), 0)
    t.start_daemon()


def test_the_daemon_ends_though_a_vm_is_frozen(t):
    t.spawn("spins", SPINS, ready=False)
    t.spawn("ticks", TICKS)
    for name in ("spins", "ticks"):
        freeze(t, name)


def test_a_thousand_births_and_deaths_leave_no_directory(t):
    t.without_spare("directories are counted")
    need_cgroups(t)
    try:
        client = api_client.Client(api_client.messages(t.source, t.tmp), t.daemon.socket)
    except api_client.Unavailable as e:
        t.skip(str(e))
    finally:
        for name in os.listdir(t.tmp):
            path = os.path.join(t.tmp, name)
            if os.path.isfile(path):
                os.unlink(path)
    base, = folders_of_daemon(t.daemon.pid)
    for number in range(CYCLES):
        vm = client.run(f"vm{number}.js", SPINS)
        if number == 0:
            equal([n for n in os.listdir(base) if n.startswith("vm-")], [f"vm-{vm.id}"])
        client.request(kill_vm=client.api.KillVm(vm=str(vm.id)))
    wait_until(lambda: not client.vms(), "all VMs have ended")
    # What was still dying when its VM ended goes with the next birth.
    last = client.run("last.js", SPINS)
    wait_until(lambda: [n for n in os.listdir(base) if n.startswith("vm-")] == [f"vm-{last.id}"],
               "only the last VM has a directory")
    client.close()


def test_nothing_but_an_empty_directory_outlives_the_daemon(t):
    """`stillpoint` is in the cgroup that the daemon was started in. Started as root it has given away
    the right to remove anything there; others may use it, too."""
    need_cgroups(t)
    t.spawn("app", TICKS)
    base, = folders_of_daemon(t.daemon.pid)
    equal(t.daemon.stop(), 0)
    check(not os.path.exists(base), f"{base} is gone")
    shared = os.path.dirname(base)
    if os.path.exists(shared):
        with open(f"{shared}/cgroup.procs", encoding="ascii") as f:
            equal(f.read(), "", "nobody is in it")
    t.start_daemon()


def test_the_next_daemon_removes_what_a_killed_one_left(t):
    need_cgroups(t)
    t.spawn("app", TICKS)
    pid = t.vm("app")["pid"]
    base, = folders_of_daemon(t.daemon.pid)
    freeze(t, "app")
    t.daemon.process.kill()
    t.daemon.process.wait()
    wait_until(lambda: not os.path.exists(f"/proc/{pid}") or state_letter(pid) == "Z",
               "the frozen VM dies with its daemon")

    def empty():
        with open(f"{base}/cgroup.events", encoding="ascii") as f:
            return "populated 0" in f.read()
    wait_until(empty, "the zygotes have ended, too")
    check(os.path.exists(base), "it is left")
    t.start_daemon()
    check(not os.path.exists(base), f"{base} is gone")
    t.spawn("app", TICKS)
