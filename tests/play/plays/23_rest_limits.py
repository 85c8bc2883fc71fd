"""Many at once, slow ones, and ones that never read."""
import asyncio
import socket

from stagecraft.httpclient import exchange, get, head, http_listener, post
from stagecraft.registry import play
from stagecraft.scripts import AT_REST
from stagecraft.wait import limit, settle, until


@play("500 requests at once: all answered, WebSockets served meanwhile", "asan", within=120)
async def at_once(s):
    port = http_listener(s)
    sim = await s.house("m1", workers=["w1", "w2"])
    c1 = await s.client("c1")
    await c1.subscribe()
    reads = [get(port, "/v1/machines/m1/status", within=30) for _ in range(450)]
    moves = [post(port, "/v1/machines/m1/move", {"position": n % 26}, within=30) for n in range(50)]
    answers = asyncio.gather(*reads, *moves)
    await c1.ping()
    answers = await answers
    for answer in answers[:450]:
        answer.envelope(200, machine="m1")
    told = [answer.status for answer in answers[450:]]
    assert set(told) <= {200, 409}, told
    await sim.wait("m1", "idle")
    assert len(sim.truth.moves("m1")) == told.count(200) >= 1, (sim.truth.moves("m1"), told)


BUDGET = 16 << 20


@play("peers that never read their answers hold up nobody, cost a bounded amount, and leave nothing", "asan")
async def never_reads(s):
    for i in range(2000):
        s.machine(f"m{i:04}", name="N" * 90, simulator=False, ip="127.0.0.1", port=10000 + i)
    s.set(max_machines=2048)
    port = http_listener(s)
    await s.broker()
    await s.worker("w1")
    mutes = []
    for _ in range(150):
        mute = socket.socket()
        mute.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
        mute.settimeout(limit(5))
        mute.connect(("127.0.0.1", port))
        mute.sendall(head("GET", "/v1/machines"))
        mutes.append(mute)
    await s.counts("w1", "http_requests", 150)
    await s.counts("w1", "http_over_budget", 1)
    assert BUDGET * 0.9 < s.counter("w1", "http_memory_bytes") <= BUDGET
    for _ in range(20):
        (await get(port, "/v1/health")).envelope(200)
    for mute in mutes:
        mute.close()
    await until("nothing to be left of them", lambda: s.counter("w1", "http_exchanges") == s.counter("w1", "http_memory_bytes") == 0, within=10)


@play("slow and broken bodies: pieces are one body, a client that goes in the middle leaves nothing", "asan")
async def slow_bodies(s):
    port = http_listener(s)
    sim = await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe()
    body = b'{"position": 3}'
    whole = head("POST", "/v1/machines/m1/move", len(body), Content_Type="application/json") + body
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for byte in whole:
        writer.write(bytes([byte]))
        await writer.drain()
    assert (await settle("the answer", reader.read())).startswith(b"HTTP/1.1 200 ")
    writer.close()
    for cut in range(len(whole) - len(body), len(whole), 3):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(whole[:cut])
        await writer.drain()
        writer.close()
    await until("them to be gone", lambda: s.counter("w1", "http_exchanges") == 0)
    await s.counts("w1", "http_abandoned", 5)
    await c1.sees("m1", position=3, raw_status=AT_REST)
    (await exchange(port, whole.replace(b"3}", b"4}"))).envelope(200, machine="m1")
    await sim.wait("m1", "idle")
    assert sim.truth.moves("m1") == [3, 4]


GARBAGE = [b"\x16\x03\x01\x02\x00", b"GET /v1/machines HTTP/1.0\r\n\r\n", b"POST /v1/machines HTTP/1.1\r\nHost: x\r\n"
           b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"POST /v1/machines HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
           b"Content-Length: 6\r\n\r\nhello", b"BREW /v1/machines HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n\r\n", b"\x00" * 9000]


@play("garbage at the door of REST: refused, and the next client is served", "asan")
async def garbage(s):
    port = http_listener(s)
    await s.house("m1", workers=["w1"])
    for data in GARBAGE:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        said = await settle("an answer or the end", reader.read())
        assert said[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 405", b"HTTP/1.1 505", b"HTTP/1.1 431"), said
        writer.close()
    (await get(port, "/v1/machines")).envelope(200)
