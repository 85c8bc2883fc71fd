"""Who hears what: two workers, three machines, clients with different subscriptions."""
import difflib

from stagecraft.registry import play
from stagecraft.scripts import AT_REST, MOVING


@play("a move is seen by all who asked and by nobody else", "asan")
async def who_asked(s):
    """The marker for a "nobody else" is a later state of a machine that the client did ask for: it comes the same
    way, behind everything that was published before it."""
    sim = await s.house("m1", "m2", "m3")
    asked = {  # name: (worker, machines)
        "c1": ("w1", ["m1"]), "c2": ("w2", ["m2"]), "c3": ("w1", ["m1", "m2", "m3"]), "c4": ("w2", ["m3"]),
        "c5": ("w1", ["m1", "m3"]), "c6": ("w2", ["m1"]), "c7": ("w2", []), "c8": ("w1", ["m2", "m3"]),
    }
    clients = {}
    for name, (worker, machines) in asked.items():
        clients[name] = await s.client(name, on=worker)
        await clients[name].subscribe(*machines)
    marks = {name: client.mark() for name, client in clients.items()}
    mover = await s.client("mover", on="w2")
    await mover.move("m1", 4)
    await mover.hear("command_completed", success=True, position=4)
    await sim.place("m2", 11)
    await sim.place("m3", 12)

    for name, (_, machines) in asked.items():
        client, since = clients[name], marks[name]
        for machine, position in (("m1", 4), ("m2", 11), ("m3", 12)):
            if machine in machines or not machines:
                await client.sees(machine, position=position, raw_status=AT_REST)
    for name, (_, machines) in asked.items():
        for frame in clients[name].frames[marks[name]:]:
            assert frame.type == "status_broadcast", f"{name} heard {frame.text}"
            strangers = set(frame.machines()) - set(machines or ["m1", "m2", "m3"])
            assert not strangers, f"{name} did not ask for {strangers}: {frame.text}"
    for name in ("c1", "c3", "c5", "c6", "c7"):
        raws = [x["raw_status"] for x in clients[name].states("m1", since=marks[name])]
        assert raws[0] == MOVING and raws[-1] == AT_REST, f"{name} saw m1 as {raws}"
    assert [f.type for f in mover.frames] == ["welcome", "command_result", "command_completed"]


@play("all who hear of a machine hear the same bytes in the same order, on every worker")
async def same_bytes(s):
    sim = await s.house("m1", "m2")
    clients = []
    for n in range(12):
        client = await s.client(f"c{n}", on=("w1", "w2")[n % 2])
        await client.subscribe(*([], ["m1"], ["m1", "m2"])[n % 3])
        clients.append(client)
    marks = [client.mark() for client in clients]
    for target in (6, 2, 20, 0):
        await clients[0].move("m1", target)
        await clients[0].hear("command_completed", position=target)
    await sim.place("m1", 25)
    told = []
    for client, since in zip(clients, marks):
        await client.hear_state("m1", position=25, raw_status=AT_REST)  # it passed there before, moving
        told.append([f.text for f in client.heard("status_broadcast", "m1", since)])
    assert len(told[0]) >= 9, told[0]
    for client, heard in zip(clients, told):
        assert heard == told[0], f"{client.name} and c0 heard otherwise:\n" + "\n".join(difflib.ndiff(told[0], heard))


@play("large audiences have logs of their own, small ones do not: nobody can tell", within=90)
async def large_and_small(s):
    """40 clients with one set of topics, 3 with another, 1 with a third; all move between audiences while it runs."""
    sim = await s.house("m1", "m2", "m3", workers=["w1"])
    crowd = [await s.client(f"crowd{n}") for n in range(40)]
    few = [await s.client(f"few{n}") for n in range(3)]
    one = await s.client("one")
    for client in crowd:
        await client.subscribe("m1")
    for client in few:
        await client.subscribe("m2")
    await one.subscribe("m3")
    await sim.pace("m1", 5)
    await one.move("m1", 13)
    for client in crowd[:10] + few:
        await client.subscribe("m3")
    await one.hear("command_completed", machine_id="m1")
    await sim.place("m2", 9)
    await sim.place("m3", 8)
    for client in crowd:
        await client.sees("m1", position=13, raw_status=AT_REST)
    for client in few:
        await client.sees("m2", position=9)
    for client in crowd[:10] + few + [one]:
        await client.sees("m3", position=8)
    whole = [x["position"] for x in crowd[-1].states("m1")]
    for client in crowd:
        seen = [x["position"] for x in client.states("m1")]
        assert seen == whole, f"{client.name} saw {seen}, the crowd {whole}"
        assert not client.heard(machine="m2")


@play("clients come and go: the descriptors and audiences they took are given back")
async def come_and_go(s):
    sim = await s.house("m1", "m2")
    stays = await s.client("stays", on="w1")
    await stays.subscribe()
    await s.mark()
    for round_ in range(6):
        guests = [await s.client(f"g{round_}.{n}") for n in range(10)]
        for n, guest in enumerate(guests):
            await guest.subscribe(*(["m1"], ["m2"], [])[n % 3])
        await sim.place("m1", round_ + 1)
        for n, guest in enumerate(guests):
            if n % 3 != 1:
                await guest.hear_state("m1", position=round_ + 1)
        for n, guest in enumerate(guests):
            if n % 2:
                guest.socket.transport.abort()
            await guest.close()
    await s.actor("w1").gives_back_descriptors()
    await stays.sees("m1", position=6)
