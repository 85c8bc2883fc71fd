"""A DELETE that takes thousands of rows along is made in turns: others are served in between, it is answered behind the last one, and a store that is
killed in the middle makes it to its end by itself. What each request is told meanwhile: tests/unit/db_delete_test.c, store_turns_test.c.
"""
import asyncio

from stagecraft.entity_model import EntityModel
from stagecraft.registry import play
from stagecraft.wait import settle, until

ARRAY = 500


def counter(s, name):
    return s.counters.all().get("store", {}).get(name, 0)


def under_way(s):
    return s.database.query("SELECT entity, row_id, action FROM deletions")


async def _answers(api):
    return (await api.get("/sensors")).status == 200


async def _gone(api, sensor):
    return (await api.get(sensor.path)).status == 404


async def large_sensor(api, readings):
    sensor = await api.create("sensor", tipo="t", modelo="large")
    for _ in range(readings // ARRAY):
        await api.create_many([{"sensor_id": sensor.id, "temperatura": 20, "humedad": 50}] * ARRAY)
    return sensor


async def published(s):
    await until("every event to be noted", lambda: counter(s, "event_unpublished") == counter(s, "event_last") + 1, within=60)


async def judge(s, api):
    """The events from the beginning make the rows, and no number is deleted twice."""
    replay = EntityModel()
    for frame in await api.all_events():
        replay.take(frame)
    assert not replay.complaints, replay.complaints[:3]
    for entity in replay.rows:
        differences = replay.differences(entity, await api.all(entity))
        assert not differences, differences[:3]


def readings_of(s, sensor):
    return {row["id"] for row in s.database.query(f"SELECT id FROM readings WHERE sensor_id = {sensor.id}")}


async def held_in_the_middle(s, api, readings):
    """A sensor whose deletion by ones goes no further, (sensor, its readings, DELETE, turns before): the broker stands still, and no turn is made
    while hundreds of events wait for it. Where this process was given no time to look before it was over, another one."""
    for _ in range(5):
        large = await large_sensor(api, readings)
        await published(s)
        numbers, turns = readings_of(s, large), counter(s, "delete_turns")
        deletion = asyncio.ensure_future(api.request("DELETE", large.path))
        await until("the deletion to have begun", lambda deletion=deletion: under_way(s) or deletion.done())
        s.actor("b1").pause()
        if len(readings_of(s, large)) > readings // 3:
            return large, numbers, deletion, turns
        s.actor("b1").resume()
        await deletion
    raise AssertionError("five deletions had ended before anybody could look")


@play("thousands of rows go in turns: readings of another sensor are taken and heard meanwhile", "asan", within=240)
async def in_turns(s):
    s.set("store", delete_rows=1)
    await s.channels_house("w1", "w2")
    api, other_api = s.api(on="w1", within=30), s.api(on="w2", within=30)
    other = await api.create("sensor", tipo="t", modelo="other")
    listener = await s.channel("c1", "readings", on="w2")
    large, numbers, deletion, turns = await held_in_the_middle(s, api, 4000)
    making = [asyncio.ensure_future(other_api.create("lectura", sensor_id=other.id, temperatura=21, humedad=51)) for _ in range(5)]
    await until("five readings to be on their way", lambda: s.counter("w2", "store_pending") >= 5)
    assert under_way(s) == [{"entity": "sensor", "row_id": large.id, "action": "delete"}]
    s.actor("b1").resume()
    made = {row.id for row in await settle("the readings", asyncio.gather(*making), 60)}
    answer = await settle("the DELETE", deletion, 60)
    assert answer.status in (202, 204), answer  # 202: the machine took longer than a request may
    await until("the sensor to be gone", lambda: _gone(api, large), within=120)
    assert not under_way(s)
    assert counter(s, "delete_turns") == turns + 4000, (counter(s, "delete_turns"), turns)  # 4,001 rows; the first went with the request
    assert counter(s, "delete_turns_failed") == 0 and counter(s, "deletions") == 0
    await published(s)
    last = await other_api.create("lectura", sensor_id=other.id, temperatura=22, humedad=52)
    await listener.event("lectura", "created", id=last.id, within=30)
    order = [(f["event_type"], f["entity_id"]) for f in listener.events()]
    order = [(event, number) for event, number in order if (event == "deleted" and number in numbers) or number in made]
    assert len(order) == len(set(order)) == 4000 + 5, len(order)
    between = [n for n, (event, _) in enumerate(order) if event == "created"]
    assert len(between) == 5 and order[0][0] == "deleted" and order[between[-1] + 1][0] == "deleted", (order[0], between)
    await judge(s, api)


@play("killed between two turns: the next store makes it to its end, each row with its event once", "asan", "fault", within=240)
async def killed(s):
    s.set("store", delete_rows=50)
    await s.channels_house("w1")
    api, s1 = s.api(within=20), s.actor("s1")
    for nth in (1, 2, 7):
        large = await large_sensor(api, 500)
        await published(s)
        await s1.stop()
        s1.told_to_end = True
        await s1.start(NORIA_FAULT=f"store.delete.turn:{nth}")
        s1.told_to_end = True
        await until("the store to answer", lambda: _answers(api))
        listener = await s.channel(f"c{nth}", "readings")
        (await api.request("DELETE", large.path)).refused(503)
        assert await s1.ended() == -9, s1.tail()
        left = s.database.query("SELECT count(*) AS n FROM readings")[0]["n"]
        assert left == 500 - 50 * (nth + 1) and len(under_way(s)) == 1, left
        await s1.start()
        await until("the store to answer", lambda: _answers(api))
        await until("the sensor to be gone", lambda large=large: _gone(api, large), within=30)
        await until("all to be heard of", lambda listener=listener: len(listener.events(event_type="deleted")) >= 500, within=30)
        await published(s)
        heard = [f["entity_id"] for f in listener.events(event_type="deleted")]
        assert len(heard) == len(set(heard)) == 500, len(heard)
        assert not under_way(s)
    await judge(s, api)
    await s1.stop()
    s.database.is_sound()


@play("stopped in the middle: who waits is told 202, and the next start goes on; without a broker it waits, and goes on when there is one", "asan", within=240)
async def stopped(s):
    s.set("store", delete_rows=1)
    await s.channels_house("w1")
    api, s1 = s.api(within=30), s.actor("s1")
    large, _, deletion, _ = await held_in_the_middle(s, api, 4000)
    await s.actor("b1").kill()
    answer = await settle("the DELETE", deletion, 30)
    answer.refused(503)
    await s.actor("b1").start()
    await until("the store to answer", lambda: _answers(api), within=20)
    if under_way(s):
        deletion = asyncio.ensure_future(api.request("DELETE", large.path))
        await s1.stop()
        answer = await settle("the DELETE", deletion, 30)
        assert answer.status in (202, 204, 404, 503), answer
        await s1.start()
    await until("the sensor to be gone", lambda: _gone(api, large), within=60)
    await published(s)
    await judge(s, api)
