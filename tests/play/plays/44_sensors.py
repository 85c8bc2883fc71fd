"""Sensors, readings, locations, anomalies and predictions over REST: every route, in both languages, with what its channels hear."""
import asyncio

from stagecraft.channel_frames import ENTITIES
from stagecraft.registry import play
from stagecraft.wait import until

DHT22 = {"tipo": "temperatura", "modelo": "DHT22"}


async def stocked(s, api):
    """One of each."""
    sensor = await api.create("sensor", **DHT22)
    reading = await api.create("lectura", sensor_id=sensor.id, temperatura=21.5, humedad=55)
    location = await api.create("ubicacion", sensor_id=sensor.id, latitud=40.4168, longitud=-3.7038, descripcion="Nave 3, pasillo É")
    anomaly = await api.create("anomalia", lectura_id=reading.id, tipo="manual", valor=7.25)
    prediction = await api.create("prediccion", ubicacion_id=location.id, probabilidad=0.25)
    return {"sensor": sensor, "lectura": reading, "ubicacion": location, "anomalia": anomaly, "prediccion": prediction}


CHANGES = {"sensor": {"modelo": "DHT11"}, "lectura": {"humedad": 56.5}, "ubicacion": {"descripcion": None}, "anomalia": {"tipo": "otra"},
           "prediccion": {"comentario": "revisada"}}


@play("one of each is made, read, listed, changed and removed, in English and in Spanish, and heard once each", "asan")
async def every_entity(s):
    await s.channels_house()
    api, c1 = s.api(), await s.channel("c1", "general")
    rows = await stocked(s, api)
    for entity, row in rows.items():
        assert row.id == 1 and row.etag == '"1"' and row["updated_at"] == row["created_at"], row
        await c1.event(entity, "created", 1)
    for entity, row in rows.items():
        english, spanish = ENTITIES[entity][:2]
        for path in (f"/{english}/1", f"/{spanish}/1", f"/{spanish}/1/"):
            assert (await api.get(path)).row(entity) == row
        for path in (f"/{english}", f"/{english}/", f"/{spanish}"):
            assert (await api.get(path)).rows(entity) == [row]
        head = await api.request("HEAD", f"/{spanish}/1")
        assert head.status == 200 and head.body == b"" and head.headers["etag"] == '"1"', head
    for entity, row in rows.items():
        changed = await api.update(row, **CHANGES[entity])
        assert changed == {**row, **CHANGES[entity], "updated_at": changed["updated_at"]} and changed.etag == '"2"', changed
        await c1.event(entity, "updated", 1, **CHANGES[entity])
        assert await api.update(row, **CHANGES[entity]) == changed  # again: nothing changes, nothing is heard
        assert await api.update(row) == changed
    for entity, row in reversed(rows.items()):
        await api.delete(row)
        await c1.event(entity, "deleted", 1)
        (await api.get(row.path)).refused(404)
        (await api.put(row, **CHANGES[entity])).refused(404)
        (await api.request("DELETE", row.path)).refused(404)
        assert await api.list(entity) == []


@play("POST says where the new entity is, in the language of its path", "asan")
async def location_header(s):
    await s.channels_house()
    api = s.api()
    for path in ("/sensors", "/sensores", "/sensores/"):
        answer = await api.post(path, DHT22)
        row = answer.row("sensor", 201)
        assert answer.headers["location"] == f"/api/v1/{path.strip('/')}/{row.id}", answer
        assert (await api.get(answer.headers["location"])).row("sensor") == row
    reading = await api.create("lectura", sensor_id=1, temperatura=30, humedad=20)
    await api.create("ubicacion", sensor_id=1, latitud=1, longitud=2)
    answer = await api.post("/predicciones/generate?ubicacion_id=1")
    assert answer.headers["location"] == f"/api/v1/predicciones/{answer.row('prediccion', 201).id}", answer
    many = await api.post("/readings", [{"sensor_id": 1, "temperatura": 20, "humedad": 50}])
    assert many.status == 201 and "location" not in many.headers and "etag" not in many.headers, many
    assert reading.etag == '"1"'


