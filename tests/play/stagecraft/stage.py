"""stage.py: casts a play's actors on real processes, and strikes the set.

A stage has its own runtime directory, configuration and ports. At the end it checks what no play should have to ask
for: clients broke no rule, no process died untold, survivors hold no more descriptors than at mark(), every process
stops cleanly when told to, no process or file is left, and no sanitizer said a word.
"""
import asyncio
import copy
import json
import os
import shutil
import signal
import tempfile
from pathlib import Path

from .caller import Caller
from .channel import ChannelClient, channel_path
from .client import Client
from .database import Database
from .handlers import Handler
from .ports import PortBlock
from .process import Actor, children_of_this_process, serves
from .rawclient import Mute
from .segment import Counters
from .sensors import Api
from .simulator import Simulator
from .streams import StreamClient
from .wait import limit, until

BIN = Path(os.environ.get("NORIA_BIN", Path(__file__).resolve().parents[3] / "build/release/bin"))
SHM = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path("/tmp")
STAYS = {"shm/ring", "shm/lvt"}  # the broker's, on purpose: they go on over its restarts

# Short times, so that a play takes a moment. What a play is about, it sets itself.
SETTINGS = {
    "max_machines": 64,
    "log": {"level": "info"},
    "ring": {"size_mib": 16},  # so that no burst goes round it while a worker waits for a CPU; plays about that: small_ring()
    "workers": {"count": 2},
    "websocket": {},
    "simulator": {"positions": 26, "ms_per_position": 10},
    "machine_defaults": {
        "connect_timeout_ms": 500, "reply_timeout_ms": 300, "poll_interval_ms": 20, "poll_moving_ms": 10,
        "backoff_min_ms": 20, "backoff_max_ms": 100, "command_deadline_ms": 2000, "move_timeout_ms": 10000,
        "stale_after_ms": int(limit(5000)),  # a reading is told of once a second, and a loaded machine stands still for another
    },
}
MACHINE = {"ip": "192.168.1.50", "port": 3200, "simulator": True}


