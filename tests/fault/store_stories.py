"""store_stories.py: a small true story of writers, events and listeners, and the ways to spoil it, for ./selftest: each must be found by store_checker.py,
by the rule whose name stands beside it. Nothing of Noria runs here."""
import json
import shutil
import tempfile
from pathlib import Path

import store_checker
from stagecraft.channel_frames import CHANNEL_OF, Frame, check_frame
from stagecraft.database import iso
from stagecraft.entity_model import EntityModel
from stagecraft.scripts import compact
from store_story import BEGIN, END, StoreStory

T0, MS = 1_000_000_000_000, 1_000_000
RING = "0000abcd"
AT = "2026-11-22T22:00:00.000Z"
LATER = "2026-11-22T22:00:01.000Z"


class Story:
    """Times in ms. `events`: payloads in the order of commits; what is in the files comes from them, unless it was spoilt."""

    def __init__(self):
        self.record, self.events, self.clock, self.n = [], [], 0, 0
        self.machines = [{"machine": "m1", "tipo": "alarma", "active": on} for on in (True, False)]
        self.heard = self.told = self.table = self.rows = self.table_rows = None
        for channel in ("sensors", "general"):
            self.marker(BEGIN, channel)
        self.sensor_and_readings()
        self.deaths()
        self.places()
        self.the_end()
        self.settle()

    # --- telling --------------------------------------------------------------------------------------------------------

    def note(self, what, **members):
        self.clock += 1
        self.record.append({"at": T0 + self.clock * MS, "what": what, **members})

    def ask(self, op, entity, status, body=None, etag=None, told=None, told_etag=None, tags=(), id=None, events=()):
        self.n += 1
        self.note("ask", n=self.n, writer="writer0", worker="w1", op=op, entity=entity, id=id, etag=etag, tags=list(tags), body=body)
        self.events += events
        self.clock += 2000 if status else 0
        if status:
            self.note("told", n=self.n, status=status, etag=told_etag, body=told)
        else:
            self.note("silent", n=self.n)

    def event(self, entity, event, data, action, **metadata):
        return {"type": "entity_event", "entity_type": entity, "event_type": event, "entity_id": data["id"], "data": data, "timestamp": AT,
                "metadata": {"action": f"{action}_{entity}", **metadata}}

    def system(self, message, data):
        return {"type": "system_event", "level": "info", "message": message, "data": data, "timestamp": AT}

    def marker(self, word, channel):
        self.events.append(self.system(f"{word}@{channel}", {"test": True}))

    def created(self, entity, row):
        return self.event(entity, "created", {k: v for k, v in row.items() if k != "updated_at"}, "create")

    def reading(self, id, temperature, n, k=0):
        return {"id": id, "sensor_id": 1, "temperatura": temperature, "humedad": 50, "timestamp": iso(T0 + n * 1000 + k), "created_at": AT, "updated_at": AT}

    def anomaly(self, id, reading, machine, tipo, valor):
        row = {"id": id, "lectura_id": reading, "machine_id": machine, "tipo": tipo, "valor": valor, "resuelta": False, "resuelta_at": None,
               "created_at": AT, "updated_at": AT}
        return self.event("anomalia", "anomaly_detected", row, "x") | {"metadata": {"action": "detect_anomalia"}}

    def solved(self, id):
        data = {"id": id, "resuelta": True, "resuelta_at": LATER, "updated_at": LATER}
        return self.event("anomalia", "updated", data, "resolve", fields_updated=["resuelta", "resuelta_at"])

    # --- the story --------------------------------------------------------------------------------------------------------

    def sensor_and_readings(self):
        sensor = {"id": 1, "tipo": "t", "modelo": "M1", "created_at": AT, "updated_at": AT}
        self.ask("create", "sensor", 201, {"tipo": "t", "modelo": "M1"}, told=sensor, told_etag=1, tags=["M1"], events=[self.created("sensor", sensor)])
        hot = self.reading(1, 36.5, 2)
        self.ask("create", "lectura", 201, {"sensor_id": 1}, told=hot, told_etag=1, tags=[hot["timestamp"]],
                 events=[self.created("lectura", hot), self.anomaly(1, 1, None, "temperatura_alta", 36.5)])
        self.events.append(self.anomaly(2, None, "m1", "alarma", 1))
        change = self.event("sensor", "updated", {"id": 1, "modelo": "M3", "updated_at": LATER}, "update", fields_updated=["modelo"])
        changed = {**sensor, "modelo": "M3", "updated_at": LATER}
        self.ask("update", "sensor", 200, {"modelo": "M3"}, id=1, etag=1, told=changed, told_etag=2, tags=["M3"], events=[change])
        self.ask("update", "sensor", 412, {"modelo": "M4"}, id=1, etag=1, told={"detail": "x"}, tags=["M4"])
        self.ask("same", "sensor", 200, {"modelo": "M3"}, id=1, etag=2, told=changed, told_etag=2)
        self.ask("read", "sensor", 200, id=1, told=changed, told_etag=2)

    def deaths(self):
        self.note("down", victim="s1", how="kill")
        rows = [self.reading(2, 20, 7, 0), self.reading(3, 20, 7, 1)]
        self.ask("bulk", "lectura", 0, [{"sensor_id": 1}] * 2, tags=[r["timestamp"] for r in rows], events=[self.created("lectura", r) for r in rows])
        self.ask("bulk", "lectura", 503, [{"sensor_id": 1}] * 2, told={"detail": "no se sabe"}, tags=[iso(T0 + 8000), iso(T0 + 8001)])
        self.note("up", victim="s1")
        self.clock += 2000
        self.events.append(self.system("Proceso caído", {"process": "store"}))
        self.events += [self.system("Máquina sin conexión", {"machine_id": "m1", "connection_status": "error"}),
                        self.anomaly(3, None, "m1", "conexion_perdida", 1), self.system("Máquina conectada", {"machine_id": "m1"}), self.solved(3)]
        rows = [self.reading(4, 20, 9, 0), self.reading(5, 20, 9, 1)]
        self.ask("bulk", "lectura", 201, [{"sensor_id": 1}] * 2, told=rows, tags=[r["timestamp"] for r in rows], events=[self.created("lectura", r) for r in rows])

    def places(self):
        place = {"id": 1, "sensor_id": 1, "latitud": 1.5, "longitud": 2, "descripcion": "L10", "created_at": AT, "updated_at": AT}
        self.ask("create", "ubicacion", 201, dict(place), told=place, told_etag=1, tags=["L10"], events=[self.created("ubicacion", place)])
        self.ask("create", "ubicacion", 409, {**place, "descripcion": "L11"}, told={"detail": "x"}, tags=["L11"])
        guess = {"id": 1, "ubicacion_id": 1, "probabilidad": 0.5, "comentario": "P12", "created_at": AT, "updated_at": AT}
        event = self.event("prediccion", "prediction_completed", guess, "x") | {"metadata": {"action": "generate_prediccion"}}
        self.ask("generate", "prediccion", 201, {"ubicacion_id": 1}, told=guess, told_etag=1, tags=["P12"], events=[event])

    def the_end(self):
        row = {**self.anomaly(1, 1, None, "temperatura_alta", 36.5)["data"], "resuelta": True, "resuelta_at": LATER, "updated_at": LATER}
        self.ask("solve", "anomalia", 200, {"resuelta": True}, id=1, told=row, told_etag=2, events=[self.solved(1)])
        self.events.append(self.solved(2))
        gone = [self.event("anomalia", "deleted", {"id": 1, "deleted_at": LATER}, "delete", cascade_from="lectura"),
                self.event("lectura", "deleted", {"id": 1, "deleted_at": LATER}, "delete")]
        self.ask("delete", "lectura", 204, id=1, events=gone)
        self.ask("read", "lectura", 404, id=1, told={"detail": "x"})
        self.ask("detect", "lectura", 200, id=2, told=[])
        self.ask("test", None, 200, told={"message": "x"}, tags=["T17@sensors"], events=[self.system("T17@sensors", {"test": True})])
        self.ask("invalid", None, 422, told={"detail": []})
        for channel in ("sensors", "general"):
            self.marker(END, channel)
        self.note("end")

    # --- files ------------------------------------------------------------------------------------------------------------

    def frames(self, events):
        return [compact(payload)[:-1] + f',"seq":"{RING}-{7 * n + 1}"}}' for n, payload in enumerate(events)]

    def settle(self):
        """What follows from the events as they are now."""
        texts = self.frames(self.events)
        self.told, self.table = list(texts), list(texts)
        sensors = [t for t in texts if channel(Frame(t)) == "sensors"]
        self.heard = {"general": list(texts), "sensors": sensors}
        model = EntityModel()
        for text in texts:
            model.take(Frame(text))
        self.rows = {entity: list(rows.values()) for entity, rows in model.rows.items()}
        self.table_rows = json.loads(json.dumps(self.rows))

    def findings(self):
        directory = Path(tempfile.mkdtemp(prefix="ns."))
        try:
            (directory / "heard").mkdir()
            write_lines(directory / "record.jsonl", self.record)
            write_lines(directory / "machines.jsonl", self.machines)
            (directory / "events.jsonl").write_text("".join(t + "\n" for t in self.told))
            (directory / "rows.json").write_text(json.dumps(self.rows))
            for name, texts in self.heard.items():
                lines = [{"at": T0, "join": name, "worker": "w1", "since": None}, *({"at": T0, "frame": t} for t in texts)]
                write_lines(directory / f"heard/{name}.jsonl", lines)
            return store_checker.check(StoreStory(directory), [Frame(t) for t in self.table], self.table_rows)
        finally:
            shutil.rmtree(directory)

    # --- mischief ---------------------------------------------------------------------------------------------------------

    def asked(self, n):
        return next(e for e in self.record if e["what"] == "ask" and e["n"] == n)

    def answer(self, n):
        return next(e for e in self.record if e["what"] in ("told", "silent") and e["n"] == n)

    def at(self, **want):
        """Place of the first event that fits."""
        return next(i for i, e in enumerate(self.events) if all(e.get(k) == v for k, v in want.items()))


