#!/usr/bin/env python3
"""What auditors cost a VM: ratios to a VM without any, in the same run, and ns for each event.

    audit_cost.py [--build DIR] [--rounds N] [--only TABLE,…]

Tables: ratios, events, conditions, rates, latency; then the goals, met or not. Starts a daemon of its own. CPU times
are those of the VM's own thread, as the kernel counts them. See README.md.
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(TOP, "tests", "support"))

import api as api_client  # noqa: E402
import debugging  # noqa: E402
import wasm  # noqa: E402
from harness import thread_cpu_ns  # noqa: E402

# for (local = n; local; local--) acc = acc * 31 + local, with n as its parameter
WASM = (b"\0asm\x01\0\0\0" + wasm.section(1, wasm.vector([b"\x60\x01\x7f\x01\x7f"]))
        + wasm.section(3, wasm.vector([b"\0"]))
        + wasm.section(7, wasm.vector([wasm.name("run") + b"\0\0"]))
        + wasm.section(10, wasm.vector([(lambda code: wasm.uleb(len(code)) + code)(
            b"\x01\x01\x7f\x03\x40\x20\x01\x41\x1f\x6c\x20\x00\x6a\x21\x01"
            b"\x20\x00\x41\x01\x6b\x22\x00\x0d\x00\x0b\x20\x01\x0b")])))

PROGRAMS = {
    "fib": "function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }\n"
           "globalThis.work = () => fib(29);",
    "nbody": """
function body(x, y, z, vx, vy, vz, m) { return {x, y, z, vx, vy, vz, m}; }
const bodies = [body(0, 0, 0, 0, 0, 0, 39.5), body(4.8, -1.2, -0.1, 0.6, 2.8, -0.02, 0.037), body(8.3, 4.1, -0.4, -1, 1.8, 0.008, 0.011),
  body(12.9, -15.1, -0.2, 1.1, 0.9, -0.01, 0.0017), body(15.4, -25.9, 0.2, 1, 0.6, -0.03, 0.002)];
function advance(dt) {
  for (let i = 0; i < 5; i++) {
    const a = bodies[i];
    for (let j = i + 1; j < 5; j++) {
      const b = bodies[j], dx = a.x - b.x, dy = a.y - b.y, dz = a.z - b.z;
      const d2 = dx * dx + dy * dy + dz * dz, mag = dt / (d2 * Math.sqrt(d2));
      a.vx -= dx * b.m * mag; a.vy -= dy * b.m * mag; a.vz -= dz * b.m * mag;
      b.vx += dx * a.m * mag; b.vy += dy * a.m * mag; b.vz += dz * a.m * mag;
    }
  }
  for (const b of bodies) { b.x += dt * b.vx; b.y += dt * b.vy; b.z += dt * b.vz; }
}
globalThis.work = () => { for (let i = 0; i < 400000; i++) advance(0.01); return bodies[0].x; };
""",
    "richards": """
class Task { constructor(id, next) { this.id = id; this.next = next; this.work = []; this.state = 0; }
  run(packet) { this.state = (this.state + (packet ? packet.n : 1)) & 1023; return this.state & 1 ? this.next : this; } }
class Device extends Task { run(packet) { if (packet) this.work.push(packet); const p = this.work.shift(); return super.run(p); } }
class Handler extends Task { run(packet) { if (packet) this.work.unshift(packet); return this.work.length > 3 ? super.run(this.work.pop()) : this.next; } }
let first = null;
for (let i = 0; i < 6; i++) first = new [Task, Device, Handler][i % 3](i, first);
globalThis.work = () => { let t = first, done = 0;
  for (let i = 0; i < 1500000; i++) { t = t.run(i & 3 ? null : {n: i & 255}) || first; done += t.id; } return done; };
