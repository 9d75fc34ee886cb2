#!/usr/bin/python3
"""A debugger in a VM of SpiderMonkey that stands: frames, scopes, variables, evaluations, sources,
memory; the adapter in engine-host (tests/support/engine_host/look.h). Prints TAP.

    test_look.py [WORD...]

Runs in the build folder. With words, only tests whose name has one of them are run.
"""

import errno
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests", "support"))

import tap  # noqa: E402  pylint: disable=wrong-import-position
import wasm  # noqa: E402  pylint: disable=wrong-import-position
from look import NONE, Session, shown, text  # noqa: E402  pylint: disable=wrong-import-position

PROGRAMS = os.path.join(TOP, "tests", "conformance", "programs")
EXPECTED = os.path.join(TOP, "tests", "conformance", "expected")
INTERRUPTED = ("--interrupt-after=100000",)
MB = 1 << 20

# Loops until a debugger ends it.
HOT = """const top1 = 1; let top2 = 2; var top3 = 3;
function spin(n, name) {
  let s = 0, go = true;
  for (let i = 0; go; i++) { s = (s + (i & 7)) | 0; }
  return s - s + n;
}
function caller() { const mine = [n => n]; return spin(5, "five"); }
console.log("end", caller());
"""


def equal(got, wanted):
    assert got == wanted, f"{got!r} is not {wanted!r}"


def stopped(program, *options, **more):
    """A session that stands where the program has been interrupted."""
    s = Session(program, *(options or INTERRUPTED), **more)
    equal(s.stop(), "safe_point")
    return s


def standing(program, where="write", **more):
    """A session that stands at its first line of output, or the like."""
    s = Session(program, at=where, **more)
    equal(s.stop(), where)
    return s


def functions(frames):
    return [(f["kind"], f["function"]) for f in frames]


def kinds(s, frame=1):
    """Scopes of a frame but for the global one; frame 0 is often console.log."""
    return [(x["scope"], x["function"]) for x in s.scopes(frame) if x["scope"] != "global"]


def failed(row, kind, number):
    assert row["error"] == -number, (kind, row)


# ---- frames


def test_a_loop_in_optimised_code_that_nobody_attached_to_is_read_and_ended():
    with stopped(HOT) as s:
        frames = s.frames()
        equal(functions(frames), [("js", "spin"), ("js", "caller"), ("js", "")])
        equal([x["scope"] for x in s.scopes()], ["block", "local", "global"])
        local = shown(s.scope("local"))
        equal((local["n"], local["name"], local["go"]), ("5", "'five'", "true"))
        assert int(s.scope("block")["i"]["value"]["number"]) > 1000
        answer = s.assign("go", "false")
        equal((answer["error"], answer["rows"][0]["value"]["preview"]), (0, "false"))
        equal(s.value("go")["preview"], "false")
        equal(s.finish(), "end 5\n")


def test_a_variable_of_a_caller_is_set_from_the_outside_and_seen_after():
    with stopped(HOT) as s:
        equal(s.assign("top2", "top1 + 40", frame=2)["error"], 0)
        equal(s.value("top2")["preview"], "41")
        equal(s.assign("mine", "1", frame=1)["error"], 0)  # a debugger may, where nothing captured it
        equal(s.assign("n", "6")["error"], 0)
        equal(s.assign("go", "0")["error"], 0)
        equal(s.finish(), "end 6\n")


def test_frames_come_in_pages_with_the_indices_of_the_stack():
    program = """function down(n) { return n ? down(n - 1) + 1 : [1].map(() => { console.log(n); return 0; })[0]; }
down(700);
"""
    with standing(program) as s:
        everything = s.frames(most=2000)
        equal(len(everything), 704)
        paged, first = [], 0
        while True:
            answer = s.ask("frames", first, 100)
            paged += answer["rows"]
            first = answer["next"]
            if first == 0:
                break
        equal(paged, everything)
        equal(shown(s.scope("local", frame=502))["n"], "500")
        equal(s.ask("frames", 704, 10)["rows"], [])
        failed(s.ask("scopes", 704), "scopes", errno.ENOENT)
        failed(s.ask("scopes", 0), "scopes", errno.EOPNOTSUPP)  # of the host
        s.finish()


def test_frames_inside_of_natives_getters_and_proxies_are_read():
    program = """
[2, 1].sort(function compare(a, b) { console.log("sort"); return a - b; });
const o = { get g() { const inGetter = 1; console.log("getter"); return 1; } }; o.g;
new Proxy({}, { get(target, key) { console.log("trap"); return 1; } }).some;
"x".replace(/x/, function replacer(match) { console.log("replace"); return match; });
JSON.stringify({ toJSON(key) { console.log("json"); return 1; } });
"""
    wanted = [("compare", {"a": "2", "b": "1"}), ("get g", {"inGetter": "1"}),
              ("get", {"key": "'some'"}), ("replacer", {"match": "'x'"}), ("toJSON", {"key": "''"})]
    with Session(program, at="write") as s:
        for function, variables in wanted:
            s.stop()
            equal(functions(s.frames()), [("host", "console"), ("js", function), ("js", "")])
            local = shown(s.scope("local", 1))
            for name, value in variables.items():
                equal(local[name], value)
            s.go()
        s.stop()


