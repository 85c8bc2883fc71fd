"""disk.py: an agent's disk as a test sees it: it can hang, it can lie, and when the power goes it forgets what was not synced
(tests/fault/powercut.c, preloaded, notes what was).

What becomes of bytes that were written and not synced is nobody's promise, so there are variants:

    cut       all of it is gone
    prefix    some of it is there
    garbage   it is there, but holds what the block held before
    hole      the file has its length, and zeros where the bytes should be
    kept      the file system was faster than the power cut

A file whose name was never synced is gone, too (but for `kept`).
"""
import os
from pathlib import Path

from .stage import BIN

VARIANTS = ("cut", "prefix", "garbage", "hole", "kept")
LIBRARY = BIN / "powercut.so"


def environment(directory):
    """For an agent whose disk it is to be; `directory` is for what this file and the library tell each other."""
    assert LIBRARY.exists(), f"{LIBRARY} is not built"
    return {"LD_PRELOAD": str(LIBRARY), "POWERCUT_LOG": f"{directory}/synced", "POWERCUT_GATE": f"{directory}/hangs",
            "POWERCUT_LIES": f"{directory}/lies"}


def hangs(directory, yes=True):
    """No sync returns, until it does not hang any more."""
    _mark(directory, "hangs", yes)


def lies(directory, yes=True):
    """Syncs succeed and do nothing."""
    _mark(directory, "lies", yes)


def _mark(directory, name, yes):
    path = Path(directory) / name
    path.touch() if yes else path.unlink(missing_ok=True)


def confirmed(directory):
    """({path: bytes}, names): what the disk holds."""
    sizes, names, log = {}, set(), Path(directory) / "synced"
    for line in log.read_text().splitlines() if log.exists() else []:
        kind, rest = line.split(" ", 1)
        if kind == "file":
            size, path = rest.split(" ", 1)
            sizes[path] = int(size)
        else:
            names.add(rest)
    return sizes, names


def cut(journal, directory, variant, dice):
    """The power goes. Returns how many bytes were taken away, or spoilt."""
    sizes, names = confirmed(directory)
    lost = 0
    for path in sorted(Path(journal).glob("*.jsonl")):
        path = path.resolve()
        size = path.stat().st_size
        keep = min(sizes.get(str(path), 0), size)
        lost += size - keep
        if variant == "kept":
            continue
        if str(path) not in names:
            lost += keep
            path.unlink()
            continue
        spoil(path, keep, size, variant, dice)
    return lost


def spoil(path, keep, size, variant, dice):
    rest = size - keep
    with open(path, "r+b") as file:
        if variant == "prefix":
            file.truncate(keep + dice.randrange(rest + 1))
        else:
            file.truncate(keep)
        if variant == "garbage":
            file.seek(keep)
            file.write(bytes(dice.randrange(1, 256) for _ in range(rest)))
        if variant == "hole":
            file.truncate(size)
        os.fsync(file.fileno())

