"""What a token lets do, in every dialect that is not the sensors': machines that are seen, machines that are commanded, streams."""
import hashlib

from stagecraft.httpclient import get, http_listener, post
from stagecraft.registry import play
from stagecraft.tokens import minted


async def carousel_house(s, dialects=("rest", "carousel")):
    mint = minted(s)
    port = http_listener(s, dialects, auth="token")
    sim = await s.house("m1", "m2", "m3", workers=["w1"])
    return mint, port, sim


async def comes(s, port, mint, name, **grants):
    client = await s.client(name, port=port, path=f"/?token={mint(name, **grants)}", welcome=False)
    welcome = await client.next("welcome")
    return client, [machine["id"] for machine in welcome["machines"]]


@play("carousel: a machine that may not be seen does not exist; one that may be seen and not commanded is FORBIDDEN", "asan")
async def carousel(s):
    mint, port, sim = await carousel_house(s)
    ana, machines = await comes(s, port, mint, "ana", machines_view=["m1"], machines_command=["m2"])
    assert machines == ["m1", "m2"], machines  # who may command sees
    await ana.say(type="get_machines")
    assert [m["id"] for m in (await ana.hear("machines"))["machines"]] == ["m1", "m2"]
    await ana.say(type="get_status")
    assert list((await ana.hear("all_machines_status"))["status"]) == ["m1", "m2"]
    for nobody in ("m3", "m4"):  # one that is there and one that is not read the same
        await ana.say(type="get_status", machine_id=nobody)
        await ana.hear("error", code="MACHINE_NOT_FOUND", machine_id=nobody)
        await ana.say(type="send_command", machine_id=nobody, command=1, argument=5)
        await ana.hear("error", code="MACHINE_NOT_FOUND", machine_id=nobody)
        await ana.say(type="subscribe", machine_ids=["m1", nobody])
        await ana.hear("error", code="MACHINE_NOT_FOUND", machine_id=nobody)
    await ana.say(type="send_command", machine_id="m1", command=1, argument=5, request_id="r1")
    await ana.hear("error", code="FORBIDDEN", machine_id="m1", request_id="r1")
    await ana.say(type="send_command", machine_id="m2", command=1, argument=5)
    await ana.hear("command_result", machine_id="m2")
    assert sim.truth.moves("m1") == [] and sim.truth.moves("m2") == [5] and sim.truth.moves("m3") == []
    nobody, machines = await comes(s, port, mint, "nobody")  # claims absent: nothing
    assert machines == []
    everything, machines = await comes(s, port, mint, "everything", machines_view="*")
    assert machines == ["m1", "m2", "m3"]
    await everything.say(type="send_command", machine_id="m3", command=1, argument=5)
    await everything.hear("error", code="FORBIDDEN", machine_id="m3")


@play("carousel: \"all\" means those that may be seen: states, results, events, snapshots, resuming and leaving", "asan")
async def subscriptions(s):
    mint, port, sim = await carousel_house(s)
    ana, _ = await comes(s, port, mint, "ana", machines_view=["m1"], machines_command=["m2"])
    boss, _ = await comes(s, port, mint, "boss", machines_command="*")
    await ana.say(type="subscribe", subscription_type="all_events")
    assert (await ana.hear("subscription_confirmed"))["machine_ids"] == ["m1", "m2"]
    assert list((await ana.hear("status_broadcast"))["status"]) == ["m1", "m2"]
    await boss.subscribe(kind="all_events")
    for machine, position in (("m3", 7), ("m1", 7), ("m2", 7)):  # m3 first: what ana hears of m2 comes behind it
        await boss.say(type="send_command", machine_id=machine, command=1, argument=position)
        await boss.hear("command_completed", machine_id=machine)
    await ana.hear("command_completed", machine_id="m2")
    heard = [frame for frame in ana.frames if "m3" in frame.text]
    assert not heard, heard
    assert any(frame.type == "command_result" and frame["machine_id"] == "m1" for frame in ana.frames)
    since = next(frame["seq"] for frame in reversed(ana.frames) if "seq" in frame)
    await boss.say(type="send_command", machine_id="m3", command=1, argument=9)
    await boss.hear("command_completed", machine_id="m3")
    await boss.say(type="send_command", machine_id="m1", command=1, argument=9)
    await boss.hear("command_completed", machine_id="m1")
    back, _ = await comes(s, port, mint, "back", machines_view=["m1", "m2"])
    await back.say(type="subscribe", subscription_type="all_events", since=since)
    await back.hear("command_completed", machine_id="m1")
    assert not [frame for frame in back.frames if "m3" in frame.text], back.frames
    await back.say(type="unsubscribe", subscription_type="all_events", machine_ids=["m1"])
    assert (await back.hear("unsubscription_confirmed"))["machine_ids"] == ["m1"]
    mark = len(back.frames)
    for machine in ("m3", "m1", "m2"):
        await boss.say(type="send_command", machine_id=machine, command=1, argument=2)
        await boss.hear("command_completed", machine_id=machine)
    await back.hear("command_completed", machine_id="m2")
    assert not [f for f in back.frames[mark:] if "m3" in f.text or '"m1"' in f.text], back.frames[mark:]
    await back.say(type="unsubscribe", subscription_type="all_events")
    assert (await back.hear("unsubscription_confirmed"))["machine_ids"] == ["m1", "m2"]


