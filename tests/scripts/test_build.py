#!/usr/bin/python3
"""scripts/build.sh: when the tree is configured again. Its tools are played. Prints TAP."""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests", "support"))
import tap  # pylint: disable=wrong-import-position

CONFIGURE = """#!/bin/sh
echo "configure $*" >>"$DID"
: >Makefile
: >config.h
: >stamp-h1
cat >config.status <<'END'
#!/bin/sh
echo "config.status $*" >>"$DID"
: >stamp-h1
END
chmod +x config.status
"""
# Says what it is asked of, or all that is installed.
DPKG_QUERY = """#!/bin/sh
for last; do :; done
case $last in
-* | *Status*) sed 's/^/installed /' "$INSTALLED" ;;
*) grep -qxF "$last" "$INSTALLED" && echo installed ;;
esac
"""
# There is something to make until it was asked to.
MAKE = """#!/bin/sh
case " $* " in *" -q "*) [ -e "$MADE" ] ;; *) echo make >>"$DID"; : >"$MADE" ;; esac
"""


class Tree:
    """A clone with a build folder; what is installed there is a list."""

    def __init__(self, folder, installed):
        self.folder, self.installed = folder, list(installed)
        self.did = os.path.join(folder, "did")
        os.mkdir(os.path.join(folder, "bin"))
        for name, text in (("configure", CONFIGURE), ("bin/dpkg-query", DPKG_QUERY), ("bin/make", MAKE)):
            path = os.path.join(folder, name)
            with open(path, "w", encoding="ascii") as f:
                f.write(text)
            os.chmod(path, 0o755)
        self.write("configure.ac")
        os.utime(os.path.join(folder, "configure.ac"), (1, 1))

    def write(self, name, text=""):
        with open(os.path.join(self.folder, name), "w", encoding="ascii") as f:
            f.write(text)

    def build(self, *packages):
        """What build_all did."""
        self.write("installed", "".join(f"{name}\n" for name in self.installed))
        self.write("did")
        script = f'top={self.folder}; . {TOP}/scripts/packages.sh; . {TOP}/scripts/build.sh; build_all "$@"'
        environment = {**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}", "DID": self.did,
                       "INSTALLED": f"{self.folder}/installed", "MADE": f"{self.folder}/made"}
        done = subprocess.run(["sh", "-eu", "-c", script, "sh", *packages], env=environment, check=False,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        with open(self.did, encoding="ascii") as f:
            return f.read().splitlines()


def tree(installed):
    folder = tempfile.TemporaryDirectory()
    made = Tree(folder.name, installed)
    made.keep = folder
    return made


def equal(got, wanted):
    assert got == wanted, f"{got!r} is not {wanted!r}"


FIRST = ["configure --enable-silent-rules", "make"]
AGAIN = ["config.status --recheck", "config.status ", "make"]


def test_what_tests_need_and_came_after_configure_has_it_run_again_with_its_options():
    t = tree(["gcc"])
    equal(t.build(), FIRST)
    equal(t.build("libcmocka-dev"), [])
    t.installed.append("libcmocka-dev")
    equal(t.build(), [])
    equal(t.build("gcc", "libcmocka-dev"), AGAIN)
    equal(t.build("gcc", "libcmocka-dev"), [])


def test_other_packages_have_nothing_configured_again():
    t = tree(["gcc"])
    equal(t.build("gcc"), FIRST)
    t.installed.append("libcmocka")
    equal(t.build("gcc", "libcmocka-dev"), [])


def test_a_tree_that_was_configured_by_hand_keeps_its_options():
    t = tree(["gcc"])
    os.mkdir(f"{t.folder}/build")
    subprocess.run(["../configure", "--enable-werror"], cwd=f"{t.folder}/build", check=True,
                   env={**os.environ, "DID": os.devnull})
    equal(t.build("gcc"), AGAIN)
    equal(t.build("gcc"), [])


def test_where_config_h_stays_as_it_is_nothing_is_compiled_again():
    t = tree(["gcc"])
    t.build("gcc")
    before = os.stat(f"{t.folder}/build/config.h").st_mtime_ns
    t.installed.append("libcmocka-dev")
    t.build("libcmocka-dev")
    for name in ("config.h", "stamp-h1", "config.status", "Makefile"):
        equal(os.stat(f"{t.folder}/build/{name}").st_mtime_ns, before)


if __name__ == "__main__":
    sys.exit(tap.run(globals(), sys.argv[1:]))
