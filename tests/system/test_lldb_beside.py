"""The LLDB gateway beside others: stillctl at the same stop, takers of the lease, two worlds, sockets, policies, and VMs
that block."""

import json
import os
import re
import signal
import socket

import api
import wasm
from harness import HANG, check, equal, wait_until
from lldb_client import Gateway, Lldb, compiled, line_of, runs
from rsp import Client, packet
from wasm import I32, Function

SPIN, ADD, BLOCKS, WAIT = 1, 2, 3, 0
MODULE = wasm.Module([
    Function("spin", [], [], [wasm.LOOP, wasm.get(0), wasm.const(1), wasm.call(ADD), wasm.put(0), wasm.const(1),
                              wasm.branch_if(0), wasm.END], [I32]),
    Function("add", [I32, I32], [I32], [wasm.get(0), wasm.get(1), wasm.ADD]),
    Function("blocks", [I32], [I32], [wasm.get(0), wasm.call(WAIT), wasm.const(1), wasm.ADD]),
], imports=[("wait", [I32], [I32])])
# It waits for so many milliseconds of its world's time, in which nobody can wake it.
APP = f"""const bytes = new Uint8Array({list(MODULE.bytes)});
const {{spin, blocks}} = new WebAssembly.Instance(new WebAssembly.Module(bytes), {{env: {{wait}}}}).exports;
function wait(ms) {{
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    return 41;
}}
globalThis.spin = () => spin();
globalThis.blocks = (ms) => blocks(ms);
globalThis.onmessage = () => {{}};
"""


def spinning(t, *args, world="default"):
    """A VM that runs WebAssembly for ever, and a gateway of its world."""
    t.spawn("app", APP, options=["--debug", "--world", world])
    t.start("call", "app", "spin")
    t.wait_for("app", "active")
    return Gateway(t, *args, what=("--world", world))


def mode(t, world="default"):
    return t.json("world", "status", world)["mode"]


def code(client):
    return int(re.search(r'<section address="(0x[0-9a-f]+)"', client.ask("qXfer:libraries:read::0,4000")).group(1), 16)


def at_breakpoint(t, gateway, function=ADD):
    """A client whose world stands where this function begins, and its address."""
    client = Client(t, gateway)
    client.ask("?")
    at = code(client) + MODULE.at[function][0]
    equal(client.ask(f"Z0,{at:x},1"), "OK")
    hit(client.ask("c"))
    return client, at


def hit(reply):
    check("reason:breakpoint;" in reply, reply)


def nothing_more(client):
    check(client.ask("qC").startswith("QC"), "qC is answered")
    check(client.silent(), client.bytes)


def test_stillctl_sees_the_stop_of_an_lldb_and_what_would_break_it_is_refused(t):
    client, at = at_breakpoint(t, spinning(t))
    now = t.json("world", "status", schema="world-status")
    equal((now["mode"], now["controller"]["debugger"][:5]), ("stopped", "lldb-"))
    frames = t.json("bt", "app", schema="bt")["frames"]
    equal((frames[0]["kind"], frames[0]["offset"]), ("wasm", at - code(client)))
    t.refused("world", "stop", code=3, says="lldb-")
    t.refused("world", "take", code=3, says=("lldb-", "--steal"))
    t.refused("debug", "app", code=3, says="world take --steal")
    equal(int.from_bytes(bytes.fromhex(client.ask("p0")), "little"), at, "it is where it was")
    # The same user may move it, which LLDB sees when it asks anew.
    t.ctl("step", "app")
    check(int.from_bytes(bytes.fromhex(client.ask("p0")), "little") != at, "it is somewhere else")
    for _ in range(3):
        hit(client.ask("c"))
    check(client.ask(f"vCont;s:{t.vm('app')['id']:x}").startswith("T"), "it steps")
    nothing_more(client)


