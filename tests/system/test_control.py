"""Who controls a world: running one VM, targets, leases, queues, debuggers, and what becomes of all that
when somebody is gone."""

import json
import os
import re
import signal
import time

from harness import asleep, check, equal, thread_cpu_ns, wait_until
from storm import LONG, Still, answer, ask, connect, watch, world

SPIN = "for (;;);"
# Does what it is told to, and says so.
OBEYS = """
const cell = new Int32Array(new SharedArrayBuffer(4));
let big;
globalThis.onmessage = (e) => {
  console.log(e.data);
  if (e.data === 'spin') for (;;);
  if (e.data === 'exit') process.exit(0);
  if (e.data === 'block') Atomics.wait(cell, 0, 0);
  if (e.data === 'big') big = new Float64Array(4e6).map((_, i) => (i * 7919) % 4e6);
  if (e.data === 'sort') for (;;) new Float64Array(big).sort();
};
"""


def stop(t, *args, code=0):
    if "--deadline" not in args:
        args += ("--deadline", "20s")  # a hang, not a measurement
    return t.json("world", "stop", *args, code=code, schema="world-stop")


def status(t, name="default"):
    return t.json("world", "status", name, schema="world-status")


def go_on(t, vm, *args, code=0):
    return t.json("continue", vm, *args, code=code, schema="continue")


def resume(t, *args):
    return t.json("world", "resume", *args, schema="world-resume")


def spinners(t, *names):
    for name in names:
        t.spawn(name, SPIN, ready=False)
    for name in names:
        t.wait_for(name, "active")
    return {name: t.vm(name) for name in names}


def computes(pid, what, ns=5e6):
    start = thread_cpu_ns(pid)
    wait_until(lambda: thread_cpu_ns(pid) > start + ns, what)


def settle(pids):
    for pid in pids:
        asleep(pid)


def kill_9(process):
    process.kill()
    process.communicate()


def until_mode(t, mode):
    wait_until(lambda: status(t)["mode"] == mode, f"the world is {mode}")


# ---- one VM alone

def test_only_the_runner_runs(t):
    vms = spinners(t, "a", "b", "c")
    t.spawn("prints", "let n = 0; setInterval(() => console.log(++n), 5)")
    vms["prints"] = t.vm("prints")
    first = stop(t, "--require-idle")
    equal({a["how"] for a in first["arrivals"]}, {"acked"})
    others = {n: vm["pid"] for n, vm in vms.items() if n != "b"}
    settle(vm["pid"] for vm in vms.values())
    still, logs = Still(others), t.logs("prints")
    r = go_on(t, "b", "--only")
    equal((r["vm"], r["reason"], r["mode"]), (vms["b"]["id"], "running", "run-one"))
    computes(vms["b"]["pid"], "the runner runs", 50e6)
    still.check(what="run-one:")
    equal(t.logs("prints"), logs)
    now = status(t)
    equal((now["mode"], now["runner"], now["target"]), ("run-one", vms["b"]["id"], vms["b"]["id"]))
    equal(now["ticket"]["ticket"], first["ticket"])
    equal({vm["name"]: vm["state"] for vm in t.list()},
          {"a": "parked", "b": "active", "c": "parked", "prints": "parked"})
    still.check(what="run-one:")
    equal(resume(t)["ticket"], first["ticket"])
    for name in ("a", "b", "c"):
        computes(vms[name]["pid"], f"{name} runs after the resume")
    wait_until(lambda: t.logs("prints") != logs, "so do timers")


def test_a_vm_born_during_run_one_waits(t):
    spinners(t, "a")
    stop(t)
    go_on(t, "a", "--only")
    t.spawn("late", "console.log('ran')", ready=False)
    computes(t.vm("a")["pid"], "the runner runs", 20e6)
    equal(t.logs("late"), "")
    check(t.vm("late")["state"] in ("starting", "parked"), t.vm("late"))
    equal(status(t)["mode"], "run-one")
    resume(t)
    wait_until(lambda: t.logs("late") == "ran\n", "it runs after the resume")


def test_a_step_ends_when_its_vm_is_still(t):
    vms = spinners(t, "other")
    t.spawn("app", OBEYS)
    first = stop(t, "--require-idle")
    settle([vms["other"]["pid"]])
    still = Still({"other": vms["other"]["pid"]})
    for command, reason in (("hello", "idle"), ("block", "blocked")):
        t.ctl("send", "app", json.dumps(command))
        r = go_on(t, "app", "--only", "--until-still")
        equal((r["reason"], r["mode"]), (reason, "stopped"))
        check(t.logs("app").endswith(f"{command}\n"), t.logs("app"))
        now = status(t)
        equal((now["mode"], now["runner"], now["ticket"]["ticket"]), ("stopped", None, first["ticket"]))
    still.check(what="steps:")
    resume(t)


