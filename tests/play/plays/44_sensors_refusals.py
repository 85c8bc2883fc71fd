"""What the REST API of sensors refuses, and in which words: 422 lists, types and sizes of bodies, methods, Origins, tokens, grants."""
import json

from stagecraft.channel_frames import ENTITIES
from stagecraft.httpclient import exchange, head
from stagecraft.registry import play
from stagecraft.tokens import minted

DHT22 = {"tipo": "temperatura", "modelo": "DHT22"}
READING = {"sensor_id": 1, "temperatura": 21.5, "humedad": 55}


def errors(answer, *expected):
    """Its list, as (loc, type)."""
    told = [(tuple(e["loc"]), e["type"]) for e in answer.refused(422)]
    assert told == list(expected), f"wanted {expected}, got {answer!r}"


@play("422: every error of path, query and body at once, in Pydantic's words, in FastAPI's places", "asan")
async def lists_of_errors(s):
    await s.channels_house()
    api, c1 = s.api(), await s.channel("c1", "general")
    await api.create("sensor", **DHT22)
    await c1.event("sensor", "created")
    errors(await api.post("/readings", {"temperatura": 99, "humedad": "x", "timestamp": "2025-13-01"}),
           (("body", "timestamp"), "datetime_from_date_parsing"), (("body", "sensor_id"), "missing"),
           (("body", "temperatura"), "less_than_equal"), (("body", "humedad"), "float_parsing"))
    errors(await api.request("PUT", "/sensors/x?limit=no", {"tipo": None, "modelo": ""}),
           (("path", "id"), "int_parsing"), (("body", "tipo"), "string_type"), (("body", "modelo"), "string_too_short"))
    errors(await api.get("/readings?limit=1001&skip=-1&sensor_id=&desde=ayer"), (("query", "desde"), "datetime_from_date_parsing"),
           (("query", "sensor_id"), "int_parsing"), (("query", "skip"), "greater_than_equal"), (("query", "limit"), "less_than_equal"))
    errors(await api.get("/sensors?tipo=%ff"), (("query", "tipo"), "string_unicode"))
    errors(await api.get("/sensors/0"), (("path", "id"), "greater_than_equal"))
    errors(await api.get("/sensors/9223372036854775808"), (("path", "id"), "int_parsing_size"))
    errors(await api.get("/locations/search"), (("query", "q"), "missing"))
    errors(await api.get("/locations/nearby?latitud=91"), (("query", "latitud"), "less_than_equal"), (("query", "longitud"), "missing"))
    errors(await api.get("/events?channel=a%20b&since=1-2"), (("query", "channel"), "string_pattern_mismatch"),
           (("query", "since"), "string_pattern_mismatch"))
    errors(await api.get("/ws/stats/a%20b"), (("path", "channel"), "string_pattern_mismatch"))
    errors(await api.post("/predictions/generate?temperatura_promedio=x"), (("query", "ubicacion_id"), "missing"),
           (("query", "temperatura_promedio"), "float_parsing"))
    errors(await api.post("/predictions/generate?ubicacion_id=1", {"humedad_promedio": 101}), (("body", "ubicacion_id"), "missing"),
           (("body", "humedad_promedio"), "less_than_equal"))
    detail = (await api.post("/readings", {**READING, "temperatura": -51})).refused(422)
    assert detail == [{"loc": ["body", "temperatura"], "type": "greater_than_equal", "msg": "Input should be greater than or equal to -50"}], detail
    assert await api.list("lectura") == [] and await api.read("sensor", 1)
    await api.create("lectura", **READING)
    assert (await c1.event())["entity_type"] == "lectura"  # nothing refused was heard before


@play("422: bodies that are no JSON, none at all, or no object", "asan")
async def no_json(s):
    await s.channels_house()
    api = s.api()
    for body, at in (("{", 1), ('{"tipo" 5}', 8), ('{"ñandú": }', 10), ("[1,", 3), ("nada", 1), (b'{"tipo":"\xff"}', 9), ("{}x", 2)):
        detail = (await api.post("/sensors", body)).refused(422)
        assert len(detail) == 1 and detail[0]["type"] == "json_invalid" and detail[0]["msg"] == "JSON decode error", detail
        assert detail[0]["loc"][0] == "body" and abs(detail[0]["loc"][1] - at) <= 1, (body, detail)
    errors(await api.post("/sensors"), (("body",), "missing"))
    errors(await api.post("/sensors", ""), (("body",), "missing"))
    for body in ("null", "5", '"texto"', "[]"):
        errors(await api.post("/sensors", body), (("body",), "model_type"))
    errors(await api.post("/readings", "[5]"), (("body", 0), "model_type"))
    for body in ("[" * 50000, '{"a":' * 10000, '{"tipo":"' + "\\u0041" * 9000, "[" + "{}," * 20000, '{"x":1' + "0" * 60000 + "}"):
        assert (await api.post("/sensors", body)).status == 422
    many = (await api.post("/readings", [{"temperatura": "x"}] * 1000)).refused(422)
    assert len(many) <= 101 and many[-1]["type"] == "too_many_errors", len(many)
    await api.create("sensor", **DHT22)


