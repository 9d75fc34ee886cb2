"""An attacker who owns a worker, in the real sandbox: what it can do, and what it can do to others.

One test for each case; tests/hostile/ has the worker.
"""

import itertools
import os

from harness import check, equal
from hostile import Attacker, golden, hostile_program

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
        equal(said.pop("own pid"), "1")
        equal(said.pop("dumpable"), "done")
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
