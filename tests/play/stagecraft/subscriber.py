"""subscriber.py: one who wants to hear something all his life, over many connections, and what must hold for him at the end.

He comes back with `since` after each end of his connection, is cut off in the middle of resumptions, stops reading, trickles. At
the end every one is held against an observer, a client on a worker that nobody kills:

  1. his last state of each machine is the truth,
  2. of no machine he was shown an older state after a newer one,
  3. each result, completion and alarm of his machines reached him exactly once, with the observer's bytes, unless a gap said
     otherwise or he had unsubscribed,
  4. he was never closed without a reason, and with 1006 only by the death of his worker.

plays/19_property.py (a random run) and tests/fault/kills use it; each was seen to fail with it.
"""
import socket
from collections import Counter

from websockets import WebSocketException

from .connection import Gone
from .process import serves
from .wait import Late, limit, now, until

KEPT = ("command_result", "command_completed", "alarm")
KINDS = {"status_updates": (), "command_results": KEPT[:2], "all_events": KEPT}
CONNECT_ERRORS = (OSError, EOFError, WebSocketException, Gone, Late)


class Tally:
    """What happened to a house, and to those who subscribe: deaths by actor, closings by code, gaps that were told."""

    def __init__(self):
        self.deaths, self.closed, self.gaps = Counter(), Counter(), 0


