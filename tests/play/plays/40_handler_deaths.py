"""on_connect and on_disconnect exactly once for each connection, whoever ends and however: the client, its line, its worker, the handler's process.

Judged from the handlers' own log by stagecraft/handled.py. A handler's process dies at places that it is told beforehand, so that each moment
of the protocol is met every time; then everybody dies at random (`storm`), again judged by what must be, not by when.
"""
import asyncio
import os
import random
from collections import Counter

from websockets import WebSocketException

from stagecraft.caller import FAILED, TIMEOUT
from stagecraft.chatterbox import ECHO, Chatterbox
from stagecraft.connection import Gone
from stagecraft.handled import assert_once
from stagecraft.registry import play
from stagecraft.wait import now, until

SECONDS = float(os.environ.get("NORIA_PLAY_SECONDS", "0"))


async def clinic(s, *workers, processes=2, **settings):
    handler = s.handler("play", processes, **settings)
    s.endpoint("/play", "play", schema=ECHO)
    s.endpoint("/raw", "play")
    await s.endpoints_house(*workers)
    return handler


# --- the client ends ------------------------------------------------------------------------------------------------------


@play("clients that close, are cut off, vanish, or do not read: on_disconnect once, with nothing under way or much", "asan", within=120)
async def clients_end(s):
    s.set("websocket", ping_interval_ms=1000, ping_timeout_ms=500)
    s.set("slow_clients", hard_kib=1024)
    handler = await clinic(s, "w1", "w2", deadline_ms=500)  # a connection that is not read is not seen to end until something is answered
    ways = {"close": lambda c: c.close(), "reset": lambda c: c.reset(), "vanish": vanish, "slow": slow}

    async def end(name, path, busy, on):
        who = f"{name}{path[1:]}{busy}"
        client = await s.caller(who, path, on=on)
        for k in range(20 if busy else 0):  # of which 16 are under way
            await client.act(["hold"], n=k)
        await handler.notes("message", 16 if busy else 0, who=who)
        await ways[name](client)
        await handler.notes("disconnect", who=who, within=20)
        client.socket.transport.abort()

    await asyncio.gather(*(end(name, path, busy, f"w{n % 2 + 1}") for n, name in enumerate(ways)
                           for path, busy in (("/play", False), ("/raw", False), ("/play", True))))
    assert_once(handler)


async def vanish(client):
    """Answers no ping any more: its host has lost its power."""
    client.socket.transport.pause_reading()


async def slow(client):
    client.stop_reading()
    await client.act(["send_many", 1500, 16000], n=99)


@play("a connection that ends before anybody took it has neither on_connect nor on_disconnect; one that was taken has both", "asan")
async def ends_untaken(s):
    handler = await clinic(s, "w1", processes=1)
    await handler.kill(0)
    for n in range(3):
        client = await s.caller(f"early{n}", "/play")
        await client.say({"n": 1})
        await client.taken()
        await (client.close if n % 2 else client.reset)()
    stays = await s.caller("stays", "/play")
    await handler.start(0)
    await stays.ask({"n": 1}, 200)
    later = await s.caller("later", "/play")
    await later.ask({"n": 1}, 200)
    assert not [e for e in handler.events() if e.get("who", "").startswith("early")]
    assert_once(handler, still_open=("stays", "later"), answered=("stays", "later"))


@play("a connection that ends while its OPEN is with a process that does not take it: neither, or both, never one")
async def ends_in_between(s):
    handler = await clinic(s, "w1", processes=1)
    await handler.order(0, "deaf", on=True)
    names = [f"c{n}" for n in range(20)]
    for name in names:
        client = await s.caller(name, "/play")
        await client.reset()
    last = await s.caller("last", "/play")
    await handler.order(0, "deaf", on=False)
    await last.ask({"n": 1}, 200)
    await until("every connection that was opened to be closed", lambda: all(
        handler.heard("disconnect", who=e["who"]) for e in handler.heard("open") if e["who"] in names))
    assert_once(handler, still_open=("last",))


# --- the process ends, at each moment -----------------------------------------------------------------------------------


@play("dies with an OPEN that it had not taken: another process gets it as new", "asan")
async def dies_before_open(s):
    handler = await clinic(s, "w1")
    await handler.order(0, "die_at", what="open")
    names = await two_apart(s, handler, settled=False)
    await handler.died(0)
    for name in names:
        await s.clients[name].ask({"n": 1}, 200)
    assert not handler.heard("resume")
    assert_once(handler, still_open=names, answered=names)


async def two_apart(s, handler, settled=True):
    """Two connections at one worker, one at each process."""
    names = ("a", "b")
    for name in names:
        await s.caller(name, "/play", on="w1")
        if settled:
            await handler.notes("connect", who=name)
    if settled:
        assert {handler.process_of(name) for name in names} == {0, 1}, "not the one with the fewest connections"
    return names


