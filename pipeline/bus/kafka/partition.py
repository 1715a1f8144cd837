"""One partition of both topics, as an engine reads it: merged by arrival, committed together.

Back pressure: messages queue up to `queue_bytes` a topic; beyond that the group pauses that topic's partition.

Delivery: a commit says the lowest message of each topic that is not done, with the account up to it and how far the
topic has been read, in one request. Nothing is read that lies more than `_AHEAD` messages behind what a commit has
said of that: so whoever has the partition next knows what may be in the store already, and looks up no more.
Once another process may have the partition (`close`, or a commit that the group refuses) nothing more is
read nor committed here: what is not committed is forgotten, and read by whoever has it next.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from aiokafka.errors import CommitFailedError, IllegalStateError

from pipeline.bus.kafka.ledger import write_kept
from pipeline.bus.kafka.offsets import Offsets, Topic
from pipeline.bus.kafka.packing import Headers, Message, unpack
from pipeline.contracts import Account
from pipeline.model import Delivery, Outcome, Source

_log = logging.getLogger(__name__)

_RECHECK_S = 1.0
_AHEAD = 400
"""Messages of a topic that may be read beyond what a commit has told."""
_COMMIT_IDLE_S = 1.0
"""How soon what has no records (drops, copies) is committed where nothing else is."""


class Queued(NamedTuple):
    """A message that waits for the engine."""

    offset: int
    arrival_ns: int
    size: int
    message: Message


class Commit(NamedTuple):
    """What is committed of one topic."""

    source: Source
    partition: int
    offset: int
    text: str


class PartitionBus:
    """An `Outlet`, on the loop of its group.

    Args:
        number: Of the partition.
        topics: Where each topic begins, with the account up to there.
        ends: What each topic is known to hold at least: the offset of the message after the last.
        commit: Commits; raises what aiokafka's `commit` does.
        queue_bytes: What may wait, of each topic.
    """

    def __init__(
        self,
        number: int,
        topics: Mapping[Source, Topic],
        ends: Mapping[Source, int],
        commit: Callable[[list[Commit]], Awaitable[None]],
        queue_bytes: int,
    ) -> None:
        self.number = number
        self.offsets = Offsets(number, topics)
        self.is_lost = False
        """Whether another process may have the partition by now."""
        self._commit = commit
        self._queue_bytes = queue_bytes
        self._closed = False
        self._next = {source: topic.next for source, topic in topics.items()}
        self._ends = dict(ends)
        self._unsure_until = {
            source: min(ends[source], topic.read + _AHEAD) for source, topic in topics.items()
        }
        self._queues: dict[Source, deque[Queued]] = {source: deque() for source in topics}
        self._bytes = dict.fromkeys(topics, 0)
        self._news = asyncio.Event()
        self._committing = asyncio.Lock()
        self._committed_at = asyncio.get_running_loop().time()
        self.last_arrival_ns = 0

    def push(
        self, source: Source, offset: int, value: bytes | None, headers: Headers, timestamp_ms: int
    ) -> None:
        """Take a message in; offsets of a topic grow."""
        if self._closed or offset < self._next[source]:
            return
        message = unpack(value, headers, timestamp_ms)
        arrival_ns = message.slices[0].arrival_ns if message.slices else 0
        size = len(value or b"") + 200 * message.records
        self._queues[source].append(Queued(offset, arrival_ns, size, message))
        self._bytes[source] += size
        self._next[source] = offset + 1
        self._news.set()

    def hear_end(self, source: Source, end: int) -> None:
        """Take note of how far a topic goes."""
        self._ends[source] = max(self._ends[source], end)

    def is_full(self, source: Source) -> bool:
        """Whether more of a topic should not be fetched now."""
        return self._bytes[source] >= self._queue_bytes

    def has_room(self, source: Source) -> bool:
        """Whether a paused topic may be fetched again."""
        return 2 * self._bytes[source] <= self._queue_bytes

    @property
    def is_rebuilding(self) -> bool:
        """Whether what is read may have been read by somebody before."""
        topics = self.offsets.topics
        return any(topics[source].given < end for source, end in self._unsure_until.items())

    def lag(self, source: Source) -> int:
        """How many messages of a topic are not handed to the engine yet."""
        return max(0, self._ends[source] - self._next[source]) + len(self._queues[source])

    def close(self) -> None:
        """Hand out nothing more; what was handed out may still be committed."""
        for queue in self._queues.values():
            queue.clear()
        self._unsure_until = {}
        self._closed = True
        self._news.set()

    def lose(self, why: object) -> None:
        """Take note that the partition has gone to another process, or may have."""
        if not self.is_lost:
            _log.warning("partition %d has gone to another process: %s", self.number, why)
        self.is_lost = True
        self.close()

    async def read(self, limit: int, wait_s: float) -> list[Delivery]:
        """Give what comes next, both topics merged by arrival.

        While a topic has more that has not come yet, its silence says nothing, and nothing is given that may be
        younger: so that catching up, with one topic fetched before the other, closes no window early.
        """
        while True:
            if self._is_far_ahead():
                await self._put_down(everything=True)
            found = self._take(limit)
            is_waiting = self.is_waiting()
            if found or self._closed or (wait_s <= 0 and not is_waiting):
                return found
            if not is_waiting:
                await self._commit_idle()
            self._news.clear()
            try:
                async with asyncio.timeout(_RECHECK_S if is_waiting else wait_s):
                    await self._news.wait()
            except TimeoutError:
                if not is_waiting:
                    return self._take(limit)

    def is_waiting(self) -> bool:
        """Whether a topic has more that has not come."""
        return any(
            not self._queues[source] and self._next[source] < self._ends[source] for source in self._queues
        )

    def _take(self, limit: int) -> list[Delivery]:
        found: list[Delivery] = []
        count = 0
        while not self._closed and count < limit:
            if self.is_waiting():
                break
            heads = [(queue[0].arrival_ns, source) for source, queue in self._queues.items() if queue]
            if not heads:
                break
            source = min(heads)[1]
            topic = self.offsets.topics[source]
            if self._queues[source][0].offset >= topic.read + _AHEAD:
                break  # that it has been read so far must be told first
            queued = self._queues[source].popleft()
            self._bytes[source] -= queued.size
            self.offsets.take(source, queued.offset, queued.message)
            found += queued.message.deliveries(source, self.number, queued.offset)
            count += queued.message.records
            self.last_arrival_ns = max(self.last_arrival_ns, queued.arrival_ns)
        return found

    async def commit(self, offset: int, outcomes: Mapping[Outcome, int]) -> None:
        """Commit as far as `offsets` has passed; on a partition that has gone to another, do nothing."""
        del offset, outcomes  # `offsets` knows both, for each topic
        if self.offsets.is_behind:
            await self._put_down(everything=False)

    async def _put_down(self, *, everything: bool) -> None:
        """Commit the topics of which more is done than is committed, or both."""
        async with self._committing:
            if self.is_lost:
                return
            wanted = [
                (topic, topic.next, self._told(source), dict(topic.counts), source)
                for source, topic in self.offsets.topics.items()
                if everything or topic.next > topic.committed
            ]
            commits = [
                Commit(source, self.number, end, write_kept(counts, read))
                for _, end, read, counts, source in wanted
            ]
            if not commits:
                return
            try:
                await self._commit(commits)
            except (CommitFailedError, IllegalStateError) as error:
                self.lose(error)
                return
            for topic, end, read, counts, _ in wanted:
                topic.committed, topic.read, topic.kept = end, read, counts
            self._committed_at = asyncio.get_running_loop().time()

    def _told(self, source: Source) -> int:
        """Give how far a topic is said to be read: at least up to the message that is next, whatever gap is before."""
        queue, given = self._queues[source], self.offsets.topics[source].given
        return max(given, queue[0].offset) if queue else given

    def _is_far_ahead(self) -> bool:
        """Whether it is time to tell how far the topics have been read."""
        topics = self.offsets.topics
        return any(2 * (self._told(source) - topics[source].read) > _AHEAD for source in topics)

    async def _commit_idle(self) -> None:
        """Commit what the engine has no reason to: messages without records, and copies."""
        now = asyncio.get_running_loop().time()
        if self.offsets.is_behind and now - self._committed_at >= _COMMIT_IDLE_S:
            await self.commit(0, {})

    def account(self) -> Account:
        """Give the account of this partition as of the last commit; what was read since is pending."""
        outcomes: dict[Outcome, int] = {}
        pending = {}
        for source, topic in self.offsets.topics.items():
            outcomes |= topic.kept
            passed = sum(topic.counts.values()) - sum(topic.kept.values())
            pending[source] = topic.pending + passed
        return Account(outcomes, pending)

    def accounts(self) -> Mapping[str, Account]:
        """Give the account under the name of the partition, which goes with it from process to process."""
        return {f"partition-{self.number}": self.account()}

    @property
    def committed(self) -> int:
        """Always 0: what a restart begins at is two offsets, kept by the group."""
        return 0

    @property
    def fill(self) -> float:
        """Always 0.0: a topic keeps what it has for its retention, whatever waits."""
        return 0.0
