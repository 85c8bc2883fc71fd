"""owed_stories.py: what clients who come back heard, in order and spoilt, for ../selftest: owed.py must notice each; and closings that comers.py must not explain."""
from . import owed
from .comers import Weather
from .frames import Frame

EVERYTHING = {n: f"frame {n}" for n in (3, 5, 8, 9)}
WHOLE = [(n, EVERYTHING[n]) for n in (3, 5, 8, 9)]
RESUMED = {  # what is wrong: (a word of the complaint; "": nothing), heard
    "what there was": ("", WHOLE),
    "one is missing": ("missed 1", WHOLE[:1] + WHOLE[2:]),
    "the first is missing": ("missed 1", WHOLE[1:]),
    "the last is missing": ("missed 1", WHOLE[:-1]),
    "nothing was heard": ("missed 4", []),
    "one twice": ("twice", WHOLE + WHOLE[-1:]),
    "one behind a later one": ("behind", [WHOLE[1], WHOLE[0], *WHOLE[2:]]),
    "other words than others heard": ("otherwise", WHOLE[:3] + [(9, "frame 99")]),
    "what nobody else heard": ("otherwise", WHOLE + [(11, "frame 11")]),
}
STREAMS = {  # heard on one connection; said by the sender on each of his; heard by anybody
    "what there was": ("", [2, 3, 5], [[1, 2, 3], [5, 6]], {1, 2, 3, 5, 6}),
    "the end of a connection lost, to everybody": ("", [2, 5], [[1, 2, 3], [5, 6]], {1, 2, 5}),
    "came late, went early": ("", [2], [[1, 2, 3]], {1, 2, 3}),
    "a hole that nobody heard": ("without [2]", [1, 3], [[1, 2, 3]], {1, 3}),
    "the end of a connection came late, when he had gone": ("", [2, 5], [[1, 2, 3], [5, 6]], {1, 2, 3, 5}),
    "the end of a connection lost, but others heard it": ("without [3]", [2, 5, 8], [[1, 2, 3], [5, 6], [8, 9]], {1, 2, 3, 5, 8}),
    "a connection lost in the middle": ("without [5, 6]", [2, 3, 8, 10], [[1, 2, 3], [5, 6], [8, 9], [10]], {1, 2, 3, 5, 6, 8, 10}),
    "two connections of one sender crossed": ("", [1, 4, 2, 5], [[1, 2], [4, 5]], {1, 2, 4, 5}),
    "twice": ("twice", [1, 2, 2], [[1, 2]], {1, 2}),
    "out of order": ("out of order", [2, 1], [[1, 2]], {1, 2}),
}
ASKED = [("a", 5, "done"), ("b", 10, "BUSY"), ("c", 15, None), ("d", 20, "done")]
COMMANDS = {  # written; ids of the command_results that were published
    "what there was": ("", [5, 15, 20], ["a", "c", "d"]),
    "nobody knows": ("", [5, 20], ["a", "d"]),
    "written twice": ("was sent", [5, 5, 20], ["a", "d"]),
    "refused and written": ("was sent", [5, 10, 20], ["a", "d"]),
    "done and never written": ("told done", [5], ["a"]),
    "a result twice": ("published 2 times", [5, 20], ["a", "a", "d"]),
}
RESULT, OTHER = ({"type": "command_result", "request_id": id} for id in "ab")
ALARM = {"type": "alarm"}
PUBLISHED = {  # frames by number; numbers that those heard who had not asked; numbers that are everybody's
    "each once": ({1: RESULT, 2: OTHER, 3: ALARM, 4: ALARM}, {1, 2, 3, 4}, [1, 2, 3, 4]),
    "asked again, and answered alone": ({1: RESULT, 2: OTHER, 5: RESULT}, {1, 2}, [1, 2]),
    "said to all again": ({1: RESULT, 5: RESULT}, {1, 5}, [1, 5]),
    "heard by its asker alone": ({1: RESULT, 2: OTHER}, {2}, [1, 2]),
}
CLOSINGS = {  # what was done while the connection was there; its code; whether that explains it
    "1012 in a drain": (lambda w: w.drain_begins(), 1012, "restart", True),
    "1012 without a reason": (lambda w: w.drain_begins(), 1012, "", False),
    "1012 without a drain": (lambda w: w.killing("worker.0"), 1012, "restart", False),
    "1006 after a kill": (lambda w: w.killing("worker.0"), 1006, "", True),
    "1006 in a drain": (lambda w: w.drain_begins(), 1006, "", False),
    "1006 when the broker died": (lambda w: w.killing("broker"), 1006, "", False),
    "1013": (lambda w: w.drain_begins(), 1013, "slow", False),
    "1001 in a drain": (lambda w: w.drain_begins(), 1001, "", False),
}


def told(complaints, word):
    return any(word in c for c in complaints) if word else not complaints


def commands(word, written, results):
    frames = [Frame('{"type":"command_result","machine_id":"m1","request_id":"%s"}' % id) for id in results]
    return told(owed.carried_out("m1", ASKED, written, frames), word)


def closing(deed, code, reason, explained):
    weather = Weather()
    weather.drain_begins()
    weather.drain_ends()  # one that was over before
    weather.killing("worker.1")
    since = weather.mark()
    deed(weather)
    return weather.explains(code, reason, since) is explained


CASES = [(f"resumed: {name}", lambda c=case: told(owed.resumed("c", c[1], EVERYTHING), c[0])) for name, case in RESUMED.items()]
CASES += [(f"one connection: {name}", lambda c=case: told(owed.on_one_connection("c", *c[1:]), c[0])) for name, case in STREAMS.items()]
CASES += [(f"commands: {name}", lambda c=case: commands(*c)) for name, case in COMMANDS.items()]
CASES += [(f"everybody's: {name}", lambda c=case: list(owed.published(c[0], c[1])) == c[2]) for name, case in PUBLISHED.items()]
CASES += [(f"closed: {name}", lambda c=case: closing(*c)) for name, case in CLOSINGS.items()]
