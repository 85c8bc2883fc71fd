"""What is kept: backups while it is written, an older copy that is put back, rows and events that are too old; and the store below `noria up`.
"""
import asyncio
import os
import shutil
import signal
import sqlite3
from contextlib import closing

from stagecraft.database import Database
from stagecraft.launched import pids, restarted, up
from stagecraft.registry import play
from stagecraft.stage import BIN
from stagecraft.wait import settle, until

DAY_MS = 24 * 3600 * 1000


def counter(s, name):
    return s.counters.all().get("store", {}).get(name, 0)


async def _answers(api):
    return (await api.get("/sensors")).status == 200


async def noted(s):
    await until("every event to be noted", lambda: counter(s, "event_unpublished") == counter(s, "event_last") + 1)


async def noria(s, *words):
    """(exit code, output, errors) of the program."""
    process = await asyncio.create_subprocess_exec(BIN / "noria", *map(str, words), stdout=asyncio.subprocess.PIPE,
                                                   stderr=asyncio.subprocess.PIPE, env={**os.environ, **s.env}, cwd=s.dir)
    out, err = await settle(f"noria {words[0]}", process.communicate(), 20)
    return process.returncode, out.decode(), err.decode()


# --- backups -------------------------------------------------------------------------------------------------------------


@play("a backup while many write: one moment of the database, whole; nobody is refused meanwhile", "asan")
async def backup(s):
    await s.channels_house("w1")
    api, over, sure = s.api(within=20), False, []
    sensor = await api.create("sensor", tipo="t", modelo="m")

    async def writer():
        while not over:
            sure.extend(row.id for row in await api.create_many([{"sensor_id": sensor.id, "temperatura": 20, "humedad": 50}] * 20))

    writers = [asyncio.ensure_future(writer()) for _ in range(3)]
    for number in range(3):
        count = len(sure)
        await until("rows to be written", lambda count=count: len(sure) > count + 50)
        floor = len(sure)
        code, out, err = await noria(s, "backup", f"copy{number}.db", "-c", s.conf)
        assert code == 0 and "checked" in out, (code, out, err)
        assert sorted(p.name for p in s.dir.glob("*copy*")) == [f"copy{n}.db" for n in range(number + 1)], "left beside the copy"
        copy = Database(s.dir / f"copy{number}.db")
        copy.is_sound()
        rows = [row["id"] for row in copy.rows("readings")]
        assert rows == list(range(1, len(rows) + 1)) and len(rows) >= floor and len(rows) % 20 == 0, (len(rows), floor)
        made = copy.query("SELECT count(*) AS n FROM events WHERE payload LIKE '%create_lectura%'")[0]["n"]
        assert made == len(rows), "rows and events of two moments"
        for file in s.dir.glob(f"copy{number}.db-*"):  # of this reader
            file.unlink()
    over = True
    await asyncio.gather(*writers)


@play("a backup that cannot be made says what to do, and replaces nothing", "asan")
async def no_backup(s):
    s.machine("m1")
    s.channels_listener()
    s.write_conf()
    code, _, err = await noria(s, "backup", "copy.db", "-c", s.conf)
    assert code == 1 and "is not there" in err, err
    await s.channels_house("w1")
    (s.dir / "precious").write_text("mine")
    code, _, err = await noria(s, "backup", "precious", "-c", s.conf)
    assert code == 1 and "choose another name" in err and (s.dir / "precious").read_text() == "mine", err
    code, _, err = await noria(s, "backup", "nowhere/copy.db", "-c", s.conf)
    assert code == 1 and "was not made" in err, err
    code, _, err = await noria(s, "backup", "-c", s.conf)
    assert code == 2, err


@play("an older copy put back is a new source: what it takes from then on is heard, once", "asan")
async def restored(s):
    await s.channels_house("w1")
    api, c1, s1 = s.api(), await s.channel("c1", "sensors"), s.actor("s1")
    kept = [await api.create("sensor", tipo="t", modelo=f"kept{i}") for i in range(3)]
    await noted(s)
    assert (await noria(s, "backup", "copy.db", "-c", s.conf))[0] == 0
    for i in range(3):
        await api.create("sensor", tipo="t", modelo=f"lost{i}")
    await c1.event("sensor", "created", modelo="lost2")
    await s1.stop()
    for file in (s.state / "store").iterdir():
        file.unlink()
    shutil.copy(s.dir / "copy.db", s.state / "store/noria.db")
    await s1.start()
    await until("the store to answer", lambda: _answers(api))
    assert counter(s, "source_changes") == 1
    assert [row["modelo"] for row in await api.all("sensor")] == [row["modelo"] for row in kept]
    made = [await api.create("sensor", tipo="t", modelo=f"new{i}") for i in range(5)]
    for row in made:
        await c1.event("sensor", "created", id=row.id, modelo=row["modelo"])
    await noted(s)
    assert len(c1.events(event_type="created")) == 11
    await s1.restart()  # the new source lasts
    await until("the store to answer", lambda: _answers(api))
    assert counter(s, "source_changes") == 0
    await api.create("sensor", tipo="t", modelo="last")
    await c1.event("sensor", "created", modelo="last")
    assert len(c1.events(event_type="created")) == 12


