#!/usr/bin/env python3
"""log_events.py: every log line of the sources against the house's keys and against deploy/RUNBOOK.md.

    tests/audit/log_events.py [TREE]     prints FILE:LINE: rule for every breach; exit status 1 if there is any
    tests/audit/log_events.py --list     prints every event with its level, file and format

1. A line is key=value, key="quoted text" and, behind them, free words; keys are those of KEYS; a value ends with a blank.
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
ROW = re.compile(r"^\| `([a-z0-9-]+)` \|(.*)\|(.*)\|\s*$")
SECRET = re.compile(r"\b(password|payload|secret|bearer|authorization)\b|(?<!_)\btoken\b(?!s|_)")
# Lines that are one text made elsewhere, by one who keeps these rules.
CARRIED = {"%s"}


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
                events = [event] if event is not None else re.findall(r'"([^"]*)"', parts[0]) or [None]
                for one in events:
                    yield Line(name, text.count("\n", 0, match.start()) + 1, level.lower().replace("log_", ""), one,
                               literal(parts[1]) if len(parts) > 1 else None, ", ".join(parts[2:]))


def main():
    tree = Path(__file__).resolve().parents[2]
    arguments = sys.argv[1:]
    if arguments[:1] == ["--list"]:
        for line in lines_of(tree):
            print(f"{line.event or '?':24} {line.level:8} {line.file}:{line.number}  {line.format}")
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