@play("what the engine refuses: 404, 405 with Allow, 413, 415, 417, each as {detail}", "asan")
async def engine(s):
    s.set("rest", auth=False, max_body_bytes=2048)
    await s.channels_house()
    api = s.api()
    for path in ("", "/", "/sensor", "/sensors/1/x", "/readings/sensor/1/x", "/ws", "/ws/test-events", "/SENSORS"):
        assert (await api.get(path or "/api/v1")).refused(404) == "Not Found"
    for method, path, allow in (("DELETE", "/sensors", "GET, HEAD, POST, OPTIONS"), ("POST", "/sensores/1", "GET, HEAD, PUT, DELETE, OPTIONS"),
                                ("PATCH", "/sensors/1", "GET, HEAD, PUT, DELETE, OPTIONS"), ("GET", "/ws/test-event", "POST, OPTIONS"),
                                ("POST", "/events", "GET, HEAD, OPTIONS")):
        answer = await api.request(method, path)
        assert answer.refused(405) == "Method Not Allowed" and answer.headers["allow"] == allow, answer
    for path, kind in (("/sensors", "text/plain"), ("/sensors", "application/x-www-form-urlencoded"), ("/ws/test-event", "text/plain")):
        (await api.post(path, json.dumps(DHT22), Content_Type=kind)).refused(415)
    (await api.request("PUT", "/sensors/1", "{}", Content_Type="application/json5")).refused(415)
    (await api.request("DELETE", "/sensors/1", "{}", Content_Type="text/plain")).refused(415)
    (await api.post("/sensors", json.dumps(DHT22), Content_Type="APPLICATION/JSON; charset=utf-8")).row("sensor", 201)
    (await api.post("/sensors", {**DHT22, "x": "y" * 2048})).refused(413)
    (await api.post("/sensors", DHT22, Expect="200-ok")).refused(417)
    assert (await exchange(api.port, head("POST", "/api/v1/sensors", 3 << 20, Content_Type="application/json"))).status == 413
    answer = await api.request("OPTIONS", "/readings/1")
    assert answer.status == 204 and answer.headers["allow"] == "GET, HEAD, PUT, DELETE, OPTIONS", answer
    assert len(await api.list("sensor")) == 1


@play("CORS: preflights for PUT and DELETE with If-Match, ETag and Location exposed, foreign pages refused", "asan")
async def cors(s):
    s.set("websocket", allowed_origins=["https://wms.example"])
    await s.channels_house()
    api = s.api()
    row = await api.create("sensor", **DHT22)
    for origin in ("https://wms.example", "http://localhost:3000"):
        for method in ("PUT", "DELETE"):
            answer = await api.request("OPTIONS", "/sensors/1", Origin=origin, Access_Control_Request_Method=method,
                                       Access_Control_Request_Headers="content-type,if-match")
            assert answer.status == 204 and answer.headers["access-control-allow-origin"] == origin, answer
            assert method in answer.headers["access-control-allow-methods"], answer
            assert {"If-Match", "If-None-Match", "Content-Type"} <= set(answer.headers["access-control-allow-headers"].split(", ")), answer
        answer = await api.request("GET", "/sensors/1", Origin=origin)
        assert answer.headers["access-control-allow-origin"] == origin, answer
        assert answer.headers["access-control-expose-headers"] == "ETag, Location", answer
    for origin in ("https://evil.example", "null"):
        answer = await api.request("GET", "/sensors/1", Origin=origin)
        assert answer.status == 200 and "access-control-allow-origin" not in answer.headers and "access-control-expose-headers" not in answer.headers
        for method, path, body in (("POST", "/sensors", DHT22), ("PUT", "/sensors/1", {"modelo": "x"}), ("DELETE", "/sensors/1", None),
                                   ("POST", "/ws/test-event", None)):
            (await api.request(method, path, body, Origin=origin)).refused(403)
    assert await api.list("sensor") == [row]
    (await api.post("/ws/test-event?message=de+una+p%C3%A1gina", Origin="https://wms.example"))
    assert (await api.request("DELETE", "/sensors/1", Origin="https://wms.example")).status == 204


