"""Resuming: a client that comes back with the last seq it saw is told what it missed, once, in order, or that it cannot be.

Two clients watch the same installation. The observer is never interrupted; what it heard is what there was to hear. The
other one goes away, and comes back elsewhere or to other processes with `since`.
"""
from stagecraft.registry import play
from stagecraft.scripts import AT_REST, assert_text
from stagecraft.wait import until

MACHINES = ("m1", "m2", "m3")
RESULTS = ("command_result", "command_completed")
EVENTS = (*RESULTS, "alarm")


async def pair(s, goes_on="w1", observes_on="w2", kind="all_events"):
    """The observer, and the client that will go away."""
    observer = await s.client("observer", on=observes_on)
    await observer.subscribe(kind="all_events")
    goer = await s.client("goer", on=goes_on)
    await goer.subscribe(kind=kind)
    observer.history.repeats_allowed = True
    return observer, goer


async def busy(s, observer, rounds=3):
    """Something of everything happens to m1 and m2, nothing to m3; the observer has heard it all when this returns."""
    for n in range(rounds):
        for machine in ("m1", "m2"):
            target = (int((await s.simulator.get(machine))["position"]) + 3) % 20
            await observer.move(machine, target, request_id=f"{machine}.{n}.{observer.mark()}")
            await observer.hear("command_completed", machine_id=machine, position=target, within=10)
            await observer.sees(machine, position=target, raw_status=AT_REST)
        for active in (True, False):
            await s.simulator.condition("m2", "alarm", active)
            await observer.hear("alarm", machine_id="m2", active=active)


def behind(client, seq, types=EVENTS):
    """Texts of what the client heard of these types with a later seq of the same ring."""
    ring, number = seq.split("-")
    return [f.text for f in client.frames
            if f.type in types and f.seq and f.seq[0] == ring and f.seq[1] > int(number)]


def texts(frames):
    return [f.text for f in frames]


async def same_state(client, observer, before=None):
    """In the end both show the same for every machine; `before`: who heard what this client had not to be told again."""
    for machine in MACHINES:
        if before is None or client.state(machine) or before.state(machine) != observer.state(machine):
            await client.sees(machine, **observer.state(machine))


async def went_well(s, client, resumed, observer, seq):
    """Everything missed, once, in order; one snapshot with what changed; then live frames."""
    assert not resumed.gap, "a gap, and the ring has it all"
    assert texts(resumed.missed) == behind(observer, seq), \
        f"missed since {seq}:\n" + "\n".join(behind(observer, seq)) + "\nheard:\n" + "\n".join(texts(resumed.missed))
    for machine, state in resumed.snapshot["status"].items():
        assert state == observer.state(machine), f"{machine}: {resumed.snapshot.text}"
    await same_shape(resumed, seq)
    mark, seen = client.mark(), observer.mark()
    await busy(s, observer, rounds=1)
    await client.hear("alarm", machine_id="m2", active=False)
    await s.simulator.place("m3", (int((await s.simulator.get("m3"))["position"]) + 1) % 20)
    for who in (client, observer):
        await who.hear("status_broadcast", test=lambda f: "m3" in f["status"])
    assert texts(client.heard(since=mark)) == texts(observer.heard(since=seen)), "live frames differ"
    await s.simulator.place("m3", 0)
    for who in (client, observer):
        await who.sees("m3", position=0)


async def same_shape(resumed, seq):
    """The snapshot promises what is before the first missed frame, never less than the client had."""
    number = int(seq.split("-")[1])
    promised = resumed.snapshot.seq
    assert promised is not None and promised[1] >= number, resumed.snapshot.text
    for frame in resumed.missed:
        assert frame.seq[1] > promised[1], f"{frame.text} stands behind the promise of {resumed.snapshot.text}"


