"""A random run of everything, and what must hold at its end for every subscriber, whatever happened to it.

Machines are moved, placed and alarmed; subscribers come back with `since`, are cut off in the middle of a resumption, stop
reading, trickle, take machines out and in again; workers, agents and the broker are killed. Worker w3 is not, so that the
observer on it hears every result, completion and alarm that there is. Then, for every subscriber, over all its connections:

  1. its last state of each machine is what the simulator says, and what the machine's agent has in its own image,
  2. of no machine it was shown an older state after a newer one,
  3. each result, completion and alarm of its machines reached it exactly once, with the observer's bytes, unless a gap said
     otherwise or it had unsubscribed,
  4. it was never closed without a reason, and with 1006 only by the death of its worker.

`--seed N` repeats a run's dice (processes keep their own time, so that it is the same plan, not the same run), `--seconds N`
makes it longer. A failure names the seed.

Planted by hand in carousel_subscription.c to see it fail, each undone again (runs that failed, of those tried):
  - a resumption's snapshot that promises one place too much (missed.first + 64): 3 of 3, in the first seconds; the frame behind
    it has the same seq
  - a resumption without its replay (no endpoint_replay()): 2 of 2; the last moves' completions never come (3)
  - a resumption's snapshot without what changed soon after the place (since.position + 4096): 2 of 2 (1); without what
    changed at the very place (`>` for `>=`): 1 of 2 (1), by those whose last frame was a snapshot
"""
import asyncio
import os
import random
import socket
from collections import Counter

from websockets import WebSocketException

from stagecraft.client import Gone
from stagecraft.registry import play
from stagecraft.stage import serves
from stagecraft.wait import Late, limit, now, until

MACHINES = ["m1", "m2", "m3", "m4"]
METRONOME = "metronome"
CONNECTED = 1  # enum connection_e
KEPT = ("command_result", "command_completed", "alarm")
KINDS = {"status_updates": (), "command_results": KEPT[:2], "all_events": KEPT}
PLANS = [("all_events", None), ("all_events", ["m1", "m2"]), ("all_events", ["m3"]), ("status_updates", None),
         ("status_updates", ["m2", "m4"]), ("command_results", None), ("command_results", ["m1"]), ("all_events", None)]
CONNECT_ERRORS = (OSError, EOFError, WebSocketException, Gone, Late)
SECONDS = float(os.environ.get("NORIA_PLAY_SECONDS", "15"))


