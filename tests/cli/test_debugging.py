#!/usr/bin/python3
"""stillctl as debugger and auditor, from outside, with a daemon that is a model (fake_daemon.py). Every
JSON output is held against docs/schemas. Prints TAP.

    test_debugging.py [WORD...]

Runs in the build folder. With words, only tests whose name has one of them are run.
"""

import base64
import inspect
import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests", "support"))
sys.path.insert(0, HERE)

import api as wire_api  # noqa: E402  pylint: disable=wrong-import-position
import fake_daemon  # noqa: E402  pylint: disable=wrong-import-position

try:
    import jsonschema
except ImportError:
    jsonschema = None

STILLCTL = os.path.abspath("stillctl")
PATIENCE = 60  # seconds; whatever takes this long hangs


def equal(is_, expected):
    assert is_ == expected, f"\n  is       {is_!r}\n  expected {expected!r}"


def has(text, *words):
    for word in words:
        assert word in text, f"{word!r} is not in\n{text}"


class Setting:
    """A daemon, and stillctl on it."""

    def __init__(self, api, **options):
        self.api = api
        self.folder = tempfile.TemporaryDirectory(prefix="stillpoint-test.")
        self.socket = os.path.join(self.folder.name, "sock")
        self.daemon = fake_daemon.Daemon(api, self.socket, **options)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("STILLPOINT")}
        self.env.update(LC_ALL="C.UTF-8", NO_COLOR="1", TERM="xterm")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.daemon.stop()
        self.folder.cleanup()

    def argv(self, args):
        return [STILLCTL, "-s", self.socket, *map(str, args)]

    def ctl(self, *args, code=0, stdin=""):
        p = subprocess.run(self.argv(args), input=stdin, capture_output=True, text=True,
                           timeout=PATIENCE, check=False, env=self.env)
        assert p.returncode == code, f"exit {p.returncode}, not {code}: {args}\n{p.stdout}{p.stderr}"
        self.err = p.stderr
        return p.stdout

    def refused(self, *args, code, says=()):
        self.ctl(*args, code=code)
        lines = self.err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("stillctl: cannot "), lines
        has(lines[0], *says)

    def json(self, *args, schema, code=0):
        value = json.loads(self.ctl("-o", "json", *args, code=code))
        valid(value, schema)
        return value

    def start(self, *args):
        return subprocess.Popen(self.argv(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=self.env)

    def wait_for(self, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.005)


def valid(value, schema):
    if jsonschema is None:
        return
    path = os.path.join(TOP, "docs", "schemas", f"{schema}.json")
    with open(path, encoding="utf-8") as f:
        document = json.load(f)
    base = jsonschema.RefResolver(f"file://{os.path.dirname(path)}/", document)
    jsonschema.validate(value, document, resolver=base)


# ---- breakpoints


def test_a_breakpoint_says_where_it_is(api):
    with Setting(api) as s:
        has(s.ctl("break", "add", "app", "app.js:3:2", "--if", "i > 1"), "hook 5: breakpoint of vm app at "
            "file:///srv/app.js:3:3 in add")
        asked = s.daemon.last("add_hooks")
        equal((asked.vm, asked.at.url, asked.at.line, asked.at.column), ("app", "app.js", 3, 2))
        equal(asked.filter.condition, "i > 1")
        assert not asked.HasField("suspend") and not asked.HasField("debugger")
        r = s.json("break", "add", "7", "later.js:9", "--stop", "vm", "--skip", 1, "--count", 2,
                   schema="break-add")["hooks"][0]
        equal(r["location"], {"url": "later.js", "line": 9, "column": None, "function": None,
                              "offset": None})
        equal((r["bound"][0]["pending"], r["suspend"], r["target"]), (True, "vm", "vm app"))
        equal((r["filter"]["skip"], r["filter"]["count"]), (1, 2))
        equal(s.ctl("-o", "name", "break", "add", "web-*", "m.wasm:0x1f", "--log", "{x}"), "7\n")
        asked = s.daemon.last("add_hooks")
        equal((asked.selector, asked.at.offset, asked.log), ("web-*", 0x1F, "{x}"))
        s.ctl("break", "add", "--world", "default", "app.js:1")
        equal(s.daemon.last("add_hooks").world, "default")
        listed = s.json("break", "list", schema="break-list")
        equal([h["hook"] for h in listed], [5, 6, 7, 8])
        has(s.ctl("break", "list"), "HOOK KIND", "file:///srv/app.js:3:3 in add", "(pending")
        removed = s.json("break", "rm", 5, 6, schema="break-rm")
        equal([h["hook"] for h in removed["hooks"]], [5, 6])
        equal(s.ctl("-o", "name", "break", "rm", "--all"), "7\n8\n")
        equal(s.json("break", "list", schema="break-list"), [])
        equal(s.json("break", "rm", "--all", schema="break-rm"), {"hooks": []})


def test_bad_breakpoints_are_usage_or_3(api):
    with Setting(api) as s:
        for args in (["app"], ["app", "app.js"], ["app", "app.js:0"], ["app", ":3"],
                     ["app", "app.js:3", "--stop", "now"], ["no vm", "app.js:3"],
                     ["app", "app.js:3", "--log", "x", "--stop", "world"],
                     ["app", "app.js:3", "--world", "w"], ["app.js:3"]):
            s.refused("break", "add", *args, code=2)
        s.refused("break", "add", "nobody", "app.js:3", code=3, says=["no VM nobody", "(see "])
        s.refused("break", "rm", 99, code=3, says=["remove hook 99"])
        s.refused("break", "rm", "x", code=2)
        s.refused("break", "rm", code=2)
        s.refused("break", "rm", "--all", "1", code=2)
        s.refused("break", "rm", "--all", "--debugger", "ide", code=3)


# ---- stepping


def test_steps_end_with_a_reason_and_a_frame(api):
    with Setting(api) as s:
        r = s.json("step", "app", schema="step")
        equal((r["vm"], r["reason"], r["frame"]["line"], r["mode"]), (7, "step", 3, "stopped"))
        has(s.ctl("next", "app"), "app (7): step at file:///srv/app.js:4:3 in add", "=>    4  }")
        equal(s.daemon.last("step_vm").how, api.STEP_OVER)
        r = s.json("finish", "app", schema="finish")
        equal((r["reason"], r["frame"]), ("ended", None))
        s.json("until", "app", "app.js:8", schema="until")
        asked = s.daemon.last("step_vm")
        equal((asked.how, asked.at.url, asked.at.line), (api.STEP_TO, "app.js", 8))
        s.ctl("-o", "name", "step", "app", "--granularity", "op", "--count", "3", "--others", "run")
        asked = s.daemon.last("step_vm")
        equal((asked.granularity, asked.count, asked.others),
              (api.GRANULARITY_OPERATION, 3, api.STEP_OTHERS_RUN))
        for verb, does in (("step", "step"), ("next", "go to the next statement of")):
            s.refused(verb, "app", "--timeout", "1s", code=124, says=[f"cannot {does} app: its time ran out"])
        equal(s.daemon.last("step_vm").deadline_us, 1000000)
        for args in (["step"], ["step", "app", "--count", "0"], ["step", "app", "--granularity", "x"],
                     ["until", "app"], ["until", "app", "8"], ["next", "app", "--others", "die"]):
            s.refused(*args, code=2)


def test_what_runs_is_3_with_a_hint(api):
    with Setting(api, running=True) as s:
        for args in (["step", "app"], ["bt", "app"], ["locals", "app"], ["eval", "app", "1"],
                     ["set", "app", "a", "1"], ["source", "app"], ["source", "app", "app.js"],
                     ["memory", "read", "app", "0", "4"], ["inspect", "app", "11"],
                     ["continue", "app"]):
            s.refused(*args, code=3, says=["is running", "(stop it first: stillctl world stop)"])
        s.refused("bt", "nobody", code=3)


def test_a_vm_goes_on_with_an_answer(api):
    with Setting(api) as s:
        s.json("continue", "app", "--return", "7", schema="continue")
        asked = s.daemon.last("continue_vm")
        equal((asked.answer, asked.answer_expression), (api.ANSWER_RETURN, "7"))
        for more in (["--throw", "1", "--terminate"], ["--return", "1", "--throw", "2"]):
            s.refused("continue", "app", *more, code=2)
    with Setting(api) as s:
        s.ctl("continue", "app", "--terminate")
        equal(s.daemon.last("continue_vm").answer, api.ANSWER_TERMINATE)
    with Setting(api) as s:
        s.ctl("continue", "app")
        assert not s.daemon.last("continue_vm").HasField("answer")


# ---- looking


def test_a_stack_is_shown_whole_or_in_part(api):
    with Setting(api) as s:
        equal(s.ctl("bt", "app"), "#0 add (file:///srv/app.js:2:3)\n"
              "#1 <anonymous> (file:///srv/app.js:8:11)\n#2 run (m.wasm:0x1f)\n")
        r = s.json("bt", "app", schema="bt")
        equal([f["frame"] for f in r["frames"]], [0, 1, 2])
        equal((r["truncated"], r["frames"][2]["offset"], r["frames"][1]["function"]), (False, 31, None))
        r = s.json("bt", "app", "-n", "1", schema="bt")
        equal((len(r["frames"]), r["truncated"]), (1, True))
        has(s.ctl("bt", "app", "-n", "1"), "(more: --first 1)")
        equal([f["frame"] for f in s.json("bt", "app", "--first", "1", schema="bt")["frames"]], [1, 2])
        has(s.ctl("bt", "db"), "no frame")
        equal(s.json("bt", "db", schema="bt")["frames"], [])


def test_variables_come_by_scope_and_depth(api):
    with Setting(api) as s:
        r = s.json("locals", "app", schema="locals")
        equal((r["vm"], r["frame"], [x["scope"] for x in r["scopes"]]), (7, 0, ["local", "global"]))
        a, numbers, total = r["scopes"][0]["variables"]
        equal((a["name"], a["type"], a["preview"], a["ref"], a["writable"]), ("a", "number", "1", None, True))
        equal((numbers["ref"], numbers["class"], total["type"]), (13, "Array", "unavailable"))
        g = r["scopes"][1]
        equal((len(g["variables"]), g["total"], g["next"]), (256, 300, 256))
        r = s.json("locals", "app", "-n", "0", schema="locals")
        equal(len(r["scopes"][1]["variables"]), 300)
        r = s.json("locals", "app", "--first", "298", schema="locals")
        equal([len(x["variables"]) for x in r["scopes"]], [0, 2])
        r = s.json("locals", "app", "--depth", "1", "-n", "3", schema="locals")
        equal([c["name"] for c in r["scopes"][0]["variables"][1]["children"]], ["0", "size"])
        equal(s.ctl("locals", "app", "-n", "2", "--depth", "1"),
              "local:\n  a = 1\n  list = [1, 2] [13]\n    0 = 1\n    size = <getter>\n  … (3 in all)\n"
              "global:\n  g0 = 1\n  g1 = 1\n  … (300 in all)\n")
        r = s.json("inspect", "app", 13, schema="inspect")
        equal((r["ref"], r["total"], r["variables"][1]["getter"]), (13, 2, True))
        s.ctl("inspect", "app", 13, "--getters")
        assert s.daemon.last("list_variables").run_getters
        s.refused("locals", "app", "--frame", "9", code=3, says=["no frame 9"])
        s.refused("inspect", "app", "99", code=3)
        s.refused("inspect", "app", "x", code=2)


def test_an_expression_is_evaluated_where_it_is_wanted(api):
    with Setting(api) as s:
        equal(s.ctl("eval", "app", "6 * 7"), "42\n")
        r = s.json("eval", "app", "list", schema="eval")
        equal((r["vm"], r["threw"], r["result"]["type"], r["result"]["value"]), (7, False, "object", [1, 2]))
        s.ctl("eval", "app", "--frame", "1", "--timeout", "2s", "--audited", "--", "-1")
        asked = s.daemon.last("evaluate")
        equal((asked.frame, asked.timeout_us, asked.audited, asked.in_realm, asked.expression),
              (1, 2000000, True, False, "-1"))
        s.ctl("eval", "db", "x")
        assert s.daemon.last("evaluate").in_realm, "without a frame it is global"
        s.ctl("eval", "app", "--realm", "3", "x")
        equal(s.daemon.last("evaluate").realm, 3)
        s.refused("eval", "app", "boom", code=1, says=["it threw: ReferenceError: boom"])
        r = s.json("eval", "app", "boom", schema="eval", code=1)
        equal((r["threw"], r["result"]["value"]), (True, None))
        s.refused("eval", "app", code=2)
        s.refused("eval", "app", "1", "+", "1", code=2)
        equal(s.ctl("set", "app", "--frame", "1", "sum", "5"), "5\n")
        asked = s.daemon.last("set_variable")
        equal((asked.frame, asked.name, asked.expression), (1, "sum", "5"))
        s.json("set", "app", "sum", "5", schema="set")


def test_sources_are_listed_and_read(api):
    with Setting(api) as s:
        r = s.json("source", "app", schema="source")
        equal([x["url"] for x in r], ["file:///srv/app.js", "m.wasm"])
        has(s.ctl("source", "app"), "ID KIND", "m.wasm")
        r = s.json("source", "app", "app.js", schema="source")
        equal((r["lines"], r["current_line"], r["first_line"]), (fake_daemon.SOURCE.splitlines(), 2, 1))
        out = s.ctl("source", "app", "app.js", "--line", "2-3")
        equal(out, "=>    2    const sum = a + b;\n      3    return sum;\n")
        r = s.json("source", "app", "app.js", "--line", "9-", schema="source")
        equal((len(r["lines"]), r["first_line"]), (2, 9))
        r = s.json("source", "app", "m.wasm", schema="source")
        equal((base64.b64decode(r["data"])[:4], r["lines"]), (b"\0asm", []))
        s.refused("source", "app", "m.wasm", code=1, says=["WebAssembly"])
        s.refused("source", "app", "none.js", code=3)
        s.refused("source", "app", "app.js", "--line", "99", code=1)
        for line in ("x", "3-2", "-", "0"):
            s.refused("source", "app", "app.js", f"--line={line}", code=2)


def test_memory_is_dumped_and_written(api):
    with Setting(api) as s:
        equal(s.ctl("memory", "read", "app", "0x0", "18"),
              "00000000  48 65 6c 6c 6f 2c 20 6d  65 6d 6f 72 79 21 00 01  |Hello, memory!..|\n"
              "00000010  02 03                                             |..|\n")
        equal(s.ctl("-o", "name", "memory", "read", "app", "14", "4"), "00010203\n")
        r = s.json("memory", "write", "app", "2", "ff00", "AA", schema="memory-write")
        equal(r["bytes"], 3)
        r = s.json("memory", "read", "app", "2", "3", "--frame", "2", schema="memory-read")
        equal(base64.b64decode(r["data"]), b"\xff\0\xaa")
        assert s.daemon.last("access_memory").in_frame
        s.refused("memory", "read", "app", "0", "1000", code=2, says=["beyond the end"])
        for args in (["read", "app", "x", "1"], ["read", "app", "0", "0"], ["write", "app", "0", "f"],
                     ["write", "app", "0"], ["write", "app", "0", "xy"]):
            s.refused("memory", *args, code=2)


# ---- auditors


def test_hooks_that_are_kept_are_listed_and_removed(api):
    with Setting(api) as s:
        equal(s.ctl("-o", "name", "audit", "add", "app", "--on", "step,pop", "--on", "pop", "--keep"), "5\n6\n")
        r = s.json("audit", "add", "web-*", "--on", "enter-frame", "--keep", "--world", "default",
                   "--filter", "url=*.js", "--filter", "line=3-9", "--filter", "if=x > 1", "--filter",
                   "skip=1", "--filter", "count=5", "--budget", "100/s,total=7", "--capture",
                   "stack=4,args,expr=f(a, b)", "--capture", "expr=c", "--note", "why", "--stop", "vm",
                   schema="audit-add")["hooks"][0]
        equal((r["target"], r["kind"], r["suspend"], r["note"]), ("selector web-*", "enter-frame", "vm", "why"))
        equal(r["filter"], {"url": "*.js", "function": None, "line_from": 3, "line_to": 9, "if": "x > 1",
                            "skip": 1, "count": 5, "thrown": False, "wasm": False})
        equal((r["budget"]["per_second"], r["budget"]["total"]), (100, 7))
        equal(r["capture"], {"stack": 4, "arguments": True, "value": True, "expressions": ["f(a, b)", "c"]})
        s.daemon.debuggers["ide"] = {"id": 4, "policy": "resume"}
        weak = ("audit", "add", "--world", "default", "--on", "new-global", "--weak", "--keep")
        s.ctl(*weak, "--debugger", "ide")
        asked = s.daemon.last("add_hooks")
        equal((asked.world, asked.weak, asked.HasField("suspend")), ("default", True, False))
        # What is kept by nothing would be gone with this call.
        s.refused(*weak, code=3, says=["use debugger cli:1000: there is none", "a weak hook does not keep it"])
        s.refused(*weak, "--debugger", "new", code=3, says=["debugger new", "weak"])
        s.ctl("audit", "add", "app", "--on", "pop", "--frame", "1", "--keep")
        assert s.daemon.last("add_hooks").one_frame
        auditors = s.json("audit", "list", schema="audit-list")
        equal((auditors[0]["referent"], auditors[0]["debuggers"][0]["hits"]), ("realm", 12))
        has(s.ctl("audit", "list"), "VM REFERENT", "cli:1000")
        equal([h["hook"] for h in s.json("audit", "show", schema="audit-show")], [5, 6, 7, 8, 9])
        equal(s.json("audit", "show", 7, schema="audit-show")["hook"], 7)
        has(s.ctl("audit", "show", "7"), "Target: selector web-*", "Filter: if=x > 1", "Budget: 100/s")
        s.refused("audit", "show", "99", code=3)
        removed = s.json("audit", "rm", 5, schema="audit-rm")
        equal(removed["hooks"][0]["kind"], "step")
        r = s.json("audit", "add", "app", "--on", "exception-unwind", "--keep", "--filter", "thrown=yes", "--filter",
                   "wasm=yes", schema="audit-add")["hooks"][0]
        equal((r["filter"]["thrown"], r["filter"]["wasm"]), (True, True))
        asked = s.daemon.last("add_hooks").filter
        equal((asked.thrown, asked.wasm), (True, True))
        said = s.ctl("audit", "show", r["hook"])
        has(said, "thrown=yes", "wasm=yes")
        s.ctl("audit", "rm", "--all")
        s.ctl("audit", "rm", "--all", "--debugger", "ide")
        equal(s.json("audit", "list", schema="audit-list"), [])


def test_bad_interests_are_usage(api):
    with Setting(api) as s:
        for args in (["app"], ["--on", "pop"], ["app", "--on", "sleep"], ["app", "--on", "breakpoint"],
                     ["app", "--on", "pop,"], ["app", "--on", "pop", "--filter", "x=1"],
                     ["app", "--on", "pop", "--filter", "url"], ["app", "--on", "pop", "--filter", "line=x"],
                     ["app", "--on", "exception-unwind", "--filter", "thrown=no"],
                     ["app", "--on", "pop", "--budget", "many"], ["app", "--on", "pop", "--budget", "5"],
                     ["app", "--on", "pop", "--capture", "all"], ["app", "--on", "pop", "--weak"],
                     ["app", "--on", "pop", "--granularity", "op"], ["w*", "--on", "pop", "--frame", "1"],
                     ["app", "--on", "enter-frame", "--frame", "1"], ["app", "--on", "pop", "--world", "w"],
                     ["a b", "--on", "pop"]):
            s.refused("audit", "add", *args, code=2)
        s.refused("audit", "add", "nobody", "--on", "pop", code=3)


def foreground(s, *args):
    p = s.start(*args)
    s.wait_for(lambda: s.daemon.hooks or p.poll() is not None)
    assert p.poll() is None, p.communicate()
    return p


def end(p, sig, code=0):
    p.send_signal(sig)
    out, err = p.stdout.read(), p.stderr.read()  # communicate() would miss what readline() has buffered
    equal((p.wait(PATIENCE), err), (code, ""))
    return out


def test_an_audit_in_the_foreground_prints_hits_and_takes_its_hooks_back(api):
    with Setting(api) as s:
        s.daemon.a_pop(1)  # of before
        for sig, form in ((signal.SIGINT, "json"), (signal.SIGTERM, "jsonl"), (signal.SIGINT, "table")):
            p = foreground(s, "-o", form, "audit", "add", "app", "--on", "pop")
            hook = s.daemon.last_hook
            s.daemon.a_pop(hook)
            s.daemon.a_pop(1)  # of somebody else's hook
            s.daemon.a_pop(hook)
            first = p.stdout.readline()
            lines = [first] + end(p, sig).splitlines(True)
            equal(s.daemon.hooks, {})
            if form == "table":
                equal([x.split()[3:] for x in lines if not x.startswith("#")], [
                    "app (7) pop app.js:3:3 in add(a=1) return 3".split()] * 2)
                continue
            hits = [json.loads(x) for x in lines]
            for h in hits:
                valid(h, "hit")
                valid(h, "audit-add")
            equal([h["hook"] for h in hits], [hook, hook])
            equal((hits[0]["debugger"], hits[0]["kind"], hits[0]["epoch"]), ("cli:1000", "pop", 4))
            equal(hits[0]["location"]["function"], "add")
            equal((hits[0]["data"]["completion"], hits[0]["data"]["value"]["preview"]), ("return", "3"))


def test_an_audit_that_is_killed_leaves_its_hooks(api):
    with Setting(api) as s:
        p = foreground(s, "audit", "add", "app", "--on", "pop")
        p.kill()
        p.communicate()
        equal(list(s.daemon.hooks), [5])


def test_an_audit_ends_by_itself_when_its_hooks_have(api):
    with Setting(api) as s:
        p = foreground(s, "audit", "add", "app", "--on", "pop", "--filter", "count=1")
        s.wait_for(lambda: any(c.subscribed for c in s.daemon.connections))
        with s.daemon.lock:
            s.daemon.hooks[5]["spent"] = True
        s.daemon.a_pop(5)
        out, err = p.communicate(timeout=PATIENCE)
        equal((p.returncode, err), (0, ""))
        has(out, "return 3")
        p = foreground(s, "audit", "add", "app", "--on", "pop")
        s.wait_for(lambda: any(c.subscribed for c in s.daemon.connections))
        with s.daemon.lock:
            s.daemon.hooks.clear()
        s.daemon.event("VM_ENDED", vm=7)
        out, err = p.communicate(timeout=PATIENCE)
        equal((p.returncode, out, err), (0, "", ""))


def test_a_ring_is_read_from_its_oldest_from_a_number_and_from_now(api):
    with Setting(api) as s:
        with s.daemon.lock:
            s.daemon.hits.append(api.Hit(dropped=4, before_seq=5))
            s.daemon.last_seq = 4
        for _ in range(4):
            s.daemon.a_pop(9)
        r = s.json("audit", "tail", schema="audit-tail")
        equal(r[0], {"dropped": 4, "before_seq": 5})
        equal([h["seq"] for h in r[1:]], [5, 6, 7, 8])
        equal([h["seq"] for h in s.json("audit", "tail", "ide", "--from", "7", schema="audit-tail")], [7, 8])
        equal(s.json("audit", "tail", "--from", "now", schema="audit-tail"), [])
        has(s.ctl("audit", "tail"), "4 hits before 5 are gone", "in add(a=1) return 3", "#0 add (")
        s.refused("audit", "tail", "nobody", code=3, says=["no debugger nobody"])
        s.refused("audit", "tail", "--from", "x", code=2)
        p = s.start("-o", "json", "audit", "tail", "-f", "--from", "8")
        equal(json.loads(p.stdout.readline())["seq"], 8)
        s.daemon.a_pop(9)
        equal(json.loads(p.stdout.readline())["seq"], 9)
        p.kill()
        p.communicate()


def test_debuggers_show_their_ring(api):
    with Setting(api) as s:
        s.daemon.debuggers["ide"] = {"id": 4, "policy": "resume"}
        r = s.json("debugger", "list", schema="debugger-list")
        equal(r[0]["ring"], {"first_seq": 2, "last_seq": 9, "dropped": 1})
        has(s.ctl("debugger", "list"), "HITS", "2-9")
        s.ctl("break", "add", "app", "app.js:3", "--debugger", "ide")
        equal(s.daemon.last("add_hooks").debugger, "ide")
        assert any("ide" == m.name for b, m in s.daemon.asked if b == "open_debugger")
        s.ctl("break", "add", "app", "app.js:3", "--debugger", "new")
        equal(s.daemon.last("open_debugger").name, "new")


def test_top_prints_plain_tables_for_scripts(api):
    with Setting(api) as s:
        s.ctl("break", "add", "app", "app.js:3")
        r = s.json("top", schema="top")
        equal([(v["name"], v["hits"], v["hooks"], v["stops"]) for v in r], [("app", 12, 1, 1), ("db", 0, 1, 1)])
        out = s.ctl("top", "-b", "-n", "2", "-d", "0.05")
        equal(out.count("HITS/s"), 2)
        equal(s.ctl("-o", "name", "top", "-n", "1"), "app\ndb\n")
        for args in (["-n", "x"], ["-n", "0"], ["-d", "x"], ["app"]):
            s.refused("top", *args, code=2)


# ---- the prompt


def test_commands_may_come_from_a_pipe(api):
    with Setting(api, running=True) as s:
        out = s.ctl("debug", "app", stdin="""
            # looks around
            bt
            up
            print list
            locals
            inspect 13
            set sum = 5
            list 1
            info breakpoints
            info sources
            vm db
            vm app
        """)
        has(out, "#0 add (file:///srv/app.js:2:3)\n      1  function add(a, b) {\n=>    2    const sum",
            "#1 <anonymous> (file:///srv/app.js:8:11)\n", "=>    8    total = add(total, i);",
            "[1, 2] [13]\n", "local:\n  a = 1\n", "  size = <getter>\n", "\n5\n", "      1  function add",
            "no breakpoint\n", "script   file:///srv/app.js\n", "db (8) waits for something to do\n")
        equal((s.daemon.last("evaluate").frame, s.daemon.last("set_variable").frame), (1, 1))
        equal(s.daemon.last("stop_world").debugger, s.daemon.last("open_debugger").name)
        equal([m.vm for b, m in s.daemon.asked if b == "set_target"], ["7", "8", "8", "7"])
        s.wait_for(lambda: s.daemon.mode == "RUN_ALL")


def test_the_prompt_steps_breaks_and_goes_on(api):
    with Setting(api, running=True) as s:
        out = s.ctl("debug", "app", stdin="""
            step
            n 2
            break 8 if i > 1
            info b
            continue
            until app.js:9
            delete 5
            quit
            print never
        """)
        has(out, "#0 add (file:///srv/app.js:3:3)", "#0 add (file:///srv/app.js:5:3)",
            "hook 5: breakpoint of vm app at file:///srv/app.js:8:3", "HOOK KIND",
            "breakpoint 5\n#0 add (file:///srv/app.js:8:3)", "#0 add (file:///srv/app.js:9:3)")
        asked = s.daemon.last("add_hooks")
        equal((asked.at.url, asked.filter.condition), ("file:///srv/app.js", "i > 1"))
        equal(asked.debugger, s.daemon.last("open_debugger").name)
        equal(s.daemon.hooks, {})
        s.wait_for(lambda: s.daemon.mode == "RUN_ALL")


def test_a_prompt_takes_its_hooks_along_and_tells_the_first_failure(api):
    with Setting(api) as s:
        s.ctl("debug", "app", stdin="break 3\nprint boom\nfly\nbt\n", code=1)
        has(s.err, "it threw: ReferenceError", "there is no such command (see 'help')")
        equal(s.daemon.hooks, {})
        equal(s.daemon.last("take_lease").debugger, s.daemon.last("open_debugger").name)
        s.ctl("debug", "app", "--debugger", "ide", stdin="break 3\n")
        equal([h["debugger"] for h in s.daemon.hooks.values()], ["ide"])
        s.refused("debug", "nobody", code=3)
        s.refused("-o", "json", "debug", "app", code=2)


def test_a_signal_stops_a_world_that_runs(api):
    with Setting(api, running=True) as s:
        p = subprocess.Popen(s.argv(["debug", "app"]), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, env=s.env)
        p.stdin.write("continue\nbt\n")
        p.stdin.flush()
        s.wait_for(lambda: any(b == "continue_vm" for b, _ in s.daemon.asked))
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=PATIENCE)
        equal((p.returncode, err), (0, ""))
        equal(out.count("#2 run (m.wasm:0x1f)"), 1)
        equal(sum(b == "stop_world" for b, _ in s.daemon.asked), 2)


