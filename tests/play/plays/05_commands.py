"""send_command: result, states, completion; refusals; and what the PLC really was sent."""
import uuid

from stagecraft.registry import play
from stagecraft.scripts import AT_REST, DOCUMENT, DOCUMENT_MACHINES, MOVING, assert_text


def document_house(s):
    for machine in DOCUMENT_MACHINES:
        s.machine(machine["id"], **{k: v for k, v in machine.items() if k != "id"})
    return s.house(workers=["w1"])


def completed(machine, position, success=True, argument=None):
    return {"type": "command_completed", "machine_id": machine,
            "command": {"command": 1, "argument": position if argument is None else argument}, "success": success,
            "position": position, "elapsed_ms": 0, "timestamp": ""}


@play("nested: the document's result, then states, then the completion", "asan")
async def nested(s):
    sim = await document_house(s)
    c1 = await s.client("c1")
    await c1.subscribe("machine_1")
    since = c1.mark()
    await c1.say(DOCUMENT["send_command"])
    assert_text(await c1.hear("command_result"), DOCUMENT["command_result"])
    done = await c1.hear("command_completed")
    assert type(done["elapsed_ms"]) is int
    assert_text(done, completed("machine_1", 25), elapsed_ms=done["elapsed_ms"])
    order = [f.type for f in c1.frames[since:]]
    assert order[-1] == "command_completed" and order.count("command_result") == 1, order
    states = c1.states("machine_1", since)
    assert states[0]["raw_status"] == MOVING, states
    assert (states[-1]["raw_status"], states[-1]["position"]) == (AT_REST, 25), states
    assert sim.truth.commands("machine_1") == [b"\x01\x19"]


@play("flat: the same answers as nested")
async def flat(s):
    sim = await document_house(s)
    c1 = await s.client("c1")
    await c1.say(type="send_command", machine_id="machine_1", command=1, argument=25)
    assert_text(await c1.next(), DOCUMENT["command_result"])
    await c1.next("command_completed", success=True, position=25)
    assert sim.truth.commands("machine_1") == [b"\x01\x19"]


@play("result and completion reach the caller and subscribers of results, once and with the same bytes", "asan")
async def who_hears_results(s):
    sim = await s.house("m1", "m2")
    caller = await s.client("caller", on="w1")
    both = await s.client("both", on="w1")
    far = await s.client("far", on="w2")
    states_only = await s.client("states_only", on="w2")
    other = await s.client("other", on="w1")
    await caller.subscribe(kind="command_results")
    await both.subscribe("m1", kind="all_events")
    await far.subscribe("m1", kind="command_results")
    await states_only.subscribe()
    await other.subscribe("m2", kind="command_results")
    await caller.move("m1", 3)
    told = []
    for client in (caller, both, far):
        result = await client.hear("command_result")
        done = await client.hear("command_completed", position=3)
        told.append((result.text, done.text))
    assert told[0] == told[1] == told[2], told
    await caller.move("m2", 1)
    for client in (caller, other):
        await client.hear("command_completed", machine_id="m2")
    await states_only.sees("m2", position=1, raw_status=AT_REST)
    await sim.place("m2", 9)
    await states_only.hear_state("m2", position=9)
    assert not states_only.heard("command_result") and not states_only.heard("command_completed")
    assert not other.heard(machine="m1"), "a subscriber of m2's results heard of m1"
    assert len(caller.heard("command_result")) == len(caller.heard("command_completed")) == 2


@play("request_id is echoed in result and completion")
async def request_id(s):
    await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    for name in ("a", "ñandú \"7\"", "x" * 64):
        await c1.move("m1", len(name) % 26, request_id=name)
        await c1.next("command_result", request_id=name)
        await c1.next("command_completed", request_id=name)


@play("the same request_id again: the same answer, and nothing is written twice", "later")
async def idempotent(s):
    sim = await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    key = str(uuid.uuid4())
    await c1.move("m1", 4, request_id=key)
    await c1.hear("command_result", success=True, request_id=key)
    await c1.hear("command_completed", success=True, request_id=key)
    await c1.move("m1", 4, request_id=key)
    await c1.hear("command_result", success=True, request_id=key)
    await c1.move("m1", 5, request_id=key)
    refused = await c1.hear("error", code="INVALID_COMMAND", request_id=key)
    assert "request_id reused" in refused["error"], refused.text
    await sim.truth.polled_again("m1")
    assert sim.truth.moves("m1") == [4]


