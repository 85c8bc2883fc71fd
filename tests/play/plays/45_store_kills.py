"""noria-store is killed at every place between two steps: what was answered 2xx is there, each committed change is heard exactly once, and what was
answered 503 is there or not, whole.
"""
import asyncio
import random
import re
from pathlib import Path

from stagecraft.registry import play
from stagecraft.wait import until

HEADER = Path(__file__).resolve().parents[3] / "common/base/fault_point.h"
ELSEWHERE = {"store.machine.seen", "store.delete.turn"}  # 45_store_machines, 45_store_deletions
POINTS = [name for name in re.findall(r'X\(STORE_\w+, "([a-z.]+)"', HEADER.read_text()) if name not in ELSEWHERE]


def counter(s, name):
    return s.counters.all().get("store", {}).get(name, 0)


async def _answers(api):
    return (await api.get("/sensors")).status == 200


async def write(api, i, sure, unsure):
    """One creation; its name tells it apart."""
    answer = await api.post("/sensors", {"tipo": "t", "modelo": f"n{i}"}, within=15)
    if answer.status == 201:
        sure[answer.row("sensor", 201).id] = f"n{i}"
    else:
        answer.refused(503)
        unsure.add(f"n{i}")


async def judge(s, api, clients, sure, unsure):
    """Rows, answers and what was heard, one against the other."""
    rows = {row.id: row["modelo"] for row in await api.all("sensor")}
    assert sure.items() <= rows.items(), f"answered 201 and not there: {sure.items() - rows.items()}"
    extra = {rows[i] for i in rows.keys() - sure.keys()}
    assert extra <= unsure and len(extra) == len(rows) - len(sure), f"there and never asked for, or twice: {extra}"
    for client in clients:
        for row in rows:
            await until(f"{client.name} to hear of {row}", lambda row=row: client.events(entity_id=row), within=10)
        heard = [f["entity_id"] for f in client.events()]
        assert sorted(heard) == sorted(rows), f"{client.name} heard {heard}, there are {sorted(rows)}"
        assert heard == sorted(heard), f"{client.name} heard them out of order: {heard}"
    await until("every event to be noted", lambda: counter(s, "event_unpublished") == counter(s, "event_last") + 1)
    assert [f["entity_id"] for f in await api.all_events("sensors")] == sorted(rows)


async def killed_at(s, point, nth):
    api, s1 = s.api(), s.actor("s1")
    sure, unsure = {}, set()
    clients = [await s.channel("c1", "sensors"), await s.channel("c2", "general")]
    for i in range(3):
        await write(api, i, sure, unsure)
    await s1.stop()
    s1.told_to_end = True
    await s1.start(NORIA_FAULT=f"{point}:{nth}")
    s1.told_to_end = True
    i = 3
    while s1.alive and i < 60:
        await until("the store to be introduced, or dead", lambda: counter(s, "broker_ups") > 0 or not s1.alive)
        await write(api, i, sure, unsure)
        i += 1
    if s1.alive:  # what happens on a timer of its own
        await s1.ended(within=5)
    assert await s1.ended() == -9, f"{point} was not come by: {s1.tail()}"
    await s1.start()
    await until("the store to answer", lambda: _answers(api))
    await write(api, 99, sure, unsure)
    await judge(s, api, clients, sure, unsure)


@play("killed at each place, the first time and later", "asan", "fault", within=240)
async def each_place(s):
    assert len(POINTS) >= 7, POINTS
    await s.channels_house("w1")
    await s.actor("s1").stop()
    for point in POINTS:
        for nth in (1, 2, 5):
            base = s.state
            for file in base.glob("store/*"):
                file.unlink()
            await s.actor("s1").start()
            await until("the store to answer", lambda: _answers(s.api()))
            await killed_at(s, point, nth)
            for client in ("c1", "c2"):
                await s.clients.pop(client).close()
            await s.actor("s1").stop()


@play("store and broker killed in turn, at random, while several write", "asan", within=120)
async def at_random(s):
    dice = random.Random(4505)
    await s.channels_house("w1", "w2")
    api = s.api()
    clients = [await s.channel("c1", "sensors", on="w1")]
    sure, unsure, over = {}, set(), False

    async def writer(who):
        i = 0
        while not over:
            before = len(unsure)
            await write(api, f"{who}.{i}", sure, unsure)
            i += 1
            if len(unsure) > before:
                await until("the store to answer", lambda: _answers(api), within=15)

    writers = [asyncio.ensure_future(writer(who)) for who in range(4)]
    for _ in range(12):
        count = len(sure)
        await until("more to be written", lambda count=count: len(sure) > count + dice.randrange(20), within=15)
        await s.actor(dice.choice(["s1", "s1", "b1"])).restart()
    over = True
    await asyncio.gather(*writers)
    await judge(s, api, clients, sure, unsure)
    await s.actor("s1").stop()
    s.database.is_sound()
