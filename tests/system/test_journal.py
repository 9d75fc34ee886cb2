"""What the daemon writes to the journal: records with ids and fields, copies of what VMs write, how much of it, and
what becomes of it when the journal is slow, full or gone."""

import json
import os
import re
import subprocess
import time

import wire
from harness import check, equal, wait_until
from journal import Journal

IDLE = "globalThis.onmessage = () => {};"


def message_id(t, name):
    """The id of that name in the source."""
    with open(os.path.join(t.source, "daemon", "message_ids.h"), encoding="utf-8") as f:
        return re.search(rf'#define MESSAGE_{name} "([0-9a-f]{{32}})"', f.read()).group(1)


def has(record, **fields):
    for name, value in fields.items():
        equal(record.get(name), value, f"{name} of {record}")


def test_the_daemon_says_that_it_serves_and_each_record_has_an_id_a_priority_and_its_name(t):
    j = Journal(t)
    j.wait(MESSAGE_ID=message_id(t, "SERVING"))
    t.ctl("run", t.file("a.js", "console.log('hello')"))
    j.wait(MESSAGE_ID=message_id(t, "VM_ENDED"))
    for r in j.find():
        check(r["PRIORITY"] in "34567" and r["MESSAGE"] and r["SYSLOG_IDENTIFIER"].startswith("stillpoint"), r)
        check("MESSAGE_ID" in r or "STILLPOINT_STREAM" in r, r)
    equal(j.stderr_text(), "", "nothing goes to stderr, which is the same journal")


def test_what_a_client_does_and_how_its_vm_ends_have_the_fields_to_find_them_by(t):
    j = Journal(t)
    t.spawn("app", IDLE, options=["--world", "w"])
    vm, uid = str(t.vm("app")["id"]), str(os.getuid())
    whose = {"STILLPOINT_VM": vm, "STILLPOINT_VM_NAME": "app", "STILLPOINT_WORLD": "w", "STILLPOINT_CLIENT_UID": uid}
    has(j.wait(MESSAGE_ID=message_id(t, "ACT_DONE"), STILLPOINT_REQUEST="RunVm"), **whose)
    t.ctl("kill", "app")
    has(j.wait(MESSAGE_ID=message_id(t, "VM_ENDED")), STILLPOINT_EXIT="killed", PRIORITY="6", **whose)
    t.ctl("run", "--timeout", "100ms", "--name", "late", t.file("late.js", "for (;;);"), code=124)
    has(j.wait(MESSAGE_ID=message_id(t, "VM_ENDED"), STILLPOINT_VM_NAME="late"), STILLPOINT_EXIT="timeout",
        PRIORITY="5", STILLPOINT_REASON="time limit of 100 ms reached")


def test_what_a_debugger_does_has_its_name_as_a_field(t):
    j = Journal(t)
    t.spawn("app", IDLE)
    t.ctl("audit", "add", "app", "--on", "new-script", "--keep")
    record = j.wait(MESSAGE_ID=message_id(t, "ACT_DONE"), STILLPOINT_DEBUGGER=f"cli:{os.getuid()}")
    has(record, STILLPOINT_CLIENT_UID=str(os.getuid()))


def test_lines_of_a_vm_are_records_under_its_own_name_and_logs_has_them_too(t):
    j = Journal(t)
    t.ctl("run", "-d", "--name", "app",
          t.file("app.js", "console.log('one\\ntwo'); console.error('bad'); console.debug('detail')"))
    t.wait_for("app", "idle")
    vm = t.vm("app")
    for text, stream, level, priority in (("one", "stdout", "log", "6"), ("two", "stdout", "log", "6"),
                                          ("bad", "stderr", "error", "3"), ("detail", "stdout", "debug", "7")):
        record = j.wait(MESSAGE=text, STILLPOINT_STREAM=stream)
        has(record, MESSAGE=text, STILLPOINT_LEVEL=level, PRIORITY=priority, SYSLOG_IDENTIFIER="stillpoint-vm-app",
            SYSLOG_PID=str(vm["pid"]), STILLPOINT_VM=str(vm["id"]), STILLPOINT_VM_NAME="app",
            STILLPOINT_WORLD="default", STILLPOINT_CLIENT_UID=str(os.getuid()), MESSAGE_ID=None)
    equal(t.logs("app"), "one\ntwo\nbad\ndetail\n")


def test_a_guest_forges_no_record_no_field_and_no_line(t):
    j = Journal(t)
    forged = "x\\nMESSAGE_ID=" + message_id(t, "ACT_DONE") + "\\nPRIORITY=0\\n_PID=1\\x1b[2J\\u202eevil\\0end"
    t.ctl("run", t.file("evil.js", f"console.log('{forged}')"))
    j.wait(MESSAGE="end", STILLPOINT_VM_NAME="evil")
    lines = j.find(SYSLOG_IDENTIFIER="stillpoint-vm-evil")
    equal([r["MESSAGE"] for r in lines],
          ["x", "MESSAGE_ID=" + message_id(t, "ACT_DONE"), "PRIORITY=0", lines[3]["MESSAGE"]])
    check(re.fullmatch(r"_PID=1\?\[2J\?+evil\?end", lines[3]["MESSAGE"]), lines[3])
    for r in lines:
        check("MESSAGE_ID" not in r and r["PRIORITY"] == "6" and "_PID" not in r, r)


