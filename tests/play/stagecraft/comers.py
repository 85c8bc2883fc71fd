"""comers.py: clients who come back whenever they are closed, and know why they may have been.

    Weather         what the play does to the processes: with it every close code and every refused connection has a cause, or is a complaint
    Follower        carousel, with `since`        ChannelFollower   channels, with `since`
    StreamPeer      streams, where nothing resumes; each peer says and hears numbered messages
    EndpointPeer    an endpoint: one message at a time

    1012 needs a drain, 1001 a stop, 1006 a kill -9 of a worker, each while the connection was there; nothing else ends one. Nobody is refused: whoever is
    turned away in the door complains, but for a kill in that very moment.
"""
import asyncio
import json
from collections import Counter, defaultdict

from websockets import WebSocketException

from .caller import FAILED, UNAVAILABLE
from .channel_frames import CHANNEL_OF
from .connection import Gone
from .httpclient import Cut
from .subscriber import KEPT, KINDS, Subscriber
from .wait import Late, a_moment, now, settle

CONNECT_S = 15.0  # until somebody has heard his first word: longer than a worker's sockets are without a worker, and far below a client's patience
CONNECT_ERRORS = (OSError, EOFError, WebSocketException, Gone, Late, Cut)


class Weather:
    """What was done to the house, and when; what nobody can explain."""

    def __init__(self):
        self.kills, self.drains, self.stops, self.servers = 0, 0, 0, 0  # begun so far; servers: kills of broker and store
        self.draining = 0
        self.closed, self.complaints, self.connects = Counter(), [], Counter()
        self.over = asyncio.Event()

    def killing(self, name):
        """Called before the signal is sent."""
        self.kills += name.startswith("worker")
        self.servers += not name.startswith("worker")

    def drain_begins(self):
        self.drains += 1
        self.draining += 1

    def drain_ends(self):
        self.draining -= 1

    def mark(self):
        return {"kills": self.kills, "drains": self.drains - self.draining, "stops": self.stops}

    def complain(self, text):
        self.complaints.append(text)

    def explains(self, code, reason, since):
        """Whether a connection that began at `since` may have been closed so."""
        self.closed[code] += 1
        cause = {1006: "kills", 1012: "drains", 1001: "stops"}.get(code)
        return cause is not None and getattr(self, cause) > since[cause] and (code != 1012 or bool(reason))

    def judges(self, client, since):
        """A connection that the server closed."""
        if not self.explains(client.close_code, client.close_reason, since):
            self.complain(f"{client.name} was closed with {client.close_code} {client.close_reason!r}; it came at {since}, now {self.mark()}; "
                          f"{client.recent()}")

    async def comes_in(self, who, connect):
        """Connects until it succeeds. An attempt fails only by a kill that falls into it, and is never refused."""
        while True:
            before, begin = self.mark(), now()
            self.connects["tried"] += 1
            try:
                return await connect()
            except CONNECT_ERRORS as error:
                if isinstance(error, ConnectionRefusedError) or self.kills == before["kills"]:
                    self.complain(f"{who} was turned away after {now() - begin:.3f} s: {type(error).__name__} {error}")
                self.connects["failed"] += 1
                if self.over.is_set() or len(self.complaints) > 20:
                    raise
                await a_moment(0.01)


async def greeted(client, hello):
    """The first words. Who is closed meanwhile is judged as everybody is who is closed."""
    try:
        await hello
    except (Gone, OSError, WebSocketException):
        await settle(f"the end of {client.name}", asyncio.shield(client._reader), CONNECT_S)
    return client


