"""Every worker is replaced, one after the other, while clients of every kind work: nobody is refused, nobody who resumes loses or hears twice, and each
command is carried out once. Then the same while processes are killed in the middle of it.

`--seed N` repeats the dice of a run with deaths (processes keep their own time, so that it is the same plan, not the same run), `--seconds N` makes it, and
the one that counts what is left behind, longer: `run-plays -k 57_rolling --seed 7 --seconds 600`.
"""
import asyncio
import os
import random
import signal

from stagecraft.installation import Installation, kill_pid, resident_kib, sanitized
from stagecraft.registry import play
from stagecraft.throng import Throng, with_dice
from stagecraft.wait import a_moment, limit, now, until

SECONDS = float(os.environ.get("NORIA_PLAY_SECONDS", "6"))
VICTIMS = ["worker.0", "worker.1", "old", "old", "broker", "store", "agent.m1", "agent.m2"]
LEAK_KIB = 768  # what a process may hold more at the end: its allocator's noise, and far below what one leaked configuration or worker would come to


async def roll(house, weather=None):
    """Every worker, by `noria restart workers`; (accepted, what it said, the pids of before)."""
    before = house.pids("worker.")
    if weather:
        weather.drain_begins()
    code, out, err = await house.tool("restart", "workers", within=90)
    if weather:
        weather.drain_ends()
    return code == 0, out + err, before


def planned_ends(house):
    return {name: house.there(name).planned_ends for name in house.pids("worker.")}


@play("a rolling restart under load: 300 clients, newcomers all the time; nobody is refused, nothing is lost or doubled", within=120)
async def under_load(s):
    t = await Throng(s, 57).build("m1", "m2", crowd=300, drain_ms=1500)
    await t.begins()
    ends = planned_ends(t.house)
    accepted, said, before = await roll(t.house, t.weather)
    assert accepted, said
    after = t.house.pids("worker.")
    assert after.keys() == before.keys() and not set(after.values()) & set(before.values()), (before, after)
    assert planned_ends(t.house) == {name: count + 1 for name, count in ends.items()}, planned_ends(t.house)
    t.house.assert_nobody_died()
    await t.flows()
    await t.finish()
    closed = t.weather.closed
    assert set(closed) == {1012} and closed[1012] >= 300, f"everybody is closed once or more, with 1012: {closed}"
    assert t.weather.connects["failed"] == 0, t.weather.connects
    print(f"closed {dict(closed)}, {t.weather.connects['tried']} connections, {t.arrived} newcomers, {t.visited} visitors")


@play("a worker that is told to go closes its clients one by one over the window", "asan")
async def spread(s):
    window = 1.5
    t = await Throng(s, 58).build("m1", crowd=40, drain_ms=round(window * 1000))
    await t.begins()
    old = t.house.pid("worker.0")
    sockets = [c.client for c in t.crowd if t.house.serving(c.client.local_port) == "worker.0"]
    times = []
    for client in sockets:
        client._reader.add_done_callback(lambda _: times.append(now()))
    t.weather.drain_begins()
    await t.house.told("drain", "worker.0")
    await until("all of its clients to be closed", lambda: all(x.close_code is not None for x in sockets), within=15)
    t.weather.drain_ends()
    await t.house.ready("worker.0", but=old)
    assert len(times) > 8 and max(times) - min(times) > window / 2, f"{len(times)} clients closed within {max(times) - min(times):.3f} s"
    assert {x.close_code for x in sockets} == {1012}
    t.house.assert_nobody_died()
    await t.flows()
    await t.finish()


def old_door(s):
    """One worker, whose window is long, and times that bear it."""
    s.set("workers", count=1, drain_ms=4000)
    s.set("machine_defaults", reply_timeout_ms=10000, command_deadline_ms=10000)


@play("a command's answer that is on its way when a worker is told to go comes before the Close", "asan")
async def answer_first(s):
    old_door(s)
    house = await Installation(s).up("m1")
    asker = await s.client("asker")
    others = [await s.client(f"c{n}") for n in range(8)]
    await s.simulator.hold("m1", command=1)
    await asker.move("m1", 3)
    await s.simulator.held("m1")
    drain = asyncio.ensure_future(house.told("drain", "worker.0"))
    for client in others:
        assert await client.closed(within=15) == 1012, client.close_code
    assert asker.connected, f"closed with {asker.close_code} before its answer"
    await s.simulator.release("m1")
    await asker.hear("command_result", success=True)
    assert await asker.closed(within=15) == 1012
    await drain


