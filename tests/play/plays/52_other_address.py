"""A machine gets another PLC's address while its move is under way or in doubt and its agent is dead: the next agent does not judge the move by
the PLC that it reads, clients are told so, and the trail stays whole and says which PLC each agent had."""
import json
import signal
import subprocess

from stagecraft.registry import play
from stagecraft.stage import BIN
from stagecraft.wait import limit

MOVED = "the PLC's address has changed"


def audit(s, *words):
    return subprocess.run([BIN / "noria", "audit", *words, "-c", s.conf], capture_output=True, text=True, timeout=limit(20))


def addresses(s):
    """The PLCs that m1's agents name, in order."""
    lines = (s.state / "agents" / "m1" / "commands-00000001.jsonl").read_text().splitlines()
    return [record["plc"] for record in map(json.loads, lines) if record["event"] == "start"]


async def trade_places(s):
    """Simulated machines have their PLCs in the order of the file: m1 gets m2's, which stands at 3; both agents are killed before."""
    await s.simulator.place("m2", 3)
    for machine_id in ("m1", "m2"):
        await s.actor(f"a.{machine_id}").kill()
    m1, m2 = s.machines
    s.machines = [m2, m1]
    s.write_conf()
    before = s.counter("b1", "reloads")
    s.actor("b1").send_signal(signal.SIGHUP)
    await s.counts("b1", "reloads", before + 1, within=10)
    for machine_id in ("m1", "m2"):
        await s.agent(machine_id, name=f"a.{machine_id}b")


async def expect_unknown(s, watcher, mover):
    await watcher.sees("m1", connection_status="connected", position=3)
    await s.simulator.pace("m2", 1)
    await mover.move("m1", 5, request_id="R-5")
    await mover.hear("command_completed", machine_id="m1", request_id="R-5", success=True, position=5)
    shown = audit(s, "show", "--json", "-m", "m1", "--request", "R-3")
    entry, = [json.loads(line) for line in shown.stdout.splitlines()]
    assert entry["outcome"] == "OUTCOME_UNKNOWN" and entry["text"] == MOVED, entry
    verified = audit(s, "verify")
    assert verified.returncode == 0, verified.stdout
    one, other = addresses(s)
    assert one != other and one.startswith("127.0.0.1:") and other.startswith("127.0.0.1:"), (one, other)


async def cast(s):
    await s.house("m1", "m2", workers=("w1",))
    watcher, mover = await s.client("watcher"), await s.client("mover")
    await watcher.subscribe(kind="all_events")
    watcher.history.repeats_allowed = True
    return watcher, mover


@play("a move under way at a PLC whose machine gets another address ends as not known", "asan")
async def under_way(s):
    watcher, mover = await cast(s)
    await s.simulator.by_hand("m1")
    await mover.move("m1", 3, request_id="R-3")
    await mover.hear("command_result", success=True)
    await trade_places(s)
    await mover.hear("command_completed", machine_id="m1", request_id="R-3", success=False)
    await expect_unknown(s, watcher, mover)


@play("a move in doubt at a PLC whose machine gets another address is not judged by the new one", "asan")
async def in_doubt(s):
    watcher, mover = await cast(s)
    await s.simulator.hold("m1", 1)
    await mover.move("m1", 3, request_id="R-3")
    await s.simulator.held("m1")
    await trade_places(s)
    await mover.hear("error", machine_id="m1", code="OUTCOME_UNKNOWN")
    await expect_unknown(s, watcher, mover)
