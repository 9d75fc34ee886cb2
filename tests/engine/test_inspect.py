#!/usr/bin/python3
"""What a VM of SpiderMonkey answers when it is asked for its stack, a census, a collection: the
adapter in engine-host, which plays the worker (tests/support/engine_host). Prints TAP.

    test_inspect.py [WORD...]

Runs in the build folder. With words, only tests whose name has one of them are run.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests", "support"))

import tap  # noqa: E402  pylint: disable=wrong-import-position
import wasm  # noqa: E402  pylint: disable=wrong-import-position

HOST = os.path.abspath("tests/support/engine_host/engine-host")
PROGRAMS = os.path.join(TOP, "tests", "conformance", "programs")
EXPECTED = os.path.join(TOP, "tests", "conformance", "expected")
PATIENCE = 120  # seconds; whatever takes this long hangs
MB = 1 << 20


class Run:
    """One program that ended: what it printed, and what it answered, in order."""

    def __init__(self, program, *options, name="a.js", kinds="s", cwd=None, limit=None):
        with tempfile.TemporaryDirectory() as folder:
            if cwd is None:
                mode = "wb" if isinstance(program, bytes) else "w"
                with open(os.path.join(folder, name), mode) as f:
                    f.write(program)
            report, end = os.pipe()
            with open(os.path.join(folder, "report"), "w+b") as f:
                os.dup2(f.fileno(), end)
                os.close(report)
                done = subprocess.run(
                    [HOST, f"--inspect={kinds}", f"--report={end}", *options, name],
                    cwd=cwd or folder, capture_output=True, timeout=PATIENCE, check=False,
                    pass_fds=(end,), text=True, stdin=subprocess.DEVNULL,
                    preexec_fn=limit)  # pylint: disable=subprocess-popen-preexec-fn
                os.close(end)
                f.seek(0)
                self.answers = [json.loads(line) for line in f]
        self.out, self.err, self.code = done.stdout, done.stderr, done.returncode

    def ok(self):
        assert self.code == 0, f"code {self.code}: {self.err}"
        for a in self.answers:
            assert a["error"] == 0, a
        return self

    def at(self, where, what):
        """The answers of one kind from one sort of place."""
        return [a for a in self.answers if a["where"] == where and what in a]


INTERRUPTED = ("--interrupt-after=100000",)


def hot(body, more=""):
    """A program whose `body` is an expression of `i` in a loop that is long enough to be optimised
    and interrupted."""
    return f"""{more}
function spin(n) {{
  let s = 0;
  for (let i = 0; i < n; i++) {{ s = (s + ({body})) | 0; }}
  return s;
}}
function caller() {{ return spin(4e8); }}
console.log(caller());
"""


def functions(answer):
    return [f["function"] for f in answer["frames"]]


def equal(got, wanted):
    assert got == wanted, f"{got!r} is not {wanted!r}"


# ---- stacks


def test_a_hot_loop_in_optimised_code_has_its_stack():
    r = Run(hot("i & 7"), *INTERRUPTED).ok()
    (a,) = r.at("safe_point", "frames")
    equal(functions(a), ["spin", "caller", ""])
    inner, caller, top = a["frames"]
    equal([f["kind"] for f in a["frames"]], ["js"] * 3)
    equal([f["url"] for f in a["frames"]], ["a.js"] * 3)
    equal((inner["line"], caller["line"], top["line"]), (4, 7, 8))
    equal((caller["column"], top["column"]), (28, 13))
    assert inner["column"] > 0 and inner["offset"] == 0
    equal(a["truncated"], False)
    equal(r.out, f"{sum(range(8)) * 50000000}\n")


def test_inlined_functions_are_frames_too():
    r = Run(hot("mul(i, 3)", "const mul = (a, b) => Math.imul(a, b) & 7;"), *INTERRUPTED).ok()
    (a,) = r.at("safe_point", "frames")
    assert functions(a)[-3:] == ["spin", "caller", ""], a
    assert len(a["frames"]) == 3 or functions(a)[0] == "mul", a


def two_functions(names):
    """spin(n) counts down; outer(n) calls it. Returns the module and the offsets of their code."""
    loop = (b"\x03\x40" + b"\x20\x00" + wasm.const(1) + b"\x6b\x22\x00" + b"\x0d\x00" + b"\x0b"
            + b"\x20\x00")
    bodies = [b"\x00" + code + b"\x0b" for code in (loop, b"\x20\x00" + wasm.call(0))]
    out = b"\0asm\x01\0\0\0" + wasm.section(1, wasm.vector([b"\x60\x01\x7f\x01\x7f"]))
    out += wasm.section(3, wasm.vector([b"\x00", b"\x00"]))
    out += wasm.section(7, wasm.vector([wasm.name("outer") + b"\0\x01"]))
    out += wasm.section(10, wasm.vector([wasm.uleb(len(b)) + b for b in bodies]))
    if names:
        table = wasm.vector([wasm.uleb(0) + wasm.name("spin"), wasm.uleb(1) + wasm.name("outer")])
        out += wasm.section(0, wasm.name("name") + b"\x01" + wasm.uleb(len(table)) + table)
    return out, [(out.find(b), out.find(b) + len(b)) for b in bodies]


def test_a_hot_webassembly_loop_called_from_javascript_has_its_stack():
    for names, wanted in ((True, ["spin", "outer"]),
                          (False, ["wasm-function[0]", "wasm-function[1]"])):
        module, code = two_functions(names)
        r = Run(f"""const bytes = new Uint8Array({list(module)});