def test_a_world_that_somebody_lets_go_on_beside_an_lldb_stops_for_it_again(t):
    client, at = at_breakpoint(t, spinning(t))
    equal(client.ask(f"z0,{at:x},1"), "OK")
    t.ctl("world", "resume")
    equal(mode(t), "run-all")
    # LLDB does not know, and asks on.
    for text in ("qThreadStopInfo1", f"qWasmCallStack:{t.vm('app')['id']:x}", "qWasmLocal:0;0", f"m{at:x},4", "p0"):
        client.ask(text)
    equal(mode(t), "run-all")
    client.send(packet("c"))
    equal(client.ask("D"), "OK")
    client.close()
    client, _ = at_breakpoint(t, Gateway(t))
    nothing_more(client)


def test_an_lldb_whose_lease_was_taken_by_the_same_user_debugs_on(t):
    client, _ = at_breakpoint(t, spinning(t))
    t.ctl("world", "take", "--steal")
    check("reason:trace" in client.ask(f"vCont;s:{t.vm('app')['id']:x}"), "it steps")
    for _ in range(2):
        hit(client.ask("c"))
    equal(t.json("world", "status")["controller"]["debugger"][:5], "lldb-")
    nothing_more(client)


ALICE, RUN, DEBUG = 50001, 40002, 40003


def spinning_of_alice(t):
    """Such a VM of somebody else's; what runs a program as her, with these groups."""
    if os.geteuid() != 0:
        t.skip("needs root, to be somebody else")
    for folder in (t.folder, t.work):
        os.chmod(folder, 0o755)
    os.chmod(t.run_dir, 0o777)
    t.start_daemon("--config", t.file("stillpointd.conf", f"[access]\nrun-group = {RUN}\ndebug-group = {DEBUG}\n"))

    def alice(*groups):
        return ("setpriv", f"--reuid={ALICE}", f"--regid={ALICE}", "--groups=" + ",".join(map(str, groups)))

    r = t.run([*alice(RUN, DEBUG), t.program("stillctl"), "-s", t.daemon.socket, "run", "-d", "--ready", "--debug",
               "--name", "app", t.file("app.js", APP)])
    equal(r.code, 0, r)
    t.start("call", "app", "spin")
    t.wait_for("app", "active")
    return alice


def test_an_lldb_whose_lease_was_stolen_by_an_admin_is_told_so_and_debugs_on_once_it_is_given_back(t):
    alice = spinning_of_alice(t)
    client, at = at_breakpoint(t, Gateway(t, wrapper=alice(DEBUG)))
    tid = t.vm("app")["id"]
    mine = t.json("world", "status")["controller"]["debugger"]
    t.ctl("world", "take", "--steal")
    for text in (f"vCont;s:{tid:x}", "c"):
        reply = client.ask(text)
        check(reply.startswith("T") and "reason:exception" in reply, reply)
        text = bytes.fromhex(re.search(r"description:([0-9a-f]+);", reply).group(1)).decode()
        check("uid 0" in text, text)
        equal(int.from_bytes(bytes.fromhex(client.ask("p0")), "little"), at, "nothing has moved")
    t.ctl("world", "handover", mine)
    check("reason:trace" in client.ask(f"vCont;s:{tid:x}"), "it steps")
    hit(client.ask("c"))
    nothing_more(client)


def test_a_stop_by_somebody_else_is_a_stop_of_lldb_too(t):
    gateway = spinning(t)
    client = Client(t, gateway)
    client.ask("?")
    client.send(packet("c"))
    wait_until(lambda: mode(t) == "run-all", "it goes on")
    t.ctl("world", "stop", "--deadline", "20s")
    reply = client.reply()
    check(re.match(r"T[0-9a-f]{2}", reply) and "reason:exception" in reply, reply)
    text = bytes.fromhex(re.search(r"description:([0-9a-f]+);", reply).group(1)).decode()
    check("stopped by debugger cli:" in text, text)
    equal(client.ask("D"), "OK")
    client.hung_up()
    equal(mode(t), "stopped", "it was not the stop of LLDB that has ended")
    t.ctl("world", "resume")


