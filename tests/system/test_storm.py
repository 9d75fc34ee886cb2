"""Many stops, births and deaths at once: what one stop shows has to hold for thousands."""

import os
import random
import signal
import time

import api as api_client
import wasm
from harness import asleep, check, equal, thread_cpu_ns, thread_runs, wait_until

ROUNDS = int(os.environ.get("STILLPOINT_ROUNDS", "1000"))
CYCLES = int(os.environ.get("STILLPOINT_CYCLES", "1000"))

WASM_FOREVER = "new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(%s))).exports._start()"

PROGRAMS = {
    "spins": "let i = 0; for (;;) i++;",
    "wasm": WASM_FOREVER % list(wasm.command(wasm.FOREVER)),
    "prints": "setInterval(() => console.log('tick'), 5)",
    "idles": "globalThis.onmessage = () => console.log('message')",
    "naps": "const a = new Int32Array(new SharedArrayBuffer(4)); for (;;) Atomics.wait(a, 0, 0, 50)",
    "blocks": "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)",
    "sorts": "for (;;) Array.from({length: 1000}, (_, i) => i ^ 0x5a).sort((a, b) => a - b)",
    "promises": "(async () => { for (;;) await null; })()",
}


def connect(t):
    try:
        module = api_client.messages(t.source, t.tmp)
    except api_client.Unavailable as e:
        t.skip(str(e))
    finally:
        for name in os.listdir(t.tmp):
            path = os.path.join(t.tmp, name)
            if os.path.isfile(path):
                os.unlink(path)
    return api_client.Client(module, t.daemon.socket)


def cast(client, count):
    names = list(PROGRAMS)
    return [client.run(f"{names[i % len(names)]}.js", PROGRAMS[names[i % len(names)]])
            for i in range(count)]


def monotonic_ns():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def test_nothing_runs_in_a_thousand_stops_of_16_vms(t):
    client = connect(t)
    vms = cast(client, 16)
    pids = {vm.id: vm.pid for vm in client.vms()}
    equal(len(pids), 16)
    windows, over, began = [], [], time.monotonic()
    for number in range(ROUNDS):
        report = client.stop()
        start = monotonic_ns()
        equal((list(report.missing), len(report.arrivals)), ([], 16), f"round {number}")
        how = {a.vm: a.how for a in report.arrivals}
        for pid in pids.values():
            asleep(pid)
        before = {vm: thread_cpu_ns(pid) for vm, pid in pids.items()}
        runs = {vm: thread_runs(pid) for vm, pid in pids.items()}
        window_start = time.monotonic()
        if number % 50 == 0:
            time.sleep(0.05)  # now and then long enough for each timer to be due
        after = {vm: thread_cpu_ns(pid) for vm, pid in pids.items()}
        runs = {vm: thread_runs(pid) - runs[vm] for vm, pid in pids.items()}
        seconds = time.monotonic() - window_start
        end = monotonic_ns()
        client.resume()
        windows.append((start, end))
        for vm in pids:
            spent_us = (after[vm] - before[vm]) / 1000
            acked = how[vm] == client.api.HOW_ACKED
            # A parked VM is not put on a CPU at all. A held one may wake once by its own timer, come
            # to its gate and park; once more if it lost its CPU on the way.
            check(runs[vm] <= (0 if acked else 2),
                  f"round {number}: VM {vm} ({'acked' if acked else 'held'}) ran {runs[vm]} times")
            allowed_us = (10 if acked else 200) + 50 * seconds
            if spent_us > allowed_us:
                over.append(f"round {number}: VM {vm} ({'acked' if acked else 'held'}) ran "
                            f"{spent_us:.0f} us of {seconds * 1e6:.0f}")
    print(f"# {ROUNDS} stops in {time.monotonic() - began:.1f} s, {len(over)} beyond the allowance")
    # The time of such a run is not exact: what a hypervisor takes from this machine is booked on it.
    check(len(over) <= ROUNDS / 100, "\n".join(over))
    for vm in vms:
        for record in client.log(vm.id):
            for start, end in windows:
                check(not start < record.mono_ns < end,
                      f"{vm.name} wrote {record.data!r} inside of a stop")
    state = client.request(get_world=client.api.GetWorld()).world_reply.world
    equal(state.mode, client.api.MODE_RUN_ALL)
    equal(len(client.vms()), 16)
    client.close()


