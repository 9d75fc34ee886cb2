"""Values that change under LLDB: watchpoints, which the gateway has by steps."""

import re

import wasm
from harness import HANG, check, equal, wait_until
from lldb_client import Gateway, Lldb, LldbError, compiled, line_of, runs
from rsp import Client, packet
from wasm import I32, Function

PROGRAM = r"""
#include <stdio.h>

volatile int go;
int counter = 5;
double level = 0.5;

__attribute__((noinline)) static void add(int n)
{
    counter += n; /* add */
}

int main(void)
{
    puts("up");
    fflush(stdout);
    while (!go)
        ;
    int sum = 0;
    for (int i = 1; i <= 4; i++) { /* loop */
        sum += i; /* sum */
        add(sum);
    }
    level = sum / 4.0; /* level */
    printf("sum %d, counter %d, level %.2f\n", sum, counter, level);
    return sum;
}
"""
PRINTED = "sum 10, counter 25, level 2.50\n"


def start(t):
    """The program runs, and an LLDB has stopped it in its loop, which it leaves when it goes on."""
    vm = t.start("run", "--debug", "--name", "app", compiled(t, "app", PROGRAM))
    equal(vm.stdout.readline(), "up\n")
    lldb = Lldb(t, Gateway(t))
    lldb.command("expression go = 1")
    return vm, lldb


def changed(lldb, number=1):
    """It goes on until this watchpoint stops it; returns function and line."""
    equal(lldb.go(), "stopped")
    thread = lldb.selected()
    equal((thread["reason"], thread["says"]), ("watchpoint", f"watchpoint {number}"), thread)
    return thread["frames"][0]["function"], thread["frames"][0]["line"]


def finished(vm, lldb):
    lldb.detach()
    equal(vm.stdout.readline(), PRINTED)
    equal(vm.wait(HANG), 10)


def test_a_global_that_is_watched_stops_the_program_at_each_change_with_both_values(t):
    vm, lldb = start(t)
    check("type = m" in lldb.command("watchpoint set variable counter"), "it is one for changes")
    for old, new in ((5, 6), (6, 9), (9, 15)):
        function, line = changed(lldb)
        equal(function, "add")
        check(line in (line_of(PROGRAM, "add"), line_of(PROGRAM, "add") + 1), line)
        equal(lldb.globals("counter"), [str(new)])
        shown = lldb.command("watchpoint list")
        check(re.search(rf"old value: {old}\n\s*new value: {new}\n", shown), shown)
    finished(vm, lldb)


def test_a_local_that_is_watched_stops_the_program_at_each_change(t):
    vm, lldb = start(t)
    b = lldb.break_line("app.c", line_of(PROGRAM, "sum"))
    equal(lldb.go(), "stopped")
    lldb.break_remove(b["id"])
    lldb.command("watchpoint set variable sum")
    for value in (1, 3, 6):
        equal(changed(lldb)[0], "main")
        equal(lldb.value("sum"), str(value))
    finished(vm, lldb)


def test_a_watchpoint_with_a_condition_stops_where_that_holds_and_none_that_is_deleted(t):
    vm, lldb = start(t)
    lldb.command("watchpoint set variable counter")
    lldb.command("watchpoint modify --condition 'counter == 15' 1")
    changed(lldb)
    equal(lldb.globals("counter"), ["15"])
    lldb.command("watchpoint delete 1")
    lldb.break_line("app.c", line_of(PROGRAM, "level"))
    equal(lldb.go(), "stopped")
    equal((lldb.selected()["reason"], lldb.globals("counter")), ("breakpoint", ["25"]))
    finished(vm, lldb)


def test_of_a_watchpoint_and_a_breakpoint_each_stops_the_program(t):
    vm, lldb = start(t)
    lldb.command("watchpoint set variable counter")
    b = lldb.break_line("app.c", line_of(PROGRAM, "add"))
    for value in (6, 9):
        equal(lldb.go(), "stopped")
        equal(lldb.selected()["says"], f"breakpoint {b['id']}.1")
        equal(changed(lldb)[0], "add")
        equal(lldb.globals("counter"), [str(value)])
    finished(vm, lldb)


def test_a_value_of_several_words_is_watched_in_all_of_them(t):
    vm, lldb = start(t)
    lldb.break_line("app.c", line_of(PROGRAM, "level"))
    equal(lldb.go(), "stopped")
    lldb.command("watchpoint set variable level")
    equal(changed(lldb)[0], "main")
    equal(lldb.globals("level"), ["2.5"])
    finished(vm, lldb)


