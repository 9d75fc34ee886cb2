"""VMs that outlive one crash of their daemon after the other.

STILLPOINT_CRASHES=100 has it killed so many times, in place of 20.
"""

import os
import random
import threading
import time

from booted import HANG
from harness import equal, wait_until
from test_adoption import BUSY, ENDED, TICK, Service, give_controllers, prepare, read_events, twenty

LONG = True
CRASHES = int(os.environ.get("STILLPOINT_CRASHES", "20"))

__all__ = ["prepare"]


class Restless:
    """Stops and resumes one world, and makes VMs in another, until its daemon dies. Knows what it was told."""

    def __init__(self, s, number):
        self.known, self.stopped = {}, None  # stopped: None while it waits for an answer
        self.number, self.s = number, s
        self.threads = [threading.Thread(target=self.until_the_end, args=(turn, s.connect()))
                        for turn in (self.stop_and_resume, self.give_birth)]
        for thread in self.threads:
            thread.start()

    def until_the_end(self, turn, api):
        try:
            while True:
                turn(api)
        except ENDED:
            api.close()

    def stop_and_resume(self, api):
        self.stopped = None
        api.request(stop_world=self.s.messages.StopWorld(world="restless", deadline_us=int(HANG * 1e6)))
        self.stopped = True
        time.sleep(random.random() * 0.01)
        self.stopped = None
        api.request(resume_world=self.s.messages.ResumeWorld(world="restless"))
        self.stopped = False
        time.sleep(random.random() * 0.01)

    def give_birth(self, api):
        name = f"born{self.number}-{len(self.known)}"
        self.known[name] = api.run("born.js", TICK, name=name, world="births").pid
        time.sleep(random.random() * 0.01)

    def join(self):
        for thread in self.threads:
            thread.join()


def restless_crash(s, number, known):
    """A crash at a random moment of stops and births. What somebody was told of is as it was."""
    storm = Restless(s, number)
    time.sleep(random.random() * 0.1)
    s.crash()
    storm.join()
    now = s.pids()
    for name, pid in {**known, **storm.known}.items():
        equal(now.get(name), pid, f"{name} after crash {number}")
    modes = s.modes()
    equal(modes["still"], "mode-stopped")
    if storm.stopped is not None:
        equal(modes["restless"], "mode-stopped" if storm.stopped else "mode-run-all")
    if modes["restless"] != "mode-run-all":
        s.resume("restless")
    for name in now:
        if name.startswith("born"):
            s.api.request(kill_vm=s.messages.KillVm(vm=name))


def end_vms(s):
    for name in s.pids():
        s.api.request(kill_vm=s.messages.KillVm(vm=name))
    wait_until(lambda: not s.pids(), "all have ended", HANG)


def crash_again_and_again(m, times, before_each=lambda s: None):
    s = Service(m)
    s.run("first", TICK)
    end_vms(s)
    s.crash()
    empty = s.state()
    known = twenty(s)
    for name in ("restless0", "restless1"):
        known[name] = s.run(name, TICK if name == "restless0" else BUSY, world="restless").pid
    n = s.call("vm0", "count")
    for number in range(times):
        before_each(s)
        restless_crash(s, number, known)
    wait_until(lambda: s.call("vm0", "count") > n, "it goes on", HANG)
    read_events(s, 1, 1000)
    s.api.request(close_debugger=s.messages.CloseDebugger(debugger="d"))
    s.resume("still")
    end_vms(s)
    s.crash()
    wait_until(lambda: s.state() == empty, lambda: f"nothing is left of them: {s.state()}, and not {empty}", HANG)


def test_crashes_at_any_moment_of_stops_and_births_lose_no_vm_and_leak_nothing(m):
    crash_again_and_again(m, CRASHES)


def test_crashes_at_any_moment_lose_nothing_with_a_controller_either(m):
    crash_again_and_again(m, -(-CRASHES // 4), give_controllers)
