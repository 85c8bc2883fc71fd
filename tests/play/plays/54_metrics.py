"""/metrics, /healthz, /readyz: every value of every process, who may read them, and what they say in each phase.

A scrape is held against the segments, read before and after it: what stands between the two is right, what does not move stands exactly.
"""
import asyncio
import hashlib
import os
import signal
import subprocess

from stagecraft.httpclient import exchange, get, head, http_listener
from stagecraft.launched import pids, restarted, up
from stagecraft.prometheus import Metrics, exposed, scrape
from stagecraft.registry import play
from stagecraft.segment import COUNTER, HISTOGRAM
from stagecraft.wait import now, until

TOKEN = "correct-horse-battery-staple-0123456789"
FEW = TOKEN[::-1]


def segments(s):
    """{(role, label name, label): {metric: (kind, value)}} of all segments."""
    found = {}
    for path in sorted((s.runtime / "shm").iterdir()):
        if path.name in ("ring", "lvt") or path.name.startswith("."):
            continue
        segment = s.counters.segment(path.name)
        role = path.name.split(".")[0]
        label = ("machine", segment.page()["id"]) if role == "agent" else ("process", path.name.removeprefix("process."))
        found[(role, *label)] = segment.described()
    return found


def compare(before, metrics, after):
    """Every value of every segment stands in the scrape that was made between the two looks. Returns how many were held against it."""
    compared = 0
    for key, described in before.items():
        role, label, who = key
        for name, (kind, value) in described.items():
            shown = metrics.value(exposed(role, name, kind), **{label: who})
            assert shown is not None, f"{key}: no {name}"
            later = after[key][name][1]
            if kind in (COUNTER, HISTOGRAM):
                assert value <= shown <= later, f"{key} {name}: {value} ≤ {shown} ≤ {later}"
                compared += 1
            elif value == later and name not in ("exchange_us", "poll_lag_us"):  # which come and go between the looks
                assert shown == value, f"{key} {name}: {shown}, not {value}"
                compared += 1
    return compared


@play("every value of every segment stands in /metrics, described; curl and HEAD read it, too", "asan")
async def every_value(s):
    port = http_listener(s, ["ops"])
    await s.house("m1", "m2")
    c1 = await s.client("c1")
    await c1.subscribe()
    await c1.move("m1", 5)
    await c1.hear("command_completed", success=True, position=5)
    before = segments(s)
    metrics = await scrape(port)
    assert compare(before, metrics, segments(s)) > 400
    assert metrics.labels("machine") == {"m1", "m2"}
    for name in ("broker", "worker.0", "worker.1"):
        assert metrics.value("noria_process_up", process=name) == 1
    assert metrics.value("noria_scrape_segments", outcome="shown") == 5
    bare = [family.name for family in metrics.families.values() if not family.help or family.help[-1] not in ".)"]
    assert not bare, bare
    curl = subprocess.run(["curl", "-sS", "-i", f"http://127.0.0.1:{port}/metrics"], capture_output=True, timeout=30)
    assert curl.returncode == 0 and curl.stdout.startswith(b"HTTP/1.1 200 OK\r\n"), curl.stderr
    Metrics(curl.stdout.split(b"\r\n\r\n", 1)[1].decode("ascii"))
    answer = await get(port, "/metrics", method="HEAD")
    assert answer.status == 200 and not answer.body and int(answer.headers["content-length"]) > 10000, answer


