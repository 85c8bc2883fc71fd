"""What a launcher says to a worker (control.h), said by the play: drain, sockets of another worker, reloads; and front, which makes the sockets of
workers under Compose."""
import asyncio
import os
import signal
import socket
import struct
import subprocess
from pathlib import Path

import websockets

from stagecraft.namespace import enter_own_network
from stagecraft.registry import play
from stagecraft.wait import until

TYPES = ["reload", "prepared", "refused", "commit", "done", "abort", "drain", "draining", "adopt", "disown", "sockets"]
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


# --- front (common/proc/front.h) -----------------------------------------------------------------------------------------


def front_process(s):
    """In a directory of its own, which front and workers see alone."""
    (s.runtime / "front").mkdir()
    return s.cast_argv("f1", [os.environ["NORIA_BIN"] + "/noria", "front"], env={"NORIA_RUNTIME_DIR": str(s.runtime)})


def cut_off(s, name):
    """A worker with a network of its own, in which there is nothing; where that is not allowed, with the play's."""
    alone = ["/usr/bin/unshare", "--net"]
    if subprocess.run([*alone, "true"], stderr=subprocess.DEVNULL).returncode != 0:
        alone = []
    return s.cast_argv(name, [*alone, os.environ["NORIA_BIN"] + "/noria-worker", "-c", s._conf_once()], env={"NORIA_FRONT": "1"})


def network_of(actor):
    """Which one it is, and which sockets listen there."""
    table = Path(f"/proc/{actor.pid}/net/tcp").read_text().splitlines()[1:]
    return os.readlink(f"/proc/{actor.pid}/ns/net"), [line for line in table if line.split()[3] == "0A"]


async def start_waiting(worker, why):
    """It runs, finds no front, and says so; the broker does not know it yet, which is what a health check looks at."""
    since = len(worker.text())
    await worker.start(ready=False)
    await worker.logs("front-wait", why, since=since)
    assert not list((worker.stage.runtime / "shm").glob("worker.*"))


@play("front: workers that have no network serve at its address, whoever was started first; they end with it, and come again", "asan", "namespace")
async def front(s):
    enter_own_network()
    await s.house("m1", workers=[])
    f1, workers = front_process(s), [cut_off(s, "w1"), cut_off(s, "w2")]
    for why, end in (("No such file", f1.kill), ("refused", f1.stop)):
        since = {worker: len(worker.text()) for worker in workers}
        await start_waiting(workers[0], why)
        await f1.start()
        await workers[1].start()
        for worker in workers:
            await worker.logs("serving", since=since[worker])
            client = await s.client(worker.name + ".client", on=worker)
            await client.subscribe()
            await client.sees("m1", connection_status="connected", within=10)
            network, listeners = network_of(worker)
            assert not listeners or network == network_of(f1)[0], f"{worker.name} listens in its own network: {listeners}"
            worker.told_to_end = True
        assert not [line for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if owns(f1, line.split()[9])]
        await end()
        for worker in workers:
            assert await worker.ended() == 1
            await worker.logs("front-lost", since=since[worker])
            await s.clients.pop(worker.name + ".client").closed()


def owns(actor, inode):
    return f"socket:[{inode}]" in {os.readlink(path) for path in Path(f"/proc/{actor.pid}/fd").iterdir()}


@play("a worker that waits for front reloads, drains and ends as it is told to, and says once why it waits", "asan", "namespace")
async def front_waiting(s):
    await s.house("m1", workers=[])
    w1 = cut_off(s, "w1")
    for signo in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        await start_waiting(w1, "No such file")
        since = len(w1.text())
        w1.send_signal(signal.SIGHUP)
        await w1.logs("reload", since=since)
        await w1.stop(signo)
    assert w1.text().count("front-wait") == 3


class Front:
    """One that may answer what it likes."""

    def __init__(self, s):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        (s.runtime / "front").mkdir()
        self.listener.bind(str(s.runtime / "front/front.sock"))
        self.listener.listen(4)
        self.listener.setblocking(False)

    async def asked(self):
        """The next connection, and what it asks for."""
        end = await until("the worker to come", self.accepts)
        packet = await until("it to ask", lambda: self.received(end))
        magic, kind, _, length, _ = HEAD.unpack_from(packet)
        assert (magic, kind, length) == (MAGIC, TYPES.index("sockets"), len(packet) - HEAD.size), packet
        return end, packet[HEAD.size:].decode()

    def accepts(self):
        try:
            return self.listener.accept()[0]
        except BlockingIOError:
            return None

    @staticmethod
    def received(end):
        end.setblocking(False)
        try:
            return end.recv(4096)
        except BlockingIOError:
            return None

    async def answers(self, kind, text, fds, garbage=b""):
        end, asked = await self.asked()
        assert asked == "4"
        packet = HEAD.pack(MAGIC, TYPES.index(kind), 0, len(text), 0) + text.encode()
        socket.send_fds(end, [garbage or packet], fds)
        return end


@play("a front that answers nonsense is asked again until it does not; sockets that are none end the worker with 1", "asan")
async def front_mad(s):
    await s.house("m1", workers=[])
    front, w1 = Front(s), s.cast("w1", "noria-worker", env={"NORIA_FRONT": "1"})
    await w1.start(ready=False)
    pipe, fresh = os.pipe(), [socket.socket() for _ in range(3)]
    some = [sock.fileno() for sock in fresh]
    for kind, text, fds, garbage in (("sockets", "4", [], b""), ("sockets", "4", some, b""), ("sockets", "6", some[:1], b""),
                                     ("adopt", "4", some[:1], b""), ("sockets", "4", some[:1] * 200, b""), ("sockets", "4", some, b"4" * 4000)):
        (await front.answers(kind, text, fds, garbage)).close()
    await w1.logs("front-wait", "its answer is none")
    (await front.answers("refused", "a reason of its own", [])).close()
    await w1.logs("front-wait", "a reason of its own")
    w1.told_to_end = True
    (await front.answers("sockets", "4", [pipe[1]])).close()
    assert await w1.ended() == 1
    await w1.logs("listen", "error")
    for end in pipe:
        os.close(end)

    await w1.start(ready=False)
    fresh[0].setblocking(False)
    end = await front.answers("sockets", "4", some[:1])
    for sock in fresh:
        sock.close()
    await w1.logs("serving")
    client = await s.client("c1")
    await client.ping()
    w1.told_to_end = True
    end.close()
    assert await w1.ended() == 1
    await s.clients.pop("c1").closed()
    front.listener.close()
    (s.runtime / "front/front.sock").unlink()
