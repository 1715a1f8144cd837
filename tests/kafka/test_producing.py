"""What a producer does while brokers are frozen, killed or refuse: with `idempotent`, each record lies there once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from pipeline.bus.kafka.ingest import IngestBus
from pipeline.bus.kafka.keys import Keyer
from pipeline.bus.kafka.packing import unpack
from pipeline.bus.kafka.producing import open_producer
from pipeline.bus.kafka.topics import apply
from pipeline.config import BusConfig, KafkaConfig
from pipeline.errors import ConfigError
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.redact import Redactor
from pipeline.model import Delivery, Source

PATIENCE_S = 60.0


def config_of(servers: str, *, idempotent: bool, **more: Any) -> BusConfig:
    name = uuid.uuid4().hex
    kafka = KafkaConfig(
        edge_topic=f"e.{name}", gateway_topic=f"g.{name}", group=name, partitions=2, replication=1, min_insync=1,
        idempotent=idempotent, delivery_timeout_s=1, **more,
    )  # fmt: skip
    return BusConfig(dsn=f"kafka://{servers}", kafka=kafka)


@contextlib.asynccontextmanager
async def opened(config: BusConfig) -> AsyncIterator[IngestBus]:
    redactor = Redactor(b"a key for tests, sixteen or more")
    make = lambda: Keyer(HaproxyParser(redactor=redactor), redactor)  # noqa: E731 -- used once
    async with open_producer(config) as producer, IngestBus(producer, config.kafka, make, 30.0) as bus:
        yield bus


async def lying_there(config: BusConfig) -> Counter[bytes]:
    """Count the records on the edge topic."""
    partitions = [TopicPartition(config.kafka.edge_topic, number) for number in range(2)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=list(config.servers), enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    found: Counter[bytes] = Counter()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    for piece in unpack(record.value, record.headers, record.timestamp).slices:
                        found.update(piece.bodies)
    finally:
        await consumer.stop()
    return found


async def emptied(bus: IngestBus) -> None:
    """Wait until brokers have all that was given."""
    async with asyncio.timeout(PATIENCE_S):
        while sum(bus.account().pending.values()):  # noqa: ASYNC110 -- a number, and nobody tells when it changes
            await asyncio.sleep(0.05)  # between two looks


async def produced_through_faults(cluster: Any, config: BusConfig) -> list[bytes]:
    """Give records while the only broker is frozen for longer than a delivery may take, and killed; gives all given."""
    node, given = cluster.nodes[0], list[bytes]()

    def give(count: int) -> None:
        for _ in range(count):
            given.append(b"line %d" % len(given))
            bus.append_nowait(Delivery(Source.HAPROXY, [given[-1]], 1, ""))

    async with opened(config) as bus:
        give(500)
        await emptied(bus)
        node.signal(signal.SIGSTOP)
        give(500)
        await asyncio.sleep(
            1.6
        )  # the fault itself: the first request is given up, and what was sent lies in a socket
        node.signal(signal.SIGCONT)
        await emptied(bus)
        giving = asyncio.create_task(_keep_giving(give))
        await asyncio.sleep(0)
        await asyncio.to_thread(node.kill)
        await asyncio.to_thread(node.start)
        await asyncio.to_thread(node.wait)
        await giving
        await emptied(bus)
    return given


async def _keep_giving(give: Callable[[int], None]) -> None:
    for _ in range(40):
        give(20)
        await asyncio.sleep(0.02)  # a steady stream, which the kill falls into


@pytest.mark.jvm
async def test_an_idempotent_producer_doubles_nothing_while_the_broker_freezes_and_is_killed(
    tmp_path: Path, classpath: str, start_cluster: Callable[..., Any]
) -> None:
    """The same without it doubles records, which the account then says: so the fault is one that matters."""
    cluster = await asyncio.to_thread(start_cluster, tmp_path, classpath)
    config = config_of(cluster.servers, idempotent=True)
    await apply(config)
    given = await produced_through_faults(cluster, config)
    assert await lying_there(config) == Counter(given)
    without = config_of(cluster.servers, idempotent=False)
    await apply(without)
    given = await produced_through_faults(cluster, without)
    found = await lying_there(without)
    assert set(found) == set(given)
    assert found.total() > len(given)


@pytest.mark.jvm
async def test_a_refusal_for_good_stops_an_idempotent_producer_for_no_longer_than_it_lasts(
    broker: Any,
) -> None:
    """Brokers take nothing more of a producer that left a hole in its numbers: another takes its place."""
    config = config_of(broker.servers, idempotent=True)
    await apply(config)
    await _limit(config, 20_000)
    async with open_producer(config) as producer:

        async def send(size: int) -> None:
            sent = await producer.send(config.kafka.edge_topic, os.urandom(size), partition=0, headers=[])
            await sent

        await send(160)
        with pytest.raises(MessageSizeTooLargeError):
            await send(160_000)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    await send(160)
                    break
                except KafkaError:
                    await asyncio.sleep(0.05)  # between two tries


async def _limit(config: BusConfig, size: int) -> None:
    """Let the edge topic take no message above a size."""
    admin = AIOKafkaAdminClient(bootstrap_servers=list(config.servers))
    await admin.start()
    try:
        resource = ConfigResource(
            ConfigResourceType.TOPIC, config.kafka.edge_topic, configs={"max.message.bytes": str(size)}
        )
        await admin.alter_configs([resource])
    finally:
        await admin.close()


async def test_a_broker_that_knows_no_idempotent_producer_is_told_with_the_setting(
    tmp_path: Path, start_tansu: Callable[..., Any]
) -> None:
    config = config_of(start_tansu(tmp_path).servers, idempotent=True)
    await apply(config)
    with pytest.raises(ConfigError, match=r"bus\.kafka\.idempotent"):
        async with opened(config):
            pass
