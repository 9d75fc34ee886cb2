#!/usr/bin/python3
"""Tests that a document names are there. Prints TAP: one test for each document.

A name is `part/name` (a function test_name in tests/system/test_part.py, or the only one that begins so),
or a path below tests/, perhaps followed by the name of a test in that file.
"""

import ast
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
DOCUMENTS = {"docs/THREATS.md": 50}  # and how many names it has at least
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


def main():
    tests, failed = system_tests(), 0
    print(f"1..{len(DOCUMENTS)}")
    for number, (document, least) in enumerate(DOCUMENTS.items(), 1):
        with open(os.path.join(TOP, document), encoding="utf-8") as f:
            wrong, count = missing(f.read(), tests)
        if count < least:
            wrong.append(f"only {count} names were found in it")
        print(f"{'not ok' if wrong else 'ok'} {number} - every test that {document} names is there ({count})")
        for line in wrong:
            print(f"# {line}")
        failed += bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
