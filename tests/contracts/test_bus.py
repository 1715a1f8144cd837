"""What every bus promises, whatever it keeps its records in."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from pipeline.bus.journal import open_journal
from pipeline.bus.memory import MemoryBus
from pipeline.contracts import Bus
from pipeline.errors import BusFull
from pipeline.model import Delivery, Outcome, OutcomeKind, Source

STORED = {source: Outcome(source, OutcomeKind.STORED) for source in Source}
PATIENCE_S = 30.0
Opener = Callable[[int], AbstractAsyncContextManager[Bus]]


@pytest.fixture(params=["memory", "journal", "encrypted journal"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Open a bus with a cap in bytes."""
    count = 0

    @asynccontextmanager
    async def opened(max_bytes: int) -> AsyncIterator[Bus]:
        nonlocal count
        count += 1
        if request.param == "memory":
            yield MemoryBus(max_bytes)
            return
        key = b"a key of thirty-two bytes, no less" if "encrypted" in request.param else None
        async with open_journal(tmp_path / f"journal-{count}", max_bytes, key) as journal:
            yield journal

    return opened


@pytest.fixture
async def bus(opener: Opener) -> AsyncIterator[Bus]:
    async with opener(2**26) as opened:
        yield opened


def delivery(*bodies: bytes, source: Source = Source.HAPROXY, arrival_ns: int = 7) -> Delivery:
    return Delivery(source, list(bodies), arrival_ns, "192.0.2.1")


def stored(*deliveries: Delivery) -> Counter[Outcome]:
    """Count every record of some deliveries as stored."""
    outcomes: Counter[Outcome] = Counter()
    for each in deliveries:
        outcomes[STORED[each.source]] += len(each.bodies)
    return outcomes


def received(bus: Bus) -> dict[Source, int]:
    """Add the account up, per source."""
    outcomes, pending, *_ = bus.account()
    total = dict(pending)
    for outcome, count in outcomes.items():
        total[outcome.source] = total.get(outcome.source, 0) + count
    return {source: total.get(source, 0) for source in Source}


async def read_all(bus: Bus, records: int) -> list[Delivery]:
    """Read until so many records have come."""
    found: list[Delivery] = []
    async with asyncio.timeout(PATIENCE_S):
        while sum(len(each.bodies) for each in found) < records:
            found += await bus.read(1000, 1.0)
    return found