@play("already there: completed at once")
async def already_there(s):
    sim = await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    await c1.move("m1", 0)
    await c1.next("command_result", success=True)
    await c1.next("command_completed", success=True, position=0)
    assert sim.truth.moves("m1") == [0]


@play("argument 0 is written as a byte, no argument as none; other codes are passed through")
async def bytes_on_the_wire(s):
    sim = await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    await c1.move("m1", 3)
    await c1.hear("command_completed", position=3)
    await c1.move("m1", 0)
    await c1.hear("command_completed", position=0)
    await c1.command("m1", 9, 200)
    assert (await c1.hear("command_result"))["data"] == {
        "command_sent": 9, "argument": 200, "result": DOCUMENT["command_result"]["data"]["result"]}
    assert sim.truth.commands("m1") == [b"\x01\x03", b"\x01\x00", b"\x09\xc8"]


@play("command 0 asks the PLC for its status: a result, and no completion")
async def status_command(s):
    await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    await c1.command("m1", 0)
    result = await c1.next("command_result", success=True)
    assert result["data"]["command_sent"] == 0 and result["data"]["argument"] is None, result.text
    await c1.move("m1", 2)
    await c1.next("command_result", data={"command_sent": 1})
    await c1.next("command_completed", position=2)


@play("a machine that moves answers BUSY, to everybody, and is sent nothing", "asan")
async def busy_while_moving(s):
    sim = await s.house("m1", "m2")
    await sim.by_hand("m1")
    c1, c2 = await s.client("c1", on="w1"), await s.client("c2", on="w2")
    await c1.move("m1", 5)
    await c1.next("command_result", success=True)
    for client in (c1, c2):
        await client.move("m1", 7, request_id="r")
        refused = await client.next("error", code="BUSY", machine_id="m1", request_id="r")
        assert refused["error"], refused.text
    await c2.move("m2", 7)
    await c2.next("command_result", success=True)
    await c2.next("command_completed", position=7)
    await sim.step("m1", 5)
    await c1.next("command_completed", success=True, position=5)
    await c2.move("m1", 6)
    await c2.next("command_result", success=True)
    await sim.step("m1")
    await c2.next("command_completed", position=6)
    assert sim.truth.moves("m1") == [5, 6]


@play("a machine turned by others is BUSY too")
async def busy_by_others(s):
    """RUN is up though nobody here sent anything."""
    sim = await s.house("m1", workers=["w1"])
    await sim.by_hand("m1")
    c1 = await s.client("c1")
    await c1.subscribe()
    await c1.move("m1", 2)
    await c1.hear_state("m1", raw_status=MOVING)
    await s.actor("a.m1").restart()
    await c1.hear_state("m1", connection_status="connected", raw_status=MOVING)
    await c1.move("m1", 9)
    await c1.hear("error", code="BUSY")
    await sim.step("m1", 2)
    await c1.hear_state("m1", position=2, raw_status=AT_REST)
    assert sim.truth.moves("m1") == [2]


@play("while a command waits for the PLC, the next is BUSY")
async def busy_in_flight(s):
    s.set("machine_defaults", reply_timeout_ms=3000)
    sim = await s.house("m1", workers=["w1"])
    c1, c2 = await s.client("c1"), await s.client("c2")
    await sim.hold("m1", 1)
    await c1.move("m1", 5)
    await sim.held("m1")
    await c2.move("m1", 6)
    await c2.next("error", code="BUSY")
    await sim.release("m1")
    await c1.next("command_result", success=True)
    await c1.next("command_completed", success=True, position=5)
    assert sim.truth.moves("m1") == [5]