# --- retention ------------------------------------------------------------------------------------------------------------


@play("what is too old goes, with an event each; old events go without", "asan")
async def retention(s):
    s.set("store", keep_days=2, events_keep_days=3)
    await s.channels_house("w1")
    api, s1 = s.api(), s.actor("s1")
    sensor = await api.create("sensor", tipo="t", modelo="m")
    await api.create_many([{"sensor_id": sensor.id, "temperatura": 20, "humedad": 50}] * 300)
    await noted(s)
    await s1.stop()
    with closing(sqlite3.connect(s.state / "store/noria.db")) as db:
        db.execute(f"UPDATE readings SET timestamp=timestamp-{5 * DAY_MS}, created_at=created_at-{5 * DAY_MS} WHERE id<=250")
        db.execute(f"UPDATE events SET created_ms=created_ms-{5 * DAY_MS} WHERE id<=100")
        db.commit()
    c1 = await s.channel("c1", "readings")
    await s1.start()
    await until("the old ones to be gone", lambda: _count(api, 50), within=20)
    await until("all to be heard of", lambda: len(c1.events(event_type="deleted")) == 250, within=10)
    gone = [f["entity_id"] for f in c1.events(event_type="deleted")]
    assert sorted(gone) == list(range(1, 251)) and all(f["metadata"]["action"] == "expire_lectura" for f in c1.events(event_type="deleted"))
    await until("old events to be gone", lambda: s.database.query("SELECT min(id) AS id FROM events")[0]["id"] > 100, within=10)
    assert counter(s, "expire_steps") >= 2


async def _count(api, count):
    return await _answers(api) and len(await api.list("lectura", limit=1000)) == count


# --- below noria up ---------------------------------------------------------------------------------------------------------


@play("noria up starts it, brings it back, and stops it before the broker; a damaged file stops nothing else", "asan")
async def launched(s):
    s.channels_listener()
    family = await up(s, "m1")
    api = s.api()
    assert len(pids("noria-store")) == 1
    await until("the store to answer", lambda: _answers(api))
    await api.create("sensor", tipo="t", modelo="m")
    code, out, _ = await noria(s, "stats", "-c", s.conf, "store writes ")
    assert code == 0 and out == "store writes 1\n", out
    old = pids("noria-store")
    os.kill(old[0], signal.SIGKILL)
    new = await restarted("noria-store", old)
    await until("the store to answer", lambda: _answers(api))
    path = s.state / "store/noria.db"
    os.kill(new[0], signal.SIGSTOP)
    for file in path.parent.iterdir():
        file.unlink()
    path.write_bytes(b"no database at all, but long enough to look at" * 100)
    os.kill(new[0], signal.SIGKILL)
    await family.logs("process-permanent", "name=store", within=10)
    (await api.get("/sensors")).refused(503)
    c1 = await s.client("c1")
    await c1.subscribe()
    await c1.sees("m1", connection_status="connected")
    await family.stop(within=15)
    text = family.text()
    assert "nothing-to-serve" not in text


@play("without a listener for channels there is no store", "asan")
async def not_needed(s):
    family = await up(s, "m1")
    assert not pids("noria-store")
    assert not (s.state / "store").exists()
    await family.stop(within=15)


@play("stopped in its place: behind the workers, before the broker")
async def order(s):
    s.channels_listener()
    family = await up(s, "m1")
    await family.stop(within=15)
    stopped = [line.split("name=")[1].split()[0] for line in family.text().splitlines() if "process-stopped" in line]
    at = {name.split(".")[0]: i for i, name in enumerate(stopped)}
    assert at["worker"] < at["store"] and at["agent"] < at["store"] < at["broker"], stopped