class Subscriber:
    """One who wants to hear something all his life, over many connections."""

    def __init__(self, s, name, kind, machines, dice):
        self.s, self.name, self.kind, self.dice = s, name, kind, dice
        self.machines = list(machines or MACHINES + [METRONOME])
        self.all = machines is None  # says no machine_ids
        self.client, self.worker, self.deaths = None, None, 0
        self.past = []      # frames of earlier connections
        self.excused = []   # (machine, from, to): unsubscribed meanwhile
        self.paused = False
        self.log = []

    # --- being there ------------------------------------------------------------------------------------------------

    @property
    def frames(self):
        return self.past + (self.client.frames if self.client else [])

    @property
    def since(self):
        return next((f["seq"] for f in reversed(self.frames) if "seq" in f), None)

    def number(self):
        return int(self.since.split("-")[1]) if self.since else -1

    async def connect(self, small=False):
        options = {}
        if small:
            options["sock"] = sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            sock.connect(("127.0.0.1", self.s.port))
        self.client = await self.s.client(self.name, welcome=False, **options)
        self.client.history.repeats_allowed = True
        self.worker = next((w for w in ("w1", "w2", "w3") if self.s.actor(w).alive
                            and serves(self.s.actor(w), self.s.port, self.client.local_port)), None)
        self.deaths = self.s.deaths[self.worker]
        self.paused = False

    def subscription(self, type="subscribe", **more):
        members = {} if self.all else {"machine_ids": self.machines}
        return {"type": type, "subscription_type": self.kind, **members, **more}

    async def come(self, small=False):
        """Connects and subscribes, with `since` if anything was heard before."""
        since = {"since": self.since} if self.since else {}
        while True:
            try:
                await self.connect(small)
                await self.client.say(self.subscription(**since))
                self.log.append(f"{self.worker} since {self.since}")
                return
            except CONNECT_ERRORS:
                await self.leave()

    async def leave(self, abort=True, keep=None):
        """Ends the connection from this side, or takes note that the server has. `keep`: so many of its frames had arrived
        when the line broke."""
        client, self.client = self.client, None
        if client is None:
            return
        self.s.clients.pop(client.name, None)
        if client.connected and (abort or self.paused):
            client.socket.transport.abort()
        await client.close()
        client.keep_rules()
        self.past += client.frames[:keep]

    def check_closing(self):
        """The connection is closed, and nobody here did it."""
        code, reason = self.client.close_code, self.client.socket.close_reason
        if code == 1006:
            died = self.worker is None or self.s.deaths[self.worker] != self.deaths
            assert died, f"{self.name}: closed with 1006, and {self.worker} lives; {self.log}"
        else:
            assert code == 1013 and reason, f"{self.name}: closed with {code} {reason!r}"
        self.s.closed[code] += 1

    # --- what it does -----------------------------------------------------------------------------------------------

    async def act(self):
        if self.client is None or not self.client.connected:
            if self.client is not None:
                self.check_closing()
                await self.leave()
            await self.come(small=self.dice.random() < 0.4)
            return
        deed = self.dice.choice([self.go_and_come, self.go_and_come, self.be_cut_off, self.be_cut_off, self.pause, self.pause,
                                 self.trickle, self.drop_one, self.stay])
        try:
            await deed()
        except (Gone, OSError, WebSocketException):
            pass  # seen at the next act

    async def stay(self):
        self.resume_reading()

    async def go_and_come(self):
        await self.leave(abort=self.dice.random() < 0.5)
        if self.dice.random() < 0.5:
            await self.come(small=self.dice.random() < 0.4)

    async def be_cut_off(self):
        """Comes back, hears a few frames of its resumption, and is gone again; several times."""
        for _ in range(self.dice.randrange(1, 4)):
            await self.leave()
            await self.come()
            want, begin = self.dice.randrange(2, 7), now()
            try:
                while len(self.client.frames) < want and now() - begin < limit(0.3):
                    await self.client.hear(within=0.3)
            except (Gone, Late):
                pass
            await self.leave(keep=want)

    async def pause(self):
        if not self.paused:
            self.client.socket.transport.pause_reading()
        self.paused = True

    def resume_reading(self):
        if self.paused and self.client is not None and self.client.connected:
            self.client.socket.transport.resume_reading()
        self.paused = False

    async def trickle(self):
        for _ in range(3):
            self.resume_reading()
            try:
                await self.client.hear(within=0.05)
            except Late:
                pass
            await self.pause()

    async def drop_one(self):
        """Unsubscribes from one machine and takes it again, on the same connection; what it missed in between is excused."""
        if self.all or self.paused or len(self.machines) < 2:
            return
        machine = self.dice.choice(self.machines)
        await self.client.ping()
        begin = self.number()
        self.excused.append((machine, begin, None))
        await self.client.say(self.subscription("unsubscribe") | {"machine_ids": [machine]})
        await self.client.hear("unsubscription_confirmed")
        await self.client.say(self.subscription() | {"machine_ids": [machine]})
        await self.client.hear("subscription_confirmed")
        await self.client.ping()  # what is heard from here on, it has asked for

    # --- the end ----------------------------------------------------------------------------------------------------

    async def settle(self, truth, markers):
        """Reads everything; the last states must come by themselves, and the markers behind everything that was kept."""
        deadline = now() + limit(10)
        while not (self.client and self.client.connected and self.knows(truth) and self.has_heard(markers)):
            if self.client is None or not self.client.connected:
                if self.client is not None:
                    self.check_closing()
                    await self.leave()
                await self.come()
            try:
                await self.client.hear(within=0.2)
            except (Gone, Late):
                pass
            if now() > deadline:
                raise AssertionError(f"{self.name} ({self.kind} {self.machines}) knows {self.known()},\n  the truth is {truth};"
                                     f" markers {markers} {self.has_heard(markers)}\n  {self.log[-5:]}\n"
                                     + "\n".join(f.text[:200] for f in self.frames[-40:]))

    def known(self):
        known = {}
        for frame in self.frames:
            if frame.type == "status_broadcast":
                known.update({m: (x["position"], x["raw_status"], x["connection_status"])
                              for m, x in frame["status"].items()})
        return known

    def knows(self, truth):
        known = self.known()
        return self.kind == "command_results" or all(known.get(m) == truth[m] for m in self.machines)

    def has_heard(self, markers):
        ids = {f.get("request_id") for f in self.frames if f.type == "command_completed"}
        return self.kind == "status_updates" or all(markers[m] in ids for m in self.machines)

    # --- the rules ----------------------------------------------------------------------------------------------------

    def check_kept(self, observer):
        """Rule 3."""
        heard, gaps, last, gap_from = {}, [], None, None
        for frame in self.frames:
            if frame.type == "gap":
                gap_from = last if gap_from is None else gap_from
            if frame.seq is None:
                continue
            number = frame.seq[1]
            if gap_from is not None:
                gaps.append((gap_from, number))
                gap_from = None
            if frame.type in KEPT:
                assert not heard or number > max(heard), f"{self.name} heard {frame.text} after {max(heard)}"
                heard[number] = frame.text
            last = number
        self.s.gaps += len(gaps)
        first = next((f.seq[1] for f in self.frames if f.seq), None)
        for frame in observer.frames:
            if frame.type not in KEPT or first is None or frame.seq[1] <= first:
                continue
            mine = frame.type in KINDS[self.kind] and frame["machine_id"] in self.machines
            number = frame.seq[1]
            if number in heard:
                assert mine and heard.pop(number) == frame.text, f"{self.name} heard {frame.text}"
            elif mine:
                excused = (any(a < number <= b for a, b in gaps) or self.was_away(frame["machine_id"], number))
                assert excused, f"{self.name} ({self.kind}) missed {frame.text}; gaps {gaps}; {self.log}\n" + self.around(number)
        assert not [n for n in heard if n > first], f"{self.name} heard what the observer did not: {heard}"

    def around(self, number):
        frames = [f for f in self.frames if f.seq]
        at = next((n for n, f in enumerate(frames) if f.seq[1] > number), len(frames))
        return "\n".join(f.text[:160] for f in frames[max(0, at - 3):at + 3])

    def was_away(self, machine, number):
        """Between the last frame before an unsubscribe and the snapshot or frame behind the next subscribe."""
        for gone, begin, _ in self.excused:
            back = next((f.seq[1] for f in self.frames if f.seq and f.seq[1] > begin), float("inf"))
            later = [f.seq[1] for f in self.frames if f.seq and f.seq[1] > begin][:4]
            end = later[-1] if later else back
            if gone == machine and begin < number <= end:
                return True
        return False

    def check_states(self, timeline):
        """Rule 2. A live frame is pinned by its seq; a snapshot's state must not be one that was only seen before."""
        newest = {}
        for frame in self.frames:
            if frame.type != "status_broadcast":
                continue
            for machine, state in frame["status"].items():
                pinned = timeline[machine].get(frame.seq[1]) if frame.seq else None
                if pinned == state and len(frame["status"]) == 1:
                    assert frame.seq[1] >= newest.get(machine, -1), f"{self.name}: {frame.text} after {newest[machine]}"
                    newest[machine] = frame.seq[1]
                    continue
                seen = [n for n, x in timeline[machine].items() if x == state]
                old = seen and max(seen) < newest.get(machine, -1)
                assert not old, f"{self.name}: {frame.text} shows {machine} as of {max(seen)}, after {newest[machine]}"


