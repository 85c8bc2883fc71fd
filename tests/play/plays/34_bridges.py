"""Bridges: what a machine says, on streams: the same JSON without `seq`, in the same order, once, and nothing that is one caller's.

Each play lets a client of the carousel dialect hear everything, on one worker, and one of the streams dialect, on another: what
the second heard must be what the first heard, without its last member.
"""
import asyncio
import re

from stagecraft.registry import play
from stagecraft.wait import until

SEQ = re.compile(r',"seq":"[0-9a-f]{8}-[0-9]+"}$')
ALL = ({"from": "states", "stream": "hall"}, {"from": "results", "stream": "hall"}, {"from": "events", "stream": "hall"})


def bare(frame):
    text, cut = SEQ.subn("}", frame.text)
    assert cut == 1, f"no frame of the ring: {frame.text}"
    return text


async def bridged_house(s, *bridges, machines=("m1", "m2")):
    s.set(bridges=list(bridges))
    s.streams_listener()
    return await s.house(*machines)


async def watch(s, *streams, name="watcher", on="w1", streams_on="w2"):
    """(client that hears everything, client with those streams): both hear the same changes from now on."""
    client = await s.client(name, on=on)
    await client.subscribe(kind="all_events")
    return client, await s.streamer(f"{name}'s streams", *streams, on=streams_on)


async def same(client, streamer, *kinds, machine=None, since=0):
    """Everything of these types that the one heard from the ring, the other has heard without `seq`, and nothing else."""
    def wanted():
        return [bare(f) for f in client.frames[since:] if "seq" in f and (not kinds or f.type in kinds)
                and (machine is None or machine in f.machines())]
    await until(f"{streamer} to hear what {client} heard", lambda: len(streamer.heard()) >= len(wanted()))
    assert streamer.heard() == wanted(), "\n".join(["heard:", *streamer.heard(), "wanted:", *wanted()])


async def snapshot_end(client):
    """Where frames that follow the subscription begin (the snapshot has a seq, too)."""
    await client.ping()
    return client.mark()


# --- what goes there ------------------------------------------------------------------------------------------------------


@play("a move, seen on a stream: each state, its result, its completion; the same JSON without seq, in the same order", "asan")
async def a_move(s):
    sim = await bridged_house(s, *ALL)
    watcher, hall = await watch(s, "hall")
    start = await snapshot_end(watcher)
    caller = await s.client("caller", on="w2")
    await caller.move("m1", 5, request_id="R-1")
    await watcher.hear("command_completed", machine_id="m1", success=True, position=5)
    await watcher.sees("m1", position=5, raw_status=218)
    await same(watcher, hall, since=start)
    kinds = [f'{{"type":"{kind}"' for kind in ("status_broadcast", "command_result", "command_completed")]
    assert all(any(text.startswith(kind) for text in hall.heard()) for kind in kinds), hall.frames
    assert sum('"request_id":"R-1"' in text for text in hall.heard()) == 2 and not any('"seq"' in t for t in hall.frames)
    assert sim.truth.moves("m1") == [5]


@play("states of one machine, results of another, each to its own streams; who has several of them hears each once")
async def who_gets_what(s):
    await bridged_house(s, {"from": "states", "stream": "one", "machines": ["m1"]},
                        {"from": "states", "stream": "both"},
                        {"from": "results", "stream": "two", "machines": ["m2"]},
                        {"from": "results", "stream": "both", "machines": ["m2"]})
    watcher, one = await watch(s, "one")
    start = await snapshot_end(watcher)
    both, two = await s.streamer("both", "both", on="w1"), await s.streamer("two", "two", on="w2")
    every = await s.streamer("every", "one", "both", "two", on="w1")
    await watcher.move("m1", 3)
    await watcher.hear("command_completed", machine_id="m1")
    await watcher.move("m2", 4)
    await watcher.hear("command_completed", machine_id="m2")
    for machine, position in (("m1", 3), ("m2", 4)):
        await watcher.sees(machine, position=position, raw_status=218)
    await same(watcher, one, "status_broadcast", machine="m1", since=start)
    await same(watcher, two, "command_result", "command_completed", machine="m2", since=start)
    results_of_m1 = [bare(f) for f in watcher.frames[start:] if f.type.startswith("command_") and f["machine_id"] == "m1"]
    expected = [bare(f) for f in watcher.frames[start:] if "seq" in f and bare(f) not in results_of_m1]
    for streamer in (both, every):
        await until(f"{streamer} to hear it all", lambda c=streamer: len(c.heard()) >= len(expected))
        assert streamer.heard() == expected, f"{streamer}: {streamer.heard()}\nwanted {expected}"


@play("alarms come and go on the stream; what only the caller is told never stands there", "asan")
async def alarms_and_refusals(s):
    sim = await bridged_house(s, *ALL)
    watcher, hall = await watch(s, "hall")
    start = await snapshot_end(watcher)
    caller = await s.client("caller", on="w2")
    await sim.condition("m1", "alarm", True)
    await watcher.hear("alarm", machine_id="m1", condition="alarm", active=True)
    for machine, code in (("m1", "INTERLOCK"), ("nobody", "MACHINE_NOT_FOUND")):
        await caller.move(machine, 5)
        await caller.hear("error", code=code)
    await caller.say(type="get_status", machine_id="m1")
    await caller.hear("machine_status")
    await sim.condition("m1", "alarm", False)
    await watcher.hear("alarm", machine_id="m1", condition="alarm", active=False)
    await same(watcher, hall, since=start)
    assert sum('"type":"alarm"' in t for t in hall.heard()) == 2 and not any('"error"' in t for t in hall.heard()), hall.frames


