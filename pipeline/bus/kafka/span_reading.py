"""I/O: the sender's end of the span topic: one process's part of the group that reads it.

Back pressure: nothing is fetched while about a request's worth waits; the topic keeps the rest.

Delivery: a message is committed once a receiver has answered for it, and is sent again by whoever has its partition
next until then. What is older than the topic is sure to keep is dropped and counted before it could vanish uncounted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from pipeline.bus.kafka.refusals import explain
from pipeline.bus.kafka.span_messages import unpack
from pipeline.bus.kafka.span_partition import SpanPartition, write_text
from pipeline.bus.kafka.span_standing import read_partitions, sum_of
from pipeline.bus.kafka.span_together import Share, put_together, spread
from pipeline.clock import Clock
from pipeline.config import BusConfig
from pipeline.errors import RetryableError
from pipeline.spans import MOST_BYTES
from pipeline.spans.waiting import Fate, SpanAccount, Stored

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_POLL_S = 0.5
_PATIENCE_S = 5.0
"""How long partitions that were given to us may take to begin before we go on with the others."""
_COMMIT_S = 5.0
"""How long a commit may take; what is not committed is sent again after a kill, no more."""
_MOST_MESSAGES = 32
_KEPT_FOR_SURE = 0.9
"""Share of the topic's retention after which spans are dropped."""


class TopicAway(RetryableError):  # noqa: N818 -- says what is the case
    """The span topic cannot be read now."""


