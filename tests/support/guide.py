"""The commands of a document, for tests that run them: blocks of ```console, where a line after `# ` is root's command,
one after `$ ` an ordinary user's, and any other what the command before prints. A comment before a block, <!-- word -->,
says for whom alone it is."""

import re

PROGRAMS = ("apt", "dpkg", "journalctl", "ps", "stillctl", "stillpointd", "systemctl", "systemd-cgtop")


class Command:
    def __init__(self, text, is_root, mark, line):
        self.text, self.is_root, self.mark, self.line = text, is_root, mark, line
        self.prints = []

    def __str__(self):
        return f"line {self.line}: {'#' if self.is_root else '$'} {self.text}"


def read(path):
    """Its commands, in order; and those that are in its sentences and tables only, as texts."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    commands, mark, inside, prose = [], None, False, []
    for number, line in enumerate(text.splitlines(), 1):
        found = re.fullmatch(r"<!-- (\w+) -->", line)
        if found:
            mark = found.group(1)
        elif line == "```console":
            inside = True
        elif line == "```":
            inside, mark = False, None
        elif not inside:
            prose.append(line)
        elif line[:2] in ("# ", "$ "):
            commands.append(Command(line[2:], line[0] == "#", mark, number))
        else:
            commands[-1].prints.append(line)
    spans = re.findall(r"`([^`]+)`", " ".join(prose))
    inline = [s for s in dict.fromkeys(spans) if " " in s and s.split()[0] in PROGRAMS]
    known = {c.text for c in commands}
    return commands, [s for s in inline if s not in known]
