"""What a launcher says to a worker (control.h), said by the play: drain, sockets of another worker, reloads; and the holder of the network."""
import asyncio
import os
import signal
import socket
import struct

import websockets

from stagecraft.namespace import enter_own_network
from stagecraft.registry import play
from stagecraft.wait import settle, until

TYPES = ["reload", "prepared", "refused", "commit", "done", "abort", "drain", "draining", "adopt", "disown"]
MAGIC, HEAD = 0x4E435452, struct.Struct("<4IQ")


class Launcher:
    """The launcher's end of a worker's control socket."""

    def __init__(self):
        self.end, self.child = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.end.setblocking(False)

    async def start(self, s, name, **env):
        actor = s.cast_argv(name, [os.environ["NORIA_BIN"] + "/noria-worker", "-c", s._conf_once()],
                            env={"NORIA_CONTROL_FD": str(self.child.fileno()), **env})
        actor.fds.append(self.child.fileno())
        await actor.start()
        self.child.close()
        await s.mark()
        return self

    def say(self, type, number=0, digest=0, text="", fds=()):
        text = text.encode()
        packet = HEAD.pack(MAGIC, TYPES.index(type), number, len(text), digest) + text
        socket.send_fds(self.end, [packet], list(fds))

    async def hears(self, type, number=None, within=10.0):
        def look():
            try:
                return self.end.recv(4096)
            except BlockingIOError:
                return None

        packet = await until(f"the worker to say {type}", look, within)
        magic, kind, told, length, _ = HEAD.unpack_from(packet)
        assert magic == MAGIC and TYPES[kind] == type and number in (None, told), (TYPES[kind], told, packet[HEAD.size:])
        return packet[HEAD.size:].decode()


def listening():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(128)
    sock.setblocking(False)
    return sock, sock.getsockname()[1]


@play("DRAIN: the worker says DRAINING at once, keeps to the window that it was given, and ends with 0", "asan")
async def drain(s):
    s.set("workers", drain_ms=600000)
    await s.house("m1", workers=[])
    launcher = await Launcher().start(s, "w1")
    await s.actor("w1").logs("serving")
    clients = [await s.client(f"c{i}") for i in range(4)]
    s.actor("w1").told_to_end = True
    launcher.say("drain", 800)
    await launcher.hears("draining")
    for client in clients:
        await client.closed()
        assert (client.close_code, client.close_reason) == (1012, "service restart")
    assert await s.actor("w1").ended() == 0


@play("DRAINING is told to the launcher if a signal asked for it, and again if it is asked again", "asan")
async def draining_told(s):
    s.set("workers", drain_ms=600000)
    await s.house("m1", workers=[])
    launcher = await Launcher().start(s, "w1")
    clients = [await s.client(f"c{i}") for i in range(2)]
    s.actor("w1").send_signal(signal.SIGUSR1)
    await launcher.hears("draining")
    launcher.say("drain", 10)
    await launcher.hears("draining")
    assert await clients[0].closed() == 1012
    await clients[1].ping()  # the first window holds
    await s.actor("w1").stop(within=8)


@play("ADOPT: sockets of another worker are further doors, with all limits of this one; DISOWN gives them back", "asan")
async def adopt(s):
    s.set("websocket", max_connections=3, max_message_bytes=200)
    await s.house("m1", workers=[])
    launcher = await Launcher().start(s, "w1")
    theirs, port = listening()
    other, other_port = listening()
    own = await s.client("own")
    launcher.say("adopt", 7, text="carousel", fds=[theirs.fileno()])
    launcher.say("adopt", 8, text="carousel:nobody", fds=[other.fileno(), theirs.fileno()])
    await s.counts("w1", "gate_doors_added", 2)
    guest, second = await s.client("guest", port=port), await s.client("second", port=other_port)
    await guest.ping()
    await s.counts("w1", "gate_accepted_added", 2)
    try:
        await s.client("fourth", port=port)
        raise AssertionError("one too many")
    except websockets.InvalidStatusCode as error:
        assert error.status_code == 503
    await second.say({"type": "ping", "filler": "x" * 300})
    assert await second.closed() == 1009
    launcher.say("adopt", 7, text="carousel", fds=[theirs.fileno()])  # again: once
    launcher.say("disown", 8)
    await until("the other's door to be gone", lambda: s.counter("w1", "gate_doors_added") == 1)
    third = await s.client("third", port=port)
    launcher.say("disown", 7)
    await until("both doors to be gone", lambda: s.counter("w1", "gate_doors_added") == 0)
    knock = socket.create_connection(("127.0.0.1", port))  # for whoever holds the socket now
    await until("the knock to stand in the queue", lambda: accepted(theirs))
    knock.close()
    for client in (own, guest, third):
        await client.ping()
    theirs.close()
    other.close()


