"""door.py: the table of handshakes.py against a real worker, and what needs a stage of its own: heads that never end, too many
half-open connections of one address, no room."""
import asyncio
import hashlib
import os
import resource
import socket
import subprocess

from . import handshakes
from .case import Wire
from .handshakes import LISTED, TOKEN, Probe, head, perform

SLOW = float(os.environ.get("NORIA_PLAY_SLOW", "1"))
AT_A_TIME = 48
PER_ADDRESS = 8192  # gate.h: half-open connections of one address
STATUSES = (400, 403, 404, 405, 413, 426, 429, 431, 503, 505)


def worker_counters(stage):
    """What `noria stats` says of the only worker."""
    from stagecraft.stage import BIN
    out = subprocess.run([BIN / "noria", "stats", "-c", stage.conf], capture_output=True, text=True, timeout=10 * SLOW, check=True,
                         env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    fields = (line.split() for line in out.stdout.splitlines())
    return {f[1]: int(f[2]) for f in fields if len(f) == 3 and f[0].startswith("worker.") and f[2].isdigit()}


async def steady(stage, connections=1):
    """The counters when only so many clients are there, and the stage's own probe has left: they are published a few times a
    second, so one look may show the past."""
    from stagecraft.wait import until
    now = {}

    def look():
        now.update(worker_counters(stage))
        return now["ws_closed"] >= 1 and now["connections"] == connections == now["ws_opened"] - now["ws_closed"]
    await until(f"{connections} connections", look)
    return now


async def settle_counters(stage, before, expected, within=10):
    """Waits until the counters have moved by what is expected; says what is wrong if they never do."""
    from stagecraft.wait import until, Late
    wrong = {}

    def look():
        now = worker_counters(stage)
        wrong.clear()
        wrong.update({k: (now[k] - before[k], v) for k, v in expected.items() if now[k] - before[k] != v})
        return not wrong
    try:
        await until("the counters", look, within)
    except Late:
        return "; ".join(f"{name} moved by {got}, not {want}" for name, (got, want) in wrong.items())
    return None


def expected_moves(probes):
    """Refusals by the gate. What REST refuses in its own words is counted by REST."""
    gate = [p for p in probes if p.listener != "rest" or p.name == "rest/upgrade-to-nowhere"]
    moves = {f"gate_refused_{status}": sum(p.status == status for p in gate) for status in STATUSES}
    moves["gate_upgrades"] = moves["ws_opened"] = moves["ws_closed"] = sum(p.status == 101 for p in probes)
    moves["gate_timeouts"] = 0
    return moves


# --- the table -------------------------------------------------------------------------------------------------------------------


def set_listeners(stage):
    for name, more in (("rest", {"dialects": ["rest"]}), ("closed", {"auth": "token"})):
        stage.listeners.append({**stage.listeners[0], "name": name, "port": stage.ports.take(), **more})
    stage.set("auth", tokens=[{"principal": "wms", "sha256": hashlib.sha256(TOKEN.encode()).hexdigest()}])


async def run_probes(stage, probes, tally):
    ports = {listener["name"]: listener["port"] for listener in stage.listeners}
    room = asyncio.Semaphore(AT_A_TIME)

    async def one(probe):
        async with room:
            tally.note(f"handshakes/{probe!r}", await perform(probe, ports[probe.listener]))
    await asyncio.gather(*(one(probe) for probe in probes))


async def table(probes, tally):
    from .parts import on_stage

    async def act(stage):
        good = await stage.client("good")
        before = await steady(stage)
        await run_probes(stage, probes, tally)
        await good.ping()
        if not tally.bad:
            tally.note("handshakes/the counters tell what happened", await settle_counters(stage, before, expected_moves(probes)))

    def prepare(stage):
        stage.set("websocket", allowed_origins=[LISTED], handshake_timeout_ms=60000)
        set_listeners(stage)
    await on_stage(tally, "handshakes", act, prepare)


# --- limits ----------------------------------------------------------------------------------------------------------------------


def half_open(port, count, source, data=b""):
    """Connections that say `data` and wait."""
    socks = []
    for _ in range(count):
        sock = socket.socket()
        sock.bind((source, 0))
        sock.connect(("127.0.0.1", port))
        if data:
            sock.send(data)
        socks.append(sock)
    return socks


def close_all(socks):
    for sock in socks:
        sock.close()


async def too_many_of_one_address(stage, tally):
    """The 8193rd half-open connection of an address gets 429; another address is served; afterwards all is as before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before = worker_counters(stage)
    flood = half_open(stage.port, PER_ADDRESS, "127.0.0.9")
    complaint = await settle_counters(stage, before, {"gate_half_open": PER_ADDRESS, "gate_refused_429": 0})
    tally.note("limit/8192 half-open connections of one address are taken", complaint)
    extra = half_open(stage.port, 5, "127.0.0.9", head().replace(b"HOST", b"a"))
    loop = asyncio.get_running_loop()
    for sock in extra:
        sock.setblocking(False)
        answer = await asyncio.wait_for(loop.sock_recv(sock, 4096), 5 * SLOW)
        tally.note("limit/one more is answered 429, with Retry-After",
                   None if answer.startswith(b"HTTP/1.1 429 ") and b"\r\nRetry-After: " in answer else f"{answer!r}")
    tally.note("limit/another address is served meanwhile", await perform(Probe("other", "", 101, head()), stage.port))
    close_all(flood + extra)
    complaint = await settle_counters(stage, before, {"gate_half_open": 0, "gate_refused_429": 5, "gate_abandoned": PER_ADDRESS})
    tally.note("limit/afterwards nothing is half-open", complaint)
    tally.note("limit/and the address is served again", await perform(Probe("again", "", 101, head()), stage.port))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def many(tally):
    from .parts import on_stage

    async def act(stage):
        await too_many_of_one_address(stage, tally)
    await on_stage(tally, "half-open", act, lambda stage: stage.set("websocket", handshake_timeout_ms=60000))


async def heads_that_never_end(stage, tally):
    """Each is closed without an answer, by the limit alone, whatever it said, and nobody else notices."""
    good = await stage.client("good")
    before = await steady(stage)
    whole = head().replace(b"HOST", b"a")
    starts = [b"", b"G", whole[:10], whole[:-1], whole[:-2], b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 60]
    wires = []
    for start in starts * 5:
        wire = Wire(stage.port)
        await wire.connect()
        await wire.write(start)
        wires.append(wire)
    await good.ping()

    async def end_of(wire):
        while not wire.ended:
            await wire.read()
        return bytes(wire.decoder.data)
    heard = await asyncio.wait_for(asyncio.gather(*(end_of(wire) for wire in wires)), 5 * SLOW)
    tally.note("limit/heads that never end are closed without an answer", None if not any(heard) else f"{[h for h in heard if h]}")
    await good.ping()
    for wire in wires:
        wire.close()
    tally.note("limit/and counted", await settle_counters(stage, before, {"gate_timeouts": len(wires), "gate_half_open": 0}))


async def no_room(stage, tally, room):
    """`good` is there already; as many as fit, then 503, and one leaves and makes room."""
    before = worker_counters(stage)
    guests = [await stage.client(f"guest{i}") for i in range(room - 1)]
    for _ in range(3):
        tally.note("limit/a worker without room answers 503",
                   await perform(Probe("full", "", 503, head(), ["Retry-After: "]), stage.port))
    await guests.pop().close()
    complaint = await settle_counters(stage, before, {"connections": room - 2, "gate_refused_503": 3})
    tally.note("limit/one leaves", complaint)
    tally.note("limit/and there is room again", await perform(Probe("room", "", 101, head()), stage.port))


async def limits(tally):
    from .parts import on_stage
    room = 5

    async def act(stage):
        await heads_that_never_end(stage, tally)
        await no_room(stage, tally, room)
    await on_stage(tally, "limits", act, lambda stage: stage.set("websocket", handshake_timeout_ms=600, max_connections=room))


async def part(args, tally):
    probes = [p for p in handshakes.cases() if all(word.lower() in p.name.lower() for word in args.k)]
    if probes:
        await table(probes, tally)
    if not args.k or "limit" in args.k:
        await many(tally)
        await limits(tally)
