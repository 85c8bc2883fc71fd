"""throng.py: a whole installation (installation.py) under everything that clients do, and what must hold for all of them at the end.

    t = await Throng(s, seed).build("m1", "m2", crowd=300)
    await t.begins()                                everybody is there and speaks
    t.weather.drain_begins() … drain_ends()         what the play does to processes it says first
    await t.finish()                                nobody says anything any more; everybody gets what he is owed; then the judges

Movers command machines with UUIDs, and ask again, elsewhere, when their connection dies. A metronome is turned at a steady rate. Followers hear all of
it, a crowd hears results; scribes write over REST, a connection each, listeners follow the channels, peers talk over streams, others to a handler; and all
the time somebody new comes in by each door. None of them may lose anything but what comers.py explains.
"""
import asyncio
import os
import random
import uuid

from websockets import WebSocketException

from . import handled, owed
from .chatterbox import ECHO
from .comers import CONNECT_ERRORS, CONNECT_S, ChannelFollower, EndpointPeer, Follower, StreamPeer, Weather, greeted
from .connection import Gone
from .entity_model import EntityModel
from .httpclient import get, http_listener
from .installation import Installation
from .subscriber import KEPT, Tally, states_by_seq
from .wait import a_moment, settle, until

METRONOME = "metronome"
FOLLOWERS = [("all_events", None), ("status_updates", None), ("all_events", ["m1"]), ("command_results", ["m1"]), ("all_events", None)]
CHANNELS = ["general", "sensors", "general", "sensors"]
POSITIONS = 26


class Mover:
    """Moves one machine again and again; a command whose connection dies is asked for again under its own name."""

    def __init__(self, t, machine):
        self.t, self.machine, self.asked, self.client, self.since = t, machine, [], None, None
        self.frames = []  # of connections that are gone

    async def run(self):
        while not self.t.resting.is_set():
            await self.move()
            await a_moment(self.t.pace)

    async def move(self):
        """One more; its request_id and answer."""
        request, target = str(uuid.uuid4()), len(self.asked) * 5 % POSITIONS
        self.asked.append([request, target, None])
        self.asked[-1][2] = answer = await self.until_answered(request, target)
        return request, answer

    async def until_answered(self, request, target):
        while True:
            try:
                if self.client is None:
                    self.since = self.t.weather.mark()
                    self.client = await self.t.weather.comes_in(f"mover.{self.machine}", self.connect)
                return await self.once(request, target)
            except (Gone, OSError, WebSocketException):
                await self.goes()  # the same again, on another connection

    async def goes(self):
        client, self.client = self.client, None
        await settle(f"the end of {client.name}", asyncio.shield(client._reader), CONNECT_S)
        self.frames += client.frames
        self.t.weather.judges(client, self.since)

    async def connect(self):
        client = await self.t.s.client(f"mover.{self.machine}", welcome=False)
        client.history.repeats_allowed = True
        return await greeted(client, client.next("welcome", within=CONNECT_S))

    async def once(self, request, target):
        await self.client.move(self.machine, target, request_id=request, deadline_ms=2000)
        answer = await self.client.hear(within=CONNECT_S, request_id=request, test=lambda f: f.type in ("command_result", "error"))
        return answer["code"] if answer.type == "error" else "done"


class Scribe:
    """Writes over REST, each request on a connection of its own."""

    def __init__(self, t, name):
        self.t, self.name, self.count, self.written, self.refused = t, name, 0, {}, 0

    async def run(self):
        while not self.t.resting.is_set():
            await self.write()
            await a_moment(self.t.pace)

    async def write(self):
        """Its row, or None. A 503 needs a store or broker that was killed; no answer, a worker that was."""
        self.count += 1
        model, weather, since = f"{self.name}.{self.count}", self.t.weather, self.t.weather.mark()
        weather.connects["tried"] += 1
        try:
            answer = await self.t.s.api(within=CONNECT_S).post("/sensors", {"tipo": "temperatura", "modelo": model})
        except CONNECT_ERRORS as error:
            if isinstance(error, ConnectionRefusedError) or weather.kills == since["kills"]:
                weather.complain(f"{self.name} wrote {model}: {type(error).__name__} {error}")
            return None
        if answer.status == 201:
            self.written[model] = answer.row("sensor", 201)
            return self.written[model]
        self.refused += 1
        if answer.status != 503 or not weather.servers:
            weather.complain(f"{self.name} wrote {model} and was told {answer!r}")
        return None


