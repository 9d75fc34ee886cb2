"""An attacker who owns a worker, in the real sandbox: what it can do, and what it can do to others.

One test for each case; tests/hostile/ has the worker.
"""

import ctypes
import fcntl
import itertools
import json
import mmap
import os
import signal
import time

import api as api_client
import wire
from debugging import Debugging
from harness import cgroup_folder, cgroup_of, check, equal, wait_until
from hostile import (AUDITED, BORN, BREAKPOINT_BOUND, CALL_DONE, EXITING, HIT, HOOK_ENDED, IMPORT_WANTED, INSPECTED,
                     LOADED, LONG, PART, PAUSED, POSTED_BESIDE, READY, STDIN_WANTED, Attacker, Latency, Memory, console, fact, golden, hostile_program, posted, size)
from storm import connect

# More than any kernel has today.
NUMBERS = range(0, 512)
TOO_MUCH = 1_000_000

# Where zeros would wait for ever, or end what has to tell.
ARGUMENTS = {"ppoll": {2: 1}}


# uretprobe and uprobe: newer kernels ask no filter about them, since they insert them into programs
# themselves. Made by anybody else they do nothing, and fail or are a fault.
UNFILTERED = {335, 336}


def call(kind, number, arguments=None):
    values = [0] * 6
    for at, value in (arguments or {}).items():
        values[at] = value
    return f"{kind} {number} " + " ".join(map(str, values))


def fallocate(fd, mode, start, length):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(fd, mode, ctypes.c_long(start), ctypes.c_long(length)) != 0:
        raise OSError(ctypes.get_errno(), "fallocate")


def landlock_abi():
    """As the kernel says it, whatever a posture does; below 1 there is none."""
    return ctypes.CDLL(None).syscall(ctypes.c_long(444), None, ctypes.c_size_t(0), ctypes.c_uint(1))


def stands(pid):
    """Whether the kernel keeps all threads of a process from running."""
    folder = cgroup_folder(cgroup_of(pid))
    if folder and "/vm-" in folder:
        with open(f"{folder}/cgroup.events", encoding="ascii") as f:
            return "frozen 1" in f.read()
    states = set()
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii", errors="replace") as f:
            states.add(f.read().rsplit(")", 1)[1].split()[0])
    return "T" in states and states <= {"T", "Z"}


def loading(a, *acts):
    """Starts one that does not come as far as to be loaded."""
    try:
        check(not a.start(*acts, name="loading"), "it was loaded")
    except api_client.ApiError:
        return a.find("loading", *acts)


def let_through(attack):
    """The filter did; the kernel may still have refused, or the call have ended the worker."""
    return attack.how() != "seccomp"


def fair(rows, number):
    """Arguments that pass."""
    name, choices, _ = rows[number]
    return {**ARGUMENTS.get(name, {}), **{at: pairs[0][1] for at, pairs in choices.items()}}


def check_call(rows, number):
    act = call("x64", number, fair(rows, number) if number in rows else {})
    if rows.get(number, [""])[0] == "exit":
        act = "helper " + act  # the thread that tells has to live
    return ([act, "print done"], {})


def test_c01_every_syscall_once_equals_the_golden_file(t):
    rows = golden(t)
    check(len(rows) <= 28, f"{len(rows)} system calls are more than 28")
    printed = t.run([hostile_program(t), "--print-seccomp"]).out.splitlines()
    equal(sorted(line.split()[0] for line in printed), sorted(row[0] for row in rows.values()),
          "the golden file is not that of worker/seccomp_table.c: see make update-golden")
    with Attacker(t) as a:
        attacks = a.run_all([check_call(rows, n) for n in NUMBERS])
        passed = {n for n, attack in zip(NUMBERS, attacks) if let_through(attack)}
        for n in passed & UNFILTERED:
            text = attacks[n].text
            check(attacks[n].exit.signal == 4 or text.startswith("returned -"), f"{n}: {attacks[n]}")
        equal(passed - UNFILTERED, set(rows), "what the kernel let through")
        for n in rows:
            text = attacks[n].text
            check(rows[n][0] in ("exit_group", "rt_sigreturn") or "done" in text, f"{rows[n][0]} {attacks[n]}")
            if rows[n][2]:
                equal(text, "returned -13\ndone\n", f"{rows[n][0]} is refused")
        for n in set(NUMBERS) - set(rows) - UNFILTERED:
            equal((attacks[n].exit.signal, attacks[n].exit.code, attacks[n].text), (31, 128 + 31, ""), n)


def test_c01_no_syscall_of_another_architecture_is_let_through(t):
    with Attacker(t) as a:
        for kind in ("x32", "i386"):
            attacks = a.run_all([([call(kind, n)], {}) for n in NUMBERS])
            for n, attack in zip(NUMBERS, attacks):
                # A kernel without int 0x80 raises a fault before any filter is asked.
                dead = ("seccomp",) if kind == "x32" else ("seccomp", "crashed")
                check(attack.how() in dead and not attack.text, f"{kind} {n}: {attack}")


