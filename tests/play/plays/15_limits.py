"""Time limits end to end, once, with short settings; their exactness is the unit tests' matter (manual clocks)."""
from stagecraft.rawclient import Mute
from stagecraft.registry import play
from stagecraft.wait import limit, now, until


STALE_MS = 1500  # shorter ones are not honoured: how fresh a reading is comes with the agent's heartbeat, once a second


@play("a client that answers no ping is closed; one that does stays")
async def ping_timeout(s):
    s.set("websocket", ping_interval_ms=200, ping_timeout_ms=200)
    await s.house("m1", workers=["w1"])
    polite = await s.client("polite")
    begin = now()
    mute = s.mute()

    def closed_by_server():
        mute.socket.setblocking(False)
        try:
            while mute.socket.recv(65536):
                pass
            return True
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True

    await until("the mute client to be closed", closed_by_server, within=5)
    took = now() - begin
    assert 0.2 <= took < limit(4.5), f"closed after {took:.2f} s"
    await polite.ping()
    assert polite.connected


@play("WEBSOCKET_PING_INTERVAL and WEBSOCKET_MAX_CONNECTIONS of the environment override the file")
async def environment(s):
    s.env.update(WEBSOCKET_MAX_CONNECTIONS="2")
    await s.house("m1", workers=["w1"])
    await s.client("c1")
    await s.client("c2")
    refused = Mute(s.port)
    head = refused.socket.recv(4096)
    refused.close()
    assert head.startswith(b"HTTP/1.1 503"), head


@play("stale_after_ms: a PLC that holds its answers turns stale or disconnected in time, and recovers")
async def stale(s):
    s.set("machine_defaults", stale_after_ms=STALE_MS, reply_timeout_ms=9000)
    sim = await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe()
    await sim.hold("m1", 0)
    await sim.held("m1")
    held_at = now()
    frame = await c1.hear_state("m1", connection_status="stale")
    read_at = [at for at, request in sim.truth.timed_requests("m1") if request == b"\0"][-2] / 1e9  # the last one that was answered
    assert frame.heard_at - read_at > STALE_MS / 1000, f"stale after {frame.heard_at - read_at:.2f} s"
    assert frame.heard_at - held_at < limit(STALE_MS / 1000 + 1.5), f"stale after {frame.heard_at - held_at:.2f} s"
    await sim.release("m1")
    await c1.hear_state("m1", connection_status="connected", position=0)


@play("reply_timeout_ms and connect: a silent PLC costs one exchange, not the agent")
async def silent(s):
    s.set("machine_defaults", reply_timeout_ms=100)
    sim = await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    await c1.subscribe()
    await sim.fault("m1", "missing", "count", 1)
    await sim.truth.polled_again("m1", 3)
    await c1.sees("m1", connection_status="connected", position=0)


@play("deadline_ms is the caller's: an agent that hangs is answered for in time, and writes nothing when it is back")
async def deadline(s):
    s.set("machine_defaults", stale_after_ms=5000)
    sim = await s.house("m1", workers=["w1"])
    c1 = await s.client("c1")
    s.actor("a.m1").pause()
    begin = now()
    await c1.move("m1", 5, deadline_ms=200)
    answer = await c1.next("error", machine_id="m1", within=4)
    took = now() - begin
    assert answer["code"] in ("TIMEOUT", "OUTCOME_UNKNOWN", "CONNECTION_ERROR"), answer.text
    assert took < limit(0.2 + 2.0 + 0.3 + 1.0), f"answered after {took:.2f} s"  # grace and reply_timeout_ms
    s.actor("a.m1").resume()
    await sim.truth.polled_again("m1", 5)
    assert sim.truth.moves("m1") == [], f"written when its deadline was long over, after {answer.text}"
