"""replied.py: what a simulated PLC truly replied, out of its log of every byte; and clients and commands held against it.

A reply counts if it was the whole and only answer to its request: two bytes, no third with them, on a connection that its
client did not reset instead of going on. Whatever else a client is shown is a wrong value: half of a reply, garbage, a
reply that came after the agent had given up. (Two bytes of garbage are a reply: nobody could tell.)
"""
import bisect
import time
from collections import defaultdict
from dataclasses import dataclass, field

REFUSED = {"TIMEOUT", "BUSY", "INTERLOCK", "CONNECTION_ERROR", "INVALID_COMMAND", "INTERNAL_ERROR", "RATE_LIMITED"}
UNKNOWN = "OUTCOME_UNKNOWN"


@dataclass
class Exchange:
    """A request, and what was sent before the next one on the same connection."""
    at_ns: int
    conn: int
    request: bytes
    sends: list = field(default_factory=list)
    ended: str = ""  # how the connection ended behind it, e.g. "reset by=client"; empty: it did not, or another request came

    @property
    def reply(self):
        """(raw_status, position), or None."""
        sizes, total = set(), 0
        for data in self.sends:
            total += len(data)
            sizes.add(total)
        whole = total == 2 and 2 in sizes
        return tuple(b"".join(self.sends)) if whole and self.ended != "reset by=client" else None


class Replied:
    """The log as it stands now, read once."""

    def __init__(self, truth):
        self._of = defaultdict(list)
        last = {}
        for line in truth.lines():
            before = last.get((line.machine, line.conn))
            if line.what == "rx":
                assert before is None or before.reply, (f"{line.machine} was sent {line.value} on connection {line.conn}, which "
                                                        f"owed {before.request.hex()} {before.sends}")
                last[line.machine, line.conn] = Exchange(line.at_ns, line.conn, bytes.fromhex(line.value))
                self._of[line.machine].append(last[line.machine, line.conn])
            elif line.what == "tx":
                assert before is not None, f"{line.machine} sent {line.value} unasked"
                before.sends.append(bytes.fromhex(line.value))
            elif line.what in ("close", "reset") and before is not None:
                before.ended = f"{line.what} {line.value}"

    def exchanges(self, machine):
        """In the order of the requests. Nobody sent into a running exchange, or behind a spoilt one: the log was refused."""
        return self._of[machine]

    def replies(self, machine):
        return [e.reply for e in self._of[machine] if e.reply]

    # --- values -------------------------------------------------------------------------------------------------------

    def only_true_values(self, machine, client):
        """What the client was shown of the machine was replied by it, in that order. Returns how many values it saw."""
        replies = self.replies(machine)
        at, last, count = 0, None, 0
        for frame, raw, position in shown(client.frames, machine):
            if (raw, position) == last:
                continue
            while at < len(replies) and replies[at] != (raw, position):
                at += 1
            assert at < len(replies), (f"{client.name} was shown {machine} at {position} with {raw}, which its PLC did not reply"
                                       f" (any more): {frame.text}; after {last}, replied: {sorted(set(replies))}")
            last, count = (raw, position), count + 1
        return count

    # --- moves --------------------------------------------------------------------------------------------------------

    def written_as_told(self, machine, moves):
        """The machine was sent the moves that were asked for, in that order, each at most once and not before it was asked
        for: success was written, what was refused was not, and what is unknown may have been. `moves`: one answered before the
        next was asked for. All ways to tell which write was whose are followed (a target may come twice)."""
        writes = [e for e in self._of[machine] if e.request[0] != 0]
        taken = {0}  # how many writes the moves so far may have taken
        for move in moves:
            assert move.answer in REFUSED | {"success", UNKNOWN}, f"{machine}: {move}"
            mine = {n + 1 for n in taken if n < len(writes) and writes[n].request == bytes([1, move.target])
                    and writes[n].at_ns >= move.at_ns}
            before = taken
            taken = mine if move.answer == "success" else taken if move.answer in REFUSED else taken | mine
            assert taken, f"{machine} was never sent {move}, or something else before: {around(moves, writes, before)}"
        assert len(writes) in taken, f"{machine} was sent what it should not: {around(moves, writes, taken)}"

    def told_for_a_reason(self, machine, moves, moving_bit):
        """A success is the reply to the move itself, or a later reading that shows RUN or the target; what is unknown is so
        because that reply was lost."""
        found = self._of[machine]
        times = [e.at_ns for e in found]
        places = [bisect.bisect_left(times, move.at_ns) for move in moves] + [len(found)]
        for move, begin, end in zip(moves, places, places[1:]):
            mine = found[begin:end]
            write = next((n for n, e in enumerate(mine) if e.request[0] != 0), None)
            if write is None:
                continue
            own, later = mine[write], [e.reply for e in mine[write + 1:] if e.reply]
            taken = [r for r in later if r[0] & moving_bit or r[1] == move.target]
            assert move.answer != "success" or own.reply or taken, f"{machine}: {move} without a reason: {own}, {later[:4]}"
            heard = own.reply and own.ended in ("", "close by=client")
            assert move.answer != UNKNOWN or not heard, f"{machine}: {move}, but there was a reply: {own}"


def around(moves, writes, taken):
    at = min(taken)
    return (f"asked at last {[(m.target, m.answer) for m in moves[-6:]]},\n  written {[w.request.hex() for w in writes[:at]][-4:]}, "
            f"then {[(w.request.hex(), w.sends, w.ended) for w in writes[at:at + 4]]}")


def shown(frames, machine):
    """What a client was shown of a machine, in order: (frame, raw_status, position)."""
    for frame in frames:
        if frame.type in ("status_broadcast", "all_machines_status") and machine in frame["status"]:
            state = frame["status"][machine]
        elif frame.type == "machine_status" and frame["machine_id"] == machine:
            state = frame
        else:
            continue
        if state["raw_status"] is not None:
            yield frame, state["raw_status"], state["position"]


@dataclass
class Asked:
    """A move that a client asked for, and its answer: "success", or the code of its error."""
    target: int
    request_id: str
    answer: str = ""
    at_ns: int = field(default_factory=time.monotonic_ns)


def take_answers(client, moves):
    """Notes each move's answer. It has exactly one; and exactly one completion if that is a success, else none."""
    answers, completions = defaultdict(list), defaultdict(list)
    for frame in client.frames:
        if frame.type in ("command_result", "error"):
            answers[frame.get("request_id")].append(frame)
        elif frame.type == "command_completed":
            completions[frame.get("request_id")].append(frame)
    for move in moves:
        mine, ends = answers[move.request_id], completions[move.request_id]
        assert len(mine) == 1, f"{move.request_id} has {len(mine)} answers: {[f.text for f in mine]}"
        move.answer = "success" if mine[0].get("success") else mine[0]["code"]
        assert len(ends) == (move.answer == "success"), f"{move.request_id} {move.answer}: {[f.text for f in ends]}"
