"""A worker that is told to go: it takes nobody in any more, gives everybody what they are owed, and sends them away one by one. Nobody who
resumes loses anything, nobody is refused."""
import asyncio
import signal
from pathlib import Path

import websockets

from stagecraft.chatterbox import ECHO
from stagecraft.httpclient import http_listener, post
from stagecraft.registry import play
from stagecraft.scripts import AT_REST
from stagecraft.wait import limit, until

RESTART = (1012, "service restart")


def drain(s, name):
    """SIGUSR1, as an engine or an operator says it."""
    actor = s.actor(name)
    actor.told_to_end = True
    actor.send_signal(signal.SIGUSR1)
    return actor


async def sent_away(*clients, within=20.0):
    for client in clients:
        await client.closed(within=within)
        assert (client.close_code, client.close_reason) == RESTART, (client.name, client.close_code, client.close_reason)


async def ended(s, name, within=20.0):
    actor = s.actor(name)
    code = await actor.ended(within=within)
    assert code == 0, f"{name} ended with {code}:\n{actor.tail()}"


def told(line):
    return {key: int(value) for key, value in (word.split("=") for word in line.split() if "=" in word) if value.isdigit()}


@play("a drained worker sends its clients away with 1012, spread over the window, and ends with 0", "asan")
async def spread(s):
    s.set("workers", drain_ms=1500)
    await s.house("m1")
    here = [await s.client(f"c{i}", on="w1") for i in range(6)]
    there = await s.client("there", on="w2")
    drain(s, "w1")
    await s.actor("w1").logs("draining", "window_ms=1500", "clients=6")
    await sent_away(here[0])
    assert sum(c.connected for c in here) >= 1, "all at once"
    await sent_away(*here)
    await ended(s, "w1")
    line = told(await s.actor("w1").logs(" drained "))
    assert line["told"] == 6 and line["late"] == 0, line
    assert line["took_ms"] >= 1250, f"six clients in {line['took_ms']} ms of 1500"  # the last goes after 5/6 of it
    await there.ping()
    await (await s.client("next")).ping()


@play("a drained worker without clients ends at once; one that is told twice, or by SIGTERM, too", "asan")
async def empty_and_twice(s):
    s.set("workers", drain_ms=60000)
    await s.house("m1")
    drain(s, "w2")
    await ended(s, "w2", within=5)
    c1, c2 = await s.client("c1", on="w1"), await s.client("c2", on="w1")
    drain(s, "w1")
    await sent_away(c1)  # the first goes at the beginning, the second after half a minute
    s.actor("w1").send_signal(signal.SIGUSR1)
    await c2.ping()
    await s.counts("w1", "draining", 1)
    await s.actor("w1").stop(within=8)
    assert await c2.closed() == 1001
    await s.actor("w1").start()
    await (await s.client("again")).ping()


@play("told to go, or to read its configuration again, while it still waits for a broker: it does", "asan")
async def before_it_serves(s):
    s.machine("m1")
    w1 = await s.cast("w1", "noria-worker", ready=False).start()
    await until("the worker to listen to signals", lambda: w1.catches(signal.SIGUSR1) and w1.catches(signal.SIGHUP))
    s.set("websocket", max_message_bytes=200)
    s.write_conf()
    w1.send_signal(signal.SIGHUP)
    await w1.logs(" reload ")
    await s.broker()
    client = await s.client("c1")
    await client.say({"type": "ping", "filler": "x" * 300})
    assert await client.closed() == 1009
    await s.actor("b1").stop()
    await w1.stop()
    await w1.start()
    await until("the worker to listen to signals", lambda: w1.catches(signal.SIGUSR1))
    drain(s, "w1")
    await ended(s, "w1")


@play("a drain while the broker is away: in bounded time, with 1012", "asan")
async def without_broker(s):
    s.set("workers", drain_ms=500)
    await s.streams_house("w1")
    talker = await s.streamer("talker", "a")
    s.actor("b1").told_to_end = True
    await s.actor("b1").kill()
    await talker.send("for nobody")
    await talker.taken()
    drain(s, "w1")
    await sent_away(talker)
    await ended(s, "w1", within=5)
    await s.broker("b2")


