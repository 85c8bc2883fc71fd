"""Commands over REST: their fates as statuses, their keys, and processes that die while somebody waits."""
import asyncio
import json
import uuid

from stagecraft.httpclient import exchange, get, head, http_listener, post
from stagecraft.registry import play
from stagecraft.scripts import AT_REST, DOCUMENT
from stagecraft.wait import settle, until

JSON = {"Content_Type": "application/json"}


def waiting_post(port, path, body, **headers):
    return asyncio.ensure_future(post(port, path, body, within=20, **headers))


@play("command and move: the PLC's acceptance is the answer, subscribers hear of both", "asan")
async def accepted(s):
    port = http_listener(s)
    sim = await s.house("m1", workers=["w1", "w2"])
    watcher = await s.client("watcher", on="w2")
    await watcher.subscribe(kind="all_events")
    data = (await post(port, "/v1/machines/m1/command", {"command": 1, "argument": 25})).envelope(200, machine="m1")
    assert data == DOCUMENT["command_result"]["data"], data
    await watcher.hear("command_result", machine_id="m1", success=True, data={"argument": 25})
    await watcher.hear("command_completed", machine_id="m1", success=True, position=25)
    data = (await post(port, "/v1/machines/m1/move/", {"position": 24})).envelope(200, machine="m1")
    assert data["command_sent"] == 1 and data["argument"] == 24, data
    await watcher.hear("command_completed", position=24)
    data = (await post(port, "/v1/machines/m1/command", {"command": 9, "argument": None})).envelope(200, machine="m1")
    assert data["argument"] is None
    assert sim.truth.commands("m1") == [b"\x01\x19", b"\x01\x18", b"\x09"]


@play("400: a body that is no JSON object, or no command; the text names the member", "asan")
async def malformed(s):
    port = http_listener(s)
    sim = await s.house("m1", workers=["w1"])
    command, move = "/v1/machines/m1/command", "/v1/machines/m1/move"
    table = [
        (command, "", "INVALID_JSON", "empty"),
        (command, "{", "INVALID_JSON", "line 1"),
        (command, "[1]", "INVALID_JSON", "object"),
        (command, "7", "INVALID_JSON", "object"),
        (command, b'{"command":1,"argument":2,"x":"\xff"}', "INVALID_JSON", "Invalid JSON"),
        (command, '{"command":1,"command":1,"argument":2}', "INVALID_JSON", "Invalid JSON"),
        (command, {}, "INVALID_JSON", "command: missing"),
        (command, {"command": 1}, "INVALID_COMMAND", "argument: missing"),
        (command, {"command": 1, "argument": 2, "deadline_ms": 0}, "INVALID_JSON", "deadline_ms"),
        (command, {"command": 1, "argument": 2, "request_id": 5}, "INVALID_JSON", "request_id"),
        (command, {"command": 1, "argument": 2, "machine_id": "m2"}, "INVALID_COMMAND", "machine_id"),
        (move, {"positron": 3}, "INVALID_JSON", "position: missing"),
    ]
    for wrong in (True, "1", 1.0, -1, 256, [1]):
        table += [(command, {"command": wrong, "argument": 2}, "INVALID_COMMAND", "command: expected"),
                  (command, {"command": 1, "argument": wrong}, "INVALID_COMMAND", "argument: expected"),
                  (move, {"position": wrong}, "INVALID_COMMAND", "position: expected")]
    table += [(move, {"position": None}, "INVALID_COMMAND", "position: expected")]
    for path, body, code, word in table:
        answer = await post(port, path, body)
        answer.envelope(400, code, "m1")
        assert word in answer["error"], (body, answer)
    await sim.truth.polled_again("m1")
    assert sim.truth.commands("m1") == []


