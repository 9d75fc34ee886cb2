"""world stop --enforce: what the kernel keeps from running, who is caught, and what becomes of the frozen."""

import os
import signal
import subprocess
import time

from harness import (cgroup_folder, cgroup_of, check, children, descendants, equal, is_zombie,
                     process_name, thread_cpu_ns, thread_runs, wait_until)
from storm import LONG, PROGRAMS, Still, answer, cast, connect, how_of, watch, world

SPIN = "for (;;);"


def kernel_says_frozen(pid):
    folder = cgroup_folder(cgroup_of(pid))
    if folder and "/vm-" in folder:
        with open(f"{folder}/cgroup.events", encoding="ascii") as f:
            return "frozen 1" in f.read()
    return set(letters(pid)) == {"T"}


def letters(pid):
    """The state of each thread."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii", errors="replace") as f:
            found.append(f.read().rsplit(")", 1)[1].split()[0])
    return found


def stop(client, **options):
    request = client.api.StopWorld(deadline_us=LONG, **options)
    return client.request(stop_world=request).stop_report


def runs_on(pid, what):
    cpu = thread_cpu_ns(pid)
    wait_until(lambda: thread_cpu_ns(pid) > cpu + 2e6, what)


def test_doctor_says_which_way_is_used_and_that_way_is_used(t):
    found = next(c for c in t.json("doctor", schema="doctor")["checks"] if c["name"] == "freeze")
    t.spawn("spins", SPIN, ready=False)
    t.wait_for("spins", "active")
    report = t.json("world", "stop", "--enforce", "--deadline", "20s", schema="world-stop")
    equal([a["how"] for a in report["arrivals"]], ["enforced"])
    pid = t.vm("spins")["pid"]
    if found["state"] == "ok":
        with open(f"{cgroup_folder(cgroup_of(pid))}/cgroup.events", encoding="ascii") as f:
            check("frozen 1" in f.read(), "frozen by its cgroup")
        check("T" not in letters(pid), letters(pid))
    else:
        check("SIGSTOP" in found["detail"], found)
        equal(set(letters(pid)), {"T"}, "stopped by a signal")
    t.ctl("world", "resume")
    runs_on(pid, "it runs again")


def test_every_member_is_frozen_and_runs_on_after_the_resume(t):
    client, events = connect(t), watch(t)
    api = client.api
    vms = cast(client, len(PROGRAMS))
    pids = {vm.id: vm.pid for vm in client.vms()}
    for number in range(3):
        report = stop(client, enforce=True)
        equal((list(report.missing), report.mode), ([], api.MODE_STOPPED), number)
        equal(set(how_of(client, report).values()), {"enforced"}, number)
        equal({vm: kernel_says_frozen(pid) for vm, pid in pids.items()}, {vm: True for vm in pids})
        still, logs = Still(pids, frozen=True), {vm: len(client.log(vm)) for vm in pids}
        check(world(client).enforced, "world status says so")
        equal({(vm.frozen, vm.how) for vm in client.vms()}, {(True, api.HOW_ENFORCED)})
        time.sleep(0.1)  # timers are due; nothing happens: there is no event to wait for
        still.check(what=f"frozen, round {number}:")
        equal({vm: len(client.log(vm)) for vm in pids}, logs)
        client.resume()
        equal({vm: kernel_says_frozen(pid) for vm, pid in pids.items()}, {vm: False for vm in pids})
        check(not any(vm.frozen for vm in client.vms()), "nobody is frozen")
    for vm in vms:
        if vm.name in ("spins", "wasm", "sorts", "promises"):
            runs_on(pids[vm.id], f"{vm.name} runs again")
    prints = next(vm for vm in vms if vm.name == "prints")
    before = len(client.log(prints.id))
    wait_until(lambda: len(client.log(prints.id)) > before, "timers go on")
    equal({k for k, _, _ in events.told("vm-lied", "vm-missed")}, set())
    client.close()
    events.close()


def liar(client):
    vm = client.run("liar", "print up\nlie\n", engine="fake", name="liar")
    wait_until(lambda: client.log(vm.id), "it computes")
    return client.request(get_vm=client.api.GetVm(vm="liar")).vm_reply.vm


def test_without_enforce_a_liar_is_believed(t):
    client = connect(t)
    vm = liar(client)
    report = stop(client)
    equal((list(report.missing), [a.lied for a in report.arrivals]), ([], [False]))
    runs_on(vm.pid, "and it runs on")
    client.resume()
    client.close()


def test_a_liar_is_caught_named_and_does_not_run_until_the_resume(t):
    client, events = connect(t), watch(t)
    vm = liar(client)
    t.spawn("honest", SPIN, ready=False)
    t.wait_for("honest", "active")
    for _ in range(2):
        r = t.ctl("-o", "json", "world", "stop", "--enforce", "--deadline", "20s", code=6)
        still = Still({"liar": vm.pid}, frozen=True)
        t.valid(r.json, "world-stop")
        report = r.json
        equal((report["mode"], report["missing"], report["lied"]), ("stopped", [vm.id], [vm.id]))
        equal({a["name"]: a["how"] for a in report["arrivals"]},
              {"liar": "enforced", "honest": "enforced"})
        check("liar" in r.err and "lied" in r.err, r)
        equal(events.until("vm-lied", ticket=report["ticket"]).vm, vm.id)
        check(kernel_says_frozen(vm.pid), "it is frozen")
        # Who has lied is not asked, nor run alone, nor talked about.
        t.refused("continue", "liar", "--only", code=3)
        t.refused("world", "target", "liar", code=3)
        time.sleep(0.3)  # nothing happens: there is no event to wait for
        still.check(what="the liar:")
        t.ctl("world", "resume")
        runs_on(vm.pid, "it may run again")
    text = t.ctl("world", "stop", "--enforce", "--deadline", "20s", code=6).out
    check("enforced (lied)" in text, text)
    # And inside an operation it says nothing.
    r = t.ctl("-o", "json", "world", "bt", code=6)
    said = {v["name"]: v["error"] for v in r.json["vms"]}
    equal((said["honest"], bool(said["liar"])), (None, True))
    check(kernel_says_frozen(vm.pid), "it is frozen still")
    t.ctl("world", "resume")
    t.ctl("kill", "liar")
    t.wait_for("liar", "exited")
    equal([k for k, _, _ in events.told("vm-lied")], ["vm-lied"] * 3)
    client.close()
    events.close()


def hang(client):
    vm = client.run("hang", "print up\nhang\n", engine="fake")
    wait_until(lambda: client.log(vm.id), "it hangs")
    return client.request(get_vm=client.api.GetVm(vm=str(vm.id))).vm_reply.vm


def test_who_misses_the_deadline_is_frozen_until_the_resume(t):
    client, events = connect(t), watch(t)
    vm = hang(client)
    t.spawn("honest", SPIN, ready=False)
    t.wait_for("honest", "active")
    honest = t.vm("honest")["pid"]
    for options in ((), ("--enforce",)):
        r = t.ctl("-o", "json", "world", "stop", "--deadline", "500ms", *options, code=6)
        still = Still({"hang": vm.pid}, frozen=True)
        report = r.json
        equal((report["mode"], report["missing"], report["lied"]), ("stopped", [vm.id], []))
        equal({a["name"]: a["how"] for a in report["arrivals"]},
              {"hang": "enforced", "honest": "enforced" if options else "acked"})
        equal(events.until("vm-missed", ticket=report["ticket"]).vm, vm.id)
        check(kernel_says_frozen(vm.pid), "it is frozen")
        inside = t.ctl("-o", "json", "world", "gc", code=6).json
        equal({v["name"]: v["error"] for v in inside["vms"]},
              {"hang": "did not come to a safe point", "honest": None})
        still.check(what="who is late:")
        t.ctl("world", "resume")
        runs_on(vm.pid, "it runs again")
        runs_on(honest, "so does the other")
    client.close()
    events.close()


def test_kill_late_kills_who_misses_the_deadline(t):
    client = connect(t)
    vm = hang(client)
    t.spawn("honest", SPIN, ready=False)
    t.wait_for("honest", "active")
    r = t.ctl("-o", "json", "world", "stop", "--kill-late", "--deadline", "500ms", code=None)
    equal(r.json["mode"], "stopped")
    equal({a["name"]: a["how"] for a in r.json["arrivals"]}, {"hang": "dead", "honest": "acked"})
    ended = t.vm("hang")
    equal((ended["state"], ended["exit"]["reason"]), ("exited", "killed"))
    check("deadline" in ended["exit"]["detail"], ended)
    wait_until(lambda: not os.path.exists(f"/proc/{vm.pid}") or is_zombie(vm.pid), "it is gone")
    t.ctl("world", "resume")
    client.close()


def test_kill_9_of_frozen_workers(t):
    client, events = connect(t), watch(t)
    vms = cast(client, len(PROGRAMS))
    pids = {vm.id: vm.pid for vm in client.vms()}
    ticket = stop(client, enforce=True).ticket
    for number, vm in enumerate(vms[:-1]):
        if number % 2:
            client.request(kill_vm=client.api.KillVm(vm=str(vm.id)))
        else:
            os.kill(pids[vm.id], signal.SIGKILL)
        ended = events.until("vm-ended", vm=vm.id)
        equal(ended.exit.reason, client.api.EXIT_KILLED)
    last = vms[-1]
    now = world(client)
    equal((now.mode, now.vms, now.ticket.ticket), (client.api.MODE_STOPPED, 1, ticket))
    check(kernel_says_frozen(pids[last.id]), "the last one is frozen")
    client.resume()
    client.close()
    events.close()


def test_all_frozen_workers_die_and_the_empty_world_stays_stopped(t):
    client = connect(t)
    cast(client, 3)
    pids = [vm.pid for vm in client.vms()]
    stop(client, enforce=True)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not client.vms(), "all have ended")
    equal((world(client).mode, world(client).vms), (client.api.MODE_STOPPED, 0))
    client.resume()
    client.run("new.js", "0")
    client.close()


def alive(pids):
    return [p for p in pids if os.path.exists(f"/proc/{p}") and not is_zombie(p)]


def test_the_daemon_ends_while_its_vms_are_frozen(t):
    """As a service manager ends it; and killed: nothing survives."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        t.start_daemon()
        client = connect(t)
        cast(client, len(PROGRAMS))
        pids = [vm.pid for vm in client.vms()]
        equal(set(how_of(client, stop(client, enforce=True)).values()), {"enforced"})
        t.daemon.process.send_signal(how)
        code = t.daemon.process.wait(30)
        equal(code, 0 if how == signal.SIGTERM else -how)
        wait_until(lambda: not alive(pids), f"{how.name}: all workers are gone")
        client.close()


