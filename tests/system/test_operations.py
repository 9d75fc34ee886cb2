"""world gc, census and bt: one ticket each, for VMs that run, are idle, blocked, born or killed meanwhile."""

import json
import os
import signal

import wasm
from harness import asleep, cgroup_folder, cgroup_of, check, equal, thread_cpu_ns, wait_until
from storm import LONG, PROGRAMS, answer, connect, size, watch, world

VERBS = ("gc", "census", "bt")
KINDS = ("INSPECT_GC", "INSPECT_CENSUS", "INSPECT_STACKS")
REASONS = ("gc", "census", "debugger")
LITTER = "const keep = []; for (let i = 0; ; i++) keep[i % 100] = {i, text: 'x'.repeat(50) + i};"


def cast(t):
    """One VM of each kind; {name: id}."""
    t.spawn("spins", "function deep(n) { if (n) deep(n - 1); else for (;;); } deep(5);", ready=False)
    t.spawn("litters", LITTER, ready=False)
    t.ctl("run", "-d", "--name", "hotwasm", t.file("hotwasm.wasm", wasm.command(wasm.FOREVER)))
    t.spawn("idles", "globalThis.kept = Array.from({length: 1000}, () => new Map()); onmessage = () => 0")
    t.spawn("ticks", "setInterval(() => ({}), 5)")
    t.spawn("blocks", PROGRAMS["blocks"], ready=False)
    for name in ("spins", "litters", "hotwasm"):
        t.wait_for(name, "active")
    wait_until(lambda: t.vm("blocks")["state"] == "blocked", "blocks is blocked")
    return {vm["name"]: vm["id"] for vm in t.list()}


def run(t, verb, *args, code=0):
    return t.json("world", verb, "--deadline", "20s", "--timeout", "60s", *args, code=code,
                  schema=f"world-{verb}")


def judge(t, verb, report, ids):
    """What every VM says of itself makes sense."""
    by = {vm["name"]: vm for vm in report["vms"]}
    equal({name: vm["vm"] for name, vm in by.items()}, ids, verb)
    equal((report["world"], report["missing"]), ("default", []))
    equal({name: vm["error"] for name, vm in by.items() if vm["error"]}, {}, verb)
    if verb == "gc":
        for vm in by.values():
            check(vm["before_bytes"] > 0 and vm["after_bytes"] > 0, vm)
            equal(vm["freed_bytes"], max(0, vm["before_bytes"] - vm["after_bytes"]))
    elif verb == "census" and "idles" in by:
        maps = {c["class"]: c for c in by["idles"]["classes"]}.get("Map")
        check(maps and maps["count"] >= 1000 and maps["bytes"] > 0, by["idles"])
    elif verb == "bt" and "spins" in by:
        functions = [f["function"] for f in by["spins"]["frames"]]
        equal(functions[:6], ["deep"] * 6)
        equal([f["frame"] for f in by["spins"]["frames"]], list(range(len(functions))))
        check("wasm" in {f["kind"] for f in by["hotwasm"]["frames"]}, by["hotwasm"])
        equal(by["idles"]["frames"], [])


def one_ticket(events, ticket, reason, inside=False):
    """It was stopping, stopped and resumed for that once, and has been served."""
    events.until("ticket-ended", ticket=ticket, detail="served")
    if not inside:
        events.until("world-resumed")
    told = [(events.name(e), e.detail) for e in events.seen if e.ticket == ticket]
    wanted = [("world-stopping", reason), ("world-stopped", reason), ("ticket-ended", "served")]
    equal([x for x in told if x[0] not in ("vm-frozen", "vm-thawed")], wanted[inside:])
    if not inside:
        kinds = [events.name(e) for e in events.seen]
        first = next(i for i, e in enumerate(events.seen) if e.ticket == ticket)
        equal(kinds[first:].count("world-resumed"), 1, "resumed once")


