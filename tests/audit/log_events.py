#!/usr/bin/env python3
"""log_events.py: every log line of the sources against the house's keys and against deploy/RUNBOOK.md.

    tests/audit/log_events.py [TREE]     prints FILE:LINE: rule for every breach; exit status 1 if there is any
    tests/audit/log_events.py --list     prints every event with its level, file and format

1. A line is key=value, key="quoted text" and, behind them, free words; one thing has one key (SYNONYMS); a value ends with a blank.
2. Texts of errors stand quoted in error="…"; a number of suppressed lines is suppressed=%u.
3. Every event stands in the runbook's table of events, with a meaning and what to do; and every row there is an event of the sources.
4. No argument smells of a secret: nothing named token, password, payload, secret or body is logged.
"""
import re
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDERS = ["common", "broker", "plc-agent", "workers", "deploy"]
CALL = re.compile(r"\blog_(error|warn|info|debug|write|fatal)\s*\(")
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
EVENT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
KEY = re.compile(r"(?:(?<=^)|(?<= ))([a-z0-9_]+)=")
ROW = re.compile(r"^\| `([a-z0-9-]+)` \|([^|]*)\|([^|]*)\|\s*$")
SECRET = re.compile(r"\b(password|payload|secret|bearer|authorization|token)\b(?!\.len|_len)")
# Lines that are one text made elsewhere, by one who keeps these rules.
CARRIED = {"%s"}
RUNBOOK = "deploy/RUNBOOK.md"
LOGGERS_OWN = {"log-suppressed"}  # common/base/log.c writes it
QUOTED = {"error", "reason", "text"}
SYNONYMS = {"machine_id": "machine", "session_id": "session", "client": "session, or peer", "why": "reason", "err": "error", "ms": "took_ms",
            "request": "request_id"}


@dataclass
class Line:
    file: str
    number: int
    level: str
    event: str  # None: a variable
    format: str  # None: none was found
    arguments: str


def arguments_of(text, start):
    """What stands between the parentheses that open at start, split at its commas; strings are whole."""
    depth, parts, part, i = 1, [], "", start
    while i < len(text):
        c = text[i]
        if c == '"':
            match = STRING.match(text, i)
            part += match.group(0)
            i = match.end()
            continue
        if c == "'":
            end = text.index("'", i + (3 if text[i + 1] == "\\" else 1))
            part += text[i:end + 1]
            i = end + 1
            continue
        depth += (c in "([{") - (c in ")]}")
        if depth == 0:
            return parts + [part.strip()]
        if c == "," and depth == 1:
            parts.append(part.strip())
            part = ""
        else:
            part += c
        i += 1
    raise ValueError("unbalanced parentheses")


def literal(expression):
    """The text of a string literal, macros of <inttypes.h> and of versions among its parts; None: it is none."""
    if not expression.startswith('"'):
        return None
    text = "".join(m if s is None else s for s, m in
                   ((p.group(1), None) if p.group(1) is not None else (None, macro(p.group(0)))
                    for p in re.finditer(r'"((?:[^"\\]|\\.)*)"|[A-Za-z_]\w*', expression)))
    return text.replace('\\"', '"')


def macro(name):
    return {"PRI": name[3].lower()}.get(name[:3], "1.0") if name.startswith("PRI") else "1.0"


def without_comments(text):
    keep = lambda m: m.group(0) if m.group(0).startswith('"') else re.sub(r"[^\n]", " ", m.group(0))
    return re.sub(r'"(?:[^"\\\n]|\\.)*"|/\*.*?\*/|//[^\n]*', keep, text, flags=re.S)


def handed_down(text, at, parameter):
    """The events that a function with a parameter for it is called with, in its file."""
    heads = list(re.finditer(r"^(?:static )?[\w* ]+?\**(\w+)\(([^;{}]*)\)\n\{", text[:at], re.M))
    if not heads or not re.search(rf"\b{re.escape(parameter)}\b", heads[-1].group(2)):
        return [None]
    place = [p.strip().split()[-1].lstrip("*") for p in heads[-1].group(2).split(",")].index(parameter)
    calls = [arguments_of(text, m.end()) for m in re.finditer(rf"(?<=[ \t(;]){heads[-1].group(1)}\(", text)]
    events = [event for c in calls if len(c) > place for event in re.findall(r'"([^"]*)"', c[place])]
    return sorted(set(events)) or [None]


