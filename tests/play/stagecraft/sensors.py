"""sensors.py: a client of the REST API under /api/v1. Every answer is held against the rules that all of them share: compact JSON, members in order,
times with milliseconds and Z, an ETag on one entity, {"detail":…} with every refusal, a 422's list of {loc,type,msg}.

    api = s.api(on="w1")
    sensor = await api.create("sensor", tipo="temperatura", modelo="DHT22")      201; the row, with .etag
    await api.update(sensor, modelo="DHT11")                                     200; the row as it is now
    await api.update(sensor, if_match=sensor.etag, modelo="x")                   412
    (await api.get("/sensors/7")).refused(404)
"""
import json
import re
from urllib.parse import quote, urlencode

from .channel_frames import ENTITIES, TIMES, Frame, check_frame, check_order, check_text, parts_of, row_members
from .frames import TIMESTAMP
from .httpclient import Answer, exchange, head
from .wait import until

ROOT = "/api/v1"
ETAG = re.compile(r'^"(\d+)"$')


class Row(dict):
    """An entity as an answer shows it."""

    def __init__(self, entity, members, etag=None):
        super().__init__(members)
        self.entity, self.etag = entity, etag

    @property
    def id(self):
        return self["id"]

    @property
    def path(self):
        return f"/{ENTITIES[self.entity][0]}/{self.id}"


def check_row(entity, row, text, more=()):
    """`more`: members behind the entity's own (distancia_km)."""
    check_order(row, row_members(entity) + list(more), text)
    assert type(row["id"]) is int and row["id"] > 0, text
    for member in TIMES & row.keys():
        assert TIMESTAMP.match(row[member]) if row[member] is not None else member == "resuelta_at", f"{member}: {text}"
    assert row["updated_at"] >= row["created_at"], text
    return row


class Api:
    """`port`: a number, or a function that says it."""

    def __init__(self, port, token=None, within=5.0):
        self._port, self.token, self.within = port, token, within

    @property
    def port(self):
        return self._port() if callable(self._port) else self._port

    async def request(self, method, path, body=None, query=None, within=None, **headers):
        """`path` below /api/v1, or a whole one. `body`: an object (sent as JSON), or text or bytes as they stand. The answer, its form checked."""
        path = path if path.startswith(("/api/", "/auth/")) else ROOT + path
        path += "?" + urlencode({k: v for k, v in query.items() if v is not None}, quote_via=quote) if query else ""
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body, ensure_ascii=False)
        body = body.encode() if isinstance(body, str) else body
        if body is not None:
            headers = {"Content_Type": "application/json", **headers}
        if self.token is not None:
            headers = {"Authorization": f"Bearer {self.token}", **headers}
        data = head(method, path, None if body is None else len(body), **headers) + (body or b"")
        answer = await exchange(self.port, data, within or self.within, head_only=method == "HEAD")
        answer.__class__ = Reply
        return answer.check(method)

    async def get(self, path, **query):
        return await self.request("GET", path, query=query)

    async def post(self, path, body=None, query=None, **headers):
        return await self.request("POST", path, body, query, **headers)

    # --- entities --------------------------------------------------------------------------------------------------------

    async def create(self, entity, **members):
        return (await self.post(f"/{ENTITIES[entity][0]}", members)).row(entity, 201)

    async def create_many(self, rows):
        """Readings; the rows, in order."""
        return (await self.post("/readings", rows)).rows("lectura", 201)

    async def read(self, entity, id):
        return (await self.get(f"/{ENTITIES[entity][0]}/{id}")).row(entity)

    async def list(self, entity, **filters):
        return (await self.get(f"/{ENTITIES[entity][0]}", **filters)).rows(entity)

    async def all(self, entity, page=1000):
        """Every row, page by page."""
        rows = []
        while True:
            more = await self.list(entity, skip=len(rows), limit=page)
            rows += more
            if len(more) < page:
                return rows

    async def put(self, row, if_match=None, **members):
        """The answer, whatever it is."""
        return await self.request("PUT", row.path, members, **({"If_Match": if_match} if if_match else {}))

    async def update(self, row, if_match=None, **members):
        return (await self.put(row, if_match, **members)).row(row.entity)

    async def delete(self, row, if_match=None):
        answer = await self.request("DELETE", row.path, **({"If_Match": if_match} if if_match else {}))
        assert answer.status == 204, answer

    # --- events and statistics ----------------------------------------------------------------------------------------------

    async def events(self, channel=None, since=None, limit=None):
        """Frames, as a client of the channel would have heard them."""
        return (await self.get("/events", channel=channel, since=since, limit=limit)).frames()

    async def all_events(self, channel=None, page=1000):
        """From the beginning, page by page."""
        events = []
        while True:
            more = await self.events(channel, events[-1]["seq"] if events else None, page)
            events += more
            if len(more) < page:
                return events

    async def stats(self, channel=None, or_none=False):
        """503, where not every worker could be asked, says to try again: that is done. `or_none`: not here; None."""
        async def ask():
            answer = await self.get("/ws/stats" + (f"/{quote(channel, safe='')}" if channel is not None else ""))
            assert answer.status in (200, 503), answer
            return answer.json() if answer.status == 200 else None
        return await (ask() if or_none else until("every worker to be asked for its statistics", ask, 15))


class Reply(Answer):
    """An answer of the API under /api/v1."""

    def check(self, method):
        if self.status in (204, 304):
            assert self.body == b"", self
        elif method != "HEAD" and self.headers.get("content-type") == "application/json":
            text = self.body.decode()
            check_text(text)
            if self.status >= 400:
                self._check_refusal(text)
        return self

    def _check_refusal(self, text):
        answer = json.loads(text)
        check_order(answer, ["detail", "[loc]"], text)  # loc: which of many rows
        assert answer["detail"], text
        if self.status == 422 and isinstance(answer["detail"], list):
            for one in answer["detail"]:
                check_order(one, ["loc", "type", "msg"], text)
        else:
            assert isinstance(answer["detail"], str), text

    def refused(self, status, detail=None):
        """Its detail; `detail`: that it must be, or a function that must be content with it."""
        assert self.status == status, f"wanted {status}, got {self!r}"
        told = self.json()["detail"]
        assert detail is None or (detail(told) if callable(detail) else told == detail), f"wanted {detail!r}, got {told!r}"
        return told

    def row(self, entity, status=200):
        assert self.status == status, f"wanted {status}, got {self!r}"
        etag = self.headers.get("etag")
        assert etag and ETAG.match(etag), f"an ETag: {self!r}"
        return Row(entity, check_row(entity, self.json(), self.body.decode()), etag)

    def rows(self, entity, status=200, more=()):
        assert self.status == status, f"wanted {status}, got {self!r}"
        return [Row(entity, check_row(entity, row, self.body.decode(), more)) for row in self.json()]

    def frames(self):
        """Events, each checked as if it had been heard."""
        assert self.status == 200, f"wanted 200, got {self!r}"
        found = [Frame(text) for text in parts_of(self.body.decode())]
        for frame in found:
            check_frame(frame.text, frame)
            assert frame.type in ("entity_event", "system_event") and frame.seq, frame.text
        return found
