"""Breakpoints, and what can be done with a VM that stands, over the API and on the real engine."""

import os
import re
import signal
import time

import wasm
from api import ApiError
from debugging import debugging
from harness import check, equal, thread_cpu_ns, wait_until
from storm import Still

HOT = """
function spin(limit) {
  let i = 0, done = false;
  const point = {x: 1, y: [1, 2, 3]};
  for (;;) { i++; if (done) return i; }
}
globalThis.work = () => { const n = spin(5); console.log('left'); return n > 0; };
"""
STEPS = """
function add(a, b) {
  const sum = a + b;
  return sum;
}
function twice(x) {
  const one = add(x, x);
  const two = add(one, 1);
  return two;
}
globalThis.work = (x) => {
  const r = twice(x);
  return r;
};
"""


def refused(c, code, function, *args, **more):
    try:
        function(*args, **more)
    except ApiError as e:
        equal(c.api.ErrorCode.Name(e.code), "ERROR_" + code, e)
        return str(e)
    raise AssertionError(f"{function} was not refused")


def hot(t):
    t.spawn("app", HOT)
    call = t.start("call", "app", "work")
    t.wait_for("app", "active")
    pid = t.vm("app")["pid"]
    start = thread_cpu_ns(pid)
    wait_until(lambda: thread_cpu_ns(pid) > start + 100e6, "its loop has been compiled")
    return call


def test_a_hot_loop_that_nobody_watched_is_stopped_read_changed_and_stepped(t):
    t.spawn("other", "for (let i = 0;;) i++", ready=False)
    t.wait_for("other", "active")
    call = hot(t)
    c = debugging(t)
    c.stop()
    still = Still({"other": t.vm("other")["pid"]})
    frames = c.frames("app")
    equal([f.function for f in frames[:2]], ["spin", "globalThis.work"])
    first = c.locals("app")
    equal((first["limit"], first["done"], first["point"]), ("5", "false", "{x: 1, y: Array(3)}"))
    check(int(first["i"]) > 1000, first)
    for n in range(1000):
        r = c.step("app", "over")
        equal((r.reason, r.frame.function), ("step", "spin"), f"step {n}")
    check(int(c.locals("app")["i"]) > int(first["i"]) + 100, "it went on by steps")
    check(int(c.locals("app")["i"]) < int(first["i"]) + 1001, "and by no more")
    c.assign("app", "done", "true")
    equal(c.locals("app")["done"], "true")
    still.check(what="a thousand steps:")
    c.resume()
    out, err = call.communicate(timeout=30)
    equal((out.strip(), call.returncode), ("true", 0), err)
    check("left" in t.logs("app"), t.logs("app"))
    equal(c.auditors(), [])
    c.close()


def test_steps_go_over_into_and_out_of_calls(t):
    t.spawn("app", STEPS)
    c = debugging(t)
    c.breakpoint("app", "app.js", 7, suspend="world")
    call = t.start("call", "app", "work", "5")
    c.until_paused("app", "breakpoint")
    where = lambda r: (r.reason, r.frame.function, r.frame.line)
    equal(where(c.step("app", "over")), ("step", "twice", 8))
    equal(c.locals("app")["one"], "10")
    equal(where(c.step("app", "in")), ("step", "add", 3))
    equal((c.locals("app")["a"], c.locals("app")["b"]), ("10", "1"))
    equal(where(c.step("app", "in")), ("step", "add", 4))
    equal(c.locals("app", 1)["one"], "10")
    r = c.step("app", "out")
    equal((r.reason, r.frame.function), ("step", "twice"))
    equal(where(c.step("app", "to", at=("app.js", 13))), ("step", "globalThis.work", 13))
    equal(c.locals("app")["r"], "11")
    c.resume()
    equal(call.communicate(timeout=30)[0].strip(), "11")
    c.remove(debugger=list(c.debuggers())[0])
    c.close()


