#!/usr/bin/python3
"""Makes the fuzz targets' corpora anew.

    make_corpus.py [--build DIR] [--fuzz-build DIR] [--found DIR] [TARGET...]

Real messages: a daemon of --build, with strace(1) at its side, is led through a session by stillctl,
so that every wire has its say. Made-up ones: every body of the .proto files, empty, full, and with
each field in turn left out, too long, too large, or not a text. Of all of them, and of what a fuzzer
found (--found), tests/fuzz/corpus/TARGET gets the smallest set that reaches everything that all of
them reach, as libFuzzer counts it (of --fuzz-build, which `make fuzz` makes).
"""

import argparse
import ast
import importlib
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.dont_write_bytecode = True
MAX_FILE = 6144  # bytes: what is committed stays small
# As in fuzz_client.c, and which reply each of its requests wants.
CLIENT_REQUESTS = ["vm_reply", "vm_list", "call_reply", "log_page", "world_list", "world_reply",
                   "stop_report", "resume_reply", "continue_reply", "inspection", "inspection",
                   "inspection", "debugger_reply", "debugger_list", "hook_list", "hook_list",
                   "auditor_list", "hit_page", "frame_page", "scope_list", "variable_page",
                   "value_reply", "step_reply", "source_list", "source_text", "position_list",
                   "memory_reply", "pause_reply", "doctor_reply", "subscribe_reply", "done"]
EVENTS = ["event", "console_written", "import_requested", "stdin_requested", "vm_ended"]
# As in fuzz_daemon.c.
OP_REQUEST, OP_PACKET, OP_STATUS, OP_BORN, OP_DIE, OP_LEAVE, OP_TURN, OP_FIELD = range(8)
IDLE, PARKED, RUNNING = 2, 4, 1


def compile_proto(name, folder):
    subprocess.run(["protoc", f"--python_out={folder}", f"--proto_path={TOP}/proto", name + ".proto"],
                   check=True)
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name + "_pb2")
    finally:
        sys.path.remove(folder)


def u16(n):
    return struct.pack("<H", n)


def sized(data):
    return u16(len(data)) + data


# ---- a session

PROGRAM = """
let n = 0;
class Point { constructor(x) { this.x = x; } get twice() { return 2 * this.x; } }
globalThis.add = function add(a, b) { const p = new Point(a); n++; return p.twice + b; };
globalThis.bad = () => { throw new TypeError("not so"); };
globalThis.onmessage = (e) => { console.error("got %o", e.data); postMessage({n}); add(n, 1); };
setInterval(function tick() { n += add(n % 7, 2) > 3; }, 20);
console.log("up", [1, { a: 2 }], new Map([[1, "x"]]));
"""
BUSY = """
function spin(by) {
    let k = 0, text = "é";
    for (;;) {
        k = k + by;
        if (k > 1e6) k = 0;
    }
}
spin(3);
"""
SESSION = """
doctor
run -d --name app app.js one "two words"
run -d --name other --world w2 app.js
run -d --name busy busy.js
run -d --name broken broken.js
run failing.js
run -d --name mod mod.mjs
list
list -a
status app
wait app --for=idle --timeout=5s
send app {"a":[1,2.5,null]}
call app add [1,2]
call app bad []
call app none []
logs app
logs -n 1 app
hold app
release app
debugger open dbg &
debugger list
audit add app --on enter-frame,pop --keep
audit add app --on exception-unwind,debugger-statement --keep
audit add o* --on new-script,new-global --keep
audit add app --on enter-frame --filter function=add --filter if=a>2 --keep --stack 4
break add app app.js:4
break add app app.js:4 --log x
break list
audit list
audit tail cli:0
audit show 1
world list
world stop default
world status default
world bt default
world census default
world gc default
world target app
bt busy
locals busy
eval busy k+by
eval busy "new Error('é')"
set busy k 5
set busy nothing 5
inspect busy 1
source busy
source busy busy.js
memory read busy 0 16
step busy
next busy
until busy busy.js:6
bt app
eval app bad()
continue busy --only
world take default --steal
world resume default
events
break rm 1
audit rm 1 2
kill other mod busy
kill app
list -a
debugger close dbg
"""


