"""A client of stillpointd in Python, written from docs/PROTOCOL.md and proto/api.proto alone.

It shares nothing with stillctl, libstillpoint or the other tests: the messages are made by protoc from the .proto
file, and what is done with them is what the page says. Run by itself it plays through one session:

    python3 client.py SOCKET PATH-TO-api.proto
"""

import array
import fcntl
import importlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

MAX_FRAME = 1048576


def generate(proto):
    """The module that protoc makes of api.proto."""
    folder = tempfile.mkdtemp()
    try:
        subprocess.run(["protoc", "-I", os.path.dirname(os.path.abspath(proto)), "--python_out", folder,
                        os.path.abspath(proto)], check=True)
        sys.path.insert(0, folder)
        try:
            return importlib.import_module("api_pb2")
        finally:
            sys.path.remove(folder)
    finally:
        shutil.rmtree(folder)


def sealed(data):
    fd = os.memfd_create("program", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    return fd


class Refused(Exception):
    def __init__(self, error, name):
        super().__init__(f"{name}: {error.message}" + (f" ({error.hint})" if error.hint else ""))
        self.code, self.message, self.hint = name, error.message, error.hint


class Client:
    def __init__(self, api, path, timeout=20):
        self.api = api
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.buffer, self.fds = b"", []
        self.last_id, self.replies, self.events = 0, {}, []
        self.hello = self.ask(api.Hello(version=1, client="protocol test"))

    def close(self):
        self.socket.close()

    # ---- frames

    def send(self, envelope, fd=None):
        body = envelope.SerializeToString()
        frame = struct.pack(">I", len(body)) + body
        sent = 0
        if fd is not None:
            sent = self.socket.sendmsg([frame], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
        self.socket.sendall(frame[sent:])

    def fill(self, size):
        while len(self.buffer) < size:
            data, ancillary, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(4))
            if not data:
                raise ConnectionError("the daemon has closed the connection")
            for level, kind, payload in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    self.fds.extend(array.array("i", payload))
            self.buffer += data

    def receive(self):
        self.fill(4)
        size, = struct.unpack(">I", self.buffer[:4])
        if not 1 <= size <= MAX_FRAME:
            raise ConnectionError(f"a frame of {size} bytes")
        self.fill(4 + size)
        envelope = self.api.Envelope.FromString(self.buffer[4:4 + size])
        self.buffer = self.buffer[4 + size:]
        return envelope

    # ---- requests and events

    def begin(self, request, fd=None):
        """Sends a request; returns its id, for `end`."""
        self.last_id += 1
        envelope = self.api.Envelope(request_id=self.last_id)
        for field in envelope.DESCRIPTOR.oneofs_by_name["body"].fields:
            if field.message_type is request.DESCRIPTOR:
                getattr(envelope, field.name).CopyFrom(request)
        if fd is not None:
            envelope.fd_count = 1
        self.send(envelope, fd)
        return self.last_id

    def take(self):
        envelope = self.receive()
        body = getattr(envelope, envelope.WhichOneof("body"))
        if envelope.request_id:
            self.replies[envelope.request_id] = body
        else:
            self.events.append(body)

    def end(self, request_id):
        while request_id not in self.replies:
            self.take()
        reply = self.replies.pop(request_id)
        if isinstance(reply, self.api.Error):
            raise Refused(reply, self.api.ErrorCode.Name(reply.code))
        return reply

    def ask(self, request, fd=None):
        return self.end(self.begin(request, fd))

    def refusal(self, request):
        """The name of the error that it is answered with."""
        try:
            self.ask(request)
        except Refused as e:
            return e.code
        raise AssertionError(f"it was not refused: {request}")

    def event(self, matches):
        """Waits for the first event for which `matches` holds; those before it are kept."""
        looked_at = 0
        while True:
            while looked_at < len(self.events):
                if matches(self.events[looked_at]):
                    return self.events.pop(looked_at)
                looked_at += 1
            self.take()

    # ---- what one does with it

    def run(self, source, **fields):
        fd = sealed(source.encode())
        try:
            return self.ask(self.api.RunVm(**fields), fd).vm
        finally:
            os.close(fd)

    def wait_paused(self, vm):
        """Until the VM pauses by itself; returns why. An event may be of a pause that is over, as replies and
        events come in any order: GetPause has the last word."""
        api = self.api
        while True:
            self.event(lambda e: isinstance(e, api.Event) and e.kind == api.EVENT_VM_PAUSED and e.vm == vm)
            try:
                pause = self.ask(api.GetPause(vm=str(vm)))
            except Refused as e:
                if e.code != "ERROR_WRONG_STATE":
                    raise
            else:
                if pause.reason:
                    return pause

    def variables(self, vm, ref):
        """All pages of ListVariables, by name."""
        found, first = {}, 0
        while True:
            page = self.ask(self.api.ListVariables(vm=vm, ref=ref, first=first, max=32))
            found.update((v.name, v) for v in page.variables)
            first = page.next
            if not first:
                return found


PROGRAM = """\
const box = { size: 3, inner: { deep: 'yes' } };
function add(a, b) {
    const sum = a + b;
    return sum;
}
function tick(n) {
    let doubled = add(n, n);
    doubled += 1;
    return doubled;
}
let n = 0;
onmessage = () => {};
setInterval(() => { n++; tick(n); }, 5);
"""


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def same(got, wanted):
    expect(got == wanted, f"got {got!r}, not {wanted!r}")


def session(api, path):
    client = Client(api, path)
    same(client.hello.version, 1)
    expect({"observe", "run", "debug"} <= set(client.hello.roles), client.hello)
    client.ask(api.Subscribe())

    # A program, its world stopped and let go.
    vm = client.run(PROGRAM, name="proto", program="proto.js", keep_idle=True, wait_ready=True)
    same((vm.name, vm.world), ("proto", "default"))
    report = client.ask(api.StopWorld(world="default"))
    same(report.mode, api.MODE_STOPPED)
    same([a.vm for a in report.arrivals], [vm.id])
    same(list(report.missing), [])
    world = client.ask(api.GetWorld(world="default")).world
    same(world.controller.debugger, f"cli:{client.hello.uid}")
    same(client.ask(api.ResumeWorld(world="default")).mode, api.MODE_RUN_ALL)

    # An auditor on a selector, with a filter and a budget; hits from a cursor.
    debugger = client.ask(api.OpenDebugger(name="prober", note="protocol test")).debugger
    hooks = client.ask(api.AddHooks(
        debugger="prober", selector="prot*", kinds=[api.HOOK_ENTER_FRAME],
        filter=api.HookFilter(url="*proto.js", function="tick", condition="n > 0"),
        budget=api.HookBudget(per_second=20), capture=api.HookCapture(stack_depth=2, arguments=True,
                                                                       expressions=["n * 2"]))).hooks
    same([(h.kind, h.debugger, h.debugger_name, h.vms) for h in hooks],
         [(api.HOOK_ENTER_FRAME, debugger.id, "prober", 1)])
    hits, cursor = [], 0
    while len(hits) < 30:
        page = client.ask(api.ReadHits(debugger="prober", from_seq=cursor, max_hits=10, wait=True))
        hits += page.hits
        cursor = page.next_seq
    same([h.seq for h in hits], list(range(1, len(hits) + 1)))
    for hit in hits:
        same((hit.hook, hit.vm, hit.vm_name, hit.kind, hit.location.function),
             (hooks[0].hook, vm.id, "proto", api.HOOK_ENTER_FRAME, "tick"))
        expect(hit.frames and hit.frames[0].function == "tick", hit)
        same(hit.arguments[0].name, "n")
        same(int(hit.expressions[0].value.preview), 2 * int(hit.arguments[0].value.preview))
    auditors = client.ask(api.ListAuditors(vm="proto")).auditors
    expect([(s.name, s.hook) for a in auditors if a.kind == api.HOOK_ENTER_FRAME for s in a.serves]
           == [("prober", hooks[0].hook)], auditors)
    same([d.name for d in client.ask(api.ListDebuggers()).debuggers if d.open], ["prober"])
    removed = client.ask(api.RemoveHooks(hooks=[hooks[0].hook])).hooks
    expect(len(removed) == 1 and removed[0].hits >= 30, removed)
    same(list(client.ask(api.ListAuditors(vm="proto")).auditors), [])

    # A breakpoint with a condition. It stops the world.
    point = client.ask(api.AddHooks(
        debugger="prober", vm="proto", kinds=[api.HOOK_BREAKPOINT], at=api.BreakpointAt(url="proto.js", line=3),
        filter=api.HookFilter(condition="a % 10 === 0"))).hooks[0]
    same([(b.line, b.function, b.pending) for b in point.bound], [(3, "add", False)])
    pause = client.wait_paused(vm.id)
    world = client.ask(api.GetWorld(world="default")).world
    same((world.mode, world.ticket.reason, world.target, world.controller.debugger),
         (api.MODE_STOPPED, "debugger", vm.id, "prober"))
    same((pause.reason, list(pause.hooks), pause.location.line), ("breakpoint", [point.hook], 3))

    # Where it stands, and what it has.
    frames = client.ask(api.ListFrames(vm="proto")).frames
    same([(f.function, f.line) for f in frames[:2]], [("add", 3), ("tick", 7)])
    scopes = client.ask(api.ListScopes(vm="proto", frame=0)).scopes
    seen = {}
    for scope in scopes:
        for name, variable in client.variables("proto", scope.ref).items():
            seen.setdefault(name, variable)
    a = int(seen["a"].value.preview)
    same(a % 10, 0)
    inner = client.variables("proto", client.variables("proto", seen["box"].value.ref)["inner"].value.ref)
    same((inner["deep"].value.type, inner["deep"].value.preview), (api.VALUE_STRING, "'yes'"))
    value = client.ask(api.Evaluate(vm="proto", frame=1, expression="[n, box.size]"))
    same((value.threw, value.json), (False, f"[{a},3]"))
    value = client.ask(api.Evaluate(vm="proto", expression="nowhere"))
    expect(value.threw and "nowhere" in value.value.preview, value)
    client.ask(api.SetVariable(vm="proto", frame=0, name="b", expression="a + 1000"))

    # Steps. `sum` is what was set makes of it.
    step = client.ask(api.StepVm(vm="proto", how=api.STEP_OVER))
    same((step.reason, step.frame.function, step.frame.line), ("step", "add", 4))
    same(client.ask(api.Evaluate(vm="proto", expression="sum")).json, str(2 * a + 1000))
    step = client.ask(api.StepVm(vm="proto", how=api.STEP_OUT))
    same((step.reason, step.frame.function), ("step", "tick"))
    client.ask(api.RemoveHooks(hooks=[point.hook]))
    call = client.ask(api.AddHooks(debugger="prober", vm="proto", kinds=[api.HOOK_BREAKPOINT],
                                   at=api.BreakpointAt(url="proto.js", line=7))).hooks[0]
    client.ask(api.ContinueVm(vm="proto"))
    client.wait_paused(vm.id)
    step = client.ask(api.StepVm(vm="proto", how=api.STEP_IN))
    same((step.reason, step.frame.function, step.frame.line), ("step", "add", 3))

    # The source that it stands in.
    sources = client.ask(api.ListSources(vm="proto")).sources
    source = [s for s in sources if s.url.endswith("proto.js")][0]
    text = client.ask(api.ReadSource(vm="proto", source=source.source))
    same((text.text.decode(), text.more), (PROGRAM, False))
    same(client.ask(api.ReadSource(vm="proto", url="proto.js", first_byte=6, max_bytes=3)).text, b"box")

    # A pause that is answered with another value: `add` returns it to `tick`.
    client.ask(api.RemoveHooks(hooks=[call.hook]))
    back = client.ask(api.AddHooks(debugger="prober", vm="proto", kinds=[api.HOOK_BREAKPOINT],
                                   at=api.BreakpointAt(url="proto.js", line=4))).hooks[0]
    after = client.ask(api.AddHooks(debugger="prober", vm="proto", kinds=[api.HOOK_BREAKPOINT],
                                    at=api.BreakpointAt(url="proto.js", line=8))).hooks[0]
    same(client.ask(api.StepVm(vm="proto", how=api.STEP_OVER)).reason, "breakpoint")
    client.ask(api.ContinueVm(vm="proto", answer=api.ANSWER_RETURN, answer_expression="'mine ' + a"))
    same(client.wait_paused(vm.id).hooks, [after.hook])
    value = client.ask(api.Evaluate(vm="proto", expression="doubled"))
    expect(value.json.startswith('"mine '), value)

    # An evaluation that does not end by itself; getters that are not run unless that is asked for; a place to go to.
    same(client.refusal(api.Evaluate(vm="proto", expression="for (;;);", timeout_us=100_000)), "ERROR_TIMED_OUT")
    made = client.ask(api.Evaluate(vm="proto", expression="({get twice() { return 2 * n; }, done: Promise.resolve('yes'), "
                                                          "map: new Map([['k', 'v']]), bytes: new Uint8Array([7])})"))
    inside = client.variables("proto", made.value.ref)
    same((inside["twice"].getter, inside["twice"].value.type), (True, api.VALUE_UNAVAILABLE))
    run = client.ask(api.ListVariables(vm="proto", ref=made.value.ref, run_getters=True)).variables
    same([v.value.preview for v in run if v.name == "twice"], [client.ask(api.Evaluate(vm="proto", expression="2 * n")).json])
    same([v.value.preview for v in client.variables("proto", inside["bytes"].value.ref).values()][:1], ["7"])
    expect(any("'v'" in v.value.preview for v in client.variables("proto", inside["map"].value.ref).values()), "no entries")
    done = client.variables("proto", inside["done"].value.ref)
    same([done[n].value.preview for n in ("[[PromiseState]]", "[[PromiseValue]]")], ["'fulfilled'", "'yes'"])
    client.ask(api.RemoveHooks(hooks=[back.hook, after.hook]))
    places = client.ask(api.ListPositions(vm="proto", url="proto.js", line_from=7, line_to=9)).positions
    same({p.line for p in places}, {7, 8, 9})
    step = client.ask(api.StepVm(vm="proto", how=api.STEP_TO, at=api.BreakpointAt(url="proto.js", line=9)))
    same((step.reason, step.frame.line), ("step", 9))

    # A VM that is born later is covered from its first script; and each may be the target. A logpoint stops nothing.
    late = client.ask(api.AddHooks(debugger="prober", selector="late-*", kinds=[api.HOOK_NEW_SCRIPT])).hooks[0]
    log = client.ask(api.AddHooks(debugger="prober", vm="proto", kinds=[api.HOOK_BREAKPOINT], log="n is {n}",
                                  at=api.BreakpointAt(url="proto.js", line=7), filter=api.HookFilter(count=1))).hooks[0]
    same(client.ask(api.SetTarget(vm="proto")).world.target, vm.id)
    client.ask(api.ContinueVm(vm="proto"))
    same(client.ask(api.GetWorld(world="default")).world.mode, api.MODE_RUN_ALL)
    other = client.run("globalThis.load = (text) => (0, eval)(text);", name="late-1", program="late.js", keep_idle=True, wait_ready=True)
    seen = {}
    while not {late.hook, log.hook} <= seen.keys():  # there are hits from before, too
        page = client.ask(api.ReadHits(debugger="prober", from_seq=cursor, wait=True))
        seen.update((hit.hook, hit) for hit in page.hits)
        cursor = page.next_seq
    same((seen[late.hook].vm, seen[late.hook].location.url), (other.id, "late.js"))
    expect(seen[log.hook].log.startswith("n is "), seen[log.hook])

    # Its client goes, and it lives by its hook; another one reads on where the first has stopped.
    client.close()
    client = Client(api, path)
    client.ask(api.Subscribe())
    same([d.open for d in client.ask(api.ListDebuggers()).debuggers if d.name == "prober"], [False])
    client.ask(api.CallFunction(vm="late-1", function="load", args_json='["1 + 1"]'))
    hits = client.ask(api.ReadHits(debugger="prober", from_seq=cursor, wait=True)).hits
    same([(h.seq, h.hook, h.vm) for h in hits], [(cursor, late.hook, other.id)])
    client.ask(api.KillVm(vm="late-1"))

    # All of it away again.
    client.ask(api.CloseDebugger(debugger="prober"))
    same([d.name for d in client.ask(api.ListDebuggers()).debuggers if d.name == "prober"], [])
    client.ask(api.KillVm(vm="proto"))
    vm = client.ask(api.WaitVm(vm="proto", **{"for": api.WAIT_FOR_EXITED})).vm
    same((vm.state, vm.exit.reason), (api.VM_STATE_EXITED, api.EXIT_KILLED))
    client.close()


# f(a, b) adds; `m` is a page of memory.
MODULE = bytes.fromhex("0061736d 01000000 01070160 027f7f01 7f030201 00050301 00010709 02016d02 00016600"
                       "000a0901 07002000 20016a0b".replace(" ", ""))
ADDS = 46  # where its i32.add is
WITH_MODULE = f"""\
const {{f, m}} = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array({list(MODULE)}))).exports;
const memory = new Uint8Array(m.buffer);
memory[3] = 7;
globalThis.up = (n) => f(n, 1);
globalThis.seen = () => memory[4];
onmessage = () => {{}};
"""


def webassembly(api, path):
    client = Client(api, path)
    client.ask(api.Subscribe())
    client.ask(api.OpenDebugger(name="prober"))

    # Only in a VM that was started for it.
    client.run(WITH_MODULE, name="plain", program="plain.js", keep_idle=True, wait_ready=True)
    client.ask(api.StopWorld(world="default", debugger="prober"))
    source, = [s for s in client.ask(api.ListSources(vm="plain")).sources if s.kind == "wasm"]
    same(client.refusal(api.ReadSource(vm="plain", source=source.source)), "ERROR_UNSUPPORTED")
    client.ask(api.ResumeWorld(world="default"))
    client.ask(api.KillVm(vm="plain"))

    vm = client.run(WITH_MODULE, name="adds", program="adds.js", keep_idle=True, wait_ready=True, debug=True)
    client.ask(api.StopWorld(world="default", debugger="prober"))
    source, = [s for s in client.ask(api.ListSources(vm="adds")).sources if s.kind == "wasm"]
    same(client.ask(api.ReadSource(vm="adds", source=source.source)).text, MODULE)
    places = client.ask(api.ListPositions(vm="adds", source=source.source, offset_from=ADDS, offset_to=ADDS)).positions
    same([p.offset for p in places], [ADDS])
    client.ask(api.ResumeWorld(world="default"))
    point = client.ask(api.AddHooks(debugger="prober", vm="adds", kinds=[api.HOOK_BREAKPOINT],
                                    filter=api.HookFilter(condition="var0 > 20"),
                                    at=api.BreakpointAt(url=source.url, offset=ADDS - 2))).hooks[0]
    same([(b.offset, b.pending) for b in point.bound], [(ADDS - 2, False)])
    up = lambda n: client.begin(api.CallFunction(vm="adds", function="up", args_json=f"[{n}]"))
    same(client.end(up(20)).json, "21")
    call = up(30)
    client.wait_paused(vm.id)
    frames = client.ask(api.ListFrames(vm="adds")).frames
    same([(f.kind, f.offset) for f in frames[:1]] + [f.kind for f in frames[1:2]], [("wasm", ADDS - 2), "js"])
    scope = client.ask(api.ListScopes(vm="adds", frame=0)).scopes[0]
    seen = client.variables("adds", scope.ref)
    same((scope.scope, seen["var0"].value.preview, seen["var1"].value.preview), ("wasm", "30", "1"))
    same(client.refusal(api.SetVariable(vm="adds", frame=0, name="var0", expression="7")), "ERROR_UNSUPPORTED")
    same(client.ask(api.AccessMemory(vm="adds", in_frame=True, frame=0, address=2, length=3)).data, b"\0\7\0")
    client.ask(api.AccessMemory(vm="adds", in_frame=True, frame=0, address=4, write=b"\x2a"))
    step = client.ask(api.StepVm(vm="adds", how=api.STEP_IN))
    same((step.reason, step.frame.kind, step.frame.offset), ("step", "wasm", ADDS))
    client.ask(api.RemoveHooks(hooks=[point.hook]))
    client.ask(api.ContinueVm(vm="adds"))
    same(client.end(call).json, "31")
    same(client.ask(api.CallFunction(vm="adds", function="seen", args_json="[]")).json, "42")
    client.ask(api.KillVm(vm="adds"))
    client.close()


if __name__ == "__main__":
    messages = generate(sys.argv[2])
    session(messages, sys.argv[1])
    webassembly(messages, sys.argv[1])
    print("ok")