@play("an ops listener serves nothing else; a rest listener serves these, too", "asan")
async def nothing_else(s):
    ops, rest = http_listener(s, ["ops"]), http_listener(s, ["rest"])
    await s.house("m1", workers=["w1"])
    for path in ("/healthz", "/readyz", "/metrics"):
        for port in (ops, rest):
            assert (await get(port, path)).status == 200
            answer = await get(port, path, method="POST", Content_Length="0")
            assert answer.status == 405 and answer.headers["allow"] == "GET, HEAD, OPTIONS", answer
            assert (await get(port, path, method="OPTIONS")).status == 204
    assert (await get(ops, "/v1/machines")).status == 404
    assert (await get(rest, "/v1/machines")).status == 200
    assert (await get(ops, "/")).status == 404 and (await get(ops, "/metrics/x")).status == 404
    upgrade = head("GET", "/", Upgrade="websocket", Connection="Upgrade", Sec_WebSocket_Version="13",
                   Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==")
    assert (await exchange(ops, upgrade)).status == 404
    assert (await get(ops, "/healthz")).json() == {"status": "ok"}
    assert (await get(ops, "/readyz")).json() == {"status": "ready"}


def token(s, name, text, **grants):
    s.settings.setdefault("auth", {}).setdefault("tokens", []).append(
        {"principal": name, "sha256": hashlib.sha256(text.encode()).hexdigest(), **grants})


@play("metrics ask for a token where the listener does, and for one that shows every machine; health never", "asan")
async def tokens(s):
    token(s, "prometheus", TOKEN)
    token(s, "screen", FEW, machines_view=["m1"], machines_command=["m1"])
    port = http_listener(s, ["ops"], auth="token")
    await s.house("m1", "m2", workers=["w1"])
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = await get(port, "/metrics", **headers)
        assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer", answer
        assert list(answer.json()) == ["detail"]
    assert (await get(port, "/metrics", Authorization=f"Bearer {FEW}")).status == 403
    metrics = await scrape(port, Authorization=f"Bearer {TOKEN}")
    assert metrics.labels("machine") == {"m1", "m2"}
    for path in ("/healthz", "/readyz"):
        assert (await get(port, path)).status == 200
    await s.counts("w1", "tokens_missing", 1)


@play("ready with a broker, not without one, and again; healthy all the while; its segments vanish with it", "asan")
async def broker_comes_back(s):
    port = http_listener(s, ["ops"])
    await s.house("m1", workers=["w1"])
    assert (await scrape(port)).value("noria_broker_machines", process="broker") == 1
    await s.actor("b1").kill()

    async def not_ready():
        answer = await get(port, "/readyz")
        return answer if answer.status == 503 else None
    answer = await until("not ready", not_ready)
    assert answer.json()["status"] == "not ready" and "no broker" in answer["reasons"], answer
    assert answer.headers["retry-after"] == "1"
    assert (await get(port, "/healthz")).json() == {"status": "ok"}

    async def gone():
        metrics = await scrape(port)
        return metrics if metrics.value("noria_process_up", process="broker") is None else None
    metrics = await until("the dead broker's segment to be left out", gone)
    assert not any(name.startswith(("noria_broker_", "noria_agent_")) for name in metrics.families)
    assert metrics.value("noria_scrape_segments", outcome="dead") >= 1
    assert metrics.value("noria_process_up", process="worker.0") == 1
    await s.actor("b1").restart()

    async def ready():
        return (await get(port, "/readyz")).status == 200
    await until("ready again", ready)


@play("draining: a load balancer that comes in at the last moment reads so", "asan")
async def draining(s):
    port = http_listener(s, ["ops"])
    await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")  # whom the worker waits for
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head("GET", "/readyz")[:-2])
    await s.counts("w1", "gate_half_open", 1)
    s.actor("w1").told_to_end = True
    s.actor("w1").send_signal(signal.SIGUSR1)
    await s.actor("w1").logs("drain")
    writer.write(b"\r\n")
    raw = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert raw.startswith(b"HTTP/1.1 503 ") and b'"draining"' in raw, raw
    assert await c1.closed() == 1012


def hop_sums(metrics):
    names = {"d5": ("agent", "machine", "m1"), "d6": ("broker", "process", "broker"), "d7": ("broker", "process", "broker"),
             "d8": ("worker", "process", "worker.0"), "d11_first": ("worker", "process", "worker.0"),
             "d11_last": ("worker", "process", "worker.0"), "c3": ("worker", "process", "worker.0"),
             "c4": ("broker", "process", "broker"), "c5": ("agent", "machine", "m1"), "c6": ("agent", "machine", "m1"),
             "r2": ("broker", "process", "broker"), "r4": ("worker", "process", "worker.0")}
    found = {}
    for hop, (role, label, who) in names.items():
        name = f"noria_{role}_hop_{hop}_seconds"
        found[hop] = tuple(metrics.value(f"{name}_{part}", **{label: who}) for part in ("count", "sum"))
    return found


