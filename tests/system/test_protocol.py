"""A client that knows only docs/PROTOCOL.md and api.proto: tests/protocol/client.py."""

import importlib.util
import os
import shutil
import sys

from harness import equal


def test_a_client_written_from_the_docs_runs_stops_audits_and_debugs(t):
    if not shutil.which("protoc"):
        t.skip("protoc is not installed")
    if not importlib.util.find_spec("google") or not importlib.util.find_spec("google.protobuf"):
        t.skip("python3-protobuf is not installed")
    r = t.run([sys.executable, "-B", os.path.join(t.source, "tests", "protocol", "client.py"),
               t.daemon.socket, os.path.join(t.source, "proto", "api.proto")])
    equal((r.code, r.out), (0, "ok\n"), r)