def test_without_until_still_an_idle_runner_keeps_its_run(t):
    t.spawn("app", OBEYS)
    stop(t, "--require-idle")
    t.ctl("send", "app", '"hello"')
    go_on(t, "app", "--only")
    wait_until(lambda: t.logs("app") == "hello\n" and t.vm("app")["state"] == "idle", "it is idle")
    equal(status(t)["mode"], "run-one")
    t.ctl("send", "app", '"again"')
    wait_until(lambda: t.logs("app") == "hello\nagain\n", "messages reach it")
    resume(t)


def test_a_deadline_ends_a_run_alone(t):
    vms, events = spinners(t, "app"), watch(t)
    first = stop(t)
    equal(go_on(t, "app", "--only", "--deadline", "100ms")["reason"], "running")
    events.until("world-stopped", ticket=first["ticket"], detail="deadline")
    settle([vms["app"]["pid"]])
    still = Still({"app": vms["app"]["pid"]})
    equal((status(t)["mode"], status(t)["runner"]), ("stopped", None))
    still.check()
    r = t.ctl("-o", "json", "continue", "app", "--only", "--until-still", "--deadline", "100ms",
              code=124)
    t.valid(r.json, "continue")
    equal((r.json["reason"], r.json["mode"]), ("deadline", "stopped"))
    check(r.err.startswith("stillctl: cannot "), r)
    resume(t)
    events.close()


def test_a_runner_that_exits_stops_the_world_again_or_resumes_it(t):
    vms = spinners(t, "other")
    pid = vms["other"]["pid"]
    for on_exit, mode in ((None, "stopped"), ("stop", "stopped"), ("resume", "run-all")):
        t.spawn("app", OBEYS)
        first = stop(t, "--require-idle")
        settle([pid])
        still = Still({"other": pid})
        t.ctl("send", "app", '"exit"')
        go_on(t, "app", "--only", *(["--on-exit", on_exit] if on_exit else []))
        t.wait_for("app", "exited")
        until_mode(t, mode)
        now = status(t)
        equal(now["runner"], None, on_exit)
        if mode == "stopped":
            still.check(what=f"on exit {on_exit}:")
            equal(now["ticket"]["ticket"], first["ticket"], "the stop goes on")
            check(now["target"] != t.vm("app")["id"], now)
            resume(t)
        else:
            equal((now["ticket"], now["controller"]), (None, None))
        computes(pid, "the other VM runs again")
    t.spawn("app", OBEYS)
    stop(t, "--require-idle")
    t.ctl("send", "app", '"exit"')
    # Its last fact and its last status race: it shows as blocked while the daemon takes its farewell.
    r = go_on(t, "app", "--only", "--until-still")
    check(r["reason"] in ("ended", "blocked") and r["mode"] == "stopped", r)
    resume(t)