class Subscriber:
    """One who wants to hear something all his life, over many connections."""

    def __init__(self, s, tally, name, kind, machines, dice):
        self.s, self.tally, self.name, self.kind, self.dice = s, tally, name, kind, dice
        self.machines = list(machines or [m["id"] for m in s.machines])
        self.all = machines is None  # says no machine_ids
        self.client, self.worker, self.deaths = None, None, 0
        self.past = []      # frames of earlier connections
        self.excused = []   # (machine, from, to): unsubscribed meanwhile
        self.paused = False
        self.log = []

    # --- being there ------------------------------------------------------------------------------------------------

    @property
    def frames(self):
        return self.past + (self.client.frames if self.client else [])

    @property
    def since(self):
        return next((f["seq"] for f in reversed(self.frames) if "seq" in f), None)

    def number(self):
        return int(self.since.split("-")[1]) if self.since else -1

    async def connect(self, small=False):
        options, deaths = {}, dict(self.tally.deaths)  # a worker that is killed meanwhile may still be seen to serve it
        if small:
            options["sock"] = sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            sock.connect(("127.0.0.1", self.s.port))
        self.client = await self.s.client(self.name, welcome=False, **options)
        self.client.history.repeats_allowed = True
        self.worker = next((a.name for a in self.s.actors.values() if a.name.startswith("w") and a.alive
                            and serves(a, self.s.port, self.client.local_port)), None)
        self.deaths = deaths.get(self.worker, 0)
        self.paused = False

    def subscription(self, type="subscribe", **more):
        members = {} if self.all else {"machine_ids": self.machines}
        return {"type": type, "subscription_type": self.kind, **members, **more}

    async def come(self, small=False):
        """Connects and subscribes, with `since` if anything was heard before."""
        since = {"since": self.since} if self.since else {}
        while True:
            try:
                await self.connect(small)
                await self.client.say(self.subscription(**since))
                self.log.append(f"{self.worker} since {self.since}")
                return
            except CONNECT_ERRORS:
                await self.leave()

    async def leave(self, abort=True, keep=None):
        """Ends the connection from this side, or takes note that the server has. `keep`: so many of its frames had arrived
        when the line broke."""
        client, self.client = self.client, None
        if client is None:
            return
        self.s.clients.pop(client.name, None)
        if client.connected and (abort or self.paused):
            client.socket.transport.abort()
        await client.close()
        client.keep_rules()
        self.past += client.frames[:keep]

    def worker_died(self):
        return (self.worker is None or self.tally.deaths[self.worker] != self.deaths
                or not self.s.actor(self.worker).alive)

    async def check_closing(self):
        """The connection is closed, and nobody here did it. A dying process's sockets end before its end can be seen."""
        code, reason = self.client.close_code, self.client.socket.close_reason
        if code == 1006:
            try:
                await until(f"the end of {self.worker}", self.worker_died)
            except Late:
                raise AssertionError(f"{self.name}: closed with 1006, and {self.worker} lives; {self.log}") from None
        else:
            assert code == 1013 and reason, f"{self.name}: closed with {code} {reason!r}"
        self.tally.closed[code] += 1

    # --- what it does -----------------------------------------------------------------------------------------------

    async def act(self):
        if self.client is None or not self.client.connected:
            if self.client is not None:
                await self.check_closing()
                await self.leave()
            await self.come(small=self.dice.random() < 0.4)
            return
        deed = self.dice.choice([self.go_and_come, self.go_and_come, self.be_cut_off, self.be_cut_off, self.pause, self.pause,
                                 self.trickle, self.drop_one, self.stay])
        try:
            await deed()
        except (Gone, OSError, WebSocketException):
            pass  # seen at the next act

    async def stay(self):
        self.resume_reading()

    async def go_and_come(self):
        await self.leave(abort=self.dice.random() < 0.5)
        if self.dice.random() < 0.5:
            await self.come(small=self.dice.random() < 0.4)

    async def be_cut_off(self):
        """Comes back, hears a few frames of its resumption, and is gone again; several times."""
        for _ in range(self.dice.randrange(1, 4)):
            await self.leave()
            await self.come()
            want, begin = self.dice.randrange(2, 7), now()
            try:
                while len(self.client.frames) < want and now() - begin < limit(0.3):
                    await self.client.hear(within=0.3)
            except (Gone, Late):
                pass
            await self.leave(keep=want)

    async def pause(self):
        if not self.paused:
            self.client.socket.transport.pause_reading()
        self.paused = True

    def resume_reading(self):
        if self.paused and self.client is not None and self.client.connected:
            self.client.socket.transport.resume_reading()
        self.paused = False

    async def trickle(self):
        for _ in range(3):
            self.resume_reading()
            try:
                await self.client.hear(within=0.05)
            except Late:
                pass
            await self.pause()

    async def drop_one(self):
        """Unsubscribes from one machine and takes it again, on the same connection; what it missed in between is excused."""
        if self.all or self.paused or len(self.machines) < 2:
            return
        machine = self.dice.choice(self.machines)
        await self.client.ping()
        begin = self.number()
        self.excused.append((machine, begin, None))
        await self.client.say(self.subscription("unsubscribe") | {"machine_ids": [machine]})
        await self.client.hear("unsubscription_confirmed")
        await self.client.say(self.subscription() | {"machine_ids": [machine]})
        await self.client.hear("subscription_confirmed")
        await self.client.ping()  # what is heard from here on, it has asked for

    # --- the end ----------------------------------------------------------------------------------------------------

    async def settle(self, truth, markers):
        """Reads everything; the last states must come by themselves, and the markers behind everything that was kept."""
        deadline = now() + limit(10)
        while not (self.client and self.client.connected and self.knows(truth) and self.has_heard(markers)):
            if self.client is None or not self.client.connected:
                if self.client is not None:
                    await self.check_closing()
                    await self.leave()
                await self.come()
            try:
                await self.client.hear(within=0.2)
            except (Gone, Late):
                pass
            if now() > deadline:
                raise AssertionError(f"{self.name} ({self.kind} {self.machines}) knows {self.known()},\n  the truth is {truth};"
                                     f" markers {markers} {self.has_heard(markers)}\n  {self.log[-5:]}\n"
                                     + "\n".join(f.text[:200] for f in self.frames[-40:]))

    def known(self):
        known = {}
        for frame in self.frames:
            if frame.type == "status_broadcast":
                known.update({m: (x["position"], x["raw_status"], x["connection_status"])
                              for m, x in frame["status"].items()})
        return known

    def knows(self, truth):
        known = self.known()
        return self.kind == "command_results" or all(known.get(m) == truth[m] for m in self.machines)

    def has_heard(self, markers):
        ids = {f.get("request_id") for f in self.frames if f.type == "command_completed"}
        return self.kind == "status_updates" or all(markers[m] in ids for m in self.machines)

    # --- the rules ----------------------------------------------------------------------------------------------------

    def check_kept(self, observer):
        """Rule 3."""
        heard, gaps, last, gap_from, newest = {}, [], None, None, -1
        for frame in self.frames:
            if frame.type == "gap":
                gap_from = last if gap_from is None else gap_from
            if frame.seq is None:
                continue
            number = frame.seq[1]
            if gap_from is not None:
                gaps.append((gap_from, number))
                gap_from = None
            if frame.type in KEPT:
                assert number > newest, f"{self.name} heard {frame.text} after {newest}"
                heard[number], newest = frame.text, number
            last = number
        self.tally.gaps += len(gaps)
        first = next((f.seq[1] for f in self.frames if f.seq), None)
        for frame in observer.frames:
            if frame.type not in KEPT or first is None or frame.seq[1] <= first:
                continue
            mine = frame.type in KINDS[self.kind] and frame["machine_id"] in self.machines
            number = frame.seq[1]
            if number in heard:
                assert mine and heard.pop(number) == frame.text, f"{self.name} heard {frame.text}"
            elif mine:
                excused = (any(a < number <= b for a, b in gaps) or self.was_away(frame["machine_id"], number))
                assert excused, f"{self.name} ({self.kind}) missed {frame.text}; gaps {gaps}; {self.log}\n" + self.around(number)
        assert not [n for n in heard if n > first], f"{self.name} heard what the observer did not: {heard}"

    def around(self, number):
        frames = [f for f in self.frames if f.seq]
        at = next((n for n, f in enumerate(frames) if f.seq[1] > number), len(frames))
        return "\n".join(f.text[:160] for f in frames[max(0, at - 3):at + 3])

    def was_away(self, machine, number):
        """Between the last frame before an unsubscribe and the snapshot or frame behind the next subscribe."""
        for gone, begin, _ in self.excused:
            back = next((f.seq[1] for f in self.frames if f.seq and f.seq[1] > begin), float("inf"))
            later = [f.seq[1] for f in self.frames if f.seq and f.seq[1] > begin][:4]
            end = later[-1] if later else back
            if gone == machine and begin < number <= end:
                return True
        return False

    def check_states(self, timeline, complete=True):
        """Rule 2. A live frame is pinned by its seq; a snapshot's state must not be one that was only seen before, if the timeline is `complete`: somebody
        heard every state live."""
        newest = {}
        for frame in self.frames:
            if frame.type != "status_broadcast":
                continue
            for machine, state in frame["status"].items():
                pinned = timeline[machine].get(frame.seq[1]) if frame.seq else None
                if pinned == state and len(frame["status"]) == 1:
                    assert frame.seq[1] >= newest.get(machine, -1), f"{self.name}: {frame.text} after {newest[machine]}"
                    newest[machine] = frame.seq[1]
                    continue
                seen = [n for n, x in timeline[machine].items() if x == state]
                old = seen and max(seen) < newest.get(machine, -1)
                assert not old or not complete, f"{self.name}: {frame.text} shows {machine} as of {max(seen)}, after {newest[machine]}"


def states_by_seq(machines, clients):
    """{machine: {N: state}} of all live states that anybody heard."""
    timeline = {machine: {} for machine in machines}
    for client in clients:
        for frame in client.frames:
            if frame.type == "status_broadcast" and frame.seq and len(frame["status"]) == 1:
                (machine, state), = frame["status"].items()
                timeline.setdefault(machine, {}).setdefault(frame.seq[1], state)
    return timeline


def check_once(observer):
    for type in ("command_result", "command_completed"):
        ids = Counter(f["request_id"] for f in observer.heard(type))
        twice = {i: n for i, n in ids.items() if n > 1}
        assert not twice, f"published more than once: {type} {twice}"