function callWasm() {{
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes));
  return instance.exports.outer(2000000000);
}}
console.log(callWasm());
""", *INTERRUPTED).ok()
        (a,) = r.at("safe_point", "frames")
        equal(functions(a), wanted + ["callWasm", ""])
        equal([f["kind"] for f in a["frames"]], ["wasm", "wasm", "js", "js"])
        for frame, (start, end) in zip(a["frames"], code):
            assert start < frame["offset"] <= end, (frame, start, end)
            equal((frame["line"], frame["column"]), (0, 0))
            assert frame["url"].startswith("a.js line 3 > WebAssembly.Module"), frame
        equal((a["frames"][2]["line"], a["frames"][3]["line"]), (4, 6))
        equal(r.out, "0\n")


def test_a_webassembly_program_names_itself_and_the_function_it_waits_in():
    r = Run(wasm.prints("hello\n"), name="hello.wasm").ok()
    (a,) = r.at("wasi", "frames")
    equal([(f["kind"], f["function"], f["url"]) for f in a["frames"]],
          [("host", "fd_write", ""), ("wasm", "wasm-function[2]", "hello.wasm")])
    assert a["frames"][1]["offset"] > 0
    r = Run(wasm.command(wasm.FOREVER), *INTERRUPTED, "--terminate=400", name="loop.wasm")
    a = r.at("safe_point", "frames")[0]
    equal([(f["kind"], f["url"]) for f in a["frames"]], [("wasm", "loop.wasm")])


def test_a_deep_recursion_is_cut_at_its_outer_end():
    program = """function work() { let s = 0; for (let i = 0; i < 4e8; i++) s ^= i; return s; }
function down(n) { return n ? down(n - 1) + 1 : work(); }
console.log(down(1000));
"""
    for most, truncated in ((512, True), (1002, True), (1003, False), (5000, False)):
        r = Run(program, *INTERRUPTED, f"--max-frames={most}").ok()
        (a,) = r.at("safe_point", "frames")
        equal(len(a["frames"]), min(most, 1003))
        equal(a["truncated"], truncated)
        equal(functions(a)[:2], ["work", "down"])
        equal(functions(a)[-1], "down" if truncated else "")


def test_a_vm_in_atomics_wait_shows_that_and_its_callers():
    r = Run("""const cell = new Int32Array(new SharedArrayBuffer(4));
function waits() { return Atomics.wait(cell, 0, 0, 20); }
console.log([1, 2].map(() => waits()).join());
""").ok()
    equal(len(r.at("sleep", "frames")), 2)
    for a in r.at("sleep", "frames"):
        equal([(f["kind"], f["function"], f["line"]) for f in a["frames"]],
              [("host", "Atomics.wait", 0), ("js", "waits", 2), ("js", "", 3), ("js", "", 3)])
    equal(r.out, "timed-out,timed-out\n")


def test_an_idle_vm_has_no_frames_and_a_timer_has_its_own_only():
    r = Run("""setTimeout(function later() { console.log("later"); }, 20);
console.log("now");
""").ok()
    assert r.at("idle", "frames")
    for a in r.at("idle", "frames"):
        equal((a["frames"], a["truncated"]), ([], False))
    equal([functions(a) for a in r.at("write", "frames")], [["console", ""], ["console", "later"]])


def test_a_module_that_awaits_at_its_top_level_has_no_frames():
    r = Run("""console.log("before");
