"""The REST API of sensors while others die: no store, one that dies or stands still in the middle, brokers, workers, clients that go."""
import asyncio
import re
import signal

from stagecraft.httpclient import Cut, head
from stagecraft.registry import play
from stagecraft.wait import now, settle, until

DHT22 = {"tipo": "temperatura", "modelo": "DHT22"}
NOTHING_DONE = re.compile("^Almacén (no disponible|ocupado)")
UNKNOWN = "Almacén no disponible: no se sabe si el cambio se ha hecho"


async def waiting(s, worker, count):
    """So many requests of this worker are with the store."""
    await until(f"{count} requests to wait", lambda: s.counter(worker, "store_pending") >= count)


async def works(api):
    async def answers():
        return (await api.get("/sensors")).status == 200

    await until("the store to answer", answers, 10)


@play("without a store everything is 503, at once, with Retry-After; what is not the store's goes on", "asan")
async def no_store(s):
    await s.channels_house()
    api, c1 = s.api(), await s.channel("c1", "sensors")
    await api.create("sensor", **DHT22)
    await s.actor("s1").kill()
    started = now()
    for method, path, body in (("GET", "/sensors", None), ("POST", "/sensors", DHT22), ("PUT", "/sensors/1", {"modelo": "x"}),
                               ("DELETE", "/sensors/1", None), ("GET", "/events", None), ("POST", "/ws/test-event", None)):
        answer = await api.request(method, path, body)
        assert NOTHING_DONE.match(answer.refused(503)) and answer.headers["retry-after"] == "1", answer
    assert now() - started < 9, "somebody waited for a store's time limit, 10 s"
    (await api.post("/sensors", {})).refused(422)
    assert (await api.stats("sensors"))["stats"]["connections"] == 1
    await c1.ping()
    await s.actor("s1").start()
    await works(api)
    assert [r["modelo"] for r in await api.list("sensor")] == ["DHT22"]


@play("a store that is killed with requests inside: 503 within a moment, the writes' says that nobody knows; back, it goes on", "asan")
async def store_dies(s):
    await s.channels_house()
    api = s.api(within=20)
    await api.create("sensor", **DHT22)
    s1 = s.actor("s1")
    s1.pause()
    calls = [asyncio.create_task(api.post("/sensors", DHT22)), asyncio.create_task(api.get("/sensors")),
             asyncio.create_task(api.request("PUT", "/sensors/1", {"modelo": "x"}, If_Match='"1", "2"'))]
    await waiting(s, "w1", 3)
    started = now()
    await s1.kill()
    write, read, change = await asyncio.gather(*calls)
    assert now() - started < 9, "somebody waited for a store's time limit, 10 s"
    assert write.refused(503) == UNKNOWN and write.headers["retry-after"] == "1", write
    assert read.refused(503) == "Almacén no disponible: no ha respondido", read
    assert change.refused(503) == "Almacén no disponible: no ha respondido", change  # its version was asked for, no more
    assert await s.counts("w1", "store_lost", 3) == 3
    await s1.start()
    await works(api)
    assert (await api.read("sensor", 1))["modelo"] == "DHT22"


@play("a store that stands still for a moment: everybody waits, and everybody is answered", "asan")
async def store_stands_still(s):
    await s.channels_house("w1", "w2")
    api, other = s.api(on="w1", within=20), s.api(on="w2", within=20)
    s.actor("s1").pause()
    calls = [asyncio.create_task((api, other)[n % 2].post("/sensors", {**DHT22, "modelo": f"m{n}"})) for n in range(60)]
    await waiting(s, "w1", 30)
    await waiting(s, "w2", 30)
    s.actor("s1").resume()
    rows = [answer.row("sensor", 201) for answer in await asyncio.gather(*calls)]
    assert sorted(r.id for r in rows) == list(range(1, 61))
    assert {r["modelo"]: r.id for r in await api.all("sensor")} == {r["modelo"]: r.id for r in rows}


@play("a broker that dies: 503 and nothing begun until the next is there; nothing is asked twice", "asan")
async def broker_dies(s):
    await s.channels_house()
    api = s.api(within=20)
    await api.create("sensor", **DHT22)
    s.actor("s1").pause()
    call = asyncio.create_task(api.post("/sensors", DHT22))
    await waiting(s, "w1", 1)
    await s.actor("b1").kill()
    assert (await call).refused(503) == UNKNOWN
    s.actor("s1").resume()
    assert (await api.get("/sensors")).refused(503) == "Almacén no disponible: no se ha hecho nada"
    assert (await api.post("/sensors", DHT22)).refused(503) == "Almacén no disponible: no se ha hecho nada"
    await s.actor("b1").start()
    await works(api)
    assert len(await api.list("sensor")) in (1, 2)
    await s.counts("w1", "store_unavailable", 2)
    assert s.counter("w1", "store_lost") == 1