def test_a_private_daemon_that_is_killed_leaves_no_frozen_vm(t):
    """Its clients go with it, and its workers by PDEATHSIG, which a frozen process heeds, too."""
    path = t.file("app.js", "console.log('up'); for (;;);")
    private = subprocess.Popen([t.program("stillctl"), "--private", "run", path], env=t.env,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    t.running.append(private)
    equal(private.stdout.readline(), "up\n")
    daemon, = [p for p in children(private.pid) if process_name(p) == "stillpointd"]
    below = [daemon, *descendants(daemon)]
    workers = [p for p in below if process_name(p) == "stillpoint-vm"]
    check(workers, [(p, process_name(p)) for p in below])
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    os.kill(daemon, signal.SIGKILL)
    wait_until(lambda: not alive(below), "the frozen worker is gone, and the zygotes")
    equal(private.wait(30), 125, "its client says that the daemon failed")


def test_a_vm_born_into_an_enforced_world_is_frozen_and_runs_after_the_resume(t):
    client, events = connect(t), watch(t)
    t.spawn("old", SPIN, ready=False)
    ticket = stop(client, enforce=True).ticket
    t.spawn("new", "console.log('ran'); for (;;);", ready=False)
    vm = t.vm("new")
    equal(events.until("vm-frozen", vm=vm["id"]).ticket, ticket)
    check(kernel_says_frozen(vm["pid"]), "the kernel says so")
    equal(t.logs("new"), "")
    equal((t.vm("new")["frozen"], t.vm("new")["how"]), (True, "enforced"))
    runs = thread_runs(vm["pid"])
    time.sleep(0.1)  # nothing happens: there is no event to wait for
    equal(thread_runs(vm["pid"]), runs)
    client.resume()
    wait_until(lambda: t.logs("new") == "ran\n", "it runs")
    equal([k for k, _, _ in events.told("vm-lied")], [])
    client.close()
    events.close()


def test_one_vm_runs_alone_while_the_others_are_frozen(t):
    client, events = connect(t), watch(t)
    api = client.api
    cast(client, 4, ["spins"])
    pids = {vm.id: vm.pid for vm in client.vms()}
    stop(client, enforce=True)
    for runner in pids:
        client.request(continue_vm=api.ContinueVm(vm=str(runner), only=True))
        others = {vm: pid for vm, pid in pids.items() if vm != runner}
        still = Still(others, frozen=True)
        runs_on(pids[runner], "the runner runs")
        equal({vm.id: vm.frozen for vm in client.vms()}, {vm: vm != runner for vm in pids})
        still.check(what="not the runner:")
        request = api.InspectWorld(kind=api.INSPECT_GC, deadline_us=LONG, timeout_us=LONG)
        outcome, reply = answer(client, client.send(inspect_world=request))
        equal((outcome, {vm.error for vm in reply.inspection.vms}), ("served", {""}))
        equal(world(client).runner, runner)
        stop(client, enforce=True)
        equal({kernel_says_frozen(pid) for pid in pids.values()}, {True})
    client.resume()
    for pid in pids.values():
        runs_on(pid, "all run")
    equal([k for k, _, _ in events.told("vm-lied")], [])
    client.close()
    events.close()
