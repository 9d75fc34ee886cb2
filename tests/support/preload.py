"""A daemon into which, with its workers, a library of tests/support is preloaded, and the file by which a test steers it."""

import os


class Preload:
    """Starts the test's daemon, with options. `content`: of the file at first."""

    def __init__(self, t, name, content, *options):
        library = t.program(f"tests/support/{name}.so")
        if not os.path.exists(library):
            t.skip(f"{name} is not built with sanitizers")
        path = os.path.join(t.folder, name)
        self.file = open(path, "w+b", buffering=0)  # pylint: disable=consider-using-with
        t.connections.append(self.file)
        # The zygote is of another uid than a daemon that root started.
        os.chmod(t.folder, 0o711)
        os.chmod(path, 0o644)
        self.put(content)
        t.start_daemon(*options, wrapper=["env", f"LD_PRELOAD={library}", f"{name.upper()}={path}"])

    def put(self, content):
        os.pwrite(self.file.fileno(), content, 0)
