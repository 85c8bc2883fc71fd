"""Endpoints, as their clients see them: every example and sentence of the source document (fixtures/endpoint_messages.json holds its messages) and of
the protocol page. What handlers may do of themselves stands in 39_handlers.py, who dies and when in 40_handler_deaths.py.

Every frame of a validated endpoint is checked by caller.py. Answers come in the order of the messages, so a negative ("no answer") is a
later message's answer that comes next.
"""
import hashlib
import json

from stagecraft.caller import FAILED, STATUSES, TIMEOUT, UNAVAILABLE
from stagecraft.chatterbox import ECHO
from stagecraft.rawclient import handshake, request, status_of
from stagecraft.registry import play
from stagecraft.scripts import ENDPOINTS_DOCUMENT as DOCUMENT
from stagecraft.scripts import compact
from stagecraft.wait import until

CHAT = {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]}
HI = DOCUMENT["success"]["body"]


async def chat_house(s, *workers, **listener):
    s.handler("chat", answers={"/chat": HI, "/chat-raw": compact(DOCUMENT["sent"])})
    s.endpoint("/chat", "chat", schema=CHAT)
    s.endpoint("/chat-raw", "chat")
    await s.endpoints_house(*workers, **listener)
    return s.handlers["chat"]


async def steps_house(s, *workers, processes=1, endpoint=None, **settings):
    """A handler that does what its clients' messages say: /play is validated, /raw is not."""
    handler = s.handler("play", processes, **settings)
    s.endpoint("/play", "play", schema=ECHO, **endpoint or {})
    s.endpoint("/raw", "play")
    await s.endpoints_house(*workers or ("w1", "w2"))
    return handler


# --- the source document ------------------------------------------------------------------------------------------------


@play("the document's /chat: its answer, its refusal, byte for byte; the connection stays", "asan")
async def the_documents_chat(s):
    chat = await chat_house(s, "w1", "w2")
    for on in ("w1", "w2"):
        client = await s.caller(f"c.{on}", "/chat", on=on)
        for message, expected in (({"message": "Hi"}, "success"), ({}, "refused"), ({"user": "System"}, "refused"),
                                  ({"message": "Hola"}, "success")):
            await client.say(message)
            assert (await client.next()).text == compact(DOCUMENT[expected])
        await client.refused("no JSON at all", ("json_invalid", []))
        await client.ask({"message": "still there"}, 200, HI)
    assert [e["body"] for e in chat.heard("message")] == [{"message": m} for m in ("Hi", "Hola", "still there")] * 2


@play("the document's other way: JSON as it comes, JSON as it goes, without an envelope", "asan")
async def the_documents_raw(s):
    chat = await chat_house(s, "w1")
    client = await s.caller("c1", "/chat-raw")
    for text in (json.dumps(DOCUMENT["traditional"]), '{"message" :\n"Hi",  "user":"System","user": 1.10}', "7", '"x"', "[]", "null"):
        await client.say(text)
        await client.raw(compact(DOCUMENT["sent"]))
        assert chat.heard("message")[-1]["body"] == text


@play("a connection is one from its upgrade on: on_connect runs before anything is said, on_disconnect after it, with both ways of closing", "asan")
async def connects(s):
    chat = await chat_house(s, "w1", "w2")
    for path in ("/chat", "/chat-raw"):
        for on, leave in (("w1", lambda c: c.close()), ("w2", lambda c: c.reset())):
            name = f"{path[1:]}.{on}"
            client = await s.caller(name, path, on=on)
            opened = (await chat.notes("connect", who=name))[0]
            told = chat.heard("open", who=name)[0]
            assert told["path"] == path and told["principal"] == "" and not told["resumed"], told
            assert told["peer"] == f"127.0.0.1:{client.local_port}" and told["query"] == f"c={name}", told
            assert not chat.heard("disconnect", who=name), opened
            await leave(client)
            await chat.notes("disconnect", who=name, why="closed")


# --- the envelope -------------------------------------------------------------------------------------------------------


@play("every status, with its body; 204 with null, whatever the handler gave", "asan")
async def statuses(s):
    await steps_house(s, "w1")
    client = await s.caller("c1", "/play")
    for status in sorted(STATUSES):
        for body in ({"status": status}, None):
            await client.act(["reply", status, body])
            await client.next(status, None if status == 204 else body)


BODIES = [None, True, False, 0, -1, 2 ** 63 - 1, -2 ** 63, 1.5, "", "ä€🎡\"\\\n\t\x01\x7f", [], {}, [1, [2, [3, []]], {"a": [None]}],
          {"z": 1, "a": {"b": {"c": [{"d": "e"}, 2.25]}}, "": None}, ["x" * 50000], {"ä": "Lagerplätze"}, list(range(2000))]


