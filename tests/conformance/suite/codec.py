"""codec.py: RFC 6455 frames, small enough to be read beside the RFC. The client's side writes anything, right or wrong; the
server's side is read strictly: whatever a server may not send is a Breach."""
import itertools
import os

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MASK = b"\x37\xfa\x21\x3d"


class Breach(AssertionError):
    """The server broke a rule of framing."""


def masked(payload, mask):
    if mask == b"\0\0\0\0":
        return payload
    return bytes(a ^ b for a, b in zip(payload, itertools.cycle(mask)))


def length_field(size, form=None):
    """The length as 7 bits and what follows; `form` 7, 16 or 64 overrides the shortest."""
    form = form or (7 if size < 126 else 16 if size < 65536 else 64)
    if form == 7:
        return size, b""
    return (126, size.to_bytes(2, "big")) if form == 16 else (127, size.to_bytes(8, "big"))


def frame(payload=b"", opcode=TEXT, fin=True, rsv=0, mask=MASK, form=None, length=None):
    """A client's frame. mask None: unmasked (section 5.1 forbids it); length: announce another one than it has."""
    if isinstance(payload, str):
        payload = payload.encode()
    short, more = length_field(len(payload) if length is None else length, form)
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode, (0 if mask is None else 0x80) | short]) + more
    return head + payload if mask is None else head + mask + masked(payload, mask)


def close(code=None, reason=b"", mask=MASK):
    if isinstance(reason, str):
        reason = reason.encode()
    return frame((b"" if code is None else code.to_bytes(2, "big")) + reason, CLOSE, mask=mask)


def fragments(payload, sizes, opcode=TEXT):
    """A message in fragments of the given sizes; the last one takes what is left."""
    out, at = [], 0
    for number, size in enumerate(sizes + [None]):
        piece = payload[at:] if size is None else payload[at:at + size]
        out.append(frame(piece, CONT if number else opcode, fin=size is None))
        at += len(piece)
    return out


def bytewise(data):
    return [data[i:i + 1] for i in range(len(data))]


def random_mask():
    return os.urandom(4)


class Decoder:
    """The server's frames from what has arrived."""

    def __init__(self):
        self.data = bytearray()

    def feed(self, data):
        self.data += data

    def next(self):
        """(opcode, payload), or None if no whole frame is there."""
        data = self.data
        if len(data) < 2:
            return None
        size, at = data[1] & 0x7F, 2
        if data[1] & 0x80:
            raise Breach("5.1: the server masked a frame")
        if data[0] & 0x70:
            raise Breach("5.2: the server set a reserved bit")
        if not data[0] & 0x80:
            raise Breach("the server fragmented a message; Noria never does")
        opcode = data[0] & 15
        if opcode not in (TEXT, BINARY, CLOSE, PING, PONG):
            raise Breach(f"5.2: the server sent opcode {opcode}")
        if opcode & 8 and size > 125:
            raise Breach("5.5: the server sent a control frame above 125 bytes")
        if size > 125:
            at = 4 if size == 126 else 10
            if len(data) < at:
                return None
            size = int.from_bytes(data[2:at], "big")
            if size < (126 if at == 4 else 65536):
                raise Breach("5.2: the server sent a length in more bytes than it needs")
        if len(data) < at + size:
            return None
        payload = bytes(data[at:at + size])
        del data[:at + size]
        return opcode, payload
