"""Agents: kill -9 and SIGSTOP. Only their own machine notices, honestly and in time."""
from stagecraft.registry import play
from stagecraft.scripts import AT_REST
from stagecraft.wait import limit, now, until


@play("a killed agent: disconnected within 1 s, CONNECTION_ERROR, and connected again after its restart", "asan")
async def killed(s):
    sim = await s.house("m1", "m2")
    c1, c2 = await s.client("c1", on="w1"), await s.client("c2", on="w2")
    await c1.subscribe()
    await c2.subscribe()
    killed_at = now()
    await s.actor("a.m1").kill()
    for client in (c1, c2):
        frame = await client.hear_state("m1", connection_status="disconnected")
        took = frame.heard_at - killed_at
        assert took < limit(1.0), f"{client.name} heard it after {took:.2f} s"
        assert frame["status"]["m1"]["position"] == 0, frame.text
    await c1.move("m1", 5)
    await c1.hear("error", code="CONNECTION_ERROR", machine_id="m1")
    await c1.move("m2", 5)
    await c1.hear("command_completed", machine_id="m2", success=True)
    await s.actor("a.m1").start()
    for client in (c1, c2):
        await client.hear_state("m1", connection_status="connected", position=0, raw_status=AT_REST)
    await c1.move("m1", 5)
    await c1.hear("command_completed", machine_id="m1", success=True)
    assert sim.truth.moves("m1") == [5]


@play("a stopped agent: stale within its limit, then its machine's truth again")
async def stopped(s):
    s.set("machine_defaults", stale_after_ms=1500)
    sim = await s.house("m1", "m2")
    c1 = await s.client("c1", on="w1")
    await c1.subscribe()
    s.actor("a.m1").pause()
    stopped_at = now()
    frame = await c1.hear_state("m1", connection_status="stale")
    took = frame.heard_at - stopped_at
    assert took < limit(1.5 + 1.5), f"stale after {took:.2f} s, stale_after_ms is 1500"
    assert frame["status"]["m1"]["position"] == 0, "stale keeps the last reading"
    await c1.move("m1", 5, deadline_ms=200)
    refused = await c1.hear("error", machine_id="m1")
    assert refused["code"] == "INTERLOCK" and "stale" in refused["error"].lower(), refused.text
    await sim.place("m1", 8)
    s.actor("a.m1").resume()
    await c1.sees("m1", connection_status="connected", position=8)
    await sim.truth.polled_again("m1", 3)
    assert sim.truth.moves("m1") == [], "a refused command was written later"


@play("an agent that hangs for long is given up within 3 s, and taken back")
async def hung(s):
    s.set("machine_defaults", stale_after_ms=1500)
    await s.house("m1")
    c1 = await s.client("c1")
    await c1.subscribe()
    s.actor("a.m1").pause()
    await c1.hear_state("m1", within=4, connection_status=lambda x: x in ("stale", "disconnected"))
    s.actor("a.m1").resume()
    await c1.sees("m1", connection_status="connected")


@play("an agent killed after the write and before the reply: an honest answer, and no second write", "asan")
async def killed_after_write(s):
    """Without another agent nobody can know whether it was carried out; the broker gives up when deadline and
    reply_timeout_ms are over. What the next agent finds in the journal then comes too late to be a second answer."""
    s.set("machine_defaults", reply_timeout_ms=1500, command_deadline_ms=500)
    sim = await s.house("m1")
    c1, listener = await s.client("c1", on="w1"), await s.client("listener", on="w2")
    await listener.subscribe(kind="command_results")
    await sim.hold("m1", 1)
    await c1.move("m1", 5)
    await sim.held("m1")
    await s.actor("a.m1").kill()
    answer = await c1.next("error", within=6)
    assert answer["code"] in ("OUTCOME_UNKNOWN", "CONNECTION_ERROR"), answer.text
    await sim.release("m1")
    await s.actor("a.m1").start()
    await c1.subscribe()
    await c1.sees("m1", connection_status="connected", position=5, raw_status=AT_REST)
    await sim.truth.polled_again("m1", 5)
    assert sim.truth.moves("m1") == [5], "the new agent wrote the move again"
    await c1.move("m1", 6)
    await c1.hear("command_completed", success=True, position=6)
    assert sim.truth.moves("m1") == [5, 6]


