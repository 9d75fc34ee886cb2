"""The service under a load that lasts."""

import time

from booted import HANG, SERVICE
from harness import equal
from test_service import TICK, run, vms

LONG = True


def test_neither_heavy_load_nor_a_stop_of_ten_seconds_is_a_hang(m):
    m.drop_in("[Service]\nWatchdogSec=2s\nRestartSec=50ms\n")
    m.systemctl("start", SERVICE)
    pid = m.main_pid()
    for number in range(8):
        run(m, f"busy{number}", "for (;;) {}", "--world", "busy")
        run(m, f"still{number}", TICK, "--world", "still")
    for name, vm in vms(m).items():
        if name.startswith("busy"):
            m.make_nice(vm["pid"])
    m.ctl("world", "stop", "--deadline", f"{HANG:.0f}s", "still", user="alice")
    end = time.monotonic() + 10
    while time.monotonic() < end:
        m.ctl("list")
    m.ctl("world", "resume", "still", user="alice")
    equal((m.main_pid(), m.show(SERVICE, "NRestarts")), (pid, "0"))
    equal(len(vms(m)), 16)