def test_generators_and_async_functions_show_what_lived_across_their_pauses():
    program = """
function* generator(a) { const kept = a * 2; let got = yield kept; console.log(got); }
const it = generator(4); it.next(); it.next("in");
async function sleeper(b) { const before = b; const after = await before; console.log(after); }
sleeper(7);
async function* both(c) { for await (const item of [c, c + 1]) console.log(item); }
both(8).next();
"""
    with Session(program, at="write") as s:
        for function, variables in (("generator", {"a": "4", "kept": "8", "got": "'in'"}),
                                    ("sleeper", {"b": "7", "before": "7", "after": "7"}),
                                    ("both", {"c": "8"})):
            s.stop()
            equal(s.frames()[1]["function"], function)
            local = shown(s.scope("local", 1))
            for name, value in variables.items():
                equal(local[name], value)
            s.go()
        s.stop()
        equal(shown(s.scope("block", 1))["item"], "9")
        s.finish()


# ---- scopes


def test_a_closure_has_its_own_scope_its_functions_and_the_global_one():
    program = """const g = 0;
function outer(a) {
  let inOuter = a + 1; var unused = 5;
  return function middle(b, e = 6) {
    { let inBlock = b; return (c => { const d = c; console.log(a, inOuter, inBlock, d, e); })(3); }
  };
}
outer(1)(2);
"""
    with standing(program) as s:
        equal(kinds(s), [("local", ""), ("block", ""), ("closure", "middle"), ("closure", "outer")])
        equal(shown(s.scope("local", 1)), {"this": shown(s.scope("local", 1))["this"], "c": "3",
                                           "d": "3"})
        equal(shown(s.scope("block", 1)), {"inBlock": "2"})
        equal(shown(s.scope("closure", 1))["b"], "2")  # middle is on the stack: nothing is lost
        outer = s.scope("closure", 1, number=1)
        equal((shown(outer)["a"], shown(outer)["inOuter"]), ("1", "2"))
        # It has returned, and nobody had captured this.
        equal(outer["unused"]["value"]["type"], "unavailable")
        equal(shown(s.scope("global", 1))["g"], "0")
        failed(s.assign("unused", "1", 1), "assign", errno.EOPNOTSUPP)
        equal(s.finish(), "1 2 2 3 6\n")


def test_eval_code_with_blocks_catch_blocks_and_arguments_have_scopes():
    program = """
function outer(a) { eval("var added = a; let own = 2; console.log(added);"); }
outer(1);
function strict(a) { "use strict"; eval("var kept = a; console.log(kept);"); }
strict(2);
with ({ inWith: 3 }) { let block = 4; console.log(inWith); }
try { throw "ball"; } catch (caught) { console.log(caught); }
(function () { console.log(arguments[1]); })("x", "y");
new Function("p", "console.log(p)")(5);
"""
    with Session(program, at="write") as s:
        s.stop()
        equal([x for x, _ in kinds(s)], ["block", "local"])
        equal(shown(s.scope("block", 1)), {"own": "2"})
        equal(shown(s.scope("local", 1))["added"], "1")
        equal(s.frames()[1]["url"], "a.js line 2 > eval")
        s.go(), s.stop()
        equal(shown(s.scope("local", 1))["kept"], "2")
        s.go(), s.stop()
        equal(kinds(s), [("block", ""), ("with", "")])
        equal(shown(s.scope("with", 1))["inWith"], "3")
        equal(s.assign("inWith", "33", 1)["error"], 0)
        equal(s.value("inWith + block", 1)["preview"], "37")
        s.go(), s.stop()
        equal(shown(s.scope("block", 1)), {"caught": "'ball'"})
        s.go(), s.stop()
        equal(shown(s.scope("local", 1))["arguments"], "{0: 'x', 1: 'y'}")
        s.go(), s.stop()
        equal(shown(s.scope("local", 1))["p"], "5")
        equal(s.frames()[1]["url"], "a.js line 9 > Function")
        s.finish()


def test_a_module_has_its_own_scope_with_its_imports():
    files = {"m.mjs": "export let y = 4; export default 5; export function up() { y++; }\n"}
    program = """import five, { y as why, up } from "./m.mjs"; import * as all from "./m.mjs";
let mine = 2; export const exported = 3;
function inner(q) { console.log(why); }
inner(1);
const late = 1;
"""
    with standing(program, name="a.mjs", files=files) as s:
        equal(functions(s.frames()), [("host", "console"), ("js", "inner"), ("js", "")])
        equal([x for x, _ in kinds(s)], ["local", "module"])
        module = s.scope("module", 1)
        equal({n: shown(module)[n] for n in ("five", "why", "all", "mine", "exported")},
              {"five": "5", "why": "4", "all": "[Module]", "mine": "2", "exported": "3"})
        equal(module["late"]["value"]["type"], "unavailable")
        equal([module[n]["writable"] for n in ("mine", "why", "exported", "late")],
              [True, False, False, False])
        namespace = s.named(module["all"]["value"]["ref"])
        equal(shown(namespace)["y"], "4")
        for name in ("why", "exported", "late"):
            answer = s.assign(name, "9", 1)
            failed(answer, name, errno.EOPNOTSUPP)
            assert answer["why"], answer
        equal(s.assign("mine", "20", 1)["error"], 0)
        equal(s.value("mine + five + why", 1)["preview"], "29")
        equal({(x["kind"], x["url"]) for x in s.rows("sources", 0, 9)},
              {("module", "a.mjs"), ("module", "m.mjs")})
        s.finish()


def test_what_has_no_value_yet_is_unavailable_and_cannot_be_set():
    program = """function early() { console.log("now"); let later = 1; const never = 2; return [later, never]; }
early();
class Base { constructor() { console.log("base"); } }
class Derived extends Base { field = 1; #hidden = 2; constructor() { console.log("derived"); super(); } }
new Derived();
"""
    with standing(program) as s:
        local = s.scope("local", 1)
        for name in ("later", "never"):
            equal(local[name]["value"]["type"], "unavailable")
            equal(local[name]["writable"], False)
            failed(s.assign(name, "1", 1), name, errno.EOPNOTSUPP)
        assert s.evaluate("later", 1)["threw"]
        failed(s.assign("nowhere", "1", 1), "assign", errno.ENOENT)
        s.go(), s.stop()
        equal(s.scope("local", 1)["this"]["value"]["type"], "unavailable")
        s.finish()


