"""channel_frames.py: one message of the channels dialect as a client heard it, and the rules that hold for each and for all of them.

The rules are the source document's and the dialect's: members in the document's order with later additions behind them, `seq` last and only on
what came through the ring, timestamps with milliseconds and Z, numbers as short as they read back. `data` of an entity_event is whole: what a
row is made of when it is created, what changed when it is updated, when it went when it is deleted; so that events alone rebuild the rows
(entity_model.py).
"""
import json
import re

from .frames import TIMESTAMP, Frame

ENTITIES = {  # entity_type: (english, spanish, members that clients write in the order of JSON, those that the store adds)
    "sensor": ("sensors", "sensores", ["tipo", "modelo"], []),
    "lectura": ("readings", "lecturas", ["sensor_id", "temperatura", "humedad", "timestamp"], []),
    "ubicacion": ("locations", "ubicaciones", ["sensor_id", "latitud", "longitud", "descripcion"], []),
    "anomalia": ("anomalies", "anomalias", ["lectura_id", "machine_id", "tipo", "valor", "resuelta"], ["resuelta_at"]),
    "prediccion": ("predictions", "predicciones", ["ubicacion_id", "probabilidad", "comentario"], []),
}
CHANNEL_OF = {entity: names[0] for entity, names in ENTITIES.items()}
TIMES = {"timestamp", "created_at", "updated_at", "deleted_at", "resuelta_at"}
CASCADES = {"lectura": ["sensor"], "ubicacion": ["sensor"], "anomalia": ["lectura", "sensor"], "prediccion": ["ubicacion", "sensor"]}

MEMBERS = {  # the order of members; those in brackets may be missing
    "connection": ["type", "status", "channel", "timestamp"],
    "authenticated": ["type", "user_id", "channel"],
    "channel_stats": ["type", "channel", "stats"],
    "entity_event": ["type", "entity_type", "event_type", "entity_id", "data", "timestamp", "metadata", "seq"],
    "system_event": ["type", "level", "message", "data", "timestamp", "[seq]"],  # without: a worker's own, which goes away
    "gap": ["type", "channel", "timestamp"],
    "pong": ["type", "timestamp"],
    "error": ["type", "message"],
}
LEVELS = {"info", "warning", "error"}
_NUMBER = re.compile(r'"\\u0000([^"]*)"')


def row_members(entity):
    """A whole row in JSON."""
    own = [m for part in ENTITIES[entity][2:] for m in part]
    return ["id", *own, "created_at", "updated_at"]


def _keep(number):
    return "\0" + number


def _compact(value):
    return _NUMBER.sub(r"\1", json.dumps(value, separators=(",", ":"), ensure_ascii=False))


def compacted(text):
    """The same JSON, compact and not escaped, each number as it stands in the text."""
    return _compact(json.loads(text, parse_float=_keep, parse_int=_keep))


def parts_of(text):
    """The texts of an array's members."""
    return [_compact(part) for part in json.loads(text, parse_float=_keep, parse_int=_keep)]


def check_text(text):
    assert text == compacted(text), f"not compact, or escaped: {text!r}"
    json.loads(text, parse_float=lambda number: check_number(number, text))


def check_number(number, text):
    assert len(number) <= len(repr(float(number)).replace("e-0", "e-").replace("e+", "e")), f"{number} is not as short as it reads back: {text}"


def check_frame(text, frame):
    """Raises AssertionError if the message breaks a rule that needs no history."""
    check_text(text)
    assert frame.type in MEMBERS, f"unknown type: {text}"
    check_order(frame, MEMBERS[frame.type], text)
    if "timestamp" in frame:
        assert TIMESTAMP.match(frame["timestamp"]), f"timestamp: {text}"
    if "seq" in frame:
        assert frame.seq is not None, f"seq: {text}"
    if frame.type in _TYPES:
        _TYPES[frame.type](frame, text)


def check_order(have, wanted, text):
    have = list(have)
    for member in wanted:
        name = member.strip("[]")
        if have and have[0] == name:
            have.pop(0)
        else:
            assert member.startswith("["), f"{name} is missing or out of order: {text}"
    assert not have, f"unexpected {have}: {text}"


def _check_connection(frame, text):
    assert frame["status"] == "connected", text


