"""What the kernel says of a worker, seen from outside."""

import os
import signal
import time

from harness import check, equal, wait_until
from leaks import zygotes

NAMESPACES = ("user", "pid", "mnt", "net", "ipc", "uts")


def status_of(pid):
    fields = {}
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        for line in f:
            key, _, value = line.partition(":")
            fields[key] = value.split()
    return fields


def worker(t):
    t.spawn("app", "setInterval(() => {}, 1000)")
    return t.vm("app")


def test_no_worker_is_root_and_the_daemon_neither(t):
    pid = worker(t)["pid"]
    for who, process in (("worker", pid), ("daemon", t.daemon.pid)):
        fields = status_of(process)
        check("0" not in fields["Uid"] + fields["Gid"], f"{who}: Uid {fields['Uid']} Gid {fields['Gid']}")
    equal(status_of(t.daemon.pid)["Groups"], [] if os.geteuid() == 0 else
          status_of("self")["Groups"], "the daemon's groups")


def test_a_worker_has_no_rights_and_a_filter(t):
    fields = status_of(worker(t)["pid"])
    for caps in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        equal(int(fields[caps][0], 16), 0, caps)
    equal(fields["NoNewPrivs"], ["1"])
    equal(fields["Seccomp"], ["2"])
    equal(len(fields["NSpid"]), 2, "a pid namespace of its own")


def test_a_worker_has_its_resource_limits(t):
    t.spawn("app", "setInterval(() => {}, 1000)", options=("--memory=64M",))
    with open(f"/proc/{t.vm('app')['pid']}/limits", encoding="ascii") as f:
        limits = {line[:25].strip(): line[25:].split()[:2] for line in f}
    for what, most in (("Max core file size", 0), ("Max file size", 0), ("Max locked memory", 0), ("Max msgqueue size", 0),
                       ("Max processes", 0), ("Max open files", 64), ("Max stack size", 8 << 20),
                       ("Max data size", 1 << 30)):
        for value in limits[what]:  # soft and hard
            check(value != "unlimited" and int(value) <= most, f"{what}: {limits[what]}")


def test_every_namespace_is_its_own(t):
    pid = worker(t)["pid"]
    try:
        for name in NAMESPACES:
            ours, its = os.readlink(f"/proc/self/ns/{name}"), os.readlink(f"/proc/{pid}/ns/{name}")
            check(ours != its, f"{name} namespace is shared")
        equal(os.listdir(f"/proc/{pid}/root"), [], "its root directory")
    except PermissionError:
        t.skip("only root may look into a worker: it is not dumpable")


def test_no_two_vms_share_a_namespace_but_the_empty_network(t):
    """Neither those that find theirs prepared, nor those that are born at once after one."""
    path = t.file("app.js", "globalThis.onmessage = () => {};")
    pids = []
    for name in "abcd":
        if name != "c":
            time.sleep(0.02)  # the zygote prepares while nobody is born; whether it does, this holds
        t.ctl("run", "-d", "--name", name, path)
        pids.append(t.vm(name)["pid"])
    try:
        for name in set(NAMESPACES) - {"net"}:
            found = {os.readlink(f"/proc/{pid}/ns/{name}") for pid in pids}
            equal(len(found), len(pids), f"{name} namespaces of as many VMs")
        mounts = {os.stat(f"/proc/{pid}/root/").st_dev for pid in pids}
        equal(len(mounts), len(pids), "roots of as many VMs")
    except PermissionError:
        t.skip("only root may look into a worker: it is not dumpable")


def test_a_worker_has_only_the_descriptors_it_needs(t):
    pid = worker(t)["pid"]
    try:
        fds = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    except PermissionError:
        t.skip("only root may look into a worker: it is not dumpable")
    kinds = sorted(f.split(":")[0] for f in fds)
    check(kinds.count("socket") == 1, f"one socket, its channel: {fds}")
    check(all(k in ("socket", "anon_inode", "/dev/null") for k in kinds), f"no file: {fds}")
    check(len(fds) <= 6, f"three empty standard streams, channel, kick, wake: {fds}")


def test_the_posture_is_shown(t):
    layers = worker(t)["posture"]
    for name in ("user", "pid", "mount", "net", "ipc", "uts", "root", "caps", "nnp", "seccomp",
                 "rlimits", "fds"):
        equal(layers.get(name), "on", name)


