"""Shared memory that somebody else changes: bits that flip, files that are cut, a file system that is full.

Bits are flipped in shm/ring and shm/lvt while a broker writes and workers serve. A client may be told of a gap, may get a
snapshot; it is never told what was not so, nothing older after something newer, and in the end it has the last state.
"""
import mmap
import os
import random
import shutil
import struct

from stagecraft.namespace import SmallDisk
from stagecraft.registry import play
from stagecraft.scripts import AT_REST
from stagecraft.wait import until

RING_DATA, RING_LINES, LVT_SLOTS, LVT_SLOT = 65536, 5, 4096, 2048
POSITIONS = 26


class Bits:
    """A file of the installation, through a writable mapping of one's own."""

    def __init__(self, path):
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)

    def flip(self, at, dice):
        self.map[at] ^= 1 << dice.randrange(8)

    def word(self, at):
        return struct.unpack_from("<Q", self.map, at)[0]


class Flipper:
    def __init__(self, s, seed):
        self.ring, self.lvt = Bits(s.runtime / "shm/ring"), Bits(s.runtime / "shm/lvt")
        self.dice, self.machines, self.flips = random.Random(seed), len(s.machines), 0

    def flip(self):
        dice, where = self.dice, self.dice.random()
        size = len(self.ring.map) - RING_DATA
        if where < 0.45:  # what was published last
            self.ring.flip(RING_DATA + (self.ring.word(128) - dice.randrange(2048)) % size, dice)
        elif where < 0.5:
            self.ring.flip(dice.randrange(len(self.ring.map)), dice)
        elif where < 0.7:
            self.ring.flip(dice.randrange(64 * RING_LINES), dice)
        elif where < 0.92:
            self.lvt.flip(LVT_SLOTS + dice.randrange(self.machines) * LVT_SLOT + dice.randrange(1400), dice)
        else:
            self.lvt.flip(dice.randrange(64 * 4), dice)
        self.flips += 1


class Watched:
    """Where each machine was placed, in order, and that a client's frames tell of no other places and in no other order."""

    def __init__(self, machines):
        self.places = {machine: [0] for machine in machines}

    def check(self, client):
        for machine, places in self.places.items():
            at = 0
            for state in client.states(machine):
                position, raw = state["position"], state["raw_status"]
                if position is None:
                    continue
                assert raw == AT_REST, f"{client.name}: {machine} raw_status {raw}, and it never moved"
                later = [i for i in range(at, len(places)) if places[i] == position]
                assert later, f"{client.name}: {machine} at {position}, not among {places[at:at + 30]} …"
                at = later[0]


@play("bits flip in ring and table: gaps and snapshots, never a wrong value; the broker heals what it knows", "asan", within=120)
async def flips(s):
    s.small_ring()
    seed = int(os.environ.get("NORIA_SEED", random.randrange(1 << 32)))
    steps = int(os.environ.get("NORIA_FLIPS", 5000)) // 50
    print(f"NORIA_SEED={seed} NORIA_FLIPS={steps * 50}")
    machines = ["m1", "m2", "m3"]
    sim = await s.house(*machines)
    c1, c2, c3 = await s.client("c1", on="w1"), await s.client("c2", on="w2"), await s.client("c3", on="w1")
    for client, kind in ((c1, "status_updates"), (c2, "all_events"), (c3, "status_updates")):
        await client.subscribe(kind=kind)
        client.history.repeats_allowed = True
    flipper, watched = Flipper(s, seed), Watched(machines)
    for step in range(steps):
        machine = machines[step % 3]
        asleep = s.actor("w1" if step % 2 else "w2")  # it will read what was flipped, the other reads while it is flipped
        place = (watched.places[machine][-1] + 1) % POSITIONS
        watched.places[machine].append(place)
        asleep.pause()
        published = s.counter("b1", "states_published")
        await sim.place(machine, place)
        for _ in range(25):
            flipper.flip()
        await s.counts("b1", "states_published", published + 1)
        for _ in range(25):
            flipper.flip()
        asleep.resume()
        if step % 5 == 4:  # whatever was lost: the last state comes
            for client in (c1, c2, c3):
                await client.sees(machine, position=place, within=10)
    for machine in machines:
        for client in (c1, c2, c3):
            await client.sees(machine, position=watched.places[machine][-1], within=10)
    for client in (c1, c2, c3):
        watched.check(client)
        assert client.connected
    await s.counts("b1", "healed_words", 10)
    await s.counts("b1", "healed_slots", 1)
    met = sum(s.counter(w, name) for w in ("w1", "w2") for name in ("tail_corrupt", "tail_damaged_words", "tail_slots_unreadable"))
    assert met > 0, "no worker noticed anything"
    print(f"{flipper.flips} flips: " + ", ".join(
        f"{name} {sum(s.counter(w, name) for w in ('w1', 'w2'))}" for name in
        ("tail_records", "tail_corrupt", "tail_damaged_words", "tail_slots_unreadable", "tail_reseeded", "gaps"))
        + f", healed words {s.counter('b1', 'healed_words')}, slots {s.counter('b1', 'healed_slots')}")

    await s.actor("w1").restart()  # who begins now, begins with the truth
    late = await s.client("late", on="w1")
    late.history.repeats_allowed = True  # the head may be damaged still, until the broker tells of w1 in the ring: another snapshot
    await late.subscribe()
    for machine in machines:
        await late.sees(machine, position=watched.places[machine][-1])
    for client in ("c1", "c3"):
        await s.clients.pop(client).close()


