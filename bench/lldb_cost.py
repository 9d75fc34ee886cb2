#!/usr/bin/env python3
"""What LLDB costs: programs in WebAssembly with and without it, in the same run; and steps, stops and changes a second.

    lldb_cost.py [--build DIR] [--rounds N] [--only TABLE,…]

Tables: ratios, rates. Starts a daemon of its own, and stock LLDBs; needs lldb-22 with its Python module, and clang-22
with lld-22. CPU times are those of the main threads, as the kernel counts them. See README.md.
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(TOP, "tests", "support"))

import debugging  # noqa: E402
import harness  # noqa: E402
import storm  # noqa: E402
from harness import thread_cpu_ns, wait_until  # noqa: E402
from lldb_client import Gateway, Lldb, compiled, number  # noqa: E402
from rsp import Client, packet  # noqa: E402

LONG = 300  # s; of one answer: a slow machine is no failure
PROGRAMS = r"""
#define EXPORT(name) __attribute__((export_name(name)))

EXPORT("unrelated") int unrelated(void)
{
    return 1;
}

EXPORT("loop") unsigned loop(void)
{
    unsigned x = 1;
    for (unsigned i = 0; i < 60000000; i++)
        x = x * 31 + (i ^ x >> 3);
    return x;
}

__attribute__((noinline)) static unsigned fibonacci(unsigned n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

EXPORT("calls") unsigned calls(void)
{
    return fibonacci(32);
}

static unsigned char composite[1 << 20];

EXPORT("sieve") unsigned sieve(void)
{
    unsigned found = 0;
    for (int round = 0; round < 12; round++) {
        for (unsigned i = 0; i < sizeof composite; i++)
            composite[i] = 0;
        for (unsigned i = 2; i < sizeof composite; i++) {
            if (composite[i])
                continue;
            found++;
            for (unsigned k = 2 * i; k < sizeof composite; k += i)
                composite[k] = 1;
        }
    }
    return found;
}

EXPORT("floats") unsigned floats(void)
{
    double x = 0.5, y = 0.25, sum = 0;
    for (unsigned i = 0; i < 12000000; i++) {
        x = x * y + 0.3 / (1 + x);
        y = y * 0.999 + x * 0.001;
        sum += __builtin_sqrt(x + y);
    }
    return (unsigned)sum;
}
"""
NAMES = ("loop", "calls", "sieve", "floats")
APP = """const bytes = %s;
const e = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
const results = {};
globalThis.work = (name) => {
  const found = e[name]() >>> 0;
  if ((results[name] ??= found) !== found) throw new Error(name);
  return found;
};
"""
SHELL = "const bytes = new Uint8Array(os.file.readFile(scriptArgs[0], 'binary'));" + \
    APP[APP.index("\n"):] + "for (let line; (line = readline());) print(work(line));\n"

# Steps and stops: as a debugger has it.
STEPPED = r"""
volatile unsigned sink;

__attribute__((noinline)) static void count(unsigned n)
{
    sink = n;
}

__attribute__((export_name("spin"))) void spin(void)
{
    for (unsigned i = 0;; i++)
        count(i);
}
"""
STEPPED_APP = """const {spin} = new WebAssembly.Instance(new WebAssembly.Module(%s)).exports;
globalThis.spin = () => spin();
"""


def literal(path):
    with open(path, "rb") as f:
        return f"new Uint8Array({list(f.read())})"


class Shell:
    """The engine's own shell, which runs the same module."""

    def __init__(self, t, path):
        self.process = subprocess.Popen(["js102", t.file("shell.js", SHELL), path], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        t.running.append(self.process)

    def work(self, name):
        start = thread_cpu_ns(self.process.pid)
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        if not self.process.stdout.readline().strip().isdigit():
            sys.exit(f"js102 does not run {name}")
        return thread_cpu_ns(self.process.pid) - start


class Vm:
    def __init__(self, c, text, name, world, debug):
        c.run(f"{name}.js", text, wait_ready=True, name=name, world=world, debug=debug)
        self.c, self.name = c, name
        self.seen = c.request(get_vm=c.api.GetVm(vm=name)).vm_reply.vm

    def call(self, function, *args):
        return self.c.send(call_function=self.c.api.CallFunction(vm=self.name, function=function,
                                                                 args_json=str(list(args)).replace("'", '"')))

    def work(self, name):
        start = thread_cpu_ns(self.seen.pid)
        self.c.wait(self.call("work", name))
        return thread_cpu_ns(self.seen.pid) - start


def attached(t, world, name=None):
    """An LLDB that has let this world go on, with a breakpoint where nothing comes by."""
    lldb = Lldb(t, Gateway(t, what=("--world", world)))
    if name and lldb.break_function(name)["resolved"] < 1:
        sys.exit(f"there is no {name}")
    lldb.resume()
    return lldb


def table_ratios(t, c, rounds, goals):
    path = compiled(t, "programs", PROGRAMS, "-O2", wasi=False)
    text = APP % literal(path)
    rows = {
        "js102": Shell(t, path),
        "VM": Vm(c, text, "plain", "plain", False),
        "VM, again": Vm(c, text, "again", "plain", False),
        "VM, LLDB beside it": Vm(c, text, "beside", "watched", False),
        "--debug": Vm(c, text, "debug", "plain", True),
        "--debug, LLDB": Vm(c, text, "unarmed", "watched", True),
        "--debug, LLDB, breakpoint elsewhere": Vm(c, text, "armed", "armed", True),
        "--debug, LLDB, breakpoint deleted": Vm(c, text, "disarmed", "disarmed", True),
    }
    lldbs = [attached(t, "watched"), attached(t, "armed", "unrelated"), attached(t, "disarmed", "unrelated")]
    rows["--debug, LLDB, breakpoint deleted"].work("loop")
    lldbs[-1].interrupt()
    lldbs[-1].wait()
    lldbs[-1].break_remove(1)
    lldbs[-1].resume()
    times = {row: {name: [] for name in NAMES} for row in rows}
    for name in NAMES:
        for runner in rows.values():
            for _ in range(2):
                runner.work(name)
        for turn in range(rounds):
            order = list(rows)
            for row in order if turn % 2 == 0 else reversed(order):
                times[row][name].append(rows[row].work(name))
    for lldb in lldbs:
        lldb.interrupt()
        if lldb.wait() != "stopped":
            sys.exit("an LLDB was not there any more")
        lldb.detach()
    print(f"CPU time of WebAssembly, to that of a VM that nobody looks at: {rounds} interleaved rounds, medians, and their "
          f"geometric mean")
    print(f"{'':<37}" + "".join(f"{n:>9}" for n in NAMES) + f"{'mean':>9}")
    print(f"{'VM, ms':<37}" + "".join(f"{statistics.median(times['VM'][n]) / 1e6:>9.0f}" for n in NAMES))
    means = {}
    for row in rows:
        ratios = [statistics.median(x / y for x, y in zip(times[row][n], times["VM"][n])) for n in NAMES]
        means[row] = math.exp(statistics.mean(map(math.log, ratios)))
        if row != "VM":
            print(f"{row:<37}" + "".join(f"{r:>9.3f}" for r in ratios) + f"{means[row]:>9.3f}")
    goals.append(("without --debug, to js102", 1 / means["js102"], 1.02))
    goals.append(("without --debug, LLDB beside it", means["VM, LLDB beside it"], 1.02))


def a_second(what, n, work):
    start = time.monotonic()
    work()
    took = time.monotonic() - start
    print(f"  {what:<58}{n / took:>9.0f}")


def table_rates(t, c, rounds, _):
    path = compiled(t, "stepped", STEPPED, "-O0", wasi=False)
    n = 100 * rounds
    vm = Vm(c, STEPPED_APP % literal(path), "stepped", "stepped", True)
    call = vm.call("spin")
    wait_until(lambda: c.request(get_vm=c.api.GetVm(vm="stepped")).vm_reply.vm.state == c.api.VM_STATE_ACTIVE, "it runs")
    print("\nA second, of one VM of WebAssembly that is alone in its world")

    gateway = Gateway(t, what=("--world", "stepped"))
    lldb = Lldb(t, gateway)
    a_second("steps of an instruction, LLDB", n, lambda: lldb.steps(n, limit=LONG))
    b = lldb.break_function("count")
    a_second("stops at a breakpoint, LLDB", n, lambda: lldb.go_times(n, limit=LONG))
    lldb.break_remove(b["id"])
    b = lldb.break_function("count")
    lldb.go()
    first = int(lldb.value("n"))
    lldb.break_remove(b["id"])
    lldb.break_function("count", f"n == {first + n}")
    a_second("stops that a condition of LLDB's turns away", n, lambda: lldb.go_times(1, limit=LONG))
    sink = number(lldb.command("expression -f hex -- (unsigned)&sink").split("=")[1].strip())
    lldb.detach()

    client = Client(t, gateway)
    client.socket.settimeout(LONG)
    client.ask("?")
    tid = client.ask("qfThreadInfo")[1:]

    def packets(text):
        for _ in range(n):
            client.send(packet(text))
            if client.reply()[0] != "T":
                sys.exit(f"{text} did not step")

    a_second("steps by packets (vCont;s), without LLDB", n, lambda: packets(f"vCont;s:{tid}"))
    changes(client, tid, sink, n)
    client.ask("D")
    client.close()

    def steps(count, times):
        for _ in range(times):
            if c.step("stepped", "in", granularity=c.api.GRANULARITY_OPERATION, count=count).reason != "step":
                sys.exit("a step has not ended as one")

    wait_until(lambda: c.mode("stepped") == "run-all", "what LLDB left is gone")
    c.stop("stepped")
    a_second("steps by the API, a request each", n, lambda: steps(1, n))
    a_second("steps by the API, a request for a thousand", 10 * n, lambda: steps(1000, n // 100))
    c.request(kill_vm=c.api.KillVm(vm="stepped"))
    try:
        c.wait(call)
    except debugging.api_client.ApiError:
        pass  # it was ended in the middle of it


def changes(client, tid, address, n):
    """Of a word that each turn of the loop writes; how many instructions a turn has, steps tell."""
    def until_changed(text):
        steps = 1
        while "watchpoint" not in client.ask(text):
            steps += 1
        return steps

    if client.ask(f"Z2,{address:x},4") != "OK":
        sys.exit("it cannot be watched")
    until_changed("c")
    turn = until_changed(f"vCont;s:{tid}")
    turns = n // turn

    def watched():
        for _ in range(turns):
            if until_changed("c") != 1:
                sys.exit("something else has stopped it")

    a_second(f"instructions while a word is watched ({turn} to a change)", turns * turn, watched)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default=os.path.join(TOP, "build"))
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--only", default="ratios,rates")
    options = p.parse_args()
    harness.become_subreaper()
    t = harness.Test(os.path.abspath(options.build), TOP)
    goals = []
    try:
        t.start_daemon()
        c = storm.connect(t, debugging.Debugging)
        c.sock.settimeout(LONG)
        for name in options.only.split(","):
            globals()[f"table_{name}"](t, c, options.rounds, goals)
    except harness.Skip as e:
        sys.exit(f"lldb_cost.py: {e}")
    finally:
        t.finish()
    for what, value, most in goals:
        print(f"goal: {what}: {value:.3f}, at most {most:g}: {'met' if value <= most else 'NOT MET'}")


if __name__ == "__main__":
    main()
