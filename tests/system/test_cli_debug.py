"""stillctl as debugger and auditor, by its verbs alone, on the real daemon and engine: what they print as JSON
(the schemas are checked by the harness), their exit codes, and their one line where they cannot."""

import fcntl
import json
import os
import pty
import signal
import struct
import termios

from harness import check, equal, wait_until

APP = """\
const box = { size: 3, get twice() { return this.size * 2; } };
function add(a, b) {
    const sum = a + b;
    return sum;
}

function tick(n) {
    let doubled = add(n, n);
    doubled += 1;
    return doubled;
}
function fail(n) { throw new RangeError('n is ' + n); }
let n = 0;
onmessage = () => {};
setInterval(() => {
    n++;
    tick(n);
    try { fail(n); } catch (e) {}
    n += 0;
}, 5);
"""


def shown(t, *args, code=0):
    """-o json, valid by the schema of the verb."""
    words = [w for w in args[:2] if isinstance(w, str)]
    verb = "-".join(words) if words[0] in ("world", "break", "audit", "debugger") else words[0]
    return t.json(*args, code=code, schema=verb)


def app(t):
    t.file("app.js", APP)
    t.ctl("run", "-d", "--ready", "--name", "app", "app.js")


def paused(t):
    """The app, at a breakpoint in `add`."""
    app(t)
    r = shown(t, "break", "add", "app", "app.js:3", "--if", "a % 10 === 0")
    t.ctl("wait", "app", "--for=stopped", "--timeout=20s")
    return r["hooks"][0]["hook"]


def test_a_vm_that_runs_cannot_be_looked_at_and_the_hint_says_what_to_do(t):
    app(t)
    for verb in (["bt", "app"], ["locals", "app"], ["eval", "app", "1"], ["set", "app", "n", "1"], ["next", "app"],
                 ["source", "app"]):
        t.refused(*verb, code=3, says=("stillctl ",))
    t.refused("bt", "nobody", code=3, says=("nobody",))
    t.refused("continue", "app", code=3, says=("not stopped",))


def test_break_add_list_and_rm(t):
    app(t)
    t.ctl("world", "stop")
    added = shown(t, "break", "add", "app", "app.js:6")["hooks"][0]  # between two functions: the next one
    equal((added["kind"], added["target"], added["location"]["line"]), ("breakpoint", "vm app", 8))
    equal(added["location"]["function"], "tick")
    check("in tick (line 6 has no code)" in t.ctl("break", "list").out, "where it went")
    for line in ("app.js:500", "later.js:1"):
        r = t.ctl("break", "add", "app", line)
        check("pending: no loaded source has this place" in r.out, r)
    r = t.ctl("break", "add", "later-*", "app.js:3")
    check("in no VM yet" in r.out, r)
    equal([h["location"]["line"] for h in shown(t, "break", "list")], [8, 500, 1, 3])
    t.ctl("break", "rm", added["hook"])
    t.refused("break", "rm", added["hook"], code=3, says=("audit show",))
    for wrong in (["app"], ["app", "app.js"], ["app", "app.js:x"], ["app", "app.js:3", "--stop", "all"]):
        t.refused("break", "add", *wrong, code=2)
    equal(len(shown(t, "break", "rm", "--all")["hooks"]), 3)
    equal(shown(t, "break", "list"), [])


def test_what_is_no_expression_is_refused_before_it_is_set(t):
    app(t)
    for wrong in (["break", "add", "app", "app.js:3", "--if", "a ==="], ["break", "add", "a*", "app.js:3", "--if", "a b"],
                  ["break", "add", "app", "app.js:3", "--log", "a is {a}, b {b +}"],
                  ["audit", "add", "app", "--on", "pop", "--filter", "if=(", "--keep"],
                  ["audit", "add", "app", "--on", "pop", "--capture", "expr=1 +", "--keep"]):
        t.refused(*wrong, code=2, says=("VM 'app'", "SyntaxError"))
    equal((shown(t, "break", "list"), shown(t, "audit", "show"), shown(t, "debugger", "list")), ([], [], []))
    equal(shown(t, "world", "status")["mode"], "run-all")


