"""launched.py: an installation that `noria up` starts, and its processes, which the play knows by their command lines."""
from pathlib import Path

from .process import children_of_this_process
from .stage import BIN
from .wait import until


async def up(s, *machines):
    for machine in machines:
        s.machine(machine)
    s.write_conf()
    s.adopt_simulator()
    actor = s.cast_argv("up", [BIN / "noria", "up", "-c", s.conf])
    await actor.start(within=15)
    return actor


def pids(program, *words):
    """Pids of a program below this play, whose command line has all words. One that is ending has none."""
    return [pid for pid, line in children_of_this_process()
            if line.split() and Path(line.split()[0]).name == program and all(word in line.split() for word in words)]


async def restarted(program, old, *words, within=5.0):
    def look():
        now_there = [pid for pid in pids(program, *words) if pid not in old]
        return now_there if len(pids(program, *words)) >= len(old) and now_there else None
    return await until(f"another {program} {' '.join(words)}", look, within)