@play("a cut ring or table kills nobody by a signal; the broker ends itself, and its successor makes new ones", "asan", within=90)
async def cut(s):
    s.small_ring()
    sim = await s.house("m1", "m2", "m3")
    c1, c2 = await s.client("c1", on="w1"), await s.client("c2", on="w2")
    for client in (c1, c2):
        await client.subscribe()
        client.history.repeats_allowed = True
    place, broker = 0, s.actor("b1")
    for name, size in (("ring", 0), ("ring", 4096), ("ring", RING_DATA + 8192), ("lvt", 0), ("lvt", 4096), ("ring", 100)):
        os.truncate(s.runtime / "shm" / name, size)
        place += 1
        for machine in ("m1", "m2", "m3"):
            await sim.place(machine, place)
        assert await broker.ended() == 1, broker.tail()
        assert f"where={name}" in broker.tail(4)
        await broker.start()
        for client in (c1, c2):
            for machine in ("m1", "m2", "m3"):
                await client.sees(machine, position=place, connection_status="connected", within=10)
            assert client.connected


# --- what a worker makes of files that are not as they should be ----------------------------------------------------------

def check_of(line, magic):
    """hash_bytes() of common/base/hash.c over a header line whose check word is 0."""
    words = list(struct.unpack("<8Q", line)) + [0, 0]  # 64 bytes, and the empty rest
    k0, k1, k2, full = 0xa0761d6478bd642f, 0xe7037ed1a0b428db, 0x8ebc6af09c88c6e3, (1 << 64) - 1

    def fold(a, b):
        product = a * b
        return (product & full) ^ (product >> 64)

    h = magic ^ k0
    for i in range(0, 10, 2):
        h = fold(words[i] ^ k1, words[i + 1] ^ h)
    return fold(h ^ k2, 64 ^ k1)


def impostor(path, word, value, sealed):
    """Puts a copy of the file under its name, with one word of the header changed; the broker writes on in the original, and has no
    hand in it. `sealed`: the header's check agrees. Returns the original's new name."""
    original, line = path.with_suffix(".true"), bytearray(path.read_bytes()[:64])
    check_at = 8 * 5
    magic = struct.unpack_from("<Q", line)[0]
    checked = bytearray(line)
    struct.pack_into("<Q", checked, check_at, 0)
    assert struct.unpack_from("<Q", line, check_at)[0] == check_of(checked, magic)
    struct.pack_into("<Q", checked, 8 * word, value)
    struct.pack_into("<Q", line, 8 * word, value)
    if sealed:
        struct.pack_into("<Q", line, check_at, check_of(checked, magic))
    copy = path.with_suffix(".copy")
    shutil.copyfile(path, copy)
    with open(copy, "r+b") as file:
        file.write(line)
    os.rename(path, original)
    os.rename(copy, path)
    return original


