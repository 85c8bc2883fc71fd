#!/usr/bin/python3
"""scripted_handler.py: a handler process that does what the play tells it, by the words of common/handler/handler_wire.h.

It shares no code with Noria's library. It listens at `--socket PATH`, at descriptor `--fd N`, or at descriptor 3 if LISTEN_FDS says so
(that is how the launcher hands it over), and takes its part from three sides:

    a message      {"n":1,"do":[["send",200,"x"],["reply",201,{}]]}: the steps in order; if none replies or holds, the message
                   itself is the answer, with status 200. The same in the text of a traditional endpoint
    --answers      a file {"/chat":BODY}: what messages of such a path are answered with, whatever they say
    an order       a line of JSON at its control socket, DIR/NAME.PID; answered by a line when it is carried out

What happens to it stands in DIR/NAME.log, which all processes of a handler append to, in the order in which it happened. A line is
written when the thing is done: "connect" stands there once TAKEN is with the kernel. "open" and "closed" stand there before, so that
a process that died in the very call can be told from one that died before or after it.
"""
import argparse
import asyncio
import json
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

import msgpack

HELLO, OPEN, MESSAGE, CLOSED = 1, 2, 3, 4
WELCOME, TAKEN, REPLY, SEND, SUBSCRIBE, UNSUBSCRIBE, PUBLISH, CLOSE = 33, 34, 35, 36, 37, 38, 39, 40
KEPT_BYTES = 2000  # of a body in the log
ODD = {  # bodies that are no JSON
    "ext": msgpack.ExtType(7, b"x"), "nan": float("nan"), "inf": float("inf"), "intkey": {7: "x"}, "deep ext": {"a": [msgpack.ExtType(1, b"")]},
    "bin": b"\x00\xff", "utf8": "\udcff\udcfe",
}


def packed(value):
    return msgpack.packb(value, use_bin_type=True, unicode_errors="surrogateescape")


def given(body):
    """A body as a play writes it down: {"hex":"00ff"} stands for bytes."""
    return bytes.fromhex(body["hex"]) if isinstance(body, dict) and set(body) == {"hex"} else body


class Conn:
    def __init__(self, link, number, path, query):
        self.link, self.number, self.path = link, number, path
        self.who = next((part[2:] for part in query.split("&") if part.startswith("c=")), f"{path}#{number}")
        self.held = {}  # n of the message: its event


