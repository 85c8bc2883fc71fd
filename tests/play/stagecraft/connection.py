"""connection.py: a WebSocket connection, by Debian's python3-websockets, that keeps everything it hears, in order.

What a message is, and which rules hold for it, is the dialect's: client.py (carousel) and streams.py say it in `keep_frame()`. A
broken rule fails the next wait. Plays read what was heard through one cursor: exactly the next frame, or the first that fits.
"""
import asyncio
import json
import socket
import struct

import websockets

from .shorten import cut
from .wait import Late, limit, now, settle


class Gone(AssertionError):
    """The connection ended while the play waited for a frame."""


class Connection:
    hears_binary = False

    def __init__(self, name, url):
        self.name, self.url = name, url
        self.frames, self.cursor = [], 0
        self.socket = None
        self.close_code = None
        self.close_reason = ""
        self.broken_rule = None
        self._news = asyncio.Event()
        self._reader = None

    def __repr__(self):
        return f"<{self.name}>"

    def keep_frame(self, text):
        """Appends to .frames what the dialect makes of the text; AssertionError or ValueError if it breaks one of its rules."""
        raise NotImplementedError

    # --- life ---------------------------------------------------------------------------------------------------------

    async def connect(self, within=5.0, **options):
        options = {"max_size": None, "max_queue": None, "ping_interval": None, "close_timeout": 2, **options}
        self.socket = await settle(f"{self.name} to connect", websockets.connect(self.url, **options), within)
        self._reader = asyncio.ensure_future(self._read())
        return self

    @property
    def connected(self):
        return self.socket is not None and self.close_code is None

    @property
    def local_port(self):
        return self.socket.local_address[1]

    async def _read(self):
        try:
            async for text in self.socket:
                self._take(text)
        except websockets.ConnectionClosed:
            pass
        finally:
            self.close_code = self.socket.close_code or 1006
            self.close_reason = self.socket.close_reason or ""
            self._news.set()

    def _take(self, text):
        try:
            assert isinstance(text, str) or self.hears_binary, f"a binary frame: {cut(repr(text))}"
            self.keep_frame(text)
        except (AssertionError, ValueError) as error:
            self.broken_rule = self.broken_rule or f"{self.name}: {error}"
        self._news.set()

    async def close(self):
        if self.socket is not None:
            try:
                await self.socket.close()
            except websockets.ConnectionClosed:
                pass  # the server died while the two took leave
            await asyncio.wait_for(self._reader, limit(5))

    async def reset(self):
        """Ends with a TCP reset: no Close frame, and what is on its way either way is lost."""
        transport = self.socket.transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        await asyncio.wait_for(self._reader, limit(5))

    async def closed(self, within=5.0):
        """Waits until the server has closed; the close code."""
        await settle(f"{self.name} to be closed by the server", asyncio.shield(self._reader), within)
        return self.close_code

    # --- speaking -----------------------------------------------------------------------------------------------------

    async def say(self, message=None, **members):
        """A message of members, or any text or bytes as they stand."""
        if message is None:
            message = members
        await self.socket.send(message if isinstance(message, (str, bytes)) else json.dumps(message))

    async def taken(self, within=5.0):
        """Waits until its worker has carried out everything that was said here: the answer to a ping of WebSocket's own, which is
        read behind it. Says nothing about what is still on its way to this client."""
        try:
            await settle(f"{self.name}'s worker to answer a ping", await self.socket.ping(), within)
        except websockets.ConnectionClosed:
            raise Gone(f"{self.name} was closed while its ping was on its way; {self.recent()}") from None

    def stop_reading(self):
        self.socket.transport.pause_reading()

    def read_again(self):
        self.socket.transport.resume_reading()

    # --- hearing ------------------------------------------------------------------------------------------------------

    async def _frame_at(self, index, deadline, what):
        while len(self.frames) <= index:
            self.keep_rules()
            if self.close_code is not None:
                raise Gone(f"{self.name} was closed ({self.close_code}) while it waited for {what}; {self.recent()}")
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), max(0.0, deadline - now()))
            except asyncio.TimeoutError:
                raise Late(f"{self.name} waited in vain for {what}; {self.recent()}") from None
        self.keep_rules()
        return self.frames[index]

    def mark(self):
        """An index for `since`."""
        return len(self.frames)

    def keep_rules(self):
        if self.broken_rule:
            raise AssertionError(self.broken_rule)

    def recent(self):
        recent = self.frames[max(0, len(self.frames) - 4):]
        return f"{len(self.frames)} frames heard, at last: " + (" | ".join(cut(getattr(f, "text", f)) for f in recent) or "nothing")
