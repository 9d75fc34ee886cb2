"""A machine with a real systemd, for the tests in tests/booted/.

A tree of the distribution's own packages is made once by mmdebstrap and kept in the build folder. A
machine has an overlay of its own over it, in memory, and is booted by systemd-nspawn; commands are run in it by
nsenter, and its files are seen below /proc/PID/root, so that a test's code itself stays outside and needs
nothing in there. All of it happens in a mount namespace of the runner's own (run.py makes it), where a
cgroup2 is mounted at /sys/fs/cgroup. Standard library only.
"""

import concurrent.futures
import copy
import fcntl
import glob
import hashlib
import io
import lzma
import os
import re
import select
import shlex
import shutil
import signal
import stat
import subprocess
import tarfile
import tempfile
import time

from harness import Failed, Result, Skip, check, children, wait_until

HANG = 120.0  # seconds; whatever takes this long hangs
CGROUPS = "/sys/fs/cgroup"
AUTOGROUP = "/proc/sys/kernel/sched_autogroup_enabled"
AR = b"!<arch>\n"  # begins a .deb, which is an archive of ar
SERVICE = "stillpointd.service"
ENDED = "stillpointd-ended.service"
SOCKETS = ("stillpointd.socket", "stillpointd-observe.socket")

# Beside what the programs are linked with: the system itself, and what the guide's commands use.
PACKAGES = ("apt", "dbus", "procps", "systemd", "systemd-sysv", "tzdata")

# And what debian/tests say that they need, with who runs them.
TESTBED = ("autopkgtest", "dpkg-dev", "gcc", "libc6-dev", "libinih-dev", "libprotobuf-c-dev", "passwd", "pkg-config", "util-linux")

# Who there is for tests: members of the group that packaging/stillpointd.conf gives roles, and another.
USERS = """u alice 2001 - / /bin/sh
u bob 2002 - / /bin/sh
u mallory 2003 - / /bin/sh
m alice stillpoint
m bob stillpoint
"""


def run(*args, **options):
    """A program outside. Raises Failed unless it ends well."""
    p = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                       text=True, errors="replace", **options)
    if p.returncode != 0:
        raise Failed(str(Result(list(args), p.returncode, p.stdout, p.stderr)))
    return p.stdout


def why_not():
    """Why no machine can be booted here; None if it can."""
    if os.geteuid() != 0:
        return "booting a systemd takes root"
    for program, package in (("systemd-nspawn", "systemd-container"), ("mmdebstrap", "mmdebstrap"),
                             ("nsenter", "util-linux"), ("ldd", "libc-bin"), ("dpkg-query", "dpkg")):
        if shutil.which(program) is None:
            return f"booting a systemd takes {program} ({package})"
    tried = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c",
         f"mount -t cgroup2 none {CGROUPS} && mkdir {CGROUPS}/stillpoint-try.$$ &&"
         f" rmdir {CGROUPS}/stillpoint-try.$$ && mount -t tmpfs none /mnt && mkdir /mnt/a /mnt/b /mnt/c /mnt/d &&"
         " mount -t overlay -o lowerdir=/mnt/a,upperdir=/mnt/b,workdir=/mnt/c none /mnt/d"],
        capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        said = (tried.stderr.strip().splitlines() or ["it failed"])[-1]
        return f"a systemd cannot be booted here: no cgroup2 or overlay can be mounted ({said})"
    return None


# ---- the tree

def codename():
    with open("/etc/os-release", encoding="utf-8") as f:
        found = re.search(r"^VERSION_CODENAME=\"?([a-z]+)", f.read(), re.M)
    if not found:
        raise Skip("the distribution has no code name in /etc/os-release")
    return found.group(1)


