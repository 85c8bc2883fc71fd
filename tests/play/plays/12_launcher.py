"""`noria up`: everything at once, restarted when it dies, and nothing left behind."""
import os
import signal
import subprocess
from pathlib import Path

from stagecraft.httpclient import get
from stagecraft.launched import pids, restarted, up
from stagecraft.process import children_of_this_process
from stagecraft.registry import play
from stagecraft.scripts import AT_REST, ENDPOINTS_DOCUMENT, compact
from stagecraft.stage import BIN
from stagecraft.wait import limit, now, until


@play("up serves everything; Ctrl-C leaves no process, no socket and no file", "asan")
async def up_and_down(s):
    launcher = await up(s, "m1", "m2")
    await launcher.logs(f"ws://127.0.0.1:{s.port}")
    c1, c2 = await s.client("c1"), await s.client("c2")
    for client in (c1, c2):
        await client.subscribe()
        for machine in ("m1", "m2"):
            await client.sees(machine, connection_status="connected", within=10)
    await c1.move("m1", 5)
    await c1.hear("command_completed", success=True, position=5)
    await c2.sees("m1", position=5, raw_status=AT_REST)
    assert len(pids("noria-worker")) == 2 and len(pids("plc-agent")) == 2
    await launcher.stop(signal.SIGINT, within=10)
    assert await c1.closed() == 1001 and await c2.closed() == 1001
    assert not children_of_this_process(), children_of_this_process()
    left = [str(p) for p in s.runtime.rglob("*") if not p.is_dir()] if s.runtime.exists() else []
    assert not left, f"left behind: {left}"


@play("up starts again what dies, whatever it is; clients elsewhere do not notice", within=90)
async def restarts(s):
    await up(s, "m1", "m2")
    clients = [await s.client(f"c{n}") for n in range(6)]
    for client in clients:
        await client.subscribe()
        client.history.repeats_allowed = True
        await client.sees("m1", connection_status="connected", within=10)
        await client.sees("m2", connection_status="connected", within=10)

    old = pids("plc-agent", "m1")
    os.kill(old[0], signal.SIGKILL)
    for client in clients:
        await client.hear_state("m1", connection_status="disconnected")
    await restarted("plc-agent", old, "m1")
    for client in clients:
        await client.sees("m1", connection_status="connected")

    old = pids("noria-broker")
    os.kill(old[0], signal.SIGKILL)
    await restarted("noria-broker", old)
    await clients[0].move("m1", 4)
    await clients[0].hear("command_completed", success=True, position=4, within=8)
    for client in clients:
        await client.sees("m1", position=4, raw_status=AT_REST, connection_status="connected")

    old = pids("noria-worker")
    os.kill(old[0], signal.SIGKILL)
    await restarted("noria-worker", old)
    await until("two workers", lambda: len(pids("noria-worker")) == 2)
    fresh = [await s.client(f"fresh{n}") for n in range(6)]
    for client in fresh:
        await client.subscribe()
        await client.sees("m1", position=4, connection_status="connected")
    dropped = [c for c in clients if not c.connected]
    assert len(dropped) < len(clients), "a killed worker took everybody along"


@play("while a worker is away its connections wait in its socket: nobody is refused", within=90)
async def nobody_refused(s):
    await up(s, "m1")
    old = pids("noria-worker")
    os.kill(old[0], signal.SIGKILL)
    clients = [await s.client(f"c{n}") for n in range(30)]
    for client in clients:
        await client.ping()
    await restarted("noria-worker", old)


@play("a broker restart under up: states are current again within 300 ms")
async def broker_pause(s):
    """From the kill to the change that happened meanwhile, as a client hears it. Once for each `up`: who dies again and again waits. A machine that
    has other things to do can only make it longer: the best of five."""
    family, took = await up(s, "m1"), []
    for _ in range(5):
        c1 = await s.client("c1")
        await c1.subscribe()
        await c1.sees("m1", connection_status="connected", within=10)
        c1.history.repeats_allowed = True
        await s.simulator.place("m1", 3)
        await c1.sees("m1", position=3)
        killed_at = now()
        os.kill(pids("noria-broker")[0], signal.SIGKILL)
        await s.simulator.place("m1", 9)
        await c1.sees("m1", position=9, connection_status="connected")
        took.append(c1.frames[-1].heard_at - killed_at)
        if took[-1] < limit(0.3):
            return
        await c1.close()
        await family.stop(within=15)
        await family.start(within=15)
    raise AssertionError(f"{[round(x * 1000) for x in took]} ms until the change was told")


