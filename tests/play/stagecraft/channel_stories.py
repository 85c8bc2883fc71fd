"""channel_stories.py: frames of the channels dialect that are in order, and such that are spoilt, for ../selftest: channel_frames.py must notice each."""
import json

from .channel_frames import ChannelHistory, Frame, check_frame
from .scripts import SENSORS_DOCUMENT, compact

TIME = '"timestamp":"2025-07-20T10:30:00.000Z"'
CREATED = ('{"type":"entity_event","entity_type":"sensor","event_type":"created","entity_id":1,"data":{"id":1,"tipo":"temperatura","modelo":"DHT22",'
           '"created_at":"2025-07-20T10:30:00.000Z"},%s,"metadata":{"action":"create_sensor"},"seq":"0000abcd-7"}' % TIME)
READING = ('{"type":"entity_event","entity_type":"lectura","event_type":"created","entity_id":2,"data":{"id":2,"sensor_id":1,"temperatura":23.5,"humedad":65,'
           '"timestamp":"2025-07-20T10:30:00.000Z","created_at":"2025-07-20T10:30:00.000Z"},%s,"metadata":{"action":"create_lectura"},'
           '"seq":"0000abcd-8"}' % TIME)
UPDATED = ('{"type":"entity_event","entity_type":"sensor","event_type":"updated","entity_id":1,"data":{"id":1,"modelo":"DHT11","updated_at":'
           '"2025-07-20T10:31:00.000Z"},%s,"metadata":{"action":"update_sensor","fields_updated":["modelo"]},"seq":"0000abcd-9"}' % TIME)
DELETED = ('{"type":"entity_event","entity_type":"lectura","event_type":"deleted","entity_id":2,"data":{"id":2,"deleted_at":"2025-07-20T10:32:00.000Z"},'
           '%s,"metadata":{"action":"delete_lectura","cascade_from":"sensor"},"seq":"0000abcd-10"}' % TIME)
ANOMALY = ('{"type":"entity_event","entity_type":"anomalia","event_type":"anomaly_detected","entity_id":3,"data":{"id":3,"lectura_id":2,"machine_id":null,'
           '"tipo":"temperatura_alta","valor":40.5,"resuelta":false,"resuelta_at":null,"created_at":"2025-07-20T10:30:00.000Z","updated_at":'
           '"2025-07-20T10:30:00.000Z"},%s,"metadata":{"action":"detect_anomalia"},"seq":"0000abcd-11"}' % TIME)
SOLVED = ('{"type":"entity_event","entity_type":"anomalia","event_type":"updated","entity_id":3,"data":{"id":3,"resuelta":true,"resuelta_at":'
          '"2025-07-20T10:33:00.000Z","updated_at":"2025-07-20T10:33:00.000Z"},%s,"metadata":{"action":"resolve_anomalia","fields_updated":["resuelta",'
          '"resuelta_at"]},"seq":"0000abcd-12"}' % TIME)
PREDICTED = ('{"type":"entity_event","entity_type":"prediccion","event_type":"prediction_completed","entity_id":4,"data":{"id":4,"ubicacion_id":1,'
             '"probabilidad":0.7,"comentario":"año","created_at":"2025-07-20T10:30:00.000Z","updated_at":"2025-07-20T10:30:00.000Z"},%s,"metadata":'
             '{"action":"generate_prediccion"},"seq":"0000abcd-13"}' % TIME)
SYSTEM = '{"type":"system_event","level":"info","message":"Sistema iniciado correctamente","data":{"module":"websocket","version":"1.0.0"},%s}' % TIME
CONNECTION = '{"type":"connection","status":"connected","channel":"general",%s}' % TIME
STATS = ('{"type":"channel_stats","channel":"general","stats":{"connections":2,"users":[{"user_id":"ana","connected_at":"2025-07-20T10:00:00.000Z"}]}}')
AUTHENTICATED = '{"type":"authenticated","user_id":"ana","channel":"general"}'
GAP = '{"type":"gap","channel":"general",%s}' % TIME

