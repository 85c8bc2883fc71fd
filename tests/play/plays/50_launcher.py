"""`noria up` as the one who keeps everything up: what it writes about deaths, whom it starts again and whom not, what it can be asked for, how it is
process 1 of a container. (Rolling restarts under load are 57's; start, restart and stop as such are 12's.)
"""
import asyncio
import fcntl
import os
import pty
import re
import signal
import subprocess
import termios
from pathlib import Path

from stagecraft.installation import Installation, kill_pid, sanitized
from stagecraft.process import children_of_this_process
from stagecraft.registry import play
from stagecraft.stage import BIN
from stagecraft.wait import limit, now, until


def records(s, name):
    """Texts of the crash records of a process, oldest first."""
    return [path.read_text() for path in sorted((s.state / "crashes").glob(f"*-{name}-*.txt"))]


async def record(s, name, count=1):
    return await until(f"{count} crash records of {name}", lambda: len(records(s, name)) >= count and records(s, name)[-1])


def value(text, key):
    return re.search(rf"^{key}: +(.*)$", text, re.M).group(1)


def state_is(house, name, state):
    told = house.there(name)
    return told is not None and told.state_name == state


# --- deaths ---------------------------------------------------------------------------------------------------------------

@play("who is killed leaves a record with its last log lines: who, when, how long, how", "asan")
async def crash_records(s):
    s.channels_listener()
    house = await Installation(s).up("m1")
    for count, name in enumerate(("agent.m1", "worker.0", "store", "broker", "plc-sim"), 1):
        old = house.kill(name)
        await house.ready(name, but=old, within=15)
        text = await record(s, name)
        assert value(text, "process").startswith(f"{name}, pid {old}, of Noria "), text
        assert value(text, "ended") == "signal 9 (SIGKILL)" and value(text, "told") == "nothing", text
        assert value(text, "next") == "it is started again" and value(text, "deaths").startswith("1, "), text
        assert re.fullmatch(r"\d+ ms, since 20\d\d-.*Z", value(text, "uptime")), text
        lines = [line for line in text.partition("last log lines:\n")[2].splitlines() if line]
        assert lines and any(name.split(".")[0] in line for line in lines), f"no last words:\n{text}"
        assert house.there(name).deaths == 1 and house.there(name).last_exit == 128 + signal.SIGKILL
        assert house.launcher_counter("crash_records") == count and house.launcher_counter("deaths") == count
    assert not list((s.state / "crashes").glob(".*")), "a draft is left"


@play("a fatal signal is told with where it struck")
async def where_it_struck(s):
    if sanitized():
        return  # sanitizers report such signals themselves
    house = await Installation(s).up("m1")
    for name in ("worker.1", "agent.m1"):
        old = house.kill(name, signal.SIGSEGV)
        await house.ready(name, but=old, within=15)
        text = await record(s, name)
        assert value(text, "ended").startswith("signal 11 (SIGSEGV)"), text
        where = text.partition("where (")[2].partition("last log lines:")[0]
        assert re.search(r"noria-worker|plc-agent", where) and "+0x" in where, f"no place:\n{text}"
        assert house.there(name).last_exit == 128 + signal.SIGSEGV


@play("what was planned is no death: no record, no pause, however often", "asan")
async def planned(s):
    s.channels_listener()
    s.set("workers", drain_ms=200)
    house = await Installation(s).up("m1")
    starts = {name: house.there(name).starts for name in house.names()}
    for round_ in range(1, 4):
        out = await house.told("restart", "broker", "agent.m1", "store", "plc-sim", "workers")
        for name in starts:
            assert re.search(rf"^{name}: restarted \(pid \d+ → {house.pid(name)}\)$", out, re.M), out
            told = house.there(name)
            assert (told.starts, told.planned_ends, told.deaths) == (starts[name] + round_, round_, 0), (name, told)
    await house.all_ready()
    c1 = await s.client("c1")
    await c1.subscribe()
    await c1.sees("m1", connection_status="connected", within=10)
    await c1.move("m1", 3)
    await c1.hear("command_completed", success=True, position=3)
    assert house.launcher_counter("deaths") == 0 and not records(s, "*")


