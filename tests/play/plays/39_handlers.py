"""What handlers do of themselves: send, publish, subscribe, close; and what they do wrong: stop reading, talk nonsense, say too much. The handler
processes are real, and scripted (python/scripted_handler.py).

A negative ("does not hear it") waits for a later publication to the same connection, which comes through the same ring.
"""
import asyncio

from stagecraft.caller import FAILED, TIMEOUT, UNAVAILABLE
from stagecraft.chatterbox import ECHO
from stagecraft.handled import assert_once
from stagecraft.registry import play
from stagecraft.wait import until


async def forum(s, *workers, processes=1, **settings):
    """A handler with two paths that are validated, one that is not, and one that answers binary."""
    handler = s.handler("play", processes, **settings)
    for path in ("/play", "/other"):
        s.endpoint(path, "play", schema=ECHO)
    s.endpoint("/raw", "play")
    s.endpoint("/binary", "play", schema=ECHO, binary=True)
    await s.endpoints_house(*workers)
    return handler


# --- send ---------------------------------------------------------------------------------------------------------------


@play("a handler sends whenever it likes: at once, without waiting for answers that are owed, in its own order", "asan")
async def sends(s):
    handler = await forum(s, "w1")
    client, raw = await s.caller("c1", "/play"), await s.caller("raw", "/raw")
    await client.act(["hold"], n=1)
    await client.act(*[["send", 200, n] for n in range(20)], n=2)
    for n in range(20):
        await client.next(200, n)
    await handler.order(0, "do", who="c1", steps=[["send", 404, {"not": "asked"}], ["send", 204, "nothing"]])
    await client.next(404, {"not": "asked"})
    await client.next(204, None)
    await handler.order(0, "answer", who="c1", n=1, body="first")
    await client.next(200, "first")
    await client.next(200)
    await handler.order(0, "do", who="raw", steps=[["send", 200, "text"], ["send", 500, {"hex": "ff00"}], ["send", 200, [1]]])
    for expected in ("text", b"\xff\x00", "[1]"):
        await raw.raw(expected)


@play("what cannot be sent is left out, and nobody suffers: unknown connections, unknown statuses, bodies that are no JSON", "asan")
async def sends_nonsense(s):
    handler = await forum(s, "w1")
    client = await s.caller("c1", "/play")
    steps = [["send_nobody", n] for n in (0, 99999, 2 ** 53)]
    steps += [["send_odd", kind] for kind in ("ext", "nan", "intkey", "utf8")]
    steps += [["send", 299, "x"], ["subscribe", "x" * 60], ["unsubscribe", "nowhere"], ["publish", "/nobody's", "", 200, "x"],
              ["publish", "/play", "", 299, "x"], ["wire", [99, "a type of another version"]]]
    for n, step in enumerate(steps):
        await client.act(step, n=n)
        await client.next(200)
    assert len(handler.heard("welcome")) == 1, "it was dropped for that"


@play("on_connect's own words come before any answer", "asan")
async def greets(s):
    handler = await forum(s, "w1", "w2")
    await handler.order(0, "connect_with", steps=[["send", 200, "welcome"], ["subscribe", "lobby"]])
    for name, on in (("c1", "w1"), ("c2", "w2")):
        client = await s.caller(name, "/play", on=on)
        await client.say({"n": 1})
        await client.next(200, "welcome")
        await client.next(200, {"n": 1, "do": []})


# --- publish --------------------------------------------------------------------------------------------------------------


@play("published to an endpoint: all its connections at all workers hear it, in order, and nobody else; but him who is excepted", "asan")
async def publishes(s):
    handler = await forum(s, "w1", "w2", "w3")
    everybody = [await s.caller(f"c{n}", "/play", on=f"w{n % 3 + 1}") for n in range(6)]
    others = [await s.caller(f"o{n}", "/other", on=f"w{n + 1}") for n in range(3)]
    for client in everybody + others:  # an answer: its OPEN was taken
        await client.ask({"n": 0}, 200)
    for excepted in everybody[:3]:
        await handler.order(0, "do", who=excepted.name, steps=[
            *[["publish", "/play", "", 200, n] for n in range(20)], ["publish", "/play", "", 201, "to the others", True],
            ["publish", "/other", "", 200, "elsewhere"], ["publish", "/play", "", 202, "end"]])
        for client in everybody:
            for n in range(20):
                await client.next(200, n)
            if client is not excepted:
                await client.next(201, "to the others")
            await client.next(202, "end")
        for client in others:
            await client.next(200, "elsewhere")