def test_stops_complete_while_vms_are_born_and_die(t):
    client, other = connect(t), connect(t)
    for vm in cast(client, 4):
        check(vm.id, vm)
    rng = random.Random(7)
    names = list(PROGRAMS)
    for _ in range(150):
        pending = []
        for _ in range(rng.randrange(4)):
            name = rng.choice(names)
            fd = api_client.memfd(PROGRAMS[name].encode())
            request = other.api.RunVm(program=f"{name}.js", keep_idle=True)
            pending.append(other.send(fd, run_vm=request))
            os.close(fd)
        report_number = client.send(stop_world=client.api.StopWorld(deadline_us=20_000_000))
        alive = [vm for vm in client.vms() if vm.pid]
        for vm in rng.sample(alive, min(len(alive), rng.randrange(3))):
            try:
                os.kill(vm.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended by itself meanwhile
        report = client.wait(report_number).stop_report
        equal(list(report.missing), [])
        equal(len({a.vm for a in report.arrivals}), len(report.arrivals), "each VM once")
        client.resume()
        for number in pending:
            try:
                other.wait(number)
            except api_client.ApiError as e:
                check(e.code == other.api.ERROR_INTERNAL, e)  # it was killed while it started
        extra = [vm.id for vm in client.vms()][6:]
        for vm in extra:
            try:
                client.request(kill_vm=client.api.KillVm(vm=str(vm)))
            except api_client.ApiError as e:
                check(e.code in (client.api.ERROR_WRONG_STATE, client.api.ERROR_NOT_FOUND), e)
    client.close()
    other.close()


def test_kill_9_at_any_moment_is_reported_and_hurts_nobody_else(t):
    client = connect(t)
    witness = client.run("witness.js", "let n = 0; setInterval(() => n++, 1); "
                                       "globalThis.count = () => n")
    rng = random.Random(9)
    for number in range(60):
        name = rng.choice(list(PROGRAMS))
        victim = client.run(f"{name}.js", PROGRAMS[name])
        pid = client.request(get_vm=client.api.GetVm(vm=str(victim.id))).vm_reply.vm.pid
        when = number % 3
        stop = None
        if when > 0:
            stop = client.send(stop_world=client.api.StopWorld(deadline_us=20_000_000))
        if when == 2:
            client.wait(stop)  # parked, or held
        os.kill(pid, signal.SIGKILL)
        if when == 1:
            report = client.wait(stop).stop_report
            equal(list(report.missing), [])
        wait = client.api.WaitVm(vm=str(victim.id), timeout_us=20_000_000)
        setattr(wait, "for", client.api.WAIT_FOR_EXITED)
        ended = client.request(wait_vm=wait).vm_reply.vm
        equal((ended.exit.reason, ended.exit.code, ended.exit.signal),
              (client.api.EXIT_KILLED, 137, 9))
        if when > 0:
            client.resume()
    call = client.api.CallFunction(vm=str(witness.id), function="count", timeout_us=20_000_000)
    check(int(client.request(call_function=call).call_reply.json) > 0, "the witness lives")
    client.close()


def test_run_and_kill_leave_nothing_behind(t):
    client = connect(t)
    client.run("first.js", "0")  # whatever is made once is made now
    for vm in client.vms():
        client.request(kill_vm=client.api.KillVm(vm=str(vm.id)))
    before = t.daemon.fds()
    rng = random.Random(3)
    for _ in range(CYCLES):
        name = rng.choice(list(PROGRAMS))
        vm = client.run(f"{name}.js", PROGRAMS[name])
        client.request(kill_vm=client.api.KillVm(vm=str(vm.id)))
    equal(client.vms(), [])
    equal(len(client.vms(everything=True)), min(CYCLES + 1, 256), "exited VMs that are kept")
    if before is not None:
        equal(t.daemon.fds(), before, "descriptors of the daemon")
    client.close()


def test_the_zygote_can_be_killed(t):
    client = connect(t)
    old = client.run("old.js", "globalThis.ping = () => 'pong'")
    zygotes = [p for p in os.listdir("/proc") if p.isdigit() and is_zygote_of(p, t.daemon.pid)]
    check(zygotes, "the daemon has a zygote")
    for pid in zygotes:
        os.kill(int(pid), signal.SIGKILL)

    def born():
        try:
            return client.run("new.js", "0")
        except api_client.ApiError:
            return None

    check(wait_until(born, "births go on after the zygote's death").id > old.id, "a new id")
    call = client.api.CallFunction(vm="old", function="ping", timeout_us=20_000_000)
    equal(client.request(call_function=call).call_reply.json, '"pong"')
    client.close()


def is_zygote_of(pid, daemon):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            parent = int(f.read().rsplit(")", 1)[1].split()[1])
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return parent == daemon and b"--zygote" in f.read() and not in_own_pid_namespace(pid)
    except OSError:
        return False


def in_own_pid_namespace(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        for line in f:
            if line.startswith("NSpid:"):
                return len(line.split()) > 2
    return False


def test_no_worker_outlives_a_daemon_that_was_killed(t):
    client = connect(t)
    cast(client, len(PROGRAMS))
    pids = [vm.pid for vm in client.vms()]
    equal(len(pids), len(PROGRAMS))
    t.daemon.process.kill()
    t.daemon.process.wait()
    client.close()
    wait_until(lambda: not [p for p in pids if os.path.exists(f"/proc/{p}") and running(p)],
               "all workers are gone", 4)


def running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False
