"""A reload of the whole installation: machines, profiles and limits come, change and go under `noria up`, and clients hear of what they should hear of and
of nothing else. All processes take a configuration over, or none does; and what dies comes back with what is in force."""
import asyncio
import json
import os
import re
import signal

from stagecraft.installation import Installation
from stagecraft.registry import play
from stagecraft.segment import Segment
from stagecraft.wait import settle, until

EVENTS = ("machine_added", "machine_removed")


def profile(text):
    return {"name": "mine", "bits": [
        {"bit": 0, "key": "RUN", "zero": {"text": text, "meaning": "stopped"}, "one": {"text": "Moving", "meaning": "moving"}}]}


async def listener(s, name="c1"):
    """A client that hears all there is."""
    client = await s.client(name)
    await client.subscribe()
    await client.subscribe(kind="all_events")
    return client


def events(client):
    return [(f["type"], next((f[k] for k in ("machine_id", "id") if k in f), f.get("machine", {}).get("id"))) for f in client.frames
            if f["type"] in EVENTS]


def processes(house, *but):
    return {name: pid for name, pid in house.pids().items() if name not in but}


async def accepted(house, *lines):
    took, said = await house.reload()
    assert took, said
    for line in lines:
        assert line in said.splitlines(), f"no line {line!r} in\n{said}"
    return said


async def refused(house, *lines):
    took, said = await house.reload()
    assert not took, said
    for line in lines:
        assert line in said, f"{line!r} is not in\n{said}"
    return said


async def broken(house, *lines):
    """What the launcher itself says of a file that `noria reload` would not even ask it about."""
    said = await house.ask("reload")
    assert said[-1].startswith("error: ") and said[-1].endswith("; nothing has changed"), said
    for line in lines:
        assert any(line in one for one in said), f"{line!r} is not in {said}"
    code, out, err = await house.tool("reload")
    assert code != 0 and all(line in out + err for line in lines), (code, out, err)


@play("a machine that comes is announced, connects and moves; nobody else notices", "asan")
async def added(s):
    house = await Installation(s).up("m1")
    client = await listener(s)
    await client.sees("m1", connection_status="connected")
    before = processes(house)
    s.machine("m2")
    await accepted(house, "machines[m2]: added")
    await client.hear("machine_added")
    await client.sees("m2", connection_status="connected", within=10)
    await client.move("m2", 3)
    await client.sees("m2", position=3)
    assert processes(house, "agent.m2") == before, (before, processes(house))
    assert [kind for kind, _ in events(client)] == ["machine_added"], events(client)
    later = await s.client("c2")
    assert sorted((await later.subscribe())["status"]) == ["m1", "m2"]
    assert (await s.simulator.tell("counts m1"))["connections"] == "1"


@play("a machine that goes is announced; its agent ends by plan, the others' connections go on", "asan")
async def removed(s):
    house = await Installation(s).up("m1", "m2", "m3")
    client = await listener(s)
    for machine in ("m1", "m2", "m3"):
        await client.sees(machine, connection_status="connected")
    before = processes(house, "agent.m3")
    s.machines.pop()
    await accepted(house, "machines[m3]: removed")
    await client.hear("machine_removed")
    await until("the agent to be gone", lambda: "agent.m3" not in house.names())
    await client.move("m1", 4)
    await client.sees("m1", position=4)
    assert processes(house) == before and not house.deaths()
    assert events(client) and {kind for kind, _ in events(client)} == {"machine_removed"}, events(client)
    later = await s.client("c2")
    assert sorted((await later.subscribe())["status"]) == ["m1", "m2"]
    for machine in ("m1", "m2"):
        assert (await s.simulator.tell(f"counts {machine}"))["connections"] == "1"


@play("of machines that change, those agents are started anew that would notice; no client is told of a machine that came or went", "asan")
async def changed(s):
    house = await Installation(s).up("m1", "m2")
    client = await listener(s)
    before = processes(house)
    s.machines[0]["poll_interval_ms"] = 30
    await accepted(house, "machines[m1].poll_interval_ms: 20 → 30")
    await house.ready("agent.m1", but=before["agent.m1"])
    await client.sees("m1", connection_status="connected", within=10)
    assert processes(house, "agent.m1") == {name: pid for name, pid in before.items() if name != "agent.m1"}
    assert events(client) == [] and not house.deaths()
    await client.move("m1", 2)
    await client.sees("m1", position=2)


