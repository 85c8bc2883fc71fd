"""store_load.py: who uses the store while processes die: writers over REST, listeners of channels, somebody who raises and clears alarms. Everything
that they ask, are told and hear is written down (store_story.py says how); nothing is judged here but manners: how a connection may end, the form of
frames and answers.

A writer asks one thing at a time, at a worker that it chooses. Each request says something that nobody else ever says (a model, a description, a
time of measurement), so that an event names the request that it comes from. What is known of rows is shared among writers, so that they get in each
other's way: 412, 404 and 409 happen.
"""
import json
import time

from stagecraft.channel import ChannelClient, channel_path
from stagecraft.database import iso
from stagecraft.httpclient import Cut
from stagecraft.channel_frames import ENTITIES
from stagecraft.sensors import Api
from stagecraft.wait import next_look, now, until

from load import CONNECT_ERRORS
from store_story import BEGIN

ANSWER_S = 15.0   # STORE_CALL_DEADLINE_MS, what the worker adds, and some
SENSORS_MAX = 40
MEASURED_AT = 1_000_000_000_000  # ms; reading k of request n: + n * 1000 + k
DEEDS = {"create_sensor": 10, "update_sensor": 12, "delete_sensor": 3, "create_reading": 24, "create_many": 7, "update_reading": 5, "delete_reading": 4,
         "create_location": 7, "update_location": 3, "take_place": 2, "delete_location": 2, "generate": 6, "create_prediction": 2, "solve": 5, "detect": 2, "say_test": 4, "read": 10,
         "same": 3, "invalid": 3}
TEST_CHANNELS = ["general", "sensors", "readings", "anomalies"]


class Known:
    """Rows that writers were told of, as they were told last: {entity: {id: (row, version)}}."""

    def __init__(self):
        self.rows = {entity: {} for entity in ENTITIES}

    def take(self, entity, row, version):
        self.rows[entity][row["id"]] = (row, version)

    def forget(self, entity, id):
        self.rows[entity].pop(id, None)

    def any(self, entity, dice):
        """(row, version), or None."""
        rows = self.rows[entity]
        return rows[dice.choice(list(rows))] if rows else None


