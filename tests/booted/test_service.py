"""Stillpoint as a service: socket activation, roles, readiness, status, watchdog, reload, stop."""

import json
import os
import re
import signal
import socket
import time

import wire
from booted import ENDED, HANG, SERVICE, SOCKETS, Changed
from harness import check, equal, wait_until

HELLO = "console.log('hello from a service')"
TICK = "let n = 0; setInterval(() => { n++ }, 10); globalThis.count = () => n; onmessage = () => {}"
CONF_D = "/etc/stillpoint/stillpointd.conf.d"


def read(path):
    with open(path, encoding="ascii") as f:
        return f.read()


def status_is(m, *words):
    wait_until(lambda: all(w in m.show(SERVICE, "StatusText") for w in words), f"the status has {words}", HANG)


def run(m, name, program, *options, user="alice"):
    """A VM in the background, of a member of the group."""
    m.write(f"/tmp/{name}.js", program)
    m.ctl("run", "-d", "--name", name, *options, f"/tmp/{name}.js", user=user)


def vms(m):
    return {vm["name"]: vm for vm in json.loads(m.ctl("-o", "json", "list").out)}


def test_the_units_are_right(m):
    r = m.run("systemd-analyze", "verify", "--man=no", SERVICE, ENDED, *SOCKETS, "stillpoint.slice")
    equal(r.out + r.err, "")
    m.systemctl("start", SERVICE)
    # What no test here waits for, or each gives other values.
    for name, value in (("Type", "notify"), ("WatchdogUSec", "30s"), ("StartLimitIntervalUSec", "0"), ("OOMPolicy", "continue"),
                        ("TimeoutStopUSec", "30s"), ("Restart", "always"), ("User", "stillpoint"), ("Delegate", "yes"),
                        ("KillMode", "process"), ("FileDescriptorStoreMax", "65536")):
        equal(m.show(SERVICE, name), value, name)
    equal(m.show(ENDED, "StartLimitIntervalUSec"), "0")


def test_what_ends_all_that_is_left_nobody_starts_while_the_service_runs(m):
    m.systemctl("start", SERVICE)
    run(m, "vm", TICK)
    daemon, worker = m.main_pid(), vms(m)["vm"]["pid"]
    r = m.systemctl("start", ENDED, code=None)
    check(r.code != 0, r)
    equal((m.main_pid(), vms(m)["vm"]["pid"]), (daemon, worker))
    r = m.run("systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager",
              m.show(SERVICE, "FragmentPath"))
    check("Overall exposure level" in r.out, r)


def test_what_a_runner_changes_on_its_host_is_put_back_also_when_it_is_killed(m):
    setting = m.path("/run/setting")
    m.write("/run/setting", "1\n")
    for number in (signal.SIGKILL, signal.SIGTERM):
        runner = os.fork()
        if runner == 0:
            Changed(setting, "0")
            os.kill(os.getpid(), number)
            os._exit(1)
        equal(os.WTERMSIG(os.waitpid(runner, 0)[1]), number)
        wait_until(lambda: read(setting) == "1\n", "it is as it was", HANG)
    changed = Changed(setting, "0")
    equal(read(setting).strip(), "0")
    changed.end()
    equal(read(setting), "1\n")


def test_the_first_client_starts_the_daemon(m):
    m.systemctl("enable", "--now", *SOCKETS)
    equal(m.show(SERVICE, "ActiveState"), "inactive")
    m.write("/tmp/hello.js", HELLO)
    equal(m.ctl("run", "/tmp/hello.js", user="alice").out, "hello from a service\n")
    equal(m.show(SERVICE, "ActiveState"), "active")
    equal(m.show(SERVICE, "Slice"), "stillpoint.slice")
    status_is(m, "0 VMs")


def test_what_is_enabled_is_wanted_at_the_next_boot(m):
    m.systemctl("enable", SERVICE)
    for unit in (SERVICE, *SOCKETS):
        equal(m.systemctl("is-enabled", unit).out, "enabled\n")
    m.systemctl("start", "multi-user.target", "sockets.target")
    m.systemctl("start", SERVICE)
    equal(m.ctl("list", "--no-legend", user="alice").out, "")


