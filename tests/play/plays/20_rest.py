"""Machines over REST: every route, the envelope, methods, CORS, and what is refused before a handler sees it."""
import asyncio
import http.client
import json

from stagecraft.httpclient import exchange, get, head, http_listener, post
from stagecraft.registry import play
from stagecraft.scripts import AT_REST, DOCUMENT_MACHINES


@play("GET machines, status and health; slashes and percent signs in paths", "asan")
async def reading(s):
    port = http_listener(s)
    for machine in DOCUMENT_MACHINES:
        s.machine(machine["id"], **{k: v for k, v in machine.items() if k != "id"})
    sim = await s.house(workers=["w1"])
    c1 = await s.client("c1")
    machines = (await get(port, "/v1/machines")).envelope(200)
    assert machines == c1.frames[0]["machines"], machines
    await sim.place("machine_1", 15)
    await c1.subscribe()
    await c1.sees("machine_1", position=15)
    for path in ("/v1/machines/machine_1/status", "/v1/machines/machine_1/status/", "/v1/machines/m%61chine_1/status?x=1"):
        status = (await get(port, path)).envelope(200, machine="machine_1")
        assert status == c1.state("machine_1"), status
        assert list(status) == ["status", "position", "raw_status", "connection_status"], status
    assert status["raw_status"] == AT_REST
    health = (await get(port, "/v1/health")).envelope(200)
    assert health["status"] == "ok" and health["machines"] == health["machines_connected"] == 2, health


@play("what is not there: 404 with an envelope below /v1, 404 in plain JSON elsewhere, 405 with Allow", "asan")
async def not_there(s):
    port = http_listener(s)
    await s.house("m1", workers=["w1"])
    (await get(port, "/v1/machines/nobody/status")).envelope(404, "MACHINE_NOT_FOUND", "nobody")
    assert (await get(port, "/v1/machines/nobody/status"))["error"] == "Machine not found"
    (await post(port, "/v1/machines/nobody/move", {"position": 1})).envelope(404, "MACHINE_NOT_FOUND", "nobody")
    for name in ("%22%0d%0aX-Evil:%201", "%ff%fe", "m1%2fstatus", "%2e%2e"):  # no id, so not repeated
        answer = await get(port, f"/v1/machines/{name}/status")
        assert answer.status == 404 and answer["code"] == "MACHINE_NOT_FOUND", answer
    for path in ("/v1", "/v1/", "/v1/machine", "/v1/machines/m1", "/v1/machines//status", "/v1/machines/m1/status/x",
                 "/v1/status", "/v1/command"):  # the last two are single mode's
        (await get(port, path)).envelope(404, "NOT_FOUND")
    for path in ("/", "/v2/machines", "/v1x"):
        answer = await get(port, path)
        assert answer.status == 404 and answer.json() == {"detail": "there is nothing at this path"}, answer
    for method, path, allow in (("POST", "/v1/machines", "GET, HEAD, OPTIONS"), ("GET", "/v1/machines/m1/move", "POST, OPTIONS"),
                                ("DELETE", "/v1/machines/m1/status", "GET, HEAD, OPTIONS")):
        answer = await get(port, path, method=method)
        answer.envelope(405, "METHOD_NOT_ALLOWED")
        assert answer.headers["allow"] == allow, answer


@play("single mode: /v1/status and /v1/command are the machine's")
async def single(s):
    port = http_listener(s)
    s.machine("only", mode="single")
    sim = await s.house(workers=["w1"])
    await sim.place("only", 7)
    c1 = await s.client("c1")
    await c1.subscribe()
    await c1.sees("only", position=7)
    assert (await get(port, "/v1/status")).envelope(200, machine="only") == c1.state("only")
    assert (await get(port, "/v1/machines/only/status")).envelope(200, machine="only") == c1.state("only")
    data = (await post(port, "/v1/command", {"command": 1, "argument": 9})).envelope(200, machine="only")
    assert data["command_sent"] == 1 and data["argument"] == 9, data
    await c1.sees("only", position=9, raw_status=AT_REST)
    (await post(port, "/v1/command", {"command": 1, "argument": 3, "machine_id": "other"})).envelope(
        400, "INVALID_COMMAND", "only")
    assert sim.truth.moves("only") == [9]
    assert (await get(port, "/v1/health")).envelope(200)["mode"] == "single-plc"


@play("HEAD has the head of GET and no body; OPTIONS names the methods")
async def head_and_options(s):
    port = http_listener(s)
    await s.house("m1", workers=["w1"])
    full = await get(port, "/v1/machines")
    bare = await get(port, "/v1/machines", method="HEAD")
    assert bare.status == 200 and bare.body == b"", bare
    assert bare.headers["content-length"] == full.headers["content-length"] == str(len(full.body))
    answer = await get(port, "/v1/machines/m1/move", method="OPTIONS")
    assert answer.status == 204 and answer.body == b"" and answer.headers["allow"] == "POST, OPTIONS", answer
    assert (await get(port, "/v1/nowhere", method="OPTIONS")).status == 404
    for name, value in (("cache-control", "no-store"), ("x-content-type-options", "nosniff"), ("vary", "Origin")):
        assert full.headers[name] == value, full


