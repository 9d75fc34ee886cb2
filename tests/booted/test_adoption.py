"""VMs that outlive their daemon, where systemd keeps them."""

import json

from booted import HANG, SERVICE, SOCKETS
from harness import check, equal, process_name, wait_until

TICK = "let n = 0; setInterval(() => { n++ }, 10); globalThis.count = () => n;"
BUSY = "globalThis.n = 0; for (;;) globalThis.n++;"
SOON = "[Service]\nRestartSec=50ms\n"


def run(m, name, program, *options):
    m.write(f"/tmp/{name}.js", program)
    m.ctl("run", "-d", "--name", name, *options, f"/tmp/{name}.js")


def pids(m):
    return {vm["name"]: vm["pid"] for vm in json.loads(m.ctl("-o", "json", "list").out)}


def modes(m):
    return {w["name"]: w["mode"] for w in json.loads(m.ctl("-o", "json", "world", "list").out)}


def count(m, name):
    return int(m.ctl("call", name, "count").out)


def begin(m):
    m.drop_in(SOON)
    m.systemctl("start", *SOCKETS, SERVICE)


def twenty(m):
    """20 VMs: idle, busy, and two in a world that is stopped."""
    for i in range(18):
        run(m, f"vm{i}", BUSY if i % 6 == 5 else TICK)
    for i in range(2):
        run(m, f"still{i}", BUSY if i else TICK, "--world", "still")
    m.ctl("world", "stop", "still")
    found = pids(m)
    equal(len(found), 20)
    return found


def crash(m):
    """Its process is killed; returns when another serves."""
    before = m.show(SERVICE, "MainPID")
    m.systemctl("kill", "--signal=KILL", "--kill-whom=main", SERVICE)
    wait_until(lambda: m.show(SERVICE, "MainPID") not in ("0", before)
               and m.show(SERVICE, "ActiveState") == "active", "another daemon serves", HANG)


def all_are_there(m, found, n):
    equal(pids(m), found)
    equal(modes(m)["still"], "stopped")
    wait_until(lambda: count(m, "vm0") > n, "it goes on", HANG)


def none_is_left(m):
    """Workers are gone with the stop: nothing else ends them at once."""
    equal([p for p in m.processes() if process_name(p).startswith("stillpoint")], [])


def test_a_crash_and_a_restart_lose_no_vm_and_a_stop_leaves_none(m):
    begin(m)
    found, n = twenty(m), count(m, "vm0")
    crash(m)
    all_are_there(m, found, n)
    n = count(m, "vm0")
    m.systemctl("restart", SERVICE)
    all_are_there(m, found, n)
    m.systemctl("stop", *SOCKETS, SERVICE)
    none_is_left(m)
    equal(m.show(SERVICE, "NFileDescriptorStore"), "0")


def test_a_stop_ends_what_is_frozen_too(m):
    begin(m)
    run(m, "app", BUSY)
    m.ctl("world", "stop", "--enforce")
    m.systemctl("stop", *SOCKETS, SERVICE)
    none_is_left(m)


def test_twenty_crashes_in_a_row_lose_no_vm(m):
    begin(m)
    found, n = twenty(m), count(m, "vm0")
    for _ in range(20):
        crash(m)
    all_are_there(m, found, n)
    m.ctl("kill", *found)
    wait_until(lambda: not pids(m), "all have ended", HANG)
    check(int(m.show(SERVICE, "NFileDescriptorStore")) < 10, m.show(SERVICE, "NFileDescriptorStore"))