def accepted(sock):
    try:
        sock.accept()[0].close()
        return True
    except BlockingIOError:
        return False


@play("ADOPT again and again, with garbage between: no descriptor is left", "asan")
async def adopt_often(s):
    await s.house("m1", workers=[])
    launcher = await Launcher().start(s, "w1")
    client = await s.client("c1")
    theirs, port = listening()
    w1 = s.actor("w1")
    before = sum(w1.descriptors().values())
    for n in range(200):
        launcher.say("adopt", n % 300, text="carousel:carousel:x", fds=[theirs.fileno()] * 3)
        launcher.end.send(os.urandom(n % 64 + 1))
        launcher.say("disown", n % 300)
        launcher.say("prepared", 1)
        if n % 20 == 0:  # before the socket is full
            await client.ping()
    launcher.say("adopt", 1, text="carousel", fds=[theirs.fileno()])
    await s.counts("w1", "gate_doors_added", 1)
    await (await s.client("guest", port=port)).close()
    launcher.say("disown", 1)
    await until("the descriptors to be those of before", lambda: sum(w1.descriptors().values()) <= before)
    launcher.end.close()  # its launcher is gone, and it is no child of it
    await client.ping()
    theirs.close()


@play("RELOAD, PREPARED, ABORT; RELOAD, PREPARED, COMMIT, DONE; and what is refused", "asan")
async def reload(s):
    await s.house("m1", workers=[])
    current, following = (s.runtime / "conf" / name for name in ("current", "next"))
    current.mkdir(parents=True)
    (current / "config").write_bytes(s.conf.read_bytes())
    launcher = await Launcher().start(s, "w1", NORIA_CONF_COPY=str(current))
    client = await s.client("c1")
    s.set("websocket", max_message_bytes=200)
    other = s.write_conf(s.dir / "other.yaml")
    following.mkdir()
    (following / "config").write_bytes(other.read_bytes())
    probe = s.cast_argv("w9", [os.environ["NORIA_BIN"] + "/noria-worker", "-c", other])
    await probe.start()
    digest, before = s.counter("w9", "conf_digest"), s.counter("w1", "conf_digest")
    await probe.stop()
    launcher.say("reload", 1, digest + 1)
    await launcher.hears("refused", 1)
    launcher.say("reload", 2, digest)
    await launcher.hears("prepared", 2)
    await client.say({"type": "ping", "filler": "x" * 300})
    await client.hear("pong")
    launcher.say("abort", 2)
    launcher.say("reload", 3, digest)
    await launcher.hears("prepared", 3)
    launcher.say("reload", 4, digest)  # replaces it
    await launcher.hears("prepared", 4)
    assert s.counter("w1", "conf_digest") == before
    launcher.say("commit", 4)
    await launcher.hears("done", 4)
    await s.counts("w1", "reloads", 1)
    assert s.counter("w1", "conf_digest") == digest
    await client.say({"type": "ping", "filler": "x" * 300})
    assert await client.closed() == 1009
    s.actor("w1").send_signal(signal.SIGHUP)  # with a launcher: nothing
    launcher.say("reload", 5, digest)  # prepared when it ends
    await launcher.hears("prepared", 5)
    assert s.counter("w1", "reloads") == 1
    await s.actor("w1").stop()
    for directory in (current, following):
        (directory / "config").unlink()


@play("NORIA_FRONT=1: a worker holds on to front's socket, and ends with 1 when it is gone", "asan", "namespace")
async def front(s):
    enter_own_network()
    front = socket.socket(socket.AF_UNIX)
    front.bind("\0noria-front")
    front.listen(8)
    front.setblocking(False)
    await s.house("m1", workers=["w2"])
    w1 = await s.cast("w1", "noria-worker", env={"NORIA_FRONT": "1"}).start()
    connections = []
    await until("the worker to come", lambda: connections.append(front.accept()[0]) or True)
    client = await s.client("c1", on="w1")
    assert "front-lost" not in w1.text()
    w1.told_to_end = True
    connections[0].close()
    await w1.logs("front-lost")
    await client.ping()
    assert await w1.ended(within=8) == 1
    await (await s.client("c2")).ping()

    front.close()
    lonely = s.cast("w3", "noria-worker", env={"NORIA_FRONT": "1"})
    lonely.told_to_end = True
    await lonely.start()
    lonely.told_to_end = True
    assert await lonely.ended(within=15) == 1
    assert "front-lost" in lonely.text()