def test_a_hundred_clients_that_came_while_it_started_are_all_served(m):
    os.mkfifo(m.path("/run/gate"), 0o666)
    m.drop_in("[Service]\nExecStartPre=/bin/sh -c 'read word </run/gate'\n")
    m.systemctl("start", *SOCKETS)
    clients = []
    try:
        for number in range(100):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            clients.append(s)
            s.settimeout(HANG)
            s.connect(m.path("/run/stillpoint/control.sock"))
            s.sendall(wire.hello(number + 1))
        wait_until(lambda: m.show(SERVICE, "ActiveState") == "activating", "the daemon is being started", HANG)
        with open(m.path("/run/gate"), "w", encoding="ascii") as gate:
            gate.write("go\n")
        for number, s in enumerate(clients):
            reply = wire.read_frame(s)
            check(reply is not None, f"client {number} is answered")
            equal(wire.fields(reply)[1], [number + 1])
    finally:
        for s in clients:
            s.close()
        os.unlink(m.path("/run/gate"))
    equal(m.show(SERVICE, "NRestarts"), "0")


def test_with_a_controller_below_its_slice_it_starts_as_well(m):
    m.systemctl("start", "stillpoint.slice")
    m.enable_controller("hugetlb", "stillpoint.slice")
    m.systemctl("start", SERVICE)
    m.write("/tmp/hello.js", HELLO)
    equal(m.ctl("run", "/tmp/hello.js", user="alice").out, "hello from a service\n")
    with open(f"{m.unit_cgroup()}/cgroup.controllers", encoding="ascii") as f:
        equal(f.read().split(), ["hugetlb"])


def test_members_of_the_group_need_no_root_and_others_are_refused(m):
    m.systemctl("start", SERVICE)
    run(m, "hers", TICK)
    r = m.ctl("list", user="mallory", code=4)
    equal(len(r.err.splitlines()), 1, r)
    r = m.ctl("kill", "hers", user="bob", code=4)
    equal(len(r.err.splitlines()), 1, r)
    # On the other socket nobody does more than look, not even root.
    observe = "/run/stillpoint/observe.sock"
    check("hers" in m.ctl("-s", observe, "list", user="bob").out, "bob sees her VM")
    m.ctl("-s", observe, "kill", "hers", user="alice", code=4)
    m.ctl("-s", observe, "kill", "hers", code=4)
    m.ctl("kill", "hers", user="alice")


def test_what_hardens_the_service_takes_no_layer_from_a_worker(m):
    m.systemctl("start", SERVICE)
    run(m, "vm", TICK)
    posture = json.loads(m.ctl("-o", "json", "status", "vm").out)["posture"]
    # What the kernel has is seen by a daemon that is no service; controllers are for pure cgroup v2.
    outside = json.loads(m.ctl("--private", "-o", "json", "doctor", code=None).out)["checks"]
    absent = {"memory", "tasks"}
    if next(c for c in outside if c["name"] == "landlock")["state"] != "ok":
        absent.add("landlock")
    equal({k: v for k, v in posture.items() if k not in absent and v != "on"}, {})
    check(len(posture) > 12, posture)
    checks = {c["name"]: c for c in json.loads(m.ctl("-o", "json", "doctor", code=None).out)["checks"]}
    for name in ("cgroup", "freeze", "namespaces", "seccomp", "unprivileged"):
        equal(checks[name]["state"], "ok", checks[name])


def test_who_conducts_a_stop_gets_a_cpu_at_once_and_vms_do_not(m):
    m.systemctl("start", SERVICE)
    run(m, "vm", TICK)
    worker = json.loads(m.ctl("-o", "json", "status", "vm").out)["pid"]
    daemon = m.outside(m.main_pid())
    equal((os.sched_getscheduler(daemon), os.sched_getparam(daemon).sched_priority),
          (os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, 10))
    equal(os.sched_getscheduler(m.outside(worker)) & ~os.SCHED_RESET_ON_FORK, os.SCHED_OTHER)


