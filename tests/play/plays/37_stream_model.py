"""Thousands of random steps on streams, against the model of stagecraft/stream_model.py: who must hear what, in which order, who may,
and who must not.

Clients on three workers open streams, add to them, close, send (to one stream, to several, to more than the 16 that a record of the ring
names), come, go, and end with a TCP reset, while workers and the broker are killed, stopped and started again. An ear on each
worker, with all streams open, shows the one order of everything. A *cut* waits until everybody has all that he is owed, and
judges; in between nobody waits for anything, so that some things are said while others are on their way: then the model
knows what may be. What is said is carried out at some time between the saying and the answer to a ping behind it, which most
steps wait for; so most of what the model knows is a must or a must not.

Who ended in whatever way is owed nothing; what he heard must have no hole. What the last words were of one who was reset, or whose worker
was killed, is lost for everybody or for nobody. The broker's death loses nothing, doubles nothing, and changes no order. Here nobody is
slow, so nobody may be closed (36_slow_streams.py).

`--seed N` repeats a run's dice (processes keep their own time: the same plan, not the same run), `--seconds N` makes it longer
than its 4,000 steps. tests/fault/defects has mistakes that this play must find, selftest spoils histories for the model.
"""
import asyncio
import os
import random
from collections import Counter

from websockets import WebSocketException

from stagecraft.connection import Gone
from stagecraft.registry import play
from stagecraft.stage import serves
from stagecraft.stream_model import StreamModel, count_by_stream
from stagecraft.talker import Talker
from stagecraft.wait import Late, now, until

STEPS = 4000
SECONDS = float(os.environ.get("NORIA_PLAY_SECONDS", "0"))
WORKERS = ["w1", "w2", "w3"]
NARROW = [f"s{n}" for n in range(20)]
WIDE = NARROW + [f"wide/{n}/ä" for n in range(60)]
CONTROL = "control"  # a stream of the play's own
PLACES = 14          # clients at a time
DEEDS = {"send": 44, "burst": 5, "open": 16, "open_wide": 2, "close": 6, "err": 2, "come": 12, "go": 3, "reset": 3, "cut": 10,
         "kill": 1.5, "stop": 1.5, "go_on": 8}
VICTIMS = ["b1", "b1", *WORKERS]