class Unanswered(AssertionError):
    """A command has exactly one answer, by its deadline and a grace."""


class Mover:
    """Moves a machine again and again. What it is told does not matter here, only that it is told something."""

    def __init__(self, s, machine, dice, world, stop):
        self.s, self.machine, self.dice, self.world, self.stop = s, machine, dice, world, stop
        self.client, self.count = None, 0

    async def run(self):
        while not self.stop.is_set():
            try:
                if self.client is None or not self.client.connected:
                    self.client = await self.s.client(f"mover.{self.machine}")
                if await self.move(self.dice.randrange(26), 1000) is None:
                    await self.world.beat(2)  # refused: as long as something is in the way
            except Unanswered:
                raise
            except CONNECT_ERRORS:
                continue

    async def move(self, target, deadline_ms):
        self.count += 1
        request_id = f"{self.machine}.{self.count}"
        await self.client.move(self.machine, target, request_id=request_id, deadline_ms=deadline_ms)
        try:
            answer = await self.client.hear(within=12, request_id=request_id)
        except Late as error:
            raise Unanswered(f"{request_id} was never answered: {error}") from None
        if answer.type == "command_result" and answer["success"]:
            await self.client.hear("command_completed", within=3, request_id=request_id)
            return request_id
        return None


class World:
    """What happens to machines and processes."""

    def __init__(self, s, dice):
        self.s, self.sim, self.dice, self.down = s, s.simulator, dice, []

    async def beat(self, count):
        """Waits until the metronome's agent, which nobody kills, has polled so many times more."""
        polls = int((await self.sim.tell(f"counts {METRONOME}"))["request.0"])
        await self.sim.wait(METRONOME, f"requests 0 {polls + count}", within=10)

    async def act(self):
        machine = self.dice.choice(MACHINES)
        deed = self.dice.random()
        if deed < 0.35:
            await self.sim.place(machine, self.dice.randrange(26))
        elif deed < 0.6:
            await self.sim.condition(machine, "alarm", self.dice.random() < 0.5)
        elif deed < 0.8:
            await self.sim.place(METRONOME, self.dice.randrange(26))
        elif deed < 0.9:
            await self.kill()
        if self.down and self.dice.random() < 0.6:
            await self.rise()

    async def kill(self):
        victim = self.dice.choice(["w1", "w1", "w2", "w2", "b1", "a.m1", "a.m2", "a.m3"])
        if victim in self.down:
            return
        await self.s.actor(victim).kill()
        self.s.deaths[victim] += 1
        self.down.append(victim)

    async def rise(self):
        """The broker first: a worker is ready when it has met one."""
        name = "b1" if "b1" in self.down else self.down[0]
        self.down.remove(name)
        await self.s.actor(name).start()

    async def calm(self):
        while self.down:
            await self.rise()
        for machine in MACHINES:
            await self.sim.condition(machine, "alarm", False)
            await self.sim.wait(machine, "idle", within=10)


