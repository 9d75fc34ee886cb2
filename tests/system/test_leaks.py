"""VMs come and go, by every way that there is: nothing of them is left, and nothing else is hurt."""

import os
import random
import shutil
import signal
import subprocess
import time

import api as api_client
from harness import cgroup_folder, check, equal, folders_of_daemon, is_zombie, kill_quietly, wait_until
from leaks import Account, no_strays, zygotes
from storm import PROGRAMS, Volley, connect, volley

CYCLES = int(os.environ.get("STILLPOINT_CYCLES") or 10_000)
AT_ONCE = 8
REST_AFTER = 50  # VMs: none is kept ready while one follows the other

# What the program does of itself, and the signal that it dies of; None: it waits, and is killed.
ENDS = {
    "killed": (None, 9),            # by request
    "signalled": (None, 9),         # by SIGKILL from outside
    "killed at birth": (None, 9),   # by name, before anybody knows whether it was born
    "exits": ("exit 3", 0),
    "fails": ("fail on purpose", 0),
    "traps": ("crash", signal.SIGILL),
    "segv": ("crash segv", signal.SIGSEGV),
    "stack": ("crash stack", signal.SIGSEGV),
    "bad call": ("syscall 57", signal.SIGSYS),  # fork, which its filter does not let through
}
ANSWERS = {"served", "internal", "cancelled", "not_found", "wrong_state", "program_failed"}


class Cycles:
    """So many VMs, AT_ONCE at a time: born, ended in one of these ways, waited for."""

    def __init__(self, t, count, seed):
        self.t, self.client, self.rng, self.left = t, connect(t, Volley), random.Random(seed), count
        self.api, self.open, self.number, self.ways = self.client.api, 0, 0, {}
        self.batch, self.rests, self.kept, self.given = 0, 0, None, 0

    def start(self):
        self.left -= 1
        self.batch -= 1
        self.open += 1
        self.number += 1
        how = self.rng.choice(list(ENDS))
        self.ways[how] = self.ways.get(how, 0) + 1
        api, name = self.api, f"c{self.number}"
        text, _ = ENDS[how]
        if text is None and self.rng.random() < 0.3:
            engine, text = "mozjs", PROGRAMS[self.rng.choice(("idles", "blocks", "naps", "prints"))]
        else:
            engine, text = "fake", text or self.rng.choice(("idle", "sleep 600000", "every 5 x"))
        fd = api_client.memfd(text.encode())
        self.client.fire(lambda outcome, reply: self.born(how, name, outcome, reply), fd,
                         run_vm=api.RunVm(program="c.js", name=name, engine=engine, keep_idle=True))
        os.close(fd)
        if how == "killed at birth":
            self.client.fire(self.whatever, kill_vm=api.KillVm(vm=name))

    @staticmethod
    def whatever(outcome, reply):
        check(outcome in ANSWERS, f"{outcome}: {reply}")

    def born(self, how, name, outcome, reply):
        self.whatever(outcome, reply)
        self.given += outcome == "served" and reply.vm_reply.vm.pid == self.kept
        if outcome == "served" and how == "killed":
            self.client.fire(self.whatever, kill_vm=self.api.KillVm(vm=name))
        elif outcome == "served" and how == "signalled":
            # Not reaped before we wait for it below, so that the number is nobody else's.
            os.kill(reply.vm_reply.vm.pid, signal.SIGKILL)
        self.client.fire(lambda *answer: self.ended(how, *answer), wait_vm=self.api.WaitVm(vm=name))

    def ended(self, how, outcome, reply):
        self.open -= 1
        if how == "killed at birth":
            check(outcome in ("served", "not_found"), f"{how}: {outcome}: {reply}")
            return
        equal(outcome, "served", f"{how}: {reply}")
        equal(reply.vm_reply.vm.exit.signal, ENDS[how][1], f"{how}: {reply}")

    def run(self):
        def go_on():
            while self.batch and self.open < AT_ONCE:
                self.start()
            return self.open or self.client.open
        while self.left:
            self.batch = min(self.left, REST_AFTER)
            volley([self.client], go_on)
            equal(self.client.open, {}, "all is answered")
            if self.t.daemon.keeps_spare:
                self.rest()
        self.client.close()

    def rest(self):
        """Nobody asks for a VM until one is kept ready, which the next may get."""
        self.rests += 1
        self.kept = wait_until(self.t.daemon.workers, "one is kept ready")[0]


def end_spare(t):
    """The worker that is kept ready is ended, where there is no VM. Any other that is there was leaked."""
    if not t.daemon.keeps_spare:
        wait_until(lambda: not t.daemon.workers(), "no worker is left")
        return
    client, there = connect(t), []

    def is_given():
        # Then none that came before is kept ready, nor dies because somebody else was asked for.
        there[:] = t.daemon.workers()
        vm = client.run("c.js", "idle\n", engine="fake")
        client.request(kill_vm=client.api.KillVm(vm=str(vm.id)))
        wait_until(lambda: vm.pid not in t.daemon.workers(), "it is gone")
        return vm.pid in there
    wait_until(is_given, "the one that is kept ready becomes a VM")
    client.close()
    spare = wait_until(lambda: set(t.daemon.workers()).difference(there), "another is made")
    wait_until(lambda: set(t.daemon.workers()) == spare, "no worker but that one is left")
    kill_quietly(spare.pop())
    wait_until(lambda: not t.daemon.workers(), "and that is ended")