def record(build):
    """Returns (bytes to the daemon, bytes from it), as strace saw them: lists of packets."""
    with tempfile.TemporaryDirectory(prefix="stillpoint-corpus.") as folder:
        os.chmod(folder, 0o755)
        for name, text in (("app.js", PROGRAM), ("busy.js", BUSY), ("broken.js", "let let = ;"),
                           ("failing.js", "import('./nowhere.js'); throw new Error('é\\n')"),
                           ("mod.mjs", "import {x} from './lib/x.mjs'; console.log(x);"),
                           ("lib/x.mjs", "export const x = 1;")):
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        trace, sock = os.path.join(folder, "trace"), os.path.join(folder, "run", "control.sock")
        daemon = subprocess.Popen(
            ["strace", "-qq", "-xx", "-s", "70000", "-e", "trace=sendmsg,recvmsg", "-o", trace,
             os.path.join(build, "stillpointd"), "--socket", sock],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while not os.path.exists(sock) and time.monotonic() < end:
            time.sleep(0.02)
        background = []
        for line in SESSION.strip().splitlines():
            words = [w.strip('"') for w in re.findall(r'"[^"]*"(?=\s|$)|\S+', line)]
            argv = [os.path.join(build, "stillctl"), "-s", sock, *words]
            if argv[-1] == "&":
                background.append(subprocess.Popen(argv[:-1], cwd=folder, stdout=subprocess.DEVNULL,
                                                   stderr=subprocess.DEVNULL))
                time.sleep(0.2)
                continue
            try:
                r = subprocess.run(argv, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                                   timeout=20, check=False)
                if r.returncode not in (0, 1):
                    print(f"  {line}: {r.returncode} {r.stderr.decode().strip()[:90]}")
            except subprocess.TimeoutExpired:
                print(f"  {line}: takes too long")
        for p in background:
            p.terminate()
            p.wait()
        pids = subprocess.run(["ps", "-o", "pid=", "--ppid", str(daemon.pid)], capture_output=True,
                              text=True, check=False).stdout.split()
        for pid in pids:
            os.kill(int(pid), signal.SIGTERM)
        daemon.wait(20)
        with open(trace, encoding="ascii") as f:
            return split(f)


def split(lines):
    into, out = [], []
    for line in lines:
        found = re.match(r'(sendmsg|recvmsg)\((\d+), .*?iov_base="((?:\\x[0-9a-f]{2})*)".*\) = (\d+)$', line)
        if not found:
            continue
        data = ast.literal_eval(f'b"{found[3]}"')[:int(found[4])]
        if data:
            (into if found[1] == "recvmsg" else out).append((int(found[2]), data))
    return into, out


def frames_of(packets):
    """The Envelopes among them: what is one frame, or several, to the byte."""
    for _, data in packets:
        at, found = 0, []
        while at + 4 <= len(data):
            size = struct.unpack(">I", data[at:at + 4])[0]
            if size == 0 or at + 4 + size > len(data):
                break
            found.append(data[at + 4:at + 4 + size])
            at += 4 + size
        if at == len(data):
            yield from found


def parsed(kind, data):
    try:
        m = kind.FromString(data)
        return m if m.WhichOneof("body") else None
    except Exception:  # pylint: disable=broad-except
        return None


# ---- made-up messages

TEXTS = {"world": "default", "name": "vm-1", "vm": "vm", "debugger": "dbg", "to": "dbg", "path": "lib/a.js",
         "program": "a.js", "url": "app.js", "function": "main", "condition": "n > 3", "args_json": "[1]",
         "json": '{"a":1}', "engine": "mozjs", "selector": "vm*", "policy": "hold", "scope": "block",
         "kind": "script", "completion": "return", "class_name": "Object", "preview": "{a: 1}",
         "level": "info", "state": "on", "reason": "step", "label": "realm 1", "answer_expression": "1"}
BAD_TEXTS = ["", "a" * 70, "a b", "../x", "a\nb", "7", "cli:0", "é" * 600, "x" * 1500]


def value_of(field, n, bad=None):
    t = field.type
    if t == field.TYPE_STRING:
        return bad if isinstance(bad, str) else TEXTS.get(field.name, "text")
    if t == field.TYPE_BYTES:
        return b"some bytes\n"
    if t == field.TYPE_BOOL:
        return bad if isinstance(bad, bool) else True
    if t == field.TYPE_ENUM:
        values = [v.number for v in field.enum_type.values]
        return values[bad % len(values)] if isinstance(bad, int) else values[min(n, len(values) - 1)]
    if isinstance(bad, int):
        return bad
    return {"kind": 1, "stream": 1, "type": 6, "evaluation": 7}.get(field.name, n)


def fill(m, depth=0, skip=(), bad=None, bad_field=None, n=1):
    for field in m.DESCRIPTOR.fields:
        if field.name in skip or (field.containing_oneof and depth == 0):
            continue
        b = bad if field.name == bad_field else None
        repeated = field.label == field.LABEL_REPEATED
        if field.type == field.TYPE_MESSAGE:
            if depth < 5:
                fill(getattr(m, field.name).add() if repeated else getattr(m, field.name), depth + 1,
                     skip, bad, bad_field, n)
                if not repeated:
                    getattr(m, field.name).SetInParent()
        elif repeated:
            getattr(m, field.name).append(value_of(field, n, b))
        else:
            setattr(m, field.name, value_of(field, n, b))
    return m


def field_names(d, depth=0, found=None):
    found = [] if found is None else found
    for field in d.fields:
        if field.name not in found:
            found.append(field.name)
        if field.type == field.TYPE_MESSAGE and depth < 4:
            field_names(field.message_type, depth + 1, found)
    return found


def variants(kind, body, outer=None):
    """Messages of this kind with that body, in every way."""
    def make(**how):
        m = kind(**(outer or {}))
        getattr(m, body).SetInParent()
        if how.get("empty"):
            return m
        how.pop("empty", None)
        fill(getattr(m, body), 1, **how)
        return m
    yield make(empty=True)
    yield make()
    yield make(n=2)
    names = field_names(getattr(kind(), body).DESCRIPTOR)
    for name in names:
        yield make(skip=(name,))
        for bad in BAD_TEXTS:
            yield make(bad=bad, bad_field=name)
        for bad in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255, 65536, 2**31 - 1):
            yield make(bad=bad, bad_field=name)
        yield make(bad=False, bad_field=name)
    # Only one field, and pairs that exclude each other left out together.
    for name in names:
        yield make(skip=tuple(x for x in names if x != name and x not in ("vm", "world", "kinds")))
    for pair in (("vm", "selector"), ("source", "url"), ("write", "length"), ("selector", "world", "engine"),
                 ("error", "body"), ("hooks",), ("at", "one_frame", "frame", "granularity")):
        yield make(skip=pair)
        yield make(skip=pair[1:])
        yield make(skip=pair[:1])


def serialized(messages):
    for m in messages:
        try:
            yield m.SerializeToString()
        except Exception:  # pylint: disable=broad-except
            pass


def bodies(kind, first, last):
    return [f.name for f in kind.DESCRIPTOR.oneofs_by_name["body"].fields if first <= f.number < last]


# ---- the corpora