def test_a_frame_or_realm_that_is_not_there_is_named(t):
    app(t)
    on_pop = ("audit", "add", "app", "--on", "pop", "--keep")
    t.refused(*on_pop, "--frame", 0, code=3, says=("VM 'app' is running", "world stop"))
    t.refused(*on_pop, "--realm", 9, code=3, says=("VM 'app', pop: it has no realm 9",))
    hook = shown(t, "break", "add", "app", "app.js:3")["hooks"][0]["hook"]
    t.ctl("wait", "app", "--for=stopped", "--timeout=20s")
    t.refused(*on_pop, "--frame", 99, code=3, says=("VM 'app', pop: it has no frame 99",))
    equal(shown(t, *on_pop, "--frame", 0)["hooks"][0]["target"], "vm app")
    t.ctl("break", "rm", hook)
    t.ctl("continue", "app")
    wait_until(lambda: shown(t, "audit", "list") == [], "the frame is popped")


def test_what_is_seen_at_a_breakpoint(t):
    hook = paused(t)
    world = shown(t, "world", "status")
    equal((world["mode"], world["ticket"]["reason"], world["target"]), ("stopped", "debugger", 1))
    frames = shown(t, "bt", "app")["frames"]
    equal([(f["frame"], f["kind"], f["function"], f["line"]) for f in frames[:2]],
          [(0, "js", "add", 3), (1, "js", "tick", 8)])
    scopes = shown(t, "locals", "app", "-n", "100")["scopes"]
    seen = {v["name"]: v for s in reversed(scopes) for v in s["variables"]}
    a = int(seen["a"]["preview"])
    equal((a % 10, seen["a"]["type"], seen["box"]["type"]), (0, "number", "object"))
    inside = {v["name"]: v for v in shown(t, "inspect", "app", seen["box"]["ref"])["variables"]}
    equal((inside["size"]["preview"], inside["twice"]["getter"]), ("3", True))
    t.refused("inspect", "app", 9999, code=3)
    equal(shown(t, "eval", "app", "a + b + 1")["result"]["value"], 2 * a + 1)
    equal(shown(t, "eval", "app", "nowhere", code=1)["threw"], True)
    t.refused("eval", "app", "1 +", code=1, says=("SyntaxError",))
    t.refused("eval", "app", "for (;;);", "--timeout", "100ms", code=124)
    t.refused("eval", "app", "--frame", 9, "1", code=3)
    t.ctl("set", "app", "b", "a + 1000")
    t.refused("set", "app", "nowhere", "1", code=3)
    check("=>    3  " in t.ctl("source", "app", "app.js").out, "the line is marked")
    equal(shown(t, "source", "app", "app.js")["lines"], APP.splitlines())
    step = shown(t, "next", "app")
    equal((step["reason"], step["frame"]["line"]), ("step", 4))
    equal(shown(t, "eval", "app", "sum")["result"]["value"], 2 * a + 1000)
    equal(shown(t, "finish", "app")["frame"]["function"], "tick")
    t.refused("until", "app", "app.js:500", code=3)
    equal(shown(t, "until", "app", "app.js:10")["frame"]["line"], 10)
    t.ctl("break", "rm", hook)
    shown(t, "continue", "app")
    equal(shown(t, "world", "status")["mode"], "run-all")


def test_lines_of_variables_have_room_in_the_terminal_and_json_has_all(t):
    t.file("app.js", "const wide = { text: 'ä'.repeat(80), list: [...Array(90).keys()], more: 'x'.repeat(80) };\n"
                     "function f(o) { debugger; }\nglobalThis.onmessage = () => f(wide);\n")
    t.ctl("run", "-d", "--ready", "--name", "app", "app.js")
    t.ctl("world", "stop")
    t.refused("locals", "app", code=3, says=("it is in no frame", "waits for something to do"))
    t.ctl("world", "resume")
    t.ctl("audit", "add", "app", "--on", "debugger-statement", "--stop", "world", "--keep")
    t.ctl("send", "app", "1")
    t.ctl("wait", "app", "--for=stopped", "--timeout=20s")
    t.refused("locals", "app", "--frame", 9, code=3, says=("it has no frame 9", "bt"))
    line, = [line for line in t.ctl("locals", "app").out.splitlines() if line.startswith("  o = ")]
    check(100 < len(line) <= 200 and line.endswith("]"), line)
    seen = {v["name"]: v for s in reversed(shown(t, "locals", "app")["scopes"]) for v in s["variables"]}
    check(seen["o"]["preview"] in line, (seen["o"], line))
    pid, fd = pty.fork()
    if pid == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        os.execve(t.program("stillctl"), ["stillctl", "-s", t.daemon.socket, "locals", "app"], t.env)
    said = b""
    try:
        while part := os.read(fd, 4096):
            said += part
    except OSError:
        pass  # it has ended
    equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
    os.close(fd)
    lines = said.decode().split("\r\n")
    check(max(map(len, lines)) <= 60 and any(line.startswith("  o = ") and len(line) == 60 for line in lines), lines)
    t.ctl("audit", "rm", "--all")
    t.ctl("continue", "app")


