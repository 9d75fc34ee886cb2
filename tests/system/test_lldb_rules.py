"""Rules of a debugger's gateway that came of others' races (docs/LLDB.md, "What it keeps to"), each by itself."""

import os
import re
import socket
import subprocess
import sys

import wasm
from harness import HANG, check, equal, wait_until
from lldb_client import Gateway, Lldb, compiled, runs
from rsp import Client, packet
from test_lldb_protocol import nothing_more, stopped
from wasm import END, I32, Function

SPIN, ADD, DEEP, ONCE = range(4)
# add is called with 0, 1, 2, … for ever, by spin; deep calls itself until there is no more stack.
MODULE = wasm.Module([
    Function("spin", [], [], [wasm.LOOP, wasm.get(0), wasm.const(1), wasm.call(ADD), wasm.put(0), wasm.const(1),
                              wasm.branch_if(0), wasm.END], [I32]),
    Function("add", [I32, I32], [I32], [wasm.get(0), wasm.get(1), wasm.ADD]),
    Function("deep", [I32], [I32], [wasm.get(0), wasm.const(1), wasm.ADD, wasm.call(DEEP), wasm.const(1), wasm.ADD]),
    Function("once", [I32], [I32], [wasm.get(0), wasm.const(1), wasm.ADD]),
], data=b"full")
HEAD = f"""const bytes = new Uint8Array({list(MODULE.bytes)});
const module = new WebAssembly.Module(bytes);
const made = () => new WebAssembly.Instance(module).exports;
"""
APP = HEAD + """const {spin, add, deep} = made();
globalThis.spin = () => spin();
globalThis.add = (a, b) => add(a, b);
globalThis.overflow = () => { try { return deep(0); } catch (e) { return e.message; } };
globalThis.load = () => { made(); };
globalThis.onmessage = () => {};
"""
LIST = "qXfer:libraries:read::0,4000"


def instances(client):
    """The code addresses of the instances; those that come later are behind those that were listed before."""
    return [int(a, 16) for a in re.findall(r'<section address="(0x[0-9a-f]+)"', client.ask(LIST))]


def listed(reply):
    return [int(n, 16) for n in re.search(r"threads:([0-9a-f,]+);", reply).group(1).split(",")]


def thread_of(reply):
    return int(re.search(r"thread:([0-9a-f]+);", reply).group(1), 16)


def pc(reply):
    return int.from_bytes(bytes.fromhex(re.search(r";00:([0-9a-f]{16});", reply).group(1)), "little")


def value(client, local):
    return int.from_bytes(bytes.fromhex(client.ask(f"qWasmLocal:0;{local}"))[:4], "little")


def spinning(t, *names):
    for name in names:
        t.spawn(name, APP, options=["--debug"])
        t.start("call", name, "spin")
        t.wait_for(name, "active")


def test_a_thread_s_id_is_its_vm_s_in_every_reply_and_stays_so_when_others_end(t):
    spinning(t, "one", "two", "three")
    ids = {name: t.vm(name)["id"] for name in ("one", "two", "three")}

    def told(client):
        stop = client.ask("?")
        return [listed(stop), [int(n, 16) for n in client.ask("qfThreadInfo")[1:].split(",")],
                [int(n) for n in re.findall(r'"tid":(\d+)', client.ask("jThreadsInfo"))]]

    def same(client):
        for ids_told in told(client):
            equal(sorted(ids_told), sorted(ids.values()))
        for name, tid in ids.items():
            reply = client.ask(f"qThreadStopInfo{tid:x}")
            equal((thread_of(reply), name.encode().hex() in reply), (tid, True), reply)
            equal(thread_of(client.ask(f"vCont;s:{tid:x}")), tid)

    def ends(name):
        os.kill(t.vm(name)["pid"], 9)
        t.wait_for(name, "exited")
        del ids[name]

    gateway = Gateway(t)
    for _ in range(2):
        client = Client(t, gateway)
        equal(client.ask("QListThreadsInStopReply"), "OK")
        same(client)
        client.send(packet("c"))
        wait_until(lambda: t.json("world", "status", "default")["mode"] == "run-all", "the world goes on")
        ends("one" if "one" in ids else "two")
        client.send(b"\x03")
        stopped(client)
        same(client)
        equal(client.ask("D"), "OK")
        client.hung_up()
        if "four" not in ids:
            spinning(t, "four")  # is no other's successor
            ids["four"] = t.vm("four")["id"]


