"""I/O: the producer of ours: every replica must have a record before it counts as kept.

Delivery: with `idempotent` a message that was sent is sent again until it is kept or refused for good, however long
that takes, and brokers know it again. A refusal leaves a hole in the numbers that they know it by, after which
they take nothing more of this producer: it is replaced by a new one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    UnknownProducerId,
)

from pipeline.bus.kafka.connection import BrokersAway, client_settings, reach
from pipeline.bus.kafka.packing import Slice, pack
from pipeline.bus.kafka.refusals import explain
from pipeline.config import BusConfig
from pipeline.errors import ConfigError, StoreUnavailable
from pipeline.model import Source

_log = logging.getLogger(__name__)

_BATCH_BYTES = 2**20
_STOP_S = 10.0
"""How long a producer may take to hand on what it holds; an idempotent one would wait for brokers for ever."""
_AGAIN_S = 1.0
_OUT_OF_STEP = (OutOfOrderSequenceNumber, InvalidProducerEpoch, ProducerFenced, UnknownProducerId)
"""What brokers say once they take nothing more of a producer."""

Acknowledged = asyncio.Future[object]
"""Has a result once the replicas have a message."""


class Producer:
    """Sends messages; runs between `start` and `stop`."""

    def __init__(self, bus: BusConfig) -> None:
        self._bus = bus
        self._client = make_client(bus)
        self._renewing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect.

        Raises:
            ConfigError: No broker answers, or it does not let us in.
        """
        try:
            await reach(self._client, self._bus)
        except BrokersAway:
            raise
        except ConfigError as error:
            if not self._bus.kafka.idempotent:
                raise
            raise ConfigError(f"{error}; not every broker knows bus.kafka.idempotent") from error

    async def stop(self) -> None:
        """Hand on what is held, for some seconds, and disconnect."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        await _stop(self._client)

    async def send(
        self, topic: str, value: bytes, *, partition: int, headers: Sequence[tuple[str, bytes]]
    ) -> Acknowledged:
        """Send a message; wait for the future to know that the replicas have it.

        Raises:
            KafkaError: It is not sent, and will not be.
            AssertionError: Metadata does not know the partition: the topic was made anew.
        """
        client = self._client
        sent: Acknowledged = await client.send(topic, value, partition=partition, headers=list(headers))
        sent.add_done_callback(lambda done: self._hear(client, done))
        return sent

    def _hear(self, client: AIOKafkaProducer, sent: Acknowledged) -> None:
        """Take note of how a message ended, also where nobody waits any more; the loop would complain of it."""
        error = None if sent.cancelled() else sent.exception()
        if isinstance(error, _OUT_OF_STEP) and client is self._client and self._renewing is None:
            self._renewing = asyncio.create_task(self._renew(), name="new producer")

    async def _renew(self) -> None:
        """Go on with a producer that brokers know nothing of."""
        _log.warning("the brokers take nothing more of this producer; it is replaced")
        while True:
            client = make_client(self._bus)
            try:
                await reach(client, self._bus)
                break
            except ConfigError as error:
                _log.warning("no new producer yet: %s", error)
                await client.stop()
                await asyncio.sleep(_AGAIN_S)
        old, self._client, self._renewing = self._client, client, None
        await _stop(old)


def make_client(bus: BusConfig) -> AIOKafkaProducer:
    """Make a client that has not started."""
    kafka = bus.kafka
    return AIOKafkaProducer(
        **client_settings(bus, "ingest"),
        acks="all",
        compression_type="zstd",  # the one that costs little here: lz4 is 5 times dearer in aiokafka
        enable_idempotence=kafka.idempotent,
        max_batch_size=_BATCH_BYTES,
        max_request_size=kafka.message_bytes,
        request_timeout_ms=int(kafka.delivery_timeout_s * 1000),
        linger_ms=0,  # records have lingered before they were packed
    )


async def _stop(client: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(_STOP_S):
            await client.stop()
    except TimeoutError:
        _log.warning("a producer stopped with messages that no broker took")
        await client._sender.close()  # noqa: SLF001 -- `stop` waits for what it holds before it closes anything
        await client.client.close()


@asynccontextmanager
async def open_producer(bus: BusConfig) -> AsyncIterator[Producer]:
    """Open a producer; on leaving it hands on what it holds.

    Raises:
        ConfigError: No broker answers, or it does not let us in.
    """
    producer = Producer(bus)
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


async def send_copies(
    producer: Producer, bus: BusConfig, source: Source, partition: int, slices: Sequence[Slice]
) -> None:
    """Put copies under another key into a partition; on return the replicas have them.

    Raises:
        StoreUnavailable: It may pass later.
    """
    kafka = bus.kafka
    topic = kafka.edge_topic if source is Source.HAPROXY else kafka.gateway_topic
    value, headers = pack(source, slices, rekeyed=True)
    try:
        await (await producer.send(topic, value, partition=partition, headers=headers))
    except KafkaError as error:
        why = explain(error, kafka, "Write")
        raise StoreUnavailable(f"no broker took copies under other keys: {why}") from error
