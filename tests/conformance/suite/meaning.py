"""meaning.py: RFC 6455 sections 5.5, 5.6, 7, 8.1, 9 and 10.4: control frames, UTF-8, closing, limits, extensions,
subprotocols.

UTF-8 is judged when a message ends (section 8.1 asks for the failure, not for the moment); a Close's reason at once.
"""
import itertools

from .case import GONE, Case
from .codec import BINARY, CLOSE, CONT, PING, PONG, TEXT, bytewise, close, fragments, frame
from .framing import MAX, body, echo

# --- 5.5.2, 5.5.3: ping and pong -------------------------------------------------------------------------------------------


def control():
    for size in range(126):
        yield Case(f"ping/{size}", "5.5.2", [frame(body(size), PING)], [(PONG, body(size))])
    for name, opcode in (("ping", PING), ("pong", PONG), ("close", CLOSE)):
        for size in (126, 127, 1000, 65535, 65536):
            payload = b"\x03\xe8" + body(size - 2) if opcode == CLOSE else body(size)
            yield Case(f"{name}/{size}", "5.5", [frame(payload, opcode)], end=(1002,))
        for size in (0, 2, 125):
            payload = (b"\x03\xe8" + body(123))[:size]
            yield Case(f"{name}/fragmented-{size}", "5.5", [frame(payload, opcode, fin=False)], end=(1002,))
            yield Case(f"{name}/fragmented-{size}-inside-a-message", "5.5",
                       [frame(b"a", fin=False), frame(payload, opcode, fin=False), frame(b"", CONT)], end=(1002,))
    for size in (0, 1, 4, 125):
        yield Case(f"pong/unsolicited-{size}", "5.5.3", [frame(body(size), PONG)])
    yield Case("pong/unsolicited-thousand", "5.5.3", [frame(b"%d" % i, PONG) for i in range(1000)])
    for count in (2, 10, 100, 1000):
        pings = [frame(b"%d" % i, PING) for i in range(count)]
        pongs = [(PONG, b"%d" % i) for i in range(count)]
        yield Case(f"ping/{count}-in-one-write", "5.5.2", [b"".join(pings)], pongs)
        yield Case(f"ping/{count}-in-writes-of-their-own", "5.5.2", pings, pongs)
    full = [frame(body(125), PING)] * 300
    yield Case("ping/300-full-ones-in-one-write", "5.5.2", [b"".join(full)], [(PONG, body(125))] * 300)
    yield Case("ping/between-messages", "5.5.2", [frame(b"a") + frame(b"1", PING) + frame(b"b") + frame(b"2", PING)],
               [(TEXT, b"a"), (PONG, b"1"), (TEXT, b"b"), (PONG, b"2")])
    yield Case("ping/binary-payload", "5.5.2", [frame(b"\0\xff\xfe\xc0", PING)], [(PONG, b"\0\xff\xfe\xc0")])
    yield Case("pong/binary-payload-inside-a-text", "5.5.3", [frame(b"caf\xc3", fin=False), frame(b"\xff\xc0", PONG),
                                                            frame(b"\xa9", CONT)], [(TEXT, "café".encode())])


# --- 8.1: UTF-8 --------------------------------------------------------------------------------------------------------------

VALID = ["", "$", "\u007f", "\u0080", "ñ", "\u07ff", "\u0800", "€", "水", "\ud7ff", "\ue000", "\ufffd", "\ufffe", "\uffff",
         "\U00010000", "\U0001f6e2", "\U0010fffd", "\U0010ffff", "\0", "\ufeff", "Cangilón nº 7 → estación", "κόσμε",
         "a" * 8 + "é" + "b" * 9, "e\u0301" * 40]