def test_kill_9_of_the_runner_in_every_phase(t):
    client, events = connect(t), watch(t)
    api = client.api
    other = client.run("other.js", SPIN)
    deadline = api.StopWorld(deadline_us=LONG, require_idle=True)

    def only(vm, **options):
        return client.request(continue_vm=api.ContinueVm(vm=str(vm), only=True, **options))

    def obeys(*commands):
        vm = client.run("app.js", OBEYS)
        ticket = client.request(stop_world=deadline).stop_report.ticket
        for command in commands:
            send = api.SendMessage(vm=str(vm.id), json=json.dumps(command))
            client.request(send_message=send)
        return vm, ticket

    def pid(vm):
        return client.request(get_vm=api.GetVm(vm=str(vm.id))).vm_reply.vm.pid

    def before_it_runs():
        vm, ticket = obeys()
        os.kill(pid(vm), signal.SIGKILL)
        events.until("vm-ended", vm=vm.id)
        outcome, _ = ask(client, continue_vm=api.ContinueVm(vm=str(vm.id), only=True))
        check(outcome in ("wrong_state", "not_found"), outcome)
        return ticket, "stopped"

    def while_it_computes(policy=None):
        vm, ticket = obeys("spin")
        only(vm.id, **({"on_exit": policy} if policy else {}))
        wait_until(lambda: client.log(vm.id), "it has begun")
        os.kill(pid(vm), signal.SIGKILL)
        events.until("vm-ended", vm=vm.id)
        return ticket, "stopped" if policy != api.RUNNER_EXIT_RESUME else "run-all"

    def while_it_computes_and_the_world_is_to_resume():
        return while_it_computes(api.RUNNER_EXIT_RESUME)

    def while_it_is_idle():
        vm, ticket = obeys()
        only(vm.id)
        wait = api.WaitVm(vm=str(vm.id), timeout_us=LONG)
        setattr(wait, "for", api.WAIT_FOR_IDLE)
        client.request(wait_vm=wait)
        os.kill(pid(vm), signal.SIGKILL)
        events.until("vm-ended", vm=vm.id)
        return ticket, "stopped"

    def while_it_blocks():
        vm, ticket = obeys("block")
        only(vm.id)
        blocked = lambda: client.request(  # noqa: E731
            get_vm=api.GetVm(vm=str(vm.id))).vm_reply.vm.state == api.VM_STATE_BLOCKED
        wait_until(blocked, "it blocks")
        os.kill(pid(vm), signal.SIGKILL)
        events.until("vm-ended", vm=vm.id)
        return ticket, "stopped"

    def while_somebody_waits_for_its_step():
        vm, ticket = obeys("spin")
        step = client.send(continue_vm=api.ContinueVm(vm=str(vm.id), only=True, until_still=True))
        events.until("world-run-one", vm=vm.id)
        os.kill(pid(vm), signal.SIGKILL)
        equal(client.wait(step).continue_reply.reason, "ended")
        return ticket, "stopped"

    def while_it_is_being_stopped():
        """A sort cannot be interrupted; the stop waits for it."""
        vm, ticket = obeys("big", "sort")
        only(vm.id)
        wait_until(lambda: len(client.log(vm.id)) == 2, "it sorts")
        number = client.send(inspect_world=api.InspectWorld(kind=api.INSPECT_GC, deadline_us=LONG))
        events.until("world-stopping")
        os.kill(pid(vm), signal.SIGKILL)
        check(client.wait(number).inspection.stop.ticket > ticket, "the operation is done")
        return ticket, "stopped"

    def right_after_the_resume():
        vm, ticket = obeys("spin")
        only(vm.id)
        client.resume()
        os.kill(pid(vm), signal.SIGKILL)
        events.until("vm-ended", vm=vm.id)
        return ticket, "run-all"

    for phase in (before_it_runs, while_it_computes, while_it_computes_and_the_world_is_to_resume,
                  while_it_is_idle, while_it_blocks, while_somebody_waits_for_its_step,
                  while_it_is_being_stopped, right_after_the_resume):
        ticket, mode = phase()
        name = phase.__name__
        wanted = api.MODE_STOPPED if mode == "stopped" else api.MODE_RUN_ALL
        wait_until(lambda: world(client).mode == wanted, f"{name}: the world is {mode}")
        now = world(client)
        equal((now.runner, [vm.id for vm in client.vms()]), (0, [other.id]), name)
        if mode == "stopped":
            equal(now.ticket.ticket, ticket, name)
            settle([pid(other)])
            Still({other.id: pid(other)}).check(what=name)
            client.resume()
        equal(world(client).ticket.ticket, 0, name)
        computes(pid(other), f"{name}: the other VM runs on")
    client.close()
    events.close()


def test_an_operation_interrupts_run_one_and_the_same_vm_goes_on(t):
    vms, events = spinners(t, "a", "b"), watch(t)
    stop(t)
    go_on(t, "a", "--only")
    settle([vms["b"]["pid"]])
    still = Still({"b": vms["b"]["pid"]})
    for verb in ("gc", "census", "bt"):
        r = t.json("world", verb, "--deadline", "20s", schema=f"world-{verb}")
        equal((r["missing"], sorted(v["vm"] for v in r["vms"])),
              ([], sorted(vm["id"] for vm in vms.values())))
        events.until("world-stopped", ticket=r["ticket"])
        events.until("ticket-ended", ticket=r["ticket"], detail="served")
        events.until("world-run-one", vm=vms["a"]["id"])
        equal((status(t)["mode"], status(t)["runner"]), ("run-one", vms["a"]["id"]))
        computes(vms["a"]["pid"], "the same VM goes on")
    # Of others too: they do not change who runs. (VM b has answered: it was on a CPU.)
    t.start("debugger", "open", "d").stdout.readline()
    t.json("world", "gc", "--debugger", "d", "--deadline", "20s", schema="world-gc")
    equal((status(t)["mode"], status(t)["runner"]), ("run-one", vms["a"]["id"]))
    check(max(us for _, us in still.ran().values()) < 10e6, "b has only answered")
    resume(t)
    events.close()


