"""What a client may throw at the socket: that client is cut off, and everybody else is served."""

import os
import random
import signal
import socket
import struct

import wire
from harness import check, equal, wait_until
from storm import connect


def served(t):
    """The daemon still answers, by its tool and on a fresh connection."""
    equal(t.list(), [])
    s = t.daemon.connect()
    s.sendall(wire.hello(5))
    equal(wire.fields(wire.read_frame(s))[1], [5])
    s.close()


def refused(t, data, *, hello_first=False, close=False):
    """Sends it and expects the connection to end, perhaps after one error. Returns its message."""
    s = t.daemon.connect()
    if hello_first:
        s.sendall(wire.hello())
        check(102 in wire.fields(wire.read_frame(s)), "hello is answered")
    try:
        s.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        pass
    if close:
        s.close()
        served(t)
        return None
    message = None
    while True:
        reply = wire.read_frame(s)
        if reply is None:
            break
        error = wire.fields(reply).get(100)
        check(error is not None, "nothing but an error is said to nonsense")
        message = wire.fields(error[0])[2][0].decode()
        check("\n" not in message and message, "an error is one line")
    s.close()
    served(t)
    return message


def test_a_frame_of_2_GiB(t):
    for length in (0x80000000, 0xFFFFFFFF, 0x7FFFFFFF, (1 << 20) + 1):
        for hello_first in (False, True):
            refused(t, struct.pack(">I", length) + b"x" * 100, hello_first=hello_first)


def test_a_frame_of_nothing(t):
    refused(t, struct.pack(">I", 0))
    refused(t, struct.pack(">I", 0), hello_first=True)


def test_a_truncated_frame(t):
    for data in (b"", b"\0", b"\0\0\0", struct.pack(">I", 100), struct.pack(">I", 100) + b"half"):
        refused(t, data, close=True)
        refused(t, data, hello_first=True, close=True)


def test_a_frame_cut_anywhere(t):
    whole = wire.hello()
    for end in range(len(whole)):
        s = t.daemon.connect()
        s.sendall(whole[:end])
        s.shutdown(socket.SHUT_WR)
        equal(wire.read_frame(s), None, f"no reply to {end} bytes of a Hello")
        s.close()
    served(t)


def test_garbage_in_a_good_frame(t):
    for payload in (b"\xff" * 50, b"garbage", b"\x0a\xff\xff\xff\xff\x0f", b"\x08", b"\0" * 100):
        refused(t, wire.frame(payload))
        refused(t, wire.frame(payload), hello_first=True)


def test_random_garbage(t):
    seed = int.from_bytes(os.urandom(4), "little")
    rng = random.Random(seed)
    print(f"# seed {seed}")
    for _ in range(50):
        payload = rng.randbytes(rng.randrange(1, 300))
        s = t.daemon.connect()
        s.sendall(wire.hello() + wire.frame(payload))
        s.shutdown(socket.SHUT_WR)
        while wire.read_frame(s) is not None:
            pass
        s.close()
    served(t)


def test_a_request_before_hello(t):
    check(refused(t, wire.frame(wire.field(1, 1) + wire.field(20, b""))), "it is told why")


def test_an_unknown_version(t):
    check(refused(t, wire.hello(version=4711)), "it is told why")


def test_a_hello_byte_by_byte(t):
    s = t.daemon.connect()
    for byte in wire.hello(9):
        s.sendall(bytes([byte]))
    reply = wire.fields(wire.read_frame(s))
    equal(reply[1], [9])
    check(102 in reply, reply)
    s.close()


def test_a_request_without_a_body_is_an_error_or_the_end(t):
    s = t.daemon.connect()
    s.sendall(wire.hello() + wire.frame(wire.field(1, 2)))
    check(102 in wire.fields(wire.read_frame(s)), "hello is answered")
    reply = wire.read_frame(s)
    check(reply is None or 100 in wire.fields(reply), "and the rest is refused")
    s.close()
    served(t)


def test_descriptors_that_belong_to_nothing(t):
    s = t.daemon.connect()
    null = os.open("/dev/null", os.O_RDONLY)
    before = t.daemon.fds()
    for _ in range(50):
        try:
            socket.send_fds(s, [b"\0"], [null] * 8)
        except OSError:
            break
    s.close()
    os.close(null)
    if before is not None:
        wait_until(lambda: len(t.daemon.fds()) <= len(before), "none of them stays open")
    served(t)


def test_many_connections_that_say_nothing(t):
    sockets = [t.daemon.connect() for _ in range(200)]
    served(t)
    for s in sockets:
        s.close()
    served(t)


def test_one_with_thousands_of_requests_does_not_keep_another_waiting(t):
    """Both have sent all before the daemon looks at either, the crowd first: by turns it is."""
    crowd, other = connect(t), connect(t)
    api = crowd.api

    def data(client, **body):
        client.number += 1
        frame = api.Envelope(request_id=client.number, **body).SerializeToString()
        return len(frame).to_bytes(4, "big") + frame
    for client, world in ((crowd, "w"), (other, "v")):
        client.run("x", "idle\n", engine="fake", world=world)
        client.stop(world)
    burst = b"".join(data(crowd, list_debuggers=api.ListDebuggers()) for _ in range(4000)) + \
        data(crowd, resume_world=api.ResumeWorld(world="w"))
    check(len(burst) < 64 * 1024, "the daemon reads it at once")
    os.kill(t.daemon.pid, signal.SIGSTOP)
    crowd.sock.sendall(burst)
    number = other.send(resume_world=api.ResumeWorld(world="v"))
    os.kill(t.daemon.pid, signal.SIGCONT)
    served_ns = other.wait(number).resume_reply.dispatched_mono_ns
    last_ns = crowd.wait(crowd.number).resume_reply.dispatched_mono_ns
    check(served_ns < last_ns, f"served {(served_ns - last_ns) / 1000:.0f} us after thousands of another")
    crowd.close()
    other.close()