@play("killed in the middle of a drain: whoever was left comes back elsewhere with everything", "asan")
async def killed(s):
    s.set("workers", drain_ms=60000)
    sim = await s.house("m1")
    clients = [await s.client(f"c{i}", on="w1") for i in range(3)]
    for client in clients:
        await client.subscribe(kind="all_events")
    drain(s, "w1")
    await sent_away(clients[0])
    await s.actor("w1").kill()
    for client in clients[1:]:
        assert await client.closed() == 1006
    await sim.place("m1", 7)
    for client in clients:
        back = await s.client(f"{client.name}.back", on="w2")
        resumed = await back.resume(client.last_seq)
        assert not resumed.gap
        await back.sees("m1", position=7)
    await s.actor("w1").start()


@play("clients that resume lose nothing over the drains of both workers, under load", "asan", within=120)
async def resuming(s):
    s.set("workers", drain_ms=600)
    sim = await s.house("m1", "m2", workers=["w1", "w2", "w3"])
    observer = await s.client("observer", on="w3")
    await observer.subscribe(kind="all_events")
    goers = [await s.client(f"g{i}", on="w1" if i % 2 else "w2") for i in range(8)]
    for goer in goers:
        await goer.subscribe(kind="all_events")
    kept, done, moves = {goer.name: [] for goer in goers}, asyncio.Event(), []
    mover = await s.client("mover", on="w3")

    async def move():
        n = 0
        while not done.is_set():
            n += 1
            target = n % 20 + 1
            await mover.move("m1", target, request_id=f"r{n}")
            await observer.hear("command_completed", machine_id="m1", position=target, within=10)
            await observer.sees("m1", position=target, raw_status=AT_REST)
            moves.append(target)

    async def live(goer):
        """Comes back whenever it is sent away, until the end; everything that it was told, in order."""
        frames = kept[goer.name]
        while True:
            await until(f"{goer.name} to be sent away, or the end", lambda g=goer: not g.connected or done.is_set(), within=60)
            frames += goer.frames
            if goer.connected:
                return goer
            assert (goer.close_code, goer.close_reason) == RESTART, (goer.name, goer.close_code)
            since = next(f["seq"] for f in reversed(frames) if "seq" in f)
            goer = await s.client(f"{goer.name.split('.')[0]}.{len(frames)}", welcome=False)
            kept[goer.name] = frames
            goer.history.repeats_allowed = True
            resumed = await goer.resume(since)
            assert not resumed.gap, "a gap, and the ring has it all"

    moving = asyncio.ensure_future(move())
    living = [asyncio.ensure_future(live(goer)) for goer in goers]
    await until("some moves", lambda: len(moves) >= 3, within=20)
    for name in ("w1", "w2"):
        drain(s, name)
        await ended(s, name)
        await s.actor(name).start()
        before = len(moves)
        await until("more moves", lambda b=before: len(moves) >= b + 2, within=20)
    done.set()
    await moving
    last = [await life for life in living]
    for goer in last:
        await goer.ping()
        await goer.hear("command_completed", machine_id="m1", position=moves[-1]) if not goer.heard(
            "command_completed", position=moves[-1]) else None
        await goer.sees("m1", position=moves[-1], raw_status=AT_REST)
    wanted = [f.text for f in observer.frames if f.type in ("command_result", "command_completed")]
    for first, goer in zip(goers, last):
        frames = kept[goer.name] if goer is not first else []
        texts = [f.text for f in list(frames) + goer.frames if f.type in ("command_result", "command_completed")]
        unique = list(dict.fromkeys(texts))
        assert unique == wanted, f"{goer.name}: {len(unique)} of {len(wanted)}"
    assert sim.truth.moves("m1") == moves


@play("a command under way is answered before its client goes; others do not wait for it", "asan")
async def command_under_way(s):
    s.set("workers", drain_ms=8000)
    s.set("machine_defaults", reply_timeout_ms=5000, command_deadline_ms=20000)
    sim = await s.house("m1")
    caller, other = await s.client("caller", on="w1"), await s.client("other", on="w1")
    await sim.hold("m1", 1)
    await caller.move("m1", 5)
    await sim.held("m1")
    drain(s, "w1")
    await sent_away(other)
    await caller.ping()
    await sim.release("m1")
    await caller.hear("command_result", success=True)
    await sent_away(caller)
    await ended(s, "w1")
    line = told(await s.actor("w1").logs(" drained "))
    assert (line["told"], line["late"]) == (2, 0), line


