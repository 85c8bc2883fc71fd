"""Random operations against a model that is a few dicts (stagecraft/store_model.py), at three workers, while workers, broker and store die: every
answer is predicted, a write that was not answered is there whole or not at all, and in the end the events that one listener heard rebuild the rows.

    tests/play/run-plays -k store_model --seed 7 --seconds 600
"""
import asyncio
import json
import math
import os
import random

from stagecraft.channel_frames import ENTITIES
from stagecraft.database import iso
from stagecraft.entity_model import EntityModel
from stagecraft.httpclient import Cut
from stagecraft.registry import play
from stagecraft.store_model import StoreModel
from stagecraft.wait import next_look, now, until

SEED = int(os.environ.get("NORIA_PLAY_SEED", random.SystemRandom().randrange(10 ** 6)))
SECONDS = float(os.environ.get("NORIA_PLAY_SECONDS", "15"))
WORKERS = ["w1", "w2", "w3"]
WORDS = ["Bodega", "ÁREA norte", "área SUR", "línea 7", "100%", "a_b", "\"x\"\\", "😀", "", None]
DEEDS = {"create": 30, "many": 6, "update": 16, "delete": 6, "solve": 4, "generate": 5, "test": 1, "read": 10, "list": 12, "ask": 25, "die": 3}


