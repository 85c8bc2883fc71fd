"""The streams dialect: every sentence of the source document (fixtures/stream_messages.txt holds its messages) and of the protocol
page, each a play or part of one. Limits stand in 33_streams_limits.py, slow clients in 36, all of it at random in 37.

Nothing is acknowledged, so a negative waits for a later message on the same path (next() takes exactly the next one), or for
a reply, which comes behind everything that a client was owed.
"""
import json

from stagecraft.client import Client
from stagecraft.rawclient import handshake, status_of
from stagecraft.registry import play
from stagecraft.scripts import STREAMS_DOCUMENT
from stagecraft.streams import ERROR
from stagecraft.wait import until


# --- the source document ------------------------------------------------------------------------------------------------


@play("the document's messages as they stand: open, send, close", "asan")
async def the_documents_words(s):
    """"Der WebSocket-Server leitet Nachrichten unter Verwendung dieses Schemas weiter": whoever has opened one of the sender's
    streams gets the bare `msg`. The document's "..." stands for further ids."""
    await s.streams_house("w1", "w2")
    hearer = await s.streamer("hearer", "<streamid2>", on="w2")
    sender = await s.streamer("sender", on="w1")
    await sender.say(STREAMS_DOCUMENT["open"].replace(", ...", ""))
    await sender.say(STREAMS_DOCUMENT["send"])
    await hearer.next("msg")
    await sender.say(STREAMS_DOCUMENT["close"])
    await sender.say(STREAMS_DOCUMENT["send"])
    await sender.error()
    await sender.open("<streamid2>")
    await hearer.send("back")
    await sender.next("back")
    assert hearer.frames == ["msg"]


@play("a stream's id says whose message it is: one or more of them, and nobody else hears it")
async def streams_identify(s):
    await s.streams_house("w1", "w2")
    hearers = {name: await s.streamer(name, *name.split(","), on=on)
               for name, on in (("a", "w1"), ("b", "w2"), ("a,b", "w2"), ("c", "w1"), ("b,c", "w1"), ("A", "w2"), ("a ", "w1"))}
    to = ("a", "b", "c", "a,b", "a,c", "A", "a ", "x")
    for n, streams in enumerate(to):
        sender = await s.streamer(f"s{n}", *streams.split(","), on=("w1", "w2")[n % 2])
        await sender.send(f"to {streams}", f"{streams} ends")
    for name, hearer in hearers.items():
        shared = {streams for streams in to if set(name.split(",")) & set(streams.split(","))}
        await until(f"{name} to hear the ends of {shared}", lambda h=hearer, e=shared: {f"{x} ends" for x in e} <= set(h.frames))
        await hearer.reply()
        heard = [text for text in hearer.heard() if text.startswith("to ")]
        assert sorted(heard) == sorted(f"to {x}" for x in shared), f"{name} heard {heard}"


@play("several messages after one open, in order; streams that are opened later come on top", "asan")
async def several_sends(s):
    await s.streams_house("w1", "w2")
    a, b = await s.streamer("a", "a", on="w2"), await s.streamer("b", "b", on="w1")
    sender = await s.streamer("sender", "a", on="w1")
    await sender.send("1", "2", "3")
    await sender.open("b")
    await sender.send("4")
    await sender.open("b", "a")
    await sender.send("5")
    await a.next("1", "2", "3", "4", "5")
    await b.next("4", "5")
    both = await s.streamer("both", "a", on="w2")
    await both.open("b")
    await sender.send("6")
    await both.next("6")
    await sender.send("7")
    await both.next("7")


@play("open takes the older singular member, too; both together are one open")
async def singular(s):
    await s.streams_house("w1")
    sender = await s.streamer("sender", "a", "b", "c")
    for name, text, streams in (("one", '{"ws_op":"open","ws_stream_id":"a"}', "a"),
                                ("list", '{"ws_op":"open","ws_stream_ids":["a","a","b"]}', "ab")):
        hearer = await s.streamer(name)
        await hearer.say(text)
        await hearer.taken()
        await sender.send(name)
        await hearer.next(name)
        for stream in "abc":
            other = await s.streamer(f"{name}.{stream}", stream)
            await other.send(f"by {stream}")
        for stream in streams:
            await hearer.hear(f"by {stream}")
        await sender.send("end")
        await hearer.hear("end")
        assert [t for t in hearer.frames if t.startswith("by")] == [f"by {x}" for x in streams]


