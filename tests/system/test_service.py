"""The daemon as a service, with a service manager that this test plays; tests/booted/ has a real one."""

import os
import re
import shutil
import signal
import socket

from harness import HANG, check, equal, wait_until


def readable(t, path):
    """Started as root the daemon becomes somebody else, and reads its configuration again as that."""
    for folder in (t.folder, t.work):
        os.chmod(folder, 0o755)
    os.chmod(path, 0o644)
    return path


class Manager:
    """Reads what a daemon tells on NOTIFY_SOCKET."""

    def __init__(self, t):
        self.path = os.path.join(t.run_dir, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self.socket.settimeout(HANG)
        t.connections.append(self.socket)
        t.env["NOTIFY_SOCKET"] = self.path

    def until(self, line):
        """All lines up to this one."""
        told = []
        while line not in told:
            told += self.socket.recv(4096).decode().splitlines()
        return told


def test_what_happens_is_told_and_what_is_known_is_not_told_again(t):
    manager = Manager(t)
    t.daemon  # pylint: disable=pointless-statement
    equal(manager.until("READY=1"), ["STATUS=0 VMs", "READY=1"])
    t.spawn("one", "onmessage = () => {}")
    t.spawn("two", "onmessage = () => {}", options=["--world", "w2"])
    manager.until("STATUS=2 VMs")
    t.ctl("world", "stop", "w2")
    manager.until("STATUS=2 VMs; stopped: w2")
    t.ctl("world", "stop")
    manager.until("STATUS=2 VMs; stopped: default, w2")
    t.ctl("world", "resume", "w2")
    t.ctl("world", "resume")
    manager.until("STATUS=2 VMs")


def test_stopped_worlds_that_have_no_room_in_the_status_are_counted(t):
    manager = Manager(t)
    worlds = [f"{number}{'w' * 60}" for number in range(10)]
    for number, world in enumerate(worlds):
        t.spawn(f"vm{number}", "onmessage = () => {}", options=["--world", world])
        t.ctl("world", "stop", world)
    shown, more = "", 0
    while not shown.startswith("STATUS=10 VMs; stopped: ") or sum(shown.count(w) for w in worlds) + more != 10:
        shown = manager.socket.recv(4096).decode().splitlines()[-1]
        more = int((re.findall(r" and (\d+) more$", shown) or ["0"])[0])
    check(0 < more < 10, shown)
    for world in worlds:
        t.ctl("world", "resume", world)


def test_a_hangup_reads_the_configuration_again_and_loses_no_vm(t):
    manager = Manager(t)
    conf = readable(t, t.file("c.conf", "[quota]\nvms = 1\n"))
    t.start_daemon("--config", conf)
    t.spawn("one", "onmessage = () => {}")
    t.refused("run", "-d", t.file("a.js", "onmessage = () => {}"), code=1, says="quota vms is 1")
    manager.until("READY=1")

    def hang_up(text):
        readable(t, t.file("c.conf", text))
        t.daemon.process.send_signal(signal.SIGHUP)
        told = manager.until("READY=1")
        check("RELOADING=1" in told, told)
        check(any(line.startswith("MONOTONIC_USEC=") for line in told), told)
        return told

    hang_up("[quota]\nvms = 2\n[daemon]\nspawn = exec\n")
    check("c.conf:4: [daemon] spawn is changed, which waits for the next start" in t.daemon.log_text(), "it says so")
    t.spawn("two", "onmessage = () => {}")
    told = hang_up("[quota]\nvms = 7\nvms = many\n")
    check(any("the configuration has errors" in line for line in told), told)
    check("c.conf:3:" in t.daemon.log_text(), "the error has a place")
    t.refused("run", "-d", t.file("a.js", "onmessage = () => {}"), code=1, says="quota vms is 2")
    told = hang_up("[quota]\nvms = 3\n")
    check("STATUS=2 VMs" in told, told)
    t.spawn("three", "onmessage = () => {}")
    equal([vm["name"] for vm in t.list()], ["one", "two", "three"])


def test_groups_that_come_and_go_open_and_close_the_sockets(t):
    conf = readable(t, t.file("c.conf", ""))
    t.start_daemon("--config", conf)
    for text, mode in (("[access]\nobserve-group = 0\n", 0o666), ("", 0o600)):
        readable(t, t.file("c.conf", text))
        t.daemon.process.send_signal(signal.SIGHUP)
        for name in ("control.sock", "observe.sock"):
            path = os.path.join(t.run_dir, name)
            if os.geteuid() != 0:
                wait_until(lambda p=path, m=mode: os.stat(p).st_mode & 0o777 == m, f"{name} has mode {mode:o}")
        if os.geteuid() == 0:
            # They are root's, whom the daemon has given up to be.
            wait_until(lambda: "cannot change the mode of the sockets" in t.daemon.log_text(), "it says so")


def test_a_socket_that_is_handed_over_is_served_and_none_is_made(t):
    activate = shutil.which("systemd-socket-activate")
    if activate is None:
        t.skip("systemd-socket-activate is not installed")
    elsewhere = os.path.join(t.run_dir, "mine.sock")
    t.start_daemon("--socket", elsewhere, "--observe-socket", elsewhere + ".observe",
                   wrapper=[activate, "--listen", os.path.join(t.run_dir, "control.sock"), "--fdname=control"])
    equal(t.ctl("run", t.file("a.js", "console.log(7)")).out, "7\n")
    check(not os.path.exists(elsewhere), "no socket was made")
    check(not os.path.exists(elsewhere + ".observe"), "no second one either")
    t.daemon.handed = True
