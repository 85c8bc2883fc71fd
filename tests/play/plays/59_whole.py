"""The day of somebody who runs it, in the order of deploy/RUNBOOK.md: start, look, watch, add a machine, restart, scale, a crash and its record, a copy of
the database, stop. Nothing is left but what is kept on purpose."""
import asyncio
import json
import os
import signal
import sqlite3
from contextlib import closing

from stagecraft.httpclient import get, http_listener
from stagecraft.installation import Installation, kill_pid, sanitized
from stagecraft.process import children_of_this_process
from stagecraft.registry import play
from stagecraft.scripts import AT_REST
from stagecraft.stage import BIN
from stagecraft.wait import until

CONNECTED = {"connection_status": "connected"}


async def watched(s, house, *machines):
    """`noria watch`, of which the play reads the lines."""
    actor = s.cast_argv("watch", [BIN / "noria", "watch", *machines, "--json", "-c", s.conf], ready=False)
    return await actor.start()


async def looks(house):
    """Both forms of `noria status` agree, and with what the launcher shows."""
    code, text, err = await house.tool("status")
    assert code == 0, f"{code}: {text}{err}"
    told = json.loads(await house.told("status", "--json"))
    names = [process["name"] for process in told["processes"]]
    assert {name for name in names if name != "launcher"} == set(house.names()), (names, house.names())
    for process in told["processes"]:
        assert process["name"] in text, text
        assert process["name"] == "launcher" or process["pid"] == house.pid(process["name"]), process
    return told


async def crash(s, house, client):
    """A process dies by a fault of its own: it is back at once, and its record says who, how and what it said last."""
    old = house.pid("agent.m1")
    kill_pid(old, signal.SIGKILL if sanitized() else signal.SIGSEGV)
    await house.ready("agent.m1", but=old)
    await client.sees("m1", **CONNECTED)
    records = await until("a crash record", lambda: sorted((s.state / "crashes").glob("*.txt")), within=10)
    assert len(records) == 1 and f"-agent.m1-{old}.txt" in records[0].name, records
    text = records[0].read_text()
    for word in ("agent.m1", str(old), "command-written"):
        assert word in text, f"{word} is not in the record:\n{text}"
    assert house.there("agent.m1").deaths == 1


async def scale(s, house):
    """More workers: a start of its own."""
    s.set("workers", count=3)
    accepted, said = await house.reload()
    assert not accepted and "workers.count" in said and "takes a restart" in said, said
    await house.launcher.stop(signal.SIGINT, within=15)
    await house.launcher.start(within=20)
    assert len(house.pids("worker.")) == 3, house.names()


async def served_by_all(s, house):
    """Clients land on every worker."""
    clients = []
    async def another():
        clients.append(await s.client(f"spread{len(clients)}"))
        return {house.serving(c.local_port) for c in clients} >= set(house.pids("worker."))
    await until("somebody on each worker", another, within=15)
    for client in clients:
        await client.close()
        del s.clients[client.name]


@play("the operator's day: up, status, watch, reload, drain, rolling restart, crash, scale, backup, stop; nothing is left", within=180)
async def the_day(s):
    s.channels_listener()
    s.set("workers", drain_ms=500)
    port = http_listener(s, dialects=("ops",))
    house = await Installation(s).up("m1", "m2")
    client = await s.client("c1")
    await client.subscribe(kind="all_events")
    client.history.repeats_allowed = True
    for machine in ("m1", "m2"):
        await client.sees(machine, within=10, **CONNECTED)
    await looks(house)
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await get(port, path)).status == 200, path

    watch = await watched(s, house, "m1")
    await watch.logs('"m1"', within=10)
    await client.move("m1", 5)
    await client.hear("command_completed", success=True, position=5)
    await watch.logs("command_completed", within=10)

    s.machine("m3")
    accepted, said = await house.reload()
    assert accepted and "m3" in said, said
    await client.hear("machine_added", machine_id="m3")
    await client.sees("m3", within=10, position=0, raw_status=AT_REST, **CONNECTED)
    assert "agent.m3" in house.names() and client.connected
    await looks(house)

    old = house.pids("worker.")
    await house.told("drain", "worker.0")
    await house.ready("worker.0", but=old["worker.0"])
    await house.told("restart", "workers")
    assert not set(house.pids("worker.").values()) & set(old.values())
    assert await client.closed() == 1012
    since, client = client.last_seq, await s.client("c2")
    client.history.repeats_allowed = True
    await client.resume(since)
    await client.move("m3", 7)
    await client.hear("command_completed", success=True, position=7)

    await crash(s, house, client)
    await looks(house)
    row = await s.api().create("sensor", tipo="temperatura", modelo="DHT22")
    await house.told("backup", s.dir / "copy.db")
    with closing(sqlite3.connect(s.dir / "copy.db")) as copy:
        assert copy.execute("SELECT id, modelo FROM sensors").fetchall() == [(row.id, "DHT22")]
    watch.send_signal(signal.SIGINT)
    watch.told_to_end = True
    await watch.ended()
    await scale(s, house)
    assert await client.closed() == 1001
    await served_by_all(s, house)

    launched = set(house.pids().values())
    await house.launcher.stop(signal.SIGINT, within=15)
    assert not children_of_this_process() and not any(os.path.exists(f"/proc/{pid}") for pid in launched)
    assert not s.runtime.exists() or not list(s.runtime.rglob("*")), f"left behind: {list(s.runtime.rglob('*'))}"
    code, text, err = await house.tool("status")
    assert code == 1, f"status of nothing: {code} {text}{err}"