def test_constants_stay_what_they_are():
    with stopped(HOT) as s:
        answer = s.assign("top1", "9")
        failed(answer, "assign", errno.EOPNOTSUPP)
        equal(answer["why"], "it is read-only")
        globals_ = s.scope("global")
        equal([globals_[n]["writable"] for n in ("top1", "top2", "top3", "undefined")],
              [False, True, True, False])
        equal(s.value("top1")["preview"], "1")
        failed(s.assign("undefined", "9"), "assign", errno.EOPNOTSUPP)
        s.ask("terminate")
    # So do those of a function, but for one that its frame alone has: of it the engine does not know.
    with standing("""function f(out) {
  const own = 1; let free = 2; const seen = 3; let shared = 4;
  console.log(() => seen + shared);
  return [own, free, seen, shared, out];
}
console.log(...f(0));
""") as s:
        equal({n: v["writable"] for n, v in s.scope("local", 1).items() if n in ("own", "seen", "shared")},
              {"own": True, "seen": False, "shared": True})
        answer = s.assign("seen", "9", 1)
        failed(answer, "assign", errno.EOPNOTSUPP)
        equal(answer["why"], "it is read-only")
        for name in ("own", "free", "shared", "out"):
            equal(s.assign(name, "9", 1)["error"], 0)
        equal(s.finish().splitlines()[-1], "9 9 3 9 9")


# ---- variables


PARTS = """
class Field { #secret = 1; open = 2; static s = 3; get late() { return 4; } }
class Other { #method() { return 1; } run() { return this.#method(); } }
const symbol = Symbol("sign");
const parts = {
  plain: { a: 1, "b c": "two", [symbol]: 3, 7: "seven" },
  array: [1, , 3],
  long: Array.from({ length: 1000 }, (_, i) => i * 2),
  sparse: Object.assign([], { 4000000000: "far" }),
  map: new Map([["k", { v: 1 }], [{}, "object key"]]),
  set: new Set(["one", [2]]),
  weakMap: new WeakMap(), weakSet: new WeakSet(), keys: [{ k: 1 }, { k: 2 }],
  typed: new Uint16Array([5, 60000]),
  big: new Float64Array(1 << 20).fill(0.5),
  buffer: new Uint8Array([1, 2, 255]).buffer,
  fulfilled: Promise.resolve({ x: 1 }),
  rejected: (() => { const p = Promise.reject(new Error("why")); p.catch(() => {}); return p; })(),
  pending: new Promise(() => {}),
  error: new TypeError("bad"),
  accessors: { get both() { return 1; }, set both(v) {}, get only() { return 2; }, set into(v) {} },
  hidden: Object.defineProperty({}, "dark", { value: 9, writable: false }),
  proxy: new Proxy({ inside: 1 }, { get() { throw 1; }, ownKeys() { throw 2; } }),
  nothing: Object.create(null),
  field: new Field(), other: new Other(),
  boxed: new Number(8), date: new Date(0), regexp: /a+/gi,
  named: function hello(a, b) {}, bound: parseInt,
  text: "y".repeat(10000), bigint: 2n ** 70n,
};
parts.self = parts;
for (const key of parts.keys) { parts.weakMap.set(key, [key.k]); parts.weakSet.add(key); }
console.log("parts");
"""


def test_objects_have_their_own_properties_whatever_they_are():
    with standing(PARTS) as s:
        def part(name):
            return s.object(f"parts.{name}", 1)

        equal(shown(part("plain")), {"7": "'seven'", "a": "1", "b c": "'two'", "Symbol(sign)": "3",
                                     "[[Prototype]]": "[Object: null prototype] {}"})
        array = part("array")
        equal((array["0"]["value"]["number"], "1" in array, array["length"]["value"]["number"]),
              (1, False, 3))
        equal(shown(part("sparse"))["4000000000"], "'far'")
        hidden = part("hidden")
        equal((shown(hidden)["dark"], hidden["dark"]["writable"]), ("9", False))
        equal(shown(part("proxy")).keys(), {"[[Target]]", "[[Handler]]"})
        equal(shown(s.named(part("proxy")["[[Target]]"]["value"]["ref"]))["inside"], "1")
        equal(shown(part("nothing")), {"[[Prototype]]": "null"})
        field = shown(part("field"))
        equal((field["#secret"], field["open"]), ("1", "2"))
        equal(list(part("other")), ["[[Prototype]]"])
        equal(shown(part("boxed"))["[[PrimitiveValue]]"], "8")
        equal(shown(part("named"))["name"], "'hello'")
        equal(shown(part("named"))["[[FunctionLocation]]"], "'a.js:26'")
        assert "bad" in shown(part("error"))["message"]
        assert "a.js:19:" in part("error")["[[Stack]]"]["value"]["text"]
        value = s.value("parts.text", 1)
        equal((value["truncated"], value["text"][:3], len(value["preview"]) <= 256),
              (True, "yyy", True))
        equal([s.value(f"{sign}(2n ** {n}n)", 1)["preview"] for n in (70, 795) for sign in ("", "-")],
              [sign + str(2 ** n) + "n" for n in (70, 795) for sign in ("", "-")])
        # Of a very long one the decimal digits would take their time.
        equal(s.value("2n ** 800n", 1)["preview"], "0x1" + 200 * "0" + "n")
        value = s.value("2n ** 400000n", 1)
        equal((value["truncated"], value["preview"][:4]), (True, "0x10"))
        # A cycle is a ref like any other.
        again = part("self")["self"]["value"]
        equal(again["preview"], s.value("parts", 1)["preview"])
        s.finish()


