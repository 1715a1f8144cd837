"""I/O: the producer of ours: every replica must have a record before it counts as kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from pipeline.bus.kafka.connection import client_settings, reach
from pipeline.bus.kafka.packing import Slice, pack
from pipeline.config import BusConfig
from pipeline.errors import StoreUnavailable
from pipeline.model import Source

_BATCH_BYTES = 2**20


@asynccontextmanager
async def open_producer(bus: BusConfig) -> AsyncIterator[AIOKafkaProducer]:
    """Open a producer; on leaving it hands on what it holds.

    Raises:
        ConfigError: No broker answers, or it does not let us in.
    """
    kafka = bus.kafka
    producer = AIOKafkaProducer(
        **client_settings(bus, "ingest"),
        acks="all",
        compression_type="zstd",  # the one that costs little here: lz4 is 5 times dearer in aiokafka
        enable_idempotence=kafka.idempotent,
        max_batch_size=_BATCH_BYTES,
        max_request_size=kafka.message_bytes,
        request_timeout_ms=int(kafka.delivery_timeout_s * 1000),
        linger_ms=0,  # records have lingered before they were packed
    )
    try:
        await reach(producer.start(), bus)
        yield producer
    finally:
        await producer.stop()


async def send_copies(
    producer: AIOKafkaProducer, topic: str, source: Source, partition: int, slices: Sequence[Slice]
) -> None:
    """Put copies under another key into a partition; on return the replicas have them.

    Raises:
        StoreUnavailable: It may pass later.
    """
    value, headers = pack(source, slices, rekeyed=True)
    try:
        await producer.send_and_wait(topic, value, partition=partition, headers=headers)
    except KafkaError as error:
        raise StoreUnavailable(f"no broker took copies under other keys: {error}") from error
