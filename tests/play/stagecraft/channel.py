"""channel.py: a client of the channels dialect over a connection (connection.py). Everything it hears is checked on arrival (channel_frames.py).

    c1 = await s.channel("c1", "sensors", on="w1", user_id="ana")       connected, its first frames heard and checked
    await c1.event("sensor", "created", tipo="temperatura")            the next event that fits; others are skipped
    await s.channel("c2", since=c1.last_seq)                           resumes
"""
from urllib.parse import quote, urlencode

from .channel_frames import ChannelHistory, Frame, check_frame
from .connection import Connection
from .frames import matches
from .wait import limit, now

PATH = "/api/v1/ws"
SECURE_PATH = "/api/v1/ws/secure"


def channel_path(channel=None, secure=False, **query):
    """Path and query of an upgrade; what is None is left out."""
    query = {key: value for key, value in {"channel": channel, **query}.items() if value is not None}
    return (SECURE_PATH if secure else PATH) + ("?" + urlencode(query, quote_via=quote) if query else "")


class ChannelClient(Connection):
    def __init__(self, name, url, channel="general", secure=False):
        super().__init__(name, url)
        self.channel = channel
        self.history = ChannelHistory(channel, secure)

    def keep_frame(self, text):
        frame = Frame(text)
        self.frames.append(frame)
        check_frame(text, frame)
        self.history.check(frame)

    async def joined(self, within=5.0):
        """Hears what everybody hears first; the channel_stats."""
        return await self.hear("channel_stats", within=within)

    async def next(self, type=None, within=5.0, **want):
        """Exactly the next frame; fails if it is another than wanted."""
        want = {"type": type, **want} if type else want
        frame = await self._frame_at(self.cursor, now() + limit(within), f"the next frame {want}")
        self.cursor += 1
        assert frame.matches(want), f"{self.name}: wanted {want}, heard {frame.text}"
        return frame

    async def hear(self, type=None, within=5.0, test=None, **want):
        """The first frame from the cursor on that fits; others before it are skipped (they stay in .frames)."""
        want = {"type": type, **want} if type else want
        deadline, index = now() + limit(within), self.cursor
        while True:
            frame = await self._frame_at(index, deadline, f"a frame {want}")
            index += 1
            if frame.matches(want) and (test is None or test(frame)):
                self.cursor = index
                return frame

    async def event(self, entity=None, event=None, id=None, within=5.0, **data):
        """The next entity_event that fits; `data` are members of its data."""
        want = {"entity_type": entity, "event_type": event, "entity_id": id}
        want = {key: value for key, value in want.items() if value is not None}
        return await self.hear("entity_event", within=within, data=data, **want)

    async def said_by_system(self, message=None, within=5.0, **want):
        return await self.hear("system_event", within=within, **({"message": message} if message else {}), **want)

    async def ping(self, within=5.0):
        await self.say(type="ping")
        return await self.hear("pong", within=within)

    # --- looking back -----------------------------------------------------------------------------------------------------

    def events(self, since=0, **want):
        """All entity_events from index `since` on that fit."""
        return [f for f in self.frames[since:] if f.type == "entity_event" and all(k in f and matches(f[k], v) for k, v in want.items())]

    @property
    def last_seq(self):
        """The seq of the last frame heard that had one, as `since` wants it."""
        return next((f["seq"] for f in reversed(self.frames) if "seq" in f), None)

    @property
    def heard_stats(self):
        """The channel_stats that it heard first."""
        return next(f for f in self.frames if f.type == "channel_stats")