def test_two_lldbs_debug_two_worlds_at_once_and_neither_is_seen_in_the_other(t):
    pairs = []
    for world in ("one", "two"):
        t.spawn(world, APP, options=["--debug", "--world", world])
        t.start("call", world, "spin")
        t.wait_for(world, "active")
        pairs.append((world, at_breakpoint(t, Gateway(t, what=("--world", world)))))
    (_, (one, at_one)), (_, (two, at_two)) = pairs
    for _ in range(20):
        one.send(packet("c"))
        two.send(packet("c"))
        hit(two.reply())
        hit(one.reply())
    equal(one.ask(f"z0,{at_one:x},1"), "OK")
    one.send(packet("c"))
    wait_until(lambda: mode(t, "one") == "run-all", "one goes on")
    for _ in range(5):
        hit(two.ask("c"))
        equal((mode(t, "one"), mode(t, "two")), ("run-all", "stopped"))
    check(one.silent(), one.bytes)
    equal(two.ask(f"z0,{at_two:x},1"), "OK")
    one.send(b"\x03")
    check("reason:signal" in one.reply(), "it is stopped")
    for client in (one, two):
        nothing_more(client)
        equal(client.ask("D"), "OK")
        client.hung_up()


def test_with_one_vm_meant_no_other_is_a_thread_or_ended_and_the_world_stands(t):
    for name in ("app", "other"):
        t.spawn(name, APP, options=["--debug"])
        t.start("call", name, "spin")
        t.wait_for(name, "active")
    tid = t.vm("app")["id"]
    gateway = Gateway(t, what=("--vm", "app"))
    client = Client(t, gateway)
    client.ask("?")
    equal((mode(t), client.ask("qfThreadInfo")), ("stopped", f"m{tid:x}"))
    check(client.ask(f"T{t.vm('other')['id']:x}").startswith("E"), "it is none of its threads")
    equal(client.ask("qXfer:libraries:read::0,4000").count("<library "), 1)
    client.send(packet("c"))
    t.spawn("third", APP, options=["--debug"])  # whose module stops nobody
    check(client.silent(), client.bytes)
    client.send(b"\x03")
    client.reply()
    equal(client.ask("k"), "X09")
    client.hung_up()
    t.wait_for("app", "exited")
    runs(t.vm("other")["pid"])
    equal(sorted(vm["name"] for vm in t.list()), ["other", "third"])


