"""frames.py: one message as a client heard it, and the rules that hold for every message of the carousel dialect.

The rules are the dialect's (workers/acceptor/dialects/carousel/README.md): compact UTF-8 JSON that is not ASCII-escaped, timestamps with
milliseconds and Z, members in the source document's order with later additions behind them, `seq` last.
"""
import json
import re

from .shorten import cut
from .wait import now

TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
SEQ = re.compile(r"^([0-9a-f]{8})-(\d+)$")

STATE_MEMBERS = ["status", "position", "raw_status", "connection_status"]
MEMBERS = {  # the order of members; those in brackets may be missing
    "welcome": ["type", "timestamp", "mode", "server_info", "machines"],
    "pong": ["type", "timestamp"],
    "machine_status": ["type", "machine_id", *STATE_MEMBERS, "timestamp"],
    "all_machines_status": ["type", "status", "timestamp"],
    "status": ["type", "status", "timestamp"],
    "status_broadcast": ["type", "timestamp", "status", "[seq]"],  # without: a snapshot to somebody who is owed older frames
    "subscription_confirmed": ["type", "subscription_type", "machine_ids", "timestamp"],
    "unsubscription_confirmed": ["type", "subscription_type", "machine_ids", "timestamp"],
    "machines": ["type", "machines", "timestamp"],
    "command_result": ["type", "machine_id", "success", "data", "[code]", "[request_id]", "timestamp", "seq"],
    "command_completed": ["type", "machine_id", "command", "success", "position", "elapsed_ms", "[request_id]",
                          "timestamp", "seq"],
    "error": ["type", "error", "code", "[machine_id]", "[request_id]", "timestamp", "[seq]"],
    "alarm": ["type", "machine_id", "condition", "active", "timestamp", "seq"],
    "machine_added": ["type", "machine_id", "machine", "timestamp", "seq"],
    "machine_removed": ["type", "machine_id", "machine", "timestamp", "seq"],
    "gap": ["type", "timestamp"],
}
CONNECTION_STATUS = {"connected", "disconnected", "error", "stale"}


class Frame(dict):
    """A message; a dict in the order of its members, with its text and the time at which it was heard."""

    def __init__(self, text):
        super().__init__(json.loads(text))
        self.text, self.heard_at = text, now()

    @property
    def type(self):
        return self.get("type")

    @property
    def seq(self):
        """(ring, N), or None."""
        match = SEQ.match(self.get("seq", ""))
        return (match.group(1), int(match.group(2))) if match else None

    def machines(self):
        """Ids of the machines that it tells something about."""
        if self.type in ("status_broadcast", "all_machines_status", "status"):
            return list(self["status"])
        return [self["machine_id"]] if "machine_id" in self else []

    def matches(self, want):
        return all(key in self and matches(self[key], value) for key, value in want.items())


def matches(have, want):
    """A dict wants its members (others may be there), a callable its truth, anything else equality in type too."""
    if callable(want):
        return want(have)
    if isinstance(want, dict):
        return isinstance(have, dict) and all(k in have and matches(have[k], v) for k, v in want.items())
    return type(have) is type(want) and have == want


def check_frame(text, frame):
    """Raises AssertionError if the message breaks a rule that needs no history."""
    compact = json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)
    assert text == compact, f"not compact, or escaped: {cut(repr(text))}"
    assert frame.type in MEMBERS, f"unknown type: {text}"
    _check_order(frame)
    assert TIMESTAMP.match(frame["timestamp"]), f"timestamp: {text}"
    if "seq" in frame:
        assert frame.seq is not None, f"seq: {text}"
    for state in _states(frame).values():
        check_state(state, text)


def _check_order(frame):
    have = list(frame)
    for member in MEMBERS[frame.type]:
        name = member.strip("[]")
        if have and have[0] == name:
            have.pop(0)
        else:
            assert member.startswith("["), f"{name} is missing or out of order: {frame.text}"
    assert not have, f"unexpected {have}: {frame.text}"


def _states(frame):
    if frame.type in ("status_broadcast", "all_machines_status", "status"):
        return frame["status"]
    if frame.type == "machine_status":
        return {frame["machine_id"]: {name: frame[name] for name in STATE_MEMBERS}}
    return {}


def check_state(state, text):
    assert list(state) == STATE_MEMBERS, f"members of a state: {text}"
    assert state["connection_status"] in CONNECTION_STATUS, text
    if state["raw_status"] is None:
        assert state["status"] == {} and state["position"] is None, f"half a reading: {text}"
    else:
        assert type(state["raw_status"]) is int and 0 <= state["raw_status"] <= 255, text
        assert type(state["position"]) is int and 0 <= state["position"] <= 255, text
        assert all(isinstance(v, str) for v in state["status"].values()), text  # {} under an unknown profile


class History:
    """The rules that need memory: per client, over all its frames."""

    def __init__(self):
        self.count = 0
        self.last_seq = None
        self.state = {}
        self.repeats_allowed = False  # a play in which broker or worker may owe its clients a snapshot
        self._snapshot_due = False

    def check(self, frame):
        self.count += 1
        if self.count == 1:
            assert frame.type == "welcome", f"the first frame is no welcome: {frame.text}"
            return
        assert frame.type != "welcome", f"a second welcome: {frame.text}"
        snapshot = frame.type == "status_broadcast" and self._snapshot_due
        if frame.seq is not None:
            self._check_seq(frame, snapshot)
        if frame.type == "status_broadcast":
            self._take_states(frame, snapshot)
        if frame.type == "machine_removed":  # one of its name that comes later is another
            self.state.pop(frame["machine_id"], None)
        self._snapshot_due = (frame.type == "subscription_confirmed"
                              and frame["subscription_type"] in ("status_updates", "all_events")
                              or frame.type == "gap" and self._snapshot_due)  # resuming: confirmation, gap, snapshot

    def _check_seq(self, frame, snapshot):
        """Ring frames strictly rise; a snapshot (also one that a worker sends by itself after its broker's restart)
        says up to where it is complete, which may be the last number before it."""
        if self.last_seq is not None and frame.seq[0] == self.last_seq[0]:
            snapshot = snapshot or (self.repeats_allowed and frame.type == "status_broadcast")
            rises = frame.seq[1] > self.last_seq[1] or (snapshot and frame.seq[1] == self.last_seq[1])
            assert rises, f"seq went from {self.last_seq} to {frame.seq}: {frame.text}"
        self.last_seq = frame.seq

    def _take_states(self, frame, snapshot):
        for machine, state in frame["status"].items():
            changed = self.state.get(machine) != state
            assert changed or snapshot or self.repeats_allowed, f"a broadcast without a change: {frame.text}"
            self.state[machine] = state