def test_doctor_says_what_is_here(t):
    found = t.json("doctor", schema="doctor")
    check(found["ok"], found)
    names = [c["name"] for c in found["checks"]]
    for name in ("kernel", "unprivileged", "user-namespaces", "namespaces", "cgroup-namespace", "seccomp",
                 "landlock", "cgroup", "memory-limit", "tasks-limit", "cpu-share", "freeze", "descriptors",
                 "sandbox", "engine-mozjs"):
        check(name in names, names)
    for c in found["checks"]:
        check(c["detail"], c)
        equal(bool(c["hint"]), c["state"] != "ok", f"a hint where there is something to do: {c}")
    said = next(c for c in found["checks"] if c["name"] == "sandbox")
    check("no VM" in said["detail"], said)
    posture = worker(t)["posture"]
    said = next(c for c in t.json("doctor", schema="doctor")["checks"] if c["name"] == "sandbox")
    check("VM app" in said["detail"], said)
    equal(said["state"], "ok" if set(posture.values()) == {"on"} else "degraded")
    for layer, state in posture.items():
        equal(layer + " " + state in said["detail"], state != "on", f"{layer}: {said}")


def test_limits_without_a_controller_show_as_degraded(t):
    layers = worker(t)["posture"]
    states = {c["name"]: c["state"] for c in t.json("doctor")["checks"]}
    for layer, name in (("memory", "memory-limit"), ("tasks", "tasks-limit")):
        equal(layers[layer], "on" if states[name] == "ok" else "degraded", layer)


def test_the_log_says_which_layers_a_vm_lacks(t):
    layers = worker(t)["posture"]
    lacking = [name for name, state in layers.items() if state != "on"]
    if not lacking:
        t.skip("every layer is on here")
    wait_until(lambda: "(app): sandbox with" in t.daemon.log_text(), "the daemon says so")
    line = next(x for x in t.daemon.log_text().splitlines() if "(app): sandbox with" in x)
    for name in lacking:
        check(f"{name} {layers[name]}" in line, f"{name}: {line}")


def test_the_log_says_at_start_which_limits_nobody_enforces(t):
    checks = {c["name"]: c for c in t.json("doctor")["checks"]}
    log = t.daemon.log_text()
    if checks["cgroup"]["state"] != "ok":
        check("workers get no cgroups of their own" in log, log)
        return
    for name, word in (("memory-limit", "memory"), ("tasks-limit", "pids"), ("cpu-share", "cpu")):
        line = next((x for x in log.splitlines() if "no cgroup limits of" in x), "")
        equal(word in line, checks[name]["state"] != "ok", f"{word}: {line}")


def test_a_forbidden_system_call_is_named(t):
    for number, says in ((59, ["59", "execve", "x86-64"]), (0x40000000 + 59, ["59", "x32"]),
                         (100000, ["100000", "x86-64"])):
        r = t.ctl("run", "--engine", "fake", t.file("bad.txt", f"syscall {number}\n"), code=128 + signal.SIGSYS)
        check("system call filter" in r.err and "at 0x" in r.err, r)
        for word in says:
            check(word in r.err, f"{word}: {r}")
        last = t.list("-a")[-1]["exit"]
        equal((last["reason"], last["signal"]), ("seccomp", signal.SIGSYS))
        check(says[0] in last["detail"], last)


def test_a_share_of_cpu_is_enforced_or_refused(t):
    state = next(c for c in t.json("doctor")["checks"] if c["name"] == "cpu-share")["state"]
    if state != "ok":
        t.refused("run", "--cpu", "50%", t.file("app.js", "1"), code=125, says=["cpu", "controller"])
        return
    t.spawn("app", "for (;;);", options=("--cpu", "20%"), ready=False)
    t.wait_for("app", "active")
    begin, used = time.monotonic(), t.vm("app")["cpu_us"]
    time.sleep(2)  # it runs all the time, as far as it may
    share = (t.vm("app")["cpu_us"] - used) / 1e6 / (time.monotonic() - begin)
    check(share < 0.35, share)


def test_no_code_is_writable_and_that_of_the_engine_is_in_huge_pages(t):
    t.spawn("app", "globalThis.f = (n) => { let s = 0; for (let i = 0; i < n; i++) s += i; return s; }; f(1e6);")
    worker = t.vm("app")["pid"]
    zygote, = [p for p in zygotes(t.daemon.pid) if os.readlink(f"/proc/{p}/exe").endswith("-mozjs")]
    huge = {}
    for pid in (zygote, worker):
        try:
            with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as f:
                lines = f.read().splitlines()
        except PermissionError:
            t.skip("the mappings of workers can be seen by root only")
        rights = ""
        for line in lines:
            words = line.split()
            if "-" in words[0]:
                rights = words[1]
                check(not ("w" in rights and "x" in rights), line)
            elif words[0] == "AnonHugePages:" and "x" in rights:
                huge[pid] = huge.get(pid, 0) + int(words[1])
    if not huge[zygote]:
        t.skip("the kernel gave no huge pages")
    equal(huge[worker], huge[zygote], "KiB of code in huge pages")
