"""story.py: what happened in a run, put in order for the checker: what clients asked and heard and who was down when (the record),
and what the PLCs were sent and said (plc-sim's log). Nothing is judged here."""
import bisect
import functools
from collections import defaultdict

from stagecraft.truth import TruthLog, timed_requests

from record import since

MS = 1_000_000


class Ask:
    def __init__(self, event):
        self.at, self.conn, self.command = event["at"], event["conn"], event["command"]
        self.argument, self.deadline_ms = event.get("argument"), event["deadline_ms"]
        self.answer = None  # the event


class Request:
    """One scope, machine and request_id; however often and from wherever it was asked."""

    def __init__(self, key, ask):
        self.scope, self.machine, self.request_id = key
        self.command, self.argument = ask.command, ask.argument
        self.asks, self.writes, self.notes = [], [], []

    def __str__(self):
        return f"{self.machine} {self.request_id} ({self.command} {self.argument})"

    @property
    def bytes(self):
        return bytes([self.command] if self.argument is None else [self.command, self.argument])

    @property
    def asked_at(self):
        return self.asks[0].at

    def codes(self):
        return {ask.answer["code"] for ask in self.asks if ask.answer}


class Conn:
    def __init__(self, event):
        self.name, self.worker, self.opened = event["conn"], event.get("worker"), event["at"]
        self.closed = None
        self.asks, self.answers, self.completions = defaultdict(list), defaultdict(list), defaultdict(list)


class Story:
    """What the record says, put in order."""

    def __init__(self, events):
        self.conns, self.requests, self.downs = {}, {}, []
        self.stalls, self.ended, self.struck_at = [], False, float("inf")
        self._open_downs, self._by_conn = {}, {}
        self.cuts = defaultdict(list)
        self.observed = {"answer": defaultdict(list), "completion": defaultdict(list)}
        for event in events:
            if event["what"] == "struck":
                self.struck_at = event["at"]
                break
            getattr(self, "_" + event["what"], lambda event: None)(event)
        last = events[-1]["at"] if events else 0
        self.downs += [(begin, last, victim) for victim, begin in self._open_downs.items()]
        self.downs = [(since(begin, self.stalls), end, victim) for begin, end, victim in self.downs]
        for conn in self.conns.values():
            conn.pair = [self._pair(conn, key) for key in conn.asks]

    def _open(self, event):
        self.conns[event["conn"]] = Conn(event)

    def _ask(self, event):
        ask = Ask(event)
        key = (event["scope"], event["machine"], event["request_id"])
        request = self.requests.setdefault(key, Request(key, ask))
        request.asks.append(ask)
        place = (event["machine"], event["request_id"])
        self.conns[event["conn"]].asks[place].append(ask)
        self._by_conn[(event["conn"], *place)] = request

    def _heard(self, event):
        place = (event["machine"], event["request_id"])
        if event["conn"] == "observer":
            self.observed[event["kind"]][place].append(event)
            return
        conn = self.conns[event["conn"]]
        (conn.answers if event["kind"] == "answer" else conn.completions)[place].append(event)

    def _closed(self, event):
        self.conns[event["conn"]].closed = event

    def _down(self, event):
        self._open_downs.setdefault(event["victim"], event["at"])

    def _up(self, event):
        begin = self._open_downs.pop(event["victim"], None)
        if begin is not None:
            self.downs.append((begin, event["at"], event["victim"]))

    def _cut(self, event):
        self.cuts[event["victim"][2:]].append(event["at"])

    def _stall(self, event):
        self.stalls.append((event["at"] - event["ns"], event["at"]))

    def _end(self, event):
        self.ended = True

    def _pair(self, conn, place):
        for ask, answer in zip(conn.asks[place], conn.answers[place]):
            ask.answer = answer

    def request(self, conn, place):
        return self._by_conn.get((conn.name, *place))

    def was_down(self, begin, end, machine):
        """Anything that a command of this machine passes, within the time."""
        return any(a <= end and b >= begin and (v[0] in "bw" or v == f"a.{machine}") for a, b, v in self.downs)

    def forgotten(self, machine, at):
        """A power cut took what the agent's disk had not confirmed by then: refusals, readings, and who repeated a request."""
        return any(cut >= at for cut in self.cuts[machine])

    def unread_ns(self, ask, end):
        """How long the worker (or the host) stood still meanwhile: it cannot know how long an ask has waited in its socket. In any
        other process's queue a command grows older."""
        worker = self.conns[ask.conn].worker
        still = [(a, b) for a, b, victim in self.downs if victim == worker] + self.stalls
        return sum(max(0, min(b, end) - max(a, ask.at)) for a, b in still)


class Bytes:
    """What the simulated PLCs were sent and said."""

    def __init__(self, path):
        self.lines = defaultdict(list)
        for line in TruthLog(path).lines():
            self.lines[line.machine].append(line)
        self.writes = {m: [(t, r) for t, r in timed_requests(lines) if r[0] != 0] for m, lines in self.lines.items()}
        self.replies = {m: self._replies(lines) for m, lines in self.lines.items()}

    @functools.cached_property
    def said_at(self):
        """{machine: {(raw, position): numbers of the replies that said so, rising}}"""
        found = {}
        for machine, replies in self.replies.items():
            words = found.setdefault(machine, defaultdict(list))
            for number, (_, raw, position) in enumerate(replies):
                words[raw, position].append(number)
        return found

    @staticmethod
    def _replies(lines):
        """[(ns, raw, position)]"""
        found, half = [], {}
        for line in lines:
            if line.what == "tx":
                data = half.pop(line.conn, b"") + bytes.fromhex(line.value)
                while len(data) >= 2:
                    found.append((line.at_ns, data[0], data[1]))
                    data = data[2:]
                if data:
                    half[line.conn] = data
        return found

    def said(self, machine, begin, end, test):
        """True if the machine said something between the two times (and at the last word before) that fits."""
        replies = self.replies.get(machine, [])
        first = max(0, bisect.bisect_left(replies, (begin,)) - 1)
        for at, raw, position in replies[first:]:
            if at > end:
                return False
            if test(raw, position):
                return True
        return False