async def random_run(s, seed, seconds):
    dice = random.Random(seed)
    s.set("machine_defaults", reply_timeout_ms=200, command_deadline_ms=1000, poll_interval_ms=4, poll_moving_ms=2)
    s.set("simulator", ms_per_position=3)
    for machine in [*MACHINES, METRONOME]:
        s.machine(machine)
    await s.house(workers=("w1", "w2", "w3"))
    s.deaths, s.closed, s.gaps = Counter(), Counter(), 0
    observer = await s.client("observer", on="w3")
    observer.history.repeats_allowed = True
    await observer.subscribe(kind="all_events")
    stop, world = asyncio.Event(), World(s, dice)
    subscribers = [Subscriber(s, f"s{n}", kind, machines, random.Random(dice.random()))
                   for n, (kind, machines) in enumerate(PLANS)]
    movers = [Mover(s, machine, random.Random(dice.random()), world, stop) for machine in MACHINES]
    tasks = [asyncio.ensure_future(mover.run()) for mover in movers]
    try:
        for subscriber in subscribers:
            await subscriber.come()
        end = now() + seconds
        steps = 0
        while now() < end or steps < 20:
            await world.act()
            for subscriber in dice.sample(subscribers, 2):
                await subscriber.act()
            await world.beat(dice.randrange(1, 4))
            for task in tasks:
                if task.done():
                    task.result()
            steps += 1
        stop.set()
        await world.calm()
        await asyncio.gather(*tasks)
        await the_end(s, world, observer, movers, subscribers)
        return steps, sum(f.type in KEPT for f in observer.frames)
    finally:
        stop.set()
        for task in tasks:
            task.cancel()


