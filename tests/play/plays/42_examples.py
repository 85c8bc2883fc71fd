"""The example handlers as they ship (workers/handler/example): noria-chat, which is built on the library, and chat.py, which is not. What a handler's
author sees of the source document, and of exactly once: in a room everybody hears who comes and who goes.
"""
import os
import signal
from pathlib import Path

from stagecraft.launched import pids, up
from stagecraft.process import children_of_this_process
from stagecraft.registry import play
from stagecraft.scripts import ENDPOINTS_DOCUMENT as DOCUMENT
from stagecraft.scripts import compact
from stagecraft.stage import BIN
from stagecraft.wait import until

EXAMPLE = Path(__file__).resolve().parents[3] / "workers/handler/example"
PROGRAMS = {"noria-chat": [str(BIN / "noria-chat")], "python3": ["/usr/bin/python3", str(EXAMPLE / "chat.py")]}
CAME, WENT = [{"message": f"Somebody {what}", "user": "System"} for what in ("came", "went")]


async def example_house(s, program, processes=2):
    s.settings["handlers"] = [{"name": "chat", "command": PROGRAMS[program], "processes": processes}]
    s.settings["endpoints"] = [
        {"path": "/chat", "handler": "chat", "schema": str(EXAMPLE / "chat_request.json"), "reply_schema": str(EXAMPLE / "chat_response.json")},
        {"path": "/chat-raw", "handler": "chat"}]
    s.endpoints = {"/chat": s.settings["endpoints"][0], "/chat-raw": s.settings["endpoints"][1]}
    s.endpoints_listener()
    launcher = await up(s, "m1")
    await until(f"{processes} of {program}", lambda: len(pids(*named(program))) == processes)
    return launcher


def named(program):
    return [program] + PROGRAMS[program][1:]


async def the_document(s, program):
    launcher = await example_house(s, program)
    for n in range(4):
        client, raw = await s.caller(f"c{n}", "/chat"), await s.caller(f"r{n}", "/chat-raw")
        for message, expected in (({"message": "Hi"}, "success"), ({}, "refused"), ({"message": "Hi", "user": "me"}, "success")):
            await client.say(message)
            assert (await client.next()).text == compact(DOCUMENT[expected])
        await client.refused("{", ("json_invalid", []))
        await client.ask({"message": ""}, 200, DOCUMENT["success"]["body"])
        for message in (DOCUMENT["traditional"], 7):
            await raw.say(compact(message))
            await raw.raw(compact(DOCUMENT["sent"]))
    await launcher.stop(signal.SIGINT, within=15)
    assert not children_of_this_process(), children_of_this_process()


@play("noria-chat, built on the library, holds the document's conversation", "asan")
async def noria_chat(s):
    await the_document(s, "noria-chat")


@play("chat.py, fifty lines without the library, holds the document's conversation")
async def chat_py(s):
    await the_document(s, "python3")


async def a_room(s, program):
    """Who comes is told once, who goes is told once, whatever happens to the processes in between."""
    await example_house(s, program)
    witness = await s.caller("witness", "/chat", query="&room=ä")
    await witness.ask({"message": "first"}, 200)
    elsewhere = await s.caller("elsewhere", "/chat", query="&room=b")
    await elsewhere.ask({"message": "nobody hears it"}, 200)
    for round_ in range(4):
        others = [await s.caller(f"o{round_}.{n}", "/chat", query="&room=ä") for n in range(3)]
        for _ in others:
            await witness.next(200, CAME)
        for n, other in enumerate(others):
            await says(other, {"message": f"{round_}.{n}"})
            await witness.next(200, {"message": f"{round_}.{n}", "user": ""})
        await kill_both(program)
        for other in others[:2]:
            await other.close()
            await witness.next(200, WENT)
        await says(others[2], {"message": "still here"})
        await witness.next(200, {"message": "still here", "user": ""})
        await others[2].reset()
        await witness.next(200, WENT)
    assert len(elsewhere.frames) == 1, elsewhere.frames
    assert sorted(a.body["message"] for a in witness.frames).count("Somebody came") == 12


async def says(client, message):
    """Its own answer; what the others say meanwhile is skipped."""
    await client.say(message)
    await client.hear(lambda answer: answer.body == DOCUMENT["success"]["body"])


async def kill_both(program):
    """One after the other: the connections wander, and come back."""
    for _ in range(2):
        old = pids(*named(program))
        os.kill(old[0], signal.SIGKILL)
        await until("another process", lambda: len(pids(*named(program))) == 2 and old[0] not in pids(*named(program)))


@play("a room of noria-chat: who comes and goes is told once each, over its processes' deaths", "asan")
async def library_room(s):
    await a_room(s, "noria-chat")


@play("a room of chat.py: the same")
async def python_room(s):
    await a_room(s, "python3")
