"""database.py: the store's file as SQLite's own library reads it, once the store has ended (or while it runs: a reader never blocks it).

Shares no code with the store: what stands in the tables is held against what clients were told and heard.
"""
import sqlite3
from contextlib import closing
from datetime import datetime, timezone

from .channel_frames import ENTITIES, TIMES, Frame, row_members


def iso(ms):
    return datetime.fromtimestamp(ms // 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") + f".{ms % 1000:03}Z"


class Database:
    def __init__(self, path):
        self.path = path

    def query(self, text, *values):
        """[{column: value}]"""
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(text, values)]

    def tables(self):
        return [row["name"] for row in self.query("SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'")]

    def rows(self, table):
        """In the order of their ids, as they stand there."""
        assert table in self.tables(), f"{self.path} has no table {table}; it has {self.tables()}"
        return self.query(f'SELECT * FROM "{table}" ORDER BY id')

    def count(self, table):
        return len(self.rows(table))

    def entity_rows(self, entity):
        """Rows of an entity_type as the REST API shows them."""
        return [{m: shown(m, row[m]) for m in row_members(entity)} for row in self.rows(ENTITIES[entity][0])]

    def events(self):
        """Frames of all events that have an address, in the order of their ids, as clients hear them."""
        rings = {row["number"]: row["ring_id"] for row in self.query("SELECT number, ring_id FROM rings")}
        return [Frame(f'{row["payload"][:-1]},"seq":"{rings[row["ring"]]:08x}-{row["n"]}"}}') for row in self.rows("events") if row["ring"] is not None]

    def waiting(self):
        """Ids of events that are not known to be published."""
        return [row["id"] for row in self.query("SELECT id FROM events WHERE published = 0 ORDER BY id")]

    def complaints(self):
        """A damaged file, or rows whose parents are gone."""
        told = [f"integrity: {list(row.values())}" for row in self.query("PRAGMA integrity_check") if list(row.values()) != ["ok"]]
        return told + [f"its parent is gone: {row}" for row in self.query("PRAGMA foreign_key_check")]

    def is_sound(self):
        assert not self.complaints(), self.complaints()


def shown(member, value):
    if member in TIMES:
        return None if value is None else iso(value)
    return bool(value) if member == "resuelta" else value
