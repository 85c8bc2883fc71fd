"""Every fault of the simulator: on status polls, on moves that are carried out and moves that are not, over a connection that
stays and one per request. What clients see, what the PLC was written, and that everything is well again afterwards.

Each fault is one play with a machine for every combination (and one more, of which nobody may notice anything). Each machine
has positions of its own, so that a value out of a late, doubled or garbled reply, or of another machine, shows; and
everything that was shown is held against the simulator's log (stagecraft/replied.py).
"""
import asyncio
from collections import Counter
from dataclasses import dataclass

from stagecraft.registry import play
from stagecraft.replied import Asked, Replied, take_answers
from stagecraft.scripts import AT_REST, MOVING

BYSTANDER = "bystander"
FIRST, TARGET, TURNED, LAST = 3, 9, 12, 18  # of each machine's own positions
OWN = 32
DEADLINE_MS = 1500


@dataclass
class Fault:
    name: str
    words: tuple
    looks: tuple   # connection_status while every poll is spoilt so; empty: as if nothing were wrong
    done: str      # the answer to a move whose reply is spoilt so, and which is carried out,
    undone: str    # and which is not. "success, failed": a success, and a completion that says otherwise
    title: str
    whole: bool = False  # about the PLC, not about requests

    def on(self, *filter):
        return self.words if self.whole else (*self.words, *filter)


GONE, UNREADABLE = ("disconnected", "stale", "error"), ("error",)
FAULTS = [
    Fault("late_but_in_time", ("late", 40), (), "success", "success, failed", "replies within the limit are waited for"),
    Fault("split", ("split", 30), (), "success", "success, failed", "a reply in two pieces is one reply"),
    Fault("late", ("late", 700), GONE, "success", "OUTCOME_UNKNOWN",
          "a reply after the limit is never taken for the next one's"),
    Fault("split_late", ("split", 700), GONE, "success", "OUTCOME_UNKNOWN", "half a reply, and the rest after the limit"),
    Fault("missing", ("missing",), GONE, "success", "OUTCOME_UNKNOWN", "no reply at all"),
    Fault("duplicated", ("duplicated",), GONE, "success", "OUTCOME_UNKNOWN",
          "every reply twice: the second is never taken for an answer"),
    Fault("garbage_long", ("garbage", "0102030405060708"), UNREADABLE, "success", "OUTCOME_UNKNOWN",
          "eight bytes of garbage: reachable but unintelligible"),
    Fault("garbage_three", ("garbage", "da03da"), UNREADABLE, "success", "OUTCOME_UNKNOWN", "a reply and a half"),
    Fault("garbage_short", ("garbage", "da"), GONE, "success", "OUTCOME_UNKNOWN", "half a reply, for ever"),
    Fault("reset", ("reset",), GONE, "success", "OUTCOME_UNKNOWN", "every request is answered by RST"),
    Fault("half_open", ("half-open",), GONE, "OUTCOME_UNKNOWN", "OUTCOME_UNKNOWN", "the connection is open and dead"),
    Fault("refused", ("refused",), ("disconnected",), "CONNECTION_ERROR", "CONNECTION_ERROR", "connections are refused",
          whole=True),
    Fault("reboot", ("reboot", 600000), ("disconnected",), "CONNECTION_ERROR", "CONNECTION_ERROR", "the PLC reboots",
          whole=True),
]
CASES = [(connection, on) for connection in ("persistent", "per_request") for on in ("polls", "done", "undone")]