def test_the_thread_that_stopped_is_the_first_of_the_list_and_the_others_have_no_signal(t):
    spinning(t, "one", "two", "three")
    ids = [t.vm(name)["id"] for name in ("one", "two", "three")]
    client = Client(t, Gateway(t))
    equal(client.ask("QListThreadsInStopReply"), "OK")
    client.ask("?")
    # Each VM was seen with its instance, in the order of their births.
    for at, tid in reversed(list(zip(instances(client), ids))):
        at += MODULE.at[ADD][0]
        equal(client.ask(f"Z0,{at:x},1"), "OK")
        reply = client.ask("c")
        equal((reply[:3], thread_of(reply), listed(reply)), ("T05", tid, [tid] + [i for i in ids if i != tid]))
        equal(client.ask("qC"), f"QC{tid:x}")
        for other in ids:
            equal(client.ask(f"qThreadStopInfo{other:x}")[:3], "T05" if other == tid else "T00")
            equal("reason:" in client.ask(f"qThreadStopInfo{other:x}"), other == tid)
        equal(client.ask(f"z0,{at:x},1"), "OK")


def test_an_interrupt_shows_first_a_thread_that_is_in_webassembly(t):
    t.spawn("idle", APP, options=["--debug"])
    spinning(t, "busy")
    client = Client(t, Gateway(t))
    for ask in ("?", "c"):
        client.send(packet(ask) + (b"\x03" if ask == "c" else b""))
        reply = stopped(client)
        equal((thread_of(reply), pc(reply) >> 62), (t.vm("busy")["id"], 1), reply)
    nothing_more(client)


def test_what_stops_the_world_for_a_moment_is_no_stop_of_lldb_s(t):
    spinning(t, "one", "two")
    client = Client(t, Gateway(t))
    client.ask("?")
    client.send(packet("c"))
    for _ in range(5):
        for verb in ("gc", "census", "bt"):
            t.ctl("world", verb)
        check(client.ask("qfThreadInfo").startswith("E"), "it runs, and says so")
    check(client.silent(), client.bytes)
    client.send(b"\x03")
    check(stopped(client).startswith("T11"), "the interrupt is one")
    nothing_more(client)


def test_of_three_instances_of_a_module_each_has_breakpoints_of_its_own(t):
    t.spawn("app", HEAD + """const all = [made(), made(), made()];
globalThis.round = () => all.map((e) => e.once(1)).join();
globalThis.onmessage = () => {};
""", options=["--debug"])
    client = Client(t, Gateway(t))
    client.ask("?")
    sites = [at + MODULE.at[ONCE][0] for at in instances(client)]
    equal((len(sites), len(set(re.findall(r'library name="([^"]+)"', client.ask(LIST))))), (3, 3))

    def hits():
        """Those that are hit while each is called once."""
        call, found = t.start("call", "app", "round"), []
        client.send(packet("c"))
        wait_until(lambda: call.poll() is not None or client.bytes or not client.silent(0.05), "it ends or stops")
        while call.poll() is None:
            reply = client.reply()
            check("reason:breakpoint;" in reply, reply)
            found.append(sites.index(pc(reply)))
            client.send(packet("c"))
            wait_until(lambda: call.poll() is not None or not client.silent(0.05), "it ends or stops")
        equal(call.stdout.read(), '"2,2,2"\n')
        client.send(b"\x03")
        check(stopped(client).startswith("T11"), "nothing else was there")
        return found

    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        there = set()
        for change in "Zz":
            for i in order if change == "Z" else reversed(order):
                equal(client.ask(f"{change}0,{sites[i]:x},1"), "OK")
                there ^= {i}
                equal(sorted(hits()), sorted(there), (order, change, i))
    nothing_more(client)