def test_a_stop_ends_the_run_alone_of_its_own_debugger(t):
    vms, events = spinners(t, "a", "b"), watch(t)
    first = stop(t)
    go_on(t, "a", "--only")
    t.start("debugger", "open", "d").stdout.readline()
    t.refused("world", "stop", "--debugger", "d", code=3, says=["already run-one", str(first["ticket"])])
    second = stop(t)
    check(second["ticket"] > first["ticket"], second)
    events.until("ticket-ended", ticket=first["ticket"], detail="served")
    now = status(t)
    equal((now["mode"], now["runner"], now["ticket"]["ticket"]), ("stopped", None, second["ticket"]))
    settle(vm["pid"] for vm in vms.values())
    Still({n: vm["pid"] for n, vm in vms.items()}).check()
    resume(t)
    events.close()


def test_who_cannot_run_alone_is_refused_and_the_world_stays_stopped(t):
    spinners(t, "a", "held")
    t.spawn("idles", "onmessage = () => 0")
    t.refused("continue", "a", "--only", code=3, says="not stopped")
    t.refused("continue", "a", "--until-still", code=2, says="--only")
    t.refused("continue", "nobody", "--only", code=3)
    t.ctl("hold", "held")
    first = stop(t)
    t.refused("continue", "idles", "--only", code=3, says=["idles", "not parked"])
    t.refused("continue", "held", "--only", code=3, says=["held on its own", f"cli:{os.geteuid()}"])
    t.refused("continue", "nobody", "--only", code=3)
    now = status(t)
    equal((now["mode"], now["ticket"]["ticket"]), ("stopped", first["ticket"]))
    go_on(t, "a", "--only")
    t.refused("continue", "a", "--only", code=3)
    equal(status(t)["mode"], "run-one")
    resume(t)
    t.ctl("release", "held")


def test_a_hold_stops_the_runner_and_its_end_lets_it_go_on(t):
    vms = spinners(t, "a", "b")
    stop(t)
    go_on(t, "a", "--only")
    pid = vms["a"]["pid"]
    t.json("hold", "a", schema="hold")
    t.wait_for("a", "stopped")
    settle([pid])
    Still({"a": pid}).check(what="held:")
    equal((status(t)["mode"], status(t)["runner"]), ("run-one", vms["a"]["id"]))
    t.json("release", "a", schema="release")
    computes(pid, "it goes on alone")
    equal(t.vm("b")["state"], "parked")
    t.ctl("hold", "a")
    resume(t)
    computes(vms["b"]["pid"], "the others run")
    t.wait_for("a", "stopped")
    t.ctl("release", "a")
    computes(pid, "and then it, too")


# ---- targets

def test_a_target_moves_no_gate(t):
    vms = spinners(t, "a", "b")
    t.spawn("idles", "onmessage = () => 0")
    t.refused("world", "target", "a", code=3, says="not stopped")
    first = stop(t)
    settle(vm["pid"] for vm in vms.values())
    still, epoch = Still({n: vm["pid"] for n, vm in vms.items()}), status(t)["epoch"]
    for name in ("b", "a", "b"):
        now = t.json("world", "target", name, schema="world-target")
        equal((now["target"], now["epoch"], now["mode"]), (vms[name]["id"], epoch, "stopped"))
    t.refused("world", "target", "idles", code=3, says="not parked")
    t.refused("continue", "a", code=3, says=["not the target", str(vms["b"]["id"])])
    still.check(what="targets:")
    t.ctl("kill", "b")
    t.wait_for("b", "exited")
    equal(status(t)["target"], vms["a"]["id"], "another one that is parked")
    r = go_on(t, "a")
    equal((r["mode"], status(t)["mode"], status(t)["ticket"]), ("run-all", "run-all", None))
    check(first["ticket"], first)


# ---- debuggers

def debuggers(t):
    return {d["name"]: d for d in t.json("debugger", "list", schema="debugger-list")}


def open_debugger(t, name, *args):
    p = t.start("-o", "jsonl", "debugger", "open", name, *args)
    d = json.loads(p.stdout.readline())
    t.valid(d, "debugger-open")
    equal((d["name"], d["open"]), (name, True))
    return p


def test_who_keeps_a_debugger_open_is_told_that_somebody_closed_it(t):
    other, p = open_debugger(t, "other"), open_debugger(t, "d")
    t.ctl("debugger", "close", "d")
    equal(p.wait(30), 3)
    equal(p.stderr.read(), f"stillctl: cannot keep debugger d open: uid {os.geteuid()} has closed it\n")
    p = open_debugger(t, "d")
    equal(sorted(debuggers(t)), ["d", "other"])
    p.send_signal(signal.SIGTERM)
    equal(p.wait(30), 0)
    other.send_signal(signal.SIGTERM)
    equal(other.wait(30), 0)