@play("the first simulated machine goes, and the others' simulators move to the ports before theirs", "asan")
async def ports_move(s):
    house = await Installation(s).up("m1", "m2", "m3")
    client = await listener(s)
    await client.move("m3", 5)
    await client.sees("m3", position=5)
    s.machines.pop(0)
    said = await accepted(house, "machines[m1]: removed")
    assert f"machines[m2].simulator: at port {s.sim_base + 1} → at port {s.sim_base}" in said, said
    await client.hear("machine_removed")
    since = len(client.frames)
    await house.all_ready()
    for machine in ("m2", "m3"):
        await client.sees(machine, connection_status="connected", within=10)
    await client.move("m3", 7)
    await client.sees("m3", position=7, within=10)
    assert all(state["position"] not in (0,) for state in client.states("m3", since) if state["position"] is not None)


@play("a profile that changes is read in its new words, in states of machines that stand still, too", "asan")
async def profiles(s):
    s.set(profiles=[profile("Standing")])
    s.machine("m1", profile="mine")
    house = await Installation(s).up("m2")
    client = await listener(s)
    await client.sees("m1", connection_status="connected", status={"RUN": "Standing"})
    before = processes(house)
    s.set(profiles=[{**profile("Resting"), "version": 2}])
    await accepted(house, "profiles[mine].version: 1 → 2", "profiles[mine].bits: changed",
                   "machines[m1].profile: mine version 1 → mine version 2")
    await client.sees("m1", connection_status="connected", status={"RUN": "Resting"}, within=10)
    assert processes(house, "agent.m1") == {name: pid for name, pid in before.items() if name != "agent.m1"}
    await client.move("m1", 3)
    await client.sees("m1", position=3)


@play("limits hold from then on, for clients that are there, and a client that keeps to them is not dropped", "asan")
async def limits(s):
    s.channels_listener()
    house = await Installation(s).up("m1")
    client, large = await listener(s), await s.client("large")
    before = processes(house)
    s.set("websocket", max_message_bytes=400)
    s.set("store", keep_days=7)
    s.set("log", level="debug")
    await accepted(house, "websocket.max_message_bytes: 65536 → 400", "store.keep_days: 400 → 7", "log.level: info → debug")
    await large.say(type="ping", padding="x" * 500)
    assert await large.closed() == 1009
    await client.ping()
    assert processes(house) == before


@play("machines_from: the other file is read anew, too", "asan")
async def other_file(s):
    other = s.dir / "plcs.json"

    def plcs(*ids):
        other.write_text(json.dumps({"plc_machines": [
            {"id": machine, "ip": "10.0.0.1", "port": 3200, "simulator": True} for machine in ids]}))
    plcs("s1")
    s.set(machines_from="plcs.json")
    house = await Installation(s).up("m1")
    client = await listener(s)
    plcs("s1", "s2")
    await accepted(house, "machines[s2]: added")
    await client.sees("s2", connection_status="connected", within=10)
    other.write_text("{ broken")
    await broken(house, "plcs.json:1: is not JSON")
    pid = house.kill("worker.0")
    await house.ready("worker.0", but=pid)
    plcs("s1")
    await accepted(house, "machines[s2]: removed")
    await client.hear("machine_removed") if client.connected else None
    await until("the agent to be gone", lambda: "agent.s2" not in house.names())


@play("plc-sim starts with the first simulated machine, and ends with the last", "asan")
async def simulator_comes_and_goes(s):
    s.machine("far", simulator=False, ip="127.0.0.1", port=s.ports.take())
    house = await Installation(s).up()
    assert "plc-sim" not in house.names()
    client = await listener(s)
    s.machine("m1")
    await accepted(house, "machines[m1]: added")
    await client.sees("m1", connection_status="connected", within=10)
    await house.ready("plc-sim")
    s.machines.pop()
    await accepted(house, "machines[m1]: removed")
    await until("plc-sim to be gone", lambda: "plc-sim" not in house.names())
    assert not house.deaths() and client.connected


@play("SIGHUP to the launcher does the same; a second one meanwhile is not lost", "asan")
async def hangup(s):
    house = await Installation(s).up("m1")
    client = await listener(s)
    s.machine("m2")
    s.write_conf()
    house.launcher.send_signal(signal.SIGHUP)
    await client.hear("machine_added", within=10)
    s.machine("m3")
    s.write_conf()
    house.launcher.send_signal(signal.SIGHUP)
    s.machine("m4")
    s.write_conf()
    house.launcher.send_signal(signal.SIGHUP)
    await client.sees("m4", connection_status="connected", within=15)
    assert [kind for kind, _ in events(client)] == ["machine_added"] * 3, events(client)


@play("noria reload --dry-run says what would change, and changes nothing", "asan")
async def dry_run(s):
    house = await Installation(s).up("m1")
    client = await listener(s)
    before = processes(house)
    s.machine("m2")
    s.write_conf()
    code, out, err = await house.tool("reload", "--dry-run")
    assert code == 0 and "machines[m2]: added" in out + err, (code, out, err)
    s.set("ring", size_mib=2)
    s.write_conf()
    code, out, err = await house.tool("reload", "--dry-run")
    assert code == 1 and "ring.size_mib: 16 → 2: takes a restart" in out + err, (code, out, err)
    await client.ping()
    assert processes(house) == before and events(client) == []


