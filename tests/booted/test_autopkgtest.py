"""The packages' own tests, debian/tests, by autopkgtest: those that build a client and those of the whole service, too."""

import glob
import os
import re
import shutil

import booted
from harness import Skip, check, equal

TREE = "testbed"
ON_DEMAND = True
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.environ.get("STILLPOINT_DEB", os.path.join(TOP, "build", "deb"))
HERE = "/srv/stillpoint"


def prepare(_, root):
    booted.set_apt(root, "")
    os.makedirs(os.path.join(root, HERE[1:]))
    for path in glob.glob(os.path.join(FOLDER, "stillpoint*")) + glob.glob(os.path.join(FOLDER, "lib*.deb")) + \
            glob.glob(os.path.join(FOLDER, "stillctl_*.deb")):
        shutil.copy(path, os.path.join(root, HERE[1:]))


def test_autopkgtest_passes_each_of_them(m):
    if not glob.glob(os.path.join(FOLDER, "stillpoint_*.dsc")):
        raise Skip("there are no packages: make deb")
    # The machine is thrown away after this, which is all that these restrictions ask for.
    r = m.run("sh", "-c", f"exec autopkgtest --ignore-restrictions=isolation-machine,breaks-testbed --output-dir=/tmp/out"
                          f" --no-built-binaries {HERE}/*.deb {HERE}/stillpoint_*.dsc -- null", code=None)
    said = m.run("cat", "/tmp/out/summary").out
    with open(os.path.join(TOP, "debian", "tests", "control"), encoding="utf-8") as f:
        wanted = re.findall(r"^Tests: (.*)$", f.read(), re.M)
    equal(sorted(re.findall(r"^(\S+) +PASS$", said, re.M)), sorted(wanted), f"{said}\n{r.out[-4000:]}{r.err[-4000:]}")
    check(r.code == 0, r)
