"""Small WebAssembly modules with WASI imports, assembled from bytes: the tests need no compiler."""

I32, I64 = 0x7F, 0x7E
WASI = "wasi_snapshot_preview1"


def leb(n):
    """Signed LEB128."""
    out = bytearray()
    while True:
        byte = n & 0x7F
        n >>= 7
        if (n == 0 and not byte & 0x40) or (n == -1 and byte & 0x40):
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def uleb(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def name(text):
    return uleb(len(text)) + text.encode()


def vector(items):
    return uleb(len(items)) + b"".join(items)


def section(number, content):
    return bytes([number]) + uleb(len(content)) + content


def const(n):
    return b"\x41" + leb(n)


def call(index):
    return b"\x10" + uleb(index)


DROP, UNREACHABLE = b"\x1a", b"\x00"
FOREVER = b"\x03\x40\x0c\x00\x0b"  # loop br 0 end


def command(body, imports=(), data=b""):
    """A module whose _start is `body`. imports: (name, [parameter types], [result types]); their
    indices are 0, 1, …. data lies at address 1024 of the exported memory."""
    types = [b"\x60" + vector([bytes([t]) for t in p]) + vector([bytes([t]) for t in r])
             for _, p, r in imports] + [b"\x60\x00\x00"]
    out = b"\0asm\x01\0\0\0" + section(1, vector(types))
    if imports:
        out += section(2, vector([name(WASI) + name(n) + b"\0" + uleb(i)
                                  for i, (n, _, _) in enumerate(imports)]))
    out += section(3, vector([uleb(len(imports))]))
    out += section(5, b"\x01\x00\x01")
    out += section(7, vector([name("memory") + b"\x02\x00", name("_start") + b"\0" + uleb(len(imports))]))
    code = b"\x00" + body + b"\x0b"
    out += section(10, vector([uleb(len(code)) + code]))
    if data:
        out += section(11, vector([b"\x00" + const(1024) + b"\x0b" + uleb(len(data)) + data]))
    return out


def prints(text, exit_code=None, stream=1):
    """Writes text to a stream by fd_write, and ends, perhaps by proc_exit."""
    raw = text.encode()
    iovec = (1032).to_bytes(4, "little") + len(raw).to_bytes(4, "little")
    body = const(stream) + const(1024) + const(1) + const(16) + call(0) + DROP
    if exit_code is not None:
        body += const(exit_code) + call(1)
    return command(body, [("fd_write", [I32] * 4, [I32]), ("proc_exit", [I32], [])], iovec + raw)
