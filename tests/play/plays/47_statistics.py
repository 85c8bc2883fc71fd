"""Who is at which channel, counted over all workers: clients pinned to three workers, which come, go, and die; and the table of events, which tells
everything from the beginning."""
import asyncio

from stagecraft.channel_frames import ENTITIES, check_order, check_stats
from stagecraft.entity_model import EntityModel
from stagecraft.registry import play
from stagecraft.wait import until

WORKERS = ("w1", "w2", "w3")


async def house(s):
    await s.channels_house(*WORKERS)
    return {worker: s.api(on=worker) for worker in WORKERS}


def users(stats):
    return sorted(user["user_id"] for user in stats["users"])


async def agree(apis, channel, connections, names, within=5.0):
    """Every worker says the same of a channel, soon."""
    async def look():
        told = [await api.stats(channel, or_none=True) for api in apis.values()]
        if None in told:
            return False
        for one in told:
            check_order(one, ["channel", "stats"], str(one))
            check_stats(one["stats"], str(one))
            assert one["channel"] == channel, one
        return all((one["stats"]["connections"], users(one["stats"])) == (connections, sorted(names)) for one in told)
    await until(f"{connections} at {channel}, of them {names}, by everybody's word", look, within)


@play("statistics: clients pinned to three workers, asked at each of them; unknown channels are zeros", "asan")
async def over_all_workers(s):
    apis = await house(s)
    for worker in WORKERS:
        await s.channel(f"g.{worker}", on=worker, user_id=f"ana.{worker}")
        await s.channel(f"s.{worker}", "sensors", on=worker)
    await s.channel("own", "line-7.north:a", on="w2", user_id="ñandú con espacio")
    await agree(apis, "general", 3, [f"ana.{w}" for w in WORKERS])
    await agree(apis, "sensors", 3, [])
    await agree(apis, "line-7.north:a", 1, ["ñandú con espacio"])
    await agree(apis, "nobody-is-here", 0, [])
    for api in apis.values():
        whole = await api.stats()
        check_order(whole, ["total_channels", "channels"], str(whole))
        assert whole["total_channels"] == 3 and set(whole["channels"]) == {"general", "sensors", "line-7.north:a"}, whole
        assert [whole["channels"][c]["connections"] for c in ("general", "sensors", "line-7.north:a")] == [3, 3, 1], whole
        for stats in whole["channels"].values():
            check_stats(stats, str(whole))
    await s.clients["own"].close()
    await s.clients["g.w3"].reset()
    await agree(apis, "line-7.north:a", 0, [])
    await agree(apis, "general", 2, ["ana.w1", "ana.w2"])
    assert (await apis["w1"].stats())["total_channels"] == 2


@play("the channel_stats that a client hears first counts those of all workers, itself included", "asan")
async def heard_first(s):
    await house(s)
    for n, worker in enumerate(WORKERS * 2):
        client = await s.channel(f"c{n}", "readings", on=worker, user_id=f"u{n}")
        stats = client.heard_stats["stats"]
        assert stats["connections"] == n + 1 and users(stats) == [f"u{k}" for k in range(n + 1)], stats


@play("of more than a hundred that name themselves, a hundred are listed and all are counted")
async def hundred(s):
    apis = await house(s)
    for n in range(120):
        await s.channel(f"c{n}", "locations", on=WORKERS[n % 3], user_id=f"u{n}")

    async def look():
        told = await apis["w1"].stats("locations")
        assert len(told["stats"]["users"]) <= 100, told
        return told["stats"]["connections"] == 120 and len(set(users(told["stats"]))) == 100
    await until("120 connections and 100 names", look)


@play("workers die, are counted no more, and are counted again; a worker that stands still makes nobody lie", "asan")
async def workers_die(s):
    apis = await house(s)
    for worker in WORKERS:
        await s.channel(f"c.{worker}", on=worker, user_id=worker)
    await agree(apis, "general", 3, WORKERS)
    await s.actor("w2").kill()
    left = {w: a for w, a in apis.items() if w != "w2"}
    await agree(left, "general", 2, ["w1", "w3"])
    await s.actor("w2").start()
    await agree(apis, "general", 2, ["w1", "w3"])
    await s.channel("c.again", on="w2", user_id="again")
    await agree(apis, "general", 3, ["w1", "w3", "again"])
    s.actor("w3").pause()
    reply = await s.api(on="w1", within=15).get("/ws/stats/general")
    if reply.status == 200:
        assert users(reply.json()["stats"]) in (["again", "w1", "w3"], ["again", "w1"]), reply
    else:
        reply.refused(503)
    s.actor("w3").resume()
    await agree(apis, "general", 3, ["w1", "w3", "again"])
    await s.actor("b1").restart()
    await agree(apis, "general", 3, ["w1", "w3", "again"])
    s.clients.pop("c.w2")


