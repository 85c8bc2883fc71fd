"""The agent's disk hangs, lies, or forgets: a move is written once, or not at all, and never before it is on the disk.

The disk is stagecraft/disk.py: fdatasync waits while the gate is shut, and a power cut takes away what it had not confirmed. That a
command is not written meanwhile is shown by polls: the agent goes on talking to the PLC behind it.
"""
import asyncio
import random
import uuid

from stagecraft import disk
from stagecraft.httpclient import http_listener, post
from stagecraft.registry import play
from stagecraft.wait import limit, now, until


async def house(s):
    s.set("machine_defaults", command_deadline_ms=10000, reply_timeout_ms=5000)
    s.env.update(disk.environment(s.dir))
    return await s.house("m1")


async def warm(s):
    """One move, so that the journal is there and whole."""
    c1 = await s.client("c1")
    await c1.move("m1", 3, request_id="warm")
    await c1.hear("command_completed", request_id="warm")
    return c1


@play("nothing is written before the disk has it; states go on while it hangs")
async def not_before(s):
    sim = await house(s)
    c1, c2 = await warm(s), await s.client("c2")
    await c2.subscribe()
    disk.hangs(s.dir)
    await c1.move("m1", 7, request_id="r")
    await c1.ping()
    await sim.truth.polled_again("m1", 10)
    assert sim.truth.moves("m1") == [3], "written while the disk hung"
    await sim.place("m1", 5)
    await c2.sees("m1", position=5)
    assert not c1.heard("command_result", request_id="r")
    disk.hangs(s.dir, False)
    await c1.hear("command_completed", request_id="r", success=True, position=7)
    assert sim.truth.moves("m1") == [3, 7]


@play("nobody is told before the disk has it: the reply is there, the answer waits")
async def not_told_before(s):
    sim = await house(s)
    c1 = await warm(s)
    await sim.hold("m1", 1)
    await c1.move("m1", 7, request_id="r")
    await sim.held("m1")
    disk.hangs(s.dir)
    await sim.release("m1")
    await sim.wait("m1", "position 7")
    await sim.truth.polled_again("m1", 5)
    await c1.ping()
    assert not c1.heard(request_id="r"), "told while the disk hung"
    disk.hangs(s.dir, False)
    await c1.hear("command_result", request_id="r", success=True)
    await c1.hear("command_completed", request_id="r", success=True, position=7)


@play("the deadline passes while the disk hangs: TIMEOUT, and nothing is written")
async def deadline(s):
    sim = await house(s)
    c1 = await s.client("c1")
    disk.hangs(s.dir)
    begin = now()
    await c1.move("m1", 7, request_id="r", deadline_ms=300)
    await until("the deadline to be over", lambda: now() > begin + 0.4)
    await sim.truth.polled_again("m1", 3)
    disk.hangs(s.dir, False)
    await c1.hear("error", request_id="r", code="TIMEOUT", within=limit(10))
    await sim.truth.polled_again("m1", 3)
    assert sim.truth.moves("m1") == []


@play("an alarm comes while the disk hangs: INTERLOCK, and nothing is written")
async def interlock(s):
    sim = await house(s)
    c1, c2 = await s.client("c1"), await s.client("c2")
    await c2.subscribe()
    disk.hangs(s.dir)
    await c1.move("m1", 7, request_id="r")
    await c1.ping()
    await sim.truth.polled_again("m1", 3)
    await sim.condition("m1", "alarm", True)
    await c2.hear_state("m1", raw_status=lambda raw: raw != 218)
    disk.hangs(s.dir, False)
    refused = await c1.hear("error", request_id="r", code="INTERLOCK")
    assert "alarm" in refused["error"], refused.text
    await sim.truth.polled_again("m1", 3)
    assert sim.truth.moves("m1") == []


@play("it begins to move by another hand while the disk hangs: BUSY, and nothing is written")
async def busy(s):
    sim = await house(s)
    await sim.by_hand("m1")
    c1, c2 = await s.client("c1"), await s.client("c2")
    await c2.subscribe()
    disk.hangs(s.dir)
    await c1.move("m1", 7, request_id="r")
    await c1.ping()
    await sim.truth.polled_again("m1", 3)
    reader, writer = await other_hand(sim, "m1", 12)
    await c2.hear_state("m1", raw_status=219, within=10)
    disk.hangs(s.dir, False)
    await c1.hear("error", request_id="r", code="BUSY")
    writer.close()
    assert sim.truth.moves("m1") == [12]