@play("who says that it would fail again is not started again, until somebody asks", "asan")
async def permanent(s):
    house = await Installation(s).up("m1", "m2")
    intruder = await s.agent("m1")  # the broker sends the elder away, for good
    await until("agent.m1 to be gone", lambda: state_is(house, "agent.m1", "gone"))
    told = house.there("agent.m1")
    assert (told.permanent, told.deaths, told.last_exit, told.pid) == (1, 1, 78, 0), told
    text = await record(s, "agent.m1")
    assert value(text, "ended") == "exit code 78" and value(text, "next").startswith("it is not started again"), text
    old = house.kill("agent.m2")
    await house.ready("agent.m2", but=old)  # what dies otherwise is
    assert state_is(house, "agent.m1", "gone") and house.there("agent.m1").starts == 1
    intruder.told_to_end = True
    assert "agent.m1: restarted" in await house.told("restart", "agent.m1")
    assert await intruder.ended() == 78
    await house.ready("agent.m1")


# --- orders ---------------------------------------------------------------------------------------------------------------

@play("what cannot be done is refused in words, and changes nothing", "asan")
async def refusals(s):
    house = await Installation(s).up("m1")
    before = house.pids()
    for line, answer in (("restart nobody", 'error: no process is called "nobody"'), ("drain broker", 'error: no worker is called "broker"'),
                         ("drain", "error: one worker at a time"), ("drain worker.0 worker.1", "error: one worker at a time"),
                         ("stop", "error: not one of restart, drain, reload"), ("", "error: not one of restart, drain, reload"),
                         ("reload everything", "error: reload takes no name")):
        assert (await house.ask(line))[-1] == answer, line
    code, _, err = await house.tool("restart", "worker.0", "worker.9")
    assert code == 1 and err == 'noria restart: no process is called "worker.9"\n', err
    code, _, err = await house.tool("restart", "--runtime-dir", str(s.dir / "elsewhere"), conf=False)
    assert code == 1 and "no launcher (noria up) runs there" in err, err
    assert house.pids() == before and oct((s.runtime / "control.sock").stat().st_mode & 0o777) == "0o600"
    s.conf.write_text(f"runtime_dir: '{s.runtime}'  # ours\nmachines: [")  # somebody is just editing it
    assert "worker.0: restarted" in (await house.tool("restart", "worker.0", "--runtime-dir", str(s.runtime), conf=False))[1]
    code, out, err = await house.tool("reload")
    assert code == 1 and str(s.conf) in out and "has problems" in err, (out, err)
    for words, said in ((["status"], "6 of 6 processes up"), (["stats", "launcher"], "launcher starts "),
                        (["restart", "worker.1"], "worker.1: restarted")):  # who has just broken it needs them most
        code, out, err = await house.tool(*words)
        assert code == 0 and said in out and "what is in force in" in err, (words, out, err)
    s.conf.write_text('runtime_dir: "/nowhere"   # changed\nmachines: [')
    code, _, err = await house.tool("status")
    assert code == 78 and "is not YAML" in err, err


@play("a restart and a reload keep each other out; a SIGHUP waits for its turn", "asan")
async def one_order_at_a_time(s):
    s.set("workers", drain_ms=1000)
    house = await Installation(s).up("m1")
    client = await s.client("c1")
    held = next(name for name in ("worker.0", "worker.1") if house.serving(client.local_port) == name)
    order = asyncio.ensure_future(house.ask(f"restart {held}"))
    await until("the restart to be under way", lambda: house.there(held).leaving or order.done())
    s.set("websocket", max_message_bytes=4711)
    s.write_conf()
    assert (await house.ask("reload"))[-1] == "error: a restart is under way: ask again when it is over"
    assert (await house.ask("restart agents"))[-1] == "error: a restart is under way: ask again when it is over"
    house.launcher.send_signal(signal.SIGHUP)
    await house.launcher.logs("waits for the end of a restart")
    assert (await order)[-1] == "ok"
    await house.launcher.logs("websocket.max_message_bytes: 65536 → 4711")
    await house.launcher.logs("reload-done")
    assert await client.closed() == 1012


class Programs:
    """A directory of programs that `noria up` is told of, whose worker can be made to fail."""

    def __init__(self, s):
        self.dir = s.dir / "bin"
        self.dir.mkdir()
        for path in BIN.iterdir():
            if path.name in ("noria-broker", "noria-worker", "noria-store", "plc-agent", "plc-sim"):
                (self.dir / path.name).symlink_to(path)

    def worker(self, script=None):
        """A shell script in its place; None: the worker again."""
        path = self.dir / "noria-worker"
        path.unlink()
        if script is None:
            path.symlink_to(BIN / path.name)
        else:
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)


