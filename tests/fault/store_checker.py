#!/usr/bin/python3
"""store_checker: holds what writers were told, what listeners heard, what the event table says and what the rows are against each other, and names
every contradiction. A process of its own: it has only the files of a run (store_story.py), and the database when the store has ended.

    tests/fault/store_checker.py DIR        exit 1 if anything is found

None of them is believed; they must agree. The rules, each a function below; a finding begins with its name:

    replayed        every event is possible where it stands, and all of them rebuild exactly the rows: those of the answers and those of the tables
    same-events     GET /api/v1/events tells what stands in the table of events, all of it, in the order of the ring and of the commits
    heard-once      each listener heard each event of its channel exactly once, in order, byte by byte; never a gap
    asked-for       every event comes from a request, from a reading, from a machine, or from a process that came or went; what goes with a row goes before it,
                    right before it if it is one turn's, and in between nothing of it is changed or added
    answered-true   what a 2xx says has happened, exactly so, and its answer is the row (and the version) that it made
    whole-or-not    what was not answered, or with 503, is there whole or not at all; what was refused is not there
    in-order        what was answered before something else was asked is committed before it; a read is never older than what was answered
    refused-right   404 only of what is gone, 412 only of what has changed, 409 only of what is there or being deleted; 503 and silence only if somebody was down
    detected        each reading has the anomalies of its limits, once; each condition of a machine that began is one anomaly, solved when it ended: alarms as an
                    observer heard of them, lost connections as the broker told them
    sound           the file is whole, and no row's parent is gone
"""
import bisect
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "play"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

from stagecraft.channel_frames import CHANNEL_OF, ENTITIES  # noqa: E402
from stagecraft.database import Database  # noqa: E402
from stagecraft.entity_model import PARENTS, EntityModel  # noqa: E402
from store_story import BEGIN, DELETE_ROWS, END, TAGGED, WRITES, StoreStory  # noqa: E402

LIMITS = [("temperatura", lambda x: x > 35, "temperatura_alta"), ("temperatura", lambda x: x < 5, "temperatura_baja"),
          ("humedad", lambda x: x > 90, "humedad_alta"), ("humedad", lambda x: x < 10, "humedad_baja")]
FIXED = {kind for _, _, kind in LIMITS}
CONNECTION = {"Máquina sin conexión": True, "Máquina conectada": False}  # the broker's words: is it lost?
ATYPICAL = {"temperatura_atipica", "humedad_atipica"}
EXPECTED = {None, 0, 200, 201, 202, 204, 404, 409, 412, 503}
SLACK_NS = 500_000_000


def check(story, table=None, table_rows=None):
    """All contradictions, as texts. `table`: events of the table, as frames in the order of their ids; `table_rows`: {entity: rows} of the tables."""
    findings = []

    def find(rule, text):
        findings.append(f"{rule}: {text}")

    model = replay(story, find)
    replayed(story, model, table_rows, find)
    if table is not None:
        same_events(story, table, find)
    heard_once(story, find)
    ledger = Ledger(story, model, find)
    for rule in (answered_true, whole_or_not, in_order, refused_right):
        rule(story, model, ledger, find)
    detected(story, find)
    return findings


# --- events and rows --------------------------------------------------------------------------------------------------


def replay(story, find):
    model = EntityModel()
    for number, frame in enumerate(story.events):
        model.take(frame, number)
    for complaint in model.complaints:
        find("replayed", complaint)
    return model


def replayed(story, model, table_rows, find):
    for what, rows in (("answers", story.rows), ("tables", table_rows)):
        for entity, of in (rows or {}).items():
            for difference in model.differences(entity, of):
                find("replayed", f"{what}: {difference}")