await new Promise(done => setTimeout(done, 20));
console.log("after");
""", name="a.mjs").ok()
    assert r.at("idle", "frames")
    for a in r.at("idle", "frames"):
        equal(a["frames"], [])
    equal([[(f["function"], f["url"], f["line"]) for f in a["frames"]]
           for a in r.at("write", "frames")],
          [[("console", "", 0), ("", "a.mjs", 1)], [("console", "", 0), ("", "a.mjs", 3)]])


def test_what_eval_and_function_make_says_where_they_were_called():
    r = Run("""eval("console.log(1)");
new Function("console.log(2)")();
""").ok()
    urls = [[f["url"] for f in a["frames"]] for a in r.at("write", "frames")]
    equal(urls, [["", "a.js line 1 > eval", "a.js"], ["", "a.js line 2 > Function", "a.js"]])


# ---- census


def test_a_census_moves_by_what_was_made_and_dropped():
    r = Run("""class Foo { constructor(i) { this.i = i; } }
let foos = [], arrays = [], maps = [], buffers = [], shared = [], text = [];
console.log("empty");
for (let i = 0; i < 5000; i++) foos.push(new Foo(i));
for (let i = 0; i < 1000; i++) arrays.push(new Array(100).fill(i));
for (let i = 0; i < 300; i++) maps.push(new Map([[i, i]]));
for (let i = 0; i < 20; i++) buffers.push(new ArrayBuffer(1 << 20));
for (let i = 0; i < 3; i++) shared.push(new SharedArrayBuffer(1 << 20));
for (let i = 0; i < 10; i++) text.push("x".repeat(1 << 20) + i).length, text[i].charCodeAt(0);
console.log("full");
foos = foos.slice(0, 2000); maps = []; buffers.length = 5;
console.log("less");
""", kinds="c").ok()
    empty, full, less = [a["classes"] for a in r.at("write", "classes")]

    def moved(name, before, after, column=0):
        return after.get(name, [0, 0])[column] - before.get(name, [0, 0])[column]

    equal(moved("Object", empty, full), 5000)
    equal(moved("Map", empty, full), 300)
    equal(moved("ArrayBuffer", empty, full), 20)
    equal(moved("SharedArrayBuffer", empty, full), 3)
    assert 1000 <= moved("Array", empty, full) < 1010
    assert 20 * MB <= moved("ArrayBuffer", empty, full, 1) < 20.1 * MB
    assert moved("Array", empty, full, 1) > 1000 * 100 * 8
    assert 10 * MB <= moved("(string)", empty, full, 1) < 11 * MB or \
        moved("(string)", empty, full) >= 10
    equal(moved("Object", full, less), -3000)
    equal(moved("Map", full, less), -300)
    equal(moved("ArrayBuffer", full, less), -15)


def test_a_census_of_a_hot_loop_counts_what_it_has_just_made():
    r = Run(hot("(keep[i & 1023] = [i]).length", "const keep = new Array(1024).fill(0);"),
            *INTERRUPTED, kinds="c").ok()
    (a,) = r.at("safe_point", "classes")
    assert a["classes"]["Array"][0] >= 1025, a["classes"]["Array"]


def test_a_census_without_memory_for_it_fails_and_nothing_else():
    failed = 0
    # Somewhere there is room for the heap and none for the census of it.
    for limit in range(60, 44, -2):
        r = Run("""const keep = [];
for (let i = 0; i < 300000; i++) keep.push({i, t: [i]});
console.log("built");
console.log(keep.length);
""", kinds="cs", limit=lambda l=limit: resource.setrlimit(resource.RLIMIT_DATA, (l * MB, l * MB)))
        if (r.out, r.code) != ("built\n300000\n", 0):
            break  # no room for the heap either
        errors = [a["error"] for a in r.at("write", "classes")]
        assert set(errors) <= {0, -12}, errors
        equal([a["error"] for a in r.at("write", "frames")], [0, 0])
        failed += errors.count(-12)
    assert failed


# ---- collections


def test_a_collection_frees_the_garbage_of_a_stopped_hot_loop():
    r = Run("""let keep, s = 0;
function spin(n) {
  for (let i = 0; i < n; i++) {
    s = (s + i) | 0;
    if (i === 1000000) { keep = []; for (let j = 0; j < 30; j++) keep.push(new ArrayBuffer(1 << 20)); }
    if (i === 2000000) keep = null;
  }
}
for (let r = 0; r < 300; r++) spin(3000000);
console.log(s);
""", "--interrupt=20000", "--interrupts=10", kinds="g").ok()
    collections = r.at("safe_point", "before")
    assert len(collections) >= 3, len(collections)  # 10, unless the loop was over before
    for a in collections:
        assert a["after"] < a["before"] + 65536 and a["after"] < 31.5 * MB, a
    assert any(a["before"] - a["after"] > 20 * MB for a in collections), collections


def test_a_collection_counts_and_frees_array_buffers():
    r = Run("""let keep = new ArrayBuffer(40 << 20), small = [];
