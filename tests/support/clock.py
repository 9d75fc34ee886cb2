"""The clocks of a daemon and of its workers, by tests/support/clock_shift.c, which is preloaded into them."""

import os
import struct
import time


class Clock:
    """Starts the test's daemon, with options."""

    def __init__(self, t, *options):
        library = t.program("tests/support/clock_shift.so")
        if not os.path.exists(library):
            t.skip("clock_shift is not built with sanitizers")
        path = os.path.join(t.folder, "clock")
        self.file = open(path, "w+b", buffering=0)  # pylint: disable=consider-using-with
        t.connections.append(self.file)
        # The zygote is of another uid than a daemon that root started.
        os.chmod(t.folder, 0o711)
        os.chmod(path, 0o644)
        self.shift, self.passed = 0, 0
        self.write()
        t.start_daemon(*options, wrapper=["env", f"LD_PRELOAD={library}", f"CLOCK_SHIFT={path}"])

    def write(self):
        os.pwrite(self.file.fileno(), struct.pack("=qq", self.shift * 10**9, self.passed * 10**9), 0)

    def set(self, seconds):
        """The time of day is the machine's and so much."""
        self.shift = seconds
        self.write()

    def advance(self, seconds):
        """So much time has passed, on every clock but those of CPU time."""
        self.passed += seconds
        self.write()

    def now(self):
        return time.time() + self.shift + self.passed