def same_events(story, table, find):
    told, kept = [f.text for f in story.events], [f.text for f in table]
    for text in (Counter(told) - Counter(kept)).keys():
        find("same-events", f"told, and not in the table: {text}")
    for text in (Counter(kept) - Counter(told)).keys():
        find("same-events", f"in the table, and not told: {text}")
    places = [f.seq for f in story.events]
    for before, after in zip(places, places[1:]):
        if before[0] == after[0] and before[1] >= after[1]:
            find("same-events", f"{after} is told behind {before}")
    own = [f.text for f in table if f["type"] == "entity_event"]
    if own != [f.text for f in story.events if f["type"] == "entity_event"] and Counter(own) == Counter(f.text for f in story.events if f["type"] == "entity_event"):
        find("same-events", "the order of the ring is not that of the commits")


def channel_of(frame):
    """Where it belongs; the texts of test events and markers end with @CHANNEL."""
    if frame["type"] == "entity_event":
        return CHANNEL_OF[frame["entity_type"]]
    return frame["message"].partition("@")[2] or "general"


def heard_once(story, find):
    for listener in story.heard:
        for frame in (f for f in listener.frames if f["type"] == "gap"):
            find("heard-once", f"{listener.name} ({listener.channel}) was told a gap: {frame.text}")
        all_of_it = listener.channel == "general"
        owed = between([f for f in story.events if all_of_it or channel_of(f) == listener.channel], listener.channel)
        heard = between([f for f in listener.frames if f.seq], listener.channel)
        if owed is None or heard is None:
            if story.ended:
                find("heard-once", f"{listener.name} ({listener.channel}): no markers in what it {'heard' if owed is not None else 'had to hear'}")
            continue
        compare(listener, [f.text for f in owed], [f.text for f in heard], find)


def between(frames, channel):
    """From the first marker of the channel to the last one."""
    texts = [f.get("message") for f in frames]
    begin, end = f"{BEGIN}@{channel}", f"{END}@{channel}"
    return frames[texts.index(begin):texts.index(end) + 1] if begin in texts and end in texts else None


def compare(listener, owed, heard, find):
    name = f"{listener.name} ({listener.channel})"
    for text, n in Counter(heard).items():
        if n > 1:
            find("heard-once", f"{name} heard {n} times: {text}")
    for text in (t for t in dict.fromkeys(heard) if t not in set(owed)):
        find("heard-once", f"{name} heard what no event says: {text}")
    known = set(heard)
    for text in (t for t in owed if t not in known):
        find("heard-once", f"{name} never heard: {text}")
    order = {text: n for n, text in enumerate(owed)}
    places = [order[text] for text in dict.fromkeys(heard) if text in order]
    for before, after in zip(places, places[1:]):
        if before > after:
            find("heard-once", f"{name} heard {owed[after]} after {owed[before]}")
            break


# --- whose event is it? -------------------------------------------------------------------------------------------------