@play("what takes a restart, a broken file, a broken schema, a simulator's port that is taken: refused with words, and nothing has changed", "asan")
async def refusals(s):
    s.endpoints_listener()
    s.handler("echo", by_socket=True)
    s.endpoint("/echo", "echo", schema={"type": "object"})
    house = await Installation(s).up("m1")
    client = await listener(s)
    before, good = processes(house), s.conf.read_text()

    s.machine("m2")
    s.set("ring", size_mib=2)
    s.set("workers", count=3)
    s.listeners[0]["name"] = "other"
    await refused(house, "machines[m2]: added", "ring.size_mib: 16 → 2: takes a restart", "workers.count: 2 → 3: takes a restart",
                  "listeners[0].name: carousel → other: takes a restart", "and 2 more: takes a restart; nothing has changed")

    s.conf.write_text(good.replace('"info"', '"loud"') + "nonsense: 1\n")
    await broken(house, "log.level: loud is not one of", "nonsense: is an unknown key")

    s.conf.write_text(good)
    (s.dir / "schema.0.json").write_text("{ broken")
    code, out, err = await house.tool("reload")
    assert code == 1 and "a schema or a key cannot be used" in out + err, (out, err)
    (s.dir / "schema.0.json").write_text('{"type": "object"}')

    blocker = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", s.sim_base + 1)
    s.conf.write_text(good + "  - " + json.dumps({"id": "m2", "ip": "10.0.0.1", "simulator": True}) + "\n")
    code, out, err = await house.tool("reload")
    assert code == 1 and re.search(rf"plc-sim: simulator of m2: 127.0.0.1 port {s.sim_base + 1}: Address already in use", out + err), (out, err)
    blocker.close()
    await blocker.wait_closed()

    await client.ping()
    assert processes(house) == before and events(client) == [] and not house.deaths()
    code, out, err = await house.tool("reload")
    assert code == 0, (out, err)
    await client.hear("machine_added")


@play("a broken file is refused, and then every process is killed: each comes back with what is in force", "asan", within=90)
async def kills_after_a_refusal(s):
    s.channels_listener()
    house = await Installation(s).up("m1")
    s.machine("m2")
    s.set("websocket", max_message_bytes=5000)
    await accepted(house)
    await house.all_ready()
    s.conf.write_text("this: [is no configuration")
    await broken(house, "is not YAML")
    for name in house.names():
        await house.ready(name, but=house.kill(name))
    await house.all_ready()
    client = await listener(s, "c2")
    for machine in ("m1", "m2"):
        await client.sees(machine, connection_status="connected", within=15)
    await client.say(type="ping", padding="x" * 6000)
    assert await client.closed() == 1009


async def stopped(house, name):
    pid = house.kill(name, signal.SIGSTOP)
    assert pid
    return pid


@play("a process that is killed while all are asked: refused, nothing has changed, and the next reload goes through", "asan", within=90)
async def killed_meanwhile(s):
    s.channels_listener()
    house = await Installation(s).up("m1")
    s.machine("m2")
    s.write_conf()
    for name in ("broker", "store", "worker.1", "plc-sim"):
        pid = await stopped(house, name)
        asking = asyncio.ensure_future(house.ask("reload"))
        next_copy = s.runtime / "conf" / "next"
        await until("the others to be asked", next_copy.exists)
        os.kill(pid, signal.SIGKILL)
        lines = await settle("the refusal", asking, 20)
        assert lines[-1] == f"error: {name} has ended meanwhile; nothing has changed", lines
        assert not next_copy.exists()
        await house.ready(name, but=pid)
        assert "agent.m2" not in house.names()
    client = await listener(s)
    await accepted(house, "machines[m2]: added")
    await client.hear("machine_added")


@play("the launcher is killed while all are asked: all stop, and the next one starts with the file", "asan", within=90)
async def launcher_killed(s):
    house = await Installation(s).up("m1")
    s.machine("m2")
    s.write_conf()
    pid = await stopped(house, "worker.0")
    asking = asyncio.ensure_future(house.ask("reload"))
    await until("the others to be asked", (s.runtime / "conf" / "next").exists)
    await house.launcher.kill()
    os.kill(pid, signal.SIGCONT)
    try:
        await asking
    except (AssertionError, OSError):
        pass
    again = await Installation(s).up()
    client = await listener(s)
    await client.sees("m2", connection_status="connected", within=15)
    assert not (s.runtime / "conf" / "next").exists()
    assert "agent.m2" in again.names()


