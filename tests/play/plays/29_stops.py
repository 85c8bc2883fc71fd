"""A process stands still for a while (SIGSTOP, a frozen host): what waited in its socket has grown older all the same.

Found by tests/fault/kills: a deadline that travelled as remaining milliseconds did not count the time in which its reader slept.
"""
from stagecraft.registry import play
from stagecraft.wait import now, until


async def late(s, victim):
    """A move waits in the victim's socket until its deadline is long over. Its answer, and what the PLC was sent."""
    s.set("machine_defaults", stale_after_ms=8000)
    sim = await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    await c1.move("m1", 3, request_id="before")
    await c1.hear("command_completed", request_id="before")
    s.actor(victim).pause()
    begin = now()
    await c1.move("m1", 7, request_id="late", deadline_ms=300)
    await until("its deadline to be long over", lambda: now() > begin + 1.0)
    s.actor(victim).resume()
    answer = await c1.hear(request_id="late", within=15, test=lambda f: f.type in ("command_result", "error"))
    await sim.truth.polled_again("m1", 3)
    return answer, sim.truth.moves("m1")


@play("the broker stood still over a command's deadline: TIMEOUT, and nothing is written", "asan")
async def broker(s):
    answer, moves = await late(s, "b1")
    assert (answer.get("code"), moves) == ("TIMEOUT", [3]), (answer.text, moves)


@play("the agent stood still over a command's deadline: nothing is written, and nobody is told that it was", "asan")
async def agent(s):
    answer, moves = await late(s, "a.m1")
    assert moves == [3] and answer.get("code") in ("TIMEOUT", "OUTCOME_UNKNOWN"), (answer.text, moves)
