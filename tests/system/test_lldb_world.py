"""Worlds of WebAssembly VMs under stock LLDB: each VM a thread, one that stops stops all, LLDBs that come and go."""

import os
import random
import signal

from harness import HANG, check, equal, wait_until
from lldb_client import Gateway, Lldb, compiled
from lldb_client import runs as computes
from storm import FULL

# What each of them counts is on its own stack, which an address with its instance is for.
LOOP = """
__attribute__((noinline)) static void NAME(unsigned *counter)
{
    *counter += 1; /* count */
}

__attribute__((export_name("spin"))) void spin(void)
{
    unsigned counter = 0;
    for (;;)
        NAME(&counter);
}

__attribute__((export_name("add"))) int add(int a, int b)
{
    return a + b; /* add */
}
"""
APP = """const bytes = new Uint8Array(%s);
const {spin, add} = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
globalThis.spin = () => spin();
globalThis.add = (a, b) => add(a, b);
globalThis.block = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
globalThis.onmessage = () => {};
"""
ALPHAS, BETAS = [f"alpha-{i}" for i in range(5)], [f"beta-{i}" for i in range(2)]


def app(t, name):
    path = compiled(t, name, LOOP.replace("NAME", f"{name}_count"), wasi=False)
    with open(path, "rb") as f:
        return APP % list(f.read())


def spawn(t, name, text, busy=True):
    t.spawn(name, text, options=["--debug"])
    if busy:
        t.start("call", name, "spin")
        t.wait_for(name, "active")


def seven(t):
    alpha, beta = app(t, "alpha"), app(t, "beta")
    for name in ALPHAS:
        spawn(t, name, alpha)
    for name in BETAS:
        spawn(t, name, beta)
    return {vm["id"]: vm["name"] for vm in t.list()}


def counters(lldb):
    return {tid: n for tid, n in lldb.values("spin", "counter") if n is not None}


def runs(t, name):
    computes(t.vm(name)["pid"], name)


def let_go(t):
    """The world runs, and nothing of an LLDB is left in it."""
    wait_until(lambda: t.json("world", "status", "default")["mode"] == "run-all", "the world goes on")
    wait_until(lambda: not [d for d in t.json("debugger", "list") if d["name"].startswith("lldb")],
               "the debugger of LLDB is gone")


def test_an_interrupt_stops_all_seven_and_a_step_moves_one_while_six_hold(t):
    names = seven(t)
    lldb = Lldb(t, Gateway(t))
    threads = lldb.threads()
    equal({th["id"]: th["name"] for th in threads}, names)
    first = counters(lldb)
    equal(sorted(first), sorted(names))
    lldb.resume()
    for name in ALPHAS + BETAS:
        runs(t, name)
    lldb.interrupt()
    equal(lldb.wait(), "stopped")
    second = counters(lldb)
    for tid in names:
        check(second[tid] != first[tid], f"{names[tid]} has counted from {first[tid]}")
    for tid in (min(names), max(names)):
        before = counters(lldb)
        check(lldb.select(tid), f"thread {tid} can be selected")
        equal(lldb.selected()["id"], tid)
        pcs = {th["id"]: th["frames"][0]["pc"] for th in lldb.threads()}
        for _ in range(40):
            lldb.step("instruction", tid, True)
        after, pcs_after = counters(lldb), {th["id"]: th["frames"][0]["pc"] for th in lldb.threads()}
        check(after[tid] > before[tid], f"{names[tid]} has counted on from {before[tid]}")
        for other in names:
            if other != tid:
                equal((after[other], pcs_after[other]), (before[other], pcs[other]), names[other])


def test_a_breakpoint_in_one_module_stops_the_world_and_selects_the_vm_that_hit_it(t):
    names = seven(t)
    lldb = Lldb(t, Gateway(t))
    b = lldb.break_function("beta_count")
    equal(b["resolved"], len(BETAS))
    for _ in range(10):
        equal(lldb.go(), "stopped")
        hit = lldb.selected()
        equal((hit["reason"], hit["frames"][0]["function"]), ("breakpoint", "beta_count"))
        check(names[hit["id"]] in BETAS, names[hit["id"]])
        for th in lldb.threads(0):
            check(th["reason"] == "none" or names[th["id"]] in BETAS, th)
    equal(lldb.hit_count(b["id"]) >= 10, True)