@play("dies when it has taken an OPEN: the other gets it resumed, and runs no on_connect", "asan")
async def dies_after_open(s):
    handler = await clinic(s, "w1")
    await handler.order(0, "die_at", what="open taken")
    names = await two_apart(s, handler, settled=False)
    await handler.died(0)
    for name in names:
        await s.clients[name].ask({"n": 1}, 200)
    assert len(handler.heard("resume")) == 1, handler.heard("open")
    assert_once(handler, still_open=names, answered=names)


@play("dies with messages: 500 for those that it had, each once; what had not been written goes to the other, in order", "asan")
async def dies_with_messages(s):
    handler = await clinic(s, "w1")
    names = await two_apart(s, handler)
    for name in names:
        for n in range(5):
            await s.clients[name].act(["hold"], n=n)
        await handler.notes("message", 5, who=name)
    victim = handler.process_of("a")
    await handler.kill(victim)
    for _ in range(5):
        await s.clients["a"].next(500, FAILED)
    await handler.notes("resume", who="a")
    for n in range(5, 9):
        await s.clients["a"].ask({"n": n}, 200, {"n": n, "do": []})
    for n in range(5):
        await handler.order(1 - victim, "answer", who="b", n=n, body=n)
    for n in range(5):
        await s.clients["b"].next(200, n)
    await handler.start(victim)
    await handler.met("w1")
    await s.clients["a"].ask({"n": 9}, 200)
    assert_once(handler, still_open=names, answered=names)


@play("dies by the message itself, again and again: each is 500, none is given twice, the next is served", "asan", within=120)
async def dies_by_message(s):
    handler = await clinic(s, "w1", processes=1)
    client, other = await s.caller("c1", "/play"), await s.caller("c2", "/raw")
    for n in range(0, 20, 2):
        await client.act(["die"], n=n)
        await client.next(500, FAILED)
        await handler.died(0)
        await handler.start(0)
        await client.ask({"n": n + 1}, 200, {"n": n + 1, "do": []})
        await other.say("7")
        await other.raw("7")
    assert_once(handler, still_open=("c1", "c2"), answered=("c1", "c2"))


@play("dies with a CLOSED that it had not taken: another gets the connection resumed, and its CLOSED", "asan")
async def dies_before_closed(s):
    handler = await clinic(s, "w1")
    await two_apart(s, handler)
    victim = handler.process_of("a")
    await handler.order(victim, "die_at", what="closed")
    await s.clients["a"].close()
    await handler.died(victim)
    await handler.notes("disconnect", who="a")
    assert len(handler.heard("resume", who="a")) == 1
    assert_once(handler, still_open=("b",))


@play("dies when it has taken a CLOSED: that was the call, and it is not repeated")
async def dies_after_closed(s):
    handler = await clinic(s, "w1")
    names = await two_apart(s, handler)
    victim = handler.process_of("a")
    await handler.order(victim, "die_at", what="closed taken")
    await s.clients["a"].close()
    await handler.died(victim)
    await s.clients["b"].ask({"n": 1}, 200)
    await handler.start(victim)
    await handler.met("w1")
    assert not handler.heard("resume", who=names[0])
    assert_once(handler, still_open=("b",))


@play("both processes die at once with everything open: when one is back it has them all, resumed", "asan", within=120)
async def both_die(s):
    handler = await clinic(s, "w1", "w2")
    names = [f"c{n}" for n in range(12)]
    for n, name in enumerate(names):
        await (await s.caller(name, "/play", on=f"w{n % 2 + 1}")).ask({"n": 0}, 200)
    gone = names[:3]
    for k in (0, 1):
        handler.actors[k].told_to_end = True
        handler.actors[k].pause()
    for name in gone:  # nobody hears of their end
        await s.clients[name].reset()
    for name in names[3:]:
        await s.clients[name].taken()
    for k in (0, 1):
        await handler.kill(k)
    await handler.start(1)
    for name in names[3:]:
        await s.clients[name].ask({"n": 1}, 200)
    for name in gone:
        await handler.notes("disconnect", who=name)
    await handler.start(0)
    await handler.met("w1", "w2")
    assert_once(handler, still_open=names[3:], answered=names)


# --- the worker ends --------------------------------------------------------------------------------------------------------


