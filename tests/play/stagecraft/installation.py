"""installation.py: a whole installation that `noria up` runs, and its processes by their names.

    house = await Installation(s).up("m1", "m2")
    house.pid("worker.0"), house.there("agent.m1").deaths           from shm/process.NAME, which the launcher writes
    await house.tool("restart", "workers")                         a subcommand of noria; (code, stdout, stderr)
    await house.ask("reload")                                      a line to control.sock; its answer's lines
    house.kill("worker.1")                                         kill -9
    await house.ready("worker.1", but=pid)                         READY, and in another process than that

The launcher is told what operators tell it, and what became of it is read where `noria status` reads it: from shared memory alone.
"""
import asyncio
import os
import re
import signal
import struct
from pathlib import Path
from types import SimpleNamespace

from .process import serves
from .segment import Segment
from .stage import BIN
from .wait import settle, until

STATES = ("waiting", "starting", "ready", "resting", "gone", "stopping")  # enum member_state_e


class Installation:
    def __init__(self, s):
        self.s, self.launcher = s, None

    async def up(self, *machines, within=20, **env):
        """Started, everybody ready, and every agent known to the broker: it is ready before that."""
        for machine in machines:
            self.s.machine(machine)
        self.s.write_conf()
        self.s.adopt_simulator()
        self.launcher = self.s.cast_argv("up", [BIN / "noria", "up", "-c", self.s.conf], env=env)
        await self.launcher.start(within=within)
        await until("the broker to know every agent", self._agents_are_known)
        return self

    def _agents_are_known(self):
        known = self.s.counters.all().get("broker", {}).get("agents", 0)
        return known >= sum(name.startswith("agent.") for name in self.names())

    # --- who is there -------------------------------------------------------------------------------------------------

    @property
    def shm(self):
        return self.s.runtime / "shm"

    def names(self):
        """All processes that the launcher knows."""
        return sorted(path.name.removeprefix("process.") for path in self.shm.glob("process.*"))

    def there(self, name):
        """What the launcher says of a process, by the names of its metrics; None: it knows none, or writes it just now."""
        try:
            segment = Segment(self.shm / f"process.{name}")
            told = SimpleNamespace(**segment.metrics())
        except (OSError, AssertionError, struct.error):
            return None
        told.state_name = STATES[told.state] if told.state < len(STATES) else str(told.state)
        return told

    def pid(self, name):
        told = self.there(name)
        return told.pid if told else 0

    def pids(self, kind=""):
        """{name: pid} of all whose name begins so ("worker.")."""
        return {name: self.pid(name) for name in self.names() if name.startswith(kind)}

    def launcher_counter(self, name):
        return Segment(self.shm / "launcher").metrics()[name]

    def deaths(self):
        """{name: deaths} of those who died untold."""
        return {name: told.deaths for name in self.names() if (told := self.there(name)) and told.deaths}

    async def ready(self, name, but=0, within=10.0):
        """Waits until it is READY, in another process than `but`; its pid."""
        def look():
            told = self.there(name)
            return told and told.state_name == "ready" and told.pid not in (0, but) and Path(f"/proc/{told.pid}").exists() and told.pid
        return await until(f"{name} to be ready, and not {but}; it is {self.there(name)}", look, within)

    async def all_ready(self, within=20.0):
        await until(f"everybody to be ready: {self.not_ready()}", lambda: not self.not_ready(), within)

    def not_ready(self):
        states = {name: self.there(name) for name in self.names()}
        return {name: told and told.state_name for name, told in states.items() if told is None or told.state_name != "ready"}

    def serving(self, local_port, port=None):
        """The name of the worker that has this client's connection, or None."""
        for name, pid in self.pids("worker.").items():
            if pid and _serves(pid, port or self.s.port, local_port):
                return name
        return None

    # --- what happens to them -------------------------------------------------------------------------------------------

    def kill(self, name, signo=signal.SIGKILL):
        """The pid that was killed; 0: none was there."""
        pid = self.pid(name)
        return pid if pid and kill_pid(pid, signo) else 0

    async def tool(self, *words, within=60.0, conf=True):
        """A subcommand of noria with this installation's file."""
        argv = [str(BIN / "noria"), *map(str, words), *(["-c", str(self.s.conf)] if conf else [])]
        env = {**os.environ, **self.launcher._sanitizer_env()} if self.launcher else None
        ran = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                                                   stderr=asyncio.subprocess.PIPE, env=env, cwd=self.s.dir)
        out, err = await settle(f"noria {' '.join(map(str, words))} to end", ran.communicate(), within)
        return ran.returncode, out.decode(), err.decode()

    async def told(self, *words, within=60.0):
        """The same; it must succeed."""
        code, out, err = await self.tool(*words, within=within)
        assert code == 0, f"noria {' '.join(map(str, words))}: {code}\n{out}{err}"
        return out

    async def ask(self, line, within=60.0):
        """A request on control.sock; the answer's lines, the last of which is "ok" or "error: …"."""
        reader, writer = await asyncio.open_unix_connection(str(self.s.runtime / "control.sock"))
        try:
            writer.write(line.encode() + b"\n")
            data = await settle(f"the launcher to answer {line!r}", reader.read(), within)
        finally:
            writer.close()
        lines = data.decode().splitlines()
        assert lines and (lines[-1] == "ok" or lines[-1].startswith("error: ")), f"{line!r} was answered {data!r}"
        return lines

    async def reload(self, within=30.0):
        """What the stage's settings and machines say now; (accepted, what was said)."""
        self.s.write_conf()
        code, out, err = await self.tool("reload", within=within)
        return code == 0, out + err

    # --- what they hold -----------------------------------------------------------------------------------------------

    def holdings(self, *names):
        """{name: open descriptors}; the launcher's own with them, as "up"."""
        pids = {"up": self.launcher.pid, **{name: self.pid(name) for name in names or self.names()}}
        return {name: descriptors(pid) for name, pid in pids.items() if pid}

    def files(self):
        """What stands in shared memory and beside it, by name; logs aside. Which number a worker leases on the bus is chance."""
        return sorted(re.sub(r"shm/worker\.\d+$", "shm/worker.N", str(path.relative_to(self.s.runtime))) for path in self.s.runtime.rglob("*")
                      if not path.is_dir() and not path.name.startswith("sim.log"))

    def assert_nobody_died(self):
        """By the launcher's books, over all names that there ever were, and without a crash record."""
        records = sorted((self.s.state / "crashes").glob("*"))
        assert self.launcher_counter("deaths") == 0 and not records, f"{self.launcher_counter('deaths')} deaths, {[r.read_text()[:600] for r in records[:2]]}"


def sanitized():
    """Whether the programs report fatal signals and count memory in ways of their own."""
    return b"__asan_init" in (BIN / "noria").read_bytes()


def kill_pid(pid, signo=signal.SIGKILL):
    try:
        os.kill(pid, signo)
    except ProcessLookupError:
        return False
    return True


def descriptors(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def resident_kib(pid):
    """Memory that is this process's alone."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1])
    raise AssertionError(f"{pid}: no Private_Dirty")


def _serves(pid, port, local_port):
    try:
        return serves(SimpleNamespace(pid=pid), port, local_port)
    except OSError:
        return False  # it has just ended
