"""A debugger for tests of an engine's adapter: programs in engine-host, and questions to them where
they stand (tests/support/engine_host/look.h)."""

import json
import os
import signal
import subprocess
import tempfile
import threading

HOST = os.path.abspath("tests/support/engine_host/engine-host")
PATIENCE = 120  # seconds; whatever takes this long hangs
NONE = "none"


def text(words):
    return words.encode("utf-8", "surrogatepass").hex() or "-"


class Session:
    """One program. A stop is waited for by `stop()`, and ended by `go()`."""

    def __init__(self, program, *options, name="a.js", at="safe_point", files=None, folder=None):
        """With a folder the program is a file of it, `name`."""
        self.temporary = None if folder else tempfile.TemporaryDirectory()
        self.folder = folder or self.temporary.name
        for path, content in ({} if folder else {name: program, **(files or {})}).items():
            mode = "wb" if isinstance(content, bytes) else "w"
            with open(os.path.join(self.folder, path), mode) as f:
                f.write(content)
        control, self.control = os.pipe()
        report, end = os.pipe()
        self.report = os.fdopen(report, "r", encoding="utf-8", errors="surrogateescape")
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            [HOST, f"--look={control}", f"--report={end}", f"--look-at={at}", *options, name],
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            stdin=subprocess.DEVNULL, pass_fds=(control, end), start_new_session=True)
        os.close(control)
        os.close(end)
        self.alarm = threading.Timer(PATIENCE, self.kill)
        self.alarm.start()
        self.out = self.err = None
        self.code = None

    def kill(self):
        """The host, and the child that it has forked."""
        os.killpg(self.process.pid, signal.SIGKILL)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.code is None:
            if kind:
                self.kill()
            self.end()
        if self.temporary:
            self.temporary.cleanup()

    def read(self):
        line = self.report.readline()
        return json.loads(line) if line else None

    def stop(self):
        """Where the program stands next; None once it is over."""
        line = self.read()
        return line and line["stands"]

    def ask(self, *words):
        os.write(self.control, (" ".join(str(w) for w in words) + "\n").encode())
        answer = self.read()
        assert answer is not None, f"{words}: the host is gone: {self.end()}"
        return answer

    def go(self):
        return self.ask("go")

    def end(self):
        """Lets the program run to its end, through all further stops."""
        try:
            os.close(self.control)
            self.out, self.err = self.process.communicate()
        finally:
            self.alarm.cancel()
            self.report.close()
        self.code = self.process.returncode
        return self.out, self.err, self.code

    def finish(self):
        """Goes on through whatever stops there are; returns what the program printed."""
        self.go()
        while self.stop():
            self.go()
        self.end()
        assert self.code == 0, f"code {self.code}: {self.err}"
        return self.out

    # ---- questions

    def rows(self, *words):
        answer = self.ask(*words)
        assert answer["error"] == 0, (words, answer)
        return answer["rows"]

    def frames(self, first=0, most=1000):
        """Asserts that the stack says the same."""
        frames = self.rows("frames", first, most)
        if first == 0:
            stack = self.rows("stack", most)
            assert frames == stack, (frames, stack)
        return frames

    def scopes(self, frame=0):
        return self.rows("scopes", frame)

    def variables(self, ref, first=0, most=1000, getters=False):
        return self.rows("variables", ref, first, most, int(getters))

    def scope(self, kind, frame=0, number=0):
        """Variables of a scope, by name: what they show, and the rows."""
        ref = [s for s in self.scopes(frame) if s["scope"] == kind][number]["ref"]
        return self.named(ref)

    def named(self, ref, **more):
        return {row["name"]: row for row in self.variables(ref, **more)}

    def evaluate(self, expression, frame=0, realm=0, limit_ms=0):
        """The row; or the error."""
        answer = self.ask("evaluate", frame, realm, 1, limit_ms, text(expression))
        return answer["rows"][0] if answer["error"] == 0 else answer["error"]

    def value(self, expression, frame=0):
        row = self.evaluate(expression, frame)
        assert isinstance(row, dict) and not row["threw"], row
        return row["value"]

    def assign(self, name, expression, frame=0, limit_ms=0):
        return self.ask("assign", frame, text(name), limit_ms, text(expression))

    def object(self, expression, frame=0, **more):
        """What the object has that an expression gives, by name."""
        return self.named(self.value(expression, frame)["ref"], **more)


def shown(rows):
    return {name: row["value"]["preview"] for name, row in rows.items()}
