"""Auditors: the rules A1 to A15 of docs/AUDITORS.md, each by its name, on the real engine and from outside."""

import glob
import os
import re
import signal
import time

from api import ApiError
from debugging import debugging, is_killed
from harness import check, equal, thread_cpu_ns, wait_until
from storm import Still

# Calls work(n) on each message {n}; f calls g.
CALLS = """
function g(x) { return x * 2; }
function f(x) { const y = g(x); return y + 1; }
function boom(x) { throw new Error('boom ' + x); }
function stops(x) { debugger; return x; }
function safe(x) { try { boom(x); } catch (e) { return 'caught'; } finally { x++; } }
globalThis.onmessage = (e) => { const fn = globalThis[e.data.call]; fn(e.data.n); console.log('done ' + e.data.n); };
"""
HOT = "globalThis.n = 0; function tick() { globalThis.n++; } for (;;) tick();"


def say(t, vm, call, n=1, times=1):
    """Has the VM call a function, and waits until it has."""
    for i in range(times):
        t.ctl("send", vm, f'{{"call": "{call}", "n": {n + i}}}')
    wait_until(lambda: f"done {n + times - 1}\n" in t.logs(vm), f"{vm} has called {call}")


def names(c):
    return sorted(c.debuggers())


def short(c, debugger):
    return [c.short(h) for h in c.kept(debugger)]


def test_a1_the_engine_names_no_debugger_and_the_worker_no_client(t):
    words = {"worker/engines/*.cc": r"\b(client|hook_id|struct hook|uid)\b",
             "worker/*.c": r"\bclient(_id|s)?\b"}
    for pattern, word in words.items():
        files = glob.glob(os.path.join(t.source, pattern))
        if not files and not os.path.exists(os.path.join(t.source, "configure.ac")):
            t.skip("the sources are not here: only the tests were copied")
        check(files, f"no files for {pattern}")
        for path in files:
            with open(path, encoding="utf-8") as f:
                code = re.sub(r"/\*.*?\*/|//[^\n]*|\"[^\"\n]*\"", "", f.read(), flags=re.S)
            found = re.search(word, code)
            check(not found, f"{path} says {found and found.group(0)}")


def test_a2_one_auditor_serves_all_who_are_interested(t):
    t.spawn("app", CALLS)
    c = debugging(t)
    equal(c.auditors(), [])
    c.open("one"), c.open("two")
    first = c.add("enter-frame", "app", "one")
    second = c.add("enter-frame", "app", "two")
    equal(c.auditors("app"), [("realm", 1, "enter-frame", ["one", "two"])])
    say(t, "app", "f")
    equal(short(c, "one"), short(c, "two"))
    c.remove(*first)
    equal(c.auditors("app"), [("realm", 1, "enter-frame", ["two"])])
    before = len(c.kept("two"))
    say(t, "app", "f", 2)
    check(len(c.kept("two")) > before, "the one that is left still sees")
    c.remove(*second)
    equal(c.auditors(), [])
    c.close()


def test_a2_full_speed_returns_with_the_last_hook(t):
    t.spawn("app", "globalThis.fib = (n) => n < 2 ? n : fib(n - 1) + fib(n - 2); globalThis.work = () => fib(20);")
    pid = t.vm("app")["pid"]

    def cost():
        """CPU time of one call, the best of a few: what the machine's load cannot add to."""
        def once():
            start = thread_cpu_ns(pid)
            t.ctl("call", "app", "work")
            return thread_cpu_ns(pid) - start
        return min(once() for _ in range(4))

    c = debugging(t)
    free = cost()
    c.open("one"), c.open("two")
    nobody = c.api.HookFilter(function="nobody")
    first, second = c.add("enter-frame", "app", "one", filter=nobody), c.add("enter-frame", "app", "two", filter=nobody)
    watched = cost()
    c.remove(*first)
    still = cost()
    c.remove(*second)
    after = cost()
    check(watched > 5 * free, f"an auditor of frames costs: {free} {watched}")
    check(still > 5 * free, f"so does one that is left: {free} {still}")
    check(after < 2 * free, f"and none costs nothing: {free} {after}")
    c.close()


