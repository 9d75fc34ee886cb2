#!/usr/bin/python3
"""That the manual has every verb, option, setting, request and event that there is. Prints TAP."""

import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests", "support"))
import tap  # pylint: disable=wrong-import-position


def text(*path):
    with open(os.path.join(TOP, *path), encoding="utf-8") as f:
        return f.read()


def page(name):
    return text("docs", "man", name)


def missing(what, names, least, has):
    assert len(names) >= least, f"only {len(names)} were found: {names}"
    lacking = [name for name in names if not has(name)]
    assert not lacking, f"{what} lacks {lacking}"


def stillctl(*args):
    return subprocess.run(["./stillctl", *args], check=True, text=True, stdout=subprocess.PIPE).stdout


def verbs():
    """{verb: its long options}, as stillctl itself says them."""
    found = {}
    for line in stillctl("help").split("Global options")[0].splitlines():
        named = re.match(r"  ((?:[a-z]+)(?: [a-z]+)?)  ", line)
        if named:
            own = stillctl("help", *named[1].split()).split("Global options")[0]
            found[named[1]] = set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", own))
    return found


def test_every_verb_has_its_place_in_the_manual():
    manual = page("stillctl.1")
    missing("stillctl(1)", list(verbs()), 45,
            lambda verb: re.search(rf"^\.It Ic {verb}( |$)", manual, re.M) or
            re.search(rf"^\.(?:It|Op|Ic|Xo).*Ic (?:[a-z]+ , )*{verb}\b", manual, re.M))


def test_every_option_of_every_verb_is_in_the_manual():
    manual = page("stillctl.1")
    options = set().union(*verbs().values())
    missing("stillctl(1)", sorted(options), 50,
            lambda option: re.search(rf"Fl Fl {option}\b", manual))


def completed(shell):
    return text("packaging", "completions", f"stillctl.{shell}")


def test_every_option_of_every_verb_is_completed():
    options = set().union(*verbs().values())
    for shell in ("bash", "zsh"):
        known = completed(shell)
        missing(f"the completion of {shell}", sorted(options), 50,
                lambda option: re.search(rf"--{option}\b", known))


def test_every_verb_is_completed():
    for shell in ("bash", "zsh"):
        known = completed(shell)
        missing(f"the completion of {shell}", list(verbs()), 45,
                lambda verb: all(re.search(rf"\b{word}\b", known) for word in verb.split()))


def test_every_option_of_the_daemon_is_in_its_page():
    said = subprocess.run(["./stillpointd", "--help"], check=True, text=True, stdout=subprocess.PIPE).stdout
    missing("stillpointd(8)", sorted(set(re.findall(r"--([a-z-]+)", said))), 10,
            lambda option: re.search(rf"Fl Fl {option}\b", page("stillpointd.8")))


def test_every_setting_is_in_the_page_of_the_configuration():
    known = re.findall(r'(?:SETTING\("[a-z-]+"|COUNT\("[a-z-]+"|VM_LIMIT\(in|GROUP\(), *"([a-z-]+)"|GROUP\("([a-z-]+)"',
                       text("daemon", "config.c"))
    names = sorted({a or b for a, b in known})
    missing("stillpointd.conf(5)", names, 20,
            lambda name: re.search(rf"^\.It Cm {name}\b", page("stillpointd.conf.5"), re.M))


def envelope(kind):
    """The types in a part of Envelope: Requests, Replies or Events."""
    part = text("proto", "api.proto").split(f"// {kind}.\n")[1].split("\n\n")[0].split("\n  }")[0]
    return re.findall(r"^ +([A-Z]\w+) \w+ = \d+;", part, re.M)


def test_every_request_reply_and_event_is_in_the_page_of_the_protocol():
    manual = page("stillpoint-protocol.7")
    for kind, least in (("Requests", 45), ("Replies", 25), ("Events", 5)):
        missing("stillpoint-protocol(7)", envelope(kind), least,
                lambda name: re.search(rf"Li {name}\b", manual))


def test_every_error_code_is_in_the_page_of_the_protocol():
    codes = re.findall(r"^ +ERROR_(\w+) = ", text("proto", "api.proto"), re.M)
    missing("stillpoint-protocol(7)", codes, 12,
            lambda code: re.search(rf"^\.It Dv {code}$", page("stillpoint-protocol.7"), re.M))


def test_pages_name_only_pages_that_are_there():
    ours = os.listdir(os.path.join(TOP, "docs", "man"))
    outside = {"errno.3", "journalctl.1", "systemd.unit.5", "systemctl.1", "systemd.exec.5", "systemd-analyze.1"}
    for name in ours:
        for title, section in re.findall(r"^\.Xr ([\w.-]+) (\d)", page(name), re.M):
            assert f"{title}.{section}" in ours or f"{title}.{section}" in outside, \
                f"{name} refers to {title}({section})"


def test_every_page_is_well_formed():
    if not shutil.which("mandoc"):
        raise tap.Skip("mandoc is not installed")
    pages = [os.path.join(TOP, "docs", "man", name) for name in sorted(os.listdir(os.path.join(TOP, "docs", "man")))]
    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert lint.returncode == 0, lint.stdout


if __name__ == "__main__":
    sys.exit(tap.run(globals(), sys.argv[1:]))
