"""Small WebAssembly modules, assembled from bytes: the tests need no compiler."""

import struct

I32, I64, F64 = 0x7F, 0x7E, 0x7C
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


def get(local):
    return b"\x20" + uleb(local)


def put(local):
    return b"\x21" + uleb(local)


def get_global(index):
    return b"\x23" + uleb(index)


def put_global(index):
    return b"\x24" + uleb(index)


def const64(n):
    return b"\x42" + leb(n)


def const_f64(x):
    return b"\x44" + struct.pack("<d", x)


def call_indirect(of_type):
    return b"\x11" + uleb(of_type) + b"\x00"


def branch_if(depth):
    return b"\x0d" + uleb(depth)


DROP, UNREACHABLE, END, LOOP = b"\x1a", b"\x00", b"\x0b", b"\x03\x40"
ADD, SUB, DIV, EQZ = b"\x6a", b"\x6b", b"\x6d", b"\x45"
LOAD8, LOAD, STORE = b"\x2d\x00\x00", b"\x28\x02\x00", b"\x36\x02\x00"
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


class Function:
    """Its code is a list of instructions, without the `end` of the function."""

    def __init__(self, export, parameters, results, code, local_types=()):
        self.export, self.parameters, self.results = export, list(parameters), list(results)
        self.code, self.local_types = list(code), list(local_types)


class Module:
    """Functions with imports from "env", a page of memory, globals, and a table of all functions.

    bytes: the module; at[index of a function][n]: the offset of its instruction n, `end` the last.
    Types have the indices of the functions: import functions first."""

    def __init__(self, functions, imports=(), variables=(), data=b"", space="env"):
        """imports: as of command(). variables: (type, mutable, initial value as an instruction)."""
        first = len(imports)
        signatures = [(p, r) for _, p, r in imports] + [(f.parameters, f.results) for f in functions]
        out = b"\0asm\x01\0\0\0"
        out += section(1, vector([b"\x60" + vector([bytes([t]) for t in p]) + vector([bytes([t]) for t in r])
                                  for p, r in signatures]))
        if imports:
            out += section(2, vector([name(space) + name(n) + b"\0" + uleb(i)
                                      for i, (n, _, _) in enumerate(imports)]))
        out += section(3, vector([uleb(first + i) for i in range(len(functions))]))
        out += section(4, vector([b"\x70\x00" + uleb(len(signatures))]))
        out += section(5, b"\x01\x00\x01")
        if variables:
            out += section(6, vector([bytes([t, mutable]) + value + END for t, mutable, value in variables]))
        exported = [name(f.export) + b"\0" + uleb(first + i) for i, f in enumerate(functions) if f.export]
        out += section(7, vector([name("memory") + b"\x02\x00", *exported]))
        out += section(9, vector([b"\x00" + const(0) + END + vector([uleb(i) for i in range(len(signatures))])]))
        heads = [vector([b"\x01" + bytes([t]) for t in f.local_types]) for f in functions]
        bodies = [h + b"".join(f.code) + END for h, f in zip(heads, functions)]
        sized = [uleb(len(b)) + b for b in bodies]
        content = vector(sized)
        position = len(out) + 1 + len(uleb(len(content))) + len(uleb(len(sized)))
        self.at = {}
        for i, (f, head, body, whole) in enumerate(zip(functions, heads, bodies, sized)):
            at = position + len(whole) - len(body) + len(head)
            self.at[first + i] = []
            for instruction in [*f.code, END]:
                self.at[first + i].append(at)
                at += len(instruction)
            position += len(whole)
        out += section(10, content)
        if data:
            out += section(11, vector([b"\x00" + const(1024) + END + uleb(len(data)) + data]))
        self.bytes = out