def test_a2_what_was_compiled_for_an_auditor_is_forgotten_with_the_last_hook(t):
    # A collection forgets it, and what a weak reference held tells of one.
    t.spawn("app", "globalThis.keep = () => { globalThis.weak = new WeakRef({}); };\n"
                   "globalThis.collected = () => weak.deref() === undefined;")

    c = debugging(t)
    nobody = c.api.HookFilter(function="nobody")

    def collected_with(*hooks):
        t.ctl("call", "app", "keep")
        c.remove(*hooks)
        return t.ctl("call", "app", "collected").out.strip()

    equal(collected_with(*c.add("debugger-statement", "app", filter=nobody)), "false")
    equal(collected_with(*c.add("enter-frame", "app", filter=nobody)), "true")
    # However often auditors come and go, that takes a small part of the time: the next may have to wait.
    collected_with(c.breakpoint("app", "app.js", 2, filter=nobody))
    wait_until(lambda: t.ctl("call", "app", "collected").out.strip() == "true", "the next")
    c.close()


def test_a3_hooks_are_told_in_order_and_filtered_where_they_are(t):
    t.spawn("app", CALLS)
    c = debugging(t)
    for name in ("late", "early"):
        c.open(name)
    c.add("enter-frame", "app", "early", filter=c.api.HookFilter(function="[fg]"))
    c.add("enter-frame", "app", "late", filter=c.api.HookFilter(function="g", condition="x > 2", skip=1, count=2))
    say(t, "app", "f", 1, times=6)
    equal(short(c, "early"), ["enter-frame f:3", "enter-frame g:2"] * 6)
    late = c.kept("late")
    equal([c.short(h) for h in late], ["enter-frame g:2"] * 2)
    # x > 2 from the third call on; the first of those is skipped.
    equal([h.vm_seq for h in c.kept("early") if h.location.function == "g"][3:5],
          [h.vm_seq - 1 for h in late])
    spent = c.hooks(debugger="late")
    check(all(h.spent for h in spent.values()), "its count is used up")
    c.close()


def test_a3_a_budget_is_kept_in_the_worker(t):
    t.spawn("hot", HOT, ready=False)
    t.wait_for("hot", "active")
    c = debugging(t)
    c.open("probe")
    c.add("enter-frame", "hot", "probe", budget=c.api.HookBudget(per_second=100))
    start = time.monotonic()
    c.until("probe", 250)
    took = time.monotonic() - start
    check(took > 1.0, f"250 hits at 100 a second took {took:.2f} s")
    hook = list(c.hooks(debugger="probe").values())[0]
    check(hook.hits >= 250, hook)
    c.remove(debugger="probe")
    c.close()


def test_a3_each_debugger_on_one_auditor_has_its_own_budget(t):
    t.spawn("hot", HOT, ready=False)
    t.wait_for("hot", "active")
    c = debugging(t)
    budgets = {"few": c.api.HookBudget(total=7), "slow": c.api.HookBudget(per_second=20), "free": c.api.HookBudget(total=5000)}
    for name in budgets:
        c.open(name)
    c.stop()
    for name, budget in budgets.items():
        c.add("enter-frame", "hot", name, budget=budget, filter=c.api.HookFilter(function="tick"))
    equal(c.auditors("hot"), [("realm", 1, "enter-frame", list(budgets))])
    c.resume()
    c.until("free", 3000)
    c.until("slow", 25)
    wait_until(lambda: c.auditors("hot") == [("realm", 1, "enter-frame", ["slow"])], "what is used up is off")
    hooks = {h.debugger_name: h for h in c.hooks().values()}
    equal([(hooks[n].hits, hooks[n].spent) for n in ("few", "free")], [(7, True), (5000, True)])
    check(20 < hooks["slow"].hits < 5000 and not hooks["slow"].spent, hooks["slow"])
    for name in budgets:
        c.remove(debugger=name)
    equal(c.auditors(), [])
    c.close()