def test_elements_entries_and_bytes_come_in_pages():
    with standing(PARTS) as s:
        ref = s.value("parts.long", 1)["ref"]
        answer = s.ask("variables", ref, 300, 5, 0)
        equal(([r["name"] for r in answer["rows"]], [r["value"]["number"] for r in answer["rows"]],
               answer["next"], answer["total"]),
              (["300", "301", "302", "303", "304"], [600, 602, 604, 606, 608], 305, 1002))
        answer = s.ask("variables", ref, 1000, 5, 0)
        equal(([r["name"] for r in answer["rows"]], answer["next"]), (["length", "[[Prototype]]"], 0))
        equal(s.ask("variables", ref, 5000, 5, 0)["rows"], [])

        answer = s.ask("variables", s.value("parts.big", 1)["ref"], 1048570, 6, 0)
        equal(([(r["name"], r["value"]["number"]) for r in answer["rows"]][0], answer["next"],
               answer["total"]), (("1048570", 0.5), 1048576, 1048577))
        equal(shown(s.object("parts.typed", 1))["1"], "60000")
        equal({n: v for n, v in shown(s.object("parts.buffer", 1)).items() if n != "[[Prototype]]"},
              {"0": "1", "1": "2", "2": "255", "[[ByteLength]]": "3"})

        entries = s.object("parts.map", 1)
        equal((shown(entries)["0"], shown(entries)["1"]),
              ("'k' => {v: 1}", "{} => 'object key'"))
        entry = s.named(entries["0"]["value"]["ref"])
        equal((shown(entry)["key"], shown(entry)["value"]), ("'k'", "{v: 1}"))
        equal(shown(s.named(entry["value"]["value"]["ref"]))["v"], "1")
        second = s.ask("variables", s.value("parts.map", 1)["ref"], 1, 1, 0)
        equal(second["rows"][0]["value"]["preview"], "{} => 'object key'")
        equal([shown(s.object("parts.set", 1))[n] for n in "01"], ["'one'", "Array(1) [2]"])

        # Of weak collections what is in them now, in any order.
        entries = s.object("parts.weakMap", 1)
        equal(sorted(shown(entries)[n] for n in "01"), ["{k: 1} => Array(1) [1]", "{k: 2} => Array(1) [2]"])
        entry = shown(s.named(entries["0"]["value"]["ref"]))
        equal(entry["value"], f"Array(1) [{entry['key'][4]}]")
        equal(sorted(shown(s.object("parts.weakSet", 1))[n] for n in "01"), ["{k: 1}", "{k: 2}"])
        equal(shown(s.object("new WeakMap()", 1)).keys(), {"[[Prototype]]"})
        s.finish()


def test_promises_show_state_result_and_where_they_were_made():
    with standing(PARTS) as s:
        fulfilled, rejected, pending = (s.object(f"parts.{n}", 1)
                                        for n in ("fulfilled", "rejected", "pending"))
        equal((shown(fulfilled)["[[PromiseState]]"], shown(fulfilled)["[[PromiseValue]]"]),
              ("'fulfilled'", "{x: 1}"))
        equal((shown(rejected)["[[PromiseState]]"], shown(rejected)["[[PromiseReason]]"]),
              ("'rejected'", "Error: why"))
        equal((shown(pending)["[[PromiseState]]"], "[[PromiseValue]]" in pending),
              ("'pending'", False))
        assert "a.js:18:" in pending["[[AllocationSite]]"]["value"]["text"], pending
        s.finish()


def test_getters_are_listed_and_run_only_where_that_is_asked_for():
    program = """let ran = 0;
const o = { get fine() { ran++; return this.base; }, base: 5, get throws() { throw new Error("no"); },
            set only(v) { ran++; }, get slow() { for (;;); } };
console.log("here");
console.log(ran);
"""
    with standing(program) as s:
        row = s.object("o", 1)
        equal({n: (r["getter"], r["value"]["type"]) for n, r in row.items() if n != "[[Prototype]]"},
              {"fine": (True, "unavailable"), "base": (False, "number"),
               "throws": (True, "unavailable"), "only": (False, "undefined"),
               "slow": (True, "unavailable")})
        equal(s.value("ran", 1)["number"], 0)
        ref = s.value("o", 1)["ref"]
        run = s.named(ref, most=4, getters=True)
        equal((shown(run)["fine"], run["fine"]["getter"], run["fine"]["threw"]), ("5", False, False))
        equal((shown(run)["throws"], run["throws"]["threw"]), ("Error: no", True))
        equal(s.value("ran", 1)["number"], 1)
        # One that never ends is ended, and nothing else.
        answer = s.ask("variables", ref, 4, 1, 1, 50)
        equal(answer["error"], -errno.ECANCELED)
        equal(s.finish(), "here\n1\n")


