"""ports.py: a block of TCP ports on 127.0.0.1 that is this play's own, so that plays can run side by side.

A block lies below the range of ephemeral ports. Its first port is the lock: held listening, without SO_REUSEPORT, for
as long as the block lives, so that a second play that tries the same block fails to bind and takes another.
"""
import os
import random
import socket

BLOCK = 64
FIRST, LAST = 10240, 32000


class PortBlock:
    def __init__(self, ports=BLOCK):
        self.size = ports
        self.base, self._lock = self._take()
        self._next, self.last = self.base + 1, self.base + self.size - 1  # the last one is never taken: where nobody listens

    def _take(self):
        dice = random.Random(os.getpid())
        for _ in range(1000):
            base = dice.randrange(FIRST, LAST - self.size, BLOCK)
            lock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                lock.bind(("127.0.0.1", base))
                lock.listen(1)
                if all(_is_free(port) for port in range(base + 1, base + self.size)):
                    return base, lock
            except OSError:
                pass
            lock.close()
        raise RuntimeError("no free block of ports")

    def take(self, count=1):
        """The first of `count` consecutive ports of the block."""
        first = self._next
        self._next += count
        if self._next > self.last:
            raise RuntimeError(f"the play needs more than {self.size - 1} ports: Stage(ports=…)")
        return first

    def release(self):
        self._lock.close()


def _is_free(port):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def has_ipv6():
    """Containers often have no IPv6, not even on loopback."""
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True
