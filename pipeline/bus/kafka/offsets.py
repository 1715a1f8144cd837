"""Which messages of a partition are done, in both topics: what may be committed, and what became of their records.

PURE. A message is done when all its records are; what is committed is the lowest offset of a message that is not.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

import msgspec

from pipeline.bus.kafka.packing import Message
from pipeline.bus.kafka.positions import Position, split
from pipeline.model import Outcome, OutcomeKind, Source

_NOTHING = Message((), {})


class _Held(msgspec.Struct, gc=False):
    """A message that was read."""

    offset: int
    number: int
    records: int
    open: int
    """One bit a record that is not done."""
    outcomes: dict[Outcome, int]
    is_rekeyed: bool
    gone: int


class Topic:
    """One topic's share of a partition.

    Args:
        committed: Kafka's committed offset; the first to be read where none is.
        counts: The account as of that commit.
        read: How far whoever committed had read by then; the commit itself where that is not known.
        begin: The offset of the first message to be read; the commit itself unless told. Above it where messages
            that nobody had read are gone, below it where the topic was made anew.
        gone: Messages that were gone as of that commit.
    """

    def __init__(
        self,
        committed: int,
        counts: Mapping[Outcome, int],
        read: int = -1,
        *,
        begin: int | None = None,
        gone: int = 0,
    ) -> None:
        first = committed if begin is None else begin
        self.next = first
        """What may be committed: the offset of the first message that is not done."""
        self.gone = gone + max(0, first - committed)
        """Messages before `next` that were gone before they were read."""
        self.kept_gone = gone
        """Of them, those that Kafka has been told of."""
        self.counts = Counter(counts)
        """The account up to `next`."""
        self.kept: Mapping[Outcome, int] = dict(counts)
        """The account up to `committed`."""
        self.pending = 0
        """Records read and not passed; copies under another key are none."""
        self.committed = committed
        """What Kafka has of it."""
        self.read = max(read, first) if first >= committed else first
        """What Kafka has of how far it has been read."""
        self.given = first
        """How far it has been read here."""
        self.held: deque[_Held] = deque()


class Offsets:
    """The tracker of one partition of both topics; what `WriteStage` tells of each record comes here."""

    def __init__(self, partition: int, topics: Mapping[Source, Topic]) -> None:
        self.partition = partition
        self.topics = dict(topics)
        self._by_number: dict[int, _Held] = {}
        self._passed = 0

    @property
    def is_behind(self) -> bool:
        """Whether something else may be committed than is."""
        return any(topic.next != topic.committed for topic in self.topics.values())

    def take(self, source: Source, offset: int, message: Message, gone: int = 0) -> None:
        """Say that a message is being read; offsets of a topic grow, with `gone` missing before this one."""
        count = message.records
        number = split(Position(source, self.partition, offset, 0, message.is_rekeyed).pack())[0]
        outcomes = {
            Outcome(source, OutcomeKind.DROPPED, reason): dropped for reason, dropped in message.drops.items()
        }
        held = _Held(offset, number, count, (1 << count) - 1, outcomes, message.is_rekeyed, gone)
        topic = self.topics[source]
        topic.held.append(held)
        topic.given = offset + 1
        if not message.is_rekeyed:
            topic.pending += count
        if count:
            self._by_number[number] = held
        else:
            self._pass(topic)

    def skip(self, source: Source, end: int, gone: int) -> None:
        """Say that no message before an offset is still to come; it is passed once those that were taken are done."""
        self.take(source, end - 1, _NOTHING, gone)

    def done(self, offset: int, outcome: Outcome) -> None:
        """Say what became of a record, in any order.

        Raises:
            ValueError: It is not held, or has been done before: it would be counted twice.
        """
        number, index = split(offset)
        held = self._by_number.get(number)
        bit = 1 << index
        if held is None or not held.open & bit:
            raise ValueError(f"the record at {offset} is not held, or done already")
        held.open ^= bit
        held.outcomes[outcome] = held.outcomes.get(outcome, 0) + 1

    def advance(self) -> tuple[int, Counter[Outcome]]:
        """Pass every message up to the first that is not done, in each topic.

        Returns:
            How many messages have been passed in all, and how many of the records passed now ended how.
        """
        counts: Counter[Outcome] = Counter()
        for topic in self.topics.values():
            counts.update(self._pass(topic))
        return self._passed, counts

    def _pass(self, topic: Topic) -> Counter[Outcome]:
        counts: Counter[Outcome] = Counter()
        while topic.held and not topic.held[0].open:
            held = topic.held.popleft()
            self._by_number.pop(held.number, None)
            topic.next = held.offset + 1
            topic.gone += held.gone
            self._passed += 1
            if not held.is_rekeyed:
                counts.update(held.outcomes)
                topic.pending -= held.records
        topic.counts.update(counts)
        return counts
