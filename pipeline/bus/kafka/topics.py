"""I/O: the topics as they should be, as they are, and making them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    NoError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from pipeline.bus.kafka.connection import BrokersAway, no_use, open_admin
from pipeline.bus.kafka.refusals import explain, is_forbidden
from pipeline.config import BusConfig, KafkaConfig
from pipeline.errors import ConfigError

_log = logging.getLogger(__name__)

_AGAIN_S = 1.0
"""How long a start rests between two looks for brokers."""


class TopicPlan(NamedTuple):
    """What is to be done about one topic."""

    name: str
    exists: bool
    partitions: int
    """As it is; as it will be where there is none yet."""
    faults: tuple[str, ...]
    """What is wrong and is not mended by making it."""
    differences: tuple[str, ...]
    """Settings that are not as we would make them; the operator may have reasons."""


def wanted_settings(kafka: KafkaConfig, name: str = "") -> dict[str, str]:
    """Give the settings that a topic of ours is made with; empty: one of records."""
    retention_h = kafka.spans_retention_h if name == kafka.spans_topic else kafka.retention_h
    return {
        "cleanup.policy": "delete",
        "compression.type": "producer",
        "max.message.bytes": str(kafka.message_bytes),
        "min.insync.replicas": str(kafka.min_insync),
        "retention.ms": str(int(retention_h * 3_600_000)),
        "unclean.leader.election.enable": "false",
    }


async def plan(bus: BusConfig, *, spans: bool = False) -> list[TopicPlan]:
    """Compare the topics with what they should be.

    Args:
        bus: Cluster and topics.
        spans: Whether spans are sent, and need one too.

    Raises:
        ConfigError: No broker answers, or it does not let us look.
    """
    async with open_admin(bus) as admin:
        return await _plan(admin, bus, spans=spans)


async def apply(bus: BusConfig, *, spans: bool = False) -> list[TopicPlan]:
    """Make the topics that are missing; those that exist are left as they are.

    Args:
        bus: Cluster and topics.
        spans: Whether spans are sent, and need one too.

    Raises:
        ConfigError: One exists with another number of partitions, or cannot be made.
    """
    kafka = bus.kafka
    async with open_admin(bus) as admin:
        plans = await _plan(admin, bus, spans=spans)
        if faults := [fault for each in plans for fault in each.faults]:
            raise ConfigError("; ".join(faults))
        missing = [
            NewTopic(
                each.name,
                kafka.partitions,
                kafka.replication,
                topic_configs=wanted_settings(kafka, each.name),
            )
            for each in plans
            if not each.exists
        ]
        if missing:
            try:
                answer = await admin.create_topics(missing)
            except KafkaError as error:
                raise ConfigError(
                    f"bus.kafka: the topics cannot be made: {explain(error, bus.kafka)}"
                ) from error
            for name, code, *message in answer.topic_errors:
                if code:
                    refused = for_code(code)(name)
                    why = message[0] if message and message[0] else for_code(code).__name__
                    why = explain(refused, bus.kafka, "Create") if is_forbidden(refused) else why
                    raise ConfigError(f"bus.kafka: {name} cannot be made: {why}")
        return plans


async def require(bus: BusConfig, group: str = "", *, spans: bool = False) -> None:
    """Make sure that records can be spread as they should be; waits for brokers up to `start_timeout_s`.

    Args:
        bus: Cluster, topics, group.
        group: Whose offsets we must be allowed to see; empty: none's.
        spans: Whether spans are sent, by a topic and a group of their own.

    Raises:
        ConfigError: A topic is missing, has fewer partitions than keys are spread over, or is not ours to see;
            or no broker could be used in time.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + bus.kafka.start_timeout_s
    told = ""
    while True:
        try:
            async with open_admin(bus) as admin:
                plans = await _plan(admin, bus, spans=spans, with_settings=False)
                await _see_group(admin, bus, group)
                await _see_group(admin, bus, bus.kafka.spans_group if spans else "")
            break
        except BrokersAway as error:
            left_s = deadline - loop.time()
            if left_s <= 0:
                raise
            if (why := str(error)) != told:
                _log.warning("waiting for brokers, up to %.0f s more: %s", left_s, why)
            told = why
            await asyncio.sleep(min(_AGAIN_S, left_s))
    for each in plans:
        if not each.exists:
            raise ConfigError(f"bus.kafka: there is no topic {each.name}: run `hoptrail kafka topics apply`")
        if each.faults and each.partitions < bus.kafka.partitions:
            raise ConfigError(each.faults[0])