@play("an agent killed after the write, and replaced in time: the next one reads what became of it", "asan")
async def reconciled(s):
    sim = await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    await sim.hold("m1", 1)
    await c1.move("m1", 5)
    await sim.held("m1")
    await s.actor("a.m1").kill()
    await sim.release("m1")
    await s.actor("a.m1").start()
    result = await c1.hear(test=lambda frame: frame["type"] in ("command_result", "error"))
    assert result["type"] == "command_result" and result["success"] is True, result.text
    await c1.hear("command_completed", success=True, position=5)
    await sim.truth.polled_again("m1", 3)
    await c1.ping()
    assert len(c1.heard("command_result")) == 1 and len(c1.heard("command_completed")) == 1
    assert sim.truth.moves("m1") == [5], "the new agent wrote the move again"


async def agent_dies_mid_move(s):
    sim = await s.house("m1", workers=["w1"])
    await sim.by_hand("m1")
    c1 = await s.client("c1")
    await c1.subscribe()
    await c1.move("m1", 5)
    await c1.hear("command_result", success=True)
    await sim.step("m1", 2)
    await c1.hear_state("m1", position=2)
    await s.actor("a.m1").kill()
    await c1.hear_state("m1", connection_status="disconnected")
    await sim.step("m1", 3)
    await s.actor("a.m1").start()
    await c1.sees("m1", connection_status="connected", position=5, raw_status=AT_REST)
    return sim, c1


@play("an agent killed while its machine moves: the truth comes with its restart, and nothing is written again")
async def killed_while_moving(s):
    sim, c1 = await agent_dies_mid_move(s)
    await c1.move("m1", 6)
    await c1.hear("command_result", success=True, data={"argument": 6})
    await sim.step("m1")
    await c1.hear("command_completed", success=True, position=6)
    assert len(c1.heard("command_completed", command={"argument": 5})) == 1
    assert sim.truth.moves("m1") == [5, 6]


@play("the completion of a move whose agent died comes all the same, once", "asan")
async def completion_after_death(s):
    """The next agent finds the move in the journal, and watches it."""
    sim, c1 = await agent_dies_mid_move(s)
    if not c1.heard("command_completed", command={"argument": 5}):
        await c1.hear("command_completed", command={"argument": 5}, success=True, position=5)
    await sim.truth.polled_again("m1", 3)
    await c1.ping()
    assert len(c1.heard("command_completed", command={"argument": 5})) == 1
    assert sim.truth.moves("m1") == [5]


async def first_move_accepted(client, position):
    """The journal is one agent's: the second moves nothing until it has it, a second after the first is gone."""
    while True:
        await client.move("m1", position)
        answer = await client.hear(test=lambda frame: frame["type"] in ("command_result", "error"))
        if answer["type"] == "command_result":
            return
        assert answer["code"] == "INTERNAL_ERROR" and "command journal is down" in answer["error"], answer.text


@play("a second agent for the same machine: one of them serves, the PLC has one client, nothing is written twice")
async def second_agent(s):
    sim = await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe()
    second = s.cast("a.second", "plc-agent", "-m", "m1", ready=False)
    await second.start()
    second.told_to_end = s.actor("a.m1").told_to_end = True
    await c1.sees("m1", connection_status="connected")
    await until("one of them to have been sent away",
                lambda: not (s.actor("a.m1").alive and second.alive), within=10)
    await c1.sees("m1", connection_status="connected", within=10)
    await first_move_accepted(c1, 4)
    await c1.hear("command_completed", success=True, position=4, within=10)
    await c1.move("m1", 7)
    await c1.hear("command_completed", success=True, position=7, within=10)
    assert sim.truth.moves("m1") == [4, 7]
