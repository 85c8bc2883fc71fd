#!/usr/bin/python3
"""chat.py [SOCKET]: what noria-chat does, but without its library: the protocol of HANDLER.md by itself. Needs python3-msgpack."""
import msgpack, os, socket, sys, threading, traceback

HELLO, OPEN, MESSAGE, CLOSED, WELCOME, TAKEN, REPLY, SUBSCRIBE, PUBLISH = 1, 2, 3, 4, 33, 34, 35, 37, 39

# --- the program: a connection is (number, path, room); `say` sends a message to its worker ---
def to_room(say, conn, message, user="System"):
    if conn[2]:
        say(PUBLISH, conn[1], conn[2], 200, {"message": message, "user": user}, conn[0])

def on_connect(say, conn):
    to_room(say, conn, "Somebody came")
    if conn[2]:
        say(SUBSCRIBE, conn[0], conn[2])

def on_disconnect(say, conn):
    to_room(say, conn, "Somebody went")

def on_receive(say, conn, message):
    if conn[1] == "/chat-raw":
        return 200, '{"Hola":"Mundo"}'
    to_room(say, conn, message["message"], message["user"])
    return 200, {"message": "Hi", "user": "System"}

# --- the protocol: one worker per thread ---
def serve(link):
    stream, conns = link.makefile("rb"), {}

    def say(*message):  # False: the worker is dead; what it said before is still read
        packed = msgpack.packb(message)
        try:
            return link.sendall(len(packed).to_bytes(4, "big") + packed) is None  # when all of it has left
        except OSError:
            return False

    def hear():  # the next message; None: the end of the stream, perhaps in the middle of a frame
        length = int.from_bytes(stream.read(4), "big")
        message = stream.read(length)
        return msgpack.unpackb(message) if length and len(message) == length else None

    while message := hear():
        kind, event, *fields = message
        if kind == HELLO:
            say(WELCOME, 1, "chat.py")
        elif kind == OPEN and say(TAKEN, event):  # number, path, query, principal, peer, resumed; TAKEN first, then on_connect
            conns[fields[0]] = conn = fields[0], fields[1], fields[2].partition("room=")[2].partition("&")[0]
            if not fields[5]:
                on_connect(say, conn)
        elif kind == MESSAGE and fields[0] in conns:
            try:
                say(REPLY, event, *on_receive(say, conns[fields[0]], fields[1]))
            except Exception:
                traceback.print_exc()
                say(REPLY, event, 500, {"errorList": [{"loc": [], "type": "handler_failed", "msg": "The handler failed"}]})
        elif kind == CLOSED and fields[0] in conns:
            say(TAKEN, event)
            on_disconnect(say, conns.pop(fields[0]))
    for conn in conns.values():  # the worker is gone, and they with it
        on_disconnect(say, conn)

# `noria up` passes a listening socket down
listener = socket.socket(fileno=3) if "LISTEN_FDS" in os.environ else socket.create_server(sys.argv[1], family=socket.AF_UNIX)
while True:
    threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()