def test_c02_each_argument_rule_holds_for_all_64_bits(t):
    rows = golden(t)
    ruled = {n: row for n, row in rows.items() if row[1]}
    check(len(ruled) >= 10, ruled)
    good, bad = [], []
    for n, (name, choices, _) in ruled.items():
        others = ARGUMENTS.get(name, {})
        for at, pairs in choices.items():
            for mask, value in pairs:
                good.append((n, {**fair(rows, n), at: value}))
            free = set.intersection(*({b for b in range(64) if not mask >> b & 1} for mask, _ in pairs))
            wrong = {v + TOO_MUCH for _, v in pairs} | {v | 1 << 32 for _, v in pairs}
            wrong |= {v ^ 1 << b for (_, v), b in itertools.product(pairs, range(64)) if b not in free}
            for value in wrong:
                if not any(value & mask == v for mask, v in pairs):
                    bad.append((n, {**fair(rows, n), **others, at: value}))
    with Attacker(t) as a:
        for wanted, cases in ((True, good), (False, bad)):
            attacks = a.run_all([([call("x64", n, arguments)], {}) for n, arguments in cases])
            for (n, arguments), attack in zip(cases, attacks):
                equal(let_through(attack), wanted, f"{rows[n][0]} with {arguments}: {attack}")


def test_c03_nothing_opens_and_no_descriptor_is_inherited(t):
    with Attacker(t) as a:
        attack = a.run("fds")
        equal(sorted(attack.text.splitlines()),
              ["fd 0 is a device", "fd 1 is a device", "fd 2 is a device", "fd 3 is a socket",
               "fd 4 is a anonymous", "fd 5 is a anonymous"], "what it was given")
        names = {"open": 2, "execve": 59, "execveat": 322, "openat2": 437, "open_by_handle_at": 304,
                 "creat": 85, "chdir": 80, "fchdir": 81, "readlink": 89, "getdents64": 217, "name_to_handle_at": 303,
                 "dup": 32, "dup3": 292, "pidfd_getfd": 438, "pipe2": 293, "statx": 332, "stat": 4}
        for (name, n), attack in zip(names.items(), a.run_all([([call("x64", n)], {}) for n in names.values()])):
            equal((attack.how(), attack.text), ("seccomp", ""), name)
        # openat is the one that fails instead: whatever it is asked for.
        for flags in (0, 0o101, 0o200000, 0o20200002):
            attack = a.run(call("x64", 257, {0: (1 << 64) - 100, 1: 0, 2: flags}), call("x64", 257, {0: 3, 2: flags}))
            equal(attack.text, "returned -13\nreturned -13\n", flags)


def test_c03_the_sandbox_alone_opens_nothing(t):
    """As an engine sees it before the filter stands: each layer below seccomp holds by itself."""
    with Attacker(t) as a:
        attack = a.run("sandbox", debug=True)
        said = dict(line.split(": ", 1) for line in attack.text.splitlines())
        equal((said.pop("processes seen"), said.pop("processes read")), ("0", "0"), attack)
        equal((said.pop("own pid"), said.pop("name of the host")), ("1", "vm"))
        equal(said.pop("dumpable"), "done")
        equal(said.pop("stat /proc"), "ENOENT", "its root is empty")
        equal(said.pop("open /"), "EACCES" if landlock_abi() > 0 else "done", "and nothing of it may be opened")
        check(len(said) >= 14, said)
        for what, result in said.items():
            allowed = {"kill everybody": ("ESRCH", "done"), "open /sys": ("ENOENT", "EACCES")}.get(
                what, ("EACCES", "ENOENT", "EROFS", "EPERM", "ESRCH", "EINVAL", "ECONNREFUSED"))
            check(result in allowed, f"{what}: {result}")


def test_c04_no_socket_of_any_family(t):
    numbers = {"socket": 41, "socketpair": 53, "connect": 42, "accept": 43, "accept4": 288, "bind": 49, "listen": 50,
               "sendto": 44, "recvfrom": 45, "setsockopt": 54, "getsockopt": 55, "shutdown": 48}
    with Attacker(t) as a:
        cases = [call("x64", 41, {0: family, 1: kind}) for family in range(0, 48) for kind in (1, 2, 3)]
        cases += [call("x64", n, {0: 3}) for n in numbers.values()]
        for case, attack in zip(cases, a.run_all([([c], {}) for c in cases])):
            equal((attack.how(), attack.text), ("seccomp", ""), case)


