"""Both sides of the bus on a real broker: what sources give is what an engine reads."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline.bus.kafka.front import is_read_up_to
from pipeline.bus.kafka.ingest import IngestBus
from pipeline.bus.kafka.keys import Keyer
from pipeline.bus.kafka.partition import Commit, PartitionBus
from pipeline.bus.kafka.positions import unpack
from pipeline.bus.kafka.producing import open_producer
from pipeline.bus.kafka.reading import read_topics
from pipeline.bus.kafka.standing import read_standing
from pipeline.bus.kafka.topics import apply
from pipeline.config import BusConfig, KafkaConfig
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.redact import Redactor
from pipeline.model import Delivery, Outcome, OutcomeKind, Source

_SPEC = importlib.util.spec_from_file_location(
    "bus_contract", Path(__file__).parents[1] / "contracts" / "test_bus.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
contract = importlib.util.module_from_spec(_SPEC)
sys.modules["bus_contract"] = contract
_SPEC.loader.exec_module(contract)

# The rest of the suite is of buses that number records without gaps, refuse a commit that does not add up, and
# have a cap in bytes: none of these is Kafka's.
test_reading_an_empty_bus_gives_nothing = contract.test_reading_an_empty_bus_gives_nothing
test_a_waiting_reader_is_woken_by_an_append = contract.test_a_waiting_reader_is_woken_by_an_append
test_a_cancelled_read_loses_nothing = contract.test_a_cancelled_read_loses_nothing

PATIENCE_S = 30.0
STORED = {source: Outcome(source, OutcomeKind.STORED) for source in Source}
SOURCES = tuple(Source)


class Both:
    """Both sides of one partition."""

    def __init__(self, inlet: IngestBus, outlet: PartitionBus) -> None:
        self.inlet = inlet
        self.outlet = outlet
        self.append = inlet.append
        self.append_nowait = inlet.append_nowait
        self.count_drop = inlet.count_drop
        self.read = outlet.read
        self.commit = outlet.commit


def config_of(servers: str, *, idempotent: bool = False) -> BusConfig:
    name = uuid.uuid4().hex
    kafka = KafkaConfig(
        edge_topic=f"e.{name}", gateway_topic=f"g.{name}", group=name,
        partitions=1, replication=1, min_insync=1, idempotent=idempotent,
    )  # fmt: skip
    return BusConfig(dsn=f"kafka://{servers}", kafka=kafka)


@asynccontextmanager
async def opened(config: BusConfig) -> AsyncIterator[Both]:
    """Open both sides; the reader has its partition without a group's turns."""
    kafka = config.kafka
    topics = dict(zip(SOURCES, (kafka.edge_topic, kafka.gateway_topic), strict=True))
    partitions = {TopicPartition(topic, 0): source for source, topic in topics.items()}
    redactor = Redactor(b"a key for tests, sixteen or more")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=list(config.servers), group_id=kafka.group, enable_auto_commit=False,
        auto_offset_reset="earliest",
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        producer = await stack.enter_async_context(open_producer(config))
        make = lambda: Keyer(HaproxyParser(redactor=redactor), redactor)  # noqa: E731 -- used once
        inlet = await stack.enter_async_context(IngestBus(producer, kafka, make, 5.0))
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        consumer.assign(list(partitions))
        found = await read_topics(consumer, [(source, tp) for tp, source in partitions.items()])

        async def commit(commits: list[Commit]) -> None:
            await consumer.commit(
                {TopicPartition(topics[each.source], 0): (each.offset, each.text) for each in commits}
            )

        outlet = PartitionBus(
            0,
            {source: found[tp][0] for tp, source in partitions.items()},
            {source: found[tp][1] for tp, source in partitions.items()},
            commit,
            2**20,
        )

        async def pump() -> None:
            while True:
                for tp, records in (await consumer.getmany(timeout_ms=20)).items():
                    for record in records:
                        outlet.push(
                            partitions[tp], record.offset, record.value, record.headers, record.timestamp
                        )
                for tp, source in partitions.items():
                    if (end := consumer.highwater(tp)) is not None:
                        outlet.merging.hear_end(source, end)

        pumping = asyncio.create_task(pump())
        try:
            yield Both(inlet, outlet)
        finally:
            pumping.cancel()
            await asyncio.gather(pumping, return_exceptions=True)


@pytest.fixture
async def config(broker: Any) -> BusConfig:
    config = config_of(broker.servers)
    await apply(config)
    return config


@pytest.fixture
async def bus(config: BusConfig) -> AsyncIterator[Both]:
    async with opened(config) as both:
        yield both


async def read_all(both: Both, records: int) -> list[Delivery]:
    found: list[Delivery] = []
    async with asyncio.timeout(PATIENCE_S):
        while sum(len(each.bodies) for each in found) < records:
            found += await both.read(1000, 1.0)
    return found


def finish(both: Both, found: list[Delivery]) -> None:
    for each in found:
        both.outlet.offsets.done(each.offset, STORED[each.source])
    both.outlet.offsets.advance()