SOUND = [CREATED, READING, UPDATED, DELETED, ANOMALY, SOLVED, PREDICTED, SYSTEM, CONNECTION, STATS, AUTHENTICATED, GAP]
SPOILT = {
    "not compact": CREATED.replace(":1,", ": 1,"),
    "ASCII-escaped": PREDICTED.replace("ñ", "\\u00f1"),
    "a number that is longer than it reads back": READING.replace("23.5", "23.499999999999998578"),
    "a number with a zero behind": READING.replace("23.5", "23.50"),
    "unknown type": SYSTEM.replace("system_event", "gossip"),
    "seq is missing": CREATED.replace(',"seq":"0000abcd-7"', ""),
    "seq is malformed": CREATED.replace("0000abcd", "abcd"),
    "seq is not last": SYSTEM.replace(f",{TIME}", f',"seq":"0000abcd-7",{TIME}'),
    "timestamp without milliseconds": CONNECTION.replace(".000Z", "Z"),
    "created_at without milliseconds": CREATED.replace('at":"2025-07-20T10:30:00.000Z', 'at":"2025-07-20T10:30:00Z'),
    "order of members": CREATED.replace('"entity_type":"sensor","event_type":"created"', '"event_type":"created","entity_type":"sensor"'),
    "order of data": CREATED.replace('"tipo":"temperatura","modelo":"DHT22"', '"modelo":"DHT22","tipo":"temperatura"'),
    "a created sensor that says updated_at": CREATED.replace('"created_at"', '"updated_at":"2025-07-20T10:30:00.000Z","created_at"'),
    "the id is another": CREATED.replace('"data":{"id":1', '"data":{"id":2'),
    "the action is another's": CREATED.replace("create_sensor", "create_lectura"),
    "an unknown entity": CREATED.replace('"sensor"', '"location"'),
    "fields_updated is missing": UPDATED.replace(',"fields_updated":["modelo"]', ""),
    "fields_updated names what has not changed": UPDATED.replace('["modelo"]', '["modelo","tipo"]'),
    "an update without updated_at": UPDATED.replace(',"updated_at":"2025-07-20T10:31:00.000Z"', ""),
    "a deletion without deleted_at": DELETED.replace("deleted_at", "updated_at"),
    "a cascade from what has no such rows": DELETED.replace('"cascade_from":"sensor"', '"cascade_from":"ubicacion"'),
    "an anomaly that is created, not detected": ANOMALY.replace("anomaly_detected", "created"),
    "an anomaly without machine_id": ANOMALY.replace('"machine_id":null,', ""),
    "solved by an update": SOLVED.replace("resolve_anomalia", "update_anomalia"),
    "a prediction detected": PREDICTED.replace("prediction_completed", "anomaly_detected"),
    "an unknown level": SYSTEM.replace('"info"', '"fatal"'),
    "not connected": CONNECTION.replace('"connected"', '"fine"'),
    "users without a name": STATS.replace('"ana"', '""'),
    "more users than connections": STATS.replace('"connections":2', '"connections":0'),
    "a gap that says no channel": GAP.replace('"channel":"general",', ""),
    "a member too many": AUTHENTICATED.replace("}", ',"token":"x"}'),
}
SOUND_HISTORIES = {
    "general": (("general", False), [CONNECTION, STATS, CREATED, READING, SYSTEM, UPDATED]),
    "secure": (("general", True), [CONNECTION, AUTHENTICATED, STATS, CREATED]),
    "another ring": (("general", False), [CONNECTION, STATS, UPDATED, CREATED.replace("abcd", "abce")]),
}
SPOILT_HISTORIES = {
    "an event before the connection": (("general", False), [CREATED]),
    "statistics before the connection": (("general", False), [STATS, CONNECTION]),
    "an event before the statistics": (("general", False), [CONNECTION, CREATED]),
    "two connections": (("general", False), [CONNECTION, STATS, CONNECTION]),
    "another channel": (("sensors", False), [CONNECTION]),
    "authenticated on an open path": (("general", False), [CONNECTION, AUTHENTICATED]),
    "secure, and not authenticated": (("general", True), [CONNECTION, STATS]),
    "seq repeats": (("general", False), [CONNECTION, STATS, CREATED, CREATED]),
    "seq falls": (("general", False), [CONNECTION, STATS, READING, CREATED]),
    "another channel's event": (("sensors", False), [c.replace("general", "sensors") for c in (CONNECTION, STATS)] + [READING]),
}


def is_noticed(text):
    try:
        check_frame(text, Frame(text))
    except AssertionError:
        return True
    return False


def history_is_noticed(joined, texts):
    history = ChannelHistory(*joined)
    try:
        for text in texts:
            check_frame(text, Frame(text))
            history.check(Frame(text))
    except AssertionError:
        return True
    return False


def the_document_passes():
    """The document's messages with what Noria adds: milliseconds, and seq."""
    for name in ("entity_event", "sensor_created", "system_event", "connection"):
        text = compact(json.loads(SENSORS_DOCUMENT[name])).replace("00Z", "00.000Z")
        text = text[:-1] + ',"seq":"0000abcd-7"}' if name != "connection" else text
        check_frame(text, Frame(text))
    return True


CASES = [("channels: the document's examples keep every rule", the_document_passes)]
CASES += [(f"channels: frame {n} is in order", lambda text=text: not is_noticed(text)) for n, text in enumerate(SOUND)]
CASES += [(f"channels: {name}", lambda text=text: is_noticed(text)) for name, text in SPOILT.items()]
CASES += [(f"channels: in order: {name}", lambda story=story: not history_is_noticed(*story)) for name, story in SOUND_HISTORIES.items()]
CASES += [(f"channels: {name}", lambda story=story: history_is_noticed(*story)) for name, story in SPOILT_HISTORIES.items()]