@play("bodies of every kind: lists, nested, texts, numbers; members in the handler's order, nothing escaped that need not be", "asan")
async def bodies(s):
    s.set("websocket", max_message_bytes=1 << 20)
    await steps_house(s, "w1")
    client = await s.caller("c1", "/play")
    for body in BODIES:
        await client.act(["reply", 200, body])
        answer = await client.next(200, body)
        assert answer.text == compact({"statusCode": 200, "body": body}), answer


@play("the answer's body is what the handler was given: defaults set, extra members dropped, texts made numbers", "asan")
async def validated(s):
    schema = {"type": "object", "required": ["name", "count"], "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 8}, "count": {"type": "integer", "minimum": 0},
        "ratio": {"type": "number", "default": 0.5}, "on": {"type": "boolean", "default": False},
        "kind": {"enum": ["a", "b"], "type": "string", "default": "a"}, "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "tags": {"type": "array", "items": {"type": "string"}, "default": []},
        "subs": {"type": "array", "items": {"$ref": "#/$defs/Sub"}, "default": []}, "later": {"type": "string"}},
        "$defs": {"Sub": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}}
    handler = s.handler("play")
    s.endpoint("/form", "play", schema=schema)
    await s.endpoints_house("w1")
    client = await s.caller("c1", "/form")
    made = {"name": "x", "count": 12, "ratio": 0.5, "on": False, "kind": "a", "note": None, "tags": [], "subs": []}
    await client.ask({"count": "12", "name": "x", "extra": {"deep": [1]}}, 200, made)
    full = {"name": "ä", "count": 0, "ratio": 2.0, "on": True, "kind": "b", "note": "n", "tags": ["t"], "subs": [{"n": 7}], "later": "l"}
    await client.ask({**full, "ratio": "2", "on": "yes", "subs": [{"n": "7", "m": 1}]}, 200, full)
    assert [list(e["body"]) for e in handler.heard("message")] == [list(made), list(full)], "members as declared"
    await client.refused({"name": "", "count": -1}, ("string_too_short", ["name"]), ("greater_than_equal", ["count"]))
    await client.refused({"subs": [{"n": 1}, {"n": "x"}], "tags": [1]}, ("int_parsing", ["subs", 1, "n"]), ("missing", ["name"]),
                         ("missing", ["count"]), ("string_type", ["tags", 0]))
    await client.refused([], ("model_type", []))
    await client.refused('{"name":"x","count":1', ("json_invalid", []))
    await client.refused({"name": "x" * 9, "count": 1.5, "kind": "c"}, ("string_too_long", ["name"]), ("int_from_float", ["count"]),
                         ("enum", ["kind"]))
    await client.ask({"name": "x", "count": 12}, 200, made)
    assert len(handler.heard("message")) == 3, "what was refused never reached the handler"


@play("what is too deep, too long or has too many errors is refused, and the connection stays open", "asan")
async def extremes(s):
    s.set("websocket", max_message_bytes=1 << 20)
    handler = await steps_house(s, "w1")
    client = await s.caller("c1", "/play")
    for text in ("[" * 100000, '{"do":' + "[" * 300 + "]" * 300 + "}", '{"n":"\\ud800"}', '{"n":01}', "{}{}", '{"a":1,}', "\x00", "",
                 '{"do":' + '{"x":' * 5000):
        answer = await client.ask(text, 400)
        assert answer.body["errorList"], answer
    await client.ask({"n": "x" * 500000}, 200, {"n": "x" * 500000, "do": []})
    assert [e["n"] for e in handler.heard("message")] == ["x" * 500000], "one of them reached the handler"


@play("binary: true: every answer is a binary frame, refusals and publications too; a binary message is read as text", "asan")
async def binary(s):
    await steps_house(s, "w1", "w2", endpoint={"binary": True})
    client, other = await s.caller("c1", "/play", on="w1"), await s.caller("c2", "/play", on="w2")
    await client.ask({"n": 1}, 200, {"n": 1, "do": []})
    await client.refused("{", ("json_invalid", []))
    await client.refused({"do": 7}, ("list_type", ["do"]))
    await client.ask(b'{"n":"\xc3\xa4"}', 200, {"n": "ä", "do": []})
    await client.refused(b'{"n":"\xff"}', ("json_invalid", []))
    await client.act(["send", 201, "sent"], ["publish", "/play", "", 202, "published", True])
    await client.next(201, "sent")
    await client.next(200)
    await other.next(202, "published")


