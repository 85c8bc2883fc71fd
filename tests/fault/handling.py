"""handling.py: clients of endpoints and a handler of two processes, as a part of the load. The clients (stagecraft/chatterbox.py) come, talk and go on workers
that die; the handler's processes are killed as a plan says ("h0", "h1"). At the end of a house stagecraft/handled.py judges from the
handlers' own log: on_connect and on_disconnect once for each connection, no message given twice, answers in order.

If a worker and the process that had one of its connections die within TOGETHER_S, nobody is left who knows: such connections are excused, of
them only "twice" is a mistake.
"""
from collections import defaultdict

from stagecraft import handled
from stagecraft.caller import Caller
from stagecraft.chatterbox import ECHO, Chatterbox
from stagecraft.wait import limit, next_look, until

from load import CONNECT_ERRORS

PATHS = ["/play", "/raw"]
TOGETHER_S = 1.0


class Handling:
    """The handler, and all who talk to it."""

    def __init__(self, house, talkers, draw):
        self.house, self.handler = house, house.stage.handlers["play"]
        self.talkers = [Talking(self, f"talking{n}", draw()) for n in range(talkers)]
        self.past, self.count = [], 0
        self.ends = defaultdict(list)  # actor: seconds at which it died
        self.complaints = []

    @staticmethod
    def configure(stage):
        """Deadlines are long: what is to be seen is who died, not who was slow."""
        stage.handler("play", processes=2, deadline_ms=600000, stuck_ms=600000)
        stage.endpoint("/play", "play", schema=ECHO)
        stage.endpoint("/raw", "play")

    def life(self, worker):
        return f"{worker}#{self.house.stage.actor(worker).starts}"

    def is_over(self, life):
        worker = life.split("#")[0]
        return life != self.life(worker) or not self.house.stage.actor(worker).alive

    async def connect(self, worker, path):
        self.count += 1
        name, life = f"e{self.count}", self.life(worker)
        port = self.house.stage.actor(worker).doors["endpoints"]
        client = await Caller(name, f"ws://127.0.0.1:{port}{path}?c={name}", traditional=path == "/raw").connect()
        if life != self.life(worker):  # it died and was started again meanwhile
            await client.close()
            raise OSError("a new life")
        return Chatterbox(client, life)

    # --- the end --------------------------------------------------------------------------------------------------------

    async def finish(self):
        """Everybody gets what he is owed; then the log must be in order."""
        for talking in self.talkers:
            await talking.look()
        living = [talking.box for talking in self.talkers if talking.box is not None]
        for box in living:
            await box.has_all(self.house.answer_s)
        excused = self.excused()
        await until("every on_disconnect that is owed", lambda: not self.owed(excused, living), self.house.answer_s)
        self.complaints += handled.complaints(self.handler.events(), self.handler.deaths, {box.name for box in living}, excused=excused,
                                              answered={box.name for box in living + self.past if box.heard})
        self.complaints += [told for box in living + self.past for told in box.complaints(self.handler)]

    def owed(self, excused, living):
        """Connections whose end no living process has been told; what is wrong for ever is left to the judgement."""
        alive = {actor.pid for actor in self.handler.actors if actor.alive}
        last = {event["who"]: event for event in self.handler.events() if "who" in event}
        names = set(last) - excused - {box.name for box in living}
        return [who for who in names if last[who]["what"] != "disconnect"
                and not (last[who]["what"] in ("open", "closed") and last[who]["pid"] not in alive)]

    def excused(self):
        """Connections of a worker that died close to the death of the process that had them."""
        owners = {event["who"]: event["pid"] for event in self.handler.events() if event["what"] == "open"}
        by_pid = {pid: at for pid, at in self.ends["handler"]}
        found = set()
        for box in self.past:
            worker = box.worker.split("#")[0]
            at = by_pid.get(owners.get(box.name))
            if at is not None and any(abs(at - end) < limit(TOGETHER_S) for end in self.ends[worker]):
                found.add(box.name)
        return found

    async def leave(self):
        for talking in self.talkers:
            if talking.box is not None:
                await talking.box.client.close()

    @property
    def answered(self):
        return sum(box.heard for box in self.past + [t.box for t in self.talkers if t.box is not None])


class Talking:
    def __init__(self, handling, name, dice):
        self.handling, self.name, self.dice, self.box = handling, name, dice, None

    async def run(self):
        house = self.handling.house
        while not house.stop.is_set():
            try:
                if self.box is None:
                    self.box = await self.handling.connect(self.dice.choice(house.workers), self.dice.choice(PATHS))
                await self.talk()
            except CONNECT_ERRORS:
                await next_look()
            await self.look()
            await house.a_moment(self.dice.random() * 0.05)

    async def talk(self):
        deed = self.dice.random()
        if deed < 0.85:
            await self.box.speak(self.dice.choice([1, 1, 3, 20]))
            self.box.look()
        elif deed < 0.93:
            await self.goes(self.box.client.close)
        else:
            await self.goes(self.box.client.reset)

    async def goes(self, way):
        box, self.box = self.box, None
        self.handling.past.append(box)
        await way()
        box.client.keep_rules()
        box.look()

    async def look(self):
        """Whoever was dropped, was dropped by the death of his worker."""
        box = self.box
        if box is None or box.client.connected:
            return
        self.box = None
        self.handling.past.append(box)
        await until(f"the worker of {box} to be dead: it was closed with {box.client.close_code} {box.client.close_reason!r}",
                    lambda: self.handling.is_over(box.worker))
        box.client.keep_rules()
        box.look()
