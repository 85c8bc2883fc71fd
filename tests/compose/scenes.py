"""scenes.py: what is done with the installation, in order; each scene leaves it healthy for the next.

A scene that fails is told with its traceback, the state of all containers and the end of their logs; the others go on, unless nothing can without
it (`needed`). At the end stand the figures that were measured on the way.
"""
import asyncio
import json
import os
import re
import subprocess
import traceback
from pathlib import Path

import image
from engine import Engine, docker, output
from house import CONFIGURATION, House
from stagecraft.wait import now, until

ROOT = Path(__file__).resolve().parents[2]
SERVICES = {"agent-machine_1": 1, "agent-machine_2": 1, "broker": 1, "front": 1, "plc-sim": 1, "store": 1, "worker": 2}
SIZE_MB = 120
found = []


def scene(title, needed=False):
    def declare(act):
        found.append((act.__name__, title, act, needed))
        return act
    return declare


# --- the image -----------------------------------------------------------------------------------------------------------


@scene("the image is built; at most 120 MB, stripped programs, all libraries, nobody's root", needed=True)
async def built(h):
    await h.engine.start(network=h.network)
    await image.bring_base(h.base)
    begin = now()
    await image.build(h.directory.parent, h.programs)
    h.measured("building the image", now() - begin)
    await h.engine.stop()
    await h.engine.start()
    size = await image.size_mb()
    h.figures.append(("size of the image, MB", size))
    assert size <= SIZE_MB, f"{size:.1f} MB"
    told = json.loads(await output("image", "inspect", "noria"))[0]["Config"]
    assert told["User"] == "10001:10001", told["User"]
    versions = await output("run", "--rm", "--network", "none", "noria", "sh", "-c",
                            "for p in noria-broker noria-store noria-worker plc-agent plc-sim; do $p --version; done; noria --version; id -u")
    assert versions.split()[-1] == "10001" and len(versions.splitlines()) == 7, versions


@scene("deploy/compose.yaml is what `noria compose` writes", needed=True)
async def written(h):
    done = await docker("run", "--rm", "--network", "none", "-w", "/work", "-v", f"{ROOT}/deploy:/work/deploy:ro", "noria",
                        "noria", "compose", "-c", f"deploy/conf/{CONFIGURATION}", "--conf-dir", "./conf")
    assert done.stdout == (ROOT / "deploy/compose.yaml").read_text(), "it is not; made anew:\n" + done.stdout


# --- up --------------------------------------------------------------------------------------------------------------------


@scene("up: every container becomes healthy, and a client sees a carousel move", needed=True)
async def up(h):
    h.furnish()
    h.mounts_before = mounts()
    begin = now()
    await h.compose("up", "-d")
    h.measured("docker-compose up -d", now() - begin)
    containers = await h.healthy(sum(SERVICES.values()))
    h.measured("until all are healthy", now() - begin)
    assert {c.service for c in containers} == set(SERVICES)
    c1 = await h.client("c1")
    await c1.subscribe(kind="all_events")
    await c1.move("machine_1", 3)
    await c1.sees("machine_1", position=3)
    await c1.hear("command_completed", success=True, machine_id="machine_1", within=10)
    sim = await h.simulator()
    assert sim.truth.moves("machine_1") == [3]
    await h.leave()


