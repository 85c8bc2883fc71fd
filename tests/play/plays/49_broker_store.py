"""The broker between workers, store and clients of channels: killed at each place at which it has a request, an answer or an event in its hands; and what it
tells of the installation itself.
"""
import re
from pathlib import Path

from stagecraft.registry import play
from stagecraft.wait import until

HEADER = Path(__file__).resolve().parents[3] / "common/base/fault_point.h"
POINTS = re.findall(r'X\(BROKER_(?:REQUEST|REPLY|EVENT)_\w+, "([a-z.]+)"', HEADER.read_text())


async def answers(api):
    return (await api.get("/sensors", limit=1)).status == 200


async def write(api, number, made, doubtful):
    answer = await api.post("/sensors", {"tipo": "t", "modelo": f"n{number}"}, within=15)
    if answer.status == 201:
        made[answer.row("sensor", 201).id] = f"n{number}"
    else:
        answer.refused(503)
        doubtful.add(f"n{number}")


async def agree(s, api, clients, made, doubtful):
    """Rows, answers and what was heard."""
    rows = {row.id: row["modelo"] for row in await api.all("sensor")}
    assert made.items() <= rows.items(), f"answered 201 and not there: {made.items() - rows.items()}"
    assert {rows[i] for i in rows.keys() - made.keys()} <= doubtful
    for client in clients:
        await until(f"{client.name} to hear of all", lambda c=client: len(c.events()) >= len(rows), within=10)
        assert [f["entity_id"] for f in client.events()] == sorted(rows), f"{client.name} heard {[f['entity_id'] for f in client.events()]}"


async def killed_at(s, point, nth, api, clients, made, doubtful):
    b1 = s.actor("b1")
    await b1.stop()
    b1.told_to_end = True
    await b1.start(NORIA_FAULT=f"{point}:{nth}")
    b1.told_to_end = True
    while b1.alive:
        await write(api, f"{point}.{nth}.{len(made) + len(doubtful)}", made, doubtful)
    assert await b1.ended() == -9, f"{point} was not come by: {b1.tail()}"
    await b1.start()
    await until("the store to answer", lambda: answers(api), within=15)
    await write(api, f"{point}.{nth}.end", made, doubtful)
    await agree(s, api, clients, made, doubtful)


@play("killed with a request, an answer or an event in its hands", "asan", "fault", within=120)
async def each_place(s):
    assert len(POINTS) == 6, POINTS
    await s.channels_house("w1", "w2")
    api, made, doubtful = s.api(on="w1"), {}, set()
    clients = [await s.channel("c1", "sensors", on="w1"), await s.channel("c2", "general", on="w2")]
    for point in POINTS:
        for nth in (1, 3):
            await killed_at(s, point, nth, api, clients, made, doubtful)
    assert len(made) > 2 * len(POINTS)
    for client in clients:
        assert not any(f.type == "gap" for f in client.frames)


async def tells(client, level, message, **data):
    """The next of the broker's own events is exactly this."""
    event = await client.hear("system_event", within=10)
    assert (event["level"], event["message"], event["data"]) == (level, message, data), event.text
    return event


@play("what the installation tells of itself, each thing once", "asan", within=60)
async def of_itself(s):
    await s.channels_house("w1", "w2", machines=("m1",))
    listener = await s.channel("c1", on="w1")
    elsewhere = await s.channel("c2", "sensors", on="w1")

    await s.actor("w2").kill()
    lost = await listener.hear("system_event", within=10)
    assert (lost["level"], lost["message"]) == ("warning", "Proceso caído") and lost["data"]["process"] in ("worker.0", "worker.1"), lost.text
    await s.actor("w2").start()
    await tells(listener, "info", "Proceso reiniciado", process=lost["data"]["process"])
    await s.actor("s1").kill()
    await tells(listener, "warning", "Proceso caído", process="store")
    await s.actor("s1").start()
    await tells(listener, "info", "Proceso reiniciado", process="store")
    await s.actor("s1").stop()
    await tells(listener, "info", "Proceso detenido", process="store")
    await s.actor("b1").kill()
    await s.actor("b1").start()
    await tells(listener, "warning", "Proceso reiniciado", process="broker")
    await s.actor("s1").start()
    await tells(listener, "info", "Proceso reiniciado", process="store")
    await s.actor("a.m1").kill()
    await tells(listener, "warning", "Máquina sin conexión", machine_id="m1", connection_status="disconnected")
    await s.actor("a.m1").start()
    await tells(listener, "info", "Máquina conectada", machine_id="m1")
    await s.actor("b1").stop()
    await tells(listener, "info", "Sistema detenido", module="websocket")
    await s.actor("b1").start()
    started = await listener.hear("system_event", within=10)
    assert (started["level"], started["message"], started["data"]["module"]) == ("info", "Sistema iniciado correctamente", "websocket"), started.text
    assert re.fullmatch(r"\d+\.\d+\.\d+", started["data"]["version"]), started.text
    assert not [f for f in elsewhere.frames if f.type == "system_event"], "these are general's"