async def the_end(s, world, observer, movers, subscribers):
    """A last move of every machine is the marker behind all that is kept; some hear of it by a resumption. Then, while
    nobody is there, each machine is turned once more: that they can know from their resumption's snapshot alone."""
    markers, absent = {}, subscribers[:]
    world.dice.shuffle(absent)
    for mover in [*movers, Mover(s, METRONOME, world.dice, world, stop=None)]:
        await world.calm()
        await absent.pop().leave()
        markers[mover.machine] = await until(f"{mover.machine} to move once more", lambda m=mover: marker(m), within=20)
    for request_id in markers.values():
        await until(f"the observer to hear {request_id}",
                    lambda i=request_id: observer.heard("command_completed", request_id=i))
    for subscriber in subscribers:
        subscriber.resume_reading()
    for _ in range(2):  # the second time the last that they hear is a resumption's empty snapshot, and its promise
        await settled(s, observer, subscribers, markers)
        for subscriber in subscribers:
            await subscriber.leave()
    for machine in markers:
        await s.simulator.place(machine, (int((await s.simulator.get(machine))["position"]) + 13) % 26)
    await settled(s, observer, subscribers, markers)
    assert not observer.heard("gap"), "the observer itself missed something"
    check_once(observer)
    timeline = states_by_seq(list(markers), [observer, *subscribers])
    for subscriber in subscribers:
        subscriber.check_kept(observer)
        subscriber.check_states(timeline)


def image_of(s, slot):
    """What the agent in this slot last reported of its own image, with a heartbeat."""
    segment = s.counters.segment(f"agent.{slot}")
    metrics = segment.metrics() if segment.exists else {}
    connection = "connected" if metrics.get("image_connection") == CONNECTED else "not connected"
    return metrics.get("image_position"), metrics.get("image_raw_status"), connection


async def settled(s, observer, subscribers, markers):
    """Everybody knows what the simulator says, the machine's agent first of all."""
    truth = {}
    for machine in markers:
        await s.simulator.wait(machine, "idle", within=10)
        seen = await s.simulator.get(machine)
        truth[machine] = (int(seen["position"]), int(seen["status"], 16), "connected")
        await until(f"the agent of {machine} to have it in its image",
                    lambda m=machine: image_of(s, [*MACHINES, METRONOME].index(m)) == truth[m], within=10)
        await observer.sees(machine, within=10, position=truth[machine][0], raw_status=truth[machine][1],
                            connection_status="connected")
    await asyncio.gather(*(subscriber.settle(truth, markers) for subscriber in subscribers))


def states_by_seq(machines, clients):
    """{machine: {N: state}} of all live states that anybody heard."""
    timeline = {machine: {} for machine in machines}
    for client in clients:
        for frame in client.frames:
            if frame.type == "status_broadcast" and frame.seq and len(frame["status"]) == 1:
                (machine, state), = frame["status"].items()
                timeline[machine].setdefault(frame.seq[1], state)
    return timeline


async def marker(mover):
    """The request_id of a last move that was carried out, or None."""
    try:
        if mover.client is None or not mover.client.connected:
            mover.client = await mover.s.client(f"mover.{mover.machine}")
        return await mover.move(mover.dice.randrange(26), 2000)
    except CONNECT_ERRORS:
        return None


def check_once(observer):
    for type in ("command_result", "command_completed"):
        ids = Counter(f["request_id"] for f in observer.heard(type))
        twice = {i: n for i, n in ids.items() if n > 1}
        assert not twice, f"published more than once: {type} {twice}"


@play("whatever happens: the last state, no older one after a newer, and each result once", "asan", within=120 + SECONDS)
async def whatever_happens(s):
    seed = int(os.environ.get("NORIA_PLAY_SEED", random.SystemRandom().randrange(10 ** 6)))
    try:
        steps, kept = await random_run(s, seed, SECONDS)
        assert kept > 20, f"nothing much happened: {steps} steps, {kept} results"
        print(f"seed {seed}: {steps} steps, {kept} results, deaths {dict(s.deaths)}, closed {dict(s.closed)}, gaps {s.gaps}")
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error
