"""PLCs that go wrong at random, and what must hold all the same.

Five PLCs (three over a connection that stays, two with one per request; each with positions of its own) are given faults of
every kind, with arguments that dice draw, turned by hand and put into alarm, manual mode and so on, while a client per
machine moves it. A sixth, the metronome, has no faults; its polls are the beat. In rounds: chaos, then everything is
cleared, and each machine must be well again in bounded time: connected, shown where it is, and moved. At the end:

  1. whatever the observer was shown of a machine was replied by that machine's PLC, as the whole and only reply to its request,
     and in that order (stagecraft/replied.py): no garbage, no half, no late reply, nothing older after something newer;
  2. no request was sent on a connection that still owed a reply;
  3. every move was answered once; success was written and has a reply or a reading to show for it, a refusal was not written,
     what is unknown had its reply lost, nothing was written twice, and what was reported done was replied by the PLC;
  4. the metronome was shown connected all the time, or stale, and nothing else.

`--seed N` repeats a run's dice (processes keep their own time, so that it is the same plan, not the same run), `--seconds N`
makes it longer. A failure names the seed.
"""
import asyncio
import os
import random
from collections import Counter

from stagecraft.registry import play
from stagecraft.replied import Asked, Replied, shown, take_answers
from stagecraft.wait import now

MACHINES = {"m1": {}, "m2": {}, "m3": {"profile": "delta-as"}, "m4": {"connection": "per_request"},
            "m5": {"connection": "per_request", "profile": "delta-as"}}
METRONOME = "metronome"
OWN = 40  # positions of each machine: the n-th has OWN·n to OWN·n + OWN - 1; garbage is made of bytes above all of them
CONDITIONS = {"": ("alarm", "manual"), "delta-as": ("alarm", "manual", "estop", "drive_fault", "positioning_error")}
MOVING_BIT = {"": 1, "delta-as": 2}
LOG_LIMIT = 60 << 20  # plc-sim begins a new file at 64 MiB
SECONDS = float(os.environ.get("NORIA_PLAY_SECONDS", "15"))
ROUND_S = 3.0


class Weather:
    """What happens to the PLCs."""

    def __init__(self, s, dice):
        self.s, self.sim, self.dice, self.tally = s, s.simulator, dice, Counter()

    async def beat(self, count, machine=METRONOME):
        """Waits until the machine has been polled so many times more."""
        polls = int((await self.sim.tell(f"counts {machine}")).get("request.0", 0))
        await self.sim.wait(machine, f"requests 0 {polls + count}", within=10)

    def place(self, machine):
        """Where hands put it. Never where a move is asked to (target()): a machine that stands at the target by chance would say
        that a move was taken whose bytes a reset connection has swallowed, and nobody could tell it from one that was."""
        return list(MACHINES).index(machine) * OWN + self.dice.randrange(0, OWN, 2)

    def target(self, machine):
        return list(MACHINES).index(machine) * OWN + self.dice.randrange(1, OWN, 2)

    def garbage(self):
        """1 to 12 bytes, and not two, which would be a reply."""
        count = self.dice.choice([1, 1, 3, 3, 4, 5, 8, 12])
        return "".join(f"{self.dice.randrange(0xf0, 0x100):02x}" for _ in range(count))

    def fault(self):
        """The words of one fault."""
        dice = self.dice
        milliseconds = dice.choice([dice.randrange(1, 60), dice.randrange(60, 260), dice.randrange(260, 900)])
        kind = dice.choice(["late", "late", "split", "split", "missing", "duplicated", "garbage", "garbage", "reset", "half-open",
                            "refused", "reboot"])
        self.tally[kind] += 1
        words = {"late": [milliseconds], "split": [milliseconds], "garbage": [self.garbage()], "reboot": [milliseconds]}
        words = [kind, *words.get(kind, [])]
        if kind in ("refused", "reboot"):
            return words
        words += ["undone"] * (dice.random() < 0.3)
        words += dice.choice([[], ["command", 0], ["command", 1], ["command", 1]])
        return words + (["count", dice.randrange(1, 6)] if dice.random() < 0.8 else [])

    async def act(self):
        machine = self.dice.choice(list(MACHINES))
        deed = self.dice.random()
        if deed < 0.5:
            await self.sim.fault(machine, *self.fault())
        elif deed < 0.65:
            await self.sim.clear(machine)
        elif deed < 0.85:
            await self.sim.place(machine, self.place(machine))
        elif deed < 0.95:
            condition = self.dice.choice(CONDITIONS[MACHINES[machine].get("profile", "")])
            await self.sim.condition(machine, condition, self.dice.random() < 0.4)
        else:
            await self.sim.pace(machine, self.dice.choice([0, 2, 5, 20, 60]))

    async def clear(self):
        for machine, settings in MACHINES.items():
            await self.sim.clear(machine)
            await self.sim.pace(machine, 3)
            for condition in CONDITIONS[settings.get("profile", "")]:
                await self.sim.condition(machine, condition, False)