class Link:
    """One worker. Reading goes on when writing has failed: what a dead worker had said is heard out before its end is."""

    def __init__(self, actor, number, sock):
        self.actor, self.number, self.sock = actor, number, sock
        self.conns, self.worker, self.traditional = {}, None, {}
        self.heard, self.unsent, self.writing, self.broken = bytearray(), bytearray(), asyncio.Lock(), False

    def note(self, what, **members):
        self.actor.note(what, link=self.number, worker=self.worker, **members)

    def say(self, *message):
        data = packed(list(message))
        self.unsent += len(data).to_bytes(4, "big") + data

    async def drain(self):
        """Returns when everything is with the kernel, or never can be."""
        async with self.writing:
            while self.unsent and not self.broken:
                data, self.unsent = self.unsent, bytearray()
                try:
                    await asyncio.get_running_loop().sock_sendall(self.sock, data)
                except OSError:
                    self.broken = True

    async def read(self, size):
        """So many bytes, or None at the end of the stream."""
        while len(self.heard) < size:
            try:
                piece = await asyncio.get_running_loop().sock_recv(self.sock, 1 << 16)
            except OSError:
                piece = b""
            if not piece:
                return None
            self.heard += piece
        data, self.heard = bytes(self.heard[:size]), self.heard[size:]
        return data

    async def run(self):
        while (size := await self.read(4)) and (data := await self.read(int.from_bytes(size, "big"))):
            await self.actor.may_hear.wait()
            await self.take(msgpack.unpackb(data, raw=False, strict_map_key=False))
        for conn in list(self.conns.values()):
            self.forget(conn, why="end")
        self.note("end")
        self.actor.links.discard(self)
        self.broken = True
        self.sock.close()

    def has_more(self):
        try:
            self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True  # bytes, or the end

    async def take(self, message):
        kind, *fields = message
        deeds = {HELLO: self.hello, OPEN: self.open, MESSAGE: self.message, CLOSED: self.closed}
        if kind in deeds:
            await deeds[kind](*fields)

    async def hello(self, version, handler, worker, max_answer_bytes, deadline_ms, endpoints, *_):
        self.worker = worker
        self.traditional = {path: bool(traditional) for path, traditional, *_ in endpoints}
        self.note("hello", version=version, handler=handler, max_answer_bytes=max_answer_bytes, deadline_ms=deadline_ms, endpoints=endpoints)
        if self.actor.welcome is not None:
            self.say(WELCOME, *self.actor.welcome)
        await self.drain()
        self.note("welcome")

    async def open(self, event, number, path, query, principal, peer, resumed, *_):
        conn = self.conns[number] = Conn(self, number, path, query)
        self.note("open", conn=number, who=conn.who, path=path, query=query, principal=principal, peer=peer, resumed=resumed)
        await self.taken(event, "open")
        if self.broken:  # nobody will ever know that it was taken
            del self.conns[number]
            return
        self.note("resume" if resumed else "connect", conn=number, who=conn.who)
        await self.perform(conn, None, None, self.actor.on_connect)

    def is_unknown(self, number):
        """Of a connection that was not taken, because its worker was dead by then; more of what that one had said may be heard."""
        return self.broken and number not in self.conns

    async def closed(self, event, number, *_):
        if self.is_unknown(number):
            return
        conn = self.conns[number]
        self.note("closed", conn=number, who=conn.who)
        await self.taken(event, "closed")
        self.forget(conn, why="closed")

    async def taken(self, event, what):
        self.actor.die_at(what)
        if what in self.actor.silent:
            return
        self.say(TAKEN, event)
        await self.drain()
        self.actor.die_at(f"{what} taken")

    def forget(self, conn, why):
        del self.conns[conn.number]
        self.note("disconnect", conn=conn.number, who=conn.who, why=why)

    # --- messages -----------------------------------------------------------------------------------------------------

    async def message(self, event, number, body, *_):
        if self.is_unknown(number):
            return
        conn = self.conns[number]
        asked = self.asked(conn, body)
        self.note("message", conn=number, who=conn.who, n=asked.get("n"), body=shown(body))
        self.actor.die_at("message")
        if self.actor.hold:
            conn.held[asked.get("n")] = event
        elif conn.path in self.actor.answers:
            self.say(REPLY, event, 200, self.actor.answers[conn.path])
        else:
            await self.perform(conn, event, asked.get("n"), asked.get("do") or [], body)
        await self.drain()

    @staticmethod
    def asked(conn, body):
        """A traditional endpoint's message is text or bytes."""
        if isinstance(body, (str, bytes)) and conn.link.traditional.get(conn.path):
            try:
                body = json.loads(body)
            except ValueError:
                body = {}
        return body if isinstance(body, dict) else {}

    async def perform(self, conn, event, n, steps, body=None):
        """Carries out steps; the message `event` is answered by them or, if they do not, by itself."""
        done = event is None
        for verb, *args in steps:
            if verb == "hold":
                conn.held[n], done = event, True
            elif verb in ("reply", "odd", "raise"):
                self.reply(event, verb, *args)
                done = True
            elif verb == "twice":
                self.reply(event, "reply", *args)
                self.reply(event, "reply", *args)
                done = True
            else:
                await getattr(self, f"do_{verb}")(conn, *args)
        if not done:
            self.say(REPLY, event, 200, body)
        await self.drain()

    def reply(self, event, verb, *args):
        if verb == "odd":
            self.say(REPLY, event, 200, ODD[args[0]])
        elif verb == "raise":
            self.say(REPLY, event, 500, None)
        else:
            status, body = args
            self.say(REPLY, event, status, given(body))

    async def do_send(self, conn, status, body):
        self.say(SEND, conn.number, status, given(body))

    async def do_send_odd(self, conn, kind):
        self.say(SEND, conn.number, 200, ODD[kind])

    async def do_send_nobody(self, conn, number):
        self.say(SEND, number, 200, "nobody")

    async def do_subscribe(self, conn, topic):
        self.say(SUBSCRIBE, conn.number, topic)

    async def do_unsubscribe(self, conn, topic):
        self.say(UNSUBSCRIBE, conn.number, topic)

    async def do_publish(self, conn, path, topic, status, body, others=False):
        """`others`: not to the connection itself."""
        self.say(PUBLISH, path, topic, status, given(body), conn.number if others else 0)

    async def do_publish_many(self, conn, path, topic, first, count, size=0):
        for n in range(first, first + count):
            self.say(PUBLISH, path, topic, 200, {"n": n, "by": conn.who, "x": "x" * size}, 0)
            await self.drain()

    async def do_send_many(self, conn, count, size):
        for n in range(count):
            self.say(SEND, conn.number, 200, {"n": n, "x": "x" * size})
            await self.drain()

    async def do_close(self, conn, code, reason=""):
        self.say(CLOSE, conn.number, code, reason)

    async def do_garbage(self, conn, data):
        """Bytes as they stand."""
        self.unsent += bytes.fromhex(data)

    async def do_wire(self, conn, message):
        """Any message; "conn" in it stands for the connection's number."""
        self.say(*[conn.number if field == "conn" else field for field in message])

    async def do_die(self, conn):
        await self.drain()
        self.actor.die()

    async def do_spin(self, conn):
        await self.drain()
        self.note("spins")
        while True:
            pass

    async def do_stand(self, conn):
        """Until somebody sends SIGCONT."""
        await self.drain()
        self.note("stands")
        os.kill(os.getpid(), signal.SIGSTOP)


def shown(body):
    text = repr(body) if isinstance(body, bytes) else body
    return text if len(str(text)) <= KEPT_BYTES else {"bytes": len(body if isinstance(body, (str, bytes)) else json.dumps(body))}