class Ledger:
    """Each event to the request that it comes from; request.events is filled in."""

    def __init__(self, story, model, find):
        self.story, self.model, self.find = story, model, find
        self.deletes, self.solves = self._by_id("delete"), self._by_id("solve")
        self.readings = {f["entity_id"] for f in story.events if f["type"] == "entity_event" and f["entity_type"] == "lectura" and f["event_type"] == "created"}
        self.machine_anomalies = {f["entity_id"] for f in story.events if f["type"] == "entity_event" and f["event_type"] == "anomaly_detected"
                                  and f["data"]["machine_id"] is not None}
        self.places = {}  # of an event of the store's own: the how many-th
        self.going = {}  # (entity, id): numbers of the deletions that come from it, while it is there itself
        self.in_turns = set()  # (entity, id) of those that took more than one turn
        for number, frame in enumerate(story.events):
            if frame["type"] == "system_event" and frame["data"] != {"test": True}:
                continue  # the broker's own, which may come in between
            self.places[number] = len(self.places)
            if frame["type"] == "entity_event" and frame["event_type"] == "deleted":
                self._deleted(number, frame)
                continue
            self._spared(number, frame)
            asked = self._whose(number, frame)
            if asked is not None:
                asked.events.append(number)
        for numbers in self.going.values():
            find("asked-for", f"deleted with nothing behind it: {story.events[numbers[0]].text}")

    def _deleted(self, number, frame):
        """The end of those that come from it; and itself, one of another's, or somebody's wish."""
        key = frame["entity_type"], frame["entity_id"]
        numbers = self.going.pop(key, [])
        if len(numbers) >= DELETE_ROWS:
            self.in_turns.add(key)
        elif numbers and self.places[number] - self.places[numbers[0]] != len(numbers):
            self.find("asked-for", f"deleted with {len(numbers)} others, not at once: {frame.text}")
        asked = None
        if "cascade_from" in frame["metadata"]:
            self._of_another(number, frame)
        else:
            asked = self._whose(number, frame)
        if asked is not None:
            asked.events += [*numbers, number]

    def _of_another(self, number, frame):
        above = [key for key in self.line(frame["entity_type"], frame["entity_id"], number)[1:] if key[0] == frame["metadata"]["cascade_from"]]
        if above:
            self.going.setdefault(above[0], []).append(number)
        else:
            self.find("asked-for", f"deleted from nothing: {frame.text}")

    def _spared(self, number, frame):
        """What is being deleted is not changed, and nothing is added to it."""
        if frame["type"] == "entity_event":
            for key in self.line(frame["entity_type"], frame["entity_id"], number + 1):
                if key in self.going:
                    self.find("asked-for", f"{key} was being deleted, and then came {frame.text}")

    def line(self, entity, id, number):
        """It, what it belonged to before that event, and so on."""
        keys = [(entity, id)]
        while entity in PARENTS:
            rows = [row for n, row in self.model.versions[entity, id] if n < number and row is not None]
            (member, entity), = PARENTS[entity]
            if not rows or rows[-1][member] is None:
                break
            id = rows[-1][member]
            keys.append((entity, id))
        return keys

    def _by_id(self, op):
        found = defaultdict(list)
        for asked in sorted(self.story.asked.values(), key=lambda a: a.at):
            if asked.op == op:
                found[asked.entity, asked.id].append(asked)
        return found

    def _whose(self, number, frame):
        if frame["type"] == "system_event":
            return self._test_event(frame)
        entity, event, id, data = frame["entity_type"], frame["event_type"], frame["entity_id"], frame["data"]
        if event == "deleted":
            return self._first(self.deletes[entity, id], frame)
        if event == "anomaly_detected":
            if data["lectura_id"] is not None and data["lectura_id"] not in self.readings:
                self.find("asked-for", f"of a reading that never was: {frame.text}")
            return None
        if entity == "anomalia" and event == "updated":
            return None if id in self.machine_anomalies else self._first(self.solves[entity, id], frame)
        asked = self.story.by_tag.get(data.get(TAGGED.get(entity)))
        if asked is None or asked.entity != entity or (event == "updated") != (asked.op == "update") or (asked.op == "update" and asked.id != id):
            self.find("asked-for", f"nobody asked for it: {frame.text}")
            return None
        return asked

    def _first(self, asks, frame):
        """Of those who asked for the same: the first that was told so, else the first that was told nothing."""
        asked = next((a for a in asks if a.done), None) or next((a for a in asks if a.unsure), None)
        if asked is None:
            self.find("asked-for", f"nobody asked for it, or all were refused: {frame.text}")
        return asked

    def _test_event(self, frame):
        asked = self.story.by_tag.get(frame["message"])
        if asked is None and frame["message"].partition("@")[0] not in (BEGIN, END):
            self.find("asked-for", f"nobody asked for it: {frame.text}")
        return asked


# --- answers ------------------------------------------------------------------------------------------------------------


def answered_true(story, model, ledger, find):
    for asked in story.asked.values():
        if asked.done and asked.op in WRITES | {"read"}:
            _ANSWERS[asked.op](asked, story, model, find)
    for (entity, id), asks in ledger.deletes.items():
        if sum(asked.done for asked in asks) > 1:
            find("answered-true", f"{entity} {id} was deleted {sum(asked.done for asked in asks)} times")


