"""An error for everything else: the text names the member, and the connection stays."""
from stagecraft.registry import play
from stagecraft.scripts import compact

FORMAT, COMMAND = "INVALID_MESSAGE_FORMAT", "INVALID_COMMAND"

# (message, code, a word that the text must have)
BAD = [
    ("", FORMAT, ""),
    ("{", FORMAT, ""),
    ("nonsense", FORMAT, ""),
    ('{"type":"ping"} x', FORMAT, ""),
    ('{"type":"ping",}', FORMAT, ""),
    ('{"a":"\\ud800"}', FORMAT, ""),
    ("[]", FORMAT, "object"),
    ('"ping"', FORMAT, "object"),
    ("17", FORMAT, "object"),
    ("null", FORMAT, "object"),
    ({}, FORMAT, "type"),
    ({"type": 5}, FORMAT, "type"),
    ({"type": None}, FORMAT, "type"),
    ({"type": ["ping"]}, FORMAT, "type"),
    ({"type": "fly"}, FORMAT, "fly"),
    ({"type": "Ping"}, FORMAT, "type"),
    ({"type": "get_status", "machine_id": 5}, FORMAT, "machine_id"),
    ({"type": "get_status", "machine_id": {}}, FORMAT, "machine_id"),
    ({"type": "subscribe", "subscription_type": "gossip"}, FORMAT, "subscription_type"),
    ({"type": "subscribe", "subscription_type": 1}, FORMAT, "subscription_type"),
    ({"type": "subscribe", "machine_ids": "m1"}, FORMAT, "machine_ids"),
    ({"type": "subscribe", "machine_ids": ["m1", 2]}, FORMAT, "machine_ids"),
    ({"type": "send_command"}, FORMAT, "machine_id"),
    ({"type": "send_command", "machine_id": 1, "command": 1, "argument": 1}, FORMAT, "machine_id"),
    ({"type": "send_command", "machine_id": "m1"}, FORMAT, "command"),
    ({"type": "send_command", "machine_id": "m1", "command": {}}, FORMAT, "command"),
    ({"type": "send_command", "machine_id": "m1", "command": {"argument": 3}}, FORMAT, "command"),
    ({"type": "send_command", "machine_id": "m1", "command": [1, 3]}, None, "command"),
    ({"type": "send_command", "machine_id": "m1", "command": "1", "argument": 3}, COMMAND, "command"),
    ({"type": "send_command", "machine_id": "m1", "command": True, "argument": 3}, COMMAND, "command"),
    ('{"type":"send_command","machine_id":"m1","command":1.0,"argument":3}', COMMAND, "command"),
    ('{"type":"send_command","machine_id":"m1","command":1e0,"argument":3}', COMMAND, "command"),
    ({"type": "send_command", "machine_id": "m1", "command": -1, "argument": 3}, COMMAND, "command"),
    ({"type": "send_command", "machine_id": "m1", "command": 256, "argument": 3}, COMMAND, "command"),
    ('{"type":"send_command","machine_id":"m1","command":18446744073709551617,"argument":3}', COMMAND, "command"),
    ('{"type":"send_command","machine_id":"m1","command":1,"argument":9223372036854775808}', COMMAND, "argument"),
    ('{"type":"send_command","machine_id":"m1","command":1,"argument":-9223372036854775809}', COMMAND, "argument"),
    ('{"type":"send_command","machine_id":"m1","command":1e400,"argument":3}', COMMAND, "command"),
    ('{"type":"send_command","machine_id":"m1","command":1,"argument":4294967297}', COMMAND, "argument"),
    ('{"type":"send_command","machine_id":"m1","command":1,"argument":01}', FORMAT, "Invalid JSON"),
    ('{"type":"send_command","machine_id":"m1","command":1,"argument":3,"argument":4}', FORMAT, "Duplicate member"),
    ('{"type":"send_command","machine_id":"m1","machine_id":"m2","command":1,"argument":3}', FORMAT, "Duplicate member"),
    ('{"type":"get_status","machine_id":"m1\\u0000"}', FORMAT, "machine_id"),
    ('{"type":"get_status","x\\u0000":1}', FORMAT, "NUL"),
    ({"type": "unsubscribe", "subscription_type": "gossip"}, FORMAT, "subscription_type"),
    ({"type": "unsubscribe", "machine_ids": "m1"}, FORMAT, "machine_ids"),
    ({"type": "unsubscribe", "machine_ids": [["m1"]]}, FORMAT, "machine_ids[0]"),
    ({"type": "unsubscribe", "machine_ids": ["m1", "nobody"]}, "MACHINE_NOT_FOUND", ""),
    ({"type": "subscribe", "machine_ids": ["m1", "m" * 65]}, FORMAT, "machine_ids[1]"),
    ({"type": "subscribe", "machine_ids": ["m1"] * 2049}, FORMAT, "machine_ids"),
    ({"type": "subscribe", "since": 7}, FORMAT, "since"),
    ({"type": "subscribe", "since": "yesterday"}, FORMAT, "since"),
    ({"type": "send_command", "machine_id": "m1", "command": 1, "argument": 3, "deadline_ms": 0}, FORMAT, "deadline_ms"),
    ({"type": "send_command", "machine_id": "m1", "command": 1, "argument": 3, "deadline_ms": 600001}, FORMAT,
     "deadline_ms"),
    ({"type": "send_command", "machine_id": "m1", "command": 1, "argument": 3, "deadline_ms": 1.5}, FORMAT, "deadline_ms"),
    ({"type": "send_command", "machine_id": "m1", "command": {"command": "1", "argument": 3}}, COMMAND, "command"),
    ({"type": "send_command", "machine_id": "m1", "command": {"command": 1, "argument": "3"}}, COMMAND, "argument"),
    ({"type": "send_command", "machine_id": "m1", "command": {"command": 1, "argument": True}}, COMMAND, "argument"),
    ('{"type":"send_command","machine_id":"m1","command":{"command":1,"argument":3.0}}', COMMAND, "argument"),
    ({"type": "send_command", "machine_id": "m1", "command": {"command": 1, "argument": -1}}, COMMAND, "argument"),
    ({"type": "send_command", "machine_id": "m1", "command": {"command": 1, "argument": 256}}, COMMAND, "argument"),
    ({"type": "send_command", "machine_id": "m1", "command": 1, "argument": "3"}, COMMAND, "argument"),
    ({"type": "send_command", "machine_id": "m1", "command": 1}, COMMAND, "argument"),
    ({"type": "send_command", "machine_id": "m1", "command": 1, "argument": 3, "request_id": 7}, FORMAT, "request_id"),
    ({"type": "send_command", "machine_id": "m1", "command": 1, "argument": 3, "request_id": "x" * 65}, FORMAT,
     "request_id"),
    ({"type": "send_command", "machine_id": "m1", "command": 1, "argument": 3, "deadline_ms": "soon"}, FORMAT,
     "deadline_ms"),
    ({"type": "send_command", "machine_id": "nobody", "command": 1, "argument": 3}, "MACHINE_NOT_FOUND", ""),
    ({"type": "send_command", "machine_id": "../m1", "command": 1, "argument": 3}, "MACHINE_NOT_FOUND", ""),
    ({"type": "get_status", "machine_id": ""}, "MACHINE_NOT_FOUND", ""),
    ({"type": "get_status", "machine_id": "m" * 500}, None, ""),
    ('{"type":' + "[" * 3000 + "]" * 3000 + "}", FORMAT, "nested"),
]