def test_a3_a_condition_that_is_false_a_million_times_tells_nobody(t):
    t.spawn("app", "globalThis.g = (x) => {\n  return x + 1;\n}\n"
                   "globalThis.work = (n) => { let s = 0; for (let i = 0; i < n; i++) s = g(i); return s; };")
    c = debugging(t)
    c.open("d")
    # The first is compared. The other one is evaluated, for which the engine takes many times as long.
    for condition, times in (("x === -1", 1000000), ("x * 2 < -1", 10000)):
        hook = c.breakpoint("app", "app.js", 2, debugger="d", suspend="world", filter=c.api.HookFilter(condition=condition))
        before, had = c.world().epoch, len(c.kept("d"))
        equal(t.ctl("call", "app", "work", str(times), "--timeout", "300s", timeout=300).out.strip(), str(times))
        equal((len(c.kept("d")) - had, c.mode(), c.world().epoch), (0, "run-all", before))
        equal([(h.hits, h.dropped) for h in c.hooks(debugger="d").values()], [(0, 0)])
        call = t.start("call", "app", "g", "-1")
        equal(list(c.until_paused("app", "breakpoint").hooks), [hook])
        c.go_on("app")
        equal(call.communicate(timeout=30)[0].strip(), "0")
        c.remove(hook)
    c.close()


def test_a4_no_hooks_no_auditors_anywhere(t):
    t.spawn("app", CALLS)
    c = debugging(t)
    c.open("d")
    kinds = ["new-global", "enter-frame", "debugger-statement", "exception-unwind", "new-script",
             "new-promise", "promise-settled", "pop", "step"]
    hooks = [c.add(kind, "app", "d")[0] for kind in kinds]
    equal(len(hooks), len(kinds))
    equal({(r, k) for r, _, k, _ in c.auditors("app")},
          {("runtime" if k == "new-global" else "realm", k) for k in kinds})
    equal(t.vm("app")["hooks"], len(kinds))
    for n in range(len(hooks)):
        c.remove(hooks[n])
        equal({k for _, _, k, _ in c.auditors("app")}, set(kinds[n + 1:]))
    equal(c.auditors(), [])
    equal(t.vm("app")["hooks"], 0)
    c.close()


def test_a7_a_weak_hook_keeps_nobody(t):
    t.spawn("app", CALLS)
    c = debugging(t)
    c.open("weak"), c.open("strong")
    c.add("new-global", "app", "weak", weak=True)
    c.add("new-global", "app", "strong")
    equal(names(c), ["strong", "weak"])
    equal([s for *_, s in c.auditors("app")], [["weak", "strong"]])
    c.close()
    c = debugging(t)
    wait_until(lambda: names(c) == ["strong"], "the weak one is gone with its client")
    equal([s for *_, s in c.auditors("app")], [["strong"]])
    c.remove(debugger="strong")
    wait_until(lambda: names(c) == [], "so is the strong one with its hook")
    equal(c.auditors(), [])
    c.close()


def test_a8_a_hook_that_is_set_is_honoured_until_it_is_cleared(t):
    t.spawn("app", CALLS)
    c = debugging(t)
    fields = {f.name for f in c.api.AddHooks.DESCRIPTOR.fields} | {f.name for f in c.api.Hook.DESCRIPTOR.fields}
    check(not [f for f in fields if "enable" in f or "disable" in f], fields)
    c.open("d")
    hook = c.add("debugger-statement", "app", "d")
    say(t, "app", "stops", 1, times=2)
    equal(short(c, "d"), ["debugger-statement stops:5"] * 2)
    c.remove(*hook)
    equal(c.auditors("app"), [])
    say(t, "app", "stops", 3)
    equal(len(c.kept("d")), 2)
    c.close()