async def other_hand(sim, machine, position):
    """Moves the machine past Noria: another client of the PLC, for which its one connection must be free for a moment."""
    port = int((await sim.get(machine))["port"])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(bytes([1, position]))
    await sim.tell(f"fault {machine} reset command 0 count 1")
    await until("the other hand to be served", lambda: sim.truth.moves(machine) == [position], within=10)
    writer.close()
    return reader, writer


async def cut_between_write_and_reply(s, variant, lies=False):
    """Written once, the power goes before the reply; the client repeats its request on another connection."""
    sim = await house(s)
    c1, request = await warm(s), str(uuid.UUID(int=7))
    disk.lies(s.dir, lies)
    await sim.hold("m1", 1)
    await c1.move("m1", 7, request_id=request)
    await sim.held("m1")
    await sim.wait("m1", "position 7")
    await s.actor("a.m1").kill()
    await sim.release("m1")
    disk.cut(s.state / "agents/m1", s.dir, variant, random.Random(1))
    await s.actor("a.m1").start()
    c2 = await s.client("c2")
    await c2.move("m1", 7, request_id=request)
    return sim, [await c.hear(request_id=request, within=15, test=lambda f: f.type in ("command_result", "error"))
                 for c in (c1, c2)]


def power_goes(variant):
    async def act(s):
        sim, answers = await cut_between_write_and_reply(s, variant)
        assert sim.truth.moves("m1") == [3, 7], f"written {sim.truth.moves('m1')}"
        assert [a.type for a in answers] == ["command_result"] * 2, [a.text for a in answers]

    act.__name__ = f"power_goes_{variant}"
    play(f"the power goes between write and reply ({variant}): one write, and everybody is told the same")(act)


for name in disk.VARIANTS:
    power_goes(name)


@play("an emergency stop leaves its latch over the power's going; who rearms is remembered, too")
async def latch(s):
    s.machine("m1", profile="delta-as")
    port = http_listener(s)
    sim, c1 = await house(s), await s.client("c1")
    await moves_to(c1, 3)
    await sim.condition("m1", "estop", True)
    await c1.subscribe("m1")
    await c1.sees("m1", status={"PARADA_EMERGENCIA": "Parada de emergencia presionada y activa"})
    await refused(c1, "emergency stop")
    await sim.condition("m1", "estop", False)
    await gone_and_back(s)
    await refused(c1, "emergency stop: not rearmed")
    (await post(port, "/v1/machines/m1/rearm", "", within=10)).envelope(200, machine="m1")
    await gone_and_back(s)
    await moves_to(c1, 5)
    assert sim.truth.moves("m1") == [3, 5]


async def gone_and_back(s):
    await s.actor("a.m1").kill()
    disk.cut(s.state / "agents/m1", s.dir, "cut", random.Random(1))
    await s.actor("a.m1").start()


async def moves_to(client, position):
    await until("a move to be taken", lambda: try_move(client, position), within=10)


async def try_move(client, position):
    request = str(uuid.uuid4())
    await client.move("m1", position, request_id=request)
    answer = await client.hear(request_id=request, test=lambda f: f.type in ("command_result", "error"))
    if answer.type == "error":
        return False
    return await client.hear("command_completed", request_id=request, success=True)


async def refused(client, text):
    """… for this reason, as soon as the agent is there again and has read."""
    async def look():
        request = str(uuid.uuid4())
        await client.move("m1", 9, request_id=request)
        answer = await client.hear(request_id=request, test=lambda f: f.type in ("command_result", "error"))
        assert answer.type == "error" and answer["code"] in ("INTERLOCK", "CONNECTION_ERROR"), answer.text
        return answer["code"] == "INTERLOCK" and answer["error"] == text

    await until(f"a move to be refused: {text}", look, within=10)


@play("the same on a disk that lies (its syncs do nothing): a second write, and it is seen")
async def the_test_can_fail(s):
    sim, _ = await cut_between_write_and_reply(s, "cut", lies=True)
    assert sim.truth.moves("m1") == [3, 7, 7], "the library does not take away what was not synced"