@play("error_object: true: the errors once more, nested by their places")
async def error_object(s):
    schema = {"type": "object", "required": ["a", "subs"], "properties": {
        "a": {"type": "string"}, "subs": {"type": "array", "minItems": 3, "items": {"type": "object", "required": ["n"], "properties": {
            "n": {"type": "integer"}}}}}}
    s.handler("play")
    s.endpoint("/form", "play", schema=schema, error_object=True)
    await s.endpoints_house("w1")
    client = await s.caller("c1", "/form")
    answer = await client.refused({"subs": [{}, {"n": "x"}, {"n": 1}]}, ("missing", ["subs", 0, "n"]), ("int_parsing", ["subs", 1, "n"]),
                                  ("missing", ["a"]))
    assert list(answer.body) == ["errorList", "errorObject"], answer
    leaf = {tuple(e["loc"]): [{"type": e["type"], "msg": e["msg"]}] for e in answer.body["errorList"]}
    assert answer.body["errorObject"] == {"subs": {"0": {"n": leaf["subs", 0, "n"]}, "1": {"n": leaf["subs", 1, "n"]}}, "a": leaf["a",]}, answer
    answer = await client.ask([], 400)
    assert answer.body["errorObject"] == {"__model__": [{"type": "model_type", "msg": answer.body["errorList"][0]["msg"]}]}, answer


# --- traditional endpoints ------------------------------------------------------------------------------------------------


@play("traditional: texts byte for byte, bytes as bytes, other values as JSON; what is no JSON is refused, without an envelope", "asan")
async def traditional(s):
    handler = await steps_house(s, "w1")
    client = await s.caller("c1", "/raw")
    text = ' {"n" : 1.10, "x":"\\u00e4 \\ud83c\\udfa1"}\n'
    await client.say(text)
    await client.raw(text)
    await client.say(b"\x00\xff\xfe no text at all")
    await client.raw(b"\x00\xff\xfe no text at all")
    for body, heard in (("not JSON, and nobody minds", "not JSON, and nobody minds"), ({"hex": "00ff"}, b"\x00\xff"), ({"a": [1, None]}, '{"a":[1,null]}'),
                        ([], "[]"), (7, "7"), (True, "true"), (None, "null"), ("", "")):
        await client.act(["reply", 200, body])
        await client.raw(heard)
    await client.act(["reply", 404, "the status is not shown"])
    await client.raw("the status is not shown")
    for wrong in ("no JSON", "{", "", "[1,]"):
        await client.say(wrong)
        told = json.loads((await client.next()).text)
        assert [e["type"] for e in told["errorList"]] == ["json_invalid"], told
    await client.say("7")
    await client.raw("7")
    assert len(handler.heard("message")) == 12, "what was refused never reached the handler"


# --- the upgrade ------------------------------------------------------------------------------------------------------------


@play("an unknown path refuses the upgrade with 404", "asan")
async def unknown_path(s):
    s.endpoints_listener(dialects=["rest", "endpoints"])
    await chat_house(s, "w1")
    for path, status in (("/", 404), ("/cha", 404), ("/chatt", 404), ("/chat/", 404), ("/CHAT", 404), ("//chat", 404), ("/chat/../chat", 404),
                         ("/chat%20", 404), ("/chat", 101), ("/chat?a=b", 101), ("/chat-raw", 101), ("/v1/machines", 404), ("/chat?" + "x" * 3000, 101)):
        for port in (s.endpoints_port, s.actor("w1").doors["endpoints"]):
            assert await status_of(port, handshake(port, path)) == status, (path, port)
    assert await status_of(s.port, handshake(s.port, "/chat")) == 101, "the carousel's listener serves any path, as a carousel"
    await s.client("carousel", path="/chat")


@play("a listener serves endpoints beside REST and the carousel by path, each as if it were alone")
async def shared_port(s):
    s.endpoints_listener(dialects=["rest", "endpoints", "carousel"])
    await chat_house(s, "w1")
    client = await s.caller("c1", "/chat")
    carousel = await s.client("c2", port=s.endpoints_port)
    await client.ask({"message": "Hi"}, 200, HI)
    await carousel.ping()
    answer = await request(s.endpoints_port, f"GET /v1/machines HTTP/1.1\r\nHost: 127.0.0.1:{s.endpoints_port}\r\n\r\n".encode())
    assert answer.startswith("HTTP/1.1 200 "), answer


TOKEN = "the-chatters-own-secret"