@play("a worker stopped, or killed: on_disconnect for each of its connections, after all that it had brought", "asan", within=120)
async def worker_ends(s):
    handler = await clinic(s, "w1", "w2")
    for way in ("stop", "kill", "stop", "kill"):
        start = s.actor("w1").starts
        names = [f"{way}{start}.{n}" for n in range(10)]
        for n, name in enumerate(names):
            client = await s.caller(name, ("/play", "/raw")[n % 2], on="w1")
            await client.act(["hold"], n=1)
        for name in names:
            await handler.notes("message", who=name)
        await getattr(s.actor("w1"), way)()
        for name in names:
            await handler.notes("disconnect", who=name)
            assert await s.clients[name].closed() == (1001 if way == "stop" else 1006)
        assert_once(handler)
        await s.actor("w1").start()
        await handler.met("w1", "w2")
        await s.mark()


@play("a worker killed while a handler has not read all: it reads on, and then runs on_disconnect", "asan")
async def worker_dies_unread(s):
    handler = await clinic(s, "w1", "w2", processes=1)
    old = await s.caller("old", "/play", on="w1")
    await old.ask({"n": 0}, 200)
    await handler.order(0, "deaf", on=True)
    await s.caller("new", "/play", on="w1")
    for n in range(1, 9):
        await old.say({"n": n})
    await old.taken()
    await s.clients["new"].taken()
    await s.actor("w1").kill()
    await handler.order(0, "deaf", on=False)
    await handler.notes("disconnect", who="old", why="end")
    assert [e["n"] for e in handler.heard("message", who="old")] == list(range(9))
    assert len(handler.heard("connect", who="new")) == len(handler.heard("disconnect", who="new"))  # nobody could be told that it was taken
    assert_once(handler)


# --- stuck ------------------------------------------------------------------------------------------------------------------


@play("a process that answers nothing for stuck_ms is killed; what it had is 500, or 503 before; its connections go elsewhere", "asan", within=120)
async def stuck(s):
    handler = await clinic(s, "w1", stuck_ms=2000, deadline_ms=1500)
    names = await two_apart(s, handler)
    victim = handler.process_of("a")
    await s.clients["a"].act(["spin"], n=1)
    assert (await s.clients["a"].next(within=20)).status in (500, 503)
    assert await handler.died(victim, within=30) == -9
    await s.clients["a"].ask({"n": 2}, 200, {"n": 2, "do": []})
    await s.clients["b"].ask({"n": 1}, 200)
    assert len(handler.heard("resume", who="a")) == 1
    assert_once(handler, still_open=names, answered=names)


@play("a process with nothing to do is not stuck; nor is one that answers others while it keeps one message for ever")
async def not_stuck(s):
    handler = await clinic(s, "w1", processes=1, stuck_ms=1500, deadline_ms=1500)
    other, kept = await s.caller("other", "/play"), await s.caller("kept", "/play")
    await kept.act(["hold"], n=1)
    begin, n = now(), 0
    while now() - begin < 3.5:  # it is the answers that show that it lives, however long that takes
        n += 1
        await other.ask({"n": n}, 200)
    await kept.next(503, TIMEOUT)
    await handler.order(0, "answer", who="kept", n=1, body="at last, too late")
    await kept.ask({"n": 2}, 200, {"n": 2, "do": []})
    assert handler.actors[0].alive and len(handler.heard("start")) == 1


# --- everybody, at random ---------------------------------------------------------------------------------------------------


