"""noria audit: what people read of the agents' journals, while they are being written and after kills."""
import json
import subprocess

from stagecraft.registry import play
from stagecraft.stage import BIN
from stagecraft.wait import limit


def audit(s, *words):
    return subprocess.run([BIN / "noria", "audit", *words, "-c", s.conf], capture_output=True, text=True, timeout=limit(20))


def shown(s, *words):
    said = audit(s, "show", "--json", *words)
    assert said.returncode == 0, said.stderr
    return [json.loads(line) for line in said.stdout.splitlines()]


@play("noria audit shows every command, and finds the trail whole while it is written")
async def show_and_verify(s):
    await s.house("m1", "m2")
    await s.simulator.pace("m1", 5)
    c1 = await s.client("c1", on="w1")
    await c1.move("m1", 5, request_id="R-1")
    await c1.hear("command_completed", machine_id="m1", success=True, position=5)
    await c1.command("m1", 0, request_id="R-2")
    await c1.hear("command_result", machine_id="m1", request_id="R-2")
    moved, = shown(s, "--request", "R-1")
    assert moved["machine"] == "m1" and moved["outcome"] == "completed" and moved["sent"], moved
    assert moved["command"] == 1 and moved["argument"] == 5, moved
    assert moved["before"]["position"] == 0 and moved["after"] == {"raw": 218, "position": 5}, moved
    assert moved["from"].startswith("127."), moved
    assert [entry["request_id"] for entry in shown(s, "-m", "m1", "--refusals")] == ["R-1", "R-2"]
    assert shown(s, "-m", "m2") == []
    lines = audit(s, "show").stdout.splitlines()
    assert len(lines) == 1 and "  move 5 " in lines[0] and " → 218/5  completed  " in lines[0], lines
    verified = audit(s, "verify")
    assert verified.returncode == 0 and verified.stdout.count(": sound: ") == 4, verified.stdout


@play("an agent that is killed leaves a trail that is sound and goes on")
async def after_a_kill(s):
    await s.house("m1")
    await s.simulator.pace("m1", 5)
    c1 = await s.client("c1", on="w1")
    for position in (3, 9):
        await c1.move("m1", position, request_id=f"R-{position}")
        await c1.hear("command_completed", machine_id="m1", success=True, position=position)
        head = audit(s, "verify", "-m", "m1").stdout.splitlines()[0].split("head ")[1]
        await s.actor("a.m1").kill()
        await s.actor("a.m1").start()
        await s.all_connected()
    verified = audit(s, "verify", "--head", f"m1:commands:{head}")
    assert verified.returncode == 0, verified.stdout
    assert [entry["outcome"] for entry in shown(s)] == ["completed", "completed"]


@play("noria audit verify names the line that was changed")
async def forged(s):
    await s.house("m1")
    await s.simulator.pace("m1", 5)
    c1 = await s.client("c1", on="w1")
    for position in (3, 9):
        await c1.move("m1", position)
        await c1.hear("command_completed", machine_id="m1", success=True, position=position)
    file = s.state / "agents" / "m1" / "commands-00000001.jsonl"
    text = file.read_text()
    at = text.index('"argument":3')
    file.write_text(text[:at] + '"argument":4' + text[at + 12:])
    verified = audit(s, "verify")
    assert verified.returncode == 1, verified.stdout
    number = text[:at].count("\n") + 1
    assert f"m1 commands: broken at {file}:{number}: does not follow the line before" in verified.stdout, verified.stdout
    assert "m1 refusals: sound" in verified.stdout, verified.stdout
