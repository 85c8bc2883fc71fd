"""wait.py: the one place that waits.

Every wait names what it waits for and ends at a deadline. Nothing here is a pause: until() returns at the first look
at which its condition holds. NORIA_PLAY_SLOW stretches all deadlines (sanitizers, valgrind, loaded machines); it
never changes what is waited for.
"""
import asyncio
import inspect
import os
import time

SLOW = float(os.environ.get("NORIA_PLAY_SLOW", "1"))
LOOK_EVERY_S = 0.004


class Late(AssertionError):
    """A deadline passed before the thing waited for had happened."""


def now():
    """Monotonic seconds; the same clock as the Noria processes' CLOCK_MONOTONIC."""
    return time.monotonic()


def limit(seconds):
    return seconds * SLOW


async def next_look(after=LOOK_EVERY_S):
    loop = asyncio.get_running_loop()
    look = loop.create_future()
    loop.call_later(after, lambda: look.done() or look.set_result(None))
    await look


async def until(what, condition, within=5.0):
    """Waits until condition() is true and returns its value. `what` completes the sentence "waited 5 s for …"."""
    deadline = now() + limit(within)
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if now() > deadline:
            raise Late(f"waited {limit(within):g} s for {what}; at last: {value!r}")
        await next_look()


async def a_moment(seconds):
    """Lets a random time pass, or paces a load: nothing is waited for, and nothing depends on it."""
    await next_look(seconds)


async def settle(what, awaitable, within=5.0):
    """Waits for an awaitable instead of a condition."""
    try:
        return await asyncio.wait_for(awaitable, limit(within))
    except asyncio.TimeoutError:
        raise Late(f"waited {limit(within):g} s for {what}") from None