@play("409: BUSY while it moves, INTERLOCK with the condition's name", "asan")
async def conflicts(s):
    port = http_listener(s)
    sim = await s.house("m1", "m2", workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe()
    await sim.by_hand("m1")
    (await post(port, "/v1/machines/m1/move", {"position": 3})).envelope(200, machine="m1")
    (await post(port, "/v1/machines/m1/move", {"position": 4})).envelope(409, "BUSY", "m1")
    await sim.condition("m2", "alarm", True)
    await c1.hear_state("m2", status={"ALARMA": "Activada"})
    answer = await post(port, "/v1/machines/m2/move", {"position": 3})
    answer.envelope(409, "INTERLOCK", "m2")
    assert "alarm" in answer["error"].lower(), answer
    await sim.condition("m2", "alarm", False)
    await c1.hear_state("m2", status={"ALARMA": "Desactivada"})
    (await post(port, "/v1/machines/m2/move", {"position": 3})).envelope(200, machine="m2")
    await sim.step("m1", 3)
    await c1.sees("m1", position=3, raw_status=AT_REST)
    assert sim.truth.moves("m1") == [3] and sim.truth.moves("m2") == [3]


@play("503 CONNECTION_ERROR: the PLC is away, the agent is away; status still answers 200")
async def unreachable(s):
    port = http_listener(s)
    sim = await s.house("m1", "m2", workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe()
    await sim.fault("m1", "refused")
    await c1.hear_state("m1", connection_status="disconnected")
    answer = await post(port, "/v1/machines/m1/move", {"position": 3})
    answer.envelope(503, "CONNECTION_ERROR", "m1")
    assert (await get(port, "/v1/machines/m1/status")).envelope(200, machine="m1")["connection_status"] == "disconnected"
    await s.actor("a.m2").kill()
    await c1.hear_state("m2", connection_status="disconnected")
    (await post(port, "/v1/machines/m2/move", {"position": 3})).envelope(503, "CONNECTION_ERROR", "m2")
    assert (await get(port, "/v1/health")).envelope(200)["machines_connected"] == 0


@play("504: sent and never answered is OUTCOME_UNKNOWN; a hanging agent's command is answered in time, honestly")
async def in_the_dark(s):
    s.set("machine_defaults", stale_after_ms=5000, reply_timeout_ms=200)
    port = http_listener(s)
    sim = await s.house("m1", "m2", workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe()
    await sim.hold("m1", 9)
    answer = await post(port, "/v1/machines/m1/command", {"command": 9, "argument": 1}, within=10)
    answer.envelope(504, "OUTCOME_UNKNOWN", "m1")
    await sim.release("m1")
    s.actor("a.m2").pause()
    answer = await post(port, "/v1/machines/m2/move", {"position": 5, "deadline_ms": 200}, within=10)
    assert (answer.status, answer["code"]) in ((504, "TIMEOUT"), (504, "OUTCOME_UNKNOWN"), (503, "CONNECTION_ERROR")), answer
    s.actor("a.m2").resume()
    await sim.truth.polled_again("m2", 5)
    assert sim.truth.moves("m2") == []
    assert sim.truth.commands("m1") == [b"\x09\x01"]


@play("429: as many commands wait as a worker takes; all of them are answered in the end", within=120)
async def too_many(s):
    port = http_listener(s)
    sim = await s.house("m1", workers=["w1"])
    clients = [await s.client(f"c{i}") for i in range(64)]
    s.actor("b1").pause()  # what comes now waits in the worker
    for client in clients:
        for _ in range(64):
            await client.command("m1", 0, deadline_ms=6000)
    await s.counts("w1", "commands_pending", 4096)
    answer = await post(port, "/v1/machines/m1/move", {"position": 3})
    answer.envelope(429, "RATE_LIMITED", "m1")
    assert answer.headers["retry-after"] == "1", answer
    s.actor("b1").resume()
    await until("all to be answered", lambda: s.counter("w1", "commands_pending") == 0, within=60)
    (await post(port, "/v1/machines/m1/move", {"position": 4})).envelope(200, machine="m1")
    assert sim.truth.moves("m1") == [4]


@play("Idempotency-Key is the request_id: the same key moves nothing twice, another command with it is refused", "asan")
async def idempotency(s):
    port = http_listener(s)
    sim = await s.house("m1", workers=["w1", "w2"])
    watcher = await s.client("watcher")
    await watcher.subscribe(kind="command_results")
    key = str(uuid.uuid4())
    move = "/v1/machines/m1/move"
    first = (await post(port, move, {"position": 4}, Idempotency_Key=key)).envelope(200, machine="m1")
    await watcher.hear("command_result", request_id=key)
    await watcher.hear("command_completed", request_id=key, position=4)
    for again in ({"Idempotency_Key": key}, {"Idempotency_Key": f'"{key}"'}):
        assert (await post(port, move, {"position": 4}, **again)).envelope(200, machine="m1") == first
    assert (await post(port, move, {"position": 4, "request_id": key})).envelope(200, machine="m1") == first
    answer = await post(port, move, {"position": 5}, Idempotency_Key=key)
    answer.envelope(400, "INVALID_COMMAND", "m1")
    assert "request_id reused" in answer["error"], answer
    for bad in ("x" * 65, '""', "a b"):
        answer = await post(port, move, {"position": 6}, Idempotency_Key=bad)
        answer.envelope(400, "INVALID_COMMAND", "m1")
        assert "Idempotency-Key" in answer["error"], answer
    answer = await post(port, move, {"position": 6, "request_id": "a"}, Idempotency_Key="b")
    answer.envelope(400, "INVALID_COMMAND", "m1")
    (await post(port, move, {"position": 7, "request_id": "x" * 64}, Idempotency_Key="x" * 64)).envelope(200, machine="m1")
    assert sim.truth.moves("m1") == [4, 7]


@play("the broker dies while a POST waits: one honest answer, one write", "asan")
async def broker_dies(s):
    s.set("machine_defaults", reply_timeout_ms=8000, command_deadline_ms=8000)
    port = http_listener(s)
    sim = await s.house("m1", workers=["w1"])
    await sim.hold("m1", 1)
    answer = waiting_post(port, "/v1/machines/m1/move", {"position": 6})
    await sim.held("m1")
    await s.actor("b1").kill()
    (await get(port, "/v1/machines/m1/status")).envelope(200, machine="m1")
    assert not answer.done()
    await s.actor("b1").start()
    await sim.release("m1")
    (await settle("the answer", answer, 10)).envelope(200, machine="m1")
    await sim.wait("m1", "idle")
    assert sim.truth.moves("m1") == [6]


@play("no broker: a command is CONNECTION_ERROR at its deadline, and nothing is sent when it is back")
async def no_broker(s):
    port = http_listener(s)
    sim = await s.house("m1", workers=["w1"])
    await s.actor("b1").kill()
    await s.counts("w1", "link_downs", 1)
    answer = await post(port, "/v1/machines/m1/move", {"position": 6, "deadline_ms": 300}, within=20)
    answer.envelope(503, "CONNECTION_ERROR", "m1")
    await s.actor("b1").start()
    (await post(port, "/v1/machines/m1/move", {"position": 2}, within=10)).envelope(200, machine="m1")
    assert sim.truth.moves("m1") == [2]


@play("the client goes before its answer: the command goes on, and nothing of the request stays", "asan")
async def client_goes(s):
    s.set("machine_defaults", reply_timeout_ms=8000, command_deadline_ms=8000)
    port = http_listener(s)
    sim = await s.house("m1", workers=["w1"])
    watcher = await s.client("watcher")
    await watcher.subscribe(kind="command_results")
    await sim.hold("m1", 1)
    body = b'{"position":5}'
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head("POST", "/v1/machines/m1/move", len(body), **JSON) + body)
    await sim.held("m1")
    assert s.counter("w1", "http_waiting") <= 1
    writer.close()
    await s.counts("w1", "http_cancelled", 1)
    await sim.release("m1")
    await watcher.hear("command_completed", position=5)
    await until("no request to wait", lambda: s.counter("w1", "http_exchanges") == 0)
    assert await s.counts("w1", "rest_orphaned", 1) == 1 and sim.truth.moves("m1") == [5]


@play("a worker told to stop lets those who wait have their answer")
async def stopping(s):
    s.set("machine_defaults", reply_timeout_ms=8000, command_deadline_ms=8000)
    port = http_listener(s)
    sim = await s.house("m1", workers=["w1"])
    await sim.hold("m1", 1)
    answer = waiting_post(port, "/v1/machines/m1/move", {"position": 6})
    await sim.held("m1")
    stop = asyncio.ensure_future(s.actor("w1").stop())
    await until("the worker to hear it", lambda: "stopping" in s.actor("w1").text())
    await sim.release("m1")
    (await settle("the answer", answer, 10)).envelope(200, machine="m1")
    await stop


@play("a worker told to stop while nothing comes: OUTCOME_UNKNOWN, which is the truth")
async def stopping_in_the_dark(s):
    s.set("machine_defaults", reply_timeout_ms=9000, command_deadline_ms=9000, stale_after_ms=20000)
    port = http_listener(s)
    sim = await s.house("m1", workers=["w1"])
    await sim.hold("m1", 1)
    answer = waiting_post(port, "/v1/machines/m1/move", {"position": 6})
    await sim.held("m1")
    await s.actor("w1").stop()
    (await settle("the answer", answer, 10)).envelope(504, "OUTCOME_UNKNOWN", "m1")
    assert json.dumps(sim.truth.moves("m1")) == "[6]"
    await sim.release("m1")
