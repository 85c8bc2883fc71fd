"""client.py: a client of the carousel dialect over a connection (connection.py).

Everything it hears is checked on arrival against the rules of frames.py. Plays read what was heard in two ways: next() takes
exactly the next frame, hear() skips to the first that fits. Both move the same cursor.
"""
from .connection import Connection
from .frames import Frame, History, check_frame, matches
from .shorten import cut
from .wait import limit, now


class Resumed:
    """What came behind the confirmation of a subscribe with `since`: [gap], snapshot, the missed frames in order. States
    that changed meanwhile may stand between or behind the missed frames: they are live already."""

    def __init__(self, frames, kind):
        rest = list(frames)
        self.gap = bool(rest) and rest[0].type == "gap"
        rest = rest[self.gap:]
        self.snapshot = None
        if kind != "command_results":
            assert rest and rest[0].type == "status_broadcast", f"no snapshot: {[f.text for f in frames]}"
            self.snapshot = rest.pop(0)
        assert all(f.type != "gap" for f in rest), f"a gap in the middle: {[f.text for f in frames]}"
        self.frames = rest
        self.missed = [f for f in rest if f.type != "status_broadcast"]


class Client(Connection):
    def __init__(self, name, url):
        super().__init__(name, url)
        self.history = History()

    def keep_frame(self, text):
        frame = Frame(text)
        self.frames.append(frame)
        check_frame(text, frame)
        self.history.check(frame)

    # --- speaking -----------------------------------------------------------------------------------------------------

    async def ask(self, message=None, within=5.0, **members):
        """Says something and returns exactly the next frame. For clients that hear nothing else meanwhile."""
        await self.say(message, **members)
        return await self.next(within=within)

    async def subscribe(self, *machines, kind="status_updates"):
        """Subscribes; returns the snapshot (None for command_results). No machine named: all of them."""
        members = {"machine_ids": list(machines)} if machines else {}
        await self.say(type="subscribe", subscription_type=kind, **members)
        await self.hear("subscription_confirmed", subscription_type=kind)
        if kind == "command_results":
            return None
        snapshot = await self.next("status_broadcast")
        if machines:
            missing = set(machines) - set(snapshot["status"])
            assert not missing, f"{self.name}: the snapshot lacks {missing}: {snapshot.text}"
        return snapshot

    async def resume(self, since, *machines, kind="all_events", within=5.0):
        """Subscribes with `since`, the last seq heard before; returns everything that was owed, up to now."""
        members = {"machine_ids": list(machines)} if machines else {}
        await self.say(type="subscribe", subscription_type=kind, since=since, **members)
        await self.say(type="ping")  # its pong comes behind what was owed
        await self.hear("subscription_confirmed", subscription_type=kind, within=within)
        begin = self.cursor
        await self.hear("pong", within=within)
        return Resumed(self.frames[begin:self.cursor - 1], kind)

    async def unsubscribe(self, *machines, kind="status_updates"):
        members = {"machine_ids": list(machines)} if machines else {}
        await self.say(type="unsubscribe", subscription_type=kind, **members)
        return await self.hear("unsubscription_confirmed", subscription_type=kind)

    async def command(self, machine, command, argument=None, **more):
        inner = {"command": command} if argument is None else {"command": command, "argument": argument}
        await self.say(type="send_command", machine_id=machine, command=inner, **more)

    async def move(self, machine, position, **more):
        await self.command(machine, 1, position, **more)

    async def ping(self, within=5.0):
        """Sends a ping of the dialect and waits for its pong: a marker on this connection."""
        await self.say(type="ping")
        return await self.hear("pong", within=within)

    # --- hearing --------------------------------------------------------------------------------------------------------

    async def next(self, type=None, within=5.0, **want):
        """Exactly the next frame; fails if it is another than wanted."""
        want = {"type": type, **want} if type else want
        frame = await self._frame_at(self.cursor, now() + limit(within), f"the next frame {want}")
        self.cursor += 1
        assert frame.matches(want), f"{self.name}: wanted {want}, heard {cut(frame.text)}"
        return frame

    async def hear(self, type=None, within=5.0, test=None, **want):
        """The first frame from the cursor on that fits; others before it are skipped (they stay in .frames)."""
        want = {"type": type, **want} if type else want
        deadline = now() + limit(within)
        index = self.cursor
        while True:
            frame = await self._frame_at(index, deadline, f"a frame {want}")
            index += 1
            if frame.matches(want) and (test is None or test(frame)):
                self.cursor = index
                return frame

    async def hear_state(self, machine, within=5.0, **want):
        """The first broadcast from the cursor on that shows the machine so; returns the frame."""
        return await self.hear("status_broadcast", within=within, status={machine: want})

    async def sees(self, machine, within=5.0, **want):
        """Like hear_state(), but content if the machine's newest state heard so far is already so."""
        latest = self.state(machine)
        if latest is not None and all(matches(latest.get(k), v) for k, v in want.items()):
            return latest
        return (await self.hear_state(machine, within=within, **want))["status"][machine]

    # --- looking back -----------------------------------------------------------------------------------------------------

    def state(self, machine):
        """The newest state of the machine that this client heard, or None."""
        return self.history.state.get(machine)

    def heard(self, type=None, machine=None, since=0, **want):
        """All frames from index `since` on that fit."""
        want = {"type": type, **want} if type else want
        return [f for f in self.frames[since:]
                if f.matches(want) and (machine is None or machine in f.machines())]

    def states(self, machine, since=0):
        """The states of a machine in the order in which they were heard."""
        return [f["status"][machine] for f in self.heard("status_broadcast", machine, since)]

    @property
    def last_seq(self):
        """The seq of the last frame heard that had one, as `since` wants it."""
        return next((f["seq"] for f in reversed(self.frames) if "seq" in f), None)
