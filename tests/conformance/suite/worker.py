"""worker.py: a selection of the suite for a real worker and its carousel dialect. What only the echo server can show (its
answer is the message) is left out; messages are the dialect's ping here, whole and in every fragmentation."""
import itertools
import json

from .case import Case
from .codec import BINARY, CONT, PING, PONG, TEXT, bytewise, fragments, frame
from . import framing, meaning

ASK = b'{"type":"ping"}'


def answer(kind, **members):
    def look(payload):
        said = json.loads(payload)
        return said["type"] == kind and all(said.get(name) == value for name, value in members.items())
    return look


PONGED = (TEXT, answer("pong"))
REFUSED = (TEXT, answer("error", code="INVALID_MESSAGE_FORMAT"))


def selected(case):
    """Cases whose outcome does not depend on what a message says."""
    told = {opcode for opcode, _ in case.expect}
    return told <= {PONG} and case.path == "/" and not case.name.startswith(("limit/", "fail/")) and not case.answer


def messages():
    for sizes in [[at] for at in range(1, len(ASK))] + [[0], [0, 0], [1] * 14, [5, 5], [0, 7, 0]]:
        yield Case(f"carousel/fragments-{'-'.join(map(str, sizes))}", "5.4", fragments(ASK, sizes), [PONGED])
    for at in range(1, len(ASK) + 6):
        whole = frame(ASK)
        yield Case(f"carousel/write-at-{at}", "5.1", [whole[:at], whole[at:]], [PONGED])
    yield Case("carousel/byte-by-byte", "5.1", bytewise(frame(ASK)), [PONGED])
    yield Case("carousel/right-behind-the-head", "4.2.2", [], [PONGED], behind=frame(ASK))
    yield Case("carousel/hundred-in-one-write", "5.1", [frame(ASK) * 100], [PONGED] * 100)
    yield Case("carousel/ping-between-fragments", "5.4", [frame(ASK[:4], fin=False), frame(b"p", PING), frame(ASK[4:], CONT)],
               [(PONG, b"p"), PONGED])
    for name, text in {"empty": b"", "no-json": b"{", "scalar": b"1", "nul": b"\0", "deep": b"[" * 3000}.items():
        yield Case(f"carousel/{name}", "5.6", [frame(text), frame(ASK)], [REFUSED, PONGED])
    yield Case("carousel/binary-is-read-as-text", "5.6", [frame(ASK, BINARY), frame(b"\xff", BINARY)], [PONGED, REFUSED])
    yield Case("carousel/at-the-limit", "10.4", [frame(ASK + b" " * (framing.MAX - len(ASK))), frame(ASK)], [PONGED, PONGED])
    yield Case("carousel/above-the-limit", "10.4", [frame(ASK + b" " * framing.MAX)], end=(1009,))
    yield Case("carousel/above-the-limit-in-fragments", "10.4", fragments(ASK + b" " * framing.MAX, [16000] * 4), end=(1009,))


def cases():
    for case in itertools.chain(framing.cases(), meaning.cases()):
        if selected(case):
            yield case
    yield from messages()


def expected_counts(cases_run):
    """How the counters of ws must move, beside opened and closed."""
    counts = {"protocol_errors": 0, "bad_utf8": 0, "too_large": 0}
    names = {(1002,): "protocol_errors", (1007,): "bad_utf8", (1009,): "too_large"}
    for case in cases_run:
        if case.end in names and not case.name.startswith(f"close/{case.end[0]}"):
            counts[names[case.end]] += 1
    return counts