async def all_die(s, point):
    s.channels_listener()
    house = await Installation(s).up("m1", NORIA_FAULT=point)
    pids = {name: house.pid(name) for name in ("broker", "store", "worker.0", "worker.1", "plc-sim")}
    s.machine("m2")
    took, said = await house.reload()
    dead = [name for name, pid in pids.items() if house.pid(name) != pid or house.there(name).deaths]
    assert dead, f"nobody died at {point}: {said}"
    for name in dead:
        await house.ready(name, but=pids[name])
    await house.all_ready()
    assert ("agent.m2" in house.names()) == took, (took, house.names())
    client = await listener(s)
    assert sorted(client.state(m)["connection_status"] and m for m in client.history.state) == ["m1", "m2"][:1 + took]
    await client.sees("m2" if took else "m1", connection_status="connected", within=15)
    digests = lambda: {Segment(house.shm / name).metrics()["conf_digest"] for name in ("broker", "worker.0", "worker.1", "store")}  # noqa: E731
    await until("every process to show what is in force", lambda: 0 not in digests())
    assert len(digests()) == 1, digests()
    return took, said


@play("all who are asked die before they answer: refused, and all is as it was", "asan", "fault", within=90)
async def die_reading(s):
    took, said = await all_die(s, "reload.read")
    assert not took and "has ended meanwhile; nothing has changed" in said, said


@play("all die when they have said that they are prepared: all is in force, or nothing, as was said", "asan", "fault", within=90)
async def die_prepared(s):
    await all_die(s, "reload.prepared")


@play("all die when it is in force: they come back with it", "asan", "fault", within=90)
async def die_committed(s):
    took, said = await all_die(s, "reload.committed")
    assert took, said


async def launcher_dies(s, point):
    house = await Installation(s).up("m1", NORIA_FAULT=point)
    house.launcher.told_to_end = True
    s.machine("m2")
    s.write_conf()
    try:
        await house.ask("reload")
    except (AssertionError, OSError):
        pass
    await house.launcher.ended()
    s.machine("m3")
    again = await Installation(s).up()
    client = await listener(s)
    await client.sees("m3", connection_status="connected", within=15)
    assert {"agent.m1", "agent.m2", "agent.m3"} <= set(again.names())
    assert sorted(path.name for path in (s.runtime / "conf").iterdir()) == ["current"]


@play("the launcher dies while the next configuration is written", "asan", "fault", within=90)
async def launcher_dies_writing(s):
    await launcher_dies(s, "conf.copy.written:2")


@play("the launcher dies when the next configuration is in place, and nobody has been told", "asan", "fault", within=90)
async def launcher_dies_committing(s):
    await launcher_dies(s, "conf.copy.exchanged:3")


@play("forty reloads leave no descriptor behind, and no process was started anew but the agents", "asan", within=120)
async def many(s):
    house = await Installation(s).up("m1")
    client = await listener(s)
    await client.sees("m1", connection_status="connected")
    await until("the broker to keep the agent's figures", lambda: "agent.0" in s.counters.all())
    before, held = processes(house), house.holdings("broker", "worker.0", "worker.1", "plc-sim")
    for n in range(20):
        s.machine("m2")
        await accepted(house)
        s.machines.pop()
        await accepted(house)
    await until("the agent to be gone", lambda: "agent.m2" not in house.names())
    assert processes(house) == before
    await client.ping()
    assert [kind for kind, _ in events(client)] == ["machine_added", "machine_removed"] * 20
    await until(f"the descriptors to be {held}", lambda: house.holdings("broker", "worker.0", "worker.1", "plc-sim") == held)


@play("without a launcher: SIGHUP to plc-sim and to the store", "asan")
async def alone(s):
    await s.channels_house("w1", machines=["m1"])
    s.machine("m2")
    s.set("store", keep_days=7)
    s.write_conf()
    sim, store = s.simulator.actor, s.actor("s1")
    reloads = s.counter("s1", "reloads")
    store.send_signal(signal.SIGHUP)
    await s.counts("s1", "reloads", reloads + 1)
    sim.send_signal(signal.SIGHUP)

    await sim.logs("sim-machine-added", "machine=m2")
    assert "m2" in await s.simulator.tell("list")
    assert (await s.simulator.tell("counts m1"))["connections"] == "1"
    s.conf.write_text("broken: [")
    store.send_signal(signal.SIGHUP)
    await store.logs("reload-refused", "nothing has changed")
    assert s.counter("s1", "reloads") == reloads + 1
    s.machines.pop()
    s.write_conf()
    sim.send_signal(signal.SIGHUP)
    await sim.logs("sim-machine-removed", "machine=m2")