def test_a_step_goes_in_and_after_a_hook_was_removed_on_from_there(t):
    app(t)
    hook = shown(t, "break", "add", "app", "app.js:8")["hooks"][0]["hook"]
    t.ctl("wait", "app", "--for=stopped", "--timeout=20s")
    equal(shown(t, "step", "app")["frame"]["function"], "add")
    t.ctl("break", "rm", hook)
    equal(shown(t, "next", "app")["frame"]["line"], 4)
    t.ctl("continue", "app")


def test_a_step_of_a_vm_that_waits_ends_where_it_goes_on(t):
    t.file("app.js", "function heard(e) {\n    const x = e.data;\n    console.log(x);\n}\nonmessage = heard;\n")
    t.ctl("run", "-d", "--ready", "--name", "app", "app.js")
    t.ctl("world", "stop")
    t.refused("finish", "app", code=3, says=("in no frame",))
    r = t.ctl("step", "app", "--timeout", "200ms", code=124)
    check("deadline" in r.out and "its time ran out" in r.err, r)
    for verb in ("step", "next"):
        p = t.start("-o", "json", verb, "app")
        wait_until(lambda: shown(t, "world", "status")["mode"] == "run-one", "it runs, and waits")
        t.ctl("send", "app", "1")
        out, err = p.communicate(timeout=30)
        equal(p.returncode, 0, err)
        frame = json.loads(out)["frame"]
        equal((json.loads(out)["reason"], frame["function"], frame["line"]), ("step", "heard", 2))
        equal(shown(t, "world", "status")["mode"], "stopped")
        equal(shown(t, "next", "app")["frame"]["line"], 3)
        t.ctl("continue", "app")
        wait_until(lambda: t.vm("app")["state"] == "idle", "it waits again")
        t.ctl("world", "stop")


def test_a_pause_is_answered_with_a_return_value(t):
    app(t)
    shown(t, "break", "add", "app", "app.js:4")
    t.ctl("wait", "app", "--for=stopped", "--timeout=20s")
    shown(t, "break", "add", "app", "app.js:9")
    t.ctl("break", "rm", 1)
    t.ctl("continue", "app", "--return", "'mine'")
    t.ctl("wait", "app", "--for=stopped", "--timeout=20s")
    equal(shown(t, "eval", "app", "doubled")["result"]["value"], "mine")
    t.ctl("break", "rm", "--all")
    t.ctl("continue", "app")


def test_an_answer_that_cannot_be_given_leaves_the_pause_as_it_was(t):
    app(t)
    shown(t, "break", "add", "app", "app.js:4")
    t.ctl("wait", "app", "--for=stopped", "--timeout=20s")
    for answer in ("--return", "--throw"):
        t.refused("continue", "app", answer, "new Error(", code=2, says=("VM 'app'", "SyntaxError"))
    equal(shown(t, "bt", "app")["frames"][0]["line"], 4)
    equal(shown(t, "eval", "app", "sum")["threw"], False)
    t.ctl("break", "rm", "--all")
    t.ctl("continue", "app", "--return", "'mine'")
    t.refused("continue", "app", "--return", "1", code=3, says=("not stopped",))


