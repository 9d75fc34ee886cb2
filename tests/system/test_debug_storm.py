"""Debuggers, auditors, clients and VMs come and go at once: whatever crosses, nothing is left of it."""

import os
import random
import select
import signal
import time

import api as api_client
import wasm
from debugging import debugging
from harness import HANG, check, equal, wait_until
from storm import LONG, Volley, connect, size

CALLS = """
function leaf(x) { let y = x * 2; if (x % 7 === 0) { try { throw new Error('seven'); } catch (e) { y++; } }
  return y; }
function twig(x) { const z = leaf(x); return z + leaf(x + 1); }
"""
PROGRAMS = {
    "hot": CALLS + "let i = 0;\nfor (;;) {\n  twig(i);\n  i++;\n}",
    "timer": CALLS + "let i = 0; globalThis.onmessage = (e) => twig(e.data);\n"
             "setInterval(() => {\n  twig(i++);\n  if (i % 5 === 0) debugger;\n}, 1);",
    "async": CALLS + "async function later(x) {\n  await null;\n  const y = twig(x);\n  await null;\n  return y;\n}\n"
             "(async () => { for (let i = 0;; i++) { await later(i);\n"
             " if (i % 50 === 0) await new Promise(r => setTimeout(r, 1)); } })();",
    "generators": CALLS + "function* gen(n) {\n  for (let i = 0; i < n; i++)\n    yield twig(i);\n}\n"
                  "setInterval(() => {\n  let s = 0;\n  for (const v of gen(5)) s += v;\n"
                  "  new Function('return ' + s)();\n}, 1);",
    "idles": CALLS + "globalThis.onmessage = (e) => {\n  debugger;\n  twig(e.data);\n};",
    "blocks": "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)",
    "naps": "const a = new Int32Array(new SharedArrayBuffer(4));\nfor (;;) {\n  Atomics.wait(a, 0, 0, 3);\n}",
    "wasm": "const m = new WebAssembly.Module(new Uint8Array(%s));\n"
            "new WebAssembly.Instance(m).exports._start()" % list(wasm.command(wasm.FOREVER)),
}
KINDS = ("new-global", "enter-frame", "debugger-statement", "exception-unwind", "new-script",
         "new-promise", "promise-settled", "pop", "step")
EXPRESSIONS = ("1 + 1", "x", "this", "leaf(3)", "nobody", "throw_ = 1; throw 2", "for (;;);", "twig(1)",
               "(() => { debugger; return 1; })()", "new Array(100).fill({a: 1})", "globalThis", "((", "i")
HARMLESS = {"wrong_state", "not_found", "cancelled", "timed_out", "permission_denied", "already_exists",
            "limit_exceeded", "unsupported", "program_failed", "invalid_argument"}