@play("every mistake is answered by its error, names the member, and closes nothing", "asan")
async def mistakes(s):
    sim = await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    wrong = []
    for message, code, word in BAD:
        text = message if isinstance(message, str) else compact(message)
        answer = await c1.ask(text)
        right = (answer.type == "error" and code in (None, answer["code"]) and word in answer["error"])
        if not right:
            wrong.append(f"{text[:120]}\n      wanted {code} with {word!r}, heard {answer.text[:300]}")
        await c1.ping()
    assert not wrong, f"{len(wrong)} of {len(BAD)} answers are wrong:\n    " + "\n    ".join(wrong)
    assert sim.truth.commands("m1") == [], "a refused command was written"


@play("an error echoes machine_id and request_id where there are any")
async def echoes(s):
    await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    await c1.command("nobody", 1, 3, request_id="r-1")
    await c1.next("error", code="MACHINE_NOT_FOUND", error="Machine not found", machine_id="nobody", request_id="r-1")
    await c1.command("m1", 1, 300, request_id="r-2")
    await c1.next("error", code="INVALID_COMMAND", machine_id="m1", request_id="r-2")


@play("unknown members are ignored; strings may hold any Unicode")
async def unknown_members(s):
    await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    answer = await c1.ask(type="ping", mood="é\u2028\U0001f600", more={"deep": [1, {"x": None}]})
    assert answer.type == "pong"
    for text in ('{"a":1e400,"b":[9223372036854775808,-1E+999],"type":"ping"}', '{"type":"ping","a":"\\u0000 1e400"}',
                 '{"type":"ping","a":' + "[" * 2000 + "]" * 2000 + "}", '{"type":"ping","type ":1,"":2}'):
        assert (await c1.ask(text)).type == "pong", text[:80]
    answer = await c1.ask('{"type":"get_status","machine_id":"\\u006d1"}')
    assert answer["machine_id"] == "m1", answer.text
    answer = await c1.ask(type="get_status", machine_id="ñ\"\\\n")
    assert answer.matches({"type": "error", "code": "MACHINE_NOT_FOUND", "machine_id": "ñ\"\\\n"}), answer.text


@play("a binary frame is read as text")
async def binary(s):
    await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    assert (await c1.ask(b'{"type":"ping"}')).type == "pong"
    await c1.ask(b"\xff\xfe")
    assert c1.frames[-1].matches({"type": "error", "code": FORMAT}), c1.frames[-1].text


@play("a fragmented message is one message")
async def fragments(s):
    await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    await c1.socket.send(['{"ty', 'pe":', '"ping"', "}"])
    await c1.next("pong")


@play("a message above max_message_bytes closes its own connection with 1009, nobody else's", "asan")
async def too_large(s):
    await s.house("m1", workers=["w1"])
    c1, c2 = await s.client("c1"), await s.client("c2")
    fits = '{"type":"ping","x":"' + "x" * (65536 - 22) + '"}'
    assert len(fits) == 65536
    await c1.say(fits)
    await c1.next("pong")
    await c1.say(fits + " ")
    assert await c1.closed() == 1009
    await c2.ping()


@play("invalid UTF-8 in a text frame closes with 1007")
async def invalid_utf8(s):
    await s.house("m1", workers=["w1"])
    c1, c2 = await s.client("c1"), await s.client("c2")
    await c1.socket.ensure_open()
    await c1.socket.write_frame(True, 1, b'{"type":"\xc3\x28"}')
    assert await c1.closed() == 1007
    await c2.ping()
