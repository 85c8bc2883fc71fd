"""One request, one write, one answer: the same request_id from whatever connection."""
import hashlib

from stagecraft.httpclient import http_listener, post
from stagecraft.registry import play

UUID = "0192f1c4-7e1d-7b3a-9c55-aabbccddeeff"
OTHER = "0192f1c4-7e1d-7b3a-9c55-aabbccddee00"


def answer(frame):
    """A result, completion or error, without what may differ: when it was said."""
    return {k: v for k, v in frame.items() if k not in ("timestamp", "seq")}


@play("the same UUID over a reconnect: one write, the same result and completion, and subscribers hear them once", "asan")
async def over_a_reconnect(s):
    sim = await s.house("m1")
    listener = await s.client("listener", on="w1")
    await listener.subscribe(kind="command_results")
    first = await s.client("first", on="w1")
    await first.move("m1", 5, request_id=UUID)
    result = await first.hear("command_result", request_id=UUID, success=True)
    completion = await first.hear("command_completed", request_id=UUID, success=True)
    await first.close()
    second = await s.client("second", on="w2")
    await second.move("m1", 5, request_id=UUID)
    assert answer(await second.next("command_result")) == answer(result)
    assert answer(await second.next("command_completed")) == answer(completion)
    await second.move("m1", 6, request_id=UUID)
    refused = await second.next("error")
    assert (refused["code"], refused["error"]) == ("INVALID_COMMAND", "request_id reused"), refused.text
    await second.move("m1", 6, request_id=OTHER)
    await second.hear("command_completed", request_id=OTHER, success=True)
    await listener.hear("command_completed", request_id=OTHER)
    for type in ("command_result", "command_completed"):
        heard = [f["request_id"] for f in listener.heard(type)]
        assert heard == [UUID, OTHER], f"subscribers heard {heard}"
    assert sim.truth.moves("m1") == [5, 6]


@play("the connection is lost with the command under way: whoever asks again waits with it, and is told the same", "asan")
async def lost_under_way(s):
    s.set("machine_defaults", reply_timeout_ms=8000, command_deadline_ms=8000)
    sim = await s.house("m1")
    await sim.by_hand("m1")
    await sim.hold("m1", 1)
    first = await s.client("first", on="w1")
    await first.move("m1", 3, request_id=UUID)
    await sim.held("m1")
    await first.close()
    second, third = await s.client("second", on="w2"), await s.client("third", on="w1")
    for client in (second, third):
        await client.move("m1", 3, request_id=UUID)
        await client.ping()
    await s.counts("b1", "commands_handed", 3)
    await sim.release("m1")
    for client in (second, third):
        await client.hear("command_result", request_id=UUID, success=True)
    fourth = await s.client("fourth", on="w2")
    await fourth.move("m1", 3, request_id=UUID)  # while it moves
    await fourth.hear("command_result", request_id=UUID, success=True)
    await sim.step("m1", 3)
    said = [answer(await c.hear("command_completed", request_id=UUID, position=3)) for c in (second, third, fourth)]
    assert said[0] == said[1] == said[2]
    assert sim.truth.moves("m1") == [3]


@play("a worker killed, and a broker killed: the retry through the others is still the same request")
async def over_deaths(s):
    sim = await s.house("m1")
    first = await s.client("first", on="w1")
    await first.move("m1", 4, request_id=UUID)
    completion = await first.hear("command_completed", request_id=UUID, success=True)
    await s.actor("w1").kill()
    await s.actor("b1").kill()
    await s.actor("b1").start()
    await s.actor("w1").start()
    for name, worker in (("second", "w2"), ("third", "w1")):
        client = await s.client(name, on=worker)
        await client.move("m1", 4, request_id=UUID)
        await client.hear("command_result", request_id=UUID, success=True)
        assert answer(await client.hear("command_completed", request_id=UUID)) == answer(completion)
    assert sim.truth.moves("m1") == [4]


@play("other request_ids belong to their connection: the same name elsewhere is another request")
async def belongs_to_the_connection(s):
    sim = await s.house("m1")
    first, second = await s.client("first"), await s.client("second")
    for client, position in ((first, 4), (second, 6)):
        await client.move("m1", position, request_id="order-7")
        await client.hear("command_completed", request_id="order-7", position=position, success=True)
    await first.move("m1", 4, request_id="order-7")  # on the same connection it is the same
    await first.hear("command_completed", request_id="order-7", position=4)
    await first.move("m1", 5, request_id="order-7")
    await first.hear("error", code="INVALID_COMMAND", error="request_id reused")
    assert sim.truth.moves("m1") == [4, 6]


@play("a refusal is an answer: the same request is refused again, though by now it would be allowed")
async def refusals_stay(s):
    sim = await s.house("m1")
    client = await s.client("client")
    await client.subscribe()
    await sim.condition("m1", "alarm", True)
    await client.hear_state("m1", raw_status=lambda raw: raw & 4)
    await client.move("m1", 4, request_id=UUID)
    first = await client.hear("error", code="INTERLOCK")
    await sim.condition("m1", "alarm", False)
    await client.hear_state("m1", raw_status=lambda raw: not raw & 4)
    await client.move("m1", 4, request_id=UUID)
    assert answer(await client.hear("error")) == answer(first)
    await client.move("m1", 4, request_id=OTHER)
    await client.hear("command_completed", request_id=OTHER, success=True)
    assert sim.truth.moves("m1") == [4]


@play("who has a name keeps its request_ids over a reconnect, and over REST; another name's are others", "asan")
async def by_principal(s):
    secrets = {name: f"{name}-0123456789abcdef0123456789abcdef" for name in ("wms", "mes")}
    s.set("auth", tokens=[{"principal": name, "sha256": hashlib.sha256(secret.encode()).hexdigest()}
                          for name, secret in secrets.items()])
    port = http_listener(s, ["rest", "carousel"], auth="token")
    sim = await s.house("m1")

    async def connect(name, who, on):
        return await s.client(name, on=on, port=port, extra_headers={"Authorization": f"Bearer {secrets[who]}"})
    first = await connect("first", "wms", "w1")
    await first.move("m1", 4, request_id="order-7")
    result = await first.hear("command_result", request_id="order-7", success=True)
    completion = await first.hear("command_completed", request_id="order-7", success=True)
    await first.close()
    second = await connect("second", "wms", "w2")
    await second.move("m1", 4, request_id="order-7")
    assert answer(await second.next("command_result")) == answer(result)
    assert answer(await second.next("command_completed")) == answer(completion)
    rest = await post(port, "/v1/machines/m1/move", {"position": 4}, Idempotency_Key="order-7",
                      Authorization=f"Bearer {secrets['wms']}")
    assert rest.envelope(200, machine="m1")["argument"] == 4
    assert sim.truth.moves("m1") == [4]
    other = await connect("other", "mes", "w1")
    await other.move("m1", 6, request_id="order-7")
    await other.hear("command_completed", request_id="order-7", position=6, success=True)
    assert sim.truth.moves("m1") == [4, 6]
