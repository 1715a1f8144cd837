"""I/O: the consumer of ours, and what a partition begins with when it is assigned."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline.bus.kafka.assignor import PairAssignor
from pipeline.bus.kafka.connection import client_settings
from pipeline.bus.kafka.ledger import read_kept
from pipeline.bus.kafka.offsets import Topic
from pipeline.config import BusConfig
from pipeline.model import Source

_log = logging.getLogger(__name__)

_FETCH_BYTES = 2**20


def make_consumer(bus: BusConfig, group: str, instance_id: str, *, pairs: bool = True) -> AIOKafkaConsumer:
    """Make a consumer that commits only what it is told to.

    Args:
        bus: Its `dsn` names the brokers.
        group: Its group.
        instance_id: Static membership; empty: none.
        pairs: Whether both topics' partitions of one number go together.

    Raises:
        ConfigError: A file of `bus.kafka.security` cannot be read.
    """
    kafka = bus.kafka
    more = {"partition_assignment_strategy": (PairAssignor,)} if pairs else {}
    return AIOKafkaConsumer(
        **client_settings(bus, "join"),
        **more,
        group_id=group,
        group_instance_id=instance_id or None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=max(_FETCH_BYTES, kafka.message_bytes),
        session_timeout_ms=int(kafka.session_timeout_s * 1000),
        heartbeat_interval_ms=int(kafka.session_timeout_s * 1000 / 6),
        rebalance_timeout_ms=int(kafka.rebalance_timeout_s * 1000),
        metadata_max_age_ms=10_000,  # how soon topics that were gone are seen again
    )


async def read_topics(
    consumer: AIOKafkaConsumer, wanted: Iterable[tuple[Source, TopicPartition]]
) -> dict[TopicPartition, tuple[Topic, int]]:
    """Read where partitions begin: the committed offset with its account, and how far each topic goes now."""
    by_partition = {partition: source for source, partition in wanted}
    partitions = list(by_partition)
    # The public `committed()` gives no text; the text is the account.
    kept = await consumer._coordinator.fetch_committed_offsets(partitions)  # noqa: SLF001 -- see above
    firsts = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    found = {}
    for partition, source in by_partition.items():
        commit, first, end = kept.get(partition), firsts[partition], ends[partition]
        try:
            told = read_kept(source, commit.metadata if commit else "")
        except ValueError as error:
            _log.error("%s/%d: the account begins anew: %s", partition.topic, partition.partition, error)
            told = read_kept(source, "")
        offset = commit.offset if commit else first
        begin = first if offset > end else max(first, offset)
        topic = Topic(offset, told.counts, told.read, begin=begin, gone=told.gone)
        _warn(partition, offset, begin)
        found[partition] = (topic, end)
    return found


def _warn(partition: TopicPartition, offset: int, begin: int) -> None:
    """Say what is odd about where a partition begins."""
    if begin > offset:
        _log.error(
            "%s/%d: the topic's retention removed %d messages that nobody had read",
            partition.topic, partition.partition, begin - offset,
        )  # fmt: skip
    elif begin < offset:
        _log.error(
            "%s/%d ends before what is committed, %d: it was made anew, or lost its end; it is read from its beginning",
            partition.topic, partition.partition, offset,
        )  # fmt: skip