def test_c05_no_other_process_is_reached(t):
    numbers = {"kill": 62, "tkill": 200, "tgkill": 234, "ptrace": 101, "process_vm_readv": 310, "kcmp": 312,
               "process_vm_writev": 311, "pidfd_open": 434, "pidfd_getfd": 438, "pidfd_send_signal": 424,
               "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "process_madvise": 440, "process_mrelease": 448,
               "move_pages": 279, "migrate_pages": 256, "sched_setaffinity": 203, "prlimit64": 302, "setpriority": 141}
    with Attacker(t) as a:
        sibling = a.start("idle", "print up")
        a.says(sibling, "up")
        targets = [(1 << 64) - 1, 0, 1, sibling.vm.pid, t.daemon.pid, os.getpid()]
        cases = [call("x64", n, {0: pid, 1: 9 if n in (62, 200) else 16}) for n in numbers.values() for pid in targets]
        for case, attack in zip(cases, a.run_all([([c], {}) for c in cases])):
            equal((attack.how(), attack.text), ("seccomp", ""), case)
        equal(a.get(sibling).state, a.api.VM_STATE_IDLE, "the sibling lives")
        a.kill(sibling)


def test_c06_no_way_to_more_rights(t):
    numbers = {"setuid": 105, "setresuid": 117, "setgid": 106, "setgroups": 116, "capset": 126, "unshare": 272,
               "setns": 308, "mount": 165, "umount2": 166, "move_mount": 429, "fsopen": 430, "open_tree": 428,
               "pivot_root": 155, "chroot": 161, "keyctl": 250, "add_key": 248, "request_key": 249, "bpf": 321,
               "perf_event_open": 298, "userfaultfd": 323, "io_uring_setup": 425, "io_uring_enter": 426,
               "io_uring_register": 427, "prctl": 157, "seccomp": 317, "personality": 135, "init_module": 175,
               "finit_module": 313, "kexec_load": 246, "reboot": 169, "iopl": 172, "ioperm": 173, "modify_ldt": 154,
               "arch_prctl": 158, "ioctl": 16, "landlock_restrict_self": 446, "memfd_secret": 447, "vmsplice": 278,
               "splice": 275, "clone": 56, "fork": 57, "vfork": 58, "clone3": 435, "shmget": 29, "mq_open": 240,
               "inotify_init1": 294, "fanotify_init": 300, "timer_create": 222, "signalfd4": 289, "setrlimit": 160,
               "ftruncate": 77, "fallocate": 285, "mlock": 149, "mlockall": 151, "remap_file_pages": 216}
    with Attacker(t) as a:
        for (name, n), attack in zip(numbers.items(), a.run_all([([call("x64", n)], {}) for n in numbers.values()])):
            equal((attack.how(), attack.text), ("seccomp", ""), name)


def test_c07_a_fork_bomb_makes_no_process(t):
    with Attacker(t) as a:
        tasks = len(os.listdir("/proc"))
        bombs = [([call("x64", n, {0: flags})], {}) for n in (56, 57, 58, 435) for flags in (0, 17, 0x50f00, 0x3d0f00)]
        for attack in a.run_all(bombs * size(4, 100)):
            equal((attack.how(), attack.text), ("seccomp", ""), attack.acts)
        check(len(os.listdir("/proc")) < tasks + 100, "no processes are left")


def test_c08_memory_past_the_limit_is_the_end_of_that_vm_alone(t):
    with Attacker(t) as a:
        latency, memory = Latency(t), Memory(t)
        for kind in ("private", "brk", "stack", "memfd", "shared", "locked", "tables"):
            start = time.monotonic()
            attack = a.run(f"hog {kind}", memory_bytes=16 << 20)
            # HARD_MEMORY of the daemon: 2 * 16 + 256 MB.
            took = time.monotonic() - start
            check(attack.how() != "lives" and took < 20, f"{kind}: {took} s {attack}")
            steps = [int(line.split()[3]) for line in attack.text.splitlines() if "no more" in line]
            check(not steps or steps[0] <= 400, f"{kind}: {attack}")
        memory.grew_less_than(4)
        latency.close()


def test_c09_computing_for_ever_keeps_nobody_waiting(t):
    with Attacker(t) as a:
        spinners = [a.start("spin") for _ in range(8)]
        latency = Latency(t)
        check(latency.worst_ms(1) < 1000, "another client is served")
        latency.close()
        for attack in spinners:
            equal(a.kill(attack).how(), "killed")


def test_c10_one_that_ignores_interrupts_is_enforced_and_can_be_killed(t):
    with Attacker(t) as a:
        attack = a.start("print up", "spin")
        a.says(attack, "up")
        report = a.client.request(stop_world=a.api.StopWorld(
            world="default", deadline_us=100_000, enforce=True)).stop_report
        how = {r.vm: r.how for r in report.arrivals}
        equal((list(report.missing), how), ([attack.vm.id], {attack.vm.id: a.api.HOW_ENFORCED}), report)
        check(stands(attack.vm.pid), "the kernel keeps it from running")
        equal(a.kill(attack).how(), "killed")
        a.client.resume()


