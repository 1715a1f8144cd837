"""I/O: where partitions of the span topic begin, and how the group that reads it stands."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.bus.kafka.connection import client_settings, reach
from pipeline.bus.kafka.refusals import explain
from pipeline.bus.kafka.span_partition import Kept, SpanPartition, read_text
from pipeline.bus.kafka.topics import count_partitions
from pipeline.config import BusConfig
from pipeline.errors import ConfigError
from pipeline.spans import MOST_BYTES
from pipeline.spans.waiting import Fate, SpanAccount

_log = logging.getLogger(__name__)

_FETCH_BYTES = 8 * MOST_BYTES
_NEVER_MS = 2**31 - 1


class SpanStanding(NamedTuple):
    """What is committed, and what lies behind it."""

    account: SpanAccount
    """Of all processes; what is queued is known in messages alone."""
    gone: int
    """Messages that the topic's retention removed before anybody had read them."""
    lag: int
    """Messages that nobody has answered for."""


async def read_span_standing(bus: BusConfig) -> SpanStanding | None:
    """Ask the brokers; joins no group and commits nothing. None where there is no such topic.

    Raises:
        ConfigError: No broker answers, or it does not let us look.
    """
    kafka = bus.kafka
    count = await count_partitions(bus, kafka.spans_topic)
    if not count:
        return None
    consumer = AIOKafkaConsumer(
        **client_settings(bus, "admin"), group_id=kafka.spans_group, enable_auto_commit=False
    )
    try:
        await reach(consumer, bus)
        wanted = [TopicPartition(kafka.spans_topic, number) for number in range(count)]
        found = await read_partitions(consumer, wanted)
        ends = await consumer.end_offsets(wanted)
    except KafkaError as error:
        raise ConfigError(
            f"bus.kafka.group: cannot look at {kafka.spans_group}: {explain(error, kafka, 'Describe')}"
        ) from error
    finally:
        await consumer.stop()
    return SpanStanding(
        sum_of(one.account() for one in found.values()),
        sum(one.gone for one in found.values()),
        sum(ends[one] - part.next for one, part in found.items()),
    )


def make_span_consumer(bus: BusConfig) -> AIOKafkaConsumer:
    """Make a consumer for whoever sends spans; it commits only what it is told to.

    Raises:
        ConfigError: A file of `bus.kafka.security` cannot be read.
    """
    kafka = bus.kafka
    return AIOKafkaConsumer(
        **client_settings(bus, "spans"),
        group_id=kafka.spans_group,
        group_instance_id=kafka.instance_id or None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=MOST_BYTES,
        fetch_max_bytes=_FETCH_BYTES,
        max_poll_interval_ms=_NEVER_MS,  # a receiver that is away for a day is no reason to leave the group
        session_timeout_ms=int(kafka.session_timeout_s * 1000),
        heartbeat_interval_ms=int(kafka.session_timeout_s * 1000 / 6),
        rebalance_timeout_ms=int(kafka.rebalance_timeout_s * 1000),
        metadata_max_age_ms=30_000,
    )


async def read_partitions(
    consumer: AIOKafkaConsumer, wanted: list[TopicPartition]
) -> dict[TopicPartition, SpanPartition]:
    """Read where partitions of the span topic begin: the committed offset with its account."""
    # The public `committed()` gives no text; the text is the account.
    commits = await consumer._coordinator.fetch_committed_offsets(wanted)  # noqa: SLF001 -- see above
    firsts = await consumer.beginning_offsets(wanted)
    found = {}
    for one in wanted:
        commit = commits.get(one)
        try:
            kept = read_text(commit.metadata) if commit else Kept()
        except ValueError as error:
            _log.error("%s/%d: the account begins anew: %s", *one, error)
            kept = Kept()
        committed = commit.offset if commit else -1
        found[one] = SpanPartition(max(firsts[one], committed), committed, kept)
        if 0 <= committed < firsts[one]:
            _log.error(
                "%s/%d: the topic's retention removed %d messages that nobody had sent",
                *one, firsts[one] - committed,
            )  # fmt: skip
    return found


def sum_of(accounts: Iterable[SpanAccount]) -> SpanAccount:
    """Give the account of several partitions as one."""
    fates: dict[Fate, int] = {}
    queued = queued_bytes = 0
    for account in accounts:
        for fate, spans in account.fates.items():
            fates[fate] = fates.get(fate, 0) + spans
        queued += account.queued
        queued_bytes += account.queued_bytes
    return SpanAccount(fates, queued, queued_bytes)
