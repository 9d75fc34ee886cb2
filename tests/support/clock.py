"""The clocks of a daemon and of its workers, by tests/support/clock_shift.c, which is preloaded into them."""

import struct
import time

from preload import Preload


def shifted(shift, passed):
    return struct.pack("=qq", shift * 10**9, passed * 10**9)


class Clock(Preload):
    """Starts the test's daemon, with options."""

    def __init__(self, t, *options):
        self.shift, self.passed = 0, 0
        super().__init__(t, "clock_shift", shifted(0, 0), *options)

    def write(self):
        self.put(shifted(self.shift, self.passed))

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
