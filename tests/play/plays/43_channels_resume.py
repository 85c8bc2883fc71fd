"""Coming back to a channel: from every seq ever seen the same, from the ring and from the store, whoever died meanwhile."""
import asyncio
import random

from stagecraft.registry import play
from stagecraft.wait import until

KILOBYTES = 1000  # readings in one request: 3 of them are more than a small ring holds


async def readings(api, sensor, requests=1, each=KILOBYTES):
    """Readings that are no anomaly to anybody."""
    for _ in range(requests):
        await api.create_many([{"sensor_id": sensor["id"], "temperatura": 20.0, "humedad": 50.0}] * each)


async def heard_all(client, count, within=20.0):
    await until(f"{client.name} to hear {count} events", lambda: len(client.events()) >= count, within=within)
    assert len(client.events()) == count, len(client.events())


def counted(s, name):
    """Over all workers, now."""
    return sum(values.get(name, 0) for values in s.counters.all().values())


def texts(client):
    return [f.text for f in client.frames if f.seq is not None]


async def comes_back_from(s, witness, seq, on, n):
    """The witness's rest, to the byte."""
    rest = texts(witness)
    rest = rest[next(i for i, text in enumerate(rest) if text.endswith(f'"seq":"{seq}"}}')) + 1:]
    client = await s.channel(f"back{n}", witness.channel, on=on, since=seq)
    await until(f"{client.name} to hear {len(rest)}", lambda: len(texts(client)) >= len(rest), within=15)
    assert texts(client) == rest, (len(texts(client)), len(rest))
    assert not any(f.type == "gap" for f in client.frames)
    await client.close()


async def from_here_and_there(s, witness, workers, samples, dice):
    seqs = [f["seq"] for f in witness.frames if f.seq is not None]
    chosen = [seqs[0], seqs[-1], *dice.sample(seqs, min(samples, len(seqs)))]
    for n, seq in enumerate(chosen):
        await comes_back_from(s, witness, seq, workers[n % len(workers)], n)


@play("from every seq the same: from the ring, and from the store by a worker that never saw it", "asan")
async def from_every_seq(s):
    s.small_ring()
    await s.channels_house("w1", "w2")
    api = s.api(on="w1")
    witness = await s.channel("witness", "readings", on="w1")
    sensor = await api.create("sensor", tipo="temperatura", modelo="DHT22")
    await readings(api, sensor, 4)
    await heard_all(witness, 4 * KILOBYTES)
    await s.actor("w2").restart()
    await from_here_and_there(s, witness, ("w1", "w2"), 12, random.Random(43))
    await until("pages from the store", lambda: counted(s, "channel_paged") > 0)


@play("from every seq the same over the deaths of broker, store and workers")
async def over_deaths(s):
    s.small_ring()
    await s.channels_house("w1", "w2", "w3")
    witness = await s.channel("witness", on="w1")
    sensor = await s.api(on="w1").create("sensor", tipo="temperatura", modelo="DHT22")
    await witness.event("sensor", "created")
    count = 1
    for victim in ("b1", "s1", "w2", "b1", "w3", "s1"):
        await s.actor(victim).kill()
        await s.actor(victim).start()
        await until("the store to answer", lambda: answers(s), within=10)
        await readings(s.api(on="w1"), sensor, 1, 400)
        count += 400
        await heard_all(witness, count)
        await comes_back_from(s, witness, witness.events()[count // 2]["seq"], "w2", count)
    await from_here_and_there(s, witness, ("w1", "w2", "w3"), 12, random.Random(44))


async def answers(s):
    return (await s.api(on="w1").get("/sensors", limit=1)).status == 200


@play("a worker that stood still for a whole ring gives its clients everything all the same")
async def lapped(s):
    s.small_ring()
    await s.channels_house("w1", "w2")
    witness, slow = await s.channel("witness", "readings", on="w2"), await s.channel("slow", "readings", on="w1")
    sensor = await s.api(on="w2").create("sensor", tipo="temperatura", modelo="DHT22")
    s.actor("w1").pause()
    await readings(s.api(on="w2"), sensor, 4)
    await heard_all(witness, 4 * KILOBYTES)
    s.actor("w1").resume()
    await heard_all(slow, 4 * KILOBYTES)
    assert texts(slow) == texts(witness)
    await readings(s.api(on="w1"), sensor, 1, 1)
    await heard_all(slow, 4 * KILOBYTES + 1)
    assert not any(f.type == "gap" for f in slow.frames)


@play("without a store: a gap, and on from what there is; with it again: everything")
async def without_a_store(s):
    s.small_ring()
    await s.channels_house("w1", "w2")
    api = s.api(on="w1")
    witness = await s.channel("witness", "readings", on="w1")
    sensor = await api.create("sensor", tipo="temperatura", modelo="DHT22")
    await readings(api, sensor, 4)
    await heard_all(witness, 4 * KILOBYTES)
    await s.actor("w2").restart()
    await s.actor("s1").kill()
    first = witness.events()[0]["seq"]
    client = await s.channel("back", "readings", on="w2", since=first)
    gap = await client.hear("gap", within=10)
    assert gap["channel"] == "readings"
    await until("what the ring has", lambda: texts(client)[-1:] == texts(witness)[-1:], within=10)
    assert texts(client) == texts(witness)[-len(texts(client)):]
    await s.actor("s1").start()
    await until("the store to answer", lambda: answers(s), within=10)
    await comes_back_from(s, witness, first, "w2", 1)


@play("a since that is no seq is told, and a client that is not from here goes on from now", "asan")
async def strange_places(s):
    await s.channels_house("w1")
    api = s.api(on="w1")
    await api.create("sensor", tipo="antes", modelo="m")
    bad = await s.channel("bad", "sensors", since="yesterday")
    assert (await bad.next("error"))["message"] == "since no válido"
    strange = await s.channel("strange", "sensors", since="0123abcd-77")
    await strange.hear("gap")
    await api.create("sensor", tipo="después", modelo="m")
    for client in (bad, strange):
        await client.event("sensor", "created", tipo="después")
        assert len(client.events()) == 1


@play("twenty come back at once to one worker: few pages, everything to everybody")
async def many_at_once(s):
    s.small_ring()
    await s.channels_house("w1", "w2")
    api = s.api(on="w1")
    witness = await s.channel("witness", "readings", on="w1")
    sensor = await api.create("sensor", tipo="temperatura", modelo="DHT22")
    await readings(api, sensor, 4)
    await heard_all(witness, 4 * KILOBYTES)
    await s.actor("w2").restart()
    first = witness.events()[KILOBYTES]["seq"]
    clients = await asyncio.gather(*(s.channel(f"c{n}", "readings", on="w2", since=first) for n in range(20)))
    for client in clients:
        await heard_all(client, 3 * KILOBYTES - 1, within=60)
        assert texts(client) == texts(witness)[KILOBYTES + 1:]
    pages = counted(s, "channel_pages")
    assert 0 < pages < 400, pages
