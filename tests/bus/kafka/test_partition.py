"""One partition of both topics: merged, bounded, committed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka.errors import CommitFailedError

from pipeline.bus.kafka.ledger import read_kept
from pipeline.bus.kafka.offsets import Topic
from pipeline.bus.kafka.packing import Slice, pack
from pipeline.bus.kafka.partition import Commit, PartitionBus
from pipeline.model import Delivery, Outcome, OutcomeKind, Source

STORED = {source: Outcome(source, OutcomeKind.STORED) for source in Source}
EDGE, GATEWAY = Source.HAPROXY, Source.KONG
PATIENCE_S = 10.0


class Broker:
    """Takes commits, or refuses them."""

    def __init__(self) -> None:
        self.commits: list[list[Commit]] = []
        self.refuses = False

    async def commit(self, commits: list[Commit]) -> None:
        if self.refuses:
            raise CommitFailedError
        self.commits.append(commits)


def partition(
    broker: Broker, *, ends: dict[Source, int] | None = None, queue_bytes: int = 10**6
) -> PartitionBus:
    topics = {source: Topic(0, {}) for source in Source}
    return PartitionBus(3, topics, ends or dict.fromkeys(Source, 0), broker.commit, queue_bytes)


def push(bus: PartitionBus, source: Source, offset: int, *arrivals: int) -> None:
    value, headers = pack(source, [Slice("", arrival, [b"%d" % arrival]) for arrival in arrivals])
    bus.push(source, offset, value, headers, 0)


def arrivals(deliveries: Sequence[Delivery]) -> list[int]:
    return [each.arrival_ns for each in deliveries]


def finish(bus: PartitionBus, deliveries: Sequence[Delivery]) -> None:
    for each in deliveries:
        for nth in range(len(each.bodies)):
            bus.offsets.done(each.offset + nth, STORED[each.source])
    bus.offsets.advance()


async def test_nothing_is_given_while_the_other_topic_may_have_something_older() -> None:
    """However far one topic has come, windows end by arrival."""
    bus = partition(Broker(), ends={EDGE: 3, GATEWAY: 2})
    for offset in range(3):
        push(bus, EDGE, offset, 10 * offset)
    reading = asyncio.create_task(bus.read(100, 0.001))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not reading.done()
    push(bus, GATEWAY, 0, 15)
    async with asyncio.timeout(PATIENCE_S):
        assert arrivals(await reading) == [0, 10, 15]
        push(bus, GATEWAY, 1, 17)
        assert arrivals(await bus.read(100, 1.0)) == [17, 20]


async def test_a_closed_partition_wakes_its_reader_and_gives_nothing() -> None:
    bus = partition(Broker(), ends={EDGE: 1, GATEWAY: 1})
    push(bus, EDGE, 0, 1)
    reading = asyncio.create_task(bus.read(100, 60.0))
    await asyncio.sleep(0)
    bus.close()
    async with asyncio.timeout(PATIENCE_S):
        assert await reading == []
        assert await bus.read(100, 60.0) == []


async def test_what_is_read_makes_room_for_what_is_fetched() -> None:
    bus = partition(Broker(), queue_bytes=2000)
    for offset in range(10):
        push(bus, EDGE, offset, offset)
    assert bus.merging.is_full(EDGE)
    await bus.read(6, 0.0)
    assert bus.merging.has_room(EDGE)
    assert bus.lag(EDGE) == 4


async def test_messages_that_are_gone_hold_up_neither_the_other_topic_nor_the_commit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Retention removed the end of one topic: nobody is unsure of it, it is committed as read, and it is told."""
    broker = Broker()
    bus = partition(broker, ends={EDGE: 9, GATEWAY: 1})
    push(bus, EDGE, 0, 1)
    push(bus, GATEWAY, 0, 2)
    first = await bus.read(10, 0.001)
    assert arrivals(first) == [1]
    reading = asyncio.create_task(bus.read(10, 60.0))
    await asyncio.sleep(0)
    bus.skip(EDGE, 9)
    async with asyncio.timeout(PATIENCE_S):
        found = await reading
    assert arrivals(found) == [2]
    assert "8 messages of haproxy are gone" in caplog.text
    assert not bus.is_rebuilding
    assert bus.lag(EDGE) == 0
    finish(bus, [*found])
    await bus.commit(0, {})
    assert [(each.source, each.offset) for each in broker.commits[-1]] == [(GATEWAY, 1)], (
        "the first is not done"
    )
    finish(bus, first)
    await bus.commit(0, {})
    assert [(each.source, each.offset) for each in broker.commits[-1]] == [(EDGE, 9)]
    assert bus.account().outcomes == {STORED[EDGE]: 1, STORED[GATEWAY]: 1}


async def test_messages_that_are_gone_are_counted_once_with_the_commit_that_passes_them() -> None:
    broker = Broker()
    bus = partition(broker, ends={EDGE: 9, GATEWAY: 4})
    push(bus, EDGE, 0, 1)
    push(bus, EDGE, 3, 2)
    push(bus, GATEWAY, 0, 1)
    bus.merging.hear_end(GATEWAY, 1)
    bus.skip(GATEWAY, 4)
    found = await bus.read(1, 0.0)
    assert bus.account().gone == {EDGE: 0, GATEWAY: 0}, "nothing is passed yet"
    while len(found) < 3:
        found += await bus.read(1, 0.0)
        bus.skip(GATEWAY, 4)
    bus.skip(EDGE, 9)
    finish(bus, found)
    await bus.commit(0, {})
    assert bus.account().gone == {EDGE: 2 + 5, GATEWAY: 3}
    texts = {
        each.source: (each.offset, read_kept(each.source, each.text).gone) for each in broker.commits[-1]
    }
    assert texts == {EDGE: (9, 7), GATEWAY: (4, 3)}