@play("topics: who has subscribed hears it, at whatever worker, once; who has left does not; names are the endpoint's own", "asan")
async def topics(s):
    handler = await forum(s, "w1", "w2")
    a, b, ab, none = [await s.caller(name, "/play", on=on) for name, on in (("a", "w1"), ("b", "w2"), ("ab", "w2"), ("none", "w1"))]
    other = await s.caller("other", "/other", on="w1")
    for client, names in ((a, "a"), (b, "b"), (ab, "ab"), (other, "ab")):
        await client.act(*[["subscribe", name] for name in names])
        await client.next(200)

    async def speaks(topic, body):
        await handler.order(0, "do", who="none", steps=[["publish", "/play", topic, 200, body]])

    async def hear(**expected):
        await speaks("", "end")
        for client in (a, b, ab, none):
            for body in [*expected.get(client.name, []), "end"]:
                await client.next(200, body)

    await speaks("a", 1)
    await speaks("b", 2)
    await speaks("nobody's", 3)
    await hear(a=[1], b=[2], ab=[1, 2])
    await ab.act(["unsubscribe", "a"], ["unsubscribe", "a"], ["subscribe", "ä/🎡"])
    await ab.next(200)
    await speaks("a", 4)
    await speaks("ä/🎡", 5)
    await hear(a=[4], ab=[5])
    assert [answer.status for answer in other.frames] == [200], other.frames


@play("published by a traditional endpoint's name: texts as texts, bytes as bytes; a binary endpoint hears bytes")
async def publishes_kinds(s):
    await forum(s, "w1", "w2")
    raw, far, binary = await s.caller("raw", "/raw", on="w1"), await s.caller("far", "/raw", on="w2"), await s.caller("b", "/binary", on="w2")
    await raw.act(["publish", "/raw", "", 200, "text"], ["publish", "/raw", "", 200, {"hex": "00ff"}], ["publish", "/raw", "", 200, {"a": 1}],
                  ["publish", "/binary", "", 200, {"a": 1}], ["reply", 0, None])
    for client in (raw, far):
        for expected in ("text", b"\x00\xff", '{"a":1}'):
            await client.raw(expected)
    await binary.next(200, {"a": 1})


@play("publishing goes on over the broker's death: each to everybody once, in order; what is too much meanwhile waits at the handler", "asan",
      within=120)
async def over_the_broker(s):
    s.set("ring", size_mib=64)
    s.set("slow_clients", hard_kib=65536)  # what had to wait for the broker comes in one go: 3.2 MB, for each worker more than its window
    handler = await forum(s, "w1", "w2", processes=2)
    hearers = [await s.caller(f"h{n}", "/play", on=f"w{n % 2 + 1}") for n in range(4)]
    speakers = [await s.caller(f"s{n}", "/other", on=f"w{n % 2 + 1}") for n in range(4)]
    count, rounds = 40, 5
    for n in range(rounds):
        for speaker in speakers:  # their processes are all that speak
            await speaker.act(["publish_many", "/play", "", n * count, count, 4000], ["reply", 200, n])
        await s.actor("b1").kill()
        await s.actor("b1").start()
    for speaker in speakers:
        for n in range(rounds):
            await speaker.next(200, n, within=30)
    for hearer in hearers:
        await until(f"{hearer} to hear all", lambda h=hearer: len(h.frames) >= len(speakers) * rounds * count, within=30)
        for speaker in speakers:
            mine = [a.body["n"] for a in hearer.frames if a.body["by"] == speaker.name]
            assert mine == list(range(rounds * count)), f"{hearer} heard of {speaker}: {mine}"
    await handler.order(handler.process_of("h0"), "do", who="h0", steps=[["publish", "/play", "", 200, {"by": "end"}]])
    for hearer in hearers:
        await hearer.hear(lambda a: a.body["by"] == "end")
        assert len(hearer.frames) == len(speakers) * rounds * count + 1


# --- close ----------------------------------------------------------------------------------------------------------------