@play("a command whose answer does not come: its client goes at the window's end, and hears the rest where it resumes", "asan")
async def command_too_late(s):
    s.set("workers", drain_ms=700)
    s.set("machine_defaults", reply_timeout_ms=8000, command_deadline_ms=20000)
    sim = await s.house("m1")
    caller = await s.client("caller", on="w1")
    await caller.subscribe(kind="all_events")
    await sim.hold("m1", 1)
    await caller.move("m1", 5)
    await sim.held("m1")
    drain(s, "w1")
    await sent_away(caller)
    await ended(s, "w1")
    line = told(await s.actor("w1").logs(" drained "))
    assert (line["told"], line["late"]) == (1, 1), line
    back = await s.client("back", on="w2")
    resumed = await back.resume(caller.last_seq)
    assert not resumed.gap
    await sim.release("m1")
    await back.hear("command_result", success=True)
    await back.hear("command_completed", success=True, position=5)


@play("slow clients hold up no drain, and those who read late still get what their sockets took, then 1012", "asan")
async def slow(s):
    s.set("workers", drain_ms=700)
    sim = await s.house("m1")
    for _ in range(3):
        s.mute({"type": "subscribe", "subscription_type": "all_events"}, on="w1")
    late = await s.client("late", on="w1")
    await late.subscribe(kind="all_events")
    late.stop_reading()
    for position in range(1, 6):
        await sim.place("m1", position)
        await until("the state to be read", lambda p=position: s.counter("w2", "tail_states") >= p)
    watch = await s.client("watch", on="w2")
    await watch.subscribe()
    await watch.sees("m1", position=5)
    await s.counts("w1", "tail_records", s.counter("w2", "tail_records"))
    drain(s, "w1")
    await ended(s, "w1")
    late.read_again()
    await sent_away(late)
    await late.sees("m1", position=5)
    for mute in s.mutes:
        mute.close()


def listeners(port):
    """How many sockets listen there."""
    return Path("/proc/net/tcp").read_text().count(f" 0100007F:{port:04X} 00000000:0000 0A ")


@play("a client whose socket is full is passed by, gets all that it is owed when it reads, and then 1012", "asan")
async def owed(s):
    s.set("workers", drain_ms=8000)
    s.set("slow_clients", soft_kib=8192, hard_kib=8192)
    await s.streams_house("w1", "w2")
    late = await s.streamer("late", "a", on="w1")
    talker, other = await s.streamer("talker", "a", on="w2"), await s.streamer("other", "b", on="w1")
    late.stop_reading()
    for n in range(150):
        await talker.send(f"{n} " + "x" * 20000)
    await s.counts("w1", "tail_records", 150)
    await s.counts("w1", "ws_short_writes", 1)
    drain(s, "w1")
    await sent_away(other)
    late.read_again()
    await sent_away(late)
    assert [f.split(" ")[0] for f in late.frames] == [str(n) for n in range(150)], len(late.frames)
    await ended(s, "w1")
    assert told(await s.actor("w1").logs(" drained "))["late"] == 0


@play("streams: what drained clients sent reaches everybody, also if a broker comes late for it, and they are sent away with 1012", "asan")
async def streams(s):
    s.set("workers", drain_ms=10000)
    await s.streams_house("w1", "w2")
    talkers = [await s.streamer(f"t{i}", "a", on="w1") for i in range(2)]
    listener = await s.streamer("listener", "a", on="w2")
    await s.actor("b1").kill()
    for n, talker in enumerate(talkers):
        await talker.send(*[f"{n}.{k}" for k in range(200)])
        await talker.taken()
    drain(s, "w1")
    await talkers[0].close()
    await sent_away(talkers[1])
    await until("all else to be over: w1 listens no more", lambda: listeners(s.streams_port) == 1)
    await s.actor("b1").start()
    await ended(s, "w1")
    for _ in range(400):
        await listener.next()
    for n in range(2):
        mine = [f for f in listener.frames if f.startswith(f"{n}.")]
        assert mine == [f"{n}.{k}" for k in range(200)], mine[:5]