def test_looking_runs_no_guest_code():
    program = """let ran = 0;
const count = () => { ran++; };
const trap = Object.create(null, { get: { value() { ran++; } }, set: { value() { ran++; } }, configurable: { value: true } });
const handler = new Proxy({}, { get() { ran++; } });
const o = { proxy: new Proxy(function () {}, handler), get g() { ran++; }, d: new Date(1), m: new Map([[1, 2]]),
            s: new Set([1]), e: new Error("x"), f() {}, p: Promise.resolve(1), t: new Uint8Array(3),
            [Symbol.toStringTag]: "mine", revoked: (() => { const r = Proxy.revocable({}, {}); r.revoke(); return r.proxy; })(),
            toJSON() { ran++; }, toString() { ran++; return ""; }, valueOf() { ran++; }, [Symbol.toPrimitive]() { ran++; } };
const names = ["key", "value", "url", "type", "names", "parent", "message", "stack", "then", "constructor", "length", "0",
               "return", "throw", "uninitialized", "optimizedOut", "missingArguments", "toJSON", "buffer", "next", "done"];
const todo = [[WebAssembly.Memory.prototype, "buffer"], [Function.prototype, "toString"],
              [[][Symbol.iterator]().__proto__, "next"], [new Map().entries().__proto__, "next"],
              [new Set().values().__proto__, "next"]];
for (const P of [Map, Set, Promise, Array, Uint8Array.__proto__, Date, RegExp])
  for (const key of Reflect.ownKeys(P.prototype)) todo.push([P.prototype, key]);
for (const name of names) todo.push([Object.prototype, name]);
const define = Object.defineProperty, size = todo.length;
for (let i = 0; i < size; i++) { const pair = todo[i]; try { define(pair[0], pair[1], trap); } catch {} }
ran = 0;
debugTarget(o);
function debugTarget(local) { const inner = { local }; ran = 0; console.log("stand"); globalThis.final = ran; }
console.log(final);
"""
    with standing(program) as s:
        before = s.value("ran", 1)["number"]
        todo, seen = [x["ref"] for x in s.scopes(1) + s.scopes(2)], 0
        while todo and seen < 400:
            answer = s.ask("variables", todo.pop(0), 0, 100, 0)
            equal(answer["error"], 0)
            todo += [r["value"]["ref"] for r in answer["rows"] if r["value"]["ref"]]
            seen += 1
        s.frames()
        s.rows("sources", 0, 100)
        s.rows("source_text", 0, text("a.js"), 0, 100)
        assert s.value("local", 1)["preview"]
        equal(s.value("ran", 1)["number"], before)
        assert seen > 100, seen
        s.finish()


def test_refs_end_when_the_vm_goes_on():
    with standing('const o = {a: 1};\nconsole.log(1);\nconsole.log(2);\n') as s:
        ref = s.value("o", 1)["ref"]
        scope = s.scopes(1)[0]["ref"]
        equal(s.ask("variables", ref, 0, 9, 0)["error"], 0)
        s.go()
        s.stop()
        for old in (ref, scope, 12345678):
            failed(s.ask("variables", old, 0, 9, 0), "variables", errno.ENOENT)
        assert s.value("o", 1)["ref"] > ref
        s.finish()


# ---- evaluation


def test_expressions_and_statements_are_evaluated_where_the_frame_is():
    with stopped(HOT) as s:
        for expression, preview, json in (
                ("n + 1", "6", "6"), ("name", "'five'", '"five"'), ("let q = n * 2; q + 1", "11", "11"),
                ("{a: n, b: [1, null]}", "{a: 5, b: Array(2)}", '{"a":5,"b":[1,null]}'),
                ("if (n) { 'yes' } else { 'no' }", "'yes'", '"yes"'), ("{ n; }", "5", "5"),
                ("undefined", "undefined", None), ("NaN", "NaN", None), ("-0", "-0", "0"),
                ("10n ** 20n", "100000000000000000000n", None), ("Symbol('x')", "Symbol(x)", None),
                ("[1,,'a\\n']", "Array(3) [1, <1 empty item>, 'a\\n']", '[1,null,"a\\n"]'),
                ("({f() {}, u: undefined, d: 1.5})", "{f: [Function: f], u: undefined, d: 1.5}",
                 '{"d":1.5}'),
                ("new Date(0)", "1970-01-01T00:00:00.000Z", None), ("new Map", "Map(0) {}", None),
                ("({toJSON: () => 1})", "{toJSON: [Function: toJSON]}", None),
                ("({get a() { return 1; }})", "{a: [Getter]}", None),
                ("[1].map", "[Function: map]", None)):
            row = s.evaluate(expression)
            equal((expression, row["threw"], row["value"]["preview"], row["json"]),
                  (expression, False, preview, json))
        cycle = s.evaluate("const c = {}; c.c = c; c")
        equal(cycle["json"], None)
        equal(s.evaluate("arguments.length")["value"]["number"], 2)
        equal(s.evaluate("mine.length", frame=1)["value"]["number"], 1)
        s.assign("go", "false")
        s.finish()


def test_what_is_thrown_is_handed_over_and_ends_nothing():
    with stopped(HOT) as s:
        for expression, preview in (("throw new RangeError('far')", "RangeError: far"),
                                    ("throw {code: 1}", "{code: 1}"), ("nowhere", None),
                                    ("1 +", None), ("await 1", None), ("null.x", None)):
            row = s.evaluate(expression)
            assert row["threw"] and row["json"] is None, (expression, row)
            if preview:
                equal(row["value"]["preview"], preview)
        row = s.evaluate("throw new Error('deep')")
        assert "debugger eval code" in s.named(row["value"]["ref"])["[[Stack]]"]["value"]["text"]
        row = s.evaluate("(function f() { return f() + 1; })()")
        assert row["threw"] and "recursion" in row["value"]["preview"], row
        s.assign("go", "false")
        equal(s.finish(), "end 5\n")


def test_an_expression_that_never_ends_is_ended_and_the_vm_and_the_next_go_on():
    with stopped(HOT) as s:
        for expression in ("for (;;);", "try { for (;;); } finally { top2 = 'finally'; }",
                           "[1, 2].sort(() => { for (;;); })", "while (true) try { for (;;); } catch {}"):
            equal(s.evaluate(expression, limit_ms=50), -errno.ECANCELED)
            equal(s.value("n")["number"], 5)
        equal(s.value("top2")["number"], 2)
        failed(s.assign("go", "(() => { for (;;); })()", limit_ms=50), "assign", errno.ECANCELED)
        equal(s.value("go")["preview"], "true")
        s.assign("go", "false")
        equal(s.finish(), "end 5\n")


