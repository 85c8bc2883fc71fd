"""Handlers under `noria up`: it starts their processes, hands each its socket, starts again what dies, and leaves nothing behind."""
import os
import signal

from stagecraft.caller import FAILED
from stagecraft.chatterbox import ECHO
from stagecraft.handled import assert_once
from stagecraft.launched import pids, restarted, up
from stagecraft.process import children_of_this_process
from stagecraft.registry import play
from stagecraft.wait import until


async def shop(s, *machines, processes=2, **settings):
    """The launcher, two workers, and a handler of so many processes."""
    handler = s.handler("play", processes, **settings)
    s.endpoint("/play", "play", schema=ECHO)
    s.endpoint("/raw", "play")
    s.endpoints_listener()
    launcher = await up(s, *machines or ("m1",))
    return launcher, handler, await handler.up(2)


@play("up starts handlers, gives each its socket and its name, at nice 5; Ctrl-C leaves nothing, and every on_disconnect has run", "asan")
async def starts(s):
    launcher, handler, there = await shop(s)
    for event in handler.heard("start"):
        env = event["env"]
        assert event["nice"] == 5 and env["LISTEN_FDS"] == "1" and env["NORIA_HANDLER"] == env["LISTEN_FDNAMES"] == "play", event
    hello = handler.heard("hello")
    assert {(e["handler"], e["version"]) for e in hello} == {("play", 1)} and len({e["worker"] for e in hello}) == 2, hello
    assert {tuple(map(tuple, e["endpoints"])) for e in hello} == {(("/play", False), ("/raw", True))}, hello
    clients = [await s.caller(f"c{n}", ("/play", "/raw")[n % 2]) for n in range(8)]
    for n, client in enumerate(clients):
        await client.say({"n": n})
        await client.next()
    assert {handler.owner(c.name) for c in clients} <= set(there)
    await launcher.stop(signal.SIGINT, within=15)
    for client in clients:
        assert await client.closed() == 1001
    assert len(handler.heard("stop")) == 2, "the handlers' processes were told to stop"
    assert_once(handler, answered=[c.name for c in clients])
    assert not children_of_this_process(), children_of_this_process()
    left = [str(p) for p in s.runtime.rglob("*") if not p.is_dir()] if s.runtime.exists() else []
    assert not left, f"left behind: {left}"


@play("a handler's process killed is started again; its connections were with the other meanwhile, and nobody was refused", "asan", within=120)
async def restarts(s):
    launcher, handler, there = await shop(s)
    clients = [await s.caller(f"c{n}", "/play") for n in range(8)]
    said, everybody = 0, [launcher.pid, *pids("noria-worker")]
    descriptors = [len(os.listdir(f"/proc/{pid}/fd")) for pid in everybody]
    for round_ in range(4):
        for client in clients:
            await client.ask({"n": said}, 200)
        for pid in there if round_ % 2 else there[:1]:
            handler.kill_pid(pid)
        dead = set(handler.deaths)
        said += 1
        for client in clients:
            answer = await client.ask({"n": said})
            assert answer.status in (200, 500) and (answer.status == 200 or answer.body == FAILED), answer
        there = await handler.up(2, but=dead)
        said += 1
    for client in clients:
        await client.ask({"n": said}, 200)
    await until("launcher and workers to hold as many descriptors as before",
                lambda: [len(os.listdir(f"/proc/{pid}/fd")) for pid in everybody] == descriptors)
    assert_once(handler, still_open=[c.name for c in clients], answered=[c.name for c in clients])


@play("a worker killed under up: on_disconnect for all of its connections; the next one meets the handlers again")
async def worker_killed(s):
    _, handler, _ = await shop(s)
    clients = [await s.caller(f"c{n}", "/play") for n in range(12)]
    for client in clients:
        await client.ask({"n": 0}, 200)
    old = pids("noria-worker")
    os.kill(old[0], signal.SIGKILL)
    await restarted("noria-worker", old)
    await handler.notes("end", 2)
    await handler.up(2)
    left = [c for c in clients if c.close_code is None]
    for client in clients:
        if client.close_code is not None:
            await handler.notes("disconnect", who=client.name, why="end")
    for n in range(8):
        left.append(await s.caller(f"later{n}", "/play"))
    for client in left:
        await client.ask({"n": 1}, 200)
    assert_once(handler, still_open=[c.name for c in left])


@play("a handler that cannot live is tried again ever more seldom, and takes nobody along: another endpoint and the carousel are served", "asan",
      within=120)
