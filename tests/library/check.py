#!/usr/bin/python3
"""What libstillpoint.so exports, held against its header and the package's symbols file. Prints TAP."""

import glob
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests", "support"))
import tap  # pylint: disable=wrong-import-position

DECLARED = re.compile(r"^(?:const )?(?:struct |enum )?\w+ \**(stillpoint_\w+)\(", re.M)


def library():
    found = glob.glob("client/libstillpoint.so.*")
    assert len(found) == 1, f"one library is wanted: {found}"
    return found[0]


def exported():
    """The functions that the dynamic loader finds in it, with the version of each."""
    lines = subprocess.run(["nm", "-D", "--defined-only", library()], check=True, text=True,
                           stdout=subprocess.PIPE).stdout.splitlines()
    return dict(line.split()[2].split("@@") for line in lines if " T " in line)


def declared():
    with open(os.path.join(TOP, "client", "stillpoint.h"), encoding="utf-8") as f:
        names = set(DECLARED.findall(f.read()))
    assert len(names) > 100, f"only {len(names)} functions were found in stillpoint.h"
    return names


def same(what, these, those):
    assert these == those, f"{what}: {sorted(these ^ those)}"


def test_every_function_of_the_header_is_exported_and_no_other():
    same("in the header or the library alone", declared(), set(exported()))


def test_every_export_is_in_the_symbols_file_of_the_package():
    path = os.path.join(TOP, "debian", "libstillpoint1.symbols")
    if not os.path.exists(path):
        raise tap.Skip("a release has no debian/")
    with open(path, encoding="utf-8") as f:
        listed = {line.split()[0] for line in f if line.startswith(" stillpoint_")}
    same("in debian/libstillpoint1.symbols or the library alone", listed,
         {f"{name}@{version}" for name, version in exported().items()})


def test_the_library_needs_nothing_but_the_c_library_and_protobuf_c():
    dump = subprocess.run(["objdump", "-p", library()], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    needed = {name.split(".so")[0] for name in re.findall(r"NEEDED\s+(\S+)", dump)}
    # A sanitizer and a coverage build bring libraries of their own.
    wanted = {"libc", "libprotobuf-c"}
    ours = {n for n in needed if not re.match(r"lib(asan|ubsan|tsan|gcc_s|m$|pthread|ld-)", n)}
    same("needed", ours, wanted)
    assert re.search(r"SONAME\s+libstillpoint\.so\.1$", dump, re.M), dump


if __name__ == "__main__":
    sys.exit(tap.run(globals(), sys.argv[1:]))