def test_c11_blocked_signals_and_grandchildren_survive_nothing(t):
    with Attacker(t) as a:
        for ending in ("x64 231", "die ill", "spin"):
            attack = a.start("block", "apart spin", ending)
            if ending == "spin":
                a.says(attack, "blocked: 0")
                a.kill(attack)
            else:
                a.ended(attack)
            check("blocked: 0" in attack.text, attack)
            check(not os.path.exists(f"/proc/{attack.vm.pid}"), f"{attack} is gone with all its threads")
        # A thread whose leader has ended is no way to survive, nor to be overlooked.
        attack = a.start("block", "leader")
        a.says(attack, "the main thread ends")
        report = a.client.request(stop_world=a.api.StopWorld(
            world="default", deadline_us=100_000, enforce=True)).stop_report
        equal([r.how for r in report.arrivals], [a.api.HOW_ENFORCED], report)
        check(stands(attack.vm.pid), "its other thread is kept from running")
        a.client.resume()
        equal(a.kill(attack).how(), "killed")


def test_c12_garbage_in_every_status_page_is_never_acted_on(t):
    with Attacker(t) as a:
        attackers = [a.start("apart race", f"garbage {n}") for n in range(size(6, 64))]
        others = [a.client.run("ticks.js", "setInterval(() => {}, 1)") for _ in range(2)]
        latency = Latency(t)
        for number in range(size(20, 2000)):
            report = a.client.request(stop_world=a.api.StopWorld(
                world="default", deadline_us=50_000, enforce=number % 4 == 3,
                require_idle=number % 4 == 2)).stop_report
            known = {attack.vm.id for attack in attackers} | {vm.id for vm in others}
            equal({r.vm for r in report.arrivals} | set(report.missing), known, report)
            honest = {r.vm: r for r in report.arrivals if r.vm in {vm.id for vm in others}}
            equal(len(honest), 2, "those that do not lie have arrived")
            now_us = time.monotonic_ns() // 1000
            for r in report.arrivals:
                check(r.elapsed_us < now_us and r.elapsed_us < 60_000_000, r)
            for vm in a.client.vms():
                check(vm.state in a.api.VmState.values(), vm)
            a.client.resume()
        check(latency.worst_ms(0.5) < 1000, "another client is served")
        latency.close()
        for attack in attackers:
            # What it says of itself may be the reason that is shown, and nothing worse.
            check(a.kill(attack).how() in ("killed", "oom"), attack)
        for vm in others:
            a.client.request(kill_vm=a.api.KillVm(vm=str(vm.id)))


def test_c12_kicks_without_end_keep_nobody_waiting(t):
    with Attacker(t) as a:
        attackers = [a.start("kick 0") for _ in range(4)]
        latency = Latency(t)
        check(latency.worst_ms(1) < 1000, "another client is served")
        latency.close()
        for attack in attackers:
            equal(a.kill(attack).how(), "killed")


def test_c13_shared_pages_cannot_be_resized_holed_or_resealed(t):
    with Attacker(t) as a:
        attack = a.run("unlock world", "unlock command")
        equal(attack.text, "unlock world: EACCES\nunlock command: EACCES\n")
        for act in ("write world", "write command", "grow"):
            attack = a.run(act)
            check(attack.how() == "crashed" and not attack.text, attack)
        page_of = {"fcntl": 72, "ftruncate": 77, "fallocate": 285, "pwrite64": 18, "msync": 26, "process_vm_writev": 311}
        for (name, n), attack in zip(page_of.items(), a.run_all([([call("x64", n)], {}) for n in page_of.values()])):
            equal(attack.how(), "seccomp", name)
        # Holes by madvise: MADV_REMOVE, MADV_PAGEOUT, MADV_COLD, MADV_WIPEONFORK …
        for attack in a.run_all([([call("x64", 28, {2: n})], {}) for n in (3, 9, 12, 18, 20, 21, 22, 25, 100)]):
            equal(attack.how(), "seccomp", attack)


def test_c13_the_seals_hold_for_whoever_has_the_descriptor(t):
    with Attacker(t) as a:
        attack = a.start("idle", "print up")
        a.says(attack, "up")
        try:
            fds = [f"/proc/{t.daemon.pid}/fd/{fd}" for fd in os.listdir(f"/proc/{t.daemon.pid}/fd")]
            pages = [fd for fd in fds if "stillpoint-world" in os.readlink(fd)]
        except PermissionError:
            t.skip("only root may look into the daemon: it is not dumpable")
        check(pages, "the world page")
        for page in pages:
            fd = os.open(page, os.O_RDWR)
            try:
                for what, act in (("ftruncate", lambda: os.ftruncate(fd, 0)), ("write", lambda: os.write(fd, b"\xff" * 8)),
                                  ("grow", lambda: os.ftruncate(fd, 1 << 20)),
                                  ("punch", lambda: fallocate(fd, 3, 0, 4096)),
                                  ("reseal", lambda: fcntl.fcntl(fd, 1033, 1)),
                                  ("map", lambda: mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE))):
                    try:
                        act()
                        check(False, f"{what} was not refused")
                    except PermissionError:
                        pass
            finally:
                os.close(fd)
        a.kill(attack)


