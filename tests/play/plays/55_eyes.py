"""`noria status`, `noria watch` and `noria top`: what they show is true, also while processes die."""
import asyncio
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios

from stagecraft.launched import pids, restarted, up
from stagecraft.registry import play
from stagecraft.scripts import AT_REST
from stagecraft.stage import BIN
from stagecraft.wait import limit, settle, until

KIB = 1024


async def noria(s, *words, within=8.0):
    """A tool of the program: its exit code, what it printed, what it complained."""
    tool = await asyncio.create_subprocess_exec(str(BIN / "noria"), *words, "-c", str(s.conf), stdin=asyncio.subprocess.DEVNULL,
                                                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    said, complained = await settle(f"noria {words[0]} to end", tool.communicate(), within)
    return tool.returncode, said.decode(), complained.decode()


async def status(s):
    """Exit code, processes by name, machines by id, totals."""
    code, said, complained = await noria(s, "status", "--json")
    seen = json.loads(said)
    assert not complained and seen["ok"] == (code == 0), (code, complained, said)
    return code, {p["name"]: p for p in seen["processes"]}, {m["id"]: m for m in seen["machines"]}, seen["totals"]


# --- status -----------------------------------------------------------------------------------------------------------------------


@play("status shows every process and machine as it is, and the deaths of both", "asan", within=60)
async def status_is_true(s):
    await up(s, "m1", "m2")
    c1 = await s.client("c1")
    await c1.subscribe()
    for machine in ("m1", "m2"):
        await c1.sees(machine, connection_status="connected", within=10)
    await until("a worker to show its client", lambda: any(values.get("connections") == 1 for values in s.counters.all().values()))
    code, processes, machines, totals = await status(s)
    assert code == 0 and totals["clients"] == 1 and totals["deaths"] == 0, totals
    for name, program, words in (("broker", "noria-broker", ()), ("agent.m1", "plc-agent", ("m1",)), ("plc-sim", "plc-sim", ())):
        process = processes[name]
        assert [process["pid"]] == pids(program, *words) and process["state"] == "ready" and process["starts"] == 1, process
        assert process["deaths"] == 0 and process["last_end"] is None and process["uptime_ms"] >= 0, process
    assert {processes[f"worker.{k}"]["pid"] for k in range(2)} == set(pids("noria-worker"))
    assert all(m["connection"] == "connected" and m["position"] == 0 and m["raw_status"] == AT_REST for m in machines.values())

    await c1.move("m1", 5)
    await c1.hear("command_completed", success=True, position=5)
    await until("status to show where m1 stands", lambda: _position(s, "m1", 5))

    for name, program, words in (("agent.m1", "plc-agent", ("m1",)), ("broker", "noria-broker", ())):
        old = pids(program, *words)
        os.kill(old[0], signal.SIGKILL)
        await restarted(program, old, *words)

        async def told():
            process = (await status(s))[1][name]
            return process["state"] == "ready" and process["starts"] == 2 and process
        process = await until(f"status to show {name} started again", told, within=10)
        assert process["deaths"] == 1 and process["last_end"] == "SIGKILL" and [process["pid"]] == pids(program, *words)
    code, said, _ = await noria(s, "status")
    broker = next(line for line in said.splitlines() if line.startswith("broker "))
    assert code == 0 and broker.split()[-3:] == ["2", "1", "SIGKILL"], said
    await c1.sees("m1", connection_status="connected", within=10)


async def _position(s, machine, position):
    return (await status(s))[2][machine]["position"] == position


@play("status works without a launcher, and says by its exit code that a process is missing", "asan")
async def status_alone(s):
    s.machine("m1")
    s.write_conf()
    code, _, complained = await noria(s, "status")
    assert code == 1 and "nothing runs" in complained, complained
    await s.house("m1", workers=("w1",))
    code, processes, machines, _ = await status(s)
    assert code == 0 and set(processes) == {"broker", "worker.0"}, processes
    assert processes["broker"]["pid"] == s.actor("b1").pid and processes["broker"]["starts"] is None
    assert machines["m1"]["connection"] == "connected"
    await s.actor("b1").kill()
    code, processes, _, _ = await status(s)
    assert code == 1 and processes["broker"]["state"] == "dead" and processes["worker.0"]["state"] == "up", processes
    await s.actor("b1").start()
    await until("status to be well", lambda: _well(s))
    (s.runtime / "shm" / "worker.77").write_bytes(b"\xff" * 9000)  # nonsense of somebody's
    (s.runtime / "shm" / "broker\x1b[2J").write_bytes(b"")
    code, said, _ = await noria(s, "status")
    assert code == 1 and "\x1b" not in said and "worker.77" in said, said
    (s.runtime / "shm" / "worker.77").unlink()
    (s.runtime / "shm" / "broker\x1b[2J").unlink()


async def _well(s):
    return (await status(s))[0] == 0


# --- watch ------------------------------------------------------------------------------------------------------------------------


class Watcher:
    """`noria watch --json` as an actor; what it has said so far."""

    def __init__(self, s, *machines, name="watch"):
        self.actor = s.cast_argv(name, [BIN / "noria", "watch", *machines, "-c", s.conf, "--json"], ready=False)

    async def start(self):
        await self.actor.start()
        return self

    def lines(self):
        text = self.actor.text()
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    async def says(self, event, since=0, within=8.0, **members):
        """The first line from `since` on of this event with these members (those of its message count, too), and its index."""

        def look():
            for index, line in enumerate(self.lines()[since:], since):
                known = {**line, **line.get("message", {}), **line.get("state", {})}
                if line["event"] == event and all(known.get(key) == value for key, value in members.items()):
                    return index + 1, line
            return None
        return await until(f"watch to say {event} {members}", look, within)


@play("watch tells each change of its machine once and in order: states, results, completions, refusals, alarms", "asan")
async def watch_tells(s):
    s.machine("m1", profile="delta-as")
    s.machine("m2", profile="delta-as")
    await s.house(workers=("w1",))
    c1 = await s.client("c1")
    await c1.subscribe(kind="all_events")
    watcher = await Watcher(s, "m1").start()
    at, first = await watcher.says("state", machine="m1", position=0)
    assert first["changes"]["connection_status"] == [None, "connected"], first
    await c1.move("m2", 3)
    await c1.hear("command_completed", machine_id="m2", success=True)
    await c1.move("m1", 4)
    await c1.hear("command_completed", machine_id="m1", success=True)
    at, result = await watcher.says("result", since=at, machine_id="m1", success=True)
    done, completed = await watcher.says("completed", since=at, machine_id="m1", success=True, position=4)
    places = [line["changes"]["position"] for line in watcher.lines() if "position" in line.get("changes", {})]
    assert places[0] == [None, 0] and places[-1][1] == 4 and all(a[1] == b[0] for a, b in zip(places, places[1:])), places
    ages = [line["age_ms"] for line in watcher.lines() if line["event"] == "state" and "age_ms" in line]
    assert ages and all(0 <= age < 1000 * limit(5) for age in ages), ages
    await s.simulator.condition("m1", "estop", True)
    at, _ = await watcher.says("alarm", since=done, condition="estop", active=True)
    await c1.move("m1", 9)
    await c1.hear("error", machine_id="m1", code="INTERLOCK")
    at, refused = await watcher.says("refused", since=at, machine="m1", code="INTERLOCK")
    await s.simulator.condition("m1", "estop", False)
    await watcher.says("alarm", since=at, condition="estop", active=False)
    assert all(line["machine"] in ("m1", None) for line in watcher.lines()), "another machine's"
    await watcher.actor.stop(signal.SIGINT)


@play("watch lives through the broker's death and a new ring, and misses no change that lasts", "asan", within=60)
async def watch_deaths(s):
    await s.house("m1", workers=("w1",))
    c1 = await s.client("c1")
    c1.history.repeats_allowed = True  # a new ring: it is told again what it knows
    await c1.subscribe()
    watcher = await Watcher(s).start()
    at, _ = await watcher.says("state", machine="m1", position=0)
    await s.actor("b1").kill()
    at, _ = await watcher.says("broker", since=at, text="gone: nothing is published until it is back")
    await s.actor("b1").start()
    at, _ = await watcher.says("broker", since=at, text="back")
    await c1.move("m1", 3)
    at, _ = await watcher.says("completed", since=at, position=3, within=15)
    assert not [line for line in watcher.lines() if line["event"] == "gap"], "the ring goes on"

    await s.actor("b1").kill()
    (s.runtime / "shm" / "ring").unlink()
    (s.runtime / "shm" / "lvt").unlink()
    await s.actor("b1").start()
    at, _ = await watcher.says("gap", since=at, within=15)
    await s.simulator.place("m1", 7)
    at, _ = await watcher.says("state", since=at, machine="m1", position=7, within=15)
    await watcher.actor.stop()


@play("watch that is lapped says so, and then what is true", "asan", within=60)
async def watch_lapped(s):
    s.small_ring()
    s.streams_listener()
    s.set("websocket", max_messages_per_s=0)
    await s.house("m1", workers=("w1",))
    watcher = await Watcher(s, "m1").start()
    at, _ = await watcher.says("state", machine="m1", position=0)
    watcher.actor.pause()
    await s.simulator.place("m1", 9)
    talker, ear = await s.streamer("t1", "noise"), await s.streamer("t2", "noise")
    for number in range(60):  # more than three times round; each is heard before the next, so that it does not overtake the worker
        await talker.send(f"{number} " + "x" * (60 * KIB))
        await ear.hear(test=lambda text: text.startswith(f"{number} "), within=20)
    watcher.actor.resume()
    at, _ = await watcher.says("gap", since=at, within=10)
    await watcher.says("state", since=at, machine="m1", position=9)
    await watcher.actor.stop()


# --- top --------------------------------------------------------------------------------------------------------------------------


class Screen:
    """`noria top` on a terminal of its own."""

    def __init__(self, s, rows=40, columns=120):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
        self.slave, self.before = slave, termios.tcgetattr(slave)
        os.set_blocking(self.master, False)
        self.written = b""
        self.process = subprocess.Popen([BIN / "noria", "top", "-c", s.conf], stdin=slave, stdout=slave, stderr=subprocess.DEVNULL,
                                        env={**os.environ, "TERM": "xterm"}, start_new_session=True)

    def read(self):
        try:
            self.written += os.read(self.master, 1 << 16)
        except BlockingIOError:
            pass

    def picture(self):
        """The last whole one, as lines."""
        self.read()
        frames = self.written.split(b"\x1b[J")
        if len(frames) < 2:
            return []
        text = frames[-2].split(b"\x1b[H")[-1].decode()
        return [line.rstrip("\r").replace("\x1b[K", "") for line in text.split("\n")]

    def row(self, begin):
        return next((line.split() for line in self.picture() if line.split()[:1] == [begin]), None)

    async def shows(self, what, begin, test, within=10.0):
        def look():
            row = self.row(begin)
            return row if row and test(row) else None
        return await until(f"top to show {what}", look, within)

    def press(self, key):
        os.write(self.master, key)

    async def ended(self):
        def look():
            self.read()
            return self.process.poll() is not None
        await until("top to end", look)
        self.read()
        assert termios.tcgetattr(self.slave) == self.before, "the terminal is as it was"
        assert self.written.endswith(b"\x1b[?25h\x1b[?1049l"), self.written[-80:]
        os.close(self.slave)
        os.close(self.master)
        return self.process.returncode


@play("top draws processes and machines with true numbers, through a death, and leaves the terminal as it was", within=60)
async def top_on_a_terminal(s):
    await up(s, "m1", "m2")
    clients = [await s.client(f"c{n}") for n in range(3)]
    for client in clients:
        await client.subscribe()
        await client.sees("m1", connection_status="connected", within=10)
    screen = Screen(s)
    await screen.shows("m1 with its polls", "m1", lambda row: row[1] == "connected" and row[7] not in ("-", "0"))
    broker = await screen.shows("the broker with CPU and memory", "broker", lambda row: row[3] != "-")
    assert broker[1] == "ready" and float(broker[4]) > 1 and broker[-1] == "0", broker
    assert sum(int(screen.row(f"worker.{k}")[5]) for k in range(2)) == 3, screen.picture()
    assert all(len(line) <= 120 for line in screen.picture()) and len(screen.picture()) <= 40
    old = pids("plc-agent", "m1")
    os.kill(old[0], signal.SIGKILL)
    await restarted("plc-agent", old, "m1")
    await screen.shows("the death of m1's agent", "agent.m1", lambda row: row[-1] == "1" and row[1] == "ready")
    await screen.shows("it at the machine, too", "m1", lambda row: row[-1] == "1" and row[1] == "connected")
    screen.press(b"q")
    assert await screen.ended() == 0


@play("top ends by Ctrl-C, fits a small terminal, and gives one picture where there is none", "asan", within=60)
async def top_elsewhere(s):
    for number in range(12):
        s.machine(f"m{number}")
    await s.house(workers=("w1",))
    screen = Screen(s, rows=14, columns=60)
    await until("a picture", lambda: len(screen.picture()) > 5, within=10)
    assert len(screen.picture()) <= 14 and all(len(line) <= 60 for line in screen.picture()), screen.picture()
    screen.process.send_signal(signal.SIGINT)
    assert await screen.ended() == 0
    code, said, complained = await noria(s, "top", within=15)
    assert code == 0 and not complained and "\x1b" not in said, (code, complained)
    rows = {line.split()[0]: line.split() for line in said.splitlines() if line.strip()}
    assert set(rows) >= {"broker", "worker.0", "m0", "m11"} and rows["m11"][1] == "connected", said
    assert float(rows["m0"][7]) > 0, "readings per second"
