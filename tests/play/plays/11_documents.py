"""The document's own clients, unchanged, at the address that stands in them: ws://localhost:8765."""
import json
import os
import sys
from pathlib import Path

from stagecraft.ports import has_ipv6
from stagecraft.frames import Frame, check_frame
from stagecraft.registry import play
from stagecraft.scripts import DOCUMENT, DOCUMENT_MACHINES, FIXTURES, assert_text, state

NPM = Path(os.environ.get("NORIA_NPM", Path(__file__).resolve().parents[3] / "build/npm"))
CLIENT_JS = Path(__file__).resolve().parents[1] / "npm/document-client.js"
DRIVEN_JS = Path(__file__).resolve().parents[1] / "npm/driven-client.js"
DRIVEN_PY = Path(__file__).resolve().parents[1] / "python/driven_client.py"
PROBE_JS = Path(__file__).resolve().parents[1] / "npm/probe-client.js"


async def document_house(s, workers=("w1", "w2")):
    s.port = 8765
    addresses = ["127.0.0.1"] + ["::1"] * has_ipv6()  # what a client takes localhost for
    s.listeners = [{"name": f"l{n}", "dialects": ["carousel"], "address": address, "port": 8765}
                   for n, address in enumerate(addresses)]
    for machine in DOCUMENT_MACHINES:
        s.machine(machine["id"], **{k: v for k, v in machine.items() if k != "id"})
    return await s.house(workers=workers)


async def someone(s, name, *argv):
    """A program of somebody else's: it says no READY and is ended by a signal."""
    env = {"PYTHONUNBUFFERED": "1", "NODE_PATH": str(NPM / "node_modules")}
    return await s.cast_argv(name, argv, ready=False, env=env).start()


async def sends_home(actor):
    await actor.kill()


@play("the document's Python client connects, subscribes, and sees the welcome and a broadcast", "namespace")
async def python_client(s):
    sim = await document_house(s)
    client = await someone(s, "python-client", sys.executable, FIXTURES / "carousel_client.py")
    await client.logs("Conectado al WebSocket")
    welcome = await client.logs("Bienvenida:", "Carrusel Principal")
    assert "'mode': 'multi-plc'" in welcome, welcome
    await client.logs("Estado actualizado:", "machine_1", "machine_2", "'raw_status': 218")
    await sim.place("machine_1", 15)
    await client.logs("Estado actualizado:", "machine_1", "'position': 15")
    await sends_home(client)


@play("the document's first example gets its welcome and its status", "namespace")
async def python_example(s):
    await document_house(s)
    client = await someone(s, "python-example", sys.executable, FIXTURES / "connect_example.py")
    await client.logs("Bienvenida:", '"type":"welcome"')
    await client.logs("Recibido:", "'type': 'machine_status'", "'raw_status': 218")
    await sends_home(client)


@play("the document's JavaScript client, with npm ws, sees the welcome and a broadcast", "namespace", "npm")
async def javascript_client(s):
    sim = await document_house(s)
    client = await someone(s, "js-client", "node", CLIENT_JS, FIXTURES / "carousel_client.js")
    await client.logs("Conectado al WebSocket")
    await client.logs("Bienvenida recibida:")
    await client.logs("Estado actualizado:")
    await sim.place("machine_2", 15)
    await client.logs("machine_2", '"position":15')
    await sends_home(client)


async def driven(s, name, *argv):
    """A driven client moves machine_1 to 25 and asks for its status; what it heard must be the document's own answers."""
    for machine in DOCUMENT_MACHINES:
        s.machine(machine["id"], **{k: v for k, v in machine.items() if k != "id"})
    sim = await s.house()
    client = await someone(s, name, *argv, f"ws://127.0.0.1:{s.port}")
    await client.logs("heard", '"type":"command_completed"', within=10)
    client.told_to_end = True  # by itself, when it has heard what it waits for
    assert await client.ended(within=10) == 0, client.tail()
    heard = [Frame(line[6:]) for line in client.text().splitlines() if line.startswith("heard ")]
    for frame in heard:
        check_frame(frame.text, frame)
    assert [f.type for f in heard[:3]] == ["welcome", "subscription_confirmed", "status_broadcast"]
    result = next(f for f in heard if f.type == "command_result")
    assert_text(result, DOCUMENT["command_result"])
    status = next(f for f in heard if f.type == "machine_status")
    assert status.matches({"machine_id": "machine_1", "connection_status": "connected"}), status.text
    done = next(f for f in heard if f.type == "command_completed")
    assert done.matches({"type": "command_completed", "machine_id": "machine_1", "success": True, "position": 25})
    last = [f for f in heard if f.type == "status_broadcast" and "machine_1" in f["status"]][-1]
    assert last["status"]["machine_1"] == state(218, 25), last.text
    assert sim.truth.moves("machine_1") == [25]
    return client


@play("the document's JavaScript client, driven: sendCommand and getStatus once the connection is open", "npm")
async def javascript_driven(s):
    client = await driven(s, "js-driven", "node", DRIVEN_JS, FIXTURES / "carousel_client.js")
    await client.logs("Resultado de comando:", "Comando ejecutado correctamente")
    await client.logs("Conexión cerrada:")


@play("the document's Python client, driven: send_command and get_status once the connection is open")
async def python_driven(s):
    client = await driven(s, "python-driven", sys.executable, DRIVEN_PY, FIXTURES / "carousel_client.py")
    await client.logs("Resultado de comando:", "Comando ejecutado correctamente")
    await client.logs("Estado actualizado:", "'position': 25")


@play("npm ws, with permessage-deflate offered, hears every frame of a move", "npm")
async def npm_ws(s):
    await s.house("m1")
    client = await someone(s, "ws-client", "node", PROBE_JS, f"ws://127.0.0.1:{s.port}/")
    await client.logs('"type":"welcome"')
    await client.logs('"type":"subscription_confirmed"')
    mover = await s.client("mover")
    await mover.move("m1", 6)
    await mover.hear("command_completed")
    await client.logs('"type":"command_completed"', '"position":6')
    heard = [json.loads(line) for line in client.text().splitlines() if line.startswith("{")]
    states = [f["status"]["m1"] for f in heard if f["type"] == "status_broadcast"]
    assert states[-1]["position"] == 6 and states[-1]["raw_status"] == 218, states[-1]
    await client.logs("pong: frames are answered")
    await sends_home(client)