class Stage:
    def __init__(self, title):
        self.title = title
        self.dir = Path(tempfile.mkdtemp(prefix="np.", dir=SHM))
        self.runtime = self.dir / "r"
        self.state = self.dir / "state"
        self.conf = self.dir / "noria.yaml"
        self.env = {}
        self.secrets = set()  # what clients show and nobody may tell
        self.ports = PortBlock()
        self.port = self.ports.take()
        self.streams_port = self.endpoints_port = self.channels_port = None
        self.handlers, self.endpoints = {}, {}
        self.sim_base = self.ports.take(24)
        self.settings, self.machines = copy.deepcopy(SETTINGS), []
        self.listeners = [{"name": "carousel", "dialects": ["carousel"], "address": "127.0.0.1", "port": self.port}]
        self.actors, self.clients, self.mutes, self.tasks = {}, {}, [], []  # tasks: what a play lets run beside itself
        self.counters = Counters(self.runtime)
        self.simulator = None
        self.keep = False

    # --- the script's first lines -----------------------------------------------------------------------------------

    def machine(self, machine_id, **settings):
        """Adds a machine to the configuration (before anything starts)."""
        self.machines.append({"id": machine_id, "name": f"Carrusel {machine_id}", **MACHINE, **settings})
        return machine_id

    def set(self, section=None, **settings):
        """Settings of a section ("websocket", "machine_defaults", …) or, without one, of the top level."""
        (self.settings.setdefault(section, {}) if section else self.settings).update(settings)

    def small_ring(self):
        """The smallest there is, 1 MiB (16,384 places of 64 bytes): for a play in which it is to go round."""
        self.set("ring", size_mib=1)

    def write_conf(self, path=None):
        """The configuration as YAML: one top-level key per line, its value in YAML's JSON form."""
        settings = copy.deepcopy(self.settings)
        settings["simulator"]["base_port"] = self.sim_base
        lines = [f"runtime_dir: {self.runtime}", f"state_dir: {self.state}"]
        lines += [f"{key}: {json.dumps(value)}" for key, value in settings.items() if value != {}]
        for key, items in (("listeners", self.listeners), ("machines", self.machines)):
            lines += [f"{key}:"] + [f"  - {json.dumps(item, ensure_ascii=False)}" for item in items]
        path = path or self.conf
        path.write_text("\n".join(lines) + "\n")
        return path

    # --- casting ------------------------------------------------------------------------------------------------------

    def _conf_once(self):
        if not self.conf.exists():
            self.write_conf()
        return self.conf

    def cast(self, name, program, *args, env=None, ready=True):
        """A process by its program, not started yet."""
        return self.cast_argv(name, [BIN / program, "-c", self._conf_once(), *args], env=env, ready=ready)

    def cast_argv(self, name, argv, **options):
        self.actors[name] = Actor(self, name, argv, **options)
        return self.actors[name]

    async def sim(self):
        """plc-sim with all simulated machines."""
        self.adopt_simulator().actor = await self.cast("sim", "plc-sim").start()
        return self.simulator

    def adopt_simulator(self):
        """The simulator of this runtime directory, whoever starts it."""
        self.simulator = Simulator(self.runtime)
        return self.simulator

    async def broker(self, name="b1"):
        return await self.cast(name, "noria-broker").start()

    async def worker(self, name):
        """Ready means: said hello, mirror seeded."""
        return await self.cast(name, "noria-worker").start()

    def cast_with_doors(self, name, **doors):
        """A worker, not started yet, with listeners of its own beside the shared ones, so that a client chooses who serves it.
        `doors`: {door: settings}; the actor has their ports as .doors."""
        ports = {door: self.ports.take() for door in doors}
        actor = self.cast_argv(name, [BIN / "noria-worker", "-c", self.dir / f"{name}.yaml"])
        actor.doors = ports
        actor.own_listeners = [{"name": f"{door}-{name}", "address": "127.0.0.1", "port": ports[door], **settings}
                               for door, settings in doors.items()]
        self.write_conf_of(name)
        return actor

    def write_conf_of(self, name):
        """The configuration of a worker with doors of its own, as the play has it now; of any other actor it is write_conf()'s."""
        own = getattr(self.actors[name], "own_listeners", [])
        if own:
            self.listeners, shared = self.listeners + own, self.listeners
            self.write_conf(self.dir / f"{name}.yaml")
            self.listeners = shared

    async def agent(self, machine_id, name=None):
        return await self.cast(name or f"a.{machine_id}", "plc-agent", "-m", machine_id).start()

    async def house(self, *machine_ids, workers=("w1", "w2")):
        """The usual cast: simulator, broker, workers, and an agent for every machine, all connected."""
        for machine_id in machine_ids:
            if all(m["id"] != machine_id for m in self.machines):
                self.machine(machine_id)
        await self.sim()
        await self.broker()
        for name in workers:
            await self.worker(name)
        for machine in self.machines:
            await self.agent(machine["id"])
        await self.all_connected()
        await self.mark()
        return self.simulator

    async def streams_house(self, *workers, **listener):
        """The cast for streams: a broker and workers, with a listener for streams. Its one machine has no agent."""
        if self.streams_port is None:
            self.streams_listener(**listener)
        self.machine("m1")
        await self.broker()
        for name in workers:
            await self.worker(name)
        await self.mark()

    # --- endpoints ----------------------------------------------------------------------------------------------------------

    def handler(self, name, processes=1, answers=None, by_socket=False, argv=(), **settings):
        """Adds a handler to the configuration, whose processes are scripted (handlers.py). `by_socket`: Noria is told only where it
        listens, else a command. Times are long unless a play is about them: who is slow is not to be taken for who is stuck."""
        self.handlers[name] = handler = Handler(self, name, processes, answers, by_socket, argv)
        times = {"deadline_ms": min(60000, settings.get("stuck_ms", 60000)), "stuck_ms": max(60000, settings.get("deadline_ms", 0))}
        self.settings.setdefault("handlers", []).append({**handler.configuration(), **times, **settings})
        return handler

    def endpoint(self, path, handler, schema=None, reply_schema=None, **settings):
        """Adds an endpoint to the configuration; schemas are written to files beside it, which it names relatively."""
        item = {"path": path, "handler": handler, **settings}
        for key, value in (("schema", schema), ("reply_schema", reply_schema)):
            if value is not None:
                item[key] = f"{key}.{len(self.endpoints)}.json"
                (self.dir / item[key]).write_text(json.dumps(value))
        self.settings.setdefault("endpoints", []).append(item)
        self.endpoints[path] = item

    def endpoints_listener(self, **settings):
        """Adds a listener for endpoints to the configuration; returns its port, which is the one that caller() takes if it is the first."""
        port = self.ports.take()
        self.listeners.append({"name": f"endpoints{len(self.listeners)}", "dialects": ["endpoints"], "address": "127.0.0.1",
                               "port": port, **settings})
        self.endpoints_port = self.endpoints_port or port
        return port

    async def endpoints_house(self, *workers, **listener):
        """The cast for endpoints: handler processes, a broker and workers, all of which have met. Its one machine has no agent."""
        if self.endpoints_port is None:
            self.endpoints_listener(**listener)
        if not self.machines:
            self.machine("m1")
        for handler in self.handlers.values():
            await handler.start()
        await self.broker()
        for name in workers:
            await self.cast_with_doors(name, endpoints={"dialects": ["endpoints"], **listener}).start()
        for handler in self.handlers.values():
            await handler.met(*workers)
        await self.mark()

    async def caller(self, name, path, on=None, port=None, query="", **options):
        """A connected client of an endpoint. Its query says c=NAME, which is how the handlers' log knows it; so it knocks once, at the
        worker's own door."""
        endpoint = self.endpoints.get(path, {})

        def kind(name, url):
            return Caller(name, url, traditional="schema" not in endpoint, binary=endpoint.get("binary", False))

        port = port or (self.actors[on].doors["endpoints"] if on else self.endpoints_port)
        client = await self._connected(kind, name, None, "127.0.0.1", port, f"{path}?c={name}{query}", options)
        self.clients[name] = client
        return client

    # --- channels, sensors and the store --------------------------------------------------------------------------------

    def channels_listener(self, **settings):
        """Adds a listener for channels and the REST API (whose rest.auth is off unless the play has set it); returns its port, which is the one
        that channel() and api() take if it is the first."""
        port = self.ports.take()
        self.listeners.append({"name": f"channels{len(self.listeners)}", "dialects": ["channels", "rest"], "address": "127.0.0.1",
                               "port": port, **settings})
        self.settings.setdefault("rest", {}).setdefault("auth", False)
        self.channels_port = self.channels_port or port
        return port

    async def store(self, name="s1", **options):
        """noria-store, ready: its database is open, the broker has said HELLO_OK."""
        return await self.cast(name, "noria-store", **options).start()

    @property
    def database(self):
        """The store's file, for who wants to read it once the store has ended."""
        return Database(self.state / "store/noria.db")

    async def channels_house(self, *workers, machines=(), **listener):
        """The cast for channels and sensors: broker, store s1 and workers, each with a door of its own for channels and REST beside the shared
        one; with machines also the simulator and their agents, connected."""
        if self.channels_port is None:
            self.channels_listener(**listener)
        for machine_id in machines or ["m1"]:
            if all(m["id"] != machine_id for m in self.machines):
                self.machine(machine_id)
        if machines:
            await self.sim()
        await self.broker()
        await self.store()
        for name in workers or ["w1"]:
            await self.cast_with_doors(name, channels={"dialects": ["channels", "rest"], **listener}).start()
        if machines:
            for machine in self.machines:
                await self.agent(machine["id"])
            await self.all_connected()
        await self.mark()

    def _channels_door(self, on):
        return self.actors[on].doors["channels"] if on else self.channels_port

    def _is_secret(self, token):
        if token and len(token) > 12:
            self.secrets.add(token)

    def api(self, on=None, port=None, token=None, within=5.0):
        """A client of the REST API, at the worker's own door if one is named."""
        self._is_secret(token)
        return Api(port or (lambda: self._channels_door(on)), token, within)

    async def channel(self, name, channel="general", on=None, port=None, secure=False, since=None, user_id=None, token=None, joined=True,
                      **options):
        """A connected client of a channel, at the worker's own door if one is named, that has heard what everybody hears first. `joined`
        False: nothing is waited for, for those who are sent away."""
        self._is_secret(token)
        path = channel_path(channel, secure, user_id=user_id, token=token, since=since)
        kind = lambda name, url: ChannelClient(name, url, channel or "general", secure)  # noqa: E731
        client = await self._connected(kind, name, None, "127.0.0.1", port or self._channels_door(on), path, options)
        self.clients[name] = client
        if joined:
            await client.joined()
        return client

    async def all_connected(self):
        """Waits, as a client on every worker, until all machines are connected."""
        for worker in [a for a in self.actors.values() if a.name.startswith("w") and a.alive]:
            probe = await self.client(f"probe.{worker.name}", on=worker)
            await probe.subscribe()
            for machine in self.machines:
                await probe.sees(machine["id"], connection_status="connected", within=10)
            await probe.close()
            del self.clients[probe.name]

    def actor(self, name):
        return self.actors[name]

    # --- clients --------------------------------------------------------------------------------------------------------

    async def client(self, name, on=None, host="127.0.0.1", port=None, path="/", welcome=True, **options):
        """A connected client that has heard its welcome. `on`: the worker (actor or name) that must serve it; the
        kernel spreads connections over the workers, so the client knocks until it lands there."""
        client = await self._connected(Client, name, on, host, port or self.port, path, options)
        self.clients[name] = client
        if welcome:
            await client.next("welcome")
        return client

    async def streamer(self, name, *streams, on=None, host="127.0.0.1", port=None, path="/", **options):
        """A connected client of the streams dialect that has opened `streams`, if any are named."""
        client = await self._connected(StreamClient, name, on, host, port or self.streams_port, path, options)
        self.clients[name] = client
        if streams:
            await client.open(*streams)
        return client

    def streams_listener(self, **settings):
        """Adds a listener for streams to the configuration, and for other dialects if `dialects` says so; returns its port, which is
        the one that streamer() takes if it is the first."""
        port = self.ports.take()
        self.listeners.append({"name": f"streams{len(self.listeners)}", "dialects": ["streams"], "address": "127.0.0.1",
                               "port": port, **settings})
        self.streams_port = self.streams_port or port
        return port

    async def _connected(self, kind, name, on, host, port, path, options):
        worker = self.actors[on] if isinstance(on, str) else on
        for _ in range(200):
            client = await kind(name, f"ws://{host}:{port}{path}").connect(**options)
            if worker is None or serves(worker, port, client.local_port):
                return client
            await client.close()
        raise AssertionError(f"{name}: 200 connections, and none landed on {worker}")

    def mute(self, *messages, on=None):
        """A client that says `messages` and never reads."""
        worker = self.actors[on] if isinstance(on, str) else on
        texts = [m if isinstance(m, str) else json.dumps(m) for m in messages]
        for _ in range(200):
            mute = Mute(self.port, *texts)
            if worker is None or serves(worker, self.port, mute.local_port):
                self.mutes.append(mute)
                return mute
            mute.close()
        raise AssertionError(f"200 mute connections, and none landed on {worker}")

    # --- counters -------------------------------------------------------------------------------------------------------

    def segment_of(self, actor):
        actor = self.actors[actor] if isinstance(actor, str) else actor
        if actor.name.startswith("w"):
            role = self.counters.role_of_pid(actor.pid)
            assert role, f"no segment of {actor}"
            return self.counters.segment(role)
        return self.counters.segment("store" if actor.name.startswith("s") else "broker")

    def counter(self, actor, name):
        metrics = self.segment_of(actor).metrics()
        assert name in metrics, f"{actor} has no counter {name}; it has {sorted(metrics)}"
        return metrics[name]

    async def counts(self, actor, name, at_least, within=5.0):
        """Waits until a counter has reached a value; returns it."""
        def look():
            value = self.counter(actor, name)
            return value if value >= at_least else 0
        return await until(f"{actor}'s {name} to reach {at_least}", look, within)

    # --- the end ----------------------------------------------------------------------------------------------------------

    async def mark(self):
        """Everybody's descriptors now are the measure for the end of the play."""
        if self.counters.segment("broker").exists:
            alive = [actor.name[0] for actor in self.actors.values() if actor.alive]
            await until("the broker to have every worker's bell and a segment for every agent",
                        lambda: self.counter("b1", "bell_workers") == alive.count("w")
                        and len(list((self.runtime / "shm").glob("agent.*"))) >= alive.count("a"))
            for actor in [a for a in self.actors.values() if a.alive and a.name.startswith("w")]:
                await until(f"{actor} to have taken the bell", lambda a=actor: self.segment_of(a).page()["sleeping"])  # else it cannot
        for actor in self.actors.values():
            if actor.alive:
                actor.baseline = actor.descriptors()

    async def strike(self, failed):
        """Ends everything. Returns the complaints; a play that failed already is only cleaned up."""
        complaints = []
        await self._end_tasks()
        if not failed:
            complaints += await self._curtain()
        await self._kill_leftovers()
        for handler in self.handlers.values():
            handler.unlisten()
        if not failed and not complaints:
            complaints += self._files_left()
        complaints += self._sanitizer_reports() + self._secrets_told()
        self.ports.release()
        if not complaints and not failed and not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)
        return complaints

    async def _curtain(self):
        steps = [self._clients_leave, self._nobody_died, self._descriptors_are_back, self._all_stop, self._no_orphans]
        for step in steps:
            try:
                await step()
            except AssertionError as error:
                return [f"after the play, {step.__name__.strip('_')}: {error}"]
        return []

    async def _end_tasks(self):
        """Those of a play that failed in the middle of them; what they died of is known."""
        for _ in range(100):  # a cancellation may be lost in asyncio.wait_for() (Python 3.11)
            left = [task for task in self.tasks if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=0.1)
        await asyncio.gather(*(task for task in self.tasks if task.done()), return_exceptions=True)

    async def _clients_leave(self):
        for client in self.clients.values():
            client.keep_rules()
            await client.close()
        for mute in self.mutes:
            mute.close()

    async def _nobody_died(self):
        for actor in self.actors.values():
            if not actor.alive and not actor.told_to_end:
                raise AssertionError(f"{actor.name} ended by itself with {actor.proc.poll()}:\n{actor.tail()}")

    async def _descriptors_are_back(self):
        for actor in self.actors.values():
            if actor.alive and actor.baseline is not None:
                await actor.gives_back_descriptors()

    async def _all_stop(self):
        """In the order in which nobody misses anybody: workers, agents, handlers, store, broker, simulator; `noria up` alone."""
        order = sorted(self.actors.values(), key=lambda a: 9 if a.name == "sim" else "wahsb".find(a.name[0]))
        for actor in order:
            if actor.alive:
                await actor.stop()

    async def _no_orphans(self):
        await until("no child process to be left: " + repr(children_of_this_process()),
                    lambda: not children_of_this_process(), within=2)

    def _files_left(self):
        if not self.runtime.exists():
            return []
        left = {str(p.relative_to(self.runtime)) for p in self.runtime.rglob("*") if not p.is_dir()}
        logs = {name for name in left if name.startswith("sim.log")}
        extra = left - STAYS - logs
        return [f"after the play, left in the runtime directory: {sorted(extra)}"] if extra else []

    def _secrets_told(self):
        """The canary of every play: no token that a client showed stands in an output, in shared memory or in the state directory."""
        files = [p for part in ("out", "r", "state") for p in (self.dir / part).rglob("*") if p.is_file()]
        texts = {path: path.read_bytes() for path in files} if self.secrets else {}
        return [f"the token {secret[:6]}… stands in {path}" for path, text in texts.items() for secret in sorted(self.secrets) if secret.encode() in text]

    def _sanitizer_reports(self):
        found = []
        for path in sorted((self.dir / "san").glob("*")) if (self.dir / "san").is_dir() else []:
            text = path.read_text(errors="replace").strip()
            if text:
                found.append(f"sanitizer report of {path.name}:\n" + "\n".join(text.splitlines()[:40]))
        return found

    async def _kill_leftovers(self):
        for actor in self.actors.values():
            if actor.alive:
                await actor.kill()
        for pid, _ in children_of_this_process():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended since

    def tails(self):
        """The end of everybody's output and what clients heard last, for a failed play."""
        heard = [f"    {client.name}: {client.recent()}" for client in list(self.clients.values())[-8:]]
        return "\n".join([a.tail() for a in self.actors.values() if a.text()] + heard)
