"""Machines and the store: an alarm, an emergency stop, a lost connection is an anomaly while it lasts, told once each, whoever is killed meanwhile, and
however much of the ring the store has missed. The broker's own events are in the table of events, too.
"""
from stagecraft.registry import play
from stagecraft.wait import until

DELTA = {"profile": "delta-as"}


def counter(s, name):
    return s.counters.all().get("store", {}).get(name, 0)


async def _answers(api):
    return (await api.get("/sensors")).status == 200


def of(rows, tipo, solved):
    return [row for row in rows if row["tipo"] == tipo and row["resuelta"] == solved]


async def told(s, api, tipo, open, solved, machine="m1"):
    """Exactly so many anomalies of this kind are open and solved."""

    async def look():
        if not await _answers(api):
            return None
        rows = [row for row in await api.all("anomalia") if row["machine_id"] == machine]
        return rows if (len(of(rows, tipo, False)), len(of(rows, tipo, True))) == (open, solved) else None

    rows = await until(f"{open} open and {solved} solved {tipo}", look, within=10)
    assert all(row["lectura_id"] is None and row["valor"] == 1 for row in rows)
    return rows


def heard_once(client, rows):
    """Each anomaly's beginning and end, once each."""
    begun = [f["entity_id"] for f in client.events(entity_type="anomalia", event_type="anomaly_detected")]
    ended = [f["entity_id"] for f in client.events(entity_type="anomalia", event_type="updated")]
    return sorted(begun) == sorted(r.id for r in rows) and sorted(ended) == sorted(r.id for r in rows if r["resuelta"])


async def all_heard(client, rows):
    await until(f"{client.name} to hear of all", lambda: heard_once(client, rows), within=10)


@play("alarm, emergency stop, drive fault, positioning error: each is an anomaly while it lasts", "asan")
async def conditions(s):
    s.machine("m1", **DELTA)
    await s.channels_house("w1", machines=["m1"])
    api, c1, sim = s.api(), await s.channel("c1", "anomalies"), s.simulator
    for condition, tipo in (("alarm", "alarma"), ("estop", "parada_emergencia"), ("drive_fault", "fallo_variador"),
                            ("positioning_error", "error_posicionamiento")):
        await sim.condition("m1", condition, True)
        begun = (await c1.event("anomalia", "anomaly_detected", tipo=tipo, machine_id="m1"))["entity_id"]
        await told(s, api, tipo, 1, 0)
        await sim.condition("m1", condition, False)
        ended = await c1.event("anomalia", "updated", id=begun, resuelta=True)
        assert ended["metadata"]["action"] == "resolve_anomalia", ended.text
        await told(s, api, tipo, 0, 1)
    await all_heard(c1, await api.all("anomalia"))


@play("a machine whose connection is lost, and comes back", "asan")
async def lost(s):
    await s.channels_house("w1", machines=["m1", "m2"])
    api, c1 = s.api(), await s.channel("c1", "anomalies")
    await s.actor("a.m1").kill()
    await c1.event("anomalia", "anomaly_detected", tipo="conexion_perdida", machine_id="m1")
    await s.actor("a.m1").start()
    await c1.event("anomalia", "updated", resuelta=True)
    await told(s, api, "conexion_perdida", 0, 1)
    assert not of([r for r in await api.all("anomalia") if r["machine_id"] == "m2"], "conexion_perdida", False)


@play("killed before it is made: made once, by the next", "asan", "fault")
async def killed(s):
    await s.channels_house("w1", machines=["m1"])
    api, c1, s1, sim = s.api(), await s.channel("c1", "anomalies"), s.actor("s1"), s.simulator
    await s1.stop()
    await s1.start(NORIA_FAULT="store.machine.seen:1")
    s1.told_to_end = True
    await sim.condition("m1", "alarm", True)
    assert await s1.ended(within=10) == -9
    await s1.start()
    await told(s, api, "alarma", 1, 0)
    await s1.restart()  # what was made is not made again
    await until("the store to answer", lambda: _answers(api))
    await sim.condition("m1", "alarm", False)
    rows = await told(s, api, "alarma", 0, 1)
    for point in ("store.event.sent", "store.event.acked", "store.ack.noted"):
        await s1.stop()
        await s1.start(NORIA_FAULT=f"{point}:1")
        s1.told_to_end = True
        await sim.condition("m1", "alarm", True)
        assert await s1.ended(within=10) == -9
        await s1.start()
        rows = await told(s, api, "alarma", 1, len(rows))
        await sim.condition("m1", "alarm", False)
        rows = await told(s, api, "alarma", 0, len(rows))
    await all_heard(c1, rows)


