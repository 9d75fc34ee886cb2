"""VMs that outlive their daemon: it is killed, or restarted, and the next one has them all."""

import os
import signal

import managed
from harness import check, descendants, equal, process_name, wait_until

COUNTER = """
let n = 0;
globalThis.count = () => n;
setInterval(() => { n++; }, 5);
"""
BUSY = "globalThis.n = 0; for (;;) globalThis.n++;"


def pids(t):
    return {vm["name"]: vm["pid"] for vm in t.list()}


def count(t, name):
    return int(t.ctl("call", name, "count").out)


def test_vms_that_run_and_that_are_idle_survive_a_crash(t):
    d = managed.start(t)
    t.spawn("idle", COUNTER)
    t.spawn("busy", BUSY, ready=False)
    before, n = pids(t), count(t, "idle")
    d.crash()
    equal(pids(t), before, "the same processes")
    wait_until(lambda: count(t, "idle") > n, "its timer goes on")
    t.ctl("world", "stop")
    states = {vm["name"]: vm["state"] for vm in t.list()}
    equal(states["busy"], "parked")
    t.ctl("world", "resume")
    t.ctl("kill", "busy", "idle")
    wait_until(lambda: not t.list(), "both have ended")