def test_a9_a_hook_pauses_only_if_somebody_can_answer(t):
    t.spawn("app", CALLS)
    holder, c = debugging(t), debugging(t)
    holder.open("holder"), c.open("other")
    holder.request(stop_world=holder.api.StopWorld(world="default", debugger="holder", deadline_us=20_000_000))
    bp = c.breakpoint("app", "app.js", 2, debugger="other", suspend="world")
    t.ctl("send", "app", '{"call": "f", "n": 1}')
    # The holder runs the VM alone: the breakpoint is hit, and its debugger has no lease.
    holder.go_on("app", only=True)
    wait_until(lambda: "done 1" in t.logs("app"), "the VM runs on")
    hits = c.until("other", 1)
    equal([(h.hook, h.paused) for h in hits], [(bp, "not-controller")])
    holder.resume()
    # Now the lease is free: it pauses.
    t.ctl("send", "app", '{"call": "f", "n": 2}')
    c.until_paused("app", "breakpoint")
    equal(c.world().controller.debugger, "other")
    # Its client goes: nobody is left stranded.
    c.sock.shutdown(2)
    c.close()
    wait_until(lambda: "done 2" in t.logs("app"), "the VM goes on without its controller")
    equal(holder.mode(), "run-all")
    # Nobody has it open: what it would pause is only recorded.
    t.ctl("send", "app", '{"call": "f", "n": 3}')
    wait_until(lambda: "done 3" in t.logs("app"), "the VM is not paused for nobody")
    wait_until(lambda: holder.kept("other")[-1].paused == "not-controller", "the hit is recorded")
    holder.remove(debugger="other")
    holder.close()


def test_a9_a_client_killed_in_any_state_of_debugging_strands_nobody(t):
    t.spawn("app", CALLS + "globalThis.spin = () => { while (!globalThis.leave) {} globalThis.leave = false; };\n")
    t.spawn("other", "onmessage = (e) => {\n  console.log(e.data);\n};")
    eyes = debugging(t)
    api = eyes.api
    is_evaluating = lambda: t.vm("app")["state"] == "evaluating"

    def clear():
        try:
            eyes.remove(debugger="d")
        except ApiError as e:
            equal(api.ErrorCode.Name(e.code), "ERROR_NOT_FOUND")  # it had no hooks, and is gone

    def paused(c, suspend):
        c.breakpoint("app", "app.js", 2, debugger="d", suspend=suspend)
        t.ctl("send", "app", '{"call": "f", "n": 1}')
        wait_until(lambda: eyes.pause("app").reason == "breakpoint" if t.vm("app")["state"] == "parked" else False, "it pauses")

    def at_a_pause_of_the_world(c):
        paused(c, "world")

    def at_a_pause_of_its_vm(c):
        paused(c, "vm")

    def with_two_pauses(c):
        paused(c, "vm")
        c.breakpoint("other", "other.js", 2, debugger="d", suspend="world")
        t.ctl("send", "other", '"x"')
        wait_until(lambda: c.mode() == "stopped", "the world stops, too")

    def while_it_evaluates(c):
        paused(c, "world")
        c.send(evaluate=api.Evaluate(vm="app", expression="for (;;);", frame=0, timeout_us=600_000_000))
        wait_until(is_evaluating, "it evaluates")

    def while_it_runs_getters(c):
        paused(c, "world")
        ref = c.evaluate("app", "({get x() { for (;;); }})", 0).value.ref
        c.send(list_variables=api.ListVariables(vm="app", ref=ref, run_getters=True))
        wait_until(is_evaluating, "a getter runs")

    def while_it_steps(c):
        c.request(stop_world=api.StopWorld(world="default", debugger="d", deadline_us=20_000_000))
        t.ctl("send", "app", '{"call": "spin", "n": 1}')
        equal(c.step("app", "in").reason, "step")
        equal(c.step("app", "over").reason, "step")
        c.send(step_vm=api.StepVm(vm="app", how=api.STEP_OVER))  # that calls `spin`
        wait_until(lambda: c.mode() == "run-one" and t.vm("app")["state"] == "active", "it runs alone")

    def while_it_waits_for_hits(c):
        c.add("enter-frame", "app", "d", filter=api.HookFilter(function="nobody"))
        c.send(read_hits=api.ReadHits(debugger="d", wait=True))

    def while_it_sets_hooks(c):
        os.kill(t.vm("app")["pid"], signal.SIGSTOP)
        c.send(add_hooks=api.AddHooks(debugger="d", selector="*", kinds=[api.HOOK_ENTER_FRAME], deadline_us=20_000_000))
        wait_until(lambda: eyes.mode() != "run-all", "it waits for the VM")

    for state in (at_a_pause_of_the_world, at_a_pause_of_its_vm, with_two_pauses, while_it_evaluates, while_it_runs_getters,
                  while_it_steps, while_it_waits_for_hits, while_it_sets_hooks):
        what, logs = state.__name__, t.logs("app")
        c = debugging(t)
        c.open("d")
        state(c)
        is_killed(c)
        wait_until(lambda: not any(d.open for d in eyes.debuggers().values()), f"{what}: nobody has it open")
        os.kill(t.vm("app")["pid"], signal.SIGCONT)
        clear()
        wait_until(lambda: eyes.mode() == "run-all" and not t.vm("app")["holds"], f"{what}: the world runs")
        if state is while_it_steps:
            wait_until(lambda: t.vm("app")["state"] == "active", f"{what}: its VM goes on")
            eyes.stop()
            eyes.evaluate("app", "globalThis.leave = true")
            eyes.resume()
        t.ctl("send", "app", '{"call": "g", "n": 77}')
        wait_until(lambda: t.logs("app").count("done 77") == logs.count("done 77") + 1, f"{what}: it hears")
        wait_until(lambda: clear() or (names(eyes) == [] and eyes.auditors() == []), f"{what}: nothing is left")
    eyes.close()


