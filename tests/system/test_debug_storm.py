"""Debuggers, auditors, clients and VMs come and go at once: whatever crosses, nothing is left of it."""

import json
import os
import random
import select
import signal
import socket
import threading
import time

import api as api_client
import wasm
import wire
from debugging import debugging
from harness import HANG, check, equal, wait_until
from leaks import no_strays, zygotes
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
    most_open = 12  # requests under way

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
            while self.done < actions and sum(len(c.open) for c in self.clients) < self.most_open:
                self.act()
                self.done += 1
                if self.done % 10 == 0:
                    self.look()
                    self.expected_deaths()
            return self.done < actions and time.monotonic() < end
        volley_all(self, go_on)

    # ---- after it

    def who_was_killed(self):
        return self.killed

    def expected_deaths(self):
        """Nobody has died but by us: no crash, and none that the daemon found to break a rule."""
        vms = self.watch.vms(everything=True)
        killed = self.who_was_killed()  # in this order: it was said before it was done
        for vm in vms:
            if not vm.HasField("exit") or vm.id in killed:
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
        wait_until(lambda: not watch.debuggers(), lambda: f"no debugger is left: {watch.debuggers()}")
        wait_until(lambda: watch.mode() == "run-all", lambda: f"the world runs: {watch.world()}")
        equal(watch.hooks(), {})
        wait_until(lambda: not watch.auditors(), lambda: f"no auditor is left: {watch.auditors()}", 10)
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


# ---- the kill storm

KILLS_PER_S = 100
KILL_SECONDS = float(os.environ.get("STILLPOINT_SECONDS") or size(6, 60))


class Crowd:
    """Threads that have nothing to do with the storm but to be there. What goes wrong in one is raised
    by end()."""

    def __init__(self):
        self.over, self.wrong, self.threads = threading.Event(), [], []

    def add(self, act):
        def run():
            try:
                act(self.over)
            except BaseException as e:  # pylint: disable=broad-except
                self.wrong.append(e)
                self.over.set()
        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(HANG)
            check(not thread.is_alive(), "a thread of the test hangs")
        if self.wrong:
            raise self.wrong[0]


class Flood:
    """One that sends whatever there is as fast as it can, well-formed and not, and hardly reads. The
    daemon may close its connection for that: it comes back."""

    def __init__(self, api, path, rng):
        self.api, self.path, self.rng, self.sent, self.lost = api, path, rng, 0, 0

    def frames(self):
        """As many as one write takes."""
        api, rng, data = self.api, self.rng, b""
        for number in range(rng.randrange(1, 400)):
            body = rng.choice((
                {"list_vms": api.ListVms(all=True)}, {"list_worlds": api.ListWorlds()},
                {"get_world": api.GetWorld(world="nobody")}, {"kill_vm": api.KillVm(vm="no-such-vm")},
                {"subscribe": api.Subscribe(replay=True)}, {"read_log": api.ReadLog(vm="1")},
                {"wait_vm": api.WaitVm(vm="*")}))
            frame = api.Envelope(request_id=number + 1, **body).SerializeToString()
            data += len(frame).to_bytes(4, "big") + frame
        if rng.random() < 0.2:
            data += rng.randbytes(rng.randrange(1, 5000))
        return data

    def act(self, over):
        while not over.is_set():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as s:
                s.settimeout(0.05)
                try:
                    s.connect(self.path)
                    s.sendall(wire.hello())
                    while not over.is_set():
                        try:
                            s.sendall(self.frames())
                        except TimeoutError:
                            break  # it is not read any more; half a frame is gone
                        self.sent += 1
                except OSError:
                    pass
                self.lost += 1


class DeafWatcher:
    """One that has asked for all events, and reads none."""

    def __init__(self, api, path):
        self.client = api_client.Client(api, path)
        self.client.send(subscribe=api.Subscribe(replay=True))

    def close(self):
        self.client.close()


