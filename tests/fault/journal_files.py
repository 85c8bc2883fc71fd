"""journal_files.py: an agent's journal read from its files alone (common/journal/journal_record.h), by nobody's code but this.

    STATE_DIR/agents/MACHINE/commands-00000001.jsonl, refusals-00000001.jsonl, …

Each line ends with its hash: SHA-256(hash of the line before, 32 bytes ‖ the line up to and without ,"hash":). The first line
of a file is a `segment` that repeats the hash before it. Whatever does not hold is a complaint, a text that names the place.
"""
import hashlib
import json
import re
from pathlib import Path

CHAINS = ("commands", "refusals")
FILE = re.compile(r"^(commands|refusals)-(\d{8})\.jsonl$")
TAIL = re.compile(rb',"hash":"([0-9a-f]{64})"\}$')


class Journal:
    """Both chains of one machine: .commands and .refusals, lists of notes (dicts) in order; .complaints."""

    def __init__(self, directory):
        self.directory, self.complaints = Path(directory), []
        self.commands, self.refusals = (self._read_chain(chain) for chain in CHAINS)

    @property
    def notes(self):
        return self.commands + self.refusals

    def _read_chain(self, chain):
        notes, head, number = [], None, None
        for path in self._segments(chain):
            for place, line in self._lines(path):
                match = TAIL.search(line)
                if not match:
                    self.complaints.append(f"{place}: no hash at its end: {line[:120]!r}")
                    continue
                body, told = line[:match.start()], match.group(1).decode()
                note = self._parsed(place, body + b"}")
                if note is None:
                    continue
                if note.get("event") == "segment":
                    head = self._segment_begins(place, note, head)
                if head is None:
                    self.complaints.append(f"{place}: the chain does not begin with a segment")
                    head = bytes(32)
                true = hashlib.sha256(head + body).hexdigest()
                if told != true:
                    self.complaints.append(f"{place}: hash {told[:12]}… does not follow; {true[:12]}… would")
                head = bytes.fromhex(told)
                step = 0 if note.get("event") == "segment" else 1  # a segment's line has the number of the record before it
                if number is not None and note.get("n") != number + step:
                    self.complaints.append(f"{place}: number {note.get('n')} after {number}")
                number = note.get("n", 0)
                notes.append(dict(note, chain=chain, place=place))
        return notes

    def _segments(self, chain):
        found = sorted(p for p in self.directory.iterdir() if FILE.match(p.name) and p.name.startswith(chain + "-"))
        numbers = [int(FILE.match(p.name).group(2)) for p in found]
        if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            self.complaints.append(f"{self.directory.name}: segments of {chain} are missing: {numbers}")
        return found

    def _lines(self, path):
        data = path.read_bytes()
        *lines, rest = data.split(b"\n")
        for n, line in enumerate(lines, 1):
            yield f"{self.directory.name}/{path.name}:{n}", line
        if rest:
            self.complaints.append(f"{self.directory.name}/{path.name}: its last line has no end: {rest[:80]!r}")

    def _parsed(self, place, text):
        try:
            note = json.loads(text)
            assert isinstance(note, dict)
            return note
        except (ValueError, AssertionError):
            self.complaints.append(f"{place}: not JSON: {text[:120]!r}")
            return None

    def _segment_begins(self, place, note, head):
        before = bytes.fromhex(note["prev"])
        if head is not None and before != head:
            self.complaints.append(f"{place}: begins at {note['prev'][:12]}…, but the file before ends at {head.hex()[:12]}…")
        return before


def read_journals(state_dir):
    """{machine: Journal} of every agent below STATE_DIR/agents."""
    agents = Path(state_dir) / "agents"
    return {path.name: Journal(path) for path in sorted(agents.iterdir()) if path.is_dir()} if agents.is_dir() else {}
