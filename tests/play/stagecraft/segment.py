"""segment.py: counters of any Noria process, read from its shared segment (common/shm/layout/segment.h, stats.h).

The file is read as bytes, never mapped for writing; a process need not answer, nor even be alive.
"""
import struct
from pathlib import Path

STATS_AT = 4096
STATS_MAGIC = b"NORISTAT"
BUCKETS = 160
COUNTER, GAUGE, HISTOGRAM = 0, 1, 2


class Segment:
    """One file of shm/: worker.N, broker, agent.SLOT."""

    def __init__(self, path):
        self.path = Path(path)

    def _bytes(self):
        return self.path.read_bytes()

    @property
    def exists(self):
        return self.path.exists()

    def page(self):
        data = self._bytes()
        names = ("magic", "version", "size_bytes", "pid", "incarnation", "started_wall_ms")
        page = dict(zip(names, struct.unpack_from("<6Q", data, 0)))
        page["role"] = data[48:80].split(b"\0")[0].decode()
        page["id"] = data[80:152].split(b"\0")[0].decode()
        page["sleeping"], page["cursor"] = struct.unpack_from("<2Q", data, 192)
        return page

    def metrics(self):
        """{name: value}; a histogram's value is its count."""
        return {name: value for name, (_, value) in self.described().items()}

    def described(self):
        """{name: (kind, value)}"""
        data = self._bytes()[STATS_AT:]
        magic = data[:8] if data[:8] == STATS_MAGIC else data[:8][::-1]
        if magic != STATS_MAGIC:
            raise AssertionError(f"{self.path}: no stats block ({data[:8]!r})")
        _, count, total = struct.unpack_from("<3Q", data, 8)
        values = {}
        for metric in range(count):
            at = 32 + metric * 64
            name = data[at:at + 48].split(b"\0")[0].decode()
            kind, index = struct.unpack_from("<2Q", data, at + 48)
            assert index < total, f"{self.path}: metric {name} points outside"
            values[name] = kind, struct.unpack_from("<Q", data, index * 8)[0]
        return values


class Counters:
    """All segments of a runtime directory."""

    def __init__(self, runtime_dir):
        self.shm = Path(runtime_dir) / "shm"

    def segment(self, role):
        return Segment(self.shm / role)

    def all(self):
        """{"worker.0": {...}, "broker": {...}, …} of what can be read now."""
        found = {}
        if self.shm.is_dir():
            for path in sorted(self.shm.iterdir()):
                if path.name in ("broker", "store") or path.name.startswith(("worker.", "agent.")):
                    try:
                        found[path.name] = Segment(path).metrics()
                    except (OSError, AssertionError, struct.error):
                        continue
        return found

    def role_of_pid(self, pid):
        """"worker.1" for the worker with that pid: slots are leased by the broker, not chosen by the play."""
        if self.shm.is_dir():
            for path in self.shm.iterdir():
                if path.name.startswith("worker."):
                    try:
                        if Segment(path).page()["pid"] == pid:
                            return path.name
                    except (OSError, struct.error):
                        continue
        return None