async def test_what_was_gone_before_a_partition_came_is_committed_although_nothing_else_is() -> None:
    broker = Broker()
    topics = {EDGE: Topic(10, {STORED[EDGE]: 4}, begin=25, gone=2), GATEWAY: Topic(0, {})}
    bus = PartitionBus(3, topics, {EDGE: 25, GATEWAY: 0}, broker.commit, 10**6)
    assert bus.account().gone[EDGE] == 2, "what Kafka has been told"
    await bus.commit(0, {})
    ((commit,),) = broker.commits
    assert (commit.source, commit.offset) == (EDGE, 25)
    assert read_kept(EDGE, commit.text) == ({STORED[EDGE]: 4}, 25, 17)
    assert bus.account().gone[EDGE] == 17


async def test_a_topic_that_was_made_anew_is_committed_where_it_begins() -> None:
    broker = Broker()
    topics = {EDGE: Topic(500, {STORED[EDGE]: 4}, 600, begin=0), GATEWAY: Topic(0, {})}
    bus = PartitionBus(3, topics, {EDGE: 2, GATEWAY: 0}, broker.commit, 10**6)
    push(bus, EDGE, 0, 1)
    push(bus, EDGE, 1, 2)
    finish(bus, await bus.read(10, 0.0))
    await bus.commit(0, {})
    assert broker.commits[-1][0].offset == 2
    assert bus.account().outcomes == {STORED[EDGE]: 6}
    assert bus.account().gone[EDGE] == 0


async def test_a_topic_that_begins_again_while_it_is_read_is_given_up_and_not_committed() -> None:
    broker = Broker()
    bus = partition(broker)
    push(bus, EDGE, 0, 1)
    push(bus, EDGE, 1, 2)
    finish(bus, await bus.read(10, 0.0))
    assert not bus.begins_anew
    push(bus, EDGE, 0, 3)
    assert "gives offset 0 again" in bus.begins_anew
    assert bus.is_lost
    await bus.commit(0, {})
    assert broker.commits == []


async def test_a_commit_that_the_group_refuses_ends_reading_and_committing_here() -> None:
    broker = Broker()
    bus = partition(broker)
    push(bus, EDGE, 0, 1)
    push(bus, EDGE, 1, 2)
    found = await bus.read(1, 0.0)
    finish(bus, found)
    broker.refuses = True
    await bus.commit(0, {})
    assert bus.is_lost
    assert await bus.read(10, 60.0) == []
    broker.refuses = False
    await bus.commit(0, {})
    assert broker.commits == []
    assert bus.account().outcomes == {}


async def test_the_account_counts_what_is_committed_and_the_rest_is_pending() -> None:
    broker = Broker()
    bus = partition(broker)
    push(bus, EDGE, 0, 1, 2)
    push(bus, GATEWAY, 0, 3)
    found = await bus.read(10, 0.0)
    assert bus.account().pending == {EDGE: 2, GATEWAY: 1}
    finish(bus, [each for each in found if each.source is EDGE])
    assert bus.account() == ({}, {EDGE: 2, GATEWAY: 1}, *bus.account()[2:])
    await bus.commit(0, {})
    assert bus.account().outcomes == {STORED[EDGE]: 2}
    assert bus.account().pending == {EDGE: 0, GATEWAY: 1}
    ((commit,),) = broker.commits
    assert (commit.source, commit.partition, commit.offset) == (EDGE, 3, 1)
    assert read_kept(EDGE, commit.text) == ({STORED[EDGE]: 2}, 1, 0)


@pytest.mark.parametrize("step", [1, 7, 5000])
async def test_nothing_is_read_far_beyond_what_a_commit_has_told_whatever_gaps_there_are(step: int) -> None:
    """Not one record is done, and yet the reading goes on: each stretch is told first."""
    broker = Broker()
    bus = partition(broker)
    count, got = 5000, 0
    for nth in range(count):
        push(bus, EDGE, nth * step, nth)
    async with asyncio.timeout(PATIENCE_S):
        while got < count:
            found = await bus.read(50, 1.0)
            got += len(found)
            told = max(
                (read_kept(EDGE, each.text).read for call in broker.commits for each in call), default=0
            )
            assert found[-1].arrival_ns * step <= told + 400
    assert {each.offset for call in broker.commits for each in call if each.source is EDGE} == {0}


async def test_who_comes_next_is_unsure_of_no_more_than_the_one_before_may_have_read() -> None:
    topics = {EDGE: Topic(100, {}, 300), GATEWAY: Topic(0, {})}
    bus = PartitionBus(0, topics, {EDGE: 10_000, GATEWAY: 5}, Broker().commit, 10**9)
    assert bus.is_rebuilding
    for offset in range(5):
        push(bus, GATEWAY, offset, 0)
    for offset in range(100, 801):
        push(bus, EDGE, offset, offset)
    while bus.offsets.topics[EDGE].given < 700:
        assert bus.is_rebuilding
        await bus.read(1, 1.0)
    assert not bus.is_rebuilding
