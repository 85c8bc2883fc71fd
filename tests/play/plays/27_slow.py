"""Clients that do not read what is never merged: how long that is borne, what they are told, and that they lose nothing."""
import socket

from stagecraft.registry import play

MACHINES = ("m1", "m2", "m3", "m4")
RESULTS = ("command_result", "command_completed")


async def small_client(s, name, kind):
    """Subscribed, with little room in its socket, and not reading any more."""
    small = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.connect(("127.0.0.1", s.port))
    client = await s.client(name, sock=small)
    await client.subscribe(kind=kind)
    client.socket.transport.pause_reading()
    return client


async def results_until(s, caller, counter):
    """Reads machines, whose results every subscriber of results is owed, until the worker has counted."""
    while s.counter("w1", counter) == 0:
        for machine in MACHINES:
            await caller.command(machine, 0)
        for _ in MACHINES:
            await caller.hear("command_result", success=True)


async def comes_back(s, slow, caller):
    """What the slow one had is a beginning of what the caller heard; the rest is there for it, once, in order."""
    transport = slow.socket.transport
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    transport.resume_reading()
    code = await slow.closed(within=30)
    assert code in (1013, 1006), code  # 1006: the server's patience for a Close frame (2 s) is over, too
    had = [f.text for f in slow.frames if f.type in RESULTS]
    heard = [f for f in caller.frames if f.type in RESULTS]
    assert had == [f.text for f in heard[:len(had)]], "not what the others heard"
    back = await s.client("back")
    resumed = await back.resume(slow.last_seq, kind="command_results")
    assert not resumed.gap and [f.text for f in resumed.missed] == [f.text for f in heard[len(had):]]


async def house(s, **limits):
    s.set("slow_clients", **limits)
    await s.house(*MACHINES, workers=["w1"])
    caller = await s.client("caller")
    await caller.subscribe(kind="command_results")
    return caller


@play("results beyond hard_kib: closed with 1013, others go on, and coming back brings the rest", "asan", within=120)
async def hard_limit(s):
    caller = await house(s, soft_kib=16, soft_ms=3600000, hard_kib=16)
    slow = await small_client(s, "slow", "command_results")
    await results_until(s, caller, "closed_slow_hard")
    assert s.counter("w1", "closed_slow_soft") == 0 and caller.connected
    await comes_back(s, slow, caller)


@play("results beyond soft_kib for soft_ms: the same", "asan", within=120)
async def soft_limit(s):
    caller = await house(s, soft_kib=16, soft_ms=100, hard_kib=65536)
    slow = await small_client(s, "slow", "all_events")
    await results_until(s, caller, "closed_slow_soft")
    assert s.counter("w1", "closed_slow_hard") == 0 and caller.connected
    await comes_back(s, slow, caller)
