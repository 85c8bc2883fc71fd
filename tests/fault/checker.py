#!/usr/bin/python3
"""checker: holds four stories of the same run against each other, and names every contradiction.

    tests/fault/checker.py DIR          DIR/record.jsonl, DIR/r/sim.log, DIR/state/agents/… ; exit 1 if anything is found

    what clients asked and heard   record.py, put in order by story.py
    what the agents noted          journal_files.py: the journals' files, chains verified
    what the PLCs were sent        stagecraft/truth.py: plc-sim's log of every byte
    what was killed and when       record.py

None of the four is believed; they must agree. The rules, each a function below; a finding begins with its name:

    answered-once        every ask has exactly one answer, unless its connection ended first
    same-answer          whoever asks for one request is told the same (see _agree() for what may differ)
    written-once         no request is written to a PLC twice, and nothing is written that nobody asked for
    written-in-time      … nor after its deadline, by the client's clock and by the agent's
    true-answer          success was written; what was refused as not sent was not written
    unknown-has-cause    OUTCOME_UNKNOWN only where something was down between question and answer
    completed-once       a completion follows a move's answer at most once per asker, and exactly once after a success
    true-completion      it is what the simulator says: at the target, or not
    published-once       the observer hears one result and one completion of each request, exactly one of each that was written
    states-in-order      what a client is shown of a machine is what its PLC said, and never goes back to an earlier word of it
    dropped              no connection ended but by its client or by its worker's death
    chain                the journals' hashes, numbers and files are whole
    intent-first         each write has an INTENT before it, and one that was settled (not only queued)
    settled              each INTENT has exactly one RESULT, each success of a move one COMPLETION
    journal-true         the RESULT says what the bytes say: sent or not, and the PLC's reply
    told-as-noted        what a client was told stands in the journal, and stood there before
    latch                while the latch is set nothing is written
"""
import bisect
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "play"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

from journal_files import read_journals  # noqa: E402
from record import read_record  # noqa: E402
from stagecraft.wait import limit  # noqa: E402
from story import MS, Bytes, Story  # noqa: E402

NOT_SENT = {"TIMEOUT", "BUSY", "INTERLOCK", "CONNECTION_ERROR", "INVALID_COMMAND", "MACHINE_NOT_FOUND", "RATE_LIMITED",
            "INTERNAL_ERROR", "OVERLOADED"}
UNKNOWN = "OUTCOME_UNKNOWN"
SLACK_NS = int(limit(0.5) * 1e9)  # between a client's clock and its worker's, a write and its line in the simulator's log


def check(events, sim_log, state_dir=None, watchers=None):
    """All contradictions, as texts. Without `state_dir` the journals' rules are left out. `watchers`: {name: frames} of clients who
    were shown states (frames are not in the record)."""
    story, truth = Story(events), Bytes(sim_log)
    findings = []

    def find(rule, text):
        findings.append(f"{rule}: {text}")

    attribute(story, truth, find)
    for rule in (answered_once, same_answer, written, true_answer, unknown_has_cause, completions, published, dropped):
        rule(story, truth, find)
    for name, frames in (watchers or {}).items():
        states_in_order(name, frames, truth, find)
    if state_dir is not None:
        check_journals(story, truth, read_journals(state_dir), find)
    return findings


# --- clients and bytes -----------------------------------------------------------------------------------------------


def attribute(story, truth, find):
    """Each write to the request that asked for these bytes last. (Runs choose targets so that they do not soon repeat.)"""
    wanted = defaultdict(list)
    for request in story.requests.values():
        wanted[request.machine, request.bytes].append(request)
    for requests in wanted.values():
        requests.sort(key=lambda r: r.asked_at)
    for machine, writes in truth.writes.items():
        for at, data in writes:
            before = [r for r in wanted[machine, data] if r.asked_at <= at]
            if before:
                before[-1].writes.append(at)
            elif at < story.struck_at:
                find("written-once", f"{machine}: {data.hex()} was written, and nobody had asked for it")


def answered_once(story, _, find):
    for conn in story.conns.values():
        for place in conn.asks.keys() | conn.answers.keys():
            asks, answers = conn.asks[place], conn.answers[place]
            if len(answers) > len(asks):
                find("answered-once", f"{conn.name} asked {place} {len(asks)} times, and was answered "
                                      f"{[a['code'] for a in answers]}")
            if len(answers) < len(asks) and conn.closed is None and story.ended:
                find("answered-once", f"{conn.name} ({conn.worker}) asked {place} {len(asks)} times, heard {len(answers)} "
                                      f"answers and is still there")