def test_c14_descriptors_by_the_thousand_are_closed(t):
    with Attacker(t) as a:
        equal([a.run(call("x64", n)).how() for n in (319, 290, 213, 283, 22)], ["seccomp"] * 5, "it makes none")
        for kind in ("null", "event", "channel", "pidfd", "memfd"):
            for count in (1, 2, 8, 9, 250):
                for body in (POSTED_BESIDE, console("x")):
                    attack = a.run(f"with {kind} {count} {body}", "deaf", debug=kind in ("pidfd", "memfd"))
                    check(attack.how() == "crashed" and "protocol violation" in attack.exit.detail,
                          f"{kind} {count}: {attack}")
        # Ten thousand in all, by many at a time, each of them with the most that the kernel takes.
        attacks = a.run_all([([f"with null 250 {POSTED_BESIDE}"] * 4 + ["deaf"], {})] * size(40, 400))
        equal({attack.how() for attack in attacks}, {"crashed"})


def test_c14_those_under_way_keep_no_sibling_from_sending(t):
    """The kernel counts descriptors under way for all processes of a user together."""
    with Attacker(t) as a:
        hoarders = [a.start("print up", "deaf") for _ in range(4)]
        for attack in hoarders:
            a.says(attack, "up")
            try:
                for _ in range(200):
                    a.client.request(send_message=a.api.SendMessage(vm=str(attack.vm.id), json='"%s"' % ("x" * 40000)))
            except api_client.ApiError as e:
                equal(e.code, a.api.ERROR_LIMIT_EXCEEDED)
        vm = a.client.run("honest.js", "globalThis.big = () => 'x'.repeat(200000)")
        for _ in range(20):
            reply = a.client.request(call_function=a.api.CallFunction(vm=str(vm.id), function="big")).call_reply
            check(len(reply.json) > 200000, "an honest sibling answers with a memfd")
        a.client.request(kill_vm=a.api.KillVm(vm=str(vm.id)))
        for attack in hoarders:
            a.kill(attack)


FORGED = ("\nstillpointd: vm 1 (root): all is well\r\x1b[2J\x1b]0;title\x07\x9b31m\n"
          "<0>kernel: panic\n\u2028\u202egnihton\x00\n")


def test_c15_a_flood_of_forged_lines_is_bounded_and_forges_none(t):
    with Attacker(t) as a:
        memory, latency = Memory(t), Latency(t)
        text = (FORGED * 300).encode()[:32000].hex()
        attackers = [a.start(f"chat {size(2, 30)} {text}") for _ in range(2)]
        check(latency.worst_ms(size(2, 30)) < 1000, "another client is served")
        latency.close()
        for attack in attackers:
            a.ended(attack)
            check(len(a.client.log(attack.vm.id)) * 32000 < 600_000, "what is kept is bounded")
        memory.grew_less_than(24)
        log = t.daemon.log_text()
        check("all is well" not in log and "panic" not in log and "\x1b" not in log, log[-2000:])


def test_c15_no_text_of_a_worker_makes_a_line_of_somebody_else(t):
    bad = FORGED.encode()
    with Attacker(t) as a:
        for body in (fact(EXITING, (1, 2), (2, 1), (3, bad)), fact(LOADED, (1, bad)), fact(BORN, (1, bad)),
                     fact(INSPECTED, (1, 1), (2, bad)), fact(HOOK_ENDED, (1, bad)), fact(IMPORT_WANTED, (1, 1), (2, bad)),
                     fact(AUDITED, (1, 1), (3, 1), (5, bad)), fact(BREAKPOINT_BOUND, (1, 1), (4, bad))):
            attack = a.run(f"fact {body}", "deaf")
            check(attack.how() == "crashed" and "protocol violation" in attack.exit.detail, attack)
            check("\n" not in attack.exit.detail and "\x1b" not in attack.exit.detail, attack)
        # What it posts as JSON is not believed to be such: one line stays one line.
        attack = a.run(*[f"fact {posted(text)}" for text in (
            '1}\n{"seq":1,"kind":"vm-ended","vm":1,"name":"forged"}', "\x1b[2J", '"\\u001b[2J"', "{", "")], "print done")
        equal(attack.text, "done\n")
        for line in t.ctl("-o", "jsonl", "events").out.splitlines():
            check(json.loads(line).get("name") != "forged", line)
        plain = t.ctl("events").out
        check("\x1b" not in plain and "\n{" not in plain, plain)
        log = t.daemon.log_text()
        check("all is well" not in log and "\x1b" not in log, log[-2000:])