def test_gc_census_and_bt_of_vms_of_every_kind(t):
    ids, events = cast(t), watch(t)
    for verb, reason in zip(VERBS, REASONS):
        report = run(t, verb)
        judge(t, verb, report, ids)
        one_ticket(events, report["ticket"], reason)
        equal(t.json("world", "status")["mode"], "run-all")
    states = {vm["name"]: vm["state"] for vm in t.list()}
    equal((states["idles"], states["blocks"]), ("idle", "blocked"), "they go on waiting")
    for name in ("spins", "litters", "hotwasm"):
        pid = t.vm(name)["pid"]
        cpu = thread_cpu_ns(pid)
        wait_until(lambda: thread_cpu_ns(pid) > cpu + 5e6, f"{name} goes on")
    events.close()


def test_a_collection_frees_what_is_garbage(t):
    t.spawn("app", "globalThis.a = []; for (let i = 0; i < 2e5; i++) a.push({i});"
                   "globalThis.drop = () => { a = null }; globalThis.onmessage = () => 0")
    run(t, "gc")
    kept, = run(t, "census")["vms"]
    objects = {c["class"]: c["count"] for c in kept["classes"]}["Object"]
    check(objects >= 2e5, objects)
    t.ctl("call", "app", "drop")
    freed, = run(t, "gc")["vms"]
    check(freed["freed_bytes"] > 2e5 * 16, freed)
    kept, = run(t, "census")["vms"]
    check({c["class"]: c["count"] for c in kept["classes"]}["Object"] < 1e5, kept["classes"])


def test_inside_an_own_stop_they_are_done_and_the_stop_goes_on(t):
    ids, events = cast(t), watch(t)
    first = t.json("world", "stop", "--deadline", "20s")
    epoch = t.json("world", "status")["epoch"]
    logs = {name: t.logs(name) for name in ids}
    for verb, reason in zip(VERBS, REASONS):
        report = run(t, verb)
        judge(t, verb, report, ids)
        check(report["ticket"] > first["ticket"], report)
        one_ticket(events, report["ticket"], reason, inside=True)
        now = t.json("world", "status", schema="world-status")
        equal((now["mode"], now["ticket"]["ticket"], now["epoch"]), ("stopped", first["ticket"], epoch))
    equal({name: t.logs(name) for name in ids}, logs)
    check("world-resumed" not in {k for k, _, _ in events.told("world-resumed")}, "no gate has moved")
    equal(t.json("world", "resume")["ticket"], first["ticket"])
    events.close()


def test_inside_a_foreign_stop_they_are_refused_or_wait(t):
    ids, events = cast(t), watch(t)
    t.start("debugger", "open", "d").stdout.readline()
    first = t.json("world", "stop", "--debugger", "d", "--deadline", "20s")
    waiting = []
    for verb in VERBS:
        t.refused("world", verb, code=3, says=f"already stopped by ticket {first['ticket']}")
        waiting.append(t.start("-o", "json", "world", verb, "--wait", "60s", "--deadline", "20s"))
        wait_until(lambda: len(t.json("world", "status")["queued"]) == len(waiting), "it waits")
    equal([q["reason"] for q in t.json("world", "status")["queued"]], ["gc", "debugger", "census"])
    t.ctl("world", "resume")
    for verb, p in zip(VERBS, waiting):
        out, err = p.communicate(timeout=60)
        equal((p.returncode, err), (0, ""), verb)
        report = json.loads(out)
        t.valid(report, f"world-{verb}")
        judge(t, verb, report, ids)
    events.until("world-resumed")
    stopping = [e for e in events.seen if events.name(e) == "world-stopping"]
    equal(len(stopping), 1, "they were served one after the other, and no gate moved in between")
    events.close()


def is_frozen(pid):
    """As the kernel says."""
    folder = cgroup_folder(cgroup_of(pid))
    if folder and f"/vm-" in folder:
        with open(f"{folder}/cgroup.events", encoding="ascii") as f:
            return "frozen 1" in f.read()
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii", errors="replace") as f:
            if f.read().rsplit(")", 1)[1].split()[0] != "T":
                return False
    return True