class Writer:
    def __init__(self, house, name, dice):
        self.house, self.name, self.dice, self.known = house, name, dice, house.known
        self.answers = 0

    async def run(self):
        while not self.house.stop.is_set():
            deed = self.dice.choices(list(DEEDS), list(DEEDS.values()))[0]
            if not await getattr(self, "_" + deed)():
                await self._create_sensor()
            if self.dice.random() < 0.5:
                await self.house.a_moment(self.dice.random() * 0.02)

    async def ask(self, op, entity, method, path, body=None, query=None, id=None, etag=None, tags=(), n=None):
        """One request; its answer, or None if the connection ended without one."""
        record, worker = self.house.record, self.dice.choice(self.house.workers)
        api = Api(self.house.stage.actor(worker).doors["channels"], within=ANSWER_S + self.house.stops_s)
        headers = {"If_Match": f'"{etag}"'} if etag is not None else {}
        record.note("ask", n=n, writer=self.name, worker=worker, op=op, entity=entity, id=id, etag=etag, tags=list(tags), body=body)
        try:
            reply = await api.request(method, path, body, query, **headers)
        except (OSError, EOFError, Cut):
            record.note("silent", n=n)
            await next_look()
            return None
        told = json.loads(reply.body) if reply.body else None
        version = int(reply.headers["etag"].strip('"')) if "etag" in reply.headers else None
        record.note("told", n=n, status=reply.status, etag=version, body=told)
        self.answers += 1
        self.house.answered(reply.status)
        if reply.status in (404, 204) and id is not None:
            self.known.forget(entity, id)
        if reply.status == 503:
            await self.house.a_moment(0.02)
        return (told, version) if 200 <= reply.status < 300 else None

    async def write(self, op, entity, method, path, body=None, **more):
        """One whose answer is a row."""
        done = await self.ask(op, entity, method, path, body, **more)
        if done is not None and done[0] is not None:
            self.known.take(entity, *done)
        return True

    def number(self):
        return self.house.next_number()

    def path(self, entity, id=None):
        name = ENTITIES[entity][self.dice.random() < 0.1]  # now and then the alias
        return f"/{name}" + (f"/{id}" if id is not None else "")

    def maybe(self, version):
        """Half of all who change something say which version they mean."""
        return version if self.dice.random() < 0.5 else None

    # --- sensors ----------------------------------------------------------------------------------------------------------

    async def _create_sensor(self):
        if len(self.known.rows["sensor"]) >= SENSORS_MAX:
            return await self._update_sensor()
        n = self.number()
        body = {"tipo": self.dice.choice(["temperatura", "humedad", "año ñandú", "t\\\"<x>"]), "modelo": f"M{n}"}
        return await self.write("create", "sensor", "POST", self.path("sensor"), body, n=n, tags=[body["modelo"]])

    async def _update_sensor(self):
        return await self._update("sensor", lambda n: {"modelo": f"M{n}", **({"tipo": "temperatura"} if self.dice.random() < 0.3 else {})}, "modelo")

    async def _update(self, entity, change, member):
        found = self.known.any(entity, self.dice)
        if found is None:
            return False
        row, version = found
        n = self.number()
        body = change(n)
        return await self.write("update", entity, "PUT", self.path(entity, row["id"]), body, id=row["id"], etag=self.maybe(version), n=n,
                                tags=[body[member]])

    async def _delete(self, entity):
        found = self.known.any(entity, self.dice)
        if found is None:
            return False
        await self.ask("delete", entity, "DELETE", self.path(entity, found[0]["id"]), id=found[0]["id"], etag=self.maybe(found[1]), n=self.number())
        return True

    async def _delete_sensor(self):
        return await self._delete("sensor")

    async def _same(self):
        """Changes nothing."""
        found = self.known.any("sensor", self.dice)
        if found is None:
            return False
        row, version = found
        return await self.write("same", "sensor", "PUT", self.path("sensor", row["id"]), {"modelo": row["modelo"]}, id=row["id"], etag=version, n=self.number())

    # --- readings and anomalies -----------------------------------------------------------------------------------------

    def reading(self, sensor, n, k=0):
        anomalous = self.dice.random() < 0.25
        temperature = self.dice.choice([-3.25, 4.5, 36.125, 55]) if anomalous else round(self.dice.gauss(21, 2), self.dice.randrange(5))
        humidity = self.dice.choice([3.5, 95.25, 50, 50]) if anomalous else round(self.dice.gauss(50, 5), self.dice.randrange(5))
        return {"sensor_id": sensor, "temperatura": temperature, "humedad": humidity, "timestamp": iso(MEASURED_AT + n * 1000 + k)}

    async def _create_reading(self):
        found = self.known.any("sensor", self.dice)
        if found is None:
            return False
        n = self.number()
        body = self.reading(found[0]["id"], n)
        return await self.write("create", "lectura", "POST", self.path("lectura"), body, n=n, tags=[body["timestamp"]])

    async def _create_many(self):
        found = self.known.any("sensor", self.dice)
        if found is None:
            return False
        n = self.number()
        rows = [self.reading(found[0]["id"], n, k) for k in range(self.dice.choice([1, 2, 5, 20]))]
        done = await self.ask("bulk", "lectura", "POST", self.path("lectura"), rows, n=n, tags=[row["timestamp"] for row in rows])
        for row in done[0][:5] if done is not None else []:
            self.known.take("lectura", row, 1)
        return True

    async def _update_reading(self):
        return await self._update("lectura", lambda n: {"timestamp": iso(MEASURED_AT + n * 1000)}, "timestamp")

    async def _delete_reading(self):
        return await self._delete("lectura")

    async def _solve(self):
        found = self.known.any("anomalia", self.dice)
        if found is None:
            return await self._look_for_anomalies()
        id = found[0]["id"]
        return await self.write("solve", "anomalia", "PUT", self.path("anomalia", id), {"resuelta": True}, id=id, n=self.number())

    async def _detect(self):
        found = self.known.any("lectura", self.dice)
        if found is None:
            return False
        id = found[0]["id"]
        done = await self.ask("detect", "lectura", "POST", f"/anomalies/detect/{id}", id=id, n=self.number())
        for row in done[0] if done is not None else []:
            self.known.take("anomalia", row, 1)
        return True

    async def _look_for_anomalies(self):
        """What detection has made; not noted, it asks for nothing."""
        api = Api(self.house.stage.actor(self.dice.choice(self.house.workers)).doors["channels"], within=ANSWER_S + self.house.stops_s)
        try:
            reply = await api.get("/anomalies/recent", hours=1)
        except (OSError, EOFError, Cut):
            return True
        for row in (json.loads(reply.body) if reply.status == 200 else [])[:20]:
            if row["lectura_id"] is not None and not row["resuelta"]:
                self.known.take("anomalia", row, 1)
        return True

    # --- locations and predictions ----------------------------------------------------------------------------------------

    async def _create_location(self):
        found = self.known.any("sensor", self.dice)
        if found is None:
            return False
        n = self.number()
        body = {"sensor_id": found[0]["id"], "latitud": n % 17000 / 100 - 85, "longitud": n // 17000 + n % 100 / 1000, "descripcion": f"L{n} ñ"}
        return await self.write("create", "ubicacion", "POST", self.path("ubicacion"), body, n=n, tags=[body["descripcion"]])

    async def _take_place(self):
        """Where somebody is, or was."""
        found = self.known.any("ubicacion", self.dice)
        if found is None:
            return False
        n = self.number()
        body = {"sensor_id": found[0]["sensor_id"], "latitud": found[0]["latitud"], "longitud": found[0]["longitud"], "descripcion": f"L{n} ñ"}
        return await self.write("create", "ubicacion", "POST", self.path("ubicacion"), body, n=n, tags=[body["descripcion"]])

    async def _update_location(self):
        return await self._update("ubicacion", lambda n: {"descripcion": f"L{n} ñ"}, "descripcion")

    async def _delete_location(self):
        return await self._delete("ubicacion")

    async def _create_prediction(self):
        return await self._predict("create", "/predictions", lambda: {"probabilidad": round(self.dice.random(), 6)})

    async def _generate(self):
        return await self._predict("generate", "/predictions/generate", lambda: {"temperatura_promedio": 30.5, "humedad_promedio": round(self.dice.random() * 90, 3)})

    async def _predict(self, op, path, members):
        found = self.known.any("ubicacion", self.dice)
        if found is None:
            return False
        n = self.number()
        body = {"ubicacion_id": found[0]["id"], **members(), "comentario": f"P{n}"}
        return await self.write(op, "prediccion", "POST", path, body, n=n, tags=[body["comentario"]])

    # --- and the rest -------------------------------------------------------------------------------------------------------

    async def _say_test(self):
        n, channel = self.number(), self.dice.choice(TEST_CHANNELS)
        text = f"T{n}@{channel}"
        await self.ask("test", None, "POST", "/ws/test-event", query={"channel": channel, "message": text}, n=n, tags=[text])
        return True

    async def _read(self):
        entity = self.dice.choice(list(ENTITIES))
        found = self.known.any(entity, self.dice)
        if found is None:
            return False
        id = found[0]["id"]
        return await self.write("read", entity, "GET", self.path(entity, id), id=id, n=self.number())

    async def _invalid(self):
        n = self.number()
        path, body = self.dice.choice([("/sensors", {"tipo": f"X{n}"}), ("/readings", {"sensor_id": 1, "temperatura": 61, "humedad": 50}),
                                       ("/locations", {"sensor_id": 1, "latitud": 91, "longitud": 0}), ("/readings", [])])
        await self.ask("invalid", None, "POST", path, body, n=n)
        return True


class Listening(ChannelClient):
    """Writes down what it hears."""

    def __init__(self, listener, url):
        super().__init__(listener.name, url, listener.channel)
        self.listener = listener

    def keep_frame(self, text):
        self.listener.note(frame=text)
        super().keep_frame(text)
        frame = self.frames[-1]
        if frame.seq is not None:
            self.listener.since = frame["seq"]
        if frame.type == "system_event":
            self.listener.said.add(frame["message"])
            if frame["message"] == f"{BEGIN}@{self.channel}":
                self.listener.began = frame
        if len(self.frames) > 100:
            self.frames[:] = self.frames[-1:]


class Listener:
    """One who wants to hear a channel all his life, over many connections. `stays`: on a worker that nobody kills."""

    def __init__(self, house, name, channel, dice, stays=None):
        self.house, self.name, self.channel, self.dice, self.stays = house, name, channel, dice, stays
        self.client, self.life, self.since, self.said = None, None, None, set()
        self.began = None  # the first event of all
        path = house.stage.dir / "heard"
        path.mkdir(exist_ok=True)
        self._file = open(path / f"{name}.jsonl", "w")

    def note(self, **members):
        self._file.write(json.dumps({"at": time.monotonic_ns(), **members}, separators=(",", ":")) + "\n")

    def heard_elsewhere(self, frame):
        """It knows this frame, and that is all; its seq."""
        self.note(join=self.channel, worker="", since=None)
        self.note(frame=frame.text)
        return frame["seq"]

    async def come(self):
        """Until it is there."""
        while self.client is None:
            worker = self.stays or self.dice.choice(self.house.workers)
            life = self.house.life(worker)
            port = self.house.stage.actor(worker).doors["channels"]
            client = Listening(self, f"ws://127.0.0.1:{port}{channel_path(self.channel, since=self.since)}")
            self.note(join=self.channel, worker=worker, since=self.since)
            try:
                await client.connect()
                self.client, self.life = client, life
            except CONNECT_ERRORS:
                await next_look()

    async def run(self):
        while not self.house.stop.is_set():
            if self.client is None:
                await self.come()
            elif not self.client.connected:
                await self.dropped()
            elif not self.stays and f"{BEGIN}@{self.channel}" in self.said and self.dice.random() < 0.15:
                await self.go()
            await self.house.a_moment(self.dice.random() * 0.2)

    async def go(self):
        client, self.client = self.client, None
        if self.dice.random() < 0.5:
            client.socket.transport.abort()
        await client.close()
        client.keep_rules()
        self.note(left="us")

    async def dropped(self):
        """Whoever was dropped, was dropped by the death of his worker."""
        client, self.client = self.client, None
        client.keep_rules()
        self.note(left=client.close_code)
        await until(f"the worker of {self.name} to be dead: it was closed with {client.close_code} {client.close_reason!r}",
                    lambda: self.house.is_over(self.life))

    async def hears(self, message, within):
        """Waits until a system event was heard, over as many connections as it takes."""
        deadline = now() + within
        while message not in self.said:
            if self.client is None:
                await self.come()
            elif not self.client.connected:
                await self.dropped()
            self.client and self.client.keep_rules()
            assert now() < deadline, f"{self.name} ({self.channel}, since {self.since} at {self.life}) waited {within:g} s for {message!r}"
            await next_look()

    async def leave(self):
        if self.client is not None:
            await self.go()
        self._file.close()


class Alarms:
    """Raises and clears conditions of machines."""

    CONDITIONS = ["alarm", "estop", "drive_fault", "positioning_error"]

    def __init__(self, house, machines, dice):
        self.house, self.machines, self.dice, self.on = house, machines, dice, set()

    async def run(self):
        while not self.house.stop.is_set():
            machine = self.dice.choice(list(self.machines))
            condition = self.dice.choice(self.machines[machine])
            self.on ^= {(machine, condition)}
            await self.house.sim.condition(machine, condition, (machine, condition) in self.on)
            await self.house.a_moment(0.02 + self.dice.random() * 0.1)


class Noise:
    """Somebody's stream messages, which fill the same ring."""

    BYTES, EVERY_S = 20_000, 0.08  # a ring of 1 MiB goes round in some four seconds

    def __init__(self, house, client):
        self.house, self.client = house, client

    async def run(self):
        while not self.house.stop.is_set():
            await self.client.say(ws_op="send", ws_msg="x" * self.BYTES)
            await self.house.a_moment(self.EVERY_S)
