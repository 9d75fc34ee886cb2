"""The service under a load that lasts, in a machine that leaves the others' theirs: its VMs compute when nobody else does.
The daemon has a real-time priority there as everywhere."""

import time

from booted import HANG, SERVICE
from harness import equal
from test_service import TICK, run, vms

LONG = True
NICE = 19


def test_neither_heavy_load_nor_a_stop_of_ten_seconds_is_a_hang(m):
    m.drop_in("[Service]\nWatchdogSec=2s\nRestartSec=50ms\n")
    m.systemctl("start", SERVICE)
    pid = m.main_pid()
    for number in range(8):
        run(m, f"busy{number}", "for (;;) {}", "--world", "busy")
        run(m, f"still{number}", TICK, "--world", "still")
    m.ctl("world", "stop", "--deadline", f"{HANG:.0f}s", "still", user="alice")
    end = time.monotonic() + 10
    while time.monotonic() < end:
        m.ctl("list")
    m.ctl("world", "resume", "still", user="alice")
    equal((m.main_pid(), m.show(SERVICE, "NRestarts")), (pid, "0"))
    equal(len(vms(m)), 16)
