"""unsubscribe and get_machines: what goes, what stays, and that nothing owed is lost on the way."""
import json
import socket

from stagecraft.registry import play
from stagecraft.scripts import assert_text


def confirmed(machines, kind="status_updates"):
    return {"type": "unsubscription_confirmed", "subscription_type": kind, "machine_ids": machines, "timestamp": ""}


@play("unsubscribe: a confirmation in the shape of subscribe's, then no frame of those machines", "asan")
async def some_machines(s):
    sim = await s.house("m1", "m2", "m3", workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe("m1", "m2")
    await c1.say(type="unsubscribe", subscription_type="status_updates", machine_ids=["m1"],
                 timestamp="2025-01-27T10:30:00.000Z")
    assert_text(await c1.next(), confirmed(["m1"]))
    await sim.place("m1", 5)
    watcher = await s.client("watcher")
    await watcher.subscribe()
    await watcher.sees("m1", position=5)
    await sim.place("m2", 6)
    change = await c1.next("status_broadcast")
    assert list(change["status"]) == ["m2"], change.text
    await c1.subscribe("m1")
    await sim.place("m1", 7)
    await c1.next("status_broadcast", status={"m1": {"position": 7}})


@play("unsubscribe without machine_ids ends everything of that type, and of no other")
async def everything(s):
    sim = await s.house("m1", "m2", workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe(kind="all_events")
    await c1.subscribe("m1")
    await c1.say(type="unsubscribe")  # the type is status_updates, as of subscribe
    assert_text(await c1.next(), confirmed(["m1", "m2"]))
    await c1.move("m1", 3)
    await c1.next("command_result", machine_id="m1")
    await c1.next("command_completed", machine_id="m1")
    await sim.condition("m2", "alarm", True)
    await c1.next("alarm", machine_id="m2", active=True)
    await c1.unsubscribe(kind="command_results")
    await sim.condition("m2", "alarm", False)
    await c1.next("alarm", machine_id="m2", active=False)
    await c1.unsubscribe(kind="all_events")
    await sim.condition("m2", "alarm", True)
    watcher = await s.client("watcher")
    await watcher.subscribe()
    await watcher.sees("m2", status=lambda bits: bits["ALARMA"] == "Activada")
    await c1.move("m1", 4)  # the caller always hears of its own commands, and only of them
    await c1.next("command_result", machine_id="m1")
    await c1.next("command_completed", machine_id="m1")
    await c1.subscribe("m2", kind="all_events")
    await sim.condition("m2", "alarm", False)
    await c1.hear("alarm", machine_id="m2", active=False)
    assert len(c1.heard("alarm")) == 3


@play("machines taken out of \"all\": the others go on, each kind for itself", "asan")
async def out_of_all(s):
    sim = await s.house("m1", "m2", "m3", workers=["w1"])
    c1, c2 = await s.client("c1"), await s.client("c2")
    await c1.subscribe(kind="all_events")
    await c2.subscribe(kind="all_events")
    assert (await c1.unsubscribe("m2", kind="all_events"))["machine_ids"] == ["m2"]
    assert (await c1.unsubscribe("m3", "m3", kind="command_results"))["machine_ids"] == ["m3"]
    since, marks = c1.mark(), c2.mark()
    for machine in ("m1", "m2", "m3"):
        await c2.move(machine, 5)
        await c2.hear("command_completed", machine_id=machine)
        await sim.condition(machine, "alarm", True)
        await c2.hear("alarm", machine_id=machine)
        await sim.condition(machine, "alarm", False)
        await c2.hear("alarm", machine_id=machine, active=False)
    await sim.place("m1", 9)
    await c1.hear_state("m1", position=9)
    await c2.hear_state("m1", position=9)

    def wanted(frame):
        results = frame.type in ("command_result", "command_completed")
        return "m2" not in frame.machines() and not (results and "m3" in frame.machines())

    assert [f.text for f in c1.frames[since:]] == [f.text for f in c2.frames[marks:] if wanted(f)]
    assert {f["machine_id"] for f in c1.heard("alarm")} == {"m1", "m3"}


@play("machines that come later are covered by \"all\", and no longer once one was taken out of it")
async def later_machines(s):
    for machine in ("m1", "m2", "m3"):
        s.machine(machine)
    await s.sim()
    later = s.machines.pop()
    s.write_conf()
    await s.broker()
    await s.worker("w1")
    every, rest = await s.client("every"), await s.client("rest")
    for client in (every, rest):
        await client.subscribe(kind="all_events")
        client.history.repeats_allowed = True
    await rest.unsubscribe("m2", kind="all_events")
    s.machines.append(later)
    s.write_conf()
    await s.actor("b1").restart()
    await every.hear("machine_added", machine_id="m3")
    await s.agent("m3")
    await every.sees("m3", connection_status="connected", position=0, within=10)
    await s.agent("m1")
    for client in (every, rest):
        await client.sees("m1", connection_status="connected", within=10)
    heard = [f.text for f in rest.frames if "m3" in f.machines()]
    assert not heard, heard
    assert (await rest.unsubscribe(kind="all_events"))["machine_ids"] == ["m1", "m2", "m3"]


@play("unsubscribe without machine_ids forgets machines that are gone, too: should they come back, nothing is heard of them")
async def gone_machines(s):
    for machine in ("m1", "m2"):
        s.machine(machine)
    await s.sim()
    first, second = s.machines
    await s.broker()
    await s.worker("w1")
    forgets, keeps = await s.client("forgets"), await s.client("keeps")
    for client in (forgets, keeps):
        await client.subscribe("m1", "m2")
        client.history.repeats_allowed = True
    for machines in ([first], [first, second]):
        s.machines[:] = machines
        s.write_conf()
        await s.actor("b1").restart()
        for client in (forgets, keeps):
            await client.say(type="get_machines")
            while len((await client.hear("machines"))["machines"]) != len(machines):
                await client.say(type="get_machines")
        if machines == [first]:
            await forgets.unsubscribe()
    await s.agent("m2")
    await keeps.sees("m2", connection_status="connected", within=10)
    await forgets.subscribe("m1")
    await s.agent("m1")
    await forgets.sees("m1", connection_status="connected", within=10)
    assert forgets.state("m2")["connection_status"] == "disconnected", forgets.state("m2")


@play("one unknown machine refuses the whole unsubscribe")
async def unknown_machine(s):
    sim = await s.house("m1", "m2", workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe("m1", "m2")
    refused = await c1.ask(type="unsubscribe", machine_ids=["m1", "nobody", "m2"])
    assert_text(refused, {"type": "error", "error": "Machine not found", "code": "MACHINE_NOT_FOUND",
                          "machine_id": "nobody", "timestamp": ""})
    await sim.place("m1", 3)
    await c1.next("status_broadcast", status={"m1": {"position": 3}})


@play("unsubscribe may be said again, and of what never was subscribed: it is confirmed and changes nothing")
async def idempotent(s):
    sim = await s.house("m1", "m2", workers=["w1"])
    c1 = await s.client("c1")
    for kind in ("status_updates", "command_results", "all_events"):
        assert_text(await c1.unsubscribe(kind=kind), confirmed(["m1", "m2"], kind))
        assert_text(await c1.unsubscribe("m2", kind=kind), confirmed(["m2"], kind))
    await c1.subscribe("m1")
    for _ in range(3):
        await c1.unsubscribe("m2")
        assert_text(await c1.ask(type="unsubscribe", machine_ids=[]), confirmed([]))
    await sim.place("m1", 3)
    await c1.next("status_broadcast", status={"m1": {"position": 3}})
    for _ in range(3):
        await c1.unsubscribe("m1")
    await c1.ping()
    assert c1.connected


@play("subscribe to no machine at all: confirmed, an empty snapshot, and silence")
async def no_machine(s):
    sim = await s.house("m1", workers=["w1"])
    c1, c2 = await s.client("c1"), await s.client("c2")
    await c1.say(type="subscribe", subscription_type="all_events", machine_ids=[])
    await c1.next("subscription_confirmed", machine_ids=lambda ids: ids == [])
    await c1.next("status_broadcast", status=lambda status: status == {})
    await c2.subscribe(kind="all_events")
    await sim.condition("m1", "alarm", True)
    await c2.hear("alarm")
    assert (await c1.ask(type="ping")).type == "pong"


@play("a single-machine all_events brings states, results and alarms of that machine and of no other")
async def all_events_of_one(s):
    sim = await s.house("m1", "m2", workers=["w1"])
    c1, c2 = await s.client("c1"), await s.client("c2")
    await c1.subscribe("m1", kind="all_events")
    await c2.subscribe(kind="all_events")
    for machine in ("m2", "m1"):
        await c2.move(machine, 4)
        await c2.hear("command_completed", machine_id=machine)
        await sim.condition(machine, "alarm", True)
        await c2.hear("alarm", machine_id=machine)
    await c1.hear("alarm", machine_id="m1", condition="alarm", active=True)
    machines = [m for f in c1.frames for m in f.machines()]
    assert set(machines) == {"m1"}, machines
    assert {f.type for f in c1.frames} >= {"status_broadcast", "command_result", "command_completed", "alarm"}


@play("what is owed before an unsubscribe still arrives, in order; nothing that came after it does", within=120)
async def owed(s):
    """A client that stops reading is owed frames when it unsubscribes. Its own move of m2, said last, is the marker that
    the worker has taken the unsubscribe; the many machines make answers large, so that few of them fill its socket."""
    sim_machines = [s.machine("m1"), s.machine("m2")]
    for n in range(62):
        s.machine(f"far{n}", simulator=False, port=4000 + n, name="x" * 96)
    await s.sim()
    await s.broker()
    await s.worker("w1")
    for machine in sim_machines:
        await s.agent(machine)
        await s.simulator.pace(machine, 0)
    reader = await s.client("reader")
    await reader.subscribe("m1", "m2", kind="all_events")
    for machine in sim_machines:
        await reader.sees(machine, connection_status="connected")
    small = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    small.connect(("127.0.0.1", s.port))
    slow = await s.client("slow", sock=small)
    await slow.subscribe("m1", kind="command_results")
    slow.socket.transport.pause_reading()
    begin, said = reader.mark(), 2
    while True:  # counters are shown together: what was said, and what waits
        for _ in range(20):
            await slow.say(type="get_machines")
        said += 20
        await s.counts("w1", "received", said)
        if s.counter("w1", "outbox_own_bytes") > 0:
            break
    for n in range(5):
        await reader.move("m1", n % 2)
        await reader.hear("command_completed", machine_id="m1")
    end = reader.mark()
    await slow.say(type="unsubscribe", subscription_type="command_results")
    await slow.move("m2", 1)
    await reader.hear("command_completed", machine_id="m2")
    await reader.move("m1", 7)
    await reader.hear("command_completed", machine_id="m1", position=7)
    slow.socket.transport.resume_reading()
    await slow.hear("unsubscription_confirmed", within=20)
    await slow.hear("command_completed", machine_id="m2")
    await slow.ping()
    results = ("command_result", "command_completed")
    want = [f.text for f in reader.frames[begin:end] if f.type in results]
    have = [f.text for f in slow.frames if f.type in results and f["machine_id"] == "m1"]
    assert have == want and len(want) == 10, f"{len(have)} frames heard, {len(want)} owed"


@play("get_machines tells what welcome told")
async def get_machines(s):
    s.machine("m.1", name='Cámara "ñ" \\ 😀', simulator=False)
    s.machine("m2")
    await s.broker()
    await s.worker("w1")
    c1 = await s.client("c1", welcome=False)
    welcome = await c1.next("welcome")
    answer = await c1.ask(type="get_machines", timestamp="2025-01-27T10:30:00.000Z")
    assert_text(answer, {"type": "machines", "machines": welcome["machines"], "timestamp": ""})
    assert [m["type"] for m in answer["machines"]] == ["Real PLC", "Simulator"], answer.text


@play("auto_subscribe can be undone by unsubscribe")
async def auto_subscribe_undone(s):
    s.set("carousel", auto_subscribe=True)
    sim = await s.house("m1", "m2", workers=["w1"])
    c1, c2 = await s.client("c1"), await s.client("c2")
    await c1.hear("status_broadcast")
    await c1.unsubscribe()
    await sim.place("m1", 6)
    await c2.hear_state("m1", position=6)
    assert (await c1.ask(type="ping")).type == "pong"


MANY = 4096


@play("4,096 machines: welcome, snapshot and statuses are one message each; too many subscriptions are refused", within=120)
async def many_machines(s):
    s.set(max_machines=MANY)
    ids = [s.machine(f"machine_{n}", simulator=False, port=1024 + n) for n in range(MANY)]
    await s.broker()
    await s.worker("w1")
    c1 = await s.client("c1", welcome=False)
    welcome = await c1.next("welcome", within=10)
    assert [m["id"] for m in welcome["machines"]] == ids
    for _ in range(3):
        for question in ("get_status", "get_machines"):
            await c1.say(type=question)
        await c1.say(type="subscribe")
        await c1.next("all_machines_status", within=10, status=lambda status: list(status) == ids)
        await c1.next("machines", within=10)
        await c1.next("subscription_confirmed", within=10, machine_ids=lambda m: m == ids)
        await c1.next("status_broadcast", within=10, status=lambda status: list(status) == ids)
    await c1.say(type="unsubscribe", machine_ids=ids[:1])
    await c1.next("unsubscription_confirmed", within=10)
    refused = await c1.ask(type="subscribe", subscription_type="all_events", machine_ids=ids[:700])
    assert refused["code"] == "RATE_LIMITED" and "subscriptions" in refused["error"], refused.text
    await c1.unsubscribe()
    await c1.subscribe(*ids[:700], kind="all_events")
    too_many = json.dumps({"type": "subscribe", "machine_ids": ["m"] * 2049})
    refused = await c1.ask(too_many)
    assert refused["code"] == "INVALID_MESSAGE_FORMAT" and "machine_ids" in refused["error"], refused.text