@play("auth: token: by query, header or subprotocol; the handler is told who it is and never sees the token", "asan")
async def tokens(s):
    s.set("auth", tokens=[{"principal": "maria", "sha256": hashlib.sha256(TOKEN.encode()).hexdigest()}])
    chat = await chat_house(s, "w1", auth="token")
    for name, query, headers in (("none", "", {}), ("wrong", "", {"Authorization": "Bearer wrong"}), ("basic", "", {"Authorization": "Basic " + TOKEN}),
                                 ("cut", f"&token={TOKEN[:-1]}", {})):
        client = await s.caller(name, "/chat", on="w1", query=query, extra_headers=headers)
        assert await client.closed() == 1008 and not client.frames, name
    ways = [("first", f"&token={TOKEN}&x=1", {}, "&x=1"), ("last", f"&x=1&token={TOKEN}", {}, "&x=1"),
            ("header", "&x=1", {"extra_headers": {"Authorization": f"Bearer {TOKEN}"}}, "&x=1"),
            ("subprotocol", "", {"subprotocols": ["bearer", TOKEN]}, "")]
    for name, query, options, seen in ways:
        client = await s.caller(name, "/chat", on="w1", query=query, **options)
        await client.ask({"message": "Hi"}, 200, HI)
        told = chat.heard("open", who=name)[0]
        assert told["principal"] == "maria" and told["query"] == f"c={name}{seen}", told
    assert [e["who"] for e in chat.heard("open")] == [way[0] for way in ways], "somebody without a token reached the handler"
    for place in (chat.dir / "chat.log", s.actor("w1").output):
        assert TOKEN not in place.read_text(), f"a token stands in {place}"


# --- order, and how much may be under way ---------------------------------------------------------------------------------


@play("answers in the order of the messages, whatever the handler's order, refusals in their place", "asan")
async def in_order(s):
    handler = await steps_house(s, "w1", "w2", processes=2)
    client = await s.caller("c1", "/play", on="w1")
    for n in range(4):
        await client.act(["hold"], n=n)
        await client.say("{" if n % 2 else {"do": n})
    await client.act(["send", 202, "out of turn"], n=4)
    await handler.notes("message", 5, who="c1")
    await client.next(202, "out of turn")  # and nothing else before it
    k = handler.process_of("c1")
    for n in (3, 1, 2):
        await handler.order(k, "answer", who="c1", n=n, status=200, body=n)
    await client.taken()
    assert len(client.frames) == 1, client.frames
    await handler.order(k, "answer", who="c1", n=0, status=201, body=0)
    for n in range(4):
        await client.next(200 if n else 201, n)
        refusal = await client.next(400)
        assert refusal.body["errorList"][0]["type"] == ("json_invalid" if n % 2 else "list_type"), refusal
    await client.next(200)


@play("sixteen messages under way, and the seventeenth waits until there is room; others are served", "asan")
async def sixteen(s):
    handler = await steps_house(s, "w1")
    client, other = await s.caller("c1", "/play"), await s.caller("c2", "/play")
    await handler.order(0, "hold", on=True)
    for n in range(40):
        await client.say({"n": n})
    await handler.notes("message", 16, who="c1")
    await handler.order(0, "hold", on=False)
    for n in range(5):
        await other.ask({"n": n}, 200)
    assert len(handler.heard("message", who="c1")) == 16, "the seventeenth came through"
    await handler.order(0, "hold", on=True)
    await handler.order(0, "answer", who="c1", n=5)
    await other.say({"n": 9})
    await handler.notes("message", who="c2", n=9)
    assert len(handler.heard("message", who="c1")) == 16, "an answer that cannot be given yet makes room"
    await handler.order(0, "hold", on=False)
    for n in [*range(5), *range(6, 16)]:
        await handler.order(0, "answer", who="c1", n=n, body=n)
    await handler.notes("message", 17, who="c1")
    for _ in range(40):
        await client.next(200)
    assert [e["n"] for e in handler.heard("message", who="c1")] == list(range(40))


# --- what a handler can do wrong --------------------------------------------------------------------------------------------


@play("no answer in time: 503 in its turn; the late reply goes nowhere", "asan")
async def deadline(s):
    handler = await steps_house(s, "w1", deadline_ms=1500)
    client, raw = await s.caller("c1", "/play"), await s.caller("raw", "/raw")
    await client.act(["hold"], n=1)
    await client.ask({"n": 2}, 503, TIMEOUT)
    await client.next(200, {"n": 2, "do": []})
    await handler.order(0, "answer", who="c1", n=1, body="late")
    await client.ask({"n": 3}, 200, {"n": 3, "do": []})
    await raw.act(["hold"], n=1)
    await raw.raw(compact(TIMEOUT))
    await handler.order(0, "answer", who="raw", n=1, body="late")
    await raw.say("7")
    await raw.raw("7")


