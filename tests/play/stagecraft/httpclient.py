"""httpclient.py: one HTTP request per connection, byte by byte where a play wants it, and every answer held against the
rules that all of them share: a right Content-Length, `Connection: close` and then the end, and, for REST, the envelope.
"""
import asyncio
import json
import re

from .wait import settle

ENVELOPE = ["success", "data", "error", "code", "timestamp"]
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Cut(AssertionError):
    """The connection ended before the answer did."""


class Answer:
    def __init__(self, raw, head_only=False):
        head, separator, self.body = raw.partition(b"\r\n\r\n")
        if not separator:
            raise Cut(f"no whole head: {raw!r}")
        first, *lines = head.decode("ascii").split("\r\n")
        assert first.startswith("HTTP/1.1 "), first
        self.status = int(first.split(" ")[1])
        self.headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name.lower() not in self.headers, f"{name} twice"
            self.headers[name.lower()] = value
        assert self.headers["connection"] == "close", self.headers
        if self.status not in (204, 304) and not head_only:
            if int(self.headers["content-length"]) > len(self.body):
                raise Cut(f"{len(self.body)} bytes of a body: {self.headers}")
            assert int(self.headers["content-length"]) == len(self.body), (self.headers, len(self.body))

    def __getitem__(self, member):
        return self.json()[member]

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"

    def json(self):
        assert self.headers["content-type"] == "application/json", self.headers
        return json.loads(self.body)

    def envelope(self, status, code=None, machine=None):
        """Checks the form of a REST answer; returns its data."""
        assert self.status == status, f"wanted {status}, got {self!r}"
        answer = self.json()
        text = self.body.decode()
        assert text == json.dumps(answer, ensure_ascii=False, separators=(",", ":")), f"not compact: {text}"
        assert list(answer) == ENVELOPE + (["machine_id"] if machine else []), text
        assert STAMP.fullmatch(answer["timestamp"]), text
        assert answer["success"] is (status == 200), text
        assert answer["code"] == code, f"wanted {code}: {text}"
        assert answer.get("machine_id") == machine, text
        if status == 200:
            assert answer["error"] is None and answer["data"] is not None, text
        else:
            assert answer["data"] is None and isinstance(answer["error"], str) and answer["error"], text
        return answer["data"]


def head(method, path, length=None, **headers):
    fields = {"Host": "127.0.0.1", **{k.replace("_", "-"): v for k, v in headers.items()}}
    if length is not None:
        fields["Content-Length"] = length
    lines = [f"{method} {path} HTTP/1.1"] + [f"{k}: {v}" for k, v in fields.items() if v is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def exchange(port, data, within=5.0, head_only=False):
    """Sends bytes, reads until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        return Answer(await settle("an answer", reader.read(), within), head_only)
    finally:
        writer.close()


async def get(port, path, method="GET", within=5.0, **headers):
    return await exchange(port, head(method, path, **headers), within, head_only=method == "HEAD")


async def post(port, path, body, within=5.0, **headers):
    """`body`: an object (sent as JSON), or text or bytes as they stand."""
    if not isinstance(body, (str, bytes)):
        body = json.dumps(body)
    body = body.encode() if isinstance(body, str) else body
    headers = {"Content_Type": "application/json", **headers}
    return await exchange(port, head("POST", path, len(body), **headers) + body, within)


def http_listener(stage, dialects=("rest",), **settings):
    """Adds a listener to the stage's configuration; returns its port."""
    port = stage.ports.take()
    name = f"http{len(stage.listeners)}"
    stage.listeners.append({"name": name, "dialects": list(dialects), "address": "127.0.0.1", "port": port, **settings})
    return port
