"""handled_stories.py: handlers' logs for handled.py's judgement, sound ones and each mistake that it must find; for selftest.

A line is "PID/LINK:what", with "#n" for a message's number and "r" for an OPEN that was resumed; all of connection "c".
"""
from .handled import complaints

LIVES = "1/1:open 1/1:connect 1/1:message#0 1/1:message#1"
ENDS = " 1/1:closed 1/1:disconnect"
MOVES = LIVES + " 2/1:openr 2/1:resume 2/1:message#2"  # 1 is dead

SOUND = {  # log, pids that died, is it still open, is it excused
    "a whole life": (LIVES + ENDS, [], False, False),
    "still open": (LIVES, [], True, False),
    "the worker's end": (LIVES + " 1/1:disconnect", [], False, False),
    "another process took over": (MOVES + " 2/1:closed 2/1:disconnect", [1], False, False),
    "taken over for its end alone": (LIVES + " 1/1:closed 2/1:openr 2/1:resume 2/1:closed 2/1:disconnect", [1], False, False),
    "died with an OPEN that it had not taken": ("1/1:open 2/1:open 2/1:connect", [1], True, False),
    "died in the very on_connect": ("1/1:open 2/1:openr 2/1:resume 2/1:closed 2/1:disconnect", [1], False, False),
    "died in the very on_disconnect": (LIVES + " 1/1:closed", [1], False, False),
    "never taken": ("1/1:open", [1], False, False),
    "died together with its worker": (LIVES, [1], False, True),
}
SPOILT = {  # and a word of the complaint
    "on_connect twice": ("1/1:open 1/1:connect 1/1:connect", [], True, False, "on_connect ran 2"),
    "on_connect at the next process, too": (LIVES + " 2/1:open 2/1:connect", [1], True, False, "opened as new again"),
    "on_connect never": ("1/1:openr 1/1:resume", [], True, False, "resumed, and nobody"),
    "on_connect not yet, though open": ("1/1:open", [], True, False, "on_connect never ran"),
    "open, and nobody took over": (LIVES, [1], True, False, "which is dead"),
    "on_disconnect twice": (LIVES + ENDS + " 1/1:disconnect", [], False, False, "on_disconnect ran 2"),
    "on_disconnect never": (LIVES, [], False, False, "on_disconnect never"),
    "on_disconnect forgotten by who took over": (MOVES, [1], False, False, "on_disconnect never"),
    "on_disconnect of one that is open": (LIVES + ENDS, [], True, False, "on_disconnect ran 1"),
    "on_disconnect at a link that lost it, and at the next": (LIVES + " 2/1:openr 2/1:resume 1/1:disconnect 2/1:closed 2/1:disconnect", [1],
                                                              False, False, "belongs to"),
    "on_disconnect twice, and excused": (LIVES + ENDS + " 1/1:disconnect", [1], False, True, "on_disconnect ran 2"),
    "opened elsewhere while it lives": (LIVES + " 2/1:openr 2/1:resume", [], True, False, "1 lives"),
    "opened after its end": (LIVES + ENDS + " 2/1:openr 2/1:resume", [1], False, False, "after its end"),
    "a message twice": (LIVES + " 1/1:message#1", [], True, False, "given twice"),
    "a message twice, at two processes": (LIVES + " 2/1:openr 2/1:resume 2/1:message#1", [1], True, False, "given twice"),
    "messages out of order": (LIVES + " 1/1:message#3 1/1:message#2", [], True, False, "message 2 after 3"),
    "a message at a process that lost it": (MOVES + " 1/1:message#3", [1], True, False, "belongs to"),
}


def events(log):
    for word in log.split():
        place, _, what = word.partition(":")
        pid, link = map(int, place.split("/"))
        what, _, n = what.partition("#")
        resumed = what == "openr"
        yield {"pid": pid, "link": link, "who": "c", "what": "open" if resumed else what, "n": int(n) if n else None, "resumed": resumed}


def told(log, dead, is_open, excused, word=None):
    """True if the judgement is right: nothing to complain of or, with `word`, a complaint that holds it."""
    found = complaints(list(events(log)), dead, ["c"] if is_open else [], excused=["c"] if excused else [])
    return any(word in complaint for complaint in found) if word else not found


def the_answered_are_known():
    """Who was answered by a handler has been seen by one."""
    return bool(complaints([], answered=["c"])) and not complaints(list(events(LIVES)), still_open=["c"], answered=["c"])
