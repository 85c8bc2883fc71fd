"""A random run of everything, and what must hold at its end for every subscriber, whatever happened to it.

Machines are moved, placed and alarmed; subscribers come back with `since`, are cut off in the middle of a resumption, stop
reading, trickle, take machines out and in again; workers, agents and the broker are killed. Worker w3 is not, so that the
observer on it hears every result, completion and alarm that there is. Then the rules of stagecraft/subscriber.py hold for every
subscriber, over all its connections; the truth is what the simulator says, and what the machine's agent has in its own image.

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

from stagecraft.registry import play
from stagecraft.subscriber import CONNECT_ERRORS, KEPT, Subscriber, Tally, check_once, states_by_seq
from stagecraft.wait import Late, now, until

MACHINES = ["m1", "m2", "m3", "m4"]
METRONOME = "metronome"
CONNECTED = 1  # enum connection_e
PLANS = [("all_events", None), ("all_events", ["m1", "m2"]), ("all_events", ["m3"]), ("status_updates", None),
         ("status_updates", ["m2", "m4"]), ("command_results", None), ("command_results", ["m1"]), ("all_events", None)]
SECONDS = float(os.environ.get("NORIA_PLAY_SECONDS", "15"))


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
                self.client = None  # whose reader may not have seen its end yet: `connected` would lie, and this loop spin

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

    def __init__(self, s, tally, dice):
        self.s, self.tally, self.sim, self.dice, self.down = s, tally, s.simulator, dice, []

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
        self.tally.deaths[victim] += 1
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
    tally = Tally()
    observer = await s.client("observer", on="w3")
    observer.history.repeats_allowed = True
    await observer.subscribe(kind="all_events")
    stop, world = asyncio.Event(), World(s, tally, dice)
    subscribers = [Subscriber(s, tally, f"s{n}", kind, machines, random.Random(dice.random()))
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
        return tally, steps, sum(f.type in KEPT for f in observer.frames)
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


async def marker(mover):
    """The request_id of a last move that was carried out, or None."""
    try:
        if mover.client is None or not mover.client.connected:
            mover.client = await mover.s.client(f"mover.{mover.machine}")
        return await mover.move(mover.dice.randrange(26), 2000)
    except CONNECT_ERRORS:
        return None


@play("whatever happens: the last state, no older one after a newer, and each result once", "asan", within=120 + SECONDS)
async def whatever_happens(s):
    seed = int(os.environ.get("NORIA_PLAY_SEED", random.SystemRandom().randrange(10 ** 6)))
    try:
        tally, steps, kept = await random_run(s, seed, SECONDS)
        assert kept > 20, f"nothing much happened: {steps} steps, {kept} results"
        print(f"seed {seed}: {steps} steps, {kept} results, deaths {dict(tally.deaths)}, closed {dict(tally.closed)}, gaps {tally.gaps}")
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error