class Endurance:
    """One machine that meets a fault, the client that watches and moves it, and what it asked for."""

    def __init__(self, s, machine, base):
        self.s, self.sim, self.machine, self.base = s, s.simulator, machine, base
        self.client, self.moves = None, []

    async def begin(self):
        await self.sim.place(self.machine, self.base + FIRST)
        self.client = await self.s.client(f"c.{self.machine}")
        await self.client.subscribe(self.machine, kind="all_events")
        await self.client.sees(self.machine, position=self.base + FIRST)

    async def ask(self, position):
        """Asks for a move and waits for its answer."""
        move = Asked(self.base + position, f"{self.machine}.{len(self.moves)}")
        await self.client.move(self.machine, move.target, request_id=move.request_id, deadline_ms=DEADLINE_MS)
        await self.client.hear(request_id=move.request_id, test=lambda f: f.type in ("command_result", "error"))
        self.moves.append(move)
        return move.request_id

    async def ended(self, request_id, success=True):
        return await self.client.hear("command_completed", request_id=request_id, success=success, within=8)

    def answer(self, request_id):
        take_answers(self.client, self.moves)
        return next(m.answer for m in self.moves if m.request_id == request_id)

    async def polls(self, fault):
        """Every poll is spoilt until the machine has been shown so; meanwhile nothing can be moved."""
        await self.begin()
        await self.sim.fault(self.machine, *fault.on("command", 0))
        if fault.looks:
            await self.client.hear_state(self.machine, connection_status=lambda status: status in fault.looks)
            answer = self.answer(await self.ask(TARGET))
            assert answer == "CONNECTION_ERROR", answer
        else:
            await self.sim.truth.polled_again(self.machine, 5)
        await self.sim.place(self.machine, self.base + TURNED)
        await self.sim.clear(self.machine)
        await self.client.sees(self.machine, connection_status="connected", position=self.base + TURNED, within=10)

    async def a_move(self, fault, *undone):
        """The reply to one move is spoilt. It moves only by hand, so that RUN, if it came up, is still up when it is looked for."""
        await self.begin()
        await self.sim.by_hand(self.machine)
        await self.sim.fault(self.machine, *fault.on(*undone, "command", 1, "count", 1))
        expected = fault.undone if undone else fault.done
        request_id = await self.ask(TARGET)
        if expected == "success":
            await self.sim.step(self.machine, TARGET)
        if "success" in expected:
            await self.ended(request_id, success=expected == "success")
        answer = self.answer(request_id)
        assert answer == expected.split(",")[0], f"{self.machine}: {answer}"
        await self.sim.clear(self.machine)
        await self.sim.pace(self.machine, 5)

    async def recover(self):
        """As if nothing had been: it is polled, moves, and shows where it is."""
        await self.client.sees(self.machine, connection_status="connected", within=10)
        await self.sim.truth.polled_again(self.machine, 3)
        request_id = await self.ask(LAST)
        await self.ended(request_id)
        assert self.answer(request_id) == "success"
        await self.client.sees(self.machine, connection_status="connected", position=self.base + LAST, raw_status=AT_REST)

    def check(self, replied):
        replied.written_as_told(self.machine, self.moves)
        replied.told_for_a_reason(self.machine, self.moves, AT_REST ^ MOVING)
        assert replied.only_true_values(self.machine, self.client) >= 2
        connections = Counter(e.conn for e in replied.exchanges(self.machine))
        assert self.machine.startswith("persistent") or max(connections.values()) == 1, connections


async def endure(s, fault):
    s.set("machine_defaults", stale_after_ms=600, reply_timeout_ms=300, move_timeout_ms=1500)
    s.set("simulator", positions=256, ms_per_position=5)
    for connection, on in CASES:
        s.machine(f"{connection}.{on}", connection=connection)
    s.machine(BYSTANDER, stale_after_ms=20000, reply_timeout_ms=5000)
    sim = await s.house(workers=["w1"])
    await sim.place(BYSTANDER, 250)
    other = await s.client("other")
    await other.subscribe(BYSTANDER)
    await other.sees(BYSTANDER, position=250)
    since, machines = other.mark(), [Endurance(s, f"{c}.{on}", n * OWN) for n, (c, on) in enumerate(CASES)]

    async def one(machine):
        on = machine.machine.split(".")[1]
        await (machine.polls(fault) if on == "polls" else machine.a_move(fault, *["undone"] * (on == "undone")))
        await machine.recover()

    await asyncio.gather(*(one(machine) for machine in machines))
    replied = Replied(sim.truth)
    for machine in machines:
        machine.check(replied)
    await sim.place(BYSTANDER, 251)  # a marker behind everything that could have been noticed
    await other.sees(BYSTANDER, position=251)
    assert len(other.states(BYSTANDER, since)) == 1, "another machine noticed"