async def next_scrape(port, accept):
    """A document that is not one from before, and that has what is waited for: an agent tells its own once a second."""
    async def look():
        metrics = await scrape(port)
        return metrics if accept(hop_sums(metrics)) else None
    return await until("a document with it", look, within=10)


@play("ages rise along the hops, for one state and for one command", "asan")
async def hops(s):
    port = http_listener(s, ["ops"])
    sim = await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe()
    settled = await next_scrape(port, lambda h: h["d5"][0] == h["d6"][0] == h["d7"][0] == h["d8"][0])
    before = hop_sums(settled)
    await sim.place("m1", 9)
    await c1.sees("m1", position=9)
    after = hop_sums(await next_scrape(port, lambda h: h["d5"][0] > before["d5"][0] and h["d11_last"][0] > before["d11_last"][0]))
    data = ("d5", "d6", "d7", "d8", "d11_first", "d11_last")
    assert [after[hop][0] - before[hop][0] for hop in data] == [1] * len(data), (before, after)
    ages = [after[hop][1] - before[hop][1] for hop in data]
    # An agent looks at its clock when it has sent, and may have been away from its core meanwhile: D5 is only of the same size.
    assert ages[1:] == sorted(ages[1:]) and 0 < ages[0] < 5 and 0 < ages[1] and ages[-1] < 5, dict(zip(data, ages))

    before = after
    await c1.command("m1", 0, request_id="r")
    await c1.hear("command_result", success=True, request_id="r")
    after = hop_sums(await next_scrape(port, lambda h: h["c6"][0] > before["c6"][0] and h["r4"][0] > before["r4"][0]))
    way = ("c3", "c4", "c5", "c6", "r2", "r4")
    assert [after[hop][0] - before[hop][0] for hop in way] == [1] * len(way), (before, after)
    ages = [after[hop][1] - before[hop][1] for hop in way]
    assert ages == sorted(ages) and 0 < ages[0] and ages[-1] < 5, dict(zip(way, ages))


@play("a scraper that does not read costs the others nothing; those who ask at once share", "asan")
async def scrapers(s):
    port = http_listener(s, ["ops"])
    await s.house("m1", workers=["w1"])
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
    for _, writer in idle:
        writer.write(head("GET", "/metrics"))
    documents = await asyncio.gather(*(scrape(port) for _ in range(20)))
    assert len({document.length for document in documents}) <= 2
    await s.counts("w1", "scrapes", 40)
    assert s.counter("w1", "scrapes_shared") >= 36, s.counter("w1", "scrapes_shared")
    for _, writer in idle:
        writer.close()


@play("garbage in shm/ is passed over and counted", "asan")
async def garbage(s):
    port = http_listener(s, ["ops"])
    await s.house("m1", workers=["w1"])
    shm = s.runtime / "shm"
    whole = (shm / "worker.0").read_bytes()
    made = {"worker.7": whole, "worker.8": whole[:5000], "broker.x": b"", "agent.99": os.urandom(9000), "x" * 200: whole}
    for name, content in made.items():
        (shm / name).write_bytes(content)
    os.mkfifo(shm / "worker.9")
    (shm / "worker.10").mkdir()
    (shm / "worker.11").symlink_to(shm / "worker.0")
    metrics = await scrape(port)
    assert metrics.value("noria_scrape_segments", outcome="shown") == 3, metrics.families["noria_scrape_segments"].samples
    assert metrics.value("noria_scrape_segments", outcome="dead") == len(made)
    assert metrics.value("noria_scrape_segments", outcome="unreadable") == 3
    for name in (*made, "worker.9", "worker.11"):
        (shm / name).unlink()
    (shm / "worker.10").rmdir()


