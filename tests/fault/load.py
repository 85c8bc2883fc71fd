"""load.py: clients who command machines without rest, and a metronome; everything that they ask and hear is recorded.

A request is known by its scope: drivers of the kinds "uuid" and "token" ask again, on another connection and worker, when theirs
dies, sometimes at once and sometimes after they know the answer; "conn" drivers cannot; "rest" drivers make each request a
connection of its own. Targets of one machine do not repeat within 256 commands, so that a byte in the simulator's log says which
request it belongs to.
"""
import json
import uuid

from websockets import WebSocketException

from stagecraft.client import Client
from stagecraft.connection import Gone
from stagecraft.httpclient import exchange, head
from stagecraft.wait import Late, limit, next_look, now, until

POSITIONS = 256
STRIDE = 37  # coprime to POSITIONS, and a short way
TOKEN = "kill-tests-token-0123456789abcdef"
PRINCIPAL = "wms"
ANSWER_S = 12.0  # deadline, reply_timeout_ms, what the broker adds before it gives up, and some; a house adds its stops
CONNECT_ERRORS = (OSError, EOFError, WebSocketException, Gone, Late)


class Asker(Client):
    """A client whose asking and hearing is recorded."""

    def __init__(self, house, name, worker, url, conn=None):
        super().__init__(name, url)
        self.house, self.record, self.worker = house, house.record, worker
        self.conn = conn or house.record.new_conn()
        self.history.repeats_allowed = True
        self.leaving = False
        self.owed = {}  # request_id: [asks, answers, successes of moves, completions]

    async def connect(self, **options):
        await super().connect(**options)
        self.record.note("open", conn=self.conn, worker=self.worker, client=self.name)
        await self.next("welcome")
        return self

    async def _read(self):
        await super()._read()
        self.record.note("closed", conn=self.conn, by="us" if self.leaving else "server", code=self.close_code)

    def _take(self, text):
        before = len(self.frames)
        super()._take(text)
        if len(self.frames) > before:
            frame = self.frames[-1]
            self.record.heard(self.conn, frame)
            owed = self.owed.get(frame.get("request_id"))
            if owed:
                answer = frame.type in ("command_result", "error")
                owed[1] += answer
                owed[2] += answer and frame.get("success") is True and frame["data"]["command_sent"] == 1
                owed[3] += frame.type == "command_completed"

    async def leave(self):
        self.leaving = True
        await self.close()

    async def ask_for(self, request):
        owed = self.owed.setdefault(request.id, [0, 0, 0, 0])
        owed[0] += 1
        owed[3] += request.asked and self.house.cuts  # who repeats is noted, but not durably: a power cut forgets him
        request.asked = True
        self.record.note("ask", conn=self.conn, **request.members(self.conn))
        try:
            argument = {} if request.argument is None else {"argument": request.argument}
            await self.say(type="send_command", machine_id=request.machine, command=request.command, **argument,
                           request_id=request.id, deadline_ms=request.deadline_ms)
        except (OSError, WebSocketException) as error:
            raise Gone(str(error)) from None

    async def answer_to(self, request, within):
        return await self.hear(request_id=request.id, within=within,
                               test=lambda f: f.type in ("command_result", "error"))

    def settled(self):
        """Nothing is owed: every ask is answered, every move that succeeded is completed."""
        return self.close_code is not None or all(o[1] >= o[0] and o[3] >= o[2] for o in self.owed.values())

    def debts(self):
        return {i: o for i, o in self.owed.items() if o[1] < o[0] or o[3] < o[2]}


class Wanted:
    """A request as a driver wants it."""

    def __init__(self, scope, machine, request_id, command, argument, deadline_ms):
        self.scope, self.machine, self.id = scope, machine, request_id
        self.command, self.argument, self.deadline_ms = command, argument, deadline_ms
        self.asked = False

    def members(self, conn):
        return {"scope": self.scope or f"c:{conn}", "machine": self.machine, "request_id": self.id, "command": self.command,
                "argument": self.argument, "deadline_ms": self.deadline_ms}


