"""Units: VMs that the daemon starts by itself, from files of an administrator."""

import os
import signal

from harness import check, equal, wait_until
from storm import watch
from test_access import ALICE, BOB, GROUPS, Person

IDLE = "globalThis.onmessage = () => {}; globalThis.f = () => 1; console.log('up', ...process.argv.slice(2));"
FAST = "restart-delay = 10ms\nrestart-delay-max = 40ms\n"
# Somebody whom it is told to become has a state directory; whoever else runs as nobody is not trusted with one.
USER = ("--user", "nobody") if os.geteuid() == 0 else ()


def unit(t, name, more="", program="app.js", section="vm"):
    """Writes NAME.conf; returns its path."""
    text = f"[{section}]\nprogram = {os.path.join(t.work, program)}\n{more}\n"
    return t.file(f"vms/{name}.conf", text)


def start(t, *args):
    """A daemon with the folder of units; started as root it becomes somebody else, who has to read."""
    os.makedirs(os.path.join(t.work, "vms"), exist_ok=True)
    for folder in (t.folder, t.work, t.run_dir):
        os.chmod(folder, 0o755)
    t.start_daemon("--vms", os.path.join(t.work, "vms"), "--state-dir", os.path.join(t.folder, "state"), *USER,
                   *args)
    t.daemon.fds_at_start = None  # its units' VMs were there already
    return watch(t)


def units(t, *names):
    return {u["name"]: u for u in t.json("units", *names, schema="units")}


def told(events, name, says):
    """The next event of this unit that says that; others of it must not come before."""
    event = events.until("unit-changed", name=name)
    check(event.detail.startswith(says), f"{name}: {event.detail!r} instead of {says!r}")
    return event


def test_units_are_started_with_the_daemon_as_their_files_say(t):
    t.file("app.js", IDLE)
    unit(t, "web", "args = one 'two words' \"say \\\"hi\\\"\"\nargs = four\nworld = front\n"
                   "labels = tier=web team=a\n[limits]\nmemory = 64M\nlog-size = 8K\n")
    unit(t, "later", "enabled = no\n")
    events = start(t)
    told(events, "web", "running")
    t.wait_for("web", "idle")
    vm = t.json("status", "web", schema="status")
    equal((vm["name"], vm["world"], vm["program"], vm["unit"]), ("web", "front", "app.js", "web"))
    equal(vm["args"], ["one", "two words", 'say "hi"', "four"])
    equal(vm["labels"], {"tier": "web", "team": "a"})
    t.spawn("byhand", IDLE)
    for label, names in (("tier", ["web"]), ("tier=web", ["web"]), ("team=a", ["web"]), ("tie", []), ("tier=we", []),
                         ("team=b", [])):
        equal([vm["name"] for vm in t.list("--label", label)], names, label)
    equal((t.vm("byhand")["labels"], t.vm("byhand")["unit"]), ({}, None))
    equal((vm["limits"]["memory_bytes"], vm["limits"]["log_bytes"]), (64 << 20, 8 << 10))
    equal(t.logs("web"), "up one two words say \"hi\" four\n")
    found = units(t)
    equal({n: (u["state"], u["enabled"]) for n, u in found.items()},
          {"web": ("running", True), "later": ("off", False)})
    equal(found["web"]["vm"], vm["id"])
    equal(found["later"]["vm"], None)
    check("Unit: running" in t.ctl("status", "web").out, t.ctl("status", "web").out)
    t.refused("status", "later", code=3, says=["its unit has not been started", "stillctl units"])
    events.close()