class Maker:
    def __init__(self, api, worker, session):
        self.api, self.worker = api, worker
        into, out = session
        self.requests = [d for d in frames_of(into) if parsed(api.Envelope, d)]
        self.replies = [d for d in frames_of(out) if parsed(api.Envelope, d)]
        self.facts = [d for _, d in into if parsed(worker.Fact, d) and d not in self.requests]
        self.commands = [d for _, d in out if parsed(worker.Command, d)]
        print(f"a session of {len(self.requests)} requests, {len(self.replies)} replies and events, "
              f"{len(self.facts)} facts, {len(self.commands)} commands")

    def request(self, body, **fields):
        e = self.api.Envelope(request_id=9)
        if body == "run_vm":
            e.fd_count = 1
        getattr(e, body).SetInParent()
        for k, v in fields.items():
            if isinstance(v, list):
                getattr(getattr(e, body), k).extend(v)
            else:
                setattr(getattr(e, body), k, v)
        return e.SerializeToString()

    def frame(self):
        stream = b"".join(struct.pack(">I", len(d)) + d for d in self.requests[:40] if len(d) < 200)
        for seed in range(24):
            plan = struct.pack("<QB", seed * 0x9E3779B97F4A7C15 % 2**64, seed * 37 % 256)
            yield plan + stream[:200 + 90 * seed]
            yield plan + stream[:300] + struct.pack(">I", [0, 2**20 + 1, 2**31, 2**32 - 1, 5][seed % 5]) + b"tail"
            yield plan + struct.pack(">I", 3000) + bytes(3000) + stream[:50]
        yield b""

    def hooks(self):
        """Each field of a hook alone, with each kind."""
        parts = {"filter": {"url": "a*", "function": "f", "condition": "n > 1", "line_from": 3, "line_to": 2, "skip": 1,
                            "count": 1},
                 "budget": {"per_second": 1, "total": 1, "capture_us": 1, "capture_bytes": 1},
                 "capture": {"stack_depth": 65, "arguments": True, "value": True, "expressions": ["a"]},
                 "at": {"url": "a.js", "line": 1, "column": 2, "offset": 4}}
        plain = {"log": "x", "note": "n", "weak": True, "one_frame": True, "frame": 1, "realm": 1, "suspend": 2,
                 "granularity": 2, "wait_us": 1, "deadline_us": 1, "debugger": "dbg", "engine": "mozjs"}
        for kind in range(1, 11):
            for where in ({"vm": "vm"}, {"selector": "v*"}):
                base = {"kinds": [kind], **where}
                at = {"url": "a.js", "line": 3} if kind == 10 else {}
                def made(more=(), **sub):
                    e = self.api.Envelope(request_id=1)
                    e.add_hooks.MergeFrom(self.api.AddHooks(**base, **dict(more)))
                    for part, fields in {**({"at": at} if at else {}), **sub}.items():
                        getattr(e.add_hooks, part).SetInParent()
                        for k, v in fields.items():
                            if isinstance(v, list):
                                getattr(getattr(e.add_hooks, part), k).extend(v)
                            else:
                                setattr(getattr(e.add_hooks, part), k, v)
                    return e.SerializeToString()
                yield made()
                yield made(at={})
                yield made({"log": "x", "suspend": 2})
                yield made({"one_frame": True, "realm": 1})
                yield made({"one_frame": True, "frame": 2})
                yield made(capture={"expressions": ["a"] * 9})
                yield made(capture={"expressions": [""]})
                yield made(capture={"expressions": ["x" * 4097]})
                yield made(filter={"condition": "x" * 4097})
                for k, v in plain.items():
                    yield made({k: v})
                for part, fields in parts.items():
                    yield made(**{part: fields})
                    for k, v in fields.items():
                        yield made(**{part: {k: v}})
                        yield made(**{part: {**(at if part == "at" else {}), k: v}})
        two = self.api.Envelope(request_id=1)
        two.add_hooks.MergeFrom(self.api.AddHooks(vm="vm", kinds=[2, 10]))
        two.add_hooks.at.url = "a.js"
        yield two.SerializeToString()
        for kinds in ([2, 2], [2, 8, 9]):
            yield self.api.Envelope(request_id=1, add_hooks=self.api.AddHooks(vm="vm", kinds=kinds)).SerializeToString()

    def check_api(self):
        yield from self.requests
        yield from self.hooks()
        for body in bodies(self.api.Envelope, 10, 100):
            for fds in (0, 1):
                yield from serialized(variants(self.api.Envelope, body,
                                               {"request_id": 1, "fd_count": fds}))
        yield from serialized(variants(self.api.Envelope, "hello", {}))
        yield self.api.Envelope(request_id=1).SerializeToString()
        full = self.api.Envelope(request_id=1)
        full.vm_list.SetInParent()
        yield full.SerializeToString()
        yield self.api.Envelope(request_id=1, fd_count=2).SerializeToString()
        yield from self.wire_oddities()

    @staticmethod
    def wire_oddities():
        """What no protobuf library would write."""
        head = b"\x08\x01"
        yield head + b"\xff" * 11
        yield head + b"\x0b" + b"\x0c"
        yield head + b"\xaa\x01\x02\x0a\xff"
        yield head + b"\xaa\x01\x04\x0a\x02\xc3\x28"
        yield head + b"\xaa\x01\x04\x0a\x02a\0"
        yield head + b"\xf9\x01" + b"12345678" + b"\xfd\x01" + b"1234"
        yield head + b"\xf9\x01" + b"1234"
        yield head + b"\x82\x80\x80\x80\x80\x80\x80\x80\x80\x01\x00"
        yield head + b"\x38\x01" * 2000
        yield head + b"\xba\x03\x82\x10\x0a\xff\x0f" + b"\x01" * 2047

    def check_worker(self):
        for data in self.facts:
            yield b"\0" + data
        for body in bodies(self.worker.Fact, 1, 1000):
            for data in serialized(variants(self.worker.Fact, body, {"seq": 1})):
                yield b"\0" + data
        text = self.worker.Fact(seq=3)
        text.call_done.call_id, text.call_done.ok, text.call_done.in_memfd = 1, True, True
        posted = self.worker.Fact(seq=3)
        posted.posted.in_memfd = True
        inspected = self.worker.Fact(seq=3)
        inspected.inspected.request, inspected.inspected.in_memfd = 1, True
        body = self.worker.InspectedBody
        for fact in (text, posted, inspected):
            for what in range(5):
                for data in (b"", b'"text"', b"\xff\xfe", fill(body(), 1).SerializeToString(),
                             fill(body(), 1, skip=("failed_hooks",)).SerializeToString(),
                             body(before_bytes=1, after_bytes=2).SerializeToString()):
                    yield bytes([what]) + (sized(data) if what else b"") + fact.SerializeToString()
        for odd in self.wire_oddities():
            yield b"\0" + odd

    def command(self):
        head = sized(b"a \xc3\xa9 name\n")
        for k, text in enumerate((b"", b"x", b"\xff\xfe\n", b"n" * 600, b"c", b"\xc2\x85")):
            whole = sized(text)
            for d in self.commands[k::6]:
                whole += bytes([4 | (k == 0) * 8]) + sized(d)
            yield whole[:MAX_FILE]
        for body in bodies(self.worker.Command, 1, 1000):
            for data in serialized(variants(self.worker.Command, body)):
                for flags in (4, 12):
                    yield head + bytes([flags]) + sized(data)
                if body in ("load", "add_file", "answer_import", "call", "deliver"):
                    yield head + bytes([5]) + sized(data) + sized(b'["a"]') + bytes([4]) + sized(data)
                    yield head + bytes([7]) + sized(data) + sized(b"x")
        for kind in range(17):
            for how in ({}, {"n": 2}, {"skip": ("url",)}, {"skip": ("source",)}, {"skip": ("write",)},
                        {"skip": ("length",)}, {"skip": ("at",)}, {"skip": ("realm", "frame", "one_frame")},
                        {"bad": 200, "bad_field": "first"}, {"bad": 5000, "bad_field": "address"}):
                c = self.worker.Command(ack=1)
                fill(c.inspect, 1, **how)
                c.inspect.kind = kind
                for hook in c.inspect.set_hooks.add:
                    hook.kind = min(kind + 1, 10)
                yield head + bytes([4]) + sized(c.SerializeToString())
                yield head + bytes([12]) + sized(c.SerializeToString())
        take_over = self.worker.Command()
        take_over.take_over.last_seq = 0
        take_over = sized(take_over.SerializeToString())
        yield head + bytes([4]) + take_over
        yield from self.posts(head, take_over)

    def posts(self, head, take_over):
        """What guest code says while the daemon reads, does not, and is no more: as in fuzz_command.c."""
        post, wait, unread, hang_up, serve = 16, 32, 64, 128, 4

        def step(flags, posted=0, command=b""):
            return bytes([flags]) + (command or sized(b"")) + (u16(posted // 16) if flags & post else b"")
        ack = sized(self.worker.Command(ack=2**32 + 1).SerializeToString())
        yield head + step(post, 16) * 130 + step(post, 70000)  # numbers of two bytes
        for size in (0, 16, 60000, 70000, 300000, 512 * 1024, 600000):
            yield head + step(post, size)
            yield head + step(post | wait, size) + step(wait) + step(0, command=ack) + step(wait | serve, command=ack)
            yield head + step(post | unread, size) * 3 + step(wait) + step(0, command=take_over) + step(wait, command=ack)
            yield head + step(post | unread, size) * 8 + step(0) * 4 + step(0, command=ack) + step(post, size)
            yield head + step(post | unread, size) + step(hang_up)
            yield head + step(post | hang_up | unread, size) + step(post, size)
            yield head + step(hang_up | wait, command=take_over)
            yield head + step(post, size) + step(hang_up | post, 100, take_over)

    def client(self):
        for which, reply in enumerate(CLIENT_REQUESTS):
            real = [d for d in self.replies if parsed(self.api.Envelope, d).WhichOneof("body") == reply]
            for d in real[:12]:
                yield bytes([which, 1]) + sized(d)
            for d in serialized(variants(self.api.Envelope, reply, {"request_id": 2})):
                yield bytes([which, 1]) + sized(d)
            error = self.api.Envelope()
            fill(error.error, 1)
            yield bytes([which, 1]) + sized(error.SerializeToString())
        for d in self.replies:
            if parsed(self.api.Envelope, d).WhichOneof("body") in EVENTS:
                yield bytes([29, 2]) + sized(d)
        for event in EVENTS:
            for d in serialized(variants(self.api.Envelope, event)):
                yield bytes([29, 2]) + sized(d)
        whole = fill(self.api.Inspection(), 1).SerializeToString()
        reply = self.api.Envelope()
        reply.inspection.in_memfd = True
        for which in (9, 10, 11):
            for data in (whole, b"", b"\xff"):
                yield bytes([which, 5]) + sized(reply.SerializeToString()) + sized(data)
        yield bytes([0, 0]) + sized(b"\xff\xff")

    def daemon(self):
        """Sessions: a VM is born, and whatever the real one said follows."""
        op = lambda what, which=0: bytes([what | which << 4])  # noqa: E731
        born = self.worker.Fact()
        born.born.posture.add(name="user", state=2)
        loaded = self.worker.Fact()
        loaded.loaded.SetInParent()
        run = self.request("run_vm", name="vm", program="a.js", engine="fake", world="default", keep_idle=True)

        def ask(data, client=0):
            return op(OP_REQUEST, client) + sized(data)

        def say(fact, flags=0, vm=0):
            data = fact if isinstance(fact, bytes) else fact.SerializeToString()
            return op(OP_PACKET, vm) + bytes([flags]) + sized(data)

        start = ask(run) + op(OP_BORN) + b"\0" + say(born) + say(loaded)
        up = start + op(OP_STATUS) + bytes([IDLE])
        two = up + ask(self.request("run_vm", name="vm2", program="a.js", engine="fake"), 1) + op(OP_BORN, 1) \
            + b"\1" + say(born, vm=1) + say(loaded, vm=1) + op(OP_STATUS, 1) + bytes([RUNNING])
        stop = ask(self.request("stop_world", world="default", debugger="dbg"))
        debugger = ask(self.request("open_debugger", name="dbg"))
        stopped = two + debugger + stop + op(OP_STATUS, 1) + bytes([PARKED]) + op(OP_TURN)
        yield ask(run) + op(OP_BORN) + b"\x80" + op(OP_TURN)
        yield from self.first_facts(ask(run) + op(OP_BORN) + b"\0", start, say)
        yield ask(run) + op(OP_DIE)
        yield up + op(OP_DIE)
        for body in bodies(self.api.Envelope, 10, 100):
            messages = list(serialized(variants(self.api.Envelope, body, {"request_id": 9})))[1:3]
            for data in messages:
                yield up + ask(data) + op(OP_TURN)
                yield stopped + ask(data) + op(OP_TURN) + op(OP_LEAVE)
        whole = two
        for i, data in enumerate(self.requests):
            whole += ask(data, i % 4)
            if i % 5 == 4:
                whole += op(OP_TURN) + op(OP_STATUS, i % 2) + bytes([[IDLE, PARKED, RUNNING][i % 3]])
            if len(whole) > MAX_FILE - 600:
                yield whole
                whole = two
        yield whole
        for body in bodies(self.worker.Fact, 1, 1000):
            for data in list(serialized(variants(self.worker.Fact, body, {"seq": 1})))[:3]:
                yield up + say(data)
                yield stopped + say(data) + op(OP_TURN)
                yield ask(run) + op(OP_BORN) + b"\0" + say(data)
        hooks = self.api.Envelope(request_id=9)
        fill(hooks.add_hooks, 1, skip=("selector", "world", "engine", "at", "one_frame", "frame", "weak",
                                       "granularity", "realm"))
        hooked = up + debugger + ask(hooks.SerializeToString())
        answer = self.worker.Fact()
        answer.inspected.request = 1
        hit = self.worker.Fact()
        fill(hit.hit, 1)
        hit.hit.hook = 1
        paused = self.worker.Fact()
        fill(paused.paused, 1)
        audited = self.worker.Fact()
        fill(audited.audited, 1)
        read = self.request("read_hits", debugger="dbg")
        for kind in range(1, 11):
            hooks.add_hooks.kinds[0] = kind
            hooks.add_hooks.suspend = kind % 3 + 1
            hit.hit.kind = kind
            hooked = up + debugger + ask(hooks.SerializeToString()) + op(OP_TURN) + say(answer)
            yield hooked + say(audited) + op(OP_STATUS) + bytes([RUNNING]) + say(hit) + say(paused) + ask(read) \
                + ask(self.request("list_hooks", page_size=4)) + ask(self.request("list_auditors"))
            yield hooked + op(OP_STATUS) + bytes([RUNNING]) + say(hit) + op(OP_FIELD) + b"\x86\1" + op(OP_STATUS) \
                + bytes([PARKED]) + say(paused) + op(OP_TURN) + ask(self.request("get_pause", vm="vm")) \
                + ask(self.request("continue_vm", vm="vm")) + op(OP_LEAVE)
        body = self.worker.InspectedBody
        for name in ("list_frames", "list_scopes", "list_variables", "evaluate", "set_variable", "step_vm",
                     "list_sources", "read_source", "list_positions", "access_memory", "inspect_world"):
            asked = self.api.Envelope(request_id=9)
            fill(getattr(asked, name), 1, skip=("length",) if name == "access_memory" else ("url", "at"))
            m = getattr(asked, name)
            if hasattr(m, "vm"):
                m.vm = "vm2"
            for text in (fill(body(), 1, skip=("failed_hooks",)), body()):
                f = self.worker.Fact()
                f.inspected.request = 1
                f.inspected.body.CopyFrom(text)
                yield stopped + ask(asked.SerializeToString()) + op(OP_TURN) + say(f, vm=1) + op(OP_TURN)
                yield stopped + ask(asked.SerializeToString()) + op(OP_DIE, 1) + op(OP_TURN)
        for data in self.facts[:200:7]:
            yield up + say(data)

    def first_facts(self, spawned, started, say):
        """Births of each kind, and facts that come once only, and come twice here."""
        layers = self.worker.Fact()
        for i in range(32):
            layers.born.posture.add(name=f"layer-{i}", state=i % 3)
        failed = self.worker.Fact()
        failed.born.error = "mount: not permitted"
        few = self.worker.Fact()
        few.born.posture.add(name="landlock", state=1)
        yield spawned + say(layers)
        yield spawned + say(failed) + say(failed)
        refused = self.worker.Fact()
        refused.loaded.error = "a.js:1: a syntax error"
        stdin, exiting, ready = self.worker.Fact(), self.worker.Fact(), self.worker.Fact()
        stdin.stdin_wanted.max_bytes = 100
        exiting.exiting.reason, exiting.exiting.code, exiting.exiting.detail = 1, 3, "why"
        ready.ready.SetInParent()
        yield spawned + say(few) + say(few)
        yield spawned + say(few) + say(refused) + say(refused)
        for fact in (stdin, exiting, ready):
            yield started + bytes([OP_STATUS, RUNNING]) + say(fact) + say(fact)

    def status(self):
        op = {n: i for i, n in enumerate("status field close open scan kick permit hold release admit excuse "
                                          "answer allow withdraw how message leave adopt".split())}
        def program(text):
            out = b""
            for word in text.split():
                name, *arguments = word.split(":")
                vm, *more = [int(a, 0) for a in arguments] or [0]
                out += bytes([op[name] | vm << 6]) + bytes(more)
            return out
        yield program("admit:0 admit:1 status:0:1 status:1:2 close scan how:0 how:1 status:0:4 scan how:0 open")
        yield program("admit:0 status:0:1 close kick status:0:4 scan permit:0 close status:0:4 kick open")
        yield program("admit:0 hold:0 hold:0 status:0:4 release:0 release:0 close excuse:0:1 excuse:0:0 open")
        yield program("admit:0 status:0:1 close allow:0:7 status:0:5 withdraw:0 answer:0:0 message:0 leave:0 admit:0")
        yield program("admit:2 admit:2 status:2:1 close status:2:0x44 how:2 status:2:0xc4 scan open status:2:7 close")
        yield program("admit:0 admit:1 status:0:1 hold:1 close status:0:4 scan adopt:0:0 how:0 adopt:0:0x41 release:1 adopt:0:1")
        yield program("admit:0 status:0:1 close adopt:0:0 status:0:4 scan adopt:0:1 allow:0:3 close permit:0 adopt:0:0xe0 open")
        for field in range(8):
            yield program(f"admit:0 status:0:1 close field:0:{field}") + b"\xff" * 8 + program("scan how:0 open")
            yield program(f"admit:0 field:0:{field | 0x80}:3 close scan how:0 answer:0:1:9 open leave:0 leave:1")

    @staticmethod
    def condition():
        for text in ("n > 3", "x === 'a'", 'x !== "b\\n"', "a == null", "a != undefined", "ok == true",
                     "ok === false", "_a$1 <= -0x1F", "n >= 1.5e-3", "n < .5", "n == 5.", "x > 'é'", "x < '😀'",
                     "if > 3", "n > 017", "n = 3", "n > 1n", "n == NaN", "n > ", "'a' == x", "x == '\\u0041'",
                     "x == 'a", "n > 3 && m", "n === -   1", "", "x == '\ufffd'", "n > null", "x>=\"\\\\\\'\""):
            data = text.encode()
            for values in (b"", b"\3" + struct.pack("<d", 3.0) + b"\0", b"\5" + bytes(8) + b"\1a",
                           b"\x85" + bytes(8) + b"\2ab", b"\x25" + bytes(8) + b"\0", b"\0" * 10 + b"\1" * 10,
                           b"\3" + struct.pack("<d", float("nan")) + b"\0", b"\7" + bytes(9) + b"\2" + b"\1" * 8 + b"\0",
                           b"\5" + bytes(8) + b"\3\xee\x80\x80", b"\5" + bytes(8) + b"\4\xf0\x9f\x98\x80"):
                yield bytes([len(data)]) + data + values

    @staticmethod
    def settings():
        unit = b"[vm]\nprogram = /srv/a.js\n"
        lines = ["program = a.js", "program = /srv/", "program = /b.wasm", "program = /c.mjs", "program=/a\x1b.js",
                 "args = a 'b c' \"d\\\"e\" \\f", "args = 'open", "args = \"open\\", "args = a ; b", "args = a\nargs = b",
                 "args =", "world = front", "world = 7", "world = \x1b[31m", "engine = fake", "engine = ..",
                 "owner = alice", "owner =", "labels = a=1 b=", "labels = a=1 a=2", "labels = a", "labels = é=1",
                 "labels = a=1\nlabels = b=2\nlabels = a=3", "enabled = no", "enabled = maybe", "exit-when-done = true",
                 "debug = false", "restart = no", "restart = always", "restart = on-failure", "restart = never",
                 "restart-delay = 5ms", "restart-delay = 2min", "restart-delay = 1us", "restart-delay-max = 2h",
                 "restart-delay-max = 1ms", "restart-attempts = none", "restart-attempts = 3", "restart-attempts = 0",
                 "restart-reset = 3d", "restart-reset = 999d", "program = /srv/b.js", "[vm]", "[limits]\nprogram = /x",
                 "[other]\na = b", "[open\na = b", "no setting", "; comment", "# comment", "a: b", "key = x\n more of it",
                 "x" * 198 + "=", "x" * 199, "world = " + "é" * 120, "\0", "\tworld = w \r", "owner = a;b",
                 "args = " + "a " * 90, *["args = " + "w " * 95] * 3, "labels = " + " ".join(f"k{i}=" for i in range(40))]
        lines += [f"[limits]\n{key} = {value}" for key in ("memory", "cpu", "cpu-time", "timeout", "tasks", "output-rate", "log-size", "x")
                  for value in ("64M", "50%", "10s", "8", "none", "0", "-1", "99999999999999999999", "1d", "", "é")]
        yield b"\0"
        yield b"\0[vm]\n"
        yield b"\0program = /a.js\n"
        yield b"\0\xef\xbb\xbf" + unit
        yield b"\0" + unit + ("args = w w w w w w w w w w w w\n" * 90).encode()
        yield b"\0" + unit + ("args = " + "w" * 180 + "\n").encode() * 400
        yield b"\0" + unit + b"\xff\n"
        for text in ("web.conf", "/etc/vms/web.conf", ".conf", "7.conf", "a b.conf", "x" * 70 + ".conf"):
            yield b"\0" + text.encode()
        for line in lines:
            yield b"\0" + unit + line.encode() + b"\n"
            yield b"\0" + line.encode()
        for section, keys in {"daemon": ("socket", "observe-socket", "user", "spawn", "worker-dir", "vms-dir", "state-dir",
                                         "allow-degraded", "debug"),
                              "access": ("observe-group", "run-group", "debug-group", "admin-group"),
                              "quota": ("connections", "vms", "subscriptions", "queued-bytes", "debuggers", "worlds"),
                              "total": ("connections", "vms"), "journal": ("output", "output-rate", "total-output-rate"),
                              "vm": ("memory", "cpu", "cpu-time", "timeout", "tasks", "output-rate", "log-size"),
                              "vm-max": ("memory", "cpu", "timeout"), "other": ("key",)}.items():
            for key in (*keys, "no-such"):
                for value in ("/run/a.sock", "/" + "a" * 120, "none", "alice", "zygote", "exec", "yes", "no", "a b", "0", "1",
                              "64", "1M", "8M", "512M", "10s", "1d", "50%", "99999999999999999999", "", "é", "\x7f", "a ; b"):
                    yield f"\1[{section}]\n{key} = {value}\n".encode()
        yield b"\1[quota]\nvms = 1\nvms = 2\n[total]\nvms=3\n; end"
        yield b"\1"
        yield b"\3"

    @staticmethod
    def text():
        for text in (b"", b"plain", "é日😀".encode(), b"a\nb\tc\x7f", b"\xc2\x85\xc2\x9f\xc2\xa0", b"\xff", b"\xc3(",
                     b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x88\x80\x80\x80",
                     b"a\0b", b"lib/a.js", b"../x", b"a//b", b"/a", b"a/", b"./a", b"vm-1", b"12345", b"..",
                     b"18446744073709551616", b"64K", b"2M", b"3G", b"1T", b"99999999T", b"5X", b"K", b"7us", b"20ms",
                     b"1s", b"5min", b"2h", b"1d", b"999999999999d", b"1" * 30 + b"s", b"000000000000000000001", b"x" * 70, b"a" * 1100, "é".encode() * 600, b"\xe2\x82", b"\xf0\x9f\x98"):
            for room in (0, 1, 3, 5, 255):
                yield bytes([room]) + text

    @staticmethod
    def words():
        words = {0: ["0", "7", "007", "18446744073709551615", "18446744073709551616", "0x1F", "0Xff", "0x", "50%",
                     "0%", "9999999999%", "-1", "", "0x12345678123456789"],
                 1: ["0", "1s", "1.5s", "10ms", "3us", "2min", "1m", "4h", "1d", ".5s", "1.s", "1", "99999999999999d",
                     "64K", "64k", "1MiB", "2G", "1T", "99999999T", "0K", "1X", "1KB", "5"],
                 2: ["app.js:3", "app.js:3:5", "m.wasm:0x1f", "a:b:3", ":3", "app.js:0", "app.js:", "app.js", "a:1:2:3",
                     "a:99999999999", "1-5", "5-1", "3-", "-7", "-", "4", "0-1", "a:0x"],
                 3: ["vm-1", "a*", "cli:1000", "cli:x", "cli:4294967295", "7", "..", "x" * 65, "a b", "dbg", "é", "a.mjs",
                     "b.wasm"],
                 4: ["1", "[1, 2.5e3, null]", '{"a": "\\u00e9"}', "{", "12345678901234567890123", '"\\u0000"', "nul",
                     "[" * 3000, '{"a":1,"a":2}', "1 2", "\xff", ""]}
        for which, texts in words.items():
            for text in texts:
                yield bytes([which]) + text.encode()

    @staticmethod
    def gdb():
        def packet(text, wrong=0):
            return b"$" + text + b"#%02x" % (sum(text) + wrong & 255)
        texts = [b"", b"QStartNoAckMode", b"qSupported:xmlRegisters=i386;multiprocess+", b"qThreadStopInfo1f", b"Hg-1",
                 b"qXfer:libraries:read::0,fff", b"qWasmCallStack:2", b"qWasmLocal:0;3", b"qWasmGlobal:1;instance:2;",
                 b"m4000000100000020,200", b"M100,2:00ff", b"X100,2:}\x03}\x5d", b"Z0,4000000000000102,1", b"vCont;s:1;c",
                 b"vCont;c:-1", b"vAttach;1", b"k", b"D", b"?", b"x0,0", b"a\x03b", b"n" * 1024, b"n" * 1025]
        streams = [packet(t) for t in texts] + [packet(t, 1) for t in texts[:3]]
        streams += [b"+" + packet(b"?") + b"-+\x03" + packet(b"c") + b"\x03", b"x", b"%a#00", b"$a$", b"$}#", b"$c#6z", b"#"]
        for stream in streams:
            for how in (0, 1, 4):
                yield bytes([0, how]) + stream
                yield bytes([0, how]) + stream + packet(b"s")
        fields = [b"4000000000000010,200", b"ffffffffffffffff", b"12345678901234567890", b"0", b"-1;0;1f", b"-2", b"00fF10",
                  b"0102030405060708", b"a;;b;", b"vCont;c:1;s", b"", b";", b"1;2", b"18446744073709551615", b"255x", b"8000000000000000"]
        for which in range(8):
            for how in (0, 1, 2, 4, 7, 15, 44, 59, 58, 64, 120):
                for text in fields:
                    yield bytes([1, 3, which, how, 6, 44, which, how]) + text

    @staticmethod
    def wasm_module():
        sys.path.insert(0, os.path.join(TOP, "tests"))
        from support import wasm  # pylint: disable=import-outside-toplevel
        sys.path.pop(0)
        inner = wasm.Function("inner", [wasm.I32, wasm.I64], [wasm.I32], [wasm.get(0), wasm.const(3), wasm.ADD],
                              [wasm.F64, 0x7D, 0x7B, 0x70, 0x6F])
        outer = wasm.Function("outer", [], [], [wasm.const(1), wasm.const64(2), wasm.call(1), wasm.DROP])
        variables = [(wasm.I32, 1, wasm.const(5)), (wasm.I64, 0, wasm.const64(-7)), (wasm.F64, 1, wasm.const_f64(1.5)),
                     (0x7D, 0, b"\x43abcd"), (0x7B, 1, b"\xfd\x0c" + bytes(16)), (0x70, 1, b"\xd0\x70"), (0x70, 0, b"\xd2\x01")]
        whole = wasm.Module([inner, outer], [("f", [], [])], variables, b"data").bytes
        names = wasm.section(0, wasm.name("name") + b"\0\2\1m" + wasm.section(
            1, wasm.vector([wasm.uleb(i) + wasm.name(f"f{i}") for i in range(4)])))
        header = b"\0asm\1\0\0\0"
        imports = [b"\0\0", b"\1\x70\0\1", b"\1\x6f\1\1\2", b"\2\0\1", b"\2\3\1\2", b"\2\5\x80\x80\x80\x80\x10\7",
                   b"\3\x7f\0", b"\3\x63\x70\1", b"\3\x7f\2", b"\4\0\0", b"\5\0"]
        yield from (header, whole, whole + names, whole + wasm.section(0, wasm.name(".debug_info")), b"", header + names)
        for kind in imports:
            yield header + wasm.section(1, b"\1\x60\0\0") + wasm.section(2, wasm.vector([wasm.name("a") + wasm.name("b") + kind]))
        for contents in (b"\0", b"\1\x5f\0", b"\1\x60\1\x7f\1\x7e", b"\2\x60\0\0", b"\xff\xff\xff\xff\x0f", b"\x80\x80\x80\x80\x80\0"):
            yield header + wasm.section(1, contents)
        head = header + wasm.section(1, b"\1\x60\1\x7f\0") + wasm.section(3, b"\1\0")
        for body in (b"\0\x0b", b"\1\3\x7c\x0b", b"\2\xff\xff\xff\xff\7\x7f\xff\xff\xff\xff\7\x7f\x0b",
                     b"\1\xff\xff\xff\xff\x0f\x7f\x0b", b"\1\1\x40\x0b", b"\0\1", b"\0", b"\1"):
            yield head + wasm.section(10, b"\1" + wasm.uleb(len(body)) + body)
        for cut in range(0, len(whole), 3):
            yield whole[:cut]
        for body in (b"\x23\0\x0b", b"\x41\1\x41\2\x6a\x0b", b"\x42\1\x42\2\x7d\x0b", b"\xfd\x0d\x0b", b"\1\x0b", b"\x41\x80\x80\x80\x80\x80\0\x0b"):
            yield header + wasm.section(6, b"\1\x7f\1" + body)


def minimize(fuzz_build, target, candidates, folder):
    """The committed corpus: what libFuzzer keeps of all that."""
    with tempfile.TemporaryDirectory(prefix="stillpoint-corpus.") as tmp:
        source, kept = os.path.join(tmp, "all"), os.path.join(tmp, "kept")
        os.mkdir(source)
        os.mkdir(kept)
        for i, data in enumerate(sorted(set(candidates), key=lambda d: (len(d), d))):
            if len(data) <= MAX_FILE:
                with open(os.path.join(source, f"{i:06}"), "wb") as f:
                    f.write(data)
        n = len(os.listdir(source))
        p = subprocess.run([os.path.join(fuzz_build, "tests", "fuzz", f"fuzz_{target}"), "-merge=1",
                            f"-max_len={MAX_FILE}", "-set_cover_merge=1", "-use_counters=0", f"-artifact_prefix={tmp}/", kept, source],
                           capture_output=True, check=False)
        if p.returncode != 0:
            sys.exit(f"{target}: the merge ended with {p.returncode}:\n" + p.stderr.decode("utf-8", "replace")[-4000:])
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(kept, folder)
        print(f"{target}: {len(os.listdir(folder))} files of {n}, "
              f"{sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))} bytes", flush=True)


def main():
    p = argparse.ArgumentParser(description="Makes the corpora of the fuzz targets.")
    p.add_argument("--build", default=os.path.join(TOP, "build"))
    p.add_argument("--fuzz-build", default=os.path.join(TOP, "build", "fuzz-build"))
    p.add_argument("--found", help="what `make fuzz` found: a folder for each target")
    p.add_argument("targets", nargs="*")
    options = p.parse_args()
    with tempfile.TemporaryDirectory(prefix="stillpoint-corpus.") as folder:
        api, worker = compile_proto("api", folder), compile_proto("worker", folder)
        maker = Maker(api, worker, record(os.path.abspath(options.build)))
        all_targets = ["frame", "check_api", "check_worker", "status", "daemon", "command", "client", "words",
                       "condition", "settings", "text", "gdb", "wasm_module"]
        for target in options.targets or all_targets:
            candidates = [bytes(d) for d in getattr(maker, target)()]
            found = os.path.join(options.found or "", target)
            for name in os.listdir(found) if options.found and os.path.isdir(found) else []:
                with open(os.path.join(found, name), "rb") as f:
                    candidates.append(f.read())
            minimize(options.fuzz_build, target, candidates, os.path.join(HERE, "corpus", target))


if __name__ == "__main__":
    main()
