"""Many records in one message, and back.  PURE.

A value is a MessagePack array of groups `[peer, arrival_ns, [body, …]]`. The headers say what is common:
`source`, `format`, `count`, `arrival` (of the first) and `peer` (where all have one). A message without a value's
worth of records may say `drops` instead: a count that belongs into the account and has no record.

Back pressure: none here. Delivery: what cannot be read is one record, to be dead-lettered as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from pipeline.bus.kafka.positions import MOST_RECORDS, Position
from pipeline.model import Delivery, Source

FORMAT = b"hoptrail-pack/1"
_DROPS = b"hoptrail-drops/1"
_MOST_REASONS = 64
Headers = Sequence[tuple[str, bytes]]


class Slice(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Records that came together from one peer."""

    peer: str
    arrival_ns: int
    bodies: list[bytes]


@dataclass(frozen=True, slots=True)
class Message:
    """What a message says."""

    slices: Sequence[Slice]
    drops: Mapping[str, int]
    is_rekeyed: bool = False

    @property
    def records(self) -> int:
        """How many records it has."""
        return sum(len(each.bodies) for each in self.slices)

    def deliveries(self, source: Source, partition: int, offset: int) -> list[Delivery]:
        """Give its records with the numbers that name them for good."""
        found, index = [], 0
        for each in self.slices:
            if each.bodies:
                number = Position(source, partition, offset, index, self.is_rekeyed).pack()
                found.append(Delivery(source, each.bodies, each.arrival_ns, each.peer, number))
                index += len(each.bodies)
        return found


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Slice]).decode
_decode_drops = msgspec.msgpack.Decoder(dict[str, int]).decode


def pack(
    source: Source, slices: Sequence[Slice], *, rekeyed: bool = False
) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Give value and headers of a message; at most `MOST_RECORDS` records."""
    peers = {each.peer for each in slices}
    headers = [
        ("source", source.value.encode()),
        ("format", FORMAT),
        ("count", b"%d" % sum(len(each.bodies) for each in slices)),
        ("arrival", b"%d" % slices[0].arrival_ns),
    ]
    if len(peers) == 1:
        headers.append(("peer", next(iter(peers)).encode()))
    if rekeyed:
        headers.append(("rekeyed", b"1"))
    return _encode(slices), headers


def pack_drops(source: Source, drops: Mapping[str, int]) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Give value and headers of a message that counts drops, by reason."""
    return _encode(drops), [("source", source.value.encode()), ("format", _DROPS)]


def unpack(value: bytes | None, headers: Headers, timestamp_ms: int) -> Message:
    """Read a message, whoever wrote it. Never raises: what is no message of ours is one record as it came.

    Args:
        value: None and empty are an empty record.
        headers: As Kafka gives them.
        timestamp_ms: Kafka's, for what says no arrival time of its own.
    """
    told = dict(headers)
    try:
        if told.get("format") == _DROPS:
            drops = _decode_drops(value or b"")
            if len(drops) <= _MOST_REASONS and all(count >= 0 for count in drops.values()):
                return Message((), drops)
        elif told.get("format") == FORMAT:
            slices = _decode(value or b"")
            if 0 < sum(len(each.bodies) for each in slices) <= MOST_RECORDS:
                return Message(slices, {}, told.get("rekeyed") == b"1")
    except msgspec.MsgspecError:
        pass  # hostile or damaged: one record, whose reason the parser finds
    return Message((Slice("", max(0, timestamp_ms) * 1_000_000, [value or b""]),), {})