def test_modules_are_imported_from_the_programs_folder_at_any_time(t):
    t.file("main.mjs", "import {a} from './lib/a.mjs'; console.log(a);"
                       "export const late = async () => (await import('./b.mjs')).b;"
                       "export const out = () => import('../vms/web.conf').then(String, e => e.message);"
                       "export const gone = () => import('./gone.mjs').then(String, e => e.message);")
    t.file("lib/a.mjs", "export const a = 'a';")
    t.file("b.mjs", "export const b = 'b';")
    os.makedirs(os.path.join(t.work, "lib"), exist_ok=True)
    os.chmod(os.path.join(t.work, "lib"), 0o755)
    unit(t, "web", program="main.mjs")
    events = start(t)
    told(events, "web", "running")
    t.wait_for("web", "idle")
    equal(t.logs("web"), "a\n")
    equal(t.ctl("call", "web", "late").out, '"b"\n')
    check("no such file" in t.ctl("call", "web", "gone").out, t.ctl("call", "web", "gone").out)
    check("vm" not in t.ctl("call", "web", "out").out.split("'")[0], t.ctl("call", "web", "out").out)
    events.close()


def test_what_a_vm_makes_the_daemon_read_is_bounded(t):
    t.file("app.js", "globalThis.take = name => import(name).then(() => 'read', e => e.message); 0")
    big = b"/*" + b"x" * (40 << 20) + b"*/"
    t.file("one.mjs", big)
    t.file("two.mjs", big)
    os.symlink("/etc/hostname", os.path.join(t.work, "link.mjs"))
    os.mkfifo(os.path.join(t.work, "fifo.mjs"))
    unit(t, "web")
    events = start(t)
    told(events, "web", "running")
    t.wait_for("web", "idle")

    def take(name):
        return t.json("call", "web", "take", f'"./{name}"')
    equal(take("one.mjs"), "read")
    for name, words in (("two.mjs", "larger than"), ("link.mjs", "symbolic link"), ("fifo.mjs", "not a regular file")):
        check(words in take(name), take(name))
    equal(units(t)["web"]["state"], "running")
    events.close()


def test_a_unit_that_fails_is_started_again_ever_later_and_given_up(t):
    t.file("app.js", "console.log('once'); process.exit(3);")
    unit(t, "bad", f"restart = on-failure\nrestart-attempts = 3\n{FAST}")
    events = start(t)
    vms = []
    for n, ms in ((1, 10), (2, 20), (3, 40)):
        vms.append(told(events, "bad", "running").vm)
        told(events, "bad", f"restarting in {ms} ms: restart {n} of 3: it exited, code 3")
    vms.append(told(events, "bad", "running").vm)
    told(events, "bad", "failed: gave up after 3 restarts: it exited, code 3")
    equal(len(set(vms)), 4, "each time a VM of its own")
    u = units(t, "bad")["bad"]
    equal((u["state"], u["restarts"], u["vm"], u["restart_at_us"]), ("failed", 3, None, None))
    shown = t.ctl("status", "bad").out
    check("Unit: failed, enabled, " in shown and "Because: gave up after 3 restarts: it exited, code 3" in shown, shown)
    # An administrator's start counts anew.
    t.ctl("start", "bad")
    told(events, "bad", "running")
    told(events, "bad", "restarting in 10 ms: restart 1 of 3")
    t.ctl("stop", "bad")
    events.close()


def test_what_has_run_for_long_enough_starts_with_the_first_delay(t):
    t.file("app.js", "setTimeout(() => process.exit(3), 50);")
    unit(t, "bad", f"restart = on-failure\nrestart-attempts = 1\nrestart-reset = 1ms\n{FAST}")
    events = start(t)
    for _ in range(4):
        told(events, "bad", "running")
        told(events, "bad", "restarting in 10 ms: restart 1 of 1: it exited")
    t.ctl("stop", "bad")
    events.close()