class Aside:
    """A client in a process of its own, so that nothing here delays it: act(client, say, over) until
    over(seconds), which waits. What it says comes here as JSON."""

    def __init__(self, t, act, prepare):
        client = connect(t)
        self.pipe, theirs = socket.socketpair()
        self.buffer = b""
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                self.pipe.close()
                prepare()
                act(client, lambda what: theirs.sendall(json.dumps(what).encode() + b"\n"),
                    lambda seconds: bool(select.select([theirs], [], [], max(0, seconds))[0]))
                status = 0
            finally:
                os._exit(status)
        theirs.close()
        client.close()

    def said(self, flags=socket.MSG_DONTWAIT):
        """All that it has said since."""
        try:
            while more := self.pipe.recv(1 << 16, flags):
                self.buffer += more
        except BlockingIOError:
            pass
        *lines, self.buffer = self.buffer.split(b"\n")
        return [json.loads(line) for line in lines]

    def end(self):
        self.pipe.shutdown(socket.SHUT_WR)
        self.pipe.settimeout(HANG)
        said = self.said(0)
        self.pipe.close()
        equal(os.waitpid(self.pid, 0)[1], 0, "each of its requests was answered")
        return said


def list_all(client, say, over):
    """What one who does nothing wrong waits for a list, each 20 ms."""
    waits = []
    while not over(0.02):
        began = time.monotonic()
        client.vms()
        waits.append(time.monotonic() - began)
    say(sorted(waits))


def kill_all(client, say, over):
    rng, due, vms, killed = random.Random(64), time.monotonic(), [], set()
    while not over(due - time.monotonic()):
        due = max(due + 1 / KILLS_PER_S, time.monotonic() - 0.1)
        if len(killed) % 8 == 0 or not vms:
            vms = [vm for vm in client.vms() if vm.pid and vm.id not in killed]
        if vms:
            vm = vms.pop(rng.randrange(len(vms)))
            killed.add(vm.id)
            say(vm.id)
            try:
                os.kill(vm.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has died already


class KillStorm(Storm):
    """The storm of debuggers with VMs that die all the time, from outside."""
    most_open = 48
    killer = None

    def who_was_killed(self):
        if self.killer:
            self.killed.update(self.killer.said())
        return self.killed

    def look(self):
        super().look()
        self.looked = time.monotonic()

    def act(self):
        if time.monotonic() > self.looked + 0.02:
            self.look()
        super().act()

    def rage(self, seconds, prepare=lambda: None):
        """Returns what the one who does nothing wrong waited for its lists, in seconds, sorted."""
        lister = Aside(self.t, list_all, prepare)
        self.killer = Aside(self.t, kill_all, prepare)
        crowd, deaf = Crowd(), DeafWatcher(self.api, self.t.daemon.socket)
        flood = Flood(self.api, self.t.daemon.socket, random.Random(7))
        try:
            crowd.add(flood.act)
            self.run(1 << 60, seconds)
        finally:
            crowd.end()
            deaf.close()
            killer, self.killer = self.killer, None
            self.killed.update(killer.end())
            waits, = lister.end()
        self.kills = len(self.killed)
        check(flood.sent > 0 and flood.lost > 0, f"it floods: {flood.sent}, {flood.lost}")
        print(f"# {self.kills} SIGKILLs in {seconds:.0f} s, {flood.sent} floods, {flood.lost} connections lost; "
              f"{len(waits)} lists, p50 {1000 * waits[len(waits) // 2]:.1f} ms, "
              f"p99 {1000 * waits[len(waits) * 99 // 100]:.1f} ms, worst {1000 * waits[-1]:.1f} ms")
        return waits


def kill_storm(t, count, seconds):
    t.start_daemon("--spare=yes")
    before = zygotes(t.daemon.pid)
    storm = KillStorm(t, int(os.environ.get("STILLPOINT_SEED") or 33), count, 4)
    waits = storm.rage(seconds)
    storm.finish()
    client = connect(t)
    no_strays(t.daemon.pid, client.vms(), spares=1)
    client.close()
    equal(zygotes(t.daemon.pid), before, "the zygotes are those of the start")
    return waits


def test_64_workers_that_are_killed_at_random_beside_a_flood_and_a_deaf_client(t):
    """Every request of those that do nothing wrong is answered: volley_all() waits for each."""
    kill_storm(t, 64, KILL_SECONDS)
