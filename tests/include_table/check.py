#!/usr/bin/python3
"""Holds table.txt against the #includes of the tree. Prints TAP: one test for each folder."""

import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
SUFFIXES = (".c", ".h", ".cc")

# Headers of the C library, the kernel and the compiler: everybody may include them.
CPLUSPLUS = "worker/engines"  # the one folder that may use the C++ library
SYSTEM_FOLDERS = {"sys", "linux", "asm", "net", "netinet", "arpa", "bits"}
SYSTEM = re.compile(
    r"^(assert|byteswap|ctype|dirent|dlfcn|elf|endian|err|errno|error|execinfo|fcntl|fenv|float|fnmatch|"
    r"getopt|glob|grp|inttypes|langinfo|libgen|limits|link|locale|malloc|math|mqueue|netdb|poll|"
    r"pthread|pty|pwd|regex|sched|search|semaphore|setjmp|signal|spawn|stdalign|stdarg|stdatomic|stdbool|"
    r"stddef|stdint|stdio|stdio_ext|stdlib|stdnoreturn|string|strings|sysexits|syslog|termios|"
    r"threads|time|ucontext|unistd|utime|wait|wchar|wctype|xlocale)\.h$"
)


def table_read(path):
    table = {"folder": {}, "outside": {}, "order": {}, "exempt": {}}
    with open(path, encoding="utf-8") as f:
        for line in f:
            line = line.split("#")[0].strip()
            if not line:
                continue
            head, _, words = line.partition(":")
            kind, folder = head.split()
            table[kind].setdefault(folder, []).extend(words.split())
    return table


def files_of(folder, folders):
    """Files of a folder, without those of a folder in it that has a row of its own."""
    for where, dirs, names in os.walk(os.path.join(TOP, folder)):
        rel = os.path.relpath(where, TOP)
        dirs[:] = sorted(d for d in dirs if os.path.join(rel, d) not in folders and d != "model")
        for name in sorted(names):
            if name.endswith(SUFFIXES):
                yield os.path.join(rel, name)


def within(path, allowed):
    return any(path == a or path.startswith(a + "/") for a in allowed)


def groups_of(words):
    """{module: number of its group} of an order's words."""
    group, found = 0, {}
    for word in words:
        if word == "|":
            group += 1
        else:
            found[word] = group
    return found


def module_of(path):
    return os.path.splitext(os.path.basename(path))[0].removesuffix("_private")


def order_problem(table, folder, path, target, edges):
    words, exempt = table["order"].get(folder), table["exempt"].get(folder, [])
    mine, other = module_of(path), module_of(target)
    if not words or os.path.dirname(target) != folder or mine == other or mine in exempt:
        return None
    groups = groups_of(words)
    for module in (mine, other):
        if module not in groups:
            return f"{folder}/{module} has no place in the order of {folder}/ (table.txt)"
    if target.endswith("_private.h") and not mine.startswith(other):
        return f"includes {target}, which is for {other} and the modules that begin with its name"
    if groups[other] > groups[mine]:
        return f"includes {target}, which stands to its right"
    if groups[other] == groups[mine]:
        edges.setdefault(mine, set()).add(other)
        if reaches(edges, other, mine):
            return f"includes {target}, which includes it"
    return None


def reaches(edges, start, goal):
    seen, todo = set(), [start]
    while todo:
        at = todo.pop()
        if at == goal:
            return True
        if at not in seen:
            seen.add(at)
            todo += edges.get(at, ())
    return False


def problems_of_file(table, folder, path, edges):
    with open(os.path.join(TOP, path), encoding="utf-8", errors="replace") as f:
        text = f.read()
    for m in INCLUDE.finditer(text):
        line = text.count("\n", 0, m.start()) + 1
        at = f"{path}:{line}"
        name = m.group(2)
        own = name.split("/")[0] in {f.split("/")[0] for f in table["folder"]}
        if m.group(1) == "<" and not own:
            first = name.split("/")[0]
            cplusplus = "." not in name and "/" not in name and folder == CPLUSPLUS
            if (
                not cplusplus
                and not SYSTEM.match(name)
                and first not in SYSTEM_FOLDERS
                and first not in table["outside"].get(folder, [])
            ):
                yield f"{at}: {folder} may not include <{name}>"
            continue
        beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
        target = beside if os.path.exists(os.path.join(TOP, beside)) or not own else name
        if not within(target, table["folder"][folder]):
            yield f"{at}: {folder} may not include {target}"
            continue
        # A folder in a folder with a row of its own is not covered by its parent's.
        inner = [f for f in table["folder"] if f.startswith(folder + "/") and within(target, [f])]
        if inner:
            yield f"{at}: {folder} may not include {target}"
            continue
        problem = order_problem(table, folder, path, target, edges)
        if problem:
            yield f"{at}: {problem}"


def main():
    table = table_read(os.path.join(HERE, "table.txt"))
    folders = list(table["folder"])
    rows = [f for f in folders if os.path.isdir(os.path.join(TOP, f))]
    failed = 0
    print(f"1..{len(rows)}")
    for number, folder in enumerate(rows, 1):
        files = list(files_of(folder, folders))
        edges = {}
        problems = [p for path in files for p in problems_of_file(table, folder, path, edges)]
        failed += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {number} - {folder} includes only what it may "
              f"({len(files)} files)")
        for p in problems:
            print(f"# {p}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
