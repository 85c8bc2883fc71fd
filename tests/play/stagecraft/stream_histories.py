"""stream_histories.py: a history of streams, as perfect workers would have made it, and ways to spoil it; for selftest.

House is what the real thing promises: one order for all, each message to whoever has one of its streams open, once. A mischief happens
once, to a message that at least two clients are to hear: a function of the house, the sender, the text and the deliveries
[(receiver, text)] that returns what is delivered instead.
"""
import random

from .stream_model import StreamModel

STREAMS = [f"s{n}" for n in range(6)]
WORKERS = ["w1", "w2", "w3"]


class House:
    def __init__(self, mischief=None, after=0):
        self.model, self.mischief, self.after = StreamModel(), mischief, after
        self.held = []  # deliveries that come behind the next message
        self.ears = [self.model.connect(f"ear.{w}", w, ear=True) for w in WORKERS]
        self.control = self.model.connect("control", "w1")
        for ear in self.ears:
            ear.opening("control", *STREAMS)()
        self.control.opening("control")()
        self.model.begin()
        self.conns = []

    def come(self, name, worker, *streams):
        conn = self.model.connect(name, worker)
        if streams:
            conn.opening(*streams)()
        self.conns.append(conn)
        return conn

    def say(self, conn):
        """It sends, and everybody hears at once."""
        text = conn.sending()
        if not conn.streams:
            conn.hears_error()
            return
        receivers = [c for c in [*self.ears, *self.conns] if c is not conn and c.ended is None and c.streams & conn.streams]
        deliveries = [(c, text) for c in receivers]
        held, self.held = self.held, []
        self.after -= 1
        if self.mischief and self.after < 0 and len(hearers(deliveries)[0]) >= 2:
            mischief, self.mischief = self.mischief, None
            deliveries = mischief(self, conn, text, deliveries)
        for receiver, heard in deliveries + held:
            receiver.hears(heard)

    def cut(self):
        text = self.control.sending()
        for ear in self.ears:
            ear.hears(text)
        for conn in self.conns:
            if conn.ended is None:
                conn.mistaken()
                conn.hears_error()
        return self.model.judge(text)


def life(house, steps=60, seed=5):
    """Four talkers on three workers who open, close, send, go and come; returns all complaints."""
    dice, complaints = random.Random(seed), []
    people = [house.come(f"c{n}", WORKERS[n % 3], STREAMS[n], STREAMS[n + 1]) for n in range(4)]
    for step in range(steps):
        person = dice.randrange(4)
        conn, deed = people[person], dice.random()
        if conn.ended is not None:
            people[person] = house.come(f"c{person}.{step}", dice.choice(WORKERS), *dice.sample(STREAMS, 3))
        elif deed < 0.7:
            house.say(conn)
        elif deed < 0.85:
            conn.opening(*dice.sample(STREAMS, 2))()
        elif deed < 0.92:
            conn.closing()()
        else:
            conn.ends(all_was_read=True)
            people[person] = house.come(f"c{person}.{step}", dice.choice(WORKERS), dice.choice(STREAMS))
        if step % 7 == 6:
            complaints += house.cut()
    return complaints + house.cut()


def hearers(deliveries):
    """The deliveries to clients, and those to ears."""
    clients = [d for d in deliveries if not d[0].ear]
    return clients, [d for d in deliveries if d[0].ear]


def missed(house, conn, text, deliveries):
    clients, ears = hearers(deliveries)
    return clients[1:] + ears


def missed_by_all(house, conn, text, deliveries):
    return []


def missed_by_an_ear(house, conn, text, deliveries):
    return deliveries[1:]


def doubled(house, conn, text, deliveries):
    clients, _ = hearers(deliveries)
    return deliveries + clients[:1]


def doubled_for_all(house, conn, text, deliveries):
    return deliveries + deliveries


def doubled_later(house, conn, text, deliveries):
    house.held = deliveries
    return deliveries


def reordered(house, conn, text, deliveries):
    """One of them hears it behind the sender's next one."""
    clients, ears = hearers(deliveries)
    second = conn.sending()
    return [(c, t) for c, _ in ears + clients[1:] for t in (text, second)] + [(clients[0][0], t) for t in (second, text)]


