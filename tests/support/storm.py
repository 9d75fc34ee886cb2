"""What the tests of stop-the-world share: sizes, connections that wait for events, casts of VMs, and the
proof from outside that nothing runs.

Storms have two sizes: ordinary, for every run of the tests, and full, with STILLPOINT_STORM=full.
"""

import os
import select
import time

import api as api_client
import wasm
from harness import HANG, asleep, check, equal, thread_cpu_ns, thread_runs

FULL = os.environ.get("STILLPOINT_STORM") == "full"
LONG = 20_000_000  # us; a hang, not a measurement

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


def size(ordinary, full):
    return full if FULL else ordinary


def connect(t, cls=api_client.Client):
    try:
        module = api_client.messages(t.source, t.tmp)
    except api_client.Unavailable as e:
        t.skip(str(e))
    finally:
        for name in os.listdir(t.tmp):
            path = os.path.join(t.tmp, name)
            if os.path.isfile(path):
                os.unlink(path)
    return cls(module, t.daemon.socket)


class Watcher(api_client.Client):
    """A connection that has subscribed to all events, from the first one kept."""

    def __init__(self, api, path):
        super().__init__(api, path, HANG)
        self.seen, self.past = [], []
        self.request(subscribe=api.Subscribe(replay=True))

    def name(self, event):
        return self.api.EventKind.Name(event.kind)[len("EVENT_"):].lower().replace("_", "-")

    def pull(self):
        envelope = self.receive()
        if envelope.HasField("event"):
            self.events.append(envelope)

    def until(self, kind, **wanted):
        """The next event of that kind with these fields; what comes before it is in `past`."""
        passed = []
        while True:
            while self.events:
                event = self.events.pop(0).event
                self.seen.append(event)
                if self.name(event) == kind and all(getattr(event, f) == v for f, v in wanted.items()):
                    self.past = passed
                    return event
                passed.append(event)
            try:
                self.pull()
            except TimeoutError:
                text = "\n".join(self.tell(e) for e in passed)
                check(False, f"no {kind} {wanted} came in {HANG:.0f} s, but\n{text}")

    def tell(self, e):
        return f"{self.name(e)} vm {e.vm} ticket {e.ticket} epoch {e.epoch} {e.name} {e.detail}"

    def told(self, *kinds):
        """All events of these kinds until now, as (kind, ticket, detail)."""
        last = self.request(subscribe=self.api.Subscribe(once=True)).subscribe_reply.last_seq
        while not self.seen or self.seen[-1].seq < last:
            while not self.events:
                self.pull()
            self.seen.append(self.events.pop(0).event)
        return [(self.name(e), e.ticket, e.detail) for e in self.seen if self.name(e) in kinds]


def watch(t):
    return connect(t, Watcher)


def cast(client, count, names=None):
    names = names or list(PROGRAMS)
    return [client.run(f"{names[i % len(names)]}.js", PROGRAMS[names[i % len(names)]])
            for i in range(count)]


def world(client, name="default"):
    return client.request(get_world=client.api.GetWorld(world=name)).world_reply.world


def answer(client, number):
    """What a request came to: ("served", reply) or (the error's name, text)."""
    try:
        return "served", client.wait(number)
    except api_client.ApiError as e:
        return client.api.ErrorCode.Name(e.code)[len("ERROR_"):].lower(), e.message


def ask(client, **body):
    return answer(client, client.send(**body))


class Volley(api_client.Client):
    """A connection with many requests under way; each reply goes to the function that was given for it."""

    def __init__(self, api, path):
        super().__init__(api, path, HANG)
        self.open, self.asked = {}, {}

    def waiting(self):
        return [self.asked[number] for number in self.open]

    def fire(self, then, fd=None, **body):
        """`then(outcome, reply)` is called once, with what answer() returns."""
        self.open[self.send(fd, **body)] = then
        self.asked[self.number] = body

    def take(self):
        """Waits for something, and hands out all that has come."""
        try:
            more = self.sock.recv(1 << 16)
        except TimeoutError:
            check(False, f"no answer in {HANG:.0f} s; {len(self.open)} requests are open")
        if not more:
            raise EOFError("the daemon closed the connection")
        self.buffer += more
        while len(self.buffer) >= 4:
            size = int.from_bytes(self.buffer[:4], "big")
            if len(self.buffer) < 4 + size:
                break
            envelope = self.api.Envelope.FromString(self.buffer[4:4 + size])
            self.buffer = self.buffer[4 + size:]
            number = envelope.request_id
            if not number:
                continue
            check(number in self.open, f"a second answer, or to what nobody asked: {envelope}")
            then = self.open.pop(number)
            del self.asked[number]
            if envelope.HasField("error"):
                e = envelope.error
                then(self.api.ErrorCode.Name(e.code)[len("ERROR_"):].lower(), e.message)
            else:
                then("served", envelope)


def volley(clients, go_on):
    """Until go_on() says no: hands out what comes for any of them."""
    while go_on():
        ready, _, _ = select.select([c.sock for c in clients], [], [], HANG)
        check(ready, f"nothing came in {HANG:.0f} s; open: {[c.waiting() for c in clients]}")
        for c in clients:
            if c.sock in ready:
                c.take()


WAY_TO_THE_GATE_US = 200


class Still:
    """From when all have arrived: who is put on a CPU."""

    def __init__(self, pids, frozen=False):
        """pids: {vm: pid}. Those that are frozen need not be asleep."""
        self.pids, self.frozen, self.start = pids, frozen, time.monotonic()
        if not frozen:
            for pid in pids.values():
                asleep(pid)
        self.cpu = {vm: thread_cpu_ns(pid) for vm, pid in pids.items()}
        self.runs = {vm: thread_runs(pid) for vm, pid in pids.items()}

    def ran(self):
        """{vm: (how often put on a CPU, us of CPU time)} since."""
        cpu = {vm: thread_cpu_ns(pid) for vm, pid in self.pids.items()}
        return {vm: (thread_runs(pid) - self.runs[vm], (cpu[vm] - self.cpu[vm]) / 1000)
                for vm, pid in self.pids.items()}

    def allowed(self, held=False, spent_us=0):
        """How often a VM may be put on a CPU. A frozen one never; a parked one looks up once in four
        seconds; a held one may wake once by its own timer, come to its gate and park, and once more
        each time that it loses its CPU on that short way."""
        if self.frozen:
            return 0
        wakes = 0 if not held else 4 if spent_us <= WAY_TO_THE_GATE_US else 2
        return wakes + int((time.monotonic() - self.start) / 3.5)

    def check(self, how=None, what=""):
        for vm, (runs, spent_us) in self.ran().items():
            held = bool(how) and how[vm] == "held"
            check(runs <= self.allowed(held, spent_us), f"{what} VM {vm} was put on a CPU {runs} times")


def how_of(client, report):
    return {a.vm: client.api.How.Name(a.how)[len("HOW_"):].lower() for a in report.arrivals}


def arrived(report, count, what=""):
    equal((list(report.missing), len(report.arrivals)), ([], count), what)
