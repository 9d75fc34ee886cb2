"""A client that means harm: it loses its connection or gets an error, and everybody else is served.

One test for each case; test_bad_peers.py has the small ones.
"""

import fcntl
import os
import select
import signal
import socket
import struct
import time

import api as api_client
import managed
import wire
from debugging import Debugging
from harness import check, equal, wait_until
from hostile import SANITIZED, Latency, Memory, frame_of_length, size
from storm import LONG, connect

BAD_NAMES = ("/", "..", ".", "a/b", "../x", "a\0b", "a\nb", "a\x1b[2J", "\u202ex", "", " ", "1", "12345", "é", "a b",
             "x" * 65, "x" * 65536)


def served(t, client):
    equal(len(client.vms()), 0)
    t.ctl("list")


def closed(sock, limit=20):
    """Reads until the daemon has closed the connection."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            if not sock.recv(1 << 16):
                return True
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
    return False


def test_c22_lengths_that_no_frame_has_end_the_connection(t):
    good = connect(t)
    memory = Memory(t)
    for length in (0, (1 << 20) + 1, 1 << 31, (1 << 32) - 1, 0x7fffffff):
        for hello_first in (False, True):
            s = t.daemon.connect()
            if hello_first:
                s.sendall(wire.hello())
                wire.read_frame(s)
            s.sendall(frame_of_length(length))
            check(closed(s), f"{length} ends it")
            s.close()
            served(t, good)
    memory.grew_less_than(8)
    good.close()


def test_c22_a_frame_a_byte_at_a_time_keeps_nobody_waiting(t):
    latency = Latency(t)
    slow = [t.daemon.connect() for _ in range(8)]
    for s in slow:
        s.sendall(wire.hello() + frame_of_length(1000))
        wire.read_frame(s)
    for _ in range(size(20, 900)):
        for s in slow:
            s.sendall(b"\0")
        check(latency.worst_ms(0.02) < 1000, "another client is served")
    for s in slow:
        s.close()
    latency.close()


def test_c22_idle_connections_by_the_thousand_are_bounded_and_go(t):
    good = connect(t)
    before = t.daemon.fds()
    held, refused = [], 0
    for _ in range(size(2000, 10000)):
        try:
            held.append(t.daemon.connect())
        except OSError:
            refused += 1
        if len(held) == 400:  # what is beyond its limit the daemon has closed, or has not taken yet
            for s in held[256:]:
                s.close()
            held = held[:256]
    served_meanwhile = good.vms()
    equal(len(served_meanwhile), 0)
    if before is not None:
        check(len(t.daemon.fds()) < len(before) + 300, "of one user no more than its limit")
    # Without a Hello they end by themselves.
    start = time.monotonic()
    for s in held[:8]:
        s.settimeout(40)
        check(closed(s, 40), "a connection that says nothing ends")
    check(time.monotonic() - start < 60, "soon")
    for s in held:
        s.close()
    wait_until(lambda: t.ctl("list", code=None).code == 0, "and new ones are taken")
    good.close()


def test_c22_many_requests_whose_answers_nobody_reads_end_that_client(t):
    good, memory = connect(t), Memory(t)
    vm = good.run("talks.js", "for (let i = 0; i < 300; i++) console.log('x'.repeat(700))")
    s = t.daemon.connect()
    s.sendall(wire.hello())
    s.setblocking(False)
    request = wire.frame(wire.field(1, 7) + wire.field(22, wire.field(1, str(vm.id)) + wire.field(2, 1)))
    sent, end = 0, time.monotonic() + 20
    while time.monotonic() < end:
        try:
            sent += s.send(request * 50)
        except BlockingIOError:
            select.select([], [s], [], 0.1)
        except OSError:
            break
        if sent % 50000 < 5000:
            good.vms()
    check(time.monotonic() < end, "it is cut off")
    s.close()
    memory.grew_less_than(32)
    good.request(kill_vm=good.api.KillVm(vm=str(vm.id)))
    served(t, good)
    good.close()


def test_c24_another_user_is_refused(t):
    t.daemon  # pylint: disable=pointless-statement
    if os.geteuid() != 0:
        t.skip("only root can be another user")
    code = ("import socket,sys,os\nos.setgroups([])\nos.setgid(31999)\nos.setuid(31999)\n"
            "s=socket.socket(socket.AF_UNIX)\n"
            "try:\n s.connect(sys.argv[1])\n s.settimeout(5)\n print(len(s.recv(100)))\n"
            "except OSError as e:\n print(type(e).__name__)\n")
    os.chmod(t.folder, 0o755)
    os.chmod(t.run_dir, 0o755)
    r = t.run(["/usr/bin/python3", "-c", code, t.daemon.socket])
    check(r.out.strip() in ("PermissionError", "0", "ConnectionResetError"), r)
    t.ctl("list")


def test_c25_names_that_are_none_are_refused_clearly(t):
    client = connect(t)
    api = client.api
    for name in BAD_NAMES:
        for request in ({"run_vm": ("name", {"program": "a.js"})}, {"run_vm": ("world", {"program": "a.js", "name": "x"})},
                        {"run_vm": ("engine", {"program": "a.js", "name": "x"})}, {"stop_world": ("world", {})},
                        {"kill_vm": ("vm", {})}, {"get_world": ("world", {})}, {"open_debugger": ("name", {})},
                        {"take_lease": ("world", {})}):
            (body, (field, others)), = request.items()
            if name == "" and (body, field) != ("kill_vm", "vm"):
                continue  # means the default
            make = getattr(api, "".join(part.capitalize() for part in body.split("_")))
            try:
                message = make(**{field: name, **others})
            except ValueError:
                continue  # protobuf's own check
            fd = api_client.memfd(b"0") if body == "run_vm" else None
            try:
                client.request(fd, **{body: message})
                check(False, f"{body}.{field} = {name[:20]!r} was taken")
            except api_client.ApiError as e:
                check("\n" not in e.message and "\x1b" not in e.message and len(e.message) < 2000, repr(e.message))
            except (EOFError, OSError):
                # What no library would send is no request at all.
                client = connect(t)
            finally:
                if fd is not None:
                    os.close(fd)
    for path in ("/etc/passwd", "../a.js", "a/../../b", "a\0b", "x" * 5000):
        try:
            vm = client.run(path, "0", keep_idle=False)
            check("/" not in vm.name and ".." not in vm.name, f"no more than a name to show: {vm.name}")
        except (api_client.ApiError, EOFError, OSError):
            client = connect(t)
    for raw in (b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80"):
        s = t.daemon.connect()
        s.sendall(wire.hello() + wire.frame(wire.field(1, 2) + wire.field(16, wire.field(1, raw))))
        wire.read_frame(s)
        reply = wire.read_frame(s)
        check(reply is None or 100 in wire.fields(reply), "invalid UTF-8 is refused")
        s.close()
    log = t.daemon.log_text()
    check("\x1b" not in log and "\u202e" not in log, log)
    wait_until(lambda: not client.vms(), "all have ended")
    client.close()


def test_c26_a_client_that_dies_anywhere_strands_no_vm(t):
    good = connect(t)
    vm = good.run("app.js", "globalThis.f = () => { for (;;); }; globalThis.onmessage = () => {}", name="app")

    def mode():
        request = good.api.GetWorld(world="default")
        return good.request(get_world=request).world_reply.world.mode

    # In the middle of a call, and of its own frame.
    client = connect(t)
    client.send(call_function=client.api.CallFunction(vm="app", function="f"))
    wait_until(lambda: good.request(get_vm=good.api.GetVm(vm="app")).vm_reply.vm.state == good.api.VM_STATE_ACTIVE,
               "the call runs")
    client.sock.sendall(struct.pack(">I", 100) + b"half")
    client.close()
    # In the middle of a stop that waits for somebody who does not come, and in its queue.
    other = good.run("late.js", "for (;;);", name="late")
    wait_until(lambda: good.request(get_vm=good.api.GetVm(vm="late")).vm_reply.vm.state == good.api.VM_STATE_ACTIVE,
               "it runs")
    os.kill(good.request(get_vm=good.api.GetVm(vm="late")).vm_reply.vm.pid, 19)
    client, queued = Debugging(good.api, t.daemon.socket), Debugging(good.api, t.daemon.socket)
    client.open("controls", policy="resume")
    client.send(stop_world=good.api.StopWorld(world="default", deadline_us=LONG, debugger="controls"))
    wait_until(lambda: mode() == good.api.MODE_STOPPING, "it stops")
    queued.send(stop_world=good.api.StopWorld(world="default", deadline_us=LONG, wait_us=LONG))
    client.close()
    queued.close()
    wait_until(lambda: mode() == good.api.MODE_RUN_ALL, "and goes on without it")
    os.kill(good.request(get_vm=good.api.GetVm(vm="late")).vm_reply.vm.pid, 18)
    # While it holds the world, one VM, and a program that is not all there yet.
    client = Debugging(good.api, t.daemon.socket)
    client.open("controls", policy="resume")
    client.request(stop_world=good.api.StopWorld(world="default", deadline_us=LONG, debugger="controls"))
    client.request(hold_vm=good.api.HoldVm(vm="app", debugger="controls"))
    fd = api_client.memfd(b"import './more.js'")
    client.request(fd, run_vm=good.api.RunVm(program="half.mjs", name="half", more_files=True))
    os.close(fd)
    equal(mode(), good.api.MODE_STOPPED)
    client.close()
    wait_until(lambda: mode() == good.api.MODE_RUN_ALL, "its lease ends with it")
    wait_until(lambda: {v.name for v in good.vms()} == {"app", "late"}, "what was never started is gone")
    equal([list(v.holds) for v in good.vms()], [[], []], "nobody is held")
    # And by a signal, as a process.
    p = t.start("run", t.file("attached.js", "console.log('up'); for (;;);"))
    equal(p.stdout.readline(), "up\n")
    p.kill()
    p.wait()
    wait_until(lambda: len(good.vms()) == 2, "an attached VM dies with its client")
    for v in (vm, other):
        good.request(kill_vm=good.api.KillVm(vm=str(v.id)))
    good.close()


def test_c27_events_that_nobody_reads_are_dropped_and_counted(t):
    good, memory = connect(t), Memory(t)
    deaf = []
    for _ in range(4):
        s = t.daemon.connect()
        s.sendall(wire.hello() + wire.frame(wire.field(1, 2) + wire.field(40, b"")))
        wire.read_frame(s)
        deaf.append(s)
    latency = Latency(t)
    vm = good.run("chatty.js", f"for (let i = 0; i < {size(6000, 100000)}; i++) postMessage('x'.repeat(2000))")
    check(latency.worst_ms(1) < 1000, "another client is served")
    wait_until(lambda: good.request(get_vm=good.api.GetVm(vm=str(vm.id))).vm_reply.vm.state
               == good.api.VM_STATE_IDLE, "the VM does not wait for them")
    memory.grew_less_than(64)
    # Whoever reads late finds out how many were lost, or that it was cut off.
    for s in deaf:
        told, ended = 0, False
        s.settimeout(0.3)
        while True:
            try:
                frame = wire.read_frame(s)
            except TimeoutError:
                break
            if frame is None:
                ended = True
                break
            event = wire.fields(frame).get(200)
            told += bool(event)
        check(told or ended, "it is told, or gone")
        s.close()
    latency.close()
    good.request(kill_vm=good.api.KillVm(vm=str(vm.id)))
    good.close()


class Lingering:
    """TCP sockets with data that nobody reads: whoever is the last to close one waits for `seconds`."""

    def __init__(self, t, seconds):
        try:
            self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        except OSError:
            t.skip("no loopback network here")
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.seconds, self.deaf = seconds, []

    def make(self):
        c = socket.create_connection(self.listener.getsockname())
        self.deaf.append(self.listener.accept()[0])
        c.setblocking(False)
        try:
            while True:
                c.send(b"x" * 65536)
        except BlockingIOError:
            pass
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, self.seconds))
        return c

    def give(self, sock, data, flags=0, count=1):
        """Sends some away. The other side does not run before this one has closed them."""
        made = [self.make() for _ in range(count)]
        fds = struct.pack(f"{count}i", *(c.fileno() for c in made))
        sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)], flags)  # send_fds() forgets the flags
        for c in made:
            c.close()

    def close(self):
        for s in self.deaf + [self.listener]:
            s.close()


def test_what_is_slow_to_close_keeps_nobody_waiting(t):
    lingering = Lingering(t, 40)
    good = connect(t)
    before, start = t.daemon.fds(), time.monotonic()
    run = wire.frame(wire.field(1, 2) + wire.field(2, 1) + wire.field(11, wire.field(4, "a.js")))
    urgent = socket.MSG_OOB

    def said_hello():
        s = t.daemon.connect()
        s.sendall(wire.hello())
        wire.read_frame(s)
        return s

    # What is no frame, what is urgent, more than any frame has, and a program; beside what ends the
    # connection before it is read.
    for give in (lambda s: lingering.give(s, b"\0"), lambda s: lingering.give(s, b"\0", count=9),
                 lambda s: (lingering.give(s, b"\0", urgent), s.sendall(b"\0\0")), lambda s: lingering.give(s, run),
                 lambda s: (lingering.give(s, frame_of_length(0)), lingering.give(s, b"\0")),
                 lambda s: (lingering.give(s, frame_of_length(0)), lingering.give(s, b"\0", urgent))):
        for connection, stays in ((t.daemon.connect, True), (said_hello, False)):
            s = connection()
            os.kill(t.daemon.pid, signal.SIGSTOP)
            give(s)
            if not stays:
                s.close()
            os.kill(t.daemon.pid, signal.SIGCONT)
            served(t, good)
            s.close()
            served(t, good)
    s = said_hello()
    os.kill(t.daemon.pid, signal.SIGSTOP)
    lingering.give(s, run)
    os.kill(t.daemon.pid, signal.SIGCONT)
    error = wire.fields(wire.read_frame(s))[100][0]
    check(b"not a memfd sealed" in error, error)
    s.close()
    check(time.monotonic() - start < 30, "nobody waited for any of them")
    if before is not None:
        wait_until(lambda: len(t.daemon.fds()) <= len(before), "all are closed in the end", 30)
    served(t, good)
    lingering.close()
    good.close()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_one_that_goes_away_from_thousands_of_imports_keeps_nobody_waiting(t):
    """What a VM waits for is put down for the next daemon, all of it each time."""
    d = managed.start(t)
    good, client = connect(t), connect(t)
    program = """
        let refused = 0;
        for (let i = 0; i < 9999; i++)
            import(`./x${i}.js`).catch(() => { if (++refused === 9999) console.log('all refused'); });
        console.log('all wanted');
    """
    def all_say(vms, text):
        return all(text in b"".join(r.data for r in good.log(vm)) for vm in vms)
    # Those of another, which are looked at before.
    vms, others = [[c.run(f"{name}.js", program, name=name).id for name in names]
                   for c, names in ((client, "abcd"), (connect(t), "e"))]
    wait_until(lambda: all_say(vms + others, b"all wanted"), "they wait for all of them", 200)
    before = cpu_seconds(d.pid)
    client.close()
    wait_until(lambda: all_say(vms, b"all refused"), "each of them is refused", 200)
    # A tenth of it is usual. Not the time that it took: others may have had the processor.
    used = cpu_seconds(d.pid) - before
    check(used < (20 if SANITIZED else 2), f"the daemon was busy for {used} s")
    for vm in vms + others:
        good.request(kill_vm=good.api.KillVm(vm=str(vm)))
    good.close()


def strange_descriptors(t):
    """What a program is not: (name, descriptor, whether it is called too large)."""
    def unsealed(seals):
        fd = os.memfd_create("x", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.write(fd, b"1")
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        return fd
    large = os.memfd_create("x", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(large, (64 << 20) + 1)
    fcntl.fcntl(large, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    sparse = os.open(t.file("sparse", ""), os.O_RDWR)
    os.ftruncate(sparse, 1 << 40)
    ends = os.pipe()
    os.close(ends[1])
    epoll = select.epoll()
    kinds = {"a pipe": ends[0], "a folder": os.open("/", os.O_RDONLY), "zeros": os.open("/dev/zero", os.O_RDONLY),
             "a sparse file of 1 TiB": sparse, "a path": os.open("/etc/passwd", os.O_PATH), "an eventfd": os.eventfd(0),
             "an epoll": os.dup(epoll.fileno()), "itself": os.pidfd_open(os.getpid()),
             "its connection": t.daemon.connect().detach(), "namespaces": os.open("/proc/self/ns/net", os.O_RDONLY),
             "a memfd that can be written": unsealed(fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK),
             "a memfd that can shrink": unsealed(fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE),
             "a memfd that can grow": unsealed(fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_WRITE)}
    epoll.close()
    return [(name, fd, False) for name, fd in kinds.items()] + [("a large memfd", large, True)]


def test_what_is_no_program_is_refused_and_closed(t):
    client = connect(t)
    before = t.daemon.fds()
    for name, fd, is_large in strange_descriptors(t):
        for request in ({"run_vm": client.api.RunVm(program="a.js")}, {"add_file": client.api.AddFile(vm=1, path="a")}):
            try:
                client.request(fd, **request)
                check(False, f"{name} was taken")
            except api_client.ApiError as e:
                if "run_vm" in request:
                    equal(("larger" in e.message, "not a memfd sealed" in e.message), (is_large, not is_large), name)
        os.close(fd)
    served(t, client)
    if before is not None:
        wait_until(lambda: len(t.daemon.fds()) <= len(before), "all of them are closed")
    client.close()