@play("a move that fails: the stream is told what subscribers of results are told, with its code")
async def a_failure(s):
    sim = await bridged_house(s, {"from": "results", "stream": "results"}, machines=("m1",))
    watcher, results = await watch(s, "results")
    start = await snapshot_end(watcher)
    caller = await s.client("caller", on="w2")
    await sim.fault("m1", "missing", "undone", "command", 1, "count", 1)
    await caller.move("m1", 5)
    await watcher.hear("command_result", success=False, code="OUTCOME_UNKNOWN", within=15)
    await same(watcher, results, "command_result", "command_completed", since=start)
    assert '"success":false' in results.heard()[0] and '"code":"OUTCOME_UNKNOWN"' in results.heard()[0], results.frames


@play("clients may speak on such a stream, too: they hear each other and the machine; the machine's own clients hear none of it")
async def a_shared_stream(s):
    sim = await bridged_house(s, *ALL, machines=("m1",))
    watcher, first = await watch(s, "hall")
    start = await snapshot_end(watcher)
    second = await s.streamer("second", "hall", on="w1")
    await first.send("before")
    await second.next("before")
    await sim.place("m1", 7)
    await watcher.sees("m1", position=7)
    state = await second.next()
    await second.send("behind")
    await first.next(state, "behind")
    assert state == bare(watcher.frames[-1]) and [f.type for f in watcher.frames[start:]] == ["status_broadcast"]


@play("several bridges, several workers, many clients: every one hears the same, once")
async def many(s):
    await bridged_house(s, *({**bridge, "stream": f"{n}"} for n in range(5) for bridge in ALL))
    watcher, zero = await watch(s, "0")
    start = await snapshot_end(watcher)
    clients = [zero] + [await s.streamer(f"c{n}", *map(str, range(n % 5, 5)), on=f"w{n % 2 + 1}") for n in range(10)]
    for position in (3, 6, 2):
        await watcher.move("m1", position)
        await watcher.hear("command_completed", machine_id="m1", position=position)
    await watcher.sees("m1", position=2, raw_status=218)
    for client in clients:
        await same(watcher, client, since=start)


# --- what dies and what changes --------------------------------------------------------------------------------------------


@play("the broker is killed while it moves: result and completion stand on the stream once; states may come again", "asan")
async def broker_killed(s):
    sim = await bridged_house(s, *ALL, machines=("m1",))
    watcher, hall = await watch(s, "hall")
    watcher.history.repeats_allowed = True
    start = await snapshot_end(watcher)
    await sim.by_hand("m1")
    await watcher.move("m1", 6)
    await watcher.hear("command_result", machine_id="m1", success=True)
    for step in range(6):
        await sim.step("m1")
        if step in (1, 3):
            await s.actor("b1").kill()
            await s.actor("b1").start()
    await watcher.hear("command_completed", machine_id="m1", success=True, position=6, within=10)
    await watcher.sees("m1", position=6, raw_status=218)
    await same(watcher, hall, since=start)
    for kind in ("command_result", "command_completed"):
        assert sum(f'"type":"{kind}"' in text for text in hall.heard()) == 1, hall.frames


@play("an agent dies and a worker dies: the stream shows the machine disconnected, and goes on for who comes back")
async def others_killed(s):
    await bridged_house(s, *ALL, machines=("m1",))
    watcher, hall = await watch(s, "hall")
    start = await snapshot_end(watcher)
    await s.actor("a.m1").kill()
    await watcher.hear_state("m1", connection_status="disconnected")
    await hall.hear(test=lambda text: '"disconnected"' in text)
    await s.actor("w2").kill()
    assert await hall.closed() == 1006
    await s.actor("w2").start()
    again = await s.streamer("again", "hall", on="w2")
    await s.actor("a.m1").start()
    await watcher.hear_state("m1", connection_status="connected")
    await again.hear(test=lambda text: '"connected"' in text)
    wanted = [bare(f) for f in watcher.frames[start:] if "seq" in f]
    assert hall.heard() == wanted[:len(hall.heard())] and again.heard() == wanted[-len(again.heard()):], wanted


@play("machines that come and go, and bridges that do: as the configuration of the next broker has it", "asan")
async def another_configuration(s):
    for machine in ("m1", "m2"):
        s.machine(machine)
    m1, m2 = s.machines
    s.machines = [m1]
    s.set(bridges=[{"from": "events", "stream": "all"}, {"from": "states", "stream": "states", "machines": ["m1"]}])
    s.streams_listener()
    await s.broker()
    for worker in ("w1", "w2"):
        await s.worker(worker)
    watcher, streams = await watch(s, "all", "states", "own")
    watcher.history.repeats_allowed = True
    start = await snapshot_end(watcher)
    for machines, bridges in (([m1, m2], [{"from": "events", "stream": "all"},
                                          {"from": "events", "stream": "own", "machines": ["m2"]},
                                          {"from": "states", "stream": "states"}]),
                              ([m1], [{"from": "events", "stream": "all"}])):
        s.machines = machines
        s.set(bridges=bridges)
        s.write_conf()
        await s.actor("b1").kill()
        await s.actor("b1").start()
        await watcher.hear("machine_added" if m2 in machines else "machine_removed", machine_id="m2")
    await until("both events", lambda: sum('"machine_' in t for t in streams.heard()) >= 2)
    await asyncio.gather(streams.reply(), watcher.ping())
    await same(watcher, streams, since=start)  # m1's state is its old one: nothing of it is told
    assert [t.split('"')[3] for t in streams.heard()] == ["machine_added", "status_broadcast", "machine_removed"], streams.frames