class Storm:
    """Clients come, talk and go; handler processes and workers die. Two never die together, but when the dice say so: then the connections of
    that worker are excused (handled.py)."""

    DEEDS = {"come": 20, "speak": 40, "leave": 8, "reset": 8, "kill_handler": 8, "kill_worker": 2, "stop_worker": 2, "together": 1, "look": 6}
    PLACES = 16

    def __init__(self, s, seed, processes=2):
        self.s, self.dice, self.processes = s, random.Random(seed), processes
        self.boxes, self.past, self.excused = [], [], set()
        self.workers, self.count, self.done = ["w1", "w2"], 0, Counter()

    async def build(self):
        self.s.set("websocket", max_messages_per_s=0)
        self.handler = await clinic(self.s, *self.workers, processes=self.processes)

    async def step(self):
        deed = self.dice.choices(list(self.DEEDS), list(self.DEEDS.values()))[0]
        if await getattr(self, deed)() is not False:
            self.done[deed] += 1

    def somebody(self):
        return self.dice.choice(self.boxes) if self.boxes else None

    async def come(self):
        if len(self.boxes) >= self.PLACES:
            return False
        self.count += 1
        worker = self.dice.choice(self.workers)
        client = await self.s.caller(f"c{self.count}", self.dice.choice(["/play", "/raw"]), on=worker)
        self.boxes.append(Chatterbox(client, worker))

    async def speak(self):
        box = self.somebody()
        if box is None:
            return False
        await box.speak(self.dice.choice([1, 1, 2, 5, 20]))

    async def look(self):
        box = self.somebody()
        if box is None:
            return False
        await box.has_all()

    async def leave(self):
        box = self.somebody()
        if box is None:
            return False
        if self.dice.random() < 0.5:
            await box.has_all()
        await box.client.close()
        self.forget(box)

    async def reset(self):
        box = self.somebody()
        if box is None:
            return False
        await box.client.reset()
        self.forget(box)

    def forget(self, box):
        box.client.keep_rules()
        box.look()
        del self.s.clients[box.name]
        self.boxes.remove(box)
        self.past.append(box)

    async def kill_handler(self):
        victims = [0] if self.processes == 1 else self.dice.choice([[0], [1], [0], [1], [0, 1]])
        for k in victims:
            await self.handler.kill(k)
        if self.dice.random() < 0.3:
            await self.come()
            await self.speak()
        for k in victims:
            await self.handler.start(k)

    async def settled(self):
        """Every connection is with a process that lives, and every end is known to one."""
        def look():
            return [w for w in [*(b.name for b in self.boxes)] if self.handler.owner(w) not in self.alive()] + self.unfinished()
        await until("all connections to be with living processes", lambda: not look(), 20)

    def alive(self):
        return {actor.pid for actor in self.handler.actors if actor.alive}

    def unfinished(self):
        """Connections that ended and whose on_disconnect is still to come."""
        names = {box.name for box in self.past} - self.excused
        ended = {e["who"] for e in self.handler.heard("disconnect")}
        owners = {}
        for event in self.handler.events():
            if event.get("who") in names:
                owners[event["who"]] = event
        lost = {who for who, event in owners.items() if event["what"] == "closed" and event["pid"] not in self.alive()
                or event["what"] == "open" and event["pid"] not in self.alive()}
        return [who for who in owners if who not in ended and who not in lost]

    async def worker_ends(self, way, excused):
        victim = self.dice.choice(self.workers)
        mine = [box for box in self.boxes if box.worker == victim]
        await getattr(self.s.actor(victim), way)()
        if excused:
            for k in range(self.processes):
                await self.handler.kill(k)
            self.excused |= {box.name for box in mine}
        for box in mine:
            code = await box.client.closed()
            assert code == (1001 if way == "stop" else 1006), f"{box.name} was closed with {code}"
            self.forget(box)
        for k in range(self.processes) if excused else ():
            await self.handler.start(k)
        if not excused:
            await self.settled()
        await self.s.actor(victim).start()
        await self.handler.met(*self.workers)

    async def kill_worker(self):
        await self.settled()
        await self.worker_ends("kill", excused=False)

    async def stop_worker(self):
        await self.settled()
        await self.worker_ends("stop", excused=False)

    async def together(self):
        """A worker and all processes, one right behind the other."""
        await self.settled()
        await self.worker_ends("kill", excused=True)

    async def the_end(self):
        for box in list(self.boxes):
            await box.has_all()
        await self.settled()
        still = {box.name for box in self.boxes}
        assert_once(self.handler, still, answered=[b.name for b in self.boxes + self.past if b.was_handled], excused=self.excused)
        told = [complaint for box in self.boxes + self.past for complaint in box.complaints(self.handler)]
        assert not told, "; ".join(told[:6])


async def storm(s, seed, steps, processes):
    run = Storm(s, seed, processes)
    await run.build()
    done, end = 0, now() + SECONDS
    while done < steps or now() < end:
        try:
            await run.step()
        except (Gone, OSError, WebSocketException) as error:
            raise AssertionError(f"step {done}: {error}") from error
        done += 1
    await run.the_end()
    connects = len(run.handler.heard("connect"))
    print(f"seed {seed}: {done} steps {dict(run.done)}; {connects} connections, {len(run.handler.heard('resume'))} resumed, "
          f"{len(run.handler.heard('message'))} messages, {sum(len(b.failed) for b in run.boxes + run.past)} of them 500; "
          f"{len(run.handler.deaths)} processes died")
    assert connects > 10


@play("whoever dies: on_connect and on_disconnect once each, answers in order, no message twice; two processes", "asan", within=180 + SECONDS)
async def storm_of_two(s):
    await seeded(s, 600, 2)


@play("the same with one process, so that nobody is there for a while", within=180 + SECONDS)
async def storm_of_one(s):
    await seeded(s, 300, 1)


async def seeded(s, steps, processes):
    seed = int(os.environ.get("NORIA_PLAY_SEED", random.SystemRandom().randrange(10 ** 6)))
    try:
        await storm(s, seed, steps, processes)
    except (AssertionError, asyncio.TimeoutError) as error:
        raise AssertionError(f"seed {seed}: {error}") from error
