"""The sensors' document as it stands: its clients and its curl lines, unchanged, at the demonstration as it is shipped (ports 8000 and 8765 of a network
of the play's own); and what a machine says on its channels."""
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from stagecraft.channel_frames import Frame, check_frame, check_order
from stagecraft.launched import pids, restarted
from stagecraft.registry import play
from stagecraft.scripts import FIXTURES, SENSORS_DOCUMENT, compact
from stagecraft.stage import BIN
from stagecraft.wait import limit, until

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
NPM = Path(os.environ.get("NORIA_NPM", Path(__file__).resolve().parents[3] / "build/npm"))
CLIENT_JS = Path(__file__).resolve().parents[1] / "npm/document-client.js"


async def demo(s):
    """`noria up` with deploy/conf/demo.yaml; its machines connected."""
    s.port, s.channels_port = 8765, 8000
    env = {"NORIA_RUNTIME_DIR": str(s.runtime), "NORIA_STATE_DIR": str(s.state), "PATH": f"{BIN}:{os.environ['PATH']}"}
    launcher = s.cast_argv("up", [BIN / "noria", "up", "-c", DEPLOY / "conf/demo.yaml"], env=env)
    await launcher.start(within=20)
    s.adopt_simulator()
    c1 = await s.client("c1")
    c1.history.repeats_allowed = True
    await c1.subscribe()
    for machine in ("machine_1", "machine_2"):
        await c1.sees(machine, connection_status="connected", within=10)
    await until("the store to answer", lambda: there(s), 10)
    return launcher


async def there(s):
    return (await s.api().get("/sensors")).status == 200


def curl(name):
    """The document's line, by a shell; what it prints."""
    ran = subprocess.run(["bash", "-c", SENSORS_DOCUMENT[name]], capture_output=True, text=True, timeout=limit(15), cwd="/")
    assert ran.returncode == 0, f"{name}: {ran.stderr}"
    return ran.stdout


async def client(s, name, *argv):
    """A program of somebody else's: it says no READY and is ended by a signal."""
    env = {"PYTHONUNBUFFERED": "1", "NODE_PATH": str(NPM / "node_modules"), "NODE_OPTIONS": "--dns-result-order=ipv4first"}
    return await s.cast_argv(name, argv, ready=False, env=env).start()


def document_event(name, **replaced):
    """The document's message as a client of today's hears it: its own times and seq put in."""
    event = json.loads(SENSORS_DOCUMENT[name])
    event["data"]["created_at"] = replaced.pop("created_at")
    event.update(replaced)
    return compact(event)


async def curl_lines(s, heard, channel):
    """Each of the document's curl lines; the events that it says they make."""
    sensor = json.loads(curl("create_sensor"))
    check_order(sensor, ["id", "tipo", "modelo", "created_at", "updated_at"], str(sensor))
    assert (sensor["id"], sensor["tipo"], sensor["modelo"]) == (1, "temperatura", "DHT22"), sensor
    event = await heard.event("sensor", "created")
    assert event.text == document_event("sensor_created", created_at=sensor["created_at"], timestamp=event["timestamp"], seq=event["seq"]), event.text
    reading = json.loads(curl("create_reading"))
    assert (reading["sensor_id"], reading["temperatura"], reading["humedad"], reading["timestamp"]) == (1, 23.5, 65.2, "2025-07-20T10:30:00.000Z"), reading
    await heard.event("lectura", "created", temperatura=23.5, humedad=65.2)
    told = json.loads(curl("test_event"))
    assert told == {"message": "Evento de prueba enviado al canal 'general'", "data": "Prueba"}, told
    said = await heard.said_by_system("Prueba", level="info", data={"test": True})
    check_order(said, ["type", "level", "message", "data", "timestamp", "seq"], said.text)
    whole, one = json.loads(curl("stats")), json.loads(curl("stats_of_channel"))
    check_order(whole, ["total_channels", "channels"], str(whole))
    assert whole["total_channels"] == len(whole["channels"]), whole
    assert {"general", "sensors"} <= set(whole["channels"]), whole
    assert [u["user_id"] for u in whole["channels"]["general"]["users"]] == ["user1"], whole
    assert one["channel"] == "sensors" and one["stats"]["connections"] == channel, one