@play("a stream that is not closed is closed by the end of its connection, however it ends, and the server says so", "asan")
async def closes_by_itself(s):
    await s.streams_house("w1", "w2")
    watcher = await s.streamer("watcher", "w", on="w1")

    async def channels():
        return {row["stream"]: row["numchannels"] for row in (await watcher.admin("getnumchannels()"))["streams"]}

    async def closed():
        return await channels() == {"w": "1"}

    for name, way in (("closing", lambda c: c.close()), ("reset", lambda c: c.reset())):
        for on in ("w1", "w2"):
            client = await s.streamer(f"{name} on {on}", "a", "w", on=on)
            assert await channels() == {"a": "1", "w": "2"}
            await way(client)
            await until(f"the streams of {client} to be closed", closed)
    killed = await s.streamer("killed", "a", "b", on="w2")
    await s.actor("w2").kill()
    assert await killed.closed() == 1006
    await s.actor("w2").start()
    assert await closed()


@play("the document's questions as they stand, before any open: the shapes of its answers, every value a text", "asan")
async def the_documents_questions(s):
    """The protocol page: `numchannels` is the number of open connections, and there is a row for each connection and stream."""
    await s.streams_house("w1", "w2")
    asker = await s.streamer("asker", on="w1")
    await asker.say(STREAMS_DOCUMENT["getnumchannels"])
    assert await asker.next() == '{"numchannels":"1","streams":[]}'
    await asker.say(STREAMS_DOCUMENT["getchannelinfo"])
    assert await asker.next() == '{"numchannels":"1","channels":[]}'
    other = await s.streamer("other", "a", "b", on="w2")
    await asker.open("b")
    await asker.say(STREAMS_DOCUMENT["getnumchannels"])
    answer = json.loads(await asker.next())
    assert list(answer) == ["numchannels", "streams"] and answer["numchannels"] == "2", answer
    assert sorted((x["stream"], x["numchannels"]) for x in answer["streams"]) == [("a", "1"), ("b", "2")], answer
    assert_members(answer["streams"], "numchannels", "streams")
    await asker.say(STREAMS_DOCUMENT["getchannelinfo"])
    answer = json.loads(await asker.next())
    assert list(answer) == ["numchannels", "channels"] and answer["numchannels"] == "2", answer
    assert_members(answer["channels"], "channels", "channels")
    rows = sorted((x["stream"], x["port"], x["host"]) for x in answer["channels"])
    assert rows == sorted([("a", str(other.local_port), "127.0.0.1"), ("b", str(other.local_port), "127.0.0.1"),
                           ("b", str(asker.local_port), "127.0.0.1")]), answer
    assert {x["writable"] for x in answer["channels"]} == {"true"}, answer


def assert_members(rows, example, array):
    """Each row has the members of the document's row, in its order, all of them texts."""
    text = STREAMS_DOCUMENT[example].split(f'"{array}"')[1]
    members = [line.split('"')[1] for line in text.splitlines() if line.startswith('"')]
    for row in rows:
        assert list(row) == members and all(isinstance(v, str) for v in row.values()), row


# --- the protocol page ----------------------------------------------------------------------------------------------------

