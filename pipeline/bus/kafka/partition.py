"""One partition of both topics, as an engine reads it: merged by arrival, committed together.

Back pressure: that of `merging`.

Delivery: a commit says the lowest message of each topic that is not done, with the account up to it and how far the
topic has been read, in one request. Nothing is read that lies more than `_AHEAD` messages behind what a commit has
said of that: so whoever has the partition next knows what may be in the store already, and looks up no more.
Once another process may have the partition (`close`, or a commit that the group refuses) nothing more is
read nor committed here: what is not committed is forgotten, and read by whoever has it next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from aiokafka.errors import CommitFailedError, IllegalStateError

from pipeline.bus.kafka.ledger import write_kept
from pipeline.bus.kafka.merging import Merging
from pipeline.bus.kafka.offsets import Offsets, Topic
from pipeline.bus.kafka.packing import Headers
from pipeline.contracts import Account
from pipeline.model import Delivery, Outcome, Source

_log = logging.getLogger(__name__)

_RECHECK_S = 1.0
_AHEAD = 400
"""Messages of a topic that may be read beyond what a commit has told."""
_COMMIT_IDLE_S = 1.0
"""How soon what has no records (drops, copies) is committed where nothing else is."""


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
        self.merging = Merging({source: topic.next for source, topic in topics.items()}, ends, queue_bytes)
        """What has come and waits."""
        self.is_lost = False
        """Whether another process may have the partition by now."""
        self.begins_anew = ""
        """Why what is read now cannot be what was committed: a topic begins again; empty as a rule."""
        self.last_arrival_ns = 0
        self._commit = commit
        self._closed = False
        self._unsure_until = {
            source: min(ends[source], topic.read + _AHEAD) for source, topic in topics.items()
        }
        self._news = asyncio.Event()
        self._committing = asyncio.Lock()
        self._committed_at = asyncio.get_running_loop().time()

    def push(
        self, source: Source, offset: int, value: bytes | None, headers: Headers, timestamp_ms: int
    ) -> None:
        """Take a message in; offsets of a topic grow."""
        if self._closed:
            return
        if self.merging.is_passed(source, offset):
            self._begin_anew(source, offset)
            return
        self._warn_of_gone(source, self.merging.push(source, offset, value, headers, timestamp_ms))
        self._news.set()

    def skip(self, source: Source, position: int) -> None:
        """Take note that all there is of a topic before an offset has been pushed.

        Where retention removed the end of a topic no message tells of it, and the other topic's would wait.
        """
        if self._closed:
            return
        if gone := self.merging.skip(source, position):
            self.offsets.skip(source, position, gone)
            self._warn_of_gone(source, gone)
            self._news.set()

    def _warn_of_gone(self, source: Source, count: int) -> None:
        if count:
            _log.error(
                "partition %d: %d messages of %s are gone that nobody had read: the topic's retention is too short",
                self.number, count, source.value,
            )  # fmt: skip

    def _begin_anew(self, source: Source, offset: int) -> None:
        """Read and commit nothing more: positions of before mean other messages now."""
        self.begins_anew = (
            f"partition {self.number} of {source.value}'s topic gives offset {offset} again: the topic was deleted "
            "and made anew, or its new leader lacks what the old one had"
        )
        self.lose(self.begins_anew)

    @property
    def is_rebuilding(self) -> bool:
        """Whether what is read may have been read by somebody before."""
        topics = self.offsets.topics
        return any(topics[source].given < end for source, end in self._unsure_until.items())

    def lag(self, source: Source) -> int:
        """How many messages of a topic are not handed to the engine yet."""
        return self.merging.lag(source)

    def close(self) -> None:
        """Hand out nothing more; what was handed out may still be committed."""
        self.merging.clear()
        self._unsure_until = {}
        self._closed = True
        self._news.set()

    def lose(self, why: object) -> None:
        """Take note that the partition has gone to another process, or may have."""
        if not self.is_lost:
            _log.warning("partition %d is given up here: %s", self.number, why)
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
            is_waiting = self.merging.is_waiting()
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

    def _take(self, limit: int) -> list[Delivery]:
        found: list[Delivery] = []
        count = 0
        while not self._closed and count < limit and (head := self.merging.first()) is not None:
            source, queued = head
            if queued.offset >= self.offsets.topics[source].read + _AHEAD:
                break  # that it has been read so far must be told first
            self.merging.pop(source)
            self.offsets.take(source, queued.offset, queued.message, queued.gone)
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
                (topic, topic.next, self._told(source), dict(topic.counts), topic.gone, source)
                for source, topic in self.offsets.topics.items()
                if everything or topic.next != topic.committed
            ]
            commits = [
                Commit(source, self.number, end, write_kept(counts, read, gone))
                for _, end, read, counts, gone, source in wanted
            ]
            if not commits:
                return
            try:
                await self._commit(commits)
            except (CommitFailedError, IllegalStateError) as error:
                self.lose(error)
                return
            for topic, end, read, counts, gone, _ in wanted:
                topic.committed, topic.read, topic.kept, topic.kept_gone = end, read, counts, gone
            self._committed_at = asyncio.get_running_loop().time()

    def _told(self, source: Source) -> int:
        """Give how far a topic is said to be read: at least up to the message that is next, whatever gap is before."""
        first, given = self.merging.first_of(source), self.offsets.topics[source].given
        return given if first is None else max(given, first.offset)

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
        pending, gone = {}, {}
        for source, topic in self.offsets.topics.items():
            outcomes |= topic.kept
            passed = sum(topic.counts.values()) - sum(topic.kept.values())
            pending[source] = topic.pending + passed
            gone[source] = topic.kept_gone
        return Account(outcomes, pending, gone=gone)

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