def test_how_a_vm_ends_decides_about_its_restart(t):
    t.file("good.js", "process.exit(0);")
    t.file("bad.js", "throw new Error('no');")
    t.file("broken.js", "this is no JavaScript")
    hour = "restart-delay = 1h\nrestart-delay-max = 1h\n"
    t.file("done.js", "console.log('done')")
    unit(t, "good-once", f"restart = on-failure\n{hour}", "good.js")
    unit(t, "done", f"restart = always\nexit-when-done = yes\n{hour}", "done.js")
    unit(t, "idles", f"restart = always\n{hour}", "done.js")
    unit(t, "good-always", f"restart = always\n{hour}", "good.js")
    unit(t, "bad-once", "", "bad.js")
    unit(t, "bad-again", f"restart = on-failure\n{hour}", "bad.js")
    unit(t, "broken", f"restart = on-failure\n{hour}", "broken.js")
    unit(t, "missing", f"restart = on-failure\n{hour}", "missing.js")
    events = start(t)
    wanted = {"good-once": "exited", "done": "restarting", "idles": "running", "good-always": "restarting", "bad-once": "failed",
              "bad-again": "restarting", "broken": "restarting", "missing": "restarting"}
    wait_until(lambda: {n: u["state"] for n, u in units(t).items()} == wanted, "all have ended")
    found = units(t)
    check("Error: no" in found["bad-once"]["detail"], found["bad-once"])
    check("SyntaxError" in found["broken"]["detail"], found["broken"])
    check("missing.js: no such file" in found["missing"]["detail"], found["missing"])
    check(found["missing"]["restart_at_us"] > 0, found["missing"])
    table = t.ctl("units", "missing").out
    check("restarting in 59m" in table, table)
    check("Next start: " in t.ctl("status", "bad-again").out, t.ctl("status", "bad-again").out)
    # Whoever asks is told at once, and nothing goes on behind its back.
    t.refused("start", "broken", code=1, says=["cannot start unit broken", "SyntaxError"])
    t.refused("start", "missing", code=1, says=["missing.js: no such file"])
    found = units(t)
    equal((found["broken"]["state"], found["missing"]["state"]), ("failed", "failed"))
    # A program that comes later is there for the next start.
    t.file("missing.js", IDLE)
    t.ctl("start", "missing")
    equal(units(t, "missing")["missing"]["state"], "running")
    # Waiting is ended by a stop.
    t.ctl("stop", "bad-again", "good-always")
    found = units(t)
    equal((found["bad-again"]["state"], found["bad-again"]["restart_at_us"]), ("off", None))
    events.close()


def test_a_worker_that_is_killed_is_started_again(t):
    t.file("app.js", IDLE)
    unit(t, "web", f"restart = on-failure\n{FAST}")
    events = start(t)
    first = told(events, "web", "running").vm
    t.wait_for("web", "idle")
    os.kill(t.vm("web")["pid"], signal.SIGKILL)
    told(events, "web", "restarting in 10 ms: restart 1 of 5: it was killed, code 137")
    second = told(events, "web", "running").vm
    check(second > first, (first, second))
    t.wait_for("web", "idle")
    # `stillctl kill` ends a VM; `stop` is what ends a unit.
    t.ctl("kill", "web")
    told(events, "web", "restarting in 20 ms: restart 2 of 5")
    told(events, "web", "running")
    t.ctl("stop", "web")
    event = told(events, "web", "off: stopped by uid")
    equal(event.vm, 0)
    equal(t.list(), [])
    events.close()


def test_start_stop_and_restart_by_hand(t):
    t.file("app.js", IDLE)
    unit(t, "web", "enabled = no\n")
    events = start(t)
    equal(t.list(), [])
    started, = t.json("start", "web", schema="start")
    equal((started["name"], started["state"], started["enabled"]), ("web", "running", False))
    again, = t.json("start", "web", schema="start")
    equal(again["vm"], started["vm"], "a start of what runs has no effect")
    restarted, = t.json("restart", "web", schema="restart")
    check(restarted["vm"] > started["vm"], restarted)
    stopped, = t.json("stop", "web", schema="stop")
    equal((stopped["state"], stopped["vm"]), ("off", None))
    t.ctl("stop", "web")
    equal(t.ctl("-o", "name", "restart", "web").out, "web\n")
    for verb in ("start", "stop", "restart", "enable", "disable", "units"):
        t.refused(verb, "nope", code=3, says=["no unit named 'nope'", "stillctl units"])
        t.refused(verb, "no such name", code=2, says="no name of a unit")
    for verb in ("start", "stop", "restart", "enable", "disable"):
        t.refused(verb, code=2, says="which unit?")
    # Several: what can be done is done, and the first failure is the exit code.
    r = t.ctl("stop", "nope", "web", code=3)
    check("nope" in r.err, r)
    equal(units(t)["web"]["state"], "off")
    events.close()


