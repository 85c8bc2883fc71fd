"""Another configuration in a running broker and its agents: who comes and goes is told once, nobody is dropped, moves end as they should, and
a broker that dies of it is followed by one that tells the rest."""
import signal

from stagecraft.registry import play
from stagecraft.wait import until


def events(client, since=0):
    """(type, machine_id, name) of the machine events heard, in order."""
    return [(f.type, f["machine_id"], f["machine"]["name"]) for f in client.frames[since:]
            if f.type in ("machine_added", "machine_removed")]


async def reload(s, *actors):
    """The configuration as the play has it now, in force in these actors, without a restart."""
    s.write_conf()
    for name in actors:
        before = s.counter(name, "reloads")
        s.actor(name).send_signal(signal.SIGHUP)
        await s.counts(name, "reloads", before + 1, within=10)


async def cast(s, **settings):
    """Three simulated machines, of which the house knows two."""
    for machine_id in ("m1", "m2", "m3"):
        s.machine(machine_id, **settings)
    m1, m2, m3 = s.machines
    await s.sim()
    s.machines = [m1, m2]
    s.write_conf()
    await s.broker()
    await s.worker("w1")
    for machine_id in ("m1", "m2"):
        await s.agent(machine_id)
    await s.all_connected()
    return m1, m2, m3


def disconnections(client):
    """Whoever was shown without its PLC."""
    return sorted({machine for f in client.frames if f.type == "status_broadcast"
                   for machine, state in f["status"].items() if state.get("connection_status") != "connected"})


@play("machines come and go live: told once, a move goes on, nobody is dropped", "asan")
async def come_and_go(s):
    m1, m2, m3 = await cast(s)
    watcher, mover, results = [await s.client(name) for name in ("watcher", "mover", "results")]
    await watcher.subscribe(kind="all_events")
    watcher.history.repeats_allowed = True
    await results.subscribe(kind="command_results")
    await s.simulator.by_hand("m1")
    await mover.move("m1", 3)
    await mover.hear("command_result", success=True)

    s.machines = [m1, {**m2, "name": "Renamed"}, m3]
    await reload(s, "b1", "w1")
    told = [("machine_removed", "m2", "Carrusel m2"), ("machine_added", "m2", "Renamed"), ("machine_added", "m3", "Carrusel m3")]
    await watcher.hear("machine_added", machine_id="m3")
    assert events(watcher) == told, events(watcher)
    await watcher.sees("m2", connection_status="connected", position=0)  # its agent did not notice
    await s.agent("m3")
    await watcher.sees("m3", connection_status="connected", position=0)
    await s.simulator.step("m1", 3)
    await mover.hear("command_completed", machine_id="m1", success=True, position=3)
    await results.hear("command_completed", machine_id="m1", position=3)
    await mover.move("m3", 2)
    await mover.hear("command_completed", machine_id="m3", success=True, position=2)

    a3 = s.actor("a.m3")
    s.machines = [m1, {**m2, "name": "Renamed"}]
    await reload(s, "b1", "w1")
    await watcher.hear("machine_removed", machine_id="m3")
    a3.told_to_end = True
    assert await a3.ended() == 78, a3.tail()  # for good: it is told so
    await mover.move("m3", 4)
    await mover.hear("error", code="MACHINE_NOT_FOUND")
    assert events(watcher) == told + [("machine_removed", "m3", "Carrusel m3")], events(watcher)
    await s.simulator.pace("m1", 1)
    await mover.move("m1", 7)
    await mover.hear("command_completed", machine_id="m1", success=True, position=7)
    assert "m1" not in disconnections(watcher)  # the others as they came, before their first reading
    assert s.counter("b1", "disconnected") == 0
    for client in (watcher, mover, results):
        assert client.connected