def test_breakpoints_slide_wait_for_their_script_and_say_where_they_are(t):
    t.spawn("app", STEPS + "\nglobalThis.late = () => eval('function later() {\\n  return 1;\\n}\\nlater()"
                           "\\n//# sourceURL=late.js')")
    c = debugging(t)
    c.open("d")
    empty = c.breakpoint("app", "app.js", 1, debugger="d", suspend="none")  # an empty line
    exact = c.breakpoint("app", "app.js", 3, debugger="d", suspend="none")
    later = c.breakpoint("app", "late.js", 2, debugger="d", suspend="none")
    hooks = c.hooks(debugger="d")
    check(hooks[empty].bound[0].line > 1, hooks[empty].bound)
    equal((hooks[exact].bound[0].line, hooks[exact].bound[0].function), (3, "add"))
    check(hooks[later].bound[0].pending, hooks[later].bound)
    t.ctl("call", "app", "late", code=None)
    hits = [h for h in c.until("d", 1) if h.hook == later]
    equal([(h.location.url, h.location.line) for h in hits], [("late.js", 2)])
    check(not c.hooks(debugger="d")[later].bound[0].pending, "it is bound now")
    equal(t.ctl("call", "app", "work", "5").out.strip(), "11")
    equal([h.hits for h in c.kept("d") if h.hook == exact], [1, 2])
    c.remove(debugger="d")
    c.close()


def test_conditions_logpoints_and_counts(t):
    t.spawn("app", STEPS)
    c = debugging(t)
    c.open("d")
    log = c.add("breakpoint", "app", "d", at=("app.js", 4), log="sum is {sum}, and {a * 2}")
    only = c.breakpoint("app", "app.js", 4, debugger="d", suspend="none",
                        filter=c.api.HookFilter(condition="sum === 11"))
    broken = c.breakpoint("app", "app.js", 4, debugger="d", suspend="none",
                          filter=c.api.HookFilter(condition="nothing.here", count=1))
    t.ctl("call", "app", "work", "5")
    hits = c.kept("d")
    equal([h.log for h in hits if h.hook == log[0]], ["sum is 10, and 10", "sum is 11, and 20"])
    equal(len([h for h in hits if h.hook == only]), 1)
    wrong = [h for h in hits if h.hook == broken]
    equal(len(wrong), 1)
    check("nothing" in wrong[0].condition_error, wrong)
    c.remove(debugger="d")
    c.close()


def test_an_exception_stops_where_it_is_thrown(t):
    t.spawn("app", "function boom(x) { throw new RangeError('too ' + x); }\n"
                   "globalThis.work = (x) => { try { boom(x); } catch (e) { return e.message; } };")
    c = debugging(t)
    c.add("exception-unwind", "app", suspend="world", filter=c.api.HookFilter(function="boom"))
    call = t.start("call", "app", "work", '"big"')
    pause = c.until_paused("app", "exception")
    check("RangeError: too big" in pause.value.preview, pause)
    equal((c.frames("app")[0].function, c.locals("app")["x"]), ("boom", "'big'"))
    check("message" in c.children("app", pause.value.ref), "the exception can be looked into")
    c.resume()
    equal(call.communicate(timeout=30)[0].strip(), '"too big"')
    c.remove(debugger=list(c.debuggers())[0])
    c.close()


def test_variables_are_seen_whole_and_no_getter_runs(t):
    t.spawn("app", """
let ran = 0;
globalThis.work = () => {
  const o = {get trap() { ran++; return 5; }, n: 1};
  o.self = o;
  const big = Array.from({length: 1000}, (_, i) => i), map = new Map([['k', {deep: true}]]), set = new Set([1, 2]);
  const typed = new Uint8Array([1, 2, 3]), failed = Promise.reject(new Error('no')), f = (x) => x;
  failed.catch(() => {});
  let later = 1n; const s = Symbol('s'), e = new TypeError('bad');
  debugger;
  return ran;
};
""")
    c = debugging(t)
    c.add("debugger-statement", "app", suspend="world")
    call = t.start("call", "app", "work")
    c.until_paused("app", "debugger-statement")
    scope = {v.name: v.value for s in c.scopes("app") if s.scope in ("local", "block", "closure")
             for v in c.children("app", s.ref).values()}
    equal((scope["later"].preview, scope["s"].preview), ("1n", "Symbol(s)"))
    check("TypeError: bad" in scope["e"].preview, scope["e"])
    check("[circular" in scope["o"].preview.lower() or "self" in scope["o"].preview, scope["o"])
    trap = c.children("app", scope["o"].ref)["trap"]
    check(trap.getter and trap.value.preview != "5", trap)
    run = c.children("app", scope["o"].ref, run_getters=True)["trap"]
    equal(run.value.preview, "5")
    big = c.children("app", scope["big"].ref)
    equal((big["999"].value.preview, len([n for n in big if n.isdigit()])), ("999", 1000))
    check(any("deep" in v.value.preview for v in c.children("app", scope["map"].ref).values()), "entries of a Map")
    equal(c.children("app", scope["typed"].ref)["2"].value.preview, "3")
    check("rejected" in scope["failed"].preview, scope["failed"])
    c.resume()
    equal(call.communicate(timeout=30)[0].strip(), "1")  # the one that we asked for
    c.remove(debugger=list(c.debuggers())[0])
    c.close()