def test_enabled_is_kept_where_an_administrator_can_read_it(t):
    t.file("app.js", IDLE)
    on, off = unit(t, "on"), unit(t, "off", "enabled = no\n")
    events = start(t)
    told(events, "on", "running")
    links = os.path.join(t.folder, "state", "vms")
    disabled, = t.json("disable", "on", schema="disable")
    equal((disabled["enabled"], disabled["state"]), (False, "running"), "what runs goes on")
    enabled, = t.json("enable", "off", schema="enable")
    equal((enabled["enabled"], enabled["state"]), (True, "off"), "nothing is started")
    equal(sorted(os.listdir(links)), ["off.conf", "on.conf"])
    equal(os.readlink(os.path.join(links, "on.conf")), "/dev/null")
    equal(os.readlink(os.path.join(links, "off.conf")), off)
    events.close()
    t.daemon.stop()
    events = start(t)
    told(events, "off", "running")
    equal({n: (u["state"], u["enabled"]) for n, u in units(t).items()},
          {"on": ("off", False), "off": ("running", True)})
    t.ctl("enable", "--now", "on")
    equal(os.readlink(os.path.join(links, "on.conf")), on)
    told(events, "on", "running")
    t.ctl("disable", "--now", "off", "on")
    told(events, "off", "off: stopped by uid")
    told(events, "on", "off: stopped by uid")
    events.close()


def test_what_cannot_be_kept_is_not_done(t):
    t.file("app.js", IDLE)
    unit(t, "web")
    t.file("state", "no folder")
    os.makedirs(os.path.join(t.work, "vms"), exist_ok=True)
    for folder in (t.folder, t.work, t.run_dir):
        os.chmod(folder, 0o755)
    t.start_daemon("--vms", os.path.join(t.work, "vms"), "--state-dir", os.path.join(t.work, "state"),
                   *USER)
    t.daemon.fds_at_start = None
    t.refused("disable", "web", code=1, says=["cannot disable unit web", "state-dir"])
    equal(units(t)["web"]["enabled"], True)


def test_a_start_reads_the_file_anew(t):
    t.file("app.js", IDLE)
    path = unit(t, "web", "args = old\n")
    events = start(t)
    told(events, "web", "running")
    t.wait_for("web", "idle")
    unit(t, "web", "args = new\nworld = other\n")
    unit(t, "fresh", "enabled = no\n")
    t.ctl("start", "fresh")
    told(events, "fresh", "running")
    # What runs goes on as it was started.
    t.ctl("start", "web")
    u = units(t)["web"]
    equal((u["changed"], u["args"], t.vm("web")["args"]), (True, ["new"], ["old"]))
    check("has changed since" in t.ctl("status", "web").out, t.ctl("status", "web").out)
    t.ctl("restart", "web")
    u, vm = units(t)["web"], t.vm("web")
    equal((u["changed"], vm["args"], vm["world"]), (False, ["new"], "other"))
    # A file that is wrong: what it said before holds on, and the error says where.
    t.file("vms/web.conf", "[vm]\nprogam = /x\n")
    t.refused("restart", "web", code=1, says=["web.conf:2: there is no 'progam' in section [vm]"])
    u = units(t)["web"]
    equal((u["args"], u["state"], u["vm"]), (["new"], "off", None))
    check(u["error"].startswith(f"{path}:2: "), u)
    t.refused("enable", "web", code=1, says=["web.conf:2:"])
    # One that is gone: as long as its VM.
    unit(t, "web")
    t.ctl("start", "web")
    os.unlink(path)
    t.ctl("start", "fresh")
    t.refused("start", "web", code=3, says="the file of unit 'web' is gone")
    equal(units(t)["web"]["gone"], True)
    t.ctl("stop", "web")
    equal(list(units(t)), ["fresh"])
    events.close()


