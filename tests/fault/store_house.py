"""store_house.py: broker, store and workers under load, in which they die as a plan says (deaths.py), and nobody may notice more than a 503.

Every second house has a small ring, which a stream fills, so that it is overwritten several times. At the end somebody comes to each channel, on any
worker, and says `since` the first event of all: what the ring no longer has is in the table.

Broker b1, store s1, workers w1 w2 (victims) and w3 (nobody kills it: the observers live there), two machines whose conditions come and go, and the agent
of one of them dies, too. Some
ten writers (store_load.py) create, change and delete at workers that they choose; six listeners of channels come back with `since` at another
worker when theirs dies, and of themselves. Each worker has a door of its own.

At the end everybody hears a last event of each channel; the event table is read from its beginning over REST, page by page, and so is every row; the
processes stop cleanly; and store_checker.py, a process of its own, which has only files, judges.
"""
import asyncio
import json
import random
import sys
from collections import Counter
from pathlib import Path

from stagecraft.channel_frames import ENTITIES
from stagecraft.wait import limit, now, until

from deaths import Deaths, Stalls
from store_load import ANSWER_S, Alarms, Known, Listener, Noise, Writer
from store_story import BEGIN, DELETE_ROWS, END

WORKERS = ["w1", "w2", "w3"]
VICTIMS = ["b1", "s1", "w1", "w2", "a.m2"]
WRITERS = 10
MACHINES = {"m1": ["alarm"], "m2": ["alarm", "estop", "drive_fault", "positioning_error"]}  # what their profiles show
CONDITIONS = {"alarm": "alarma", "estop": "parada_emergencia", "drive_fault": "fallo_variador", "positioning_error": "error_posicionamiento"}
LISTENERS = [("general", None), ("general", None), ("sensors", None), ("readings", None), ("anomalies", None), ("locations", None),
             ("predictions", None), ("observer", "w3")]
BACK_S = 5.0  # a write is answered so long after a death, at the latest