@scene("inside: uid 10001, read-only root, no capability, no new privileges, limits; agents see bus/ alone; broker, store and workers have no network")
async def confined(h):
    for container in await h.containers():
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{container.pid}/status").read_text().splitlines() if ":\t" in line)
        name = container.told["Name"]
        assert status["Uid"].split() == ["10001"] * 4 and status["Gid"].split() == ["10001"] * 4, name
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[kind], 16) == 0, f"{name} {kind} {status[kind]}"
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", name
        host = container.told["HostConfig"]
        assert host["ReadonlyRootfs"] and host["Memory"] > 0 and host["PidsLimit"] > 0 and not host["Privileged"], name
        tried = await h.inside(container, "sh", "-c", "for f in / /usr /etc/noria; do touch $f/x 2>/dev/null && echo wrote $f; done;"
                               "ls -A /run/noria/shm | wc -l; ls -A /run/noria/front | wc -l; cat /proc/net/dev")
        assert "wrote" not in tried.stdout, f"{name}: {tried.stdout}"
        count, front_count, *rest = tried.stdout.splitlines()
        sees_shm = container.service in ("broker", "store", "worker")
        assert (int(count) > 0) == sees_shm, f"{name} sees {count} files in shm/"
        assert (int(front_count) > 0) == (container.service in ("front", "worker")), f"{name} sees {front_count} files in front/"
        interfaces = {line.split(":")[0].strip() for line in rest if ":" in line}
        assert (interfaces == {"lo"}) == (container.service in ("broker", "store", "worker")), f"{name}: {interfaces}"


# --- scaling ---------------------------------------------------------------------------------------------------------------


@scene("scaled to three workers: clients land on all of them, each on one")
async def scaled(h):
    begin = now()
    await h.compose("up", "-d", "--no-recreate", "--scale", "worker=3")
    await h.healthy(sum(SERVICES.values()) + 1)
    h.measured("scaling to three workers", now() - begin)
    await asyncio.gather(*(h.client(f"c{n}") for n in range(30)))
    async def spread():
        counts = {name: value for name, value in (await h.statistics("worker.")).items() if name.endswith(" connections")}
        return counts if sum(counts.values()) == 30 else None
    counts = await until("30 connections to be counted", spread)
    assert len(counts) == 3 and all(counts.values()), counts
    await h.leave()


# --- deaths ----------------------------------------------------------------------------------------------------------------


async def dies(h, victim, *watched, pace=200):
    """A container's process is killed while the watched machines move; they are polled on, and it comes back by itself."""
    others = {c.told["Name"]: c.life for c in await h.containers() if c.service != victim}
    container = await h.container(victim)
    async with h.unbroken(*watched, pace=pace) as sim:
        mover = await h.client("mover")
        await mover.subscribe(kind="status_updates")
        for machine in watched:
            here = int((await sim.get(machine))["position"])
            await mover.move(machine, (here + 14) % 30)
            await mover.sees(machine, position=(here + 1) % 30, within=10)
        begin = now()
        await h.crash(container)
        h.measured(f"{victim} killed, until it is healthy again", now() - begin)
        for machine in watched:
            await sim.wait(machine, "idle", 10)
    await h.healthy(within=30)
    if victim != "front":
        assert {c.told["Name"]: c.life for c in await h.containers() if c.service != victim} == others, "somebody else was started again, too"
    return mover


@scene("the store is killed while machine_2 moves")
async def store_dies(h):
    mover = await dies(h, "store", "machine_2")
    assert mover.connected
    await h.leave()


@scene("a worker is killed while machine_2 moves; its clients are let in at once by the others")
async def worker_dies(h):
    await dies(h, "worker", "machine_2")
    await (await h.client("c1")).subscribe()
    await h.leave()


@scene("each agent is killed while the other's machine moves; its own is told disconnected, and connected again")
async def agents_die(h):
    for mine, other in (("machine_1", "machine_2"), ("machine_2", "machine_1")):
        c1 = await h.client("c1")
        await c1.subscribe()
        await dies(h, f"agent-{mine}", other)
        await c1.hear_state(mine, connection_status="disconnected")
        await c1.hear_state(mine, connection_status="connected", within=10)
        await h.leave()


@scene("the broker is killed while both machines move: no client drops, states go on")
async def broker_dies(h):
    c1 = await h.client("c1")
    await c1.subscribe()
    mover = await dies(h, "broker", "machine_1", "machine_2", pace=100)
    assert mover.connected and c1.connected
    at = [frame.heard_at for frame in c1.heard("status_broadcast")]
    h.measured("longest pause of states around the broker's death; without it 0.10", max(b - a for a, b in zip(at, at[1:])))
    await h.leave()