async def test_what_is_appended_is_read_as_it_came(bus: Both) -> None:
    given = [
        Delivery(Source.HAPROXY, [b"a", b"", b"\xff\x00"], 1_700_000_000_123_456_789, "192.0.2.1"),
        Delivery(Source.KONG, [b"x" * 100_000], 2, "2001:db8::1"),
        Delivery(Source.HAPROXY, [b"y" * 3_000_000] * 3, 3, ""),
    ]
    for delivery in given:
        await bus.append(delivery)
    found = await read_all(bus, 7)
    for delivery in given:
        mine = [each for each in found if each.peer == delivery.peer]
        assert [body for each in mine for body in each.bodies] == delivery.bodies
        assert {(each.source, each.arrival_ns) for each in mine} == {(delivery.source, delivery.arrival_ns)}
    numbers = [each.offset + nth for each in found for nth in range(len(each.bodies))]
    assert len(set(numbers)) == 7
    assert all(unpack(each.offset).source is each.source for each in found)


@pytest.mark.jvm  # Tansu does not keep the text beside an offset
async def test_another_reader_gives_what_is_not_committed_the_same_numbers(config: BusConfig) -> None:
    async with opened(config) as first:
        for body in (b"a", b"b", b"c"):
            await first.append(Delivery(Source.HAPROXY, [body], 1, ""))
        before = {each.bodies[0]: each.offset for each in await read_all(first, 3)}
        for body in (b"a", b"c"):
            first.outlet.offsets.done(before[body], STORED[Source.HAPROXY])
        first.outlet.offsets.advance()
        await first.outlet.commit(0, {})
        assert first.outlet.account().pending[Source.HAPROXY] == 2
    async with opened(config) as second:
        again = await read_all(second, 2)
        assert {each.bodies[0]: each.offset for each in again} == {
            body: before[body] for body in (b"b", b"c")
        }
        assert second.outlet.account().outcomes == {STORED[Source.HAPROXY]: 1}
        finish(second, again)
        await second.outlet.commit(0, {})
    standing = await read_standing(config)
    assert standing.account.outcomes == {STORED[Source.HAPROXY]: 3}
    assert standing.lag == {Source.HAPROXY: [0], Source.KONG: [0]}


async def test_both_topics_are_merged_by_arrival_however_they_are_fetched(config: BusConfig) -> None:
    async with opened(config) as writer:
        for number in range(60):
            await writer.append(Delivery(SOURCES[number % 2], [b"%d" % number], number, ""))
    async with opened(config) as reader:
        found = await read_all(reader, 60)
    assert [each.arrival_ns for each in found] == sorted(each.arrival_ns for each in found)


@pytest.mark.jvm  # Tansu does not keep the text beside an offset
async def test_drops_lie_on_the_bus_and_are_committed_although_nothing_else_is(config: BusConfig) -> None:
    async with opened(config) as bus:
        bus.count_drop(Source.HAPROXY, "kernel_buffer", 5)
        bus.count_drop(Source.HAPROXY, "kernel_buffer", 2)
        async with asyncio.timeout(PATIENCE_S):
            while not (outcomes := bus.outlet.account().outcomes):
                assert await bus.read(10, 0.2) == []
    assert outcomes == {Outcome(Source.HAPROXY, OutcomeKind.DROPPED, "kernel_buffer"): 7}
    assert (await read_standing(config)).account.outcomes == outcomes


async def test_what_a_closed_partition_holds_is_neither_read_nor_lost(config: BusConfig) -> None:
    async with opened(config) as bus:
        await bus.append(Delivery(Source.KONG, [b"a"], 1, ""))
        reading = asyncio.create_task(bus.read(10, PATIENCE_S))
        await asyncio.sleep(0)
        bus.outlet.close()
        assert [body for each in await reading for body in each.bodies] in ([], [b"a"])
        assert await bus.read(10, PATIENCE_S) == []
    async with opened(config) as bus:
        assert [each.bodies for each in await read_all(bus, 1)] == [[b"a"]]


@pytest.mark.jvm  # Tansu does not list offsets by time
async def test_the_group_has_read_up_to_a_time_once_what_was_written_before_is_committed(
    config: BusConfig,
) -> None:
    async with opened(config) as bus:
        before_s = time.time() - 1
        await bus.append(Delivery(Source.HAPROXY, [b"a"], 1, ""))
        found = await read_all(bus, 1)
        assert await is_read_up_to(config, before_s)
        assert not await is_read_up_to(config, time.time() + 60)
        finish(bus, found)
        await bus.outlet.commit(0, {})
        assert await is_read_up_to(config, time.time() + 60)


@pytest.mark.jvm
async def test_an_idempotent_producer_keeps_records_too(broker: Any) -> None:
    config = config_of(broker.servers, idempotent=True)
    await apply(config)
    async with opened(config) as bus:
        await bus.append(Delivery(Source.KONG, [b"a", b"b"], 1, ""))
        assert [body for each in await read_all(bus, 2) for body in each.bodies] == [b"a", b"b"]