def test_in_an_enforced_stop_vms_are_thawed_to_answer_and_frozen_again(t):
    ids, events = cast(t), watch(t)
    pids = {vm["name"]: vm["pid"] for vm in t.list()}
    first = t.json("world", "stop", "--enforce", "--deadline", "20s", schema="world-stop")
    equal((first["missing"], {a["how"] for a in first["arrivals"]}), ([], {"enforced"}))
    logs = {name: t.logs(name) for name in ids}
    for verb, reason in zip(VERBS, REASONS):
        equal({n: is_frozen(p) for n, p in pids.items()}, {n: True for n in pids}, f"before {verb}")
        report = run(t, verb)
        judge(t, verb, report, ids)
        one_ticket(events, report["ticket"], reason, inside=True)
        of = [(events.name(e), e.vm) for e in events.seen if e.ticket == report["ticket"]]
        equal(sorted(vm for kind, vm in of if kind == "vm-thawed"), sorted(ids.values()), "thawed")
        wait_until(lambda: all(vm["frozen"] for vm in t.list()), f"{verb}: all are frozen again")
        equal({n: is_frozen(p) for n, p in pids.items()}, {n: True for n in pids}, f"after {verb}")
    equal({name: t.logs(name) for name in ids}, logs)
    equal({vm["how"] for vm in t.list()}, {"enforced"})
    t.ctl("world", "resume")
    equal({n: is_frozen(p) for n, p in pids.items()}, {n: False for n in pids})
    for name in ("spins", "hotwasm"):
        cpu = thread_cpu_ns(pids[name])
        wait_until(lambda: thread_cpu_ns(pids[name]) > cpu + 5e6, f"{name} goes on")
    equal([k for k, _, _ in events.told("vm-lied")], [], "to answer is no lie")
    events.close()