def channel(frame):
    return CHANNEL_OF[frame["entity_type"]] if frame["type"] == "entity_event" else frame["message"].partition("@")[2] or "general"


def write_lines(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


# Each spoils one thing. Those that change `events` are followed everywhere (settle()); the others change one witness alone.


def change_lost(s):
    """Told 201, and neither event nor row."""
    del s.events[s.at(entity_type="ubicacion"):s.at(entity_type="prediccion") + 1]
    s.settle()


def event_without_row(s):
    s.rows["lectura"] = [r for r in s.rows["lectura"] if r["id"] != 4]


def row_without_event(s):
    s.table_rows["lectura"].append({**s.table_rows["lectura"][0], "id": 99})


def row_is_otherwise(s):
    s.table_rows["sensor"][0]["modelo"] = "M1"


def row_twice(s):
    s.rows["sensor"].append(dict(s.rows["sensor"][0]))


def created_twice(s):
    s.events.insert(s.at(entity_type="ubicacion") + 1, s.events[s.at(entity_type="ubicacion")])
    s.settle()


def orphan(s):
    del s.events[s.at(entity_type="anomalia", event_type="deleted")]
    s.settle()


def change_of_nothing(s):
    s.events.insert(s.at(entity_type="sensor", event_type="updated"), s.events[s.at(entity_type="sensor", event_type="updated")])
    s.settle()


def event_not_told(s):
    del s.told[5]


def event_not_kept(s):
    del s.table[5]


def told_in_another_order(s):
    s.told[4], s.told[5] = s.told[5], s.told[4]


def published_in_another_order(s):
    """The ring has two events the other way round than the commits were."""
    place = s.at(entity_type="lectura", entity_id=2)
    s.table[place:place + 2] = s.table[place:place + 2][::-1]


def never_heard(s):
    del s.heard["general"][6]


def heard_twice(s):
    s.heard["general"].insert(8, s.heard["general"][6])


def heard_out_of_order(s):
    s.heard["general"][6:8] = s.heard["general"][7:5:-1]


def heard_otherwise(s):
    s.heard["sensors"][1] = s.heard["sensors"][1].replace("M1", "M2")


def heard_elsewhere(s):
    s.heard["sensors"].insert(1, s.heard["general"][3])


def heard_a_gap(s):
    s.heard["sensors"].insert(2, '{"type":"gap","channel":"sensors","timestamp":"%s"}' % AT)


def heard_no_end(s):
    s.heard["sensors"].pop()


def nobody_asked(s):
    s.events.insert(s.at(message=f"{END}@sensors"), s.created("sensor", {"id": 2, "tipo": "t", "modelo": "M99", "created_at": AT, "updated_at": AT}))
    s.settle()


def nobody_deleted(s):
    s.events.insert(s.at(message=f"{END}@sensors"), s.event("lectura", "deleted", {"id": 5, "deleted_at": LATER}, "delete"))
    s.settle()


def refused_delete_made(s):
    s.answer(14).update(status=412, body={"detail": "x"})


def cascade_from_nothing(s):
    place = s.at(entity_type="anomalia", event_type="deleted")
    s.events.insert(place + 1, s.events.pop(s.at(message="T17@sensors")))
    s.settle()


def in_turns(s, change=None):
    """A sensor with five readings: the first five rows go, then somebody asks for something else, then the rest."""
    place = s.at(message=f"{END}@sensors")
    sensor = {"id": 7, "tipo": "t", "modelo": "M70", "created_at": AT, "updated_at": AT}
    readings = [{**s.reading(70 + k, 20, 70, k), "sensor_id": 7} for k in range(5)]
    gone = [s.event("lectura", "deleted", {"id": r["id"], "deleted_at": LATER}, "delete", cascade_from="sensor") for r in readings]
    rest = [change] if change else []
    rest += [s.system("T73@sensors", {"test": True}), s.event("sensor", "deleted", {"id": 7, "deleted_at": LATER}, "delete")]
    s.events[place:place] = [s.created("sensor", sensor), *(s.created("lectura", r) for r in readings), *gone, *rest]
    end = s.record.pop()
    s.ask("create", "sensor", 201, {"tipo": "t", "modelo": "M70"}, told=sensor, told_etag=1, tags=["M70"])
    s.ask("bulk", "lectura", 201, [{"sensor_id": 7}] * 5, told=readings, tags=[r["timestamp"] for r in readings])
    deletion = len(s.record)
    s.ask("delete", "sensor", 204, id=7)
    answer = s.record.pop()
    s.ask("create", "lectura", 409, {"sensor_id": 7}, told={"detail": "El sensor se está borrando"}, tags=["x"])
    s.ask("test", None, 200, told={"message": "x"}, tags=["T73@sensors"])
    s.ask("update", "sensor", 409, {"modelo": "M71"}, id=7, told={"detail": "El sensor se está borrando"}, tags=["M71"])
    assert s.record[deletion]["op"] == "delete"
    s.clock += 1
    s.record += [{**answer, "at": T0 + s.clock * MS}, end]
    s.settle()


def changed_while_it_goes(s):
    in_turns(s, s.event("sensor", "updated", {"id": 7, "modelo": "M71", "updated_at": LATER}, "update", fields_updated=["modelo"]))
    s.record = [{**e, "status": 200} if e["what"] == "told" and e.get("body") == {"detail": "El sensor se está borrando"} else e for e in s.record]


def half_of_a_sensor(s):
    """The last turn was never made."""
    in_turns(s)
    s.events = [e for e in s.events if not (e.get("event_type") == "deleted" and e["entity_type"] == "sensor")]
    s.settle()


def refused_for_nothing(s):
    in_turns(s)
    told = next(e for e in s.record if e["what"] == "told" and e.get("body") == {"detail": "El sensor se está borrando"})
    s.asked(told["n"])["body"] = {"sensor_id": 1}


def test_event_of_nobody(s):
    s.asked(17)["tags"] = ["T18@sensors"]


def told_another_row(s):
    s.answer(1)["body"]["modelo"] = "M2"


def told_another_version(s):
    s.answer(3)["etag"] = 3


def overwritten(s):
    """If-Match was not looked at: the fourth request was carried out, and said so."""
    change = s.event("sensor", "updated", {"id": 1, "modelo": "M4", "updated_at": LATER}, "update", fields_updated=["modelo"])
    s.events.insert(s.at(entity_type="sensor", event_type="updated") + 1, change)
    s.answer(4).update(status=200, etag=3, body={**s.answer(3)["body"], "modelo": "M4"})
    s.answer(5).update(etag=3)
    s.settle()


def deleted_and_there(s):
    s.events = [e for e in s.events if e.get("event_type") != "deleted"]
    s.settle()


def solved_and_not(s):
    s.answer(13)["body"]["resuelta"] = False


def many_but_one(s):
    s.answer(9)["body"].pop()


def nothing_changed_but_the_version(s):
    s.answer(5)["etag"] = 3


def half_of_many(s):
    """Not answered, and one of two rows is there."""
    del s.events[s.at(entity_type="lectura", entity_id=3)]
    s.settle()


def many_out_of_order(s):
    place = s.at(entity_type="lectura", entity_id=2)
    first, second = s.events[place:place + 2]
    first["data"]["timestamp"], second["data"]["timestamp"] = second["data"]["timestamp"], first["data"]["timestamp"]
    s.settle()


def refused_and_made(s):
    s.answer(3).update(status=412, body={"detail": "x"})


def nothing_done_and_made(s):
    s.answer(7).update(what="told", status=503, body={"detail": "Almacén no disponible: no se ha hecho nada"})


def answered_before_committed(s):
    """The first request's event comes behind that of a later one."""
    place = {"id": 2, "tipo": "t", "modelo": "M19", "created_at": AT, "updated_at": AT}
    s.record.pop()
    s.ask("create", "sensor", 201, {}, told=place, told_etag=1, tags=["M19"])
    s.note("end")
    s.events.insert(s.at(entity_type="ubicacion"), s.created("sensor", place))
    s.settle()


def stale_read(s):
    s.answer(6)["body"] = s.answer(1)["body"]


def read_what_is_gone(s):
    s.answer(15).update(status=200, etag=1, body=s.answer(2)["body"])


def missing_and_there(s):
    s.answer(6).update(status=404, body={"detail": "x"})


def unchanged_and_refused(s):
    s.asked(4)["etag"] = 2


def free_and_refused(s):
    s.asked(11)["body"]["latitud"] = 3


def refused_without_cause(s):
    s.record = [e for e in s.record if e["what"] not in ("down", "up")]


def never_told(s):
    s.record.remove(s.answer(10))


def invalid_and_made(s):
    s.answer(18).update(status=201)


def other_status(s):
    s.answer(10).update(status=500, body={"detail": "x"})


def not_detected(s):
    s.events = [e for e in s.events if not (e.get("entity_type") == "anomalia" and e["entity_id"] == 1)]
    s.settle()


def detected_twice(s):
    s.events.insert(s.at(event_type="anomaly_detected") + 2, s.anomaly(3, 1, None, "temperatura_alta", 36.5))
    s.settle()


def alarm_forgotten(s):
    s.machines += [{"machine": "m1", "tipo": "alarma", "active": on} for on in (True, False)]


def alarm_twice(s):
    s.events.insert(s.at(message="Proceso caído"), s.anomaly(4, None, "m1", "alarma", 1))
    s.settle()


def lost_twice(s):
    s.events.insert(s.at(message="Máquina conectada"), s.events[s.at(message="Máquina sin conexión")])
    s.settle()


def alarm_not_solved(s):
    del s.events[s.at(entity_type="anomalia", event_type="updated", entity_id=2)]
    s.settle()


PLANTED = [("answered-true", change_lost), ("replayed", event_without_row), ("replayed", row_without_event), ("replayed", row_is_otherwise),
           ("replayed", row_twice), ("replayed", created_twice), ("replayed", orphan), ("replayed", change_of_nothing), ("same-events", event_not_told),
           ("same-events", event_not_kept), ("same-events", told_in_another_order), ("same-events", published_in_another_order),
           ("heard-once", never_heard), ("heard-once", heard_twice), ("heard-once", heard_out_of_order), ("heard-once", heard_otherwise),
           ("heard-once", heard_elsewhere), ("heard-once", heard_a_gap), ("heard-once", heard_no_end), ("asked-for", nobody_asked),
           ("asked-for", nobody_deleted), ("asked-for", refused_delete_made), ("asked-for", cascade_from_nothing), ("asked-for", test_event_of_nobody),
           ("answered-true", told_another_row), ("answered-true", told_another_version), ("answered-true", overwritten),
           ("answered-true", deleted_and_there), ("answered-true", solved_and_not), ("answered-true", many_but_one),
           ("answered-true", nothing_changed_but_the_version), ("whole-or-not", half_of_many), ("whole-or-not", many_out_of_order),
           ("whole-or-not", refused_and_made), ("whole-or-not", nothing_done_and_made), ("in-order", answered_before_committed), ("in-order", stale_read), ("in-order", read_what_is_gone),
           ("refused-right", missing_and_there), ("refused-right", unchanged_and_refused), ("refused-right", free_and_refused),
           ("refused-right", refused_without_cause), ("refused-right", never_told), ("refused-right", invalid_and_made),
           ("refused-right", other_status), ("detected", not_detected), ("detected", detected_twice), ("detected", alarm_forgotten),
           ("detected", alarm_twice), ("detected", alarm_not_solved),
           ("detected", lost_twice), ("asked-for", changed_while_it_goes), ("asked-for", half_of_a_sensor), ("refused-right", refused_for_nothing)]


def is_true(tell=lambda story: None):
    story = Story()
    tell(story)
    for text in story.told:
        check_frame(text, Frame(text))
    found = story.findings()
    return found == [] or print(*found, sep="\n")


def is_named(rule, plant):
    story = Story()
    plant(story)
    found = story.findings()
    return any(f.startswith(rule + ":") for f in found) or print(*(["    found instead:"] + found), sep="\n    ")


CASES = [("store: a true story passes", is_true), ("store: a true story with a deletion in turns passes", lambda: is_true(in_turns))]
CASES += [(f"store: {rule}: {plant.__name__}", lambda rule=rule, plant=plant: is_named(rule, plant)) for rule, plant in PLANTED]
