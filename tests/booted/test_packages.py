"""The Debian packages, on a system that has never heard of Stillpoint, nor of what it needs: installed by apt, used,
installed once more, removed, purged. `make deb` has made them."""

import glob
import json
import os
import re
import shutil

import booted
import guide
from booted import ENDED, HANG, SERVICE, SOCKETS
from harness import Skip, check, equal, wait_until

TREE = "clean"
LONG = True
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GUIDE = os.path.join(TOP, "docs", "ADMIN.md")
FOLDER = os.environ.get("STILLPOINT_DEB", os.path.join(TOP, "build", "deb"))
HERE = "/srv/stillpoint"  # where they are in the machine
INSTALLED = ("libstillpoint1", "stillctl", "stillpoint")
PEOPLE = {"alice": 2001, "mallory": 2003}

# What a package's coming and going changes by itself: dpkg's books, logs, caches, and copies of the account
# files that the tools of passwd make.
OTHERS = re.compile(r"/(var/lib/dpkg|var/lib/apt|var/log|var/cache|run|tmp|proc|sys|dev|root)(/|$)"
                    r"|/etc/(passwd|group|shadow|gshadow|subuid|subgid)-$|/etc/\.pwd\.lock$|/etc/ld\.so\.cache$"
                    r"|/var/lib/systemd/(catalog|timers|random-seed|journal-upload|linger)|/var/tmp/systemd-private")


def packages():
    return [deb for name in INSTALLED for deb in glob.glob(os.path.join(FOLDER, f"{name}_*.deb"))]


def prepare(trees, root):
    booted.add_archive(trees, root)
    os.makedirs(os.path.join(root, HERE[1:]))
    for deb in packages():
        shutil.copy(deb, os.path.join(root, HERE[1:]))
    os.makedirs(os.path.join(root, "etc/sysusers.d"), exist_ok=True)
    for name, uid in PEOPLE.items():
        with open(os.path.join(root, "etc/sysusers.d", f"{name}.conf"), "w", encoding="ascii") as f:
            f.write(f"u {name} {uid} - / /bin/sh\n")
    booted.run("chroot", root, "systemd-sysusers")


def files(m):
    """Every file of the system that is not somebody else's, and who there is."""
    found = set()
    top = m.path("")
    for folder, folders, names in os.walk(top):
        inside = folder[len(top):]
        folders[:] = [name for name in folders if not OTHERS.match(f"{inside}/{name}")]
        found.update(f"{inside}/{name}" for name in [*folders, *names])
    found = {path for path in found if not OTHERS.match(path)}
    for database in ("passwd", "group"):
        with open(m.path(f"/etc/{database}"), encoding="utf-8") as f:
            found.update(f"{database}: {line.split(':')[0]}" for line in f)
    return found


