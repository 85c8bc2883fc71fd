"""Configurations, right and wrong ones, reloaded again and again under load, while processes are killed: each is in force everywhere, or nowhere.

`--seed N` repeats the dice, `--seconds N` makes a run longer: `run-plays -k 58_reload --seed 7 --seconds 600`.
"""
import asyncio
import os
import random

from stagecraft.installation import Installation
from stagecraft.registry import play
from stagecraft.throng import Throng, with_dice
from stagecraft.wait import a_moment, now
from stagecraft.wishes import GUESTS, OPERATOR, Wishes, sha256

SECONDS = float(os.environ.get("NORIA_PLAY_SECONDS", "6"))
VICTIMS = ["worker.0", "worker.1", "broker", "store", "agent.m1"]


async def house(s, number, crowd=10):
    t = Throng(s, number)
    wishes = Wishes(t, random.Random(number + 1))
    await t.build("m1", "m2", crowd=crowd, drain_ms=600)
    await wishes.begins()
    await t.begins()
    return t, wishes


@play("valid and invalid configurations in turn: all is in force in every process, or nothing; no client is closed by it", "asan", within=120)
async def in_turn(s):
    t, wishes = await house(s, 58)
    for n in range(8):
        await wishes.valid() if n % 2 == 0 else await wishes.invalid()
        await wishes.holds()
        t.keep_going()
    await t.flows()
    await t.finish()
    wishes.judge()
    t.house.assert_nobody_died()
    assert not t.weather.closed, t.weather.closed


@play("what was refused is in force nowhere, not in a process either that dies and comes back", "asan", within=90)
async def refused_is_refused(s):
    house = await Installation(s).up("m1")
    s.channels_listener()  # takes a restart
    s.set("websocket", max_message_bytes=8192)
    s.machine("m2")
    accepted, said = await house.reload()
    assert not accepted and "takes a restart" in said, said
    for name in house.names():
        await house.ready(name, but=house.kill(name))
    client = await s.client("c1")
    assert [m["id"] for m in client.frames[0]["machines"]] == ["m1"], client.frames[0].text
    await client.say(type="ping", padding="x" * 60000)
    await client.hear("pong")
    assert "agent.m2" not in house.names() and "store" not in house.names()


@play("who loses his token is closed with 1008; others stay, and hear of it nothing", "asan")
async def token_taken(s):
    t = Throng(s, 1)
    wishes = Wishes(t, random.Random(1))
    s.set("auth", tokens=[*s.settings["auth"]["tokens"], {"principal": "guest0", "sha256": sha256(GUESTS[0])}])
    house = await t.house.up("m1")
    guests = [await s.client(f"guest{n}", port=wishes.port, path=f"/?token={GUESTS[0]}") for n in range(4)]
    operator = await s.client("operator", port=wishes.port, path=f"/?token={OPERATOR}")
    nobody = await s.client("nobody")
    s.settings["auth"]["tokens"].pop()
    accepted, said = await house.reload()
    assert accepted and GUESTS[0] not in said and sha256(GUESTS[0])[:12] not in said, said
    for guest in guests:
        assert await guest.closed() == 1008, guest.close_code
    await operator.ping()
    await nobody.ping()


async def storm(s, number):
    t, wishes = await house(s, number)
    dice, end, deaths = random.Random(number + 2), now() + SECONDS, []
    while now() < end or wishes.accepted < 2:
        asking = asyncio.ensure_future(wishes.valid(sure=False) if dice.random() < 0.7 else wishes.invalid())
        for _ in range(dice.choice([0, 1, 1, 2])):
            await a_moment(dice.random() * 0.3)
            victim = dice.choice(VICTIMS)
            t.weather.killing(victim)
            if t.house.kill(victim):
                deaths.append(victim)
        await asking
        await t.house.all_ready()
        await wishes.holds()
        t.keep_going()
    await t.flows(within=30)
    await t.finish()
    wishes.judge()
    return (f"{wishes.accepted} reloads taken over, {wishes.refused} refused, {wishes.failed} failed by a death; {len(deaths)} deaths, "
            f"closed {dict(t.weather.closed)}")


@play("the same while broker, workers, store and agents are killed in the middle of it", within=120 + SECONDS)
async def with_deaths(s):
    await with_dice(s, storm)