async def insist(bus: Bus, given: Delivery) -> None:
    """Append, again and again where a bus refuses, as Kong does."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await bus.append(given)
            except BusFull:
                await asyncio.sleep(0)


async def test_what_is_appended_is_read_as_it_came(bus: Bus) -> None:
    first = delivery(b"a", b"", b"\xff\x00", arrival_ns=1_700_000_000_123_456_789)
    second = Delivery(Source.KONG, [b"x" * 100_000], 2, "2001:db8::1")
    base = bus.end
    await bus.append(first)
    await bus.append(second)
    got = await read_all(bus, 4)
    assert got == [
        Delivery(first.source, first.bodies, first.arrival_ns, first.peer, base),
        Delivery(second.source, second.bodies, second.arrival_ns, second.peer, base + 3),
    ]
    assert bus.end == base + 4


async def test_a_new_bus_starts_at_its_own_multiple_of_two_to_the_forty(opener: Opener) -> None:
    async with opener(2**22) as one, opener(2**22) as other:
        starts = (one.committed, other.committed)
        assert (one.end, other.end) == starts
    assert all(start > 0 and start % 2**40 == 0 and start < 2**62 for start in starts)
    assert starts[0] != starts[1]


async def test_a_delivery_without_records_takes_no_offset(bus: Bus) -> None:
    before = bus.end
    await bus.append(delivery())
    bus.append_nowait(delivery())
    await bus.append(delivery(b"a"))
    assert [each.bodies for each in await read_all(bus, 1)] == [[b"a"]]
    assert bus.end == before + 1


async def test_reading_an_empty_bus_gives_nothing(bus: Bus) -> None:
    assert await bus.read(10, 0.0) == []
    assert await bus.read(10, 0.001) == []


async def test_a_waiting_reader_is_woken_by_an_append(bus: Bus) -> None:
    reading = asyncio.create_task(bus.read(10, PATIENCE_S))
    await asyncio.sleep(0)
    await bus.append(delivery(b"a"))
    async with asyncio.timeout(PATIENCE_S / 2):
        assert [each.bodies for each in await reading] == [[b"a"]]


async def test_a_cancelled_read_loses_nothing(bus: Bus) -> None:
    reading = asyncio.create_task(bus.read(10, PATIENCE_S))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    await bus.append(delivery(b"a"))
    assert [each.bodies for each in await read_all(bus, 1)] == [[b"a"]]


async def test_read_keeps_to_its_limit_and_never_splits_a_delivery(bus: Bus) -> None:
    for _ in range(5):
        await bus.append(delivery(b"a", b"b", b"c"))
    sizes = []
    while got := await bus.read(7, 0.0):
        sizes.append([len(each.bodies) for each in got])
    assert sizes == [[3, 3], [3, 3], [3]]
    await bus.append(delivery(*[b"x"] * 20))
    assert [len(each.bodies) for each in await bus.read(7, 0.0)] == [20]


async def test_commit_moves_records_from_pending_to_their_outcomes(bus: Bus) -> None:
    await bus.append(delivery(b"a", b"b"))
    await bus.append(delivery(b"c", source=Source.KONG))
    await read_all(bus, 3)
    dead = Outcome(Source.HAPROXY, OutcomeKind.DEAD_LETTER, "not_json")
    await bus.commit(bus.committed + 1, {dead: 1})
    assert bus.account().outcomes == {dead: 1}
    assert bus.account().pending == {Source.HAPROXY: 1, Source.KONG: 1}
    await bus.commit(bus.end, {STORED[Source.HAPROXY]: 1, STORED[Source.KONG]: 1})
    assert bus.account().pending == {Source.HAPROXY: 0, Source.KONG: 0}
    assert received(bus) == {Source.HAPROXY: 2, Source.KONG: 1}
    assert bus.committed == bus.end


@pytest.mark.parametrize(
    ("records", "outcomes"),
    [
        (2, {STORED[Source.HAPROXY]: 1}),
        (2, {STORED[Source.HAPROXY]: 3}),
        (2, {STORED[Source.HAPROXY]: 1, STORED[Source.KONG]: 1}),
        (4, {STORED[Source.HAPROXY]: 2, STORED[Source.KONG]: 2}),
        (-1, {}),
        (0, {STORED[Source.KONG]: 1}),
    ],
)
async def test_a_commit_that_does_not_add_up_changes_nothing(
    bus: Bus, records: int, outcomes: dict[Outcome, int]
) -> None:
    await bus.append(delivery(b"a", b"b"))
    await bus.append(delivery(b"c", source=Source.KONG))
    before, account = bus.committed, bus.account()
    with pytest.raises(ValueError, match="commit"):
        await bus.commit(before + records, outcomes)
    assert bus.committed == before
    assert bus.account() == account


async def test_reading_goes_on_at_a_commit_that_passed_unread_records(bus: Bus) -> None:
    await bus.append(delivery(b"a", b"b", b"c"))
    await bus.append(delivery(b"d"))
    await bus.commit(bus.committed + 2, {STORED[Source.HAPROXY]: 2})
    got = await read_all(bus, 2)
    assert [body for each in got for body in each.bodies] == [b"c", b"d"]
    assert got[0].offset == bus.committed


async def test_drops_are_part_of_the_account(bus: Bus) -> None:
    bus.count_drop(Source.HAPROXY, "kernel", 5)
    bus.count_drop(Source.HAPROXY, "kernel", 2)
    assert bus.account().outcomes == {Outcome(Source.HAPROXY, OutcomeKind.DROPPED, "kernel"): 7}
    assert received(bus) == {Source.HAPROXY: 7, Source.KONG: 0}


async def test_an_account_once_given_does_not_change(bus: Bus) -> None:
    account = bus.account()
    await bus.append(delivery(b"a"))
    bus.count_drop(Source.KONG, "refused", 1)
    assert account.outcomes == {}
    assert sum(account.pending.values()) == 0


async def test_append_nowait_keeps_or_counts_every_record(opener: Opener) -> None:
    """Far more than fits: what was not kept is counted, and what was kept is read."""
    async with opener(2**20) as bus:
        body = b"x" * 9_000
        for _ in range(60):
            bus.append_nowait(delivery(body, body, body))
        async with asyncio.timeout(PATIENCE_S):
            while received(bus)[Source.HAPROXY] < 180:  # noqa: ASYNC110 -- no event tells of an account
                await asyncio.sleep(0)
        outcomes, pending, *_ = bus.account()
        dropped = outcomes[Outcome(Source.HAPROXY, OutcomeKind.DROPPED, "bus_full")]
        assert dropped > 0
        assert pending[Source.HAPROXY] > 0
        assert pending[Source.HAPROXY] + dropped == 180
        got = await read_all(bus, pending[Source.HAPROXY])
        assert all(each == body for found in got for each in found.bodies)


async def test_all_gets_through_a_bus_much_smaller_than_what_is_appended(opener: Opener) -> None:
    """At its cap a bus lets an append wait or refuses it; either way nothing is lost, doubled, mixed up."""
    async with opener(2**20) as bus:
        count = 120

        async def give() -> None:
            for number in range(count):
                await insist(bus, delivery(b"%d" % number, b"x" * 50_000))

        giving = asyncio.create_task(give())
        numbers: list[int] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(numbers) < count:
                for found in await bus.read(1, 1.0):
                    numbers += [int(body) for body in found.bodies if not body.startswith(b"x")]
                    await bus.commit(found.offset + len(found.bodies), stored(found))
        await giving
        assert numbers == list(range(count))
        assert received(bus) == {Source.HAPROXY: 2 * count, Source.KONG: 0}


async def test_fill_is_a_share_and_nothing_once_all_is_committed(opener: Opener) -> None:
    async with opener(2**20) as bus:
        assert bus.fill == 0.0
        for _ in range(5):
            await bus.append(delivery(b"x" * 100_000))
        assert 0.0 <= bus.fill <= 1.0
        await bus.commit(bus.end, {STORED[Source.HAPROXY]: 5})
        assert bus.fill == 0.0


async def test_many_threads_append_while_one_reads_and_the_account_always_adds_up(bus: Bus) -> None:
    threads, each_count = 6, 40
    base = bus.end

    def append_from_a_loop_of_its_own(thread: int) -> None:
        async def appends() -> None:
            source = list(Source)[thread % 2]
            for number in range(each_count):
                await bus.append(delivery(b"%d.%d" % (thread, number), b"second", source=source))

        asyncio.run(appends())

    workers = [
        threading.Thread(target=append_from_a_loop_of_its_own, args=(thread,)) for thread in range(threads)
    ]
    for worker in workers:
        worker.start()
    got: list[Delivery] = []
    seen = 0
    async with asyncio.timeout(PATIENCE_S):
        while len(got) < threads * each_count:
            for found in await bus.read(10, 1.0):
                got.append(found)
                await bus.commit(found.offset + len(found.bodies), stored(found))
                now = sum(received(bus).values())
                assert now >= max(seen, 2 * len(got))
                seen = now
    for worker in workers:
        await asyncio.to_thread(worker.join)
    assert [found.offset for found in got] == [base + 2 * index for index in range(len(got))]
    for thread in range(threads):
        mine = [body for found in got for body in found.bodies if body.startswith(b"%d." % thread)]
        assert mine == [b"%d.%d" % (thread, number) for number in range(each_count)]
    assert received(bus) == dict.fromkeys(Source, threads * each_count)
