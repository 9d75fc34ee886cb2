"""Runs the test_… functions of a module and prints TAP."""

import inspect
import traceback


class Skip(Exception):
    """Raised by a test that cannot run here; its text says why."""


def run(functions, words=()):
    """`functions`: the module's globals(). With words, only tests whose name has one of them.
    Returns the exit status."""
    tests = [(n[len("test_"):], f) for n, f in functions.items()
             if n.startswith("test_") and inspect.isfunction(f)]
    tests = [(n, f) for n, f in tests if not words or any(w in n for w in words)]
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, (name, test) in enumerate(tests, 1):
        try:
            test()
            print(f"ok {number} - {name}", flush=True)
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {number} - {name}")
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
    return 1 if failed else 0