class Throng:
    def __init__(self, s, seed):
        self.s, self.seed, self.dice = s, seed, random.Random(seed)
        self.weather, self.tally, self.house = Weather(), Tally(), Installation(s)
        self.resting = asyncio.Event()  # nobody begins anything any more
        self.arrived, self.visited, self.pace = 0, 0, 0.05
        self.loads, self.comings = [], []  # tasks

    # --- building -------------------------------------------------------------------------------------------------------

    async def build(self, *machines, crowd=0, drain_ms=1000, workers=2, **env):
        s = self.s
        s.set("workers", count=workers, drain_ms=drain_ms)
        s.set("machine_defaults", reply_timeout_ms=2000, connect_timeout_ms=2000)
        self.rest_port = http_listener(s)
        s.channels_listener()
        s.streams_listener()
        self.handler = s.handler("play", 2)
        s.endpoint("/play", "play", schema=ECHO)
        s.endpoints_listener()
        self.machines = [*machines, METRONOME]
        await self.house.up(*self.machines, **env)
        await self.handler.up(workers)
        self.movers = [Mover(self, machine) for machine in machines]
        self.scribes = [Scribe(self, f"scribe{n}") for n in range(2)]
        self.followers = [self.follower(f"f{n}", *plan) for n, plan in enumerate(FOLLOWERS)]
        self.crowd = [self.follower(f"c{n}", "command_results", None) for n in range(crowd)]
        self.listeners = [ChannelFollower(s, self.weather, f"l{n}", channel) for n, channel in enumerate(CHANNELS)]
        self.peers = [StreamPeer(s, self.weather, f"p{n}") for n in range(3)]
        self.talkers = [EndpointPeer(s, self.weather, f"e{n}", "/play") for n in range(3)]
        return self

    def follower(self, name, kind, machines):
        return Follower(self.s, self.weather, self.tally, name, kind, machines, random.Random(self.dice.random()))

    @property
    def resuming(self):
        return [*self.followers, *self.crowd, *self.listeners]

    async def begins(self):
        """Everybody has come; then the load."""
        self.comings = [self.begin(comer.run()) for comer in self.resuming]
        await until("everybody to be there", self.all_there, within=30)
        self.comings += [self.begin(comer.run()) for comer in [*self.peers, *self.talkers]]
        loads = [one.run() for one in [*self.movers, *self.scribes]] + [self.metronome(), self.arrivals(), self.visits()]
        self.loads = [self.begin(load) for load in loads]
        await self.flows()

    def begin(self, run):
        self.s.tasks.append(asyncio.ensure_future(run))
        return self.s.tasks[-1]

    def all_there(self):
        self.keep_going()
        return all(c.client is not None and c.client.connected for c in self.resuming)

    def keep_going(self):
        """Raises what went wrong with anybody."""
        for task in [*self.loads, *self.comings]:
            if task.done():
                task.result()
        assert not self.weather.complaints, "\n".join(self.weather.complaints[:10])

    async def flows(self, within=20):
        """Waits until somebody moved, wrote, asked, came and visited, and the metronome was heard of, from now on."""
        def counts():
            self.keep_going()
            return {"asked": sum(len(m.asked) for m in self.movers), "written": sum(len(x.written) for x in self.scribes),
                    "answered": sum(e.answers.total() for e in self.talkers), "arrived": self.arrived, "visited": self.visited,
                    "said": sum(p.number for p in self.peers), "ticks": self.ticks()}
        before = counts()
        await until(f"everything to go on from {before}", lambda: all(counts()[k] > n for k, n in before.items()), within)

    def ticks(self):
        return sum(f.type == "status_broadcast" and METRONOME in f["status"] for f in self.followers[1].frames)

    # --- load -------------------------------------------------------------------------------------------------------------

    async def metronome(self):
        position = 0
        while not self.resting.is_set():
            position = (position + 1) % POSITIONS
            await self.s.simulator.place(METRONOME, position)
            await a_moment(self.pace)

    async def arrivals(self):
        """Somebody new, all the time, who wants to know how things stand."""
        while not self.resting.is_set():
            name, since = f"new{self.arrived}", self.weather.mark()
            client = await self.weather.comes_in(name, lambda n=name: self.newcomer(n))
            self.s.clients.pop(name, None)
            client.keep_rules()
            if client.close_code is not None:
                self.weather.judges(client, since)
            await client.close()
            self.arrived += 1
            await a_moment(self.pace)

    async def newcomer(self, name):
        client = await self.s.client(name, welcome=False)
        client.history.repeats_allowed = True
        return await greeted(client, self.looks_around(client))

    @staticmethod
    async def looks_around(client):
        await client.next("welcome", within=CONNECT_S)
        await client.subscribe()

    async def visits(self):
        """The same over HTTP."""
        while not self.resting.is_set():
            answer = await self.weather.comes_in("a visitor", lambda: get(self.rest_port, "/v1/machines", within=CONNECT_S))
            answer.envelope(200)
            self.visited += 1
            await a_moment(self.pace)

    # --- the end ----------------------------------------------------------------------------------------------------------

    async def finish(self):
        """Markers behind everything; who has them all has everything that will ever come."""
        self.resting.set()
        await asyncio.gather(*self.loads)
        await until("everybody to be there again", self.all_there, within=30)
        await self.machines_end()
        told = await self.told_by_the_store(await self.channels_end())
        self.weather.over.set()
        await asyncio.gather(*self.comings)
        complaints = [*self.weather.complaints, *self.carousel(), *self.channels(*told), *self.streams(), *self.endpoint()]
        assert not complaints, f"{len(complaints)} complaints:\n" + "\n".join(c[:1500] for c in complaints[:12])

    async def machines_end(self):
        markers, truth = {}, {}
        self.movers.append(Mover(self, METRONOME))
        for mover in self.movers:
            markers[mover.machine] = await self.marker(mover)
        for machine in self.machines:
            await self.s.simulator.wait(machine, "idle", within=10)
            seen = await self.s.simulator.get(machine)
            truth[machine] = (int(seen["position"]), int(seen["status"], 16), "connected")
        for follower in [*self.followers, *self.crowd]:
            await until(f"{follower.name} to know {truth} and to hear {markers}; it knows {follower.known()}",
                        lambda f=follower: f.client is not None and f.knows(truth) and f.has_heard(markers), within=20)

    async def marker(self, mover):
        """A last move that everybody hears of."""
        for _ in range(100):
            request, answer = await mover.move()
            if answer == "done":
                return request
            await a_moment(0.05)
        raise AssertionError(f"{mover.machine} takes no moves any more: {answer}")

    async def channels_end(self):
        row = await until("a last row to be written", self.scribes[0].write, within=20)
        for listener in self.listeners:
            await until(f"{listener.name} to hear of {row}", lambda x=listener: tells_of(x.frames, row), within=20)
        return row

    async def told_by_the_store(self, last):
        """Its events from the beginning to that of the row `last`, whose address it notes a little later; and its rows."""
        api = self.s.api()

        async def events():
            frames = [f for f in await api.all_events() if f.type == "entity_event"]
            return frames if tells_of(frames, last) else None
        return await until(f"the store to note the event of {last}", events, within=20), await api.all("sensor")

    # --- judging ------------------------------------------------------------------------------------------------------------

    def carousel(self):
        complaints, clients = [], [*self.followers, *self.crowd]
        frames = [f for c in clients for f in c.frames] + [f for m in self.movers for f in m.frames + (m.client.frames if m.client else [])]
        kept = {f.seq[1]: f for f in frames if f.type in KEPT}
        everybodys = owed.published(kept, {n for client in clients for n, _ in client.heard()})
        for client in clients:
            complaints += owed.resumed(client.name, client.heard(), {n: f.text for n, f in everybodys.items() if client.wants(f)})
            complaints += [f"{client.name}: {f.text}" for f in client.frames if f.type == "gap"]
        for mover in self.movers:
            complaints += owed.carried_out(mover.machine, mover.asked, self.s.simulator.truth.moves(mover.machine), everybodys.values())
        timeline = states_by_seq(self.machines, self.followers)
        for follower in self.followers:
            follower.check_states(timeline, complete=not self.weather.kills)  # both workers killed: then nobody heard what was live
        return complaints

    def channels(self, events, rows):
        complaints, model = [], EntityModel()
        for event in events:
            model.take(event, event.seq[1])
        complaints += model.complaints + model.differences("sensor", rows)
        created = [e["data"]["modelo"] for e in events if e["event_type"] == "created"]
        written = {name: row for scribe in self.scribes for name, row in scribe.written.items()}
        complaints += [f"{name} was answered 201, and has {created.count(name)} events" for name in written if created.count(name) != 1]
        for listener in self.listeners:
            complaints += owed.resumed(listener.name, listener.heard(), {e.seq[1]: e.text for e in events if listener.wants(e)})
            complaints += [f"{listener.name}: {f.text}" for f in listener.frames if f.type == "gap"]
        return complaints

    def streams(self):
        complaints = []
        for sender in self.peers:
            heard = [(peer.name, numbers[sender.name]) for peer in self.peers if peer is not sender for numbers in peer.heard()]
            anybody = {n for _, numbers in heard for n in numbers}
            for name, numbers in heard:
                complaints += owed.on_one_connection(f"{name} of {sender.name}", numbers, sender.said, anybody)
        return complaints

    def endpoint(self):
        still_open = [peer.client.name for peer in self.talkers if peer.client is not None and peer.client.connected]
        return handled.complaints(self.handler.events(), self.handler.deaths, still_open)


async def with_dice(s, storm):
    """A run of dice, whose number stands in what it says of itself and in its failure; `--seed N` repeats it."""
    number = int(os.environ.get("NORIA_PLAY_SEED", random.SystemRandom().randrange(10 ** 6)))
    try:
        print(f"seed {number}: {await storm(s, number)}")
    except AssertionError as error:
        raise AssertionError(f"seed {number}: {error}") from error


def tells_of(frames, row):
    return any(f.type == "entity_event" and f["entity_id"] == row.id for f in frames[-50:])