def test_over_tcp_the_gateway_listens_on_the_loopback_only(t):
    t.spawn("app", APP, options=["--debug"])
    gateway = Gateway.over_tcp(t)
    port = int(re.fullmatch(r"connect://127\.0\.0\.1:(\d+)", gateway.url).group(1))
    with open("/proc/net/tcp", encoding="ascii") as f:
        bound = [line.split()[1] for line in f if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"]
    equal(bound, [f"0100007F:{port:04X}"])
    with socket.socket() as s:
        try:
            s.connect(("127.0.0.2", port))
        except ConnectionRefusedError:
            pass
        else:
            check(False, "another address of this machine is served")
    client = Client(t, gateway, address=("127.0.0.1", port))
    check(client.ask("?").startswith("T"), "it is asked by that")
    equal(client.ask("D"), "OK")
    client.hung_up()
    lldb = Lldb(t, gateway)
    equal([th["name"] for th in lldb.threads()], ["app"])
    lldb.detach()


def test_with_the_policy_hold_the_world_stays_stopped_without_its_breakpoints(t):
    gateway = spinning(t, "--policy", "hold")
    for end in ("D", "close"):
        client, _ = at_breakpoint(t, gateway)
        if end == "D":
            equal(client.ask("D"), "OK")
            client.hung_up()
        client.close()
        wait_until(lambda: t.json("break", "list", "app") == [], "the breakpoint is gone")
        equal(mode(t), "stopped")
        t.ctl("world", "resume")
        runs(t.vm("app")["pid"])


def test_a_gateway_that_is_killed_leaves_the_world_as_its_policy_says_and_the_next_one_cleans_up(t):
    t.spawn("app", APP, options=["--debug"])
    t.start("call", "app", "spin")
    t.wait_for("app", "active")
    for policy, left in (("resume", "run-all"), ("hold", "stopped")):
        gateway = Gateway(t, "--policy", policy)
        at_breakpoint(t, gateway)
        gateway.process.kill()
        gateway.process.wait(HANG)
        wait_until(lambda: not any(d["open"] for d in t.json("debugger", "list")), "the daemon has seen it go")
        equal((mode(t), len(t.json("break", "list", "app"))), (left, 1))
        if left == "run-all":
            runs(t.vm("app")["pid"])
        client = Client(t, Gateway(t))
        client.ask("?")
        equal((mode(t), t.json("break", "list", "app")), ("stopped", []))
        client.send(packet("c"))
        runs(t.vm("app")["pid"])
        equal(mode(t), "run-all")
        equal(client.ask("D"), "OK")
        client.hung_up()
    Client(t, Gateway(t)).ask("?")
    equal([d["open"] for d in t.json("debugger", "list")], [True], "nothing is left of the others")


def test_a_kill_ends_nothing_where_the_gateway_was_told_so(t):
    client = Client(t, spinning(t, "--no-kill"))
    client.ask("?")
    equal(client.ask("k"), "X09")
    client.hung_up()
    runs(t.vm("app")["pid"])


def test_a_kill_that_the_daemon_does_not_permit_is_an_error_and_ends_nothing(t):
    alice = spinning_of_alice(t)
    client = Client(t, Gateway(t, wrapper=alice(DEBUG)))
    client.ask("?")
    client.ask("QEnableErrorStrings")
    reply = client.ask("k")
    check(reply.startswith("E0d;") and "role run" in bytes.fromhex(reply[4:]).decode(), reply)
    nothing_more(client)
    equal(client.ask("D"), "OK")
    client.hung_up()
    runs(t.vm("app")["pid"])


def test_the_end_of_all_vms_is_told_with_its_code_where_its_event_was_lost(t):
    path = os.path.join(t.work, "program.wasm")
    with open(path, "wb") as f:
        f.write(wasm.command(wasm.FOREVER))
    t.ctl("run", "-d", "--debug", "--name", "app", path)
    t.wait_for("app", "active")
    gateway = Gateway(t)
    client = Client(t, gateway)
    client.ask("?")
    client.send(packet("c"))
    runs(t.vm("app")["pid"])
    t.ctl("run", "-d", "--world", "other", t.file("idle.js", "globalThis.onmessage = () => {};"))
    os.kill(gateway.process.pid, signal.SIGSTOP)
    storm = api.Client(api.messages(t.source, t.work), t.daemon.socket)

    def more_than_is_kept():
        for _ in range(3000):
            storm.stop("other")
            storm.resume("other")

    more_than_is_kept()  # for one who does not listen
    t.ctl("kill", "app")
    ended = t.json("wait", "app", "--for=exited")
    more_than_is_kept()
    storm.close()
    os.kill(gateway.process.pid, signal.SIGCONT)
    equal(client.reply(), f"W{ended['exit']['code']:02x}")


def test_a_vm_without_debug_is_named_so_whether_it_is_a_program_or_has_loaded_a_module(t):
    path = os.path.join(t.work, "program.wasm")
    with open(path, "wb") as f:
        f.write(wasm.command(wasm.FOREVER))
    for name, options in (("program-bare", []), ("program", ["--debug"])):
        t.ctl("run", "-d", "--name", name, *options, path)
        t.wait_for(name, "active")
    for name, options in (("script-bare", []), ("script", ["--debug"])):
        t.spawn(name, APP, options=options)
        t.start("call", name, "spin")
        t.wait_for(name, "active")
    named = {t.vm(name)["id"]: name + (" (no --debug)" if "bare" in name else "")
             for name in ("program-bare", "program", "script-bare", "script")}
    client = Client(t, Gateway(t))
    for _ in range(2):
        client.ask("?")
        equal({th["tid"]: th["name"] for th in json.loads(client.ask("jThreadsInfo"))}, named)
        for tid, name in named.items():
            reply = client.ask(f"qThreadStopInfo{tid:x}")
            equal(bytes.fromhex(re.search(r"hexname:([0-9a-f]+);", reply).group(1)).decode(), name)
        client.send(packet("c"))
        wait_until(lambda: mode(t) == "run-all", "it goes on")
        client.send(b"\x03")
        check("reason:signal" in client.reply(), "it is stopped")
    at = code(client)  # of the first that was born
    client.ask("QEnableErrorStrings")
    reply = client.ask(f"Z0,{at + 0x20:x},1")
    check(reply.startswith("E5f;") and "--debug" in bytes.fromhex(reply[4:]).decode(), reply)


def test_a_step_into_a_call_that_blocks_ends_and_says_so(t):
    t.spawn("app", APP, options=["--debug"])
    gateway = Gateway(t)
    client = Client(t, gateway)
    client.ask("?")
    at = code(client)
    equal(client.ask(f"Z0,{at + MODULE.at[BLOCKS][0]:x},1"), "OK")
    client.send(packet("c"))
    call = t.start("call", "app", "blocks", "1000")
    hit(client.reply())
    tid = t.vm("app")["id"]
    check("reason:trace" in client.ask(f"vCont;s:{tid:x}"), "to the call")
    reply = client.ask(f"vCont;s:{tid:x}")
    text = bytes.fromhex(re.search(r"description:([0-9a-f]+);", reply).group(1)).decode()
    equal((reply[:3], text), ("T05", "step ended: blocked"))
    # It wakes up by itself, once its world's time goes on.
    equal(client.ask("D"), "OK")
    equal(call.wait(HANG), 0)
    equal(call.stdout.read(), "42\n")


NEXT = r"""
__attribute__((import_module("env"), import_name("wait"))) int wait(int);
typedef int (*operation)(int);

__attribute__((noinline)) static int slow(int ms)
{
    return wait(ms) + 1; /* slow */
}

static operation operations[] = {slow};

__attribute__((export_name("blocks"))) int blocks(int ms)
{
    int got = 0;
    for (int i = 0; i < 2; i++) /* for */
        got += operations[got & 0](ms); /* call */
    return got; /* after */
}
"""
NEXT_APP = """const bytes = new Uint8Array(%s);
const {blocks} = new WebAssembly.Instance(new WebAssembly.Module(bytes), {env: {wait}}).exports;
function wait(ms) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    return 41;
}
globalThis.blocks = (ms) => blocks(ms);
globalThis.onmessage = () => {};
"""


def test_a_step_over_goes_over_an_indirect_call_that_blocks_and_around_the_loop(t):
    with open(compiled(t, "next", NEXT, wasi=False), "rb") as f:
        t.spawn("app", NEXT_APP % list(f.read()), options=["--debug"])
    lldb = Lldb(t, Gateway(t))
    b = lldb.break_line("next.c", line_of(NEXT, "call"))
    lldb.begin("go")
    call = t.start("call", "app", "blocks", "50")
    equal(lldb.end(), "stopped")
    lldb.break_remove(b["id"])
    seen = []
    while len(seen) < 20:
        frame = lldb.step("over")["frames"][0]
        equal(frame["function"], "blocks")
        seen.append((frame["line"], lldb.value("got")))
        if frame["line"] == line_of(NEXT, "after"):
            break
    for place in ((line_of(NEXT, "for"), "42"), (line_of(NEXT, "call"), "42"), (line_of(NEXT, "for"), "84")):
        check(place in seen, f"{place} in {seen}")
    equal(seen[-1], (line_of(NEXT, "after"), "84"))
    lldb.detach()
    equal(call.wait(HANG), 0)
    equal(call.stdout.read(), "84\n")
