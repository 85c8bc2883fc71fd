"""Channels: every sentence of the source document and of the protocol page about WebSocket, over real workers, a real broker and a real store."""
import asyncio
import hashlib

import websockets

from stagecraft.channel import PATH
from stagecraft.registry import play


@play("first the connection, then the statistics, then each event once; general hears everything", "asan")
async def first_frames(s):
    await s.channels_house("w1", "w2")
    general, sensors = await s.channel("general", on="w1"), await s.channel("sensors", "sensors", on="w2")
    assert [f.type for f in general.frames[:2]] == ["connection", "channel_stats"]
    assert general.frames[1]["stats"] == {"connections": 1, "users": []}
    api = s.api(on="w1")
    row = await api.create("sensor", tipo="temperatura", modelo="DHT22")
    first, second = await general.event("sensor", "created"), await sensors.event("sensor", "created")
    assert first.text == second.text and first["data"]["id"] == row["id"]
    location = await api.create("ubicacion", sensor_id=row["id"], latitud=1.5, longitud=2.5)
    await api.delete(row)
    await general.event("ubicacion", "deleted", id=location["id"])
    await general.event("sensor", "deleted", id=row["id"])
    await sensors.event("sensor", "deleted", id=row["id"])
    assert [f["entity_type"] for f in sensors.events()] == ["sensor", "sensor"]
    assert len({f["seq"] for f in general.events()}) == len(general.events()) == 4


@play("client text is ignored, ping is answered, a binary frame is an error, and the socket stays", "asan")
async def saying(s):
    await s.channels_house("w1")
    c1 = await s.channel("c1", "sensors")
    for text in ("hola", "{}", "[1]", '{"type":"PING"}', "x" * 60000):
        await c1.say(text)
    await c1.say(b"\x00\xff")
    assert (await c1.next("error"))["message"] == "Error procesando mensaje"
    await c1.say('{"x":1,"type":"ping"}')
    await c1.next("pong")
    await s.api(on="w1").create("sensor", tipo="t", modelo="m")
    await c1.event("sensor", "created")


async def turned_away(s, path):
    """(code, reason) of a socket that is opened and closed at once; it hears nothing before."""
    async with websockets.connect(f"ws://127.0.0.1:{s.channels_port}{path}") as socket:
        try:
            raise AssertionError(f"{path}: heard {await asyncio.wait_for(socket.recv(), 5)!r}")
        except websockets.ConnectionClosed:
            return socket.close_code, socket.close_reason


@play("what is no channel, no name or no token is told by the closing code, and nothing is sent before", "asan")
async def refusals(s):
    await s.channels_house("w1")
    for channel in ("a%20b", "%C3%B1", "a%2Fb", "x" * 65, "a+b"):
        assert await turned_away(s, f"{PATH}?channel={channel}") == (1008, "Canal no válido")
    for user in ("%ff", "u" * 65, "%00"):
        try:
            assert await turned_away(s, f"{PATH}?user_id={user}") == (1008, "user_id no válido")
        except websockets.InvalidStatusCode as error:
            assert user == "%00" and error.status_code == 400  # the gate
    for path in (f"{PATH}/secure", f"{PATH}/secure?token=nonsense", f"{PATH}/secure/?channel=sensors"):
        assert await turned_away(s, path) == (1008, "Token inválido")
    for path in (f"{PATH}/other", "/api/v1/wss", "/ws"):
        try:
            await turned_away(s, path)
            raise AssertionError(path)
        except websockets.InvalidStatusCode as error:
            assert error.status_code == 404


