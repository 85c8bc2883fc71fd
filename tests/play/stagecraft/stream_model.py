"""stream_model.py: who must hear what on streams, in which order, who may, and who must not.

The model is told what clients said, when their workers had certainly carried it out, and what everybody heard; judge() names
every contradiction. It runs no process and opens no socket (plays/37_stream_model.py and tests/fault do), so that selftest can feed it
histories in which something is wrong.

One counter ticks at every event. Of a change of a connection's streams is known when it was said and when it was done; in
between either may be true. Of a message and a worker is known when it was said and by when the worker had certainly passed it on:
when one of its clients heard it, or one behind it. So a message, to somebody who shares a stream with it,

    must come      if he had opened the stream before it was said, and did not say close before it had passed
    may come       if some moment of its passage falls into the time in which he may have had the stream open
    must not come  otherwise; and never to its sender

The order of everything is the one in which *ears* hear it: clients with all streams open. A cut is a message of a control client that
only ears hear; judge() looks at what came up to it. The rules, by the words that complaints begin with:

    lost       it must have come; or a later one of the same sender came, and it did not
    twice      it came again
    order      it came behind one that is later in the order of all, or of its sender
    echo       its sender heard it
    foreign    somebody heard what he must not, or what nobody said, or what was said to no stream
    some only  somebody heard what the ears did not
    errors     more or fewer errors than mistakes

What a connection that ended by a reset, or whose worker was killed, had said last may be lost: then to everybody, and everything
that it said afterwards, too. Who is not there any more is owed nothing, but what he heard has no hole.
"""
NEVER = float("inf")


class Message:
    def __init__(self, sender, number, text, streams, said):
        self.sender, self.number, self.text, self.streams, self.said = sender, number, text, streams, said
        self.may_be_lost = False
        self.place = None  # in the order of everything

    def __repr__(self):
        return f"{self.text[:40]!r} (to {len(self.streams)} streams)"


class Span:
    """A time in which a connection may have had a stream open."""

    def __init__(self, said):
        self.open_said, self.open_done = said, NEVER
        self.close_said, self.close_done = NEVER, NEVER

    def holds_all(self, begin, end):
        return self.open_done <= begin and self.close_said >= end

    def meets(self, begin, end):
        return self.open_said <= end and self.close_done >= begin


class Conn:
    """A connection, as the model knows it. `worker`: one life of a process, "w1#3"."""

    def __init__(self, model, name, worker, ear):
        self.model, self.name, self.worker, self.ear = model, name, worker, ear
        self.born, self.ended = model.tick(), None
        self.streams = set()  # as its worker will see them when it has read all that was said
        self.spans = {}
        self.count, self.sent = 0, []  # messages; those that are not placed yet
        self.relayed = 0               # the number that must come next
        self.heard, self.texts = [], set()
        self.errors_owed, self.errors_heard = 0, 0

    def __repr__(self):
        return f"{self.name} on {self.worker}"

    # --- what it says -------------------------------------------------------------------------------------------------

    def opening(self, *streams):
        """It says open; returns a function to be called when that is certainly done."""
        said = self.model.tick()
        fresh = [Span(said) for _ in range(len(set(streams) - self.streams))]
        for stream, span in zip(sorted(set(streams) - self.streams), fresh):
            self.spans.setdefault(stream, []).append(span)
        self.streams |= set(streams)
        return lambda: self._done(fresh, "open_done")

    def closing(self):
        said = self.model.tick()
        spans = [self.spans[stream][-1] for stream in self.streams]
        for span in spans:
            span.close_said = said
        self.streams = set()
        return lambda: self._done(spans, "close_done")

    def _done(self, spans, what):
        tick = self.model.tick()
        for span in spans:
            setattr(span, what, tick)

    def sending(self, more=""):
        """It says send; returns the text, which nobody ever says again. To no stream it is a mistake."""
        text = f"{self.name}.{self.count}{more}"
        message = Message(self, self.count, text, frozenset(self.streams), self.model.tick())
        if self.streams:
            self.count += 1
            self.sent.append(message)
        else:
            text = message.text = f"{self.name} to nobody {message.said}{more}"
            self.errors_owed += 1
        self.model.said(message)
        return text

    def mistaken(self):
        """It says something that is answered by an error, and nothing else."""
        self.model.tick()
        self.errors_owed += 1

    # --- what it hears --------------------------------------------------------------------------------------------------

    def hears(self, text):
        self.heard.append((self.model.tick(), text))
        self.texts.add(text)

    def hears_error(self):
        self.model.tick()
        self.errors_heard += 1

    def ends(self, all_was_read):
        """`all_was_read`: its worker has certainly read all that it said."""
        self.ended = self.model.tick()
        if not all_was_read:
            self.model.may_lose(self)


