"""The LLDB gateway, asked by hand: packets that are wrong, at moments that are wrong, by clients that vanish."""

import re
import struct

import wasm
from harness import HANG, check, equal, wait_until
from lldb_client import Gateway, runs
from rsp import Client, packet
from wasm import F64, I32, I64, Function

SPIN, ADD = 0, 1
MODULE = wasm.Module([
    Function("spin", [], [], [wasm.LOOP, wasm.get(0), wasm.const(1), wasm.call(ADD), wasm.put(0), wasm.const(1),
                              wasm.branch_if(0), wasm.END], [I32]),
    Function("add", [I32, I32], [I32], [wasm.get(0), wasm.get(1), wasm.ADD]),
])
APP = f"""const bytes = new Uint8Array({list(MODULE.bytes)});
const {{spin}} = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
globalThis.spin = () => spin();
globalThis.up = () => 'yes';
globalThis.onmessage = () => {{}};
"""
CODE = 1 << 62


def busy(t, *args):
    """A VM that runs WebAssembly for ever, and a gateway; the VM's pid."""
    t.spawn("app", APP, options=["--debug"])
    t.start("call", "app", "spin")
    t.wait_for("app", "active")
    return Gateway(t, *args), t.vm("app")["pid"]


def goes_on(t, pid):
    """Nobody stops its world any more, and it is on a CPU again."""
    wait_until(lambda: t.json("world", "status", "default")["mode"] == "run-all", "the world goes on")
    runs(pid)


def attached(t):
    """Such a VM, whose world a client has stopped."""
    gateway, pid = busy(t)
    client = Client(t, gateway)
    client.ask("?")
    return client, pid


def stopped(client):
    reply = client.reply()
    check(re.match(r"T[0-9a-f]{2}", reply), reply)
    return reply


def nothing_more(client):
    """What comes next is the answer to what is asked next: nothing was answered twice."""
    check(client.ask("qC").startswith("QC"), "qC is answered")
    check(client.silent(), client.bytes)


def add_entry(client):
    """The address of the first instruction of add, in the instance that is there."""
    found = re.search(r'<section address="(0x[0-9a-f]+)"', client.ask("qXfer:libraries:read::0,4000"))
    return int(found.group(1), 16) + MODULE.at[ADD][0]


def test_each_request_is_answered_once_and_those_that_nobody_knows_with_nothing(t):
    gateway, _ = busy(t)
    client = Client(t, gateway)
    stopped_at = client.ask("?")
    check(stopped_at.startswith("T"), stopped_at)
    for text, pattern in (("qSupported:multiprocess+", r"PacketSize=[0-9a-f]+;.*libraries"), ("vCont?", "vCont;c;C;s;S"),
                          ("qHostInfo", "triple:"), ("qProcessInfo", "pid:"), ("qfThreadInfo", r"m[0-9a-f]+$"),
                          ("qsThreadInfo", "l$"), ("qRegisterInfo0", "name:pc;.*bitsize:64;"), ("qRegisterInfo1", "E"),
                          ("qNoSuchThing", "$"), ("vNoSuch;1", "$"), ("!", "$"), ("", "$"), ("G00", "$")):
        reply = client.ask(text)
        check(re.match(pattern, reply), f"{text}: {reply}")
    nothing_more(client)


def test_a_field_that_is_not_as_it_has_to_be_is_an_error_and_nothing_else(t):
    client, _ = attached(t)
    tid = client.ask("qfThreadInfo")[1:]
    for text in ("m", "m1", "m1,", "mx,1", "m1,g", "m10000000000000000,1", "m0,1,", "M0,2:00", "M0,1:0", "M0,1:0g", "M0,1",
                 "x,1", "Z0,", "Z0,zz,1", "z0,", "Z0,1", "Hg", "Hgx", "Hc-2", "Hg-1-1", "T", "Tx", "T-5", "qThreadStopInfo",
                 "qThreadStopInfozz", "qWasmCallStack:", "qWasmCallStack:-1x", "qWasmLocal:0", "qWasmLocal:x;1",
                 "qWasmLocal:0;99999", "qWasmLocal:0;1;2", "qWasmGlobal:0", "qWasmGlobal:;1", "qWasmStackValue:0",
                 "qXfer:libraries:read::", "qXfer:libraries:read::0", "qXfer:libraries:read::g,1", "qMemoryRegionInfo:",
                 "qMemoryRegionInfo:x", "qRegisterInfo", "qRegisterInfozz", "p", "pz", "vCont;", "vCont;q", "vCont;s:",
                 "vCont;s:zz", "vCont;c:1:2", "vCont;;", f"m{CODE:x},200", f"qWasmCallStack:{2**63:x}", "vAttach;zz"):
        reply = client.ask(text)
        check(re.match(r"E[0-9a-f]{2}", reply), f"{text}: {reply!r}")
    # It is where it was.
    check(client.ask(f"qThreadStopInfo{tid}").startswith("T"), "it is still stopped")
    nothing_more(client)


