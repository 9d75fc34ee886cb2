#!/usr/bin/python3
"""A service manager that does for one daemon what systemd does: keeps descriptors (FDSTORE), hands them
to the next one by LISTEN_FDS and LISTEN_FDNAMES, and starts it again whenever it ends.

    fake_manager.py STATUS PROGRAM [ARGUMENT...]

STATUS is a file that says, as JSON, which process the daemon is ("pid", 0: none), how often it was ready
("ready"), how it ended before ("ends"), and the names of what is kept ("kept"). SIGTERM ends daemon and
manager, and with that what is kept; SIGUSR1 asks the daemon to end, as a restart does; SIGUSR2 has the next
one not be started before the next SIGUSR2. Orphans are reaped: the manager is their subreaper.
"""

import array
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import sys

FIRST_FD = 3
MAX_FDS = 253
PR_SET_CHILD_SUBREAPER = 36


class Manager:
    def __init__(self, status, argv):
        self.status, self.argv = status, argv
        self.kept = []  # (name, fd), in the order in which they came
        self.pid, self.ready, self.ends = 0, 0, []
        self.ending = self.paused = False
        self.said = None
        # An abstract name: the daemon becomes a user who cannot enter our folder.
        where = f"stillpoint-test/{os.getpid()}"
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.notify.bind("\0" + where)
        self.environment = dict(os.environ, NOTIFY_SOCKET="@" + where)
        self.wake, wakes = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, lambda *_: None)

    def drop(self, wanted):
        for name, fd in self.kept:
            if name == wanted:
                os.close(fd)
        self.kept = [(name, fd) for name, fd in self.kept if name != wanted]

    def hear(self):
        """All that has been said: also by a daemon that has died since."""
        while True:
            try:
                data, control, flags, _ = self.notify.recvmsg(
                    65536, socket.CMSG_SPACE(MAX_FDS * 4), socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            assert not flags & socket.MSG_CTRUNC
            fds = array.array("i")
            for level, kind, payload in control:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(payload)
            fields = dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line)
            if fields.get("FDSTORE") == "1":
                self.kept += [(fields.get("FDNAME", "stored"), fd) for fd in fds]
                continue
            for fd in fds:
                os.close(fd)
            if fields.get("FDSTOREREMOVE") == "1":
                self.drop(fields["FDNAME"])
            self.ready += fields.get("READY") == "1"

    def start(self):
        self.pid = os.fork()
        if self.pid:
            return
        # Above all that is kept, and above where it is to be.
        above = max([fd for _, fd in self.kept] + [FIRST_FD + len(self.kept)]) + 1
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for _, fd in self.kept]
        for i, fd in enumerate(high):
            os.dup2(fd, FIRST_FD + i, inheritable=True)
        environment = dict(self.environment)
        if high:
            environment.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)),
                               LISTEN_FDNAMES=":".join(name for name, _ in self.kept))
        os.execve(self.argv[0], self.argv, environment)

    def reap(self):
        while True:
            try:
                pid, how = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.pid:
                self.hear()
                self.pid = 0
                self.ends.append(os.waitstatus_to_exitcode(how))

    def tell(self):
        now = json.dumps({"pid": self.pid, "ready": self.ready, "ends": self.ends,
                          "kept": [name for name, _ in self.kept]})
        if now != self.said:
            with open(self.status + ".new", "w", encoding="ascii") as f:
                f.write(now)
            os.rename(self.status + ".new", self.status)
            self.said = now

    def signalled(self, number):
        if number == signal.SIGTERM:
            self.ending = True
        if number == signal.SIGUSR2:
            self.paused = not self.paused
        if number in (signal.SIGTERM, signal.SIGUSR1) and self.pid:
            os.kill(self.pid, signal.SIGTERM)

    def run(self):
        while not (self.ending and self.pid == 0):
            if self.pid == 0 and not self.paused:
                self.start()
            self.tell()
            readable, _, _ = select.select([self.notify, self.wake], [], [])
            if self.notify in readable:
                self.hear()
            if self.wake in readable:
                for number in os.read(self.wake, 4096):
                    self.signalled(number)
                self.reap()
        self.tell()
        for _, fd in self.kept:
            os.close(fd)
        # With what was kept its workers have lost their life-lines: they end now.
        signal.signal(signal.SIGALRM, lambda *_: os._exit(1))
        signal.alarm(20)
        try:
            while True:
                os.wait()
        except ChildProcessError:
            return 0


def main():
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return Manager(sys.argv[1], sys.argv[2:]).run()


if __name__ == "__main__":
    sys.exit(main())
