"""What clients and programs may ask for has a bound, and beyond it a clear answer."""

import json
import os
import time

import api as api_client
from harness import check, equal, wait_until
from test_storm import connect

SPIN = "for (;;);"


def test_errors_in_any_language_are_shown_whole(t):
    for text in ("é", "日", "😀"):
        for shift in range(4):
            path = t.file("poison.js", f"throw new Error('x'.repeat({shift}) + '{text}'.repeat(900))")
            r = t.ctl("run", path, code=1)
            check("Error: " in r.err, r)
    equal(len(t.list("-a")), 12)
    t.ctl("events")
    t.json("status", "poison")


def test_lists_with_long_arguments_come_in_pages(t):
    path = t.file("app.js", "0")
    for i in range(40):
        t.ctl("run", "-d", "--name", f"vm{i}", path, "x" * 30000)
    equal(len(t.list()), 40)
    t.ctl("kill", "vm*")
    equal(len(t.list("-a")), 40)


def test_a_busy_vm_takes_only_so_many_messages(t):
    client = connect(t)
    vm = client.run("busy.js", SPIN)
    before = t.daemon.fds()
    accepted = 0
    text = json.dumps("x" * 40000)
    try:
        for accepted in range(5000):
            client.request(send_message=client.api.SendMessage(vm=str(vm.id), json=text))
    except api_client.ApiError as e:
        equal(e.code, client.api.ERROR_LIMIT_EXCEEDED)
    check(10 < accepted < 1000, accepted)
    if before is not None:
        check(len(t.daemon.fds()) < len(before) + 520, "descriptors are bounded")
    equal(t.vm("busy")["state"], "active")
    client.close()


def test_no_accepted_message_is_lost_while_the_world_is_stopped(t):
    t.spawn("app", "let n = 0, sum = 0; globalThis.onmessage = (e) => { n++; sum += e.data; };"
                   "globalThis.result = () => [n, sum]")
    client = connect(t)
    client.stop()
    accepted = 0
    try:
        for accepted in range(3000):
            client.request(send_message=client.api.SendMessage(vm="app", json=str(accepted)))
    except api_client.ApiError as e:
        equal(e.code, client.api.ERROR_LIMIT_EXCEEDED)
    check(500 < accepted < 3000, accepted)
    client.resume()
    wait_until(lambda: json.loads(t.ctl("call", "app", "result").out)[0] == accepted,
               f"all {accepted} messages arrive")
    equal(json.loads(t.ctl("call", "app", "result").out)[1], accepted * (accepted - 1) // 2)
    client.close()


def test_events_are_all_shown_or_counted(t):
    t.spawn("chatty", "for (let i = 0; i < 3000; i++) postMessage({i, text: 'x'.repeat(2000)})")
    t.wait_for("chatty", "idle")
    t.ctl("kill", "chatty")
    lines = [json.loads(line) for line in t.ctl("-o", "jsonl", "events").out.splitlines()]
    last = 0
    for line in lines:
        if "dropped" in line and line.get("dropped"):
            last += line["dropped"]
        else:
            equal(line["seq"], last + 1, "no gap that was not counted")
            last = line["seq"]
    kinds = [line.get("kind") for line in lines]
    check("vm-born" in kinds and kinds[-1] == "vm-ended", "messages push out nothing else")


def test_a_connection_has_only_so_many_open_requests(t):
    client = connect(t)
    vm = client.run("app.js", "globalThis.onmessage = () => {}")
    wait = client.api.WaitVm(vm=str(vm.id), timeout_us=3_000_000)
    setattr(wait, "for", client.api.WAIT_FOR_EXITED)
    numbers = [client.send(wait_vm=wait) for _ in range(300)]
    codes = []
    for number in numbers:
        try:
            client.wait(number)
        except api_client.ApiError as e:
            codes.append(e.code)
    equal(codes.count(client.api.ERROR_LIMIT_EXCEEDED), 300 - 256)
    equal(codes.count(client.api.ERROR_TIMED_OUT), 256)
    client.close()


def test_a_wait_sees_what_begins_after_it(t):
    client, other = connect(t), connect(t)
    vm = client.run("busy.js", "globalThis.sort = () => { for (let i = 0; i < 40; i++) "
                               "new Float64Array(300000).map(() => Math.random()).sort(); }")
    call = client.api.CallFunction(vm=str(vm.id), function="sort")
    client.send(call_function=call)
    wait = other.api.WaitVm(vm=str(vm.id), timeout_us=20_000_000)
    setattr(wait, "for", other.api.WAIT_FOR_STOPPED)
    number = other.send(wait_vm=wait)
    client.request(hold_vm=client.api.HoldVm(vm=str(vm.id)))
    other.wait(number)
    client.close()
    other.close()


def test_a_queued_stop_goes_with_its_client(t):
    t.spawn("app", SPIN, ready=False)
    t.json("world", "stop", "--deadline", "20s")
    p = t.start("world", "stop", "--wait", "60s")
    wait_until(lambda: t.json("world", "status")["queued"], "it is queued")
    p.terminate()
    p.wait()
    wait_until(lambda: not t.json("world", "status")["queued"], "it is not any more")
    equal(t.json("world", "resume")["mode"], "run-all")


def test_ready_fails_where_the_program_does(t):
    path = t.file("early.mjs", "throw new Error('early')")
    r = t.ctl("run", "-d", "--ready", path, code=1)
    check("early" in r.err, r)


def test_more_connections_than_there_may_be_are_refused_and_others_served(t):
    held = []
    try:
        for _ in range(300):  # LIMIT_CLIENTS_PER_UID is 256
            held.append(t.daemon.connect())
        end = time.monotonic() + 20
        gone = 0
        while gone < 40 and time.monotonic() < end:
            gone = 0
            for s in held:
                s.setblocking(False)
                try:
                    gone += s.recv(1) == b""
                except BlockingIOError:
                    pass
                except OSError:
                    gone += 1
        check(gone >= 40, f"{gone} of 300 were refused")
    finally:
        for s in held:
            s.close()
    wait_until(lambda: t.ctl("list", code=None).code == 0, "others are served afterwards")
    check(os.path.exists(t.daemon.socket), "the socket is there")
