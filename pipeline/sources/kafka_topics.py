"""Topics that others fill: raw HAProxy lines (rsyslog, Vector, syslog-ng) and Kong's entries, under any key.

A message is one line, or one entry, or an array of entries. Each record goes onto our bus under its own key.

Back pressure: nothing more is read while the bus is full; the topics keep what waits, for their retention.

Delivery: what is read is committed once the bus has it. A kill between the two brings the same messages again; the
store knows their records again, and the account calls them duplicates.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from pipeline.clock import Clock
from pipeline.contracts import Inlet
from pipeline.errors import BusFull, MalformedLine
from pipeline.formats.kong_split import split_body
from pipeline.model import Delivery, Source
from pipeline.sources.stats import ListenerStats, SourceStats

_log = logging.getLogger(__name__)

_POLL_MS = 200
_MOST_MESSAGES = 500
_FULL_WAIT_S = 0.2


class TopicReader:
    """Reads between `async with` and its end.

    Args:
        consumer: Not started; one of a group, which commits nothing by itself.
        topics: What each holds.
        on_failure: Called when reading ends for good.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        topics: Mapping[str, Source],
        *,
        bus: Inlet,
        clock: Clock,
        stats: SourceStats,
        on_failure: Callable[[], None],
    ) -> None:
        self._consumer = consumer
        self._topics = topics
        self._bus = bus
        self._clock = clock
        self._stats: dict[Source, ListenerStats] = {
            source: stats.listener(f"kafka_{source.value}", source) for source in set(topics.values())
        }
        self._on_failure = on_failure
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._consumer.subscribe(list(self._topics))
        self._task = asyncio.create_task(self._run(), name="kafka topics")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        try:
            while not self._ending.is_set():
                found = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_MESSAGES)
                for partition, records in found.items():
                    await self._take(partition, records)
        except Exception:  # noqa: BLE001 -- whatever ends this task, the process must know
            _log.exception("reading the topics that others fill has ended")
            self._on_failure()

    async def _take(self, partition: TopicPartition, records: list[ConsumerRecord]) -> None:
        """Put the records of one partition on the bus, then say so to the group."""
        source = self._topics[partition.topic]
        bodies = [body for record in records for body in _bodies(source, record.value)]
        if bodies:
            delivery = Delivery(source, bodies, self._clock.now_ns(), "")
            while not await self._keep(delivery):
                if self._ending.is_set():
                    return
            self._stats[source].took(len(bodies), delivery.arrival_ns)
        try:
            await self._consumer.commit({partition: records[-1].offset + 1})
        except (CommitFailedError, IllegalStateError) as error:
            _log.warning("%s/%d has gone to another process: %s", partition.topic, partition.partition, error)

    async def _keep(self, delivery: Delivery) -> bool:
        try:
            await self._bus.append(delivery)
        except BusFull:
            await asyncio.sleep(_FULL_WAIT_S)
            return False
        return True


def _bodies(source: Source, value: bytes | None) -> list[bytes]:
    """Split a message; one without a value is none, as compacted topics have them."""
    if not value:
        return []
    if source is Source.HAPROXY:
        return [line for line in value.split(b"\n") if line.strip()]
    try:
        return split_body(value)
    except MalformedLine:
        return [value]