@play("an answer that is none is a 500 in its place: unknown statuses, bodies that are no JSON, those that break reply_schema", "asan")
async def illegal_replies(s):
    s.handler("play")
    s.endpoint("/play", "play", schema=ECHO, reply_schema={"type": "object", "properties": {"ok": {"type": "integer"}}, "required": ["ok"]})
    s.endpoint("/free", "play", schema=ECHO)
    s.endpoint("/raw", "play")
    await s.endpoints_house("w1")
    client, free, raw = [await s.caller(path[1:], path) for path in ("/play", "/free", "/raw")]
    await client.act(["reply", 200, {"ok": 1}])
    await client.next(200, {"ok": 1})
    for body in ({"ok": "x"}, {}, None, [], "text"):
        await client.act(["reply", 201, body])
        await client.next(500, FAILED)
    await client.act(["reply", 404, "a status of errors is not looked at"])
    await client.next(404, "a status of errors is not looked at")
    for status in (100, 199, 203, 299, 302, 418, 502, 600, 65736, 2 ** 40 + 200):
        await free.act(["reply", status, {}])
        await free.next(500, FAILED)
    for kind in ("ext", "nan", "inf", "intkey", "deep ext", "utf8"):
        await free.act(["odd", kind])
        await free.next(500, FAILED)
        await raw.act(["odd", kind])
        await raw.raw(compact(FAILED))
    await free.act(["reply", 0, "nothing is sent"])
    await free.ask({"n": 1}, 200, {"n": 1, "do": []})
    await raw.act(["reply", 0, "nothing is sent"])
    await raw.say("7")
    await raw.raw("7")


@play("nobody there: messages wait for a process until their deadline, then 503; those that still wait are given to it in order", "asan")
async def nobody(s):
    handler = await steps_house(s, "w1", deadline_ms=1500)
    client = await s.caller("c1", "/play")
    await client.ask({"n": 0}, 200)
    await handler.kill(0)
    await client.ask({"n": 1}, 503, UNAVAILABLE)
    late = await s.caller("c2", "/play")
    await late.ask({"n": 1}, 503, UNAVAILABLE)
    await handler.start(0)
    await handler.met("w1")
    for n in range(2, 8):
        await client.say({"n": n})
        await late.say({"n": n})
    for n in range(2, 8):
        await client.next(200, {"n": n, "do": []})
        await late.next(200, {"n": n, "do": []})


@play("more than may wait for a handler: 503 at once, in its turn; what waits is answered when somebody is there", "asan")
async def queue_full(s):
    """The bound is one of bytes: 4 MiB for a handler and worker. One message each, because senders are held long before."""
    s.set("websocket", max_message_bytes=1 << 17)
    handler = await steps_house(s, "w1")
    await handler.kill(0)
    clients = [await s.caller(f"c{n}", "/play") for n in range(70)]
    for client in clients:  # a held one answers no ping: the worker's counters say when all are there
        await client.say({"n": "x" * 100000})
    await until("all to be judged", lambda: s.counter("w1", "handler_messages") + s.counter("w1", "handler_full") == 70)
    refused = s.counter("w1", "handler_full")
    await until("every refusal to arrive", lambda: sum(bool(client.frames) for client in clients) == refused)
    full = [client for client in clients if client.frames]
    assert 20 < len(full) < 62, f"{len(full)} of 7 MB in 100 KB each were refused"
    for client in full:
        await client.next(503, UNAVAILABLE)
    await handler.start(0)
    for client in clients:
        if client not in full:
            assert (await client.next(200)).body["n"] == "x" * 100000
    for client in clients:
        await client.ask({"n": 1}, 200, {"n": 1, "do": []})


@play("long before that, who sends is held: a burst is answered when somebody is there, none of it is refused")
async def pressed(s):
    s.set("websocket", max_message_bytes=1 << 17)
    handler = await steps_house(s, "w1")
    await handler.kill(0)
    clients = [await s.caller(f"c{n}", "/play") for n in range(12)]
    for n in range(10):
        for client in clients:
            await client.say({"n": f"{n}" + "x" * 50000})
    await s.counts("w1", "handler_waiting_bytes", 500000)
    await handler.start(0)
    for n in range(10):
        for client in clients:
            assert (await client.next(200)).body["n"] == f"{n}" + "x" * 50000
