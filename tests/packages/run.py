#!/usr/bin/python3
"""Builds the Debian packages and looks at them.

    run.py [--build DIR] [--results FILE] [--twice] [--next SUITE] [WORD...]

`make deb` in DIR, which is configured; then lintian, what the packages have, and a client that is built
from the development package. --twice builds them once more, from a copy of the tree, in another place, another year,
and as somebody else, and compares every byte. --next reads the AppArmor profile with the parser of a later Debian,
which mmdebstrap gets. With words, only tests whose name has one of them are run, after the build. Prints TAP; FILE
gets one line for each test, as tests/booted/run.py says. What happens when they are installed is for that.
"""

import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests", "support"))

from harness import Failed, Result, Skip, check, equal  # noqa: E402  pylint: disable=wrong-import-position

PACKAGES = ("libstillpoint-dev", "libstillpoint1", "stillctl", "stillpoint", "stillpoint-gateways")
FIRST = "the_packages_build"
NOTHING_ELSE = re.compile(r"^[EW]: ", re.M)


class Packages:
    def __init__(self, build):
        self.build, self.folder = build, os.path.join(build, "deb")
        self.log = os.path.join(build, "deb.log")

    def make(self, folder="deb"):
        """Builds them, without the tests, which the ordinary run has had."""
        options = os.environ.get("DEB_BUILD_OPTIONS", f"nocheck parallel={os.cpu_count()}")
        with open(self.log, "w", encoding="utf-8") as log:
            p = subprocess.run(["make", "-C", self.build, "deb", f"DEB_FOLDER={folder}"], stdin=subprocess.DEVNULL,
                               env={**os.environ, "DEB_BUILD_OPTIONS": options}, stdout=log, stderr=log, check=False)
        if p.returncode != 0:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                raise Failed(f"make deb ended with status {p.returncode}:\n{''.join(log.readlines()[-30:])}")

    def one(self, name):
        found = glob.glob(os.path.join(self.folder, f"{name}_*.deb"))
        check(len(found) == 1, f"one {name} package is wanted: {found}")
        return found[0]

    def files(self, name):
        """{path: mode} of what is in it, without folders."""
        lines = run("dpkg-deb", "-c", self.one(name)).splitlines()
        return {re.sub(r" (->|link to) .*", "", line.split(None, 5)[5]).lstrip("."): line.split()[0]
                for line in lines if not line.startswith("d")}

    def field(self, name, field):
        return run("dpkg-deb", "-f", self.one(name), field).strip()


def run(*args, code=0, **options):
    p = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True,
                       errors="replace", **options)
    if p.returncode != code:
        raise Failed(str(Result(list(args), p.returncode, p.stdout, p.stderr)))
    return p.stdout


def why_not():
    for program, package in (("dpkg-buildpackage", "dpkg-dev"), ("dh", "debhelper"), ("dh_apparmor", "dh-apparmor")):
        if shutil.which(program) is None:
            return f"packages cannot be built without {program} ({package})"
    if not os.path.isdir(os.path.join(TOP, "debian")):
        return "a release has no debian/"
    return None


# ---- the tests

def test_the_packages_build(p):
    p.make()
    for name in PACKAGES:
        p.one(name)


