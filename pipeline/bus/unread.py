"""What lies on a bus and has not been handed to the reader yet, as far as memory holds it.

PURE: no I/O, no lock; whoever shares it between threads holds one.
"""

from __future__ import annotations

from collections import deque

from pipeline.model import Delivery

_BODY_BYTES = 56
"""What one `bytes` takes beside its content: its head, and its place in a list."""


def size_in_memory(delivery: Delivery) -> int:
    """Estimate the bytes of memory that a delivery takes."""
    return sum(map(len, delivery.bodies)) + _BODY_BYTES * len(delivery.bodies)


def placed(delivery: Delivery, offset: int) -> Delivery:
    """Give the delivery its offset, sharing the bodies."""
    return Delivery(delivery.source, delivery.bodies, delivery.arrival_ns, delivery.peer, offset)


def from_offset(delivery: Delivery, start: int) -> Delivery | None:
    """Leave out the records below `start`; None where none is left."""
    skipped = start - delivery.offset
    if skipped <= 0:
        return delivery
    bodies = delivery.bodies[skipped:]
    return (
        placed(Delivery(delivery.source, bodies, delivery.arrival_ns, delivery.peer), start)
        if bodies
        else None
    )


class Unread:
    """Deliveries in offset order, first in, first out."""

    def __init__(self) -> None:
        self._held: deque[tuple[Delivery, int]] = deque()
        self.bytes = 0
        """Memory that they take, estimated."""

    def __len__(self) -> int:
        return len(self._held)

    def push(self, delivery: Delivery, size: int) -> None:
        """Add the next delivery, of `size` bytes in memory."""
        self._held.append((delivery, size))
        self.bytes += size

    def take(self, limit: int, start: int) -> list[Delivery]:
        """Hand out about `limit` records at most, none below `start`; never splits a delivery for size."""
        taken: list[Delivery] = []
        count = 0
        while self._held and (not taken or count + len(self._held[0][0].bodies) <= limit):
            delivery, size = self._held.popleft()
            self.bytes -= size
            rest = from_offset(delivery, start)
            if rest is not None:
                taken.append(rest)
                count += len(rest.bodies)
        return taken
