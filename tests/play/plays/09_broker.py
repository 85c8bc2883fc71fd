"""The broker, killed at the worst moments: no client drops, and every command gets one result, one write."""
from stagecraft.registry import play
from stagecraft.scripts import AT_REST, MOVING
from stagecraft.wait import limit, now


async def audience(s):
    """Clients on both workers: the caller and three others."""
    caller, near = await s.client("caller", on="w1"), await s.client("near", on="w1")
    far, results = await s.client("far", on="w2"), await s.client("results", on="w2")
    await caller.subscribe("m1")
    await near.subscribe()
    await far.subscribe(kind="all_events")
    await results.subscribe(kind="command_results")
    for client in (caller, near, far, results):
        client.history.repeats_allowed = True
    return caller, near, far, results


def all_connected(clients):
    for client in clients:
        assert client.connected, f"{client.name} was dropped ({client.close_code})"
        client.keep_rules()


def heard_once(client, type, **want):
    frames = client.heard(type, **want)
    assert len(frames) == 1, f"{client.name} heard {type} {want} {len(frames)} times: {[f.text for f in frames]}"


@play("killed while a machine moves: no client drops, one result, one completion, one write, and states go on", "asan")
async def killed_while_moving(s):
    sim = await s.house("m1", "m2", "m3")
    await sim.by_hand("m1")
    clients = caller, near, far, results = await audience(s)
    await caller.move("m1", 7)
    for client in (caller, far, results):
        await client.hear("command_result", success=True)
    await sim.step("m1", 3)
    for client in (caller, near, far):
        await client.sees("m1", position=3, raw_status=MOVING)

    await s.actor("b1").kill()
    await sim.step("m1", 2)
    await s.actor("b1").start()
    for client in (caller, near, far):
        await client.sees("m1", position=5, raw_status=MOVING, connection_status="connected")
    await sim.step("m1", 2)
    for client in (caller, far, results):
        await client.hear("command_completed", success=True, position=7)
    for client in (caller, near, far):
        await client.sees("m1", position=7, raw_status=AT_REST)
    await sim.place("m2", 4)
    await far.hear_state("m2", position=4)
    await caller.move("m1", 8)
    await sim.wait("m1", "moving")
    await sim.step("m1")
    await caller.hear("command_completed", success=True, position=8)
    await results.hear("command_completed", success=True, position=8)
    all_connected(clients)
    for client in (caller, far, results):
        heard_once(client, "command_result", data={"argument": 7})
        heard_once(client, "command_completed", command={"argument": 7})
    assert not near.heard("command_result") and not near.heard("command_completed")
    assert sim.truth.moves("m1") == [7, 8]


@play("killed between command and result: still one write, one result, one completion", "asan")
async def killed_before_result(s):
    s.set("machine_defaults", reply_timeout_ms=8000, command_deadline_ms=8000)
    sim = await s.house("m1", "m2")
    clients = caller, near, far, results = await audience(s)
    await sim.hold("m1", 1)
    await caller.move("m1", 6, request_id="worst-moment")
    await sim.held("m1")
    await s.actor("b1").kill()
    await s.actor("b1").start()
    await sim.release("m1")
    for client in (caller, far, results):
        await client.hear("command_result", success=True, request_id="worst-moment", within=8)
        await client.hear("command_completed", success=True, position=6, within=8)
    await caller.move("m2", 1)
    for client in (caller, far, results):
        await client.hear("command_completed", machine_id="m2")
        heard_once(client, "command_result", machine_id="m1")
        heard_once(client, "command_completed", machine_id="m1")
    all_connected(clients)
    assert sim.truth.moves("m1") == [6]


@play("killed and released before it is back: the outcome waits at the agent")
async def result_while_dead(s):
    s.set("machine_defaults", reply_timeout_ms=8000, command_deadline_ms=8000)
    sim = await s.house("m1", "m2")
    clients = caller, near, far, results = await audience(s)
    await sim.hold("m1", 1)
    await caller.move("m1", 6)
    await sim.held("m1")
    await s.actor("b1").kill()
    await sim.release("m1")
    await sim.wait("m1", "position 6")
    await sim.truth.polled_again("m1", 3)
    await s.actor("b1").start()
    for client in (caller, far, results):
        await client.hear("command_result", success=True, within=8)
        await client.hear("command_completed", success=True, position=6, within=8)
    await near.sees("m1", position=6, raw_status=AT_REST)
    await caller.move("m2", 1)
    for client in (caller, far, results):
        await client.hear("command_completed", machine_id="m2")
        heard_once(client, "command_result", machine_id="m1")
        heard_once(client, "command_completed", machine_id="m1")
    all_connected(clients)
    assert sim.truth.moves("m1") == [6]


