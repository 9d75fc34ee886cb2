"""list, status, logs, wait, call, send, kill; and how stillctl itself fails."""

import signal

from harness import HANG, check, equal, wait_until


def test_an_empty_list_is_empty(t):
    equal(t.list(), [])
    equal(t.list("-a"), [])
    equal(t.ctl("-o", "name", "list").out, "")


def test_list_shows_what_each_vm_does(t):
    t.spawn("spins", "for (;;);", ready=False)
    t.spawn("idles", "setInterval(() => 0, 60000)")
    t.spawn("blocks", "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)")
    t.wait_for("spins", "active")
    t.wait_for("idles", "idle")
    wait_until(lambda: t.vm("blocks")["state"] == "blocked", "blocks is blocked")
    vms = {vm["name"]: vm for vm in t.list()}
    equal({n: vm["state"] for n, vm in vms.items()},
          {"spins": "active", "idles": "idle", "blocks": "blocked"})
    for vm in vms.values():
        equal((vm["world"], vm["engine"], vm["exit"], vm["held"]), ("default", "mozjs", None, False))
        check(vm["pid"] > 1 and vm["started_us"] > 0, vm)
    equal(len({vm["id"] for vm in vms.values()}), 3)
    equal(len({vm["pid"] for vm in vms.values()}), 3)


def test_status_shows_one_vm(t):
    t.spawn("app", "")
    vm = t.json("status", "app", schema="status")
    equal(vm["name"], "app")
    equal(t.json("status", str(vm["id"]))["id"], vm["id"])


def test_exited_vms_are_in_list_a(t):
    t.ctl("run", "--name", "gone", t.file("a.js", "console.log('bye'); process.exit(3)"), code=3)
    equal(t.list(), [])
    vm = t.vm("gone")
    equal((vm["state"], vm["exit"]["reason"], vm["exit"]["code"]), ("exited", "exited", 3))
    equal(t.logs("gone"), "bye\n")


def test_a_world_that_is_not_there_cannot_be_listed(t):
    t.refused("list", "-w", "nope", code=3, says="nope")
    equal(t.list("-w", "default"), [])
    t.spawn("app", "", options=("--world", "blue"))
    equal([vm["name"] for vm in t.list("-w", "blue")], ["app"])
    t.ctl("kill", "app")
    t.wait_for("app", "exited")
    t.refused("list", "-w", "blue", code=3, says="blue")  # it went with its last VM
    equal([vm["name"] for vm in t.list("-a", "-w", "blue")], ["app"])


def test_ids_are_never_used_twice(t):
    seen = []
    for _ in range(5):
        t.spawn("app", "")
        seen.append(t.vm("app")["id"])
        t.ctl("kill", "app")
        t.wait_for(seen[-1], "exited")
    equal(sorted(set(seen)), seen)


def test_logs_keep_what_was_written(t):
    t.spawn("app", "for (let i = 0; i < 10; i++) console.log('line', i)")
    equal(t.logs("app"), "".join(f"line {i}\n" for i in range(10)))
    equal(t.ctl("logs", "-n", "2", "app").out, "line 8\nline 9\n")


def test_logs_follow_until_the_end(t):
    t.spawn("app", "console.log('first'); onmessage = () => { console.log('last'); process.exit(0) }")
    p = t.start("logs", "-f", "app")
    equal(p.stdout.readline(), "first\n")
    t.ctl("send", "app", "1")
    equal(p.stdout.read(), "last\n")
    equal(p.wait(30), 0)


def test_who_follows_ends_when_nobody_reads_any_more(t):
    t.spawn("app", "console.log('first'); globalThis.onmessage = () => {}")
    for first, args in (("first\n", ("logs", "-f", "app")), (" ", ("top", "-b", "-d", "1h")),
                        (" ", ("events", "-f", "--since", "0")), ("", ("events", "-f")),
                        ("", ("audit", "tail", "-f", "seer")), ("", ("audit", "add", "app", "--on", "new-script"))):
        if "tail" in args:
            t.start("debugger", "open", "seer").stdout.readline()
        p = t.start(*args)
        if first:
            check(first in p.stdout.readline(), args)
        p.stdout.close()
        equal(p.wait(HANG), 0, args)
        equal(p.stderr.read(), "", args)
    equal(t.json("audit", "list"), [])


def test_a_top_without_end_ends_by_a_signal(t):
    t.spawn("app", "")
    for by in (signal.SIGINT, signal.SIGTERM):
        p = t.start("top", "-b", "-d", "1h")
        check("NAME" in p.stdout.readline(), by)
        p.send_signal(by)
        out, err = p.communicate(timeout=HANG)
        equal((p.returncode, out.strip(), err), (0, "", ""), by)
    t.refused("top", "-b", "-n", "0", code=2, says="-n")


def test_call_returns_the_result_as_json(t):
    path = t.file("m.mjs", "export function add(a, b) { return { sum: a + b } }\n"
                           "export async function later(x) { await 0; return [x] }\n"
                           "export function nothing() {}\n"
                           "export function fails() { throw new TypeError('not today') }\n")
    t.ctl("run", "-d", "--ready", path)
    equal(t.ctl("call", "m", "add", "1", "2").json, {"sum": 3})
    equal(t.ctl("call", "m", "later", '"ä"').json, ["ä"])
    t.ctl("call", "m", "nothing")
    r = t.ctl("call", "m", "fails", code=1)
    check("not today" in r.err, r)
    t.refused("call", "m", "no_such", code=3, says="no_such")


