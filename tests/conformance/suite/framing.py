"""framing.py: RFC 6455 section 5: lengths, masks, reserved bits and opcodes, fragmentation, cuts of the TCP stream."""
import itertools

from .case import Case
from .codec import BINARY, CLOSE, CONT, PING, PONG, TEXT, bytewise, close, fragments, frame, random_mask

MAX = 65536  # max_message_bytes of the server under test
OPCODES = {"cont": CONT, "text": TEXT, "binary": BINARY, "close": CLOSE, "ping": PING, "pong": PONG}


def body(size):
    return bytes(97 + i % 23 for i in range(size))


def echo(name, cite, payload, opcode=TEXT, send=None, **more):
    return Case(name, cite, send or [frame(payload, opcode)], [(opcode, payload)], **more)


# --- 5.2: lengths ------------------------------------------------------------------------------------------------------


def lengths():
    for kind, size in itertools.product(("text", "binary"), (0, 1, 2, 7, 8, 9, 124, 125, 126, 127, 128, 254, 255, 256, 257,
                                                             1000, 4095, 4096, 16383, 16384, 16385, 32768, 65534, 65535, MAX)):
        yield echo(f"length/{kind}-{size}", "5.2", body(size), OPCODES[kind])
    for form, sizes in ((16, (0, 1, 2, 64, 124, 125)), (64, (0, 1, 125, 126, 127, 256, 65535))):
        for kind, size in itertools.product(("text", "binary"), sizes):
            yield Case(f"length/{kind}-{size}-in-{form}-bits", "5.2",
                       [frame(body(size), OPCODES[kind], form=form)], end=(1002,))
        for size in sizes[:3]:
            yield Case(f"length/cont-{size}-in-{form}-bits", "5.2",
                       [frame(b"a", fin=False), frame(body(size), CONT, form=form)], end=(1002,))
    for value in (1 << 63, (1 << 63) + 1, (1 << 64) - 1, (1 << 63) + 65536):
        for kind in ("text", "binary"):
            yield Case(f"length/{kind}-top-bit-{value:x}", "5.2",
                       [frame(b"x", OPCODES[kind], form=64, length=value)], end=(1002,))


# --- 5.3: masks --------------------------------------------------------------------------------------------------------


def masks():
    keys = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\0\0\0", b"\0\0\0\x80", b"\x61\x62\x63\x64"] + [random_mask() for _ in range(3)]
    for mask, size in itertools.product(keys, (0, 1, 3, 4, 5, 8, 13, 127, 1000)):
        yield echo(f"mask/{mask.hex()}-{size}", "5.3", body(size), send=[frame(body(size), mask=mask)])
    for name, opcode in OPCODES.items():
        begun = [frame(b"a", fin=False)] if opcode == CONT else []
        for size in (0, 1, 125) + ((126, 65536) if opcode < 8 else ()):
            yield Case(f"unmasked/{name}-{size}", "5.1", begun + [frame(body(size), opcode, mask=None)], end=(1002,))
    yield Case("unmasked/after-a-masked-one", "5.1", [frame(b"one") + frame(b"two", mask=None)], [(TEXT, b"one")], (1002,))
    yield Case("unmasked/right-behind-the-head", "5.1", [], behind=frame(b"x", mask=None), end=(1002,))


# --- 5.2: reserved -----------------------------------------------------------------------------------------------------


def reserved():
    for rsv, (name, opcode) in itertools.product(range(1, 8), OPCODES.items()):
        begun = [frame(b"a", fin=False)] if opcode == CONT else []
        yield Case(f"rsv/{rsv:03b}-{name}", "5.2", begun + [frame(b"\x03\xe8", opcode, rsv=rsv)], end=(1002,))
    for opcode, fin, size in itertools.product((3, 4, 5, 6, 7, 11, 12, 13, 14, 15), (True, False), (0, 8)):
        yield Case(f"opcode/{opcode}-{'fin' if fin else 'more'}-{size}", "5.2",
                   [frame(body(size), opcode, fin=fin)], end=(1002,))
    for opcode in (3, 7, 11, 15):
        yield Case(f"opcode/{opcode}-after-a-message", "5.2",
                   [frame(b"good") + frame(b"", opcode) + frame(b"never")], [(TEXT, b"good")], (1002,))
        yield Case(f"opcode/{opcode}-between-fragments", "5.2",
                   [frame(b"a", fin=False), frame(b"", opcode), frame(b"b", CONT)], end=(1002,))


# --- 5.4: fragmentation --------------------------------------------------------------------------------------------------


def fragmentation():
    yield from _in_fragments()
    yield from _out_of_order()