def test_a_world_is_stopped_and_resumed(m):
    m.systemctl("start", SERVICE)
    for number in range(4):
        run(m, f"vm{number}", TICK if number % 2 else "for (;;) {}", "--world", "w1")
    run(m, "other", TICK, "--world", "w2")
    status_is(m, "5 VMs")
    m.ctl("world", "stop", "--deadline", f"{HANG:.0f}s", "w1", user="alice")
    status_is(m, "5 VMs", "stopped: w1")
    before = m.ctl("call", "other", "count", user="alice").out
    wait_until(lambda: m.ctl("call", "other", "count", user="alice").out != before, "the other world goes on", HANG)
    m.ctl("world", "resume", "w1", user="alice")
    m.ctl("call", "vm1", "count", user="alice")
    wait_until(lambda: m.show(SERVICE, "StatusText") == "5 VMs", "no world is stopped", HANG)


def test_a_hung_loop_is_restarted_by_the_watchdog(m):
    settings, hang = m.make_hang()
    m.drop_in(f"[Service]\nWatchdogSec=2s\nRestartSec=50ms\n{settings}")
    m.systemctl("start", SERVICE)
    equal(m.ctl("list", "--no-legend").out, "")
    old = m.main_pid()
    start = time.monotonic()
    hang()
    wait_until(lambda: m.main_pid() not in (0, old), "there is another daemon", HANG)
    m.wait_active()
    took = time.monotonic() - start
    equal(m.show(SERVICE, "NRestarts"), "1")
    check("Watchdog timeout" in m.journal("-u", SERVICE), "the watchdog has ended it")
    equal(m.ctl("list", "--no-legend").out, "")
    # Where others use the machine as well, this says something of them.
    check(os.environ.get("STILLPOINT_STORM") != "full" or took < 3, f"it is served again after {took:.2f} s")
    return f"served again {took:.2f} s after the loop hung"


def test_a_reload_puts_a_configuration_in_force_and_loses_no_vm(m):
    m.systemctl("start", SERVICE)
    run(m, "first", TICK)
    daemon, worker = m.main_pid(), vms(m)["first"]["pid"]
    try:
        m.write(f"{CONF_D}/test.conf", "[quota]\nvms = 1\n")
        m.systemctl("reload", SERVICE)
        r = m.ctl("run", "-d", "--name", "second", "/tmp/first.js", user="alice", code=None)
        check(r.code != 0 and "quota" in r.err, f"the quota is in force: {r}")
        # One with an error in it changes nothing, and the error has a place.
        m.write(f"{CONF_D}/test.conf", "[quota]\nvms = 2\n\nvms = many\n")
        m.systemctl("reload", SERVICE, code=1)
        check("test.conf:4" in m.journal("-t", "stillpointd"), "the journal names file and line")
        equal(m.show(SERVICE, "ActiveState"), "active")
        m.systemctl("kill", "--kill-whom=main", "-s", "HUP", SERVICE)
        status_is(m, "the configuration has errors")
        r = m.ctl("run", "-d", "--name", "second", "/tmp/first.js", user="alice", code=None)
        check(r.code != 0 and "quota" in r.err, f"the old quota is in force: {r}")
        m.write(f"{CONF_D}/test.conf", "[quota]\nvms = 2\n")
        m.systemctl("reload", SERVICE)
        run(m, "second", TICK)
        wait_until(lambda: m.show(SERVICE, "StatusText") == "2 VMs", "the status is as ever", HANG)
        equal((m.main_pid(), vms(m)["first"]["pid"]), (daemon, worker))
        m.ctl("call", "first", "count", user="alice")
    finally:
        os.unlink(m.path(f"{CONF_D}/test.conf"))