def test_c16_one_that_never_reads_is_bounded_and_ended_at_the_limit(t):
    with Attacker(t) as a:
        memory = Memory(t)
        for acts in (("deaf",), ("sip",)):
            attack = a.start("print up", *acts)
            a.says(attack, "up")
            accepted = 0
            try:
                for accepted in range(3000):
                    request = a.api.SendMessage(vm=str(attack.vm.id), json='"%s"' % ("x" * 4000))
                    a.client.request(send_message=request)
            except api_client.ApiError as e:
                equal(e.code, a.api.ERROR_LIMIT_EXCEEDED)
            check(accepted < 2999, "no more than that is queued")
            equal(a.kill(attack).how(), "killed")
        # It makes the daemon talk, and does not listen: the acks pile up.
        for body in (posted("x" * 1000), posted("x" * 60000)):
            attack = a.run(f"flood 60 {body}")
            check(attack.how() == "crashed" and "until it is acknowledged" in attack.exit.detail, attack)
        memory.grew_less_than(16)


def test_c16_more_console_than_was_acknowledged_ends_the_worker_and_not_its_client(t):
    with Attacker(t) as a:
        other = connect(t)  # the console of that VM goes to it, and it does not read
        fd = api_client.memfd(f"flood 20 {console('x' * 30000)}\n".encode())
        request = other.api.RunVm(program="attack", engine="fake", attach=True, name="attack")
        other.request(fd, run_vm=request)
        os.close(fd)
        wait = a.api.WaitVm(vm="attack", timeout_us=LONG)
        setattr(wait, "for", a.api.WAIT_FOR_EXITED)
        ended = a.client.request(wait_vm=wait).vm_reply.vm
        check("unacknowledged" in ended.exit.detail, ended)
        equal(len(other.vms()), 0, "its client is served")
        other.close()


def test_c17_one_that_is_stopped_by_a_signal_misses_its_deadline(t):
    with Attacker(t) as a:
        attack = a.start("print up", "spin")
        a.says(attack, "up")
        # Inside of its sandbox it has no way to do that to itself.
        for sender in (call("x64", 62, {0: 1, 1: 19}), call("x64", 234, {0: 1, 1: 1, 2: 19}), call("x64", 200, {0: 1, 1: 19})):
            equal(a.run(sender).how(), "seccomp")
        os.kill(attack.vm.pid, signal.SIGSTOP)
        start = time.monotonic()
        report = a.client.request(stop_world=a.api.StopWorld(world="default", deadline_us=100_000)).stop_report
        check(time.monotonic() - start < 5, "the deadline acts")
        equal(list(report.missing), [attack.vm.id])
        equal(a.kill(attack).how(), "killed")
        a.client.resume()


def test_c18_one_that_acks_and_runs_on_is_caught_by_enforce(t):
    with Attacker(t) as a:
        attack = a.start("print up", "obey 1000", "deaf")
        a.says(attack, "up")
        for _ in range(3):
            a.client.stop()  # without --enforce it is believed
            a.client.resume()
        report = a.client.request(stop_world=a.api.StopWorld(
            world="default", deadline_us=LONG, enforce=True)).stop_report
        equal([(r.vm, r.how, r.lied) for r in report.arrivals], [(attack.vm.id, a.api.HOW_ENFORCED, True)], report)
        check(stands(attack.vm.pid), "and does not run")
        a.client.resume()
        equal(a.kill(attack).how(), "killed")


def test_c19_generations_that_are_not_the_present_one_are_no_ack(t):
    with Attacker(t) as a:
        honest = a.client.run("honest.js", "for (;;);")
        # state 4 is parked; 0 starting, 2 idle, 3 blocked, 5 evaluating; others are none.
        for epoch, how in (("0", a.api.HOW_HELD), ("now-1", a.api.HOW_HELD), ("now+1000000", a.api.HOW_HELD),
                           ("72057594037927935", a.api.HOW_HELD)):
            attack = a.start(f"say 4 {epoch}", "print up", f"say 4 {epoch}", "spin")
            a.says(attack, "up")
            report = a.client.stop()
            equal({r.vm: r.how for r in report.arrivals}, {honest.id: a.api.HOW_ACKED, attack.vm.id: how}, epoch)
            a.client.resume()
            report = a.client.request(stop_world=a.api.StopWorld(
                world="default", deadline_us=LONG, enforce=True)).stop_report
            lied = {r.vm: r.lied for r in report.arrivals}
            equal(lied, {honest.id: False, attack.vm.id: True}, epoch)
            a.client.resume()
            a.kill(attack)
        for state, expected in ((0, True), (2, True), (3, True), (5, True), (1, False), (6, False), (255, False)):
            attack = a.start("print up", f"say {state} now", "spin")
            a.says(attack, "up")
            report = a.client.request(stop_world=a.api.StopWorld(world="default", deadline_us=200_000)).stop_report
            equal((attack.vm.id not in report.missing, honest.id in report.missing), (expected, False), state)
            a.client.resume()
            report = a.client.request(stop_world=a.api.StopWorld(
                world="default", deadline_us=200_000, enforce=True)).stop_report
            check(stands(attack.vm.pid), f"enforced, whatever it says: {state}")
            a.client.resume()
            a.kill(attack)
        a.client.request(kill_vm=a.api.KillVm(vm=str(honest.id)))