def test_reading_all_files_anew_starts_and_ends_nothing(t):
    t.file("app.js", IDLE)
    for name in ("same", "new", "gone", "wrong"):
        if name != "new":
            unit(t, name, "args = old\n")
    unit(t, "waits", "restart = always\nrestart-delay = 1h\nrestart-delay-max = 1h\n", "missing.js")
    events = start(t)
    for name in ("gone", "same"):
        told(events, name, "running")
    told(events, "waits", "restarting")
    told(events, "wrong", "running")
    for name in ("gone", "same", "wrong"):
        t.wait_for(name, "idle")
    before = {vm["name"]: vm["pid"] for vm in t.list()}
    unit(t, "new")
    unit(t, "same", "args = new\n")
    t.file("vms/wrong.conf", "[vm]\n\nprogram = nowhere\n")
    for name in ("gone", "waits"):
        os.unlink(os.path.join(t.work, f"vms/{name}.conf"))
    t.daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "units: 1 added, 1 changed, 2 removed, 1 with errors" in t.daemon.log_text(), "it says so")
    equal({vm["name"]: vm["pid"] for vm in t.list()}, before)
    found = units(t)
    equal({n: (u["state"], u["changed"], u["gone"], u["args"]) for n, u in found.items()},
          {"new": ("off", False, False, []), "same": ("running", True, False, ["new"]),
           "gone": ("running", False, True, ["old"]), "wrong": ("running", False, False, ["old"])})
    check("wrong.conf:3: [vm] program takes" in found["wrong"]["error"], found["wrong"])
    # A VM whose file is gone is not started again.
    t.ctl("kill", "gone")
    equal(sorted(units(t)), ["new", "same", "wrong"])
    t.ctl("run", "-d", "--name", "gone", os.path.join(t.work, "app.js"))
    events.close()


def test_units_that_are_wrong_do_not_keep_the_daemon_or_others_from_running(t):
    t.file("app.js", IDLE)
    good = unit(t, "good")
    t.file("vms/empty.conf", "")
    t.file("vms/two.conf", "[vm]\nprogram = app.js\nprogram = /x\n\n[limits]\nmemory = lots\n[other]\nx = 1\n")
    t.file("vms/123.conf", "[vm]\nprogram = /x\n")
    t.file("vms/readme.txt", "none of its business")
    open_to_all = unit(t, "open")
    os.chmod(open_to_all, 0o666)
    unit(t, "nobody", "owner = no-such-user-here\n")
    events = start(t)
    told(events, "good", "running")
    found = units(t)
    equal(sorted(found), ["empty", "good", "nobody", "open", "two"])
    equal(found["good"]["path"], good)
    says = {"empty": "empty.conf: [vm] program is missing", "two": "two.conf:2: [vm] program takes",
            "open": "open.conf: may be written by everybody", "nobody": "nobody.conf:3: [vm] owner: there is no"}
    for name, words in says.items():
        check(words in found[name]["error"], found[name])
        equal((found[name]["program"], found[name]["vm"], found[name]["uid"]), (None, None, None))
        t.refused("start", name, code=1, says=words)
    log = t.daemon.log_text()
    for words in ("two.conf:2: ", "two.conf:3: 'program' has been said in line 2 already",
                  "two.conf:6: [limits] memory takes", "two.conf:7: there is no section [other]",
                  "123.conf: what comes before .conf is no name"):
        check(words in log, f"{words!r} is logged")
    events.close()


