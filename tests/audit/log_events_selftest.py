#!/usr/bin/env python3
"""log_events_selftest.py: proves that the audit of log lines can fail. Each kind of breach is written into a small tree of its own and
must be caught; the tree without it is clean."""
import sys
import tempfile
from pathlib import Path

from log_events import FOLDERS, RUNBOOK, breaches

HEAD = "| event | means | do |\n|---|---|---|\n"
ROW = "| `agent-lost` | It left. | nothing |\n"
GOOD = 'void f(void)\n{\n    log_warn("agent-lost", "machine=%s reason=\\"%s\\" free words", id, why); /* log_info("no") */\n}\n'
OWN = "| `log-suppressed` | Lines. | nothing |\n"

# what is planted: source, rows of the runbook, a word of the rule that must catch it ("": none may)
CASES = {
    "nothing": (GOOD, ROW, ""),
    "the logger's own event": (GOOD, ROW + OWN, ""),
    "an event without a row": (GOOD + 'void g(void)\n{\n    log_info("new-event", "%s", "");\n}\n', ROW, "stands in no row"),
    "a row without an event": (GOOD, ROW + "| `gone` | Was. | nothing |\n", "nothing logs the event"),
    "a row twice": (GOOD, ROW + ROW, "twice"),
    "a row without a meaning": (GOOD, "| `agent-lost` |  | nothing |\n", "wants a meaning"),
    "no table": (GOOD, "", "no table"),
    "an error that is not quoted": (GOOD.replace('reason=\\"%s\\"', "error=%s"), ROW, "stands in quotes"),
    "an error as loose text": (GOOD.replace('reason=\\"%s\\" free words', "slot=%u: %s"), ROW, "punctuation"),
    "another word for machine": (GOOD.replace("machine=", "machine_id="), ROW, "is called machine="),
    "suppressed in brackets": (GOOD.replace("free words", "(suppressed=%u)"), ROW, "suppressed"),
    "a token": (GOOD.replace(", why", ", token"), ROW, "secret"),
    "a password": (GOOD.replace(", why", ", user->password"), ROW, "secret"),
    "an event of two words": (GOOD.replace('"agent-lost"', '"agent lost"'), ROW, "word-word"),
    "an event that is handed down": ('static void say(int n, const char *event)\n{\n    log_warn(event, "slot=%d", n);\n}\n'
                                     'void g(void)\n{\n    say(1, "agent-lost");\n    say(2, "other-lost");\n}\n', ROW, "other-lost stands in no row"),
    "an event that cannot be seen": ('void g(const char *e)\n{\n    const char *event = e;\n    log_warn(event, "slot=%d", 1);\n}\n' + GOOD, ROW, "cannot be seen"),
}


def caught(source, rows):
    with tempfile.TemporaryDirectory(prefix="noria-log-events-") as name:
        tree = Path(name)
        for folder in FOLDERS:
            (tree / folder).mkdir()
        (tree / "broker/one.c").write_text(source)
        (tree / RUNBOOK).write_text(HEAD + rows)
        return list(breaches(tree))


def main():
    bad = 0
    for what, (source, rows, word) in CASES.items():
        found = caught(source, rows)
        good = not found if word == "" else any(word in breach for breach in found)
        bad += not good
        if not good:
            print(f"FAIL {what}: {found}")
    print(f"{len(CASES) - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