async def crash_loop(s):
    crash = s.handler("crash", argv=["--exit", "7"], deadline_ms=300)
    s.endpoint("/crash", "crash", schema=ECHO)
    launcher, handler, _ = await shop(s)
    victim = await s.caller("victim", "/crash")
    client, carousel = await s.caller("c1", "/play"), await s.client("c2")
    await carousel.subscribe()
    await carousel.sees("m1", connection_status="connected", within=10)
    for n in range(5):
        await crash.notes("start", n + 1, within=60)
        await client.ask({"n": n}, 200, {"n": n, "do": []})
        await carousel.move("m1", n + 1)
        await carousel.hear("command_completed", success=True, position=n + 1)
    told = await victim.ask({"n": 1}, 503)
    assert told.body["errorList"][0]["type"] == "handler_unavailable", told
    at = [event["at"] for event in crash.heard("start")]
    pauses = [b - a for a, b in zip(at, at[1:])]
    assert pauses[-1] > 0.35e9, f"no back-off: {pauses}"
    await launcher.stop(signal.SIGINT, within=15)


@play("a process that spins is killed and replaced; another endpoint and the carousel are served meanwhile", "asan", within=120)
async def stuck(s):
    s.handler("other")
    s.endpoint("/other", "other", schema=ECHO)
    _, handler, there = await shop(s, processes=1, stuck_ms=2000, deadline_ms=1500)
    client, other, carousel = await s.caller("c1", "/play"), await s.caller("c2", "/other"), await s.client("c3")
    await client.ask({"n": 0}, 200)
    await client.act(["spin"], n=1)
    await handler.notes("spins")
    answer = client.next(within=30)
    for n in range(20):
        await other.ask({"n": n}, 200, {"n": n, "do": []})
        await carousel.ping()
    assert (await answer).status in (500, 503)
    await handler.gone(there[0], within=30)
    await handler.up(2, within=20)
    await until("the client to be served", lambda: served(client), within=20)
    assert_once(handler, still_open=["c1"], answered=["c1"])


async def served(client):
    return (await client.ask({"n": None})).status == 200


@play("a process that stands still (SIGSTOP) is killed and replaced, too")
async def stands(s):
    _, handler, _ = await shop(s, processes=2, stuck_ms=2000, deadline_ms=1500)
    client = await s.caller("c1", "/play")
    await client.ask({"n": 0}, 200)
    pid = handler.owner("c1")
    await client.act(["stand"], n=1)
    assert (await client.next(within=20)).status in (500, 503)
    await handler.gone(pid, within=30)
    await until("the client to be served", lambda: served(client), within=20)
    await handler.up(2, within=20)
    assert_once(handler, still_open=["c1"], answered=["c1"])


@play("a handler that somebody else runs, at a socket: not started, not killed, found again when it is back", within=120)
async def elsewhere(s):
    away = s.handler("away", by_socket=True, deadline_ms=500)
    s.endpoint("/away", "away", schema=ECHO)
    _, handler, _ = await shop(s)
    client = await s.caller("c1", "/away")
    await client.ask({"n": 0}, 503)
    for n in range(1, 4):
        await away.start()
        await away.met("w1", "w2", within=20)
        await until("the client to be served", lambda: served(client), within=20)
        await away.kill(0)
        away.unlisten()
        client_told = (await client.ask({"n": None})).status
        assert client_told in (500, 503), client_told
    assert len(away.heard("start")) == 3, "somebody else started it"
    await (await s.caller("c2", "/play")).ask({"n": 0}, 200)


@play("the launcher killed: handlers' processes stop by themselves", "asan")
async def launcher_killed(s):
    launcher, handler, there = await shop(s)
    client = await s.caller("c1", "/play")
    await client.ask({"n": 0}, 200)
    await launcher.kill()
    await until(f"everybody to have left: {children_of_this_process()}", lambda: not children_of_this_process(), within=10)
    assert await client.closed() in (1001, 1006)
    for path in [p for p in s.runtime.rglob("*") if not p.is_dir()]:
        path.unlink()


@play("up over what a killed launcher left behind: its handlers' sockets are made anew")
async def up_again(s):
    launcher, handler, old = await shop(s)
    await launcher.kill()
    await until("everybody to have left", lambda: not children_of_this_process(), within=10)
    await launcher.start(within=15)
    await handler.up(2, but=old)
    client = await s.caller("c1", "/play")
    await client.ask({"n": 0}, 200)
    await launcher.stop(signal.SIGINT, within=15)
