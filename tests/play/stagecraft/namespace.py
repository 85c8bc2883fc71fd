"""namespace.py: a network of the play's own, so that the documents' clients find ws://localhost:8765 as they stand; and a file
system of its own, which can be full. A play is a process, so it takes nobody else along."""
import ctypes
import fcntl
import os
import socket
import struct

CLONE_NEWNET = 0x40000000
CLONE_NEWNS = 0x00020000
MS_REC_PRIVATE, MNT_DETACH = 0x4000 | 0x40000, 2
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


class SmallDisk:
    """A tmpfs of few bytes and inodes over a directory. `made` is False where that is not allowed."""

    libc = ctypes.CDLL(None, use_errno=True)

    def __init__(self, path, options):
        self.path = path
        path.mkdir(exist_ok=True)
        self.made = (self.libc.unshare(CLONE_NEWNS) == 0
                     and self.libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None) == 0
                     and self.libc.mount(b"tmpfs", bytes(path), b"tmpfs", 0, options.encode()) == 0)
        if not self.made:
            print(f"no mount namespace ({os.strerror(ctypes.get_errno())}): nothing is tried")

    def fill(self, leave=0):
        """Takes all room but so many bytes."""
        disk = os.statvfs(self.path)
        with open(self.path / "filler", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(disk.f_bavail * disk.f_frsize - leave, 1))

    def clear(self):
        (self.path / "filler").unlink()

    def remove(self):
        assert self.libc.umount2(bytes(self.path), MNT_DETACH) == 0
