"""A daemon of one world with two VMs that can be debugged and observed, for tests of stillctl: the real
wire, made from api.proto, and answers out of a small model. One thread for each connection."""

import re
import socket
import struct
import threading

SOURCE = """function add(a, b) {
  const sum = a + b;
  return sum;
}

let total = 0;
for (let i = 0; i < 3; i++) {
  total = add(total, i);
}
console.log(total);
"""


class Refused(Exception):
    def __init__(self, code, message, hint=None):
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


def camel(name):
    return "".join(part.capitalize() for part in name.split("_"))


class Connection:
    def __init__(self, sock):
        self.sock, self.lock = sock, threading.Lock()
        self.subscribed = None  # kinds, [] for all
        self.open = set()
        self.then = None  # the breakpoint that is hit once the reply has been sent

    def send(self, envelope):
        data = envelope.SerializeToString()
        with self.lock:
            try:
                self.sock.sendall(struct.pack(">I", len(data)) + data)
            except OSError:
                pass


class Daemon:
    def __init__(self, api, path, running=False):
        self.api, self.path = api, path
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.mode = "RUN_ALL" if running else "STOPPED"
        self.controller = None if running else "cli:1000"
        self.target = 7
        self.vms = {7: "app", 8: "db"}
        self.parked = {7}  # those that were brought to their gate
        self.line, self.pause = 2, ""
        self.sum = None
        self.hooks, self.last_hook = {}, 4
        self.hits, self.last_seq = [], 0
        self.debuggers = {}
        self.asked = []  # (name, message) of all requests but Hello
        self.memory = bytearray(b"Hello, memory!\0\1\2\3" * 4)
        self.connections = []
        self.break_on_continue = True
        self.stepping_waits = False
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.listener.bind(path)
        self.listener.listen(16)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def stop(self):
        # Closing alone would not wake accept().
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for c in self.connections:
                try:
                    c.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.changed.notify_all()
        self.thread.join(10)

    # ---- the wire

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            connection = Connection(sock)
            with self.lock:
                self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    @staticmethod
    def read(sock, size):
        data = b""
        while len(data) < size:
            more = sock.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def serve(self, connection):
        sock = connection.sock
        try:
            while True:
                size = struct.unpack(">I", self.read(sock, 4))[0]
                request = self.api.Envelope.FromString(self.read(sock, size))
                # What waits may be overtaken.
                threading.Thread(target=self.answer, args=(connection, request), daemon=True).start()
        except (EOFError, OSError):
            pass
        finally:
            self.left(connection)
            sock.close()

    def left(self, connection):
        with self.lock:
            self.connections.remove(connection)
            for name in connection.open:
                if self.controller == name and self.debuggers[name]["policy"] == "resume":
                    self.mode, self.controller = "RUN_ALL", None

    def answer(self, connection, request):
        body = request.WhichOneof("body")
        message = getattr(request, body)
        reply = self.api.Envelope(request_id=request.request_id)
        try:
            if body != "hello":
                with self.lock:
                    self.asked.append((body, message))
            name, answer = getattr(self, "on_" + body)(connection, message)
            getattr(reply, name).CopyFrom(answer)
        except Refused as e:
            reply.error.code = getattr(self.api, "ERROR_" + e.code)
            reply.error.message = e.message
            if e.hint:
                reply.error.hint = e.hint
        connection.send(reply)
        hit, connection.then = connection.then, None
        if hit:
            self.hit_breakpoint(*hit)

    def event(self, kind, **fields):
        value = getattr(self.api, "EVENT_" + kind)
        envelope = self.api.Envelope(event=self.api.Event(seq=1, kind=value, time_us=1, **fields))
        for c in list(self.connections):
            if c.subscribed is not None and (not c.subscribed or value in c.subscribed):
                c.send(envelope)

    def last(self, body):
        with self.lock:
            return [m for b, m in self.asked if b == body][-1]

    # ---- what there is

    def find(self, word):
        for vm, name in self.vms.items():
            if word in (name, str(vm)):
                return vm
        raise Refused("NOT_FOUND", f"there is no VM {word}", "see 'stillctl list'")

    def vm(self, vm):
        stopped = self.mode == "STOPPED"
        return self.api.Vm(
            id=vm, name=self.vms[vm], world="default", engine="mozjs", pid=100 + vm, program="app.js",
            state=self.api.VM_STATE_PARKED if stopped and vm == 7 else self.api.VM_STATE_IDLE,
            started_us=1, cpu_us=2000000, memory_bytes=1 << 20, hooks=len(self.hooks), uid=1000)

    def world(self):
        w = self.api.World(name="default", mode=getattr(self.api, "MODE_" + self.mode), epoch=4, vms=2,
                           target=self.target)
        if self.controller:
            w.controller.debugger = self.controller
            w.controller.policy = "hold"
        return w

    def standing(self, word):
        vm = self.find(word)
        if self.mode != "STOPPED":
            raise Refused("WRONG_STATE", f"VM {self.vms[vm]} is running",
                          "stop it first: stillctl world stop")
        return vm

    def frames(self, vm):
        if vm != 7:
            return []
        frame = self.api.Frame
        url = "file:///srv/app.js"
        return [frame(frame=0, kind="js", function="add", url=url, line=self.line, column=3),
                frame(frame=1, kind="js", function="", url=url, line=8, column=11),
                frame(frame=2, kind="wasm", function="run", url="m.wasm", offset=0x1F)]

    def value(self, kind, preview, ref=0, name=None):
        v = self.api.Value(type=getattr(self.api, "VALUE_" + kind), preview=preview)
        if ref:
            v.ref, v.class_name = ref, name
        return v

    def add_hit(self, hook, kind, **fields):
        with self.lock:
            self.last_seq += 1
            self.hits.append(self.api.Hit(
                seq=self.last_seq, hook=hook, vm=7, vm_name="app", time_us=1700000000000000, mono_ns=5,
                epoch=4, vm_seq=self.last_seq, kind=getattr(self.api, "HOOK_" + kind), hits=1, **fields))
            self.changed.notify_all()

    def a_pop(self, hook):
        a = self.api
        self.add_hit(
            hook, "POP", frame_id=3, realm=1, completion="return", value=self.value("NUMBER", "3"),
            location=a.Location(url="app.js", line=3, column=3, function="add"),
            arguments=[a.NamedValue(name="a", value=self.value("NUMBER", "1"))],
            frames=self.frames(7)[:1])

    # ---- requests

    def on_hello(self, _, m):
        return "hello_reply", self.api.HelloReply(version=m.version, daemon="fake", uid=1000,
                                                   roles=["observe", "run", "debug"])

    def on_get_vm(self, _, m):
        with self.lock:
            return "vm_reply", self.api.VmReply(vm=self.vm(self.find(m.vm)))

    def on_list_vms(self, _, m):
        with self.lock:
            return "vm_list", self.api.VmList(vms=[self.vm(v) for v in self.vms])

    def on_get_world(self, _, m):
        with self.lock:
            return "world_reply", self.api.WorldReply(world=self.world())

    def on_set_target(self, _, m):
        with self.lock:
            vm = self.find(m.vm)
            if vm not in self.parked:
                raise Refused("WRONG_STATE", f"VM '{self.vms[vm]}' is held, and not parked")
            self.target = vm
            return "world_reply", self.api.WorldReply(world=self.world())

    def on_take_lease(self, _, m):
        with self.lock:
            self.controller = m.debugger
            return "world_reply", self.api.WorldReply(world=self.world())

    def on_stop_world(self, _, m):
        with self.lock:
            if self.mode == "STOPPED":
                raise Refused("WRONG_STATE", "world default is already stopped")
            self.mode, self.controller = "STOPPED", m.debugger or "cli:1000"
            self.pause = ""
            self.event("WORLD_STOPPED", world="default")
            self.changed.notify_all()
            return "stop_report", self.api.StopReport(world="default", mode=self.api.MODE_STOPPED,
                                                      ticket=3, reason="debugger")

    def on_resume_world(self, _, m):
        with self.lock:
            self.mode, self.controller = "RUN_ALL", None
            return "resume_reply", self.api.ResumeReply(world="default", mode=self.api.MODE_RUN_ALL)

    def hit_breakpoint(self, debugger, hook):
        with self.lock:
            self.mode, self.controller, self.target = "STOPPED", debugger, 7
            self.pause, self.line = "breakpoint", self.hooks[hook]["at"].line
            self.paused_by = hook
            self.event("WORLD_STOPPED", world="default")
            self.event("VM_PAUSED", world="default", vm=7, detail="breakpoint")

    def on_continue_vm(self, connection, m):
        with self.lock:
            self.standing(m.vm)
            self.mode, self.controller, self.pause = "RUN_ALL", None, ""
            self.event("WORLD_RESUMED", world="default")
            at = [(h["debugger"], n) for n, h in self.hooks.items() if h["at"]]
            if at and self.break_on_continue:
                connection.then = at[-1]
            return "continue_reply", self.api.ContinueReply(world=self.world(), reason="running")

    def on_open_debugger(self, connection, m):
        with self.lock:
            self.debuggers.setdefault(m.name, {"id": 30 + len(self.debuggers),
                                               "policy": m.policy or "resume"})
            connection.open.add(m.name)
            return "debugger_reply", self.api.DebuggerReply(debugger=self.debugger(m.name))

    def debugger(self, name):
        d = self.debuggers[name]
        return self.api.Debugger(id=d["id"], name=name, owner_uid=1000, policy=d["policy"], open=True,
                                 hooks=len(self.hooks), first_seq=2, last_seq=9, dropped=1)

    def on_list_debuggers(self, _, m):
        with self.lock:
            return "debugger_list", self.api.DebuggerList(
                debuggers=[self.debugger(n) for n in self.debuggers])

    def on_subscribe(self, connection, m):
        connection.subscribed = list(m.kinds)
        if m.replay and self.api.EVENT_WORLD_STOPPED in m.kinds:
            self.event("WORLD_STOPPED", world="default")
        return "subscribe_reply", self.api.SubscribeReply(last_seq=1)

    # hooks

    def hook(self, n):
        h = self.hooks[n]
        m = self.api.Hook(hook=n, debugger=5, debugger_name=h["debugger"], kind=h["kind"], vms=1,
                          target=h["target"], since_us=1, hits=2, spent=h["spent"])
        for name in ("filter", "budget", "capture"):
            getattr(m, name).CopyFrom(getattr(h["asked"], name))
        m.suspend = h["asked"].suspend if h["asked"].HasField("suspend") else self.api.SUSPEND_NONE
        if h["asked"].log:
            m.log = h["asked"].log
        if h["asked"].note:
            m.note = h["asked"].note
        if h["at"]:
            m.at.CopyFrom(h["at"])
            pending = h["at"].url.endswith("later.js")
            m.bound.add(vm=7, pending=pending, **({} if pending else {
                "url": "file:///srv/app.js", "line": h["at"].line, "column": 3, "function": "add"}))
        return m

    def on_add_hooks(self, _, m):
        with self.lock:
            if m.vm:
                target = f"vm {self.vms[self.find(m.vm)]}"
            else:
                target = f"selector {m.selector}" if m.selector else f"world {m.world}"
            added = []
            for kind in m.kinds:
                self.last_hook += 1
                self.hooks[self.last_hook] = {
                    "kind": kind, "target": target, "debugger": m.debugger or "cli:1000", "asked": m,
                    "at": m.at if m.HasField("at") else None, "spent": False}
                added.append(self.last_hook)
            self.changed.notify_all()
            return "hook_list", self.api.HookList(hooks=[self.hook(n) for n in added])

    def on_remove_hooks(self, _, m):
        with self.lock:
            numbers = list(m.hooks) or [n for n, h in self.hooks.items() if h["debugger"] == m.debugger]
            for n in numbers:
                if n not in self.hooks:
                    raise Refused("NOT_FOUND", f"there is no hook {n}", "see 'stillctl audit show'")
            gone = self.api.HookList(hooks=[self.hook(n) for n in numbers])
            for n in numbers:
                del self.hooks[n]
            self.changed.notify_all()
            return "hook_list", gone

    def on_list_hooks(self, _, m):
        with self.lock:
            if m.debugger.startswith("cli:") and not self.hooks:
                raise Refused("NOT_FOUND", f"no debugger named '{m.debugger}'")
            if m.hook and m.hook not in self.hooks:
                raise Refused("NOT_FOUND", f"there is no hook {m.hook}")
            return "hook_list", self.api.HookList(hooks=[
                self.hook(n) for n, h in self.hooks.items()
                if m.hook in (0, n) and (not m.debugger or h["debugger"] == m.debugger)])

    def on_list_auditors(self, _, m):
        a = self.api
        with self.lock:
            return "auditor_list", a.AuditorList(auditors=[
                a.Auditor(vm=7, referent=a.REFERENT_REALM, referent_id=1, kind=h["kind"], armed=True,
                          serves=[a.AuditorServes(debugger=5, name=h["debugger"], hook=n, hits=12,
                                                  dropped=3, since_us=1)])
                for n, h in self.hooks.items()])

    def on_read_hits(self, _, m):
        with self.lock:
            if m.debugger == "nobody":
                raise Refused("NOT_FOUND", "there is no debugger nobody", "see 'stillctl debugger list'")
            start = self.last_seq + 1 if m.from_now else max(m.from_seq, 1)
            new = []
            while not new:
                new = [h for h in self.hits if h.seq >= start or h.before_seq > start][:2]
                if new or not m.wait:
                    break
                if not self.changed.wait(30):
                    break
            last = max([h.seq or h.before_seq - 1 for h in new], default=start - 1)
            return "hit_page", self.api.HitPage(hits=new, next_seq=last + 1, debugger=5)

    # a stopped VM

    def on_list_frames(self, _, m):
        with self.lock:
            vm = self.standing(m.vm)
            self.parked.add(vm)
            frames = self.frames(vm)
            most = min(m.max or 2, 2)
            page = frames[m.first:m.first + most]
            more = m.first + most < len(frames)
            return "frame_page", self.api.FramePage(vm=7, frames=page,
                                                    next=m.first + most if more else 0)

    def on_list_scopes(self, _, m):
        with self.lock:
            self.standing(m.vm)
            if m.frame > 2:
                raise Refused("NOT_FOUND", f"there is no frame {m.frame}")
            scope = self.api.Scope
            return "scope_list", self.api.ScopeList(vm=7, frame=m.frame, scopes=[
                scope(scope="local", ref=11, variables=3), scope(scope="global", ref=12, variables=300)])

    def on_list_variables(self, _, m):
        with self.lock:
            self.standing(m.vm)
            named, number = self.api.NamedValue, self.value("NUMBER", "1")
            if m.ref == 11:
                all_of = [named(name="a", value=number, writable=True),
                          named(name="list", value=self.value("OBJECT", "[1, 2]", 13, "Array")),
                          named(name="sum", value=self.value("UNAVAILABLE", ""))]
            elif m.ref == 12:
                all_of = [named(name=f"g{i}", value=number) for i in range(300)]
            elif m.ref == 13:
                all_of = [named(name="0", value=number), named(name="size", getter=True)]
            else:
                raise Refused("NOT_FOUND", f"there is no object {m.ref}")
            most = min(m.max or 256, 256)
            more = m.first + most < len(all_of)
            return "variable_page", self.api.VariablePage(
                vm=7, variables=all_of[m.first:m.first + most], total=len(all_of),
                next=m.first + most if more else 0)

    def on_evaluate(self, _, m):
        with self.lock:
            self.standing(m.vm)
            reply = self.api.ValueReply(vm=7, threw="boom" in m.expression)
            if reply.threw:
                reply.value.CopyFrom(self.value("OBJECT", "ReferenceError: boom is not defined", 15,
                                                "ReferenceError"))
            elif m.expression == "list":
                reply.value.CopyFrom(self.value("OBJECT", "[1, 2]", 13, "Array"))
                reply.json = "[1,2]"
            else:
                reply.value.CopyFrom(self.value("NUMBER", "42"))
                reply.json = "42"
            return "value_reply", reply

    def on_set_variable(self, _, m):
        with self.lock:
            self.standing(m.vm)
            return "value_reply", self.api.ValueReply(vm=7, value=self.value("NUMBER", m.expression),
                                                      json="5")

    def on_step_vm(self, _, m):
        with self.lock:
            self.standing(m.vm)
            reply = self.api.StepReply(vm=7, reason="step", world=self.world())
            if self.stepping_waits:
                self.mode = "RUN_ONE"
                self.changed.wait_for(lambda: self.mode == "STOPPED", 30)
                reply.reason = "stopped"
            if m.deadline_us:
                reply.reason = "deadline"
            self.line = m.at.line if m.how == self.api.STEP_TO else self.line + (m.count or 1)
            self.pause = "step"
            if m.how == self.api.STEP_OUT:
                reply.reason = "ended"
            else:
                reply.frame.CopyFrom(self.frames(7)[0])
            return "step_reply", reply

    def sources(self):
        s = self.api.Source
        return [s(source=21, url="file:///srv/app.js", kind="script", text_bytes=len(SOURCE), lines=10),
                s(source=22, url="m.wasm", kind="wasm", text_bytes=8)]

    def on_list_sources(self, _, m):
        with self.lock:
            self.standing(m.vm)
            page = self.sources()[m.first:m.first + 1]
            return "source_list", self.api.SourceList(vm=7, sources=page, next=1 if m.first == 0 else 0)

    def on_read_source(self, _, m):
        with self.lock:
            self.standing(m.vm)
            for source in self.sources():
                if m.source == source.source or (m.url and re.search(
                        "(^|/)" + re.escape(m.url) + "$", source.url)):
                    text = SOURCE.encode() if source.source == 21 else b"\0asm\1\0\0\0"
                    part = text[m.first_byte:m.first_byte + 50]
                    return "source_text", self.api.SourceText(
                        vm=7, source=source, first_byte=m.first_byte, text=part,
                        more=m.first_byte + 50 < len(text))
            raise Refused("NOT_FOUND", f"there is no source {m.url}", "see 'stillctl source app'")

    def on_access_memory(self, _, m):
        with self.lock:
            self.standing(m.vm)
            reply = self.api.MemoryReply(vm=7, address=m.address, memory_bytes=len(self.memory))
            size = len(m.write) or m.length
            if m.address + size > len(self.memory):
                raise Refused("INVALID_ARGUMENT", "beyond the end of the memory")
            if m.HasField("write"):
                self.memory[m.address:m.address + size] = m.write
            else:
                reply.data = bytes(self.memory[m.address:m.address + size])
            return "memory_reply", reply

    def on_get_pause(self, _, m):
        with self.lock:
            reply = self.api.PauseReply(vm=7, reason=self.pause)
            if self.pause == "breakpoint":
                reply.hooks.append(self.paused_by)
            return "pause_reply", reply
