"""The agent's disk hangs, lies, or forgets: a move is written once, or not at all, and never before it is on the disk.

The disk is stagecraft/disk.py: fdatasync waits while the gate is shut, and a power cut takes away what it had not confirmed. That a
command is not written meanwhile is shown by polls: the agent goes on talking to the PLC behind it.
"""
import asyncio
import random
import uuid

from stagecraft import disk
from stagecraft.registry import play
from stagecraft.wait import limit, now, until


async def house(s, *machines, swallow=False):
    s.set("machine_defaults", command_deadline_ms=10000, reply_timeout_ms=5000)
    s.gate, s.synced = disk.Gate(s.dir / "gate"), s.dir / "synced"
    s.env.update(disk.environment(s.synced, swallow, s.gate))
    return await s.house(*(machines or ["m1"]))


async def power_cut(s, machine="m1", variant="cut"):
    """The agent is dead; it comes back to what the disk has."""
    disk.cut(s.state / "agents" / machine, s.synced, variant, random.Random(1))
    s.gate.open()
    await s.actor(f"a.{machine}").start()


@play("nothing is written before the disk has it; states go on while it hangs")
async def not_before(s):
    sim = await house(s)
    c1, c2 = await s.client("c1"), await s.client("c2")
    await c2.subscribe()
    await c1.move("m1", 3, request_id="warm")
    await c1.hear("command_completed", request_id="warm")
    s.gate.shut()
    await c1.move("m1", 7, request_id="r")
    await c1.ping()
    await sim.truth.polled_again("m1", 10)
    assert sim.truth.moves("m1") == [3], "written while the disk hung"
    await sim.place("m1", 5)
    await c2.sees("m1", position=5)
    assert not c1.heard("command_result", request_id="r")
    s.gate.open()
    await c1.hear("command_completed", request_id="r", success=True, position=7)
    assert sim.truth.moves("m1") == [3, 7]


@play("nobody is told before the disk has it: the reply is there, the answer waits")
async def not_told_before(s):
    sim = await house(s)
    c1 = await s.client("c1")
    await c1.move("m1", 3, request_id="warm")
    await c1.hear("command_completed", request_id="warm")
    await sim.hold("m1", 1)
    await c1.move("m1", 7, request_id="r")
    await sim.held("m1")
    s.gate.shut()
    await sim.release("m1")
    await sim.wait("m1", "position 7")
    await sim.truth.polled_again("m1", 5)
    await c1.ping()
    assert not c1.heard(request_id="r"), "told while the disk hung"
    s.gate.open()
    await c1.hear("command_result", request_id="r", success=True)
    await c1.hear("command_completed", request_id="r", success=True, position=7)


@play("the deadline passes while the disk hangs: TIMEOUT, and nothing is written")
async def deadline(s):
    sim = await house(s)
    c1 = await s.client("c1")
    s.gate.shut()
    begin = now()
    await c1.move("m1", 7, request_id="r", deadline_ms=300)
    await until("the deadline to be over", lambda: now() > begin + 0.4)
    await sim.truth.polled_again("m1", 3)
    s.gate.open()
    await c1.hear("error", request_id="r", code="TIMEOUT", within=limit(10))
    await sim.truth.polled_again("m1", 3)
    assert sim.truth.moves("m1") == []


@play("an alarm comes while the disk hangs: INTERLOCK, and nothing is written")
async def interlock(s):
    sim = await house(s)
    c1, c2 = await s.client("c1"), await s.client("c2")
    await c2.subscribe()
    s.gate.shut()
    await c1.move("m1", 7, request_id="r")
    await c1.ping()
    await sim.truth.polled_again("m1", 3)
    await sim.condition("m1", "alarm", True)
    await c2.hear_state("m1", raw_status=lambda raw: raw != 218)
    s.gate.open()
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
    s.gate.shut()
    await c1.move("m1", 7, request_id="r")
    await c1.ping()
    await sim.truth.polled_again("m1", 3)
    reader, writer = await other_hand(sim, "m1", 12)
    await c2.hear_state("m1", raw_status=219, within=10)
    s.gate.open()
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


async def cut_between_write_and_reply(s, variant, swallow=False):
    """Written once, the power goes before the reply; the client repeats its request on another connection."""
    sim = await house(s, swallow=swallow)
    c1, request = await s.client("c1"), str(uuid.UUID(int=7))
    await sim.hold("m1", 1)
    await c1.move("m1", 7, request_id=request)
    await sim.held("m1")
    await sim.wait("m1", "position 7")
    await s.actor("a.m1").kill()
    await sim.release("m1")
    await power_cut(s, variant=variant)
    c2 = await s.client("c2")
    await c2.move("m1", 7, request_id=request)
    return sim, [await c.hear(request_id=request, within=15, test=lambda f: f.type in ("command_result", "error"))
                 for c in (c1, c2)]


def power_goes(variant):
    async def act(s):
        sim, answers = await cut_between_write_and_reply(s, variant)
        assert sim.truth.moves("m1") == [7], f"written {len(sim.truth.moves('m1'))} times"
        assert [a.type for a in answers] == ["command_result"] * 2, [a.text for a in answers]

    act.__name__ = f"power_goes_{variant}"
    play(f"the power goes between write and reply ({variant}): one write, and everybody is told the same")(act)


for name in disk.VARIANTS:
    power_goes(name)


@play("the same on a disk that lies (its syncs do nothing): a second write, and it is seen")
async def the_test_can_fail(s):
    sim, _ = await cut_between_write_and_reply(s, "cut", swallow=True)
    assert sim.truth.moves("m1") == [7, 7], "the library does not take away what was not synced"
