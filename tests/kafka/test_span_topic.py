"""Both ends of the span topic on a real broker: what goes in comes out, is accounted, and holds nobody up."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from pipeline.bus.kafka.connection import reach
from pipeline.bus.kafka.span_producing import SpanTopic, make_span_producer
from pipeline.bus.kafka.span_reading import SpanReader
from pipeline.bus.kafka.span_standing import make_span_consumer, read_span_standing
from pipeline.bus.kafka.topics import apply, count_partitions
from pipeline.clock import ManualClock
from pipeline.config import BusConfig
from pipeline.spans import Frame
from pipeline.spans.waiting import DROPPED, SENT, Stored

pytestmark = pytest.mark.jvm  # the account is the text beside the offset, which Tansu does not keep

Open = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture
def bus(broker: Any) -> BusConfig:
    """Give the settings of a cluster with topics and a group of their own; none is made yet."""
    name = uuid.uuid4().hex[:12]
    kafka = {
        "edge_topic": f"edge.{name}", "gateway_topic": f"gateway.{name}", "spans_topic": f"spans.{name}",
        "group": f"join.{name}", "partitions": 3, "replication": 1, "min_insync": 1,
        "session_timeout_s": 3, "rebalance_timeout_s": 6, "delivery_timeout_s": 1,
    }  # fmt: skip
    return BusConfig.model_validate({"dsn": f"kafka://{broker.servers}", "kafka": kafka})


@asynccontextmanager
async def topic_of(bus: BusConfig) -> AsyncIterator[SpanTopic]:
    producer = make_span_producer(bus)
    await reach(producer, bus)
    try:
        async with SpanTopic(producer, bus, 2**26) as topic:
            yield topic
    finally:
        await producer.stop()


@asynccontextmanager
async def reader_of(bus: BusConfig, clock: ManualClock | None = None) -> AsyncIterator[SpanReader]:
    consumer = make_span_consumer(bus)
    await reach(consumer, bus)
    try:
        async with SpanReader(consumer, bus, clock or ManualClock(time.time_ns())) as reader:
            yield reader
    finally:
        await consumer.stop()


async def next_of(reader: SpanReader) -> Stored:
    """Wait for what is to be sent next, as the thread that sends does."""
    async with asyncio.timeout(30):
        while (stored := await asyncio.to_thread(reader.first, 5.0)) is None:
            pass
    return stored


async def all_of(reader: SpanReader, spans: int) -> list[bytes]:
    """Send until so many spans are sent; gives the bodies."""
    bodies = []
    while spans > 0:
        stored = await next_of(reader)
        bodies.append(stored.frame.body)
        spans -= stored.frame.spans
        await asyncio.to_thread(reader.done, stored, {(SENT, ""): stored.frame.spans})
    assert spans == 0
    return bodies


async def test_what_is_put_in_comes_out_once_and_the_account_says_so(bus: BusConfig) -> None:
    await apply(bus, spans=True)
    async with topic_of(bus) as topic:
        frames = [Frame(b"<%03d>" % number, number) for number in range(1, 41)]
        assert await topic.put(frames)
        await topic.drop("internal_error", 7)
    async with reader_of(bus) as reader:
        bodies = await all_of(reader, sum(frame.spans for frame in frames))
        found = b"".join(bodies)
        assert sorted(found[at : at + 5] for at in range(0, len(found), 5)) == [one.body for one in frames]
        async with asyncio.timeout(30):
            while reader.account().received < 820 + 7:
                assert await asyncio.to_thread(reader.first, 0.1) is None
        assert reader.account().fates == {(SENT, ""): 820, (DROPPED, "internal_error"): 7}
        assert reader.lag == 0
        assert sum(one.received for one in reader.books().values()) == 827
    standing = await read_span_standing(bus)
    assert standing is not None
    assert (standing.account.received, standing.lag, standing.gone) == (827, 0, 0)


async def test_what_was_given_out_and_not_answered_for_is_given_to_the_next(bus: BusConfig) -> None:
    """The first stands for a process that is killed while it sends."""
    await apply(bus, spans=True)
    async with topic_of(bus) as topic:
        assert await topic.put([Frame(b"one", 1)])
    async with reader_of(bus) as first:
        assert (await next_of(first)).frame == Frame(b"one", 1)
        assert (await next_of(first)).frame == Frame(b"one", 1)
    async with reader_of(bus) as second:
        assert await all_of(second, 1) == [b"one"]
        assert second.account().fates == {(SENT, ""): 1}
        standing = await read_span_standing(bus)  # committed with the answer, not at the end
        assert standing is not None
        assert (standing.account.fates, standing.lag) == ({(SENT, ""): 1}, 0)
    async with reader_of(bus) as third:
        assert await asyncio.to_thread(third.first, 3.0) is None
        assert third.account().fates == {(SENT, ""): 1}


async def test_an_answer_for_a_partition_that_has_gone_is_the_others_to_count(bus: BusConfig) -> None:
    await apply(bus, spans=True)
    async with topic_of(bus) as topic:
        assert await topic.put([Frame(b"one", 1)])
    async with reader_of(bus) as slow:
        stored = await next_of(slow)
        async with reader_of(bus) as quick:
            async with asyncio.timeout(30):
                while slow.account().queued:
                    await asyncio.to_thread(quick.first, 0.1)
            await asyncio.to_thread(slow.done, stored, {(SENT, ""): 1})
            assert slow.account().received == 0
        assert await all_of(slow, 1) == [b"one"]
    standing = await read_span_standing(bus)
    assert standing is not None
    assert standing.account.fates == {(SENT, ""): 1}


async def test_spans_that_no_receiver_took_in_time_are_dropped_and_counted(bus: BusConfig) -> None:
    await apply(bus, spans=True)
    clock = ManualClock(time.time_ns())
    async with topic_of(bus) as topic, reader_of(bus, clock) as reader:
        assert await topic.put([Frame(b"old", 3)])
        assert (await next_of(reader)).frame == Frame(b"old", 3)
        clock.turn_to(clock.now_ns() + int(bus.kafka.spans_retention_h * 3600 * 10**9))
        assert await asyncio.to_thread(reader.first, 0.0) is None
        assert reader.account().fates == {(DROPPED, "too_old"): 3}
    standing = await read_span_standing(bus)
    assert standing is not None
    assert standing.account.fates == {(DROPPED, "too_old"): 3}


async def test_messages_that_are_not_ours_are_passed_by(bus: BusConfig) -> None:
    await apply(bus, spans=True)
    producer = make_span_producer(bus)
    await reach(producer, bus)
    for partition in range(3):
        await producer.send_and_wait(bus.kafka.spans_topic, b"who knows", partition=partition)
    await producer.stop()
    async with topic_of(bus) as topic, reader_of(bus) as reader:
        assert await topic.put([Frame(b"one", 1)] * 9)
        assert len(b"".join(await all_of(reader, 9))) == 27
        async with asyncio.timeout(30):
            while reader.lag:
                await asyncio.to_thread(reader.first, 0.1)
        assert reader.account().fates == {(SENT, ""): 9}


async def test_a_topic_that_takes_nothing_drops_spans_soon_and_then_at_once(bus: BusConfig) -> None:
    """There is none: the producer waits for it, and gives up."""
    async with topic_of(bus) as topic:
        loop = asyncio.get_running_loop()
        assert topic.room > 0
        assert not await topic.put([Frame(b"one", 5)])
        assert topic.room == 0
        began = loop.time()
        assert not await topic.put([Frame(b"two", 6)] * 10)
        assert loop.time() - began < bus.kafka.delivery_timeout_s
        assert topic.uncounted == {"broker_error": 65}


async def test_a_request_whose_spans_fit_into_no_message_is_dropped_alone(bus: BusConfig) -> None:
    await apply(bus, spans=True)
    small = bus.model_copy(update={"kafka": bus.kafka.model_copy(update={"message_bytes": 65_536})})
    async with topic_of(small) as topic, reader_of(bus) as reader:
        assert topic.most_bytes < 65_536
        assert not await topic.put([Frame(b"x" * 70_000, 5), Frame(b"one", 1)])
        assert await all_of(reader, 1) == [b"one"]
        async with asyncio.timeout(30):
            while (DROPPED, "too_large") not in reader.account().fates:
                await asyncio.to_thread(reader.first, 0.1)
        assert reader.account().fates == {(SENT, ""): 1, (DROPPED, "too_large"): 5}


async def test_a_topic_that_takes_no_large_message_drops_that_one_alone(bus: BusConfig) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bus.dsn.removeprefix("kafka://"))
    await admin.start()
    topic_settings = {"max.message.bytes": "2000"}
    await admin.create_topics([NewTopic(bus.kafka.spans_topic, 1, 1, topic_configs=topic_settings)])
    await admin.close()
    async with topic_of(bus) as topic, reader_of(bus) as reader:
        assert not await topic.put([Frame(random.Random(1).randbytes(4000), 5)])
        assert await topic.put([Frame(b"one", 1)])
        assert await all_of(reader, 1) == [b"one"]
        async with asyncio.timeout(30):
            while (DROPPED, "too_large") not in reader.account().fates:
                await asyncio.to_thread(reader.first, 0.1)
        assert reader.account().fates == {(SENT, ""): 1, (DROPPED, "too_large"): 5}


async def test_partitions_that_are_added_later_are_read_too(bus: BusConfig) -> None:
    await apply(bus, spans=True)
    admin = AIOKafkaAdminClient(bootstrap_servers=bus.dsn.removeprefix("kafka://"))
    await admin.start()
    await admin.create_partitions({bus.kafka.spans_topic: NewPartitions(6)})
    await admin.close()
    async with asyncio.timeout(30):
        while await count_partitions(bus, bus.kafka.spans_topic) < 6:
            pass
    async with topic_of(bus) as topic, reader_of(bus) as reader:
        assert await topic.put([Frame(b"one", 1)] * 60)
        await all_of(reader, 60)
        assert len(reader.books()) == 6
