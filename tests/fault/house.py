"""house.py: an installation under load, in which processes die as a plan says.

Simulator, broker, workers w1 w2 (victims) and w3 (nobody kills it: the observer lives there), four machines that are driven, a
metronome that turns all the time, and a quiet machine that is turned once per death of the broker, a moment before it: a last state
that is lost shows there, because nothing comes after it. Each machine has its agent. Chatters (chatter.py) talk over streams meanwhile, others
to a handler of two processes, victims too (handling.py).
Each worker has ports of its own beside the shared one, so that a client chooses who serves it.

Plans are those of deaths.py, and power cuts:

    {"kind":"cut","victim":"a.m1","variant":"hole","point":…,"nth":1} dies there, and its disk forgets what it had not synced

"All at once" takes the metronome's agent, too.
"""
import asyncio
import hashlib
import random

from stagecraft import disk
from stagecraft.subscriber import Subscriber, check_once
from stagecraft.wait import next_look, now, until

import checker
from autopsy import autopsy
from chatter import Chat
from deaths import Deaths, Stalls
from handling import Handling
from load import ANSWER_S, PRINCIPAL, POSITIONS, STRIDE, TOKEN, Asker, Driver, Metronome, Wanted

MACHINES = ["m1", "m2", "m3", "m4"]
METRONOME, QUIET = "metronome", "quiet"
EVERY_MACHINE = [*MACHINES, METRONOME, QUIET]
DRIVERS = [("conn", "m1"), ("uuid", "m1"), ("token", "m2"), ("uuid", "m2"), ("rest", "m3"), ("token", "m3"), ("conn", "m4"),
           ("rest", "m4")]
WORKERS = ["w1", "w2", "w3"]
DOORS = {"carousel": {"dialects": ["carousel"]}, "token": {"dialects": ["carousel"], "auth": "token"}, "rest": {"dialects": ["rest"]},
         "streams": {"dialects": ["streams"]}, "endpoints": {"dialects": ["endpoints"]}}
CHATTERS, TALKERS = 6, 5
HANDLERS = ["h.play.0", "h.play.1"]
VICTIMS = ["b1", "w1", "w2", *(f"a.{m}" for m in MACHINES), *HANDLERS]
SUBSCRIBERS = [("all_events", None), ("status_updates", ["m1", "m2"]), ("command_results", None), ("all_events", ["m3"])]
BACK_S = 0.3     # states are current so long after a broker's death