def test_a_step_to_where_another_instance_has_a_breakpoint_is_a_step(t):
    t.spawn("app", HEAD + """const all = [made(), made()];
globalThis.first = () => all[0].add(1, 2);
globalThis.second = () => all[1].add(1, 2);
globalThis.onmessage = () => {};
""", options=["--debug"])
    client = Client(t, Gateway(t))
    client.ask("?")
    sites = {at: at + MODULE.at[ADD][1] for at in instances(client)}
    tid = t.vm("app")["id"]
    for function in ("first", "second"):
        for at in sites:
            equal(client.ask(f"Z0,{at + MODULE.at[ADD][0]:x},1"), "OK")
        client.send(packet("c"))
        call = t.start("call", "app", function)
        here = pc(stopped(client)) - MODULE.at[ADD][0]
        other, = set(sites) - {here}
        for at in sites:
            equal(client.ask(f"z0,{at + MODULE.at[ADD][0]:x},1"), "OK")
        equal(client.ask(f"Z0,{sites[other]:x},1"), "OK")
        reply = client.ask(f"vCont;s:{tid:x}")
        equal((pc(reply), "reason:trace;" in reply), (sites[here], True), reply)
        equal(client.ask(f"z0,{sites[other]:x},1"), "OK")
        client.send(packet("c"))
        equal(call.wait(HANG), 0)
        equal(call.stdout.read(), "3\n")
        client.send(b"\x03")
        stopped(client)
    nothing_more(client)


def test_a_step_that_comes_to_a_breakpoint_is_told_as_that_and_either_may_be_taken_away(t):
    spinning(t, "one")
    client = Client(t, Gateway(t))
    client.ask("?")
    first, second = (instances(client)[0] + MODULE.at[ADD][n] for n in (0, 1))
    tid = client.ask("qfThreadInfo")[1:]
    equal(client.ask(f"Z0,{first:x},1"), "OK")
    equal(pc(client.ask("c")), first)
    equal(client.ask(f"Z0,{second:x},1"), "OK")
    reply = client.ask(f"vCont;s:{tid}")
    equal((pc(reply), "reason:breakpoint;" in reply), (second, True), reply)
    equal(client.ask(f"z0,{second:x},1"), "OK")
    equal(pc(client.ask("c")), first)
    reply = client.ask(f"vCont;s:{tid}")
    equal((pc(reply), "reason:trace;" in reply), (second, True), reply)
    equal(pc(client.ask("c")), first)
    # Breakpoints of a VM that has ended have ended.
    os.kill(t.vm("one")["pid"], 9)
    equal(client.ask("c")[0], "W")


def test_no_hit_is_missed_at_a_first_instruction_in_a_storm_of_interrupts(t):
    spinning(t, "one")
    client = Client(t, Gateway(t))
    client.ask("?")
    at = instances(client)[0] + MODULE.at[ADD][0]
    tid = client.ask("qfThreadInfo")[1:]
    equal(client.ask(f"Z0,{at:x},1"), "OK")
    check("reason:breakpoint" in client.ask("c"), "it is hit")
    hits, last, interrupts = 0, value(client, 0), 0
    for n in range(150):
        # As LLDB passes a breakpoint.
        equal(client.ask(f"z0,{at:x},1"), "OK")
        check("reason:trace;" in client.ask(f"vCont;s:{tid}"), "it steps")
        equal(client.ask(f"Z0,{at:x},1"), "OK")
        while True:
            client.send(packet("c") + (b"\x03" if n % 3 else b""))
            reply = stopped(client)
            if "reason:breakpoint;" in reply:
                break
            check("reason:signal;" in reply, reply)
            interrupts += 1
            # Where it says that it stands, it does: the next step starts there.
            equal(client.ask("p0"), pc(reply).to_bytes(8, "little").hex())
        equal(pc(reply), at)
        hits += 1
        equal(value(client, 0), last + hits, f"hit {hits}, after {interrupts} interrupts")
    nothing_more(client)


def test_a_stack_overflow_after_a_stop_is_the_program_s_alone_and_the_next_stop_has_its_values(t):
    t.spawn("app", APP, options=["--debug"])
    client = Client(t, Gateway(t))
    client.ask("?")
    first = instances(client)[0] + MODULE.at[ADD][0]
    for n in range(3):
        equal(client.ask(f"Z0,{first:x},1"), "OK")
        client.send(packet("c"))
        call = t.start("call", "app", "add", str(n), "40")
        check("reason:breakpoint;" in stopped(client), "it is hit")
        equal((value(client, 0), value(client, 1)), (n, 40))
        equal(client.ask(f"z0,{first:x},1"), "OK")
        client.send(packet("c"))
        equal(call.wait(HANG), 0)
        # The engine asks no debugger about this one.
        equal(t.ctl("call", "app", "overflow").out, '"too much recursion"\n')
        check(client.silent(), client.bytes)
        client.send(b"\x03")
        stopped(client)
    nothing_more(client)


