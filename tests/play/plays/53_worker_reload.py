"""Another configuration in running workers: what is reloadable takes effect for who is there and for who comes, nobody is dropped but those
whose token is gone, and what cannot be changed changes nothing."""
import asyncio
import hashlib
import signal

import websockets

from stagecraft.httpclient import get, http_listener, post
from stagecraft.registry import play
from stagecraft.tokens import Key, minted
from stagecraft.wait import settle, until

HASH = "$argon2id$v=19$m=19456,t=2,p=1$wCOhbxG+mowEnJ+GWdJ67g$1HcpgwQ5KbqCc+fI/2Ifs0LydcrrZ+D0/N0LYCgZMjE"  # of admin123


async def reload(s, *workers):
    """Writes the configuration as the play has it now, and tells the workers; returns when it is in force."""
    s.write_conf()
    for name in workers or [name for name in s.actors if name.startswith("w")]:
        s.write_conf_of(name)
        before = s.counter(name, "reloads")
        s.actor(name).send_signal(signal.SIGHUP)
        await s.counts(name, "reloads", before + 1, within=10)


async def goes(s, name, section, **settings):
    s.set(section, **settings)
    await reload(s, name)


def sha256(token):
    return hashlib.sha256(token.encode()).hexdigest()


@play("websocket.*: message size, rate, pings, origins, room: for connections that are there and for new ones", "asan")
async def websocket(s):
    s.set("websocket", max_messages_per_s=0, ping_interval_ms=3600000)
    await s.house("m1", workers=["w1"])
    old, large = await s.client("old"), await s.client("large")
    await goes(s, "w1", "websocket", max_message_bytes=200)
    await large.say({"type": "ping", "filler": "x" * 300})
    assert await large.closed() == 1009
    new = await s.client("new")
    await new.say({"type": "ping", "filler": "x" * 300})
    assert await new.closed() == 1009
    await goes(s, "w1", "websocket", max_message_bytes=65536)
    await old.say({"type": "ping", "filler": "x" * 300})
    await old.hear("pong")

    before = s.counter("w1", "ws_throttled")
    await goes(s, "w1", "websocket", max_messages_per_s=10)
    for _ in range(60):
        await old.say(type="ping")
    await s.counts("w1", "ws_throttled", before + 1)
    await goes(s, "w1", "websocket", max_messages_per_s=0)  # who was not read is read on at once, not in seconds
    for _ in range(60):
        await old.hear("pong")

    assert s.counter("w1", "ws_pings") == 0
    await goes(s, "w1", "websocket", ping_interval_ms=100)
    await s.counts("w1", "ws_pings", 5)
    await goes(s, "w1", "websocket", ping_interval_ms=3600000)
    await old.ping()

    page = {"origin": "https://pages.example"}
    try:
        await s.client("stranger", **page)
        raise AssertionError("a foreign Origin came in")
    except websockets.InvalidStatusCode as error:
        assert error.status_code == 403
    await goes(s, "w1", "websocket", allowed_origins=["https://pages.example"])
    friend = await s.client("friend", **page)
    await goes(s, "w1", "websocket", allowed_origins=[], max_connections=2)
    await friend.ping()
    try:
        await s.client("third")
        raise AssertionError("there is no room")
    except websockets.InvalidStatusCode as error:
        assert error.status_code == 503
    await goes(s, "w1", "websocket", max_connections=3)
    await s.client("third")
    assert old.connected and friend.connected


