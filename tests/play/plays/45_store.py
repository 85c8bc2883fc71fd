"""noria-store as a process: it starts without a broker, holds its file alone, names what is wrong with it, and goes on over brokers that come and
go, a pause, and a disk that takes nothing.
"""
import asyncio
import os
import resource
import sqlite3
import subprocess
from contextlib import closing

from stagecraft.registry import play
from stagecraft.wait import until

PERMANENT = 78


def counter(s, name):
    return s.counters.all().get("store", {}).get(name, 0)


def path(s, suffix=""):
    return s.state / f"store/noria.db{suffix}"


async def all_noted(s):
    """Every event is in the ring, and the database knows."""
    await until("every event to be noted", lambda: counter(s, "event_unpublished") == counter(s, "event_last") + 1)


async def exactly(s, client, rows, entity="sensor"):
    """Each row's creation was heard once, and nothing else was created."""
    for row in rows:
        await until(f"{client.name} to hear of {entity} {row.id}", lambda row=row: client.events(entity_id=row.id, entity_type=entity))
    heard = [f["entity_id"] for f in client.events(entity_type=entity, event_type="created")]
    assert sorted(heard) == sorted(row.id for row in rows), f"heard {heard}"


@play("without a broker the store is ready, and shows its counters; the broker that comes then gets what it has", "asan")
async def alone(s):
    s.machine("m1")
    s.channels_listener()
    s1 = await s.store()
    await until("shm/store", lambda: s.counters.segment("store").exists)
    assert s.counters.segment("store").page()["pid"] == s1.pid
    await s.broker()
    await s.worker("w1")
    await until("the broker to know the store", lambda: s.counter("b1", "stores") == 1)
    sensor = await s.api().create("sensor", tipo="temperatura", modelo="DHT22")
    assert sensor.id == 1
    await all_noted(s)
    s.actor("s1").told_to_end = True
    await s1.stop()
    assert not s.counters.segment("store").exists
    assert s.database.count("sensors") == 1
    s.database.is_sound()


@play("a second store on the same file is refused, for good, and the first goes on", "asan")
async def second(s):
    await s.channels_house("w1")
    s2 = s.cast("s2", "noria-store", ready=False)
    await s2.start()
    s2.told_to_end = True
    assert await s2.ended() == PERMANENT
    await s2.logs("another noria-store has it")
    await s.api().create("sensor", tipo="temperatura", modelo="DHT22")


@play("a damaged file is named, not opened and not touched; everything else goes on", "asan")
async def damaged(s):
    await s.channels_house("w1")
    api = s.api()
    for _ in range(20):
        await api.create_many([{"sensor_id": (await api.create("sensor", tipo="t", modelo="m")).id, "temperatura": 20, "humedad": 50}] * 50)
    s1 = s.actor("s1")
    await s1.stop()
    whole = path(s).read_bytes()
    spoilt = bytearray(whole)
    for at in range(8192, len(spoilt) - 4096, 4096):
        spoilt[at:at + 64] = b"\xa5" * 64
    for content, words in ((bytes(spoilt), "noria.db"), (b"no database at all, but long enough to look at" * 100, "noria.db")):
        path(s).write_bytes(content)
        s1.says_ready = False
        await s1.start()
        s1.told_to_end = True
        assert await s1.ended() == PERMANENT, s1.tail()
        await s1.logs("error", words, "put a backup in its place")
        assert path(s).read_bytes() == content, "the damaged file was written to"
        (await api.get("/sensors")).refused(503)
    c1 = await s.channel("c1")
    await c1.ping()
    path(s).write_bytes(whole)
    s1.says_ready = True
    await s1.start()
    await until("the store to answer", lambda: _answers(api))
    assert len(await api.all("sensor")) == 20


@play("a file of a later version is refused for good", "asan")
async def later(s):
    await s.channels_house("w1")
    s1 = s.actor("s1")
    await s1.stop()
    with closing(sqlite3.connect(path(s))) as db:
        db.execute("PRAGMA user_version=9999")
        db.commit()
    s1.says_ready = False
    await s1.start()
    s1.told_to_end = True
    assert await s1.ended() == PERMANENT, s1.tail()


@play("brokers die under writes: what was answered is there, each event is heard once", "asan")
async def brokers(s):
    await s.channels_house("w1")
    api, c1 = s.api(), await s.channel("c1", "sensors")
    rows = []
    for _ in range(3):
        rows += [await api.create("sensor", tipo="t", modelo=f"m{len(rows)}") for _ in range(5)]
        ups = counter(s, "broker_ups")
        await s.actor("b1").restart()
        await until("the store to be introduced again", lambda ups=ups: counter(s, "broker_ups") > ups)
        await until("the store to answer", lambda: _answers(api))
    await exactly(s, c1, rows)
    await all_noted(s)


async def _answers(api):
    return (await api.get("/sensors")).status == 200


@play("a store that stands still: 503 meanwhile, and afterwards it goes on; nothing is made that was refused", "asan")
async def stands_still(s):
    await s.channels_house("w1")
    api, c1, s1 = s.api(), await s.channel("c1", "sensors"), s.actor("s1")
    first = await api.create("sensor", tipo="t", modelo="first")
    s1.pause()
    (await api.post("/sensors", {"tipo": "t", "modelo": "late"}, within=15)).refused(503)
    s1.resume()
    await until("the store to answer", lambda: _answers(api))
    last = await api.create("sensor", tipo="t", modelo="last")
    rows = await api.all("sensor")
    await exactly(s, c1, rows)
    assert {first.id, last.id} <= {row.id for row in rows}


