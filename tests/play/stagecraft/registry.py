"""registry.py: @play, and the order in which plays run: files by their number, plays as they stand in them."""
import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

PLAYS_DIR = Path(__file__).resolve().parents[1] / "plays"


@dataclass
class Play:
    name: str
    title: str
    act: object
    tags: set = field(default_factory=set)
    within: float = 60.0
    needs: str = ""


_found = []


def play(title, *tags, within=60.0):
    """Declares a play. Tags:
    asan       also run against the sanitizers' build
    npm        needs node and ws
    fault      its processes die at named places: left out where the build has no fault points (release)
    namespace  runs in a network namespace of its own
    deploy     builds the tree anew: run only by --tag deploy
    later      promised by the protocol page, built by no closed issue yet: run only by --tag later"""

    def declare(act):
        module = Path(act.__code__.co_filename).stem
        _found.append(Play(f"{module}.{act.__name__}", title, act, set(tags), within))
        return act

    return declare


def all_plays():
    if not _found:
        for path in sorted(PLAYS_DIR.glob("[0-9]*.py")):
            spec = importlib.util.spec_from_file_location(f"plays.{path.stem}", path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
    return list(_found)
