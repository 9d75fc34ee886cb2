"""Who may do what, asked by several uids: roles of groups, owners, quotas, and what is recorded of it."""

import contextlib
import os
import re
import socket
import stat
import subprocess
import time

import api as api_client
import wire
from harness import Skip, check, equal, wait_until
from test_storm import connect

GROUPS = {"observe": 40001, "run": 40002, "debug": 40003, "admin": 40004}
ALICE, BOB, MALLORY = 50001, 50002, 50003
IDLE = "globalThis.onmessage = () => {}; globalThis.f = () => 1;"
SPIN = "for (;;);"


def start(t, more="", groups=True):
    """A daemon whose roles are those of GROUPS, and room in the test's folders for other uids."""
    if os.geteuid() != 0:
        t.skip("needs root, to be somebody else")
    for folder in (t.folder, t.run_dir, t.work):
        os.chmod(folder, 0o755)
    lines = [f"{role}-group = {gid}" for role, gid in GROUPS.items()] if groups else []
    conf = t.file("stillpointd.conf", "\n".join(["[access]", *lines, more, ""]))
    t.start_daemon("--config", conf)


class Person:
    """A uid with the groups of some roles, and what it does with stillctl and the API."""

    def __init__(self, t, uid, *roles):
        self.t, self.uid, self.gids = t, uid, [GROUPS[r] for r in roles]

    def ctl(self, *args, code=0, says=(), sock=None, env=None):
        t = self.t
        groups = ["--groups=" + ",".join(map(str, self.gids))] if self.gids else ["--clear-groups"]
        argv = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", *groups,
                t.program("stillctl"), "-s", sock or t.daemon.socket, *map(str, args)]
        r = t.run(argv, env=env)
        equal(r.code, code, r)
        for words in [says] if isinstance(says, str) else says:
            check(words in r.err, f"{words!r} is said: {r}")
        if code == 4:
            last = r.err.splitlines()[-1]
            check(last.startswith("stillctl: cannot "), r)
        return r

    def spawn(self, name, program=IDLE, *options, **expected):
        path = self.t.file(f"{name}.js", program)
        return self.ctl("run", "-d", "--ready", "--name", name, *options, path, **expected)

    @contextlib.contextmanager
    def being(self):
        """This process is the person, for what the kernel says of it at connect(2)."""
        os.setgroups(self.gids)
        os.setegid(self.uid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups([])

    def connect(self, sock=None):
        """A bare connection."""
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        s.settimeout(30)
        with self.being():
            s.connect(sock or self.t.daemon.socket)
        self.t.connections.append(s)
        return s

    def client(self, sock=None):
        try:
            api = api_client.messages(self.t.source, self.t.work)
        except api_client.Unavailable as e:
            raise Skip(str(e)) from None
        with self.being():
            client = api_client.Client(api, sock or self.t.daemon.socket)
        self.t.connections.append(client)
        return client


def refusal(call):
    """The ApiError that a call ends with."""
    try:
        call()
    except api_client.ApiError as e:
        return e
    raise AssertionError("it was not refused")


def records(t, words):
    return [line for line in t.daemon.log_text().splitlines() if words in line]


# ---- who may connect

def test_without_groups_only_the_owner_gets_as_far_as_the_socket(t):
    start(t, groups=False)
    for name in ("control.sock", "observe.sock"):
        mode = stat.S_IMODE(os.stat(os.path.join(t.run_dir, name)).st_mode)
        equal(oct(mode), oct(0o600), name)
    Person(t, MALLORY).ctl("list", code=4, says=["permission denied", "stillpointd.conf"])


def test_the_folder_of_the_sockets_is_open_to_all_only_if_there_are_groups(t):
    for name, conf, mode in (("closed", "", 0o700), ("open", "[access]\nrun-group = 40002\n", 0o755)):
        folder = os.path.join(t.run_dir, name)
        path = t.file(f"{name}.conf", conf)
        p = subprocess.Popen([t.program("stillpointd"), "--config", path, "--runtime-dir", folder],
                             env=t.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        t.running.append(p)
        check(any("serving" in line for line in p.stderr), "it serves")
        equal(oct(stat.S_IMODE(os.stat(folder).st_mode)), oct(mode), name)
        p.terminate()
        equal(p.wait(30), 0)


def test_members_that_cannot_come_as_far_as_the_socket_are_warned_of(t):
    path = t.file("c.conf", "[access]\nrun-group = 40002\n")
    t.start_daemon("--config", path)
    check(records(t, "cannot enter"), t.daemon.log_text())


def test_with_groups_whoever_is_in_none_is_told_which_there_are(t):
    start(t)
    equal(oct(stat.S_IMODE(os.stat(t.daemon.socket).st_mode)), oct(0o666))
    mallory = Person(t, MALLORY)
    brings = ", ".join(str(GROUPS[role]) for role in ("observe", "run", "debug"))
    mallory.ctl("list", code=4, says=f"(role observe is given by groups {brings})")
    mallory.ctl("world", "stop", code=4, says=f"(role debug is given by group {GROUPS['debug']})")
    mallory.ctl("kill", "1", code=4)
    # Those that look before they ask.
    by_run = f"(role run is given by group {GROUPS['run']})"
    mallory.ctl("run", t.file("app.js", IDLE), code=125, says=by_run)
    mallory.ctl("run", "-d", "--ready", t.file("app.js", IDLE), code=4, says=by_run)
    mallory.ctl("call", "1", "f", code=4, says=by_run)


def test_a_role_that_no_group_has_is_said_to_be_so(t):
    start(t, groups=False, more=f"observe-group = {GROUPS['observe']}")
    t.spawn("app", IDLE)
    Person(t, ALICE, "observe").ctl("kill", "app", code=4, says=["role run", "no group", "[access]"])


def test_a_group_has_its_role_and_what_comes_along(t):
    start(t)
    t.spawn("app", IDLE)
    for role in GROUPS:
        Person(t, ALICE, role).ctl("list")
        Person(t, ALICE, role).ctl("status", "app")
    observer, runner = Person(t, ALICE, "observe"), Person(t, ALICE, "run")
    debugger, admin = Person(t, ALICE, "debug"), Person(t, ALICE, "admin")
    observer.spawn("mine", code=4, says="role run")
    debugger.spawn("mine", code=4, says="role run")
    runner.spawn("mine", IDLE, "--world", "w")
    runner.ctl("world", "stop", "w", code=4, says="role debug")
    debugger.ctl("world", "stop", "w")
    debugger.ctl("world", "resume", "w")
    debugger.ctl("kill", "mine", code=4, says="role run")
    runner.ctl("kill", "mine")
    admin.spawn("other")
    admin.ctl("world", "stop")
    admin.ctl("world", "resume")


def test_a_primary_group_counts_as_the_others_do(t):
    start(t)
    argv = ["setpriv", f"--reuid={ALICE}", f"--regid={GROUPS['observe']}", "--clear-groups",
            t.program("stillctl"), "-s", t.daemon.socket, "list"]
    equal(t.run(argv).code, 0)


def test_hello_says_the_roles(t):
    start(t)
    for roles, expected in (((), []), (("observe",), ["observe"]), (("run",), ["observe", "run"]),
                            (("run", "debug"), ["observe", "run", "debug"]),
                            (("admin",), ["observe", "run", "debug", "admin"])):
        client = Person(t, ALICE, *roles).client()
        with Person(t, ALICE, *roles).connect() as s:
            s.sendall(wire.hello())
            reply = client.api.Envelope.FromString(wire.read_frame(s))
            equal(list(reply.hello_reply.roles), expected)


def requests_of_protocol(t):
    """Request → role, by the table of docs/PROTOCOL.md."""
    with open(os.path.join(t.source, "docs", "PROTOCOL.md"), encoding="utf-8") as f:
        text = f.read()
    table = text[text.index("## Roles"):]
    table = table[:table.index("\n## ")] if "\n## " in table else table
    rows = re.findall(r"^\| (\w+) \| (.+) \|$", table, re.M)
    return {request: role for role, names in rows if role != "role"
            for request in re.findall(r"`(\w+)`", names)}


def test_every_request_needs_the_role_that_the_protocol_says(t):
    start(t)
    roles = requests_of_protocol(t)
    check(len(roles) > 40, roles)
    fields = {f.message_type.name: f.name
              for f in Person(t, ALICE, "observe").client().api.Envelope.DESCRIPTOR.fields
              if f.message_type is not None}
    clients = {role: Person(t, ALICE, role).client() for role in GROUPS}
    bodies = {
        "RunVm": {"program": "a.js"}, "AddFile": {"vm": 1, "path": "a"}, "StartVm": {"vm": 1},
        "AnswerImport": {"vm": 1, "import_id": 1, "error": "e"}, "AnswerStdin": {"vm": 1},
    }
    memfd = api_client.memfd(b"1")
    tried = 0
    for request, role in roles.items():
        if role == "none":
            continue
        for has, client in clients.items():
            gives = {"observe": {"observe"}, "run": {"run", "observe"},
                     "debug": {"debug", "observe"}, "admin": set(GROUPS)}[has]
            body = getattr(client.api, request)(**bodies.get(request, {}))
            if "vm" in body.DESCRIPTOR.fields_by_name and request not in bodies:
                body.vm = "1"
            fill(body)
            fd = memfd if request in ("RunVm", "AddFile") else None
            if role in gives:
                continue
            error = refusal(lambda: client.request(fd, **{fields[request]: body}))
            equal(error.code, client.api.ERROR_PERMISSION_DENIED, f"{request} by {has}: {error}")
            check(f"role {role}" in error.message, error)
            tried += 1
    check(tried > 60, tried)
    os.close(memfd)


def fill(body):
    """What a request has to have to come as far as its role is looked at."""
    texts = {"function": "f", "json": "1", "args_json": "[]", "world": "default", "debugger": "d", "name": "n",
             "expression": "1", "to": "d", "url": "u", "unit": "web"}
    for field in body.DESCRIPTOR.fields:
        name = field.name
        if field.label == field.LABEL_REPEATED or field.message_type is not None:
            continue
        if name in texts and not body.HasField(name) and field.type == field.TYPE_STRING:
            setattr(body, name, texts[name])
    kind = body.DESCRIPTOR.name
    if kind == "AddHooks":
        body.ClearField("world")
        body.kinds.append(1)
    elif kind == "RemoveHooks":
        body.ClearField("debugger")
        body.hooks.append(1)
    elif kind == "InspectWorld":
        body.kind = 1
    elif kind == "StepVm":
        body.how = 1
    elif kind == "ListVariables":
        body.ref = 1
    elif kind == "AccessMemory":
        body.length = 1


# ---- the socket for looking

def test_on_the_observe_socket_nobody_does_more_than_look(t):
    start(t)
    t.spawn("app", IDLE)
    observe = os.path.join(t.run_dir, "observe.sock")
    root = [t.program("stillctl"), "-s", observe]
    for verb in (["list"], ["status", "app"], ["world", "status"], ["logs", "app"], ["doctor"]):
        check(t.run([*root, *verb]).code in (0, 1), verb)
    for verb in (["kill", "app"], ["world", "stop"], ["hold", "app"], ["eval", "app", "1"],
                 ["debugger", "close", "cli:0"], ["audit", "add", "app", "--on", "step", "--keep"]):
        r = t.run([*root, *verb])
        equal(r.code, 4, r)
        check("control socket" in r.err, r)
    equal(t.vm("app")["state"], "idle")
    Person(t, MALLORY).ctl("list", sock=observe, code=4, says="role observe")
    Person(t, ALICE, "run").ctl("list", sock=observe)


def test_the_observe_socket_can_be_elsewhere_or_absent(t):
    elsewhere = os.path.join(t.run_dir, "look")
    t.start_daemon("--observe-socket", elsewhere)
    equal(t.run([t.program("stillctl"), "-s", elsewhere, "list"]).code, 0)
    check(not os.path.exists(os.path.join(t.run_dir, "observe.sock")), "only there")
    t.daemon.stop()
    for name in ("look", "control.sock"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(t.run_dir, name))
    t.start_daemon("--observe-socket", "none")
    equal(sorted(os.listdir(t.run_dir)), ["control.sock", "daemon.log"])


# ---- owners

def two(t, more=""):
    start(t, more)
    return Person(t, ALICE, "run", "debug"), Person(t, BOB, "run", "debug")


def test_nobody_but_an_admin_acts_on_the_vm_of_another(t):
    alice, bob = two(t)
    alice.spawn("app")
    owner = f"belongs to uid {ALICE}"
    acts = [["kill", "app"], ["call", "app", "f"], ["send", "app", "1"], ["hold", "app"],
            ["release", "app"], ["eval", "app", "1"], ["bt", "app"], ["locals", "app"],
            ["step", "app"], ["continue", "app"], ["source", "app", "app.js"],
            ["set", "app", "x", "1"], ["audit", "add", "app", "--on", "step", "--keep"],
            ["break", "add", "app", "app.js:1"], ["world", "target", "app"]]
    for act in acts:
        bob.ctl(*act, code=4, says=[owner, "admin", f"group {GROUPS['admin']}"])
    equal(t.vm("app")["state"], "idle")
    bob.ctl("status", "app")
    bob.ctl("logs", "app")
    alice.ctl("call", "app", "f")
    Person(t, BOB, "admin").ctl("call", "app", "f")
    Person(t, BOB, "admin").ctl("kill", "app")


def test_each_request_that_names_a_vm_of_another_is_refused(t):
    alice, bob = two(t)
    alice.spawn("app")
    vm = str(t.vm("app")["id"])
    client = bob.client()
    fields = {f.message_type.name: f.name for f in client.api.Envelope.DESCRIPTOR.fields
              if f.message_type is not None}
    # By the number that the connection was given when it made the VM: there is none for others.
    by_connection = {"AddFile", "StartVm", "AnswerImport", "AnswerStdin"}
    tried = 0
    for request, role in requests_of_protocol(t).items():
        body = getattr(client.api, request)()
        if role not in ("run", "debug") or "vm" not in body.DESCRIPTOR.fields_by_name:
            continue
        body.vm = 1 if request in by_connection else vm
        fill(body)
        if request in by_connection:
            if request == "AddFile":
                body.path = "a"
            if request == "AnswerImport":
                body.import_id, body.error = 1, "e"
            memfd = api_client.memfd(b"1") if request == "AddFile" else None
            error = refusal(lambda: client.request(memfd, **{fields[request]: body}))
            equal(error.code, client.api.ERROR_NOT_FOUND, f"{request}: {error}")
            if memfd is not None:
                os.close(memfd)
        else:
            error = refusal(lambda: client.request(**{fields[request]: body}))
            equal(error.code, client.api.ERROR_PERMISSION_DENIED, f"{request}: {error}")
            check(f"belongs to uid {ALICE}" in error.message, f"{request}: {error}")
        tried += 1
    check(tried >= 22, tried)
    equal(t.vm("app")["state"], "idle")


def test_the_lease_of_another_is_not_taken(t):
    alice, bob = two(t)
    alice.spawn("a", IDLE, "--world", "hers")
    alice.ctl("world", "stop", "hers")
    for act in (["take", "hers"], ["take", "--steal", "hers"], ["resume", "hers"]):
        bob.ctl("world", *act, code=4, says=f"uid {ALICE}")
    bob.ctl("world", "stop", "hers", code=4, says=f"uid {ALICE}")
    alice.ctl("world", "resume", "hers")


def test_a_name_of_a_debugger_is_its_owners(t):
    alice, bob = two(t)
    client, other = alice.client(), bob.client()
    client.request(open_debugger=client.api.OpenDebugger(name="ide"))
    for name in ("ide", f"cli:{ALICE}"):
        error = refusal(lambda: other.request(open_debugger=client.api.OpenDebugger(name=name)))
        equal(error.code, client.api.ERROR_PERMISSION_DENIED)
    request = client.api.StopWorld(world="default", debugger="ide", deadline_us=1000000)
    error = refusal(lambda: other.request(stop_world=request))
    equal(error.code, client.api.ERROR_PERMISSION_DENIED)


def test_a_vm_is_its_owners_by_id_too(t):
    alice, bob = two(t)
    alice.spawn("app")
    bob.ctl("kill", t.vm("app")["id"], code=4, says=f"belongs to uid {ALICE}")


def test_a_world_with_vms_of_others_is_stopped_by_admins_only(t):
    alice, bob = two(t)
    alice.spawn("a")
    alice.ctl("world", "stop")
    alice.ctl("world", "resume")
    bob.spawn("b")
    for person, other in ((alice, BOB), (bob, ALICE)):
        for act in (["stop"], ["gc"], ["census"], ["bt"]):
            person.ctl("world", *act, code=4, says=[f"uid {other}", "role admin"])
        person.ctl("audit", "add", "*", "--on", "exception-unwind", "--keep", code=4, says=f"uid {other}")
        person.ctl("break", "add", "a" if person is alice else "b", "a.js:1", code=4)
    admin = Person(t, MALLORY, "admin")
    admin.ctl("world", "stop")
    alice.ctl("world", "resume", code=4, says=f"uid {MALLORY}")
    admin.ctl("world", "resume")
    # What is one's own can be held, whoever else is there.
    alice.ctl("hold", "a")
    alice.ctl("release", "a")


def test_nobody_is_put_into_the_stop_of_another(t):
    alice, bob = two(t)
    alice.spawn("a")
    alice.ctl("world", "stop")
    bob.spawn("b", code=4, says=[f"uid {ALICE}", "--world"])
    bob.spawn("b", IDLE, "--world", "bobs")
    bob.ctl("world", "resume", code=4, says=f"uid {ALICE}")
    alice.ctl("world", "resume")
    bob.spawn("c")
    # An admin may stop all of it, and who comes then is born into its stop.
    Person(t, MALLORY, "admin").ctl("world", "stop")
    path = t.file("d.js", IDLE)
    bob.ctl("run", "-d", "--name", "d", path)
    check(t.vm("d")["state"] in ("parked", "starting"), t.vm("d"))


def test_a_world_of_a_name_belongs_to_whoever_made_it(t):
    alice, bob = two(t)
    alice.spawn("a", IDLE, "--world", "hers")
    bob.spawn("b", IDLE, "--world", "hers", code=4, says=["world hers", f"uid {ALICE}"])
    alice.spawn("a2", IDLE, "--world", "hers")
    Person(t, MALLORY, "admin").spawn("m", IDLE, "--world", "hers")
    Person(t, MALLORY, "admin").ctl("kill", "m")
    alice.ctl("kill", "a", "a2")
    alice.ctl("wait", "a", "--for=exited")
    wait_until(lambda: all(w["name"] != "hers" for w in t.json("world", "list")), "the world is gone")
    bob.spawn("b", IDLE, "--world", "hers")


def test_a_selector_covers_only_the_vms_of_its_debuggers_owner(t):
    alice, bob = two(t)
    alice.ctl("audit", "add", "*", "--on", "enter-frame", "--keep")
    bob.spawn("b", "(function secret() {})();" + IDLE)
    alice.spawn("a", "(function own() {})();" + IDLE, "--world", "hers")
    hits = alice.ctl("-o", "jsonl", "audit", "tail").out
    check("own" in hits, hits)
    check("secret" not in hits, hits)
    equal([v["hooks"] > 0 for v in (t.vm("a"), t.vm("b"))], [True, False])


def test_an_admins_selector_covers_everybody(t):
    alice, _ = two(t)
    admin = Person(t, MALLORY, "admin")
    admin.ctl("audit", "add", "*", "--on", "enter-frame", "--keep")
    alice.spawn("a", "(function own() {})();" + IDLE)
    check("own" in admin.ctl("-o", "jsonl", "audit", "tail").out, "hits of another's VM")


def test_a_breakpoint_does_not_stop_the_vms_of_others(t):
    alice, bob = two(t)
    alice.spawn("a", "globalThis.f = () => {\n  return 1;\n};\nglobalThis.onmessage = () => {};")
    alice.ctl("break", "add", "a", "a.js:2")
    bob.spawn("b")
    equal(alice.ctl("call", "a", "f").out.strip(), "1")
    hits = alice.ctl("-o", "jsonl", "audit", "tail").out
    check("not-controller" in hits, hits)
    equal(t.json("world", "status")["mode"], "run-all")
    bob.ctl("kill", "b")
    bob.ctl("wait", "b", "--for=exited")
    # Alone again, it stops her world.
    call = subprocess.Popen(["setpriv", f"--reuid={ALICE}", f"--regid={ALICE}",
                             f"--groups={GROUPS['run']}", t.program("stillctl"), "-s",
                             t.daemon.socket, "call", "a", "f"], env=t.env, cwd=t.work,
                            stdout=subprocess.DEVNULL)
    t.running.append(call)
    wait_until(lambda: t.json("world", "status")["mode"] == "stopped", "the breakpoint stops the world")
    alice.ctl("continue", "a")
    equal(call.wait(30), 0)


def test_debuggers_and_what_they_saw_are_their_owners(t):
    alice, bob = two(t)
    alice.ctl("audit", "add", "*", "--on", "enter-frame", "--keep")
    hers = f"cli:{ALICE}"
    for act in (["audit", "tail", hers], ["debugger", "close", hers], ["audit", "rm", "1"]):
        bob.ctl(*act, code=4, says=f"uid {ALICE}")
    bob.ctl("debugger", "list")
    Person(t, BOB, "admin").ctl("debugger", "close", hers)


# ---- quotas

def test_quotas_name_themselves_and_hold_for_each_uid(t):
    alice, bob = two(t, "[quota]\nvms = 2\nworlds = 1\nconnections = 6\nsubscriptions = 1\n"
                        "debuggers = 2")
    alice.spawn("a1", IDLE, "--world", "hers")
    alice.spawn("x", IDLE, "--world", "other", code=1, says=["quota worlds is 1", "1 worlds"])
    alice.spawn("a2", IDLE, "--world", "hers")
    alice.spawn("a3", IDLE, "--world", "hers", code=1, says=["quota vms is 2", f"uid {ALICE}"])
    bob.spawn("b1", IDLE, "--world", "his")
    alice.ctl("kill", "a1")
    alice.ctl("wait", "a1", "--for=exited")
    alice.spawn("a3", IDLE, "--world", "hers")

    first, second = alice.client(), alice.client()
    first.request(subscribe=first.api.Subscribe())
    first.request(subscribe=first.api.Subscribe())
    error = refusal(lambda: second.request(subscribe=first.api.Subscribe()))
    equal(error.code, first.api.ERROR_LIMIT_EXCEEDED)
    check("quota subscriptions is 1" in error.message, error)
    first.request(unsubscribe=first.api.Unsubscribe())
    second.request(subscribe=first.api.Subscribe())
    other = bob.client()
    other.request(subscribe=first.api.Subscribe())

    for name in ("one", "two"):
        first.request(open_debugger=first.api.OpenDebugger(name=name))
    error = refusal(lambda: first.request(open_debugger=first.api.OpenDebugger(name="three")))
    equal(error.code, first.api.ERROR_LIMIT_EXCEEDED)
    check("quota debuggers is 2" in error.message, error)

    more = [alice.connect() for _ in range(4)]
    alice.ctl("list", code=1, says=["6 connections", "quota connections is 6"])
    bob.ctl("list")
    check(records(t, f"over-quota: uid {ALICE}") and "Connect: " in records(t, "over-quota")[-1],
          records(t, "over-quota"))
    for s in more:
        s.close()
    wait_until(lambda: alice_can(alice), "a closed connection counts no more")


def alice_can(alice):
    try:
        alice.ctl("list")
        return True
    except AssertionError:
        return False


def test_replies_that_nobody_reads_are_bounded_for_each_uid(t):
    alice, bob = two(t, "[quota]\nqueued-bytes = 1M")
    alice.spawn("talk", "console.log('x'.repeat(200000))")
    greedy = [alice.connect() for _ in range(8)]
    probe = alice.client()
    api = probe.api
    ask = api.Envelope(request_id=1, read_log=api.ReadLog(vm="talk", from_seq=1)).SerializeToString()
    for s in greedy:
        s.sendall(wire.hello())
        wire.read_frame(s)
        for _ in range(8):
            s.sendall(len(ask).to_bytes(4, "big") + ask)

    def over():
        try:
            probe.request(read_log=api.ReadLog(vm="talk", from_seq=1))
        except api_client.ApiError as e:
            equal(e.code, api.ERROR_LIMIT_EXCEEDED)
            check("quota queued-bytes is 1048576" in e.message, e)
            return True
        return False
    wait_until(over, "the quota of the uid is used up")
    bob.ctl("logs", "talk")
    for s in greedy:
        s.close()
    wait_until(lambda: not over(), "what was never read is forgotten with its connection")


def test_those_without_a_role_have_few_connections_and_not_for_long(t):
    start(t)
    mallory = Person(t, MALLORY)
    idle = [mallory.connect() for _ in range(4)]
    for s in idle:
        s.sendall(wire.hello())
        check(wire.read_frame(s), "Hello is answered")
    mallory.ctl("list", code=4, says="no role")
    # One that asks for anything is told why not, and that was it.
    api = Person(t, ALICE, "run").client().api
    ask = api.Envelope(request_id=2, list_vms=api.ListVms()).SerializeToString()
    idle[0].sendall(len(ask).to_bytes(4, "big") + ask)
    reply = api.Envelope.FromString(wire.read_frame(idle[0]))
    equal(reply.error.code, api.ERROR_PERMISSION_DENIED)
    equal(idle[0].recv(1), b"")
    # The others end by themselves, when their time to say Hello is over.
    began = time.monotonic()
    equal(idle[1].recv(1), b"")
    check(time.monotonic() - began < 25, "within the time for a Hello")
    for s in idle:
        s.close()


# ---- records

def test_each_act_and_each_refusal_is_recorded_with_who_and_what(t):
    alice, bob = two(t)
    alice.spawn("app")
    vm = t.vm("app")["id"]
    check(any(re.search(rf"done: uid {ALICE} \(pid \d+\): RunVm VM {vm} \(app\) world default$", line)
              for line in records(t, "RunVm")), t.daemon.log_text())
    bob.ctl("kill", "app", code=4)
    line = records(t, "denied: ")[-1]
    check(re.search(rf"denied: uid {BOB} \(pid \d+\): KillVm VM {vm} \(app\) of uid {ALICE}: ", line), line)
    Person(t, MALLORY).ctl("world", "stop", code=4)
    check(f"denied: uid {MALLORY}" in records(t, "StopWorld world default")[-1], t.daemon.log_text())
    alice.ctl("hold", "app")
    check(records(t, f"HoldVm VM {vm} (app)"), t.daemon.log_text())
    t.ctl("kill", "app")
    check(records(t, "done: uid 0"), t.daemon.log_text())
    check(f"KillVm VM {vm} (app) of uid {ALICE}" in records(t, "done: uid 0")[-1], records(t, "done: uid 0"))
    # What only looks is nobody's business.
    equal(records(t, "ListVms") + records(t, "GetVm"), [])


def test_a_flood_of_refusals_is_counted_and_hides_nobody_else(t):
    alice, _ = two(t)
    mallory = Person(t, MALLORY, "observe").client()
    for _ in range(2000):
        error = refusal(lambda: mallory.request(kill_vm=mallory.api.KillVm(vm="app")))
        equal(error.code, mallory.api.ERROR_PERMISSION_DENIED)
    alice.spawn("app")
    written = len(records(t, f"denied: uid {MALLORY}"))
    check(40 <= written < 400, written)
    check(records(t, f"done: uid {ALICE}"), "others are heard")
    told = wait_until(lambda: records(t, "were dropped"), "drops are told")
    equal(len(told), 1, told)
    n = int(re.search(r"(\d+) records of refusals of uid", told[0]).group(1))
    equal(written + n, 2000, told)


# ---- the configuration

def config(t, text, *args, more=()):
    path = t.file("c.conf", text)
    for name, content in more:
        t.file(f"c.conf.d/{name}", content)
    return t.run([t.program("stillpointd"), "--config", path, "--check-config", *args])


def test_a_good_configuration_is_said_to_be_so(t):
    r = config(t, "# a comment\n[daemon]\nspawn = exec ; another\n\n[quota]\n  vms=7\nqueued-bytes = 8M\n",
               more=[("b.conf", "[quota]\nvms = 8\n"), ("a.conf", ""), ("c.txt", "nonsense")])
    equal(r.code, 0, r)
    check("c.conf, " in r.out and r.out.index("a.conf") < r.out.index("b.conf"), r)
    check("c.txt" not in r.out, r)


def test_every_error_names_its_file_its_line_and_what_would_be_right(t):
    r = config(t, "[daemon]\ndebug = maybe\nspwan = exec\nworker-dir = here\n[acces]\nx = 1\n"
                  "[quota]\nvms = 5000\nconnections = 0\nqueued-bytes = 8Q\n[access]\nrun-group =\n",
               more=[("a.conf", "vms = 3\n"), ("b.conf", "[quota]\nvms\n"),
                     ("c.conf", "[quota]\nvms = " + "1" * 300 + "\n")])
    equal(r.code, 2, r)
    expected = [
        ("c.conf:2:", "debug takes yes or no, not 'maybe'"), ("c.conf:3:", "no 'spwan' in section [daemon]"),
        ("c.conf:4:", "absolute path"), ("c.conf:5:", "no section [acces]"),
        ("c.conf:8:", "from 0 to 4096"), ("c.conf:9:", "from 1 to 1024"), ("c.conf:10:", "'8Q'"),
        ("c.conf:12:", "a value"), ("a.conf:1:", "in no section"), ("b.conf:2:", "key = value"),
        ("c.conf:2:", "longer than"),
    ]
    lines = r.err.splitlines()
    for place, words in expected:
        check(any(place in line and words in line for line in lines), f"{place} {words}: {r}")
    equal(len(lines), len(expected), r)


def test_groups_and_users_are_looked_up(t):
    r = config(t, "[access]\nrun-group = root no-such-group\ndebug-group = 65534\n")
    equal(r.code, 2, r)
    check("c.conf:2:" in r.err and "'no-such-group': there is no such group" in r.err, r)
    check("c.conf:3:" in r.err, r)
    r = config(t, "[daemon]\nuser = no-such-user\n")
    equal(r.code, 2, r)
    check("c.conf:2:" in r.err or os.geteuid() != 0, r)


def test_a_file_that_is_named_has_to_be_there(t):
    r = t.run([t.program("stillpointd"), "--config", "/no/such/file", "--check-config"])
    equal(r.code, 2, r)
    check("/no/such/file" in r.err, r)


def test_a_daemon_does_not_start_with_a_wrong_configuration(t):
    path = t.file("c.conf", "[quota]\nvms = many\n")
    r = t.run([t.program("stillpointd"), "--config", path, "--socket", os.path.join(t.run_dir, "s")])
    equal(r.code, 2, r)
    check("c.conf:2:" in r.err, r)
    check(not os.path.exists(os.path.join(t.run_dir, "s")), "nothing was begun")


def test_nor_with_one_that_names_what_there_is_not(t):
    for text in ("[access]\nrun-group = no-such-group\n", "[daemon]\nuser = no-such-user\n"):
        path = t.file("c.conf", text)
        r = t.run([t.program("stillpointd"), "--config", path, "--socket", os.path.join(t.run_dir, "s")])
        equal(r.code, 2, r)
        check("c.conf:2:" in r.err, r)
        check(not os.path.exists(os.path.join(t.run_dir, "s")), "nothing was begun")


def test_the_command_line_wins_over_files_and_later_files_over_earlier(t):
    conf = t.file("c.conf", f"[daemon]\nsocket = {t.run_dir}/file.sock\n[quota]\nvms = 1\n")
    t.file("c.conf.d/a.conf", "[quota]\nvms = 3\n")
    t.file("c.conf.d/b.conf", "[quota]\nvms = 2\n")
    t.start_daemon("--config", conf)
    check(not os.path.exists(f"{t.run_dir}/file.sock"), "the command line's socket is used")
    t.spawn("a", IDLE)
    t.spawn("b", IDLE)
    t.refused("run", "-d", t.file("c.js", IDLE), code=1, says="quota vms is 2")


def test_a_file_says_what_vms_have_and_at_most_may_have(t):
    conf = t.file("c.conf", "[vm]\nmemory = 64M\nlog-size = 8K\n[vm-max]\nmemory = 128M\ntimeout = 1h\n")
    t.start_daemon("--config", conf)
    t.spawn("plain", IDLE)
    t.spawn("more", IDLE, options=["--memory", "128M", "--timeout", "10s"])
    client = connect(t)
    limits = {vm.name: vm.limits for vm in client.vms()}
    client.close()
    equal([limits[n].memory_bytes for n in ("plain", "more")], [64 << 20, 128 << 20])
    equal([limits[n].timeout_us for n in ("plain", "more")], [3_600_000_000, 10_000_000])
    equal(limits["plain"].log_bytes, 8192)
    t.refused("run", "-d", "--memory", "129M", t.file("c.js", IDLE), code=1,
              says=["memory (bytes) up to 134217728", "[vm-max]"])
    equal([w["vms"] for w in t.json("world", "list")], [2], "nothing of it is left")
