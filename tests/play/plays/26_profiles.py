"""Profiles of the user's own: from the configuration to the PLC's wire and the client's frame, and when two disagree."""
import json
import subprocess

from stagecraft.registry import play
from stagecraft.stage import BIN
from stagecraft.wait import limit

# Active-low RUN on bit 7, the mode on bit 2, and a bit without meaning; 0xff is a byte that no other profile reads so.
LIFT = {"name": "lift", "version": 4, "bits": [
    {"bit": 7, "key": "MARCHA", "zero": {"text": "En marcha", "meaning": "moving"}, "one": {"text": "Parado", "meaning": "stopped"}},
    {"bit": 2, "key": "MODO", "zero": {"text": "Manual", "meaning": "manual"}, "one": {"text": "Remoto", "meaning": "remote"}},
    {"bit": 0, "key": "LUZ", "zero": {"text": "apagada"}, "one": {"text": "encendida"}},
]}
STANDS, MANUAL, MOVES = 0x84, 0x80, 0x04


def shown(raw):
    """Written from LIFT by hand."""
    return {"MARCHA": "Parado" if raw & 0x80 else "En marcha", "MODO": "Remoto" if raw & 4 else "Manual",
            "LUZ": "encendida" if raw & 1 else "apagada"}


@play("a profile of the user's own: its texts, its order, its interlocks, and a move to the end", "asan")
async def own_profile(s):
    s.set(profiles=[LIFT])
    s.machine("m1", profile="lift")
    sim = await s.house(workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe()
    await c1.move("m1", 5)
    done = await c1.hear("command_completed", success=True, position=5)
    assert done["machine_id"] == "m1" and sim.truth.moves("m1") == [5]
    for raw in (0x81, 0x00, 0xff, 0x7e):
        await sim.fault("m1", "garbage", f"{raw:02x}05", "command", 0)
        state = await c1.sees("m1", raw_status=raw)
        assert list(state["status"].items()) == list(shown(raw).items()), state
    await sim.clear("m1")


@play("what a profile's meanings forbid is refused with that reason, and nothing reaches the PLC")
async def own_interlocks(s):
    s.set(profiles=[LIFT])
    s.machine("m1", profile="lift")
    sim = await s.house(workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe()
    await sim.fault("m1", "garbage", f"{MANUAL:02x}00", "command", 0)
    await c1.sees("m1", raw_status=MANUAL)
    await c1.move("m1", 5)
    error = await c1.hear("error", code="INTERLOCK")
    assert "manual mode" in error["error"], error.text
    await sim.fault("m1", "garbage", f"{MOVES:02x}00", "command", 0)
    await c1.sees("m1", raw_status=MOVES)
    await c1.move("m1", 5)
    await c1.hear("error", code="BUSY")
    assert sim.truth.moves("m1") == []


@play("broker and agent with different versions of a profile: read-only, until the agent has the broker's")
async def versions_differ(s):
    s.set(profiles=[LIFT])
    s.machine("m1", profile="lift")
    await s.sim()
    await s.broker()
    await s.worker("w1")
    newer = json.loads(json.dumps(LIFT))
    newer["version"] += 1
    s.settings["profiles"] = [newer]
    path = s.write_conf(s.dir / "newer.yaml")
    agent = s.cast_argv("old", [BIN / "plc-agent", "-c", path, "-m", "m1"])
    await agent.start()
    c1 = await s.client("c1")
    await c1.subscribe()
    state = await c1.sees("m1", connection_status="connected")
    assert list(state["status"]) == ["MARCHA", "MODO", "LUZ"]  # the broker's, who writes what clients read
    await c1.move("m1", 5)
    error = await c1.hear("error", code="INTERLOCK")
    assert "profile" in error["error"], error.text
    assert s.simulator.truth.commands("m1") == []
    await agent.stop()
    await c1.sees("m1", connection_status="disconnected")
    await s.agent("m1")
    await c1.sees("m1", connection_status="connected")
    await c1.move("m1", 6)
    await c1.hear("command_completed", success=True, position=6)


@play("a profile that the broker alone does not know: read-only, with an empty status")
async def unknown_to_the_broker(s):
    s.machine("m1", profile="lift")
    await s.sim()
    await s.broker()
    await s.worker("w1")
    s.settings["profiles"] = [LIFT]
    path = s.write_conf(s.dir / "agents.yaml")
    await s.cast_argv("a1", [BIN / "plc-agent", "-c", path, "-m", "m1"]).start()
    c1 = await s.client("c1")
    await c1.subscribe()
    state = await c1.sees("m1", connection_status="connected")
    assert state["status"] == {}, state
    await c1.move("m1", 5)
    await c1.hear("error", code="INTERLOCK")
    assert s.simulator.truth.commands("m1") == []


SEED = {"api_config": {"host": "0.0.0.0", "port": 5000}, "plc_machines": [
    {"id": "machine_1", "name": "Carrusel Principal", "ip": "192.168.1.50", "port": 3200, "simulator": True, "description": "x"},
    {"id": "machine_2", "name": "Carrusel Secundario", "ip": "192.168.1.51", "port": 3201, "simulator": True}]}


@play("noria up -c config_multi_plc.json: the file of machines alone, on the documents' ports", "namespace", within=60)
async def bare_seed(s):
    path = s.dir / "config_multi_plc.json"
    path.write_text(json.dumps(SEED))
    s.port = 8765
    s.adopt_simulator()
    await s.cast_argv("up", [BIN / "noria", "up", "-c", path], env={"NORIA_RUNTIME_DIR": str(s.runtime), "NORIA_STATE_DIR": str(s.state)}).start(within=20)
    c1 = await s.client("c1", welcome=False)
    welcome = await c1.next("welcome")
    assert [(m["id"], m["ip"], m["port"], m["type"]) for m in welcome["machines"]] == [
        (m["id"], m["ip"], m["port"], "Simulator") for m in SEED["plc_machines"]], welcome.text
    await c1.subscribe()
    await c1.sees("machine_2", connection_status="connected", within=10)
    await c1.move("machine_2", 3)
    await c1.hear("command_completed", machine_id="machine_2", success=True, position=3, within=20)


@play("machines_from: an existing config_multi_plc.json as it is; welcome shows the configured addresses", "asan", within=60)
async def machines_from(s):
    (s.dir / "config_multi_plc.json").write_text(json.dumps(SEED, indent=2))
    s.set(machines_from="config_multi_plc.json")
    s.machine("m1")
    path = s.write_conf()
    checked = subprocess.run([BIN / "noria", "check-config", path], capture_output=True, text=True, timeout=limit(15))
    assert checked.returncode == 0 and "3, of which 3 simulated; 2 from config_multi_plc.json" in checked.stdout, checked
    assert "api_config is ignored" in checked.stdout, checked
    s.adopt_simulator()
    await s.cast_argv("up", [BIN / "noria", "up", "-c", path]).start(within=20)
    c1 = await s.client("c1", welcome=False)
    welcome = await c1.next("welcome")
    assert [(m["id"], m["ip"], m["port"], m["type"]) for m in welcome["machines"]] == [
        ("m1", "192.168.1.50", 3200, "Simulator"), ("machine_1", "192.168.1.50", 3200, "Simulator"),
        ("machine_2", "192.168.1.51", 3201, "Simulator")], welcome.text
    await c1.subscribe()
    for machine in ("m1", "machine_1", "machine_2"):
        await c1.sees(machine, connection_status="connected", within=10)
    await c1.move("machine_2", 4)
    await c1.hear("command_completed", machine_id="machine_2", success=True, position=4)