class StreamModel:
    def __init__(self):
        self._tick, self._next_place, self._last_cut = 0, 0, 0
        self.messages, self.conns = {}, []
        self.due = {}  # messages that no judgement has placed yet
        self.relayed = self.musts = self.mays = self.nots = 0  # figures: messages, and of pairs with a listener what is known

    def tick(self):
        self._tick += 1
        return self._tick

    def begin(self):
        """The ears are there, and nobody has said anything."""
        self._last_cut = self.tick()

    def connect(self, name, worker, ear=False):
        conn = Conn(self, name, worker, ear)
        self.conns.append(conn)
        return conn

    def said(self, message):
        assert message.text not in self.messages, f"said before: {message}"
        self.messages[message.text] = message
        if message.streams:
            self.due[message.text] = message

    def may_lose(self, conn):
        for message in conn.sent:
            message.may_be_lost = message.place is None

    def worker_died(self, worker):
        """Also what those said who are gone already may have been lost with it."""
        for conn in self.conns:
            if conn.worker == worker:
                if conn.ended is None:
                    conn.ends(all_was_read=False)
                self.may_lose(conn)

    # --- before a judgement -----------------------------------------------------------------------------------------------

    def lifelong_ears(self):
        """Ears that have been there since the last cut."""
        return [c for c in self.conns if c.ear and c.ended is None and c.born <= self._last_cut]

    def awaited_by(self, ear):
        """What this ear, there since the last cut, must still hear."""
        return [m for m in self.due.values() if not m.may_be_lost and m.text not in ear.texts and m.sender is not ear]

    # --- judging ------------------------------------------------------------------------------------------------------------

    def judge(self, cut):
        """`cut`: the text of a message of a control client that all ears have heard, behind everything that is awaited; and
        everybody has heard what he was owed then. Returns complaints."""
        ears = self.lifelong_ears()
        assert ears, "no ear was there since the last cut"
        complaints = []
        order = self._order(ears[0], cut, complaints)
        passed = self._passed(order)
        said = self.messages[cut].said
        for conn in self.conns:
            self._judge(conn, order, passed[conn.worker], said, complaints)
        for conn in self.conns:
            if conn.ended is None and conn.errors_heard != conn.errors_owed or conn.errors_heard > conn.errors_owed:
                complaints.append(f"errors: {conn} heard {conn.errors_heard} for {conn.errors_owed} mistakes")
        for message in list(self.due.values()):
            if not message.may_be_lost:
                complaints.append(f"lost: nobody heard {message}")
                del self.due[message.text]
        self._forget()
        self._last_cut = self.tick()
        return complaints

    def _order(self, ear, cut, complaints):
        """What the ear heard up to the cut, in places; each sender's messages without hole, in order, once."""
        order = []
        for _, text in ear.heard:
            message = self.messages.get(text)
            if message is None or not message.streams:
                complaints.append(f"foreign: {ear} heard what nobody said to any stream: {text[:60]!r}")
                continue
            if message.place is not None:
                complaints.append(f"twice: {ear} heard {message} again")
                continue
            sender = message.sender
            if message.number < sender.relayed:
                complaints.append(f"order: {message} of {sender} came behind its number {sender.relayed - 1}")
            elif message.number > sender.relayed:
                complaints.append(f"lost: {message} of {sender} came, and its number {sender.relayed} did not")
            sender.relayed = max(sender.relayed, message.number + 1)
            message.place, self._next_place = self._next_place, self._next_place + 1
            order.append(message)
            self.due.pop(text, None)
            if text == cut:
                break
        self.relayed += len(order)
        return order

    def _passed(self, order):
        """{worker: [for each message the tick by which the worker had passed it on]}"""
        first, passed = order[0].place if order else self._next_place, {}
        for conn in self.conns:
            ticks = passed.setdefault(conn.worker, [NEVER] * len(order))
            for tick, text in conn.heard:
                message = self.messages.get(text)
                if message is not None and message.place is not None and message.place >= first:
                    ticks[message.place - first] = min(tick, ticks[message.place - first])
        for ticks in passed.values():
            for n in range(len(ticks) - 2, -1, -1):
                ticks[n] = min(ticks[n], ticks[n + 1])
        return passed

    def _judge(self, conn, order, passed, cut_said, complaints):
        later, heard, last = [], set(), -1
        first = order[0].place if order else self._next_place
        for tick, text in conn.heard:
            message = self.messages.get(text)
            wrong = None
            if message is None or not message.streams:
                wrong = f"foreign: {conn} heard what nobody said to any stream: {text[:60]!r}"
            elif message.place is None and tick > cut_said:
                later.append((tick, text))  # it stands behind the cut
            elif message.place is None:
                wrong = f"some only: {conn} heard {message}, and the ears did not"
            elif message in heard or message.place < first:
                wrong = f"twice: {conn} heard {message} again"
            elif message.sender is conn:
                wrong = f"echo: {conn} heard its own {message}"
            else:
                if message.place < last:
                    wrong = f"order: {conn} heard {message} behind a later one"
                elif not owed(conn, message, passed[message.place - first], Span.meets):
                    wrong = f"foreign: {conn} heard {message}, and had none of its streams open"
                last = max(last, message.place)
                heard.add(message)
            complaints += [wrong] if wrong else []
        conn.heard = later
        self._nothing_missing(conn, order, passed, heard, last, complaints)

    def _nothing_missing(self, conn, order, passed, heard, last, complaints):
        for n, message in enumerate(order):
            if conn.ended is not None and message.place > last:
                return
            must = message.sender is not conn and owed(conn, message, passed[n], Span.holds_all)
            self.musts += must
            self.mays += not must and message in heard
            self.nots += not must and message not in heard
            if must and message not in heard:
                complaints.append(f"lost: {conn} did not hear {message}")

    def _forget(self):
        """Whoever is gone and has nothing left to be judged."""
        self.conns = [c for c in self.conns if c.ended is None or c.heard]
        for conn in self.conns:
            conn.spans = {stream: kept for stream, spans in conn.spans.items()
                          if (kept := [s for s in spans if s.close_done == NEVER])}
            conn.texts = {text for _, text in conn.heard}
            conn.sent = [m for m in conn.sent if m.place is None]


def owed(conn, message, passed, question):
    shared = message.streams & conn.spans.keys()
    return any(question(span, message.said, passed) for stream in shared for span in conn.spans[stream])


def count_by_stream(conns):
    """{stream: how many have it open} of connections that are there."""
    counts = {}
    for conn in conns:
        for stream in conn.streams:
            counts[stream] = counts.get(stream, 0) + 1
    return counts

