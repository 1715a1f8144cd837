"""What has come of both topics of a partition and waits for its engine, given in the order of arrival.  PURE.

Back pressure: messages queue up to `queue_bytes` a topic; beyond that the group pauses that topic's partition.

Delivery: none of its own; what waits here is on the topics still, and is read again by whoever comes next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from pipeline.bus.kafka.packing import Headers, Message, unpack
from pipeline.model import Source

_RECORD_BYTES = 200
"""What a record takes in memory beside itself, roughly."""


class Queued(NamedTuple):
    """A message that waits for the engine."""

    offset: int
    arrival_ns: int
    size: int
    message: Message
    gone: int = 0
    """Messages before it that are not there."""


class Merging:
    """The queues of one partition of both topics.

    Args:
        nexts: The offset that each topic is read from.
        ends: What each topic is known to hold at least: the offset of the message after the last.
        queue_bytes: What may wait, of each topic.
    """

    def __init__(self, nexts: Mapping[Source, int], ends: Mapping[Source, int], queue_bytes: int) -> None:
        self._next = dict(nexts)
        self._ends = dict(ends)
        self._queue_bytes = queue_bytes
        self._queues: dict[Source, deque[Queued]] = {source: deque() for source in nexts}
        self._bytes = dict.fromkeys(nexts, 0)

    def push(
        self, source: Source, offset: int, value: bytes | None, headers: Headers, timestamp_ms: int
    ) -> int:
        """Take a message in, unless it was there before; gives how many messages before it are not there."""
        gone = offset - self._next[source]
        if gone < 0:
            return 0
        message = unpack(value, headers, timestamp_ms)
        arrival_ns = message.slices[0].arrival_ns if message.slices else 0
        size = len(value or b"") + _RECORD_BYTES * message.records
        self._queues[source].append(Queued(offset, arrival_ns, size, message, gone))
        self._bytes[source] += size
        self._next[source] = offset + 1
        return gone

    def is_passed(self, source: Source, offset: int) -> bool:
        """Whether a topic has come further than an offset already."""
        return offset < self._next[source]

    def skip(self, source: Source, position: int) -> int:
        """Take note that all there is before an offset has come; gives how many messages that leaves out.

        While a topic's messages wait nothing is done: their turn is first.
        """
        gone = position - self._next[source]
        if gone <= 0 or self._queues[source]:
            return 0
        self._next[source] = position
        return gone

    def hear_end(self, source: Source, end: int) -> None:
        """Take note of how far a topic goes."""
        self._ends[source] = max(self._ends[source], end)

    def is_full(self, source: Source) -> bool:
        """Whether more of a topic should not be fetched now."""
        return self._bytes[source] >= self._queue_bytes

    def has_room(self, source: Source) -> bool:
        """Whether a paused topic may be fetched again."""
        return 2 * self._bytes[source] <= self._queue_bytes

    def lacks(self, source: Source) -> bool:
        """Whether a topic has more, and nothing of it has come."""
        return not self._queues[source] and self._next[source] < self._ends[source]

    def is_waiting(self) -> bool:
        """Whether a topic has more that has not come: its silence says nothing yet."""
        return any(self.lacks(source) for source in self._queues)

    def lag(self, source: Source) -> int:
        """How many messages of a topic are not handed to the engine yet."""
        return max(0, self._ends[source] - self._next[source]) + len(self._queues[source])

    def first(self) -> tuple[Source, Queued] | None:
        """Give what is next by arrival; None while there is none, or something older may be still to come."""
        heads = [(queue[0].arrival_ns, source) for source, queue in self._queues.items() if queue]
        if not heads or self.is_waiting():
            return None
        source = min(heads)[1]
        return source, self._queues[source][0]

    def first_of(self, source: Source) -> Queued | None:
        """Give what is next of one topic."""
        queue = self._queues[source]
        return queue[0] if queue else None

    def pop(self, source: Source) -> Queued:
        """Take what is next of a topic out."""
        queued = self._queues[source].popleft()
        self._bytes[source] -= queued.size
        return queued

    def clear(self) -> None:
        """Forget what waits."""
        for queue in self._queues.values():
            queue.clear()