class Mover:
    """Moves one machine again and again, one answer after another."""

    def __init__(self, s, machine, weather, dice):
        self.s, self.machine, self.weather, self.dice = s, machine, weather, dice
        self.client, self.moves = None, []

    async def begin(self):
        self.client = await self.s.client(f"mover.{self.machine}")

    async def move(self, target, deadline_ms):
        """The move's request_id, and its answer's frame."""
        move = Asked(target, f"{self.machine}.{len(self.moves)}")
        self.moves.append(move)
        await self.client.move(self.machine, target, request_id=move.request_id, deadline_ms=deadline_ms)
        answer = await self.client.hear(request_id=move.request_id, within=8,
                                        test=lambda f: f.type in ("command_result", "error"))
        return move.request_id, answer

    async def run(self, stop):
        while not stop.is_set():
            request_id, answer = await self.move(self.weather.target(self.machine), self.dice.randrange(50, 1200))
            if answer.get("success") and self.dice.random() < 0.7:
                await self.client.hear("command_completed", request_id=request_id, within=8)
            else:
                await self.weather.beat(self.dice.randrange(1, 5))

    async def recover(self, observer):
        """What must be true again soon: it moves. A move that was under way may end first."""
        deadline = now() + 10
        while True:
            target = self.weather.target(self.machine)
            request_id, answer = await self.move(target, 1000)
            if answer.get("success"):
                break
            assert answer["code"] == "BUSY", f"{self.machine}, with nothing wrong any more: {answer.text}"
            assert now() < deadline or answer["code"] != "BUSY", f"{self.machine} stays busy"
            await self.weather.beat(1)
        await self.client.hear("command_completed", request_id=request_id, success=True, position=target, within=8)
        await observer.sees(self.machine, connection_status="connected", position=target, within=8)

    def check(self, replied):
        """Rule 3. Returns how often each answer was given."""
        take_answers(self.client, self.moves)
        replied.written_as_told(self.machine, self.moves)
        replied.told_for_a_reason(self.machine, self.moves, MOVING_BIT[MACHINES[self.machine].get("profile", "")])
        positions = {position for _, position in replied.replies(self.machine)}
        for frame in self.client.heard("command_completed", success=True):
            assert frame["command"]["argument"] == frame["position"] in positions, frame.text
        return Counter(move.answer for move in self.moves)


async def one_round(weather, movers, observer, seconds):
    stop, end = asyncio.Event(), now() + seconds
    tasks = [asyncio.ensure_future(mover.run(stop)) for mover in movers]
    try:
        while now() < end:
            await weather.act()
            await weather.beat(weather.dice.randrange(1, 4))
            for task in tasks:
                if task.done():
                    task.result()
        stop.set()
        await weather.clear()
        await asyncio.gather(*tasks)
        for machine in MACHINES:
            await weather.beat(3, machine)  # the first may still be of before, the second is answered: "connected" is no old news
            await observer.sees(machine, connection_status="connected", within=8)
        await asyncio.gather(*(mover.recover(observer) for mover in movers))
    finally:
        for task in tasks:
            task.cancel()


def check_metronome(observer):
    """Rule 4."""
    states = observer.states(METRONOME)
    strange = {x["connection_status"] for x in states} - {"connected", "stale"}
    assert not strange, f"the metronome was shown {strange}"
    values = {(raw, position) for _, raw, position in shown(observer.frames, METRONOME)}
    assert len(values) == 1, f"the metronome was shown {values}"


async def random_run(s, seed):
    dice = random.Random(seed)
    s.set("machine_defaults", reply_timeout_ms=150, connect_timeout_ms=300, poll_interval_ms=10, poll_moving_ms=5,
          move_timeout_ms=3000, rearm="automatic")
    s.set("simulator", positions=256, ms_per_position=3)
    for machine, settings in MACHINES.items():
        s.machine(machine, **settings)
    s.machine(METRONOME, reply_timeout_ms=5000)
    sim = await s.house(workers=["w1"])
    for n, machine in enumerate([*MACHINES, METRONOME]):
        await sim.place(machine, n * OWN)
    observer = await s.client("observer")
    weather = Weather(s, dice)
    movers = [Mover(s, machine, weather, random.Random(dice.random())) for machine in MACHINES]
    for n, machine in enumerate([*MACHINES, METRONOME]):
        await sim.truth.polled_again(machine, 2)
    await observer.subscribe(kind="all_events")
    for mover in movers:
        await mover.begin()
    rounds, end = 0, now() + SECONDS
    while now() < end or rounds == 0:
        await one_round(weather, movers, observer, min(ROUND_S, SECONDS))
        rounds += 1
    return rounds, weather, movers, observer


def check(s, movers, observer):
    truth = s.simulator.truth
    assert truth.path.stat().st_size < LOG_LIMIT, "too long a run: plc-sim's log would begin a new file"
    replied, answers, values = Replied(truth), Counter(), 0
    for mover in movers:
        answers += mover.check(replied)
        values += replied.only_true_values(mover.machine, observer)
    check_metronome(observer)
    return answers, values


@play("PLCs that go wrong at random: no wrong value, no move twice, and all is well again", "asan", within=120 + 3 * SECONDS)
async def random_faults(s):
    seed = int(os.environ.get("NORIA_PLAY_SEED", random.SystemRandom().randrange(10 ** 6)))
    try:
        rounds, weather, movers, observer = await random_run(s, seed)
        answers, values = check(s, movers, observer)
        assert values > 20 and answers["success"] > 10, f"nothing much happened: {values} values, {answers}"
        print(f"seed {seed}: {rounds} rounds, {sum(weather.tally.values())} faults, {values} values shown, answers {dict(answers)}")
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error
