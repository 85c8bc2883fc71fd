"""Tokens at the sensors' doors: the secure WebSocket, channels that are granted, entities that may be read and written."""
import time

import websockets

from stagecraft.channel import SECURE_PATH, channel_path
from stagecraft.registry import play
from stagecraft.tokens import Key, hashed, minted
from stagecraft.stage import BIN
from stagecraft.wait import settle


async def sent_away(port, path, reason, **options):
    async with websockets.connect(f"ws://127.0.0.1:{port}{path}", **options) as socket:
        try:
            heard = await settle("the close", socket.recv())
            raise AssertionError(f"something was said before: {heard}")
        except websockets.ConnectionClosed:
            assert (socket.close_code, socket.close_reason) == (1008, reason), socket


@play("the secure channel: a token in three ways, who it is, and nothing said to who brings none", "asan")
async def secure(s):
    mint = minted(s)
    await s.channels_house("w1")
    port = s.channels_port
    token = mint("ana", channels=["general", "sensors"])
    for name, options in (("query", {"token": token}), ("header", {"extra_headers": {"Authorization": f"Bearer {token}"}}),
                          ("protocol", {"subprotocols": ["bearer", token]})):
        client = await s.channel(name, "sensors", secure=True, **options)
        assert [f.type for f in client.frames[:3]] == ["connection", "authenticated", "channel_stats"], client.frames
        assert client.frames[1]["user_id"] == "ana" and client.frames[1]["channel"] == "sensors", client.frames[1].text
        await client.ping()
    for path, options in ((SECURE_PATH, {}), (channel_path("general", True, token="wrong-secret"), {}),
                          (channel_path("general", True, token=token[:-2]), {}), (SECURE_PATH, {"subprotocols": ["bearer", "wrong-secret"]}),
                          (SECURE_PATH, {"extra_headers": {"Authorization": "Bearer wrong-secret"}}),
                          (channel_path("general", True, token=mint("ana", exp=lambda now: now - 1, channels="*")), {})):
        await sent_away(port, path, "Token inválido", **options)
    await sent_away(port, channel_path("anomalies", True, token=token), "Canal no permitido")
    await sent_away(port, channel_path("general", True, token=mint("bob", channels=["sensors"])), "Canal no permitido")
    await s.channel("open", "anomalies")  # the other path of a listener that asks for nothing
    assert token not in s.actor("w1").text() and "wrong-secret" not in s.actor("w1").text()


@play("a token that expires closes its channel, too", "asan")
async def expiry(s):
    mint = minted(s)
    await s.channels_house("w1")
    stays = await s.channel("stays", secure=True, token=mint("ana", channels="*"))
    socket = await websockets.connect(f"ws://127.0.0.1:{s.channels_port}"
                                      + channel_path("general", True, token=mint("bob", exp=lambda now: now + 2, channels="*")))
    begin = time.time()
    await settle("the close", socket.wait_closed(), 10)
    assert (socket.close_code, socket.close_reason) == (1008, "Token expirado"), (socket, begin)
    await stays.ping()


@play("entities: who may read them, who may write them; 401 without a token, 403 without the grant", "asan")
async def entities(s):
    mint = minted(s)
    s.set("rest", auth=True)
    await s.channels_house("w1")
    (await s.api().get("/sensors")).refused(401)
    (await s.api(token="wrong-secret").get("/sensors")).refused(401)
    writer = s.api(token=mint("ana", entities_read=["sensor"], entities_write=["sensor", "lectura"]))
    reader = s.api(token=mint("bob", entities_read=["sensor"]))
    nobody = s.api(token=mint("eve"))
    sensor = await writer.create("sensor", tipo="temperatura", modelo="DHT22")
    assert (await reader.get("/sensors")).status == 200
    assert (await reader.get(sensor.path)).status == 200
    body = {"tipo": "humedad", "modelo": "x"}
    (await reader.request("POST", "/sensors", body)).refused(403)
    (await reader.request("PUT", sensor.path, body)).refused(403)
    (await reader.request("DELETE", sensor.path)).refused(403)
    (await reader.get("/readings")).refused(403)
    (await nobody.get("/sensors")).refused(403)
    (await nobody.get("/sensores")).refused(403)
    assert (await writer.request("POST", "/readings", {"sensor_id": sensor.id, "temperatura": 20, "humedad": 50})).status == 201
    (await writer.get("/readings")).refused(403)  # writing is not reading


@play("from the login to the secure channel: one user, one token, every door", "asan", within=90)
async def whole(s):
    s.set("rest", auth=True)
    s.set("auth", users=[{"name": "ana", "password": hashed("secreto", BIN / "noria"), "channels": ["sensors"], "entities_write": ["sensor"]}])
    await s.channels_house("w1")
    answer = await s.api().request("POST", "/auth/login", {"username": "ana", "password": "secreto"}, within=20.0)
    assert answer.status == 200, answer
    token = answer["access_token"]
    client = await s.channel("ana", "sensors", secure=True, token=token)
    api = s.api(token=token)
    sensor = await api.create("sensor", tipo="temperatura", modelo="DHT22")
    await client.event("sensor", "created", id=sensor.id)
    (await api.request("POST", "/locations", {"sensor_id": sensor.id, "latitud": 1, "longitud": 1})).refused(403)
    await sent_away(s.channels_port, channel_path("general", True, token=token), "Canal no permitido")
    assert Key.made(s.state / "auth/hs256.key").path.stat().st_mode & 0o777 == 0o600
