"""Machines that come and go: a broker restarted with another configuration tells who follows events, and everybody agrees."""
from stagecraft.registry import play


def events(client, since=0):
    """(type, machine_id, name) of the machine events heard, in order."""
    return [(f.type, f["machine_id"], f["machine"]["name"]) for f in client.frames[since:]
            if f.type in ("machine_added", "machine_removed")]


async def configured(s, *machines):
    """The broker is killed and comes back to another configuration."""
    s.machines = list(machines)
    s.write_conf()
    await s.actor("b1").kill()
    await s.actor("b1").start()


async def listed(client):
    await client.say(type="get_machines")
    return {m["id"]: m["name"] for m in (await client.hear("machines"))["machines"]}


async def cast(s):
    """Three simulated machines, of which the house knows two."""
    for machine_id in ("m1", "m2", "m3"):
        s.machine(machine_id)
    m1, m2, m3 = s.machines
    await s.sim()
    s.machines = [m1, m2]
    s.write_conf()
    await s.broker()
    for name in ("w1", "w2"):
        await s.worker(name)
    for machine_id in ("m1", "m2"):
        await s.agent(machine_id)
    await s.all_connected()
    return m1, m2, m3


@play("another configuration: added and removed are told, in order, and every list agrees", "asan")
async def another_configuration(s):
    m1, m2, m3 = await cast(s)
    watcher, other = await s.client("watcher", on="w1"), await s.client("other", on="w2")
    only_m1, results = await s.client("only_m1", on="w2"), await s.client("results", on="w1")
    leaver = await s.client("leaver", on="w1")
    for client in (watcher, other, leaver):
        await client.subscribe(kind="all_events")
    await only_m1.subscribe("m1", kind="all_events")
    await results.subscribe(kind="command_results")
    for client in (watcher, other, only_m1, results):
        client.history.repeats_allowed = True
    since = leaver.last_seq
    await leaver.close()

    await configured(s, m1, {**m2, "name": "Renamed"}, m3)
    told = [("machine_removed", "m2", "Carrusel m2"), ("machine_added", "m2", "Renamed"),
            ("machine_added", "m3", "Carrusel m3")]
    for client in (watcher, other):
        added = await client.hear("machine_added", machine_id="m3")
        assert added["machine"] == {"id": "m3", "name": "Carrusel m3", "ip": "192.168.1.50", "port": 3200,
                                    "type": "Simulator"}, added.text
        await client.sees("m3", connection_status="disconnected", position=None)
        assert events(client) == told, events(client)
    await s.agent("m3")
    for client in (watcher, other):
        await client.sees("m3", connection_status="connected", position=0)
        await client.sees("m2", connection_status="connected", position=0)
    for worker in ("w1", "w2"):
        late = await s.client(f"late.{worker}", on=worker)
        welcomed = {m["id"]: m["name"] for m in late.frames[0]["machines"]}
        assert welcomed == await listed(late) == {"m1": "Carrusel m1", "m2": "Renamed", "m3": "Carrusel m3"}
        assert set((await late.subscribe())["status"]) == {"m1", "m2", "m3"}
    back = await s.client("back", on="w2")
    resumed = await back.resume(since)
    assert not resumed.gap and [(f.type, f["machine_id"], f["machine"]["name"]) for f in resumed.missed
                                if f.type != "alarm"] == told, [f.text for f in resumed.frames]
    await watcher.move("m3", 4)
    await watcher.hear("command_completed", machine_id="m3", success=True, position=4)
    await results.hear("command_completed", machine_id="m3")

    mark = watcher.mark()
    for machine_id in ("m2", "m3"):
        await s.actor(f"a.{machine_id}").stop()
    await configured(s, m1)
    for client in (watcher, other):
        await client.hear("machine_removed", machine_id="m3")
        assert sorted(events(client, mark if client is watcher else 0))[-2:] == [
            ("machine_removed", "m2", "Renamed"), ("machine_removed", "m3", "Carrusel m3")]
    await watcher.move("m3", 5)
    await watcher.hear("error", code="MACHINE_NOT_FOUND")
    assert await listed(watcher) == await listed(other) == {"m1": "Carrusel m1"}
    fresh = await s.client("fresh", on="w2")
    await fresh.say(type="subscribe", machine_ids=["m1", "m2"])
    await fresh.hear("error", code="MACHINE_NOT_FOUND")
    assert set((await fresh.subscribe())["status"]) == {"m1"}
    for client in (only_m1, results):
        await client.ping()
        assert events(client) == [], f"{client.name} heard {events(client)}"
        assert client.connected


@play("restarted and killed with the same configuration: no machine comes or goes")
async def same_configuration(s):
    m1, m2, _ = await cast(s)
    watcher = await s.client("watcher", on="w1")
    await watcher.subscribe(kind="all_events")
    watcher.history.repeats_allowed = True
    for _ in range(3):
        await configured(s, m1, m2)
    await s.simulator.place("m2", 9)
    await watcher.hear_state("m2", position=9)
    assert events(watcher) == [], events(watcher)