@play("a handler closes a connection with a code and a reason; what it had said before arrives; on_disconnect runs", "asan")
async def closes(s):
    handler = await forum(s, "w1")
    for n, (code, reason) in enumerate(((1000, ""), (1008, "no entry"), (4000, "own ä"), (4999, "x" * 123), (1013, "later"))):
        client = await s.caller(f"c{n}", "/play")
        await client.act(["send", 200, "last words"], ["close", code, reason], ["reply", 200, "never"])
        await client.next(200, "last words")
        assert await client.closed() == code and client.close_reason == reason, (code, client.close_code, client.close_reason)
        await handler.notes("disconnect", who=f"c{n}")
    for n, (code, reason) in enumerate(((0, ""), (999, ""), (1005, ""), (1006, ""), (1015, ""), (2999, ""), (5000, ""), (70000, ""))):
        client = await s.caller(f"wrong{n}", "/play")
        await client.act(["close", code, reason])
        assert await client.closed() == 1011, (code, client.close_code)
        await handler.notes("disconnect", who=f"wrong{n}")
    assert_once(handler)


# --- nonsense, and worse ----------------------------------------------------------------------------------------------------

NONSENSE = {
    "a frame of no bytes": "00000000", "a huge frame announced": "ffffffff", "one byte above what may be": "01400001",
    "no msgpack": "00000002c1c1", "no array": "0000000107", "an empty array": "0000000190", "half a value": "00000003929323",
    "bytes behind the message": "00000004922200ff", "a TAKEN without its event": "000000029122", "a text as event": "000000039222a0",
    "a map that claims 4 billion members": "0000000a9423 00 cc c8 dfffffffff".replace(" ", ""),
    "a worker's own message": "000000069404c0c0c0c0",
}


@play("nonsense from a handler: its link is dropped, what it had is 500, and others serve on", "asan", within=120)
async def nonsense(s):
    handler = await forum(s, "w1", processes=2)
    for n, (what, data) in enumerate(NONSENSE.items()):
        client = await s.caller(f"c{n}", "/play")
        await client.act(["hold"], n=1)
        await handler.notes("message", who=f"c{n}")
        ends = len(handler.heard("end"))
        await handler.order(handler.process_of(f"c{n}"), "do", who=f"c{n}", steps=[["garbage", data]])
        await client.next(500, FAILED)
        await handler.notes("end", ends + 1)
        await client.ask({"n": 2}, 200, {"n": 2, "do": []})
        assert len(client.frames) == 2, what


@play("a frame that is announced and never comes: 503 for who waits, then the process counts as stuck", "asan")
async def half_a_frame(s):
    handler = await forum(s, "w1", processes=1, stuck_ms=2000, deadline_ms=1500)
    client = await s.caller("c1", "/play")
    await client.ask({"n": 0}, 200)
    before = s.actor("w1").rss_kib()
    await handler.order(0, "do", who="c1", steps=[["garbage", "013fffff93"]])
    await client.ask({"n": 1}, 503, TIMEOUT)
    assert await handler.died(0, within=20) == -9
    assert s.actor("w1").rss_kib() < before + 8192, "memory for what was only announced"
    await handler.start(0)
    await until("the client to be served", lambda: served(client), within=20)


def in_pairs(handler, who, is_open):
    """on_connect, then on_disconnect, at each link that had it; how many had. (Between two links the log's order is that of their processes.)"""
    links = {}
    for event in handler.heard("connect", "disconnect", who=who):
        links.setdefault((event["pid"], event["link"]), []).append(event["what"])
    calls = list(links.values())
    assert calls == [["connect", "disconnect"]] * (len(calls) - is_open) + [["connect"]] * is_open, calls
    return len(calls)


@play("a link that the worker ends though the process lives: there its connections have ended, so they begin anew, in pairs", "asan", within=120)
async def begins_anew(s):
    """By a broken protocol, and by silence of a process behind a socket, which is somebody else's and not to be killed."""
    handler = s.handler("play", 2)
    away = s.handler("away", by_socket=True, stuck_ms=800, deadline_ms=400)
    s.endpoint("/play", "play", schema=ECHO)
    s.endpoint("/away", "away", schema=ECHO)
    await s.endpoints_house("w1")
    client, stuck = await s.caller("c1", "/play"), await s.caller("c2", "/away")
    for n in range(3):
        await client.ask({"n": n}, 200)
        await handler.order(handler.process_of("c1"), "do", who="c1", steps=[["garbage", "ffffffff"]])
        await handler.notes("end", n + 1)
    await client.ask({"n": 3}, 200)
    assert in_pairs(handler, "c1", is_open=True) == 4 and not handler.heard("resume"), handler.heard("open")
    await stuck.act(["stand"], n=1)
    assert (await stuck.next()).status == 503
    await s.counts("w1", "handler_links_lost", 4, within=20)
    away.actors[0].resume()
    await away.notes("disconnect", who="c2")
    await until("the client to be served", lambda: served(stuck), within=20)
    assert away.actors[0].alive and len(away.heard("start")) == 1
    assert in_pairs(away, "c2", is_open=True) == 2 and not away.heard("resume")