def test_lintian_finds_neither_errors_nor_warnings(p):
    if shutil.which("lintian") is None:
        raise Skip("lintian is not installed")
    said = subprocess.run(["lintian", "-EvIL", "+pedantic", "--fail-on", "error,warning", *(["--allow-root"] if os.geteuid() == 0 else []),
                           *glob.glob(os.path.join(p.folder, "stillpoint_*.changes"))],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    equal([line for line in said.stdout.splitlines() if NOTHING_ELSE.match(line)], [])
    check(said.returncode == 0, f"lintian ended with status {said.returncode}: {said.stderr}")


def test_every_program_has_its_page_and_every_package_its_copyright(p):
    pages = {}
    for name in PACKAGES:
        files = p.files(name)
        check(f"/usr/share/doc/{name}/copyright" in files, f"{name} has no copyright file")
        check(any(re.match(rf"/usr/share/doc/{name}/changelog\.Debian", f) for f in files), f"{name} has no changelog")
        pages[name] = {os.path.basename(f) for f in files if f.startswith("/usr/share/man/")}
        for path in files:
            if re.match(r"/usr/s?bin/", path):
                section = "8" if "/sbin/" in path else "1"
                check(f"{os.path.basename(path)}.{section}.gz" in pages[name], f"{path} has no page in {name}")
    ours = {f"{page}.gz" for page in os.listdir(os.path.join(TOP, "docs", "man"))}
    equal(sorted(set().union(*pages.values())), sorted(ours))


PROFILE = os.path.join(TOP, "packaging", "apparmor", "stillpoint")


def test_apparmor_reads_the_profile_that_permits_user_namespaces(_):
    if shutil.which("apparmor_parser") is None:
        raise Skip("apparmor_parser (apparmor) is not installed")
    with open(PROFILE, encoding="utf-8") as f:
        text = f.read()
    check(re.search(r"^profile stillpoint /usr/libexec/stillpoint/stillpoint-worker-\* flags=\(unconfined\)", text, re.M), text)
    # A parser before 4.0 reads all but what the profile is for.
    if not os.path.exists("/etc/apparmor.d/abi/4.0"):
        text = re.sub(r"^ *userns,$", "", text.replace("<abi/4.0>", "<abi/3.0>"), flags=re.M)
    p = subprocess.run(["apparmor_parser", "--skip-kernel-load", "--skip-cache", "--names"], input=text, capture_output=True,
                       text=True, check=False)
    check(p.returncode == 0 and p.stdout.split() == ["stillpoint"], f"{p.stdout}{p.stderr}")


def next_apparmor_reads_it_whole(suite):
    with tempfile.TemporaryDirectory(prefix="stillpoint-packages.") as folder:
        tree = os.path.join(folder, "tree")
        run("mmdebstrap", "--variant=apt", "--include=apparmor", suite, tree)
        shutil.copy(PROFILE, os.path.join(tree, "etc/apparmor.d/stillpoint"))
        check(os.path.exists(os.path.join(tree, "etc/apparmor.d/abi/4.0")), f"{suite} has no AppArmor 4")
        said = run("chroot", tree, "apparmor_parser", "--skip-kernel-load", "--skip-cache", "--names", "/etc/apparmor.d/stillpoint")
        equal(said.split(), ["stillpoint"])
        with open(PROFILE, encoding="utf-8") as f:
            wrong = f.read().replace("userns,", "usernss,")
        with open(os.path.join(tree, "etc/apparmor.d/stillpoint"), "w", encoding="utf-8") as f:
            f.write(wrong)
        run("chroot", tree, "apparmor_parser", "--skip-kernel-load", "--skip-cache", "/etc/apparmor.d/stillpoint", code=1)


def test_settings_are_conffiles_and_libraries_may_be_there_for_several_architectures(p):
    said = run("dpkg-deb", "--ctrl-tarfile", p.one("stillpoint")) and \
        run("sh", "-c", 'dpkg-deb --ctrl-tarfile "$1" | tar -xO ./conffiles', "sh", p.one("stillpoint"))
    check("/etc/stillpoint/stillpointd.conf" in said.split(), said)
    for name in ("libstillpoint1", "libstillpoint-dev"):
        equal(p.field(name, "Multi-Arch"), "same")
    equal(p.field("libstillpoint1", "Depends").count("libprotobuf-c1"), 1)


def test_a_client_is_built_from_the_development_package(p):
    with tempfile.TemporaryDirectory(prefix="stillpoint-packages.") as root:
        for name in ("libstillpoint1", "libstillpoint-dev"):
            run("dpkg-deb", "-x", p.one(name), root)
        library = os.path.dirname(glob.glob(f"{root}/usr/lib/*/libstillpoint.so")[0])
        environment = {**os.environ, "PKG_CONFIG_PATH": os.path.join(library, "pkgconfig"),
                       "PKG_CONFIG_SYSROOT_DIR": root}
        flags = run("pkg-config", "--cflags", "--libs", "libstillpoint", env=environment).split()
        program = os.path.join(root, "audit")
        run("gcc", "-Wall", "-Werror", os.path.join(TOP, "docs", "examples", "audit.c"), "-o", program, *flags)
        check("libstillpoint.so.1" in run("objdump", "-p", program), "it is not linked with the shared library")
        said = subprocess.run([program, "none", "1"], capture_output=True, text=True, check=False,
                              env={**os.environ, "LD_LIBRARY_PATH": library, "STILLPOINT_SOCKET": f"{root}/none"})
        check("cannot reach the daemon: No such file" in said.stderr, said)


# As unlike the first build as can be had on one machine.
ELSEWHERE = {"TZ": "Pacific/Kiritimati", "LANG": "C", "LC_ALL": "POSIX", "LANGUAGE": "tr", "HOME": "/nonexistent",
             "USER": "somebody", "LOGNAME": "somebody", "EMAIL": "somebody@example.org",
             "DEB_BUILD_OPTIONS": "nocheck parallel=3"}
BUILD_ELSEWHERE = """
hostname elsewhere && umask 0077 && chmod -R go= "$1" && mkdir "$1/out" && cd "$1/out" && ../configure --quiet &&
exec faketime -f +500d make deb DEB_FOLDER="$2"
"""


def build_elsewhere(folder, log):
    """Packages of a copy of the tree, in a folder. Returns where they are."""
    source, packages = os.path.join(folder, "a-source-of-another-name"), os.path.join(folder, "packages")
    # Without what git has, and without folders of builds.
    shutil.copytree(TOP, source, symlinks=True, ignore=lambda at, names: [
        n for n in names if n in (".git", "autom4te.cache") or os.path.exists(os.path.join(at, n, "config.status"))])
    with open(log, "w", encoding="utf-8") as f:
        p = subprocess.run(["unshare", "--uts", *([] if os.geteuid() == 0 else ["--map-root-user"]),
                            "sh", "-c", BUILD_ELSEWHERE, "sh", source, packages],
                           stdin=subprocess.DEVNULL, stdout=f, stderr=f, env={**os.environ, **ELSEWHERE}, check=False)
    if p.returncode != 0:
        with open(log, encoding="utf-8", errors="replace") as f:
            raise Failed(f"a build elsewhere ended with status {p.returncode}:\n{''.join(f.readlines()[-30:])}")
    return packages


def bytes_of(path):
    with open(path, "rb") as f:
        return f.read()


def difference(a, b):
    """What differs between two files, for who reads it."""
    if shutil.which("diffoscope") is None:
        return f"{os.path.basename(a)} (diffoscope, of diffoscope-minimal, would say more)"
    said = subprocess.run(["diffoscope", a, b], capture_output=True, text=True, errors="replace", check=False)
    return "\n".join(said.stdout.splitlines()[:60])


def built_in(folder):
    """The year in which packages were built, by their own account."""
    with open(glob.glob(os.path.join(folder, "*.buildinfo"))[0], encoding="utf-8") as f:
        return int(re.search(r"^Build-Date: \w+, \d+ \w+ (\d+)", f.read(), re.M).group(1))


def test_built_twice_they_have_the_same_bytes(p):
    if shutil.which("faketime") is None:
        raise Skip("building in another year takes faketime")
    with tempfile.TemporaryDirectory(prefix="stillpoint-packages.") as folder:
        again = build_elsewhere(folder, f"{p.log}.again")
        check(built_in(again) > built_in(p.folder), "the second build was in another year")
        names = sorted(n for n in os.listdir(p.folder) if n.endswith((".deb", ".dsc", ".tar.xz")))
        check(len(names) >= 7, f"only {names}")
        pairs = [(os.path.join(p.folder, n), os.path.join(again, n)) for n in names]
        different = [difference(a, b) for a, b in pairs if bytes_of(a) != bytes_of(b)]
        check(not different, "\n".join(different))


def main():
    parser = argparse.ArgumentParser(description="Builds the Debian packages and looks at them.")
    parser.add_argument("--build", default=os.path.join(TOP, "build"))
    parser.add_argument("--results")
    parser.add_argument("--twice", action="store_true", help="build them twice, and compare")
    parser.add_argument("--next", metavar="SUITE", help="read the AppArmor profile with the parser of that one, too")
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    tests = [(n[len("test_"):], f) for n, f in globals().items() if n.startswith("test_") and callable(f)]
    if not options.twice:
        tests = [(n, f) for n, f in tests if "twice" not in n]
    if options.words:
        tests = [(n, f) for n, f in tests if n == FIRST or any(w in n for w in options.words)]
    if options.next:
        tests.append(("apparmor_of_the_next_debian_reads_the_whole_profile", lambda _: next_apparmor_reads_it_whole(options.next)))
    packages, missing, failed = Packages(os.path.abspath(options.build)), why_not(), 0
    results = open(options.results, "w", encoding="utf-8") if options.results else None
    print(f"1..{len(tests)}", flush=True)
    for number, (name, test) in enumerate(tests, 1):
        start, outcome, text = time.monotonic(), "pass", ""
        try:
            if missing:
                raise Skip(missing)
            test(packages)
        except Skip as e:
            outcome, text = "skip", str(e)
        except Failed as e:
            outcome, text = "fail", str(e)
        except Exception:  # pylint: disable=broad-except
            outcome, text = "fail", traceback.format_exc()
        failed += outcome == "fail"
        if outcome == "skip":
            print(f"ok {number} - packages/{name} # SKIP {text}", flush=True)
        else:
            took = time.monotonic() - start
            print(f"{'ok' if outcome == 'pass' else 'not ok'} {number} - packages/{name} ({took:.1f} s)", flush=True)
            for line in text.splitlines():
                print(f"# {line}", flush=True)
        if results:
            results.write(f"{outcome} packages/{name}{f' # {text}' if outcome == 'skip' else ''}\n")
            results.flush()
        if name == FIRST and outcome == "fail":
            missing = "the packages do not build"
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
