"""What the tests with stillpoint-worker-hostile share: attackers, what became of them, and that nothing else
happened.

Sizes are ordinary, for every run of the tests, or full, with STILLPOINT_HOSTILE=full.
"""

import os
import struct
import time

import api as api_client
import wire
from harness import check, children, equal, folders_of_daemon, is_zombie, wait_until
from storm import connect

# With its own ways of keeping what was freed.
SANITIZED = "ASAN_OPTIONS" in os.environ
FULL = os.environ.get("STILLPOINT_HOSTILE") == "full"
LONG = 20_000_000  # us; a hang, not a measurement
WINDOW = 24  # attackers that are alive at once


def size(ordinary, full):
    return full if FULL else ordinary


def workers(t):
    """A folder for --worker-dir in which the attacker's worker is in the place of an engine."""
    folder = os.path.join(t.work, "workers")
    os.makedirs(folder, exist_ok=True)
    for engine, program in (("fake", "hostile"), ("mozjs", "mozjs")):
        link = os.path.join(folder, f"stillpoint-worker-{engine}")
        if not os.path.islink(link):
            os.symlink(os.path.join(t.build, f"stillpoint-worker-{program}"), link)
    return folder


def hostile_program(t):
    return os.path.join(workers(t), "stillpoint-worker-fake")


class Attack:
    """One worker of an attacker: its acts, and what is known of it."""

    def __init__(self, acts, options):
        self.acts, self.options, self.vm, self.exit, self.text = acts, options, None, None, ""

    def __str__(self):
        return f"{self.acts[:100]!r}: {self.how()} {self.exit}, said {self.text[-500:]!r}"

    def how(self):
        """In one word: exited, seccomp, crashed, killed, …"""
        if self.exit is None:
            return "lives"
        return self.exit.DESCRIPTOR.fields_by_name["reason"].enum_type.values_by_number[
            self.exit.reason].name[len("EXIT_"):].lower()


