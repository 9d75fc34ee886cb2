"""What a daemon has, seen from outside, and whether it is the same again after much has come and gone."""

import os
import time

import wire
from harness import check, children, folders_of_daemon, is_zombie, process_name, wait_until

EXITED_PER_UID = 256  # that are shown; proto/limits.h


def fds(pid):
    """{what is open: how often}; None where it cannot be seen."""
    found = {}
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
            except FileNotFoundError:
                continue  # that was the one in between
            kind = target.split(":")[0] if ":[" in target else target
            found[kind] = found.get(kind, 0) + 1
    except PermissionError:
        return None
    return found


def rss_kib(pid):
    """Memory of its own: what is mapped of files comes and goes with the page cache."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("RssAnon:"))


def mapped(pid):
    """How many of its mappings are of memfds; and of those, how many are of logs of VMs."""
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as f:
        lines = [line for line in f if "/memfd:" in line]
    logs = sum("/memfd:stillpoint-log" in line for line in lines)
    return len(lines) - logs, logs


def zygotes(daemon):
    """Children of the daemon that are no workers; those of exec mode come and go."""
    return sorted(p for p in children(daemon) if process_name(p) != "stillpoint-vm")


def mounts_of(pid):
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as f:
        return len(f.read().splitlines())


class Account:
    """One look at everything that must not grow."""

    def __init__(self, t):
        self.t, self.pid = t, t.daemon.pid
        self.zygotes = zygotes(self.pid)
        self.rss = rss_kib(self.pid)
        self.now = self.look()

    def look(self):
        """With a connection of its own: the daemon hears those who have gone before it, in their order."""
        with self.t.daemon.connect() as s:
            s.sendall(wire.hello())
            check(wire.read_frame(s) is not None, "the daemon serves")
            wait_until(lambda: process_name(self.pid) not in map(process_name, children(self.pid)),
                       "zygotes have their names, and nothing is still being closed")
            return self.look_now()

    def look_now(self):
        t, found = self.t, {}
        for pid in [self.pid, *zygotes(self.pid)]:
            name = "daemon" if pid == self.pid else f"zygote {pid}"
            found[f"descriptors of the {name}"] = fds(pid)
            found[f"memfds mapped by the {name}"], logs = mapped(pid)
            # Two for each VM that is shown, which those are that have ended last.
            found[f"logs of the {name} are those of VMs"] = logs <= 2 * (EXITED_PER_UID + 64)
            found[f"mounts of the {name}"] = mounts_of(pid)
        kin = children(self.pid)
        found["children of the daemon"] = sorted(kin)
        found["zombies"] = [p for p in kin if is_zombie(p)]
        found["cgroups"] = [sorted(n for n in os.listdir(folder) if n.startswith("vm-"))
                            for folder in folders_of_daemon(self.pid)]
        found["files"] = {where: sorted(os.listdir(where)) for where in (t.tmp, t.run_dir)}
        return found

    def same_again(self, rss_percent=None):
        """Everything is as it was, at last: what has just ended is still being cleaned up."""
        different = {}

        def same():
            now = self.look()
            different.clear()
            different.update({what: (self.now.get(what), now.get(what))
                              for what in {*self.now, *now} if self.now.get(what) != now.get(what)})
            return not different
        end = time.monotonic() + 10
        while not same() and time.monotonic() < end:
            time.sleep(0.02)
        check(not different, "\n".join(f"{what}: before {a}, now {b}" for what, (a, b) in different.items()))
        rss = rss_kib(self.pid)
        if rss_percent is not None:
            check(rss <= self.rss * (1 + rss_percent / 100),
                  f"the daemon has {rss} KiB, and had {self.rss}")
        return rss


def no_strays(daemon, vms, spares=0):
    """No child of the daemon but its zygotes and these VMs, and at most so many that are kept ready."""
    wanted = {vm.pid for vm in vms}

    def none():
        return len([p for p in children(daemon) if p not in wanted and
                    (is_zombie(p) or process_name(p) == "stillpoint-vm")]) <= spares
    wait_until(none, lambda: f"nobody else is born or left: {children(daemon)} but {sorted(wanted)}", 10)