def reordered_for_all(house, conn, text, deliveries):
    second = conn.sending()
    return [(c, t) for c, _ in deliveries for t in (second, text)]


def echoed(house, conn, text, deliveries):
    return deliveries + [(conn, text)]


def to_a_stranger(house, conn, text, deliveries):
    stranger = house.come("stranger", "w2", "nobody's")
    return deliveries + [(stranger, text)]


def to_one_who_left(house, conn, text, deliveries):
    was_there = house.come("was there", "w2", *STREAMS)
    was_there.closing()()
    late = conn.sending()  # said when the close was done
    return deliveries + [(c, late) for c, _ in deliveries] + [(was_there, late)]


def to_one_who_came_later(house, conn, text, deliveries):
    for receiver, heard in deliveries:
        receiver.hears(heard)
    later = house.come("later", "w2", *STREAMS)
    return [(later, text)]


def invented(house, conn, text, deliveries):
    return deliveries + [(deliveries[-1][0], "what is this?")]


def cut_short(house, conn, text, deliveries):
    return [(c, t[:-1]) for c, t in deliveries]


def to_nobody_and_yet_heard(house, conn, text, deliveries):
    mute = house.come("mute", "w1")
    text_to_nobody = mute.sending()
    mute.hears_error()
    return deliveries + [(deliveries[0][0], text_to_nobody)]


def an_error_too_many(house, conn, text, deliveries):
    conn.hears_error()
    return deliveries


def swallowed_by_its_worker(house, conn, text, deliveries):
    """The sender's worker dies; the message before the last is lost, and the last one is not."""
    second = conn.sending()
    conn.ends(all_was_read=False)
    return [(c, second) for c, _ in deliveries]


def half_lost_with_its_worker(house, conn, text, deliveries):
    """The sender's worker dies, and some hear what the ears never do."""
    conn.ends(all_was_read=False)
    return hearers(deliveries)[0]


def a_hole_before_the_end(house, conn, text, deliveries):
    """Somebody misses one, hears the next, and goes."""
    clients, ears = hearers(deliveries)
    second = conn.sending()
    for receiver, heard in [(c, t) for c, _ in ears + clients[1:] for t in (text, second)] + [(clients[0][0], second)]:
        receiver.hears(heard)
    clients[0][0].ends(all_was_read=True)
    return []


SPOILT = {  # what is wrong: the word that a complaint must begin with
    missed: "lost", missed_by_all: "lost", missed_by_an_ear: "lost", doubled: "twice", doubled_for_all: "twice",
    doubled_later: "twice", reordered: "order", reordered_for_all: "order", echoed: "echo", to_a_stranger: "foreign",
    to_one_who_left: "foreign", to_one_who_came_later: "foreign", invented: "foreign", cut_short: "foreign",
    to_nobody_and_yet_heard: "foreign", an_error_too_many: "errors", swallowed_by_its_worker: "lost",
    half_lost_with_its_worker: "some only", a_hole_before_the_end: "lost",
}


def all_lost_with_its_worker(house, conn, text, deliveries):
    """May be: the last words of one whose worker died reach nobody."""
    conn.ends(all_was_read=False)
    return []


def late_after_its_worker(house, conn, text, deliveries):
    """May be: they reach everybody, behind those of others that were said later."""
    conn.ends(all_was_read=False)
    house.held = deliveries
    return []


def gone_before_the_end(house, conn, text, deliveries):
    """May be: who goes does not hear the last ones any more."""
    clients, ears = hearers(deliveries)
    clients[0][0].ends(all_was_read=True)
    return clients[1:] + ears


SOUND = [None, all_lost_with_its_worker, late_after_its_worker, gone_before_the_end]


def complaints_of(mischief, seeds=range(6)):
    """Of several lives, each spoilt once: the complaints of each."""
    found = []
    for seed in seeds:
        house = House(mischief, after=10 + seed)
        found.append(life(house, seed=seed))
        assert house.mischief is None, "nothing happened"
    return found
