"""chatterbox.py: a client of an endpoint who says numbered messages and knows what must come back: an answer to each, in order; 200 with its
number, or 500 for one that a handler's process died with. Whether a handler was given each once stands in the handlers' log (handled.py).

The endpoints are two of a scripted handler's: a validated one (ECHO) and a traditional one, which both answer the message itself.
"""
import json
from collections import Counter

from .caller import FAILED
from .scripts import compact

ECHO = {"type": "object", "properties": {"n": {"default": None}, "do": {"type": "array", "default": []}}}


class Chatterbox:
    def __init__(self, client, worker):
        self.client, self.worker, self.name = client, worker, client.name
        self.said, self.heard, self.failed = 0, 0, []  # numbers that were 500

    def __repr__(self):
        return f"<{self.name} on {self.worker}: {self.heard} of {self.said} answered>"

    @property
    def was_handled(self):
        """A handler has answered it. One whose process died with all that it was given need not have been seen by any."""
        return self.heard > len(self.failed)

    async def speak(self, count=1):
        for _ in range(count):
            await self.client.say(json.dumps({"n": self.said}))
            self.said += 1

    async def has_all(self, within=30.0):
        """Waits for all answers that are owed, and looks at them."""
        while self.heard < self.said:
            self.take(await self.client.next(within=within))

    def look(self):
        """Looks at the answers that are there already."""
        while self.client.cursor < len(self.client.frames):
            self.take(self.client.frames[self.client.cursor])
            self.client.cursor += 1

    def take(self, answer):
        if self.client.traditional:
            right, failed = answer.body == f'{{"n": {self.heard}}}', answer.body == compact(FAILED)
        else:
            right, failed = (answer.status, answer.body) == (200, {"n": self.heard, "do": []}), (answer.status, answer.body) == (500, FAILED)
        assert (right or failed) and self.heard < self.said, f"{self}: an answer is {answer}"
        if failed:
            self.failed.append(self.heard)
        self.heard += 1

    def complaints(self, handler):
        """What the handlers' log says of its messages."""
        given = handler.heard("message", who=self.name)
        times, told = Counter(e["n"] for e in given), []
        told += [f"{self.name}: message {n} was answered, and no handler was given it" for n in range(self.heard)
                 if n not in times and n not in self.failed]
        told += [f"{self.name}: message {e['n']} is a 500, and {e['pid']} did not die" for e in given
                 if e["n"] in self.failed and e["pid"] not in handler.deaths]
        return told