class House(Deaths):
    victims, everybody = VICTIMS, [*VICTIMS, f"a.{METRONOME}"]

    def __init__(self, name, seed, steps=(), swallow=False):
        super().__init__(name, seed)
        self.cuts = any(step["kind"] == "cut" for step in steps)
        self.answer_s = ANSWER_S + max([step["ms"] / 1000 for step in steps if "ms" in step], default=0)
        self.swallow = swallow
        self.agent_env = disk.environment(self.stage.dir) if self.cuts else {}
        self.workers = WORKERS
        self.observer, self.chat, self.handling, self.quiet = None, None, None, 0
        self.lost = []  # bytes that each power cut took
        self._targets = {machine: self.dice.randrange(POSITIONS) for machine in EVERY_MACHINE}

    # --- building ---------------------------------------------------------------------------------------------------

    async def build(self):
        s = self.stage
        s.set("machine_defaults", reply_timeout_ms=3000, connect_timeout_ms=2000, poll_interval_ms=5, poll_moving_ms=4,
              command_deadline_ms=2000, move_timeout_ms=20000)
        s.set("simulator", positions=POSITIONS, ms_per_position=1)
        s.set("ring", size_mib=8)
        s.set("auth", tokens=[{"principal": PRINCIPAL, "sha256": hashlib.sha256(TOKEN.encode()).hexdigest()}])
        for machine in EVERY_MACHINE:
            s.machine(machine)
        Handling.configure(s)
        self.sim = await s.sim()
        await s.handlers["play"].start()
        await s.broker()
        for worker in WORKERS:
            await s.cast_with_doors(worker, **DOORS).start()
        for machine in EVERY_MACHINE:
            await s.cast(f"a.{machine}", "plc-agent", "-m", machine, env=self.agent_env).start()
        self.observer = await self.client_on("w3", "observer", conn="observer")
        await self.observer.subscribe(kind="all_events")
        for machine in EVERY_MACHINE:
            await self.observer.sees(machine, connection_status="connected", within=10)

    async def client_on(self, worker, name, **more):
        url = f"ws://127.0.0.1:{self.stage.actor(worker).doors['carousel']}/"
        client = await Asker(self, name, worker, url, **more).connect()
        self.stage.clients[name] = client
        return client

    def target(self, machine):
        self._targets[machine] = (self._targets[machine] + STRIDE) % POSITIONS
        return self._targets[machine]

    # --- load ---------------------------------------------------------------------------------------------------------

    async def load(self):
        disk.lies(self.stage.dir, self.swallow)
        draw = lambda: random.Random(self.dice.random())  # noqa: E731
        self.metronome = Metronome(self, METRONOME)
        self.drivers = [Driver(self, kind, machine, draw()) for kind, machine in DRIVERS]
        self.subscribers = [Subscriber(self.stage, self.tally, f"s{n}", kind, machines, draw())
                            for n, (kind, machines) in enumerate(SUBSCRIBERS)]
        self.chat = Chat(self, CHATTERS, draw)
        await self.chat.begin()
        self.handling = Handling(self, TALKERS, draw)
        await self.handling.handler.met(*WORKERS)
        self.stalls = Stalls(self.record)
        runs = [self.stalls.run(self.stop), self.metronome.run(), *(driver.run() for driver in self.drivers),
                *(chatter.run() for chatter in self.chat.chatters), *(talking.run() for talking in self.handling.talkers),
                *(self._subscribe(subscriber) for subscriber in self.subscribers)]
        self._tasks = [asyncio.ensure_future(run) for run in runs]

    async def _subscribe(self, subscriber):
        """Comes back whenever it was dropped, and of itself now and then."""
        while not self.stop.is_set():
            if subscriber.client is None or not subscriber.client.connected:
                if subscriber.client is not None:
                    await subscriber.check_closing()
                    await subscriber.leave()
                await subscriber.come()
            elif subscriber.dice.random() < 0.1:
                await subscriber.go_and_come()
            await self.a_moment(subscriber.dice.random() * 0.2)

    # --- deaths -------------------------------------------------------------------------------------------------------

    def keep_going(self):
        super().keep_going()
        self.observer.keep_rules()

    async def before_kill(self, victim):
        if victim == "b1":
            await self.turn_quiet()

    async def turn_quiet(self):
        """Turns the quiet machine; its state is on its way, or arriving, when this returns."""
        self.quiet = (self.quiet + 1) % POSITIONS
        await self.sim.place(QUIET, self.quiet)
        await self.a_moment(self.dice.random() * 0.01)

    async def _cut(self, step):
        victim = step["victim"]
        await self.die(victim, "kill")
        await self.die_at(victim, step["point"], step["nth"], kind="cut")
        lost = disk.cut(self.stage.state / "agents" / victim[2:], self.stage.dir, step["variant"], self.dice)
        self.record.note("cut", victim=victim, variant=step["variant"], bytes=lost)
        self.lost.append(lost)
        await self.rise(victim)

    def count_death(self, victim):
        super().count_death(victim)
        self.handling.dies(self.stage.actor(victim))

    def look_at(self, victim):
        """What a dead broker left must be in order."""
        if victim == "b1":
            assert autopsy(self.stage.runtime) >= len(MACHINES), "the table lacks machines"

    # --- what must be so soon ---------------------------------------------------------------------------------------

    async def recovered(self, victim):
        if victim == "b1":
            await self.states_flow(self.died_at)
            await self.observer.sees(QUIET, within=5, position=self.quiet, connection_status="connected")

    async def serves_again(self, victim):
        if victim == "b1":
            await self.states_flow(now(), counts=False)

    async def all_recovered(self, died_at):
        await self.states_flow(died_at, counts=False)

    async def states_flow(self, died_at, counts=True):
        """Waits until the observer hears of a position that the metronome took after the broker's death."""
        before = int((await self.sim.get(METRONOME))["position"])
        index = next((n for n, f in enumerate(self.observer.frames) if f.heard_at >= died_at), len(self.observer.frames))

        def heard():
            nonlocal index
            while index < len(self.observer.frames):
                frame = self.observer.frames[index]
                index += 1
                state = frame.get("status", {}).get(METRONOME) if frame.type == "status_broadcast" else None
                if state and state["connection_status"] == "connected" and self.metronome.is_after(state["position"], before):
                    return frame
            return None

        frame = await until("states to flow again after the broker's death", heard, within=10)
        if counts:
            await next_look()  # a stall that ends just now is noted
            stalled = self.stalls.within(died_at, frame.heard_at)
            self.silences.append(frame.heard_at - died_at - stalled)
            self.stalled += stalled
            self.record.note("current", after_ms=round((frame.heard_at - died_at) * 1000, 1), stalled_ms=round(stalled * 1000, 1))

    # --- the end --------------------------------------------------------------------------------------------------------

    async def finish(self):
        """Everybody gets what he is owed; then the truth."""
        self.stop.set()
        await asyncio.gather(*self._tasks)
        for driver in self.drivers:
            await driver.finish()
        await self.chat.finish()
        await self.handling.finish()
        markers = {machine: await self._marker(machine) for machine in EVERY_MACHINE}
        truth = {}
        for machine in EVERY_MACHINE:
            await self.sim.wait(machine, "idle", within=10)
            seen = await self.sim.get(machine)
            truth[machine] = (int(seen["position"]), int(seen["status"], 16), "connected")
            await self.observer.sees(machine, within=10, position=truth[machine][0], raw_status=truth[machine][1],
                                     connection_status="connected")
        for subscriber in self.subscribers:
            await subscriber.settle(truth, markers)
        self.record.note("end")
        for driver in self.drivers:
            await driver.leave()
        self._subscribers_agree()

    async def _marker(self, machine):
        """A last move that everybody hears of."""
        mover = await self.client_on("w3", f"marker.{machine}")
        for n in range(200):
            wanted = Wanted(None, machine, f"marker.{machine}.{n}", 1, self.target(machine), 2000)
            await mover.ask_for(wanted)
            answer = await mover.answer_to(wanted, self.answer_s)
            if answer.type == "command_result":
                await mover.hear("command_completed", request_id=wanted.id, within=self.answer_s)
                return wanted.id
            await self.a_moment(0.02)
        raise AssertionError(f"{machine} takes no moves any more: {answer.text}")

    def _subscribers_agree(self):
        assert not self.observer.heard("gap"), "the observer itself missed something"
        if not self.cuts:  # else the checker, which knows what a power cut may forget
            check_once(self.observer)
        for subscriber in self.subscribers:
            subscriber.check_kept(self.observer)

    async def end(self, failed):
        """Strikes the set; what it complains of, and what the checker finds."""
        self.stop.set()
        self.record.note("struck")
        complaints = await self._end_tasks()
        for subscriber in getattr(self, "subscribers", []):
            await subscriber.leave()
        if self.chat is not None:
            await self.chat.leave()
            complaints += [f"streams: {c}" for c in self.chat.complaints]
        if self.handling is not None:
            await self.handling.leave()
            complaints += [f"endpoints: {c}" for c in self.handling.complaints]
        keep, self.stage.keep = self.stage.keep, True
        complaints += await self.stage.strike(failed=failed)
        self.record.close()
        watchers = {w.name: w.frames for w in [self.observer, *getattr(self, "subscribers", [])]} if self.observer else {}
        complaints += checker.check(self.record.events, self.stage.runtime / "sim.log", self.stage.state, watchers)
        self.stage.keep = keep
        return complaints