class Storm:
    def __init__(self, t, seed, count, clients):
        self.t, self.rng, self.count = t, random.Random(seed), count
        self.clients = [connect(t, Volley) for _ in range(clients)]
        self.watch = debugging(t)
        self.api = self.watch.api
        self.names = [f"d{i}" for i in range(clients)]
        self.killed, self.terminated, self.tally, self.starting = set(), set(), {}, 0
        self.hooks, self.vms, self.done = [], [], 0
        self.look()

    # ---- VMs

    def give_birth(self):
        name = self.rng.choice(list(PROGRAMS))
        fd = api_client.memfd(PROGRAMS[name].encode())
        self.starting += 1

        def then(outcome, reply):
            self.starting -= 1
            # One that was killed while it started has another answer.
            check(outcome in ("served", "internal", "cancelled"), f"{name}: {outcome}: {reply}")
        self.clients[0].fire(then, fd, run_vm=self.api.RunVm(
            program=f"{name}.js", keep_idle=True, debug=self.rng.random() < 0.5))
        os.close(fd)

    def look(self):
        alive = self.watch.vms()
        self.vms = [vm for vm in alive if vm.pid]
        while len(alive) + self.starting < self.count:
            self.give_birth()

    def kill(self, vm):
        self.killed.add(vm.id)
        try:
            os.kill(vm.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has died already

    # ---- clients

    def reconnect(self, who):
        """The end of a client as the daemon sees it, with all that it has asked for under way."""
        old = self.clients[who]
        if who == 0 and self.starting:
            return
        old.close()
        self.clients[who] = connect(self.t, Volley)
        if self.rng.random() < 0.8:
            self.ask(who, open_debugger=self.api.OpenDebugger(name=self.names[who]))

    def whatever(self, what):
        def then(outcome, reply):
            check(outcome == "served" or outcome in HARMLESS, f"{what}: {outcome}: {reply}")
            counts = self.tally.setdefault(what, {})
            counts[outcome] = counts.get(outcome, 0) + 1
            if outcome == "served" and what == "add_hooks":
                self.hooks += [h.hook for h in reply.hook_list.hooks]
        return then

    def ask(self, who, **body):
        self.clients[who].fire(self.whatever(*body), **body)

    # ---- requests

    def add_hooks(self, who, vm):
        api, rng, watch = self.api, self.rng, self.watch
        suspend = rng.choice((api.SUSPEND_NONE, api.SUSPEND_NONE, api.SUSPEND_VM, api.SUSPEND_WORLD))
        request = api.AddHooks(debugger=self.names[who], suspend=suspend, deadline_us=LONG,
                               wait_us=rng.choice((0, 0, 10_000)))
        where = rng.random()
        if where < 0.7:
            request.vm = str(vm.id)
        elif where < 0.85:
            request.selector = rng.choice(("*", "hot*", "a*", "*e*"))
        else:
            request.world = "default"
        if rng.random() < 0.4:
            request.kinds.append(api.HOOK_BREAKPOINT)
            request.at.url = rng.choice(("*.js", "hot.js", "timer.js", "async.js", "nobody.js"))
            request.at.line = rng.randrange(1, 13)
        else:
            request.kinds.extend(watch.kind(k) for k in rng.sample(KINDS, rng.choice((1, 1, 2))))
            if watch.kind("step") in request.kinds and rng.random() < 0.3:
                request.granularity = api.GRANULARITY_OPERATION
            if list(request.kinds) == [api.HOOK_NEW_GLOBAL]:
                request.weak = rng.random() < 0.5
        if rng.random() < 0.4:
            request.filter.condition = rng.choice(("x === 3", "x % 2", "nobody", "leaf(1)", "true", "i > 2"))
        if rng.random() < 0.3:
            request.filter.count = rng.choice((1, 5))
        if rng.random() < 0.2:
            request.filter.function = rng.choice(("leaf", "t*", "*"))
        if rng.random() < 0.3:
            request.capture.stack_depth = rng.choice((1, 5))
            request.capture.arguments = True
            request.capture.value = True
            request.capture.expressions.extend(["x", "x + 1"])
        if suspend == api.SUSPEND_NONE and rng.random() < 0.2:
            request.log = "x is {x}, {x + 1}"
        if rng.random() < 0.3:
            request.budget.per_second = rng.choice((1, 50))
        self.ask(who, add_hooks=request)

    def look_at(self, who, vm):
        api, rng = self.api, self.rng
        what = rng.randrange(8)
        if what == 0:
            self.ask(who, list_frames=api.ListFrames(vm=vm))
        elif what == 1:
            self.ask(who, list_scopes=api.ListScopes(vm=vm, frame=rng.randrange(3)))
        elif what == 2:
            self.ask(who, list_variables=api.ListVariables(vm=vm, ref=rng.randrange(1, 12),
                                                           run_getters=rng.random() < 0.3))
        elif what == 3:
            self.ask(who, read_source=api.ReadSource(vm=vm, url="hot.js"))
        elif what == 4:
            self.ask(who, list_positions=api.ListPositions(vm=vm, url="hot.js", line_from=1, line_to=9))
        elif what == 5:
            self.ask(who, list_sources=api.ListSources(vm=vm))
        elif what == 6:
            self.ask(who, set_variable=api.SetVariable(vm=vm, name="x", expression="4", timeout_us=100_000))
        else:
            self.ask(who, access_memory=api.AccessMemory(vm=vm, length=16))

    def go_on(self, who, vm):
        api, rng = self.api, self.rng
        request = api.ContinueVm(vm=vm, only=rng.random() < 0.3)
        if request.only:
            request.deadline_us = rng.choice((1000, 20_000))
        answer = rng.random()
        if answer < 0.1:
            request.answer, request.answer_expression = api.ANSWER_RETURN, rng.choice(("1", "nobody", "(("))
            self.terminated.add(int(vm))  # what is no expression is thrown
        elif answer < 0.2:
            request.answer, request.answer_expression = api.ANSWER_THROW, "new Error('thrown')"
            self.terminated.add(int(vm))
        elif answer < 0.22:
            request.answer = api.ANSWER_TERMINATE
            self.terminated.add(int(vm))
        self.ask(who, continue_vm=request)

    def session(self, who):
        """What one who debugs does in a row, without waiting for the answers."""
        api, rng, name = self.api, self.rng, self.names[who]
        chosen = rng.choice(self.vms)
        vm, parks = str(chosen.id), rng.random()
        if parks < 0.5:
            self.ask(who, stop_world=api.StopWorld(debugger=name, deadline_us=LONG, require_idle=rng.random() < 0.5,
                                                   enforce=rng.random() < 0.4, wait_us=20_000))
        elif parks < 0.7:
            self.ask(who, hold_vm=api.HoldVm(vm=vm, debugger=name))
        else:
            self.add_hooks(who, chosen)
        for _ in range(rng.randrange(1, 8)):
            what = rng.random()
            if what < 0.3:
                self.step(who, vm)
            elif what < 0.5:
                self.evaluate(who, vm)
            elif what < 0.65:
                self.add_hooks(who, chosen)
            elif what < 0.7:
                self.go_on(who, vm)
            elif what < 0.71:
                self.kill(chosen)
            else:
                self.look_at(who, vm)
        if rng.random() < 0.7:
            self.ask(who, resume_world=api.ResumeWorld())
            self.ask(who, release_vm=api.ReleaseVm(vm=vm, debugger=name))
        else:
            self.go_on(who, vm)

    def step(self, who, vm):
        api, rng = self.api, self.rng
        self.ask(who, step_vm=api.StepVm(
            vm=vm, how=rng.choice((api.STEP_IN, api.STEP_OVER, api.STEP_OVER, api.STEP_OUT)),
            others=rng.choice((api.STEP_OTHERS_HOLD, api.STEP_OTHERS_RUN)), count=rng.choice((1, 1, 3)),
            deadline_us=rng.choice((1000, 30_000, 100_000))))

    def evaluate(self, who, vm):
        api, rng = self.api, self.rng
        self.ask(who, evaluate=api.Evaluate(
            vm=vm, expression=rng.choice(EXPRESSIONS), in_realm=rng.random() < 0.4, frame=rng.randrange(2),
            timeout_us=rng.choice((1000, 20_000, 100_000)), audited=rng.random() < 0.2))

    def act(self):
        api, rng = self.api, self.rng
        who = rng.randrange(len(self.clients))
        name, what = self.names[who], rng.random()
        if not self.vms:
            return
        if what < 0.10:
            self.session(who)
            return
        what = rng.random()
        chosen = rng.choice(self.vms)
        vm = str(chosen.id)
        if what < 0.14:
            self.add_hooks(who, chosen)
        elif what < 0.20 and self.hooks:
            hooks = [self.hooks.pop(rng.randrange(len(self.hooks)))]
            self.ask(who, remove_hooks=api.RemoveHooks(hooks=hooks, debugger=name))
        elif what < 0.22:
            self.ask(who, remove_hooks=api.RemoveHooks(debugger=name))
        elif what < 0.28:
            self.ask(who, stop_world=api.StopWorld(debugger=name, deadline_us=LONG, enforce=rng.random() < 0.3,
                                                   wait_us=rng.choice((0, 5000, 20_000))))
        elif what < 0.38:
            self.ask(who, resume_world=api.ResumeWorld())
        elif what < 0.52:
            self.step(who, vm)
        elif what < 0.60:
            self.evaluate(who, vm)
        elif what < 0.72:
            self.look_at(who, vm)
        elif what < 0.81:
            self.go_on(who, vm)
        elif what < 0.84:
            self.ask(who, hold_vm=api.HoldVm(vm=vm, debugger=name))
        elif what < 0.88:
            self.ask(who, release_vm=api.ReleaseVm(vm=vm, debugger=name))
        elif what < 0.90:
            self.ask(who, take_lease=api.TakeLease(steal=True, debugger=name))
        elif what < 0.92:
            self.ask(who, send_message=api.SendMessage(vm=vm, json="14"))
        elif what < 0.935:
            self.ask(who, inspect_world=api.InspectWorld(
                kind=rng.choice((api.INSPECT_GC, api.INSPECT_CENSUS, api.INSPECT_STACKS)), deadline_us=LONG,
                timeout_us=LONG, wait_us=rng.choice((0, 10_000))))
        elif what < 0.945:
            self.ask(who, close_debugger=api.CloseDebugger(debugger=name))
            if rng.random() < 0.8:
                self.ask(who, open_debugger=api.OpenDebugger(name=name))
        elif what < 0.965:
            self.ask(who, open_debugger=api.OpenDebugger(name=name, policy=rng.choice(("resume", "hold"))))
        elif what < 0.975:
            self.ask(who, read_hits=api.ReadHits(debugger=name, max_hits=10))
        elif what < 0.985:
            self.reconnect(who)
        else:
            self.kill(chosen)

    def run(self, actions, seconds):
        for who, name in enumerate(self.names):
            self.ask(who, open_debugger=self.api.OpenDebugger(name=name))
        end = time.monotonic() + seconds

        def go_on():
            while self.done < actions and sum(len(c.open) for c in self.clients) < 12:
                self.act()
                self.done += 1
                if self.done % 10 == 0:
                    self.look()
                    self.expected_deaths()
            return self.done < actions and time.monotonic() < end
        volley_all(self, go_on)

    # ---- after it

    def expected_deaths(self):
        """Nobody has died but by us: no crash, and none that the daemon found to break a rule."""
        for vm in self.watch.vms(everything=True):
            if not vm.HasField("exit") or vm.id in self.killed:
                continue
            check(vm.id in self.terminated and vm.exit.reason in (self.api.EXIT_ERROR, self.api.EXIT_EXITED,
                                                                 self.api.EXIT_KILLED),
                  f"{vm.name} {vm.id} ended by itself: {vm.exit}")

    def finish(self):
        began = time.monotonic()
        api, watch = self.api, self.watch
        # Whoever waits is let go, or times out.
        for name in list(watch.debuggers()):
            try:
                watch.remove(debugger=name)
            except api_client.ApiError:
                pass  # it was its last thread of life
        for name in list(watch.debuggers()):
            try:
                watch.request(close_debugger=api.CloseDebugger(debugger=name))
            except api_client.ApiError:
                pass
        volley_all(self, lambda: any(c.open for c in self.clients))
        self.expected_deaths()
        for c in self.clients:
            c.close()
        for name in list(watch.debuggers()):
            try:
                watch.request(close_debugger=api.CloseDebugger(debugger=name))
            except api_client.ApiError:
                pass
        wait_until(lambda: not watch.debuggers(), f"no debugger is left: {watch.debuggers()}")
        wait_until(lambda: watch.mode() == "run-all", f"the world runs: {watch.world()}")
        equal(watch.hooks(), {})
        wait_until(lambda: not watch.auditors(), f"no auditor is left: {watch.auditors()}", 10)
        for vm in watch.vms():
            equal((list(vm.holds), vm.frozen, vm.hooks, vm.serving), ([], False, 0, False), vm.name)
            try:
                check(not watch.pause(vm.id).reason, f"{vm.name} pauses")
            except api_client.ApiError:
                check(vm.id in self.killed | self.terminated, f"{vm.name} has exited")
        self.everybody_runs()
        self.expected_deaths()
        print(f"# {self.done} acts: " + "; ".join(
            f"{what} {counts}" for what, counts in sorted(self.tally.items())))
        print(f"# {len(self.killed)} killed, let go in {time.monotonic() - began:.1f} s")
        watch.close()

    def everybody_runs(self):
        """Those that never wait spend CPU time again."""
        busy = {vm.id: vm.cpu_us for vm in self.watch.vms() if vm.program in ("hot.js", "wasm.js", "async.js")
                and vm.id not in self.terminated}

        def ran():
            now = {vm.id: vm.cpu_us for vm in self.watch.vms()}
            return all(vm not in now or now[vm] > spent for vm, spent in busy.items())
        wait_until(ran, f"all run again: {busy}")


def volley_all(storm, go_on):
    """As volley(), but the clients may change meanwhile; and where all wait for a world that somebody has
    stopped, it is resumed."""
    last = time.monotonic()
    while go_on():
        waiting = [c for c in storm.clients if c.open]
        ready, _, _ = select.select([c.sock for c in waiting], [], [], 0.2) if waiting else ([], 0, 0)
        for c in waiting:
            if c.sock in ready:
                c.take()
                last = time.monotonic()
        if not ready:
            storm.ask(len(storm.clients) - 1, resume_world=storm.api.ResumeWorld())
        check(time.monotonic() - last < HANG, f"nothing came in {HANG:.0f} s; open: "
              f"{[c.waiting() for c in waiting]}")


def test_everything_that_debuggers_do_at_once_with_three_vms(t):
    storm = Storm(t, int(os.environ.get("STILLPOINT_SEED") or 3), 3, 3)
    storm.run(size(4000, 400_000), size(6, 1200))
    storm.finish()


def test_everything_that_debuggers_do_at_once_with_six_vms(t):
    storm = Storm(t, int(os.environ.get("STILLPOINT_SEED") or 6), 6, 5)
    storm.run(size(4000, 400_000), size(6, 1200))
    storm.finish()