def test_c20_it_dies_in_every_state_and_the_world_goes_on(t):
    with Attacker(t) as a:
        honest = a.client.run("honest.js", "for (;;);")
        names = {"die segv": "crashed", "x64 231": "unknown", "x64 62": "seccomp"}
        for die, how in names.items():
            for state in ("1 now", "2 now", "3 now", "4 now", "4 now+5", "5 now", "0 0"):
                equal(a.run(f"say {state}", die).how(), how, f"{state}, then {die}")
            equal(loading(a, f"early {die}").how(), how, f"while it loads: {die}")
            # As the one that runs alone, and as the target of the stop.
            for only in (True, False):
                attack = a.start("print up", "obey 1", die)
                a.says(attack, "up")
                a.client.stop()
                a.client.request(set_target=a.api.SetTarget(vm=str(attack.vm.id)))
                if only:
                    a.client.request(continue_vm=a.api.ContinueVm(vm=str(attack.vm.id), only=True))
                else:
                    a.client.resume()
                equal(a.ended(attack).how(), how, die)
                world = a.client.request(get_world=a.api.GetWorld(world="default")).world_reply.world
                check(attack.vm.id not in (world.runner, world.target), die)
                if only:
                    equal(world.mode, a.api.MODE_STOPPED)
                    a.client.resume()
        report = a.client.stop()
        equal([(r.vm, r.how) for r in report.arrivals], [(honest.id, a.api.HOW_ACKED)])
        a.client.resume()
        a.client.request(kill_vm=a.api.KillVm(vm=str(honest.id)))


def test_c20_one_that_says_it_has_exited_and_runs_on_is_ended(t):
    with Attacker(t) as a:
        attack = a.run("exited")
        check(attack.how() == "killed" and "said that it exits" in attack.exit.detail, attack)


def test_c21_faults_by_the_thousand_leave_nothing(t):
    with Attacker(t) as a:
        signals = {"segv": 11, "ill": 4, "bus": 7, "stack": 11, "trap": 5, "fpe": 8}
        kinds = list(signals) * size(20, 1700)
        for kind, attack in zip(kinds, a.run_all([([f"die {kind}"], {}) for kind in kinds])):
            equal((attack.how(), attack.exit.signal), ("crashed", signals[kind]), kind)
        # One that goes on after its fault, and faults for ever.
        attack = a.start("storm")
        a.says(attack, "faults from now on")
        latency = Latency(t)
        check(latency.worst_ms(0.5) < 1000, "another client is served")
        latency.close()
        equal(a.kill(attack).how(), "killed")


# ---- what native code in a worker cannot say in the name of others


def test_no_ack_of_another_vm_is_forged(t):
    with Attacker(t) as a:
        late = a.client.run("late.js", "for (;;);", name="late")
        late = a.client.request(get_vm=a.api.GetVm(vm=str(late.id))).vm_reply.vm
        # They answer kicks that were not theirs, say all that can be said, and wake whom they can.
        attackers = [a.start("apart race", "kick 0"), a.start("apart kick 0", "obey 1000", "spin"),
                     a.start("apart garbage 7", "kick 0")]
        for enforce in (False, True, False):
            os.kill(late.pid, signal.SIGCONT)  # which a resume does, too, where freezing is by signals
            wait_until(lambda: a.client.request(get_vm=a.api.GetVm(vm="late")).vm_reply.vm.state
                       == a.api.VM_STATE_ACTIVE, "it runs")
            os.kill(late.pid, signal.SIGSTOP)
            report = a.client.request(stop_world=a.api.StopWorld(
                world="default", deadline_us=300_000, enforce=enforce)).stop_report
            check(late.id in report.missing, f"the one that cannot arrive is missing: {report}")
            world = a.client.request(get_world=a.api.GetWorld(world="default")).world_reply.world
            check(world.mode != a.api.MODE_RUN_ALL, "and nobody resumes the world but its owner")
            a.client.resume()
        os.kill(late.pid, signal.SIGCONT)
        for attack in attackers:
            a.kill(attack)
        equal([r.how for r in a.client.stop().arrivals], [a.api.HOW_ACKED])
        a.client.resume()
        a.client.request(kill_vm=a.api.KillVm(vm=str(late.id)))