TEXTS = [  # ws_msg as the client wrote it, what the others hear
    ('"plain"', "plain"),
    (r'"\"quoted\" \\ \/ \b\f\n\r\t"', '"quoted" \\ / \b\f\n\r\t'),
    ('"Lagerplätze – 12 °C, «ñ»"', "Lagerplätze – 12 °C, «ñ»"),
    (r'"\u00e4\u00DF\u20ac"', "äß€"),
    (r'"\ud83c\udfa1 and 🎡"', "🎡 and 🎡"),
    ('"\U0010ffff\u0080\u07ff\u0800\uffff"', "\U0010ffff\u0080\u07ff\u0800\uffff"),
    (r'"\u0000"', "\0"),
    (r'"before\u0000behind\u001f\u007f"', "before\0behind\x1f\x7f"),
    ('""', ""),
    ('" \u00a0 "', " \u00a0 "),
    (r'"{\"ws_op\":\"close\"}"', '{"ws_op":"close"}'),
    ('"' + "0123456789abcdef" * 3000 + '"', "0123456789abcdef" * 3000),
    ('"x' + r'\u00fc' * 2000 + '"', "x" + "ü" * 2000),
]
VALUES = [  # no texts: compact JSON, every number as it was written
    ("42", "42"), ("-0", "-0"), ("-0.0", "-0.0"), ("1.10", "1.10"), ("1e5", "1e5"), ("1E+05", "1E+05"), ("2.50e-07", "2.50e-07"),
    ("123456789012345678901234567890", "123456789012345678901234567890"), ("0.1000000000000000055", "0.1000000000000000055"),
    ("1e400", "1e400"), ("true", "true"), ("false", "false"), ("null", "null"), ("{}", "{}"), ("[ ]", "[]"),
    ('{ "b" : 1.0,\n\t"a":[ 1 , 2,{"c" : null } ], "": "" }', '{"b":1.0,"a":[1,2,{"c":null}],"":""}'),
    ('[[[[ "tief" ]]], "ä , : { } [ ]"]', '[[[["tief"]]],"ä , : { } [ ]"]'),
    (r'{"quote":"\" \\","line":"\n"}', r'{"quote":"\" \\","line":"\n"}'),
]


@play("the bare content of ws_msg, byte for byte; what is no text as compact JSON, with every number as it was written", "asan")
async def content(s):
    await s.streams_house("w1", "w2")
    hearers = [await s.streamer(f"h{n}", "a", on=on) for n, on in enumerate(("w1", "w2"))]
    sender = await s.streamer("sender", "a", on="w1")
    for written, _ in TEXTS + VALUES:
        await sender.say('{"ws_op":"send","ws_msg":' + written + "}")
    for hearer in hearers:
        for written, expected in TEXTS + VALUES:
            await hearer.next(expected)
    await sender.reply()
    assert len(sender.frames) == 1


@play("members in any order, others ignored, spaces wherever JSON has them; the last word is the same")
async def members(s):
    await s.streams_house("w1")
    hearer, sender = await s.streamer("hearer", "a"), await s.streamer("sender")
    await sender.say('\n\t {  "ws_stream_ids"\r\n: [ "a" ] , "colour": {"ws_op": "close", "n": [1, {}]}, "ws_op" :"open" } \n')
    await sender.say('{"ws_msg":"1","ws_op":"send"}')
    await sender.say('{"ws_msg":"2","ws_stream_ids":["nobody"],"id":7,"ws_op":"send"}')
    await sender.say('{"ws_op":"s\\u0065nd","ws_\\u006dsg":"3"}')
    await hearer.next("1", "2", "3")
    await sender.reply()
    assert len(sender.frames) == 1


@play("once for each receiver, however many streams it shares with the sender; to nobody an echo, and no acknowledgement", "asan")
async def once_each(s):
    await s.streams_house("w1", "w2", "w3")
    streams = [f"s{n}" for n in range(12)]
    hearers = [await s.streamer(f"h{n}", *streams[n % 5:n + 1], on=f"w{n % 3 + 1}") for n in range(12)]
    sender = await s.streamer("sender", *streams, on="w2")
    await sender.send(*map(str, range(30)))
    twin = await s.streamer("twin", *streams, on="w2")  # the same set of streams, at the same worker
    await sender.send("30", "31")
    for hearer in hearers:
        await hearer.next(*map(str, range(32)))
    await twin.hear("31")
    await twin.send("end")
    await sender.next("end")
    for client in hearers:
        await client.next("end")
    await twin.reply()
    assert [t for t in twin.heard() if t == "end"] == [], "an echo"