def _in_fragments():
    for kind, count in itertools.product(("text", "binary"), (2, 3, 4, 10, 100, 1000)):
        payload = body(count * 3)
        yield echo(f"fragment/{kind}-{count}", "5.4", payload, OPCODES[kind],
                   fragments(payload, [3] * (count - 1), OPCODES[kind]))
    for name, sizes in {"first": [0, 4], "middle": [4, 0], "last": [4, 8], "all-but-one": [0, 0, 0, 12, 0, 0],
                        "first-two": [0, 0], "hundred": [0] * 100}.items():
        yield echo(f"fragment/empty-{name}", "5.4", body(12), send=fragments(body(12), sizes))
    for count in (2, 3, 10):
        yield echo(f"fragment/{count}-empty-ones", "5.4", b"", send=fragments(b"", [0] * (count - 1)))
    for sizes in ([125, 126, 127], [1, 65534], [65535], [32768, 32767], [16384] * 3):
        yield echo(f"fragment/sizes-{'-'.join(map(str, sizes))}", "5.4", body(MAX), BINARY,
                   fragments(body(MAX), sizes, BINARY))
    for name, opcode, payload in (("ping", PING, b"p"), ("empty-ping", PING, b""), ("full-ping", PING, body(125)),
                                  ("pong", PONG, b"p"), ("empty-pong", PONG, b""), ("full-pong", PONG, body(125))):
        parts = fragments(body(9), [3, 3])
        answer = [(PONG, payload)] if opcode == PING else []
        for at in (1, 2):
            yield Case(f"fragment/{name}-before-{at}", "5.4", parts[:at] + [frame(payload, opcode)] + parts[at:],
                       answer + [(TEXT, body(9))])
            yield Case(f"fragment/{name}-before-{at}-in-one-write", "5.4",
                       [b"".join(parts[:at] + [frame(payload, opcode)] + parts[at:])], answer + [(TEXT, body(9))])
    parts = [piece for part in fragments(body(200), [1] * 199) for piece in (part, frame(b"k", PING))]
    yield Case("fragment/200-with-a-ping-behind-each", "5.4", parts[:-1], [(PONG, b"k")] * 199 + [(TEXT, body(200))])
    yield Case("fragment/two-messages", "5.4", fragments(b"first", [2]) + fragments(b"second", [2, 2]),
               [(TEXT, b"first"), (TEXT, b"second")])
    yield Case("fragment/text-then-binary", "5.4", fragments(b"first", [2]) + fragments(b"\xff\0", [1], BINARY),
               [(TEXT, b"first"), (BINARY, b"\xff\0")])


def _out_of_order():
    for fin, size in itertools.product((True, False), (0, 5)):
        tail = "fin" if fin else "more"
        yield Case(f"fragment/continuation-of-nothing-{tail}-{size}", "5.4", [frame(body(size), CONT, fin)], end=(1002,))
        yield Case(f"fragment/continuation-after-a-whole-message-{tail}-{size}", "5.4",
                   [frame(b"whole"), frame(body(size), CONT, fin)], [(TEXT, b"whole")], (1002,))
        yield Case(f"fragment/continuation-after-a-fragmented-message-{tail}-{size}", "5.4",
                   fragments(b"whole", [1]) + [frame(body(size), CONT, fin)], [(TEXT, b"whole")], (1002,))
        yield Case(f"fragment/continuation-after-a-ping-{tail}-{size}", "5.4",
                   [frame(b"p", PING), frame(body(size), CONT, fin)], [(PONG, b"p")], (1002,))
        for first, second in itertools.product((TEXT, BINARY), repeat=2):
            yield Case(f"fragment/message-in-a-message-{first}-{second}-{tail}-{size}", "5.4",
                       [frame(b"a", first, fin=False), frame(body(size), second, fin)], end=(1002,))


# --- cuts of the stream: TCP has no borders (section 5.1 says nothing of segments) -----------------------------------------


def cuts():
    session = (frame(b"one") + frame("ñandú".encode()) + frame(b"ping", PING) + b"".join(fragments(body(300), [126, 1]))
               + frame(body(127), BINARY) + frame(b"", PING) + frame(b"x", PONG) + frame(b"end"))
    answers = [(TEXT, b"one"), (TEXT, "ñandú".encode()), (PONG, b"ping"), (TEXT, body(300)), (BINARY, body(127)),
               (PONG, b""), (TEXT, b"end")]
    yield Case("cut/session-at-once", "5.1", [session], answers)
    yield Case("cut/session-byte-by-byte", "5.1", bytewise(session), answers)
    yield Case("cut/session-right-behind-the-head", "4.2.2", [], answers, behind=session)
    for size in (2, 3, 5, 7, 13, 125, 126, 127, 200):
        yield Case(f"cut/session-by-{size}", "5.1", [session[i:i + size] for i in range(0, len(session), size)], answers)
    for half in range(0, 120, 5):
        yield Case(f"cut/session-{half}-behind-the-head", "5.1", [session[half:]], answers, behind=session[:half])
    for size, header in ((5, 6), (125, 6), (126, 8), (65535, 8), (MAX, 14)):
        whole = frame(body(size), BINARY)
        for at in range(1, header + 2):
            yield echo(f"cut/header-of-{size}-at-{at}", "5.2", body(size), BINARY, [whole[:at], whole[at:]])
    yield echo("cut/4-KiB-byte-by-byte", "5.1", body(4096), send=bytewise(frame(body(4096))))
    ping = frame(body(125), PING)
    for at in (1, 2, 5, 6, 7, 64, len(ping) - 1):
        yield Case(f"cut/ping-at-{at}", "5.5.2", [ping[:at], ping[at:]], [(PONG, body(125))])
    yield Case("cut/ping-byte-by-byte-between-fragments", "5.4",
               [frame(b"a", fin=False)] + bytewise(ping) + [frame(b"b", CONT)], [(PONG, body(125)), (TEXT, b"ab")])
    bye = close(1000, "adiós")
    yield Case("cut/close-byte-by-byte", "5.5.1", bytewise(bye), end=(1000,))
    for at in range(1, len(bye)):
        yield Case(f"cut/close-at-{at}", "5.5.1", [bye[:at], bye[at:]], end=(1000,))


def cases():
    for part in (lengths, masks, reserved, fragmentation, cuts):
        yield from part()
