"""subscribe: confirmation, one snapshot, then changes only; and nothing for those who did not ask."""
from stagecraft.registry import play
from stagecraft.scripts import AT_REST, DOCUMENT, DOCUMENT_MACHINES, assert_text, compact, state


@play("confirmation as in the document, then one snapshot of all that was asked, then changes only", "asan")
async def snapshot_then_changes(s):
    for machine in DOCUMENT_MACHINES:
        s.machine(machine["id"], **{k: v for k, v in machine.items() if k != "id"})
    sim = await s.house(workers=["w1"])
    c1 = await s.client("c1")
    await c1.say(DOCUMENT["subscribe"])
    assert_text(await c1.next(), DOCUMENT["subscription_confirmed"])
    snapshot = await c1.next("status_broadcast")
    expected = {"machine_1": state(AT_REST, 0), "machine_2": state(AT_REST, 0)}
    assert_text(snapshot, {"type": "status_broadcast", "timestamp": "", "status": expected})

    await sim.truth.polled_again("machine_1", 5)
    await sim.place("machine_1", 3)
    change = await c1.next("status_broadcast")
    assert_text(change, {"type": "status_broadcast", "timestamp": "", "status": {"machine_1": state(AT_REST, 3)}})
    await sim.place("machine_2", 4)
    change = await c1.next("status_broadcast")
    assert_text(change, {"type": "status_broadcast", "timestamp": "", "status": {"machine_2": state(AT_REST, 4)}})


@play("without machine_ids: all machines, and the confirmation lists them")
async def all_of_them(s):
    sim = await s.house("m1", "m2", "m3", workers=["w1"])
    c1 = await s.client("c1")
    await c1.say(DOCUMENT["subscribe_all_events"])
    confirmed = await c1.next("subscription_confirmed", subscription_type="all_events")
    assert confirmed["machine_ids"] == ["m1", "m2", "m3"], confirmed.text
    snapshot = await c1.next("status_broadcast")
    assert list(snapshot["status"]) == ["m1", "m2", "m3"], snapshot.text
    for machine in ("m3", "m1", "m2"):
        await sim.place(machine, 7)
        change = await c1.next("status_broadcast")
        assert list(change["status"]) == [machine] and change["status"][machine]["position"] == 7, change.text


@play("subscription_type defaults to status_updates")
async def default_type(s):
    await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    confirmed = await c1.ask(type="subscribe", machine_ids=["m1"])
    assert_text(confirmed, {"type": "subscription_confirmed", "subscription_type": "status_updates",
                            "machine_ids": ["m1"], "timestamp": ""})
    await c1.next("status_broadcast")


@play("command_results has no snapshot, and brings no states")
async def results_only(s):
    sim = await s.house("m1", workers=["w1"])
    c1, c2 = await s.client("c1"), await s.client("c2")
    await c1.say(DOCUMENT["subscribe_command_results"] | {"machine_ids": ["m1"]})
    await c1.next("subscription_confirmed", subscription_type="command_results", machine_ids=["m1"])
    await c2.subscribe()
    await sim.place("m1", 2)
    await c2.sees("m1", position=2)
    await c2.move("m1", 4)
    await c1.next("command_result", machine_id="m1", success=True)
    await c1.next("command_completed", machine_id="m1", success=True, position=4)


@play("a client that has not subscribed hears nothing of the machines")
async def silence(s):
    sim = await s.house("m1", "m2", workers=["w1"])
    c1, c2 = await s.client("c1"), await s.client("c2")
    await c2.subscribe()
    await c2.move("m1", 5)
    await c2.hear("command_completed")
    await c1.subscribe("m2")
    await sim.place("m2", 1)
    await c1.hear_state("m2", position=1)
    types = [f.type for f in c1.frames]
    assert types == ["welcome", "subscription_confirmed", "status_broadcast", "status_broadcast"], types


@play("carousel.auto_subscribe gives every client every status, as older servers did")
async def auto_subscribe(s):
    s.set("carousel", auto_subscribe=True)
    s.machine("m1")
    await s.sim()
    await s.broker()
    await s.worker("w1")
    await s.agent("m1")
    c1 = await s.client("c1")
    await c1.sees("m1", connection_status="connected", position=0)
    await s.simulator.place("m1", 6)
    await c1.hear_state("m1", position=6)


@play("a repeated subscribe is a union, and a frame reaches a socket once", "asan")
async def union(s):
    sim = await s.house("m1", "m2", "m3", workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe("m1")
    await c1.subscribe("m2")
    await c1.subscribe("m1", "m2")
    await c1.subscribe(kind="command_results")
    await c1.subscribe("m1", kind="status_updates")
    since = c1.mark()
    for machine, position in (("m1", 1), ("m3", 9), ("m2", 2), ("m1", 3)):
        await sim.place(machine, position)
        if machine != "m3":
            await c1.hear_state(machine, position=position)
    frames = c1.heard(since=since)
    assert [compact({m: f["status"][m]["position"] for m in f["status"]}) for f in frames] == \
        ['{"m1":1}', '{"m2":2}', '{"m1":3}'], [f.text for f in frames]


@play("one unknown machine refuses the whole request")
async def unknown_machine(s):
    sim = await s.house("m1", "m2", workers=["w1"])
    c1 = await s.client("c1")
    answer = await c1.ask(type="subscribe", machine_ids=["m1", "nobody"])
    assert_text(answer, DOCUMENT["error"], machine_id="nobody")
    await sim.place("m1", 5)
    await c1.subscribe("m2")
    await sim.place("m2", 5)
    await c1.hear_state("m2", position=5)
    assert not c1.heard("status_broadcast", "m1")


@play("alarms are events for all_events, with their end")
async def alarms(s):
    sim = await s.house("m1", "m2", workers=["w1"])
    c1, c2 = await s.client("c1"), await s.client("c2")
    await c1.subscribe(kind="all_events")
    await c2.subscribe()
    for active in (True, False):
        await sim.condition("m1", "alarm", active)
        event = await c1.hear("alarm", machine_id="m1", condition="alarm", active=active)
        assert_text(event, {"type": "alarm", "machine_id": "m1", "condition": "alarm", "active": active,
                            "timestamp": ""})
    await sim.place("m2", 5)
    await c2.hear_state("m2", position=5)
    assert not c2.heard("alarm"), "status_updates brought an event"
    assert len(c1.heard("alarm")) == 2


@play("subscribing in the middle of a move: snapshot and changes meet without a gap")
async def while_it_moves(s):
    sim = await s.house("m1", workers=["w1"])
    await sim.pace("m1", 15)
    whole = await s.client("whole")
    await whole.subscribe()
    await whole.move("m1", 13)
    late = []
    for n in range(8):
        client = await s.client(f"late{n}")
        await client.subscribe()
        late.append(client)
    await whole.hear("command_completed")
    sequence = [compact(x) for x in whole.states("m1")]
    for client in late:
        await client.sees("m1", position=13, raw_status=AT_REST)
        own = [compact(x) for x in client.states("m1")]
        assert sequence[-len(own):] == own, f"{client.name} heard {own}, the whole story was {sequence}"
