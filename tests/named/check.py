#!/usr/bin/python3
"""What a document names is there: tests, and in docs/STOP-THE-WORLD.md races, scenarios and the words of the shared
pages; in docs/LLDB.md rules of debuggers; and so is the code that mutants change. Prints TAP.

A name is `part/name` (a function test_name in tests/system/test_part.py, or the only one that begins so),
or a path below tests/, perhaps followed by the name of a test in that file.
"""

import ast
import os
import pathlib
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
DOCUMENTS = {"docs/THREATS.md": 50, "docs/LLDB.md": 35}  # and how many names it has at least
STOP = "docs/STOP-THE-WORLD.md"
SYSTEM = re.compile(r"(?<![\w/.`])([a-z_]+)/([a-z0-9_]{8,})(?![\w/.])")
PATH = re.compile(r"`(tests/[\w/]+\.(?:c|py))`(?: ([a-z0-9]+(?:_[a-z0-9]+){2,}))?")


def system_tests():
    found = {}
    folder = os.path.join(TOP, "tests", "system")
    for entry in sorted(os.listdir(folder)):
        if entry.startswith("test_") and entry.endswith(".py"):
            with open(os.path.join(folder, entry), encoding="utf-8") as f:
                tree = ast.parse(f.read())
            found[entry[len("test_"):-len(".py")]] = {
                node.name[len("test_"):] for node in tree.body
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
    return found


def missing(text, tests):
    """([what is wrong], how many names there are)."""
    wrong, count = [], 0
    for part, name in SYSTEM.findall(text):
        count += 1
        if name not in tests.get(part, ()):
            wrong.append(f"no test {part}/{name}")
    for path, name in PATH.findall(text):
        count += 1
        full = os.path.join(TOP, path)
        if not os.path.isfile(full):
            wrong.append(f"no file {path}")
        elif name:
            with open(full, encoding="utf-8") as f:
                if not re.search(rf"\b(test_)?{name}\b", f.read()):
                    wrong.append(f"no test {name} in {path}")
    return wrong, count


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        return f.read()


def section(text, heading):
    return text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def words_of(pages):
    return [word.strip() for page in re.findall(rf"struct {pages}_page \{{(.*?)\n\}};", read("shared-mem/layout.h"), re.S)
            for names in re.findall(r"_Atomic \w+ ([\w, ]+);", page) for word in names.split(",")]


def words_of_pages():
    """Each word of the shared pages has its row."""
    rows = "".join(line for line in section(read(STOP), "Who writes what").splitlines() if line.startswith("|"))
    named = {name.split(".")[-1] for name in re.findall(r"`([a-z_.]+)`", rows)}
    words = words_of(r"\w+")
    return [f"no row for {word}" for word in words if word not in named], len(words)


def words_that_workers_write():
    """Each word that a worker writes has a reader in the daemon."""
    code = "".join(read(f"{folder}/{name}") for folder, files in (("shared-mem", ["stop.c"]), ("daemon", os.listdir(
        os.path.join(TOP, "daemon")))) for name in sorted(files) if name.endswith(".c"))
    words = words_of("status")
    return [f"nobody reads {word}" for word in words if not re.search(rf"(?i:load)\w*\(&[\w.>-]+->{word}\b", code)], len(words)


def races():
    """Each test of a race is in the table and the reverse, and its scenarios are there."""
    table = section(read(STOP), "How it is checked")
    forced = set(re.findall(r"cmocka_unit_test\((t\d+_\w+)", read("tests/schedules/test_forced.c")))
    scenarios = set(re.findall(r'\.name = "([^"]+)"', read("tests/schedules/scenarios.c")))
    named = set(re.findall(r"`(t\d+_\w+)`", table))
    wrong = [f"{name} is only in one of table and tests" for name in sorted(forced ^ named)]
    for row in re.findall(r"^\| T\d.*\|(.*)\|$", table, re.M):
        for name in re.split("[,;] ", re.sub(r"\(.*?\)", "", row)):
            if name.strip() and not name.strip().startswith(("all", "mutants")) and name.strip() not in scenarios:
                wrong.append(f"no scenario {name.strip()}")
    return wrong, len(named)


def rules_of_debuggers():
    """Each rule and race of a debugger's gateway has its row in docs/LLDB.md, with a test"""
    rows = dict(re.findall(r"^\| ([RT]\d+) .*\|(.*)\|$", section(read("docs/LLDB.md"), "What it keeps to"), re.M))
    numbers = [f"R{n}" for n in range(57, 69)] + [f"T{n}" for n in (*range(16, 21), *range(31, 36))]
    return [f"no test for {n}" for n in numbers if not missing(rows.get(n, ""), system_tests())[1]], len(rows)


def mutants():
    """Each mutant of tests/schedules can be made: what it changes is in the code, once."""
    sys.path.insert(0, os.path.join(TOP, "tests", "schedules"))
    import mutants as them  # pylint: disable=import-outside-toplevel
    wrong = []
    for name in them.MUTANTS:
        try:
            them.mutated(name, pathlib.Path(TOP))
        except LookupError as e:
            wrong.append(f"{name}: {e}")
    return wrong, len(them.MUTANTS)


def attacks():
    """Each test of tests/hostile is in docs/THREATS.md."""
    tests, text = system_tests(), read("docs/THREATS.md")
    names = [f"{part}/{name}" for part in ("hostile_worker", "hostile_client") for name in sorted(tests[part])]
    return [f"{name} is not there" for name in names if name not in text], len(names)


LOOKS = {attacks: 35, words_of_pages: 20, words_that_workers_write: 9, races: 30, rules_of_debuggers: 22, mutants: 60}


def tell(number, what, wrong, count, least):
    """Returns whether something is wrong."""
    if count < least:
        wrong.append(f"only {count} were found")
    print(f"{'not ok' if wrong else 'ok'} {number} - {what} ({count})")
    for line in wrong:
        print(f"# {line}")
    return bool(wrong)


def main():
    tests, number, failed = system_tests(), 0, 0
    print(f"1..{len(DOCUMENTS) + len(LOOKS)}")
    for document, least in DOCUMENTS.items():
        number += 1
        failed += tell(number, f"every test that {document} names is there", *missing(read(document), tests), least)
    for look, least in LOOKS.items():
        number += 1
        failed += tell(number, look.__doc__, *look(), least)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
