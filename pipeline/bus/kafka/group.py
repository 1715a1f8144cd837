"""I/O: one process's part of the consumer group: partitions come, are read by an engine each, and go.

Back pressure: a partition whose engine does not keep up is paused; the consumer goes on, so the group never sees
a slow store. When partitions are to go, each engine has most of `rebalance_timeout_s` to store and commit what it
is about; then it is stopped where it is.

Delivery: finish or forget. What was committed before a partition goes is done; all else is read again by whoever
has it next, from the committed offset, and the store knows its rows again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiokafka import (
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRebalanceListener,
    ConsumerRecord,
    TopicPartition,
)
from aiokafka.errors import KafkaError

from pipeline.bus.kafka.connection import reach
from pipeline.bus.kafka.packing import Slice, pack
from pipeline.bus.kafka.partition import Commit, PartitionBus
from pipeline.bus.kafka.producing import open_producer
from pipeline.bus.kafka.reading import make_consumer, read_topics
from pipeline.config import BusConfig
from pipeline.contracts import Account
from pipeline.errors import StoreUnavailable
from pipeline.model import Source

_log = logging.getLogger(__name__)

_POLL_MS = 50
_MOST_MESSAGES = 500
_FINISH_SHARE = 0.7
"""Share of `rebalance_timeout_s` that engines may take to finish."""


class Runs(Protocol):
    """What reads a partition: an engine."""

    def drain(self, *, flush: bool) -> None:
        """Ask for an end."""
        ...

    async def run(self) -> None:
        """Move data until drained."""
        ...


@dataclass(eq=False)
class Unit:
    """A partition that is ours."""

    bus: PartitionBus
    engine: Runs
    task: asyncio.Task[None]


MakeEngine = Callable[[PartitionBus, int], Runs]
"""Makes the engine of a partition; told how many partitions this process has."""


class JoinGroup:
    """Runs engines for the partitions that the group gives to this process.

    Args:
        config: Cluster, topics, group.
        make_engine: See `MakeEngine`.
        drain_s: Seconds that a stop may take.
    """

    def __init__(self, config: BusConfig, make_engine: MakeEngine, drain_s: float) -> None:
        kafka = config.kafka
        self._config = config
        self._kafka = kafka
        self._make_engine = make_engine
        self._drain_s = drain_s
        self._sources = {kafka.edge_topic: Source.HAPROXY, kafka.gateway_topic: Source.KONG}
        self._topics = {source: topic for topic, source in self._sources.items()}
        self.units: dict[int, Unit] = {}
        """By the partition's number."""
        self.last_accounts: Mapping[str, Account] = {}
        """Of the partitions that were ours when this process was told to stop."""
        self.rebalances = 0
        self.paused = 0
        """Partitions of topics that are paused now."""
        self._early: dict[TopicPartition, list[ConsumerRecord]] = {}
        self._turning = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._failure: BaseException | None = None
        self._seen_at = 0.0
        self._consumer: AIOKafkaConsumer | None = None
        self._engines: asyncio.TaskGroup | None = None
        self._producer: AIOKafkaProducer | None = None

    @property
    def name(self) -> str:
        """The group's name with the topics' it is the account of."""
        return f"kafka-{self._kafka.group}"

    def drain(self, *, flush: bool) -> None:
        """Ask for an end: engines store what they are about, and the rest stays on the topics."""
        del flush  # other processes have the other halves: windows stay open
        self._stopping.set()

    def lost_touch(self) -> str:
        """Say that this process stood still for longer than the group waits; empty where it did not."""
        still_s = asyncio.get_running_loop().time() - self._seen_at
        if still_s > self._kafka.session_timeout_s:
            return f"this process stood still for {still_s:.0f} s"
        return ""

    async def run(self) -> None:
        """Read until drained.

        Raises:
            ConfigError: No broker answers at the start.
            KafkaError: The group refuses us for good.
        """
        consumer = make_consumer(self._config, self._kafka.group, self._kafka.instance_id)
        self._consumer = consumer
        self._seen_at = asyncio.get_running_loop().time()
        try:
            await reach(consumer.start(), self._config)
            async with open_producer(self._config) as self._producer, asyncio.TaskGroup() as engines:
                self._engines = engines
                consumer.subscribe(list(self._sources), listener=_Listener(self))
                await self._pump_until_told(consumer)
                async with self._turning:
                    units = list(self.units.values())
                    await self._let_go(units, self._drain_s)
                    self.last_accounts = {
                        name: account for unit in units for name, account in unit.bus.accounts().items()
                    }
        finally:
            await consumer.stop()

    async def _pump_until_told(self, consumer: AIOKafkaConsumer) -> None:
        """Pump until told to stop, also while the group gives us nothing and the consumer waits for it."""
        pump = asyncio.create_task(self._pump(consumer), name="pump")
        told = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([pump, told], return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            pump.cancel()
            (ended,) = await asyncio.gather(pump, return_exceptions=True)
        if (failure := self._failure) is not None:
            raise failure
        if isinstance(ended, Exception):
            raise ended

    async def _pump(self, consumer: AIOKafkaConsumer) -> None:
        """Hand messages to their partitions."""
        while True:
            # aiokafka gives nothing while partitions are given out anew, and nothing of before after it.
            found = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_MESSAGES)
            self._seen_at = asyncio.get_running_loop().time()
            for partition, records in found.items():
                self._hand_out(partition, records)
            self._regulate(consumer)

    def _hand_out(self, partition: TopicPartition, records: list[ConsumerRecord]) -> None:
        unit = self.units.get(partition.partition)
        if unit is None:
            self._early.setdefault(partition, []).extend(records)
            return
        source = self._sources[partition.topic]
        for record in records:
            unit.bus.push(source, record.offset, record.value, record.headers, record.timestamp)

    def _regulate(self, consumer: AIOKafkaConsumer) -> None:
        """Pause and resume, and tell partitions how far their topics go."""
        assigned, paused = consumer.assignment(), consumer.paused()
        for number, unit in list(self.units.items()):
            for source, topic in self._topics.items():
                partition = TopicPartition(topic, number)
                if partition not in assigned:
                    continue
                if (end := consumer.highwater(partition)) is not None:
                    unit.bus.hear_end(source, end)
                if partition in paused:
                    if unit.bus.has_room(source):
                        consumer.resume(partition)
                elif unit.bus.is_full(source):
                    consumer.pause(partition)
            if unit.bus.is_lost and not unit.task.done():
                unit.task.cancel()
        self.paused = len(consumer.paused())

    async def revoked(self) -> None:
        """Let everything go; the group gives it out anew."""
        async with self._turning:
            self._early.clear()
            await self._let_go(list(self.units.values()), _FINISH_SHARE * self._kafka.rebalance_timeout_s)

    async def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """Begin with what was given to us, from what is committed."""
        async with self._turning:
            consumer, engines = self._consumer, self._engines
            if consumer is None or engines is None or self._stopping.is_set():
                return
            self.rebalances += 1
            self._seen_at = asyncio.get_running_loop().time()
            found = await read_topics(
                consumer, [(self._sources[partition.topic], partition) for partition in partitions]
            )
            numbers = sorted({partition.partition for partition in found})
            for number in numbers:
                topics, ends = {}, {}
                for source, topic in self._topics.items():
                    topics[source], ends[source] = found[TopicPartition(topic, number)]
                bus = PartitionBus(number, topics, ends, self._commit, self._kafka.queue_bytes)
                engine = self._make_engine(bus, len(numbers))
                task = engines.create_task(_run(engine, bus), name=f"partition-{number}")
                self.units[number] = Unit(bus, engine, task)
            for partition, records in self._early.items():
                if partition.partition in self.units:
                    self._hand_out(partition, records)
            self._early.clear()
            _log.info("%d partitions are ours: %s", len(numbers), numbers)

    async def _let_go(self, units: list[Unit], within_s: float) -> None:
        """Let engines finish what they are about, then stop them."""
        for unit in units:
            unit.bus.close()
            unit.engine.drain(flush=False)
            if unit.bus.is_lost:
                unit.task.cancel()
        tasks = [unit.task for unit in units]
        if tasks:
            slow = await self._wait(tasks, within_s)
            for unit in units:
                if unit.task in slow:
                    unit.bus.lose("it did not finish in time")
                    unit.task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.units.clear()

    async def _wait(self, tasks: list[asyncio.Task[None]], within_s: float) -> set[asyncio.Task[None]]:
        """Wait for engines, in touch with the group meanwhile; gives those that are not done."""
        loop, slow = asyncio.get_running_loop(), set(tasks)
        deadline = loop.time() + within_s
        while slow and (left_s := deadline - loop.time()) > 0:
            _, slow = await asyncio.wait(slow, timeout=min(left_s, 0.5))
            self._seen_at = loop.time()
        return slow

    async def produce(self, source: Source, partition: int, slices: Sequence[Slice]) -> None:
        """Put copies into a partition; on return the replicas have them.

        Raises:
            StoreUnavailable: It may pass later.
        """
        if self._producer is None:
            raise StoreUnavailable("the producer has not started")
        value, headers = pack(source, slices, rekeyed=True)
        try:
            await self._producer.send_and_wait(
                self._topics[source], value, partition=partition, headers=headers
            )
        except KafkaError as error:
            raise StoreUnavailable(f"no broker took copies under other keys: {error}") from error

    async def _commit(self, commits: list[Commit]) -> None:
        consumer = self._consumer
        if consumer is None:
            return
        await consumer.commit(
            {
                TopicPartition(self._topics[commit.source], commit.partition): (commit.offset, commit.text)
                for commit in commits
            }
        )

    def fail(self, error: BaseException) -> None:
        """Take note of what ends this process."""
        self._failure = error
        self._stopping.set()


async def _run(engine: Runs, bus: PartitionBus) -> None:
    """Run an engine; what stops it on a partition that has gone is no failure."""
    try:
        await engine.run()
    except Exception:
        if not bus.is_lost:
            raise
        _log.info("partition %d: forgot what was not committed", bus.number)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """Hands the group's turns on; aiokafka swallows what a listener raises, so it is kept."""

    def __init__(self, group: JoinGroup) -> None:
        self._group = group

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Everything goes, at each rebalance."""
        del revoked
        try:
            await self._group.revoked()
        except Exception as error:
            self._group.fail(error)
            raise

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Begin with what we have now."""
        try:
            await self._group.assigned(assigned)
        except KafkaError as error:
            _log.error("could not begin with the partitions given: %s", error)
            self._group.fail(error)
        except Exception as error:
            self._group.fail(error)
            raise
