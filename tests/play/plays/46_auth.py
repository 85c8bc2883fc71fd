"""JWTs at every door: three ways in, every lie refused, keys that change, and what a token that has expired does to its sockets."""
import base64
import json
import time

import websockets

from stagecraft.httpclient import get, http_listener, post
from stagecraft.registry import play
from stagecraft.tokens import Key, base64url, minted, part
from stagecraft.wait import settle


async def sent_away(port, path="/", reason="Token inválido", **options):
    """The upgrade is completed and closed with 1008; nothing is said before."""
    async with websockets.connect(f"ws://127.0.0.1:{port}{path}", **options) as socket:
        try:
            heard = await settle("the close", socket.recv())
            raise AssertionError(f"something was said before: {heard}")
        except websockets.ConnectionClosed:
            assert (socket.close_code, socket.close_reason) == (1008, reason), socket


def silent_about(s, *secrets):
    for actor in s.actors.values():
        for secret in secrets:
            assert secret not in actor.text(), f"{actor.name} says a secret"


@play("a JWT in three ways: by query, header and subprotocol, over WebSocket and REST", "asan")
async def three_ways(s):
    mint = minted(s)
    port = http_listener(s, ["rest", "carousel"], auth="token")
    await s.house("m1", workers=["w1"])
    token = mint("ana", machines_view="*")
    await s.client("query", port=port, path=f"/?token={token}")
    await s.client("header", port=port, extra_headers={"Authorization": f"Bearer {token}"})
    third = await s.client("protocol", port=port, subprotocols=["bearer", token])
    assert third.socket.subprotocol == "bearer"
    await third.ping()
    (await get(port, "/v1/machines", Authorization=f"Bearer {token}")).envelope(200)
    (await get(port, f"/v1/machines?token={token}")).envelope(200)
    silent_about(s, token, token.split(".")[2])
    await s.counts("w1", "tokens_granted", 5)


@play("every lie of a JWT: 1008 and 401, each counted by its reason", "asan", within=90)
async def lies(s):
    mint = minted(s, jwt={"issuer": "https://id.example", "audience": "noria"})
    rsa = Key.rsa(s.dir / "rsa.pem")
    s.settings["auth"]["keys"].append(rsa.entry())
    port = http_listener(s, ["rest", "carousel"], auth="token")
    await s.house("m1", workers=["w1"])
    now = int(time.time())
    good = {"sub": "ana", "exp": now + 3600, "iss": "https://id.example", "aud": "noria", "machines_view": "*"}
    head, payload, signature = mint.token(good).split(".")
    public = rsa.path.read_text()
    confused = Key.secret(s.dir / "confused.key", kid="rsa", text=public.rstrip("\n"))
    twice = base64url(json.dumps(good).replace('"sub"', '"sub": "root", "sub"', 1).encode())
    lies = {
        "jwt_algorithm": [
            f"{part({'alg': 'none', 'kid': 'k1'})}.{payload}.{signature}", f"{part({'alg': 'None', 'kid': 'k1'})}.{payload}.{signature}",
            confused.token(good), mint.token(good, alg="HS512"), mint.token(good, alg="hs256"), mint.token(good, kid="rsa")],
        "jwt_malformed": [f"{part({'alg': 'none'})}.{payload}.", f"{head}.{payload}.{signature}=", f"{head}.{payload}.!{signature}",
                          f"{head}..{signature}", f".{payload}.{signature}"],
        "jwt_key": [mint.token(good, kid=None), mint.token(good, kid="k2"), mint.token(good, kid="../../etc/passwd")],
        "jwt_header": [mint.token(good, crit=["exp"]), mint.token(good, jku="https://evil.example"), mint.token(good, jwk={}),
                       mint.token(good, x5u="https://evil.example"), mint.token(good, b64=False), mint.token(good, kid=7),
                       mint.token(good, typ="JOSE"), f"{base64url(b'[]')}.{payload}.{signature}"],
        "jwt_signature": [f"{head}.{part({**good, 'sub': 'root'})}.{signature}", f"{head}.{payload}.{signature[:-4]}AAAA",
                          f"{part({'typ': 'JWT', 'alg': 'HS256', 'kid': 'k1'})}.{payload}.{signature}", f"{head}.{payload}.AAAA"],
        "jwt_expired": [mint.token({**good, "exp": now - 1})],
        "jwt_early": [mint.token({**good, "nbf": now + 600}), mint.token({**good, "iat": now + 600})],
        "jwt_issuer": [mint.token({**good, "iss": "https://evil.example"}), mint.token({k: v for k, v in good.items() if k != "iss"})],
        "jwt_audience": [mint.token({**good, "aud": "others"}), mint.token({**good, "aud": ["others"]}),
                         mint.token({k: v for k, v in good.items() if k != "aud"})],
        "jwt_claims": [mint.token({**good, **wrong}) for wrong in (
            {"exp": "1"}, {"exp": None}, {"exp": -1}, {"sub": ""}, {"sub": 5}, {"sub": "a" * 65}, {"sub": "a\nb"}, {"nbf": "x"}, {"aud": 7},
            {"machines_view": "m1"}, {"machines_view": [1]}, {"machines_view": {"m1": True}}, {"streams": ["a", "*"]},
            {"channels": ["x"] * 257})] + [f"{head}.{twice}.{base64url(mint.sign(f'{head}.{twice}'.encode()))}"],
        "too_long": [mint.token({**good, "pad": "x" * 4096})],
    }
    seen = {name: s.counter("w1", f"tokens_{name}") for name in lies}
    for name, tokens in lies.items():
        for token in tokens:
            (await get(port, "/v1/machines", Authorization=f"Bearer {token}")).envelope(401, "UNAUTHORIZED")
        await sent_away(port, extra_headers={"Authorization": f"Bearer {tokens[0]}"})
        assert await s.counts("w1", f"tokens_{name}", seen[name] + len(tokens) + 1) == seen[name] + len(tokens) + 1, name
    (await get(port, "/v1/machines", Authorization=f"Bearer {mint.token(good)}")).envelope(200)
    (await get(port, "/v1/machines", Authorization=f"Bearer {mint.token({**good, 'aud': ['others', 'noria']})}")).envelope(200)
    silent_about(s, signature)