class Terminal:
    """stillctl at a terminal of its own."""

    def __init__(self, s, *args):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(STILLCTL, s.argv(args), s.env)
        self.seen = ""

    def until(self, words):
        end_at = time.monotonic() + PATIENCE
        while words not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], max(0, end_at - time.monotonic()))
            assert ready, f"waited in vain for {words!r}; seen:\n{self.seen}"
            try:
                self.seen += os.read(self.fd, 4096).decode("utf-8", "replace")
            except OSError:
                raise AssertionError(f"it ended; seen:\n{self.seen}") from None
        self.seen = self.seen[self.seen.index(words) + len(words):]

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        """Its exit code, and what else it has printed."""
        end_at = time.monotonic() + PATIENCE
        try:
            while True:
                ready, _, _ = select.select([self.fd], [], [], max(0, end_at - time.monotonic()))
                if not ready:
                    os.kill(self.pid, signal.SIGKILL)
                    os.waitpid(self.pid, 0)
                    raise AssertionError(f"it does not end; seen:\n{self.seen}")
                more = os.read(self.fd, 4096)
                if not more:
                    break
                self.seen += more.decode("utf-8", "replace")
        except OSError:
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), self.seen


def test_a_terminal_has_completion_history_and_ctrl_c(api):
    with Setting(api, running=True) as s:
        s.daemon.break_on_continue = False
        t = Terminal(s, "debug", "app")
        t.until("(app) ")
        t.type("pri\tli\t\n")  # print, list
        t.until("[1, 2] [13]")
        t.until("(app) ")
        t.type("\x1b[A\n")  # the line before
        t.until("[1, 2] [13]")
        t.until("(app) ")
        t.type("until app.j\t")
        t.until("s ")
        t.type("\x03")  # drops the line
        t.until("(app) ")
        t.type("step\n")
        t.until("app.js:3:3")
        t.until("(app) ")
        t.type("\n")  # once more
        t.until("app.js:4:3")
        t.until("(app) ")
        t.type("continue\n")
        s.wait_for(lambda: any(b == "continue_vm" for b, _ in s.daemon.asked))
        t.type("\x03")
        t.until("#0 add")
        t.until("(app) ")
        t.type("\x04")  # the end of input
        code, seen = t.end()
        assert code == 0, seen