def apt_sources(suite):
    """The host's own files that name the suite."""
    found = []
    for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*.list")),
                 *sorted(glob.glob("/etc/apt/sources.list.d/*.sources"))]:
        try:
            with open(path, encoding="utf-8", errors="replace") as f:
                text = re.sub(r"^\s*#.*$", "", f.read(), flags=re.M)
        except OSError:
            continue
        if re.search(rf"(?<![\w-]){suite}(?![\w-])", text):
            found.append(path)
    if not found:
        raise Skip(f"no file of /etc/apt/sources.list.d names {suite}")
    return found


def packages_of(programs):
    """The packages with the libraries that programs are linked with."""
    libraries = set()
    for program in programs:
        libraries.update(re.findall(r"=> (/\S+)", run("ldd", program)))
    # Where /lib is a link, dpkg knows a file by one of two names.
    names = {}
    for library in libraries:
        for path in (library, os.path.realpath(library)):
            for name in (path, path.replace("/usr/lib", "/lib", 1), path if path.startswith("/usr") else "/usr" + path):
                names[name] = library
    found = {}
    said = subprocess.run(["dpkg-query", "-S", *sorted(names)], capture_output=True, text=True, check=False).stdout
    for line in said.splitlines():
        package, _, path = line.rpartition(": ")
        if path in names:
            found[names[path]] = package.split(":")[0]
    unknown = sorted(libraries - set(found))
    if unknown:
        raise Skip(f"no package has {' '.join(unknown)}")
    return set(found.values())


def download(folder, suite, packages):
    """Gets all packages that a new system takes with these into folder/archives."""
    for name in ("archives/partial", "lists/partial", "sources"):
        os.makedirs(os.path.join(folder, name))
    for path in apt_sources(suite):
        shutil.copy(path, os.path.join(folder, "sources"))
    with open(os.path.join(folder, "status"), "w", encoding="ascii"):
        pass

    def apt(lists, *args):
        settings = {"Dir::State::Status": f"{folder}/status", "Dir::State::Lists": lists, "Dir::Cache::Archives": f"{folder}/archives",
                    "Dir::Cache::PkgCache": "", "Dir::Cache::SrcPkgCache": "", "Dir::Etc::SourceList": "/dev/null",
                    "Dir::Etc::SourceParts": f"{folder}/sources", "APT::Install-Recommends": "false", "APT::Sandbox::User": "root"}
        run("apt-get", "--yes", "-o", "Debug::NoLocking=true", *(o for k, v in settings.items() for o in ("-o", f"{k}={v}")), *args)
    wanted = ["--download-only", "install", f"?narrow(?codename(^{suite}$),?essential)", *packages]
    try:
        apt("/var/lib/apt/lists", *wanted)  # the host's, which are of the same sources
    except Failed:
        apt(f"{folder}/lists", "update")
        apt(f"{folder}/lists", *wanted)


def unpack_members(deb):
    """A .deb's members without their compression: [(name, bytes)]."""
    with open(deb, "rb") as f:
        data = f.read()
    at, members = len(AR), []
    while at < len(data):
        head = data[at:at + 60].decode("ascii")
        name, size, at = head[:16].rstrip(" /"), int(head[48:58]), at + 60
        body = data[at:at + size]
        at += size + size % 2
        if name.endswith(".xz"):
            name, body = name[:-len(".xz")], lzma.decompress(body)
        members.append((name, body))
    return members