""",
    "wasm": "const run = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(%s))).exports.run;\n"
            "globalThis.work = () => run(150000000);" % list(WASM),
}
# Never run, but there: what a hook is set on that is not to fire.
UNRELATED = "\nfunction unrelated() {\n  return 1;\n}\nglobalThis.unrelated = unrelated;\n"
EVENTS = """
function tick(i) { return i; }
function two(i) { let a = i; a++; return a; }
function boom() { throw 1; }
globalThis.calls = (n) => { for (let i = 0; i < n; i++) tick(i); };
globalThis.lines = (n) => { for (let i = 0; i < n; i++) two(i); };
globalThis.throws = (n) => { for (let i = 0; i < n; i++) try { boom(); } catch {} };
globalThis.stops = (n) => { for (let i = 0; i < n; i++) { debugger; } };
globalThis.promises = async (n) => { for (let i = 0; i < n; i++) await new Promise((f) => f(i)); };
globalThis.scripts = (n) => { for (let i = 0; i < n; i++) (0, eval)('1+' + i); };
globalThis.realms = (n) => { for (let i = 0; i < n; i++) createRealm(); };
globalThis.count = (n) => {
  let i = 0;
  while (i < n)
    i++;
  return i;
};
"""
NOBODY = "no_source_has_this_name"
SPENT = "budget 100/s, spent"
TABLES = ["ratios", "events", "conditions", "rates", "latency"]
LOOP_LINE = EVENTS[:EVENTS.index("    i++;")].count("\n") + 1
TIMEOUT_S = 300  # of one call; a slow machine is no failure


class Bench:
    def __init__(self, build):
        self.goals = []
        self.folder = tempfile.TemporaryDirectory()
        os.chmod(self.folder.name, 0o755)
        path = os.path.join(self.folder.name, "run", "control.sock")
        run = os.path.join(self.folder.name, "run")
        os.mkdir(run, 0o755)
        self.log = open(os.path.join(self.folder.name, "log"), "wb")
        self.daemon = subprocess.Popen([os.path.join(build, "stillpointd"), "--runtime-dir", run],
                                       stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                       env={**os.environ, "XDG_RUNTIME_DIR": run})
        module = api_client.messages(TOP, self.folder.name)
        end = time.monotonic() + 20
        while True:
            try:
                self.c = debugging.Debugging(module, path)
                break
            except OSError:
                if time.monotonic() > end or self.daemon.poll() is not None:
                    self.daemon.kill()
                    sys.exit("the daemon does not answer")
                time.sleep(0.05)
        self.c.sock.settimeout(TIMEOUT_S)
        self.api, self.number = module, 0

    def goal(self, text, value, most, unit=""):
        self.goals.append(f"  {text}: {value:.2f}{unit}, at most {most:g}{unit}: {'met' if value <= most else 'NOT MET'}")

    def close(self):
        self.c.close()
        self.daemon.terminate()
        self.daemon.wait()
        self.log.close()
        self.folder.cleanup()

    def vm(self, text, **options):
        self.number += 1
        return self.c.run(f"b{self.number}.js", text, wait_ready=True, name=f"b{self.number}", **options)

    def call(self, vm, function, *args):
        """CPU ns of the VM's thread."""
        start = thread_cpu_ns(vm.pid)
        self.c.request(call_function=self.api.CallFunction(vm=str(vm.id), function=function,
                                                           args_json=str(list(args))))
        took = thread_cpu_ns(vm.pid) - start
        if took <= 0:
            sys.exit(f"the kernel counts no CPU time for {function} of VM {vm.id}")
        return took

    def kill(self, vm):
        self.c.request(kill_vm=self.api.KillVm(vm=str(vm.id)))

    def hits(self, vm):
        """Of the hooks on a VM."""
        return sum(h.hits for h in self.c.hooks(vm=str(vm.id)).values())

    def pid(self, vm):
        """The VM with all that is known of it."""
        return self.c.request(get_vm=self.api.GetVm(vm=str(vm.id))).vm_reply.vm

    def quiet(self):
        """A filter that nothing passes."""
        return self.api.HookFilter(url=NOBODY)


