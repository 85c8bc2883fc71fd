"""talker.py: a streams client that tells the model (stream_model.py) everything it says and hears.

What it says is not waited for, unless the play wants to: the model knows both ends of the time in which it was carried out. The second
one is the answer to a ping of WebSocket's own, which the worker reads behind what was said.
"""
import asyncio

from websockets import ConnectionClosed

from .connection import Gone
from .streams import ERROR, StreamClient
from .wait import limit, until


class Talker(StreamClient):
    def __init__(self, name, url):
        super().__init__(name, url)
        self.conn = None  # the model's; set by meets(), before anything is said
        self._pongs = []

    def meets(self, model, worker, ear=False):
        """`worker`: the life of a process that serves it."""
        self.conn = model.connect(self.name, worker, ear)
        return self

    def keep_frame(self, text):
        super().keep_frame(text)
        if text.startswith(ERROR):
            self.conn.hears_error()
        else:
            self.conn.hears(text)
        self.frames.clear()  # the model has them

    # --- saying, without waiting --------------------------------------------------------------------------------------

    async def opens(self, *streams):
        done = self.conn.opening(*streams)
        await self._says(ws_op="open", ws_stream_ids=list(streams))
        await self._when_taken(done)

    async def closes(self):
        done = self.conn.closing()
        await self._says(ws_op="close")
        await self._when_taken(done)

    async def sends(self, more=""):
        """One message; returns its text."""
        text = self.conn.sending(more)
        await self._says(ws_op="send", ws_msg=text)
        return text

    async def errs(self, text='{"ws_op":"reply, please"}'):
        """Something that is answered by an error, which comes behind everything that is owed to this client."""
        self.conn.mistaken()
        await self._says(text)

    async def _says(self, *text, **members):
        try:
            await self.say(*text, **members)
        except (ConnectionClosed, OSError) as error:
            raise Gone(f"{self.name}: {error}") from None

    async def _when_taken(self, done):
        try:
            pong = await self.socket.ping()
        except ConnectionClosed as error:
            raise Gone(f"{self.name}: {error}") from None
        pong.add_done_callback(lambda f: None if f.cancelled() or f.exception() else done())
        self._pongs.append(pong)

    # --- waiting --------------------------------------------------------------------------------------------------------

    async def settles(self, within=10.0):
        """Waits until all its opens and closes are done."""
        pongs, self._pongs = self._pongs, []
        if pongs:
            _, waiting = await asyncio.wait(pongs, timeout=limit(within))
            assert not waiting, f"{self.name}'s worker has not answered {len(waiting)} pings"

    async def has_all(self, within=10.0):
        """Waits until everything that it is owed by now has come."""
        await self.errs()
        owed = self.conn.errors_owed
        await until(f"{self.name} to hear its error {owed}; it heard {self.conn.errors_heard}",
                    lambda: self.conn.errors_heard >= owed or not self.connected, within)
