"""docs/ADMIN.md: every command in it, as it stands and in its order, on a machine where Stillpoint was installed from the
source."""

import json
import os

import guide
from booted import SERVICE, SOCKETS
from harness import check, equal, wait_until

GUIDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "ADMIN.md")


def run(m, command):
    r = m.run("sh", "-c", command.text, user=None if command.is_root else "alice", code=None)
    check(r.code == 0, f"{command} works: {r}")
    for line in command.prints:
        check(line in r.out.splitlines(), f"{command} prints {line!r}: {r}")
    # One that asks the journal for something has to be told.
    if "journalctl" in command.text and "=" in command.text:
        check(r.out.strip() and "No entries" not in r.out, f"{command} finds something: {r}")


def follow(m, skip):
    """The commands of the guide but those that are for another machine; then what its tables name."""
    commands, inline = guide.read(GUIDE)
    done = [c for c in commands if c.mark != skip]
    for command in done:
        run(m, command)
    for text in inline:
        run(m, guide.Command(text.replace(" VM", " web"), True, None, 0))
    return done, inline


def test_every_command_of_the_guide_works_as_it_stands(m):
    try:
        done, inline = follow(m, "packages")
    finally:
        m.run("rm", "-rf", "/etc/stillpoint/vms", "/etc/stillpoint/stillpointd.conf.d", "/var/lib/stillpoint/vms",
              f"/etc/systemd/system/{SERVICE}.d")
        m.systemctl("daemon-reload")
    check(len(done) > 40 and len(inline) > 3, f"the guide has commands: {len(done)} and {len(inline)}")


def test_the_journal_has_records_of_vms_by_field_and_explains_them(m):
    m.systemctl("start", *SOCKETS)
    m.run("journalctl", "--update-catalog")
    m.write("/tmp/app.js", "console.error('it', 'fails'); throw new Error('no')")
    m.ctl("run", "--name", "failing", "/tmp/app.js", user="alice", code=1)

    def records(*fields):
        return [json.loads(line) for line in m.run("journalctl", "-o", "json", *fields).out.splitlines()]
    alice = m.run("id", "-u", "alice").out.strip()
    wait_until(lambda: records("STILLPOINT_EXIT=error"), "its end is in the journal")
    vm = records("STILLPOINT_EXIT=error")[0]["STILLPOINT_VM"]
    for field in ("STILLPOINT_REQUEST=RunVm", "STILLPOINT_STREAM=stderr", "STILLPOINT_EXIT=error"):
        r = records("STILLPOINT_VM_NAME=failing", "STILLPOINT_CLIENT_UID=" + alice, field)[0]
        equal((r["_SYSTEMD_UNIT"], r["STILLPOINT_WORLD"], r["STILLPOINT_VM"]), ("stillpointd.service", "default", vm))
    line = records("STILLPOINT_VM_NAME=failing", "STILLPOINT_STREAM=stderr")[0]
    equal((line["MESSAGE"], line["SYSLOG_IDENTIFIER"], line["PRIORITY"]), ("it fails", "stillpoint-vm-failing", "3"))
    said = m.run("journalctl", "-x", "STILLPOINT_EXIT=error").out
    check("VM failing has ended: error" in said and f"of the user with uid {alice} has ended" in said, said)
    # A line of a guest explains nothing, and is not the daemon's.
    check("Subject:" not in m.run("journalctl", "-x", "-t", "stillpoint-vm-failing").out, "copies have no entry")
    equal([r for r in records("-t", "stillpointd", "-u", "stillpointd") if r["MESSAGE"] == "it fails"], [])
