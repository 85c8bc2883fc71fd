"""handlers.py: scripted handler processes (../python/scripted_handler.py), as a play sees them.

    s.handler("chat", processes=2)                     in the configuration; before anything starts
    s.endpoint("/chat", "chat", schema={…})
    await s.endpoints_house("w1", "w2")                the processes, a broker, workers, and every worker met every process
    chat = s.handlers["chat"]
    await chat.order(0, "die_at", what="message")      to process 0
    await chat.until("w1's end", lambda e: e["what"] == "end")     a line of their log

The play holds the listening sockets, as the launcher does, so that a process that is started again finds its own. With `launched`, the
launcher starts them: then a process is known by the "start" in the log, and ordered by its pid.
"""
import asyncio
import json
import os
import signal
import socket
from pathlib import Path

from .wait import settle, until

PYTHON = "/usr/bin/python3"  # Debian's, which has python3-msgpack
SCRIPT = Path(__file__).resolve().parents[1] / "python/scripted_handler.py"


class Handler:
    """A handler of the configuration, and its processes."""

    def __init__(self, stage, name, processes, answers, by_socket, more_argv=()):
        self.stage, self.name, self.count, self.by_socket = stage, name, processes, by_socket
        self.dir = stage.dir / "h"
        self.dir.mkdir(exist_ok=True)
        self.actors, self.sockets = [], []
        self.deaths = {}  # pid: how
        self._read, self._events = 0, []
        self.argv = [PYTHON, SCRIPT, "--dir", self.dir, "--name", name, *more_argv]
        if answers:
            (self.dir / f"{name}.answers.json").write_text(json.dumps(answers))
            self.argv += ["--answers", self.dir / f"{name}.answers.json"]

    def configuration(self):
        if self.by_socket:
            return {"name": self.name, "socket": str(self.path(0))}
        return {"name": self.name, "command": list(map(str, self.argv)), "processes": self.count}

    def path(self, k):
        return self.dir / f"{self.name}.sock" if self.by_socket else self.stage.runtime / "handlers" / f"{self.name}.{k}"

    # --- processes that the play starts -------------------------------------------------------------------------------

    def listen(self):
        """Makes the listening sockets, as the launcher would."""
        for k in range(self.count):
            self.path(k).parent.mkdir(parents=True, exist_ok=True)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.bind(str(self.path(k)))
            sock.listen(64)
            self.sockets.append(sock)

    def unlisten(self):
        for k, sock in enumerate(self.sockets):
            sock.close()
            self.path(k).unlink(missing_ok=True)
        self.sockets = []

    async def start(self, k=None):
        """All processes, or the one; each listens when this returns."""
        if not self.sockets:
            self.listen()
        for number in range(self.count) if k is None else [k]:
            if len(self.actors) <= number:
                self.actors.append(self.stage.cast_argv(f"h.{self.name}.{number}", self.argv, ready=False))
            actor, fd = self.actors[number], self.sockets[number].fileno()
            actor.argv, actor.fds = [*map(str, self.argv), "--fd", str(fd)], [fd]
            await self.actors[number].start()
            await self.until(f"{self.actors[number]} to listen", lambda e, p=self.pid(number): e["pid"] == p and e["what"] == "start")
        return self

    def pid(self, k):
        return self.actors[k].pid

    async def kill(self, k):
        """kill -9."""
        pid = self.pid(k)
        await self.actors[k].kill()
        self.deaths[pid] = "killed"

    async def died(self, k, within=10.0):
        """Waits for an end that somebody else, or an order, brings about."""
        actor = self.actors[k]
        actor.told_to_end = True
        code = await actor.ended(within)
        self.deaths[actor.pid] = f"ended with {code}"
        return code

    # --- the log ------------------------------------------------------------------------------------------------------

    def events(self):
        """All lines of the log so far."""
        path = self.dir / f"{self.name}.log"
        if path.exists():
            with open(path, "rb") as log:
                log.seek(self._read)
                data = log.read()
            whole = data.rfind(b"\n") + 1
            self._read += whole
            self._events += [json.loads(line) for line in data[:whole].splitlines()]
        return self._events

    def heard(self, *what, **members):
        """Lines of these kinds that have these members."""
        return [e for e in self.events() if (not what or e["what"] in what) and all(e.get(k) == v for k, v in members.items())]

    async def until(self, what, test, within=10.0):
        """Waits for a line of the log that fits; the first of them."""
        return await until(what, lambda: next((e for e in self.events() if test(e)), None), within)

    async def notes(self, what, count=1, within=10.0, **members):
        """Waits for so many lines of a kind; returns them."""
        def look():
            found = self.heard(what, **members)
            return (found or True) if len(found) >= count else None
        return await until(f"{self.name} to note {count} of {what} {members}; it has {len(self.heard(what, **members))}", look, within)

    async def met(self, *workers, k=None, within=10.0):
        """Waits until these workers (as many as there are names) have a link to each living process, or to process k."""
        for number in range(self.count) if k is None else [k]:
            pid = self.pid(number)
            await until(f"{len(workers)} links to {self.actors[number]}", lambda p=pid: self.links(p) >= len(workers), within)

    def links(self, pid):
        """Links of a process that are up."""
        mine = [e for e in self.events() if e["pid"] == pid]
        return len({e["link"] for e in mine if e["what"] == "welcome"} - {e["link"] for e in mine if e["what"] == "end"})

    # --- processes that the launcher starts ----------------------------------------------------------------------------

    def living(self):
        """Pids of processes that said "start" and have not ended."""
        return [e["pid"] for e in self.heard("start") if not has_ended(e["pid"])]

    async def up(self, workers, within=10.0, but=()):
        """Waits until all processes are there, none of `but` among them, and have a link of each worker; their pids."""
        def look():
            there = [pid for pid in self.living() if pid not in but]
            return there if len(there) == self.count and all(self.links(pid) >= workers for pid in there) else None
        return await until(f"{self.count} processes of {self.name} with {workers} links each", look, within)

    def kill_pid(self, pid):
        os.kill(pid, signal.SIGKILL)
        self.deaths[pid] = "killed"

    async def gone(self, pid, within=10.0):
        """Waits for an end that somebody else brings about."""
        await until(f"{self.name}'s {pid} to end", lambda: has_ended(pid), within)
        self.deaths[pid] = "ended"

    # --- connections ----------------------------------------------------------------------------------------------------

    def owner(self, who):
        """The pid that has a connection."""
        return next((e["pid"] for e in reversed(self.events()) if e["what"] == "open" and e["who"] == who), None)

    def process_of(self, who):
        """Its number."""
        return next(k for k, actor in enumerate(self.actors) if actor.proc and actor.pid == self.owner(who))

    # --- orders ---------------------------------------------------------------------------------------------------------

    async def order(self, process, order, within=5.0, **members):
        """To a process by its number, or (launched) by its pid. Returns what it answers."""
        pid = process if process >= self.count else self.pid(process)

        async def exchange():
            reader, writer = await asyncio.open_unix_connection(str(self.dir / f"{self.name}.{pid}"))
            writer.write(json.dumps({"order": order, **members}).encode() + b"\n")
            line = await reader.readline()
            writer.close()
            return json.loads(line)

        answer = await settle(f"{self.name}'s {pid} to carry out {order} {members}", exchange(), within)
        assert answer["ok"], f"{self.name}: {order} {members}: {answer['error']}"
        return answer["answer"]

    async def everybody(self, order, **members):
        for k in range(self.count):
            await self.order(k, order, **members)


def has_ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True