class Run:
    def __init__(self, s, dice):
        self.s, self.dice, self.model, self.steps, self.unsure, self.deaths = s, dice, StoreModel(), 0, 0, 0
        self.large = 0
        self.dying = None

    async def go(self):
        self.steps += 1
        deed = self.dice.choices(list(DEEDS), list(DEEDS.values()))[0]
        await getattr(self, "_" + deed)()

    # --- asking -----------------------------------------------------------------------------------------------------------

    async def says(self, method, path, body=None, query=None, **headers):
        """A reply; None: there was none, or it does not know."""
        try:
            reply = await self.s.api(on=self.dice.choice(WORKERS), within=15).request(method, path, body, query, **headers)
        except (OSError, EOFError, Cut):
            assert self.deaths, "nobody has died"
            await next_look()
            return None
        if reply.status == 503:
            assert self.deaths, f"nobody has died: {reply}"
            await next_look()
            return None
        return reply

    async def asks(self, path, **query):
        """The answer to a question, asked until there is one."""
        async def answered():
            return await self.says("GET", path, query=query)
        return await until(f"an answer to {path}", answered, 20)

    async def everything(self):
        found = {}
        for entity in ENTITIES:
            rows = []
            while True:
                more = (await self.asks(self.path(entity), skip=len(rows), limit=500)).rows(entity)
                rows += more
                if len(more) < 500:
                    break
            found[entity] = rows
        return found

    async def settled(self, made):
        """A write was not answered: what is there now is what was, or made(found) says that it is what was asked for. True: it was made."""
        self.unsure += 1
        await self.everything()  # behind that, it was begun or never will be; begun, it is made to its end, and only then looked at
        await until("a deletion to be made to its end", lambda: not self.s.database.query("SELECT 1 FROM deletions"), 20)
        found = await self.everything()
        if not self.model.differs(found):
            return False
        made({entity: {row["id"]: row for row in rows} for entity, rows in found.items()}, self.model.differs(found))
        assert not self.model.differs(found), f"{self.model.differs(found)} is neither as it was nor as it should be"
        return True

    def path(self, entity, id=None):
        return f"/{self.dice.choice(ENTITIES[entity][:2])}" + (f"/{id}" if id is not None else "") + "/" * (self.dice.random() < 0.1)

    def any(self, entity):
        """An id, mostly one that is there."""
        if self.dice.random() < 0.05 and self.model.gone[entity]:
            return self.dice.choice(self.model.gone[entity])
        ids = list(self.model.rows[entity])
        return self.dice.choice(ids) if ids else 10 ** 6

    # --- writes -----------------------------------------------------------------------------------------------------------

    def members(self, entity):
        if entity == "sensor":
            return {"tipo": self.dice.choice(["temperatura", "humedad", "ñ"]), "modelo": f"M{self.steps}"}
        if entity == "lectura":
            when = {"timestamp": iso(1_700_000_000_000 + self.dice.randrange(10 ** 9))} if self.dice.random() < 0.7 else {}
            return {"sensor_id": self.any("sensor"), "temperatura": self.dice.choice([round(self.dice.gauss(22, 4), 3), -50, 60, 35, 5, 4.999]),
                    "humedad": self.dice.choice([round(self.dice.gauss(50, 9), 2), 0, 100, 90, 10]), **when}
        if entity == "ubicacion":
            return {"sensor_id": self.any("sensor"), "latitud": self.dice.randrange(-900, 901) / 10, "longitud": self.dice.randrange(-1800, 1801) / 10,
                    "descripcion": self.dice.choice(WORDS)}
        if entity == "anomalia":
            return {"lectura_id": self.any("lectura"), "tipo": "manual", "valor": self.dice.randrange(200) / 2}
        return {"ubicacion_id": self.any("ubicacion"), "probabilidad": self.dice.randrange(1001) / 1000, "comentario": self.dice.choice(WORDS)}

    async def _create(self):
        entity = self.dice.choice(["sensor", "lectura", "lectura", "lectura", "ubicacion", "ubicacion", "anomalia", "prediccion"])
        members = self.members(entity)
        wanted = {**members, "resuelta": False} if entity == "anomalia" else members
        reply = await self.says("POST", self.path(entity), members)
        if reply is None:
            await self.settled(lambda found, where: self.takes_new(entity, [wanted], found, where))
        elif self.model.orphaned(entity, members):
            reply.refused(404)
        elif entity == "ubicacion" and self.model.place_taken(members["latitud"], members["longitud"]):
            reply.refused(409)
        else:
            row = reply.row(entity, 201)
            assert row.etag == '"1"', reply
            self.model.add(entity, row, wanted)
            await self.detected([row] if entity == "lectura" else [])

    async def _many(self):
        rows = [self.members("lectura") for _ in range(self.dice.choice([1, 2, 7, 30]))]
        reply = await self.says("POST", self.path("lectura"), rows)
        if reply is None:
            await self.settled(lambda found, where: self.takes_new("lectura", rows, found, where))
        elif any(self.model.orphaned("lectura", row) for row in rows):
            reply.refused(404)
        else:
            made = reply.rows("lectura", 201)
            for row, members in zip(made, rows, strict=True):
                self.model.add("lectura", row, members)
            await self.detected(made)

    async def detected(self, readings):
        for reading in readings:
            self.model.adopt_anomalies(reading, (await self.asks("/anomalies", lectura_id=reading["id"])).rows("anomalia"))

    def takes_new(self, entity, wanted, found, where):
        new = [found[entity][id] for id in where[entity]]
        for row, members in zip(new, wanted, strict=True):
            self.model.add(entity, row, members)
        if entity == "lectura":
            for row in new:
                self.model.adopt_anomalies(row, [a for a in found["anomalia"].values() if a["lectura_id"] == row["id"]])

    async def _update(self):
        entity = self.dice.choice(["sensor", "lectura", "ubicacion", "anomalia", "prediccion"])
        id, members = self.any(entity), self.members(entity)
        members.pop("lectura_id", None)
        keep = self.dice.sample(list(members), self.dice.randrange(1, len(members) + 1))
        await self.updates(entity, id, {k: members[k] for k in members if k in keep})

    async def _solve(self):
        await self.updates("anomalia", self.any("anomalia"), {"resuelta": True})

    async def updates(self, entity, id, members):
        version = self.model.versions.get((entity, id), 1) if id in self.model.rows[entity] else 1
        etag = self.dice.choice([None, None, version, version + 1, max(1, version - 1)])
        reply = await self.says("PUT", self.path(entity, id), members, **({"If_Match": f'"{etag}"'} if etag else {}))
        if reply is None:
            await self.settled(lambda found, where: self.model.change(entity, id, found[entity][id], members))
        elif id not in self.model.rows[entity]:
            reply.refused(404)
        elif etag not in (None, version):
            reply.refused(412)
        elif self.refuses_change(entity, id, members):
            reply.refused(self.refuses_change(entity, id, members))
        else:
            row = reply.row(entity)
            self.model.change(entity, id, row, members)
            assert row.etag == f'"{self.model.versions[entity, id]}"', reply

    def refuses_change(self, entity, id, members):
        row = {**self.model.rows[entity][id], **members}
        if any(m in members for m in ("sensor_id", "ubicacion_id")) and self.model.orphaned(entity, row):
            return 404
        return 409 if entity == "ubicacion" and self.model.place_taken(row["latitud"], row["longitud"], but=id) else None

    async def _delete(self):
        entity = self.dice.choice(["sensor", "lectura", "lectura", "ubicacion", "anomalia", "prediccion"])
        id = self.any(entity)
        reply = await self.says("DELETE", self.path(entity, id))
        if reply is None:
            await self.settled(lambda found, where: self.model.remove(entity, id))
        elif id not in self.model.rows[entity]:
            reply.refused(404)
        else:
            assert reply.status == 204, reply
            self.large += self.model.remove(entity, id) > 3

    async def _generate(self):
        place, given = self.any("ubicacion"), {}
        if self.dice.random() < 0.7:
            given["temperatura_promedio"] = self.dice.randrange(-100, 500) / 10
        if self.dice.random() < 0.7:
            given["humedad_promedio"] = self.dice.randrange(0, 1000) / 10
        row = self.model.rows["ubicacion"].get(place)
        stored = self.model.averages(row["sensor_id"]) if row else None
        body = {"ubicacion_id": place, "comentario": f"G{self.steps}", **given}
        by_query = self.dice.random() < 0.3
        reply = await self.says("POST", "/predictions/generate", None if by_query else body, body if by_query else None)
        if reply is None:
            await self.settled(lambda found, where: self.predicted(found["prediccion"][where["prediccion"][0]], body, stored))
        elif row is None:
            reply.refused(404)
        elif len(given) < 2 and not stored[2]:
            reply.refused(422)
        else:
            self.predicted(reply.row("prediccion", 201), body, stored)

    def predicted(self, row, body, stored):
        wanted = self.model.probability(body.get("temperatura_promedio", stored[0]), body.get("humedad_promedio", stored[1]))
        assert math.isclose(row["probabilidad"], wanted, rel_tol=1e-9, abs_tol=1e-12), (row, wanted)
        self.model.add("prediccion", row, {"ubicacion_id": body["ubicacion_id"], "probabilidad": row["probabilidad"], "comentario": body["comentario"]})

    async def _test(self):
        await self.says("POST", "/ws/test-event", query={"channel": "general", "message": f"T{self.steps}"})

    # --- questions --------------------------------------------------------------------------------------------------------

    async def _read(self):
        entity = self.dice.choice(list(ENTITIES))
        id = self.any(entity)
        reply, row = await self.asks(self.path(entity, id)), self.model.rows[entity].get(id)
        if row is None:
            reply.refused(404)
        else:
            assert reply.row(entity) == row and reply.row(entity).etag == f'"{self.model.versions[entity, id]}"', (reply, row)

    async def _list(self):
        entity = self.dice.choice(list(ENTITIES))
        skip, limit = self.dice.randrange(20), self.dice.choice([1, 10, 100])
        filters = {}
        if self.model.rows[entity] and self.dice.random() < 0.6:
            row = self.dice.choice(self.model.all(entity))
            member = self.dice.choice({"sensor": ["tipo", "modelo"], "lectura": ["sensor_id", "temperatura"], "ubicacion": ["sensor_id", "latitud"],
                                       "anomalia": ["lectura_id", "tipo", "resuelta"], "prediccion": ["ubicacion_id"]}[entity])
            filters[member] = row[member]
        query = {k: json.dumps(v) if isinstance(v, bool) else v for k, v in filters.items()}
        self.same(await self.asks(self.path(entity), skip=skip, limit=limit, **query), entity, self.model.list(entity, skip, limit, **filters))

    def same(self, reply, entity, wanted):
        rows = [dict(row) for row in reply.rows(entity)]
        assert rows == [dict(row) for row in wanted], f"wanted {wanted[:3]}…, got {rows[:3]}…"

    async def _ask(self):
        await self.dice.choice([self.of_sensor, self.stats, self.search, self.nearby, self.critical, self.risky, self.of_place, self.counted])()

    async def of_sensor(self):
        sensor, skip = self.any("sensor"), self.dice.randrange(5)
        reply = await self.asks(f"/readings/sensor/{sensor}", skip=skip, limit=7)
        if sensor not in self.model.rows["sensor"]:
            return reply.refused(404)
        self.same(reply, "lectura", self.model.readings_of(sensor, skip, 7))

    async def stats(self):
        sensor = self.any("sensor")
        reply = await self.asks(f"/readings/sensor/{sensor}/stats")
        if sensor not in self.model.rows["sensor"]:
            return reply.refused(404)
        told, (temperature, humidity, count) = reply.json(), self.model.averages(sensor)
        assert list(told) == ["temperatura_promedio", "humedad_promedio", "total_lecturas"] and told["total_lecturas"] == count, told
        for average, wanted in ((told["temperatura_promedio"], temperature), (told["humedad_promedio"], humidity)):
            assert (average is None) == (wanted is None) and (average is None or math.isclose(average, wanted, rel_tol=1e-9, abs_tol=1e-9)), (told, wanted)

    async def search(self):
        q = self.dice.choice(["bodega", "ÁREA", "área", "7", "%", "_", "\"", "😀", "SUR", "nada"])
        self.same(await self.asks("/locations/search", q=q), "ubicacion", self.model.search(q))

    async def nearby(self):
        latitud, longitud, radio = self.dice.randrange(-90, 91), self.dice.randrange(-180, 181), self.dice.choice([10, 500, 3000, 20000])
        rows = (await self.asks("/locations/nearby", latitud=latitud, longitud=longitud, radio=radio)).rows("ubicacion", more=["distancia_km"])
        wanted = self.model.near(latitud, longitud, radio)
        sure = [row["id"] for km, row in wanted if km < radio * 0.99]
        may = {row["id"] for km, row in self.model.near(latitud, longitud, radio * 1.01)}
        assert set(sure) <= {row["id"] for row in rows} <= may, (latitud, longitud, radio, rows, wanted)
        distances = [row["distancia_km"] for row in rows]
        assert distances == sorted(distances), distances
        for row in rows:
            mine = dict(row)
            km = mine.pop("distancia_km")
            assert mine == self.model.rows["ubicacion"][row["id"]], mine
            wanted_km = next(k for k, r in self.model.near(latitud, longitud, 10 ** 6) if r["id"] == row["id"])
            assert math.isclose(km, wanted_km, rel_tol=0.006, abs_tol=0.01), (km, wanted_km)

    async def critical(self):
        threshold = self.dice.choice([None, 0, 36, 99.5])
        query = {} if threshold is None else {"threshold": threshold}
        self.same(await self.asks("/anomalies/critical", **query), "anomalia", self.model.critical(**query)[:1000])

    async def risky(self):
        threshold = self.dice.choice([None, 0.2, 0.999])
        query = {} if threshold is None else {"threshold": threshold}
        self.same(await self.asks("/predictions/high-risk", **query), "prediccion", self.model.high_risk(**query)[:1000])

    async def of_place(self):
        place = self.any("ubicacion")
        reply, latest = await self.asks(f"/predictions/location/{place}"), await self.asks(f"/predictions/location/{place}/latest")
        wanted = self.model.predictions_of(place)
        if place not in self.model.rows["ubicacion"]:
            reply.refused(404), latest.refused(404)
        else:
            self.same(reply, "prediccion", wanted[:100])
            assert dict(latest.row("prediccion")) == wanted[0] if wanted else latest.refused(404), latest

    async def counted(self):
        anomalies, told = self.model.all("anomalia"), (await self.asks("/anomalies/statistics")).json()
        assert told["total_anomalias"] == len(anomalies) and told["resueltas"] == sum(a["resuelta"] for a in anomalies), told
        assert told["por_tipo"] == {t: sum(a["tipo"] == t for a in anomalies) for t in {a["tipo"] for a in anomalies}}, told
        predictions, told = self.model.all("prediccion"), (await self.asks("/predictions/statistics")).json()
        assert told["total_predicciones"] == len(predictions) and told["alto_riesgo"] == len(self.model.high_risk()), told

    # --- deaths -----------------------------------------------------------------------------------------------------------

    async def _die(self):
        """In the middle of what comes next."""
        if self.dying is not None:
            await self.dying
        self.deaths += 1
        self.dying = asyncio.ensure_future(self.dies(self.dice.choice(["w1", "w2", "b1", "s1"]), self.dice.random() * 0.03))

    async def dies(self, name, after):
        end = now() + after
        await until("a moment to pass", lambda: now() >= end)
        await self.s.actor(name).restart()


