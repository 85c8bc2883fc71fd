"""truth.py: plc-sim's log of every byte that crossed its sockets (plc-agent/sim/sim_log.h), as requests.

What was written to a machine is counted here and nowhere else: not what the agent says it wrote, but what arrived.
"""
from dataclasses import dataclass
from pathlib import Path

from .wait import until


@dataclass
class Line:
    at_ns: int
    machine: str
    conn: int
    what: str
    value: str


class TruthLog:
    def __init__(self, path):
        self.path = Path(path)

    def lines(self, machine=None):
        if not self.path.exists():
            return []
        found = []
        for text in self.path.read_text().splitlines():
            line = _parse(text)
            if line is not None and machine in (None, line.machine):
                found.append(line)
        return found

    def requests(self, machine):
        """Every request that arrived, in order: b"\\x00" (status), b"\\x01\\x07" (move to 7), …"""
        return [request for _, request in self.timed_requests(machine)]

    def timed_requests(self, machine):
        """The same as [(ns, request)]; a request's time is that of its first byte."""
        return timed_requests(self.lines(machine))

    def commands(self, machine):
        """Every request that is no status poll."""
        return [r for r in self.requests(machine) if r[0] != 0]

    def moves(self, machine, position=None):
        """The moves written to the machine: [7, 3, …], or only those to one position."""
        moves = [r[1] for r in self.requests(machine) if r[0] == 1 and len(r) == 2]
        return moves if position is None else [p for p in moves if p == position]

    def polls(self, machine):
        return sum(1 for r in self.requests(machine) if r[0] == 0)

    def connects(self, machine):
        return sum(1 for line in self.lines(machine) if line.what == "connect")

    async def written(self, machine, request, count=1, within=5.0):
        """Waits until a request has arrived `count` times."""
        return await until(f"{machine}'s PLC to be sent {request.hex()} {count} times",
                           lambda: self.requests(machine).count(request) >= count, within)

    async def polled_again(self, machine, times=2, within=5.0):
        """Waits for so many further polls: a marker that the agent goes on."""
        before = self.polls(machine)
        return await until(f"{machine} to be polled {times} more times",
                           lambda: self.polls(machine) >= before + times, within)


def timed_requests(lines):
    waiting, found = {}, []
    for line in lines:
        if line.what == "rx":
            began = waiting.get(line.conn)
            requests = _requests(line, waiting)
            found += [(began if began and n == 0 else line.at_ns, request) for n, request in enumerate(requests)]
    return found


def _parse(text):
    words = text.split()
    if len(words) < 4 or not words[1].startswith("machine="):
        return None
    what, _, value = words[3].partition("=")
    return Line(int(words[0]), words[1][8:], int(words[2][5:]), what, value or " ".join(words[4:]))


def _requests(line, waiting):
    """Decodes one read as sim_codec.h says; a move's argument may come in a later read of the same connection."""
    found, data = [], bytes.fromhex(line.value)
    at = 0
    while at < len(data):
        if waiting.pop(line.conn, None):
            found.append(bytes([1, data[at]]))
            at += 1
        elif data[at] == 0:
            found.append(b"\x00")
            at += 1
        elif data[at] == 1 and at + 1 == len(data):
            waiting[line.conn] = line.at_ns
            at += 1
        else:
            found.append(data[at:at + 2])
            at += 2
    return found