def _row_of_event(model, frame, number):
    return next((row for n, row in model.versions[frame["entity_type"], frame["entity_id"]] if n == number), None)


def _made(asked, story, model, find):
    """create, generate: one event, and the answer is the row that it made."""
    if len(asked.events) != 1:
        find("answered-true", f"{asked} was told {asked.status}, and has {len(asked.events)} events")
        return
    number = asked.events[0]
    row = _row_of_event(model, story.events[number], number)
    if row != asked.answer:
        find("answered-true", f"{asked} was told {asked.answer}, and made {row}")
    if asked.told_etag != 1:
        find("answered-true", f"{asked} was told version {asked.told_etag} of what is new")


def _made_many(asked, story, model, find):
    rows = [_row_of_event(model, story.events[n], n) for n in asked.events]
    if rows != asked.answer:
        find("answered-true", f"{asked} was told {len(asked.answer)} rows {asked.answer[:1]}…, and made {len(rows)} {rows[:1]}…")


def _updated(asked, story, model, find):
    if len(asked.events) != 1:
        find("answered-true", f"{asked} was told {asked.status}, and has {len(asked.events)} events")
        return
    number = asked.events[0]
    row, version = _row_of_event(model, story.events[number], number), model.version(asked.entity, asked.id, number)
    if (row, version) != (asked.answer, asked.told_etag):
        find("answered-true", f"{asked} was told {asked.answer} {asked.told_etag}, and made {row} {version}")
    if asked.etag is not None and version != asked.etag + 1:
        find("answered-true", f"{asked} wanted version {asked.etag}, and made {version}")


def _deleted(asked, story, model, find):
    if not any(row is None for _, row in model.versions[asked.entity, asked.id]):
        find("answered-true", f"{asked} was told {asked.status}, and no event says that it is gone")


def _solved(asked, story, model, find):
    _one_of_its_versions(asked, story, model, find)
    if asked.answer["resuelta"] is not True or asked.answer["resuelta_at"] is None:
        find("answered-true", f"{asked} was told {asked.answer}")


def _one_of_its_versions(asked, story, model, find):
    if asked.answer not in [row for _, row in model.versions[asked.entity, asked.id]]:
        find("answered-true", f"{asked} was told {asked.answer}, which it never was: {model.versions[asked.entity, asked.id]}")


def _same(asked, story, model, find):
    _one_of_its_versions(asked, story, model, find)
    if asked.told_etag != asked.etag:
        find("answered-true", f"{asked} changed nothing, and was told version {asked.told_etag}")


def _tested(asked, story, model, find):
    if len(asked.events) != 1:
        find("answered-true", f"{asked} was told {asked.status}, and has {len(asked.events)} events")


def _nothing(asked, story, model, find):
    """detect: its answer is a list of rows, each of them an anomaly of that reading."""
    for row in asked.answer:
        if row["lectura_id"] != asked.id or row not in [r for _, r in model.versions["anomalia", row["id"]]]:
            find("answered-true", f"{asked} was told {row}, which is none of its anomalies")


_ANSWERS = {"create": _made, "generate": _made, "bulk": _made_many, "update": _updated, "delete": _deleted, "solve": _solved, "same": _same,
            "test": _tested, "detect": _nothing, "read": _one_of_its_versions}