@scene("front is killed while machine_2 moves: the workers end, have sockets from the next one, and let clients in")
async def front_dies(h):
    begin = now()
    before = {c.life for c in await h.containers("worker")}
    await dies(h, "front", "machine_2")
    assert not before & {c.life for c in await h.containers("worker")}, "a worker outlived front"
    await h.leave()
    client = await h.comes_in("c1")
    h.measured("front killed, until a client is let in again and all are healthy", now() - begin)
    await client.subscribe()
    await h.leave()


@scene("plc-sim is killed: both agents find it again")
async def simulator_dies(h):
    await h.crash(await h.container("plc-sim"))
    c1 = await h.client("c1")
    await c1.subscribe()
    for machine in ("machine_1", "machine_2"):
        await c1.sees(machine, connection_status="connected", position=0, within=40)
    await h.leave()


# --- upgrade, reload, drain ---------------------------------------------------------------------------------------------------


@scene("one agent is upgraded alone, by a tag of its own, while the other machine moves")
async def upgraded(h):
    h.directory.joinpath("next.Dockerfile").write_text("FROM noria\nLABEL noria.next=1\n")
    await docker("build", "-q", "-t", "noria:next", "-f", h.directory / "next.Dockerfile", h.directory)
    others = {c.told["Name"]: c.life for c in await h.containers() if c.service != "agent-machine_1"}
    h.variables["NORIA_IMAGE_MACHINE_1"] = "noria:next"
    async with h.unbroken("machine_2"):
        mover = await h.client("mover")
        await mover.move("machine_2", 20)
        begin = now()
        await h.compose("up", "-d", "--no-deps", "agent-machine_1")
        await until("the new agent to be healthy", lambda: well(h, "agent-machine_1"), 60)
        h.measured("upgrading one agent", now() - begin)
    told = (await h.container("agent-machine_1")).told
    assert told["Config"]["Labels"].get("noria.next") == "1", told["Config"]["Labels"]
    assert {c.told["Name"]: c.life for c in await h.containers() if c.service != "agent-machine_1"} == others
    await h.leave()


async def well(h, service):
    return all([c.well for c in await h.containers(service)])


@scene("reloaded by SIGHUP: a machine more, whose agent `up -d` starts; no client drops, nobody else starts again")
async def reloaded(h):
    c1 = await h.client("c1")
    await c1.subscribe(kind="all_events")
    before = {c.told["Name"]: c.life for c in await h.containers()}
    workers = len(await h.containers("worker"))
    text = h.configuration.read_text()
    machine = "  - {id: machine_3, name: Carrusel Nuevo, ip: 192.168.1.52, port: 3200, simulator: true}\n"
    h.write_configuration(re.sub(r"(\n  - id: machine_2\n(?:    .*\n)+)", r"\1" + machine, text))
    async with h.unbroken("machine_1", "machine_2"):
        await h.compose("kill", "-s", "HUP", "broker", "store", "worker", "plc-sim")
        await c1.hear("machine_added", machine_id="machine_3", within=10)
        new = await h.inside(await h.container("broker"), "noria", "compose", "-c", f"/etc/noria/{CONFIGURATION}", "--conf-dir", "./conf")
        (h.directory / "compose.yaml").write_text(new.stdout)
        await h.compose("up", "-d", "--scale", f"worker={workers}")
        await c1.sees("machine_3", connection_status="connected", within=30)
    assert c1.connected
    containers = await h.healthy(len(before) + 1)
    after = {c.told["Name"]: c.life for c in containers if c.service != "agent-machine_3"}
    assert after == before, "somebody else was started again"
    await c1.move("machine_3", 2)
    await c1.hear("command_completed", success=True, machine_id="machine_3", within=10)
    await h.leave()


@scene("who was sent a SIGHUP is still started again after a crash")
async def restarted_after_hup(h):
    await h.crash(await h.container("broker"))


