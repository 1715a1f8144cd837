"""I/O: one process's part of the consumer group: partitions come, are read by an engine each, and go.

Back pressure: that of `pump`. When partitions are to go, each engine has most of `rebalance_timeout_s` to store and
commit what it is about; then it is stopped where it is.

Delivery: finish or forget. What was committed before a partition goes is done; all else is read again by whoever
has it next, from the committed offset, and the store knows its rows again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.bus.kafka.connection import reach
from pipeline.bus.kafka.packing import Slice
from pipeline.bus.kafka.partition import Commit, PartitionBus
from pipeline.bus.kafka.producing import Producer, open_producer, send_copies
from pipeline.bus.kafka.pump import Pump
from pipeline.bus.kafka.reading import make_consumer, read_topics
from pipeline.bus.kafka.refusals import explain
from pipeline.bus.kafka.turns import Turns
from pipeline.bus.kafka.units import MakeEngine, Unit, end_units, start_unit
from pipeline.config import BusConfig
from pipeline.contracts import Account
from pipeline.errors import PipelineError, StoreUnavailable
from pipeline.model import Source

_log = logging.getLogger(__name__)

_FINISH_SHARE = 0.7
"""Share of `rebalance_timeout_s` that engines may take to finish."""


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
        self._pump = Pump(self._sources, self.units)
        self._turning = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._failure: BaseException | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._engines: asyncio.TaskGroup | None = None
        self._producer: Producer | None = None

    @property
    def name(self) -> str:
        """The group's name with the topics' it is the account of."""
        return f"kafka-{self._kafka.group}"

    @property
    def paused(self) -> int:
        """Partitions of topics that are paused now."""
        return self._pump.paused

    def drain(self, *, flush: bool) -> None:
        """Ask for an end: engines store what they are about, and the rest stays on the topics."""
        del flush  # other processes have the other halves: windows stay open
        self._stopping.set()

    def lost_touch(self) -> str:
        """Say that this process stood still for longer than the group waits; empty where it did not."""
        still_s = self._pump.still_s
        if still_s > self._kafka.session_timeout_s:
            return f"this process stood still for {still_s:.0f} s"
        return ""

    async def run(self) -> None:
        """Read until drained.

        Raises:
            ConfigError: No broker answers at the start.
            PipelineError: The group or a topic refuses us for good, or a topic begins anew; says what mends it.
        """
        try:
            await self._read_until_drained()
        except* (KafkaError, PipelineError) as found:
            self._failure = self._failure or _first_of(found)
        failure = self._failure
        if isinstance(failure, KafkaError):
            raise PipelineError(explain(failure, self._kafka)) from failure
        if failure is not None:
            raise failure

    async def _read_until_drained(self) -> None:
        consumer = make_consumer(self._config, self._kafka.group, self._kafka.instance_id)
        self._consumer = consumer
        self._pump.touch()
        try:
            await reach(consumer, self._config)
            async with open_producer(self._config) as self._producer, asyncio.TaskGroup() as engines:
                self._engines = engines
                consumer.subscribe(list(self._sources), listener=Turns(self))
                await self._pump_until_told(consumer)
                async with self._turning:
                    units = list(self.units.values())
                    await self._let_go(self._drain_s)
                    self.last_accounts = {
                        name: account for unit in units for name, account in unit.bus.accounts().items()
                    }
        finally:
            await consumer.stop()

    async def _pump_until_told(self, consumer: AIOKafkaConsumer) -> None:
        """Pump until told to stop, also while the group gives us nothing and the consumer waits for it."""
        pump = asyncio.create_task(self._pump.run(consumer), name="pump")
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

    async def revoked(self) -> None:
        """Let everything go; the group gives it out anew."""
        async with self._turning:
            self._pump.forget_early()
            await self._let_go(_FINISH_SHARE * self._kafka.rebalance_timeout_s)

    async def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """Begin with what was given to us, from what is committed."""
        async with self._turning:
            consumer, engines = self._consumer, self._engines
            if consumer is None or engines is None or self._stopping.is_set():
                return
            for topic in self._sources:
                if not consumer.partitions_for_topic(topic):
                    _log.error("there is no topic %s any more: nothing is read until it is made again", topic)
            self.rebalances += 1
            self._pump.touch()
            found = await read_topics(
                consumer, [(self._sources[partition.topic], partition) for partition in partitions]
            )
            numbers = sorted({partition.partition for partition in found})
            for number in numbers:
                topics, ends = {}, {}
                for source, topic in self._topics.items():
                    topics[source], ends[source] = found[TopicPartition(topic, number)]
                bus = PartitionBus(number, topics, ends, self._commit, self._kafka.queue_bytes)
                self.units[number] = start_unit(bus, self._make_engine(bus, len(numbers)), engines)
            self._pump.hand_out_early()
            _log.info("%d partitions are ours: %s", len(numbers), numbers)

    async def _let_go(self, within_s: float) -> None:
        """Let engines finish what they are about, then stop them."""
        await end_units(list(self.units.values()), within_s, self._pump.touch)
        self.units.clear()

    async def produce(self, source: Source, partition: int, slices: Sequence[Slice]) -> None:
        """Put copies into a partition; on return the replicas have them.

        Raises:
            StoreUnavailable: It may pass later.
        """
        if self._producer is None:
            raise StoreUnavailable("the producer has not started")
        await send_copies(self._producer, self._config, source, partition, slices)

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


def _first_of(found: BaseException) -> BaseException:
    """Give the first error of a group of groups."""
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
