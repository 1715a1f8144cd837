"""What breaks: after each fault the account over all processes adds up, and the store has each lineage once."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

pytestmark = pytest.mark.jvm  # the account is the text beside the offset, which Tansu does not keep

LINES, ENTRIES = 1500, 1544
Corpus = Any


def test_kills_of_join_processes_lose_nothing_and_double_nothing(world: Any, corpus: Corpus) -> None:
    ingest = world.start("ingest", ready=False)
    joins = [world.start("join", ready=False), world.start("join", ready=False)]
    for process in (ingest, *joins):
        process.wait_ready()
    for at, (lines, body) in enumerate(corpus.parts(6)):
        ingest.send(*lines)
        assert ingest.post(body) == 200
        if at in {1, 3}:
            victim = joins.pop(0)
            world.until(lambda: victim.status()["sources"]["kong"]["stored"] > 0, "it has begun")  # noqa: B023 -- asked at once
            victim.kill()
            joins.append(world.start("join", ready=False))
    for join in joins:
        join.wait_ready()
    world.check_whole()


def test_a_kill_of_an_ingest_process_loses_no_post_that_it_acknowledged(world: Any, corpus: Corpus) -> None:
    """A post without an answer is sent again, to another: what both took is counted as a duplicate."""
    world.start("join", ready=False)
    survivor, victim = world.start("ingest", ready=False), world.start("ingest")
    survivor.wait_ready()
    for at, (lines, body) in enumerate(corpus.parts(6)):
        survivor.send(*lines)
        if at == 3:
            victim.kill()
        if victim.popen.poll() is not None or victim.post(body) != 200:
            survivor.insist(body)
    world.check_whole(doubles=True)


def test_a_kill_of_the_broker_is_told_to_kong_and_waited_out(
    tmp_path: Path,
    classpath: str,
    start_cluster: Callable[..., Any],
    make_world: Callable[..., Any],
    corpus: Corpus,
) -> None:
    cluster = start_cluster(tmp_path, classpath)
    world = make_world(cluster.servers, delivery_timeout_s=2)
    ingest, join = world.start("ingest", ready=False), world.start("join")
    ingest.wait_ready()
    world.until(lambda: len(join.partitions()) == 4, "it has its partitions")
    refused = 0
    for at, (lines, body) in enumerate(corpus.parts(4)):
        ingest.send(*lines)
        if at == 2:
            cluster.nodes[0].kill()
            assert ingest.post(body) == 503
            cluster.nodes[0].start()
            cluster.nodes[0].wait()
        refused += ingest.insist(body)
    rows = world.check_whole(doubles=True)
    assert rows["haproxy"]["dropped"] == 0
    assert ingest.stop() == 0


def test_a_change_of_leader_loses_nothing(
    tmp_path: Path,
    classpath: str,
    start_cluster: Callable[..., Any],
    make_world: Callable[..., Any],
    corpus: Corpus,
) -> None:
    """Two brokers with two copies of each partition; one is killed, and never comes back."""
    cluster = start_cluster(tmp_path, classpath, brokers=2)
    world = make_world(cluster.servers, copies=2)
    join, ingest = world.start("join", ready=False), world.start("ingest")
    join.wait_ready()
    world.until(lambda: len(join.partitions()) == 4, "it has its partitions")
    for at, (lines, body) in enumerate(corpus.parts(4)):
        if at == 2:
            cluster.nodes[1].kill()
        ingest.send(*lines)
        ingest.insist(body)
    world.check_whole(doubles=True)


def test_processes_that_come_and_go_leave_each_lineage_once(world: Any, corpus: Corpus) -> None:
    ingest, kept = world.start("ingest", ready=False), world.start("join")
    ingest.wait_ready()
    guest = None
    for lines, body in corpus.parts(5):
        ingest.send(*lines)
        assert ingest.post(body) == 200
        if guest is None:
            guest = world.start("join")
        else:
            assert guest.stop() == 0
            guest = None
    world.check_whole()
    assert kept.status()["bus"]["rebalances"] >= 4


def test_a_process_that_stood_still_past_its_session_forgets_what_others_took_over(
    make_world: Callable[..., Any], broker: Any, corpus: Corpus
) -> None:
    world = make_world(broker.servers, session_timeout_s=2, rebalance_timeout_s=4)
    ingest, frozen = world.start("ingest", ready=False), world.start("join", ready=False)
    other = world.start("join")
    ingest.wait_ready()
    frozen.wait_ready()
    parts = corpus.parts(4)
    lines, body = next(parts)
    ingest.send(*lines)
    assert ingest.post(body) == 200
    world.until(lambda: len(frozen.partitions()) == 2, "both have a part")
    frozen.signal(signal.SIGSTOP)
    for lines, body in parts:
        ingest.send(*lines)
        assert ingest.post(body) == 200
    world.until(lambda: len(other.partitions()) == 4, "the other has all")
    world.check_whole()
    frozen.signal(signal.SIGCONT)
    world.until(lambda: len(frozen.partitions()) == 2, "it is back")
    world.check_whole()


def test_poison_becomes_dead_letters_and_stops_nobody(world: Any, corpus: Corpus) -> None:
    kafka = world.settings["bus"]["kafka"]
    poison = [
        (b"\x00\xff\xfe not a record", [("format", b"hoptrail-pack/1")]),
        (b"{" * 5000, []),
        (b'{"hoptrail":1,"gateway":null}', [("rekeyed", b"1")]),
        (b"\x93" * 100, [("format", b"hoptrail-pack/1"), ("rekeyed", b"1")]),
        (b"\x81", [("format", b"hoptrail-drops/1")]),
    ]

    async def produce() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=world.settings["bus"]["dsn"].removeprefix("kafka://"))
        await producer.start()
        for topic in (kafka["edge_topic"], kafka["gateway_topic"]):
            for value, headers in poison:
                await producer.send_and_wait(topic, value, partition=1, headers=headers)
        await producer.stop()

    asyncio.run(produce())
    world.start("join", ready=False)
    ingest = world.start("ingest")
    for lines, body in corpus.parts(2):
        ingest.send(*lines)
        assert ingest.post(body) == 200
    rows = world.wait(lambda rows: rows["haproxy"]["stored"] >= LINES and rows["kong"]["stored"] >= ENTRIES)
    assert rows["haproxy"]["dead_letter"] == rows["kong"]["dead_letter"] == len(poison)
    assert len(world.lineages()) == LINES


def test_a_partition_count_that_was_changed_under_way_splits_no_pair(world: Any, corpus: Corpus) -> None:
    """Keys go on being spread over the configured number; the new partitions stay empty, and nobody waits for them."""
    kafka = world.settings["bus"]["kafka"]
    world.start("join", ready=False)
    ingest = world.start("ingest")
    parts = corpus.parts(4)
    for lines, body in itertools.islice(parts, 2):
        ingest.send(*lines)
        assert ingest.post(body) == 200

    async def change() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=world.settings["bus"]["dsn"].removeprefix("kafka://"))
        await admin.start()
        await admin.create_partitions({kafka["edge_topic"]: NewPartitions(total_count=8)})
        await admin.close()

    asyncio.run(change())
    later, joins = (
        world.start("ingest", ready=False),
        world.start("join"),
    )  # they see the new count at their start
    later.wait_ready()
    for lines, body in parts:
        later.send(*lines)
        assert ingest.post(body) == 200
    world.check_whole()
    assert joins.partitions() < {"0", "1", "2", "3"}
    planned = world.command("kafka", "topics", "plan", "--config", world.config(), check=False)
    assert planned.returncode == 1
    assert "has 8 partitions and bus.kafka.partitions is 4" in planned.stdout


@pytest.mark.soak
def test_a_storm_of_kills_and_rebalances_leaves_each_lineage_once(world: Any, corpus: Corpus) -> None:
    ingest = world.start("ingest")
    joins: list[Any] = []
    for at, (lines, body) in enumerate(corpus.parts(30)):
        ingest.send(*lines)
        assert ingest.post(body) == 200
        joins.append(world.start("join", ready=False))
        if len(joins) > 2:
            victim = joins.pop(0)
            if at % 3:
                victim.kill()
            else:
                victim.stop()
    world.check_whole()
