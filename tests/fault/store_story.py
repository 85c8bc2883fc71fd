"""store_story.py: what happened in a run of store_house.py, put in order for store_checker.py. Nothing is judged here.

    DIR/record.jsonl        what writers asked and were told, who was down when (record.py), one JSON object per line:
      {"at":NS,"what":"ask","n":17,"writer":"writer2","worker":"w1","op":"create","entity":"sensor","id":null,"etag":null,"tags":["M17"],"body":…}
      {"at":NS,"what":"told","n":17,"status":201,"etag":"1","body":…}         or {"at":NS,"what":"silent","n":17}: the connection ended first
      {"at":NS,"what":"down"|"up","victim":"s1",…}, {"at":NS,"what":"end"}, {"at":NS,"what":"struck"}
    DIR/heard/NAME.jsonl    what a listener heard, in order over all its connections:
      {"at":NS,"join":CHANNEL,"worker":"w1","since":"RING-N"|null}, {"at":NS,"frame":TEXT}, {"at":NS,"left":"us"|CODE}
    DIR/events.jsonl        what GET /api/v1/events answered, from the beginning, page by page: one frame per line
    DIR/rows.json           {entity_type: rows}: what GET lists answered at the end
    DIR/machines.jsonl      {"machine":"m1","tipo":"alarma","active":true}: alarms of machines as an observer heard them begin and end

`tags` are texts and times that nobody else ever says; by them an event names the request that it comes from.
"""
import json
import re
from collections import defaultdict
from pathlib import Path

from stagecraft.channel_frames import Frame

from record import since

WRITES = {"create", "bulk", "update", "delete", "solve", "generate", "test", "detect", "same"}
NOTHING_DONE = re.compile(r"nada se ha|no se ha hecho nada|^Almacén (no disponible|ocupado)$")
BEGIN, END = "begin", "end"  # what the marker events say, one of each per channel
DELETE_ROWS = 5  # store.delete_rows: a DELETE of more rows is made in turns
TAGGED = {"sensor": "modelo", "lectura": "timestamp", "ubicacion": "descripcion", "prediccion": "comentario"}


def read_lines(path):
    with open(path) as lines:
        return [json.loads(line) for line in lines if line.endswith("\n")]


class Asked:
    """One request of a writer, and what became of it."""

    def __init__(self, event):
        self.at, self.n, self.op, self.entity = event["at"], event["n"], event["op"], event["entity"]
        self.id, self.etag, self.tags, self.body = event.get("id"), event.get("etag"), event.get("tags", []), event.get("body")
        self.worker, self.writer = event["worker"], event["writer"]
        self.status = self.answer = self.told_etag = self.told_at = None  # of an answer; status 0: the connection ended without one
        self.events = []  # numbers of the events that it made

    def __str__(self):
        at = f" {self.id}" if self.id is not None else ""
        return f"request {self.n} ({self.op} {self.entity}{at}, {self.writer} at {self.worker})"

    @property
    def done(self):
        return self.status is not None and 200 <= self.status < 300 and self.status != 202

    @property
    def unsure(self):
        """It may have been made, or not yet: nothing was told, a 202, or a 503 that does not say that nothing was done."""
        return self.status in (None, 0, 202) or self.status == 503 and not NOTHING_DONE.search(self.answer["detail"])


class Heard:
    """What a listener heard, over all its connections."""

    def __init__(self, name, lines):
        self.name = name
        self.channel = next((line["join"] for line in lines if "join" in line), "general")
        self.frames, self.joins, self.lefts = [], [], []
        for line in lines:
            if "frame" in line:
                self.frames.append(Frame(line["frame"]))
            else:
                (self.joins if "join" in line else self.lefts).append(line)


class StoreStory:
    def __init__(self, directory):
        directory = Path(directory)
        self.asked, self.downs, self.stalls, self.ended = {}, [], [], False
        self._open_downs = {}
        events = read_lines(directory / "record.jsonl")
        for event in events:
            if event["what"] == "struck":
                break
            getattr(self, "_" + event["what"], lambda event: None)(event)
        last = events[-1]["at"] if events else 0
        self.downs += [(begin, last, victim) for victim, begin in self._open_downs.items()]
        self.downs = [(since(begin, self.stalls), end, victim) for begin, end, victim in self.downs]
        self.heard = [Heard(path.stem, read_lines(path)) for path in sorted((directory / "heard").glob("*.jsonl"))]
        self.events = [Frame(line) for line in (directory / "events.jsonl").read_text().splitlines()]
        self.rows = json.loads((directory / "rows.json").read_text())
        self.machines = read_lines(directory / "machines.jsonl")
        self.by_tag = {tag: asked for asked in self.asked.values() for tag in asked.tags}

    def _ask(self, event):
        self.asked[event["n"]] = Asked(event)

    def _told(self, event):
        asked = self.asked[event["n"]]
        asked.status, asked.answer, asked.told_etag, asked.told_at = event["status"], event["body"], event.get("etag"), event["at"]

    def _silent(self, event):
        asked = self.asked[event["n"]]
        asked.status, asked.told_at = 0, event["at"]

    def _down(self, event):
        self._open_downs.setdefault(event["victim"], event["at"])

    def _up(self, event):
        begin = self._open_downs.pop(event["victim"], None)
        if begin is not None:
            self.downs.append((begin, event["at"], event["victim"]))

    def _stall(self, event):
        self.stalls.append((event["at"] - event["ns"], event["at"]))

    def _end(self, event):
        self.ended = True

    def was_down(self, begin, end, victims="bsw"):
        return any(a <= end and b >= begin and v[0] in victims for a, b, v in self.downs)

    def asks_about(self, op, entity):
        """{id: [Asked, …]} in the order of time."""
        found = defaultdict(list)
        for asked in sorted(self.asked.values(), key=lambda a: a.at):
            if asked.op == op and asked.entity == entity:
                found[asked.id].append(asked)
        return found