def test_a10_a_hook_suspends_nothing_its_vm_or_its_world(t):
    t.spawn("app", CALLS)
    t.spawn("other", "let n = 0; setInterval(() => console.log(++n), 5)")
    c = debugging(t)
    c.open("d")
    counts = lambda: len(t.logs("other").split())
    for suspend in ("none", "vm", "world"):
        hook = c.breakpoint("app", "app.js", 2, debugger="d", suspend=suspend)
        n = {"none": 1, "vm": 2, "world": 3}[suspend]
        t.ctl("send", "app", f'{{"call": "f", "n": {n}}}')
        if suspend == "none":
            wait_until(lambda: "done 1" in t.logs("app"), "it does not pause")
            equal([h.paused for h in c.until("d", 1)], [""])
        else:
            wait_until(lambda: c.pause("app").reason == "breakpoint", "it pauses")
            equal(c.frames("app")[0].function, "g")
            equal(c.mode(), "stopped" if suspend == "world" else "run-all")
            before = counts()
            if suspend == "vm":
                wait_until(lambda: counts() > before + 3, "others run on")
                equal([h["debugger"] for h in t.vm("app")["holds"]], ["d"])
            else:
                equal(c.world().target, t.vm("app")["id"])
                still = Still({"other": t.vm("other")["pid"]})
                equal(c.locals("app")["x"], "3")
                still.check({"other": "held"}, "while the world is stopped:")
                equal(counts(), before)
            check(f"done {n}" not in t.logs("app"), "it stands")
            c.go_on("app")
            wait_until(lambda: f"done {n}" in t.logs("app"), "it goes on")
            equal(t.vm("app")["holds"], [])
        c.remove(hook)
    equal(c.mode(), "run-all")
    c.close()


def test_a11_hooks_come_to_a_running_vm_at_a_safe_point(t):
    t.spawn("hot", HOT, ready=False)
    t.wait_for("hot", "active")
    c = debugging(t)
    c.open("d")
    c.add("enter-frame", "hot", "d", filter=c.api.HookFilter(function="tick", count=3))
    equal([h.location.function for h in c.until("d", 3)], ["tick"] * 3)
    wait_until(lambda: c.auditors("hot") == [], "its count is used up, and so it is off")
    c.close()


def test_a11_many_vms_take_a_hook_or_none(t):
    for n in range(4):
        t.spawn(f"app-{n}", CALLS)
    t.spawn("plain", CALLS)
    c = debugging(t)
    c.open("d")
    hooks = c.add("enter-frame", None, "d", selector="app-*", filter=c.api.HookFilter(function="f"))
    equal(len(hooks), 1)
    equal({vm["name"] for vm in t.list() if vm["hooks"]}, {f"app-{n}" for n in range(4)})
    for n in range(4):
        say(t, f"app-{n}", "f")
    equal(sorted(h.vm_name for h in c.until("d", 4)), [f"app-{n}" for n in range(4)])
    # One that cannot: a condition that does not compile.
    try:
        c.add("enter-frame", None, "d", selector="app-*", filter=c.api.HookFilter(condition="x ==="))
        check(False, "a condition that is no expression was taken")
    except ApiError as e:
        check("condition" in str(e), e)
    equal(list(c.hooks(debugger="d")), hooks)
    c.remove(*hooks)
    equal(c.auditors(), [])
    c.close()