def command_of(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def cgroups(m):
    top = m.path("/sys/fs/cgroup")
    return [folder[len(top):] for folder, _, _ in os.walk(top) if "stillpoint" in folder[len(top):]]


def apt(m, command):
    return m.run("sh", "-c", f"cd {HERE} && DEBIAN_FRONTEND=noninteractive exec {command}")


def install(m):
    """Also once more."""
    if len(packages()) != len(INSTALLED):
        raise Skip("there are no packages: make deb")
    return apt(m, "dpkg -i ./*.deb" if is_installed(m, "libmozjs-102-0") else "apt-get install ./*.deb")


def is_installed(m, package="stillpoint"):
    return m.run("dpkg-query", "-W", "-f", "${db:Status-Status}", package, code=None).out == "installed"


def test_apt_installs_what_it_needs_and_a_purge_takes_all_of_it_away(m):
    if len(packages()) != len(INSTALLED):
        raise Skip("there are no packages: make deb")
    before = files(m)
    equal(m.run("dpkg-query", "-W", "-f", "${Package}", "libmozjs-102-0", code=None).out, "")
    commands, _ = guide.read(GUIDE)
    for command in commands:
        if command.mark == "packages":
            apt(m, command.text)
    for unit in (SERVICE, *SOCKETS):
        equal(m.systemctl("is-enabled", unit).out, "enabled\n")
        equal(m.systemctl("is-active", unit).out, "active\n")
    m.run("usermod", "-a", "-G", "stillpoint", "alice")
    m.systemctl("start", SERVICE)
    m.write("/tmp/app.js", "console.log('hello'); process.exitCode = 7;")
    equal(m.ctl("run", "/tmp/app.js", user="alice", code=7).out, "hello\n")
    m.ctl("run", "/tmp/app.js", user="mallory", code=125)
    m.ctl("list", user="mallory", code=4)
    m.ctl("--private", "run", "/tmp/app.js", user="mallory", code=7)
    # What people and the daemon leave behind: settings, a unit and what was said of it, VMs, a stopped world.
    m.write("/etc/stillpoint/stillpointd.conf.d/own.conf", "[quota]\nvms = 3\n")
    m.write("/tmp/idle.js", "onmessage = () => {};")
    m.write("/etc/stillpoint/vms/web.conf", "[vm]\nprogram = /tmp/idle.js\n")
    m.ctl("enable", "web")
    m.systemctl("restart", SERVICE)
    m.ctl("run", "-d", "--name", "app", "/tmp/idle.js", user="alice")
    m.ctl("world", "stop", "default")
    check(len(files(m) - before) > 50 and cgroups(m), "nothing was installed")
    apt(m, f"apt-get purge --autoremove {' '.join(INSTALLED)}")
    for path in ("idle.js", "app.js"):
        os.unlink(m.path(f"/tmp/{path}"))
    equal(sorted(files(m) - before), [])
    equal(sorted(before - files(m)), [])
    check(not os.path.lexists(m.path("/run/stillpoint")), "/run/stillpoint is left")
    equal([p for p in m.processes() if "stillpoint" in command_of(p)], [])
    wait_until(lambda: not cgroups(m), "systemd removes their control groups", HANG)
    equal(m.systemctl("list-unit-files", "--no-legend", "stillpoint*", code=None).out, "")


def test_every_file_has_a_package_and_every_package_its_files(m):
    if not is_installed(m):
        install(m)
    said = m.run("dpkg", "--verify", *INSTALLED).out
    # Documentation is left out where dpkg was told so.
    equal([line for line in said.splitlines() if "/usr/share/" not in line], [])
    for path in ("/etc/stillpoint/stillpointd.conf", "/lib/systemd/system/stillpointd.service",
                 "/usr/lib/sysusers.d/stillpoint.conf", "/usr/lib/tmpfiles.d/stillpoint.conf",
                 "/usr/libexec/stillpoint/stillpoint-worker-mozjs", "/usr/sbin/stillpointd",
                 "/usr/share/bash-completion/completions/stillctl", "/usr/share/zsh/vendor-completions/_stillctl"):
        check(os.path.lexists(m.path(path)), f"{path} is there")
    r = m.run("systemd-analyze", "verify", "--man=no", SERVICE, ENDED, *SOCKETS, "stillpoint.slice")
    equal(r.out + r.err, "")


def sockets_of(m):
    """They are others when they have been closed and opened."""
    return [os.stat(m.path(f"/run/stillpoint/{name}.sock")).st_ino for name in ("control", "observe")]


def test_in_an_upgrade_the_service_is_restarted_and_its_vms_sockets_and_settings_are_kept(m):
    if not is_installed(m):
        install(m)
    conf = m.path("/etc/stillpoint/stillpointd.conf")
    with open(conf, "a", encoding="utf-8") as f:
        f.write("[quota]\nvms = 17\n")
    m.systemctl("enable", "--now", SERVICE)
    m.write("/tmp/app.js", "let n = 0; setInterval(() => { n++ }, 10); globalThis.count = () => n; onmessage = () => {};")
    m.ctl("run", "-d", "--ready", "--name", "app", "/tmp/app.js")
    worker, count = json.loads(m.ctl("-o", "json", "status", "app").out)["pid"], int(m.ctl("call", "app", "count").out)
    before, sockets = m.main_pid(), sockets_of(m)
    install(m)
    wait_until(lambda: m.main_pid() not in (0, before), "the service was restarted", HANG)
    m.wait_active()
    equal(sockets_of(m), sockets, "whoever came meanwhile has waited")
    equal(json.loads(m.ctl("-o", "json", "status", "app").out)["pid"], worker, "its VMs outlive an upgrade")
    check(int(m.ctl("call", "app", "count").out) >= count, "and go on")
    m.ctl("kill", "app")
    with open(conf, encoding="utf-8") as f:
        check(f.read().endswith("vms = 17\n"), "the configuration was replaced")
    # Who has disabled it finds it disabled.
    m.systemctl("disable", "--now", SERVICE)
    install(m)
    equal(m.systemctl("is-enabled", SERVICE, code=1).out, "disabled\n")


def test_removed_it_ends_its_programs_and_keeps_the_settings(m):
    if not is_installed(m):
        install(m)
    m.systemctl("start", SERVICE)
    m.write("/tmp/loop.js", "for (;;);")
    m.ctl("run", "-d", "--name", "loop", "/tmp/loop.js")
    m.run("dpkg", "--remove", "stillpoint")
    for unit in (SERVICE, *SOCKETS):
        check(m.systemctl("is-active", unit, code=None).out.strip() != "active", f"{unit} still runs")
    equal([p for p in m.processes() if "stillpoint" in command_of(p)], [])
    check(os.path.exists(m.path("/etc/stillpoint/stillpointd.conf")), "the settings are gone")
    equal(m.run("getent", "passwd", "stillpoint").code, 0)


def test_the_packages_pass_their_own_tests(m):
    # Those that take no compiler; test_autopkgtest.py runs all.
    install(m)
    m.systemctl("enable", SERVICE)
    m.systemctl("start", SERVICE, *SOCKETS)
    m.run("mkdir", "-p", "/root/tests")
    for name in ("common", "smoke", "service"):
        with open(os.path.join(TOP, "debian", "tests", name), encoding="utf-8") as f:
            m.write(f"/root/tests/{name}", f.read(), 0o755)
    for name in ("smoke", "service"):
        m.run(f"/root/tests/{name}")
    check(not is_installed(m), "the last one purges it")
    m.run("userdel", "-r", "still-member", code=None)
    m.run("userdel", "-r", "still-stranger", code=None)
