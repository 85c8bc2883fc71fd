"""house.py: the installation under test: a Compose project, its containers, its simulator, its clients."""
import asyncio
import json
import os
import shutil
import signal
from contextlib import asynccontextmanager
from pathlib import Path

from engine import COMPOSE, docker, environment, output, run
from stagecraft.client import Client
from stagecraft.simulator import Simulator
from stagecraft.wait import now, until

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "noriatest"
CONFIGURATION = "compose-demo.yaml"
POLL_S = 0.25           # poll_interval_ms, of a machine at rest; while it moves it is polled faster
MISSED_S = 2 * POLL_S   # a gap as long as two of them has missed one


class Container:
    """A container as it was when it was looked at."""

    def __init__(self, told):
        state = told["State"]
        self.id, self.told = told["Id"], told
        self.service = told["Config"]["Labels"].get("com.docker.compose.service")
        self.pid, self.running, self.started = state["Pid"], state["Running"], state["StartedAt"]
        self.health = state.get("Health", {}).get("Status", "")
        self.restarts = told["RestartCount"]

    @property
    def ended_before(self):
        """When its process ended the last time; 0: it never did."""
        ended = self.told["State"]["FinishedAt"]
        return "0" if ended.startswith("0001-") else ended

    @property
    def root(self):
        return Path(f"/proc/{self.pid}/root")

    @property
    def well(self):
        return self.running and self.health == "healthy"

    @property
    def life(self):
        """Changes with every start."""
        return self.id, self.started


class House:
    def __init__(self, directory):
        self.directory = Path(directory) / PROJECT
        self.variables = {"NORIA_HEALTH_INTERVAL": "2s"}
        self.clients, self.figures = [], []

    def furnish(self):
        """deploy/compose.yaml and its configuration, as a user would copy them."""
        (self.directory / "conf").mkdir(parents=True)
        self.directory.chmod(0o755)
        shutil.copy(ROOT / "deploy/compose.yaml", self.directory / "compose.yaml")
        text = (ROOT / "deploy/conf" / CONFIGURATION).read_text()
        self.write_configuration(text.replace("\nworkers:\n", "\nworkers:\n  drain_ms: 2000\n"))

    @property
    def configuration(self):
        return self.directory / "conf" / CONFIGURATION

    def write_configuration(self, text):
        """As an editor does: another file takes the name."""
        part = self.configuration.with_suffix(".part")
        part.write_text(text)
        part.chmod(0o644)
        part.rename(self.configuration)

    def measured(self, what, seconds):
        self.figures.append((what, seconds))

    # --- the engine's view ---------------------------------------------------------------------------------------------

    async def compose(self, *words, **options):
        return await run([COMPOSE, "-p", PROJECT, "-f", self.directory / "compose.yaml", "--profile", "demo", *words], cwd=self.directory,
                         env=environment(**self.variables), **options)

    async def containers(self, service=None):
        label = f"label=com.docker.compose.project={PROJECT}"
        ids = (await output("ps", "-aq", "--no-trunc", "--filter", label)).split()
        found = [Container(told) for told in json.loads(await output("inspect", *ids))] if ids else []
        found.sort(key=lambda c: (c.service, c.told["Name"]))
        return [c for c in found if service in (None, c.service)]

    async def container(self, service):
        return (await self.containers(service))[0]

    async def healthy(self, count=None, within=60):
        async def look():
            all_of_them = await self.containers()
            ill = [f"{c.told['Name']} {c.health or c.told['State']['Status']}" for c in all_of_them if not c.well]
            return all_of_them if not ill and count in (None, len(all_of_them)) else None
        return await until(f"{count or 'all'} containers to be healthy", look, within)

    async def inside(self, container, *words, **options):
        return await docker("exec", container.id, *words, **options)

    async def crash(self, container):
        """SIGKILL to its process, as a fault of its own would end it: `docker kill` would tell the engine not to start it again."""
        os.kill(container.pid, signal.SIGKILL)
        await until(f"{container.service} to be started again and healthy", lambda: self.is_back(container), 60)

    async def is_back(self, container):
        look = Container(json.loads(await output("inspect", container.id))[0])
        return look if look.well and look.started != container.started else None

    async def says(self, service, words, within=30):
        """Until all containers of the service have these words in their logs, since they ended the last time: a process may have said
        something before the engine takes down when it was started."""
        async def look():
            told = [await docker("logs", "--since", c.ended_before, c.id) for c in await self.containers(service)]
            return all(words in done.stdout + done.stderr for done in told)
        await until(f"{service} to say {words}", look, within)

    async def statistics(self, prefix):
        """Counters below shm/, as {"worker.0 connections": 3}."""
        text = (await self.inside(await self.container("broker"), "noria", "stats", "-c", f"/etc/noria/{CONFIGURATION}", prefix)).stdout
        lines = [line.split() for line in text.splitlines()]
        return {f"{words[0]} {words[1]}": int(words[2]) for words in lines if len(words) == 3}

    # --- machines and clients -------------------------------------------------------------------------------------------

    async def simulator(self):
        return Simulator((await self.container("plc-sim")).root / "run/noria")

    async def client(self, name):
        client = Client(name, "ws://127.0.0.1:8765")
        client.history.repeats_allowed = True
        await client.connect(within=10)
        await client.hear("welcome")
        self.clients.append(client)
        return client

    async def leave(self):
        await asyncio.gather(*(client.close() for client in self.clients if client.connected))
        self.clients.clear()

    async def give_up_clients(self):
        """After a scene that failed: whatever state they are in."""
        for client in self.clients:
            client.socket.transport.abort()
        self.clients.clear()

    async def comes_in(self, name, within=30):
        """A client that tries until it is let in."""
        async def knock():
            try:
                return await self.client(name)
            except (OSError, AssertionError, EOFError):
                return None
        return await until(f"{name} to be let in", knock, within)

    @asynccontextmanager
    async def unbroken(self, *machines, pace=200):
        """While the body runs, no poll of these machines is missed, and their agents keep their connections; by plc-sim's own log. The machine
        moves meanwhile."""
        sim = await self.simulator()
        for machine in machines:
            await sim.pace(machine, pace)
        before = {m: sim.truth.connects(m) for m in machines}
        begin = now()
        yield sim
        end = now()
        for machine in machines:
            assert sim.truth.connects(machine) == before[machine], f"{machine}'s agent connected anew"
            gap = self.longest_gap(sim, machine, begin, end)
            self.measured(f"longest pause between two polls of {machine}", gap)
            assert gap < MISSED_S, f"{machine} was not polled for {gap:.3f} s"

    @staticmethod
    def longest_gap(sim, machine, begin, end):
        at = [ns / 1e9 for ns, _ in sim.truth.timed_requests(machine)]
        points = [max(t for t in at if t <= begin), *(t for t in at if begin < t < end), end]
        return max(b - a for a, b in zip(points, points[1:]))
