"""A journal that a test plays: a socket in the place of journald's, for a daemon that finds its stderr to be the
journal. It reads all the time, unless it is told to be deaf."""

import ctypes
import os
import select
import socket
import struct
import threading

from harness import wait_until

CLONE_NEWNET = 0x40000000

# Mounts what is given first over /run/systemd/journal, for the command after it alone.
IN_PLACE = ('mount -t tmpfs none /run && mkdir -p /run/systemd/journal && mount --bind "$1" /run/systemd/journal '
            '&& shift && exec "$@"')


def parse(data):
    """The fields of one record in the journal's native form."""
    fields = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            length = struct.unpack("<Q", rest[:8])[0]
            value, rest = rest[8:8 + length], rest[8 + length + 1:]
        fields[name.decode("ascii")] = value.decode("utf-8")
        data = rest
    return fields


def roomy_socket():
    """For 512 records that are not read, as where systemd has been; made in a network namespace that says so, which
    is its maker's alone."""
    made = []

    def make():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET) == 0:
            with open("/proc/sys/net/unix/max_dgram_qlen", "w", encoding="ascii") as f:
                f.write("512")
        made.append(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC))
    maker = threading.Thread(target=make)
    maker.start()
    maker.join()
    return made[0]


class Journal:
    """Started with a daemon; as root only."""

    def __init__(self, t, *options, deaf=False):
        if os.geteuid() != 0:
            t.skip("only root may put a socket in the journal's place")
        self.folder = os.path.join(t.folder, "journal")
        os.mkdir(self.folder, 0o755)
        os.chmod(t.folder, 0o755)
        self.socket = roomy_socket()
        self.socket.bind(os.path.join(self.folder, "socket"))
        os.chmod(os.path.join(self.folder, "socket"), 0o777)
        self.records, self.lock = [], threading.Lock()
        self.over, self.wake = os.pipe()
        self.reader = None
        t.connections.append(self)
        if not deaf:
            self.hear()
        self.stderr, theirs = os.pipe()
        st = os.fstat(theirs)
        t.env["JOURNAL_STREAM"] = f"{st.st_dev}:{st.st_ino}"
        t.start_daemon(*options, wrapper=["unshare", "-m", "sh", "-c", IN_PLACE, "sh", self.folder], stderr=theirs)
        os.close(theirs)

    def hear(self):
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            ready, _, _ = select.select([self.socket, self.over], [], [])
            if self.over in ready:
                return
            record = parse(self.socket.recv(1 << 17))
            with self.lock:
                self.records.append(record)

    def find(self, **fields):
        """Records that have these fields, oldest first; MESSAGE: has these words. None: it has no such field."""
        with self.lock:
            records = list(self.records)

        def fits(record):
            return all(v in record.get(k, "") if k == "MESSAGE" and v else record.get(k) == v
                       for k, v in fields.items())
        return [r for r in records if fits(r)]

    def wait(self, **fields):
        """The newest such record, once there is one."""
        return wait_until(lambda: self.find(**fields), f"a record with {fields}")[-1]

    def stderr_text(self):
        if not select.select([self.stderr], [], [], 0)[0]:
            return ""
        return os.read(self.stderr, 1 << 16).decode("utf-8", "replace")

    def close(self):
        os.write(self.wake, b"x")
        if self.reader:
            self.reader.join()
        for fd in (self.over, self.wake, self.stderr):
            os.close(fd)
        self.socket.close()