def test_a_wrong_checksum_is_sent_again_where_that_is_agreed_and_ends_all_else(t):
    gateway, pid = busy(t)
    client = Client(t, gateway, acks=True)
    client.send(packet("qHostInfo", wrong=1))
    equal(client.sign(), "-")
    check(client.ask("qHostInfo").startswith("triple:"), "it is taken when it is right")
    client.send(packet("qC"))
    equal(client.sign(), "+")
    client.acks = False
    first = client.reply()
    client.send(b"-")
    equal(client.reply(), first, "what was not acknowledged comes again")
    client.send(b"+")
    client.close()
    goes_on(t, pid)
    client = Client(t, gateway)
    client.ask("?")
    client.send(packet("qHostInfo", wrong=1))
    client.hung_up()
    goes_on(t, pid)


def test_what_is_no_packet_ends_that_client_only(t):
    gateway, pid = busy(t)
    for raw in (b"hello", b"$q$q#00", b"$c#zz", b"%x#78", b"}", b"\0", b"$" + b"a" * (1 << 20)):
        client = Client(t, gateway)
        client.ask("?")
        try:
            client.send(raw)
        except ConnectionError:
            pass  # it did not read on
        client.hung_up()
        goes_on(t, pid)


def test_an_interrupt_is_seen_between_packets_and_in_the_middle_of_one(t):
    client, pid = attached(t)
    for raw, also in ((b"\x03", 0), (b"$q\x03C#b4", 1), (b"$qC#b\x034", 1), (b"\x03$qC#b4", 1)):
        client.send(packet("vCont;c"))
        goes_on(t, pid)
        client.send(raw)
        replies = [client.reply() for _ in range(1 + also)]
        equal(sum(r.startswith("T") for r in replies), 1, replies)
        equal(sum(not r.startswith("T") for r in replies), also, replies)
        nothing_more(client)


def test_an_interrupt_while_stopped_says_nothing_and_a_continue_while_running_is_refused(t):
    client, pid = attached(t)
    client.send(b"\x03")
    nothing_more(client)
    client.send(packet("c"))
    goes_on(t, pid)
    for text in ("c", "vCont;c", "vCont;s:1", "s"):
        check(client.ask(text).startswith("E"), f"{text} while it runs is refused")
    goes_on(t, pid)
    check(client.silent(), client.bytes)
    client.send(b"\x03\x03")
    stopped(client)
    nothing_more(client)


def test_a_breakpoint_is_hit_passed_and_cleared(t):
    client, pid = attached(t)
    at = add_entry(client)
    equal(client.ask(f"Z0,{at:x},1"), "OK")
    for _ in range(5):
        reply = client.ask("c")
        check("reason:breakpoint" in reply, reply)
        equal(client.ask("p0"), at.to_bytes(8, "little").hex())
    equal(client.ask(f"z0,{at:x},1"), "OK")
    client.send(packet("c"))
    goes_on(t, pid)
    check(client.silent(), client.bytes)
    client.send(b"\x03")
    stopped(client)
    nothing_more(client)


def test_a_breakpoint_where_a_function_s_locals_are_declared_is_at_its_first_instruction(t):
    client, pid = attached(t)
    at = add_entry(client) - 1
    tid = t.vm("app")["id"]
    equal(client.ask(f"Z0,{at:x},1"), "OK")
    for _ in range(2):
        reply = client.ask("c")
        # LLDB knows its breakpoint by where it has asked for it.
        check("reason:breakpoint;" in reply and f"00:{at.to_bytes(8, 'little').hex()};" in reply, reply)
        equal(client.ask(f"qWasmCallStack:{tid:x}")[:16], at.to_bytes(8, "little").hex())
        check(f"00:{(at + 3).to_bytes(8, 'little').hex()};" in client.ask(f"vCont;s:{tid:x}"), "it is over the first")
    equal(client.ask(f"z0,{at:x},1"), "OK")
    client.send(packet("c"))
    goes_on(t, pid)
    check(client.silent(), client.bytes)


def test_a_breakpoint_behind_all_code_is_an_error_since_nothing_would_come_to_it(t):
    client, _ = attached(t)
    code = add_entry(client) & ~0xffffffff
    for at in (len(MODULE.bytes), len(MODULE.bytes) + 1000, 0xffffffff):
        reply = client.ask(f"Z0,{code + at:x},1")
        check(reply.startswith("E"), f"{at:x}: {reply}")
    equal(t.json("break", "list", "app"), [])
    equal(client.ask(f"Z0,{code + MODULE.at[ADD][-1]:x},1"), "OK", "at the last of all instructions")