def test_a11_one_that_does_not_answer_is_given_up_and_no_vm_has_the_hook(t):
    for n in (1, 2):
        t.spawn(f"app-{n}", CALLS)
    t.spawn("other", CALLS, options=["--world", "elsewhere"])
    os.kill(t.vm("app-2")["pid"], signal.SIGSTOP)
    add = ("audit", "add", "app-*", "--on", "enter-frame", "--keep")
    t.refused(*add, code=124, says=("VM 'app-2' did not answer in time",))
    equal(t.json("audit", "list", "app-1"), [])
    equal(t.json("world", "status")["mode"], "run-all")
    t.refused(*add, code=1, says=("VM 'app-2' has not answered earlier requests",))
    t.ctl("audit", "add", "other", "--on", "enter-frame", "--keep")
    os.kill(t.vm("app-2")["pid"], signal.SIGCONT)
    wait_until(lambda: t.ctl(*add, code=None).code == 0, "it answers, and takes hooks again")
    equal({vm["name"]: vm["hooks"] for vm in t.list()}, {"app-1": 1, "app-2": 1, "other": 1})
    t.ctl("audit", "rm", "--all")
    equal(t.json("audit", "list"), [])


def test_a11_a_selector_covers_later_vms_before_their_first_script(t):
    c = debugging(t)
    c.open("d")
    c.add(["new-script", "enter-frame"], None, "d", selector="late-*")
    t.spawn("late-1", "function first() {} first();")
    t.spawn("early", "1")
    seen = [c.short(h) for h in c.until("d", 3)]
    check(seen[0].startswith("new-script"), seen)
    check("enter-frame first:1" in seen, seen)
    equal({h.vm_name for h in c.kept("d")}, {"late-1"})
    equal({vm["name"]: vm["hooks"] for vm in t.list()}, {"late-1": 2, "early": 0})
    # Alive until cleared, whatever becomes of its VMs.
    t.ctl("kill", "late-1")
    c.close()
    c = debugging(t)
    equal(names(c), ["d"])
    t.spawn("late-2", "function second() {} second();")
    wait_until(lambda: any(h.vm_name == "late-2" for h in c.kept("d")), "the next is covered, too")
    c.remove(debugger="d")
    wait_until(lambda: names(c) == [], "cleared, it is gone")
    c.close()


def test_a12_what_a_debugger_evaluates_is_not_audited_unless_it_asks(t):
    t.spawn("app", CALLS)
    c = debugging(t)
    c.open("d")
    c.add(["enter-frame", "pop", "new-script", "exception-unwind"], "app", "d")
    c.stop()
    equal(c.evaluate("app", "f(20)").value.preview, "41")
    check(c.evaluate("app", "boom(1)").threw, "it throws")
    equal(c.kept("d"), [])
    equal(c.evaluate("app", "f(20)", audited=True).value.preview, "41")
    check("enter-frame g:2" in short(c, "d"), short(c, "d"))
    c.resume()
    c.remove(debugger="d")
    c.close()


def test_a12_an_audited_evaluation_ends_in_time_though_hooks_have_conditions(t):
    t.spawn("app", "globalThis.f = (n) => n; globalThis.spin = () => { for (;;) f(1); };"
            "let n = 0; setInterval(() => { n++ }, 10); globalThis.count = () => n;")
    c = debugging(t)
    c.open("d")
    # Most of the time is spent in it, so that the limit is most often reached there.
    slow = c.api.HookFilter(condition="[1, 2, 3, 4, 5, 6, 7, 8, 9].map(x => x * 2).length < 0")
    c.add("enter-frame", "app", "d", filter=slow)
    c.stop()
    for n in range(40):
        try:
            c.evaluate("app", "spin()", audited=True, timeout_us=3000 + 777 * n)
            check(False, "it is ended")
        except ApiError as e:
            equal(e.code, c.api.ERROR_TIMED_OUT, e)
    c.resume()
    n = int(t.ctl("call", "app", "count").out)
    wait_until(lambda: int(t.ctl("call", "app", "count").out) > n, "it goes on")
    c.remove(debugger="d")
    c.close()


