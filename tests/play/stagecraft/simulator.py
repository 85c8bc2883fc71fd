"""simulator.py: plc-sim as a play uses it: its control socket (plc-agent/sim/README.md) and its log of every byte.

Orders are carried out when the call returns: what the PLC answers next is as ordered.
"""
import asyncio
from pathlib import Path

from .truth import TruthLog
from .wait import limit, settle


class Simulator:
    def __init__(self, runtime_dir):
        self.socket_path = Path(runtime_dir) / "sim.sock"
        self.truth = TruthLog(Path(runtime_dir) / "sim.log")
        self.actor = None

    async def tell(self, line, within=5.0):
        """One line of the control language; its answer as {key: value}. An "error …" fails the play."""
        reader, writer = await asyncio.open_unix_connection(str(self.socket_path))
        try:
            writer.write(line.encode() + b"\n")
            answer = (await settle(f"plc-sim to answer {line!r}", reader.readline(), within)).decode().strip()
        finally:
            writer.close()
        word, _, rest = answer.partition(" ")
        assert word == "ok", f"plc-sim, told {line!r}: {answer}"
        return dict(pair.split("=", 1) for pair in rest.split())

    # --- the machine ------------------------------------------------------------------------------------------------

    async def place(self, machine, position):
        """Turned by hand to a position, at once and without RUN."""
        await self.tell(f"set {machine} position {position}")

    async def condition(self, machine, condition, on):
        """"alarm", "estop", "manual", "drive_fault", "positioning_error"."""
        await self.tell(f"set {machine} {condition} {'on' if on else 'off'}")

    async def pace(self, machine, ms):
        await self.tell(f"pace {machine} {ms}")

    async def by_hand(self, machine):
        """From now on a move goes on only by step()."""
        await self.tell(f"pace {machine} manual")

    async def step(self, machine, count=1):
        return await self.tell(f"step {machine} {count}")

    async def get(self, machine):
        return await self.tell(f"get {machine}")

    async def wait(self, machine, what, within=5.0):
        """"position N", "idle", "moving", "held", "connected", "disconnected", "requests CODE N"."""
        milliseconds = int(limit(within) * 1000)
        return await self.tell(f"wait {machine} {what} deadline {milliseconds}", within=within + 1)

    # --- what goes wrong ----------------------------------------------------------------------------------------------

    async def fault(self, machine, *words):
        """fault("m1", "late", 200, "command", 0, "count", 1): the words of sim_fault.h."""
        await self.tell(" ".join(["fault", machine, *map(str, words)]))

    async def clear(self, machine):
        await self.tell(f"clear {machine}")

    async def hold(self, machine, command=None):
        """Keeps back the reply to the next request (of that command) until release()."""
        await self.tell(f"hold {machine}" + (f" command {command}" if command is not None else ""))

    async def held(self, machine, within=5.0):
        """Waits until a request has been carried out and its reply is held."""
        await self.wait(machine, "held", within)

    async def release(self, machine):
        await self.tell(f"release {machine}")