def whole_or_not(story, model, ledger, find):
    for asked in story.asked.values():
        if asked.op not in WRITES or asked.done:
            continue
        if not asked.unsure and asked.events and asked.op not in ("delete", "solve"):
            find("whole-or-not", f"{asked} was refused with {asked.status}, and made {story.events[asked.events[0]].text}")
        if asked.op == "bulk" and len(asked.events) not in (0, len(asked.tags)):
            find("whole-or-not", f"{asked}: {len(asked.events)} of {len(asked.tags)} rows are there")
        if asked.op in ("create", "generate", "update", "test") and len(asked.events) > 1:
            find("whole-or-not", f"{asked} was not answered, and has {len(asked.events)} events")
    for asked in story.asked.values():
        if asked.op == "bulk" and [tag_of(story.events[n]) for n in asked.events] != asked.tags[:len(asked.events)]:
            find("whole-or-not", f"{asked}: its rows are out of order")


def tag_of(frame):
    return frame["data"][TAGGED[frame["entity_type"]]]


def in_order(story, model, ledger, find):
    """One pass over time: `upto` is the highest event of anything that was answered by then."""
    told = sorted((a.told_at, max(a.events), a) for a in story.asked.values() if a.done and a.events and not shared(a, ledger))
    times, highest = [t for t, _, _ in told], []
    for _, number, asked in told:
        highest.append(max((number, asked.n), highest[-1]) if highest else (number, asked.n))
    for asked in story.asked.values():
        place = bisect.bisect_left(times, asked.at) - 1
        if place < 0:
            continue
        upto, other = highest[place]
        if asked.events and not shared(asked, ledger) and min(asked.events) < upto:
            find("in-order", f"{asked} has event {min(asked.events)}, and {story.asked[other]} was answered before with {upto}")
        if asked.op == "read" and asked.status in (200, 404):
            fresh(asked, upto, model, find)


def shared(asked, ledger):
    """Several asked for the same deletion or solution: whose it was cannot be known."""
    kinds = {"delete": ledger.deletes, "solve": ledger.solves}
    return asked.op in kinds and len(kinds[asked.op][asked.entity, asked.id]) > 1


def fresh(asked, upto, model, find):
    versions = model.versions[asked.entity, asked.id]
    wanted = asked.answer if asked.status == 200 else None
    ends = [n for n, _ in versions[1:]] + [float("inf")]
    if not any(row == wanted and end > upto for (_, row), end in zip(versions, ends)):
        find("in-order", f"{asked} was told {wanted}, which it was no more since event {upto}")


def refused_right(story, model, ledger, find):
    for asked in story.asked.values():
        versions = model.versions[asked.entity, asked.id] if asked.id is not None else []
        if asked.status == 404 and asked.op in ("update", "delete", "solve", "same", "read", "detect") and not any(row is None for _, row in versions):
            find("refused-right", f"{asked} was told 404, and it is there")
        elif asked.status == 404 and asked.op in ("create", "bulk", "generate") and not gone_parent(asked, model):
            find("refused-right", f"{asked} was told 404, and its parent is there")
        elif asked.status == 412 and not (asked.etag is not None and any(row is not None for _, row in versions[asked.etag:])):
            find("refused-right", f"{asked} was told 412, and version {asked.etag} of {len(versions)} had not changed")
        elif asked.status == 409 and asked.answer["detail"].endswith("se está borrando"):
            if not was_going(asked, ledger):
                find("refused-right", f"{asked} was told {asked.answer}, and nothing was being deleted in turns")
        elif asked.status == 409 and not coordinates_taken(asked, model):
            find("refused-right", f"{asked} was told 409, and its place was free")
        elif asked.status == 202 and asked.op != "delete":
            find("refused-right", f"{asked} was told 202")
        elif asked.status in (0, 503) and not story.was_down(asked.at - SLACK_NS, asked.told_at + SLACK_NS):
            find("refused-right", f"{asked} was told {asked.status or 'nothing'} ({asked.answer}), and nobody was down")
        elif asked.op == "invalid" and asked.status not in (None, 0, 422, 503) or asked.status not in EXPECTED and asked.op != "invalid":
            find("refused-right", f"{asked} was told {asked.status}: {asked.answer}")
        elif asked.status is None and story.ended:
            find("refused-right", f"{asked} was never told anything")