def test_a_local_that_may_be_a_pointer_says_whose_memory_it_is_one_into(t):
    addresses = []
    for name in ("app", "other"):
        t.spawn(name, APP, options=["--debug"])
        t.start("call", name, "spin")
        t.wait_for(name, "active")
    client = Client(t, Gateway(t))
    client.ask("?")
    for tid in client.ask("qfThreadInfo")[1:].split(","):
        frames = bytes.fromhex(client.ask(f"qWasmCallStack:{tid}"))
        value = bytes.fromhex(client.ask("qWasmLocal:0;0"))
        equal((len(value), value[4:8]), (8, (int.from_bytes(frames[4:8], "little") & 0x3fffffff).to_bytes(4, "little")))
        addresses.append(value[4:8])
    equal(len(set(addresses)), 2, addresses)


def test_what_is_written_to_memory_is_all_there_with_nothing_beside_it_and_code_is_not_written(t):
    client, _ = attached(t)
    code = add_entry(client) & ~0xffffffff
    for at in (1000, code - CODE + 1001):
        equal(client.ask(f"M{at - 3:x},b:" + "ee" * 11), "OK")
        equal(client.ask(f"M{at:x},5:0a1b2c3d4e"), "OK")
        equal(client.ask(f"m{at - 3:x},b"), "eeeeee0a1b2c3d4eeeeeee")
    equal(client.ask("Mfffe,2:abcd"), "OK")
    equal(client.ask("mfffd,8"), "00abcd", "up to its end")
    check(client.ask("Mfffe,3:010203").startswith("E"), "it would end beyond the memory")
    before = client.ask(f"m{code:x},8")
    for text in (f"M{code:x},1:00", f"M{3 << 62:x},1:00"):
        check(client.ask(text).startswith("E"), f"{text} is refused")
    equal(client.ask(f"m{code:x},8"), before)


HOLD, LEAF, POINT = range(3)
KEEP = [wasm.get(0), wasm.put_global(0), wasm.get(1), wasm.put_global(1), wasm.get(0)]
VARIABLES = wasm.Module([
    Function("hold", [I32, F64], [], KEEP + [wasm.call(LEAF)]),
    Function("leaf", [I32], [], [wasm.const64(-3), wasm.put(2), wasm.LOOP, wasm.const(1), wasm.branch_if(0), wasm.END], [F64, I64]),
    Function("point", [I32, F64], [], KEEP + [wasm.const(LEAF), wasm.call_indirect(LEAF)]),
], variables=[(I32, 1, wasm.const(0)), (F64, 1, wasm.const_f64(0)), (I64, 0, wasm.const64((1 << 53) - 1)),
              (I64, 0, wasm.const64((1 << 60) + 1)), (I64, 0, wasm.const64(-3))])


def test_values_are_those_of_the_thread_of_the_frame_and_of_the_instance_that_is_named(t):
    for name, function, n in (("app", "hold", 11), ("other", "point", 22), ("third", "leaf", 33)):
        t.spawn(name, f"""const bytes = new Uint8Array({list(VARIABLES.bytes)});
const all = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
globalThis.go = () => all.{function}({n}, {n}.5);
globalThis.onmessage = () => {{}};
""", options=["--debug"])
        t.start("call", name, "go")
        t.wait_for(name, "active")
    client = Client(t, Gateway(t))
    client.ask("?")
    instances = {}
    for name, caller in (("app", HOLD), ("other", POINT)):
        inner, outer = struct.unpack_from("<QQ", bytes.fromhex(client.ask(f"qWasmCallStack:{t.vm(name)['id']:x}")))
        check(inner & 0xffffffff in VARIABLES.at[LEAF], f"{inner:x}")
        # Where the call returns to.
        equal(outer, (inner & ~0xffffffff) + VARIABLES.at[caller][-1])
        instances[name] = inner >> 32 & 0x3fffffff
    for name, n in (("app", 11), ("other", 22), ("app", 11)):
        tid, one = t.vm(name)["id"], n.to_bytes(4, "little").hex() + instances[name].to_bytes(4, "little").hex()
        real = struct.pack("<d", n + 0.5).hex()
        client.ask(f"qWasmCallStack:{tid:x}")
        # leaf, and who called it.
        equal([client.ask(f"qWasmLocal:{p}") for p in ("0;0", "1;0", "1;1", "0;1", "0;2")],
              [one, one, real, "00" * 8, (-3).to_bytes(8, "little", signed=True).hex()])
        for frame in (0, 1):
            equal([client.ask(f"qWasmGlobal:{frame};{i}") for i in range(3)],
                  [one, real, ((1 << 53) - 1).to_bytes(8, "little").hex()])
        # Whichever thread was named.
        for other, m in (("app", 11), ("other", 22)):
            equal(client.ask(f"qWasmGlobal:1;instance:{instances[other]}"), struct.pack("<d", m + 0.5).hex())
    # Of one whose stack is a frame, and nobody has set the global.
    third = struct.unpack_from("<Q", bytes.fromhex(client.ask(f"qWasmCallStack:{t.vm('third')['id']:x}")))[0] >> 32
    client.ask(f"Hg{t.vm('app')['id']:x}")
    equal(client.ask(f"qWasmGlobal:1;instance:{third & 0x3fffffff}"), "00" * 8)
    client.ask("QEnableErrorStrings")
    for i in (3, 4):
        reply = client.ask(f"qWasmGlobal:0;{i}")
        check(reply.startswith("E5f;") and "rounded to 53 bits" in bytes.fromhex(reply[4:]).decode(), reply)
    for text in ("qWasmGlobal:0;5", "qWasmGlobal:9;0", "qWasmLocal:0;3", "qWasmGlobal:5;instance:1", "qWasmGlobal:0;instance:99"):
        check(client.ask(text).startswith("E02;"), f"{text} is about nothing that is there")


