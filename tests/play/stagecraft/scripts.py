"""scripts.py: what several plays need word by word: the documents' messages, and the dialect's fixed texts."""
import copy
import json
from pathlib import Path

from .frames import TIMESTAMP

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
DOCUMENT = json.loads((FIXTURES / "messages.json").read_text())


def _parts(file):
    """{name: text} of a file whose parts stand behind lines `== name`."""
    parts = (FIXTURES / file).read_text().split("== ")[1:]
    return {name: text.strip("\n") for name, _, text in (part.partition("\n") for part in parts)}


# These documents show no valid JSON everywhere ("...", a bracket too many), so their messages are texts.
STREAMS_DOCUMENT = _parts("stream_messages.txt")
SENSORS_DOCUMENT = _parts("sensor_messages.txt")  # messages, and the curl lines as a shell takes them

ENDPOINTS_DOCUMENT = json.loads((FIXTURES / "endpoint_messages.json").read_text())

# The document's two machines, as configuration.
DOCUMENT_MACHINES = [
    {"id": "machine_1", "name": "Carrusel Principal", "ip": "192.168.1.50", "port": 3200},
    {"id": "machine_2", "name": "Carrusel Secundario", "ip": "192.168.1.51", "port": 3200},
]

AT_REST, MOVING = 218, 219  # the document's two raw statuses, under profile "standard"
STANDARD_AT_REST = DOCUMENT["machine_status"]["status"]
STANDARD_MOVING = DOCUMENT["status_broadcast"]["status"]["machine_1"]["status"]


def compact(message):
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


def assert_text(frame, expected, **replaced):
    """The frame's text is the expected message, byte by byte, with its own timestamp and seq (and `replaced`) put in;
    `seq`, which the documents do not know, stands last."""
    message = copy.deepcopy(expected)
    message.update(replaced)
    if "timestamp" in message:
        assert TIMESTAMP.match(frame["timestamp"]), frame.text
        message["timestamp"] = frame["timestamp"]
    if "seq" in frame:
        message["seq"] = frame["seq"]
    assert frame.text == compact(message), f"\n  heard    {frame.text}\n  expected {compact(message)}"


def state(raw, position, status=None, connection="connected"):
    """A state's object under profile "standard"."""
    status = status or (STANDARD_MOVING if raw & 1 else STANDARD_AT_REST)
    return {"status": status, "position": position, "raw_status": raw, "connection_status": connection}


NEVER_READ = {"status": {}, "position": None, "raw_status": None, "connection_status": "disconnected"}
