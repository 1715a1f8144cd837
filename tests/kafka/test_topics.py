"""Topics: made as they should be, refused as they should not, and those that others fill."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic


def make(servers: str, topics: dict[str, int]) -> None:
    """Make topics of so many partitions."""

    async def act() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=servers)
        await admin.start()
        await admin.create_topics([NewTopic(name, count, 1) for name, count in topics.items()])
        await admin.close()

    asyncio.run(act())


def fill(servers: str, topics: dict[str, Sequence[bytes]]) -> None:
    """Put messages into topics, under any key."""

    async def act() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=servers)
        await producer.start()
        for topic, values in topics.items():
            for value in values:
                await producer.send(topic, value, key=b"%d" % random.randrange(1000))
        await producer.stop()

    asyncio.run(act())


def test_topics_are_planned_made_and_then_as_planned(broker: Any, make_world: Callable[..., Any]) -> None:
    world = make_world(broker.servers, retention_h=5)
    name = uuid.uuid4().hex
    config = world.config("new", bus__kafka__edge_topic=f"e.{name}", bus__kafka__gateway_topic=f"g.{name}")
    planned = world.command("kafka", "topics", "plan", "--config", config, check=False)
    assert planned.returncode == 1
    assert f"e.{name}: to be made, 4 partitions" in planned.stdout
    assert "retention.ms=18000000" in planned.stdout
    for role in ("ingest", "join"):
        started = world.command(role, "--config", config, check=False)
        assert started.returncode == 2
        assert "kafka topics apply" in started.stderr
    assert "made" in world.command("kafka", "topics", "apply", "--config", config).stdout
    assert "is there" in world.command("kafka", "topics", "apply", "--config", config).stdout
    assert world.command("kafka", "topics", "plan", "--config", config).returncode == 0


def test_unequal_partition_counts_are_refused_everywhere(broker: Any, make_world: Callable[..., Any]) -> None:
    world = make_world(broker.servers)
    name = uuid.uuid4().hex
    make(broker.servers, {f"e.{name}": 4, f"g.{name}": 3})
    config = world.config("odd", bus__kafka__edge_topic=f"e.{name}", bus__kafka__gateway_topic=f"g.{name}")
    for words in (("kafka", "topics", "apply"), ("ingest",), ("join",)):
        refused = world.command(*words, "--config", config, check=False)
        assert refused.returncode == 2
        assert f"g.{name} has 3 partitions and bus.kafka.partitions is 4" in refused.stderr


def test_serve_and_the_roles_name_each_other_where_the_bus_is_not_theirs(world: Any) -> None:
    refused = world.command("serve", "--config", world.config(), check=False)
    assert refused.returncode == 2
    assert "hoptrail ingest" in refused.stderr
    refused = world.command("join", "--config", world.config("journal", bus__dsn="journal:"), check=False)
    assert refused.returncode == 2
    assert "hoptrail serve" in refused.stderr


def test_a_broker_that_is_not_there_is_named(world: Any) -> None:
    config = world.config("nowhere", bus__dsn="kafka://127.0.0.1:1", bus__kafka__start_timeout_s=1)
    for words in (("ingest",), ("kafka", "status")):
        refused = world.command(*words, "--config", config, check=False)
        assert refused.returncode == 2
        assert "127.0.0.1:1" in refused.stderr
        assert "Traceback" not in refused.stderr


@pytest.mark.jvm  # Tansu does not keep the text beside an offset
def test_topics_that_others_fill_are_keyed_anew(
    world: Any, broker: Any, haproxy_lines: list[bytes], kong_bodies: list[bytes]
) -> None:
    """Lines as rsyslog writes them, entries as kafka-log does: objects and arrays, under any key, cut otherwise."""
    name = uuid.uuid4().hex
    lines, entries = f"raw.lines.{name}", f"raw.entries.{name}"
    make(broker.servers, {lines: 3, entries: 2})
    arrays = [b"[" + b",".join(kong_bodies[at : at + 20]) + b"]" for at in range(0, 500, 20)]
    fill(broker.servers, {lines: haproxy_lines, entries: [*arrays, *kong_bodies[500:]]})
    topics = {"sources__kafka__edge_topics": [lines], "sources__kafka__gateway_topics": [entries]}
    world.start("join", ready=False)
    for process in [
        world.start("ingest", ready=False, **topics),
        world.start("ingest", ready=False, **topics),
    ]:
        process.wait_ready()
    rows = world.wait(lambda rows: rows["haproxy"]["stored"] >= 1500 and rows["kong"]["stored"] >= 1544)
    assert rows["haproxy"]["stored"] == 1500
    assert rows["kong"]["stored"] == 1544
    lineages = world.lineages()
    assert len(lineages) == 1500
    assert {one["outcome"] for one in lineages} == {"complete"}
