"""wishes.py: what an operator wishes an installation to be, valid or not, and whether it is so in every process.

    wishes = Wishes(throng, dice)
    await wishes.valid()      another configuration out of dice, reloaded; it must be taken over (sure=False: or refused because somebody died)
    await wishes.invalid()    one with a mistake, or with what takes a restart: it must be refused, and say why
    await wishes.holds()      every process has what was accepted last: machines, limits, tokens, its digest; the copy in force is that file
    wishes.judge()            machine_added and machine_removed came once for each change, to everybody

What is looked at is what clients see of each worker, what the launcher runs, and what each process shows of itself.
"""
import copy
import hashlib
from collections import Counter

from .comers import CONNECT_S, greeted
from .wait import until

SPARE = ["v1", "v2", "v3", "v4"]
LIMITS = [8192, 16384, 65536]
LIMIT_KEY = "max_message_bytes"
OPERATOR = "operator-token-0123456789abcdef"  # of somebody who always may
GUESTS = [f"guest-{n}-token-0123456789abcdef" for n in range(3)]

WRONG = [  # (what to do with the settings, words of the refusal)
    (lambda s: s.machines.append({**s.machines[0], "id": "bad", "port": 70000}), ["port", "70000"]),
    (lambda s: s.machines.append({**s.machines[0]}), ["m1"]),
    (lambda s: s.set("websocket", max_mesage_bytes=5), ["max_mesage_bytes"]),
    (lambda s: s.set("log", level="loud"), ["level", "loud"]),
    (lambda s: s.set(ring={"size_mib": 32}), ["ring.size_mib", "takes a restart"]),
    (lambda s: s.set(max_machines=128), ["max_machines", "takes a restart"]),
    (lambda s: s.set("workers", count=3), ["workers.count", "takes a restart"]),
    (lambda s: s.listeners[0].update(port=s.ports.last), ["listeners[0].port", "takes a restart"]),
    (lambda s: s.settings["handlers"][0].update(deadline_ms=1234), ["handlers", "takes a restart"]),
]


def sha256(token):
    return hashlib.sha256(token.encode()).hexdigest()