def test_an_evaluation_cannot_end_the_program_wait_or_fail_it_later():
    with stopped(HOT) as s:
        wait = "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000)"
        for expression in ("process.exit(3)", wait, "console.log('wait')"):
            row = s.evaluate(expression)
            assert row["threw"], (expression, row)
        equal(s.evaluate(f"try {{ {wait} }} catch (e) {{ 'caught' }}")["value"]["text"], "caught")
        equal(s.evaluate("console.log('said')")["threw"], False)
        s.value("Promise.reject(new Error('nobody handles this'))")
        s.assign("go", "false")
        equal(s.finish(), "said\nend 5\n")


def test_no_job_timer_or_message_runs_while_a_debugger_evaluates():
    program = """globalThis.log = [];
Promise.resolve().then(() => log.push("job"));
setTimeout(() => { log.push("timer"); console.log(log.join()); }, 1);
console.log("stand");
"""
    with standing(program) as s:
        equal(s.value("Promise.resolve().then(() => log.push('mine')); queueMicrotask(() => log.push('too')); "
                      "setTimeout(() => log.push('late'), 0); log.length", 1)["number"], 0)
        equal(s.value("log.length", 1)["number"], 0)
        out = s.finish()
        assert out.startswith("stand\njob,mine,too,"), out


def test_running_out_of_memory_is_the_evaluation_s_own_error():
    with stopped(HOT, *INTERRUPTED, f"--heap={8 * MB}") as s:
        row = s.evaluate("let list = null; for (;;) list = { list, more: [1, 2, 3] };")
        assert row["threw"] and "memory" in row["value"]["preview"], row
        equal(s.value("n + 1")["number"], 6)
        s.assign("go", "false")
        equal(s.finish(), "end 5\n")


def test_an_idle_vm_has_no_frames_and_evaluates_in_its_realms():
    program = """globalThis.shared = { n: 1 };
const other = createRealm(); other.here = "there";
setTimeout(() => console.log(shared.n, other.here), 50);
"""
    with standing(program, where="idle") as s:
        equal(s.frames(), [])
        failed(s.ask("scopes", 0), "scopes", errno.ENOENT)
        failed(s.ask("evaluate", 0, 0, 1, 0, text("1")), "evaluate", errno.ENOENT)
        realms = s.rows("realms")
        equal([r["realm"] for r in realms], [1, 2])
        equal(s.evaluate("++shared.n", NONE)["value"]["number"], 2)
        equal(s.evaluate("here", NONE, realm=2)["value"]["text"], "there")
        equal(s.evaluate("here", NONE, realm=1)["threw"], True)
        equal(s.evaluate("here = 'changed'", NONE, realm=2)["threw"], False)
        equal(s.evaluate("for (;;);", NONE, limit_ms=50), -errno.ECANCELED)
        equal(s.evaluate("1", NONE, realm=77), -errno.ENOENT)
        s.go()
        while s.stop():
            s.go()
        s.end()
        equal(s.out, "2 changed\n")


def test_a_vm_that_waits_in_a_host_call_is_looked_at_and_changed():
    program = """const cell = new Int32Array(new SharedArrayBuffer(4));
function waits(label) { Atomics.wait(cell, 0, 0, 20); return label; }
console.log(waits("before"));
"""
    with standing(program, where="sleep") as s:
        equal(functions(s.frames()), [("host", "Atomics.wait"), ("js", "waits"), ("js", "")])
        equal(shown(s.scope("local", 1))["label"], "'before'")
        equal(s.assign("label", "'after'", 1)["error"], 0)
        equal(s.value("cell[0] = 7", 1)["number"], 7)
        equal(s.finish(), "after\n")


def test_a_setter_or_a_proxy_in_the_way_of_an_assignment():
    program = """Object.defineProperty(globalThis, "guarded", { get() { return 1; }, set(v) { globalThis.seen = v; if (v === 2) throw new Error("two"); } });
Object.defineProperty(globalThis, "getterOnly", { get() { return 1; } });
with (new Proxy({}, { has(target, key) { return key === "ghost"; } })) console.log("x");
"""
    with standing(program) as s:
        failed(s.assign("guarded", "1", 1), "assign", errno.EOPNOTSUPP)  # the proxy could have it
        equal(s.assign("guarded", "1", 1)["why"], "a proxy stands in its scope")
    program = program.replace("with (new Proxy({}, { has(target, key) { return key === \"ghost\"; } })) ", "")
    with standing(program) as s:
        equal(s.assign("guarded", "1", 1)["error"], 0)
        equal(s.value("seen", 1)["number"], 1)
        assert s.assign("guarded", "2", 1)["rows"][0]["threw"]
        equal(s.assign("getterOnly", "2", 1)["why"], "it is read-only")
        s.finish()


# ---- sources


