"""owed.py: what somebody was owed over all his connections, and what he heard: nothing lost, nothing twice, nothing out of its order.

Those who resume (`since`) are owed everything from when they first came. Those who cannot are owed, on one connection, whatever lies between the
first and the last that they heard. A command that was asked for once more under its own name is carried out once.

Pure: plain data in, complaints out; selftest spoils stories for it.
"""
from collections import Counter


def resumed(name, heard, everything):
    """`heard`: [(number, text)] over all connections, in order. `everything`: {number: text} of what there was for this client since it first came."""
    told, numbers = [], [number for number, _ in heard]
    twice = [number for number, count in Counter(numbers).items() if count > 1]
    if twice:
        told.append(f"{name} heard twice: {[everything.get(n, n) for n in twice[:3]]}")
    fallen = [(a, b) for a, b in zip(numbers, numbers[1:]) if b < a]
    if fallen:
        told.append(f"{name} heard {fallen[0][1]} behind {fallen[0][0]}")
    others = [(number, text) for number, text in heard if everything.get(number) != text]
    if others:
        told.append(f"{name} heard what nobody else did, or otherwise: {others[0]}; there was {everything.get(others[0][0])}")
    missed = sorted(everything.keys() - set(numbers))
    if missed:
        told.append(f"{name} missed {len(missed)} of {len(everything)}, the first: {everything[missed[0]]}")
    return told


def published(frames, heard):
    """Those of `frames`, {number: frame}, that are everybody's. A request that is asked again, over another connection, when it has had its result is
    answered to its asker alone: such a frame says what one before it said, and none of those whose numbers `heard` are has it."""
    first = {}
    for number in sorted(frames):
        first.setdefault((frames[number].get("type"), frames[number].get("request_id", number)), number)
    return {number: frame for number, frame in frames.items() if number in heard or number in first.values()}


def on_one_connection(name, heard, said, anybody):
    """`heard`: the numbers of one sender's messages, in order. `said`: for each connection of the sender the numbers that he said there. They keep their
    order, and only the end of each may be lost, and then to everybody. What was said on two connections has no order: a broker that dies
    may get the end of the one, from a worker that is leaving, behind the beginning of the other. `anybody`: the set of those that anybody heard."""
    told, there = [], set(heard)
    if len(there) != len(heard) or any(sorted(part) != part for part in ([n for n in heard if n in set(numbers)] for numbers in said)):
        told.append(f"{name}: twice, or out of order: {heard[:20]}")
    reached = [k for k, numbers in enumerate(said) if there & set(numbers)]
    holes = []
    for k, numbers in enumerate(said):
        through = [n for n in numbers if n in there]
        holes += [n for n in numbers if n not in there and through and through[0] < n < through[-1]]
        if reached and reached[0] <= k < reached[-1] - 1:  # he was there all the while
            holes += [n for n in numbers if n in anybody - there and (k > reached[0] or n > through[0])]
    if holes:
        told.append(f"{name}: heard {heard[0]} to {heard[-1]} without {sorted(set(holes))[:8]}")
    return told


NOT_WRITTEN = {"TIMEOUT", "BUSY", "INTERLOCK", "CONNECTION_ERROR", "INVALID_COMMAND", "MACHINE_NOT_FOUND"}


def carried_out(machine, asked, written, frames):
    """`asked`: [(request id, target, answer)], one after the other: "done", a code, or None where nobody could tell it any more. `written`: the moves
    that the PLC was sent. `frames`: what all clients heard, each address once."""
    told = []
    possible = [target for _, target, answer in asked if answer not in NOT_WRITTEN]
    certain = [target for _, target, answer in asked if answer == "done"]
    if not is_subsequence(written, possible):
        told.append(f"{machine} was sent {written}; asked for and not refused: {possible}")
    if not is_subsequence(certain, written):
        told.append(f"{machine}: told done {certain}, sent {written}")
    for kind in ("command_result", "command_completed"):
        ids = Counter(f["request_id"] for f in frames if f.type == kind and f["machine_id"] == machine and "request_id" in f)
        told += [f"{machine}: {kind} of {id} was published {count} times" for id, count in ids.items() if count > 1]
    return told


def is_subsequence(short, long):
    rest = iter(long)
    return all(item in rest for item in short)