@play("websocket.ping_timeout_ms and handshake_timeout_ms: who answers nothing goes by the new times", "asan")
async def times(s):
    s.set("websocket", ping_interval_ms=100, ping_timeout_ms=3600000, handshake_timeout_ms=60000)
    await s.house("m1", workers=["w1"])
    s.mute(on="w1")
    await s.counts("w1", "ws_pings", 3)
    assert s.counter("w1", "ws_ping_timeouts") == 0
    await goes(s, "w1", "websocket", ping_timeout_ms=200, handshake_timeout_ms=100)
    await s.counts("w1", "ws_ping_timeouts", 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
    writer.write(b"GET / HT")
    await settle("the gate's patience to end", reader.read())
    writer.close()
    await s.counts("w1", "gate_timeouts", 1)


@play("rest.*: the size of bodies, and whether /api/v1 asks for a token", "asan")
async def rest(s):
    s.set("auth", tokens=[{"principal": "ana", "sha256": sha256("ana's token, long enough")}])
    await s.channels_house("w1")
    port = s.channels_port
    (await get(port, "/v1/health")).envelope(200)
    body = {"position": 1, "filler": "x" * 300}
    assert (await post(port, "/v1/machines/m1/move", body)).status != 413
    await goes(s, "w1", "rest", max_body_bytes=128)
    assert (await post(port, "/v1/machines/m1/move", body)).status == 413
    assert (await get(port, "/api/v1/sensors")).status == 200
    await goes(s, "w1", "rest", auth=True)
    assert (await get(port, "/api/v1/sensors")).status == 401
    assert (await get(port, "/api/v1/sensors?token=ana%27s%20token,%20long%20enough")).status == 200
    await goes(s, "w1", "rest", auth=False)
    assert (await get(port, "/api/v1/sensors")).status == 200


@play("auth: tokens that go, come, and let do less; only the bearers of what is gone are closed", "asan")
async def tokens(s):
    secret = {name: f"the token of {name}, and long enough" for name in ("ana", "ben", "cleo", "dora", "new")}

    def entry(name, **grants):
        return {"principal": name, "sha256": sha256(secret[name]), **grants}

    s.set("auth", tokens=[entry("ana"), entry("ben"), entry("cleo", machines_view=["m1", "m2"], machines_command=[]),
                          entry("dora", machines_view=["m1"], machines_command=[])])
    port = http_listener(s, ["rest", "carousel"], auth="token")
    await s.house("m1", "m2", workers=["w1"])

    async def come(name, **options):
        return await s.client(name, port=port, extra_headers={"Authorization": f"Bearer {secret[name]}"}, **options)

    ana, ben, cleo, dora, anybody = await come("ana"), await come("ben"), await come("cleo"), await come("dora"), await s.client("open")
    s.set("auth", tokens=[entry("ana"), entry("cleo", machines_view=["m1"], machines_command=[]),
                          entry("dora", machines_view=["m1", "m2"], machines_command=[]), entry("new")])
    await reload(s)
    assert (await ben.closed(), ben.close_reason) == (1008, "Token inválido")
    assert (await cleo.closed(), cleo.close_reason) == (1012, "grants changed")
    for client in (ana, dora, anybody):
        await client.ping()
    await until("the two to be gone", lambda: s.counter("w1", "connections") == 3)
    ben = await come("ben", welcome=False)
    assert (await ben.closed(), ben.close_reason) == (1008, "Token inválido")
    assert (await get(port, "/v1/machines", Authorization=f"Bearer {secret['ben']}")).status == 401
    await (await come("new")).ping()
    cleo = await come("cleo", welcome=False)
    assert [m["id"] for m in (await cleo.next("welcome"))["machines"]] == ["m1"]
    for name, text in secret.items():
        assert text not in s.actor("w1").text(), name
    await s.counts("w1", "reload_closed", 2)


@play("auth: a user who is gone, and a key that is gone, take their JWTs along; a new key holds at once", "asan")
async def users_and_keys(s):
    mint = minted(s, users=[{"name": "admin", "password": HASH}, {"name": "other", "password": HASH}], jwt={"sign_with": "k1"})
    await s.channels_house("w1", auth="token")
    port = s.channels_port

    async def login(name):
        answer = await post(port, "/auth/login", {"username": name, "password": "admin123"}, within=20)
        return answer

    async def come(name, token):
        return await s.channel(name, token=token)

    answer = await login("admin")
    assert answer.status == 200, answer
    admin_token, other_token, outside = answer["access_token"], (await login("other"))["access_token"], mint("outside", channels="*")
    admin, other, outsider = await come("admin", admin_token), await come("other", other_token), await come("outside", outside)
    s.set("auth", users=[{"name": "other", "password": HASH}])
    await reload(s)
    assert (await admin.closed(), admin.close_reason) == (1008, "Token inválido")
    refused = await s.channel("refused", token=admin_token, joined=False)
    assert await refused.closed() == 1008
    assert (await login("admin")).status == 401
    await s.counts("w1", "tokens_jwt_user", 1)
    assert other.connected and outsider.connected
    assert (await get(port, f"/api/v1/ws/stats?token={other_token}")).status == 200

    second = Key.secret(s.dir / "second.key", kid="k2")
    s.set("auth", keys=[second.entry()], jwt={"sign_with": "k2"})
    await reload(s)
    for client in (other, outsider):
        assert (await client.closed(), client.close_reason) == (1008, "Token inválido"), client.name
    gone = await s.channel("gone", token=outside, joined=False)
    assert await gone.closed() == 1008
    await come("by k2", second("somebody", channels="*"))
    fresh = (await login("other"))["access_token"]
    await come("other.again", fresh)


@play("carousel.auto_subscribe, streams.* and log.level", "asan")
async def dialects(s):
    s.streams_listener()
    await s.house("m1", workers=["w1"])
    first = await s.client("first")
    await first.ping()
    assert not first.heard("status_broadcast")
    await goes(s, "w1", "carousel", auto_subscribe=True)
    second = await s.client("second")
    await second.hear("status_broadcast")
    await first.ping()
    assert not first.heard("status_broadcast")

    talker, listener = await s.streamer("talker", "a"), await s.streamer("listener", "a")
    await talker.send("one")
    await listener.next("one")
    await goes(s, "w1", "streams", echo=True)
    await talker.send("two")
    await talker.next("two")
    await listener.next("two")
    await goes(s, "w1", "streams", max_streams=2, admin=False)
    await talker.say(ws_op="open", ws_stream_ids=["b", "c"])
    assert "at most 2" in await talker.hear(test=lambda text: "ws_op" in text)
    await talker.say(ws_op="admin", ws_msg="getnumchannels()")
    await talker.hear(test=lambda text: "error" in text)
    await goes(s, "w1", "streams", errors=False)
    await talker.say(ws_op="nonsense")
    await talker.send("three")
    await talker.next("three")

    await goes(s, "w1", "log", level="error")
    silent = len(s.actor("w1").text())
    s.actor("b1").told_to_end = True
    await s.actor("b1").kill()
    await s.actor("b1").start()
    await s.counts("w1", "link_ups", 2)
    assert "broker-up" not in s.actor("w1").text()[silent:]


@play("a bridge that comes leads to a stream that somebody has open who may not see its machine: it is closed", "asan")
async def bridges(s):
    mint = minted(s)
    port = s.streams_listener(auth="token")
    await s.house("m1", "m2", workers=["w1"])

    async def come(name, **grants):
        return await s.streamer(name, "states", port=port, path=f"/?token={mint(name, streams='*', **grants)}")

    ana, boss = await come("ana", machines_view=["m1"]), await come("boss", machines_view="*")
    s.set(bridges=[{"from": "states", "stream": "states", "machines": ["m1"]}])
    await reload(s)
    await ana.taken()
    s.set(bridges=[{"from": "states", "stream": "states", "machines": ["m1", "m2"]}])
    await reload(s)
    assert await ana.closed() == 1008
    await boss.taken()
    again = await s.streamer("again", port=port, path=f"/?token={mint('ana', streams='*', machines_view=['m1'])}")
    await again.say(ws_op="open", ws_stream_ids=["states"])
    await again.error("not allowed to open states")
    s.set(bridges=[])
    await reload(s)
    await again.open("states")
    await again.send("hello")
    await boss.next("hello")


@play("slow_clients.* hold from then on: who was slow enough goes", "asan")
async def slow(s):
    s.set("slow_clients", soft_kib=4096, hard_kib=8192, soft_ms=3600000)
    await s.streams_house("w1")
    talker = await s.streamer("talker", "a")
    slow = await s.streamer("slow", "a")
    slow.stop_reading()
    before = s.counter("w1", "outbox_closed_slow")
    for n in range(120):
        await talker.send("x" * 20000)
    await talker.taken()
    assert s.counter("w1", "outbox_closed_slow") == before
    await goes(s, "w1", "slow_clients", soft_kib=64, hard_kib=64)
    for n in range(20):
        await talker.send("x" * 20000)
    await s.counts("w1", "closed_slow_hard", 1, within=10)
    await goes(s, "w1", "slow_clients", hard_kib=8192)
    slow = await s.streamer("slow2", "a")
    slow.stop_reading()
    for n in range(120):
        await talker.send("x" * 20000)
    await talker.taken()
    assert s.counter("w1", "outbox_closed_slow") == before + 1
    await goes(s, "w1", "slow_clients", soft_kib=16, soft_ms=100)
    await talker.send("y" * 20000)
    await s.counts("w1", "closed_slow_soft", 1, within=10)


@play("what cannot be reloaded, and what is no configuration, is told and changes nothing", "asan")
async def refused(s):
    await s.house("m1", workers=["w1"])
    client = await s.client("c1")
    w1, digest = s.actor("w1"), s.counter("w1", "conf_digest")
    good = s.conf.read_text()

    async def refuses(text, *words):
        seen = len(w1.text())
        s.conf.write_text(text)
        w1.send_signal(signal.SIGHUP)
        await w1.logs(*words, since=seen)
        await client.ping()

    await refuses(good + "handlers: nonsense\n", "handlers")
    await refuses(good.replace(f'"port": {s.port}', '"port": 1'), "listeners[0].port", "restart")
    await refuses("websocket: {max_connections: 70, max_connections: 80}\n" + good, "websocket")
    key = s.dir / "bad.key"
    key.write_text("short\n")
    key.chmod(0o600)
    await refuses(good + 'auth: {keys: [{kid: k, alg: HS256, file: "%s"}]}\n' % key, "key")
    assert s.counter("w1", "conf_digest") == digest and s.counter("w1", "reloads") == 0
    s.set("websocket", max_connections=70)
    await reload(s)
    assert s.counter("w1", "conf_digest") != digest
    await client.ping()


@play("a thousand reloads, tokens, users and bridges among them: neither memory nor descriptors grow", within=240)
async def thousand(s):
    secret = "the token of ana, and long enough"
    ana = {"principal": "ana", "sha256": sha256(secret)}
    s.set("auth", tokens=[ana], users=[{"name": "admin", "password": HASH}])
    s.streams_listener()
    await s.channels_house("w1")
    client = await s.client("c1")
    holder = await s.channel("holder", token=secret)
    w1 = s.actor("w1")

    async def rounds(count):
        for n in range(count):
            s.set("auth", tokens=[ana] + [{"principal": f"p{k}", "sha256": sha256(f"{n} {k}")} for k in range(n % 20)])
            s.set(bridges=[{"from": "states", "stream": f"b{k}"} for k in range(n % 7)])
            s.set("websocket", ping_interval_ms=1000 + n % 5)
            await reload(s, "w1")

    await rounds(100)
    before, descriptors = w1.rss_kib(), sum(w1.descriptors().values())
    await rounds(900)
    assert s.counter("w1", "reloads") == 1000
    await client.ping()
    assert holder.connected
    await until("the descriptors to be those of before", lambda: sum(w1.descriptors().values()) <= descriptors)
    assert w1.rss_kib() < before + 8192, (before, w1.rss_kib())
