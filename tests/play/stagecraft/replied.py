"""replied.py: what a simulated PLC truly replied, out of its log of every byte; and clients and commands held against it.

A reply counts if it was the whole and only answer to its request: two bytes, no third with them, on a connection that its
client did not reset instead of going on. Whatever else a client is shown is a wrong value: half of a reply, garbage, a
reply that came after the agent had given up. (Two bytes of garbage are a reply: nobody could tell.)
"""
import time
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
    ended: str = ""  # how the connection ended behind it, e.g. "reset client"; empty: it did not, or another request came

    @property
    def reply(self):
        """(raw_status, position), or None."""
        sizes, total = set(), 0
        for data in self.sends:
            total += len(data)
            sizes.add(total)
        whole = total == 2 and 2 in sizes
        return tuple(b"".join(self.sends)) if whole and self.ended != "reset client" else None


def exchanges(truth, machine):
    """In the order of the requests. Fails where somebody sent into a running exchange, or behind a spoilt one."""
    found, last = [], {}
    for line in truth.lines(machine):
        before = last.get(line.conn)
        if line.what == "rx":
            assert before is None or before.reply, \
                f"{machine} was sent {line.value} on connection {line.conn}, which owed {before.request.hex()} {before.sends}"
            last[line.conn] = Exchange(line.at_ns, line.conn, bytes.fromhex(line.value))
            found.append(last[line.conn])
        elif line.what == "tx":
            assert before is not None, f"{machine} sent {line.value} unasked"
            before.sends.append(bytes.fromhex(line.value))
        elif line.what in ("close", "reset") and before is not None:
            before.ended = f"{line.what} {line.value}"
    return found


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


def only_true_values(truth, machine, client):
    """What the client was shown of the machine was replied by it, in that order. Returns how many values it saw."""
    replies = [e.reply for e in exchanges(truth, machine) if e.reply]
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


@dataclass
class Asked:
    """A move that a client asked for, and its answer: "success", or the code of its error."""
    target: int
    request_id: str
    answer: str = ""
    at_ns: int = field(default_factory=time.monotonic_ns)


def one_answer(client, request_id):
    """The answer to a request, which has exactly one; and exactly one completion if it is a success, else none."""
    answers = [f for f in client.frames if f.type in ("command_result", "error") and f.get("request_id") == request_id]
    completions = client.heard("command_completed", request_id=request_id)
    assert len(answers) == 1, f"{request_id} has {len(answers)} answers: {[f.text for f in answers]}"
    answer = "success" if answers[0].get("success") else answers[0]["code"]
    assert len(completions) == (answer == "success"), f"{request_id} {answer}: {[f.text for f in completions]}"
    return answer


def written_as_told(truth, machine, moves):
    """The machine was sent the moves that were asked for, in that order, each at most once and not before it was asked for:
    success was written, what was refused was not, and what is unknown may have been. `moves`: one answered before the next
    was asked for. All ways to tell which write was whose are followed (a target may come twice)."""
    writes = [e for e in exchanges(truth, machine) if e.request[0] != 0]
    taken = {0}  # how many writes the moves so far may have taken
    for move in moves:
        assert move.answer in REFUSED | {"success", UNKNOWN}, f"{machine}: {move}"
        mine = {n + 1 for n in taken if n < len(writes) and writes[n].request == bytes([1, move.target])
                and writes[n].at_ns >= move.at_ns}
        before = taken
        taken = mine if move.answer == "success" else taken if move.answer in REFUSED else taken | mine
        assert taken, f"{machine} was never sent {move}, or something else before it: {asked_and_written(moves, writes, before)}"
    assert len(writes) in taken, f"{machine} was sent what it should not: {asked_and_written(moves, writes, taken)}"


def asked_and_written(moves, writes, taken):
    at = min(taken)
    return (f"asked at last {[(m.target, m.answer) for m in moves[-6:]]},\n  written {[w.request.hex() for w in writes[:at]][-4:]}, "
            f"then {[(w.request.hex(), w.sends, w.ended) for w in writes[at:at + 4]]}")