@play("endpoints: an answer that a handler owes comes before the 1012, and it hears of the end of each connection", "asan")
async def endpoints(s):
    s.set("workers", drain_ms=6000)
    handler = s.handler("play")
    s.endpoint("/play", "play", schema=ECHO)
    await s.endpoints_house("w1")
    caller, idle = await s.caller("c1", "/play", on="w1"), await s.caller("c2", "/play", on="w1")
    await caller.act(["hold"], n=1)
    await handler.notes("message", who="c1")
    drain(s, "w1")
    await sent_away(idle)
    await handler.notes("disconnect", who="c2")
    assert caller.connected
    await handler.order(0, "answer", who="c1", n=1, body="late")
    await caller.next(200, "late")
    await sent_away(caller)
    await handler.notes("disconnect", who="c1")
    await ended(s, "w1")
    assert told(await s.actor("w1").logs(" drained "))["late"] == 0


@play("channels: who is sent away hears so, comes back with since, and has every event once", "asan")
async def channels(s):
    s.set("workers", drain_ms=600)
    await s.channels_house("w1", "w2")
    api = s.api(on="w2")
    witness = await s.channel("witness", "readings", on="w2")
    goers = [await s.channel(f"g{i}", "readings", on="w1") for i in range(4)]
    sensor = await api.create("sensor", tipo="temperatura", modelo="DHT22")

    async def readings(n):
        await api.create_many([{"sensor_id": sensor["id"], "temperatura": 20.0, "humedad": 50.0}] * n)

    await readings(50)
    for goer in goers:  # who has heard nothing has nothing to come back with
        await until(f"{goer.name} to hear something", lambda g=goer: g.last_seq is not None)
    writing = asyncio.ensure_future(asyncio.gather(*[readings(50) for _ in range(4)]))
    drain(s, "w1")
    await sent_away(*goers)
    await writing
    await ended(s, "w1")
    await until("the witness to hear it all", lambda: len(witness.events()) == 250)
    every = [f.text for f in witness.frames if f.seq is not None]
    for goer in goers:
        assert goer.frames[-1]["message"] == "Servidor deteniéndose", goer.frames[-1].text
        heard = [f.text for f in goer.frames if f.seq is not None]
        back = await s.channel(f"{goer.name}.back", "readings", on="w2", since=goer.last_seq)
        await until("the rest", lambda b=back, h=heard: len(h) + len(b.events()) >= len(every))
        assert heard + [f.text for f in back.frames if f.seq is not None] == every


@play("a request that waits is answered, and one whose body is on its way is read to its end", "asan")
async def rest(s):
    s.set("workers", drain_ms=8000)
    s.set("machine_defaults", reply_timeout_ms=5000, command_deadline_ms=20000)
    port = http_listener(s)
    sim = await s.house("m1", workers=["w1"])
    await sim.hold("m1", 1)
    move = asyncio.ensure_future(post(port, "/v1/machines/m1/move", {"position": 5}, within=20))
    await sim.held("m1")
    body = b'{"position": 6}'
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /v1/machines/m1/move HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
    await s.counts("w1", "http_exchanges", 2)
    drain(s, "w1")
    await s.actor("w1").logs("draining")
    writer.write(body)
    await sim.release("m1")
    (await move).envelope(200, machine="m1")
    answer = await asyncio.wait_for(reader.read(), limit(10))
    assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 409")), answer[:80]
    writer.close()
    await ended(s, "w1")


@play("drained and started again under a storm of new connections: nobody is refused", "asan", within=120)
async def nobody_is_refused(s):
    s.set("workers", drain_ms=300)
    await s.house("m1")
    counted, stop = {"served": 0}, asyncio.Event()

    async def storm():
        while not stop.is_set():
            async with websockets.connect(f"ws://127.0.0.1:{s.port}/", open_timeout=limit(20), close_timeout=limit(5)) as socket:
                try:
                    await asyncio.wait_for(socket.recv(), limit(20))
                    counted["served"] += 1
                except websockets.ConnectionClosed as error:
                    assert (error.code, error.reason) == RESTART, error

    storms = [asyncio.ensure_future(storm()) for _ in range(12)]
    for turn in range(4):
        name = ("w1", "w2")[turn % 2]
        await until("the storm to blow", lambda c=counted["served"]: counted["served"] >= c + 100, within=20)
        drain(s, name)
        await ended(s, name)
        await s.actor(name).start()
    stop.set()
    await asyncio.gather(*storms)