async def with_programs(s, *machines):
    house, programs = Installation(s), Programs(s)
    for machine in machines:
        s.machine(machine)
    s.write_conf()
    s.adopt_simulator()
    house.launcher = s.cast_argv("up", [BIN / "noria", "up", "-c", s.conf, "--bin-dir", programs.dir])
    await house.launcher.start(within=20)
    return house, programs


@play("workers whose successors cannot start go on, and the rest is left alone", "asan")
async def failing_successor(s):
    s.set("workers", drain_ms=300)
    house, programs = await with_programs(s, "m1")
    clients = [await s.client(f"c{n}") for n in range(6)]
    before = house.pids("worker.")
    programs.worker("exit 78")
    code, out, err = await house.tool("restart", "workers")
    assert code == 1 and "worker.0: its successor failed; the process that was there goes on" in err and "1 left as they are" in err, out + err
    assert house.pids("worker.") == before
    for client in clients:
        await client.ping()
    told = house.there("worker.0")
    assert (told.deaths, told.state_name, told.last_exit) == (1, "ready", 78), told
    assert value(await record(s, "worker.0"), "next") == "the process that it was to succeed goes on"
    programs.worker()
    assert "worker.1: restarted" in await house.told("restart", "workers")
    for client in clients:
        assert await client.closed() == 1012


@play("a worker that cannot come back: another accepts at its sockets, and nobody is refused", "asan", within=90)
async def gone_worker(s):
    house, programs = await with_programs(s, "m1")
    programs.worker("exit 78")
    house.kill("worker.1")
    await until("worker.1 to be gone", lambda: state_is(house, "worker.1", "gone"))
    clients = [await s.client(f"c{n}", welcome=False) for n in range(12)]
    for client in clients:
        await client.next("welcome", within=10)
    assert {house.serving(c.local_port) for c in clients} == {"worker.0"}
    assert house.launcher_counter("adoptions") == 1
    programs.worker()
    assert "worker.1: restarted" in await house.told("restart", "worker.1")
    await house.launcher.logs("handover-over", "name=worker.1 from=worker.0")
    for client in clients:
        await client.ping()


@play("a worker whose start takes long: another accepts for it until it is ready, and dies in between: a third does", "asan", within=90)
async def held_start(s):
    s.set("workers", count=3)
    house, programs = await with_programs(s, "m1")
    hold = s.dir / "hold"
    os.mkfifo(hold)
    programs.worker(f'read x <{hold}; exec {BIN}/noria-worker "$@"')
    house.kill("worker.1")
    await house.launcher.logs("handover", "name=worker.1 to=worker.0")
    house.kill("worker.0")  # both wait at the fifo now
    await house.launcher.logs("handover", "name=worker.1 to=worker.2")
    await house.launcher.logs("handover", "name=worker.0 to=worker.2")
    clients = [await s.client(f"c{n}") for n in range(12)]
    assert {house.serving(c.local_port) for c in clients} == {"worker.2"}
    fd = os.open(hold, os.O_WRONLY)
    os.write(fd, b"go\ngo\n")
    for name in ("worker.0", "worker.1"):
        await house.ready(name, within=20)
        await house.launcher.logs("handover-over", f"name={name} from=worker.2")
    os.close(fd)
    for client in clients:
        await client.ping()


# --- stopping, and being process 1 ------------------------------------------------------------------------------------------

@play("stopping is bounded, whoever hangs: a worker, an agent, one that drains")
async def bounded_stop(s):
    s.set("workers", drain_ms=60000)
    house = await Installation(s).up("m1", "m2")
    clients = [await s.client(f"c{n}") for n in range(9)]
    doors = [house.serving(client.local_port) for client in clients]
    held = max(("worker.0", "worker.1"), key=doors.count)
    drain = asyncio.ensure_future(house.ask(f"drain {held}"))
    await until("it to drain", lambda: house.there(held).leaving == 1)
    other = "worker.1" if held == "worker.0" else "worker.0"  # its clients lose their connection
    for name in (other, "agent.m2"):
        kill_pid(house.pid(name), signal.SIGSTOP)
    began = now()
    await house.launcher.stop(signal.SIGINT, within=12)
    took = now() - began
    assert took < limit(9), f"{took:.1f} s"
    assert (await drain)[-1].startswith("error: "), await drain
    codes = [await client.closed() for client, door in zip(clients, doors) if door == held]
    assert set(codes) == {1001, 1012} and codes.count(1012) == 1, codes  # the first of those that drain goes at once
    assert not children_of_this_process(), children_of_this_process()
    left = [str(p) for p in s.runtime.rglob("*") if not p.is_dir()] if s.runtime.exists() else []
    assert not left, f"left behind: {left}"


