"""Listeners that ask for a token, and listeners with several dialects."""
import hashlib

import websockets

from stagecraft.httpclient import get, head, http_listener, post
from stagecraft.rawclient import handshake, status_of
from stagecraft.registry import play
from stagecraft.scripts import AT_REST
from stagecraft.wait import settle

TOKEN = "correct-horse-battery-staple-0123456789"


def tokens(s, **principals):
    s.set("auth", tokens=[{"principal": name, "sha256": hashlib.sha256(token.encode()).hexdigest()}
                          for name, token in principals.items()])


@play("REST with a token: 401 without, with a wrong one, and never a word of it in a log", "asan")
async def over_http(s):
    tokens(s, wms=TOKEN)
    port = http_listener(s, auth="token")
    sim = await s.house("m1", workers=["w1"])
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    for headers, query in (({}, ""), ({"Authorization": "Bearer wrong-secret"}, ""), ({"Authorization": "Basic abc"}, ""),
                           ({}, "?token=wrong-secret"), ({}, "?token=")):
        for answer in (await get(port, f"/v1/machines{query}", **headers),
                       await post(port, f"/v1/machines/m1/move{query}", {"position": 3}, **headers)):
            answer.envelope(401, "UNAUTHORIZED")
            assert answer.headers["www-authenticate"] == "Bearer", answer
    (await get(port, "/v1/machines", **bearer)).envelope(200)
    (await get(port, f"/v1/machines?token={TOKEN}")).envelope(200)
    (await post(port, "/v1/machines/m1/move", {"position": 3}, **bearer)).envelope(200, machine="m1")
    assert (await get(port, f"/v1/machines?token={TOKEN}", **bearer)).status == 400  # a token in two places
    answer = await get(port, "/v1/machines", method="OPTIONS", Origin="http://localhost:1",
                       Access_Control_Request_Method="GET")
    assert answer.status == 204 and "Authorization" in answer.headers["access-control-allow-headers"], answer
    for actor in s.actors.values():
        assert TOKEN not in actor.text() and "wrong-secret" not in actor.text(), actor.name
    assert sim.truth.moves("m1") == [3]
    await s.counts("w1", "tokens_granted", 3)


@play("a principal's Idempotency-Key is its own: no UUID needed, and another's is another", "asan")
async def principals(s):
    tokens(s, wms=TOKEN, other=TOKEN[::-1])
    port = http_listener(s, auth="token")
    sim = await s.house("m1", workers=["w1", "w2"])
    wms, other = {"Authorization": f"Bearer {TOKEN}"}, {"Authorization": f"Bearer {TOKEN[::-1]}"}
    move = "/v1/machines/m1/move"
    c1 = await s.client("c1")
    await c1.subscribe()
    for _ in range(3):
        (await post(port, move, {"position": 4}, Idempotency_Key="order-1", **wms)).envelope(200, machine="m1")
        await c1.sees("m1", position=4, raw_status=AT_REST)
    (await post(port, move, {"position": 5}, Idempotency_Key="order-1", **wms)).envelope(400, "INVALID_COMMAND", "m1")
    (await post(port, move, {"position": 5}, Idempotency_Key="order-1", **other)).envelope(200, machine="m1")
    assert sim.truth.moves("m1") == [4, 5]


@play("WebSocket with a token: three ways in; without one the upgrade is completed and closed with 1008, nothing said", "asan")
async def over_websocket(s):
    tokens(s, wms=TOKEN)
    port = http_listener(s, ["carousel"], auth="token")
    await s.house("m1", workers=["w1"])
    await s.client("query", port=port, path=f"/?token={TOKEN}")
    await s.client("header", port=port, extra_headers={"Authorization": f"Bearer {TOKEN}"})
    third = await s.client("protocol", port=port, subprotocols=["bearer", TOKEN])
    assert third.socket.subprotocol == "bearer"
    await third.ping()
    for path, options in (("/", {}), ("/?token=wrong-secret", {}), ("/", {"subprotocols": ["bearer", "wrong-secret"]}),
                          ("/", {"extra_headers": {"Authorization": "Bearer wrong-secret"}})):
        async with websockets.connect(f"ws://127.0.0.1:{port}{path}", **options) as socket:
            try:
                heard = await settle("the close", socket.recv())
                raise AssertionError(f"something was said before: {heard}")
            except websockets.ConnectionClosed:
                assert (socket.close_code, socket.close_reason) == (1008, "Token inválido"), socket
    for actor in s.actors.values():
        assert TOKEN not in actor.text() and "wrong-secret" not in actor.text(), actor.name
    await s.counts("w1", "tokens_missing", 1)
    await s.counts("w1", "tokens_unknown", 3)
    await third.ping()


@play("one port, two dialects: REST and WebSocket side by side; on a port with REST alone an upgrade is 404")
async def side_by_side(s):
    both = http_listener(s, ["rest", "carousel"])
    alone = http_listener(s)
    await s.house("m1", workers=["w1"])
    client = await s.client("c1", port=both, path="/v1/machines")
    await client.ping()
    (await get(both, "/v1/machines")).envelope(200)
    assert (await get(both, "/")).status == 404
    assert await status_of(alone, handshake(alone)) == 404
    assert await status_of(s.port, head("GET", "/v1/machines")) == 426
