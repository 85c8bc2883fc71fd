"""admin: what getnumchannels() and getchannelinfo() say is counted over all workers, exactly, or it is an error.

`numchannels` is the number of open connections, and there is a row for each connection and stream. A play knows every connection
that it made, by its port, and every stream that it opened; so it knows the whole answer.
"""
import asyncio
import json
import random
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from stagecraft.registry import play
from stagecraft.scripts import compact
from stagecraft.streams import ERROR
from stagecraft.wait import limit, now, settle, until

WORKERS = ("w1", "w2", "w3")
BOTH = ("getnumchannels()", "getchannelinfo()")
DEADLINE_S = 2.0  # of a survey


class Wrong(AssertionError):
    """An answer that is neither right nor an error."""


# --- what must be said --------------------------------------------------------------------------------------------------


@dataclass
class Want:
    connections: int
    channels: Counter  # (stream, port)


def want_of(clients, *others):
    """Clients, as client → its streams, and others without a stream."""
    channels = Counter((stream, str(client.local_port)) for client, streams in clients.items() for stream in streams)
    return Want(len(clients) + len(others), channels)


def check_counts(answer, want):
    assert list(answer) == ["numchannels", "streams"] and answer["numchannels"] == str(want.connections), (answer, want.connections)
    streams = Counter(stream for stream, _ in want.channels.elements())
    told = {row["stream"]: row["numchannels"] for row in answer["streams"]}
    assert len(told) == len(answer["streams"]), "a stream is told twice"
    assert told == {stream: str(count) for stream, count in streams.items()}, (told, streams)


def rows_of(answer):
    """Channels of an answer to getchannelinfo() as Want has them; whatever they are, the answer is well-formed."""
    assert list(answer) == ["numchannels", "channels"] and answer["numchannels"].isdigit(), answer["numchannels"]
    for row in answer["channels"]:
        assert list(row) == ["port", "stream", "host", "writable"], row
        gone = (row["host"], row["port"]) == ("unknown", "0")  # reset, and its worker has not noticed yet
        assert (row["host"] == "127.0.0.1" or gone) and row["writable"] in ("true", "false"), row
    return Counter((row["stream"], row["port"]) for row in answer["channels"])


def check(question, answer, want):
    if question == BOTH[0]:
        check_counts(answer, want)
        return
    rows = rows_of(answer)
    assert rows == want.channels, (rows - want.channels, want.channels - rows)
    assert answer["numchannels"] == str(want.connections), (answer["numchannels"], want.connections)


async def ask(client, question, within=DEADLINE_S + 3):
    """The answer, or the error's text."""
    await client.say(ws_op="admin", ws_msg=question)
    text = await client.hear(test=lambda text: text.startswith(('{"numchannels":', ERROR)), within=within)
    answer = json.loads(text)
    assert text == compact(answer), f"not compact: {text[:200]}"
    return answer["ws_msg"] if "ws_op" in answer else answer


async def ask_right(client, want):
    """Both answers are right."""
    for question in BOTH:
        answer = await ask(client, question)
        assert not isinstance(answer, str), f"{client} asked {question}: {answer}"
        check(question, answer, want)


async def right_again(client, want, within=10):
    """Waits until the server has noticed what came and went last; then both answers are right."""
    async def right():
        answer = await ask(client, BOTH[0])
        return not isinstance(answer, str) and fits(BOTH[0], answer, want)

    await until("the answer to be right", right, within)
    await ask_right(client, want)


async def crowd(s, count, dice, names, most=6):
    """So many clients at each worker, each with some of the streams; client → its streams."""
    async def one(n, on):
        streams = dice.sample(names, dice.randint(1, most))
        return await s.streamer(f"{on}.{n}", *streams, on=on), streams

    clients = {}
    for n in range(count):
        clients.update(await asyncio.gather(*(one(n, on) for on in WORKERS)))
    return clients


@asynccontextmanager
async def meanwhile(within, *doings):
    """Coroutines that run beside the block until it sets the event; their results are in the list then."""
    stop, results = asyncio.Event(), []
    tasks = [asyncio.ensure_future(doing(stop)) for doing in doings]
    try:
        yield results
        stop.set()
        results += await settle("those beside to be done", asyncio.gather(*tasks), within)
    except AssertionError:
        for task in tasks:
            if task.done() and not task.cancelled() and task.exception():
                raise task.exception()  # that is why
        raise
    finally:
        stop.set()  # a library may swallow the cancellation
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def askers(s):
    """One at each worker, without a stream."""
    return [await s.streamer(f"asker.{on}", on=on) for on in WORKERS]


# --- while nothing changes ------------------------------------------------------------------------------------------------