def _check_channel_stats(frame, text):
    check_stats(frame["stats"], text)


def check_stats(stats, text):
    """{"connections","users"}, of one channel."""
    check_order(stats, ["connections", "users"], text)
    assert type(stats["connections"]) is int and stats["connections"] >= len(stats["users"]) <= 100, text
    for user in stats["users"]:
        check_order(user, ["user_id", "connected_at"], text)
        assert isinstance(user["user_id"], str) and user["user_id"] and TIMESTAMP.match(user["connected_at"]), text


def _check_system_event(frame, text):
    assert frame["level"] in LEVELS and isinstance(frame["message"], str) and isinstance(frame["data"], dict), text


def _check_entity_event(frame, text):
    entity, data, metadata = frame["entity_type"], frame["data"], frame["metadata"]
    assert entity in ENTITIES, text
    assert type(frame["entity_id"]) is int and frame["entity_id"] > 0 and data["id"] == frame["entity_id"], text
    check = _EVENTS.get(frame["event_type"])
    assert check is not None, text
    check(entity, data, metadata, text)
    for member in TIMES & data.keys():
        assert TIMESTAMP.match(data[member]) if data[member] is not None else member == "resuelta_at", f"{member}: {text}"


def _check_created(entity, data, metadata, text):
    check_order(data, [m for m in row_members(entity) if m != "updated_at"], text)
    assert metadata == {"action": f"create_{entity}"}, text


def _check_updated(entity, data, metadata, text):
    changed = [m for m in data if m not in ("id", "updated_at")]
    check_order(data, ["id", *(m for m in row_members(entity)[1:-2] if m in changed), "updated_at"], text)
    solved = entity == "anomalia" and data.get("resuelta") is True and data.get("resuelta_at") is not None
    assert metadata["action"] == (f"resolve_{entity}" if solved else f"update_{entity}"), text
    check_order(metadata, ["action", "fields_updated"], text)
    assert metadata["fields_updated"] and [m for m in metadata["fields_updated"] if m not in changed] == [], text


def _check_deleted(entity, data, metadata, text):
    check_order(data, ["id", "deleted_at"], text)
    check_order(metadata, ["action", "[cascade_from]"], text)
    assert metadata["action"] in (f"delete_{entity}", f"expire_{entity}"), text
    assert "cascade_from" not in metadata or metadata["cascade_from"] in CASCADES.get(entity, []), text


def _check_whole(entity, action):
    def check(of, data, metadata, text):
        assert of == entity and metadata == {"action": action}, text
        check_order(data, row_members(entity), text)
    return check


_EVENTS = {"created": _check_created, "updated": _check_updated, "deleted": _check_deleted,
           "anomaly_detected": _check_whole("anomalia", "detect_anomalia"),
           "prediction_completed": _check_whole("prediccion", "generate_prediccion")}


_TYPES = {"connection": _check_connection, "channel_stats": _check_channel_stats, "system_event": _check_system_event,
          "entity_event": _check_entity_event}


class ChannelHistory:
    """The rules that need memory: per connection, over all its frames."""

    def __init__(self, channel="general", secure=False):
        self.channel, self.secure = channel, secure
        self.count, self.last_seq = 0, None

    def check(self, frame):
        opening = ["connection", "authenticated", "channel_stats"] if self.secure else ["connection", "channel_stats"]
        wanted = opening[self.count] if self.count < len(opening) else None
        self.count += 1
        if wanted is not None:
            assert frame.type == wanted, f"wanted {wanted} as frame {self.count}: {frame.text}"
            assert frame["channel"] == self.channel, f"joined {self.channel}: {frame.text}"
            return
        assert frame.type not in opening, f"a second {frame.type}: {frame.text}"
        if frame.seq is not None:
            self._check_seq(frame)
        if frame.type == "entity_event":
            mine = self.channel in ("general", CHANNEL_OF[frame["entity_type"]])
            assert mine, f"{self.channel} heard {frame.text}"

    def _check_seq(self, frame):
        if self.last_seq is not None and frame.seq[0] == self.last_seq[0]:
            assert frame.seq[1] > self.last_seq[1], f"seq went from {self.last_seq} to {frame.seq}: {frame.text}"
        self.last_seq = frame.seq