def table_ratios(b, rounds):
    c = b.c

    def looked(vm, text):
        c.stop()
        c.frames(vm.id)
        c.evaluate(vm.id, "1")
        c.resume()

    def elsewhere(vm, text):
        line = text.count("\n") + 3  # of unrelated()'s body
        c.breakpoint(vm.id, vm.program, line, suspend="none")
        bound = list(c.hooks(vm=str(vm.id)).values())[0].bound
        if [at.function for at in bound] != ["unrelated"]:
            sys.exit(f"the breakpoint is elsewhere than elsewhere: {bound}")

    def budget(vm, text):
        c.add("enter-frame", vm.id, suspend="none", budget=b.api.HookBudget(per_second=100))

    def hook(kind, **more):
        return lambda vm, text: c.add(kind, vm.id, "cli:%d" % os.getuid(), filter=b.quiet(), **more)

    configs = {
        "nothing": lambda vm, text: None,
        "nothing, again": lambda vm, text: None,
        "looked at once": looked,
        **{k: hook(k) for k in ("new-global", "debugger-statement", "exception-unwind", "new-script",
                                "new-promise", "promise-settled")},
        "breakpoint elsewhere": elsewhere,
        SPENT: budget,
    }
    print(f"CPU time of a program with one auditor, to that of one without: {rounds} interleaved rounds, medians;\n"
          f"the last column is the geometric mean over the programs in JavaScript")
    print(f"{'auditor':<24}" + "".join(f"{p:>10}" for p in PROGRAMS) + f"{'JS':>10}")
    ratios = {name: {} for name in configs}
    for program, text in PROGRAMS.items():
        times = {name: [] for name in configs}
        for number in range(rounds):
            # How fast the engine makes a polymorphic program differs by a tenth from VM to VM, and stays so for a VM's
            # life: VMs of its own for each round, or that would be taken for the auditor's doing.
            vms = {name: b.pid(b.vm(text + UNRELATED)) for name in configs}
            order = list(configs) if number % 2 == 0 else list(configs)[::-1]
            for name in order:
                for _ in range(3):
                    b.call(vms[name], "work")
                configs[name](vms[name], text)
                b.call(vms[name], "work")
            for name in order:
                if name == SPENT:
                    b.call(vms[name], "work")  # the budget of this second
                times[name].append(b.call(vms[name], "work"))
            for name, vm in vms.items():
                # WebAssembly of a VM without --debug has no frames that could be entered: its caller's are.
                least, most = (1 if program == "wasm" else 100, math.inf) if name == SPENT else (0, 0)
                if not least <= b.hits(vm) <= most:
                    sys.exit(f"{program}, {name}: {b.hits(vm)} hits")
                b.kill(vm)
        for name in configs:
            ratios[name][program] = statistics.median(x / y for x, y in zip(times[name], times["nothing"]))
    for name in list(configs)[1:]:
        js = [math.log(ratios[name][p]) for p in PROGRAMS if p != "wasm"]
        print(f"{name:<24}" + "".join(f"{ratios[name][p]:>10.3f}" for p in PROGRAMS)
              + f"{math.exp(sum(js) / len(js)):>10.3f}")
        most = {"looked at once": 1.03, SPENT: 1.10}.get(name, 1.05)
        if name != "nothing, again":
            b.goal(f"{name}, JavaScript", math.exp(sum(js) / len(js)), most)
            b.goal(f"{name}, WebAssembly", ratios[name]["wasm"], most)