def throwing():
    """Functions throws, which for 1 throws an exception of WebAssembly's own and for 0 traps, and calls, which calls
    back(); and where the first throws."""
    types = [b"\x60\x01\x7f\x01\x7f", b"\x60\x00\x00"]
    throw = b"\x08\x00"
    bodies = [wasm.get(0) + b"\x04\x40" + throw + END + wasm.const(7) + wasm.get(0) + wasm.DIV + END,
              wasm.get(0) + wasm.call(0) + END]
    out = b"\0asm\x01\0\0\0"
    for number, content in ((1, types), (2, [wasm.name("env") + wasm.name("back") + b"\0\0"]), (3, [b"\0", b"\0"]),
                            (13, [b"\0\x01"]), (7, [wasm.name("throws") + b"\0\x01", wasm.name("calls") + b"\0\x02"]),
                            (10, [wasm.uleb(len(b) + 1) + b"\0" + b for b in bodies])):
        out += wasm.section(number, wasm.vector(content))
    return out, out.index(throw + END)


THROWS, THROW_AT = throwing()
THROWER = f"""const bytes = new Uint8Array({list(THROWS)});
const {{throws, calls}} = new WebAssembly.Instance(new WebAssembly.Module(bytes), {{env: {{back}}}}).exports;
function back(n) {{ throw new Error("mine"); }}
const caught = (f, n) => {{ try {{ return f(n); }} catch (e) {{ return e.constructor.name; }} }};
globalThis.own = () => caught(throws, 1);
globalThis.mine = () => caught(calls, 1);
globalThis.trap = () => caught(throws, 0);
globalThis.onmessage = () => {{}};
"""


def test_a_trap_is_a_stop_and_an_exception_that_a_program_may_mean_to_catch_is_none(t):
    t.spawn("app", THROWER, options=["--debug"])
    client = Client(t, Gateway(t))
    client.ask("?")
    client.send(packet("c"))
    wait_until(lambda: t.json("world", "status", "default")["mode"] == "run-all", "the world goes on")
    equal([t.ctl("call", "app", f).out for f in ("mine", "own")], ['"Error"\n', '"Exception"\n'])
    check(client.silent(), client.bytes)
    call = t.start("call", "app", "trap")
    reply = stopped(client)
    check("reason:exception;" in reply, reply)
    text = bytes.fromhex(re.search(r"description:([0-9a-f]+);", reply).group(1)).decode()
    check("integer divide by zero" in text, text)
    client.send(packet("c"))
    equal(call.wait(HANG), 0)
    equal(call.stdout.read(), '"RuntimeError"\n')
    # A step that throws is over, whatever comes of it.
    client.send(b"\x03")
    stopped(client)
    at = instances(client)[0] + THROW_AT
    equal(client.ask(f"Z0,{at:x},1"), "OK")
    client.send(packet("c"))
    call = t.start("call", "app", "own")
    equal(pc(stopped(client)), at)
    equal(client.ask(f"z0,{at:x},1"), "OK")
    check("reason:trace;" in client.ask(f"vCont;s:{t.vm('app')['id']:x}"), "it has stepped")
    equal(client.ask("D"), "OK")
    equal(call.wait(HANG), 0)
    equal(call.stdout.read(), '"Exception"\n')


def test_a_thread_that_goes_on_alone_does_so_past_what_is_nothing_to_see(t):
    t.spawn("app", THROWER, options=["--debug"])
    spinning(t, "other")
    client = Client(t, Gateway(t))
    client.ask("?")
    other = t.vm("other")["id"]

    def stands():
        return client.ask(f"qWasmCallStack:{other:x}"), value(client, 0)

    before = stands()
    client.send(packet(f"vCont;c:{t.vm('app')['id']:x}"))
    wait_until(lambda: t.json("world", "status", "default")["mode"] == "run-one", "one goes on")
    for _ in range(3):
        equal(t.ctl("call", "app", "own").out, '"Exception"\n')
        equal(t.json("world", "status", "default")["mode"], "run-one")
    client.send(b"\x03")
    check("reason:signal;" in stopped(client), "it is stopped")
    equal(stands(), before, "the other one has not moved")
    nothing_more(client)


