#!/usr/bin/python3
"""Tests that each MESSAGE_ID in the source has an entry in the catalog, and each entry an id. Prints TAP.

Where journalctl is, it also makes its database of the catalog, and has to find every entry in it.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
CATALOG = os.path.join(TOP, "packaging", "stillpoint.catalog")
LEAST = 20  # ids that there are at least
DEFINE = re.compile(r'^#define ([A-Z_]+) "([0-9a-f]{32})"$', re.M)
FIELD = re.compile(r'"(STILLPOINT_[A-Z_]+)"')
WIDTH = 80


def sources():
    """{path: text} of what is built into programs."""
    found = {}
    for folder in ("base", "shared-mem", "proto", "daemon", "worker", "client", "cli"):
        for here, _, names in os.walk(os.path.join(TOP, folder)):
            for name in names:
                if name.endswith((".c", ".h", ".cc")):
                    path = os.path.join(here, name)
                    with open(path, encoding="utf-8") as f:
                        found[os.path.relpath(path, TOP)] = f.read()
    return found


def entries():
    """[(id, {header: value}, body)]."""
    with open(CATALOG, encoding="utf-8") as f:
        text = re.sub(r"^#.*\n", "", f.read(), flags=re.M)
    found = []
    for part in re.split(r"^-- ", text, flags=re.M)[1:]:
        first, _, rest = part.partition("\n")
        head, _, body = rest.partition("\n\n")
        headers = dict(line.split(": ", 1) for line in head.splitlines())
        found.append((first.strip(), headers, body.strip()))
    return found


def check_ids(texts, catalog):
    ids = {}
    for path, text in texts.items():
        for name, value in DEFINE.findall(text):
            if value in ids:
                yield f"{path}: {name} has the id of {ids[value]}"
            ids[value] = name
    if len(ids) < LEAST:
        yield f"only {len(ids)} ids were found in the source"
    described = [x for x, _, _ in catalog]
    yield from (f"{name} ({x}) has no entry" for x, name in ids.items() if x not in described)
    yield from (f"{x} has an entry, and is nowhere in the source" for x in described if x not in ids)
    yield from (f"{x} has two entries" for x in set(described) if described.count(x) > 1)
    all_text = "\n".join(texts.values())
    yield from (f"{name} is never used" for name in ids.values() if len(re.findall(rf"\b{name}\b", all_text)) < 2)


def check_lines(texts):
    for path, text in texts.items():
        if path.startswith("daemon/"):
            yield from (f"{path}: {line} has no id" for line in re.findall(r"\blog_(?:error|warning|notice|info)\(", text))


def check_entries(texts, catalog):
    fields = set(FIELD.findall("\n".join(texts.values())))
    for x, headers, body in catalog:
        for wanted in ("Subject", "Defined-By", "Documentation"):
            if not headers.get(wanted):
                yield f"{x}: no {wanted}"
        # The first paragraph says what has happened, the last what to do.
        if len(body.split("\n\n")) < 2:
            yield f"{x}: says what has happened, or what to do, and not both"
        for used in re.findall(r"@([^@\s]+)@", headers.get("Subject", "") + body):
            if used not in fields:
                yield f"{x}: no record has a field {used}"
        for line in body.splitlines():
            if len(line) > WIDTH:
                yield f"{x}: longer than {WIDTH} characters: {line}"


def check_database(catalog):
    with tempfile.TemporaryDirectory() as root:
        folder = os.path.join(root, "usr", "lib", "systemd", "catalog")
        os.makedirs(folder)
        os.makedirs(os.path.join(root, "var", "lib", "systemd", "catalog"))
        shutil.copy(CATALOG, folder)
        r = subprocess.run(["journalctl", "--root", root, "--update-catalog"], capture_output=True, text=True,
                           check=False)
        if r.returncode != 0 or r.stderr:
            yield f"journalctl --update-catalog: {r.returncode} {r.stderr}"
            return
        r = subprocess.run(["journalctl", "--root", root, "--dump-catalog"], capture_output=True, text=True,
                           check=False)
        for x, headers, body in catalog:
            if f"-- {x}\n" not in r.stdout:
                yield f"journalctl does not find {x}"
            elif f"Subject: {headers['Subject']}\n" not in r.stdout or body not in r.stdout:
                yield f"journalctl has {x} otherwise"


def main():
    texts, catalog = sources(), entries()
    tests = [("every id in the source has one entry in the catalog, and the reverse", check_ids(texts, catalog)),
             ("whatever the daemon says above debug is a record with an id", check_lines(texts)),
             ("every entry says what has happened and what to do, with fields that there are",
              check_entries(texts, catalog)),
             ("journalctl takes the catalog and finds every entry",
              check_database(catalog) if shutil.which("journalctl") else None)]
    failed = 0
    print(f"1..{len(tests)}")
    for number, (name, result) in enumerate(tests, 1):
        if result is None:
            print(f"ok {number} - {name} # SKIP journalctl is not installed")
            continue
        wrong = list(result)
        print(f"{'not ok' if wrong else 'ok'} {number} - {name}")
        for line in wrong:
            print(f"# {line}")
        failed += bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