@play("a disk that takes nothing more: writes 503 and not made, reads go on, the broker's and the client's lives too; then all is well", "asan")
async def full(s):
    await s.channels_house("w1")
    api, c1, s1 = s.api(), await s.channel("c1", "sensors"), s.actor("s1")
    rows = [await api.create("sensor", tipo="t", modelo="before")]
    await all_noted(s)
    limit = path(s, "-wal").stat().st_size
    resource.prlimit(s1.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    refused = 0
    for i in range(40):  # what the log has room for yet may still be taken
        answer = await api.post("/sensors", {"tipo": "t", "modelo": f"full{i}"})
        if answer.status == 201:
            rows.append(answer.row("sensor", 201))
        else:
            answer.refused(503)
            refused += 1
        assert (await api.get("/sensors")).status == 200
    assert refused > 20 and s1.alive
    assert counter(s, "groups_failed") >= refused and counter(s, "writes_failed") == refused
    assert [row.id for row in await api.all("sensor")] == [row.id for row in rows]
    resource.prlimit(s1.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    rows.append(await api.create("sensor", tipo="t", modelo="after"))
    await exactly(s, c1, rows)
    await all_noted(s)
    await s1.stop()
    s.database.is_sound()
    assert s.database.count("sensors") == len(rows)


def fill(ballast):
    """To the last block."""
    file = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(file, b"\0" * 4096) > 0:
            pass
    except OSError:
        pass
    finally:
        os.close(file)


@play("a small file system is full, and has room again", "asan")
async def small(s):
    """As above, by a file that takes the room away; only where the play may mount."""
    if os.geteuid() != 0:
        return
    place = s.state
    place.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "noria-play", place], capture_output=True).returncode != 0:
        return
    try:
        await s.channels_house("w1")
        api = s.api()
        made = [await api.create("sensor", tipo="t", modelo="before")]
        ballast = place / "ballast"
        fill(ballast)
        refused = False
        for i in range(100):
            answer = await api.post("/sensors", {"tipo": "t" * 100, "modelo": f"{i}"})
            if answer.status == 201:
                made.append(answer.row("sensor", 201))
            else:
                answer.refused(503)
                refused = True
        assert refused
        assert [row.id for row in await api.all("sensor")] == [row.id for row in made]
        ballast.unlink()
        made.append(await api.create("sensor", tipo="t", modelo="after"))
        await s.actor("s1").stop()
        s.database.is_sound()
        assert s.database.count("sensors") == len(made)
    finally:
        if s.actor("s1").alive:
            await s.actor("s1").stop()
        subprocess.run(["umount", place], check=True)


@play("a file that turns read-only: writes 503, reads go on", "asan")
async def read_only(s):
    """The database's own query_only would be told by the store; so the file system says it, where the play may mount."""
    if os.geteuid() != 0:
        return
    s.state.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "noria-play", s.state], capture_output=True).returncode != 0:
        return
    try:
        await s.channels_house("w1")
        api = s.api()
        one = await api.create("sensor", tipo="t", modelo="before")
        # A mount with files open for writing cannot be made read-only; a store that starts on one can neither write nor make its log.
        await s.actor("s1").stop()
        subprocess.run(["mount", "-o", "remount,ro", s.state], check=True)
        s1 = s.actor("s1")
        s1.says_ready = False
        await s1.start()
        s1.told_to_end = True
        assert await s1.ended() not in (0, PERMANENT), "a disk can be mended"
        (await api.get("/sensors")).refused(503)
        subprocess.run(["mount", "-o", "remount,rw", s.state], check=True)
        s1.says_ready = True
        await s1.start()
        await until("the store to answer", lambda: _answers(api))
        assert (await api.read("sensor", one.id)).id == one.id
    finally:
        if s.actor("s1").alive:
            await s.actor("s1").stop()
        subprocess.run(["umount", s.state], check=True)


@play("many at once share transactions, and each answer is its own", "asan")
async def together(s):
    await s.channels_house("w1")
    api, c1 = s.api(within=20), await s.channel("c1", "sensors")
    answers = await asyncio.gather(*(api.create("sensor", tipo="t", modelo=f"n{i}") for i in range(120)))
    assert sorted(row["modelo"] for row in answers) == sorted(f"n{i}" for i in range(120))
    assert len({row.id for row in answers}) == 120
    assert counter(s, "groups") < 120 and counter(s, "group_largest") > 1
    await exactly(s, c1, answers)


@play("an answer of many parts arrives whole", "asan")
async def parts(s):
    await s.channels_house("w1")
    api = s.api()
    sensor = await api.create("sensor", tipo="t", modelo="m")
    for _ in range(12):  # one transaction each; a store that stands still for 2 s takes what waits for it for old
        await api.create_many([{"sensor_id": sensor.id, "temperatura": 20.25, "humedad": 50.5}] * 250)
    assert len(await api.list("lectura", limit=1000)) == 1000
    assert len(await api.all("lectura")) == 3000