@play("hundreds of connections at three workers: both answers are exact, and the same from every worker", within=120)
async def exact(s):
    dice = random.Random(5)
    await s.streams_house(*WORKERS)
    asking = await askers(s)
    await right_again(asking[0], want_of({}, *asking))
    for client in asking:
        await ask_right(client, want_of({}, *asking))
    names = [f"stream {n} \"ü\"" for n in range(40)]
    clients = await crowd(s, 80, dice, names)
    for client in asking:
        await right_again(client, want_of(clients, *asking))
    gone = dice.sample(sorted(clients, key=lambda c: c.name), 60)
    for n, client in enumerate(gone):
        if n % 3 == 0:
            await client.leave()
            clients[client] = []
        else:
            await (client.close() if n % 3 == 1 else client.reset())
            del clients[client]
    for client in (*asking, *list(clients)[:3]):
        await right_again(client, want_of(clients, *asking))
    for on in WORKERS:
        await s.counts(on, "surveys", 1)
        assert s.counter(on, "surveys_failed") == 0, on


# --- while they come and go -----------------------------------------------------------------------------------------------


async def churn(s, n, dice, names, stop):
    """Connects, opens, closes, goes, until told to stop."""
    turn = 0
    while not stop.is_set():
        turn += 1
        client = await s.streamer(f"churn {n}", *dice.sample(names, 3))
        await client.say(ws_op="open", ws_stream_ids=dice.sample(names, 2))
        await client.say(ws_op="close")
        await client.open(*dice.sample(names, 4))
        await (client.reset() if dice.random() < 0.5 else client.close())
    return turn


@play("while connections come and go: each answer is well-formed, and has every connection that stood all the time exactly once",
      within=120)
async def come_and_go(s):
    dice = random.Random(6)
    await s.streams_house(*WORKERS)
    names = [f"s{n}" for n in range(30)]
    standing = await crowd(s, 20, dice, names)
    asking = await askers(s)
    want = want_of(standing, *asking)
    more = 0
    churns = [lambda stop, n=n: churn(s, n, random.Random(n), names, stop) for n in range(12)]
    async with meanwhile(20, *churns) as turns:
        for _ in range(20):
            for client in asking:
                answer = await ask(client, BOTH[1])
                rows = rows_of(answer)
                assert not want.channels - rows, f"not told: {want.channels - rows}"
                twice = [row for row, count in rows.items() if count > 1 and row in want.channels]
                assert not twice, f"told twice: {twice}"
                assert int(answer["numchannels"]) >= want.connections
                more += sum(rows.values()) - sum(want.channels.values())
                answer = await ask(client, BOTH[0])
                assert int(answer["numchannels"]) >= want.connections
                told = {row["stream"]: int(row["numchannels"]) for row in answer["streams"]}
                for stream, count in Counter(stream for stream, _ in want.channels).items():
                    assert told[stream] >= count, (stream, told[stream], count)
    assert more > 0 and min(turns) > 0, "nobody came or went"


# --- who does not answer ----------------------------------------------------------------------------------------------------


async def ask_in_vain(client):
    """An error, within the deadline."""
    begin = now()
    for question in BOTH:
        answer = await ask(client, question)
        assert isinstance(answer, str), f"an answer, though a worker stands still: {answer}"
    assert now() - begin < limit(2 * (DEADLINE_S + 1.5)), f"two errors after {now() - begin:.1f} s"


@play("a worker that stands still: an error within the deadline, never a wrong count; afterwards right again", within=120)
async def stopped(s):
    dice = random.Random(7)
    await s.streams_house(*WORKERS)
    clients = await crowd(s, 10, dice, ["a", "b", "c", "d"], most=3)
    asking = await askers(s)
    want = want_of(clients, *asking)
    await right_again(asking[0], want)
    s.actor("w2").pause()
    for client in (asking[0], asking[2]):  # at first it is introduced still, later it is not
        await ask_in_vain(client)
    await s.counts("b1", "peers_silent", 1)
    await ask_in_vain(asking[0])
    s.actor("w2").resume()
    for client in asking:
        await right_again(client, want)


async def ask_on(client, rights, stop):
    """Asks until told to stop; every answer is an error, or one of `rights`. How many of each."""
    errors = answers = 0
    while not stop.is_set():
        answer = await ask(client, BOTH[answers % 2])
        if isinstance(answer, str):
            errors += 1
            continue
        if not any(fits(BOTH[answers % 2], answer, want) for want in rights):
            raise Wrong(f"{client} was told {str(answer)[:500]}")
        answers += 1
    return answers, errors


def fits(question, answer, want):
    try:
        check(question, answer, want)
    except AssertionError:
        return False
    return True