@play("back on another worker: confirmation, one snapshot of what changed, the missed frames in order, then live ones", "asan")
async def another_worker(s):
    await s.house(*MACHINES)
    observer, goer = await pair(s)
    await busy(s, observer, rounds=1)
    await goer.hear("alarm", machine_id="m2", active=False)
    seq = goer.last_seq
    await goer.close()
    await busy(s, observer)
    back = await s.client("back", on="w2")
    resumed = await back.resume(seq)
    assert set(resumed.snapshot["status"]) == {"m1", "m2"}, f"m3 did not change: {resumed.snapshot.text}"
    assert len(resumed.missed) == 3 * (2 * 2 + 2), texts(resumed.missed)
    await went_well(s, back, resumed, observer, seq)


@play("nothing happened meanwhile: an empty snapshot with the same promise, and no frame")
async def nothing_missed(s):
    await s.house(*MACHINES)
    observer, goer = await pair(s)
    await busy(s, observer, rounds=1)
    await goer.hear("alarm", machine_id="m2", active=False)
    seq = goer.last_seq
    await goer.close()
    back = await s.client("back", on="w1")
    await back.say(type="subscribe", subscription_type="all_events", since=seq)
    confirmed = await back.next("subscription_confirmed")
    assert confirmed["machine_ids"] == list(MACHINES), confirmed.text
    snapshot = await back.next("status_broadcast")
    assert snapshot["status"] == {} and snapshot.seq[1] >= int(seq.split("-")[1]), snapshot.text
    assert (await back.ask(type="ping")).type == "pong"


@play("a state subscriber gets one snapshot of what changed; a subscriber of results only the missed results", "asan")
async def one_kind(s):
    await s.house(*MACHINES)
    observer, goer = await pair(s)
    seq = goer.last_seq
    await busy(s, observer, rounds=2)
    states, results = await s.client("states"), await s.client("results")
    one, nobody = await s.client("one"), await s.client("nobody")
    resumed = await states.resume(seq, kind="status_updates")
    assert not resumed.gap and resumed.frames == [], texts(resumed.frames)
    assert {m: resumed.snapshot["status"][m] for m in ("m1", "m2")} == {m: observer.state(m) for m in ("m1", "m2")}
    assert "m3" not in resumed.snapshot["status"]
    resumed = await results.resume(seq, kind="command_results")
    assert not resumed.gap and texts(resumed.frames) == behind(observer, seq, RESULTS)
    resumed = await one.resume(seq, "m2", kind="all_events")
    assert list(resumed.snapshot["status"]) == ["m2"], resumed.snapshot.text
    assert texts(resumed.missed) == [t for t in behind(observer, seq) if '"machine_id":"m2"' in t]
    resumed = await nobody.resume(seq, "m3", kind="all_events")
    assert resumed.snapshot["status"] == {} and resumed.missed == []
    await s.simulator.place("m3", 9)
    await nobody.hear_state("m3", position=9)


@play("the worker was killed: its client resumes on the other one, and on its successor", "asan")
async def worker_killed(s):
    await s.house(*MACHINES)
    observer, goer = await pair(s)
    await busy(s, observer, rounds=1)
    await goer.hear("alarm", machine_id="m2", active=False)
    await s.actor("w1").kill()
    await goer.closed()
    seq = goer.last_seq
    await busy(s, observer)
    back = await s.client("back", on="w2")
    await went_well(s, back, await back.resume(seq), observer, seq)
    await s.actor("w1").start()
    again = await s.client("again", on="w1")
    await went_well(s, again, await again.resume(seq), observer, seq)


@play("the broker was killed, more than once: the ring goes on, and so does the client", "asan", within=120)
async def broker_killed(s):
    await s.house(*MACHINES)
    observer, goer = await pair(s)
    await busy(s, observer, rounds=1)
    await goer.hear("alarm", machine_id="m2", active=False)
    seq = goer.last_seq
    await goer.close()
    for n in range(3):
        await observer.move("m1", 21 + n)
        await s.actor("b1").kill()
        await s.actor("b1").start()
        await observer.hear(test=lambda f: f.type in ("command_completed", "error"), within=10)
        for machine in MACHINES:
            await observer.sees(machine, connection_status="connected", within=10)
    await busy(s, observer)
    for worker in ("w1", "w2"):
        back = await s.client(f"back.{worker}", on=worker)
        resumed = await back.resume(seq)
        back.history.repeats_allowed = True
        observer_missed = [t for t in behind(observer, seq) if '"code"' not in t]
        assert not resumed.gap and [t for t in texts(resumed.missed) if '"code"' not in t] == observer_missed
        await same_state(back, observer, before=goer)