for (let i = 0; i < 100000; i++) small.push({i});
console.log("full");
keep = small = null;
console.log("empty");
""", kinds="g").ok()
    full, empty = r.at("write", "before")
    assert full["after"] > 40 * MB, full
    assert empty["before"] - empty["after"] > 42 * MB and empty["after"] < 2 * MB, empty


# ---- the guest must not notice


def test_asking_runs_no_guest_code():
    r = Run("""let ran = 0;
const trap = what => ({ get() { ran++; return undefined; }, set() { ran++; }, configurable: true });
for (const name of ["mallocBytes", "gcBytes", "name", "parent", "source", "line", "toJSON"])
  Object.defineProperty(Object.prototype, name, trap(name));
Object.defineProperty(Object.prototype, Symbol.toStringTag, trap("tag"));
Object.defineProperty(Array.prototype, "0", trap("0"));
Object.defineProperty(Function.prototype, "displayName", trap("displayName"));
Object.defineProperty(Error, "prepareStackTrace", trap("prepareStackTrace"));
const registry = new FinalizationRegistry(() => { ran++; });
(() => { for (let i = 0; i < 100; i++) registry.register({ i }, i); })();
globalThis.proxy = new Proxy({}, new Proxy({}, { get() { ran++; } }));
Object.defineProperty(spin, "name", trap("name"));
ran = 0;
function spin(n) { let s = 0; for (let i = 0; i < n; i++) s = (s + i) | 0; return s; }
spin(6e8);
const seen = ran;
for (const name of ["name", "parent", "source", "line", "toJSON"]) delete Object.prototype[name];
delete Object.prototype[Symbol.toStringTag];
delete Array.prototype[0];
console.log(seen);
process.exit(0);
""", "--interrupt=30000", "--interrupts=10", kinds="scgsc").ok()
    assert len(r.at("safe_point", "frames")) >= 10, len(r.answers)
    equal(r.out, "0\n")


def test_programs_print_the_same_while_they_are_asked_all_the_time():
    ran = asked = 0
    for name in sorted(os.listdir(PROGRAMS)):
        stem, suffix = os.path.splitext(name)
        if suffix not in (".js", ".mjs") or os.path.exists(f"{PROGRAMS}/{stem}.args"):
            continue
        with open(f"{EXPECTED}/{stem}.out", encoding="utf-8") as f:
            wanted = f.read()
        with open(f"{EXPECTED}/{stem}.code", encoding="utf-8") as f:
            code = int(f.read())
        # At each line and sleep; and a few times in between, fewer than a regular expression bears.
        r = Run("", "--interrupt=3000", "--interrupts=4", name=name, kinds="scg", cwd=PROGRAMS)
        assert (r.out, r.code) == (wanted, code), f"{name}: {r.out[-500:]!r} {r.err[-500:]!r}"
        ran += 1
        asked += len(r.answers)
    assert ran > 50 and asked > 1000
    print(f"# {ran} programs, asked {asked} times")


def test_a_hot_loop_is_as_fast_after_it_was_asked():
    program = """function work(o, n) {
  let s = 0;
  for (let i = 0; i < n; i++) { o.x = (o.x + i) & 0xffff; s += o.f(i); }
  return s;
}
class A { constructor() { this.x = 1; } f(i) { return (i ^ this.x) & 7; } }
const o = new A();
work(o, 1e7);
function time() { const t = performance.now(); work(o, 5e7); return performance.now() - t; }
const best = () => Math.min(time(), time(), time(), time());
const before = best();
console.log("ask");
console.log((best() / before).toFixed(3));
"""
    ratios = {}
    for kinds in ("", "s", "c", "g"):
        ratios[kinds or "nothing"] = float(Run(program, kinds=kinds).ok().out.split()[1])
    print("# time after by time before, asked for: "
          + ", ".join(f"{k} {v:.3f}" for k, v in ratios.items()))
    # Reported, not judged, but for a loop that stays in the interpreter.
    for v in ratios.values():
        assert v < 10, ratios


if __name__ == "__main__":
    sys.exit(tap.run(globals(), sys.argv[1:]))