def hits_are_all_seen(t, each):
    """Each VM's counter has gone on as often as a hit of it was reported, and each has been hit so often at least."""
    names = seven(t)
    lldb = Lldb(t, Gateway(t))
    for name in ("alpha", "beta"):
        equal(lldb.break_function(f"{name}_count")["resolved"], len(ALPHAS if name == "alpha" else BETAS))
    equal(lldb.go(), "stopped")
    before = counters(lldb)
    hits = dict.fromkeys(names, 0)
    # In what order they come by is chance.
    for _ in range(40):
        for stop in lldb.go_times(each * len(names) // 4 + 1, limit=20 * HANG):
            check(stop, "a stop has a thread that was the reason")
            for tid, reason in stop:
                equal(reason, "breakpoint")
                hits[tid] += 1
        if min(hits.values()) >= each:
            break
    after = counters(lldb)
    for tid, name in names.items():
        check(abs(after[tid] - before[tid] - hits[tid]) <= 1,
              f"{name} counted from {before[tid]} to {after[tid]}, and {hits[tid]} hits were seen")
        check(hits[tid] >= each, f"{name} was hit less than {each} times: {hits}")
    if FULL:
        print("# continues:", {name: (hits[tid], after[tid] - before[tid]) for tid, name in names.items()})


def test_no_hit_is_missed_of_breakpoints_that_all_seven_run_into(t):
    hits_are_all_seen(t, 1000 if FULL else 5)


def test_a_thousand_interrupts_each_stop_the_world_once(t):
    seven(t)
    lldb = Lldb(t, Gateway(t))
    reasons = lldb.interrupt_times(1000 if FULL else 60, limit=20 * HANG)
    equal(len(reasons), 7)
    equal(reasons.count("signal"), 1, reasons)
    lldb.detach()
    let_go(t)
    runs(t, ALPHAS[0])


def test_an_lldb_attaches_to_vms_that_are_idle_busy_and_blocked(t):
    alpha = app(t, "alpha")
    spawn(t, "idle", alpha, busy=False)
    spawn(t, "busy", alpha)
    spawn(t, "blocked", alpha, busy=False)
    blocked = t.start("call", "blocked", "block")
    wait_until(lambda: t.vm("blocked")["state"] == "blocked", "it waits")
    lldb = Lldb(t, Gateway(t))
    threads = {th["name"]: th for th in lldb.threads(5)}
    equal(sorted(threads), ["blocked", "busy", "idle"])
    check("spin" in [f["function"] for f in threads["busy"]["frames"]], threads["busy"])
    b = lldb.break_function("add")
    equal(b["resolved"], 3)
    call = t.start("call", "idle", "add", "3", "4")
    equal(lldb.go(), "stopped")
    hit = lldb.selected()
    equal((hit["name"], hit["frames"][0]["function"]), ("idle", "add"))
    equal((lldb.value("a"), lldb.value("b")), ("3", "4"))
    lldb.detach()
    equal(call.wait(HANG), 0)
    equal(call.stdout.read(), "7\n")
    let_go(t)
    equal(blocked.poll(), None)


def test_an_lldb_attaches_while_vms_are_born_and_sees_those_that_come_and_go(t):
    alpha = app(t, "alpha")
    spawn(t, "first", alpha)
    path = t.file("later.js", alpha)
    born = [t.start("run", "-d", "--debug", "--name", f"later-{i}", path) for i in range(6)]
    lldb = Lldb(t, Gateway(t))
    lldb.resume()
    for p in born:
        equal(p.wait(HANG), 0)
    wait_until(lambda: len(t.list()) == 7, "all are there")
    for i in range(6):
        t.wait_for(f"later-{i}", "idle")
    lldb.interrupt()
    equal(lldb.wait(), "stopped")
    equal(sorted(th["name"] for th in lldb.threads()), ["first"] + [f"later-{i}" for i in range(6)])
    equal(lldb.break_function("add")["resolved"], 7)
    os.kill(t.vm("later-3")["pid"], signal.SIGKILL)
    lldb.resume()
    t.wait_for("later-3", "exited")
    lldb.interrupt()
    equal(lldb.wait(), "stopped")
    equal(sorted(th["name"] for th in lldb.threads()),
          ["first"] + [f"later-{i}" for i in range(6) if i != 3])
    lldb.detach()
    let_go(t)


def test_a_pending_breakpoint_stops_a_vm_that_is_born_before_its_first_instruction_there(t):
    alpha = app(t, "alpha")
    spawn(t, "first", alpha)
    lldb = Lldb(t, Gateway(t))
    lldb.break_function("add")
    lldb.begin("go")
    spawn(t, "second", alpha, busy=False)
    call = t.start("call", "second", "add", "20", "22")
    equal(lldb.end(), "stopped")
    hit = lldb.selected()
    equal((hit["name"], hit["frames"][0]["function"]), ("second", "add"))
    lldb.detach()
    equal(call.wait(HANG), 0)


def test_two_lldbs_have_a_world_each(t):
    alpha = app(t, "alpha")
    for world in ("one", "two"):
        t.spawn(f"in-{world}", alpha, options=["--debug", "--world", world])
    lldbs = [Lldb(t, Gateway(t, what=("--world", world))) for world in ("one", "two")]
    for lldb, world in zip(lldbs, ("one", "two")):
        equal([th["name"] for th in lldb.threads()], [f"in-{world}"])
        equal(t.json("world", "status", world)["mode"], "stopped")
    lldbs[0].detach()
    wait_until(lambda: t.json("world", "status", "one")["mode"] == "run-all", "it goes on")
    equal(t.json("world", "status", "two")["mode"], "stopped")
    lldbs[1].detach()


def test_an_lldb_detaches_and_the_next_attaches_again_and_again(t):
    spawn(t, "first", app(t, "alpha"))
    gateway = Gateway(t)
    lldb = Lldb(t)
    for _ in range(1000 if FULL else 15):
        equal(lldb.connect(gateway.url), "stopped")
        equal(lldb.detach(), "detached")
    let_go(t)
    runs(t, "first")


def test_an_lldb_that_is_killed_at_any_moment_leaves_a_world_that_runs(t):
    spawn(t, "first", app(t, "alpha"))
    spawn(t, "second", app(t, "alpha"))
    gateway = Gateway(t)
    chance = random.Random(int(os.environ.get("STILLPOINT_SEED", "7")))
    for i in range(100 if FULL else 8):
        lldb = Lldb(t)
        what = chance.randrange(5)
        if what == 0:
            lldb.command("version")  # it is there
            lldb.begin("connect", gateway.url)
        else:
            lldb.connect(gateway.url)
            if what >= 2:
                lldb.break_function("alpha_count")
            if what == 3:
                lldb.go()
            if what == 4:
                lldb.begin("go_times", 1000)
        lldb.die()
        let_go(t)
        for name in ("first", "second"):
            runs(t, name)
            equal(t.json("break", "list", name), [], f"round {i}, {what}")


MIXED = """
__attribute__((import_module("env"), import_name("back"))) int back(int);

__attribute__((export_name("leaf"))) int leaf(int n)
{
    return n + 1; /* leaf */
}

__attribute__((export_name("outer"))) int outer(int n)
{
    int doubled = n * 2;
    return back(doubled); /* back */
}
"""
MIXED_APP = """const bytes = new Uint8Array(%s);
const {leaf, outer} = new WebAssembly.Instance(new WebAssembly.Module(bytes), {env: {back}}).exports;
function back(n) { return leaf(n + 100); }
globalThis.work = (n) => outer(n);
globalThis.onmessage = () => {};
"""


def test_javascript_between_webassembly_has_its_frames_and_no_code(t):
    with open(compiled(t, "mixed", MIXED, wasi=False), "rb") as f:
        spawn(t, "app", MIXED_APP % list(f.read()), busy=False)
    lldb = Lldb(t, Gateway(t))
    lldb.break_function("leaf")
    call = t.start("call", "app", "work", "5")
    equal(lldb.go(), "stopped")
    stack = lldb.backtrace()
    equal([f["function"] for f in stack if not f["artificial"]], ["leaf", "outer"])
    equal([f["artificial"] for f in stack[:4]], [False, True, False, True])
    check(all(f["pc"] >> 62 == 3 for f in stack if f["artificial"]), stack)
    equal((lldb.value("n"), lldb.value("doubled", 2)), ("110", "10"))
    lldb.detach()
    equal(call.wait(HANG), 0)
    equal(call.stdout.read(), "111\n")


def test_a_kill_ends_the_vms_of_the_world_and_no_others(t):
    alpha = app(t, "alpha")
    spawn(t, "first", alpha)
    spawn(t, "second", alpha, busy=False)
    t.spawn("script", "globalThis.onmessage = () => {};")
    lldb = Lldb(t, Gateway(t))
    equal(lldb.kill(), "exited")
    for name in ("first", "second"):
        t.wait_for(name, "exited")
    let_go(t)
    equal([vm["name"] for vm in t.list()], ["script"])