async def count_partitions(bus: BusConfig, topic: str) -> int:
    """Say how many partitions a topic has; 0 where there is none.

    Raises:
        ConfigError: No broker answers, or it does not let us look.
    """
    async with open_admin(bus) as admin:
        try:
            return (await _partitions(admin, [topic])).get(topic, 0)
        except (KafkaError, OSError) as error:
            raise no_use(error, bus) from error


async def _see_group(admin: AIOKafkaAdminClient, bus: BusConfig, group: str) -> None:
    if not group:
        return
    try:
        await admin.find_coordinator(group)
    except GroupAuthorizationFailedError as error:
        raise no_use(GroupAuthorizationFailedError(group), bus) from error
    except (KafkaError, OSError) as error:
        raise no_use(error, bus) from error


async def _plan(
    admin: AIOKafkaAdminClient, bus: BusConfig, *, spans: bool, with_settings: bool = True
) -> list[TopicPlan]:
    kafka = bus.kafka
    names = [kafka.edge_topic, kafka.gateway_topic] + [kafka.spans_topic] * spans
    try:
        counts = await _partitions(admin, names)
        settings = await _settings(admin, [name for name in counts if with_settings])
    except (KafkaError, OSError) as error:
        raise no_use(error, bus) from error
    plans = []
    for name in names:
        count = counts.get(name)
        if count is None:
            plans.append(TopicPlan(name, False, kafka.partitions, (), ()))
            continue
        fault = (
            f"bus.kafka: {name} has {count} partitions and bus.kafka.partitions is {kafka.partitions}: both topics "
            "need that many, since a request's two halves meet by the partition's number; to change it make new topics"
        )
        # Spans may be anywhere: any number of partitions serves them.
        faults = (fault,) if count != kafka.partitions and name != kafka.spans_topic else ()
        differences = tuple(_differences(wanted_settings(kafka, name), settings.get(name, {})))
        plans.append(TopicPlan(name, True, count, faults, differences))
    return plans


async def _partitions(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    """Give the number of partitions of those topics that there are.

    Raises:
        KafkaError: A topic is not ours to see, is being made, or the brokers do not answer.
    """
    # `describe_topics` of a topic that is missing would make it, on brokers that make topics by themselves.
    answer = await admin._send_request(MetadataRequest(names, allow_auto_topic_creation=False))  # noqa: SLF001 -- see above
    counts: dict[str, int] = {}
    hidden: list[str] = []
    for topic in answer.to_object()["topics"]:
        error = for_code(topic["error_code"])
        if error is TopicAuthorizationFailedError:
            hidden.append(topic["topic"])
        elif error is NoError:
            counts[topic["topic"]] = len(topic["partitions"])
        elif error is not UnknownTopicOrPartitionError:
            raise error(topic["topic"])
    if hidden:
        raise TopicAuthorizationFailedError(hidden)
    return counts


def _differences(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    return [
        f"{key} is {found[key]}, not {value}"
        for key, value in wanted.items()
        if key in found and found[key] != value
    ]


async def _settings(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    """Read the topics' settings; empty where the broker does not tell them."""
    if not names:
        return {}
    found: dict[str, dict[str, str]] = {}
    for answer in await admin.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    ):
        for resource in answer.resources:
            found[resource[3]] = {entry[0]: entry[1] for entry in resource[4]}
    return found
