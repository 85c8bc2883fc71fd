"""Every fault of the simulator once: the expected connection_status, no wrong value ever, full recovery.

The machine stands at 3 when the fault begins and is turned to 11 while it lasts. Clients may see 3 and 11, nothing
else: not a position out of a late, doubled or garbled reply. A second machine on the same simulator notices nothing.
"""
from stagecraft.registry import play
from stagecraft.scripts import AT_REST

BEFORE, AFTER = 3, 11


async def endure(s, words, expected):
    """The fault `words`, until the machine has been shown as one of `expected`; then its end, and what must follow."""
    s.set("machine_defaults", stale_after_ms=600, reply_timeout_ms=100)
    sim = await s.house("m1", "m2", workers=["w1"])
    await sim.place("m1", BEFORE)
    c1 = await s.client("c1")
    await c1.subscribe()
    await c1.sees("m1", position=BEFORE)
    since = c1.mark()
    await sim.fault("m1", *words)
    if expected:
        await c1.hear_state("m1", connection_status=lambda status: status in expected)
    else:
        await sim.truth.polled_again("m1", 5)
    await sim.place("m1", AFTER)
    await sim.clear("m1")
    await c1.sees("m1", connection_status="connected", position=AFTER, raw_status=AT_REST, within=10)
    await sim.truth.polled_again("m1", 5)
    await c1.move("m1", 12)
    await c1.hear("command_completed", success=True, position=12)

    told = {(x["position"], x["raw_status"]) for x in c1.states("m1", since)}
    right = {(BEFORE, AT_REST), (AFTER, AT_REST), (AFTER, AT_REST | 1), (12, AT_REST | 1), (12, AT_REST)}
    assert told <= right, f"values that the PLC never had: {told - right}"
    assert not c1.heard("status_broadcast", "m2", since), "the other machine noticed"
    assert sim.truth.moves("m1") == [12]


FAULTS = [  # name, words, what it may look like meanwhile (empty: as if nothing were wrong), title
    ("late_but_in_time", ("late", 30), (), "replies that are late, within the limit, are waited for"),
    ("split", ("split", 20), (), "a reply in two pieces is one reply"),
    ("late", ("late", 250), ("disconnected", "stale", "error"), "a reply after the limit is never taken for the next one's"),
    ("missing", ("missing",), ("disconnected", "stale", "error"), "no reply at all"),
    ("duplicated", ("duplicated",), ("error", "disconnected"), "every reply twice: the second is never taken for an answer"),
    ("garbage_long", ("garbage", "0102030405060708"), ("error",), "eight bytes of garbage: reachable but unintelligible"),
    ("garbage_short", ("garbage", "da"), ("error", "disconnected", "stale"), "half a reply, for ever"),
    ("refused", ("refused",), ("disconnected",), "connections are refused"),
    ("reset", ("reset",), ("disconnected", "error"), "every request is answered by RST"),
    ("half_open", ("half-open",), ("disconnected", "stale", "error"), "the connection is open and dead"),
    ("reboot", ("reboot", 300), ("disconnected",), "the PLC reboots"),
]


def declare(name, words, expected, title):
    async def act(s):
        await endure(s, words, expected)
    act.__name__ = name
    play(title, *(("asan",) if name in ("late", "duplicated", "garbage_long", "half_open") else ()))(act)


for fault in FAULTS:
    declare(*fault)


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