@play("CORS: preflights and answers name the Origin that is allowed, and no other")
async def cors(s):
    port = http_listener(s)
    s.set("websocket", allowed_origins=["https://wms.example"])
    sim = await s.house("m1", workers=["w1"])
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    for origin in ("https://wms.example", "http://localhost:3000", "http://127.0.0.1:9"):
        answer = await get(port, "/v1/machines/m1/move", method="OPTIONS", Origin=origin, **ask)
        assert answer.status == 204, answer
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["access-control-allow-methods"] == "POST, OPTIONS"
        assert "Content-Type" in answer.headers["access-control-allow-headers"]
        assert int(answer.headers["access-control-max-age"]) > 0 and answer.headers["vary"] == "Origin"
        answer = await get(port, "/v1/machines", Origin=origin)
        assert answer.headers["access-control-allow-origin"] == origin, answer
        answer = await post(port, "/v1/machines/m1/move", "{", Origin=origin)
        answer.envelope(400, "INVALID_JSON", "m1")
        assert answer.headers["access-control-allow-origin"] == origin, answer
    for origin in ("https://evil.example", "null"):
        answer = await get(port, "/v1/machines/m1/move", method="OPTIONS", Origin=origin, **ask)
        answer.envelope(403, "FORBIDDEN")
        assert "access-control-allow-origin" not in answer.headers, answer
        assert "access-control-allow-origin" not in (await get(port, "/v1/machines", Origin=origin)).headers
        (await post(port, "/v1/machines/m1/move", {"position": 3}, Origin=origin)).envelope(403, "FORBIDDEN")
        (await post(port, "/v1/machines/m1/move", "", Origin=origin, Content_Type=None)).envelope(403, "FORBIDDEN")
    await sim.truth.polled_again("m1")
    assert sim.truth.moves("m1") == []


@play("415 without application/json, 413 above the limit and before the body is read, 417 for strange expectations", "asan")
async def bodies(s):
    port = http_listener(s)
    s.set("rest", max_body_bytes=2048)
    sim = await s.house("m1", workers=["w1"])
    path = "/v1/machines/m1/move"
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", None):
        (await post(port, path, '{"position":3}', Content_Type=kind)).envelope(415, "UNSUPPORTED_TYPE")
    (await post(port, path, "{" + " " * 2048 + "}")).envelope(413, "BODY_TOO_LARGE")
    announced = head("POST", path, 10**15, Content_Type="application/json")
    (await exchange(port, announced)).envelope(413, "BODY_TOO_LARGE")
    expecting = head("POST", path, 10, Content_Type="application/json", Expect="a miracle")
    (await exchange(port, expecting)).envelope(417, "EXPECTATION_FAILED")
    (await post(port, path, " " * 2034 + '{"position":3}', Content_Type="Application/JSON ; charset=utf-8")).envelope(
        200, machine="m1")
    assert sim.truth.moves("m1") == [3]


@play("Expect: 100-continue is answered when nothing stands against the body, and not before a refusal")
async def expect_continue(s):
    port = http_listener(s)
    await s.house("m1", workers=["w1"])
    body = b'{"position":4}'
    data = head("POST", "/v1/machines/m1/move", len(body), Content_Type="application/json", Expect="100-continue")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
    writer.close()
    refused = head("POST", "/v1/machines/m1/move", len(body), Expect="100-continue")
    (await exchange(port, refused)).envelope(415, "UNSUPPORTED_TYPE")


@play("a client that is no test's: Python's http.client", "asan")
async def standard_client(s):
    port = http_listener(s)
    await s.house("m1", workers=["w1"])

    def talk():
        answers = []
        for method, path, body in (("GET", "/v1/machines", None), ("POST", "/v1/machines/m1/command", '{"command":1,"argument":2}'),
                                   ("HEAD", "/v1/health", None), ("POST", "/v1/machines/m1/move", "x" * 3_000_000)):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            answers.append((answer.status, answer.read()))
            connection.close()
        return answers

    answers = await asyncio.get_running_loop().run_in_executor(None, talk)
    assert [status for status, _ in answers] == [200, 200, 200, 413], answers
    assert json.loads(answers[1][1])["success"] is True and answers[2][1] == b""
    assert json.loads(answers[3][1])["code"] == "BODY_TOO_LARGE", "the answer came whole, though the body was not read"


@play("one request per connection: what is sent behind it is thrown away, and no reset overtakes the answer", "asan")
async def pipelined(s):
    port = http_listener(s)
    sim = await s.house("m1", workers=["w1"])
    body = b'{"position":3}'
    move = head("POST", "/v1/machines/m1/move", len(body), Content_Type="application/json") + body
    second = move.replace(b":3}", b":5}")
    (await exchange(port, head("GET", "/v1/machines") + second * 50)).envelope(200)
    (await exchange(port, move + second)).envelope(200, machine="m1")
    await sim.wait("m1", "idle")
    await sim.truth.polled_again("m1")
    assert sim.truth.moves("m1") == [3]