@play("a new ring (the broker came back with another size): a gap, the whole snapshot, then live frames", "asan")
async def new_ring(s):
    await s.house(*MACHINES)
    observer, goer = await pair(s)
    await busy(s, observer, rounds=1)
    await goer.hear("alarm", machine_id="m2", active=False)
    seq = goer.last_seq
    await goer.close()
    await s.actor("b1").kill()
    s.set("ring", size_mib=2)
    s.write_conf()
    await s.actor("b1").start()
    await s.simulator.place("m3", 7)
    await observer.sees("m3", position=7, connection_status="connected")
    for machine in MACHINES:
        await observer.sees(machine, connection_status="connected", within=10)
    back, results, states = await s.client("back"), await s.client("results"), await s.client("states")
    resumed = await back.resume(seq)
    assert resumed.gap and resumed.missed == []
    assert list(resumed.snapshot["status"]) == list(MACHINES) and resumed.snapshot.seq[0] != seq.split("-")[0]
    assert (await results.resume(seq, kind="command_results")).gap
    resumed = await states.resume(seq, kind="status_updates")
    assert not resumed.gap and list(resumed.snapshot["status"]) == list(MACHINES)
    await busy(s, observer, rounds=1)
    await back.hear("alarm", machine_id="m2", active=False)
    await same_state(back, observer)


STORM = [f"m{n}" for n in range(1, 9)]


async def storm(watcher, until_position):
    """All machines move to and fro until the ring has grown to a position; what moved stands still at the end."""
    target = 0
    while watcher.history.last_seq[1] < until_position:
        target = 64 - target
        for machine in STORM:
            await watcher.move(machine, target)
        done = set()
        while len(done) < len(STORM):
            done.add((await watcher.hear("command_completed", within=10, success=True))["machine_id"])
    for machine in STORM:
        await watcher.sees(machine, position=target, raw_status=AT_REST)


async def stormy_house(s, workers=("w1", "w2")):
    s.set("machine_defaults", poll_interval_ms=2, poll_moving_ms=2)
    for machine in STORM:
        s.machine(machine, sim_positions=256)
    sim = await s.house(workers=workers)
    for machine in STORM:
        await sim.pace(machine, 1)
    return sim


@play("the ring has gone round: a gap first, then what it still holds, in order; the states are whole all the same", within=120)
async def wrapped(s):
    """A worker that was there all the time keeps results and events longer than the ring does; one that was born later
    has only the ring."""
    s.small_ring()
    sim = await stormy_house(s)
    observer = await s.client("observer", on="w2")
    await observer.subscribe(kind="all_events")
    observer.history.repeats_allowed = True
    seq = observer.last_seq
    await storm(observer, observer.history.last_seq[1] + 20000)
    witness = await s.client("witness", on="w2")
    resumed = await witness.resume(seq)
    assert not resumed.gap and texts(resumed.missed) == behind(observer, seq), "the worker had heard it all"
    await s.actor("w1").restart()
    back, states = await s.client("back", on="w1"), await s.client("states", on="w1")
    resumed = await back.resume(seq)
    assert resumed.gap, "the ring has gone round, and no gap was said"
    owed = behind(observer, seq)
    held = texts(resumed.missed)
    assert held == owed[len(owed) - len(held):] and 0 < len(held) < len(owed), f"{len(held)} of {len(owed)}"
    assert resumed.snapshot["status"] == {m: observer.state(m) for m in STORM}
    resumed = await states.resume(seq, kind="status_updates")
    assert not resumed.gap and resumed.snapshot["status"] == {m: observer.state(m) for m in STORM}
    late = await s.client("late", on="w2")
    recent = resumed.snapshot["seq"]
    resumed = await late.resume(recent)
    assert not resumed.gap and resumed.snapshot["status"] == {} and resumed.missed == []
    await sim.place("m3", 200)
    for client in (back, states, late):
        await client.hear_state("m3", position=200)


