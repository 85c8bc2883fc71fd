"""Streams and time: receivers that do not read, senders that are too fast, workers that miss something. All of it is bounded; who falls
behind is closed with 1013 and knows that he missed something, and everybody else hears everything, in order."""
import asyncio
import socket

from stagecraft.registry import play
from stagecraft.streams import ERROR
from stagecraft.wait import until

KIB, MIB = 1024, 1024 * 1024
WINDOW_SOFT, WINDOW_HARD = MIB, 4 * MIB  # publish_window.h
CONTENT = "x" * 1000
MANY, TALK = 100, {"w1": 1500, "w2": 6000}


async def small(s, name, *streams, on):
    """A receiver with little room in its socket, which does not read any more."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", s.actor(on).doors["streams"]))
    client = await s.streamer(name, *streams, sock=sock)
    client.stop_reading()
    return client


async def house(s, *workers, **limits):
    s.set("slow_clients", **limits)
    s.set("websocket", max_messages_per_s=0)
    s.streams_listener()
    s.machine("m1")
    await s.broker()
    for worker in workers:
        await s.cast_with_doors(worker, streams={"dialects": ["streams"]}).start()
    await s.mark()


async def on(s, worker, name, *streams):
    return await s.streamer(name, *streams, port=s.actor(worker).doors["streams"])


def numbered(n):
    return f"{n} {CONTENT}"


async def has_heard(client, count, within=30):
    """Waits until it has heard so many messages."""
    def enough():
        assert client.connected, f"{client} was closed ({client.close_code} {client.close_reason!r}) with {len(client.frames)} of {count}"
        client.keep_rules()
        return len(client.frames) >= count

    await until(f"{client} to hear {count} messages", enough, within)


async def hear_all(client, begin, end):
    """Exactly the messages from number `begin` on."""
    await has_heard(client, end)
    wrong = next((n for n in range(begin, end) if client.frames[n] != numbered(n)), None)
    assert wrong is None, f"{client}: number {wrong} is {client.frames[wrong][:40]!r}"


async def send_until(s, sender, witnesses, worker, counter, closed):
    """Sends until so many are closed; the witnesses keep up meanwhile. Returns how many messages that were."""
    sent = 0
    while s.counter(worker, counter) < closed:
        for _ in range(50):
            await sender.send(numbered(sent))
            sent += 1
        for witness in witnesses:
            await hear_all(witness, sent - 50, sent)
        assert sent < 100000, f"{counter} stays at {s.counter(worker, counter)}"
    return sent


async def only_a_beginning(slow, sent):
    """It was told, and what it heard until then has no hole."""
    sock = slow.socket.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB)
    slow.read_again()
    code = await slow.closed(within=30)
    assert code in (1013, 1006), code  # 1006: the server's patience for a Close frame (2 s) is over, too
    slow.keep_rules()
    assert len(slow.frames) < sent and slow.frames == [numbered(n) for n in range(len(slow.frames))], f"{slow}: a hole"


@play("receivers that do not read, beyond hard_kib: closed with 1013; others hear all of it, in order, on the same worker, too", "asan",
      within=120)
async def hard_limit(s):
    await house(s, "w1", "w2", soft_kib=64, soft_ms=3600000, hard_kib=64)
    witnesses = [await on(s, worker, f"witness{n}", *streams) for n, (worker, streams) in
                 enumerate((("w1", "a"), ("w1", "ab"), ("w2", "a"), ("w2", "b")))]
    slow = [await small(s, "slow", "a", on="w1"), await small(s, "slower", "a", "b", on="w1")]
    sender = await on(s, "w2", "sender", "a", "b")
    sent = await send_until(s, sender, witnesses, "w1", "closed_slow_hard", 2)
    for client in slow:
        await only_a_beginning(client, sent)
    assert s.counter("w1", "closed_slow_soft") == 0 == s.counter("w2", "closed_slow_hard")
    back = await on(s, "w1", "back", "a")
    await sender.send(numbered(sent))
    await back.next(numbered(sent))
    for witness in witnesses:
        await hear_all(witness, sent, sent + 1)


@play("receivers beyond soft_kib for soft_ms: the same", "asan", within=120)
async def soft_limit(s):
    await house(s, "w1", soft_kib=16, soft_ms=100, hard_kib=65536)
    witness, slow = await on(s, "w1", "witness", "a"), await small(s, "slow", "a", on="w1")
    sender = await on(s, "w1", "sender", "a")
    sent = await send_until(s, sender, [witness], "w1", "closed_slow_soft", 1)
    assert s.counter("w1", "closed_slow_hard") == 0
    await only_a_beginning(slow, sent)


@play("a receiver that reads slowly, but reads, hears all of it", within=90)
async def slowly(s):
    await house(s, "w1", soft_kib=4096, soft_ms=60000, hard_kib=8192)
    slow, witness = await small(s, "slow", "a", on="w1"), await on(s, "w1", "witness", "a")
    sender = await on(s, "w1", "sender", "a")
    for n in range(2000):
        await sender.send(numbered(n))
        if n % 100 == 99:
            slow.read_again()
            await until("it to have heard a little more", lambda n=n: len(slow.frames) > n // 2)
            slow.stop_reading()
    await hear_all(witness, 0, 2000)
    slow.read_again()
    await hear_all(slow, 0, 2000)


@play("senders that are faster than the broker are held, and nothing is lost, though it stands still and then dies", "asan", within=180)
async def fast_senders(s):
    """Eight senders have 3.5 MiB to say, while the broker takes nothing. What their worker keeps is bounded; then it flows. (It is less
    than the log of a worker holds, 4 MiB, so that hearers which share a process with the senders may be late.)"""
    await house(s, "w1", "w2", soft_kib=65536, hard_kib=65536)
    hearers = [await on(s, worker, f"hearer.{worker}", "a") for worker in ("w1", "w2")]
    senders = [await on(s, "w1", f"s{n}", f"of s{n}") for n in range(8)]
    for hearer in hearers:
        await hearer.open(*(f"of s{n}" for n in range(8)))
    s.actor("b1").pause()
    total, size = 28, 16 * KIB
    talking = asyncio.gather(*(talk(sender, total, size) for sender in senders))
    await until("senders to be held", lambda: s.counter("w1", "publish_held") >= 4, within=20)
    await s.counts("w1", "publish_window_bytes", WINDOW_SOFT // 2)
    most = s.counter("w1", "publish_window_bytes")
    assert most < WINDOW_HARD and s.counter("w1", "publish_full") == 0, most
    await s.actor("b1").kill()
    await s.actor("b1").start()
    await talking
    for hearer in hearers:
        await has_heard(hearer, 8 * total, within=60)
        for sender in senders:
            mine = [text for text in hearer.frames if text.startswith(f"{sender.name} ")]
            assert [text.split(" ", 2)[1] for text in mine] == [str(n) for n in range(total)], f"{hearer} of {sender}"
            assert all(len(text) == size for text in mine)
        assert len(hearer.frames) == 8 * total
    await until("the window to be empty", lambda: s.counter("w1", "publish_window_bytes") == 0)
    assert s.counter("w1", "publish_held") == 0 == s.counter("w1", "publish_given_up")
    assert not any(ERROR in text for sender in senders for text in sender.frames)


async def talk(sender, total, size):
    for n in range(total):
        head = f"{sender.name} {n} "
        await sender.send(head + "x" * (size - len(head)))


@play("memory: 40 receivers that do not read cost their worker no more than their limits, and it gives all of it back", within=180)
async def memory(s):
    await house(s, "w1", "w2", soft_kib=1024, soft_ms=3600000, hard_kib=1024)
    witness = await on(s, "w1", "witness", "a")
    sender = await on(s, "w2", "sender", "a")
    for n in range(2000):
        await sender.send(numbered(n))
        if n % 100 == 99:
            await hear_all(witness, n - 99, n + 1)
    before = s.actor("w1").rss_kib()
    slow = [await small(s, f"slow{n}", "a", on="w1") for n in range(20)]
    slow += [await small(s, f"own{n}", "a", f"own{n}", on="w1") for n in range(20)]
    most, sent = 0, 2000
    while s.counter("w1", "closed_slow_hard") < 40:
        for _ in range(100):
            await sender.send(numbered(sent))
            sent += 1
        await hear_all(witness, sent - 100, sent)
        most = max(most, s.actor("w1").rss_kib())
        assert sent < 100000
    print(f"{len(slow)} receivers, {sent - 2000} KB said to each: RSS {before} KiB before, {most} KiB at most")
    assert most - before < 24 * KIB, f"RSS grew from {before} to {most} KiB"
    await until("their memory to come back", lambda: s.counter("w1", "audience_log_bytes") < 2 * MIB, within=10)
    for client in slow:
        await client.reset()


@play("a worker that was lapped closes its streams' clients with 1013; others hear all, and its carousel's clients stay", "asan", within=120)
async def lapped(s):
    """Three times the ring is said while w2 stands still."""
    s.small_ring()
    s.set("slow_clients", soft_kib=65536, hard_kib=65536)
    s.set("websocket", max_messages_per_s=0)
    s.streams_listener()
    s.machine("m1")
    await s.broker()
    for worker in ("w1", "w2"):
        await s.cast_with_doors(worker, streams={"dialects": ["streams"]}, carousel={"dialects": ["carousel"]}).start()
    witness, sender = await on(s, "w1", "witness", "a"), await on(s, "w1", "sender", "a")
    there = [await on(s, "w2", f"there{n}", "a", *more) for n, more in enumerate(([], ["b"]))]
    carousel = await s.client("carousel", port=s.actor("w2").doors["carousel"])
    carousel.history.repeats_allowed = True
    await carousel.subscribe()
    await sender.send(numbered(0))
    for client in (witness, *there):
        await hear_all(client, 0, 1)
    s.actor("w2").pause()
    for n in range(1, 3000):
        await sender.send(numbered(n))
        if n % 100 == 0:
            await hear_all(witness, n - 100, n)
    await hear_all(witness, 2900, 3000)
    s.actor("w2").resume()
    for client in there:
        assert await client.closed(within=10) == 1013
        assert client.frames == [numbered(n) for n in range(len(client.frames))], f"{client}: a hole before the end"
    await s.counts("w2", "tail_lapped", 1)
    await s.counts("w2", "closed_lost", 2)
    await carousel.ping()
    back = await on(s, "w2", "back", "a")
    await sender.send("end")
    await back.next("end")
    await witness.hear("end")


@play("what a worker keeps while there is no broker is bounded, and all of it arrives when there is one", within=120)
async def no_broker(s):
    await house(s, "w1", soft_kib=65536, hard_kib=65536)
    hearer, sender = await on(s, "w1", "hearer", "a"), await on(s, "w1", "sender", "a")
    await s.actor("b1").kill()
    talking = asyncio.ensure_future(talk(sender, 200, 16 * KIB))
    await until("the sender to be held", lambda: s.counter("w1", "publish_held") == 1, within=20)
    assert s.counter("w1", "publish_window_bytes") < WINDOW_SOFT + 64 * KIB
    assert hearer.frames == []
    await s.actor("b1").start()
    await talking
    await has_heard(hearer, 200)
    assert [text.split(" ", 2)[1] for text in hearer.frames] == [str(n) for n in range(200)]
    assert sender.frames == []


@play("a worker that is behind sends again what a dead broker had published already: nobody hears it twice", "asan", within=180)
async def sent_again(s):
    """w1 stands still while the broker publishes w1's messages among many of w2's, and dies. When w1 goes on, the next broker
    greets it before it has read all of them in the ring, which takes it a while, with an audience of its own for each of many: so it
    sends some of its own again. Not every time; so it happens until it has."""
    await house(s, "w1", "w2", soft_kib=65536, hard_kib=65536)
    hearers = [await on(s, worker, f"hearer.{worker}", "a") for worker in ("w1", "w2")]
    senders = {worker: await on(s, worker, f"of {worker}", "a") for worker in ("w1", "w2")}
    many = [await on(s, "w1", f"m{n}", "a", f"own {n}") for n in range(MANY)]
    for client in many:
        client.stop_reading()
    rounds = again = 0
    while again == 0 and rounds < 8:
        again = await one_that_is_behind(s, senders, rounds)
        rounds += 1
        for hearer in hearers:
            await has_heard(hearer, rounds * sum(TALK.values()), within=60)
    for hearer in hearers:
        for worker, sender in senders.items():
            mine = [text for text in hearer.frames if text.startswith(sender.name)]
            assert mine == [f"{sender.name} {n}" for n in range(rounds * TALK[worker])], f"{hearer}: {len(mine)} of {sender}, or not in order"
        assert len(hearer.frames) == rounds * sum(TALK.values())
    print(f"{again} messages came again, in round {rounds}")
    for client in many:
        await client.reset()


async def one_that_is_behind(s, senders, rounds):
    """One broker's life and death; how many messages its successor was sent again."""
    s.actor("b1").pause()
    for worker, sender in senders.items():
        for n in range(TALK[worker]):
            await sender.send(f"{sender.name} {rounds * TALK[worker] + n}")
        await s.counts(worker, "published", (rounds + 1) * TALK[worker])
    s.actor("w1").pause()
    before = s.counter("b1", "stream_messages")
    s.actor("b1").resume()
    await s.counts("b1", "stream_messages", before + TALK["w2"] + 50)
    await s.actor("b1").kill()
    await s.actor("b1").start()
    s.actor("w1").resume()
    await until("w1's window to be empty", lambda: s.counter("w1", "publish_window_bytes") == 0, within=30)
    return s.counter("b1", "stream_repeats")