def test_a13_observing_keeps_nothing_alive(t):
    t.spawn("app", """
let gone = 0;
const registry = new FinalizationRegistry(() => gone++);
function make() { const o = {big: new Array(1000)}; registry.register(o); return o; }
globalThis.count = () => gone;
globalThis.work = () => { for (let i = 0; i < 100; i++) make(); return 'worked'; };
""")
    c = debugging(t)
    c.open("d")
    c.add("pop", "app", "d", filter=c.api.HookFilter(function="make"),
          capture=c.api.HookCapture(value=True, stack_depth=3, expressions=["o"]))
    t.ctl("call", "app", "work")
    hits = c.until("d", 100)
    check(all(h.value.ref == 0 for h in hits), "hits have no handles")
    check("big" in hits[0].value.preview, hits[0])
    t.ctl("world", "gc")
    wait_until(lambda: int(t.ctl("call", "app", "count").out) >= 99, "what was seen is collected")
    # Handles live for one stop.
    for _ in range(50):  # the VM may or may not see that it was resumed
        c.stop()
        scope = c.evaluate("app", "({a: 1})").value
        check(scope.ref != 0, scope)
        equal(c.children("app", scope.ref)["a"].value.preview, "1")
        c.resume()
        c.stop()
        try:
            c.children("app", scope.ref)
            check(False, "a handle outlived its stop")
        except ApiError as e:
            equal(c.api.ErrorCode.Name(e.code), "ERROR_NOT_FOUND")
        c.resume()
    c.remove(debugger="d")
    c.close()


def test_a14_hits_nest_as_frames_do_and_are_in_order(t):
    t.spawn("app", """
function* gen() { yield 1; yield 2; }
async function wait() { await null; return 3; }
function boom() { throw new Error('x'); }
function catches() { try { boom(); } catch { return 1; } }
globalThis.work = async () => { for (const x of gen()) catches(); return await wait(); };
""")
    c = debugging(t)
    c.open("d")
    c.add(["enter-frame", "pop"], "app", "d")
    t.ctl("call", "app", "work")
    hits = c.kept("d")
    equal([h.seq for h in hits], list(range(1, len(hits) + 1)))
    equal([h.vm_seq for h in hits], sorted(h.vm_seq for h in hits))
    stack = []
    for h in hits:
        if c.kind_name(h.kind) == "enter-frame":
            stack.append(h.frame_id)
        else:
            equal(stack.pop() if stack else None, h.frame_id, c.short(h))
    equal(stack, [])
    told = [c.short(h) for h in hits]
    # A generator's frame is one, and entered and left four times: when it is made, twice to yield, and to return.
    equal(len({h.frame_id for h in hits if h.location.function == "gen"}), 1)
    equal([x.split()[0] for x in told if " gen:" in x],
          ["enter-frame", "pop:yield"] * 3 + ["enter-frame", "pop:return"])
    check("pop:throw boom:4" in told, told)
    check(any(x.startswith("pop:await wait") for x in told), told)
    c.remove(debugger="d")
    c.close()


def test_a14_hits_of_several_vms_are_in_order_by_epoch_and_clock(t):
    t.spawn("left", CALLS)
    t.spawn("right", CALLS)
    c = debugging(t)
    c.open("d")
    c.add("enter-frame", None, "d", selector="*", filter=c.api.HookFilter(function="f"))
    happened, epochs = [], []
    for n in range(3):
        for name in ("right", "left"):
            say(t, name, "f", n)
            happened.append(name)
        c.stop()
        epochs.append(c.world().epoch)
        c.resume()
    hits = sorted(c.until("d", 6), key=lambda h: (h.epoch, h.mono_ns))
    equal([h.vm_name for h in hits], happened)
    for n in range(3):
        check(all(h.epoch < epochs[n] for h in hits[:2 * n + 2]) and all(h.epoch > epochs[n] for h in hits[2 * n + 2:]),
              ([h.epoch for h in hits], epochs))
    c.remove(debugger="d")
    c.close()


