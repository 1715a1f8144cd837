"""I/O: fetches, and hands messages to the partitions that are ours.

Back pressure: a partition whose engine does not keep up is paused; the consumer goes on, so the group never sees
a slow store.

Delivery: a message that comes before its partition has an engine waits for it; one of a partition that has gone is
forgotten, and read by whoever has it now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError

from pipeline.bus.kafka.units import Unit
from pipeline.errors import PipelineError
from pipeline.model import Source

_POLL_MS = 50
_MOST_MESSAGES = 500


class TopicAnew(PipelineError):  # noqa: N818 -- says what is the case
    """What was committed means other messages now: only a new start knows where to begin."""


class Pump:
    """Moves messages from a consumer to the units.

    Args:
        sources: By the name of the topic.
        units: Those that there are, by the partition's number; changed by whoever owns them.
    """

    def __init__(self, sources: Mapping[str, Source], units: Mapping[int, Unit]) -> None:
        self._sources = sources
        self._units = units
        self._early: dict[TopicPartition, list[ConsumerRecord]] = {}
        self._seen_at = 0.0
        self.paused = 0
        """Partitions of topics that are paused now."""

    def touch(self) -> None:
        """Take note that this process is about its work."""
        self._seen_at = asyncio.get_running_loop().time()

    @property
    def still_s(self) -> float:
        """Seconds since it last was."""
        return asyncio.get_running_loop().time() - self._seen_at

    async def run(self, consumer: AIOKafkaConsumer) -> None:
        """Hand messages to their partitions until cancelled."""
        while True:
            # aiokafka gives nothing while partitions are given out anew, and nothing of before after it.
            found = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_MESSAGES)
            self.touch()
            for partition, records in found.items():
                self._hand_out(partition, records)
            await self._regulate(consumer)

    def hand_out_early(self) -> None:
        """Hand out what came before its partition had an engine."""
        for partition, records in self._early.items():
            if partition.partition in self._units:
                self._hand_out(partition, records)
        self._early.clear()

    def forget_early(self) -> None:
        """Forget what came and has no engine."""
        self._early.clear()

    def _hand_out(self, partition: TopicPartition, records: list[ConsumerRecord]) -> None:
        unit = self._units.get(partition.partition)
        if unit is None:
            self._early.setdefault(partition, []).extend(records)
            return
        source = self._sources[partition.topic]
        for record in records:
            unit.bus.push(source, record.offset, record.value, record.headers, record.timestamp)
        if unit.bus.begins_anew:
            raise TopicAnew(unit.bus.begins_anew)

    async def _regulate(self, consumer: AIOKafkaConsumer) -> None:
        """Pause and resume, and tell partitions how far their topics go."""
        for number, unit in list(self._units.items()):
            for topic, source in self._sources.items():
                partition = TopicPartition(topic, number)
                if partition not in consumer.assignment() or self._units.get(number) is not unit:
                    continue
                if (end := consumer.highwater(partition)) is not None:
                    unit.bus.merging.hear_end(source, end)
                if partition in consumer.paused():
                    if unit.bus.merging.has_room(source):
                        consumer.resume(partition)
                elif unit.bus.merging.is_full(source):
                    consumer.pause(partition)
                elif unit.bus.merging.lacks(source):
                    await self._skip_what_is_gone(consumer, partition, unit)
            if unit.bus.is_lost and not unit.task.done():
                unit.task.cancel()
        self.paused = len(consumer.paused())

    async def _skip_what_is_gone(
        self, consumer: AIOKafkaConsumer, partition: TopicPartition, unit: Unit
    ) -> None:
        """Tell a partition that the consumer has gone on without a message: retention removed what was there.

        Where it goes on is where the topic begins now, which is its end if nothing is left.
        """
        try:
            async with asyncio.timeout(0):  # known at once, or asked again after the next fetch
                position = await consumer.position(partition)
        except (TimeoutError, IllegalStateError):
            return
        if self._units.get(partition.partition) is unit:
            unit.bus.skip(self._sources[partition.topic], position)