def test_a_debugger_lives_while_it_is_open_or_holds_something(t):
    t.spawn("app", SPIN, ready=False)
    equal(debuggers(t), {})
    p = open_debugger(t, "d", "--note", "a note", "--policy", "hold")
    d = debuggers(t)["d"]
    equal((d["open"], d["note"], d["policy"], d["worlds"], d["owner_uid"]),
          (True, "a note", "hold", [], os.geteuid()))
    p.send_signal(signal.SIGTERM)
    equal(p.wait(30), 0)
    wait_until(lambda: not debuggers(t), "a debugger with nothing is gone")
    p = open_debugger(t, "d", "--policy", "hold")
    stop(t, "--debugger", "d")
    p.send_signal(signal.SIGINT)
    equal(p.wait(30), 130)
    d = debuggers(t)["d"]
    equal((d["open"], d["worlds"], status(t)["controller"]["debugger"]), (False, ["default"], "d"))
    resume(t)
    equal(debuggers(t), {})
    t.ctl("hold", "app")
    cli = f"cli:{os.geteuid()}"
    equal((list(debuggers(t)), debuggers(t)[cli]["policy"]), ([cli], "hold"))
    t.ctl("release", "app")
    equal(debuggers(t), {})
    t.refused("debugger", "close", "d", code=3, says="'d'")
    t.refused("world", "stop", "--debugger", "d", code=3, says="d")


def test_closing_a_debugger_ends_all_that_it_holds_for_everybody(t):
    vms = spinners(t, "a", "b")
    p = open_debugger(t, "d", "--policy", "hold")
    equal(debuggers(t)["d"]["policy"], "hold")
    stop(t, "--debugger", "d")
    t.ctl("hold", "a", "--debugger", "d")
    queued = t.start("world", "gc", "--wait", "60s")
    wait_until(lambda: status(t)["queued"], "another one waits")
    r = t.json("debugger", "close", "d", schema="debugger-close")
    equal(r["name"], "d")
    equal(queued.wait(30), 0, "the next one was served")
    until_mode(t, "run-all")
    for name in vms:
        computes(vms[name]["pid"], f"{name} runs")
    equal(debuggers(t), {})
    equal(p.wait(30), 3, "who had it open is told")


def test_a_foreign_user_is_refused(t):
    if os.geteuid() != 0:
        t.skip("needs root, to be somebody else")
    stop(t)
    os.chmod(t.folder, 0o755)
    os.chmod(t.run_dir, 0o755)
    ctl = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", t.program("stillctl"),
           "-s", t.daemon.socket]
    r = t.run([*ctl, "world", "resume"])
    equal(r.code, 4, r)
    equal(status(t)["mode"], "stopped")
    resume(t)


# ---- who waits

def test_a_busy_world_says_who_has_it(t):
    t.spawn("app", SPIN, ready=False)
    first, uid = stop(t), os.geteuid()
    r = t.refused("world", "stop", code=3)
    pattern = (rf"world default is already stopped by ticket {first['ticket']} "
               rf"\(uid {uid}, debugger cli:{uid}, \d+ s ago\)")
    check(re.search(pattern, r.err), f"{pattern}\n{r}")
    t.start("debugger", "open", "d").stdout.readline()
    for verb in ("stop", "gc", "census", "bt"):
        t.refused("world", verb, "--debugger", "d", code=3, says="already stopped by ticket")
        t.refused("world", verb, "--debugger", "d", "--wait", "50ms", code=124)
    equal(status(t)["queued"], [])
    resume(t)
    until_mode(t, "run-all")


