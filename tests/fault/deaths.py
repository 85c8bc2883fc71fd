"""deaths.py: an installation in which processes die as a plan says; what every kind of house (house.py, store_house.py) has in common.

A plan is a list of steps; lanes carry them out side by side, never two on one victim:

    {"kind":"kill","victim":"a.m1","after_ms":3.1}                    kill -9 at a random moment, started again
    {"kind":"point","victim":"b1","point":"broker.appended","nth":3}  started so that it dies there; the start after that is clean
    {"kind":"stop","victim":"w1","ms":1700}                           SIGSTOP, SIGCONT
    {"kind":"stop-point","victim":"b1","point":…,"nth":1,"ms":1200}   SIGSTOP at a named place
    {"kind":"loop","victim":"b1","point":…,"times":5}                 dies there at five starts in a row, then lives
    {"kind":"all"}                                                    every victim at once

A house says what must be so after a death: recovered(), serves_again(), all_recovered().
"""
import asyncio
import random
import signal
from collections import Counter
from pathlib import Path

from stagecraft.stage import Stage
from stagecraft.subscriber import Tally
from stagecraft.wait import LOOK_EVERY_S, Late, a_moment, limit, next_look, now, until

from record import Recorder

POINT_S = 30.0   # by then a point is reached, or the plan is wrong
STALL_S = 0.03   # a look that comes so late is a stall


class PlanError(AssertionError):
    """A step of the plan could not be carried out: its point was not reached."""


class Stalls:
    """When this process itself did not run. It kills, starts and listens; what it sleeps through is not Noria's silence."""

    def __init__(self, record):
        self.record, self.of = record, []  # (from, to)

    async def run(self, stop):
        last = now()
        while not stop.is_set():
            await next_look()
            if now() - last > STALL_S:
                self.of.append((last + LOOK_EVERY_S, now()))
                self.record.note("stall", ns=int((now() - last) * 1e9))
            last = now()

    def within(self, begin, end):
        return sum(max(0.0, min(b, end) - max(a, begin)) for a, b in self.of)