@play("three algorithms side by side, chosen by kid; a key that is new joins, one that is old leaves with a restart", "asan")
async def rotation(s):
    keys = [Key.secret(s.dir / "a.key", kid="2026-10"), Key.rsa(s.dir / "rsa.pem"), Key.p256(s.dir / "ec.pem")]
    s.set("auth", keys=[key.entry() for key in keys])
    port = http_listener(s, auth="token")
    await s.house("m1", workers=["w1"])
    for key in keys:
        (await get(port, "/v1/machines", Authorization=f"Bearer {key('ana')}")).envelope(200)
    old, new = keys[0], Key.secret(s.dir / "b.key", kid="2026-11")
    s.settings["auth"]["keys"] = [key.entry() for key in (*keys[1:], new)]
    s.write_conf()
    await s.actor("w1").stop()
    await s.worker("w1")
    (await get(port, "/v1/machines", Authorization=f"Bearer {new('ana')}")).envelope(200)
    (await get(port, "/v1/machines", Authorization=f"Bearer {old('ana')}")).envelope(401, "UNAUTHORIZED")
    (await get(port, "/v1/machines", Authorization=f"Bearer {new.token({'sub': 'ana', 'exp': 2**33}, kid='2026-10')}")).envelope(401, "UNAUTHORIZED")


@play("a token that expires closes its sockets with 1008, and nobody else's", "asan")
async def expiry(s):
    mint = minted(s)
    port = http_listener(s, ["carousel"], auth="token")
    await s.house("m1", workers=["w1"])
    stays = await s.client("stays", port=port, path=f"/?token={mint('ana', machines_view='*')}")
    token = mint("bob", exp=lambda now: now + 2, machines_view="*")
    goes = await websockets.connect(f"ws://127.0.0.1:{port}/?token={token}")
    assert json.loads(await settle("the welcome", goes.recv()))["type"] == "welcome"
    await settle("the close", goes.wait_closed(), 10)
    assert (goes.close_code, goes.close_reason) == (1008, "Token expirado"), goes
    assert time.time() >= json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["exp"]
    await stays.ping()
    await sent_away(port, f"/?token={token}")


@play("a key that others may read, a short one, one of another kind: the worker does not start, and says why")
async def bad_keys(s):
    http_listener(s, auth="token")
    s.machine("m1")
    minted(s)
    await s.broker()
    open_key = Key.secret(s.dir / "open.key")
    open_key.path.chmod(0o644)
    short = Key.secret(s.dir / "short.key", text="0123456789abcdef")
    ec = Key.p256(s.dir / "ec.pem", kid="k1")
    wrong = Key("k1", "RS256", ec.path)
    pem = Key("k1", "HS256", ec.path)
    for n, (key, words) in enumerate(((open_key, "mode 0644"), (short, "is 16 bytes long"), (wrong, "holds no RSA key"),
                                      (pem, "holds PEM, expected the secret itself"),
                                      (Key("k1", "HS256", s.dir / "nowhere.key"), "cannot be opened"))):
        s.set("auth", keys=[key.entry()])
        s.write_conf()
        worker = s.cast(f"w{n}", "noria-worker", ready=False)
        await worker.start()
        worker.told_to_end = True
        assert await worker.ended() == 78, worker.text()
        assert words in worker.text(), worker.text()


@play("a JWT's subject is the principal: its request_ids are its own, and the journal names it", "asan")
async def subject(s):
    mint = minted(s)
    port = http_listener(s, auth="token")
    sim = await s.house("m1", workers=["w1", "w2"])
    c1 = await s.client("c1")
    await c1.subscribe()
    move = "/v1/machines/m1/move"
    for _ in range(2):  # two tokens, one subject
        token = mint("ana@example.org", machines_command=["m1"])
        (await post(port, move, {"position": 4}, Idempotency_Key="order-1", Authorization=f"Bearer {token}")).envelope(200, machine="m1")
        await c1.sees("m1", position=4)
    token = mint("bob", machines_command=["m1"])
    (await post(port, move, {"position": 5}, Idempotency_Key="order-1", Authorization=f"Bearer {token}")).envelope(200, machine="m1")
    assert sim.truth.moves("m1") == [4, 5]
    journal = "".join(path.read_text(errors="replace") for path in (s.state / "agents").rglob("*") if path.is_file())
    assert "ana@example.org" in journal and '"bob"' in journal
