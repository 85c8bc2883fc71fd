"""handshakes.py: hostile, broken and unusual request heads against a real worker, each with the one status it must get.

The answer must be whole (status line, a Content-Length that is true, `Connection: close`), alone on its connection, and
followed by the end of TCP without a reset. After all of them, the worker's counters must have moved by exactly what the
table says, and a good client must have been served all along.
"""
import asyncio
import base64
import json
import os

from .case import Failed, Wire, show
from .codec import CLOSE, TEXT, close, frame

KEY = base64.b64encode(bytes(range(16))).decode()
GOOD = [("Host", "HOST"), ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13")]
SLOW = float(os.environ.get("NORIA_PLAY_SLOW", "1"))
LISTED = "https://wms.example"
TOKEN = "carrusel-7"


class Probe:
    """`writes`: bytes, or a list of them; `holds`: words that the answer's head must have."""

    def __init__(self, name, cite, status, writes, holds=(), listener="carousel", last=None):
        self.name, self.cite, self.status, self.holds, self.listener = name, cite, status, holds, listener
        self.writes, self.last = [writes] if isinstance(writes, bytes) else list(writes), last

    def __repr__(self):
        return f"{self.name} -> {self.status} ({self.cite})"


def head(line="GET / HTTP/1.1", drop=(), end=b"\r\n", **changes):
    """The bytes of an upgrade: `drop` and keyword changes (Name_with_underscores) edit the good one; add=[…] appends."""
    added = changes.pop("add", [])
    fields = [(name, changes.pop(name.replace("-", "_"), value)) for name, value in GOOD if name not in drop]
    fields += [(name.replace("_", "-"), value) for name, value in changes.items()] + added
    lines = [line.encode("latin-1")] + [f"{name}: {value}".encode("latin-1") for name, value in fields]
    return end.join(lines) + end * 2


def raw_line(line):
    """A good head with one more line, as it stands."""
    if isinstance(line, str):
        line = line.encode("latin-1")
    return head(Host="noria")[:-2] + line + b"\r\n\r\n"


def request_lines():
    for method in ("HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "get", "PROPFIND", "X"):
        yield Probe(f"method/{method}", "6455 4.2.1", 405, head(f"{method} / HTTP/1.1"), ["Allow: GET"])
    for bad in ("G(T", "GET\"", "G@T", "GÉT"):
        yield Probe(f"method/no-word-{bad!a}", "9110 5.6.2", 400, head(f"{bad} / HTTP/1.1"))
    for version in ("HTTP/1.0", "HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/3.0", "HTTP/9.9"):
        yield Probe(f"version/{version}", "9110 15.6.6", 505, head(f"GET / {version}"))
    for version in ("HTTP/1.10", "HTTP/11", "http/1.1", "HTTP/1.x", "HTTPS/1.1", "HTTP/", "HTTP", "ICY/1.1", "HTTP/-1.1", "RTSP/1.0"):
        yield Probe(f"version/{version}", "9112 2.3", 400, head(f"GET / {version}"))
    for name, line in {"no-version": "GET /", "only-a-method": "GET", "two-spaces": "GET  / HTTP/1.1", "space-at-end": "GET / HTTP/1.1 ",
                       "space-before": " GET / HTTP/1.1", "tab": "GET\t/ HTTP/1.1", "space-in-target": "GET /a b HTTP/1.1",
                       "empty-target": "GET  HTTP/1.1"}.items():
        yield Probe(f"request-line/{name}", "9112 3", 400, head(line))
    yield Probe("request-line/empty-line-before", "9112 2.2", 400, b"\r\n" + head())
    yield Probe("request-line/bom", "9112 2.2", 400, b"\xef\xbb\xbf" + head())
    yield Probe("preface/http2", "9113 3.4", 505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0")
    yield Probe("preface/tls", "8446 5.1", 400, bytes.fromhex("16030100c8010000c40303") + bytes(190))
    yield Probe("preface/sslv2", "6101 E", 400, bytes.fromhex("802e0100020015000000100100800700c0") + bytes(31))
    yield Probe("preface/ssh", "4253 4.2", 400, b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    yield Probe("preface/proxy-v1", "haproxy", 400, b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + head())
    yield Probe("preface/proxy-v2", "haproxy", 400, b"\r\n\r\n\0\r\nQUIT\n" + bytes(16))
    yield Probe("preface/rubbish", "9112 3", 400, bytes(range(128, 256)))


def targets():
    for name, target in {"absolute": "http://127.0.0.1/", "absolute-https": "https://evil.example/", "authority": "127.0.0.1:80",
                         "asterisk": "*", "relative": "x", "query-alone": "?a=1", "fragment": "/a#b", "fragment-in-query": "/?a=1#b",
                         "backslash": "/a\\b", "angle": "/<a>", "quote": '/"', "percent-nul": "/%00", "percent-nul-in-query": "/?a=%00",
                         "percent-one-digit": "/%4", "percent-no-digit": "/%", "percent-no-hex": "/%zz", "percent-half": "/%4g",
                         "non-ascii": "/ñ", "ws-scheme": "ws://127.0.0.1/"}.items():
        yield Probe(f"target/{name}", "9112 3.2", 400, head(f"GET {target} HTTP/1.1"))
    for name, target in {"root": "/", "query": "/?a=1&b=%C3%B1", "percent": "/%41%2e%2E", "dots": "/../../etc/passwd", "double-slash": "//x",
                         "semicolon": "/a;b=1", "long": "/" + "x" * 4000, "tilde": "/~a!$&'()*+,=:@"}.items():
        yield Probe(f"target/{name}", "9112 3.2", 101, head(f"GET {target} HTTP/1.1"))


def hosts():
    yield Probe("host/missing", "9112 3.2", 400, head(drop=["Host"]))
    yield Probe("host/twice", "9112 3.2", 400, head(add=[("Host", "a")]))
    yield Probe("host/twice-the-same", "9112 3.2", 400, head(Host="a", add=[("Host", "a")]))
    yield Probe("host/twice-in-other-case", "9112 3.2", 400, head(add=[("hOST", "a")]))
    for name, host in {"empty": "", "two-in-one": "a, b", "user": "me@a", "path": "a/b", "scheme": "http://a", "space": "a b", "no-name": ":80",
                       "letters-as-port": "a:b", "long-port": "a:123456", "open-bracket": "[::1", "bracket-rubbish": "[x]", "nothing-in-v6-port": "[::1]x",
                       "quote": 'a"', "utf8": "ñ.example", "wildcard": "*"}.items():
        yield Probe(f"host/{name}", "9110 7.2", 400, head(Host=host))
    for host in ("a", "a:80", "a:", "127.0.0.1", "[::1]", "[::1]:8765", "a.example.", "under_score"):
        yield Probe(f"host/good-{host}", "9110 7.2", 101, head(Host=host))


def keys():
    for name, key in {"empty": "", "short": "c2hvcnQ=", "15-bytes": base64.b64encode(bytes(15)).decode(),
                      "17-bytes": base64.b64encode(bytes(17)).decode(), "18-bytes": base64.b64encode(bytes(18)).decode(),
                      "32-bytes": base64.b64encode(bytes(32)).decode(), "no-padding": KEY[:22], "one-padding": KEY[:23], "three-paddings": KEY + "=",
                      "not-canonical": KEY[:21] + "x==", "url-alphabet": "-_" + KEY[2:], "space-inside": KEY[:10] + " " + KEY[11:], "rubbish": "!" * 24,
                      "padding-inside": "A" * 10 + "==" + "A" * 10 + "==", "non-ascii": "ñ" * 24, "two-in-one": f"{KEY}, {KEY}"}.items():
        yield Probe(f"key/{name}", "6455 4.2.1", 400, head(Sec_WebSocket_Key=key))
    yield Probe("key/missing", "6455 4.2.1", 400, head(drop=["Sec-WebSocket-Key"]))
    yield Probe("key/twice", "6455 11.3.1", 400, head(add=[("Sec-WebSocket-Key", KEY)]))
    yield Probe("key/all-zero", "6455 4.2.1", 101, head(Sec_WebSocket_Key=base64.b64encode(bytes(16)).decode()))
    yield Probe("key/all-ones", "6455 4.2.1", 101, head(Sec_WebSocket_Key=base64.b64encode(b"\xff" * 16).decode()))


def versions():
    for version in ("", "0", "1", "7", "8", "12", "14", "25", "013", "13, 8", "8, 13", "13.0", "-13", "thirteen", "255", "256", "1 3"):
        yield Probe(f"ws-version/{version!r}", "6455 4.4", 426, head(Sec_WebSocket_Version=version), ["Sec-WebSocket-Version: 13"])
    yield Probe("ws-version/missing", "6455 4.4", 426, head(drop=["Sec-WebSocket-Version"]), ["Sec-WebSocket-Version: 13"])
    yield Probe("ws-version/twice", "6455 11.3.5", 400, head(add=[("Sec-WebSocket-Version", "13")]))
    yield Probe("ws-version/space-around", "9110 5.5", 101, head(Sec_WebSocket_Version="  13\t"))


def upgrades():
    holds = ["Upgrade: websocket"]
    yield Probe("upgrade/missing", "6455 4.2.1", 426, head(drop=["Upgrade"]), holds)
    for value in ("", "h2c", "HTTP/2.0", "TLS/1.0", "websocke", "websockets", "web socket", "websocket/13", "x-websocket"):
        yield Probe(f"upgrade/{value!r}", "9110 7.8", 426, head(Upgrade=value), holds)
    yield Probe("upgrade/h2c-with-settings", "9113 3.1", 426,
                head(Upgrade="h2c", Connection="Upgrade, HTTP2-Settings", HTTP2_Settings="AAMAAABkAARAAAAAAAIAAAAA"), holds)
    for value in ("websocket, h2c", "h2c, websocket", "websocket, websocket2", "websocket,TLS/1.0"):
        yield Probe(f"upgrade/{value!r}", "9110 7.8", 400, head(Upgrade=value))
    yield Probe("upgrade/two-lines-with-h2c", "9110 7.8", 400, head(add=[("Upgrade", "h2c")]))
    yield Probe("upgrade/http2-settings-beside-websocket", "9113 3.1", 400, head(add=[("HTTP2-Settings", "AAMAAABk")]))
    for value in ("WebSocket", "WEBSOCKET", "websocket,", " ,websocket", "websocket, websocket"):
        yield Probe(f"upgrade/good-{value!r}", "6455 4.2.1", 101, head(Upgrade=value))
    for value in ("", "keep-alive", "close", "upgraded", "up grade", "x-upgrade", "Upgrade;q=1"):
        yield Probe(f"connection/{value!r}", "6455 4.2.1", 400, head(Connection=value))
    yield Probe("connection/missing", "6455 4.2.1", 400, head(drop=["Connection"]))
    for value in ("upgrade", "UPGRADE", "keep-alive, Upgrade", "Upgrade,keep-alive", ",,Upgrade,", "close, Upgrade"):
        yield Probe(f"connection/good-{value!r}", "6455 4.2.1", 101, head(Connection=value))
    yield Probe("connection/good-on-two-lines", "9110 5.3", 101, head(Connection="keep-alive", add=[("Connection", "Upgrade")]))


def framing():
    for value in ("0", "5", "99999999999", "-1", "+0", "0x5", "5, 5", "", "1e3"):
        yield Probe(f"content-length/{value!r}", "9112 6.2", 400, head(Content_Length=value))
    yield Probe("content-length/with-a-body", "9112 6.2", 400, head(Content_Length="5") + b"hello")
    yield Probe("content-length/twice", "9112 6.3", 400, head(add=[("Content-Length", "5"), ("Content-Length", "6")]) + b"hello")
    for value in ("chunked", "identity", "gzip, chunked", "xchunked", "", "Chunked ", "chunked, chunked"):
        yield Probe(f"transfer-encoding/{value!r}", "9112 6.1", 400, head(Transfer_Encoding=value) + b"0\r\n\r\n")
    yield Probe("transfer-encoding/and-content-length", "9112 6.3", 400,
                head(add=[("Content-Length", "5"), ("Transfer-Encoding", "chunked")]) + b"0\r\n\r\n")
    yield Probe("transfer-encoding/on-a-plain-post", "9112 6.1", 400,
                b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
    yield Probe("trailer/te", "9110 10.1.4", 101, head(TE="trailers"))
    yield Probe("expect/100-continue", "9110 10.1.1", 101, head(Expect="100-continue"))
    yield Probe("plain/get", "9110 7.8", 426, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", ["Upgrade: websocket"])
    yield Probe("plain/two-pipelined", "9112 9.3.2", 426, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
    yield Probe("plain/curl", "9110 7.8", 426, b"GET /healthz HTTP/1.1\r\nHost: a:1\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n")
    yield Probe("pipelined/request-behind-an-upgrade", "6455 4.1", 101, head() + head(), last=1002)
    yield Probe("pipelined/body-behind-a-refusal", "9112 9.6", 405, head("POST / HTTP/1.1") + b"x" * 60000)


def lines():
    yield Probe("line/lf-alone", "9112 2.2", 400, head(end=b"\n"))
    yield Probe("line/lf-at-the-end", "9112 2.2", 400, head()[:-4] + b"\n\n")
    yield Probe("line/cr-alone", "9112 2.2", 400, head(end=b"\r"))
    yield Probe("line/cr-inside", "9112 2.2", 400, raw_line("X: a\rb"))
    yield Probe("line/crcrlf", "9112 2.2", 400, raw_line("X: a\r"))
    yield Probe("line/lf-inside", "9112 2.2", 400, raw_line("X: a\nY: b"))
    for byte in [*range(0, 9), *range(0x0b, 0x0d), *range(0x0e, 0x20), 0x7f]:
        yield Probe(f"line/control-{byte:02x}", "9110 5.5", 400, raw_line(b"X: a" + bytes([byte]) + b"b"))
    for byte in (0x00, 0x09, 0x1b, 0x7f, 0x80, 0xff):
        yield Probe(f"line/byte-{byte:02x}-in-a-name", "9110 5.1", 400, raw_line(b"X" + bytes([byte]) + b"Y: a"))
        yield Probe(f"line/byte-{byte:02x}-in-the-target", "9112 3.2", 400, head(f"GET /{chr(byte)} HTTP/1.1"))
    yield Probe("line/folded", "9112 5.2", 400, raw_line("X: a\r\n b"))
    yield Probe("line/folded-by-tab", "9112 5.2", 400, raw_line("X: a\r\n\tb"))
    yield Probe("line/space-before-the-first", "9112 2.2", 400, b"GET / HTTP/1.1\r\n Host: a\r\n" + head().split(b"\r\n", 1)[1])
    for name, line in {"space-before-colon": "X : a", "tab-before-colon": "X\t: a", "no-colon": "X", "empty-name": ": a", "space-in-name": "X Y: a",
                       "parenthesis": "X(: a", "slash": "X/Y: a", "quote": "\"X\": a", "at": "X@: a", "non-ascii-name": "ñ: a"}.items():
        yield Probe(f"line/{name}", "9112 5.1", 400, raw_line(line))
    for name, line in {"no-space": "X:a", "tabs": "X:\t\ta\t", "empty-value": "X:", "colon-in-value": "X: a:b:c", "utf8-value": "X: ñ".encode(),
                       "latin-1-value": b"X: \xf1", "strange-name": "!#$%&'*+-.^_`|~9: a"}.items():
        yield Probe(f"line/good-{name}", "9110 5.5", 101, raw_line(line))


def padded(size):
    """A head of exactly `size` bytes."""
    return raw_line("X: " + "x" * (size - len(raw_line("X: "))))


def sizes():
    for size in (8000, 8191, 8192):
        yield Probe(f"size/{size}", "6585 5", 101, padded(size))
    for size in (8193, 8194, 16384, 65536):
        yield Probe(f"size/{size}", "6585 5", 431, padded(size))
    yield Probe("size/8192-and-a-frame-behind", "6455 4.2", 101, padded(8192) + frame(b'{"type":"ping"}'))
    yield Probe("size/endless-target", "9112 3", 431, b"GET /" + b"a" * 20000)
    yield Probe("size/endless-name", "6585 5", 431, head()[:-2] + b"N" * 20000)
    extra = 64 - len(GOOD)
    for more in (0, 1, 2, 1000):
        fields = [(f"X{i}", "") for i in range(extra + more)]
        yield Probe(f"headers/{64 + more}", "6585 5", 431 if more else 101, head(add=fields))
    yield Probe("subprotocols/16", "6455 11.3.4", 101, head(Sec_WebSocket_Protocol=", ".join(f"p{i}" for i in range(16))))
    yield Probe("subprotocols/17", "6455 11.3.4", 400, head(Sec_WebSocket_Protocol=", ".join(f"p{i}" for i in range(17))))
    yield Probe("subprotocols/no-word", "6455 11.3.4", 400, head(Sec_WebSocket_Protocol="a b"))


def origins():
    for name, origin in {"foreign": "https://evil.example", "foreign-port": "https://evil.example:8765", "null": "null", "empty": "",
                         "suffix": "http://127.0.0.1.evil.example", "prefix": "http://evil-127.0.0.1", "user": "http://127.0.0.1@evil.example",
                         "file": "file://", "extension": "chrome-extension://abc", "no-scheme": "127.0.0.1", "ws-scheme": "ws://127.0.0.1",
                         "two": f"{LISTED}, https://evil.example", "path": "http://localhost/x", "listed-with-port": f"{LISTED}:444",
                         "listed-other-scheme": "http://wms.example", "localhost-suffix": "http://localhost.evil.example",
                         "loopback-look-alike": "http://127.0.0.256", "octal": "http://0177.0.0.1", "integer": "http://2130706433",
                         "not-localhost": "http://notlocalhost"}.items():
        yield Probe(f"origin/{name}", "6455 10.2", 403, head(Origin=origin))
    yield Probe("origin/twice", "6454 7.2", 400, head(add=[("Origin", LISTED), ("Origin", LISTED)]))
    for name, origin in {"same-host": "http://127.0.0.1:1", "localhost": "http://localhost:3000", "localhost-https": "https://localhost",
                         "below-localhost": "http://app.localhost:5173", "loopback": "http://127.1.2.3", "v6-loopback": "http://[::1]:8000",
                         "listed": LISTED, "listed-in-capitals": LISTED.upper()}.items():
        yield Probe(f"origin/good-{name}", "6455 10.2", 101, head(Origin=origin))
    yield Probe("origin/good-same-name", "6455 10.2", 101, head(Host="panel.example:8765", Origin="https://panel.example"))
    yield Probe("origin/foreign-on-a-bad-version", "6455 4.2.2", 426, head(Origin="https://evil.example", Sec_WebSocket_Version="8"))


def tokens():
    header, protocol, query = ("Authorization", f"Bearer {TOKEN}"), ("Sec-WebSocket-Protocol", f"bearer, {TOKEN}"), f"GET /?token={TOKEN} HTTP/1.1"
    yield Probe("token/header", "6750 2.1", 101, head(add=[header]))
    yield Probe("token/subprotocol", "6750 2", 101, head(add=[protocol]), ["Sec-WebSocket-Protocol: bearer"])
    yield Probe("token/query", "6750 2.3", 101, head(query))
    yield Probe("token/header-and-subprotocol", "6750 2", 400, head(add=[header, protocol]))
    yield Probe("token/header-and-query", "6750 2", 400, head(query, add=[header]))
    yield Probe("token/subprotocol-and-query", "6750 2", 400, head(query, add=[protocol]))
    yield Probe("token/all-three", "6750 2", 400, head(query, add=[header, protocol]))
    yield Probe("token/query-twice", "6750 2", 400, head(f"GET /?token=a&token=b HTTP/1.1"))
    yield Probe("token/header-twice", "9110 11.6.2", 400, head(add=[header, header]))
    yield Probe("token/basic", "7617 2", 101, head(Authorization="Basic YTpi"))
    yield Probe("token/subprotocol-bearer-alone", "6455 11.3.4", 101, head(Sec_WebSocket_Protocol="bearer"), ["Sec-WebSocket-Protocol: bearer"])


def chopped():
    good = head()
    yield Probe("chop/byte-by-byte", "9112 2.2", 101, [good[i:i + 1] for i in range(len(good))])
    bad = head("POST / HTTP/1.1")
    yield Probe("chop/bad-one-byte-by-byte", "9112 2.2", 405, [bad[i:i + 1] for i in range(len(bad))])
    for at in (1, 3, 4, 14, 15, 16, 40, len(good) - 4, len(good) - 3, len(good) - 2, len(good) - 1):
        yield Probe(f"chop/at-{at}", "9112 2.2", 101, [good[:at], good[at:]])


def other_listeners():
    """A listener of the REST API takes no upgrades; one with `auth: token` completes them and says 1008."""
    yield Probe("rest/upgrade-to-nowhere", "6455 4.2.2", 404, head("GET /nowhere HTTP/1.1"), listener="rest")
    yield Probe("rest/body-above-the-limit", "9110 15.5.14", 413,
                b"POST /v1/machines/m1/command HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 70000\r\n\r\n",
                listener="rest")
    yield Probe("rest/unknown-path", "9110 15.5.5", 404, b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", listener="rest")
    for name, more in {"none": {}, "wrong": {"Authorization": "Bearer wrong"}, "empty": {"Authorization": "Bearer "}}.items():
        yield Probe(f"auth/token-{name}", "6750 3", 101, head(**more), listener="closed", last=1008)
    yield Probe("auth/token-wrong-in-the-query", "6750 3", 101, head("GET /?token=wrong HTTP/1.1"), listener="closed", last=1008)
    yield Probe("auth/token-right", "6750 2.1", 101, head(Authorization=f"Bearer {TOKEN}"), listener="closed")
    yield Probe("auth/token-right-in-the-query", "6750 2.3", 101, head(f"GET /?token={TOKEN} HTTP/1.1"), listener="closed")


def cases():
    for part in (request_lines, targets, hosts, keys, versions, upgrades, framing, lines, sizes, origins, tokens, chopped, other_listeners):
        yield from part()


# --- one probe -----------------------------------------------------------------------------------------------------------------


async def write_probe(wire, probe):
    try:
        for data in probe.writes:
            await wire.write(data.replace(b"HOST", f"127.0.0.1:{wire.port}".encode()))
            if len(probe.writes) > 1:
                await asyncio.sleep(0)
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused before the end; what counts is the answer


async def read_head(wire):
    while b"\r\n\r\n" not in wire.decoder.data:
        if wire.ended:
            raise Failed(f"no whole answer, only {show(wire.decoder.data)}")
        await wire.read()
    data = bytes(wire.decoder.data)
    at = data.index(b"\r\n\r\n") + 4
    del wire.decoder.data[:at]
    return data[:at].decode("latin-1")


async def check_refusal(wire, text):
    if "\r\nconnection: close\r\n" not in text.lower() and "upgrade, close" not in text.lower():
        raise Failed("the refusal does not say Connection: close")
    length = [line for line in text.lower().split("\r\n") if line.startswith("content-length: ")]
    while not wire.ended:
        await wire.read()
    if len(length) != 1 or int(length[0].split()[1]) != len(wire.decoder.data):
        raise Failed(f"Content-Length {length} and a body of {len(wire.decoder.data)} bytes")


async def check_upgraded(wire, probe):
    if probe.last == 1008:
        got = await wire.next_frame()
        if got is None or got[0] != CLOSE or got[1] != b"\x03\xf0" + "Token inválido".encode():
            raise Failed(f"wanted a Close with 1008 at once, got {got}")
        return
    got = await wire.next_frame()
    if got is None or got[0] != TEXT or json.loads(got[1])["type"] != "welcome":
        raise Failed(f"wanted the welcome, got {got}")
    if probe.last is None:
        await wire.write(close(1000))
    code = probe.last or 1000
    while (got := await wire.next_frame()) is not None and got[0] != CLOSE:
        pass
    if got is None or got[1][:2] != code.to_bytes(2, "big"):
        raise Failed(f"wanted a Close with {code}, got {got}")


async def converse(wire, probe):
    await wire.connect()
    writer = asyncio.ensure_future(write_probe(wire, probe))
    try:
        text = await read_head(wire)
        line = text.split("\r\n", 1)[0]
        if not line.startswith(f"HTTP/1.1 {probe.status} "):
            raise Failed(f"answered {line}")
        for words in probe.holds:
            if words not in text:
                raise Failed(f"the answer lacks {words!r}: {text!r}")
        await (check_upgraded(wire, probe) if probe.status == 101 else check_refusal(wire, text))
    finally:
        writer.cancel()


async def perform(probe, port):
    wire = Wire(port)
    try:
        await asyncio.wait_for(converse(wire, probe), 8 * SLOW)
    except asyncio.TimeoutError:
        return f"no end within {8 * SLOW:g} s"
    except (AssertionError, OSError, ValueError, KeyError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        if wire.sock is not None:
            wire.close()
    return None