def unpack_deb(deb, to):
    """Writes a .deb anew that is read four times as fast. Returns what an archive's index has of it."""
    members = unpack_members(deb)
    data = AR + b"".join(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(body):<10}`\n".encode() + body + b"\n" * (len(body) % 2)
                         for name, body in members)
    with open(os.path.join(to, os.path.basename(deb)), "wb") as f:
        f.write(data)
    with tarfile.open(fileobj=io.BytesIO(dict(members)["control.tar"])) as tar:
        control = tar.extractfile("./control").read().decode("utf-8")
    return (f"{control.strip()}\nFilename: ./{os.path.basename(deb)}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\n")


def make_archive(debs, to):
    """An archive for apt with these packages, unpacked on all processors."""
    os.makedirs(to)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        index = list(pool.map(lambda deb: unpack_deb(deb, to), sorted(debs, key=os.path.getsize, reverse=True)))
    with open(os.path.join(to, "Packages"), "w", encoding="utf-8") as f:
        f.write("\n".join(sorted(index)))


def build_tree(folder, libraries, more=()):
    """The folder of a tree with PACKAGES and more, made now if it is not there yet. Beside it, in FOLDER.debs, is an archive
    for apt with the packages of the libraries, and what else they take that the tree does not have."""
    suite = codename()
    packages, libraries = sorted({*PACKAGES, *more}), sorted(libraries)
    name = hashlib.sha256(" ".join(["with an archive of", *libraries, "beside", suite, *packages]).encode()).hexdigest()[:16]
    os.makedirs(folder, exist_ok=True)
    tree = os.path.join(folder, f"tree-{name}")
    with open(os.path.join(folder, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(tree):
            return tree
        for old in glob.glob(os.path.join(folder, "tree-*")):
            shutil.rmtree(old, ignore_errors=True)
        try:
            with tempfile.TemporaryDirectory(dir=folder) as work:
                make_tree(tree, work, suite, packages, libraries)
        except Failed as e:
            with open(os.path.join(folder, "tree.log"), "w", encoding="utf-8") as f:
                f.write(f"{e}\n")
            raise Skip(f"no tree of {suite} can be made here ({folder}/tree.log)") from None
    return tree


def make_tree(tree, work, suite, packages, libraries):
    """Most of the time goes into reading packages, and apt's lists: each is read once here, the packages side by side."""
    new, archive = os.path.join(work, "tree"), os.path.join(work, "archive")
    download(work, suite, [*packages, *libraries])
    make_archive(glob.glob(os.path.join(work, "archives", "*.deb")), archive)
    sources = os.path.join(work, "archive.list")
    with open(sources, "w", encoding="utf-8") as f:
        f.write(f"deb [trusted=yes] copy:{archive} ./\n")
    run("mmdebstrap", "--mode=root", "--variant=essential", "--skip=check/empty", "--skip=check/signed-by",
        "--dpkgopt=force-unsafe-io", f"--include={','.join(packages)}", "", new, sources)
    with open(os.path.join(new, "etc/machine-id"), "w", encoding="ascii"):
        pass
    for package in run("dpkg-query", f"--admindir={new}/var/lib/dpkg", "-W", "-f", "${Package}\n").split():
        for deb in glob.glob(f"{archive}/{package}_*.deb"):
            os.unlink(deb)
    os.rename(archive, tree + ".debs")
    os.rename(new, tree)


def why_no_nspawn(tree):
    """Why systemd-nspawn cannot run anything here; None if it can."""
    p = subprocess.run(
        ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--volatile=overlay",
         f"--machine=stillpoint-try-{os.getpid()}", "-D", tree, "--console=pipe", "true"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
        env={**os.environ, "SYSTEMD_SECCOMP": "0"})
    if p.returncode == 0:
        return None
    said = (p.stderr.strip().splitlines() or [f"status {p.returncode}"])[-1]
    return f"systemd-nspawn cannot run anything here ({said})"


class Changed:
    """A setting of the kernel's that has another value until the end of this process and all that it has forked, however
    they end."""

    def __init__(self, path, value):
        with open(path, "r+", encoding="ascii") as f:
            before = f.read().strip()
            its_end, self.ours = os.pipe()
            # Nobody who ends us, or all of our session, ends this one.
            self.restorer = subprocess.Popen(
                ["sh", "-c", 'trap "" HUP INT TERM; read -r _; echo "$1" >"$2"', "sh", before, path],
                stdin=its_end, start_new_session=True)
            os.close(its_end)
            f.seek(0)
            f.write(value)

    def end(self):
        os.close(self.ours)
        self.restorer.wait()


class Trees:
    """What machines are made of: the tree, and the tree with Stillpoint, installed by `make install`, and the libraries
    that it is linked with. Their packages are in `debs`."""

    def __init__(self, build, source, scratch):
        self.build, self.source, self.scratch = build, source, scratch
        programs = [os.path.join(build, n) for n in ("stillpointd", "stillctl", "stillpoint-worker-mozjs")]
        self.libraries = packages_of(programs)
        self.clean = build_tree(os.path.join(build, "booted"), self.libraries)
        self.debs = self.clean + ".debs"
        self.enabled = os.path.join(scratch, "enabled")  # controllers, in control groups that are the host's
        self._lane, self._made = "", 0
        self.restorer = None

    def of_lane(self, number):
        """The same, for a process that runs beside others."""
        trees = copy.copy(self)
        trees._lane = f"{number}-"
        return trees

    def new_name(self):
        """Not used yet by anybody who shares these trees."""
        self._made += 1
        return f"{self._lane}{self._made}"

    def enable_controller(self, control, name):
        """In a control group of the host's, for as long as there are tests: others may use it meanwhile."""
        with open(self.enabled, "a+", encoding="utf-8") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            if has_controller(control, name):
                return
            with open(control, "w", encoding="ascii") as to:
                to.write(f"+{name}")
            f.write(f"{control} {name}\n")

    def ungroup_sessions(self):
        """For as long as there are tests the kernel has no group of tasks for each session (decisions/0059)."""
        try:
            self.restorer = Changed(AUTOGROUP, "0")
        except OSError:
            pass  # there are none, or others have decided that

    def end(self):
        if self.restorer:
            self.restorer.end()
        try:
            with open(self.enabled, encoding="utf-8") as f:
                enabled = [line.split() for line in f]
        except FileNotFoundError:
            return
        for control, name in reversed(enabled):
            try:
                with open(control, "w", encoding="ascii") as f:
                    f.write(f"-{name}")
            except OSError:
                pass  # somebody else has come to use it

    def overlay(self, layers):
        """Mounts a tree of these layers, the first on top, that can be written to. Returns it and its upper layer."""
        at = os.path.join(self.scratch, f"tree-{self.new_name()}")
        upper, work, root = (os.path.join(at, n) for n in ("upper", "work", "root"))
        for folder in (upper, work, root):
            os.makedirs(folder)
        run("mount", "-t", "overlay", "-o", f"lowerdir={':'.join(layers)},upperdir={upper},workdir={work}",
            "none", root)
        return root, upper

    def layers(self, kind):
        """kind: `clean`, `testbed`, or `installed`."""
        if kind == "clean":
            return [self.clean]
        if kind == "testbed":
            return [build_tree(os.path.join(self.build, "booted", "testbed"), self.libraries, (*TESTBED, *self.libraries))]
        installed = os.path.join(self.scratch, "installed")
        with open(installed + ".lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.isdir(installed):
                root, upper = self.overlay([self.clean])
                run("dpkg", f"--root={root}", "--force-unsafe-io", "--install", *glob.glob(f"{self.debs}/*.deb"),
                    env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"})
                run("make", "-C", self.build, "install", f"DESTDIR={root}")
                self._install_settings(root)
                run("umount", root)
                os.rename(upper, installed)
        return [installed, self.clean]

    def _install_settings(self, root):
        etc = os.path.join(root, "etc")
        os.makedirs(os.path.join(etc, "stillpoint"), exist_ok=True)
        shutil.copy(os.path.join(self.source, "packaging", "stillpointd.conf"),
                    os.path.join(etc, "stillpoint", "stillpointd.conf"))
        add_users(root)


def set_apt(root, sources):
    """A machine has no network: these are what its apt knows, and it asks nobody."""
    for path in glob.glob(os.path.join(root, "etc/apt/sources.list.d/*")):
        os.unlink(path)
    with open(os.path.join(root, "etc/apt/sources.list"), "w", encoding="ascii") as f:
        f.write(sources)
    with open(os.path.join(root, "etc/apt/apt.conf.d/test"), "w", encoding="ascii") as f:
        f.write('APT::Get::Assume-Yes "true";\n')


def add_archive(trees, root):
    """Gives the apt of a tree nothing but an archive with the packages that Stillpoint's libraries are in."""
    shutil.copytree(trees.debs, os.path.join(root, "srv/archive"))
    set_apt(root, "deb [trusted=yes] file:/srv/archive ./\n")
    run("chroot", root, "apt-get", "update", env={**os.environ, "LC_ALL": "C.UTF-8"})


def add_users(root):
    """The users of the tests, and those that Stillpoint brings along."""
    os.makedirs(os.path.join(root, "etc/sysusers.d"), exist_ok=True)
    with open(os.path.join(root, "etc/sysusers.d/test.conf"), "w", encoding="ascii") as f:
        f.write(USERS)
    run("chroot", root, "systemd-sysusers")


# ---- a machine

def own_cgroup():
    with open("/proc/self/cgroup", encoding="utf-8") as f:
        for line in f:
            if line.startswith("0::/"):
                return CGROUPS + line.rstrip("\n")[3:].rstrip("/")
    raise Skip("the kernel has no cgroup2")


def has_controller(control, name):
    with open(control, encoding="ascii") as f:
        return name in f.read().split()


class Commands:
    """What is asked of a system by programs that it runs: of any that has run() and write()."""

    def ctl(self, *args, **options):
        """stillctl, as a user (root unless said)."""
        return self.run("stillctl", *args, **options)

    def systemctl(self, *args, **options):
        return self.run("systemctl", *args, **options)

    def show(self, unit, *properties):
        """Properties of a unit: the value of one, or a dict."""
        lines = self.systemctl("show", unit, *(f"--property={p}" for p in properties)).out.splitlines()
        found = dict(line.split("=", 1) for line in lines if "=" in line)
        return found[properties[0]] if len(properties) == 1 else found

    def main_pid(self, unit=SERVICE):
        """The number that the main process of a unit has in the machine; 0: none."""
        return int(self.show(unit, "MainPID"))

    def drop_in(self, text, unit=SERVICE):
        """More settings for a unit, until the test ends."""
        self.write(f"/run/systemd/system/{unit}.d/test.conf", text)
        self.systemctl("daemon-reload")

    def journal(self, *args):
        """Lines of the journal, with all that has been sent to it until now."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--no-pager", "-q", "-o", "short-monotonic", *args).out

    def wait_active(self, unit=SERVICE, limit=HANG):
        wait_until(lambda: self.show(unit, "ActiveState") == "active", f"{unit} is active", limit)


class Machine(Commands):
    """A booted system. `prepare` is called with the Trees and the root of its own before."""

    def __init__(self, trees, kind="installed", prepare=None):
        self.root, _ = trees.overlay(trees.layers(kind))
        if prepare:
            prepare(trees, self.root)
        self.trees, self.build = trees, trees.build
        self.name = f"stillpoint-{os.getpid()}-{trees.new_name()}"
        self.cgroup = os.path.join(own_cgroup(), self.name)
        os.mkdir(self.cgroup)
        self.console = open(os.path.join(os.path.dirname(self.root), "console"), "wb")
        enter = f'echo $$ >{shlex.quote(self.cgroup)}/cgroup.procs && exec "$@"'
        self.nspawn = subprocess.Popen(
            ["sh", "-c", enter, "sh", "systemd-nspawn", "--quiet", "--register=no", "--keep-unit",
             "--private-network", f"--machine={self.name}", "--kill-signal=SIGRTMIN+3", "-D", self.root,
             "--boot", "--console=pipe"],
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=self.console,
            # Else its own filter of system calls makes a sandbox in it something else.
            env={**os.environ, "SYSTEMD_SECCOMP": "0"})
        self.pid1 = None
        try:
            self._wait_for_systemd()
        except BaseException:
            self.end()
            raise

    def _wait_for_systemd(self):
        def is_up():
            if self.nspawn.poll() is not None:
                raise Failed(f"systemd-nspawn ended with {self.nspawn.returncode}:\n{self.console_text()}")
            for pid in children(self.nspawn.pid):
                try:
                    mode = os.stat(f"/proc/{pid}/root/run/systemd/private").st_mode
                    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
                        is_first = re.search(r"^NSpid:.*\t1$", f.read(), re.M)
                except OSError:
                    continue
                if is_first and stat.S_ISSOCK(mode) and not os.path.samefile(f"/proc/{pid}/root", "/"):
                    return pid
            return None
        self.pid1 = wait_until(is_up, "systemd is up", HANG)
        # "degraded" is a system that is up, too.
        state = self.run("systemctl", "is-system-running", "--wait", code=None).out.strip()
        check(state in ("running", "degraded"), f"the system is {state!r}:\n{self.console_text()}")

    def console_text(self):
        self.console.flush()
        with open(self.console.name, encoding="utf-8", errors="replace") as f:
            return "".join(f.readlines()[-40:])

    # ---- for tests

    def path(self, inside):
        """How a file in the machine is called outside."""
        return f"/proc/{self.pid1}/root{inside}"

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.path(path), mode)
        return path

    def argv(self, args, user=None):
        enter = ["nsenter", "-t", str(self.pid1), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"]
        if user:
            enter += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"]
        return [*enter, "env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LC_ALL=C.UTF-8", "NO_COLOR=1", "SYSTEMD_COLORS=0", *map(str, args)]

    def run(self, *args, code=0, user=None, timeout=HANG):
        """Runs a program in the machine to its end. Fails unless it exits with `code` (None: any)."""
        try:
            p = subprocess.run(self.argv(args, user), stdin=subprocess.DEVNULL, capture_output=True,
                               timeout=timeout, check=False)
        except subprocess.TimeoutExpired as e:
            raise Failed(f"hangs: {' '.join(map(str, args))}\n  stdout so far: {e.stdout!r}") from None
        r = Result(list(map(str, args)), p.returncode, p.stdout.decode("utf-8", "replace"),
                   p.stderr.decode("utf-8", "replace"))
        if code is not None and r.code != code:
            raise Failed(f"expected exit {code}: {r}")
        return r

    def start(self, *args, user=None):
        """The same in the background, with pipes. The caller waits for it."""
        return subprocess.Popen(self.argv(args, user), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def outside(self, pid):
        """The number that a process of the machine has out here."""
        with open(self.path(f"/proc/{pid}/status"), encoding="ascii", errors="replace"):
            pass
        for task in self.processes():
            try:
                with open(f"/proc/{task}/status", encoding="ascii", errors="replace") as f:
                    if re.search(rf"^NSpid:\t{task}\t{pid}(\t|$)", f.read(), re.M):
                        return task
            except (FileNotFoundError, ProcessLookupError):
                pass  # one that has ended meanwhile
        raise Failed(f"process {pid} of the machine is not to be found")

    def make_nice(self, pid):
        """A process of the machine that computes for as long as it lives leaves the processors to all who have something
        to do, the kernel's own threads and other machines among them."""
        pid = self.outside(pid)
        for task in os.listdir(f"/proc/{pid}/task"):
            try:
                os.setpriority(os.PRIO_PROCESS, int(task), 19)
            except ProcessLookupError:
                pass  # a thread that has ended meanwhile

    def processes(self):
        """The numbers, out here, of all processes of the machine."""
        found = []
        for folder, _, _ in os.walk(self.cgroup):
            try:
                with open(os.path.join(folder, "cgroup.procs"), encoding="ascii") as f:
                    found += [int(line) for line in f]
            except OSError:
                pass
        return found

    def processes_of_ours(self):
        return [p for p in self.processes() if name_of(p).startswith("stillpoint")]

    def unit_cgroup(self, unit=SERVICE):
        """The folder of a unit's control group, out here; it need not be there."""
        inside = self.show(unit, "ControlGroup")
        return self.path(CGROUPS + inside) if inside else None

    def enable_controller(self, name, unit):
        """Enables a controller for what is directly below a unit's control group, and so in all groups
        above, the host's own among them until the end. Skips the test where the host cannot give it; raises
        Failed where a group of the machine has processes of its own on the way."""
        with open(f"{CGROUPS}/cgroup.controllers", encoding="ascii") as f:
            if name not in f.read().split():
                raise Skip(f"cgroup2 has no {name} controller here")
        way = [CGROUPS]
        for part in (self.cgroup[len(CGROUPS):] + "/payload" + self.show(unit, "ControlGroup")).split("/"):
            if part:
                way.append(os.path.join(way[-1], part))
        for folder in way:
            control = f"{folder}/cgroup.subtree_control"
            is_hosts = not folder.startswith(self.cgroup)
            try:
                if is_hosts:
                    self.trees.enable_controller(control, name)
                elif not has_controller(control, name):
                    with open(control, "w", encoding="ascii") as f:
                        f.write(f"+{name}")
            except OSError as e:
                raise (Skip if is_hosts else Failed)(f"{name} cannot be enabled in {folder}: {e}") from None

    def make_hang(self):
        """Settings for a drop-in, and a function that lets the loop of the daemon that has them hang at its next
        turn. The daemon that comes after it does not hang."""
        shutil.copy(os.path.join(self.build, "tests/support/hang.so"), self.path("/usr/local/lib/stillpoint-hang.so"))
        file = f"/run/stillpoint-hang-{os.urandom(4).hex()}"
        text = f"Environment=LD_PRELOAD=/usr/local/lib/stillpoint-hang.so STILLPOINT_HANG={file}\n"
        return text, lambda: self.write(file, f"{self.main_pid()}\n")

    # ---- for the runner

    def reset(self):
        """As it was after the boot, but for what a test has written elsewhere than in /run."""
        wrong = []
        self.systemctl("stop", SERVICE, *SOCKETS, code=None)
        try:
            wait_until(lambda: not self.processes_of_ours(), "what was killed is gone", HANG)
        except Failed as e:
            wrong.append(f"{e}; left: {' '.join(name_of(p) for p in self.processes_of_ours())}")
        settings = glob.glob(self.path("/run/systemd/system/stillpoint*.d"))
        enabled = glob.glob(self.path("/etc/systemd/system/*.wants/stillpoint*"))
        for folder in settings:
            shutil.rmtree(folder)
        for link in enabled:
            os.unlink(link)
        if settings or enabled:
            self.systemctl("daemon-reload")
        self.systemctl("reset-failed", code=None)
        return wrong

    def end(self):
        """Powers it off; by force if it does not. Returns what is wrong, as lines."""
        wrong = []
        if self.nspawn.poll() is None and self.pid1:
            os.kill(self.pid1, signal.SIGRTMIN + 4)
            try:
                self.nspawn.wait(HANG)
            except subprocess.TimeoutExpired:
                wrong.append(f"the machine does not power off:\n{self.console_text()}")
        # A supervisor that was killed leaves its process 1 alive.
        with open(os.path.join(self.cgroup, "cgroup.kill"), "w", encoding="ascii") as f:
            f.write("1")
        self.nspawn.wait()
        self.console.close()
        wait_until(self._is_removed, f"{self.cgroup} can be removed")
        run("umount", self.root)
        shutil.rmtree(os.path.dirname(self.root), ignore_errors=True)
        return wrong

    def _is_removed(self):
        for folder, _, _ in os.walk(self.cgroup, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                return False
        return True


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as f:
            return f.read().strip()
    except OSError:
        return ""
