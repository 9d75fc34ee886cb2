"""A machine with a kernel of its own, for what the host's kernel, or how it is set up, cannot show: controllers of
cgroup v2, most of all. It has the tree of booted.py, with a kernel of the distribution, and is emulated by QEMU, which
needs nothing of the processor and is slow. Its files are not seen from outside; commands come to it, and what they say
comes back, through a serial line with a shell behind it. Standard library only.
"""

import base64
import glob
import os
import re
import shlex
import shutil
import socket
import subprocess
import time

import booted
from booted import HANG, SERVICE, SOCKETS
from harness import Failed, Result, Skip, check, wait_until

SLOW = 10 * HANG  # seconds
KERNEL = "linux-image-cloud-amd64"

INIT = """#!/bin/sh
mount -t tmpfs -o size=90%,mode=0755 none /mnt
cp -ax /. /mnt/
mount -t devtmpfs none /mnt/dev
exec switch_root /mnt /sbin/init
"""
# A line in is a script, a line out its exit status and what it printed; all in base64.
SHELL = """#!/bin/sh
stty raw -echo
echo ready
while read -r line; do
    echo "$line" | base64 -d >/run/script
    sh /run/script </dev/null >/run/script.out 2>/run/script.err
    echo "$? out:$(base64 -w0 </run/script.out) err:$(base64 -w0 </run/script.err)"
done
"""
SHELL_UNIT = """[Unit]
After=multi-user.target
[Service]
ExecStart=/bin/sh /root/shell
StandardInput=tty-force
StandardOutput=tty
TTYPath=/dev/ttyS1
"""


def kernel(folder):
    """The path of a kernel's image, which is fetched once."""
    found = glob.glob(os.path.join(folder, "boot", "vmlinuz-*"))
    if found:
        return found[0]
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    said = subprocess.run(["apt-cache", "depends", "--important", KERNEL], capture_output=True, text=True, check=False).stdout
    name = re.search(r"Depends: (linux-image-\S+)", said)
    p = subprocess.run(["apt-get", "download", "-q", name.group(1) if name else KERNEL], cwd=folder, capture_output=True,
                       text=True, check=False)
    debs = glob.glob(os.path.join(folder, "*.deb"))
    if p.returncode != 0 or not debs:
        raise Skip(f"apt cannot get {KERNEL} here: {(p.stderr.strip().splitlines() or ['?'])[-1]}")
    booted.run("dpkg-deb", "-x", debs[0], folder)
    return glob.glob(os.path.join(folder, "boot", "vmlinuz-*"))[0]


def fill(root):
    """What makes a machine of a tree: who comes first, and the shell at the serial line."""
    for folder in ("usr/share/doc", "usr/share/locale", "usr/share/man", "usr/share/perl", "var/cache", "var/lib/apt/lists"):
        shutil.rmtree(os.path.join(root, folder), ignore_errors=True)
    for path, text in (("init", INIT), ("root/shell", SHELL), ("etc/systemd/system/shell.service", SHELL_UNIT)):
        with open(os.path.join(root, path), "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(os.path.join(root, path), 0o755 if path == "init" else 0o644)
    wants = os.path.join(root, "etc/systemd/system/multi-user.target.wants")
    os.makedirs(wants, exist_ok=True)
    os.symlink("../shell.service", os.path.join(wants, "shell.service"))


class Machine(booted.Commands):
    """As booted.Machine, of the tree `installed`."""

    def __init__(self, trees, kind="installed", prepare=None):
        for program, package in (("qemu-system-x86_64", "qemu-system-x86"), ("cpio", "cpio")):
            if shutil.which(program) is None:
                raise Skip(f"emulating a machine takes {program} ({package})")
        image = kernel(os.path.join(trees.build, "booted", "kernel"))
        root, upper = trees.overlay(trees.layers(kind))
        folder = os.path.dirname(upper)
        if prepare:
            prepare(trees, root)
        fill(root)
        self.console = os.path.join(folder, "console")
        memory, line = os.path.join(folder, "initrd"), os.path.join(folder, "line")
        booted.run("sh", "-c", f"cd {shlex.quote(root)} && find . -xdev | cpio --quiet -o -H newc >{shlex.quote(memory)}")
        booted.run("umount", root)
        self.folder = folder
        self.qemu = subprocess.Popen(
            ["qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "2048", "-nodefaults",
             "-display", "none", "-no-reboot", "-kernel", image, "-initrd", memory, "-serial", f"file:{self.console}",
             "-chardev", f"socket,id=line,path={line},server=on,wait=off", "-serial", "chardev:line",
             "-append", "console=ttyS0 quiet panic=-1 systemd.getty_auto=no systemd.show_status=no"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.line = socket.socket(socket.AF_UNIX)
        try:
            wait_until(lambda: os.path.exists(line) or self.qemu.poll() is not None, "QEMU is there", HANG)
            self.line.connect(line)
            self.line.settimeout(SLOW)
            self.answers = self.line.makefile("rb")
            check(self._answer().endswith("ready"), "its shell is there")
            self.run("systemctl", "is-system-running", "--wait", code=None)
        except BaseException:
            self.end()
            raise

    def _answer(self):
        try:
            answer = self.answers.readline()
        except socket.timeout:
            answer = b""
        if not answer:
            raise Failed(f"the machine says nothing more:\n{self.console_text()}")
        return answer.decode("ascii", "replace").strip()

    def console_text(self):
        try:
            with open(self.console, encoding="utf-8", errors="replace") as f:
                return "".join(f.readlines()[-40:])
        except OSError:
            return ""

    def run(self, *args, code=0, user=None):
        """As that of booted.Machine."""
        args = [str(a) for a in args]
        enter = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"] if user else []
        environment = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
                       "NO_COLOR=1", "SYSTEMD_COLORS=0"]
        self.line.sendall(base64.b64encode(shlex.join([*enter, *environment, *args]).encode()) + b"\n")
        said = re.fullmatch(r"(\d+) out:(\S*) err:(\S*)", self._answer())
        check(said, "the shell at the serial line answers")
        r = Result(args, int(said[1]), *(base64.b64decode(said[n]).decode("utf-8", "replace") for n in (2, 3)))
        if code is not None and r.code != code:
            raise Failed(f"expected exit {code}: {r}")
        return r

    def write(self, path, text, mode=0o644):
        self.run("sh", "-c", 'mkdir -p "${1%/*}" && printf %s "$2" >"$1" && chmod "$3" "$1"', "sh", path, text, f"{mode:o}")
        return path

    def read(self, path):
        return self.run("cat", path).out

    # ---- for the runner

    def reset(self):
        self.run("systemctl", "stop", SERVICE, *SOCKETS, code=None)
        self.run("sh", "-c", "rm -rf /run/systemd/system/stillpoint*.d /etc/stillpoint/vms && systemctl daemon-reload")
        left = self.run("pgrep", "-l", "stillpoint", code=None).out.split("\n")
        return [f"left a process: {line}" for line in left if line]

    def end(self):
        self.line.close()
        self.qemu.kill()
        self.qemu.wait()
        self.qemu.stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        return []