@play("interlocks refuse, name the condition, and write nothing", "asan")
async def interlocks(s):
    s.machine("m1", profile="delta-as", rearm="automatic")  # the latch is 28_rearm's
    s.machine("m2")
    sim = await s.house(workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe()
    at_rest = {m: c1.state(m) for m in ("m1", "m2")}
    words = {"estop": "emergency stop", "manual": "manual mode", "alarm": "alarm", "drive_fault": "drive fault",
             "positioning_error": "positioning error"}
    for machine, conditions in (("m1", list(words)), ("m2", ["manual", "alarm"])):
        for condition in conditions:
            await sim.condition(machine, condition, True)
            await c1.hear("status_broadcast", test=lambda f, m=machine: m in f["status"])
            await c1.move(machine, 7)
            refused = await c1.hear("error", code="INTERLOCK", machine_id=machine)
            assert words[condition] in refused["error"].lower(), refused.text
            await sim.condition(machine, condition, False)
            await c1.hear_state(machine, status=dict(at_rest[machine]["status"]))
        await c1.move(machine, 7)
        await c1.hear("command_completed", machine_id=machine, success=True, position=7)
        assert sim.truth.moves(machine) == [7]


@play("a move that an alarm stops completes with success false")
async def stopped_move(s):
    sim = await s.house("m1", workers=["w1"])
    await sim.by_hand("m1")
    c1 = await s.client("c1")
    await c1.move("m1", 8)
    await c1.next("command_result", success=True)
    await sim.step("m1", 3)
    await sim.condition("m1", "alarm", True)
    done = await c1.next("command_completed", success=False)
    assert_text(done, completed("m1", 3, success=False, argument=8), elapsed_ms=done["elapsed_ms"])


@play("a move that does not arrive in move_timeout_ms completes with success false")
async def move_timeout(s):
    s.set("machine_defaults", move_timeout_ms=300)
    sim = await s.house("m1", workers=["w1"])
    await sim.by_hand("m1")
    c1 = await s.client("c1")
    await c1.move("m1", 8)
    await c1.next("command_result", success=True)
    done = await c1.next("command_completed", success=False)
    assert 300 <= done["elapsed_ms"], done.text


@play("a command whose deadline passes before it is written is TIMEOUT, and never written")
async def deadline(s):
    """A status request is held, and only one request is in flight: the command waits behind it."""
    s.set("machine_defaults", reply_timeout_ms=5000)
    sim = await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    await sim.hold("m1", 0)
    await sim.held("m1")
    await c1.move("m1", 5, deadline_ms=100)
    await c1.next("error", code="TIMEOUT", machine_id="m1")
    await sim.release("m1")
    await sim.truth.polled_again("m1", 3)
    await c1.move("m1", 6)
    await c1.next("command_result", success=True)
    await c1.next("command_completed", position=6)
    assert sim.truth.moves("m1") == [6]


@play("a lost reply to a move: read again, answered honestly, written once")
async def lost_reply(s):
    """The PLC carried it out; the agent finds RUN or the position by reading."""
    sim = await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe()
    await sim.fault("m1", "missing", "command", 1, "count", 1)
    await c1.move("m1", 5)
    answer = await c1.hear(test=lambda f: f.type in ("command_result", "error"))
    honest = answer.get("success") is True or answer.get("code") == "OUTCOME_UNKNOWN"
    assert honest, answer.text
    await c1.sees("m1", position=5, raw_status=AT_REST)
    await sim.truth.polled_again("m1", 3)
    assert sim.truth.moves("m1") == [5]


@play("a move that the PLC was sent and did not carry out is never reported as done")
async def undone(s):
    sim = await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    await sim.fault("m1", "missing", "undone", "command", 1, "count", 1)
    await c1.move("m1", 5)
    answer = await c1.next(within=10)
    assert answer.type == "error" and answer["code"] in ("OUTCOME_UNKNOWN", "CONNECTION_ERROR", "TIMEOUT"), answer.text
    await sim.truth.polled_again("m1", 3)
    assert sim.truth.moves("m1") == [5]


@play("commands to a PLC that is gone: CONNECTION_ERROR")
async def plc_gone(s):
    sim = await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe()
    await sim.fault("m1", "refused")
    await c1.sees("m1", connection_status="disconnected")
    await c1.move("m1", 5)
    await c1.hear("error", code="CONNECTION_ERROR", machine_id="m1")
    await sim.clear("m1")
    await c1.sees("m1", connection_status="connected")
    await c1.move("m1", 5)
    await c1.hear("command_completed", success=True)
    assert sim.truth.moves("m1") == [5]


@play("an unknown profile makes a machine read-only")
async def unknown_profile(s):
    s.machine("m1", profile="nobody-knows")
    sim = await s.house(workers=["w1"])
    c1 = await s.client("c1")
    answer = await c1.ask(type="get_status", machine_id="m1")
    assert answer["status"] == {} and type(answer["raw_status"]) is int, answer.text
    await c1.move("m1", 5)
    await c1.next("error", code="INTERLOCK")
    assert sim.truth.commands("m1") == []