@play("echo: true: the sender hears its own, once, in its place", "asan")
async def echo(s):
    s.set("streams", echo=True)
    await s.streams_house("w1", "w2")
    sender = await s.streamer("sender", "a", "b", "c", on="w1")
    other = await s.streamer("other", "b", "c", on="w2")
    await sender.send("1", "2")
    await sender.next("1", "2")
    await other.next("1", "2")
    await other.send("3")
    await other.next("3")
    await sender.next("3")
    for client in (sender, other):
        await client.reply()
        assert len(client.frames) == 4


@play("in order for each sender, whoever else sends meanwhile", "asan", within=90)
async def in_order(s):
    s.set("websocket", max_messages_per_s=0)
    await s.streams_house("w1", "w2", "w3")
    hearers = [await s.streamer(f"h{n}", "a", on=f"w{n + 1}") for n in range(3)]
    senders = [await s.streamer(f"s{n}", "a", on=f"w{n % 3 + 1}") for n in range(4)]
    for n in range(100):
        for sender in senders:
            await sender.send(f"{sender.name}:{n}")
    for hearer in hearers:
        await until(f"{hearer} to hear all", lambda h=hearer: len(h.frames) >= 400, within=20)
        for sender in senders:
            mine = [t for t in hearer.frames if t.startswith(sender.name + ":")]
            assert mine == [f"{sender.name}:{n}" for n in range(100)], f"{hearer} heard of {sender}: {mine}"
    assert hearers[0].frames == hearers[1].frames == hearers[2].frames, "one order for all"


@play("close leaves all streams; the socket stays, for another open", "asan")
async def leaves(s):
    await s.streams_house("w1", "w2")
    sender = await s.streamer("sender", "a", "b", "c", on="w2")
    hearer = await s.streamer("hearer", "a", "b", on="w1")
    witness = await s.streamer("witness", "a", on="w1")
    await sender.send("1")
    await hearer.next("1")
    await hearer.leave()
    await sender.send("2")
    await witness.next("1", "2")  # so its worker, which is the hearer's, has had it
    await hearer.send("nobody's")
    await hearer.error()
    await hearer.open("c")
    await sender.send("3")
    await hearer.next("3")
    await hearer.send("4")
    await sender.next("4")
    await witness.next("3")
    await hearer.leave()
    await hearer.leave()  # of nothing: nothing
    assert await hearer.reply() and len(hearer.frames) == 4, hearer.frames


@play("no history: who opens later hears what comes later, and nothing of what was", "asan")
async def no_history(s):
    await s.streams_house("w1", "w2")
    sender, witness = await s.streamer("sender", "a", on="w2"), await s.streamer("witness", "a", on="w1")
    await sender.send("before")
    await witness.next("before")
    late = await s.streamer("late", "a", on="w1")
    await sender.send("after")
    await late.next("after")
    beside = await s.streamer("beside", "a", on="w2")  # at the sender's worker
    await sender.leave()
    await witness.send("between")
    await beside.hear("between")
    await sender.open("a")
    await witness.send("end")
    await sender.next("end")
    await late.next("between", "end")


# --- mistakes ---------------------------------------------------------------------------------------------------------------

