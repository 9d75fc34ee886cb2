"""Rules A5 and A6: for how long a debugger lives, and auditors with it. Seen through `debugger list` and
`audit list` alone."""

import itertools
import signal

from api import ApiError
from clock import Clock
from debugging import debugging, is_killed
from harness import check, equal, wait_until

APP = """
function inner(go) { while (!globalThis.leave) {} return 7; }
function outer() { return inner(); }
globalThis.work = () => outer();
globalThis.realm = () => { globalThis.r = createRealm(); r.eval('function f() {} globalThis.f = f'); return 'made'; };
globalThis.drop = () => { globalThis.r = undefined; return 'dropped'; };
globalThis.load = (x) => { (0, eval)('globalThis.loaded' + x + ' = () => ' + x); return 'loaded'; };
"""


class Life:
    """One debugger with one hook, a client that has it open, and the referent of the hook."""

    def __init__(self, t, referent):
        self.t, self.referent = t, referent
        t.spawn("app", APP)
        self.eyes = debugging(t)
        self.client = debugging(t)
        self.client.open("d")
        self.cli = None
        getattr(self, "make_" + referent)()

    # Each makes the referent and the hook; `die_…` is the referent's end.

    def make_runtime(self):
        self.hook = self.client.add("new-global", "app", "d")[0]

    def die_runtime(self):
        self.t.ctl("kill", "app")

    def make_realm(self):
        self.t.ctl("call", "app", "realm")
        self.hook = self.client.add("enter-frame", "app", "d", realm=2)[0]

    def die_realm(self):
        self.t.ctl("call", "app", "drop")
        self.t.ctl("world", "gc")

    def make_frame(self):
        self.call = self.t.start("call", "app", "work")
        self.t.wait_for("app", "active")
        self.eyes.stop()
        inner = [f.frame for f in self.eyes.frames("app") if f.function == "inner"]
        self.hook = self.client.add("pop", "app", "d", frame=inner[0], one_frame=True)[0]
        self.eyes.resume()

    def die_frame(self):
        self.eyes.stop()
        self.eyes.evaluate("app", "globalThis.leave = true")
        self.eyes.resume()
        out, _ = self.call.communicate(timeout=30)
        equal(out.strip(), "7")

    def make_script(self):
        self.t.ctl("call", "app", "load", "1")
        self.hook = self.client.breakpoint("app", "app.js", 2, debugger="d", suspend="none")

    def die_script(self):
        self.t.ctl("kill", "app")  # the script of a program lives as long as it

    def client_leaves(self):
        self.client.sock.shutdown(2)
        self.client.close()

    def client_is_killed(self):
        is_killed(self.client)

    def hook_is_cleared(self):
        try:
            self.eyes.remove(self.hook)
        except ApiError as e:
            equal(self.eyes.api.ErrorCode.Name(e.code), "ERROR_NOT_FOUND")

    def referent_dies(self):
        getattr(self, "die_" + self.referent)()

    def expect(self, alive, audited):
        wait_until(lambda: ("d" in self.eyes.debuggers()) == alive,
                   f"the debugger is {'there' if alive else 'gone'}, not {list(self.eyes.debuggers())}")
        wait_until(lambda: bool(self.eyes.auditors()) == audited,
                   f"{'an' if audited else 'no'} auditor: {self.eyes.auditors()}")

    def end(self):
        if self.referent == "frame" and self.call.poll() is None:
            self.t.ctl("kill", "app")
            self.call.communicate()
        self.eyes.close()
        try:
            self.client.close()
        except OSError:
            pass


def table(t, referent):
    """Every order of the three events; after each, who is to be alive."""
    orders = [order for leaves in ("client_leaves", "client_is_killed")
              for order in itertools.permutations(("referent_dies", leaves, "hook_is_cleared"))]
    for order in orders:
        life = Life(t, referent)
        life.expect(True, True)
        past = set()
        for event in order:
            getattr(life, event)()
            past.add(event)
            hooked = not past & {"referent_dies", "hook_is_cleared"}
            left = past & {"client_leaves", "client_is_killed"}
            life.expect(alive=not left or hooked, audited=hooked)
        life.end()
        if "app" in {vm["name"] for vm in t.list()}:
            t.ctl("kill", "app")


