"""chatter.py: clients of the streams dialect, as a part of the load: they come and go on workers that die, open streams that overlap, send and
listen. Everything is told to the model of the plays (stagecraft/stream_model.py), which judges once, at the end of a house.

The ear and the control client live on w3, which nobody kills. A worker's life is "w1#4": its name and how often it was started.
"""
import asyncio

from stagecraft.stream_model import StreamModel
from stagecraft.talker import Talker
from stagecraft.wait import next_look, until

from load import CONNECT_ERRORS

STREAMS = [f"s{n}" for n in range(6)]
MANY = [f"many/{n}" for n in range(30)]  # with these a message names more streams than a record of the ring
CONTROL = "control"
EARS = "w3"


class Chat:
    """The model, the ears, and all chatters of a house."""

    def __init__(self, house, chatters, draw):
        self.house, self.model = house, StreamModel()
        self.chatters = [Chatter(self, f"chatter{n}", draw()) for n in range(chatters)]
        self.ear = self.control = None
        self.complaints, self.count = [], 0

    async def begin(self):
        self.ear = await self.connect("ear", EARS, ear=True)
        await self.ear.opens(CONTROL, *STREAMS, *MANY)
        self.control = await self.connect("control", EARS)
        await self.control.opens(CONTROL)
        for talker in (self.ear, self.control):
            await talker.settles()
        self.model.begin()

    def life(self, worker):
        return f"{worker}#{self.house.stage.actor(worker).starts}"

    def is_over(self, life):
        worker = life.split("#")[0]
        return life != self.life(worker) or not self.house.stage.actor(worker).alive

    async def connect(self, name, worker, ear=False):
        self.count += 1
        url = f"ws://127.0.0.1:{self.house.stage.actor(worker).doors['streams']}/"
        life = self.life(worker)
        talker = await Talker(f"{name}.{self.count}", url).connect()
        if life != self.life(worker):  # it died and was started again meanwhile: which one is this?
            await talker.close()
            raise OSError("a new life")
        return talker.meets(self.model, life, ear)

    async def finish(self):
        """Nobody says anything any more. Everybody gets what he is owed; then the model judges."""
        for chatter in self.chatters:
            await chatter.look()
        talkers = [c.talker for c in self.chatters if c.talker is not None]
        for life in {conn.worker for conn in self.model.conns}:
            if self.is_over(life):
                self.model.worker_died(life)
        await asyncio.gather(*(talker.settles() for talker in [self.ear, *talkers]))
        within = self.house.answer_s
        await until("the ear to hear all that was said; it lacks "
                    f"{len(self.model.awaited_by(self.ear.conn))}", lambda: not self.model.awaited_by(self.ear.conn), within)
        mark = await self.control.sends()
        await until("the ear to hear the cut", lambda: mark in self.ear.conn.texts, within)
        await asyncio.gather(*(talker.has_all(within) for talker in talkers))
        self.complaints += self.model.judge(mark)

    async def leave(self):
        for talker in [self.ear, self.control, *(c.talker for c in self.chatters)]:
            if talker is not None:
                await talker.close()


class Chatter:
    def __init__(self, chat, name, dice):
        self.chat, self.name, self.dice, self.talker = chat, name, dice, None

    async def run(self):
        house = self.chat.house
        while not house.stop.is_set():
            try:
                if self.talker is None:
                    await self.come()
                await self.say_something()
            except CONNECT_ERRORS:
                await next_look()
            await self.look()
            await house.a_moment(self.dice.random() * 0.05)

    async def come(self):
        house = self.chat.house
        self.talker = await self.chat.connect(self.name, self.dice.choice(house.workers))
        await self.talker.opens(*self.dice.sample(STREAMS, self.dice.randrange(1, 4)))

    async def say_something(self):
        deed = self.dice.random()
        if deed < 0.8:
            for _ in range(self.dice.choice([1, 1, 2, 6])):
                await self.talker.sends()
        elif deed < 0.9:
            await self.talker.opens(*self.dice.sample(STREAMS, 2))
        elif deed < 0.93:
            await self.talker.opens(*self.dice.sample(MANY, 20))
        elif deed < 0.96:
            await self.talker.closes()
            await self.talker.opens(self.dice.choice(STREAMS))
        else:
            talker, self.talker = self.talker, None
            try:
                await talker.close()
            finally:
                self.ended(talker, all_was_read=talker.close_code == 1000)

    async def look(self):
        """Whoever was dropped, was dropped by the death of his worker."""
        talker = self.talker
        if talker is None or talker.connected:
            return
        self.talker = None
        await until(f"the worker of {talker} to be dead: it was closed with {talker.close_code} {talker.close_reason!r}",
                    lambda: self.chat.is_over(talker.conn.worker))
        self.ended(talker, all_was_read=False)

    def ended(self, talker, all_was_read):
        talker.keep_rules()
        if talker.conn.ended is None:
            talker.conn.ends(all_was_read)