@play("from every seq ever seen: the same end, and each missed frame exactly once", "asan", within=180)
async def every_seq(s):
    await s.house(*MACHINES)
    observer, goer = await pair(s)
    await goer.close()
    await busy(s, observer, rounds=3)
    seqs = [f["seq"] for f in observer.frames if "seq" in f]
    assert len(seqs) > 40, len(seqs)
    for n, seq in enumerate(seqs):
        back = await s.client(f"back{n}", on=("w1", "w2")[n % 2])
        resumed = await back.resume(seq)
        assert not resumed.gap and texts(resumed.missed) == behind(observer, seq), seq
        await same_shape(resumed, seq)
        told = {**states_at(observer, seq), **resumed.snapshot["status"]}
        assert told == {m: observer.state(m) for m in MACHINES}, f"{seq}: {told}"
        await back.close()
        del s.clients[back.name]


def states_at(observer, seq):
    """What a client knows that has heard everything up to a seq."""
    known = {}
    for frame in observer.heard("status_broadcast"):
        if frame.seq is not None and frame.seq[1] <= int(seq.split("-")[1]):
            known.update(frame["status"])
    return known


@play("a chain of clients, each resuming where the last one was cut off in the middle of a storm, misses and repeats nothing",
      within=180)
async def chain(s):
    """Whatever a link heard last, also a snapshot or a missed frame of an unfinished resumption, is a place to go on from."""
    await stormy_house(s)
    observer = await s.client("observer", on="w2")
    await observer.subscribe(kind="all_events")
    seq, heard, known = observer.last_seq, [], dict(observer.history.state)
    begin = seq
    links = 0
    mover = await s.client("mover", on="w1")
    await mover.subscribe(kind="command_results")
    for target in (64, 0, 64, 0):
        for machine in STORM:
            await mover.move(machine, target)
        done = set()
        while len(done) < len(STORM):
            link = await s.client(f"link{links}", on=("w1", "w2")[links % 2])
            await link.say(type="subscribe", subscription_type="all_events", since=seq)
            for _ in range(2 + links % 11):
                frame = await link.hear(test=lambda f: "seq" in f)
                assert frame.type != "gap"
                seq = frame["seq"]
                if frame.type == "status_broadcast":
                    known.update(frame["status"])
                else:
                    heard.append(frame.text)
                if frame.type == "command_completed":
                    done.add(frame["machine_id"])
                if len(done) == len(STORM):
                    break
            assert not link.heard("gap")
            link.socket.transport.abort()
            await link.close()
            del s.clients[link.name]
            links += 1
    last = await s.client("last")
    resumed = await last.resume(seq)
    for machine in STORM:
        await observer.sees(machine, position=0, raw_status=AT_REST)
    assert not resumed.gap
    heard += texts(resumed.missed)
    known.update(resumed.snapshot["status"])
    for frame in resumed.frames:
        known.update(frame.get("status", {}))
    assert heard == behind(observer, begin), f"{links} links heard {len(heard)}, there were {len(behind(observer, begin))}"
    assert known == {m: observer.state(m) for m in STORM}


MALFORMED = ["", "x", "0", "-", "12345678", "12345678-", "-5", "1234567-5", "123456789-5", "12345678-x", "12345678- 5",
             "12345678-5 ", "1234567g-5", "12345678-+5", "12345678--5", "12345678-5.0", 5, 1.5, True, [], {}, "1" * 40]