def test_vms_come_and_go_and_nothing_is_left(t):
    # What is made once, or kept up to a limit (exited VMs, their logs, events), is there then.
    Cycles(t, 2500, 1).run()
    client = connect(t)
    equal(len(client.vms(everything=True)), 256, "exited VMs that are kept")
    client.close()
    end_spare(t)
    before = Account(t)
    began, cycles = time.monotonic(), Cycles(t, CYCLES, 2)
    cycles.run()
    took = time.monotonic() - began
    end_spare(t)
    rss = before.same_again(rss_percent=5)
    kept = f"{cycles.given} times the one kept ready" if t.daemon.keeps_spare else "none kept ready"
    check(cycles.given >= cycles.rests // 4, f"{cycles.given} got the one that was kept ready, of {cycles.rests}")
    print(f"# {CYCLES} in {took:.0f} s, {CYCLES / took:.0f}/s, {kept}; daemon {before.rss} KiB, then {rss}; {cycles.ways}")


# ---- kill -9

def pids_of(client):
    return [vm.pid for vm in client.vms()]


def gone(pids):
    return not [p for p in pids if not is_zombie(p)]


def test_200_workers_die_with_a_daemon_that_is_killed_and_the_next_one_sweeps(t):
    t.start_daemon()
    client = connect(t, Volley)
    for i in range(200):
        fd = api_client.memfd(b"busy\n" if i % 20 == 0 else b"idle\n")
        client.fire(lambda outcome, reply: equal(outcome, "served", reply), fd,
                    run_vm=client.api.RunVm(program="w", engine="fake", keep_idle=True))
        os.close(fd)
        volley([client], lambda: len(client.open) > AT_ONCE)
    volley([client], lambda: client.open)
    watch = connect(t)
    pids, before = pids_of(watch), zygotes(t.daemon.pid)
    equal(len(pids), 200)
    folders = folders_of_daemon(t.daemon.pid)
    began = time.monotonic()
    t.daemon.process.kill()
    t.daemon.process.wait()
    wait_until(lambda: gone(pids), "all workers are dead", 4)
    took = time.monotonic() - began
    wait_until(lambda: gone(before), "and the zygotes")
    client.close()
    watch.close()
    check(os.path.exists(t.daemon.socket), "its socket is left")
    if cgroup_folder("/"):
        equal([os.path.exists(f) for f in folders], [True] * len(folders), "its cgroups are left")
    t.start_daemon()  # on the same socket
    equal([f for f in folders if os.path.exists(f)], [], "the next daemon removes them")
    t.spawn("new", "0")
    print(f"# 200 workers had died {took * 1000:.0f} ms after SIGKILL was sent")


def kill_zygotes(t):
    found = zygotes(t.daemon.pid)
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return found


def test_the_zygote_is_killed_while_it_gives_birth_again_and_again(t):
    t.without_spare("a worker that is no VM is what must not be there")
    client, rng = connect(t, Volley), random.Random(31)
    watch = connect(t)
    old = watch.run("old.js", "globalThis.ping = () => 'pong'")
    outcomes, births = {}, 0

    def then(outcome, reply):
        check(outcome in ("served", "internal"), f"{outcome}: {reply}")
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    for number in range(8):
        for i in range(rng.randrange(2, 8)):
            fd = api_client.memfd(b"idle\n")
            client.fire(then, fd, run_vm=client.api.RunVm(program="z", engine="fake", keep_idle=True))
            os.close(fd)
            births += 1
            if i == number % 3:
                kill_zygotes(t)
        volley([client], lambda: client.open)
        call = client.api.CallFunction(vm=str(old.id), function="ping", timeout_us=20_000_000)
        equal(watch.request(call_function=call).call_reply.json, '"pong"', "others live on")

        def reborn():
            try:
                return watch.run("x", "idle\n", engine="fake")
            except api_client.ApiError:
                return None
        wait_until(reborn, "there is a zygote again")
        no_strays(t.daemon.pid, watch.vms())
    equal(sum(outcomes.values()), births, "every request is answered")
    print(f"# {outcomes}")
    client.close()
    watch.close()


def test_a_zygote_that_dies_between_birth_and_answer_leaves_no_worker_and_no_zombie(t):
    """strace kills it as it enters its first sendmsg: the worker has been cloned by then."""
    t.without_spare("a worker that is no VM is what must not be there")
    strace = shutil.which("strace")
    if not strace:
        t.skip("strace is not installed")
    client = connect(t)
    zygote, = [p for p in zygotes(t.daemon.pid) if os.readlink(f"/proc/{p}/exe").endswith("-fake")]
    tracer = subprocess.Popen(
        [strace, "-qq", "-o", os.path.join(t.work, "strace"), "-p", str(zygote), "-e", "trace=sendmsg",
         "-e", "inject=sendmsg:signal=KILL:when=1"],
        env=t.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    t.running.append(tracer)
    wait_until(lambda: tracer.poll() is not None or traced_by(zygote) == tracer.pid, "it is traced")
    if tracer.poll() is not None:
        t.skip(f"strace cannot trace here: {tracer.stderr.read().strip()[:100]}")
    try:
        client.run("lost", "idle\n", engine="fake")
        check(False, "the birth has no answer")
    except api_client.ApiError as e:
        check("zygote" in str(e), e)
    wait_until(lambda: "did not say so" in t.daemon.log_text(), "the daemon has found the worker")
    no_strays(t.daemon.pid, client.vms())

    def runs_again():
        try:
            client.run("next", "idle\n", engine="fake")
        except api_client.ApiError as e:
            check("being started" in str(e), e)
            return False
        return True
    wait_until(runs_again, "there is a zygote again")
    client.close()


def traced_by(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("TracerPid:"))
    except OSError:
        return 0