@play("another version is the end of a worker, with 78; anything else that is wrong with a file it waits out", "asan", within=90)
async def wrong_headers(s):
    s.small_ring()
    await s.house("m1", workers=("w1",))
    w2 = s.cast("w2", "noria-worker")
    for name in ("ring", "lvt"):
        path = s.runtime / "shm" / name
        for word, value, sealed, code in ((1, 99, True, 78), (1, 99, False, None), (0, 12345, True, None), (2, 4096, True, None),
                                          (3, 0, True, None), (4, 1 << 40, True, None), (5, 1, False, None)):
            if name == "ring" and word == 4:
                continue  # the seed: any will do
            original, since = impostor(path, word, value, sealed), len(w2.text())
            await w2.start(ready=False)
            if code:
                assert await w2.ended() == code, w2.tail()
                assert "another layout version" in w2.text()[since:] and f"version={value} expected=" in w2.text()[since:]
                os.rename(original, path)
                continue
            await w2.logs("cannot attach", since=since)
            os.rename(original, path)
            await w2.logs("serving", since=since)
            c2 = await s.client("c2", on="w2")
            await c2.subscribe()
            await c2.sees("m1", connection_status="connected")
            await s.clients.pop("c2").close()
            await w2.stop()
    await s.actor("b1").kill()  # its successor finds a table of another version, and makes a new one
    impostor(s.runtime / "shm/lvt", 1, 99, True).unlink()
    await s.actor("b1").start()
    assert 'lvt-replaced' in s.actor("b1").text() and 'other version' in s.actor("b1").text()
    c1 = await s.client("c1", on="w1")
    c1.history.repeats_allowed = True  # what the successor publishes again
    await c1.subscribe()
    await c1.sees("m1", connection_status="connected", within=10)


# --- a full runtime directory -----------------------------------------------------------------------------------------------

def half_made(s):
    return [str(path) for path in s.runtime.rglob("*.new.*")]


@play("a full runtime directory: clear errors, nothing half-made is left, and all goes on when there is room", "asan", within=90)
async def full(s):
    s.small_ring()
    s.machine("m1"), s.machine("m2")
    disk = SmallDisk(s.runtime, "size=1536k")
    if not disk.made:
        return
    s.write_conf()
    broker, worker = s.cast("b1", "noria-broker"), s.cast("w1", "noria-worker")
    for leave in (0, 65536, 1 << 20):  # nothing fits; not the ring; not what comes behind it
        disk.fill(leave)
        await broker.start(ready=False)
        assert await broker.ended() == 1, broker.tail()
        assert "No space left on device" in broker.tail(6) and "boot-failed" in broker.tail(2), broker.tail()
        assert not half_made(s)
        disk.clear()
    await s.sim()
    await broker.start()

    disk.fill()
    await worker.start(ready=False)
    await worker.logs("cannot attach")
    assert "No space left on device" in worker.text() and not half_made(s)
    disk.clear()
    await worker.logs("serving")

    c1 = await s.client("c1", on="w1")
    await c1.subscribe()
    disk.fill()
    for machine in ("m1", "m2"):  # their counters have no room; they have
        await s.agent(machine)
        await c1.sees(machine, connection_status="connected", within=10)
    await broker.logs("agent-segment")
    assert not half_made(s) and not list((s.runtime / "shm").glob("agent.*"))
    for place in range(1, 26):  # the ring has all its memory already
        await s.simulator.place("m1", place)
        await c1.sees("m1", position=place)

    c1.history.repeats_allowed = True
    await broker.kill()  # its successor has no room for its counters
    await broker.start(ready=False)
    assert await broker.ended() == 1 and "No space left on device" in broker.tail(6), broker.tail()
    assert not half_made(s)
    disk.clear()
    await broker.start()
    await s.simulator.place("m2", 7)
    await c1.sees("m2", position=7, within=10)
    assert c1.connected
    await s.clients.pop("c1").close()
    for name in ("w1", "a.m1", "a.m2", "b1", "sim"):
        await s.actor(name).stop()
    disk.remove()


@play("a runtime directory without inodes: whatever cannot be made, the broker says so, and leaves what it began with", "asan")
async def no_inodes(s):
    s.small_ring()
    s.machine("m1")
    s.write_conf()
    broker, started, tried = s.cast("b1", "noria-broker"), False, 0
    for inodes in range(1, 20):
        disk = SmallDisk(s.runtime, f"size=4m,nr_inodes={inodes + 1}")
        if not disk.made:
            return
        since = len(broker.text())
        await broker.start(ready=False)
        await until("the broker to be ready or to give up", lambda: " ready " in broker.text()[since:] or not broker.alive)
        started = broker.alive
        if started:
            break
        tried += 1
        assert await broker.ended() == 1, broker.tail()
        assert "No space left" in broker.text()[since:] and "boot-failed" in broker.tail(2), broker.tail()
        assert not half_made(s)
        left = {str(p.relative_to(s.runtime)) for p in s.runtime.rglob("*") if not p.is_dir()}
        assert left <= {"shm/ring", "shm/lvt"}, left
        disk.remove()
    assert started and tried >= 6
    await broker.stop()
    disk.remove()
