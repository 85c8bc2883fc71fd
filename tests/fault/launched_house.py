"""launched_house.py: an installation that `noria up` runs, under everything that clients do, in which processes die as a plan says, and are restarted, drained and
reloaded meanwhile. Who is back when is the launcher's matter here, not the plan's.

    {"kind":"kill","victim":"broker","after_ms":3.1}     kill -9 at a random moment
    {"kind":"again","victim":"worker.1","times":3}       and its successors, as soon as they are there: the launcher's pauses
    {"kind":"stop","victim":"store","ms":700}            SIGSTOP, SIGCONT; also the launcher's ("up")
    {"kind":"all"}                                       everybody at once
    {"kind":"roll"}, {"kind":"drain","victim":…}         `noria restart workers`, `noria drain`
    {"kind":"reload"}, {"kind":"wrong"}                  another configuration; one that must be refused

Load and judges are those of the plays (stagecraft/throng.py, wishes.py, comers.py, owed.py): nobody is refused, nobody is closed without a cause, nobody who
resumes loses or hears twice, each command is carried out once, a configuration is in force everywhere or nowhere. A death that the house
brought about is one death in the launcher's books; what it told a process to do is none.
"""
import asyncio
import random
import signal
from collections import Counter

from stagecraft.installation import kill_pid
from stagecraft.stage import Stage
from stagecraft.throng import Throng
from stagecraft.wait import a_moment, now, until
from stagecraft.wishes import Wishes

VICTIMS = ["broker", "store", "worker.0", "worker.1", "agent.m1", "agent.m2"]
CROWD = 30
BACK_S = 15.0  # the launcher's pause after several deaths in a minute, and some


class LaunchedHouse:
    def __init__(self, name, seed, steps=(), swallow=False):
        self.stage, self.dice = Stage(name), random.Random(seed)
        self.throng = Throng(self.stage, seed)
        self.wishes = Wishes(self.throng, random.Random(seed + 1))
        self.done, self.silences, self.stalled, self.lanes = Counter(), [], 0.0, []
        self.locks = {victim: asyncio.Lock() for victim in ["up", "configuration", *VICTIMS]}

    async def build(self):
        await self.throng.build("m1", "m2", crowd=CROWD, drain_ms=600)
        self.house = self.throng.house
        await self.wishes.begins()

    async def load(self):
        await self.throng.begins()

    def keep_going(self):
        self.throng.keep_going()

    async def carry_out(self, step):
        await getattr(self, "_" + step["kind"])(step)
        self.keep_going()

    # --- deaths ---------------------------------------------------------------------------------------------------------

    def _dies(self, victim, how):
        """Its pid; 0: there was none just now."""
        self.throng.weather.killing(victim)
        pid = self.house.kill(victim)
        self.done[f"{how} {victim.split('.')[0]}"] += pid != 0
        return pid

    async def _kill(self, step):
        victim = step["victim"]
        await a_moment(step["after_ms"] / 1000)
        async with self.locks[victim]:
            begin = now()
            pid = self._dies(victim, "kill")
            await self.house.ready(victim, but=pid, within=BACK_S)
            if victim == "broker":
                self.silences.append(now() - begin)

    async def _again(self, step):
        victim, pid = step["victim"], 0
        async with self.locks[victim]:
            for _ in range(step["times"]):
                pid = await until(f"another {victim} than {pid}", lambda p=pid: self.house.pid(victim) not in (0, p), within=BACK_S) and self._dies(victim, "again")
            await self.house.ready(victim, but=pid, within=BACK_S)

    async def _stop(self, step):
        victim = step["victim"]
        async with self.locks[victim]:
            pid = self.house.launcher.pid if victim == "up" else self.house.pid(victim)
            if pid and kill_pid(pid, signal.SIGSTOP):
                await a_moment(step["ms"] / 1000)
                kill_pid(pid, signal.SIGCONT)
                self.done[f"stop {victim.split('.')[0]}"] += 1

    async def _all(self, step):
        for victim in VICTIMS:
            await self.locks[victim].acquire()
        try:
            pids = {victim: self._dies(victim, "all") for victim in VICTIMS}
            for victim, pid in pids.items():
                await self.house.ready(victim, but=pid, within=BACK_S)
        finally:
            for victim in VICTIMS:
                self.locks[victim].release()

    # --- what operators tell ----------------------------------------------------------------------------------------------

    async def _told(self, *words):
        """Whether it was done; with deaths on the way it need not be."""
        self.throng.weather.drain_begins()
        code, _, _ = await self.house.tool(*words, within=120)
        self.throng.weather.drain_ends()
        self.done["told " + " ".join(words[:1])] += code == 0

    async def _roll(self, step):
        await self._told("restart", "workers")

    async def _drain(self, step):
        await self._told("drain", step["victim"])

    async def _reload(self, step):
        async with self.locks["configuration"]:
            before = self.wishes.accepted
            await self.wishes.valid(sure=False)
            self.done["told reload"] += self.wishes.accepted - before

    async def _wrong(self, step):
        async with self.locks["configuration"]:
            await self.wishes.invalid()
            self.done["told wrong"] += 1

    # --- the end ------------------------------------------------------------------------------------------------------------

    async def finish(self):
        await self.house.all_ready(within=30)
        await until("the last drain to be over", lambda: not any(self.house.there(name).leaving for name in self.house.pids("worker.")), within=30)
        await self.wishes.holds()
        await self.throng.flows(within=30)
        await self.throng.finish()
        self.wishes.judge()

    async def end(self, failed):
        self.throng.resting.set()
        self.throng.weather.over.set()
        self.stage.tasks += self.lanes
        keep, self.stage.keep = self.stage.keep, True
        complaints = await self.stage.strike(failed=failed)
        self.stage.keep = keep
        return complaints

    def summary(self):
        t = self.throng
        return (f"{sum(len(m.asked) for m in t.movers)} commands, {sum(len(x.written) for x in t.scribes)} rows, {t.weather.connects['tried']} connections "
                f"({t.weather.connects['failed']} cut off in the door), closed {dict(t.weather.closed)}; {self.wishes.accepted} configurations taken over, "
                f"{self.wishes.refused} wrong, {self.wishes.failed} not taken because of a death")