def test_an_end_of_input_that_is_typed_ahead_ends_it_after_the_command(api):
    with Setting(api, running=True) as s:
        t = Terminal(s, "debug", "app")
        t.until("(app) ")
        with s.daemon.lock:  # nothing is answered
            t.type("step\n")
            t.until("step\r\n")
            while not termios.tcgetattr(t.fd)[3] & termios.ICANON:
                time.sleep(0.001)
            t.type("\x04!")
            t.until("!")  # its echo: the terminal has taken what was typed before it, too
        t.until("app.js:3:3")
        code, seen = t.end()
        assert code == 0, seen


# ---- completion


def bash_completes(s, *words):
    """What bash offers for the last of the words."""
    script = f"""
        . {TOP}/packaging/completions/stillctl.bash
        compopt() {{ :; }}
        COMP_WORDS=({STILLCTL} -s {s.socket} "$@")
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _stillctl
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    p = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True,
                       timeout=PATIENCE, check=False, env=s.env)
    equal(p.stderr, "")
    return sorted(p.stdout.split())


def test_bash_completes_names_that_live(api):
    with Setting(api) as s:
        s.ctl("break", "add", "app", "app.js:3")
        s.ctl("audit", "add", "app", "--on", "pop", "--keep")
        s.daemon.debuggers["ide"] = {"id": 4, "policy": "resume"}
        equal(bash_completes(s, "br"), ["break"])
        equal(bash_completes(s, "break", ""), ["add", "list", "rm"])
        for verb in (["bt"], ["debug"], ["break", "add"], ["audit", "add"], ["memory", "read"]):
            equal(bash_completes(s, *verb, ""), ["app", "db"])
        equal(bash_completes(s, "break", "add", "app", "ap"), ["app.js:"])
        equal(bash_completes(s, "source", "app", ""), ["app.js", "m.wasm"])
        equal(bash_completes(s, "break", "rm", ""), ["5"])
        equal(bash_completes(s, "audit", "rm", ""), ["5", "6"])
        equal(bash_completes(s, "audit", "tail", ""), ["ide"])
        equal(bash_completes(s, "audit", "add", "app", "--on", "st"), ["step"])
        equal(bash_completes(s, "audit", "add", "app", "--on", "pop,new-s"), ["pop,new-script"])
        equal(bash_completes(s, "step", "app", "--gr"), ["--granularity"])
        equal(bash_completes(s, "step", "--debugger", "i"), ["ide"])
        equal(bash_completes(s, "top", "-d", "1", "-"), bash_completes(s, "top", "-"))


# ---- the runner


def main():
    words = sys.argv[1:]
    tests = [(n[len("test_"):], f) for n, f in globals().items()
             if n.startswith("test_") and inspect.isfunction(f)]
    tests = [(n, f) for n, f in tests if not words or any(w in n for w in words)]
    with tempfile.TemporaryDirectory(prefix="stillpoint-test.") as folder:
        try:
            api = wire_api.messages(TOP, folder)
        except wire_api.Unavailable as e:
            print(f"1..0 # SKIP {e}")
            return 0
        print(f"1..{len(tests)}", flush=True)
        failed = 0
        for number, (name, test) in enumerate(tests, 1):
            try:
                test(api)
                print(f"ok {number} - {name}", flush=True)
            except Exception:  # pylint: disable=broad-except
                failed += 1
                print(f"not ok {number} - {name}")
                for line in traceback.format_exc().splitlines():
                    print(f"# {line}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