def same_answer(story, _, find):
    for request in story.requests.values():
        codes = {"CONNECTION_ERROR" if is_brokers(ask.answer) else ask.answer["code"] for ask in request.asks if ask.answer}
        if not _agree(codes):
            find("same-answer", f"{request} was answered {sorted(map(str, request.codes()))}")


def is_brokers(answer):
    """A broker refuses what an agent that hangs would find when it wakes."""
    return answer["code"] == "INTERLOCK" and answer.get("text") == "stale state"


def _agree(codes):
    """OUTCOME_UNKNOWN contradicts nothing: it may be the broker's or worker's word before the agent's came. What only a broker
    says (nothing was handed over) it does not remember, so that the next asker may be luckier; true_answer() looks at those."""
    return len(codes - {UNKNOWN, "CONNECTION_ERROR", "TIMEOUT", "BUSY"}) <= 1


def written(story, _, find):
    for request in story.requests.values():
        if len(request.writes) > 1 and request.command != 0:
            find("written-once", f"{request} was written {len(request.writes)} times, at {request.writes}")
        for at in request.writes:
            asks = [ask for ask in request.asks if ask.at <= at]
            late = all(at > ask.at + ask.deadline_ms * MS + SLACK_NS + story.unread_ns(ask, at) for ask in asks)
            if late:
                over = min(at - ask.at - ask.deadline_ms * MS for ask in asks) / MS
                find("written-in-time", f"{request} was written {over:.0f} ms after its deadline")


def true_answer(story, _, find):
    for request in story.requests.values():
        if request.command == 0:
            continue
        if None in request.codes() and not request.writes:
            find("true-answer", f"{request}: success, and nothing was written")
        for at in request.writes:
            asks = [ask for ask in request.asks if ask.at <= at]
            if all(ask.answer and ask.answer["code"] in NOT_SENT for ask in asks):
                find("true-answer", f"{request}: written, and refused with {sorted(map(str, request.codes()))}")


def unknown_has_cause(story, _, find):
    for request in story.requests.values():
        for ask in request.asks:
            if ask.answer and ask.answer["code"] == UNKNOWN:
                if not story.was_down(request.asked_at, ask.answer["at"], request.machine):
                    find("unknown-has-cause", f"{request}: OUTCOME_UNKNOWN on {ask.conn}, and nothing was down from "
                                              f"{request.asked_at} to {ask.answer['at']}")


def completions(story, truth, find):
    for conn in story.conns.values():
        for place, heard in conn.completions.items():
            request = story.request(conn, place)
            if request is None:
                find("completed-once", f"{conn.name} heard a completion of {place}, which it had not asked for")
                continue
            if len(heard) > len(conn.asks[place]):
                find("completed-once", f"{conn.name}: {request} completed {len(heard)} times for {len(conn.asks[place])} asks")
            for event in heard:
                true_completion(request, event, truth, find)
        for place, answers in conn.answers.items():
            request = story.request(conn, place)
            if request is None or request.command != 1 or conn.closed is not None or not story.ended:
                continue
            first = conn.asks[place][0] is request.asks[0]
            done = sum(answer["code"] is None for answer in answers
                       if first or not story.forgotten(request.machine, answer["at"]))
            if len(conn.completions[place]) < done:
                find("completed-once", f"{conn.name}: {request} succeeded {done} times, and heard "
                                       f"{len(conn.completions[place])} completions")


def true_completion(request, event, truth, find):
    if not request.writes:
        find("true-completion", f"{request}: completed ({event['success']}), and never written")
        return
    begin, end = request.writes[0], event["at"] + SLACK_NS  # its line may be written later than the word is heard
    if event["success"] and event["position"] != request.argument:
        find("true-completion", f"{request}: a success at {event['position']}")
    if event["success"] and not truth.said(request.machine, begin, end, lambda raw, at: at == request.argument and not raw & 1):
        find("true-completion", f"{request}: a success, and the machine never stood there")
    if not event["success"] and event["position"] == request.argument:
        find("true-completion", f"{request}: a failure at its target")