def test_a_flood_is_left_out_beyond_its_limit_and_every_line_is_counted(t):
    j = Journal(t)
    n = 3000
    t.ctl("run", "--name", "loud", t.file("loud.js", f"for (let i = 0; i < {n}; i++) console.log('line ' + i)"))
    j.wait(MESSAGE_ID=message_id(t, "VM_ENDED"), STILLPOINT_VM_NAME="loud")
    copied = j.find(SYSLOG_IDENTIFIER="stillpoint-vm-loud")
    # 16K a second for each VM, 4 s of it at once, and a record is its text and 256 bytes.
    check(150 <= len(copied) < n / 2, len(copied))
    wait_until(lambda: len(j.find(SYSLOG_IDENTIFIER="stillpoint-vm-loud")) + sum(
        int(r["STILLPOINT_DROPPED"]) for r in j.find(MESSAGE_ID=message_id(t, "OUTPUT_LEFT_OUT"))) == n,
        "copies and what was left out are all lines")
    told = j.find(MESSAGE_ID=message_id(t, "OUTPUT_LEFT_OUT"))
    has(told[0], STILLPOINT_VM_NAME="loud", STILLPOINT_CLIENT_UID=str(os.getuid()), PRIORITY="5")
    # Its own log has the newest all the same.
    check(t.logs("loud").endswith(f"line {n - 1}\n"), "logs has the last line")


def test_a_quiet_vm_is_heard_beside_loud_ones(t):
    # So little that the socket itself is never full, however slow this machine is.
    j = Journal(t, "--config", t.file("c.conf", "[journal]\noutput-rate = 1K\ntotal-output-rate = 4K\n"))
    for i in range(6):
        t.ctl("run", "-d", "--name", f"loud{i}", t.file("loud.js", "setInterval(() => console.log('noise'), 1)"))
    for i in range(6):
        j.wait(MESSAGE_ID=message_id(t, "OUTPUT_LEFT_OUT"), STILLPOINT_VM_NAME=f"loud{i}")
    t.spawn("quiet", "globalThis.onmessage = (e) => console.log('heard', e.data ?? e)")
    t.ctl("send", "quiet", '"once"')
    j.wait(SYSLOG_IDENTIFIER="stillpoint-vm-quiet", MESSAGE="heard")
    t.ctl("kill", "*")


def test_what_a_file_says_of_the_journal_holds(t):
    conf = t.file("c.conf", "[journal]\noutput = no\n")
    j = Journal(t, "--config", conf)
    t.ctl("run", t.file("a.js", "console.log('hello')"))
    j.wait(MESSAGE_ID=message_id(t, "VM_ENDED"))
    equal(j.find(MESSAGE="hello"), [])
    equal(t.logs("a"), "hello\n")


def test_a_journal_that_does_not_read_holds_no_vm_and_no_client_up(t):
    conf = t.file("c.conf", "[journal]\noutput-rate = 1G\ntotal-output-rate = 1G\n")
    j = Journal(t, "--config", conf, deaf=True)
    n = 2000
    r = t.ctl("run", "--name", "loud", t.file("loud.js", f"for (let i = 0; i < {n}; i++) console.log('line ' + i)"))
    equal(len(r.out.splitlines()), n)
    t.spawn("after", IDLE)
    t.ctl("kill", "after")
    j.hear()
    # What found no room is told: the lines by the count of its VM, our own records by theirs.
    wait_until(lambda: len(j.find(SYSLOG_IDENTIFIER="stillpoint-vm-loud")) + sum(
        int(r["STILLPOINT_DROPPED"]) for r in j.find(MESSAGE_ID=message_id(t, "OUTPUT_LEFT_OUT"))) == n,
        "copies and what was left out are all lines")
    with t.daemon.connect() as s:
        s.sendall(wire.hello())
        wire.read_frame(s)
    equal(j.stderr_text(), "")


def test_a_journal_that_is_gone_is_found_again(t):
    j = Journal(t)
    j.wait(MESSAGE_ID=message_id(t, "SERVING"))
    path = os.path.join(j.folder, "socket")
    os.rename(path, path + ".gone")
    equal(t.ctl("run", t.file("a.js", "console.log('hello')")).out, "hello\n")
    wait_until(lambda: "RunVm" in j.stderr_text(), "what we have to say goes to stderr meanwhile")
    os.rename(path + ".gone", path)
    t.ctl("run", "--name", "b", t.file("b.js", "console.log('again')"))
    j.wait(MESSAGE="again", STILLPOINT_VM_NAME="b")


def test_on_plain_stderr_are_our_lines_and_none_of_a_guest(t):
    t.ctl("run", "--name", "app", t.file("app.js", "console.log('done: uid 0'); throw new Error('no')"), code=1)
    vm = t.vm("app")["id"]
    lines = wait_until(lambda: [x for x in t.daemon.log_text().splitlines() if " ended: " in x], "its end is told")
    check(lines[0].startswith(f"stillpointd: vm {vm} (app) of uid {os.getuid()} ended: error"), lines)
    check("done: uid 0\n" not in t.daemon.log_text().replace(f"done: uid {os.getuid()} (", ""), t.daemon.log_text())
    check(all(x.startswith("stillpointd: ") for x in t.daemon.log_text().splitlines()), t.daemon.log_text())


def test_a_private_daemon_does_not_say_how_vms_end(t):
    r = t.run([t.program("stillctl"), "--private", "run", t.file("a.js", "console.log('hello')")])
    equal((r.code, r.out, r.err), (0, "hello\n", ""))