class Actor:
    def __init__(self, args):
        self.args = args
        self.log = os.open(Path(args.dir) / f"{args.name}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.answers = json.loads(Path(args.answers).read_text()) if args.answers else {}
        self.links, self.count = set(), 0
        self.hold, self.silent, self.dies, self.on_connect = False, set(), {}, []
        self.welcome = [1, "scripted_handler.py"]
        self.may_hear = asyncio.Event()
        self.may_hear.set()

    def note(self, what, **members):
        line = json.dumps({"at": time.monotonic_ns(), "pid": os.getpid(), "what": what, **members}, default=repr)
        os.write(self.log, line.encode() + b"\n")

    def die_at(self, what):
        if what in self.dies:
            self.dies[what] -= 1
            if self.dies[what] == 0:
                self.die()

    @staticmethod
    def die():
        os.kill(os.getpid(), signal.SIGKILL)
        while True:  # the signal is on its way
            pass

    # --- orders ---------------------------------------------------------------------------------------------------------

    def conn(self, who):
        return next(c for link in self.links for c in link.conns.values() if c.who == who)

    async def control(self, reader, writer):
        while line := await reader.readline():
            order = json.loads(line)
            try:
                answer = await getattr(self, "order_" + order.pop("order"))(**order)
                writer.write(json.dumps({"ok": True, "answer": answer}).encode() + b"\n")
            except Exception as error:  # noqa: BLE001  whatever is wrong with an order, the play is told
                writer.write(json.dumps({"ok": False, "error": repr(error)}).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def order_answer(self, who, n, status=200, body=None):
        """Answers a message that is held."""
        conn = self.conn(who)
        conn.link.reply(conn.held.pop(n), "reply", status, body)
        await conn.link.drain()

    async def order_do(self, who, steps):
        """Steps that belong to no message, by the link of a connection."""
        conn = self.conn(who)
        await conn.link.perform(conn, None, None, steps)

    async def order_hold(self, on):
        """Messages are not answered until an order says so."""
        self.hold = on

    async def order_connect_with(self, steps):
        """What is done in every on_connect from now on."""
        self.on_connect = steps

    async def order_silent(self, what):
        """TAKEN is not said any more of these: "open", "closed"."""
        self.silent = set(what)

    async def order_die_at(self, what, nth=1):
        """kill -9 of itself at the nth "open", "open taken", "message", "closed", "closed taken" from now."""
        self.dies[what] = nth

    async def order_deaf(self, on):
        (self.may_hear.clear if on else self.may_hear.set)()

    async def order_drop(self):
        """Closes the links from this end; the process lives."""
        for link in list(self.links):
            link.sock.shutdown(socket.SHUT_RDWR)

    async def order_conns(self):
        return sorted(c.who for link in self.links for c in link.conns.values())

    # --- life -----------------------------------------------------------------------------------------------------------

    async def accept(self, listening):
        listening.setblocking(False)
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(listening)
            self.count += 1
            link = Link(self, self.count, sock)
            self.links.add(link)
            asyncio.ensure_future(link.run()).add_done_callback(self.ended)

    def ended(self, task):
        """A mistake of this program's is the end of it, so that a play sees it."""
        if not task.cancelled() and task.exception():
            traceback.print_exception(task.exception())
            os._exit(3)

    def listening(self):
        if self.args.socket:
            path = Path(self.args.socket)
            path.unlink(missing_ok=True)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.bind(str(path))
            sock.listen(64)
            return sock
        given = self.args.fd if self.args.fd is not None else 3
        assert self.args.fd is not None or os.environ.get("LISTEN_FDS") == "1", "no socket to listen at"
        return socket.socket(fileno=given)

    async def run(self):
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        names = {name: os.environ.get(name) for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NORIA_HANDLER")}
        control = Path(self.args.dir) / f"{self.args.name}.{os.getpid()}"
        await asyncio.start_unix_server(self.control, control)
        if self.args.welcome:
            self.welcome = json.loads(self.args.welcome)
        self.note("start", nice=os.nice(0), env=names)
        accepting = asyncio.ensure_future(self.accept(self.listening()))
        accepting.add_done_callback(self.ended)
        await stop.wait()
        self.may_hear.set()
        while any(link.has_more() for link in self.links):  # what has come is heard out
            await asyncio.sleep(0)
        self.note("stop")
        control.unlink()
        if self.args.socket:
            Path(self.args.socket).unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--dir", required=True, help="of its log and its control socket")
    parser.add_argument("--name", required=True)
    parser.add_argument("--socket")
    parser.add_argument("--fd", type=int)
    parser.add_argument("--answers")
    parser.add_argument("--welcome", help="JSON of another WELCOME's fields; null: none is said")
    parser.add_argument("--exit", type=int, help="ends at once with this code, after a line in the log")
    args = parser.parse_args()
    actor = Actor(args)
    if args.exit is not None:
        actor.note("start", exits=args.exit)
        return args.exit
    asyncio.run(actor.run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
