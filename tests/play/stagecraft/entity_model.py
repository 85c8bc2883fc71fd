"""entity_model.py: rows rebuilt from events alone. Whoever replays every entity_event from the beginning, in order, must end with exactly the rows
that the store has, and on the way each event must be possible: an id that was never there before, a parent that exists, a change that changes
something, nothing left of what belongs to a deleted row.

Pure: frames in, rows and complaints out. tests/fault/store_stories.py and ../selftest spoil stories for it.
"""
from collections import defaultdict

from .channel_frames import ENTITIES, row_members

PARENTS = {"lectura": [("sensor_id", "sensor")], "ubicacion": [("sensor_id", "sensor")], "anomalia": [("lectura_id", "lectura")],
           "prediccion": [("ubicacion_id", "ubicacion")]}


class EntityModel:
    def __init__(self):
        self.rows = {entity: {} for entity in ENTITIES}
        self.versions = defaultdict(list)  # (entity, id): [(number of the event, the row then)], None: deleted
        self.highest = dict.fromkeys(ENTITIES, 0)
        self.complaints = []
        self.count = 0

    def take(self, frame, number=None):
        """The next event. `number`: what it is called in .versions (default: how many there were before)."""
        number = self.count if number is None else number
        self.count += 1
        if frame["type"] != "entity_event":
            return
        entity, event, id = frame["entity_type"], frame["event_type"], frame["entity_id"]
        if event == "updated":
            self._update(entity, id, frame)
        elif event == "deleted":
            self._delete(entity, id, frame)
        else:
            self._create(entity, id, frame)
        row = self.rows[entity].get(id)
        self.versions[entity, id].append((number, dict(row) if row is not None else None))

    def complain(self, frame, text):
        self.complaints.append(f"{text}: {getattr(frame, 'text', frame)}")

    def _create(self, entity, id, frame):
        if id <= self.highest[entity]:
            self.complain(frame, f"{entity} {id} was there before" if (entity, id) in self.versions else f"{entity} {id} after {self.highest[entity]}")
        self.highest[entity] = max(id, self.highest[entity])
        row = dict(frame["data"])
        row.setdefault("updated_at", row["created_at"])
        for member, parent in PARENTS.get(entity, []):
            if row[member] is not None and row[member] not in self.rows[parent]:
                self.complain(frame, f"{parent} {row[member]} is not there")
        self.rows[entity][id] = {member: row[member] for member in row_members(entity)}

    def _update(self, entity, id, frame):
        row = self.rows[entity].get(id)
        if row is None:
            self.complain(frame, f"{entity} {id} is not there")
            return
        for member in frame["metadata"].get("fields_updated", []):
            if row[member] == frame["data"][member]:
                self.complain(frame, f"{member} was {row[member]!r} before")
        row.update(frame["data"])

    def _delete(self, entity, id, frame):
        if self.rows[entity].pop(id, None) is None:
            self.complain(frame, f"{entity} {id} is not there")
        for child, parents in PARENTS.items():
            for member, parent in parents:
                left = [n for n, row in self.rows[child].items() if row[member] == id] if parent == entity else []
                if left:
                    self.complain(frame, f"{child} {left} is still there")

    def differences(self, entity, rows):
        """What of these rows (answers, or the table) is not as the events say."""
        told, mine = [], self.rows[entity]
        theirs = {row["id"]: dict(row) for row in rows}
        if len(theirs) != len(rows):
            told.append(f"{entity}: a row twice")
        told += [f"{entity} {id}: events say it is there: {mine[id]}" for id in mine.keys() - theirs.keys()]
        told += [f"{entity} {id}: it is there, and no event says so: {theirs[id]}" for id in theirs.keys() - mine.keys()]
        told += [f"{entity} {id}: events say {mine[id]}, it is {theirs[id]}" for id in mine.keys() & theirs.keys() if mine[id] != theirs[id]]
        return told

    def version(self, entity, id, number=float("inf")):
        """How often it has been changed, creation included, up to an event: what its ETag says."""
        return sum(n <= number and row is not None for n, row in self.versions[entity, id])