@play("a malformed since is refused and names the member; nothing is subscribed")
async def malformed(s):
    sim = await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    for since in MALFORMED:
        for kind in ("status_updates", "all_events"):
            refused = await c1.ask(type="subscribe", subscription_type=kind, since=since)
            right = refused.type == "error" and refused["code"] == "INVALID_MESSAGE_FORMAT"
            assert right and refused["error"].startswith("since: "), f"{since!r}: {refused.text}"
    other = await s.client("other")
    await other.subscribe()
    await sim.place("m1", 3)
    await other.sees("m1", position=3)
    assert (await c1.ask(type="ping")).type == "pong"
    await c1.say(type="subscribe", since=None)
    await c1.next("subscription_confirmed")
    await c1.next("status_broadcast")


@play("a since of another ring, or from the future: the whole snapshot, and a gap where frames may have been missed")
async def unknown_place(s):
    await s.house("m1", "m2", workers=["w1"])
    observer = await s.client("observer")
    await observer.subscribe()
    ring, number = observer.history.last_seq
    for n, since in enumerate([f"{(int(ring, 16) ^ 1):08x}-{number}", "00000000-0", f"{ring}-{number + 1000000}",
                               f"{ring}-{2 ** 64 - 1}", f"{ring}-{10 ** 20}"]):
        for kind in ("status_updates", "command_results", "all_events"):
            client = await s.client(f"{kind}{n}")
            resumed = await client.resume(since, kind=kind)
            assert resumed.gap == (kind != "status_updates"), f"{since} {kind}"
            assert resumed.missed == []
            if resumed.snapshot is not None:
                assert list(resumed.snapshot["status"]) == ["m1", "m2"], resumed.snapshot.text
                assert resumed.snapshot.seq[0] == ring


@play("a gap is a message of its own, between confirmation and snapshot")
async def gap(s):
    await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    await c1.say(type="subscribe", subscription_type="all_events", since="00000000-7")
    await c1.next("subscription_confirmed", machine_ids=lambda ids: ids == ["m1"])
    assert_text(await c1.next("gap"), {"type": "gap", "timestamp": ""})
    await c1.next("status_broadcast")


@play("asking twice brings what was missed once: a frame reaches a socket once")
async def twice(s):
    await s.house(*MACHINES)
    observer, goer = await pair(s)
    seq = goer.last_seq
    await busy(s, observer)
    back = await s.client("back")
    first = await back.resume(seq, "m1", kind="command_results")
    second = await back.resume(seq, "m1", kind="all_events")
    back.history.last_seq = None  # m2's older frames come behind m1's: they were asked for later
    third = await back.resume(seq, kind="command_results")
    fourth = await back.resume(seq, kind="command_results")
    owed = behind(observer, seq, RESULTS)
    assert texts(first.missed) == [t for t in owed if '"machine_id":"m1"' in t]
    assert second.missed == [] and "m1" in second.snapshot["status"]
    assert texts(third.missed) == [t for t in owed if '"machine_id":"m2"' in t]
    assert fourth.missed == []


@play("missed frames wait for a client that reads slowly, and come before everything that follows", within=120)
async def slow_reader(s):
    import socket
    await stormy_house(s, workers=["w1"])
    observer = await s.client("observer")
    await observer.subscribe(kind="all_events")
    observer.history.repeats_allowed = True
    seq = observer.last_seq
    await storm(observer, observer.history.last_seq[1] + 9000)
    small = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    small.connect(("127.0.0.1", s.port))
    slow = await s.client("slow", sock=small)
    slow.history.repeats_allowed = True
    await slow.say(type="subscribe", subscription_type="all_events", since=seq)
    await slow.next("subscription_confirmed")
    slow.socket.transport.pause_reading()
    await storm(observer, observer.history.last_seq[1] + 1000)
    slow.socket.transport.resume_reading()
    await until("the slow client to have heard all", lambda: results_of(slow) >= len(behind(observer, seq)), within=20)
    assert slow.connected and not slow.heard("gap")
    have = texts([f for f in slow.frames if f.type in EVENTS])
    assert have == behind(observer, seq), f"{len(have)} heard, {len(behind(observer, seq))} owed"
    for machine in STORM:
        await slow.sees(machine, **observer.state(machine))


def results_of(client):
    return sum(1 for f in client.frames if f.type in EVENTS)
