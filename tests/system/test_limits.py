"""What clients and programs may ask for has a bound, and beyond it a clear answer."""

import json
import os
import time

import api as api_client
from harness import cgroup_folder, cgroup_of, check, equal, wait_until
from test_storm import connect

SPIN = "for (;;);"
IDLE = "setInterval(() => {}, 1000)"


def rss_of(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


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
    t.wait_for("app", "idle")  # or its queue may still be full
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


# ---- what one VM may use

def test_the_limits_of_a_vm_are_shown(t):
    t.spawn("app", IDLE, options=("--memory", "64M", "--cpu-time", "90s", "--timeout", "1h",
                                       "--tasks", "7", "--output-rate", "1M", "--log-size", "8K"))
    limits = t.vm("app")["limits"]
    equal(limits, {"memory_bytes": 64 << 20, "hard_memory_bytes": 384 << 20, "cpu_percent": None,
                   "cpu_time_us": 90_000_000, "timeout_us": 3_600_000_000, "tasks": 7, "output_rate": 1 << 20,
                   "log_bytes": 8192})
    line = next(x for x in t.ctl("status", "app").out.splitlines() if x.strip().startswith("Limits:"))
    for word in ("memory=64", "hard-memory=384", "timeout=", "tasks=7", "output-rate=1", "log-size=8"):
        check(word in line, f"{word}: {line}")
    t.spawn("plain", IDLE)
    limits = t.vm("plain")["limits"]
    equal((limits["memory_bytes"], limits["log_bytes"], limits["timeout_us"]), (512 << 20, 256 << 10, None))


def test_limits_out_of_range_are_refused(t):
    path = t.file("app.js", "1")
    for option, value, says in (("--tasks", "4", "between 5 and 64"), ("--log-size", "1K", "between 4 KiB and 4 MiB"),
                                ("--log-size", "5M", "log size"), ("--output-rate", "10", "output rate"),
                                ("--memory", "1M", "memory limit")):
        t.refused("run", option, value, path, code=2, says=[says])


def test_a_program_can_catch_its_memory_limit(t):
    """... and goes on; its neighbour is undisturbed, and the daemon holds none of it."""
    t.spawn("neighbour", "let n = 0; globalThis.next = () => ++n;" + IDLE)
    before = rss_of(t.daemon.pid)
    path = t.file("hungry.js", "let all = [], caught = 0;"
                               "try { for (;;) all.push(new Array(1000).fill(1.5)); } catch (e) { all = null; caught = 1; }"
                               "console.log('caught', caught); console.log('goes on');")
    r = t.ctl("run", "--memory", "16M", path)
    equal(r.out, "caught 1\ngoes on\n")
    equal(t.ctl("call", "neighbour", "next").out.strip(), "1")
    check(rss_of(t.daemon.pid) < before + (8 << 20), "the daemon has not grown")


def test_a_program_that_does_not_catch_it_is_out_of_memory(t):
    t.spawn("neighbour", "globalThis.ping = () => 'pong';" + IDLE)
    before = rss_of(t.daemon.pid)
    path = t.file("hungry.js", "const all = []; for (;;) all.push(new Array(1000).fill(1.5));")
    r = t.ctl("run", "--memory", "16M", path, code=137)
    check("out of memory" in r.err, r)
    vm = t.json("status", "hungry")
    equal((vm["exit"]["reason"], vm["exit"]["code"]), ("oom", 137))
    equal(t.ctl("call", "neighbour", "ping").out.strip(), '"pong"')
    check(rss_of(t.daemon.pid) < before + (8 << 20), "the daemon has not grown")


def test_a_process_has_its_hard_limit_of_memory(t):
    t.spawn("app", IDLE, options=("--memory", "16M"))
    with open(f"/proc/{t.vm('app')['pid']}/limits", encoding="ascii") as f:
        line = next(x for x in f if x.startswith("Max data size"))
    equal(line.split()[3:5], [str(288 << 20)] * 2)


def test_a_process_has_no_more_threads_than_its_tasks(t):
    t.spawn("app", IDLE, options=("--tasks", "5"))
    with open(f"/proc/{t.vm('app')['pid']}/status", encoding="ascii", errors="replace") as f:
        threads = next(int(x.split()[1]) for x in f if x.startswith("Threads:"))
    check(threads <= 5, threads)


def test_cpu_time_ends_a_vm_wherever_it_spends_it(t):
    path = t.file("spin.js", SPIN)
    r = t.ctl("run", "--cpu-time", "1s", path, code=124)
    check("CPU time limit of 1 s" in r.err, r)
    vm = t.json("status", "spin")
    equal(vm["exit"]["reason"], "timeout")
    check(1_000_000 <= vm["cpu_us"] < 20_000_000, vm["cpu_us"])
    # In a call, after it was idle.
    t.spawn("late", "globalThis.spin = () => { for (;;); }", options=("--cpu-time", "1500ms"))
    t.wait_for("late", "idle")
    t.ctl("call", "late", "spin", code=1)
    equal(t.vm("late")["exit"]["reason"], "timeout")


def test_time_in_which_a_vm_is_stopped_does_not_count(t):
    t.spawn("app", SPIN, options=("--timeout", "400ms"), ready=False)
    t.json("world", "stop", "--deadline", "20s")
    time.sleep(1)
    equal(t.vm("app")["state"], "parked")
    t.json("world", "resume")
    t.wait_for("app", "exited")
    found = t.vm("app")["exit"]
    equal(found["reason"], "timeout")
    check("time limit of 400 ms" in found["detail"], found)


def test_output_beyond_its_rate_waits_and_is_not_lost(t):
    t.spawn("neighbour", "globalThis.ping = () => 'pong';" + IDLE)
    path = t.file("chatty.js", "for (let i = 0; i < 800; i++) console.log(String(i).padEnd(999));")
    begin = time.monotonic()
    r = t.ctl("run", "--output-rate", "200K", path)
    took = time.monotonic() - begin
    equal([int(x) for x in r.out.splitlines()], list(range(800)))
    # 800 KB, of which a second's worth and a window of 256 KiB are free.
    check(took > 1, f"{took:.2f} s")
    equal(t.ctl("call", "neighbour", "ping").out.strip(), '"pong"')


def test_a_log_keeps_what_it_may(t):
    t.spawn("app", "for (let i = 0; i < 100; i++) console.log(String(i).padEnd(499));" + IDLE, options=("--log-size", "8K"))
    lines = t.logs("app").splitlines()
    check(4 <= len(lines) <= 16, len(lines))
    equal(int(lines[-1]), 99)
    t.spawn("other", "for (let i = 0; i < 100; i++) console.log(String(i).padEnd(499));" + IDLE)
    equal(len(t.logs("other").splitlines()), 100)


def need_controllers(t):
    lacking = [c["name"] for c in t.json("doctor")["checks"]
               if c["name"] in ("memory-limit", "tasks-limit", "cpu-share") and c["state"] != "ok"]
    if lacking:
        t.skip(f"no cgroup v2 controllers here for {', '.join(lacking)}")


def folder_of(t, name):
    return cgroup_folder(cgroup_of(t.vm(name)["pid"]))


def read(folder, name):
    with open(f"{folder}/{name}", encoding="ascii") as f:
        return f.read().strip()


def test_limits_are_in_the_files_of_its_cgroup(t):
    need_controllers(t)
    t.spawn("app", IDLE, options=("--memory", "64M", "--cpu", "50%", "--tasks", "7"))
    folder = folder_of(t, "app")
    for name, value in (("memory.max", str(384 << 20)), ("memory.oom.group", "1"), ("pids.max", "7"),
                        ("cpu.max", "10000 20000")):
        equal(read(folder, name), value, name)
    if os.path.exists(f"{folder}/memory.swap.max"):
        equal(read(folder, "memory.swap.max"), "0")
    equal([t.vm("app")["posture"][x] for x in ("memory", "tasks")], ["on", "on"])


def test_who_is_ended_by_the_kernel_for_its_memory_is_out_of_memory(t):
    need_controllers(t)
    t.spawn("neighbour", "globalThis.ping = () => 'pong';" + IDLE)
    t.spawn("app", "const all = []; globalThis.eat = () => { for (;;) all.push(new Uint8Array(1 << 20).fill(1)); };" + IDLE)
    before = rss_of(t.daemon.pid)
    with open(f"{folder_of(t, 'app')}/memory.max", "w", encoding="ascii") as f:
        f.write(str(64 << 20))  # less than its process may have: the kernel comes first
    t.ctl("call", "app", "eat", code=1)
    t.wait_for("app", "exited")
    found = t.vm("app")["exit"]
    equal((found["reason"], found["code"]), ("oom", 137))
    check("kernel" in found["detail"], found)
    equal(t.ctl("call", "neighbour", "ping").out.strip(), '"pong"')
    check(rss_of(t.daemon.pid) < before + (8 << 20), "the daemon has not grown")


def test_controllers_are_given_back_at_the_end(t):
    need_controllers(t)
    own = cgroup_folder(cgroup_of(os.getpid()))
    before = read(own, "cgroup.subtree_control")
    t.spawn("app", IDLE)
    check("memory" in read(own, "cgroup.subtree_control"), "they are given while it runs")
    equal(t.daemon.stop(), 0)
    if own.rstrip("/") != "/sys/fs/cgroup":  # the root's are the system's
        equal(read(own, "cgroup.subtree_control"), before)
    t.start_daemon()
    equal(t.list(), [])