class StoreHouse(Deaths):
    victims, everybody = VICTIMS, VICTIMS

    def __init__(self, name, seed, steps=(), swallow=False):
        super().__init__(name, seed)
        self.stops_s = max([step["ms"] / 1000 for step in steps if "ms" in step], default=0)
        self.workers, self.known, self.count = WORKERS, Known(), 0
        self.done_at, self.statuses = 0.0, {}
        self.listeners, self.writers, self.watcher = [], [], None
        self.small = self.seed % 2 == 1 and self.stops_s <= 2  # else the store could miss what the ring forgets meanwhile
        self.handed = False  # everything is on paper, the checker may begin

    async def build(self):
        s = self.stage
        s.set("ring", size_mib=1 if self.small else 16)
        s.set("rest", auth=False)
        s.set("store", delete_rows=DELETE_ROWS)
        s.set("machine_defaults", poll_interval_ms=5, poll_moving_ms=5, reply_timeout_ms=3000, connect_timeout_ms=2000, stale_after_ms=60000)
        s.machine("m1")
        s.machine("m2", profile="delta-as")
        self.sim = await s.sim()
        await s.broker()
        await s.store()
        doors = {"channels": {"dialects": ["channels", "rest"]}, "carousel": {"dialects": ["carousel"]}, "streams": {"dialects": ["streams"]}}
        for worker in WORKERS:
            await s.cast_with_doors(worker, **doors).start()
        for machine in MACHINES:
            await s.agent(machine)
        self.watcher = await s.client("watcher", port=s.actor("w3").doors["carousel"])
        self.watcher.history.repeats_allowed = True
        await self.watcher.subscribe(kind="all_events")
        for machine in MACHINES:
            await self.watcher.sees(machine, connection_status="connected", within=10)
        # A new database knows what holds when it first reads the ring, and nothing of what had ended before.
        await until("the store to read the ring", lambda: s.counters.segment("store").metrics()["ring_records"] > 0, 10)

    # --- load -------------------------------------------------------------------------------------------------------------

    async def load(self):
        draw = lambda: random.Random(self.dice.random())  # noqa: E731
        for n, (channel, stays) in enumerate(LISTENERS):
            self.listeners.append(Listener(self, f"{channel}{n}", "general" if stays else channel, draw(), stays))
        for listener in self.listeners:
            await listener.come()
        await self.marker(BEGIN)
        self.writers = [Writer(self, f"writer{n}", draw()) for n in range(WRITERS)]
        self.stalls = Stalls(self.record)
        alarms = Alarms(self, MACHINES, draw())
        noise = [Noise(self, await self.stage.streamer("noise", "noise", port=self.stage.actor("w3").doors["streams"]))] if self.small else []
        runs = [*(n.run() for n in noise), self.stalls.run(self.stop), alarms.run(), *(w.run() for w in self.writers), *(x.run() for x in self.listeners)]
        self._tasks = [asyncio.ensure_future(run) for run in runs]

    async def marker(self, word):
        """An event of each channel that everybody there hears; general's comes last."""
        channels = sorted({x.channel for x in self.listeners} - {"general"}) + ["general"]
        for channel in channels:
            await self.stage.api(on="w3", within=ANSWER_S).post("/ws/test-event", query={"channel": channel, "message": f"{word}@{channel}"})
        within = limit(ANSWER_S + self.stops_s)
        await asyncio.gather(*(x.hears(f"{word}@{x.channel}", within) for x in self.listeners))

    def next_number(self):
        self.count += 1
        return self.count

    def answered(self, status):
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status in (200, 201, 204):
            self.done_at = now()

    def life(self, worker):
        return f"{worker}#{self.stage.actor(worker).starts}"

    def is_over(self, life):
        worker = life.split("#")[0]
        return life != self.life(worker) or not self.stage.actor(worker).alive

    def keep_going(self):
        super().keep_going()
        self.watcher.keep_rules()

    # --- what must be so soon -----------------------------------------------------------------------------------------------

    async def recovered(self, victim):
        """Something is written again."""
        if victim in ("b1", "s1") and not any(self.locks[v].locked() for v in ("b1", "s1") if v != victim):
            begin = now()
            await until(f"a write to be answered after the death of {victim}; {self.statuses}", lambda: self.done_at > begin or self.stop.is_set()
                        or any(self.locks[v].locked() for v in ("b1", "s1") if v != victim), BACK_S + self.stops_s)
            if victim == "b1" and self.done_at > begin:
                self.silences.append(self.done_at - self.died_at)

    async def serves_again(self, victim):
        await self.recovered(victim)

    # --- the end --------------------------------------------------------------------------------------------------------------

    async def finish(self):
        self.stop.set()
        await asyncio.gather(*self._tasks)
        await until("every deletion to be made to its end", lambda: not self.stage.database.query("SELECT 1 FROM deletions"), limit(ANSWER_S))
        await self.marker(END)
        await self.latecomers()
        for machine, conditions in MACHINES.items():
            for condition in conditions:
                await self.sim.condition(machine, condition, False)
        await self.conditions_end()
        self.record.note("end")
        await self.take_down()
        for listener in self.listeners:
            await listener.leave()

    async def latecomers(self):
        """They have heard nothing but the first event."""
        for listener in [x for x in self.listeners if not x.stays]:
            late = Listener(self, f"late.{listener.name}", listener.channel, random.Random(self.seed), self.dice.choice(WORKERS))
            late.since = late.heard_elsewhere(listener.began)
            self.listeners.append(late)
        within = limit(ANSWER_S)
        await asyncio.gather(*(x.hears(f"{END}@{x.channel}", within) for x in self.listeners))
        await until("everybody's count of who listens where to be right", self.counted, 10)

    async def counted(self):
        """Every worker's word."""
        wanted = Counter(x.channel for x in self.listeners)
        told = [await self.stage.api(on=w, within=ANSWER_S).stats(or_none=True) for w in WORKERS]
        return all(word and {channel: one["connections"] for channel, one in word["channels"].items()} == wanted for word in told)

    async def conditions_end(self):
        """What was seen of the machines has become anomalies."""
        def seen_off():
            last = {(line["machine"], line["tipo"]): line["active"] for line in self.conditions()}
            return not any(last.values()) and all(self.watcher.state(machine)["connection_status"] == "connected" for machine in MACHINES)
        await until("the watcher to hear of the end of every condition", seen_off, 10)
        api = self.stage.api(on="w3", within=ANSWER_S)

        async def all_solved():
            return not [row for row in await api.all("anomalia") if row["machine_id"] is not None and not row["resuelta"]]
        await until("every anomaly of a machine to be solved", all_solved, 10)
        lines = [json.dumps(line) + "\n" for line in self.conditions()]
        (self.stage.dir / "machines.jsonl").write_text("".join(lines))

    def conditions(self):
        """Each that began or ended, as the watcher heard it: alarms are events, which are never merged as states may be."""
        for frame in self.watcher.heard("alarm"):
            yield {"machine": frame["machine_id"], "tipo": CONDITIONS[frame["condition"]], "active": frame["active"]}

    async def take_down(self):
        """What REST says at the end: all events, and all rows."""
        api = self.stage.api(on="w3", within=ANSWER_S)
        await until("every event to be known as published", lambda: not self.stage.database.waiting(), 15)
        events = await api.all_events(page=self.dice.choice([97, 1000]))
        (self.stage.dir / "events.jsonl").write_text("".join(f.text + "\n" for f in events))
        rows = {entity: await api.all(entity, page=self.dice.choice([50, 1000])) for entity in ENTITIES}
        (self.stage.dir / "rows.json").write_text(json.dumps(rows))
        await self.stage.actor("s1").stop()  # before the others, whose leaving would be told behind all that
        self.handed = True

    async def end(self, failed):
        """Strikes the set; what it complains of, and what the checker finds."""
        self.stop.set()
        self.record.note("struck")
        complaints = await self._end_tasks()
        for listener in self.listeners:
            await listener.leave()
        keep, self.stage.keep = self.stage.keep, True
        complaints += await self.stage.strike(failed=failed)
        self.record.close()
        if self.handed:
            complaints += await self.judged()
        self.stage.keep = keep
        return complaints

    async def judged(self):
        """The checker's findings."""
        checker = await asyncio.create_subprocess_exec(sys.executable, str(Path(__file__).with_name("store_checker.py")), str(self.stage.dir),
                                                       stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        told, _ = await checker.communicate()
        return [] if checker.returncode == 0 else [f"checker: {line}" for line in told.decode().splitlines()[:30]]

    def summary(self):
        answers = " ".join(f"{status}:{n}" for status, n in sorted(self.statuses.items()))
        return f"{self.count} requests ({answers}), {sum(1 for _ in open(self.stage.dir / 'events.jsonl')) if self.handed else 0} events"