@play("a worker that stops answers those inside: with the store's answer if it comes, else 503", "asan")
async def worker_stops(s):
    await s.channels_house("w1", "w2")
    api = s.api(on="w1", within=20)
    w1, s1 = s.actor("w1"), s.actor("s1")
    s1.pause()
    call = asyncio.create_task(api.post("/sensors", DHT22))
    await waiting(s, "w1", 1)
    w1.told_to_end = True
    w1.send_signal(signal.SIGTERM)
    await w1.logs("stopping")
    s1.resume()
    (await call).row("sensor", 201)
    assert await w1.ended() == 0
    await w1.start()
    s1.pause()
    call = asyncio.create_task(api.post("/sensors", DHT22))
    await waiting(s, "w1", 1)
    w1.told_to_end = True
    w1.send_signal(signal.SIGTERM)
    told = (await call).refused(503)  # by the worker, or because the broker took the store for dead first
    assert told in (UNKNOWN, "El servidor se detiene: no se sabe si el cambio se ha hecho"), told
    assert await w1.ended(within=10) == 0
    s1.resume()
    await works(s.api(on="w2"))


@play("a client that goes before its answer: what it asked is done all the same, and nothing is left of it", "asan")
async def client_goes(s):
    await s.channels_house()
    api = s.api()
    c1 = await s.channel("c1", "sensors")
    s.actor("s1").pause()
    body = b'{"tipo":"a","modelo":"b"}'
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(head("POST", "/api/v1/sensors", len(body), Content_Type="application/json") + body)
    await waiting(s, "w1", 1)
    writer.close()
    await s.counts("w1", "sensors_orphaned", 1)
    await until("nothing to wait", lambda: s.counter("w1", "store_pending") == 0)
    s.actor("s1").resume()
    await c1.event("sensor", "created", 1)
    await s.counts("w1", "store_late", 1)
    assert [r.id for r in await api.list("sensor")] == [1]


@play("a worker killed at each step of a write: the client is cut off, the row is there or not, and is heard if it is", "asan", "fault", within=120)
async def worker_killed(s):
    await s.channels_house("w1", "w2")
    api, c1 = s.api(on="w2"), await s.channel("c1", "sensors", on="w2")
    w1 = s.actor("w1")
    for point, made in (("worker.request.pending", False), ("worker.request.sent", None), ("worker.reply.heard", True)):
        w1.told_to_end = True
        await w1.stop()
        await w1.start(NORIA_FAULT=point)
        w1.told_to_end = True
        before = len(await api.list("sensor"))
        try:
            answer = await s.api(on="w1").post("/sensors", {**DHT22, "modelo": point})
            raise AssertionError(f"{point}: an answer, {answer!r}")
        except (Cut, ConnectionError):
            pass
        assert await w1.ended() == -signal.SIGKILL
        await w1.start()
        mark = await api.create("sensor", **DHT22)  # behind whatever was made before
        await c1.event("sensor", "created", mark.id)
        rows = await api.list("sensor")
        assert made is None or (len(rows) == before + 2) == made, (point, rows)
        assert [e["entity_id"] for e in c1.events(event_type="created")] == [r.id for r in rows], point


@play("many at once over two workers: every answer is one's own, every row is heard once", "asan", within=120)
async def many(s):
    await s.channels_house("w1", "w2")
    apis, c1 = [s.api(on="w1", within=60), s.api(on="w2", within=60)], await s.channel("c1", "sensors")
    calls = [apis[n % 2].post("/sensores", {"tipo": "a", "modelo": f"m{n}"}) for n in range(300)]
    rows = [answer.row("sensor", 201) for answer in await settle("all answers", asyncio.gather(*calls), 60)]
    assert [r["modelo"] for r in rows] == [f"m{n}" for n in range(300)] and len({r.id for r in rows}) == 300
    for row in rows:
        await until(f"sensor {row.id}", lambda row=row: c1.events(entity_id=row.id, event_type="created"), 20)
    assert len(c1.events(event_type="created")) == 300