def test_names_of_units_are_kept_for_them(t):
    path = t.file("web.js", IDLE)
    unit(t, "web", "enabled = no\n", "web.js")
    events = start(t)
    t.refused("run", "-d", "--name", "web", path, code=1, says=["kept for a unit", "stillctl units"])
    t.ctl("run", "-d", path)
    equal([vm["name"] for vm in t.list()], ["web-2"], "a default name makes way")
    t.ctl("start", "web")
    # A VM that has a name before there is a unit of that name.
    t.spawn("late", IDLE)
    unit(t, "late", "enabled = no\n", "web.js")
    t.refused("start", "late", code=1, says="a VM named 'late' exists already")
    t.ctl("kill", "late")
    t.ctl("start", "late")
    equal(t.vm("late")["unit"], "late")
    events.close()


def test_a_stopped_world_takes_and_gives_units_without_running_them(t):
    t.file("app.js", IDLE)
    t.file("bad.js", "setTimeout(() => process.exit(3), 1000 * 3600);")
    unit(t, "web", "enabled = no\n")
    unit(t, "bad", f"restart = on-failure\n{FAST}", "bad.js")
    events = start(t)
    told(events, "bad", "running")
    t.wait_for("bad", "idle")
    t.json("world", "stop", "--deadline", "20s")
    # Born into the stop: compiled, and not run.
    t.ctl("start", "web")
    equal(t.logs("web"), "")
    equal(t.vm("web")["held"] or t.vm("web")["state"] == "parked", True)
    # Stopped in the stop; and started again while it lasts.
    os.kill(t.vm("bad")["pid"], signal.SIGKILL)
    told(events, "bad", "restarting in 10 ms: restart 1 of 5")
    told(events, "bad", "running")
    t.ctl("stop", "bad")
    told(events, "bad", "off")
    t.ctl("world", "resume")
    t.wait_for("web", "idle")
    equal(t.logs("web"), "up\n")
    events.close()


def test_limits_of_the_configuration_hold_for_units(t):
    t.file("app.js", IDLE)
    unit(t, "large", "[limits]\nmemory = 128M\n")
    unit(t, "one")
    unit(t, "two", "enabled = no\n")
    conf = t.file("stillpointd.conf", "[quota]\nvms = 1\n[vm-max]\nmemory = 64M\n[vm]\nmemory = 32M\n")
    events = start(t, "--config", conf)
    told(events, "large", "failed: a VM may have memory (bytes) up to 67108864 here")
    told(events, "one", "running")
    equal(t.vm("one")["limits"]["memory_bytes"], 32 << 20)
    t.refused("start", "two", code=1, says="as many VMs as its quota allows")
    equal(units(t)["two"]["state"], "failed")
    events.close()


def test_who_may_do_what_with_units(t):
    if os.geteuid() != 0:
        t.skip("needs root, to be somebody else")
    t.file("app.js", IDLE)
    unit(t, "hers", f"owner = {ALICE}\n")
    unit(t, "system")
    groups = "\n".join(["[access]", *(f"{role}-group = {gid}" for role, gid in GROUPS.items()), ""])
    events = start(t, "--config", t.file("stillpointd.conf", groups))
    told(events, "hers", "running")
    told(events, "system", "running")
    equal(t.vm("hers")["uid"], ALICE)
    alice, bob = Person(t, ALICE, "run"), Person(t, BOB, "run")
    looks, admin = Person(t, BOB, "observe"), Person(t, BOB, "admin")
    check("hers" in looks.ctl("units").out, "who looks may look at units")
    for verb in ("start", "stop", "restart"):
        looks.ctl(verb, "hers", code=4, says="role run")
        bob.ctl(verb, "hers", code=4, says=f"unit 'hers' belongs to uid {ALICE}")
        alice.ctl(verb, "system", code=4, says="unit 'system' belongs to uid")
    alice.ctl("stop", "hers")
    alice.ctl("start", "hers")
    alice.ctl("restart", "hers")
    for verb in ("enable", "disable"):
        alice.ctl(verb, "hers", code=4, says="role admin")
    # A file that nobody has read yet is read for admins only.
    unit(t, "fresh", f"owner = {ALICE}\nenabled = no\n")
    alice.ctl("start", "fresh", code=3, says="no unit named 'fresh'")
    admin.ctl("start", "fresh")
    admin.ctl("disable", "--now", "hers", "system")
    equal({n: u["state"] for n, u in units(t, "hers", "system").items()}, {"hers": "off", "system": "off"})
    events.close()