WRONG = [  # text, a word that the error's text must have
    ('{"ws_op":"send","ws_msg":"secret"}', ""),  # before open
    ('{"ws_op":"shout","ws_msg":"secret"}', "ws_op"),
    ('{"ws_op":"Open","ws_stream_ids":["a"]}', "ws_op"),
    ('{"ws_op":7}', "ws_op"), ('{"ws_op":null}', "ws_op"), ('{"ws_op":["open"]}', "ws_op"), ("{}", "ws_op"),
    ('{"ws_msg":"secret"}', "ws_op"),
    ('{"ws_op":"open"}', "ws_stream_id"),
    ('{"ws_op":"open","ws_stream_ids":{"a":1}}', "ws_stream_ids"),
    ('{"ws_op":"open","ws_stream_ids":["a",7]}', "ws_stream_ids"),
    ('{"ws_op":"open","ws_stream_ids":["a",""]}', "ws_stream_ids"),
    ('{"ws_op":"open","ws_stream_ids":["a","%s"]}' % ("ä" * 65), "ws_stream_ids"),  # 130 bytes
    ('{"ws_op":"open","ws_stream_id":""}', "ws_stream_id"),
    ('{"ws_op":"admin"}', "ws_msg"), ('{"ws_op":"admin","ws_msg":"getsecrets()"}', "ws_msg"),
    ("secret", ""), ("", ""), ('"secret"', ""), ("[]", ""), ('["secret"]', ""), ("null", ""), ('{"ws_op":"send","ws_msg":"secret"', ""),
    ('{"ws_op":"send","ws_msg":"secret"}}', ""), ('{"ws_op":"send" "ws_msg":"secret"}', ""), ('{"ws_op":"send","ws_msg":secret}', ""),
    ('{"ws_op":"send","ws_msg":"secret', ""), ('{"ws_op":"send","ws_msg":"\\x secret"}', ""), ("[" * 3000, ""), ('{"a":' * 3000, ""),
    ('{"ws_op":"send","ws_msg":01}', ""), ('{"ws_op":"send","ws_msg":+1}', ""), ('{"ws_op":"send","ws_msg":"\\ud800 secret"}', ""),
]


@play("what is wrong is never relayed: an error names what is wrong with it, the connection stays, and nothing has happened", "asan")
async def mistakes(s):
    await s.streams_house("w1")
    witness, clumsy = await s.streamer("witness", "a"), await s.streamer("clumsy")
    for text, word in WRONG:
        await clumsy.say(text)
        await clumsy.error(word)
    beside = await s.streamer("beside", "a")
    await witness.send("not for the clumsy")  # "a" was in many a list that was refused as a whole
    await beside.next("not for the clumsy")
    await clumsy.reply()
    assert clumsy.heard() == [], "an open that was refused has opened something"
    await clumsy.open("a")
    for text, word in [x for x in WRONG[1:] if "send" in x[0] or "secret" in x[0]]:
        await clumsy.say(text)
        await clumsy.error(word)
    await clumsy.send("end")
    await witness.next("end")
    await beside.next("end")


@play("errors: false: mistakes are passed over in silence; only a question is always answered")
async def silence(s):
    s.set("streams", errors=False)
    await s.streams_house("w1")
    witness, clumsy = await s.streamer("witness", "a"), await s.streamer("clumsy")
    for text, _ in WRONG:
        if "admin" not in text:
            await clumsy.say(text)
    await clumsy.taken()
    await clumsy.say(ws_op="admin", ws_msg="getnumchannels()")
    assert json.loads(await clumsy.next())["streams"] == [{"stream": "a", "numchannels": "1"}]
    await clumsy.say(ws_op="admin", ws_msg="getsecrets()")
    await clumsy.error("ws_msg")
    await clumsy.open("a")
    await clumsy.send("end")
    await witness.next("end")


LENIENT = [  # what the field's clients write, what the others hear
    ('{ws_op:"send",ws_msg:"bare names"}', "bare names"),
    ("{'ws_op':'send','ws_msg':'single quotes'}", "single quotes"),
    ('{"ws_op":"send","ws_msg":"a trailing comma",}', "a trailing comma"),
    ("{ws_op: 'send', ws_msg: 'all of it', }", "all of it"),
    ("""{ws_op:'send',"ws_msg":'a "double" in single'}""", 'a "double" in single'),
    ("""{ws_op:'send',ws_msg:"a 'single' in double"}""", "a 'single' in double"),
    (r"{ws_op:'send',ws_msg:'it\'s \u00e4 \n line'}", "it's ä \n line"),
    ("{ws_op:'send',ws_msg:{a:1.0,'b':['x',],},}", '{"a":1.0,"b":["x"]}'),
    ("{ws_op:'send',ws_msg:'',}", ""),
    ("{ws_op:'send',$x_1:{},ws_msg:[1,2,]}", "[1,2]"),
]


