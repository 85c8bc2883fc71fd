"""caller.py: a client of an endpoint over a connection (connection.py).

    c = await s.caller("c1", "/chat", on="w1")
    await c.ask({"message": "Hi"}, 200, {"message": "Hi"})         says it; exactly the next answer is this
    await c.next(500)                                               exactly the next; its Answer
    await c.refused({}, ("missing", ["message"]))                   400, errors of these types and places, in this order

Every frame of a validated endpoint is checked on arrival: compact JSON of exactly statusCode and body, a legal status, null with 204, a
text or a binary frame as the endpoint says. What a traditional endpoint says is kept as it came, str or bytes.
"""
import json

from .connection import Connection
from .scripts import compact
from .wait import limit, now

STATUSES = {200, 201, 202, 204, 400, 401, 403, 404, 409, 422, 429, 500, 503}
ANY = object()
FAILED = {"errorList": [{"loc": [], "type": "handler_failed", "msg": "The handler failed"}]}
TIMEOUT = {"errorList": [{"loc": [], "type": "handler_timeout", "msg": "The handler did not answer in time"}]}
UNAVAILABLE = {"errorList": [{"loc": [], "type": "handler_unavailable", "msg": "No handler is available"}]}


class Answer:
    def __init__(self, text, envelope):
        self.text, self.heard_at = text, now()
        self.status, self.body = envelope if envelope else (None, text)

    def __repr__(self):
        return repr(self.text[:300])


class Caller(Connection):
    hears_binary = True

    def __init__(self, name, url, traditional=False, binary=False):
        super().__init__(name, url)
        self.traditional, self.binary = traditional, binary

    def keep_frame(self, text):
        self.frames.append(Answer(text, None if self.traditional else self.envelope(text)))

    def envelope(self, data):
        assert isinstance(data, bytes) == self.binary, f"a {type(data).__name__} frame: {data!r}"
        text = data.decode() if self.binary else data
        floats = []
        told = json.loads(text, parse_float=lambda number: floats.append(number) or float(number), parse_constant=refuse)
        assert list(told) == ["statusCode", "body"], f"members: {text}"
        assert floats or text == compact(told), f"not compact, or escaped: {text!r}"
        assert told["statusCode"] in STATUSES, text
        assert told["statusCode"] != 204 or told["body"] is None, text
        return told["statusCode"], told["body"]

    # --- hearing ------------------------------------------------------------------------------------------------------

    async def next(self, status=ANY, body=ANY, within=10.0):
        """Exactly the next frame. Of a traditional endpoint, `body` alone, as it came."""
        answer = await self._frame_at(self.cursor, now() + limit(within), f"its next answer{'' if status is ANY else f', {status}'}")
        self.cursor += 1
        assert status is ANY or answer.status == status, f"{self.name}: wanted {status}, heard {answer}"
        assert body is ANY or answer.body == body, f"{self.name}: wanted {body!r}, heard {answer}"
        return answer

    async def hear(self, test, within=10.0):
        """The first frame from the cursor on that fits; others before it are skipped."""
        deadline, index = now() + limit(within), self.cursor
        while True:
            answer = await self._frame_at(index, deadline, "a frame that fits")
            index += 1
            if test(answer):
                self.cursor = index
                return answer

    async def raw(self, text, within=10.0):
        """Exactly the next frame of a traditional endpoint."""
        return await self.next(body=text, within=within)

    # --- speaking and hearing -----------------------------------------------------------------------------------------

    async def ask(self, message, status=ANY, body=ANY, within=10.0):
        await self.say(message)
        return await self.next(status, body, within)

    async def refused(self, message, *errors):
        """`errors`: (type, loc), all of them in order."""
        answer = await self.ask(message, 400)
        assert list(answer.body)[:1] == ["errorList"], answer
        told = answer.body["errorList"]
        assert all(list(e) == ["loc", "type", "msg"] and e["msg"] for e in told), answer
        assert [(e["type"], e["loc"]) for e in told] == list(errors), f"{self.name}: wanted {errors}, heard {answer}"
        return answer

    async def act(self, *steps, n=None):
        """A message with steps for the scripted handler; its answer is not waited for."""
        await self.say({"n": n, "do": list(steps)})


def refuse(constant):
    raise ValueError(f"{constant} is no JSON")