class Comer:
    """What all of them have: a connection, and a task that has it back."""

    def __init__(self, s, weather, name):
        self.s, self.weather, self.name = s, weather, name
        self.client, self.since_weather, self.past = None, None, []

    async def run(self):
        while not self.weather.over.is_set():
            await self.comes()
            await self.stays()
            await self.goes()

    async def comes(self):
        self.since_weather = self.weather.mark()
        self.client = await self.weather.comes_in(self.name, self.connect)

    async def connect(self):
        raise NotImplementedError

    async def stays(self):
        """Until it is closed, or all is over."""
        over = asyncio.ensure_future(self.weather.over.wait())
        await asyncio.wait({self.client._reader, over}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()

    async def goes(self):
        if self.weather.over.is_set():
            return  # finish() wants it
        client, self.client = self.client, None
        client.keep_rules()
        self.weather.judges(client, self.since_weather)
        self.s.clients.pop(client.name, None)
        await client.close()
        self.has_left(client)

    def has_left(self, client):
        pass


class Follower(Comer, Subscriber):
    """Of the carousel dialect. Its frames over all connections are .frames; a Subscriber's rules hold for it."""

    def __init__(self, s, weather, tally, name, kind, machines, dice):
        Subscriber.__init__(self, s, tally, name, kind, machines, dice)
        self.weather, self.since_weather = weather, None

    async def connect(self):
        client = await self.s.client(self.name, welcome=False)
        client.history.repeats_allowed = True
        return await greeted(client, self.hello(client))

    async def hello(self, client):
        await client.next("welcome", within=CONNECT_S)
        await client.say(self.subscription(**({"since": self.since} if self.since else {})))

    def has_left(self, client):
        self.past += client.frames

    def heard(self):
        """[(N, text)] of what is kept."""
        return [(f.seq[1], f.text) for f in self.frames if f.type in KEPT]

    def wants(self, frame):
        return frame.type in KINDS[self.kind] and (self.all or frame["machine_id"] in self.machines)


class ChannelFollower(Comer):
    def __init__(self, s, weather, name, channel):
        super().__init__(s, weather, name)
        self.channel = channel

    @property
    def frames(self):
        return self.past + (self.client.frames if self.client else [])

    async def connect(self):
        since = next((f["seq"] for f in reversed(self.past) if "seq" in f), None)
        client = await self.s.channel(self.name, self.channel, since=since, joined=False)
        return await greeted(client, client.joined(within=CONNECT_S))

    def has_left(self, client):
        self.past += client.frames

    def heard(self):
        """[(N, text)] of events."""
        return [(f.seq[1], f.text) for f in self.frames if f.type == "entity_event"]

    def wants(self, frame):
        return self.channel in ("general", CHANNEL_OF[frame["entity_type"]])


class StreamPeer(Comer):
    """Says "NAME/NUMBER" to all, and hears everybody."""

    STREAM = "hall"

    def __init__(self, s, weather, name):
        super().__init__(s, weather, name)
        self.said, self.number = [], 0  # for each connection, what was said there; .past: what was heard there

    async def connect(self):
        client = await self.s.streamer(self.name)
        return await greeted(client, client.open(self.STREAM))

    async def stays(self):
        self.said.append([])
        while self.client.connected and not self.weather.over.is_set():
            self.number += 1
            self.said[-1].append(self.number)
            try:
                await self.client.send(f"{self.name}/{self.number}")
            except (OSError, WebSocketException):
                break
            await a_moment(0.03)
        await asyncio.wait({self.client._reader}, timeout=0 if self.weather.over.is_set() else CONNECT_S)

    def has_left(self, client):
        self.past.append(client.heard())

    def heard(self):
        """For each connection {sender: [numbers]}."""
        found = []
        for texts in self.past + ([self.client.heard()] if self.client else []):
            of = defaultdict(list)
            for text in texts:
                sender, _, number = text.partition("/")
                of[sender].append(int(number))
            found.append(of)
        return found


class EndpointPeer(Comer):
    """Asks an echo, and has each answer before it asks again."""

    def __init__(self, s, weather, name, path):
        super().__init__(s, weather, name)
        self.path, self.asked, self.answers, self.doors = path, 0, Counter(), 0
        self.unanswered = []  # (connection, number): closed before its answer came

    async def connect(self):
        self.doors += 1
        return await self.s.caller(f"{self.name}.{self.doors}", self.path)

    async def stays(self):
        while self.client.connected and not self.weather.over.is_set():
            self.asked += 1
            try:
                await self.client.say(json.dumps({"n": self.asked}))
                self.takes(await self.client.next(within=CONNECT_S))
            except (OSError, WebSocketException, Gone):
                self.unanswered.append((self.client.name, self.asked))
                break
            await a_moment(0.02)
        if not self.weather.over.is_set():
            await settle(f"{self.name} to be closed", asyncio.shield(self.client._reader), CONNECT_S)

    def takes(self, answer):
        self.answers[answer.status] += 1
        right = answer.status == 200 and answer.body["n"] == self.asked
        excused = self.weather.servers and answer.body in (FAILED, UNAVAILABLE)
        if not right and not excused:
            self.weather.complain(f"{self.name} asked {self.asked} and was told {answer}")
