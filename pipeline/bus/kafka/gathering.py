"""Records that wait to be packed into one message.  PURE: no I/O, no clock; whoever shares it holds a lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from pipeline.bus.kafka.packing import Slice
from pipeline.model import Source

_RECORD_BYTES = 64
"""What a record takes in a message beside itself, and in memory, roughly."""


class Ticket(msgspec.Struct, gc=False):
    """An append that waits until all its records are kept."""

    told: Callable[[bool], None]
    """Called once, with whether they are."""
    open: int = 0
    """Messages that hold some of them."""
    is_kept: bool = True

    def settle(self, is_kept: bool) -> None:
        """One of its messages is kept, or is not."""
        self.open -= 1
        self.is_kept &= is_kept
        if not self.open:
            self.told(self.is_kept)


class Packet(msgspec.Struct, gc=False):
    """A message in the making."""

    source: Source
    partition: int
    slices: list[Slice]
    patient: list[Slice]
    """Those of them that nobody waits for: sent again until they are kept."""
    tickets: list[Ticket]
    records: int = 0
    bytes: int = 0


class Limits(NamedTuple):
    """How much one message may hold."""

    records: int
    bytes: int


class Gathering:
    """One packet for each partition of each topic.

    Args:
        limits: A record that is larger than a message may be is cut to it.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: dict[tuple[Source, int], Packet] = {}
        self._full: list[Packet] = []

    def add(
        self,
        source: Source,
        partition: int,
        bodies: list[bytes],
        *,
        arrival_ns: int,
        peer: str,
        ticket: Ticket | None,
    ) -> int:
        """Put records of one delivery and one partition in; gives the bytes they take."""
        total = 0
        while bodies:
            packet = self._open.get((source, partition))
            if packet is None:
                packet = self._open[source, partition] = Packet(source, partition, [], [], [])
            taken, size = self._fitting(bodies, packet)
            if taken:
                piece = Slice(peer, arrival_ns, [body[: self._limits.bytes] for body in bodies[:taken]])
                packet.slices.append(piece)
                packet.records += taken
                packet.bytes += size
                total += size
                if ticket is None:
                    packet.patient.append(piece)
                else:
                    ticket.open += 1
                    packet.tickets.append(ticket)
                bodies = bodies[taken:]
            if bodies or packet.records >= self._limits.records:
                self._full.append(self._open.pop((source, partition)))
        return total

    def _fitting(self, bodies: list[bytes], packet: Packet) -> tuple[int, int]:
        """Tell how many of the records still fit, and their bytes; one always does in an empty packet."""
        taken = size = 0
        for body in bodies[: self._limits.records - packet.records]:
            more = min(len(body), self._limits.bytes) + _RECORD_BYTES
            if packet.records + taken and packet.bytes + size + more > self._limits.bytes:
                break
            taken, size = taken + 1, size + more
        return taken, size

    def take(self, *, everything: bool) -> list[Packet]:
        """Hand out the packets that are full, or all."""
        packets, self._full = self._full, []
        if everything:
            packets += self._open.values()
            self._open = {}
        return packets


def size_of(bodies: list[bytes]) -> int:
    """Tell the bytes that records will take, at most."""
    return sum(map(len, bodies)) + _RECORD_BYTES * len(bodies)