def test_a5_life_of_a_debugger_with_a_hook_on_the_runtime(t):
    table(t, "runtime")


def test_a5_life_of_a_debugger_with_a_hook_on_a_realm(t):
    table(t, "realm")


def test_a5_life_of_a_debugger_with_a_hook_on_a_frame(t):
    table(t, "frame")


def test_a5_life_of_a_debugger_with_a_hook_on_a_script(t):
    table(t, "script")


def test_a5_a_killed_client_is_a_client_that_left(t):
    t.spawn("app", APP)
    eyes = debugging(t)
    p = t.start("audit", "add", "app", "--on", "new-script", "--debugger", "d")
    wait_until(lambda: "d" in eyes.debuggers() and eyes.auditors(), "it audits")
    p.send_signal(signal.SIGKILL)
    p.communicate()
    # Its hook can still fire: the debugger lives.
    t.ctl("call", "app", "load", "5")
    wait_until(lambda: [eyes.short(h) for h in eyes.kept("d")], "and sees")
    check("d" in eyes.debuggers(), eyes.debuggers())
    eyes.remove(debugger="d")
    wait_until(lambda: "d" not in eyes.debuggers(), "cleared, it is gone")
    equal(eyes.auditors(), [])
    eyes.close()


def test_a5_a_debugger_without_hooks_is_gone_at_once(t):
    t.spawn("app", APP)
    eyes, c = debugging(t), debugging(t)
    c.open("d")
    check("d" in eyes.debuggers(), "open, it lives")
    c.close()
    wait_until(lambda: "d" not in eyes.debuggers(), "closed, it is gone")
    equal(eyes.auditors(), [])
    eyes.close()


def test_a5_a_debugger_with_a_lease_lives_without_hooks(t):
    t.spawn("app", APP)
    eyes, c = debugging(t), debugging(t)
    c.open("d", policy="hold")
    c.request(stop_world=c.api.StopWorld(world="default", debugger="d", deadline_us=20_000_000))
    c.close()
    wait_until(lambda: "d" in eyes.debuggers() and not eyes.debuggers()["d"].open, "it lives by its lease")
    eyes.resume()
    wait_until(lambda: "d" not in eyes.debuggers(), "and is gone with it")
    eyes.close()


def test_a6_the_scenario_the_idea_starts_from(t):
    """A debugger with only a new-script hook, whose client is gone, still sees the script that comes an hour later."""
    clock = Clock(t)
    t.spawn("app", APP)
    t.spawn("waits", "setTimeout(() => console.log('an hour'), 59 * 60 * 1000); onmessage = () => {};")
    t.spawn("leased", "onmessage = () => {};", ready=False, options=("--world", "leased"))
    eyes, c = debugging(t), debugging(t)
    t.ctl("world", "stop", "leased", "--hold", "59min")
    c.open("d")
    c.add("new-script", "app", "d")
    is_killed(c)
    wait_until(lambda: not eyes.debuggers()["d"].open, "its client is gone")
    began = clock.now()
    for _ in range(6):
        wait_until(lambda: eyes.mode() == "run-all", "the VMs' clocks go on")
        clock.advance(600)
        t.ctl("world", "gc")
    # It was one for the VMs and for the daemon.
    wait_until(lambda: t.logs("waits") == "an hour\n", "a program's timer")
    wait_until(lambda: eyes.mode("leased") == "run-all", "a lease runs out")
    t.ctl("call", "app", "load", "8")
    hits = wait_until(lambda: eyes.kept("d"), "the event")
    equal([eyes.kind_name(h.kind) for h in hits], ["new-script"])
    check(hits[0].time_us / 1e6 - began > 3590, f"it came {hits[0].time_us / 1e6 - began} s later")
    equal(t.ctl("call", "app", "loaded8").out.strip(), "8")
    t.ctl("kill", "app")
    wait_until(lambda: "d" not in eyes.debuggers(), "with the VM, the debugger is gone")
    eyes.close()