def published(story, truth, find):
    ids = {(r.machine, r.request_id): r for r in story.requests.values()}
    for kind, rule in (("answer", "result"), ("completion", "completion")):
        for place, events in story.observed[kind].items():
            request = ids.get(place)
            if request and request.command == 0 and story.forgotten(request.machine, events[0]["at"]):
                continue
            if len(events) > 1:
                find("published-once", f"the observer heard {len(events)} {rule}s of {place}: "
                                       f"{[e.get('code', e.get('success')) for e in events]}")
            if kind == "completion" and place in ids:
                true_completion(ids[place], events[0], truth, find)
    if not story.ended:
        return
    for place, request in ids.items():
        if request.command != 0 and None in request.codes() and not story.observed["answer"][place]:
            find("published-once", f"{request} succeeded, and the observer never heard a result")
        if request.command == 1 and None in request.codes() and not story.observed["completion"][place]:
            find("published-once", f"{request} succeeded, and the observer never heard a completion")


def states_in_order(name, frames, truth, find):
    """The earliest word of the PLC that a state can be is taken, so that only what cannot be is found."""
    last = {}
    for frame in frames:
        for machine, state in frame.get("status", {}).items() if frame["type"] == "status_broadcast" else ():
            if state["raw_status"] is None:
                continue
            said = (state["raw_status"], state["position"])
            words = truth.said_at.get(machine, {}).get(said, [])
            index = bisect.bisect_left(words, last.get(machine, 0))
            if index == len(words):
                when = "later than what it was shown before" if words else "at all"
                find("states-in-order", f"{name} was shown {machine} at {said}, which its PLC never said {when}: {frame.text[:200]}")
                return
            last[machine] = words[index]


def dropped(story, _, find):
    for conn in story.conns.values():
        if conn.closed is None or conn.closed["by"] == "us":
            continue
        at = conn.closed["at"]
        near = [v for a, b, v in story.downs if v == conn.worker and a - SLACK_NS <= at and b >= conn.opened]
        if not near:
            find("dropped", f"{conn.name} was closed with {conn.closed['code']}, and {conn.worker} had not died")


# --- the journals -----------------------------------------------------------------------------------------------------


def check_journals(story, truth, journals, find):
    for machine, writes in truth.writes.items():
        if writes and machine not in journals:
            find("chain", f"{machine} was written to and has no journal")
    for machine, journal in journals.items():
        for complaint in journal.complaints:
            find("chain", complaint)
        notes = Notes(machine, journal, find)
        intent_first(notes, truth.writes.get(machine, []), find)
        settled(notes, story.ended, find)
        journal_true(notes, truth, find)
        latch(journal, find)
        told(journal, find)
        told_as_noted(story, notes, find)


class Notes:
    """One machine's journal by command, which has a key."""

    def __init__(self, machine, journal, find):
        self.machine, self.find = machine, find
        self.intents, self.results, self.completions = {}, defaultdict(list), defaultdict(list)
        self.by_request = defaultdict(list)
        self.order = []
        for note in journal.notes:
            if note["event"] in ("intent", "result", "completion"):
                self._take(note)

    def _take(self, note):
        key = note["key"]
        if note["event"] == "intent":
            if key in self.intents:
                self.find("settled", f"{note['place']}: a second INTENT of {key}")
            self.intents[key] = note
            self.order.append(note)
        else:
            (self.results if note["event"] == "result" else self.completions)[key].append(note)
            if note.get("request_id"):
                self.by_request[note["scope"], note["request_id"]].append(note)


def note_bytes(note):
    argument = note.get("argument", -1)
    return bytes([note["command"]] + ([argument] if argument is not None and argument >= 0 else []))


def intent_first(notes, writes, find):
    """Each write belongs to the last INTENT before it, and is the only one of that INTENT."""
    stamps = [note["mono_ns"] for note in notes.order]
    if stamps != sorted(stamps):
        find("intent-first", f"{notes.machine}: its INTENTs are not in order of time")
        return
    for note in notes.order:
        note["writes"] = []
    for at, data in writes:
        index = bisect.bisect_right(stamps, at) - 1
        if index < 0 or note_bytes(notes.order[index]) != data:
            last = notes.order[index]["place"] if index >= 0 else "none"
            find("intent-first", f"{notes.machine}: {data.hex()} was written at {at}, the last INTENT before it is {last}")
            continue
        notes.order[index]["writes"].append(at)
    for note in notes.order:
        if len(note["writes"]) > 1:
            find("written-once", f"{note['place']}: written {len(note['writes'])} times")
        for at in note["writes"]:
            over = at - note["arrived_mono_ns"] - note["deadline_ms"] * MS
            if over > SLACK_NS:
                find("written-in-time", f"{note['place']}: written {over / MS:.0f} ms after its deadline")