def test_a_runaway_evaluation_is_ended_and_the_vm_lives(t):
    t.spawn("app", STEPS)
    c = debugging(t)
    c.breakpoint("app", "app.js", 3)
    call = t.start("call", "app", "work", "5")
    c.until_paused("app", "breakpoint")
    start = time.monotonic()
    said = refused(c, "TIMED_OUT", c.evaluate, "app", "for (;;);", 0, timeout_us=200_000)
    check("too long" in said or "time" in said, said)
    check(time.monotonic() - start < 20, "it does not take for ever")
    equal(c.evaluate("app", "a + b", 0).value.preview, "10")
    threw = c.evaluate("app", "null.x", 0)
    check(threw.threw and "TypeError" in threw.value.preview, threw)
    equal(t.vm("app")["state"], "parked")
    # A resume ends what is being evaluated.
    other = debugging(t)
    number = c.send(evaluate=c.api.Evaluate(vm="app", expression="for (;;);", frame=0, timeout_us=20_000_000))
    wait_until(lambda: t.vm("app")["state"] == "evaluating", "it evaluates")
    c.remove(debugger=list(c.debuggers())[0])
    other.resume()
    try:
        c.wait(number)
        check(False, "it came to an end")
    except ApiError:
        pass
    equal(call.communicate(timeout=30)[0].strip(), "11")
    other.close()
    c.close()


def test_an_evaluation_that_cannot_be_ended_ends_its_vm_which_says_so(t):
    t.spawn("app", STEPS)
    c = debugging(t)
    c.stop()
    number = c.send(evaluate=c.api.Evaluate(vm="app", expression="for (;;);", in_realm=True, timeout_us=500_000))
    wait_until(lambda: t.vm("app")["state"] == "evaluating", "it evaluates")
    os.kill(t.vm("app")["pid"], signal.SIGSTOP)  # and now heeds nothing
    said = refused(c, "CANCELLED", c.wait, number)
    check("an evaluation could not be ended" in said, said)
    wait_until(lambda: t.vm("app")["state"] == "exited", "it is gone")
    equal((t.vm("app")["exit"]["reason"], t.vm("app")["exit"]["detail"]), ("killed", "an evaluation could not be ended"))
    c.resume()
    c.close()


def test_a_vm_that_runs_cannot_be_looked_into(t):
    hot(t)
    c = debugging(t)
    for question in (c.frames, c.scopes):
        said = refused(c, "WRONG_STATE", question, "app")
        check("'app' is running" in said, said)
    refused(c, "NOT_FOUND", c.frames, "nobody")
    t.ctl("kill", "app")
    c.close()


def test_an_idle_vm_has_realms_but_no_frames(t):
    t.spawn("app", "globalThis.answer = 42; globalThis.onmessage = () => {};")
    c = debugging(t)
    c.stop()
    equal(c.frames("app"), [])
    equal(c.evaluate("app", "answer").value.preview, "42")
    c.resume()
    c.close()


def test_two_vms_that_pause_at_once_are_served_one_after_the_other(t):
    names = ("left", "right")
    for name in names:
        t.spawn(name, STEPS)
    c = debugging(t)
    for name in names:
        c.breakpoint(name, f"{name}.js", 3, suspend="world", filter=c.api.HookFilter(count=1))
    c.stop()
    # A connection's requests are taken in their order: with the resume both calls wait for it.
    calls = [c.send(call_function=c.api.CallFunction(vm=name, function="work", args_json="[5]")) for name in names]
    c.resume()
    seen = []
    for _ in names:
        wait_until(lambda: c.mode() == "stopped" and c.world().target not in seen, "a VM is the target")
        target = c.world().target
        seen.append(target)
        equal(c.pause(target).reason, "breakpoint")
        c.resume()
    equal(sorted(seen), sorted(t.vm(n)["id"] for n in names))
    for number in calls:
        equal(c.wait(number).call_reply.json, "11")
    wait_until(lambda: c.mode() == "run-all", "the world runs")
    c.close()