def test_a_wrong_configuration_is_no_loop_of_starts(m):
    # The last one is right for whoever is root and asks.
    for place, text in enumerate(("[daemon]\nno-such-key = 1\n", "[access]\n\nadmin-group = no-such-group\n",
                                  "[daemon]\n\n\nuser = nobody\n"), 2):
        m.write(f"{CONF_D}/test.conf", text)
        try:
            m.systemctl("start", SERVICE, code=1)
            equal(m.show(SERVICE, "ActiveState"), "failed")
            equal(m.show(SERVICE, "NRestarts"), "0")
            check(f"test.conf:{place}" in m.journal("-t", "stillpointd"), "the journal names file and line")
        finally:
            os.unlink(m.path(f"{CONF_D}/test.conf"))
            m.systemctl("reset-failed", SERVICE)


def test_a_stop_ends_all_vms_frozen_ones_too(m):
    m.systemctl("start", SERVICE)
    cgroup = m.unit_cgroup()
    for number, program in enumerate((TICK, "for (;;) {}", TICK, TICK)):
        run(m, f"vm{number}", program, "--world", f"w{number}")
    m.ctl("world", "stop", "--deadline", f"{HANG:.0f}s", "w0", user="alice")
    found = vms(m)
    os.kill(m.outside(found["vm2"]["pid"]), signal.SIGSTOP)
    for folder, _, files in os.walk(cgroup):
        if os.path.basename(folder) == f"vm-{found['vm3']['id']}":
            with open(os.path.join(folder, "cgroup.freeze"), "w", encoding="ascii") as f:
                f.write("1")
            break
    else:
        check(False, f"vm3 has a cgroup of its own below {cgroup}")
    pids = [m.outside(vm["pid"]) for vm in found.values()]
    m.systemctl("stop", SERVICE)
    equal(m.show(SERVICE, "Result"), "success")
    equal([p for p in pids if p in m.processes()], [])
    check(not os.path.exists(cgroup), f"{cgroup} is gone")
    # The sockets go on listening, and the next client starts it again.
    equal(m.ctl("list", "--no-legend", user="alice").out, "")


def test_a_stop_ends_a_daemon_that_hangs_and_its_vms(m):
    settings, hang = m.make_hang()
    m.drop_in(f"[Service]\nTimeoutStopSec=1s\n{settings}")
    m.systemctl("start", SERVICE)
    cgroup = m.unit_cgroup()
    run(m, "idle", TICK, "--world", "w0")
    run(m, "busy", "for (;;) {}", "--world", "w1")
    m.ctl("world", "stop", "--deadline", f"{HANG:.0f}s", "w0", user="alice")
    pids = [m.outside(vm["pid"]) for vm in vms(m).values()]
    hang()
    m.systemctl("stop", SERVICE)
    check("timed out. Killing" in m.journal("-u", SERVICE), "it did not end by itself")
    wait_until(lambda: not [p for p in pids if p in m.processes()], "its VMs are gone", HANG)
    wait_until(lambda: not os.path.exists(cgroup), f"{cgroup} is gone", HANG)
    equal(m.show(SERVICE, "NRestarts"), "0")


def test_a_daemon_that_was_killed_is_there_again(m):
    m.systemctl("start", SERVICE)
    run(m, "vm", TICK)
    old = m.main_pid()
    # All of its processes are: without VMs.
    m.systemctl("kill", "-s", "KILL", SERVICE)
    wait_until(lambda: m.main_pid() not in (0, old), "there is another daemon", HANG)
    m.wait_active()
    wait_until(lambda: not vms(m), "it has seen that its VM has ended", HANG)
    old = m.main_pid()
    m.systemctl("kill", "-s", "KILL", "--kill-whom=main", SERVICE)
    wait_until(lambda: m.main_pid() not in (0, old), "there is another daemon", HANG)
    m.wait_active()
    m.write("/tmp/hello.js", HELLO)
    equal(m.ctl("run", "/tmp/hello.js", user="alice").out, "hello from a service\n")
    left = re.findall(r"stillpoint/(\d+)", " ".join(f for f, _, _ in os.walk(m.unit_cgroup())))
    check(str(old) not in left, f"the old daemon's control groups are gone: {left}")
