"""Mistakes in the configuration: every program says where, what and what instead, and is not started again."""
import subprocess

from stagecraft.registry import play
from stagecraft.stage import BIN
from stagecraft.wait import limit

PROGRAMS = {"noria-broker": [], "noria-worker": [], "plc-agent": ["-m", "m1"], "plc-sim": [], "noria": []}
PERMANENT = 78


def run(*argv):
    return subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=limit(15))


@play("every program has --help and --version, and refuses what it does not know")
async def help_and_version(s):
    for program in PROGRAMS:
        helped, versioned = run(BIN / program, "--help"), run(BIN / program, "--version")
        assert helped.returncode == 0 and "-c" in helped.stdout, f"{program} --help: {helped}"
        assert versioned.returncode == 0 and versioned.stdout.split()[-1][0].isdigit(), f"{program} --version: {versioned}"
        unknown = run(BIN / program, "--fly")
        assert unknown.returncode == 2, f"{program} --fly: {unknown}"


MISTAKES = [  # what to write instead of what, words that the message must have
    ("port: 3200", "port: 70000", ["noria.yaml:", "port", "70000"]),
    ("max_machines: 64", "max_machins: 64", ["noria.yaml:", "max_machins"]),
    ('"level": "info"', '"level": "loud"', ["noria.yaml:", "level", "loud"]),
    ("max_machines: 64", "max_machines: many", ["noria.yaml:", "max_machines", "many"]),
    ("machines:", "machines: [", ["noria.yaml"]),
    ('"address": "127.0.0.1"', '"address": "0.0.0.0"', ["noria.yaml", "address", "allow_unauthenticated"]),
]


@play("a typo names file, line, key, what was found and what was expected; the exit code says: do not retry")
async def typos(s):
    s.machine("m1")
    good = s.write_conf().read_text().replace('"port": 3200', "port: 3200")
    for old, new, words in MISTAKES:
        assert old in good, old
        s.conf.write_text(good.replace(old, new, 1))
        for program, more in PROGRAMS.items():
            argv = [BIN / program, *(["up"] if program == "noria" else []), "-c", s.conf, *more]
            said = run(*argv)
            assert said.returncode == PERMANENT, f"{program} with {new!r} ended with {said.returncode}: {said.stderr}"
            text = said.stderr + said.stdout
            assert all(word in text for word in words), f"{program} with {new!r} said:\n{text}"


@play("a missing file and a missing machine are permanent, too")
async def missing(s):
    s.machine("m1")
    s.write_conf()
    for argv in (["noria-broker", "-c", "/nowhere/noria.yaml"], ["plc-agent", "-c", s.conf, "-m", "nobody"]):
        said = run(BIN / argv[0], *argv[1:])
        assert said.returncode == PERMANENT, f"{argv}: {said}"
        assert "nobody" in said.stderr or "/nowhere/noria.yaml" in said.stderr, said.stderr


@play("a second broker on the same directory is refused, and the first one does not notice")
async def second_broker(s):
    await s.house("m1", workers=["w1"])
    said = run(BIN / "noria-broker", "-c", s.conf)
    assert said.returncode not in (0, -11, -6), said
    c1 = await s.client("c1")
    await c1.subscribe()
    await s.simulator.place("m1", 4)
    await c1.sees("m1", position=4)