def test_a_step_with_the_others_running(t):
    t.spawn("app", STEPS)
    t.spawn("other", "let n = 0; setInterval(() => console.log(++n), 2)")
    c = debugging(t)
    c.breakpoint("app", "app.js", 7, filter=c.api.HookFilter(count=1))
    call = t.start("call", "app", "work", "5")
    c.until_paused("app", "breakpoint")
    r = c.step("app", "over", others=c.api.STEP_OTHERS_RUN)
    equal((r.reason, r.frame.line), ("step", 8))
    equal(c.mode(), "stopped")
    c.resume()
    equal(call.communicate(timeout=30)[0].strip(), "11")
    c.close()


def test_sources_can_be_listed_and_read(t):
    t.file("lib.mjs", "export const x = 'ü';\n")
    path = t.file("main.mjs", "import {x} from './lib.mjs';\nglobalThis.f = new Function('a', 'return a');\n"
                              "eval('1 + 1');\nglobalThis.onmessage = () => x;\n")
    t.ctl("run", "-d", "--ready", "--name", "app", path)
    c = debugging(t)
    c.stop()
    sources = {s.url: s for s in c.request(list_sources=c.api.ListSources(vm="app")).source_list.sources}
    check({"main.mjs", "lib.mjs"} <= set(sources), list(sources))
    got = c.request(read_source=c.api.ReadSource(vm="app", url="lib.mjs")).source_text
    equal((got.text.decode(), got.more), ("export const x = 'ü';\n", False))
    positions = c.request(list_positions=c.api.ListPositions(vm="app", url="main.mjs", line_from=1, line_to=9)).position_list
    check({2, 3, 4} <= {p.line for p in positions.positions}, positions)
    c.resume()
    c.close()


def test_names_of_files_are_as_they_are_written(t):
    t.file("bibliothèque.mjs", "export function boom() {\n    throw new Error('hier');\n}\n")
    path = t.file("日本.mjs", "import {boom} from './bibliothèque.mjs';\nexport function work() {\n    boom();\n}\n"
                              "globalThis.onmessage = () => setTimeout(boom);\n")
    t.ctl("run", "-d", "--ready", "--name", "app", path)
    c = debugging(t)
    hook = c.breakpoint("app", "bibliothèque.mjs", 2)
    call = t.start("call", "app", "work")
    equal(c.until_paused("app", "breakpoint").hooks, [hook])
    equal([(f.url, f.line) for f in c.frames("app")], [("bibliothèque.mjs", 2), ("日本.mjs", 3)])
    check({"日本.mjs", "bibliothèque.mjs"} <= {s.url for s in c.sources("app").values()}, c.sources("app"))
    check("日本.mjs:3:" in t.ctl("world", "bt").out, "the stack")
    c.remove(hook)
    c.resume()
    equal(call.wait(30), 1)
    c.close()
    t.ctl("send", "app", "1")
    t.wait_for("app", "exited")
    check("    at boom (bibliothèque.mjs:2:" in t.logs("app"), t.logs("app"))


def test_what_an_evaluation_changes_is_seen_by_a_hot_loop(t):
    """An optimised loop may have read it before, and keep it in a register: nobody looked at its frame."""
    t.spawn("app", "globalThis.work = () => { let n = 0; while (!globalThis.leave) { n++; } return n > 0; };")
    call = t.start("call", "app", "work")
    t.wait_for("app", "active")
    pid = t.vm("app")["pid"]
    start = thread_cpu_ns(pid)
    wait_until(lambda: thread_cpu_ns(pid) > start + 100e6, "its loop has been compiled")
    c = debugging(t)
    c.stop()
    equal(c.evaluate("app", "globalThis.leave = true").value.preview, "true")
    c.resume()
    out, err = call.communicate(timeout=30)
    equal((out.strip(), call.returncode), ("true", 0), err)
    c.close()


def test_the_example_of_the_library_prints_the_hits_of_its_auditor(t):
    t.spawn("app", "function tick(n) { return n + 1; }\nlet n = 0;\nsetInterval(() => { n = tick(n); }, 2);\n")
    r = t.run([t.program("docs/examples/audit"), "app", "3"], env={**t.env, "STILLPOINT_SOCKET": t.daemon.socket})
    equal((r.code, r.err), (0, ""))
    ticks = [re.fullmatch(r"(\d+) app: enter-frame app\.js:1 tick n=(\d+)", line) for line in r.out.splitlines()]
    check(len(ticks) == 3 and all(ticks), r.out)
    equal([int(m[1]) for m in ticks], [1, 2, 3])
    equal([int(m[2]) - int(ticks[0][2]) for m in ticks], [0, 1, 2])
    equal((t.json("audit", "list"), t.json("audit", "show"), t.json("debugger", "list")), ([], [], []))