class SpanReader(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """A `SpanOutlet` for one thread; all else is on the loop that made it.

    Args:
        consumer: Started, subscribed to nothing; closed by whoever made it.
        bus: Topic, group, retention.
        clock: Says what is old.
        before_gone: Called when partitions are about to go, once what was answered for is committed.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        bus: BusConfig,
        clock: Clock,
        before_gone: Callable[[], None] = lambda: None,
    ) -> None:
        self._consumer = consumer
        self._bus = bus
        self._clock = clock
        self._before_gone = before_gone
        self._loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        self._partitions: dict[TopicPartition, SpanPartition] = {}
        self._turn = 0
        """Grows whenever partitions go."""
        self._number = 0
        self._out: dict[int, dict[TopicPartition, Share]] = {}
        """What was given out last, by its number."""
        self._last_books: Mapping[str, SpanAccount] = {}

    async def __aenter__(self) -> Self:
        self._consumer.subscribe([self._bus.kafka.spans_topic], listener=self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._commit()
        self._last_books = self.books()
        self._partitions = {}

    def first(self, wait_s: float) -> Stored | None:
        """Give what is to be sent next: messages of several partitions, put together.

        Raises:
            TopicAway: The brokers do not give it.
        """
        return self._there(self._first(wait_s))

    def done(self, stored: Stored, fates: Mapping[Fate, int]) -> None:
        """Let messages leave; those of partitions that have gone to others meanwhile are the others' to count."""
        self._there(self._done(stored.number, fates))

    def end_waiting(self) -> None:
        """Let `first` fetch no more."""
        self._loop.call_soon_threadsafe(self._ending.set)

    def account(self) -> SpanAccount:
        """Give the account of the partitions that are ours."""
        return sum_of(one.account() for one in list(self._partitions.values()))

    def books(self) -> Mapping[str, SpanAccount]:
        """Give the same as of the last commit, by the partition's name, which goes with it from process to process."""
        group, parts = self._bus.kafka.spans_group, list(self._partitions.items())
        found = {
            f"kafka-{group}/partition-{one.partition}": part.account(committed=True) for one, part in parts
        }
        return found or self._last_books

    @property
    def gone(self) -> int:
        """Messages of our partitions that were gone before anybody had read them."""
        return sum(one.gone for one in list(self._partitions.values()))

    @property
    def lag(self) -> int:
        """Messages of our partitions that were not answered for."""
        return sum(
            max(0, (self._consumer.highwater(one) or part.end) - part.next)
            for one, part in list(self._partitions.items())
            if one in self._consumer.assignment()
        )

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Everything goes, at each rebalance; what comes back begins with what is committed."""
        del revoked
        await self._commit()
        self._before_gone()
        self._turn += 1
        self._partitions = {}

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Do nothing: what is ours is begun with before the next fetch."""

    def _there(self, act: Coroutine[Any, Any, _T]) -> _T:
        """Do something on our loop, and wait for it, on the thread that sends."""
        return asyncio.run_coroutine_threadsafe(act, self._loop).result()

    async def _first(self, wait_s: float) -> Stored | None:
        deadline = self._loop.time() + wait_s
        while True:
            self._drop_what_is_old()
            waiting = sum(one.bytes for one in self._partitions.values())
            left_s = deadline - self._loop.time()
            if waiting < MOST_BYTES and not self._ending.is_set():
                await self._fetch(0.0 if waiting else max(0.0, min(left_s, _POLL_S)))
                self._drop_what_is_old()
            if any(part.is_behind for part in self._partitions.values()):
                await self._commit()
            if stored := self._together():
                return stored
            if self._ending.is_set() or left_s <= 0:
                return None

    async def _fetch(self, wait_s: float) -> None:
        """Take in what comes within a time; sooner ended when told to end."""
        taking = asyncio.create_task(self._take(wait_s))
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait(
                {taking, ending}, timeout=wait_s + _PATIENCE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if taking.done():
                taking.result()
        except KafkaError as error:
            raise TopicAway(explain(error, self._bus.kafka)) from error
        finally:
            taking.cancel()
            ending.cancel()
            await asyncio.gather(taking, ending, return_exceptions=True)

    async def _take(self, wait_s: float) -> None:
        """Fetch, and hand out. In one task: between the two no partition may begin anew."""
        new = [one for one in self._consumer.assignment() if one not in self._partitions]
        if new:
            await self._begin(new)
        found = await self._consumer.getmany(timeout_ms=int(wait_s * 1000), max_records=_MOST_MESSAGES)
        for one, records in found.items():
            part = self._partitions.get(one)
            for record in records if part is not None else ():
                message = unpack(record.offset, record.value, record.headers, record.timestamp)
                if message is None:
                    _log.error("%s/%d: message %d is not ours, and is passed by", *one, record.offset)
                part.take(record.offset, message)  # type: ignore[union-attr] # none are taken where there is none

    async def _begin(self, new: list[TopicPartition]) -> None:
        """Begin with partitions that were given to us, where others ended."""
        turn = self._turn
        found = await read_partitions(self._consumer, new)
        if turn != self._turn:
            return  # given out anew meanwhile
        for one, part in found.items():
            if one in self._consumer.assignment():
                self._consumer.seek(one, part.next)
                self._partitions[one] = part

    def _drop_what_is_old(self) -> None:
        kept_ms = self._bus.kafka.spans_retention_h * 3_600_000 * _KEPT_FOR_SURE
        oldest_ms = self._clock.now_ns() // 1_000_000 - int(kept_ms)
        old = sum(part.pass_what_is_not_sent(oldest_ms) for part in self._partitions.values())
        if old:
            _log.error("%d spans were dropped: no receiver took them before they were too old", old)

    def _together(self) -> Stored | None:
        found = put_together(self._partitions, MOST_BYTES)
        if found is None:
            return None
        self._number += 1
        self._out = {self._number: found[1]}
        return Stored(self._number, found[0])

    async def _done(self, number: int, fates: Mapping[Fate, int]) -> None:
        sent = self._out.pop(number, {})
        shared = iter(spread(fates, [spans for share in sent.values() for spans in share.spans]))
        for one, share in sent.items():
            mine = [next(shared) for _ in share.spans]
            if self._partitions.get(one) is share.partition:
                for part in mine:
                    share.partition.pass_head(part)
        await self._commit()

    async def _commit(self) -> None:
        """Commit what was answered for; what cannot be committed now is with the next."""
        wanted = {
            one: (part, part.next, part.state()) for one, part in self._partitions.items() if part.is_behind
        }
        if not wanted:
            return
        try:
            async with asyncio.timeout(_COMMIT_S):
                await self._consumer.commit(
                    {one: (end, write_text(state)) for one, (_, end, state) in wanted.items()}
                )
        except (CommitFailedError, IllegalStateError) as error:
            _log.warning("partitions of the span topic have gone to another process: %s", error)
        except (KafkaError, TimeoutError) as error:
            _log.warning(
                "what was sent cannot be committed now, and may be sent twice: %s",
                explain(error, self._bus.kafka),
            )
        else:
            for part, end, state in wanted.values():
                part.committed, part.kept = end, state