def test_while_vms_are_born_and_die(t):
    client, other = connect(t), connect(t)
    api = client.api
    for name in ("spins", "idles", "blocks"):
        client.run(f"{name}.js", PROGRAMS[name])
    keep = {vm.id for vm in client.vms()}
    events = watch(t)
    tickets = {}
    for number in range(size(24, 1000)):
        births = []
        for name in ("spins", "idles"):
            fd = api_memfd(PROGRAMS[name])
            births.append(other.send(fd, run_vm=api.RunVm(program=f"{name}.js", keep_idle=True)))
            os.close(fd)
        kind = number % 3
        request = api.InspectWorld(kind=getattr(api, KINDS[kind]), deadline_us=LONG, timeout_us=LONG)
        asked = client.send(inspect_world=request)
        for vm in [vm for vm in client.vms() if vm.pid and vm.id not in keep][:1]:
            try:
                os.kill(vm.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it had died already
        report = client.wait(asked).inspection
        equal(list(report.stop.missing), [], number)
        said = {vm.vm: vm.error for vm in report.vms}
        check(keep <= set(said) and not any(said[vm] for vm in keep), f"round {number}: {said}")
        for vm, error in said.items():
            check(error in ("", "ended before it answered", "has not started yet"), (vm, error))
        tickets[report.stop.ticket] = REASONS[kind]
        for birth in births:
            answer(other, birth)
        for vm in [vm.id for vm in client.vms() if vm.id not in keep][4:]:
            answer(client, client.send(kill_vm=api.KillVm(vm=str(vm))))
    for ticket, reason in tickets.items():
        one_ticket(events, ticket, reason)
    equal(world(client).mode, api.MODE_RUN_ALL)
    for c in (client, other, events):
        c.close()


def api_memfd(text):
    from api import memfd  # pylint: disable=import-outside-toplevel
    return memfd(text.encode())


def slow(client, name):
    """Computes, and takes ten minutes to answer."""
    vm = client.run(name, "slow 600000\nprint up\nbusy\n", engine="fake", name=name)
    wait_until(lambda: client.log(vm.id), "it runs")
    return client.request(get_vm=client.api.GetVm(vm=str(vm.id))).vm_reply.vm


def test_a_vm_killed_in_the_middle_of_an_operation_is_named_and_the_others_answer(t):
    client, events = connect(t), watch(t)
    api = client.api
    spins = client.run("spins.js", PROGRAMS["spins"])
    for number, kind in enumerate(KINDS):
        victim = slow(client, f"slow{number}")
        request = api.InspectWorld(kind=getattr(api, kind), deadline_us=LONG, timeout_us=600_000_000)
        asked = client.send(inspect_world=request)
        stopped = events.until("world-stopped")
        os.kill(victim.pid, signal.SIGKILL)
        report = client.wait(asked).inspection
        equal({vm.vm: vm.error for vm in report.vms},
              {spins.id: "", victim.id: "ended before it answered"}, kind)
        one_ticket(events, stopped.ticket, REASONS[number])
    victim = slow(client, "slow")
    p = t.start("world", "gc", "--deadline", "20s", "--timeout", "600s")
    events.until("world-stopped")
    os.kill(victim.pid, signal.SIGKILL)
    _, err = p.communicate(timeout=60)
    equal(p.returncode, 6, err)
    check("slow" in err and "ended before it answered" in err, err)
    equal(world(client).mode, api.MODE_RUN_ALL)
    client.close()
    events.close()


def test_a_vm_that_does_not_answer_in_time_is_named(t):
    client, events = connect(t), watch(t)
    slow(client, "slow")
    t.spawn("spins", PROGRAMS["spins"], ready=False)
    r = t.ctl("-o", "json", "world", "gc", "--deadline", "20s", "--timeout", "100ms", code=6)
    t.valid(r.json, "world-gc")
    equal({vm["name"]: vm["error"] for vm in r.json["vms"]},
          {"slow": "did not answer in time", "spins": None})
    check("slow" in r.err and "did not answer in time" in r.err, r)
    one_ticket(events, r.json["ticket"], "gc")
    client.close()
    events.close()


def test_a_client_killed_in_the_middle_of_an_operation(t):
    client, events = connect(t), watch(t)
    slow(client, "slow")
    spins = client.run("spins.js", PROGRAMS["spins"])
    pid = client.request(get_vm=client.api.GetVm(vm=str(spins.id))).vm_reply.vm.pid
    for enforced in (False, True):
        for verb in VERBS:
            own = t.json("world", "stop", "--enforce", "--deadline", "20s")["ticket"] if enforced else 0
            p = t.start("world", verb, "--deadline", "20s", "--timeout", "600s")
            stopped = events.until("world-stopped", detail=REASONS[VERBS.index(verb)])
            p.kill()
            p.communicate()
            events.until("ticket-ended", ticket=stopped.ticket, detail="cancelled")
            if enforced:
                equal(world(client).ticket.ticket, own, "the stop goes on")
                wait_until(lambda: all(vm.frozen for vm in client.vms()), "all are frozen again")
                client.resume()
            events.until("world-resumed")
            equal(world(client).mode, client.api.MODE_RUN_ALL)
            cpu = thread_cpu_ns(pid)
            wait_until(lambda: thread_cpu_ns(pid) > cpu + 5e6, f"{verb}: the other VM goes on")
            if not enforced:
                continue
            # What it did not answer in time it does not hear of any more; ten minutes are long.
            client.request(kill_vm=client.api.KillVm(vm="slow"))
            slow(client, "slow")
    client.close()
    events.close()


def test_nothing_but_the_answer_runs(t):
    """A guest that computes does not go on while it answers."""
    t.spawn("counts", "let n = 0; for (;;) { n++; if (n % 1e5 === 0) console.log(n); }", ready=False)
    wait_until(lambda: t.logs("counts"), "it counts")
    t.json("world", "stop", "--deadline", "20s")
    asleep(t.vm("counts")["pid"])
    before = t.logs("counts")
    for verb in VERBS:
        run(t, verb)
        equal(t.logs("counts"), before, verb)
    t.ctl("world", "resume")
    wait_until(lambda: t.logs("counts") != before, "it goes on")
