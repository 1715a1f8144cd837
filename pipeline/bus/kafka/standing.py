"""I/O: how a group stands: its account over all processes, and how far behind it is."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.bus.kafka.connection import client_settings, reach
from pipeline.bus.kafka.reading import read_topics
from pipeline.bus.kafka.refusals import explain
from pipeline.config import BusConfig
from pipeline.contracts import Account
from pipeline.errors import ConfigError
from pipeline.model import Outcome, Source


class Standing(NamedTuple):
    """What is committed, and what lies behind it."""

    account: Account
    """Of all processes, as of the last commit of each partition."""
    lag: dict[Source, list[int]]
    """Messages not committed, by the partition's number."""


async def read_standing(bus: BusConfig) -> Standing:
    """Ask the brokers; joins no group and commits nothing.

    `pending` counts nothing here: what lies behind a commit is known in messages, not in records.

    Raises:
        ConfigError: No broker answers, or it does not let us look.
    """
    kafka = bus.kafka
    sources = {kafka.edge_topic: Source.HAPROXY, kafka.gateway_topic: Source.KONG}
    consumer = AIOKafkaConsumer(
        **client_settings(bus, "admin"), group_id=kafka.group, enable_auto_commit=False
    )
    try:
        await reach(consumer, bus)
        wanted = [
            (source, TopicPartition(topic, number))
            for topic, source in sources.items()
            for number in range(kafka.partitions)
        ]
        found = await read_topics(consumer, wanted)
    except KafkaError as error:
        raise ConfigError(
            f"bus.kafka.group: cannot look at {kafka.group}: {explain(error, bus.kafka, 'Describe')}"
        ) from error
    finally:
        await consumer.stop()
    outcomes: Counter[Outcome] = Counter()
    gone: Counter[Source] = Counter(dict.fromkeys(Source, 0))
    lag = {source: [0] * kafka.partitions for source in Source}
    for partition, (topic, end) in found.items():
        source = sources[partition.topic]
        outcomes.update(topic.counts)
        gone[source] += topic.gone
        lag[source][partition.partition] = end - topic.next
    return Standing(Account(dict(outcomes), dict.fromkeys(Source, 0), gone=dict(gone)), lag)
