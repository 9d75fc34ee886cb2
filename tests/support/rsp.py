"""The GDB remote protocol by hand, for what LLDB would not say."""

import select
import socket

from harness import HANG, Failed, check, equal


def packet(text, wrong=0):
    """With its checksum, or one that is wrong by so much. Text: what is to be escaped is escaped already."""
    raw = text.encode("latin-1")
    return b"$" + raw + b"#%02x" % (sum(raw) + wrong & 255)


class Client:
    """One connection, which acknowledges nothing unless acks=True."""

    def __init__(self, t, gateway, acks=False, address=None):
        family = socket.AF_INET if address else socket.AF_UNIX
        self.socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.socket.settimeout(HANG)
        self.socket.connect(address or gateway.path)
        t.connections.append(self)
        self.bytes = b""
        self.acks = True
        if not acks:
            equal(self.ask("QStartNoAckMode"), "OK")
            self.acks = False

    def close(self):
        self.socket.close()

    def send(self, raw):
        self.socket.sendall(raw)

    def fill(self):
        try:
            more = self.socket.recv(65536)
        except socket.timeout:
            raise Failed(f"the gateway says no more than {self.bytes!r}") from None
        except ConnectionError:
            more = b""
        self.bytes += more
        return bool(more)

    def sign(self):
        """The next byte, which is + or -."""
        while not self.bytes:
            check(self.fill(), "the gateway hung up")
        sign, self.bytes = self.bytes[:1], self.bytes[1:]
        check(sign in b"+-", f"an acknowledgement: {sign + self.bytes!r}")
        return sign.decode()

    def reply(self):
        """The text of the next packet, whose checksum has to be right; escapes are undone."""
        while b"#" not in self.bytes[:-2]:
            check(self.fill(), f"the gateway hung up after {self.bytes!r}")
        end = self.bytes.index(b"#")
        raw, self.bytes = self.bytes[: end + 3], self.bytes[end + 3:]
        check(raw[:1] == b"$", f"a packet: {raw!r}")
        equal(int(raw[-2:], 16), sum(raw[1:-3]) & 255, raw)
        if self.acks:
            self.send(b"+")
        out, escaped = bytearray(), False
        for byte in raw[1:-3]:
            if byte == ord("}") and not escaped:
                escaped = True
                continue
            out.append(byte ^ 0x20 if escaped else byte)
            escaped = False
        return out.decode("latin-1")

    def ask(self, text):
        self.send(packet(text))
        if self.acks:
            equal(self.sign(), "+")
        return self.reply()

    def silent(self, seconds=0.3):
        """Nothing comes for so long."""
        ready, _, _ = select.select([self.socket], [], [], seconds)
        return not ready and not self.bytes

    def hung_up(self):
        """It says no more and hangs up; what it had said before is thrown away."""
        while self.fill():
            self.bytes = b""
        return True
