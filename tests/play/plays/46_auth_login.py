"""POST /auth/login: a name and a password for a token, how often one may try, and that no secret is ever said anywhere."""
import asyncio
import base64
import hashlib
import json
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import websockets

from stagecraft.httpclient import Answer, exchange, get, head, http_listener, post
from stagecraft.registry import play
from stagecraft.stage import BIN
from stagecraft.tokens import Key, hashed, part
from stagecraft.wait import settle

LOGIN = "/auth/login"
FORM = {"Content_Type": "application/x-www-form-urlencoded"}
WRONG = {"detail": "Credenciales inválidas"}


def user(name, password, **more):
    return {"name": name, "password": hashed(password, BIN / "noria"), **more}


async def login(port, name, password, source=None):
    """As a form; `source`: the address that it comes from."""
    body = f"username={quote(name)}&password={quote(password)}".encode()
    data = head("POST", LOGIN, len(body), **FORM) + body
    if source is None:
        return await exchange(port, data, 20.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    writer.write(data)
    answer = Answer(await settle("an answer", reader.read(), 20.0))
    writer.close()
    return answer


def claims_of(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


@play("a form or JSON for a token that opens doors as far as its user's lists say, signed with the key that Noria made", "asan", within=90)
async def tokens(s):
    s.set("auth", users=[user("ana", "secreto ñ&=+%", machines_view=["m1"], machines_command=[], streams=["a"]), user("jefa", "otro")],
          jwt={"issuer": "noria", "lifetime_s": 900})
    port = s.channels_listener()
    doors = http_listener(s, ["rest", "carousel"], auth="token")
    await s.house("m1", "m2", workers=["w1"])
    key = Key.made(s.state / "auth/hs256.key")
    assert key.path.stat().st_mode & 0o777 == 0o600 and len(key.path.read_bytes().strip()) >= 32
    now = int(time.time())
    for answer in (await login(port, "ana", "secreto ñ&=+%"),
                   await post(port, LOGIN, {"username": "ana", "password": "secreto ñ&=+%", "more": 1}, within=20.0),
                   await post(port, LOGIN + "/", {"username": "ana", "password": "secreto ñ&=+%"}, within=20.0)):
        assert answer.status == 200 and list(answer.json()) == ["access_token", "token_type"] and answer["token_type"] == "bearer", answer
        assert answer.headers["cache-control"] == "no-store", answer
        token = answer["access_token"]
        header, payload, signature = token.split(".")
        assert base64.urlsafe_b64decode(signature + "==")[:32] == key.sign(f"{header}.{payload}".encode())
        claims = claims_of(token)
        assert now <= claims["iat"] <= time.time() and claims["exp"] == claims["iat"] + 900, claims
        del claims["iat"], claims["exp"]
        assert claims == {"sub": "ana", "iss": "noria", "channels": "*", "entities_read": "*", "entities_write": "*",
                          "machines_view": ["m1"], "machines_command": [], "streams": ["a"], "noria_login": True}, claims
    bearer = {"Authorization": f"Bearer {token}"}
    assert [m["id"] for m in (await get(doors, "/v1/machines", **bearer)).envelope(200)] == ["m1"]
    (await post(doors, "/v1/machines/m1/move", {"position": 3}, **bearer)).envelope(403, "FORBIDDEN", "m1")
    jefa = (await login(port, "jefa", "otro"))["access_token"]
    (await post(doors, "/v1/machines/m2/move", {"position": 3}, Authorization=f"Bearer {jefa}")).envelope(200, machine="m2")
    client = await s.client("jefa", port=doors, path=f"/?token={jefa}")
    await client.ping()
    before = key.path.read_bytes()
    await s.actor("w1").stop()
    await s.worker("w1")  # the key stays: what was given is still good
    assert key.path.read_bytes() == before
    (await get(doors, "/v1/machines", **bearer)).envelope(200)
    del s.clients["jefa"]


@play("who is wrong is told nothing: 401 for a wrong password and for nobody's name, alike; 422 in FastAPI's words", "asan", within=90)
async def refusals(s):
    s.set("auth", users=[user("ana", "right"), user("local", "here", loopback_only=True)])
    port = s.channels_listener()
    s.machine("m1")
    await s.broker()
    await s.worker("w1")
    wrong = [await login(port, "ana", "wrong"), await login(port, "nobody", "right"), await login(port, "ana", "right "),
             await login(port, "Ana", "right"), await post(port, LOGIN, {"username": "ana\x00", "password": "right"}, within=20.0)]
    for answer in wrong:
        assert answer.status == 401 and answer.json() == WRONG and answer.headers["www-authenticate"] == "Bearer", answer
        assert answer.body == wrong[0].body
    assert (await login(port, "local", "here")).status == 200
    missing = [{"loc": ["body", member], "type": "missing", "msg": "Field required"} for member in ("username", "password")]
    for body, headers, want in (
            ("", FORM, missing), ("{}", {}, missing), ("username=ana", FORM, missing[1:]), ('{"password":"x"}', {}, missing[:1]),
            ('{"username":5,"password":null}', {}, [
                {"loc": ["body", "username"], "type": "string_type", "msg": "Input should be a valid string"},
                {"loc": ["body", "password"], "type": "string_type", "msg": "Input should be a valid string"}]),
            ("[]", {}, [{"loc": ["body"], "type": "model_type", "msg": "Input should be an object"}]),
            ('{"username":', {}, [{"loc": ["body", 12], "type": "json_invalid", "msg": "JSON decode error"}])):
        answer = await post(port, LOGIN, body, **headers)
        assert answer.status == 422 and answer.json() == {"detail": want}, (body, answer)
    for body, headers, status in (("<a/>", {"Content_Type": "text/xml"}, 415), ("x" * 9000, {}, 413),
                                  ("username=" + "a" * 65 + "&password=x", FORM, 422), (b"username=%ff&password=x", FORM, 422)):
        assert (await post(port, LOGIN, body, **headers)).status == status, body
    assert (await get(port, LOGIN)).status == 405
    assert (await get(port, "/auth/logout")).status == 404
    assert (await post(port, LOGIN, {"username": "ana", "password": "right"}, Origin="https://evil.example")).status == 403
    await s.counts("w1", "logins_refused", len(wrong))
    assert await s.counts("w1", "logins_granted", 1) == 1


async def until_limited(port, name, source):
    """Wrong tries until there are none left, which may take some more on a slow machine; the last answer."""
    for n in range(100):
        answer = await login(port, name, "wrong", source(n))
        if answer.status == 429:
            assert n >= 10, f"only {n} tries"
            return answer
        assert answer.status == 401, answer
    raise AssertionError("a hundred tries")


@play("wrong tries run out, of an address and of a name; a right one costs none; others get in meanwhile", "asan", within=180)
async def limits(s):
    s.set("auth", users=[user("ana", "right"), user("bob", "right")])
    port = s.channels_listener()
    s.machine("m1")
    await s.broker()
    await s.worker("w1")
    for _ in range(12):
        assert (await login(port, "bob", "right")).status == 200
    answer = await until_limited(port, "nobody", lambda n: None)
    assert answer.json() == {"detail": "Demasiados intentos"}, answer
    assert 1 <= int(answer.headers["retry-after"]) <= 6, answer
    assert (await login(port, "bob", "right", source="127.0.0.2")).status == 200
    await until_limited(port, "ana", lambda n: f"127.0.1.{n + 1}")  # each from another address: the name
    assert (await login(port, "bob", "right", source="127.0.0.2")).status == 200
    await s.counts("w1", "logins_limited", 2)


@play("a user of this host only, and a listener for others: an error of the configuration; so is a password in clear, which is not quoted")
async def local_only(s):
    s.set("auth", users=[user("admin", "admin123", loopback_only=True)])
    port = s.channels_listener()
    s.machine("m1")

    def checked():
        return subprocess.run([BIN / "noria", "check-config", s.write_conf()], capture_output=True, text=True)

    assert checked().returncode == 0, checked()
    s.listeners[-1]["address"] = "0.0.0.0"
    s.set(allow_unauthenticated=True)
    told = checked()
    assert told.returncode == 1 and "0.0.0.0 can be reached from other hosts, and the user admin" in told.stderr, told
    s.listeners[-1]["address"] = "127.0.0.1"
    s.settings["auth"]["users"][0]["password"] = "canary-in-clear"
    told = checked()
    assert told.returncode == 1 and "auth.users[0].password: is not an argon2id hash" in told.stderr, told
    assert "canary-in-clear" not in told.stderr + told.stdout
    assert port


def places_of(directory, *secrets):
    """Files below a directory that hold one of the secrets."""
    found = []
    for path in Path(directory).rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            found += [f"{path}: {secret}" for secret in secrets if secret.encode() in data]
    return found


@play("the canary: no token and no password is in a log, a metric, shared memory, a journal or a core, at level debug", "asan", within=120)
async def canary(s):
    right, wrong, unknown = "canary-right-7f3a", "canary-wrong-91bc", "canary-name-44de"
    static, foreign = "canary-static-token-5512", "canary-foreign-token-8812"
    s.set("log", level="debug")
    s.set("auth", users=[user("ana", right)],
          tokens=[{"principal": "wms", "sha256": hashlib.sha256(static.encode()).hexdigest()}], jwt={"lifetime_s": 10})
    port = s.channels_listener()
    doors = http_listener(s, ["rest", "carousel"], auth="token")
    s.streams_listener(auth="token")
    await s.house("m1", workers=["w1"])
    jwt = (await login(port, "ana", right))["access_token"]
    assert (await login(port, "ana", wrong)).status == 401
    assert (await login(port, unknown, wrong)).status == 401
    assert (await post(port, LOGIN, {"username": "ana", "password": [wrong]})).status == 422
    assert (await post(port, LOGIN, '{"username":"ana","password":"' + wrong)).status == 422
    forged = ".".join(jwt.split(".")[:2]) + "." + jwt.split(".")[2][::-1]
    late = Key.made(s.state / "auth/hs256.key")("ana", exp=lambda now: now - 5)
    for token in (jwt, static, foreign, forged, late):
        for path, headers in ((f"/v1/machines?token={token}", {}), ("/v1/machines", {"Authorization": f"Bearer {token}"}),
                              (f"/v1/machines?token={token}&token={token}", {}), (f"/nothing?a=b&token={token}", {}),
                              ("/v1/machines", {"X_Token": "none", "Authorization": f"bearer   {token}"})):
            await get(doors, path, **headers)
        await post(doors, f"/v1/machines/m1/move?token={token}", {"position": 3})
        for listener in (doors, s.streams_port, port):
            for path, options in ((f"/?token={token}", {}), (f"/api/v1/ws/secure?channel=general&token={token}", {}),
                                  ("/", {"subprotocols": ["bearer", token]}), ("/", {"extra_headers": {"Authorization": f"Bearer {token}"}})):
                await knock(listener, path, **options)
    client = await s.client("jwt", port=doors, path=f"/?token={jwt}")
    await client.say(type="subscribe", subscription_type="all_events")
    await client.hear("status_broadcast")
    await s.counts("w1", "tokens_granted", 10)
    stats = subprocess.run([BIN / "noria", "stats", "-c", s.conf], capture_output=True, text=True)
    assert stats.returncode == 0, stats
    secrets = [right, wrong, unknown, static, foreign, jwt.split(".")[1], jwt.split(".")[2], forged.split(".")[2], late.split(".")[2]]
    assert not [secret for secret in secrets if secret in stats.stdout + stats.stderr]
    for actor in s.actors.values():
        assert not [secret for secret in secrets if secret in actor.text()], actor.name
        assert not places_of(actor_proc(actor), *secrets), actor.name
    assert not places_of(s.dir, *secrets)
    assert not list(s.dir.rglob("core*")) and not list(Path.cwd().glob("core*"))
    await client.close()  # before its token expires
    del s.clients["jwt"]
    await s.actor("w1").stop()  # what is written at the end counts, too
    assert not places_of(s.dir, *secrets)
    (s.dir / "planted").write_text(f"a line with {part({'sub': 1})} and {right}\n")
    assert places_of(s.dir, *secrets) == [f"{s.dir / 'planted'}: {right}"]  # it can fail
    (s.dir / "planted").unlink()


def actor_proc(actor):
    """What others of this host see of a process: command line and environment."""
    copy = actor.stage.dir / f"proc.{actor.name}"
    copy.mkdir(exist_ok=True)
    for name in ("cmdline", "environ"):
        (copy / name).write_bytes(Path(f"/proc/{actor.pid}/{name}").read_bytes())
    return copy


async def knock(port, path, **options):
    """Every dialect answers that, or closes, or refuses the upgrade."""
    try:
        async with websockets.connect(f"ws://127.0.0.1:{port}{path}", **options) as socket:
            await socket.send('{"type":"ping"}')
            await settle("anything", socket.recv())
    except websockets.WebSocketException:
        pass
