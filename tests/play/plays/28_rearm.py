"""The latch: after an emergency stop moves wait for a rearm, by REST or by `noria rearm`, whoever is killed meanwhile."""
import asyncio
import hashlib
import json
import os
import pwd

from stagecraft.httpclient import exchange, head, http_listener, post
from stagecraft.registry import play
from stagecraft.stage import BIN
from stagecraft.wait import settle, until

NOT_REARMED = "emergency stop: not rearmed"


async def noria_rearm(s, *machines, within=8.0):
    """`noria rearm`: its exit code and what it printed."""
    noria = await asyncio.create_subprocess_exec(
        str(BIN / "noria"), "rearm", *machines, "-c", str(s.conf), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    said, _ = await settle("noria rearm to end", noria.communicate(), within)
    return noria.returncode, said.decode()


async def bare_post(port, path, **headers):
    """A POST without a body and without a Content-Type."""
    return await exchange(port, head("POST", path, **headers))


async def refused(client, machine, text):
    await client.move(machine, 9)
    error = await client.hear("error", machine_id=machine, code="INTERLOCK")
    assert error["error"] == text, error.text


async def stop_pressed(s, client, machine="m1"):
    """The emergency stop is pressed; the client has seen it."""
    await s.simulator.condition(machine, "estop", True)
    await client.hear("alarm", machine_id=machine, condition="estop", active=True)


async def stop_released(s, client, machine="m1"):
    await s.simulator.condition(machine, "estop", False)
    await client.hear("alarm", machine_id=machine, condition="estop", active=False)


async def cast(s, *machines, workers=("w1",)):
    for machine in machines:
        s.machine(machine, profile="delta-as")
    await s.house(workers=workers)
    c1 = await s.client("c1")
    await c1.subscribe(kind="all_events")
    return c1


def journal(s, machine, event):
    """Records of an event in a machine's journal, whichever file they are in."""
    records = []
    for path in sorted((s.state / "agents" / machine).glob("commands-*.jsonl")):
        records += [json.loads(line) for line in path.read_text().splitlines()]
    return [record for record in records if record["event"] == event]


@play("moves are refused from the stop until a rearm by REST, and nobody else hears of it", "asan")
async def by_rest(s):
    port = http_listener(s)
    c1 = await cast(s, "m1", "m2")
    path = "/v1/machines/m1/rearm"
    assert (await bare_post(port, path)).envelope(200, machine="m1") == {"rearmed": True}  # not latched: a success
    await stop_pressed(s, c1)
    await refused(c1, "m1", "emergency stop")
    answer = await post(port, path, {})
    answer.envelope(409, "INTERLOCK", "m1")
    assert answer["error"] == "emergency stop", answer
    await stop_released(s, c1)
    await refused(c1, "m1", NOT_REARMED)
    answer = await post(port, "/v1/machines/m1/move", {"position": 4})
    answer.envelope(409, "INTERLOCK", "m1")
    assert answer["error"] == NOT_REARMED, answer
    await c1.move("m2", 3)  # the other machine goes on
    await c1.hear("command_completed", machine_id="m2", success=True)
    assert (await post(port, path, {}, Idempotency_Key="again-1")).envelope(200, machine="m1") == {"rearmed": True}
    await c1.move("m1", 7)
    await c1.hear("command_completed", machine_id="m1", success=True, position=7)
    results = [(f["machine_id"], f["data"]["command_sent"]) for f in c1.heard("command_result")]
    assert results == [("m2", 1), ("m1", 1)], results
    assert s.simulator.truth.moves("m1") == [7] and s.simulator.truth.moves("m2") == [3]


@play("rearm over REST: what is refused before it is asked for", "asan")
async def rest_rules(s):
    token = "correct-horse-battery-staple-0123456789"
    s.set("auth", tokens=[{"principal": "wms", "sha256": hashlib.sha256(token.encode()).hexdigest()}])
    port, closed = http_listener(s), http_listener(s, auth="token")
    c1 = await cast(s, "m1")
    path = "/v1/machines/m1/rearm"
    await stop_pressed(s, c1)
    await stop_released(s, c1)
    (await bare_post(port, "/v1/machines/nobody/rearm")).envelope(404, "MACHINE_NOT_FOUND", "nobody")
    (await bare_post(port, "/v1/rearm")).envelope(404, "NOT_FOUND")  # that is single mode's
    answer = await exchange(port, head("GET", path))
    answer.envelope(405, "METHOD_NOT_ALLOWED")
    (await post(port, path, "{}", Content_Type="text/plain")).envelope(415, "UNSUPPORTED_TYPE")
    (await bare_post(port, path, Origin="https://evil.example")).envelope(403, "FORBIDDEN")
    (await post(port, path, "[]")).envelope(400, "INVALID_JSON", "m1")
    (await post(port, path, {"machine_id": "m2"})).envelope(400, "INVALID_COMMAND", "m1")
    (await bare_post(closed, path)).envelope(401, "UNAUTHORIZED")
    await refused(c1, "m1", NOT_REARMED)
    await c1.command("m1", 256)  # a client's commands are bytes
    await c1.hear("error", code="INVALID_COMMAND")
    await refused(c1, "m1", NOT_REARMED)
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await bare_post(closed, path, **bearer)).envelope(200, machine="m1") == {"rearmed": True}
    await c1.move("m1", 7)
    await c1.hear("command_completed", machine_id="m1", success=True)
    who = [(r["who"], r["from"].rpartition(":")[0]) for r in journal(s, "m1", "rearmed")]
    assert who == [("wms", "127.0.0.1")], who
    moved = journal(s, "m1", "intent")[-1]
    assert (moved.get("who", ""), moved["from"]) == ("", f"127.0.0.1:{c1.local_port}"), moved