INVALID = {
    "lone-continuation-80": b"\x80", "lone-continuation-bf": b"\xbf", "two-continuations": b"\x80\xbf",
    "c0": b"\xc0", "c1": b"\xc1\x80", "overlong-slash-2": b"\xc0\xaf", "overlong-nul-2": b"\xc0\x80", "overlong-7f": b"\xc1\xbf",
    "overlong-slash-3": b"\xe0\x80\xaf", "overlong-7ff": b"\xe0\x9f\xbf", "overlong-nul-3": b"\xe0\x80\x80",
    "overlong-slash-4": b"\xf0\x80\x80\xaf", "overlong-ffff": b"\xf0\x8f\xbf\xbf",
    "overlong-5": b"\xf8\x88\x80\x80\x80", "overlong-6": b"\xfc\x84\x80\x80\x80\x80",
    "surrogate-d800": b"\xed\xa0\x80", "surrogate-dbff": b"\xed\xaf\xbf", "surrogate-dc00": b"\xed\xb0\x80",
    "surrogate-dfff": b"\xed\xbf\xbf", "surrogate-pair": b"\xed\xa0\xbd\xed\xbb\xa2",
    "above-110000": b"\xf4\x90\x80\x80", "above-13ffff": b"\xf4\xbf\xbf\xbf", "f5": b"\xf5\x80\x80\x80", "f7": b"\xf7\xbf\xbf\xbf",
    "f8": b"\xf8", "fe": b"\xfe", "ff": b"\xff", "feff": b"\xfe\xff",
    "short-2": b"\xc3", "short-3-of-1": b"\xe2", "short-3-of-2": b"\xe2\x82", "short-4-of-1": b"\xf0",
    "short-4-of-2": b"\xf0\x9f", "short-4-of-3": b"\xf0\x9f\x9b", "broken-2": b"\xc3\x28", "broken-3": b"\xe2\x82\x28",
    "broken-3-first": b"\xe2\x28\xa1", "broken-4": b"\xf0\x9f\x9b\x28", "lead-lead": b"\xc3\xc3\xa9", "latin-1": b"ca\xf1on",
}


def utf8():
    for number, text in enumerate(VALID):
        payload = text.encode()
        yield echo(f"utf8/valid-{number}", "8.1", payload)
        for at in range(1, len(payload) if len(payload) < 12 else 12):
            yield echo(f"utf8/valid-{number}-fragment-at-{at}", "8.1", payload, send=fragments(payload, [at]))
        if payload:
            yield echo(f"utf8/valid-{number}-fragment-each", "8.1", payload, send=fragments(payload, [1] * (len(payload) - 1)))
            yield echo(f"utf8/valid-{number}-bytewise", "8.1", payload, send=bytewise(frame(payload)))
    for name, bad in INVALID.items():
        for where, payload in (("alone", bad), ("behind", b"abcdefghij" + bad), ("before", bad + b"abcdefghij")):
            if where == "before" and name.startswith("short"):
                payload = bad + b"\x41"
            yield Case(f"utf8/{name}-{where}", "8.1", [frame(payload)], end=(1007,))
        for at in range(len(bad) + 1):
            yield Case(f"utf8/{name}-fragment-at-{at}", "8.1", fragments(bad, [at]), end=(1007,))
        yield Case(f"utf8/{name}-bytewise", "8.1", bytewise(frame("é".encode() + bad)), end=(1007,))
        yield echo(f"utf8/{name}-binary", "5.6", bad, BINARY)
        yield Case(f"utf8/{name}-in-a-close", "8.1", [close(1000, bad)], end=(1007,))
        yield Case(f"utf8/{name}-in-a-ping", "5.5.2", [frame(bad, PING)], [(PONG, bad)])
    long = ("水" * 20000).encode()
    yield echo("utf8/60000-bytes", "8.1", long)
    for at in (16383, 16384, 16385, 16386):
        yield echo(f"utf8/60000-bytes-write-at-{at}", "8.1", long, send=[frame(long)[:at], frame(long)[at:]])
    yield Case("utf8/60000-bytes-and-a-bad-last-one", "8.1", [frame(long + b"\x80")], end=(1007,))
    yield Case("utf8/good-message-before-a-bad-one", "8.1", [frame("é") + frame(b"\xe9") + frame("é")],
               [(TEXT, "é".encode())], (1007,))


# --- 5.5.1, 7: closing ----------------------------------------------------------------------------------------------------------


def closing():
    yield from _codes()
    yield from _reasons()
    yield from _after_a_close()
    yield from _server_closes()
    yield from _without_a_close()


def _codes():
    yield Case("close/no-code", "5.5.1", [close()], end=(None,))
    for byte in (0x00, 0x03, 0xff):
        yield Case(f"close/one-byte-{byte:02x}", "5.5.1", [frame(bytes([byte]), CLOSE)], end=(1002,))
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3001, 3999, 4000, 4001, 4999):
        for reason in ("", "bye"):
            yield Case(f"close/{code}{'-with-a-reason' * bool(reason)}", "7.4", [close(code, reason)], end=(code,))
    for code in (0, 1, 255, 999, 1004, 1005, 1006, 1015, 1016, 1017, 1100, 1999, 2000, 2999, 5000, 9999, 32768, 65535):
        yield Case(f"close/{code}", "7.4", [close(code)], end=(1002,))
        yield Case(f"close/{code}-with-a-reason", "7.4", [close(code, "bye")], end=(1002,))