@play("random operations, three workers, deaths: every answer as the model says, and the events rebuild the rows", "asan", within=SECONDS + 120)
async def store_model(s):
    print(f"seed {SEED}, {SECONDS:g} s")
    s.set("store", delete_rows=3)  # most deletions of sensors take several turns
    await s.channels_house(*WORKERS)
    run, end = Run(s, random.Random(SEED)), now() + SECONDS
    listener = await s.channel("listener", on="w3")
    while now() < end:
        try:
            await run.go()
        except AssertionError as error:
            raise AssertionError(f"seed {SEED}, step {run.steps}: {error}") from error
    if run.dying is not None:
        await run.dying
    assert not run.model.differs(await run.everything()), run.model.differs(await run.everything())

    async def marked():
        return await run.says("POST", "/ws/test-event", query={"message": "end"})
    await until("the last event to be taken", marked, 20)
    await listener.said_by_system("end", within=20)
    replay = EntityModel()
    for frame in listener.frames:
        replay.take(frame)
    assert not replay.complaints, replay.complaints[:3]
    for entity, rows in run.model.rows.items():
        assert not replay.differences(entity, list(rows.values())), replay.differences(entity, list(rows.values()))[:3]
    print(f"{run.steps} steps, {run.deaths} deaths, {run.unsure} writes not answered, {run.large} deletions in turns, {len(listener.frames)} events")