class Driver:
    """Commands one machine again and again: "conn", "uuid", "token" or "rest"."""

    def __init__(self, house, kind, machine, dice):
        self.house, self.kind, self.machine, self.dice = house, kind, machine, dice
        self.name = f"{kind}.{machine}"
        self.scope = {"conn": None, "uuid": "u:", "token": f"p:{PRINCIPAL}", "rest": "u:"}[kind]
        self.first, self.second = None, None  # connections
        self.count, self.answers = 0, 0

    async def run(self):
        step = self.one_rest if self.kind == "rest" else self.one
        while not self.house.stop.is_set():
            self.count += 1
            try:
                await step(self.want())
            except CONNECT_ERRORS as error:
                if isinstance(error, Late):
                    raise AssertionError(f"{self.name}: {error}") from None
                await next_look()

    def want(self):
        request_id = str(uuid.UUID(int=self.dice.getrandbits(128))) if self.scope == "u:" else f"{self.name}-{self.count}"
        draw = self.dice.random()
        command = 0 if draw < 0.08 else 7 if draw < 0.12 else 1
        argument = self.house.target(self.machine) if command else None
        return Wanted(self.scope, self.machine, request_id, command, argument, self.dice.randrange(400, 2500))

    # --- over WebSocket -----------------------------------------------------------------------------------------------

    async def one(self, wanted):
        self.first = await self.somewhere(self.first, stay=0.7)
        await self.first.ask_for(wanted)
        if self.scope and self.dice.random() < 0.2:
            await self.ask_elsewhere(wanted)
        answer = await self.answer(wanted)
        self.answers += 1
        if self.scope and self.dice.random() < 0.15:
            await self.ask_elsewhere(wanted)
        if answer.type == "command_result" and wanted.command == 1:
            await until(f"{self.name} to hear of the end of {wanted.id}", self.first.settled, self.house.answer_s)
        else:
            await self.house.a_moment(self.dice.random() * 0.05)

    async def answer(self, wanted):
        while True:
            try:
                return await self.first.answer_to(wanted, self.house.answer_s)
            except Gone:
                if not self.scope:
                    raise
                self.first = await self.somewhere(self.first, stay=0)
                await self.first.ask_for(wanted)

    async def ask_elsewhere(self, wanted):
        try:
            self.second = await self.somewhere(self.second, stay=0.8, other_than=self.first.worker)
            await self.second.ask_for(wanted)
        except Gone:
            pass

    async def somewhere(self, asker, stay, other_than=None):
        """The connection, if it lives and wants to stay; else a new one to any worker that serves."""
        if asker is not None and asker.connected and (self.dice.random() < stay or not asker.settled()):
            return asker
        if asker is not None:
            await asker.leave()
        while True:
            worker = self.dice.choice([w for w in self.house.workers if w != other_than])
            port = self.house.stage.actor(worker).doors["token" if self.kind == "token" else "carousel"]
            path = f"/?token={TOKEN}" if self.kind == "token" else "/"
            try:
                return await Asker(self.house, self.name, worker, f"ws://127.0.0.1:{port}{path}").connect()
            except CONNECT_ERRORS:
                await next_look()

    async def finish(self):
        """Waits until nothing is owed any more, and leaves."""
        for asker in (self.first, self.second):
            if asker is not None:
                asker.keep_rules()
                await until(f"{self.name} to be told what it is owed on {asker.conn} of {asker.worker}: {asker.debts()}",
                            asker.settled, self.house.answer_s)

    async def leave(self):
        for asker in (self.first, self.second):
            if asker is not None:
                await asker.leave()

    # --- over REST ------------------------------------------------------------------------------------------------------

    async def one_rest(self, wanted):
        while not await self.post(wanted):
            await next_look()
        self.answers += 1
        await self.house.a_moment(self.dice.random() * 0.1)

    async def post(self, wanted):
        """True if it was answered."""
        record, conn = self.house.record, self.house.record.new_conn()
        worker = self.dice.choice(self.house.workers)
        body = {"command": wanted.command, "deadline_ms": wanted.deadline_ms}
        if wanted.argument is not None:
            body["argument"] = wanted.argument
        body = json.dumps(body).encode()
        data = head("POST", f"/v1/machines/{wanted.machine}/command", len(body), Content_Type="application/json",
                    Idempotency_Key=wanted.id) + body
        record.note("open", conn=conn, worker=worker, client=self.name)
        record.note("ask", conn=conn, **wanted.members(conn))
        try:
            answer = await exchange(self.house.stage.actor(worker).doors["rest"], data, within=self.house.answer_s)
        except (OSError, EOFError, AssertionError) as error:
            if isinstance(error, Late):
                raise AssertionError(f"{self.name}: {wanted.id}: {error}") from None
            self.house.record.note("closed", conn=conn, by="server", code=0)
            return False
        told = answer.json()
        record.note("heard", conn=conn, machine=wanted.machine, request_id=wanted.id, kind="answer", code=told["code"],
                    text=told["error"])
        record.note("closed", conn=conn, by="us", code=answer.status)
        return True


class Metronome:
    """A machine that is turned by hand all the time, so that a silence shows."""

    EVERY_S = 0.02

    def __init__(self, house, machine):
        self.house, self.machine, self.position = house, machine, 0

    async def run(self):
        due = now()
        while not self.house.stop.is_set():
            self.position = (self.position + 1) % POSITIONS
            await self.house.sim.place(self.machine, self.position)
            due = max(due + self.EVERY_S, now())
            await until("the next beat", lambda: now() >= due, limit(5))

    def is_after(self, position, before):
        return 0 < (position - before) % POSITIONS < POSITIONS // 2
