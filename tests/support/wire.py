"""The client wire by hand, for tests that say what no client library would."""

import struct


def frame(payload):
    return struct.pack(">I", len(payload)) + payload


def varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, value):
    """One protobuf field: an int as varint, bytes or text with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def hello(request_id=1, version=1):
    return frame(field(1, request_id) + field(10, field(1, version) + field(2, "test 0")))


def read_exactly(sock, size):
    """None where the stream ends before."""
    data = b""
    while len(data) < size:
        try:
            more = sock.recv(size - len(data))
        except ConnectionResetError:
            return None
        if not more:
            return None
        data += more
    return data


def read_frame(sock):
    """The next frame's payload, None at the end of the stream."""
    head = read_exactly(sock, 4)
    return None if head is None else read_exactly(sock, struct.unpack(">I", head)[0])


def fields(payload):
    """{number: [values]} of one message; nested messages stay bytes."""
    found, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = payload[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(payload):
        key = number()
        if key & 7 == 0:
            value = number()
        elif key & 7 == 2:
            size = number()
            value = payload[at:at + size]
            at += size
        else:
            raise ValueError(f"wire type {key & 7}")
        found.setdefault(key >> 3, []).append(value)
    return found
