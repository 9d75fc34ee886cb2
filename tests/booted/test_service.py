"""Stillpoint as a service: socket activation, readiness, status, watchdog, reload, stop."""

from booted import SERVICE, SOCKETS
from harness import equal, wait_until

HELLO = "console.log('hello from a service')"


def activate(m):
    m.systemctl("start", *SOCKETS)


def test_the_first_client_starts_the_daemon(m):
    m.systemctl("enable", "--now", *SOCKETS)
    equal(m.show(SERVICE, "ActiveState"), "inactive")
    m.write("/tmp/hello.js", HELLO)
    equal(m.ctl("run", "/tmp/hello.js", user="alice").out, "hello from a service\n")
    equal(m.show(SERVICE, "ActiveState"), "active")
    wait_until(lambda: m.show(SERVICE, "StatusText") == "0 VMs", "the status says that there is no VM")
