"""parts.py: who is tested with what: the echo server with everything, a real worker with a selection, and the gate's
handshakes. Cases of a part run at the same time; each has its own deadline."""
import asyncio
import itertools
import os
from pathlib import Path

from . import door, framing, handshakes, meaning, worker
from .case import Case, perform as perform_case
from .codec import BINARY, PONG, PING, TEXT, frame
from .framing import body

BIN = Path(os.environ.get("NORIA_BIN", Path(__file__).resolve().parents[3] / "build/release/bin"))
SLOW = float(os.environ.get("NORIA_PLAY_SLOW", "1"))
AT_A_TIME = 48


class Tally:
    def __init__(self, quiet=False):
        self.good, self.bad, self.quiet = 0, 0, quiet

    def note(self, name, complaint):
        if complaint is None:
            self.good += 1
            if not self.quiet:
                print(f"ok   {name}")
            return
        self.bad += 1
        print(f"FAIL {name}: {complaint}", flush=True)


def wanted(args, cases):
    return [c for c in cases if all(word.lower() in c.name.lower() for word in args.k)]


def echo_cases():
    return itertools.chain(framing.cases(), meaning.cases())


def held_back_cases():
    """For a server that takes messages of 1 MiB, and 20,000 frames per second of each client."""
    for size in (65536, 65537, 100000, 1 << 20):
        yield framing.echo(f"large/{size}", "5.2", body(size), BINARY)
    yield Case("large/limit", "10.4", [frame(body((1 << 20) + 1))], end=(1009,))
    yield Case("rate/60000-frames-lose-nothing", "5.1", [frame(b"") * 30000 + frame(b"", PING) * 30000],
               [(TEXT, b"")] * 30000 + [(PONG, b"")] * 30000, seconds=20)


def names(args):
    for part, cases in (("echo", echo_cases()), ("echo", held_back_cases()), ("worker", worker.cases()),
                        ("handshakes", handshakes.cases())):
        if not args.part or part in args.part:
            for case in wanted(args, cases):
                yield f"{part}/{case.name}"


async def run_cases(part, cases, port, tally, greet=None):
    room = asyncio.Semaphore(AT_A_TIME)

    async def one(case):
        async with room:
            tally.note(f"{part}/{case!r}", await perform_case(case, port, greet, SLOW))

    await asyncio.gather(*(one(case) for case in cases))


# --- the echo server ---------------------------------------------------------------------------------------------------


class Echo:
    """ws_echo, from its PORT line to its counters."""

    def __init__(self, *arguments):
        self.arguments = [str(a) for a in arguments]

    async def __aenter__(self):
        self.proc = await asyncio.create_subprocess_exec(str(BIN / "ws_echo"), *self.arguments, stdin=asyncio.subprocess.PIPE,
                                                         stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        line = await asyncio.wait_for(self.proc.stdout.readline(), 10 * SLOW)
        self.port = int(line.split()[1])
        return self

    async def __aexit__(self, *_):
        if self.proc.returncode is None:
            self.proc.kill()
            await self.proc.wait()

    async def finish(self):
        """Its counters; a complaint if it did not end as it should (a sanitizer's word included)."""
        self.proc.stdin.close()
        out, _ = await asyncio.wait_for(self.proc.communicate(), 20 * SLOW)
        text = out.decode(errors="replace")
        counts = [line for line in text.splitlines() if line.startswith("opened=")]
        if self.proc.returncode != 0 or not counts:
            return {}, f"ended with {self.proc.returncode}:\n{text[-3000:]}"
        return {k: int(v) for k, v in (pair.split("=") for pair in counts[0].split())}, None


def expected_counts(cases):
    return {"opened": len(cases), "closed": len(cases), "adopt_errors": 0, **worker.expected_counts(cases)}


def check_counts(counts, cases):
    wrong = [f"{name} is {counts.get(name)}, not {value}" for name, value in expected_counts(cases).items() if counts.get(name) != value]
    return "; ".join(wrong) or None


async def echo_part(args, tally):
    for name, arguments, source in (("echo", [framing.MAX], echo_cases()), ("echo-held-back", [1 << 20, 20000], held_back_cases())):
        cases = wanted(args, source)
        if not cases:
            continue
        async with Echo(*arguments) as server:
            await run_cases("echo", cases, server.port, tally)
            counts, complaint = await server.finish()
        tally.note(f"{name}/the server ends cleanly", complaint)
        if complaint is None and not tally.bad:
            tally.note(f"{name}/its counters tell what happened", check_counts(counts, cases))
        if name == "echo-held-back" and not args.k:
            tally.note("echo-held-back/the rate did hold somebody back", None if counts.get("throttled") else "never")


# --- a real worker -----------------------------------------------------------------------------------------------------


async def on_stage(tally, name, act, prepare=lambda stage: None):
    """A stage with a machine, a broker and one worker; what the stage complains of at the end is a failure."""
    from stagecraft.stage import Stage
    stage, complaint = Stage(f"conformance.{name}"), None
    prepare(stage)
    try:
        await stage.house("m1", workers=["w1"])
        await act(stage)
    except AssertionError as error:
        complaint = f"{error}\n{stage.tails()}"
    complaints = ([complaint] if complaint else []) + await stage.strike(failed=complaint is not None)
    tally.note(f"{name}/everybody lives and leaves cleanly", "\n".join(complaints) or None)


async def worker_part(args, tally):
    cases = wanted(args, worker.cases())
    if not cases:
        return

    async def act(stage):
        good = await stage.client("good")
        before = await door.steady(stage)
        await run_cases("worker", cases, stage.port, tally, greet=(TEXT, worker.answer("welcome")))
        await good.ping()
        moves = {f"ws_{name}": count for name, count in expected_counts(cases).items()}
        if not tally.bad:
            tally.note("worker/its counters tell what happened", await door.settle_counters(stage, before, moves))

    await on_stage(tally, "worker", act)


PARTS = {"echo": echo_part, "worker": worker_part, "handshakes": door.part}


async def perform(args):
    from stagecraft.process import adopt_orphans
    adopt_orphans()
    tally = Tally(args.q)
    for name, part in PARTS.items():
        if not args.part or name in args.part:
            await part(args, tally)
    return tally