def test_all_sources_are_listed_and_those_collected_are_not():
    program = """//# sourceMappingURL=a.js.map
const kept = new Function("a", "return a + 1");
eval("globalThis.f = function () { return 1; }");
(() => { eval("1 + 1"); new Function("return 2")(); })();
console.log("one");
globalThis.f = null;
console.log("two");
"""
    with standing(program) as s:
        s.ask("gc")
        rows = s.rows("sources", 0, 100)
        equal([(r["url"], r["kind"]) for r in sorted(rows, key=lambda r: r["url"])],
              [("a.js", "script"), ("a.js line 2 > Function", "function"),
               ("a.js line 3 > eval", "eval")])
        main = [r for r in rows if r["kind"] == "script"][0]
        equal((main["source_map"], main["lines"], main["text_bytes"]),
              ("a.js.map", 7, len(program.encode())))
        s.evaluate("1 + 1", 1)
        equal(s.rows("sources", 0, 100), rows)
        s.go()
        s.stop()
        s.ask("gc")
        later = s.rows("sources", 0, 100)
        equal({r["id"] for r in later}, {r["id"] for r in rows if r["kind"] != "eval"})
        failed(s.ask("source_text", [r["id"] for r in rows if r["kind"] == "eval"][0], "-", 0, 9),
               "source_text", errno.ENOENT)
        first = s.ask("sources", 0, 1)
        equal((first["rows"], first["next"]), (later[:1], 1))
        equal(s.rows("sources", 1, 5), later[1:])
        s.finish()


def test_a_source_is_read_in_pages_that_split_no_character():
    program = "const s = '\u00e4\u20ac\U0001d11e'.repeat(2);\nconsole.log(s);\n"
    with standing(program) as s:
        data = program.encode()
        for size in (1, 3, 4, 5, 7, 1000):
            got, first = b"", 0
            while first < len(data):
                (row,) = s.rows("source_text", 0, text("a.js"), first, size)
                page = bytes.fromhex(row["bytes"])
                assert page and len(page) <= size
                if size >= 4:
                    page.decode()
                got += page
                first += len(page)
            equal(got, data)
        (row,) = s.rows("source_text", 0, text("a.js"), 12, 5)  # in the middle of one
        equal(bytes.fromhex(row["bytes"]), data[12:16])
        (row,) = s.rows("source_text", 0, text("*.js"), len(data) + 5, 5)
        equal(row["bytes"], "")
        failed(s.ask("source_text", 0, text("b.js"), 0, 5), "source_text", errno.ENOENT)
        failed(s.ask("source_text", 999, "-", 0, 5), "source_text", errno.ENOENT)
        s.finish()


# ---- WebAssembly


def module(shared=False):
    """f(x): loops until memory[0] is not 0, and returns x; g(x) calls it. One local, one global."""
    load = b"\xfe\x10\x02\x00" if shared else b"\x28\x02\x00"
    loop = b"\x03\x40" + wasm.const(0) + load + b"\x45\x0d\x00\x0b\x20\x00"
    bodies = [b"\x01\x01\x7e" + loop + b"\x0b", b"\x00\x20\x00" + wasm.call(0) + b"\x0b"]
    out = b"\0asm\x01\0\0\0" + wasm.section(1, wasm.vector([b"\x60\x01\x7f\x01\x7f"]))
    out += wasm.section(3, wasm.vector([b"\x00", b"\x00"]))
    out += wasm.section(5, b"\x01\x03\x01\x04" if shared else b"\x01\x00\x01")
    out += wasm.section(6, wasm.vector([b"\x7f\x01" + wasm.const(42) + b"\x0b"]))
    out += wasm.section(7, wasm.vector([wasm.name("g") + b"\0\x01", wasm.name("memory") + b"\x02\0"]))
    out += wasm.section(10, wasm.vector([wasm.uleb(len(b)) + b for b in bodies]))
    return out


def calls_wasm(**more):
    return f"""const bytes = new Uint8Array({list(module(**more))});
function callWasm(memory) {{
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes));
  memory = instance.exports.memory; memory.grow(1);
  return instance.exports.g(9);
}}
console.log(callWasm());
"""


def test_webassembly_frames_have_locals_globals_and_memory():
    for shared in (False, True):
        with stopped(calls_wasm(shared=shared), "--debug", *INTERRUPTED) as s:
            frames = s.frames()
            equal([f["kind"] for f in frames], ["wasm", "wasm", "js", "js"])
            equal([x["scope"] for x in s.scopes(0)], ["wasm", "global"])
            inner = s.scope("wasm", 0)
            equal({n: shown(inner)[n] for n in ("var0", "var1", "global0")},
                  {"var0": "9", "var1": "0", "global0": "42"})
            assert "memory0" in inner
            equal(inner["var0"]["writable"], False)
            answer = s.assign("var0", "1")
            equal((answer["error"], answer["why"]),
                  (-errno.EOPNOTSUPP, "WebAssembly locals cannot be set"))
            equal(shown(s.scope("local", 2))["memory"][:6], "Memory")

            # Two pages: it has grown.
            answer = s.ask("read", 0, 0, 2 * 65536 - 2, 2)
            equal((answer["error"], answer["memory_bytes"], answer["bytes"]), (0, 131072, "0000"))
            for address, length in ((131071, 2), (131073, 0), (1 << 63, 1)):
                answer = s.ask("read", 0, 0, address, length)
                equal((answer["error"], answer["memory_bytes"]), (-errno.ERANGE, 131072))
            failed(s.ask("read", 0, 1, 0, 1), "read", errno.ENOENT)
            failed(s.ask("read", 2, 0, 0, 1), "read", errno.EOPNOTSUPP)
            failed(s.ask("read", NONE, 0, 0, 1), "read", errno.ENOENT)

            (source,) = [r for r in s.rows("sources", 0, 9) if r["kind"] == "wasm"]
            equal((source["url"], source["text_bytes"]), (frames[0]["url"], len(module(shared))))
            (row,) = s.rows("source_text", source["id"], "-", 0, 1000)
            equal(bytes.fromhex(row["bytes"]), module(shared))
            equal(s.ask("write", 0, 0, 0, "01000000")["error"], 0)
            equal(s.ask("read", 1, 0, 0, 4)["bytes"], "01000000")
            equal(s.finish(), "9\n")


