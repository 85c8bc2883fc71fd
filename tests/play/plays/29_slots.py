"""Workers and their slots over a broker's death: what stands under shm/worker.N is what the worker N writes.

Found by tests/fault/kills: a worker that was born while another could not speak took that one's slot from the next broker, and died.
A slot is its holder's as long as its process lives, whoever is introduced.
"""
from stagecraft.registry import play
from stagecraft.wait import until


@play("a slot whose worker stands still is given to nobody else: its owner comes back to it, and is seen there", "asan")
async def kept_for_its_owner(s):
    await s.house("m1", workers=["w1"])
    c1 = await s.client("c1", on="w1")
    await c1.subscribe()
    w1, slot = s.actor("w1"), s.counters.role_of_pid(s.actor("w1").pid)
    await s.actor("b1").kill()
    w1.pause()
    await s.actor("b1").start()
    other = await s.worker("w2")
    assert s.counters.role_of_pid(other.pid) != slot, "another got the slot of a process that lives"
    assert s.counters.role_of_pid(w1.pid) == slot, "its file was taken away"
    await other.kill()
    await until("the broker to have seen its end", lambda: s.counter("b1", "workers") == 0)
    w1.resume()
    await until(f"w1 to be seen as {slot} again", lambda: s.counters.role_of_pid(w1.pid) == slot)
    c1.history.repeats_allowed = True
    for position in range(1, 6):
        await s.simulator.place("m1", position)
        await c1.sees("m1", position=position, connection_status="connected")