def _reasons():
    for size in (1, 2, 7, 8, 121, 122, 123):
        yield Case(f"close/reason-{size}", "5.5.1", [close(1000, body(size))], end=(1000,))
    for size in (124, 125, 1000):
        yield Case(f"close/reason-{size}", "5.5", [close(1000, body(size))], end=(1002,))
    for number, text in enumerate(VALID[1:]):
        if len(text.encode()) <= 123:
            yield Case(f"close/reason-text-{number}", "5.5.1", [close(1000, text)], end=(1000,))


def _after_a_close():
    for name, data in {"text": frame(b"late"), "ping": frame(b"late", PING), "close": close(1001), "binary": frame(body(60000), BINARY),
                       "rubbish": b"\xff" * 50, "unmasked": frame(b"x", mask=None), "half-a-frame": b"\x81"}.items():
        yield Case(f"close/then-{name}", "5.5.1", [close(1000) + data], end=(1000,))
        yield Case(f"close/then-{name}-in-another-write", "5.5.1", [close(1000), data], end=(1000,))
    yield Case("close/inside-a-fragmented-message", "5.4", [frame(b"a", fin=False), close(1000)], end=(1000,))
    yield Case("close/inside-a-message-of-bad-text", "5.4", [frame(b"\xff", fin=False), close(1000)], end=(1000,))
    yield Case("close/behind-a-message", "7.1.2", [frame(b"last") + close(1000)], [(TEXT, b"last")], (1000,))
    yield Case("close/behind-a-ping", "7.1.2", [frame(b"last", PING) + close(1000)], [(PONG, b"last")], (1000,))
    yield Case("close/behind-hundred-messages", "7.1.2", [b"".join(frame(b"%d" % i) for i in range(100)) + close(3333)],
               [(TEXT, b"%d" % i) for i in range(100)], (3333,))
    yield Case("close/right-behind-the-head", "7.1.2", [], behind=close(1000), end=(1000,))
    for name, data in {"rsv": frame(b"", rsv=4), "utf8": frame(b"\xff"), "large": frame(b"", BINARY, length=MAX + 1)}.items():
        code = {"rsv": 1002, "utf8": 1007, "large": 1009}[name]
        yield Case(f"fail/{name}-then-100-KB", "7.1.7", [data + frame(body(50000)) * 2], end=(code,))
        yield Case(f"fail/{name}-then-a-close", "7.1.7", [data, close(1000)], end=(code,))
        yield Case(f"fail/{name}-answered", "7.1.7", [data], end=(code,), finish=close(code))


def _server_closes():
    for code in (1000, 1001, 1008, 1011, 1012, 1013, 4000):
        yield Case(f"server-closes/{code}-answered", "7.1.2", [frame(f"{code} bye")], path="/close", end=(code,),
                   finish=close(code))
    yield Case("server-closes/answered-with-another-code", "7.1.5", [frame("1001 bye")], path="/close", end=(1001,),
               finish=close(1000))
    yield Case("server-closes/answered-without-a-code", "7.1.5", [frame("1001 bye")], path="/close", end=(1001,), finish=close())
    yield Case("server-closes/answered-with-a-bad-code", "7.4", [frame("1001 bye")], path="/close", end=(1001,), finish=close(1005))
    yield Case("server-closes/answered-with-a-breach", "7.1.7", [frame("1001 bye")], path="/close", end=(1001,),
               finish=frame(b"", 3))
    yield Case("server-closes/messages-before-the-answer", "1.4", [frame("1001 bye")], path="/close", end=(1001,),
               finish=frame(b"late") * 50 + frame(b"late", PING) + close(1001))
    yield Case("server-closes/both-at-once", "7.1.2", [frame("1001 bye") + close(1000)], path="/close", end=(1001,))
    yield Case("server-closes/inside-a-fragmented-message", "5.4", fragments(b"1001 bye", [4]) + [frame(b"x", fin=False)],
               path="/close", end=(1001,), finish=close(1001))
    yield Case("server-closes/never-answered", "7.1.1", [frame("1001 bye")], path="/close", end=(1001,))