@play("rest.auth asks for a token at a listener that asks for none; auth: token of the listener does, too", "asan")
async def tokens(s):
    mint = minted(s)
    s.set("rest", auth=True)
    await s.channels_house()
    api = s.api()
    for path in ("/sensors", "/sensores/1", "/events", "/ws/stats", "/ws/stats/general"):
        answer = await api.get(path)
        assert answer.refused(401) == "Token inválido" and answer.headers["www-authenticate"] == "Bearer", answer
        (await api.request("GET", path + "?token=nonsense")).refused(401)
    for method, path in (("POST", "/sensors"), ("PUT", "/sensors/1"), ("DELETE", "/sensors/1"), ("POST", "/ws/test-event")):
        (await api.request(method, path, DHT22)).refused(401)
    ana = mint("ana", entities_write="*", entities_read="*", channels="*")
    assert (await s.api(token=ana).create("sensor", **DHT22)).id == 1
    assert (await api.request("GET", f"/sensors/1?token={ana}")).row("sensor").id == 1
    assert (await api.request("OPTIONS", "/sensors", Origin="http://localhost:1", Access_Control_Request_Method="POST")).status == 204
    for actor in s.actors.values():
        assert ana not in actor.text() and "nonsense" not in actor.text(), actor.name


def paths_of(entity):
    """(method, path, body) of what reads the entity, and of what writes it."""
    english, spanish = ENTITIES[entity][:2]
    reads = [("GET", f"/{english}"), ("GET", f"/{spanish}/1"), ("HEAD", f"/{spanish}")]
    reads += {"lectura": [("GET", "/readings/sensor/1"), ("GET", "/readings/sensor/1/recent"), ("GET", "/lecturas/sensor/1/stats")],
              "ubicacion": [("GET", "/locations/search?q=x"), ("GET", "/locations/nearby?latitud=1&longitud=1")],
              "anomalia": [("GET", "/anomalies/recent"), ("GET", "/anomalies/critical"), ("GET", "/anomalias/statistics")],
              "prediccion": [("GET", "/predictions/high-risk"), ("GET", "/predictions/location/1/latest"), ("GET", "/predictions/statistics")],
              }.get(entity, [])
    writes = [("POST", f"/{spanish}"), ("PUT", f"/{english}/1"), ("DELETE", f"/{spanish}/99")]
    writes += {"anomalia": [("POST", "/anomalies/detect/99")], "prediccion": [("POST", "/predictions/generate?ubicacion_id=99")]}.get(entity, [])
    return reads, writes


@play("grants: each entity by its type, to read and to write; channels by their names", "asan")
async def grants(s):
    mint = minted(s)
    s.set("rest", auth=True)
    await s.channels_house()

    async def status(token, method, path):
        answer = await s.api(token=token).request(method, path, {} if method in ("POST", "PUT") and "generate" not in path else None)
        if answer.status == 403 and method != "HEAD":
            answer.refused(403, "No autorizado")
        return answer.status

    for entity in ENTITIES:
        reader, writer = mint("r", entities_read=[entity]), mint("w", entities_write=[entity])
        for other in ENTITIES:
            reads, writes = paths_of(other)
            for method, path in reads:
                assert (await status(reader, method, path) != 403) == (other == entity), (entity, method, path)
                assert await status(writer, method, path) == 403, (entity, method, path)
            for method, path in writes:
                assert (await status(writer, method, path) != 403) == (other == entity), (entity, method, path)
                assert await status(reader, method, path) == 403, (entity, method, path)
    mine, general = mint("m", channels=["sensors"]), mint("g", channels=["general"])
    for token, path, may in ((mine, "/events?channel=sensors", True), (mine, "/events", False), (mine, "/events?channel=general", False),
                             (general, "/events", True), (general, "/events?channel=sensors", False), (mine, "/ws/stats/sensors", True),
                             (mine, "/ws/stats/general", False), (mine, "/ws/stats", False), (mint("all", channels="*"), "/ws/stats", True)):
        assert (await status(token, "GET", path) == 200) == may, path
    for token, path, may in ((mine, "/ws/test-event?channel=sensors", True), (mine, "/ws/test-event", False), (general, "/ws/test-event", True)):
        assert ((await s.api(token=token).post(path)).status == 200) == may, path
    assert (await s.api(token=mint("nobody")).get("/sensors")).refused(403) == "No autorizado"
    await s.counts("w1", "sensors_forbidden", 50)