class Deaths:
    """What a house adds: `victims`, those of the plan; `everybody`, those who die at once."""

    victims, everybody = [], []

    def __init__(self, name, seed):
        self.stage, self.seed = Stage(name), seed
        self.dice = random.Random(seed)
        self.record = Recorder(self.stage.dir / "record.jsonl")
        self.stop, self.tally = asyncio.Event(), Tally()
        self.done, self.silences, self.stalled = Counter(), [], 0.0  # kinds of deaths; seconds that something was silent after a broker's death
        self.locks = {victim: asyncio.Lock() for victim in self.victims}
        self.died_at = 0.0
        self._tasks, self.lanes = [], []

    async def a_moment(self, seconds):
        await a_moment(seconds)

    def keep_going(self):
        """Raises what went wrong with anybody."""
        for task in self._tasks:
            if task.done():
                task.result()

    # --- what a house makes of it -----------------------------------------------------------------------------------

    async def before_kill(self, victim):
        """The victim is killed a moment later."""

    async def recovered(self, victim):
        """It has died and is back: what must be so soon."""

    async def serves_again(self, victim):
        """It stood still and goes on."""

    async def all_recovered(self, died_at):
        """Everybody died and is back."""

    def look_at(self, victim):
        """What it left must be in order."""

    # --- deaths -------------------------------------------------------------------------------------------------------

    async def carry_out(self, step):
        victims = self.victims if step["kind"] == "all" else [step["victim"]]
        for victim in victims:  # always in this order
            await self.locks[victim].acquire()
        try:
            await getattr(self, "_" + step["kind"].replace("-", "_"))(step)
        finally:
            for victim in victims:
                self.locks[victim].release()
        self.keep_going()

    async def _kill(self, step):
        await self.a_moment(step["after_ms"] / 1000)
        await self.before_kill(step["victim"])
        await self.die(step["victim"], "kill")
        await self.rise(step["victim"])
        await self.recovered(step["victim"])

    async def _point(self, step):
        await self.die(step["victim"], "kill")
        await self.die_at(step["victim"], step["point"], step["nth"])
        await self.rise(step["victim"])
        await self.recovered(step["victim"])

    async def _loop(self, step):
        await self.die(step["victim"], "kill")
        for _ in range(step["times"]):
            await self.die_at(step["victim"], step["point"], 1, kind="loop")
        await self.rise(step["victim"])
        await self.recovered(step["victim"])

    async def _stop(self, step):
        await self.a_moment(step["after_ms"] / 1000)
        actor = self.stage.actor(step["victim"])
        self.record.note("down", victim=actor.name, how="stop")
        actor.pause()
        await self._go_on(actor, step)

    async def _stop_point(self, step):
        actor = self.stage.actor(step["victim"])
        await self.die(actor.name, "kill")
        begin = actor.start(ready=False, NORIA_FAULT=f"{step['point']}:{step['nth']}=stop")
        self.record.note("down", victim=actor.name, how=step["point"])
        await begin
        try:
            await until(f"{actor.name} to stop at {step['point']}", lambda: stands(actor), POINT_S)
        except Late as late:
            raise PlanError(str(late)) from None
        await self._go_on(actor, step)

    async def _go_on(self, actor, step):
        await self.a_moment(step["ms"] / 1000)
        actor.resume()
        self.done[f"{step['kind']} {kind_of(actor.name)}"] += 1
        await self.serves_again(actor.name)
        self.record.note("up", victim=actor.name)

    async def _all(self, step):
        for victim in self.everybody:
            self.record.note("down", victim=victim, how="all")
            self.stage.actor(victim).told_to_end = True
            self.count_death(victim)
            self.stage.actor(victim).send_signal(signal.SIGKILL)
        died_at = now()
        for victim in self.everybody:
            await self.stage.actor(victim).ended()
            self.done[f"all {kind_of(victim)}"] += 1
        self.look_at("b1")
        await self.rise("b1")
        await asyncio.gather(*(self.rise(victim) for victim in self.everybody if victim != "b1"))
        await self.all_recovered(died_at)

    async def die(self, victim, how):
        actor = self.stage.actor(victim)
        self.record.note("down", victim=victim, how=how)
        self.count_death(victim)
        self.died_at = now()
        await actor.kill()
        self.look_at(victim)
        self.done[f"{how} {kind_of(victim)}"] += 1

    def count_death(self, victim):
        self.tally.deaths[victim] += 1

    async def die_at(self, victim, point, nth, kind="point"):
        """Starts it so that it dies at the point; returns when it has."""
        actor = self.stage.actor(victim)
        try:
            await actor.start(within=20, NORIA_FAULT=f"{point}:{nth}")
            actor.told_to_end = True
            self.record.note("up", victim=victim)
        except Late:
            raise
        except AssertionError:  # it closed its descriptor without a word: the point comes before it is ready
            pass
        actor.told_to_end = True
        try:
            code = await actor.ended(POINT_S)
        except Late:
            raise PlanError(f"{victim} did not come to {point} the {nth}. time within {limit(POINT_S):g} s") from None
        self.died_at = now()
        self.record.note("down", victim=victim, how=point)
        self.count_death(victim)
        assert code == -signal.SIGKILL, f"{victim} was to die at {point}, and ended with {code}:\n{actor.tail()}"
        self.look_at(victim)
        self.done[f"{kind} {kind_of(victim)}"] += 1
        self.done[point] += 1

    async def rise(self, victim):
        await self.stage.actor(victim).start(within=20)
        self.record.note("up", victim=victim)

    # --- the end --------------------------------------------------------------------------------------------------------

    async def _end_tasks(self):
        tasks = self._tasks + self.lanes
        for _ in range(100):  # a cancellation may be lost in asyncio.wait_for() (Python 3.11)
            for task in tasks:
                task.cancel()
            if all(task.done() for task in tasks):
                break
            await asyncio.wait(tasks, timeout=0.1)
        await asyncio.gather(*(task for task in tasks if task.done()), return_exceptions=True)  # what they died of is known
        return [f"it does not end: {task}" for task in tasks if not task.done()]


def kind_of(victim):
    return {"b": "broker", "w": "worker", "a": "agent", "h": "handler", "s": "store"}[victim[0]]


def stands(actor):
    """True if it is stopped. A process that ended instead is a failure of the plan."""
    assert actor.alive, f"{actor.name} ended instead of stopping:\n{actor.tail()}"
    return Path(f"/proc/{actor.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
