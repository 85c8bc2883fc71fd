"""Connecting: welcome, ping, and a house in which nothing has been read yet."""
import copy

from stagecraft.ports import has_ipv6
from stagecraft.registry import play
from stagecraft.scripts import AT_REST, DOCUMENT, DOCUMENT_MACHINES, NEVER_READ, assert_text, compact, state
from stagecraft.wait import until


@play("welcome comes first and reads as in the document", "asan")
async def welcome(s):
    s.machine(**named(DOCUMENT_MACHINES[0]), simulator=False)
    s.machine(**named(DOCUMENT_MACHINES[1]), simulator=True)
    await s.broker()
    await s.worker("w1")
    c1 = await s.client("c1", welcome=False)
    frame = await c1.next("welcome")
    info = {**DOCUMENT["welcome"]["server_info"], "version": frame["server_info"]["version"]}
    assert frame["server_info"]["version"] == version_of(s), frame.text
    assert_text(frame, DOCUMENT["welcome"], server_info=info)


def named(machine):
    """machine(): the id is its first argument."""
    settings = dict(machine)
    return {"machine_id": settings.pop("id"), **settings}


def version_of(s):
    import subprocess
    from stagecraft.stage import BIN
    said = subprocess.run([BIN / "noria-worker", "--version"], capture_output=True, text=True, check=True).stdout
    return said.split()[-1]


@play("one machine with mode single greets as single-plc")
async def single_mode(s):
    s.machine("m1", mode="single")
    await s.house(workers=["w1"])
    c1 = await s.client("c1", welcome=False)
    frame = await c1.next("welcome", mode="single-plc")
    assert [m["id"] for m in frame["machines"]] == ["m1"]
    answer = await c1.ask(type="get_status")
    assert_text(answer, {"type": "status", "status": {"m1": state(AT_REST, 0)}, "timestamp": ""})


@play("in single mode a command needs no machine_id, flat or nested; what it names is looked at all the same", "asan")
async def single_commands(s):
    s.machine("m1", mode="single")
    sim = await s.house(workers=["w1"])
    c1 = await s.client("c1")
    await c1.say(type="send_command", command=1, argument=5, request_id="flat")
    result = await c1.next("command_result", success=True, machine_id="m1", request_id="flat")
    assert result["data"]["argument"] == 5, result.text
    await c1.next("command_completed", machine_id="m1", position=5)
    await c1.say(type="send_command", command={"command": 1, "argument": 7})
    await c1.next("command_result", machine_id="m1", data={"argument": 7})
    await c1.next("command_completed", machine_id="m1", position=7)
    await c1.say(type="send_command", machine_id="m1", command=1, argument=8)
    await c1.next("command_result", machine_id="m1", data={"argument": 8})
    await c1.next("command_completed", machine_id="m1", position=8)
    assert sim.truth.moves("m1") == [5, 7, 8]
    await c1.ask(type="send_command", machine_id="m2", command=1, argument=8)
    assert c1.frames[-1].matches({"type": "error", "code": "MACHINE_NOT_FOUND", "machine_id": "m2"})
    await c1.ask(type="send_command", command=1, argument=256)
    assert c1.frames[-1].matches({"type": "error", "code": "INVALID_COMMAND"}) and "argument" in c1.frames[-1]["error"]
    answer = await c1.ask(type="get_status", machine_id="m1")
    assert answer.matches({"type": "machine_status", "machine_id": "m1", "position": 8}), answer.text
    snapshot = await c1.subscribe()
    assert list(snapshot["status"]) == ["m1"], snapshot.text


@play("one machine without mode single is multi-plc all the same: a command names its machine")
async def not_single(s):
    s.machine("m1")
    await s.house(workers=["w1"])
    c1 = await s.client("c1", welcome=False)
    await c1.next("welcome", mode="multi-plc")
    await c1.ask(type="send_command", command=1, argument=5)
    assert c1.frames[-1].matches({"type": "error", "code": "INVALID_MESSAGE_FORMAT", "error": "machine_id: missing"})
    assert (await c1.ask(type="get_status")).type == "all_machines_status"