@play("carousel: a machine that a grant names and that comes later is seen then, and another is not", "asan")
async def later(s):
    mint = minted(s)
    s.machine("m1")
    port = http_listener(s, ["carousel"], auth="token")
    await s.sim()
    await s.broker()
    await s.worker("w1")
    await s.agent("m1")
    ana, machines = await comes(s, port, mint, "ana", machines_view=["m1", "m2"])
    await ana.say(type="subscribe", subscription_type="all_events")
    await ana.hear("subscription_confirmed")
    boss, _ = await comes(s, port, mint, "boss", machines_view="*")
    await boss.subscribe(kind="all_events")
    for client in (ana, boss):
        client.history.repeats_allowed = True
    await s.actor("b1").stop()
    for machine in ("m3", "m2"):
        s.machine(machine)
    s.write_conf()
    await s.actor("b1").start()
    await boss.hear("machine_added", machine_id="m3", within=10)
    await ana.hear("machine_added", machine_id="m2", within=10)
    await boss.hear("machine_added", machine_id="m2")
    assert not [frame for frame in ana.frames if "m3" in frame.text], ana.frames


@play("/v1: 404 for what may not be seen, 403 for what may not be commanded", "asan")
async def rest(s):
    mint, port, sim = await carousel_house(s, ["rest"])
    bearer = {"Authorization": f"Bearer {mint('ana', machines_view=['m1'], machines_command=['m2'])}"}
    assert [m["id"] for m in (await get(port, "/v1/machines", **bearer)).envelope(200)] == ["m1", "m2"]
    (await get(port, "/v1/machines/m1/status", **bearer)).envelope(200, machine="m1")
    (await get(port, "/v1/machines/m3/status", **bearer)).envelope(404, "MACHINE_NOT_FOUND", "m3")
    health = (await get(port, "/v1/health", **bearer)).envelope(200)
    assert (health["machines"], health["machines_connected"]) == (2, 2), health
    for path, body in (("move", {"position": 3}), ("command", {"command": 1, "argument": 3}), ("rearm", {})):
        (await post(port, f"/v1/machines/m1/{path}", body, **bearer)).envelope(403, "FORBIDDEN", "m1")
        (await post(port, f"/v1/machines/m3/{path}", body, **bearer)).envelope(404, "MACHINE_NOT_FOUND", "m3")
    (await post(port, "/v1/machines/m2/move", {"position": 3}, **bearer)).envelope(200, machine="m2")
    assert sim.truth.moves("m1") + sim.truth.moves("m3") == [] and sim.truth.moves("m2") == [3]


@play("streams: an open of a stream that is not granted is refused whole; one that shows machines is for who may see them", "asan")
async def streams(s):
    mint = minted(s)
    s.settings["bridges"] = [{"from": "states", "stream": "lifts/m1", "machines": ["m1"]}, {"from": "states", "stream": "lifts/all"}]
    s.streams_listener(auth="token")
    s.machine("m2")
    await s.streams_house("w1")

    async def streamer(name, **grants):
        return await s.streamer(name, path=f"/?token={mint(name, **grants)}")

    ana = await streamer("ana", streams=["a", "b", "lifts/m1", "lifts/all"], machines_view=["m1"])
    bob = await streamer("bob", streams="*")
    await ana.say(ws_op="open", ws_stream_ids=["a", "c"])
    await ana.error("ws_stream_ids: not allowed to open c")
    await ana.say(ws_op="open", ws_stream_ids=["a", "lifts/all"])
    await ana.error("ws_stream_ids: not allowed to open lifts/all")
    await ana.say(ws_op="send", ws_msg="nobody hears that")
    await ana.error("Not sent: no stream is open")  # not even a
    await ana.open("a", "lifts/m1")
    await bob.open("a", "c")
    await bob.say(ws_op="open", ws_stream_ids=["lifts/m1"])
    await bob.error("ws_stream_ids: not allowed to open lifts/m1")
    await bob.send("hello")
    await ana.next("hello")
    await ana.say(ws_op="admin", ws_msg="getchannelinfo()")
    await ana.error("admin: not allowed to see all streams")


@play("auth.tokens: lists of the configuration hold for them, too; without a list, everything", "asan")
async def configured(s):
    token, other = "correct-horse-battery-staple-1", "correct-horse-battery-staple-2"
    s.set("auth", tokens=[
        {"principal": "wms", "sha256": hashlib.sha256(token.encode()).hexdigest(), "machines_view": ["m1"], "machines_command": []},
        {"principal": "boss", "sha256": hashlib.sha256(other.encode()).hexdigest()}])
    port = http_listener(s, auth="token")
    await s.house("m1", "m2", workers=["w1"])
    wms, boss = {"Authorization": f"Bearer {token}"}, {"Authorization": f"Bearer {other}"}
    assert [m["id"] for m in (await get(port, "/v1/machines", **wms)).envelope(200)] == ["m1"]
    (await post(port, "/v1/machines/m1/move", {"position": 3}, **wms)).envelope(403, "FORBIDDEN", "m1")
    (await post(port, "/v1/machines/m2/move", {"position": 3}, **boss)).envelope(200, machine="m2")