@play("a worker is killed while others ask: its channels are there or they are not, or it is an error", within=120)
async def killed(s):
    dice = random.Random(8)
    await s.streams_house(*WORKERS)
    clients = await crowd(s, 10, dice, ["a", "b", "c", "d"], most=3)
    asking = await askers(s)
    want = want_of(clients, *asking)
    stay = {c: streams for c, streams in clients.items() if not c.name.startswith("w2")}
    left = want_of(stay, asking[0], asking[2])
    await right_again(asking[0], want)
    beside = [lambda stop, c=c: ask_on(c, (want, left), stop) for c in (asking[0], asking[2])]
    async with meanwhile(10, *beside) as counts:
        await s.counts("w1", "surveys", s.counter("w1", "surveys") + 5)
        await s.actor("w2").kill()
        await s.counts("w1", "surveys", s.counter("w1", "surveys") + 5, within=15)
    assert all(answers > 0 for answers, _ in counts), counts
    await right_again(asking[0], left)
    await s.actor("w2").start()
    await right_again(asking[2], left)
    again = await s.streamer("again", "a", on="w2")
    for client in (asking[0], again):
        await right_again(client, want_of({**stay, again: ["a"]}, asking[0], asking[2]))


@play("the broker is killed while clients ask, again and again: right answers or errors; and it is right when it is back",
      "asan", within=120)
async def broker_killed(s):
    dice = random.Random(9)
    await s.streams_house(*WORKERS)
    clients = await crowd(s, 8, dice, ["a", "b", "c", "d"], most=3)
    asking = await askers(s)
    want = want_of(clients, *asking)
    await right_again(asking[0], want)
    beside = [lambda stop, c=c: ask_on(c, (want,), stop) for c in asking]
    async with meanwhile(10, *beside) as counts:
        for _ in range(3):
            await s.counts("w1", "surveys", s.counter("w1", "surveys") + 3, within=15)
            await s.actor("b1").kill()
            await s.actor("b1").start()
    assert all(answers > 0 for answers, _ in counts), counts
    for client in asking:
        await right_again(client, want)


@play("no broker: an error within the deadline; and right as soon as there is one, for who asked before, too", within=90)
async def no_broker(s):
    await s.streams_house(*WORKERS)
    clients = {await s.streamer(f"c.{on}", "a", "b", on=on): ["a", "b"] for on in WORKERS}
    asker, want = list(clients)[0], want_of(clients)
    await right_again(asker, want)
    await s.actor("b1").kill()
    begin = now()
    assert isinstance(await ask(asker, BOTH[0]), str)
    assert now() - begin < limit(DEADLINE_S + 1.5)
    asked = asyncio.ensure_future(ask(asker, BOTH[1]))
    await s.actor("b1").start()
    answer = await asked
    if not isinstance(answer, str):
        check(BOTH[1], answer, want)
    await right_again(asker, want)


# --- much --------------------------------------------------------------------------------------------------------------------


@play("50,000 channels in one answer: exact, in time, in bounded memory", within=120)
async def fifty_thousand(s):
    await s.streams_house(*WORKERS)
    clients = {}
    for n in range(50):
        names = [f"{n % 7}.{k}" for k in range(1000)]
        client = await s.streamer(f"c{n}", on=WORKERS[n % 3])
        await client.open(*names)
        clients[client] = names
    asker = await s.streamer("asker", on="w1")
    want = want_of(clients, asker)
    await right_again(asker, want)
    Path(f"/proc/{s.actor('w1').pid}/clear_refs").write_text("5")  # its peak begins anew
    before, took = s.actor("w1").rss_kib(), []
    for question in BOTH * 2:
        begin = now()
        answer = await ask(asker, question, within=10)
        took.append(round((now() - begin) * 1000))
        assert not isinstance(answer, str), answer
        check(question, answer, want)
    status = Path(f"/proc/{s.actor('w1').pid}/status").read_text()
    grown = int(status.split("VmHWM:")[1].split()[0]) - before
    print(f"50,000 channels: getnumchannels {took[0]} and {took[2]} ms, getchannelinfo {took[1]} and {took[3]} ms, "
          f"{len(asker.frames[-1])} bytes; the asking worker's memory {before} + {grown} KiB")
    assert grown < 64 * 1024, f"w1 grew by {grown} KiB"


async def ask_and_ask(client, stop):
    asked = 0
    while not stop.is_set():
        answer = await ask(client, BOTH[asked % 2], within=15)
        assert not isinstance(answer, str), answer
        asked += 1
    return asked


@play("20 clients that ask all the time do not disturb the order, or the states, of a client of the carousel", within=120)
async def askers_in_a_loop(s):
    s.streams_listener()
    await s.house("m1", workers=WORKERS)
    watchers = [await s.client(f"watcher.{on}", on=on) for on in WORKERS]
    for watcher in watchers:
        await watcher.subscribe(kind="all_events")
    clients = await crowd(s, 20, random.Random(10), ["a", "b", "c", "d"], most=4)
    asking = [lambda stop, c=c: ask_and_ask(c, stop) for c in list(clients)[:20]]
    async with meanwhile(20, *asking) as counts:
        for position in (5, 25, 1, 20, 3, 14):
            await watchers[0].move("m1", position)
            for watcher in watchers:
                await watcher.hear("command_completed", success=True, position=position, within=10)
                await watcher.sees("m1", position=position)
    assert min(counts) > 0, counts
    texts = {tuple(json.dumps(state) for state in watcher.states("m1")[1:]) for watcher in watchers}
    assert len(texts) == 1, "they saw different states"