@play("the latch outlives agent, broker and worker; `noria rearm` lifts it", "asan")
async def survives(s):
    c1 = await cast(s, "m1", workers=("w1", "w2"))
    await stop_pressed(s, c1)
    await s.actor("a.m1").kill()
    await c1.hear_state("m1", connection_status="disconnected")
    await s.actor("a.m1").start()
    await c1.sees("m1", connection_status="connected")
    await refused(c1, "m1", "emergency stop")
    await stop_released(s, c1)
    await refused(c1, "m1", NOT_REARMED)
    await s.actor("a.m1").kill()
    await c1.hear_state("m1", connection_status="disconnected")
    await s.actor("a.m1").start()
    await c1.sees("m1", connection_status="connected")
    await refused(c1, "m1", NOT_REARMED)
    await s.actor("b1").kill()
    await s.actor("b1").start()
    await refused(c1, "m1", NOT_REARMED)
    for worker in ("w1", "w2"):
        await s.actor(worker).kill()
        await s.actor(worker).start()
    c2 = await s.client("c2")
    await c2.subscribe(kind="all_events")
    await refused(c2, "m1", NOT_REARMED)
    assert await noria_rearm(s, "m1") == (0, "m1: rearmed\n")
    await s.actor("a.m1").kill()
    await c2.hear_state("m1", connection_status="disconnected")
    await s.actor("a.m1").start()
    await c2.sees("m1", connection_status="connected")
    await c2.move("m1", 5)
    await c2.hear("command_completed", machine_id="m1", success=True, position=5)
    assert s.simulator.truth.moves("m1") == [5]
    rearmed = journal(s, "m1", "rearmed")
    assert [(r["who"], r["from"]) for r in rearmed] == [
        (pwd.getpwuid(os.getuid()).pw_name, f"noria rearm, uid {os.getuid()}")], rearmed
    assert journal(s, "m1", "latched")


@play("noria rearm: each machine's own answer, and 1 if not all are rearmed", "asan")
async def by_the_program(s):
    c1 = await cast(s, "m1", "m2")
    await stop_pressed(s, c1, "m1")
    await stop_pressed(s, c1, "m2")
    await stop_released(s, c1, "m2")
    code, said = await noria_rearm(s, "m1", "m2", "m3")
    assert code == 1 and sorted(said.splitlines()) == [
        "m1: refused: emergency stop", "m2: rearmed", "m3: refused: Machine not found"], said
    await c1.move("m2", 4)
    await c1.hear("command_completed", machine_id="m2", success=True)
    assert c1.heard("command_completed") and not [f for f in c1.heard("command_result") if f["data"]["command_sent"] != 1]
    await until("the broker to have no tool left", lambda: s.counter("b1", "tools") == 0)
    await s.actor("b1").stop()
    code, said = await noria_rearm(s, "m1")
    assert code == 1 and said == f"noria rearm: no broker at {s.runtime}/bus/broker.sock\n", said


@play("single mode: /v1/rearm is the machine's; rearm: automatic has no latch")
async def single_and_automatic(s):
    port = http_listener(s)
    s.machine("only", profile="delta-as", mode="single", rearm="automatic")
    await s.house(workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe(kind="all_events")
    await stop_pressed(s, c1, "only")
    (await bare_post(port, "/v1/rearm")).envelope(409, "INTERLOCK", "only")
    await stop_released(s, c1, "only")
    await c1.move("only", 6)
    await c1.hear("command_completed", machine_id="only", success=True)
    assert (await bare_post(port, "/v1/rearm")).envelope(200, machine="only") == {"rearmed": True}