@play("the launcher killed: its children stop by themselves")
async def launcher_killed(s):
    launcher = await up(s, "m1")
    c1 = await s.client("c1")
    await launcher.kill()
    await until("everybody to have left", lambda: not children_of_this_process())
    assert await c1.closed() == 1001
    for name in ("launcher.lock", "control.sock", "sim.sock", "bus/bell.sock", "bus/broker.sock", "conf/current/config"):
        (s.runtime / name).unlink(missing_ok=True)
    for path in (s.runtime / "shm").glob("*"):
        path.unlink()


@play("up over what a killed launcher left behind starts as if nothing had been")
async def up_again(s):
    launcher = await up(s, "m1")
    await launcher.kill()
    await until("everybody to have left", lambda: not children_of_this_process())
    await launcher.start(within=15)
    c1 = await s.client("c1")
    await c1.subscribe()
    await c1.sees("m1", connection_status="connected", within=10)
    await launcher.stop(signal.SIGINT, within=10)


DEPLOY = Path(__file__).resolve().parents[3] / "deploy"


async def the_documents_chat(s):
    """/chat and /chat-raw, by the example handler that is started with all the rest."""
    s.endpoints["/chat"] = {"schema": "chat_request.json"}
    chat, raw = await s.caller("chat", "/chat"), await s.caller("raw", "/chat-raw")
    for message, expected in (({"message": "Hi"}, "success"), ({}, "refused"), ({"message": "Hi"}, "success")):
        await chat.say(message)
        assert (await chat.next()).text == compact(ENDPOINTS_DOCUMENT[expected])
    await raw.say(compact(ENDPOINTS_DOCUMENT["traditional"]))
    await raw.raw(compact(ENDPOINTS_DOCUMENT["sent"]))


async def demonstration(s, launcher):
    """What deploy/conf/demo.yaml promises: two simulated machines with at least 26 positions, on ports 8765 and 8000, bridged to streams on
    7078, and the endpoints of the example handler."""
    s.port, s.streams_port, s.endpoints_port = 8765, 7078, 8000
    s.adopt_simulator()
    c1 = await s.client("c1", welcome=False)
    welcome = await c1.next("welcome", mode="multi-plc")
    machines = [m["id"] for m in welcome["machines"]]
    assert len(machines) == 2 and {m["type"] for m in welcome["machines"]} == {"Simulator"}, welcome.text
    assert (await get(8000, "/v1/machines")).envelope(200) == welcome["machines"]
    await c1.subscribe()
    streams = await s.streamer("streams", "carousel/states", "carousel/results")
    for machine in machines:
        await c1.sees(machine, connection_status="connected", within=10)
        await s.simulator.pace(machine, 5)
        await c1.move(machine, 25)
        await c1.hear("command_completed", machine_id=machine, success=True, position=25, within=10)
        for start in ('{"type":"status_broadcast",', f'{{"type":"command_completed","machine_id":"{machine}",'):
            await streams.hear(test=lambda text, start=start: text.startswith(start))
    await the_documents_chat(s)
    assert len(pids("noria-worker")) == os.cpu_count(), "one worker per core"
    await launcher.stop(signal.SIGINT, within=10)
    assert await c1.closed() == await streams.closed() == 1001
    left = [str(p) for p in s.runtime.rglob("*")] if s.runtime.exists() else []
    assert not left, f"left behind: {left}"


@play("the demonstration as it is shipped", "namespace")
async def demo(s):
    argv = [BIN / "noria", "up", "-c", DEPLOY / "conf/demo.yaml"]
    launcher = s.cast_argv("up", argv, env={"NORIA_RUNTIME_DIR": str(s.runtime), "NORIA_STATE_DIR": str(s.state),
                                            "PATH": f"{BIN}:{os.environ['PATH']}"})
    await launcher.start(within=15)
    await demonstration(s, launcher)


@play("deploy/run builds and starts it; Ctrl-C leaves nothing", "namespace", "deploy", within=900)
async def deploy_run(s):
    launcher = s.cast_argv("up", [DEPLOY / "run"], env={"NORIA_RUNTIME_DIR": str(s.runtime), "NORIA_STATE_DIR": str(s.state)})
    await launcher.start(within=840)
    await launcher.logs("8765")
    await demonstration(s, launcher)


@play("noria stats prints every counter of every segment")
async def stats(s):
    await s.house("m1")
    c1 = await s.client("c1", on="w1")
    await c1.subscribe()
    said = subprocess.run([BIN / "noria", "stats", "-c", s.conf], capture_output=True, text=True, timeout=limit(10))
    assert said.returncode == 0, said.stderr
    segments = s.counters.all()
    assert {"broker", "worker.0", "worker.1"} <= set(segments), segments.keys()
    assert any(name.startswith("agent.") for name in segments), segments.keys()
    for segment, metrics in segments.items():
        assert segment in said.stdout, f"{segment} is missing in:\n{said.stdout}"
        for name in metrics:
            assert name in said.stdout, f"{segment} {name} is missing"