def test_a15_a_pause_is_answered_by_continue_return_throw_or_terminate(t):
    t.spawn("app", """
function price(x) { debugger; return x * 2; }
globalThis.ask = (x) => price(x);
globalThis.tries = (x) => { try { return price(x); } catch (e) { return 'caught ' + e; } };
""")
    c = debugging(t)
    c.open("d")
    c.add("debugger-statement", "app", "d", suspend="world")
    for answer, expression, expected in (("continue", None, "42"), ("return", "x + 1", "22"),
                                         ("throw", "'no ' + x", '"caught no 21"'), ("continue", None, "42")):
        call = t.start("call", "app", "tries" if answer == "throw" else "ask", "21")
        c.until_paused("app", "debugger-statement")
        equal(c.frames("app")[0].function, "price")
        c.go_on("app", answer, expression)
        out, err = call.communicate(timeout=30)
        equal((out.strip(), call.returncode), (expected, 0), err)
    call = t.start("call", "app", "tries", "21")
    c.until_paused("app", "debugger-statement")
    c.go_on("app", "terminate")
    out, err = call.communicate(timeout=30)
    check(call.returncode == 1 and "terminat" in err, (out, err))
    c.remove(debugger="d")
    equal(t.ctl("call", "app", "ask", "1").out.strip(), "2")
    c.close()


def test_a15_an_answer_that_cannot_be_had_is_refused_before_it_is_given(t):
    t.spawn("app", "globalThis.make = () => { new Promise(() => {}); return 'made'; };")
    c = debugging(t)
    c.open("d")
    hook, = c.add("new-promise", "app", "d", suspend="world")
    call = t.start("call", "app", "make")
    c.until_paused("app", "hook")
    for answer, expression, code, says in (("return", "1", "UNSUPPORTED", "only go on or be terminated"),
                                           ("throw", "1", "UNSUPPORTED", "only go on or be terminated")):
        try:
            c.go_on("app", answer, expression)
            check(False, f"{answer} was taken")
        except ApiError as e:
            equal(c.api.ErrorCode.Name(e.code), "ERROR_" + code)
            check(says in str(e), e)
    equal(c.pause("app").reason, "hook")
    c.remove(hook)
    c.go_on("app")
    equal(call.communicate(timeout=30)[0].strip(), '"made"')
    c.close()


def test_a15_a_call_whose_work_is_terminated_is_answered_with_an_error(t):
    t.spawn("app", """
const later = () => new Promise((resolve) => setTimeout(resolve, 1));
async function inner(x) { await later(); debugger; return x; }
globalThis.works = async (x) => { const y = await inner(x); return y + 1; };
globalThis.chains = (x) => later().then(() => { debugger; return x; }).then((y) => y + 1);
globalThis.fires = (x) => new Promise((resolve) => setTimeout(() => { debugger; resolve(x); }, 1));
globalThis.other = async (x) => { await later(); return x; };
let release;
globalThis.waits = () => new Promise((resolve) => { release = resolve; });
globalThis.go = () => release('released');
""")
    c = debugging(t)
    c.open("d")
    c.add("debugger-statement", "app", "d", suspend="world")
    waits = t.start("call", "app", "waits")
    wait_until(lambda: t.vm("app")["state"] == "idle", "one waits for what can still come")
    for function in ("works", "chains", "fires"):
        call = t.start("call", "app", function, "1")
        c.until_paused("app", "debugger-statement")
        other = t.start("call", "app", "other", "2")
        c.go_on("app", "terminate")
        out, err = call.communicate(timeout=30)
        check(call.returncode == 1 and "it was terminated by a debugger" in err, (function, out, err))
        equal(other.communicate(timeout=30)[0].strip(), "2")
        call = t.start("call", "app", function, "1")
        c.until_paused("app", "debugger-statement")
        c.go_on("app")
        equal(call.communicate(timeout=30)[0].strip(), "1" if function == "fires" else "2")
    c.remove(debugger="d")
    t.ctl("call", "app", "go")
    equal(waits.communicate(timeout=30)[0].strip(), '"released"')
    c.close()