def test_no_event_of_another_debugger_or_vm_is_forged(t):
    with Attacker(t) as a:
        debugger = connect(t, Debugging)
        debugger.open("spy")
        honest = debugger.run("honest.js", "globalThis.f = () => 1", debug=True, name="honest", wait_ready=True)
        hook = debugger.add("enter-frame", honest.id, "spy")[0]
        for body in (fact(HIT, (1, hook), (2, 1), (3, 2)), fact(HIT, (1, hook + 1), (2, 1), (3, 2)),
                     fact(PAUSED, (1, 1), (2, 5), (3, hook)), fact(PAUSED, (1, 1), (2, 1), (4, 1)),
                     fact(PAUSED, (1, 1 << 63), (2, 1), (4, 1)), fact(AUDITED, (1, 1), (3, 2), (4, hook)),
                     fact(HOOK_ENDED, (1, hook), (2, 1)), fact(BREAKPOINT_BOUND, (1, hook), (3, 1)),
                     fact(INSPECTED, (1, 1)), fact(INSPECTED, (1, 1 << 40)), fact(CALL_DONE, (1, 1), (2, 1), (3, "1")),
                     fact(BORN), fact(LOADED), fact(STDIN_WANTED, (1, 0)), fact(PART, (1, "")),
                     fact(25, (1, b"x")) + "00", fact(99, (1, 1)), "", "ff"):
            attack = a.run(f"fact {body}", f"fact {posted('1')}", "deaf")
            check(attack.how() == "crashed" and "protocol violation" in attack.exit.detail, f"{body}: {attack}")
        attack = a.run(*[f"fact {fact(READY)}"] * 2, "deaf")
        check("is ready twice" in attack.exit.detail, attack)
        for off in (-1, 1, 1 << 62):
            attack = a.run(f"numbered {off} {posted('1')}", "deaf")
            check("out of sequence" in attack.exit.detail, attack)
        equal(debugger.kept("spy"), [], "nothing was seen where nothing happened")
        debugger.request(call_function=debugger.api.CallFunction(vm=str(honest.id), function="f"))
        check({h.vm for h in debugger.kept("spy")} == {honest.id}, "and what happens is seen")
        debugger.request(kill_vm=debugger.api.KillVm(vm=str(honest.id)))
        debugger.request(close_debugger=debugger.api.CloseDebugger(debugger="spy"))
        debugger.close()


def test_what_it_says_of_its_own_hooks_is_shown_as_its_own(t):
    with Attacker(t) as a:
        debugger = connect(t, Debugging)
        debugger.open("spy")
        # It says that the hook is set, and is none of those that hooks can be set in.
        attack = a.start("print up", "apart obey 1", "serve 1", "print served", "idle")
        a.says(attack, "up")
        hook = debugger.add("enter-frame", attack.vm.id, "spy")[0]
        a.says(attack, "served")
        wild = (1 << 64) - 1
        text = FORGED.replace("\0", "")
        a.tell(attack, "fact " + fact(HIT, (1, hook), (2, 1), (3, 2), (4, wild), (5, wild), (16, text), (18, wild),
                                      (19, wild)))
        hit = wait_until(lambda: debugger.kept("spy"), "a hit of its own")[0]
        equal((hit.vm, hit.hook), (attack.vm.id, hook))
        for body in (fact(HIT, (1, hook), (2, 2), (3, 3)), fact(HIT, (1, hook), (2, 2), (3, 2), (20, 1))):
            check("protocol violation" in a.run("apart obey 1", f"fact {body}", "deaf").exit.detail, body)
        text = t.ctl("audit", "tail", "spy").out
        check("\x1b" not in text and "\nstillpointd:" not in text, f"its log is no line of somebody else: {text!r}")
        a.kill(attack)
        debugger.request(close_debugger=debugger.api.CloseDebugger(debugger="spy"))
        debugger.close()


def test_what_it_answers_is_bounded_and_its_own(t):
    with Attacker(t) as a:
        for kind in ("garbage_collect", "census", "stack"):
            attack = a.start("print up", "apart obey 1", f"answer 1 {wire.field(6, 1 << 31).hex()}", "print served",
                             "idle")
            a.says(attack, "up")
            r = t.ctl({"garbage_collect": "gc", "census": "census", "stack": "bt"}[kind], str(attack.vm.id), code=None)
            check("\x1b" not in r.out + r.err, r)
            a.kill(attack)
        # Parts without an end, and parts that nothing comes after.
        part = fact(PART, (1, b"x" * 60000))
        attack = a.run(*[f"fact {part}"] * 10, "deaf")
        check("parts are" in attack.exit.detail, attack)
        attack = a.run(f"fact {part}", f"fact {console('x')}", "deaf")
        check("protocol violation" in attack.exit.detail, attack)
        equal(a.run(f"fact {part}", "die ill").how(), "crashed")
