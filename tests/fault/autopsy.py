"""autopsy.py: what a dead broker left in shared memory, read as bytes (common/shm/layout/ring_page.h, lvt_page.h).

Order of a state: append, publish the head, then the last-value slot. So at whatever instruction a broker dies, no slot may name a
record that is not public: a worker that is born now would show a state that nobody else ever hears of.
"""
import struct
from pathlib import Path

RING_HEAD_AT = 128
RECORD_ALIGN = 64
LVT_CAPACITY_AT, LVT_SLOTS_AT, LVT_SLOT_BYTES = 24, 4096, 2048
LEAVING = 0xa5c3 << 48


def head_of(ring):
    """The end of what is published; the lower six bits are its check."""
    with open(ring, "rb") as file:
        word, = struct.unpack_from("<Q", file.read(RING_HEAD_AT + 8), RING_HEAD_AT)
    head = word & ~(RECORD_ALIGN - 1)
    assert word == head | (1 + head // RECORD_ALIGN % 61), f"{ring}: its head {word:#x} has a wrong check"
    return head


def slots_of(table):
    """[(machine, record_position)] of the slots that hold something and were not being written."""
    found = []
    with open(table, "rb") as file:
        data = file.read(LVT_SLOTS_AT + 64 * LVT_SLOT_BYTES)
    capacity, = struct.unpack_from("<Q", data, LVT_CAPACITY_AT)
    for slot in range(min(capacity, (len(data) - LVT_SLOTS_AT) // LVT_SLOT_BYTES)):
        sequence, _, length = struct.unpack_from("<3Q", data, LVT_SLOTS_AT + slot * LVT_SLOT_BYTES)
        if length == 0 or sequence & 1 or sequence & LEAVING == LEAVING:
            continue
        body = LVT_SLOTS_AT + slot * LVT_SLOT_BYTES + 24
        position, = struct.unpack_from("<Q", data, body + 16)
        found.append((data[body + 40:body + 104].split(b"\0")[0].decode(), position))
    return found


def autopsy(runtime):
    """Raises AssertionError for a slot that is ahead of the ring."""
    shm = Path(runtime) / "shm"
    head = head_of(shm / "ring")
    slots = slots_of(shm / "lvt")
    for machine, position in slots:
        assert position < head, (f"the last-value slot of {machine} names record {position // RECORD_ALIGN}, "
                                 f"but only those before {head // RECORD_ALIGN} are public")
    return len(slots)