def settled(notes, ended, find):
    """What is still under way when a run is struck has no end yet."""
    for key, note in notes.intents.items():
        own = [r for r in notes.results[key] if not r.get("repeat")]
        if len(own) > 1 or ended and not own:
            find("settled", f"{note['place']}: an INTENT with {len(own)} RESULTs")
    for key, results in notes.results.items():
        own = [r for r in results if not r.get("repeat")]
        if len(own) > 1:
            find("settled", f"{own[1]['place']}: a second RESULT of {key}")
        for result in own:
            if result.get("sent") and result["command"] != 0 and key not in notes.intents:
                find("settled", f"{result['place']}: sent, and there is no INTENT")
            done = [c for c in notes.completions[key] if not c.get("repeat")]
            wants = ended and result["command"] == 1 and result_code(result) is None
            if wants and len(done) != 1 or len(done) > 1:
                find("settled", f"{result['place']}: a move with {len(done)} COMPLETIONs")


def result_code(note):
    code = note.get("code")
    return None if code in (None, "", "NONE") else code


def journal_true(notes, truth, find):
    replies = truth.replies.get(notes.machine, [])
    for key, intent in notes.intents.items():
        for result in (r for r in notes.results[key] if not r.get("repeat")):
            wrote = intent.get("writes", [])
            if not result.get("sent") and wrote:
                find("journal-true", f"{result['place']}: not sent, and the PLC was written to")
            if result_code(result) is None and not wrote:
                find("journal-true", f"{result['place']}: success, and the PLC was not written to")
            if result_code(result) is None and wrote and not result.get("reconciled"):
                _reply_is(result, wrote[0], replies, find)


def _reply_is(result, at, replies, find):
    """The reading noted behind a RESULT is the PLC's first word after the write."""
    index = bisect.bisect_left(replies, (at,))
    if index == len(replies) or "after" not in result:
        find("journal-true", f"{result['place']}: a reply that the PLC never gave" if index == len(replies) else
             f"{result['place']}: a success without the PLC's reply")
        return
    _, raw, position = replies[index]
    if (result["after"]["raw"], result["after"]["position"]) != (raw, position):
        find("journal-true", f"{result['place']}: reply {result['after']}, but the PLC said {raw} {position}")


def told_as_noted(story, notes, find):
    for request in (r for r in story.requests.values() if r.machine == notes.machine):
        scope = request.scope if not request.scope.startswith("c:") else None
        noted = _noted_of(notes, request, scope)
        for ask in request.asks:
            if ask.answer is None:
                continue
            code, at = ask.answer["code"], ask.answer["at"]
            before = [n for n in noted if n["event"] == "result" and n["mono_ns"] <= at]
            if request.command == 0 and story.forgotten(request.machine, at):
                continue
            if code is None and not any(result_code(n) is None for n in before):
                find("told-as-noted", f"{request}: success was told to {ask.conn}, the journal had "
                                      f"{[(result_code(n), n['place']) for n in before]}")
            if code in NOT_SENT and not is_brokers(ask.answer) and any(result_code(n) is None and n["mono_ns"] >= ask.at for n in before) \
                    and not any(result_code(n) == code for n in before) and code not in ("TIMEOUT", "CONNECTION_ERROR", "BUSY"):
                find("told-as-noted", f"{request}: {code} was told to {ask.conn}, and a success was noted")


def _noted_of(notes, request, scope):
    if scope is not None:
        return notes.by_request[scope, request.request_id]
    return [n for (s, i), found in notes.by_request.items() if i == request.request_id and s.startswith("c:") for n in found]


def told(journal, find):
    upto = 0
    for note in journal.commands:
        if note["event"] == "told":
            if note["upto"] < upto or note["upto"] >= note["n"]:
                find("settled", f"{note['place']}: TOLD up to {note['upto']}, after {upto}")
            upto = note["upto"]


def latch(journal, find):
    latched = False
    for note in journal.commands:
        if note["event"] in ("latched", "rearmed"):
            latched = note["event"] == "latched"
        elif note["event"] == "intent" and latched and note["writes"]:
            find("latch", f"{note['place']}: written while the latch was set")


def main(argv):
    if len(argv) != 2:
        print(__doc__)
        return 2
    where = Path(argv[1])
    state = where / "state"
    findings = check(read_record(where / "record.jsonl"), where / "r/sim.log", state if state.is_dir() else None)
    print("\n".join(findings + [f"{len(findings)} contradictions"]))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