@play("on the secure path a token in any of three ways, who it is comes second, and its grant decides", "asan")
async def secure(s):
    ana, eva = "correct-horse-battery-staple-0123456789", "another-horse-battery-staple-0123456789"
    digest = lambda token: hashlib.sha256(token.encode()).hexdigest()  # noqa: E731
    s.set("auth", tokens=[{"principal": "ana", "sha256": digest(ana)}, {"principal": "eva", "sha256": digest(eva), "channels": ["sensors"]}])
    await s.channels_house("w1")
    by_query = await s.channel("by_query", "sensors", on="w1", secure=True, token=ana, user_id="somebody-else")
    by_header = await s.channel("by_header", on="w1", secure=True, extra_headers={"Authorization": f"Bearer {ana}"})
    by_protocol = await s.channel("by_protocol", "sensors", on="w1", secure=True, subprotocols=["bearer", eva])
    for client, name in ((by_query, "ana"), (by_header, "ana"), (by_protocol, "eva")):
        assert client.frames[1].text == f'{{"type":"authenticated","user_id":"{name}","channel":"{client.channel}"}}', client.frames[1].text
    assert [u["user_id"] for u in by_protocol.frames[2]["stats"]["users"]] == ["ana", "eva"]
    for path in (f"{PATH}/secure?token={eva}", f"{PATH}/secure?channel=readings&token={eva}"):
        assert await turned_away(s, path) == (1008, "Canal no permitido")
    await s.api(on="w1").create("sensor", tipo="t", modelo="m")
    for client in (by_query, by_header, by_protocol):
        await client.event("sensor", "created")
    for actor in s.actors.values():
        assert ana not in actor.text() and eva not in actor.text(), actor.name


@play("names made by joining, decoded; default general; a test event reaches its channel and general")
async def names(s):
    await s.channels_house("w1", "w2")
    api = s.api(on="w1")
    mine, general, other = await s.channel("mine", "a.b:c_d-E9", on="w1"), await s.channel("general", on="w2"), await s.channel("other", "other", on="w1")
    reply = await api.post("/ws/test-event?channel=a.b:c_d-E9&message=Prueba")
    assert reply.status == 200, reply
    event = await mine.said_by_system("Prueba", data={"test": True}, level="info")
    assert (await general.said_by_system("Prueba")).text == event.text
    assert (await api.post("/ws/test-event?channel=other&message=Otra")).status == 200
    await other.said_by_system("Otra")
    assert [f["message"] for f in other.frames if f.type == "system_event"] == ["Otra"]


@play("the statistics are exact over workers: connections, and users by name", "asan")
async def statistics(s):
    await s.channels_house("w1", "w2", "w3")
    for n, worker in enumerate(("w1", "w2", "w3", "w1", "w2")):
        client = await s.channel(f"c{n}", "sensors", on=worker, user_id=f"user-{n}" if n % 2 else None)
        assert client.frames[1]["stats"]["connections"] == n + 1, client.frames[1].text
    assert [u["user_id"] for u in client.frames[1]["stats"]["users"]] == ["user-1", "user-3"]
    await s.channel("alone", on="w3", user_id='María "M" / &')
    for worker in ("w1", "w2", "w3"):
        stats = await s.api(on=worker).stats()
        assert stats["total_channels"] == 2 and stats["channels"]["sensors"]["connections"] == 5, stats
        assert [u["user_id"] for u in stats["channels"]["general"]["users"]] == ['María "M" / &']
        one = await s.api(on=worker).stats("nobody")
        assert one == {"channel": "nobody", "stats": {"connections": 0, "users": []}}
    await s.actor("w2").kill()
    await s.actor("w2").start()
    stats = await s.api(on="w1").stats()
    assert stats["channels"]["sensors"]["connections"] == 3, stats


@play("a worker that stands still: its clients wait, others hear what is known, and no request a wrong number")
async def silent_worker(s):
    await s.channels_house("w1", "w2")
    await s.channel("there", "sensors", on="w2")
    s.actor("w2").pause()
    here = await s.channel("here", "sensors", on="w1")
    assert here.frames[1]["stats"]["connections"] == 1
    refused = await s.api(on="w1").get("/ws/stats")
    assert refused.status == 503 and "detail" in refused.json(), refused
    s.actor("w2").resume()
    again = await s.channel("again", "sensors", on="w1")
    assert again.frames[1]["stats"]["connections"] == 3, again.frames[1].text


@play("a worker that stops says so to its clients before it closes with 1001")
async def going_away(s):
    await s.channels_house("w1", "w2")
    c1 = await s.channel("c1", "sensors", on="w1")
    c2 = await s.channel("c2", on="w2")
    await s.actor("w1").stop()
    assert await c1.closed() == 1001
    assert c1.frames[-1].type == "system_event" and c1.frames[-1]["message"] == "Servidor deteniéndose", c1.frames[-1].text
    await c2.said_by_system("Proceso detenido", data={"process": "worker.0"})
