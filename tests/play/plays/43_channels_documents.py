"""The source document's own clients of channels, unchanged, at the address that stands in them: ws://localhost:8000; its curl lines and messages."""
import json
import os
import sys
from pathlib import Path

from stagecraft.ports import has_ipv6
from stagecraft.registry import play
from stagecraft.scripts import FIXTURES, SENSORS_DOCUMENT

NPM = Path(os.environ.get("NORIA_NPM", Path(__file__).resolve().parents[3] / "build/npm"))
CLIENT_JS = Path(__file__).resolve().parents[1] / "npm/document-client.js"


async def document_house(s):
    """Whatever a client takes localhost for."""
    addresses = ["127.0.0.1"] + ["::1"] * has_ipv6()
    s.listeners += [{"name": f"d{n}", "dialects": ["channels", "rest"], "address": address, "port": 8000} for n, address in enumerate(addresses)]
    s.set("rest", auth=False)
    await s.channels_house("w1", "w2")


async def someone(s, name, *argv):
    env = {"PYTHONUNBUFFERED": "1", "NODE_PATH": str(NPM / "node_modules")}
    return await s.cast_argv(name, argv, ready=False, env=env).start()


async def its_events(s, client):
    """What the document's clients print of what its curl lines do."""
    api = s.api(port=8000)
    sensor = await api.create("sensor", **SENSORS_DOCUMENT["sensor"])
    return sensor


@play("the document's Python client prints the sensor that the document creates", "namespace")
async def python_client(s):
    await document_house(s)
    client = await someone(s, "python-client", sys.executable, FIXTURES / "channels_client.py")
    await client.logs("Conectado al WebSocket")
    await client.logs("Evento recibido:", "'type': 'connection'", "'status': 'connected'", "'channel': 'sensors'")
    await client.logs("Evento recibido:", "'type': 'channel_stats'")
    sensor = await s.api(port=8000).create("sensor", tipo="temperatura", modelo="DHT22")
    await client.logs("Evento recibido:", "'metadata': {'action': 'create_sensor'}", "'modelo': 'DHT22'")
    await client.logs(f"Entidad sensor created: ID {sensor['id']}")
    await client.kill()


@play("the document's JavaScript client, with npm ws, handles the document's events", "namespace", "npm")
async def javascript_client(s):
    await document_house(s)
    client = await someone(s, "js-client", "node", CLIENT_JS, FIXTURES / "channels_client.js")
    await client.logs("Conectado al WebSocket")
    await client.logs("Evento recibido:", '"type":"channel_stats"')
    api = s.api(port=8000)
    sensor = await api.create("sensor", tipo="temperatura", modelo="DHT22")
    await client.logs("sensor created:", f'"id":{sensor["id"]}', '"tipo":"temperatura"', '"modelo":"DHT22"', '"created_at":')
    assert (await api.post("/ws/test-event?channel=sensors&message=Prueba")).status == 200
    await client.logs("Sistema [info]: Prueba")
    await api.delete("sensor", sensor["id"]) if not hasattr(sensor, "etag") else await api.delete(sensor)
    await client.logs("sensor deleted:", '"deleted_at":')
    await client.kill()