def declare(fault):
    async def act(s):
        await endure(s, fault)
    act.__name__ = fault.name
    play(fault.title, *(("asan",) if fault.name in ("late", "duplicated", "garbage_long", "half_open") else ()))(act)


for fault in FAULTS:
    declare(fault)


@play("one late reply among good ones: the old position never comes back")
async def one_late(s):
    """The PLC turns between the late request and the next; a client must never see the order reversed."""
    s.set("machine_defaults", reply_timeout_ms=60)
    sim = await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe()
    position = 0
    for position in range(1, 9):
        await sim.fault("m1", "late", 120, "command", 0, "count", 1)
        await sim.truth.polled_again("m1", 2)
        await sim.place("m1", position)
        await c1.sees("m1", position=position, connection_status="connected")
    positions = [x["position"] for x in c1.states("m1")]
    assert positions == sorted(positions), positions


@play("alarm, emergency stop and manual mode are shown, and shown to be over", "asan")
async def conditions(s):
    s.machine("m1")
    s.machine("m2", profile="delta-as")
    sim = await s.house(workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe()
    for machine, condition, key, on, off in (
            ("m1", "alarm", "ALARMA", "Activada", "Desactivada"),
            ("m1", "manual", "MODO_OPERACION", "Local", "Remoto"),
            ("m2", "alarm", "ALARMA", "Alarma activa", "No hay alarma"),
            ("m2", "manual", "MODO_OPERACION", "Modo Manual", "Modo Remoto"),
            ("m2", "estop", "PARADA_EMERGENCIA", "Parada de emergencia presionada y activa", "Sin parada de emergencia")):
        await sim.condition(machine, condition, True)
        await c1.hear_state(machine, status={key: on}, connection_status="connected")
        await sim.condition(machine, condition, False)
        await c1.hear_state(machine, status={key: off}, connection_status="connected")


@play("the PLC reboots while it moves: the move completes with success false, and is not repeated")
async def reboot_while_moving(s):
    sim = await s.house("m1", workers=["w1"])
    await sim.by_hand("m1")
    c1 = await s.client("c1")
    await c1.subscribe()
    await c1.move("m1", 9)
    await c1.hear("command_result", success=True)
    await sim.step("m1", 2)
    await c1.sees("m1", position=2)
    await sim.fault("m1", "reboot", 200)
    await c1.hear("command_completed", success=False, command={"argument": 9}, within=15)
    await c1.sees("m1", connection_status="connected", position=2, raw_status=AT_REST)
    assert sim.truth.moves("m1") == [9]


@play("the simulator dies and comes back: all its machines disconnect and reconnect")
async def simulator_dies(s):
    sim = await s.house("m1", "m2")
    c1 = await s.client("c1")
    await c1.subscribe()
    await sim.actor.kill()
    for machine in ("m1", "m2"):
        await c1.sees(machine, connection_status="disconnected")
    await sim.actor.start()
    for machine in ("m1", "m2"):
        await c1.sees(machine, connection_status="connected", position=0)


@play("connection: per_request opens one connection per exchange, and everything else is the same")
async def per_request(s):
    s.set("machine_defaults", connection="per_request")
    sim = await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe()
    await c1.move("m1", 5)
    await c1.hear("command_completed", success=True, position=5)
    await sim.place("m1", 8)
    await c1.sees("m1", position=8)
    connects, requests = sim.truth.connects("m1"), len(sim.truth.requests("m1"))
    assert abs(connects - requests) <= 1, (connects, requests)
    assert {x["connection_status"] for x in c1.states("m1")} == {"connected"}
    assert sim.truth.moves("m1") == [5]


@play("back-off: an unreachable PLC is not hammered, and is found again soon")
async def back_off(s):
    s.set("machine_defaults", backoff_min_ms=50, backoff_max_ms=400)
    sim = await s.house("m1", "m2", workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe()
    await sim.fault("m1", "refused")
    await c1.hear_state("m1", connection_status="disconnected")
    await sim.truth.polled_again("m2", 40)
    await sim.clear("m1")
    await c1.hear_state("m1", connection_status="connected", within=3)