@play("every path of the carousel's port is served")
async def any_path(s):
    s.machine("m1")
    await s.broker()
    await s.worker("w1")
    for path in ("/", "/ws", "/any/path/at%20all?x=1"):
        client = await s.client(f"c{path}", path=path)
        await client.ping()


@play("names are shown as they stand: UTF-8, quotes, backslashes")
async def names(s):
    name = 'Cámara ñ € 😀 "A\\B"'
    s.machine("m.1:a_B-2", name=name)
    await s.broker()
    await s.worker("w1")
    c1 = await s.client("c1", welcome=False)
    welcome = await c1.next("welcome")
    assert welcome["machines"][0]["name"] == name and "😀" in welcome.text, welcome.text
    answer = await c1.ask(type="get_status", machine_id="m.1:a_B-2")
    assert answer.type == "machine_status", answer.text


@play("several listeners, on several loopback addresses, IPv6 too")
async def listeners(s):
    s.machine("m1")
    places = [("127.0.0.1", s.port), ("127.0.0.1", s.ports.take()), ("127.0.0.2", s.ports.take())]
    if has_ipv6():
        places.append(("::1", s.ports.take()))
    s.listeners = [{"name": f"l{n}", "dialects": ["carousel"], "address": address, "port": port}
                   for n, (address, port) in enumerate(places)]
    await s.broker()
    await s.worker("w1")
    for address, port in places:
        client = await s.client(f"c{port}", host=f"[{address}]" if ":" in address else address, port=port)
        await client.ping()


@play("ping is answered by pong, in order, as often as asked", "asan")
async def ping(s):
    s.machine("m1")
    await s.broker()
    await s.worker("w1")
    c1 = await s.client("c1")
    for _ in range(50):
        await c1.say(type="ping")
    for _ in range(50):
        assert_text(await c1.next("pong"), {"type": "pong", "timestamp": ""})


@play("before its first reading a machine is disconnected, with status {} and nulls")
async def nothing_read_yet(s):
    s.machine("m1")
    await s.broker()
    await s.worker("w1")
    c1 = await s.client("c1")
    answer = await c1.ask(type="get_status", machine_id="m1")
    assert_text(answer, {"type": "machine_status", "machine_id": "m1", **NEVER_READ, "timestamp": ""})
    snapshot = await c1.subscribe()
    assert compact(snapshot["status"]) == compact({"m1": NEVER_READ}), snapshot.text
    await s.sim()
    await s.agent("m1")
    await c1.sees("m1", connection_status="connected", raw_status=218, position=0)


@play("two workers share one port, and both serve")
async def two_workers_one_port(s):
    await s.house("m1")
    c1, c2 = await s.client("c1", on="w1"), await s.client("c2", on="w2")
    first, second = await c1.subscribe("m1"), await c2.subscribe("m1")
    assert first["status"] == second["status"]
    roles = {s.counters.role_of_pid(s.actor(name).pid) for name in ("w1", "w2")}
    assert roles == {"worker.0", "worker.1"}, roles


@play("processes may start in any order")
async def any_order(s):
    s.machine("m1")
    agent = s.cast("a.m1", "plc-agent", "-m", "m1", ready=False)
    await agent.start()
    worker = s.cast("w1", "noria-worker", ready=False)
    await worker.start()
    await s.sim()
    await s.broker()

    async def welcomed():
        try:
            return await s.client("c1")
        except OSError:
            return None

    c1 = await until("the worker to serve once it has met its broker", welcomed, within=10)
    await c1.subscribe()
    await c1.sees("m1", connection_status="connected", within=10)


@play("a restart keeps what the document promises: the same welcome, byte by byte but for its time")
async def same_welcome(s):
    await s.house("m1", "m2", workers=["w1"])
    before = (await s.client("c1", welcome=False))
    first = await before.next("welcome")
    await s.actor("b1").restart()
    await s.actor("w1").restart()
    after = await s.client("c2", welcome=False)
    again = copy.deepcopy(dict(first))
    assert_text(await after.next("welcome"), again)
