"""Where a record lies on Kafka, as the one integer that names it for good.  PURE.

From the highest bit down: a mark that no journal's offset has, whether the record is a copy (`rekeyed`), the topic,
the partition, the message's offset, the record's index in the message. Whoever reads the record again, in
whatever process, gives it the same number, so that the store can tell a replay from a redelivery.
"""

from __future__ import annotations

from typing import NamedTuple

from pipeline.model import Source

_INDEX_BITS, _OFFSET_BITS, _PARTITION_BITS = 10, 39, 11
_OFFSET_AT = _INDEX_BITS
_PARTITION_AT = _OFFSET_AT + _OFFSET_BITS
_TOPIC_AT = _PARTITION_AT + _PARTITION_BITS
_REKEYED_AT = _TOPIC_AT + 1
_MARK = 1 << (_REKEYED_AT + 1)
_SOURCES = tuple(Source)

MOST_RECORDS = 1 << _INDEX_BITS
"""Records that a message may hold."""
MOST_PARTITIONS = 1 << _PARTITION_BITS
MOST_MESSAGES = 1 << _OFFSET_BITS
"""Messages that a partition may number: at 5,000 a second, three years."""


class Position(NamedTuple):
    """What such an integer says."""

    source: Source
    """Which of the two topics."""
    partition: int
    offset: int
    """Kafka's own, of the message."""
    nth: int = 0
    """Of the records in the message."""
    is_rekeyed: bool = False
    """A copy under another key, made by a join process; not a record that entered."""

    def pack(self) -> int:
        """Give the integer; below 2**63.

        Raises:
            ValueError: A part is too large for its bits.
        """
        if not (
            0 <= self.nth < MOST_RECORDS
            and 0 <= self.offset < MOST_MESSAGES
            and 0 <= self.partition < MOST_PARTITIONS
        ):
            raise ValueError(f"{self} cannot be told in 63 bits")
        topic = _SOURCES.index(self.source)
        head = _MARK | self.is_rekeyed << _REKEYED_AT | topic << _TOPIC_AT | self.partition << _PARTITION_AT
        return head | self.offset << _OFFSET_AT | self.nth


def unpack(number: int) -> Position:
    """Read an integer back."""
    return Position(
        _SOURCES[number >> _TOPIC_AT & 1],
        number >> _PARTITION_AT & (MOST_PARTITIONS - 1),
        number >> _OFFSET_AT & (MOST_MESSAGES - 1),
        number & (MOST_RECORDS - 1),
        bool(number >> _REKEYED_AT & 1),
    )


def split(number: int) -> tuple[int, int]:
    """Give what names the message, and the index in it: for whoever counts records by message."""
    return number >> _INDEX_BITS, number & (MOST_RECORDS - 1)


def is_rekeyed(number: int) -> bool:
    """Whether a record is a copy under another key."""
    return bool(number >> _REKEYED_AT & 1)