def gone_parent(asked, model):
    member, parent = {"lectura": ("sensor_id", "sensor"), "ubicacion": ("sensor_id", "sensor"),
                      "prediccion": ("ubicacion_id", "ubicacion")}[asked.entity]
    rows = asked.body if isinstance(asked.body, list) else [asked.body]
    return any(row is None for one in rows for _, row in model.versions[parent, one[member]])


def was_going(asked, ledger):
    """What it was about, what that belonged to, or would have."""
    keys = ledger.line(asked.entity if asked.op != "detect" else "lectura", asked.id, float("inf")) if asked.id is not None else []
    for body in asked.body if isinstance(asked.body, list) else [asked.body or {}]:
        for member, parent in ((m, p) for pairs in PARENTS.values() for m, p in pairs if body.get(m) is not None):
            keys += ledger.line(parent, body[member], float("inf"))
    return any(key in ledger.in_turns for key in keys)


def coordinates_taken(asked, model):
    place = (asked.body["latitud"], asked.body["longitud"])
    return any(row is not None and (row["latitud"], row["longitud"]) == place
               for (entity, _), versions in model.versions.items() if entity == "ubicacion" for _, row in versions)


# --- anomalies ----------------------------------------------------------------------------------------------------------


def detected(story, find):
    of_readings, machines, solved = defaultdict(list), defaultdict(list), {}
    for frame in (f for f in story.events if f["type"] == "entity_event"):
        data = frame["data"]
        if frame["event_type"] == "anomaly_detected" and data["machine_id"] is not None:
            machines[data["machine_id"], data["tipo"]].append(True)
            solved[frame["entity_id"]] = (data["machine_id"], data["tipo"])
        elif frame["event_type"] == "anomaly_detected":
            of_readings[data["lectura_id"]].append((data["tipo"], data["valor"]))
        elif frame["entity_type"] == "anomalia" and frame["event_type"] == "updated" and frame["entity_id"] in solved:
            machines[solved[frame["entity_id"]]].append(False)
    for frame in story.events:
        if frame["type"] == "entity_event" and (frame["entity_type"], frame["event_type"]) == ("lectura", "created"):
            of_reading(frame, of_readings[frame["entity_id"]], find)
    seen = defaultdict(list)
    for line in story.machines:
        seen[line["machine"], line["tipo"]].append(line["active"])
    for frame in story.events:
        if frame.get("message") in CONNECTION:
            seen[frame["data"]["machine_id"], "conexion_perdida"].append(CONNECTION[frame["message"]])
    for key in seen.keys() | machines.keys():
        if seen[key] != machines[key]:
            find("detected", f"{key}: began (and ended) {show(seen[key])}, and its anomalies {show(machines[key])}")


def show(changes):
    return "".join("+" if active else "-" for active in changes) or "never"


def of_reading(frame, found, find):
    data = frame["data"]
    wanted = sorted((kind, data[member]) for member, breaks, kind in LIMITS if breaks(data[member]))
    if sorted(x for x in found if x[0] in FIXED) != wanted:
        find("detected", f"wanted {wanted}, found {found}: {frame.text}")
    kinds = Counter(kind for kind, _ in found)
    if any(n > 1 for n in kinds.values()) or not kinds.keys() <= FIXED | ATYPICAL:
        find("detected", f"found {found}: {frame.text}")


# --- all of it ----------------------------------------------------------------------------------------------------------


def check_directory(directory):
    database = Database(Path(directory) / "state/store/noria.db")
    findings = [f"sound: {text}" for text in database.complaints()]
    findings += [f"sound: event {id} waits for its acknowledgement" for id in database.waiting()]
    return findings + check(StoreStory(directory), database.events(), {entity: database.entity_rows(entity) for entity in ENTITIES})


def main(argv):
    if len(argv) != 2:
        print(__doc__)
        return 2
    findings = check_directory(argv[1])
    print("\n".join(findings + [f"{len(findings)} contradictions"]))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
