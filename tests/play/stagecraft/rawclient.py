"""rawclient.py: sockets without manners, for what a WebSocket library would never do.

request() sends bytes as they stand and returns the answer's head; Mute upgrades properly and then never reads.
"""
import asyncio
import base64
import os
import socket

from .wait import limit, settle

KEY = base64.b64encode(bytes(range(16))).decode()


def handshake(port, path="/", host=None, method="GET", version="HTTP/1.1", **headers):
    """The bytes of an upgrade request; a header given as None is left out."""
    fields = {
        "Host": host or f"127.0.0.1:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [f"{method} {path} {version}"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def request(port, data, within=5.0):
    """Sends `data` to the port; the answer's head as text ("" if the server closed without one)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        await writer.drain()
        head = await settle("an answer's head", _read_head(reader), within)
        return head.decode("latin-1")
    finally:
        writer.close()


async def _read_head(reader):
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    except ConnectionResetError:
        return b""


async def status_of(port, data, within=5.0):
    """The status code of the answer, or None."""
    head = await request(port, data, within)
    return int(head.split(" ", 2)[1]) if head.startswith("HTTP/1.1 ") else None


def masked_frame(payload, opcode=1, fin=True):
    """A client's frame."""
    mask = os.urandom(4)
    head = bytes([(0x80 if fin else 0) | opcode])
    size = len(payload)
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += bytes([0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([0x80 | 127]) + size.to_bytes(8, "big")
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


class Mute:
    """A client that asks for everything and never reads a byte. Its receive buffer is as small as the kernel allows."""

    def __init__(self, port, *messages):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
        self.socket.settimeout(limit(5))
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(handshake(port) + b"".join(masked_frame(m.encode()) for m in messages))

    @property
    def local_port(self):
        return self.socket.getsockname()[1]

    def close(self):
        self.socket.close()