def test_who_waits_is_served_by_reason_and_then_by_arrival_without_a_gate_moving(t):
    client, events = connect(t), watch(t)
    api = client.api
    a, b = client.run("a.js", SPIN), client.run("b.js", SPIN)
    for name in ("one", "two", "hooks"):
        client.request(open_debugger=api.OpenDebugger(name=name))
    mine = client.stop()
    pids = {vm.id: vm.pid for vm in client.vms()}
    settle(pids.values())
    epoch = world(client).epoch

    def add(debugger, vm):
        return dict(add_hooks=api.AddHooks(debugger=debugger, vm=str(vm.id), kinds=[api.HOOK_ENTER_FRAME],
                                           deadline_us=LONG, wait_us=LONG))

    def inspect(kind, debugger):
        return dict(inspect_world=api.InspectWorld(kind=kind, debugger=debugger, deadline_us=LONG, wait_us=LONG))

    def stop_for(debugger):
        return dict(stop_world=api.StopWorld(debugger=debugger, deadline_us=LONG, wait_us=LONG))
    # Hooks are set inside anybody's stop, and so wait only for what is being served. That goes on for as
    # long as its VM does not answer.
    os.kill(a.pid, signal.SIGSTOP)
    served = client.send(**add("hooks", a))
    wait_until(lambda: world(client).ticket.reason == "audit", "hooks are being set")
    under_way = world(client).ticket.ticket

    def waits(body):
        before, number = len(world(client).queued), client.send(**body)
        wait_until(lambda: len(world(client).queued) == before + 1, f"{body} waits")
        return number
    numbers = [waits(body) for body in (
        stop_for("one"), inspect(api.INSPECT_CENSUS, "one"), add("two", b), inspect(api.INSPECT_STACKS, "one"),
        inspect(api.INSPECT_GC, "one"), inspect(api.INSPECT_CENSUS, "two"), add("one", b),
        inspect(api.INSPECT_GC, "two"), stop_for("two"))]
    queued = world(client).queued
    reasons = ["gc", "gc", "debugger", "audit", "audit", "census", "census", "admin", "admin"]
    equal([q.reason for q in queued], reasons)
    tickets = [q.ticket for q in queued]
    equal([n - under_way for n in tickets], [5, 8, 4, 3, 7, 2, 6, 1, 9])
    outcome, reply = ask(client, resume_world=api.ResumeWorld())
    equal((outcome, reply.resume_reply.ticket, reply.resume_reply.next_ticket), ("served", mine.ticket, under_way))
    os.kill(a.pid, signal.SIGCONT)
    equal(answer(client, served)[0], "served")
    for ticket in tickets[:-1]:
        equal(events.until("world-stopped", ticket=ticket).epoch, epoch, "no gate has moved")
        check(not [e for e in events.past if events.name(e) in ("world-resumed", "world-stopping")
                   and e.ticket > mine.ticket], "nor been closed again")
        check(not [e for e in events.past if events.name(e) == "world-stopped" and e.ticket > under_way],
              "nobody else is served before")
    for number in numbers[:-1]:
        equal(answer(client, number)[0], "served")
    equal(world(client).controller.debugger, "one")
    equal(client.resume().next_ticket, tickets[-1])
    equal(answer(client, numbers[-1])[0], "served")
    equal(events.until("world-stopped", ticket=tickets[-1]).epoch, epoch)
    client.resume()
    for pid in pids.values():
        computes(pid, "they run again")
    client.close()
    events.close()


# ---- leases

def test_a_lease_can_be_taken_stolen_and_handed_over(t):
    vms, events = spinners(t, "app"), watch(t)
    cli = f"cli:{os.geteuid()}"
    t.refused("world", "take", code=3, says="not stopped")
    a, b = open_debugger(t, "a"), open_debugger(t, "b")
    first = stop(t, "--debugger", "a")
    settle([vms["app"]["pid"]])
    still = Still({"app": vms["app"]["pid"]})

    def controller():
        return status(t)["controller"]["debugger"]
    equal(controller(), "a")
    t.refused("world", "take", "--debugger", "b", code=3, says=["a", "open", "--steal"])
    equal(controller(), "a")
    now = t.json("world", "take", "--steal", "--debugger", "b", schema="world-take")
    equal((now["controller"]["debugger"], now["controller"]["policy"]), ("b", "resume"))
    t.refused("world", "handover", "nobody", code=3, says="nobody")
    now = t.json("world", "take", "--steal", schema="world-take")
    equal((now["controller"]["debugger"], now["controller"]["policy"]), (cli, "hold"))
    now = t.json("world", "handover", "a", schema="world-handover")
    equal((now["controller"]["debugger"], now["ticket"]["ticket"]), ("a", first["ticket"]))
    kill_9(b)  # it has no lease any more, and takes nothing along
    wait_until(lambda: "b" not in debuggers(t), "b is gone")
    equal((status(t)["mode"], controller()), ("stopped", "a"))
    still.check(what="leases:")
    for detail, name in (("taken", "a"), ("stolen", "b"), ("stolen", cli), ("handed over", "a")):
        events.until("lease-changed", ticket=first["ticket"], detail=detail, name=name)
    kill_9(a)
    until_mode(t, "run-all")
    events.until("lease-changed", ticket=first["ticket"], detail="ended", name="a")
    events.until("ticket-ended", ticket=first["ticket"], detail="served")
    computes(vms["app"]["pid"], "it runs again")
    events.close()


