"""Somebody sets the clock of the machine: by an hour forward and by two back. Whatever has a limit, a deadline
or a time-out goes by CLOCK_MONOTONIC and does not notice; only what shows the time of day does.

The clock of the machine itself is left alone: tests/support/clock_shift is preloaded into the daemon and, by it,
into its workers.
"""

import json
import re
import time

from clock import Clock
from harness import HANG, check, equal, wait_until

HOUR = 3600
SPIN = "for (;;);"
TICKS = """
let n = 0;
setInterval(() => n++, 10);
globalThis.ticks = () => n;
globalThis.today = () => Date.now() / 1000;
globalThis.never = () => { for (;;); };
"""
SOON = 3  # seconds, of what begins before the clock is set and ends after it


def call(t, vm, function):
    return json.loads(t.ctl("call", vm, function).out)


def is_now(clock, seconds, what):
    check(abs(seconds - clock.now()) < 600, f"{what}: {seconds}, and it is {clock.now()}")


def live_on(t):
    """Timers of a VM fire, and many of them: whatever of the daemon's was due at once is over."""
    before = call(t, "ticks", "ticks")
    wait_until(lambda: call(t, "ticks", "ticks") > before + 20, "its timers fire")


def status(t, world):
    return t.json("world", "status", world, schema="world-status")


def stop(t, world, *args, code=0):
    return t.json("world", "stop", world, "--deadline", "20s", *args, code=code)


class Lasting:
    """What takes much longer than this test."""

    def __init__(self, t):
        self.t = t
        t.spawn("ticks", TICKS)
        t.spawn("limited", SPIN, options=("--timeout", "50min", "--cpu-time", "50min"), ready=False)
        t.spawn("held", SPIN, options=("--world", "held"), ready=False)
        stop(t, "held", "--hold", "50min")
        self.ticket = status(t, "held")["ticket"]
        hangs = t.file("hangs.fake", "print up\nhang\n")
        t.ctl("run", "-d", "--engine", "fake", "--world", "late", "--name", "hangs", hangs)
        wait_until(lambda: t.logs("hangs"), "it hangs")
        t.spawn("asked", TICKS)
        self.open = [t.start("world", "stop", "held", "--wait", "50min"),
                     t.start("world", "stop", "late", "--deadline", "50min"),
                     t.start("call", "asked", "never", "--timeout", "50min"),
                     t.start("wait", "limited", "--timeout", "50min")]
        self.queued = wait_until(lambda: status(t, "held")["queued"], "one is queued")[0]
        wait_until(lambda: status(t, "late")["mode"] == "stopping", "one is being stopped")
        t.wait_for("asked", "active")

    def check_same(self, clock):
        t = self.t
        live_on(t)
        equal([p.poll() for p in self.open], [None] * len(self.open), "nobody was answered")
        equal(t.vm("limited")["exit"], None, "a VM with a limit of time")
        held, late = status(t, "held"), status(t, "late")
        equal((held["mode"], held["ticket"]), ("stopped", self.ticket), "a lease")
        equal(held["queued"][0], self.queued, "a place in a queue")
        equal(late["mode"], "stopping", "a deadline")
        # It ends at another time of day, and as far from now as before.
        left = held["controller"]["expires_us"] / 1e6 - clock.now()
        check(1000 < left <= 3000, f"{left} s of the lease are left")
        r = t.refused("world", "stop", "held", code=3, says=" s ago)")
        check(int(re.search(r"(\d+) s ago", r.err)[1]) <= 600, f"since when it is stopped: {r}")


    def end(self):
        for p in self.open:
            p.terminate()
            p.wait(HANG)
        self.t.ctl("world", "resume", "held")
        self.t.ctl("kill", "*")


class Soon:
    """What ends SOON, by itself."""

    def __init__(self, t, name):
        self.t, self.name, self.began = t, name, time.monotonic()
        after = f"{SOON}s"
        self.open = {
            "a VM with a limit": (t.start("run", "--name", f"{name}-limited", "--timeout", after,
                                          t.file("spin.js", SPIN)), 124),
            "a call": (t.start("call", "asked", "ticks", "--timeout", after), 124),
            "a wait": (t.start("wait", "limited", "--timeout", after), 124),
            "a place in a queue": (t.start("world", "stop", "held", "--wait", after), 124),
        }
        wait_until(lambda: len(status(t, "held")["queued"]) == 2, "it is queued")
        t.spawn(f"{name}-leased", SPIN, options=("--world", name), ready=False)
        wait_until(lambda: any(vm["name"] == f"{name}-limited" for vm in t.list()), "the VM is born")
        self.leased = time.monotonic()
        stop(t, name, "--hold", after)

    def check_ends(self):
        for what, (p, code) in self.open.items():
            equal(p.wait(HANG), code, what)
            took = time.monotonic() - self.began
            check(took >= SOON, f"{what} ended {took:.1f} s after it began")
        wait_until(lambda: status(self.t, self.name)["mode"] == "run-all", "the lease runs out")
        took = time.monotonic() - self.leased
        check(took >= SOON, f"a lease ended {took:.1f} s after it began")
        self.t.ctl("kill", f"{self.name}-leased")


def test_limits_leases_and_waits_do_not_notice_that_the_clock_is_set(t):
    clock = Clock(t)
    lasting = Lasting(t)
    is_now(clock, call(t, "ticks", "today"), "the day of a program")
    for shift in (HOUR, -HOUR, 0):
        soon = Soon(t, f"at{shift + HOUR}")
        clock.set(shift)
        lasting.check_same(clock)
        soon.check_ends()
        lasting.check_same(clock)
        # The clock was set, for both: what shows the time of day says so.
        is_now(clock, call(t, "ticks", "today"), "the day of a program")
        t.spawn(f"new{shift + HOUR}", TICKS)
        is_now(clock, t.vm(f"new{shift + HOUR}")["started_us"] / 1e6, "when a VM was started")
    lasting.end()


def test_what_begins_after_the_clock_was_set_ends_in_its_time(t):
    clock = Clock(t)
    spin = t.file("spin.js", SPIN)
    t.spawn("ticks", TICKS)
    hangs = t.file("hangs.fake", "print up\nhang\n")
    t.ctl("run", "-d", "--engine", "fake", "--world", "late", "--name", "hangs", hangs)
    wait_until(lambda: t.logs("hangs"), "it hangs")
    for shift in (HOUR, -HOUR):
        clock.set(shift)
        t.ctl("run", "--timeout", "300ms", spin, code=124)
        t.ctl("run", "--cpu-time", "100ms", spin, code=124)
        t.ctl("wait", "ticks", "--timeout", "100ms", code=124)
        t.ctl("world", "stop", "late", "--deadline", "100ms", code=6)
        t.ctl("world", "resume", "late")
        stop(t, "default", "--hold", "300ms")
        wait_until(lambda: status(t, "default")["mode"] == "run-all", "the lease runs out")
        stop(t, "default")
        t.ctl("world", "stop", "--wait", "100ms", code=124)
        t.ctl("eval", "ticks", "for (;;);", "--timeout", "100ms", code=124)
        t.ctl("world", "resume")
        live_on(t)
    # Numbers, not times, are the order of events.
    numbers = [json.loads(line)["seq"] for line in t.ctl("-o", "jsonl", "events").out.splitlines()]
    equal(numbers, sorted(numbers), "events in their order")
