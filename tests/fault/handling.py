"""handling.py: clients of endpoints and a handler of two processes, as a part of the load. The clients (stagecraft/chatterbox.py) come, talk and go on workers
that die; the handler's processes are killed as a plan says. At the end of a house stagecraft/handled.py judges from the
handlers' own log: on_connect and on_disconnect once for each connection, no message given twice, answers in order.

If a worker and the process that had one of its connections die within TOGETHER_S, and that one had not noted the worker's end, nobody is left who
knows: such connections are excused, of them only "twice" is a mistake. How many they are is told beside the rest.
"""
from collections import defaultdict

from stagecraft import handled
from stagecraft.caller import Caller
from stagecraft.chatterbox import ECHO, Chatterbox
from stagecraft.wait import limit, next_look, now, until

from load import CONNECT_ERRORS

PATHS = ["/play", "/raw"]
TOGETHER_S = 0.5


class Handling:
    """The handler, and all who talk to it."""

    def __init__(self, house, talkers, draw):
        self.house, self.handler = house, house.stage.handlers["play"]
        self.talkers = [Talking(self, f"talking{n}", draw()) for n in range(talkers)]
        self.past, self.count = [], 0
        self.ends, self.died_at = defaultdict(list), {}  # actor: when it died, each time; the same of handlers' processes by pid
        self.complaints, self.excuses = [], 0

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

    def dies(self, actor):
        """Somebody is killed now, or was a moment ago."""
        self.ends[actor.name].append(now())
        if actor.name[0] == "h":
            self.handler.deaths[actor.pid] = "killed"
            self.died_at[actor.pid] = now()

    # --- the end --------------------------------------------------------------------------------------------------------

    async def finish(self):
        """Everybody gets what he is owed; then the log must be in order."""
        for talking in self.talkers:
            await talking.look()
        living = [talking.box for talking in self.talkers if talking.box is not None]
        for box in living:
            await box.has_all(self.house.answer_s)
        excused = self.excused()
        self.excuses = len(excused)
        await until("every on_disconnect that is owed", lambda: not self.owed(excused, living), self.house.answer_s)
        self.complaints += handled.complaints(self.handler.events(), self.handler.deaths, {box.name for box in living}, excused=excused,
                                              answered={box.name for box in living + self.past if box.was_handled})
        self.complaints += [told for box in living + self.past for told in box.complaints(self.handler)]

    def owed(self, excused, living):
        """Connections whose end no living process has been told; what is wrong for ever is left to the judgement."""
        alive = {actor.pid for actor in self.handler.actors if actor.alive}
        events = self.handler.events()
        last = {event["who"]: event for event in events if "who" in event}
        ended = {(event["pid"], event["link"]) for event in events if event["what"] == "end"}
        names = set(last) - excused - {box.name for box in living}
        return [who for who in names if last[who]["what"] != "disconnect"
                and not (last[who]["what"] in ("open", "closed") and last[who]["pid"] not in alive)
                and not (last[who]["what"] == "open" and (last[who]["pid"], last[who]["link"]) in ended)]  # nobody took it when it ended

    def excused(self):
        """Connections of a worker that died close to the death of the process that had them, before that one knew."""
        events = self.handler.events()
        owners = [{event["who"]: (event["pid"], event["link"]) for event in events if event["what"] in words}
                  for words in (("open",), ("connect", "resume"))]  # who was told of it last, and who had it last
        known = {(event["pid"], event["link"]) for event in events if event["what"] == "end"}
        found = set()
        for box in self.past:
            for owner in (had[box.name] for had in owners if box.name in had):
                at = self.died_at.get(owner[0]) if owner not in known else None
                if at is not None and any(self.apart(at, end) < limit(TOGETHER_S) for end in self.ends[box.worker.split("#")[0]]):
                    found.add(box.name)
        return found

    def apart(self, one, other):
        """Seconds between two deaths; not those in which this process stood still, and so noted the second too late."""
        begin, end = min(one, other), max(one, other)
        return end - begin - self.house.stalls.within(begin, end)

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