def lines_of(tree):
    for folder in FOLDERS:
        for path in sorted((tree / folder).rglob("*.c")):
            name = str(path.relative_to(tree))
            if name.startswith(("common/base/log", "workers/handler/example")):
                continue
            text = without_comments(path.read_text(errors="replace"))
            for match in CALL.finditer(text):
                parts = arguments_of(text, match.end())
                if match.group(1) == "write":
                    level, parts = parts[0], parts[1:]
                else:
                    level = match.group(1)
                event = literal(parts[0])
                events = [event] if event is not None else re.findall(r'"([^"]*)"', parts[0]) or handed_down(
                    text, match.start(), parts[0])
                for one in events:
                    yield Line(name, text.count("\n", 0, match.start()) + 1, level.lower().replace("log_", ""), one,
                               literal(parts[1]) if len(parts) > 1 else None, ", ".join(parts[2:]))


def key_breaches(line):
    """Of one format."""
    if line.format is None or line.format in CARRIED:
        return
    text = re.sub(r'"[^"]*"', '""', line.format)  # what is quoted is free
    for word in text.split(" "):
        match = re.match(r"([a-z0-9_]+)=(.*)", word)
        if match is None:
            continue
        key, value = match.groups()
        if key in SYNONYMS:
            yield f"event {line.event}: {key}= is called {SYNONYMS[key]}= everywhere else"
        if value.endswith((":", ";", ",", ")")):
            yield f"event {line.event}: the value of {key} ends in punctuation"
        if key in QUOTED and not value.startswith('""'):
            yield f"event {line.event}: {key}= stands in quotes"
    if "(suppressed" in text or re.search(r"suppressed=%[^ul]", text):
        yield f"event {line.event}: suppressed=%u is a key like any other"
    if re.search(r"(^|[^=\w\"]): %s", text):
        yield f"event {line.event}: the text of an error stands in error=\"…\""


def breaches(tree):
    lines = list(lines_of(tree))
    rows, problems = runbook(tree)
    yield from problems
    for line in lines:
        where = f"{line.file}:{line.number}"
        if line.event is None:
            yield f"{where}: which event it is cannot be seen"
            continue
        if EVENT.match(line.event) is None:
            yield f"{where}: event {line.event!r} is not of the form word-word"
        for problem in key_breaches(line):
            yield f"{where}: {problem}"
        if SECRET.search(line.arguments):
            yield f"{where}: event {line.event} is given something that may be a secret: {line.arguments}"
        if line.event not in rows:
            yield f"{where}: event {line.event} stands in no row of {RUNBOOK}"
    known = {line.event for line in lines} | LOGGERS_OWN
    for event, number in rows.items():
        if event not in known:
            yield f"{RUNBOOK}:{number}: nothing logs the event {event}"


def runbook(tree):
    """The rows of the table of events: name → line number."""
    path, rows, problems = tree / RUNBOOK, {}, []
    for number, text in enumerate(path.read_text().splitlines() if path.exists() else [], 1):
        match = ROW.match(text)
        if match is None:
            continue
        name, meaning, action = match.groups()
        if name in rows:
            problems.append(f"{RUNBOOK}:{number}: the event {name} stands there twice")
        if not meaning.strip() or not action.strip():
            problems.append(f"{RUNBOOK}:{number}: the event {name} wants a meaning and what to do")
        rows[name] = number
    if not rows:
        problems.append(f"{RUNBOOK}:1: there is no table of events")
    return rows, problems


def main():
    arguments = sys.argv[1:]
    if arguments[:1] == ["--list"]:
        for line in lines_of(Path(__file__).resolve().parents[2]):
            print(f"{line.event or '?':24} {line.level:8} {line.file}:{line.number}  {line.format}")
        return 0
    found = list(breaches(Path(arguments[0]) if arguments else Path(__file__).resolve().parents[2]))
    print("\n".join(found + [f"{len(found)} breaches"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
