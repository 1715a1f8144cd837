"""I/O: the two topics as they should be, as they are, and making them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from pipeline.bus.kafka.connection import open_admin
from pipeline.config import BusConfig, KafkaConfig
from pipeline.errors import ConfigError


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


def wanted_settings(kafka: KafkaConfig) -> dict[str, str]:
    """Give the settings that a topic of ours is made with."""
    return {
        "cleanup.policy": "delete",
        "compression.type": "producer",
        "max.message.bytes": str(kafka.message_bytes),
        "min.insync.replicas": str(kafka.min_insync),
        "retention.ms": str(int(kafka.retention_h * 3_600_000)),
        "unclean.leader.election.enable": "false",
    }


async def plan(bus: BusConfig) -> list[TopicPlan]:
    """Compare both topics with what they should be.

    Raises:
        ConfigError: No broker answers, or it does not let us look.
    """
    async with open_admin(bus) as admin:
        return await _plan(admin, bus)


async def apply(bus: BusConfig) -> list[TopicPlan]:
    """Make the topics that are missing; those that exist are left as they are.

    Raises:
        ConfigError: One exists with another number of partitions, or cannot be made.
    """
    kafka = bus.kafka
    async with open_admin(bus) as admin:
        plans = await _plan(admin, bus)
        if faults := [fault for each in plans for fault in each.faults]:
            raise ConfigError("; ".join(faults))
        missing = [
            NewTopic(each.name, kafka.partitions, kafka.replication, topic_configs=wanted_settings(kafka))
            for each in plans
            if not each.exists
        ]
        if missing:
            try:
                answer = await admin.create_topics(missing)
            except KafkaError as error:
                raise ConfigError(f"bus.kafka: the topics cannot be made: {error}") from error
            for name, code, *message in answer.topic_errors:
                if code:
                    why = message[0] if message and message[0] else for_code(code).__name__
                    raise ConfigError(f"bus.kafka: {name} cannot be made: {why}")
        return plans


async def require(bus: BusConfig) -> None:
    """Make sure that records can be spread as they should be.

    Raises:
        ConfigError: A topic is missing, or has fewer partitions than keys are spread over.
    """
    async with open_admin(bus) as admin:
        plans = await _plan(admin, bus, with_settings=False)
    for each in plans:
        if not each.exists:
            raise ConfigError(f"bus.kafka: there is no topic {each.name}: run `hoptrail kafka topics apply`")
        if each.partitions < bus.kafka.partitions:
            raise ConfigError(each.faults[0])


async def _plan(admin: AIOKafkaAdminClient, bus: BusConfig, *, with_settings: bool = True) -> list[TopicPlan]:
    kafka = bus.kafka
    names = [kafka.edge_topic, kafka.gateway_topic]
    try:
        # Asking for a topic by its name makes it, on brokers that make topics by themselves.
        listed = set(await admin.list_topics())
        asked = [name for name in names if name in listed]
        described = {each["topic"]: each for each in await admin.describe_topics(asked)} if asked else {}
        present = [name for name in asked if described.get(name, {}).get("partitions")]
        settings = await _settings(admin, present if with_settings else [])
    except KafkaError as error:
        raise ConfigError(f"bus.dsn: the brokers do not say what topics there are: {error}") from error
    plans = []
    for name in names:
        if name not in present:
            plans.append(TopicPlan(name, False, kafka.partitions, (), ()))
            continue
        count = len(described[name]["partitions"])
        fault = (
            f"bus.kafka: {name} has {count} partitions and bus.kafka.partitions is {kafka.partitions}: both topics "
            "need that many, since a request's two halves meet by the partition's number; to change it make new topics"
        )
        faults = (fault,) if count != kafka.partitions else ()
        plans.append(TopicPlan(name, True, count, faults, tuple(_differences(kafka, settings.get(name, {})))))
    return plans


def _differences(kafka: KafkaConfig, found: Mapping[str, str]) -> list[str]:
    return [
        f"{key} is {found[key]}, not {value}"
        for key, value in wanted_settings(kafka).items()
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