def test_an_auditor_that_is_kept_is_listed_read_and_removed(t):
    app(t)
    hook = shown(t, "audit", "add", "a*", "--on", "enter-frame", "--filter", "function=tick", "--filter", "if=n % 5 === 0",
                  "--budget", "50/s", "--capture", "args,stack=2", "--capture", "expr=n * 2", "--keep",
                  "--note", "ticks")["hooks"][0]["hook"]
    wait_until(lambda: t.ctl("-o", "jsonl", "audit", "tail").out.count("\n") >= 3, "three hits")
    hits = shown(t, "audit", "tail")
    equal([h["seq"] for h in hits], list(range(1, len(hits) + 1)))
    for h in hits:
        n = int(h["data"]["arguments"][0]["preview"])
        equal((n % 5, h["location"]["function"], len(h["data"]["frames"]), h["data"]["expressions"][0]["preview"]),
              (0, "tick", 2, str(2 * n)))
    auditors = [a for a in shown(t, "audit", "list") if a["kind"] == "enter-frame"]
    equal([d["name"] for a in auditors for d in a["debuggers"]], [shown(t, "debugger", "list")[0]["name"]])
    check("ticks" in t.ctl("audit", "show", hook).out, "the note is shown")
    t.refused("audit", "show", 99, code=3, says=("audit show",))
    t.refused("audit", "tail", "nobody", code=3)
    t.ctl("audit", "rm", hook)
    equal((shown(t, "audit", "list"), shown(t, "audit", "show")), ([], []))
    for wrong in (["app"], ["app", "--on", "nothing"], ["app", "--on", "pop", "--filter", "line=9-3"],
                  ["app", "--on", "pop", "--budget", "x"], ["app", "--on", "pop", "--capture", "x"],
                  ["app", "--on", "new-global", "--filter", "if=1"], ["--on", "pop"]):
        t.refused("audit", "add", *wrong, code=2)


def test_an_auditor_in_the_foreground_prints_hits_and_takes_its_hooks_back(t):
    app(t)
    p = t.start("-o", "jsonl", "audit", "add", "app", "--on", "exception-unwind", "--filter", "thrown=yes")
    for _ in range(3):  # and none of where it is caught
        hit = json.loads(p.stdout.readline())
        equal((hit["kind"], hit["location"]["function"]), ("exception-unwind", "fail"))
        check("n is" in hit["data"]["value"]["preview"], hit)
    p.send_signal(signal.SIGTERM)
    equal(p.wait(20), 0)
    equal(shown(t, "audit", "show"), [])


class Prompt:
    """`stillctl debug` at a terminal."""

    def __init__(self, t, vm):
        self.said = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(t.program("stillctl"), ["stillctl", "-s", t.daemon.socket, "debug", vm],
                      {**t.env, "TERM": "dumb", "COLUMNS": "100"})

    def until(self, text):
        while text.encode() not in self.said:
            self.said += os.read(self.fd, 4096)
        self.said = self.said.split(text.encode(), 1)[1]

    def type(self, line):
        os.write(self.fd, line.encode() + b"\n")

    def quit(self):
        self.type("quit")
        equal(os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), 0)
        os.close(self.fd)


def test_a_debugger_at_a_terminal_and_a_second_one(t):
    app(t)
    p = Prompt(t, "app")
    p.until("world default is stopped")
    p.until("(app) ")
    t.refused("debug", "app", code=3, says=("world take --steal",))
    for line, answer in (("l", "      1  const box"), ("break 3 if a % 10 === 0", "app.js:3:"), ("c", "running; Ctrl-C"),
                         ("", "=>    3  "), ("p a % 10", "\n0"), ("n", "=>    4  "), ("frobnicate", "no such command"),
                         ("", "(app) ")):
        p.type(line)
        p.until(answer)
    p.quit()
    equal(shown(t, "world", "status")["mode"], "run-all")
    equal((shown(t, "break", "list"), shown(t, "debugger", "list")), ([], []))


def test_a_prompt_whose_vm_ends_says_how_and_goes_on_with_another(t):
    app(t)
    t.file("short.js", "onmessage = () => { throw new Error('boom'); };\n")
    t.ctl("run", "-d", "--ready", "--name", "short", "short.js")
    p = Prompt(t, "short")
    p.until("short (2) waits for something to do")
    p.type("c")
    p.until("running")
    t.ctl("send", "short", "1")
    p.until("short (2) has ended: error 1: Error: boom")
    for line, answer in (("bt", "the VM has ended (choose another: vm NAME)"), ("vm app", "(app, running) "),
                         ("stop", "app"), ("p box.size", "\n3")):
        p.type(line)
        p.until(answer)
    p.quit()
    equal(shown(t, "world", "status")["mode"], "run-all")
