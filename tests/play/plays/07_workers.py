"""Workers: kill -9, stop, lag. Only their own clients notice, and what was read is never older than the truth."""
import socket

import websockets

from stagecraft.registry import play
from stagecraft.scripts import AT_REST
from stagecraft.wait import until


@play("a killed worker takes only its own clients; the other serves them at once", "asan")
async def killed(s):
    sim = await s.house("m1", "m2")
    stays, goes = await s.client("stays", on="w2"), await s.client("goes", on="w1")
    await stays.subscribe()
    await goes.subscribe()
    await s.actor("w1").kill()
    assert await goes.closed() == 1006
    again = await s.client("again")
    await again.subscribe()
    await again.move("m1", 7)
    await again.hear("command_completed", success=True)
    await stays.sees("m1", position=7, raw_status=AT_REST)
    assert stays.connected

    await s.actor("w1").start()
    back = await s.client("back", on="w1")
    snapshot = await back.subscribe()
    assert snapshot["status"]["m1"]["position"] == 7, snapshot.text
    await sim.place("m2", 3)
    for client in (stays, again, back):
        await client.hear_state("m2", position=3)


@play("a worker killed with a command of its client under way: one write, and results still reach the others")
async def killed_with_command(s):
    s.set("machine_defaults", reply_timeout_ms=5000)
    sim = await s.house("m1")
    listener, caller = await s.client("listener", on="w2"), await s.client("caller", on="w1")
    await listener.subscribe(kind="command_results")
    await sim.hold("m1", 1)
    await caller.move("m1", 5)
    await sim.held("m1")
    await s.actor("w1").kill()
    await sim.release("m1")
    await listener.next("command_result", success=True)
    await listener.next("command_completed", success=True, position=5)
    assert sim.truth.moves("m1") == [5]
    await s.actor("w1").start()
    again = await s.client("again", on="w1")
    await again.move("m1", 6)
    await again.hear("command_completed", success=True, position=6)
    await listener.hear("command_completed", position=6)
    assert sim.truth.moves("m1") == [5, 6]


@play("a worker told to stop closes its clients with 1001")
async def told_to_stop(s):
    await s.house("m1")
    c1, c2 = await s.client("c1", on="w1"), await s.client("c2", on="w2")
    await c1.subscribe()
    await s.actor("w1").stop()
    assert await c1.closed() == 1001
    await c2.ping()


@play("a worker killed over and over: slots are leased again, nothing piles up", within=90)
async def killed_often(s):
    await s.house("m1")
    stays = await s.client("stays", on="w2")
    await stays.subscribe()
    for _ in range(5):
        await s.actor("w1").restart()
        client = await s.client("c", on="w1")
        await client.subscribe()
        await client.close()
    roles = {s.counters.role_of_pid(s.actor(name).pid) for name in ("w1", "w2")}
    assert roles == {"worker.0", "worker.1"}, roles
    files = sorted(p.name for p in (s.runtime / "shm").iterdir())
    assert [f for f in files if f.startswith("worker.")] == ["worker.0", "worker.1"], files
    await stays.ping()


@play("a worker that was stopped while the ring went round gives its clients the newest states", within=120)
async def lapped(s):
    """Ten machines and a worker that sleeps through more than one round of the ring."""
    s.small_ring()
    machines = [f"m{n}" for n in range(1, 11)]
    s.set("machine_defaults", poll_interval_ms=2, poll_moving_ms=2)
    for machine in machines:
        s.machine(machine, sim_positions=256)
    sim = await s.house()
    watcher, sleeper = await s.client("watcher", on="w2"), await s.client("sleeper", on="w1")
    await watcher.subscribe()
    await sleeper.subscribe()
    sleeper.history.repeats_allowed = True  # the snapshot after a lap shows everything, changed or not
    for machine in machines:
        await sim.pace(machine, 3)
    s.actor("w1").pause()
    begin = watcher.history.last_seq[1]
    target = 0
    while watcher.history.last_seq[1] - begin < 1024 * 1024 // 64:
        target = 128 - target
        for machine in machines:
            await watcher.move(machine, target)
        for machine in machines:
            await watcher.sees(machine, position=target, raw_status=AT_REST, within=10)
        while len(watcher.heard("command_completed")) < len(watcher.heard("command_result")):
            await watcher.hear("command_completed", within=10)
    s.actor("w1").resume()
    for n, machine in enumerate(machines):
        await sim.place(machine, 200 + n)
    for n, machine in enumerate(machines):
        await sleeper.sees(machine, position=200 + n, raw_status=AT_REST)
    await sleeper.ping()


MANY = [f"m{n}" for n in range(1, 9)]


async def many_machines(s):
    """Eight fast machines on one worker."""
    s.set("machine_defaults", poll_interval_ms=2, poll_moving_ms=2)
    for machine in MANY:
        s.machine(machine, sim_positions=256)
    sim = await s.house(workers=["w1"])
    for machine in MANY:
        await sim.pace(machine, 3)
    return sim


async def storm(reader, frames):
    """All machines move to and fro until `reader` has heard so many frames; their last position."""
    target, begin = 0, len(reader.frames)
    while len(reader.frames) - begin < frames:
        target = 128 - target
        for machine in MANY:
            await reader.move(machine, target)
        done = set()
        while len(done) < len(MANY):
            done.add((await reader.hear("command_completed", within=10, success=True))["machine_id"])
    return target


@play("a client that never reads disturbs nobody, and costs the worker a bounded amount", within=180)
async def never_reads(s):
    await many_machines(s)
    reader = await s.client("reader", on="w1")
    await reader.subscribe(kind="all_events")
    for _ in range(20):
        s.mute({"type": "subscribe", "subscription_type": "status_updates"}, on="w1")
    before = s.actor("w1").rss_kib()
    target = await storm(reader, 12000)
    grown = s.actor("w1").rss_kib() - before
    assert {reader.state(m)["position"] for m in MANY} == {target}
    assert grown < 8 * 1024 + 20 * 64, f"w1 grew by {grown} KiB while {len(reader.frames)} frames went to 21 clients"


@play("a client that pauses is told the newest states when it goes on, and nothing older after them", within=180)
async def pauses(s):
    await many_machines(s)
    reader = await s.client("reader", on="w1")
    await reader.subscribe(kind="all_events")
    small = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.connect(("127.0.0.1", s.port))
    pausing = await s.client("pausing", sock=small)
    await pausing.subscribe()
    pausing.socket.transport.pause_reading()
    target = await storm(reader, 12000)
    pausing.socket.transport.resume_reading()
    pausing.history.repeats_allowed = True
    for machine in MANY:
        await pausing.sees(machine, position=target, raw_status=AT_REST)
    heard = len(pausing.heard("status_broadcast"))
    assert heard < len(reader.heard("status_broadcast")) / 2, f"{heard} states: nothing was merged"
    await s.simulator.place("m1", 200)
    await pausing.hear_state("m1", position=200)


@play("max_connections refuses the next one with 503, and serves it when there is room")
async def max_connections(s):
    s.set("websocket", max_connections=3)
    await s.house("m1", workers=["w1"])
    clients = [await s.client(f"c{n}") for n in range(3)]
    try:
        await s.client("one_too_many")
        raise AssertionError("the fourth client of three was let in")
    except websockets.InvalidStatusCode as refused:
        assert refused.status_code == 503, refused
    await clients[0].close()

    async def let_in():
        try:
            return await s.client("c3")
        except websockets.InvalidStatusCode:
            return None

    await until("room for one more", let_in)
    await clients[1].ping()
