"""Everything dies all the time, and the promises hold: at most one write and one answer per command, and the truth at the end.

The order of deaths comes from a seed that a failure names. Nothing waits for time: the pace is that of a machine whose
agent nobody kills.
"""
import asyncio
import random

from websockets import WebSocketException

from stagecraft.connection import Gone
from stagecraft.owed import NOT_WRITTEN, is_subsequence
from stagecraft.registry import play
from stagecraft.wait import Late

MACHINES = ["m1", "m2", "m3"]
METRONOME = "metronome"
DEATHS = 25


class Driver:
    """Moves one machine again and again, and keeps what it asked for and what it was told."""

    def __init__(self, s, machine, stop):
        self.s, self.machine, self.stop = s, machine, stop
        self.asked = []  # (request_id, target, answer: "done", a code, or None if nobody could tell it)
        self.client = None

    async def connect(self):
        while not self.stop.is_set():
            try:
                self.client = await self.s.client(f"driver.{self.machine}")
                self.client.history.repeats_allowed = True
                return
            except (OSError, EOFError, WebSocketException, Gone, Late):
                continue  # its worker died in the middle of the handshake

    async def run(self):
        await self.connect()
        while not self.stop.is_set():
            request_id, target = f"{self.machine}-{len(self.asked)}", len(self.asked) * 5 % 26
            try:
                answer = await self.move(request_id, target)
            except Gone:
                answer = None
                await self.connect()
            self.asked.append((request_id, target, answer))

    async def move(self, request_id, target):
        try:
            await self.client.move(self.machine, target, request_id=request_id, deadline_ms=1000)
        except (OSError, WebSocketException) as error:
            raise Gone(str(error)) from None
        answer = await self.client.hear(within=12, request_id=request_id)
        if answer.type == "error":
            return answer["code"]
        assert answer.type == "command_result" and answer["success"] is True, answer.text
        return "done"

    def check_against(self, truth):
        written = truth.moves(self.machine)
        possible = [target for _, target, answer in self.asked if answer not in NOT_WRITTEN]
        certain = [target for _, target, answer in self.asked if answer == "done"]
        assert is_subsequence(written, possible), \
            f"{self.machine}: written {written}\n  asked for and not refused {possible}\n  {self.asked}"
        assert is_subsequence(certain, written), f"{self.machine}: told done {certain}\n  written {written}"
        return len(written), len(certain)


def answered_once(clients):
    for client in clients:
        for type in ("command_result", "command_completed", "error"):
            ids = [f["request_id"] for f in client.heard(type) if "request_id" in f]
            twice = {i for i in ids if ids.count(i) > 1}
            assert not twice, f"{client.name} heard {type} twice for {twice}"
        both = ({f["request_id"] for f in client.heard("error") if "request_id" in f}
                & {f["request_id"] for f in client.heard("command_result", success=True) if "request_id" in f})
        assert not both, f"{client.name} was told error and success for {both}"


async def chaos(s, seed, victims):
    dice = random.Random(seed)
    s.set("machine_defaults", reply_timeout_ms=200, command_deadline_ms=1000)
    for machine in [*MACHINES, METRONOME]:
        s.machine(machine)
    sim = await s.house()
    stop = asyncio.Event()
    drivers = [Driver(s, machine, stop) for machine in MACHINES]
    driving = [asyncio.ensure_future(driver.run()) for driver in drivers]
    deaths = []
    try:
        for _ in range(DEATHS):
            await sim.truth.polled_again(METRONOME, dice.randrange(1, 12), within=10)
            victim = dice.choice(victims)
            deaths.append(victim)
            await s.actor(victim).kill()
            if dice.random() < 0.5:
                await sim.truth.polled_again(METRONOME, dice.randrange(1, 6), within=10)
            await s.actor(victim).start()
            for task in driving:
                if task.done():
                    task.result()
        stop.set()
        await asyncio.gather(*driving)
        await the_truth(s, sim)
        writes = [driver.check_against(sim.truth) for driver in drivers]
        answered_once(driver.client for driver in drivers)
        assert sum(certain for _, certain in writes) > 3, f"nothing much happened: {writes}"
    except AssertionError as error:
        raise AssertionError(f"seed {seed}, deaths {' '.join(deaths)}: {error}") from error
    finally:
        stop.set()
        for task in driving:
            task.cancel()


async def the_truth(s, sim):
    """At the end every client is told what is so."""
    for machine in MACHINES:
        await sim.wait(machine, "idle", within=10)
    judge = await s.client("judge")
    judge.history.repeats_allowed = True
    await judge.subscribe()
    for machine in MACHINES:
        position = int((await sim.get(machine))["position"])
        await judge.sees(machine, within=10, connection_status="connected", position=position, raw_status=218)


@play("the broker dies 25 times under load", within=120)
async def brokers(s):
    await chaos(s, 1, ["b1"])


@play("agents die 25 times under load", within=120)
async def agents(s):
    await chaos(s, 2, ["a.m1", "a.m2", "a.m3"])


@play("everybody dies, in any order", "asan", within=120)
async def everybody(s):
    await chaos(s, 3, ["b1", "w1", "w2", "a.m1", "a.m2", "a.m3"])


@play("everybody dies, in another order", within=120)
async def everybody_again(s):
    await chaos(s, 4, ["b1", "b1", "w1", "w2", "a.m1", "a.m2", "a.m3"])