async def some_life(api, rounds=6):
    """A bit of everything."""
    for n in range(rounds):
        sensor = await api.create("sensor", tipo="temperatura", modelo=f"M{n}")
        sensor = await api.update(sensor, if_match=sensor.etag, modelo=f"M{n}b", tipo="t")
        assert (await api.put(sensor, '"1"', modelo="x")).refused(412)
        assert await api.update(sensor, modelo=f"M{n}b") == sensor
        readings = await api.create_many([{"sensor_id": sensor.id, "temperatura": t, "humedad": 50.5} for t in (20, 36.5, 4)])
        hot = next(row for row in await api.list("anomalia", lectura_id=readings[1].id) if row["tipo"] == "temperatura_alta")
        await api.update(hot, resuelta=True)
        place = await api.create("ubicacion", sensor_id=sensor.id, latitud=n + 0.5, longitud=-n, descripcion="año")
        await api.update(place, descripcion=None)
        (await api.post("/predictions/generate", {"ubicacion_id": place.id, "temperatura_promedio": 30, "humedad_promedio": 40})).row("prediccion", 201)
        if n % 2:
            await api.delete(sensor)
        (await api.post("/ws/test-event", query={"channel": "general", "message": f"T{n}"}))


@play("events: from the beginning, in pages of any size, they rebuild exactly the rows; from any seq on, the rest", "asan")
async def replayed(s):
    apis = await house(s)
    listener = await s.channel("c1", on="w3")
    anomalies = await s.channel("c2", "anomalies", on="w2")
    await some_life(apis["w1"])
    await listener.said_by_system("T5")
    api = apis["w2"]
    whole = await until("everything to be told", lambda: told_with(api, "T5"))
    assert [f.text for f in whole] == [f.text for f in await api.all_events(page=7)]
    model = EntityModel()
    for frame in whole:
        model.take(frame)
    assert not model.complaints, model.complaints[:3]
    for entity in ENTITIES:
        assert not model.differences(entity, await api.all(entity, page=4)), model.differences(entity, await api.all(entity))
    heard = [f.text for f in listener.frames if f.seq]
    assert heard == [f.text for f in whole][-len(heard):], "the listener heard something else than the table tells"
    of_anomalies = [f.text for f in await api.all_events(channel="anomalies", page=3)]
    assert of_anomalies == [f.text for f in anomalies.frames if f.seq], of_anomalies
    for n in range(0, len(whole), 5):
        rest = await api.events(since=whole[n]["seq"], limit=1000)
        assert [f.text for f in rest] == [f.text for f in whole[n + 1:]], f"since {whole[n]['seq']}"
    assert await api.events(since=whole[-1]["seq"]) == []


async def told_with(api, message):
    events = await api.all_events()
    return events if any(f.get("message") == message for f in events) else None


@play("who comes back with any seq, at any worker, also one that was just born, hears exactly the rest", "asan")
async def resumed(s):
    apis = await house(s)
    first = await s.channel("c1", on="w3")
    await some_life(apis["w1"], rounds=3)
    await first.said_by_system("T2")
    for worker in ("w1", "w2"):
        await s.actor(worker).restart()
        await first.said_by_system("Proceso reiniciado")
    whole = [f for f in first.frames if f.seq]

    async def comes(n, worker):
        client = await s.channel(f"r{n}.{worker}", on=worker, since=whole[n]["seq"])
        if n < len(whole) - 1:
            await client.hear(test=lambda f: f.text == whole[-1].text)
        heard = [f.text for f in client.frames if f.seq]
        assert heard == [f.text for f in whole[n + 1:]], f"{client.name}, since {whole[n]['seq']}: {heard[:2]}"
        await client.close()
    for n in range(0, len(whole), 4):
        await asyncio.gather(*(comes(n, worker) for worker in WORKERS))
