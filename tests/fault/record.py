"""record.py: what a run writes down for the checker, one JSON object per line, in the order in which it happened.

    {"at":NS,"what":"open","conn":"c7","worker":"w1","client":"uuid.m1"}       a connection (a REST request is one, too)
    {"at":NS,"what":"ask","conn":"c7","scope":"u:","machine":"m1","request_id":"…","command":1,"argument":37,"deadline_ms":900}
    {"at":NS,"what":"heard","conn":"c7","machine":"m1","request_id":"…","kind":"answer","code":null}    null: success
    {"at":NS,"what":"heard","conn":"c7","machine":"m1","request_id":"…","kind":"completion","success":true,"position":37}
    {"at":NS,"what":"closed","conn":"c7","by":"us","code":1000}
    {"at":NS,"what":"down","victim":"a.m1","how":"agent.written"}               killed or stopped …
    {"at":NS,"what":"up","victim":"a.m1"}                                       … and there again, or going on
    {"at":NS,"what":"cut","victim":"a.m1","variant":"hole"}                     its disk forgot what was not synced
    {"at":NS,"what":"stall","ns":NS}                                            until then this process (the host?) stood still
    {"at":NS,"what":"end"}                                                      everybody had all the time he needed
    {"at":NS,"what":"struck"}                                                   from here on it is only taken down

NS is CLOCK_MONOTONIC, as in the simulator's log and in the journals. `scope` is whose request_id it is: "p:NAME", "u:" or
"c:CONN" (command_scope.h). A connection named "observer" asks nothing and hears what is published to all.
"""
import json
import time


def since(at, stalls):
    """The earliest moment of what was noted at `at`: a process that stood still notes a death when it goes on."""
    return min([at] + [begin for begin, end in stalls if begin <= at <= end])


class Recorder:
    def __init__(self, path=None):
        self.events, self._file = [], open(path, "w") if path else None
        self._conns = 0

    def note(self, what, **members):
        event = {"at": time.monotonic_ns(), "what": what, **members}
        self.events.append(event)
        if self._file:
            self._file.write(json.dumps(event, separators=(",", ":")) + "\n")
        return event

    def new_conn(self):
        self._conns += 1
        return f"c{self._conns}"

    def heard(self, conn, frame, at=None):
        """A frame of the carousel dialect; those that are about no request are left out."""
        members = {"conn": conn, "machine": frame.get("machine_id"), "request_id": frame.get("request_id")}
        if members["request_id"] is None:
            return
        if frame["type"] == "command_completed":
            self.note("heard", **members, kind="completion", success=frame["success"], position=frame["position"])
        elif frame["type"] == "command_result":
            self.note("heard", **members, kind="answer", code=None if frame["success"] else frame["code"])
        elif frame["type"] == "error":
            self.note("heard", **members, kind="answer", code=frame["code"], text=frame["error"])

    def close(self):
        if self._file:
            self._file.close()
            self._file = None


def read_record(path):
    with open(path) as lines:
        return [json.loads(line) for line in lines]
