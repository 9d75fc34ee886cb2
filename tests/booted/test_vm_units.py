"""VMs that the service starts by itself, as an administrator has them: files in /etc, links in /var/lib."""

import json
import os

from booted import HANG, SERVICE
from harness import check, equal, wait_until

TICK = "let n = 0; setInterval(() => { n++ }, 10); globalThis.count = () => n; onmessage = () => {}"
FOLDER, LINKS = "/etc/stillpoint/vms", "/var/lib/stillpoint/vms"


def write_unit(m, name, more="", program=TICK):
    os.makedirs(m.path(FOLDER), exist_ok=True)
    os.makedirs(m.path("/srv/vms"), exist_ok=True)
    m.write(f"/srv/vms/{name}.js", program)
    m.write(f"{FOLDER}/{name}.conf", f"[vm]\nprogram = /srv/vms/{name}.js\n{more}")


def remove_units(m):
    for folder in (FOLDER, LINKS):
        if os.path.isdir(m.path(folder)):
            for name in os.listdir(m.path(folder)):
                os.unlink(os.path.join(m.path(folder), name))


def units(m, **options):
    return {u["name"]: u for u in json.loads(m.ctl("-o", "json", "units", **options).out)}


def test_units_are_started_with_the_service_and_stay_as_they_were_enabled(m):
    write_unit(m, "web", "owner = alice\nrestart = on-failure\n")
    write_unit(m, "later", "enabled = no\n")
    try:
        m.ctl("check", f"{FOLDER}/web.conf", f"{FOLDER}/later.conf")
        m.systemctl("start", SERVICE)
        equal({n: u["state"] for n, u in units(m).items()}, {"web": "running", "later": "off"})
        m.ctl("wait", "web", "--for=idle", f"--timeout={HANG:.0f}s")
        # Whose it is may talk to it, start and stop it; what is enabled is for administrators to say.
        m.ctl("call", "web", "count", user="alice")
        m.ctl("restart", "web", user="alice")
        m.ctl("stop", "later", user="alice", code=4)
        m.ctl("enable", "later", user="alice", code=4)
        m.ctl("enable", "later")
        m.ctl("disable", "web")
        equal(os.readlink(m.path(f"{LINKS}/later.conf")), f"{FOLDER}/later.conf")
        equal(os.readlink(m.path(f"{LINKS}/web.conf")), "/dev/null")
        m.systemctl("stop", SERVICE)
        m.systemctl("start", SERVICE)
        wait_until(lambda: {n: u["state"] for n, u in units(m).items()} == {"web": "off", "later": "running"},
                   "each is as it was enabled", HANG)
    finally:
        remove_units(m)


def test_a_reload_reads_the_files_of_units_and_touches_no_vm(m):
    write_unit(m, "web")
    try:
        m.systemctl("start", SERVICE)
        m.ctl("wait", "web", "--for=idle", f"--timeout={HANG:.0f}s")
        pid = json.loads(m.ctl("-o", "json", "status", "web").out)["pid"]
        write_unit(m, "web", "args = new\n")
        write_unit(m, "more")
        m.write(f"{FOLDER}/wrong.conf", "[vm]\nprogam = /x\n")
        m.systemctl("reload", SERVICE)
        wait_until(lambda: len(units(m)) == 3, "all files are read", HANG)
        found = units(m)
        equal({n: (u["state"], u["changed"]) for n, u in found.items()},
              {"web": ("running", True), "more": ("off", False), "wrong": ("off", False)})
        check("wrong.conf:2: there is no 'progam'" in found["wrong"]["error"], found["wrong"])
        check("wrong.conf:2: there is no 'progam'" in m.journal("-u", SERVICE), "the journal has it, too")
        equal(json.loads(m.ctl("-o", "json", "status", "web").out)["pid"], pid)
    finally:
        remove_units(m)


def test_what_is_wrong_with_a_first_unit_is_said_with_what_helps(m):
    m.write("/home/alice/web.js", TICK)
    m.write("/tmp/web.js", TICK)
    m.write("/srv/vms/web.js", TICK, 0o600)
    try:
        m.systemctl("start", SERVICE)
        for program, hint in (("/home/alice/web.js", "a service sees neither homes nor others' /tmp: try /srv"),
                              ("/tmp/web.js", "a service sees neither homes nor others' /tmp: try /srv"),
                              ("/srv/vms/web.js", "permission denied (the daemon reads it, as uid ")):
            m.write(f"{FOLDER}/web.conf", f"[vm]\nprogram = {program}\n")
            # Whoever checks it is root, and sees the file.
            m.ctl("check", f"{FOLDER}/web.conf")
            r = m.ctl("start", "web", code=1)
            check(f"cannot start unit web: {program}: " in r.err and hint in r.err, r)
            check(hint in units(m)["web"]["detail"], units(m)["web"])
        os.chmod(m.path("/srv/vms/web.js"), 0o644)
        # A limit among what a VM is, as one writes it at first.
        m.write(f"{FOLDER}/web.conf", "[vm]\nprogram = /srv/vms/web.js\nmemory = 64M\n")
        r = m.ctl("check", f"{FOLDER}/web.conf", code=1)
        check("web.conf:3: there is no 'memory' in section [vm]: it belongs to [limits]" in r.err, r)
        m.write(f"{FOLDER}/web.conf", "[vm]\nprogram = /srv/vms/web.js\n[limits]\nmemory = 64M\n")
        m.ctl("start", "web")
        equal(units(m)["web"]["state"], "running")
    finally:
        remove_units(m)
        for path in ("/home/alice/web.js", "/tmp/web.js"):
            os.unlink(m.path(path))
