"""A client of the API made from the installed .proto file by protoc, for tests that count and time.

It uses nothing of ours but api.proto and what docs/PROTOCOL.md says of the wire. Raises Unavailable
where the Python protobuf runtime or protoc is missing.
"""

import array
import fcntl
import importlib
import os
import socket
import struct
import subprocess
import sys

F_ADD_SEALS = 1033
SEALS = 0xF  # seal, shrink, grow, write


class Unavailable(Exception):
    pass


class ApiError(Exception):
    def __init__(self, error):
        super().__init__(f"{error.code}: {error.message}")
        self.code, self.message = error.code, error.message


def messages(source, folder):
    """The module that protoc makes of api.proto, in `folder`."""
    try:
        importlib.import_module("google.protobuf")
    except ImportError:
        raise Unavailable("python3-protobuf is not installed") from None
    try:
        subprocess.run(["protoc", f"--python_out={folder}", f"--proto_path={source}/proto",
                        "api.proto"], check=True, capture_output=True)
    except FileNotFoundError:
        raise Unavailable("protoc is not installed") from None
    sys.modules.pop("api_pb2", None)
    # Each test makes the same file: protobuf's own pool takes it more than once if it is the same.
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("api_pb2")
    finally:
        sys.path.remove(folder)


def memfd(data):
    fd = os.memfd_create("program", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.write(fd, data)
    fcntl.fcntl(fd, F_ADD_SEALS, SEALS)
    return fd


class Client:
    """One connection; replies may come in any order, events are kept aside."""

    def __init__(self, api, path, limit=60):
        self.api = api
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.sock.settimeout(limit)
        self.sock.connect(path)
        self.number, self.buffer, self.events, self.replies = 0, b"", [], {}
        self.request(hello=api.Hello(version=1, client="test"))

    def close(self):
        self.sock.close()

    def send(self, fd=None, **body):
        self.number += 1
        envelope = self.api.Envelope(request_id=self.number, **body)
        if fd is not None:
            envelope.fd_count = 1
        data = envelope.SerializeToString()
        data = struct.pack(">I", len(data)) + data
        rights = []
        if fd is not None:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        sent = self.sock.sendmsg([data], rights)
        self.sock.sendall(data[sent:])
        return self.number

    def receive(self):
        while True:
            if len(self.buffer) >= 4:
                size = struct.unpack(">I", self.buffer[:4])[0]
                if len(self.buffer) >= 4 + size:
                    envelope = self.api.Envelope.FromString(self.buffer[4:4 + size])
                    self.buffer = self.buffer[4 + size:]
                    return envelope
            more = self.sock.recv(1 << 16)
            if not more:
                raise EOFError("the daemon closed the connection")
            self.buffer += more

    def wait(self, number):
        while number not in self.replies:
            envelope = self.receive()
            if envelope.request_id:
                self.replies[envelope.request_id] = envelope
            else:
                self.events.append(envelope)
        envelope = self.replies.pop(number)
        if envelope.HasField("error"):
            raise ApiError(envelope.error)
        return envelope

    def request(self, fd=None, **body):
        return self.wait(self.send(fd, **body))

    def run(self, path, text, **options):
        """Starts a program; returns its VM."""
        fd = memfd(text if isinstance(text, bytes) else text.encode())
        try:
            options.setdefault("keep_idle", True)
            request = self.api.RunVm(program=path, **options)
            return self.request(fd, run_vm=request).vm_reply.vm
        finally:
            os.close(fd)

    def vms(self, everything=False):
        found, token = [], 0
        while True:
            page = self.request(list_vms=self.api.ListVms(all=everything, page_token=token)).vm_list
            found += page.vms
            token = page.next_page_token
            if not token:
                return found

    def stop(self, world="default", deadline_us=20_000_000):
        request = self.api.StopWorld(world=world, deadline_us=deadline_us)
        return self.request(stop_world=request).stop_report

    def resume(self, world="default"):
        return self.request(resume_world=self.api.ResumeWorld(world=world)).resume_reply

    def log(self, vm):
        records, at = [], 0
        while True:
            page = self.request(read_log=self.api.ReadLog(vm=str(vm), from_seq=at)).log_page
            records += page.records
            if not page.records:
                return records
            at = page.next_seq