def test_regions_lead_in_few_requests_from_what_is_there_to_the_end_of_all_addresses(t):
    for name in ("app", "other"):
        t.spawn(name, APP, options=["--debug"])
        t.start("call", name, "spin")
        t.wait_for(name, "active")
    client = Client(t, Gateway(t))
    client.ask("?")
    code = [int(a, 16) for a in re.findall(r'<section address="(0x[0-9a-f]+)"', client.ask("qXfer:libraries:read::0,4000"))]
    for tid in client.ask("qfThreadInfo")[1:].split(","):
        client.ask(f"Hg{tid}")
        at, seen, requests = 0, {}, 0
        while at < 2**64 - 1:
            requests += 1
            check(requests <= 20, f"region {requests} is at {at:x}, and there are {len(seen)}")
            reply = client.ask(f"qMemoryRegionInfo:{at:x}")
            start, size = (int(n, 16) for n in re.match(r"start:([0-9a-f]+);size:([0-9a-f]+);", reply).groups())
            check(start <= at < start + size, reply)
            if "permissions:" in reply:
                seen[start] = (size, reply.split("permissions:")[1])
            at = start + size
        equal(at, 2**64 - 1)
        # Those without an instance are of the thread that was chosen.
        for base in [0] + [a & ~CODE for a in code]:
            equal(seen.pop(base), (0x10000, "rw;"))
        equal(seen, {a: (len(MODULE.bytes), "rx;") for a in code})


def test_a_client_may_vanish_in_every_state(t):
    gateway, pid = busy(t)

    def nothing(_):
        pass

    def asked(client):
        client.ask("?")

    def half(client):
        client.ask("?")
        client.send(b"$qC#")

    def runs(client):
        client.ask("?")
        client.send(packet("c"))

    def interrupts(client):
        runs(client)
        client.send(b"\x03")

    def steps(client):
        tid = client.ask("qfThreadInfo")[1:]
        client.send(packet(f"vCont;s:{tid}"))

    def breaks(client):
        client.ask("?")
        equal(client.ask(f"Z0,{add_entry(client):x},1"), "OK")
        client.send(packet("c"))

    for state in (nothing, asked, half, runs, interrupts, steps, breaks):
        for acks in (True, False):
            client = Client(t, gateway, acks=acks)
            if not acks:
                state(client)
            client.close()
            goes_on(t, pid)
    client = Client(t, gateway)
    client.ask("?")
    nothing_more(client)
    equal(t.json("break", "list", "app"), [])


def test_a_client_may_detach_after_every_kind_of_stop_and_while_all_runs(t):
    gateway, pid = busy(t)
    for before in ("", "breakpoint", "step", "continue"):
        client = Client(t, gateway)
        client.ask("?")
        at = add_entry(client)
        equal(client.ask(f"Z0,{at:x},1"), "OK")
        equal(client.ask(f"z0,{at:x},1"), "OK")
        if before == "breakpoint":
            equal(client.ask(f"Z0,{at:x},1"), "OK")
            check("breakpoint" in client.ask("c"), "it is hit")
        elif before == "step":
            tid = client.ask("qfThreadInfo")[1:]
            check(client.ask(f"vCont;s:{tid}").startswith("T"), "it has stepped")
        elif before == "continue":
            client.send(packet("c"))
        equal(client.ask("D"), "OK")
        client.hung_up()
        goes_on(t, pid)


def test_the_gateway_ends_with_its_listening_place_and_the_world_goes_on(t):
    gateway, pid = busy(t)
    client = Client(t, gateway)
    client.ask("?")
    equal(gateway.stop(), 0)
    goes_on(t, pid)
    again = Gateway(t, "--once")
    client = Client(t, again)
    client.ask("?")
    client.close()
    equal(again.process.wait(HANG), 0)
    goes_on(t, pid)