class Forum:
    def __init__(self, s, seed):
        self.s, self.dice, self.model = s, random.Random(seed), StreamModel()
        self.ears, self.talkers, self.control = {}, [], None
        self.down, self.stopped = [], []
        self.count, self.done = 0, Counter()

    # --- building -----------------------------------------------------------------------------------------------------

    async def build(self):
        self.s.streams_listener()
        self.s.set("websocket", max_messages_per_s=0)
        self.s.machine("m1")
        await self.s.broker()
        for worker in WORKERS:
            await self.s.cast_with_doors(worker, streams={"dialects": ["streams"]}).start()
        for worker in WORKERS:
            await self.ear(worker)
        await self.make_control()
        self.model.begin()

    async def ear(self, worker):
        self.ears[worker] = await self.connect(f"ear.{worker}", worker, ear=True)
        await self.ears[worker].opens(CONTROL, *WIDE)
        await self.ears[worker].settles()

    async def make_control(self):
        self.control = await self.connect("control", self.dice.choice(WORKERS))
        await self.control.opens(CONTROL)
        await self.control.settles()

    async def connect(self, name, worker=None, ear=False):
        """To this worker, or to the one that the kernel chooses. A new name each time, because texts begin with it."""
        self.count += 1
        port = self.s.actor(worker).doors["streams"] if worker else self.s.streams_port
        path = self.dice.choice(["/", "/websocket"])
        talker = await Talker(f"{name}.{self.count}", f"ws://127.0.0.1:{port}{path}").connect()
        worker = worker or next(w for w in WORKERS if w not in self.down and serves(self.s.actor(w), port, talker.local_port))
        talker.worker = worker
        self.s.clients[talker.name] = talker
        return talker.meets(self.model, f"{worker}#{self.s.actor(worker).starts}", ear)

    def forget(self, talker):
        talker.keep_rules()
        del self.s.clients[talker.name]
        if talker in self.talkers:
            self.talkers.remove(talker)

    # --- deeds ----------------------------------------------------------------------------------------------------------

    async def step(self):
        deed = self.dice.choices(list(DEEDS), list(DEEDS.values()))[0]
        if await getattr(self, deed)() is not False:
            self.done[deed] += 1

    def somebody(self):
        return self.dice.choice(self.talkers) if self.talkers else None

    async def when_said(self, talker):
        """Mostly waits until it is carried out."""
        if talker.worker not in self.stopped and self.dice.random() < 0.8:
            await talker.settles()

    async def send(self):
        talker = self.somebody()
        if talker is None:
            return False
        for _ in range(self.dice.choice([1, 1, 1, 2, 3])):
            await talker.sends(self.dice.choice(["", "", " ä€🎡\0\"", " x" * self.dice.randrange(300)]))

    async def burst(self):
        talker = self.somebody()
        if talker is None:
            return False
        for _ in range(self.dice.randrange(10, 50)):
            await talker.sends()
        if self.dice.random() < 0.1:
            await talker.sends("!" * 40000)

    async def open(self):
        talker = self.somebody()
        if talker is None:
            return False
        await talker.opens(*self.dice.sample(NARROW, self.dice.choice([1, 1, 2, 3])))
        await self.when_said(talker)

    async def open_wide(self):
        talker = self.somebody()
        if talker is None:
            return False
        await talker.opens(*self.dice.sample(WIDE, self.dice.randrange(17, 60)))
        await self.when_said(talker)

    async def close(self):
        talker = self.somebody()
        if talker is None:
            return False
        await talker.closes()
        await self.when_said(talker)

    async def err(self):
        talker = self.somebody()
        if talker is None:
            return False
        await talker.errs(self.dice.choice(["nonsense", '{"ws_op":"shout"}', '{"ws_op":"open"}']))

    async def come(self):
        serving = [w for w in WORKERS if w not in self.down + self.stopped]
        if len(self.talkers) >= PLACES or not serving:
            return False
        anywhere = len(serving) == len(WORKERS) and self.dice.random() < 0.3
        talker = await self.connect("c", None if anywhere else self.dice.choice(serving))
        self.talkers.append(talker)
        await talker.opens(*self.dice.sample(NARROW, self.dice.choice([1, 2, 4])))
        await self.when_said(talker)

    async def go(self):
        talker = self.somebody()
        if talker is None or talker.worker in self.stopped:
            return False
        await talker.close()
        talker.conn.ends(all_was_read=True)
        self.forget(talker)

    async def reset(self):
        talker = self.somebody()
        if talker is None:
            return False
        talker.conn.ends(all_was_read=False)
        await Talker.reset(talker)
        self.forget(talker)

    async def kill(self):
        """Not the last of those whose ears have been there since the last cut."""
        victim = self.dice.choice(VICTIMS)
        if victim in self.down:
            return False
        if victim == "b1":
            await self.s.actor("b1").kill()
        else:
            lifelong = self.model.lifelong_ears()
            if not [ear for ear in lifelong if ear is not self.ears[victim].conn]:
                return False
            await self.kill_worker(victim)
        if victim in self.stopped:
            self.stopped.remove(victim)
        self.down.append(victim)
        self.done[f"kill {victim}"] += 1

    async def kill_worker(self, victim):
        actor = self.s.actor(victim)
        life = f"{victim}#{actor.starts}"
        await actor.kill()
        for talker in [*self.talkers, self.ears.pop(victim), self.control]:
            if talker is not None and talker.worker == victim:
                code = await talker.closed()
                assert code == 1006, f"{talker} was closed with {code} when its worker was killed"
                self.forget(talker)
        if self.control is not None and self.control.worker == victim:
            self.control = None
        self.model.worker_died(life)

    async def stop(self):
        victim = self.dice.choice(VICTIMS)
        if victim in self.down or self.stopped:
            return False
        self.s.actor(victim).pause()
        self.stopped.append(victim)

    async def go_on(self):
        """The broker first: a worker is ready when it has met one."""
        waiting = self.stopped + self.down
        if not waiting:
            return False
        victim = "b1" if "b1" in waiting else waiting[0]
        if victim in self.stopped:
            self.stopped.remove(victim)
            self.s.actor(victim).resume()
            return
        self.down.remove(victim)
        await self.s.actor(victim).start()
        if victim != "b1":
            await self.ear(victim)

    # --- cuts -----------------------------------------------------------------------------------------------------------

    async def cut(self):
        while self.down or self.stopped:
            await self.go_on()
        if self.control is None:
            await self.make_control()
        everybody = [*self.talkers, *self.ears.values()]
        for talker in everybody:
            talker.keep_rules()
            assert talker.connected, f"{talker} was closed with {talker.close_code} {talker.close_reason!r}"
            await talker.settles()
        for ear in self.model.lifelong_ears():
            try:
                await until(f"{ear} to hear everything", lambda e=ear: not self.model.awaited_by(e), within=10)
            except Late as late:
                raise AssertionError(f"lost: {late}: {self.model.awaited_by(ear)[:5]}") from None
        mark = await self.control.sends()
        for ear in self.ears.values():
            await until(f"{ear} to hear the cut", lambda e=ear: mark in e.conn.texts, within=10)
        await asyncio.gather(*(talker.has_all() for talker in self.talkers))
        complaints = self.model.judge(mark)
        assert not complaints, f"{len(complaints)} complaints: " + "; ".join(complaints[:6])

    async def the_end(self):
        """What the server itself says of its channels."""
        await self.cut()
        counts = count_by_stream(c.conn for c in [*self.talkers, *self.ears.values(), self.control])
        asker = await self.s.streamer("asker")
        answer = await asker.admin("getnumchannels()")
        said = {row["stream"]: int(row["numchannels"]) for row in answer["streams"]}
        wrong = {stream: (said.get(stream), counts.get(stream)) for stream in said.keys() | counts.keys()
                 if said.get(stream) != counts.get(stream)}
        assert not wrong, f"channels, said and known: {wrong}"


async def random_run(s, seed):
    forum = Forum(s, seed)
    await forum.build()
    steps, end = 0, now() + SECONDS
    while steps < STEPS or now() < end:
        try:
            await forum.step()
        except (Gone, OSError, WebSocketException) as error:
            raise AssertionError(f"step {steps}: {error}") from error
        steps += 1
    await forum.the_end()
    return forum, steps


@play("whatever happens on streams: each message to all that it is for, once, in order, and to nobody else", "asan",
      within=180 + SECONDS)
async def whatever_happens(s):
    seed = int(os.environ.get("NORIA_PLAY_SEED", random.SystemRandom().randrange(10 ** 6)))
    try:
        forum, steps = await random_run(s, seed)
        model = forum.model
        print(f"seed {seed}: {steps} steps {dict(forum.done)}; {model.relayed} messages; known of listeners: {model.musts} had to "
              f"hear, {model.nots} not to, {model.mays} might and did")
        assert model.relayed > 1000 and model.mays * 5 < model.musts, "not much was known"
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error
