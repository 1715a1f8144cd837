"""What the account and the group say over all processes, while processes and the store come and go."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from pipeline.store.connection import connect
from pipeline.store.dsn import parse_dsn

pytestmark = pytest.mark.jvm  # the account is the text beside the offset, which Tansu does not keep

Corpus = Any


def test_the_account_goes_on_with_the_next_process_and_stands_in_the_store(
    world: Any, corpus: Corpus
) -> None:
    """Two processes one after the other write one account."""
    ingest = world.start("ingest", ready=False)
    join = world.start("join")
    ingest.wait_ready()
    for at, (lines, body) in enumerate(corpus.parts(2)):
        ingest.send(*lines)
        assert ingest.post(body) == 200
        if at == 0:
            world.until(lambda: join.status()["sources"]["kong"]["stored"] > 0, "it has begun")  # noqa: B023 -- asked at once
            assert join.stop() == 0
            join = world.start("join")
    rows = world.check_whole()
    assert join.metric("hoptrail_edge_lines_missing") == 0
    assert join.status()["ledger"]["edge_lines"]["missing"] == 0
    assert join.stop() == 0
    assert ledger_of(world.store) == {source: rows[source]["stored"] for source in ("haproxy", "kong")}


def ledger_of(store: str) -> dict[str, int]:
    """Give what the ledger in the store says is stored, by source: the latest number of each partition."""
    connection = connect(parse_dsn(store))
    try:
        rows = connection.client.query(
            "SELECT source, sum(latest) FROM (SELECT instance, source, argMax(total, taken_at) AS latest "
            "FROM ledger_versions WHERE kind = 'stored' GROUP BY instance, source) GROUP BY source"
        ).result_rows
    finally:
        connection.close()
    return {source: int(total) for source, total in rows}


def test_a_store_that_is_away_pauses_partitions_and_moves_none(
    make_world: Callable[..., Any], broker: Any, corpus: Corpus
) -> None:
    world = make_world(
        broker.servers, session_timeout_s=2, rebalance_timeout_s=4, queue_bytes=65_536, pack_records=10
    )
    ingest, join = world.start("ingest", ready=False), world.start("join", store__batch_rows=50)
    ingest.wait_ready()
    face = world.store.removeprefix("clickhouse://").partition("/")[0]
    httpx.post(f"http://{face}/_fault?refuse=1000000", trust_env=False)
    try:
        for lines, body in corpus.parts(3):
            ingest.send(*lines)
            assert ingest.post(body) == 200
        world.until(lambda: join.metric("hoptrail_kafka_partitions_paused") > 0, "the queues are full")
        began = time.monotonic()
        world.until(lambda: time.monotonic() - began > 3, "longer than a session")
        assert join.metric("hoptrail_kafka_rebalances_total") == 1
        assert join.metric("hoptrail_kafka_partitions_assigned") == 4
    finally:
        httpx.post(f"http://{face}/_fault", trust_env=False)
    world.check_whole()
    assert join.metric("hoptrail_kafka_rebalances_total") == 1


def test_a_rolling_restart_within_the_session_moves_no_partition_of_the_others(
    make_world: Callable[..., Any], broker: Any, corpus: Corpus
) -> None:
    """Each process has a name of its own, which it comes back under."""
    world = make_world(broker.servers, session_timeout_s=30, rebalance_timeout_s=30)
    ingest = world.start("ingest", ready=False)
    stays = world.start("join", ready=False, bus__kafka__instance_id="join-0")
    goes = world.start("join", bus__kafka__instance_id="join-1")
    stays.wait_ready()
    ingest.wait_ready()
    world.until(lambda: len(stays.partitions()) == len(goes.partitions()) == 2, "both have a part")
    before = stays.partitions(), goes.partitions(), stays.metric("hoptrail_kafka_rebalances_total")
    parts = corpus.parts(2)
    lines, body = next(parts)
    ingest.send(*lines)
    assert ingest.post(body) == 200
    assert goes.stop() == 0
    assert stays.partitions() == before[0]
    lines, body = next(parts)
    ingest.send(*lines)
    assert ingest.post(body) == 200
    goes = world.start("join", bus__kafka__instance_id="join-1")
    world.check_whole()
    assert (stays.partitions(), goes.partitions()) == before[:2]
    assert stays.metric("hoptrail_kafka_rebalances_total") == before[2]
    assert goes.metric("hoptrail_kafka_rebalances_total") == 1


def test_an_end_of_a_topic_that_retention_removed_unread_holds_up_nothing(
    make_world: Callable[..., Any], broker: Any
) -> None:
    """The other topic's records are stored although nothing comes after what is gone."""
    world = make_world(broker.servers, session_timeout_s=30, rebalance_timeout_s=30)
    kafka = world.settings["bus"]["kafka"]
    edge, gateway = (TopicPartition(kafka[f"{name}_topic"], 1) for name in ("edge", "gateway"))
    join = world.start("join")
    world.until(lambda: len(join.partitions()) == 4, "it has its partitions")
    join.signal(signal.SIGSTOP)
    asyncio.run(fill_and_remove(broker.servers, gateway))
    join.signal(signal.SIGCONT)
    asyncio.run(produce(broker.servers, edge, [b"not a line"]))
    world.wait(lambda rows: rows["haproxy"]["dead_letter"] == 1)
    assert join.metric("hoptrail_kafka_rebalances_total") == 1
    assert join.gone()["kong"] == world.standing()["messages_gone"]["kong"]["retention"] > 0
    assert "of kong are gone that nobody had read" in join.log.read_text(encoding="utf-8")