@play("an agent makes way for another configuration of its machine, behind its move; its clients notice nothing", "asan")
async def make_way(s):
    m1, m2, m3 = await cast(s)
    watcher, mover = await s.client("watcher"), await s.client("mover")
    await watcher.subscribe(kind="all_events")
    watcher.history.repeats_allowed = True
    await s.simulator.by_hand("m1")
    await mover.move("m1", 2)
    await mover.hear("command_result", success=True)
    s.machines = [{**m1, "poll_interval_ms": 40}, m2]
    await reload(s, "b1", "w1")
    a1, a2 = s.actor("a.m1"), s.actor("a.m2")
    for agent in (a1, a2):
        agent.send_signal(signal.SIGHUP)
    await a1.logs("leaving")
    await a2.logs("reload")
    assert a1.alive and a2.alive
    await s.simulator.step("m1", 1)
    await watcher.hear_state("m1", position=1)
    assert a1.alive
    a1.told_to_end = True
    await s.simulator.step("m1", 1)
    await mover.hear("command_completed", machine_id="m1", success=True, position=2)
    assert await a1.ended() == 0, a1.tail()
    await s.agent("m1", name="a.m1b")
    await s.simulator.pace("m1", 1)
    await mover.move("m1", 5)
    await mover.hear("command_completed", machine_id="m1", success=True, position=5)
    assert disconnections(watcher) == [], disconnections(watcher)
    assert s.counter("b1", "disconnected") == 0 and a2.alive
    moved = [f for f in mover.frames if f.type == "command_completed"]
    assert len(moved) == 2, moved


@play("an agent that was told another PLC is not heard until it is started anew", "asan")
async def another_address(s):
    m1, m2, m3 = await cast(s)
    watcher = await s.client("watcher")
    await watcher.subscribe(kind="all_events")
    watcher.history.repeats_allowed = True
    s.machines = [m2, m1]  # simulated machines have their PLCs in the order of the file: each now has the other's
    await reload(s, "b1")
    await s.counts("b1", "hellos_elsewhere", 2)
    mark = watcher.mark()
    await s.simulator.place("m1", 9)
    await s.simulator.place("m2", 4)
    for machine_id in ("m1", "m2"):
        s.actor(f"a.{machine_id}").send_signal(signal.SIGHUP)
        s.actor(f"a.{machine_id}").told_to_end = True
        assert await s.actor(f"a.{machine_id}").ended() == 0
    assert [state for machine in ("m1", "m2") for state in watcher.states(machine, mark) if state["position"] in (9, 4)] == []
    for machine_id in ("m1", "m2"):
        await s.agent(machine_id, name=f"a.{machine_id}b")
    await watcher.sees("m1", connection_status="connected", position=4)
    await watcher.sees("m2", connection_status="connected", position=9)
    assert events(watcher) == []


@play("a broker killed while it takes another configuration over: the next one tells what is missing, nobody is dropped", "asan", "fault")
async def killed_in_it(s):
    m1, m2, m3 = await cast(s)
    watcher = await s.client("watcher")
    await watcher.subscribe(kind="all_events")
    watcher.history.repeats_allowed = True
    broker, expected, there = s.actor("b1"), [], False
    for point in ("broker.reload.taken", "broker.machine.leaving", "broker.machine.removed", "broker.machine.put",
                  "broker.slot.odd", "broker.published", "broker.reload.told"):
        for renamed in (False, True):
            await watcher.sees("m2", connection_status="connected")  # nothing is on its way that would pass the point before
            await broker.kill()
            await broker.start(NORIA_FAULT=point)
            name = f"{point} {renamed}"
            s.machines = [m1, {**m2, "name": name}] + ([m3] if not there else [])
            s.write_conf()
            broker.told_to_end = True
            broker.send_signal(signal.SIGHUP)
            code = await broker.ended()
            assert code == -signal.SIGKILL, (point, code)
            await broker.start()
            expected += [("machine_removed", "m3", "Carrusel m3")] if there else [("machine_added", "m3", "Carrusel m3")]
            there = not there
            await watcher.hear("machine_added", machine_id="m2", test=lambda f, n=name: f["machine"]["name"] == n)
            await until("m3 to be told of", lambda: [e for e in events(watcher) if e[1] == "m3"] == expected)
            assert [e[2] for e in events(watcher) if e[1] == "m2" and e[0] == "machine_added"][-1] == name
    comings = [e for e in events(watcher) if e[1] == "m2"]
    assert comings[0][0] == "machine_removed" and all(a[0] != b[0] for a, b in zip(comings, comings[1:])), comings
    assert len(comings) == 28 and watcher.connected


@play("SIGHUP in the middle of a start: broker and agent obey when they have started", "asan")
async def while_starting(s):
    s.machine("m1")
    await s.sim()
    for name, program, options in (("b1", "noria-broker", ()), ("a.m1", "plc-agent", ("-m", "m1"))):
        actor = await s.cast(name, program, *options, ready=False).start()
        await until(f"{name} to be about to listen", lambda: actor.holds(signal.SIGHUP) or actor.catches(signal.SIGHUP))
        actor.send_signal(signal.SIGHUP)
        await actor.logs(" reload")
    await s.worker("w1")
    await s.all_connected()
