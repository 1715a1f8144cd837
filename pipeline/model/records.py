"""What lies on the bus, and how it leaves."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec


class Source(StrEnum):
    """Who wrote a record."""

    HAPROXY = "haproxy"
    KONG = "kong"


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """Raw records that came together from one peer: what is appended to and read from the bus.

    One body is one line, one datagram, or one entry of a Kong array: the unit of the account.
    """

    source: Source
    bodies: list[bytes]
    arrival_ns: int
    """When we got them, UTC epoch nanoseconds (for replayed files: event time, never falling)."""
    peer: str
    """Address that sent them, without port (`127.0.0.1`); empty for files and unix sockets."""
    offset: int = -1
    """Bus offset of the first body, the others follow; -1 until appended.

    An offset names a record for good: a new bus starts at a random multiple of 2**40, so that the
    same offset is the same record on the same bus, and a redelivery has another one.
    """


class OutcomeKind(StrEnum):
    """How a record left. Every record that enters leaves by exactly one of these."""

    STORED = "stored"
    EVENT = "event"
    DUPLICATE = "duplicate"
    DEAD_LETTER = "dead_letter"
    DROPPED = "dropped"


class Outcome(NamedTuple):
    """One line of the account."""

    source: Source
    kind: OutcomeKind
    reason: str = ""
    """Closed set; empty for stored, event and duplicate."""