@scene("workers are upgraded one after the other: newcomers are let in all the time")
async def workers_upgraded(h):
    """The new ones first, beside the old; then the old ones drain."""
    old = await h.containers("worker")
    h.variables["NORIA_IMAGE"] = "noria:next"
    stop, let_in = asyncio.Event(), []
    async def come_and_go():
        while not stop.is_set():
            client = await h.client("newcomer")
            h.clients.remove(client)
            let_in.append(client)
            await client.close()
    knocking = asyncio.ensure_future(come_and_go())
    try:
        await h.compose("up", "-d", "--no-deps", "--no-recreate", "--scale", f"worker={2 * len(old)}", "worker")
        await until("the new workers to be healthy", lambda: well(h, "worker"), 60)
        for container in old:
            await docker("stop", container.id)
            await docker("rm", container.id)
    finally:
        stop.set()
        await knocking
    h.figures.append(("newcomers let in while the workers were exchanged, none refused", len(let_in)))
    new = await h.containers("worker")
    assert len(new) == len(old) and all(c.told["Config"]["Labels"].get("noria.next") == "1" for c in new)
    before = {c.told["Name"]: c.life for c in new}
    await h.compose("up", "-d", "--no-deps", "--scale", f"worker={len(new)}", "worker")
    assert {c.told["Name"]: c.life for c in await h.containers("worker")} == before, "up -d makes them anew"
    del h.variables["NORIA_IMAGE"]


@scene("broker and store are upgraded: no client drops, and what it says next is carried out")
async def broker_upgraded(h):
    c1 = await h.client("c1")
    await c1.subscribe(kind="all_events")
    h.variables["NORIA_IMAGE"] = "noria:next"
    await h.compose("up", "-d", "--no-deps", "broker", "store")
    del h.variables["NORIA_IMAGE"]
    await h.healthy()
    for service in ("broker", "store"):
        assert (await h.container(service)).told["Config"]["Labels"].get("noria.next") == "1", service
    assert c1.connected
    await c1.move("machine_1", 7)
    await c1.hear("command_completed", success=True, machine_id="machine_1", within=15)
    await h.leave()


@scene("docker-compose stop worker: 1012 for every client, spread over workers.drain_ms")
async def drained(h):
    clients = await asyncio.gather(*(h.client(f"c{n}") for n in range(20)))
    ends = []
    async def watch(client):
        code = await client.closed(within=20)
        ends.append((now(), code))
    watching = [asyncio.ensure_future(watch(client)) for client in clients]
    workers = len(await h.containers("worker"))
    begin = now()
    await h.compose("stop", "worker")
    h.measured("docker-compose stop worker, with 20 clients and drain_ms 2000", now() - begin)
    await asyncio.gather(*watching)
    assert {code for _, code in ends} == {1012}, sorted(ends)
    at = [t for t, _ in ends]
    assert max(at) - min(at) > 0.5, f"all within {max(at) - min(at):.2f} s"
    h.clients.clear()
    await h.compose("up", "-d", "--no-recreate", "--scale", f"worker={workers}")
    await h.healthy()
    await (await h.comes_in("c1")).subscribe()
    await h.leave()


@scene("all containers are started in the wrong order, the workers first and front last: they wait, become healthy, and a client sees a carousel move")
async def wrong_order(h):
    containers = await h.containers()
    await docker("stop", *(c.id for c in containers))
    last = ["broker", "front"]
    containers.sort(key=lambda c: (c.service != "worker", last.index(c.service) + 1 if c.service in last else 0))
    assert containers[0].service == "worker" and containers[-1].service == "front"
    await docker("start", *(c.id for c in containers[:-1]))
    await h.says("worker", "front-wait")
    await h.says("broker", " ready ")
    for container in await h.containers("worker"):
        tried = await h.inside(container, "noria", "health", "worker", check=False)
        assert tried.returncode == 1 and "waits" in tried.stderr, tried
    begin = now()
    await docker("start", containers[-1].id)
    await h.healthy()
    h.measured("front started as the last one, until all are healthy", now() - begin)
    await sees_a_move(h)