def test_the_end_of_the_daemon_starts_nothing(t):
    t.file("app.js", IDLE)
    t.file("bad.js", "process.exit(1);")
    unit(t, "web", "restart = always\nrestart-delay = 1ms\nrestart-delay-max = 1ms\n")
    unit(t, "bad", "restart = always\nrestart-delay = 1h\nrestart-delay-max = 1h\n", "bad.js")
    events = start(t)
    told(events, "bad", "running")
    told(events, "web", "running")
    told(events, "bad", "restarting in 3600000 ms: restart 1 of 5")
    t.wait_for("web", "idle")
    events.close()
    daemon = t.daemon
    equal(daemon.stop(), 0)
    check("unit web: restarting" not in daemon.log_text(), daemon.log_text())
    t.start_daemon()


def test_a_private_daemon_and_one_without_a_folder_have_no_units(t):
    equal(units(t), {})
    r = t.run([t.program("stillctl"), "--private", "--allow-degraded", "-o", "json", "units"])
    equal((r.code, r.json), (0, []))
    t.refused("start", "web", code=3, says="no unit named 'web'")


def test_check_says_what_is_wrong_and_where(t):
    t.file("app.js", IDLE)
    good = unit(t, "good", "restart = on-failure\n")
    ctl = [t.program("stillctl"), "-s", "/nonexistent"]
    r = t.run([*ctl, "check", good])
    equal((r.code, r.out, r.err), (0, f"{good}: right\n", ""))
    bad = t.file("vms/bad.conf", "# a comment\n[vm]\nprogam = /x\nrestart = sometimes\nargs = 'open\n"
                                 "labels = a=1 a=2\nrestart-delay = 5min\nowner = no-such-user-here\n"
                                 "[limits]\ncpu = 50\nsomething\n[mv]\nx = 1\n")
    r = t.run([*ctl, "check", bad])
    equal((r.code, r.out), (1, ""))
    lines = r.err.splitlines()
    wanted = {3: "there is no 'progam' in section [vm] (see stillpoint-vm.conf(5))",
              4: "[vm] restart takes no, on-failure or always, not 'sometimes'",
              5: "with an end to each quotation", 6: "each key once", 7: "longer than restart-delay-max",
              10: "[limits] cpu takes a share of one CPU, like 50%, not '50'", 11: "neither '[section]' nor",
              12: "there is no section [mv] (sections are vm and limits)"}
    for line, words in wanted.items():
        found = [x for x in lines if x.startswith(f"stillctl: cannot use {bad}:{line}: ")]
        check(len(found) == 1 and words in found[0], f"line {line}: {words!r}: {r}")
    check(f"stillctl: cannot use {bad}: [vm] program is missing" in lines, r)
    equal(len(lines), len(wanted) + 1, r)
    absent = unit(t, "absent", "owner = no-such-user-here\n", "absent.js")
    r = t.run([*ctl, "-o", "json", "check", absent, good])
    equal(r.code, 1)
    t.valid(r.json, "check")
    equal([(f["file"], f["ok"], [e["line"] for e in f["errors"]]) for f in r.json],
          [(absent, False, [2, 3]), (good, True, [])])
    for args, code, words in (((), 2, "which file?"), (("/nonexistent.conf",), 1, "no such file"),
                              ((t.work,), 1, "is a directory")):
        r = t.run([*ctl, "check", *args])
        check(r.code == code and words in r.err and r.err.count("\n") == 1, r)
    named = t.file("vms/no name.conf", open(good, encoding="utf-8").read())
    check("not that of a VM" in t.run([*ctl, "check", named]).err, named)