def test_modules_are_told_of_only_once_their_list_was_read_and_then_at_each_load(t):
    t.spawn("app", APP, options=["--debug"])
    client = Client(t, Gateway(t))
    check("library:" not in client.ask("?"), "nobody has asked for them")
    for known in (False, True):
        client.send(packet("c"))
        call = t.start("call", "app", "load")
        reply = stopped(client)
        equal((reply[:3], "library:" in reply), ("T14", known), reply)
        before = len(instances(client))
        equal(before, 3 if known else 2)
        # That has been told.
        check("library:" not in client.ask(f"qThreadStopInfo{t.vm('app')['id']:x}"), "it is told once")
        client.send(packet("c"))
        equal(call.wait(HANG), 0)
        client.send(b"\x03")
        check("library:" not in stopped(client), "nothing is new")


def test_modules_that_have_gone_are_told_of_at_the_next_stop_and_so_are_their_breakpoints(t):
    t.spawn("app", HEAD + """let second = made();
const first = made();
globalThis.once = (n) => second.once(n);
globalThis.drop = () => { second = null; };
globalThis.onmessage = () => {};
""", options=["--debug"])
    t.spawn("other", APP, options=["--debug"])
    client = Client(t, Gateway(t))
    client.ask("?")
    there = instances(client)
    equal(len(there), 3)

    def stop():
        client.send(b"\x03")
        return stopped(client)

    def run():
        client.send(packet("c"))
        wait_until(lambda: t.json("world", "status", "default")["mode"] == "run-all", "the world goes on")

    for at in there[:2]:
        equal(client.ask(f"Z0,{at + MODULE.at[ONCE][0]:x},1"), "OK")
    run()
    t.ctl("call", "app", "drop")
    t.ctl("world", "gc")
    check("library:" in stop(), "one instance is gone")
    left = instances(client)
    equal((len(left), left[-1]), (2, there[2]))
    equal(len(t.json("break", "list", "app")), 1)
    gone, = set(there) - set(left)
    for text in (f"m{gone:x},4", f"Z0,{gone + MODULE.at[ONCE][0]:x},1", f"z0,{gone + MODULE.at[ONCE][0]:x},1"):
        check(client.ask(text).startswith("E"), f"{text} is about nothing that is there")
    run()
    check("library:" not in stop(), "it is told once")
    run()
    os.kill(t.vm("other")["pid"], 9)
    t.wait_for("other", "exited")
    check("library:" in stop(), "the VM is gone, with its module")
    equal(instances(client), left[:1])


def test_memory_of_an_instance_is_whole_or_none_from_the_moment_that_it_is_seen(t):
    t.spawn("app", HEAD + """globalThis.storm = (n) => {
    for (let i = 0; i < n; i++)
        made().once(1);
    return n;
};
globalThis.onmessage = () => {};
""", options=["--debug"])
    client = Client(t, Gateway(t))
    client.ask("?")
    call, reads = t.start("call", "app", "storm", "60"), []
    site = None
    for _ in range(60):
        reply = client.ask("c")
        check(reply.startswith("T14"), reply)
        newest = instances(client)[-1]
        memory = newest & ~(3 << 62)
        equal(client.ask(f"m{newest:x},4"), b"\0asm".hex())
        reads.append(client.ask(f"m{memory + 1024:x},4"))
        check(client.ask(f"qMemoryRegionInfo:{memory:x}").startswith("start:"), "there is an answer")
        # And where it runs, it is there.
        site = newest + MODULE.at[ONCE][0]
        equal(client.ask(f"Z0,{site:x},1"), "OK")
        equal(pc(client.ask("c")), site)
        equal(client.ask(f"m{memory + 1024:x},4"), b"full".hex())
        equal(client.ask(f"z0,{site:x},1"), "OK")
    check(all(r == b"full".hex() or r.startswith("E") for r in reads), reads)
    client.send(packet("c"))
    equal(call.wait(HANG), 0)
    equal(call.stdout.read(), "60\n")