@play("what began and ended while the store was away is noticed when it is back", "asan")
async def away(s):
    await s.channels_house("w1", machines=["m1", "m2"])
    api, c1, c2, s1, sim = s.api(), await s.channel("c1", "anomalies"), await s.client("c2"), s.actor("s1"), s.simulator
    await c2.subscribe()
    await sim.condition("m1", "alarm", True)
    await told(s, api, "alarma", 1, 0)
    await s1.kill()
    await sim.condition("m1", "alarm", False)
    await c2.sees("m1", raw_status=218)
    await sim.condition("m2", "alarm", True)
    await c2.sees("m2", raw_status=220)
    await s1.start()
    await told(s, api, "alarma", 0, 1, machine="m1")
    rows = await told(s, api, "alarma", 1, 0, machine="m2")
    await all_heard(c1, await api.all("anomalia"))
    assert rows


@play("so much was missed that the ring does not hold it: the table of last values says what holds now", "asan", within=120)
async def lapped(s):
    s.small_ring()
    s.streams_listener()
    await s.channels_house("w1", machines=["m1", "m2"])
    api, c2, s1, sim = s.api(), await s.client("c2"), s.actor("s1"), s.simulator
    await c2.subscribe()
    await sim.condition("m1", "alarm", True)
    await told(s, api, "alarma", 1, 0)
    await s1.kill()
    await sim.condition("m1", "alarm", False)
    await sim.condition("m2", "alarm", True)
    await c2.sees("m2", raw_status=220)
    talker = await s.streamer("t1", "filler")
    for said in range(50, 601, 50):  # more than twice the ring; not faster than the worker reads it, who would be overtaken and let the talker go
        await talker.send(*["x" * 4000] * 50)
        await until("it to be published", lambda: s.counters.all()["broker"]["stream_messages"] >= said)
    await s1.start()
    await told(s, api, "alarma", 0, 1, machine="m1")
    await told(s, api, "alarma", 1, 0, machine="m2")
    assert counter(s, "ring_lapped") >= 1 and counter(s, "ring_seeded") >= 1


@play("another ring: nothing is made twice, the broker's first words in it are kept", "asan")
async def another_ring(s):
    await s.channels_house("w1", machines=["m1"])
    api, sim, b1 = s.api(), s.simulator, s.actor("b1")
    await sim.condition("m1", "alarm", True)
    await told(s, api, "alarma", 1, 0)
    await b1.stop()
    (s.runtime / "shm/ring").unlink()
    (s.runtime / "shm/lvt").unlink()
    await b1.start()
    await until("the store to answer", lambda: _answers(api))

    async def starts():
        return [f for f in await api.all_events() if f.type == "system_event" and f["message"] == "Sistema iniciado correctamente"]

    await until("both starts to be kept", lambda: _two(starts))
    await told(s, api, "alarma", 1, 0)
    await sim.condition("m1", "alarm", False)
    await told(s, api, "alarma", 0, 1)


async def _two(starts):
    return len(await starts()) == 2


@play("the broker's own events can be asked for, in their place among the store's", "asan")
async def system_events(s):
    await s.channels_house("w1", machines=["m1"])
    api, c1 = s.api(), await s.channel("c1")
    await api.create("sensor", tipo="t", modelo="m")
    await s.actor("a.m1").kill()
    await c1.said_by_system("Máquina sin conexión")
    await s.actor("a.m1").start()
    await c1.said_by_system("Máquina conectada")
    await api.create("sensor", tipo="t", modelo="n")
    last = await c1.event("sensor", "created", modelo="n")
    await until("all to be noted", lambda: counter(s, "event_unpublished") == counter(s, "event_last") + 1)
    heard = [f.text for f in c1.frames if "seq" in f]

    async def kept():
        texts = [f.text for f in await api.all_events()]
        return texts if set(heard) <= set(texts) else None

    texts = await until("all that was heard to be kept", kept)
    assert [t for t in texts if t in heard] == heard, "in another order"
    assert last.text in texts