def test_messages_that_retention_took_while_no_join_ran_are_counted_for_good(
    make_world: Callable[..., Any], broker: Any
) -> None:
    """In the metrics, in the account of all processes, and in the ledger: also by the process that comes after."""
    world = make_world(broker.servers, session_timeout_s=30, rebalance_timeout_s=30)
    edge, gateway = (
        TopicPartition(world.settings["bus"]["kafka"][f"{name}_topic"], 1) for name in ("edge", "gateway")
    )
    asyncio.run(produce(broker.servers, edge, [b"not a line"]))
    join = world.start("join", bus__kafka__instance_id="join-0")
    world.wait(lambda rows: rows["haproxy"]["dead_letter"] == 1)
    assert join.stop() == 0
    asyncio.run(fill_and_remove(broker.servers, edge))
    asyncio.run(produce(broker.servers, gateway, [b"{}"]))
    for _ in range(2):
        join = world.start("join", bus__kafka__instance_id="join-0")
        world.until(lambda: join.gone() == {"haproxy": 20, "kong": 0}, "it counts them")  # noqa: B023 -- asked at once
        world.wait(lambda rows: rows["kong"]["dead_letter"] == 1)
        assert join.stop() == 0
    standing = world.standing()
    assert standing["messages_gone"] == {"haproxy": {"retention": 20}, "kong": {"retention": 0}}
    assert standing["sources"]["haproxy"]["received"] == 1, "they are in no account of records"
    shown = world.command("kafka", "status", "--config", world.config())
    assert "messages that retention removed before they were read: 20" in shown.stdout
    assert gone_of(world.store) == [("haproxy", "retention", 20)]


def gone_of(store: str) -> list[tuple[str, str, int]]:
    """Give what the ledger in the store says is gone."""
    connection = connect(parse_dsn(store))
    try:
        rows = connection.client.query(
            "SELECT source, reason, sum(count) FROM ledger WHERE kind = 'messages_gone' GROUP BY source, reason"
        ).result_rows
    finally:
        connection.close()
    return [(str(source), str(reason), int(count)) for source, reason, count in rows]


async def produce(servers: str, partition: TopicPartition, values: Sequence[bytes]) -> int:
    """Write messages one by one; gives the offset after the last."""
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    try:
        for value in values:
            sent = await producer.send_and_wait(partition.topic, value, partition=partition.partition)
        return int(sent.offset) + 1
    finally:
        await producer.stop()


async def fill_and_remove(servers: str, partition: TopicPartition) -> None:
    """Write more messages than one fetch that is under way can bring, and remove them all."""
    end = await produce(servers, partition, [b"{}"] * 20)
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.delete_records({partition: RecordsToDelete(before_offset=end)})
    finally:
        await admin.close()