def test_a6_a_pop_hook_keeps_its_debugger_exactly_until_that_frame_is_popped(t):
    life = Life(t, "frame")
    life.client_leaves()
    life.expect(True, True)
    equal(life.eyes.auditors()[0][0], "frame")
    for _ in range(3):
        t.ctl("world", "gc")
    life.expect(True, True)
    life.referent_dies()
    life.expect(False, False)
    life.end()


def test_a6_what_a_frame_a_script_a_realm_had_goes_with_it(t):
    t.spawn("app", APP)
    c = debugging(t)
    c.open("d")
    t.ctl("call", "app", "realm")
    c.add(["enter-frame", "new-script", "exception-unwind"], "app", "d", realm=2)
    c.add("new-global", "app", "d")
    equal({(r, i) for r, i, _, _ in c.auditors("app")}, {("runtime", 0), ("realm", 2)})
    t.ctl("call", "app", "drop")
    t.ctl("world", "gc")
    wait_until(lambda: {(r, i) for r, i, _, _ in c.auditors("app")} == {("runtime", 0)}, "the realm's are gone")
    equal(len(c.hooks(debugger="d", vm="app")), 1)
    c.remove(debugger="d")
    equal(c.auditors(), [])
    c.close()


def test_realms_are_audited_one_by_one(t):
    t.spawn("app", APP)
    t.ctl("call", "app", "realm")
    c = debugging(t)
    for name in ("first", "second", "all"):
        c.open(name)
    c.add("enter-frame", "app", "first", realm=1)
    c.add("enter-frame", "app", "second", realm=2)
    c.add("enter-frame", "app", "all")
    equal(c.auditors("app"), [("realm", 1, "enter-frame", ["first", "all"]),
                              ("realm", 2, "enter-frame", ["second", "all"])])
    c.stop()
    c.evaluate("app", "load(1)", audited=True)
    c.evaluate("app", "r.f()", audited=True)
    c.resume()
    seen = {name: {h.realm for h in c.kept(name)} for name in ("first", "second", "all")}
    equal(seen, {"first": {1}, "second": {2}, "all": {1, 2}})
    # A hook on every realm is on later ones, too.
    t.ctl("call", "app", "realm")
    equal({i for _, i, _, names in c.auditors("app") if "all" in names}, {1, 2, 3})
    for name in ("first", "second", "all"):
        c.remove(debugger=name)
    equal(c.auditors(), [])
    c.close()


def test_a6_a_script_that_is_gone_takes_its_auditor_and_its_breakpoint_waits_for_the_next(t):
    t.spawn("app", "globalThis.place = (x) => { (0, eval)('globalThis.late = () => {\\n  return ' + x + ';\\n}\\n"
                   "//# sourceURL=late.js'); return 'placed'; };\n"
                   "globalThis.drop = () => { globalThis.late = undefined; return 'dropped'; };\n")
    eyes, c = debugging(t), debugging(t)
    c.open("d")
    c.breakpoint("app", "late.js", 2, debugger="d", suspend="none")
    is_killed(c)
    wait_until(lambda: not eyes.debuggers()["d"].open, "its client is gone")
    scripts = []
    for n in (1, 2):
        equal((eyes.auditors(), [b.pending for b in list(eyes.hooks(debugger="d").values())[0].bound]), ([], [True]))
        t.ctl("call", "app", "place", str(n))
        (referent, script, kind, names), = eyes.auditors()
        equal((referent, kind, names), ("script", "breakpoint", ["d"]))
        scripts.append(script)
        equal(t.ctl("call", "app", "late").out.strip(), str(n))
        equal(len(eyes.kept("d")), n)
        t.ctl("call", "app", "drop")
        t.ctl("world", "gc")
        wait_until(lambda: eyes.auditors() == [], "with its script the auditor is gone")
    check(scripts[0] != scripts[1], scripts)
    # It could still fire, as long as the VM lives.
    equal(list(eyes.debuggers()), ["d"])
    t.ctl("kill", "app")
    wait_until(lambda: eyes.debuggers() == {}, "with the VM the debugger is gone")
    eyes.close()
