"""get_status: the document's shapes, for every profile and every connection_status that a machine at rest can have."""
from stagecraft.registry import play
from stagecraft.scripts import AT_REST, DOCUMENT, DOCUMENT_MACHINES, MOVING, assert_text, state


@play("get_status of one machine is the document's example, byte by byte", "asan")
async def one_machine(s):
    for machine in DOCUMENT_MACHINES:
        s.machine(machine["id"], **{k: v for k, v in machine.items() if k != "id"})
    sim = await s.house(workers=["w1"])
    c1, c2 = await s.client("c1"), await s.client("c2")
    await c2.subscribe()
    await sim.place("machine_1", 15)
    await c2.sees("machine_1", position=15)
    answer = await c1.ask(DOCUMENT["get_status"])
    assert_text(answer, DOCUMENT["machine_status"])


@play("while it moves, RUN says so: 219")
async def moving(s):
    sim = await s.house("m1", workers=["w1"])
    await sim.by_hand("m1")
    c1 = await s.client("c1")
    await c1.subscribe()
    await c1.move("m1", 5)
    await c1.sees("m1", raw_status=MOVING)
    await sim.step("m1", 2)
    await c1.sees("m1", position=2)
    await c1.say(type="get_status", machine_id="m1")
    answer = await c1.hear("machine_status")
    assert_text(answer, {"type": "machine_status", "machine_id": "m1", **state(MOVING, 2), "timestamp": ""})
    await sim.step("m1", 3)
    await c1.hear("command_completed", success=True, position=5)


@play("get_status without a machine tells all of them", "asan")
async def all_machines(s):
    sim = await s.house("m1", "m2", "m3", workers=["w1"])
    c1, c2 = await s.client("c1"), await s.client("c2")
    await c2.subscribe()
    await sim.place("m2", 9)
    await c2.sees("m2", position=9)
    answer = await c1.ask(type="get_status")
    expected = {"m1": state(AT_REST, 0), "m2": state(AT_REST, 9), "m3": state(AT_REST, 0)}
    assert_text(answer, {"type": "all_machines_status", "status": expected, "timestamp": ""})


@play("an unknown machine is answered as in the document")
async def unknown_machine(s):
    await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    answer = await c1.ask(type="get_status", machine_id="invalid_machine")
    assert_text(answer, DOCUMENT["error"])
    await c1.ping()


@play("profile delta-as: eight keys in its order, its own bits")
async def delta_as(s):
    s.machine("m1", profile="delta-as")
    sim = await s.house(workers=["w1"])
    c1 = await s.client("c1")
    answer = await c1.ask(type="get_status", machine_id="m1")
    assert list(answer["status"].items()) == [
        ("READY", "El equipo está listo para operar"),
        ("RUN", "El equipo no se está posicionando"),
        ("MODO_OPERACION", "Modo Remoto"),
        ("ALARMA", "No hay alarma"),
        ("PARADA_EMERGENCIA", "Sin parada de emergencia"),
        ("VFD", "El variador de velocidad está OK"),
        ("ERROR_POSICIONAMIENTO", "No hay error de posicionamiento"),
        ("SENTIDO_GIRO", answer["status"]["SENTIDO_GIRO"]),
    ], answer.text
    await c1.subscribe()
    for condition, key, text in (
            ("estop", "PARADA_EMERGENCIA", "Parada de emergencia presionada y activa"),
            ("drive_fault", "VFD", "Error en el variador de velocidad"),
            ("positioning_error", "ERROR_POSICIONAMIENTO", "Ha ocurrido un error en el posicionamiento"),
            ("manual", "MODO_OPERACION", "Modo Manual"),
            ("alarm", "ALARMA", "Alarma activa")):
        await sim.condition("m1", condition, True)
        await c1.hear_state("m1", status={key: text})
        await sim.condition("m1", condition, False)
        await c1.hear_state("m1", status=dict(answer["status"]))


