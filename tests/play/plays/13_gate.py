"""The gate: hostile and broken handshakes get their answer, and good clients go on meanwhile."""
import asyncio

from stagecraft.rawclient import handshake, masked_frame, request, status_of
from stagecraft.registry import play
from stagecraft.wait import settle, until

HOSTILE = [  # expected status, what is changed
    (405, {"method": "POST"}),
    (505, {"version": "HTTP/1.0"}),
    (426, {"Sec-WebSocket-Version": "8"}),
    (426, {"Sec-WebSocket-Version": None}),
    (400, {"Sec-WebSocket-Key": "short"}),
    (400, {"Sec-WebSocket-Key": None}),
    (400, {"Host": None}),
    (400, {"Content-Length": "5"}),
    (400, {"Transfer-Encoding": "chunked"}),
    (403, {"Origin": "https://evil.example"}),
    (431, {"X-Padding": "x" * 9000}),
]


@play("hostile handshakes are answered by the gate itself", "asan")
async def hostile(s):
    await s.house("m1", workers=["w1"])
    good = await s.client("good")
    wrong = []
    for expected, changes in HOSTILE:
        data = handshake(s.port, **changes)
        status = await status_of(s.port, data)
        if status != expected:
            wrong.append(f"{changes}: wanted {expected}, got {status}")
    doubled = handshake(s.port).replace(b"Upgrade: websocket\r\n", b"Upgrade: websocket\r\nHost: a\r\n")
    if await status_of(s.port, doubled) != 400:
        wrong.append("two Hosts")
    h2c = handshake(s.port, Upgrade="h2c")
    if await status_of(s.port, h2c) not in (400, 426):
        wrong.append(f"h2c: {await status_of(s.port, h2c)}")
    assert not wrong, "\n".join(wrong)
    await good.ping()


@play("good handshakes in unusual clothes are accepted")
async def unusual(s):
    await s.house("m1", workers=["w1"])
    for changes in ({"Upgrade": "WebSocket"}, {"Connection": "keep-alive, Upgrade"}, {"Origin": "http://localhost:3000"},
                    {"Origin": f"http://127.0.0.1:{s.port}"}, {"path": "/x" * 500}):
        assert await status_of(s.port, handshake(s.port, **changes)) == 101, changes


@play("a handshake may come byte by byte, with the first message right behind it")
async def byte_by_byte(s):
    await s.house("m1", workers=["w1"])
    reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
    for byte in handshake(s.port) + masked_frame(b'{"type":"ping"}'):
        writer.write(bytes([byte]))
        await writer.drain()
    await settle("the 101", reader.readuntil(b"\r\n\r\n"))
    await settle("a pong", reader.readuntil(b'"pong"'))
    writer.close()


@play("a head that never ends is answered within handshake_timeout_ms, and holds up nobody")
async def slow_head(s):
    s.set("websocket", handshake_timeout_ms=300)
    await s.house("m1", workers=["w1"])
    lazy = [await asyncio.open_connection("127.0.0.1", s.port) for _ in range(20)]
    for _, writer in lazy[10:]:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-")
    good = await s.client("good")
    await good.ping()
    for reader, writer in lazy:
        await settle("the gate to close a lazy connection", reader.read(), within=3)
        writer.close()
    await good.ping()


@play("unmasked frames of a client do not crash the worker, whatever it decides about them", "asan")
async def unmasked(s):
    await s.house("m1", workers=["w1"])
    good = await s.client("good")
    reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
    writer.write(handshake(s.port) + b"\x81\x0f" + b'{"type":"ping"}' + b"\x81\x00" * 10)
    await settle("the 101", reader.readuntil(b"\r\n\r\n"))
    await good.ping()
    writer.close()


GARBAGE = [b"\xff" * 64, b"\x83\x80abcd", masked_frame(b"x", opcode=3), masked_frame(b"x" * 126, opcode=9),
           masked_frame(b"", opcode=0), masked_frame(b"\x03", opcode=8), b"\xc1\x81abcdx",
           masked_frame(b"abc", opcode=9, fin=False), masked_frame(b"a", fin=False) + masked_frame(b"b"),
           masked_frame(b"\x03\xed", opcode=8), b"\x81\xff" + b"\xff" * 8 + b"abcd"]


@play("garbage after the upgrade closes that connection with 1002, nobody else's", "asan")
async def garbage(s):
    await s.house("m1", workers=["w1"])
    good = await s.client("good")
    for rubbish in GARBAGE:
        reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
        writer.write(handshake(s.port))
        await settle("the welcome", reader.readuntil(b"}]}"))
        writer.write(rubbish)
        data = await settle(f"a Close frame after {rubbish[:8]!r}", reader.readexactly(4))
        assert data[:1] == b"\x88" and data[2:4] == b"\x03\xea", f"no Close with 1002 after {rubbish[:8]!r}: {data!r}"
        writer.close()
    await good.ping()


@play("garbage right behind the request's head ends the connection, too", "asan")
async def garbage_at_once(s):
    await s.house("m1", workers=["w1"])
    good = await s.client("good")
    for rubbish in GARBAGE:
        reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
        writer.write(handshake(s.port) + rubbish)
        await settle(f"the end of {rubbish[:8]!r}", ended(reader))
        writer.close()
    await good.ping()


async def ended(reader):
    """The server's end of the connection, or its Close frame behind the welcome."""
    heard = b""
    while b"}]}\x88" not in heard:
        piece = await reader.read(4096)
        heard += piece
        if not piece:
            return


@play("connections that are opened and dropped at every stage leave no descriptor behind", "asan")
async def dropped(s):
    await s.house("m1", workers=["w1"])
    head = handshake(s.port)
    for cut in (0, 1, 10, len(head) - 1, len(head)):
        for _ in range(10):
            _, writer = await asyncio.open_connection("127.0.0.1", s.port)
            writer.write(head[:cut])
            await writer.drain()
            writer.transport.abort()
    await s.actor("w1").gives_back_descriptors(within=8)


@play("plain HTTP on the carousel's port gets an answer, and the connection ends")
async def plain_http(s):
    await s.house("m1", workers=["w1"])
    head = await request(s.port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert head.startswith("HTTP/1.1 4"), head