def test_what_nobody_has_open_can_be_taken_without_stealing(t):
    p = open_debugger(t, "a", "--policy", "hold")
    first = stop(t, "--debugger", "a")
    kill_9(p)
    wait_until(lambda: not debuggers(t)["a"]["open"], "nobody has it open")
    now = t.json("world", "take", "--hold", "30m", schema="world-take")
    equal((now["controller"]["debugger"], now["ticket"]["ticket"]),
          (f"cli:{os.geteuid()}", first["ticket"]))
    left = now["controller"]["expires_us"] / 1e6 - time.time()
    check(1000 < left <= 1800, f"{left} s are left")
    check("a" not in debuggers(t), "it held nothing else")
    resume(t)


def test_a_lease_runs_out_in_stopped_and_in_run_one(t):
    vms, events = spinners(t, "a", "b"), watch(t)
    for alone in (False, True):
        first = stop(t, "--hold", "1s")
        if alone:
            go_on(t, "a", "--only")
        events.until("lease-changed", ticket=first["ticket"], detail="expired")
        events.until("world-resumed")
        for vm in vms.values():
            computes(vm["pid"], "both run")
        equal(status(t)["controller"], None)
    events.close()


# How far a world has come for a client of debugger d: what it has started, and then waits for.

def being_stopped(t, policy):
    """One VM computes and heeds nothing."""
    client = connect(t)
    hang = client.run("hang", "print up\nhang\n", engine="fake")
    wait_until(lambda: client.log(hang.id), "it hangs")
    client.close()
    p = open_debugger(t, "d", "--policy", policy)
    waits = t.start("world", "stop", "--debugger", "d", "--deadline", "600s")
    until_mode(t, "stopping")
    return [waits, p], "run-all"  # what was not served goes with its client


def stopped(t, policy):
    p = open_debugger(t, "d", "--policy", policy)
    stop(t, "--debugger", "d")
    return [p], {"resume": "run-all", "hold": "stopped"}[policy]


def running_one(t, policy):
    p = open_debugger(t, "d", "--policy", policy)
    stop(t, "--debugger", "d")
    t.ctl("continue", "a", "--only")
    return [p], {"resume": "run-all", "hold": "run-one"}[policy]


def stepping(t, policy):
    p = open_debugger(t, "d", "--policy", policy)
    stop(t, "--debugger", "d")
    step = t.start("continue", "a", "--only", "--until-still")
    until_mode(t, "run-one")
    return [step, p], {"resume": "run-all", "hold": "run-one"}[policy]


def queued(t, policy):
    stop(t)
    p = open_debugger(t, "d", "--policy", policy)
    waits = t.start("world", "stop", "--debugger", "d", "--wait", "60s")
    wait_until(lambda: status(t)["queued"], "it waits")
    return [waits, p], "stopped"  # by the other one


def slow_vm(t):
    client = connect(t)
    slow = client.run("slow", "slow 600000\nprint up\nbusy\n", engine="fake", name="slow")
    wait_until(lambda: client.log(slow.id), "it runs")
    client.close()


def in_an_operation(t, policy):
    slow_vm(t)
    p = open_debugger(t, "d", "--policy", policy)
    gc = t.start("world", "gc", "--debugger", "d", "--timeout", "600s", "--deadline", "20s")
    until_mode(t, "stopped")
    return [gc, p], "run-all"


def in_an_operation_of_its_own_stop(t, policy):
    slow_vm(t)
    p = open_debugger(t, "d", "--policy", policy)
    first = stop(t, "--debugger", "d")
    gc = t.start("world", "gc", "--debugger", "d", "--timeout", "600s")
    wait_until(lambda: status(t)["ticket"]["ticket"] > first["ticket"], "it is served")
    return [gc, p], {"resume": "run-all", "hold": "stopped"}[policy]


SITUATIONS = (being_stopped, stopped, running_one, stepping, queued, in_an_operation,
              in_an_operation_of_its_own_stop)


def no_vm_is_stranded(t, vms, what):
    """Whatever has become of the world: it can be resumed, and then all run."""
    t.ctl("world", "resume", code=None)
    wait_until(lambda: status(t)["mode"] == "run-all" and not status(t)["queued"], what)
    for vm in vms.values():
        computes(vm["pid"], f"{what}: {vm['name']} runs")
    equal((status(t)["ticket"], status(t)["controller"]), (None, None), what)


def dies_in(t, situation):
    for policy in ("resume", "hold"):
        vms = spinners(t, "a", "b")
        clients, mode = situation(t, policy)
        what = f"{situation.__name__}, policy {policy}"
        for p in clients:
            kill_9(p)
        wait_until(lambda: not debuggers(t).get("d", {}).get("open"), f"{what}: nobody has it open")
        until_mode(t, mode)
        if mode == "run-all":
            check("d" not in debuggers(t), debuggers(t))
            for vm in vms.values():
                computes(vm["pid"], f"{what}: {vm['name']} runs")
        elif mode == "stopped":
            settle(vm["pid"] for vm in vms.values())
            Still({n: vm["pid"] for n, vm in vms.items()}).check(what=what)
        equal(status(t)["queued"], [], what)
        no_vm_is_stranded(t, vms, what)
        equal(debuggers(t), {}, what)
        t.ctl("kill", *[vm["name"] for vm in t.list()])