@play("the document's Python and JavaScript clients and curl lines, verbatim, at the demonstration as it is shipped", "namespace", "npm", within=90)
async def documents(s):
    launcher = await demo(s)
    heard = await s.channel("heard", user_id="user1")
    python = await client(s, "python-client", sys.executable, FIXTURES / "channels_client.py")
    node = await client(s, "js-client", "node", CLIENT_JS, FIXTURES / "channels_client.js")
    await python.logs("Conectado al WebSocket")
    await python.logs("Evento recibido:", "'type': 'connection', 'status': 'connected', 'channel': 'sensors'")
    await node.logs("Conectado al WebSocket")
    await node.logs("Evento recibido:", '"type":"channel_stats"')
    await curl_lines(s, heard, channel=2)
    await python.logs("Evento recibido:", "'entity_type': 'sensor', 'event_type': 'created', 'entity_id': 1")
    await python.logs("Entidad sensor created: ID 1")
    await node.logs("sensor created:", '"modelo":"DHT22"')
    for one in (python, node):
        assert "lectura" not in one.text() and "Prueba" not in one.text(), one.tail()
    for line in [x.partition(" recibido: ")[2] for x in node.text().splitlines() if x.startswith("Evento recibido: ")]:
        check_frame(line, Frame(line))
    for one in (python, node):
        await one.kill()
    await launcher.stop(signal.SIGINT, within=15)
    assert await heard.closed() == 1001


@play("a machine's alarm is an anomaly with its machine_id, an event on anomalies and general, and solved when it ends", "asan")
async def alarm(s):
    await s.channels_house("w1", "w2", machines=("m1", "m2"))
    general, anomalies = await s.channel("c1", on="w1"), await s.channel("c2", "anomalies", on="w2")
    api = s.api(on="w1")
    await s.simulator.condition("m2", "alarm", True)
    began = await anomalies.event("anomalia", "anomaly_detected", machine_id="m2", tipo="alarma", lectura_id=None, valor=lambda v: v == 1, resuelta=False)
    assert (await general.event("anomalia", "anomaly_detected")).text == began.text
    row = await api.read("anomalia", began["entity_id"])
    assert dict(row) == began["data"], (row, began.text)
    assert [r.id for r in await api.list("anomalia", machine_id="m2")] == [row.id]
    await s.simulator.condition("m2", "alarm", False)
    ended = await anomalies.event("anomalia", "updated", id=row.id, resuelta=True)
    assert ended["metadata"]["action"] == "resolve_anomalia", ended.text
    assert (await general.event("anomalia", "updated")).text == ended.text
    assert (await api.read("anomalia", row.id))["resuelta_at"] == ended["data"]["resuelta_at"]


@play("a machine that is lost is an anomaly and a system event; its return solves it; each once, whoever died meanwhile", "asan", within=90)
async def lost(s):
    await s.channels_house("w1", machines=("m1",))
    general = await s.channel("c1")
    await s.actor("a.m1").kill()
    began = await general.event("anomalia", "anomaly_detected", machine_id="m1", tipo="conexion_perdida")
    assert len([f for f in general.frames if f.get("message") == "Máquina sin conexión"]) == 1
    for actor in ("s1", "b1", "s1"):
        await s.actor(actor).restart()
    await s.actor("a.m1").start()
    await general.event("anomalia", "updated", id=began["entity_id"], resuelta=True, within=10)
    await until("the broker to have said that the machine is back", lambda: [f for f in general.frames if f.get("message") == "Máquina conectada"])
    await s.api().post("/ws/test-event", query={"message": "end"})
    await general.said_by_system("end", within=10)
    of_machine = general.events(entity_type="anomalia")
    assert [f["event_type"] for f in of_machine] == ["anomaly_detected", "updated"], [f.text for f in of_machine]


@play("noria up keeps a store: killed, it is back, what it had acknowledged is there, and what nobody had heard is heard", "namespace", "asan", within=90)
async def store_dies(s):
    launcher = await demo(s)
    api, heard = s.api(), await s.channel("c1")
    sensor = await api.create("sensor", tipo="t", modelo="before")
    old = pids("noria-store")
    os.kill(old[0], signal.SIGKILL)
    await restarted("noria-store", old, within=10)
    await until("the store to answer again", lambda: there(s), 10)
    assert await api.read("sensor", sensor.id) == sensor
    await api.create("sensor", tipo="t", modelo="after")
    await heard.event("sensor", "created", modelo="after")
    assert [f["data"]["modelo"] for f in heard.events(entity_type="sensor")] == ["before", "after"]
    await launcher.stop(signal.SIGINT, within=15)
    s.database.is_sound()
