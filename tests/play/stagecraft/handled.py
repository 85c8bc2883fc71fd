"""handled.py: judges what became of connections by the handlers' own log (../python/scripted_handler.py): on_connect and on_disconnect ran
exactly once each, in one process at a time, and no message was given to a handler twice.

What is promised, and what is not (HANDLER.md):
- on_connect once ("connect" in the log), on_disconnect once ("disconnect") when the connection has ended.
- A process that dies *in the very call* takes the call with it: "open" or "closed" is its last word of the connection, because the line of the
  call itself is written behind TAKEN. Then the call may have run nowhere.
- A connection whose OPEN nobody took when it ended has neither.
- If worker and handler die together, nobody is left who knows: the play names such connections (`excused`); of them only "twice" is a mistake.

Pure: the log's lines in, complaints out. selftest spoils logs for it.
"""
from collections import defaultdict


class Life:
    """What happened to one connection, in order."""

    def __init__(self, who):
        self.who, self.lines, self.complaints = who, [], []
        self.pid = self.link = None  # who has it now
        self.calls = {"connect": 0, "disconnect": 0}
        self.lost = {"connect": 0, "disconnect": 0}  # calls that somebody died in
        self.was_taken = self.ended = False
        self.begun = None  # "open" or "closed", until the call is noted
        self.numbers = []

    def complain(self, text):
        self.complaints.append(f"{self.who}: {text}; {' '.join(self.lines[-12:])}")

    def take(self, event, dead):
        what, place = event["what"], (event["pid"], event["link"])
        self.lines.append(f"{event['pid']}/{event['link']}:{what}" + (f"#{event['n']}" if event.get("n") is not None else "")
                          + ("(resumed)" if event.get("resumed") else ""))
        if what == "open":
            self.opens(event, place, dead)
        elif place != (self.pid, self.link):
            self.complain(f"{what} at {place}, and it belongs to {(self.pid, self.link)}")
        elif what == "closed":
            self.begun = "closed"
        elif what == "message":
            self.hears(event)
        elif what in ("connect", "resume"):
            self.begun, self.was_taken = None, True
            self.calls["connect"] += what == "connect"
        elif what == "disconnect":
            self.begun, self.ended = None, True
            self.calls["disconnect"] += 1

    def opens(self, event, place, dead):
        if self.ended:
            self.complain("opened after its end")
        if self.pid is not None and self.pid not in dead:
            self.complain(f"opened at {place[0]}, and {self.pid} lives")
        self.died()
        self.pid, self.link = place
        if event["resumed"] and not self.was_taken and not self.lost["connect"]:
            self.complain("resumed, and nobody had taken it")
        if not event["resumed"] and self.was_taken:
            self.complain("opened as new again")
        self.begun = "resumed" if event["resumed"] else "open"

    def died(self):
        """The process that had it is dead: a call that it had begun may have been lost."""
        if self.begun == "open":
            self.lost["connect"] += 1
        elif self.begun == "closed":
            self.lost["disconnect"] += 1
        self.begun = None

    def hears(self, event):
        if not self.was_taken and self.begun is None:
            self.complain("a message before on_connect")
        if event.get("n") is None:
            return
        if event["n"] in self.numbers:
            self.complain(f"message {event['n']} was given twice")
        elif self.numbers and event["n"] < self.numbers[-1]:
            self.complain(f"message {event['n']} after {self.numbers[-1]}")
        self.numbers.append(event["n"])

    def judge(self, is_open, excused, dead):
        is_lost = self.pid in dead
        if is_lost and self.begun == "closed":
            self.lost["disconnect"] += 1
        if is_lost and is_open:
            self.complain(f"it is open, and with {self.pid}, which is dead")
        for call, most in (("connect", 1), ("disconnect", 0 if is_open else 1)):
            if self.calls[call] > most:
                self.complain(f"on_{call} ran {self.calls[call]} times")
        if excused:
            return
        taken = self.was_taken or self.lost["connect"]  # an OPEN that was the last word of the dead had not been taken, or somebody else had it
        if self.was_taken and not self.calls["connect"] and not self.lost["connect"]:
            self.complain("on_connect never ran")
        if is_open and not taken and not is_lost:
            self.complain("it is open, and on_connect never ran")
        if not is_open and taken and not self.calls["disconnect"] and not self.lost["disconnect"]:
            self.complain("on_disconnect never ran")


def lives(events, dead):
    """{who: Life}"""
    found = defaultdict(lambda: None)
    for event in events:
        if "who" in event:
            found[event["who"]] = found[event["who"]] or Life(event["who"])
            found[event["who"]].take(event, dead)
    return found


def complaints(events, dead=(), still_open=(), answered=(), excused=()):
    """`dead`: pids that were killed. `still_open`: connections that have not ended. `answered`: those that were told an answer of a handler's, whose
    on_connect must have run."""
    found = lives(events, set(dead))
    told = []
    for who, life in found.items():
        life.judge(who in still_open, who in excused, set(dead))
        told += life.complaints
    return told + [f"{who}: never seen by a handler, and it was answered" for who in answered if found.get(who) is None]


def assert_once(handler, still_open=(), **more):
    """Of all that a handler's processes ever had."""
    told = complaints(handler.events(), handler.deaths, still_open, **more)
    assert not told, f"{len(told)} complaints of {handler.name}:\n    " + "\n    ".join(told[:8])