def test_json_that_does_not_parse_is_a_usage_error(t):
    t.spawn("app", "function f(x) { return x }")
    for bad in ("{", "1 2", "undefined", "'x'", "", "[1,]", "nan", "{\"a\":1"):
        t.refused("call", "app", "f", bad, code=2)
        t.refused("send", "app", bad, code=2)
    equal(t.ctl("call", "app", "f", "null").json, None)


def test_send_posts_to_onmessage_in_order(t):
    t.spawn("app", "onmessage = (e) => console.log(JSON.stringify(e.data))")
    for i in range(5):
        t.ctl("send", "app", f'{{"n":{i}}}')
    wait_until(lambda: t.logs("app").count("\n") == 5, "five messages were logged")
    equal(t.logs("app"), "".join(f'{{"n":{i}}}\n' for i in range(5)))


def test_wait_for_exited_and_its_timeout(t):
    t.spawn("app", "onmessage = () => process.exit(0)")
    t.ctl("wait", "app", "--for=exited", "--timeout=200ms", code=124)
    p = t.start("wait", "app", "--for=exited", "--timeout=30s")
    t.ctl("send", "app", "null")
    equal(p.wait(30), 0)
    t.ctl("wait", "app", "--for=exited", "--timeout=5s")
    t.ctl("wait", "app", "--for=idle", "--timeout=5s", code=1)


def test_kill_ends_every_kind_of_vm(t):
    t.spawn("spins", "for (;;);", ready=False)
    t.spawn("idles", "")
    t.spawn("blocks", "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)")
    t.ctl("kill", "spins", "idles", "blocks")
    for name in ("spins", "idles", "blocks"):
        t.wait_for(name, "exited")
        equal(t.vm(name)["exit"]["reason"], "killed")
    equal(t.list(), [])


def test_an_unknown_vm_is_3(t):
    t.spawn("app", "")
    for verb in (("status", "nobody"), ("logs", "nobody"), ("kill", "nobody"), ("kill", "4711"),
                 ("call", "nobody", "f"), ("send", "nobody", "1"),
                 ("wait", "nobody", "--for=exited", "--timeout=1s")):
        t.refused(*verb, code=3, says=verb[1])
    t.refused("wait", "nobody", code=3, says="cannot wait for nobody: no VM named 'nobody'")
    equal(len(t.list()), 1)


def test_unknown_verbs_and_options_are_2(t):
    t.refused("frobnicate", code=2, says="frobnicate")
    t.refused("list", "--frobnicate", code=2)
    t.refused("-o", "xml", "list", code=2)
    t.refused("wait", "app", "--for=rain", code=2)
    t.refused("status", code=2)
    t.refused("world", "dance", code=2, says="dance")


def test_the_beginning_of_an_option_is_none(t):
    t.spawn("app", "")
    for args, typed, meant in ((("locals", "app", "--all"), "--all", "--allow-degraded"),
                               (("--no-leg", "list"), "--no-leg", "--no-legend"),
                               (("world", "stop", "--dead", "9s"), "--dead", "--deadline"),
                               (("world", "stop", "--dead=9s"), "--dead", "--deadline"),
                               (("--out", "json", "list"), "--out", "--output")):
        t.refused(*args, code=2, says=[f"unknown option {typed};", f"is {meant} meant?"])
    t.refused("list", "--al", code=2, says="unknown option --al")  # of two
    equal(t.json("world", "status")["mode"], "run-all")
    for args in (("list", "--all"), ("--output=name", "list"), ("list", "--output", "name"),
                 ("wait", "app", "--for", "idle", "--timeout=9s")):
        t.ctl(*args)


def test_without_a_daemon_it_is_5(t):
    ctl = [t.program("stillctl"), "-s", t.work + "/no.sock"]
    r = t.run([*ctl, "list"])
    equal(r.code, 5, r)
    check(len(r.err.splitlines()) == 1 and "no.sock" in r.err, r)
    equal(t.run([*ctl, "run", t.file("a.js", "")]).code, 125)


def test_without_a_socket_it_says_where_it_has_looked(t):
    env = {**t.env, "STILLPOINT_SOCKET": t.work + "/not.sock", "XDG_RUNTIME_DIR": t.work}
    r = t.run([t.program("stillctl"), "list"], env=env)
    if r.code != 5:
        t.skip("this machine has a daemon of its own in /run")
    check(f"no socket at {t.work}/not.sock, in $XDG_RUNTIME_DIR or in /run (" in r.err, r)


def test_version_and_help_need_no_daemon_to_help(t):
    r = t.run([t.program("stillctl"), "--help"])
    equal(r.code, 0, r)
    check("run" in r.out and "world" in r.out, r)
    equal(t.run([t.program("stillpointd"), "--version"]).code, 0)
    equal(t.run([t.program("stillpointd"), "--no-such"]).code in (1, 2), True)


def test_private_needs_no_daemon(t):
    path = t.file("a.js", "console.log('private'); process.exit(4)")
    r = t.run([t.program("stillctl"), "--private", "run", path])
    equal((r.code, r.out), (4, "private\n"), r)


def test_tables_have_no_escapes_when_nobody_looks(t):
    t.spawn("app", "console.log('\\u001b[31mred')")
    r = t.ctl("list")
    check("app" in r.out and "\x1b" not in r.out, r)
    check("app" not in r.out.splitlines()[0], r)
    without = t.ctl("--no-legend", "list").out.splitlines()
    equal((len(without), "app" in without[0]), (1, True), without)
