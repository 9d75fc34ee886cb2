"""docs/ADMIN.md: every command in it, as it stands and in its order, on a machine where Stillpoint was installed from the
source."""

import os

import guide
from harness import check

GUIDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "ADMIN.md")


def run(m, command):
    r = m.run("sh", "-c", command.text, user=None if command.is_root else "alice", code=None)
    check(r.code == 0, f"{command} works: {r}")
    for line in command.prints:
        check(line in r.out.splitlines(), f"{command} prints {line!r}: {r}")
    # One that asks the journal for something has to be told.
    if "journalctl" in command.text and "=" in command.text:
        check(r.out.strip() and "No entries" not in r.out, f"{command} finds something: {r}")


def follow(m, skip):
    """The commands of the guide but those that are for another machine; then what its tables name."""
    commands, inline = guide.read(GUIDE)
    done = [c for c in commands if c.mark != skip]
    for command in done:
        run(m, command)
    for text in inline:
        run(m, guide.Command(text.replace(" VM", " app"), True, None, 0))
    return done, inline


def test_every_command_of_the_guide_works_as_it_stands(m):
    done, inline = follow(m, "packages")
    check(len(done) > 40 and len(inline) > 3, f"the guide has commands: {len(done)} and {len(inline)}")