class Attacker:
    """A client whose programs are acts; and a look at the daemon before and after them."""

    def __init__(self, t, *args):
        self.t, t.liars = t, True
        t.start_daemon("--worker-dir", workers(t), *args)
        self.client = connect(t)
        self.api = self.client.api
        self.honest()  # the zygotes are there
        if t.daemon.keeps_spare:
            wait_until(lambda: len(t.daemon.workers()) == 1, "and the worker that is kept ready, as at the end")
        self.before = self.look()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.nothing_left()
        self.client.close()

    # ---- attacks

    def start(self, *acts, **options):
        """Starts one, whose program has been loaded when this returns."""
        attack = Attack("\n".join(acts) + "\n", options)
        attack.vm = self._vm(self.client.wait(self._send(attack)))
        return attack

    def run(self, *acts, **options):
        """Starts one and waits for its end."""
        return self.ended(self.start(*acts, **options))

    def run_all(self, attacks):
        """Each (acts, options) in a worker of its own, many at a time. Returns them when all have ended."""
        attacks = [Attack("\n".join(acts) + "\n", options) for acts, options in attacks]
        started, waiting, left = [], [], list(attacks)
        while left or started or waiting:
            while left and len(started) + len(waiting) < WINDOW:
                attack = left.pop(0)
                started.append((attack, self._send(attack)))
            if started:
                attack, number = started.pop(0)
                attack.vm = self._vm(self.client.wait(number))
                waiting.append((attack, self._send_wait(attack)))
            if waiting and (len(waiting) >= WINDOW // 2 or not started):
                self._finish(*waiting.pop(0))
        return attacks

    def ended(self, attack):
        self._finish(attack, self._send_wait(attack))
        return attack

    def said(self, attack):
        """All that it has written until now."""
        records = self.client.log(attack.vm.id)
        attack.text = b"".join(r.data for r in records).decode("utf-8", "replace")
        return attack.text

    def says(self, attack, text):
        wait_until(lambda: text in self.said(attack), f"{attack} says {text!r}")
        return attack

    def tell(self, attack, *acts):
        """One more act for one that is idle."""
        for act in acts:
            request = self.api.SendMessage(vm=str(attack.vm.id), json=f'"{act}"')
            self.client.request(send_message=request)

    def find(self, name, *acts):
        """The newest of that name, which has ended."""
        attack = Attack("\n".join(acts), {"name": name})
        attack.vm = max((vm for vm in self.client.vms(True) if vm.name == name), key=lambda vm: vm.id)
        return self.ended(attack)

    def kill(self, attack):
        request = self.api.KillVm(vm=str(attack.vm.id))
        self.client.request(kill_vm=request)
        return self.ended(attack)

    def get(self, attack):
        request = self.api.GetVm(vm=str(attack.vm.id))
        return self.client.request(get_vm=request).vm_reply.vm

    def _send(self, attack):
        options = {"engine": "fake", "keep_idle": False, **attack.options}
        fd = api_client.memfd(attack.acts.encode())
        try:
            return self.client.send(fd, run_vm=self.api.RunVm(program="attack", **options))
        finally:
            os.close(fd)

    @staticmethod
    def _vm(reply):
        return reply.vm_reply.vm

    def _send_wait(self, attack):
        wait = self.api.WaitVm(vm=str(attack.vm.id), timeout_us=LONG)
        setattr(wait, "for", self.api.WAIT_FOR_EXITED)
        return self.client.send(wait_vm=wait)

    def _finish(self, attack, number):
        vm = self._vm(self.client.wait(number))
        check(vm.HasField("exit"), f"has ended: {attack}")
        attack.exit = vm.exit
        self.said(attack)

    # ---- everybody else

    def honest(self):
        """Somebody else's program runs from start to end, and the lists answer."""
        vm = self.client.run("honest.js", "console.log('hello')", keep_idle=False)
        wait = self.api.WaitVm(vm=str(vm.id), timeout_us=LONG)
        setattr(wait, "for", self.api.WAIT_FOR_EXITED)
        ended = self.client.request(wait_vm=wait).vm_reply.vm
        equal((ended.exit.reason, ended.exit.code), (self.api.EXIT_EXITED, 0), "an honest program")
        equal(b"".join(r.data for r in self.client.log(vm.id)), b"hello\n")
        self.client.vms()

    def look(self):
        """What the daemon has: descriptors, cgroups of VMs, children, mapped pages of VMs."""
        d = self.t.daemon
        try:
            with open(f"/proc/{d.pid}/maps", encoding="utf-8", errors="replace") as f:
                # Logs of VMs that have ended are there for as long as these are shown.
                pages = sum("memfd:" in line and "memfd:stillpoint-log" not in line for line in f)
        except OSError:
            pages = 0
        cgroups = [os.path.join(folder, n) for folder in folders_of_daemon(d.pid)
                   for n in os.listdir(folder) if n.startswith("vm-")]
        fds = d.fds()
        return {
            "descriptors": len(fds) if fds is not None else 0,
            "cgroups": len(cgroups),
            "children": len(children(d.pid)),
            "zombies": sum(is_zombie(pid) for pid in children(d.pid)),
            "pages": pages,
        }

    def nothing_left(self):
        """The daemon serves on, and has no more than before."""
        self.honest()
        wait_until(lambda: all(now <= self.before[what] for what, now in self.look().items()),
                   f"as before, {self.before}; now {self.look()}", 5)



def fact(number, *fields):
    """A fact for the acts `fact`, `with`, `flood`: the field of Fact.body, and the fields of that message."""
    return wire.field(number, b"".join(wire.field(n, v) for n, v in fields)).hex()


# Fields of Fact.body in worker.proto.
BORN, LOADED, READY, CONSOLE, IMPORT_WANTED, CALL_DONE, POSTED, STDIN_WANTED = range(10, 18)
EXITING, INSPECTED, HIT, PAUSED, AUDITED, HOOK_ENDED, BREAKPOINT_BOUND, PART = range(18, 26)


def console(text, stream=1, level=0):
    data = text if isinstance(text, bytes) else text.encode()
    return fact(CONSOLE, (1, stream), (2, level), (3, data), (4, 1))


def posted(text):
    return fact(POSTED, (1, text))


POSTED_BESIDE = fact(POSTED, (2, 1))  # announces a memfd


class Memory:
    """The daemon's memory, from now on."""

    def __init__(self, t):
        self.t, self.before = t, self.bytes_now(t)

    @staticmethod
    def bytes_now(t):
        with open(f"/proc/{t.daemon.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def grew_less_than(self, mib):
        now = self.bytes_now(self.t)
        check(SANITIZED or now < self.before + mib * (1 << 20),
              f"the daemon's memory is bounded: {self.before} bytes before, now {now}")


class Latency:
    """How long another client waits for an answer, meanwhile."""

    def __init__(self, t):
        self.client = connect(t)

    def worst_ms(self, seconds, share=0.99):
        times, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            start = time.monotonic()
            self.client.vms()
            times.append(time.monotonic() - start)
        times.sort()
        return times[min(len(times) - 1, int(len(times) * share))] * 1000

    def close(self):
        self.client.close()


def golden(t):
    """tests/hostile/syscalls.golden: {number: (name, {argument: [(mask, value)]}, refused)}"""
    rows = {}
    with open(os.path.join(t.source, "tests", "hostile", "syscalls.golden"), encoding="ascii") as f:
        for line in f:
            head, rules, caller = (part.strip() for part in line.split("|"))
            number, name = head.split()
            choices = {}
            for rule in rules.split():
                argument, _, values = rule.partition(":")
                mask, _, value = values.partition("/")
                choices.setdefault(int(argument), []).append((int(mask, 16), int(value, 16)))
            check(caller and int(number) not in rows, f"one row, with its caller: {line}")
            rows[int(number)] = (name, choices, caller.startswith("refused"))
    return rows


def frame_of_length(length):
    return struct.pack(">I", length)