def _without_a_close():
    for how in (None, "reset"):
        name = "reset" if how else "end-of-stream"
        for what, send in {"at-once": [], "in-a-header": [b"\x81"], "in-a-mask": [frame(b"abc")[:4]],
                           "in-a-payload": [frame(b"abcdef")[:9]], "in-a-ping": [frame(b"abc", PING)[:8]],
                           "in-a-fragmented-message": [frame(b"abc", fin=False)]}.items():
            yield Case(f"gone/{name}-{what}", "7.1.1", send, end=GONE, finish=how)


# --- 10.4: limits ----------------------------------------------------------------------------------------------------------------


def limits():
    for kind, opcode in (("text", TEXT), ("binary", BINARY)):
        yield echo(f"limit/{kind}-exactly", "10.4", body(MAX), opcode)
        yield Case(f"limit/{kind}-one-above", "10.4", [frame(body(MAX + 1), opcode)], end=(1009,))
        for count in (2, 3, 16, 64):
            size = MAX // count
            yield echo(f"limit/{kind}-exactly-in-{count}", "10.4", body(MAX), opcode,
                       fragments(body(MAX), [size] * (count - 1), opcode))
            yield Case(f"limit/{kind}-one-above-in-{count}", "10.4", fragments(body(MAX + 1), [size] * (count - 1), opcode),
                       end=(1009,))
        yield Case(f"limit/{kind}-exactly-and-an-empty-fragment", "10.4", [frame(body(MAX), opcode, fin=False), frame(b"", CONT)],
                   [(opcode, body(MAX))])
        yield Case(f"limit/{kind}-exactly-and-never-ended", "10.4", [frame(body(MAX), opcode, fin=False), frame(b"x", CONT, fin=False)],
                   end=(1009,))
    for length in (MAX + 1, 1 << 20, 1 << 31, 1 << 32, (1 << 62) + 1, (1 << 63) - 1):
        yield Case(f"limit/announced-{length}", "10.4", [frame(b"", BINARY, length=length, form=64)], end=(1009,))
        yield Case(f"limit/announced-{length}-in-a-continuation", "10.4",
                   [frame(b"a", fin=False), frame(b"", CONT, length=length, form=64)], end=(1009,))
    yield Case("limit/hundred-at-the-limit", "10.4", [frame(body(MAX), BINARY)] * 100, [(BINARY, body(MAX))] * 100)
    yield Case("limit/5000-tiny-ones", "10.4", [frame(b"") * 5000], [(TEXT, b"")] * 5000)


# --- 9, 11.3.4: extensions and subprotocols --------------------------------------------------------------------------------------


def offers():
    extensions = ["permessage-deflate", "permessage-deflate; client_max_window_bits", "permessage-deflate; server_max_window_bits=10",
                  "permessage-deflate; client_no_context_takeover; server_no_context_takeover", "x-webkit-deflate-frame",
                  "permessage-bzip2, permessage-deflate", "unknown; a=1; b=\"2\"", "mux; max-channels=4; flow-control"]
    for number, offer in enumerate(extensions):
        header = [f"Sec-WebSocket-Extensions: {offer}"]
        yield Case(f"extension/{number}-refused", "9.1", [frame(b"plain")], [(TEXT, b"plain")], headers=header)
        for rsv in (1, 2, 4):
            yield Case(f"extension/{number}-then-rsv-{rsv}", "9.2", [frame(b"\xf2H\xcd\xc9\xc9\x07\0", rsv=rsv)], end=(1002,),
                       headers=header)
    for number, offer in enumerate(("chat", "chat, superchat", "x-bearer, abc", "a, b, c, d, e, f, g, h")):
        yield Case(f"subprotocol/{number}-none-chosen", "4.2.2", [frame(b"x")], [(TEXT, b"x")],
                   headers=[f"Sec-WebSocket-Protocol: {offer}"])
    for number, headers in enumerate((["Sec-WebSocket-Protocol: bearer, abc.def"],
                                      ["Sec-WebSocket-Protocol: bearer", "Sec-WebSocket-Protocol: abc.def"])):
        yield Case(f"subprotocol/bearer-{number}", "4.2.2", [frame(b"x")], [(TEXT, b"x")], headers=headers,
                   answer={"sec-websocket-protocol": "bearer"})


def cases():
    for part in (control, utf8, closing, limits, offers):
        yield from part()