@play("times as Pydantic takes them; without one it is now")
async def times(s):
    await s.channels_house()
    api = s.api()
    await api.create("sensor", **DHT22)
    for given, shown in (("2025-07-20T10:30:00Z", "2025-07-20T10:30:00.000Z"), ("2025-07-20T10:30:00.1239", "2025-07-20T10:30:00.123Z"),
                         ("2025-07-20 12:30+02:00", "2025-07-20T10:30:00.000Z"), ("2025-07-20", "2025-07-20T00:00:00.000Z"),
                         (1753007400, "2025-07-20T10:30:00.000Z"), (1753007400.25, "2025-07-20T10:30:00.250Z"),
                         (1753007400123, "2025-07-20T10:30:00.123Z"), ("1753007400", "2025-07-20T10:30:00.000Z")):
        row = await api.create("lectura", sensor_id=1, temperatura=20, humedad=50, timestamp=given)
        assert row["timestamp"] == shown, (given, row)
    row = await api.create("lectura", sensor_id=1, temperatura=20, humedad=50)
    assert row["timestamp"] == row["created_at"], row
    assert (await api.update(row, timestamp="2025-01-01T00:00:00Z"))["timestamp"] == "2025-01-01T00:00:00.000Z"


@play("lists: pages, a filter for every member, desde and hasta")
async def lists(s):
    await s.channels_house()
    api = s.api()
    rows = await stocked(s, api)
    for n in range(2, 8):
        await api.create("sensor", tipo=f"t{n % 2}", modelo=f"m{n}")
    assert [r.id for r in await api.list("sensor")] == [1, 2, 3, 4, 5, 6, 7]
    assert [r.id for r in await api.list("sensor", skip=2, limit=3)] == [3, 4, 5]
    assert [r.id for r in await api.list("sensor", skip=7)] == []
    assert [r.id for r in await api.list("sensor", tipo="t0")] == [2, 4, 6]
    assert [r.id for r in await api.list("sensor", tipo="t0", modelo="m4")] == [4]
    assert [r.id for r in await api.list("sensor", tipo="t0", skip=1, limit=1)] == [4]
    for entity, row in rows.items():
        own = {m: v for m, v in row.items() if m in ENTITIES[entity][2] and v is not None}
        for member, value in own.items():
            value = {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value
            assert row in await api.list(entity, **{member: value}), (entity, member)
    assert await api.list("anomalia", resuelta="true") == [] and await api.list("lectura", sensor_id=2) == []
    stamps = ["2025-07-18T00:00:00.000Z", "2025-07-19T12:00:00.000Z", "2025-07-20T00:00:00.000Z"]
    await api.create_many([{"sensor_id": 2, "temperatura": 20, "humedad": 50, "timestamp": t} for t in stamps])
    seen = lambda rows: [r["timestamp"] for r in rows]  # noqa: E731
    assert seen(await api.list("lectura", sensor_id=2, desde="2025-07-19", hasta="2025-07-20")) == stamps[1:]
    assert seen(await api.list("lectura", sensor_id=2, hasta="2025-07-19T11:59:59.999Z")) == stamps[:1]
    assert seen(await api.list("lectura", desde="2025-07-19T14:00+02:00", hasta="2025-07-19T12:00:00Z")) == stamps[1:2]
    assert len(await api.list("sensor", desde="2020-01-01", hasta="2020-01-02")) == 0


@play("readings of a sensor, the recent ones, and their averages; unknown sensors are 404", "asan")
async def readings_of_a_sensor(s):
    await s.channels_house()
    api = s.api()
    await api.create("sensor", **DHT22)
    empty = await api.get("/readings/sensor/1/stats")
    assert empty.json() == {"temperatura_promedio": None, "humedad_promedio": None, "total_lecturas": 0}, empty
    old = await api.create("lectura", sensor_id=1, temperatura=10, humedad=30, timestamp="2025-07-20")
    new = await api.create("lectura", sensor_id=1, temperatura=20, humedad=50)
    assert (await api.get("/readings/sensor/1")).rows("lectura") == [new, old]
    assert (await api.get("/lecturas/sensor/1?skip=1&limit=1")).rows("lectura") == [old]
    assert (await api.get("/readings/sensor/1/recent")).rows("lectura") == [new]
    assert (await api.get("/lecturas/sensor/1/recent/?hours=0.001")).rows("lectura") == [new]
    assert (await api.get("/readings/sensor/1/recent?hours=876000")).rows("lectura") == [new, old]
    assert (await api.get("/readings/sensor/1/stats")).json() == {
        "temperatura_promedio": 15.0, "humedad_promedio": 40.0, "total_lecturas": 2}
    for path in ("/readings/sensor/9", "/readings/sensor/9/recent", "/lecturas/sensor/9/stats"):
        (await api.get(path)).refused(404, "Sensor no encontrado")


@play("locations are found by their words and by their distance; coordinates are unique", "asan")
async def locations(s):
    await s.channels_house()
    api = s.api()
    await api.create("sensor", **DHT22)
    madrid = await api.create("ubicacion", sensor_id=1, latitud=40.4168, longitud=-3.7038, descripcion="Almacén Peñalara")
    getafe = await api.create("ubicacion", sensor_id=1, latitud=40.3083, longitud=-3.7327, descripcion="Getafe, nave 3")
    await api.create("ubicacion", sensor_id=1, latitud=41.3874, longitud=2.1686)
    assert (await api.get("/locations/search", q="NAVE")).rows("ubicacion") == [getafe]
    assert (await api.get("/ubicaciones/search", q="peñalara")).rows("ubicacion") == [madrid]
    near = (await api.get("/locations/nearby", latitud=40.4168, longitud=-3.7038, radio=20)).rows("ubicacion", more=["distancia_km"])
    assert [r.id for r in near] == [madrid.id, getafe.id] and near[0]["distancia_km"] == 0 and 11 < near[1]["distancia_km"] < 13, near
    assert [r.id for r in (await api.get("/ubicaciones/nearby?latitud=40.4168&longitud=-3.7038")).rows("ubicacion", more=["distancia_km"])] == [1]
    (await api.post("/locations", {"sensor_id": 1, "latitud": 40.4168, "longitud": -3.7038})).refused(409)
    (await api.put(getafe, latitud=40.4168, longitud=-3.7038)).refused(409)
    assert await api.read("ubicacion", getafe.id) == getafe


@play("anomalies: found in each reading, asked for again, recent, critical, counted, solved", "asan")
async def anomalies(s):
    await s.channels_house()
    api, c1 = s.api(), await s.channel("c1", "anomalies")
    await api.create("sensor", **DHT22)
    reading = await api.create("lectura", sensor_id=1, temperatura=52, humedad=5)
    hot = await c1.event("anomalia", "anomaly_detected")
    dry = await c1.event("anomalia", "anomaly_detected")
    assert {hot["data"]["tipo"], dry["data"]["tipo"]} == {"temperatura_alta", "humedad_baja"}
    found = (await api.post(f"/anomalies/detect/{reading.id}")).rows("anomalia")
    assert (await api.post(f"/anomalias/detect/{reading.id}/")).rows("anomalia") == found and len(found) == 2
    (await api.post("/anomalies/detect/99")).refused(404, "Lectura no encontrada")
    assert len((await api.get("/anomalies/recent?hours=1")).rows("anomalia")) == 2
    critical = (await api.get("/anomalias/critical")).rows("anomalia")
    assert [r["tipo"] for r in critical] == ["temperatura_alta"], critical
    assert len((await api.get("/anomalies/critical", threshold=-10)).rows("anomalia")) == 2
    solved = await api.update(critical[0], resuelta=True)
    assert solved["resuelta"] is True and solved["resuelta_at"] == solved["updated_at"], solved
    event = await c1.event("anomalia", "updated", solved.id, resuelta=True)
    assert event["metadata"]["action"] == "resolve_anomalia", event.text
    assert (await api.get("/anomalies/critical")).rows("anomalia") == []
    statistics = (await api.get("/anomalies/statistics")).json()
    assert statistics["total_anomalias"] == 2 and statistics["resueltas"] == 1 and statistics["por_tipo"] == {
        "humedad_baja": 1, "temperatura_alta": 1}, statistics


@play("predictions: made from a query or from JSON, from stored readings, high risk, recent, of a location, counted", "asan")
async def predictions(s):
    await s.channels_house()
    api, c1 = s.api(), await s.channel("c1", "predictions")
    await api.create("sensor", **DHT22)
    await api.create("ubicacion", sensor_id=1, latitud=1, longitud=2)
    (await api.get("/predictions/location/1/latest")).refused(404)
    (await api.post("/predictions/generate?ubicacion_id=1")).refused(422)
    (await api.post("/predictions/generate?ubicacion_id=9")).refused(404)
    first = (await api.post("/predictions/generate?ubicacion_id=1&temperatura_promedio=30&humedad_promedio=40&comentario=ma%C3%B1ana")
             ).row("prediccion", 201)
    assert first["probabilidad"] == 0.5 and first["comentario"] == "mañana", first
    await c1.event("prediccion", "prediction_completed", first.id)
    second = (await api.post("/predicciones/generate", {"ubicacion_id": 1, "temperatura_promedio": 45, "humedad_promedio": 0})).row("prediccion", 201)
    assert second["probabilidad"] == 1.0, second
    await api.create("lectura", sensor_id=1, temperatura=30, humedad=40)
    third = (await api.post("/predictions/generate?ubicacion_id=1")).row("prediccion", 201)
    assert third["probabilidad"] == 0.5, third
    assert (await api.get("/predictions/high-risk")).rows("prediccion") == [second]
    assert len((await api.get("/predicciones/high-risk?threshold=0.5&limit=2")).rows("prediccion")) == 2
    assert (await api.get("/predictions/recent?hours=1")).rows("prediccion") == [third, second, first]
    assert (await api.get("/predictions/location/1")).rows("prediccion") == [third, second, first]
    assert (await api.get("/predicciones/location/1?skip=2")).rows("prediccion") == [first]
    assert (await api.get("/predictions/location/1/latest")).row("prediccion") == third
    (await api.get("/predictions/location/9")).refused(404, "Ubicación no encontrada")
    assert (await api.get("/predictions/statistics")).json()["total_predicciones"] == 3


@play("many readings in one request: all of them, in order, or none", "asan")
async def bulk(s):
    await s.channels_house()
    api, c1 = s.api(), await s.channel("c1", "readings")
    await api.create("sensor", **DHT22)
    given = [{"sensor_id": 1, "temperatura": 20 + n % 10 / 10, "humedad": 50} for n in range(500)]
    rows = await api.create_many(given)
    assert [r.id for r in rows] == list(range(1, 501)) and [r["temperatura"] for r in rows] == [g["temperatura"] for g in given]
    for n in range(1, 501):
        await c1.event("lectura", "created", n)
    answer = await api.post("/readings", [given[0], {**given[1], "sensor_id": 7}, given[2]])
    assert answer.refused(404) == "Sensor no encontrado" and answer["loc"] == ["body", 1, "sensor_id"], answer
    detail = (await api.post("/readings", [given[0], {**given[1], "temperatura": 61}])).refused(422)
    assert [d["loc"] for d in detail] == [["body", 1, "temperatura"]], detail
    assert [d["type"] for d in (await api.post("/readings", [])).refused(422)] == ["too_short"]
    assert (await api.get("/readings/sensor/1/stats"))["total_lecturas"] == 500
    last = await api.create("lectura", **given[0])
    await c1.event("lectura", "created", last.id)  # and nothing of the refused ones before


@play("two writers at one version: one wins; If-Match takes lists and *, If-None-Match answers 304", "asan")
async def versions(s):
    await s.channels_house("w1", "w2")
    api, other = s.api(on="w1"), s.api(on="w2")
    row = await api.create("sensor", **DHT22)
    for round in range(20):
        etags = f'{row.etag}, "999"' if round % 2 else row.etag  # of a list the version is asked for first
        mine, theirs = await asyncio.gather(api.put(row, etags, modelo=f"a{round}"), other.put(row, etags, modelo=f"b{round}"))
        assert sorted([mine.status, theirs.status]) == [200, 412], (mine, theirs)
        winner = (mine if mine.status == 200 else theirs).row("sensor")
        (theirs if mine.status == 200 else mine).refused(412, "La versión ha cambiado")
        assert winner.etag == f'"{round + 2}"'
        row = winner
    for header, status in (("*", 200), ('"1", W/"22", "22"', 200), ('"1", "2"', 412), ('W/"23"', 412), ('"x"', 412), ("22", 400), ('"2', 400)):
        before = await api.read("sensor", 1)
        answer = await api.request("PUT", "/sensors/1", {"modelo": f"c {header}"}, If_Match=header)
        assert answer.status == status, (header, answer)
        after = await api.read("sensor", 1)
        assert (after == before) == (status != 200), (header, after)
    now = await api.read("sensor", 1)
    for header, status in ((now.etag, 304), (f'"1", W/{now.etag}', 304), ("*", 304), ('"1"', 200)):
        answer = await api.request("GET", "/sensores/1", If_None_Match=header)
        assert answer.status == status and answer.headers["etag"] == now.etag, answer
        assert answer.status == 200 or answer.body == b"", answer
    (await api.request("GET", "/sensors/1", If_Match='"1"')).refused(412)
    (await api.request("DELETE", "/sensors/1", If_Match='"1"')).refused(412)
    (await api.request("PUT", "/sensors/1", {"modelo": "d"}, If_None_Match="*")).refused(412)
    (await api.request("DELETE", "/sensors/9", If_Match='"1", "2"')).refused(404)
    await api.delete(now, if_match=now.etag)
    (await api.get("/sensors/1")).refused(404)


@play("an answer of many parts is one body, to the byte; several at once do not mix", "asan")
async def large(s):
    await s.channels_house("w1", "w2")
    api, other = s.api(on="w1", within=20), s.api(on="w2", within=20)
    await api.create("sensor", **DHT22)
    await api.create("ubicacion", sensor_id=1, latitud=1, longitud=2)
    rows = [await api.create("prediccion", ubicacion_id=1, probabilidad=0.5, comentario=f"{n:03} " + chr(0xe0 + n % 20) * 996) for n in range(250)]
    answers = await asyncio.gather(*[(api, other)[n % 2].get("/predictions", limit=250, skip=n % 4) for n in range(12)])
    for n, answer in enumerate(answers):
        assert len(answer.body) > 450_000 and answer.rows("prediccion") == rows[n % 4:], n
    head = await api.request("HEAD", "/predictions?limit=250")
    assert int(head.headers["content-length"]) == len(answers[0].body) and head.body == b"", head
    (await api.post("/predictions", {"ubicacion_id": 1, "probabilidad": 0.5, "comentario": "x" * 1001})).refused(422)
    await until("nothing to be left", lambda: s.counter("w1", "store_pending_bytes") == s.counter("w1", "store_pending") == 0)


@play("events of a channel, from where one was; a test event is one of them", "asan")
async def events(s):
    await s.channels_house()
    api, c1 = s.api(), await s.channel("c1", "general")
    rows = await stocked(s, api)
    for entity in rows:
        await c1.event(entity, "created")
    answer = await api.post("/ws/test-event?channel=general&message=Prueba")
    assert answer.status == 200 and answer.body.decode() == '{"message":"Evento de prueba enviado al canal \'general\'","data":"Prueba"}', answer
    said = await c1.said_by_system("Prueba")
    assert said["data"] == {"test": True} and said["level"] == "info", said.text
    all_of_them = []

    async def told():  # what is acknowledged a moment ago is not noted yet
        all_of_them[:] = await api.events()
        return all_of_them and all_of_them[-1].text == said.text

    await until("the last event to have its place", told)
    made = [e for e in all_of_them if e.type == "entity_event"]
    assert [e["entity_type"] for e in made] == list(rows), all_of_them
    assert [e.text for e in await api.events(since=made[2]["seq"])] == [e.text for e in all_of_them[all_of_them.index(made[2]) + 1:]]
    assert [e.text for e in await api.events(since=made[0]["seq"], limit=2)] == [made[1].text, made[2].text]
    assert [e["entity_type"] for e in await api.events("locations")] == ["ubicacion"]
    assert await api.events("nobody") == [] and await api.events(since=all_of_them[-1]["seq"]) == []
    (await api.get("/events", since="00000000-1")).refused(404)
    assert (await api.post("/ws/test-event", {"channel": "mine", "message": "a la una"}))["data"] == "a la una"
    assert (await api.post("/ws/test-event/"))["data"] == "Evento de prueba"

    async def mine():
        return [e["message"] for e in await api.events("mine")] == ["a la una"]

    await until("the event of a channel of one's own", mine)


@play("who is connected, over all workers", "asan")
async def statistics(s):
    await s.channels_house("w1", "w2")
    await s.channel("c1", "sensors", on="w1", user_id="ana")
    await s.channel("c2", "sensors", on="w2", user_id="luis")
    await s.channel("c3", "general", on="w2")
    for worker in ("w1", "w2"):
        api = s.api(on=worker)
        stats = await api.stats("sensors")
        assert stats["channel"] == "sensors" and stats["stats"]["connections"] == 2, stats
        assert [u["user_id"] for u in stats["stats"]["users"]] == ["ana", "luis"], stats
        assert await api.stats("nobody") == {"channel": "nobody", "stats": {"connections": 0, "users": []}}
        every = await api.stats()
        assert every["total_channels"] == 2 and {n: c["connections"] for n, c in every["channels"].items()} == {"general": 1, "sensors": 2}, every
