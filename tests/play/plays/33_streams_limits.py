"""The streams dialect at its limits: tokens, sizes, numbers of streams and channels, and idle connections."""
import hashlib

import websockets

from stagecraft.registry import play
from stagecraft.wait import settle, until

TOKEN = "correct-horse-battery-staple-0123456789"
KIB = 1024
CONTENT_MAX = 192 * KIB


@play("with a token: three ways in; without one the upgrade is completed and closed with 1008, nothing said", "asan")
async def token(s):
    s.set("auth", tokens=[{"principal": "wms", "sha256": hashlib.sha256(TOKEN.encode()).hexdigest()}])
    await s.streams_house("w1", auth="token")
    query = await s.streamer("query", "a", path=f"/websocket?token={TOKEN}")
    header = await s.streamer("header", "a", extra_headers={"Authorization": f"Bearer {TOKEN}"})
    third = await s.streamer("protocol", "a", subprotocols=["bearer", TOKEN])
    assert third.socket.subprotocol == "bearer"
    await query.send("to both")
    await header.next("to both")
    await third.next("to both")
    for path, options in (("/", {}), ("/?token=wrong-secret", {}), ("/websocket", {"subprotocols": ["bearer", "wrong-secret"]}),
                          ("/", {"extra_headers": {"Authorization": "Bearer wrong-secret"}})):
        async with websockets.connect(f"ws://127.0.0.1:{s.streams_port}{path}", **options) as socket:
            try:
                heard = await settle("the close", socket.recv())
                raise AssertionError(f"something was said before: {heard}")
            except websockets.ConnectionClosed:
                assert (socket.close_code, socket.close_reason) == (1008, "Token inválido"), socket
    for actor in s.actors.values():
        assert TOKEN not in actor.text() and "wrong-secret" not in actor.text(), actor.name


@play("a message above max_message_bytes closes its connection with 1009, and is not relayed", "asan")
async def too_long_a_message(s):
    await s.streams_house("w1")
    hearer, sender = await s.streamer("hearer", "a"), await s.streamer("sender", "a")
    room = 64 * KIB - len('{"ws_op":"send","ws_msg":""}')
    await sender.say('{"ws_op":"send","ws_msg":"' + "x" * room + '"}')
    await hearer.next("x" * room)
    await sender.say('{"ws_op":"send","ws_msg":"' + "x" * (room + 1) + '"}')
    assert await sender.closed() == 1009
    after = await s.streamer("after", "a")
    await after.send("end")
    await hearer.next("end")


@play("content up to 192 KiB where messages may be so long; one byte more is an error, and the connection stays", "asan")
async def too_long_a_content(s):
    s.set("websocket", max_message_bytes=1024 * KIB)
    await s.streams_house("w1", "w2")
    hearers = [await s.streamer(f"h{n}", "a", on=f"w{n}") for n in (1, 2)]
    sender = await s.streamer("sender", "a", on="w1")
    whole = "ä" * (CONTENT_MAX // 2)
    await sender.send(whole)
    await sender.send(whole + "x")
    await sender.error()
    await sender.say('{"ws_op":"send","ws_msg":' + " " * (500 * KIB) + '"' + r"\u0078" * 1000 + '"}')
    for hearer in hearers:
        await hearer.next(whole, "x" * 1000)


STREAMS = [f"s{n}" for n in range(1000)]


@play("1,000 streams on one connection, and a message to all of them: once to everybody; one more is refused", "asan", within=120)
async def a_thousand(s):
    await s.streams_house("w1", "w2")
    sender = await s.streamer("sender", *STREAMS, on="w1")
    hearers = {}
    for on in ("w1", "w2"):
        for name, streams in (("first", STREAMS[:1]), ("middle", STREAMS[500:501]), ("last", STREAMS[-1:]), ("16", STREAMS[15:16]),
                              ("17", STREAMS[16:17]), ("some", STREAMS[10:990:7]), ("all", STREAMS)):
            hearers[name, on] = await s.streamer(f"{name} on {on}", *streams, on=on)
    stranger = await s.streamer("stranger", "elsewhere", on="w2")
    for n in range(5):
        await sender.send(f"to all {n}")
    for hearer in hearers.values():
        await hearer.next(*(f"to all {n}" for n in range(5)))
    await sender.say(ws_op="open", ws_stream_ids=["one more"])
    await sender.error("ws_stream_ids")
    await sender.say(ws_op="open", ws_stream_ids=["s7", "s8"])  # those it has already
    await stranger.open("one more")
    await sender.send("end")
    for hearer in hearers.values():
        await hearer.next("end")
    for (name, on), hearer in hearers.items():
        await hearer.send(f"by {name} on {on}")
    for n in range(len(hearers)):
        await sender.next()
    assert sorted(sender.heard()) == sorted(f"by {name} on {on}" for name, on in hearers)
    await stranger.reply()
    assert stranger.heard() == []
    greedy = await s.streamer("greedy", on="w2")
    await greedy.say(ws_op="open", ws_stream_ids=[*STREAMS, "one more"])
    await greedy.error("ws_stream_ids")
    await greedy.say(ws_op="send", ws_msg="nothing was opened")
    await greedy.error()


@play("streams.max_streams: no more on one connection, and closing makes room")
async def max_streams(s):
    s.set("streams", max_streams=3)
    await s.streams_house("w1")
    client, other = await s.streamer("client", "a", "b"), await s.streamer("other", "d")
    witness = await s.streamer("witness", "d")
    await client.say(ws_op="open", ws_stream_ids=["c", "d"])
    await client.error("ws_stream_ids")
    await client.open("c", "c", "a")
    await other.send("not opened")
    await witness.next("not opened")
    await client.leave()
    await client.open("d", "e", "f")
    await other.send("opened")
    await client.next("opened")


@play("streams.max_channels is the installation's: what other workers have open counts", within=90)
async def max_channels(s):
    s.set("streams", max_channels=6)
    await s.streams_house("w1", "w2", "w3")
    first = await s.streamer("first", "a", "b", on="w1")
    second = await s.streamer("second", "a", "b", on="w2")

    async def opens(client, *streams):
        """True if they were opened; its connection has none before, and none afterwards."""
        await client.say(ws_op="open", ws_stream_ids=list(streams))
        await client.say(ws_op="how was it?")
        opened = "ws_stream_ids" not in await client.error()
        if opened:
            await client.leave()
        else:
            await client.error("ws_op")
        return opened

    third = await s.streamer("third", on="w3")

    async def refused():
        return not await opens(third, "c", "d", "e")

    await until("the worker to know of the others' channels", refused, within=10)
    assert await opens(third, "c", "d")
    await second.close()

    async def allowed():
        return await opens(third, "c", "d", "e")

    await until("the worker to know of the room", allowed, within=10)
    await first.send("still there")
    await first.reply()
    assert len(first.frames) == 1


@play("an idle connection stays as long as it answers pings")
async def idle(s):
    s.set("websocket", ping_interval_ms=100, ping_timeout_ms=10000)
    await s.streams_house("w1")
    quiet, never_opened = await s.streamer("quiet", "a"), await s.streamer("never opened")
    before = s.counter("w1", "ws_pings")
    await s.counts("w1", "ws_pings", before + 20)
    sender = await s.streamer("sender", "a")
    await sender.send("still there?")
    await quiet.next("still there?")
    await never_opened.open("a")
    await sender.send("and you?")
    await never_opened.next("and you?")
