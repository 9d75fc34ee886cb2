"""A daemon whose VMs outlive it: one that a service manager starts again, played by fake_manager.py."""

import json
import os
import signal
import socket
import subprocess
import sys

import harness
from harness import Failed, check, wait_until


class Managed(harness.Daemon):
    """In the place of harness.Daemon; `pid` is that of the daemon that runs now."""

    def __init__(self, t, *args, wrapper=()):  # pylint: disable=super-init-not-called
        self.folder = t.run_dir
        self.socket = os.path.join(self.folder, "control.sock")
        self.log_path = os.path.join(self.folder, "daemon.log")
        self.status_path = os.path.join(t.folder, "status")
        self.log = open(self.log_path, "wb")
        here = os.path.dirname(os.path.abspath(__file__))
        args = [f"--spare={harness.SPARE}", *t.options, *args]
        self.process = subprocess.Popen(
            [sys.executable, "-B", os.path.join(here, "fake_manager.py"), self.status_path,
             *wrapper, t.program("stillpointd"), "--socket", self.socket, "--keep-vms", *args],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=t.env, cwd="/")
        self.fds_at_start = None
        self.keeps_spare = harness.keeps_spare(args)
        try:
            self.wait_up(1)
        except Failed:
            self.stop()
            raise

    def status(self):
        try:
            with open(self.status_path, encoding="ascii") as f:
                return json.load(f)
        except FileNotFoundError:
            return {"pid": 0, "ready": 0, "ends": [], "kept": []}

    @property
    def pid(self):
        return self.status()["pid"]

    @pid.setter
    def pid(self, _):
        raise AttributeError("the manager starts it")

    def wait_up(self, ready):
        """Until that many daemons have been ready."""
        def up():
            if self.process.poll() is not None:
                raise Failed(f"the manager ended with {self.process.returncode}:\n{self.log_text()}")
            return self.status()["ready"] >= ready
        try:
            wait_until(up, f"daemon {ready} is ready", 60)
        except Failed as e:
            raise Failed(f"{e}\n{self.log_text()[-2000:]}") from None

    def crash(self, number=signal.SIGKILL):
        """Kills the daemon, and waits for the next one."""
        before = self.status()
        os.kill(before["pid"], number)
        self.wait_up(before["ready"] + 1)
        check(self.pid != before["pid"], "it is another daemon")

    def restart(self):
        """As a manager does that restarts it."""
        before = self.status()
        self.process.send_signal(signal.SIGUSR1)
        self.wait_up(before["ready"] + 1)
        check(self.status()["ends"][-1] == 0, f"it ended well: {self.status()['ends']}")

    def hold_back(self):
        """The next daemon is not started before this is called once more."""
        self.process.send_signal(signal.SIGUSR2)

    def forget(self, name):
        """Drops what is kept under this name, as if it had been lost."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(f"FDSTOREREMOVE=1\nFDNAME={name}".encode(), f"\0stillpoint-test/{self.process.pid}")
        wait_until(lambda: name not in self.status()["kept"], f"{name} is kept no more")

    def replace(self, name, data):
        """What is kept under this name has this in it."""
        self.forget(name)
        fd = os.memfd_create("test")
        os.write(fd, data)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.connect(f"\0stillpoint-test/{self.process.pid}")
            socket.send_fds(s, [f"FDSTORE=1\nFDNAME={name}".encode()], [fd])
        os.close(fd)
        wait_until(lambda: name in self.status()["kept"], f"{name} is kept")

    def stop(self):
        own = harness.cgroup_folder(harness.cgroup_of("self"))
        try:
            return harness.end_process(self.process, 40)
        finally:
            self.log.close()
            kept = os.path.join(own or "/nonexistent", "stillpoint", "kept" + self.socket.replace("/", "-"))
            if os.path.isdir(kept):
                harness.remove_cgroup(kept)


def start(t, *args, wrapper=()):
    """The test's daemon from now on; `wrapper` is a program with its path that becomes it."""
    check(t._daemon is None, "one at a time")  # pylint: disable=protected-access
    t._daemon = Managed(t, *args, wrapper=wrapper)  # pylint: disable=protected-access
    return t._daemon