NAMED = """
volatile int go;

__attribute__((noinline)) static int twice(int n)
{
    return 2 * n;
}

int main(void)
{
    while (!go)
        ;
    return twice(21);
}
"""


def test_a_module_s_name_may_have_any_characters(t):
    with open(compiled(t, "plain", NAMED), "rb") as f:
        code = f.read()
    names = ["a&b.wasm", "<c d>.wasm", "grün.wasm", "\"e'f;g#h$*}.wasm", "x" + 40 * "ü" + ".wasm"]
    for i, name in enumerate(names):
        path = os.path.join(t.work, name)
        with open(path, "wb") as f:
            f.write(code)
        t.ctl("run", "-d", "--debug", "--name", f"vm-{i}", "--world", f"world-{i}", path)
        lldb = Lldb(t, Gateway(t, what=("--world", f"world-{i}")))
        # Of a long one LLDB is told as much as is 64 bytes of whole letters.
        equal([os.path.basename(m).rpartition("@")[0] for m in lldb.modules()],
              [name.encode()[:64].decode(errors="ignore")])
        equal(lldb.break_function("twice")["resolved"], 1, name)
        lldb.command("expression go = 1")
        equal(lldb.go(), "stopped")
        equal((lldb.selected()["frames"][0]["function"], lldb.value("n")), ("twice", "21"), name)
        lldb.detach()
        equal(t.json("wait", f"vm-{i}", "--for=exited")["exit"]["code"], 42)


def refused(t, *args):
    """What a gateway says that cannot listen."""
    r = subprocess.run([t.program("stillpoint-gdbserver"), "--socket", t.daemon.socket, *args], env=t.env, cwd=t.work,
                       capture_output=True, text=True, timeout=HANG, check=False)
    equal((r.returncode, r.stdout, r.stderr.count("\n")), (1, "", 1), r)
    return r.stderr


def test_a_place_that_cannot_be_had_is_an_exit_code_and_a_line(t):
    t.spawn("app", APP, options=["--debug"])
    gateway = Gateway(t)
    check("in use" in refused(t, "--listen", gateway.path), "somebody listens there")
    check(Client(t, gateway).ask("qC").startswith("QC"), "and goes on")
    check("No such file" in refused(t, "--listen", os.path.join(t.work, "none", "socket")), "there is no folder")
    file = t.file("file", "mine")
    check("in use" in refused(t, "--listen", file), "a file is no socket")
    with open(file, encoding="ascii") as f:
        equal(f.read(), "mine")
    check("too long" in refused(t, "--listen", os.path.join(t.work, "x" * 200)), "too long a name")
    port = Gateway.over_tcp(t).url.rpartition(":")[2]
    check("in use" in refused(t, "--tcp", port), "the port is taken")
    # Once it has said where it listens, the first try succeeds; what a killed one has left is taken over.
    left = Gateway(t)
    left.process.kill()
    left.process.wait(HANG)
    for listen in (("--listen", left.path), None, None):
        again = Gateway(t, listen=listen)
        if listen:
            again.path = left.path
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(again.path)


STRANGER = """
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
os.setgid(65534)
os.setuid(65534)
try:
    s.connect(sys.argv[1])
except PermissionError:
    sys.exit("not permitted")
try:
    s.sendall(b"+$qC#b4")
    sys.exit(s.recv(100).decode() or "hung up")
except ConnectionError:
    sys.exit("hung up")
"""


def test_nobody_but_its_user_is_served_whatever_became_of_its_socket(t):
    if os.geteuid() != 0:
        t.skip("needs root, to be somebody else")
    spinning(t, "one")
    gateway = Gateway(t)
    equal(os.stat(gateway.path).st_mode & 0o777, 0o600)

    def stranger():
        return subprocess.run([sys.executable, "-B", "-c", STRANGER, gateway.path], capture_output=True, text=True,
                              timeout=HANG, check=False).stderr.strip()

    folder = os.path.dirname(gateway.path)
    while folder != "/":
        os.chmod(folder, os.stat(folder).st_mode | 0o011)
        folder = os.path.dirname(folder)
    equal(stranger(), "not permitted")
    os.chmod(gateway.path, 0o666)
    equal(stranger(), "hung up")
    client = Client(t, gateway)
    check(client.ask("?").startswith("T"), "its user is served")
    client.close()
    runs(t.vm("one")["pid"])
