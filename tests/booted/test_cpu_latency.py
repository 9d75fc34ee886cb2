"""The service that keeps CPUs from deep sleep while somebody debugs, set up as the administrator's guide says."""

import os
import stat

import guide
from booted import SERVICE
from cpu_latency import DEVICE, WISH, doctor_says, in_force, undisturbed
from harness import check, equal
from test_admin import GUIDE
from test_adoption import SOON, Service, prepare

__all__ = ["prepare"]

CONF = "/etc/stillpoint/stillpointd.conf.d/30-cpu-latency.conf"


def set_up(m):
    """As the guide says, with a wish that nobody else has, and a device that is this machine's own."""
    commands = [c.text for c in guide.read(GUIDE)[0] if "cpu-latency" in c.text]
    equal(len(commands), 2)
    os.mknod(m.path(DEVICE), stat.S_IFCHR | 0o600, os.stat(DEVICE).st_rdev)
    m.run("mkdir", "-p", f"/etc/systemd/system/{SERVICE}.d", os.path.dirname(CONF))
    for text in commands:
        m.run("sh", "-c", text)
    with open(m.path(CONF), encoding="ascii") as f:
        equal(f.read(), "[daemon]\ncpu-latency = 20us\n")
    m.write(CONF, f"[daemon]\ncpu-latency = {WISH}us\n")


def clean_up(m):
    m.run("rm", "-rf", CONF, f"/etc/systemd/system/{SERVICE}.d", DEVICE)
    m.systemctl("daemon-reload")


def test_cpus_stay_awake_for_who_debugs_also_beyond_a_crash_of_the_daemon(m):
    before = undisturbed()
    set_up(m)
    try:
        s = Service(m, SOON)
        found = m.ctl("doctor").out
        check(doctor_says(False)[1] in found, found)
        equal(in_force(), before)
        s.run("vm", "onmessage = () => {}")
        s.api.request(open_debugger=s.messages.OpenDebugger(name="d"))
        equal(in_force(), WISH)
        # Its client has a while to come back; it is open meanwhile.
        s.crash()
        equal(in_force(), WISH)
        equal(sorted(s.pids()), ["vm"])
        m.systemctl("stop", SERVICE)
        equal(in_force(), before)
    finally:
        clean_up(m)


def test_without_the_drop_in_it_is_said_and_all_works(m):
    m.write(CONF, "[daemon]\ncpu-latency = 20us\n")
    try:
        s = Service(m, SOON)
        s.run("vm", "onmessage = () => {}")
        s.stop("default")
        s.resume("default")
        found = m.ctl("doctor").out
        check(f"{DEVICE}: No such file or directory" in found and "degraded" in found, found)
        said = m.journal("-u", SERVICE, "-t", "stillpointd")
        check(f"cpu-latency is not kept to, CPUs sleep as they like: {DEVICE}" in said, said)
    finally:
        m.run("rm", CONF)
