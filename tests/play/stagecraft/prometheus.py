"""prometheus.py: a strict reader of the text that /metrics answers with (format 0.0.4).

Stricter than Prometheus where that only costs mistakes: every family begins with its TYPE, is whole and comes once, no series
comes twice, and a histogram is complete, cumulative and in the order of its bounds.
"""
import re

from .httpclient import get

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ((?:\d+(?:\.\d+)?)|\+Inf)\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|\Z)')
TYPES = {"counter", "gauge", "histogram"}


def labels_of(text):
    found, at = {}, 0
    while text and at < len(text):
        match = LABEL.match(text, at)
        assert match, f"labels: {text!r}"
        name, value = match.groups()
        assert name not in found, f"label {name} twice: {text!r}"
        found[name] = re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m.group(1), m.group(1)), value)
        at = match.end()
    return found


def number(text):
    return int(text) if text.isdigit() else float(text)


class Family:
    def __init__(self, name, text):
        self.name, self.help, self.type, self.samples = name, text, None, {}

    def add(self, name, labels, value):
        if self.type == "histogram":
            assert name.removeprefix(self.name) in ("_bucket", "_sum", "_count"), name
        else:
            assert name == self.name, f"{name} within {self.name}"
            assert self.type == "gauge" or name.endswith("_total"), f"a counter {name}"
        key = (name, tuple(sorted(labels.items())))
        assert key not in self.samples, f"{key} twice"
        self.samples[key] = value

    def check_histograms(self):
        by_series = {}
        for (name, labels), value in self.samples.items():
            rest = tuple(pair for pair in labels if pair[0] != "le")
            by_series.setdefault(rest, []).append((name.removeprefix(self.name), dict(labels).get("le"), value))
        for series, parts in by_series.items():
            buckets = [(float(le), value) for part, le, value in parts if part == "_bucket"]
            assert [part for part, _, _ in parts[-2:]] == ["_sum", "_count"] and len(parts) == len(buckets) + 2, parts
            bounds, counts = [b for b, _ in buckets], [v for _, v in buckets]
            assert bounds == sorted(set(bounds)) and bounds[-1] == float("inf"), (self.name, series, bounds)
            assert counts == sorted(counts) and counts[-1] == parts[-1][2], (self.name, series, counts)


class Metrics:
    """A whole document."""

    def __init__(self, text):
        assert text.endswith("\n"), text[-100:]
        self.families, now, self.length = {}, None, len(text)
        for line in text[:-1].split("\n"):
            if line.startswith("# HELP "):
                _, _, name, words = line.split(" ", 3)
                now = self._begin(name, words, now)
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                now = now if now and now.name == name else self._begin(name, "", now)
                assert now.type is None and kind in TYPES and not now.samples, line
                now.type = kind
            else:
                match = SAMPLE.match(line)
                assert match and now and now.type, f"not a sample: {line!r}"
                name, labels, value = match.groups()
                now.add(name, labels_of(labels), number(value))
        for family in self.families.values():
            if family.type == "histogram":
                family.check_histograms()

    def _begin(self, name, words, before):
        assert name not in self.families, f"{name} twice"
        assert before is None or before.samples, f"{before.name} is empty"
        self.families[name] = Family(name, words)
        return self.families[name]

    def value(self, name, **labels):
        """None: there is no such series."""
        for suffix in ("", "_bucket", "_sum", "_count"):
            family = self.families.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
            if family and (name, tuple(sorted(labels.items()))) in family.samples:
                return family.samples[(name, tuple(sorted(labels.items())))]
        return None

    def labels(self, label):
        """All values that this label has."""
        return {value for family in self.families.values() for _, labels in family.samples for name, value in labels if name == label}

    def quantile(self, name, q, **labels):
        """The upper bound of the bucket that holds it, in seconds; None of an empty histogram."""
        family = self.families[name]
        wanted = tuple(sorted(labels.items()))
        buckets = [(float(dict(found)["le"]), value) for (part, found), value in family.samples.items()
                   if part.endswith("_bucket") and tuple(pair for pair in found if pair[0] != "le") == wanted]
        total = buckets[-1][1]
        return next((bound for bound, count in buckets if count >= q * total), None) if total else None


async def scrape(port, within=10.0, **headers):
    answer = await get(port, "/metrics", within=within, **headers)
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8", answer
    return Metrics(answer.body.decode("ascii"))


def exposed(role, name, kind):
    """The name under which /metrics shows a metric of a segment (kind as in segment.py)."""
    if kind == 2:
        return f"noria_{role}_{name.removesuffix('_ns')}_seconds_count"
    return f"noria_{role}_{name}_total" if kind == 0 else f"noria_{role}_{name}"