@scene("the engine is restarted, as with its host: it starts everything again, and nobody else needs to")
async def engine_restarted(h):
    """It starts all containers at once, in no order."""
    count = len(await h.containers())
    await h.engine.stop()
    begin = now()
    await h.engine.start()
    await h.healthy(count, within=90)
    h.measured("the engine started again, until all are healthy", now() - begin)
    await sees_a_move(h)


async def sees_a_move(h):
    c1 = await h.comes_in("c1")
    await c1.subscribe(kind="all_events")
    await c1.sees("machine_1", connection_status="connected", within=20)
    await c1.move("machine_1", 3)
    await c1.sees("machine_1", position=3, within=10)
    await c1.hear("command_completed", success=True, machine_id="machine_1", within=10)
    await h.leave()


# --- down --------------------------------------------------------------------------------------------------------------------


def mounts():
    return sorted(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())


def processes():
    """Command lines of all but the engine's own, this program and what reaped it."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else [b""]
        except OSError:
            continue
        name = Path(words[0].decode(errors="replace")).name
        if name and name not in ("dockerd", "containerd", "tini") and int(entry.name) != os.getpid():
            found.append(" ".join(w.decode(errors="replace") for w in words))
    return found


@scene("down: no container, volume, network, process, mount or namespace is left")
async def down(h):
    await h.leave()
    begin = now()
    await h.compose("down", "-v", "--remove-orphans")
    h.measured("docker-compose down -v", now() - begin)
    assert await output("ps", "-aq") == ""
    assert await output("volume", "ls", "-q") == ""
    assert set((await output("network", "ls", "--format", "{{.Name}}")).split()) == {"bridge", "host", "none"}
    await until("processes to end", lambda: not processes(), 10)
    assert mounts() == h.mounts_before, set(mounts()) ^ set(h.mounts_before)
    spaces = subprocess.run(["/usr/bin/lsns", "-n", "-t", "net", "-o", "NS"], capture_output=True, text=True).stdout.split()
    assert len(spaces) == 1, spaces
    interfaces = {line.split(":")[0].strip() for line in Path("/proc/self/net/dev").read_text().splitlines()[2:]}
    assert interfaces <= {"lo", "docker0"}, interfaces


# --- performing them -----------------------------------------------------------------------------------------------------------


async def troubles(h):
    """State and last words of every container."""
    lines = []
    for container in await h.containers():
        lines.append(f"--- {container.told['Name']}: {json.dumps(container.told['State'])[:900]}")
        done = await docker("logs", "--tail", "15", container.id, check=False)
        lines.append((done.stdout + done.stderr)[-2500:])
    return "\n".join(lines)


async def perform_all(h, words):
    good = bad = 0
    for name, title, act, needed in found:
        if words and not needed and not any(word in f"{name} {title}" for word in words):
            continue
        begin = now()
        try:
            await asyncio.wait_for(act(h), 900 if needed else 180)
        except (Exception, asyncio.TimeoutError):
            bad += 1
            print(f"FAIL {now() - begin:6.1f} s  {name:20} {title}\n{traceback.format_exc()}", flush=True)
            try:
                print(await troubles(h), flush=True)
            except Exception as error:
                print(f"(nothing can be told of the containers: {error})")
            await h.give_up_clients()
            if needed:
                break
            continue
        good += 1
        print(f"ok   {now() - begin:6.1f} s  {name:20} {title}", flush=True)
    return good, bad


async def play(h, words):
    try:
        good, bad = await perform_all(h, words)
    finally:
        await h.engine.stop()
    left = processes()
    if left:
        bad += 1
        print("FAIL the engine left processes: " + " | ".join(left))
    for what, figure in h.figures:
        print(f"     {figure:8.2f}  {what}")
    print(f"{good} passed, {bad} failed", flush=True)
    return 1 if bad or not good else 0


def perform(directory, cgroup, network, programs, words, cache):
    import base_image
    h = House(directory)
    h.engine, h.network, h.programs = Engine(directory, cgroup), network, programs
    h.base = base_image.tarball(cache)
    return asyncio.run(play(h, words))