@play("lenient: names without quotes, single quotes, trailing commas, in open and close, too", "asan")
async def lenient(s):
    await s.streams_house("w1")
    hearer, sender = await s.streamer("hearer"), await s.streamer("sender", "z")
    await hearer.say("{ws_op:'open',ws_stream_ids:['a','b',],}")
    await sender.say("{'ws_op':\"open\",ws_stream_id:'b'}")
    for text, expected in LENIENT:
        await sender.say(text)
        await hearer.next(expected)
    await hearer.say("{ws_op: 'close',}")
    await hearer.taken()
    await sender.say("{ws_op:'send',ws_msg:'nobody hears it'}")
    await sender.reply()
    await hearer.reply()
    assert len(hearer.frames) == len(LENIENT) + 1, hearer.frames
    await hearer.say("{ws_op:'admin',ws_msg:'getnumchannels()'}")
    assert {row["stream"] for row in json.loads(await hearer.next())["streams"]} == {"z", "b"}


# --- doors --------------------------------------------------------------------------------------------------------------------


@play("/ and /websocket, with or without a query, are one place; any other path is 404")
async def paths(s):
    await s.streams_house("w1")
    clients = [await s.streamer(path, "a", path=path) for path in ("/", "/websocket", "/?x=1", "/websocket?stream=b")]
    await clients[0].send("to all")
    for client in clients[1:]:
        await client.next("to all")
    for path in ("/other", "/websockets", "/websocket/more", "/Websocket", "/v1/machines"):
        assert await status_of(s.streams_port, handshake(s.streams_port, path)) == 404, path


@play("binary messages are read as text, and passed on as text")
async def binary(s):
    await s.streams_house("w1")
    hearer, sender = await s.streamer("hearer", "a"), await s.streamer("sender")
    await sender.say(b'{"ws_op":"open","ws_stream_ids":["a"]}')
    await sender.say('{"ws_op":"send","ws_msg":"grüße"}'.encode())
    await hearer.next("grüße")  # keep_frame() refuses binary frames
    await sender.say(b'{"ws_op":"shout"}')
    await sender.error("ws_op")


@play("a carousel's clients at the same workers are left alone, and leave streams alone", "asan")
async def beside_the_carousel(s):
    s.streams_listener()
    sim = await s.house("m1", "m2", workers=("w1", "w2"))
    watchers = [await s.client(f"watcher{n}", on=f"w{n}") for n in (1, 2)]
    for watcher in watchers:
        await watcher.subscribe(kind="all_events")
    talkers = [await s.streamer(f"t{n}", "states", "m1", "/m1", on=f"w{n}") for n in (1, 2)]
    for n in range(20):
        await talkers[n % 2].send(json.dumps({"type": "status_broadcast", "status": {"m1": n}}))
        await sim.place("m1", n)
    await talkers[0].send("end")
    await talkers[1].hear("end")
    for watcher in watchers:
        await watcher.sees("m1", position=19)
        await watcher.ping()
        assert {f.type for f in watcher.frames} <= {"welcome", "subscription_confirmed", "status_broadcast", "pong"}
    await talkers[0].reply()
    assert len(talkers[0].heard()) == 10 and len(talkers[1].heard()) == 11


@play("several dialects on one port: by path")
async def one_port(s):
    port = s.streams_listener(dialects=["streams", "carousel"])
    await s.streams_house("w1")
    a, b = await s.streamer("a", "x"), await s.streamer("b", "x", path="/websocket")
    carousel = await s.client("carousel", port=port, path="/carousel")
    await a.send("1")
    await b.next("1")
    await carousel.ping()
    assert isinstance(carousel, Client) and len(carousel.frames) == 2
    assert ERROR not in "".join(a.frames)