@play("a worker that does not come back: another one serves who waits at its sockets, and gives them back", "asan", within=90)
async def adoption(s):
    s.set("workers", count=2)
    house = await Installation(s).up("m1")
    before = house.holdings("worker.1")
    away = await keep_away(house, "worker.0")
    clients = [await s.client(f"c{n}") for n in range(16)]  # each hears its welcome within 5 s
    assert {house.serving(c.local_port) for c in clients} == {"worker.1"}
    assert house.launcher_counter("adoptions") == 1
    kill_pid(away, signal.SIGCONT)
    await house.ready("worker.0")
    for client in clients:
        await client.ping()
        await client.close()
        del s.clients[client.name]
    await until(f"worker.1 to hold what it held before: {before}", lambda: house.holdings("worker.1") == before, within=10)

    async def lands():
        client = await s.client("later")
        where = house.serving(client.local_port)
        await client.close()
        return where == "worker.0"
    await until("somebody to land on worker.0", lands, within=10)


async def keep_away(house, name):
    """Kills it, and stops its successor before that is ready; the successor's pid."""
    for _ in range(5):
        old = house.kill(name)
        new = await until(f"another {name}", lambda: house.pid(name) not in (0, old) and house.pid(name))
        kill_pid(new, signal.SIGSTOP)
        if house.there(name).state_name == "starting":
            return new
        kill_pid(new, signal.SIGCONT)
    raise AssertionError(f"{name} is ready too fast")


async def storm(s, number):
    dice = random.Random(number)
    t = await Throng(s, number).build("m1", "m2", crowd=20, drain_ms=600)
    await t.begins()
    end, rounds, done = now() + SECONDS, 0, []
    while now() < end or rounds < 2:
        rounds += 1
        before = t.house.pids("worker.")
        rolling = asyncio.ensure_future(roll(t.house, t.weather))
        for _ in range(dice.randrange(1, 4)):
            await a_moment(dice.random() * 0.8)
            victim = dice.choice(VICTIMS)
            pid = dice.choice(list(before.values())) if victim == "old" else t.house.pid(victim)
            t.weather.killing("worker" if victim == "old" else victim)
            if pid and kill_pid(pid):
                done.append(victim)
        accepted, said, _ = await rolling
        await t.house.all_ready()
        t.keep_going()
        await t.flows(within=30)
        assert not accepted or not set(t.house.pids("worker.").values()) & set(before.values()), f"{before} {t.house.pids('worker.')} {said}"
    await t.finish()
    return f"{rounds} rolling restarts, {len(done)} deaths {' '.join(done)}, closed {dict(t.weather.closed)}"


@play("rolling restarts, while old and new workers, broker, store and agents are killed", within=120 + SECONDS)
async def with_deaths(s):
    await with_dice(s, storm)


@play("many rolling restarts and reloads leave descriptors, files and memory as they were", within=180 + SECONDS)
async def nothing_stays(s):
    s.channels_listener()
    s.set("workers", count=2, drain_ms=300)
    house = await Installation(s).up("m1", "m2")
    await until("the store to be there", lambda: house.there("store"))
    rounds = await go_round(s, house, count=2)
    before, files = house.holdings(), house.files()
    lasting = {name: pid for name, pid in {"up": house.launcher.pid, **house.pids()}.items() if not name.startswith(("worker", "agent.extra"))}
    memory = {name: resident_kib(pid) for name, pid in lasting.items()}
    rounds = await go_round(s, house, count=4, end=now() + SECONDS)
    await house.all_ready()
    await until(f"descriptors to be as before, {before}", lambda: house.holdings() == before, within=10)
    assert house.files() == files, (files, house.files())
    house.assert_nobody_died()
    assert {name: house.pid(name) for name in lasting if name != "up"} == {n: p for n, p in lasting.items() if n != "up"}, "somebody died"
    grown = {name: resident_kib(pid) - memory[name] for name, pid in lasting.items()}
    assert sanitized() or all(kib < LEAK_KIB for kib in grown.values()), f"after {rounds} rounds grown by KiB: {grown}"
    print(f"{rounds} rolling restarts, {4 * rounds} reloads; grown by KiB: {grown}")


async def go_round(s, house, count, end=0.0):
    """Each round four reloads, which add a machine, change it, take it out again and change a limit, and a rolling restart."""
    rounds = 0
    while rounds < count or now() < end:
        rounds += 1
        machines = list(s.machines)
        for more, limit_ in ([{"id": "extra", "ip": "192.168.1.9", "port": 3200, "simulator": True}], 65536), (
                [{"id": "extra", "name": "Other", "ip": "192.168.1.9", "port": 3200, "simulator": True}], 65536), ([], 65536), ([], 32768):
            s.machines = machines + more
            s.set("websocket", max_message_bytes=limit_)
            accepted, said = await house.reload()
            assert accepted, said
        accepted, said, _ = await roll(house)
        assert accepted, said
    return rounds