@play("under the launcher: a killed worker vanishes, its deaths and starts rise", within=90)
async def launched(s):
    port = http_listener(s, ["ops"])
    launcher = await up(s, "m1")
    await launcher.logs(f"http://127.0.0.1:{port}/metrics")

    async def whole():
        metrics = await scrape(port)
        names = ("broker", "worker.0", "worker.1", "agent.m1", "plc-sim")
        return metrics if all(metrics.value("noria_process_up", process=name) == 1 for name in names) else None
    before = await until("every member to be up", whole)
    assert before.value("noria_launcher_deaths_total", process="launcher") == 0
    begin = now()
    await until("the documents that were made until now to be too old to be given out", lambda: now() > begin + 1.1)
    assert compare(segments(s), await scrape(port), segments(s)) > 300
    old = pids("noria-worker")
    victim = next(name for name in ("worker.0", "worker.1")
                  if before.value("noria_process_pid", process=name) == old[0])
    os.kill(old[0], signal.SIGKILL)
    await restarted("noria-worker", old)

    async def counted():
        metrics = await scrape(port)
        return metrics if metrics.value("noria_process_deaths_total", process=victim) == 1 else None
    after = await until("its death to be counted", counted)
    assert after.value("noria_process_starts_total", process=victim) == before.value("noria_process_starts_total", process=victim) + 1
    assert after.value("noria_process_last_exit", process=victim) == 128 + signal.SIGKILL
    assert after.value("noria_launcher_deaths_total", process="launcher") == 1
    assert (await get(port, "/readyz")).json() == {"status": "ready"}


@play("metrics in the file's words: the configuration admits ops alone, and warns of what it shows")
async def configuration(s):
    from stagecraft.stage import BIN
    s.listeners = []
    http_listener(s, ["ops"], address="0.0.0.0")
    s.set(allow_unauthenticated=True)
    s.machine("m1")
    told = subprocess.run([BIN / "noria", "check-config", s.write_conf()], capture_output=True, timeout=30, text=True)
    assert told.returncode == 0, told
    assert "can read all counters, and which machines there are" in told.stdout + told.stderr, told
    assert "can move machines" not in told.stdout + told.stderr


@play("whoever leaves is counted by how: every closed WebSocket has one reason", "asan")
async def ways_out(s):
    s.set("websocket", max_message_bytes=2000)
    port = http_listener(s, ["ops"])
    await s.house("m1", workers=["w1"])

    async def nobody():
        metrics = await scrape(port)
        opened, closed = (metrics.value(f"noria_worker_ws_{what}_total", process="worker.0") for what in ("opened", "closed"))
        return metrics if opened == closed == 1 else None  # the one that has seen every machine
    before = await until("nobody to be there", nobody)
    closes, cuts, shouts, mumbles, stays = [await s.client(name) for name in ("closes", "cuts", "shouts", "mumbles", "stays")]
    await closes.close()
    await cuts.reset()
    await shouts.socket.send("x" * 3000)
    assert await shouts.closed() == 1009
    mumbles.socket.transport.write(bytes([0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28]))
    assert await mumbles.closed() == 1007
    await stays.ping()

    def since(metrics, name):
        full = f"noria_worker_ws_{name}_total"
        return metrics.value(full, process="worker.0") - before.value(full, process="worker.0")

    async def counted():
        metrics = await scrape(port)
        return metrics if since(metrics, "closed") >= 4 else None
    metrics = await until("four to be gone", counted)
    ways = {name.removeprefix("noria_worker_ws_").removesuffix("_total") for name in metrics.families
            if name.startswith(("noria_worker_ws_closed_1", "noria_worker_ws_closed_other", "noria_worker_ws_peer_"))}
    found = {way: since(metrics, way) for way in ways if since(metrics, way)}
    assert since(metrics, "closed") == 4
    assert found == {"peer_closed": 1, "peer_gone": 1, "closed_1009": 1, "closed_1007": 1}, found