def test_webassembly_that_was_not_compiled_for_inspection_is_listed_and_closed():
    with stopped(calls_wasm()) as s:
        equal([f["kind"] for f in s.frames()], ["wasm", "wasm", "js", "js"])
        for frame in (0, 1):
            failed(s.ask("scopes", frame), "scopes", errno.EOPNOTSUPP)
            failed(s.ask("evaluate", frame, 0, 1, 0, text("1")), "evaluate", errno.EOPNOTSUPP)
            failed(s.ask("read", frame, 0, 0, 1), "read", errno.EOPNOTSUPP)
        # Its callers are not, and they have the memory.
        equal(s.value("new Uint8Array(memory.buffer)[0] = 1", 2)["number"], 1)
        (source,) = [r for r in s.rows("sources", 0, 9) if r["kind"] == "wasm"]
        equal(source["text_bytes"], 0)
        failed(s.ask("source_text", source["id"], "-", 0, 9), "source_text", errno.EOPNOTSUPP)
        equal(s.finish(), "9\n")


def test_a_webassembly_program_has_its_memory_and_bytes_without_debug_too():
    program = wasm.prints("hello\n")
    for options in ((), ("--debug",)):
        with Session(program, *options, name="hello.wasm", at="wasi") as s:
            s.stop()
            equal(functions(s.frames()), [("host", "fd_write"), ("wasm", "wasm-function[2]")])
            for frame in (NONE, 1):
                answer = s.ask("read", frame, 0, 1032, 6)
                equal((answer["error"], bytes.fromhex(answer["bytes"])), (0, b"hello\n"))
            if options:
                assert "memory0" in s.scope("wasm", 1)
            else:
                failed(s.ask("scopes", 1), "scopes", errno.EOPNOTSUPP)
            equal([(r["url"], r["kind"]) for r in s.rows("sources", 0, 9)], [("hello.wasm", "wasm")])
            (row,) = s.rows("source_text", 0, text("hello.wasm"), 0, 10000)
            equal(bytes.fromhex(row["bytes"]), program)
            equal(s.ask("write", NONE, 0, 1032, b"HELLO".hex())["error"], 0)
            equal(s.finish(), "HELLO\n")


# ---- the guest must not notice


def test_programs_print_the_same_while_somebody_looks():
    ran = stops = 0
    for name in sorted(os.listdir(PROGRAMS)):
        stem, kind = os.path.splitext(name)
        if kind not in (".js", ".mjs") or os.path.exists(f"{PROGRAMS}/{stem}.args"):
            continue
        with open(f"{EXPECTED}/{stem}.out", encoding="utf-8") as f:
            wanted = f.read()
        with open(f"{EXPECTED}/{stem}.code", encoding="utf-8") as f:
            code = int(f.read())
        with Session("", "--interrupt=3000", "--interrupts=4", name=name, at="safe_point,sleep,write",
                     folder=PROGRAMS) as s:
            here = 0
            while s.stop():
                if here < 20:
                    for frame in range(min(3, len(s.frames()))):
                        answer = s.ask("scopes", frame)
                        for scope in answer["rows"][:2]:
                            s.variables(scope["ref"], most=20)
                    s.rows("sources", 0, 5)
                here += 1
                s.go()
            s.end()
            assert (s.out, s.code) == (wanted, code), (name, s.out[-500:], s.err[-500:], s.code)
            ran, stops = ran + 1, stops + here
    assert ran > 50 and stops > 500, (ran, stops)
    print(f"# {ran} programs, {stops} stops")


def test_a_loop_is_as_fast_after_somebody_looked_and_the_stop_is_quick():
    program = """function work(o, n) {
  let s = 0;
  for (let i = 0; i < n; i++) { o.x = (o.x + i) & 0xffff; s += o.f(i); }
  return s;
}
class A { constructor() { this.x = 1; } f(i) { return (i ^ this.x) & 7; } }
const o = new A();
work(o, 1e7);
function time() { const t = performance.now(); work(o, 1e7); return performance.now() - t; }
const best = () => Math.min(time(), time(), time(), time());
const before = best();
console.log("ask");
let after = best();
// It is compiled by other threads, which a busy machine may keep waiting.
for (let i = 0; i < 30 && after > 3 * before; i++) after = Math.min(after, time());
console.log((after / before).toFixed(3));
"""
    ratios = {}
    for what, ask in (("sources", lambda s: s.rows("sources", 0, 9)),
                      ("evaluate in a realm", lambda s: s.evaluate("o.x", NONE)),
                      ("scopes", lambda s: s.scopes(1))):
        with standing(program) as s:
            ask(s)
            ratios[what] = float(s.finish().split()[1])
    print("# time after by time before: " + ", ".join(f"{k} {v:.3f}" for k, v in ratios.items()))
    # Reported, not judged, but for a loop that stays in the interpreter.
    for ratio in ratios.values():
        assert ratio < 10, ratios
    costs = {}
    with Session(HOT, "--interrupt=3000") as s:
        for _ in range(15):
            s.stop()
            for verb, words in (("frames", ("frames", 0, 20)), ("scopes", ("scopes", 0)),
                                ("evaluate", ("evaluate", 0, 0, 0, 0, text("n")))):
                costs.setdefault(verb, []).append(s.ask(*words)["us"])
            costs.setdefault("resume", []).append(s.go()["resumed_us"])
        s.stop()
        s.ask("terminate")
    print("# CPU us, first and median of 15 stops in a hot loop: " + ", ".join(
        f"{verb} {us[0]} {sorted(us)[7]}" for verb, us in costs.items()))


if __name__ == "__main__":
    sys.exit(tap.run(globals(), sys.argv[1:]))
