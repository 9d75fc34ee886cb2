"""What `stillctl lldb` does with the gateway and with LLDB, played by programs that write down how they were called."""

import os
import signal

from harness import HANG, check, equal, wait_until

GATEWAY = """#!/usr/bin/python3 -B
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
told = open(os.environ["TOLD"] + "/gateway", "w")
print(*sys.argv[1:], sep="\\n", file=told, flush=True)
open(sys.argv[-1], "w").close()
print("listening on unix-connect://" + sys.argv[-1], flush=True)
signal.sigwait([signal.SIGTERM])
print("ended", file=told, flush=True)
"""
REFUSING = """#!/bin/sh
echo "stillpoint-gdbserver: cannot find VM $4" >&2
exit 3
"""
LLDB = """#!/bin/sh
printf '%s\\n' "$@" >"$TOLD/lldb"
exit 7
"""
WAITING = """#!/usr/bin/python3 -B
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("up", flush=True)
signal.sigwait([signal.SIGTERM])
sys.exit(9)
"""


def programs(t, gateway=GATEWAY, lldb=LLDB):
    """With these as the programs; returns the folder that they write to."""
    told = os.path.join(t.work, "told")
    os.makedirs(told)
    for name, text in (("gateway", gateway), ("bin/lldb-22", lldb)):
        if text:
            os.chmod(t.file(name, text), 0o755)
    t.env.update(TOLD=told, STILLPOINT_GDBSERVER=os.path.join(t.work, "gateway"),
                 PATH=f"{t.work}/bin:/usr/bin:/bin")
    return told


def lines(told, name):
    with open(os.path.join(told, name), encoding="utf-8") as f:
        return f.read().splitlines()


def test_lldb_is_connected_to_a_gateway_of_its_own_that_ends_with_it(t):
    told = programs(t)
    t.ctl("lldb", "--world", "shop", "--policy", "hold", "--", "-b", "-o", "thread list", "--", code=7)
    gateway, lldb = lines(told, "gateway"), lines(told, "lldb")
    socket = gateway[-2]
    equal(gateway, ["--socket", t.daemon.socket, "--world", "shop", "--policy", "hold", "--once", "--listen", socket,
                    "ended"])
    equal(lldb, ["-o", "settings set target.process.disable-memory-cache true", "-o",
                 f"process connect --plugin wasm unix-connect://{socket}", "-b", "-o", "thread list", "--"])
    check(not os.path.exists(os.path.dirname(socket)), "the folder of the socket is gone")


def test_a_vm_alone_and_the_default_world_can_be_meant(t):
    told = programs(t)
    t.ctl("lldb", "web-1", code=7)
    equal(lines(told, "gateway")[2:4], ["--vm", "web-1"])
    t.ctl("lldb", code=7)
    equal(lines(told, "gateway")[2:4], ["--world", "default"])


def test_what_the_gateway_refuses_is_told_with_its_exit_code(t):
    told = programs(t, gateway=REFUSING)
    r = t.ctl("lldb", "nobody", code=3)
    equal(r.err, "stillpoint-gdbserver: cannot find VM nobody\n")
    check(not os.path.exists(os.path.join(told, "lldb")), "LLDB was not started")
    equal([n for n in os.listdir(t.run_dir) if n.startswith("stillpoint-lldb")], [])


def test_without_lldb_or_gateway_it_says_which_package_has_it(t):
    programs(t)
    t.env["PATH"] = os.path.join(t.work, "told")
    t.refused("lldb", code=1, says="lldb-22")
    t.env.update(PATH=f"{t.work}/bin:/usr/bin:/bin", STILLPOINT_GDBSERVER="/nonexistent/gdbserver")
    t.refused("lldb", code=1, says="stillpoint-gateways")


def test_a_call_that_makes_no_sense_is_refused(t):
    programs(t)
    t.refused("lldb", "a", "b", code=2, says="one VM")
    t.refused("lldb", "a", "-w", "b", code=2, says="not both")
    t.refused("lldb", "--policy", "never", code=2, says="'never'")
    t.refused("--private", "lldb", code=2, says="private")


def test_who_ends_stillctl_ends_lldb_and_the_gateway(t):
    told = programs(t, lldb=WAITING)
    p = t.start("lldb")
    equal(p.stdout.readline(), "up\n")
    p.send_signal(signal.SIGTERM)
    equal(p.wait(HANG), 9)
    wait_until(lambda: lines(told, "gateway")[-1] == "ended", "the gateway ends")