def test_reads_and_what_is_too_much_cannot_be_watched_and_nothing_else_suffers(t):
    vm, lldb = start(t)
    for command in ("watchpoint set variable -w read counter", "watchpoint set variable -w read_write counter",
                    "watchpoint set expression -s 128 -- &counter"):
        try:
            lldb.command(command)
        except LldbError as e:
            check("Watchpoint creation failed" in str(e), e)
        else:
            check(False, f"{command} says that it has been done")
    lldb.command("watchpoint set variable counter")
    changed(lldb, 4)
    finished(vm, lldb)


POKE, COUNT, CALLS, BACK = 1, 2, 3, 0
AT = 16
MODULE = wasm.Module([
    Function("poke", [I32], [], [wasm.const(AT), wasm.get(0), wasm.STORE]),
    # Each 64th time it counts.
    Function("count", [], [], [
        wasm.LOOP, wasm.get(0), wasm.const(1), wasm.ADD, wasm.put(0),
        wasm.const(AT), wasm.const(AT), wasm.LOAD, wasm.get(0), wasm.const(63), b"\x71", wasm.EQZ, wasm.ADD, wasm.STORE,
        wasm.const(1), wasm.branch_if(0), wasm.END], [I32]),
    Function("calls", [I32], [I32], [wasm.get(0), wasm.call(BACK)]),
], imports=[("back", [I32], [I32])])
APP = f"""const bytes = new Uint8Array({list(MODULE.bytes)});
const {{poke, count, calls, memory}} =
    new WebAssembly.Instance(new WebAssembly.Module(bytes), {{env: {{back}}}}).exports;
function back(n) {{
    const view = new Int32Array(memory.buffer);
    view[{AT // 4}] = n;
    return n + 1;
}}
globalThis.poke = (n) => poke(n);
globalThis.count = () => count();
globalThis.calls = (n) => calls(n);
globalThis.onmessage = () => {{}};
"""


def connect(t, gateway):
    client = Client(t, gateway)
    client.ask("?")
    return client


def instances(client):
    """Their addresses of code, by the ids of their threads' VMs in the order of both."""
    return [int(a, 16) for a in re.findall(r'<section address="(0x[0-9a-f]+)"',
                                           client.ask("qXfer:libraries:read::0,8000"))]


def memory_at(code):
    """The watched address in the memory of the instance with this code."""
    return code - (1 << 62) + AT


def word(client, address):
    return int.from_bytes(bytes.fromhex(client.ask(f"m{address:x},4")), "little")


def change(reply, address):
    check("reason:watchpoint;" in reply, reply)
    equal(bytes.fromhex(re.search(r"description:([0-9a-f]+);", reply).group(1)).decode(), str(address))


def counting(t):
    """A VM that counts, stopped; its memory's address."""
    t.spawn("app", APP, options=["--debug"])
    t.start("call", "app", "count")
    t.wait_for("app", "active")
    client = connect(t, Gateway(t))
    return client, memory_at(instances(client)[0])


def test_changes_are_told_with_their_address_and_what_the_debugger_writes_is_none(t):
    client, at = counting(t)
    equal(client.ask(f"Z2,{at:x},4"), "OK")
    before = word(client, at)
    for n in (1, 2):
        change(client.ask("c"), at)
        equal(word(client, at), before + n)
    equal(client.ask(f"M{at:x},4:e8030000"), "OK")
    change(client.ask("vCont;c"), at)
    equal(word(client, at), 1001)
    equal(client.ask(f"z2,{at:x},4"), "OK")
    check(client.ask(f"z2,{at:x},4").startswith("E"), "it was cleared")
    client.send(packet("c"))
    runs(t.vm("app")["pid"])
    check(client.silent(), client.bytes)
    client.send(b"\x03")
    check("reason:signal" in client.reply(), "it is stopped")


def test_what_cannot_be_watched_is_an_error(t):
    client, at = counting(t)
    for text in (f"Z2,{at:x},0", f"Z2,{at:x},9", f"Z2,{at:x}", f"Z2,{at + 0x10000:x},4", f"Z2,{0xffff:x},4",
                 f"Z2,{(1 << 62) + at:x},4", f"Z2,{(99 << 32):x},4", f"Z3,{at:x},4", f"Z4,{at:x},4", f"z2,{at:x},4"):
        reply = client.ask(text)
        check(re.match(r"E[0-9a-f]{2}", reply), f"{text}: {reply!r}")
    for i in range(16):
        equal(client.ask(f"Z2,{1024 + 4 * i + at - AT:x},4"), "OK")
    check(client.ask(f"Z2,{at:x},4").startswith("E"), "that is too much")
    equal(client.ask(f"Z2,{1024 + at - AT:x},4"), "OK", "what is watched already")


