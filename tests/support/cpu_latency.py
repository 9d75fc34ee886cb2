"""What is in force of the kernel's CPU latency QoS; tests that change it skip where there is none."""

import os
import struct

from harness import Skip

DEVICE = "/dev/cpu_dma_latency"
WISH = 3 + os.getpid() % 97  # us; another run beside this one has another


def in_force():
    """The least of all that is wished for now, us."""
    fd = os.open(DEVICE, os.O_RDONLY)
    try:
        return struct.unpack("i", os.read(fd, 4))[0]
    finally:
        os.close(fd)


def doctor_says(held):
    """State and detail of doctor's check, where somebody debugs and where nobody does."""
    try:
        with open("/sys/devices/system/cpu/cpuidle/current_driver", encoding="ascii") as f:
            if f.read().strip() == "none":
                return "degraded", "no cpuidle driver: CPUs halt, whatever is asked for"
    except OSError:
        pass
    return "ok", f"at most {WISH} us while somebody debugs, as {'now' if held else 'nobody does now'}"


def undisturbed():
    """What is in force without any daemon."""
    if os.geteuid() != 0 or not os.path.exists(DEVICE):
        raise Skip(f"root's {DEVICE} of the kernel is needed")
    now = in_force()
    if now <= WISH:
        raise Skip(f"somebody else keeps CPUs from sleep: {now} us")
    return now
