"""streams.py: a client of the streams dialect over a connection (connection.py).

    c = await s.streamer("c1", "a", "b", on="w1")      connected, both streams opened, and its worker knows it
    await c.send("any text", {"or": "JSON"})           each a send of its own
    await c.next("the bare content")                   exactly the next message; hear() skips to it
    text = await c.error("ws_op")                      exactly the next message is an error whose text names ws_op
    answer = await c.admin("getnumchannels()")

.frames holds every text as it came. A message is bare content, so nothing but the play knows what it must be; an error of the
server's and a message that looks like one are told apart by nobody. Nothing is acknowledged: taken() waits until the worker
has carried out what was said. Negatives: a later message, or reply(), which comes behind everything that was owed.
"""
import json

from .connection import Connection
from .scripts import compact
from .shorten import cut
from .wait import limit, now

ERROR = '{"ws_op":"error","ws_msg":'


class StreamClient(Connection):
    def keep_frame(self, text):
        self.frames.append(text)
        if text.startswith(ERROR):
            error = json.loads(text)
            assert list(error) == ["ws_op", "ws_msg"] and isinstance(error["ws_msg"], str) and error["ws_msg"], text
            assert text == compact(error), f"not compact, or escaped: {cut(repr(text))}"

    # --- speaking -----------------------------------------------------------------------------------------------------

    async def open(self, *streams):
        """Opens streams, or adds them; returns when messages to them will arrive."""
        await self.say(ws_op="open", ws_stream_ids=list(streams))
        await self.taken()

    async def send(self, *contents):
        """Each content, text or JSON value, as a message to all the streams that this client has opened."""
        for content in contents:
            await self.say(ws_op="send", ws_msg=content)

    async def leave(self):
        """Closes all its streams; returns when that has happened. What was owed before may still arrive."""
        await self.say(ws_op="close")
        await self.taken()

    async def reply(self, within=5.0):
        """Asks for a reply (an error); returns it when it came, behind everything that this client was owed when its worker wrote it.
        Whatever came before is skipped and stays in .frames; so not beside other errors that are awaited."""
        await self.say('{"ws_op":"reply, please"}')
        return await self.hear(test=lambda text: text.startswith(ERROR), within=within)

    async def admin(self, question, within=5.0):
        """Asks and returns the answer, the next message that is an object with `numchannels`; or the error, as AssertionError."""
        await self.say(ws_op="admin", ws_msg=question)
        text = await self.hear(test=lambda text: text.startswith(('{"numchannels":', ERROR)), within=within)
        assert not text.startswith(ERROR), f"{self.name} asked {question}: {text}"
        return json.loads(text)

    # --- hearing --------------------------------------------------------------------------------------------------------

    async def next(self, *texts, within=5.0):
        """Exactly the next message or messages; the text (of the last one). Without `texts`: whatever comes next."""
        deadline, text = now() + limit(within), None
        for want in texts or (None,):
            text = await self._frame_at(self.cursor, deadline, f"the next message{'' if want is None else f', {cut(repr(want))}'}")
            self.cursor += 1
            assert want is None or text == want, f"{self.name}: wanted {cut(repr(want))}, heard {cut(repr(text))}"
        return text

    async def hear(self, text=None, within=5.0, test=None):
        """The first message from the cursor on that is `text`, or fits `test`; others before it are skipped."""
        deadline, index = now() + limit(within), self.cursor
        while True:
            heard = await self._frame_at(index, deadline, f"the message {cut(repr(text))}" if text is not None else "a message that fits")
            index += 1
            if heard == text or (test is not None and test(heard)):
                self.cursor = index
                return heard

    async def error(self, *words, within=5.0):
        """Exactly the next message is an error, whose text holds the words; its text."""
        heard = await self.next(within=within)
        assert heard.startswith(ERROR), f"{self.name}: wanted an error, heard {cut(repr(heard))}"
        text = json.loads(heard)["ws_msg"]
        for word in words:
            assert word in text, f"{self.name}: an error that does not name {word!r}: {cut(repr(text))}"
        return text

    # --- looking back -------------------------------------------------------------------------------------------------------

    def heard(self, since=0):
        """All messages that are no errors, from index `since` on."""
        return [text for text in self.frames[since:] if not text.startswith(ERROR)]

    def errors(self):
        return [text for text in self.frames if text.startswith(ERROR)]