def table_events(b, rounds):
    c = b.c
    rows = [("enter-frame", "calls", 20000), ("pop", "calls", 10000), ("step", "lines", 3000),
            ("breakpoint", "count", 20000), ("exception-unwind", "throws", 10000),
            ("debugger-statement", "stops", 20000), ("new-promise", "promises", 10000),
            ("promise-settled", "promises", 10000), ("new-script", "scripts", 2000), ("new-global", "realms", 20)]
    print("\nWhat one event costs the VM, ns: reported to nobody (a filter), reported, with a stack of 5 and, of a frame's, arguments")
    print(f"{'auditor':<24}{'events':>10}{'none':>10}{'filtered':>10}{'reported':>10}{'captured':>10}")
    for kind, function, n in rows:
        results = []
        for mode in ("none", "filtered", "reported", "captured"):
            vm = b.pid(b.vm(EVENTS))
            b.call(vm, function, max(n // 10, 1))
            if mode != "none":
                more = {"filter": b.quiet()} if mode == "filtered" else {}
                if mode == "captured":
                    in_frame = kind not in ("promise-settled", "new-promise", "new-script", "new-global")
                    more["capture"] = b.api.HookCapture(stack_depth=5, arguments=in_frame)
                if kind == "breakpoint":
                    more["at"] = (vm.program, LOOP_LINE)
                c.add(kind, vm.id, suspend="none", budget=b.api.HookBudget(per_second=0), **more)
            before = b.hits(vm)
            ns = statistics.median(b.call(vm, function, n) for _ in range(rounds))
            seen = (b.hits(vm) - before) / rounds
            if mode in ("none", "filtered") and seen:
                sys.exit(f"{kind}: {seen} hits that nobody should have seen")
            if mode in ("reported", "captured") and seen < n:
                sys.exit(f"{kind}: {seen} hits for {n} events")
            results.append((ns, seen))
            b.kill(vm)
        events = results[2][1]
        print(f"{kind:<24}{events:>10.0f}" + "".join(f"{ns / events:>10.0f}" for ns, seen in results))


def native(build, n):
    out = subprocess.run([os.path.join(build, "bench", "native_breakpoint"), str(n)], check=True,
                         capture_output=True, text=True).stdout
    return {name: float(value) for name, value in map(str.split, out.splitlines())}


def table_conditions(b, build, rounds):
    c, n = b.c, -(-1000000 // rounds)
    print(f"\nA breakpoint in a loop, {rounds} x {n} times, CPU ns each, medians: the engine's own with a native handler, "
          f"and ours")
    own = {"empty": [], "eval": []}
    ours = {"i === -1": [], "n === -1": [], "(i === -1)": []}
    vms = {}
    for condition in ours:
        vms[condition] = b.pid(b.vm(EVENTS))
        c.breakpoint(vms[condition].id, vms[condition].program, LOOP_LINE, suspend="world",
                     filter=b.api.HookFilter(condition=condition))
        b.call(vms[condition], "count", n // 10)
    for _ in range(rounds):
        for name, value in native(build, n).items():
            own[name].append(value)
        for condition, vm in vms.items():
            ours[condition].append(b.call(vm, "count", n) / n)
    seen = sum(b.hits(vm) for vm in vms.values())
    m = {k: statistics.median(v) for k, v in {**own, **ours}.items()}
    if min(m[k] for k in ours) < m["empty"] / 2:
        sys.exit("the breakpoints were not reached")
    against_eval = statistics.median(x / y for x, y in zip(ours["(i === -1)"], own["eval"]))
    print(f"  native handler, empty             {m['empty']:>10.0f}")
    print(f"  native handler and frame.eval     {m['eval']:>10.0f}")
    print(f"  ours, evaluated: (i === -1)       {m['(i === -1)']:>10.0f}   {against_eval:.2f} of the former")
    for name, what in (("i === -1", "a local"), ("n === -1", "a parameter")):
        ratio = statistics.median(x / y for x, y in zip(ours[name], own["empty"]))
        print(f"  ours, {what + ': ' + name:<27} {m[name]:>10.0f}   {ratio:.2f} of the empty handler")
        b.goal(f"a comparison, {what}", m[name] / 1000, 2, " us")
    print(f"  messages and stops                {seen:>10}")
    b.goal("a condition that is evaluated, to the engine's own", against_eval, 1.2)
    b.goal("hits and stops by conditions that are false", seen, 0)
    for vm in vms.values():
        b.kill(vm)


def table_rates(b):
    c = b.c
    vm = b.pid(b.vm(EVENTS))
    c.open("rates")
    n = 200000
    c.add("enter-frame", vm.id, "rates", budget=b.api.HookBudget(per_second=0), filter=b.api.HookFilter(function="tick"))
    start = time.monotonic()
    number = c.send(call_function=b.api.CallFunction(vm=str(vm.id), function="calls", args_json=f"[{n}]"))
    seen, lost, at = 0, 0, 0
    while seen + lost < n:
        page = c.page("rates", at, wait=True)
        if page.ended:
            sys.exit(f"the debugger is gone with {seen + lost} hits of {n}")
        for h in page.hits:
            if h.dropped:
                lost += h.dropped
            else:
                seen += 1
        at = page.next_seq
    took = time.monotonic() - start
    c.wait(number)
    print(f"\n{n} hits from a worker to a client that reads them all: {n / took:,.0f} a second; it got {seen}, and the ring "
          f"lost {lost}")
    b.kill(vm)
    c.request(close_debugger=b.api.CloseDebugger(debugger="rates"))


def table_latency(b, rounds):
    c = b.c
    times = {"first attach": [], "stop to frames": [], "frames": []}
    for _ in range(rounds):
        vm = c.run("spin.js", "function spin() { let i = 0; for (;;) i++; }\nspin();")
        time.sleep(0.1)
        for turn in range(3):
            start = time.monotonic()
            c.stop()
            stopped = time.monotonic()
            frames = c.frames(vm.id)
            scopes = c.scopes(vm.id)
            c.children(vm.id, scopes[0].ref)
            end = time.monotonic()
            if not frames or frames[0].function != "spin":
                sys.exit(f"a busy VM stands in {frames}")
            times["first attach" if turn == 0 else "frames"].append(end - stopped)
            times["stop to frames"].append(end - start)
            c.resume()
        b.kill(vm)
    print("\nA busy VM, over the socket, us: frames, scopes and locals, the first time and later; with the stop")
    for name, values in times.items():
        values.sort()
        print(f"  {name:<20}p50 {values[len(values) // 2] * 1e6:>8.0f}   max {values[-1] * 1e6:>8.0f}")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default=os.path.join(TOP, "build"))
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--only", default=",".join(TABLES))
    options = p.parse_args()
    only = options.only.split(",")
    if options.rounds < 1 or not set(only) <= set(TABLES):
        p.error("--rounds is from 1 on, and --only of " + ",".join(TABLES))
    b = Bench(options.build)
    try:
        if "ratios" in only:
            table_ratios(b, options.rounds)
        if "events" in only:
            table_events(b, max(1, options.rounds // 3))
        if "conditions" in only:
            table_conditions(b, options.build, max(3, options.rounds // 3))
        if "rates" in only:
            table_rates(b)
        if "latency" in only:
            table_latency(b, options.rounds)
        if b.goals:
            print("\ngoals\n" + "\n".join(b.goals))
    finally:
        b.close()


if __name__ == "__main__":
    main()