def test_a_client_killed_while_it_stops_a_world(t):
    dies_in(t, being_stopped)


def test_a_client_killed_while_it_has_a_world_stopped(t):
    dies_in(t, stopped)


def test_a_client_killed_while_one_vm_runs_for_it(t):
    dies_in(t, running_one)


def test_a_client_killed_while_it_waits_for_a_step(t):
    dies_in(t, stepping)


def test_a_client_killed_in_the_queue(t):
    dies_in(t, queued)


def test_a_client_killed_in_an_operation(t):
    dies_in(t, in_an_operation)
    dies_in(t, in_an_operation_of_its_own_stop)


def test_a_hold_policy_runs_out_though_nobody_is_there(t):
    vms = spinners(t, "a")
    p = open_debugger(t, "d", "--policy", "hold")
    stop(t, "--debugger", "d", "--hold", "2s")
    kill_9(p)
    wait_until(lambda: not debuggers(t).get("d", {}).get("open"), "nobody has it open")
    until_mode(t, "run-all")
    computes(vms["a"]["pid"], "it runs")
    equal(debuggers(t), {})


def test_a_stop_can_be_cancelled_in_every_state(t):
    """By a resume, by the end of its debugger, and by a resume while others wait."""
    events, clients = watch(t), []
    for how in ("resume", "close"):
        vms = spinners(t, "a", "b")
        for situation in SITUATIONS:
            what = f"{situation.__name__}, by {how}"
            clients, _ = situation(t, "hold")
            if how == "close":
                t.ctl("debugger", "close", "d")
            else:
                t.ctl("world", "resume")
            if situation is queued and how == "resume":
                equal(status(t)["controller"]["debugger"], "d", what)
                equal(clients[0].wait(30), 0, what)
            elif situation is queued:
                equal(clients[0].wait(30), 1, what)
                equal(status(t)["mode"], "stopped", what)
            else:
                until_mode(t, "run-all")
                if situation is stepping:
                    equal(clients[0].wait(30), 0, what)
                elif len(clients) > 1:
                    equal(clients[0].wait(30), 1, what)
                    check("resumed" in clients[0].stderr.read(), what)
            no_vm_is_stranded(t, vms, what)
            kill_9(clients[-1])
            others = [vm["name"] for vm in t.list() if vm["name"] not in vms]
            if others:
                t.ctl("kill", *others)
            wait_until(lambda: not debuggers(t), f"{what}: no debugger is left")
        t.ctl("kill", "a", "b")
    ended = events.told("ticket-ended")
    equal(len({ticket for _, ticket, _ in ended}), len(ended), "each ticket ends once")
    check({d for _, _, d in ended} >= {"served", "cancelled"}, ended)
    events.close()


# ---- holds of single VMs

def test_a_vm_runs_again_when_each_owner_has_released_it_as_often_as_it_held_it(t):
    vms = spinners(t, "app", "other")
    pid, cli = vms["app"]["pid"], f"cli:{os.geteuid()}"
    d, e = open_debugger(t, "d"), open_debugger(t, "e", "--policy", "hold")

    def holders():
        return sorted(h["debugger"] for h in t.vm("app")["holds"])
    t.ctl("hold", "app")
    t.ctl("hold", "app")
    t.ctl("hold", "app", "--debugger", "d")
    t.ctl("hold", "app", "--debugger", "e")
    equal(holders(), [cli, "d", "e"])
    t.wait_for("app", "stopped")
    settle([pid])
    still = Still({"app": pid})
    computes(vms["other"]["pid"], "others run")
    kill_9(d)  # policy resume
    wait_until(lambda: holders() == [cli, "e"], "its hold has gone with it")
    kill_9(e)  # policy hold
    wait_until(lambda: not debuggers(t)["e"]["open"], "nobody has it open")
    equal(holders(), [cli, "e"])
    stop(t)
    resume(t)
    t.ctl("release", "app")
    equal(holders(), [cli, "e"])
    t.refused("release", "app", "--debugger", "d", code=3)
    t.ctl("release", "app")
    equal(holders(), ["e"])
    t.refused("release", "app", code=3, says=["held by e", f"not by {cli}"])
    still.check(what="held:")
    t.ctl("debugger", "close", "e")
    equal(holders(), [])
    computes(pid, "it runs again")
    equal(debuggers(t), {})