def test_an_interrupt_ends_a_run_by_steps_whenever_it_comes(t):
    client, at = counting(t)
    pid = t.vm("app")["pid"]
    equal(client.ask(f"Z2,{at + 4:x},4"), "OK")
    for i in range(30):
        client.send(packet("c"))
        if i % 3 == 1:
            runs(pid)
        if i % 3 == 2:
            wait_until(lambda: t.json("world", "status", "default")["mode"] == "run-all", "it runs")
        client.send(b"\x03")
        reply = client.reply()
        check(re.match("T[0-9a-f]{2}", reply) and "reason:signal" in reply, reply)
    check(client.ask("qC").startswith("QC"), "nothing was answered twice")
    client.send(packet("c"))
    client.close()
    wait_until(lambda: t.json("world", "status", "default")["mode"] == "run-all", "the world goes on")
    runs(pid)


def test_a_vm_that_is_watched_may_be_idle_between_its_changes(t):
    t.spawn("app", APP, options=["--debug"])
    client = connect(t, Gateway(t))
    code = instances(client)[0]
    equal(client.ask(f"Z0,{code + MODULE.at[POKE][0]:x},1"), "OK")
    client.send(packet("c"))
    call = t.start("call", "app", "poke", "5")
    check("reason:breakpoint" in client.reply(), "poke is called")
    at = memory_at(code)
    equal(client.ask(f"Z2,{at:x},4"), "OK")
    equal(client.ask(f"z0,{code + MODULE.at[POKE][0]:x},1"), "OK")
    change(client.ask("c"), at)
    client.send(packet("c"))
    equal(call.wait(HANG), 0)
    t.wait_for("app", "idle")
    client.send(b"\x03")
    check("reason:signal" in client.reply(), "one that is idle is stopped")
    client.send(packet("c"))
    t.ctl("call", "app", "poke", "5")  # what it is already
    call = t.start("call", "app", "poke", "6")
    change(client.reply(), at)
    equal(client.ask("D"), "OK")
    equal(call.wait(HANG), 0)


def test_what_javascript_writes_to_the_memory_is_a_change_too(t):
    t.spawn("app", APP, options=["--debug"])
    client = connect(t, Gateway(t))
    code = instances(client)[0]
    equal(client.ask(f"Z0,{code + MODULE.at[CALLS][0]:x},1"), "OK")
    client.send(packet("c"))
    call = t.start("call", "app", "calls", "7")
    check("reason:breakpoint" in client.reply(), "it is called")
    at = memory_at(code)
    equal(client.ask(f"Z2,{at:x},4"), "OK")
    change(client.ask("c"), at)
    equal(word(client, at), 7)
    equal(client.ask("D"), "OK")
    equal(call.wait(HANG), 0)
    equal(call.stdout.read(), "8\n")


def test_others_run_while_one_vm_is_watched_and_it_may_end(t):
    for name in ("app", "other"):
        t.spawn(name, APP, options=["--debug"])
        t.start("call", name, "count")
        t.wait_for(name, "active")
    client = connect(t, Gateway(t))
    first, second = (memory_at(code) for code in instances(client))
    equal(client.ask(f"Z2,{second:x},4"), "OK")
    reply = client.ask("c")
    change(reply, second)
    check(f"thread:{t.vm('other')['id']:x};" in reply, f"the one that has changed it is told: {reply}")
    equal(client.ask(f"z2,{second:x},4"), "OK")
    equal(client.ask(f"Z2,{first + 4:x},4"), "OK")
    reply = client.ask(f"Z2,{second:x},4")
    check(reply.startswith("E"), f"a second VM is not watched: {reply}")
    client.send(packet("c"))
    runs(t.vm("other")["pid"])
    t.ctl("kill", "app")
    t.wait_for("app", "exited")
    runs(t.vm("other")["pid"])
    check(client.silent(), client.bytes)
    client.send(b"\x03")
    check("reason:signal" in client.reply(), "it is stopped")
    equal(client.ask("qfThreadInfo"), f"m{t.vm('other')['id']:x}")
    equal(client.ask(f"Z2,{second:x},4"), "OK", "nothing else is watched any more")
    change(client.ask("c"), second)
