"""namespace.py: a network of the play's own, so that the documents' clients find ws://localhost:8765 as they stand."""
import ctypes
import fcntl
import os
import socket
import struct

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP_RUNNING = 0x41


def enter_own_network():
    """Moves this process, and all it starts, into a new network namespace with nothing but loopback. Where that is
    not allowed (an unprivileged container), the play stays where it is and needs port 8765 to be free."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        print(f"no network namespace ({os.strerror(ctypes.get_errno())}): using the machine's own network")
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        fcntl.ioctl(anything, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP_RUNNING))
