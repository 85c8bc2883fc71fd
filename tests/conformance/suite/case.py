"""case.py: one case of the suite, and how it is run: what is sent, in which writes, and exactly what must come back.

A case ends in one of three ways:
    OPEN       the connection lives: a last ping is answered by the very next frame (so nothing else came), then the client
               closes with 1000 and the server answers 1000 and ends the TCP connection
    (code,)    the next frame is a Close with that code (None: without one), nothing follows, and TCP is ended by the
               server, without a reset
    GONE       the client ends TCP without a Close; the server must take it (its counters are looked at in the end)
"""
import asyncio
import base64
import hashlib
import os
import socket
import struct

from .codec import CLOSE, GUID, PING, PONG, Decoder, close, frame

OPEN, GONE = "open", "gone"
NAMES = {1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}


class Case:
    """`send`: the writes, in order; `expect`: [(opcode, payload or a check of it)]; `cite`: section of RFC 6455."""

    def __init__(self, name, cite, send, expect=(), end=OPEN, path="/", headers=(), behind=b"", answer=(), finish=None,
                 seconds=8.0):
        self.name, self.cite, self.send, self.expect, self.end = name, cite, list(send), list(expect), end
        self.path, self.headers, self.behind, self.answer = path, headers, behind, dict(answer)
        self.finish, self.seconds = finish, seconds  # finish: what the client sends after the server's Close

    def __repr__(self):
        return f"{self.name} (RFC 6455 {self.cite})"


class Failed(AssertionError):
    pass


def show(data):
    return f"{bytes(data[:40])!r}{'…' if len(data) > 40 else ''} ({len(data)} bytes)"


class Wire:
    """A client's TCP connection, every write a segment of its own as far as TCP allows."""

    def __init__(self, port):
        self.port, self.decoder, self.sock, self.ended = port, Decoder(), None, False

    async def connect(self):
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(self.sock, ("127.0.0.1", self.port))

    async def write(self, data):
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def read(self):
        try:
            data = await asyncio.get_running_loop().sock_recv(self.sock, 65536)
        except ConnectionResetError:
            raise Failed("the server reset the connection") from None
        self.ended = not data
        self.decoder.feed(data)

    async def next_frame(self):
        """None: the server has ended the connection."""
        while (got := self.decoder.next()) is None:
            if self.ended:
                if self.decoder.data:
                    raise Failed(f"the server ended inside a frame: {show(self.decoder.data)}")
                return None
            await self.read()
        return got

    async def shake_hands(self, case):
        key = base64.b64encode(os.urandom(16))
        lines = [f"GET {case.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", "Upgrade: websocket",
                 "Connection: Upgrade", f"Sec-WebSocket-Key: {key.decode()}", "Sec-WebSocket-Version: 13", *case.headers]
        await self.write("\r\n".join(lines).encode() + b"\r\n\r\n" + case.behind)
        while b"\r\n\r\n" not in self.decoder.data:
            if self.ended:
                raise Failed(f"4.2.2: no whole answer: {show(self.decoder.data)}")
            await self.read()
        at = self.decoder.data.index(b"\r\n\r\n") + 4
        head = bytes(self.decoder.data[:at]).decode()
        del self.decoder.data[:at]
        check_101(head, key, case)

    def close(self, reset=False):
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def check_101(head, key, case):
    lines = head.rstrip("\r\n").split("\r\n")
    if not lines[0].startswith("HTTP/1.1 101 "):
        raise Failed(f"4.2.2: {lines[0]}")
    fields = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.lower() in fields:
            raise Failed(f"4.2.2: {name} twice")
        fields[name.lower()] = value.strip()
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
    wanted = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-accept": accept.lower(),
              "sec-websocket-extensions": None, "sec-websocket-protocol": None, **case.answer}
    for name, value in wanted.items():
        got = fields.get(name)
        if (got.lower() if got is not None else None) != value:
            raise Failed(f"4.2.2: {name} is {got!r}, wanted {value!r}")


async def write_all(wire, case):
    """The server may stop listening before the end: what counts is what it says."""
    try:
        for data in case.send:
            await wire.write(data)
            if len(case.send) > 1:
                await asyncio.sleep(0)  # lets the loop read in between; nothing waits for time
    except (BrokenPipeError, ConnectionResetError):
        pass


def check_frame(got, wanted, number):
    opcode, payload = wanted
    if got is None:
        raise Failed(f"the server ended before frame {number}, a {NAMES[opcode]}")
    good = got[0] == opcode and (payload(got[1]) if callable(payload) else payload == got[1])
    if not good:
        shown = "one that passes the check" if callable(payload) else show(payload)
        raise Failed(f"frame {number} is a {NAMES[got[0]]} {show(got[1])}, wanted a {NAMES[opcode]} {shown}")


async def expect_close(wire, code):
    got = await wire.next_frame()
    if got is None or got[0] != CLOSE:
        raise Failed(f"wanted a Close with {code}, got {'the end' if got is None else NAMES[got[0]] + ' ' + show(got[1])}")
    payload = got[1]
    if code is None:
        if payload:
            raise Failed(f"5.5.1: wanted a Close without a code, got {payload!r}")
        return
    if len(payload) < 2 or int.from_bytes(payload[:2], "big") != code:
        raise Failed(f"7.4: wanted a Close with {code}, got {payload!r}")
    payload[2:].decode()  # 5.5.1: UTF-8


async def expect_end(wire):
    got = await wire.next_frame()
    if got is not None:
        raise Failed(f"wanted the end of TCP, got a {NAMES[got[0]]} {show(got[1])}")


async def end_open(wire, case):
    marker = case.name.encode()[-100:]
    await wire.write(frame(marker, PING))
    check_frame(await wire.next_frame(), (PONG, marker), "after the last")
    await wire.write(close(1000))
    await expect_close(wire, 1000)
    await expect_end(wire)


async def converse(wire, case, greet):
    await wire.shake_hands(case)
    if greet is not None:
        check_frame(await wire.next_frame(), greet, "the welcome")
    writer = asyncio.ensure_future(write_all(wire, case))
    try:
        for number, wanted in enumerate(case.expect, 1):
            check_frame(await wire.next_frame(), wanted, number)
        if case.end == OPEN:
            await writer
            await end_open(wire, case)
        elif case.end == GONE:
            await writer
        else:
            await expect_close(wire, case.end[0])
            if case.finish is not None:
                await writer
                await write_finish(wire, case.finish)
            await expect_end(wire)
    finally:
        writer.cancel()


async def write_finish(wire, data):
    try:
        await wire.write(data)
    except (BrokenPipeError, ConnectionResetError):
        pass


async def perform(case, port, greet=None, slow=1.0):
    """None if all is as it should be, else what is wrong."""
    wire = Wire(port)
    try:
        await wire.connect()
        await asyncio.wait_for(converse(wire, case, greet), case.seconds * slow)
    except asyncio.TimeoutError:
        return f"no end within {case.seconds * slow:g} s"
    except (AssertionError, OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        if wire.sock is not None:
            wire.close(reset=case.end == GONE and case.finish == "reset")
    return None