@play("get_status never answers CONNECTION_ERROR: it tells connection_status")
async def unreachable(s):
    sim = await s.house("m1", workers=["w1"])
    c1, c2 = await s.client("c1"), await s.client("c2")
    await c2.subscribe()
    await sim.fault("m1", "refused")
    await c2.sees("m1", connection_status="disconnected")
    answer = await c1.ask(type="get_status", machine_id="m1")
    assert answer.matches({"type": "machine_status", "connection_status": "disconnected"}), answer.text
    await sim.clear("m1")
    await c2.sees("m1", connection_status="connected")


# Written down from the protocol page once more, on purpose not taken from anything that Noria uses: bit → key, and what 0 and 1 say.
STANDARD = [("READY", 1, "Error", "OK"), ("RUN", 0, "Detenido", "En movimiento"),
            ("MODO_OPERACION", 3, "Local", "Remoto"), ("ALARMA", 2, "Desactivada", "Activada")]
DELTA_AS = [("READY", 0, "El equipo está listo para operar", "El equipo no puede operar"),
            ("RUN", 1, "El equipo no se está posicionando", "El equipo está en movimiento"),
            ("MODO_OPERACION", 2, "Modo Manual", "Modo Remoto"),
            ("ALARMA", 3, "No hay alarma", "Alarma activa"),
            ("PARADA_EMERGENCIA", 4, "Parada de emergencia presionada y activa", "Sin parada de emergencia"),
            ("VFD", 5, "El variador de velocidad está OK", "Error en el variador de velocidad"),
            ("ERROR_POSICIONAMIENTO", 6, "No hay error de posicionamiento", "Ha ocurrido un error en el posicionamiento"),
            ("SENTIDO_GIRO", 7, "Ascendente", "Descendente")]


def decoded(table, raw):
    return {key: (high if raw & 1 << bit else low) for key, bit, low, high in table}


@play("the document's two bytes, byte by byte: 218 and 219", "asan")
async def document_bytes(s):
    for machine in DOCUMENT_MACHINES:
        s.machine(machine["id"], **{k: v for k, v in machine.items() if k != "id"})
    await s.house(workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe()
    example = DOCUMENT["status_broadcast"]["status"]
    for machine in ("machine_2", "machine_1"):  # at 10 with 218, at 25 with 219
        told = example[machine]
        await s.simulator.fault(machine, "garbage", f"{told['raw_status']:02x}{told['position']:02x}", "command", 0)
        assert_text(await c1.next(), {"type": "status_broadcast", "timestamp": "", "status": {machine: told}})
    late = await s.client("late")
    snapshot = await late.subscribe("machine_1", "machine_2")
    assert_text(snapshot, DOCUMENT["status_broadcast"])
    assert decoded(STANDARD, 218) == DOCUMENT["machine_status"]["status"]


@play("all 256 bytes of both profiles, from the PLC's wire to the client's frame", within=120)
async def every_byte(s):
    """The simulator answers each status request with the two bytes it was told, whatever they mean."""
    s.set("machine_defaults", poll_interval_ms=2, poll_moving_ms=2)
    s.machine("std")
    s.machine("delta", profile="delta-as")
    sim = await s.house(workers=["w1"])
    clients = {machine: await s.client(machine) for machine in ("std", "delta")}
    asker = await s.client("asker")
    for machine, client in clients.items():
        await client.subscribe(machine)
    for n in range(257):
        raw = n * 37 % 256  # each once, far from the one before
        for machine, table in (("std", STANDARD), ("delta", DELTA_AS)):
            position = 255 - raw
            await sim.fault(machine, "garbage", f"{raw:02x}{position:02x}", "command", 0)
            expected = {"status": decoded(table, raw), "position": position, "raw_status": raw,
                        "connection_status": "connected"}
            assert_text(await clients[machine].next("status_broadcast"),
                        {"type": "status_broadcast", "timestamp": "", "status": {machine: expected}})
            if n % 16 == 0:
                assert_text(await asker.ask(type="get_status", machine_id=machine),
                            {"type": "machine_status", "machine_id": machine, **expected, "timestamp": ""})