@play("a command sent while there is no broker waits for one, or is answered honestly; it is written at most once")
async def command_while_dead(s):
    sim = await s.house("m1", "m2")
    caller, near, far, results = await audience(s)
    await s.actor("b1").kill()
    await caller.move("m1", 6)
    await caller.ping()
    await s.actor("b1").start()
    answer = await caller.hear(test=lambda f: f.type in ("command_result", "error"), within=8)
    await caller.move("m2", 1)
    await results.hear("command_completed", machine_id="m2", within=8)
    if answer.get("success") is True:
        await caller.sees("m1", position=6, raw_status=AT_REST)
        assert sim.truth.moves("m1") == [6]
    else:
        assert answer.get("code") in ("CONNECTION_ERROR", "TIMEOUT", "OUTCOME_UNKNOWN"), answer.text
        written = sim.truth.moves("m1")
        assert written == [] or (written == [6] and answer["code"] == "OUTCOME_UNKNOWN"), (written, answer.text)
    assert len(caller.heard(machine="m1", type="command_result")) + len(caller.heard(machine="m1", type="error")) == 1


@play("without a broker pings and get_status are still answered, and new clients are welcomed")
async def life_without(s):
    await s.house("m1")
    c1 = await s.client("c1", on="w1")
    await c1.subscribe()
    await s.actor("b1").kill()
    await c1.ping()
    await c1.say(type="get_status", machine_id="m1")
    await c1.hear("machine_status", position=0)
    c2 = await s.client("c2", on="w2")
    snapshot = await c2.subscribe()
    assert snapshot["status"]["m1"]["position"] == 0, snapshot.text
    c1.history.repeats_allowed = c2.history.repeats_allowed = True
    await s.actor("b1").start()
    await s.simulator.place("m1", 9)
    for client in (c1, c2):
        await client.sees("m1", position=9, connection_status="connected")


@play("what changed while the broker was dead is told when it is back", "asan")
async def changes_while_dead(s):
    sim = await s.house("m1", "m2", "m3")
    clients = caller, near, far, results = await audience(s)
    await s.actor("b1").kill()
    await sim.place("m1", 3)
    await sim.place("m2", 4)
    await s.actor("a.m3").kill()
    for machine in ("m1", "m2"):
        await sim.truth.polled_again(machine, 3)
    await s.actor("b1").start()
    await near.sees("m1", position=3, connection_status="connected")
    await near.sees("m2", position=4, connection_status="connected")
    await near.sees("m3", connection_status="disconnected")
    await caller.sees("m1", position=3)
    await s.actor("a.m3").start()
    await near.sees("m3", connection_status="connected")
    all_connected(clients)


@play("killed ten times in a row: numbers rise on, nobody drops, nothing is written twice", within=120)
async def killed_often(s):
    sim = await s.house("m1", "m2")
    clients = caller, near, far, results = await audience(s)
    ring = near.history.last_seq[0]
    for n in range(10):
        position = n % 2 * 5 + 2
        await caller.move("m1", position)
        await s.actor("b1").kill()
        await s.actor("b1").start()
        answer = await caller.hear(test=lambda f: f.type in ("command_result", "error"), within=8)
        if answer.get("success") is True:
            await caller.hear("command_completed", success=True, position=position, within=8)
        await near.sees("m1", connection_status="connected", raw_status=AT_REST)
    await sim.place("m2", 13)
    await near.hear_state("m2", position=13)
    assert near.history.last_seq[0] == ring, "the ring was replaced"
    all_connected(clients)
    moves = sim.truth.moves("m1")
    assert len(moves) <= 10, moves
    assert len(caller.heard("command_result", success=True)) <= len(moves), "a result without a write"


@play("back within 300 ms: states are current again soon after a restart")
async def back_soon(s):
    sim = await s.house("m1")
    c1 = await s.client("c1", on="w1")
    await c1.subscribe()
    c1.history.repeats_allowed = True
    took = []
    for n in range(5):
        await s.actor("b1").kill()
        await sim.place("m1", n + 1)
        await s.actor("b1").start()
        started_at = now()
        await c1.sees("m1", position=n + 1, connection_status="connected")
        took.append((c1.frames[-1].heard_at - started_at) * 1000)
    assert sorted(took)[2] < limit(300), f"after READY it took {[round(t) for t in took]} ms"


@play("told to stop, it leaves its clients connected, and its successor goes on in the same ring")
async def told_to_stop(s):
    sim = await s.house("m1")
    c1 = await s.client("c1", on="w1")
    await c1.subscribe()
    c1.history.repeats_allowed = True
    ring = c1.history.last_seq[0]
    await s.actor("b1").stop()
    await c1.ping()
    await s.actor("b1").start()
    await sim.place("m1", 5)
    await c1.sees("m1", position=5, connection_status="connected")
    assert c1.history.last_seq[0] == ring


@play("a retired ring: workers open the new one, and clients go on with a snapshot")
async def new_ring(s):
    """The broker comes back with another ring size: the old file cannot be continued."""
    sim = await s.house("m1", "m2")
    c1, c2 = await s.client("c1", on="w1"), await s.client("c2", on="w2")
    for client in (c1, c2):
        await client.subscribe()
        client.history.repeats_allowed = True
    ring = c1.history.last_seq[0]
    await s.actor("b1").kill()
    s.set("ring", size_mib=2)
    s.write_conf()
    await s.actor("b1").start()
    await sim.place("m1", 5)
    for client in (c1, c2):
        await client.sees("m1", position=5, connection_status="connected")
        assert client.history.last_seq[0] != ring
        assert client.connected