class Wishes:
    def __init__(self, throng, dice):
        self.t, self.s, self.dice = throng, throng.s, dice
        self.accepted = self.refused = self.failed = 0
        self.told = Counter()  # (machine_added | machine_removed, id) that everybody is owed
        s = self.s
        s.set("auth", tokens=[{"principal": "operator", "sha256": sha256(OPERATOR)}])
        s.set("websocket", **{LIMIT_KEY: LIMITS[-1]})
        self.port = s.ports.take()
        s.listeners.append({"name": "guarded", "dialects": ["carousel"], "address": "127.0.0.1", "port": self.port, "auth": "token"})
        s.secrets |= {OPERATOR, *GUESTS}

    async def begins(self):
        self.in_force = self.now()
        await self.holds()

    def now(self):
        return copy.deepcopy((self.s.settings, self.s.machines, self.s.listeners))

    def back(self):
        self.s.settings, self.s.machines, self.s.listeners = copy.deepcopy(self.in_force)

    # --- wishing --------------------------------------------------------------------------------------------------------

    async def valid(self, sure=True):
        before = {m["id"]: dict(m) for m in self.s.machines}
        deeds = self.dice.sample([self._add, self._remove, self._rename, self._repace, self._limit, self._token, self._keep], self.dice.randrange(1, 4))
        for deed in deeds:
            deed()
        accepted, said = await self.t.house.reload(within=60)
        if not accepted:
            assert not sure, f"refused: {said}"
            self.failed += 1
            self.back()
            return
        self.accepted += 1
        self.in_force = self.now()
        self._note_events(before, {m["id"]: m for m in self.s.machines})

    async def invalid(self):
        mistake, words = self.dice.choice(WRONG)
        mistake(self.s)
        before = self._deaths()
        accepted, said = await self.t.house.reload(within=60)
        self.back()
        assert not accepted, f"a mistake was taken over: {words}"
        died = self._deaths() > before
        assert died or all(word in said for word in words), f"refused with {said!r}, and not because of {words}"
        self.refused += 1

    def _deaths(self):
        return self.t.weather.servers + self.t.weather.kills

    def _spare(self):
        return [m for m in self.s.machines if m["id"] in SPARE]

    def _add(self):
        free = [v for v in SPARE if all(m["id"] != v for m in self.s.machines)]
        if free:
            self.s.machine(self.dice.choice(free))

    def _remove(self):
        if self._spare():
            self.s.machines.remove(self.dice.choice(self._spare()))

    def _rename(self):
        """What clients are shown of it."""
        if self._spare():
            self.dice.choice(self._spare())["name"] = f"Carrusel {self.dice.randrange(10 ** 6)}"

    def _repace(self):
        """What its agent alone notices."""
        if self._spare():
            self.dice.choice(self._spare())["poll_interval_ms"] = self.dice.choice([20, 30, 40])

    def _limit(self):
        self.s.set("websocket", **{LIMIT_KEY: self.dice.choice(LIMITS)})

    def _token(self):
        guests = self.dice.sample(GUESTS, self.dice.randrange(len(GUESTS) + 1))
        self.s.set("auth", tokens=[{"principal": "operator", "sha256": sha256(OPERATOR)},
                                   *({"principal": f"guest{GUESTS.index(g)}", "sha256": sha256(g)} for g in guests)])

    def _keep(self):
        self.s.set("store", keep_days=self.dice.randrange(100, 400))

    def _note_events(self, before, after):
        shown = lambda m: (m.get("name"), m["ip"], m["port"], m.get("profile"))  # noqa: E731
        for machine in before.keys() | after.keys():
            was, is_ = before.get(machine), after.get(machine)
            changed = was and is_ and shown(was) != shown(is_)
            self.told["machine_removed", machine] += bool(was and (not is_ or changed))
            self.told["machine_added", machine] += bool(is_ and (not was or changed))

    # --- looking --------------------------------------------------------------------------------------------------------

    async def holds(self):
        """In every process."""
        await self.t.house.all_ready()
        self._copy_holds()
        await self._launcher_holds()
        await self._digests_agree()
        for worker in self.t.house.pids("worker."):
            await self._worker_holds(worker)
        await self._doors_hold()

    def _copy_holds(self):
        text = (self.s.runtime / "conf/current/config").read_text()
        assert text == self.s.write_conf(self.s.dir / "wished.yaml").read_text(), "the copy in force is another"

    async def _launcher_holds(self):
        wanted = {f"agent.{m['id']}" for m in self.s.machines}
        def look():
            return {name for name in self.t.house.names() if name.startswith("agent.")} == wanted and not self.t.house.not_ready()
        await until(f"agents to be {wanted}; they are {self.t.house.names()}", look, within=10)

    async def _digests_agree(self):
        """A segment shows a digest a few times a second."""
        def shown():
            return {name: values["conf_digest"] for name, values in self.s.counters.all().items() if "conf_digest" in values}
        wanted = {"broker", "store", *self.t.house.pids("worker.")}
        await until(f"broker, store and workers to show one digest: {shown()}", lambda: set(shown()) >= wanted and len(set(shown().values())) == 1)

    async def _on(self, worker, token=OPERATOR):
        """A client of the guarded door on that worker, which may be killed meanwhile."""
        for _ in range(100):
            client = await self.t.weather.comes_in("an operator", lambda: self._knock(token))
            if self.t.house.serving(client.local_port, self.port) == worker or client.close_code is not None:
                return client
            await client.close()
        raise AssertionError(f"100 connections, and none landed on {worker}")

    async def _knock(self, token):
        client = await self.s.client("operator", port=self.port, path=f"/?token={token}", welcome=False)
        del self.s.clients["operator"]
        return await greeted(client, client.next("welcome", within=CONNECT_S))

    async def _worker_holds(self, worker):
        client = await self._on(worker)
        wanted = {m["id"]: m["name"] for m in self.s.machines}
        shown = {m["id"]: m["name"] for m in client.frames[0]["machines"]}
        assert shown == wanted, f"{worker} shows {shown}, wanted {wanted}"
        size = self.s.settings["websocket"][LIMIT_KEY]
        await client.say(type="ping", padding="x" * (size - 100))
        await client.hear("pong")
        await client.say(type="ping", padding="x" * size)
        assert await client.closed() == 1009, f"{worker} bears more than {size} bytes: {client.close_code}"

    async def _doors_hold(self):
        """Guests come in exactly if they have a token; else they are closed with 1008 before they hear a word."""
        known = {t["sha256"] for t in self.s.settings["auth"]["tokens"]}
        for guest in GUESTS:
            for _ in range(3):
                client = await self.t.weather.comes_in("a guest", lambda g=guest: self._knock(g))
                came_in = bool(client.frames)
                assert came_in or client.close_code in (1008, 1006), f"a guest was closed with {client.close_code}"
                assert client.close_code == 1006 or came_in == (sha256(guest) in known), f"{guest[:7]} came in: {came_in}; known are {len(known)} tokens"
                await client.close()

    # --- judging --------------------------------------------------------------------------------------------------------

    def judge(self):
        """Each change of the machines was told once, to everybody who follows all events of all machines."""
        for follower in self.t.followers:
            if follower.kind == "all_events" and follower.all:
                heard = Counter((f.type, f["machine_id"]) for f in follower.frames if f.type in ("machine_added", "machine_removed"))
                assert heard == +self.told, f"{follower.name} heard {heard}, wanted {+self.told}"