@play("an event answered that was never asked, or twice, is no answer to anything", "asan")
async def answers_nobody(s):
    handler = await forum(s, "w1", processes=2)
    client = await s.caller("c1", "/play")
    await client.act(["twice", 200, "once"], n=1)
    await client.next(200, "once")
    await client.ask({"n": 2}, 200, {"n": 2, "do": []})
    await client.act(["wire", [35, 4711, 200, "nobody's"]], n=3)
    told = await client.next()
    assert (told.status, told.body) in ((200, {"n": 3, "do": [["wire", [35, 4711, 200, "nobody's"]]]}), (500, FAILED)), told
    await client.ask({"n": 4}, 200, {"n": 4, "do": []})
    assert len(client.frames) == 4, client.frames
    assert [e["n"] for e in handler.heard("message", who="c1")] == [1, 2, 3, 4]


@play("a handler of another version, or one that says no WELCOME, gets nothing; who waits for it is told 503", "asan")
async def no_welcome(s):
    handler = s.handler("play", deadline_ms=400, argv=["--welcome", "[2,\"of tomorrow\"]"])
    mute = s.handler("mute", deadline_ms=400, argv=["--welcome", "null"])
    s.endpoint("/play", "play", schema=ECHO)
    s.endpoint("/mute", "mute", schema=ECHO)
    s.endpoints_listener()
    s.machine("m1")
    await handler.start()
    await mute.start()
    await s.broker()
    await s.worker("w1")
    for path in ("/play", "/mute"):
        client = await s.caller(path[1:], path)
        await client.ask({"n": 1}, 503, UNAVAILABLE)
    assert not handler.heard("open", "message") and not mute.heard("open", "message")


@play("a handler that does not read holds up nobody: its own messages wait and are 503, others are served", "asan", within=120)
async def deaf(s):
    s.set("websocket", max_messages_per_s=0)
    handler = s.handler("deaf", deadline_ms=500)
    s.handler("play")
    s.endpoint("/deaf", "deaf", schema=ECHO)
    s.endpoint("/play", "play", schema=ECHO)
    await s.endpoints_house("w1")
    clients = [await s.caller(f"d{n}", "/deaf") for n in range(8)]
    for client in clients:
        await client.ask({"n": 0}, 200)
    await handler.order(0, "deaf", on=True)
    other = await s.caller("c1", "/play")
    text = "x" * 40000
    for n in range(1, 17):
        for client in clients:
            await client.say({"n": f"{n}{text}"})
        await other.ask({"n": n}, 200, {"n": n, "do": []})
    for client in clients:
        for _ in range(16):
            await client.next(503, within=30)
    await handler.order(0, "deaf", on=False)
    for client in clients:
        await until(f"{client} to be served again", lambda c=client: served(c), within=30)


async def served(client):
    return (await client.ask({"n": "again"})).status == 200


@play("a client that floods is held, and answered everything in order, while others are served", "asan", within=120)
async def flood(s):
    s.set("websocket", max_messages_per_s=0)
    handler = await forum(s, "w1")
    client, other = await s.caller("c1", "/play"), await s.caller("c2", "/play")

    async def talk():
        for n in range(3000):
            await client.say({"n": n} if n % 10 else "{")

    talking = asyncio.ensure_future(talk())
    for n in range(100):
        await other.ask({"n": n}, 200, {"n": n, "do": []})
    await talking
    for n in range(3000):
        if n % 10:
            await client.next(200, {"n": n, "do": []}, within=30)
        else:
            await client.next(400, within=30)
    assert_once(handler, still_open=("c1", "c2"))


@play("a handler that says more than its client reads: the client is closed as slow, with 1013; the handler hears on_disconnect", "asan",
      within=120)
async def too_much(s):
    s.set("slow_clients", hard_kib=1024)
    handler = await forum(s, "w1")
    client, other = await s.caller("c1", "/play"), await s.caller("c2", "/play")
    client.stop_reading()
    await client.act(["send_many", 1500, 16000])
    await handler.notes("disconnect", who="c1", why="closed", within=60)
    client.read_again()
    assert await client.closed(within=20) in (1013, 1006)
    await other.ask({"n": 1}, 200, {"n": 1, "do": []})
    assert_once(handler, still_open=("c2",))