def on_a_terminal(argv, out):
    """(process, master): started as a shell does it, with a terminal of its own for input, and as the leader of its session."""
    master, slave = pty.openpty()

    def lead():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    process = subprocess.Popen(argv, stdin=slave, stdout=out, stderr=out, preexec_fn=lead)
    os.close(slave)
    return process, master


@play("a terminal that goes away ends what was started in it; another SIGHUP reloads")
async def terminal(s):
    s.machine("m1")
    s.write_conf()
    s.adopt_simulator()
    log = s.dir / "terminal.log"
    with open(log, "wb") as out:
        process, master = on_a_terminal([BIN / "noria", "up", "-c", s.conf], out)
    await until("noria: ready", lambda: b"noria: ready" in log.read_bytes(), within=15)
    process.send_signal(signal.SIGHUP)
    await until("a reload", lambda: b"reload-done" in log.read_bytes())
    assert process.poll() is None
    os.close(master)
    await until("it to end", lambda: process.poll() is not None, within=12)
    assert process.returncode == 0, log.read_text()


def is_allowed():
    return subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True).returncode == 0


def stat_of(pid):
    """(parent, state)"""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1]), fields[0]


def children_of(pid):
    """{pid: state}"""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent, state = stat_of(path.name)
        except OSError:
            continue
        if parent == pid:
            found[int(path.name)] = state
    return found


@play("as process 1 of a container: everything serves, what is left behind by others is reaped, SIGTERM ends it")
async def process_one(s):
    if not is_allowed():
        print("no pid namespace can be had here: nothing is tried")
        return
    leaver = s.dir / "leaver"
    leaver.write_text("#!/bin/sh\n# leaves a process of a session of its own behind, which ends when it is told to\n"
                      f"setsid sh -c 'echo $$ >{s.dir}/left; read x <{s.dir}/fifo' </dev/null &\nexec sleep 600\n")
    leaver.chmod(0o755)
    os.mkfifo(s.dir / "fifo")
    s.settings.setdefault("handlers", []).append({"name": "leaver", "command": [str(leaver)]})
    s.machine("m1")
    s.write_conf()
    s.adopt_simulator()
    outer = s.cast_argv("up", ["unshare", "--pid", "--fork", "--mount-proc", BIN / "noria", "up", "-c", s.conf])
    await outer.start(within=20)
    one = next(iter(children_of(outer.pid)))
    status = Path(f"/proc/{one}/status").read_text()
    assert re.search(r"^NSpid:\t\d+\t1$", status, re.M), status
    client = await s.client("c1")
    await client.subscribe()
    await client.sees("m1", connection_status="connected", within=10)
    await client.move("m1", 4)
    await client.hear("command_completed", success=True, position=4)

    before = children_of(one)
    killed = next(pid for pid in before if b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes())
    await until("the handler's own process to have come", (s.dir / "left").exists)
    os.kill(killed, signal.SIGKILL)  # its child is an orphan now
    orphan = await until("process 1 to be the orphan's parent", lambda: next(
        (pid for pid in children_of(one) if pid not in before and b"read x" in Path(f"/proc/{pid}/cmdline").read_bytes()), None))
    fd = os.open(s.dir / "fifo", os.O_WRONLY)
    os.close(fd)
    await until("the orphan to be reaped", lambda: not Path(f"/proc/{orphan}").exists())
    assert "Z" not in children_of(one).values(), children_of(one)

    worker = next(pid for pid in children_of(one) if b"noria-worker" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(worker, signal.SIGKILL)
    await until("another worker", lambda: worker not in children_of(one) and sum(
        b"noria-worker" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children_of(one)) == 2)
    os.kill(one, signal.SIGUSR1)  # what process 1 has no use for does nothing
    os.kill(one, signal.SIGHUP)
    await outer.logs("reload-done")
    outer.told_to_end = True
    os.kill(one, signal.SIGTERM)
    assert await outer.ended(within=12) == 0
    assert not children_of_this_process(), children_of_this_process()
