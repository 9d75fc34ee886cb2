"""CPUs that sleep less deeply while somebody debugs, as the kernel itself says it."""

import os
import signal

from cpu_latency import DEVICE, WISH, doctor_says, in_force, undisturbed
from harness import Skip, check, equal, wait_until


def check_of(t):
    (found,) = [c for c in t.json("doctor", schema="doctor")["checks"] if c["name"] == "cpu-latency"]
    equal(found["hint"], None if found["state"] == "ok" else "see cpu-latency in stillpointd.conf(5)")
    return found["state"], found["detail"]


def open_debugger(t, name, *args):
    p = t.start("debugger", "open", name, *args)
    p.stdout.readline()
    return p


def start(t):
    """A daemon that may have the device; what is in force without it."""
    before = undisturbed()
    t.options.append(f"--cpu-latency={WISH}us")
    check(t.daemon.pid, "a daemon runs")
    return before


def test_no_cpu_sleeps_deeply_while_any_debugger_is_open(t):
    before = start(t)
    equal(in_force(), before)
    equal(check_of(t), doctor_says(False))
    one, two = open_debugger(t, "one"), open_debugger(t, "two", "--policy", "hold")
    equal(in_force(), WISH)
    equal(check_of(t), doctor_says(True))
    one.send_signal(signal.SIGKILL)
    one.wait(30)
    wait_until(lambda: "one" not in t.ctl("debugger", "list").out, "it is gone with its client")
    equal(in_force(), WISH)
    # One that stays by its policy is open no more.
    t.spawn("app", "onmessage = () => {}")
    t.ctl("world", "stop", "--debugger", "two")
    two.send_signal(signal.SIGKILL)
    two.wait(30)
    wait_until(lambda: in_force() == before, "CPUs sleep again")
    check("two" in t.ctl("debugger", "list").out, "it holds its world")
    t.ctl("world", "resume")


def hooked(t):
    """An open debugger that has a hook."""
    t.spawn("app", "onmessage = () => {}")
    d = open_debugger(t, "d")
    t.ctl("break", "add", "--debugger", "d", "app", "app.js:1")
    equal(in_force(), WISH)
    return d


def test_one_that_a_hook_alone_keeps_is_open_no_more(t):
    before = start(t)
    d = hooked(t)
    d.send_signal(signal.SIGKILL)
    d.wait(30)
    wait_until(lambda: in_force() == before, "CPUs sleep again")
    equal([(d["name"], d["open"]) for d in t.json("debugger", "list", schema="debugger-list")], [("d", False)])


def test_one_that_was_closed_is_open_no_more(t):
    before = start(t)
    d = hooked(t)
    t.ctl("debugger", "close", "d")
    equal(in_force(), before)
    d.wait(30)


def test_a_daemon_that_is_killed_keeps_no_cpu_awake(t):
    before = start(t)
    open_debugger(t, "d")
    equal(in_force(), WISH)
    os.kill(t.daemon.pid, signal.SIGKILL)
    wait_until(lambda: in_force() == before, "CPUs sleep again")


def test_who_stops_a_world_by_one_command_keeps_no_cpu_awake(t):
    before = start(t)
    t.spawn("app", "onmessage = () => {}")
    t.ctl("world", "stop")
    equal(in_force(), before)
    t.ctl("world", "resume")


def test_unless_asked_for_nothing_is_opened(t):
    p = open_debugger(t, "d")
    check(DEVICE not in t.daemon.fds(), "the device is not open")
    equal(check_of(t), ("ok", "CPUs may sleep as they like"))
    p.send_signal(signal.SIGTERM)
    p.wait(30)


def test_where_it_may_not_be_had_that_is_said_and_all_works(t):
    if os.access(DEVICE, os.W_OK):
        raise Skip(f"who runs this may have {DEVICE}")
    t.options.append("--cpu-latency=20us")
    why = "Permission denied" if os.path.exists(DEVICE) else "No such file or directory"
    t.spawn("app", "onmessage = () => {}")
    p = open_debugger(t, "d")
    t.ctl("world", "stop", "--debugger", "d")
    t.ctl("world", "resume")
    equal(check_of(t), ("degraded", f"{DEVICE}: {why}"))
    said = [line for line in t.daemon.log_text().splitlines() if DEVICE in line]
    check(len(said) == 1 and why in said[0], said)
    p.send_signal(signal.SIGTERM)
    p.wait(30)


def test_what_is_no_time_is_refused(t):
    for value in ("2s", "0", "soon"):
        r = t.run([t.program("stillpointd"), "--check-config", "--cpu-latency", value])
        check(r.code == 2 and f"--cpu-latency takes a time from 0us to 1s, or none, not '{value}'" in r.err, r)
